// net/ipv4/arp.c: questions, answers, proxying.

import { PACKET_HOST, PACKET_OTHERHOST, type Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import { bswap32 } from "../net/view.js";
import { dev_queue_xmit } from "./dev.js";
import { ARPHRD_ETHER, IFF_LOOPBACK, IFF_NOARP, IFF_POINTOPOINT, type NetDevice } from "./device.js";
import * as R from "./drop_reason.js";
import { ETH_P_ARP, eth_push_header } from "./eth.js";
import {
  MASK,
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RTN_BROADCAST,
  RTN_LOCAL,
  RTN_MULTICAST,
  RTN_UNICAST,
} from "./fib.js";
import { icmp_link_failure } from "./icmp.js";
import {
  NEIGH_UPDATE_F_OVERRIDE,
  type Neighbour,
  NUD_NOARP,
  NUD_REACHABLE,
  NUD_STALE,
  NUD_VALID,
  neigh_for_nexthop,
} from "./neighbour.js";
import {
  inDevForward,
  inet_ifa_match,
  inet_select_addr,
  ip_route_input,
  isLoopback,
  type Rtable,
} from "./route.js";
import { alloc_local_skb, consume_skb, kfree_skb_reason, skb_copy, skb_set_dev } from "./skbuff.js";

export const ARPOP_REQUEST = 1;
export const ARPOP_REPLY = 2;

/** arp_constructor: entries that need no question. */
export function arp_constructor(n: Neighbour): void {
  const dev = n.dev;
  if (dev.hardHeaderLen === 0) {
    n.state = NUD_NOARP;
    return;
  }
  const type = dev.ns.fib.addrType(n.ip);
  if (type === RTN_MULTICAST) {
    const h = bswap32(n.ip);
    n.ha.set([1, 0, 0x5e, (h >> 16) & 0x7f, (h >> 8) & 0xff, h & 0xff]);
    n.state = NUD_NOARP;
  } else if ((dev.flags & (IFF_NOARP | IFF_LOOPBACK)) !== 0) {
    n.ha.set(dev.mac);
    n.state = NUD_NOARP;
  } else if (type === RTN_BROADCAST || (dev.flags & IFF_POINTOPOINT) !== 0) {
    n.ha.fill(0xff);
    n.state = NUD_NOARP;
  }
}

/** Writes the 28 bytes of an ARP packet and sends it in an Ethernet frame. */
function arp_send(
  op: number,
  dev: NetDevice,
  destIp: number,
  srcIp: number,
  destHw: Uint8Array,
  destHwOff: number,
  targetHw: Uint8Array | null,
  targetOff: number,
): void {
  if ((dev.flags & IFF_NOARP) !== 0) return;
  const ns = dev.ns;
  const skb = alloc_local_skb(ns);
  const d = skb.data;
  skb.tail = d + 28;
  skb.network = d;
  const v = skb.view;
  const b = skb.bytes;
  v.setUint32(d, 0x00010800, false);
  v.setUint32(d + 4, 0x06040000 | op, false);
  for (let i = 0; i < 6; i++) {
    b[d + 8 + i] = dev.mac[i]!;
    b[d + 18 + i] = targetHw === null ? 0 : targetHw[targetOff + i]!;
  }
  v.setInt32(d + 14, srcIp, true);
  v.setInt32(d + 24, destIp, true);
  skb_set_dev(skb, dev);
  eth_push_header(skb, ETH_P_ARP, destHw, dev.mac);
  if (destHwOff !== 0) for (let i = 0; i < 6; i++) b[skb.data + i] = destHw[destHwOff + i]!;
  if (ns.recorder !== null) ns.recorder.step(Step.ARP, skb, dev, op, 0, 0);
  dev_queue_xmit(skb);
}

/** arp_solicit: asks for the address of `n`; `skb` is a packet that waits for it, or null. */
export function arp_solicit(n: Neighbour, skb: Skb | null): void {
  const dev = n.dev;
  const ns = dev.ns;
  const target = n.ip;
  let saddr = 0;
  const announce = Math.max(dev.conf.arp_announce, ns.confAll.arp_announce);
  if (skb !== null && announce < 2) {
    const s = skb.view.getInt32(skb.network + 12, true);
    if (ns.fib.addrTypeAny(s) === RTN_LOCAL) {
      if (announce === 0) saddr = s;
      else {
        for (const a of dev.addrs) if (inet_ifa_match(target, a) && inet_ifa_match(s, a)) saddr = s;
      }
    }
  }
  if (saddr === 0) saddr = inet_select_addr(ns, dev, target, RT_SCOPE_LINK);
  const unicast = n.probes < n.parms.ucast_solicit;
  arp_send(ARPOP_REQUEST, dev, target, saddr, unicast ? n.ha : dev.broadcast, 0, null, 0);
}

/** arp_error_report: the address was not found. */
export function arp_error_report(n: Neighbour, skb: Skb): void {
  icmp_link_failure(n.dev.ns, skb);
  kfree_skb_reason(n.dev.ns, skb, R.NEIGH_FAILED);
}

/** Gratuitous ARP: an unsolicited request (or reply) for an own address, as `arping -U` and arp_notify send it. */
export function arp_announce_addr(dev: NetDevice, addr: number, reply = false): void {
  arp_send(reply ? ARPOP_REPLY : ARPOP_REQUEST, dev, addr, addr, dev.broadcast, 0, reply ? dev.mac : null, 0);
}

/** arp_rcv. */
export function arp_rcv(skb: Skb, dev: NetDevice): void {
  const ns = dev.ns;
  if ((dev.flags & IFF_NOARP) !== 0 || skb.pktType === PACKET_OTHERHOST || (dev.flags & IFF_LOOPBACK) !== 0) {
    if (skb.pktType === PACKET_OTHERHOST) kfree_skb_reason(ns, skb, R.OTHERHOST);
    else consume_skb(ns.kernel, skb);
    return;
  }
  const d = skb.data;
  const v = skb.view;
  if (skb.tail - d < 28 || skb.bytes[d + 4] !== 6 || skb.bytes[d + 5] !== 4) {
    kfree_skb_reason(ns, skb, skb.tail - d < 28 ? R.PKT_TOO_SMALL : R.NOT_SPECIFIED);
    return;
  }
  if (v.getUint16(d, false) !== ARPHRD_ETHER || v.getUint16(d + 2, false) !== 0x0800) {
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  arp_process(skb, dev, false);
}

/** arp_process. `late`: the packet waited for the proxy delay. */
function arp_process(skb: Skb, dev: NetDevice, late: boolean): void {
  const ns = dev.ns;
  const k = ns.kernel;
  const d = skb.data;
  const v = skb.view;
  const op = v.getUint16(d + 6, false);
  if (op !== ARPOP_REQUEST && op !== ARPOP_REPLY) {
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  const sha = d + 8;
  const sip = v.getInt32(d + 14, true);
  const tip = v.getInt32(d + 24, true);
  const localnet = dev.conf.route_localnet !== 0 || ns.confAll.route_localnet !== 0;
  if ((tip & 0xf0) === 0xe0 || (!localnet && isLoopback(tip))) {
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  if (sip === tip && (dev.conf.drop_gratuitous_arp !== 0 || ns.confAll.drop_gratuitous_arp !== 0)) {
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  let answered = 0;
  if (sip === 0) {
    // Duplicate address detection (RFC 2131): only an own address answers, nothing is learned.
    if (op === ARPOP_REQUEST && ns.fib.addrTypeAny(tip) === RTN_LOCAL && !arp_ignore(dev, sip, tip)) {
      arp_send(ARPOP_REPLY, dev, sip, tip, skb.bytes, sha, skb.bytes, sha);
      answered = 1;
    }
    if (ns.recorder !== null) ns.recorder.step(Step.ARP, skb, dev, op, answered, 0);
    consume_skb(k, skb);
    return;
  }
  if (op === ARPOP_REQUEST && ip_route_input(skb, tip, sip, 0, dev, ETH_P_ARP)) {
    const rt = skb.dst as Rtable;
    if (rt.rt_type === RTN_LOCAL) {
      let dont = arp_ignore(dev, sip, tip);
      if (!dont && (dev.conf.arp_filter !== 0 || ns.confAll.arp_filter !== 0)) dont = arp_filter(dev, sip);
      if (!dont) {
        neigh_for_nexthop(dev, sip).update(skb.bytes, sha, NUD_STALE, NEIGH_UPDATE_F_OVERRIDE);
        arp_send(ARPOP_REPLY, dev, sip, tip, skb.bytes, sha, skb.bytes, sha);
        answered = 1;
      }
      if (ns.recorder !== null) ns.recorder.step(Step.ARP, skb, dev, op, answered, 0);
      consume_skb(k, skb);
      return;
    }
    if (inDevForward(dev) && rt.rt_type === RTN_UNICAST && arp_fwd(dev, rt, sip, tip)) {
      neigh_for_nexthop(dev, sip).update(skb.bytes, sha, NUD_STALE, NEIGH_UPDATE_F_OVERRIDE);
      if (late || skb.pktType === PACKET_HOST || dev.arpParms.proxy_delay === 0) {
        arp_send(ARPOP_REPLY, dev, sip, tip, skb.bytes, sha, skb.bytes, sha);
        if (ns.recorder !== null) ns.recorder.step(Step.ARP, skb, dev, op, 1, 0);
        consume_skb(k, skb);
      } else pneigh_enqueue(skb, dev);
      return;
    }
  }
  // What others say updates what is known.
  let n = dev.arp.get(sip);
  const accept = Math.max(dev.conf.arp_accept, ns.confAll.arp_accept);
  let garp = false;
  if (n !== undefined || accept !== 0) {
    garp = arp_is_garp(skb, op, sip, tip, d) && ns.fib.addrTypeAny(sip) === RTN_UNICAST;
    if (n === undefined && (garp || (op === ARPOP_REPLY && ns.fib.addrTypeAny(sip) === RTN_UNICAST)))
      n = neigh_for_nexthop(dev, sip);
  }
  if (n !== undefined) {
    let state = NUD_REACHABLE;
    const override = garp || k.clock.ns > n.updatedNs + n.parms.locktime * 1e7;
    if (op !== ARPOP_REPLY || skb.pktType !== PACKET_HOST) state = NUD_STALE;
    const valid = (n.state & NUD_VALID) !== 0;
    n.update(skb.bytes, sha, state, override || !valid ? NEIGH_UPDATE_F_OVERRIDE : 0);
  }
  if (ns.recorder !== null) ns.recorder.step(Step.ARP, skb, dev, op, 0, 0);
  consume_skb(k, skb);
}

function arp_is_garp(skb: Skb, op: number, sip: number, tip: number, d: number): boolean {
  if (sip !== tip) return false;
  // A gratuitous reply names its sender's hardware address twice.
  if (op === ARPOP_REPLY) {
    for (let i = 0; i < 6; i++) if (skb.bytes[d + 18 + i] !== skb.bytes[d + 8 + i]) return false;
  }
  return true;
}

/** arp_ignore: true when the request must not be answered. */
function arp_ignore(dev: NetDevice, sip: number, tip: number): boolean {
  switch (Math.max(dev.conf.arp_ignore, dev.ns.confAll.arp_ignore)) {
    case 0:
      return false;
    case 1:
      return !inet_confirm_addr(dev, true, 0, tip, RT_SCOPE_HOST);
    case 2:
      return !inet_confirm_addr(dev, true, sip, tip, RT_SCOPE_HOST);
    case 3:
      return !inet_confirm_addr(dev, false, 0, tip, RT_SCOPE_LINK);
    case 8:
      return true;
    default:
      return false;
  }
}

/** inet_confirm_addr: `local` is an address of the device (or of any), of at most that scope, in reach of `dst`. */
function inet_confirm_addr(dev: NetDevice, own: boolean, dst: number, local: number, scope: number): boolean {
  for (const x of own ? [dev] : dev.ns.devOrder)
    for (const a of x.addrs)
      if (
        a.local === local &&
        a.scope <= scope &&
        (dst === 0 || ((bswap32(a.address) ^ bswap32(dst)) & MASK[a.prefixLen]!) === 0)
      )
        return true;
  return false;
}

/** arp_filter: the answer would leave by another device. */
function arp_filter(dev: NetDevice, sip: number): boolean {
  const f = dev.ns.fib;
  return f.outputDev(sip) !== dev;
}

/** arp_fwd_proxy, arp_fwd_pvlan, or a static proxy entry. */
function arp_fwd(dev: NetDevice, rt: Rtable, sip: number, tip: number): boolean {
  const all = dev.ns.confAll;
  if (rt.dev !== dev) {
    if (dev.conf.proxy_arp !== 0 || all.proxy_arp !== 0) return true;
    return dev.proxyNeigh.has(tip);
  }
  return (dev.conf.proxy_arp_pvlan !== 0 || all.proxy_arp_pvlan !== 0) && sip !== tip;
}

/** pneigh_enqueue: answered after a random part of proxy_delay. */
function pneigh_enqueue(skb: Skb, dev: NetDevice): void {
  const k = dev.ns.kernel;
  const waiting = skb_copy(k, skb);
  consume_skb(k, skb);
  waiting.dst = null;
  const delayMs = k.prng.below(dev.arpParms.proxy_delay * 10);
  k.timers.after(delayMs * 1e6, () => {
    k.world.enter();
    if (dev.up) arp_process(waiting, dev, true);
    else consume_skb(k, waiting);
    k.world.leave();
  });
}
