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

/** Writes the checksum of the ICMPv6 message at `d` up to the tail. */
export function icmpv6_checksum(skb: Skb, n: number, d: number): void {
  const len = skb.tail - d;
  skb.view.setUint16(d + 2, 0, false);
  skb.view.setUint16(
    d + 2,
    csum_fold(csum_partial(skb.bytes, d, len, csum_pseudo6(skb, n, IPPROTO_ICMPV6, len))),
    false,
  );
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
  if (len < 8 || csum_fold(csum_partial(b, d, len, csum_pseudo6(skb, n, IPPROTO_ICMPV6, len))) !== 0) {
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
      ns.fib6!.onEchoReply?.(skb.bytes.slice(n, skb.tail));
      consume_skb(ns.kernel, skb);
      return;
    default:
      if (b[d]! < 128) ns.fib6!.onError?.(skb.bytes.slice(n, skb.tail));
      consume_skb(ns.kernel, skb);
  }
}
