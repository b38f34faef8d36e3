// net/ipv4/ip_options.c, as far as packets with options pass through: checking, record route and timestamp,
// fragments. Source routes are refused (accept_source_route is off for `all`).

import type { Skb } from "../bpf/skb.js";
import { ip_send_check } from "./csum.js";
import type { NetDevice } from "./device.js";
import * as R from "./drop_reason.js";
import { RT_SCOPE_UNIVERSE } from "./fib.js";
import { ICMP_PARAMETERPROB, icmp_send } from "./icmp.js";
import type { Netns } from "./netns.js";
import { INPUT_LOCAL, inet_select_addr, type Rtable } from "./route.js";
import { kfree_skb_reason } from "./skbuff.js";
import { Mib } from "./snmp.js";

const IPOPT_END = 0;
const IPOPT_NOOP = 1;
const IPOPT_RR = 7;
const IPOPT_TIMESTAMP = 68;
const IPOPT_LSRR = 131;
const IPOPT_SSRR = 137;
const IPOPT_RA = 148;
const COPIED = 0x80;

/** ip_rcv_options: false when the packet was dropped. */
export function ip_rcv_options(ns: Netns, skb: Skb, _dev: NetDevice): boolean {
  const n = skb.network;
  const b = skb.bytes;
  const end = n + (b[n]! & 15) * 4;
  let p = n + 20;
  let rr = false;
  let ts = false;
  let sr = false;
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
    const len = p + 1 < end ? b[p + 1]! : 0;
    if (p + 1 >= end || len < 2 || p + len > end) return bad(ns, skb, p);
    if (kind === IPOPT_LSRR || kind === IPOPT_SSRR) {
      if (len < 3) return bad(ns, skb, p + 1);
      if (b[p + 2]! < 4) return bad(ns, skb, p + 2);
      if (sr) return bad(ns, skb, p);
      sr = true;
    } else if (kind === IPOPT_RR) {
      if (rr) return bad(ns, skb, p);
      if (len < 3) return bad(ns, skb, p + 1);
      const ptr = b[p + 2]!;
      if (ptr < 4) return bad(ns, skb, p + 2);
      if (ptr <= len) {
        if (ptr + 3 > len) return bad(ns, skb, p + 2);
        rr = true;
      }
    } else if (kind === IPOPT_TIMESTAMP) {
      if (ts) return bad(ns, skb, p);
      if (len < 4) return bad(ns, skb, p + 1);
      if (b[p + 2]! < 5) return bad(ns, skb, p + 2);
      ts = true;
    } else if (kind === IPOPT_RA) {
      if (len < 4) return bad(ns, skb, p + 1);
    }
    p += len;
  }
  if (sr) {
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return false;
  }
  // Record route is filled at input when the packet stays here; forwarded ones get the outgoing address later.
  if ((rr || ts) && (skb.dst as Rtable).input === INPUT_LOCAL)
    record(ns, skb, skb.view.getInt32(n + 16, true));
  return true;
}

function bad(ns: Netns, skb: Skb, at: number): boolean {
  ns.mib[Mib.IpInHdrErrors]!++;
  icmp_send(ns, skb, ICMP_PARAMETERPROB, 0, (at - skb.network) << 24);
  kfree_skb_reason(ns, skb, R.IP_INHDR);
  return false;
}

/** Writes `addr` (Be32) and the time into record-route and timestamp options that have room. */
function record(ns: Netns, skb: Skb, addr: number): void {
  const n = skb.network;
  const b = skb.bytes;
  const v = skb.view;
  const end = n + (b[n]! & 15) * 4;
  let p = n + 20;
  let changed = false;
  while (p < end) {
    const kind = b[p]!;
    if (kind === IPOPT_END) break;
    if (kind === IPOPT_NOOP) {
      p++;
      continue;
    }
    const len = b[p + 1]!;
    const ptr = b[p + 2]!;
    if (kind === IPOPT_RR && ptr + 3 <= len) {
      v.setInt32(p + ptr - 1, addr, true);
      b[p + 2] = ptr + 4;
      changed = true;
    } else if (kind === IPOPT_TIMESTAMP) {
      const flag = b[p + 3]! & 15;
      const ms = Math.floor(ns.kernel.clock.ns / 1e6) % 86_400_000;
      if (ptr > len) {
        const overflow = b[p + 3]! >> 4;
        if (overflow < 15) b[p + 3] = ((overflow + 1) << 4) | flag;
        changed = true;
      } else if (flag === 0 && ptr + 3 <= len) {
        v.setInt32(p + ptr - 1, ms, false);
        b[p + 2] = ptr + 4;
        changed = true;
      } else if (flag === 1 && ptr + 7 <= len) {
        v.setInt32(p + ptr - 1, addr, true);
        v.setInt32(p + ptr + 3, ms, false);
        b[p + 2] = ptr + 8;
        changed = true;
      } else if (flag === 3 && ptr + 7 <= len && ns.fib.isLocalAddr(v.getInt32(p + ptr - 1, true))) {
        v.setInt32(p + ptr + 3, ms, false);
        b[p + 2] = ptr + 8;
        changed = true;
      }
    }
    p += len;
  }
  if (changed) ip_send_check(skb, n);
}

/** ip_forward_options: the address a forwarded packet leaves from. */
export function ip_forward_options(ns: Netns, skb: Skb): void {
  const rt = skb.dst as Rtable;
  const n = skb.network;
  const daddr = skb.view.getInt32(n + 16, true);
  record(ns, skb, inet_select_addr(ns, rt.dev, rt.rt_gw !== 0 ? rt.rt_gw : daddr, RT_SCOPE_UNIVERSE));
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

/** ip_options_echo. Differs from the kernel: replies carry no options. */
export function ip_options_echo(_from: Skb, _to: Skb): void {}
