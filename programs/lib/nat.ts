// Source NAT, after bpf/lib/nat.h: the decision whether a packet is masqueraded, the allocation of ports, the two
// entries of each mapping, and the translation of packets and of what ICMP errors quote.
//
//   request  snat_v4_needs_masquerade -> snat_v4_nat -> snat_v4_nat_handle_mapping -> snat_v4_rewrite_headers
//                                                       |  known: as it was (the reverse half is made good)
//                                                       `- new: snat_v4_new_mapping tries ports until the
//                                                          reverse entry can be inserted
//   reply    snat_v4_rev_nat -> snat_v4_rev_nat_handle_mapping -> snat_v4_rewrite_headers
//
// NAT tuples hold addresses and ports as the packet has them (sport = source port), unlike conntrack's.
//
// Where C returns a pointer to an entry, its address and port are left in module variables (`state4`, `state6`): an
// entry of an LRU map may be gone after the next insertion. Inter-cluster SNAT and NAT46x64 are not modelled.

import type { BpfMap } from "../../maps/bpf_map.js";
import { CtTuple4, CtTuple6 } from "../../maps/ct.js";
import { IPCACHE_F_SKIP_TUNNEL, ipcacheFlags, ipcacheSecIdentity } from "../../maps/ipcache.js";
import { copyAddr6, equalAddr6, putAddr6, setAddr6 } from "../../maps/layout.js";
import { lxcFlags } from "../../maps/lxc.js";
import {
  IpmasqKey4,
  NAT_TO_ADDR_W,
  NatEntry4,
  NatEntry6,
  nat4ToAddr,
  nat4ToPort,
  nat6ToAddrWord,
  nat6ToPort,
  natNeedsCt,
} from "../../maps/nat.js";
import { SIGNAL_NAT_FILL_UP, SIGNAL_PROTO_V4, SIGNAL_PROTO_V6 } from "../../maps/signals.js";
import { BPF_ANY, BPF_NOEXIST, NONE } from "../../maps/spec.js";
import { Step } from "../../src/bpf/steps.js";
import { bswap16 } from "../../src/net/view.js";
import {
  CT_EGRESS,
  CT_ENTRY_ANY,
  CT_INGRESS,
  CT_NEW,
  CTX_ACT_OK,
  DROP_CSUM_L3,
  DROP_CSUM_L4,
  DROP_CT_UNKNOWN_PROTO,
  DROP_FRAG_NOSUPPORT,
  DROP_INVALID,
  DROP_NAT_NO_MAPPING,
  DROP_NAT_NOT_NEEDED,
  DROP_NAT_UNSUPP_PROTO,
  DROP_NO_EGRESS_IP,
  DROP_UNKNOWN_ICMP4_CODE,
  DROP_UNKNOWN_ICMP6_CODE,
  DROP_UNKNOWN_L4,
  ENDPOINT_MASK_SKIP_MASQ_V4,
  ENDPOINT_MASK_SKIP_MASQ_V6,
  ETH_HLEN,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  SCOPE_FORWARD,
  SCOPE_REVERSE,
  TUPLE_F_IN,
  TUPLE_F_OUT,
} from "./common.js";
import {
  ct_create4,
  ct_create6,
  ct_extract_ports4,
  ct_extract_ports6,
  ct_is_reply4,
  ct_is_reply6,
  ct_lazy_lookup4,
  ct_lazy_lookup6,
} from "./conntrack.js";
import { get_ct_map4, get_ct_map6 } from "./conntrack_map.js";
import {
  csum_diff2,
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
  type Ctx,
  ctx_full_len,
  ctx_has,
  IS_BPF_HOST,
  load_be16,
  load_be32,
  load_u8,
  revalidate_data4,
  revalidate_data6,
  store_be32,
  type TraceCtx,
} from "./ctx.js";
import {
  EGRESS_GATEWAY_NO_EGRESS_IP,
  egress_gw_snat_needed_hook,
  egress_gw_snat_needed_hook_v6,
} from "./egress_gateway.js";
import {
  lookup_ip4_endpoint,
  lookup_ip4_remote_endpoint,
  lookup_ip6_endpoint,
  lookup_ip6_remote_endpoint,
} from "./eps.js";
import { identity_is_remote_node } from "./identity.js";
import {
  ipfrag_encode_ipv4,
  ipfrag_has_l4_header,
  ipfrag_is_fragment,
  ipv4_hdrlen,
  ipv4_load_l4_ports,
} from "./ipv4.js";
import { ipv6_hdrlen_with_fraginfo, ipv6_load_l4_ports } from "./ipv6.js";

/** enum nat_dir. */
export const NAT_DIR_EGRESS = TUPLE_F_OUT;
export const NAT_DIR_INGRESS = TUPLE_F_IN;
/** snat_v4_needs_masquerade() and the NAT functions: translate; leave the packet alone. */
export const NAT_NEEDED = CTX_ACT_OK;
export const NAT_PUNT_TO_STACK = DROP_NAT_NOT_NEEDED;

// Offsets of the addresses in their headers, of ICMP's checksum and echo identifier.
const IPV4_SADDR_OFF = 12;
const IPV4_DADDR_OFF = 16;
const IPV6_SADDR_OFF = 8;
const IPV6_DADDR_OFF = 24;
const ICMP_CSUM_OFF = 2;
const ICMP_ID_OFF = 4;
const ICMP_HLEN = 8;

// linux/icmp.h
const ICMP_ECHOREPLY = 0;
const ICMP_DEST_UNREACH = 3;
const ICMP_REDIRECT = 5;
const ICMP_ECHO = 8;
const ICMP_TIME_EXCEEDED = 11;
// Highest codes of "unreachable" and "time exceeded"; above them the message is none that NAT understands.
const NR_ICMP_UNREACH = 15;
const ICMP_EXC_FRAGTIME = 1;
// linux/icmpv6.h
const ICMPV6_DEST_UNREACH = 1;
const ICMPV6_PKT_TOOBIG = 2;
const ICMPV6_TIME_EXCEED = 3;
const ICMPV6_ECHO_REQUEST = 128;
const ICMPV6_ECHO_REPLY = 129;
const ICMP6_NS = 135;
const ICMP6_NA = 136;
const ICMPV6_REDIRECT = 137;
const ICMPV6_REJECT_ROUTE = 6;
const ICMPV6_EXC_FRAGTIME = 1;

// A target is made for one packet: ICMP echo widens its range to all 16 bits (identifiers). Addresses are Be32 (four
// words in IPv6); ports are in host order and both ends belong to the range.

/** struct ipv4_nat_target: to which address, within which ports, and whether conntrack follows. */
export class Ipv4NatTarget {
  addr = 0;
  min_port = 0;
  max_port = 0;
  /** The sender is a pod of this node, so that none of its source ports may be left alone. */
  from_local_endpoint = false;
  /** The address is that of an egress gateway policy. */
  egress_gateway = false;
  /** Nobody else tracks the flow: SNAT makes a conntrack entry beside the mapping. */
  needs_ct = false;
  /** Device that the egress gateway policy names; 0 = by the FIB. */
  ifindex = 0;

  set(addr: number, min_port: number, max_port: number): void {
    this.addr = addr;
    this.min_port = min_port;
    this.max_port = max_port;
    this.from_local_endpoint = false;
    this.egress_gateway = false;
    this.needs_ct = false;
    this.ifindex = 0;
  }
}

/** struct ipv6_nat_target. */
export class Ipv6NatTarget {
  readonly addr: Int32Array = new Int32Array(4);
  min_port = 0;
  max_port = 0;
  from_local_endpoint = false;
  egress_gateway = false;
  needs_ct = false;
  ifindex = 0;

  set(min_port: number, max_port: number): void {
    this.addr.fill(0);
    this.min_port = min_port;
    this.max_port = max_port;
    this.from_local_endpoint = false;
    this.egress_gateway = false;
    this.needs_ct = false;
    this.ifindex = 0;
  }
}

// --- ports ------------------------------------------------------------------------------------------------------------

/**
 * __snat_clamp_port_range(): a 16-bit value scaled into [start, end] by multiplication, without a division and
 * slightly biased. Host order.
 */
export function __snat_clamp_port_range(start: number, end: number, val: number): number {
  const n = end - start + 1;
  return (start + (Math.imul(val & 0xffff, n) >>> 16)) & 0xffff;
}

/** __snat_try_keep_port(): the port itself if it lies in the range, else a random one. Host order. */
function __snat_try_keep_port(ctx: Ctx, start: number, end: number, val: number): number {
  if (val >= start && val <= end) return val;
  return __snat_clamp_port_range(start, end, ctx.helpers.get_prandom_u32());
}

// The next candidate: the first collision draws once more, later ones put the successor through the formula again, so
// that consecutive candidates are neighbours only where the range is all 16 bits (ICMP identifiers).
function next_port(ctx: Ctx, min: number, max: number, retries: number, port: number): number {
  return __snat_clamp_port_range(min, max, retries !== 0 ? port + 1 : ctx.helpers.get_prandom_u32());
}

const histKey = new Int32Array(1);
const signal = new Int32Array(2);
const signalBytes = new Uint8Array(signal.buffer);

/**
 * Books the number of retries in a per-CPU histogram, and asks the agent for a run of garbage collection when ports
 * get scarce: 8 bytes (signal, protocol) into cilium_signals, a perf event array apart from that of the samples.
 */
function alloc_done(ctx: Ctx, v6: boolean, retries: number): void {
  const hist = v6 ? ctx.maps.cilium_snat_v6_alloc_retries : ctx.maps.cilium_snat_v4_alloc_retries;
  histKey[0] = retries;
  const slot = hist.lookup(histKey);
  if (slot !== NONE) hist.words[hist.cpuWord(slot)]!++;
  // SNAT_SIGNAL_THRES
  if (retries > ctx.def.SNAT_COLLISION_RETRIES >> 1) {
    signal[0] = SIGNAL_NAT_FILL_UP;
    signal[1] = v6 ? SIGNAL_PROTO_V6 : SIGNAL_PROTO_V4;
    ctx.maps.cilium_signals.output(ctx.skb.cpu, signalBytes, 8, ctx.skb.bytes, 0, 0);
  }
}

// The NAT maps are LRU: insertion does not fail for want of room but evicts, and the victim's other half stays behind.
// BPF_NOEXIST answers a negative errno where the key is taken.

function nat_lookup(ctx: Ctx, map: BpfMap, key: Int32Array): number {
  const slot = map.lookup(key);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot;
}

function nat_create(ctx: Ctx, map: BpfMap, key: Int32Array, value: Int32Array, flags: number): number {
  const err = map.update(key, value, flags);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_UPDATE, ctx.skb, map, err, 0, 0);
  return err;
}

function nat_delete(ctx: Ctx, map: BpfMap, key: Int32Array): number {
  const err = map.remove(key);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_UPDATE, ctx.skb, map, err, 1, 0);
  return err;
}

// === IPv4 ===============================================================================================================

/** Address and port of the entry that the last look-up or allocation found (Be32, Be16). */
// Good until the next look-up of this family.
const state4 = { addr: 0, port: 0 };
const rtuple4 = new CtTuple4();
const otuple4 = new CtTuple4();
const ct_tuple4 = new CtTuple4();
const inner4 = new CtTuple4();
const entry4 = new NatEntry4();
const ipmasq4 = new IpmasqKey4();
/** l4_csum_diff_from_inner of C when there is none. */
const NO_DIFF = -1;

/**
 * snat_v4_lookup(): slot in cilium_snat_v4_external, or NONE. Keys are tuples in packet order (not in conntrack's):
 * source before the translation with OUT, and for the reply its addresses as they arrive with IN.
 */
export function snat_v4_lookup(ctx: Ctx, tuple: CtTuple4): number {
  return nat_lookup(ctx, ctx.maps.cilium_snat_v4_external, tuple.words);
}

// set_v4_rtuple(): the tuple of replies to a mapping of `otuple` to (addr, port). Words of a tuple: daddr, saddr, ports
// (dport in the low half), protocol in byte 0 and flags in byte 1 of the last.
function set_v4_rtuple(otuple: CtTuple4, addr: number, port: number): void {
  const r = rtuple4.words;
  const o = otuple.words;
  r[0] = addr;
  r[1] = o[0]!;
  // dport = the mapped port, sport = the original destination port.
  r[2] = (port & 0xffff) | (o[2]! << 16);
  r[3] = (o[3]! & 0xff) | (TUPLE_F_IN << 8);
}

/**
 * snat_v4_new_mapping(): finds a free port and makes both entries; the result is in `state4`. Every mapping is two
 * entries:
 *
 *   OUT  source -> destination         the translated source address and port
 *   IN   destination -> translation    the original source address and port
 *
 * Up to SNAT_COLLISION_RETRIES ports are tried. DROP_NAT_NO_MAPPING when all are taken or the map refuses.
 */
function snat_v4_new_mapping(ctx: Ctx, map: BpfMap, otuple: CtTuple4, target: Ipv4NatTarget): number {
  const needs_ct = target.needs_ct ? 1 : 0;
  const tries = ctx.def.SNAT_COLLISION_RETRIES;
  const now = bpf_mono_now(ctx);
  entry4.set(now, needs_ct, otuple.saddr, otuple.sport);
  // The reverse entry decides: whoever can insert it owns the port. The forward one then cannot clash.
  let port = __snat_try_keep_port(ctx, target.min_port, target.max_port, bswap16(otuple.sport));
  let retries = 0;
  for (; retries < tries; retries++) {
    set_v4_rtuple(otuple, target.addr, bswap16(port));
    if (nat_create(ctx, map, rtuple4.words, entry4.words, BPF_NOEXIST) === 0) break;
    port = next_port(ctx, target.min_port, target.max_port, retries, port);
  }
  let ret = 0;
  // All candidates are taken: the packet is dropped, and a later one of the flow tries again.
  if (retries === tries) {
    ret = DROP_NAT_NO_MAPPING;
  } else {
    state4.addr = target.addr;
    state4.port = bswap16(port);
    entry4.set(now, needs_ct, state4.addr, state4.port);
    const err = nat_create(ctx, map, otuple.words, entry4.words, BPF_ANY);
    // Half a mapping would keep the port for nobody.
    if (err < 0) {
      nat_delete(ctx, map, rtuple4.words);
      ctx.ext_err = err;
      ret = DROP_NAT_NO_MAPPING;
    }
  }
  alloc_done(ctx, false, retries);
  return ret;
}

/**
 * snat_v4_nat_handle_mapping(): the mapping of an outgoing packet, into `state4`; 0 or a drop reason. Where conntrack
 * is wanted (needs_ct: the host's own connections, egress gateway), it is looked up first and its result goes into
 * `trace`, which makes to-network samples of such packets visible at aggregation medium.
 */
function snat_v4_nat_handle_mapping(
  ctx: Ctx,
  tuple: CtTuple4,
  fraginfo: number,
  off: number,
  target: Ipv4NatTarget,
  trace: TraceCtx,
): number {
  const map = ctx.maps.cilium_snat_v4_external;
  const slot = nat_lookup(ctx, map, tuple.words);
  let to_saddr = 0;
  let to_sport = 0;
  let had_ct = false;
  if (slot !== NONE) {
    to_saddr = nat4ToAddr(map, slot);
    to_sport = nat4ToPort(map, slot);
    had_ct = natNeedsCt(map, slot) !== 0;
  }
  if (target.needs_ct) {
    // Ports already stand as a forward look-up wants them.
    ct_tuple4.copyFrom(tuple);
    ct_tuple4.swapAddrs();
    const ct_map = get_ct_map4(ctx, ct_tuple4);
    const ret = ct_lazy_lookup4(
      ctx,
      ct_map,
      ct_tuple4,
      fraginfo,
      off,
      CT_EGRESS,
      SCOPE_FORWARD,
      CT_ENTRY_ANY,
      null,
    );
    if (ret < 0) return ret;
    trace.set(ret, ctx.monitor);
    // No related entry and no identity: only reports and garbage collection use it.
    if (ret === CT_NEW) {
      const err = ct_create4(ctx, ct_map, null, ct_tuple4, CT_EGRESS, null);
      if (err < 0) return err;
    }
  }
  if (slot !== NONE) {
    set_v4_rtuple(tuple, to_saddr, to_sport);
    // The usual case: the flow has its mapping.
    if (target.addr === to_saddr && target.needs_ct === had_ct) {
      state4.addr = to_saddr;
      state4.port = to_sport;
      // LRU may have evicted the other half.
      if (nat_lookup(ctx, map, rtuple4.words) === NONE) {
        entry4.set(bpf_mono_now(ctx), had_ct ? 1 : 0, tuple.saddr, tuple.sport);
        const err = nat_create(ctx, map, rtuple4.words, entry4.words, BPF_ANY);
        if (err < 0) {
          ctx.ext_err = err;
          return DROP_NAT_NO_MAPPING;
        }
      }
      return 0;
    }
    // The mapping is to an address that is no longer right: both halves are made anew.
    const err = nat_delete(ctx, map, tuple.words);
    if (err < 0) return err;
    if (nat_lookup(ctx, map, rtuple4.words) !== NONE) nat_delete(ctx, map, rtuple4.words);
  }
  return snat_v4_new_mapping(ctx, map, tuple, target);
}

/** snat_v4_rev_nat_handle_mapping(): the mapping of a reply, into `state4`; DROP_NAT_NO_MAPPING if there is none. */
function snat_v4_rev_nat_handle_mapping(
  ctx: Ctx,
  tuple: CtTuple4,
  fraginfo: number,
  off: number,
  trace: TraceCtx,
): number {
  const map = ctx.maps.cilium_snat_v4_external;
  const slot = nat_lookup(ctx, map, tuple.words);
  if (slot === NONE) return DROP_NAT_NO_MAPPING;
  // Where the reply goes really.
  const to_daddr = nat4ToAddr(map, slot);
  const to_dport = nat4ToPort(map, slot);
  const needs_ct = natNeedsCt(map, slot);

  // Both halves live and die on their own in an LRU map, so each half makes good the other.
  // The forward half: from where the reply goes to where it came from.
  const o = otuple4.words;
  const t = tuple.words;
  o[0] = t[1]!;
  o[1] = to_daddr;
  o[2] = (t[2]! >>> 16) | (to_dport << 16);
  o[3] = t[3]! & 0xff;
  if (nat_lookup(ctx, map, o) === NONE) {
    entry4.set(bpf_mono_now(ctx), needs_ct, tuple.daddr, tuple.dport);
    if (nat_create(ctx, map, o, entry4.words, BPF_ANY) < 0) return DROP_NAT_NO_MAPPING;
  }
  // The host's own connections are tracked for the reports that the monitor aggregates by.
  if (needs_ct !== 0) {
    ct_tuple4.copyFrom(tuple);
    ct_tuple4.daddr = to_daddr;
    ct_tuple4.dport = to_dport;
    ct_tuple4.swapPorts();
    const ct_map = get_ct_map4(ctx, ct_tuple4);
    const ret = ct_lazy_lookup4(
      ctx,
      ct_map,
      ct_tuple4,
      fraginfo,
      off,
      CT_INGRESS,
      SCOPE_REVERSE,
      CT_ENTRY_ANY,
      null,
    );
    if (ret < 0) return ret;
    trace.set(ret, ctx.monitor);
  }
  state4.addr = to_daddr;
  state4.port = to_dport;
  return 0;
}

/**
 * snat_v4_rewrite_headers(): exchanges one address and one port (or ICMP id) and corrects the checksums.
 * `inner_diff` is what a change inside an ICMP error adds to the error's own checksum, or NO_DIFF.
 */
function snat_v4_rewrite_headers(
  ctx: Ctx,
  nexthdr: number,
  l3_off: number,
  has_l4_header: boolean,
  l4_off: number,
  old_addr: number,
  new_addr: number,
  addr_off: number,
  old_port: number,
  new_port: number,
  port_off: number,
  inner_diff: number,
): number {
  // Host connections that keep address and port are only entered in the map.
  if (old_addr === new_addr && old_port === new_port && inner_diff === NO_DIFF) return 0;
  const sum = csum_diff4(old_addr, new_addr);
  store_be32(ctx, l3_off + addr_off, new_addr);
  if (ipv4_csum_update_by_diff(ctx, l3_off, sum) < 0) return DROP_CSUM_L3;
  // Later fragments have no ports, and the checksum is in the first.
  if (!has_l4_header) return 0;
  const csum_off = csum_l4_offset(nexthdr);
  if (old_port !== new_port) {
    let at = csum_off;
    switch (nexthdr) {
      case IPPROTO_TCP:
      case IPPROTO_UDP:
        break;
      case IPPROTO_SCTP:
        return ctx.def.ENABLE_SCTP ? DROP_CSUM_L4 : DROP_UNKNOWN_L4;
      case IPPROTO_ICMP:
        // The addresses are no part of ICMP's checksum, the identifier is.
        at = ICMP_CSUM_OFF;
        break;
      default:
        return DROP_UNKNOWN_L4;
    }
    const ret = l4_modify_port(ctx, l4_off, port_off, at, nexthdr, new_port, old_port);
    if (ret < 0) return ret;
  }
  if (csum_off !== 0) {
    if (csum_l4_replace(ctx, l4_off, csum_off, nexthdr, sum) < 0) return DROP_CSUM_L4;
  } else if (inner_diff !== NO_DIFF) {
    if (csum_l4_replace(ctx, l4_off, ICMP_CSUM_OFF, nexthdr, inner_diff) < 0) return DROP_CSUM_L4;
  }
  return 0;
}

/**
 * snat_v4_nat_can_skip(): traffic of the host itself from ports below the NAT range cannot collide with a mapping,
 * and needs none to keep its port.
 */
function snat_v4_nat_can_skip(ctx: Ctx, target: Ipv4NatTarget, tuple: CtTuple4): boolean {
  if (ctx.def.ENABLE_EGRESS_GATEWAY && ctx.obj.kind === IS_BPF_HOST && target.egress_gateway) return false;
  return !target.from_local_endpoint && bswap16(tuple.sport) < ctx.def.NODEPORT_PORT_MIN_NAT;
}

/**
 * snat_v4_create_dsr(): the NAT entry of a DSR flow, kept for programs older than the conntrack entry's own address and
 * port. `tuple` is the nodeport tuple of the request after a forward look-up.
 */
export function snat_v4_create_dsr(ctx: Ctx, tuple: CtTuple4, to_saddr: number, to_sport: number): number {
  // From conntrack's port order to the packet's: the two halves of the word change places.
  const o = otuple4.words;
  const t = tuple.words;
  o[0] = t[0]!;
  o[1] = t[1]!;
  o[2] = (t[2]! << 16) | (t[2]! >>> 16);
  o[3] = t[3]! & 0xff;
  entry4.set(bpf_mono_now(ctx), 0, to_saddr, to_sport);
  const err = nat_create(ctx, ctx.maps.cilium_snat_v4_external, o, entry4.words, BPF_ANY);
  if (err < 0) {
    ctx.ext_err = err;
    return DROP_NAT_NO_MAPPING;
  }
  return CTX_ACT_OK;
}

/** snat_v4_init_tuple(): protocol and addresses of the header at `ip4`. */
export function snat_v4_init_tuple(ctx: Ctx, ip4: number, dir: number, tuple: CtTuple4): void {
  // The ports come later: where they are depends on the protocol, and whether at all on the fragment.
  const w = tuple.words;
  w[0] = load_be32(ctx, ip4 + IPV4_DADDR_OFF);
  w[1] = load_be32(ctx, ip4 + IPV4_SADDR_OFF);
  w[2] = 0;
  w[3] = load_u8(ctx, ip4 + 9) | (dir << 8);
}

/**
 * snat_v4_needs_masquerade(): the decision list for a packet that leaves the node; the first that applies decides.
 * NAT_NEEDED (with target.addr and the flags set), NAT_PUNT_TO_STACK, or a drop reason.
 *
 *   not bpf_host, or masquerading off        no
 *   source is the masquerade address         yes, to itself: reserves the port
 *   local pod, and the packet is a reply     no
 *   egress gateway policy                    yes, to its egress address (none configured: drop 204)
 *   destination in the native routing CIDR   no
 *   pod whose endpoint says so               no
 *   destination in ip-masq-agent's list      no
 *   destination another node                 no, unless configured, or tunnel mode and the node is outside of it
 *   local pod                                yes
 *   everything else                          no: forwarded packets keep their source
 */
export function snat_v4_needs_masquerade(
  ctx: Ctx,
  tuple: CtTuple4,
  ip4: number,
  fraginfo: number,
  l4_off: number,
  target: Ipv4NatTarget,
): number {
  const def = ctx.def;
  if (!def.ENABLE_MASQUERADE_IPV4 || ctx.obj.kind !== IS_BPF_HOST) return NAT_PUNT_TO_STACK;

  // Host connections from the masquerade address share its ports: they reserve theirs, or get another.
  if (tuple.saddr === ctx.config.nat_ipv4_masquerade) {
    target.addr = ctx.config.nat_ipv4_masquerade;
    target.needs_ct = true;
    return NAT_NEEDED;
  }
  // Is the sender a pod of this node?
  const local_ep = lookup_ip4_endpoint(ctx, tuple.saddr);
  if (local_ep !== NONE) {
    target.from_local_endpoint = true;
    const err = ct_extract_ports4(ctx, ip4, fraginfo, l4_off, CT_EGRESS, tuple);
    if (err === 0) {
      // Who opened the connection from outside knows the pod by its own address.
      if (ct_is_reply4(ctx, get_ct_map4(ctx, tuple), tuple)) return NAT_PUNT_TO_STACK;
      // snat_v4_nat() extracts the ports in its own way.
      tuple.ports = 0;
      tuple.flags = NAT_DIR_EGRESS;
    } else if (err !== DROP_CT_UNKNOWN_PROTO) {
      return err;
    }
  }
  // Before the exclusion below: a policy may well cover destinations inside of it.
  if (def.ENABLE_EGRESS_GATEWAY && egress_gw_snat_needed_hook(ctx, tuple.saddr, tuple.daddr, target)) {
    if (target.addr === EGRESS_GATEWAY_NO_EGRESS_IP) return DROP_NO_EGRESS_IP;
    target.egress_gateway = true;
    // A local endpoint's connection is tracked already.
    if (local_ep === NONE) target.needs_ct = true;
    return NAT_NEEDED;
  }
  // The native routing CIDR: inside of it pod addresses are known.
  const len = def.IPV4_SNAT_EXCLUSION_DST_CIDR_LEN;
  if (len >= 0 && ipv4_is_in_subnet(tuple.daddr, def.IPV4_SNAT_EXCLUSION_DST_CIDR, len))
    return NAT_PUNT_TO_STACK;
  // Pods whose address the network outside knows (a flag of the endpoint).
  if (local_ep !== NONE && (lxcFlags(ctx.maps.cilium_lxc, local_ep) & ENDPOINT_MASK_SKIP_MASQ_V4) !== 0) {
    return NAT_PUNT_TO_STACK;
  }
  // ip-masq-agent: destinations that shall see pod addresses.
  if (def.ENABLE_IP_MASQ_AGENT_IPV4) {
    const map = ctx.maps.cilium_ipmasq_v4;
    const slot = map.lookup(ipmasq4.set(tuple.daddr).words);
    if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
    if (slot !== NONE) return NAT_PUNT_TO_STACK;
  }
  // Other nodes of the cluster.
  const remote_ep = lookup_ip4_remote_endpoint(ctx, tuple.daddr, 0);
  if (remote_ep !== NONE) {
    const ipcache = ctx.maps.cilium_ipcache_v2;
    if (identity_is_remote_node(ctx, ipcacheSecIdentity(ipcache, remote_ep))) {
      if (ctx.config.enable_remote_node_masquerade) {
        target.addr = ctx.config.nat_ipv4_masquerade;
        return NAT_NEEDED;
      }
      // Natively routed packets reach the node with the pod's address; in tunnel mode packets to a node do not go
      // through the tunnel and the network between may not know the pod.
      if (!def.TUNNEL_MODE) return NAT_PUNT_TO_STACK;
      if ((ipcacheFlags(ipcache, remote_ep) & IPCACHE_F_SKIP_TUNNEL) !== 0) return NAT_PUNT_TO_STACK;
    }
  }
  if (local_ep !== NONE) {
    target.addr = ctx.config.nat_ipv4_masquerade;
    return NAT_NEEDED;
  }
  return NAT_PUNT_TO_STACK;
}

// ipv4_is_in_subnet(): Be32 values, so the mask is made in network order.
function ipv4_is_in_subnet(addr: number, subnet: number, len: number): boolean {
  return ((addr ^ subnet) & be_mask(len)) === 0;
}

// Netmasks by prefix length, in wire order.
const MASKS = new Int32Array(33);
for (let len = 1; len <= 32; len++) {
  const host = len === 32 ? 0xffffffff : ~(0xffffffff >>> len);
  MASKS[len] =
    ((host & 0xff) << 24) | ((host & 0xff00) << 8) | ((host >>> 8) & 0xff00) | ((host >>> 24) & 0xff);
}
function be_mask(len: number): number {
  return MASKS[len]!;
}

/** snat_v4_nat_handle_icmp_error(): an error about a packet that came in through NAT; the entry is in `state4`. */
function snat_v4_nat_handle_icmp_error(ctx: Ctx, off: number): number {
  const inner_l3 = off + ICMP_HLEN;
  // The quoted header must be whole; without it nothing says whose error this is.
  if (!ctx_has(ctx, inner_l3 + 20)) return DROP_INVALID;
  const nexthdr = load_u8(ctx, inner_l3 + 9);
  const l4 = inner_l3 + ipv4_hdrlen(ctx, inner_l3);
  const w = inner4.words;
  // The quoted packet came in, so its ends are the other way round than those of the entry.
  w[0] = load_be32(ctx, inner_l3 + IPV4_SADDR_OFF);
  w[1] = load_be32(ctx, inner_l3 + IPV4_DADDR_OFF);
  w[2] = 0;
  w[3] = nexthdr;
  let port_off = TCP_DPORT_OFF;
  switch (nexthdr) {
    case IPPROTO_SCTP:
    case IPPROTO_TCP:
    case IPPROTO_UDP:
      if (nexthdr === IPPROTO_SCTP && !ctx.def.ENABLE_SCTP) return DROP_UNKNOWN_L4;
      if (!ctx_has(ctx, l4 + 4)) return DROP_INVALID;
      w[2] = load_be32(ctx, l4);
      break;
    case IPPROTO_ICMP: {
      if (!ctx_has(ctx, l4 + 1)) return DROP_INVALID;
      const type = load_u8(ctx, l4);
      // Errors about echo requests that came in: the host answers those itself.
      if (type === ICMP_ECHO) return NAT_PUNT_TO_STACK;
      if (type !== ICMP_ECHOREPLY) return DROP_UNKNOWN_ICMP4_CODE;
      port_off = ICMP_ID_OFF;
      if (!ctx_has(ctx, l4 + port_off + 2)) return DROP_INVALID;
      inner4.sport = load_be16(ctx, l4 + port_off);
      break;
    }
    default:
      return DROP_UNKNOWN_L4;
  }
  const map = ctx.maps.cilium_snat_v4_external;
  // Flags 0 (OUT): the entry of the direction in which the quoted packet's answer would go.
  const slot = nat_lookup(ctx, map, w);
  if (slot === NONE) return NAT_PUNT_TO_STACK;
  state4.addr = nat4ToAddr(map, slot);
  state4.port = nat4ToPort(map, slot);
  // Errors quote as few as eight bytes of the L4 header; TCP's checksum is the 17th and 18th.
  // From the packet's length, as the quoted length says what the original had.
  const has_csum = nexthdr !== IPPROTO_TCP || ctx_full_len(ctx) >= l4 + 18;
  const ret = snat_v4_rewrite_headers(
    ctx,
    nexthdr,
    inner_l3,
    true,
    l4,
    inner4.saddr,
    state4.addr,
    IPV4_DADDR_OFF,
    inner4.sport,
    state4.port,
    port_off,
    NO_DIFF,
  );
  // A quoted header that ends before its checksum cannot be corrected.
  return !has_csum && ret === DROP_CSUM_L4 ? 0 : ret;
}

/** __snat_v4_nat(): translation by mapping (`with_state` false), or by the entry that an ICMP error has found. */
export function __snat_v4_nat(
  ctx: Ctx,
  tuple: CtTuple4,
  with_state: boolean,
  fraginfo: number,
  l4_off: number,
  update_tuple: boolean,
  target: Ipv4NatTarget,
  port_off: number,
  trace: TraceCtx,
): number {
  // With an entry from an ICMP error old and new port are both 0, and the port is left alone.
  let to_sport = 0;
  if (!with_state) {
    const ret = snat_v4_nat_handle_mapping(ctx, tuple, fraginfo, l4_off, target, trace);
    if (ret < 0) return ret;
    to_sport = state4.port;
  }
  const ret = snat_v4_rewrite_headers(
    ctx,
    tuple.nexthdr,
    ETH_HLEN,
    ipfrag_has_l4_header(fraginfo),
    l4_off,
    tuple.saddr,
    state4.addr,
    IPV4_SADDR_OFF,
    tuple.sport,
    to_sport,
    port_off,
    NO_DIFF,
  );
  if (update_tuple) {
    tuple.saddr = state4.addr;
    tuple.sport = state4.port;
  }
  return ret;
}

/** snat_v4_nat(): translates the source of an outgoing packet; NAT_PUNT_TO_STACK where there is nothing to do. */
export function snat_v4_nat(
  ctx: Ctx,
  tuple: CtTuple4,
  ip4: number,
  fraginfo: number,
  off: number,
  target: Ipv4NatTarget,
  trace: TraceCtx,
): number {
  let port_off = 0;
  let with_state = false;
  switch (tuple.nexthdr) {
    case IPPROTO_SCTP:
    case IPPROTO_TCP:
    case IPPROTO_UDP: {
      if (tuple.nexthdr === IPPROTO_SCTP && !ctx.def.ENABLE_SCTP) return NAT_PUNT_TO_STACK;
      if (!ctx.def.ENABLE_IPV4_FRAGMENTS && ipfrag_is_fragment(fraginfo)) return DROP_FRAG_NOSUPPORT;
      const ret = ipv4_load_l4_ports(ctx, ip4, fraginfo, off, CT_EGRESS);
      if (ret < 0) return ret;
      tuple.ports = ctx.l4_ports;
      tuple.swapPorts();
      port_off = TCP_SPORT_OFF;
      if (snat_v4_nat_can_skip(ctx, target, tuple)) return NAT_PUNT_TO_STACK;
      break;
    }
    case IPPROTO_ICMP: {
      // Node ports have no ICMP; only masquerading translates it.
      if (!ctx.def.ENABLE_MASQUERADE_IPV4) return NAT_PUNT_TO_STACK;
      // Fragmented echoes cannot be followed: the identifier is in the first fragment only.
      if (ipfrag_is_fragment(fraginfo)) return DROP_INVALID;
      if (!ctx_has(ctx, off + ICMP_HLEN)) return DROP_INVALID;
      const type = load_u8(ctx, off);
      const code = load_u8(ctx, off + 1);
      switch (type) {
        case ICMP_ECHO:
          tuple.dport = 0;
          tuple.sport = load_be16(ctx, off + ICMP_ID_OFF);
          port_off = ICMP_ID_OFF;
          // All identifiers are good.
          target.min_port = 0;
          target.max_port = 0xffff;
          break;
        // A reply goes to who asked, who knows the sender by its own address.
        case ICMP_ECHOREPLY:
        case ICMP_REDIRECT:
          return NAT_PUNT_TO_STACK;
        case ICMP_DEST_UNREACH:
        case ICMP_TIME_EXCEEDED: {
          if (type === ICMP_DEST_UNREACH ? code > NR_ICMP_UNREACH : code > ICMP_EXC_FRAGTIME) {
            return DROP_UNKNOWN_ICMP4_CODE;
          }
          const ret = snat_v4_nat_handle_icmp_error(ctx, off);
          if (ret < 0) return ret;
          with_state = true;
          break;
        }
        default:
          return DROP_NAT_UNSUPP_PROTO;
      }
      break;
    }
    default:
      return NAT_PUNT_TO_STACK;
  }
  return __snat_v4_nat(ctx, tuple, with_state, fraginfo, off, false, target, port_off, trace);
}

/** What the translation of a quoted packet changed in the error's own checksum. */
let outer_diff = NO_DIFF;

/** snat_v4_rev_nat_handle_icmp_error(): an error about a packet that left through NAT; the entry is in `state4`. */
function snat_v4_rev_nat_handle_icmp_error(ctx: Ctx, inner_l3: number): number {
  outer_diff = NO_DIFF;
  if (!ctx_has(ctx, inner_l3 + 20)) return DROP_INVALID;
  const nexthdr = load_u8(ctx, inner_l3 + 9);
  const l4 = inner_l3 + ipv4_hdrlen(ctx, inner_l3);
  const w = inner4.words;
  w[0] = load_be32(ctx, inner_l3 + IPV4_SADDR_OFF);
  w[1] = load_be32(ctx, inner_l3 + IPV4_DADDR_OFF);
  w[2] = 0;
  w[3] = nexthdr | (NAT_DIR_INGRESS << 8);
  let port_off = TCP_SPORT_OFF;
  switch (nexthdr) {
    case IPPROTO_SCTP:
    case IPPROTO_TCP:
    case IPPROTO_UDP:
      if (nexthdr === IPPROTO_SCTP && !ctx.def.ENABLE_SCTP) return NAT_PUNT_TO_STACK;
      if (!ctx_has(ctx, l4 + 4)) return DROP_INVALID;
      w[2] = load_be32(ctx, l4);
      break;
    case IPPROTO_ICMP: {
      if (!ctx_has(ctx, l4 + 1)) return DROP_INVALID;
      const type = load_u8(ctx, l4);
      if (type === ICMP_ECHOREPLY) return NAT_PUNT_TO_STACK;
      if (type !== ICMP_ECHO) return DROP_UNKNOWN_ICMP4_CODE;
      port_off = ICMP_ID_OFF;
      if (!ctx_has(ctx, l4 + port_off + 2)) return DROP_INVALID;
      inner4.dport = load_be16(ctx, l4 + port_off);
      break;
    }
    default:
      return NAT_PUNT_TO_STACK;
  }
  const map = ctx.maps.cilium_snat_v4_external;
  // Flags IN: the quoted packet left with the translated source, which is where replies to it would be addressed.
  const slot = nat_lookup(ctx, map, w);
  if (slot === NONE) return NAT_PUNT_TO_STACK;
  const to_daddr = nat4ToAddr(map, slot);
  const to_dport = nat4ToPort(map, slot);
  state4.addr = to_daddr;
  state4.port = to_dport;
  const has_csum = nexthdr !== IPPROTO_TCP || ctx_full_len(ctx) >= l4 + 18;
  let counts = has_csum;
  if (nexthdr === IPPROTO_UDP) {
    if (!ctx_has(ctx, l4 + 8)) return DROP_INVALID;
    // A UDP checksum of 0 means "none", so it will not change with the addresses.
    if (load_be16(ctx, l4 + 6) === 0) counts = false;
  }
  // snat_v4_calc_icmp_error_csum_diff(): where the quoted checksum follows the change of the pseudo header, port and
  // its checksum cancel out and the addresses remain; where it does not, the port alone does (the IP header's own
  // checksum makes up for the address).
  if (counts) {
    if (inner4.daddr !== to_daddr) outer_diff = csum_diff4(to_daddr, inner4.daddr);
  } else if (inner4.dport !== to_dport) {
    outer_diff = csum_diff2(inner4.dport, to_dport);
  }
  const ret = snat_v4_rewrite_headers(
    ctx,
    nexthdr,
    inner_l3,
    true,
    l4,
    inner4.daddr,
    to_daddr,
    IPV4_SADDR_OFF,
    inner4.dport,
    to_dport,
    port_off,
    NO_DIFF,
  );
  return !has_csum && ret === DROP_CSUM_L4 ? 0 : ret;
}

const rev4 = new CtTuple4();

/**
 * snat_v4_rev_nat(): translates the destination of a reply back; NAT_PUNT_TO_STACK or DROP_NAT_NO_MAPPING if it is
 * none. Both mean the same to callers, but only the second has looked into the map.
 */
export function snat_v4_rev_nat(ctx: Ctx, target: Ipv4NatTarget, trace: TraceCtx): number {
  if (!revalidate_data4(ctx)) return DROP_INVALID;
  // The target has no address: only its port range is asked here.
  const ip4 = ETH_HLEN;
  const fraginfo = ipfrag_encode_ipv4(ctx, ip4);
  const tuple = rev4;
  snat_v4_init_tuple(ctx, ip4, NAT_DIR_INGRESS, tuple);
  const off = ip4 + ipv4_hdrlen(ctx, ip4);
  let port_off = 0;
  let to_dport = 0;
  outer_diff = NO_DIFF;
  let by_error = false;
  switch (tuple.nexthdr) {
    case IPPROTO_SCTP:
    case IPPROTO_TCP:
    case IPPROTO_UDP: {
      if (tuple.nexthdr === IPPROTO_SCTP && !ctx.def.ENABLE_SCTP) return NAT_PUNT_TO_STACK;
      const ret = ipv4_load_l4_ports(ctx, ip4, fraginfo, off, CT_INGRESS);
      if (ret < 0) return ret;
      tuple.ports = ctx.l4_ports;
      tuple.swapPorts();
      port_off = TCP_DPORT_OFF;
      // What is not addressed to a port that SNAT hands out cannot be a reply to it.
      const dport = bswap16(tuple.dport);
      if (dport < target.min_port || dport > target.max_port) return NAT_PUNT_TO_STACK;
      break;
    }
    case IPPROTO_ICMP: {
      if (!ctx.def.ENABLE_MASQUERADE_IPV4) return NAT_PUNT_TO_STACK;
      if (ipfrag_is_fragment(fraginfo)) return DROP_INVALID;
      if (!ctx_has(ctx, off + ICMP_HLEN)) return DROP_INVALID;
      const type = load_u8(ctx, off);
      const code = load_u8(ctx, off + 1);
      switch (type) {
        case ICMP_ECHOREPLY:
          tuple.dport = load_be16(ctx, off + ICMP_ID_OFF);
          tuple.sport = 0;
          port_off = ICMP_ID_OFF;
          break;
        case ICMP_DEST_UNREACH:
        case ICMP_TIME_EXCEEDED: {
          if (type === ICMP_DEST_UNREACH ? code > NR_ICMP_UNREACH : code > ICMP_EXC_FRAGTIME) {
            return NAT_PUNT_TO_STACK;
          }
          const ret = snat_v4_rev_nat_handle_icmp_error(ctx, off + ICMP_HLEN);
          if (ret < 0) return ret;
          by_error = true;
          break;
        }
        default:
          return NAT_PUNT_TO_STACK;
      }
      break;
    }
    default:
      return NAT_PUNT_TO_STACK;
  }
  if (!by_error) {
    const ret = snat_v4_rev_nat_handle_mapping(ctx, tuple, fraginfo, off, trace);
    if (ret < 0) return ret;
    to_dport = state4.port;
  }
  return snat_v4_rewrite_headers(
    ctx,
    tuple.nexthdr,
    ETH_HLEN,
    ipfrag_has_l4_header(fraginfo),
    off,
    tuple.daddr,
    state4.addr,
    IPV4_DADDR_OFF,
    tuple.dport,
    to_dport,
    port_off,
    outer_diff,
  );
}

// === IPv6 ===============================================================================================================
// As IPv4; only what differs is commented. An address is four words.

const state6 = { addr: new Int32Array(4), port: 0 };
const rtuple6 = new CtTuple6();
const otuple6 = new CtTuple6();
const ct_tuple6 = new CtTuple6();
const inner6 = new CtTuple6();
const entry6 = new NatEntry6();
const ipmasq6 = new Int32Array(5);

/** snat_v6_lookup(). */
export function snat_v6_lookup(ctx: Ctx, tuple: CtTuple6): number {
  return nat_lookup(ctx, ctx.maps.cilium_snat_v6_external, tuple.words);
}

// Address and port of an entry, copied at once.
function load_state6(map: BpfMap, slot: number): void {
  copyAddr6(state6.addr, 0, map.words, nat6ToAddrWord(map, slot));
  state6.port = nat6ToPort(map, slot);
}

// struct ipv6_nat_entry in entry6; `at` is the word of `addr` where the address begins (4 for a tuple's source).
function set_entry6(ctx: Ctx, needs_ct: number, addr: Int32Array, at: number, port: number): void {
  entry6.set(bpf_mono_now(ctx), needs_ct, port);
  copyAddr6(entry6.words, NAT_TO_ADDR_W, addr, at);
}

// The tuple is ten words: daddr 0 to 3, saddr 4 to 7, ports 8, protocol and flags 9.
function set_v6_rtuple(otuple: CtTuple6, addr: Int32Array, port: number): void {
  const r = rtuple6.words;
  const o = otuple.words;
  copyAddr6(r, 0, addr, 0);
  copyAddr6(r, 4, o, 0);
  r[8] = (port & 0xffff) | (o[8]! << 16);
  r[9] = (o[9]! & 0xff) | (TUPLE_F_IN << 8);
}

/** snat_v6_new_mapping(): the reverse entry first, as in IPv4; DROP_NAT_NO_MAPPING (167) after the last candidate. */
function snat_v6_new_mapping(ctx: Ctx, map: BpfMap, otuple: CtTuple6, target: Ipv6NatTarget): number {
  const needs_ct = target.needs_ct ? 1 : 0;
  const tries = ctx.def.SNAT_COLLISION_RETRIES;
  set_entry6(ctx, needs_ct, otuple.words, 4, otuple.sport);
  let port = __snat_try_keep_port(ctx, target.min_port, target.max_port, bswap16(otuple.sport));
  let retries = 0;
  for (; retries < tries; retries++) {
    set_v6_rtuple(otuple, target.addr, bswap16(port));
    if (nat_create(ctx, map, rtuple6.words, entry6.words, BPF_NOEXIST) === 0) break;
    port = next_port(ctx, target.min_port, target.max_port, retries, port);
  }
  let ret = 0;
  if (retries === tries) {
    ret = DROP_NAT_NO_MAPPING;
  } else {
    copyAddr6(state6.addr, 0, target.addr, 0);
    state6.port = bswap16(port);
    set_entry6(ctx, needs_ct, target.addr, 0, state6.port);
    const err = nat_create(ctx, map, otuple.words, entry6.words, BPF_ANY);
    if (err < 0) {
      nat_delete(ctx, map, rtuple6.words);
      ctx.ext_err = err;
      ret = DROP_NAT_NO_MAPPING;
    }
  }
  alloc_done(ctx, true, retries);
  return ret;
}

/**
 * snat_v6_nat_handle_mapping(): the mapping of an outgoing packet, into `state6`. The entry's value is copied at once;
 * after an insertion into the LRU map its slot may be another's.
 */
function snat_v6_nat_handle_mapping(
  ctx: Ctx,
  tuple: CtTuple6,
  fraginfo: number,
  off: number,
  target: Ipv6NatTarget,
  trace: TraceCtx,
): number {
  const map = ctx.maps.cilium_snat_v6_external;
  const slot = nat_lookup(ctx, map, tuple.words);
  let had_ct = false;
  if (slot !== NONE) {
    load_state6(map, slot);
    had_ct = natNeedsCt(map, slot) !== 0;
  }
  if (target.needs_ct) {
    ct_tuple6.copyFrom(tuple);
    ct_tuple6.swapAddrs();
    const ct_map = get_ct_map6(ctx, ct_tuple6);
    const ret = ct_lazy_lookup6(
      ctx,
      ct_map,
      ct_tuple6,
      fraginfo,
      off,
      CT_EGRESS,
      SCOPE_FORWARD,
      CT_ENTRY_ANY,
      null,
    );
    if (ret < 0) return ret;
    trace.set(ret, ctx.monitor);
    if (ret === CT_NEW) {
      const err = ct_create6(ctx, ct_map, null, ct_tuple6, CT_EGRESS, null);
      if (err < 0) return err;
    }
  }
  if (slot !== NONE) {
    set_v6_rtuple(tuple, state6.addr, state6.port);
    if (equalAddr6(target.addr, 0, state6.addr, 0) && target.needs_ct === had_ct) {
      if (nat_lookup(ctx, map, rtuple6.words) === NONE) {
        set_entry6(ctx, had_ct ? 1 : 0, tuple.words, 4, tuple.sport);
        const err = nat_create(ctx, map, rtuple6.words, entry6.words, BPF_ANY);
        if (err < 0) {
          ctx.ext_err = err;
          return DROP_NAT_NO_MAPPING;
        }
      }
      return 0;
    }
    const err = nat_delete(ctx, map, tuple.words);
    if (err < 0) return err;
    if (nat_lookup(ctx, map, rtuple6.words) !== NONE) nat_delete(ctx, map, rtuple6.words);
  }
  return snat_v6_new_mapping(ctx, map, tuple, target);
}

/** snat_v6_rev_nat_handle_mapping(): the mapping of a reply, into `state6`; makes good a lost forward half. */
function snat_v6_rev_nat_handle_mapping(
  ctx: Ctx,
  tuple: CtTuple6,
  fraginfo: number,
  off: number,
  trace: TraceCtx,
): number {
  const map = ctx.maps.cilium_snat_v6_external;
  const slot = nat_lookup(ctx, map, tuple.words);
  if (slot === NONE) return DROP_NAT_NO_MAPPING;
  load_state6(map, slot);
  const needs_ct = natNeedsCt(map, slot);
  const o = otuple6.words;
  const t = tuple.words;
  copyAddr6(o, 0, t, 4);
  copyAddr6(o, 4, state6.addr, 0);
  o[8] = (t[8]! >>> 16) | (state6.port << 16);
  o[9] = t[9]! & 0xff;
  if (nat_lookup(ctx, map, o) === NONE) {
    set_entry6(ctx, needs_ct, t, 0, tuple.dport);
    if (nat_create(ctx, map, o, entry6.words, BPF_ANY) < 0) return DROP_NAT_NO_MAPPING;
  }
  if (needs_ct !== 0) {
    ct_tuple6.copyFrom(tuple);
    copyAddr6(ct_tuple6.words, 0, state6.addr, 0);
    ct_tuple6.dport = state6.port;
    ct_tuple6.swapPorts();
    const ct_map = get_ct_map6(ctx, ct_tuple6);
    const ret = ct_lazy_lookup6(
      ctx,
      ct_map,
      ct_tuple6,
      fraginfo,
      off,
      CT_INGRESS,
      SCOPE_REVERSE,
      CT_ENTRY_ANY,
      null,
    );
    if (ret < 0) return ret;
    trace.set(ret, ctx.monitor);
  }
  return 0;
}

/**
 * snat_v6_rewrite_headers(): there is no header checksum, and ICMPv6 counts the addresses.
 *
 * No `inner_diff` as in IPv4, either. There the quoted IP header's checksum makes up for the changed address, so what
 * the quoted L4 checksum does for the same address is left over and has to go into the error's own. Here only the L4
 * checksum changes with address and port, by just their difference, and the sum over the quoted bytes stays.
 */
function snat_v6_rewrite_headers(
  ctx: Ctx,
  nexthdr: number,
  l3_off: number,
  has_l4_header: boolean,
  l4_off: number,
  old_addr: Int32Array,
  old_at: number,
  new_addr: Int32Array,
  addr_off: number,
  old_port: number,
  new_port: number,
  port_off: number,
): number {
  if (old_port === new_port && equalAddr6(old_addr, old_at, new_addr, 0)) return 0;
  const sum = csum_diff16(old_addr, old_at, new_addr, 0);
  putAddr6(ctx.skb.view, ctx.skb.data + l3_off + addr_off, new_addr, 0);
  if (!has_l4_header) return 0;
  const csum_off = csum_l4_offset(nexthdr);
  if (old_port !== new_port) {
    switch (nexthdr) {
      case IPPROTO_TCP:
      case IPPROTO_UDP:
      case IPPROTO_ICMPV6:
        break;
      case IPPROTO_SCTP:
        return ctx.def.ENABLE_SCTP ? DROP_CSUM_L4 : DROP_UNKNOWN_L4;
      default:
        return DROP_UNKNOWN_L4;
    }
    const ret = l4_modify_port(ctx, l4_off, port_off, csum_off, nexthdr, new_port, old_port);
    if (ret < 0) return ret;
  }
  if (csum_off !== 0 && csum_l4_replace(ctx, l4_off, csum_off, nexthdr, sum) < 0) return DROP_CSUM_L4;
  return 0;
}

/** snat_v6_nat_can_skip(): see snat_v4_nat_can_skip(). */
function snat_v6_nat_can_skip(ctx: Ctx, target: Ipv6NatTarget, tuple: CtTuple6): boolean {
  if (ctx.def.ENABLE_EGRESS_GATEWAY && ctx.obj.kind === IS_BPF_HOST && target.egress_gateway) return false;
  return !target.from_local_endpoint && bswap16(tuple.sport) < ctx.def.NODEPORT_PORT_MIN_NAT;
}

/** snat_v6_create_dsr(): the service address is four words. */
export function snat_v6_create_dsr(
  ctx: Ctx,
  tuple: CtTuple6,
  to_saddr: Int32Array,
  to_sport: number,
): number {
  const o = otuple6.words;
  const t = tuple.words;
  copyAddr6(o, 0, t, 0);
  copyAddr6(o, 4, t, 4);
  o[8] = (t[8]! << 16) | (t[8]! >>> 16);
  o[9] = t[9]! & 0xff;
  set_entry6(ctx, 0, to_saddr, 0, to_sport);
  const err = nat_create(ctx, ctx.maps.cilium_snat_v6_external, o, entry6.words, BPF_ANY);
  if (err < 0) {
    ctx.ext_err = err;
    return DROP_NAT_NO_MAPPING;
  }
  return CTX_ACT_OK;
}

/** snat_v6_init_tuple(): addresses and direction; the protocol is the caller's, who has walked the headers. */
export function snat_v6_init_tuple(ctx: Ctx, ip6: number, dir: number, tuple: CtTuple6): void {
  const at = ctx.skb.data + ip6;
  tuple.setDaddr(ctx.skb.view, at + IPV6_DADDR_OFF);
  tuple.setSaddr(ctx.skb.view, at + IPV6_SADDR_OFF);
  tuple.ports = 0;
  tuple.flags = dir;
}

/**
 * snat_v6_needs_masquerade(): the decision list of snat_v4_needs_masquerade(), in the same order and with the same
 * results. "No egress IP" is the unspecified address, and the native routing CIDR comes as address and mask.
 */
export function snat_v6_needs_masquerade(
  ctx: Ctx,
  tuple: CtTuple6,
  ip6: number,
  fraginfo: number,
  l4_off: number,
  target: Ipv6NatTarget,
): number {
  const def = ctx.def;
  const w = tuple.words;
  if (!def.ENABLE_MASQUERADE_IPV6 || ctx.obj.kind !== IS_BPF_HOST) return NAT_PUNT_TO_STACK;
  const masq = ctx.config.nat_ipv6_masquerade;
  if (equalAddr6(w, 4, masq, 0)) {
    copyAddr6(target.addr, 0, masq, 0);
    target.needs_ct = true;
    return NAT_NEEDED;
  }
  const local_ep = lookup_ip6_endpoint(ctx, w, 4);
  if (local_ep !== NONE) {
    target.from_local_endpoint = true;
    const err = ct_extract_ports6(ctx, ip6, fraginfo, l4_off, CT_EGRESS, tuple);
    if (err === 0) {
      if (ct_is_reply6(ctx, get_ct_map6(ctx, tuple), tuple)) return NAT_PUNT_TO_STACK;
      tuple.ports = 0;
      tuple.flags = NAT_DIR_EGRESS;
    } else if (err !== DROP_CT_UNKNOWN_PROTO) {
      return err;
    }
  }
  if (def.ENABLE_EGRESS_GATEWAY && egress_gw_snat_needed_hook_v6(ctx, tuple, target)) {
    const a = target.addr;
    if ((a[0]! | a[1]! | a[2]! | a[3]!) === 0) return DROP_NO_EGRESS_IP;
    target.egress_gateway = true;
    if (local_ep === NONE) target.needs_ct = true;
    return NAT_NEEDED;
  }
  if (def.IPV6_SNAT_EXCLUSION_DST_CIDR_SET) {
    const cidr = def.IPV6_SNAT_EXCLUSION_DST_CIDR;
    const mask = def.IPV6_SNAT_EXCLUSION_DST_CIDR_MASK;
    if (
      (((w[0]! ^ cidr[0]!) & mask[0]!) |
        ((w[1]! ^ cidr[1]!) & mask[1]!) |
        ((w[2]! ^ cidr[2]!) & mask[2]!) |
        ((w[3]! ^ cidr[3]!) & mask[3]!)) ===
      0
    ) {
      return NAT_PUNT_TO_STACK;
    }
  }
  if (local_ep !== NONE && (lxcFlags(ctx.maps.cilium_lxc, local_ep) & ENDPOINT_MASK_SKIP_MASQ_V6) !== 0) {
    return NAT_PUNT_TO_STACK;
  }
  if (def.ENABLE_IP_MASQ_AGENT_IPV6) {
    const map = ctx.maps.cilium_ipmasq_v6;
    ipmasq6[0] = 128;
    copyAddr6(ipmasq6, 1, w, 0);
    const slot = map.lookup(ipmasq6);
    if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
    if (slot !== NONE) return NAT_PUNT_TO_STACK;
  }
  const remote_ep = lookup_ip6_remote_endpoint(ctx, w, 0);
  if (remote_ep !== NONE) {
    const ipcache = ctx.maps.cilium_ipcache_v2;
    if (identity_is_remote_node(ctx, ipcacheSecIdentity(ipcache, remote_ep))) {
      if (ctx.config.enable_remote_node_masquerade) {
        copyAddr6(target.addr, 0, masq, 0);
        return NAT_NEEDED;
      }
      if (!def.TUNNEL_MODE) return NAT_PUNT_TO_STACK;
      if ((ipcacheFlags(ipcache, remote_ep) & IPCACHE_F_SKIP_TUNNEL) !== 0) return NAT_PUNT_TO_STACK;
    }
  }
  if (local_ep !== NONE) {
    copyAddr6(target.addr, 0, masq, 0);
    return NAT_NEEDED;
  }
  return NAT_PUNT_TO_STACK;
}

/**
 * snat_v6_nat_handle_icmp_error(): an error about a packet that came in through NAT; the entry is in `state6`.
 * NAT_PUNT_TO_STACK without an entry: the error is then about traffic that was never translated.
 */
function snat_v6_nat_handle_icmp_error(ctx: Ctx, off: number): number {
  const inner_l3 = off + ICMP_HLEN;
  if (!ctx_has(ctx, inner_l3 + 40)) return DROP_INVALID;
  const w = inner6.words;
  const base = ctx.skb.data + inner_l3;
  setAddr6(w, 0, ctx.skb.view, base + IPV6_SADDR_OFF);
  setAddr6(w, 4, ctx.skb.view, base + IPV6_DADDR_OFF);
  w[8] = 0;
  // Overwrites ctx.nexthdr and ctx.fraginfo of the outer packet, whose L4 offset the caller has by now.
  const hdrlen = ipv6_hdrlen_with_fraginfo(ctx, inner_l3);
  if (hdrlen < 0) return hdrlen;
  const nexthdr = ctx.nexthdr;
  w[9] = nexthdr;
  const l4 = inner_l3 + hdrlen;
  let port_off = TCP_DPORT_OFF;
  switch (nexthdr) {
    case IPPROTO_SCTP:
    case IPPROTO_TCP:
    case IPPROTO_UDP:
      if (nexthdr === IPPROTO_SCTP && !ctx.def.ENABLE_SCTP) return DROP_UNKNOWN_L4;
      if (!ctx_has(ctx, l4 + 4)) return DROP_INVALID;
      w[8] = load_be32(ctx, l4);
      break;
    case IPPROTO_ICMPV6: {
      if (!ctx_has(ctx, l4 + 1)) return DROP_INVALID;
      const type = load_u8(ctx, l4);
      if (type === ICMPV6_ECHO_REQUEST) return NAT_PUNT_TO_STACK;
      if (type !== ICMPV6_ECHO_REPLY) return DROP_UNKNOWN_ICMP6_CODE;
      port_off = ICMP_ID_OFF;
      if (!ctx_has(ctx, l4 + port_off + 2)) return DROP_INVALID;
      inner6.sport = load_be16(ctx, l4 + port_off);
      break;
    }
    default:
      return DROP_UNKNOWN_L4;
  }
  const map = ctx.maps.cilium_snat_v6_external;
  const slot = nat_lookup(ctx, map, w);
  if (slot === NONE) return NAT_PUNT_TO_STACK;
  load_state6(map, slot);
  return snat_v6_rewrite_headers(
    ctx,
    nexthdr,
    inner_l3,
    true,
    l4,
    w,
    4,
    state6.addr,
    IPV6_DADDR_OFF,
    inner6.sport,
    state6.port,
    port_off,
  );
}

/** ___snat_v6_nat(): see __snat_v4_nat(). */
export function ___snat_v6_nat(
  ctx: Ctx,
  tuple: CtTuple6,
  with_state: boolean,
  fraginfo: number,
  l4_off: number,
  update_tuple: boolean,
  target: Ipv6NatTarget,
  port_off: number,
  trace: TraceCtx,
): number {
  let to_sport = 0;
  if (!with_state) {
    const ret = snat_v6_nat_handle_mapping(ctx, tuple, fraginfo, l4_off, target, trace);
    if (ret < 0) return ret;
    to_sport = state6.port;
  }
  const ret = snat_v6_rewrite_headers(
    ctx,
    tuple.nexthdr,
    ETH_HLEN,
    ipfrag_has_l4_header(fraginfo),
    l4_off,
    tuple.words,
    4,
    state6.addr,
    IPV6_SADDR_OFF,
    tuple.sport,
    to_sport,
    port_off,
  );
  if (update_tuple) {
    copyAddr6(tuple.words, 4, state6.addr, 0);
    tuple.sport = state6.port;
  }
  return ret;
}

/**
 * snat_v6_nat(): translates the source of an outgoing packet; NAT_PUNT_TO_STACK where there is nothing to do.
 *
 *   TCP, UDP (SCTP)         by mapping, unless the host sent it from below the NAT range
 *   echo request            by its identifier, with all 16 bits to choose from
 *   echo reply, redirect,   left alone: their receivers know the sender by its own address
 *   NS, NA
 *   unreachable, too big,   the quoted packet and the outer source
 *   time exceeded
 *   other ICMPv6            drop 168 (DROP_NAT_UNSUPP_PROTO)
 */
export function snat_v6_nat(
  ctx: Ctx,
  tuple: CtTuple6,
  ip6: number,
  fraginfo: number,
  off: number,
  target: Ipv6NatTarget,
  trace: TraceCtx,
): number {
  let port_off = 0;
  let with_state = false;
  switch (tuple.nexthdr) {
    case IPPROTO_SCTP:
    case IPPROTO_TCP:
    case IPPROTO_UDP: {
      if (tuple.nexthdr === IPPROTO_SCTP && !ctx.def.ENABLE_SCTP) return NAT_PUNT_TO_STACK;
      if (!ctx.def.ENABLE_IPV6_FRAGMENTS && ipfrag_is_fragment(fraginfo)) return DROP_FRAG_NOSUPPORT;
      const ret = ipv6_load_l4_ports(ctx, ip6, fraginfo, off, CT_EGRESS);
      if (ret < 0) return ret;
      tuple.ports = ctx.l4_ports;
      tuple.swapPorts();
      port_off = TCP_SPORT_OFF;
      if (snat_v6_nat_can_skip(ctx, target, tuple)) return NAT_PUNT_TO_STACK;
      break;
    }
    case IPPROTO_ICMPV6: {
      if (ipfrag_is_fragment(fraginfo)) return DROP_INVALID;
      if (!ctx_has(ctx, off + ICMP_HLEN)) return DROP_INVALID;
      const type = load_u8(ctx, off);
      const code = load_u8(ctx, off + 1);
      switch (type) {
        case ICMPV6_ECHO_REPLY:
        case ICMPV6_REDIRECT:
        case ICMP6_NS:
        case ICMP6_NA:
          return NAT_PUNT_TO_STACK;
        case ICMPV6_ECHO_REQUEST:
          tuple.dport = 0;
          tuple.sport = load_be16(ctx, off + ICMP_ID_OFF);
          port_off = ICMP_ID_OFF;
          target.min_port = 0;
          target.max_port = 0xffff;
          break;
        case ICMPV6_DEST_UNREACH:
        case ICMPV6_PKT_TOOBIG:
        case ICMPV6_TIME_EXCEED: {
          if (type === ICMPV6_DEST_UNREACH && code > ICMPV6_REJECT_ROUTE) return DROP_UNKNOWN_ICMP6_CODE;
          if (type === ICMPV6_TIME_EXCEED && code > ICMPV6_EXC_FRAGTIME) return DROP_UNKNOWN_ICMP6_CODE;
          const ret = snat_v6_nat_handle_icmp_error(ctx, off);
          if (ret < 0) return ret;
          with_state = true;
          break;
        }
        default:
          return DROP_NAT_UNSUPP_PROTO;
      }
      break;
    }
    default:
      return NAT_PUNT_TO_STACK;
  }
  return ___snat_v6_nat(ctx, tuple, with_state, fraginfo, off, false, target, port_off, trace);
}

/**
 * snat_v6_rev_nat_handle_icmp_pkt_toobig(): of the ICMPv6 errors only this one is translated back: path MTU discovery
 * depends on it. Others are left alone and end at this node, whose address they and the quoted packet have.
 */
function snat_v6_rev_nat_handle_icmp_pkt_toobig(ctx: Ctx, inner_l3: number): number {
  if (!ctx_has(ctx, inner_l3 + 40)) return DROP_INVALID;
  const w = inner6.words;
  const base = ctx.skb.data + inner_l3;
  setAddr6(w, 0, ctx.skb.view, base + IPV6_SADDR_OFF);
  setAddr6(w, 4, ctx.skb.view, base + IPV6_DADDR_OFF);
  w[8] = 0;
  const hdrlen = ipv6_hdrlen_with_fraginfo(ctx, inner_l3);
  if (hdrlen < 0) return hdrlen;
  const nexthdr = ctx.nexthdr;
  w[9] = nexthdr | (NAT_DIR_INGRESS << 8);
  const l4 = inner_l3 + hdrlen;
  let port_off = TCP_SPORT_OFF;
  switch (nexthdr) {
    case IPPROTO_SCTP:
    case IPPROTO_TCP:
    case IPPROTO_UDP:
      if (nexthdr === IPPROTO_SCTP && !ctx.def.ENABLE_SCTP) return NAT_PUNT_TO_STACK;
      if (!ctx_has(ctx, l4 + 4)) return DROP_INVALID;
      w[8] = load_be32(ctx, l4);
      break;
    case IPPROTO_ICMPV6:
      if (!ctx_has(ctx, l4 + 1) || load_u8(ctx, l4) !== ICMPV6_ECHO_REQUEST) return DROP_INVALID;
      port_off = ICMP_ID_OFF;
      if (!ctx_has(ctx, l4 + port_off + 2)) return DROP_INVALID;
      inner6.dport = load_be16(ctx, l4 + port_off);
      break;
    default:
      return NAT_PUNT_TO_STACK;
  }
  const map = ctx.maps.cilium_snat_v6_external;
  const slot = nat_lookup(ctx, map, w);
  if (slot === NONE) return NAT_PUNT_TO_STACK;
  load_state6(map, slot);
  return snat_v6_rewrite_headers(
    ctx,
    nexthdr,
    inner_l3,
    true,
    l4,
    w,
    0,
    state6.addr,
    IPV6_SADDR_OFF,
    inner6.dport,
    state6.port,
    port_off,
  );
}

const rev6 = new CtTuple6();

/**
 * snat_v6_rev_nat(): translates the destination of a reply back. As in IPv4 the port range is asked before the map, so
 * that most traffic that is no reply of this node costs no look-up.
 */
export function snat_v6_rev_nat(ctx: Ctx, target: Ipv6NatTarget, trace: TraceCtx): number {
  if (!revalidate_data6(ctx)) return DROP_INVALID;
  const ip6 = ETH_HLEN;
  const hdrlen = ipv6_hdrlen_with_fraginfo(ctx, ip6);
  if (hdrlen < 0) return hdrlen;
  const fraginfo = ctx.fraginfo;
  const tuple = rev6;
  tuple.nexthdr = ctx.nexthdr;
  snat_v6_init_tuple(ctx, ip6, NAT_DIR_INGRESS, tuple);
  const off = ip6 + hdrlen;
  let port_off = 0;
  let to_dport = 0;
  let by_error = false;
  switch (tuple.nexthdr) {
    case IPPROTO_SCTP:
    case IPPROTO_TCP:
    case IPPROTO_UDP: {
      if (tuple.nexthdr === IPPROTO_SCTP && !ctx.def.ENABLE_SCTP) return NAT_PUNT_TO_STACK;
      const ret = ipv6_load_l4_ports(ctx, ip6, fraginfo, off, CT_INGRESS);
      if (ret < 0) return ret;
      tuple.ports = ctx.l4_ports;
      tuple.swapPorts();
      port_off = TCP_DPORT_OFF;
      const dport = bswap16(tuple.dport);
      if (dport < target.min_port || dport > target.max_port) return NAT_PUNT_TO_STACK;
      break;
    }
    case IPPROTO_ICMPV6: {
      if (ipfrag_is_fragment(fraginfo)) return DROP_INVALID;
      if (!ctx_has(ctx, off + ICMP_HLEN)) return DROP_INVALID;
      const type = load_u8(ctx, off);
      if (type === ICMPV6_ECHO_REPLY) {
        tuple.dport = load_be16(ctx, off + ICMP_ID_OFF);
        tuple.sport = 0;
        port_off = ICMP_ID_OFF;
      } else if (type === ICMPV6_PKT_TOOBIG) {
        const ret = snat_v6_rev_nat_handle_icmp_pkt_toobig(ctx, off + ICMP_HLEN);
        if (ret < 0) return ret;
        by_error = true;
      } else {
        return NAT_PUNT_TO_STACK;
      }
      break;
    }
    default:
      return NAT_PUNT_TO_STACK;
  }
  if (!by_error) {
    const ret = snat_v6_rev_nat_handle_mapping(ctx, tuple, fraginfo, off, trace);
    if (ret < 0) return ret;
    to_dport = state6.port;
  }
  return snat_v6_rewrite_headers(
    ctx,
    tuple.nexthdr,
    ETH_HLEN,
    ipfrag_has_l4_header(fraginfo),
    off,
    tuple.words,
    0,
    state6.addr,
    IPV6_DADDR_OFF,
    tuple.dport,
    to_dport,
    port_off,
  );
}
