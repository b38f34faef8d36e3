// Frames as the endpoints of PlainNode (src/bench/programs_node.ts) would send them, of every kind that programs parse.

import {
  arp,
  buildFrame,
  countingBytes,
  eth,
  ext6,
  frag6,
  icmp,
  icmp6,
  ip4,
  ip6,
  type Layer,
  sctp,
  tcp,
  udp,
} from "../../src/net/build.js";

export const A = "10.10.0.11";
export const B = "10.10.0.12";
export const R = "10.10.1.21";
export const WORLD = "203.0.113.5";
export const NODE = "192.168.10.11";
export const SERVICE = "10.96.0.10";
export const A6 = "fd00:10:10::b";
export const B6 = "fd00:10:10::c";
export const R6 = "fd00:10:10:1::15";
export const NODE6 = "fd00:192::b";
export const ROUTER6 = "fd00:10:10::1";
export const WORLD6 = "2001:db8::5";

const ETH = eth({ dst: "0e:00:00:00:00:0a", src: "0a:00:00:00:00:0a" });

/** A frame from a pod's first interface: Ethernet, then the layers. */
export function frame(...layers: (Layer | Uint8Array | string)[]): Uint8Array {
  return buildFrame([ETH, ...layers]);
}

/** One frame of each kind from `src` to `dst`, by name. */
export function frames4(src: string, dst: string): Record<string, Uint8Array> {
  const ip = { src, dst };
  const inner = [ip4({ src: dst, dst: src }), udp({ src: 53, dst: 40000 })];
  return {
    tcpSyn: frame(ip4(ip), tcp({ src: 40000, dst: 80, flags: 2, mss: 1460 })),
    tcpAck: frame(ip4(ip), tcp({ src: 40000, dst: 80, flags: 0x10 }), "data"),
    tcpFin: frame(ip4(ip), tcp({ src: 40000, dst: 80, flags: 0x11 })),
    tcpRst: frame(ip4(ip), tcp({ src: 40000, dst: 80, flags: 4 })),
    udp: frame(ip4(ip), udp({ src: 40000, dst: 53 }), countingBytes(32)),
    sctp: frame(ip4(ip), sctp({ src: 40000, dst: 80 })),
    echo: frame(ip4(ip), icmp({ type: 8, id: 7, seq: 1 }), countingBytes(56)),
    echoReply: frame(ip4(ip), icmp({ type: 0, id: 7, seq: 1 })),
    unreachable: frame(ip4(ip), icmp({ type: 3, code: 4, rest: 1400 }), ...inner),
    exceeded: frame(ip4(ip), icmp({ type: 11 }), ip4({ src: dst, dst: src }), tcp({ src: 80, dst: 40000 })),
    firstFragment: frame(ip4({ ...ip, id: 9, mf: true }), udp({ src: 40000, dst: 53 }), countingBytes(24)),
    lastFragment: frame(ip4({ ...ip, id: 9, fragOffset: 32, proto: 17 }), countingBytes(24)),
    options: frame(ip4({ ...ip, options: Uint8Array.of(148, 4, 0, 0, 1, 1) }), udp({ src: 1, dst: 2 })),
    dsrOption: frame(
      ip4({ ...ip, options: Uint8Array.of(0x9a, 8, 0, 80, 10, 96, 0, 10) }),
      tcp({ src: 40000, dst: 8080 }),
    ),
    igmp: frame(ip4({ ...ip, proto: 2 }), countingBytes(8)),
    ttl1: frame(ip4({ ...ip, ttl: 1 }), udp({ src: 40000, dst: 53 })),
    arp: frame(arp({ sha: "0a:00:00:00:00:0a", spa: src, tpa: dst })),
  };
}

/** The same of IPv6, with extension headers and neighbour discovery. */
export function frames6(src: string, dst: string): Record<string, Uint8Array> {
  const ip = { src, dst };
  const hop = ext6({ kind: 0, body: Uint8Array.of(5, 2, 0, 0) });
  const dest = ext6({ kind: 60, body: new Uint8Array(6) });
  const target = new Uint8Array(16);
  target.set([0xfd, 0, 0, 0x10, 0, 0x10]);
  target[15] = 1;
  const inner = [ip6({ src: dst, dst: src }), udp({ src: 53, dst: 40000 })];
  return {
    tcpSyn: frame(ip6(ip), tcp({ src: 40000, dst: 80, flags: 2, mss: 1440 })),
    tcpAck: frame(ip6(ip), tcp({ src: 40000, dst: 80, flags: 0x10 }), "data"),
    tcpRst: frame(ip6(ip), tcp({ src: 40000, dst: 80, flags: 4 })),
    udp: frame(ip6(ip), udp({ src: 40000, dst: 53 }), countingBytes(32)),
    extensions: frame(ip6(ip), hop, dest, udp({ src: 40000, dst: 53 })),
    manyExtensions: frame(ip6(ip), hop, dest, dest, dest, dest, dest, dest, udp({ src: 1, dst: 2 })),
    firstFragment: frame(ip6(ip), frag6({ offset: 0, mf: true, id: 5 }), udp({ src: 40000, dst: 53 })),
    lastFragment: frame(ip6(ip), frag6({ offset: 64, mf: false, id: 5, nexthdr: 17 }), countingBytes(16)),
    echo: frame(ip6(ip), icmp6({ type: 128, id: 7, seq: 1 }), countingBytes(56)),
    solicitation: frame(ip6({ ...ip, hopLimit: 255 }), icmp6({ type: 135, rest: 0 }), target),
    advertisement: frame(ip6({ ...ip, hopLimit: 255 }), icmp6({ type: 136, rest: 0 }), target),
    routerSolicitation: frame(ip6({ ...ip, hopLimit: 255 }), icmp6({ type: 133, rest: 0 })),
    tooBig: frame(ip6(ip), icmp6({ type: 2, rest: 1280 }), ...inner),
    exceeded: frame(ip6(ip), icmp6({ type: 3 }), ip6({ src: dst, dst: src }), tcp({ src: 80, dst: 40000 })),
    noNext: frame(ip6({ ...ip, nexthdr: 59 })),
    hop1: frame(ip6({ ...ip, hopLimit: 1 }), udp({ src: 40000, dst: 53 })),
  };
}
