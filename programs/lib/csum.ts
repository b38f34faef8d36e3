// Checksum updates as programs make them, after bpf/lib/csum.h and the helpers bpf_csum_diff, bpf_l3_csum_replace and
// bpf_l4_csum_replace of net/core/filter.c.
//
// A partial sum here is a plain number: 16-bit parts added up, not yet folded. It stays far below 2^31 with the few
// terms that programs add, so no carry is lost. Words are taken as a little-endian CPU loads them; one's complement
// sums do not care, as long as all parts are loaded alike.
//
// Differs from the kernel: skb->ip_summed is not modelled. Checksums are always complete and are always updated, as for
// a packet with CHECKSUM_NONE; BPF_F_PSEUDO_HDR and BPF_F_IPV6 therefore change nothing and have no parameter.

import {
  DROP_CSUM_L4,
  DROP_WRITE_ERROR,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
} from "./common.js";
import type { Ctx } from "./ctx.js";

export const TCP_SPORT_OFF = 0;
export const TCP_DPORT_OFF = 2;
export const TCP_CSUM_OFF = 16;
export const UDP_CSUM_OFF = 6;
export const ICMP_CSUM_OFF = 2;
export const ICMPV6_CSUM_OFF = 2;
export const IPV4_CSUM_OFF = 10;

/** csum_diff of four bytes with four bytes. */
export function csum_diff4(from: number, to: number): number {
  return (~from & 0xffff) + (~from >>> 16) + (to & 0xffff) + (to >>> 16);
}

/** csum_diff of two bytes with two bytes. */
export function csum_diff2(from: number, to: number): number {
  return (~from & 0xffff) + (to & 0xffff);
}

/** csum_diff of an IPv6 address with another; four words each. */
export function csum_diff16(from: Int32Array, fromAt: number, to: Int32Array, toAt: number): number {
  return (
    csum_diff4(from[fromAt]!, to[toAt]!) +
    csum_diff4(from[fromAt + 1]!, to[toAt + 1]!) +
    csum_diff4(from[fromAt + 2]!, to[toAt + 2]!) +
    csum_diff4(from[fromAt + 3]!, to[toAt + 3]!)
  );
}

/** csum_diff(NULL, 0, bytes, n, sum): the sum of `n` bytes added to `sum`; an odd last byte counts as a low byte. */
export function csum_partial(bytes: Uint8Array, at: number, n: number, sum: number): number {
  const end = at + (n & ~1);
  for (let i = at; i < end; i += 2) sum += bytes[i]! | (bytes[i + 1]! << 8);
  if ((n & 1) !== 0) sum += bytes[end]!;
  return sum;
}

/** csum_fold: the complement of the folded sum, as it is stored. */
export function csum_fold(sum: number): number {
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/**
 * csum_replace_by_diff: the checksum `check` after a change of `diff`. The kernel adds the complement of the unfolded
 * checksum, so that the sum is never the all-zero form of zero and the result never 0xffff.
 */
export function csum_replace_by_diff(check: number, diff: number): number {
  let sum = (~check & 0xffff) + diff;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return sum === 0 ? 0 : ~sum & 0xffff;
}

/** ipv4_csum_update_by_diff: 0, or negative where the header is not there. */
export function ipv4_csum_update_by_diff(ctx: Ctx, l3_off: number, diff: number): number {
  const skb = ctx.skb;
  const at = skb.data + l3_off + IPV4_CSUM_OFF;
  if (at + 2 > skb.tail) return -14;
  skb.view.setUint16(at, csum_replace_by_diff(skb.view.getUint16(at, true), diff), true);
  return 0;
}

/** csum_l4_offset_and_flags: offset of the checksum within the L4 header; 0 = none that the addresses are part of. */
export function csum_l4_offset(nexthdr: number): number {
  switch (nexthdr) {
    case IPPROTO_TCP:
      return TCP_CSUM_OFF;
    case IPPROTO_UDP:
      return UDP_CSUM_OFF;
    case IPPROTO_ICMPV6:
      return ICMPV6_CSUM_OFF;
    default:
      // ICMPv4 has no pseudo header, SCTP a CRC.
      return 0;
  }
}

/**
 * csum_l4_replace with a difference. For UDP (BPF_F_MARK_MANGLED_0) a checksum of 0 means "none" and stays, and a
 * result of 0 is written as 0xffff. 0, or -EFAULT where the frame ends before the field.
 */
export function csum_l4_replace(
  ctx: Ctx,
  l4_off: number,
  csum_off: number,
  nexthdr: number,
  diff: number,
): number {
  const skb = ctx.skb;
  const at = skb.data + l4_off + csum_off;
  if (at + 2 > skb.tail) return -14;
  const check = skb.view.getUint16(at, true);
  if (nexthdr === IPPROTO_UDP && csum_off === UDP_CSUM_OFF) {
    if (check === 0) return 0;
    const sum = csum_replace_by_diff(check, diff);
    skb.view.setUint16(at, sum === 0 ? 0xffff : sum, true);
    return 0;
  }
  skb.view.setUint16(at, csum_replace_by_diff(check, diff), true);
  return 0;
}

/** l4_modify_port: exchanges a port (or an ICMP id) and adjusts the checksum first; 0 or a drop reason. */
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
  const skb = ctx.skb;
  const at = skb.data + l4_off + port_off;
  if (at + 2 > skb.tail) return DROP_WRITE_ERROR;
  skb.view.setUint16(at, port, true);
  return 0;
}

/** Checksum offset for a change of the ICMP id, where `csum_l4_offset` has none. */
export function icmp_id_csum_offset(nexthdr: number, csum_off: number): number {
  return nexthdr === IPPROTO_ICMP ? ICMP_CSUM_OFF : csum_off;
}
