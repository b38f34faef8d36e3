// Changing a pool's encapsulation in a running cluster, and policies of two systems in one scenario.
import { describe, expect, it } from "vitest";
import type { EncapMode } from "../../../src/cluster/calico/config.js";
import type { CalicoPlane } from "../../../src/cluster/calico/plane.js";
import { iptablesSave } from "../../../src/kernel/netfilter/iptables.js";
import type { Lab } from "../../../src/lab.js";
import { twoNodeLab } from "../../support/two_nodes.js";

const lab = (
  datapath: "calico-ipip" | "calico-vxlan" | "calico-bgp",
  more = "",
  kubeProxy: "iptables" | "ipvs" = "iptables",
): Lab => twoNodeLab({ datapath, kubeProxy }, more);

/** Rules and names of the sets of a node. */
const rules = (l: Lab): { rules: string; sets: string[] } => ({
  rules: iptablesSave(l.node("n1").machine.ns).replace(/\[\d+:\d+\]/g, ""),
  sets: l.exec("node/n1", "ipset save").out.split("\n").sort(),
});

function change(l: Lab, ipip: EncapMode, vxlan: EncapMode): void {
  (l.cluster as CalicoPlane).setPoolModes("default-ipv4-ippool", ipip, vxlan);
}

describe("setPoolModes", () => {
  it.each([
    ["calico-ipip", "calico-vxlan", "Never", "Always"],
    ["calico-vxlan", "calico-ipip", "Always", "Never"],
    ["calico-ipip", "calico-bgp", "Never", "Never"],
    ["calico-bgp", "calico-ipip", "Always", "Never"],
  ] as const)(
    "from %s leaves the rules and sets of a cluster that was %s from the start",
    (from, to, ipip, vxlan) => {
      const l = lab(from);
      change(l, ipip, vxlan);
      expect(rules(l)).toEqual(rules(lab(to)));
    },
  );

  it("leaves the chains of ipvs mode complete", () => {
    const l = lab("calico-ipip", "", "ipvs");
    change(l, "Never", "Always");
    const filter = (x: Lab): string =>
      iptablesSave(x.node("n1").machine.ns, { tables: ["filter", "mangle"] }).replace(/\[\d+:\d+\]/g, "");
    expect(filter(l)).toEqual(filter(lab("calico-vxlan", "", "ipvs")));
    const thisHost = (x: Lab): string[] =>
      x
        .exec("node/n1", "ipset save")
        .out.split("\n")
        .filter((s) => s.startsWith("add cali40this-host "))
        .map((s) => s.split(" ")[2]!)
        .sort();
    expect(thisHost(l)).toEqual(["10.0.0.0", "127.0.0.1", "192.168.0.11"]);
    expect(thisHost(lab("calico-vxlan", "", "ipvs"))).toEqual(thisHost(l));
  });

  it("lets tunnelled packets in where they were refused before: pods reach each other in every mode", () => {
    const l = lab("calico-bgp");
    for (const [ipip, vxlan] of [
      ["Always", "Never"],
      ["Never", "Always"],
      ["Never", "Never"],
    ] as const) {
      change(l, ipip, vxlan);
      expect(l.ping({ from: "pod/a", to: "pod/c", count: 2 }).replies.length).toBe(2);
    }
  });
});

const CALICO_DENY = `---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: default.nobody, namespace: default}
spec: {selector: app == 'c', ingress: [{action: Deny}]}
`;
const KUBERNETES_DENY = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: nobody}
spec: {podSelector: {matchLabels: {app: b}}}
`;

describe("a NetworkPolicy of Calico's and one of Kubernetes' in one scenario", () => {
  const reached = (l: Lab): string[] =>
    ["b", "c"].filter((p) => l.ping({ from: "pod/a", to: `pod/${p}` }).replies.length > 0);

  it("both hold on Calico", () => {
    expect(reached(lab("calico-ipip", CALICO_DENY + KUBERNETES_DENY))).toEqual([]);
  });

  it("only Kubernetes' holds on Cilium, which does not know the other group", () => {
    const l = twoNodeLab({ datapath: "cilium-host-routing" }, CALICO_DENY + KUBERNETES_DENY);
    expect(reached(l)).toEqual(["c"]);
    expect((l.cluster as { policies?: { rejected: readonly unknown[] } }).policies!.rejected).toEqual([]);
  });
});
