// The flow dissector, after __skb_flow_dissect in net/core/flow_dissector.c: from a packet's bytes to the fields
// that identify its flow. Goes through VLAN tags, IPv6 extension headers, IPIP, 6in4 and GRE as the kernel's does,
// and, as the kernel's, not through UDP tunnels.
//
// Differs from the kernel: MPLS, PPPoE, batman, TIPC and PTP end the walk as unknown protocols do.

import * as ethernet from "./ethernet.js";
import * as ipv4 from "./ipv4.js";
import * as ipv6 from "./ipv6.js";

/** Dissect the transport header of a first fragment too. */
export const FLOW_DISSECTOR_F_PARSE_1ST_FRAG = 1;
/** Stop at an IPv6 header with a flow label: it identifies the flow by itself. */
export const FLOW_DISSECTOR_F_STOP_AT_FLOW_LABEL = 2;
/** Stop at the first encapsulated packet. */
export const FLOW_DISSECTOR_F_STOP_AT_ENCAP = 4;

/** `flags` of FlowKeys: a fragment; its first one; what is described is inside another packet. */
export const FLOW_DIS_IS_FRAGMENT = 1;
export const FLOW_DIS_FIRST_FRAG = 2;
export const FLOW_DIS_ENCAPSULATION = 4;

export const IPPROTO_DCCP = 33;

/** Most headers a packet may have before the walk gives up (MAX_FLOW_DISSECT_HDRS). */
const MAX_HDRS = 15;

/** What `dissect` found; one object serves any number of packets. */
export class FlowKeys {
  /** EtherType of the innermost network header that was read, host order. */
  nProto = 0;
  /** Transport protocol; 0 when none was reached. */
  ipProto = 0;
  /** Offset of the innermost network header, -1 if none. */
  nhoff = -1;
  /** Offset of the transport header (of the payload for fragments); never past the end. */
  thoff = 0;
  /** 4, 6, or 0 without a network header. */
  family = 0;
  /** FLOW_DIS_ bits. */
  flags = 0;
  /** IPv4 addresses, Be32. */
  saddr = 0;
  daddr = 0;
  /** IPv6 addresses as little-endian words: source 0 to 3, destination 4 to 7. */
  readonly v6 = new Int32Array(8);
  /** Ports, Be16; the SPI of ESP and AH lies across both. */
  sport = 0;
  dport = 0;
  /** ICMP type and code; -1 for other protocols. */
  icmpType = -1;
  icmpCode = -1;
  /** ICMP echo identifier, Be16; 0 for messages without one. */
  icmpId = 0;
  /** Flow label of IPv6, host order. */
  flowLabel = 0;
  /** TCI of the outermost VLAN tag; -1 = none. */
  vlanTci = -1;
  /** GRE key. */
  keyid = 0;

  clear(): void {
    // A call of fill costs more than these stores.
    const { v6 } = this;
    for (let i = 0; i < 8; i++) v6[i] = 0;
    this.nProto = 0;
    this.ipProto = 0;
    this.nhoff = -1;
    this.thoff = 0;
    this.family = 0;
    this.flags = 0;
    this.saddr = 0;
    this.daddr = 0;
    this.sport = 0;
    this.dport = 0;
    this.icmpType = -1;
    this.icmpCode = -1;
    this.icmpId = 0;
    this.flowLabel = 0;
    this.vlanTci = -1;
    this.keyid = 0;
  }
}

/** Dissects the Ethernet frame in [off, end). */
export function dissectFrame(view: DataView, off: number, end: number, k: FlowKeys, flags: number): boolean {
  if (off + ethernet.ETH_HLEN > end) {
    k.clear();
    k.thoff = end;
    return false;
  }
  return dissect(view, off + ethernet.ETH_HLEN, end, ethernet.proto(view, off), k, flags);
}

/**
 * Dissects the packet of EtherType `proto` whose network header is at `off`. False when a header is malformed,
 * truncated or unknown; the keys hold what was read until then. Reads nothing at or behind `end`.
 */
export function dissect(
  view: DataView,
  off: number,
  end: number,
  proto: number,
  k: FlowKeys,
  flags: number,
): boolean {
  k.clear();
  let at = off;
  let ethertype = proto;
  let ipProto = 0;
  let ok = false;
  let done = false;

  for (let hdrs = 0; hdrs < MAX_HDRS && !done; hdrs++) {
    // One turn reads one network header and the chain of protocol numbers behind it.
    let again = false;
    if (ethertype === ethernet.ETH_P_IP) {
      if (at + ipv4.IPV4_HLEN > end || ipv4.ihl(view, at) < 5) break;
      k.nhoff = at;
      k.family = 4;
      k.nProto = ethertype;
      k.saddr = ipv4.saddr(view, at);
      k.daddr = ipv4.daddr(view, at);
      ipProto = ipv4.protocol(view, at);
      const frag = ipv4.fragOff(view, at);
      at += ipv4.hlen(view, at);
      ok = true;
      if ((frag & (ipv4.IP_MF | ipv4.IP_OFFSET)) !== 0) {
        k.flags |= FLOW_DIS_IS_FRAGMENT;
        if ((frag & ipv4.IP_OFFSET) !== 0) break;
        k.flags |= FLOW_DIS_FIRST_FRAG;
        if ((flags & FLOW_DISSECTOR_F_PARSE_1ST_FRAG) === 0) break;
      }
    } else if (ethertype === ethernet.ETH_P_IPV6) {
      if (at + ipv6.IPV6_HLEN > end) break;
      k.nhoff = at;
      k.family = 6;
      k.nProto = ethertype;
      for (let i = 0; i < 8; i++) k.v6[i] = view.getInt32(at + ipv6.OFF_SADDR + 4 * i, true);
      ipProto = ipv6.nexthdr(view, at);
      k.flowLabel = ipv6.flowLabel(view, at);
      at += ipv6.IPV6_HLEN;
      ok = true;
      if (k.flowLabel !== 0 && (flags & FLOW_DISSECTOR_F_STOP_AT_FLOW_LABEL) !== 0) {
        // Without ports, so that fragments of the flow look like its other packets.
        k.ipProto = ipProto;
        k.thoff = at;
        return true;
      }
    } else if (ethernet.isVlan(ethertype)) {
      if (at + ethernet.VLAN_HLEN > end) break;
      if (k.vlanTci < 0) k.vlanTci = view.getUint16(at);
      ethertype = view.getUint16(at + 2);
      at += ethernet.VLAN_HLEN;
      continue;
    } else {
      // ARP and what the walk does not know: only the EtherType is a key.
      k.nProto = ethertype;
      ok = ethertype === ethernet.ETH_P_ARP || ethertype === ethernet.ETH_P_RARP;
      break;
    }

    // Protocol numbers until a transport header or another network header.
    for (;;) {
      if (hdrs++ >= MAX_HDRS) {
        ok = false;
        done = true;
        break;
      }
      if (ipProto === ipv6.NEXTHDR_HOP || ipProto === ipv6.NEXTHDR_ROUTING || ipProto === ipv6.NEXTHDR_DEST) {
        if (ethertype !== ethernet.ETH_P_IPV6) {
          done = true;
          break;
        }
        if (at + 2 > end) {
          ok = false;
          done = true;
          break;
        }
        ipProto = view.getUint8(at);
        at += (view.getUint8(at + 1) + 1) << 3;
        continue;
      }
      if (ipProto === ipv6.NEXTHDR_FRAGMENT) {
        done = true;
        if (ethertype !== ethernet.ETH_P_IPV6) break;
        if (at + ipv6.FRAG_HLEN > end) {
          ok = false;
          break;
        }
        k.flags |= FLOW_DIS_IS_FRAGMENT;
        const first = (view.getUint16(at + 2) & ipv6.IP6_OFFSET) === 0;
        ipProto = view.getUint8(at);
        at += ipv6.FRAG_HLEN;
        if (!first) break;
        k.flags |= FLOW_DIS_FIRST_FRAG;
        if ((flags & FLOW_DISSECTOR_F_PARSE_1ST_FRAG) === 0) break;
        done = false;
        continue;
      }
      if (ipProto === ipv4.IPPROTO_IPIP || ipProto === ipv4.IPPROTO_IPV6) {
        ethertype = ipProto === ipv4.IPPROTO_IPIP ? ethernet.ETH_P_IP : ethernet.ETH_P_IPV6;
        k.flags |= FLOW_DIS_ENCAPSULATION;
        if ((flags & FLOW_DISSECTOR_F_STOP_AT_ENCAP) !== 0) done = true;
        else again = true;
        break;
      }
      if (ipProto === ipv4.IPPROTO_GRE) {
        const inner = greProto(view, at, end, k);
        if (inner === GRE_UNKNOWN) {
          done = true;
        } else if (inner === GRE_TRUNCATED) {
          ok = false;
          done = true;
        } else {
          k.flags |= FLOW_DIS_ENCAPSULATION;
          if ((flags & FLOW_DISSECTOR_F_STOP_AT_ENCAP) !== 0) {
            done = true;
          } else {
            ethertype = inner;
            at = greNext;
            again = true;
          }
        }
        break;
      }
      done = true;
      break;
    }
    if (!again) break;
    // Another network header follows; if it is bad, so is the packet.
    ok = false;
  }

  k.ipProto = ipProto;
  k.thoff = Math.min(at, end);
  if (!ok || k.nhoff < 0) return ok;
  transport(view, at, end, k, flags);
  return true;
}

/** Ports or ICMP fields, if the transport header is there. */
function transport(view: DataView, at: number, end: number, k: FlowKeys, flags: number): void {
  if ((k.flags & FLOW_DIS_IS_FRAGMENT) !== 0) {
    const wanted = FLOW_DIS_IS_FRAGMENT | FLOW_DIS_FIRST_FRAG;
    if ((k.flags & wanted) !== wanted || (flags & FLOW_DISSECTOR_F_PARSE_1ST_FRAG) === 0) return;
  }
  switch (k.ipProto) {
    case ipv4.IPPROTO_TCP:
    case ipv4.IPPROTO_UDP:
    case ipv4.IPPROTO_SCTP:
    case ipv4.IPPROTO_UDPLITE:
    case ipv4.IPPROTO_ESP:
    case IPPROTO_DCCP:
      if (at + 4 > end) return;
      k.sport = view.getUint16(at, true);
      k.dport = view.getUint16(at + 2, true);
      return;
    case ipv4.IPPROTO_AH:
      if (at + 8 > end) return;
      k.sport = view.getUint16(at + 4, true);
      k.dport = view.getUint16(at + 6, true);
      return;
    case ipv4.IPPROTO_ICMP:
    case ipv4.IPPROTO_ICMPV6: {
      if (at + 8 > end) return;
      const t = view.getUint8(at);
      k.icmpType = t;
      k.icmpCode = view.getUint8(at + 1);
      if (hasIcmpId(k.ipProto, t)) k.icmpId = view.getUint16(at + 4, true);
      return;
    }
  }
}

/** Messages with an identifier at byte 4 (icmp_has_id). */
export function hasIcmpId(proto: number, type: number): boolean {
  if (proto === ipv4.IPPROTO_ICMPV6) return type === 128 || type === 129;
  return type === 0 || type === 8 || (type >= 13 && type <= 18);
}

const GRE_UNKNOWN = -1;
const GRE_TRUNCATED = -2;
const GRE_CSUM = 0x8000;
const GRE_KEY = 0x2000;
const GRE_SEQ = 0x1000;
const GRE_ROUTING_OR_VERSION = 0x4007;

// Offset behind the GRE header (and the inner MAC header) that greProto read; valid after a proto was returned.
let greNext = 0;

/** EtherType of the packet inside GRE version 0, or one of the two codes above. */
function greProto(view: DataView, at: number, end: number, k: FlowKeys): number {
  if (at + 4 > end) return GRE_TRUNCATED;
  const f = view.getUint16(at);
  if ((f & GRE_ROUTING_OR_VERSION) !== 0) return GRE_UNKNOWN;
  let proto = view.getUint16(at + 2);
  let next = at + 4;
  if ((f & GRE_CSUM) !== 0) next += 4;
  if ((f & GRE_KEY) !== 0) {
    if (next + 4 > end) return GRE_TRUNCATED;
    k.keyid = view.getInt32(next, true);
    next += 4;
  }
  if ((f & GRE_SEQ) !== 0) next += 4;
  if (proto === ethernet.ETH_P_TEB) {
    if (next + ethernet.ETH_HLEN > end) return GRE_TRUNCATED;
    proto = view.getUint16(next + ethernet.OFF_PROTO);
    next += ethernet.ETH_HLEN;
  }
  greNext = next;
  return proto;
}
