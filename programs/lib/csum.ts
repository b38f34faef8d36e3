// Checksums, after bpf/lib/csum.h and the kernel's bpf_l3_csum_replace, bpf_l4_csum_replace and bpf_csum_diff.
//
// A "sum" or "diff" here is a plain sum of 16-bit halves, not yet folded: what new bytes add and what old ones take
// away (as complements). Sums of this form are added with `+` and stay far below 2^31 for anything a packet holds.
// One's complement addition has no byte order, so halves are used as they are loaded.
//
// Differs from the kernel: our packets are never CHECKSUM_PARTIAL, so BPF_F_PSEUDO_HDR would make no difference and is
// not a parameter.

import { DROP_CSUM_L4, DROP_WRITE_ERROR, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from "./common.js";
import { type Ctx, ctx_has, load_be16, store_be16 } from "./ctx.js";

/** Offsets of the ports in TCP, UDP and SCTP headers. */
export const TCP_SPORT_OFF = 0;
export const TCP_DPORT_OFF = 2;

/** Difference that replacing the four bytes `from` by `to` makes. */
export function csum_diff4(from: number, to: number): number {
  return (to & 0xffff) + (to >>> 16) + (~from & 0xffff) + (~from >>> 16);
}

/** Difference that replacing a 16-byte address makes; both are four words. */
export function csum_diff16(from: Int32Array, fromAt: number, to: Int32Array, toAt: number): number {
  let s = 0;
  for (let i = 0; i < 4; i++) s += csum_diff4(from[fromAt + i], to[toAt + i]);
  return s;
}

/** Difference that replacing the two bytes `from` by `to` makes. */
export function csum_diff2(from: number, to: number): number {
  return (to & 0xffff) + (~from & 0xffff);
}

/** Folds a sum to 16 bits, not complemented. */
export function csum_fold16(sum: number): number {
  let s = (sum & 0xffff) + (sum >>> 16);
  s = (s & 0xffff) + (s >>> 16);
  return s & 0xffff;
}

/** The checksum field `old` after a difference: ~fold(~old + diff). */
export function csum_update(old: number, diff: number): number {
  return ~csum_fold16((~old & 0xffff) + diff) & 0xffff;
}

/** csum_l4_offset_and_flags(): offset of the checksum that addresses and ports enter; 0 = the protocol has none. */
export function csum_l4_offset(nexthdr: number): number {
  switch (nexthdr) {
    case IPPROTO_TCP:
      return 16;
    case IPPROTO_UDP:
      return 6;
    case IPPROTO_ICMPV6:
      return 2;
    default:
      return 0;
  }
}

/**
 * csum_l4_replace(): adds a difference to the L4 checksum at `l4_off + csum_off`. UDP has BPF_F_MARK_MANGLED_0: a
 * checksum of 0 ("none") stays, and a computed 0 becomes 0xffff. 0 or DROP_CSUM_L4 if the field is not in the packet.
 */
export function csum_l4_replace(
  ctx: Ctx,
  l4_off: number,
  csum_off: number,
  nexthdr: number,
  diff: number,
): number {
  const off = l4_off + csum_off;
  if (!ctx_has(ctx, off + 2)) return DROP_CSUM_L4;
  const old = load_be16(ctx, off);
  const udp = nexthdr === IPPROTO_UDP;
  if (udp && old === 0) return 0;
  const sum = csum_update(old, diff);
  store_be16(ctx, off, udp && sum === 0 ? 0xffff : sum);
  return 0;
}

/** ipv4_csum_update_by_diff(): adds a difference to the IPv4 header checksum. */
export function ipv4_csum_update_by_diff(ctx: Ctx, ip4: number, diff: number): number {
  store_be16(ctx, ip4 + 10, csum_update(load_be16(ctx, ip4 + 10), diff));
  return 0;
}

/** l4_modify_port(): writes a port (TCP_SPORT_OFF or TCP_DPORT_OFF) and corrects the checksum. */
export function l4_modify_port(
  ctx: Ctx,
  l4_off: number,
  port_off: number,
  csum_off: number,
  nexthdr: number,
  port: number,
  old_port: number,
): number {
  if (csum_l4_replace(ctx, l4_off, csum_off, nexthdr, csum_diff2(old_port, port)) < 0) return DROP_CSUM_L4;
  if (!ctx_has(ctx, l4_off + port_off + 2)) return DROP_WRITE_ERROR;
  store_be16(ctx, l4_off + port_off, port);
  return 0;
}

/** Sum of `len` bytes of the frame from `off`. */
export function csum_partial(ctx: Ctx, off: number, len: number): number {
  const view = ctx.skb.view;
  const base = ctx.skb.data + off;
  let s = 0;
  let i = 0;
  for (; i + 1 < len; i += 2) s += view.getUint16(base + i, true);
  if (i < len) s += view.getUint8(base + i);
  return s;
}

/** Sum of an IPv6 pseudo header: the two addresses at `saddr_off` (32 bytes), upper-layer length and protocol. */
export function csum_pseudo6(ctx: Ctx, saddr_off: number, len: number, nexthdr: number): number {
  // Length and protocol as big-endian words, loaded little-endian.
  return csum_partial(ctx, saddr_off, 32) + (((len & 0xff) << 8) | ((len >>> 8) & 0xff)) + (nexthdr << 8);
}
