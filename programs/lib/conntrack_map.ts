// Which conntrack map a packet belongs to, after bpf/lib/conntrack_map.h: TCP has its own, everything else and all
// RELATED entries share the other.

import type { BpfMap } from "../../maps/bpf_map.js";
import type { CtTuple4, CtTuple6 } from "../../maps/ct.js";
import { IPPROTO_TCP } from "./common.js";
import type { Ctx } from "./ctx.js";

/** get_ct_map4(). */
export function get_ct_map4(ctx: Ctx, tuple: CtTuple4): BpfMap {
  return tuple.nexthdr === IPPROTO_TCP ? ctx.maps.cilium_ct4_global : ctx.maps.cilium_ct_any4_global;
}

/** get_ct_map6(). */
export function get_ct_map6(ctx: Ctx, tuple: CtTuple6): BpfMap {
  return tuple.nexthdr === IPPROTO_TCP ? ctx.maps.cilium_ct6_global : ctx.maps.cilium_ct_any6_global;
}
