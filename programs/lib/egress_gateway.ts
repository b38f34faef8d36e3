// Egress gateway, after bpf/lib/egress_gateway.h: traffic of chosen pods to chosen destinations outside the cluster
// leaves through a gateway node, with an address of that node.
//
//   pod's node     to-netdev     egress_gw_handle_request: tunnel to the gateway, unless it is this node
//   gateway node   from-overlay  egress_gw_fib_lookup_and_redirect towards the device that has the egress address
//                  to-netdev     SNAT to the egress address (nat.ts, with conntrack)
//   gateway node   reply         reverse SNAT, then egress_gw_reply_needs_redirect_hook: tunnel to the pod's node

import { CtTuple4, CtTuple6 } from "../../maps/ct.js";
import {
  EGRESS_GATEWAY_EXCLUDED_CIDR,
  EGRESS_GATEWAY_NO_GATEWAY,
  EgressGwKey4,
  EgressGwKey6,
  egressGw6EgressIpWord,
  egressGw6GatewayIp,
  egressGw6Ifindex,
  egressGwEgressIp,
  egressGwGatewayIp,
} from "../../maps/egress_gw.js";
import {
  IPCACHE_F_HAS_TUNNEL_EP,
  ipcacheFlags,
  ipcacheSecIdentity,
  ipcacheTunnelEndpoint4,
} from "../../maps/ipcache.js";
import { copyAddr6 } from "../../maps/layout.js";
import { lxcFlags, lxcSecId } from "../../maps/lxc.js";
import { NONE } from "../../maps/spec.js";
import { Step } from "../../src/bpf/steps.js";
import {
  CT_EGRESS,
  CTX_ACT_OK,
  CTX_ACT_REDIRECT,
  DROP_CT_UNKNOWN_PROTO,
  DROP_INVALID,
  DROP_NO_EGRESS_GATEWAY,
  DROP_NO_FIB,
  ENDPOINT_F_HOST,
  ETH_HLEN,
  ETH_P_IP,
  ETH_P_IPV6,
  HOST_ID,
} from "./common.js";
import { ct_extract_ports4, ct_extract_ports6, ct_is_reply4, ct_is_reply6 } from "./conntrack.js";
import { get_ct_map4, get_ct_map6 } from "./conntrack_map.js";
import {
  type Ctx,
  ctx_get_ifindex,
  ctx_redirect,
  IS_BPF_HOST,
  revalidate_data4,
  revalidate_data6,
  type TraceCtx,
} from "./ctx.js";
import { __encap_with_nodeid4, NOT_VTEP_DST } from "./encap.js";
import {
  lookup_ip4_endpoint,
  lookup_ip4_remote_endpoint,
  lookup_ip6_endpoint,
  lookup_ip6_remote_endpoint,
} from "./eps.js";
import {
  fib_do_redirect,
  fib_lookup_v4,
  fib_lookup_v6,
  fib_ok,
  fib_params,
  neigh_resolver_available,
} from "./fib.js";
import { identity_is_cluster } from "./identity.js";
import { ipfrag_encode_ipv4, ipv4_daddr, ipv4_hdrlen, ipv4_protocol, ipv4_saddr } from "./ipv4.js";
import { ipv6_hdrlen_with_fraginfo } from "./ipv6.js";

export { EGRESS_GATEWAY_NO_EGRESS_IP } from "../../maps/egress_gw.js";

/** What a NAT target takes from a policy; Ipv4NatTarget has these fields. */
interface EgressTarget4 {
  addr: number;
  ifindex: number;
}
interface EgressTarget6 {
  readonly addr: Int32Array;
  ifindex: number;
}

const key4 = new EgressGwKey4();
const key6 = new EgressGwKey6();
const tuple4 = new CtTuple4();
const tuple6 = new CtTuple6();

/** Where egress_gw_reply_needs_redirect_hook() wants the reply to go: address (Be32) and identity of the pod. */
export const egress_gw_reply = { tunnel_endpoint: 0, dst_sec_identity: 0 };

/**
 * lookup_ip4_egress_gw_policy(): slot in cilium_egress_gw_policy_v4, or NONE. An LPM key of source (always whole) and
 * destination prefix, so the most specific destination CIDR of that pod decides.
 */
export function lookup_ip4_egress_gw_policy(ctx: Ctx, saddr: number, daddr: number): number {
  const map = ctx.maps.cilium_egress_gw_policy_v4;
  const slot = map.lookup(key4.set(saddr, daddr).words);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot;
}

/** lookup_ip6_egress_gw_policy(): both addresses are four words of `words`, from `saddr` and `daddr`. */
export function lookup_ip6_egress_gw_policy(
  ctx: Ctx,
  words: Int32Array,
  saddr: number,
  daddr: number,
): number {
  const map = ctx.maps.cilium_egress_gw_policy_v6;
  const k = key6.words;
  k[0] = 256;
  copyAddr6(k, 1, words, saddr);
  copyAddr6(k, 5, words, daddr);
  const slot = map.lookup(k);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot;
}

/**
 * 0.0.0.0 (no gateway found) and 0.0.0.1 (an excluded CIDR) stand where a gateway's address would.
 */
function names_gateway(gateway_ip: number): boolean {
  return gateway_ip !== EGRESS_GATEWAY_NO_GATEWAY && gateway_ip !== EGRESS_GATEWAY_EXCLUDED_CIDR;
}

/**
 * egress_gw_snat_needed_hook(): does a policy masquerade this packet here? Sets the target's address and device. Traffic
 * that stays in the cluster is none of a policy's.
 */
export function egress_gw_snat_needed_hook(
  ctx: Ctx,
  saddr: number,
  daddr: number,
  target: EgressTarget4,
): boolean {
  const remote_ep = lookup_ip4_remote_endpoint(ctx, daddr, 0);
  if (
    remote_ep !== NONE &&
    identity_is_cluster(ctx, ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, remote_ep))
  ) {
    return false;
  }
  const policy = lookup_ip4_egress_gw_policy(ctx, saddr, daddr);
  if (policy === NONE) return false;
  const map = ctx.maps.cilium_egress_gw_policy_v4;
  if (!names_gateway(egressGwGatewayIp(map, policy))) return false;
  target.addr = egressGwEgressIp(map, policy);
  return true;
}

/** egress_gw_snat_needed_hook_v6(): see the IPv4 one; `tuple` holds the packet's addresses. */
export function egress_gw_snat_needed_hook_v6(ctx: Ctx, tuple: CtTuple6, target: EgressTarget6): boolean {
  const remote_ep = lookup_ip6_remote_endpoint(ctx, tuple.words, 0);
  if (
    remote_ep !== NONE &&
    identity_is_cluster(ctx, ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, remote_ep))
  ) {
    return false;
  }
  const policy = lookup_ip6_egress_gw_policy(ctx, tuple.words, 4, 0);
  if (policy === NONE) return false;
  const map = ctx.maps.cilium_egress_gw_policy_v6;
  if (!names_gateway(egressGw6GatewayIp(map, policy))) return false;
  copyAddr6(target.addr, 0, map.words, egressGw6EgressIpWord(map, policy));
  target.ifindex = egressGw6Ifindex(map, policy);
  // Only IPv6 policies carry a device; in IPv4 the target keeps what its caller set.
  return true;
}

/**
 * egress_gw_reply_needs_redirect_hook(): true for a reply (already translated back) to a pod of another node, which
 * goes into the tunnel at once: the stack could drop it or translate it again. Fills `egress_gw_reply`.
 */
export function egress_gw_reply_needs_redirect_hook(ctx: Ctx, ip4: number): boolean {
  const daddr = ipv4_daddr(ctx, ip4);
  const policy = lookup_ip4_egress_gw_policy(ctx, daddr, ipv4_saddr(ctx, ip4));
  if (policy === NONE) return false;
  if (!names_gateway(egressGwGatewayIp(ctx.maps.cilium_egress_gw_policy_v4, policy))) return false;
  return tunnel_of(ctx, lookup_ip4_remote_endpoint(ctx, daddr, 0));
}

/** egress_gw_reply_needs_redirect_hook_v6(): `tuple` holds the packet's addresses. */
export function egress_gw_reply_needs_redirect_hook_v6(ctx: Ctx, tuple: CtTuple6): boolean {
  const policy = lookup_ip6_egress_gw_policy(ctx, tuple.words, 0, 4);
  if (policy === NONE) return false;
  if (!names_gateway(egressGw6GatewayIp(ctx.maps.cilium_egress_gw_policy_v6, policy))) return false;
  return tunnel_of(ctx, lookup_ip6_remote_endpoint(ctx, tuple.words, 0));
}

// Fills egress_gw_reply from the pod's ipcache entry; without a tunnel endpoint the stack routes the reply.
function tunnel_of(ctx: Ctx, info: number): boolean {
  const map = ctx.maps.cilium_ipcache_v2;
  if (info === NONE || (ipcacheFlags(map, info) & IPCACHE_F_HAS_TUNNEL_EP) === 0) return false;
  egress_gw_reply.tunnel_endpoint = ipcacheTunnelEndpoint4(map, info);
  egress_gw_reply.dst_sec_identity = ipcacheSecIdentity(map, info);
  return true;
}

/** Gateway (Be32) and identities that egress_gw_handle_request() has found. */
const request = { gateway_ip: 0, src: 0, dst: 0 };

/**
 * egress_gw_request_needs_redirect(): CTX_ACT_REDIRECT with request.gateway_ip, CTX_ACT_OK, or a drop reason: a
 * policy without a gateway drops (194) rather than let the pod's traffic out by another address.
 */
function needs_redirect(gateway_ip: number): number {
  if (gateway_ip === EGRESS_GATEWAY_NO_GATEWAY) return DROP_NO_EGRESS_GATEWAY;
  if (gateway_ip === EGRESS_GATEWAY_EXCLUDED_CIDR) return CTX_ACT_OK;
  request.gateway_ip = gateway_ip;
  return CTX_ACT_REDIRECT;
}

function handle_request4(ctx: Ctx): number {
  if (!revalidate_data4(ctx)) return DROP_INVALID;
  const ip4 = ETH_HLEN;
  const t = tuple4;
  t.daddr = ipv4_daddr(ctx, ip4);
  t.saddr = ipv4_saddr(ctx, ip4);
  t.ports = 0;
  t.words[3] = ipv4_protocol(ctx, ip4);
  const fraginfo = ipfrag_encode_ipv4(ctx, ip4);
  const ret = ct_extract_ports4(ctx, ip4, fraginfo, ip4 + ipv4_hdrlen(ctx, ip4), CT_EGRESS, t);
  // Protocols without conntrack cannot be told from replies: they stay.
  if (ret < 0) return ret === DROP_CT_UNKNOWN_PROTO ? CTX_ACT_OK : ret;
  // Only connections that begin here.
  if (ct_is_reply4(ctx, get_ct_map4(ctx, t), t)) return CTX_ACT_OK;
  const src_ep = lookup_ip4_endpoint(ctx, t.saddr);
  if (src_ep !== NONE) request.src = lxcSecId(ctx.maps.cilium_lxc, src_ep);
  const info = lookup_ip4_remote_endpoint(ctx, t.daddr, 0);
  if (info !== NONE) request.dst = ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info);
  // Pods and nodes are not "egress", whatever CIDR they lie in.
  if (identity_is_cluster(ctx, request.dst)) return CTX_ACT_OK;
  const policy = lookup_ip4_egress_gw_policy(ctx, t.saddr, t.daddr);
  if (policy === NONE) return CTX_ACT_OK;
  return needs_redirect(egressGwGatewayIp(ctx.maps.cilium_egress_gw_policy_v4, policy));
}

// As handle_request4. The gateway's address is IPv4 also in IPv6 policies: it is a tunnel endpoint.
function handle_request6(ctx: Ctx): number {
  if (!revalidate_data6(ctx)) return DROP_INVALID;
  const ip6 = ETH_HLEN;
  const t = tuple6;
  t.setDaddr(ctx.skb.view, ctx.skb.data + ip6 + 24);
  t.setSaddr(ctx.skb.view, ctx.skb.data + ip6 + 8);
  t.ports = 0;
  const hdrlen = ipv6_hdrlen_with_fraginfo(ctx, ip6);
  if (hdrlen < 0) return hdrlen;
  t.words[9] = ctx.nexthdr;
  const ret = ct_extract_ports6(ctx, ip6, ctx.fraginfo, ip6 + hdrlen, CT_EGRESS, t);
  if (ret < 0) return ret === DROP_CT_UNKNOWN_PROTO ? CTX_ACT_OK : ret;
  if (ct_is_reply6(ctx, get_ct_map6(ctx, t), t)) return CTX_ACT_OK;
  const src_ep = lookup_ip6_endpoint(ctx, t.words, 4);
  if (src_ep !== NONE) request.src = lxcSecId(ctx.maps.cilium_lxc, src_ep);
  const info = lookup_ip6_remote_endpoint(ctx, t.words, 0);
  if (info !== NONE) request.dst = ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info);
  if (identity_is_cluster(ctx, request.dst)) return CTX_ACT_OK;
  const policy = lookup_ip6_egress_gw_policy(ctx, t.words, 4, 0);
  if (policy === NONE) return CTX_ACT_OK;
  return needs_redirect(egressGw6GatewayIp(ctx.maps.cilium_egress_gw_policy_v6, policy));
}

/**
 * egress_gw_handle_request(): in to-netdev of the pod's node. CTX_ACT_OK if no policy sends the packet away from here,
 * CTX_ACT_REDIRECT into the tunnel, or a drop reason.
 */
export function egress_gw_handle_request(
  ctx: Ctx,
  proto: number,
  src_sec_identity: number,
  dst_sec_identity: number,
  trace: TraceCtx,
): number {
  if (src_sec_identity === HOST_ID) return CTX_ACT_OK;
  request.src = src_sec_identity;
  request.dst = dst_sec_identity;
  let ret = CTX_ACT_OK;
  if (proto === ETH_P_IP) ret = handle_request4(ctx);
  else if (proto === ETH_P_IPV6 && ctx.def.ENABLE_IPV6) ret = handle_request6(ctx);
  if (ret !== CTX_ACT_REDIRECT) return ret;
  // The gateway is this node: masquerading does the rest.
  const gateway = lookup_ip4_endpoint(ctx, request.gateway_ip);
  if (gateway !== NONE && (lxcFlags(ctx.maps.cilium_lxc, gateway) & ENDPOINT_F_HOST) !== 0) return CTX_ACT_OK;
  ret = __encap_with_nodeid4(
    ctx,
    0,
    request.gateway_ip,
    request.src,
    request.dst,
    NOT_VTEP_DST,
    trace.reason,
    trace.monitor,
    proto,
  );
  return ret === CTX_ACT_REDIRECT ? ctx_redirect(ctx, ctx.def.ENCAP_IFINDEX, 0) : ret;
}

// CTX_ACT_OK where the packet stays on the device it is about to leave.
function redirect_by_fib(ctx: Ctx, ret: number): number {
  if (!fib_ok(ret)) {
    ctx.ext_err = ret;
    return DROP_NO_FIB;
  }
  const oif = fib_params.ifindex;
  if (ctx.obj.kind === IS_BPF_HOST && oif === ctx_get_ifindex(ctx)) return CTX_ACT_OK;
  return fib_do_redirect(ctx, true, false, ret, oif);
}

/** egress_gw_fib_lookup_and_redirect(): to the device that the route from the egress address uses. */
export function egress_gw_fib_lookup_and_redirect(
  ctx: Ctx,
  egress_ip: number,
  daddr: number,
  egress_ifindex: number,
): number {
  if (egress_ifindex !== 0 && neigh_resolver_available(ctx)) {
    return ctx.helpers.redirect_neigh(ctx.skb, egress_ifindex, null, 0);
  }
  return redirect_by_fib(ctx, fib_lookup_v4(ctx, egress_ip, daddr, 0));
}

/** egress_gw_fib_lookup_and_redirect_v6(): addresses are four words each. */
export function egress_gw_fib_lookup_and_redirect_v6(
  ctx: Ctx,
  egress_ip: Int32Array,
  daddr: Int32Array,
  egress_ifindex: number,
): number {
  if (egress_ifindex !== 0 && neigh_resolver_available(ctx)) {
    return ctx.helpers.redirect_neigh(ctx.skb, egress_ifindex, null, 0);
  }
  return redirect_by_fib(ctx, fib_lookup_v6(ctx, egress_ip, 0, daddr, 0, 0));
}
