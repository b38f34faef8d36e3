// The programs of an endpoint's host-side device, after bpf/bpf_lxc.c, in the order in which a packet meets them:
//
//   cil_from_container     tc ingress: what the pod sends
//     tail_handle_ipv4       source check, per-packet service translation
//     tail_ipv4_ct_egress    conntrack look-up                                    (_6 likewise)
//     tail_handle_ipv4_cont  identity of the destination, policy, conntrack entry, then forwarding:
//                            proxy | endpoint of this node | tunnel | FIB redirect | stack
//   cil_lxc_policy         tail call from another object: ingress policy of this endpoint
//     tail_ipv4_ct_ingress_policy_only, tail_ipv4_policy
//   cil_to_container       tc egress, only with per-endpoint routes: the same from the stack
//     tail_ipv4_ct_ingress, tail_ipv4_to_endpoint
//   cil_lxc_policy_egress  tail call for packets of the L7 load balancer
//
// Not modelled: SRv6, multicast, custom calls, cluster-aware addressing, IPsec.
//
// Metadata between the programs of one packet (skb->cb, names in lib/common.ts): egress carries CB_CT_STATE
// (rev_nat_index in the upper half, bit 0 loopback) and CB_PROXY_MAGIC (the proxy's port in the upper half) from
// service translation to handle_ipv4_from_lxc. Ingress gets from its caller CB_SRC_LABEL (identity of the source),
// CB_DELIVERY_REDIRECT (deliver by redirect), CB_FROM_HOST and CB_FROM_TUNNEL. What C keeps in
// cilium_tail_call_buffer4 between the look-up and the policy program is ct_buffer4 here, and the same in both of C's
// ways to get from one to the other: tail call or plain call.

import { CtTuple4, CtTuple6 } from "../maps/ct.js";
import {
  IPCACHE_F_HAS_TUNNEL_EP,
  IPCACHE_F_SKIP_TUNNEL,
  ipcacheFlags,
  ipcacheSecIdentity,
  ipcacheTunnelEndpoint4,
} from "../maps/ipcache.js";
import {
  backend4Address,
  backend6AddressWord,
  Lb4Key,
  Lb6Key,
  svcBackendId,
  svcFlags,
  svcFlags2,
} from "../maps/lb.js";
import { lxcFlags } from "../maps/lxc.js";
import { NONE } from "../maps/spec.js";
import { BPF_FIB_LKUP_RET_NOT_FWDED } from "../src/bpf/fib_lookup.js";
import { BPF_F_INGRESS } from "../src/bpf/helpers.js";
import { PACKET_HOST } from "../src/bpf/skb.js";
import { bswap16 } from "../src/net/view.js";
import { arp_respond, arp_sip, arp_tip, arp_validate } from "./lib/arp.js";
import { auth_lookup } from "./lib/auth.js";
import {
  CB_CLUSTER_ID_EGRESS,
  CB_CLUSTER_ID_INGRESS,
  CB_CT_STATE,
  CB_DELIVERY_REDIRECT,
  CB_DST_ENDPOINT_ID,
  CB_FROM_HOST,
  CB_FROM_TUNNEL,
  CB_PROXY_MAGIC,
  CB_SRC_LABEL,
  CB_VERDICT,
  CILIUM_CALL_ARP,
  CILIUM_CALL_IPV4_CT_EGRESS,
  CILIUM_CALL_IPV4_CT_INGRESS,
  CILIUM_CALL_IPV4_CT_INGRESS_POLICY_ONLY,
  CILIUM_CALL_IPV4_FROM_LXC,
  CILIUM_CALL_IPV4_FROM_LXC_CONT,
  CILIUM_CALL_IPV4_NO_SERVICE,
  CILIUM_CALL_IPV4_NODEPORT_REVNAT,
  CILIUM_CALL_IPV4_POLICY_DENIED,
  CILIUM_CALL_IPV4_TO_ENDPOINT,
  CILIUM_CALL_IPV4_TO_LXC_POLICY_ONLY,
  CILIUM_CALL_IPV6_CT_EGRESS,
  CILIUM_CALL_IPV6_CT_INGRESS,
  CILIUM_CALL_IPV6_CT_INGRESS_POLICY_ONLY,
  CILIUM_CALL_IPV6_FROM_LXC,
  CILIUM_CALL_IPV6_FROM_LXC_CONT,
  CILIUM_CALL_IPV6_NO_SERVICE,
  CILIUM_CALL_IPV6_NODEPORT_REVNAT_EGRESS,
  CILIUM_CALL_IPV6_TO_ENDPOINT,
  CILIUM_CALL_IPV6_TO_LXC_POLICY_ONLY,
  CT_EGRESS,
  CT_ESTABLISHED,
  CT_INGRESS,
  CT_NEW,
  CT_RELATED,
  CT_REOPENED,
  CT_REPLY,
  CTX_ACT_OK,
  CTX_ACT_REDIRECT,
  DBG_CAPTURE_DELIVERY,
  DBG_IP_ID_MAP_FAILED4,
  DBG_IP_ID_MAP_FAILED6,
  DBG_IP_ID_MAP_SUCCEED4,
  DBG_IP_ID_MAP_SUCCEED6,
  DBG_L7_LB,
  DBG_LOCAL_DELIVERY,
  DROP_FRAG_NOSUPPORT,
  DROP_HOST_NOT_READY,
  DROP_INVALID,
  DROP_INVALID_SIP,
  DROP_MISSED_TAIL_CALL,
  DROP_NO_FIB,
  DROP_NO_SERVICE,
  DROP_POLICY,
  DROP_POLICY_AUTH_REQUIRED,
  DROP_POLICY_DENY,
  DROP_UNKNOWN_CT,
  DROP_UNKNOWN_L3,
  DROP_UNKNOWN_L4,
  DROP_UNSUPP_SERVICE_PROTO,
  DROP_UNSUPPORTED_L2,
  ENDPOINT_MASK_HOST_DELIVERY,
  ETH_HLEN,
  ETH_P_ARP,
  ETH_P_IP,
  ETH_P_IPV6,
  FROM_HOST_L7_LB,
  HOST_ID,
  MARK_MAGIC_HOST_MASK,
  MARK_MAGIC_IDENTITY,
  MARK_MAGIC_PROXY_EGRESS,
  MARK_MAGIC_PROXY_EGRESS_EPID,
  MARK_MAGIC_PROXY_INGRESS,
  METRIC_EGRESS,
  METRIC_INGRESS,
  POLICY_ACT_PROXY_REDIRECT,
  REASON_FORWARDED,
  SCOPE_BIDIR,
  SCOPE_FORWARD,
  TRACE_EP_ID_UNKNOWN,
  TRACE_FROM_LXC,
  TRACE_FROM_PROXY,
  TRACE_FROM_STACK,
  TRACE_IFINDEX_UNKNOWN,
  TRACE_REASON_UNKNOWN,
  TRACE_TO_HOST,
  TRACE_TO_LXC,
  TRACE_TO_NETWORK,
  TRACE_TO_PROXY,
  TRACE_TO_STACK,
  UNKNOWN_ID,
} from "./lib/common.js";
import {
  __ipv4_ct_tuple_reverse,
  __ipv6_ct_tuple_reverse,
  ct_create4,
  ct_create6,
  ct_has_egress_entry4,
  ct_has_egress_entry6,
  ct_has_loopback_egress_entry4,
  ct_has_loopback_egress_entry6,
  ct_lookup4,
  ct_lookup6,
} from "./lib/conntrack.js";
import { get_ct_map4, get_ct_map6 } from "./lib/conntrack_map.js";
import {
  bpf_clear_meta,
  CtState,
  type Ctx,
  ctx_full_len,
  ctx_load_and_clear_meta,
  ctx_load_meta,
  ctx_redirect,
  ctx_store_meta,
  load_be32,
  load_u8,
  revalidate_data4,
  revalidate_data6,
  tail_call_egress_policy,
  tail_call_internal,
  tail_call_policy,
} from "./lib/ctx.js";
import { cilium_dbg, cilium_dbg_capture, cilium_dbg3 } from "./lib/dbg.js";
import {
  send_drop_notify,
  send_drop_notify_error,
  send_drop_notify_error_ext,
  send_drop_notify_ext,
} from "./lib/drop.js";
import { edt_set_aggregate } from "./lib/edt.js";
import { encap_and_redirect_with_nodeid } from "./lib/encap.js";
import {
  lookup_ip4_endpoint,
  lookup_ip4_remote_endpoint,
  lookup_ip6_endpoint,
  lookup_ip6_remote_endpoint,
} from "./lib/eps.js";
import { eth_store_daddr_bytes, ethertype, validate_ethertype } from "./lib/eth.js";
import { fib_redirect_v4, fib_redirect_v6 } from "./lib/fib.js";
import { generate_icmp4_reply, ICMP_DEST_UNREACH, ICMP_PKT_FILTERED } from "./lib/icmp.js";
import { icmp6_ndp_handle, is_icmp6_ndp } from "./lib/icmp6.js";
import {
  identity_is_remote_node,
  identity_is_reserved,
  inherit_identity_from_host,
  inherited_identity,
} from "./lib/identity.js";
import {
  IPFRAG_FRAGMENT,
  ipfrag_encode_ipv4,
  ipfrag_has_l4_header,
  ipfrag_is_fragment,
  ipv4_daddr,
  ipv4_hdrlen,
  ipv4_saddr,
} from "./lib/ipv4.js";
import {
  IPV6_DADDR_OFF,
  IPV6_SADDR_OFF,
  ipv6_addr_equals,
  ipv6_hdrlen_with_fraginfo,
  ipv6_load_addr,
} from "./lib/ipv6.js";
import { ipv4_l3_ttl, ipv6_l3_ttl } from "./lib/l3.js";
import {
  handle_nonroutable_endpoints,
  lb_is_svc_proto,
  lb_svc_is_l7_loadbalancer,
  lb_svc_is_l7_punt_proxy,
  lb_svc_is_localredirect,
  lb4_dnat_request,
  lb4_extract_tuple,
  lb4_fill_key,
  lb4_local,
  lb4_lookup_service,
  lb4_lookup_wildcard_nodeport_service,
  lb4_rev_nat,
  lb6_dnat_request,
  lb6_extract_tuple,
  lb6_fill_key,
  lb6_local,
  lb6_lookup_service,
  lb6_lookup_wildcard_nodeport_service,
  lb6_rev_nat,
} from "./lib/lb.js";
import { ipv4_local_delivery, ipv6_local_delivery } from "./lib/local_delivery.js";
import { lrp_v4_skip_xlate_from_ctx_to_svc, lrp_v6_skip_xlate_from_ctx_to_svc } from "./lib/lrp.js";
import { update_metrics } from "./lib/metrics.js";
import {
  get_epid,
  redirect_ep,
  redirect_self,
  set_identity_mark,
  should_redirect_peer,
  tc_index_from_egress_proxy,
  tc_index_from_ingress_proxy,
} from "./lib/overloadable.js";
import { PolicyResult, policy_can_egress, policy_can_ingress } from "./lib/policy.js";
import { POLICY_EGRESS, POLICY_INGRESS, send_policy_verdict_notify } from "./lib/policy_log.js";
import {
  ctx_redirect_to_proxy,
  ctx_redirect_to_proxy_hairpin_ipv4,
  ctx_redirect_to_proxy_hairpin_ipv6,
} from "./lib/proxy.js";
import * as site from "./lib/source_lines.js";
import { send_trace_notify, send_trace_notify4, send_trace_notify6 } from "./lib/trace.js";

// Scratch of the functions below (stack variables in C).
const svc_tuple4 = new CtTuple4();
const svc_tuple6 = new CtTuple6();
const nodeport_tuple4 = new CtTuple4();
const nodeport_tuple6 = new CtTuple6();
const svc_key4 = new Lb4Key();
const svc_key6 = new Lb6Key();
const ct_state_svc = new CtState();
const ct_state_new = new CtState();
const policy_res = new PolicyResult();
const addr6 = new Int32Array(4);
const orig_sip6 = new Int32Array(4);

// --- what a local delivery to the host's own addresses means ----------------------------------------------------------

/**
 * lxc_deliver_to_host(): per-endpoint routes and host firewall: the host's ingress policy as a tail call into
 * bpf_host's program in cilium_call_policy, at the slot of the host endpoint. An empty slot is DROP_HOST_NOT_READY
 * (202), where a missing pod is DROP_EP_NOT_READY (203).
 */
function lxc_deliver_to_host(ctx: Ctx, src_sec_identity: number): number {
  ctx_store_meta(ctx, CB_SRC_LABEL, src_sec_identity);
  ctx_store_meta(ctx, CB_FROM_HOST, 0);
  const ret = tail_call_policy(ctx, ctx.config.host_ep_id);
  return ret < 0 ? DROP_HOST_NOT_READY : ret;
}

/** lxc_redirect_to_host(): host firewall: cil_to_host of cilium_net enforces the host's ingress policy. */
function lxc_redirect_to_host(ctx: Ctx, proto: number, reason: number, monitor: number): number {
  const ifindex = ctx.def.CILIUM_NET_IFINDEX;
  send_trace_notify(
    ctx,
    TRACE_TO_HOST,
    ctx.config.security_label,
    HOST_ID,
    TRACE_EP_ID_UNKNOWN,
    ifindex,
    reason,
    monitor,
    proto,
    site.LXC_REDIRECT_TO_HOST,
  );
  return ctx_redirect(ctx, ifindex, BPF_F_INGRESS);
}

/**
 * Drops with the direction of the program that runs: ingress for policy programs, egress for what the pod sends. The
 * labels change places with it: on ingress the source is what the caller found (CB_SRC_LABEL), and the destination is
 * this endpoint with its id; on egress the destination is not known yet, so label and id are 0.
 */
function drop_for_direction(ctx: Ctx, dir: number, reason: number): number {
  // The label is compiled into the object: a pod cannot claim another, and a change of its labels needs a new load.
  const label = ctx.config.security_label;
  if (dir === CT_EGRESS) {
    return send_drop_notify_ext(
      ctx,
      label,
      0,
      0,
      reason,
      ctx.ext_err,
      METRIC_EGRESS,
      site.LXC_DROP_FOR_DIRECTION,
    );
  }
  return send_drop_notify_ext(
    ctx,
    ctx_load_meta(ctx, CB_SRC_LABEL),
    label,
    ctx.config.endpoint_id,
    reason,
    ctx.ext_err,
    METRIC_INGRESS,
    site.LXC_DROP_FOR_DIRECTION,
  );
}

/**
 * Scope of the egress conntrack look-up. After per-packet service translation only the forward direction may match:
 * the tuple has the backend's address by then, and its reverse could be the entry of a direct connection from that
 * backend. The same holds for what goes to, or comes from, the L7 load balancer.
 */
function egress_scope(ctx: Ctx): number {
  if (!ctx.def.ENABLE_PER_PACKET_LB) return SCOPE_BIDIR;
  const cb = ctx.skb.cb;
  if (cb[CB_CT_STATE] >>> 16 !== 0) return SCOPE_FORWARD;
  if (ctx.def.ENABLE_L7_LB && (cb[CB_PROXY_MAGIC] >>> 16 !== 0 || cb[CB_FROM_HOST] === FROM_HOST_L7_LB)) {
    return SCOPE_FORWARD;
  }
  return SCOPE_BIDIR;
}

// ======================================================================================================================
// Egress, IPv4
// ======================================================================================================================

/**
 * cil_from_container: tc ingress of the endpoint's device, that is, everything that the pod sends. Only sorts by
 * EtherType; the protocols are tail calls (7 IPv4, 10 IPv6, 6 ARP) so that each fits the verifier.
 *
 * Returns a tc verdict; a negative drop reason never leaves the program but becomes a sample and TC_ACT_SHOT. The
 * from-endpoint sample is not counted in cilium_metrics, unlike those of the other entries.
 */
export function cil_from_container(ctx: Ctx): number {
  const valid = validate_ethertype(ctx);
  const proto = ethertype;
  const sec_label = ctx.config.security_label;
  // Nothing that an earlier program left in cb may be taken for a caller's word.
  bpf_clear_meta(ctx);
  // veth may have recorded its receive queue; let the stack pick one afresh.
  ctx.skb.queueMapping = 0;
  send_trace_notify(
    ctx,
    TRACE_FROM_LXC,
    sec_label,
    UNKNOWN_ID,
    TRACE_EP_ID_UNKNOWN,
    TRACE_IFINDEX_UNKNOWN,
    TRACE_REASON_UNKNOWN,
    ctx.config.trace_payload_len,
    proto,
    site.LXC_FROM_CONTAINER,
  );
  let ret: number;
  // Behind the sample, so that also what is dropped at once has been seen to leave the pod.
  if (!valid) {
    ret = DROP_UNSUPPORTED_L2;
  } else if (proto === ETH_P_IP && ctx.def.ENABLE_IPV4) {
    // Bandwidth manager: the native device's program tells endpoints apart by skb->queue_mapping
    // (edt_sched_departure).
    edt_set_aggregate(ctx, ctx.config.endpoint_id);
    ret = tail_call_internal(ctx, CILIUM_CALL_IPV4_FROM_LXC);
  } else if (proto === ETH_P_IPV6 && ctx.def.ENABLE_IPV6) {
    edt_set_aggregate(ctx, ctx.config.endpoint_id);
    ret = tail_call_internal(ctx, CILIUM_CALL_IPV6_FROM_LXC);
  } else if (proto === ETH_P_ARP && ctx.def.ENABLE_IPV4) {
    // With neither responder nor passthrough ARP is an unknown L3 protocol: drop 139.
    if (ctx.def.ENABLE_ARP_RESPONDER) ret = tail_call_internal(ctx, CILIUM_CALL_ARP);
    else ret = ctx.def.ENABLE_ARP_PASSTHROUGH ? CTX_ACT_OK : DROP_UNKNOWN_L3;
  } else {
    ret = DROP_UNKNOWN_L3;
  }
  if (ret < 0) {
    return send_drop_notify_ext(
      ctx,
      sec_label,
      UNKNOWN_ID,
      TRACE_EP_ID_UNKNOWN,
      ret,
      ctx.ext_err,
      METRIC_EGRESS,
      site.LXC_FROM_CONTAINER_DROP,
    );
  }
  return ret;
}

/**
 * tail_handle_arp(): answers every request but those for the pod's own address (duplicate address detection),
 * whatever address is asked for: a pod has a /32 and one route, so its whole world is its router. The answer is the
 * MAC of the host side of the pair, with the requested address as sender.
 */
export function tail_handle_arp(ctx: Ctx): number {
  const mac = ctx.config.interface_mac;
  // Gratuitous ARP, replies and the like are the stack's.
  if (!arp_validate(ctx, mac)) return CTX_ACT_OK;
  if (arp_tip === ctx.config.endpoint_ipv4) return CTX_ACT_OK;
  const ret = arp_respond(ctx, mac, arp_tip, arp_sip, 0);
  if (ret < 0) return send_drop_notify_error(ctx, UNKNOWN_ID, ret, METRIC_EGRESS, site.LXC_ARP_DROP);
  return ret;
}

/**
 * tail_handle_ipv4(): CILIUM_CALL_IPV4_FROM_LXC. Drops from here have no destination identity yet: 134 cut short, 157
 * fragment without tracking, 132 source address, 158 service without backend.
 */
export function tail_handle_ipv4(ctx: Ctx): number {
  const ret = __tail_handle_ipv4(ctx);
  if (ret < 0) {
    return send_drop_notify_error_ext(
      ctx,
      ctx.config.security_label,
      ret,
      ctx.ext_err,
      METRIC_EGRESS,
      site.LXC_V4_DROP,
    );
  }
  return ret;
}

/**
 * Checks of the IPv4 header that need no map, the source address against the pod's own, then service translation or,
 * without per-packet load balancing, conntrack at once.
 */
function __tail_handle_ipv4(ctx: Ctx): number {
  if (!revalidate_data4(ctx)) return DROP_INVALID;
  if (!ctx.def.ENABLE_IPV4_FRAGMENTS && ipfrag_is_fragment(ipfrag_encode_ipv4(ctx, ETH_HLEN))) {
    return DROP_FRAG_NOSUPPORT;
  }
  // What the L7 load balancer sends in the pod's name is not held to the pod's address.
  const from_l7lb = ctx.def.ENABLE_L7_LB && ctx.skb.cb[CB_FROM_HOST] === FROM_HOST_L7_LB;
  if (
    !from_l7lb &&
    ctx.def.ENABLE_SIP_VERIFICATION &&
    ipv4_saddr(ctx, ETH_HLEN) !== ctx.config.endpoint_ipv4
  ) {
    return DROP_INVALID_SIP;
  }
  if (ctx.def.ENABLE_PER_PACKET_LB) return __per_packet_lb_svc_xlate_4(ctx);
  return tail_ipv4_ct_egress(ctx);
}

/**
 * __per_packet_lb_svc_xlate_4(): service translation of single packets, where the socket level does not do it (socket
 * LB off or for the host only, SCTP, L7 load balancing). From here on the packet is one to the backend: conntrack,
 * policy and forwarding never see the service's address. What the reply needs to be turned back goes through
 * CB_CT_STATE into the connection's entry.
 *
 * The tuple has the ports as conntrack loads them, so `sport` is the packet's destination port.
 */
function __per_packet_lb_svc_xlate_4(ctx: Ctx): number {
  const fraginfo = ipfrag_encode_ipv4(ctx, ETH_HLEN);
  const l4_off = ETH_HLEN + ipv4_hdrlen(ctx, ETH_HLEN);
  const tuple = svc_tuple4;
  const cb = ctx.skb.cb;
  // Read by the continuation even where no service is found, so they have to say "none".
  cb[CB_PROXY_MAGIC] = 0;
  cb[CB_CT_STATE] = 0;
  cb[CB_CLUSTER_ID_EGRESS] = 0;
  let ret = lb4_extract_tuple(ctx, ETH_HLEN, fraginfo, l4_off, tuple);
  if (ret < 0) {
    // No ports, no service: ICMP and the like go on untranslated.
    if (ret !== DROP_UNSUPP_SERVICE_PROTO && ret !== DROP_UNKNOWN_L4) return ret;
    return tail_call_internal(ctx, CILIUM_CALL_IPV4_CT_EGRESS);
  }
  lb4_fill_key(svc_key4, tuple);
  // With ENABLE_NODEPORT as from inside: no catch-all entries, and the internal scope where there are two.
  let svc = lb4_lookup_service(ctx, svc_key4, ctx.def.ENABLE_NODEPORT);
  if (svc === NONE && ctx.def.ENABLE_DSR && ctx.def.ENABLE_NODEPORT) {
    // The node port of another node. Flows that were let through untranslated stay so.
    nodeport_tuple4.copyFrom(tuple);
    __ipv4_ct_tuple_reverse(nodeport_tuple4);
    if (!ct_has_egress_entry4(ctx, get_ct_map4(ctx, tuple), nodeport_tuple4)) {
      svc = lb4_lookup_wildcard_nodeport_service(ctx, svc_key4);
      if (svc !== NONE) {
        // nat_addr has an IPv4 address in its last word, in conntrack entries as in CtState.
        ctx.nodeport_nat_addr.fill(0);
        ctx.nodeport_nat_addr[3] = tuple.daddr;
        ctx.nodeport_nat_port = tuple.sport;
      }
    }
  }
  if (svc !== NONE) {
    const services = ctx.maps.cilium_lb4_services_v2;
    const flags2 = svcFlags2(services, svc);
    const proxy_port = svcBackendId(services, svc) & 0xffff;
    // The proxy chooses the backend: no DNAT, only its port, which the continuation turns into a redirect.
    if (lb_svc_is_l7_loadbalancer(ctx, flags2, proxy_port)) {
      cb[CB_PROXY_MAGIC] = proxy_port << 16;
      return tail_call_internal(ctx, CILIUM_CALL_IPV4_CT_EGRESS);
    }
    const flags = svcFlags(services, svc);
    // Left to the proxy untranslated.
    if (ctx.def.ENABLE_L7_LB && lb_svc_is_l7_punt_proxy(flags, flags2)) {
      return tail_call_internal(ctx, CILIUM_CALL_IPV4_CT_EGRESS);
    }
    // Local redirects are the socket level's business where it is on; it may have decided not to.
    const localredirect = ctx.config.enable_lrp && lb_svc_is_localredirect(flags2);
    if (localredirect && ctx.def.ENABLE_SOCKET_LB_FULL) {
      return tail_call_internal(ctx, CILIUM_CALL_IPV4_CT_EGRESS);
    }
    const state = ct_state_svc;
    state.clear();
    const backend = lb4_local(ctx, get_ct_map4(ctx, tuple), fraginfo, l4_off, svc_key4, tuple, svc, state);
    if (backend < 0) {
      if (backend === DROP_NO_SERVICE) {
        if (!ctx.config.enable_no_service_endpoints_routable)
          return handle_nonroutable_endpoints(flags, flags2);
        if (ctx.def.SERVICE_NO_BACKEND_RESPONSE) return tail_call_internal(ctx, CILIUM_CALL_IPV4_NO_SERVICE);
      }
      return backend;
    }
    // A pod that is its own backend: same source and destination would be a martian.
    state.loopback = tuple.saddr === backend4Address(ctx.maps.cilium_lb4_backends_v3, backend);
    if (state.loopback && localredirect) {
      const cookie = ctx.config.endpoint_netns_cookie;
      if (cookie > 0 && lrp_v4_skip_xlate_from_ctx_to_svc(ctx, cookie, tuple.daddr, tuple.sport)) {
        // C keeps what lb4_local has found so far for the connection's entry.
        cb[CB_CT_STATE] = state.rev_nat_index << 16;
        return tail_call_internal(ctx, CILIUM_CALL_IPV4_CT_EGRESS);
      }
    }
    ret = lb4_dnat_request(
      ctx,
      backend,
      ETH_HLEN,
      ipfrag_has_l4_header(fraginfo),
      l4_off,
      tuple,
      state.loopback,
    );
    if (ret < 0) return ret;
    // rev_nat_index as the maps hold it, in network order.
    cb[CB_CT_STATE] = (state.rev_nat_index << 16) | (state.loopback ? 1 : 0);
  }
  return tail_call_internal(ctx, CILIUM_CALL_IPV4_CT_EGRESS);
}

// TAIL_CT_LOOKUP4: loads the tuple, looks it up, leaves everything in ct_buffer4. 0 or a final verdict.
function ct_lookup_into_buffer4(ctx: Ctx, dir: number, scope: number): number {
  if (!revalidate_data4(ctx)) return drop_for_direction(ctx, dir, DROP_INVALID);
  const buf = ctx.ct_buffer4;
  const tuple = buf.tuple;
  const w = tuple.words;
  // daddr, saddr, ports (filled in by the look-up) and protocol; flags 0. The words are those of struct
  // ipv4_ct_tuple.
  w[0] = load_be32(ctx, ETH_HLEN + 16);
  w[1] = load_be32(ctx, ETH_HLEN + 12);
  w[2] = 0;
  w[3] = load_u8(ctx, ETH_HLEN + 9);
  buf.l4_off = ETH_HLEN + ipv4_hdrlen(ctx, ETH_HLEN);
  const state = buf.ct_state;
  state.clear();
  buf.ret = ct_lookup4(ctx, get_ct_map4(ctx, tuple), tuple, ETH_HLEN, buf.l4_off, dir, scope, state);
  buf.monitor = ctx.monitor;
  // Only broken headers are negative here: a miss is CT_NEW, which is 0.
  if (buf.ret < 0) return drop_for_direction(ctx, dir, buf.ret);
  return 0;
}

/**
 * tail_ipv4_ct_egress(): CILIUM_CALL_IPV4_CT_EGRESS. Made by TAIL_CT_LOOKUP4 in C: a tail call of its own where
 * per-packet load balancing makes the program before it large, inlined otherwise.
 */
export function tail_ipv4_ct_egress(ctx: Ctx): number {
  // Before the ipcache: its debug messages come first, and a drop for a broken L4 header has no destination identity.
  let ret = ct_lookup_into_buffer4(ctx, CT_EGRESS, egress_scope(ctx));
  if (ret !== 0) return ret;
  ret = ctx.def.ENABLE_PER_PACKET_LB
    ? tail_call_internal(ctx, CILIUM_CALL_IPV4_FROM_LXC_CONT)
    : tail_handle_ipv4_cont(ctx);
  if (ret < 0) return drop_for_direction(ctx, CT_EGRESS, ret);
  return ret;
}

/** What per-packet translation of a remote node port left for the entry, so that the reply can be turned back. */
function take_nodeport_nat(ctx: Ctx, state: CtState): void {
  if (ctx.nodeport_nat_port === 0) return;
  for (let i = 0; i < 4; i++) state.nat_addr[i] = ctx.nodeport_nat_addr[i];
  state.nat_port = ctx.nodeport_nat_port;
  // Taken once: the next packet must not inherit it.
  ctx.nodeport_nat_port = 0;
}

// Destination identity that handle_ipv4_from_lxc found (`__u32 *dst_sec_identity`).
let dst_sec_identity = 0;

/**
 * tail_handle_ipv4_cont(): CILIUM_CALL_IPV4_FROM_LXC_CONT. A drop from here on names the destination's identity if
 * the ipcache was asked before.
 */
export function tail_handle_ipv4_cont(ctx: Ctx): number {
  dst_sec_identity = 0;
  const ret = handle_ipv4_from_lxc(ctx);
  if (ret < 0) {
    return send_drop_notify_ext(
      ctx,
      ctx.config.security_label,
      dst_sec_identity,
      TRACE_EP_ID_UNKNOWN,
      ret,
      ctx.ext_err,
      METRIC_EGRESS,
      site.LXC_V4_CONT_DROP,
    );
  }
  return ret;
}

/**
 * handle_ipv4_from_lxc(): from the conntrack result in ct_buffer4 to a verdict on the packet.
 *
 *   1. identity of the destination: ipcache, else world
 *   2. replies and related packets skip policy; for others policy_can_egress, its verdict sample, authentication
 *   3. new: conntrack entry; established: again a new one where service or proxy of the packet differ from the entry's
 *   4. reply of a service: source address and port back to the service's; DSR and node port replies leave by their NAT
 *   5. proxy port: to the proxy; everything else: ipv4_forward_to_destination
 */
function handle_ipv4_from_lxc(ctx: Ctx): number {
  if (!revalidate_data4(ctx)) return DROP_INVALID;
  const def = ctx.def;
  const sec_label = ctx.config.security_label;
  const state_new = ct_state_new;
  const res = policy_res;
  let hairpin_flow = false;
  let from_l7lb = false;
  state_new.clear();
  res.reset();
  if (def.ENABLE_PER_PACKET_LB) {
    // Cleared as they are read: the same words mean other things to the programs of the destination.
    const meta = ctx_load_and_clear_meta(ctx, CB_CT_STATE);
    hairpin_flow = (meta & 1) !== 0;
    state_new.loopback = hairpin_flow;
    state_new.rev_nat_index = meta >>> 16;
    res.proxy_port = ctx_load_and_clear_meta(ctx, CB_PROXY_MAGIC) >>> 16;
    take_nodeport_nat(ctx, state_new);
  }

  // Who is the destination? (Service translation is done.)
  const daddr = ipv4_daddr(ctx, ETH_HLEN);
  const ipcache = ctx.maps.cilium_ipcache_v2;
  const info = lookup_ip4_remote_endpoint(ctx, daddr, 0);
  // A miss is the world: 2, or 9 where both families are on (10 in the IPv6 half).
  let dst_id = def.WORLD_IPV4_ID;
  let skip_tunnel = false;
  if (info !== NONE) {
    dst_id = ipcacheSecIdentity(ipcache, info);
    skip_tunnel = (ipcacheFlags(ipcache, info) & IPCACHE_F_SKIP_TUNNEL) !== 0;
  }
  dst_sec_identity = dst_id;
  if (ctx.def.DEBUG)
    cilium_dbg(ctx, info !== NONE ? DBG_IP_ID_MAP_SUCCEED4 : DBG_IP_ID_MAP_FAILED4, daddr, dst_id);

  // The look-up's result, from the program before; its tuple is in stored orientation, so dport is the real one.
  const buf = ctx.ct_buffer4;
  const tuple = buf.tuple;
  const ct_state = buf.ct_state;
  const ct_status = buf.ret;
  const monitor = buf.monitor;

  // Policy.
  switch (ct_status) {
    // Established packets of the original direction are judged on every packet, so that a change of policy holds for
    // running connections at once; only replies and related packets ride on the entry.
    case CT_NEW:
    case CT_ESTABLISHED:
    // CT_REOPENED is release 1.11's; since 1.16 such a packet is CT_NEW.
    case CT_REOPENED: {
      if (def.ENABLE_L7_LB) {
        from_l7lb = ctx_load_meta(ctx, CB_FROM_HOST) === FROM_HOST_L7_LB;
        // The L7 load balancer comes first, policy meets what it sends.
        if (res.proxy_port > 0) {
          if (ctx.def.DEBUG) cilium_dbg3(ctx, DBG_L7_LB, tuple.daddr, tuple.saddr, bswap16(res.proxy_port));
          break;
        }
      }
      // A pod may always talk to itself through a service.
      if (hairpin_flow) break;
      let auth_type = 0;
      let verdict = policy_can_egress(
        ctx,
        sec_label,
        dst_id,
        ETH_P_IP,
        tuple.dport,
        tuple.nexthdr,
        buf.l4_off,
        res,
      );
      if (verdict === DROP_POLICY_AUTH_REQUIRED) {
        auth_type = ctx.ext_err;
        // cilium_auth_map is keyed by the id of the peer's node; a peer without a tunnel endpoint counts as node 0.
        const node = info === NONE ? 0 : ipcacheTunnelEndpoint4(ipcache, info);
        verdict = auth_lookup(ctx, sec_label, dst_id, node, auth_type);
      }
      // One sample for each new connection, and one for each denied packet; send_policy_verdict_notify filters by
      // direction.
      if (verdict !== CTX_ACT_OK || ct_status !== CT_ESTABLISHED) {
        send_policy_verdict_notify(
          ctx,
          dst_id,
          tuple.dport,
          tuple.nexthdr,
          POLICY_EGRESS,
          0,
          verdict,
          res,
          auth_type,
        );
      }
      if (verdict !== CTX_ACT_OK) {
        if (
          ctx.config.policy_deny_response_enabled &&
          (verdict === DROP_POLICY || verdict === DROP_POLICY_DENY)
        ) {
          ctx_store_meta(ctx, CB_VERDICT, verdict);
          // An ICMP error in the place of a drop sample; the metric still counts the reason.
          return tail_call_internal(ctx, CILIUM_CALL_IPV4_POLICY_DENIED);
        }
        return verdict;
      }
      break;
    }
    case CT_RELATED:
    case CT_REPLY:
      // Replies of connections that came through the ingress proxy go back to it: the stack finds its socket.
      if (ct_state.proxy_redirect) {
        send_trace_notify(
          ctx,
          TRACE_TO_PROXY,
          sec_label,
          UNKNOWN_ID,
          TRACE_EP_ID_UNKNOWN,
          TRACE_IFINDEX_UNKNOWN,
          ct_status,
          monitor,
          ETH_P_IP,
          site.LXC_V4_TO_PROXY,
        );
        return ctx_redirect_to_proxy(ctx, 0);
      }
      break;
    default:
      return DROP_UNKNOWN_CT;
  }

  // The connection's entry.
  switch (ct_status) {
    case CT_NEW:
    case CT_ESTABLISHED:
    case CT_REOPENED: {
      // Recreated in place, not updated: the entry's counters and flags start anew, its key stays.
      state_new.proxy_redirect = res.proxy_port > 0;
      // A stale entry: of another service translation, or from before (or after) a redirect to the proxy.
      if (
        ct_status !== CT_NEW &&
        ct_state.rev_nat_index === state_new.rev_nat_index &&
        ct_state.proxy_redirect === state_new.proxy_redirect
      ) {
        break;
      }
      state_new.src_sec_id = sec_label;
      state_new.from_l7lb = from_l7lb;
      const ret = ct_create4(
        ctx,
        get_ct_map4(ctx, tuple),
        ctx.maps.cilium_ct_any4_global,
        tuple,
        CT_EGRESS,
        state_new,
      );
      if (ret < 0) return ret;
      break;
    }
    default:
      // Entries of releases before 1.19, made at the node port: reverse translation here.
      if (def.ENABLE_NODEPORT && ct_state.node_port && lb_is_svc_proto(ctx, tuple.nexthdr)) {
        send_trace_notify(
          ctx,
          TRACE_TO_NETWORK,
          sec_label,
          dst_id,
          TRACE_EP_ID_UNKNOWN,
          TRACE_IFINDEX_UNKNOWN,
          ct_status,
          monitor,
          ETH_P_IP,
          site.LXC_V4_REVNAT,
        );
        return tail_call_internal(ctx, CILIUM_CALL_IPV4_NODEPORT_REVNAT);
      }
      break;
  }
  return ipv4_forward_to_destination(
    ctx,
    tuple,
    ct_state,
    dst_id,
    ct_status,
    monitor,
    info,
    skip_tunnel,
    hairpin_flow,
    from_l7lb,
    res.proxy_port,
  );
}

/**
 * ipv4_forward_to_destination(): where the allowed packet goes. In C this is the tail of handle_ipv4_from_lxc with
 * its labels; the order decides, first match wins:
 *
 *   proxy port                               to the proxy, through the stack (TPROXY)
 *   host, per-endpoint routes, host firewall the host's policy program
 *   endpoint of this node                    ipv4_local_delivery: its policy program, then its device
 *   address of the host                      the stack, or cilium_net with the host firewall
 *   tunnel endpoint in the ipcache           encapsulation, whatever the routing table says
 *   BPF host routing                         FIB look-up and bpf_redirect_neigh, past netfilter and ip_forward
 *   everything else                          the stack (release 1.19 leaves the TTL to it, 1.11 did not)
 *
 * `info` is the destination's slot in the ipcache or NONE, `monitor` the length that trace samples capture.
 */
function ipv4_forward_to_destination(
  ctx: Ctx,
  _tuple: CtTuple4,
  ct_state: CtState,
  dst_id: number,
  ct_status: number,
  monitor: number,
  info: number,
  skip_tunnel: boolean,
  hairpin: boolean,
  from_l7lb: boolean,
  proxy_port: number,
): number {
  const def = ctx.def;
  const sec_label = ctx.config.security_label;
  const hairpin_flow = hairpin || ct_state.loopback;
  // Release 1.11 differs in samples and TTL, marked below.
  const old = def.profile === "1.11";

  if (!from_l7lb && proxy_port > 0) {
    send_trace_notify(
      ctx,
      TRACE_TO_PROXY,
      sec_label,
      UNKNOWN_ID,
      bswap16(proxy_port),
      TRACE_IFINDEX_UNKNOWN,
      ct_status,
      monitor,
      ETH_P_IP,
      site.LXC_V4_TO_PROXY,
    );
    return ctx_redirect_to_proxy(ctx, proxy_port);
  }
  if (def.ENABLE_HOST_FIREWALL && !def.ENABLE_ROUTING && dst_id === HOST_ID) {
    // Packets to the host would meet no program on their way up the stack otherwise.
    return lxc_deliver_to_host(ctx, sec_label);
  }
  // The identity goes with the packet, whatever becomes of its addresses.
  if (def.ENABLE_IDENTITY_MARK) set_identity_mark(ctx, sec_label, MARK_MAGIC_IDENTITY);

  let to_stack = false;
  // Per-endpoint routes leave even local pods to the stack, and so to cil_to_container, unless BPF host routing is
  // on. A pod's way to itself through a service is delivered here in any case.
  if (def.ENABLE_ROUTING || hairpin_flow || def.ENABLE_HOST_ROUTING) {
    // Replies of a pod to itself are addressed to the loopback service address; client and backend are the same.
    const daddr =
      ct_status === CT_REPLY && hairpin_flow ? ipv4_saddr(ctx, ETH_HLEN) : ipv4_daddr(ctx, ETH_HLEN);
    const ep = lookup_ip4_endpoint(ctx, daddr);
    if (ep !== NONE) {
      if (
        (def.ENABLE_ROUTING || def.ENABLE_HOST_ROUTING) &&
        // Host addresses are in cilium_lxc too, with ENDPOINT_F_HOST.
        (lxcFlags(ctx.maps.cilium_lxc, ep) & ENDPOINT_MASK_HOST_DELIVERY) !== 0
      ) {
        if (def.ENABLE_ROUTING && def.ENABLE_HOST_FIREWALL && dst_id === HOST_ID) {
          return lxc_redirect_to_host(ctx, ETH_P_IP, ct_status, monitor);
        }
        to_stack = true;
      } else {
        return ipv4_local_delivery(
          ctx,
          ETH_HLEN,
          sec_label,
          MARK_MAGIC_IDENTITY,
          ep,
          METRIC_EGRESS,
          from_l7lb,
          false,
          0,
        );
      }
    }
  }

  // A connection that came through the tunnel is answered through it.
  if (!to_stack && def.TUNNEL_MODE && (ct_state.from_tunnel || !skip_tunnel)) {
    if (
      !def.ENABLE_NODEPORT &&
      def.ENABLE_HOST_FIREWALL &&
      (ct_status === CT_REPLY || ct_status === CT_RELATED) &&
      identity_is_remote_node(ctx, dst_id)
    ) {
      // kube-proxy's reverse translation comes first.
      to_stack = true;
    } else if (
      info !== NONE &&
      (ipcacheFlags(ctx.maps.cilium_ipcache_v2, info) & IPCACHE_F_HAS_TUNNEL_EP) !== 0
    ) {
      return encap_and_redirect_with_nodeid(ctx, info, sec_label, dst_id, ct_status, monitor, ETH_P_IP);
    }
  }

  // fib_redirect_v4 also takes a hop off the TTL, which ip_forward would have done, and fills ctx.fib_oif for the
  // sample. The sample captures the packet with the pod's MACs: the neighbour's come after the program.
  if (!to_stack && def.ENABLE_HOST_ROUTING) {
    const ret = fib_redirect_v4(ctx, ETH_HLEN, false);
    if (ret === CTX_ACT_REDIRECT) {
      // Release 1.11 told nothing here; its only sample of the packet came from the native device.
      if (!old) {
        send_trace_notify(
          ctx,
          TRACE_TO_NETWORK,
          sec_label,
          dst_id,
          TRACE_EP_ID_UNKNOWN,
          ctx.fib_oif,
          ct_status,
          monitor,
          ETH_P_IP,
          site.LXC_V4_TO_NETWORK,
        );
      }
      return ret;
    }
    // A local route: the stack knows what to do.
    if (ret !== DROP_NO_FIB || ctx.ext_err !== BPF_FIB_LKUP_RET_NOT_FWDED) return ret;
  }

  // pass_to_stack:
  if (!def.ENABLE_ROUTING && from_l7lb && ctx.skb.ifindex !== def.CILIUM_HOST_IFINDEX) {
    // A local backend, reached from its own ingress path: come back through cil_to_container for policy.
    return ctx_redirect(ctx, ctx.skb.ifindex, 0);
  }
  if (old && def.ENABLE_ROUTING) {
    // Release 1.11 routed here already: TTL and destination MAC.
    const ret = ipv4_l3_ttl(ctx, ETH_HLEN);
    if (ret !== CTX_ACT_OK) return ret;
    eth_store_daddr_bytes(ctx, ctx.config.interface_mac);
  }
  send_trace_notify(
    ctx,
    TRACE_TO_STACK,
    sec_label,
    dst_id,
    TRACE_EP_ID_UNKNOWN,
    TRACE_IFINDEX_UNKNOWN,
    ct_status,
    monitor,
    ETH_P_IP,
    site.LXC_V4_TO_STACK,
  );
  if (ctx.def.DEBUG) cilium_dbg_capture(ctx, DBG_CAPTURE_DELIVERY, 0);
  return CTX_ACT_OK;
}

/**
 * tail_policy_denied_ipv4(): policy-deny-response=icmp: destination unreachable, administratively prohibited (3/13),
 * sent back to the pod by redirecting to its own device. The pod is told, and no drop sample is sent; cilium_metrics
 * counts the drop reason on the egress side.
 */
export function tail_policy_denied_ipv4(ctx: Ctx): number {
  const verdict = ctx_load_meta(ctx, CB_VERDICT);
  let ret = generate_icmp4_reply(ctx, ICMP_DEST_UNREACH, ICMP_PKT_FILTERED);
  if (ret === 0) {
    if (ctx.def.DEBUG) cilium_dbg_capture(ctx, DBG_CAPTURE_DELIVERY, ctx.skb.ifindex);
    ret = redirect_self(ctx);
    if (ret >= 0) {
      update_metrics(ctx, ctx_full_len(ctx), METRIC_EGRESS, -verdict & 0xff, site.LXC_POLICY_DENIED);
      return ret;
    }
  }
  return send_drop_notify_error(
    ctx,
    ctx.config.security_label,
    ret,
    METRIC_EGRESS,
    site.LXC_POLICY_DENIED_DROP,
  );
}

// ======================================================================================================================
// Egress, IPv6
// ======================================================================================================================

// The programs of IPv4 once more; comments say what differs. Tuples are ten words (daddr 0 to 3, saddr 4 to 7, ports 8,
// protocol and flags 9), and world is identity 10 in dual stack.

/** tail_handle_ipv6(): CILIUM_CALL_IPV6_FROM_LXC; drops as tail_handle_ipv4, and 156 for too many extension headers. */
export function tail_handle_ipv6(ctx: Ctx): number {
  const ret = __tail_handle_ipv6(ctx);
  if (ret < 0) {
    return send_drop_notify_error_ext(
      ctx,
      ctx.config.security_label,
      ret,
      ctx.ext_err,
      METRIC_EGRESS,
      site.LXC_V6_DROP,
    );
  }
  return ret;
}

/** As __tail_handle_ipv4, and besides neighbour discovery, which the program answers in the router's name. */
function __tail_handle_ipv6(ctx: Ctx): number {
  if (!revalidate_data6(ctx)) return DROP_INVALID;
  if (!ctx.def.ENABLE_IPV6_FRAGMENTS) {
    const ret = ipv6_hdrlen_with_fraginfo(ctx, ETH_HLEN);
    if (ret < 0) return ret;
    if ((ctx.fraginfo & IPFRAG_FRAGMENT) !== 0) return DROP_FRAG_NOSUPPORT;
  }
  // Before the source check: neighbour discovery has link-local and unspecified sources.
  if (is_icmp6_ndp(ctx)) return icmp6_ndp_handle(ctx, METRIC_EGRESS);
  const from_l7lb = ctx.def.ENABLE_L7_LB && ctx.skb.cb[CB_FROM_HOST] === FROM_HOST_L7_LB;
  if (
    !from_l7lb &&
    ctx.def.ENABLE_SIP_VERIFICATION &&
    !ipv6_addr_equals(ctx, ETH_HLEN + IPV6_SADDR_OFF, ctx.config.endpoint_ipv6, 0)
  ) {
    return DROP_INVALID_SIP;
  }
  if (ctx.def.ENABLE_PER_PACKET_LB) return __per_packet_lb_svc_xlate_6(ctx);
  return tail_ipv6_ct_egress(ctx);
}

/** __per_packet_lb_svc_xlate_6(): see the IPv4 one; loopback towards the same pod has an address of its own. */
function __per_packet_lb_svc_xlate_6(ctx: Ctx): number {
  const tuple = svc_tuple6;
  const cb = ctx.skb.cb;
  cb[CB_PROXY_MAGIC] = 0;
  cb[CB_CT_STATE] = 0;
  // Extension headers are walked once here; the length is not in the header as with IPv4.
  const hdrlen = ipv6_hdrlen_with_fraginfo(ctx, ETH_HLEN);
  if (hdrlen < 0) return hdrlen;
  const fraginfo = ctx.fraginfo;
  const l4_off = ETH_HLEN + hdrlen;
  tuple.words[9] = ctx.nexthdr;
  let ret = lb6_extract_tuple(ctx, ETH_HLEN, fraginfo, l4_off, tuple);
  if (ret < 0) {
    if (ret !== DROP_UNSUPP_SERVICE_PROTO && ret !== DROP_UNKNOWN_L4) return ret;
    return tail_call_internal(ctx, CILIUM_CALL_IPV6_CT_EGRESS);
  }
  lb6_fill_key(svc_key6, tuple);
  let svc = lb6_lookup_service(ctx, svc_key6, ctx.def.ENABLE_NODEPORT);
  if (svc === NONE && ctx.def.ENABLE_DSR && ctx.def.ENABLE_NODEPORT) {
    nodeport_tuple6.copyFrom(tuple);
    __ipv6_ct_tuple_reverse(nodeport_tuple6);
    if (!ct_has_egress_entry6(ctx, get_ct_map6(ctx, tuple), nodeport_tuple6)) {
      svc = lb6_lookup_wildcard_nodeport_service(ctx, svc_key6);
      if (svc !== NONE) {
        // The node port's address, all four words; take_nodeport_nat hands it to the conntrack entry.
        for (let i = 0; i < 4; i++) ctx.nodeport_nat_addr[i] = tuple.words[i];
        ctx.nodeport_nat_port = tuple.sport;
      }
    }
  }
  if (svc !== NONE) {
    const services = ctx.maps.cilium_lb6_services_v2;
    const flags2 = svcFlags2(services, svc);
    const proxy_port = svcBackendId(services, svc) & 0xffff;
    if (lb_svc_is_l7_loadbalancer(ctx, flags2, proxy_port)) {
      cb[CB_PROXY_MAGIC] = proxy_port << 16;
      return tail_call_internal(ctx, CILIUM_CALL_IPV6_CT_EGRESS);
    }
    const flags = svcFlags(services, svc);
    if (ctx.def.ENABLE_L7_LB && lb_svc_is_l7_punt_proxy(flags, flags2)) {
      return tail_call_internal(ctx, CILIUM_CALL_IPV6_CT_EGRESS);
    }
    // Local redirects are the socket level's business where it is on; it may have decided not to.
    const localredirect = ctx.config.enable_lrp && lb_svc_is_localredirect(flags2);
    if (localredirect && ctx.def.ENABLE_SOCKET_LB_FULL) {
      return tail_call_internal(ctx, CILIUM_CALL_IPV6_CT_EGRESS);
    }
    const state = ct_state_svc;
    state.clear();
    const backend = lb6_local(ctx, get_ct_map6(ctx, tuple), fraginfo, l4_off, svc_key6, tuple, svc, state);
    if (backend < 0) {
      if (backend === DROP_NO_SERVICE) {
        if (!ctx.config.enable_no_service_endpoints_routable)
          return handle_nonroutable_endpoints(flags, flags2);
        if (ctx.def.SERVICE_NO_BACKEND_RESPONSE) return tail_call_internal(ctx, CILIUM_CALL_IPV6_NO_SERVICE);
      }
      return backend;
    }
    const backends = ctx.maps.cilium_lb6_backends_v3;
    const at = backend6AddressWord(backends, backend);
    const w = tuple.words;
    // The pod is its own backend: source against the backend's address.
    state.loopback =
      w[4] === backends.words[at] &&
      w[5] === backends.words[at + 1] &&
      w[6] === backends.words[at + 2] &&
      w[7] === backends.words[at + 3];
    if (state.loopback && localredirect) {
      const cookie = ctx.config.endpoint_netns_cookie;
      if (cookie > 0 && lrp_v6_skip_xlate_from_ctx_to_svc(ctx, cookie, w, 0, tuple.sport)) {
        cb[CB_CT_STATE] = state.rev_nat_index << 16;
        return tail_call_internal(ctx, CILIUM_CALL_IPV6_CT_EGRESS);
      }
    }
    ret = lb6_dnat_request(
      ctx,
      backend,
      ETH_HLEN,
      ipfrag_has_l4_header(fraginfo),
      l4_off,
      tuple,
      state.loopback,
    );
    if (ret < 0) return ret;
    cb[CB_CT_STATE] = (state.rev_nat_index << 16) | (state.loopback ? 1 : 0);
  }
  return tail_call_internal(ctx, CILIUM_CALL_IPV6_CT_EGRESS);
}

// TAIL_CT_LOOKUP6: as ct_lookup_into_buffer4. Extension headers are walked again: the program before hands no offset
// over.
function ct_lookup_into_buffer6(ctx: Ctx, dir: number, scope: number): number {
  if (!revalidate_data6(ctx)) return drop_for_direction(ctx, dir, DROP_INVALID);
  const buf = ctx.ct_buffer6;
  const tuple = buf.tuple;
  const hdrlen = ipv6_hdrlen_with_fraginfo(ctx, ETH_HLEN);
  if (hdrlen < 0) return drop_for_direction(ctx, dir, hdrlen);
  const w = tuple.words;
  ipv6_load_addr(ctx, ETH_HLEN + IPV6_DADDR_OFF, w, 0);
  ipv6_load_addr(ctx, ETH_HLEN + IPV6_SADDR_OFF, w, 4);
  // Ports and flags; w[9] is the protocol behind the extension headers, not the header's own next-header field.
  w[8] = 0;
  w[9] = ctx.nexthdr;
  buf.fraginfo = ctx.fraginfo;
  buf.l4_off = ETH_HLEN + hdrlen;
  const state = buf.ct_state;
  state.clear();
  buf.ret = ct_lookup6(
    ctx,
    get_ct_map6(ctx, tuple),
    tuple,
    ETH_HLEN,
    buf.fraginfo,
    buf.l4_off,
    dir,
    scope,
    state,
  );
  buf.monitor = ctx.monitor;
  if (buf.ret < 0) return drop_for_direction(ctx, dir, buf.ret);
  return 0;
}

/** tail_ipv6_ct_egress(): CILIUM_CALL_IPV6_CT_EGRESS; inlined under the same condition as in IPv4. */
export function tail_ipv6_ct_egress(ctx: Ctx): number {
  let ret = ct_lookup_into_buffer6(ctx, CT_EGRESS, egress_scope(ctx));
  if (ret !== 0) return ret;
  ret = ctx.def.ENABLE_PER_PACKET_LB
    ? tail_call_internal(ctx, CILIUM_CALL_IPV6_FROM_LXC_CONT)
    : tail_handle_ipv6_cont(ctx);
  if (ret < 0) return drop_for_direction(ctx, CT_EGRESS, ret);
  return ret;
}

/** tail_handle_ipv6_cont(): CILIUM_CALL_IPV6_FROM_LXC_CONT, with the destination's identity in drop samples. */
export function tail_handle_ipv6_cont(ctx: Ctx): number {
  dst_sec_identity = 0;
  const ret = handle_ipv6_from_lxc(ctx);
  if (ret < 0) {
    return send_drop_notify_ext(
      ctx,
      ctx.config.security_label,
      dst_sec_identity,
      TRACE_EP_ID_UNKNOWN,
      ret,
      ctx.ext_err,
      METRIC_EGRESS,
      site.LXC_V6_CONT_DROP,
    );
  }
  return ret;
}

/**
 * handle_ipv6_from_lxc(): the steps of handle_ipv4_from_lxc; ICMPv6 of neighbour discovery was taken out before. The
 * ipcache comes before the metadata here, after it in IPv4, which nobody can tell. Denied packets are always dropped:
 * the ICMP answer to them (policy-deny-response) is IPv4's.
 */
function handle_ipv6_from_lxc(ctx: Ctx): number {
  if (!revalidate_data6(ctx)) return DROP_INVALID;
  const def = ctx.def;
  const sec_label = ctx.config.security_label;
  const state_new = ct_state_new;
  const res = policy_res;
  let hairpin_flow = false;
  let from_l7lb = false;
  state_new.clear();
  res.reset();

  ipv6_load_addr(ctx, ETH_HLEN + IPV6_DADDR_OFF, addr6, 0);
  const ipcache = ctx.maps.cilium_ipcache_v2;
  const info = lookup_ip6_remote_endpoint(ctx, addr6, 0);
  let dst_id = def.WORLD_IPV6_ID;
  let skip_tunnel = false;
  if (info !== NONE) {
    dst_id = ipcacheSecIdentity(ipcache, info);
    skip_tunnel = (ipcacheFlags(ipcache, info) & IPCACHE_F_SKIP_TUNNEL) !== 0;
  }
  dst_sec_identity = dst_id;
  if (ctx.def.DEBUG)
    cilium_dbg(ctx, info !== NONE ? DBG_IP_ID_MAP_SUCCEED6 : DBG_IP_ID_MAP_FAILED6, addr6[3], dst_id);

  if (def.ENABLE_PER_PACKET_LB) {
    const meta = ctx_load_and_clear_meta(ctx, CB_CT_STATE);
    hairpin_flow = (meta & 1) !== 0;
    state_new.loopback = hairpin_flow;
    state_new.rev_nat_index = meta >>> 16;
    res.proxy_port = ctx_load_and_clear_meta(ctx, CB_PROXY_MAGIC) >>> 16;
    take_nodeport_nat(ctx, state_new);
  }

  const buf = ctx.ct_buffer6;
  const tuple = buf.tuple;
  const ct_state = buf.ct_state;
  const ct_status = buf.ret;
  let monitor = buf.monitor;

  switch (ct_status) {
    case CT_NEW:
    case CT_ESTABLISHED:
    case CT_REOPENED: {
      if (def.ENABLE_L7_LB) {
        from_l7lb = ctx_load_meta(ctx, CB_FROM_HOST) === FROM_HOST_L7_LB;
        if (res.proxy_port > 0) {
          if (ctx.def.DEBUG)
            cilium_dbg3(ctx, DBG_L7_LB, tuple.daddrP4, tuple.saddrP4, bswap16(res.proxy_port));
          break;
        }
      }
      if (hairpin_flow) break;
      let auth_type = 0;
      let verdict = policy_can_egress(
        ctx,
        sec_label,
        dst_id,
        ETH_P_IPV6,
        tuple.dport,
        tuple.nexthdr,
        buf.l4_off,
        res,
      );
      if (verdict === DROP_POLICY_AUTH_REQUIRED) {
        auth_type = ctx.ext_err;
        const node = info === NONE ? 0 : ipcacheTunnelEndpoint4(ipcache, info);
        verdict = auth_lookup(ctx, sec_label, dst_id, node, auth_type);
      }
      if (verdict !== CTX_ACT_OK || ct_status !== CT_ESTABLISHED) {
        send_policy_verdict_notify(
          ctx,
          dst_id,
          tuple.dport,
          tuple.nexthdr,
          POLICY_EGRESS,
          1,
          verdict,
          res,
          auth_type,
        );
      }
      if (verdict !== CTX_ACT_OK) return verdict;
      break;
    }
    case CT_RELATED:
    case CT_REPLY:
      if (ct_state.proxy_redirect) {
        send_trace_notify(
          ctx,
          TRACE_TO_PROXY,
          sec_label,
          UNKNOWN_ID,
          TRACE_EP_ID_UNKNOWN,
          TRACE_IFINDEX_UNKNOWN,
          ct_status,
          monitor,
          ETH_P_IPV6,
          site.LXC_V6_TO_PROXY,
        );
        return ctx_redirect_to_proxy(ctx, 0);
      }
      break;
    default:
      return DROP_UNKNOWN_CT;
  }

  switch (ct_status) {
    case CT_NEW:
    case CT_ESTABLISHED:
    case CT_REOPENED: {
      state_new.proxy_redirect = res.proxy_port > 0;
      if (
        ct_status !== CT_NEW &&
        ct_state.rev_nat_index === state_new.rev_nat_index &&
        ct_state.proxy_redirect === state_new.proxy_redirect
      ) {
        break;
      }
      state_new.src_sec_id = sec_label;
      state_new.from_l7lb = from_l7lb;
      const ret = ct_create6(
        ctx,
        get_ct_map6(ctx, tuple),
        ctx.maps.cilium_ct_any6_global,
        tuple,
        CT_EGRESS,
        state_new,
      );
      if (ret < 0) return ret;
      // (The original leaves the report length of a re-created IPv4 entry at what the look-up said.)
      // So a re-created entry makes the packet's sample visible at aggregation medium here, and not in IPv4.
      monitor = ctx.config.trace_payload_len;
      break;
    }
    default:
      if (def.ENABLE_NODEPORT && ct_state.node_port && lb_is_svc_proto(ctx, tuple.nexthdr)) {
        send_trace_notify(
          ctx,
          TRACE_TO_NETWORK,
          sec_label,
          dst_id,
          TRACE_EP_ID_UNKNOWN,
          TRACE_IFINDEX_UNKNOWN,
          ct_status,
          monitor,
          ETH_P_IPV6,
          site.LXC_V6_REVNAT,
        );
        return tail_call_internal(ctx, CILIUM_CALL_IPV6_NODEPORT_REVNAT_EGRESS);
      }
      break;
  }
  return ipv6_forward_to_destination(
    ctx,
    ct_state,
    dst_id,
    ct_status,
    monitor,
    info,
    skip_tunnel,
    hairpin_flow,
    from_l7lb,
    res.proxy_port,
  );
}

/**
 * ipv6_forward_to_destination(); see ipv4_forward_to_destination, step by step the same. The hop limit is
 * fib_redirect_v6's business or, in release 1.11, ipv6_l3_ttl's, which answers an expired packet with an ICMPv6 error
 * where IPv4 drops it.
 */
function ipv6_forward_to_destination(
  ctx: Ctx,
  ct_state: CtState,
  dst_id: number,
  ct_status: number,
  monitor: number,
  info: number,
  skip_tunnel: boolean,
  hairpin: boolean,
  from_l7lb: boolean,
  proxy_port: number,
): number {
  const def = ctx.def;
  const sec_label = ctx.config.security_label;
  const hairpin_flow = hairpin || ct_state.loopback;
  const old = def.profile === "1.11";

  // The destination's id in the sample is the proxy's port, in host order.
  if (!from_l7lb && proxy_port > 0) {
    send_trace_notify(
      ctx,
      TRACE_TO_PROXY,
      sec_label,
      UNKNOWN_ID,
      bswap16(proxy_port),
      TRACE_IFINDEX_UNKNOWN,
      ct_status,
      monitor,
      ETH_P_IPV6,
      site.LXC_V6_TO_PROXY,
    );
    return ctx_redirect_to_proxy(ctx, proxy_port);
  }
  if (def.ENABLE_HOST_FIREWALL && !def.ENABLE_ROUTING && dst_id === HOST_ID) {
    return lxc_deliver_to_host(ctx, sec_label);
  }
  if (def.ENABLE_IDENTITY_MARK) set_identity_mark(ctx, sec_label, MARK_MAGIC_IDENTITY);

  let to_stack = false;
  if (def.ENABLE_ROUTING || hairpin_flow || def.ENABLE_HOST_ROUTING) {
    const loop = ct_status === CT_REPLY && hairpin_flow;
    ipv6_load_addr(ctx, ETH_HLEN + (loop ? IPV6_SADDR_OFF : IPV6_DADDR_OFF), addr6, 0);
    const ep = lookup_ip6_endpoint(ctx, addr6, 0);
    if (ep !== NONE) {
      if (
        (def.ENABLE_ROUTING || def.ENABLE_HOST_ROUTING) &&
        (lxcFlags(ctx.maps.cilium_lxc, ep) & ENDPOINT_MASK_HOST_DELIVERY) !== 0
      ) {
        if (def.ENABLE_ROUTING && def.ENABLE_HOST_FIREWALL && dst_id === HOST_ID) {
          return lxc_redirect_to_host(ctx, ETH_P_IPV6, ct_status, monitor);
        }
        to_stack = true;
      } else {
        return ipv6_local_delivery(
          ctx,
          ETH_HLEN,
          sec_label,
          MARK_MAGIC_IDENTITY,
          ep,
          METRIC_EGRESS,
          from_l7lb,
          false,
        );
      }
    }
  }

  if (!to_stack && def.TUNNEL_MODE && (ct_state.from_tunnel || !skip_tunnel)) {
    if (
      !def.ENABLE_NODEPORT &&
      def.ENABLE_HOST_FIREWALL &&
      (ct_status === CT_REPLY || ct_status === CT_RELATED) &&
      identity_is_remote_node(ctx, dst_id)
    ) {
      to_stack = true;
    } else if (
      info !== NONE &&
      (ipcacheFlags(ctx.maps.cilium_ipcache_v2, info) & IPCACHE_F_HAS_TUNNEL_EP) !== 0
    ) {
      return encap_and_redirect_with_nodeid(ctx, info, sec_label, dst_id, ct_status, monitor, ETH_P_IPV6);
    }
  }

  if (!to_stack && def.ENABLE_HOST_ROUTING) {
    const ret = fib_redirect_v6(ctx, ETH_HLEN, false);
    if (ret === CTX_ACT_REDIRECT) {
      if (!old) {
        send_trace_notify(
          ctx,
          TRACE_TO_NETWORK,
          sec_label,
          dst_id,
          TRACE_EP_ID_UNKNOWN,
          ctx.fib_oif,
          ct_status,
          monitor,
          ETH_P_IPV6,
          site.LXC_V6_TO_NETWORK,
        );
      }
      return ret;
    }
    if (ret !== DROP_NO_FIB || ctx.ext_err !== BPF_FIB_LKUP_RET_NOT_FWDED) return ret;
  }

  if (!def.ENABLE_ROUTING && from_l7lb && ctx.skb.ifindex !== def.CILIUM_HOST_IFINDEX) {
    return ctx_redirect(ctx, ctx.skb.ifindex, 0);
  }
  if (old && def.ENABLE_ROUTING) {
    const ret = ipv6_l3_ttl(ctx, ETH_HLEN, METRIC_EGRESS);
    if (ret !== CTX_ACT_OK) return ret;
    eth_store_daddr_bytes(ctx, ctx.config.interface_mac);
  }
  send_trace_notify(
    ctx,
    TRACE_TO_STACK,
    sec_label,
    dst_id,
    TRACE_EP_ID_UNKNOWN,
    TRACE_IFINDEX_UNKNOWN,
    ct_status,
    monitor,
    ETH_P_IPV6,
    site.LXC_V6_TO_STACK,
  );
  if (ctx.def.DEBUG) cilium_dbg_capture(ctx, DBG_CAPTURE_DELIVERY, 0);
  return CTX_ACT_OK;
}

// ======================================================================================================================
// Ingress policy
// ======================================================================================================================

/**
 * cil_lxc_policy: what lies in cilium_call_policy under the endpoint's id. Whoever delivers to the endpoint (bpf_lxc
 * of another pod, bpf_host, bpf_overlay, bpf_wireguard) tail-calls it after ipv4_local_delivery; policy is thus
 * always the receiving endpoint's own program, with its own policy map and identity. Dual stack objects are larger,
 * and split further by tail calls.
 */
export function cil_lxc_policy(ctx: Ctx): number {
  // Not cleared as it is read: the conntrack program behind it names the source in its own drops.
  const src_label = ctx_load_meta(ctx, CB_SRC_LABEL);
  let ret: number;
  if (!validate_ethertype(ctx)) {
    ret = DROP_UNSUPPORTED_L2;
    // A family that is not compiled in is an unknown L3 protocol (139).
  } else if (ethertype === ETH_P_IP && ctx.def.ENABLE_IPV4) {
    ret = ctx.def.DUAL_STACK
      ? tail_call_internal(ctx, CILIUM_CALL_IPV4_CT_INGRESS_POLICY_ONLY)
      : tail_ipv4_ct_ingress_policy_only(ctx);
  } else if (ethertype === ETH_P_IPV6 && ctx.def.ENABLE_IPV6) {
    ret = ctx.def.DUAL_STACK
      ? tail_call_internal(ctx, CILIUM_CALL_IPV6_CT_INGRESS_POLICY_ONLY)
      : tail_ipv6_ct_ingress_policy_only(ctx);
  } else {
    ret = DROP_UNKNOWN_L3;
  }
  if (ret < 0) {
    return send_drop_notify_ext(
      ctx,
      src_label,
      ctx.config.security_label,
      ctx.config.endpoint_id,
      ret,
      ctx.ext_err,
      METRIC_INGRESS,
      site.LXC_POLICY_DROP,
    );
  }
  return ret;
}

/**
 * tail_ipv4_ct_ingress_policy_only(): CILIUM_CALL_IPV4_CT_INGRESS_POLICY_ONLY. Always BIDIR: service translation, which
 * narrows the egress look-up, is the sender's affair.
 */
export function tail_ipv4_ct_ingress_policy_only(ctx: Ctx): number {
  let ret = ct_lookup_into_buffer4(ctx, CT_INGRESS, SCOPE_BIDIR);
  if (ret !== 0) return ret;
  ret = ctx.def.DUAL_STACK
    ? tail_call_internal(ctx, CILIUM_CALL_IPV4_TO_LXC_POLICY_ONLY)
    : tail_ipv4_policy(ctx);
  if (ret < 0) return drop_for_direction(ctx, CT_INGRESS, ret);
  return ret;
}

/**
 * tail_ipv4_policy(): CILIUM_CALL_IPV4_TO_LXC_POLICY_ONLY. In cb is what local_delivery_fill_meta wrote:
 *
 *   cb[0]  source identity                cb[3]  from the host: no redirect_peer
 *   cb[1]  redirect after policy          cb[4]  came through the tunnel
 *   cb[2]  cluster id
 */
export function tail_ipv4_policy(ctx: Ctx): number {
  const do_redirect = ctx_load_meta(ctx, CB_DELIVERY_REDIRECT) !== 0;
  const src_label = ctx_load_and_clear_meta(ctx, CB_SRC_LABEL);
  const from_host = ctx_load_and_clear_meta(ctx, CB_FROM_HOST) !== 0;
  // Cluster-aware addressing is not modelled: the id is cleared as the original clears it.
  ctx_store_meta(ctx, CB_CLUSTER_ID_INGRESS, 0);
  const from_tunnel = ctx.def.HAVE_ENCAP && ctx_load_and_clear_meta(ctx, CB_FROM_TUNNEL) !== 0;
  let ret: number;
  if (!revalidate_data4(ctx)) ret = DROP_INVALID;
  else ret = ipv4_policy(ctx, src_label, from_tunnel);
  if (ret === CTX_ACT_OK) {
    ret = deliver_after_policy(ctx, do_redirect, from_host, from_tunnel);
  } else if (ret === POLICY_ACT_PROXY_REDIRECT) {
    // The inner frame need not be addressed to the tunnel device: without this the stack would drop it as somebody
    // else's.
    if (from_tunnel) ctx.helpers.skb_change_type(ctx.skb, PACKET_HOST);
    ret = ctx_redirect_to_proxy(ctx, policy_res.proxy_port);
    // cil_to_host needs it when the packet comes by way of cilium_host.
    ctx_store_meta(ctx, CB_PROXY_MAGIC, ctx.skb.mark);
  }
  if (ret < 0) {
    return send_drop_notify_ext(
      ctx,
      src_label,
      ctx.config.security_label,
      ctx.config.endpoint_id,
      ret,
      ctx.ext_err,
      METRIC_INGRESS,
      site.LXC_V4_POLICY_DROP,
    );
  }
  return ret;
}

/**
 * Hands the admitted packet to the pod: by redirect_peer (into its namespace, past the device), by redirect, or by
 * returning CTX_ACT_OK where the caller or the stack delivers.
 */
function deliver_after_policy(
  ctx: Ctx,
  do_redirect: boolean,
  from_host: boolean,
  from_tunnel: boolean,
): number {
  if (from_tunnel && !ctx.def.ENABLE_ROUTING && !ctx.def.ENABLE_NODEPORT) {
    // Per-endpoint routes and kube-proxy: the stack delivers, so that nf_conntrack sees the packet.
    ctx.helpers.skb_change_type(ctx.skb, PACKET_HOST);
    return CTX_ACT_OK;
  }
  if (!do_redirect) return CTX_ACT_OK;
  return redirect_ep(ctx, ctx.config.interface_ifindex, should_redirect_peer(ctx, from_host), from_tunnel);
}

/**
 * ipv4_policy(): CTX_ACT_OK, POLICY_ACT_PROXY_REDIRECT (port in policy_res) or a drop reason.
 *
 *   1. reply, related: back to a proxy, or the source turned back to the service's address; no policy
 *   2. others: policy_can_ingress unless the ingress proxy sent the packet; verdict sample, authentication
 *   3. new: the ingress entry (a second one for a connection within the node: it differs from the egress entry in the
 *      direction flag only); established: left alone, unlike on egress
 *   4. to-proxy or to-endpoint sample
 *
 * The entry keeps `from_tunnel`, so that the answer goes into the tunnel even if the ipcache says to skip it by then.
 */
function ipv4_policy(ctx: Ctx, src_label: number, from_tunnel: boolean): number {
  const def = ctx.def;
  const sec_label = ctx.config.security_label;
  const fraginfo = ipfrag_encode_ipv4(ctx, ETH_HLEN);
  // Before reverse translation: orig-ip of the to-endpoint sample is the backend's address, the captured bytes show
  // the service's.
  const orig_sip = ipv4_saddr(ctx, ETH_HLEN);
  const is_untracked_fragment = !def.ENABLE_IPV4_FRAGMENTS && ipfrag_is_fragment(fraginfo);
  const buf = ctx.ct_buffer4;
  const tuple = buf.tuple;
  const ct_state = buf.ct_state;
  const ct_status = buf.ret;
  const monitor = buf.monitor;
  const state_new = ct_state_new;
  const res = policy_res;
  state_new.clear();
  res.reset();
  let to_proxy = false;

  if (ct_status === CT_REPLY || ct_status === CT_RELATED) {
    // Back to an egress proxy, unless it comes from there.
    // Replies of what the L7 load balancer began are its own in any case.
    if (ct_state.from_l7lb || (ct_state.proxy_redirect && !tc_index_from_egress_proxy(ctx))) {
      to_proxy = true;
      // The pod asked a service: it must see the answer come from there. nat_port is of a remote node port (DSR).
    } else if (ct_state.rev_nat_index !== 0 || ct_state.nat_port !== 0) {
      const ret = lb4_rev_nat(
        ctx,
        ETH_HLEN,
        buf.l4_off,
        ct_state.rev_nat_index,
        ct_state.nat_addr[3],
        ct_state.nat_port,
        ct_state.loopback,
        tuple,
        ipfrag_has_l4_header(fraginfo),
      );
      if (ret < 0) return ret;
    }
  } else if (!tc_index_from_ingress_proxy(ctx)) {
    let skip = false;
    if (def.ENABLE_PER_PACKET_LB) {
      // A pod that talks to itself through a service needs no policy for it.
      if (
        ct_status === CT_NEW &&
        orig_sip === ctx.config.service_loopback_ipv4 &&
        ct_has_loopback_egress_entry4(ctx, get_ct_map4(ctx, tuple), tuple)
      ) {
        state_new.loopback = true;
        skip = true;
      } else if (ct_state.loopback) {
        skip = true;
      }
    }
    if (!skip) {
      let auth_type = 0;
      let verdict = policy_can_ingress(
        ctx,
        src_label,
        sec_label,
        ETH_P_IP,
        tuple.dport,
        tuple.nexthdr,
        buf.l4_off,
        is_untracked_fragment,
        res,
      );
      if (verdict === DROP_POLICY_AUTH_REQUIRED) {
        // A source that the ipcache does not know cannot have authenticated: the verdict stays 189.
        const sep = lookup_ip4_remote_endpoint(ctx, orig_sip, 0);
        if (sep !== NONE) {
          auth_type = ctx.ext_err;
          const node = ipcacheTunnelEndpoint4(ctx.maps.cilium_ipcache_v2, sep);
          verdict = auth_lookup(ctx, sec_label, src_label, node, auth_type);
        }
      }
      // As on egress: new or denied; the remote label is the source's.
      if (verdict !== CTX_ACT_OK || ct_status !== CT_ESTABLISHED) {
        send_policy_verdict_notify(
          ctx,
          src_label,
          tuple.dport,
          tuple.nexthdr,
          POLICY_INGRESS,
          0,
          verdict,
          res,
          auth_type,
        );
      }
      if (verdict !== CTX_ACT_OK) return verdict;
    }
  }

  // Behind the verdict: denied connections leave no entry. 155 if the map refuses.
  if (ct_status === CT_NEW) {
    state_new.src_sec_id = src_label;
    state_new.from_tunnel = from_tunnel;
    state_new.proxy_redirect = res.proxy_port > 0;
    const ret = ct_create4(
      ctx,
      get_ct_map4(ctx, tuple),
      ctx.maps.cilium_ct_any4_global,
      tuple,
      CT_INGRESS,
      state_new,
    );
    if (ret < 0) return ret;
  }

  // A reply has no port of its own to name (0): the stack finds the proxy's socket by the connection.
  if (to_proxy || res.proxy_port > 0) {
    send_trace_notify4(
      ctx,
      TRACE_TO_PROXY,
      src_label,
      sec_label,
      orig_sip,
      bswap16(res.proxy_port),
      ctx.config.interface_ifindex,
      ct_status,
      monitor,
      site.LXC_V4_TO_PROXY,
    );
    return POLICY_ACT_PROXY_REDIRECT;
  }
  send_trace_notify4(
    ctx,
    TRACE_TO_LXC,
    src_label,
    sec_label,
    orig_sip,
    ctx.config.endpoint_id,
    ctx.config.interface_ifindex,
    ct_status,
    monitor,
    site.LXC_V4_TO_LXC,
  );
  return CTX_ACT_OK;
}

/** tail_ipv6_ct_ingress_policy_only(): CILIUM_CALL_IPV6_CT_INGRESS_POLICY_ONLY; see the IPv4 one. */
export function tail_ipv6_ct_ingress_policy_only(ctx: Ctx): number {
  let ret = ct_lookup_into_buffer6(ctx, CT_INGRESS, SCOPE_BIDIR);
  if (ret !== 0) return ret;
  ret = ctx.def.DUAL_STACK
    ? tail_call_internal(ctx, CILIUM_CALL_IPV6_TO_LXC_POLICY_ONLY)
    : tail_ipv6_policy(ctx);
  if (ret < 0) return drop_for_direction(ctx, CT_INGRESS, ret);
  return ret;
}

/** tail_ipv6_policy(): CILIUM_CALL_IPV6_TO_LXC_POLICY_ONLY; cb as in tail_ipv4_policy, but for the cluster id. */
export function tail_ipv6_policy(ctx: Ctx): number {
  const do_redirect = ctx_load_meta(ctx, CB_DELIVERY_REDIRECT) !== 0;
  const src_label = ctx_load_and_clear_meta(ctx, CB_SRC_LABEL);
  const from_host = ctx_load_and_clear_meta(ctx, CB_FROM_HOST) !== 0;
  const from_tunnel = ctx.def.HAVE_ENCAP && ctx_load_and_clear_meta(ctx, CB_FROM_TUNNEL) !== 0;
  let ret: number;
  if (!revalidate_data6(ctx)) ret = DROP_INVALID;
  else ret = ipv6_policy(ctx, src_label, from_tunnel);
  if (ret === CTX_ACT_OK) {
    ret = deliver_after_policy(ctx, do_redirect, from_host, from_tunnel);
  } else if (ret === POLICY_ACT_PROXY_REDIRECT) {
    if (from_tunnel) ctx.helpers.skb_change_type(ctx.skb, PACKET_HOST);
    ret = ctx_redirect_to_proxy(ctx, policy_res.proxy_port);
    ctx_store_meta(ctx, CB_PROXY_MAGIC, ctx.skb.mark);
  }
  if (ret < 0) {
    return send_drop_notify_ext(
      ctx,
      src_label,
      ctx.config.security_label,
      ctx.config.endpoint_id,
      ret,
      ctx.ext_err,
      METRIC_INGRESS,
      site.LXC_V6_POLICY_DROP,
    );
  }
  return ret;
}

/**
 * ipv6_policy(): see ipv4_policy. With per-endpoint routes neighbour discovery does not come here:
 * tail_ipv6_to_endpoint lets it pass.
 */
function ipv6_policy(ctx: Ctx, src_label: number, from_tunnel: boolean): number {
  const def = ctx.def;
  const sec_label = ctx.config.security_label;
  const buf = ctx.ct_buffer6;
  const tuple = buf.tuple;
  const ct_state = buf.ct_state;
  const ct_status = buf.ret;
  const monitor = buf.monitor;
  const is_untracked_fragment = !def.ENABLE_IPV6_FRAGMENTS && (buf.fraginfo & IPFRAG_FRAGMENT) !== 0;
  const state_new = ct_state_new;
  const res = policy_res;
  ipv6_load_addr(ctx, ETH_HLEN + IPV6_SADDR_OFF, orig_sip6, 0);
  state_new.clear();
  res.reset();
  let to_proxy = false;

  if (ct_status === CT_REPLY || ct_status === CT_RELATED) {
    if (ct_state.from_l7lb || (ct_state.proxy_redirect && !tc_index_from_egress_proxy(ctx))) {
      to_proxy = true;
    } else if (ct_state.rev_nat_index !== 0 || ct_state.nat_port !== 0) {
      const ret = lb6_rev_nat(
        ctx,
        buf.l4_off,
        ct_state.rev_nat_index,
        ct_state.nat_addr,
        ct_state.nat_port,
        ct_state.loopback,
        tuple,
        ipfrag_has_l4_header(buf.fraginfo),
      );
      if (ret < 0) return ret;
    }
  } else if (!tc_index_from_ingress_proxy(ctx)) {
    let skip = false;
    if (def.ENABLE_PER_PACKET_LB) {
      if (
        ct_status === CT_NEW &&
        ipv6_addr_equals(ctx, ETH_HLEN + IPV6_SADDR_OFF, ctx.config.service_loopback_ipv6, 0) &&
        ct_has_loopback_egress_entry6(ctx, get_ct_map6(ctx, tuple), tuple)
      ) {
        state_new.loopback = true;
        skip = true;
      } else if (ct_state.loopback) {
        skip = true;
      }
    }
    if (!skip) {
      let auth_type = 0;
      let verdict = policy_can_ingress(
        ctx,
        src_label,
        sec_label,
        ETH_P_IPV6,
        tuple.dport,
        tuple.nexthdr,
        buf.l4_off,
        is_untracked_fragment,
        res,
      );
      if (verdict === DROP_POLICY_AUTH_REQUIRED) {
        const sep = lookup_ip6_remote_endpoint(ctx, orig_sip6, 0);
        if (sep !== NONE) {
          auth_type = ctx.ext_err;
          const node = ipcacheTunnelEndpoint4(ctx.maps.cilium_ipcache_v2, sep);
          verdict = auth_lookup(ctx, sec_label, src_label, node, auth_type);
        }
      }
      if (verdict !== CTX_ACT_OK || ct_status !== CT_ESTABLISHED) {
        send_policy_verdict_notify(
          ctx,
          src_label,
          tuple.dport,
          tuple.nexthdr,
          POLICY_INGRESS,
          1,
          verdict,
          res,
          auth_type,
        );
      }
      if (verdict !== CTX_ACT_OK) return verdict;
    }
  }

  if (ct_status === CT_NEW) {
    state_new.src_sec_id = src_label;
    state_new.from_tunnel = from_tunnel;
    state_new.proxy_redirect = res.proxy_port > 0;
    const ret = ct_create6(
      ctx,
      get_ct_map6(ctx, tuple),
      ctx.maps.cilium_ct_any6_global,
      tuple,
      CT_INGRESS,
      state_new,
    );
    if (ret < 0) return ret;
  }

  if (to_proxy || res.proxy_port > 0) {
    send_trace_notify6(
      ctx,
      TRACE_TO_PROXY,
      src_label,
      sec_label,
      orig_sip6,
      0,
      bswap16(res.proxy_port),
      ctx.config.interface_ifindex,
      ct_status,
      monitor,
      site.LXC_V6_TO_PROXY,
    );
    return POLICY_ACT_PROXY_REDIRECT;
  }
  send_trace_notify6(
    ctx,
    TRACE_TO_LXC,
    src_label,
    sec_label,
    orig_sip6,
    0,
    ctx.config.endpoint_id,
    ctx.config.interface_ifindex,
    ct_status,
    monitor,
    site.LXC_V6_TO_LXC,
  );
  return CTX_ACT_OK;
}

/**
 * cil_lxc_policy_egress: in cilium_egresscall_policy under the endpoint's id: packets that the L7 load balancer sends
 * in the pod's name (mark 0x0900, the endpoint's id in the upper half). They run through the pod's egress programs as
 * if the pod had sent them, with from-proxy in the place of from-endpoint; CB_FROM_HOST = 0xFACADE42 keeps them
 * apart.
 */
export function cil_lxc_policy_egress(ctx: Ctx): number {
  if (!ctx.def.ENABLE_L7_LB) return CTX_ACT_OK;
  const sec_label = ctx.config.security_label;
  let ret: number;
  if (!validate_ethertype(ctx)) {
    ret = DROP_UNSUPPORTED_L2;
  } else {
    const proto = ethertype;
    // Read three times further on: no source check, forward-only conntrack, no second redirect to the proxy.
    ctx_store_meta(ctx, CB_FROM_HOST, FROM_HOST_L7_LB);
    edt_set_aggregate(ctx, 0);
    send_trace_notify(
      ctx,
      TRACE_FROM_PROXY,
      sec_label,
      UNKNOWN_ID,
      TRACE_EP_ID_UNKNOWN,
      TRACE_IFINDEX_UNKNOWN,
      TRACE_REASON_UNKNOWN,
      ctx.config.trace_payload_len,
      proto,
      site.LXC_FROM_CONTAINER,
    );
    if (proto === ETH_P_IP && ctx.def.ENABLE_IPV4) ret = tail_call_internal(ctx, CILIUM_CALL_IPV4_FROM_LXC);
    else if (proto === ETH_P_IPV6 && ctx.def.ENABLE_IPV6)
      ret = tail_call_internal(ctx, CILIUM_CALL_IPV6_FROM_LXC);
    else ret = DROP_UNKNOWN_L3;
  }
  if (ret < 0) {
    return send_drop_notify_ext(
      ctx,
      sec_label,
      UNKNOWN_ID,
      TRACE_EP_ID_UNKNOWN,
      ret,
      ctx.ext_err,
      METRIC_EGRESS,
      site.LXC_POLICY_EGRESS_DROP,
    );
  }
  return ret;
}

// ======================================================================================================================
// From the stack, with per-endpoint routes
// ======================================================================================================================

/**
 * cil_to_container: tc egress of the endpoint's device, attached with per-endpoint routes only: the stack delivers by
 * a /32 route, and the program enforces ingress policy there. The source's identity comes with skb->mark (what the
 * pod's own egress program, the host or a proxy left) and, where that says nothing, from the ipcache. TTL and MACs
 * are the stack's.
 */
export function cil_to_container(ctx: Ctx): number {
  const sec_label = ctx.config.security_label;
  const ep_id = ctx.config.endpoint_id;
  let identity = 0;
  let ret: number;
  if (!validate_ethertype(ctx)) {
    ret = DROP_UNSUPPORTED_L2;
  } else {
    const proto = ethertype;
    bpf_clear_meta(ctx);
    if (ctx.def.ENABLE_L7_LB && (ctx.skb.mark & MARK_MAGIC_HOST_MASK) === MARK_MAGIC_PROXY_EGRESS_EPID) {
      const lxc_id = get_epid(ctx);
      ctx.skb.mark = 0;
      ret = tail_call_egress_policy(ctx, lxc_id);
      return send_drop_notify(
        ctx,
        lxc_id,
        sec_label,
        ep_id,
        ret < 0 ? DROP_MISSED_TAIL_CALL : ret,
        METRIC_INGRESS,
        site.LXC_TO_CONTAINER_EGRESS_POLICY_DROP,
      );
    }
    // Clears the mark; proxies leave their bit in tc_index, which ipv4_policy tests.
    const magic = inherit_identity_from_host(ctx, proto);
    identity = inherited_identity;
    send_trace_notify(
      ctx,
      magic === MARK_MAGIC_PROXY_INGRESS || magic === MARK_MAGIC_PROXY_EGRESS
        ? TRACE_FROM_PROXY
        : TRACE_FROM_STACK,
      identity,
      sec_label,
      ep_id,
      ctx.skb.ingressIfindex,
      TRACE_REASON_UNKNOWN,
      ctx.config.trace_payload_len,
      proto,
      site.LXC_TO_CONTAINER,
    );
    if (ctx.def.ENABLE_HOST_FIREWALL && !ctx.def.ENABLE_ROUTING && identity === HOST_ID) {
      // The host's egress policy first; it jumps back here, and then the mark no longer says host.
      ctx_store_meta(ctx, CB_FROM_HOST, 1);
      ctx_store_meta(ctx, CB_DST_ENDPOINT_ID, ep_id);
      ret = tail_call_policy(ctx, ctx.config.host_ep_id);
      return send_drop_notify(
        ctx,
        identity,
        sec_label,
        ep_id,
        ret < 0 ? DROP_HOST_NOT_READY : ret,
        METRIC_INGRESS,
        site.LXC_TO_CONTAINER_HOST_DROP,
      );
    }
    if (proto === ETH_P_IP && ctx.def.ENABLE_IPV4) {
      ctx_store_meta(ctx, CB_SRC_LABEL, identity);
      ret = tail_call_internal(ctx, CILIUM_CALL_IPV4_CT_INGRESS);
    } else if (proto === ETH_P_IPV6 && ctx.def.ENABLE_IPV6) {
      ctx_store_meta(ctx, CB_SRC_LABEL, identity);
      ret = tail_call_internal(ctx, CILIUM_CALL_IPV6_CT_INGRESS);
      // The host asks for the pod's MAC.
    } else if (proto === ETH_P_ARP && ctx.def.ENABLE_IPV4) {
      ret = CTX_ACT_OK;
    } else {
      ret = DROP_UNKNOWN_L3;
    }
  }
  if (ret < 0) {
    return send_drop_notify_ext(
      ctx,
      identity,
      sec_label,
      ep_id,
      ret,
      ctx.ext_err,
      METRIC_INGRESS,
      site.LXC_TO_CONTAINER_DROP,
    );
  }
  return ret;
}

/** tail_ipv4_ct_ingress(): CILIUM_CALL_IPV4_CT_INGRESS, between cil_to_container and tail_ipv4_to_endpoint. */
export function tail_ipv4_ct_ingress(ctx: Ctx): number {
  let ret = ct_lookup_into_buffer4(ctx, CT_INGRESS, SCOPE_BIDIR);
  if (ret !== 0) return ret;
  ret = tail_call_internal(ctx, CILIUM_CALL_IPV4_TO_ENDPOINT);
  if (ret < 0) return drop_for_direction(ctx, CT_INGRESS, ret);
  return ret;
}

/**
 * tail_ipv4_to_endpoint(): CILIUM_CALL_IPV4_TO_ENDPOINT. The second half of cil_to_container: identity, ingress
 * policy, and CTX_ACT_OK for the device to transmit. A redirect to the proxy has to turn round here (the hairpin of
 * lib/proxy.ts): the packet is on its way out of the host, and the proxy is behind it.
 */
export function tail_ipv4_to_endpoint(ctx: Ctx): number {
  let src_id = ctx_load_and_clear_meta(ctx, CB_SRC_LABEL);
  let ret: number;
  if (!revalidate_data4(ctx)) {
    ret = DROP_INVALID;
  } else {
    // What the proxy sends carries a real identity already.
    if (identity_is_reserved(ctx, src_id)) {
      const saddr = ipv4_saddr(ctx, ETH_HLEN);
      const info = lookup_ip4_remote_endpoint(ctx, saddr, 0);
      if (info !== NONE) {
        const id = ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info);
        // Masqueraded traffic has the host's address too: only the mark can say that it is the host.
        if (id !== HOST_ID) src_id = id;
      }
      if (ctx.def.DEBUG)
        cilium_dbg(ctx, info !== NONE ? DBG_IP_ID_MAP_SUCCEED4 : DBG_IP_ID_MAP_FAILED4, saddr, src_id);
    }
    if (ctx.def.DEBUG) cilium_dbg(ctx, DBG_LOCAL_DELIVERY, ctx.config.endpoint_id, ctx.config.security_label);
    if (ctx.def.LOCAL_DELIVERY_METRICS) {
      update_metrics(ctx, ctx_full_len(ctx), METRIC_INGRESS, REASON_FORWARDED, site.LXC_V4_TO_ENDPOINT);
    }
    ret = ipv4_policy(ctx, src_id, false);
    if (ret === POLICY_ACT_PROXY_REDIRECT) {
      ret = ctx_redirect_to_proxy_hairpin_ipv4(ctx, policy_res.proxy_port);
      ctx.skb.mark = ctx_load_meta(ctx, CB_PROXY_MAGIC);
    }
  }
  if (ret < 0) {
    return send_drop_notify_ext(
      ctx,
      src_id,
      ctx.config.security_label,
      ctx.config.endpoint_id,
      ret,
      ctx.ext_err,
      METRIC_INGRESS,
      site.LXC_V4_TO_ENDPOINT_DROP,
    );
  }
  return ret;
}

/** tail_ipv6_ct_ingress(): CILIUM_CALL_IPV6_CT_INGRESS; see the IPv4 one. */
export function tail_ipv6_ct_ingress(ctx: Ctx): number {
  let ret = ct_lookup_into_buffer6(ctx, CT_INGRESS, SCOPE_BIDIR);
  if (ret !== 0) return ret;
  ret = tail_call_internal(ctx, CILIUM_CALL_IPV6_TO_ENDPOINT);
  if (ret < 0) return drop_for_direction(ctx, CT_INGRESS, ret);
  return ret;
}

/** tail_ipv6_to_endpoint(): CILIUM_CALL_IPV6_TO_ENDPOINT; see tail_ipv4_to_endpoint. Neighbour discovery passes. */
export function tail_ipv6_to_endpoint(ctx: Ctx): number {
  let src_id = ctx_load_and_clear_meta(ctx, CB_SRC_LABEL);
  let ret: number;
  if (!revalidate_data6(ctx)) {
    ret = DROP_INVALID;
  } else if (is_icmp6_ndp(ctx)) {
    ret = CTX_ACT_OK;
  } else {
    if (identity_is_reserved(ctx, src_id)) {
      ipv6_load_addr(ctx, ETH_HLEN + IPV6_SADDR_OFF, addr6, 0);
      const info = lookup_ip6_remote_endpoint(ctx, addr6, 0);
      if (info !== NONE) {
        const id = ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info);
        if (id !== HOST_ID) src_id = id;
      }
      if (ctx.def.DEBUG)
        cilium_dbg(ctx, info !== NONE ? DBG_IP_ID_MAP_SUCCEED6 : DBG_IP_ID_MAP_FAILED6, addr6[3], src_id);
    }
    if (ctx.def.DEBUG) cilium_dbg(ctx, DBG_LOCAL_DELIVERY, ctx.config.endpoint_id, ctx.config.security_label);
    if (ctx.def.LOCAL_DELIVERY_METRICS) {
      update_metrics(ctx, ctx_full_len(ctx), METRIC_INGRESS, REASON_FORWARDED, site.LXC_V6_TO_ENDPOINT);
    }
    ret = ipv6_policy(ctx, src_id, false);
    if (ret === POLICY_ACT_PROXY_REDIRECT) {
      ret = ctx_redirect_to_proxy_hairpin_ipv6(ctx, policy_res.proxy_port);
      ctx.skb.mark = ctx_load_meta(ctx, CB_PROXY_MAGIC);
    }
  }
  if (ret < 0) {
    return send_drop_notify_ext(
      ctx,
      src_id,
      ctx.config.security_label,
      ctx.config.endpoint_id,
      ret,
      ctx.ext_err,
      METRIC_INGRESS,
      site.LXC_V6_TO_ENDPOINT_DROP,
    );
  }
  return ret;
}
