// IPv4 on the packet path, after bpf/lib/ipv4.h and ipfrag.h. `ip4` in a signature is the offset of the header.
//
// fraginfo: 0 = no fragment; IPFRAG_FRAGMENT = any fragment; IPFRAG_NO_L4 = one that is not the first, so that it has
// no L4 header.

import { NONE } from "../../maps/spec.js";
import { Step } from "../../src/bpf/steps.js";
import { DROP_CT_INVALID_HDR, DROP_FRAG_NOT_FOUND, REASON_FRAG_PACKET_UPDATE } from "./common.js";
import {
  type Ctx,
  ctx_full_len,
  ctx_has,
  load_be16,
  load_be32,
  load_u8,
  store_be16,
  store_be32,
  store_u8,
} from "./ctx.js";
import { ct_to_metrics_dir, update_metrics } from "./metrics.js";
import { IPV4_FRAG_UPDATE } from "./source_lines.js";

export const IPFRAG_FRAGMENT = 1;
export const IPFRAG_NO_L4 = 2;

/** Header length in bytes, options included. */
export function ipv4_hdrlen(ctx: Ctx, ip4: number): number {
  return (load_u8(ctx, ip4) & 0xf) << 2;
}

export function ipv4_saddr(ctx: Ctx, ip4: number): number {
  return load_be32(ctx, ip4 + 12);
}

export function ipv4_daddr(ctx: Ctx, ip4: number): number {
  return load_be32(ctx, ip4 + 16);
}

export function ipv4_protocol(ctx: Ctx, ip4: number): number {
  return load_u8(ctx, ip4 + 9);
}

/**
 * ipfrag_encode_ipv4(): IPFRAG_FRAGMENT for any fragment, with IPFRAG_NO_L4 for all but the first; 0 = whole packet. DF
 * does not count.
 */
export function ipfrag_encode_ipv4(ctx: Ctx, ip4: number): number {
  // frag_off as loaded: byte 6 (flags and high offset bits) in the low half.
  const f = load_be16(ctx, ip4 + 6);
  if ((f & 0xff3f) === 0) return 0;
  return (f & 0xff1f) !== 0 ? IPFRAG_FRAGMENT | IPFRAG_NO_L4 : IPFRAG_FRAGMENT;
}

export function ipfrag_is_fragment(fraginfo: number): boolean {
  return (fraginfo & IPFRAG_FRAGMENT) !== 0;
}

export function ipfrag_has_l4_header(fraginfo: number): boolean {
  return (fraginfo & IPFRAG_NO_L4) === 0;
}

/** ipv4_csum_update_by_value() for the TTL word, and ipv4_dec_ttl(): the caller has checked that it is above 1. */
export function ipv4_dec_ttl(ctx: Ctx, ip4: number): void {
  store_u8(ctx, ip4 + 8, load_u8(ctx, ip4 + 8) - 1);
  // RFC 1624 for TTL - 1: the checksum's high byte rises by one, end-around.
  const c = load_be16(ctx, ip4 + 10) + 1;
  store_be16(ctx, ip4 + 10, (c & 0xffff) + (c >>> 16));
}

/** True if the TTL is too low to forward the packet. */
export function ipv4_ttl_exceeded(ctx: Ctx, ip4: number): boolean {
  return load_u8(ctx, ip4 + 8) <= 1;
}

// struct ipv4_frag_id: daddr, saddr, id u16, proto u8, pad.
const frag_key = new Int32Array(3);
const frag_value = new Int32Array(1);

/**
 * ipv4_load_l4_ports(): the four port bytes, as `{sport, dport}` in one word loaded little-endian, into ctx.l4_ports.
 * Fragments go through the fragment map. 0 or a negative drop reason.
 */
export function ipv4_load_l4_ports(
  ctx: Ctx,
  ip4: number,
  fraginfo: number,
  l4_off: number,
  dir: number,
): number {
  if (ctx.def.ENABLE_IPV4_FRAGMENTS && ipfrag_is_fragment(fraginfo)) {
    return ipv4_handle_fragmentation(ctx, ip4, fraginfo, l4_off, dir);
  }
  if (!ctx_has(ctx, l4_off + 4)) return DROP_CT_INVALID_HDR;
  ctx.l4_ports = load_be32(ctx, l4_off);
  return 0;
}

// The first fragment stores its ports under {addresses, id, protocol}; the others find them there.
function ipv4_handle_fragmentation(
  ctx: Ctx,
  ip4: number,
  fraginfo: number,
  l4_off: number,
  dir: number,
): number {
  const map = ctx.maps.cilium_ipv4_frag_datagrams;
  frag_key[0] = ipv4_daddr(ctx, ip4);
  frag_key[1] = ipv4_saddr(ctx, ip4);
  frag_key[2] = load_be16(ctx, ip4 + 4) | (ipv4_protocol(ctx, ip4) << 16);
  if (!ipfrag_has_l4_header(fraginfo)) {
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
  // Nothing prevents this packet from being processed; later fragments will not be found.
  if (err < 0) {
    update_metrics(
      ctx,
      ctx_full_len(ctx),
      ct_to_metrics_dir(dir),
      REASON_FRAG_PACKET_UPDATE,
      IPV4_FRAG_UPDATE,
    );
  }
  return 0;
}

/** Writes an address field (offset within the header 12 or 16); the checksum is the caller's business. */
export function ipv4_store_addr(ctx: Ctx, ip4: number, off: number, addr: number): void {
  store_be32(ctx, ip4 + off, addr);
}
