// The options that each control plane reads, with what they say: keys of cilium-config where they are Cilium's, names of
// podpath's own for what Calico, flannel and kube-proxy are told otherwise. Readers take their keys from these tables by
// type, so that a key which is read cannot be missing here; a test holds that none is here which nothing reads.

import type { DatapathName } from "./model.js";

/** cilium-config. */
export const CILIUM_OPTIONS = {
  "allow-localhost": "always or policy: whether a pod's own node is let in by policy (auto: always)",
  "auto-direct-node-routes": "routes to the other nodes' pods by the nodes' addresses",
  "bpf-conntrack-accounting": "packets and bytes in conntrack entries",
  "bpf-ct-global-any-max": "entries of the conntrack map of all protocols but TCP",
  "bpf-ct-global-tcp-max": "entries of TCP's conntrack map",
  "bpf-lb-acceleration": "disabled, native, best-effort or generic: services in XDP",
  "bpf-lb-algorithm": "random or maglev",
  "bpf-lb-dsr-dispatch": "opt, ipip or geneve: how DSR carries the service",
  "bpf-lb-external-clusterip": "ClusterIPs answer from outside the cluster",
  "bpf-lb-maglev-table-size": "slots of a service's maglev table",
  "bpf-lb-mode": "snat, dsr or hybrid",
  "bpf-lb-sock": "services are translated at the socket",
  "bpf-lb-sock-hostns-only": "the same for sockets of the node only",
  "bpf-nat-global-max": "entries of the NAT map",
  "bpf-neigh-global-max": "entries of the neighbour map of node ports",
  "bpf-policy-map-max": "entries of an endpoint's policy map",
  "cluster-id": "number of the cluster, 0 to 511",
  "cluster-name": "name of the cluster",
  "conntrack-gc-interval":
    "duration between two collections of conntrack entries; 0: as the agent finds best",
  "datapath-mode": "veth, netkit or netkit-l2",
  debug: "debug messages, together with debug-verbose",
  "debug-verbose": "datapath for the datapath's debug messages",
  "enable-bandwidth-manager": "pacing of pods by EDT",
  "enable-bpf-clock-probe": "jiffies as conntrack's unit of time",
  "enable-bpf-masquerade": "masquerading by BPF instead of iptables",
  "enable-egress-gateway": "older name of enable-ipv4-egress-gateway",
  "enable-endpoint-routes": "a route for each endpoint",
  "enable-envoy-config": "CiliumEnvoyConfig is served",
  "enable-extended-ip-protocols": "policy on protocols without ports",
  "enable-host-firewall": "policy for the nodes themselves",
  "enable-host-legacy-routing": "pods' traffic passes the node's stack",
  "enable-icmp-rules": "policy on ICMP types",
  "enable-ipsec": "IPsec between nodes",
  "enable-ipv4": "IPv4",
  "enable-ipv4-egress-gateway": "CiliumEgressGatewayPolicy",
  "enable-ipv4-fragment-tracking": "fragments are told by their first one's ports",
  "enable-ipv4-masquerade": "IPv4 traffic out of the cluster is masqueraded",
  "enable-ipv6": "IPv6",
  "enable-ipv6-masquerade": "IPv6 traffic out of the cluster is masqueraded",
  "enable-l7-proxy": "L7 policy is enforced by a proxy on the node",
  "enable-node-selector-labels": "policy may select nodes by their labels",
  "enable-non-default-deny-policies": "policies may leave the default as it is (enableDefaultDeny)",
  "enable-pmtu-discovery": "ICMP for packets that do not fit with what DSR adds",
  "enable-policy": "default, always or never",
  "enable-sctp": "SCTP",
  "enable-wireguard": "WireGuard between nodes",
  "encrypt-node": "WireGuard for the nodes' own traffic too",
  "install-no-conntrack-iptables-rules": "pods' traffic is not tracked by netfilter",
  "ipv4-native-routing-cidr": "IPv4 subnet that is routed without masquerading",
  "ipv6-native-routing-cidr": "IPv6 subnet that is routed without masquerading",
  "kube-proxy-replacement": "true or false; in 1.11 strict, probe, partial or disabled",
  "map-backend": "table or lru-cache: what podpath keeps its LRU maps in",
  masquerade: "older name of enable-ipv4-masquerade",
  "monitor-aggregation": "none, lowest, low, medium or maximum",
  "monitor-aggregation-flags": "TCP flags that are always reported, like syn,fin,rst",
  "monitor-aggregation-interval": "duration between two reports of a flow",
  mtu: "MTU of the pods; 0: as the devices have it",
  "native-routing-cidr": "older name of ipv4-native-routing-cidr",
  "node-encryption-opt-out-labels": "labels of nodes whose own traffic stays as it is",
  "node-port-range": "two ports, like 30000,32767",
  "policy-audit-mode": "policy is only reported",
  "policy-cidr-match-mode": "nodes: nodes can be selected by their addresses",
  "policy-default-local-cluster": "policy selects pods of its own cluster unless it says otherwise",
  "policy-deny-response": "none or icmp: what a pod hears of a denied IPv4 packet",
  "routing-mode": "native or tunnel",
  "trace-payloadlen": "bytes captured of a packet",
  "trace-sock": "events of socket load balancing",
  tunnel: "older form of routing-mode and tunnel-protocol: vxlan, geneve or disabled",
  "tunnel-port": "UDP port of the tunnel",
  "tunnel-protocol": "vxlan or geneve",
  "wireguard-persistent-keepalive": "duration between two keepalives; 0: none",
} as const;

/** Where the pods live, if neither nodes nor pods are to say it. */
export const CLUSTER_OPTIONS = {
  "cluster-cidr": "IPv4 subnet of the pods",
  "ipv4-native-routing-cidr": "the same, as Cilium calls it",
  "native-routing-cidr": "the same, as older releases of Cilium called it",
} as const;

/** What Calico's objects say in a cluster, for scenarios without them. */
export const CALICO_OPTIONS = {
  "ipip-mtu": "MTU of tunl0; 0: the uplink's less the tunnel",
  mtu: "MTU of the pods; 0: the uplink's less the tunnel",
  "nat-outgoing": "traffic out of the default pool is masqueraded",
  "pool-cidr": "subnet of the default pool",
  "vxlan-mtu": "MTU of vxlan.calico; 0: the uplink's less the tunnel",
} as const;

/** kube-proxy, which serves wherever Cilium does not replace it. */
export const KUBE_PROXY_OPTIONS = {
  "ipvs-filter": "KUBE-IPVS-FILTER of newer releases",
  "ipvs-scheduler": "rr, wrr, lc ...: IPVS scheduler",
  "masquerade-all": "everything towards a service is masqueraded",
} as const;

export type CiliumOption = keyof typeof CILIUM_OPTIONS;
export type ClusterOption = keyof typeof CLUSTER_OPTIONS;
export type CalicoOption = keyof typeof CALICO_OPTIONS;
export type KubeProxyOption = keyof typeof KUBE_PROXY_OPTIONS;

type Table = Readonly<Record<string, string>>;

/** The options that a datapath reads and what they say, in groups with a heading. */
export function optionsOf(datapath: DatapathName): ReadonlyMap<string, Table> {
  const shared: [string, Table][] = [
    ["the cluster", CLUSTER_OPTIONS],
    ["kube-proxy", KUBE_PROXY_OPTIONS],
  ];
  if (datapath.startsWith("cilium-")) return new Map([["Cilium", CILIUM_OPTIONS], ...shared]);
  if (datapath.startsWith("calico-")) return new Map([["Calico", CALICO_OPTIONS], ...shared]);
  return new Map(shared);
}

/** Whether a datapath reads an option of that name. */
export function readsOption(datapath: DatapathName, key: string): boolean {
  return [...optionsOf(datapath).values()].some((t) => Object.hasOwn(t, key));
}

/** The option of one of these datapaths that `key` is a few letters away from. */
export function mistypedOption(datapaths: readonly DatapathName[], key: string): string | undefined {
  const wanted = letters(key);
  let best: string | undefined;
  let least = Math.min(3, Math.floor(wanted.length / 4)) + 1;
  for (const k of keysOf(datapaths)) {
    const distance = editDistance(letters(k), wanted);
    if (distance < least) [best, least] = [k, distance];
  }
  return best;
}

/** The option that `key` was most likely meant for: also by a part of its words, or as Helm writes them. */
export function nearestOption(datapaths: readonly DatapathName[], key: string): string | undefined {
  const wanted = letters(key);
  const inside = wanted.length < 5 ? [] : keysOf(datapaths).filter((k) => letters(k).includes(wanted));
  return inside.sort((a, b) => a.length - b.length)[0] ?? mistypedOption(datapaths, key);
}

function keysOf(datapaths: readonly DatapathName[]): string[] {
  return [...new Set(datapaths.flatMap((d) => [...optionsOf(d).values()].flatMap((t) => Object.keys(t))))];
}

/** What is left of a name without its dashes, dots and capitals: kubeProxyReplacement is kube-proxy-replacement. */
function letters(key: string): string {
  return key.toLowerCase().replace(/[^a-z0-9]/g, "");
}

/** Letters to add, remove, replace or swap with their neighbour to get from one text to the other. */
export function editDistance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) =>
    Array.from({ length: b.length + 1 }, (__, j) => (i === 0 ? j : j === 0 ? i : 0)),
  );
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const replaced = rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let d = Math.min(rows[i - 1]![j]! + 1, rows[i]![j - 1]! + 1, replaced);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        d = Math.min(d, rows[i - 2]![j - 2]! + 1);
      rows[i]![j] = d;
    }
  }
  return rows[a.length]![b.length]!;
}
