// Calico: the CNI plugin gives a pod its /32, its veth `cali...` with ee:ee:ee:ee:ee:ee and the gateway 169.254.1.1 that
// proxy ARP answers for; Felix writes routes to pods, tunnels, sets and rules; BIRD the routes to other nodes' blocks.
//
//   pod eth0 --> cali... --> FORWARD (cali-*) --> route: /32 dev cali...       same node
//                                                        /26 via node dev tunl0 | eth0 | vxlan.calico

import { PodpathError } from "../../base/errors.js";
import { sha1 } from "../../base/sha.js";
import { type IpipDevice, ipip_fallback } from "../../kernel/ipip.js";
import { type CommandResult, ip_route } from "../../kernel/iproute.js";
import { xtNet } from "../../kernel/netfilter/xtables.js";
import { neigh_set } from "../../kernel/rtnetlink.js";
import { VxlanDevice } from "../../kernel/vxlan.js";
import { formatIpv4, parseIpv4 } from "../../net/address.js";
import { kubeProxyConfig } from "../kube_proxy/config.js";
import { KUBE_IPVS } from "../kube_proxy/ipvs.js";
import { installKubeProxy, type KubeProxy } from "../kube_proxy/kube_proxy.js";
import { clusterCidr, fields, inPrefix, LinuxNode, LinuxPlane } from "../linux_plane.js";
import type { Machine, Machines, Sandbox } from "../machines.js";
import type { ClusterModel, NodeModel, PodModel } from "../model.js";
import { addAddress, addRoute, linkUp, makeIpset, setSysctl } from "../netcfg.js";
import { type BgpSession, Bird, bgpAddress, nodeStatusText } from "./bird.js";
import { type CalicoConfig, calicoConfig, type EncapMode, type IpPool } from "./config.js";
import { SET_THIS_HOST } from "./felix_ipvs.js";
import {
  type FelixRules,
  felixRules,
  ownChainsOnly,
  SET_ALL_HOSTS,
  SET_ALL_POOLS,
  SET_ALL_VXLAN,
  SET_MASQ_POOLS,
  type Workload,
} from "./felix_rules.js";
import { type HostEndpoint, readHostEndpoints } from "./host_endpoints.js";
import { Ipam } from "./ipam.js";
import { vethName } from "./names.js";
import { endpointLabels, type PolicySet, readPolicies } from "./policy.js";

/** MAC of every host side. */
const HOST_MAC = "ee:ee:ee:ee:ee:ee";
const PROTO_BIRD = 12;
/** Protocol of the routes that Felix writes itself for VXLAN without encapsulation and for blackholes. */
const PROTO_FELIX = 80;

/** A route to another node's block (or a blackhole), as it shall be. */
interface BlockRoute {
  readonly to: string;
  readonly type?: "blackhole";
  readonly via?: string;
  readonly dev?: string;
  readonly proto?: number;
  readonly onlink?: boolean;
}

export class CalicoNode extends LinuxNode {
  /** Address by which the others know it. */
  readonly address: string;
  tunl0: IpipDevice | undefined;
  vxlan: VxlanDevice | undefined;
  kubeProxy: KubeProxy | undefined;
  /** Routes to blocks that are in the table now, by prefix. */
  readonly blockRoutes = new Map<string, BlockRoute>();

  constructor(name: string, model: NodeModel, machine: Machine) {
    super(name, model, machine);
    this.address = bgpAddress(model);
  }
}

export class CalicoPlane extends LinuxPlane<CalicoNode> {
  readonly config: CalicoConfig;
  readonly ipam: Ipam;
  readonly bird: Bird;
  readonly hostEndpoints: readonly HostEndpoint[];
  readonly policies: PolicySet;
  #pools: readonly IpPool[];
  /** kube-proxy runs in ipvs mode; Felix tells by kube-ipvs0 being there. */
  readonly #kubeIpvs: boolean;
  readonly #startNs: number;

  constructor(model: ClusterModel, machines: Machines, forced: boolean) {
    super(model, machines);
    this.config = calicoConfig(model, forced);
    this.#pools = this.config.pools;
    this.#kubeIpvs = kubeProxyConfig(model, undefined).mode === "ipvs";
    this.#startNs = machines.clock.ns;
    this.hostEndpoints = readHostEndpoints(model, (node, addresses) => {
      const local = addresses.map((a) => parseIpv4(a) as number);
      return machines.nodes.get(node)!.nics.find((d) => d.addrs.some((a) => local.includes(a.local)))?.name;
    });
    this.policies = readPolicies(model, this.hostEndpoints);
    this.ipam = new Ipam(model, this.config.pools);
    this.bird = new Bird(
      model,
      this.config,
      (from, to) => this.#tcpPasses(from, to),
      () => machines.clock.ns,
    );
    for (const n of model.nodes) {
      const machine = machines.nodes.get(n.name)!;
      this.nodes.push(new CalicoNode(n.name, n, machine));
    }
    for (const n of this.nodes) this.#tunnels(n);
    this.#bgpChanged();
    for (const p of model.pods) if (!p.hostNetwork && p.ip4 !== undefined) this.#addPod(p);
    for (const n of this.nodes) this.#felix(n);
    this.hostPorts("k8s-pod-network", (p) => `${p.ip4}/32`);
    this.ownRules();
  }

  // --- what an operator asks and does -----------------------------------------------------------------------------

  /** Pools as they are now. */
  get pools(): readonly IpPool[] {
    return this.#pools;
  }

  /** BGP sessions of a node. */
  sessions(node: string): BgpSession[] {
    return this.bird.sessions(node);
  }

  /** `calicoctl node status`; `startMs` is the wall clock when the cluster was built. */
  nodeStatus(node: string, startMs = 0): string {
    return nodeStatusText(this.bird.sessions(node), this.machines.clock.ns, startMs - this.#startNs / 1e6);
  }

  /** `calicoctl get workloadendpoints` in a namespace. */
  workloadEndpoints(namespace = "default"): string {
    const rows = [...this.pods.values()]
      .filter((s) => s.pod.namespace === namespace)
      .map((s) => [s.pod.name, s.pod.nodeName, `${s.pod.ip4}/32`, s.host.name]);
    const all = [
      ["WORKLOAD", "NODE", "NETWORKS", "INTERFACE"],
      ...rows.sort((a, b) => (a[0]! < b[0]! ? -1 : 1)),
    ];
    const width = [0, 1, 2, 3].map((i) => Math.max(...all.map((r) => r[i]!.length)) + 3);
    // An empty table has no padding behind the last heading.
    if (rows.length === 0) return `${all[0]!.join("   ")}\n`;
    return all.map((r) => `${r.map((c, i) => c.padEnd(width[i]!)).join("")}\n`).join("");
  }

  /** `calicoctl` (node status, get node | ippool | workloadendpoints, apply of a pool's modes), `sv` for BIRD. */
  command(machine: Machine, argv: readonly string[]): CommandResult | null {
    const done = (out: string): CommandResult => ({ rc: 0, out });
    const node = this.nodes.find((n) => n.machine === machine);
    if (argv[0] === "sv" && node !== undefined && ["bird", "/service/bird"].includes(argv[2] ?? "")) {
      const down = argv[1] === "stop" || argv[1] === "down";
      this.setBird(node.name, !down);
      return done(`${down ? "ok: down" : "ok: run"}: ${argv[2]}\n`);
    }
    if (argv[0] !== "calicoctl") return null;
    const [, verb, what = "", ...rest] = argv;
    if (verb === "node" && what === "status") {
      if (node === undefined || !this.bird.speakers.find((s) => s.node === node.name)!.up)
        return { rc: 1, out: "Calico process is not running.\n" };
      return done(this.nodeStatus(node.name));
    }
    if (verb === "get") {
      const wide = rest.includes("wide");
      if (/^(workloadendpoints?|wep)$/.test(what)) {
        const at = Math.max(rest.indexOf("-n"), rest.indexOf("--namespace"));
        return done(this.workloadEndpoints(at < 0 ? "default" : rest[at + 1]));
      }
      if (/^nodes?$/.test(what)) {
        const known = this.bird.speakers.filter((s) => s.registered);
        return done(
          columns(
            wide
              ? [
                  ["NAME", "ASN", "IPV4", "IPV6"],
                  ...known.map((s) => [s.calicoName, `(${s.asNumber})`, this.#withLength(s.node), ""]),
                ]
              : [["NAME"], ...known.map((s) => [s.calicoName])],
          ),
        );
      }
      if (/^(ippools?|ipp)$/.test(what))
        return done(
          columns([
            wide
              ? ["NAME", "CIDR", "NAT", "IPIPMODE", "VXLANMODE", "DISABLED", "DISABLEBGPEXPORT", "SELECTOR"]
              : ["NAME", "CIDR", "SELECTOR"],
            ...this.#pools.map((p) =>
              wide
                ? [
                    p.name,
                    p.cidr,
                    String(p.natOutgoing),
                    p.ipipMode,
                    p.vxlanMode,
                    String(p.disabled),
                    String(p.disableBgpExport),
                    p.nodeSelector,
                  ]
                : [p.name, p.cidr, p.nodeSelector],
            ),
          ]),
        );
    }
    // calicoctl patch ippool NAME -p '{"spec":{"ipipMode":"Never"}}'
    if (verb === "patch" && /^(ippools?|ipp)$/.test(what)) {
      const pool = this.#pools.find((p) => p.name === rest[0]);
      const at = Math.max(rest.indexOf("-p"), rest.indexOf("--patch"));
      if (pool === undefined)
        return { rc: 1, out: `resource does not exist: IPPool(${rest[0] ?? ""}) with error: not found\n` };
      const patch = fields(fields(parseJson(rest[at + 1])).spec);
      const mode = (v: unknown, old: EncapMode): EncapMode =>
        v === "Always" || v === "CrossSubnet" || v === "Never" ? v : old;
      this.setPoolModes(
        pool.name,
        mode(patch.ipipMode, pool.ipipMode),
        mode(patch.vxlanMode, pool.vxlanMode),
      );
      return done("Successfully patched 1 'IPPool' resource\n");
    }
    return { rc: 1, out: `calicoctl: ${argv.slice(1).join(" ")} is not modelled\n` };
  }

  /** A node's address with its prefix length, as calicoctl shows it. */
  #withLength(node: string): string {
    const n = this.nodeOf(node);
    const bits = this.#uplink(n).addrs.find((a) => a.local === parseIpv4(n.address))?.prefixLen ?? 32;
    return `${n.address}/${bits}`;
  }

  /** `calicoctl apply` of a pool with other modes: BIRD and Felix change routes, connections go on. */
  setPoolModes(name: string, ipipMode: EncapMode, vxlanMode: EncapMode): void {
    if (!this.#pools.some((p) => p.name === name))
      throw new PodpathError("USAGE", `there is no pool ${name}`);
    const before = [this.#ipip, this.#vxlan];
    this.#pools = this.#pools.map((p) => (p.name === name ? { ...p, ipipMode, vxlanMode } : p));
    for (const n of this.nodes) this.#tunnels(n);
    for (const n of this.nodes) this.#syncRoutes(n);
    if (this.#ipip !== before[0] || this.#vxlan !== before[1])
      for (const n of this.nodes) this.#felixAgain(n);
  }

  /** Starts or stops BIRD on a node; the others withdraw what they learned from it. */
  setBird(node: string, up: boolean): void {
    this.bird.setUp(node, up);
    this.#bgpChanged();
  }

  /** Sessions note the time of their change, routes follow. */
  #bgpChanged(): void {
    for (const n of this.nodes) {
      this.bird.sessions(n.name);
      this.#syncRoutes(n);
    }
  }

  // --- nodes --------------------------------------------------------------------------------------------------------

  #mode(pool: IpPool): { readonly ipip: EncapMode; readonly vxlan: EncapMode } {
    const now = this.#pools.find((p) => p.name === pool.name) ?? pool;
    return { ipip: now.ipipMode, vxlan: now.vxlanMode };
  }

  get #ipip(): boolean {
    return this.#pools.some((p) => p.ipipMode !== "Never");
  }

  get #vxlan(): boolean {
    return this.#pools.some((p) => p.vxlanMode !== "Never");
  }

  /** Card through which the others reach the node. */
  #uplink(n: CalicoNode) {
    return (
      n.machine.nics.find((d) => d.addrs.some((a) => a.local === parseIpv4(n.address))) ?? n.machine.nics[0]!
    );
  }

  #tunnels(n: CalicoNode): void {
    const nic = this.#uplink(n);
    const address = this.ipam.tunnelAddress.get(n.name);
    if (this.#ipip && n.tunl0 === undefined) {
      // The module comes with Felix, so tunl0 is younger than the uplink.
      const d = ipip_fallback(n.ns);
      d.mtu = this.config.ipipMtu ?? nic.mtu - 20;
      if (address !== undefined) addAddress(d, `${address}/32`);
      linkUp(d);
      n.tunl0 = d;
    }
    if (this.#vxlan && n.vxlan === undefined) {
      const d = new VxlanDevice(n.ns, "vxlan.calico", {
        mac: vtepMac(n.name),
        mtu: this.config.vxlanMtu ?? nic.mtu - 50,
        vni: this.config.vxlanVni,
        local: parseIpv4(n.address),
        link: nic,
        dstport: this.config.vxlanPort,
      });
      if (address !== undefined) addAddress(d, `${address}/32`);
      linkUp(d);
      n.vxlan = d;
    }
  }

  /** Whether TCP gets from one node address to another, as far as the networks between decide it. */
  #tcpPasses(from: string, to: string): boolean {
    const networks = [from, to].map(
      (a) =>
        this.model.nodes
          .flatMap((n) => n.nics)
          .find((nic) => nic.addresses.some((x) => x.split("/")[0] === a))?.network,
    );
    return networks.every(
      (name) => this.model.networks.find((w) => w.name === name)?.dropProtocols.includes(6) !== true,
    );
  }

  /** Whether two nodes have addresses in one subnet, as CrossSubnet compares them. */
  #sameSubnet(a: CalicoNode, b: CalicoNode): boolean {
    const annotated = a.model.annotations["projectcalico.org/IPv4Address"];
    const own =
      annotated ??
      a.model.nics.flatMap((n) => n.addresses).find((x) => x.split("/")[0] === a.address) ??
      a.address;
    let bits = Number(own.split("/")[1] ?? Number.NaN);
    if (Number.isNaN(bits)) {
      const nic = this.#uplink(a);
      bits = nic.addrs.find((x) => x.local === parseIpv4(a.address))?.prefixLen ?? 24;
    }
    return inPrefix(`${a.address}/${bits}`, b.address);
  }

  /** Routes that a node shall have: its own blocks, and those of the nodes that BIRD or Felix know. */
  #wanted(n: CalicoNode): BlockRoute[] {
    const out: BlockRoute[] = [];
    const learned = this.bird.learned(n.name);
    for (const b of this.ipam.blocks) {
      const mode = this.#mode(b.pool);
      if (b.node === n.name) {
        out.push({ to: b.cidr, type: "blackhole", proto: mode.vxlan === "Never" ? PROTO_BIRD : PROTO_FELIX });
        continue;
      }
      const other = this.nodes.find((x) => x.name === b.node);
      const r = other === undefined ? undefined : this.#towards(n, other, b.cidr, b.pool, learned);
      if (r !== undefined) out.push(r);
    }
    for (const b of this.ipam.borrowed) {
      const other = this.nodes.find((x) => x.name === b.node);
      if (other === undefined || other === n) continue;
      const r = this.#towards(n, other, `${b.address}/32`, b.pool, learned);
      if (r !== undefined) out.push(r);
    }
    return out;
  }

  #towards(
    n: CalicoNode,
    other: CalicoNode,
    to: string,
    pool: IpPool,
    learned: ReadonlySet<string>,
  ): BlockRoute | undefined {
    const mode = this.#mode(pool);
    if (mode.vxlan !== "Never") {
      if (mode.vxlan === "CrossSubnet" && this.#sameSubnet(n, other))
        return { to, via: other.address, dev: this.#uplink(n).name, proto: PROTO_FELIX, onlink: true };
      const vtep = this.ipam.tunnelAddress.get(other.name);
      return vtep === undefined ? undefined : { to, via: vtep, dev: "vxlan.calico", onlink: true };
    }
    if (!learned.has(other.name) || pool.disableBgpExport) return undefined;
    if (mode.ipip === "Always" || (mode.ipip === "CrossSubnet" && !this.#sameSubnet(n, other)))
      return { to, via: other.address, dev: "tunl0", proto: PROTO_BIRD, onlink: true };
    // BIRD resolves the next hop itself: a node behind a router is reached through that router.
    const hop = nextHop(n, other.address);
    return hop === undefined ? undefined : { to, ...hop, proto: PROTO_BIRD };
  }

  #syncRoutes(n: CalicoNode): void {
    const wanted = new Map(this.#wanted(n).map((r) => [r.to, r]));
    for (const [to, old] of n.blockRoutes) {
      if (JSON.stringify(wanted.get(to)) === JSON.stringify(old)) continue;
      // Gone already if the operator removed it.
      ip_route(n.ns, [
        "del",
        ...(old.type === undefined ? [] : [old.type]),
        to,
        ...(old.dev === undefined ? [] : ["dev", old.dev]),
      ]);
      n.blockRoutes.delete(to);
    }
    for (const [to, r] of wanted) {
      if (n.blockRoutes.has(to)) continue;
      addRoute(n.ns, {
        to,
        ...(r.type === undefined ? {} : { type: r.type }),
        ...(r.via === undefined ? {} : { via: r.via }),
        ...(r.dev === undefined ? {} : { dev: n.ns.devByName(r.dev)! }),
        ...(r.proto === undefined ? {} : { proto: r.proto }),
        ...(r.onlink === undefined ? {} : { onlink: r.onlink }),
      });
      n.blockRoutes.set(to, r);
    }
    if (n.vxlan === undefined) return;
    for (const other of this.nodes) {
      const vtep = this.ipam.tunnelAddress.get(other.name);
      if (other === n || vtep === undefined) continue;
      neigh_set(n.vxlan, parseIpv4(vtep), vtepMac(other.name));
      n.vxlan.fdbAppend(vtepMac(other.name), parseIpv4(other.address));
    }
  }

  // --- pods ---------------------------------------------------------------------------------------------------------

  /** MTU of a pod: what the operator set, else the uplink's less the largest header in use. */
  #podMtu(n: CalicoNode): number {
    if (this.config.podMtu !== undefined) return this.config.podMtu;
    const nic = this.#uplink(n).mtu;
    if (this.#vxlan) return this.config.vxlanMtu ?? nic - 50;
    return this.#ipip ? (this.config.ipipMtu ?? nic - 20) : nic;
  }

  #addPod(p: PodModel): void {
    const n = this.nodeOf(p.nodeName);
    // Felix knows its devices by their prefix; another name in the scenario is another datapath's.
    const own = p.hostInterface;
    const name = own?.startsWith("cali") === true ? own : vethName(p.namespace, p.name);
    const s: Sandbox = this.machines.sandbox(
      { ...p, hostMac: HOST_MAC },
      n.machine,
      name,
      p.mtu ?? this.#podMtu(n),
      // While the module is loaded every new namespace has a tunl0, down.
      this.#ipip ? { born: (ns) => ipip_fallback(ns) } : {},
    );
    setSysctl(n.ns, `net/ipv4/conf/${name}/proxy_arp`, 1);
    setSysctl(n.ns, `net/ipv4/neigh/${name}/proxy_delay`, 0);
    setSysctl(n.ns, `net/ipv4/conf/${name}/forwarding`, 1);
    setSysctl(n.ns, `net/ipv4/conf/${name}/rp_filter`, 1);
    setSysctl(n.ns, `net/ipv4/conf/${name}/route_localnet`, 1);
    addAddress(s.eth0, `${p.ip4}/32`);
    addRoute(s.ns, { to: "169.254.1.1", dev: s.eth0, scope: "link" });
    addRoute(s.ns, { to: "default", via: "169.254.1.1", dev: s.eth0 });
    addRoute(n.ns, { to: `${p.ip4}/32`, dev: s.host, scope: "link" });
    this.addSandbox(s);
  }

  // --- rules --------------------------------------------------------------------------------------------------------

  /** What Felix writes on a node first, before kube-proxy does. */
  #felix(n: CalicoNode): void {
    const rules = this.#felixRules(n);
    const pools = this.config.pools;
    makeIpset(
      n.ns,
      SET_MASQ_POOLS,
      "hash:net",
      pools.filter((p) => p.natOutgoing).map((p) => p.cidr),
    );
    makeIpset(
      n.ns,
      SET_ALL_POOLS,
      "hash:net",
      pools.map((p) => p.cidr),
    );
    this.#tunnelSets(n);
    this.#thisHostSet(n);
    for (const s of rules.sets) makeIpset(n.ns, s.name, s.type, s.members);
    n.rules(rules.text, "felix");
    n.kubeProxy = installKubeProxy(this.model, n, clusterCidr(this.model));
    n.rules(rules.appended, "felix");
  }

  /** Encapsulation came or went: the rules about tunnels in Felix's own chains; its jumps stay where they are. */
  #felixAgain(n: CalicoNode): void {
    this.#tunnelSets(n);
    this.#thisHostSet(n);
    n.rules(ownChainsOnly(this.#felixRules(n).text), "felix");
    const { sets } = xtNet(n.ns);
    if (!this.#ipip && sets.get(SET_ALL_HOSTS) !== undefined) sets.destroy(SET_ALL_HOSTS);
    if (!this.#vxlan && sets.get(SET_ALL_VXLAN) !== undefined) sets.destroy(SET_ALL_VXLAN);
  }

  #felixRules(n: CalicoNode): FelixRules {
    const workloads: Workload[] = [...this.pods.values()]
      .filter((s) => s.machine === n.machine)
      .map((s) => ({
        interfaceName: s.host.name,
        namespace: s.pod.namespace,
        labels: endpointLabels(
          s.pod,
          this.model.namespaces.find((x) => x.name === s.pod.namespace)?.labels ?? {},
        ),
      }));
    return felixRules(
      {
        config: this.config,
        ipip: this.#ipip,
        vxlan: this.#vxlan,
        workloads,
        kubeIpvs: this.#kubeIpvs,
        hostEndpoints: this.hostEndpoints.filter((h) => h.node === n.name),
      },
      this.policies,
    );
  }

  /** Addresses of the node itself: those of pods' devices and of services are not. */
  #thisHostSet(n: CalicoNode): void {
    if (!this.#kubeIpvs) return;
    const own = n.ns.devOrder.filter((d) => !d.name.startsWith("cali") && d.name !== KUBE_IPVS);
    makeIpset(
      n.ns,
      SET_THIS_HOST,
      "hash:ip",
      own.flatMap((d) => d.addrs.map((a) => formatIpv4(a.local))),
    );
  }

  /** Sets of the hosts that tunnel packets may come from. */
  #tunnelSets(n: CalicoNode): void {
    // A node that lost its name to another is not in the datastore, and so nobody's host.
    const hosts = this.bird.speakers.filter((s) => s.registered).map((s) => s.address);
    if (this.#ipip) makeIpset(n.ns, SET_ALL_HOSTS, "hash:net", hosts);
    if (this.#vxlan)
      makeIpset(
        n.ns,
        SET_ALL_VXLAN,
        "hash:net",
        hosts.filter((a) => a !== n.address),
      );
  }
}

/** A table as calicoctl prints it: three blanks behind the longest cell of each column, the last one too. */
function columns(rows: readonly (readonly string[])[]): string {
  const width = rows[0]!.map((_, i) => Math.max(...rows.map((r) => r[i]!.length)) + 3);
  return rows.map((r) => `${r.map((c, i) => c.padEnd(width[i]!)).join("")}\n`).join("");
}

function parseJson(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    throw new PodpathError("USAGE", `${text ?? ""} is not JSON`);
  }
}

/** How the node's own table leads to an address: by a card, or through a router; undefined: not at all. */
function nextHop(n: CalicoNode, address: string): { via: string; dev: string } | undefined {
  for (const nic of n.machine.nics) {
    for (const a of n.model.nics.find((x) => x.name === nic.name)?.addresses ?? []) {
      const bits = nic.addrs.find((x) => x.local === parseIpv4(a.split("/")[0]!))?.prefixLen;
      if (bits !== undefined && inPrefix(`${a.split("/")[0]}/${bits}`, address))
        return { via: address, dev: nic.name };
    }
  }
  if (n.model.gateway === undefined) return undefined;
  return { via: n.model.gateway, dev: n.machine.nics[0]!.name };
}

/** MAC of a node's vxlan.calico: `f` (0x66) and the first five bytes of the SHA-1 of its name. */
function vtepMac(node: string): Uint8Array {
  return Uint8Array.of(0x66, ...sha1(node).subarray(0, 5));
}
