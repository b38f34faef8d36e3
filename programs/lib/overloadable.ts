// skb marks, tc_index bits and redirects, after bpf/lib/overloadable_skb.h.
//
//   mark  bits 31..16 identity 15..0 (or proxy port, endpoint id)   11..8 magic   7..0 identity 23..16

import { PACKET_HOST } from "../../src/bpf/skb.js";
import { XDP_TX } from "../../src/bpf/verdict.js";
import {
  CTX_ACT_REDIRECT,
  DBG_SKIP_PROXY,
  MARK_MAGIC_EGW_DONE,
  MARK_MAGIC_ENCRYPT,
  MARK_MAGIC_HOST_MASK,
  MARK_MAGIC_KEY_MASK,
  MARK_MAGIC_OVERLAY,
  MARK_MAGIC_SNAT_DONE,
  TC_INDEX_F_FROM_EGRESS_PROXY,
  TC_INDEX_F_FROM_INGRESS_PROXY,
  TC_INDEX_F_SKIP_HEALTH_CHECK,
  TC_INDEX_F_SKIP_HOST_FIREWALL,
  TC_INDEX_F_SKIP_NODEPORT,
  XFER_PKT_SNAT_DONE,
} from "./common.js";
import { type Ctx, ctx_redirect, IS_BPF_XDP } from "./ctx.js";
import { cilium_dbg } from "./dbg.js";

/** get_identity(): the identity carried in the mark. */
export function get_identity(ctx: Ctx): number {
  const mark = ctx.skb.mark;
  return ((mark & 0xff) << 16) | (mark >>> 16);
}

/** get_epid(): the endpoint id carried in the mark. */
export function get_epid(ctx: Ctx): number {
  return ctx.skb.mark >>> 16;
}

/** set_identity_mark(): replaces the mark by identity and magic. */
export function set_identity_mark(ctx: Ctx, identity: number, magic: number): void {
  const cluster = (identity >>> 16) & ctx.config.cluster_id_max;
  ctx.skb.mark = (magic & MARK_MAGIC_KEY_MASK) | ((identity & 0xffff) << 16) | (cluster & 0xff);
}

export function ctx_snat_done(ctx: Ctx): boolean {
  return (ctx.skb.mark & MARK_MAGIC_HOST_MASK) === MARK_MAGIC_SNAT_DONE;
}

/** ctx_snat_done_set(): keeps the rest of the mark. XDP notes it in the metadata for tc. */
export function ctx_snat_done_set(ctx: Ctx): void {
  if (ctx.obj.kind === IS_BPF_XDP) ctx.xdp_xfer |= XFER_PKT_SNAT_DONE;
  else ctx.skb.mark = (ctx.skb.mark & ~MARK_MAGIC_HOST_MASK) | MARK_MAGIC_SNAT_DONE;
}

export function ctx_is_overlay(ctx: Ctx): boolean {
  return (ctx.skb.mark & MARK_MAGIC_HOST_MASK) === MARK_MAGIC_OVERLAY;
}

export function ctx_egw_done(ctx: Ctx): boolean {
  return (ctx.skb.mark & MARK_MAGIC_HOST_MASK) === MARK_MAGIC_EGW_DONE;
}

/** ctx_mark_is_encrypted(): WireGuard or IPsec has been over it. */
export function ctx_mark_is_encrypted(ctx: Ctx): boolean {
  return (ctx.skb.mark & MARK_MAGIC_HOST_MASK) === MARK_MAGIC_ENCRYPT;
}

// Each test that finds its bit sends a debug message ("skip proxy"), so their number is part of the trace.
export function tc_index_from_ingress_proxy(ctx: Ctx): boolean {
  const i = ctx.skb.tcIndex;
  if ((i & TC_INDEX_F_FROM_INGRESS_PROXY) === 0) return false;
  cilium_dbg(ctx, DBG_SKIP_PROXY, i, 0);
  return true;
}

export function tc_index_from_egress_proxy(ctx: Ctx): boolean {
  const i = ctx.skb.tcIndex;
  if ((i & TC_INDEX_F_FROM_EGRESS_PROXY) === 0) return false;
  cilium_dbg(ctx, DBG_SKIP_PROXY, i, 0);
  return true;
}

/** ctx_skip_nodeport(): reads and clears. */
export function ctx_skip_nodeport(ctx: Ctx): boolean {
  const was = (ctx.skb.tcIndex & TC_INDEX_F_SKIP_NODEPORT) !== 0;
  ctx.skb.tcIndex &= ~TC_INDEX_F_SKIP_NODEPORT;
  return was;
}

export function ctx_skip_nodeport_clear(ctx: Ctx): void {
  ctx.skb.tcIndex &= ~TC_INDEX_F_SKIP_NODEPORT;
}

/** ctx_skip_nodeport_set(): in XDP the bit stands for RECIRC_MARKER and is gone before the packet leaves the program. */
export function ctx_skip_nodeport_set(ctx: Ctx): void {
  ctx.skb.tcIndex |= TC_INDEX_F_SKIP_NODEPORT;
}

/** ctx_skip_host_fw(): reads and clears. */
export function ctx_skip_host_fw(ctx: Ctx): boolean {
  const was = (ctx.skb.tcIndex & TC_INDEX_F_SKIP_HOST_FIREWALL) !== 0;
  ctx.skb.tcIndex &= ~TC_INDEX_F_SKIP_HOST_FIREWALL;
  return was;
}

export function ctx_skip_host_fw_set(ctx: Ctx): void {
  ctx.skb.tcIndex |= TC_INDEX_F_SKIP_HOST_FIREWALL;
}

export function ctx_skip_health_check(ctx: Ctx): boolean {
  return (ctx.skb.tcIndex & TC_INDEX_F_SKIP_HEALTH_CHECK) !== 0;
}

/** redirect_self(): back out of the device it came in on. */
export function redirect_self(ctx: Ctx): number {
  if (ctx.obj.kind === IS_BPF_XDP) {
    ctx.xdp_verdict = XDP_TX;
    return CTX_ACT_REDIRECT;
  }
  return ctx_redirect(ctx, ctx.skb.ifindex, 0);
}

/**
 * redirect_ep(): to an endpoint's device. The fast way goes straight into the pod's namespace; it needs BPF host
 * routing and a packet that came in on a device.
 */
export function redirect_ep(ctx: Ctx, ifindex: number, peer: boolean, from_tunnel: boolean): number {
  if (!peer || !ctx.def.ENABLE_HOST_ROUTING) return ctx_redirect(ctx, ifindex, 0);
  // Packets of the overlay device are addressed to nobody's MAC; the IP layer would drop them.
  if (from_tunnel) ctx.helpers.skb_change_type(ctx.skb, PACKET_HOST);
  return ctx.helpers.redirect_peer(ctx.skb, ifindex, 0);
}

/** should_redirect_peer(): not for packets of the host's own egress path, nor where netkit runs in the pod. */
export function should_redirect_peer(ctx: Ctx, from_host: boolean): boolean {
  return !from_host && ctx.skb.ingressIfindex > 0;
}
