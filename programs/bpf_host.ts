// The programs of the host's devices, after bpf/bpf_host.c:
//
//   cil_from_netdev   tc ingress of native devices    do_netdev -> tail_handle_ipv4_from_netdev
//   cil_from_host     tc egress of cilium_host        do_netdev -> tail_handle_ipv4_from_host
//   cil_to_netdev     tc egress of native devices     host firewall, egress gateway, encryption, NAT
//   cil_to_host       tc ingress of cilium_net and cilium_host
//   cil_host_policy   tail call from endpoint programs (host firewall with per-endpoint routes)
//
// With the host firewall the second half of tail_handle_ipv4 is a tail call of its own.
// Not modelled: IPsec of IPv6 and its service translations in cil_to_host, SRv6, VTEP, NAT46x64.

import {
  IPCACHE_F_HAS_TUNNEL_EP,
  IPCACHE_F_SKIP_TUNNEL,
  ipcacheFlags,
  ipcacheSecIdentity,
} from "../maps/ipcache.js";
import { lxcFlags } from "../maps/lxc.js";
import { NONE } from "../maps/spec.js";
import {
  CB_DST_ENDPOINT_ID,
  CB_ENCRYPT_IDENTITY,
  CB_FROM_HOST,
  CB_IPCACHE_SRC_LABEL,
  CB_PROXY_MAGIC,
  CB_SRC_LABEL,
  CB_TRACED,
  CILIUM_CALL_IPV4_CONT_FROM_HOST,
  CILIUM_CALL_IPV4_CONT_FROM_NETDEV,
  CILIUM_CALL_IPV4_FROM_HOST,
  CILIUM_CALL_IPV4_FROM_NETDEV,
  CILIUM_CALL_IPV4_TO_HOST_POLICY_ONLY,
  CILIUM_CALL_IPV6_CONT_FROM_HOST,
  CILIUM_CALL_IPV6_CONT_FROM_NETDEV,
  CILIUM_CALL_IPV6_FROM_HOST,
  CILIUM_CALL_IPV6_FROM_NETDEV,
  CILIUM_CALL_IPV6_TO_HOST_POLICY_ONLY,
  CTX_ACT_DROP,
  CTX_ACT_OK,
  CTX_ACT_REDIRECT,
  DBG_IP_ID_MAP_FAILED4,
  DBG_IP_ID_MAP_FAILED6,
  DBG_IP_ID_MAP_SUCCEED4,
  DBG_IP_ID_MAP_SUCCEED6,
  DROP_EP_NOT_READY,
  DROP_FRAG_NOSUPPORT,
  DROP_INVALID,
  DROP_UNKNOWN_L3,
  DROP_UNROUTABLE,
  DROP_UNSUPPORTED_L2,
  DROP_VLAN_FILTERED,
  ENDPOINT_MASK_HOST_DELIVERY,
  ETH_HLEN,
  ETH_P_ARP,
  ETH_P_IP,
  ETH_P_IPV6,
  HOST_ID,
  IPPROTO_ICMPV6,
  MARK_MAGIC_EGW_DONE,
  MARK_MAGIC_ENCRYPT,
  MARK_MAGIC_HOST,
  MARK_MAGIC_HOST_MASK,
  MARK_MAGIC_IDENTITY,
  MARK_MAGIC_OVERLAY,
  MARK_MAGIC_PROXY_EGRESS,
  MARK_MAGIC_PROXY_EGRESS_EPID,
  MARK_MAGIC_PROXY_INGRESS,
  MARK_MAGIC_SKIP_TPROXY,
  MARK_MAGIC_TO_PROXY,
  METRIC_EGRESS,
  METRIC_INGRESS,
  TRACE_EP_ID_UNKNOWN,
  TRACE_FROM_HOST,
  TRACE_FROM_NETWORK,
  TRACE_FROM_PROXY,
  TRACE_FROM_STACK,
  TRACE_IFINDEX_UNKNOWN,
  TRACE_REASON_ENCRYPTED,
  TRACE_REASON_UNKNOWN,
  TRACE_TO_NETWORK,
  TRACE_TO_STACK,
  UNKNOWN_ID,
  XFER_PKT_NO_SVC,
  XFER_PKT_SNAT_DONE,
} from "./lib/common.js";
import {
  bpf_clear_meta,
  type Ctx,
  ctx_full_len,
  ctx_has,
  ctx_load_and_clear_meta,
  ctx_load_meta,
  ctx_store_meta,
  revalidate_data4,
  revalidate_data6,
  TraceCtx,
  tail_call_egress_policy,
  tail_call_internal,
  tail_call_policy,
} from "./lib/ctx.js";
import { cilium_dbg } from "./lib/dbg.js";
import {
  send_drop_notify,
  send_drop_notify_error,
  send_drop_notify_error_ext,
  send_drop_notify_error_with_exitcode_ext,
} from "./lib/drop.js";
import { edt_sched_departure, edt_set_aggregate } from "./lib/edt.js";
import { egress_gw_handle_request } from "./lib/egress_gateway.js";
import { encap_and_redirect_with_nodeid } from "./lib/encap.js";
import {
  lookup_ip4_endpoint,
  lookup_ip4_remote_endpoint,
  lookup_ip6_endpoint,
  lookup_ip6_remote_endpoint,
} from "./lib/eps.js";
import {
  eth_is_supported_ethertype,
  eth_store_daddr_bytes,
  ethertype,
  validate_ethertype,
} from "./lib/eth.js";
import {
  __ipv4_host_policy_egress,
  __ipv4_host_policy_ingress,
  __ipv6_host_policy_egress,
  __ipv6_host_policy_ingress,
  host_policy_src_id,
  ipv4_host_policy_egress,
  ipv4_host_policy_egress_lookup,
  ipv4_host_policy_ingress,
  ipv4_host_policy_ingress_lookup,
  ipv6_host_policy_egress,
  ipv6_host_policy_egress_lookup,
  ipv6_host_policy_ingress,
  ipv6_host_policy_ingress_lookup,
} from "./lib/host_firewall.js";
import { icmp6_host_handle, SKIP_HOST_FIREWALL } from "./lib/icmp6.js";
import {
  identity_is_reserved,
  identity_is_world_ipv4,
  identity_is_world_ipv6,
  inherit_identity_from_host,
  inherited_identity,
} from "./lib/identity.js";
import { ctx_is_decrypt, do_decrypt, ipsec_maybe_redirect_to_encrypt } from "./lib/ipsec.js";
import {
  IPFRAG_FRAGMENT,
  ipfrag_encode_ipv4,
  ipfrag_is_fragment,
  ipv4_daddr,
  ipv4_saddr,
} from "./lib/ipv4.js";
import {
  IPV6_DADDR_OFF,
  IPV6_SADDR_OFF,
  ipv6_hdrlen,
  ipv6_hdrlen_with_fraginfo,
  ipv6_load_addr,
  ipv6_nexthdr,
} from "./lib/ipv6.js";
import { handle_l2_announcement4, handle_l2_announcement6 } from "./lib/l2_responder.js";
import { ipv4_local_delivery, ipv6_local_delivery, local_delivery_fill_meta } from "./lib/local_delivery.js";
import { update_metrics } from "./lib/metrics.js";
import { nodeport_lb4, nodeport_lb6, nodeport_out } from "./lib/nodeport.js";
import { handle_nat_fwd } from "./lib/nodeport_egress.js";
import {
  ctx_egw_done,
  ctx_is_overlay,
  ctx_mark_is_encrypted,
  ctx_skip_host_fw,
  ctx_skip_nodeport,
  ctx_skip_nodeport_clear,
  ctx_skip_nodeport_set,
  ctx_snat_done,
  ctx_snat_done_set,
  get_epid,
  get_identity,
  tc_index_from_egress_proxy,
  tc_index_from_ingress_proxy,
} from "./lib/overloadable.js";
import { ctx_redirect_to_proxy_first } from "./lib/proxy.js";
import * as site from "./lib/source_lines.js";
import { send_trace_notify } from "./lib/trace.js";
import {
  ctx_is_wireguard,
  set_decrypt_mark,
  wg_maybe_redirect_to_encrypt,
  wireguard_l4_off,
} from "./lib/wireguard.js";

// The host firewall takes a conntrack look-up and, in the second half, a decision for one packet: ct_buffer4 holds
// the result between the halves, as cilium_tail_call_buffer4 does, and CB_FROM_HOST says whether there is something
// to decide.
// Bit 0 stays free: elsewhere it says "from host" itself.
const FROM_HOST_FLAG_NEED_HOSTFW = 1 << 1;
const FROM_HOST_FLAG_HOST_ID = 1 << 2;

const trace = new TraceCtx();
const addr6 = new Int32Array(4);
/** Identity that the ipcache gave in resolve_srcid (`__u32 *ipcache_sec_identity`); 0 = none. */
let ipcache_srcid = 0;

/**
 * resolve_srcid_ipv4(): identity of the sender. What is known already stays, unless it is a reserved identity and the
 * ipcache knows better; `host` is never taken from the ipcache. The ipcache's own answer is left in ipcache_srcid.
 */
function resolve_srcid_ipv4(ctx: Ctx, srcid: number): number {
  ipcache_srcid = 0;
  // What the proxy sends carries a real identity already.
  if (!identity_is_reserved(ctx, srcid)) return srcid;
  const saddr = ipv4_saddr(ctx, ETH_HLEN);
  const info = lookup_ip4_remote_endpoint(ctx, saddr, 0);
  let id = srcid;
  if (info !== NONE) {
    ipcache_srcid = ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info);
    // Masqueraded traffic has the host's address too: only the mark can say that it is the host.
    if (ipcache_srcid !== HOST_ID) id = ipcache_srcid;
  }
  if (ctx.def.DEBUG)
    cilium_dbg(ctx, info !== NONE ? DBG_IP_ID_MAP_SUCCEED4 : DBG_IP_ID_MAP_FAILED4, saddr, id);
  return id;
}

/** resolve_srcid_ipv6(): see resolve_srcid_ipv4. */
function resolve_srcid_ipv6(ctx: Ctx, srcid: number): number {
  ipcache_srcid = 0;
  if (!identity_is_reserved(ctx, srcid)) return srcid;
  ipv6_load_addr(ctx, ETH_HLEN + IPV6_SADDR_OFF, addr6, 0);
  const info = lookup_ip6_remote_endpoint(ctx, addr6, 0);
  let id = srcid;
  if (info !== NONE) {
    ipcache_srcid = ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info);
    if (ipcache_srcid !== HOST_ID) id = ipcache_srcid;
  }
  if (ctx.def.DEBUG)
    cilium_dbg(ctx, info !== NONE ? DBG_IP_ID_MAP_SUCCEED6 : DBG_IP_ID_MAP_FAILED6, addr6[3], id);
  return id;
}

// ======================================================================================================================
// From native devices and from cilium_host
// ======================================================================================================================

/**
 * cil_from_netdev: tc ingress of a native device: what comes from the network. Attached where something needs it
 * (kube-proxy replacement, BPF masquerading, host firewall, WireGuard, L2 announcements, IPsec); without it the stack
 * takes packets as they are. Every packet starts without an identity (0); do_netdev looks the source up.
 *
 * What cil_xdp_entry did already comes in the metadata word in front of the packet: bit 0 services looked up, bit 2
 * SNAT done.
 */
export function cil_from_netdev(ctx: Ctx): number {
  bpf_clear_meta(ctx);
  const skb = ctx.skb;
  if (skb.vlanTci > 0 && (skb.vlanTci & 0xfff) !== 0) {
    // Allowed VLANs come again on the VLAN device.
    if (allow_vlan(ctx)) return CTX_ACT_OK;
    return send_drop_notify_error(
      ctx,
      UNKNOWN_ID,
      DROP_VLAN_FILTERED,
      METRIC_INGRESS,
      site.HOST_FROM_NETDEV_DROP,
    );
  }
  // A skip bit that an earlier device left does not count, only XDP's word below.
  ctx_skip_nodeport_clear(ctx);
  if (ctx.def.ENABLE_NODEPORT_ACCELERATION) {
    if ((skb.xdpMeta & XFER_PKT_NO_SVC) !== 0) ctx_skip_nodeport_set(ctx);
    if (ctx.def.HAVE_ENCAP && (skb.xdpMeta & XFER_PKT_SNAT_DONE) !== 0) ctx_snat_done_set(ctx);
  }
  if (!validate_ethertype(ctx)) {
    // Frames that are no Ethernet II are not ours to judge, unless nothing may pass unjudged.
    if (ctx.def.ENABLE_HOST_FIREWALL) {
      return send_drop_notify_error(
        ctx,
        UNKNOWN_ID,
        DROP_UNSUPPORTED_L2,
        METRIC_INGRESS,
        site.HOST_FROM_NETDEV_DROP,
      );
    }
    send_trace_notify(
      ctx,
      TRACE_TO_STACK,
      UNKNOWN_ID,
      UNKNOWN_ID,
      TRACE_EP_ID_UNKNOWN,
      TRACE_IFINDEX_UNKNOWN,
      TRACE_REASON_UNKNOWN,
      0,
      ethertype,
      site.HOST_FROM_NETDEV_TO_STACK,
    );
    return CTX_ACT_OK;
  }
  if (ctx.def.ENABLE_IPSEC) {
    const ret = do_decrypt(ctx, ethertype);
    if (ret < 0)
      return send_drop_notify_error(ctx, UNKNOWN_ID, ret, METRIC_INGRESS, site.HOST_FROM_NETDEV_DROP);
    // Straight to the stack; what it decrypts comes here again.
    if (ctx_is_decrypt(ctx)) return CTX_ACT_OK;
  }
  return do_netdev(ctx, ethertype, UNKNOWN_ID, TRACE_FROM_NETWORK, false);
}

// VLAN_FILTER: which tags pass. Off by default, and then none does.
function allow_vlan(ctx: Ctx): boolean {
  return !ctx.def.ENABLE_VLAN_FILTER;
}

/**
 * cil_from_host: tc egress of cilium_host, through which the host's routes to pods lead: what host processes, the
 * proxies and (with legacy host routing) the stack's forwarding send to endpoints. The sender's identity is in the
 * mark that iptables or the proxy set; a mark without Cilium's magic is forwarded traffic, and the ipcache is asked
 * by source address.
 */
export function cil_from_host(ctx: Ctx): number {
  bpf_clear_meta(ctx);
  // The host's traffic is nobody's bandwidth.
  edt_set_aggregate(ctx, 0);
  if (!validate_ethertype(ctx)) {
    if (ctx.def.ENABLE_HOST_FIREWALL) {
      return send_drop_notify(
        ctx,
        HOST_ID,
        UNKNOWN_ID,
        TRACE_EP_ID_UNKNOWN,
        DROP_UNSUPPORTED_L2,
        METRIC_EGRESS,
        site.HOST_FROM_HOST_L2_DROP,
      );
    }
    send_trace_notify(
      ctx,
      TRACE_TO_STACK,
      HOST_ID,
      UNKNOWN_ID,
      TRACE_EP_ID_UNKNOWN,
      TRACE_IFINDEX_UNKNOWN,
      TRACE_REASON_UNKNOWN,
      0,
      ethertype,
      site.HOST_FROM_HOST_TO_STACK,
    );
    return CTX_ACT_OK;
  }
  const proto = ethertype;
  if (ctx.def.ENABLE_L7_LB && (ctx.skb.mark & MARK_MAGIC_HOST_MASK) === MARK_MAGIC_PROXY_EGRESS_EPID) {
    // Envoy as L7 load balancer speaks for a pod: its egress policy decides.
    const lxc_id = get_epid(ctx);
    ctx.skb.mark = 0;
    const ret = tail_call_egress_policy(ctx, lxc_id);
    return send_drop_notify_error(
      ctx,
      UNKNOWN_ID,
      ret < 0 ? DROP_EP_NOT_READY : ret,
      METRIC_EGRESS,
      site.HOST_FROM_HOST_EGRESS_POLICY_DROP,
    );
  }
  const magic = inherit_identity_from_host(ctx, proto);
  const from_proxy = magic === MARK_MAGIC_PROXY_INGRESS || magic === MARK_MAGIC_PROXY_EGRESS;
  return do_netdev(ctx, proto, inherited_identity, from_proxy ? TRACE_FROM_PROXY : TRACE_FROM_HOST, true);
}

/**
 * The sample with which cil_from_netdev and cil_from_host begin: source known, destination not; the device is the one
 * that received the packet, 0 for what the host made. All of them are FROM_* points, gone at aggregation lowest and
 * above.
 */
function trace_from(
  ctx: Ctx,
  obs_point: number,
  identity: number,
  reason: number,
  proto: number,
  at: number,
): void {
  send_trace_notify(
    ctx,
    obs_point,
    identity,
    UNKNOWN_ID,
    TRACE_EP_ID_UNKNOWN,
    ctx.skb.ingressIfindex,
    reason,
    ctx.config.trace_payload_len,
    proto,
    at,
  );
}

/**
 * do_netdev(): ARP, then source identity, from-network or from-host sample, and a tail call by protocol. The identity
 * goes on in CB_SRC_LABEL; with the host firewall the ipcache's answer goes along (CB_IPCACHE_SRC_LABEL), which
 * egress policy needs to tell the host's own packets from masqueraded ones.
 */
function do_netdev(ctx: Ctx, proto: number, srcid: number, obs_point: number, from_host: boolean): number {
  const def = ctx.def;
  let identity = srcid;
  let reason = TRACE_REASON_UNKNOWN;
  const old = def.profile === "1.11";
  if (
    proto === ETH_P_ARP &&
    (def.ENABLE_ARP_RESPONDER || def.ENABLE_ARP_PASSTHROUGH || ctx.config.enable_l2_announcements)
  ) {
    if (!ctx_has(ctx, ETH_HLEN + 28)) {
      return send_drop_notify_error(ctx, identity, DROP_INVALID, METRIC_INGRESS, site.HOST_NETDEV_DROP);
    }
    trace_from(ctx, obs_point, identity, reason, proto, site.HOST_NETDEV_ARP);
    // Answers for service addresses that this node announces; other requests are the stack's.
    if (!ctx.config.enable_l2_announcements) return CTX_ACT_OK;
    const ret = handle_l2_announcement4(ctx);
    if (ret < 0) return send_drop_notify_error(ctx, identity, ret, METRIC_EGRESS, site.HOST_NETDEV_DROP);
    return ret;
  }
  if (proto === ETH_P_IPV6 && def.ENABLE_IPV6) {
    if (!revalidate_data6(ctx)) {
      return send_drop_notify_error(ctx, identity, DROP_INVALID, METRIC_INGRESS, site.HOST_NETDEV_DROP);
    }
    if (ctx.config.enable_l2_announcements && ipv6_nexthdr(ctx, ETH_HLEN) === IPPROTO_ICMPV6) {
      const ret = handle_l2_announcement6(ctx);
      if (ret < 0) return send_drop_notify_error(ctx, identity, ret, METRIC_EGRESS, site.HOST_NETDEV_DROP);
      if (ret !== CTX_ACT_OK) return ret;
    }
    if (old) trace_from(ctx, obs_point, from_host ? identity : 0, reason, proto, site.HOST_NETDEV_V6);
    identity = resolve_srcid_ipv6(ctx, identity);
    ctx_store_meta(ctx, CB_SRC_LABEL, identity);
    if (def.ENABLE_HOST_FIREWALL && from_host) ctx_store_meta(ctx, CB_IPCACHE_SRC_LABEL, ipcache_srcid);
    if (def.ENABLE_WIREGUARD && !from_host && is_wireguard(ctx, proto, identity)) {
      reason = TRACE_REASON_ENCRYPTED;
      set_decrypt_mark(ctx, 0);
    }
    if (!old) trace_from(ctx, obs_point, identity, reason, proto, site.HOST_NETDEV_V6);
    const ret = tail_call_internal(
      ctx,
      from_host ? CILIUM_CALL_IPV6_FROM_HOST : CILIUM_CALL_IPV6_FROM_NETDEV,
    );
    return send_drop_notify_error_with_exitcode_ext(
      ctx,
      identity,
      ret,
      ctx.ext_err,
      CTX_ACT_OK,
      METRIC_INGRESS,
      site.HOST_NETDEV_V6_DROP,
    );
  }
  if (proto === ETH_P_IP && def.ENABLE_IPV4) {
    if (!revalidate_data4(ctx)) {
      return send_drop_notify_error(ctx, identity, DROP_INVALID, METRIC_INGRESS, site.HOST_NETDEV_DROP);
    }
    // Release 1.11 told the arrival before it knew who sent it.
    if (old) trace_from(ctx, obs_point, from_host ? identity : 0, reason, proto, site.HOST_NETDEV_V4);
    identity = resolve_srcid_ipv4(ctx, identity);
    ctx_store_meta(ctx, CB_SRC_LABEL, identity);
    if (def.ENABLE_HOST_FIREWALL && from_host) ctx_store_meta(ctx, CB_IPCACHE_SRC_LABEL, ipcache_srcid);
    if (def.ENABLE_WIREGUARD && !from_host && is_wireguard(ctx, proto, identity)) {
      reason = TRACE_REASON_ENCRYPTED;
      // Told as encrypted, and marked so on its way up to the kernel's WireGuard.
      set_decrypt_mark(ctx, 0);
    }
    if (!old) trace_from(ctx, obs_point, identity, reason, proto, site.HOST_NETDEV_V4);
    const ret = tail_call_internal(
      ctx,
      from_host ? CILIUM_CALL_IPV4_FROM_HOST : CILIUM_CALL_IPV4_FROM_NETDEV,
    );
    // Missing programs must not cut the node off: the packet goes on to the stack.
    return send_drop_notify_error_with_exitcode_ext(
      ctx,
      identity,
      ret,
      ctx.ext_err,
      CTX_ACT_OK,
      METRIC_INGRESS,
      site.HOST_NETDEV_V4_DROP,
    );
  }
  trace_from(ctx, obs_point, identity, reason, proto, site.HOST_NETDEV_OTHER);
  if (def.ENABLE_HOST_FIREWALL) {
    return send_drop_notify_error(ctx, identity, DROP_UNKNOWN_L3, METRIC_INGRESS, site.HOST_NETDEV_DROP);
  }
  return CTX_ACT_OK;
}

/** True for WireGuard's own packets between nodes. */
function is_wireguard(ctx: Ctx, proto: number, identity: number): boolean {
  const l4_off = wireguard_l4_off(ctx, proto);
  return l4_off > 0 && ctx_is_wireguard(ctx, l4_off, ctx.nexthdr, identity);
}

// --- IPv4 ---------------------------------------------------------------------------------------------------------

/** tail_handle_ipv4_from_netdev(): CILIUM_CALL_IPV4_FROM_NETDEV; a second time for what reverse SNAT sends back. */
export function tail_handle_ipv4_from_netdev(ctx: Ctx): number {
  return tail_handle_ipv4(ctx, 0, false);
}

/** tail_handle_ipv4_from_host(): CILIUM_CALL_IPV4_FROM_HOST. */
export function tail_handle_ipv4_from_host(ctx: Ctx): number {
  // Only stored with the host firewall: the word has other uses without it.
  const srcid = ctx.def.ENABLE_HOST_FIREWALL ? ctx_load_and_clear_meta(ctx, CB_IPCACHE_SRC_LABEL) : 0;
  return tail_handle_ipv4(ctx, srcid, true);
}

/**
 * First half of IPv4: services of packets from outside, then the host firewall's look-up for those to the host itself;
 * with the host firewall the rest follows in a tail call.
 */
function tail_handle_ipv4(ctx: Ctx, ipcache_id: number, from_host: boolean): number {
  const src_id = ctx_load_and_clear_meta(ctx, CB_SRC_LABEL);
  nodeport_out.punt_to_stack = false;
  let ret = handle_ipv4(ctx, src_id, ipcache_id, from_host);
  if (ret === CTX_ACT_OK && !nodeport_out.punt_to_stack) {
    if (ctx.def.ENABLE_HOST_FIREWALL) {
      // Read and cleared above; the continuation reads it again.
      ctx_store_meta(ctx, CB_SRC_LABEL, src_id);
      ret = tail_call_internal(
        ctx,
        from_host ? CILIUM_CALL_IPV4_CONT_FROM_HOST : CILIUM_CALL_IPV4_CONT_FROM_NETDEV,
      );
    } else {
      ret = tail_handle_ipv4_cont(ctx, src_id, from_host);
    }
  }
  if (ret < 0)
    return send_drop_notify_error_ext(ctx, src_id, ret, ctx.ext_err, METRIC_INGRESS, site.HOST_V4_DROP);
  return ret;
}

/** handle_ipv4(): service translation, and conntrack of the host firewall. */
function handle_ipv4(ctx: Ctx, secctx: number, ipcache_id: number, from_host: boolean): number {
  const def = ctx.def;
  if (!revalidate_data4(ctx)) return DROP_INVALID;
  if (!def.ENABLE_IPV4_FRAGMENTS && ipfrag_is_fragment(ipfrag_encode_ipv4(ctx, ETH_HLEN))) {
    return DROP_FRAG_NOSUPPORT;
  }
  if (def.ENABLE_NODEPORT && !from_host && !ctx_skip_nodeport(ctx)) {
    // Services first, so that the firewall and delivery see the backend. What the host sends is translated at its
    // socket, if at all.
    const ret = nodeport_lb4(ctx, ETH_HLEN, ETH_HLEN, secctx);
    // A redirect (to the L7 load balancer) or a tail call ends it here.
    if (ret !== CTX_ACT_OK || nodeport_out.punt_to_stack) return ret;
  }
  if (def.ENABLE_HOST_FIREWALL) {
    const buf = ctx.ct_buffer4;
    let need_hostfw = false;
    let is_host_id = false;
    if (from_host) {
      if (ipv4_host_policy_egress_lookup(ctx, secctx, ipcache_id, buf)) {
        if (buf.ret < 0) return buf.ret;
        need_hostfw = true;
        is_host_id = secctx === HOST_ID;
      }
    } else if (!ctx_skip_host_fw(ctx)) {
      // Reached unless tc_index 16 says that an earlier program has let the packet through.
      if (!revalidate_data4(ctx)) return DROP_INVALID;
      if (ipv4_host_policy_ingress_lookup(ctx, buf)) {
        if (buf.ret < 0) return buf.ret;
        need_hostfw = true;
      }
    }
    ctx_store_meta(
      ctx,
      CB_FROM_HOST,
      (need_hostfw ? FROM_HOST_FLAG_NEED_HOSTFW : 0) | (is_host_id ? FROM_HOST_FLAG_HOST_ID : 0),
    );
  }
  return CTX_ACT_OK;
}

/** tail_handle_ipv4_cont_from_host(): CILIUM_CALL_IPV4_CONT_FROM_HOST. */
export function tail_handle_ipv4_cont_from_host(ctx: Ctx): number {
  const src_id = ctx_load_and_clear_meta(ctx, CB_SRC_LABEL);
  const ret = tail_handle_ipv4_cont(ctx, src_id, true);
  if (ret < 0) {
    return send_drop_notify_error_ext(
      ctx,
      src_id,
      ret,
      ctx.ext_err,
      METRIC_INGRESS,
      site.HOST_V4_CONT_FROM_HOST_DROP,
    );
  }
  return ret;
}

/** tail_handle_ipv4_cont_from_netdev(): CILIUM_CALL_IPV4_CONT_FROM_NETDEV. */
export function tail_handle_ipv4_cont_from_netdev(ctx: Ctx): number {
  const src_id = ctx_load_and_clear_meta(ctx, CB_SRC_LABEL);
  const ret = tail_handle_ipv4_cont(ctx, src_id, false);
  if (ret < 0) {
    return send_drop_notify_error_ext(
      ctx,
      src_id,
      ret,
      ctx.ext_err,
      METRIC_INGRESS,
      site.HOST_V4_CONT_FROM_NETDEV_DROP,
    );
  }
  return ret;
}

/**
 * Second half: local delivery, the tunnel, or the stack, which then receives the packet on cilium_net: a packet that
 * leaves cilium_host comes out of its peer, and only its MAC tells the stack that it is meant.
 */
function tail_handle_ipv4_cont(ctx: Ctx, src_id: number, from_host: boolean): number {
  const ret = handle_ipv4_cont(ctx, src_id, from_host);
  // cilium_net must take the packet for its own.
  if (from_host && ret === CTX_ACT_OK) eth_store_daddr_bytes(ctx, ctx.def.CILIUM_NET_MAC);
  return ret;
}

// Magic of the identity mark: what the proxy sends must stay recognisable.
let delivery_magic = MARK_MAGIC_IDENTITY;

/** True for packets that a proxy of this node has sent (told by tc_index); sets delivery_magic. */
function from_proxy_magic(ctx: Ctx, from_host: boolean): boolean {
  let from_proxy = false;
  delivery_magic = MARK_MAGIC_IDENTITY;
  if (!from_host) return false;
  if (tc_index_from_ingress_proxy(ctx)) {
    from_proxy = true;
    delivery_magic = MARK_MAGIC_PROXY_INGRESS;
  }
  if (tc_index_from_egress_proxy(ctx)) {
    from_proxy = true;
    delivery_magic = MARK_MAGIC_PROXY_EGRESS;
  }
  return from_proxy;
}

/**
 * handle_ipv4_cont(): host policy, then delivery to an endpoint, the tunnel, or the stack.
 *
 *   from the network, legacy host routing     the stack, before any look-up and without a to-stack sample
 *   endpoint of this node                     ipv4_local_delivery (TTL - 1, MACs, the endpoint's policy)
 *   from the network, nobody here             the stack routes
 *   from the host, tunnel endpoint            encapsulation
 *   from a proxy                              the stack, marked so that TPROXY leaves it alone
 *   from the host, world or unknown           drop 151
 */
function handle_ipv4_cont(ctx: Ctx, secctx: number, from_host: boolean): number {
  const def = ctx.def;
  // Metadata, not the mark: inherit_identity_from_host has read the mark and cleared it.
  const from_proxy = from_proxy_magic(ctx, from_host);
  const magic = delivery_magic;
  trace.set(TRACE_REASON_UNKNOWN, ctx.config.trace_payload_len);
  if (!revalidate_data4(ctx)) return DROP_INVALID;
  if (def.ENABLE_HOST_FIREWALL) {
    const raw = ctx_load_and_clear_meta(ctx, CB_FROM_HOST);
    if ((raw & FROM_HOST_FLAG_NEED_HOSTFW) !== 0) {
      const buf = ctx.ct_buffer4;
      const ret = from_host
        ? __ipv4_host_policy_egress(ctx, (raw & FROM_HOST_FLAG_HOST_ID) !== 0, buf, trace)
        : __ipv4_host_policy_ingress(ctx, 0, buf, trace);
      if (ret < 0 || ret === CTX_ACT_REDIRECT) return ret;
    }
  }
  // Without BPF host routing the stack must see the packet, or nf_conntrack would miss half of the connection.
  if (!def.ENABLE_HOST_ROUTING && !from_host) return CTX_ACT_OK;

  const daddr = ipv4_daddr(ctx, ETH_HLEN);
  const ep = lookup_ip4_endpoint(ctx, daddr);
  if (ep !== NONE) {
    // The node's own addresses belong to the stack.
    if ((lxcFlags(ctx.maps.cilium_lxc, ep) & ENDPOINT_MASK_HOST_DELIVERY) !== 0) return CTX_ACT_OK;
    return ipv4_local_delivery(ctx, ETH_HLEN, secctx, magic, ep, METRIC_INGRESS, from_host, false, 0);
  }
  if (!from_host) return CTX_ACT_OK;

  const ipcache = ctx.maps.cilium_ipcache_v2;
  const info = lookup_ip4_remote_endpoint(ctx, daddr, 0);
  if (def.TUNNEL_MODE && info !== NONE) {
    const flags = ipcacheFlags(ipcache, info);
    if ((flags & IPCACHE_F_SKIP_TUNNEL) === 0 && (flags & IPCACHE_F_HAS_TUNNEL_EP) !== 0) {
      return encap_and_redirect_with_nodeid(
        ctx,
        info,
        secctx,
        ipcacheSecIdentity(ipcache, info),
        trace.reason,
        trace.monitor,
        ETH_P_IP,
      );
    }
  }
  if (from_proxy) {
    // To the world or to another node: routed by the stack, which must not take it for the proxy's again.
    ctx.skb.mark = MARK_MAGIC_SKIP_TPROXY;
    return CTX_ACT_OK;
  }
  // Routed to cilium_host, but nobody knows the address: passing it on would make a loop.
  if (info === NONE || identity_is_world_ipv4(ctx, ipcacheSecIdentity(ipcache, info))) return DROP_UNROUTABLE;
  return CTX_ACT_OK;
}

// --- IPv6 ---------------------------------------------------------------------------------------------------------

// The halves and their order are IPv4's. What differs is ICMPv6: the node has to speak with its neighbours, so that
// neighbour discovery is sorted out before services and host firewall.

/** tail_handle_ipv6_from_netdev(): CILIUM_CALL_IPV6_FROM_NETDEV. */
export function tail_handle_ipv6_from_netdev(ctx: Ctx): number {
  return tail_handle_ipv6(ctx, 0, false);
}

/** tail_handle_ipv6_from_host(): CILIUM_CALL_IPV6_FROM_HOST. */
export function tail_handle_ipv6_from_host(ctx: Ctx): number {
  const srcid = ctx.def.ENABLE_HOST_FIREWALL ? ctx_load_and_clear_meta(ctx, CB_IPCACHE_SRC_LABEL) : 0;
  return tail_handle_ipv6(ctx, srcid, true);
}

/** First half of IPv6, see tail_handle_ipv4. */
function tail_handle_ipv6(ctx: Ctx, ipcache_id: number, from_host: boolean): number {
  const src_id = ctx_load_and_clear_meta(ctx, CB_SRC_LABEL);
  nodeport_out.punt_to_stack = false;
  let ret = handle_ipv6(ctx, src_id, ipcache_id, from_host);
  if (ret === CTX_ACT_OK && !nodeport_out.punt_to_stack) {
    if (ctx.def.ENABLE_HOST_FIREWALL) {
      ctx_store_meta(ctx, CB_SRC_LABEL, src_id);
      ret = tail_call_internal(
        ctx,
        from_host ? CILIUM_CALL_IPV6_CONT_FROM_HOST : CILIUM_CALL_IPV6_CONT_FROM_NETDEV,
      );
    } else {
      ret = tail_handle_ipv6_cont(ctx, src_id, from_host);
    }
  }
  if (ret < 0)
    return send_drop_notify_error_ext(ctx, src_id, ret, ctx.ext_err, METRIC_INGRESS, site.HOST_V6_DROP);
  return ret;
}

/** handle_ipv6(): services and host firewall of packets from outside. See handle_ipv4. */
function handle_ipv6(ctx: Ctx, secctx: number, ipcache_id: number, from_host: boolean): number {
  const def = ctx.def;
  let skip_host_firewall = false;
  if (!revalidate_data6(ctx)) return DROP_INVALID;
  if (!def.ENABLE_IPV6_FRAGMENTS) {
    const ret = ipv6_hdrlen_with_fraginfo(ctx, ETH_HLEN);
    if (ret < 0) return ret;
    if ((ctx.fraginfo & IPFRAG_FRAGMENT) !== 0) return DROP_FRAG_NOSUPPORT;
  }
  // Without host firewall the host's own ICMPv6 needs no look at it; what comes in may be an NS for a pod.
  if (def.ENABLE_HOST_FIREWALL || !from_host) {
    const hdrlen = ipv6_hdrlen(ctx, ETH_HLEN);
    if (hdrlen < 0) return hdrlen;
    if (ctx.nexthdr === IPPROTO_ICMPV6) {
      const ret = icmp6_host_handle(ctx, ETH_HLEN + hdrlen, !from_host);
      // Only the firewall is skipped, services and delivery are not.
      if (ret === SKIP_HOST_FIREWALL) skip_host_firewall = true;
      else if (ret !== CTX_ACT_OK) return ret;
    }
  }
  if (def.ENABLE_NODEPORT && !from_host && !ctx_skip_nodeport(ctx)) {
    const ret = nodeport_lb6(ctx, ETH_HLEN, secctx);
    if (ret !== CTX_ACT_OK || nodeport_out.punt_to_stack) return ret;
  }
  if (def.ENABLE_HOST_FIREWALL) {
    const buf = ctx.ct_buffer6;
    let need_hostfw = false;
    let is_host_id = false;
    if (!skip_host_firewall) {
      if (from_host) {
        if (ipv6_host_policy_egress_lookup(ctx, secctx, ipcache_id, buf)) {
          if (buf.ret < 0) return buf.ret;
          need_hostfw = true;
          is_host_id = secctx === HOST_ID;
        }
      } else if (!ctx_skip_host_fw(ctx)) {
        if (!revalidate_data6(ctx)) return DROP_INVALID;
        if (ipv6_host_policy_ingress_lookup(ctx, buf)) {
          if (buf.ret < 0) return buf.ret;
          need_hostfw = true;
        }
      }
    }
    ctx_store_meta(
      ctx,
      CB_FROM_HOST,
      (need_hostfw ? FROM_HOST_FLAG_NEED_HOSTFW : 0) | (is_host_id ? FROM_HOST_FLAG_HOST_ID : 0),
    );
  }
  return CTX_ACT_OK;
}

/** tail_handle_ipv6_cont_from_host(): CILIUM_CALL_IPV6_CONT_FROM_HOST. */
export function tail_handle_ipv6_cont_from_host(ctx: Ctx): number {
  return tail_handle_ipv6_cont_as(ctx, true);
}

/** tail_handle_ipv6_cont_from_netdev(): CILIUM_CALL_IPV6_CONT_FROM_NETDEV. */
export function tail_handle_ipv6_cont_from_netdev(ctx: Ctx): number {
  return tail_handle_ipv6_cont_as(ctx, false);
}

/** The second half as a tail call, with its drop sample; the two entries differ in who sent the packet. */
function tail_handle_ipv6_cont_as(ctx: Ctx, from_host: boolean): number {
  const src_id = ctx_load_and_clear_meta(ctx, CB_SRC_LABEL);
  const ret = tail_handle_ipv6_cont(ctx, src_id, from_host);
  if (ret < 0) {
    return send_drop_notify_error_ext(ctx, src_id, ret, ctx.ext_err, METRIC_INGRESS, site.HOST_V6_CONT_DROP);
  }
  return ret;
}

/** See tail_handle_ipv4_cont. */
function tail_handle_ipv6_cont(ctx: Ctx, src_id: number, from_host: boolean): number {
  const ret = handle_ipv6_cont(ctx, src_id, from_host);
  if (from_host && ret === CTX_ACT_OK) eth_store_daddr_bytes(ctx, ctx.def.CILIUM_NET_MAC);
  return ret;
}

/** handle_ipv6_cont(): delivery to a pod of the node or, of packets from the host, into the tunnel. */
function handle_ipv6_cont(ctx: Ctx, secctx: number, from_host: boolean): number {
  const def = ctx.def;
  const from_proxy = from_proxy_magic(ctx, from_host);
  const magic = delivery_magic;
  trace.set(TRACE_REASON_UNKNOWN, ctx.config.trace_payload_len);
  if (!revalidate_data6(ctx)) return DROP_INVALID;
  if (def.ENABLE_HOST_FIREWALL) {
    const raw = ctx_load_and_clear_meta(ctx, CB_FROM_HOST);
    if ((raw & FROM_HOST_FLAG_NEED_HOSTFW) !== 0) {
      const buf = ctx.ct_buffer6;
      // An unknown source begins as world here, as 0 in IPv4.
      const ret = from_host
        ? __ipv6_host_policy_egress(ctx, (raw & FROM_HOST_FLAG_HOST_ID) !== 0, buf, trace)
        : __ipv6_host_policy_ingress(ctx, def.WORLD_IPV6_ID, buf, trace);
      if (ret < 0 || ret === CTX_ACT_REDIRECT) return ret;
    }
  }
  if (!def.ENABLE_HOST_ROUTING && !from_host) return CTX_ACT_OK;

  ipv6_load_addr(ctx, ETH_HLEN + IPV6_DADDR_OFF, addr6, 0);
  const ep = lookup_ip6_endpoint(ctx, addr6, 0);
  if (ep !== NONE) {
    if ((lxcFlags(ctx.maps.cilium_lxc, ep) & ENDPOINT_MASK_HOST_DELIVERY) !== 0) return CTX_ACT_OK;
    return ipv6_local_delivery(ctx, ETH_HLEN, secctx, magic, ep, METRIC_INGRESS, from_host, false);
  }
  if (!from_host) return CTX_ACT_OK;

  const ipcache = ctx.maps.cilium_ipcache_v2;
  const info = lookup_ip6_remote_endpoint(ctx, addr6, 0);
  if (def.TUNNEL_MODE && info !== NONE) {
    const flags = ipcacheFlags(ipcache, info);
    if ((flags & IPCACHE_F_SKIP_TUNNEL) === 0 && (flags & IPCACHE_F_HAS_TUNNEL_EP) !== 0) {
      return encap_and_redirect_with_nodeid(
        ctx,
        info,
        secctx,
        ipcacheSecIdentity(ipcache, info),
        trace.reason,
        trace.monitor,
        ETH_P_IPV6,
      );
    }
  }
  if (from_proxy) {
    ctx.skb.mark = MARK_MAGIC_SKIP_TPROXY;
    return CTX_ACT_OK;
  }
  if (info === NONE || identity_is_world_ipv6(ctx, ipcacheSecIdentity(ipcache, info))) return DROP_UNROUTABLE;
  return CTX_ACT_OK;
}

// ======================================================================================================================
// To native devices
// ======================================================================================================================

/**
 * cil_to_netdev: tc egress of a native device: everything that leaves the node, from whichever path. In order: who
 * sent it (the mark), VLANs, the L7 load balancer's packets, host firewall, egress gateway, bandwidth manager,
 * encryption, and last reverse translation of node ports and masquerading (handle_nat_fwd), so that the others see
 * the address before BPF masquerading.
 *
 * The to-network sample here has monitor 0 unless the host firewall or NAT looked the connection up: with BPF host
 * routing the pod's program told of the packet already, and at aggregation medium and above this one is left out.
 */
export function cil_to_netdev(ctx: Ctx): number {
  const def = ctx.def;
  const skb = ctx.skb;
  const magic = skb.mark & MARK_MAGIC_HOST_MASK;
  let src_id = UNKNOWN_ID;
  trace.set(TRACE_REASON_UNKNOWN, 0);
  // Left by the program that handed the packet to XFRM.
  const encrypt_identity = def.ENABLE_IPSEC ? ctx_load_meta(ctx, CB_ENCRYPT_IDENTITY) : UNKNOWN_ID;
  bpf_clear_meta(ctx);
  // No ipcache look-up for this: only the host firewall and encryption need to know more.
  // The outer packet of a tunnel is the host's; the pod inside was told at the tunnel device.
  if (magic === MARK_MAGIC_HOST || magic === MARK_MAGIC_OVERLAY || ctx_mark_is_encrypted(ctx))
    src_id = HOST_ID;
  else if (magic === MARK_MAGIC_PROXY_EGRESS) src_id = get_identity(ctx);
  else if (magic === MARK_MAGIC_IDENTITY && def.ENABLE_IDENTITY_MARK) src_id = get_identity(ctx);
  else if (magic === MARK_MAGIC_EGW_DONE && def.ENABLE_EGRESS_GATEWAY) src_id = get_identity(ctx);
  validate_ethertype(ctx);
  const proto = ethertype;

  if (def.ENABLE_IPSEC && ctx_mark_is_encrypted(ctx)) {
    send_trace_notify(
      ctx,
      TRACE_FROM_STACK,
      encrypt_identity,
      UNKNOWN_ID,
      TRACE_EP_ID_UNKNOWN,
      skb.ingressIfindex,
      TRACE_REASON_ENCRYPTED,
      0,
      proto,
      site.HOST_TO_NETDEV_FROM_STACK,
    );
  }
  if (skb.vlanTci > 0 && (skb.vlanTci & 0xfff) !== 0) {
    if (allow_vlan(ctx)) return CTX_ACT_OK;
    return to_netdev_drop(ctx, src_id, DROP_VLAN_FILTERED);
  }
  let ret = CTX_ACT_OK;
  if (def.ENABLE_L7_LB && magic === MARK_MAGIC_PROXY_EGRESS_EPID) {
    const lxc_id = get_epid(ctx);
    skb.mark = 0;
    ret = tail_call_egress_policy(ctx, lxc_id);
    return to_netdev_drop(ctx, src_id, ret < 0 ? DROP_EP_NOT_READY : ret);
  }
  // Mark 0x0300: this program has seen the packet before, on its way from a node port; its source is ours by now.
  if (def.ENABLE_HOST_FIREWALL && !ctx_snat_done(ctx)) {
    ret = to_netdev_host_firewall(ctx, src_id, proto);
    if (ret === CTX_ACT_REDIRECT) return ret;
    if (ret < 0) return to_netdev_drop(ctx, src_id, ret);
  }
  // What from-overlay has sent here as the gateway is not to be redirected again.
  if (def.ENABLE_EGRESS_GATEWAY && !ctx_egw_done(ctx)) {
    ret = egress_gw_handle_request(ctx, proto, src_id, UNKNOWN_ID, trace);
    if (ret < 0) return to_netdev_drop(ctx, src_id, ret);
    if (ret !== CTX_ACT_OK) return ret;
  }
  if (def.ENABLE_BANDWIDTH_MANAGER) {
    ret = edt_sched_departure(ctx, proto);
    // Rate limiting is no event.
    if (ret < 0) {
      update_metrics(ctx, ctx_full_len(ctx), METRIC_EGRESS, -ret & 0xff, site.HOST_TO_NETDEV_EDT);
      return CTX_ACT_DROP;
    }
  }
  if (def.ENABLE_WIREGUARD || def.ENABLE_IPSEC) {
    // What has been encrypted comes here again, marked.
    if (ctx_mark_is_encrypted(ctx)) {
      trace.reason |= TRACE_REASON_ENCRYPTED;
    } else {
      ret = def.ENABLE_IPSEC
        ? ipsec_maybe_redirect_to_encrypt(ctx, proto, src_id)
        : wg_maybe_redirect_to_encrypt(ctx, proto, src_id);
      if (ret === CTX_ACT_REDIRECT) return ret;
      if (ret < 0) return to_netdev_drop(ctx, src_id, ret);
    }
  }
  ret = CTX_ACT_OK;
  // The outer packet of a tunnel is the host's own, with the right source already.
  if (def.ENABLE_NODEPORT && !ctx_snat_done(ctx) && !ctx_is_overlay(ctx) && !ctx_mark_is_encrypted(ctx)) {
    // Most of its work happens in tail calls that do not come back.
    ret = handle_nat_fwd(ctx, src_id, proto, false, trace);
    if (ret < 0) return to_netdev_drop(ctx, src_id, ret);
    if (ret !== CTX_ACT_OK) return ret;
  }
  send_trace_notify(
    ctx,
    TRACE_TO_NETWORK,
    src_id,
    UNKNOWN_ID,
    TRACE_EP_ID_UNKNOWN,
    ctx.config.interface_ifindex,
    trace.reason,
    trace.monitor,
    proto,
    site.HOST_TO_NETDEV,
  );
  return ret;
}

/** cil_to_netdev names the sender's identity in all its drop samples. */
function to_netdev_drop(ctx: Ctx, src_id: number, ret: number): number {
  return send_drop_notify_error_ext(ctx, src_id, ret, ctx.ext_err, METRIC_EGRESS, site.HOST_TO_NETDEV_DROP);
}

/** The host's egress policy on what leaves by a native device; ARP and neighbour discovery pass. */
function to_netdev_host_firewall(ctx: Ctx, src_sec_identity: number, proto: number): number {
  if (!eth_is_supported_ethertype(proto)) return DROP_UNSUPPORTED_L2;
  // Only "the host's own or not" matters here.
  const src = src_sec_identity === HOST_ID ? HOST_ID : 0;
  if (proto === ETH_P_ARP && (ctx.def.ENABLE_ARP_RESPONDER || ctx.def.ENABLE_ARP_PASSTHROUGH))
    return CTX_ACT_OK;
  if (proto === ETH_P_IP && ctx.def.ENABLE_IPV4) {
    if (!revalidate_data4(ctx)) return DROP_INVALID;
    const src_id = resolve_srcid_ipv4(ctx, src);
    return ipv4_host_policy_egress(ctx, src_id, ipcache_srcid, trace);
  }
  if (proto === ETH_P_IPV6 && ctx.def.ENABLE_IPV6) {
    if (!revalidate_data6(ctx)) return DROP_INVALID;
    const hdrlen = ipv6_hdrlen(ctx, ETH_HLEN);
    if (hdrlen < 0) return hdrlen;
    if (ctx.nexthdr === IPPROTO_ICMPV6) {
      const ret = icmp6_host_handle(ctx, ETH_HLEN + hdrlen, false);
      // Neighbour discovery: a rule against it would cut the node off from its network.
      if (ret === SKIP_HOST_FIREWALL) return CTX_ACT_OK;
      if (ret < 0) return ret;
    }
    const src_id = resolve_srcid_ipv6(ctx, src);
    return ipv6_host_policy_egress(ctx, src_id, ipcache_srcid, trace);
  }
  return DROP_UNKNOWN_L3;
}

// ======================================================================================================================
// To the host
// ======================================================================================================================

/**
 * cil_to_host: tc ingress of cilium_net and cilium_host: what programs redirect to the host. Mostly two kinds come
 * this way: packets for a proxy that could not be handed over where policy decided (the magic 0x0200 with the port in
 * its upper half, in the mark or in CB_PROXY_MAGIC), and with the host firewall those whose ingress policy is still
 * to be asked.
 */
export function cil_to_host(ctx: Ctx): number {
  const def = ctx.def;
  const skb = ctx.skb;
  let magic = ctx_load_meta(ctx, CB_PROXY_MAGIC);
  let ret = CTX_ACT_OK;
  let traced = false;
  let proto = 0;
  let src_id = 0;
  // cb may not have survived the way here; the mark has.
  if ((skb.mark & MARK_MAGIC_HOST_MASK) === MARK_MAGIC_TO_PROXY) magic = skb.mark;
  else if (def.ENABLE_IPSEC && ctx_mark_is_encrypted(ctx)) magic = skb.mark;
  if ((magic & 0xffff) === MARK_MAGIC_TO_PROXY) {
    // Told already, with more to say, by the program that sent it round.
    traced = true;
    ctx_store_meta(ctx, CB_PROXY_MAGIC, 0);
    ret = ctx_redirect_to_proxy_first(ctx, magic >>> 16);
  } else {
    if (def.ENABLE_IPSEC) {
      if ((magic & MARK_MAGIC_HOST_MASK) === MARK_MAGIC_ENCRYPT) {
        skb.mark = magic;
        src_id = ctx_load_meta(ctx, CB_ENCRYPT_IDENTITY);
      } else if (
        !def.TUNNEL_MODE &&
        skb.mark === 0 &&
        ctx.config.interface_ifindex === def.CILIUM_NET_IFINDEX
      ) {
        // A proxy's packet that was routed to cilium_host for its MTU: the stack must not give it to the proxy again.
        skb.mark = MARK_MAGIC_SKIP_TPROXY;
      }
    }
    if (def.ENABLE_HOST_FIREWALL) {
      if (!validate_ethertype(ctx)) {
        ret = DROP_UNSUPPORTED_L2;
      } else {
        proto = ethertype;
        ret = host_policy_by_proto(ctx, proto, src_id, traced, true);
      }
    }
  }
  if (ret < 0) {
    return send_drop_notify_error_ext(ctx, src_id, ret, ctx.ext_err, METRIC_INGRESS, site.HOST_TO_HOST_DROP);
  }
  // Samples name cilium_host as the device, even where the program runs on cilium_net.
  if (!traced && ret === CTX_ACT_OK) {
    send_trace_notify(
      ctx,
      TRACE_TO_STACK,
      src_id,
      UNKNOWN_ID,
      TRACE_EP_ID_UNKNOWN,
      def.CILIUM_HOST_IFINDEX,
      TRACE_REASON_UNKNOWN,
      0,
      proto,
      site.HOST_TO_HOST,
    );
  }
  return ret;
}

// The host's ingress policy as a tail call, or inline where the original is compiled so.
function host_policy_by_proto(
  ctx: Ctx,
  proto: number,
  src_id: number,
  traced: boolean,
  tail: boolean,
): number {
  const def = ctx.def;
  if (proto === ETH_P_ARP && (def.ENABLE_ARP_RESPONDER || def.ENABLE_ARP_PASSTHROUGH)) return CTX_ACT_OK;
  const v4 = proto === ETH_P_IP && def.ENABLE_IPV4;
  if (!v4 && !(proto === ETH_P_IPV6 && def.ENABLE_IPV6)) return DROP_UNKNOWN_L3;
  ctx_store_meta(ctx, CB_SRC_LABEL, src_id);
  ctx_store_meta(ctx, CB_TRACED, traced ? 1 : 0);
  // invoke_tailcall_if: the conditions under which the original is too large for one program.
  if (tail || def.DUAL_STACK || def.DEBUG) {
    return tail_call_internal(
      ctx,
      v4 ? CILIUM_CALL_IPV4_TO_HOST_POLICY_ONLY : CILIUM_CALL_IPV6_TO_HOST_POLICY_ONLY,
    );
  }
  return v4 ? tail_ipv4_host_policy_ingress(ctx) : tail_ipv6_host_policy_ingress(ctx);
}

/**
 * tail_ipv4_host_policy_ingress(): CILIUM_CALL_IPV4_TO_HOST_POLICY_ONLY. The monitor of its to-stack sample begins with
 * the configured length; that of cil_to_host's own is 0, which aggregation medium leaves out.
 */
export function tail_ipv4_host_policy_ingress(ctx: Ctx): number {
  const src_id = ctx_load_meta(ctx, CB_SRC_LABEL);
  const traced = ctx_load_meta(ctx, CB_TRACED) !== 0;
  trace.set(TRACE_REASON_UNKNOWN, ctx.config.trace_payload_len);
  const ret = ipv4_host_policy_ingress(ctx, src_id, trace);
  return after_host_policy(
    ctx,
    ret,
    traced,
    ETH_P_IP,
    site.HOST_V4_POLICY_INGRESS_DROP,
    site.HOST_V4_POLICY_INGRESS,
  );
}

/** tail_ipv6_host_policy_ingress(): CILIUM_CALL_IPV6_TO_HOST_POLICY_ONLY. */
export function tail_ipv6_host_policy_ingress(ctx: Ctx): number {
  const src_id = ctx_load_meta(ctx, CB_SRC_LABEL);
  const traced = ctx_load_meta(ctx, CB_TRACED) !== 0;
  // 0, unlike the IPv4 program.
  trace.set(TRACE_REASON_UNKNOWN, 0);
  const ret = ipv6_host_policy_ingress(ctx, src_id, trace);
  return after_host_policy(
    ctx,
    ret,
    traced,
    ETH_P_IPV6,
    site.HOST_V6_POLICY_INGRESS_DROP,
    site.HOST_V6_POLICY_INGRESS,
  );
}

/** After the host's ingress policy: the drop sample, or the to-stack event unless the packet has had it. */
function after_host_policy(
  ctx: Ctx,
  ret: number,
  traced: boolean,
  proto: number,
  dropSite: number,
  traceSite: number,
): number {
  // As the ingress half has found it, not as it came in CB_SRC_LABEL.
  const src_id = host_policy_src_id;
  if (ret < 0) return send_drop_notify_error_ext(ctx, src_id, ret, ctx.ext_err, METRIC_INGRESS, dropSite);
  if (!traced) {
    send_trace_notify(
      ctx,
      TRACE_TO_STACK,
      src_id,
      UNKNOWN_ID,
      TRACE_EP_ID_UNKNOWN,
      ctx.def.CILIUM_HOST_IFINDEX,
      trace.reason,
      trace.monitor,
      proto,
      traceSite,
    );
  }
  return ret;
}

// ======================================================================================================================
// Between endpoints and the host, with per-endpoint routes
// ======================================================================================================================

/**
 * cil_host_policy: in cilium_call_policy under the host endpoint's id. From an endpoint it is the host's ingress policy;
 * towards one (CB_FROM_HOST) the host's egress policy, and then back to that endpoint's program.
 */
export function cil_host_policy(ctx: Ctx): number {
  if (!ctx.def.ENABLE_HOST_FIREWALL) return CTX_ACT_OK;
  if (ctx_load_meta(ctx, CB_FROM_HOST) === 0) return to_host_from_lxc(ctx);
  const lxc_id = ctx_load_meta(ctx, CB_DST_ENDPOINT_ID);
  let ret = from_host_to_lxc(ctx);
  if (ret >= 0) {
    // The endpoint's program gets its metadata as from ipv4_local_delivery: source host, from the host, no redirect.
    local_delivery_fill_meta(ctx, HOST_ID, false, true, false, 0);
    ret = tail_call_policy(ctx, lxc_id & 0xffff);
    if (ret < 0) ret = DROP_EP_NOT_READY;
  }
  return send_drop_notify_error_ext(ctx, HOST_ID, ret, ctx.ext_err, METRIC_EGRESS, site.HOST_POLICY_DROP);
}

/** to_host_from_lxc(): a pod's packet to the host, tail-called from the pod's program with per-endpoint routes. */
function to_host_from_lxc(ctx: Ctx): number {
  let ret: number;
  if (!validate_ethertype(ctx)) ret = DROP_UNSUPPORTED_L2;
  else ret = host_policy_by_proto(ctx, ethertype, 0, true, false);
  if (ret < 0) {
    return send_drop_notify_error_ext(
      ctx,
      UNKNOWN_ID,
      ret,
      ctx.ext_err,
      METRIC_INGRESS,
      site.HOST_TO_HOST_FROM_LXC_DROP,
    );
  }
  return ret;
}

/** from_host_to_lxc(): the host's packet to a pod, likewise; the source is known to be the host, so no ipcache. */
function from_host_to_lxc(ctx: Ctx): number {
  trace.set(TRACE_REASON_UNKNOWN, 0);
  if (!validate_ethertype(ctx)) return DROP_UNSUPPORTED_L2;
  const proto = ethertype;
  if (proto === ETH_P_ARP && (ctx.def.ENABLE_ARP_RESPONDER || ctx.def.ENABLE_ARP_PASSTHROUGH))
    return CTX_ACT_OK;
  if (proto === ETH_P_IP && ctx.def.ENABLE_IPV4) {
    if (!revalidate_data4(ctx)) return DROP_INVALID;
    return ipv4_host_policy_egress(ctx, HOST_ID, 0, trace);
  }
  if (proto === ETH_P_IPV6 && ctx.def.ENABLE_IPV6) {
    if (!revalidate_data6(ctx)) return DROP_INVALID;
    return ipv6_host_policy_egress(ctx, HOST_ID, 0, trace);
  }
  return DROP_UNKNOWN_L3;
}
