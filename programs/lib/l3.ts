// One hop at layer 3: TTL and MAC addresses, after bpf/lib/l3.h.

import { CTX_ACT_OK, DROP_INVALID, DROP_TTL_EXCEEDED } from "./common.js";
import { type Ctx, ctx_has } from "./ctx.js";
import { eth_store_daddr, eth_store_saddr } from "./eth.js";
import { icmp6_send_time_exceeded } from "./icmp6.js";
import { ipv4_dec_ttl, ipv4_ttl_exceeded } from "./ipv4.js";
import { ipv6_dec_hoplimit, ipv6_hoplimit_exceeded } from "./ipv6.js";

/** ipv4_l3() without MACs: decrements the TTL. DROP_TTL_EXCEEDED instead of an ICMP error: IPv4 is dropped silently. */
export function ipv4_l3_ttl(ctx: Ctx, l3_off: number): number {
  if (!ctx_has(ctx, l3_off + 20)) return DROP_INVALID;
  if (ipv4_ttl_exceeded(ctx, l3_off)) return DROP_TTL_EXCEEDED;
  ipv4_dec_ttl(ctx, l3_off);
  return CTX_ACT_OK;
}

/** ipv4_l3(): TTL, then source and destination MAC (each two words). */
export function ipv4_l3(
  ctx: Ctx,
  l3_off: number,
  smac_lo: number,
  smac_hi: number,
  dmac_lo: number,
  dmac_hi: number,
): number {
  const ret = ipv4_l3_ttl(ctx, l3_off);
  if (ret !== CTX_ACT_OK) return ret;
  eth_store_saddr(ctx, smac_lo, smac_hi);
  eth_store_daddr(ctx, dmac_lo, dmac_hi);
  return CTX_ACT_OK;
}

/**
 * ipv6_l3() without MACs: decrements the hop limit. Where it is used up the packet becomes an ICMPv6 time exceeded; the
 * verdict of that tail call, which is not CTX_ACT_OK, is then the caller's.
 */
export function ipv6_l3_ttl(ctx: Ctx, l3_off: number, direction: number): number {
  if (!ctx_has(ctx, l3_off + 40)) return DROP_INVALID;
  if (ipv6_hoplimit_exceeded(ctx, l3_off)) return icmp6_send_time_exceeded(ctx, direction);
  ipv6_dec_hoplimit(ctx, l3_off);
  return CTX_ACT_OK;
}
