// IPv4 header (RFC 791), after linux/ip.h.
//
//   offset  size  field
//   0       1     version 4 bits, ihl 4 bits (header length in words)
//   1       1     tos      DSCP 6 bits, ECN 2 bits
//   2       2     tot_len
//   4       2     id
//   6       2     frag_off flags 3 bits (reserved, DF, MF), offset 13 bits in units of 8 bytes
//   8       1     ttl
//   9       1     protocol
//   10      2     check
//   12      4     saddr
//   16      4     daddr
//   20      0-40  options

import type { Be32 } from "../base/brand.js";
import { csum_replace2, csum_replace4, ip_fast_csum } from "./checksum.js";

/** Length without options. */
export const IPV4_HLEN = 20;
export const IPV4_MAX_HLEN = 60;
export const IPDEFTTL = 64;

export const IPPROTO_IP = 0;
export const IPPROTO_ICMP = 1;
export const IPPROTO_IGMP = 2;
export const IPPROTO_IPIP = 4;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_IPV6 = 41;
export const IPPROTO_GRE = 47;
export const IPPROTO_ESP = 50;
export const IPPROTO_AH = 51;
export const IPPROTO_ICMPV6 = 58;
export const IPPROTO_VRRP = 112;
export const IPPROTO_SCTP = 132;
export const IPPROTO_UDPLITE = 136;

/** frag_off: reserved bit, "congestion" in old headers. */
export const IP_CE = 0x8000;
/** frag_off: do not fragment. */
export const IP_DF = 0x4000;
/** frag_off: more fragments follow. */
export const IP_MF = 0x2000;
/** frag_off: mask of the offset in units of 8 bytes. */
export const IP_OFFSET = 0x1fff;

/** Options: end of list, no-op, and those with a length byte. */
export const IPOPT_END = 0;
export const IPOPT_NOOP = 1;
export const IPOPT_RR = 7;
export const IPOPT_TIMESTAMP = 68;
export const IPOPT_LSRR = 131;
export const IPOPT_CIPSO = 134;
export const IPOPT_SSRR = 137;
export const IPOPT_RA = 148;
/** Bit of an option type: copied into every fragment. */
export const IPOPT_COPY = 0x80;

export const OFF_VERSION_IHL = 0;
export const OFF_TOS = 1;
export const OFF_TOT_LEN = 2;
export const OFF_ID = 4;
export const OFF_FRAG_OFF = 6;
export const OFF_TTL = 8;
export const OFF_PROTOCOL = 9;
export const OFF_CHECK = 10;
export const OFF_SADDR = 12;
export const OFF_DADDR = 16;

export function version(view: DataView, off: number): number {
  return view.getUint8(off) >> 4;
}

/** Header length in 32-bit words. */
export function ihl(view: DataView, off: number): number {
  return view.getUint8(off) & 0xf;
}

/** Header length in bytes, 0 to 60; below 20 is malformed. */
export function hlen(view: DataView, off: number): number {
  return (view.getUint8(off) & 0xf) << 2;
}

/** Sets version 4 and the header length in bytes. */
export function setHlen(view: DataView, off: number, bytes: number): void {
  view.setUint8(off, 0x40 | (bytes >> 2));
}

export function tos(view: DataView, off: number): number {
  return view.getUint8(off + OFF_TOS);
}

export function setTos(view: DataView, off: number, v: number): void {
  view.setUint8(off + OFF_TOS, v);
}

/** Length of header and payload. */
export function totLen(view: DataView, off: number): number {
  return view.getUint16(off + OFF_TOT_LEN);
}

export function setTotLen(view: DataView, off: number, v: number): void {
  view.setUint16(off + OFF_TOT_LEN, v);
}

export function id(view: DataView, off: number): number {
  return view.getUint16(off + OFF_ID);
}

/** The id as a little-endian CPU loads it, as map keys keep it. */
export function idBe(view: DataView, off: number): number {
  return view.getUint16(off + OFF_ID, true);
}

export function setId(view: DataView, off: number, v: number): void {
  view.setUint16(off + OFF_ID, v);
}

/** The whole 16-bit word: flags and offset. */
export function fragOff(view: DataView, off: number): number {
  return view.getUint16(off + OFF_FRAG_OFF);
}

export function setFragOff(view: DataView, off: number, v: number): void {
  view.setUint16(off + OFF_FRAG_OFF, v);
}

/** True for every fragment, the first included (ip_is_fragment). */
export function isFragment(view: DataView, off: number): boolean {
  return (view.getUint16(off + OFF_FRAG_OFF) & (IP_MF | IP_OFFSET)) !== 0;
}

/** True for fragments without a transport header. */
export function isLaterFragment(view: DataView, off: number): boolean {
  return (view.getUint16(off + OFF_FRAG_OFF) & IP_OFFSET) !== 0;
}

export function mf(view: DataView, off: number): boolean {
  return (view.getUint16(off + OFF_FRAG_OFF) & IP_MF) !== 0;
}

export function df(view: DataView, off: number): boolean {
  return (view.getUint16(off + OFF_FRAG_OFF) & IP_DF) !== 0;
}

/** Offset of the fragment in bytes. */
export function fragOffsetBytes(view: DataView, off: number): number {
  return (view.getUint16(off + OFF_FRAG_OFF) & IP_OFFSET) << 3;
}

export function ttl(view: DataView, off: number): number {
  return view.getUint8(off + OFF_TTL);
}

export function setTtl(view: DataView, off: number, v: number): void {
  view.setUint8(off + OFF_TTL, v);
}

export function protocol(view: DataView, off: number): number {
  return view.getUint8(off + OFF_PROTOCOL);
}

export function setProtocol(view: DataView, off: number, v: number): void {
  view.setUint8(off + OFF_PROTOCOL, v);
}

export function check(view: DataView, off: number): number {
  return view.getUint16(off + OFF_CHECK);
}

export function setCheck(view: DataView, off: number, v: number): void {
  view.setUint16(off + OFF_CHECK, v);
}

export function saddr(view: DataView, off: number): Be32 {
  return view.getInt32(off + OFF_SADDR, true) as Be32;
}

/** Writes the source address and leaves the checksum alone. */
export function setSaddr(view: DataView, off: number, v: Be32 | number): void {
  view.setInt32(off + OFF_SADDR, v, true);
}

export function daddr(view: DataView, off: number): Be32 {
  return view.getInt32(off + OFF_DADDR, true) as Be32;
}

/** Writes the destination address and leaves the checksum alone. */
export function setDaddr(view: DataView, off: number, v: Be32 | number): void {
  view.setInt32(off + OFF_DADDR, v, true);
}

/** Writes the source address, the header checksum carried along. */
export function replaceSaddr(view: DataView, off: number, v: Be32 | number): void {
  csum_replace4(view, off + OFF_CHECK, view.getInt32(off + OFF_SADDR, true), v);
  view.setInt32(off + OFF_SADDR, v, true);
}

/** Writes the destination address, the header checksum carried along. */
export function replaceDaddr(view: DataView, off: number, v: Be32 | number): void {
  csum_replace4(view, off + OFF_CHECK, view.getInt32(off + OFF_DADDR, true), v);
  view.setInt32(off + OFF_DADDR, v, true);
}

/** Writes tos, the header checksum carried along (ipv4_change_dsfield). */
export function replaceTos(view: DataView, off: number, v: number): void {
  const was = view.getUint16(off, true);
  view.setUint8(off + OFF_TOS, v);
  csum_replace2(view, off + OFF_CHECK, was, view.getUint16(off, true));
}

/** Computes and writes the header checksum (ip_send_check). */
export function updateCheck(view: DataView, off: number): void {
  view.setUint16(off + OFF_CHECK, 0);
  view.setUint16(off + OFF_CHECK, ip_fast_csum(view, off, view.getUint8(off) & 0xf), true);
}

/** True if the stored header checksum is right. */
export function checkOk(view: DataView, off: number): boolean {
  return ip_fast_csum(view, off, view.getUint8(off) & 0xf) === 0;
}

/** Offset of the payload. */
export function payload(view: DataView, off: number): number {
  return off + hlen(view, off);
}

/**
 * What ip_rcv checks before it trusts a header: version, ihl, tot_len against the `avail` bytes that are there,
 * checksum. 0 if good, else one of the IPV4_BAD_ codes.
 */
export function validate(view: DataView, off: number, avail: number): number {
  if (avail < IPV4_HLEN) return IPV4_BAD_TRUNCATED;
  const first = view.getUint8(off);
  const hl = (first & 0xf) << 2;
  if (first >> 4 !== 4 || hl < IPV4_HLEN) return IPV4_BAD_HEADER;
  if (avail < hl) return IPV4_BAD_TRUNCATED;
  if (!checkOk(view, off)) return IPV4_BAD_CHECKSUM;
  const len = totLen(view, off);
  if (avail < len) return IPV4_BAD_TRUNCATED;
  if (len < hl) return IPV4_BAD_HEADER;
  return 0;
}

/** `validate`: InTruncatedPkts, or a header that does not fit. */
export const IPV4_BAD_TRUNCATED = 1;
/** `validate`: InHdrErrors. */
export const IPV4_BAD_HEADER = 2;
/** `validate`: InCsumErrors. */
export const IPV4_BAD_CHECKSUM = 3;

/**
 * Offset of the first option whose type is `type` (any type with -1), starting at `at` (first call: off + 20);
 * -1 if there is none or the list is malformed. Steps over no-ops. The next call starts at `optionEnd`.
 */
export function findOption(view: DataView, off: number, at: number, type: number): number {
  const end = off + hlen(view, off);
  while (at < end) {
    const t = view.getUint8(at);
    if (t === IPOPT_END) return -1;
    if (t === IPOPT_NOOP) {
      if (type === IPOPT_NOOP) return at;
      at++;
      continue;
    }
    if (at + 1 >= end) return -1;
    const len = view.getUint8(at + 1);
    if (len < 2 || at + len > end) return -1;
    if (type === -1 || t === type) return at;
    at += len;
  }
  return -1;
}

/** Offset behind the option at `at`. */
export function optionEnd(view: DataView, at: number): number {
  const t = view.getUint8(at);
  return t === IPOPT_NOOP || t === IPOPT_END ? at + 1 : at + view.getUint8(at + 1);
}

/** Writes a header without options, checksum included; 20 bytes. `frag` is the whole frag_off word. */
export function write(
  view: DataView,
  off: number,
  tosByte: number,
  totalLength: number,
  ident: number,
  frag: number,
  ttlByte: number,
  proto: number,
  src: Be32 | number,
  dst: Be32 | number,
): void {
  view.setUint8(off, 0x45);
  view.setUint8(off + OFF_TOS, tosByte);
  view.setUint16(off + OFF_TOT_LEN, totalLength);
  view.setUint16(off + OFF_ID, ident);
  view.setUint16(off + OFF_FRAG_OFF, frag);
  view.setUint8(off + OFF_TTL, ttlByte);
  view.setUint8(off + OFF_PROTOCOL, proto);
  view.setInt32(off + OFF_SADDR, src, true);
  view.setInt32(off + OFF_DADDR, dst, true);
  updateCheck(view, off);
}
