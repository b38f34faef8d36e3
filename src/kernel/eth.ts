// net/ethernet/eth.c: writing and judging the Ethernet header.

import { PACKET_BROADCAST, PACKET_HOST, PACKET_MULTICAST, PACKET_OTHERHOST, type Skb } from "../bpf/skb.js";
import type { NetDevice } from "./device.js";
import { skb_set_dev } from "./skbuff.js";

export const ETH_P_IP = 0x0800;
export const ETH_P_ARP = 0x0806;
export const ETH_P_IPV6 = 0x86dd;
export const ETH_P_8021Q = 0x8100;

/**
 * Received on `dev`: sets device, protocol, packet type and mac header; `data` ends at the network header.
 * A frame shorter than its header gets protocol 0, which nobody handles.
 */
export function eth_type_trans(skb: Skb, dev: NetDevice): void {
  skb_set_dev(skb, dev);
  const d = skb.data;
  skb.mac = d;
  if (dev.hardHeaderLen === 0) {
    skb.network = d;
    return;
  }
  if (skb.tail - d < 14) {
    skb.protocol = 0;
    skb.network = d;
    return;
  }
  eth_skb_pkt_type(skb, dev);
  skb.protocol = skb.view.getUint16(d + 12, false);
  skb.data = d + 14;
  skb.network = d + 14;
}

/** eth_skb_pkt_type: the packet type by the destination MAC of the frame at `skb.mac`. */
export function eth_skb_pkt_type(skb: Skb, dev: NetDevice): void {
  const v = skb.view;
  const hi = v.getInt32(skb.mac, false);
  const lo = v.getUint16(skb.mac + 4, false);
  if (hi === dev.macHi && lo === dev.macLo) skb.pktType = PACKET_HOST;
  else if ((hi & 0x01000000) !== 0)
    skb.pktType = hi === -1 && lo === 0xffff ? PACKET_BROADCAST : PACKET_MULTICAST;
  else skb.pktType = PACKET_OTHERHOST;
}

/** eth_header: 14 bytes in front of `data`. MACs are six bytes at an offset. */
export function eth_push_header(skb: Skb, type: number, dst: Uint8Array, src: Uint8Array): void {
  skb.data -= 14;
  const d = skb.data;
  const b = skb.bytes;
  for (let i = 0; i < 6; i++) {
    b[d + i] = dst[i]!;
    b[d + 6 + i] = src[i]!;
  }
  b[d + 12] = type >> 8;
  b[d + 13] = type;
  skb.mac = d;
  skb.protocol = type;
}

/** 48-bit MAC at `off` as a number (exact in a double). */
export const macKey = (b: Uint8Array, off: number): number =>
  ((b[off]! << 16) | (b[off + 1]! << 8) | b[off + 2]!) * 0x1000000 +
  ((b[off + 3]! << 16) | (b[off + 4]! << 8) | b[off + 5]!);

/** Writes what macKey read. */
export function putMac(b: Uint8Array, off: number, key: number): void {
  const hi = Math.floor(key / 0x1000000);
  const lo = key % 0x1000000;
  b[off] = hi >> 16;
  b[off + 1] = hi >> 8;
  b[off + 2] = hi;
  b[off + 3] = lo >> 16;
  b[off + 4] = lo >> 8;
  b[off + 5] = lo;
}
