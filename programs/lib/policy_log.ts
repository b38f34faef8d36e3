// Policy verdict samples, after bpf/lib/policy_log.h.
//
//   word 4  remote_label     word 6  dst_port u16 | proto u8 | flags u8 (dir, ipv6, match type, audited, L3)
//   word 5  verdict          word 7  auth_type u8      word 8  cookie
//
// Profile 1.11 sends the first 32 bytes.

import { bswap16 } from "../../src/net/view.js";
import { CILIUM_NOTIFY_POLICY_VERDICT, CTX_ACT_OK, POLICY_MATCH_ALL } from "./common.js";
import { type Ctx, IS_BPF_LXC } from "./ctx.js";
import { capture_header, emit, listened, msg } from "./notify.js";
import type { PolicyResult } from "./policy.js";
import { events_allowed } from "./trace.js";

export const POLICY_INGRESS = 1;
export const POLICY_EGRESS = 2;

/** send_policy_verdict_notify(): `dst_port` is a Be16, `dir` POLICY_INGRESS or POLICY_EGRESS. */
export function send_policy_verdict_notify(
  ctx: Ctx,
  remote_label: number,
  dst_port: number,
  proto: number,
  dir: number,
  is_ipv6: number,
  verdict: number,
  res: PolicyResult,
  auth_type: number,
): void {
  if (!ctx.def.POLICY_VERDICT_NOTIFY) return;
  // An endpoint logs a direction only where policy is enforced in it; the host firewall all but "no rule, allowed".
  if (ctx.obj.kind === IS_BPF_LXC) {
    if ((ctx.config.policy_verdict_log_filter & dir) === 0) return;
  } else if (verdict === CTX_ACT_OK && res.match_type === POLICY_MATCH_ALL) {
    return;
  }
  if (!listened(ctx) || !events_allowed(ctx)) return;
  const len = ctx.len;
  const max = ctx.config.trace_payload_len;
  const cap = len < max ? len : max;
  const old = ctx.def.profile === "1.11";
  const l3 = !old && ctx.config.eth_header_length === 0 ? 1 : 0;
  capture_header(ctx, CILIUM_NOTIFY_POLICY_VERDICT, 0, ctx.obj.event_source, cap, 1);
  msg[4] = remote_label;
  msg[5] = verdict === CTX_ACT_OK ? res.proxy_port : verdict;
  msg[6] =
    bswap16(dst_port) |
    (proto << 16) |
    ((dir | (is_ipv6 << 2) | (res.match_type << 3) | (res.audited << 6) | (l3 << 7)) << 24);
  msg[7] = old ? 0 : auth_type;
  msg[8] = res.cookie;
  msg[9] = 0;
  emit(ctx, old ? 32 : 40, cap);
}
