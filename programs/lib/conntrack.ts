// Connection tracking, after bpf/lib/conntrack.h.
//
//   tuple as loaded      daddr, saddr of the packet; dport = packet source port, sport = packet destination port
//   tuple as stored      addresses in reverse, ports in original direction (SERVICE entries: the other way round)
//
//   dir       FORWARD looks up   REVERSE, BIDIR begin with
//   EGRESS    OUT, swapped       IN,  as loaded
//   INGRESS   IN,  swapped       OUT, as loaded
//   SERVICE   SERVICE, swapped   SERVICE, as loaded
//
// A hit on the tuple as loaded is a reply (or RELATED): it is tried first, because replies skip policy. BIDIR then
// reverses the tuple and looks for the connection itself. After New or Established the tuple stands as stored, ready
// for creation and for policy, whose port is then tuple.dport. Look-ups never compare the lifetime with the clock.
//
// States: CT_NEW 0, CT_ESTABLISHED 1, CT_REPLY 2, CT_RELATED 3; CT_REOPENED exists in release 1.11 only (since 1.16
// such a packet is New). Every look-up leaves in ctx.monitor how many bytes a trace sample of this packet captures, 0
// for none at aggregation medium: the first packet, each new SYN, FIN or RST, and otherwise one packet in five
// seconds and direction are reported.
//
// Lifetimes are in the map's own clock (seconds, or jiffies / 256 with enable-bpf-clock-probe), compared by the
// agent's garbage collection alone: an expired entry that was not collected yet still matches.

import type { BpfMap } from "../../maps/bpf_map.js";
import {
  CT_BACKEND_ID_W,
  CT_BYTES_W,
  CT_ENTRY_WORDS,
  CT_FLAGS_W,
  CT_LAST_RX_REPORT_W,
  CT_LAST_TX_REPORT_W,
  CT_LIFETIME_W,
  CT_NAT_ADDR_W,
  CT_NAT_PORT_W,
  CT_PACKETS_W,
  CT_SRC_SEC_ID_W,
  CtTuple4,
  CtTuple6,
} from "../../maps/ct.js";
import { addU64 } from "../../maps/percpu_map.js";
import { NONE } from "../../maps/spec.js";
import { Step } from "../../src/bpf/steps.js";
import { bswap16 } from "../../src/net/view.js";
import {
  CT_EGRESS,
  CT_ENTRY_ANY,
  CT_ENTRY_DSR,
  CT_ENTRY_DSR_INTERNAL,
  CT_ENTRY_FROM_L7LB,
  CT_ENTRY_FROM_TUNNEL,
  CT_ENTRY_LB_LOOPBACK,
  CT_ENTRY_NODE_PORT,
  CT_ENTRY_NODEPORT,
  CT_ENTRY_PROXY_REDIRECT,
  CT_ENTRY_RX_CLOSING,
  CT_ENTRY_SEEN_NON_SYN,
  CT_ENTRY_SVC,
  CT_ENTRY_TX_CLOSING,
  CT_ESTABLISHED,
  CT_INGRESS,
  CT_NEW,
  CT_RELATED,
  CT_REOPENED,
  CT_REPLY,
  CT_SERVICE,
  DBG_CT_CREATED4,
  DBG_CT_CREATED6,
  DBG_CT_LOOKUP4_1,
  DBG_CT_LOOKUP4_2,
  DBG_CT_LOOKUP6_1,
  DBG_CT_LOOKUP6_2,
  DBG_CT_MATCH,
  DBG_CT_VERDICT,
  DROP_CT_CREATE_FAILED,
  DROP_CT_INVALID_HDR,
  DROP_CT_UNKNOWN_PROTO,
  DROP_INVALID,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  REASON_FRAG_PACKET,
  REASON_MTU_ERROR_MSG,
  SCOPE_BIDIR,
  SCOPE_FORWARD,
  SCOPE_REVERSE,
  TCP_FLAG_ACK,
  TCP_FLAG_FIN,
  TCP_FLAG_RST,
  TCP_FLAG_SYN,
  TUPLE_F_IN,
  TUPLE_F_OUT,
  TUPLE_F_RELATED,
  TUPLE_F_SERVICE,
} from "./common.js";
import {
  bpf_mono_now,
  bpf_sec_to_mono,
  CT_STATE_CLOSING,
  CT_STATE_SYN,
  type CtState,
  type Ctx,
  ctx_full_len,
  ctx_has,
  load_be16,
  load_u8,
} from "./ctx.js";
import { cilium_dbg, cilium_dbg3 } from "./dbg.js";
import { IPFRAG_FRAGMENT, IPFRAG_NO_L4, ipfrag_encode_ipv4, ipv4_load_l4_ports } from "./ipv4.js";
import { ipv6_load_l4_ports } from "./ipv6.js";
import { ct_to_metrics_dir, update_metrics } from "./metrics.js";
import { CONNTRACK_V4_FRAG, CONNTRACK_V4_MTU, CONNTRACK_V6_FRAG, CONNTRACK_V6_MTU } from "./source_lines.js";

const ACTION_UNSPEC = 0;
const ACTION_CREATE = 1;
const ACTION_CLOSE = 2;

const CLOSING = CT_ENTRY_RX_CLOSING | CT_ENTRY_TX_CLOSING;

// --- tuples ---------------------------------------------------------------------------------------------------------

/** __ipv4_ct_tuple_reverse(): swaps addresses and ports, not the direction. */
export function __ipv4_ct_tuple_reverse(tuple: CtTuple4): void {
  tuple.swapAddrs();
  tuple.swapPorts();
}

/** ipv4_ct_tuple_reverse(): swaps addresses and ports and flips the direction. */
export function ipv4_ct_tuple_reverse(tuple: CtTuple4): void {
  tuple.swapAddrs();
  tuple.swapPorts();
  tuple.words[3]! ^= TUPLE_F_IN << 8;
}

/** ipv4_ct_tuple_swap_ports(). */
export function ipv4_ct_tuple_swap_ports(tuple: CtTuple4): void {
  tuple.swapPorts();
}

/** ipv4_ct_tuple_swap_addrs(). */
export function ipv4_ct_tuple_swap_addrs(tuple: CtTuple4): void {
  tuple.swapAddrs();
}

/** __ipv6_ct_tuple_reverse(): swaps addresses and ports, not the direction. */
export function __ipv6_ct_tuple_reverse(tuple: CtTuple6): void {
  tuple.swapAddrs();
  tuple.swapPorts();
}

/** ipv6_ct_tuple_reverse(): swaps addresses and ports and flips the direction. */
export function ipv6_ct_tuple_reverse(tuple: CtTuple6): void {
  tuple.swapAddrs();
  tuple.swapPorts();
  tuple.words[9]! ^= TUPLE_F_IN << 8;
}

/** ipv6_ct_tuple_swap_ports(). */
export function ipv6_ct_tuple_swap_ports(tuple: CtTuple6): void {
  tuple.swapPorts();
}

/** ipv6_ct_tuple_swap_addrs(). */
export function ipv6_ct_tuple_swap_addrs(tuple: CtTuple6): void {
  tuple.swapAddrs();
}

/**
 * ct_lookup_select_tuple_type(): the direction bit with which a look-up begins. A packet that leaves a pod is a reply
 * if the connection came in (IN); one that enters it, if the connection went out (OUT). SERVICE entries have a bit of
 * their own and no reverse: REVERSE only says that addresses and ports stand as loaded.
 */
function select_tuple_type(dir: number, scope: number): number {
  if (dir === CT_SERVICE) return TUPLE_F_SERVICE;
  if (dir === CT_EGRESS) return scope === SCOPE_FORWARD ? TUPLE_F_OUT : TUPLE_F_IN;
  return scope === SCOPE_FORWARD ? TUPLE_F_IN : TUPLE_F_OUT;
}

// --- one entry ------------------------------------------------------------------------------------------------------

/**
 * __ct_update_timeout(): sets the lifetime and decides whether a report is due. `words[at..]` is the entry, `flags`
 * the TCP flags byte. Returns the monitor value.
 */
function __ct_update_timeout(
  ctx: Ctx,
  words: Int32Array,
  at: number,
  lifetime: number,
  dir: number,
  flags: number,
): number {
  const now = bpf_mono_now(ctx);
  words[at + CT_LIFETIME_W] = now + lifetime;
  // rx fields are those of packets that enter the endpoint, whichever end opened the connection.
  // The word holds nat_port in its lower half and tx_flags_seen, rx_flags_seen above it.
  const shift = dir === CT_INGRESS ? 24 : 16;
  const reportAt = at + (dir === CT_INGRESS ? CT_LAST_RX_REPORT_W : CT_LAST_TX_REPORT_W);
  const seenWord = words[at + CT_NAT_PORT_W]!;
  const accumulated = (seenWord >>> shift) & 0xff;
  const seen = (flags & ctx.def.CT_REPORT_FLAGS & 0xff) | accumulated;
  // Unsigned, and strictly more than the interval: in the same second nothing is due.
  const due = words[reportAt]! + bpf_sec_to_mono(ctx, ctx.def.CT_REPORT_INTERVAL);
  if (due >>> 0 < now >>> 0 || seen !== accumulated) {
    words[at + CT_NAT_PORT_W] = (seenWord & ~(0xff << shift)) | (seen << shift);
    words[reportAt] = now;
    return ctx.config.trace_payload_len;
  }
  return 0;
}

/**
 * ct_update_timeout(): picks the lifetime that the connection has earned. TCP gets the long one (8000 s by default;
 * 21600 s in 1.11) with the first packet whose SYN bit is clear, so not with the SYN+ACK: a handshake that is never
 * finished costs 60 s.
 */
function ct_update_timeout(
  ctx: Ctx,
  words: Int32Array,
  at: number,
  tcp: boolean,
  dir: number,
  flags: number,
): number {
  const def = ctx.def;
  let sec = dir === CT_SERVICE ? def.CT_SERVICE_LIFETIME_NONTCP : def.CT_CONNECTION_LIFETIME_NONTCP;
  if (tcp) {
    if ((flags & TCP_FLAG_SYN) === 0) words[at + CT_FLAGS_W]! |= CT_ENTRY_SEEN_NON_SYN;
    if ((words[at + CT_FLAGS_W]! & CT_ENTRY_SEEN_NON_SYN) !== 0) {
      sec = dir === CT_SERVICE ? def.CT_SERVICE_LIFETIME_TCP : def.CT_CONNECTION_LIFETIME_TCP;
    } else {
      sec = def.CT_SYN_TIMEOUT;
    }
  }
  return __ct_update_timeout(ctx, words, at, bpf_sec_to_mono(ctx, sec), dir, flags);
}

/**
 * ct_entry_matches_types(): entries that a look-up of this kind may find. Node port, DSR and service look-ups share
 * keys with the connections of pods, and must not take those for theirs. `rev_nat_index` is the one that the caller
 * put into its state; 0 in a node port look-up stands for any.
 */
function matches_types(
  entryFlags: number,
  entryRevNat: number,
  types: number,
  rev_nat_index: number,
): boolean {
  if ((types & CT_ENTRY_NODEPORT) !== 0 && (entryFlags & CT_ENTRY_NODE_PORT) !== 0) {
    if (rev_nat_index === 0 || entryRevNat === rev_nat_index) return true;
  }
  if ((types & CT_ENTRY_DSR) !== 0 && (entryFlags & CT_ENTRY_DSR_INTERNAL) !== 0) return true;
  return (types & CT_ENTRY_SVC) !== 0 && entryRevNat === rev_nat_index;
}

// Bits of an entry that a state takes over; lb_loopback only in bpf_lxc (USE_LOOPBACK_LB).
const STATE_BITS =
  CT_ENTRY_NODE_PORT |
  CT_ENTRY_DSR_INTERNAL |
  CT_ENTRY_PROXY_REDIRECT |
  CT_ENTRY_FROM_L7LB |
  CT_ENTRY_FROM_TUNNEL;

/**
 * ct_lookup_fill_state(). backend_id lies in bytes of the NAT address: SERVICE entries have the one, the others the
 * other.
 */
function fill_state(
  state: CtState,
  words: Int32Array,
  at: number,
  dir: number,
  syn: boolean,
  pods: boolean,
): void {
  const f = words[at + CT_FLAGS_W];
  state.rev_nat_index = f >>> 16;
  if (dir === CT_SERVICE) {
    state.backend_id = words[at + CT_BACKEND_ID_W];
    if (syn) state.flags |= CT_STATE_SYN;
    return;
  }
  const bits = pods ? STATE_BITS | CT_ENTRY_LB_LOOPBACK : STATE_BITS;
  state.flags = (state.flags & ~bits) | (f & bits);
  const nat_port = words[at + CT_NAT_PORT_W] & 0xffff;
  // Only DSR entries carry an address, and then a port with it.
  if (nat_port !== 0 || state.nat_port !== 0) {
    const nat = state.nat_addr;
    nat[0] = words[at + CT_NAT_ADDR_W];
    nat[1] = words[at + CT_NAT_ADDR_W + 1];
    nat[2] = words[at + CT_NAT_ADDR_W + 2];
    nat[3] = words[at + CT_NAT_ADDR_W + 3];
    state.nat_port = nat_port;
  }
}

/**
 * __ct_lookup(): one access to the map under `key`. Returns CT_NEW, CT_ESTABLISHED (or CT_REOPENED in profile 1.11)
 * and leaves the monitor value in ctx.monitor (untouched for an entry that both sides have closed).
 */
function __ct_lookup(
  ctx: Ctx,
  map: BpfMap,
  key: Int32Array,
  action: number,
  dir: number,
  types: number,
  state: CtState | null,
  is_tcp: boolean,
  flags: number,
): number {
  const slot = map.lookup(key);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  // A miss is worth a report: the packet will make the entry.
  if (slot === NONE) {
    ctx.monitor = ctx.config.trace_payload_len;
    return CT_NEW;
  }
  const words = map.words;
  const at = slot * map.valueWords;
  const fw = words[at + CT_FLAGS_W]!;
  if (
    types !== CT_ENTRY_ANY &&
    !matches_types(fw, fw >>> 16, types, state === null ? 0 : state.rev_nat_index)
  ) {
    ctx.monitor = ctx.config.trace_payload_len;
    return CT_NEW;
  }
  // Before anything changes: the message has the lifetime as it was.
  if (ctx.def.DEBUG) cilium_dbg(ctx, DBG_CT_MATCH, words[at + CT_LIFETIME_W]!, fw >>> 16);
  const syn = (flags & TCP_FLAG_SYN) !== 0;
  if (dir === CT_SERVICE && syn && (fw & CLOSING) !== 0) {
    // A closed service entry is not reused for a new connection after the grace time: choose a backend afresh.
    const wait = words[at + CT_LAST_TX_REPORT_W]! + bpf_sec_to_mono(ctx, ctx.def.CT_SERVICE_CLOSE_REBALANCE);
    if (wait >>> 0 <= bpf_mono_now(ctx) >>> 0) {
      // An end is always reported.
      ctx.monitor = ctx.config.trace_payload_len;
      return CT_NEW;
    }
  }
  // An entry that both sides have closed runs out, whatever still comes (the last ACK, for one).
  if ((fw & CLOSING) !== CLOSING) ctx.monitor = ct_update_timeout(ctx, words, at, is_tcp, dir, flags);
  if (ctx.def.CONNTRACK_ACCOUNTING) {
    addU64(words, at + CT_PACKETS_W, 1);
    addU64(words, at + CT_BYTES_W, ctx_full_len(ctx));
  }
  if (action === ACTION_CREATE) {
    // A SYN on a closing connection: the same ports in use again. The caller writes the entry anew.
    if ((fw & CLOSING) !== 0) {
      // Release 1.11 revived the entry and said so.
      if (ctx.def.profile === "1.11") {
        words[at + CT_FLAGS_W]! &= ~CLOSING;
        ctx.monitor = ct_update_timeout(ctx, words, at, is_tcp, dir, flags);
        if (state !== null) fill_state(state, words, at, dir, syn, ctx.obj.kind === 1);
        return CT_REOPENED;
      }
      words[at + CT_FLAGS_W]! &= ~(CLOSING | CT_ENTRY_SEEN_NON_SYN);
      words[at + CT_NAT_PORT_W]! &= 0xffff;
      ctx.monitor = ct_update_timeout(ctx, words, at, is_tcp, dir, flags);
      return CT_NEW;
    }
  } else if (action === ACTION_CLOSE) {
    // "Both SYNs seen" compares with a big-endian constant in C, which is never true on little-endian machines, so
    // that any RST closes both directions at once.
    if (dir === CT_SERVICE || (flags & TCP_FLAG_RST) !== 0) words[at + CT_FLAGS_W]! |= CLOSING;
    else if (dir === CT_INGRESS) words[at + CT_FLAGS_W]! |= CT_ENTRY_RX_CLOSING;
    else words[at + CT_FLAGS_W]! |= CT_ENTRY_TX_CLOSING;
    if (state !== null) state.flags |= CT_STATE_CLOSING;
    ctx.monitor = ctx.config.trace_payload_len;
    if ((words[at + CT_FLAGS_W]! & CLOSING) === CLOSING) {
      // Half closed keeps the long lifetime; only the second FIN, or an RST, shortens it (to 10 s).
      __ct_update_timeout(ctx, words, at, bpf_sec_to_mono(ctx, ctx.def.CT_CLOSE_TIMEOUT), dir, flags);
    }
  }
  if (state !== null) fill_state(state, words, at, dir, syn, ctx.obj.kind === 1);
  return CT_ESTABLISHED;
}

// ct_tcp_select_action(). Profile 1.11 knew no "none": everything that does not close, creates.
function tcp_select_action(ctx: Ctx, flags: number): number {
  if ((flags & (TCP_FLAG_RST | TCP_FLAG_FIN)) !== 0) return ACTION_CLOSE;
  if ((flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) === TCP_FLAG_SYN) return ACTION_CREATE;
  return ctx.def.profile === "1.11" && (flags & TCP_FLAG_SYN) !== 0 ? ACTION_CREATE : ACTION_UNSPEC;
}

// --- IPv4 -----------------------------------------------------------------------------------------------------------

/**
 * ct_extract_ports4(): fills tuple.dport and tuple.sport from the L4 header at `off` by copying its first four bytes,
 * so that dport is the packet's *source* port; ICMP: identifiers; RELATED for errors. 0 or a negative drop reason.
 *
 * The packet quoted in an ICMP error is not looked at, only NAT does that: an error counts as RELATED where its own
 * ends are those of the connection, and an error from a router between them is a new flow that policy judges.
 */
export function ct_extract_ports4(
  ctx: Ctx,
  ip4: number,
  fraginfo: number,
  off: number,
  dir: number,
  tuple: CtTuple4,
): number {
  switch (tuple.nexthdr) {
    case IPPROTO_TCP:
    case IPPROTO_UDP: {
      const ret = ipv4_load_l4_ports(ctx, ip4, fraginfo, off, dir);
      if (ret < 0) return ret;
      tuple.ports = ctx.l4_ports;
      return 0;
    }
    case IPPROTO_ICMP: {
      if ((fraginfo & IPFRAG_FRAGMENT) !== 0) return DROP_INVALID;
      if (!ctx_has(ctx, off + 1)) return DROP_CT_INVALID_HDR;
      const type = load_u8(ctx, off);
      // Types without a place below have no ports: one entry for all of them between two addresses.
      tuple.ports = 0;
      switch (type) {
        case 3: // ICMP_DEST_UNREACH
          if (!ctx_has(ctx, off + 2)) return DROP_CT_INVALID_HDR;
          if (load_u8(ctx, off + 1) === 4) {
            update_metrics(
              ctx,
              ctx_full_len(ctx),
              ct_to_metrics_dir(dir),
              REASON_MTU_ERROR_MSG,
              CONNTRACK_V4_MTU,
            );
          }
          tuple.flags |= TUPLE_F_RELATED;
          break;
        case 11: // ICMP_TIME_EXCEEDED
        case 12: // ICMP_PARAMETERPROB
          tuple.flags |= TUPLE_F_RELATED;
          break;
        case 0: // ICMP_ECHOREPLY
          if (!ctx_has(ctx, off + 6)) return DROP_CT_INVALID_HDR;
          // Where a request has it in reverse, so that a reply matches the request's entry without being turned
          // round.
          tuple.sport = load_be16(ctx, off + 4);
          break;
        case 8: // ICMP_ECHO
          if (!ctx_has(ctx, off + 6)) return DROP_CT_INVALID_HDR;
          tuple.dport = load_be16(ctx, off + 4);
          break;
        default:
          break;
      }
      return 0;
    }
    case IPPROTO_SCTP:
      if (ctx.def.ENABLE_SCTP) {
        const ret = ipv4_load_l4_ports(ctx, ip4, fraginfo, off, dir);
        if (ret < 0) return ret;
        tuple.ports = ctx.l4_ports;
        return 0;
      }
      break;
    default:
      break;
  }
  // Off by default: GRE, ESP and the rest are dropped at conntrack (137).
  if (!ctx.config.enable_extended_ip_protocols) return DROP_CT_UNKNOWN_PROTO;
  tuple.ports = 0;
  return 0;
}

/**
 * ct_lazy_lookup4(): the look-up of a tuple whose ports are already there (ct_extract_ports4). `types` limits which
 * entries count (CT_ENTRY_*; those with a rev NAT index compare state.rev_nat_index). Returns CT_NEW ... CT_RELATED
 * or a negative drop reason; the monitor value is in ctx.monitor. For SCOPE_FORWARD the caller has reversed the tuple
 * (__ipv4_ct_tuple_reverse); ct_lookup4 does that itself.
 */
export function ct_lazy_lookup4(
  ctx: Ctx,
  map: BpfMap,
  tuple: CtTuple4,
  fraginfo: number,
  l4_off: number,
  dir: number,
  scope: number,
  types: number,
  state: CtState | null,
): number {
  tuple.flags = select_tuple_type(dir, scope);
  return do_lookup4(ctx, map, tuple, fraginfo, l4_off, dir, scope, types, state);
}

/**
 * The look-up proper: TCP flags choose the action, then one or two accesses. The reverse one comes first, because a
 * reply must be known as one even if the same ports also make a connection the other way.
 */
function do_lookup4(
  ctx: Ctx,
  map: BpfMap,
  tuple: CtTuple4,
  fraginfo: number,
  l4_off: number,
  dir: number,
  scope: number,
  types: number,
  state: CtState | null,
): number {
  const is_tcp = tuple.nexthdr === IPPROTO_TCP;
  let action = ACTION_UNSPEC;
  let flags = 0;
  ctx.monitor = 0;
  // Counted once a look-up, so a fragment that meets several programs counts several times.
  if ((fraginfo & IPFRAG_FRAGMENT) !== 0) {
    update_metrics(ctx, ctx_full_len(ctx), ct_to_metrics_dir(dir), REASON_FRAG_PACKET, CONNTRACK_V4_FRAG);
  }
  // Later fragments have no flags: they keep a connection alive and change nothing else.
  if (is_tcp && (fraginfo & IPFRAG_NO_L4) === 0) {
    if (!ctx_has(ctx, l4_off + 14)) return DROP_CT_INVALID_HDR;
    flags = load_u8(ctx, l4_off + 13);
    action = tcp_select_action(ctx, flags);
  }
  if (ctx.def.DEBUG) {
    const old = ctx.def.profile === "1.11";
    // Once for both accesses, with the flags of the first. Release 1.11 did not tell direction and scope.
    cilium_dbg3(
      ctx,
      DBG_CT_LOOKUP4_1,
      tuple.saddr,
      tuple.daddr,
      (bswap16(tuple.sport) << 16) | bswap16(tuple.dport),
    );
    cilium_dbg3(ctx, DBG_CT_LOOKUP4_2, (tuple.nexthdr << 8) | tuple.flags, old ? 0 : dir, old ? 0 : scope);
  }
  let ret = CT_NEW;
  if (scope !== SCOPE_FORWARD) {
    ret = __ct_lookup(ctx, map, tuple.words, action, dir, types, state, is_tcp, flags);
    if (ret !== CT_NEW) ret = (tuple.flags & TUPLE_F_RELATED) !== 0 ? CT_RELATED : CT_REPLY;
    else if (scope === SCOPE_BIDIR) ipv4_ct_tuple_reverse(tuple);
  }
  if (ret === CT_NEW && scope !== SCOPE_REVERSE) {
    ret = __ct_lookup(ctx, map, tuple.words, action, dir, types, state, is_tcp, flags);
  }
  if (ctx.def.DEBUG) cilium_dbg(ctx, DBG_CT_VERDICT, ret, state === null ? 0 : state.rev_nat_index);
  if (ctx.recorder !== null) ctx.recorder.step(Step.CT, ctx.skb, map, ret, dir, 0);
  return ret;
}

/** ct_lookup4(): ports and look-up in one. `ip4` is the offset of the header. */
export function ct_lookup4(
  ctx: Ctx,
  map: BpfMap,
  tuple: CtTuple4,
  ip4: number,
  l4_off: number,
  dir: number,
  scope: number,
  state: CtState | null,
): number {
  const fraginfo = ipfrag_encode_ipv4(ctx, ip4);
  tuple.flags = select_tuple_type(dir, scope);
  const ret = ct_extract_ports4(ctx, ip4, fraginfo, l4_off, dir, tuple);
  if (ret < 0) return ret;
  if (scope === SCOPE_FORWARD) __ipv4_ct_tuple_reverse(tuple);
  return do_lookup4(ctx, map, tuple, fraginfo, l4_off, dir, scope, CT_ENTRY_ANY, state);
}

// Scratch of creations: the entry, and the key of the RELATED entry.
// An entry is built here and copied into the map by the insertion: nothing of an earlier one may be left in it.
const entry = new Int32Array(CT_ENTRY_WORDS);
const icmp4 = new CtTuple4();
const icmp6 = new CtTuple6();

// ct_create_fill_entry().
function fill_entry(state: CtState, dir: number): void {
  let f = state.rev_nat_index << 16;
  entry[CT_SRC_SEC_ID_W] = state.src_sec_id;
  if (dir === CT_SERVICE) {
    entry[CT_BACKEND_ID_W] = state.backend_id;
  } else {
    f |= state.flags & (STATE_BITS | CT_ENTRY_LB_LOOPBACK);
    // The address shares its bytes with a SERVICE entry's backend_id; IPv4 stands in the last of the four words.
    if (state.nat_port !== 0) {
      const nat = state.nat_addr;
      entry[CT_NAT_ADDR_W] = nat[0];
      entry[CT_NAT_ADDR_W + 1] = nat[1];
      entry[CT_NAT_ADDR_W + 2] = nat[2];
      entry[CT_NAT_ADDR_W + 3] = nat[3];
      entry[CT_NAT_PORT_W] = state.nat_port;
    }
  }
  entry[CT_FLAGS_W] = f;
}

/** Writes the scratch entry; errors (a full hash map, never an LRU one) are drops with the errno as extended error. */
function insert(ctx: Ctx, map: BpfMap, key: Int32Array): number {
  const err = map.update(key, entry, 0);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_UPDATE, ctx.skb, map, err, 0, 0);
  if (err >= 0) return 0;
  ctx.ext_err = err;
  return DROP_CT_CREATE_FAILED;
}

/**
 * ct_create4(): a new entry under `tuple` as it stands after the look-up, and with `map_related` the entry that makes
 * ICMP errors of the connection RELATED: the same addresses, no ports, protocol ICMP, in the "any" map, for all
 * connections between the two. An existing entry is overwritten. 0, or DROP_CT_CREATE_FAILED with the errno in
 * ctx.ext_err.
 */
export function ct_create4(
  ctx: Ctx,
  map_main: BpfMap,
  map_related: BpfMap | null,
  tuple: CtTuple4,
  dir: number,
  state: CtState | null,
): number {
  const is_tcp = tuple.nexthdr === IPPROTO_TCP;
  entry.fill(0);
  if (state !== null) fill_entry(state, dir);
  // As if a SYN made it, even where the connection was picked up in the middle.
  ct_update_timeout(ctx, entry, 0, is_tcp, dir, is_tcp ? TCP_FLAG_SYN : 0);
  if (ctx.def.DEBUG) cilium_dbg3(ctx, DBG_CT_CREATED4, entry[CT_FLAGS_W]! >>> 16, entry[CT_SRC_SEC_ID_W]!, 0);
  // Before the main entry: if it cannot be made, the connection is not either. It has the same contents.
  if (map_related !== null) {
    icmp4.words[0] = tuple.words[0]!;
    icmp4.words[1] = tuple.words[1]!;
    icmp4.words[2] = 0;
    icmp4.words[3] = IPPROTO_ICMP | ((tuple.flags | TUPLE_F_RELATED) << 8);
    const ret = insert(ctx, map_related, icmp4.words);
    if (ret < 0) return ret;
  }
  if (ctx.def.CONNTRACK_ACCOUNTING) {
    entry[CT_PACKETS_W] = 1;
    entry[CT_BYTES_W] = ctx_full_len(ctx);
  }
  return insert(ctx, map_main, tuple.words);
}

// --- IPv6 -----------------------------------------------------------------------------------------------------------

// The algorithm of IPv4 over tuples of ten words: daddr 0 to 3, saddr 4 to 7, ports 8, protocol and flags 9.

/**
 * ct_extract_ports6(); see ct_extract_ports4. `tuple.nexthdr` is the protocol behind the extension headers. RELATED are
 * types 1 to 4; of those 2 (packet too big) is counted as IPv4's 3/4. Neighbour discovery has neither ports nor
 * identifiers and is kept away from conntrack by the programs.
 */
export function ct_extract_ports6(
  ctx: Ctx,
  ip6: number,
  fraginfo: number,
  off: number,
  dir: number,
  tuple: CtTuple6,
): number {
  switch (tuple.nexthdr) {
    case IPPROTO_TCP:
    case IPPROTO_UDP: {
      const ret = ipv6_load_l4_ports(ctx, ip6, fraginfo, off, dir);
      if (ret < 0) return ret;
      tuple.ports = ctx.l4_ports;
      return 0;
    }
    case IPPROTO_ICMPV6: {
      if ((fraginfo & IPFRAG_FRAGMENT) !== 0) return DROP_INVALID;
      if (!ctx_has(ctx, off + 1)) return DROP_CT_INVALID_HDR;
      const type = load_u8(ctx, off);
      tuple.ports = 0;
      switch (type) {
        case 2: // ICMPV6_PKT_TOOBIG
          update_metrics(
            ctx,
            ctx_full_len(ctx),
            ct_to_metrics_dir(dir),
            REASON_MTU_ERROR_MSG,
            CONNTRACK_V6_MTU,
          );
          tuple.flags |= TUPLE_F_RELATED;
          break;
        case 1: // ICMPV6_DEST_UNREACH
        case 3: // ICMPV6_TIME_EXCEED
        case 4: // ICMPV6_PARAMPROB
          tuple.flags |= TUPLE_F_RELATED;
          break;
        case 129: // ICMPV6_ECHO_REPLY
          if (!ctx_has(ctx, off + 6)) return DROP_CT_INVALID_HDR;
          tuple.sport = load_be16(ctx, off + 4);
          break;
        case 128: // ICMPV6_ECHO_REQUEST
          if (!ctx_has(ctx, off + 6)) return DROP_CT_INVALID_HDR;
          tuple.dport = load_be16(ctx, off + 4);
          break;
        default:
          break;
      }
      return 0;
    }
    case IPPROTO_SCTP:
      if (ctx.def.ENABLE_SCTP) {
        const ret = ipv6_load_l4_ports(ctx, ip6, fraginfo, off, dir);
        if (ret < 0) return ret;
        tuple.ports = ctx.l4_ports;
        return 0;
      }
      break;
    default:
      break;
  }
  if (!ctx.config.enable_extended_ip_protocols) return DROP_CT_UNKNOWN_PROTO;
  tuple.ports = 0;
  return 0;
}

/** ct_lazy_lookup6(); see ct_lazy_lookup4. */
export function ct_lazy_lookup6(
  ctx: Ctx,
  map: BpfMap,
  tuple: CtTuple6,
  fraginfo: number,
  l4_off: number,
  dir: number,
  scope: number,
  types: number,
  state: CtState | null,
): number {
  tuple.flags = select_tuple_type(dir, scope);
  return do_lookup6(ctx, map, tuple, fraginfo, l4_off, dir, scope, types, state);
}

/** See do_lookup4. */
function do_lookup6(
  ctx: Ctx,
  map: BpfMap,
  tuple: CtTuple6,
  fraginfo: number,
  l4_off: number,
  dir: number,
  scope: number,
  types: number,
  state: CtState | null,
): number {
  const is_tcp = tuple.nexthdr === IPPROTO_TCP;
  let action = ACTION_UNSPEC;
  let flags = 0;
  ctx.monitor = 0;
  if ((fraginfo & IPFRAG_FRAGMENT) !== 0) {
    update_metrics(ctx, ctx_full_len(ctx), ct_to_metrics_dir(dir), REASON_FRAG_PACKET, CONNTRACK_V6_FRAG);
  }
  if (is_tcp && (fraginfo & IPFRAG_NO_L4) === 0) {
    if (!ctx_has(ctx, l4_off + 14)) return DROP_CT_INVALID_HDR;
    flags = load_u8(ctx, l4_off + 13);
    action = tcp_select_action(ctx, flags);
  }
  if (ctx.def.DEBUG) {
    const old = ctx.def.profile === "1.11";
    cilium_dbg3(
      ctx,
      DBG_CT_LOOKUP6_1,
      tuple.saddrP4,
      tuple.daddrP4,
      (bswap16(tuple.sport) << 16) | bswap16(tuple.dport),
    );
    cilium_dbg3(ctx, DBG_CT_LOOKUP6_2, (tuple.nexthdr << 8) | tuple.flags, old ? 0 : dir, old ? 0 : scope);
  }
  let ret = CT_NEW;
  if (scope !== SCOPE_FORWARD) {
    ret = __ct_lookup(ctx, map, tuple.words, action, dir, types, state, is_tcp, flags);
    if (ret !== CT_NEW) ret = (tuple.flags & TUPLE_F_RELATED) !== 0 ? CT_RELATED : CT_REPLY;
    else if (scope === SCOPE_BIDIR) ipv6_ct_tuple_reverse(tuple);
  }
  if (ret === CT_NEW && scope !== SCOPE_REVERSE) {
    ret = __ct_lookup(ctx, map, tuple.words, action, dir, types, state, is_tcp, flags);
  }
  if (ctx.def.DEBUG) cilium_dbg(ctx, DBG_CT_VERDICT, ret, state === null ? 0 : state.rev_nat_index);
  if (ctx.recorder !== null) ctx.recorder.step(Step.CT, ctx.skb, map, ret, dir, 0);
  return ret;
}

/** ct_lookup6(): ports and look-up in one; `fraginfo` is the caller's, who has walked the headers for `l4_off`. */
export function ct_lookup6(
  ctx: Ctx,
  map: BpfMap,
  tuple: CtTuple6,
  ip6: number,
  fraginfo: number,
  l4_off: number,
  dir: number,
  scope: number,
  state: CtState | null,
): number {
  tuple.flags = select_tuple_type(dir, scope);
  const ret = ct_extract_ports6(ctx, ip6, fraginfo, l4_off, dir, tuple);
  if (ret < 0) return ret;
  if (scope === SCOPE_FORWARD) __ipv6_ct_tuple_reverse(tuple);
  return do_lookup6(ctx, map, tuple, fraginfo, l4_off, dir, scope, CT_ENTRY_ANY, state);
}

/** ct_create6(); see ct_create4. */
export function ct_create6(
  ctx: Ctx,
  map_main: BpfMap,
  map_related: BpfMap | null,
  tuple: CtTuple6,
  dir: number,
  state: CtState | null,
): number {
  const is_tcp = tuple.nexthdr === IPPROTO_TCP;
  entry.fill(0);
  if (state !== null) fill_entry(state, dir);
  ct_update_timeout(ctx, entry, 0, is_tcp, dir, is_tcp ? TCP_FLAG_SYN : 0);
  if (ctx.def.DEBUG) cilium_dbg3(ctx, DBG_CT_CREATED6, entry[CT_FLAGS_W]! >>> 16, entry[CT_SRC_SEC_ID_W]!, 0);
  if (map_related !== null) {
    for (let i = 0; i < 8; i++) icmp6.words[i] = tuple.words[i]!;
    icmp6.words[8] = 0;
    icmp6.words[9] = IPPROTO_ICMPV6 | ((tuple.flags | TUPLE_F_RELATED) << 8);
    const ret = insert(ctx, map_related, icmp6.words);
    if (ret < 0) return ret;
  }
  if (ctx.def.CONNTRACK_ACCOUNTING) {
    entry[CT_PACKETS_W] = 1;
    entry[CT_BYTES_W] = ctx_full_len(ctx);
  }
  return insert(ctx, map_main, tuple.words);
}

// --- looks at an entry without touching it -----------------------------------------------------------------------

/**
 * ct_is_reply4(): true if an INGRESS entry exists for the connection of which this egress packet would be the reply.
 * `tuple` holds the ports as ct_extract_ports4 left them. Unlike C the answer is the return value.
 */
export function ct_is_reply4(ctx: Ctx, map: BpfMap, tuple: CtTuple4): boolean {
  tuple.flags = TUPLE_F_IN;
  // As loaded, a reply's tuple has the orientation in which the ingress entry is stored. No lifetime is refreshed.
  const slot = map.lookup(tuple.words);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot !== NONE;
}

/** ct_is_reply6(): see ct_is_reply4. */
export function ct_is_reply6(ctx: Ctx, map: BpfMap, tuple: CtTuple6): boolean {
  tuple.flags = TUPLE_F_IN;
  const slot = map.lookup(tuple.words);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot !== NONE;
}

/** ct_has_loopback_egress_entry4(): does the same flow have an egress entry that a loopback service made? */
export function ct_has_loopback_egress_entry4(ctx: Ctx, map: BpfMap, tuple: CtTuple4): boolean {
  const flags = tuple.flags;
  tuple.flags = TUPLE_F_OUT;
  const slot = map.lookup(tuple.words);
  tuple.flags = flags;
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot !== NONE && (map.words[slot * map.valueWords + CT_FLAGS_W]! & CT_ENTRY_LB_LOOPBACK) !== 0;
}

/** ct_has_loopback_egress_entry6(): see the IPv4 one. */
export function ct_has_loopback_egress_entry6(ctx: Ctx, map: BpfMap, tuple: CtTuple6): boolean {
  const flags = tuple.flags;
  tuple.flags = TUPLE_F_OUT;
  const slot = map.lookup(tuple.words);
  tuple.flags = flags;
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot !== NONE && (map.words[slot * map.valueWords + CT_FLAGS_W]! & CT_ENTRY_LB_LOOPBACK) !== 0;
}

/** ct_has_egress_entry4(): has the flow been tracked as it is? `tuple` is in stored orientation. */
export function ct_has_egress_entry4(ctx: Ctx, map: BpfMap, tuple: CtTuple4): boolean {
  tuple.flags = TUPLE_F_OUT;
  const slot = map.lookup(tuple.words);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot !== NONE;
}

/** ct_has_egress_entry6(): see the IPv4 one. */
export function ct_has_egress_entry6(ctx: Ctx, map: BpfMap, tuple: CtTuple6): boolean {
  tuple.flags = TUPLE_F_OUT;
  const slot = map.lookup(tuple.words);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot !== NONE;
}

/** ct_update_svc_entry(): writes another backend (and rev NAT index) into a SERVICE entry, if it exists. */
export function ct_update_svc_entry(
  ctx: Ctx,
  map: BpfMap,
  key: Int32Array,
  backend_id: number,
  rev_nat_index: number,
): void {
  const slot = map.lookup(key);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  if (slot === NONE) return;
  const at = slot * map.valueWords;
  map.words[at + CT_BACKEND_ID_W] = backend_id;
  map.words[at + CT_BACKEND_ID_W + 1] = 0;
  map.words[at + CT_FLAGS_W] = (map.words[at + CT_FLAGS_W]! & 0xffff) | (rev_nat_index << 16);
}
