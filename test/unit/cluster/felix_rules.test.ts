// Felix's and kube-proxy's rules against the recorded rule sets of the kernel labs (what the labs loaded).
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { felixRules } from "../../../src/cluster/calico/felix_rules.js";
import { iptablesRules } from "../../../src/cluster/kube_proxy/iptables.js";
import type { ServicePort } from "../../../src/cluster/kube_proxy/service_map.js";

const VECTORS = new URL("../../../../shared/vectors/kernel/", import.meta.url).pathname;

/** Rules by table, in order; jumps to Felix's appended rules of FORWARD are where the labs have them. */
function byTable(text: string): Record<string, string[]> {
  const out: Record<string, string[]> = {};
  let table = "";
  for (const l of text.split("\n")) {
    if (l.startsWith("*")) table = l.slice(1);
    else if (l.startsWith("-A") || l.startsWith(":")) {
      out[table] ??= [];
      out[table]!.push(l);
    }
  }
  return out;
}

const recorded = (lab: string, ns: string): Record<string, string[]> =>
  byTable(JSON.parse(readFileSync(`${VECTORS}${lab}/topology.json`, "utf8")).netns[ns].iptables);

const config = {
  pools: [],
  podMtu: undefined,
  ipipMtu: undefined,
  vxlanMtu: undefined,
  vxlanVni: 4096,
  vxlanPort: 4789,
  bgp: true,
  nodeToNodeMesh: true,
  asNumber: 64512,
  endpointToHost: "ACCEPT",
  failsafeIn: [],
  failsafeOut: [],
} as const;
const NO_POLICIES = { tiers: [], policies: [], endpoints: [] };

describe.skipIf(!existsSync(VECTORS))("rule sets (needs the recorded labs beside the repository)", () => {
  it.each([
    ["calico-ipip-felix-rules", "n202", true, ["cali12d4a061371"]],
    ["calico-ipip-felix-rules", "n203", true, ["cali1342368ccea"]],
    ["calico-felix-rules", "n1", false, ["cali59330ed5cb6", "cali072e3706f4d"]],
  ] as const)("Felix writes %s %s rule by rule", (lab, ns, ipip, interfaces) => {
    const r = felixRules(
      {
        config,
        ipip,
        vxlan: false,
        workloads: interfaces.map((interfaceName) => ({ interfaceName, namespace: "default", labels: {} })),
      },
      NO_POLICIES,
    );
    const ours = byTable(r.text);
    const want = recorded(lab, ns);
    // Two rules of FORWARD come after everybody else's: loaded apart.
    const appended = byTable(r.appended).filter!;
    expect(appended.every((x) => want.filter!.includes(x))).toBe(true);
    want.filter = want.filter!.filter((x) => !appended.includes(x));
    // Dispatch rules of several pods stand beside each other in another order than the labs': compare each chain.
    const chains = (rules: readonly string[]): Record<string, string[]> =>
      Object.fromEntries(
        [...new Set(rules.map((x) => x.split(" ")[1]!))]
          .sort()
          .map((c) => [c, rules.filter((x) => x.split(" ")[1] === c)]),
      );
    expect(Object.keys(ours).sort()).toEqual(Object.keys(want).sort());
    for (const t of Object.keys(want)) expect(chains(ours[t]!), t).toEqual(chains(want[t]!));
  });

  it("kube-proxy's iptables mode writes what the lab of services has, but for the names of chains", () => {
    const port = (
      name: string,
      clusterIp: string,
      p: number,
      protocol: "tcp" | "udp",
      at: string,
    ): ServicePort => ({
      name: `ns1/${name}`,
      protocol,
      clusterIp,
      port: p,
      nodePort: 0,
      externalIps: [],
      loadBalancerIps: [],
      sourceRanges: [],
      externalLocal: false,
      internalLocal: false,
      affinitySec: undefined,
      clusterEndpoints:
        at === "" ? [] : [{ address: at.split(":")[0]!, port: Number(at.split(":")[1]), local: false }],
      localEndpoints: [],
    });
    const text = iptablesRules(
      [
        port("web", "10.96.0.10", 80, "tcp", "10.244.103.65:8080"),
        port("dns", "10.96.0.53", 53, "udp", "10.244.103.65:5353"),
        port("self", "10.96.0.99", 99, "tcp", "10.244.42.65:9099"),
        port("none", "10.96.0.77", 77, "tcp", ""),
      ],
      {
        mode: "iptables",
        clusterCidr: "10.244.0.0/16",
        masqueradeAll: false,
        masqueradeMark: "0x4000",
        scheduler: "rr",
        localhostNodePorts: true,
        nodePortAddresses: [],
        strictArp: false,
        ipvsFilter: false,
      },
    );
    const names = (rules: readonly string[]): string[] =>
      rules
        .filter((r) => r.startsWith("-A"))
        .map((r) => r.replace(/KUBE-(SVC|SEP)-[A-Z0-9]+/g, "KUBE-$1-X"))
        // Chains of newer releases, empty here.
        .filter((r) => !/KUBE-EXTERNAL-SERVICES|KUBE-PROXY-FIREWALL/.test(r))
        .sort();
    const ours = byTable(text);
    const want = recorded("svc-iptables-cross-node", "n1");
    for (const t of ["nat", "filter"]) expect(names(ours[t]!), t).toEqual(names(want[t]!));
  });
});
