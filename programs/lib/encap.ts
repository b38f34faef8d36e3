// Tunnelling, after bpf/lib/encap.h and overloadable_skb.h: the packet gets a tunnel key and goes to the tunnel device,
// which builds the outer headers. VNI = source identity.
//
// The device is one for all peers ("external" mode, cilium_vxlan or cilium_geneve): whom it sends to is in the
// packet's metadata only. Behind it the kernel routes the outer packet, and takes its source from that route where
// the key has none.

import {
  IPCACHE_F_IPV6_TUNNEL_EP,
  IPCACHE_TUNNEL_ENDPOINT,
  ipcacheFlags,
  ipcacheTunnelEndpoint4,
} from "../../maps/ipcache.js";
import { BPF_F_TUNINFO_IPV6, BPF_F_ZERO_CSUM_TX } from "../../src/bpf/helpers.js";
import { TunnelKey } from "../../src/bpf/skb.js";
import {
  CTX_ACT_REDIRECT,
  DBG_ENCAP,
  DROP_WRITE_ERROR,
  HOST_ID,
  TRACE_EP_ID_UNKNOWN,
  TRACE_TO_OVERLAY,
} from "./common.js";
import { type Ctx, ctx_redirect } from "./ctx.js";
import { cilium_dbg } from "./dbg.js";
import { get_tunnel_id } from "./identity.js";
import { ENCAP_TO_OVERLAY, ENCAP_TO_OVERLAY_DSR } from "./source_lines.js";
import { send_trace_notify } from "./trace.js";

/** `vni` that means "by the identity": the other end is no external VTEP. */
export const NOT_VTEP_DST = 0;
const IPDEFTTL = 64;

const key = new TunnelKey();

/**
 * ctx_set_encap_info4(): sets the tunnel key; the device makes the outer headers of it. CTX_ACT_REDIRECT or
 * DROP_WRITE_ERROR. Addresses are Be32 (0 as source: the kernel chooses); `opt` are Geneve options; `vni`
 * NOT_VTEP_DST stands for the sender's identity, with world as 2 in both families. Outer TTL 64, no UDP checksum.
 */
export function ctx_set_encap_info4(
  ctx: Ctx,
  src_ip: number,
  tunnel_endpoint: number,
  seclabel: number,
  vni: number,
  opt: Uint8Array | null,
  opt_len: number,
): number {
  key.clear();
  key.id = vni === NOT_VTEP_DST ? get_tunnel_id(ctx, seclabel) : vni;
  key.localIp4 = src_ip;
  key.remoteIp4 = tunnel_endpoint;
  key.ttl = IPDEFTTL;
  key.present = true;
  // A UDP checksum would cost a pass over the payload; the inner packet has its own.
  if (ctx.helpers.skb_set_tunnel_key(ctx.skb, key, BPF_F_ZERO_CSUM_TX) < 0) return DROP_WRITE_ERROR;
  // Options follow the key: setting a key clears them.
  if (opt !== null && opt_len > 0 && ctx.helpers.skb_set_tunnel_opt(ctx.skb, opt, opt_len) < 0)
    return DROP_WRITE_ERROR;
  return CTX_ACT_REDIRECT;
}

/** ctx_set_encap_info6(): the other end is the IPv6 address in the ipcache entry `info`. */
function ctx_set_encap_info6(ctx: Ctx, info: number, seclabel: number): number {
  const map = ctx.maps.cilium_ipcache_v2;
  key.clear();
  key.id = get_tunnel_id(ctx, seclabel);
  key.isIp6 = true;
  const at = info * map.valueStride + IPCACHE_TUNNEL_ENDPOINT;
  for (let i = 0; i < 16; i++) key.remoteIp6[i] = map.bytes[at + i];
  key.ttl = IPDEFTTL;
  key.present = true;
  const flags = BPF_F_ZERO_CSUM_TX | BPF_F_TUNINFO_IPV6;
  return ctx.helpers.skb_set_tunnel_key(ctx.skb, key, flags) < 0 ? DROP_WRITE_ERROR : CTX_ACT_REDIRECT;
}

/**
 * __encap_with_nodeid4(): debug message, to-overlay trace and tunnel key. The packet is then to be redirected to
 * ENCAP_IFINDEX. Traffic of the host is seen at the other end as that of a remote node.
 */
export function __encap_with_nodeid4(
  ctx: Ctx,
  src_ip: number,
  tunnel_endpoint: number,
  seclabel: number,
  dstid: number,
  vni: number,
  ct_reason: number,
  monitor: number,
  proto: number,
): number {
  // Identity 1 is every node's own name for itself: on the wire it would be taken for the receiver.
  const label = seclabel === HOST_ID ? ctx.def.LOCAL_NODE_ID : seclabel;
  if (ctx.def.DEBUG) cilium_dbg(ctx, DBG_ENCAP, tunnel_endpoint, label);
  send_trace_notify(
    ctx,
    TRACE_TO_OVERLAY,
    label,
    dstid,
    TRACE_EP_ID_UNKNOWN,
    ctx.def.ENCAP_IFINDEX,
    ct_reason,
    monitor,
    proto,
    ENCAP_TO_OVERLAY,
  );
  return ctx_set_encap_info4(ctx, src_ip, tunnel_endpoint, label, vni, null, 0);
}

/**
 * __encap_with_nodeid_opt4(): the same with Geneve options: DSR's, which tells the backend's node the service address
 * that its answers must come from.
 */
export function __encap_with_nodeid_opt4(
  ctx: Ctx,
  src_ip: number,
  tunnel_endpoint: number,
  seclabel: number,
  dstid: number,
  vni: number,
  opt: Uint8Array,
  opt_len: number,
  ct_reason: number,
  monitor: number,
  proto: number,
): number {
  const label = seclabel === HOST_ID ? ctx.def.LOCAL_NODE_ID : seclabel;
  if (ctx.def.DEBUG) cilium_dbg(ctx, DBG_ENCAP, tunnel_endpoint, label);
  send_trace_notify(
    ctx,
    TRACE_TO_OVERLAY,
    label,
    dstid,
    TRACE_EP_ID_UNKNOWN,
    ctx.def.ENCAP_IFINDEX,
    ct_reason,
    monitor,
    proto,
    ENCAP_TO_OVERLAY_DSR,
  );
  return ctx_set_encap_info4(ctx, src_ip, tunnel_endpoint, label, vni, opt, opt_len);
}

/**
 * encap_and_redirect_with_nodeid(): `info` is a slot of cilium_ipcache_v2 with a tunnel endpoint. The to-overlay
 * sample is sent here, with the packet still bare and the connection's state; cil_to_overlay's own, of its NAT code,
 * knows nothing of it (monitor 0).
 */
export function encap_and_redirect_with_nodeid(
  ctx: Ctx,
  info: number,
  seclabel: number,
  dstid: number,
  reason: number,
  monitor: number,
  proto: number,
): number {
  const map = ctx.maps.cilium_ipcache_v2;
  let ret: number;
  if ((ipcacheFlags(map, info) & IPCACHE_F_IPV6_TUNNEL_EP) !== 0) {
    const label = seclabel === HOST_ID ? ctx.def.LOCAL_NODE_ID : seclabel;
    send_trace_notify(
      ctx,
      TRACE_TO_OVERLAY,
      label,
      dstid,
      TRACE_EP_ID_UNKNOWN,
      ctx.def.ENCAP_IFINDEX,
      reason,
      monitor,
      proto,
      ENCAP_TO_OVERLAY,
    );
    ret = ctx_set_encap_info6(ctx, info, label);
  } else {
    ret = __encap_with_nodeid4(
      ctx,
      0,
      ipcacheTunnelEndpoint4(map, info),
      seclabel,
      dstid,
      NOT_VTEP_DST,
      reason,
      monitor,
      proto,
    );
  }
  if (ret !== CTX_ACT_REDIRECT) return ret;
  // No bpf_redirect_neigh: the tunnel device has no neighbours, and inner MACs may be whatever they were: the
  // receiver's program writes its own.
  return ctx_redirect(ctx, ctx.def.ENCAP_IFINDEX, 0);
}
