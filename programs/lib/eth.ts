// The Ethernet header, after bpf/lib/eth.h. A MAC is two words as maps hold them (four bytes, two bytes), or six bytes.

import { bswap16 } from "../../src/net/view.js";
import { ETH_HLEN } from "./common.js";
import { type Ctx, ctx_has, load_u16, store_be16, store_be32 } from "./ctx.js";

/** EtherType that validate_ethertype last read, host order; 0 if the frame is too short. */
export let ethertype = 0;

/**
 * validate_ethertype(): reads the EtherType into `ethertype`; false for runts and IEEE 802.3 length fields. A device
 * without Ethernet header takes skb->protocol.
 */
export function validate_ethertype(ctx: Ctx): boolean {
  if (ctx.config.eth_header_length === 0) {
    ethertype = ctx.skb.protocol;
    return true;
  }
  ethertype = 0;
  if (!ctx_has(ctx, ETH_HLEN)) return false;
  ethertype = load_u16(ctx, 12);
  return eth_is_supported_ethertype(ethertype);
}

/**
 * True for Ethernet II types. The original compares two big-endian numbers as they are loaded, so on little-endian
 * machines most IEEE 802.3 lengths count as types: only 0x0000, 0x0100 ... 0x0500 do not.
 */
export function eth_is_supported_ethertype(proto: number): boolean {
  return bswap16(proto) >= 0x0006;
}

export function eth_store_daddr(ctx: Ctx, lo: number, hi: number): void {
  store_be32(ctx, 0, lo);
  store_be16(ctx, 4, hi);
}

export function eth_store_saddr(ctx: Ctx, lo: number, hi: number): void {
  store_be32(ctx, 6, lo);
  store_be16(ctx, 10, hi);
}

/** Writes six bytes as the destination address. */
export function eth_store_daddr_bytes(ctx: Ctx, mac: Uint8Array): void {
  eth_store_daddr(ctx, mac_lo(mac), mac_hi(mac));
}

export function eth_store_saddr_bytes(ctx: Ctx, mac: Uint8Array): void {
  eth_store_saddr(ctx, mac_lo(mac), mac_hi(mac));
}

/** First four bytes of a MAC as a word. */
export function mac_lo(mac: Uint8Array): number {
  return mac[0] | (mac[1] << 8) | (mac[2] << 16) | (mac[3] << 24);
}

/** Last two bytes of a MAC. */
export function mac_hi(mac: Uint8Array): number {
  return mac[4] | (mac[5] << 8);
}
