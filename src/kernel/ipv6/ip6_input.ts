// net/ipv6/ip6_input.c and the forwarding of ip6_output.c: from a received IPv6 packet to the neighbour code.
//
// Differs from the kernel: no netfilter hooks for IPv6, no extension headers but options, none of which does anything,
// no fragments for this host.

import { PACKET_HOST, PACKET_OTHERHOST, type Skb } from "../../bpf/skb.js";
import { Step } from "../../bpf/steps.js";
import { type NetDevice, RX_DROPPED } from "../device.js";
import * as R from "../drop_reason.js";
import { RTN_BLACKHOLE, RTN_PROHIBIT, RTN_UNICAST } from "../fib.js";
import type { Netns } from "../netns.js";
import { consume_skb, kfree_skb_reason } from "../skbuff.js";
import { Mib } from "../snmp.js";
import { prefixMatch } from "./fib6.js";
import {
  ICMPV6_DEST_UNREACH,
  ICMPV6_PARAMPROB,
  ICMPV6_PKT_TOOBIG,
  ICMPV6_TIME_EXCEED,
  icmp6_send,
  icmpv6_rcv,
} from "./icmpv6.js";
import { ip6_finish_output } from "./ip6_output.js";
import { tcp_v6_rcv } from "./tcp_ipv6.js";
import { udpv6_rcv } from "./udp6.js";

/** ipv6_rcv. `skb.data` is the IPv6 header. */
export function ipv6_rcv(skb: Skb, dev: NetDevice): void {
  const ns = dev.ns;
  if (skb.pktType === PACKET_OTHERHOST) {
    dev.stats[RX_DROPPED]!++;
    kfree_skb_reason(ns, skb, R.OTHERHOST);
    return;
  }
  const fib = ns.fib6;
  if (fib === null || dev.conf.disable_ipv6 !== 0) {
    kfree_skb_reason(ns, skb, R.IPV6DISABLED);
    return;
  }
  const n = skb.data;
  const b = skb.bytes;
  ns.mib[Mib.Ip6InReceives]!++;
  if (skb.tail - n < 40 || b[n]! >> 4 !== 6) {
    ns.mib[Mib.Ip6InHdrErrors]!++;
    kfree_skb_reason(ns, skb, skb.tail - n < 40 ? R.PKT_TOO_SMALL : R.IP_INHDR);
    return;
  }
  // A multicast source, or loopback from outside.
  const loop = (o: number): boolean => {
    for (let i = 0; i < 15; i++) if (b[o + i] !== 0) return false;
    return b[o + 15] === 1;
  };
  if (b[n + 8] === 0xff || (dev !== ns.lo && (loop(n + 8) || loop(n + 24)))) {
    ns.mib[Mib.Ip6InHdrErrors]!++;
    kfree_skb_reason(ns, skb, R.IP_INVALID_SOURCE);
    return;
  }
  const plen = (b[n + 4]! << 8) | b[n + 5]!;
  if (skb.tail - n < 40 + plen) {
    ns.mib[Mib.Ip6InHdrErrors]!++;
    kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
    return;
  }
  if (plen !== 0) skb.tail = n + 40 + plen;
  skb.network = n;
  skb.ipcb = 0;
  skb.sk = null;
  if (b[n + 24] === 0xff) {
    if (joined(dev, b, n + 24)) ip6_input(ns, skb, dev);
    else kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  if (fib.localDev(b, n + 24) !== null) {
    ip6_input(ns, skb, dev);
    return;
  }
  ip6_forward(ns, skb, dev);
}

/** All nodes, and the solicited-node groups of the device's addresses. */
function joined(dev: NetDevice, b: Uint8Array, o: number): boolean {
  if (b[o + 1] !== 2) return false;
  let mid = true;
  for (let i = 2; i < 11; i++) if (b[o + i] !== 0) mid = false;
  if (!mid) return false;
  if (b[o + 11] === 0 && b[o + 12] === 0 && b[o + 13] === 0 && b[o + 14] === 0) return b[o + 15]! <= 2;
  if (b[o + 11] !== 1 || b[o + 12] !== 0xff) return false;
  for (const a of dev.addrs6)
    if (a.bytes[13] === b[o + 13] && a.bytes[14] === b[o + 14] && a.bytes[15] === b[o + 15]) return true;
  return false;
}

const NEXTHDR_HOP = 0;
const NEXTHDR_DEST = 60;
const ICMPV6_UNK_OPTION = 2;

/**
 * ip6_parse_tlv: the options from `o` to `end`. None is known here but padding; the two high bits of an option's type say
 * what becomes of the packet (ip6_tlvopt_unknown): 0 nothing, 1 it goes, 2 and 3 it goes and its sender hears of it.
 */
function ip6_parse_tlv(ns: Netns, skb: Skb, from: number, end: number): boolean {
  const b = skb.bytes;
  for (let o = from; o < end; ) {
    const type = b[o]!;
    if (type === 0) {
      o++;
      continue;
    }
    const len = o + 1 < end ? 2 + b[o + 1]! : end;
    if (o + len > end) return false;
    // Pad1 and PadN have the bits 0, too.
    const action = type >> 6;
    if (action !== 0) {
      const multicast = b[skb.network + 24] === 0xff;
      if (action === 2 || (action === 3 && !multicast))
        icmp6_send(ns, skb, ICMPV6_PARAMPROB, ICMPV6_UNK_OPTION, o - skb.network);
      return false;
    }
    o += len;
  }
  return true;
}

/** ip6_input_finish: the transport protocol. */
function ip6_input(ns: Netns, skb: Skb, dev: NetDevice): void {
  const n = skb.network;
  const b = skb.bytes;
  let proto = b[n + 6]!;
  let d = n + 40;
  if (ns.recorder !== null) ns.recorder.step(Step.LOCAL_IN, skb, dev, 0, 0, 0);
  ns.mib[Mib.Ip6InDelivers]!++;
  // ipv6_destopt_rcv, ipv6_parse_hopopts.
  while ((proto === NEXTHDR_HOP || proto === NEXTHDR_DEST) && skb.tail - d >= 8) {
    const end = d + 8 + b[d + 1]! * 8;
    if (end > skb.tail || !ip6_parse_tlv(ns, skb, d + 2, end)) {
      kfree_skb_reason(ns, skb, R.IP_INHDR);
      return;
    }
    proto = b[d]!;
    d = end;
  }
  switch (proto) {
    case 58:
      icmpv6_rcv(ns, skb, dev, n, d);
      return;
    case 17:
      udpv6_rcv(ns, skb, n, d);
      return;
    case 6:
      tcp_v6_rcv(ns, skb, n, d);
      return;
    case 59:
      consume_skb(ns.kernel, skb);
      return;
    default:
      ns.mib[Mib.Ip6InUnknownProtos]!++;
      icmp6_send(ns, skb, ICMPV6_PARAMPROB, 1, 6);
      kfree_skb_reason(ns, skb, R.IP_NOPROTO);
  }
}

/** ip6_forward. */
function ip6_forward(ns: Netns, skb: Skb, dev: NetDevice): void {
  const n = skb.network;
  const b = skb.bytes;
  if (ns.confAll.forwarding6 === 0 && dev.conf.forwarding6 === 0) {
    ns.mib[Mib.Ip6InAddrErrors]!++;
    kfree_skb_reason(ns, skb, R.IP_INADDRERRORS);
    return;
  }
  if (skb.pktType !== PACKET_HOST) {
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  const rt = ns.fib6!.lookup(b, n + 24, 0);
  if (ns.recorder !== null) ns.recorder.step(Step.FIB, skb, rt, rt === null ? -101 : 0, 0, 0);
  if (rt === null || rt.type !== RTN_UNICAST || rt.dev === null) {
    ns.mib[Mib.Ip6InNoRoutes]!++;
    if (rt === null || rt.type !== RTN_BLACKHOLE)
      icmp6_send(ns, skb, ICMPV6_DEST_UNREACH, rt !== null && rt.type === RTN_PROHIBIT ? 1 : 0, 0);
    kfree_skb_reason(ns, skb, R.IP_INNOROUTES);
    return;
  }
  if (b[n + 7]! <= 1) {
    ns.mib[Mib.Ip6InHdrErrors]!++;
    icmp6_send(ns, skb, ICMPV6_TIME_EXCEED, 0, 0);
    kfree_skb_reason(ns, skb, R.IP_INHDR);
    return;
  }
  // Link-local packets stay on their link.
  if (b[n + 8] === 0xfe && (b[n + 9]! & 0xc0) === 0x80) {
    if (!prefixMatch(b, n + 24, b, n + 8, 10)) icmp6_send(ns, skb, ICMPV6_DEST_UNREACH, 2, 0);
    kfree_skb_reason(ns, skb, R.IP_INADDRERRORS);
    return;
  }
  const mtu = rt.mtu !== 0 ? rt.mtu : rt.dev.mtu;
  if (skb.tail - n > mtu && skb.gsoSize === 0) {
    ns.mib[Mib.Ip6InTooBigErrors]!++;
    icmp6_send(ns, skb, ICMPV6_PKT_TOOBIG, 0, mtu);
    kfree_skb_reason(ns, skb, R.PKT_TOO_BIG);
    return;
  }
  b[n + 7]!--;
  ns.mib[Mib.Ip6OutForwDatagrams]!++;
  if (ns.recorder !== null) ns.recorder.step(Step.FORWARD, skb, rt.dev, b[n + 7]!, 0, 0);
  ip6_finish_output(skb, rt.dev, rt.gw);
}
