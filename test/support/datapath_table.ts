// The datapath table: every datapath, every kind of path, ICMP, UDP and TCP. What is expected follows from a few facts
// about each datapath (how many hops and which netfilter hooks each leg of a path costs, and the MTU of its pods).
// datapath_measure.ts sends the flows; both give lines of the same text.

import type { LabOptions } from "../../src/lab.js";
import { NODE_1, NODE_2 } from "./two_nodes.js";

/** What one leg of a path takes from the TTL, and the netfilter hooks met on the node. */
export type Leg = readonly [hops: number, hooks: string];

const STACK = "pre fwd post";
const ENCAP = "out post";
const DECAP = "pre in";

/** Legs that a packet to or from a pod is made of. */
export interface Legs {
  /** Between pods of one node. */
  readonly local: Leg;
  /** From a pod to a pod of another node: on its own node, and on the other. */
  readonly up: Leg;
  readonly down: Leg;
  /** The same where the far end is no pod: never encapsulated. */
  readonly plainUp: Leg;
  readonly plainDown: Leg;
  /** From a node's process to a pod of that node. */
  readonly fromNode: Leg;
  /** From a node's process to a pod of another node, and the answer where it comes in. */
  readonly nodeUp: Leg;
  readonly nodeDown: Leg;
  /** On a node whose port was asked and whose neighbour has the backend: there, and back. */
  readonly balance: Leg;
  readonly balanceBack: Leg;
  /** In at a node port that kube-proxy translates, and down to a pod of the same node. */
  readonly turn: Leg;
}

export interface DatapathRow {
  readonly name: string;
  readonly options: LabOptions;
  readonly legs: Legs;
  /** Where a pod's packets to a ClusterIP are translated: in connect(), by its BPF program, by kube-proxy. */
  readonly clusterIp: "connect" | "bpf" | "iptables" | "ipvs";
  readonly nodePort: "connect" | "iptables" | "ipvs";
  /** The route to the pods names a source address: an unbound UDP server on the node answers from that one. */
  readonly routeHasSource: boolean;
  /** Largest packet that a pod's route takes. */
  readonly podMtu: number;
  /** Largest packet that goes down to a pod of the node, from the wire or from the node itself. */
  readonly downMtu: number;
}

const HOST_ROUTING: Legs = {
  local: [1, ""],
  up: [1, ""],
  down: [1, ""],
  plainUp: [1, ""],
  plainDown: [1, ""],
  fromNode: [1, "out post"],
  nodeUp: [0, "out post"],
  nodeDown: [0, "pre in"],
  balance: [1, ""],
  balanceBack: [1, ""],
  turn: [1, ""],
};
// The stack routes to cilium_host, whose program takes one more from the TTL.
const LEGACY: Legs = {
  ...HOST_ROUTING,
  up: [1, STACK],
  down: [2, STACK],
  plainUp: [1, STACK],
  plainDown: [2, STACK],
};
// A tunnel leaves the inner TTL alone at the near end; its outer packets are the node's own.
const TUNNEL: Legs = {
  ...HOST_ROUTING,
  up: [0, ENCAP],
  down: [1, DECAP],
  nodeUp: [0, `out post ${ENCAP}`],
  nodeDown: [1, `${DECAP} pre in`],
  balance: [1, ENCAP],
  balanceBack: [1, DECAP],
};
const LINUX: Legs = {
  local: [1, STACK],
  up: [1, STACK],
  down: [1, STACK],
  plainUp: [1, STACK],
  plainDown: [1, STACK],
  fromNode: [0, "out post"],
  nodeUp: [0, "out post"],
  nodeDown: [0, "pre in"],
  balance: [1, STACK],
  balanceBack: [1, STACK],
  turn: [1, STACK],
};
const LINUX_TUNNEL: Legs = {
  ...LINUX,
  up: [1, `${STACK} ${ENCAP}`],
  down: [1, `${DECAP} ${STACK}`],
  nodeUp: [0, `out post ${ENCAP}`],
  nodeDown: [0, `${DECAP} pre in`],
  balance: [1, `${STACK} ${ENCAP}`],
  balanceBack: [1, `${DECAP} ${STACK}`],
};

const CILIUM = {
  clusterIp: "connect",
  nodePort: "connect",
  routeHasSource: true,
  podMtu: 1500,
  downMtu: 1500,
} as const;
const KUBE_PROXY = { clusterIp: "iptables", nodePort: "iptables", routeHasSource: false } as const;
const mtu = (n: number) => ({ podMtu: n, downMtu: n });

const row = (
  name: string,
  legs: Legs,
  rest: Omit<DatapathRow, "name" | "options" | "legs">,
  options: LabOptions = { datapath: name as NonNullable<LabOptions["datapath"]> },
): DatapathRow => ({ name, legs, options, ...rest });

export const DATAPATHS: readonly DatapathRow[] = [
  row("cilium-host-routing", HOST_ROUTING, CILIUM),
  row(
    "cilium-host-routing, per-endpoint routes",
    // The route goes straight to the pod's device: no program takes a hop from what the node sends.
    { ...HOST_ROUTING, fromNode: [0, "out post"] },
    { ...CILIUM, routeHasSource: false },
    { datapath: "cilium-host-routing", options: { "enable-endpoint-routes": "true" } },
  ),
  row("cilium-legacy", LEGACY, CILIUM),
  row(
    "cilium-legacy, per-endpoint routes",
    { ...LINUX, balance: [1, ""], balanceBack: [1, ""] },
    { ...CILIUM, routeHasSource: false },
    { datapath: "cilium-legacy", options: { "enable-endpoint-routes": "true" } },
  ),
  row(
    "cilium-legacy, kube-proxy",
    { ...LEGACY, balance: [1, STACK], balanceBack: [1, STACK], turn: [2, STACK] },
    { ...CILIUM, clusterIp: "bpf", nodePort: "iptables" },
    { datapath: "cilium-legacy", options: { "kube-proxy-replacement": "false" } },
  ),
  row("cilium-netkit", HOST_ROUTING, CILIUM),
  row("cilium-vxlan", TUNNEL, { ...CILIUM, podMtu: 1450 }),
  row("cilium-geneve", TUNNEL, { ...CILIUM, podMtu: 1450 }),
  row("calico-ipip", LINUX_TUNNEL, { ...KUBE_PROXY, ...mtu(1480) }),
  row("calico-vxlan", LINUX_TUNNEL, { ...KUBE_PROXY, ...mtu(1450) }),
  // Both nodes are in one subnet: nothing is encapsulated, but pods keep the room for it.
  row("calico-ipip-crosssubnet", LINUX, { ...KUBE_PROXY, ...mtu(1480) }),
  row("calico-vxlan-crosssubnet", LINUX, { ...KUBE_PROXY, ...mtu(1450) }),
  row("calico-bgp", LINUX, { ...KUBE_PROXY, ...mtu(1500) }),
  row(
    "calico-bgp, IPVS",
    LINUX,
    { ...KUBE_PROXY, ...mtu(1500), clusterIp: "ipvs", nodePort: "ipvs" },
    { datapath: "calico-bgp", kubeProxy: "ipvs" },
  ),
  row(
    "flannel-host-gw",
    // Pods of one node share a bridge, which takes nothing from the TTL, not even of what kube-proxy turns round there.
    { ...LINUX, local: [0, STACK], turn: [0, STACK] },
    { ...KUBE_PROXY, ...mtu(1500), routeHasSource: true },
  ),
];

export const PATHS = [
  "pod to pod, same node",
  "pod to pod, cross node",
  "pod to ClusterIP, same node",
  "pod to ClusterIP, cross node",
  "pod to NodePort of its node, backend there",
  "pod to NodePort of its node, backend on the other",
  "pod to NodePort of the other node",
  "outside to NodePort, backend there",
  "outside to NodePort, backend on the other node",
  "pod to its node",
  "pod to the other node",
  "node to its pod",
  "node to a pod of the other node",
  "pod to outside",
  "hairpin: pod to itself by ClusterIP",
] as const;
export type Path = (typeof PATHS)[number];

export const PROTOCOLS = ["icmp", "udp", "tcp"] as const;
export type Protocol = (typeof PROTOCOLS)[number];

const SELF = "10.96.0.10";
const NEAR = "10.96.0.11";
const FAR = "10.96.0.12";
export const ENDS: Readonly<Record<Path, readonly [from: string, to: string, port: number]>> = {
  "pod to pod, same node": ["pod/a", "pod/b", 8080],
  "pod to pod, cross node": ["pod/a", "pod/c", 8080],
  "pod to ClusterIP, same node": ["pod/a", NEAR, 80],
  "pod to ClusterIP, cross node": ["pod/a", FAR, 80],
  "pod to NodePort of its node, backend there": ["pod/a", NODE_1, 30011],
  "pod to NodePort of its node, backend on the other": ["pod/a", NODE_1, 30012],
  "pod to NodePort of the other node": ["pod/a", NODE_2, 30012],
  "outside to NodePort, backend there": ["host/outside", NODE_2, 30012],
  "outside to NodePort, backend on the other node": ["host/outside", NODE_1, 30012],
  "pod to its node": ["pod/a", "node/n1", 7000],
  "pod to the other node": ["pod/a", "node/n2", 7000],
  "node to its pod": ["node/n1", "pod/a", 8080],
  "node to a pod of the other node": ["node/n1", "pod/c", 8080],
  "pod to outside": ["pod/a", "host/outside", 7000],
  "hairpin: pod to itself by ClusterIP": ["pod/a", SELF, 80],
};

/** Where one direction ends, with which TTL, and the hooks of each node on the way. */
export interface Direction {
  readonly end: string;
  readonly ttl: number;
  readonly hooks: readonly string[];
}

function way(end: string, ...legs: readonly (readonly [node: string, leg: Leg])[]): Direction {
  const hops = legs.reduce((n, [, leg]) => n + leg[0], 0);
  return { end, ttl: 64 - hops, hooks: legs.map(([node, [, h]]) => `${node}: ${h}`.trim()) };
}

const INTO_NODE: Leg = [0, "pre in"];
const OUT_OF_NODE: Leg = [0, "out post"];
/** IPVS takes packets in INPUT and sends them on through OUTPUT; hops as with any other way. */
const byIpvs = ([hops, hooks]: Leg, ipvs: boolean): Leg => [
  hops,
  ipvs ? hooks.replace(STACK, "pre in out post") : hooks,
];

function directions(r: DatapathRow, path: Path, proto: Protocol): [Direction, Direction | undefined] {
  const { legs } = r;
  const toItsNode: [Direction, Direction] = [
    way("n1", ["n1", INTO_NODE]),
    // The connected socket of the pod waits for an answer from the address that it asked.
    way(proto === "udp" && r.routeHasSource ? "a NO_SOCKET" : "a", ["n1", legs.fromNode]),
  ];
  const toOtherNode: [Direction, Direction] = [
    way("n2", ["n1", legs.plainUp], ["n2", INTO_NODE]),
    way("a", ["n2", OUT_OF_NODE], ["n1", legs.plainDown]),
  ];
  const same: [Direction, Direction] = [way("b", ["n1", legs.local]), way("a", ["n1", legs.local])];
  const back = way("a", ["n2", legs.up], ["n1", legs.down]);
  const cross: [Direction, Direction] = [way("c", ["n1", legs.up], ["n2", legs.down]), back];
  const ipvs = r.clusterIp === "ipvs";
  // Echo requests have no port that a service could translate: kube-ipvs0 owns the address, else it leaves by the
  // default route, where nobody has it.
  const echoToService: [Direction, Direction | undefined] = ipvs
    ? toItsNode
    : [way("gateway-lan IP_INNOROUTES", ["n1", legs.plainUp]), undefined];
  switch (path) {
    case "pod to pod, same node":
      return same;
    case "pod to pod, cross node":
      return cross;
    case "pod to ClusterIP, same node":
      if (proto === "icmp") return echoToService;
      return [way("b", ["n1", byIpvs(legs.local, ipvs)]), same[1]];
    case "pod to ClusterIP, cross node":
      if (proto === "icmp") return echoToService;
      return [way("c", ["n1", byIpvs(legs.up, ipvs)], ["n2", legs.down]), back];
    case "pod to NodePort of its node, backend there":
      if (proto === "icmp") return toItsNode;
      if (r.nodePort === "connect") return same;
      return [way("b", ["n1", byIpvs(legs.turn, ipvs)]), way("a", ["n1", legs.turn])];
    case "pod to NodePort of its node, backend on the other":
      if (proto === "icmp") return toItsNode;
      return [way("c", ["n1", byIpvs(legs.up, ipvs)], ["n2", legs.down]), back];
    case "pod to NodePort of the other node":
      if (proto === "icmp") return toOtherNode;
      if (r.nodePort === "connect") return cross;
      return [
        way("c", ["n1", legs.plainUp], ["n2", byIpvs(legs.plainDown, ipvs)]),
        way("a", ["n2", legs.plainUp], ["n1", legs.plainDown]),
      ];
    case "outside to NodePort, backend there":
      if (proto === "icmp") return [way("n2", ["n2", INTO_NODE]), way("outside", ["n2", OUT_OF_NODE])];
      return [way("c", ["n2", byIpvs(legs.plainDown, ipvs)]), way("outside", ["n2", legs.plainUp])];
    case "outside to NodePort, backend on the other node":
      if (proto === "icmp") return [way("n1", ["n1", INTO_NODE]), way("outside", ["n1", OUT_OF_NODE])];
      return [
        way("c", ["n1", byIpvs(legs.balance, ipvs)], ["n2", legs.down]),
        way("outside", ["n2", legs.up], ["n1", legs.balanceBack]),
      ];
    case "pod to its node":
      return toItsNode;
    case "pod to the other node":
      return toOtherNode;
    case "node to its pod":
      return [way("a", ["n1", legs.fromNode]), way("n1", ["n1", INTO_NODE])];
    case "node to a pod of the other node":
      return [
        way("c", ["n1", legs.nodeUp], ["n2", legs.down]),
        way("n1", ["n2", legs.up], ["n1", legs.nodeDown]),
      ];
    case "pod to outside":
      return [way("outside", ["n1", legs.plainUp]), way("a", ["n1", legs.plainDown])];
    case "hairpin: pod to itself by ClusterIP": {
      if (proto === "icmp") return echoToService;
      // Translated in connect() it is a connection over lo.
      if (r.clusterIp === "connect") return [way("a"), way("a")];
      return [way("a", ["n1", byIpvs(legs.local, ipvs)]), way("a", ["n1", legs.local])];
    }
  }
}

/** The largest request that arrives in one piece: the smallest MTU on the way, and for TCP what a pod's MSS asks for. */
export function largest(r: DatapathRow, path: Path, proto: Protocol): number {
  if (path.startsWith("pod to")) return r.podMtu;
  if (path.startsWith("hairpin")) {
    // lo takes 65536 bytes, an IP packet has 65535.
    return r.clusterIp === "connect" && proto !== "icmp" ? 65535 : r.podMtu;
  }
  if (path === "node to its pod") return r.downMtu;
  if (path.startsWith("node to")) return r.podMtu;
  if (proto === "icmp") return 1500;
  return path === "outside to NodePort, backend there" && proto === "udp" ? r.downMtu : r.podMtu;
}

export const text = (d: Direction | undefined): string =>
  d === undefined ? "no reply" : `[${d.hooks.join(" | ")}] -> ${d.end} ttl ${d.ttl}`;

export function line(path: Path, proto: Protocol, there: string, back: string, size: string): string {
  return `${path}, ${proto}: ${there}; ${back}; mtu ${size}`;
}

/** What a cell is expected to say. */
export function expectedCell(r: DatapathRow, path: Path, proto: Protocol): string {
  const [request, reply] = directions(r, path, proto);
  return line(path, proto, text(request), text(reply), String(largest(r, path, proto)));
}
