// ICMP errors that programs make out of the packet in hand, after bpf/lib/icmp.h.

import { CTX_ACT_OK, DROP_INVALID, DROP_WRITE_ERROR, ETH_HLEN, IPPROTO_ICMP } from "./common.js";
import {
  type Ctx,
  ctx_full_len,
  ctx_has,
  load_be16,
  load_be32,
  store_be16,
  store_be32,
  store_u16,
  store_u8,
} from "./ctx.js";
import { csum_fold16, csum_partial } from "./csum.js";
import { eth_store_daddr, eth_store_saddr } from "./eth.js";

export const ICMP_DEST_UNREACH = 3;
export const ICMP_PORT_UNREACH = 3;
export const ICMP_PKT_FILTERED = 13;

/** Bytes of the original IP packet that are quoted at most. */
const ICMP_PACKET_MAX_SAMPLE_SIZE = 64;

/**
 * generate_icmp4_reply(): turns the packet into an ICMP error about itself, addressed back to its source and coming
 * from its destination; MACs are exchanged. 0 or a drop reason.
 */
export function generate_icmp4_reply(ctx: Ctx, icmp_type: number, icmp_code: number): number {
  if (!ctx_has(ctx, ETH_HLEN + 20)) return DROP_INVALID;
  const saddr = load_be32(ctx, ETH_HLEN + 12);
  const daddr = load_be32(ctx, ETH_HLEN + 16);
  const smac_lo = load_be32(ctx, 6);
  const smac_hi = load_be16(ctx, 10);
  const dmac_lo = load_be32(ctx, 0);
  const dmac_hi = load_be16(ctx, 4);
  const full = ctx_full_len(ctx) - ETH_HLEN;
  const sample = full < ICMP_PACKET_MAX_SAMPLE_SIZE ? full : ICMP_PACKET_MAX_SAMPLE_SIZE;
  const total = 20 + 8 + sample;
  if (ctx.helpers.skb_change_tail(ctx.skb, ETH_HLEN + total, 0) < 0) return DROP_WRITE_ERROR;
  const { bytes, data } = ctx.skb;
  const from = data + ETH_HLEN;
  // Backwards, because source and destination overlap.
  for (let i = sample - 1; i >= 0; i--) bytes[from + 28 + i] = bytes[from + i];
  eth_store_daddr(ctx, smac_lo, smac_hi);
  eth_store_saddr(ctx, dmac_lo, dmac_hi);
  const ip4 = ETH_HLEN;
  store_u16(ctx, ip4, 0x4500);
  store_u16(ctx, ip4 + 2, total);
  store_be32(ctx, ip4 + 4, 0);
  store_u8(ctx, ip4 + 8, 64);
  store_u8(ctx, ip4 + 9, IPPROTO_ICMP);
  store_be16(ctx, ip4 + 10, 0);
  store_be32(ctx, ip4 + 12, daddr);
  store_be32(ctx, ip4 + 16, saddr);
  store_be16(ctx, ip4 + 10, ~csum_fold16(csum_partial(ctx, ip4, 20)) & 0xffff);
  store_u8(ctx, ip4 + 20, icmp_type);
  store_u8(ctx, ip4 + 21, icmp_code);
  store_be16(ctx, ip4 + 22, 0);
  store_be32(ctx, ip4 + 24, 0);
  store_be16(ctx, ip4 + 22, ~csum_fold16(csum_partial(ctx, ip4 + 20, 8 + sample)) & 0xffff);
  return CTX_ACT_OK;
}
