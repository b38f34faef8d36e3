// Ethernet II header (IEEE 802.3), after linux/if_ether.h and if_vlan.h.
//
//   offset  size  field
//   0       6     dst     destination MAC
//   6       6     src     source MAC
//   12      2     proto   EtherType (below 0x0600: length of an 802.3 frame)
//
//   802.1Q tag, in front of the inner EtherType:
//   12      2     0x8100 (802.1ad: 0x88a8)
//   14      2     TCI     priority 3, DEI 1, VLAN id 12 bits
//   16      2     inner EtherType

import { copyBytes } from "./view.js";

export const ETH_ALEN = 6;
export const ETH_HLEN = 14;
export const VLAN_HLEN = 4;
/** Shortest frame without FCS; shorter ones are padded on a real wire. */
export const ETH_ZLEN = 60;
export const ETH_DATA_LEN = 1500;

export const ETH_P_IP = 0x0800;
export const ETH_P_ARP = 0x0806;
export const ETH_P_TEB = 0x6558;
export const ETH_P_RARP = 0x8035;
export const ETH_P_8021Q = 0x8100;
export const ETH_P_IPV6 = 0x86dd;
export const ETH_P_MPLS_UC = 0x8847;
export const ETH_P_8021AD = 0x88a8;
export const ETH_P_LLDP = 0x88cc;
export const ETH_P_802_3_MIN = 0x0600;
/** "Every protocol": what packet sockets bind to. */
export const ETH_P_ALL = 0x0003;

export const OFF_DST = 0;
export const OFF_SRC = 6;
export const OFF_PROTO = 12;

/** EtherType, host order. */
export function proto(view: DataView, off: number): number {
  return view.getUint16(off + OFF_PROTO);
}

export function setProto(view: DataView, off: number, v: number): void {
  view.setUint16(off + OFF_PROTO, v);
}

/** First four bytes of the destination MAC, loaded little-endian; with `dstLo` a MAC as two numbers. */
export function dstHi(view: DataView, off: number): number {
  return view.getInt32(off, true);
}

/** Last two bytes of the destination MAC, loaded little-endian. */
export function dstLo(view: DataView, off: number): number {
  return view.getUint16(off + 4, true);
}

export function srcHi(view: DataView, off: number): number {
  return view.getInt32(off + 6, true);
}

export function srcLo(view: DataView, off: number): number {
  return view.getUint16(off + 10, true);
}

/** True if the six bytes at both places are equal (ether_addr_equal). */
export function macEqual(a: DataView, ai: number, b: DataView, bi: number): boolean {
  return (
    a.getInt32(ai, true) === b.getInt32(bi, true) && a.getUint16(ai + 4, true) === b.getUint16(bi + 4, true)
  );
}

/** True if the six bytes at `off` are `mac`. */
export function isMac(view: DataView, off: number, mac: Uint8Array): boolean {
  for (let i = 0; i < 6; i++) if (view.getUint8(off + i) !== mac[i]) return false;
  return true;
}

/** Writes `mac` at `off`. */
export function setMac(view: DataView, off: number, mac: Uint8Array): void {
  for (let i = 0; i < 6; i++) view.setUint8(off + i, mac[i]!);
}

/** Copies six bytes (ether_addr_copy). */
export function copyMac(dst: DataView, to: number, src: DataView, from: number): void {
  const hi = src.getInt32(from, true);
  const lo = src.getUint16(from + 4, true);
  dst.setInt32(to, hi, true);
  dst.setUint16(to + 4, lo, true);
}

/** Exchanges destination and source. */
export function swapMacs(view: DataView, off: number): void {
  const hi = view.getInt32(off, true);
  const lo = view.getUint16(off + 4, true);
  copyMac(view, off, view, off + 6);
  view.setInt32(off + 6, hi, true);
  view.setUint16(off + 10, lo, true);
}

/** ff:ff:ff:ff:ff:ff at `off` (is_broadcast_ether_addr). */
export function isBroadcast(view: DataView, off: number): boolean {
  return view.getInt32(off, true) === -1 && view.getUint16(off + 4, true) === 0xffff;
}

/** Group bit of the MAC at `off`; broadcast is a group too (is_multicast_ether_addr). */
export function isMulticast(view: DataView, off: number): boolean {
  return (view.getUint8(off) & 1) !== 0;
}

/** 00:00:00:00:00:00 at `off` (is_zero_ether_addr). */
export function isZero(view: DataView, off: number): boolean {
  return view.getInt32(off, true) === 0 && view.getUint16(off + 4, true) === 0;
}

/** Neither group nor zero (is_valid_ether_addr). */
export function isValid(view: DataView, off: number): boolean {
  return !isMulticast(view, off) && !isZero(view, off);
}

/** Writes the whole header; 14 bytes. */
export function write(view: DataView, off: number, dst: Uint8Array, src: Uint8Array, type: number): void {
  setMac(view, off + OFF_DST, dst);
  setMac(view, off + OFF_SRC, src);
  view.setUint16(off + OFF_PROTO, type);
}

/** True for the EtherTypes of VLAN tags (eth_type_vlan). */
export function isVlan(type: number): boolean {
  return type === ETH_P_8021Q || type === ETH_P_8021AD;
}

/** TCI of the tag behind a MAC header whose EtherType is a VLAN's. */
export function vlanTci(view: DataView, off: number): number {
  return view.getUint16(off + 14);
}

/** VLAN id of a TCI. */
export function vlanId(tci: number): number {
  return tci & 0x0fff;
}

/** Destination MAC of an IPv4 multicast group (RFC 1112) into `out`. */
export function multicastMac4(group: number, out: Uint8Array): void {
  out[0] = 0x01;
  out[1] = 0x00;
  out[2] = 0x5e;
  out[3] = (group >>> 8) & 0x7f;
  out[4] = (group >>> 16) & 0xff;
  out[5] = group >>> 24;
}

/** Destination MAC of an IPv6 multicast address (RFC 2464) into `out`. */
export function multicastMac6(addr: Uint8Array, off: number, out: Uint8Array): void {
  out[0] = 0x33;
  out[1] = 0x33;
  copyBytes(out, 2, addr, off + 12, 4);
}
