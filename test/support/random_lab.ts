// Random labs in the form of kernel-lab's topology.json: a few nodes with pods, joined by a switch (or two), through a
// router with a smaller MTU, by VXLAN over either; a host outside; odd routes and sysctls; rules; traffic.

import type { Prng } from "../../src/base/prng.js";
import type { LabTopology } from "../../src/conformance/kernel.js";
import type { TopoLink, TopoNetns, TopoRoute } from "../../src/kernel/topology.js";
import { addRules } from "./random_lab_rules.js";
import { randomTraffic } from "./random_lab_traffic.js";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A namespace while the lab is drawn. */
export type DrawnNetns = Mutable<TopoNetns> & {
  sysctl: Record<string, number>;
  addresses: { dev: string; addr: string }[];
  routes: TopoRoute[];
  neigh: { ip: string; mac: string; dev: string }[];
  iptables?: string;
} & Record<string, unknown>;

/** A pod, or the host outside. */
export interface EndHost {
  readonly ns: string;
  readonly ip: string;
  /** Index of its node; -1 = outside. */
  readonly node: number;
}

/** A service address (and node port) that some nodes translate to one backend. */
export interface DrawnService {
  readonly vip: string;
  readonly port: number;
  readonly nodePort: number;
  readonly proto: "tcp" | "udp";
  readonly backend: EndHost;
  /** All backends, where a balancer has several. */
  readonly backends?: readonly EndHost[];
  readonly target: number;
}

/** What the parts of a lab share while it is drawn. */
export class Draw {
  readonly netns: Record<string, DrawnNetns> = {};
  readonly links: TopoLink[] = [];
  readonly pods: EndHost[] = [];
  readonly services: DrawnService[] = [];
  /** The uplink address of each node. */
  readonly nodeIps: string[] = [];
  outside: EndHost | null = null;
  /** MACs end in consecutive bytes from here, so that none occurs twice. */
  #mac: number;

  constructor(readonly r: Prng) {
    this.#mac = 1 + r.below(200);
  }

  pick<T>(a: readonly T[]): T {
    return a[this.r.below(a.length)]!;
  }

  chance(percent: number): boolean {
    return this.r.below(100) < percent;
  }

  mac(): string {
    return `02:00:${hex2(this.r.below(256))}:00:00:${hex2(this.#mac++ & 255)}`;
  }

  ns(name: string, role: string): DrawnNetns {
    const n: DrawnNetns = { role, sysctl: {}, addresses: [], routes: [], neigh: [] };
    this.netns[name] = n;
    return n;
  }

  veth(a: Omit<TopoEnd, "mac">, b: Omit<TopoEnd, "mac">): void {
    this.links.push({
      kind: "veth",
      ends: [
        { mac: this.mac(), ...a },
        { mac: this.mac(), ...b },
      ],
    });
  }

  /** A switch of its own namespace. */
  switch(name: string): void {
    this.ns(name, "switch");
    this.links.push({ kind: "bridge", ns: name, name: "br0", mac: this.mac(), mtu: 1500 });
  }
}

type TopoEnd = NonNullable<TopoLink["ends"]>[number];

export const hex2 = (n: number): string => n.toString(16).padStart(2, "0");

/** How nodes are joined, and how pods of different nodes reach each other over that. */
export interface Fabric {
  readonly routed: boolean;
  readonly vxlan: boolean;
  readonly podMtu: number;
  /** MTU of the second node's way to the router. */
  readonly pathMtu: number;
  readonly secondNic: boolean;
}

/** A lab drawn from `r`. The same generator state gives the same lab. */
export function randomLab(r: Prng, name: string, rules = false): LabTopology {
  const d = new Draw(r);
  const nodes = 1 + r.below(3);
  const mode = nodes === 1 ? "direct" : d.pick(["direct", "vxlan", "router", "vxlan-router"]);
  const routed = mode === "router" || mode === "vxlan-router";
  const vxlan = mode === "vxlan" || mode === "vxlan-router";
  const fabric: Fabric = {
    routed,
    vxlan,
    podMtu: vxlan ? 1450 : d.pick([1500, 1480, 1400]),
    pathMtu: routed && d.chance(50) ? d.pick([1400, 1300, 1000]) : 1500,
    secondNic: mode === "direct" && nodes > 1 && d.chance(40),
  };
  if (routed) {
    const rt = d.ns("rt", "node");
    rt.sysctl["net/ipv4/ip_forward"] = 1;
    rt.trace = false;
  } else d.switch("sw");
  if (fabric.secondNic) d.switch("sw2");
  for (let i = 0; i < nodes; i++) addNode(d, fabric, i, nodes);
  if (d.chance(45)) addOutside(d, fabric, nodes);
  if (rules) addRules(d, nodes);
  const traffic = randomTraffic(d);
  // An ARP that nobody answers fails after three seconds and those who wait are told: before the counters are read.
  traffic.push({ op: "sleep", id: "end", seconds: 3.6 });
  return {
    name,
    netns: d.netns as LabTopology["netns"],
    links: d.links,
    traffic,
    ...({ title: name, what: "random" } as object),
    kernel: "6.18",
  };
}

function addNode(d: Draw, f: Fabric, i: number, nodes: number): void {
  const n = `n${i + 1}`;
  const up = f.routed ? `172.16.${i + 1}.2` : `172.16.0.${i + 1}`;
  d.nodeIps.push(up);
  const node = d.ns(n, "node");
  node.sysctl["net/ipv4/ip_forward"] = 1;
  const mtu = f.pathMtu < 1500 && i === 1 ? f.pathMtu : 1500;
  if (f.routed) {
    d.veth({ ns: n, name: "eth0", mtu }, { ns: "rt", name: `r${i + 1}`, mtu });
    d.netns.rt!.addresses.push({ dev: `r${i + 1}`, addr: `172.16.${i + 1}.1/24` });
    if (!f.vxlan) d.netns.rt!.routes.push({ dst: `10.${i + 1}.0.0/24`, via: up, dev: `r${i + 1}` });
    node.routes.push({ dst: "default", via: `172.16.${i + 1}.1`, dev: "eth0" });
  } else {
    d.veth({ ns: n, name: "eth0", mtu }, { ns: "sw", name: `s${i + 1}`, mtu: 1500, master: "br0" });
    if (d.chance(60)) node.routes.push({ dst: "default", via: "172.16.0.254", dev: "eth0" });
  }
  node.addresses.push({ dev: "eth0", addr: `${up}/24` });
  if (f.secondNic) {
    d.veth({ ns: n, name: "eth1", mtu: 1500 }, { ns: "sw2", name: `s${i + 1}`, mtu: 1500, master: "br0" });
    node.addresses.push({ dev: "eth1", addr: `172.17.0.${i + 1}/24` });
  }
  if (f.vxlan) addVxlan(d, f, node, i, nodes);
  else if (!f.routed) {
    for (let j = 0; j < nodes; j++) {
      if (j === i) continue;
      const second = f.secondNic && d.chance(50);
      node.routes.push({
        dst: `10.${j + 1}.0.0/24`,
        via: second ? `172.17.0.${j + 1}` : `172.16.0.${j + 1}`,
        dev: second ? "eth1" : "eth0",
        ...(d.chance(15) ? { mtu: 1300 } : {}),
      });
    }
  }
  if (d.chance(40))
    node.routes.push({ dst: `10.${i + 1}.0.0/24`, type: d.pick(["blackhole", "unreachable", "prohibit"]) });
  if (d.chance(20)) node.sysctl["net/ipv4/conf/all/rp_filter"] = 1 + d.r.below(2);
  if (d.chance(15)) node.sysctl["net/ipv4/ip_default_ttl"] = 32 + d.r.below(100);
  if (d.chance(15)) node.sysctl["net/ipv4/conf/all/send_redirects"] = 0;
  addPods(d, f, node, i);
}

function addVxlan(d: Draw, f: Fabric, node: DrawnNetns, i: number, nodes: number): void {
  const vtep = (j: number): string => `02:aa:00:00:00:${hex2(j + 1)}`;
  d.links.push({
    kind: "vxlan",
    ns: `n${i + 1}`,
    name: "vx0",
    mac: vtep(i),
    vni: 77,
    local: d.nodeIps[i]!,
    dev: "eth0",
    dstport: 4789,
    mtu: 1450,
    ...(d.chance(30) ? { udpcsum: false } : {}),
    ...(d.chance(20) ? { ttl: 9 + d.r.below(50) } : {}),
    ...(d.chance(20) ? { tos: "inherit" } : {}),
    ...(d.chance(f.routed ? 60 : 20) ? { df: d.pick(["set", "inherit"]) } : {}),
  });
  node.addresses.push({ dev: "vx0", addr: `10.${i + 1}.0.0/32` });
  const fdb: { mac: string; dev: string; dst: string }[] = [];
  for (let j = 0; j < nodes; j++) {
    if (j === i) continue;
    node.routes.push({ dst: `10.${j + 1}.0.0/24`, via: `10.${j + 1}.0.0`, dev: "vx0", onlink: true });
    node.neigh.push({ ip: `10.${j + 1}.0.0`, mac: vtep(j), dev: "vx0" });
    fdb.push({ mac: vtep(j), dev: "vx0", dst: f.routed ? `172.16.${j + 1}.2` : `172.16.0.${j + 1}` });
  }
  node.fdb = fdb;
}

/** One or two pods: a routed veth each (Calico), or behind a bridge of the node (docker, flannel). */
export function addPods(d: Draw, f: Fabric, node: DrawnNetns, i: number): void {
  const n = `n${i + 1}`;
  const proxied = d.chance(50);
  const bridged = d.chance(25);
  if (bridged) {
    d.links.push({ kind: "bridge", ns: n, name: "cni0", mac: d.mac(), mtu: f.podMtu });
    node.sysctl["net/bridge/bridge-nf-call-iptables"] = d.r.below(2);
    node.addresses.push({ dev: "cni0", addr: `10.${i + 1}.0.1/24` });
    node.routes = node.routes.filter((x) => x.dst !== `10.${i + 1}.0.0/24`);
  }
  const count = 1 + d.r.below(2);
  for (let p = 0; p < count; p++) {
    const ns = `p${i + 1}${p + 1}`;
    const ip = `10.${i + 1}.0.${10 + p + d.r.below(100) * 2}`;
    const dev = `cali${i + 1}${p + 1}`;
    d.pods.push({ ns, ip, node: i });
    const pod = d.ns(ns, "pod");
    pod.node = n;
    if (bridged) {
      d.veth({ ns: n, name: dev, mtu: f.podMtu, master: "cni0" }, { ns, name: "eth0", mtu: f.podMtu });
      pod.addresses.push({ dev: "eth0", addr: `${ip}/24` });
      pod.routes.push({ dst: "default", via: `10.${i + 1}.0.1`, dev: "eth0" });
      continue;
    }
    const host = { ns: n, name: dev, mtu: f.podMtu };
    d.links.push({
      kind: "veth",
      ends: [
        { ...host, mac: proxied ? "ee:ee:ee:ee:ee:ee" : d.mac() },
        { ns, name: "eth0", mtu: f.podMtu, mac: d.mac() },
      ],
    });
    node.routes.push({ dst: `${ip}/32`, dev, scope: "link" });
    const gw = proxied ? "169.254.1.1" : `10.${i + 1}.0.1`;
    if (proxied) {
      node.sysctl[`net/ipv4/conf/${dev}/proxy_arp`] = 1;
      node.sysctl[`net/ipv4/neigh/${dev}/proxy_delay`] = 0;
      if (d.chance(50)) node.sysctl[`net/ipv4/conf/${dev}/rp_filter`] = 1;
    } else node.addresses.push({ dev, addr: `${gw}/32` });
    pod.addresses.push({ dev: "eth0", addr: `${ip}/32` });
    pod.routes.push({ dst: gw, dev: "eth0", scope: "link" }, { dst: "default", via: gw, dev: "eth0" });
  }
}

/** A host that is no node: it knows the way to pods and services, and nodes know it. */
export function addOutside(d: Draw, f: Fabric, nodes: number): void {
  const ip = f.routed ? "172.16.99.2" : "172.16.0.200";
  const h = d.ns("h1", "host");
  if (f.routed) {
    d.veth({ ns: "h1", name: "eth0", mtu: 1500 }, { ns: "rt", name: "r99", mtu: 1500 });
    d.netns.rt!.addresses.push({ dev: "r99", addr: "172.16.99.1/24" });
    h.routes.push({ dst: "default", via: "172.16.99.1", dev: "eth0" });
  } else {
    d.veth({ ns: "h1", name: "eth0", mtu: 1500 }, { ns: "sw", name: "s99", mtu: 1500, master: "br0" });
    for (let j = 0; j < nodes; j++)
      h.routes.push({ dst: `10.${j + 1}.0.0/24`, via: d.nodeIps[j]!, dev: "eth0" });
    h.routes.push({ dst: "10.96.0.0/16", via: d.pick(d.nodeIps), dev: "eth0" });
  }
  h.addresses.push({ dev: "eth0", addr: `${ip}/24` });
  d.outside = { ns: "h1", ip, node: -1 };
}
