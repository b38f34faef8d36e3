// Clusters that were not made for Cilium: nodes without pod CIDRs, and nodes that no wire joins.

import { describe, expect, it } from "vitest";
import { withPodCidrs } from "../../../../src/cluster/cilium/pod_cidrs.js";
import { Lab } from "../../../../src/lab.js";
import { EMBEDDED } from "../../../../src/scenario/embedded/index.js";
import { loadScenario } from "../../../../src/scenario/load.js";
import { twoNodes } from "../../../support/two_nodes.js";

/** Nodes with the addresses of their pods, and what `node` says of pod CIDRs. */
function clusterOf(nodes: Readonly<Record<string, readonly string[]>>, spec = ""): string {
  return Object.entries(nodes)
    .flatMap(([name, ips], i) => [
      `{apiVersion: v1, kind: Node, metadata: {name: ${name}}, ${spec}status: {addresses: [{type: InternalIP, address: 192.168.${i}.1}]}}`,
      ...ips.map(
        (ip, k) =>
          `{apiVersion: v1, kind: Pod, metadata: {name: ${name}-${k}}, spec: {nodeName: ${name}}, status: {podIP: ${ip}}}`,
      ),
    ])
    .join("\n---\n");
}

const cidrsOf = (text: string): (readonly string[])[] =>
  withPodCidrs(loadScenario(text, "x.yaml").cluster).nodes.map((n) => n.podCidrs);

describe("withPodCidrs", () => {
  it("gives each node the largest blocks from /24 on that hold its pods and no other's", () => {
    expect(cidrsOf(clusterOf({ a: ["10.1.0.5", "10.1.0.200", "10.2.0.1"], b: ["10.3.0.1"], c: [] }))).toEqual(
      [["10.1.0.0/24", "10.2.0.0/24"], ["10.3.0.0/24"], []],
    );
    expect(cidrsOf(clusterOf({ a: ["10.1.0.5"], b: ["10.1.0.70"] }))).toEqual([
      ["10.1.0.0/26"],
      ["10.1.0.64/26"],
    ]);
  });

  it("gives none where two nodes' pods lie side by side", () => {
    expect(cidrsOf(clusterOf({ a: ["10.1.0.5"], b: ["10.1.0.6"] }))).toEqual([[], []]);
  });

  it("leaves a model alone whose nodes have theirs", () => {
    const { cluster } = loadScenario(twoNodes(), "x.yaml");
    expect(withPodCidrs(cluster)).toBe(cluster);
  });
});

describe("Cilium on a cluster of Calico's", () => {
  it.each(["cilium-host-routing", "cilium-legacy", "cilium-vxlan"] as const)(
    "pods reach each other by %s, though no node has a pod CIDR",
    (datapath) => {
      const lab = Lab.fromYaml(EMBEDDED.get("calico-kind-ipip")!, "x.yaml", { datapath });
      const [a, b] = [...lab.cluster.pods.values()].map((s) => `pod/${s.pod.namespace}/${s.pod.name}`);
      expect(lab.ping({ from: a!, to: b! }).received).toBe(1);
    },
  );
});

describe("nodes in two subnets without a router between them", () => {
  const text = clusterOf({ a: ["10.1.0.5"], b: ["10.2.0.5"] });

  it.each(["cilium-host-routing", "flannel-host-gw"] as const)(
    "%s goes without the route to the other's pods, as its agent does",
    (datapath) => {
      const lab = Lab.fromYaml(text, "x.yaml", { datapath });
      expect(lab.ping({ from: "pod/a-0", to: "pod/b-0" }).received).toBe(0);
      expect(lab.exec("node/a", "ip route").out).not.toContain("10.2.0.0");
    },
  );
});
