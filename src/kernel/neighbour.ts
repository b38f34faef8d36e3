// net/core/neighbour.c: from a next hop to a link-layer address; states and timers on the virtual clock.
//
//   NONE -> INCOMPLETE -(answer)-> REACHABLE -(time)-> STALE -(used)-> DELAY -(5 s)-> PROBE -> REACHABLE | FAILED
//
// Differs from the kernel: entries are not garbage collected (the kernel starts with 128 entries).

import type { Timer } from "../base/clock.js";
import type { Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import { arp_constructor, arp_error_report, arp_solicit } from "./arp.js";
import { dev_queue_xmit } from "./dev.js";
import type { NeighParms, NetDevice } from "./device.js";
import * as R from "./drop_reason.js";
import { ndisc_constructor, ndisc_error_report, ndisc_solicit } from "./ipv6/ndisc.js";
import { kfree_skb_reason } from "./skbuff.js";
import { jiffyNs, wheelTimer } from "./timer_wheel.js";

export const NUD_NONE = 0;
export const NUD_INCOMPLETE = 1;
export const NUD_REACHABLE = 2;
export const NUD_STALE = 4;
export const NUD_DELAY = 8;
export const NUD_PROBE = 0x10;
export const NUD_FAILED = 0x20;
export const NUD_NOARP = 0x40;
export const NUD_PERMANENT = 0x80;
export const NUD_IN_TIMER = NUD_INCOMPLETE | NUD_REACHABLE | NUD_DELAY | NUD_PROBE;
export const NUD_VALID = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;
export const NUD_CONNECTED = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE;

export const NEIGH_UPDATE_F_OVERRIDE = 1;
export const NEIGH_UPDATE_F_WEAK_OVERRIDE = 2;
export const NEIGH_UPDATE_F_ADMIN = 4;

const CONFIRMED = 0;
const UPDATED = 1;
const USED = 2;

/** struct neighbour; of ARP (family 4) or NDP (family 6). */
export class Neighbour {
  readonly ha = new Uint8Array(6);
  state = NUD_NONE;
  probes = 0;
  isRouter = false;
  /** neigh->hh: its Ethernet header has been made, by the first packet that was sent to it. */
  hh = false;
  #head: Skb | null = null;
  #tail: Skb | null = null;
  #queueBytes = 0;
  #timer: Timer | null = null;
  /** confirmed, updated, used in ns; doubles in a typed array are not boxed. */
  readonly #t = new Float64Array(3);
  readonly #onTimer = (): void => this.#timerHandler();

  constructor(
    readonly dev: NetDevice,
    /** Be32 of an ARP entry. */
    readonly ip: number,
    /** 16 bytes of an NDP entry. */
    readonly ip6: Uint8Array | null,
  ) {
    const now = this.#now();
    this.#t[UPDATED] = now;
    this.#t[USED] = now;
    this.#t[CONFIRMED] = now - this.parms.base_reachable_time * 2e6;
    if (ip6 === null) arp_constructor(this);
    else ndisc_constructor(this);
  }

  get parms(): NeighParms {
    return this.ip6 === null ? this.dev.arpParms : this.dev.ndParms;
  }

  /** When the entry last changed, ns. */
  get updatedNs(): number {
    return this.#t[UPDATED]!;
  }

  /** Packets that wait. */
  get queued(): number {
    let n = 0;
    for (let s = this.#head; s !== null; s = s.next) n++;
    return n;
  }

  /** dst_confirm: traffic proves that the neighbour answers. */
  confirm(): void {
    this.#t[CONFIRMED] = this.#now();
  }

  #now(): number {
    return jiffyNs(this.dev.ns.kernel.clock.ns);
  }

  #arm(atNs: number): void {
    this.#disarm();
    this.#timer = wheelTimer(this.dev.ns.kernel.timers, atNs, this.#onTimer);
  }

  #disarm(): void {
    if (this.#timer !== null) {
      this.#timer.cancel();
      this.#timer = null;
    }
  }

  /**
   * neigh_event_send: true when the packet can go now; otherwise it was queued (or dropped). Without a packet the
   * address is only asked for.
   */
  eventSend(skb: Skb | null): boolean {
    this.#t[USED] = this.#now();
    if ((this.state & (NUD_CONNECTED | NUD_DELAY | NUD_PROBE)) !== 0) return true;
    return this.#eventSend(skb);
  }

  #eventSend(skb: Skb | null): boolean {
    const p = this.parms;
    const now = this.#now();
    let probe = false;
    if ((this.state & (NUD_STALE | NUD_INCOMPLETE)) === 0) {
      if (p.mcast_solicit + p.app_solicit === 0) {
        this.state = NUD_FAILED;
        this.#t[UPDATED] = now;
        if (skb !== null) kfree_skb_reason(this.dev.ns, skb, R.NEIGH_FAILED);
        return false;
      }
      this.probes = p.ucast_solicit;
      this.state = NUD_INCOMPLETE;
      this.#t[UPDATED] = now;
      this.#arm(now + Math.max(p.retrans_time, 10) * 1e6);
      probe = true;
    } else if (this.state === NUD_STALE) {
      this.state = NUD_DELAY;
      this.#t[UPDATED] = now;
      this.#arm(now + p.delay_first_probe_time * 1e9);
    }
    if (this.state !== NUD_INCOMPLETE) return true;
    if (skb !== null) this.#enqueue(skb);
    if (probe) this.#probe();
    return false;
  }

  #enqueue(skb: Skb): void {
    const p = this.parms;
    const size = truesize(skb);
    while (this.#head !== null && this.#queueBytes + size > p.unres_qlen_bytes) {
      const old = this.#dequeue()!;
      kfree_skb_reason(this.dev.ns, old, R.NEIGH_QUEUEFULL);
    }
    skb.next = null;
    if (this.#tail === null) this.#head = skb;
    else this.#tail.next = skb;
    this.#tail = skb;
    this.#queueBytes += size;
  }

  #dequeue(): Skb | null {
    const skb = this.#head;
    if (skb === null) return null;
    this.#head = skb.next;
    if (this.#head === null) this.#tail = null;
    skb.next = null;
    this.#queueBytes -= truesize(skb);
    return skb;
  }

  /** neigh_probe: one request; the newest waiting packet may lend its source address. */
  #probe(): void {
    const skb = this.#tail;
    if (this.ip6 === null) arp_solicit(this, skb);
    else ndisc_solicit(this, skb);
    this.probes++;
  }

  #maxProbes(): number {
    const p = this.parms;
    return p.ucast_solicit + p.app_solicit + (this.state === NUD_PROBE ? p.mcast_resolicit : p.mcast_solicit);
  }

  /** neigh_timer_handler. */
  #timerHandler(): void {
    this.#timer = null;
    const p = this.parms;
    const now = this.#now();
    const state = this.state;
    if ((state & NUD_IN_TIMER) === 0) return;
    const w = this.dev.ns.kernel.world;
    let next: number;
    const retrans = Math.max(p.retrans_time, 10) * 1e6;
    const delay = p.delay_first_probe_time * 1e9;
    if (state === NUD_REACHABLE) {
      if (now < this.#t[CONFIRMED]! + reachableNs(this)) next = this.#t[CONFIRMED]! + reachableNs(this);
      else if (now < this.#t[USED]! + delay) {
        this.state = NUD_DELAY;
        this.#t[UPDATED] = now;
        next = now + delay;
      } else {
        this.state = NUD_STALE;
        this.#t[UPDATED] = now;
        return;
      }
    } else if (state === NUD_DELAY) {
      if (now < this.#t[CONFIRMED]! + delay) {
        this.state = NUD_REACHABLE;
        this.#t[UPDATED] = now;
        next = this.#t[CONFIRMED]! + reachableNs(this);
      } else {
        this.state = NUD_PROBE;
        this.#t[UPDATED] = now;
        this.probes = 0;
        next = now + retrans;
      }
    } else next = now + retrans;
    w.enter();
    if ((this.state & (NUD_INCOMPLETE | NUD_PROBE)) !== 0 && this.probes >= this.#maxProbes()) {
      this.state = NUD_FAILED;
      this.#t[UPDATED] = now;
      this.#invalidate();
      w.leave();
      return;
    }
    this.#arm(Math.max(next, now + 1e7));
    if ((this.state & (NUD_INCOMPLETE | NUD_PROBE)) !== 0) this.#probe();
    w.leave();
  }

  /** neigh_invalidate: everybody who waited is told. */
  #invalidate(): void {
    for (;;) {
      const skb = this.state === NUD_FAILED ? this.#dequeue() : null;
      if (skb === null) break;
      if (this.ip6 === null) arp_error_report(this, skb);
      else ndisc_error_report(this, skb);
    }
    this.#purge(R.NEIGH_FAILED);
  }

  #purge(reason: number): void {
    for (;;) {
      const skb = this.#dequeue();
      if (skb === null) break;
      kfree_skb_reason(this.dev.ns, skb, reason);
    }
  }

  /** The entry goes away (device down, `ip neigh del`). */
  destroy(): void {
    this.#disarm();
    this.state = NUD_NONE;
    this.#purge(R.NEIGH_DEAD);
  }

  /** neigh_update. `lladdr` is six bytes at `off`, or null to keep what is known. */
  update(lladdr: Uint8Array | null, off: number, newState: number, flags: number): void {
    const old = this.state;
    const now = this.#now();
    let nw = newState;
    if ((flags & NEIGH_UPDATE_F_ADMIN) === 0 && (old & (NUD_NOARP | NUD_PERMANENT)) !== 0) return;
    if ((nw & NUD_VALID) === 0) {
      this.#disarm();
      this.state = nw;
      if ((old & (NUD_INCOMPLETE | NUD_PROBE)) !== 0 && (nw & NUD_FAILED) !== 0) this.#invalidate();
      return;
    }
    let changed = false;
    if (lladdr !== null) {
      for (let i = 0; i < 6; i++) if (lladdr[off + i] !== this.ha[i]) changed = true;
      if ((old & NUD_VALID) === 0) changed = true;
    } else if ((old & NUD_VALID) === 0) return;
    if ((nw & NUD_CONNECTED) !== 0) this.#t[CONFIRMED] = now;
    if ((old & NUD_VALID) !== 0) {
      if (changed && (flags & NEIGH_UPDATE_F_OVERRIDE) === 0) {
        if ((flags & NEIGH_UPDATE_F_WEAK_OVERRIDE) !== 0 && (old & NUD_CONNECTED) !== 0) {
          changed = false;
          nw = NUD_STALE;
        } else return;
      } else if (!changed && nw === NUD_STALE && (flags & NEIGH_UPDATE_F_ADMIN) === 0) nw = old;
    }
    if (nw !== old || changed) this.#t[UPDATED] = now;
    if (nw !== old) {
      this.#disarm();
      if ((nw & NUD_PROBE) !== 0) this.probes = 0;
      this.state = nw;
      if ((nw & NUD_IN_TIMER) !== 0) this.#arm(now + ((nw & NUD_REACHABLE) !== 0 ? reachableNs(this) : 0));
    }
    if (changed) {
      for (let i = 0; i < 6; i++) this.ha[i] = lladdr![off + i]!;
      if ((nw & NUD_CONNECTED) === 0) this.#t[CONFIRMED] = now - this.parms.base_reachable_time * 2e6;
    }
    if (nw === old || (old & NUD_VALID) !== 0) return;
    for (;;) {
      const skb = (this.state & NUD_VALID) !== 0 ? this.#dequeue() : null;
      if (skb === null) break;
      neigh_output(this, skb);
    }
    this.#purge(R.NEIGH_FAILED);
  }
}

/** parms->reachable_time, drawn between half and one and a half of base_reachable_time. */
function reachableNs(n: Neighbour): number {
  const p = n.parms;
  if (p.reachableNs === 0) {
    const base = p.base_reachable_time;
    p.reachableNs = (base / 2 + n.dev.ns.kernel.prng.below(base)) * 1e6;
  }
  return p.reachableNs;
}

/** skb->truesize of a packet as a queue counts it. */
function truesize(skb: Skb): number {
  const len = skb.tail - skb.data + 64;
  let cap = 192;
  while (cap < len) cap *= 2;
  return cap + 320 + 256;
}

/** The ARP entry of `ip` (Be32) on `dev`, made when there is none (ip_neigh_gw4). */
export function neigh_for_nexthop(dev: NetDevice, ip: number): Neighbour {
  let n = dev.arp.get(ip);
  if (n === undefined) {
    n = new Neighbour(dev, ip, null);
    dev.arp.set(ip, n);
  }
  return n;
}

/** neigh_output: writes the Ethernet header and transmits, or waits for the address. `data` is the IP header. */
export function neigh_output(n: Neighbour, skb: Skb): number {
  const dev = n.dev;
  const ns = dev.ns;
  if (ns.recorder !== null) ns.recorder.step(Step.NEIGH, skb, n, n.state, 0, 0);
  if (dev.hardHeaderLen === 0) return dev_queue_xmit(skb);
  if ((n.state & NUD_CONNECTED) === 0 && !n.eventSend(skb)) return 0;
  n.hh = true;
  const d = skb.data - 14;
  skb.data = d;
  const b = skb.bytes;
  const dst = n.ha;
  const src = dev.mac;
  for (let i = 0; i < 6; i++) {
    b[d + i] = dst[i]!;
    b[d + 6 + i] = src[i]!;
  }
  const proto = skb.protocol;
  b[d + 12] = proto >> 8;
  b[d + 13] = proto & 0xff;
  return dev_queue_xmit(skb);
}

/** neigh_ifdown: entries of a device go; permanent ones stay when only the carrier is lost. */
export function neigh_flush_dev(dev: NetDevice, keepPermanent: boolean): void {
  for (const [k, n] of dev.arp) {
    if (keepPermanent && n.state === NUD_PERMANENT) continue;
    n.destroy();
    dev.arp.delete(k);
  }
  for (let i = dev.nd.length - 1; i >= 0; i--) {
    const n = dev.nd[i]!;
    if (keepPermanent && n.state === NUD_PERMANENT) continue;
    n.destroy();
    dev.nd.splice(i, 1);
  }
}
