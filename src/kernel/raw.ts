// net/ipv4/raw.c (and what of ping.c matters): raw sockets, whole-packet senders, the ping client.

import type { Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import { csum_fold, csum_partial, ip_send_check } from "./csum.js";
import * as R from "./drop_reason.js";
import { ETH_P_IP } from "./eth.js";
import {
  ICMP_DEST_UNREACH,
  ICMP_ECHO,
  ICMP_ERR_CONVERT,
  ICMP_FRAG_NEEDED,
  ICMP_REDIRECT,
  icmp_out_count,
  ipv4_redirect,
} from "./icmp.js";
import { ip_output, ip_push_packet, ip_select_ident, ip_select_ttl } from "./ip_output.js";
import { NF_ACCEPT, NF_DROP, NF_INET_LOCAL_OUT, nf_hook } from "./netfilter/hooks.js";
import type { Netns } from "./netns.js";
import {
  dst_mtu,
  FLOWI_FLAG_ANYSRC,
  FLOWI_FLAG_KNOWN_NH,
  flowOut,
  ip_route_output_flow,
  ipv4_update_pmtu,
  outputErrno,
} from "./route.js";
import { alloc_local_skb, kfree_skb_reason } from "./skbuff.js";
import { IP_PMTUDISC_DONT, IP_PMTUDISC_PROBE, SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_LOCAL, Sock } from "./sock.js";

const EMSGSIZE = 90;
const EPERM = 1;
export const IPPROTO_RAW = 255;

/** A raw socket. `onPacket` gets a copy of each IP packet that it receives. */
export class RawSock extends Sock {
  onPacket: ((packet: Uint8Array) => void) | null = null;

  constructor(
    ns: Netns,
    readonly protocol: number,
    /** IP_HDRINCL: packets are given with their IP header. */
    readonly hdrincl: boolean = protocol === IPPROTO_RAW,
  ) {
    super(ns);
    ns.sockets.raw.push(this);
  }

  close(): void {
    const list = this.ns.sockets.raw;
    const at = list.indexOf(this);
    if (at >= 0) list.splice(at, 1);
    this.closed = true;
  }

  /** raw_sendmsg: `data` to `daddr` (Be32). 0 or a negative errno. */
  sendto(data: Uint8Array, daddr: number, id = 0): number {
    const ns = this.ns;
    const f = flowOut(ns);
    f.daddr = daddr;
    f.saddr = this.saddr;
    f.tos = this.tos & 0x1c;
    f.mark = this.mark;
    f.proto = this.protocol;
    f.oif = this.boundIf;
    if (this.hdrincl) f.flags = FLOWI_FLAG_ANYSRC | FLOWI_FLAG_KNOWN_NH;
    const rt = ip_route_output_flow(ns, f);
    if (rt === null) return -outputErrno;
    const saddr = f.saddr;
    const skb = alloc_local_skb(ns);
    if (id !== 0) skb.id = id;
    const d = skb.data;
    skb.ensure(d + data.length);
    skb.bytes.set(data, d);
    skb.tail = d + data.length;
    if (!this.hdrincl) {
      if (ns.recorder !== null) ns.recorder.step(Step.ORIGIN, skb, this, this.protocol, 0, 0);
      const mtu = this.pmtudisc >= IP_PMTUDISC_PROBE ? rt.dev.mtu : dst_mtu(ns, rt);
      return this.#report(
        ip_push_packet(ns, skb, rt, this, saddr, f.daddr, this.protocol, this.tos, ip_select_ttl(ns, this)),
        mtu,
      );
    }
    // raw_send_hdrinc
    if (data.length > rt.dev.mtu) {
      ns.kernel.world.release(skb);
      return this.#report(-EMSGSIZE, rt.dev.mtu);
    }
    const hlen = (data[0]! & 15) * 4;
    if (data.length < 20 || hlen > data.length || hlen < 20) {
      ns.kernel.world.release(skb);
      return -22;
    }
    skb.network = d;
    skb.protocol = ETH_P_IP;
    const v = skb.view;
    if (v.getInt32(d + 12, true) === 0) v.setInt32(d + 12, saddr, true);
    v.setUint16(d + 2, data.length, false);
    // ip_select_ident: a packet that may not be fragmented needs no id.
    if (v.getUint16(d + 4, false) === 0 && (skb.bytes[d + 6]! & 0x40) === 0)
      v.setUint16(d + 4, ip_select_ident(ns, daddr, v.getInt32(d + 12, true), skb.bytes[d + 9]!), false);
    ip_send_check(skb, d);
    if (skb.bytes[d + 9] === 1 && data.length > hlen) icmp_out_count(ns, data[hlen]!);
    skb.dst = rt;
    skb.sk = this;
    skb.mark = this.mark;
    if (ns.recorder !== null) ns.recorder.step(Step.ORIGIN, skb, this, skb.bytes[d + 9]!, 0, 0);
    const verdict = nf_hook(ns, NF_INET_LOCAL_OUT, skb, null, rt.dev);
    if (verdict === NF_ACCEPT) return this.xmitErrno(ip_output(ns, skb));
    if (verdict === NF_DROP) {
      kfree_skb_reason(ns, skb, R.NETFILTER_DROP);
      return -EPERM;
    }
    return 0;
  }

  /** ip_local_error: a packet that is too big for the path it is known to take. */
  #report(ret: number, mtu: number): number {
    if (ret === -EMSGSIZE && this.recverr)
      this.errqueue.push({
        errno: EMSGSIZE,
        origin: SO_EE_ORIGIN_LOCAL,
        type: 0,
        code: 0,
        info: mtu,
        offender: 0,
      });
    return this.xmitErrno(ret);
  }
}

/** raw_local_deliver: copies to raw sockets of the protocol; true if there was one. */
export function raw_local_deliver(ns: Netns, skb: Skb, proto: number): boolean {
  const list = ns.sockets.raw;
  if (list.length === 0) return false;
  const n = skb.network;
  const saddr = skb.view.getInt32(n + 12, true);
  const daddr = skb.view.getInt32(n + 16, true);
  let any = false;
  for (let i = 0; i < list.length; i++) {
    const sk = list[i]!;
    if (sk.protocol !== proto || !match(sk, daddr, saddr, skb.ifindex)) continue;
    any = true;
    if (ns.recorder !== null) ns.recorder.step(Step.DELIVER, skb, sk, proto, 0, 0);
    sk.onPacket?.(skb.bytes.slice(n, skb.tail));
  }
  return any;
}

/** raw_v4_match. */
const match = (sk: Sock, laddr: number, raddr: number, dif: number): boolean =>
  (sk.daddr === 0 || sk.daddr === raddr) &&
  (sk.saddr === 0 || sk.saddr === laddr) &&
  (sk.boundIf === 0 || sk.boundIf === dif);

/** raw_icmp_error: an error about a packet (quoted at `q`) that a raw socket may have sent. */
export function raw_icmp_error(
  ns: Netns,
  skb: Skb,
  proto: number,
  q: number,
  type: number,
  code: number,
  info: number,
): void {
  const list = ns.sockets.raw;
  if (list.length === 0) return;
  const v = skb.view;
  const saddr = v.getInt32(q + 12, true);
  const daddr = v.getInt32(q + 16, true);
  for (let i = 0; i < list.length; i++) {
    const sk = list[i]!;
    if (sk.protocol !== proto || !match(sk, saddr, daddr, skb.ifindex)) continue;
    if (type === ICMP_REDIRECT) {
      ipv4_redirect(ns, skb, q, info);
      continue;
    }
    if (type === ICMP_DEST_UNREACH && code === ICMP_FRAG_NEEDED)
      ipv4_update_pmtu(ns, daddr, saddr, skb.bytes[q + 1]!, proto, sk.mark, info, false);
    sock_icmp_error(sk, skb, type, code, info, true);
  }
}

/** The common end of raw_err, udp_err and ping_err: errno, error queue, SO_ERROR. */
export function sock_icmp_error(
  sk: Sock,
  skb: Skb,
  type: number,
  code: number,
  info: number,
  raw: boolean,
): void {
  let errno: number;
  let fatal = false;
  switch (type) {
    case 11:
      errno = 113;
      break;
    case 12:
      errno = 71;
      fatal = true;
      break;
    case 4:
      return;
    case 5:
      return;
    default: {
      if (code > 15) return;
      const c = ICMP_ERR_CONVERT[code]!;
      errno = c.errno;
      fatal = c.fatal;
      if (code === ICMP_FRAG_NEEDED) {
        fatal = sk.pmtudisc !== IP_PMTUDISC_DONT;
        errno = EMSGSIZE;
        if (!fatal && !raw) return;
      }
    }
  }
  if (sk.recverr) {
    sk.errqueue.push({
      errno,
      origin: SO_EE_ORIGIN_ICMP,
      type,
      code,
      info,
      offender: skb.view.getInt32(skb.network + 12, true),
    });
  } else if (!fatal || (!raw && sk.daddr === 0)) return;
  sk.err = errno;
  sk.onEvent?.();
}

/** ping_rcv: echo replies end here; nobody but raw sockets, which had their copy, waits for them. */
export function ping_rcv(ns: Netns, skb: Skb): void {
  kfree_skb_reason(ns, skb, R.NO_SOCKET);
}

/** ping_err: there are no SOCK_DGRAM ping sockets. */
export function ping_err(_ns: Netns, _skb: Skb, _q: number, _t: number, _c: number, _i: number): void {}

/** Which bytes a ping carries behind its ICMP header. */
export type PingPayload = (seq: number, size: number, ns: Netns) => Uint8Array;

/** The payload of iputils' ping: a timeval of the (virtual) time, then counting bytes. */
export const iputilsPayload: PingPayload = (_seq, size, ns) => {
  const d = new Uint8Array(size);
  for (let i = 0; i < size; i++) d[i] = i;
  if (size >= 16) {
    const us = Math.floor(ns.kernel.clock.ns / 1000);
    const sec = Math.floor(us / 1e6);
    // Two 64-bit numbers, little-endian.
    put32(d, 0, sec);
    put32(d, 4, Math.floor(sec / 2 ** 32));
    put32(d, 8, us % 1e6);
    put32(d, 12, 0);
  }
  return d;
};

/** Little-endian, modulo 2^32. */
function put32(d: Uint8Array, at: number, v: number): void {
  const w = v | 0;
  d[at] = w;
  d[at + 1] = w >> 8;
  d[at + 2] = w >> 16;
  d[at + 3] = w >> 24;
}

/** One echo of a ping run. */
export interface PingProbe {
  readonly seq: number;
  readonly sentNs: number;
  sendErrno: number;
  reply: { from: number; ttl: number; len: number; payloadOk: boolean; rttNs: number } | null;
  error: { errno: number; origin: number; type: number; code: number; info: number; from: number } | null;
}

/** A ping client over a raw ICMP socket, as iputils uses it for root. */
export class Ping {
  readonly sock: RawSock;
  readonly probes: PingProbe[] = [];
  /** What the probes without a reply carried. */
  readonly #payloads = new Map<PingProbe, Uint8Array>();
  /** False: errors stay in the socket's queue until the next probe, as for a program that is not reading. */
  reading = true;
  /** Called when a probe got its reply or an error. */
  onAnswer: ((p: PingProbe) => void) | null = null;

  constructor(
    ns: Netns,
    readonly dst: number,
    readonly ident: number,
    readonly payload: PingPayload = iputilsPayload,
  ) {
    this.sock = new RawSock(ns, 1, false);
    this.sock.recverr = true;
    this.sock.onPacket = (p) => this.#packet(p);
    this.sock.onEvent = () => this.#error();
  }

  /** Sends one echo request with `size` bytes of payload. 0 or a negative errno. `id`: the walk's id. */
  send(seq: number, size = 56, id = 0): number {
    const ns = this.sock.ns;
    const data = this.payload(seq, size, ns);
    const m = new Uint8Array(8 + size);
    m[0] = ICMP_ECHO;
    m[4] = this.ident >> 8;
    m[5] = this.ident;
    m[6] = seq >> 8;
    m[7] = seq;
    m.set(data, 8);
    const c = csum_fold(csum_partial(m, 0, m.length, 0));
    m[2] = c >> 8;
    m[3] = c;
    const p: PingProbe = { seq, sentNs: ns.kernel.clock.ns, sendErrno: 0, reply: null, error: null };
    this.probes.push(p);
    this.#payloads.set(p, data);
    const r = this.sock.sendto(m, this.dst, id);
    if (r < 0) {
      p.sendErrno = -r;
    }
    this.reading = true;
    if (this.sock.errqueue.length > 0) this.#error();
    return r;
  }

  close(): void {
    this.sock.close();
  }

  #packet(b: Uint8Array): void {
    const h = (b[0]! & 15) * 4;
    if (b.length < h + 8 || b[h] !== 0 || ((b[h + 4]! << 8) | b[h + 5]!) !== this.ident) return;
    const seq = (b[h + 6]! << 8) | b[h + 7]!;
    const p = this.probes.find((x) => x.seq === seq && x.reply === null);
    if (p === undefined) return;
    const want = this.#payloads.get(p)!;
    this.#payloads.delete(p);
    let ok = want.length === b.length - h - 8;
    for (let i = 0; ok && i < want.length; i++) ok = want[i] === b[h + 8 + i];
    p.reply = {
      from: b[12]! | (b[13]! << 8) | (b[14]! << 16) | (b[15]! << 24),
      ttl: b[8]!,
      len: b.length,
      payloadOk: ok,
      rttNs: this.sock.ns.kernel.clock.ns - p.sentNs,
    };
    this.onAnswer?.(p);
  }

  #error(): void {
    this.sock.err = 0;
    if (!this.reading) return;
    // Each probe reads one; what is left in the queue is the next one's.
    const p = this.probes[this.probes.length - 1];
    if (p === undefined || p.error !== null) return;
    const e = this.sock.errqueue.shift();
    if (e === undefined) return;
    p.error = {
      errno: e.errno,
      origin: e.origin,
      type: e.type,
      code: e.code,
      info: e.info,
      from: e.offender,
    };
    this.onAnswer?.(p);
  }
}
