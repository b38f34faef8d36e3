// NAT of packets that leave by a device, after bpf/lib/nodeport_egress.h (cil_to_netdev, cil_to_overlay,
// cil_to_wireguard):
//
//   handle_nat_fwd                    a tail call of its own where the program would grow too large
//     nodeport_rev_dnat_fwd_ipv4        reply of a local backend that the stack has routed: the service's address
//     tail_handle_snat_fwd_ipv4         everything else: masquerading, port conflicts, egress gateway
//
// What is done in a tail call sends its own to-network (to-overlay, to-crypto) trace; only CTX_ACT_OK without
// TAIL_CALLED leaves it to the caller.
//
// Three programs share it and differ in what they tell and may do: cil_to_netdev masquerades and redirects to the
// right device, cil_to_overlay and cil_to_wireguard only turn replies back and keep node port SNAT free of conflicts.

import { CtTuple4, CtTuple6 } from "../../maps/ct.js";
import { copyAddr6, equalAddr6 } from "../../maps/layout.js";
import { lxcParentIfindex } from "../../maps/lxc.js";
import { NONE } from "../../maps/spec.js";
import {
  CB_CLUSTER_ID_EGRESS,
  CB_NAT_FLAGS,
  CB_NAT_FLAGS_REVDNAT_ONLY,
  CB_SRC_LABEL,
  CILIUM_CALL_IPV4_NODEPORT_NAT_FWD,
  CILIUM_CALL_IPV4_NODEPORT_SNAT_FWD,
  CILIUM_CALL_IPV6_NODEPORT_NAT_FWD,
  CILIUM_CALL_IPV6_NODEPORT_SNAT_FWD,
  CT_EGRESS,
  CT_ENTRY_DSR,
  CT_ENTRY_NODEPORT,
  CT_INGRESS,
  CT_REPLY,
  CTX_ACT_OK,
  DROP_CT_UNKNOWN_PROTO,
  DROP_INVALID,
  DROP_NO_FIB,
  DROP_UNKNOWN_L4,
  DROP_UNSUPP_SERVICE_PROTO,
  ETH_HLEN,
  ETH_P_IP,
  ETH_P_IPV6,
  METRIC_EGRESS,
  SCOPE_REVERSE,
  TRACE_EP_ID_UNKNOWN,
  TRACE_REASON_CT_REPLY,
  TRACE_REASON_UNKNOWN,
  TRACE_TO_CRYPTO,
  TRACE_TO_NETWORK,
  TRACE_TO_OVERLAY,
  TUPLE_F_OUT,
  UNKNOWN_ID,
} from "./common.js";
import { ct_extract_ports4, ct_is_reply4, ct_lazy_lookup4, ct_lazy_lookup6 } from "./conntrack.js";
import { get_ct_map4, get_ct_map6 } from "./conntrack_map.js";
import {
  CtState,
  type Ctx,
  ctx_get_ifindex,
  ctx_load_and_clear_meta,
  ctx_store_meta,
  IS_BPF_HOST,
  IS_BPF_OVERLAY,
  IS_BPF_WIREGUARD,
  load_be32,
  revalidate_data4,
  revalidate_data6,
  TraceCtx,
  tail_call_internal,
} from "./ctx.js";
import { send_drop_notify_error_ext } from "./drop.js";
import { egress_gw_fib_lookup_and_redirect, egress_gw_fib_lookup_and_redirect_v6 } from "./egress_gateway.js";
import { lookup_ip4_endpoint } from "./eps.js";
import { fib_do_redirect, fib_lookup_v4, fib_lookup_v6, fib_ok, fib_params } from "./fib.js";
import { ipfrag_encode_ipv4, ipfrag_has_l4_header, ipv4_hdrlen } from "./ipv4.js";
import { ipv6_hdrlen_with_fraginfo } from "./ipv6.js";
import { __lb4_rev_nat, __lb6_rev_nat, lb_is_svc_proto, lb4_extract_tuple, lb6_extract_tuple } from "./lb.js";
import {
  Ipv4NatTarget,
  Ipv6NatTarget,
  NAT_PUNT_TO_STACK,
  snat_v4_init_tuple,
  snat_v4_nat,
  snat_v4_needs_masquerade,
  snat_v6_init_tuple,
  snat_v6_nat,
  snat_v6_needs_masquerade,
} from "./nat.js";
import { nat_info, nodeport_rev_dnat_get_info_ipv4, nodeport_rev_dnat_get_info_ipv6 } from "./nodeport.js";
import { ctx_snat_done_set } from "./overloadable.js";
import * as site from "./source_lines.js";
import { send_trace_notify, send_trace_notify4, send_trace_notify6 } from "./trace.js";

const NAT_DIR_EGRESS = TUPLE_F_OUT;

// Scratch of the functions below (stack variables in C).
const tuple4 = new CtTuple4();
const tuple6 = new CtTuple6();
const target4 = new Ipv4NatTarget();
const target6 = new Ipv6NatTarget();
const fwd_trace = new TraceCtx();
/** What the look-up of a reply tells; only its debug message needs it. */
const ct_state = new CtState();
const orig_saddr6 = new Int32Array(4);
/** Source address before SNAT, told in the trace (0 = SNAT was not tried). */
let orig_saddr4 = 0;
/** `bool *snat_done` of nodeport_rev_dnat_fwd: the reply has its service address. */
let snat_done = false;

/** NODEPORT_OBS_POINT_EGRESS. */
function obs_point_egress(ctx: Ctx): number {
  if (ctx.obj.kind === IS_BPF_OVERLAY) return TRACE_TO_OVERLAY;
  return ctx.obj.kind === IS_BPF_WIREGUARD ? TRACE_TO_CRYPTO : TRACE_TO_NETWORK;
}

/**
 * Conditions under which the C program would be too large for the verifier: both families in one object, or bpf_host
 * with the host firewall or the egress gateway. It shows in samples: the tail call sends its own.
 */
function needs_tailcall(ctx: Ctx): boolean {
  const def = ctx.def;
  if (def.ENABLE_IPV4 && def.ENABLE_IPV6) return true;
  return (def.ENABLE_HOST_FIREWALL || def.ENABLE_EGRESS_GATEWAY) && ctx.obj.kind === IS_BPF_HOST;
}

/**
 * handle_nat_fwd(): `revdnat_only` is for what will be encrypted: no route look-up, no SNAT. CTX_ACT_OK: the packet goes
 * on, with what is known of its connection in `trace`.
 */
export function handle_nat_fwd(
  ctx: Ctx,
  src_id: number,
  proto: number,
  revdnat_only: boolean,
  trace: TraceCtx,
): number {
  const v4 = proto === ETH_P_IP && ctx.def.ENABLE_IPV4;
  const v6 = proto === ETH_P_IPV6 && ctx.def.ENABLE_IPV6;
  if (needs_tailcall(ctx)) {
    ctx_store_meta(ctx, CB_NAT_FLAGS, revdnat_only ? CB_NAT_FLAGS_REVDNAT_ONLY : 0);
    ctx_store_meta(ctx, CB_CLUSTER_ID_EGRESS, 0);
    ctx_store_meta(ctx, CB_SRC_LABEL, src_id);
    // The tail call does not come back; what follows it in the caller happens there too.
    if (v4) return tail_call_internal(ctx, CILIUM_CALL_IPV4_NODEPORT_NAT_FWD);
    if (v6) return tail_call_internal(ctx, CILIUM_CALL_IPV6_NODEPORT_NAT_FWD);
    return CTX_ACT_OK;
  }
  if (v4) return __handle_nat_fwd_ipv4(ctx, src_id, revdnat_only, trace);
  if (v6) return __handle_nat_fwd_ipv6(ctx, src_id, revdnat_only, trace);
  return CTX_ACT_OK;
}

// nodeport_fib_lookup_and_redirect(): fib_params have been looked up with the service's address as source. A reply that
// is on the wrong device for it goes to the right one; it will be translated there.
function redirect_if_elsewhere(ctx: Ctx, ret: number): number {
  if (!fib_ok(ret)) {
    ctx.ext_err = ret;
    return DROP_NO_FIB;
  }
  const oif = fib_params.ifindex;
  if (oif === ctx_get_ifindex(ctx)) return CTX_ACT_OK;
  return fib_do_redirect(ctx, true, true, ret, oif);
}

// === IPv4 ===============================================================================================================

/**
 * __handle_nat_fwd_ipv4(): reverse DNAT of a local backend's reply, else masquerading (tail call 38). `revdnat_only`
 * stops after the first: the packet will be encrypted and come back as another one.
 */
function __handle_nat_fwd_ipv4(ctx: Ctx, src_id: number, revdnat_only: boolean, trace: TraceCtx): number {
  const def = ctx.def;
  const ret = nodeport_rev_dnat_fwd_ipv4(ctx, revdnat_only, trace);
  if (ret !== CTX_ACT_OK || revdnat_only) return ret;
  // The reply has its service address; nothing more to translate.
  if (snat_done) {
    if (ctx.obj.kind === IS_BPF_HOST) ctx_snat_done_set(ctx);
    return CTX_ACT_OK;
  }
  // With pure DSR no packet of a service is ever masqueraded.
  if (def.ENABLE_DSR && !def.ENABLE_DSR_BYUSER && !def.ENABLE_MASQUERADE_IPV4) return CTX_ACT_OK;
  ctx_store_meta(ctx, CB_CLUSTER_ID_EGRESS, 0);
  ctx_store_meta(ctx, CB_SRC_LABEL, src_id);
  return tail_call_internal(ctx, CILIUM_CALL_IPV4_NODEPORT_SNAT_FWD);
}

/**
 * nodeport_rev_dnat_fwd_ipv4(): the reply of a local backend, on its way out through the stack or a redirect. The
 * request's entry (node_port, or dsr_internal with an address of its own) is found with the addresses turned round;
 * the reply leaves with the service's address, and its to-network sample says reply, which makes it visible at
 * aggregation medium.
 */
function nodeport_rev_dnat_fwd_ipv4(ctx: Ctx, revdnat_only: boolean, trace: TraceCtx): number {
  snat_done = false;
  if (!revalidate_data4(ctx)) return DROP_INVALID;
  const ip4 = ETH_HLEN;
  const fraginfo = ipfrag_encode_ipv4(ctx, ip4);
  const l4_off = ETH_HLEN + ipv4_hdrlen(ctx, ip4);
  const tuple = tuple4;
  let ret = lb4_extract_tuple(ctx, ip4, fraginfo, l4_off, tuple);
  if (ret < 0) return ret === DROP_UNSUPP_SERVICE_PROTO || ret === DROP_UNKNOWN_L4 ? CTX_ACT_OK : ret;
  // A look-up that finds nothing is the common case: this runs for every packet that leaves.
  if (!nodeport_rev_dnat_get_info_ipv4(ctx, tuple)) return CTX_ACT_OK;
  const addr = nat_info.addr4;
  const port = nat_info.port;
  // The stack has routed by the pod's address; by the service's the way may be another.
  if (ctx.obj.kind === IS_BPF_HOST && !revdnat_only) {
    ret = redirect_if_elsewhere(ctx, fib_lookup_v4(ctx, addr, tuple.daddr, 0));
    if (ret !== CTX_ACT_OK) return ret;
  }
  const map = get_ct_map4(ctx, tuple);
  const types = CT_ENTRY_NODEPORT | CT_ENTRY_DSR;
  ct_state.clear();
  ret = ct_lazy_lookup4(ctx, map, tuple, fraginfo, l4_off, CT_INGRESS, SCOPE_REVERSE, types, ct_state);
  if (ret === CT_REPLY) {
    trace.set(TRACE_REASON_CT_REPLY, ctx.monitor);
    ret = __lb4_rev_nat(ctx, ip4, l4_off, tuple, addr, port, false, ipfrag_has_l4_header(fraginfo));
    if (ret < 0) return ret;
    snat_done = true;
  }
  return CTX_ACT_OK;
}

/**
 * tail_handle_nat_fwd_ipv4(): CILIUM_CALL_IPV4_NODEPORT_NAT_FWD, handle_nat_fwd as a program of its own. Its monitor
 * begins with the configured length, where the inline form leaves the caller's 0: with pure DSR and no masquerading
 * its to-network sample is therefore seen at aggregation medium.
 */
export function tail_handle_nat_fwd_ipv4(ctx: Ctx): number {
  const revdnat_only = (ctx_load_and_clear_meta(ctx, CB_NAT_FLAGS) & CB_NAT_FLAGS_REVDNAT_ONLY) !== 0;
  ctx_store_meta(ctx, CB_CLUSTER_ID_EGRESS, 0);
  const src_id = ctx_load_and_clear_meta(ctx, CB_SRC_LABEL);
  const trace = fwd_trace;
  trace.set(TRACE_REASON_UNKNOWN, ctx.config.trace_payload_len);
  ctx.ext_err = 0;
  const ret = __handle_nat_fwd_ipv4(ctx, src_id, revdnat_only, trace);
  if (ret < 0) {
    return send_drop_notify_error_ext(
      ctx,
      src_id,
      ret,
      ctx.ext_err,
      METRIC_EGRESS,
      site.NODEPORT_EGRESS_V4_NAT_FWD_DROP,
    );
  }
  if (ret === CTX_ACT_OK) trace_nat_fwd(ctx, src_id, trace, ETH_P_IP, site.NODEPORT_EGRESS_V4_NAT_FWD);
  return ret;
}

function trace_nat_fwd(ctx: Ctx, src_id: number, trace: TraceCtx, proto: number, line: number): void {
  send_trace_notify(
    ctx,
    obs_point_egress(ctx),
    src_id,
    UNKNOWN_ID,
    TRACE_EP_ID_UNKNOWN,
    ctx.config.interface_ifindex,
    trace.reason,
    trace.monitor,
    proto,
    line,
  );
}

/**
 * nodeport_has_nat_conflict_ipv4(): a connection of the host itself from an address that NodePort SNAT uses too: it
 * reserves its port, or gets another.
 */
function nodeport_has_nat_conflict_ipv4(ctx: Ctx, saddr: number, target: Ipv4NatTarget): boolean {
  const def = ctx.def;
  let addr: number;
  if (def.TUNNEL_MODE && ctx.obj.kind === IS_BPF_OVERLAY) addr = def.IPV4_GATEWAY;
  else if (
    ctx.obj.kind === IS_BPF_HOST &&
    ctx.config.direct_routing_dev_ifindex === ctx.config.interface_ifindex
  ) {
    addr = def.IPV4_DIRECT_ROUTING;
  } else return false;
  if (saddr !== addr) return false;
  target.addr = addr;
  target.needs_ct = true;
  return true;
}

/**
 * nodeport_snat_fwd_ipv4(): whether, and to which address, the source of a packet that leaves is translated; then
 * snat_v4_nat. In order: replies of pods with a device of their own, the node's own connections from the SNAT
 * address, the masquerading decision list (nat.ts), which also finds the egress gateway's policies.
 */
function nodeport_snat_fwd_ipv4(ctx: Ctx, trace: TraceCtx): number {
  const def = ctx.def;
  const is_host = ctx.obj.kind === IS_BPF_HOST;
  const ip4 = ETH_HLEN;
  if (!revalidate_data4(ctx)) return DROP_INVALID;
  const fraginfo = ipfrag_encode_ipv4(ctx, ip4);
  const l4_off = ETH_HLEN + ipv4_hdrlen(ctx, ip4);
  const tuple = tuple4;
  const target = target4;
  snat_v4_init_tuple(ctx, ip4, NAT_DIR_EGRESS, tuple);
  target.set(0, def.NODEPORT_PORT_MIN_NAT, def.NODEPORT_PORT_MAX_NAT);
  let ret: number;
  if (is_host && def.ENABLE_MASQUERADE_IPV4) {
    // A pod with an interface of its own answers through it, whatever the route says.
    const ep = lookup_ip4_endpoint(ctx, load_be32(ctx, ip4 + 12));
    const parent = ep === NONE ? 0 : lxcParentIfindex(ctx.maps.cilium_lxc, ep);
    if (parent !== 0 && parent !== ctx.config.interface_ifindex) {
      ret = ct_extract_ports4(ctx, ip4, fraginfo, l4_off, CT_EGRESS, tuple);
      if (ret < 0 && ret !== DROP_CT_UNKNOWN_PROTO) return ret;
      if (ret >= 0 && ct_is_reply4(ctx, get_ct_map4(ctx, tuple), tuple)) {
        return ctx.helpers.redirect_neigh(ctx.skb, parent, null, 0);
      }
    }
  }
  if (!lb_is_svc_proto(ctx, tuple.nexthdr) || !nodeport_has_nat_conflict_ipv4(ctx, tuple.saddr, target)) {
    ret = snat_v4_needs_masquerade(ctx, tuple, ip4, fraginfo, l4_off, target);
    if (ret < 0) return ret === NAT_PUNT_TO_STACK ? CTX_ACT_OK : ret;
    if (is_host && target.egress_gateway) {
      // SNAT happens on the device that has the egress address.
      if (target.ifindex === 0 || target.ifindex !== ctx.config.interface_ifindex) {
        ret = egress_gw_fib_lookup_and_redirect(ctx, target.addr, tuple.daddr, target.ifindex);
        if (ret !== CTX_ACT_OK) return ret;
      }
    }
  }
  // The trace names the sender as it was before translation.
  orig_saddr4 = tuple.saddr;
  ret = snat_v4_nat(ctx, tuple, ip4, fraginfo, l4_off, target, trace);
  if (ret < 0) return ret === NAT_PUNT_TO_STACK ? CTX_ACT_OK : ret;
  // The packet may meet the program of another device, which must not translate it again.
  if (is_host) ctx_snat_done_set(ctx);
  return ret;
}

/**
 * tail_handle_snat_fwd_ipv4(): CILIUM_CALL_IPV4_NODEPORT_SNAT_FWD. orig-ip of its sample is the source before
 * translation, 0 where none was tried.
 */
export function tail_handle_snat_fwd_ipv4(ctx: Ctx): number {
  const src_id = ctx_load_and_clear_meta(ctx, CB_SRC_LABEL);
  ctx_store_meta(ctx, CB_CLUSTER_ID_EGRESS, 0);
  const trace = fwd_trace;
  trace.set(TRACE_REASON_UNKNOWN, 0);
  ctx.ext_err = 0;
  orig_saddr4 = 0;
  const ret = nodeport_snat_fwd_ipv4(ctx, trace);
  if (ret < 0) {
    return send_drop_notify_error_ext(
      ctx,
      src_id,
      ret,
      ctx.ext_err,
      METRIC_EGRESS,
      site.NODEPORT_EGRESS_V4_SNAT_FWD_DROP,
    );
  }
  // Redirected egress gateway packets are seen again on their device.
  if (ret === CTX_ACT_OK) {
    send_trace_notify4(
      ctx,
      obs_point_egress(ctx),
      src_id,
      UNKNOWN_ID,
      orig_saddr4,
      TRACE_EP_ID_UNKNOWN,
      ctx.config.interface_ifindex,
      trace.reason,
      trace.monitor,
      site.NODEPORT_EGRESS_V4_SNAT_FWD,
    );
  }
  return ret;
}

// === IPv6 ===============================================================================================================

/** __handle_nat_fwd_ipv6(): see __handle_nat_fwd_ipv4. */
function __handle_nat_fwd_ipv6(ctx: Ctx, src_id: number, revdnat_only: boolean, trace: TraceCtx): number {
  const def = ctx.def;
  const ret = nodeport_rev_dnat_fwd_ipv6(ctx, revdnat_only, trace);
  if (ret !== CTX_ACT_OK || revdnat_only) return ret;
  if (snat_done) {
    if (ctx.obj.kind === IS_BPF_HOST) ctx_snat_done_set(ctx);
    return CTX_ACT_OK;
  }
  if (def.ENABLE_DSR && !def.ENABLE_DSR_BYUSER && !def.ENABLE_MASQUERADE_IPV6) return CTX_ACT_OK;
  ctx_store_meta(ctx, CB_SRC_LABEL, src_id);
  return tail_call_internal(ctx, CILIUM_CALL_IPV6_NODEPORT_SNAT_FWD);
}

/** nodeport_rev_dnat_fwd_ipv6(): see the IPv4 one. Nothing of the entry is needed here but its verdict. */
function nodeport_rev_dnat_fwd_ipv6(ctx: Ctx, revdnat_only: boolean, trace: TraceCtx): number {
  snat_done = false;
  if (!revalidate_data6(ctx)) return DROP_INVALID;
  const ip6 = ETH_HLEN;
  const hdrlen = ipv6_hdrlen_with_fraginfo(ctx, ip6);
  if (hdrlen < 0) return hdrlen;
  const tuple = tuple6;
  tuple.nexthdr = ctx.nexthdr;
  tuple.flags = 0;
  const fraginfo = ctx.fraginfo;
  const l4_off = ETH_HLEN + hdrlen;
  let ret = lb6_extract_tuple(ctx, ip6, fraginfo, l4_off, tuple);
  if (ret < 0) return ret === DROP_UNSUPP_SERVICE_PROTO || ret === DROP_UNKNOWN_L4 ? CTX_ACT_OK : ret;
  if (!nodeport_rev_dnat_get_info_ipv6(ctx, tuple)) return CTX_ACT_OK;
  const port = nat_info.port;
  if (ctx.obj.kind === IS_BPF_HOST && !revdnat_only) {
    ret = redirect_if_elsewhere(ctx, fib_lookup_v6(ctx, nat_info.addr6, 0, tuple.words, 0, 0));
    if (ret !== CTX_ACT_OK) return ret;
  }
  const map = get_ct_map6(ctx, tuple);
  const types = CT_ENTRY_NODEPORT | CT_ENTRY_DSR;
  ret = ct_lazy_lookup6(ctx, map, tuple, fraginfo, l4_off, CT_INGRESS, SCOPE_REVERSE, types, null);
  if (ret === CT_REPLY) {
    trace.set(TRACE_REASON_CT_REPLY, ctx.monitor);
    ret = __lb6_rev_nat(ctx, l4_off, tuple, nat_info.addr6, 0, port, false, ipfrag_has_l4_header(fraginfo));
    if (ret < 0) return ret;
    snat_done = true;
  }
  return CTX_ACT_OK;
}

/** tail_handle_nat_fwd_ipv6(): CILIUM_CALL_IPV6_NODEPORT_NAT_FWD; see tail_handle_nat_fwd_ipv4. */
export function tail_handle_nat_fwd_ipv6(ctx: Ctx): number {
  const revdnat_only = (ctx_load_and_clear_meta(ctx, CB_NAT_FLAGS) & CB_NAT_FLAGS_REVDNAT_ONLY) !== 0;
  const src_id = ctx_load_and_clear_meta(ctx, CB_SRC_LABEL);
  const trace = fwd_trace;
  trace.set(TRACE_REASON_UNKNOWN, ctx.config.trace_payload_len);
  ctx.ext_err = 0;
  const ret = __handle_nat_fwd_ipv6(ctx, src_id, revdnat_only, trace);
  if (ret < 0) {
    return send_drop_notify_error_ext(
      ctx,
      src_id,
      ret,
      ctx.ext_err,
      METRIC_EGRESS,
      site.NODEPORT_EGRESS_V6_NAT_FWD_DROP,
    );
  }
  if (ret === CTX_ACT_OK) trace_nat_fwd(ctx, src_id, trace, ETH_P_IPV6, site.NODEPORT_EGRESS_V6_NAT_FWD);
  return ret;
}

/** nodeport_has_nat_conflict_ipv6(): the router's address on the tunnel device, else the direct routing one. */
function nodeport_has_nat_conflict_ipv6(ctx: Ctx, tuple: CtTuple6, target: Ipv6NatTarget): boolean {
  const def = ctx.def;
  let addr: Int32Array;
  if (def.TUNNEL_MODE && ctx.obj.kind === IS_BPF_OVERLAY) addr = ctx.config.router_ipv6;
  else if (
    ctx.obj.kind === IS_BPF_HOST &&
    ctx.config.direct_routing_dev_ifindex === ctx.config.interface_ifindex
  ) {
    addr = def.IPV6_DIRECT_ROUTING;
  } else return false;
  if (!equalAddr6(tuple.words, 4, addr, 0)) return false;
  copyAddr6(target.addr, 0, addr, 0);
  target.needs_ct = true;
  return true;
}

/** nodeport_snat_fwd_ipv6(): see nodeport_snat_fwd_ipv4; pods with a device of their own are an IPv4 case. */
function nodeport_snat_fwd_ipv6(ctx: Ctx, trace: TraceCtx): number {
  const def = ctx.def;
  const is_host = ctx.obj.kind === IS_BPF_HOST;
  const ip6 = ETH_HLEN;
  if (!revalidate_data6(ctx)) return DROP_INVALID;
  const hdrlen = ipv6_hdrlen_with_fraginfo(ctx, ip6);
  if (hdrlen < 0) return hdrlen;
  const fraginfo = ctx.fraginfo;
  const l4_off = ETH_HLEN + hdrlen;
  const tuple = tuple6;
  const target = target6;
  tuple.nexthdr = ctx.nexthdr;
  snat_v6_init_tuple(ctx, ip6, NAT_DIR_EGRESS, tuple);
  target.set(def.NODEPORT_PORT_MIN_NAT, def.NODEPORT_PORT_MAX_NAT);
  let ret: number;
  if (!lb_is_svc_proto(ctx, tuple.nexthdr) || !nodeport_has_nat_conflict_ipv6(ctx, tuple, target)) {
    ret = snat_v6_needs_masquerade(ctx, tuple, ip6, fraginfo, l4_off, target);
    if (ret < 0) return ret === NAT_PUNT_TO_STACK ? CTX_ACT_OK : ret;
    if (is_host && target.egress_gateway) {
      if (target.ifindex === 0 || target.ifindex !== ctx.config.interface_ifindex) {
        ret = egress_gw_fib_lookup_and_redirect_v6(ctx, target.addr, tuple.words, target.ifindex);
        if (ret !== CTX_ACT_OK) return ret;
      }
    }
  }
  copyAddr6(orig_saddr6, 0, tuple.words, 4);
  ret = snat_v6_nat(ctx, tuple, ip6, fraginfo, l4_off, target, trace);
  if (ret < 0) return ret === NAT_PUNT_TO_STACK ? CTX_ACT_OK : ret;
  if (is_host) ctx_snat_done_set(ctx);
  return ret;
}

/** tail_handle_snat_fwd_ipv6(): CILIUM_CALL_IPV6_NODEPORT_SNAT_FWD; see tail_handle_snat_fwd_ipv4. */
export function tail_handle_snat_fwd_ipv6(ctx: Ctx): number {
  const src_id = ctx_load_and_clear_meta(ctx, CB_SRC_LABEL);
  const trace = fwd_trace;
  trace.set(TRACE_REASON_UNKNOWN, 0);
  ctx.ext_err = 0;
  orig_saddr6.fill(0);
  const ret = nodeport_snat_fwd_ipv6(ctx, trace);
  if (ret < 0) {
    return send_drop_notify_error_ext(
      ctx,
      src_id,
      ret,
      ctx.ext_err,
      METRIC_EGRESS,
      site.NODEPORT_EGRESS_V6_SNAT_FWD_DROP,
    );
  }
  if (ret === CTX_ACT_OK) {
    send_trace_notify6(
      ctx,
      obs_point_egress(ctx),
      src_id,
      UNKNOWN_ID,
      orig_saddr6,
      0,
      TRACE_EP_ID_UNKNOWN,
      ctx.config.interface_ifindex,
      trace.reason,
      trace.monitor,
      site.NODEPORT_EGRESS_V6_SNAT_FWD,
    );
  }
  return ret;
}
