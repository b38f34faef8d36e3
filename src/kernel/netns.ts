// A network namespace (struct net): devices, sysctls, routing, neighbours, sockets, netfilter state and counters.

import type { StepRecorder } from "../bpf/steps.js";
import { NeighParms, type NetDevice } from "./device.js";
import { Fib } from "./fib.js";
import type { InetPeer } from "./inetpeer.js";
import type { IpFragQueues } from "./ip_fragment.js";
import type { Fib6 } from "./ipv6/fib6.js";
import type { Kernel } from "./kernel.js";
import { LoopbackDevice } from "./loopback.js";
import type { NfState } from "./netfilter/hooks.js";
import { InputCache } from "./route.js";
import { Mib } from "./snmp.js";
import { SocketTable } from "./sock.js";
import { IpConf, Sysctl } from "./sysctl.js";
import type { Xfrm } from "./xfrm/xfrm.js";

/** Handles every use of a packet that leaves in a namespace of its own. */
export class Netns {
  /** Devices by ifindex; holes are null. Index 1 is lo. */
  readonly devs: (NetDevice | null)[] = [null];
  readonly #byName = new Map<string, NetDevice>();
  /** Devices in the order in which they came into the namespace (decides source addresses). */
  readonly devOrder: NetDevice[] = [];
  readonly sysctl = new Sysctl();
  /** net.ipv4.conf.all and .default. */
  readonly confAll = new IpConf();
  readonly confDefault = new IpConf();
  /** net.ipv4.neigh.default, net.ipv6.neigh.default. */
  readonly neighDefault = new NeighParms();
  readonly neigh6Default = new NeighParms();
  readonly fib: Fib;
  /** IPv6 routes; null until a device gets an IPv6 address. */
  fib6: Fib6 | null = null;
  /** In front of ip_route_input. */
  readonly inputCache = new InputCache();
  readonly sockets: SocketTable;
  /** Counters, by Mib. */
  readonly mib = new Float64Array(Mib.Count);
  /** Dropped packets, by reason (drop_reason.ts). */
  readonly drops = new Float64Array(64);
  /** Rules, conntrack, NAT, IPVS: owned by netfilter/; null until something needs it. */
  nf: NfState | null = null;
  /**
   * What this host's own IPv6 packets have as mark when they leave the OUTPUT hook, by what they had before: there is no
   * netfilter for IPv6, so of an ip6tables OUTPUT chain only its effect on the mark can be had. Null: nothing.
   */
  outputMark6: ((mark: number) => number) | null = null;
  /** IPsec states and policies; null until something needs them. */
  xfrm: Xfrm | null = null;
  /** Where walks are recorded, or null. */
  recorder: StepRecorder | null = null;
  /** Per-destination state of ICMP limits (inetpeer), by Be32. */
  readonly peers = new Map<number, InetPeer>();
  /** Reassembly queues; made with the first fragment. */
  frags: IpFragQueues | null = null;
  /** net_cookie of helpers. */
  readonly cookie: number;
  readonly lo: LoopbackDevice;
  /** Changes whenever a cached route may have become wrong. */
  rtGenid = 0;
  /** Secret of IP id generation and hashes. */
  readonly hashSecret: number;

  constructor(
    readonly kernel: Kernel,
    readonly id: number,
    readonly name: string,
  ) {
    this.cookie = id;
    this.hashSecret = kernel.prng.nextInt32();
    this.fib = new Fib(this);
    this.sockets = new SocketTable(this);
    this.lo = new LoopbackDevice(this);
  }

  /** Puts a device into the namespace; ifindex is the next free one, or the one asked for. */
  register(dev: NetDevice, ifindex = 0): number {
    let i = ifindex;
    if (i === 0) {
      i = 1;
      while (this.devs[i] != null) i++;
    }
    while (this.devs.length <= i) this.devs.push(null);
    this.devs[i] = dev;
    this.#byName.set(dev.name, dev);
    this.devOrder.push(dev);
    return i;
  }

  /** Takes a device out. */
  unregister(dev: NetDevice): void {
    this.devs[dev.ifindex] = null;
    this.#byName.delete(dev.name);
    const at = this.devOrder.indexOf(dev);
    if (at >= 0) this.devOrder.splice(at, 1);
  }

  /** Sysctls of parts that attach themselves (netfilter, IPVS), by path; values as text. */
  readonly extraSysctls = new Map<string, (value: string) => void>();

  /** Writes such a sysctl; false when nobody knows it. */
  sysctlExtra(path: string, value: string): boolean {
    const f = this.extraSysctls.get(path);
    if (f === undefined) return false;
    f(value);
    return true;
  }

  /** dev_get_by_index. */
  dev(ifindex: number): NetDevice | null {
    return ifindex > 0 && ifindex < this.devs.length ? this.devs[ifindex]! : null;
  }

  /** dev_get_by_name. */
  devByName(name: string): NetDevice | null {
    return this.#byName.get(name) ?? null;
  }
}
