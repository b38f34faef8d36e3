// Debug messages and captures, after bpf/lib/dbg.h. They exist only in objects compiled with DEBUG, those of the
// load balancer with LB_DEBUG too.

import { CILIUM_NOTIFY_DBG_CAPTURE, CILIUM_NOTIFY_DBG_MSG } from "./common.js";
import type { Ctx } from "./ctx.js";
import { capture_header, emit, listened, msg } from "./notify.js";

/** cilium_dbg(): a message with two arguments. */
export function cilium_dbg(ctx: Ctx, type: number, arg1: number, arg2: number): void {
  if (ctx.def.DEBUG) send_dbg(ctx, type, arg1, arg2, 0);
}

/** cilium_dbg3(): a message with three arguments. */
export function cilium_dbg3(ctx: Ctx, type: number, arg1: number, arg2: number, arg3: number): void {
  if (ctx.def.DEBUG) send_dbg(ctx, type, arg1, arg2, arg3);
}

/** cilium_dbg_lb(): a message of the load balancer. */
export function cilium_dbg_lb(ctx: Ctx, type: number, arg1: number, arg2: number): void {
  if (ctx.def.LB_DEBUG) send_dbg(ctx, type, arg1, arg2, 0);
}

/** cilium_dbg_capture(): a sample with the packet. */
export function cilium_dbg_capture(ctx: Ctx, type: number, arg1: number): void {
  if (ctx.def.DEBUG) send_capture(ctx, type, arg1, 0);
}

/** cilium_dbg_capture2(). */
export function cilium_dbg_capture2(ctx: Ctx, type: number, arg1: number, arg2: number): void {
  if (ctx.def.DEBUG) send_capture(ctx, type, arg1, arg2);
}

function send_dbg(ctx: Ctx, type: number, arg1: number, arg2: number, arg3: number): void {
  if (!listened(ctx)) return;
  msg[0] = CILIUM_NOTIFY_DBG_MSG | (type << 8) | (ctx.obj.event_source << 16);
  msg[1] = ctx.skb.hash;
  msg[2] = arg1;
  msg[3] = arg2;
  msg[4] = arg3;
  emit(ctx, 20, 0);
}

function send_capture(ctx: Ctx, type: number, arg1: number, arg2: number): void {
  if (!listened(ctx)) return;
  const len = ctx.len;
  const max = ctx.config.trace_payload_len;
  const cap = len < max ? len : max;
  capture_header(ctx, CILIUM_NOTIFY_DBG_CAPTURE, type, ctx.obj.event_source, cap, 1);
  msg[4] = arg1;
  msg[5] = arg2;
  emit(ctx, 24, cap);
}
