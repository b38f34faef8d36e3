// NAT: choosing a mapping for a new connection and rewriting its packets. Follows net/netfilter/nf_nat_core.c,
// nf_nat_proto.c, nf_nat_masquerade.c and nf_nat_redirect.c.
//
// A mapping is made once, from the chains of the nat table, while the entry is unconfirmed; then every packet of
// the connection is rewritten from the entry alone.

import type { Skb } from "../../bpf/skb.js";
import { Step } from "../../bpf/steps.js";
import { csum_fold, csum_partial } from "../csum.js";
import type { NetDevice } from "../device.js";
import {
  IP_CT_NEW,
  IP_CT_RELATED,
  IP_CT_RELATED_REPLY,
  NF_ACCEPT,
  NF_DROP,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
} from "./hooks.js";
import {
  ctDir,
  IP_CT_DIR_ORIGINAL,
  IP_CT_DIR_REPLY,
  IPS_CONFIRMED,
  IPS_DST_NAT,
  IPS_DST_NAT_DONE,
  IPS_NAT_DONE_MASK,
  IPS_NAT_MASK,
  IPS_SRC_NAT,
  IPS_SRC_NAT_DONE,
  IPS_TEMPLATE,
  type NfConn,
  type NfConntrack,
  NfTuple,
  nf_ct_invert_tuple,
} from "./nf_conntrack.js";
import {
  IPPROTO_ICMP,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPPROTO_UDPLITE,
  sctp_checksum,
} from "./nf_conntrack_proto.js";

export const NF_NAT_MANIP_SRC = 0;
export const NF_NAT_MANIP_DST = 1;

export const NF_NAT_RANGE_MAP_IPS = 1;
export const NF_NAT_RANGE_PROTO_SPECIFIED = 2;
export const NF_NAT_RANGE_PROTO_RANDOM = 4;
export const NF_NAT_RANGE_PERSISTENT = 8;
export const NF_NAT_RANGE_PROTO_RANDOM_FULLY = 16;
export const NF_NAT_RANGE_PROTO_OFFSET = 32;
const NF_NAT_RANGE_PROTO_RANDOM_ALL = NF_NAT_RANGE_PROTO_RANDOM | NF_NAT_RANGE_PROTO_RANDOM_FULLY;

/** struct nf_nat_range2. Addresses are Be32, ports host order. */
export class NatRange {
  flags = 0;
  minAddr = 0;
  maxAddr = 0;
  minPort = 0;
  maxPort = 0;
  basePort = 0;

  copyFrom(r: NatRange): void {
    this.flags = r.flags;
    this.minAddr = r.minAddr;
    this.maxAddr = r.maxAddr;
    this.minPort = r.minPort;
    this.maxPort = r.maxPort;
    this.basePort = r.basePort;
  }
}

/** HOOK2MANIP: what a nat chain on this hook changes. */
export function hook2manip(hook: number): number {
  return hook === NF_INET_POST_ROUTING || hook === NF_INET_LOCAL_IN ? NF_NAT_MANIP_SRC : NF_NAT_MANIP_DST;
}

/** nf_nat_initialized. */
export function nf_nat_initialized(ct: NfConn, manip: number): boolean {
  return (ct.status & (manip === NF_NAT_MANIP_SRC ? IPS_SRC_NAT_DONE : IPS_DST_NAT_DONE)) !== 0;
}

/** A Be32 as an unsigned number in host order. */
function ntohl(a: number): number {
  return (((a & 0xff) << 24) | ((a & 0xff00) << 8) | ((a >>> 8) & 0xff00) | (a >>> 24)) >>> 0;
}

function htonl(a: number): number {
  return ((a & 0xff) << 24) | ((a & 0xff00) << 8) | ((a >>> 8) & 0xff00) | ((a >>> 24) & 0xff);
}

const scratchReply = new NfTuple();
const scratchCurr = new NfTuple();
const scratchNew = new NfTuple();
const scratchTarget = new NfTuple();
const nullRange = new NatRange();
const masqRange = new NatRange();

function usedTuple(net: NfConntrack, t: NfTuple, ct: NfConn): boolean {
  if (!nf_ct_invert_tuple(scratchReply, t)) return true;
  return net.tupleTaken(scratchReply, ct, ct.reply.zone);
}

/** l4proto_in_range. */
function portInRange(t: NfTuple, manip: number, r: NatRange): boolean {
  switch (t.proto) {
    case IPPROTO_ICMP:
      return t.sport >= r.minPort && t.sport <= r.maxPort;
    case IPPROTO_TCP:
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
    case IPPROTO_SCTP: {
      const p = manip === NF_NAT_MANIP_SRC ? t.sport : t.dport;
      return p >= r.minPort && p <= r.maxPort;
    }
    default:
      return true;
  }
}

/** in_range: does the source of the tuple satisfy the range already? */
function inRange(t: NfTuple, r: NatRange): boolean {
  if ((r.flags & NF_NAT_RANGE_MAP_IPS) !== 0) {
    const a = ntohl(t.src);
    if (a < ntohl(r.minAddr) || a > ntohl(r.maxAddr)) return false;
  }
  if ((r.flags & NF_NAT_RANGE_PROTO_SPECIFIED) === 0) return true;
  return portInRange(t, NF_NAT_MANIP_SRC, r);
}

/** find_appropriate_src: the mapping that another connection of this source has, if it fits. */
function findAppropriateSrc(net: NfConntrack, t: NfTuple, out: NfTuple, r: NatRange, zone: number): boolean {
  for (let ct = net.natChain(t); ct !== null; ct = ct.natNext) {
    const o = ct.orig;
    if (o.proto === t.proto && o.src === t.src && o.sport === t.sport && o.zone === zone) {
      if (!nf_ct_invert_tuple(out, ct.reply)) continue;
      out.dst = t.dst;
      out.dport = t.dport;
      if (inRange(out, r)) return true;
    }
  }
  return false;
}

/** find_best_ips_proto: one address of the range, the same for the same source and destination. */
function findBestIp(net: NfConntrack, t: NfTuple, r: NatRange, ct: NfConn, manip: number): void {
  if ((r.flags & NF_NAT_RANGE_MAP_IPS) === 0) return;
  let ip = r.minAddr;
  if (r.minAddr !== r.maxAddr) {
    let j = Math.imul(t.src ^ 0x9e3779b9, 0x85ebca6b);
    if ((r.flags & NF_NAT_RANGE_PERSISTENT) === 0) j = Math.imul(j ^ t.dst ^ ct.zone, 0xc2b2ae35);
    j = (j ^ (j >>> 16)) >>> 0;
    const min = ntohl(r.minAddr);
    const dist = ntohl(r.maxAddr) - min + 1;
    ip = htonl(min + Math.floor((j / 0x1_0000_0000) * dist));
  }
  void net;
  if (manip === NF_NAT_MANIP_SRC) t.src = ip;
  else t.dst = ip;
}

/** nf_nat_l4proto_unique_tuple: a port (or ICMP id) that nobody uses, from a random start. */
function uniquePort(net: NfConntrack, t: NfTuple, r: NatRange, manip: number, ct: NfConn): void {
  let min: number;
  let size: number;
  let key: number;
  const src = manip === NF_NAT_MANIP_SRC || t.proto === IPPROTO_ICMP;
  const spec = (r.flags & NF_NAT_RANGE_PROTO_SPECIFIED) !== 0;
  switch (t.proto) {
    case IPPROTO_ICMP:
      key = t.sport;
      min = spec ? r.minPort : 0;
      size = spec ? r.maxPort - r.minPort + 1 : 65_536;
      break;
    case IPPROTO_TCP:
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
    case IPPROTO_SCTP:
      key = src ? t.sport : t.dport;
      if (spec) {
        min = Math.min(r.minPort, r.maxPort);
        size = Math.max(r.minPort, r.maxPort) - min + 1;
      } else {
        // Without a range a destination port cannot change.
        if (manip === NF_NAT_MANIP_DST) return;
        if (key < 512) {
          min = 1;
          size = 511;
        } else if (key < 1024) {
          min = 600;
          size = 424;
        } else {
          min = 1024;
          size = 64_512;
        }
      }
      break;
    default:
      return;
  }
  let off =
    (r.flags & NF_NAT_RANGE_PROTO_OFFSET) !== 0
      ? (key - r.basePort) & 0xffff
      : (net.prng.nextInt32() >>> 16) & 0xffff;
  let attempts = Math.min(size, 128);
  for (;;) {
    for (let i = 0; i < attempts; i++, off = (off + 1) & 0xffff) {
      const p = min + (off % size);
      if (src) t.sport = p;
      else t.dport = p;
      if (!usedTuple(net, t, ct)) return;
    }
    if (attempts >= size || attempts < 16) return;
    attempts >>= 1;
    off = (net.prng.nextInt32() >>> 16) & 0xffff;
  }
}

/** get_unique_tuple. */
function getUniqueTuple(
  net: NfConntrack,
  t: NfTuple,
  orig: NfTuple,
  r: NatRange,
  ct: NfConn,
  manip: number,
): void {
  if (manip === NF_NAT_MANIP_SRC && (r.flags & NF_NAT_RANGE_PROTO_RANDOM_ALL) === 0) {
    if (inRange(orig, r)) {
      if (!usedTuple(net, orig, ct)) {
        t.copyFrom(orig);
        return;
      }
    } else if (findAppropriateSrc(net, orig, t, r, ct.orig.zone) && !usedTuple(net, t, ct)) return;
  }
  t.copyFrom(orig);
  findBestIp(net, t, r, ct, manip);
  if ((r.flags & NF_NAT_RANGE_PROTO_RANDOM_ALL) === 0) {
    if ((r.flags & NF_NAT_RANGE_PROTO_SPECIFIED) !== 0) {
      if (
        (r.flags & NF_NAT_RANGE_PROTO_OFFSET) === 0 &&
        portInRange(t, manip, r) &&
        (r.minPort === r.maxPort || !usedTuple(net, t, ct))
      )
        return;
    } else if (!usedTuple(net, t, ct)) return;
  }
  uniquePort(net, t, r, manip, ct);
}

/** nf_nat_setup_info: gives a new connection its mapping. Returns NF_*. */
export function nf_nat_setup_info(net: NfConntrack, ct: NfConn, r: NatRange, manip: number): number {
  if ((ct.status & IPS_CONFIRMED) !== 0) return NF_ACCEPT;
  if (nf_nat_initialized(ct, manip)) return NF_DROP;
  const curr = scratchCurr;
  const next = scratchNew;
  // What we have looks like the inverse of the reply: the original, as far as it was changed before.
  nf_ct_invert_tuple(curr, ct.reply);
  getUniqueTuple(net, next, curr, r, ct, manip);
  if (!next.equals(curr)) {
    nf_ct_invert_tuple(ct.reply, next);
    ct.status |= manip === NF_NAT_MANIP_SRC ? IPS_SRC_NAT : IPS_DST_NAT;
  }
  ct.status |= manip === NF_NAT_MANIP_SRC ? IPS_SRC_NAT_DONE : IPS_DST_NAT_DONE;
  return NF_ACCEPT;
}

/** nf_nat_alloc_null_binding: no rule spoke; the port may still have to change when it is taken. */
export function nf_nat_alloc_null_binding(net: NfConntrack, ct: NfConn, hook: number): number {
  const manip = hook2manip(hook);
  const r = nullRange;
  const ip = manip === NF_NAT_MANIP_SRC ? ct.reply.dst : ct.reply.src;
  r.flags = NF_NAT_RANGE_MAP_IPS;
  r.minAddr = ip;
  r.maxAddr = ip;
  return nf_nat_setup_info(net, ct, r, manip);
}

/** nf_nat_masquerade_ipv4; `newsrc` is what inet_select_addr chose on `out`, 0 = none. */
export function nf_nat_masquerade(
  net: NfConntrack,
  ct: NfConn,
  r: NatRange,
  out: NetDevice,
  newsrc: number,
): number {
  if (ct.orig.src === 0) return NF_ACCEPT;
  if (newsrc === 0) return NF_DROP;
  ct.masqIndex = out.ifindex;
  masqRange.copyFrom(r);
  masqRange.flags |= NF_NAT_RANGE_MAP_IPS;
  masqRange.minAddr = newsrc;
  masqRange.maxAddr = newsrc;
  return nf_nat_setup_info(net, ct, masqRange, NF_NAT_MANIP_SRC);
}

// ---- rewriting ----

/** inet_proto_csum_replace4 on the 16-bit checksum at `at`. Addresses are Be32. */
export function csumReplace4(skb: Skb, at: number, from: number, to: number): void {
  const f = ntohl(from);
  const t = ntohl(to);
  let s =
    (~skb.view.getUint16(at, false) & 0xffff) +
    (~(f >>> 16) & 0xffff) +
    (~f & 0xffff) +
    (t >>> 16) +
    (t & 0xffff);
  s = (s & 0xffff) + (s >>> 16);
  s = (s & 0xffff) + (s >>> 16);
  skb.view.setUint16(at, ~s & 0xffff, false);
}

/** inet_proto_csum_replace2 on the 16-bit checksum at `at`. */
export function csumReplace2(skb: Skb, at: number, from: number, to: number): void {
  let s = (~skb.view.getUint16(at, false) & 0xffff) + (~from & 0xffff) + to;
  s = (s & 0xffff) + (s >>> 16);
  s = (s & 0xffff) + (s >>> 16);
  skb.view.setUint16(at, ~s & 0xffff, false);
}

/**
 * nf_nat_ipv4_manip_pkt: makes source (or destination) of the packet whose IP header is at `n` what `target` says.
 * `end` bounds the packet's bytes: a quoted packet may be cut after 8 bytes of L4.
 */
export function nf_nat_manip_at(skb: Skb, n: number, target: NfTuple, manip: number): boolean {
  const v = skb.view;
  const hl = (v.getUint8(n) & 15) << 2;
  const off = n + hl;
  const src = manip === NF_NAT_MANIP_SRC;
  const at = n + (src ? 12 : 16);
  const oldIp = v.getInt32(at, true);
  const newIp = src ? target.src : target.dst;
  const proto = v.getUint8(n + 9);
  // Only the first fragment has the L4 header.
  if ((v.getUint16(n + 6, false) & 0x1fff) === 0 && !manipL4(skb, off, proto, target, src, oldIp, newIp)) {
    return false;
  }
  csumReplace4(skb, n + 10, oldIp, newIp);
  v.setInt32(at, newIp, true);
  return true;
}

function manipL4(
  skb: Skb,
  off: number,
  proto: number,
  target: NfTuple,
  src: boolean,
  oldIp: number,
  newIp: number,
): boolean {
  const v = skb.view;
  const left = skb.tail - off;
  switch (proto) {
    case IPPROTO_TCP: {
      if (left < 8) return false;
      const at = src ? off : off + 2;
      const newPort = src ? target.sport : target.dport;
      const oldPort = v.getUint16(at, false);
      v.setUint16(at, newPort, false);
      // A quoted segment may be cut before its checksum.
      if (left < 20) return true;
      csumReplace4(skb, off + 16, oldIp, newIp);
      csumReplace2(skb, off + 16, oldPort, newPort);
      return true;
    }
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE: {
      if (left < 8) return false;
      const at = src ? off : off + 2;
      const newPort = src ? target.sport : target.dport;
      const oldPort = v.getUint16(at, false);
      v.setUint16(at, newPort, false);
      if (v.getUint16(off + 6, false) === 0 && proto === IPPROTO_UDP) return true;
      csumReplace4(skb, off + 6, oldIp, newIp);
      csumReplace2(skb, off + 6, oldPort, newPort);
      if (v.getUint16(off + 6, false) === 0) v.setUint16(off + 6, 0xffff, false);
      return true;
    }
    case IPPROTO_ICMP: {
      if (left < 8) return false;
      const type = v.getUint8(off);
      switch (type) {
        case 0:
        case 8:
        case 13:
        case 14:
        case 15:
        case 16:
        case 17:
        case 18: {
          const old = v.getUint16(off + 4, false);
          csumReplace2(skb, off + 2, old, target.sport);
          v.setUint16(off + 4, target.sport, false);
        }
      }
      return true;
    }
    case IPPROTO_SCTP: {
      if (left < 8) return false;
      v.setUint16(src ? off : off + 2, src ? target.sport : target.dport, false);
      if (left >= 12) v.setInt32(off + 8, sctp_checksum(skb, off, left), true);
      return true;
    }
    default:
      return true;
  }
}

/** nf_nat_manip_pkt: one packet of the connection, one side of it. */
function nf_nat_manip_pkt(net: NfConntrack, skb: Skb, ct: NfConn, manip: number, dir: number): number {
  const target = scratchTarget;
  nf_ct_invert_tuple(target, ct.tuple(1 - dir));
  if (!nf_nat_manip_at(skb, skb.data, target, manip)) return NF_DROP;
  const rec = net.ns.recorder;
  if (rec !== null) rec.step(Step.NF_NAT, skb, ct, manip, 0, 0);
  return NF_ACCEPT;
}

/** nf_nat_packet. */
export function nf_nat_packet(net: NfConntrack, ct: NfConn, ctinfo: number, hook: number, skb: Skb): number {
  const manip = hook2manip(hook);
  let bit = manip === NF_NAT_MANIP_SRC ? IPS_SRC_NAT : IPS_DST_NAT;
  const dir = ctDir(ctinfo);
  if (dir === IP_CT_DIR_REPLY) bit ^= IPS_NAT_MASK;
  if ((ct.status & bit) === 0) return NF_ACCEPT;
  return nf_nat_manip_pkt(net, skb, ct, manip, dir);
}

/** nf_nat_icmp_reply_translation: an ICMP error about a translated connection, inside and outside. */
export function nf_nat_icmp_reply_translation(
  net: NfConntrack,
  skb: Skb,
  ct: NfConn,
  ctinfo: number,
  hook: number,
): boolean {
  const n = skb.data;
  const v = skb.view;
  const off = n + ((v.getUint8(n) & 15) << 2);
  const dir = ctDir(ctinfo);
  const manip = hook2manip(hook);
  if (off + 8 > skb.tail) return false;
  if (csum_fold(csum_partial(skb.bytes, off, skb.tail - off, 0)) !== 0) return false;
  if (v.getUint8(off) === 5) {
    // A redirect of a translated connection is nobody's business; of an unfinished one neither.
    if ((ct.status & IPS_NAT_DONE_MASK) !== IPS_NAT_DONE_MASK) return false;
    if ((ct.status & IPS_NAT_MASK) !== 0) return false;
  }
  let bit = manip === NF_NAT_MANIP_SRC ? IPS_SRC_NAT : IPS_DST_NAT;
  if (dir === IP_CT_DIR_REPLY) bit ^= IPS_NAT_MASK;
  if ((ct.status & bit) === 0) return true;
  if (off + 8 + 20 > skb.tail) return false;
  if (!nf_nat_manip_at(skb, off + 8, ct.tuple(1 - dir), 1 - manip)) return false;
  v.setUint16(off + 2, 0, false);
  v.setUint16(off + 2, csum_fold(csum_partial(skb.bytes, off, skb.tail - off, 0)), false);
  const target = scratchTarget;
  nf_ct_invert_tuple(target, ct.tuple(1 - dir));
  const at = n + (manip === NF_NAT_MANIP_SRC ? 12 : 16);
  const ip = manip === NF_NAT_MANIP_SRC ? target.src : target.dst;
  csumReplace4(skb, n + 10, v.getInt32(at, true), ip);
  v.setInt32(at, ip, true);
  const rec = net.ns.recorder;
  if (rec !== null) rec.step(Step.NF_NAT, skb, ct, manip, 1, 0);
  return true;
}

/** The chains of the nat table on one hook, for the first packet. Returns NF_*; NF_ACCEPT also when none spoke. */
export interface NatChains {
  chains(skb: Skb, hook: number, inDev: NetDevice | null, outDev: NetDevice | null): number;
}

/** nf_nat_ipv4_fn and nf_nat_inet_fn: the nat hook of one packet. Returns NF_*. */
export function nf_nat_fn(
  net: NfConntrack,
  rules: NatChains,
  skb: Skb,
  hook: number,
  inDev: NetDevice | null,
  outDev: NetDevice | null,
): number {
  const ct = skb.nfct as NfConn | null;
  if (ct === null || (ct.status & IPS_TEMPLATE) !== 0) return NF_ACCEPT;
  const ctinfo = skb.nfctinfo;
  if (
    (ctinfo === IP_CT_RELATED || ctinfo === IP_CT_RELATED_REPLY) &&
    skb.view.getUint8(skb.data + 9) === IPPROTO_ICMP
  ) {
    return nf_nat_icmp_reply_translation(net, skb, ct, ctinfo, hook) ? NF_ACCEPT : NF_DROP;
  }
  const manip = hook2manip(hook);
  if (ctinfo === IP_CT_NEW || ctinfo === IP_CT_RELATED || ctinfo === IP_CT_RELATED_REPLY) {
    if (!nf_nat_initialized(ct, manip)) {
      const v = rules.chains(skb, hook, inDev, outDev);
      if (v !== NF_ACCEPT) return v;
      if (!nf_nat_initialized(ct, manip)) {
        const b = nf_nat_alloc_null_binding(net, ct, hook);
        if (b !== NF_ACCEPT) return b;
      }
    } else if (oifChanged(ct, ctinfo, hook, outDev)) {
      net.kill(ct);
      return NF_DROP;
    }
  } else if (oifChanged(ct, ctinfo, hook, outDev)) {
    net.kill(ct);
    return NF_DROP;
  }
  return nf_nat_packet(net, ct, ctinfo, hook, skb);
}

/** nf_nat_oif_changed: a masqueraded connection that would now leave by another device is given up. */
function oifChanged(ct: NfConn, ctinfo: number, hook: number, out: NetDevice | null): boolean {
  return (
    ct.masqIndex !== 0 &&
    hook === NF_INET_POST_ROUTING &&
    ctDir(ctinfo) === IP_CT_DIR_ORIGINAL &&
    out !== null &&
    out.ifindex !== ct.masqIndex
  );
}

/** nf_nat_ipv4_local_fn's question: must an outgoing packet be routed anew because its destination changed? */
export function natRerouteNeeded(skb: Skb, hook: number): boolean {
  if (hook !== NF_INET_LOCAL_OUT) return false;
  const ct = skb.nfct as NfConn | null;
  if (ct === null || (ct.status & IPS_TEMPLATE) !== 0) return false;
  const dir = ctDir(skb.nfctinfo);
  return ct.tuple(dir).dst !== ct.tuple(1 - dir).src;
}
