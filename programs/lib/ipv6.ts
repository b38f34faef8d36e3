// IPv6 on the packet path, after bpf/lib/ipv6.h. `ip6` in a signature is the offset of the header; the programs only
// know it at ETH_HLEN, as in C.
//
// Extension headers: hop-by-hop, routing, destination options and AH are walked over, at most IPV6_MAX_HEADERS of
// them; a fragment header is noted in the fraginfo; ESP and "no next header" cannot be handled.

import { NONE } from "../../maps/spec.js";
import { Step } from "../../src/bpf/steps.js";
import {
  DROP_CT_INVALID_HDR,
  DROP_FRAG_NOT_FOUND,
  DROP_INVALID,
  DROP_INVALID_EXTHDR,
  ETH_HLEN,
  IPPROTO_AH,
  IPPROTO_DSTOPTS,
  IPPROTO_FRAGMENT,
  IPPROTO_HOPOPTS,
  IPPROTO_ICMPV6,
  IPPROTO_NONE,
  IPPROTO_ROUTING,
  REASON_FRAG_PACKET_UPDATE,
} from "./common.js";
import {
  type Ctx,
  ctx_full_len,
  ctx_has,
  load_be16,
  load_be32,
  load_u8,
  store_be32,
  store_u8,
} from "./ctx.js";
import { IPFRAG_FRAGMENT, IPFRAG_NO_L4 } from "./ipv4.js";
import { ct_to_metrics_dir, update_metrics } from "./metrics.js";
import { IPV6_FRAG_UPDATE } from "./source_lines.js";

// Offsets in the header: payload length 4 (u16, without these 40 bytes), next header 6, hop limit 7, source 8,
// destination 24. An address in words is the wire bytes loaded little-endian, four at a time.
export const IPV6_HLEN = 40;
const IPV6_MAX_HEADERS = 4;
/** Offsets of the addresses within the header. */
export const IPV6_SADDR_OFF = 8;
export const IPV6_DADDR_OFF = 24;

/** The header's own field: an extension header, if there is one. ctx.nexthdr has the protocol behind all of them. */
export function ipv6_nexthdr(ctx: Ctx, ip6: number): number {
  return load_u8(ctx, ip6 + 6);
}

/** Copies an address of the header into four words. */
export function ipv6_load_addr(ctx: Ctx, off: number, words: Int32Array, at: number): void {
  const view = ctx.skb.view;
  const o = ctx.skb.data + off;
  words[at] = view.getInt32(o, true);
  words[at + 1] = view.getInt32(o + 4, true);
  words[at + 2] = view.getInt32(o + 8, true);
  words[at + 3] = view.getInt32(o + 12, true);
}

/** Writes four words as an address at a frame offset. */
export function ipv6_store_addr(ctx: Ctx, off: number, words: Int32Array, at: number): void {
  store_be32(ctx, off, words[at]!);
  store_be32(ctx, off + 4, words[at + 1]!);
  store_be32(ctx, off + 8, words[at + 2]!);
  store_be32(ctx, off + 12, words[at + 3]!);
}

/** True if the address at a frame offset equals four words. */
export function ipv6_addr_equals(ctx: Ctx, off: number, words: Int32Array, at: number): boolean {
  return (
    load_be32(ctx, off) === words[at] &&
    load_be32(ctx, off + 4) === words[at + 1] &&
    load_be32(ctx, off + 8) === words[at + 2] &&
    load_be32(ctx, off + 12) === words[at + 3]
  );
}

/**
 * ipv6_hdrlen_with_fraginfo(): bytes from the IPv6 header to the L4 header, or a negative drop reason. Leaves the L4
 * protocol in ctx.nexthdr and the fraginfo in ctx.fraginfo (id and protocol of a fragment in ctx.frag_id, ctx.frag_proto).
 */
export function ipv6_hdrlen_with_fraginfo(ctx: Ctx, ip6: number): number {
  ctx.fraginfo = 0;
  let nh = load_u8(ctx, ip6 + 6);
  let len = IPV6_HLEN;
  // Bounded as the verifier wants it; a longer chain is a drop (156), not a packet without ports.
  for (let i = 0; i < IPV6_MAX_HEADERS; i++) {
    switch (nh) {
      case IPPROTO_NONE:
        return DROP_INVALID_EXTHDR;
      case IPPROTO_FRAGMENT: {
        if (!ctx_has(ctx, ip6 + len + 8)) return DROP_INVALID;
        const first = load_u8(ctx, ip6 + len);
        // frag_off as loaded little-endian: byte 2 holds the high offset bits, byte 3 the low ones and M.
        const off = load_be16(ctx, ip6 + len + 2);
        // Neither offset nor M: an atomic fragment, which is whole.
        if ((off & 0xf9ff) !== 0) {
          ctx.fraginfo = (off & 0xf8ff) !== 0 ? IPFRAG_FRAGMENT | IPFRAG_NO_L4 : IPFRAG_FRAGMENT;
        }
        ctx.frag_id = load_be32(ctx, ip6 + len + 4);
        ctx.frag_proto = first;
        nh = first;
        len += 8;
        // Behind a fragment header that is not the first fragment's there is no further header to walk.
        if ((ctx.fraginfo & IPFRAG_NO_L4) !== 0) {
          ctx.nexthdr = nh;
          return len;
        }
        break;
      }
      case IPPROTO_HOPOPTS:
      case IPPROTO_ROUTING:
      case IPPROTO_AH:
      case IPPROTO_DSTOPTS: {
        if (!ctx_has(ctx, ip6 + len + 2)) return DROP_INVALID;
        const size = load_u8(ctx, ip6 + len + 1);
        const next = load_u8(ctx, ip6 + len);
        // AH counts words of four bytes less two, the others units of eight beyond the first.
        len += nh === IPPROTO_AH ? (size + 2) << 2 : (size + 1) << 3;
        nh = next;
        break;
      }
      default:
        ctx.nexthdr = nh;
        return len;
    }
  }
  return DROP_INVALID_EXTHDR;
}

/** ipv6_hdrlen(): the same when the fraginfo does not matter. */
export function ipv6_hdrlen(ctx: Ctx, ip6: number): number {
  return ipv6_hdrlen_with_fraginfo(ctx, ip6);
}

// struct ipv6_frag_id: id u32, proto u8, 3 pad, saddr 16, daddr 16.
// The value is the four port bytes of the first fragment, source port first.
const frag_key = new Int32Array(10);
const frag_value = new Int32Array(1);

/** ipv6_load_l4_ports(): like ipv4_load_l4_ports; the fragment's identity is in ctx.frag_id and ctx.frag_proto. */
export function ipv6_load_l4_ports(
  ctx: Ctx,
  ip6: number,
  fraginfo: number,
  l4_off: number,
  dir: number,
): number {
  if (ctx.def.ENABLE_IPV6_FRAGMENTS && (fraginfo & IPFRAG_FRAGMENT) !== 0) {
    return ipv6_handle_fragmentation(ctx, ip6, fraginfo, l4_off, dir);
  }
  // 135 (DROP_CT_INVALID_HDR): the frame ends before the ports do.
  if (!ctx_has(ctx, l4_off + 4)) return DROP_CT_INVALID_HDR;
  ctx.l4_ports = load_be32(ctx, l4_off);
  return 0;
}

// As ipv4_handle_fragmentation: 175 where the first fragment has not been seen; a failed insertion is only counted.
function ipv6_handle_fragmentation(
  ctx: Ctx,
  ip6: number,
  fraginfo: number,
  l4_off: number,
  dir: number,
): number {
  const map = ctx.maps.cilium_ipv6_frag_datagrams;
  frag_key[0] = ctx.frag_id;
  frag_key[1] = ctx.frag_proto;
  ipv6_load_addr(ctx, ip6 + IPV6_SADDR_OFF, frag_key, 2);
  ipv6_load_addr(ctx, ip6 + IPV6_DADDR_OFF, frag_key, 6);
  if ((fraginfo & IPFRAG_NO_L4) !== 0) {
    const slot = map.lookup(frag_key);
    if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
    if (slot === NONE) return DROP_FRAG_NOT_FOUND;
    ctx.l4_ports = map.words[slot * map.valueWords]!;
    return 0;
  }
  if (!ctx_has(ctx, l4_off + 4)) return DROP_CT_INVALID_HDR;
  ctx.l4_ports = load_be32(ctx, l4_off);
  frag_value[0] = ctx.l4_ports;
  const err = map.update(frag_key, frag_value, 0);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_UPDATE, ctx.skb, map, err, 0, 0);
  if (err < 0) {
    update_metrics(
      ctx,
      ctx_full_len(ctx),
      ct_to_metrics_dir(dir),
      REASON_FRAG_PACKET_UPDATE,
      IPV6_FRAG_UPDATE,
    );
  }
  return 0;
}

/** True if the hop limit is too low to forward the packet. */
export function ipv6_hoplimit_exceeded(ctx: Ctx, ip6: number): boolean {
  return load_u8(ctx, ip6 + 7) <= 1;
}

/** ipv6_dec_hoplimit() of a packet that may be forwarded. */
export function ipv6_dec_hoplimit(ctx: Ctx, ip6: number): void {
  store_u8(ctx, ip6 + 7, load_u8(ctx, ip6 + 7) - 1);
}

/** True for an ICMPv6 packet without extension headers. */
export function is_icmp6(ctx: Ctx, ip6: number): boolean {
  return load_u8(ctx, ip6 + 6) === IPPROTO_ICMPV6;
}

/** Offset of the L4 header of a packet without extension headers. */
export const ICMP6_OFF = ETH_HLEN + IPV6_HLEN;
