// UDP header (RFC 768), after linux/udp.h.
//
//   offset  size  field
//   0       2     source
//   2       2     dest
//   4       2     len    header and payload
//   6       2     check  pseudo header included; 0 = none (IPv4, and tunnels over IPv6)

import type { Be16 } from "../base/brand.js";
import { CSUM_MANGLED_0, l4Checksum } from "./checksum.js";
import { IPPROTO_UDP } from "./ipv4.js";

export const UDP_HLEN = 8;

export const OFF_SOURCE = 0;
export const OFF_DEST = 2;
export const OFF_LEN = 4;
export const OFF_CHECK = 6;

export function source(view: DataView, off: number): number {
  return view.getUint16(off);
}

export function sourceBe(view: DataView, off: number): Be16 {
  return view.getUint16(off, true) as Be16;
}

export function setSource(view: DataView, off: number, v: number): void {
  view.setUint16(off, v);
}

export function dest(view: DataView, off: number): number {
  return view.getUint16(off + OFF_DEST);
}

export function destBe(view: DataView, off: number): Be16 {
  return view.getUint16(off + OFF_DEST, true) as Be16;
}

export function setDest(view: DataView, off: number, v: number): void {
  view.setUint16(off + OFF_DEST, v);
}

/** Length of header and payload. */
export function len(view: DataView, off: number): number {
  return view.getUint16(off + OFF_LEN);
}

export function setLen(view: DataView, off: number, v: number): void {
  view.setUint16(off + OFF_LEN, v);
}

export function check(view: DataView, off: number): number {
  return view.getUint16(off + OFF_CHECK);
}

export function setCheck(view: DataView, off: number, v: number): void {
  view.setUint16(off + OFF_CHECK, v);
}

/** Writes the header with a zero checksum; 8 bytes. */
export function write(view: DataView, off: number, src: number, dst: number, length: number): void {
  view.setUint16(off, src);
  view.setUint16(off + OFF_DEST, dst);
  view.setUint16(off + OFF_LEN, length);
  view.setUint16(off + OFF_CHECK, 0);
}

/** Computes and writes the checksum over `length` bytes; a sum of 0 is sent as 0xffff. */
export function updateCheck(view: DataView, l3: number, off: number, length: number): void {
  view.setUint16(off + OFF_CHECK, 0);
  const c = l4Checksum(view, l3, off, length, IPPROTO_UDP);
  view.setUint16(off + OFF_CHECK, c === 0 ? CSUM_MANGLED_0 : c);
}

/** True if the checksum is right, or absent. */
export function checkOk(view: DataView, l3: number, off: number, length: number): boolean {
  return check(view, off) === 0 || l4Checksum(view, l3, off, length, IPPROTO_UDP) === 0;
}
