// net/ipv6/raw.c as far as ICMPv6 needs it, what errors mean to sockets (icmpv6_err_convert), and the ping client.

import type { Skb } from "../../bpf/skb.js";
import { Step } from "../../bpf/steps.js";
import type { Netns } from "../netns.js";
import { iputilsPayload, type PingPayload } from "../raw.js";
import { alloc_local_skb } from "../skbuff.js";
import { Mib } from "../snmp.js";
import { SO_EE_ORIGIN_LOCAL, Sock } from "../sock.js";
import { prefixMatch } from "./fib6.js";
import {
  ICMPV6_DEST_UNREACH,
  ICMPV6_ECHO_REPLY,
  ICMPV6_ECHO_REQUEST,
  ICMPV6_PARAMPROB,
  ICMPV6_PKT_TOOBIG,
  ICMPV6_TIME_EXCEED,
  IPPROTO_ICMPV6,
  icmpv6_checksum,
} from "./icmpv6.js";
import { ip6_build_header, ip6_local_out } from "./ip6_output.js";

const EMSGSIZE = 90;
const ENETUNREACH = 101;
const EHOSTUNREACH = 113;
const EPROTO = 71;
const SO_EE_ORIGIN_ICMP6 = 3;

/** tab_unreach: errno and whether the socket's calls fail with it, by code of "destination unreachable". */
const UNREACH: readonly { readonly errno: number; readonly fatal: boolean }[] = [
  { errno: ENETUNREACH, fatal: false },
  { errno: 13, fatal: true },
  { errno: EHOSTUNREACH, fatal: false },
  { errno: EHOSTUNREACH, fatal: false },
  { errno: 111, fatal: true },
  { errno: 13, fatal: true },
  { errno: 13, fatal: true },
];

/** Outcome of `icmpv6_err_convert`. */
const converted = { errno: EPROTO, fatal: false };

/** icmpv6_err_convert: what an ICMPv6 error means to a socket. The object is reused. */
export function icmpv6_err_convert(type: number, code: number): { errno: number; fatal: boolean } {
  converted.errno = EPROTO;
  converted.fatal = false;
  switch (type) {
    case ICMPV6_DEST_UNREACH: {
      const u = UNREACH[code];
      converted.fatal = u === undefined ? true : u.fatal;
      if (u !== undefined) converted.errno = u.errno;
      break;
    }
    case ICMPV6_PKT_TOOBIG:
      converted.errno = EMSGSIZE;
      break;
    case ICMPV6_PARAMPROB:
      converted.fatal = true;
      break;
    case ICMPV6_TIME_EXCEED:
      converted.errno = EHOSTUNREACH;
      break;
    default:
      break;
  }
  return converted;
}

/**
 * The common end of rawv6_err and udpv6_err: error queue and SO_ERROR. A socket without IPV6_RECVERR hears of nothing that
 * happens to what it sent to anybody, only of its one peer once it is `connected`.
 */
export function sock_icmp6_error(
  sk: Sock,
  skb: Skb,
  type: number,
  code: number,
  info: number,
  connected: boolean,
): void {
  const { errno, fatal } = icmpv6_err_convert(type, code);
  if (sk.recverr) {
    const n = skb.network;
    sk.errqueue.push({
      errno,
      origin: SO_EE_ORIGIN_ICMP6,
      type,
      code,
      info,
      offender: 0,
      offender6: skb.bytes.slice(n + 8, n + 24),
    });
  } else if (!fatal || !connected) return;
  sk.err = errno;
  sk.onEvent?.();
}

/** A raw ICMPv6 socket. `onPacket` gets a copy of each whole packet with an ICMPv6 message that is no question. */
export class Raw6Sock extends Sock {
  onPacket: ((packet: Uint8Array) => void) | null = null;

  constructor(ns: Netns) {
    super(ns);
    ns.sockets.raw6.push(this);
  }

  close(): void {
    const list = this.ns.sockets.raw6;
    const at = list.indexOf(this);
    if (at >= 0) list.splice(at, 1);
    this.closed = true;
  }

  /** rawv6_sendmsg: an ICMPv6 message, its checksum still open, to 16 bytes of address. 0 or a negative errno. */
  sendto(message: Uint8Array, daddr: Uint8Array, id = 0): number {
    const ns = this.ns;
    const fib = ns.fib6;
    const rt = fib === null ? null : fib.output(daddr, 0, this.boundIf);
    if (fib === null || rt === null) {
      ns.mib[Mib.Ip6OutNoRoutes]!++;
      return -ENETUNREACH;
    }
    const saddr = fib.outputSource(rt, daddr, 0);
    if (saddr === null) return -99;
    const mtu = fib.pathMtu(rt, daddr, 0);
    if (message.length + 40 > mtu) {
      // The kernel would fragment what may be: fragments of this host's own packets are not modelled.
      this.errqueue.push({
        errno: EMSGSIZE,
        origin: SO_EE_ORIGIN_LOCAL,
        type: 0,
        code: 0,
        info: mtu,
        offender: 0,
      });
      return -EMSGSIZE;
    }
    const skb = alloc_local_skb(ns);
    if (id !== 0) skb.id = id;
    const d = skb.data;
    skb.ensure(d + message.length);
    skb.tail = d + message.length;
    skb.bytes.set(message, d);
    const hops = this.ttl >= 0 ? this.ttl : ns.sysctl.ip6_default_hoplimit;
    ip6_build_header(skb, d - 40, this.tos, IPPROTO_ICMPV6, hops, saddr, daddr);
    icmpv6_checksum(skb, d - 40, d);
    skb.mark = this.mark;
    skb.sk = this;
    if (ns.recorder !== null) ns.recorder.step(Step.ORIGIN, skb, this, IPPROTO_ICMPV6, 0, 0);
    ns.mib[Mib.Icmp6OutMsgs]!++;
    return this.xmitErrno(ip6_local_out(ns, skb));
  }
}

/** raw6_local_deliver: copies of the ICMPv6 packet at `n` to the raw sockets. */
export function raw6_local_deliver(ns: Netns, skb: Skb, n: number): void {
  const list = ns.sockets.raw6;
  for (let i = 0; i < list.length; i++) {
    const sk = list[i]!;
    if (ns.recorder !== null) ns.recorder.step(Step.DELIVER, skb, sk, IPPROTO_ICMPV6, 0, 0);
    sk.onPacket?.(skb.bytes.slice(n, skb.tail));
  }
}

/** rawv6_err: an error about an ICMPv6 packet of this host, quoted at `q`. */
export function rawv6_err(ns: Netns, skb: Skb, q: number, type: number, code: number, info: number): void {
  if (type === ICMPV6_PKT_TOOBIG) ns.fib6!.updatePmtu(skb.bytes, q + 24, info);
  const list = ns.sockets.raw6;
  for (let i = 0; i < list.length; i++) sock_icmp6_error(list[i]!, skb, type, code, info, false);
}

/** One echo of a ping run over IPv6. */
export interface Ping6Probe {
  readonly seq: number;
  readonly sentNs: number;
  sendErrno: number;
  reply: { from: Uint8Array; ttl: number; len: number; rttNs: number } | null;
  /** `from`: undefined = this host. */
  error: { errno: number; type: number; code: number; from: Uint8Array | undefined } | null;
}

/** A ping client over a raw ICMPv6 socket, as iputils uses it for root. */
export class Ping6 {
  readonly sock: Raw6Sock;
  readonly probes: Ping6Probe[] = [];

  constructor(
    ns: Netns,
    /** 16 bytes. */
    readonly dst: Uint8Array,
    readonly ident: number,
    readonly payload: PingPayload = iputilsPayload,
  ) {
    this.sock = new Raw6Sock(ns);
    this.sock.recverr = true;
    this.sock.onPacket = (p) => this.#packet(p);
    this.sock.onEvent = () => this.#error();
  }

  /** Sends one echo request with `size` bytes of payload. 0 or a negative errno. */
  send(seq: number, size = 56): number {
    const ns = this.sock.ns;
    const m = new Uint8Array(8 + size);
    m[0] = ICMPV6_ECHO_REQUEST;
    m[4] = this.ident >> 8;
    m[5] = this.ident;
    m[6] = seq >> 8;
    m[7] = seq;
    m.set(this.payload(seq, size, ns), 8);
    const p: Ping6Probe = { seq, sentNs: ns.kernel.clock.ns, sendErrno: 0, reply: null, error: null };
    this.probes.push(p);
    const r = this.sock.sendto(m, this.dst);
    if (r < 0) {
      p.sendErrno = -r;
      this.#error();
    }
    return r;
  }

  close(): void {
    this.sock.close();
  }

  #packet(b: Uint8Array): void {
    if (b.length < 48 || b[40] !== ICMPV6_ECHO_REPLY || ((b[44]! << 8) | b[45]!) !== this.ident) return;
    const seq = (b[46]! << 8) | b[47]!;
    const p = this.probes.find((x) => x.seq === seq && x.reply === null);
    if (p === undefined) return;
    const rttNs = this.sock.ns.kernel.clock.ns - p.sentNs;
    p.reply = { from: b.slice(8, 24), ttl: b[7]!, len: b.length, rttNs };
  }

  #error(): void {
    const e = this.sock.errqueue.shift();
    this.sock.err = 0;
    const p = this.probes[this.probes.length - 1];
    if (e === undefined || p === undefined || p.error !== null) return;
    p.error = { errno: e.errno, type: e.type, code: e.code, from: e.offender6 };
  }
}

/** True if the 16 bytes at b[off..] are `addr`. */
export function sameAddr6(b: Uint8Array, off: number, addr: Uint8Array): boolean {
  return prefixMatch(b, off, addr, 0, 128);
}
