// Forwarding by the kernel's FIB from a program, after bpf/lib/fib.h: look the route up, take a hop off the TTL, hand the
// packet to the neighbour subsystem of the output device. No netfilter hook is passed on this way.

import { NONE } from "../../maps/spec.js";
import {
  BPF_FIB_LKUP_RET_NO_NEIGH,
  BPF_FIB_LKUP_RET_SUCCESS,
  BPF_FIB_LOOKUP_SKIP_NEIGH,
  FibLookup,
} from "../../src/bpf/fib_lookup.js";
import { AF_INET, AF_INET6, RedirNeigh } from "../../src/bpf/helpers.js";
import { BPF_FIB_MAP_NO_NEIGH, CTX_ACT_OK, DROP_NO_FIB, METRIC_EGRESS } from "./common.js";
import { type Ctx, ctx_redirect, IS_BPF_XDP, load_be32 } from "./ctx.js";
import { eth_store_daddr, eth_store_saddr, eth_store_saddr_bytes } from "./eth.js";
import { ipv4_l3_ttl, ipv6_l3_ttl } from "./l3.js";

/** The parameter block of the last look-up (a stack variable in C). */
export const fib_params: FibLookup = new FibLookup();
const nh = new RedirNeigh();
const neigh_key4 = new Int32Array(1);
const neigh_key6 = new Int32Array(4);

/** neigh_resolver_available(): bpf_redirect_neigh exists for tc programs only. */
export function neigh_resolver_available(ctx: Ctx): boolean {
  return ctx.obj.kind !== IS_BPF_XDP;
}

/** fib_ok(): a route was found, with or without neighbour. */
export function fib_ok(ret: number): boolean {
  return ret === BPF_FIB_LKUP_RET_SUCCESS || ret === BPF_FIB_LKUP_RET_NO_NEIGH;
}

/**
 * fib_lookup(): the device of the packet counts as the one it came in on, so policy rules (`ip rule`, iif) apply as
 * for forwarding. Who resolves neighbours later (tc, bpf_redirect_neigh) does not need them now, where the kernel has
 * the flag.
 */
function do_lookup(ctx: Ctx, flags: number): number {
  // Who resolves neighbours later does not need them now.
  const f =
    neigh_resolver_available(ctx) && ctx.config.supports_fib_lookup_skip_neigh
      ? flags | BPF_FIB_LOOKUP_SKIP_NEIGH
      : flags;
  return ctx.helpers.fib_lookup(ctx.skb, fib_params, f);
}

/** fib_lookup_v4(): fills fib_params and looks up; BPF_FIB_LKUP_RET_* or a negative errno. */
export function fib_lookup_v4(ctx: Ctx, saddr: number, daddr: number, flags: number): number {
  fib_params.clear();
  fib_params.family = AF_INET;
  fib_params.ifindex = ctx.skb.ifindex;
  fib_params.ipv4Src = saddr;
  fib_params.ipv4Dst = daddr;
  return do_lookup(ctx, flags);
}

/** fib_lookup_v6(): the addresses are four words each. */
export function fib_lookup_v6(
  ctx: Ctx,
  saddr: Int32Array,
  saddrAt: number,
  daddr: Int32Array,
  daddrAt: number,
  flags: number,
): number {
  fib_params.clear();
  fib_params.family = AF_INET6;
  fib_params.ifindex = ctx.skb.ifindex;
  const v = fib_params.view;
  for (let i = 0; i < 4; i++) {
    v.setInt32(16 + 4 * i, saddr[saddrAt + i], true);
    v.setInt32(32 + 4 * i, daddr[daddrAt + i], true);
  }
  return do_lookup(ctx, flags);
}

/** fib_lookup_src_v4(): which source address the route of `daddr` has (BPF_FIB_LOOKUP_SRC); result in fib_params. */
export function fib_lookup_src_v4(ctx: Ctx, daddr: number, flags: number): number {
  fib_params.clear();
  fib_params.family = AF_INET;
  fib_params.ifindex = ctx.skb.ifindex;
  fib_params.ipv4Dst = daddr;
  return do_lookup(ctx, flags);
}

/**
 * fib_do_redirect(): sends the packet out of `oif`. `with_params`: fib_params holds a look-up whose next hop is used;
 * without, the neighbour subsystem routes by itself. XDP writes MACs and transmits, from the look-up or, with
 * `use_neigh_map`, from the recorded neighbours (ext_err 100 when there is none).
 */
export function fib_do_redirect(
  ctx: Ctx,
  with_params: boolean,
  use_neigh_map: boolean,
  fib_result: number,
  oif: number,
): number {
  if (neigh_resolver_available(ctx)) {
    if (!with_params) return ctx.helpers.redirect_neigh(ctx.skb, oif, null, 0);
    nh.nhFamily = fib_params.family;
    if (nh.nhFamily === AF_INET) {
      nh.ipv4 = fib_params.ipv4Dst;
    } else {
      for (let i = 0; i < 16; i++) nh.ipv6[i] = fib_params.bytes[32 + i];
    }
    return ctx.helpers.redirect_neigh(ctx.skb, oif, nh, 0);
  }
  // XDP: dmac at 58 and smac at 52 of struct bpf_fib_lookup.
  if (with_params && fib_result === BPF_FIB_LKUP_RET_SUCCESS) {
    const v = fib_params.view;
    eth_store_daddr(ctx, v.getInt32(58, true), v.getUint16(62, true));
    eth_store_saddr(ctx, v.getInt32(52, true), v.getUint16(56, true));
    return ctx_redirect(ctx, oif, 0);
  }
  if (use_neigh_map) {
    // By the next hop: replies to clients behind a router need a neighbour that the kernel knows.
    const v4 = fib_params.family !== AF_INET6;
    const map = v4 ? ctx.maps.cilium_nodeport_neigh4 : ctx.maps.cilium_nodeport_neigh6;
    let slot: number;
    if (v4) {
      neigh_key4[0] = fib_params.ipv4Dst;
      slot = map.lookup(neigh_key4);
    } else {
      const v = fib_params.view;
      for (let i = 0; i < 4; i++) neigh_key6[i] = v.getInt32(32 + 4 * i, true);
      slot = map.lookup(neigh_key6);
    }
    if (slot === NONE) {
      ctx.ext_err = BPF_FIB_MAP_NO_NEIGH;
      return DROP_NO_FIB;
    }
    const at = slot * map.valueWords;
    eth_store_daddr(ctx, map.words[at], map.words[at + 1] & 0xffff);
    const smac = ctx.def.NATIVE_DEV_MAC_BY_IFINDEX(oif);
    if (smac !== null) eth_store_saddr_bytes(ctx, smac);
    return ctx_redirect(ctx, oif, 0);
  }
  ctx.ext_err = BPF_FIB_MAP_NO_NEIGH;
  return DROP_NO_FIB;
}

/**
 * fib_redirect_v4(): look-up by the packet's own addresses, TTL, redirect. DROP_NO_FIB with the FIB's code in
 * ctx.ext_err; the output device is in ctx.fib_oif. Codes: 1 blackhole, 2 unreachable, 3 prohibit, 4 not forwarded (a
 * local address: the caller may hand the packet to the stack), 5 forwarding off, 8 larger than the MTU. Nothing is
 * sent back for any of them: an ICMP error is the stack's to send, and the packet never gets there.
 */
export function fib_redirect_v4(ctx: Ctx, l3_off: number, use_neigh_map: boolean): number {
  const ret = fib_lookup_v4(ctx, load_be32(ctx, l3_off + 12), load_be32(ctx, l3_off + 16), 0);
  if (!fib_ok(ret)) {
    ctx.ext_err = ret;
    return DROP_NO_FIB;
  }
  const oif = fib_params.ifindex;
  ctx.fib_oif = oif;
  // After the look-up: a packet without a route is told as such, not as expired.
  const l3 = ipv4_l3_ttl(ctx, l3_off);
  if (l3 !== CTX_ACT_OK) return l3;
  return fib_do_redirect(ctx, true, use_neigh_map, ret, oif);
}

const saddr6 = new Int32Array(4);
const daddr6 = new Int32Array(4);

/** fib_redirect_v6(). */
export function fib_redirect_v6(ctx: Ctx, l3_off: number, use_neigh_map: boolean): number {
  for (let i = 0; i < 4; i++) {
    saddr6[i] = load_be32(ctx, l3_off + 8 + 4 * i);
    daddr6[i] = load_be32(ctx, l3_off + 24 + 4 * i);
  }
  const ret = fib_lookup_v6(ctx, saddr6, 0, daddr6, 0, 0);
  if (!fib_ok(ret)) {
    ctx.ext_err = ret;
    return DROP_NO_FIB;
  }
  const oif = fib_params.ifindex;
  ctx.fib_oif = oif;
  const l3 = ipv6_l3_ttl(ctx, l3_off, METRIC_EGRESS);
  if (l3 !== CTX_ACT_OK) return l3;
  return fib_do_redirect(ctx, true, use_neigh_map, ret, oif);
}
