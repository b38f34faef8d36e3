// net/ipv4/udp.c.

import type { Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import { SockName } from "./cgroup.js";
import { csum_fold, csum_partial, csum_tcpudp } from "./csum.js";
import * as R from "./drop_reason.js";
import {
  ICMP_DEST_UNREACH,
  ICMP_FRAG_NEEDED,
  ICMP_PORT_UNREACH,
  ICMP_REDIRECT,
  icmp_send,
  ipv4_redirect,
} from "./icmp.js";
import { ip_push_packet, ip_select_ttl } from "./ip_output.js";
import type { Netns } from "./netns.js";
import { sock_icmp_error } from "./raw.js";
import {
  dst_mtu,
  flowOut,
  ip_route_output_flow,
  ipv4_update_pmtu,
  outputErrno,
  RTCF_BROADCAST,
  RTCF_MULTICAST,
  RTN_LOCAL,
  type Rtable,
} from "./route.js";
import { alloc_local_skb, consume_skb, kfree_skb_reason } from "./skbuff.js";
import { Mib } from "./snmp.js";
import { IP_PMTUDISC_PROBE, SO_EE_ORIGIN_LOCAL, Sock } from "./sock.js";

const sockName = new SockName();

const EMSGSIZE = 90;
const EADDRINUSE = 98;
const EADDRNOTAVAIL = 99;

/** A datagram as a socket received it. */
export interface Datagram {
  readonly data: Uint8Array;
  readonly from: number;
  readonly sport: number;
  readonly to: number;
  readonly ttl: number;
  readonly tos: number;
}

export class UdpSock extends Sock {
  readonly received: Datagram[] = [];
  /** Gets each datagram; without it they collect in `received`. */
  onDatagram: ((d: Datagram) => void) | null = null;
  connected = false;
  /** True: datagrams are counted and thrown away unread, as with a full receive buffer that nobody looks at. */
  discard = false;
  discarded = 0;
  /** The route that connect() found. */
  #dst: Rtable | null = null;

  /** recvmsg(): the oldest datagram that waits. A datagram counts as received when somebody has read it. */
  recv(): Datagram | undefined {
    const d = this.received.shift();
    if (d !== undefined) this.ns.mib[Mib.UdpInDatagrams]!++;
    return d;
  }

  /** 0 or a negative errno. Port 0 = any free one. */
  bind(addr: number, port: number, reuse = false): number {
    const t = this.ns.sockets;
    if (addr !== 0 && !this.ns.fib.isLocalAddr(addr)) return -EADDRNOTAVAIL;
    let p = port;
    if (p === 0) p = t.ephemeralPort((x) => t.udp.has(x));
    const list = t.udp.get(p);
    if (!reuse && list?.some((s) => s.saddr === 0 || addr === 0 || s.saddr === addr)) return -EADDRINUSE;
    this.saddr = addr;
    this.sport = p;
    if (list === undefined) t.udp.set(p, [this]);
    else list.push(this);
    return 0;
  }

  /** 0 or a negative errno. */
  connect(addr: number, port: number): number {
    const ns = this.ns;
    const name = sockName.set(addr, port);
    const refused = ns.kernel.cgroup?.connect4(this, 17, name) ?? 0;
    if (refused !== 0) return refused;
    const { ip: daddr, port: dport } = name;
    const f = flowOut(ns);
    f.daddr = daddr;
    f.saddr = this.saddr;
    f.tos = this.tos & 0x1c;
    f.mark = this.mark;
    f.proto = 17;
    f.oif = this.boundIf;
    f.dport = dport;
    f.sport = this.sport;
    const rt = ip_route_output_flow(ns, f);
    if (rt === null) return -outputErrno;
    this.#dst = rt;
    const saddr = f.saddr;
    if (this.sport === 0) this.bind(0, 0);
    if (this.saddr === 0) this.saddr = saddr;
    this.daddr = daddr;
    this.dport = dport;
    this.connected = true;
    this.ipId = ns.kernel.prng.nextInt32() & 0xffff;
    return 0;
  }

  /** udp_sendmsg: 0 or a negative errno. `id`: the walk's id. */
  sendto(data: Uint8Array, addr = this.daddr, port = this.dport, id = 0): number {
    const ns = this.ns;
    if (this.sport === 0) this.bind(0, 0);
    let daddr = addr;
    let dport = port;
    // A connected socket was translated at connect().
    if (!this.connected && ns.kernel.cgroup !== null) {
      const name = sockName.set(addr, port);
      const refused = ns.kernel.cgroup.sendmsg4(this, 17, name);
      if (refused !== 0) return refused;
      daddr = name.ip;
      dport = name.port;
    }
    const f = flowOut(ns);
    f.daddr = daddr;
    f.saddr = this.saddr;
    f.tos = this.tos & 0x1c;
    f.mark = this.mark;
    f.proto = 17;
    f.oif = this.boundIf;
    f.sport = this.sport;
    f.dport = dport;
    let rt = ip_route_output_flow(ns, f);
    if (rt === null) {
      if (outputErrno === 101) ns.mib[Mib.IpOutNoRoutes]!++;
      return -outputErrno;
    }
    // The route to an own address of another device than lo belongs to the socket alone: nothing tells it what was
    // learnt of the path since.
    if (this.connected && rt.rt_type === RTN_LOCAL && rt.nh !== null && rt.nh.dev !== rt.dev) {
      if (this.#dst?.nh === rt.nh) rt = this.#dst;
      else this.#dst = rt;
    }
    if (data.length > 65507) return -EMSGSIZE;
    if (this.err !== 0) {
      // sock_alloc_send_skb finds it, in __ip_append_data.
      ns.mib[Mib.IpOutDiscards]!++;
      return -this.takeError();
    }
    const skb = alloc_local_skb(ns);
    if (id !== 0) skb.id = id;
    const d = skb.data;
    skb.ensure(d + 8 + data.length);
    skb.tail = d + 8 + data.length;
    skb.bytes.set(data, d + 8);
    const v = skb.view;
    const len = 8 + data.length;
    v.setUint16(d, this.sport, false);
    v.setUint16(d + 2, dport, false);
    v.setUint16(d + 4, len, false);
    v.setUint16(d + 6, 0, false);
    const saddr = f.saddr;
    let sum = csum_partial(skb.bytes, d, len, 17 + len);
    for (const a of [saddr, f.daddr])
      sum += ((a & 0xff) << 8) + ((a >>> 8) & 0xff) + (((a >>> 16) & 0xff) << 8) + (a >>> 24);
    v.setUint16(d + 6, csum_fold(sum) || 0xffff, false);
    if (ns.recorder !== null) ns.recorder.step(Step.ORIGIN, skb, this, 17, 0, 0);
    const r = ip_push_packet(ns, skb, rt, this, saddr, f.daddr, 17, this.tos, ip_select_ttl(ns, this));
    if (r === 0) ns.mib[Mib.UdpOutDatagrams]!++;
    else if (r === -EMSGSIZE && this.recverr)
      this.errqueue.push({
        errno: EMSGSIZE,
        origin: SO_EE_ORIGIN_LOCAL,
        type: 0,
        code: 0,
        info: this.pmtudisc >= IP_PMTUDISC_PROBE ? rt.dev.mtu : dst_mtu(ns, rt),
        offender: 0,
      });
    return this.xmitErrno(r);
  }

  close(): void {
    const t = this.ns.sockets.udp;
    const list = t.get(this.sport);
    const at = list?.indexOf(this) ?? -1;
    if (list !== undefined && at >= 0) {
      list.splice(at, 1);
      if (list.length === 0) t.delete(this.sport);
    }
    this.closed = true;
    this.ns.kernel.cgroup?.release(this, 17);
  }
}

/** udp4_lib_lookup: the best socket for a packet, or null. */
export function udp4_lookup(
  ns: Netns,
  saddr: number,
  sport: number,
  daddr: number,
  dport: number,
  dif: number,
): UdpSock | null {
  const list = ns.sockets.udp.get(dport);
  if (list === undefined) return null;
  let best: UdpSock | null = null;
  let bestScore = -1;
  for (let i = 0; i < list.length; i++) {
    const s = list[i]!;
    let score = 1;
    if (s.saddr !== 0) {
      if (s.saddr !== daddr) continue;
      score += 4;
    }
    if (s.daddr !== 0) {
      if (s.daddr !== saddr) continue;
      score += 4;
    }
    if (s.dport !== 0) {
      if (s.dport !== sport) continue;
      score += 4;
    }
    if (s.boundIf !== 0) {
      if (s.boundIf !== dif) continue;
      score += 4;
    }
    if (score > bestScore) {
      best = s;
      bestScore = score;
    }
  }
  return best;
}

/** udp_rcv. `skb.data` is the UDP header. */
export function udp_rcv(ns: Netns, skb: Skb): void {
  const n = skb.network;
  const d = skb.data;
  const v = skb.view;
  const mib = ns.mib;
  const avail = skb.tail - d;
  if (avail < 8) {
    mib[Mib.UdpInErrors]!++;
    kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
    return;
  }
  const ulen = v.getUint16(d + 4, false);
  if (ulen > avail || ulen < 8) {
    mib[Mib.UdpInErrors]!++;
    kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
    return;
  }
  skb.tail = d + ulen;
  const saddr = v.getInt32(n + 12, true);
  const daddr = v.getInt32(n + 16, true);
  const dport = v.getUint16(d + 2, false);
  const csumOk = v.getUint16(d + 6, false) === 0 || csum_tcpudp(skb, n, 17, d, ulen) === 0;
  const tun = ns.sockets.udpTunnels.get(dport);
  if (tun !== undefined) {
    if (!csumOk) {
      mib[Mib.UdpInCsumErrors]!++;
      mib[Mib.UdpInErrors]!++;
      kfree_skb_reason(ns, skb, R.UDP_CSUM);
      return;
    }
    if (tun.udpRcv(ns, skb)) {
      mib[Mib.UdpInDatagrams]!++;
      return;
    }
  }
  const rt = skb.dst as Rtable | null;
  const sport = v.getUint16(d, false);
  const sk = udp4_lookup(ns, saddr, sport, daddr, dport, skb.ifindex);
  if (!csumOk) {
    mib[Mib.UdpInCsumErrors]!++;
    mib[Mib.UdpInErrors]!++;
    kfree_skb_reason(ns, skb, R.UDP_CSUM);
    return;
  }
  if (sk === null) {
    if (rt !== null && (rt.rt_flags & (RTCF_BROADCAST | RTCF_MULTICAST)) !== 0) {
      kfree_skb_reason(ns, skb, R.NO_SOCKET);
      return;
    }
    mib[Mib.UdpNoPorts]!++;
    icmp_send(ns, skb, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0);
    kfree_skb_reason(ns, skb, R.NO_SOCKET);
    return;
  }
  if (ns.recorder !== null) ns.recorder.step(Step.DELIVER, skb, sk, 17, 0, 0);
  if (sk.discard) {
    mib[Mib.UdpInDatagrams]!++;
    sk.discarded++;
    consume_skb(ns.kernel, skb);
    return;
  }
  // What recvmsg() will say of the sender.
  const peer = sockName.set(saddr, sport);
  ns.kernel.cgroup?.recvmsg4(sk, 17, peer);
  const dg: Datagram = {
    data: skb.bytes.slice(d + 8, skb.tail),
    from: peer.ip,
    sport: peer.port,
    to: daddr,
    ttl: skb.bytes[n + 8]!,
    tos: skb.bytes[n + 1]!,
  };
  consume_skb(ns.kernel, skb);
  if (sk.onDatagram !== null) {
    mib[Mib.UdpInDatagrams]!++;
    sk.onDatagram(dg);
  } else {
    sk.received.push(dg);
    sk.onEvent?.();
  }
}

/** udp_err: an ICMP error about a datagram of this host, quoted at `q`, its UDP header at `l4`. */
export function udp_err(
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
  const sk = udp4_lookup(ns, daddr, v.getUint16(l4 + 2, false), saddr, v.getUint16(l4, false), skb.ifindex);
  const frag = type === ICMP_DEST_UNREACH && code === ICMP_FRAG_NEEDED;
  if (type === ICMP_REDIRECT) {
    if (sk !== null || ns.sockets.udpTunnels.has(v.getUint16(l4 + 2, false))) ipv4_redirect(ns, skb, q, info);
    else ns.mib[Mib.IcmpInErrors]!++;
    return;
  }
  if (sk === null) {
    // A tunnel's outer packet: the path MTU is noted for its destination (__udp4_lib_err_encap), nothing else.
    if (!ns.sockets.udpTunnels.has(v.getUint16(l4 + 2, false))) ns.mib[Mib.IcmpInErrors]!++;
    else if (frag) ipv4_update_pmtu(ns, daddr, saddr, skb.bytes[q + 1]!, 17, 0, info, false);
    return;
  }
  if (frag) ipv4_update_pmtu(ns, daddr, saddr, skb.bytes[q + 1]!, 17, sk.mark, info, sk.connected);
  sock_icmp_error(sk, skb, type, code, info, false);
}
