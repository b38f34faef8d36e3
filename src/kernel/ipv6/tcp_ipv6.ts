// net/ipv6/tcp_ipv6.c: what of TCP sockets is IPv6's (ipv6_specific), segments finding their sockets, errors about them.

import { PACKET_HOST, type Skb } from "../../bpf/skb.js";
import { Step } from "../../bpf/steps.js";
import * as R from "../drop_reason.js";
import type { Netns } from "../netns.js";
import { alloc_local_skb, consume_skb, kfree_skb_reason } from "../skbuff.js";
import { Mib } from "../snmp.js";
import { IN6ADDR_ANY } from "../sock.js";
import { TCP_LISTEN, TCP_TIME_WAIT, TcpSegment, type TcpSock, tcp_send_reset } from "../tcp.js";
import { type TcpAf, tcp_reset_header } from "../tcp_af.js";
import { tcp_parse } from "../tcp_ipv4.js";
import { before } from "../tcp_seq.js";
import type { Route6 } from "./fib6.js";
import { csum_ipv6_magic, ICMPV6_PKT_TOOBIG } from "./icmpv6.js";
import { ip6_build_header, ip6_local_out } from "./ip6_output.js";
import { icmpv6_err_convert, sameAddr6 } from "./raw6.js";

const IPPROTO_TCP = 6;
const ENETUNREACH = 101;

function v6_route(sk: TcpSock): Route6 | null {
  return sk.ns.fib6?.output(sk.daddr6, 0, sk.boundIf) ?? null;
}

export const ipv6_specific: TcpAf = {
  netHeaderLen: 40,
  listeners: (t) => t.tcpListen6,
  established: (t) => t.tcpEstablished6,
  route: v6_route,

  connect(sk) {
    const rt = v6_route(sk);
    if (rt === null) return null;
    if (sk.saddr6 === IN6ADDR_ANY) {
      const src = sk.ns.fib6!.outputSource(rt, sk.daddr6, 0);
      if (src === null) return null;
      sk.saddr6 = src;
    }
    return rt;
  },

  errno: () => ENETUNREACH,

  noRoute(ns) {
    ns.mib[Mib.Ip6OutNoRoutes]!++;
  },

  mtu: (sk, rt) => sk.ns.fib6!.pathMtu(rt as Route6, sk.daddr6, 0),
  advmss: () => 0,

  updatePmtu(sk, mtu) {
    sk.ns.fib6!.updatePmtu(sk.daddr6, 0, mtu);
  },

  sameAddresses: (a, b) => sameAddr6(a.daddr6, 0, b.daddr6) && sameAddr6(a.saddr6, 0, b.saddr6),

  header(sk, skb, h) {
    const hops = sk.ttl >= 0 ? sk.ttl : sk.ns.sysctl.ip6_default_hoplimit;
    ip6_build_header(skb, h - 40, sk.tos, IPPROTO_TCP, hops, sk.saddr6, sk.daddr6);
    skb.view.setUint16(h + 16, csum_ipv6_magic(skb, h - 40, IPPROTO_TCP, h, skb.tail - h), false);
  },

  output: (ns, skb) => ip6_local_out(ns, skb),

  sendReset(ns, s) {
    if ((ns.fib6?.output(s.saddr6, 0, 0) ?? null) === null) return;
    const skb = alloc_local_skb(ns);
    const h = skb.data;
    tcp_reset_header(skb, h, s);
    ip6_build_header(skb, h - 40, 0, IPPROTO_TCP, ns.sysctl.ip6_default_hoplimit, s.daddr6, s.saddr6);
    skb.view.setUint16(h + 16, csum_ipv6_magic(skb, h - 40, IPPROTO_TCP, h, 20), false);
    ns.mib[Mib.TcpOutSegs]!++;
    ns.mib[Mib.TcpOutRsts]!++;
    if (ns.recorder !== null) ns.recorder.step(Step.ORIGIN, skb, null, IPPROTO_TCP, 0, 0);
    ip6_local_out(ns, skb);
  },
};

/** The connection from the address at b[r..] and `rport` to that at b[l..] and `lport`, or null. */
function established(
  ns: Netns,
  b: Uint8Array,
  r: number,
  rport: number,
  l: number,
  lport: number,
): TcpSock | null {
  const list = ns.sockets.tcpEstablished6.get((rport << 16) | lport);
  if (list === undefined) return null;
  for (let i = 0; i < list.length; i++) {
    const s = list[i]!;
    if (sameAddr6(b, r, s.daddr6) && sameAddr6(b, l, s.saddr6)) return s;
  }
  return null;
}

/** tcp_v6_rcv; `d` is the TCP header of the packet at `n`. Takes the packet. */
export function tcp_v6_rcv(ns: Netns, skb: Skb, n: number, d: number): void {
  const len = skb.tail - d;
  const b = skb.bytes;
  if (skb.pktType !== PACKET_HOST) {
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  ns.mib[Mib.TcpInSegs]!++;
  const doff = len >= 20 ? (b[d + 12]! >> 4) * 4 : 0;
  if (len < 20 || doff < 20 || doff > len) {
    ns.mib[Mib.TcpInErrs]!++;
    kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
    return;
  }
  if (csum_ipv6_magic(skb, n, IPPROTO_TCP, d, len) !== 0) {
    ns.mib[Mib.TcpInCsumErrors]!++;
    ns.mib[Mib.TcpInErrs]!++;
    kfree_skb_reason(ns, skb, R.TCP_CSUM);
    return;
  }
  const s = tcp_parse(new TcpSegment(ipv6_specific), skb, d, doff);
  s.saddr6 = b.slice(n + 8, n + 24);
  s.daddr6 = b.slice(n + 24, n + 40);
  s.tos = ((b[n]! & 15) << 4) | (b[n + 1]! >> 4);
  s.ttl = b[n + 7]!;
  const sk =
    established(ns, b, n + 8, s.sport, n + 24, s.dport) ?? ns.sockets.tcpListen6.get(s.dport)?.[0] ?? null;
  if (sk === null) {
    tcp_send_reset(ns, s);
    kfree_skb_reason(ns, skb, R.NO_SOCKET);
    return;
  }
  if (ns.recorder !== null) ns.recorder.step(Step.DELIVER, skb, sk, IPPROTO_TCP, 0, 0);
  consume_skb(ns.kernel, skb);
  sk.segment(s);
}

/** tcp_v6_err: an error about a segment of this host, quoted at `q`. */
export function tcp_v6_err(ns: Netns, skb: Skb, q: number, type: number, code: number, info: number): void {
  const v = skb.view;
  const l4 = q + 40;
  const lport = v.getUint16(l4, false);
  const sk = established(ns, skb.bytes, q + 24, v.getUint16(l4 + 2, false), q + 8, lport);
  if (sk === null || sk.state === TCP_TIME_WAIT || sk.state === TCP_LISTEN) return;
  const seq = v.getInt32(l4 + 4, false);
  // The quoted number must be one that is under way.
  if (before(seq, sk.sndUna) || before(sk.sndNxt, seq)) return;
  if (type === ICMPV6_PKT_TOOBIG) {
    sk.pmtu(info);
    return;
  }
  const e = icmpv6_err_convert(type, code);
  sk.icmpError(e.errno, e.fatal);
}
