// The hardware under a cluster, and what a container runtime adds: nodes with their NICs on switches, hosts outside
// the cluster, a namespace and a veth or netkit pair for each pod. Which addresses and routes a pod gets, and what is
// attached to its pair, is the control plane's business.

import type { VirtualClock } from "../base/clock.js";
import { TimerQueue } from "../base/clock.js";
import { isPodpathError, PodpathError, type SourcePosition } from "../base/errors.js";
import { Prng } from "../base/prng.js";
import type { NetDevice } from "../kernel/device.js";
import { Kernel, World } from "../kernel/kernel.js";
import { NetkitDevice } from "../kernel/netkit.js";
import type { Netns } from "../kernel/netns.js";
import { buildTopology, type NetnsHook, type TopoNetns } from "../kernel/topology.js";
import { VethDevice } from "../kernel/veth.js";
import { type Fault, Switch, WireDevice } from "../kernel/wire.js";
import { formatIpv4, nthOf4, parseIp, parseIpv4, parseMac } from "../net/address.js";
import type {
  ClusterModel,
  HostModel,
  NicModel,
  NodeModel,
  PodModel,
  PositionOf,
  TopologyModel,
} from "./model.js";
import { addAddress, addRoute, linkUp, makeIpset, restoreIptables, setSysctl } from "./netcfg.js";

/** What a topology says of a namespace beyond devices and routes. */
interface TopoRules extends TopoNetns {
  readonly iptables?: string;
  readonly ipset?: readonly {
    readonly name: string;
    readonly type: string;
    readonly members: readonly string[];
  }[];
}

/** A node or a host outside the cluster. */
export class Machine {
  readonly nics: WireDevice[] = [];
  /** Namespaces that an operator made there (`ip netns`), by name. */
  readonly netns = new Map<string, Netns>();

  constructor(
    readonly name: string,
    readonly kernel: Kernel,
    /** The namespace that the machine starts with. */
    readonly ns: Netns,
    /** Undefined for a host outside the cluster. */
    readonly node: NodeModel | undefined,
  ) {}
}

/** Kinds of pairs that lead into a pod; `netkit` is L3. */
export type PodDevice = "veth" | "netkit" | "netkit-l2";

/** A pod's namespace and its pair of devices. */
export class Sandbox {
  constructor(
    readonly pod: PodModel,
    readonly machine: Machine,
    readonly ns: Netns,
    /** eth0 in the pod. */
    readonly eth0: NetDevice,
    /** The host side. */
    readonly host: NetDevice,
  ) {}
}

/** The clock, the machines and the wires of one lab. */
export class Machines {
  readonly timers: TimerQueue;
  readonly world = new World();
  readonly nodes = new Map<string, Machine>();
  readonly hosts = new Map<string, Machine>();
  readonly networks = new Map<string, Switch>();
  /** All namespaces by number. */
  readonly namespaces: Netns[] = [];
  #nextNetns = 1;

  constructor(
    readonly clock: VirtualClock,
    readonly prng: Prng,
  ) {
    this.timers = new TimerQueue(clock);
  }

  /** Builds networks, nodes and outside hosts. Throws SCENARIO_INVALID when the wiring makes no sense. */
  build(model: ClusterModel): void {
    for (const n of model.networks) {
      const sw = new Switch();
      if (n.dropProtocols.length > 0) sw.fault = protocolFilter(n.dropProtocols);
      this.networks.set(n.name, sw);
    }
    for (const n of model.nodes) {
      const prefix = model.networks.find((w) => w.name === (n.nics[0]?.network ?? "lan"))?.cidr;
      const m = this.#machine(n.name, n.cpus, n.nics, n, prefix);
      this.#gateways(m, n, n.wiringPosOf ?? n.posOf);
      setSysctl(m.ns, "net/ipv4/ip_forward", 1);
      setSysctl(m.ns, "net/ipv6/conf/all/forwarding", 1);
      for (const [k, v] of Object.entries(n.sysctls))
        at(n.wiringPosOf?.(["spec", "sysctls", k]), () => setSysctl(m.ns, k.replaceAll(".", "/"), v));
      this.nodes.set(n.name, m);
    }
    for (const h of model.hosts) this.hosts.set(h.name, this.#host(h, model));
    for (const t of model.topologies ?? []) this.hosts.set(t.name, this.#topology(t));
    for (const n of model.networks) {
      if (n.gateway === undefined || this.#hasAddress(n.gateway)) continue;
      // The network's own router: forwards between the networks that name one, and ends the walk otherwise.
      const usual = n.gateway.includes(":") ? 64 : 24;
      const bits = n.cidr === undefined ? usual : Number(n.cidr.split("/")[1]);
      const nic: NicModel = {
        name: "eth0",
        mac: undefined,
        addresses: [`${n.gateway}/${bits}`],
        network: n.name,
        mtu: 1500,
        rxCpu: undefined,
        ifindex: undefined,
      };
      const gw = this.#machine(`gateway-${n.name}`, 1, [nic], undefined, n.cidr);
      setSysctl(gw.ns, "net/ipv4/ip_forward", 1);
      setSysctl(gw.ns, "net/ipv6/conf/all/forwarding", 1);
      this.hosts.set(gw.name, gw);
    }
  }

  #host(h: HostModel, model: ClusterModel): Machine {
    const prefix = model.networks.find((w) => w.name === h.nics[0]!.network)?.cidr;
    const m = this.#machine(h.name, 1, h.nics, undefined, prefix);
    this.#gateways(m, h, h.posOf);
    h.routes.forEach((r, i) => {
      at(h.posOf?.(["spec", "routes", i, "via"]), () => addRoute(m.ns, { to: r.to, via: r.via }));
    });
    if (h.router) {
      setSysctl(m.ns, "net/ipv4/ip_forward", 1);
      setSysctl(m.ns, "net/ipv6/conf/all/forwarding", 1);
    }
    return m;
  }

  /** A machine whose namespaces are those of a topology; the machine's own one stays empty. */
  #topology(t: TopologyModel): Machine {
    const m = this.#machine(t.name, 1, [], undefined, undefined);
    const hook: NetnsHook = (name, ns, netns) => {
      const spec = netns as TopoRules;
      for (const set of spec.ipset ?? []) makeIpset(ns, set.name, set.type, set.members);
      if (spec.iptables !== undefined) restoreIptables(ns, spec.iptables, `iptables of ${t.name}/${name}`);
    };
    try {
      const built = buildTopology(m.kernel, t.spec, hook, () => this.#nextNetns++);
      for (const [name, ns] of built.ns) {
        this.namespaces[ns.id] = ns;
        m.netns.set(name, ns);
      }
    } catch (e) {
      if (!isPodpathError(e) || e.position !== undefined) throw e;
      throw new PodpathError("SCENARIO_INVALID", `Topology ${t.name}: ${e.message}`, t.pos);
    }
    return m;
  }

  #machine(
    name: string,
    cpus: number,
    nics: readonly NicModel[],
    node: NodeModel | undefined,
    networkCidr: string | undefined,
  ): Machine {
    const kernel = new Kernel({
      name,
      clock: this.clock,
      timers: this.timers,
      prng: new Prng(this.prng.nextInt32()),
      world: this.world,
      cpus,
    });
    const ns = kernel.addNetns(name, this.#nextNetns++);
    this.namespaces[ns.id] = ns;
    const m = new Machine(name, kernel, ns, node);
    linkUp(ns.lo);
    for (const n of nics) {
      const dev = new WireDevice({
        ns,
        name: n.name,
        mac: n.mac === undefined ? this.newMac() : parseMac(n.mac),
        mtu: n.mtu,
        ...(n.ifindex === undefined ? {} : { ifindex: n.ifindex }),
      });
      if (n.rxCpu !== undefined) dev.rxCpu = n.rxCpu;
      dev.plug(this.network(n.network));
      m.nics.push(dev);
      for (const a of n.addresses)
        addAddress(dev, a.includes("/") ? a : `${a}/${prefixLength(a, networkCidr)}`, n.metric);
      linkUp(dev);
    }
    return m;
  }

  /** Default routes of a node or host. */
  #gateways(m: Machine, of: NodeModel | HostModel, posOf: PositionOf | undefined): void {
    const metric = of.nics[0]?.metric;
    for (const k of ["gateway", "gatewayIPv6"] as const) {
      const via = of[k];
      if (via === undefined) continue;
      at(posOf?.(["spec", k]), () =>
        addRoute(m.ns, { to: "default", via, ...(metric === undefined ? {} : { metric }) }),
      );
    }
  }

  /** The switch of a name; made when first asked for. */
  network(name: string): Switch {
    let sw = this.networks.get(name);
    if (sw === undefined) {
      sw = new Switch();
      this.networks.set(name, sw);
    }
    return sw;
  }

  /**
   * Makes a pod's namespace with its pair of devices, both ends up, without addresses and routes. `born` sees the
   * namespace before the pair comes.
   */
  sandbox(
    pod: PodModel,
    machine: Machine,
    hostName: string,
    mtu: number,
    o: { readonly born?: (ns: Netns) => void; readonly device?: PodDevice } = {},
  ): Sandbox {
    const ns = machine.kernel.addNetns(`pod/${pod.namespace}/${pod.name}`, this.#nextNetns++);
    this.namespaces[ns.id] = ns;
    o.born?.(ns);
    linkUp(ns.lo);
    // Drawn for an L3 pair too, which has none: a lab with other pairs then differs in nothing else.
    const hostEnd = {
      ns: machine.ns,
      name: hostName,
      mac: pod.hostMac === undefined ? this.newMac() : parseMac(pod.hostMac),
      mtu,
      ...(pod.hostIfindex === undefined ? {} : { ifindex: pod.hostIfindex }),
    };
    const podEnd = {
      ns,
      name: "eth0",
      mac: pod.mac === undefined ? this.newMac() : parseMac(pod.mac),
      mtu,
      ...(pod.podIfindex === undefined ? {} : { ifindex: pod.podIfindex }),
    };
    // The identity in the mark must reach the primary's program; what a pod marks itself must not leave it. Nothing leaves
    // a pod before its program is attached.
    const [host, eth0] =
      o.device === undefined || o.device === "veth"
        ? VethDevice.pair(hostEnd, podEnd)
        : NetkitDevice.pair(
            o.device === "netkit" ? "l3" : "l2",
            { ...hostEnd, policy: "forward", scrub: "none" },
            { ...podEnd, policy: "blackhole", scrub: "default" },
          );
    linkUp(host);
    linkUp(eth0);
    return new Sandbox(pod, machine, ns, eth0, host);
  }

  /** `ip netns add`. */
  addNetns(machine: Machine, name: string): Netns {
    const ns = machine.kernel.addNetns(`netns/${machine.name}/${name}`, this.#nextNetns++);
    this.namespaces[ns.id] = ns;
    machine.netns.set(name, ns);
    return ns;
  }

  /** A locally administered unicast MAC from the lab's seed. */
  newMac(): Uint8Array {
    const mac = new Uint8Array(6);
    const a = this.prng.nextInt32();
    const b = this.prng.nextInt32();
    for (let i = 0; i < 4; i++) mac[i] = a >>> (8 * i);
    mac[4] = b;
    mac[5] = b >>> 8;
    mac[0] = (mac[0]! & 0xfc) | 2;
    return mac;
  }

  #hasAddress(text: string): boolean {
    const a = parseIp(text);
    for (const { ns } of [...this.nodes.values(), ...this.hosts.values()]) {
      const mine =
        a.family === 4
          ? ns.fib.isLocalAddr(a.addr)
          : ns.fib6 !== null && ns.fib6.localDev(a.addr, 0) !== null;
      if (mine) return true;
    }
    return false;
  }
}

/** Does what one field of the scenario asks for; an error without a position gets the field's. */
function at(position: SourcePosition | undefined, does: () => void): void {
  try {
    does();
  } catch (e) {
    if (!isPodpathError(e) || e.position !== undefined) throw e;
    throw new PodpathError(e.code, e.message, position);
  }
}

/** Prefix length of an address that is written without: its network's, where that has the family. */
function prefixLength(address: string, networkCidr: string | undefined): string {
  const v6 = address.includes(":");
  if (networkCidr !== undefined && networkCidr.includes(":") === v6) return networkCidr.split("/")[1]!;
  return v6 ? "64" : "24";
}

/** Loses IPv4 packets of the given protocols between two NICs: a cloud firewall that does not know IPIP. */
function protocolFilter(protocols: readonly number[]): Fault {
  const drop = new Uint8Array(256);
  for (const p of protocols) drop[p] = 1;
  return (skb) => {
    const d = skb.data;
    return (
      skb.tail - d >= 34 && skb.view.getUint16(d + 12, false) === 0x0800 && drop[skb.bytes[d + 23]!] === 1
    );
  };
}

/** The n-th address of a prefix as text: `10.0.1.0/24`, 1 -> `10.0.1.1`. Throws ADDRESS_INVALID for a bad prefix. */
export function nthAddress(cidr: string, n: number): string {
  const [a, bits] = cidr.split("/");
  if (a === undefined || bits === undefined)
    throw new PodpathError("ADDRESS_INVALID", `"${cidr}" is not a subnet`);
  return formatIpv4(nthOf4(parseIpv4(a), Number(bits), n));
}
