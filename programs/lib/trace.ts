// Trace notifications, after bpf/lib/trace.h and classifiers.h: "the packet was here". Each also counts metrics, and
// that happens whether or not monitor aggregation lets the sample through.
//
//   word 4  src_label          word 8..11  orig_ip (IPv4 in word 8)
//   word 5  dst_label          word 12,13  ip_trace_id (v2)
//   word 6  dst_id u16 | reason u8 | flags u8
//   word 7  ifindex
//
// Profile 1.11 sends version 1: 48 bytes, no trace id, no device and overlay flags.

import { TRACE_AGGREGATE_ACTIVE_CT, TRACE_AGGREGATE_RX, TUNNEL_PROTOCOL_GENEVE } from "../config.js";
import {
  CILIUM_NOTIFY_TRACE,
  ETH_HLEN,
  ETH_P_IP,
  ETH_P_IPV6,
  IPPROTO_UDP,
  MARK_MAGIC_HOST_MASK,
  MARK_MAGIC_OVERLAY,
  METRIC_EGRESS,
  METRIC_INGRESS,
  REASON_DECRYPT,
  REASON_DECRYPTING,
  REASON_ENCRYPTING,
  REASON_FORWARDED,
  REASON_PLAINTEXT,
  TRACE_FROM_CRYPTO,
  TRACE_FROM_HOST,
  TRACE_FROM_LXC,
  TRACE_FROM_NETWORK,
  TRACE_FROM_OVERLAY,
  TRACE_FROM_PROXY,
  TRACE_FROM_STACK,
  TRACE_REASON_ENCRYPTED,
  TRACE_REASON_UNKNOWN,
  TRACE_TO_CRYPTO,
  TRACE_TO_HOST,
  TRACE_TO_LXC,
  TRACE_TO_NETWORK,
  TRACE_TO_OVERLAY,
  TRACE_TO_PROXY,
  TRACE_TO_STACK,
} from "./common.js";
import { type Ctx, ctx_get_protocol, IS_BPF_XDP, load_u8, load_u16 } from "./ctx.js";
import { update_metrics } from "./metrics.js";
import { capture_header, emit, listened, msg } from "./notify.js";
import { RATELIMIT_USAGE_EVENTS_MAP, ratelimit_check_and_take } from "./ratelimit.js";

/** cls_flags_t: IPv6; a device without Ethernet header; tunnel packet, by protocol. In profile 1.11 only the first. */
export const CLS_FLAG_IPV6 = 1;
export const CLS_FLAG_L3_DEV = 2;
export const CLS_FLAG_VXLAN = 4;
export const CLS_FLAG_GENEVE = 8;

// What each observation point counts: direction, 0 = nothing; ingress points count "plaintext" or "decrypt".
function update_trace_metrics(ctx: Ctx, obs_point: number, reason: number, site: number): void {
  switch (obs_point) {
    // Ingress is counted at the endpoint; everything that leaves a program, egress. One packet is counted at several
    // points.
    case TRACE_TO_LXC:
      update_metrics(ctx, ctx.len, METRIC_INGRESS, REASON_FORWARDED, site);
      break;
    case TRACE_TO_HOST:
    case TRACE_TO_STACK:
    case TRACE_TO_OVERLAY:
    case TRACE_TO_NETWORK:
      update_metrics(ctx, ctx.len, METRIC_EGRESS, REASON_FORWARDED, site);
      break;
    case TRACE_FROM_HOST:
    case TRACE_FROM_STACK:
    case TRACE_FROM_OVERLAY:
    case TRACE_FROM_NETWORK:
      update_metrics(
        ctx,
        ctx.len,
        METRIC_INGRESS,
        (reason & TRACE_REASON_ENCRYPTED) !== 0 ? REASON_DECRYPT : REASON_PLAINTEXT,
        site,
      );
      break;
    case TRACE_TO_CRYPTO:
      update_metrics(ctx, ctx.len, METRIC_EGRESS, REASON_ENCRYPTING, site);
      break;
    case TRACE_FROM_CRYPTO:
      update_metrics(ctx, ctx.len, METRIC_INGRESS, REASON_DECRYPTING, site);
      break;
    default:
      // from-endpoint is counted at local delivery, the proxy counts its own packets.
      break;
  }
}

/**
 * emit_trace_notify(): does the aggregation level let this sample through? Lowest (1) and above drop all FROM_*
 * points; medium (3) and above also what conntrack found nothing new about (monitor 0). Without a reader nothing is
 * written, which saves time and changes nothing else.
 */
function emit_trace_notify(ctx: Ctx, obs_point: number, monitor: number): boolean {
  const level = ctx.def.MONITOR_AGGREGATION;
  if (level >= TRACE_AGGREGATE_RX) {
    switch (obs_point) {
      case TRACE_FROM_LXC:
      case TRACE_FROM_PROXY:
      case TRACE_FROM_HOST:
      case TRACE_FROM_STACK:
      case TRACE_FROM_OVERLAY:
      case TRACE_FROM_CRYPTO:
      case TRACE_FROM_NETWORK:
        return false;
      default:
        break;
    }
    if (level >= TRACE_AGGREGATE_ACTIVE_CT && monitor === 0) return false;
  }
  // The bucket last: what nobody reads or aggregation drops takes no token.
  return listened(ctx) && events_allowed(ctx);
}

/** The token bucket in front of trace, drop and verdict samples; open unless a limit is configured. */
export function events_allowed(ctx: Ctx): boolean {
  const def = ctx.def;
  return (
    def.EVENTS_MAP_RATE_LIMIT === 0 ||
    ratelimit_check_and_take(
      ctx,
      RATELIMIT_USAGE_EVENTS_MAP,
      0,
      def.EVENTS_MAP_BURST_LIMIT,
      def.EVENTS_MAP_RATE_LIMIT,
    )
  );
}

/** ctx_classify(): flags of the sample; `proto` 0 = take skb->protocol, `obs_point` -1 = a drop. */
export function ctx_classify(ctx: Ctx, proto: number, obs_point: number): number {
  let flags = 0;
  const p = proto === 0 ? ctx_get_protocol(ctx) : proto;
  if (p === ETH_P_IPV6) flags |= CLS_FLAG_IPV6;
  if (ctx.def.profile !== "1.19") return flags;
  if (ctx.config.eth_header_length === 0) flags |= CLS_FLAG_L3_DEV;
  if (ctx.def.HAVE_ENCAP && is_overlay(ctx, p, obs_point)) {
    flags |= ctx.def.TUNNEL_PROTOCOL === TUNNEL_PROTOCOL_GENEVE ? CLS_FLAG_GENEVE : CLS_FLAG_VXLAN;
  }
  return flags;
}

// Tunnel packets are known by their mark where they leave and by their UDP port where they arrive.
function is_overlay(ctx: Ctx, proto: number, obs_point: number): boolean {
  if (obs_point === TRACE_TO_NETWORK) {
    return ctx.obj.kind !== IS_BPF_XDP && (ctx.skb.mark & MARK_MAGIC_HOST_MASK) === MARK_MAGIC_OVERLAY;
  }
  if (obs_point !== TRACE_FROM_NETWORK) return false;
  // Arriving packets have no mark; 8 is the UDP header, of which the destination port (offset 2) decides.
  const len = ctx.len;
  if (proto === ETH_P_IP) {
    if (len < ETH_HLEN + 20 || load_u8(ctx, ETH_HLEN + 9) !== IPPROTO_UDP) return false;
    const l4 = ETH_HLEN + ((load_u8(ctx, ETH_HLEN) & 0xf) << 2);
    return len >= l4 + 8 && load_u16(ctx, l4 + 2) === ctx.def.TUNNEL_PORT;
  }
  if (proto === ETH_P_IPV6) {
    if (len < ETH_HLEN + 48 || load_u8(ctx, ETH_HLEN + 6) !== IPPROTO_UDP) return false;
    return load_u16(ctx, ETH_HLEN + 42) === ctx.def.TUNNEL_PORT;
  }
  return false;
}

/**
 * compute_capture_len(): how much of the packet goes with the sample, bytes: the monitor value (128 by default), more
 * (192) for tunnel packets, whose inner headers are wanted too, and never more than there is.
 */
export function compute_capture_len(ctx: Ctx, monitor: number, flags: number): number {
  const len = ctx.len;
  let cap = monitor;
  // Monitor 0 is no wish for an empty sample: below medium such samples are sent, with the default length.
  if (cap === 0 || cap === ctx.config.trace_payload_len) {
    cap =
      (flags & (CLS_FLAG_VXLAN | CLS_FLAG_GENEVE)) !== 0
        ? ctx.config.trace_payload_len_overlay
        : ctx.config.trace_payload_len;
  }
  return len < cap ? len : cap;
}

/**
 * Writes the sample into the scratch message; returns the number of packet bytes to append.
 */
function fill(
  ctx: Ctx,
  obs_point: number,
  src: number,
  dst: number,
  dst_id: number,
  ifindex: number,
  reason: number,
  monitor: number,
  proto: number,
): number {
  const flags = ctx_classify(ctx, proto, obs_point);
  const cap = compute_capture_len(ctx, monitor, flags);
  const v2 = ctx.def.profile === "1.19";
  capture_header(ctx, CILIUM_NOTIFY_TRACE, obs_point, ctx.obj.event_source, cap, v2 ? 2 : 1);
  // 1.11 knew no "unknown": its points without conntrack passed 0, which is "new". Its to-network came from the
  // native device alone, whichever tail call ends there now, and said neither identity nor interface.
  const old_net = !v2 && obs_point === TRACE_TO_NETWORK;
  const why = !v2 && reason === TRACE_REASON_UNKNOWN ? 0 : reason;
  msg[4] = old_net ? 0 : src;
  msg[5] = dst;
  msg[6] = (dst_id & 0xffff) | ((old_net ? 0 : why) << 16) | (flags << 24);
  msg[7] = old_net ? 0 : ifindex;
  msg[8] = 0;
  msg[9] = 0;
  msg[10] = 0;
  msg[11] = 0;
  return cap;
}

// Version 2 is 56 bytes, version 1 was 48.
function send(ctx: Ctx, cap: number): void {
  if (ctx.def.profile === "1.19") {
    msg[12] = ctx.ip_trace_id_lo;
    msg[13] = ctx.ip_trace_id_hi;
    emit(ctx, 56, cap);
  } else {
    emit(ctx, 48, cap);
  }
}

/** send_trace_notify(): without the original address. `proto` is the EtherType, host order. */
export function send_trace_notify(
  ctx: Ctx,
  obs_point: number,
  src: number,
  dst: number,
  dst_id: number,
  ifindex: number,
  reason: number,
  monitor: number,
  proto: number,
  site: number,
): void {
  update_trace_metrics(ctx, obs_point, reason, site);
  // orig_ip stays zero and is printed as 0.0.0.0: only the variants below know an address from before translation.
  if (!ctx.def.TRACE_NOTIFY || !emit_trace_notify(ctx, obs_point, monitor)) return;
  send(ctx, fill(ctx, obs_point, src, dst, dst_id, ifindex, reason, monitor, proto));
}

/** send_trace_notify4(): with the source address that the packet had before translation. */
export function send_trace_notify4(
  ctx: Ctx,
  obs_point: number,
  src: number,
  dst: number,
  orig_addr: number,
  dst_id: number,
  ifindex: number,
  reason: number,
  monitor: number,
  site: number,
): void {
  update_trace_metrics(ctx, obs_point, reason, site);
  if (!ctx.def.TRACE_NOTIFY || !emit_trace_notify(ctx, obs_point, monitor)) return;
  const cap = fill(ctx, obs_point, src, dst, dst_id, ifindex, reason, monitor, ETH_P_IP);
  msg[8] = orig_addr;
  send(ctx, cap);
}

/** send_trace_notify6(): the original address is four words of `orig` from `at`. */
export function send_trace_notify6(
  ctx: Ctx,
  obs_point: number,
  src: number,
  dst: number,
  orig: Int32Array,
  at: number,
  dst_id: number,
  ifindex: number,
  reason: number,
  monitor: number,
  site: number,
): void {
  update_trace_metrics(ctx, obs_point, reason, site);
  if (!ctx.def.TRACE_NOTIFY || !emit_trace_notify(ctx, obs_point, monitor)) return;
  const cap = fill(ctx, obs_point, src, dst, dst_id, ifindex, reason, monitor, ETH_P_IPV6);
  msg[8] = orig[at]!;
  msg[9] = orig[at + 1]!;
  msg[10] = orig[at + 2]!;
  msg[11] = orig[at + 3]!;
  send(ctx, cap);
}

/** True for the two points that show the packet to or from a proxy; their dst_id is a port. */
export function is_proxy_point(obs_point: number): boolean {
  return obs_point === TRACE_TO_PROXY || obs_point === TRACE_FROM_PROXY;
}
