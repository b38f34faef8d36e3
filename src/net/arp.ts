// ARP for IPv4 over Ethernet (RFC 826), after linux/if_arp.h.
//
//   offset  size  field
//   0       2     htype  1 = Ethernet
//   2       2     ptype  0x0800
//   4       1     hlen   6
//   5       1     plen   4
//   6       2     oper   1 request, 2 reply
//   8       6     sha    sender MAC
//   14      4     spa    sender IP
//   18      6     tha    target MAC
//   24      4     tpa    target IP

import type { Be32 } from "../base/brand.js";
import { ETH_P_IP, setMac } from "./ethernet.js";

export const ARP_LEN = 28;

export const ARPHRD_ETHER = 1;
export const ARPOP_REQUEST = 1;
export const ARPOP_REPLY = 2;

export const OFF_HTYPE = 0;
export const OFF_PTYPE = 2;
export const OFF_HLEN = 4;
export const OFF_PLEN = 5;
export const OFF_OPER = 6;
export const OFF_SHA = 8;
export const OFF_SPA = 14;
export const OFF_THA = 18;
export const OFF_TPA = 24;

export function htype(view: DataView, off: number): number {
  return view.getUint16(off + OFF_HTYPE);
}

export function ptype(view: DataView, off: number): number {
  return view.getUint16(off + OFF_PTYPE);
}

export function hlen(view: DataView, off: number): number {
  return view.getUint8(off + OFF_HLEN);
}

export function plen(view: DataView, off: number): number {
  return view.getUint8(off + OFF_PLEN);
}

export function oper(view: DataView, off: number): number {
  return view.getUint16(off + OFF_OPER);
}

export function setOper(view: DataView, off: number, v: number): void {
  view.setUint16(off + OFF_OPER, v);
}

/** Sender IP; unaligned in the packet, which DataView does not mind. */
export function spa(view: DataView, off: number): Be32 {
  return view.getInt32(off + OFF_SPA, true) as Be32;
}

export function setSpa(view: DataView, off: number, v: Be32 | number): void {
  view.setInt32(off + OFF_SPA, v, true);
}

/** Target IP. */
export function tpa(view: DataView, off: number): Be32 {
  return view.getInt32(off + OFF_TPA, true) as Be32;
}

export function setTpa(view: DataView, off: number, v: Be32 | number): void {
  view.setInt32(off + OFF_TPA, v, true);
}

/** True for Ethernet and IPv4 with the right lengths. */
export function isEthIpv4(view: DataView, off: number): boolean {
  return (
    htype(view, off) === ARPHRD_ETHER &&
    ptype(view, off) === ETH_P_IP &&
    hlen(view, off) === 6 &&
    plen(view, off) === 4
  );
}

/** Writes the whole packet; 28 bytes. */
export function write(
  view: DataView,
  off: number,
  op: number,
  sha: Uint8Array,
  senderIp: Be32 | number,
  tha: Uint8Array,
  targetIp: Be32 | number,
): void {
  view.setUint16(off + OFF_HTYPE, ARPHRD_ETHER);
  view.setUint16(off + OFF_PTYPE, ETH_P_IP);
  view.setUint8(off + OFF_HLEN, 6);
  view.setUint8(off + OFF_PLEN, 4);
  view.setUint16(off + OFF_OPER, op);
  setMac(view, off + OFF_SHA, sha);
  view.setInt32(off + OFF_SPA, senderIp, true);
  setMac(view, off + OFF_THA, tha);
  view.setInt32(off + OFF_TPA, targetIp, true);
}
