// Pod CIDRs for nodes that have none, as Calico's nodes do: without one an agent has no router address, and pods no way
// out. They are what the cluster-pool IPAM would have given: the subnets of one size that hold each node's pods.

import { prefixOf } from "../linux_plane.js";
import type { ClusterModel, NodeModel, PodModel } from "../model.js";

/** Sizes tried, the pool's usual one first; a longer prefix has no room for the router. */
const SHORTEST = 24;
const LONGEST = 29;

/** The model with an IPv4 pod CIDR for every node that has IPv4 pods; the same one where none is missing. */
export function withPodCidrs(model: ClusterModel): ClusterModel {
  const pods = model.pods.filter((p) => !p.hostNetwork && p.ip4 !== undefined);
  const missing = (n: NodeModel): boolean =>
    !n.podCidrs.some((c) => !c.includes(":")) && pods.some((p) => p.nodeName === n.name);
  if (!model.nodes.some(missing)) return model;
  return {
    ...model,
    nodes: model.nodes.map((n) =>
      missing(n) ? { ...n, podCidrs: [...blocksOf(n, pods), ...n.podCidrs] } : n,
    ),
  };
}

/** The largest blocks around a node's pods that no other node's pod is in; none where addresses lie mixed. */
function blocksOf(n: NodeModel, pods: readonly PodModel[]): string[] {
  for (let bits = SHORTEST; bits <= LONGEST; bits++) {
    const own = new Set<string>();
    const others = new Set<string>();
    for (const p of pods) (p.nodeName === n.name ? own : others).add(prefixOf(p.ip4!, bits));
    if (![...own].some((c) => others.has(c))) return [...own];
  }
  return [];
}
