// The two-node cluster of datapath_lab with both families: pods fd00:10::11, ::12 (n1) and fd00:11::21 (n2), nodes
// fd00:1::11 and ::12, a host outside fd00:1::99; its neighbour tables filled so that no walk waits for an answer.

import { Lab, type LabOptions } from "../../src/lab.js";
import { type Builds, DEBUG, MEDIUM, NAMES, podIdentities } from "./datapath_lab.js";
import { type Trace, traceOf } from "./event_trace.js";
import { twoNodes } from "./two_nodes.js";

export const NODE6_1 = "fd00:1::11";
export const NODE6_2 = "fd00:1::12";
export const OUTSIDE6 = "fd00:1::99";

/** The cluster; `more` is appended to its YAML. */
export function dualLab(options: LabOptions, more = "", warm = true): Lab {
  const yaml = twoNodes(more, { "ipv6-native-routing-cidr": "fd00:10::/31" })
    .replace("name: n1}\nspec: {gateway", "name: n1}\nspec: {hostEndpointId: 901, gateway")
    .replace("name: n2}\nspec: {gateway", "name: n2}\nspec: {hostEndpointId: 902, gateway")
    .replace(/podCIDR: (10\.0\.(\d)\.0\/24)/g, 'podCIDR: $1, podCIDRs: [$1, "fd00:1$2::/64"]')
    .replace(/addresses: \[\{type: InternalIP, address: 192\.168\.0\.(\d+)\}\]/g, (m, n) =>
      m.replace("]", `, {type: InternalIP, address: "fd00:1::${n}"}]`),
    )
    .replace(/addresses: \[192\.168\.0\.(\d\d)\/24\]/g, 'addresses: [192.168.0.$1/24, "fd00:1::$1/64"]')
    .replace(
      /status: \{podIP: 10\.0\.(\d)\.(\d+)\}/g,
      'status: {podIP: 10.0.$1.$2, podIPs: [{ip: 10.0.$1.$2}, {ip: "fd00:1$1::$2"}]}',
    );
  const lab = Lab.fromYaml(yaml + podIdentities(), "dual.yaml", {
    ...options,
    options: { "enable-ipv6": "true", ...options.options },
  });
  if (warm) {
    // Pods know their router then, nodes each other, the host outside and their pods.
    for (const ipFamily of ["IPv4", "IPv6"] as const)
      for (const [from, to] of [
        ["pod/a", "pod/b"],
        ["pod/a", "pod/c"],
        ["node/n1", "pod/a"],
        ["node/n1", "pod/b"],
        ["node/n2", "pod/c"],
        ["node/n1", "node/n2"],
        ["host/outside", "node/n1"],
        ["host/outside", "node/n2"],
      ] as const)
        lab.ping({ from, to, id: 7, ipFamily });
  }
  return lab;
}

/** Runs the same in a lab of each build, as inBuilds does. */
export function inBuilds6(options: LabOptions, more: string, run: (lab: Lab) => void): Builds {
  const one = (extra: Readonly<Record<string, string>>): Trace => {
    const lab = dualLab({ ...options, options: { ...options.options, ...extra } }, more);
    return traceOf(lab, NAMES, () => run(lab));
  };
  return { debug: one(DEBUG), plain: one({}), medium: one(MEDIUM) };
}
