// net/ipv4/tcp_ipv4.c: segments find their sockets; ICMP errors about them.

import { PACKET_HOST, type Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import { csum_tcpudp } from "./csum.js";
import * as R from "./drop_reason.js";
import {
  ICMP_DEST_UNREACH,
  ICMP_ERR_CONVERT,
  ICMP_FRAG_NEEDED,
  ICMP_REDIRECT,
  ipv4_redirect,
} from "./icmp.js";
import { echoOptions, ip_options_echo } from "./ip_options.js";
import type { Netns } from "./netns.js";
import { consume_skb, kfree_skb_reason } from "./skbuff.js";
import { Mib } from "./snmp.js";
import {
  TCP_LISTEN,
  TCP_TIME_WAIT,
  TcpSegment,
  type TcpSock,
  TH_FIN,
  TH_SYN,
  tcp_listener,
  tcp_send_reset,
} from "./tcp.js";
import { ipv4_specific } from "./tcp_af.js";
import { before } from "./tcp_seq.js";

/** __inet_lookup_established. */
function established(ns: Netns, saddr: number, sport: number, daddr: number, dport: number): TcpSock | null {
  const l = ns.sockets.tcpEstablished.get((sport << 16) | dport);
  if (l === undefined) return null;
  for (let i = 0; i < l.length; i++) {
    const s = l[i]!;
    if (s.daddr === saddr && s.saddr === daddr && s.dport === sport && s.sport === dport) return s;
  }
  return null;
}

/** The socket for a segment from saddr:sport to daddr:dport: a connection, else a listener, else null. */
export function tcp_lookup(
  ns: Netns,
  saddr: number,
  sport: number,
  daddr: number,
  dport: number,
  dif: number,
): TcpSock | null {
  return established(ns, saddr, sport, daddr, dport) ?? tcp_listener(ns, daddr, dport, dif);
}

/** tcp_v4_rcv. `skb.data` is the TCP header. */
export function tcp_v4_rcv(ns: Netns, skb: Skb): void {
  const d = skb.data;
  const n = skb.network;
  const len = skb.tail - d;
  if (skb.pktType !== PACKET_HOST) {
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  ns.mib[Mib.TcpInSegs]!++;
  const doff = len >= 20 ? (skb.bytes[d + 12]! >> 4) * 4 : 0;
  if (len < 20 || doff < 20 || doff > len) {
    ns.mib[Mib.TcpInErrs]!++;
    kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
    return;
  }
  if (csum_tcpudp(skb, n, 6, d, len) !== 0) {
    ns.mib[Mib.TcpInCsumErrors]!++;
    ns.mib[Mib.TcpInErrs]!++;
    kfree_skb_reason(ns, skb, R.TCP_CSUM);
    return;
  }
  const v = skb.view;
  const s = tcp_parse(new TcpSegment(ipv4_specific), skb, d, doff);
  s.saddr = v.getInt32(n + 12, true);
  s.daddr = v.getInt32(n + 16, true);
  s.tos = skb.bytes[n + 1]!;
  s.ttl = skb.bytes[n + 8]!;
  const optLen = ip_options_echo(ns, skb, s.daddr);
  if (optLen > 0) s.ipOptions = echoOptions.slice(0, optLen);
  const sk = (skb.sk as TcpSock | null) ?? tcp_lookup(ns, s.saddr, s.sport, s.daddr, s.dport, skb.ifindex);
  if (sk === null) {
    tcp_send_reset(ns, s);
    kfree_skb_reason(ns, skb, R.NO_SOCKET);
    return;
  }
  if (ns.recorder !== null) ns.recorder.step(Step.DELIVER, skb, sk, 6, 0, 0);
  consume_skb(ns.kernel, skb);
  sk.segment(s);
}

/** The fields, options and data of a segment whose header is at `d`, `doff` bytes long, into `s`. */
export function tcp_parse(s: TcpSegment, skb: Skb, d: number, doff: number): TcpSegment {
  const v = skb.view;
  const b = skb.bytes;
  s.id = skb.id;
  s.sport = v.getUint16(d, false);
  s.dport = v.getUint16(d + 2, false);
  s.seq = v.getInt32(d + 4, false);
  s.ack = v.getInt32(d + 8, false);
  s.flags = b[d + 13]! & 0x3f;
  s.window = v.getUint16(d + 14, false);
  s.data = b.slice(d + doff, skb.tail);
  s.end =
    (s.seq + s.data.length + ((s.flags & TH_SYN) !== 0 ? 1 : 0) + ((s.flags & TH_FIN) !== 0 ? 1 : 0)) | 0;
  const end = d + doff;
  for (let o = d + 20; o < end; ) {
    const k = b[o]!;
    if (k === 0) break;
    if (k === 1) {
      o++;
      continue;
    }
    const l = o + 1 < end ? b[o + 1]! : 0;
    if (l < 2 || o + l > end) break;
    if (k === 2 && l === 4) s.mss = v.getUint16(o + 2, false);
    else if (k === 3 && l === 3) s.wscale = b[o + 2]!;
    else if (k === 4 && l === 2) s.sackOk = true;
    else if (k === 8 && l === 10) {
      s.hasTs = true;
      s.tsVal = v.getInt32(o + 2, false);
      s.tsEcr = v.getInt32(o + 6, false);
    } else if (k === 5) for (let i = o + 2; i + 4 <= o + l; i += 4) s.sacks.push(v.getInt32(i, false));
    o += l;
  }
  return s;
}

/** tcp_v4_err: an error about a segment of this host, quoted at `q`, its TCP header at `l4`. */
export function tcp_v4_err(
  ns: Netns,
  skb: Skb,
  q: number,
  l4: number,
  type: number,
  code: number,
  info: number,
): void {
  const v = skb.view;
  const saddr = v.getInt32(q + 12, true);
  const daddr = v.getInt32(q + 16, true);
  const sk = established(ns, daddr, v.getUint16(l4 + 2, false), saddr, v.getUint16(l4, false));
  if (sk === null || sk.state === TCP_TIME_WAIT || sk.state === TCP_LISTEN) {
    if (sk === null) ns.mib[Mib.IcmpInErrors]!++;
    return;
  }
  const seq = v.getInt32(l4 + 4, false);
  // The quoted number must be one that is under way.
  if (before(seq, sk.sndUna) || before(sk.sndNxt, seq)) return;
  if (type === ICMP_DEST_UNREACH) {
    if (code > 15) return;
    if (code === ICMP_FRAG_NEEDED) {
      // The route learns of it when the socket does: tcp_v4_mtu_reduced.
      sk.pmtu(info);
      return;
    }
    const e = ICMP_ERR_CONVERT[code]!;
    sk.icmpError(e.errno, e.fatal);
  } else if (type === ICMP_REDIRECT) ipv4_redirect(ns, skb, q, info);
  else if (type === 11) sk.icmpError(113, false);
  else if (type === 12) sk.icmpError(71, true);
}
