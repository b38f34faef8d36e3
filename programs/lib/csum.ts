// Checksums after bpf/lib/csum.h and the kernel's bpf_l3_csum_replace, bpf_l4_csum_replace and bpf_csum_diff.
//
// A "diff" is an unfolded one's complement sum kept as int32: what has to be added for new bytes and taken away for
// old ones. One's complement addition has no byte order, so words are used as they are loaded.

import {
  DROP_CSUM_L4,
  DROP_WRITE_ERROR,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
} from "./common.js";
import { type Ctx, ctx_has, load_be16, store_be16 } from "./ctx.js";

export const BPF_F_PSEUDO_HDR = 0x10;
export const BPF_F_MARK_MANGLED_0 = 0x20;

/** Adds two unfolded sums with end-around carry. */
export function csum_add(a: number, b: number): number {
  const s = (a + b) | 0;
  return s >>> 0 < a >>> 0 ? (s + 1) | 0 : s;
}

/** bpf_csum_diff(&from, 4, &to, 4, seed). */
export function csum_diff_u32(from: number, to: number, seed: number): number {
  return csum_add(csum_add(seed, to), ~from);
}

/** bpf_csum_diff of two 16-byte addresses, four words each. */
export function csum_diff_addr6(
  from: Int32Array,
  fromAt: number,
  to: Int32Array,
  toAt: number,
  seed: number,
): number {
  let s = seed;
  for (let i = 0; i < 4; i++) s = csum_diff_u32(from[fromAt + i]!, to[toAt + i]!, s);
  return s;
}

/**
 * csum_l4_offset_and_flags(): where the protocol keeps its checksum (offset << 8) and the flags of its replacement.
 * 0 = no checksum that addresses or ports enter.
 */
export function csum_l4_offset_and_flags(nexthdr: number): number {
  switch (nexthdr) {
    case IPPROTO_TCP:
      return 16 << 8;
    case IPPROTO_UDP:
      return (6 << 8) | BPF_F_MARK_MANGLED_0;
    case IPPROTO_ICMPV6:
      return 2 << 8;
    case IPPROTO_ICMP:
      return 0;
    case IPPROTO_SCTP:
      return 0;
    default:
      return 0;
  }
}

/** bpf_l4_csum_replace with from = 0 and to = an unfolded diff. `csum` is from csum_l4_offset_and_flags. */
export function csum_l4_replace_diff(ctx: Ctx, l4_off: number, csum: number, diff: number, flags: number): number {
  return replace(ctx, l4_off + (csum >>> 8), (csum & 0xff) | flags, diff);
}

/** bpf_l4_csum_replace of one 16-bit field. */
export function csum_l4_replace_u16(
  ctx: Ctx,
  l4_off: number,
  csum: number,
  from: number,
  to: number,
  flags: number,
): number {
  return replace(ctx, l4_off + (csum >>> 8), (csum & 0xff) | flags, csum_diff_u32(from, to, 0));
}

// The kernel leaves a UDP checksum of 0 ("none") alone and writes 0xffff for a computed 0. Our packets are never
// CHECKSUM_PARTIAL, so the pseudo header flag makes no difference.
function replace(ctx: Ctx, off: number, flags: number, diff: number): number {
  if (!ctx_has(ctx, off + 2)) return DROP_CSUM_L4;
  const old = load_be16(ctx, off);
  if ((flags & BPF_F_MARK_MANGLED_0) !== 0 && old === 0) return 0;
  let s = (~old & 0xffff) + (diff & 0xffff) + (diff >>> 16);
  s = (s & 0xffff) + (s >>> 16);
  s = (s & 0xffff) + (s >>> 16);
  let sum = ~s & 0xffff;
  if ((flags & BPF_F_MARK_MANGLED_0) !== 0 && sum === 0) sum = 0xffff;
  store_be16(ctx, off, sum);
  return 0;
}

/** l4_modify_port(): writes a port (offset 0 or 2 in the L4 header) and corrects the checksum. */
export function l4_modify_port(
  ctx: Ctx,
  l4_off: number,
  off: number,
  csum: number,
  port: number,
  old_port: number,
): number {
  if (csum_l4_replace_u16(ctx, l4_off, csum, old_port, port, 0) < 0) return DROP_CSUM_L4;
  if (!ctx_has(ctx, l4_off + off + 2)) return DROP_WRITE_ERROR;
  store_be16(ctx, l4_off + off, port);
  return 0;
}

/** Internet checksum over `len` bytes of the frame from `off`, added to `seed` (unfolded). */
export function csum_partial(ctx: Ctx, off: number, len: number, seed: number): number {
  const view = ctx.skb.view;
  const base = ctx.skb.data + off;
  let s = seed;
  let i = 0;
  for (; i + 1 < len; i += 2) s = csum_add(s, view.getUint16(base + i, true));
  if (i < len) s = csum_add(s, view.getUint8(base + i));
  return s;
}

/** Folds an unfolded sum and complements it: the value to store, as loaded little-endian. */
export function csum_fold(sum: number): number {
  let s = (sum & 0xffff) + (sum >>> 16);
  s = (s & 0xffff) + (s >>> 16);
  return ~s & 0xffff;
}
