// The programs of the tunnel device, after bpf/bpf_overlay.c:
//
//   cil_from_overlay   tc ingress: the VNI is the source identity; services, then delivery to a pod or to the host
//   cil_to_overlay     tc egress: overlay mark, NAT of node port traffic that goes through the tunnel
//
// Not modelled: IPsec, VTEP, cluster-aware addressing.

import { ipcacheSecIdentity } from "../maps/ipcache.js";
import { lxcFlags } from "../maps/lxc.js";
import { NONE } from "../maps/spec.js";
import { BPF_F_INGRESS } from "../src/bpf/helpers.js";
import { TunnelKey } from "../src/bpf/skb.js";
import {
  CB_SRC_LABEL,
  CILIUM_CALL_IPV4_FROM_OVERLAY,
  CILIUM_CALL_IPV6_FROM_OVERLAY,
  CTX_ACT_DROP,
  CTX_ACT_OK,
  DBG_CAPTURE_DELIVERY,
  DBG_DECAP,
  DROP_FRAG_NOSUPPORT,
  DROP_INVALID,
  DROP_INVALID_IDENTITY,
  DROP_NO_EGRESS_IP,
  DROP_NO_TUNNEL_KEY,
  ENDPOINT_MASK_HOST_DELIVERY,
  ETH_HLEN,
  ETH_P_IP,
  ETH_P_IPV6,
  HOST_ID,
  MARK_MAGIC_EGW_DONE,
  MARK_MAGIC_IDENTITY,
  MARK_MAGIC_OVERLAY,
  METRIC_EGRESS,
  METRIC_INGRESS,
  TRACE_EP_ID_UNKNOWN,
  TRACE_FROM_OVERLAY,
  TRACE_REASON_UNKNOWN,
  UNKNOWN_ID,
} from "./lib/common.js";
import {
  bpf_clear_meta,
  type Ctx,
  ctx_full_len,
  ctx_load_and_clear_meta,
  ctx_redirect,
  ctx_store_meta,
  revalidate_data4,
  revalidate_data6,
  TraceCtx,
  tail_call_internal,
} from "./lib/ctx.js";
import { cilium_dbg, cilium_dbg_capture } from "./lib/dbg.js";
import { send_drop_notify_error_ext } from "./lib/drop.js";
import { edt_sched_departure } from "./lib/edt.js";
import { egress_gw_fib_lookup_and_redirect, egress_gw_snat_needed_hook } from "./lib/egress_gateway.js";
import {
  lookup_ip4_endpoint,
  lookup_ip4_remote_endpoint,
  lookup_ip6_endpoint,
  lookup_ip6_remote_endpoint,
} from "./lib/eps.js";
import {
  eth_store_daddr_bytes,
  eth_store_saddr_bytes,
  ethertype,
  mac_hi,
  mac_lo,
  validate_ethertype,
} from "./lib/eth.js";
import {
  get_id_from_tunnel_id,
  identity_is_remote_node,
  identity_is_world_ipv4,
  identity_is_world_ipv6,
} from "./lib/identity.js";
import {
  IPFRAG_FRAGMENT,
  ipfrag_encode_ipv4,
  ipfrag_is_fragment,
  ipv4_daddr,
  ipv4_saddr,
} from "./lib/ipv4.js";
import { IPV6_DADDR_OFF, IPV6_SADDR_OFF, ipv6_hdrlen_with_fraginfo, ipv6_load_addr } from "./lib/ipv6.js";
import { ipv4_l3, ipv4_l3_ttl, ipv6_l3_ttl } from "./lib/l3.js";
import { ipv4_local_delivery, ipv6_local_delivery } from "./lib/local_delivery.js";
import { update_metrics } from "./lib/metrics.js";
import { nodeport_lb4, nodeport_lb6, nodeport_out } from "./lib/nodeport.js";
import { handle_nat_fwd } from "./lib/nodeport_egress.js";
import {
  ctx_skip_nodeport,
  ctx_skip_nodeport_clear,
  ctx_snat_done,
  set_identity_mark,
} from "./lib/overloadable.js";
import * as site from "./lib/source_lines.js";
import { send_trace_notify } from "./lib/trace.js";

// Scratch of the functions below (stack variables in C).
const key = new TunnelKey();
const trace = new TraceCtx();
const addr6 = new Int32Array(4);
const egw_target = { addr: 0, ifindex: 0 };

/**
 * cil_from_overlay: tc ingress of the tunnel device: the kernel has taken the outer headers off and left the tunnel
 * key. Its id (VXLAN or Geneve VNI) is the source's identity; world is 2 on the wire and becomes 9 or 10 here in dual
 * stack. All samples of this program have source 0: a tunnel device has no endpoint.
 */
export function cil_from_overlay(ctx: Ctx): number {
  let src_id = UNKNOWN_ID;
  bpf_clear_meta(ctx);
  ctx_skip_nodeport_clear(ctx);
  // The stack may know what it is.
  if (!validate_ethertype(ctx)) return CTX_ACT_OK;
  const proto = ethertype;
  let ret = CTX_ACT_OK;
  // Other protocols need no identity and pass: they get a sample and go up to the stack.
  if (proto === ETH_P_IP || proto === ETH_P_IPV6) {
    if (ctx.helpers.skb_get_tunnel_key(ctx.skb, key, 0) < 0) {
      ret = DROP_NO_TUNNEL_KEY;
    } else {
      if (ctx.def.DEBUG) cilium_dbg(ctx, DBG_DECAP, key.id, key.label);
      src_id = get_id_from_tunnel_id(ctx, key.id, proto);
      // Nodes send their own traffic as that of a remote node: nobody may claim to be this host.
      if (src_id === HOST_ID) ret = DROP_INVALID_IDENTITY;
      else ctx_store_meta(ctx, CB_SRC_LABEL, src_id);
    }
  }
  if (ret === CTX_ACT_OK) {
    send_trace_notify(
      ctx,
      TRACE_FROM_OVERLAY,
      src_id,
      UNKNOWN_ID,
      TRACE_EP_ID_UNKNOWN,
      ctx.skb.ingressIfindex,
      TRACE_REASON_UNKNOWN,
      ctx.config.trace_payload_len,
      proto,
      site.OVERLAY_FROM_OVERLAY,
    );
    if (proto === ETH_P_IP && ctx.def.ENABLE_IPV4)
      ret = tail_call_internal(ctx, CILIUM_CALL_IPV4_FROM_OVERLAY);
    else if (proto === ETH_P_IPV6 && ctx.def.ENABLE_IPV6)
      ret = tail_call_internal(ctx, CILIUM_CALL_IPV6_FROM_OVERLAY);
  }
  if (ret < 0) {
    return send_drop_notify_error_ext(
      ctx,
      src_id,
      ret,
      ctx.ext_err,
      METRIC_INGRESS,
      site.OVERLAY_FROM_OVERLAY_DROP,
    );
  }
  return ret;
}

// Source identity as handle_ipv4 and handle_ipv6 have refined it (`__u32 *identity`).
let identity = 0;

/** tail_handle_ipv4(): CILIUM_CALL_IPV4_FROM_OVERLAY. */
export function tail_handle_ipv4_overlay(ctx: Ctx): number {
  identity = ctx_load_and_clear_meta(ctx, CB_SRC_LABEL);
  const ret = handle_ipv4(ctx);
  if (ret < 0) {
    return send_drop_notify_error_ext(ctx, identity, ret, ctx.ext_err, METRIC_INGRESS, site.OVERLAY_V4_DROP);
  }
  return ret;
}

/**
 * handle_ipv4(): node port services that arrive through the tunnel (a load balancing node sends them on, or their
 * replies come back), the egress gateway's part, then delivery to the pod or to the host. Conntrack of the tunnel is
 * the endpoint's business: `from_tunnel` goes along, so that its answers take the tunnel as well.
 */
function handle_ipv4(ctx: Ctx): number {
  const def = ctx.def;
  if (!revalidate_data4(ctx)) return DROP_INVALID;
  // Untracked fragments are refused at the entry, or later ones would be judged without ports (157).
  if (!def.ENABLE_IPV4_FRAGMENTS && ipfrag_is_fragment(ipfrag_encode_ipv4(ctx, ETH_HLEN))) {
    return DROP_FRAG_NOSUPPORT;
  }
  nodeport_out.dsr = false;
  if (def.ENABLE_NODEPORT && !ctx_skip_nodeport(ctx)) {
    const src = identity;
    nodeport_out.punt_to_stack = false;
    const ret = nodeport_lb4(ctx, ETH_HLEN, ETH_HLEN, src);
    // A tail call may have come through here again and left its own.
    identity = src;
    if (ret !== CTX_ACT_OK || nodeport_out.punt_to_stack) return ret;
    if (!revalidate_data4(ctx)) return DROP_INVALID;
  }
  // By the inner source: the outer one is the sending node's and says nothing about the pod.
  const info = lookup_ip4_remote_endpoint(ctx, ipv4_saddr(ctx, ETH_HLEN), 0);
  // The tunnel says "a node", the ipcache knows which; DSR brings the client's address, which the tunnel calls world.
  if (
    info !== NONE &&
    (identity_is_remote_node(ctx, identity) || (nodeport_out.dsr && identity_is_world_ipv4(ctx, identity)))
  ) {
    identity = ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info);
  }
  const daddr = ipv4_daddr(ctx, ETH_HLEN);
  if (
    def.ENABLE_EGRESS_GATEWAY &&
    egress_gw_snat_needed_hook(ctx, ipv4_saddr(ctx, ETH_HLEN), daddr, egw_target)
  ) {
    // A policy without an egress address: 204 rather than a source that the world outside does not expect.
    if (egw_target.addr === 0) return DROP_NO_EGRESS_IP;
    let ret = ipv4_l3_ttl(ctx, ETH_HLEN);
    if (ret !== CTX_ACT_OK) return ret;
    // to-netdev translates the source.
    set_identity_mark(ctx, identity, MARK_MAGIC_EGW_DONE);
    ret = egress_gw_fib_lookup_and_redirect(ctx, egw_target.addr, daddr, egw_target.ifindex);
    if (ret !== CTX_ACT_OK) return ret;
  }
  // METRIC_INGRESS counts no delivery from here: that metric is bpf_lxc's and bpf_host's.
  const ep = lookup_ip4_endpoint(ctx, daddr);
  if (ep !== NONE && (lxcFlags(ctx.maps.cilium_lxc, ep) & ENDPOINT_MASK_HOST_DELIVERY) === 0) {
    return ipv4_local_delivery(
      ctx,
      ETH_HLEN,
      identity,
      MARK_MAGIC_IDENTITY,
      ep,
      METRIC_INGRESS,
      false,
      true,
      0,
    );
  }
  // Not for a pod of ours: it can only be for the host.
  set_identity_mark(ctx, identity, MARK_MAGIC_IDENTITY);
  return ipv4_host_delivery(ctx);
}

/**
 * ipv4_host_delivery(): packets for the host itself enter its stack by way of cilium_host: a hop at layer 3, MACs of
 * the router and of cilium_host, and a redirect to the device's ingress, where cil_to_host tells to-stack.
 */
function ipv4_host_delivery(ctx: Ctx): number {
  const router = ctx.config.interface_mac;
  const host = ctx.def.CILIUM_HOST_MAC;
  const ret = ipv4_l3(ctx, ETH_HLEN, mac_lo(router), mac_hi(router), mac_lo(host), mac_hi(host));
  if (ret !== CTX_ACT_OK) return ret;
  if (ctx.def.DEBUG) cilium_dbg_capture(ctx, DBG_CAPTURE_DELIVERY, ctx.def.CILIUM_HOST_IFINDEX);
  return ctx_redirect(ctx, ctx.def.CILIUM_HOST_IFINDEX, BPF_F_INGRESS);
}

/** tail_handle_ipv6(): CILIUM_CALL_IPV6_FROM_OVERLAY. */
export function tail_handle_ipv6_overlay(ctx: Ctx): number {
  identity = ctx_load_and_clear_meta(ctx, CB_SRC_LABEL);
  const ret = handle_ipv6(ctx);
  if (ret < 0) {
    return send_drop_notify_error_ext(ctx, identity, ret, ctx.ext_err, METRIC_INGRESS, site.OVERLAY_V6_DROP);
  }
  return ret;
}

/** handle_ipv6(): see handle_ipv4; services first, identity, delivery. Egress gateway policies are not asked here. */
function handle_ipv6(ctx: Ctx): number {
  const def = ctx.def;
  if (!revalidate_data6(ctx)) return DROP_INVALID;
  if (!def.ENABLE_IPV6_FRAGMENTS) {
    const ret = ipv6_hdrlen_with_fraginfo(ctx, ETH_HLEN);
    if (ret < 0) return ret;
    if ((ctx.fraginfo & IPFRAG_FRAGMENT) !== 0) return DROP_FRAG_NOSUPPORT;
  }
  nodeport_out.dsr = false;
  if (def.ENABLE_NODEPORT && !ctx_skip_nodeport(ctx)) {
    const src = identity;
    nodeport_out.punt_to_stack = false;
    const ret = nodeport_lb6(ctx, ETH_HLEN, src);
    identity = src;
    if (ret !== CTX_ACT_OK || nodeport_out.punt_to_stack) return ret;
    if (!revalidate_data6(ctx)) return DROP_INVALID;
  }
  ipv6_load_addr(ctx, ETH_HLEN + IPV6_SADDR_OFF, addr6, 0);
  const info = lookup_ip6_remote_endpoint(ctx, addr6, 0);
  if (
    info !== NONE &&
    (identity_is_remote_node(ctx, identity) || (nodeport_out.dsr && identity_is_world_ipv6(ctx, identity)))
  ) {
    identity = ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info);
  }
  ipv6_load_addr(ctx, ETH_HLEN + IPV6_DADDR_OFF, addr6, 0);
  const ep = lookup_ip6_endpoint(ctx, addr6, 0);
  if (ep !== NONE && (lxcFlags(ctx.maps.cilium_lxc, ep) & ENDPOINT_MASK_HOST_DELIVERY) === 0) {
    return ipv6_local_delivery(ctx, ETH_HLEN, identity, MARK_MAGIC_IDENTITY, ep, METRIC_INGRESS, false, true);
  }
  set_identity_mark(ctx, identity, MARK_MAGIC_IDENTITY);
  // An expired hop limit is answered with an ICMPv6 error from here, where IPv4 drops (196).
  const ret = ipv6_l3_ttl(ctx, ETH_HLEN, METRIC_INGRESS);
  if (ret !== CTX_ACT_OK) return ret;
  eth_store_saddr_bytes(ctx, ctx.config.interface_mac);
  eth_store_daddr_bytes(ctx, def.CILIUM_HOST_MAC);
  if (ctx.def.DEBUG) cilium_dbg_capture(ctx, DBG_CAPTURE_DELIVERY, def.CILIUM_HOST_IFINDEX);
  return ctx_redirect(ctx, def.CILIUM_HOST_IFINDEX, BPF_F_INGRESS);
}

/**
 * cil_to_overlay: tc egress of the tunnel device, with the packet still bare and its tunnel key set. Node port
 * replies and SNAT conflicts as on a native device (handle_nat_fwd; no masquerading). The mark 0x0400 with the
 * identity goes with the packet into its encapsulation: cil_to_netdev knows by it that the outer packet is a
 * tunnel's.
 */
export function cil_to_overlay(ctx: Ctx): number {
  // Read before the mark is replaced below: 0x0300 is how nodeport's own translation shows.
  const snat_done = ctx_snat_done(ctx);
  bpf_clear_meta(ctx);
  // Monitor 0: the sender's program has told to-overlay already, with the connection's state.
  trace.set(TRACE_REASON_UNKNOWN, 0);
  validate_ethertype(ctx);
  const proto = ethertype;
  if (ctx.def.ENABLE_BANDWIDTH_MANAGER) {
    // The aggregate does not survive the tunnel device, so the departure time is set here.
    const ret = edt_sched_departure(ctx, proto);
    if (ret < 0) {
      update_metrics(ctx, ctx_full_len(ctx), METRIC_EGRESS, -ret & 0xff, site.OVERLAY_TO_OVERLAY_EDT);
      return CTX_ACT_DROP;
    }
  }
  let src_id = UNKNOWN_ID;
  let ret = CTX_ACT_OK;
  if (ctx.helpers.skb_get_tunnel_key(ctx.skb, key, 0) < 0) {
    ret = DROP_NO_TUNNEL_KEY;
  } else {
    src_id = get_id_from_tunnel_id(ctx, key.id, proto);
    set_identity_mark(ctx, src_id, MARK_MAGIC_OVERLAY);
    if (ctx.def.ENABLE_NODEPORT && !snat_done) ret = handle_nat_fwd(ctx, src_id, proto, false, trace);
  }
  if (ret < 0) {
    return send_drop_notify_error_ext(
      ctx,
      src_id,
      ret,
      ctx.ext_err,
      METRIC_EGRESS,
      site.OVERLAY_TO_OVERLAY_DROP,
    );
  }
  return ret;
}
