// Linux cooked captures, what `tcpdump -i any` writes: LINKTYPE_LINUX_SLL (113) and LINKTYPE_LINUX_SLL2 (276).
//
//   v1, 16 bytes                       v2, 20 bytes
//   0   2  packet type                 0   2  EtherType
//   2   2  ARPHRD_ of the device       2   2  reserved
//   4   2  length of the address       4   4  interface index
//   6   8  link-layer source           8   2  ARPHRD_ of the device
//   14  2  EtherType                   10  1  packet type
//                                      11  1  length of the address
//                                      12  8  link-layer source

export const SLL_HLEN = 16;
export const SLL2_HLEN = 20;

/** Packet types: to us, broadcast, multicast, to somebody else, from us. */
export const LINUX_SLL_HOST = 0;
export const LINUX_SLL_BROADCAST = 1;
export const LINUX_SLL_MULTICAST = 2;
export const LINUX_SLL_OTHERHOST = 3;
export const LINUX_SLL_OUTGOING = 4;

export const ARPHRD_ETHER = 1;
export const ARPHRD_TUNNEL = 768;
export const ARPHRD_LOOPBACK = 772;
export const ARPHRD_NONE = 0xfffe;

export function pktType(view: DataView, off: number): number {
  return view.getUint16(off);
}

export function proto(view: DataView, off: number): number {
  return view.getUint16(off + 14);
}

export function proto2(view: DataView, off: number): number {
  return view.getUint16(off);
}

export function ifindex2(view: DataView, off: number): number {
  return view.getInt32(off + 4);
}

export function arphrd2(view: DataView, off: number): number {
  return view.getUint16(off + 8);
}

export function pktType2(view: DataView, off: number): number {
  return view.getUint8(off + 10);
}

/** Writes a v1 header; `addr` has at most 8 bytes. */
export function write(
  view: DataView,
  off: number,
  type: number,
  arphrd: number,
  addr: Uint8Array,
  ethertype: number,
): void {
  view.setUint16(off, type);
  view.setUint16(off + 2, arphrd);
  view.setUint16(off + 4, addr.length);
  for (let i = 0; i < 8; i++) view.setUint8(off + 6 + i, i < addr.length ? addr[i]! : 0);
  view.setUint16(off + 14, ethertype);
}

/** Writes a v2 header; `addr` has at most 8 bytes. */
export function write2(
  view: DataView,
  off: number,
  type: number,
  arphrd: number,
  addr: Uint8Array,
  ethertype: number,
  ifindex: number,
): void {
  view.setUint16(off, ethertype);
  view.setUint16(off + 2, 0);
  view.setInt32(off + 4, ifindex);
  view.setUint16(off + 8, arphrd);
  view.setUint8(off + 10, type);
  view.setUint8(off + 11, addr.length);
  for (let i = 0; i < 8; i++) view.setUint8(off + 12 + i, i < addr.length ? addr[i]! : 0);
}
