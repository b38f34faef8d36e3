// Services at the socket, after bpf/bpf_sock.c: connect() and sendmsg() to a service go to a backend at once, so that no
// packet ever carries the service's address; recvmsg() and getpeername() show it to the application again.
//
//   cil_sock4_connect, _sendmsg          __sock4_xlate_fwd: service, backend, cilium_lb4_reverse_sk
//   cil_sock4_recvmsg, _getpeername      __sock4_xlate_rev
//   cil_sock4_post_bind                  no binding to a node port's address and port
//   cil_sock_release                     takes the socket's reverse entry away         (_6 likewise)
//
// IPv4 addresses in IPv6 sockets (::ffff:a.b.c.d) take the IPv4 way. Programs return SYS_PROCEED or SYS_REJECT, with the
// errno in `retval`.
// Differs from Cilium: no health checks (bind4/6), no MKE.

import type { BpfMap } from "../maps/bpf_map.js";
import { ipcacheSecIdentity } from "../maps/ipcache.js";
import { copyAddr6 } from "../maps/layout.js";
import {
  backend4Address,
  backend4Port,
  backend6AddressWord,
  backend6Port,
  Lb4Key,
  Lb6Key,
  SVC_FLAG_LOOPBACK,
  svcBackendId,
  svcCount,
  svcFlags,
  svcFlags2,
  svcRevNatIndex,
} from "../maps/lb.js";
import { NONE } from "../maps/spec.js";
import { EADDRINUSE, EHOSTUNREACH, ENOENT, ENOMEM, EPERM } from "../src/base/errno.js";
import { AF_INET } from "../src/bpf/helpers.js";
import { Step } from "../src/bpf/steps.js";
import { bswap16 } from "../src/net/view.js";
import {
  HOST_ID,
  IPPROTO_TCP,
  IPPROTO_UDP,
  METRIC_EGRESS,
  METRIC_INGRESS,
  REASON_LB_NO_BACKEND,
  REASON_LB_NO_BACKEND_SLOT,
  REASON_LB_REVNAT_DELETE,
  REASON_LB_REVNAT_STALE,
  REASON_LB_REVNAT_UPDATE,
} from "./lib/common.js";
import type { Ctx } from "./lib/ctx.js";
import {
  lookup_ip4_endpoint,
  lookup_ip4_remote_endpoint,
  lookup_ip6_endpoint,
  lookup_ip6_remote_endpoint,
} from "./lib/eps.js";
import { identity_is_remote_node } from "./lib/identity.js";
import {
  __lb4_lookup_backend,
  __lb4_lookup_backend_slot,
  __lb6_lookup_backend,
  __lb6_lookup_backend_slot,
  lb_svc_is_affinity,
  lb_svc_is_external_ip,
  lb_svc_is_hostport,
  lb_svc_is_l7_loadbalancer,
  lb_svc_is_l7_punt_proxy,
  lb_svc_is_loadbalancer,
  lb_svc_is_localredirect,
  lb_svc_is_nodeport,
  lb_to_other_family,
  lb4_affinity_backend_id_by_netns,
  lb4_lookup_service,
  lb4_update_affinity_by_netns,
  lb6_affinity_backend_id_by_netns,
  lb6_lookup_service,
  lb6_update_affinity_by_netns,
} from "./lib/lb.js";
import { lrp_v4_skip_xlate_from_ctx_to_svc, lrp_v6_skip_xlate_from_ctx_to_svc } from "./lib/lrp.js";
import { update_metrics } from "./lib/metrics.js";
import {
  IPPROTO_UDPLITE,
  type SockAddr,
  send_trace_sock_notify4,
  send_trace_sock_notify6,
  XLATE_POST_DIRECTION_FWD,
  XLATE_POST_DIRECTION_REV,
  XLATE_PRE_DIRECTION_FWD,
  XLATE_PRE_DIRECTION_REV,
} from "./lib/sock.js";
import { SOCK_METRIC } from "./lib/source_lines.js";

export { SockAddr } from "./lib/sock.js";

export const SYS_REJECT = 0;
export const SYS_PROCEED = 1;

// "No translation" results; none of them reaches the application.
const ENXIO = 6;
const ENOTSUP = 95;

/** 127.0.0.1 and the low byte of ::ffff:0:0/96's third word, as loaded. */
const LOCALHOST4 = 0x0100007f;
const V4_IN_V6 = 0xffff0000 | 0;

// Scratch of the functions below (stack variables in C).
const key4 = new Lb4Key();
const key6 = new Lb6Key();
// cilium_lb4/6_reverse_sk. Keys: socket cookie u64, backend address 4 or 16, port (Be16) and padding. Values: service
// address, port (Be16) in the low half of the last word, rev_nat_index above it.
const sk_key4 = new Int32Array(4);
const sk_val4 = new Int32Array(2);
const sk_key6 = new Int32Array(8);
const sk_val6 = new Int32Array(5);
const addr6 = new Int32Array(4);
const LOCALHOST6 = new Int32Array([0, 0, 0, 0x01000000]);

// Cookies are counters of the kernel, well below 2^53, so a number holds them; in maps they are two words.
function hi_word(v: number): number {
  return Math.floor(v / 0x1_0000_0000) | 0;
}

function map_lookup(ctx: Ctx, map: BpfMap, key: Int32Array): number {
  const slot = map.lookup(key);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot;
}

// The first byte on the wire is the low one of the word: 127/8. IPv6 has the one address ::1.
function is_v4_loopback(daddr: number): boolean {
  return (daddr & 0xff) === 127;
}

function is_v6_loopback(words: Int32Array): boolean {
  return words[0] === 0 && words[1] === 0 && words[2] === 0 && words[3] === LOCALHOST6[3];
}

// ::ffff:0:0/96, what an IPv6 socket has for an IPv4 peer.
function is_v4_in_v6(words: Int32Array): boolean {
  return words[0] === 0 && words[1] === 0 && words[2] === V4_IN_V6;
}

/**
 * ctx_in_hostns(): is it the host's network namespace? Told by its cookie, which the agent compiles in.
 */
function ctx_in_hostns(ctx: Ctx, sk: SockAddr): boolean {
  return sk.netns_cookie === ctx.def.HOST_NETNS_COOKIE;
}

// Asked for connect() only: sendmsg is UDP in any case. SCTP has no socket load balancing.
function sock_proto_enabled(ctx: Ctx, proto: number): boolean {
  switch (proto) {
    case IPPROTO_TCP:
      return ctx.def.ENABLE_SOCKET_LB_TCP;
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
      return ctx.def.ENABLE_SOCKET_LB_UDP;
    default:
      return false;
  }
}

/** Protocol in service keys. */
function service_proto(proto: number): number {
  return proto === IPPROTO_UDPLITE ? IPPROTO_UDP : proto;
}

/**
 * sock_select_slot() % count + 1: random for TCP, the socket's cookie for UDP, so that all datagrams of an
 * unconnected socket meet the same backend without anything being remembered. 1 to count: slot 0 is the frontend.
 */
function select_slot(ctx: Ctx, sk: SockAddr, count: number): number {
  if (sk.protocol === IPPROTO_TCP) return ((ctx.helpers.get_prandom_u32() >>> 0) % count) + 1;
  return (sk.socket_cookie % count) + 1;
}

/** Has the service neither backends nor a proxy? Then connect() fails at once, where a packet would be dropped. */
function is_empty(ctx: Ctx, services: BpfMap, svc: number): boolean {
  if (svcCount(services, svc) !== 0) return false;
  const port = svcBackendId(services, svc) & 0xffff;
  return !lb_svc_is_l7_loadbalancer(ctx, svcFlags2(services, svc), port);
}

// ClusterIPs are not among them: no device has such an address, so bind() fails by itself.
function rejects_bind(services: BpfMap, svc: number): boolean {
  const flags = svcFlags(services, svc);
  return lb_svc_is_nodeport(flags) || lb_svc_is_external_ip(flags) || lb_svc_is_loadbalancer(flags);
}

/**
 * The verdict for the result of a forward translation. Only what the application must hear rejects: EHOSTUNREACH (a
 * service without backends) and ENOMEM. All other errors mean "not translated", and connect() goes on with the
 * address it was given.
 */
function verdict(sk: SockAddr, err: number): number {
  if (err === -EHOSTUNREACH || err === -ENOMEM) {
    sk.retval = err;
    return SYS_REJECT;
  }
  return SYS_PROCEED;
}

// === IPv4 ===============================================================================================================

/**
 * sock4_wildcard_lookup(): a node's or the loopback address with a port in (`inv_match`: outside) the NodePort range.
 * Node ports and host ports lie in the map under address 0; which addresses are nodes', the ipcache knows.
 */
function sock4_wildcard_lookup(
  ctx: Ctx,
  key: Lb4Key,
  include_remote_hosts: boolean,
  inv_match: boolean,
  in_hostns: boolean,
): number {
  const def = ctx.def;
  const port = bswap16(key.dport);
  if ((port < def.NODEPORT_PORT_MIN || port > def.NODEPORT_PORT_MAX) !== inv_match) return NONE;
  // Loopback counts as the node's own address for the host's processes; a pod's 127.0.0.1 is the pod itself.
  if (!in_hostns || !is_v4_loopback(key.address)) {
    const info = lookup_ip4_remote_endpoint(ctx, key.address, 0);
    if (info === NONE) return NONE;
    const id = ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info);
    if (id !== HOST_ID && !(include_remote_hosts && identity_is_remote_node(ctx, id))) return NONE;
  }
  key.address = 0;
  return lb4_lookup_service(ctx, key, true);
}

// Node ports of any node, then host ports of this one. The first look-up may have zeroed the key's address, so the
// second begins with the saved one.
function sock4_wildcard_lookup_full(ctx: Ctx, key: Lb4Key, in_hostns: boolean): number {
  if (!ctx.def.ENABLE_NODEPORT) return NONE;
  const services = ctx.maps.cilium_lb4_services_v2;
  const address = key.address;
  let svc = sock4_wildcard_lookup(ctx, key, true, false, in_hostns);
  if (svc !== NONE && lb_svc_is_nodeport(svcFlags(services, svc))) return svc;
  // A host port that was opened on a loopback address answers on loopback addresses only.
  key.address = address;
  svc = sock4_wildcard_lookup(ctx, key, false, true, in_hostns);
  if (svc === NONE || !lb_svc_is_hostport(svcFlags(services, svc))) return NONE;
  const loopback_only = (svcFlags2(services, svc) & SVC_FLAG_LOOPBACK) !== 0;
  return !loopback_only || is_v4_loopback(address) ? svc : NONE;
}

/**
 * The service that an address and port stand for, or NONE: the exact frontend, from inside (two-scope services answer
 * with all backends), else a node port or host port. Leaves the frontend's key in key4.
 */
function lookup_service4(ctx: Ctx, sk: SockAddr, address: number, port: number): number {
  key4.set(address, port, service_proto(sk.protocol));
  const svc = lb4_lookup_service(ctx, key4, true);
  return svc !== NONE ? svc : sock4_wildcard_lookup_full(ctx, key4, ctx_in_hostns(ctx, sk));
}

/** sock4_skip_xlate(): addresses that are not the host's own are not hijacked by external IPs and host ports. */
function sock4_skip_xlate(ctx: Ctx, flags: number, flags2: number, address: number): boolean {
  if (lb_to_other_family(flags2)) return true;
  if (!lb_svc_is_external_ip(flags) && !(lb_svc_is_hostport(flags) && !is_v4_loopback(address))) return false;
  const info = lookup_ip4_remote_endpoint(ctx, address, 0);
  return info === NONE || ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info) !== HOST_ID;
}

/**
 * sock4_update_revnat(): remembers for this socket and backend which service was asked for: key {socket cookie,
 * backend address and port}, value {service address, port, rev_nat_index}. recvmsg and getpeername answer from it. 0
 * or negative.
 */
function sock4_update_revnat(
  ctx: Ctx,
  sk: SockAddr,
  backend_addr: number,
  backend_port: number,
  address: number,
  port: number,
  rev_nat_index: number,
): number {
  const map = ctx.maps.cilium_lb4_reverse_sk;
  sk_key4[0] = sk.socket_cookie | 0;
  sk_key4[1] = hi_word(sk.socket_cookie);
  sk_key4[2] = backend_addr;
  sk_key4[3] = backend_port;
  sk_val4[0] = address;
  sk_val4[1] = port | (rev_nat_index << 16);
  // Written only if it differs: sendmsg comes here for each datagram.
  const slot = map_lookup(ctx, map, sk_key4);
  if (slot !== NONE) {
    const at = slot * map.valueWords;
    if (map.words[at] === sk_val4[0] && map.words[at + 1] === sk_val4[1]) return 0;
  }
  return map.update(sk_key4, sk_val4, 0);
}

/**
 * __sock4_xlate_fwd(): 0 or a negative errno; `udp_only` for sendmsg. Changes sk.user_ip4 and sk.user_port, before
 * there is any packet: what leaves the socket is addressed to the backend, and neither conntrack nor the pod's
 * programs see the service.
 *
 * The trace events lie between: pre-forward when a service with backends was found, post-forward when a backend was.
 * A service without any is refused before the first.
 */
function __sock4_xlate_fwd(ctx: Ctx, sk: SockAddr, udp_only: boolean): number {
  const in_hostns = ctx_in_hostns(ctx, sk);
  const dst_ip = sk.user_ip4;
  const dst_port = sk.user_port;
  // With it pods are translated packet by packet on their device, as service mesh sidecars need it.
  if (ctx.def.ENABLE_SOCKET_LB_HOST_ONLY && !in_hostns) return -ENXIO;
  if (!udp_only && !sock_proto_enabled(ctx, sk.protocol)) return -ENOTSUP;
  const services = ctx.maps.cilium_lb4_services_v2;
  // The frontend, or a node's address with a node port or host port.
  const svc = lookup_service4(ctx, sk, dst_ip, dst_port);
  if (svc === NONE) return -ENXIO;
  if (is_empty(ctx, services, svc)) return -EHOSTUNREACH;
  send_trace_sock_notify4(ctx, sk, XLATE_PRE_DIRECTION_FWD, dst_ip, bswap16(dst_port));
  const flags = svcFlags(services, svc);
  const flags2 = svcFlags2(services, svc);
  // EPERM stays in here, too: the address is used as it is.
  if (sock4_skip_xlate(ctx, flags, flags2, dst_ip)) return -EPERM;

  const backends = ctx.maps.cilium_lb4_backends_v3;
  const proxy_port = svcBackendId(services, svc) & 0xffff;
  let backend_addr: number;
  let backend_port: number;
  if (lb_svc_is_l7_loadbalancer(ctx, flags2, proxy_port)) {
    // Pods' packets are redirected on their device; the host's never meet a program, so they go to the proxy here.
    if (!in_hostns) return 0;
    backend_addr = LOCALHOST4;
    backend_port = proxy_port;
  } else {
    const lo = sk.netns_cookie | 0;
    const hi = hi_word(sk.netns_cookie);
    const affinity = lb_svc_is_affinity(flags);
    let from_affinity = false;
    let backend_id = 0;
    let backend = NONE;
    // Clients are told apart by their network namespace: there is no source address yet.
    if (affinity) {
      backend_id = lb4_affinity_backend_id_by_netns(ctx, svc, lo, hi);
      if (backend_id !== 0) backend = __lb4_lookup_backend(ctx, backend_id);
      if (backend === NONE) backend_id = 0;
      else from_affinity = true;
    }
    if (backend_id === 0) {
      key4.backend_slot = select_slot(ctx, sk, svcCount(services, svc));
      // key4 is the frontend's as the look-up left it, of the wildcard entry and internal scope if those matched.
      const slot = __lb4_lookup_backend_slot(ctx, key4);
      if (slot === NONE) {
        update_metrics(ctx, 0, METRIC_EGRESS, REASON_LB_NO_BACKEND_SLOT, SOCK_METRIC);
        return -EHOSTUNREACH;
      }
      backend_id = svcBackendId(services, slot);
      backend = __lb4_lookup_backend(ctx, backend_id);
    }
    if (backend === NONE) {
      update_metrics(ctx, 0, METRIC_EGRESS, REASON_LB_NO_BACKEND, SOCK_METRIC);
      return -EHOSTUNREACH;
    }
    backend_addr = backend4Address(backends, backend);
    backend_port = backend4Port(backends, backend);
    if (
      // The backend of a local redirect asks for the real frontend: its own answer would be a loop.
      lb_svc_is_localredirect(flags2) &&
      lrp_v4_skip_xlate_from_ctx_to_svc(ctx, sk.netns_cookie, dst_ip, dst_port)
    )
      return -ENXIO;
    if (lb_svc_is_l7_punt_proxy(flags, flags2) && lookup_ip4_endpoint(ctx, backend_addr) !== NONE) return 0;
    // A known client's entry has been refreshed where it was read.
    if (affinity && !from_affinity) lb4_update_affinity_by_netns(ctx, svc, lo, hi, backend_id);
    send_trace_sock_notify4(ctx, sk, XLATE_POST_DIRECTION_FWD, backend_addr, bswap16(backend_port));
    if (ctx.recorder !== null)
      ctx.recorder.step(
        Step.SERVICE,
        ctx.skb,
        backends,
        backend_id,
        bswap16(svcRevNatIndex(services, svc)),
        0,
      );
  }
  // Written down before the address changes: without it getpeername could not answer.
  const rev = svcRevNatIndex(services, svc);
  if (sock4_update_revnat(ctx, sk, backend_addr, backend_port, dst_ip, dst_port, rev) < 0) {
    update_metrics(ctx, 0, METRIC_EGRESS, REASON_LB_REVNAT_UPDATE, SOCK_METRIC);
    return -ENOMEM;
  }
  sk.user_ip4 = backend_addr;
  sk.user_port = backend_port;
  return 0;
}

/**
 * __sock4_xlate_rev(): the other way round: the application is told the service's address as the sender or peer. 0,
 * or a negative errno that nobody hears.
 */
function __sock4_xlate_rev(ctx: Ctx, sk: SockAddr): number {
  const map = ctx.maps.cilium_lb4_reverse_sk;
  sk_key4[0] = sk.socket_cookie | 0;
  sk_key4[1] = hi_word(sk.socket_cookie);
  sk_key4[2] = sk.user_ip4;
  sk_key4[3] = sk.user_port;
  send_trace_sock_notify4(ctx, sk, XLATE_PRE_DIRECTION_REV, sk.user_ip4, bswap16(sk.user_port));
  const slot = map_lookup(ctx, map, sk_key4);
  if (slot === NONE) return -ENXIO;
  const at = slot * map.valueWords;
  const address = map.words[at];
  const port = map.words[at + 1] & 0xffff;
  const rev_nat_index = map.words[at + 1] >>> 16;
  const services = ctx.maps.cilium_lb4_services_v2;
  // The index tells a new service at the same address and port from the one that was asked.
  const svc = lookup_service4(ctx, sk, address, port);
  // The service has gone or is another one by now: better no translation than a wrong one.
  if (svc === NONE || svcRevNatIndex(services, svc) !== rev_nat_index || is_empty(ctx, services, svc)) {
    map.remove(sk_key4);
    update_metrics(ctx, 0, METRIC_INGRESS, REASON_LB_REVNAT_STALE, SOCK_METRIC);
    return -ENOENT;
  }
  sk.user_ip4 = address;
  sk.user_port = port;
  send_trace_sock_notify4(ctx, sk, XLATE_POST_DIRECTION_REV, address, bswap16(port));
  return 0;
}

/**
 * __sock4_post_bind(): refuses (EADDRINUSE) what would listen on a node port, external IP or load balancer address
 * from the host's namespace: packets to it would never arrive there. Pods may bind what they like.
 */
function __sock4_post_bind(ctx: Ctx, sk: SockAddr): number {
  if (!sock_proto_enabled(ctx, sk.protocol) || !ctx_in_hostns(ctx, sk)) return 0;
  key4.set(sk.user_ip4, sk.user_port, service_proto(sk.protocol));
  let svc = lb4_lookup_service(ctx, key4, true);
  // A node port at one of this node's addresses; 0.0.0.0 has matched the frontend itself above.
  if (svc === NONE) svc = sock4_wildcard_lookup(ctx, key4, false, false, true);
  return svc !== NONE && rejects_bind(ctx.maps.cilium_lb4_services_v2, svc) ? -EADDRINUSE : 0;
}

/** cgroup/connect4: TCP and connected UDP. SYS_REJECT makes connect() fail with `retval`. */
export function cil_sock4_connect(ctx: Ctx, sk: SockAddr): number {
  return verdict(sk, __sock4_xlate_fwd(ctx, sk, false));
}

/** cgroup/sendmsg4: unconnected UDP. */
export function cil_sock4_sendmsg(ctx: Ctx, sk: SockAddr): number {
  return verdict(sk, __sock4_xlate_fwd(ctx, sk, true));
}

/** cgroup/recvmsg4: the source of a datagram. Never rejects: an unknown source is simply not translated. */
export function cil_sock4_recvmsg(ctx: Ctx, sk: SockAddr): number {
  __sock4_xlate_rev(ctx, sk);
  return SYS_PROCEED;
}

/** cgroup/getpeername4: compiled in with ENABLE_SOCKET_LB_PEER; without it an application sees the backend. */
export function cil_sock4_getpeername(ctx: Ctx, sk: SockAddr): number {
  if (ctx.def.ENABLE_SOCKET_LB_PEER) __sock4_xlate_rev(ctx, sk);
  return SYS_PROCEED;
}

/** cgroup/post_bind4: user_ip4 and user_port are the bound ones. */
export function cil_sock4_post_bind(ctx: Ctx, sk: SockAddr): number {
  if (!ctx.def.ENABLE_NODEPORT) return SYS_PROCEED;
  sk.retval = __sock4_post_bind(ctx, sk);
  return sk.retval < 0 ? SYS_REJECT : SYS_PROCEED;
}

// === IPv6 ===============================================================================================================
// The same functions over addresses of four words; only what differs is commented.

/** sock6_wildcard_lookup(): see sock4_wildcard_lookup(). */
function sock6_wildcard_lookup(
  ctx: Ctx,
  key: Lb6Key,
  include_remote_hosts: boolean,
  inv_match: boolean,
  in_hostns: boolean,
): number {
  const def = ctx.def;
  const port = bswap16(key.dport);
  if ((port < def.NODEPORT_PORT_MIN || port > def.NODEPORT_PORT_MAX) !== inv_match) return NONE;
  copyAddr6(addr6, 0, key.words, 0);
  if (!in_hostns || !is_v6_loopback(addr6)) {
    const info = lookup_ip6_remote_endpoint(ctx, addr6, 0);
    if (info === NONE) return NONE;
    const id = ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info);
    if (id !== HOST_ID && !(include_remote_hosts && identity_is_remote_node(ctx, id))) return NONE;
  }
  key.words.fill(0, 0, 4);
  return lb6_lookup_service(ctx, key, true);
}

/** sock6_wildcard_lookup_full(): `address` is the one asked for, as the key's is used up by the first look-up. */
function sock6_wildcard_lookup_full(ctx: Ctx, key: Lb6Key, address: Int32Array, in_hostns: boolean): number {
  if (!ctx.def.ENABLE_NODEPORT) return NONE;
  const services = ctx.maps.cilium_lb6_services_v2;
  let svc = sock6_wildcard_lookup(ctx, key, true, false, in_hostns);
  if (svc !== NONE && lb_svc_is_nodeport(svcFlags(services, svc))) return svc;
  copyAddr6(key.words, 0, address, 0);
  svc = sock6_wildcard_lookup(ctx, key, false, true, in_hostns);
  if (svc === NONE || !lb_svc_is_hostport(svcFlags(services, svc))) return NONE;
  const loopback_only = (svcFlags2(services, svc) & SVC_FLAG_LOOPBACK) !== 0;
  return !loopback_only || is_v6_loopback(address) ? svc : NONE;
}

/** See lookup_service4(); leaves the frontend's key in key6. */
function lookup_service6(ctx: Ctx, sk: SockAddr, address: Int32Array, port: number): number {
  copyAddr6(key6.words, 0, address, 0);
  key6.words[4] = port;
  key6.words[5] = service_proto(sk.protocol);
  const svc = lb6_lookup_service(ctx, key6, true);
  return svc !== NONE ? svc : sock6_wildcard_lookup_full(ctx, key6, address, ctx_in_hostns(ctx, sk));
}

/** sock6_skip_xlate(). */
function sock6_skip_xlate(ctx: Ctx, flags: number, flags2: number, address: Int32Array): boolean {
  if (lb_to_other_family(flags2)) return true;
  if (!lb_svc_is_external_ip(flags) && !(lb_svc_is_hostport(flags) && !is_v6_loopback(address))) return false;
  const info = lookup_ip6_remote_endpoint(ctx, address, 0);
  return info === NONE || ipcacheSecIdentity(ctx.maps.cilium_ipcache_v2, info) !== HOST_ID;
}

function set_sk_key6(sk: SockAddr, words: Int32Array, at: number, port: number): void {
  sk_key6[0] = sk.socket_cookie | 0;
  sk_key6[1] = hi_word(sk.socket_cookie);
  copyAddr6(sk_key6, 2, words, at);
  sk_key6[6] = port;
  sk_key6[7] = 0;
}

/** sock6_update_revnat(): the key has been filled by set_sk_key6 with the backend, the value is the service. */
function sock6_update_revnat(ctx: Ctx, address: Int32Array, port: number, rev_nat_index: number): number {
  const map = ctx.maps.cilium_lb6_reverse_sk;
  copyAddr6(sk_val6, 0, address, 0);
  sk_val6[4] = port | (rev_nat_index << 16);
  const slot = map_lookup(ctx, map, sk_key6);
  if (slot !== NONE) {
    const at = slot * map.valueWords;
    let same = true;
    for (let i = 0; i < 5; i++) if (map.words[at + i] !== sk_val6[i]) same = false;
    if (same) return 0;
  }
  return map.update(sk_key6, sk_val6, 0);
}

const dst6 = new Int32Array(4);

/**
 * sock6_xlate_v4_in_v6(): an IPv4 address in an IPv6 socket is a case for the IPv4 maps; only the last word of the
 * address changes. Tried where IPv6 is off or has no such service.
 */
function sock6_xlate_v4_in_v6(ctx: Ctx, sk: SockAddr, udp_only: boolean): number {
  if (!ctx.def.ENABLE_IPV4 || !is_v4_in_v6(sk.user_ip6)) return -ENXIO;
  sk.user_ip4 = sk.user_ip6[3];
  const ret = __sock4_xlate_fwd(ctx, sk, udp_only);
  if (ret < 0) return ret;
  sk.user_ip6[3] = sk.user_ip4;
  return 0;
}

/**
 * __sock6_xlate_fwd(): see __sock4_xlate_fwd(). sk_key6 holds the backend from where it is chosen to the end, as key of
 * the reverse entry and as the socket's new address.
 */
function __sock6_xlate_fwd(ctx: Ctx, sk: SockAddr, udp_only: boolean): number {
  if (!ctx.def.ENABLE_IPV6) return sock6_xlate_v4_in_v6(ctx, sk, udp_only);
  const in_hostns = ctx_in_hostns(ctx, sk);
  const dst_port = sk.user_port;
  if (ctx.def.ENABLE_SOCKET_LB_HOST_ONLY && !in_hostns) return -ENXIO;
  if (!udp_only && !sock_proto_enabled(ctx, sk.protocol)) return -ENOTSUP;
  copyAddr6(dst6, 0, sk.user_ip6, 0);
  const services = ctx.maps.cilium_lb6_services_v2;
  const svc = lookup_service6(ctx, sk, dst6, dst_port);
  if (svc === NONE) return sock6_xlate_v4_in_v6(ctx, sk, udp_only);
  if (is_empty(ctx, services, svc)) return -EHOSTUNREACH;
  // Here C tells the key's address, which a wildcard look-up has zeroed.
  send_trace_sock_notify6(ctx, sk, XLATE_PRE_DIRECTION_FWD, key6.words, 0, bswap16(dst_port));
  const flags = svcFlags(services, svc);
  const flags2 = svcFlags2(services, svc);
  if (sock6_skip_xlate(ctx, flags, flags2, dst6)) return -EPERM;

  const backends = ctx.maps.cilium_lb6_backends_v3;
  const proxy_port = svcBackendId(services, svc) & 0xffff;
  if (lb_svc_is_l7_loadbalancer(ctx, flags2, proxy_port)) {
    if (!in_hostns) return 0;
    set_sk_key6(sk, LOCALHOST6, 0, proxy_port);
  } else {
    const lo = sk.netns_cookie | 0;
    const hi = hi_word(sk.netns_cookie);
    const affinity = lb_svc_is_affinity(flags);
    let from_affinity = false;
    let backend_id = 0;
    let backend = NONE;
    if (affinity) {
      backend_id = lb6_affinity_backend_id_by_netns(ctx, svc, lo, hi);
      if (backend_id !== 0) backend = __lb6_lookup_backend(ctx, backend_id);
      if (backend === NONE) backend_id = 0;
      else from_affinity = true;
    }
    if (backend_id === 0) {
      key6.backend_slot = select_slot(ctx, sk, svcCount(services, svc));
      const slot = __lb6_lookup_backend_slot(ctx, key6);
      if (slot === NONE) {
        update_metrics(ctx, 0, METRIC_EGRESS, REASON_LB_NO_BACKEND_SLOT, SOCK_METRIC);
        return -EHOSTUNREACH;
      }
      backend_id = svcBackendId(services, slot);
      backend = __lb6_lookup_backend(ctx, backend_id);
    }
    if (backend === NONE) {
      update_metrics(ctx, 0, METRIC_EGRESS, REASON_LB_NO_BACKEND, SOCK_METRIC);
      return -EHOSTUNREACH;
    }
    const at = backend6AddressWord(backends, backend);
    if (
      lb_svc_is_localredirect(flags2) &&
      lrp_v6_skip_xlate_from_ctx_to_svc(ctx, sk.netns_cookie, dst6, 0, dst_port)
    )
      return -ENXIO;
    if (lb_svc_is_l7_punt_proxy(flags, flags2) && lookup_ip6_endpoint(ctx, backends.words, at) !== NONE)
      return 0;
    if (affinity && !from_affinity) lb6_update_affinity_by_netns(ctx, svc, lo, hi, backend_id);
    const port = backend6Port(backends, backend);
    send_trace_sock_notify6(ctx, sk, XLATE_POST_DIRECTION_FWD, backends.words, at, bswap16(port));
    if (ctx.recorder !== null)
      ctx.recorder.step(
        Step.SERVICE,
        ctx.skb,
        backends,
        backend_id,
        bswap16(svcRevNatIndex(services, svc)),
        0,
      );
    set_sk_key6(sk, backends.words, at, port);
  }
  if (sock6_update_revnat(ctx, dst6, dst_port, svcRevNatIndex(services, svc)) < 0) {
    update_metrics(ctx, 0, METRIC_EGRESS, REASON_LB_REVNAT_UPDATE, SOCK_METRIC);
    return -ENOMEM;
  }
  copyAddr6(sk.user_ip6, 0, sk_key6, 2);
  sk.user_port = sk_key6[6];
  return 0;
}

/** __sock6_xlate_rev(): IPv6 by cilium_lb6_reverse_sk, and what is not in it perhaps as IPv4. */
function __sock6_xlate_rev(ctx: Ctx, sk: SockAddr): number {
  if (ctx.def.ENABLE_IPV6) {
    const map = ctx.maps.cilium_lb6_reverse_sk;
    set_sk_key6(sk, sk.user_ip6, 0, sk.user_port);
    send_trace_sock_notify6(ctx, sk, XLATE_PRE_DIRECTION_REV, sk.user_ip6, 0, bswap16(sk.user_port));
    const slot = map_lookup(ctx, map, sk_key6);
    if (slot !== NONE) {
      const at = slot * map.valueWords;
      copyAddr6(dst6, 0, map.words, at);
      const port = map.words[at + 4] & 0xffff;
      const rev_nat_index = map.words[at + 4] >>> 16;
      const services = ctx.maps.cilium_lb6_services_v2;
      const svc = lookup_service6(ctx, sk, dst6, port);
      if (svc === NONE || svcRevNatIndex(services, svc) !== rev_nat_index || is_empty(ctx, services, svc)) {
        map.remove(sk_key6);
        update_metrics(ctx, 0, METRIC_INGRESS, REASON_LB_REVNAT_STALE, SOCK_METRIC);
        return -ENOENT;
      }
      copyAddr6(sk.user_ip6, 0, dst6, 0);
      sk.user_port = port;
      send_trace_sock_notify6(ctx, sk, XLATE_POST_DIRECTION_REV, dst6, 0, bswap16(port));
      return 0;
    }
  }
  if (!ctx.def.ENABLE_IPV4 || !is_v4_in_v6(sk.user_ip6)) return -ENXIO;
  sk.user_ip4 = sk.user_ip6[3];
  const ret = __sock4_xlate_rev(ctx, sk);
  if (ret === 0) sk.user_ip6[3] = sk.user_ip4;
  return ret;
}

function __sock6_post_bind(ctx: Ctx, sk: SockAddr): number {
  if (!sock_proto_enabled(ctx, sk.protocol) || !ctx_in_hostns(ctx, sk)) return 0;
  copyAddr6(key6.words, 0, sk.user_ip6, 0);
  key6.words[4] = sk.user_port;
  key6.words[5] = service_proto(sk.protocol);
  let svc = lb6_lookup_service(ctx, key6, true);
  if (svc === NONE) svc = sock6_wildcard_lookup(ctx, key6, false, false, true);
  if (svc === NONE) {
    if (!ctx.def.ENABLE_IPV4 || !is_v4_in_v6(sk.user_ip6)) return 0;
    sk.user_ip4 = sk.user_ip6[3];
    return __sock4_post_bind(ctx, sk);
  }
  return rejects_bind(ctx.maps.cilium_lb6_services_v2, svc) ? -EADDRINUSE : 0;
}

/** cgroup/connect6. */
export function cil_sock6_connect(ctx: Ctx, sk: SockAddr): number {
  return verdict(sk, __sock6_xlate_fwd(ctx, sk, false));
}

/** cgroup/sendmsg6. */
export function cil_sock6_sendmsg(ctx: Ctx, sk: SockAddr): number {
  return verdict(sk, __sock6_xlate_fwd(ctx, sk, true));
}

/** cgroup/recvmsg6. */
export function cil_sock6_recvmsg(ctx: Ctx, sk: SockAddr): number {
  __sock6_xlate_rev(ctx, sk);
  return SYS_PROCEED;
}

/** cgroup/getpeername6. */
export function cil_sock6_getpeername(ctx: Ctx, sk: SockAddr): number {
  if (ctx.def.ENABLE_SOCKET_LB_PEER) __sock6_xlate_rev(ctx, sk);
  return SYS_PROCEED;
}

/** cgroup/post_bind6. */
export function cil_sock6_post_bind(ctx: Ctx, sk: SockAddr): number {
  if (!ctx.def.ENABLE_NODEPORT) return SYS_PROCEED;
  sk.retval = __sock6_post_bind(ctx, sk);
  return sk.retval < 0 ? SYS_REJECT : SYS_PROCEED;
}

/**
 * cgroup/sock_release: a socket goes; its address and port are those of its peer, the backend. The reverse entries are
 * in an LRU map, but one that is removed in time evicts nobody else's. Unconnected UDP sockets may leave some behind:
 * they have one for each backend, and no peer.
 */
export function cil_sock_release(ctx: Ctx, sk: SockAddr): number {
  let gone: boolean;
  if (sk.family === AF_INET) {
    sk_key4[0] = sk.socket_cookie | 0;
    sk_key4[1] = hi_word(sk.socket_cookie);
    sk_key4[2] = sk.user_ip4;
    sk_key4[3] = sk.user_port;
    gone = ctx.def.ENABLE_IPV4 && ctx.maps.cilium_lb4_reverse_sk.remove(sk_key4) === 0;
  } else {
    set_sk_key6(sk, sk.user_ip6, 0, sk.user_port);
    gone = ctx.def.ENABLE_IPV6 && ctx.maps.cilium_lb6_reverse_sk.remove(sk_key6) === 0;
  }
  if (gone) update_metrics(ctx, 0, METRIC_EGRESS, REASON_LB_REVNAT_DELETE, SOCK_METRIC);
  return SYS_PROCEED;
}
