// Drop notifications, after bpf/lib/drop.h. Every dropped packet is counted by reason and direction, then told.
//
//   word 4  src_label          word 8      ifindex
//   word 5  dst_label          word 9      flags u8
//   word 6  dst_id             word 10,11  ip_trace_id (v3)
//   word 7  line u16 | file u8 | ext_error s8
//
// In C the sample is sent by a tail call that takes its arguments from skb->cb; they stay there, and who looks at the
// packet afterwards sees them. Profile 1.11 sends the first 32 bytes, with zero in word 7.

import { Step } from "../../src/bpf/steps.js";
import { CILIUM_NOTIFY_DROP, CTX_ACT_DROP, TRACE_POINT_UNKNOWN } from "./common.js";
import type { Ctx } from "./ctx.js";
import { update_metrics } from "./metrics.js";
import { capture_header, emit, listened, msg } from "./notify.js";
import { siteFile, siteLine } from "./source_lines.js";
import { compute_capture_len, ctx_classify, events_allowed } from "./trace.js";

function notify(
  ctx: Ctx,
  src: number,
  dst: number,
  dst_id: number,
  reason: number,
  ext_err: number,
  exitcode: number,
  direction: number,
  site: number,
): number {
  const code = -reason & 0xff;
  const skb = ctx.skb;
  // Before anything that may suppress the sample: the metric counts every drop.
  update_metrics(ctx, ctx.len, direction, code, site);
  if (ctx.recorder !== null) ctx.recorder.step(Step.DROP, skb, null, code, 1, ext_err);
  if (!ctx.def.DROP_NOTIFY) return exitcode;
  const file = siteFile(site);
  const line = siteLine(site);
  const cb = skb.cb;
  // The original passes these through cb to the tail call that sends the sample; whoever looks at cb later sees them.
  cb[0] = src;
  cb[1] = dst;
  cb[2] = code | ((ext_err & 0xff) << 8);
  cb[3] = dst_id;
  cb[4] = exitcode | (file << 8) | (line << 16);
  if (!listened(ctx) || !events_allowed(ctx)) return exitcode;
  const flags = ctx_classify(ctx, 0, TRACE_POINT_UNKNOWN);
  const cap = compute_capture_len(ctx, 0, flags);
  if (ctx.def.profile === "1.19") {
    capture_header(ctx, CILIUM_NOTIFY_DROP, code, ctx.obj.event_source, cap, 3);
    msg[7] = line | (file << 16) | ((ext_err & 0xff) << 24);
    msg[8] = skb.ifindex;
    msg[9] = flags;
    msg[10] = ctx.ip_trace_id_lo;
    msg[11] = ctx.ip_trace_id_hi;
  } else {
    capture_header(ctx, CILIUM_NOTIFY_DROP, code, ctx.obj.event_source, cap, 1);
    msg[7] = 0;
  }
  msg[4] = src;
  msg[5] = dst;
  msg[6] = dst_id;
  emit(ctx, ctx.def.profile === "1.19" ? 48 : 32, cap);
  return exitcode;
}

/**
 * send_drop_notify_ext(): counts and tells a drop, returns CTX_ACT_DROP. `reason` is negative (DROP_*). A return value
 * that is no error (a tail call took place) is handed back unchanged, so callers may pass whatever they hold.
 */
export function send_drop_notify_ext(
  ctx: Ctx,
  src: number,
  dst: number,
  dst_id: number,
  reason: number,
  ext_err: number,
  direction: number,
  site: number,
): number {
  if (reason >= 0) return reason;
  return notify(ctx, src, dst, dst_id, reason, ext_err, CTX_ACT_DROP, direction, site);
}

/** send_drop_notify(). */
export function send_drop_notify(
  ctx: Ctx,
  src: number,
  dst: number,
  dst_id: number,
  reason: number,
  direction: number,
  site: number,
): number {
  return send_drop_notify_ext(ctx, src, dst, dst_id, reason, 0, direction, site);
}

/** send_drop_notify_error(). */
export function send_drop_notify_error(
  ctx: Ctx,
  src: number,
  reason: number,
  direction: number,
  site: number,
): number {
  return send_drop_notify_ext(ctx, src, 0, 0, reason, 0, direction, site);
}

/** send_drop_notify_error_ext(). */
export function send_drop_notify_error_ext(
  ctx: Ctx,
  src: number,
  reason: number,
  ext_err: number,
  direction: number,
  site: number,
): number {
  return send_drop_notify_ext(ctx, src, 0, 0, reason, ext_err, direction, site);
}

/** send_drop_notify_error_with_exitcode_ext(): tells the drop but returns `exitcode`, so that the packet goes on. */
export function send_drop_notify_error_with_exitcode_ext(
  ctx: Ctx,
  src: number,
  reason: number,
  ext_err: number,
  exitcode: number,
  direction: number,
  site: number,
): number {
  if (reason >= 0) return reason;
  return notify(ctx, src, 0, 0, reason, ext_err, exitcode, direction, site);
}
