// Fragmentation and reassembly of IPv4 and IPv6, after net/ipv4/ip_output.c (ip_do_fragment), ip_options.c
// (ip_options_fragment), ip_fragment.c, inet_fragment.c and net/ipv6/reassembly.c. Pure logic over bytes: the
// stack around it owns packets, timers and the ICMP errors.
//
// Rules worth knowing:
//   - every fragment but the last carries a multiple of 8 bytes; options not marked "copied" become no-ops in all
//     but the first fragment, whose header stays as long as it was
//   - a fragment that overlaps another one drops the whole packet (RFC 5722, in Linux for IPv4 too), but one that
//     lies wholly inside a run of received bytes is a duplicate and is only ignored
//   - with connection tracking the original sizes come back on output: a queue remembers them
//
// Differs from the kernel: reassembled bytes lie in one buffer, not in a list of fragments; the memory threshold
// counts queues instead of bytes; ipfrag_max_dist (64) is not modelled.

import { ip_fast_csum } from "./checksum.js";
import * as ipv4 from "./ipv4.js";
import * as ipv6 from "./ipv6.js";
import { copyView } from "./view.js";

/** ipfrag_time, net.ipv4: 30 s. */
export const IP_FRAG_TIME_NS = 30_000_000_000;
/** IPV6_FRAG_TIMEOUT: 60 s. */
export const IPV6_FRAG_TIME_NS = 60_000_000_000;

const MAX_DATAGRAM = 65535;

// ---- cutting --------------------------------------------------------------------------------------------------

/** Where a packet is cut: `count` pieces of its payload. Reused; grows only when a packet needs more pieces. */
export class FragPlan {
  count = 0;
  /** Offset of each piece in the payload, bytes. */
  offset = new Int32Array(64);
  /** Bytes of each piece. */
  length = new Int32Array(64);

  add(off: number, len: number): void {
    if (this.count === this.offset.length) {
      const n = this.count * 2;
      const o = new Int32Array(n);
      const l = new Int32Array(n);
      o.set(this.offset);
      l.set(this.length);
      this.offset = o;
      this.length = l;
    }
    this.offset[this.count] = off;
    this.length[this.count] = len;
    this.count++;
  }
}

/**
 * Cuts `payloadLen` bytes behind headers of `hlen` bytes so that each packet has at most `mtu` bytes. False if not
 * even 8 bytes fit (the kernel's -EMSGSIZE).
 */
export function planFragments(hlen: number, payloadLen: number, mtu: number, plan: FragPlan): boolean {
  plan.count = 0;
  const room = mtu - hlen;
  if (room < 8) return false;
  let at = 0;
  while (at < payloadLen) {
    let n = payloadLen - at;
    if (n > room) n = room & ~7;
    plan.add(at, n);
    at += n;
  }
  return true;
}

/**
 * Takes over the sizes in which a reassembled packet arrived, if they still fit: the frag-list path of
 * ip_do_fragment. False if one of them does not, and the packet must be cut anew.
 */
export function planOriginal(q: FragQueue, hlen: number, mtu: number, plan: FragPlan): boolean {
  plan.count = 0;
  for (let i = 0; i < q.pieces; i++) {
    if (q.pieceLen[i]! + hlen > mtu) return false;
    plan.add(q.pieceOff[i]!, q.pieceLen[i]!);
  }
  return plan.count > 1;
}

/** Turns options that fragments must not repeat into no-ops (ip_options_fragment); the checksum is left alone. */
export function blankOptions4(view: DataView, off: number): void {
  const end = off + ipv4.hlen(view, off);
  let at = off + ipv4.IPV4_HLEN;
  while (at < end) {
    const t = view.getUint8(at);
    if (t === ipv4.IPOPT_END) return;
    if (t === ipv4.IPOPT_NOOP) {
      at++;
      continue;
    }
    if (at + 1 >= end) return;
    const len = view.getUint8(at + 1);
    if (len < 2 || at + len > end) return;
    if ((t & ipv4.IPOPT_COPY) === 0) for (let i = 0; i < len; i++) view.setUint8(at + i, ipv4.IPOPT_NOOP);
    at += len;
  }
}

/**
 * Writes piece `i` of the IPv4 packet at `from` as a packet of its own at `to`: header with offset, MF, length and
 * checksum, then its bytes. Gives its length. A packet that is itself a fragment keeps its offset and MF. `keepDf`:
 * the pieces carry DF (a datagram whose largest fragment arrived with DF, IPSKB_FRAG_PMTU).
 */
export function writeFragment4(
  dst: DataView,
  to: number,
  src: DataView,
  from: number,
  plan: FragPlan,
  i: number,
  keepDf: boolean,
): number {
  const hl = ipv4.hlen(src, from);
  const word = ipv4.fragOff(src, from);
  const pieceOff = plan.offset[i]!;
  const pieceLen = plan.length[i]!;
  copyView(dst, to, src, from, hl);
  copyView(dst, to + hl, src, from + hl + pieceOff, pieceLen);
  const at = ((word & ipv4.IP_OFFSET) << 3) + pieceOff;
  const more = i + 1 < plan.count || (word & ipv4.IP_MF) !== 0;
  if (pieceOff > 0) blankOptions4(dst, to);
  ipv4.setTotLen(dst, to, hl + pieceLen);
  ipv4.setFragOff(dst, to, (at >> 3) | (more ? ipv4.IP_MF : 0) | (keepDf ? ipv4.IP_DF : 0));
  ipv4.updateCheck(dst, to);
  return hl + pieceLen;
}

/**
 * Length of the part of an IPv6 packet that every fragment repeats: the fixed header and the extension headers up
 * to the last one that routers on the way must see (ip6_find_1stfragopt). `w` then tells through `nexthdrAt` where
 * the fragment header is chained in.
 */
export function unfragmentableLen6(view: DataView, off: number, end: number, w: ipv6.ExtWalk): number {
  let at = off + ipv6.IPV6_HLEN;
  let nextAt = off + ipv6.OFF_NEXTHDR;
  let next = view.getUint8(nextAt);
  let routed = false;
  while (at + 2 <= end) {
    if (next === ipv6.NEXTHDR_ROUTING) routed = true;
    else if (next === ipv6.NEXTHDR_DEST) {
      if (routed) break;
    } else if (next !== ipv6.NEXTHDR_HOP) break;
    nextAt = at;
    next = view.getUint8(at);
    at += (view.getUint8(at + 1) + 1) << 3;
  }
  w.nexthdrAt = nextAt;
  w.nexthdr = next;
  w.offset = at;
  return at - off;
}

/**
 * Writes piece `i` of the IPv6 packet at `from` as a packet of its own at `to`. `w` is what `unfragmentableLen6`
 * filled, `ident` the identification. Gives the length. Plan with `hlen` = unfragmentable part + 8.
 */
export function writeFragment6(
  dst: DataView,
  to: number,
  src: DataView,
  from: number,
  w: ipv6.ExtWalk,
  plan: FragPlan,
  i: number,
  ident: number,
): number {
  const unfrag = w.offset - from;
  const pieceLen = plan.length[i]!;
  copyView(dst, to, src, from, unfrag);
  dst.setUint8(to + (w.nexthdrAt - from), ipv6.NEXTHDR_FRAGMENT);
  const more = i + 1 < plan.count;
  ipv6.writeFragHdr(dst, to + unfrag, w.nexthdr, plan.offset[i]! | (more ? ipv6.IP6_MF : 0), ident);
  copyView(dst, to + unfrag + ipv6.FRAG_HLEN, src, w.offset + plan.offset[i]!, pieceLen);
  const total = unfrag + ipv6.FRAG_HLEN + pieceLen;
  ipv6.setPayloadLen(dst, to, total - ipv6.IPV6_HLEN);
  return total;
}

// ---- putting together -----------------------------------------------------------------------------------------

/** The fragment was kept; more are needed. */
export const FRAG_QUEUED = 0;
/** The packet is whole: `FragTable.whole` holds it until the next call. */
export const FRAG_COMPLETE = 1;
/** Ignored: these bytes are already there. */
export const FRAG_DUPLICATE = 2;
/** Dropped with all that was kept: overlap, lengths that contradict each other, an impossible ECN mix. */
export const FRAG_DISCARDED = 3;
/** Dropped, nothing kept: too many queues (ipfrag_high_thresh). */
export const FRAG_NO_ROOM = 4;
/** Dropped, what was kept stays: IPv6 fragment whose length is no multiple of 8; answered with a parameter problem. */
export const FRAG_BAD_LENGTH = 5;
/** Dropped, what was kept stays: the packet would be longer than 65,535 bytes; parameter problem for IPv6. */
export const FRAG_TOO_LONG = 6;

const FIRST_IN = 1;
const LAST_IN = 2;

// What the ECN fields of all fragments, as a set of four bits, become (ip_frag_ecn_table): not-ECT must not mix
// with the others, CE wins over ECT. -1 = drop, 0 = keep the first fragment's, 3 = CE.
const ECN_NOT_ECT = 1;
const ECN_CE = 8;

function ecnResult(set: number): number {
  if ((set & ECN_NOT_ECT) !== 0 && set !== ECN_NOT_ECT) return -1;
  return (set & ECN_CE) !== 0 && set !== ECN_CE ? 3 : 0;
}

/** The fragments of one packet, reassembled in place. */
export class FragQueue {
  /** Is in use. */
  live = false;
  isIp6 = false;
  /** Addresses as little-endian words: IPv4 uses [0] and [4]. */
  readonly addrs = new Int32Array(8);
  id = 0;
  proto = 0;
  /** Who reassembles (a conntrack zone, local delivery, ...): queues of different users never mix. */
  user = 0;
  /** L3 master device (IPv4), or ingress device of link-local addresses (IPv6). */
  ifindex = 0;
  /** [0]: virtual time at which it is given up. */
  readonly expires = new Float64Array(1);

  /** Header of the first fragment: IPv4 with options, or IPv6 with its unfragmentable part. */
  header = new DataView(new ArrayBuffer(128));
  headerLen = 0;
  /** IPv6: where in `header` the byte lies that named the fragment header. */
  nexthdrAt = 0;
  /** IPv6: what follows the fragment header, by the first fragment. */
  nexthdr = 0;
  /** Payload; bytes [0, len) are valid when complete. */
  data = new DataView(new ArrayBuffer(8192));
  /** Highest end seen, or the end once the last fragment is in. */
  len = 0;
  /** Bytes received. */
  meat = 0;
  flags = 0;
  ecn = 0;
  /** Largest fragment, header included, and largest with DF. */
  maxSize = 0;
  maxDfSize = 0;

  /** Fragments in order of offset. */
  pieces = 0;
  pieceOff = new Int32Array(64);
  pieceLen = new Int32Array(64);
  // Runs: fragments that were appended to each other in order, as inet_frag_queue_insert groups them. Which of two
  // adjacent runs bytes belong to decides whether a repeat is a duplicate or an overlap.
  runs = 0;
  runOff = new Int32Array(64);
  runEnd = new Int32Array(64);

  start(): void {
    this.live = true;
    this.headerLen = 0;
    this.len = 0;
    this.meat = 0;
    this.flags = 0;
    this.ecn = 0;
    this.maxSize = 0;
    this.maxDfSize = 0;
    this.pieces = 0;
    this.runs = 0;
  }

  /** True if the first fragment has come: only then a timeout is answered with an ICMP error. */
  get hasFirst(): boolean {
    return (this.flags & FIRST_IN) !== 0;
  }

  /** True if the datagram's largest fragment arrived with DF: the reassembled header carries DF (IPSKB_FRAG_PMTU). */
  get keepsDf(): boolean {
    return this.maxDfSize === this.maxSize;
  }

  /** inet_frag_queue_insert: FRAG_QUEUED, FRAG_DUPLICATE or FRAG_DISCARDED. */
  insert(off: number, end: number): number {
    let at = this.runs;
    if (at > 0) {
      const tailEnd = this.runEnd[at - 1]!;
      if (tailEnd < end) {
        if (off < tailEnd) return FRAG_DISCARDED;
        if (off === tailEnd) {
          this.runEnd[at - 1] = end;
          this.addPiece(this.pieces, off, end - off);
          return FRAG_QUEUED;
        }
      } else {
        let lo = 0;
        let hi = at;
        while (lo < hi) {
          const mid = (lo + hi) >> 1;
          if (end <= this.runOff[mid]!) hi = mid;
          else if (off >= this.runEnd[mid]!) lo = mid + 1;
          else return off >= this.runOff[mid]! && end <= this.runEnd[mid]! ? FRAG_DUPLICATE : FRAG_DISCARDED;
        }
        at = lo;
      }
    }
    this.addRun(at, off, end);
    let p = this.pieces;
    while (p > 0 && this.pieceOff[p - 1]! > off) p--;
    this.addPiece(p, off, end - off);
    return FRAG_QUEUED;
  }

  private addRun(at: number, off: number, end: number): void {
    if (this.runs === this.runOff.length) {
      this.runOff = grow(this.runOff);
      this.runEnd = grow(this.runEnd);
    }
    for (let i = this.runs; i > at; i--) {
      this.runOff[i] = this.runOff[i - 1]!;
      this.runEnd[i] = this.runEnd[i - 1]!;
    }
    this.runOff[at] = off;
    this.runEnd[at] = end;
    this.runs++;
  }

  private addPiece(at: number, off: number, len: number): void {
    if (this.pieces === this.pieceOff.length) {
      this.pieceOff = grow(this.pieceOff);
      this.pieceLen = grow(this.pieceLen);
    }
    for (let i = this.pieces; i > at; i--) {
      this.pieceOff[i] = this.pieceOff[i - 1]!;
      this.pieceLen[i] = this.pieceLen[i - 1]!;
    }
    this.pieceOff[at] = off;
    this.pieceLen[at] = len;
    this.pieces++;
  }

  store(view: DataView, from: number, off: number, len: number): void {
    if (off + len > this.data.byteLength) {
      let n = this.data.byteLength;
      while (n < off + len) n *= 2;
      const d = new DataView(new ArrayBuffer(n));
      copyView(d, 0, this.data, 0, this.data.byteLength);
      this.data = d;
    }
    copyView(this.data, off, view, from, len);
  }

  storeHeader(view: DataView, from: number, len: number): void {
    if (len > this.header.byteLength) this.header = new DataView(new ArrayBuffer(len));
    copyView(this.header, 0, view, from, len);
    this.headerLen = len;
  }
}

function grow(a: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const b = new Int32Array(a.length * 2);
  b.set(a);
  return b;
}

/**
 * The incomplete packets of one namespace. Queues come from a pool, so that a steady stream of fragmented packets
 * allocates nothing.
 */
export class FragTable {
  readonly #queues: FragQueue[] = [];
  #live = 0;
  /** The queue that the last FRAG_COMPLETE completed; valid until the next call. */
  whole: FragQueue | null = null;
  /** The queue that the last FRAG_DISCARDED gave up, for whoever counts or reports; valid until the next call. */
  discarded: FragQueue | null = null;
  readonly #walk = new ipv6.ExtWalk();

  /** At most `maxQueues` packets wait at a time. */
  constructor(readonly maxQueues: number = 4096) {}

  /** Packets that wait. */
  get size(): number {
    return this.#live;
  }

  /** Virtual time at which the earliest queue expires, or Infinity. */
  nextExpiry(): number {
    let t = Number.POSITIVE_INFINITY;
    for (const q of this.#queues) if (q.live && q.expires[0]! < t) t = q.expires[0]!;
    return t;
  }

  /** Gives up what expired at or before `nowNs`; `onExpire` sees each queue before it is reused. */
  expire(nowNs: number, onExpire: (q: FragQueue) => void): void {
    for (const q of this.#queues) {
      if (q.live && q.expires[0]! <= nowNs) {
        this.#release(q);
        onExpire(q);
      }
    }
  }

  #release(q: FragQueue): void {
    q.live = false;
    this.#live--;
  }

  #create(nowNs: number, lifeNs: number): FragQueue | null {
    if (this.#live >= this.maxQueues) return null;
    let q: FragQueue | undefined;
    for (const c of this.#queues) {
      if (!c.live && c !== this.whole) {
        q = c;
        break;
      }
    }
    if (q === undefined) {
      q = new FragQueue();
      this.#queues.push(q);
    }
    q.start();
    q.expires[0] = nowNs + lifeNs;
    this.#live++;
    return q;
  }

  /**
   * Takes the IPv4 fragment whose header is at `off` (validated, `tot_len` bytes present). Gives a FRAG_ code.
   */
  input4(view: DataView, off: number, user: number, ifindex: number, nowNs: number): number {
    this.whole = null;
    this.discarded = null;
    const id = ipv4.id(view, off);
    const proto = ipv4.protocol(view, off);
    const saddr = ipv4.saddr(view, off);
    const daddr = ipv4.daddr(view, off);
    let q: FragQueue | null = null;
    for (const c of this.#queues) {
      if (
        c.live &&
        !c.isIp6 &&
        c.id === id &&
        c.proto === proto &&
        c.user === user &&
        c.ifindex === ifindex &&
        c.addrs[0] === saddr &&
        c.addrs[4] === daddr
      ) {
        q = c;
        break;
      }
    }
    if (q === null) {
      q = this.#create(nowNs, IP_FRAG_TIME_NS);
      if (q === null) return FRAG_NO_ROOM;
      q.isIp6 = false;
      q.id = id;
      q.proto = proto;
      q.user = user;
      q.ifindex = ifindex;
      q.addrs[0] = saddr;
      q.addrs[4] = daddr;
    }
    const hl = ipv4.hlen(view, off);
    const word = ipv4.fragOff(view, off);
    const at = (word & ipv4.IP_OFFSET) << 3;
    let end = at + ipv4.totLen(view, off) - hl;
    const more = (word & ipv4.IP_MF) !== 0;
    // A middle fragment of odd length is cut back, not refused (ip_frag_queue).
    if (more) end &= ~7;
    const r = this.#queue(q, view, off + hl, at, end, more);
    if (r !== FRAG_QUEUED) return r;
    q.ecn |= 1 << (ipv4.tos(view, off) & 3);
    if (at === 0) {
      q.flags |= FIRST_IN;
      q.storeHeader(view, off, hl);
    }
    const size = end - at + hl;
    if (size > q.maxSize) q.maxSize = size;
    if ((word & ipv4.IP_DF) !== 0 && size > q.maxDfSize) q.maxDfSize = size;
    return this.#finish(q);
  }

  /**
   * Takes the IPv6 fragment whose fixed header is at `off` and whose fragment header is at `fragAt`; the packet
   * ends at `end`. A packet that is whole although it has a fragment header (RFC 6946) is not for this function.
   */
  input6(
    view: DataView,
    off: number,
    fragAt: number,
    end: number,
    user: number,
    ifindex: number,
    nowNs: number,
  ): number {
    this.whole = null;
    this.discarded = null;
    const id = ipv6.fragId(view, fragAt);
    let q: FragQueue | null = null;
    for (const c of this.#queues) {
      if (!c.live || !c.isIp6 || c.id !== id || c.user !== user || c.ifindex !== ifindex) continue;
      let same = true;
      for (let i = 0; i < 8; i++) {
        if (c.addrs[i] !== view.getInt32(off + ipv6.OFF_SADDR + 4 * i, true)) same = false;
      }
      if (same) {
        q = c;
        break;
      }
    }
    if (q === null) {
      q = this.#create(nowNs, IPV6_FRAG_TIME_NS);
      if (q === null) return FRAG_NO_ROOM;
      q.isIp6 = true;
      q.id = id;
      q.proto = 0;
      q.user = user;
      q.ifindex = ifindex;
      for (let i = 0; i < 8; i++) q.addrs[i] = view.getInt32(off + ipv6.OFF_SADDR + 4 * i, true);
    }
    const at = ipv6.fragOffsetBytes(view, fragAt);
    const more = (view.getUint16(fragAt + 2) & ipv6.IP6_MF) !== 0;
    const dataAt = fragAt + ipv6.FRAG_HLEN;
    const dataEnd = at + end - dataAt;
    if (dataEnd > MAX_DATAGRAM) return FRAG_TOO_LONG;
    if (more && (dataEnd & 7) !== 0) return FRAG_BAD_LENGTH;
    const r = this.#queue(q, view, dataAt, at, dataEnd, more);
    if (r !== FRAG_QUEUED) return r;
    q.ecn |= 1 << (ipv6.tclass(view, off) & 3);
    if (at === 0) {
      q.flags |= FIRST_IN;
      q.storeHeader(view, off, fragAt - off);
      q.nexthdr = view.getUint8(fragAt);
      ipv6.walkExt(view, off, fragAt, this.#walk);
      q.nexthdrAt = this.#walk.nexthdrAt - off;
    }
    const size = end - off;
    if (size > q.maxSize) q.maxSize = size;
    return this.#finish(q);
  }

  /** The part of ip_frag_queue and ip6_frag_queue that is the same. */
  #queue(q: FragQueue, view: DataView, from: number, at: number, end: number, more: boolean): number {
    if (!more) {
      if (end < q.len || ((q.flags & LAST_IN) !== 0 && end !== q.len)) return this.#discard(q);
      q.flags |= LAST_IN;
      q.len = end;
    } else if (end > q.len) {
      if ((q.flags & LAST_IN) !== 0) return this.#discard(q);
      q.len = end;
    }
    if (end <= at) return this.#discard(q);
    const r = q.insert(at, end);
    if (r === FRAG_DUPLICATE) return r;
    if (r !== FRAG_QUEUED) return this.#discard(q);
    q.store(view, from, at, end - at);
    q.meat += end - at;
    return FRAG_QUEUED;
  }

  #finish(q: FragQueue): number {
    if (q.flags !== (FIRST_IN | LAST_IN) || q.meat !== q.len) return FRAG_QUEUED;
    this.#release(q);
    const whole = q.isIp6 ? q.headerLen - ipv6.IPV6_HLEN + q.len : q.headerLen + q.len;
    if (ecnResult(q.ecn) < 0 || whole > MAX_DATAGRAM) {
      this.discarded = q;
      return FRAG_DISCARDED;
    }
    this.whole = q;
    return FRAG_COMPLETE;
  }

  #discard(q: FragQueue): number {
    this.#release(q);
    this.discarded = q;
    return FRAG_DISCARDED;
  }
}

/** Bytes of the packet that a complete queue holds. */
export function wholeLength(q: FragQueue): number {
  return q.headerLen + q.len;
}

/**
 * Writes the packet of a complete queue at `to` (ip_frag_reasm, ip6_frag_reasm): the first fragment's header with
 * its new length, without fragment fields, ECN merged, checksum computed; gives its length.
 */
export function writeWhole(view: DataView, to: number, q: FragQueue): number {
  copyView(view, to, q.header, 0, q.headerLen);
  copyView(view, to + q.headerLen, q.data, 0, q.len);
  const total = q.headerLen + q.len;
  const ecn = ecnResult(q.ecn);
  if (q.isIp6) {
    view.setUint8(to + q.nexthdrAt, q.nexthdr);
    ipv6.setPayloadLen(view, to, total - ipv6.IPV6_HLEN);
    if (ecn > 0) ipv6.setTclass(view, to, ipv6.tclass(view, to) | ecn);
  } else {
    ipv4.setTotLen(view, to, total);
    if (ecn > 0) ipv4.setTos(view, to, ipv4.tos(view, to) | ecn);
    ipv4.setFragOff(view, to, q.keepsDf ? ipv4.IP_DF : 0);
    view.setUint16(to + ipv4.OFF_CHECK, 0);
    view.setUint16(to + ipv4.OFF_CHECK, ip_fast_csum(view, to, q.headerLen >> 2), true);
  }
  return total;
}
