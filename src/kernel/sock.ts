// struct sock and struct inet_sock as far as packets show it, and the tables that packets are looked up in.

import { ENOBUFS } from "../base/errno.js";
import type { Skb } from "../bpf/skb.js";
import type { SockName } from "./cgroup.js";
import type { NetDevice } from "./device.js";
import type { Raw6Sock } from "./ipv6/raw6.js";
import type { Udp6Sock } from "./ipv6/udp6.js";
import type { Netns } from "./netns.js";
import type { RawSock } from "./raw.js";
import type { TcpSock } from "./tcp.js";
import type { UdpSock } from "./udp.js";

export const IP_PMTUDISC_DONT = 0;
export const IP_PMTUDISC_WANT = 1;
export const IP_PMTUDISC_DO = 2;
export const IP_PMTUDISC_PROBE = 3;
export const IP_PMTUDISC_INTERFACE = 4;
export const IP_PMTUDISC_OMIT = 5;

export const SO_EE_ORIGIN_LOCAL = 1;
export const SO_EE_ORIGIN_ICMP = 2;

/** An entry of the error queue (struct sock_extended_err). */
export interface SockError {
  readonly errno: number;
  readonly origin: number;
  readonly type: number;
  readonly code: number;
  readonly info: number;
  /** Who reported it, Be32; 0 = this host. */
  readonly offender: number;
  /** Likewise on an IPv6 socket, 16 bytes; undefined = this host. */
  readonly offender6?: Uint8Array;
}

/** in6addr_any: 16 zero bytes, never written to. */
export const IN6ADDR_ANY: Uint8Array = new Uint8Array(16);

/** A socket. Addresses are Be32, those of IPv6 sockets 16 bytes (never written in place), ports host order. */
export class Sock {
  saddr = 0;
  daddr = 0;
  saddr6: Uint8Array = IN6ADDR_ANY;
  daddr6: Uint8Array = IN6ADDR_ANY;
  sport = 0;
  dport = 0;
  tos = 0;
  /** -1 = the system's default. */
  ttl = -1;
  mark = 0;
  priority = 0;
  /** IP_PMTUDISC_*. */
  pmtudisc: number = IP_PMTUDISC_WANT;
  /** SO_BINDTODEVICE. */
  boundIf = 0;
  /** IP_RECVERR. */
  recverr = false;
  /** IP_TRANSPARENT: its own address may be anybody's. */
  transparent = false;
  /** Pending SO_ERROR. */
  err = 0;
  readonly errqueue: SockError[] = [];
  /** Something can be read, or an error is there. */
  onEvent: (() => void) | null = null;
  /** inet_id: counter behind the IP ids of a connected socket. */
  ipId = 0;
  closed = false;

  /** SO_COOKIE: a number of its own on the machine. */
  readonly cookie: number;

  constructor(readonly ns: Netns) {
    this.cookie = ++ns.kernel.sockCookies;
  }

  /** getpeername(): the other end as the application sees it (socket load balancing may hide the real one). */
  peername(protocol: number, name: SockName): SockName {
    if (this.daddr6 !== IN6ADDR_ANY) {
      name.set6(this.daddr6, this.dport);
      this.ns.kernel.cgroup?.getpeername6(this, protocol, name);
      return name;
    }
    name.set(this.daddr, this.dport);
    this.ns.kernel.cgroup?.getpeername4(this, protocol, name);
    return name;
  }

  nextIpId(): number {
    const id = this.ipId;
    this.ipId = (id + 1) & 0xffff;
    return id;
  }

  /**
   * net_xmit_errno: what a send call returns for what its packet's transmission did. A packet that the device or a program
   * there dropped at once (NET_XMIT_DROP, 1) is ENOBUFS with IP_RECVERR and sent without.
   */
  xmitErrno(ret: number): number {
    return ret <= 0 ? ret : this.recverr ? -ENOBUFS : 0;
  }

  /** Takes the pending error. */
  takeError(): number {
    const e = this.err;
    this.err = 0;
    return e;
  }
}

/** A tunnel that takes UDP packets of a port (vxlan, geneve). */
export interface UdpTunnel {
  readonly port: number;
  /** `skb.data` is the UDP header. True: taken (or dropped). False: not for me. */
  udpRcv(ns: Netns, skb: Skb): boolean;
}

/** An IP-in-IP tunnel. */
export interface Tunnel4 {
  readonly dev: NetDevice;
}

/** Sockets of a namespace. */
export class SocketTable {
  readonly raw: RawSock[] = [];
  /** By local port. */
  readonly udp = new Map<number, UdpSock[]>();
  readonly udpTunnels = new Map<number, UdpTunnel>();
  readonly tcpListen = new Map<number, TcpSock[]>();
  /** By (remote port << 16 | local port). */
  readonly tcpEstablished = new Map<number, TcpSock[]>();
  // The same of IPv6: sockets serve one family (IPV6_V6ONLY).
  readonly raw6: Raw6Sock[] = [];
  readonly udp6 = new Map<number, Udp6Sock[]>();
  readonly tcpListen6 = new Map<number, TcpSock[]>();
  readonly tcpEstablished6 = new Map<number, TcpSock[]>();
  hasTunnel4 = false;
  hasTunnel64 = false;

  constructor(readonly ns: Netns) {}

  /** A free local port of the ephemeral range. */
  ephemeralPort(used: (port: number) => boolean): number {
    const s = this.ns.sysctl;
    const n = s.ip_local_port_max - s.ip_local_port_min + 1;
    let p = s.ip_local_port_min + this.ns.kernel.prng.below(n);
    for (let i = 0; i < n; i++) {
      if (!used(p)) return p;
      p++;
      if (p > s.ip_local_port_max) p = s.ip_local_port_min;
    }
    return 0;
  }
}
