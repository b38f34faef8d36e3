// What of a TCP socket depends on the address family (struct inet_connection_sock_af_ops): routes, headers, tables.
// Here the interface and IPv4's functions (ipv4_specific, tcp_v4_send_reset of net/ipv4/tcp_ipv4.c); IPv6's are in
// ipv6/tcp_ipv6.ts.

import type { Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import { csum_fold, csum_partial, csum_pseudo } from "./csum.js";
import { ip_build_header, ip_local_out, ip_put_options } from "./ip_output.js";
import type { Route6 } from "./ipv6/fib6.js";
import type { Netns } from "./netns.js";
import {
  dst_mtu,
  FLOWI_FLAG_ANYSRC,
  flowOut,
  ip_route_output_flow,
  ipv4_update_pmtu,
  outputErrno,
  RTN_MULTICAST,
  type Rtable,
  rtMtuLocked,
} from "./route.js";
import { alloc_local_skb } from "./skbuff.js";
import { Mib } from "./snmp.js";
import { IP_PMTUDISC_DO, IP_PMTUDISC_PROBE, IP_PMTUDISC_WANT, type SocketTable } from "./sock.js";
import type { TcpSegment, TcpSock } from "./tcp.js";

/** What `route` gives is only handed back to the functions of the same family. */
export type TcpRoute = Rtable | Route6;

export interface TcpAf {
  /** Bytes of the IP header. */
  readonly netHeaderLen: number;
  listeners(t: SocketTable): Map<number, TcpSock[]>;
  /** By (remote port << 16 | local port). */
  established(t: SocketTable): Map<number, TcpSock[]>;
  /** The route of the socket's addresses; null: none, `errno()` says why. */
  route(sk: TcpSock): TcpRoute | null;
  /** `route`, which also settles the source address. */
  connect(sk: TcpSock): TcpRoute | null;
  /** errno of the last `route` or `connect` that found nothing. */
  errno(): number;
  /** Counts such a failure. */
  noRoute(ns: Netns): void;
  /** Path MTU, bytes. */
  mtu(sk: TcpSock, rt: TcpRoute): number;
  /** RTAX_ADVMSS; 0: from the MTU. */
  advmss(rt: TcpRoute): number;
  /** Notes what an ICMP error said of the path to the peer. */
  updatePmtu(sk: TcpSock, mtu: number): void;
  sameAddresses(a: TcpSock, b: TcpSock): boolean;
  /**
   * Puts the IP header in front of the segment at `h` (to skb.tail) and writes the checksum. `segs`: how many packets a
   * GSO packet will become.
   */
  header(sk: TcpSock, skb: Skb, h: number, rt: TcpRoute, synAck: boolean, segs: number): void;
  output(ns: Netns, skb: Skb): number;
  /** Answers a segment that is no reset with one. */
  sendReset(ns: Netns, s: TcpSegment): void;
}

const TH_RST = 4;
const TH_ACK = 16;

/** A reset for `s` without options at `h`, checksum 0 (tcp_v4_send_reset, tcp_v6_send_response). */
export function tcp_reset_header(skb: Skb, h: number, s: TcpSegment): void {
  skb.tail = h + 20;
  const v = skb.view;
  const b = skb.bytes;
  v.setUint16(h, s.dport, false);
  v.setUint16(h + 2, s.sport, false);
  if ((s.flags & TH_ACK) !== 0) {
    v.setInt32(h + 4, s.ack, false);
    v.setInt32(h + 8, 0, false);
    b[h + 13] = TH_RST;
  } else {
    v.setInt32(h + 4, 0, false);
    v.setInt32(h + 8, s.end, false);
    b[h + 13] = TH_RST | TH_ACK;
  }
  b[h + 12] = 0x50;
  v.setUint16(h + 14, 0, false);
  v.setUint16(h + 16, 0, false);
  v.setUint16(h + 18, 0, false);
}

function v4_route(sk: TcpSock, settle: boolean): Rtable | null {
  const f = flowOut(sk.ns);
  f.daddr = sk.daddr;
  f.saddr = sk.saddr;
  f.tos = sk.tos & 0x1c;
  f.mark = sk.mark;
  f.proto = 6;
  f.oif = sk.boundIf;
  f.sport = sk.sport;
  f.dport = sk.dport;
  if (sk.transparent) f.flags |= FLOWI_FLAG_ANYSRC;
  const rt = ip_route_output_flow(sk.ns, f);
  if (settle && rt !== null) sk.saddr = f.saddr;
  return rt;
}

export const ipv4_specific: TcpAf = {
  netHeaderLen: 20,
  listeners: (t) => t.tcpListen,
  established: (t) => t.tcpEstablished,
  route: (sk) => v4_route(sk, false),
  connect: (sk) => v4_route(sk, true),
  errno: () => outputErrno,

  noRoute(ns) {
    if (outputErrno === 101) ns.mib[Mib.IpOutNoRoutes]!++;
  },

  mtu: (sk, rt) => dst_mtu(sk.ns, rt as Rtable),

  advmss(rt) {
    const { fi } = rt as Rtable;
    return fi === null ? 0 : fi.advmss;
  },

  updatePmtu(sk, mtu) {
    ipv4_update_pmtu(sk.ns, sk.daddr, sk.saddr, sk.tos, 6, sk.mark, mtu);
  },

  sameAddresses: (a, b) => a.daddr === b.daddr && a.saddr === b.saddr,

  header(sk, skb, h, rt, synAck, segs) {
    const n = h - 20;
    skb.data = n;
    skb.network = n;
    const df =
      sk.pmtudisc === IP_PMTUDISC_DO ||
      sk.pmtudisc === IP_PMTUDISC_PROBE ||
      (sk.pmtudisc === IP_PMTUDISC_WANT && !rtMtuLocked(rt as Rtable));
    const ttl = sk.ttl >= 0 ? sk.ttl : sk.ns.sysctl.ip_default_ttl;
    // A SYN|ACK comes from a request, not from a socket: no id with DF.
    let id = 0;
    if (!synAck) {
      id = sk.ipId;
      sk.ipId = (id + segs) & 0xffff;
    }
    ip_build_header(skb, n, sk.tos, id, df, ttl, 6, sk.saddr, sk.daddr);
    const len = skb.tail - h;
    const sum = csum_partial(skb.bytes, h, len, csum_pseudo(skb, n, 6, len));
    skb.view.setUint16(h + 16, csum_fold(sum), false);
    skb.dst = rt;
  },

  output: ip_local_out,

  sendReset(ns, s) {
    const f = flowOut(ns);
    f.daddr = s.saddr;
    f.saddr = s.daddr;
    f.proto = 6;
    f.tos = s.tos & 0x1c;
    f.sport = s.dport;
    f.dport = s.sport;
    const rt = ip_route_output_flow(ns, f);
    if (rt === null) return;
    const skb = alloc_local_skb(ns);
    const h = skb.data;
    tcp_reset_header(skb, h, s);
    const opt = s.ipOptions;
    const n = h - 20 - opt.length;
    skb.data = n;
    skb.network = n;
    const ttl = rt.rt_type === RTN_MULTICAST ? 1 : ns.sysctl.ip_default_ttl;
    ip_build_header(skb, n, s.tos & ~3, 0, true, ttl, 6, s.daddr, s.saddr);
    if (opt.length > 0) ip_put_options(skb, n, opt, opt.length);
    const sum = csum_partial(skb.bytes, h, 20, csum_pseudo(skb, n, 6, 20));
    skb.view.setUint16(h + 16, csum_fold(sum), false);
    skb.dst = rt;
    skb.hash = s.txhash;
    ns.mib[Mib.TcpOutSegs]!++;
    ns.mib[Mib.TcpOutRsts]!++;
    if (ns.recorder !== null) ns.recorder.step(Step.ORIGIN, skb, null, 6, 0, 0);
    // ip_send_skb.
    if (ip_local_out(ns, skb) !== 0) ns.mib[Mib.IpOutDiscards]!++;
  },
};
