// net/ipv6/udp.c: UDP sockets of IPv6. Each serves that family only (IPV6_V6ONLY).
//
// Differs from the kernel: a datagram that is too long for the path is refused (EMSGSIZE) instead of fragmented.

import type { Skb } from "../../bpf/skb.js";
import { Step } from "../../bpf/steps.js";
import { SockName } from "../cgroup.js";
import * as R from "../drop_reason.js";
import type { Netns } from "../netns.js";
import { alloc_local_skb, consume_skb, kfree_skb_reason } from "../skbuff.js";
import { Mib } from "../snmp.js";
import { IN6ADDR_ANY, SO_EE_ORIGIN_LOCAL, Sock } from "../sock.js";
import { csum_ipv6_magic, ICMPV6_DEST_UNREACH, ICMPV6_PKT_TOOBIG, icmp6_send } from "./icmpv6.js";
import { ip6_build_header, ip6_local_out } from "./ip6_output.js";
import { sameAddr6, sock_icmp6_error } from "./raw6.js";

const IPPROTO_UDP = 17;
const ICMPV6_PORT_UNREACH = 4;
const EMSGSIZE = 90;
const EADDRINUSE = 98;
const EADDRNOTAVAIL = 99;
const ENETUNREACH = 101;

const sockName = new SockName();

/** A datagram as a socket received it. */
export interface Datagram6 {
  readonly data: Uint8Array;
  /** 16 bytes. */
  readonly from: Uint8Array;
  readonly sport: number;
  readonly to: Uint8Array;
  /** Hop limit. */
  readonly ttl: number;
}

export class Udp6Sock extends Sock {
  readonly received: Datagram6[] = [];
  /** Gets each datagram; without it they collect in `received`. */
  onDatagram: ((d: Datagram6) => void) | null = null;
  connected = false;

  /** recvmsg(): the oldest datagram that waits; reading makes it count as received. */
  recv(): Datagram6 | undefined {
    const d = this.received.shift();
    if (d !== undefined) this.ns.mib[Mib.Udp6InDatagrams]!++;
    return d;
  }

  /** Binds to every address of the host. 0 or a negative errno. Port 0 = any free one. */
  bind(port: number): number {
    const t = this.ns.sockets;
    const p = port === 0 ? t.ephemeralPort((x) => t.udp6.has(x)) : port;
    if (t.udp6.has(p)) return -EADDRINUSE;
    this.sport = p;
    t.udp6.set(p, [this]);
    return 0;
  }

  /** 0 or a negative errno. */
  connect(addr: Uint8Array, port: number): number {
    const { ns } = this;
    const name = sockName.set6(addr, port);
    const refused = ns.kernel.cgroup?.connect6(this, IPPROTO_UDP, name) ?? 0;
    if (refused !== 0) return refused;
    const fib = ns.fib6;
    const rt = fib === null ? null : fib.output(name.ip6, 0, this.boundIf);
    if (fib === null || rt === null) return -ENETUNREACH;
    const saddr = this.saddr6 !== IN6ADDR_ANY ? this.saddr6 : fib.outputSource(rt, name.ip6, 0);
    if (saddr === null) return -EADDRNOTAVAIL;
    if (this.sport === 0) this.bind(0);
    this.saddr6 = saddr;
    this.daddr6 = name.ip6.slice();
    this.dport = name.port;
    this.connected = true;
    return 0;
  }

  /** udpv6_sendmsg: 0 or a negative errno. `id`: the walk's id. */
  sendto(data: Uint8Array, addr: Uint8Array = this.daddr6, port = this.dport, id = 0): number {
    const { ns } = this;
    if (this.err !== 0) return -this.takeError();
    if (this.sport === 0) this.bind(0);
    const name = sockName.set6(addr, port);
    // A connected socket was translated at connect().
    if (!this.connected && ns.kernel.cgroup !== null) {
      const refused = ns.kernel.cgroup.sendmsg6(this, IPPROTO_UDP, name);
      if (refused !== 0) return refused;
    }
    const fib = ns.fib6;
    const rt = fib === null ? null : fib.output(name.ip6, 0, this.boundIf);
    if (fib === null || rt === null) {
      ns.mib[Mib.Ip6OutNoRoutes]!++;
      return -ENETUNREACH;
    }
    const saddr = this.saddr6 !== IN6ADDR_ANY ? this.saddr6 : fib.outputSource(rt, name.ip6, 0);
    if (saddr === null) return -EADDRNOTAVAIL;
    const mtu = fib.pathMtu(rt, name.ip6, 0);
    if (data.length + 48 > mtu) {
      const e = { errno: EMSGSIZE, origin: SO_EE_ORIGIN_LOCAL, type: 0, code: 0, info: mtu, offender: 0 };
      if (this.recverr) this.errqueue.push(e);
      return -EMSGSIZE;
    }
    const skb = alloc_local_skb(ns);
    if (id !== 0) skb.id = id;
    const d = skb.data;
    const len = 8 + data.length;
    skb.ensure(d + len);
    skb.tail = d + len;
    skb.bytes.set(data, d + 8);
    const v = skb.view;
    v.setUint16(d, this.sport, false);
    v.setUint16(d + 2, name.port, false);
    v.setUint16(d + 4, len, false);
    v.setUint16(d + 6, 0, false);
    const hops = this.ttl >= 0 ? this.ttl : ns.sysctl.ip6_default_hoplimit;
    ip6_build_header(skb, d - 40, this.tos, IPPROTO_UDP, hops, saddr, name.ip6);
    v.setUint16(d + 6, csum_ipv6_magic(skb, d - 40, IPPROTO_UDP, d, len) || 0xffff, false);
    skb.mark = this.mark;
    skb.priority = this.priority;
    skb.sk = this;
    if (ns.recorder !== null) ns.recorder.step(Step.ORIGIN, skb, this, IPPROTO_UDP, 0, 0);
    const r = ip6_local_out(ns, skb);
    if (r === 0) ns.mib[Mib.Udp6OutDatagrams]!++;
    return this.xmitErrno(r);
  }

  close(): void {
    const t = this.ns.sockets.udp6;
    if (t.get(this.sport)?.[0] === this) t.delete(this.sport);
    this.closed = true;
    this.ns.kernel.cgroup?.release(this, IPPROTO_UDP);
  }
}

/** __udp6_lib_lookup: the socket for a packet from the address at b[s..] to a port, or null. */
function udp6_lookup(ns: Netns, b: Uint8Array, s: number, sport: number, dport: number): Udp6Sock | null {
  const sk = ns.sockets.udp6.get(dport)?.[0];
  if (sk === undefined) return null;
  if (sk.connected && (sk.dport !== sport || !sameAddr6(b, s, sk.daddr6))) return null;
  return sk;
}

/** udpv6_rcv; `d` is the UDP header of the packet at `n`. Takes the packet. */
export function udpv6_rcv(ns: Netns, skb: Skb, n: number, d: number): void {
  const v = skb.view;
  const b = skb.bytes;
  const { mib } = ns;
  const avail = skb.tail - d;
  const ulen = avail < 8 ? 0 : v.getUint16(d + 4, false);
  if (ulen > avail || ulen < 8) {
    mib[Mib.Udp6InErrors]!++;
    kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
    return;
  }
  skb.tail = d + ulen;
  // Without a checksum only tunnels may send, which IPv6 underlays would need.
  if (v.getUint16(d + 6, false) === 0 || csum_ipv6_magic(skb, n, IPPROTO_UDP, d, ulen) !== 0) {
    mib[Mib.Udp6InCsumErrors]!++;
    mib[Mib.Udp6InErrors]!++;
    kfree_skb_reason(ns, skb, R.UDP_CSUM);
    return;
  }
  const sport = v.getUint16(d, false);
  const sk = udp6_lookup(ns, b, n + 8, sport, v.getUint16(d + 2, false));
  if (sk === null) {
    mib[Mib.Udp6NoPorts]!++;
    icmp6_send(ns, skb, ICMPV6_DEST_UNREACH, ICMPV6_PORT_UNREACH, 0);
    kfree_skb_reason(ns, skb, R.NO_SOCKET);
    return;
  }
  if (ns.recorder !== null) ns.recorder.step(Step.DELIVER, skb, sk, IPPROTO_UDP, 0, 0);
  // What recvmsg() will say of the sender.
  const peer = sockName.set6(b, sport, n + 8);
  ns.kernel.cgroup?.recvmsg6(sk, IPPROTO_UDP, peer);
  const dg: Datagram6 = {
    data: b.slice(d + 8, skb.tail),
    from: peer.ip6.slice(),
    sport: peer.port,
    to: b.slice(n + 24, n + 40),
    ttl: b[n + 7]!,
  };
  consume_skb(ns.kernel, skb);
  if (sk.onDatagram !== null) {
    mib[Mib.Udp6InDatagrams]!++;
    sk.onDatagram(dg);
  } else {
    sk.received.push(dg);
    sk.onEvent?.();
  }
}

/** udpv6_err: an ICMPv6 error about a datagram of this host, quoted at `q`. */
export function udpv6_err(ns: Netns, skb: Skb, q: number, type: number, code: number, info: number): void {
  const v = skb.view;
  const l4 = q + 40;
  if (type === ICMPV6_PKT_TOOBIG) ns.fib6!.updatePmtu(skb.bytes, q + 24, info);
  const sk = udp6_lookup(ns, skb.bytes, q + 24, v.getUint16(l4 + 2, false), v.getUint16(l4, false));
  if (sk !== null) sock_icmp6_error(sk, skb, type, code, info, sk.connected);
}
