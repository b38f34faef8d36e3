// ICMPv4 (RFC 792, RFC 1191), after linux/icmp.h.
//
//   offset  size  field
//   0       1     type
//   1       1     code
//   2       2     check   over the whole message, no pseudo header
//   4       4     rest:   echo: id 2, sequence 2 · redirect: gateway 4 · frag needed: 0, mtu 2 (at 6)
//   8       ...   echo payload, or IP header and first bytes of the packet that an error is about

import type { Be32 } from "../base/brand.js";
import { checksum } from "./checksum.js";

export const ICMP_HLEN = 8;

export const ICMP_ECHOREPLY = 0;
export const ICMP_DEST_UNREACH = 3;
export const ICMP_SOURCE_QUENCH = 4;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO = 8;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMP_PARAMETERPROB = 12;
export const ICMP_TIMESTAMP = 13;
export const ICMP_TIMESTAMPREPLY = 14;
export const ICMP_INFO_REQUEST = 15;
export const ICMP_INFO_REPLY = 16;
export const ICMP_ADDRESS = 17;
export const ICMP_ADDRESSREPLY = 18;

/** Codes of ICMP_DEST_UNREACH. */
export const ICMP_NET_UNREACH = 0;
export const ICMP_HOST_UNREACH = 1;
export const ICMP_PROT_UNREACH = 2;
export const ICMP_PORT_UNREACH = 3;
export const ICMP_FRAG_NEEDED = 4;
export const ICMP_SR_FAILED = 5;
export const ICMP_NET_UNKNOWN = 6;
export const ICMP_HOST_UNKNOWN = 7;
export const ICMP_HOST_ISOLATED = 8;
export const ICMP_NET_ANO = 9;
export const ICMP_HOST_ANO = 10;
export const ICMP_NET_UNR_TOS = 11;
export const ICMP_HOST_UNR_TOS = 12;
export const ICMP_PKT_FILTERED = 13;
export const ICMP_PREC_VIOLATION = 14;
export const ICMP_PREC_CUTOFF = 15;

/** Codes of ICMP_TIME_EXCEEDED. */
export const ICMP_EXC_TTL = 0;
export const ICMP_EXC_FRAGTIME = 1;

/** Codes of ICMP_REDIRECT. */
export const ICMP_REDIR_NET = 0;
export const ICMP_REDIR_HOST = 1;

export const OFF_TYPE = 0;
export const OFF_CODE = 1;
export const OFF_CHECK = 2;
export const OFF_ID = 4;
export const OFF_SEQ = 6;

export function type(view: DataView, off: number): number {
  return view.getUint8(off);
}

export function setType(view: DataView, off: number, v: number): void {
  view.setUint8(off, v);
}

export function code(view: DataView, off: number): number {
  return view.getUint8(off + OFF_CODE);
}

export function setCode(view: DataView, off: number, v: number): void {
  view.setUint8(off + OFF_CODE, v);
}

export function check(view: DataView, off: number): number {
  return view.getUint16(off + OFF_CHECK);
}

export function setCheck(view: DataView, off: number, v: number): void {
  view.setUint16(off + OFF_CHECK, v);
}

/** Echo identifier, host order. */
export function id(view: DataView, off: number): number {
  return view.getUint16(off + OFF_ID);
}

/** Echo identifier as a little-endian CPU loads it, as tuples keep it. */
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

/** Next-hop MTU of ICMP_FRAG_NEEDED. */
export function mtu(view: DataView, off: number): number {
  return view.getUint16(off + 6);
}

export function setMtu(view: DataView, off: number, v: number): void {
  view.setUint16(off + 4, 0);
  view.setUint16(off + 6, v);
}

/** Gateway of ICMP_REDIRECT. */
export function gateway(view: DataView, off: number): Be32 {
  return view.getInt32(off + 4, true) as Be32;
}

export function setGateway(view: DataView, off: number, v: Be32 | number): void {
  view.setInt32(off + 4, v, true);
}

/** Types that carry the head of another packet (icmp_is_err). */
export function isError(t: number): boolean {
  return (
    t === ICMP_DEST_UNREACH ||
    t === ICMP_SOURCE_QUENCH ||
    t === ICMP_REDIRECT ||
    t === ICMP_TIME_EXCEEDED ||
    t === ICMP_PARAMETERPROB
  );
}

/** Computes and writes the checksum of a message of `len` bytes. */
export function updateCheck(view: DataView, off: number, len: number): void {
  view.setUint16(off + OFF_CHECK, 0);
  view.setUint16(off + OFF_CHECK, checksum(view, off, len));
}

/** True if the checksum of the message of `len` bytes is right. */
export function checkOk(view: DataView, off: number, len: number): boolean {
  return checksum(view, off, len) === 0;
}

/** Writes the eight header bytes with a zero checksum; `rest` is the host-order word at 4. */
export function write(view: DataView, off: number, t: number, c: number, rest: number): void {
  view.setUint8(off, t);
  view.setUint8(off + OFF_CODE, c);
  view.setUint16(off + OFF_CHECK, 0);
  view.setInt32(off + 4, rest);
}
