// net/ipv4/ip_options.c: checking options on receipt, record route and timestamp on the way, options of fragments and
// of ICMP answers. Source routes are refused (accept_source_route is off for `all`).

import type { Skb } from "../bpf/skb.js";
import { ip_send_check } from "./csum.js";
import type { NetDevice } from "./device.js";
import * as R from "./drop_reason.js";
import { FibResult, Flowi4, RT_SCOPE_LINK, RT_SCOPE_UNIVERSE } from "./fib.js";
import { ICMP_PARAMETERPROB, icmp_send } from "./icmp.js";
import type { Netns } from "./netns.js";
import {
  inet_select_addr,
  prefsrcOf,
  RTCF_BROADCAST,
  RTCF_LOCAL,
  RTCF_MULTICAST,
  RTN_UNICAST,
  type Rtable,
} from "./route.js";
import { IPSKB_OPT, IPSKB_OPT_RR, IPSKB_OPT_TS_ADDR, IPSKB_OPT_TS_TIME, kfree_skb_reason } from "./skbuff.js";
import { Mib } from "./snmp.js";

const IPOPT_END = 0;
const IPOPT_NOOP = 1;
const IPOPT_RR = 7;
const IPOPT_TIMESTAMP = 68;
const IPOPT_LSRR = 131;
const IPOPT_SSRR = 137;
const IPOPT_RA = 148;
const COPIED = 0x80;
const TS_TSONLY = 0;
const TS_TSANDADDR = 1;
const TS_PRESPEC = 3;

const flow = new Flowi4();
const result = new FibResult();

/** fib_compute_spec_dst: the address of this host that the packet's sender would be answered from. */
function spec_dst(ns: Netns, skb: Skb): number {
  const rt = skb.dst as Rtable | null;
  const n = skb.network;
  const v = skb.view;
  if (rt !== null && (rt.rt_flags & (RTCF_LOCAL | RTCF_BROADCAST | RTCF_MULTICAST)) === RTCF_LOCAL)
    return v.getInt32(n + 16, true);
  const saddr = v.getInt32(n + 12, true);
  const dev = skb.dev as NetDevice;
  if (saddr === 0) return inet_select_addr(ns, dev, saddr, RT_SCOPE_LINK);
  flow.clear();
  flow.iif = 1;
  flow.daddr = saddr;
  flow.tos = skb.bytes[n + 1]! & 0x1c;
  if (ns.fib.lookup(flow, result, 0) === 0 && result.nh !== null) return prefsrcOf(ns, result);
  return inet_select_addr(ns, dev, saddr, RT_SCOPE_UNIVERSE);
}

/** ip_rt_get_source: what a forwarded packet records as the address it left from. */
function rt_source(ns: Netns, skb: Skb, rt: Rtable): number {
  const n = skb.network;
  const v = skb.view;
  const daddr = v.getInt32(n + 16, true);
  if (!rt.rt_is_input) return v.getInt32(n + 12, true);
  flow.clear();
  flow.daddr = daddr;
  flow.saddr = v.getInt32(n + 12, true);
  flow.tos = skb.bytes[n + 1]! & 0x1c;
  flow.oif = rt.dev.ifindex;
  flow.iif = (skb.dev as NetDevice).ifindex;
  flow.mark = skb.mark;
  if (ns.fib.lookup(flow, result, 0) === 0 && result.nh !== null) return prefsrcOf(ns, result);
  return inet_select_addr(ns, rt.dev, rt.rt_gw !== 0 ? rt.rt_gw : daddr, RT_SCOPE_UNIVERSE);
}

const midnightMs = (ns: Netns): number => Math.floor(ns.kernel.clock.ns / 1e6) % 86_400_000;

/** ip_rcv_options and ip_options_compile: false when the packet was dropped. */
export function ip_rcv_options(ns: Netns, skb: Skb, _dev: NetDevice): boolean {
  const n = skb.network;
  const b = skb.bytes;
  const v = skb.view;
  const end = n + (b[n]! & 15) * 4;
  let p = n + 20;
  let rr = false;
  let ts = false;
  let sr = false;
  skb.ipcb |= IPSKB_OPT;
  while (p < end) {
    const kind = b[p]!;
    if (kind === IPOPT_END) {
      // What follows END is cleared.
      for (let i = p + 1; i < end; i++) b[i] = IPOPT_END;
      break;
    }
    if (kind === IPOPT_NOOP) {
      p++;
      continue;
    }
    if (p + 1 >= end) return bad(ns, skb, p);
    const len = b[p + 1]!;
    if (len < 2 || p + len > end) return bad(ns, skb, p);
    switch (kind) {
      case IPOPT_LSRR:
      case IPOPT_SSRR:
        if (len < 3) return bad(ns, skb, p + 1);
        if (b[p + 2]! < 4) return bad(ns, skb, p + 2);
        if (sr) return bad(ns, skb, p);
        sr = true;
        break;
      case IPOPT_RR: {
        if (rr) return bad(ns, skb, p);
        if (len < 3) return bad(ns, skb, p + 1);
        const ptr = b[p + 2]!;
        if (ptr < 4) return bad(ns, skb, p + 2);
        if (ptr <= len) {
          if (ptr + 3 > len) return bad(ns, skb, p + 2);
          v.setInt32(p + ptr - 1, spec_dst(ns, skb), true);
          b[p + 2] = ptr + 4;
          skb.ipcb |= IPSKB_OPT_RR;
        }
        rr = true;
        break;
      }
      case IPOPT_TIMESTAMP: {
        if (ts) return bad(ns, skb, p);
        if (len < 4) return bad(ns, skb, p + 1);
        const ptr = b[p + 2]!;
        if (ptr < 5) return bad(ns, skb, p + 2);
        const flag = b[p + 3]! & 15;
        if (ptr <= len) {
          if (ptr + 3 > len) return bad(ns, skb, p + 2);
          if (flag === TS_TSONLY) {
            v.setInt32(p + ptr - 1, midnightMs(ns), false);
            b[p + 2] = ptr + 4;
            skb.ipcb |= IPSKB_OPT_TS_TIME;
          } else if (flag === TS_TSANDADDR) {
            if (ptr + 7 > len) return bad(ns, skb, p + 2);
            v.setInt32(p + ptr - 1, spec_dst(ns, skb), true);
            v.setInt32(p + ptr + 3, midnightMs(ns), false);
            b[p + 2] = ptr + 8;
            skb.ipcb |= IPSKB_OPT_TS_TIME | IPSKB_OPT_TS_ADDR;
          } else if (flag === TS_PRESPEC) {
            if (ptr + 7 > len) return bad(ns, skb, p + 2);
            if (ns.fib.addrType(v.getInt32(p + ptr - 1, true)) !== RTN_UNICAST) {
              v.setInt32(p + ptr + 3, midnightMs(ns), false);
              b[p + 2] = ptr + 8;
              skb.ipcb |= IPSKB_OPT_TS_TIME;
            }
          } else return bad(ns, skb, p + 3);
        } else if (flag !== TS_PRESPEC) {
          const overflow = b[p + 3]! >> 4;
          if (overflow === 15) return bad(ns, skb, p + 3);
          b[p + 3] = ((overflow + 1) << 4) | flag;
        }
        ts = true;
        break;
      }
      case IPOPT_RA:
        if (len < 4) return bad(ns, skb, p + 1);
        break;
      default:
        break;
    }
    p += len;
  }
  if (sr) {
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return false;
  }
  return true;
}

function bad(ns: Netns, skb: Skb, at: number): boolean {
  ns.mib[Mib.IpInHdrErrors]!++;
  icmp_send(ns, skb, ICMP_PARAMETERPROB, 0, (at - skb.network) << 24);
  kfree_skb_reason(ns, skb, R.IP_INHDR);
  return false;
}

/** Offset of option `kind` in the header at `n`, or -1. */
function find(skb: Skb, n: number, kind: number): number {
  const b = skb.bytes;
  const end = n + (b[n]! & 15) * 4;
  for (let p = n + 20; p < end; ) {
    const k = b[p]!;
    if (k === IPOPT_END) return -1;
    if (k === kind) return p;
    const len = k === IPOPT_NOOP ? 1 : b[p + 1]!;
    if (len < 1) return -1;
    p += len;
  }
  return -1;
}

/** ip_forward_options: the address that a forwarded packet leaves from replaces the one noted on receipt. */
export function ip_forward_options(ns: Netns, skb: Skb): void {
  const rt = skb.dst as Rtable;
  const n = skb.network;
  const v = skb.view;
  const b = skb.bytes;
  if ((skb.ipcb & IPSKB_OPT_RR) !== 0) {
    const p = find(skb, n, IPOPT_RR);
    if (p >= 0) v.setInt32(p + b[p + 2]! - 5, rt_source(ns, skb, rt), true);
  }
  if ((skb.ipcb & IPSKB_OPT_TS_ADDR) !== 0) {
    const p = find(skb, n, IPOPT_TIMESTAMP);
    if (p >= 0) v.setInt32(p + b[p + 2]! - 9, rt_source(ns, skb, rt), true);
  }
  ip_send_check(skb, n);
}

/** ip_options_fragment: options that are not to be copied become NOOPs in later fragments. `n` is the header. */
export function ip_options_fragment(skb: Skb, n: number): void {
  const b = skb.bytes;
  const end = n + (b[n]! & 15) * 4;
  let p = n + 20;
  while (p < end) {
    const kind = b[p]!;
    if (kind === IPOPT_END) return;
    if (kind === IPOPT_NOOP) {
      p++;
      continue;
    }
    const len = b[p + 1]!;
    if (len < 2 || p + len > end) return;
    if ((kind & COPIED) === 0) for (let i = 0; i < len; i++) b[p + i] = IPOPT_NOOP;
    p += len;
  }
}

/** Options of the answer that is being made. */
const echo = new Uint8Array(40);
const echoView = new DataView(echo.buffer);

/**
 * __ip_options_echo and ip_options_build: the options of an answer to `skb`, sent from `saddr`, into a scratch area
 * (`echoOptions`). Record route and timestamp go back with one entry more; others are dropped. Their length.
 */
export function ip_options_echo(ns: Netns, skb: Skb, saddr: number): number {
  const n = skb.network;
  const b = skb.bytes;
  if ((b[n]! & 15) <= 5 || (skb.ipcb & IPSKB_OPT) === 0) return 0;
  let len = 0;
  const rr = find(skb, n, IPOPT_RR);
  if (rr >= 0) {
    const l = b[rr + 1]!;
    for (let i = 0; i < l; i++) echo[i] = b[rr + i]!;
    const ptr = b[rr + 2]!;
    if ((skb.ipcb & IPSKB_OPT_RR) !== 0 && ptr <= l && ptr + 3 <= l) {
      echoView.setInt32(ptr - 1, saddr, true);
      echo[2] = ptr + 4;
    }
    len = l;
  }
  const ts = find(skb, n, IPOPT_TIMESTAMP);
  if (ts >= 0) {
    const l = b[ts + 1]!;
    for (let i = 0; i < l; i++) echo[len + i] = b[ts + i]!;
    let ptr = b[ts + 2]!;
    if (ptr <= l) {
      if ((skb.ipcb & IPSKB_OPT_TS_ADDR) !== 0 && ptr + 3 <= l) {
        echoView.setInt32(len + ptr - 1, saddr, true);
        ptr += 4;
      }
      if ((skb.ipcb & IPSKB_OPT_TS_TIME) !== 0 && (b[ts + 3]! & 15) !== TS_PRESPEC && ptr + 3 <= l) {
        echoView.setInt32(len + ptr - 1, midnightMs(ns), false);
        ptr += 4;
      }
      echo[len + 2] = ptr;
    }
    len += l;
  }
  while ((len & 3) !== 0) echo[len++] = IPOPT_END;
  return len;
}

/** What ip_options_echo left. */
export const echoOptions: Uint8Array = echo;
