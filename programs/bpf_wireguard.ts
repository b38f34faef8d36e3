// The programs of the WireGuard device, after bpf/bpf_wireguard.c:
//
//   cil_from_wireguard   tc ingress: decrypted packets; source identity from the ipcache, then delivery
//   cil_to_wireguard     tc egress: only a trace
//
// The device has no Ethernet header; with BPF host routing one is put in front before a packet goes to a pod. What is not
// for a pod of this node goes to the stack.
// Differs from Cilium: node port translations on this device (services reached through encrypted node traffic) are not
// modelled.

import { ipcacheSecIdentity } from "../maps/ipcache.js";
import { lxcFlags } from "../maps/lxc.js";
import { NONE } from "../maps/spec.js";
import {
  CB_SRC_LABEL,
  CILIUM_CALL_IPV4_FROM_WIREGUARD,
  CILIUM_CALL_IPV6_FROM_WIREGUARD,
  CTX_ACT_OK,
  DBG_IP_ID_MAP_FAILED4,
  DBG_IP_ID_MAP_FAILED6,
  DBG_IP_ID_MAP_SUCCEED4,
  DBG_IP_ID_MAP_SUCCEED6,
  DROP_INVALID,
  ENDPOINT_MASK_HOST_DELIVERY,
  ETH_HLEN,
  ETH_P_IP,
  ETH_P_IPV6,
  MARK_MAGIC_HOST_MASK,
  MARK_MAGIC_IDENTITY,
  METRIC_INGRESS,
  TRACE_EP_ID_UNKNOWN,
  TRACE_FROM_CRYPTO,
  TRACE_REASON_UNKNOWN,
  TRACE_TO_CRYPTO,
  UNKNOWN_ID,
} from "./lib/common.js";
import {
  bpf_clear_meta,
  type Ctx,
  ctx_has,
  ctx_load_and_clear_meta,
  ctx_store_meta,
  load_be32,
  store_u16,
  tail_call_internal,
} from "./lib/ctx.js";
import { cilium_dbg } from "./lib/dbg.js";
import { send_drop_notify_error_ext } from "./lib/drop.js";
import {
  lookup_ip4_endpoint,
  lookup_ip4_remote_endpoint,
  lookup_ip6_endpoint,
  lookup_ip6_remote_endpoint,
} from "./lib/eps.js";
import { world_id } from "./lib/identity.js";
import { ipv6_load_addr } from "./lib/ipv6.js";
import { ipv4_local_delivery, ipv6_local_delivery } from "./lib/local_delivery.js";
import { get_identity } from "./lib/overloadable.js";
import * as site from "./lib/source_lines.js";
import { send_trace_notify } from "./lib/trace.js";
import { set_decrypt_mark } from "./lib/wireguard.js";

const addr6 = new Int32Array(4);

/** Bytes in front of the IP header on this device: 0 on a real one; the offsets below are from there. */
function l3_off(ctx: Ctx): number {
  return ctx.config.eth_header_length;
}

/**
 * cil_from_wireguard: tc ingress of cilium_wg0: what the kernel has decrypted, without an Ethernet header. The
 * sender's identity is the ipcache's, by source address: the tunnel brings none. Samples have source 0 and are
 * counted as decrypting.
 */
export function cil_from_wireguard(ctx: Ctx): number {
  const proto = ctx.skb.protocol;
  bpf_clear_meta(ctx);
  // The stack and later programs see by it that the packet came encrypted (node id 0: WireGuard has no use for it).
  if (ctx.def.ENABLE_IDENTITY_MARK) set_decrypt_mark(ctx, 0);
  // Tunnel mode: the tunnel packet goes on to the tunnel device, whose program delivers.
  if (ctx.def.TUNNEL_MODE && !(ctx.def.ENABLE_NODEPORT && ctx.def.ENABLE_NODE_ENCRYPTION)) return CTX_ACT_OK;
  const off = l3_off(ctx);
  // World until the ipcache knows better; protocols without an address to ask by stay unknown.
  let identity = proto === ETH_P_IP || proto === ETH_P_IPV6 ? world_id(ctx, proto) : UNKNOWN_ID;
  let ret = CTX_ACT_OK;
  if (proto === ETH_P_IP) {
    if (!ctx_has(ctx, off + 20)) {
      ret = DROP_INVALID;
    } else {
      // WireGuard accepts a source only from the peer whose allowed IPs have it, so the address is to be trusted.
      const saddr = load_be32(ctx, off + 12);
      const info = lookup_ip4_remote_endpoint(ctx, saddr, 0);
      if (info !== NONE) identity = ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info);
      cilium_dbg(ctx, info !== NONE ? DBG_IP_ID_MAP_SUCCEED4 : DBG_IP_ID_MAP_FAILED4, saddr, identity);
    }
  } else if (proto === ETH_P_IPV6) {
    if (!ctx_has(ctx, off + 40)) {
      ret = DROP_INVALID;
    } else {
      ipv6_load_addr(ctx, off + 8, addr6, 0);
      const info = lookup_ip6_remote_endpoint(ctx, addr6, 0);
      if (info !== NONE) identity = ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info);
      cilium_dbg(ctx, info !== NONE ? DBG_IP_ID_MAP_SUCCEED6 : DBG_IP_ID_MAP_FAILED6, addr6[3], identity);
    }
  }
  if (ret === CTX_ACT_OK) {
    ctx_store_meta(ctx, CB_SRC_LABEL, identity);
    send_trace_notify(
      ctx,
      TRACE_FROM_CRYPTO,
      identity,
      UNKNOWN_ID,
      TRACE_EP_ID_UNKNOWN,
      ctx.skb.ingressIfindex,
      TRACE_REASON_UNKNOWN,
      ctx.config.trace_payload_len,
      proto,
      site.WIREGUARD_FROM,
    );
    if (proto === ETH_P_IP && ctx.def.ENABLE_IPV4)
      ret = tail_call_internal(ctx, CILIUM_CALL_IPV4_FROM_WIREGUARD);
    else if (proto === ETH_P_IPV6 && ctx.def.ENABLE_IPV6) {
      ret = tail_call_internal(ctx, CILIUM_CALL_IPV6_FROM_WIREGUARD);
    }
  }
  if (ret < 0) {
    return send_drop_notify_error_ext(ctx, identity, ret, ctx.ext_err, METRIC_INGRESS, site.WIREGUARD_DROP);
  }
  return ret;
}

// maybe_add_l2_hdr(): the pods' devices want an Ethernet header.
function add_l2_hdr(ctx: Ctx, proto: number): boolean {
  if (l3_off(ctx) !== 0) return true;
  const ret = ctx.helpers.skb_change_head(ctx.skb, ETH_HLEN, 0);
  // The frame begins elsewhere now, or is another buffer.
  ctx.refresh();
  if (ret < 0) return false;
  // MACs are ipv4_local_delivery's.
  store_u16(ctx, 12, proto);
  return true;
}

/**
 * tail_handle_ipv4(): CILIUM_CALL_IPV4_FROM_WIREGUARD. A pod of this node is delivered to; everything else, the host
 * included, goes up the stack as it is (no trace, no TTL change).
 */
export function tail_handle_ipv4_wireguard(ctx: Ctx): number {
  const src_id = ctx_load_and_clear_meta(ctx, CB_SRC_LABEL);
  let ret = CTX_ACT_OK;
  if (ctx.def.ENABLE_HOST_ROUTING) {
    // Legacy host routing leaves delivery to the stack, and the identity to the mark.
    const ep = lookup_ip4_endpoint(ctx, load_be32(ctx, l3_off(ctx) + 16));
    if (ep !== NONE && (lxcFlags(ctx.maps.cilium_lxc, ep) & ENDPOINT_MASK_HOST_DELIVERY) === 0) {
      ret = add_l2_hdr(ctx, ETH_P_IP)
        ? ipv4_local_delivery(ctx, ETH_HLEN, src_id, MARK_MAGIC_IDENTITY, ep, METRIC_INGRESS, false, false, 0)
        : DROP_INVALID;
    }
  }
  if (ret < 0)
    return send_drop_notify_error_ext(ctx, src_id, ret, ctx.ext_err, METRIC_INGRESS, site.WIREGUARD_DROP);
  return ret;
}

/** tail_handle_ipv6(): CILIUM_CALL_IPV6_FROM_WIREGUARD; likewise. */
export function tail_handle_ipv6_wireguard(ctx: Ctx): number {
  const src_id = ctx_load_and_clear_meta(ctx, CB_SRC_LABEL);
  let ret = CTX_ACT_OK;
  if (ctx.def.ENABLE_HOST_ROUTING) {
    ipv6_load_addr(ctx, l3_off(ctx) + 24, addr6, 0);
    const ep = lookup_ip6_endpoint(ctx, addr6, 0);
    if (ep !== NONE && (lxcFlags(ctx.maps.cilium_lxc, ep) & ENDPOINT_MASK_HOST_DELIVERY) === 0) {
      ret = add_l2_hdr(ctx, ETH_P_IPV6)
        ? ipv6_local_delivery(ctx, ETH_HLEN, src_id, MARK_MAGIC_IDENTITY, ep, METRIC_INGRESS, false, false)
        : DROP_INVALID;
    }
  }
  if (ret < 0)
    return send_drop_notify_error_ext(ctx, src_id, ret, ctx.ext_err, METRIC_INGRESS, site.WIREGUARD_DROP);
  return ret;
}

/**
 * cil_to_wireguard: tc egress of cilium_wg0, before encryption: tells to-crypto and changes nothing. Attached where
 * something needs it (native routing with the L7 proxy and kube-proxy replacement).
 */
export function cil_to_wireguard(ctx: Ctx): number {
  const magic = ctx.skb.mark & MARK_MAGIC_HOST_MASK;
  const src_id = magic === MARK_MAGIC_IDENTITY ? get_identity(ctx) : UNKNOWN_ID;
  bpf_clear_meta(ctx);
  send_trace_notify(
    ctx,
    TRACE_TO_CRYPTO,
    src_id,
    UNKNOWN_ID,
    TRACE_EP_ID_UNKNOWN,
    ctx.config.interface_ifindex,
    TRACE_REASON_UNKNOWN,
    0,
    ctx.skb.protocol,
    site.WIREGUARD_TO,
  );
  return CTX_ACT_OK;
}
