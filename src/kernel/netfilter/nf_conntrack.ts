// Connection tracking of one namespace: tuples, the hash table, new entries, confirmation, expiry, events.
// Follows net/netfilter/nf_conntrack_core.c; the protocols are in nf_conntrack_proto.ts and nf_conntrack_tcp.ts.
//
//   tuple   src  dst  proto  sport|icmp id  dport|icmp type<<8+code      (addresses Be32, the rest host order)
//
// Differs from the kernel: entries are plain objects found through their own hash table per namespace (the kernel
// has one for all), unconfirmed entries are not counted against nf_conntrack_max; garbage is collected by a timer at the earliest expiry, at most once a second, where the
// kernel's worker wakes up at changing intervals. Look-ups never see an expired entry in either.

import { NS_PER_MSEC, type Timer, type TimerQueue } from "../../base/clock.js";
import type { Prng } from "../../base/prng.js";
import type { Skb } from "../../bpf/skb.js";
import { Step } from "../../bpf/steps.js";
import type { NetDevice } from "../device.js";
import type { Netns } from "../netns.js";
import {
  IP_CT_ESTABLISHED,
  IP_CT_ESTABLISHED_REPLY,
  IP_CT_IS_REPLY,
  IP_CT_NEW,
  IP_CT_RELATED,
  IP_CT_UNTRACKED,
  NF_ACCEPT,
  NF_DROP,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NF_IP_PRI_CONNTRACK,
  NF_IP_PRI_CONNTRACK_CONFIRM,
  NF_REPEAT,
  NfHook,
  type NfState,
} from "./hooks.js";
import {
  generic_packet,
  gre_packet,
  ICMP_INVERT,
  IPPROTO_GRE,
  IPPROTO_ICMP,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPPROTO_UDPLITE,
  icmp_error,
  icmp_packet,
  sctp_packet,
  udp_packet,
} from "./nf_conntrack_proto.js";
import { type IpCtTcp, tcp_packet } from "./nf_conntrack_tcp.js";

// enum ip_conntrack_status
export const IPS_EXPECTED = 1 << 0;
export const IPS_SEEN_REPLY = 1 << 1;
export const IPS_ASSURED = 1 << 2;
export const IPS_CONFIRMED = 1 << 3;
export const IPS_SRC_NAT = 1 << 4;
export const IPS_DST_NAT = 1 << 5;
export const IPS_NAT_MASK = IPS_SRC_NAT | IPS_DST_NAT;
export const IPS_SEQ_ADJUST = 1 << 6;
export const IPS_SRC_NAT_DONE = 1 << 7;
export const IPS_DST_NAT_DONE = 1 << 8;
export const IPS_NAT_DONE_MASK = IPS_SRC_NAT_DONE | IPS_DST_NAT_DONE;
export const IPS_DYING = 1 << 9;
export const IPS_FIXED_TIMEOUT = 1 << 10;
export const IPS_TEMPLATE = 1 << 11;

// enum ip_conntrack_events, as bits
export const IPCT_NEW = 1;
export const IPCT_RELATED = 2;
export const IPCT_DESTROY = 4;
export const IPCT_REPLY = 8;
export const IPCT_ASSURED = 16;
export const IPCT_PROTOINFO = 32;
export const IPCT_MARK = 64;

export const IP_CT_DIR_ORIGINAL = 0;
export const IP_CT_DIR_REPLY = 1;

/** CTINFO2DIR. */
export function ctDir(ctinfo: number): number {
  return ctinfo >= IP_CT_IS_REPLY ? IP_CT_DIR_REPLY : IP_CT_DIR_ORIGINAL;
}

/** struct nf_conntrack_tuple; used as scratch and, in NfTupleHash, as a key. */
export class NfTuple {
  /** Be32. */
  src = 0;
  /** Be32. */
  dst = 0;
  /** Source port, or ICMP id; 0 for other protocols. */
  sport = 0;
  /** Destination port, or ICMP type << 8 | code; 0 for other protocols. */
  dport = 0;
  proto = 0;

  copyFrom(t: NfTuple): void {
    this.src = t.src;
    this.dst = t.dst;
    this.sport = t.sport;
    this.dport = t.dport;
    this.proto = t.proto;
  }

  equals(t: NfTuple): boolean {
    return (
      this.src === t.src &&
      this.dst === t.dst &&
      this.sport === t.sport &&
      this.dport === t.dport &&
      this.proto === t.proto
    );
  }
}

/** nf_ct_invert_tuple. False when the protocol has no inverse (an ICMP type that is no query or answer). */
export function nf_ct_invert_tuple(inv: NfTuple, orig: NfTuple): boolean {
  const src = orig.src;
  inv.src = orig.dst;
  inv.dst = src;
  inv.proto = orig.proto;
  if (orig.proto === IPPROTO_ICMP) {
    const type = orig.dport >>> 8;
    const r = type < ICMP_INVERT.length ? ICMP_INVERT[type]! : -1;
    if (r < 0) return false;
    inv.sport = orig.sport;
    inv.dport = (r << 8) | (orig.dport & 0xff);
    return true;
  }
  const sport = orig.sport;
  inv.sport = orig.dport;
  inv.dport = sport;
  return true;
}

/** A tuple in the hash table. */
export class NfTupleHash extends NfTuple {
  next: NfTupleHash | null = null;
  /** Zone id of this direction. */
  zone = 0;

  constructor(
    readonly ct: NfConn,
    readonly dir: number,
  ) {
    super();
  }
}

/** struct nf_conn. */
export class NfConn {
  readonly orig: NfTupleHash;
  readonly reply: NfTupleHash;
  status = 0;
  /** Before confirmation a span, afterwards a point in time; ms of the virtual clock modulo 2^32. */
  timeout = 0;
  mark = 0;
  /** zone->id; its directions are in the tuples. */
  zone = 0;
  /** Events waiting for the confirm hook, IPCT_* bits. */
  events = 0;
  tcp: IpCtTcp | null = null;
  /** When an UDP flow becomes a stream, ms. */
  streamTs = 0;
  /** SCTP state. */
  sctpState = 0;
  /** ifindex that MASQUERADE chose, 0 = none. */
  masqIndex = 0;
  /** In the chain of entries with the same source (nf_nat_bysource). */
  natNext: NfConn | null = null;
  inNatHash = false;
  /** Original and reply packets and bytes; counted when nf_conntrack_acct is on. */
  readonly acct: Float64Array | null;
  /** Order of creation, the id of events. */
  readonly id: number;

  constructor(id: number, acct: boolean) {
    this.id = id;
    this.orig = new NfTupleHash(this, IP_CT_DIR_ORIGINAL);
    this.reply = new NfTupleHash(this, IP_CT_DIR_REPLY);
    this.acct = acct ? new Float64Array(4) : null;
  }

  /** tuplehash[dir]. */
  tuple(dir: number): NfTupleHash {
    return dir === IP_CT_DIR_ORIGINAL ? this.orig : this.reply;
  }
}

/** Who wants to know about entries (ctnetlink). Called when events are delivered. */
export interface NfCtListener {
  /** `events` are IPCT_* bits; exactly one of NEW/RELATED, DESTROY or updates. */
  conntrack(ct: NfConn, events: number): void;
}

/** net.netfilter.nf_conntrack_*; times in seconds. */
export class NfCtSysctl {
  max = 262_144;
  checksum = 1;
  acct = 0;
  tcp_be_liberal = 0;
  tcp_loose = 1;
  tcp_max_retrans = 3;
  tcp_ignore_invalid_rst = 0;
  /** By TCP state 0..9 (nf_conntrack_tcp.ts), then retrans, unack. */
  readonly tcp_timeouts: number[] = [0, 120, 60, 432_000, 120, 60, 30, 120, 10, 120, 300, 300];
  udp_timeout = 30;
  udp_timeout_stream = 120;
  icmp_timeout = 30;
  gre_timeout = 30;
  gre_timeout_stream = 180;
  generic_timeout = 600;
  /** By SCTP state. */
  readonly sctp_timeouts: number[] = [0, 10, 3, 3, 210, 3, 3, 3, 30];
}

/** Counters of `conntrack -S`. */
export class NfCtStats {
  found = 0;
  invalid = 0;
  insert = 0;
  insert_failed = 0;
  drop = 0;
  early_drop = 0;
  error = 0;
  clash_resolve = 0;
}

const scratchInv = new NfTuple();
const scratchInner = new NfTuple();

export class NfConntrack {
  readonly stats = new NfCtStats();
  /** Registered hooks; none while no rule wants tracking. */
  hooks: NfHook[] = [];
  /** Confirmed entries. */
  count = 0;
  listener: NfCtListener | null = null;
  readonly ns: Netns;
  readonly timers: TimerQueue;
  readonly prng: Prng;

  #buckets: (NfTupleHash | null)[];
  #mask: number;
  #secret: number;
  #nextId = 1;
  #gc: Timer | null = null;
  /** When the garbage timer fires, ms (not wrapped); Infinity = not set. */
  readonly #gcAt = new Float64Array(1);
  readonly #tuple = new NfTuple();

  /** Entries by source, for NAT (nf_nat_bysource). */
  natBySource: (NfConn | null)[];

  constructor(
    readonly nf: NfState,
    readonly sysctl: NfCtSysctl = new NfCtSysctl(),
    buckets = 1024,
  ) {
    this.ns = nf.ns;
    this.timers = nf.ns.kernel.timers;
    this.prng = nf.ns.kernel.prng;
    this.#buckets = new Array<NfTupleHash | null>(buckets).fill(null);
    this.#mask = buckets - 1;
    this.#secret = nf.ns.hashSecret;
    this.natBySource = new Array<NfConn | null>(256).fill(null);
    this.#gcAt[0] = Number.POSITIVE_INFINITY;
  }

  /** nfct_time_stamp: ms, wrapping at 2^32. */
  get now(): number {
    return Math.floor(this.timers.clock.ns / NS_PER_MSEC) | 0;
  }

  // ---- the table ----

  #hash(t: NfTuple): number {
    let h = Math.imul(t.src ^ this.#secret, 0x9e3779b1);
    h = Math.imul(h ^ (h >>> 15) ^ t.dst, 0x85ebca77);
    h = Math.imul(h ^ (h >>> 13) ^ ((t.sport << 16) | t.dport), 0xc2b2ae3d);
    h = Math.imul(h ^ (h >>> 16) ^ t.proto, 0x27d4eb2f);
    return h ^ (h >>> 15);
  }

  /** __nf_conntrack_find: the live entry direction that has this tuple. */
  find(t: NfTuple, zone: number): NfTupleHash | null {
    let h: NfTupleHash | null = this.#buckets[this.#hash(t) & this.#mask]!;
    while (h !== null) {
      if (
        h.src === t.src &&
        h.dst === t.dst &&
        h.sport === t.sport &&
        h.dport === t.dport &&
        h.proto === t.proto &&
        h.zone === zone
      ) {
        if (((h.ct.timeout - this.now) | 0) > 0) return h;
        const dead = h.ct;
        h = h.next;
        this.#gcExpired(dead);
        continue;
      }
      h = h.next;
    }
    return null;
  }

  #insert(h: NfTupleHash): void {
    const b = this.#hash(h) & this.#mask;
    h.next = this.#buckets[b]!;
    this.#buckets[b] = h;
  }

  #remove(h: NfTupleHash): void {
    const b = this.#hash(h) & this.#mask;
    let p: NfTupleHash | null = this.#buckets[b]!;
    if (p === h) {
      this.#buckets[b] = h.next;
      h.next = null;
      return;
    }
    while (p !== null && p.next !== h) p = p.next;
    if (p !== null) p.next = h.next;
    h.next = null;
  }

  #grow(): void {
    const old = this.#buckets;
    const size = old.length * 2;
    this.#buckets = new Array<NfTupleHash | null>(size).fill(null);
    this.#mask = size - 1;
    for (const first of old) {
      let h = first;
      while (h !== null) {
        const next: NfTupleHash | null = h.next;
        this.#insert(h);
        h = next;
      }
    }
  }

  /** Live entries, newest of a bucket first, as a dump of the table finds them. */
  *entries(): Generator<NfConn> {
    const now = this.now;
    for (const first of this.#buckets) {
      for (let h = first; h !== null; h = h.next) {
        if (h.dir === IP_CT_DIR_ORIGINAL && ((h.ct.timeout - now) | 0) > 0) yield h.ct;
      }
    }
  }

  // ---- life of an entry ----

  /** Milliseconds until the entry expires (nf_ct_expires). */
  expires(ct: NfConn): number {
    const left = (ct.status & IPS_CONFIRMED) !== 0 ? (ct.timeout - this.now) | 0 : ct.timeout;
    return Math.max(left, 0);
  }

  /** Milliseconds that an entry which was just deleted had left. */
  remaining(ct: NfConn): number {
    const left = (ct.timeout - this.now) | 0;
    return Math.max(left, 0);
  }

  /** __nf_ct_refresh_acct: a new life span, `sec` seconds. */
  refresh(ct: NfConn, ctinfo: number, skb: Skb, sec: number): void {
    const ms = sec * 1000;
    if ((ct.status & IPS_FIXED_TIMEOUT) === 0) {
      if ((ct.status & IPS_CONFIRMED) !== 0) {
        ct.timeout = (this.now + ms) | 0;
        this.#armGc(ms);
      } else ct.timeout = ms;
    }
    if (ct.acct !== null) {
      const i = ctinfo >= IP_CT_IS_REPLY ? 2 : 0;
      ct.acct[i]!++;
      ct.acct[i + 1]! += skb.tail - skb.data;
    }
  }

  /** Sets an exact expiry (shorter than what the protocol wants; ip_vs, ctnetlink). */
  setTimeout(ct: NfConn, ms: number): void {
    ct.timeout = (this.now + ms) | 0;
    this.#armGc(ms);
  }

  #armGc(ms: number): void {
    const at = Math.ceil((this.timers.clock.ns / NS_PER_MSEC + ms) / 1000) * 1000;
    if (at >= this.#gcAt[0]!) return;
    this.#gc?.cancel();
    this.#gcAt[0] = at;
    this.#gc = this.timers.at(at * NS_PER_MSEC, this.#runGc);
  }

  readonly #runGc = (): void => {
    this.#gc = null;
    this.#gcAt[0] = Number.POSITIVE_INFINITY;
    const now = this.now;
    let next = 0x7fffffff;
    const dead: NfConn[] = [];
    for (const first of this.#buckets) {
      for (let h = first; h !== null; h = h.next) {
        if (h.dir !== IP_CT_DIR_ORIGINAL) continue;
        const left = (h.ct.timeout - now) | 0;
        if (left <= 0) dead.push(h.ct);
        else if (left < next) next = left;
      }
    }
    // Oldest first, so that the order of events does not depend on the hash.
    dead.sort((a, b) => a.id - b.id);
    for (const ct of dead) this.#gcExpired(ct);
    if (this.count > 0 && next !== 0x7fffffff) this.#armGc(next);
  };

  #gcExpired(ct: NfConn): void {
    this.kill(ct);
  }

  /** nf_ct_delete: out of the table, DESTROY event. False if it was dying already. */
  kill(ct: NfConn): boolean {
    if ((ct.status & IPS_DYING) !== 0) return false;
    ct.status |= IPS_DYING;
    if ((ct.status & IPS_CONFIRMED) !== 0) {
      this.#remove(ct.orig);
      this.#remove(ct.reply);
      this.count--;
      this.#removeNat(ct);
      this.listener?.conntrack(ct, IPCT_DESTROY);
    }
    return true;
  }

  /** Deletes entries that `pred` picks (conntrack -D, flush, masquerade on address loss); returns their number. */
  flush(pred: (ct: NfConn) => boolean): number {
    const list: NfConn[] = [];
    for (const ct of this.entries()) if (pred(ct)) list.push(ct);
    list.sort((a, b) => a.id - b.id);
    for (const ct of list) this.kill(ct);
    return list.length;
  }

  /** Netlink port of the command that changes entries just now; 0 = none. Events tell it. */
  userPort = 0;
  #nextPort = 3_000_000_000;

  /** Runs `f` on behalf of a command. */
  byUser(f: () => void): void {
    this.userPort = this.#nextPort++;
    try {
      f();
    } finally {
      this.userPort = 0;
    }
  }

  /** A new mark, told at once. */
  setMark(ct: NfConn, mark: number): void {
    if (ct.mark === mark) return;
    ct.mark = mark;
    this.listener?.conntrack(ct, IPCT_MARK);
  }

  // ---- NAT's own hash ----

  #natHash(t: NfTuple): number {
    let h = Math.imul(t.src ^ this.#secret, 0x9e3779b1);
    h = Math.imul(h ^ (h >>> 15) ^ ((t.sport << 8) ^ t.proto), 0x85ebca77);
    return (h ^ (h >>> 13)) & (this.natBySource.length - 1);
  }

  /** Enters the entry into the hash by original source. The kernel does it when the mapping is made. */
  #insertNat(ct: NfConn): void {
    if (ct.inNatHash) return;
    const b = this.#natHash(ct.orig);
    ct.natNext = this.natBySource[b]!;
    this.natBySource[b] = ct;
    ct.inNatHash = true;
  }

  #removeNat(ct: NfConn): void {
    if (!ct.inNatHash) return;
    const b = this.#natHash(ct.orig);
    let p: NfConn | null = this.natBySource[b]!;
    if (p === ct) this.natBySource[b] = ct.natNext;
    else {
      while (p !== null && p.natNext !== ct) p = p.natNext;
      if (p !== null) p.natNext = ct.natNext;
    }
    ct.natNext = null;
    ct.inNatHash = false;
  }

  /** First entry of the chain that an original source hashes to. */
  natChain(t: NfTuple): NfConn | null {
    return this.natBySource[this.#natHash(t)]!;
  }

  /** nf_conntrack_tuple_taken: does an entry other than `ignored` answer to this tuple? */
  tupleTaken(t: NfTuple, ignored: NfConn, zone: number): boolean {
    let h: NfTupleHash | null = this.#buckets[this.#hash(t) & this.#mask]!;
    const now = this.now;
    while (h !== null) {
      if (
        h.ct !== ignored &&
        h.zone === zone &&
        h.src === t.src &&
        h.dst === t.dst &&
        h.sport === t.sport &&
        h.dport === t.dport &&
        h.proto === t.proto &&
        ((h.ct.timeout - now) | 0) > 0 &&
        !h.ct.orig.equals(ignored.orig)
      ) {
        return true;
      }
      h = h.next;
    }
    return false;
  }

  // ---- the packet ----

  /** nf_conntrack_in. */
  conntrack_in(skb: Skb, hook: number): number {
    let zone = 0;
    let tmpl: NfConn | null = null;
    if (skb.nfct !== null || skb.nfctinfo === IP_CT_UNTRACKED) {
      tmpl = skb.nfct as NfConn | null;
      // Previously seen (loopback or untracked)? Ignore.
      if (tmpl === null || (tmpl.status & IPS_TEMPLATE) === 0) return NF_ACCEPT;
      skb.nfct = null;
      skb.nfctinfo = 0;
      zone = tmpl.zone;
    }
    const n = skb.data;
    const v = skb.view;
    const hl = (v.getUint8(n) & 15) << 2;
    if ((v.getUint16(n + 6, false) & 0x1fff) !== 0 || n + hl > skb.tail) {
      this.stats.invalid++;
      return NF_ACCEPT;
    }
    const proto = v.getUint8(n + 9);
    const off = n + hl;
    if (proto === IPPROTO_ICMP) {
      const ret = icmp_error(this, skb, off, hook, zone);
      if (ret !== 0) {
        this.stats.error++;
        this.stats.invalid++;
        return NF_ACCEPT;
      }
      if (skb.nfct !== null) return NF_ACCEPT;
    }
    for (;;) {
      const r = this.#resolve(skb, off, proto, tmpl);
      if (r < 0) {
        this.stats.drop++;
        return NF_DROP;
      }
      const ct = skb.nfct as NfConn | null;
      if (ct === null) {
        this.stats.invalid++;
        return NF_ACCEPT;
      }
      const ctinfo = skb.nfctinfo;
      const verdict = this.#handle(ct, skb, off, proto, ctinfo, hook);
      if (verdict <= 0) {
        skb.nfct = null;
        skb.nfctinfo = 0;
        if (verdict === -NF_REPEAT) continue;
        this.stats.invalid++;
        return -verdict;
      }
      if (ctinfo === IP_CT_ESTABLISHED_REPLY && (ct.status & IPS_SEEN_REPLY) === 0) {
        ct.status |= IPS_SEEN_REPLY;
        ct.events |= IPCT_REPLY;
      }
      return verdict;
    }
  }

  /** nf_conntrack_handle_packet. */
  #handle(ct: NfConn, skb: Skb, off: number, proto: number, ctinfo: number, hook: number): number {
    if (proto === IPPROTO_TCP) return tcp_packet(this, ct, skb, off, ctinfo, hook);
    if (proto === IPPROTO_UDP || proto === IPPROTO_UDPLITE)
      return udp_packet(this, ct, skb, off, ctinfo, hook);
    if (proto === IPPROTO_ICMP) return icmp_packet(this, ct, skb, ctinfo);
    if (proto === IPPROTO_SCTP) return sctp_packet(this, ct, skb, off, ctinfo, hook);
    if (proto === IPPROTO_GRE) return gre_packet(this, ct, skb, ctinfo);
    return generic_packet(this, ct, skb, ctinfo);
  }

  /** nf_ct_get_tuple. `end` is where the packet's bytes end. */
  getTuple(skb: Skb, n: number, off: number, proto: number, t: NfTuple): boolean {
    const v = skb.view;
    const end = skb.tail;
    t.src = v.getInt32(n + 12, true);
    t.dst = v.getInt32(n + 16, true);
    t.proto = proto;
    switch (proto) {
      case IPPROTO_ICMP:
        if (off + 8 > end) return false;
        t.sport = v.getUint16(off + 4, false);
        t.dport = v.getUint16(off, false);
        return true;
      case IPPROTO_TCP:
      case IPPROTO_UDP:
      case IPPROTO_UDPLITE:
      case IPPROTO_SCTP:
        if (off + 8 > end) return false;
        t.sport = v.getUint16(off, false);
        t.dport = v.getUint16(off + 2, false);
        return true;
      default:
        t.sport = 0;
        t.dport = 0;
        return true;
    }
  }

  /** resolve_normal_ct: finds or makes the entry and hangs it on the packet. Negative: no memory, drop. */
  #resolve(skb: Skb, off: number, proto: number, tmpl: NfConn | null): number {
    const t = this.#tuple;
    if (!this.getTuple(skb, skb.data, off, proto, t)) return 0;
    let h = this.find(t, tmpl === null ? 0 : tmpl.orig.zone);
    // The other direction may have another zone (CT --zone-orig, --zone-reply).
    if (h === null && tmpl !== null && tmpl.reply.zone !== tmpl.orig.zone) h = this.find(t, tmpl.reply.zone);
    if (h === null) {
      const ct = this.#init(t, tmpl);
      if (ct === null) return this.#full ? -1 : 0;
      skb.nfct = ct;
      skb.nfctinfo = IP_CT_NEW;
      return 0;
    }
    const ct = h.ct;
    skb.nfct = ct;
    if (h.dir === IP_CT_DIR_REPLY) skb.nfctinfo = IP_CT_ESTABLISHED_REPLY;
    else if ((ct.status & IPS_SEEN_REPLY) !== 0) skb.nfctinfo = IP_CT_ESTABLISHED;
    else if ((ct.status & IPS_EXPECTED) !== 0) skb.nfctinfo = IP_CT_RELATED;
    else skb.nfctinfo = IP_CT_NEW;
    return 0;
  }

  #full = false;

  /** init_conntrack. */
  #init(t: NfTuple, tmpl: NfConn | null): NfConn | null {
    this.#full = false;
    if (!nf_ct_invert_tuple(scratchInv, t)) return null;
    if (this.count >= this.sysctl.max && !this.#earlyDrop(t)) {
      this.#full = true;
      return null;
    }
    const ct = new NfConn(this.#nextId++, this.sysctl.acct !== 0);
    ct.orig.copyFrom(t);
    ct.reply.copyFrom(scratchInv);
    if (tmpl !== null) {
      ct.zone = tmpl.zone;
      ct.orig.zone = tmpl.orig.zone;
      ct.reply.zone = tmpl.reply.zone;
    }
    return ct;
  }

  /** early_drop: makes room by deleting entries near `t` in the table that are not ASSURED. */
  #earlyDrop(t: NfTuple): boolean {
    let b = this.#hash(t);
    for (let i = 0; i < 8; i++, b++) {
      let drops = 0;
      let h: NfTupleHash | null = this.#buckets[b & this.#mask]!;
      while (h !== null) {
        const next: NfTupleHash | null = h.next;
        const ct: NfConn = h.ct;
        if (((ct.timeout - this.now) | 0) <= 0) {
          this.kill(ct);
          drops++;
        } else if ((ct.status & (IPS_ASSURED | IPS_DYING)) === 0 && this.kill(ct)) drops++;
        h = next !== null && next.ct === ct ? next.next : next;
      }
      if (drops > 0) {
        this.stats.early_drop += drops;
        return true;
      }
    }
    return false;
  }

  /** nf_confirm: enters a new connection into the table; events of the packet are told. */
  confirm(skb: Skb): number {
    const ct = skb.nfct as NfConn | null;
    if (ct === null || (ct.status & IPS_TEMPLATE) !== 0) return NF_ACCEPT;
    if ((ct.status & IPS_CONFIRMED) === 0) {
      const ret = this.#confirm(ct, skb);
      if (ret !== NF_ACCEPT) return ret;
    }
    const now = skb.nfct as NfConn;
    if (now.events !== 0) this.deliver(now);
    return NF_ACCEPT;
  }

  /** nf_ct_deliver_cached_events. */
  deliver(ct: NfConn): void {
    const ev = ct.events;
    ct.events = 0;
    if (ev === 0 || (ct.status & IPS_CONFIRMED) === 0 || (ct.status & IPS_DYING) !== 0) return;
    this.listener?.conntrack(ct, ev);
  }

  #confirm(ct: NfConn, skb: Skb): number {
    // An ICMP error or a reply about an entry that is still unconfirmed does not confirm it.
    if (skb.nfctinfo >= IP_CT_IS_REPLY) return NF_ACCEPT;
    if ((ct.status & IPS_DYING) !== 0) {
      this.stats.insert_failed++;
      return NF_DROP;
    }
    const clash = this.find(ct.orig, ct.orig.zone) ?? this.find(ct.reply, ct.reply.zone);
    if (clash !== null) return this.#resolveClash(ct, clash, skb);
    ct.timeout = (this.now + ct.timeout) | 0;
    ct.status |= IPS_CONFIRMED;
    if (this.count * 2 >= this.#mask) this.#grow();
    this.#insert(ct.reply);
    this.#insert(ct.orig);
    if ((ct.status & IPS_SRC_NAT_DONE) !== 0) this.#insertNat(ct);
    this.count++;
    this.stats.insert++;
    this.#armGc((ct.timeout - this.now) | 0);
    ct.events |= (ct.status & IPS_EXPECTED) !== 0 ? IPCT_RELATED : IPCT_NEW;
    return NF_ACCEPT;
  }

  /** nf_ct_resolve_clash: two packets of one new UDP (or ICMP) flow were on the way at once. */
  #resolveClash(ct: NfConn, h: NfTupleHash, skb: Skb): number {
    const other = h.ct;
    const p = ct.orig.proto;
    const allow = p === IPPROTO_UDP || p === IPPROTO_UDPLITE || p === IPPROTO_ICMP || !isPortProto(p);
    if (allow && other.orig.equals(ct.orig) && other.reply.equals(ct.reply)) {
      skb.nfct = other;
      this.stats.clash_resolve++;
      return NF_ACCEPT;
    }
    this.stats.insert_failed++;
    this.stats.drop++;
    return NF_DROP;
  }

  /** Tuple of a packet quoted in an ICMP error, inverted, looked up (nf_conntrack_inet_error). */
  findQuoted(skb: Skb, n: number, zone: number): NfTupleHash | null {
    if (n + 20 > skb.tail) return null;
    const v = skb.view;
    const vhl = v.getUint8(n);
    const hl = (vhl & 15) << 2;
    if (vhl >>> 4 !== 4 || hl < 20 || n + hl > skb.tail) return null;
    if ((v.getUint16(n + 6, false) & 0x1fff) !== 0) return null;
    const t = scratchInner;
    if (!this.getTuple(skb, n, n + hl, v.getUint8(n + 9), t)) return null;
    if (!nf_ct_invert_tuple(t, t)) return null;
    return this.find(t, zone);
  }

  /** nf_conntrack_hash_check_insert: an entry made by hand (conntrack -I, the ip_vs helper). */
  insert(ct: NfConn, ms: number): void {
    ct.timeout = (this.now + ms) | 0;
    ct.status |= IPS_CONFIRMED;
    this.#insert(ct.reply);
    this.#insert(ct.orig);
    this.count++;
    this.#armGc(ms);
  }

  /** A template of the CT target: nothing but a zone. */
  makeTemplate(zone: number, origDir: boolean, replyDir: boolean): NfConn {
    const ct = new NfConn(0, false);
    ct.status = IPS_TEMPLATE | IPS_CONFIRMED;
    ct.zone = zone;
    ct.orig.zone = origDir ? zone : 0;
    ct.reply.zone = replyDir ? zone : 0;
    return ct;
  }
}

function isPortProto(p: number): boolean {
  return p === IPPROTO_TCP || p === IPPROTO_UDP || p === IPPROTO_SCTP || p === IPPROTO_UDPLITE;
}

class ConntrackIn extends NfHook {
  constructor(
    hook: number,
    readonly ct: NfConntrack,
  ) {
    super("nf_conntrack_in", hook, NF_IP_PRI_CONNTRACK);
  }

  run(skb: Skb, hook: number, _inDev: NetDevice | null, _outDev: NetDevice | null): number {
    if (hook === NF_INET_LOCAL_OUT) {
      // A raw socket may send a fragment: it is not tracked.
      if ((skb.view.getUint16(skb.data + 6, false) & 0x3fff & ~0x4000) !== 0 && skb.fragMaxSize === 0)
        return NF_ACCEPT;
    }
    const v = this.ct.conntrack_in(skb, hook);
    const rec = this.ct.ns.recorder;
    if (rec !== null) rec.step(Step.NF_CT, skb, skb.nfct, skb.nfctinfo, isUnconfirmed(skb) ? 1 : 0, 0);
    return v;
  }
}

class ConntrackConfirm extends NfHook {
  constructor(
    hook: number,
    readonly ct: NfConntrack,
  ) {
    super("nf_confirm", hook, NF_IP_PRI_CONNTRACK_CONFIRM);
  }

  run(skb: Skb, _hook: number, _inDev: NetDevice | null, _outDev: NetDevice | null): number {
    return this.ct.confirm(skb);
  }
}

/**
 * nf_ct_netns_get: connection tracking is switched on in a namespace by the first rule that needs it, together
 * with defragmentation. `nf_defrag_ipv4_enable` is given by the caller, because it lives with the IP code.
 */
export function conntrackEnable(
  nf: NfState,
  defragEnable: (nf: NfState) => void,
  sysctl: NfCtSysctl = new NfCtSysctl(),
): NfConntrack {
  let ct = nf.ct;
  if (ct === null) {
    ct = new NfConntrack(nf, sysctl);
    nf.ct = ct;
  }
  if (ct.hooks.length > 0) return ct;
  defragEnable(nf);
  ct.hooks = [
    new ConntrackIn(NF_INET_PRE_ROUTING, ct),
    new ConntrackIn(NF_INET_LOCAL_OUT, ct),
    new ConntrackConfirm(NF_INET_LOCAL_IN, ct),
    new ConntrackConfirm(NF_INET_POST_ROUTING, ct),
  ];
  for (const h of ct.hooks) nf.register(h);
  // nf_ct_tcp_fixup: what the windows were when nobody looked is not known.
  for (const x of ct.entries()) {
    if (x.tcp === null) continue;
    x.tcp.seen0.td_maxwin = 0;
    x.tcp.seen1.td_maxwin = 0;
  }
  return ct;
}

/** Takes the hooks away. Entries stay until they expire. */
export function conntrackDisable(nf: NfState): void {
  const ct = nf.ct;
  if (ct === null) return;
  for (const h of ct.hooks) nf.unregister(h);
  ct.hooks = [];
}

/** The packet's entry was made for it and is not in the table yet. */
function isUnconfirmed(skb: Skb): boolean {
  return skb.nfct !== null && ((skb.nfct as NfConn).status & IPS_CONFIRMED) === 0;
}
