// Services, after bpf/lib/lb.h: from a packet to a service, from a service to a backend, and the translation of the
// packet in both directions.
//
//   lb4_extract_tuple -> lb4_fill_key -> lb4_lookup_service -> lb4_local ------> lb4_dnat_request
//                                                              |  CT (SERVICE) knows the flow: its backend
//                                                              |  else affinity, else random or Maglev
//                                                              `- no backend: DROP_NO_SERVICE
//   reply: lb4_rev_nat writes the service's address and port back
//
// Where C has pointers into maps (`svc`, `backend`), here are slot numbers of cilium_lb4_services_v2 and
// cilium_lb4_backends_v3. No program writes these maps, so a slot is good for the whole packet; NONE stands for NULL.

import type { BpfMap } from "../../maps/bpf_map.js";
import type { CtTuple4, CtTuple6 } from "../../maps/ct.js";
import { IPCACHE_F_REMOTE_CLUSTER, ipcacheFlags, ipcacheSecIdentity } from "../../maps/ipcache.js";
import { copyAddr6, putAddr6 } from "../../maps/layout.js";
import {
  affinityBackendId,
  affinityLastUsed,
  BE_STATE_ACTIVE,
  backend4Address,
  backend4Flags,
  backend4Port,
  backend6AddressWord,
  backend6Flags,
  backend6Port,
  LB_LOOKUP_SCOPE_EXT,
  LB_LOOKUP_SCOPE_INT,
  LB_SELECTION_MAGLEV,
  LB_SELECTION_RANDOM,
  type Lb4Key,
  type Lb6Key,
  revNat4Address,
  revNat4Port,
  revNat6AddressWord,
  revNat6Port,
  SVC_FLAG_AFFINITY,
  SVC_FLAG_EXT_LOCAL_SCOPE,
  SVC_FLAG_EXTERNAL_IP,
  SVC_FLAG_HOSTPORT,
  SVC_FLAG_INT_LOCAL_SCOPE,
  SVC_FLAG_L7_DELEGATE,
  SVC_FLAG_L7_LOADBALANCER,
  SVC_FLAG_LOADBALANCER,
  SVC_FLAG_LOCALREDIRECT,
  SVC_FLAG_NAT_46X64,
  SVC_FLAG_NODEPORT,
  SVC_FLAG_ROUTABLE,
  SVC_FLAG_SOURCE_RANGE,
  SVC_FLAG_SOURCE_RANGE_DENY,
  SVC_FLAG_TWO_SCOPES,
  setAffinityLastUsed,
  svcAffinityTimeout,
  svcAlgorithm,
  svcBackendId,
  svcCount,
  svcFlags,
  svcFlags2,
  svcRevNatIndex,
} from "../../maps/lb.js";
import { NONE } from "../../maps/spec.js";
import { Step } from "../../src/bpf/steps.js";
import { hash_from_tuple_v4, hash_from_tuple_v6 } from "../../src/net/jhash.js";
import { bswap16 } from "../../src/net/view.js";
import {
  CT_EGRESS,
  CT_ENTRY_SVC,
  CT_NEW,
  CT_REPLY,
  CT_SERVICE,
  CTX_ACT_OK,
  DBG_LB4_LOOKUP_BACKEND_FAIL,
  DBG_LB4_LOOKUP_BACKEND_SLOT,
  DBG_LB4_LOOKUP_BACKEND_SLOT_FAIL,
  DBG_LB4_LOOPBACK_SNAT,
  DBG_LB4_LOOPBACK_SNAT_REV,
  DBG_LB4_REVERSE_NAT,
  DBG_LB4_REVERSE_NAT_LOOKUP,
  DBG_LB6_LOOKUP_BACKEND_FAIL,
  DBG_LB6_LOOKUP_BACKEND_SLOT,
  DBG_LB6_LOOKUP_BACKEND_SLOT_FAIL,
  DBG_LB6_LOOPBACK_SNAT,
  DBG_LB6_LOOPBACK_SNAT_REV,
  DBG_LB6_REVERSE_NAT,
  DBG_LB6_REVERSE_NAT_LOOKUP,
  DROP_CSUM_L3,
  DROP_CSUM_L4,
  DROP_NO_SERVICE,
  DROP_UNKNOWN_CT,
  DROP_UNKNOWN_L4,
  DROP_UNSUPP_SERVICE_PROTO,
  ETH_HLEN,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  SCOPE_REVERSE,
} from "./common.js";
import {
  ct_create4,
  ct_create6,
  ct_lazy_lookup4,
  ct_lazy_lookup6,
  ct_update_svc_entry,
} from "./conntrack.js";
import {
  csum_diff4,
  csum_diff16,
  csum_l4_offset,
  csum_l4_replace,
  ipv4_csum_update_by_diff,
  l4_modify_port,
  TCP_DPORT_OFF,
  TCP_SPORT_OFF,
} from "./csum.js";
import {
  bpf_mono_now,
  bpf_sec_to_mono,
  type CtState,
  type Ctx,
  IS_BPF_LXC,
  load_be32,
  load_u8,
  store_be32,
} from "./ctx.js";
import { cilium_dbg_lb } from "./dbg.js";
import { lookup_ip4_remote_endpoint, lookup_ip6_remote_endpoint } from "./eps.js";
import { identity_is_remote_node } from "./identity.js";
import { ipv4_load_l4_ports } from "./ipv4.js";
import { ipv6_load_l4_ports } from "./ipv6.js";

/** dport and proto of the catch-all entry of an address. */
const LB_SVC_WILDCARD_DPORT = 0;
const LB_SVC_WILDCARD_PROTO = 0;

/** lb_is_svc_proto(): protocols that services can have. */
export function lb_is_svc_proto(ctx: Ctx, proto: number): boolean {
  return proto === IPPROTO_TCP || proto === IPPROTO_UDP || (proto === IPPROTO_SCTP && ctx.def.ENABLE_SCTP);
}

// --- service flags (the same layout in both families) ---------------------------------------------------------------
// `flags` and `flags2` are svcFlags() and svcFlags2() of an entry.

export function lb_svc_is_hostport(flags: number): boolean {
  return (flags & SVC_FLAG_HOSTPORT) !== 0;
}
export function lb_svc_is_nodeport(flags: number): boolean {
  return (flags & SVC_FLAG_NODEPORT) !== 0;
}
export function lb_svc_is_loadbalancer(flags: number): boolean {
  return (flags & SVC_FLAG_LOADBALANCER) !== 0;
}
export function lb_svc_is_external_ip(flags: number): boolean {
  return (flags & SVC_FLAG_EXTERNAL_IP) !== 0;
}
export function lb_svc_is_affinity(flags: number): boolean {
  return (flags & SVC_FLAG_AFFINITY) !== 0;
}
export function lb_svc_is_routable(flags: number): boolean {
  return (flags & SVC_FLAG_ROUTABLE) !== 0;
}
export function lb_svc_is_etp_local(flags: number): boolean {
  return (flags & SVC_FLAG_EXT_LOCAL_SCOPE) !== 0;
}
export function lb_svc_is_localredirect(flags2: number): boolean {
  return (flags2 & SVC_FLAG_LOCALREDIRECT) !== 0;
}
/** lb4_svc_is_l7_loadbalancer(): to be redirected to a proxy port; `port` is the first word of the frontend. */
export function lb_svc_is_l7_loadbalancer(ctx: Ctx, flags2: number, port: number): boolean {
  return ctx.def.ENABLE_L7_LB && (flags2 & SVC_FLAG_L7_LOADBALANCER) !== 0 && port !== 0;
}
/** lb4_svc_is_l7_punt_proxy(): the packet goes unchanged to a proxy on the backend's node. */
export function lb_svc_is_l7_punt_proxy(flags: number, flags2: number): boolean {
  return (flags & SVC_FLAG_HOSTPORT) === 0 && (flags2 & SVC_FLAG_L7_DELEGATE) !== 0;
}
/** lb4_to_lb6_service(): NAT46x64 is not modelled, such a service has no translation. */
export function lb_to_other_family(flags2: number): boolean {
  return (flags2 & SVC_FLAG_NAT_46X64) !== 0;
}

/**
 * handle_nonroutable_endpoints_v4/v6(): without enable_no_service_endpoints_routable a service that lacks a backend is
 * dropped only if it wants local ones; else the packet goes on as if there were no service.
 */
export function handle_nonroutable_endpoints(flags: number, flags2: number): number {
  const external = (flags & (SVC_FLAG_EXTERNAL_IP | SVC_FLAG_LOADBALANCER | SVC_FLAG_NODEPORT)) !== 0;
  const local = external
    ? (flags & SVC_FLAG_EXT_LOCAL_SCOPE) !== 0
    : (flags2 & SVC_FLAG_INT_LOCAL_SCOPE) !== 0;
  return local ? DROP_NO_SERVICE : CTX_ACT_OK;
}

/**
 * Selection algorithm of a service: bpf_lxc is compiled with random selection whatever the node's setting. Maglev
 * exists so that every node chooses the same backend for a client from outside; a pod's choice is nobody else's
 * business.
 */
function lb_algorithm(ctx: Ctx, annotated: number): number {
  const dflt = ctx.obj.kind === IS_BPF_LXC ? LB_SELECTION_RANDOM : ctx.def.LB_SELECTION;
  if (!ctx.def.LB_SELECTION_PER_SERVICE) return dflt;
  // An unknown annotation can only come from a newer agent: the default applies.
  return annotated === LB_SELECTION_RANDOM || annotated === LB_SELECTION_MAGLEV ? annotated : dflt;
}

// A u32 modulo a small count, without leaving int32 for values below 2^31.
function umod(v: number, n: number): number {
  return v >= 0 ? v % n : (v >>> 0) % n;
}

/** lb_l4_xlate(): destination port of a request to the backend's. */
function lb_l4_xlate(
  ctx: Ctx,
  nexthdr: number,
  l4_off: number,
  csum_off: number,
  dport: number,
  backend_port: number,
): number {
  if (backend_port === 0 || dport === backend_port) return CTX_ACT_OK;
  // A changed port would need a new CRC.
  if (nexthdr === IPPROTO_SCTP) return DROP_CSUM_L4;
  return l4_modify_port(ctx, l4_off, TCP_DPORT_OFF, csum_off, nexthdr, backend_port, dport);
}

/** reverse_map_l4_port(): source port of a reply to the service's. */
function reverse_map_l4_port(
  ctx: Ctx,
  nexthdr: number,
  old_port: number,
  port: number,
  l4_off: number,
  csum_off: number,
): number {
  switch (nexthdr) {
    case IPPROTO_TCP:
    case IPPROTO_UDP:
      if (port === 0 || port === old_port) return 0;
      return l4_modify_port(ctx, l4_off, TCP_SPORT_OFF, csum_off, nexthdr, port, old_port);
    case IPPROTO_SCTP:
      if (!ctx.def.ENABLE_SCTP) return DROP_UNKNOWN_L4;
      return port === 0 || port === old_port ? 0 : DROP_CSUM_L4;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
      return CTX_ACT_OK;
    default:
      return DROP_UNKNOWN_L4;
  }
}

// === IPv4 ===========================================================================================================

const idKey = new Int32Array(1);
const srcRangeKey4 = new Int32Array(3);
const affinityKey4 = new Int32Array(4);
const affinityVal = new Int32Array(4);
const matchKey = new Int32Array(2);

/** lb4_fill_key(). */
export function lb4_fill_key(key: Lb4Key, tuple: CtTuple4): void {
  // The CT tuple has the ports in reverse order.
  key.set(tuple.daddr, tuple.sport, tuple.nexthdr);
}

/**
 * lb4_extract_tuple(): 0, DROP_UNSUPP_SERVICE_PROTO for ICMP, DROP_UNKNOWN_L4 for what is none of a service's business,
 * or the drop reason of a broken packet.
 */
export function lb4_extract_tuple(
  ctx: Ctx,
  l3_off: number,
  fraginfo: number,
  l4_off: number,
  tuple: CtTuple4,
): number {
  // Loads like conntrack: sport becomes the destination port.
  const nexthdr = load_u8(ctx, l3_off + 9);
  const w = tuple.words;
  w[0] = load_be32(ctx, l3_off + 16);
  w[1] = load_be32(ctx, l3_off + 12);
  w[2] = 0;
  w[3] = nexthdr;
  switch (nexthdr) {
    case IPPROTO_TCP:
    case IPPROTO_UDP:
      break;
    case IPPROTO_SCTP:
      if (!ctx.def.ENABLE_SCTP) return DROP_UNKNOWN_L4;
      break;
    case IPPROTO_ICMP:
      return DROP_UNSUPP_SERVICE_PROTO;
    default:
      return DROP_UNKNOWN_L4;
  }
  const ret = ipv4_load_l4_ports(ctx, l3_off, fraginfo, l4_off, CT_EGRESS);
  tuple.ports = ctx.l4_ports;
  return ret;
}

function __lb4_lookup_service(ctx: Ctx, key: Lb4Key): number {
  const map = ctx.maps.cilium_lb4_services_v2;
  const slot = map.lookup(key.words);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot;
}

/** True for the catch-all entry of an address, after lb4_lookup_service() has found it. */
export function lb4_key_is_wildcard(key: Lb4Key): boolean {
  return key.dport === LB_SVC_WILDCARD_DPORT && key.proto === LB_SVC_WILDCARD_PROTO;
}

/**
 * lb4_lookup_service(): the frontend of `key`, or NONE. A frontend is the entry with slot 0; slots 1 to count are its
 * backends. From outside (`east_west` false) a miss falls back to the address's catch-all entry, which leaves its
 * dport and proto in `key`: an address of a service is not the host's, and ports without a service are dropped there.
 * From a pod the internal scope applies where the service has two (externalTrafficPolicy: Local, whose internal scope
 * has all backends).
 */
export function lb4_lookup_service(ctx: Ctx, key: Lb4Key, east_west: boolean): number {
  key.backend_slot = 0;
  key.scope = LB_LOOKUP_SCOPE_EXT;
  let svc = __lb4_lookup_service(ctx, key);
  if (svc === NONE) {
    if (east_west) return NONE;
    const ports = key.words[1]!;
    const proto = key.words[2]!;
    key.words[1] = LB_SVC_WILDCARD_DPORT;
    key.words[2] = LB_SVC_WILDCARD_PROTO;
    svc = __lb4_lookup_service(ctx, key);
    if (svc === NONE) {
      key.words[1] = ports;
      key.words[2] = proto;
    }
    return svc;
  }
  if (!east_west || (svcFlags2(ctx.maps.cilium_lb4_services_v2, svc) & SVC_FLAG_TWO_SCOPES) === 0) return svc;
  key.scope = LB_LOOKUP_SCOPE_INT;
  return __lb4_lookup_service(ctx, key);
}

/**
 * lb4_lookup_wildcard_nodeport_service(): a node port at the address of another node of this cluster, which the agent
 * writes once with address 0.
 */
export function lb4_lookup_wildcard_nodeport_service(ctx: Ctx, key: Lb4Key): number {
  if (!ctx.def.ENABLE_NODEPORT) return NONE;
  const port = bswap16(key.dport);
  if (port < ctx.def.NODEPORT_PORT_MIN || port > ctx.def.NODEPORT_PORT_MAX) return NONE;
  const info = lookup_ip4_remote_endpoint(ctx, key.address, 0);
  if (info === NONE) return NONE;
  const ipcache = ctx.maps.cilium_ipcache_v2;
  if (!identity_is_remote_node(ctx, ipcacheSecIdentity(ipcache, info))) return NONE;
  if ((ipcacheFlags(ipcache, info) & IPCACHE_F_REMOTE_CLUSTER) !== 0) return NONE;
  key.address = 0;
  return lb4_lookup_service(ctx, key, true);
}

/** __lb4_lookup_backend(). */
export function __lb4_lookup_backend(ctx: Ctx, backend_id: number): number {
  const map = ctx.maps.cilium_lb4_backends_v3;
  idKey[0] = backend_id;
  const slot = map.lookup(idKey);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot;
}

/** lb4_lookup_backend(): with a debug message on a miss. */
export function lb4_lookup_backend(ctx: Ctx, backend_id: number): number {
  const backend = __lb4_lookup_backend(ctx, backend_id);
  if (backend === NONE) cilium_dbg_lb(ctx, DBG_LB4_LOOKUP_BACKEND_FAIL, backend_id, 0);
  return backend;
}

/** __lb4_lookup_backend_slot(): `key.backend_slot` is set. */
export function __lb4_lookup_backend_slot(ctx: Ctx, key: Lb4Key): number {
  return __lb4_lookup_service(ctx, key);
}

function lb4_lookup_backend_slot(ctx: Ctx, key: Lb4Key, slot: number): number {
  // Left in the key: whoever looks the frontend up with it again sets slot 0 first.
  key.backend_slot = slot;
  cilium_dbg_lb(ctx, DBG_LB4_LOOKUP_BACKEND_SLOT, slot, key.dport);
  const svc = __lb4_lookup_service(ctx, key);
  if (svc === NONE) cilium_dbg_lb(ctx, DBG_LB4_LOOKUP_BACKEND_SLOT_FAIL, slot, key.dport);
  return svc;
}

/**
 * lb4_select_backend_id(): 0 = none. Maglev takes the inner map of the service's table (one id for each of
 * LB_MAGLEV_LUT_SIZE places) at the hash of the flow; random takes one of the backend slots, and tells so in a debug
 * message.
 */
function lb4_select_backend_id(ctx: Ctx, key: Lb4Key, tuple: CtTuple4, svc: number): number {
  const map = ctx.maps.cilium_lb4_services_v2;
  if (lb_algorithm(ctx, svcAlgorithm(map, svc)) === LB_SELECTION_MAGLEV) {
    idKey[0] = svcRevNatIndex(map, svc);
    const lut = ctx.maps.cilium_lb4_maglev.lookup(idKey);
    if (lut === null) return 0;
    // With affinity the client's port must not matter. The tuple's ports are in reverse order.
    const sport = lb_svc_is_affinity(svcFlags(map, svc)) ? 0 : tuple.dport;
    const seed = ctx.def.HASH_INIT4_SEED;
    const hash = hash_from_tuple_v4(tuple.saddr, sport, tuple.sport, tuple.nexthdr, seed);
    return lut.words[umod(hash, ctx.def.LB_MAGLEV_LUT_SIZE)]!;
  }
  // Slot 0 is the frontend.
  const slot = umod(ctx.helpers.get_prandom_u32(), svcCount(map, svc)) + 1;
  const be = lb4_lookup_backend_slot(ctx, key, slot);
  return be === NONE ? 0 : svcBackendId(map, be);
}

/** lb4_src_range_ok(): loadBalancerSourceRanges, as an allow or a deny list. */
export function lb4_src_range_ok(ctx: Ctx, svc: number, saddr: number): boolean {
  const services = ctx.maps.cilium_lb4_services_v2;
  if ((svcFlags(services, svc) & SVC_FLAG_SOURCE_RANGE) === 0) return true;
  // Prefix length of the LPM key: 32 bits of index and padding, 32 of the address.
  srcRangeKey4[0] = 64;
  srcRangeKey4[1] = svcRevNatIndex(services, svc);
  srcRangeKey4[2] = saddr;
  const map = ctx.maps.cilium_lb4_source_range;
  const slot = map.lookup(srcRangeKey4);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return (slot !== NONE) !== ((svcFlags2(services, svc) & SVC_FLAG_SOURCE_RANGE_DENY) !== 0);
}

/**
 * Is the backend that a client stuck to still one of the service, and has it been used lately? `map` is the affinity
 * map of either family, whose values are alike (last_used u64, backend id); `key` is filled. 0 = no, and then the
 * entry goes. Membership is asked in cilium_lb_affinity_match, which the agent keeps: a backend may exist and no
 * longer belong to this service.
 */
function affinity_backend_id(
  ctx: Ctx,
  map: BpfMap,
  key: Int32Array,
  rev_nat_id: number,
  timeout: number,
): number {
  const slot = map.lookup(key);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  if (slot === NONE) return 0;
  const now = bpf_mono_now(ctx);
  const backend_id = affinityBackendId(map, slot);
  // The upper bound is not part of the range: [last_used, last_used + timeout).
  if ((affinityLastUsed(map, slot) >>> 0) + bpf_sec_to_mono(ctx, timeout) <= now >>> 0) {
    map.remove(key);
    return 0;
  }
  matchKey[0] = backend_id;
  matchKey[1] = rev_nat_id;
  if (ctx.maps.cilium_lb_affinity_match.lookup(matchKey) === NONE) {
    map.remove(key);
    return 0;
  }
  setAffinityLastUsed(map, slot, now);
  return backend_id;
}

function update_affinity(ctx: Ctx, map: BpfMap, key: Int32Array, backend_id: number): void {
  affinityVal[0] = bpf_mono_now(ctx);
  affinityVal[2] = backend_id;
  map.update(key, affinityVal, 0);
}

/**
 * struct lb4_affinity_key: client (an address, or the cookie of a network namespace at the socket level),
 * rev_nat_index and the bit that tells the two kinds apart.
 */
function fill_affinity_key4(rev_nat_id: number, netns_cookie: boolean, lo: number, hi: number): void {
  affinityKey4[0] = lo;
  affinityKey4[1] = hi;
  affinityKey4[2] = rev_nat_id | (netns_cookie ? 0x10000 : 0);
  affinityKey4[3] = 0;
}

/** lb4_affinity_backend_id_by_addr(). */
export function lb4_affinity_backend_id_by_addr(ctx: Ctx, svc: number, client: number): number {
  const map = ctx.maps.cilium_lb4_services_v2;
  const rev = svcRevNatIndex(map, svc);
  fill_affinity_key4(rev, false, client, 0);
  return affinity_backend_id(
    ctx,
    ctx.maps.cilium_lb4_affinity,
    affinityKey4,
    rev,
    svcAffinityTimeout(map, svc),
  );
}

/** lb4_update_affinity_by_addr(). */
export function lb4_update_affinity_by_addr(ctx: Ctx, svc: number, client: number, backend_id: number): void {
  fill_affinity_key4(svcRevNatIndex(ctx.maps.cilium_lb4_services_v2, svc), false, client, 0);
  update_affinity(ctx, ctx.maps.cilium_lb4_affinity, affinityKey4, backend_id);
}

/** lb4_affinity_backend_id_by_netns(): the client is a network namespace, by the two words of its cookie. */
export function lb4_affinity_backend_id_by_netns(ctx: Ctx, svc: number, lo: number, hi: number): number {
  const map = ctx.maps.cilium_lb4_services_v2;
  const rev = svcRevNatIndex(map, svc);
  fill_affinity_key4(rev, true, lo, hi);
  return affinity_backend_id(
    ctx,
    ctx.maps.cilium_lb4_affinity,
    affinityKey4,
    rev,
    svcAffinityTimeout(map, svc),
  );
}

/** lb4_update_affinity_by_netns(). */
export function lb4_update_affinity_by_netns(
  ctx: Ctx,
  svc: number,
  lo: number,
  hi: number,
  backend_id: number,
): void {
  fill_affinity_key4(svcRevNatIndex(ctx.maps.cilium_lb4_services_v2, svc), true, lo, hi);
  update_affinity(ctx, ctx.maps.cilium_lb4_affinity, affinityKey4, backend_id);
}

/**
 * lb4_local(): chooses the backend of a packet that meets service `svc`, by its SERVICE conntrack entry if it has
 * one. The name is the original's; "local" is the node that runs the program. Returns the backend's slot (>= 0) or a
 * drop reason; `state` has rev_nat_index and backend_id, `tuple` its old flags.
 *
 * The look-up is REVERSE, so a known flow is CT_REPLY here, whichever way it goes; entries of another service under
 * the same key (an index that was given out again) do not match.
 */
export function lb4_local(
  ctx: Ctx,
  ct_map: BpfMap,
  fraginfo: number,
  l4_off: number,
  key: Lb4Key,
  tuple: CtTuple4,
  svc: number,
  state: CtState,
): number {
  const services = ctx.maps.cilium_lb4_services_v2;
  const flags = tuple.flags;
  const client = tuple.saddr;
  const rev_nat_index = svcRevNatIndex(services, svc);
  const affinity = lb_svc_is_affinity(svcFlags(services, svc));
  state.rev_nat_index = rev_nat_index;
  const ct = ct_lazy_lookup4(
    ctx,
    ct_map,
    tuple,
    fraginfo,
    l4_off,
    CT_SERVICE,
    SCOPE_REVERSE,
    CT_ENTRY_SVC,
    state,
  );
  let backend = NONE;
  let backend_id = 0;
  let ret = CTX_ACT_OK;
  switch (ct) {
    case CT_NEW:
      if (svcCount(services, svc) === 0) {
        ret = DROP_NO_SERVICE;
        break;
      }
      // A client with affinity goes where it went last.
      if (affinity) {
        backend_id = lb4_affinity_backend_id_by_addr(ctx, svc, client);
        if (backend_id !== 0) {
          backend = lb4_lookup_backend(ctx, backend_id);
          if (backend === NONE) backend_id = 0;
        }
      }
      if (backend_id === 0) {
        backend_id = lb4_select_backend_id(ctx, key, tuple, svc);
        backend = lb4_lookup_backend(ctx, backend_id);
        if (backend === NONE) {
          ret = DROP_NO_SERVICE;
          break;
        }
      }
      // The flow stays with this backend until its entry expires.
      state.backend_id = backend_id;
      // Fail closed: without an entry the next packet could go elsewhere.
      ret = ct_create4(ctx, ct_map, null, tuple, CT_SERVICE, state);
      break;
    case CT_REPLY:
      backend_id = state.backend_id;
      backend = lb4_lookup_backend(ctx, backend_id);
      if (backend === NONE || backend4Flags(ctx.maps.cilium_lb4_backends_v3, backend) !== BE_STATE_ACTIVE) {
        // Existing connections of a terminating backend may end, new ones go to an active one.
        if (backend !== NONE && !state.syn) break;
        if (svcCount(services, svc) === 0) {
          ret = DROP_NO_SERVICE;
          break;
        }
        backend_id = lb4_select_backend_id(ctx, key, tuple, svc);
        backend = lb4_lookup_backend(ctx, backend_id);
        if (backend === NONE) {
          ret = DROP_NO_SERVICE;
          break;
        }
        // The entry goes over to the new backend; the client's next packet finds that one.
        state.rev_nat_index = rev_nat_index;
        ct_update_svc_entry(ctx, ct_map, tuple.words, backend_id, rev_nat_index);
      }
      break;
    default:
      ret = ct < 0 ? ct : DROP_UNKNOWN_CT;
      break;
  }
  // The SERVICE flag is for this look-up only.
  tuple.flags = flags;
  if (ret < 0) return ret;
  if (affinity) lb4_update_affinity_by_addr(ctx, svc, client, backend_id);
  if (ctx.recorder !== null) {
    ctx.recorder.step(
      Step.SERVICE,
      ctx.skb,
      ctx.maps.cilium_lb4_backends_v3,
      backend_id,
      bswap16(rev_nat_index),
      0,
    );
  }
  return backend;
}

/**
 * lb4_dnat_request(): writes the backend's address and port into the packet and into `tuple`. In a loopback
 * connection (a pod that is its own backend) the source becomes the loopback service address (169.254.42.1 by
 * default) instead of `tuple` changing: the pod would take a packet from its own address for a martian, and its
 * answer would never leave it.
 *
 * Checksums follow by differences, the pseudo header's part with that of the port.
 */
export function lb4_dnat_request(
  ctx: Ctx,
  backend: number,
  l3_off: number,
  has_l4_header: boolean,
  l4_off: number,
  tuple: CtTuple4,
  loopback: boolean,
): number {
  const backends = ctx.maps.cilium_lb4_backends_v3;
  const new_daddr = backend4Address(backends, backend);
  const port = backend4Port(backends, backend);
  const saddr = tuple.saddr;
  const daddr = tuple.daddr;
  const dport = tuple.sport;
  const nexthdr = tuple.nexthdr;
  if (!loopback) tuple.daddr = new_daddr;
  if (port !== 0) tuple.sport = port;

  // lb4_xlate()
  store_be32(ctx, l3_off + 16, new_daddr);
  let sum = csum_diff4(daddr, new_daddr);
  if (loopback && ctx.config.service_loopback_ipv4 !== 0) {
    const new_saddr = ctx.config.service_loopback_ipv4;
    cilium_dbg_lb(ctx, DBG_LB4_LOOPBACK_SNAT, saddr, new_saddr);
    store_be32(ctx, l3_off + 12, new_saddr);
    sum += csum_diff4(saddr, new_saddr);
  }
  if (ipv4_csum_update_by_diff(ctx, l3_off, sum) < 0) return DROP_CSUM_L3;
  if (!has_l4_header) return CTX_ACT_OK;
  const csum_off = csum_l4_offset(nexthdr);
  if (csum_off !== 0 && csum_l4_replace(ctx, l4_off, csum_off, nexthdr, sum) < 0) return DROP_CSUM_L4;
  return lb_l4_xlate(ctx, nexthdr, l4_off, csum_off, dport, port);
}

/**
 * lb4_lookup_rev_nat_entry(): slot in cilium_lb4_reverse_nat, or NONE. The index is the service's number, kept in
 * network order in maps and printed swapped by debug messages.
 */
export function lb4_lookup_rev_nat_entry(ctx: Ctx, index: number): number {
  cilium_dbg_lb(ctx, DBG_LB4_REVERSE_NAT_LOOKUP, index, 0);
  const map = ctx.maps.cilium_lb4_reverse_nat;
  idKey[0] = index;
  const slot = map.lookup(idKey);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot;
}

/** __lb4_rev_nat(): the source of a reply becomes `address`, `port` (0 = the port stays). */
export function __lb4_rev_nat(
  ctx: Ctx,
  l3_off: number,
  l4_off: number,
  tuple: CtTuple4,
  address: number,
  port: number,
  loopback: boolean,
  has_l4_header: boolean,
): number {
  const old_sip = tuple.saddr;
  let sum = 0;
  cilium_dbg_lb(ctx, DBG_LB4_REVERSE_NAT, address, port);
  tuple.saddr = address;
  if (loopback) {
    // The pod answered itself: what is the source now was the source of the request, so it is the destination.
    const old_dip = tuple.daddr;
    cilium_dbg_lb(ctx, DBG_LB4_LOOPBACK_SNAT_REV, old_dip, old_sip);
    store_be32(ctx, l3_off + 16, old_sip);
    sum += csum_diff4(old_dip, old_sip);
    tuple.saddr = old_sip;
  }
  store_be32(ctx, l3_off + 12, address);
  sum += csum_diff4(old_sip, address);
  if (ipv4_csum_update_by_diff(ctx, l3_off, sum) < 0) return DROP_CSUM_L3;
  if (!has_l4_header) return 0;
  const nexthdr = tuple.nexthdr;
  const csum_off = csum_l4_offset(nexthdr);
  if (port !== 0) {
    // Replies only come here, so the packet's source port is in dport.
    const ret = reverse_map_l4_port(ctx, nexthdr, tuple.dport, port, l4_off, csum_off);
    if (ret < 0) return ret;
  }
  // The addresses' difference goes into the pseudo header's part, behind that of the port: two separate corrections.
  if (csum_off !== 0 && csum_l4_replace(ctx, l4_off, csum_off, nexthdr, sum) < 0) return DROP_CSUM_L4;
  return 0;
}

/**
 * lb4_rev_nat(): reverse translation by the address and port of the conntrack entry (DSR, nat_port not 0), else by
 * index. An unknown index leaves the packet as it is.
 */
export function lb4_rev_nat(
  ctx: Ctx,
  l3_off: number,
  l4_off: number,
  rev_nat_index: number,
  nat_addr: number,
  nat_port: number,
  loopback: boolean,
  tuple: CtTuple4,
  has_l4_header: boolean,
): number {
  if (nat_port !== 0) {
    return __lb4_rev_nat(ctx, l3_off, l4_off, tuple, nat_addr, nat_port, loopback, has_l4_header);
  }
  const nat = lb4_lookup_rev_nat_entry(ctx, rev_nat_index);
  if (nat === NONE) return 0;
  const map = ctx.maps.cilium_lb4_reverse_nat;
  return __lb4_rev_nat(
    ctx,
    l3_off,
    l4_off,
    tuple,
    revNat4Address(map, nat),
    revNat4Port(map, nat),
    loopback,
    has_l4_header,
  );
}

// === IPv6 ===========================================================================================================
// The same functions over addresses of four words; only what differs is commented.

// Keys of the maps below, in words. Source range: prefix length, index (and padding), address 4. Affinity: client 4 (an
// address, or a cookie in the first two), index with the cookie bit, padding.
const srcRangeKey6 = new Int32Array(6);
const affinityKey6 = new Int32Array(6);

/** lb6_fill_key(): address 0 to 3, port 4 (with the slot above it), protocol 5 (with the scope). */
export function lb6_fill_key(key: Lb6Key, tuple: CtTuple6): void {
  copyAddr6(key.words, 0, tuple.words, 0);
  key.words[4] = tuple.sport;
  key.words[5] = tuple.nexthdr;
}

/** lb6_extract_tuple(): `tuple.nexthdr` is filled by the caller, who has walked the extension headers. */
export function lb6_extract_tuple(
  ctx: Ctx,
  l3_off: number,
  fraginfo: number,
  l4_off: number,
  tuple: CtTuple6,
): number {
  const at = ctx.skb.data + l3_off;
  tuple.setDaddr(ctx.skb.view, at + 24);
  tuple.setSaddr(ctx.skb.view, at + 8);
  switch (tuple.nexthdr) {
    case IPPROTO_TCP:
    case IPPROTO_UDP:
      break;
    case IPPROTO_SCTP:
      if (!ctx.def.ENABLE_SCTP) return DROP_UNKNOWN_L4;
      break;
    case IPPROTO_ICMPV6:
      return DROP_UNSUPP_SERVICE_PROTO;
    default:
      return DROP_UNKNOWN_L4;
  }
  const ret = ipv6_load_l4_ports(ctx, l3_off, fraginfo, l4_off, CT_EGRESS);
  tuple.ports = ctx.l4_ports;
  return ret;
}

/** Slot of the entry with just this key; frontends and backend slots lie in the same map. */
function __lb6_lookup_service(ctx: Ctx, key: Lb6Key): number {
  const map = ctx.maps.cilium_lb6_services_v2;
  const slot = map.lookup(key.words);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot;
}

/** See lb4_key_is_wildcard(). */
export function lb6_key_is_wildcard(key: Lb6Key): boolean {
  return key.dport === LB_SVC_WILDCARD_DPORT && key.proto === LB_SVC_WILDCARD_PROTO;
}

/** See lb4_lookup_service(): word 4 of the key holds port and slot, word 5 protocol and scope. */
export function lb6_lookup_service(ctx: Ctx, key: Lb6Key, east_west: boolean): number {
  key.backend_slot = 0;
  key.scope = LB_LOOKUP_SCOPE_EXT;
  let svc = __lb6_lookup_service(ctx, key);
  if (svc === NONE) {
    if (east_west) return NONE;
    const ports = key.words[4]!;
    const proto = key.words[5]!;
    key.words[4] = LB_SVC_WILDCARD_DPORT;
    key.words[5] = LB_SVC_WILDCARD_PROTO;
    svc = __lb6_lookup_service(ctx, key);
    if (svc === NONE) {
      key.words[4] = ports;
      key.words[5] = proto;
    }
    return svc;
  }
  if (!east_west || (svcFlags2(ctx.maps.cilium_lb6_services_v2, svc) & SVC_FLAG_TWO_SCOPES) === 0) return svc;
  key.scope = LB_LOOKUP_SCOPE_INT;
  return __lb6_lookup_service(ctx, key);
}

/** See lb4_lookup_wildcard_nodeport_service(). */
export function lb6_lookup_wildcard_nodeport_service(ctx: Ctx, key: Lb6Key): number {
  if (!ctx.def.ENABLE_NODEPORT) return NONE;
  const port = bswap16(key.dport);
  if (port < ctx.def.NODEPORT_PORT_MIN || port > ctx.def.NODEPORT_PORT_MAX) return NONE;
  const info = lookup_ip6_remote_endpoint(ctx, key.words, 0);
  if (info === NONE) return NONE;
  const ipcache = ctx.maps.cilium_ipcache_v2;
  if (!identity_is_remote_node(ctx, ipcacheSecIdentity(ipcache, info))) return NONE;
  if ((ipcacheFlags(ipcache, info) & IPCACHE_F_REMOTE_CLUSTER) !== 0) return NONE;
  key.words.fill(0, 0, 4);
  return lb6_lookup_service(ctx, key, true);
}

/** __lb6_lookup_backend(): without the debug message, as the socket hooks use it. */
export function __lb6_lookup_backend(ctx: Ctx, backend_id: number): number {
  const map = ctx.maps.cilium_lb6_backends_v3;
  idKey[0] = backend_id;
  const slot = map.lookup(idKey);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot;
}

/** lb6_lookup_backend(): with a debug message on a miss. */
export function lb6_lookup_backend(ctx: Ctx, backend_id: number): number {
  const backend = __lb6_lookup_backend(ctx, backend_id);
  if (backend === NONE) cilium_dbg_lb(ctx, DBG_LB6_LOOKUP_BACKEND_FAIL, backend_id, 0);
  return backend;
}

/** __lb6_lookup_backend_slot(): `key.backend_slot` is set. */
export function __lb6_lookup_backend_slot(ctx: Ctx, key: Lb6Key): number {
  return __lb6_lookup_service(ctx, key);
}

function lb6_lookup_backend_slot(ctx: Ctx, key: Lb6Key, slot: number): number {
  key.backend_slot = slot;
  cilium_dbg_lb(ctx, DBG_LB6_LOOKUP_BACKEND_SLOT, slot, key.dport);
  const svc = __lb6_lookup_service(ctx, key);
  if (svc === NONE) cilium_dbg_lb(ctx, DBG_LB6_LOOKUP_BACKEND_SLOT_FAIL, slot, key.dport);
  return svc;
}

/** lb6_select_backend_id(): see lb4_select_backend_id(); the hash is over the four words of the source. */
function lb6_select_backend_id(ctx: Ctx, key: Lb6Key, tuple: CtTuple6, svc: number): number {
  const map = ctx.maps.cilium_lb6_services_v2;
  if (lb_algorithm(ctx, svcAlgorithm(map, svc)) === LB_SELECTION_MAGLEV) {
    idKey[0] = svcRevNatIndex(map, svc);
    const lut = ctx.maps.cilium_lb6_maglev.lookup(idKey);
    if (lut === null) return 0;
    const sport = lb_svc_is_affinity(svcFlags(map, svc)) ? 0 : tuple.dport;
    const w = tuple.words;
    const seed = ctx.def.HASH_INIT6_SEED;
    const hash = hash_from_tuple_v6(w[4]!, w[5]!, w[6]!, w[7]!, sport, tuple.sport, tuple.nexthdr, seed);
    return lut.words[umod(hash, ctx.def.LB_MAGLEV_LUT_SIZE)]!;
  }
  const slot = umod(ctx.helpers.get_prandom_u32(), svcCount(map, svc)) + 1;
  const be = lb6_lookup_backend_slot(ctx, key, slot);
  return be === NONE ? 0 : svcBackendId(map, be);
}

/** lb6_src_range_ok(): the client's address is four words of `saddr` from `at`. */
export function lb6_src_range_ok(ctx: Ctx, svc: number, saddr: Int32Array, at: number): boolean {
  const services = ctx.maps.cilium_lb6_services_v2;
  if ((svcFlags(services, svc) & SVC_FLAG_SOURCE_RANGE) === 0) return true;
  // 32 bits of index and padding, 128 of the address.
  srcRangeKey6[0] = 160;
  srcRangeKey6[1] = svcRevNatIndex(services, svc);
  copyAddr6(srcRangeKey6, 2, saddr, at);
  const map = ctx.maps.cilium_lb6_source_range;
  const slot = map.lookup(srcRangeKey6);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return (slot !== NONE) !== ((svcFlags2(services, svc) & SVC_FLAG_SOURCE_RANGE_DENY) !== 0);
}

/** lb6_affinity_backend_id_by_addr(). */
export function lb6_affinity_backend_id_by_addr(
  ctx: Ctx,
  svc: number,
  client: Int32Array,
  at: number,
): number {
  const map = ctx.maps.cilium_lb6_services_v2;
  const rev = svcRevNatIndex(map, svc);
  copyAddr6(affinityKey6, 0, client, at);
  affinityKey6[4] = rev;
  affinityKey6[5] = 0;
  return affinity_backend_id(
    ctx,
    ctx.maps.cilium_lb6_affinity,
    affinityKey6,
    rev,
    svcAffinityTimeout(map, svc),
  );
}

/** lb6_update_affinity_by_addr(). */
export function lb6_update_affinity_by_addr(
  ctx: Ctx,
  svc: number,
  client: Int32Array,
  at: number,
  backend_id: number,
): void {
  copyAddr6(affinityKey6, 0, client, at);
  affinityKey6[4] = svcRevNatIndex(ctx.maps.cilium_lb6_services_v2, svc);
  affinityKey6[5] = 0;
  update_affinity(ctx, ctx.maps.cilium_lb6_affinity, affinityKey6, backend_id);
}

// The client is a network namespace; the bit keeps its cookie apart from an address with the same bytes.
function fill_affinity_key6(rev_nat_id: number, lo: number, hi: number): void {
  affinityKey6[0] = lo;
  affinityKey6[1] = hi;
  affinityKey6[2] = 0;
  affinityKey6[3] = 0;
  affinityKey6[4] = rev_nat_id | 0x10000;
  affinityKey6[5] = 0;
}

/** lb6_affinity_backend_id_by_netns(). */
export function lb6_affinity_backend_id_by_netns(ctx: Ctx, svc: number, lo: number, hi: number): number {
  const map = ctx.maps.cilium_lb6_services_v2;
  const rev = svcRevNatIndex(map, svc);
  fill_affinity_key6(rev, lo, hi);
  return affinity_backend_id(
    ctx,
    ctx.maps.cilium_lb6_affinity,
    affinityKey6,
    rev,
    svcAffinityTimeout(map, svc),
  );
}

/** lb6_update_affinity_by_netns(). */
export function lb6_update_affinity_by_netns(
  ctx: Ctx,
  svc: number,
  lo: number,
  hi: number,
  backend_id: number,
): void {
  fill_affinity_key6(svcRevNatIndex(ctx.maps.cilium_lb6_services_v2, svc), lo, hi);
  update_affinity(ctx, ctx.maps.cilium_lb6_affinity, affinityKey6, backend_id);
}

/**
 * See lb4_local(). The conntrack look-up leaves the client in the tuple's source address, so that affinity can take it
 * from there before and after. Drops: 158 without a backend, 155 if the SERVICE entry cannot be made.
 */
export function lb6_local(
  ctx: Ctx,
  ct_map: BpfMap,
  fraginfo: number,
  l4_off: number,
  key: Lb6Key,
  tuple: CtTuple6,
  svc: number,
  state: CtState,
): number {
  const services = ctx.maps.cilium_lb6_services_v2;
  const flags = tuple.flags;
  const rev_nat_index = svcRevNatIndex(services, svc);
  const affinity = lb_svc_is_affinity(svcFlags(services, svc));
  state.rev_nat_index = rev_nat_index;
  const ct = ct_lazy_lookup6(
    ctx,
    ct_map,
    tuple,
    fraginfo,
    l4_off,
    CT_SERVICE,
    SCOPE_REVERSE,
    CT_ENTRY_SVC,
    state,
  );
  let backend = NONE;
  let backend_id = 0;
  let ret = CTX_ACT_OK;
  switch (ct) {
    case CT_NEW:
      if (svcCount(services, svc) === 0) {
        ret = DROP_NO_SERVICE;
        break;
      }
      if (affinity) {
        backend_id = lb6_affinity_backend_id_by_addr(ctx, svc, tuple.words, 4);
        if (backend_id !== 0) {
          backend = lb6_lookup_backend(ctx, backend_id);
          if (backend === NONE) backend_id = 0;
        }
      }
      if (backend_id === 0) {
        backend_id = lb6_select_backend_id(ctx, key, tuple, svc);
        backend = lb6_lookup_backend(ctx, backend_id);
        if (backend === NONE) {
          ret = DROP_NO_SERVICE;
          break;
        }
      }
      state.backend_id = backend_id;
      ret = ct_create6(ctx, ct_map, null, tuple, CT_SERVICE, state);
      break;
    case CT_REPLY:
      backend_id = state.backend_id;
      backend = lb6_lookup_backend(ctx, backend_id);
      if (backend === NONE || backend6Flags(ctx.maps.cilium_lb6_backends_v3, backend) !== BE_STATE_ACTIVE) {
        if (backend !== NONE && !state.syn) break;
        if (svcCount(services, svc) === 0) {
          ret = DROP_NO_SERVICE;
          break;
        }
        backend_id = lb6_select_backend_id(ctx, key, tuple, svc);
        backend = lb6_lookup_backend(ctx, backend_id);
        if (backend === NONE) {
          ret = DROP_NO_SERVICE;
          break;
        }
        state.rev_nat_index = rev_nat_index;
        ct_update_svc_entry(ctx, ct_map, tuple.words, backend_id, rev_nat_index);
      }
      break;
    default:
      ret = ct < 0 ? ct : DROP_UNKNOWN_CT;
      break;
  }
  tuple.flags = flags;
  if (ret < 0) return ret;
  if (affinity) lb6_update_affinity_by_addr(ctx, svc, tuple.words, 4, backend_id);
  if (ctx.recorder !== null) {
    ctx.recorder.step(
      Step.SERVICE,
      ctx.skb,
      ctx.maps.cilium_lb6_backends_v3,
      backend_id,
      bswap16(rev_nat_index),
      0,
    );
  }
  return backend;
}

/**
 * See lb4_dnat_request(). There is no header checksum; the difference over two addresses of 16 bytes goes into that of
 * TCP, UDP or ICMPv6. The loopback address is a configured one; if it is unspecified the source stays.
 */
export function lb6_dnat_request(
  ctx: Ctx,
  backend: number,
  l3_off: number,
  has_l4_header: boolean,
  l4_off: number,
  tuple: CtTuple6,
  loopback: boolean,
): number {
  const backends = ctx.maps.cilium_lb6_backends_v3;
  const words = backends.words;
  const to = backend6AddressWord(backends, backend);
  const port = backend6Port(backends, backend);
  const dport = tuple.sport;
  const nexthdr = tuple.nexthdr;
  const at = ctx.skb.data + l3_off;

  // lb6_xlate()
  putAddr6(ctx.skb.view, at + 24, words, to);
  let sum = csum_diff16(tuple.words, 0, words, to);
  if (loopback) {
    const lo = ctx.config.service_loopback_ipv6;
    if ((lo[0]! | lo[1]! | lo[2]! | lo[3]!) !== 0) {
      cilium_dbg_lb(ctx, DBG_LB6_LOOPBACK_SNAT, tuple.saddrP4, lo[3]!);
      putAddr6(ctx.skb.view, at + 8, lo, 0);
      sum += csum_diff16(tuple.words, 4, lo, 0);
    }
  } else {
    copyAddr6(tuple.words, 0, words, to);
  }
  if (port !== 0) tuple.sport = port;
  if (!has_l4_header) return CTX_ACT_OK;
  const csum_off = csum_l4_offset(nexthdr);
  if (csum_off !== 0 && csum_l4_replace(ctx, l4_off, csum_off, nexthdr, sum) < 0) return DROP_CSUM_L4;
  return lb_l4_xlate(ctx, nexthdr, l4_off, csum_off, dport, port);
}

/** lb6_lookup_rev_nat_entry(): slot in cilium_lb6_reverse_nat, or NONE; the index in network order. */
export function lb6_lookup_rev_nat_entry(ctx: Ctx, index: number): number {
  cilium_dbg_lb(ctx, DBG_LB6_REVERSE_NAT_LOOKUP, index, 0);
  const map = ctx.maps.cilium_lb6_reverse_nat;
  idKey[0] = index;
  const slot = map.lookup(idKey);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot;
}

const oldSaddr6 = new Int32Array(4);

/** __lb6_rev_nat(): the new source is four words of `address` from `at`. */
export function __lb6_rev_nat(
  ctx: Ctx,
  l4_off: number,
  tuple: CtTuple6,
  address: Int32Array,
  at: number,
  port: number,
  loopback: boolean,
  has_l4_header: boolean,
): number {
  const w = tuple.words;
  const nexthdr = tuple.nexthdr;
  const csum_off = csum_l4_offset(nexthdr);
  const l3 = ctx.skb.data + ETH_HLEN;
  cilium_dbg_lb(ctx, DBG_LB6_REVERSE_NAT, address[at + 3]!, port);
  copyAddr6(oldSaddr6, 0, w, 4);
  copyAddr6(w, 4, address, at);
  if (loopback) {
    cilium_dbg_lb(ctx, DBG_LB6_LOOPBACK_SNAT_REV, tuple.daddrP4, oldSaddr6[3]!);
    putAddr6(ctx.skb.view, l3 + 24, oldSaddr6, 0);
    const diff = csum_diff16(w, 0, oldSaddr6, 0);
    copyAddr6(w, 0, oldSaddr6, 0);
    if (has_l4_header && csum_off !== 0 && csum_l4_replace(ctx, l4_off, csum_off, nexthdr, diff) < 0) {
      return DROP_CSUM_L4;
    }
  }
  putAddr6(ctx.skb.view, l3 + 8, address, at);
  if (!has_l4_header) return 0;
  if (port !== 0) {
    const ret = reverse_map_l4_port(ctx, nexthdr, tuple.dport, port, l4_off, csum_off);
    if (ret < 0) return ret;
  }
  const diff = csum_diff16(oldSaddr6, 0, w, 4);
  if (csum_off !== 0 && csum_l4_replace(ctx, l4_off, csum_off, nexthdr, diff) < 0) return DROP_CSUM_L4;
  return 0;
}

/** lb6_rev_nat(): see lb4_rev_nat(); `nat_addr` holds the four words of a DSR entry's service address. */
export function lb6_rev_nat(
  ctx: Ctx,
  l4_off: number,
  rev_nat_index: number,
  nat_addr: Int32Array,
  nat_port: number,
  loopback: boolean,
  tuple: CtTuple6,
  has_l4_header: boolean,
): number {
  if (nat_port !== 0)
    return __lb6_rev_nat(ctx, l4_off, tuple, nat_addr, 0, nat_port, loopback, has_l4_header);
  const nat = lb6_lookup_rev_nat_entry(ctx, rev_nat_index);
  if (nat === NONE) return 0;
  const map = ctx.maps.cilium_lb6_reverse_nat;
  const at = revNat6AddressWord(map, nat);
  return __lb6_rev_nat(ctx, l4_off, tuple, map.words, at, revNat6Port(map, nat), loopback, has_l4_header);
}
