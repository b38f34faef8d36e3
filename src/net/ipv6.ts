// IPv6 header and extension headers (RFC 8200), after linux/ipv6.h and net/ipv6/exthdrs_core.c.
//
//   offset  size  field
//   0       4     version 4 bits, traffic class 8 bits, flow label 20 bits
//   4       2     payload_len (extension headers included)
//   6       1     nexthdr
//   7       1     hop_limit
//   8       16    saddr
//   24      16    daddr
//
//   extension header: nexthdr 1, length 1 (units of 8 bytes without the first 8; AH: units of 4, minus 2)
//   fragment header:  nexthdr 1, reserved 1, frag_off 2 (offset 13 bits, reserved 2, M 1), identification 4

import {
  IPPROTO_AH,
  IPPROTO_ESP,
  IPPROTO_ICMPV6,
  IPPROTO_IPIP,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
} from "./ipv4.js";

export { IPPROTO_AH, IPPROTO_ESP, IPPROTO_ICMPV6, IPPROTO_IPIP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP };

export const IPV6_HLEN = 40;
export const IPV6_MIN_MTU = 1280;
export const FRAG_HLEN = 8;

export const NEXTHDR_HOP = 0;
export const NEXTHDR_ROUTING = 43;
export const NEXTHDR_FRAGMENT = 44;
export const NEXTHDR_AUTH = 51;
export const NEXTHDR_ICMP = 58;
export const NEXTHDR_NONE = 59;
export const NEXTHDR_DEST = 60;
export const NEXTHDR_MOBILITY = 135;

/** frag_off of a fragment header: more fragments. */
export const IP6_MF = 0x0001;
/** frag_off of a fragment header: mask of the offset, already in bytes. */
export const IP6_OFFSET = 0xfff8;

export const OFF_PAYLOAD_LEN = 4;
export const OFF_NEXTHDR = 6;
export const OFF_HOP_LIMIT = 7;
export const OFF_SADDR = 8;
export const OFF_DADDR = 24;

export function version(view: DataView, off: number): number {
  return view.getUint8(off) >> 4;
}

/** Traffic class. */
export function tclass(view: DataView, off: number): number {
  return (view.getUint16(off) >> 4) & 0xff;
}

export function setTclass(view: DataView, off: number, v: number): void {
  view.setUint16(off, (view.getUint16(off) & 0xf00f) | (v << 4));
}

/** Flow label, 20 bits, host order. */
export function flowLabel(view: DataView, off: number): number {
  return view.getUint32(off) & 0xfffff;
}

export function setFlowLabel(view: DataView, off: number, v: number): void {
  view.setInt32(off, (view.getInt32(off) & ~0xfffff) | (v & 0xfffff));
}

/** Bytes behind the fixed header. */
export function payloadLen(view: DataView, off: number): number {
  return view.getUint16(off + OFF_PAYLOAD_LEN);
}

export function setPayloadLen(view: DataView, off: number, v: number): void {
  view.setUint16(off + OFF_PAYLOAD_LEN, v);
}

export function nexthdr(view: DataView, off: number): number {
  return view.getUint8(off + OFF_NEXTHDR);
}

export function setNexthdr(view: DataView, off: number, v: number): void {
  view.setUint8(off + OFF_NEXTHDR, v);
}

export function hopLimit(view: DataView, off: number): number {
  return view.getUint8(off + OFF_HOP_LIMIT);
}

export function setHopLimit(view: DataView, off: number, v: number): void {
  view.setUint8(off + OFF_HOP_LIMIT, v);
}

/** Word `i` (0 to 3) of the source address, loaded little-endian. */
export function saddrWord(view: DataView, off: number, i: number): number {
  return view.getInt32(off + OFF_SADDR + 4 * i, true);
}

/** Word `i` (0 to 3) of the destination address, loaded little-endian. */
export function daddrWord(view: DataView, off: number, i: number): number {
  return view.getInt32(off + OFF_DADDR + 4 * i, true);
}

/** Copies one 16-byte address between any two places. */
export function copyAddr(dst: DataView, to: number, src: DataView, from: number): void {
  const a = src.getInt32(from, true);
  const b = src.getInt32(from + 4, true);
  const c = src.getInt32(from + 8, true);
  const d = src.getInt32(from + 12, true);
  dst.setInt32(to, a, true);
  dst.setInt32(to + 4, b, true);
  dst.setInt32(to + 8, c, true);
  dst.setInt32(to + 12, d, true);
}

/** Writes 16 bytes as an address at `to`. */
export function setAddr(view: DataView, to: number, addr: Uint8Array, from = 0): void {
  for (let i = 0; i < 16; i++) view.setUint8(to + i, addr[from + i]!);
}

/** Reads the address at `from` into `out`. */
export function getAddr(view: DataView, from: number, out: Uint8Array, to = 0): void {
  for (let i = 0; i < 16; i++) out[to + i] = view.getUint8(from + i);
}

/** ipv6_addr_equal on two places. */
export function addrEqual(a: DataView, ai: number, b: DataView, bi: number): boolean {
  return (
    a.getInt32(ai, true) === b.getInt32(bi, true) &&
    a.getInt32(ai + 4, true) === b.getInt32(bi + 4, true) &&
    a.getInt32(ai + 8, true) === b.getInt32(bi + 8, true) &&
    a.getInt32(ai + 12, true) === b.getInt32(bi + 12, true)
  );
}

/** True if the address at `off` is `addr`. */
export function isAddr(view: DataView, off: number, addr: Uint8Array): boolean {
  for (let i = 0; i < 16; i++) if (view.getUint8(off + i) !== addr[i]) return false;
  return true;
}

/** `::` at `at`. */
export function isAny(view: DataView, at: number): boolean {
  return (view.getInt32(at) | view.getInt32(at + 4) | view.getInt32(at + 8) | view.getInt32(at + 12)) === 0;
}

/** ff00::/8 at `at`. */
export function isMulticast(view: DataView, at: number): boolean {
  return view.getUint8(at) === 0xff;
}

/** fe80::/10 at `at`. */
export function isLinkLocal(view: DataView, at: number): boolean {
  return (view.getUint16(at) & 0xffc0) === 0xfe80;
}

/** Bit fold of an address that hashes start from (ipv6_addr_hash's xor of the four words). */
export function addrFold(view: DataView, at: number): number {
  return (
    view.getInt32(at, true) ^
    view.getInt32(at + 4, true) ^
    view.getInt32(at + 8, true) ^
    view.getInt32(at + 12, true)
  );
}

/** Writes the fixed header; the 16-byte addresses are written by the caller or given; 40 bytes. */
export function write(
  view: DataView,
  off: number,
  trafficClass: number,
  label: number,
  payload: number,
  next: number,
  hops: number,
  src: Uint8Array,
  dst: Uint8Array,
): void {
  view.setInt32(off, (6 << 28) | (trafficClass << 20) | (label & 0xfffff));
  view.setUint16(off + OFF_PAYLOAD_LEN, payload);
  view.setUint8(off + OFF_NEXTHDR, next);
  view.setUint8(off + OFF_HOP_LIMIT, hops);
  setAddr(view, off + OFF_SADDR, src);
  setAddr(view, off + OFF_DADDR, dst);
}

/** True for headers that carry a nexthdr byte of their own and a length (ipv6_ext_hdr without NONE). */
export function isExtHdr(nexthdrValue: number): boolean {
  return (
    nexthdrValue === NEXTHDR_HOP ||
    nexthdrValue === NEXTHDR_ROUTING ||
    nexthdrValue === NEXTHDR_FRAGMENT ||
    nexthdrValue === NEXTHDR_AUTH ||
    nexthdrValue === NEXTHDR_DEST
  );
}

/** Bytes of the extension header of kind `kind` at `at` (two bytes must be readable). */
export function extHdrLen(view: DataView, at: number, kind: number): number {
  if (kind === NEXTHDR_FRAGMENT) return FRAG_HLEN;
  if (kind === NEXTHDR_AUTH) return (view.getUint8(at + 1) + 2) << 2;
  return (view.getUint8(at + 1) + 1) << 3;
}

/** Where a walk over extension headers ended; reused, nothing is allocated per packet. */
export class ExtWalk {
  /** Offset of the transport header, or of what the walk could not pass. */
  offset = 0;
  /** Protocol number at `offset`. */
  nexthdr = 0;
  /** Offset of the fragment header, or -1. */
  fragment = -1;
  /** frag_off word of the fragment header; 0 if none. */
  fragOff = 0;
  /** Offset of the byte that names the last header: where an inserted header would be chained in. */
  nexthdrAt = 0;
  /** Number of extension headers passed. */
  count = 0;
}

/**
 * Walks from the fixed header at `off` to the transport header (ipv6_skip_exthdr). Stops behind the fragment
 * header of a later fragment, whose content is no header. False if a header does not fit before `end` or
 * NEXTHDR_NONE was met.
 */
export function walkExt(view: DataView, off: number, end: number, w: ExtWalk): boolean {
  let at = off + IPV6_HLEN;
  let next = view.getUint8(off + OFF_NEXTHDR);
  w.fragment = -1;
  w.fragOff = 0;
  w.count = 0;
  w.nexthdrAt = off + OFF_NEXTHDR;
  while (isExtHdr(next)) {
    if (at + 2 > end) break;
    const len = extHdrLen(view, at, next);
    if (at + len > end) break;
    w.nexthdrAt = at;
    w.count++;
    const kind = next;
    next = view.getUint8(at);
    if (kind === NEXTHDR_FRAGMENT) {
      w.fragment = at;
      w.fragOff = view.getUint16(at + 2);
      if ((w.fragOff & IP6_OFFSET) !== 0) {
        w.offset = at + len;
        w.nexthdr = next;
        return true;
      }
    }
    at += len;
  }
  w.offset = at;
  w.nexthdr = next;
  return !isExtHdr(next) && next !== NEXTHDR_NONE;
}

/** Offset of a fragment in bytes. */
export function fragOffsetBytes(view: DataView, fragAt: number): number {
  return view.getUint16(fragAt + 2) & IP6_OFFSET;
}

/** Identification of a fragment header, as int32 in host order. */
export function fragId(view: DataView, fragAt: number): number {
  return view.getInt32(fragAt + 4);
}

/** Writes a fragment header; 8 bytes. `fragOffWord`: offset in bytes | IP6_MF. */
export function writeFragHdr(
  view: DataView,
  at: number,
  next: number,
  fragOffWord: number,
  ident: number,
): void {
  view.setUint8(at, next);
  view.setUint8(at + 1, 0);
  view.setUint16(at + 2, fragOffWord);
  view.setInt32(at + 4, ident);
}

/** Solicited-node multicast address ff02::1:ffXX:XXXX of the address at `from` (RFC 4291 section 2.7.1). */
export function solicitedNode(addr: Uint8Array, from: number, out: Uint8Array): void {
  out.fill(0);
  out[0] = 0xff;
  out[1] = 0x02;
  out[11] = 0x01;
  out[12] = 0xff;
  out[13] = addr[from + 13]!;
  out[14] = addr[from + 14]!;
  out[15] = addr[from + 15]!;
}
