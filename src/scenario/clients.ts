// Sockets of traffic with the address family left out: what a step sends through is one of these, over IPv4 or IPv6,
// and gives addresses as text.

import { Ping6 } from "../kernel/ipv6/raw6.js";
import { Udp6Sock } from "../kernel/ipv6/udp6.js";
import type { Netns } from "../kernel/netns.js";
import { Ping } from "../kernel/raw.js";
import type { Sock, SockError } from "../kernel/sock.js";
import { UdpSock } from "../kernel/udp.js";
import { formatIpv4, formatIpv6 } from "../net/address.js";

/** Where traffic goes. */
export interface Destination {
  /** Be32; 0: none. */
  readonly ip4: number;
  /** 16 bytes. */
  readonly ip6: Uint8Array | undefined;
}

/** The address that traffic takes where nobody names a family: IPv4's if there is one. */
export function destinationText(d: Destination): string {
  return d.ip4 === 0 && d.ip6 !== undefined ? formatIpv6(d.ip6) : formatIpv4(d.ip4);
}

/** A datagram as an end of traffic saw it. */
export interface SeenDatagram {
  readonly from: string;
  readonly sourcePort: number;
  readonly ttl: number;
  readonly bytes: number;
}

/** A UDP socket. Results are 0 or negative errnos. */
export interface UdpEnd {
  readonly sock: Sock;
  readonly received: SeenDatagram[];
  bind(port: number): number;
  connect(to: Destination, port: number): number;
  send(data: Uint8Array): number;
  /** From now on each datagram is answered by itself. */
  echo(): void;
  close(): void;
}

class UdpEnd4 implements UdpEnd {
  readonly sock: UdpSock;
  readonly received: SeenDatagram[] = [];

  constructor(ns: Netns) {
    this.sock = new UdpSock(ns);
    this.#take(false);
  }

  #take(echo: boolean): void {
    this.sock.onDatagram = (d) => {
      this.received.push({ from: formatIpv4(d.from), sourcePort: d.sport, ttl: d.ttl, bytes: d.data.length });
      if (echo) this.sock.sendto(d.data, d.from, d.sport);
    };
  }

  bind(port: number): number {
    return this.sock.bind(0, port);
  }

  connect(to: Destination, port: number): number {
    return this.sock.connect(to.ip4, port);
  }

  send(data: Uint8Array): number {
    return this.sock.sendto(data);
  }

  echo(): void {
    this.#take(true);
  }

  close(): void {
    this.sock.close();
  }
}

class UdpEnd6 implements UdpEnd {
  readonly sock: Udp6Sock;
  readonly received: SeenDatagram[] = [];

  constructor(ns: Netns) {
    this.sock = new Udp6Sock(ns);
    this.#take(false);
  }

  #take(echo: boolean): void {
    this.sock.onDatagram = (d) => {
      this.received.push({ from: formatIpv6(d.from), sourcePort: d.sport, ttl: d.ttl, bytes: d.data.length });
      if (echo) this.sock.sendto(d.data, d.from, d.sport);
    };
  }

  bind(port: number): number {
    return this.sock.bind(port);
  }

  connect(to: Destination, port: number): number {
    return this.sock.connect(to.ip6!, port);
  }

  send(data: Uint8Array): number {
    return this.sock.sendto(data);
  }

  echo(): void {
    this.#take(true);
  }

  close(): void {
    this.sock.close();
  }
}

export function udpEnd(ns: Netns, ipv6: boolean): UdpEnd {
  return ipv6 ? new UdpEnd6(ns) : new UdpEnd4(ns);
}

/** One echo of a run, and what came of it. */
export interface EchoProbe {
  readonly seq: number;
  readonly sentNs: number;
  readonly sendErrno: number;
  readonly reply: {
    readonly from: string;
    readonly ttl: number;
    readonly bytes: number;
    readonly rttNs: number;
  } | null;
  readonly error: (Pick<SockError, "errno" | "type" | "code"> & { readonly from: string }) | null;
}

/** A ping client. */
export interface Echo {
  readonly sock: Sock;
  send(seq: number, size: number): void;
  /** The probes so far, in order. */
  probes(): EchoProbe[];
  close(): void;
}

class Echo4 implements Echo {
  readonly #ping: Ping;

  constructor(ns: Netns, to: Destination, ident: number) {
    this.#ping = new Ping(ns, to.ip4, ident);
  }

  get sock(): Sock {
    return this.#ping.sock;
  }

  send(seq: number, size: number): void {
    this.#ping.send(seq, size);
  }

  probes(): EchoProbe[] {
    return this.#ping.probes.map(({ reply: r, error: e, ...p }) => ({
      ...p,
      reply: r === null ? null : { from: formatIpv4(r.from), ttl: r.ttl, bytes: r.len - 20, rttNs: r.rttNs },
      error: e === null ? null : { errno: e.errno, type: e.type, code: e.code, from: formatIpv4(e.from) },
    }));
  }

  close(): void {
    this.#ping.close();
  }
}

class Echo6 implements Echo {
  readonly #ping: Ping6;

  constructor(ns: Netns, to: Destination, ident: number) {
    this.#ping = new Ping6(ns, to.ip6!, ident);
  }

  get sock(): Sock {
    return this.#ping.sock;
  }

  send(seq: number, size: number): void {
    this.#ping.send(seq, size);
  }

  probes(): EchoProbe[] {
    return this.#ping.probes.map(({ reply: r, error: e, ...p }) => ({
      ...p,
      reply: r === null ? null : { from: formatIpv6(r.from), ttl: r.ttl, bytes: r.len - 40, rttNs: r.rttNs },
      error:
        e === null
          ? null
          : {
              errno: e.errno,
              type: e.type,
              code: e.code,
              from: e.from === undefined ? "::" : formatIpv6(e.from),
            },
    }));
  }

  close(): void {
    this.#ping.close();
  }
}

export function echoClient(ns: Netns, to: Destination, ident: number, ipv6: boolean): Echo {
  return ipv6 ? new Echo6(ns, to, ident) : new Echo4(ns, to, ident);
}
