// HostEndpoints on Calico: which traffic of a node its policies decide, and the rules that Felix writes for them.
import { describe, expect, it } from "vitest";
import type { Lab } from "../../../src/lab.js";
import { NODE_1, twoNodeLab } from "../../support/two_nodes.js";

const HEP = `---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: n1-eth0, labels: {role: edge}}
spec: {node: n1, interfaceName: eth0}
`;
const policy = (name: string, spec: string): string => `---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: ${name}}
spec: {selector: role == 'edge', ${spec}}
`;
const lab = (more: string): Lab => twoNodeLab({ datapath: "calico-bgp", kubeProxy: "iptables" }, more);
const pings = (l: Lab, from: string, to: string): boolean => l.ping({ from, to }).replies.length > 0;
const chain = (l: Lab, name: string, table = "filter"): string[] =>
  l.exec("node/n1", `iptables -t ${table} -S ${name}`).out.trimEnd().split("\n").slice(1);

describe("a HostEndpoint", () => {
  it("without policies closes the node but for the failsafe ports, and lets forwarded packets pass", () => {
    const l = lab(HEP);
    for (const port of [22, 80]) l.traffic.listen({ on: "node/n1", port, protocol: "tcp" });
    const open = (port: number): boolean => l.tcp({ from: "host/outside", to: "node/n1", port }).connected;
    expect({
      ping: pings(l, "host/outside", "node/n1"),
      ssh: open(22),
      web: open(80),
      out: pings(l, "node/n1", "host/outside"),
      forwarded: pings(l, "pod/c", "pod/a"),
      fromPod: pings(l, "pod/a", "node/n1"),
    }).toEqual({ ping: false, ssh: true, web: false, out: false, forwarded: true, fromPod: true });
  });

  it("with a policy opens what it allows", () => {
    const l = lab(
      HEP +
        policy("icmp", "types: [Ingress], ingress: [{action: Allow, protocol: ICMP}]") +
        policy("out", "types: [Egress], egress: [{action: Allow}]"),
    );
    expect(pings(l, "host/outside", "node/n1")).toBe(true);
    expect(pings(l, "node/n1", "host/outside")).toBe(true);
    const [pi] = /cali-pi-\S+/.exec(chain(l, "cali-fh-eth0").join("\n"))!;
    expect(chain(l, "cali-fh-eth0")).toEqual([
      "-A cali-fh-eth0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
      "-A cali-fh-eth0 -m conntrack --ctstate INVALID -j DROP",
      "-A cali-fh-eth0 -j cali-failsafe-in",
      "-A cali-fh-eth0 -j MARK --set-xmark 0x0/0x10000",
      '-A cali-fh-eth0 -m comment --comment "Start of tier default" -j MARK --set-xmark 0x0/0x20000',
      `-A cali-fh-eth0 -m mark --mark 0x0/0x20000 -j ${pi}`,
      '-A cali-fh-eth0 -m comment --comment "Return if policy accepted" -m mark --mark 0x10000/0x10000 -j RETURN',
      '-A cali-fh-eth0 -m comment --comment "End of tier default. Drop if no policies passed packet" -m mark --mark 0x0/0x20000 -j DROP',
      '-A cali-fh-eth0 -m comment --comment "Drop if no profiles matched" -j DROP',
    ]);
    expect(chain(l, "cali-FORWARD")).toEqual([
      "-A cali-FORWARD -j MARK --set-xmark 0x0/0xe0000",
      "-A cali-FORWARD -m mark --mark 0x0/0x10000 -j cali-from-hep-forward",
      "-A cali-FORWARD -i cali+ -j cali-from-wl-dispatch",
      "-A cali-FORWARD -o cali+ -j cali-to-wl-dispatch",
      "-A cali-FORWARD -j cali-to-hep-forward",
    ]);
    expect(chain(l, "cali-failsafe-in").slice(0, 2)).toEqual([
      "-A cali-failsafe-in -p tcp -m multiport --dports 22 -j ACCEPT",
      "-A cali-failsafe-in -p udp -m multiport --dports 68 -j ACCEPT",
    ]);
  });

  it("applies to forwarded packets only the policies with applyOnForward", () => {
    const deny = "types: [Ingress], ingress: [{action: Deny}]";
    expect(pings(lab(HEP + policy("deny", deny)), "pod/c", "pod/a")).toBe(true);
    expect(pings(lab(HEP + policy("deny", `applyOnForward: true, ${deny}`)), "pod/c", "pod/a")).toBe(false);
  });

  it("refuses a node port before translation with a preDNAT policy", () => {
    const service = `---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, clusterIP: 10.96.0.9, selector: {app: a}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]}
`;
    const reach = (more: string): boolean => {
      const l = lab(HEP + service + more);
      l.traffic.listen({ on: "pod/a", port: 8080, protocol: "tcp" });
      return l.tcp({ from: "host/outside", to: NODE_1, port: 30080 }).connected;
    };
    const deny =
      "preDNAT: true, applyOnForward: true, types: [Ingress], ingress: [{action: Deny, protocol: TCP, destination: {ports: [30080]}}]";
    expect([reach(""), reach(policy("no-node-ports", deny))]).toEqual([true, false]);
  });

  it("of all interfaces with the profile that allows all leaves everything open, pods' devices apart", () => {
    const l = lab(
      HEP.replace("interfaceName: eth0", "interfaceName: '*', profiles: [projectcalico-default-allow]"),
    );
    expect(pings(l, "host/outside", "node/n1") && pings(l, "pod/c", "pod/a")).toBe(true);
    expect(chain(l, "cali-from-host-endpoint")).toEqual([
      "-A cali-from-host-endpoint -i cali+ -j RETURN",
      "-A cali-from-host-endpoint -g cali-fh-any-interface-at-all",
    ]);
  });

  it("without an interface is that of the device with one of its addresses", () => {
    const l = lab(HEP.replace("interfaceName: eth0", `expectedIPs: [${NODE_1}]`));
    expect(chain(l, "cali-from-host-endpoint")).toEqual([
      "-A cali-from-host-endpoint -i eth0 -g cali-fh-eth0",
    ]);
  });

  it.each([
    [HEP.replace("node: n1", "node: n9"), 'HostEndpoint n1-eth0: the scenario has no node "n9"'],
    [
      HEP.replace("interfaceName: eth0", "expectedIPs: [1.2.3.4]"),
      "HostEndpoint n1-eth0: no interfaceName, and no device of the node has one of the expectedIPs",
    ],
    [
      policy("raw", "doNotTrack: true, applyOnForward: true"),
      "GlobalNetworkPolicy raw: doNotTrack is not modelled",
    ],
    [policy("pre", "preDNAT: true"), "GlobalNetworkPolicy pre: preDNAT needs applyOnForward: true"],
  ])("that makes no sense is one line", (yaml, message) => {
    expect(() => lab(yaml)).toThrow(message);
  });
});
