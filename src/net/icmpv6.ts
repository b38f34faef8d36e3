// ICMPv6 (RFC 4443) and neighbour discovery (RFC 4861), after linux/icmpv6.h and net/ndisc.h.
//
//   offset  size  field
//   0       1     type     below 128: error
//   1       1     code
//   2       2     check    pseudo header included
//   4       4     echo: id 2, sequence 2 · packet too big: mtu 4 · NA: flags R S O in the top bits
//   8       16    NS and NA: target address, then options (type 1, length 1 in units of 8, value)

import { l4Checksum } from "./checksum.js";
import { IPPROTO_ICMPV6 } from "./ipv4.js";

export const ICMPV6_HLEN = 8;
/** NS or NA without options. */
export const ND_HLEN = 24;

export const ICMPV6_DEST_UNREACH = 1;
export const ICMPV6_PKT_TOOBIG = 2;
export const ICMPV6_TIME_EXCEED = 3;
export const ICMPV6_PARAMPROB = 4;
export const ICMPV6_ECHO_REQUEST = 128;
export const ICMPV6_ECHO_REPLY = 129;
export const ICMPV6_MGM_QUERY = 130;
export const ICMPV6_MGM_REPORT = 131;
export const ICMPV6_MGM_REDUCTION = 132;
export const NDISC_ROUTER_SOLICITATION = 133;
export const NDISC_ROUTER_ADVERTISEMENT = 134;
export const NDISC_NEIGHBOUR_SOLICITATION = 135;
export const NDISC_NEIGHBOUR_ADVERTISEMENT = 136;
export const NDISC_REDIRECT = 137;
export const ICMPV6_MLD2_REPORT = 143;

/** Codes of ICMPV6_DEST_UNREACH. */
export const ICMPV6_NOROUTE = 0;
export const ICMPV6_ADM_PROHIBITED = 1;
export const ICMPV6_NOT_NEIGHBOUR = 2;
export const ICMPV6_ADDR_UNREACH = 3;
export const ICMPV6_PORT_UNREACH = 4;
export const ICMPV6_POLICY_FAIL = 5;
export const ICMPV6_REJECT_ROUTE = 6;

/** Codes of ICMPV6_TIME_EXCEED. */
export const ICMPV6_EXC_HOPLIMIT = 0;
export const ICMPV6_EXC_FRAGTIME = 1;

/** Options of neighbour discovery. */
export const ND_OPT_SOURCE_LL_ADDR = 1;
export const ND_OPT_TARGET_LL_ADDR = 2;

/** Flags of a neighbour advertisement, in the first byte at 4. */
export const NA_ROUTER = 0x80;
export const NA_SOLICITED = 0x40;
export const NA_OVERRIDE = 0x20;

export const OFF_CHECK = 2;
export const OFF_ID = 4;
export const OFF_SEQ = 6;
export const OFF_TARGET = 8;

export function type(view: DataView, off: number): number {
  return view.getUint8(off);
}

export function setType(view: DataView, off: number, v: number): void {
  view.setUint8(off, v);
}

export function code(view: DataView, off: number): number {
  return view.getUint8(off + 1);
}

export function setCode(view: DataView, off: number, v: number): void {
  view.setUint8(off + 1, v);
}

export function check(view: DataView, off: number): number {
  return view.getUint16(off + OFF_CHECK);
}

export function setCheck(view: DataView, off: number, v: number): void {
  view.setUint16(off + OFF_CHECK, v);
}

export function id(view: DataView, off: number): number {
  return view.getUint16(off + OFF_ID);
}

/** Echo identifier as a little-endian CPU loads it. */
export function idBe(view: DataView, off: number): number {
  return view.getUint16(off + OFF_ID, true);
}

export function setId(view: DataView, off: number, v: number): void {
  view.setUint16(off + OFF_ID, v);
}

export function seq(view: DataView, off: number): number {
  return view.getUint16(off + OFF_SEQ);
}

export function setSeq(view: DataView, off: number, v: number): void {
  view.setUint16(off + OFF_SEQ, v);
}

/** MTU of ICMPV6_PKT_TOOBIG. */
export function mtu(view: DataView, off: number): number {
  return view.getUint32(off + 4);
}

export function setMtu(view: DataView, off: number, v: number): void {
  view.setInt32(off + 4, v);
}

/** Flags of a neighbour advertisement. */
export function naFlags(view: DataView, off: number): number {
  return view.getUint8(off + 4);
}

export function setNaFlags(view: DataView, off: number, v: number): void {
  view.setUint8(off + 4, v);
}

/** Errors are the types below 128. */
export function isError(t: number): boolean {
  return t < 128;
}

/**
 * Offset of the link-layer address in the neighbour-discovery option of kind `kind` (first option at `at`),
 * or -1 if it is absent or the list is malformed.
 */
export function ndLinkAddr(view: DataView, at: number, end: number, kind: number): number {
  while (at + 2 <= end) {
    const len = view.getUint8(at + 1) << 3;
    if (len === 0 || at + len > end) return -1;
    if (view.getUint8(at) === kind) return len >= 8 ? at + 2 : -1;
    at += len;
  }
  return -1;
}

/** Computes and writes the checksum of a message of `len` bytes at `off`, its IPv6 header at `l3`. */
export function updateCheck(view: DataView, l3: number, off: number, len: number): void {
  view.setUint16(off + OFF_CHECK, 0);
  view.setUint16(off + OFF_CHECK, l4Checksum(view, l3, off, len, IPPROTO_ICMPV6));
}

/** True if the checksum is right. */
export function checkOk(view: DataView, l3: number, off: number, len: number): boolean {
  return l4Checksum(view, l3, off, len, IPPROTO_ICMPV6) === 0;
}

/** Writes the eight header bytes with a zero checksum; `rest` is the host-order word at 4. */
export function write(view: DataView, off: number, t: number, c: number, rest: number): void {
  view.setUint8(off, t);
  view.setUint8(off + 1, c);
  view.setUint16(off + OFF_CHECK, 0);
  view.setInt32(off + 4, rest);
}
