// Services for traffic from outside, after bpf/lib/nodeport.h. IPv4 (IPv6 likewise, with _ipv6, lb6):
//
//   nodeport_lb4                         every packet that comes in on a device, the tunnel or XDP
//     nodeport_svc_lb4                     to a service: backend, DNAT, conntrack
//       local backend                        goes on as a normal packet
//       tail_nodeport_nat_egress_ipv4        remote: SNAT to this node's address, on to the backend
//       tail_nodeport_ipv4_dsr               remote, with direct server return (dsr.ts)
//     nodeport_dsr_ingress_ipv4            of a DSR flow whose backend is here (dsr.ts)
//     tail_nodeport_nat_ingress_ipv4       all others may be replies: reverse SNAT
//       nodeport_rev_dnat_ipv4               and reverse DNAT, back to the client
//   tail_nodeport_rev_dnat_ipv4          reply of a local backend (tail call of bpf_lxc)
//   tail_no_service_ipv4                 ICMP error for a service without backend
//
// Differs from Cilium: no NAT46x64 and no inter-cluster SNAT.
//
// Who runs it: bpf_host, bpf_overlay, bpf_wireguard and bpf_xdp each compile this code, so it asks ctx.obj.kind where
// C has IS_BPF_*. XDP does the same work earlier and leaves notes for tc in the packet's metadata: XFER_PKT_NO_SVC
// (1) spares the service look-up, XFER_PKT_SNAT_DONE (4) the translation.
//
// A remote backend sees this node as its client (SNAT), so its replies come back here and pass both translations in
// reverse, SNAT first. With DSR the backend's node answers the client itself and this node sees one direction only.

import type { BpfMap } from "../../maps/bpf_map.js";
import {
  CT_FLAGS_W,
  CT_NAT_ADDR_W,
  CT_NAT_ADDR4_W,
  CT_NAT_PORT_W,
  CtTuple4,
  CtTuple6,
} from "../../maps/ct.js";
import {
  IPCACHE_F_HAS_TUNNEL_EP,
  IPCACHE_F_SKIP_TUNNEL,
  ipcacheFlags,
  ipcacheSecIdentity,
  ipcacheTunnelEndpoint4,
} from "../../maps/ipcache.js";
import { copyAddr6 } from "../../maps/layout.js";
import {
  backend4Address,
  backend6AddressWord,
  Lb4Key,
  Lb6Key,
  revNat4Address,
  revNat4Port,
  revNat6AddressWord,
  revNat6Port,
  SVC_FLAG_FWD_MODE_DSR,
  svcBackendId,
  svcFlags,
  svcFlags2,
} from "../../maps/lb.js";
import { nat4ToAddr, nat4ToPort, nat6ToAddrWord, nat6ToPort } from "../../maps/nat.js";
import { BPF_ANY, NONE } from "../../maps/spec.js";
import { Step } from "../../src/bpf/steps.js";
import { hash_from_tuple_v4, hash_from_tuple_v6 } from "../../src/net/jhash.js";
import { bswap16 } from "../../src/net/view.js";
import { DSR_ENCAP_GENEVE, DSR_ENCAP_IPIP, DSR_ENCAP_NONE } from "../config.js";
import {
  CB_ADDR_V4,
  CB_ADDR_V6_1,
  CB_CLUSTER_ID_EGRESS,
  CB_DSR_L3_OFF,
  CB_HINT,
  CB_NAT_46X64,
  CB_PORT,
  CB_PROXY_MAGIC,
  CB_SRC_LABEL,
  CILIUM_CALL_IPV4_FROM_NETDEV,
  CILIUM_CALL_IPV4_NO_SERVICE,
  CILIUM_CALL_IPV4_NODEPORT_DSR,
  CILIUM_CALL_IPV4_NODEPORT_NAT_EGRESS,
  CILIUM_CALL_IPV4_NODEPORT_NAT_INGRESS,
  CILIUM_CALL_IPV4_NODEPORT_REVNAT,
  CILIUM_CALL_IPV6_FROM_NETDEV,
  CILIUM_CALL_IPV6_NO_SERVICE,
  CILIUM_CALL_IPV6_NODEPORT_DSR,
  CILIUM_CALL_IPV6_NODEPORT_NAT_EGRESS,
  CILIUM_CALL_IPV6_NODEPORT_NAT_INGRESS,
  CILIUM_CALL_IPV6_NODEPORT_REVNAT_INGRESS,
  CT_EGRESS,
  CT_ENTRY_DSR_INTERNAL,
  CT_ENTRY_NODE_PORT,
  CT_ENTRY_NODEPORT,
  CT_ESTABLISHED,
  CT_INGRESS,
  CT_NEW,
  CT_REPLY,
  CTX_ACT_OK,
  CTX_ACT_REDIRECT,
  DBG_CAPTURE_DELIVERY,
  DBG_CAPTURE_PROXY_POST,
  DBG_CAPTURE_PROXY_PRE,
  DROP_INVALID,
  DROP_IS_CLUSTER_IP,
  DROP_NAT_NO_MAPPING,
  DROP_NO_FIB,
  DROP_NO_SERVICE,
  DROP_NOT_IN_SRC_RANGE,
  DROP_RATE_LIMITED,
  DROP_UNKNOWN_CT,
  DROP_UNKNOWN_L4,
  DROP_UNSUPP_SERVICE_PROTO,
  ETH_HLEN,
  ETH_P_IP,
  ETH_P_IPV6,
  MARK_MAGIC_TO_PROXY,
  METRIC_EGRESS,
  METRIC_INGRESS,
  SCOPE_FORWARD,
  SCOPE_REVERSE,
  TRACE_REASON_CT_REPLY,
  TRACE_REASON_POLICY,
  TRACE_REASON_UNKNOWN,
  TRACE_TO_PROXY,
  TUPLE_F_OUT,
  UNKNOWN_ID,
  WORLD_ID,
  XFER_PKT_NO_SVC,
} from "./common.js";
import {
  __ipv4_ct_tuple_reverse,
  __ipv6_ct_tuple_reverse,
  ct_create4,
  ct_create6,
  ct_lazy_lookup4,
  ct_lazy_lookup6,
} from "./conntrack.js";
import { get_ct_map4, get_ct_map6 } from "./conntrack_map.js";
import { TCP_SPORT_OFF } from "./csum.js";
import {
  CtState,
  type Ctx,
  ctx_get_ifindex,
  ctx_load_meta,
  ctx_redirect,
  ctx_store_meta,
  IS_BPF_HOST,
  IS_BPF_LXC,
  IS_BPF_OVERLAY,
  IS_BPF_WIREGUARD,
  IS_BPF_XDP,
  load_be16,
  load_be32,
  revalidate_data4,
  revalidate_data6,
  TraceCtx,
  tail_call_internal,
} from "./ctx.js";
import { cilium_dbg_capture } from "./dbg.js";
import { send_drop_notify_error_ext } from "./drop.js";
import {
  dsr_info,
  nodeport_dsr_ingress_ipv4,
  nodeport_dsr_ingress_ipv6,
  nodeport_extract_dsr_v4,
  nodeport_extract_dsr_v6,
} from "./dsr.js";
import { edt_set_aggregate } from "./edt.js";
import {
  egress_gw_reply,
  egress_gw_reply_needs_redirect_hook,
  egress_gw_reply_needs_redirect_hook_v6,
} from "./egress_gateway.js";
import { __encap_with_nodeid4, NOT_VTEP_DST } from "./encap.js";
import { encap_and_redirect_xdp } from "./encap_xdp.js";
import {
  lookup_ip4_endpoint,
  lookup_ip4_remote_endpoint,
  lookup_ip6_endpoint,
  lookup_ip6_remote_endpoint,
} from "./eps.js";
import { fib_do_redirect, fib_lookup_v4, fib_lookup_v6, fib_ok, fib_params } from "./fib.js";
import { ipv4_host_policy_ingress, ipv6_host_policy_ingress } from "./host_firewall.js";
import {
  generate_icmp4_reply,
  generate_icmp6_reply,
  ICMP_DEST_UNREACH,
  ICMP_PORT_UNREACH,
  ICMPV6_DEST_UNREACH,
  ICMPV6_PORT_UNREACH,
} from "./icmp.js";
import { ipfrag_encode_ipv4, ipfrag_has_l4_header, ipv4_hdrlen } from "./ipv4.js";
import { ipv6_hdrlen_with_fraginfo, ipv6_load_addr } from "./ipv6.js";
import { ipv4_l3_ttl, ipv6_l3_ttl } from "./l3.js";
import {
  handle_nonroutable_endpoints,
  lb_svc_is_etp_local,
  lb_svc_is_hostport,
  lb_svc_is_l7_loadbalancer,
  lb_svc_is_l7_punt_proxy,
  lb_svc_is_routable,
  lb_to_other_family,
  lb4_dnat_request,
  lb4_extract_tuple,
  lb4_fill_key,
  lb4_key_is_wildcard,
  lb4_local,
  lb4_lookup_rev_nat_entry,
  lb4_lookup_service,
  lb4_rev_nat,
  lb4_src_range_ok,
  lb6_dnat_request,
  lb6_extract_tuple,
  lb6_fill_key,
  lb6_key_is_wildcard,
  lb6_local,
  lb6_lookup_rev_nat_entry,
  lb6_lookup_service,
  lb6_rev_nat,
  lb6_src_range_ok,
} from "./lb.js";
import {
  ___snat_v6_nat,
  __snat_v4_nat,
  Ipv4NatTarget,
  Ipv6NatTarget,
  NAT_PUNT_TO_STACK,
  snat_v4_lookup,
  snat_v4_rev_nat,
  snat_v6_lookup,
  snat_v6_rev_nat,
} from "./nat.js";
import {
  ctx_skip_host_fw_set,
  ctx_skip_nodeport_set,
  ctx_snat_done_set,
  redirect_self,
} from "./overloadable.js";
import { ctx_redirect_to_proxy_hairpin_ipv4, ctx_redirect_to_proxy_hairpin_ipv6 } from "./proxy.js";
import { RATELIMIT_USAGE_ICMPV6, ratelimit_check_and_take } from "./ratelimit.js";
import * as site from "./source_lines.js";
import { send_trace_notify } from "./trace.js";

/** ICMPv6 errors of services without backend: bucket and tokens a second of a device. */
const ICMPV6_BUCKET = 1000;
const ICMPV6_PER_SECOND = 100;

/** The `bool *punt_to_stack` and `bool *dsr` of nodeport_lb4/6: the packet goes up untouched; it is of a DSR flow. */
export const nodeport_out = { punt_to_stack: false, dsr: false };

// Scratch of the functions below (stack variables in C).
const tuple4 = new CtTuple4();
const tuple6 = new CtTuple6();
const key4 = new Lb4Key();
const key6 = new Lb6Key();
const ct_state_svc = new CtState();
const ct_state = new CtState();
const target4 = new Ipv4NatTarget();
const target6 = new Ipv6NatTarget();
const trace = new TraceCtx();
const saddr6 = new Int32Array(4);
const daddr6 = new Int32Array(4);
// cilium_nodeport_neigh4/6: client address to MAC, whose six bytes fill one word and half of the next.
const neighKey4 = new Int32Array(1);
const neighKey6 = new Int32Array(4);
const neighMac = new Int32Array(2);

// === what the families share ============================================================================================

/** ctx_set_xfer(): a note from XDP for the tc programs; tc has nobody to tell. */
export function ctx_set_xfer(ctx: Ctx, flag: number): void {
  if (ctx.obj.kind === IS_BPF_XDP) ctx.xdp_xfer |= flag;
}

/** nodeport_uses_dsr4/6(): `flags2` is the service's. */
function nodeport_uses_dsr(ctx: Ctx, flags2: number): boolean {
  // Hybrid and annotated modes: the agent sets the flag on the services that use DSR.
  return ctx.def.ENABLE_DSR && (!ctx.def.ENABLE_DSR_BYUSER || (flags2 & SVC_FLAG_FWD_MODE_DSR) !== 0);
}

/** nodeport_skip_xlate4/6(): with IPIP the backend's node translates. */
function nodeport_skip_xlate(ctx: Ctx, flags2: number): boolean {
  return ctx.def.DSR_ENCAP_MODE === DSR_ENCAP_IPIP && nodeport_uses_dsr(ctx, flags2);
}

// Which objects look for DSR information in packets: those through which requests for local backends come in.
function looks_for_dsr(ctx: Ctx): boolean {
  if (!ctx.def.ENABLE_DSR) return false;
  const kind = ctx.obj.kind;
  // With Geneve the information is in the tunnel key, which only the tunnel device's program has; as an option it is in
  // the packet; with IPIP there is none.
  if (kind === IS_BPF_OVERLAY) return ctx.def.DSR_ENCAP_MODE === DSR_ENCAP_GENEVE;
  if (ctx.def.DSR_ENCAP_MODE !== DSR_ENCAP_NONE) return false;
  return kind === IS_BPF_XDP || kind === IS_BPF_HOST || kind === IS_BPF_WIREGUARD;
}

/**
 * Replies to this node's SNAT have to be translated back twice, unless all replies bypass the node: with pure DSR
 * reverse DNAT has nothing to do here, and is left out.
 */
function replies_need_rev_dnat(ctx: Ctx): boolean {
  return !ctx.def.ENABLE_DSR || ctx.def.ENABLE_DSR_BYUSER || redirects_egw_replies(ctx);
}

function redirects_egw_replies(ctx: Ctx): boolean {
  return ctx.def.ENABLE_EGRESS_GATEWAY && (ctx.obj.kind === IS_BPF_XDP || ctx.obj.kind === IS_BPF_HOST);
}

/**
 * Is `info` (slot of the ipcache) reached through the tunnel? An entry may have a tunnel endpoint and still be told
 * to skip it.
 */
export function has_tunnel(ctx: Ctx, info: number): boolean {
  if (info === NONE) return false;
  const flags = ipcacheFlags(ctx.maps.cilium_ipcache_v2, info);
  return (flags & (IPCACHE_F_HAS_TUNNEL_EP | IPCACHE_F_SKIP_TUNNEL)) === IPCACHE_F_HAS_TUNNEL_EP;
}

const no_opt = new Uint8Array(0);

// nodeport_add_tunnel_encap() and the redirect that follows it. In tc the kernel chooses the outer source address and
// port; `hash`, of the inner flow, is for XDP.
function encap_and_redirect(
  ctx: Ctx,
  hash: number,
  endpoint: number,
  src_sec_identity: number,
  dst_sec_identity: number,
  reason: number,
  monitor: number,
  proto: number,
): number {
  if (ctx.obj.kind === IS_BPF_XDP) {
    return encap_and_redirect_xdp(
      ctx,
      hash,
      endpoint,
      src_sec_identity,
      dst_sec_identity,
      no_opt,
      0,
      reason,
      monitor,
      proto,
    );
  }
  const ret = __encap_with_nodeid4(
    ctx,
    0,
    endpoint,
    src_sec_identity,
    dst_sec_identity,
    NOT_VTEP_DST,
    reason,
    monitor,
    proto,
  );
  return ret === CTX_ACT_REDIRECT ? ctx_redirect(ctx, ctx.def.ENCAP_IFINDEX, 0) : ret;
}

// hash_from_tuple_v4/v6(): over the source, both ports and the protocol, not over the destination. Here it spreads the
// outer source ports of what XDP encapsulates.
function tuple_hash4(ctx: Ctx, t: CtTuple4): number {
  return hash_from_tuple_v4(t.saddr, t.sport, t.dport, t.nexthdr, ctx.def.HASH_INIT4_SEED);
}

function tuple_hash6(ctx: Ctx, t: CtTuple6): number {
  const w = t.words;
  return hash_from_tuple_v6(w[4], w[5], w[6], w[7], t.sport, t.dport, t.nexthdr, ctx.def.HASH_INIT6_SEED);
}

/**
 * fib_redirect() with the result of a look-up. `use_neigh_map`: where the FIB knows no neighbour (XDP cannot ask for
 * one), the client's MAC in cilium_nodeport_neigh4/6 will do.
 */
function redirect_by_fib(ctx: Ctx, ret: number, use_neigh_map: boolean): number {
  if (!fib_ok(ret)) {
    ctx.ext_err = ret;
    return DROP_NO_FIB;
  }
  ctx.fib_oif = fib_params.ifindex;
  return fib_do_redirect(ctx, true, use_neigh_map, ret, ctx.fib_oif);
}

// neigh_record_ip4/6(): the client's MAC, for replies that XDP has to address itself.
function neigh_record(ctx: Ctx, map: BpfMap, key: Int32Array): number {
  // Bytes 6 to 11 of the frame: the sender's MAC, the client's or its router's.
  const lo = load_be32(ctx, 6);
  const hi = load_be16(ctx, 10);
  // Written only when the MAC has changed: the map is shared by all CPUs.
  const slot = map.lookup(key);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  if (slot !== NONE) {
    const at = slot * map.valueWords;
    if (map.words[at] === lo && (map.words[at + 1] & 0xffff) === hi) return 0;
  }
  neighMac[0] = lo;
  neighMac[1] = hi;
  return Math.min(map.update(key, neighMac, BPF_ANY), 0);
}

/** ct_get_nodeport_egress_entry4/6(): slot of the entry of a service request, or NONE. `flags` of the key are set. */
function nodeport_egress_entry(ctx: Ctx, map: BpfMap, key: Int32Array): number {
  const slot = map.lookup(key);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot;
}

// An L7 service: the packet goes to the proxy by its mark, on this device or, hairpinned, by cilium_net.
function redirect_to_l7_proxy(
  ctx: Ctx,
  src_id: number,
  proxy_port: number,
  proto: number,
  line: number,
): number {
  // XDP cannot reach the proxy; bpf_host gets the packet again.
  if (ctx.obj.kind === IS_BPF_XDP) return CTX_ACT_OK;
  send_trace_notify(
    ctx,
    TRACE_TO_PROXY,
    src_id,
    UNKNOWN_ID,
    bswap16(proxy_port),
    ctx.config.interface_ifindex,
    // Its number is that of CT_NEW: the sample prints "state new", and monitor 0 hides it at aggregation medium.
    TRACE_REASON_POLICY,
    0,
    proto,
    line,
  );
  if (ctx.config.proxy_redirect_via_cilium_net) {
    const ret =
      proto === ETH_P_IP
        ? ctx_redirect_to_proxy_hairpin_ipv4(ctx, proxy_port)
        : ctx_redirect_to_proxy_hairpin_ipv6(ctx, proxy_port);
    ctx.skb.mark = ctx_load_meta(ctx, CB_PROXY_MAGIC);
    return ret;
  }
  cilium_dbg_capture(ctx, DBG_CAPTURE_PROXY_PRE, proxy_port);
  ctx.skb.mark = MARK_MAGIC_TO_PROXY | (proxy_port << 16);
  cilium_dbg_capture(ctx, DBG_CAPTURE_PROXY_POST, proxy_port);
  nodeport_out.punt_to_stack = true;
  return CTX_ACT_OK;
}

// === IPv4 ===============================================================================================================

/**
 * nodeport_lb4(): the service part of a packet's way in. CTX_ACT_OK: it goes on (nodeport_out tells how), a drop
 * reason, or a verdict of a tail call.
 *
 *   service           nodeport_svc_lb4
 *   DSR information   nodeport_dsr_ingress_ipv4
 *   neither           reverse SNAT in a tail call, which comes back to CILIUM_CALL_IPV4_FROM_NETDEV with "skip nodeport" set
 *
 * `src_sec_identity` is only carried along: services know no identities.
 */
export function nodeport_lb4(ctx: Ctx, ip4: number, l3_off: number, src_sec_identity: number): number {
  // Fragments find their ports in the fragment map.
  const fraginfo = ipfrag_encode_ipv4(ctx, ip4);
  const l4_off = ip4 + ipv4_hdrlen(ctx, ip4);
  const tuple = tuple4;
  nodeport_out.punt_to_stack = false;
  nodeport_out.dsr = false;
  let ret = lb4_extract_tuple(ctx, l3_off, fraginfo, l4_off, tuple);
  const is_svc_proto = ret >= 0;
  if (is_svc_proto) {
    lb4_fill_key(key4, tuple);
    const svc = lb4_lookup_service(ctx, key4, false);
    if (svc !== NONE) return nodeport_svc_lb4(ctx, tuple, svc, l3_off, fraginfo, l4_off, src_sec_identity);
  } else if (ret === DROP_UNKNOWN_L4) {
    ctx_set_xfer(ctx, XFER_PKT_NO_SVC);
    return CTX_ACT_OK;
  } else if (ret !== DROP_UNSUPP_SERVICE_PROTO) {
    return ret;
  }

  ctx_set_xfer(ctx, XFER_PKT_NO_SVC);
  // No service here: a request that another node has sent on (DSR), or a reply to this node's SNAT.
  if (is_svc_proto && looks_for_dsr(ctx)) {
    ret = nodeport_extract_dsr_v4(ctx, ip4, tuple, l4_off);
    if (ret < 0) return ret;
    if (dsr_info.found) {
      nodeport_out.dsr = true;
      return nodeport_dsr_ingress_ipv4(ctx, tuple, fraginfo, l4_off);
    }
  }
  // The tail call reads it for its drop samples, and the program to which the packet comes back once more.
  ctx_store_meta(ctx, CB_SRC_LABEL, src_sec_identity);
  // ICMP matters only where masquerading makes NAT entries for it.
  if (!ctx.def.ENABLE_MASQUERADE_IPV4 && !is_svc_proto) return CTX_ACT_OK;
  return tail_call_internal(ctx, CILIUM_CALL_IPV4_NODEPORT_NAT_INGRESS);
}

/**
 * nodeport_svc_lb4(): a request to a service from outside of it. The conntrack entries that it makes:
 *
 *   SERVICE   client -> service      which backend (lb4_local)
 *   EGRESS    client -> backend      node_port, source world: the reply is known by it and turned back
 *   none      of DSR to a remote backend, whose replies take another way
 */
function nodeport_svc_lb4(
  ctx: Ctx,
  tuple: CtTuple4,
  svc: number,
  l3_off: number,
  fraginfo: number,
  l4_off: number,
  src_sec_identity: number,
): number {
  const services = ctx.maps.cilium_lb4_services_v2;
  const flags = svcFlags(services, svc);
  const flags2 = svcFlags2(services, svc);
  const key = key4;
  // Only the catch-all of a service address: handing the packet up would send it back out, and in again.
  if (lb4_key_is_wildcard(key)) return DROP_NO_SERVICE;
  if (!lb4_src_range_ok(ctx, svc, tuple.saddr)) return DROP_NOT_IN_SRC_RANGE;
  // A ClusterIP is not for the world (drop 174), unless bpf-lb-external-clusterip makes it routable.
  if (!lb_svc_is_routable(flags)) return DROP_IS_CLUSTER_IP;
  // XDP leaves traffic for local backends to tc, behind GRO.
  if (ctx.obj.kind === IS_BPF_XDP && lb_svc_is_etp_local(flags)) return CTX_ACT_OK;
  // L7 services have the proxy's port where others have a backend.
  const proxy_port = svcBackendId(services, svc) & 0xffff;
  if (lb_svc_is_l7_loadbalancer(ctx, flags2, proxy_port)) {
    return redirect_to_l7_proxy(ctx, src_sec_identity, proxy_port, ETH_P_IP, site.NODEPORT_V4_TO_PROXY);
  }
  // NAT46x64 is not modelled: such a service has no backend that this family could reach.
  if (lb_to_other_family(flags2)) return DROP_NO_SERVICE;

  // Which backend? A known flow keeps the one in its SERVICE entry.
  ct_state_svc.clear();
  const backend = lb4_local(ctx, get_ct_map4(ctx, tuple), fraginfo, l4_off, key, tuple, svc, ct_state_svc);
  if (backend < 0) {
    if (backend === DROP_NO_SERVICE) {
      if (!ctx.config.enable_no_service_endpoints_routable)
        return handle_nonroutable_endpoints(flags, flags2);
      if (ctx.def.SERVICE_NO_BACKEND_RESPONSE) {
        edt_set_aggregate(ctx, 0);
        return tail_call_internal(ctx, CILIUM_CALL_IPV4_NO_SERVICE);
      }
    }
    return backend;
  }
  // Backends on this node go on to local delivery, all others leave the node again.
  const backend_addr = backend4Address(ctx.maps.cilium_lb4_backends_v3, backend);
  const backend_local = lookup_ip4_endpoint(ctx, backend_addr) !== NONE;
  // A host port means this host: another node's backend would be a mistake of the agent.
  if (!backend_local && lb_svc_is_hostport(flags)) return DROP_INVALID;
  if (backend_local && lb_svc_is_l7_punt_proxy(flags, flags2)) {
    ctx_set_xfer(ctx, XFER_PKT_NO_SVC);
    nodeport_out.punt_to_stack = true;
    return CTX_ACT_OK;
  }
  if (!nodeport_skip_xlate(ctx, flags2)) {
    const ret = lb4_dnat_request(ctx, backend, l3_off, ipfrag_has_l4_header(fraginfo), l4_off, tuple, false);
    if (ret < 0) return ret;
  }

  // Replies of a remote DSR backend are never seen here, so that flow needs no entry.
  const dsr = nodeport_uses_dsr(ctx, flags2);
  if (backend_local || !dsr) {
    __ipv4_ct_tuple_reverse(tuple);
    const state = ct_state;
    state.clear();
    // Only entries of the same service match.
    state.rev_nat_index = ct_state_svc.rev_nat_index;
    const map = get_ct_map4(ctx, tuple);
    const ret = ct_lazy_lookup4(
      ctx,
      map,
      tuple,
      fraginfo,
      l4_off,
      CT_EGRESS,
      SCOPE_FORWARD,
      CT_ENTRY_NODEPORT,
      state,
    );
    if (ret < 0) return ret;
    if (ret === CT_NEW) {
      // node_port marks the flow: its replies must pass the reverse translation.
      state.src_sec_id = ctx.def.WORLD_IPV4_ID;
      state.node_port = true;
      const err = ct_create4(ctx, map, null, tuple, CT_EGRESS, state);
      if (err < 0) return err;
    } else if (ret !== CT_ESTABLISHED) {
      return DROP_UNKNOWN_CT;
    }
    if (backend_local) {
      ctx_set_xfer(ctx, XFER_PKT_NO_SVC);
      return CTX_ACT_OK;
    }
    // The client's MAC, for the way back: XDP and redirects know no neighbours.
    neighKey4[0] = load_be32(ctx, ETH_HLEN + 12);
    const err = neigh_record(ctx, ctx.maps.cilium_nodeport_neigh4, neighKey4);
    if (err < 0) return err;
  }

  // Forwarded traffic counts against no pod's bandwidth.
  edt_set_aggregate(ctx, 0);
  // The tail calls find in cb what they need: for DSR the service (or, for IPIP, the backend and a hash of the flow).
  if (dsr) {
    if (ctx.def.DSR_ENCAP_MODE === DSR_ENCAP_IPIP) {
      ctx_store_meta(ctx, CB_HINT, (tuple.sport << 16) | tuple.dport);
      ctx_store_meta(ctx, CB_ADDR_V4, backend_addr);
    } else {
      ctx_store_meta(ctx, CB_PORT, key.dport);
      ctx_store_meta(ctx, CB_ADDR_V4, key.address);
      ctx_store_meta(ctx, CB_DSR_L3_OFF, l3_off);
    }
    return tail_call_internal(ctx, CILIUM_CALL_IPV4_NODEPORT_DSR);
  }
  // Through a tunnel the packet says that it comes from the world, or policies against the world would let it pass.
  ctx_store_meta(ctx, CB_SRC_LABEL, ctx.def.WORLD_IPV4_ID);
  ctx_store_meta(ctx, CB_CLUSTER_ID_EGRESS, 0);
  return tail_call_internal(ctx, CILIUM_CALL_IPV4_NODEPORT_NAT_EGRESS);
}

/**
 * tail_nodeport_nat_egress_ipv4(): a request to a remote backend gets this node's source address and leaves. The
 * backend's node then sees a packet of another node (identity 6, 7 or 0x02xxxxxx): its policies judge the node, not
 * the client, which is what externalTrafficPolicy: Cluster costs.
 */
export function tail_nodeport_nat_egress_ipv4(ctx: Ctx): number {
  ctx.ext_err = 0;
  const ret = nat_egress_ipv4(ctx);
  if (ret >= 0) return ret;
  return send_drop_notify_error_ext(
    ctx,
    UNKNOWN_ID,
    ret,
    ctx.ext_err,
    METRIC_EGRESS,
    site.NODEPORT_V4_NAT_EGRESS_DROP,
  );
}

function nat_egress_ipv4(ctx: Ctx): number {
  const ip4 = ETH_HLEN;
  if (!revalidate_data4(ctx)) return DROP_INVALID;
  const def = ctx.def;
  const src_sec_identity = ctx_load_meta(ctx, CB_SRC_LABEL);
  const fraginfo = ipfrag_encode_ipv4(ctx, ip4);
  const l4_off = ETH_HLEN + ipv4_hdrlen(ctx, ip4);
  const target = target4;
  // A program cannot ask the FIB for a source address: the direct routing device's is taken.
  target.set(def.IPV4_DIRECT_ROUTING, def.NODEPORT_PORT_MIN_NAT, def.NODEPORT_PORT_MAX_NAT);
  let endpoint = 0;
  let dst_sec_identity = 0;
  // Behind a tunnel the other node answers to this node's internal address.
  if (def.TUNNEL_MODE) {
    const info = lookup_ip4_remote_endpoint(ctx, load_be32(ctx, ip4 + 16), 0);
    if (has_tunnel(ctx, info)) {
      endpoint = ipcacheTunnelEndpoint4(ctx.maps.cilium_ipcache_v2, info);
      dst_sec_identity = ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info);
      target.addr = def.IPV4_GATEWAY;
    }
  }
  // Told as new, at full length: no look-up has been made that would know better.
  trace.set(CT_NEW, ctx.config.trace_payload_len);
  const tuple = tuple4;
  let ret = lb4_extract_tuple(ctx, ip4, fraginfo, l4_off, tuple);
  if (ret < 0) return ret;
  // SNAT wants the ports as the packet has them.
  tuple.swapPorts();
  tuple.flags = TUPLE_F_OUT;
  // The packet is routed here, so it costs a hop.
  ret = ipv4_l3_ttl(ctx, ip4);
  if (ret !== CTX_ACT_OK) return ret;
  ret = __snat_v4_nat(ctx, tuple, false, fraginfo, l4_off, true, target, TCP_SPORT_OFF, trace);
  if (ret < 0) return ret;
  // to-overlay and to-netdev shall not translate it again.
  ctx_snat_done_set(ctx);
  if (endpoint !== 0) {
    return encap_and_redirect(
      ctx,
      tuple_hash4(ctx, tuple),
      endpoint,
      src_sec_identity,
      dst_sec_identity,
      trace.reason,
      trace.monitor,
      ETH_P_IP,
    );
  }
  // By the translated addresses.
  ret = fib_lookup_v4(ctx, load_be32(ctx, ip4 + 12), load_be32(ctx, ip4 + 16), 0);
  return redirect_by_fib(ctx, ret, false);
}

/**
 * tail_nodeport_nat_ingress_ipv4(): reverse SNAT of what may be a reply, which from here cannot be told: any packet
 * to a port of the NAT range, any ICMP where masquerading is on. Without a mapping the packet goes back to where it
 * came from, with tc_index 4 so that it does not come here again.
 */
export function tail_nodeport_nat_ingress_ipv4(ctx: Ctx): number {
  const def = ctx.def;
  const src_id = ctx_load_meta(ctx, CB_SRC_LABEL);
  target4.set(0, def.NODEPORT_PORT_MIN_NAT, def.NODEPORT_PORT_MAX_NAT);
  trace.set(TRACE_REASON_UNKNOWN, ctx.config.trace_payload_len);
  ctx.ext_err = 0;
  // Step 1: this node's address and port back to the client's.
  let ret = snat_v4_rev_nat(ctx, target4, trace);
  if (ret >= 0) {
    ctx_snat_done_set(ctx);
    ret = CTX_ACT_OK;
    if (def.ENABLE_HOST_FIREWALL && ctx.obj.kind === IS_BPF_HOST) {
      // After reverse SNAT the destination is who really asked, which may be the host itself.
      ret = ipv4_host_policy_ingress(ctx, src_id, trace);
      // Host policies hold once, not again on recirculation.
      ctx_skip_host_fw_set(ctx);
    }
    if (ret >= 0 && replies_need_rev_dnat(ctx)) {
      if (def.ENABLE_HOST_FIREWALL && ctx.obj.kind === IS_BPF_HOST) {
        ret = tail_call_internal(ctx, CILIUM_CALL_IPV4_NODEPORT_REVNAT);
        if (ret >= 0) return ret;
      } else {
        ret = nodeport_rev_dnat_ipv4(ctx, trace);
        if (ret > CTX_ACT_OK) {
          edt_set_aggregate(ctx, 0);
          return ret;
        }
      }
    }
  } else if (ret === NAT_PUNT_TO_STACK || ret === DROP_NAT_NO_MAPPING) {
    // No reply to this node's SNAT: back to where the packet came from.
    ret = CTX_ACT_OK;
  }
  if (ret === CTX_ACT_OK) {
    ctx_skip_nodeport_set(ctx);
    ret = tail_call_internal(ctx, CILIUM_CALL_IPV4_FROM_NETDEV);
    if (ret >= 0) return ret;
  }
  return send_drop_notify_error_ext(
    ctx,
    src_id,
    ret,
    ctx.ext_err,
    METRIC_INGRESS,
    site.NODEPORT_V4_NAT_INGRESS_DROP,
  );
}

/**
 * nodeport_rev_dnat_ipv4(): a backend's reply gets the service's source address and goes to the client; replies for
 * egress gateway clients go into their tunnel. CTX_ACT_OK = neither.
 */
function nodeport_rev_dnat_ipv4(ctx: Ctx, trace: TraceCtx): number {
  const ip4 = ETH_HLEN;
  if (!revalidate_data4(ctx)) return DROP_INVALID;
  const fraginfo = ipfrag_encode_ipv4(ctx, ip4);
  const l4_off = ETH_HLEN + ipv4_hdrlen(ctx, ip4);
  const tuple = tuple4;
  let endpoint = 0;
  let src_sec_identity = 0;
  let dst_sec_identity = 0;
  let is_reply = false;
  let ret = lb4_extract_tuple(ctx, ip4, fraginfo, l4_off, tuple);
  if (ret >= 0) {
    const state = ct_state;
    state.clear();
    const map = get_ct_map4(ctx, tuple);
    ret = ct_lazy_lookup4(
      ctx,
      map,
      tuple,
      fraginfo,
      l4_off,
      CT_INGRESS,
      SCOPE_REVERSE,
      CT_ENTRY_NODEPORT,
      state,
    );
    // Only the reverse of a flow that a service request has made.
    if (ret === CT_REPLY) {
      is_reply = true;
      trace.set(TRACE_REASON_CT_REPLY, ctx.monitor);
      ret = lb4_rev_nat(
        ctx,
        ip4,
        l4_off,
        state.rev_nat_index,
        0,
        0,
        false,
        tuple,
        ipfrag_has_l4_header(fraginfo),
      );
      if (ret < 0) return ret;
      ctx_snat_done_set(ctx);
      // The client may be behind a tunnel itself, a pod of another node that used the node port: there the answer comes
      // from a node (identity 6).
      if (ctx.def.TUNNEL_MODE) {
        const info = lookup_ip4_remote_endpoint(ctx, load_be32(ctx, ip4 + 16), 0);
        if (has_tunnel(ctx, info)) {
          endpoint = ipcacheTunnelEndpoint4(ctx.maps.cilium_ipcache_v2, info);
          dst_sec_identity = ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info);
          src_sec_identity = ctx.def.REMOTE_NODE_ID;
        }
      }
    }
  } else if (ret !== DROP_UNSUPP_SERVICE_PROTO && ret !== DROP_UNKNOWN_L4) {
    return ret;
  }
  // Replies to an egress gateway's SNAT: iptables rules of the node could drop them, so they go into the tunnel here.
  if (!is_reply) {
    if (!redirects_egw_replies(ctx) || !egress_gw_reply_needs_redirect_hook(ctx, ip4)) return CTX_ACT_OK;
    trace.reason = TRACE_REASON_CT_REPLY;
    src_sec_identity = WORLD_ID;
    endpoint = egress_gw_reply.tunnel_endpoint;
    dst_sec_identity = egress_gw_reply.dst_sec_identity;
  }
  // The reply is routed here; behind the translation, where IPv6 has it before.
  ret = ipv4_l3_ttl(ctx, ip4);
  if (ret !== CTX_ACT_OK) return ret;
  if (endpoint !== 0) {
    return encap_and_redirect(
      ctx,
      tuple_hash4(ctx, tuple),
      endpoint,
      src_sec_identity,
      dst_sec_identity,
      trace.reason,
      trace.monitor,
      ETH_P_IP,
    );
  }
  ret = fib_lookup_v4(ctx, load_be32(ctx, ip4 + 12), load_be32(ctx, ip4 + 16), 0);
  return redirect_by_fib(ctx, ret, true);
}

/** tail_nodeport_rev_dnat_ipv4(): from bpf_lxc for replies of a local backend, from bpf_host with host firewall. */
export function tail_nodeport_rev_dnat_ipv4(ctx: Ctx): number {
  trace.set(TRACE_REASON_UNKNOWN, ctx.config.trace_payload_len);
  ctx.ext_err = 0;
  let ret = nodeport_rev_dnat_ipv4(ctx, trace);
  if (ret > CTX_ACT_OK) {
    if (ctx.obj.kind !== IS_BPF_LXC) edt_set_aggregate(ctx, 0);
    return ret;
  }
  if (ret === CTX_ACT_OK) {
    if (ctx.obj.kind === IS_BPF_LXC) {
      // A reply that bpf_lxc sends here must be redirected.
      ret = DROP_NAT_NO_MAPPING;
    } else {
      ctx_skip_nodeport_set(ctx);
      ret = tail_call_internal(ctx, CILIUM_CALL_IPV4_FROM_NETDEV);
      if (ret >= 0) return ret;
    }
  }
  return send_drop_notify_error_ext(
    ctx,
    UNKNOWN_ID,
    ret,
    ctx.ext_err,
    METRIC_EGRESS,
    site.NODEPORT_V4_REVNAT_DROP,
  );
}

/** Address and port that nodeport_rev_dnat_get_info_ipv4/6() found: the service that a reply belongs to. */
export const nat_info = { addr4: 0, addr6: new Int32Array(4), port: 0 };
const dsrTuple4 = new CtTuple4();

/** nodeport_rev_dnat_get_info_ipv4(): is `tuple` a reply of a service that was entered from outside? Fills nat_info. */
export function nodeport_rev_dnat_get_info_ipv4(ctx: Ctx, tuple: CtTuple4): boolean {
  const map = get_ct_map4(ctx, tuple);
  const flags = tuple.flags;
  // Replies as loaded have the orientation of the request's entry, as it was made with EGRESS: flags OUT.
  tuple.flags = TUPLE_F_OUT;
  const slot = nodeport_egress_entry(ctx, map, tuple.words);
  tuple.flags = flags;
  if (slot === NONE) return false;
  const at = slot * map.valueWords;
  const w = map.words[at + CT_FLAGS_W];
  // Made by a request that came in on this node.
  if ((w & CT_ENTRY_NODE_PORT) !== 0) {
    // The word: flag bits in the lower half, rev_nat_index (network order) in the upper.
    const index = w >>> 16;
    if (index === 0) return false;
    const nat = lb4_lookup_rev_nat_entry(ctx, index);
    if (nat === NONE) return false;
    nat_info.addr4 = revNat4Address(ctx.maps.cilium_lb4_reverse_nat, nat);
    nat_info.port = revNat4Port(ctx.maps.cilium_lb4_reverse_nat, nat);
    return true;
  }
  if (!ctx.def.ENABLE_DSR || (w & CT_ENTRY_DSR_INTERNAL) === 0) return false;
  // Made by a DSR request: the entry itself holds the service's address and port.
  const port = map.words[at + CT_NAT_PORT_W] & 0xffff;
  if (port !== 0) {
    nat_info.addr4 = map.words[at + CT_NAT_ADDR4_W];
    nat_info.port = port;
    return true;
  }
  // An entry of an older release: address and port are in the NAT map.
  dsrTuple4.copyFrom(tuple);
  dsrTuple4.swapPorts();
  dsrTuple4.flags = TUPLE_F_OUT;
  const nat = snat_v4_lookup(ctx, dsrTuple4);
  if (nat === NONE) return false;
  nat_info.addr4 = nat4ToAddr(ctx.maps.cilium_snat_v4_external, nat);
  nat_info.port = nat4ToPort(ctx.maps.cilium_snat_v4_external, nat);
  return true;
}

/** tail_no_service_ipv4(): "port unreachable" for a service without backend. */
export function tail_no_service_ipv4(ctx: Ctx): number {
  const src_sec_identity = ctx_load_meta(ctx, CB_SRC_LABEL);
  ctx.ext_err = 0;
  // Back out of the device it came in on, addressed from the service to the client.
  let ret = generate_icmp4_reply(ctx, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH);
  if (ret === CTX_ACT_OK) {
    cilium_dbg_capture(ctx, DBG_CAPTURE_DELIVERY, ctx_get_ifindex(ctx));
    ret = redirect_self(ctx);
    if (ret >= 0) return ret;
  }
  return send_drop_notify_error_ext(
    ctx,
    src_sec_identity,
    ret,
    ctx.ext_err,
    METRIC_INGRESS,
    site.LB_V4_NO_SERVICE_DROP,
  );
}

// === IPv6 ===============================================================================================================
// The same functions over addresses of four words; only what differs is commented.

// Words of an IPv6 tuple: daddr 0 to 3, saddr 4 to 7, ports 8, protocol and flags 9. Offsets in the header: next
// header 6, hop limit 7, source 8, destination 24.

/**
 * nodeport_lb6(): as nodeport_lb4(). The extension headers are walked here once; protocol and fragment go on in the
 * tuple and `fraginfo`. Chains of more than four headers are a drop (156, DROP_INVALID_EXTHDR) before any look-up.
 */
export function nodeport_lb6(ctx: Ctx, ip6: number, src_sec_identity: number): number {
  const l3_off = ip6;
  const tuple = tuple6;
  nodeport_out.punt_to_stack = false;
  nodeport_out.dsr = false;
  const hdrlen = ipv6_hdrlen_with_fraginfo(ctx, ip6);
  if (hdrlen < 0) return hdrlen;
  tuple.nexthdr = ctx.nexthdr;
  tuple.flags = 0;
  const fraginfo = ctx.fraginfo;
  const l4_off = l3_off + hdrlen;
  let ret = lb6_extract_tuple(ctx, l3_off, fraginfo, l4_off, tuple);
  const is_svc_proto = ret >= 0;
  if (is_svc_proto) {
    lb6_fill_key(key6, tuple);
    const svc = lb6_lookup_service(ctx, key6, false);
    if (svc !== NONE) return nodeport_svc_lb6(ctx, tuple, svc, l3_off, fraginfo, l4_off, src_sec_identity);
  } else if (ret === DROP_UNKNOWN_L4) {
    ctx_set_xfer(ctx, XFER_PKT_NO_SVC);
    return CTX_ACT_OK;
  } else if (ret !== DROP_UNSUPP_SERVICE_PROTO) {
    return ret;
  }

  ctx_set_xfer(ctx, XFER_PKT_NO_SVC);
  if (is_svc_proto && looks_for_dsr(ctx)) {
    ret = nodeport_extract_dsr_v6(ctx, ip6, tuple, l4_off);
    if (ret < 0) return ret;
    if (dsr_info.found) {
      nodeport_out.dsr = true;
      return nodeport_dsr_ingress_ipv6(ctx, tuple, fraginfo, l4_off);
    }
  }
  ctx_store_meta(ctx, CB_SRC_LABEL, src_sec_identity);
  if (!ctx.def.ENABLE_MASQUERADE_IPV6 && !is_svc_proto) return CTX_ACT_OK;
  return tail_call_internal(ctx, CILIUM_CALL_IPV6_NODEPORT_NAT_INGRESS);
}

/**
 * nodeport_svc_lb6(): the checks of nodeport_svc_lb4() in the same order, so the same packet has the same drop reason
 * in both families: 158 catch-all entry, 177 source range, 174 ClusterIP, 158 other family or no backend, 134 host
 * port elsewhere.
 */
function nodeport_svc_lb6(
  ctx: Ctx,
  tuple: CtTuple6,
  svc: number,
  l3_off: number,
  fraginfo: number,
  l4_off: number,
  src_sec_identity: number,
): number {
  const services = ctx.maps.cilium_lb6_services_v2;
  const flags = svcFlags(services, svc);
  const flags2 = svcFlags2(services, svc);
  const key = key6;
  if (lb6_key_is_wildcard(key)) return DROP_NO_SERVICE;
  if (!lb6_src_range_ok(ctx, svc, tuple.words, 4)) return DROP_NOT_IN_SRC_RANGE;
  if (!lb_svc_is_routable(flags)) return DROP_IS_CLUSTER_IP;
  if (ctx.obj.kind === IS_BPF_XDP && lb_svc_is_etp_local(flags)) return CTX_ACT_OK;
  const proxy_port = svcBackendId(services, svc) & 0xffff;
  if (lb_svc_is_l7_loadbalancer(ctx, flags2, proxy_port)) {
    return redirect_to_l7_proxy(ctx, src_sec_identity, proxy_port, ETH_P_IPV6, site.NODEPORT_V6_TO_PROXY);
  }
  if (lb_to_other_family(flags2)) return DROP_NO_SERVICE;

  ct_state_svc.clear();
  const backend = lb6_local(ctx, get_ct_map6(ctx, tuple), fraginfo, l4_off, key, tuple, svc, ct_state_svc);
  if (backend < 0) {
    if (backend === DROP_NO_SERVICE) {
      if (!ctx.config.enable_no_service_endpoints_routable)
        return handle_nonroutable_endpoints(flags, flags2);
      if (ctx.def.SERVICE_NO_BACKEND_RESPONSE) {
        edt_set_aggregate(ctx, 0);
        return tail_call_internal(ctx, CILIUM_CALL_IPV6_NO_SERVICE);
      }
    }
    return backend;
  }
  const backends = ctx.maps.cilium_lb6_backends_v3;
  const backend_at = backend6AddressWord(backends, backend);
  const backend_local = lookup_ip6_endpoint(ctx, backends.words, backend_at) !== NONE;
  if (!backend_local && lb_svc_is_hostport(flags)) return DROP_INVALID;
  if (backend_local && lb_svc_is_l7_punt_proxy(flags, flags2)) {
    ctx_set_xfer(ctx, XFER_PKT_NO_SVC);
    nodeport_out.punt_to_stack = true;
    return CTX_ACT_OK;
  }
  if (!nodeport_skip_xlate(ctx, flags2)) {
    const ret = lb6_dnat_request(ctx, backend, l3_off, ipfrag_has_l4_header(fraginfo), l4_off, tuple, false);
    if (ret < 0) return ret;
  }

  const dsr = nodeport_uses_dsr(ctx, flags2);
  if (backend_local || !dsr) {
    __ipv6_ct_tuple_reverse(tuple);
    const state = ct_state;
    state.clear();
    state.rev_nat_index = ct_state_svc.rev_nat_index;
    const map = get_ct_map6(ctx, tuple);
    const ret = ct_lazy_lookup6(
      ctx,
      map,
      tuple,
      fraginfo,
      l4_off,
      CT_EGRESS,
      SCOPE_FORWARD,
      CT_ENTRY_NODEPORT,
      state,
    );
    if (ret < 0) return ret;
    if (ret === CT_NEW) {
      state.src_sec_id = ctx.def.WORLD_IPV6_ID;
      state.node_port = true;
      const err = ct_create6(ctx, map, null, tuple, CT_EGRESS, state);
      if (err < 0) return err;
    } else if (ret !== CT_ESTABLISHED) {
      return DROP_UNKNOWN_CT;
    }
    if (backend_local) {
      ctx_set_xfer(ctx, XFER_PKT_NO_SVC);
      return CTX_ACT_OK;
    }
    // By the packet's source, the client, which DNAT has left in place.
    ipv6_load_addr(ctx, ETH_HLEN + 8, neighKey6, 0);
    const err = neigh_record(ctx, ctx.maps.cilium_nodeport_neigh6, neighKey6);
    if (err < 0) return err;
  }

  edt_set_aggregate(ctx, 0);
  if (dsr) {
    if (ctx.def.DSR_ENCAP_MODE === DSR_ENCAP_IPIP) {
      ctx_store_meta(ctx, CB_HINT, (tuple.sport << 16) | tuple.dport);
      for (let i = 0; i < 4; i++) ctx_store_meta(ctx, CB_ADDR_V6_1 + i, backends.words[backend_at + i]);
    } else {
      ctx_store_meta(ctx, CB_PORT, key.dport);
      // Address in cb[1] to cb[4], port in cb[0]: all five words are taken, and IPv4's L3 offset has no place.
      for (let i = 0; i < 4; i++) ctx_store_meta(ctx, CB_ADDR_V6_1 + i, key.words[i]);
    }
    return tail_call_internal(ctx, CILIUM_CALL_IPV6_NODEPORT_DSR);
  }
  // No identity goes along as in IPv4: the tail call says "world" by itself.
  ctx_store_meta(ctx, CB_NAT_46X64, 0);
  return tail_call_internal(ctx, CILIUM_CALL_IPV6_NODEPORT_NAT_EGRESS);
}

/** tail_nodeport_nat_egress_ipv6(): see tail_nodeport_nat_egress_ipv4(). Drop samples have identity 0. */
export function tail_nodeport_nat_egress_ipv6(ctx: Ctx): number {
  ctx.ext_err = 0;
  const ret = nat_egress_ipv6(ctx);
  if (ret >= 0) return ret;
  return send_drop_notify_error_ext(
    ctx,
    UNKNOWN_ID,
    ret,
    ctx.ext_err,
    METRIC_EGRESS,
    site.NODEPORT_V6_NAT_EGRESS_DROP,
  );
}

function nat_egress_ipv6(ctx: Ctx): number {
  const ip6 = ETH_HLEN;
  if (!revalidate_data6(ctx)) return DROP_INVALID;
  const def = ctx.def;
  const target = target6;
  const tuple = tuple6;
  const hdrlen = ipv6_hdrlen_with_fraginfo(ctx, ip6);
  if (hdrlen < 0) return hdrlen;
  tuple.nexthdr = ctx.nexthdr;
  const fraginfo = ctx.fraginfo;
  const l4_off = ETH_HLEN + hdrlen;
  target.set(def.NODEPORT_PORT_MIN_NAT, def.NODEPORT_PORT_MAX_NAT);
  copyAddr6(target.addr, 0, def.IPV6_DIRECT_ROUTING, 0);
  let endpoint = 0;
  let dst_sec_identity = 0;
  if (def.TUNNEL_MODE) {
    ipv6_load_addr(ctx, ip6 + 24, daddr6, 0);
    const info = lookup_ip6_remote_endpoint(ctx, daddr6, 0);
    if (has_tunnel(ctx, info)) {
      endpoint = ipcacheTunnelEndpoint4(ctx.maps.cilium_ipcache_v2, info);
      dst_sec_identity = ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info);
      // The router's address of this node, IPv4's IPV4_GATEWAY; the tunnel endpoint is an IPv4 address all the same.
      copyAddr6(target.addr, 0, ctx.config.router_ipv6, 0);
    }
  }
  trace.set(CT_NEW, ctx.config.trace_payload_len);
  let ret = lb6_extract_tuple(ctx, ip6, fraginfo, l4_off, tuple);
  if (ret < 0) return ret;
  tuple.swapPorts();
  tuple.flags = TUPLE_F_OUT;
  // Before the translation, so that an ICMPv6 time exceeded has the client's address and reaches it.
  ret = ipv6_l3_ttl(ctx, ip6, METRIC_EGRESS);
  if (ret !== CTX_ACT_OK) return ret;
  ret = ___snat_v6_nat(ctx, tuple, false, fraginfo, l4_off, true, target, TCP_SPORT_OFF, trace);
  if (ret < 0) return ret;
  ctx_snat_done_set(ctx);
  if (endpoint !== 0) {
    return encap_and_redirect(
      ctx,
      tuple_hash6(ctx, tuple),
      endpoint,
      def.WORLD_IPV6_ID,
      dst_sec_identity,
      trace.reason,
      trace.monitor,
      ETH_P_IPV6,
    );
  }
  return redirect_by_addresses6(ctx, ip6, false);
}

// The FIB is asked by the packet's addresses as they are by now, that is, after translation.
function redirect_by_addresses6(ctx: Ctx, ip6: number, use_neigh_map: boolean): number {
  ipv6_load_addr(ctx, ip6 + 8, saddr6, 0);
  ipv6_load_addr(ctx, ip6 + 24, daddr6, 0);
  return redirect_by_fib(ctx, fib_lookup_v6(ctx, saddr6, 0, daddr6, 0, 0), use_neigh_map);
}

/**
 * tail_nodeport_nat_ingress_ipv6(): see tail_nodeport_nat_ingress_ipv4(). Differs in two things: the reason starts at
 * reply instead of unknown, and with fragment tracking XDP does the second translation in a tail call.
 */
export function tail_nodeport_nat_ingress_ipv6(ctx: Ctx): number {
  const def = ctx.def;
  const src_id = ctx_load_meta(ctx, CB_SRC_LABEL);
  target6.set(def.NODEPORT_PORT_MIN_NAT, def.NODEPORT_PORT_MAX_NAT);
  trace.set(TRACE_REASON_CT_REPLY, ctx.config.trace_payload_len);
  ctx.ext_err = 0;
  let ret = snat_v6_rev_nat(ctx, target6, trace);
  if (ret >= 0) {
    ctx_snat_done_set(ctx);
    ret = CTX_ACT_OK;
    if (def.ENABLE_HOST_FIREWALL && ctx.obj.kind === IS_BPF_HOST) {
      ret = ipv6_host_policy_ingress(ctx, src_id, trace);
      // Host policies hold once, not again on recirculation.
      ctx_skip_host_fw_set(ctx);
    }
    if (ret >= 0 && replies_need_rev_dnat(ctx)) {
      const kind = ctx.obj.kind;
      if (
        (def.ENABLE_HOST_FIREWALL && kind === IS_BPF_HOST) ||
        (def.ENABLE_IPV6_FRAGMENTS && kind === IS_BPF_XDP)
      ) {
        ret = tail_call_internal(ctx, CILIUM_CALL_IPV6_NODEPORT_REVNAT_INGRESS);
        if (ret >= 0) return ret;
      } else {
        ret = nodeport_rev_dnat_ipv6(ctx, trace);
        if (ret > CTX_ACT_OK) {
          edt_set_aggregate(ctx, 0);
          return ret;
        }
      }
    }
  } else if (ret === NAT_PUNT_TO_STACK || ret === DROP_NAT_NO_MAPPING) {
    ret = CTX_ACT_OK;
  }
  if (ret === CTX_ACT_OK) {
    ctx_skip_nodeport_set(ctx);
    ret = tail_call_internal(ctx, CILIUM_CALL_IPV6_FROM_NETDEV);
    if (ret >= 0) return ret;
  }
  return send_drop_notify_error_ext(
    ctx,
    src_id,
    ret,
    ctx.ext_err,
    METRIC_INGRESS,
    site.NODEPORT_V6_NAT_INGRESS_DROP,
  );
}

/**
 * nodeport_rev_dnat_ipv6(): see nodeport_rev_dnat_ipv4(). CTX_ACT_OK = no reply of a service, CTX_ACT_REDIRECT, or a
 * drop reason. ICMPv6 and protocols without ports are no service's, which is no error here.
 */
function nodeport_rev_dnat_ipv6(ctx: Ctx, trace: TraceCtx): number {
  const ip6 = ETH_HLEN;
  if (!revalidate_data6(ctx)) return DROP_INVALID;
  const tuple = tuple6;
  const hdrlen = ipv6_hdrlen_with_fraginfo(ctx, ip6);
  if (hdrlen < 0) return hdrlen;
  tuple.nexthdr = ctx.nexthdr;
  tuple.flags = 0;
  const fraginfo = ctx.fraginfo;
  const l4_off = ETH_HLEN + hdrlen;
  let endpoint = 0;
  let src_sec_identity = 0;
  let dst_sec_identity = 0;
  let is_reply = false;
  let ret = lb6_extract_tuple(ctx, ip6, fraginfo, l4_off, tuple);
  if (ret >= 0) {
    const state = ct_state;
    state.clear();
    const map = get_ct_map6(ctx, tuple);
    ret = ct_lazy_lookup6(
      ctx,
      map,
      tuple,
      fraginfo,
      l4_off,
      CT_INGRESS,
      SCOPE_REVERSE,
      CT_ENTRY_NODEPORT,
      state,
    );
    if (ret === CT_REPLY) {
      is_reply = true;
      trace.set(TRACE_REASON_CT_REPLY, ctx.monitor);
      // Here, unlike in IPv4, before the translation, so that a time exceeded comes from the backend's packet.
      ret = ipv6_l3_ttl(ctx, ip6, METRIC_EGRESS);
      if (ret !== CTX_ACT_OK) return ret;
      ret = lb6_rev_nat(
        ctx,
        l4_off,
        state.rev_nat_index,
        state.nat_addr,
        0,
        false,
        tuple,
        ipfrag_has_l4_header(fraginfo),
      );
      if (ret < 0) return ret;
      ctx_snat_done_set(ctx);
      if (ctx.def.TUNNEL_MODE) {
        ipv6_load_addr(ctx, ip6 + 24, daddr6, 0);
        const info = lookup_ip6_remote_endpoint(ctx, daddr6, 0);
        if (has_tunnel(ctx, info)) {
          endpoint = ipcacheTunnelEndpoint4(ctx.maps.cilium_ipcache_v2, info);
          dst_sec_identity = ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info);
          src_sec_identity = ctx.def.REMOTE_NODE_ID;
        }
      }
    }
  } else if (ret !== DROP_UNSUPP_SERVICE_PROTO && ret !== DROP_UNKNOWN_L4) {
    return ret;
  }
  if (!is_reply) {
    // The tuple is read anew: the look-up has left it in its own orientation, and the hook wants the packet's.
    if (!redirects_egw_replies(ctx)) return CTX_ACT_OK;
    const at = ctx.skb.data + ip6;
    tuple.setSaddr(ctx.skb.view, at + 8);
    tuple.setDaddr(ctx.skb.view, at + 24);
    if (!egress_gw_reply_needs_redirect_hook_v6(ctx, tuple)) return CTX_ACT_OK;
    trace.reason = TRACE_REASON_CT_REPLY;
    src_sec_identity = WORLD_ID;
    endpoint = egress_gw_reply.tunnel_endpoint;
    dst_sec_identity = egress_gw_reply.dst_sec_identity;
  }
  if (endpoint !== 0) {
    return encap_and_redirect(
      ctx,
      tuple_hash6(ctx, tuple),
      endpoint,
      src_sec_identity,
      dst_sec_identity,
      trace.reason,
      trace.monitor,
      ETH_P_IPV6,
    );
  }
  return redirect_by_addresses6(ctx, ip6, true);
}

// Common body of the two programs below; see tail_nodeport_rev_dnat_ipv4().
function rev_dnat_ipv6(ctx: Ctx): number {
  trace.set(TRACE_REASON_CT_REPLY, ctx.config.trace_payload_len);
  ctx.ext_err = 0;
  let ret = nodeport_rev_dnat_ipv6(ctx, trace);
  if (ret > CTX_ACT_OK) {
    // Out of a pod's object the packet is still that pod's and counts against its bandwidth.
    if (ctx.obj.kind !== IS_BPF_LXC) edt_set_aggregate(ctx, 0);
    return ret;
  }
  if (ret === CTX_ACT_OK) {
    if (ctx.obj.kind === IS_BPF_LXC) {
      // bpf_lxc has looked the flow up before the call: it is a reply, or its entry went in between.
      ret = DROP_NAT_NO_MAPPING;
    } else {
      ctx_skip_nodeport_set(ctx);
      ret = tail_call_internal(ctx, CILIUM_CALL_IPV6_FROM_NETDEV);
      if (ret >= 0) return ret;
    }
  }
  return send_drop_notify_error_ext(
    ctx,
    UNKNOWN_ID,
    ret,
    ctx.ext_err,
    METRIC_EGRESS,
    site.NODEPORT_V6_REVNAT_DROP,
  );
}

/** tail_nodeport_rev_dnat_ingress_ipv6(). */
export function tail_nodeport_rev_dnat_ingress_ipv6(ctx: Ctx): number {
  return rev_dnat_ipv6(ctx);
}

/** tail_nodeport_rev_dnat_egress_ipv6(): the direction matters for NAT46x64 only. */
export function tail_nodeport_rev_dnat_egress_ipv6(ctx: Ctx): number {
  return rev_dnat_ipv6(ctx);
}

const dsrTuple6 = new CtTuple6();

/** nodeport_rev_dnat_get_info_ipv6(): see the IPv4 one. Reads entries without touching lifetimes or flags. */
export function nodeport_rev_dnat_get_info_ipv6(ctx: Ctx, tuple: CtTuple6): boolean {
  const map = get_ct_map6(ctx, tuple);
  const flags = tuple.flags;
  tuple.flags = TUPLE_F_OUT;
  const slot = nodeport_egress_entry(ctx, map, tuple.words);
  tuple.flags = flags;
  if (slot === NONE) return false;
  const at = slot * map.valueWords;
  const w = map.words[at + CT_FLAGS_W];
  if ((w & CT_ENTRY_NODE_PORT) !== 0) {
    const index = w >>> 16;
    if (index === 0) return false;
    const nat = lb6_lookup_rev_nat_entry(ctx, index);
    if (nat === NONE) return false;
    const rev = ctx.maps.cilium_lb6_reverse_nat;
    copyAddr6(nat_info.addr6, 0, rev.words, revNat6AddressWord(rev, nat));
    nat_info.port = revNat6Port(rev, nat);
    return true;
  }
  if (!ctx.def.ENABLE_DSR || (w & CT_ENTRY_DSR_INTERNAL) === 0) return false;
  const port = map.words[at + CT_NAT_PORT_W] & 0xffff;
  if (port !== 0) {
    copyAddr6(nat_info.addr6, 0, map.words, at + CT_NAT_ADDR_W);
    nat_info.port = port;
    return true;
  }
  dsrTuple6.copyFrom(tuple);
  dsrTuple6.swapPorts();
  dsrTuple6.flags = TUPLE_F_OUT;
  const nat = snat_v6_lookup(ctx, dsrTuple6);
  if (nat === NONE) return false;
  const snat = ctx.maps.cilium_snat_v6_external;
  copyAddr6(nat_info.addr6, 0, snat.words, nat6ToAddrWord(snat, nat));
  nat_info.port = nat6ToPort(snat, nat);
  return true;
}

/** tail_no_service_ipv6(): at most 100 errors a second and device. */
export function tail_no_service_ipv6(ctx: Ctx): number {
  const src_sec_identity = ctx_load_meta(ctx, CB_SRC_LABEL);
  const ifindex = ctx_get_ifindex(ctx);
  ctx.ext_err = 0;
  let ret: number;
  if (!ratelimit_check_and_take(ctx, RATELIMIT_USAGE_ICMPV6, ifindex, ICMPV6_BUCKET, ICMPV6_PER_SECOND)) {
    // 198, with a sample, while IPv4 answers without limit.
    ret = DROP_RATE_LIMITED;
  } else {
    ret = generate_icmp6_reply(ctx, ICMPV6_DEST_UNREACH, ICMPV6_PORT_UNREACH);
    if (ret === CTX_ACT_OK) {
      cilium_dbg_capture(ctx, DBG_CAPTURE_DELIVERY, ifindex);
      ret = redirect_self(ctx);
      if (ret >= 0) return ret;
    }
  }
  return send_drop_notify_error_ext(
    ctx,
    src_sec_identity,
    ret,
    ctx.ext_err,
    METRIC_INGRESS,
    site.LB_V6_NO_SERVICE_DROP,
  );
}
