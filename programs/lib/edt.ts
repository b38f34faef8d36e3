// The bandwidth manager, after bpf/lib/edt.h: egress packets of a limited endpoint get a departure time that the fq
// qdisc honours; ingress ones pass a token bucket. The endpoint is known by skb->queue_mapping (its "aggregate").
//
// Earliest departure time: no queue of the program's own. Pod annotations kubernetes.io/egress-bandwidth and
// ingress-bandwidth become entries of cilium_throttle, key (endpoint id, direction), rates in bytes per second. Which
// program does what:
//
//   bpf_lxc   egress: edt_set_aggregate() with the endpoint's id; ingress: accept()
//   bpf_host  cil_to_netdev: edt_sched_departure(), last before the device's fq

import { NONE } from "../../maps/spec.js";
import {
  DIRECTION_EGRESS,
  DIRECTION_INGRESS,
  THROTTLE_BPS,
  THROTTLE_PRIO_W,
  THROTTLE_T_HORIZON_DROP,
  THROTTLE_T_LAST,
  THROTTLE_TOKENS,
  ThrottleKey,
  throttleGet,
  throttleSet,
} from "../../maps/throttle.js";
import { NS_PER_SEC } from "../../src/base/clock.js";
import { CTX_ACT_DROP, CTX_ACT_OK, DROP_EDT_HORIZON, ETH_P_IP, ETH_P_IPV6 } from "./common.js";
import { type Ctx, ctx_full_len } from "./ctx.js";

const key = new ThrottleKey();

/** edt_set_aggregate(): whose rate this packet counts against; 0 = nobody's. */
export function edt_set_aggregate(ctx: Ctx, aggregate: number): void {
  if (ctx.def.ENABLE_BANDWIDTH_MANAGER) ctx.skb.queueMapping = aggregate;
}

/** edt_sched_departure(): CTX_ACT_OK, or DROP_EDT_HORIZON for a packet that would wait longer than the horizon. */
export function edt_sched_departure(ctx: Ctx, proto: number): number {
  if (proto !== ETH_P_IP && proto !== ETH_P_IPV6) return CTX_ACT_OK;
  const aggregate = ctx.skb.queueMapping;
  // Leave no trace for the qdiscs.
  ctx.skb.queueMapping = 0;
  if (aggregate === 0) return CTX_ACT_OK;
  const map = ctx.maps.cilium_throttle;
  const slot = map.lookup(key.set(aggregate, DIRECTION_EGRESS).words);
  if (slot === NONE) return CTX_ACT_OK;
  const prio = map.words[slot * map.valueWords + THROTTLE_PRIO_W];
  // Stored plus one, so that 0 can mean "leave it".
  if (prio !== 0) ctx.skb.priority = prio - 1;
  const bps = throttleGet(map, slot, THROTTLE_BPS);
  if (bps === 0) return CTX_ACT_OK;
  const now = ctx.helpers.ktime_get_ns();
  // TCP may have paced the packet itself; its own departure time counts, unless it has passed.
  let t = ctx.skb.tstamp[0];
  if (t < now) t = now;
  // How long this packet occupies the limited wire.
  const delay = Math.floor((ctx_full_len(ctx) * NS_PER_SEC) / bps);
  const next = throttleGet(map, slot, THROTTLE_T_LAST) + delay;
  // The wire has been idle: it goes at once, and the debt begins anew.
  if (next <= t) {
    throttleSet(map, slot, THROTTLE_T_LAST, t);
    return CTX_ACT_OK;
  }
  // Never hold more back than the horizon.
  if (next - now >= throttleGet(map, slot, THROTTLE_T_HORIZON_DROP)) return DROP_EDT_HORIZON;
  throttleSet(map, slot, THROTTLE_T_LAST, next);
  // fq holds the packet until then; another qdisc would ignore it, and with it the limit.
  ctx.skb.tstamp[0] = next;
  return CTX_ACT_OK;
}

/** accept(): the token bucket of ingress; CTX_ACT_OK or CTX_ACT_DROP. */
export function accept(ctx: Ctx, ep_id: number): number {
  const map = ctx.maps.cilium_throttle;
  const slot = map.lookup(key.set(ep_id, DIRECTION_INGRESS).words);
  if (slot === NONE) return CTX_ACT_OK;
  const bps = throttleGet(map, slot, THROTTLE_BPS);
  const now = ctx.helpers.ktime_get_ns();
  let tokens = throttleGet(map, slot, THROTTLE_TOKENS);
  const since = now - throttleGet(map, slot, THROTTLE_T_LAST);
  if (since > 0) {
    // At most one second's worth is saved up.
    tokens = Math.min(tokens + Math.floor((bps * since) / NS_PER_SEC), bps);
    throttleSet(map, slot, THROTTLE_T_LAST, now);
  }
  const len = ctx_full_len(ctx);
  if (tokens < len) {
    throttleSet(map, slot, THROTTLE_TOKENS, tokens);
    return CTX_ACT_DROP;
  }
  throttleSet(map, slot, THROTTLE_TOKENS, tokens - len);
  return CTX_ACT_OK;
}
