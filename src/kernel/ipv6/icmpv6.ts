// net/ipv6/icmp.c: errors, echo.

import { PACKET_HOST, type Skb } from "../../bpf/skb.js";
import { Step } from "../../bpf/steps.js";
import { csum_fold, csum_partial } from "../csum.js";
import type { NetDevice } from "../device.js";
import * as R from "../drop_reason.js";
import type { Netns } from "../netns.js";
import { alloc_local_skb, consume_skb, kfree_skb_reason } from "../skbuff.js";
import { Mib } from "../snmp.js";
import { ip6_local_out } from "./ip6_output.js";
import { NDISC_NEIGHBOUR_ADVERTISEMENT, NDISC_NEIGHBOUR_SOLICITATION, ndisc_rcv } from "./ndisc.js";
import { raw6_local_deliver, rawv6_err } from "./raw6.js";
import { tcp_v6_err } from "./tcp_ipv6.js";
import { udpv6_err } from "./udp6.js";

export const ICMPV6_DEST_UNREACH = 1;
export const ICMPV6_PKT_TOOBIG = 2;
export const ICMPV6_TIME_EXCEED = 3;
export const ICMPV6_PARAMPROB = 4;
export const ICMPV6_ECHO_REQUEST = 128;
export const ICMPV6_ECHO_REPLY = 129;
export const IPPROTO_ICMPV6 = 58;

/** Sum of the pseudo header of the IPv6 packet at `n`. */
export function csum_pseudo6(skb: Skb, n: number, proto: number, len: number): number {
  return csum_partial(skb.bytes, n + 8, 32, proto + len);
}

/** Checksum of L4 at `off` (`len` bytes) with the pseudo header of the IPv6 header at `n`: 0 when right. */
export function csum_ipv6_magic(skb: Skb, n: number, proto: number, off: number, len: number): number {
  return csum_fold(csum_partial(skb.bytes, off, len, csum_pseudo6(skb, n, proto, len)));
}

/** Writes the checksum of the ICMPv6 message at `d` up to the tail. */
export function icmpv6_checksum(skb: Skb, n: number, d: number): void {
  const len = skb.tail - d;
  skb.view.setUint16(d + 2, 0, false);
  skb.view.setUint16(d + 2, csum_ipv6_magic(skb, n, IPPROTO_ICMPV6, d, len), false);
}

/**
 * icmp6_send: an error about the packet at skb.network, at most 1280 bytes. `info`: the MTU or pointer. `skb` stays
 * the caller's. Differs from the kernel: limited per namespace (1000 a second, burst 50), not per destination.
 */
export function icmp6_send(ns: Netns, skb: Skb, type: number, code: number, info: number): void {
  const fib = ns.fib6;
  const n = skb.network;
  const b = skb.bytes;
  if (fib === null || skb.tail - n < 40) return;
  if (skb.pktType !== PACKET_HOST && type !== ICMPV6_PKT_TOOBIG) return;
  if (b[n + 24] === 0xff && type !== ICMPV6_PKT_TOOBIG) return;
  // No error about an error, nor to nobody.
  if (b[n + 6] === IPPROTO_ICMPV6 && skb.tail - n > 40 && b[n + 40]! < 128) return;
  if (b[n + 8] === 0xff) return;
  let zero = true;
  for (let i = 0; i < 16; i++) if (b[n + 8 + i] !== 0) zero = false;
  if (zero || !fib.allowIcmp()) return;
  const local = fib.localDev(b, n + 24);
  const rt = fib.lookup(b, n + 8, 0);
  const dev = rt?.dev ?? (skb.dev as NetDevice | null);
  if (dev === null) return;
  const src = local !== null ? b.slice(n + 24, n + 40) : fib.source(dev, b, n + 8);
  if (src === null) return;
  if (ns.recorder !== null) ns.recorder.step(Step.ICMP_ERROR, skb, null, type, code, 0);
  const len = Math.min(skb.tail - n, 1280 - 48);
  const e = alloc_local_skb(ns);
  const d = e.data;
  e.ensure(d + 48 + len);
  e.tail = d + 48 + len;
  e.network = d;
  const eb = e.bytes;
  eb.fill(0, d, d + 48);
  eb[d] = 0x60;
  e.view.setUint16(d + 4, 8 + len, false);
  eb[d + 6] = IPPROTO_ICMPV6;
  eb[d + 7] = ns.sysctl.ip6_default_hoplimit;
  for (let i = 0; i < 16; i++) {
    eb[d + 8 + i] = src[i]!;
    eb[d + 24 + i] = b[n + 8 + i]!;
  }
  eb[d + 40] = type;
  eb[d + 41] = code;
  e.view.setInt32(d + 44, info, false);
  for (let i = 0; i < len; i++) eb[d + 48 + i] = b[n + i]!;
  icmpv6_checksum(e, d, d + 40);
  ns.mib[Mib.Icmp6OutMsgs]!++;
  ip6_local_out(ns, e, skb.dev as NetDevice | null);
}

/** icmpv6_rcv; `d` is the ICMPv6 header. Takes the packet. */
export function icmpv6_rcv(ns: Netns, skb: Skb, dev: NetDevice, n: number, d: number): void {
  const len = skb.tail - d;
  const b = skb.bytes;
  ns.mib[Mib.Icmp6InMsgs]!++;
  if (len < 8 || csum_ipv6_magic(skb, n, IPPROTO_ICMPV6, d, len) !== 0) {
    kfree_skb_reason(ns, skb, R.ICMP_CSUM);
    return;
  }
  switch (b[d]) {
    case ICMPV6_ECHO_REQUEST: {
      const r = alloc_local_skb(ns);
      const rd = r.data;
      r.ensure(rd + 40 + len);
      r.tail = rd + 40 + len;
      r.network = rd;
      const rb = r.bytes;
      for (let i = 0; i < 40; i++) rb[rd + i] = 0;
      rb[rd] = 0x60 | (b[n]! & 15);
      rb[rd + 1] = b[n + 1]! & 0xf0;
      r.view.setUint16(rd + 4, len, false);
      rb[rd + 6] = IPPROTO_ICMPV6;
      rb[rd + 7] = ns.sysctl.ip6_default_hoplimit;
      const multicast = b[n + 24] === 0xff;
      const src = multicast ? ns.fib6!.source(dev, b, n + 8) : null;
      for (let i = 0; i < 16; i++) {
        rb[rd + 8 + i] = src !== null ? src[i]! : b[n + 24 + i]!;
        rb[rd + 24 + i] = b[n + 8 + i]!;
      }
      for (let i = 0; i < len; i++) rb[rd + 40 + i] = b[d + i]!;
      rb[rd + 40] = ICMPV6_ECHO_REPLY;
      icmpv6_checksum(r, rd, rd + 40);
      ns.mib[Mib.Icmp6OutMsgs]!++;
      ip6_local_out(ns, r, dev);
      consume_skb(ns.kernel, skb);
      return;
    }
    case NDISC_NEIGHBOUR_SOLICITATION:
    case NDISC_NEIGHBOUR_ADVERTISEMENT:
      ndisc_rcv(ns, skb, dev, n, d);
      return;
    case ICMPV6_ECHO_REPLY:
      raw6_local_deliver(ns, skb, n);
      // ping_rcv: nobody but raw sockets, which had their copy, waits for it.
      kfree_skb_reason(ns, skb, R.NO_SOCKET);
      return;
    default:
      raw6_local_deliver(ns, skb, n);
      if (b[d]! < 128) icmpv6_notify(ns, skb, d);
      consume_skb(ns.kernel, skb);
  }
}

/** icmpv6_notify: an error reaches whom the quoted packet was from. */
function icmpv6_notify(ns: Netns, skb: Skb, d: number): void {
  const q = d + 8;
  // Quoted: the fixed header and at least the ports. Extension headers are not looked through.
  if (skb.tail - q < 48) return;
  const b = skb.bytes;
  const type = b[d]!;
  const code = b[d + 1]!;
  const info = skb.view.getInt32(d + 4, false);
  switch (b[q + 6]) {
    case 6:
      tcp_v6_err(ns, skb, q, type, code, info);
      break;
    case 17:
      udpv6_err(ns, skb, q, type, code, info);
      break;
    case IPPROTO_ICMPV6:
      rawv6_err(ns, skb, q, type, code, info);
      break;
    default:
      break;
  }
}
