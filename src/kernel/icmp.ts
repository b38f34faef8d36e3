// net/ipv4/icmp.c: errors sent, with their limits, and messages received.

import { PACKET_HOST, type Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import { csum_fold, csum_partial } from "./csum.js";
import { IFF_LOOPBACK, type NetDevice } from "./device.js";
import * as R from "./drop_reason.js";
import { RT_SCOPE_LINK } from "./fib.js";
import { inet_getpeer, inet_peer_xrlim_allow } from "./inetpeer.js";
import { echoOptions, ip_options_echo } from "./ip_options.js";
import { ip_push_packet } from "./ip_output.js";
import { ipip_err } from "./ipip.js";
import { IP_CT_IS_REPLY, nf_ct_attach } from "./netfilter/hooks.js";
import { IPS_SRC_NAT, type NfConn } from "./netfilter/nf_conntrack.js";
import type { Netns } from "./netns.js";
import { ping_err, ping_rcv, raw_icmp_error } from "./raw.js";
import {
  dst_mtu,
  flowOut,
  inet_select_addr,
  ip_do_redirect,
  ip_route_output_flow,
  ipv4_update_pmtu,
  RTCF_BROADCAST,
  RTCF_LOCAL,
  RTCF_MULTICAST,
  type Rtable,
} from "./route.js";
import { alloc_local_skb, consume_skb, kfree_skb_reason } from "./skbuff.js";
import { Mib } from "./snmp.js";
import { IP_PMTUDISC_DONT, Sock } from "./sock.js";
import { tcp_v4_err } from "./tcp_ipv4.js";
import { udp_err } from "./udp.js";

export const ICMP_ECHOREPLY = 0;
export const ICMP_DEST_UNREACH = 3;
export const ICMP_SOURCE_QUENCH = 4;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO = 8;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMP_PARAMETERPROB = 12;
export const ICMP_TIMESTAMP = 13;
export const ICMP_TIMESTAMPREPLY = 14;
/** RFC 8335 PROBE. */
const ICMP_EXT_ECHO = 42;

export const ICMP_NET_UNREACH = 0;
export const ICMP_HOST_UNREACH = 1;
export const ICMP_PROT_UNREACH = 2;
export const ICMP_PORT_UNREACH = 3;
export const ICMP_FRAG_NEEDED = 4;
export const ICMP_REDIR_HOST = 1;

const NR_ICMP_TYPES = 18;

/** icmp_pointers[].error. */
const isErrorType = (t: number): boolean => t === 3 || t === 4 || t === 5 || t === 11 || t === 12;

/** icmp_err_convert[]: errno and whether it is fatal to a connection, by unreachable code. */
export const ICMP_ERR_CONVERT: readonly { readonly errno: number; readonly fatal: boolean }[] = [
  { errno: 101, fatal: false }, // ENETUNREACH
  { errno: 113, fatal: false }, // EHOSTUNREACH
  { errno: 92, fatal: true }, // ENOPROTOOPT
  { errno: 111, fatal: true }, // ECONNREFUSED
  { errno: 90, fatal: false }, // EMSGSIZE
  { errno: 95, fatal: false }, // EOPNOTSUPP
  { errno: 101, fatal: true },
  { errno: 112, fatal: true }, // EHOSTDOWN
  { errno: 64, fatal: true }, // ENONET
  { errno: 101, fatal: true },
  { errno: 113, fatal: true },
  { errno: 101, fatal: false },
  { errno: 113, fatal: false },
  { errno: 113, fatal: true },
  { errno: 113, fatal: true },
  { errno: 113, fatal: true },
];

/** Per-namespace state of the global limit; credit in messages, stamp in ms. */
class IcmpGlobal {
  credit = 0;
  stamp = -1e9;
}
const globals = new WeakMap<Netns, IcmpGlobal>();
const icmpSocks = new WeakMap<Netns, Sock>();

/** The kernel's own ICMP socket of a namespace: never sets DF. */
function icmpSock(ns: Netns): Sock {
  let sk = icmpSocks.get(ns);
  if (sk === undefined) {
    sk = new Sock(ns);
    sk.pmtudisc = IP_PMTUDISC_DONT;
    icmpSocks.set(ns, sk);
  }
  return sk;
}

/** icmpv4_mask_allow: types that no limit applies to. */
function icmpv4_mask_allow(ns: Netns, type: number, code: number): boolean {
  if (type > NR_ICMP_TYPES) return true;
  if (type === ICMP_DEST_UNREACH && code === ICMP_FRAG_NEEDED) return true;
  return ((1 << type) & ns.sysctl.icmp_ratemask) === 0;
}

/** icmp_global_allow: the bucket of the namespace. */
function icmp_global_allow(ns: Netns): boolean {
  let g = globals.get(ns);
  if (g === undefined) {
    g = new IcmpGlobal();
    globals.set(ns, g);
  }
  if (g.credit >= 1) return true;
  const now = ns.kernel.clock.ns / 1e6;
  const delta = Math.min(now - g.stamp, 1000);
  if (delta < 20) return false;
  const incr = Math.floor((ns.sysctl.icmp_msgs_per_sec * delta) / 1000);
  if (incr === 0) return false;
  g.stamp = now;
  g.credit = Math.min(g.credit + incr, ns.sysctl.icmp_msgs_burst);
  return g.credit >= 1;
}

/** icmp_global_consume: a message costs 0, 1 or 2. */
function icmp_global_consume(ns: Netns): void {
  const g = globals.get(ns);
  if (g === undefined) return;
  const n = ns.kernel.prng.below(3);
  if (n > 0) g.credit = Math.max(0, g.credit - n);
}

/** icmpv4_xrlim_allow: the bucket of the destination. */
function icmpv4_xrlim_allow(
  ns: Netns,
  rt: Rtable,
  daddr: number,
  type: number,
  code: number,
  apply: boolean,
): boolean {
  if (icmpv4_mask_allow(ns, type, code) || !apply) return true;
  if ((rt.dev.flags & IFF_LOOPBACK) === 0) {
    const peer = inet_getpeer(ns, daddr);
    if (!inet_peer_xrlim_allow(ns, peer, ns.sysctl.icmp_ratelimit)) {
      ns.mib[Mib.IcmpOutRateLimitHost]!++;
      return false;
    }
  }
  icmp_global_consume(ns);
  return true;
}

function countOut(ns: Netns, type: number): void {
  const mib = ns.mib;
  mib[Mib.IcmpOutMsgs]!++;
  switch (type) {
    case ICMP_DEST_UNREACH:
      mib[Mib.IcmpOutDestUnreachs]!++;
      break;
    case ICMP_TIME_EXCEEDED:
      mib[Mib.IcmpOutTimeExcds]!++;
      break;
    case ICMP_PARAMETERPROB:
      mib[Mib.IcmpOutParmProbs]!++;
      break;
    case ICMP_REDIRECT:
      mib[Mib.IcmpOutRedirects]!++;
      break;
    case ICMP_ECHO:
      mib[Mib.IcmpOutEchos]!++;
      break;
    case ICMP_ECHOREPLY:
      mib[Mib.IcmpOutEchoReps]!++;
      break;
    case ICMP_TIMESTAMP:
      mib[Mib.IcmpOutTimestamps]!++;
      break;
    case ICMP_TIMESTAMPREPLY:
      mib[Mib.IcmpOutTimestampReps]!++;
      break;
    default:
      break;
  }
}

/** A locally sent ICMP message of type `type` is counted (raw and ping sockets call it). */
export const icmp_out_count = countOut;

/**
 * __icmp_send: an error about `skb` (its route in skb.dst, its IP header at skb.network). `info` is the second
 * word of the header: an MTU (host order, for 3/4), a gateway (Be32, for redirects), a pointer in the top byte
 * (for 12). `skb` stays the caller's.
 */
export function icmp_send(ns: Netns, skb: Skb, type: number, code: number, info: number): void {
  const rt = skb.dst as Rtable | null;
  if (rt === null) return;
  if (skb.pktType !== PACKET_HOST) return;
  if ((rt.rt_flags & (RTCF_BROADCAST | RTCF_MULTICAST)) !== 0) return;
  const n = skb.network;
  const v = skb.view;
  const b = skb.bytes;
  if ((v.getUint16(n + 6, false) & 0x1fff) !== 0) return;
  if (isErrorType(type) && b[n + 9] === 1) {
    const t = n + (b[n]! & 15) * 4;
    if (t >= skb.tail) return;
    const it = b[t]!;
    if (it > NR_ICMP_TYPES || isErrorType(it)) return;
  }
  const inDev = skb.dev as NetDevice | null;
  let apply = false;
  if (!(inDev !== null && (inDev.flags & IFF_LOOPBACK) !== 0)) {
    if (!icmpv4_mask_allow(ns, type, code)) {
      if (!icmp_global_allow(ns)) {
        ns.mib[Mib.IcmpOutRateLimitGlobal]!++;
        return;
      }
      apply = true;
    }
  }
  const origSaddr = v.getInt32(n + 12, true);
  let saddr = v.getInt32(n + 16, true);
  if ((rt.rt_flags & RTCF_LOCAL) === 0) {
    saddr = 0;
    if (rt.rt_is_input && ns.sysctl.icmp_errors_use_inbound_ifaddr !== 0) {
      const d = ns.dev(skb.ingressIfindex);
      if (d !== null) saddr = inet_select_addr(ns, d, origSaddr, RT_SCOPE_LINK);
    }
  }
  const tos = isErrorType(type) ? (b[n + 1]! & 0x1e) | 0xc0 : b[n + 1]!;
  const f = flowOut(ns);
  f.daddr = origSaddr;
  f.saddr = saddr;
  f.tos = tos & 0x1c;
  f.proto = 1;
  const out = ip_route_output_flow(ns, f);
  if (out === null) return;
  if (!icmpv4_xrlim_allow(ns, out, f.daddr, type, code, apply)) return;
  let room = dst_mtu(ns, out);
  if (room > 576) room = 576;
  if (f.saddr === 0) f.saddr = 0x080000c0; // 192.0.0.8
  const optLen = ip_options_echo(ns, skb, f.saddr);
  room -= 20 + optLen + 8;
  if (room <= 20) return;
  let len = skb.tail - n;
  if (len > room) len = room;
  const src = f.saddr;
  if (ns.recorder !== null) ns.recorder.step(Step.ICMP_ERROR, skb, null, type, code, 0);
  const e = alloc_local_skb(ns);
  const d = e.data;
  e.ensure(d + 8 + len);
  e.tail = d + 8 + len;
  const eb = e.bytes;
  for (let i = 0; i < len; i++) eb[d + 8 + i] = b[n + i]!;
  eb[d] = type;
  eb[d + 1] = code;
  eb[d + 2] = 0;
  eb[d + 3] = 0;
  if (type === ICMP_REDIRECT) e.view.setInt32(d + 4, info, true);
  else e.view.setInt32(d + 4, info, false);
  icmp_finish(ns, e, out, src, f.daddr, tos, type, skb, optLen);
}

/**
 * icmp_ndo_send: as icmp_send, from a device that transmits. Behind POSTROUTING the packet may already have a new source
 * address: the error goes to the one that it had, which is also what it quotes (with the checksum as it is by now).
 */
export function icmp_ndo_send(ns: Netns, skb: Skb, type: number, code: number, info: number): void {
  const ct = skb.nfct as NfConn | null;
  if (ct === null || (ct.status & IPS_SRC_NAT) === 0) {
    icmp_send(ns, skb, type, code, info);
    return;
  }
  const at = skb.network + 12;
  const saddr = skb.view.getInt32(at, true);
  // CTINFO2DIR: from IP_CT_IS_REPLY on the packet is an answer.
  const t = skb.nfctinfo >= IP_CT_IS_REPLY ? ct.reply : ct.orig;
  skb.view.setInt32(at, t.src, true);
  icmp_send(ns, skb, type, code, info);
  skb.view.setInt32(at, saddr, true);
}

/** icmp_push_reply: checksum, conntrack, header, out. */
function icmp_finish(
  ns: Netns,
  e: Skb,
  rt: Rtable,
  saddr: number,
  daddr: number,
  tos: number,
  type: number,
  about: Skb | null,
  optLen: number,
): void {
  const d = e.data;
  e.view.setUint16(d + 2, csum_fold(csum_partial(e.bytes, d, e.tail - d, 0)), false);
  if (about !== null && about.nfct !== null) nf_ct_attach(e, about);
  const ttl = ns.sysctl.ip_default_ttl;
  ip_push_packet(ns, e, rt, icmpSock(ns), saddr, daddr, 1, tos, ttl, type, echoOptions, optLen);
}

/** ipv4_link_failure: a neighbour of this packet's way does not answer. */
export function icmp_link_failure(ns: Netns, skb: Skb): void {
  icmp_send(ns, skb, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0);
}

/** icmp_rcv. `skb.data` is the ICMP header. */
export function icmp_rcv(ns: Netns, skb: Skb): void {
  const d = skb.data;
  const len = skb.tail - d;
  const mib = ns.mib;
  mib[Mib.IcmpInMsgs]!++;
  const b = skb.bytes;
  if (csum_fold(csum_partial(b, d, len, 0)) !== 0) {
    mib[Mib.IcmpInCsumErrors]!++;
    mib[Mib.IcmpInErrors]!++;
    kfree_skb_reason(ns, skb, R.ICMP_CSUM);
    return;
  }
  if (len < 8) {
    mib[Mib.IcmpInErrors]!++;
    kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
    return;
  }
  const type = b[d]!;
  if (type === ICMP_EXT_ECHO) {
    // icmp_echo_enable_probe is off: silence, no error.
    consume_skb(ns.kernel, skb);
    return;
  }
  const rt = skb.dst as Rtable | null;
  if (rt !== null && (rt.rt_flags & (RTCF_BROADCAST | RTCF_MULTICAST)) !== 0) {
    if ((type === ICMP_ECHO || type === ICMP_TIMESTAMP) && ns.sysctl.icmp_echo_ignore_broadcasts !== 0) {
      kfree_skb_reason(ns, skb, R.INVALID_PROTO);
      return;
    }
    if (type !== ICMP_ECHO && type !== ICMP_TIMESTAMP && type !== 17 && type !== 18) {
      kfree_skb_reason(ns, skb, R.INVALID_PROTO);
      return;
    }
  }
  switch (type) {
    case ICMP_ECHOREPLY:
      mib[Mib.IcmpInEchoReps]!++;
      ping_rcv(ns, skb);
      return;
    case ICMP_ECHO:
      mib[Mib.IcmpInEchos]!++;
      if (ns.sysctl.icmp_echo_ignore_all === 0) icmp_reply(ns, skb, ICMP_ECHOREPLY);
      consume_skb(ns.kernel, skb);
      return;
    case ICMP_TIMESTAMP:
      mib[Mib.IcmpInTimestamps]!++;
      if (len < 12) {
        mib[Mib.IcmpInErrors]!++;
        kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
        return;
      }
      icmp_reply(ns, skb, ICMP_TIMESTAMPREPLY);
      consume_skb(ns.kernel, skb);
      return;
    case ICMP_DEST_UNREACH:
      mib[Mib.IcmpInDestUnreachs]!++;
      icmp_unreach(ns, skb);
      return;
    case ICMP_TIME_EXCEEDED:
      mib[Mib.IcmpInTimeExcds]!++;
      icmp_unreach(ns, skb);
      return;
    case ICMP_PARAMETERPROB:
      mib[Mib.IcmpInParmProbs]!++;
      icmp_unreach(ns, skb);
      return;
    case ICMP_SOURCE_QUENCH:
      icmp_unreach(ns, skb);
      return;
    case ICMP_REDIRECT:
      mib[Mib.IcmpInRedirects]!++;
      icmp_redirect(ns, skb);
      return;
    case ICMP_TIMESTAMPREPLY:
      mib[Mib.IcmpInTimestampReps]!++;
      consume_skb(ns.kernel, skb);
      return;
    default:
      // Address mask, information: taken without an answer. Unknown types too.
      if (type > NR_ICMP_TYPES) {
        mib[Mib.IcmpInErrors]!++;
        kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
      } else consume_skb(ns.kernel, skb);
      return;
  }
}

/** icmp_reply: to an echo or timestamp request; the source is the address that was asked. */
function icmp_reply(ns: Netns, skb: Skb, type: number): void {
  const n = skb.network;
  const d = skb.data;
  const v = skb.view;
  const rtIn = skb.dst as Rtable;
  const daddr = v.getInt32(n + 12, true);
  // fib_compute_spec_dst: the address asked, or for broadcasts one that fits.
  let saddr = v.getInt32(n + 16, true);
  if ((rtIn.rt_flags & (RTCF_BROADCAST | RTCF_MULTICAST)) !== 0) saddr = 0;
  const tos = skb.bytes[n + 1]!;
  const f = flowOut(ns);
  f.daddr = daddr;
  f.saddr = saddr;
  f.tos = tos & 0x1c;
  f.proto = 1;
  const rt = ip_route_output_flow(ns, f);
  if (rt === null) return;
  if (!icmpv4_mask_allow(ns, type, 0)) {
    if (!icmp_global_allow(ns) || !icmpv4_xrlim_allow(ns, rt, daddr, type, 0, true)) return;
  }
  const r = alloc_local_skb(ns);
  const rd = r.data;
  const len = type === ICMP_TIMESTAMPREPLY ? 20 : skb.tail - d;
  r.ensure(rd + len);
  r.tail = rd + len;
  const from = skb.bytes;
  for (let i = 0; i < len && d + i < skb.tail; i++) r.bytes[rd + i] = from[d + i]!;
  r.bytes[rd] = type;
  r.bytes[rd + 1] = 0;
  r.bytes[rd + 2] = 0;
  r.bytes[rd + 3] = 0;
  if (type === ICMP_TIMESTAMPREPLY) {
    const ms = Math.floor(ns.kernel.clock.ns / 1e6) % 86_400_000;
    r.view.setInt32(rd + 12, ms, false);
    r.view.setInt32(rd + 16, ms, false);
  }
  const src = f.saddr;
  icmp_finish(ns, r, rt, src, daddr, tos, ICMP_ECHOREPLY, null, ip_options_echo(ns, skb, src));
}

/** icmp_unreach: an error about a packet of this host. */
function icmp_unreach(ns: Netns, skb: Skb): void {
  const d = skb.data;
  const v = skb.view;
  const b = skb.bytes;
  const type = b[d]!;
  const code = b[d + 1]!;
  const q = d + 8;
  if (skb.tail - q < 20 || (b[q]! & 15) < 5) {
    ns.mib[Mib.IcmpInErrors]!++;
    kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
    return;
  }
  let info = 0;
  if (type === ICMP_DEST_UNREACH) {
    if ((code & 15) === ICMP_FRAG_NEEDED) {
      if (ns.sysctl.ip_no_pmtu_disc !== 0 && ns.sysctl.ip_no_pmtu_disc !== 3) info = 0;
      else info = v.getUint16(d + 6, false);
    }
    if (code > 15) {
      consume_skb(ns.kernel, skb);
      return;
    }
  } else if (type === ICMP_PARAMETERPROB) info = b[d + 4]!;
  icmp_socket_deliver(ns, skb, q, type, code, info);
}

/** icmp_socket_deliver: to raw sockets and the transport that sent the quoted packet (at `q`). */
function icmp_socket_deliver(ns: Netns, skb: Skb, q: number, type: number, code: number, info: number): void {
  const v = skb.view;
  const proto = skb.bytes[q + 9]!;
  const l4 = q + (skb.bytes[q]! & 15) * 4;
  if (skb.tail - l4 < 8) {
    ns.mib[Mib.IcmpInErrors]!++;
    kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
    return;
  }
  const saddr = v.getInt32(q + 12, true);
  const daddr = v.getInt32(q + 16, true);
  if (type === ICMP_DEST_UNREACH && (code & 15) === ICMP_FRAG_NEEDED) code = ICMP_FRAG_NEEDED;
  raw_icmp_error(ns, skb, proto, q, type, code, info);
  switch (proto) {
    case 1:
      ping_err(ns, skb, q, type, code, info);
      if (type === ICMP_DEST_UNREACH && code === ICMP_FRAG_NEEDED)
        ipv4_update_pmtu(ns, daddr, saddr, skb.bytes[q + 1]!, 1, 0, info, false);
      break;
    case 6:
      tcp_v4_err(ns, skb, q, l4, type, code, info);
      break;
    case 17:
      udp_err(ns, skb, q, l4, type, code, info);
      break;
    case 4:
      if (type === ICMP_REDIRECT) ipv4_redirect(ns, skb, q, info);
      else ipip_err(ns, skb, q, type, code, info);
      break;
    default:
      break;
  }
  consume_skb(ns.kernel, skb);
}

/** icmp_redirect: a router knows a better way. Only what this host's sockets and tunnels sent is led there. */
function icmp_redirect(ns: Netns, skb: Skb): void {
  const q = skb.data + 8;
  if (skb.tail - q < 20) {
    ns.mib[Mib.IcmpInErrors]!++;
    kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
    return;
  }
  const v = skb.view;
  icmp_socket_deliver(ns, skb, q, ICMP_REDIRECT, skb.bytes[skb.data + 1]!, v.getInt32(skb.data + 4, true));
}

/** ipv4_sk_redirect, ipv4_redirect: who sent the packet quoted at `q` takes the way over `gw` (Be32) from now on. */
export function ipv4_redirect(ns: Netns, skb: Skb, q: number, gw: number): void {
  const dev = ns.dev(skb.ingressIfindex);
  if (dev === null) return;
  const v = skb.view;
  const router = v.getInt32(skb.network + 12, true);
  ip_do_redirect(ns, dev, router, gw, v.getInt32(q + 16, true), v.getInt32(q + 12, true), skb.bytes[q + 1]!);
}
