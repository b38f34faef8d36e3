// The host firewall, after bpf/lib/host_firewall.h: conntrack and policy for the node's own addresses, under the host
// endpoint's policy map. Conntrack and policy may be separated by a tail call, so each direction comes in two halves.
//
// Compiled in by ENABLE_HOST_FIREWALL (`enable-host-firewall`), in bpf_host only. Who calls it:
//
//   handle_ipv4(6), then the _cont  ingress from a native device, egress of what the host sends through cilium_host
//   tail_nodeport_nat_ingress_ipv4  ingress after reverse SNAT, when the destination is known; not when it comes again
//   cil_to_netdev                   egress of the host and of masqueraded pods
//   cil_to_host, cil_host_policy    a pod and its own node
//
// The host's entries share the global conntrack maps with the pods': nothing in an entry says whose it is but the
// addresses.

import { ipcacheSecIdentity, ipcacheTunnelEndpoint4 } from "../../maps/ipcache.js";
import { NONE } from "../../maps/spec.js";
import { PACKET_HOST } from "../../src/bpf/skb.js";
import { bswap16 } from "../../src/net/view.js";
import { auth_lookup } from "./auth.js";
import {
  CT_EGRESS,
  CT_ESTABLISHED,
  CT_INGRESS,
  CT_NEW,
  CT_RELATED,
  CT_REPLY,
  CTX_ACT_OK,
  DBG_IP_ID_MAP_FAILED4,
  DBG_IP_ID_MAP_FAILED6,
  DBG_IP_ID_MAP_SUCCEED4,
  DBG_IP_ID_MAP_SUCCEED6,
  DROP_INVALID,
  DROP_POLICY_AUTH_REQUIRED,
  ETH_HLEN,
  ETH_P_IP,
  ETH_P_IPV6,
  HOST_ID,
  SCOPE_BIDIR,
  TRACE_IFINDEX_UNKNOWN,
  TRACE_TO_PROXY,
  UNKNOWN_ID,
} from "./common.js";
import { ct_create4, ct_create6, ct_lookup4, ct_lookup6 } from "./conntrack.js";
import { get_ct_map4, get_ct_map6 } from "./conntrack_map.js";
import {
  type CtBuffer4,
  type CtBuffer6,
  CtState,
  type Ctx,
  load_be32,
  load_u8,
  revalidate_data4,
  revalidate_data6,
  type TraceCtx,
} from "./ctx.js";
import { cilium_dbg } from "./dbg.js";
import { lookup_ip4_remote_endpoint, lookup_ip6_remote_endpoint } from "./eps.js";
import {
  IPFRAG_FRAGMENT,
  ipfrag_encode_ipv4,
  ipfrag_is_fragment,
  ipv4_daddr,
  ipv4_hdrlen,
  ipv4_saddr,
} from "./ipv4.js";
import { IPV6_DADDR_OFF, IPV6_SADDR_OFF, ipv6_hdrlen_with_fraginfo, ipv6_load_addr } from "./ipv6.js";
import { PolicyResult, policy_can_egress, policy_can_ingress } from "./policy.js";
import { POLICY_EGRESS, POLICY_INGRESS, send_policy_verdict_notify } from "./policy_log.js";
import { ctx_redirect_to_proxy } from "./proxy.js";
import { HOST_FIREWALL_TO_PROXY } from "./source_lines.js";
import { send_trace_notify } from "./trace.js";

const res = new PolicyResult();
const state_new = new CtState();
const addr6 = new Int32Array(4);

/**
 * Source identity that the ingress half has found (`__u32 *src_sec_identity`); callers put it into their samples and
 * into the mark. In C an out parameter.
 */
export let host_policy_src_id = 0;

// --- IPv4 ---------------------------------------------------------------------------------------------------------

/**
 * Tuple and L4 offset of the packet, as TAIL_CT_LOOKUP4 of bpf_lxc loads them: daddr, saddr, ports 0, protocol.
 */
function load_buffer4(ctx: Ctx, buf: CtBuffer4): void {
  const w = buf.tuple.words;
  w[0] = load_be32(ctx, ETH_HLEN + 16);
  w[1] = load_be32(ctx, ETH_HLEN + 12);
  w[2] = 0;
  w[3] = load_u8(ctx, ETH_HLEN + 9);
  buf.l4_off = ETH_HLEN + ipv4_hdrlen(ctx, ETH_HLEN);
}

/**
 * ipv4_host_policy_egress_lookup(): true if the packet concerns the host, with the conntrack result in `buf`: it is the
 * host's own, or a masqueraded one of a pod (only the ipcache says host), whose replies must be let in again.
 */
export function ipv4_host_policy_egress_lookup(
  ctx: Ctx,
  src_id: number,
  ipcache_srcid: number,
  buf: CtBuffer4,
): boolean {
  if (src_id !== HOST_ID && ipcache_srcid !== HOST_ID) return false;
  load_buffer4(ctx, buf);
  const tuple = buf.tuple;
  buf.ret = ct_lookup4(
    ctx,
    get_ct_map4(ctx, tuple),
    tuple,
    ETH_HLEN,
    buf.l4_off,
    CT_EGRESS,
    SCOPE_BIDIR,
    null,
  );
  buf.monitor = ctx.monitor;
  return true;
}

/**
 * __ipv4_host_policy_egress(): policy, entry and verdict sample from the conntrack result in `buf`. Without
 * `is_host_id` the packet is a pod's, masqueraded: only its entry is made (source identity 0), so that the replies,
 * which are addressed to the host, are not taken for new connections to it.
 */
export function __ipv4_host_policy_egress(
  ctx: Ctx,
  is_host_id: boolean,
  buf: CtBuffer4,
  trace: TraceCtx,
): number {
  const tuple = buf.tuple;
  const status = buf.ret;
  trace.monitor = buf.monitor;
  trace.reason = status;
  // What the host answers was let in when it was asked: replies and ICMP errors about known connections are not
  // judged.
  if (status === CT_REPLY || status === CT_RELATED) return CTX_ACT_OK;
  let verdict = CTX_ACT_OK;
  let dst_id = 0;
  let auth_type = 0;
  res.reset();
  if (is_host_id) {
    const daddr = ipv4_daddr(ctx, ETH_HLEN);
    const info = lookup_ip4_remote_endpoint(ctx, daddr, 0);
    const ipcache = ctx.maps.cilium_ipcache_v2;
    if (info !== NONE) dst_id = ipcacheSecIdentity(ipcache, info);
    cilium_dbg(ctx, info !== NONE ? DBG_IP_ID_MAP_SUCCEED4 : DBG_IP_ID_MAP_FAILED4, daddr, dst_id);
    verdict = policy_can_egress(ctx, HOST_ID, dst_id, ETH_P_IP, tuple.dport, tuple.nexthdr, buf.l4_off, res);
    if (verdict === DROP_POLICY_AUTH_REQUIRED) {
      // The rule asks for mutual authentication: the verdict carries its kind in ext_err, and auth_map says if it has
      // been done.
      auth_type = ctx.ext_err;
      const node = info === NONE ? 0 : ipcacheTunnelEndpoint4(ipcache, info);
      verdict = auth_lookup(ctx, HOST_ID, dst_id, node, auth_type);
    }
  }
  // Denied connections leave no entry.
  if (status === CT_NEW && verdict === CTX_ACT_OK) {
    state_new.clear();
    state_new.src_sec_id = is_host_id ? HOST_ID : 0;
    state_new.proxy_redirect = res.proxy_port > 0;
    const ret = ct_create4(
      ctx,
      get_ct_map4(ctx, tuple),
      ctx.maps.cilium_ct_any4_global,
      tuple,
      CT_EGRESS,
      state_new,
    );
    if (ret < 0) return ret;
  }
  // No verdict was asked, so there is none to tell.
  if (!is_host_id) return verdict;
  // One verdict sample per connection, and one per packet where policy has since turned against it.
  if (verdict !== CTX_ACT_OK || status !== CT_ESTABLISHED) {
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
  if (res.proxy_port > 0 && verdict === CTX_ACT_OK) return to_proxy(ctx, trace, ETH_P_IP);
  return verdict;
}

/**
 * An L7 rule of the host: the packet is marked for the proxy and goes to the stack, where a TPROXY rule of the
 * agent's takes it.
 */
function to_proxy(ctx: Ctx, trace: TraceCtx, proto: number): number {
  send_trace_notify(
    ctx,
    TRACE_TO_PROXY,
    ctx.config.security_label,
    UNKNOWN_ID,
    bswap16(res.proxy_port),
    TRACE_IFINDEX_UNKNOWN,
    trace.reason,
    trace.monitor,
    proto,
    HOST_FIREWALL_TO_PROXY,
  );
  return ctx_redirect_to_proxy(ctx, res.proxy_port);
}

/**
 * ipv4_host_policy_egress(): both halves. A conntrack error (an IP header cut
 * short, a fragment whose first was not seen) drops the packet even where no rule is concerned.
 */
export function ipv4_host_policy_egress(
  ctx: Ctx,
  src_id: number,
  ipcache_srcid: number,
  trace: TraceCtx,
): number {
  const buf = ctx.ct_buffer4;
  if (!ipv4_host_policy_egress_lookup(ctx, src_id, ipcache_srcid, buf)) return CTX_ACT_OK;
  if (buf.ret < 0) return buf.ret;
  return __ipv4_host_policy_egress(ctx, src_id === HOST_ID, buf, trace);
}

/**
 * ipv4_host_policy_ingress_lookup(): true if the packet is addressed to the host: the ipcache has identity 1 for the
 * node's own addresses. Everything else a native device receives is somebody else's policy.
 */
export function ipv4_host_policy_ingress_lookup(ctx: Ctx, buf: CtBuffer4): boolean {
  const daddr = ipv4_daddr(ctx, ETH_HLEN);
  const info = lookup_ip4_remote_endpoint(ctx, daddr, 0);
  let dst_id = ctx.def.WORLD_IPV4_ID;
  if (info !== NONE) dst_id = ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info);
  cilium_dbg(ctx, info !== NONE ? DBG_IP_ID_MAP_SUCCEED4 : DBG_IP_ID_MAP_FAILED4, daddr, dst_id);
  if (dst_id !== HOST_ID) return false;
  load_buffer4(ctx, buf);
  const tuple = buf.tuple;
  buf.ret = ct_lookup4(
    ctx,
    get_ct_map4(ctx, tuple),
    tuple,
    ETH_HLEN,
    buf.l4_off,
    CT_INGRESS,
    SCOPE_BIDIR,
    null,
  );
  buf.monitor = ctx.monitor;
  return true;
}

/** __ipv4_host_policy_ingress(): leaves the source identity in `host_policy_src_id`, which begins as `src_id`. */
export function __ipv4_host_policy_ingress(
  ctx: Ctx,
  src_id: number,
  buf: CtBuffer4,
  trace: TraceCtx,
): number {
  const tuple = buf.tuple;
  const status = buf.ret;
  trace.monitor = buf.monitor;
  trace.reason = status;
  const saddr = ipv4_saddr(ctx, ETH_HLEN);
  const info = lookup_ip4_remote_endpoint(ctx, saddr, 0);
  const ipcache = ctx.maps.cilium_ipcache_v2;
  // Unlike resolve_srcid: the ipcache's answer counts here, whatever it is.
  const id = info !== NONE ? ipcacheSecIdentity(ipcache, info) : src_id;
  host_policy_src_id = id;
  cilium_dbg(ctx, info !== NONE ? DBG_IP_ID_MAP_SUCCEED4 : DBG_IP_ID_MAP_FAILED4, saddr, id);
  let verdict = CTX_ACT_OK;
  // As for pods: established packets are judged again, replies are not.
  if (status !== CT_REPLY && status !== CT_RELATED) {
    let auth_type = 0;
    // Without fragment tracking a later fragment has no ports; only rules without ports can allow it.
    const untracked = !ctx.def.ENABLE_IPV4_FRAGMENTS && ipfrag_is_fragment(ipfrag_encode_ipv4(ctx, ETH_HLEN));
    res.reset();
    verdict = policy_can_ingress(
      ctx,
      id,
      HOST_ID,
      ETH_P_IP,
      tuple.dport,
      tuple.nexthdr,
      buf.l4_off,
      untracked,
      res,
    );
    if (verdict === DROP_POLICY_AUTH_REQUIRED) {
      auth_type = ctx.ext_err;
      const node = info === NONE ? 0 : ipcacheTunnelEndpoint4(ipcache, info);
      verdict = auth_lookup(ctx, HOST_ID, id, node, auth_type);
    }
    if (status === CT_NEW && verdict === CTX_ACT_OK) {
      state_new.clear();
      state_new.src_sec_id = id;
      state_new.proxy_redirect = res.proxy_port > 0;
      const ret = ct_create4(
        ctx,
        get_ct_map4(ctx, tuple),
        ctx.maps.cilium_ct_any4_global,
        tuple,
        CT_INGRESS,
        state_new,
      );
      // A full map drops: an untracked connection of the host would have its replies judged as new ones.
      if (ret < 0) return ret;
    }
    // As at egress: the first packet of a connection, and every denied one.
    if (verdict !== CTX_ACT_OK || status !== CT_ESTABLISHED) {
      send_policy_verdict_notify(
        ctx,
        id,
        tuple.dport,
        tuple.nexthdr,
        POLICY_INGRESS,
        0,
        verdict,
        res,
        auth_type,
      );
    }
  }
  // For packets that an endpoint's program redirected to the host's device.
  ctx.helpers.skb_change_type(ctx.skb, PACKET_HOST);
  return verdict;
}

/**
 * ipv4_host_policy_ingress(): both halves. A packet that is not for the host keeps the identity that the caller knew,
 * and goes on to the endpoint's own policy.
 */
export function ipv4_host_policy_ingress(ctx: Ctx, src_id: number, trace: TraceCtx): number {
  host_policy_src_id = src_id;
  if (!revalidate_data4(ctx)) return DROP_INVALID;
  const buf = ctx.ct_buffer4;
  if (!ipv4_host_policy_ingress_lookup(ctx, buf)) return CTX_ACT_OK;
  if (buf.ret < 0) return buf.ret;
  return __ipv4_host_policy_ingress(ctx, src_id, buf, trace);
}

// --- IPv6 ---------------------------------------------------------------------------------------------------------

/**
 * Tuple, fragment info and L4 offset, and the look-up itself: extension headers are walked once for all of them, and
 * a header that cannot be followed is a result like any other (`buf.ret` < 0).
 */
function load_buffer6(ctx: Ctx, buf: CtBuffer6, dir: number): void {
  const w = buf.tuple.words;
  const hdrlen = ipv6_hdrlen_with_fraginfo(ctx, ETH_HLEN);
  if (hdrlen < 0) {
    buf.ret = hdrlen;
    return;
  }
  ipv6_load_addr(ctx, ETH_HLEN + IPV6_DADDR_OFF, w, 0);
  ipv6_load_addr(ctx, ETH_HLEN + IPV6_SADDR_OFF, w, 4);
  w[8] = 0;
  w[9] = ctx.nexthdr;
  // As ipv6_hdrlen_with_fraginfo has left them: next header behind the extension headers, fragment header's contents.
  buf.fraginfo = ctx.fraginfo;
  buf.l4_off = ETH_HLEN + hdrlen;
  buf.ret = ct_lookup6(
    ctx,
    get_ct_map6(ctx, buf.tuple),
    buf.tuple,
    ETH_HLEN,
    buf.fraginfo,
    buf.l4_off,
    dir,
    SCOPE_BIDIR,
    null,
  );
  buf.monitor = ctx.monitor;
}

/**
 * ipv6_host_policy_egress_lookup(): as for IPv4, true if the packet is the host's or has its address by masquerading.
 */
export function ipv6_host_policy_egress_lookup(
  ctx: Ctx,
  src_id: number,
  ipcache_srcid: number,
  buf: CtBuffer6,
): boolean {
  if (src_id !== HOST_ID && ipcache_srcid !== HOST_ID) return false;
  load_buffer6(ctx, buf, CT_EGRESS);
  return true;
}

/**
 * __ipv6_host_policy_egress(): see __ipv4_host_policy_egress. Neighbour discovery of the host comes here too; callers
 * let ICMPv6 that the node itself must speak pass before (icmp6_host_handle).
 */
export function __ipv6_host_policy_egress(
  ctx: Ctx,
  is_host_id: boolean,
  buf: CtBuffer6,
  trace: TraceCtx,
): number {
  const tuple = buf.tuple;
  const status = buf.ret;
  trace.monitor = buf.monitor;
  trace.reason = status;
  if (status === CT_REPLY || status === CT_RELATED) return CTX_ACT_OK;
  let verdict = CTX_ACT_OK;
  let dst_id = 0;
  let auth_type = 0;
  res.reset();
  if (is_host_id) {
    ipv6_load_addr(ctx, ETH_HLEN + IPV6_DADDR_OFF, addr6, 0);
    const info = lookup_ip6_remote_endpoint(ctx, addr6, 0);
    const ipcache = ctx.maps.cilium_ipcache_v2;
    if (info !== NONE) dst_id = ipcacheSecIdentity(ipcache, info);
    // Debug messages carry 32 bits of argument: the address's last word.
    cilium_dbg(ctx, info !== NONE ? DBG_IP_ID_MAP_SUCCEED6 : DBG_IP_ID_MAP_FAILED6, addr6[3], dst_id);
    verdict = policy_can_egress(
      ctx,
      HOST_ID,
      dst_id,
      ETH_P_IPV6,
      tuple.dport,
      tuple.nexthdr,
      buf.l4_off,
      res,
    );
    if (verdict === DROP_POLICY_AUTH_REQUIRED) {
      auth_type = ctx.ext_err;
      // Authentication is between nodes; the other is named by its tunnel endpoint.
      const node = info === NONE ? 0 : ipcacheTunnelEndpoint4(ipcache, info);
      verdict = auth_lookup(ctx, HOST_ID, dst_id, node, auth_type);
    }
  }
  if (status === CT_NEW && verdict === CTX_ACT_OK) {
    state_new.clear();
    state_new.src_sec_id = is_host_id ? HOST_ID : 0;
    state_new.proxy_redirect = res.proxy_port > 0;
    const ret = ct_create6(
      ctx,
      get_ct_map6(ctx, tuple),
      ctx.maps.cilium_ct_any6_global,
      tuple,
      CT_EGRESS,
      state_new,
    );
    if (ret < 0) return ret;
  }
  if (!is_host_id) return verdict;
  if (verdict !== CTX_ACT_OK || status !== CT_ESTABLISHED) {
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
  if (res.proxy_port > 0 && verdict === CTX_ACT_OK) return to_proxy(ctx, trace, ETH_P_IPV6);
  return verdict;
}

/** ipv6_host_policy_egress(): look-up and policy in one. */
export function ipv6_host_policy_egress(
  ctx: Ctx,
  src_id: number,
  ipcache_srcid: number,
  trace: TraceCtx,
): number {
  const buf = ctx.ct_buffer6;
  if (!ipv6_host_policy_egress_lookup(ctx, src_id, ipcache_srcid, buf)) return CTX_ACT_OK;
  if (buf.ret < 0) return buf.ret;
  return __ipv6_host_policy_egress(ctx, src_id === HOST_ID, buf, trace);
}

/** ipv6_host_policy_ingress_lookup(): false if the packet is not for this host. */
export function ipv6_host_policy_ingress_lookup(ctx: Ctx, buf: CtBuffer6): boolean {
  ipv6_load_addr(ctx, ETH_HLEN + IPV6_DADDR_OFF, addr6, 0);
  const info = lookup_ip6_remote_endpoint(ctx, addr6, 0);
  let dst_id = ctx.def.WORLD_IPV6_ID;
  if (info !== NONE) dst_id = ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info);
  cilium_dbg(ctx, info !== NONE ? DBG_IP_ID_MAP_SUCCEED6 : DBG_IP_ID_MAP_FAILED6, addr6[3], dst_id);
  // Solicited-node and other multicast addresses are in no ipcache: they are the world's here, and pass.
  if (dst_id !== HOST_ID) return false;
  load_buffer6(ctx, buf, CT_INGRESS);
  return true;
}

/** __ipv6_host_policy_ingress(): see __ipv4_host_policy_ingress. */
export function __ipv6_host_policy_ingress(
  ctx: Ctx,
  src_id: number,
  buf: CtBuffer6,
  trace: TraceCtx,
): number {
  const tuple = buf.tuple;
  const status = buf.ret;
  trace.monitor = buf.monitor;
  trace.reason = status;
  ipv6_load_addr(ctx, ETH_HLEN + IPV6_SADDR_OFF, addr6, 0);
  const info = lookup_ip6_remote_endpoint(ctx, addr6, 0);
  const ipcache = ctx.maps.cilium_ipcache_v2;
  // The ipcache decides here as well; a link-local source, which it does not have, keeps the caller's identity.
  const id = info !== NONE ? ipcacheSecIdentity(ipcache, info) : src_id;
  host_policy_src_id = id;
  cilium_dbg(ctx, info !== NONE ? DBG_IP_ID_MAP_SUCCEED6 : DBG_IP_ID_MAP_FAILED6, addr6[3], id);
  let verdict = CTX_ACT_OK;
  if (status !== CT_REPLY && status !== CT_RELATED) {
    let auth_type = 0;
    // The look-up has left the fragment's kind in the buffer; IPv4 reads it from the header again.
    const untracked = !ctx.def.ENABLE_IPV6_FRAGMENTS && (buf.fraginfo & IPFRAG_FRAGMENT) !== 0;
    res.reset();
    verdict = policy_can_ingress(
      ctx,
      id,
      HOST_ID,
      ETH_P_IPV6,
      tuple.dport,
      tuple.nexthdr,
      buf.l4_off,
      untracked,
      res,
    );
    if (verdict === DROP_POLICY_AUTH_REQUIRED) {
      auth_type = ctx.ext_err;
      const node = info === NONE ? 0 : ipcacheTunnelEndpoint4(ipcache, info);
      verdict = auth_lookup(ctx, HOST_ID, id, node, auth_type);
    }
    if (status === CT_NEW && verdict === CTX_ACT_OK) {
      state_new.clear();
      state_new.src_sec_id = id;
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
    if (verdict !== CTX_ACT_OK || status !== CT_ESTABLISHED) {
      send_policy_verdict_notify(
        ctx,
        id,
        tuple.dport,
        tuple.nexthdr,
        POLICY_INGRESS,
        1,
        verdict,
        res,
        auth_type,
      );
    }
  }
  // Also for replies, which have skipped policy.
  ctx.helpers.skb_change_type(ctx.skb, PACKET_HOST);
  return verdict;
}

/** ipv6_host_policy_ingress(): look-up and policy in one; packets that are not for this host pass. */
export function ipv6_host_policy_ingress(ctx: Ctx, src_id: number, trace: TraceCtx): number {
  host_policy_src_id = src_id;
  if (!revalidate_data6(ctx)) return DROP_INVALID;
  const buf = ctx.ct_buffer6;
  if (!ipv6_host_policy_ingress_lookup(ctx, buf)) return CTX_ACT_OK;
  if (buf.ret < 0) return buf.ret;
  return __ipv6_host_policy_ingress(ctx, src_id, buf, trace);
}
