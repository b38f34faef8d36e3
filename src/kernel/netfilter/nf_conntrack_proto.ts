// UDP, ICMP, SCTP and every other protocol in connection tracking (nf_conntrack_proto_{udp,icmp,sctp,generic}.c).
// A tracker returns NF_ACCEPT, or -NF_ACCEPT when the packet is INVALID (it passes, without an entry).

import type { Skb } from "../../bpf/skb.js";
import { csum_fold, csum_partial, csum_tcpudp } from "../csum.js";
import { IP_CT_RELATED, IP_CT_RELATED_REPLY, NF_ACCEPT, NF_INET_PRE_ROUTING } from "./hooks.js";
import {
  IP_CT_DIR_REPLY,
  IPCT_ASSURED,
  IPCT_PROTOINFO,
  IPS_ASSURED,
  IPS_CONFIRMED,
  IPS_SEEN_REPLY,
  type NfConn,
  type NfConntrack,
} from "./nf_conntrack.js";

export const IPPROTO_ICMP = 1;
export const IPPROTO_IPIP = 4;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_GRE = 47;
export const IPPROTO_ESP = 50;
export const IPPROTO_SCTP = 132;
export const IPPROTO_UDPLITE = 136;

/** Type of the answer to an ICMP query and of the query to an answer; -1 = not trackable. */
export const ICMP_INVERT: readonly number[] = [
  8, -1, -1, -1, -1, -1, -1, -1, 0, -1, -1, -1, -1, 14, 13, 16, 15, 18, 17,
];

/** Do the bytes that the IP header promises exist, and is the L4 checksum right (nf_checksum in PREROUTING)? */
export function nf_ip_checksum_bad(
  ct: NfConntrack,
  skb: Skb,
  off: number,
  proto: number,
  hook: number,
): boolean {
  if (ct.sysctl.checksum === 0 || hook !== NF_INET_PRE_ROUTING) return false;
  const len = skb.tail - off;
  if (proto === IPPROTO_ICMP) return csum_fold(csum_partial(skb.bytes, off, len, 0)) !== 0;
  return csum_tcpudp(skb, skb.data, proto, off, len) !== 0;
}

/** nf_conntrack_udp_packet. */
export function udp_packet(
  net: NfConntrack,
  ct: NfConn,
  skb: Skb,
  off: number,
  ctinfo: number,
  hook: number,
): number {
  const len = skb.tail - off;
  if (len < 8) return -NF_ACCEPT;
  const v = skb.view;
  const ulen = v.getUint16(off + 4, false);
  if (ulen > len || ulen < 8) return -NF_ACCEPT;
  if (v.getUint16(off + 6, false) !== 0) {
    if (net.sysctl.checksum !== 0 && hook === NF_INET_PRE_ROUTING) {
      if (csum_tcpudp(skb, skb.data, v.getUint8(skb.data + 9), off, len) !== 0) return -NF_ACCEPT;
    }
  }
  const status = ct.status;
  if ((status & IPS_CONFIRMED) === 0) ct.streamTs = (net.now + 2000) | 0;
  if ((status & IPS_SEEN_REPLY) !== 0) {
    let span = net.sysctl.udp_timeout;
    let stream = false;
    // Still active after two seconds? Then it is some kind of stream.
    if (((net.now - ct.streamTs) | 0) > 0) {
      span = net.sysctl.udp_timeout_stream;
      stream = (status & IPS_ASSURED) === 0;
    }
    net.refresh(ct, ctinfo, skb, span);
    if (stream) {
      ct.status |= IPS_ASSURED;
      ct.events |= IPCT_ASSURED;
    }
  } else {
    net.refresh(ct, ctinfo, skb, net.sysctl.udp_timeout);
  }
  return NF_ACCEPT;
}

/** nf_conntrack_icmp_packet: only queries make an entry. */
export function icmp_packet(net: NfConntrack, ct: NfConn, skb: Skb, ctinfo: number): number {
  const type = ct.orig.dport >>> 8;
  if (type !== 8 && type !== 13 && type !== 15 && type !== 17) return -NF_ACCEPT;
  net.refresh(ct, ctinfo, skb, net.sysctl.icmp_timeout);
  return NF_ACCEPT;
}

/** nf_conntrack_gre_packet. Keys are 0: only PPTP's GRE has them, and its helper is not modelled. */
export function gre_packet(net: NfConntrack, ct: NfConn, skb: Skb, ctinfo: number): number {
  if ((ct.status & IPS_SEEN_REPLY) !== 0) {
    net.refresh(ct, ctinfo, skb, net.sysctl.gre_timeout_stream);
    if ((ct.status & IPS_ASSURED) === 0) {
      ct.status |= IPS_ASSURED;
      ct.events |= IPCT_ASSURED;
    }
  } else net.refresh(ct, ctinfo, skb, net.sysctl.gre_timeout);
  return NF_ACCEPT;
}

export function generic_packet(net: NfConntrack, ct: NfConn, skb: Skb, ctinfo: number): number {
  net.refresh(ct, ctinfo, skb, net.sysctl.generic_timeout);
  return NF_ACCEPT;
}

/**
 * nf_conntrack_icmpv4_error: an ICMP error belongs to the connection of the packet it quotes. 0 = look on (also
 * when the entry was found and hangs on the packet), non-zero = INVALID.
 */
export function icmp_error(net: NfConntrack, skb: Skb, off: number, hook: number, zone: number): number {
  if (off + 8 > skb.tail) return -1;
  if (nf_ip_checksum_bad(net, skb, off, IPPROTO_ICMP, hook)) return -1;
  const type = skb.view.getUint8(off);
  if (type > 18) return -1;
  if (type !== 3 && type !== 4 && type !== 5 && type !== 11 && type !== 12) return 0;
  const h = net.findQuoted(skb, off + 8, zone);
  if (h === null) return -1;
  // The error must go to whom the connection's packets of that direction go.
  if (h.dst !== skb.view.getInt32(skb.data + 16, true)) return -1;
  skb.nfct = h.ct;
  skb.nfctinfo = h.dir === IP_CT_DIR_REPLY ? IP_CT_RELATED_REPLY : IP_CT_RELATED;
  return 0;
}

// ---- SCTP ----

const SCTP_NONE = 0;
const SCTP_CLOSED = 1;
const SCTP_COOKIE_WAIT = 2;
const SCTP_COOKIE_ECHOED = 3;
const SCTP_ESTABLISHED = 4;
const SCTP_SHUTDOWN_SENT = 5;
const SCTP_SHUTDOWN_RECD = 6;
const SCTP_SHUTDOWN_ACK_SENT = 7;
const SCTP_HEARTBEAT_SENT = 8;
const SCTP_INVALID = 9;

/** Names of SCTP states as `conntrack -L` prints them. */
export const SCTP_STATE_NAMES: readonly string[] = [
  "NONE",
  "CLOSED",
  "COOKIE_WAIT",
  "COOKIE_ECHOED",
  "ESTABLISHED",
  "SHUTDOWN_SENT",
  "SHUTDOWN_RECD",
  "SHUTDOWN_ACK_SENT",
  "HEARTBEAT_SENT",
];

/** Next state by direction, chunk and state; chunk order as in `sctpChunk`. */
const SCTP_NEXT: readonly (readonly (readonly number[])[])[] = [
  [
    // no  cl  cw  ce  es  ss  sr  sa  hs
    [2, 2, 2, 3, 4, 5, 6, 7, 2], // INIT
    [1, 1, 2, 3, 4, 5, 6, 7, 1], // INIT_ACK
    [1, 1, 1, 1, 1, 1, 1, 1, 1], // ABORT
    [1, 1, 2, 3, 5, 5, 6, 7, 1], // SHUTDOWN
    [7, 1, 2, 3, 7, 7, 7, 7, 1], // SHUTDOWN_ACK
    [1, 1, 2, 3, 4, 5, 6, 7, 1], // ERROR
    [1, 1, 3, 3, 4, 5, 6, 7, 1], // COOKIE_ECHO
    [1, 1, 2, 3, 4, 5, 6, 7, 1], // COOKIE_ACK
    [1, 1, 2, 3, 4, 5, 6, 1, 1], // SHUTDOWN_COMPLETE
    [8, 1, 2, 3, 4, 5, 6, 7, 8], // HEARTBEAT
    [8, 1, 2, 3, 4, 5, 6, 7, 8], // HEARTBEAT_ACK
  ],
  [
    [9, 1, 2, 3, 4, 5, 6, 7, 1],
    [9, 1, 2, 3, 4, 5, 6, 7, 1],
    [9, 1, 1, 1, 1, 1, 1, 1, 1],
    [9, 1, 2, 3, 6, 5, 6, 7, 1],
    [9, 1, 2, 3, 7, 7, 7, 7, 7],
    [9, 1, 2, 3, 4, 5, 6, 7, 1],
    [9, 1, 2, 3, 3, 5, 6, 7, 1],
    [9, 1, 2, 4, 4, 5, 6, 7, 1],
    [9, 1, 2, 3, 4, 5, 6, 1, 1],
    [9, 1, 2, 3, 4, 5, 6, 7, 8],
    [9, 1, 2, 3, 4, 5, 6, 7, 4],
  ],
];

function sctpChunk(type: number): number {
  switch (type) {
    case 1:
      return 0;
    case 2:
      return 1;
    case 6:
      return 2;
    case 7:
      return 3;
    case 8:
      return 4;
    case 9:
      return 5;
    case 10:
      return 6;
    case 11:
      return 7;
    case 14:
      return 8;
    case 4:
      return 9;
    case 5:
      return 10;
    default:
      return -1;
  }
}

/**
 * nf_conntrack_sctp_packet. Differs from the kernel: verification tags are not compared, only chunk types move
 * the state.
 */
export function sctp_packet(
  net: NfConntrack,
  ct: NfConn,
  skb: Skb,
  off: number,
  ctinfo: number,
  hook: number,
): number {
  const end = skb.tail;
  if (off + 12 + 4 > end) return -NF_ACCEPT;
  if (net.sysctl.checksum !== 0 && hook === NF_INET_PRE_ROUTING) {
    const said = skb.view.getInt32(off + 8, true);
    if (sctp_checksum(skb, off, end - off) !== said) return -NF_ACCEPT;
  }
  const v = skb.view;
  const dir = ctinfo >= 3 ? 1 : 0;
  let old = ct.sctpState;
  let state = old;
  let count = 0;
  for (let p = off + 12; p + 4 <= end; ) {
    const clen = v.getUint16(p + 2, false);
    if (clen < 4) return -NF_ACCEPT;
    const c = sctpChunk(v.getUint8(p));
    if (c >= 0) {
      const next = SCTP_NEXT[dir]![c]![state]!;
      if (next === SCTP_INVALID) return -NF_ACCEPT;
      state = next;
    } else if (state === SCTP_NONE) {
      // DATA and others do not open an association.
      return -NF_ACCEPT;
    }
    count++;
    p += (clen + 3) & ~3;
  }
  if (count === 0) return -NF_ACCEPT;
  if (state === SCTP_NONE || (old === SCTP_NONE && state === SCTP_CLOSED)) return -NF_ACCEPT;
  ct.sctpState = state;
  if (state !== old) ct.events |= IPCT_PROTOINFO;
  net.refresh(ct, ctinfo, skb, net.sysctl.sctp_timeouts[state]!);
  if (old === SCTP_COOKIE_ECHOED && dir === 1 && state === SCTP_ESTABLISHED) {
    ct.status |= IPS_ASSURED;
    ct.events |= IPCT_ASSURED;
  }
  old = state;
  return NF_ACCEPT;
}

const CRC32C = new Int32Array(256);
for (let i = 0; i < 256; i++) {
  let c = i;
  for (let k = 0; k < 8; k++) c = (c & 1) !== 0 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  CRC32C[i] = c;
}

/** sctp_compute_cksum: CRC32c over the packet with its field as zero; stands little-endian in the header. */
export function sctp_checksum(skb: Skb, off: number, len: number): number {
  const b = skb.bytes;
  let c = -1;
  for (let i = 0; i < len; i++) c = CRC32C[(c ^ (i >= 8 && i < 12 ? 0 : b[off + i]!)) & 0xff]! ^ (c >>> 8);
  return ~c;
}

export {
  SCTP_CLOSED,
  SCTP_COOKIE_WAIT,
  SCTP_ESTABLISHED,
  SCTP_HEARTBEAT_SENT,
  SCTP_SHUTDOWN_ACK_SENT,
  SCTP_SHUTDOWN_RECD,
  SCTP_SHUTDOWN_SENT,
};
