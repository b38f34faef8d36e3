// ICMP errors that programs make out of the packet in hand, after bpf/lib/icmp.h: new IP and ICMP headers in front of
// the packet, cut to a sample, and back to where it came from.
//
//   | Ethernet, MACs exchanged | IP, addresses exchanged | ICMP | sample of the packet from its IP header on |
//
// The sample's length is taken from the frame, Ethernet header included: what is shorter than the maximum grows by 14
// zero bytes. Its checksum adds only the first 128 of every 256 bytes, as the original's unrolled loop does.

import { DROP_INVALID, ETH_HLEN, ETH_P_IP, ETH_P_IPV6, IPPROTO_ICMP, IPPROTO_ICMPV6 } from "./common.js";
import { csum_fold16, csum_partial, csum_pseudo6 } from "./csum.js";
import {
  type Ctx,
  ctx_full_len,
  load_be16,
  load_be32,
  load_u8,
  revalidate_data4,
  revalidate_data6,
  store_be16,
  store_be32,
  store_u8,
  store_u16,
} from "./ctx.js";
import { eth_store_daddr, eth_store_saddr } from "./eth.js";
import { ipv6_load_addr, ipv6_store_addr } from "./ipv6.js";
import { BPF_ADJ_ROOM_MAC, ctx_adjust_hroom, ctx_adjust_troom } from "./room.js";

export const ICMP_DEST_UNREACH = 3;
export const ICMP_PORT_UNREACH = 3;
export const ICMP_PKT_FILTERED = 13;
export const ICMPV6_DEST_UNREACH = 1;
export const ICMPV6_PORT_UNREACH = 4;

const IPDEFTTL = 64;
const ICMP_PACKET_MAX_SAMPLE_SIZE = 64;
/** Minimum MTU less both headers. */
const ICMPV6_PACKET_MAX_SAMPLE_SIZE = 1280 - 40 - 8;

const saddr6 = new Int32Array(4);
const daddr6 = new Int32Array(4);
const mac = new Int32Array(4);

/** icmp_wsum_accumulate(). */
function sample_sum(ctx: Ctx, sample_len: number): number {
  let sum = 0;
  for (let i = 0; i < sample_len; i += 256) {
    const n = sample_len - i;
    sum += csum_partial(ctx, ETH_HLEN + i, n < 128 ? n : 128);
  }
  return sum;
}

/**
 * The headers are pushed in front of the frame, so its MACs are kept aside and come back exchanged.
 */
function save_macs(ctx: Ctx): void {
  mac[0] = load_be32(ctx, 6);
  mac[1] = load_be16(ctx, 10);
  mac[2] = load_be32(ctx, 0);
  mac[3] = load_be16(ctx, 4);
}

function exchange_macs(ctx: Ctx, proto: number): void {
  eth_store_daddr(ctx, mac[0], mac[1]);
  eth_store_saddr(ctx, mac[2], mac[3]);
  store_u16(ctx, 12, proto);
}

/**
 * generate_icmp4_reply(): turns the packet into an ICMP error about itself, from its destination to its source,
 * quoting at most 64 bytes of it. The caller sends it back where it came from. 0 or a drop reason.
 */
export function generate_icmp4_reply(ctx: Ctx, icmp_type: number, icmp_code: number): number {
  if (!revalidate_data4(ctx)) return DROP_INVALID;
  save_macs(ctx);
  const saddr = load_be32(ctx, ETH_HLEN + 12);
  const daddr = load_be32(ctx, ETH_HLEN + 16);
  // Read before the headers are pushed; the error goes out with the packet's own type of service.
  const tos = load_u8(ctx, ETH_HLEN + 1);
  const full = ctx_full_len(ctx);
  const sample_len = full < ICMP_PACKET_MAX_SAMPLE_SIZE ? full : ICMP_PACKET_MAX_SAMPLE_SIZE;
  ctx_adjust_troom(ctx, sample_len + ETH_HLEN - full);
  // Before the push as well: by then the sample is elsewhere, and its sum goes into the checksum as one part.
  const sum = sample_sum(ctx, sample_len);
  if (ctx_adjust_hroom(ctx, 20 + 8, BPF_ADJ_ROOM_MAC) < 0) return DROP_INVALID;
  exchange_macs(ctx, ETH_P_IP);
  const ip4 = ETH_HLEN;
  store_u8(ctx, ip4, 0x45);
  store_u8(ctx, ip4 + 1, tos);
  store_u16(ctx, ip4 + 2, 20 + 8 + sample_len);
  store_be32(ctx, ip4 + 4, 0);
  store_u8(ctx, ip4 + 8, IPDEFTTL);
  store_u8(ctx, ip4 + 9, IPPROTO_ICMP);
  store_be16(ctx, ip4 + 10, 0);
  store_be32(ctx, ip4 + 12, daddr);
  store_be32(ctx, ip4 + 16, saddr);
  store_be16(ctx, ip4 + 10, ~csum_fold16(csum_partial(ctx, ip4, 20)) & 0xffff);
  const icmp = ip4 + 20;
  store_u8(ctx, icmp, icmp_type);
  store_u8(ctx, icmp + 1, icmp_code);
  store_be16(ctx, icmp + 2, 0);
  store_be32(ctx, icmp + 4, 0);
  store_be16(ctx, icmp + 2, ~csum_fold16(sum + csum_partial(ctx, icmp, 8)) & 0xffff);
  return 0;
}

/**
 * generate_icmp6_reply(): the same; quotes as much as fits the minimum MTU (RFC 4443). 0 or a drop reason.
 */
export function generate_icmp6_reply(ctx: Ctx, icmp_type: number, icmp_code: number): number {
  if (!revalidate_data6(ctx)) return DROP_INVALID;
  save_macs(ctx);
  ipv6_load_addr(ctx, ETH_HLEN + 8, daddr6, 0);
  ipv6_load_addr(ctx, ETH_HLEN + 24, saddr6, 0);
  const full = ctx_full_len(ctx);
  const sample_len = full < ICMPV6_PACKET_MAX_SAMPLE_SIZE ? full : ICMPV6_PACKET_MAX_SAMPLE_SIZE;
  ctx_adjust_troom(ctx, sample_len + ETH_HLEN - full);
  const sum = sample_sum(ctx, sample_len);
  if (ctx_adjust_hroom(ctx, 40 + 8, BPF_ADJ_ROOM_MAC) < 0) return DROP_INVALID;
  exchange_macs(ctx, ETH_P_IPV6);
  const ip6 = ETH_HLEN;
  const len = 8 + sample_len;
  store_u16(ctx, ip6, 0x6000);
  store_u16(ctx, ip6 + 2, 0);
  store_u16(ctx, ip6 + 4, len);
  store_u8(ctx, ip6 + 6, IPPROTO_ICMPV6);
  store_u8(ctx, ip6 + 7, IPDEFTTL);
  ipv6_store_addr(ctx, ip6 + 8, saddr6, 0);
  ipv6_store_addr(ctx, ip6 + 24, daddr6, 0);
  const icmp = ip6 + 40;
  store_u8(ctx, icmp, icmp_type);
  store_u8(ctx, icmp + 1, icmp_code);
  store_be16(ctx, icmp + 2, 0);
  store_be32(ctx, icmp + 4, 0);
  // Unlike IPv4's, this checksum covers both addresses, the length and the protocol.
  const pseudo = csum_pseudo6(ctx, ip6 + 8, len, IPPROTO_ICMPV6);
  store_be16(ctx, icmp + 2, ~csum_fold16(sum + pseudo + csum_partial(ctx, icmp, 8)) & 0xffff);
  return 0;
}
