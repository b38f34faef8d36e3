// Geneve header and options (RFC 8926), after net/geneve.h.
//
//   offset  size  field
//   0       1     version 2 bits, opt_len 6 bits (units of 4 bytes)
//   1       1     OAM 0x80, critical options 0x40
//   2       2     protocol of the payload (0x6558 = Ethernet)
//   4       3     vni
//   7       1     reserved
//   8       ...   options: class 2, type 1 (0x80 = critical), length 5 bits (units of 4), data
//
//   then the payload, for Cilium an Ethernet frame

import { ETH_P_TEB } from "./ethernet.js";

/** Length without options. */
export const GENEVE_HLEN = 8;
export const GENEVE_PORT = 6081;
/** Longest list of options: 63 words. */
export const GENEVE_MAX_OPT_LEN = 252;
export const GENEVE_OPT_HLEN = 4;

export const GENEVE_F_OAM = 0x80;
export const GENEVE_F_CRIT = 0x40;
export const GENEVE_CRIT_OPT_TYPE = 0x80;

export function version(view: DataView, off: number): number {
  return view.getUint8(off) >> 6;
}

/** Bytes of options. */
export function optLen(view: DataView, off: number): number {
  return (view.getUint8(off) & 0x3f) << 2;
}

/** Header with options, bytes. */
export function hlen(view: DataView, off: number): number {
  return GENEVE_HLEN + optLen(view, off);
}

export function flags(view: DataView, off: number): number {
  return view.getUint8(off + 1) & 0xc0;
}

export function proto(view: DataView, off: number): number {
  return view.getUint16(off + 2);
}

/** VNI, 24 bits. */
export function vni(view: DataView, off: number): number {
  return view.getUint32(off + 4) >>> 8;
}

export function setVni(view: DataView, off: number, v: number): void {
  view.setInt32(off + 4, v << 8);
}

/** Writes the header in front of `options` bytes (a multiple of 4) of options; 8 bytes. */
export function write(
  view: DataView,
  off: number,
  vniValue: number,
  options: number,
  critical: boolean,
): void {
  view.setUint8(off, options >> 2);
  view.setUint8(off + 1, critical ? GENEVE_F_CRIT : 0);
  view.setUint16(off + 2, ETH_P_TEB);
  view.setInt32(off + 4, vniValue << 8);
}

export function optClass(view: DataView, at: number): number {
  return view.getUint16(at);
}

export function optType(view: DataView, at: number): number {
  return view.getUint8(at + 2);
}

/** Bytes of data of the option at `at`, its header excluded. */
export function optDataLen(view: DataView, at: number): number {
  return (view.getUint8(at + 3) & 0x1f) << 2;
}

/** Offset of the option of that class and type, or -1 (absent, or a malformed list). */
export function findOption(view: DataView, off: number, cls: number, type: number): number {
  const end = off + hlen(view, off);
  let at = off + GENEVE_HLEN;
  while (at + GENEVE_OPT_HLEN <= end) {
    const len = GENEVE_OPT_HLEN + optDataLen(view, at);
    if (at + len > end) return -1;
    if (optClass(view, at) === cls && optType(view, at) === type) return at;
    at += len;
  }
  return -1;
}

/** Writes an option header; data follows at +4. */
export function writeOption(view: DataView, at: number, cls: number, type: number, dataLen: number): void {
  view.setUint16(at, cls);
  view.setUint8(at + 2, type);
  view.setUint8(at + 3, dataLen >> 2);
}
