// The physical NIC of a machine and what it is plugged into: a cable to another NIC, or a learning switch.
// Nothing but the frame (and the id of the walk) crosses a wire: marks, conntrack, hashes stay on the machine.

import type { Timer } from "../base/clock.js";
import type { Skb } from "../bpf/skb.js";
import { netif_rx } from "./dev.js";
import {
  ETH_HLEN,
  IFF_UP,
  NetDevice,
  RX_BYTES,
  RX_DROPPED,
  RX_PACKETS,
  TX_BYTES,
  TX_DROPPED,
  TX_PACKETS,
} from "./device.js";
import * as R from "./drop_reason.js";
import { eth_type_trans } from "./eth.js";
import { skb_get_hash } from "./flow_dissector.js";
import type { Kernel } from "./kernel.js";
import { kfree_skb_reason, skb_copy } from "./skbuff.js";
import type { VethEnd } from "./veth.js";

/** What NICs are plugged into. */
export interface Medium {
  /** Takes the frame. */
  transmit(from: WireDevice, skb: Skb): void;
  plug(nic: WireDevice): void;
}

/** Decides whether a frame is lost between two NICs (cable fault, cloud firewall). True: lost. */
export type Fault = (skb: Skb, from: WireDevice, to: WireDevice) => boolean;

export class WireDevice extends NetDevice {
  override readonly kind = "wire";
  medium: Medium | null = null;
  /** CPU that handles received packets; -1 = receive hashing chooses. */
  rxCpu = -1;
  /** True: the NIC leaves its flow hash in skb->hash. */
  rxHash = false;

  constructor(end: VethEnd) {
    super(end.ns, end.name, end.ifindex ?? 0);
    this.setMac(end.mac);
    this.mtu = end.mtu ?? 1500;
  }

  plug(medium: Medium): this {
    this.medium = medium;
    medium.plug(this);
    return this;
  }

  override xmit(skb: Skb): number {
    const m = this.medium;
    const len = skb.tail - skb.data;
    if (m === null || len > this.mtu + ETH_HLEN + 4) {
      this.stats[TX_DROPPED]!++;
      kfree_skb_reason(this.ns, skb, R.NOT_SPECIFIED);
      return 0;
    }
    this.stats[TX_PACKETS]!++;
    this.stats[TX_BYTES]! += len;
    m.transmit(this, skb);
    return 0;
  }

  /** The frame arrives here. */
  arrive(skb: Skb): void {
    const ns = this.ns;
    const len = skb.tail - skb.data;
    if (skb.nfct !== null) skb.nfct = null;
    skb.mark = 0;
    skb.priority = 0;
    skb.hash = 0;
    skb.ipcb = 0;
    skb.fragMaxSize = 0;
    skb.frags = null;
    skb.dstConfirm = false;
    skb.dst = null;
    skb.sk = null;
    skb.queueMapping = 0;
    skb.tcIndex = 0;
    skb.tcClassid = 0;
    skb.ingressIfindex = 0;
    skb.tstamp[0] = 0;
    if (skb.tunnel.present) skb.tunnel.clear();
    for (let i = 0; i < 5; i++) skb.cb[i] = 0;
    if ((this.flags & IFF_UP) === 0 || len > this.mtu + ETH_HLEN + 4) {
      this.stats[RX_DROPPED]!++;
      kfree_skb_reason(ns, skb, R.DEV_READY);
      return;
    }
    this.stats[RX_PACKETS]!++;
    this.stats[RX_BYTES]! += len;
    eth_type_trans(skb, this);
    const k = ns.kernel;
    if (this.rxCpu >= 0) k.cpu = this.rxCpu;
    else {
      k.cpu = k.cpus > 1 ? (skb_get_hash(skb) >>> 0) % k.cpus : 0;
      if (!this.rxHash) skb.hash = 0;
    }
    netif_rx(skb);
  }
}

/** Frames under way on a medium with latency: one timer at a time, frames in order. */
class DelayLine {
  readonly #skbs: Skb[] = [];
  readonly #to: WireDevice[] = [];
  readonly #due: number[] = [];
  #timer: Timer | null = null;

  constructor(
    private readonly k: Kernel,
    private readonly latencyNs: number,
  ) {}

  send(skb: Skb, to: WireDevice): void {
    this.#skbs.push(skb);
    this.#to.push(to);
    this.#due.push(this.k.clock.ns + this.latencyNs);
    this.#arm();
  }

  #arm(): void {
    if (this.#timer !== null || this.#due.length === 0) return;
    this.#timer = this.k.timers.at(this.#due[0]!, () => {
      this.#timer = null;
      const w = this.k.world;
      w.enter();
      while (this.#due.length > 0 && this.#due[0]! <= this.k.clock.ns) {
        this.#due.shift();
        this.#to.shift()!.arrive(this.#skbs.shift()!);
      }
      w.leave();
      this.#arm();
    });
  }
}

/** A cable between two NICs. */
export class Cable implements Medium {
  readonly ends: WireDevice[] = [];
  fault: Fault | null = null;
  #line: DelayLine | null = null;

  /** `latencyNs` of virtual time in each direction. */
  constructor(readonly latencyNs = 0) {}

  plug(nic: WireDevice): void {
    this.ends.push(nic);
  }

  transmit(from: WireDevice, skb: Skb): void {
    const to = this.ends[0] === from ? this.ends[1] : this.ends[0];
    if (to === undefined || this.fault?.(skb, from, to)) {
      kfree_skb_reason(from.ns, skb, R.NOT_SPECIFIED);
      return;
    }
    if (this.latencyNs === 0) {
      to.arrive(skb);
      return;
    }
    this.#line ??= new DelayLine(from.ns.kernel, this.latencyNs);
    this.#line.send(skb, to);
  }
}

/** A learning Ethernet switch without STP; entries do not age while the lab runs. */
export class Switch implements Medium {
  readonly ports: WireDevice[] = [];
  fault: Fault | null = null;
  readonly #fdb = new MacTable();
  #line: DelayLine | null = null;

  constructor(readonly latencyNs = 0) {}

  plug(nic: WireDevice): void {
    this.ports.push(nic);
  }

  transmit(from: WireDevice, skb: Skb): void {
    if (skb.tail - skb.data < 14) {
      kfree_skb_reason(from.ns, skb, R.HDR_TRUNC);
      return;
    }
    const v = skb.view;
    const d = skb.data;
    const source = v.getUint16(d + 6, false);
    if ((source & 0x0100) === 0) this.#fdb.learn(source, v.getInt32(d + 8, false), from);
    const to =
      (skb.bytes[d]! & 1) !== 0 ? null : this.#fdb.find(v.getUint16(d, false), v.getInt32(d + 2, false));
    if (to !== null) {
      if (to === from || this.fault?.(skb, from, to)) kfree_skb_reason(from.ns, skb, R.NOT_SPECIFIED);
      else this.#deliver(skb, from, to);
      return;
    }
    const k = from.ns.kernel;
    let last: WireDevice | null = null;
    for (let i = 0; i < this.ports.length; i++) {
      const p = this.ports[i]!;
      if (p === from || this.fault?.(skb, from, p)) continue;
      if (last !== null) this.#deliver(skb_copy(k, skb), from, last);
      last = p;
    }
    if (last === null) kfree_skb_reason(from.ns, skb, R.NOT_SPECIFIED);
    else this.#deliver(skb, from, last);
  }

  #deliver(skb: Skb, from: WireDevice, to: WireDevice): void {
    if (this.latencyNs === 0) {
      to.arrive(skb);
      return;
    }
    this.#line ??= new DelayLine(from.ns.kernel, this.latencyNs);
    this.#line.send(skb, to);
  }
}

/** Ports by MAC address, given as its first two bytes and its last four: open addressing, at most half full. */
class MacTable {
  #hi = new Int32Array(16);
  #lo = new Int32Array(16);
  #ports: (WireDevice | null)[] = new Array(16).fill(null);
  #count = 0;

  find(hi: number, lo: number): WireDevice | null {
    return this.#ports[this.#slot(hi, lo)]!;
  }

  learn(hi: number, lo: number, port: WireDevice): void {
    const i = this.#slot(hi, lo);
    const known = this.#ports[i]!;
    if (known === port) return;
    this.#ports[i] = port;
    if (known !== null) return;
    this.#hi[i] = hi;
    this.#lo[i] = lo;
    if (++this.#count * 2 > this.#ports.length) this.#grow();
  }

  /** Where the address is or would be. */
  #slot(hi: number, lo: number): number {
    const ports = this.#ports;
    const mask = ports.length - 1;
    let i = (Math.imul(lo ^ Math.imul(hi, 0x85ebca6b), 0x9e3779b1) >>> 16) & mask;
    while (ports[i] !== null && (this.#lo[i] !== lo || this.#hi[i] !== hi)) i = (i + 1) & mask;
    return i;
  }

  #grow(): void {
    const [hi, lo, ports] = [this.#hi, this.#lo, this.#ports];
    this.#hi = new Int32Array(2 * hi.length);
    this.#lo = new Int32Array(2 * hi.length);
    this.#ports = new Array(2 * hi.length).fill(null);
    ports.forEach((p, k) => {
      if (p === null) return;
      const i = this.#slot(hi[k]!, lo[k]!);
      this.#hi[i] = hi[k]!;
      this.#lo[i] = lo[k]!;
      this.#ports[i] = p;
    });
  }
}
