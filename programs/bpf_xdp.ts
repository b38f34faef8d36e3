// The program on native devices' XDP hook, after bpf/bpf_xdp.c: services for remote backends are forwarded before the
// stack has even made an skb of the packet.
//
//   cil_xdp_entry      tail_lb_ipv4 / tail_lb_ipv6 -> nodeport_lb4 / nodeport_lb6
//     XDP_TX, XDP_REDIRECT   sent on by the program
//     XDP_PASS               to tc; four bytes of metadata tell cil_from_netdev what has been done (XFER_PKT_*)
//
// Programs of this tree return TC verdicts; runXdpEntry turns them into XDP's.
// Differs from Cilium: no prefilter (cilium_cidr_v4_fix ...) and no look into Geneve packets with DSR.

import { XDP_ABORTED, XDP_DROP, XDP_PASS } from "../src/bpf/verdict.js";
import {
  CILIUM_CALL_IPV4_FROM_NETDEV,
  CILIUM_CALL_IPV6_FROM_NETDEV,
  CTX_ACT_DROP,
  CTX_ACT_OK,
  CTX_ACT_REDIRECT,
  DROP_INVALID,
  ETH_HLEN,
  ETH_P_IP,
  ETH_P_IPV6,
  METRIC_INGRESS,
  UNKNOWN_ID,
} from "./lib/common.js";
import {
  type Ctx,
  revalidate_data4,
  revalidate_data6,
  type TailCall,
  tail_call_internal,
} from "./lib/ctx.js";
import { send_drop_notify_error_ext } from "./lib/drop.js";
import { ethertype, validate_ethertype } from "./lib/eth.js";
import { nodeport_lb4, nodeport_lb6 } from "./lib/nodeport.js";
import { ctx_skip_nodeport, ctx_skip_nodeport_clear } from "./lib/overloadable.js";
import { XDP_ENTRY_DROP, XDP_LB4_DROP, XDP_LB6_DROP } from "./lib/source_lines.js";

/** What TAIL_CALLED leaves of a verdict. */
const VERDICT = 0xff;

/**
 * tail_lb_ipv4(): CILIUM_CALL_IPV4_FROM_NETDEV. Reverse SNAT that finds nothing tail-calls it again with "skip
 * nodeport"; such a packet only passes through.
 */
export function tail_lb_ipv4(ctx: Ctx): number {
  let ret = CTX_ACT_OK;
  if (!ctx_skip_nodeport(ctx)) {
    if (!revalidate_data4(ctx)) ret = DROP_INVALID;
    else ret = nodeport_lb4(ctx, ETH_HLEN, ETH_HLEN, UNKNOWN_ID);
  }
  if (ret < 0) {
    return send_drop_notify_error_ext(ctx, UNKNOWN_ID, ret, ctx.ext_err, METRIC_INGRESS, XDP_LB4_DROP);
  }
  return ret;
}

/** tail_lb_ipv6(): CILIUM_CALL_IPV6_FROM_NETDEV. */
export function tail_lb_ipv6(ctx: Ctx): number {
  let ret = CTX_ACT_OK;
  if (!ctx_skip_nodeport(ctx)) {
    if (!revalidate_data6(ctx)) ret = DROP_INVALID;
    else ret = nodeport_lb6(ctx, ETH_HLEN, UNKNOWN_ID);
  }
  if (ret < 0) {
    return send_drop_notify_error_ext(ctx, UNKNOWN_ID, ret, ctx.ext_err, METRIC_INGRESS, XDP_LB6_DROP);
  }
  return ret;
}

/** cil_xdp_entry: a TC verdict, with the notes for tc in ctx.xdp_xfer. */
export function cil_xdp_entry(ctx: Ctx): number {
  if (!validate_ethertype(ctx)) return CTX_ACT_OK;
  ctx_skip_nodeport_clear(ctx);
  const def = ctx.def;
  if (!def.ENABLE_NODEPORT_ACCELERATION) return CTX_ACT_OK;
  let ret: number;
  if (ethertype === ETH_P_IP && def.ENABLE_IPV4) ret = tail_call_internal(ctx, CILIUM_CALL_IPV4_FROM_NETDEV);
  else if (ethertype === ETH_P_IPV6 && def.ENABLE_IPV6) {
    ret = tail_call_internal(ctx, CILIUM_CALL_IPV6_FROM_NETDEV);
  } else return CTX_ACT_OK;
  if (ret < 0) {
    return send_drop_notify_error_ext(ctx, UNKNOWN_ID, ret, ctx.ext_err, METRIC_INGRESS, XDP_ENTRY_DROP);
  }
  return ret;
}

/** Puts the object's own tail calls into its array. */
export function fillXdpCalls(calls: (TailCall | null)[]): void {
  calls[CILIUM_CALL_IPV4_FROM_NETDEV] = tail_lb_ipv4;
  calls[CILIUM_CALL_IPV6_FROM_NETDEV] = tail_lb_ipv6;
}

/** Runs cil_xdp_entry and returns an XDP verdict; on XDP_PASS skb.xdpMeta holds the metadata word (ctx_move_xfer). */
export function runXdpEntry(ctx: Ctx): number {
  ctx.xdp_xfer = 0;
  ctx.xdp_verdict = XDP_ABORTED;
  const ret = cil_xdp_entry(ctx) & VERDICT;
  ctx_skip_nodeport_clear(ctx);
  switch (ret) {
    case CTX_ACT_OK:
      if (ctx.xdp_xfer !== 0) ctx.skb.xdpMeta = ctx.xdp_xfer;
      return XDP_PASS;
    case CTX_ACT_REDIRECT:
      return ctx.xdp_verdict;
    case CTX_ACT_DROP:
      return XDP_DROP;
    default:
      return XDP_ABORTED;
  }
}
