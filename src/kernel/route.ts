// net/ipv4/route.c: from a packet or a flow to a route (struct rtable), path MTU, redirects, ip_error.
//
// A route object is kept per next hop and direction (nhc_rth_input, nhc_pcpu_rth_output), so that finding a route
// allocates nothing once it was found before. In front of the tables lies a small cache per namespace that any
// change of routes, rules, addresses, devices or sysctls empties; it changes no result.

import { EHOSTUNREACH, EINVAL, ENETUNREACH } from "../base/errno.js";
import type { Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import { bswap32 } from "../net/view.js";
import { IFF_LOOPBACK, IFF_UP, type InAddr, type NetDevice } from "./device.js";
import * as R from "./drop_reason.js";
import { ETH_P_IP } from "./eth.js";
import {
  FIB_LOOKUP_IGNORE_LINKSTATE,
  FibException,
  type FibInfo,
  type FibNh,
  FibResult,
  Flowi4,
  MASK,
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RTN_BROADCAST,
  RTN_LOCAL,
  RTN_MULTICAST,
  RTN_UNICAST,
  RTN_UNREACHABLE,
  RTNH_F_DEAD,
} from "./fib.js";
import { jhash_3words } from "./flow_dissector.js";
import { ICMP_DEST_UNREACH, ICMP_REDIR_HOST, ICMP_REDIRECT, icmp_send } from "./icmp.js";
import { inet_getpeer } from "./inetpeer.js";
import { NUD_VALID, neigh_for_nexthop } from "./neighbour.js";
import type { Netns } from "./netns.js";
import { IPSKB_DOREDIRECT, kfree_skb_reason } from "./skbuff.js";
import { Mib } from "./snmp.js";
import { jiffyNs } from "./timer_wheel.js";

export { Flowi4, RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST, RTN_UNICAST, RTN_UNREACHABLE } from "./fib.js";

export const FLOWI_FLAG_ANYSRC = 1;
export const FLOWI_FLAG_KNOWN_NH = 2;

export const RTCF_LOCAL = 0x80000000 | 0;
export const RTCF_BROADCAST = 0x10000000;
export const RTCF_MULTICAST = 0x20000000;

/** What dst.input does. */
export const INPUT_FORWARD = 0;
export const INPUT_LOCAL = 1;
export const INPUT_ERROR = 2;

const IP_MAX_MTU = 65535;

/** struct rtable. */
export class Rtable {
  /** Device it leaves by; for input to this host the loopback device. */
  dev: NetDevice;
  /** Gateway, Be32; 0 = the destination itself is the next hop. */
  rt_gw = 0;
  rt_uses_gateway = false;
  rt_type = RTN_UNICAST;
  rt_flags = 0;
  rt_is_input = false;
  rt_iif = 0;
  /** INPUT_*. */
  input = INPUT_FORWARD;
  /** Positive errno of an error route. */
  error = 0;
  fi: FibInfo | null = null;
  nh: FibNh | null = null;
  /** Path MTU of an exception with its expiry. */
  pmtu = 0;
  pmtuExpiresNs = 0;
  pmtuLocked = false;

  constructor(dev: NetDevice) {
    this.dev = dev;
  }
}

const resIn = new FibResult();
const resSrc = new FibResult();
const resOut = new FibResult();
const flIn = new Flowi4();
const flSrc = new Flowi4();
const flTmp = new Flowi4();
const flowPool: Flowi4[] = [];
let flowNext = 0;

/** A cleared flow for one output lookup; good until eight more were asked for. */
export function flowOut(_ns: Netns): Flowi4 {
  if (flowPool.length < 8) flowPool.push(new Flowi4());
  const f = flowPool[flowNext % flowPool.length]!;
  flowNext = (flowNext + 1) & 7;
  f.clear();
  return f;
}

// ---- the per-namespace cache in front of ip_route_input ----

const CACHE = 256;

/** Direct-mapped cache of input routes. */
export class InputCache {
  genid = -1;
  readonly k = new Int32Array(CACHE * 4);
  readonly rt: (Rtable | null)[] = new Array(CACHE).fill(null);
  /** 1: the packet deserves a redirect (IPSKB_DOREDIRECT). */
  readonly redirect = new Uint8Array(CACHE);
}

/** Per-namespace routes without a next hop: errors, broadcast input, assumed on-link. */
class SpecialRoutes {
  readonly errors = new Map<number, Rtable>();
  broadcast: Rtable | null = null;
  multicast: Rtable | null = null;
  readonly onlink = new Map<number, Rtable>();
  readonly brdOut = new Map<number, Rtable>();
}
const specials = new WeakMap<Netns, SpecialRoutes>();

function special(ns: Netns): SpecialRoutes {
  let s = specials.get(ns);
  if (s === undefined) {
    s = new SpecialRoutes();
    specials.set(ns, s);
  }
  return s;
}

function errorRoute(ns: Netns, error: number): Rtable {
  const s = special(ns);
  let rt = s.errors.get(error);
  if (rt === undefined) {
    rt = new Rtable(ns.lo);
    rt.rt_type = RTN_UNREACHABLE;
    rt.rt_is_input = true;
    rt.input = INPUT_ERROR;
    rt.error = error;
    s.errors.set(error, rt);
  }
  return rt;
}

export const isLoopback = (be: number): boolean => (be & 0xff) === 127;
/** ipv4_is_zeronet: 0.0.0.0 alone since Linux 5.3. */
export const isZeronet = (be: number): boolean => be === 0;
export const isMulticast = (be: number): boolean => (be & 0xf0) === 0xe0;

/** IN_DEV_FORWARD: the device's own switch. */
export const inDevForward = (dev: NetDevice): boolean => dev.conf.forwarding !== 0;

/** Why the last ip_route_input_noref refused a packet. */
export let inputDropReason: number = R.NOT_SPECIFIED;

/**
 * ip_route_input_noref: sets skb.dst and returns true, or returns false with `inputDropReason` set. Error routes
 * (unreachable ...) are routes: ip_error drops the packet later.
 */
export function ip_route_input(
  skb: Skb,
  daddr: number,
  saddr: number,
  tos: number,
  dev: NetDevice,
  protocol: number = ETH_P_IP,
): boolean {
  const ns = dev.ns;
  // TOS and mark only matter where rules or routes look at them; they are part of the key all the same.
  const key3 = (dev.ifindex << 8) | (tos & 0x1c);
  const cache = ns.inputCache;
  if (cache.genid !== ns.rtGenid) {
    cache.genid = ns.rtGenid;
    cache.rt.fill(null);
  }
  const slot =
    (Math.imul(daddr ^ ((saddr << 7) | (saddr >>> 25)), 0x9e3779b1) ^
      Math.imul(key3 ^ skb.mark, 0x85ebca6b)) >>>
    24;
  const k = slot * 4;
  const hit = cache.rt[slot]!;
  if (
    hit !== null &&
    protocol === ETH_P_IP &&
    cache.k[k] === daddr &&
    cache.k[k + 1] === saddr &&
    cache.k[k + 2] === key3 &&
    cache.k[k + 3] === skb.mark
  ) {
    if (cache.redirect[slot] !== 0) skb.ipcb |= IPSKB_DOREDIRECT;
    skb.dst = hit;
    if (ns.recorder !== null) ns.recorder.step(Step.FIB, skb, hit, -hit.error, 0, 0);
    return true;
  }
  const rt = ip_route_input_slow(skb, daddr, saddr, tos & 0x1c, dev, protocol);
  if (rt === null) return false;
  skb.dst = rt;
  if (ns.recorder !== null) ns.recorder.step(Step.FIB, skb, rt, -rt.error, 0, 0);
  // Multipath depends on the flow, exceptions on time: both are looked up every time.
  if (
    protocol === ETH_P_IP &&
    !ns.fib.rulesNeedL4 &&
    rt.pmtu === 0 &&
    (rt.fi === null || rt.fi.nhs.length < 2) &&
    ns.rtGenid === cache.genid
  ) {
    cache.k[k] = daddr;
    cache.k[k + 1] = saddr;
    cache.k[k + 2] = key3;
    cache.k[k + 3] = skb.mark;
    cache.rt[slot] = rt;
    cache.redirect[slot] = (skb.ipcb & IPSKB_DOREDIRECT) !== 0 ? 1 : 0;
  }
  return true;
}

function martian(reason: number): null {
  inputDropReason = reason;
  return null;
}

function ip_route_input_slow(
  skb: Skb,
  daddr: number,
  saddr: number,
  tos: number,
  dev: NetDevice,
  protocol: number,
): Rtable | null {
  const ns = dev.ns;
  if (isMulticast(daddr)) {
    // Only 224.0.0.1 is joined everywhere; there is no multicast routing.
    if (daddr !== 0x010000e0) return martian(R.NOT_SPECIFIED);
    if (isMulticast(saddr) || saddr === -1) return martian(R.IP_INVALID_SOURCE);
    if (!isZeronet(saddr) && fib_validate_source(skb, saddr, 0, tos, 0, dev) < 0) return null;
    return multicastInput(ns);
  }
  if (isMulticast(saddr) || saddr === -1) return martian(R.IP_INVALID_SOURCE);
  let brd = daddr === -1 || (saddr === 0 && daddr === 0);
  if (!brd) {
    if (isZeronet(saddr)) return martian(R.IP_INVALID_SOURCE);
    if (isZeronet(daddr)) return martian(R.IP_INVALID_DEST);
    const localnet = dev.conf.route_localnet !== 0 || ns.confAll.route_localnet !== 0;
    if (isLoopback(daddr)) {
      if (!localnet && dev !== ns.lo) return martian(R.IP_LOCALNET);
    } else if (isLoopback(saddr) && !localnet && dev !== ns.lo) return martian(R.IP_LOCALNET);
    const f = flIn;
    f.clear();
    f.iif = dev.ifindex;
    f.mark = skb.mark;
    f.tos = tos;
    f.daddr = daddr;
    f.saddr = saddr;
    if (ns.fib.rulesNeedL4 && protocol === ETH_P_IP) f.proto = skb.bytes[skb.network + 9]!;
    const res = resIn;
    const err = ns.fib.lookup(f, res, 0);
    if (err !== 0) return errorRoute(ns, inDevForward(dev) ? -err : EHOSTUNREACH);
    if (res.type === RTN_BROADCAST) brd = true;
    else if (res.type === RTN_LOCAL) {
      const nh = res.nh!;
      if (fib_validate_source(skb, saddr, daddr, tos, 0, dev) < 0) return null;
      return localInput(ns, nh);
    } else {
      if (!inDevForward(dev)) return errorRoute(ns, EHOSTUNREACH);
      if (res.type !== RTN_UNICAST) return martian(R.IP_INVALID_DEST);
      return ip_mkroute_input(skb, res, dev, daddr, saddr, tos, protocol);
    }
  }
  if (protocol !== ETH_P_IP) return martian(R.INVALID_PROTO);
  if (!isZeronet(saddr) && fib_validate_source(skb, saddr, 0, tos, 0, dev) < 0) return null;
  return broadcastInput(ns, dev);
}

function broadcastInput(ns: Netns, _dev: NetDevice): Rtable {
  const s = special(ns);
  if (s.broadcast === null) {
    const rt = new Rtable(ns.lo);
    rt.rt_type = RTN_BROADCAST;
    rt.rt_flags = RTCF_LOCAL | RTCF_BROADCAST;
    rt.rt_is_input = true;
    rt.input = INPUT_LOCAL;
    s.broadcast = rt;
  }
  return s.broadcast;
}

function multicastInput(ns: Netns): Rtable {
  const s = special(ns);
  if (s.multicast === null) {
    const rt = new Rtable(ns.lo);
    rt.rt_type = RTN_MULTICAST;
    rt.rt_flags = RTCF_LOCAL | RTCF_MULTICAST;
    rt.rt_is_input = true;
    rt.input = INPUT_LOCAL;
    s.multicast = rt;
  }
  return s.multicast;
}

function localInput(ns: Netns, nh: FibNh): Rtable {
  let rt = nh.rthInput;
  if (rt === null) {
    rt = new Rtable(ns.lo);
    rt.rt_type = RTN_LOCAL;
    rt.rt_flags = RTCF_LOCAL;
    rt.rt_is_input = true;
    rt.input = INPUT_LOCAL;
    nh.rthInput = rt;
  }
  return rt;
}

/** fib_select_multipath over the flow's hash; keeps res.nh otherwise. */
function fib_select_path(ns: Netns, res: FibResult, f: Flowi4): void {
  const fi = res.fi!;
  if (fi.nhs.length < 2 || f.oif !== 0) return;
  let a = f.saddr;
  let b = f.daddr;
  let ports = 0;
  if (ns.sysctl.fib_multipath_hash_policy === 1) {
    // __flow_hash_consistentify
    let sp = f.sport;
    let dp = f.dport;
    if (b >>> 0 < a >>> 0 || (a === b && dp < sp)) {
      [a, b] = [b, a];
      [sp, dp] = [dp, sp];
    }
    ports = (sp << 16) | dp;
  } else if (b >>> 0 < a >>> 0) {
    const t = a;
    a = b;
    b = t;
  }
  const h = (f.mpHash !== 0 ? f.mpHash : jhash_3words(a, b, ports, ns.hashSecret)) >>> 1;
  const nhs = fi.nhs;
  for (let i = 0; i < nhs.length; i++) {
    const nh = nhs[i]!;
    if ((nh.flags & RTNH_F_DEAD) !== 0 || h > nh.upperBound) continue;
    res.nh = nh;
    return;
  }
}

/** ip_mkroute_input / __mkroute_input. */
function ip_mkroute_input(
  skb: Skb,
  res: FibResult,
  dev: NetDevice,
  daddr: number,
  saddr: number,
  tos: number,
  protocol: number,
): Rtable | null {
  const ns = dev.ns;
  if (res.fi!.nhs.length > 1) {
    const f = flIn;
    if (protocol === ETH_P_IP && ns.sysctl.fib_multipath_hash_policy === 1) flowPorts(skb, f);
    f.oif = 0;
    fib_select_path(ns, res, f);
  }
  const nh = res.nh!;
  const fi = res.fi!;
  const out = nh.dev!;
  const v = fib_validate_source(skb, saddr, daddr, tos, out.ifindex, dev);
  if (v < 0) return null;
  if (out === dev && v !== 0 && inDevTxRedirects(dev)) {
    if (out.conf.shared_media !== 0 || ns.confAll.shared_media !== 0 || inet_addr_onlink(out, saddr, nh.gw))
      skb.ipcb |= IPSKB_DOREDIRECT;
  }
  if (protocol !== ETH_P_IP && out === dev && dev.conf.proxy_arp_pvlan === 0) {
    inputDropReason = R.ARP_PVLAN_DISABLE;
    return null;
  }
  const ex = find_exception(ns, nh, daddr);
  let rt = ex !== null ? ex.rthInput : nh.rthInput;
  if (rt === null) {
    rt = new Rtable(out);
    rt.rt_is_input = true;
    rt.input = INPUT_FORWARD;
    rt_set_nexthop(rt, fi, nh, ex);
    if (ex !== null) ex.rthInput = rt;
    else nh.rthInput = rt;
  }
  return rt;
}

/** Ports of the IPv4 packet at skb.network into a flow. */
function flowPorts(skb: Skb, f: Flowi4): void {
  const n = skb.network;
  f.proto = skb.bytes[n + 9]!;
  const l4 = n + (skb.bytes[n]! & 15) * 4;
  if (
    (f.proto === 6 || f.proto === 17) &&
    skb.tail - l4 >= 4 &&
    (skb.view.getUint16(n + 6, false) & 0x1fff) === 0
  ) {
    f.sport = skb.view.getUint16(l4, false);
    f.dport = skb.view.getUint16(l4 + 2, false);
  }
}

const inDevTxRedirects = (dev: NetDevice): boolean =>
  dev.conf.send_redirects !== 0 || dev.ns.confAll.send_redirects !== 0;

/** inet_addr_onlink: both addresses are in the subnet of one address of the device. */
function inet_addr_onlink(dev: NetDevice, a: number, b: number): boolean {
  for (const ifa of dev.addrs) {
    if (inet_ifa_match(a, ifa) && (b === 0 || inet_ifa_match(b, ifa))) return true;
  }
  return false;
}

export function inet_ifa_match(addr: number, ifa: InAddr): boolean {
  return ((bswap32(addr) ^ bswap32(ifa.address)) & MASK[ifa.prefixLen]!) === 0;
}

/** rt_set_nexthop. */
function rt_set_nexthop(rt: Rtable, fi: FibInfo | null, nh: FibNh | null, ex: FibException | null): void {
  rt.fi = fi;
  rt.nh = nh;
  if (nh !== null && nh.gw !== 0 && nh.scope === RT_SCOPE_LINK) {
    rt.rt_uses_gateway = true;
    rt.rt_gw = nh.gw;
  }
  if (ex !== null) {
    rt.pmtu = ex.pmtu;
    rt.pmtuLocked = ex.mtuLocked;
    rt.pmtuExpiresNs = ex.expiresNs;
    if (ex.gw !== 0) {
      rt.rt_uses_gateway = true;
      rt.rt_gw = ex.gw;
    }
  }
}

function find_exception(ns: Netns, nh: FibNh, daddr: number): FibException | null {
  if (nh.exceptions === null) return null;
  const ex = nh.exceptions.get(daddr);
  if (ex === undefined) return null;
  if (ex.expiresNs !== 0 && ns.kernel.clock.ns > ex.expiresNs) {
    nh.exceptions.delete(daddr);
    ns.rtGenid++;
    return null;
  }
  return ex;
}

/**
 * fib_validate_source: 1 if `src` is directly connected, 0 if its way back is acceptable, -1 (inputDropReason
 * set) if not.
 */
export function fib_validate_source(
  skb: Skb,
  src: number,
  dst: number,
  tos: number,
  oif: number,
  dev: NetDevice,
): number {
  const ns = dev.ns;
  const rpf = Math.max(dev.conf.rp_filter, ns.confAll.rp_filter);
  const acceptLocal = dev.conf.accept_local !== 0 || ns.confAll.accept_local !== 0;
  if (rpf === 0 && (dev.ifindex !== oif || !inDevTxRedirects(dev))) {
    if (acceptLocal) return 0;
    if (!ns.fib.customLocalRoutes && !ns.fib.customRules) {
      if (ns.fib.localAddrs.has(src)) {
        inputDropReason = R.IP_LOCAL_SOURCE;
        return -1;
      }
      return 0;
    }
  }
  const f = flSrc;
  const res = resSrc;
  f.clear();
  f.iif = oif !== 0 ? oif : 1;
  f.daddr = src;
  f.saddr = dst;
  f.tos = tos;
  f.mark = dev.conf.src_valid_mark !== 0 || ns.confAll.src_valid_mark !== 0 ? skb.mark : 0;
  const noAddr = dev.addrs.length === 0;
  const err = ns.fib.lookup(f, res, 0);
  if (ns.recorder !== null) ns.recorder.step(Step.FIB, skb, res.fi, err, 3, 0);
  if (err === 0) {
    if (res.type !== RTN_UNICAST && (res.type !== RTN_LOCAL || !acceptLocal)) {
      inputDropReason = R.IP_LOCAL_SOURCE;
      return -1;
    }
    const nhs = res.fi!.nhs;
    let match = res.type === RTN_LOCAL && dev === ns.lo;
    for (let i = 0; i < nhs.length; i++) if (nhs[i]!.dev === dev) match = true;
    if (match) return res.nh!.scope >= RT_SCOPE_HOST ? 1 : 0;
    if (!noAddr) {
      if (rpf === 1) {
        inputDropReason = R.IP_RPFILTER;
        return -1;
      }
      f.oif = dev.ifindex;
      if (ns.fib.lookup(f, res, FIB_LOOKUP_IGNORE_LINKSTATE) === 0 && res.type === RTN_UNICAST)
        return res.nh!.scope >= RT_SCOPE_HOST ? 1 : 0;
      return 0;
    }
  }
  // last_resort
  if (rpf !== 0) {
    inputDropReason = R.IP_RPFILTER;
    return -1;
  }
  return 0;
}

/** inet_select_addr: a source address for packets that leave by `dev` towards `dst` (0 = any). */
export function inet_select_addr(ns: Netns, dev: NetDevice | null, dst: number, scope: number): number {
  let localnet = RT_SCOPE_LINK;
  if (dev !== null) {
    if (dev.conf.route_localnet !== 0 || ns.confAll.route_localnet !== 0) localnet = RT_SCOPE_HOST;
    let addr = 0;
    for (const a of dev.addrs) {
      if (a.secondary || Math.min(a.scope, localnet) > scope) continue;
      if (dst === 0 || inet_ifa_match(dst, a)) return a.local;
      if (addr === 0) addr = a.local;
    }
    if (addr !== 0) return addr;
  }
  for (const d of ns.devOrder) {
    for (const a of d.addrs)
      if (!a.secondary && a.scope !== RT_SCOPE_LINK && a.scope <= scope) return a.local;
  }
  return 0;
}

/** fib_result_prefsrc. */
function fib_result_prefsrc(ns: Netns, res: FibResult): number {
  const fi = res.fi!;
  if (fi.prefsrc !== 0) return fi.prefsrc;
  const nh = res.nh!;
  if (nh.saddrGenid !== ns.fib.addrGenid) {
    nh.saddr = inet_select_addr(ns, nh.dev, nh.gw, fi.scope);
    nh.saddrGenid = ns.fib.addrGenid;
  }
  return nh.saddr;
}

/** errno of the last ip_route_output_flow that returned null, positive. */
export let outputErrno = 0;

function noOutput(err: number): null {
  outputErrno = err;
  return null;
}

/**
 * ip_route_output_key: a route for a flow that starts here. Fills f.saddr, f.daddr and f.oif where they were
 * left open. null with `outputErrno` set when there is none.
 */
export function ip_route_output_flow(ns: Netns, f: Flowi4): Rtable | null {
  let dev: NetDevice | null = null;
  const origOif = f.oif;
  f.iif = 1;
  if (f.saddr !== 0) {
    if (isMulticast(f.saddr) || f.saddr === -1 || isZeronet(f.saddr)) return noOutput(EINVAL);
    if (f.oif === 0 && (isMulticast(f.daddr) || f.daddr === -1)) {
      dev = ns.fib.localAddrs.get(f.saddr) ?? null;
      if (dev === null) return noOutput(EINVAL);
      f.oif = dev.ifindex;
      return mkroute_output(ns, null, null, RTN_UNICAST, f, origOif, dev, 0);
    }
    if ((f.flags & FLOWI_FLAG_ANYSRC) === 0 && !ns.fib.isLocalAddr(f.saddr)) return noOutput(EINVAL);
  }
  if (f.oif !== 0) {
    dev = ns.dev(f.oif);
    if (dev === null) return noOutput(19);
    if ((dev.flags & IFF_UP) === 0) return noOutput(ENETUNREACH);
    if (isMulticast(f.daddr) || f.daddr === -1) {
      if (f.saddr === 0) f.saddr = inet_select_addr(ns, dev, 0, RT_SCOPE_LINK);
      return mkroute_output(ns, null, null, RTN_UNICAST, f, origOif, dev, 0);
    }
    if (f.saddr === 0 && f.daddr === 0) f.saddr = inet_select_addr(ns, dev, 0, RT_SCOPE_HOST);
  }
  if (f.daddr === 0) {
    f.daddr = f.saddr;
    if (f.daddr === 0) {
      f.daddr = 0x0100007f;
      f.saddr = 0x0100007f;
    }
    f.oif = 1;
    return mkroute_output(ns, null, null, RTN_LOCAL, f, origOif, ns.lo, RTCF_LOCAL);
  }
  const res = resOut;
  const err = ns.fib.lookup(f, res, 0);
  if (err !== 0) {
    if (f.oif !== 0) {
      // No route, but a device was asked for: the destination is taken to be on its link.
      if (f.saddr === 0) f.saddr = inet_select_addr(ns, dev, 0, RT_SCOPE_LINK);
      return mkroute_output(ns, null, null, RTN_UNICAST, f, origOif, dev!, 0);
    }
    return noOutput(-err);
  }
  if (res.type === RTN_LOCAL) {
    if (f.saddr === 0) f.saddr = res.fi!.prefsrc !== 0 ? res.fi!.prefsrc : f.daddr;
    const nh = res.nh!;
    f.oif = 1;
    return mkroute_output(ns, res.fi, nh, RTN_LOCAL, f, origOif, ns.lo, RTCF_LOCAL);
  }
  fib_select_path(ns, res, f);
  if (f.saddr === 0) f.saddr = fib_result_prefsrc(ns, res);
  const out = res.nh!.dev!;
  f.oif = out.ifindex;
  return mkroute_output(ns, res.fi, res.nh, res.type, f, origOif, out, 0);
}

/** __mkroute_output. */
function mkroute_output(
  ns: Netns,
  fi: FibInfo | null,
  nh: FibNh | null,
  type: number,
  f: Flowi4,
  origOif: number,
  dev: NetDevice,
  flags: number,
): Rtable | null {
  if (
    dev.conf.route_localnet === 0 &&
    ns.confAll.route_localnet === 0 &&
    isLoopback(f.saddr) &&
    (dev.flags & IFF_LOOPBACK) === 0
  )
    return noOutput(EINVAL);
  if (f.daddr === -1) type = RTN_BROADCAST;
  else if (isMulticast(f.daddr)) type = RTN_MULTICAST;
  else if (isZeronet(f.daddr)) return noOutput(EINVAL);
  if ((dev.flags & IFF_LOOPBACK) !== 0) flags |= RTCF_LOCAL;
  if (type === RTN_BROADCAST || type === RTN_MULTICAST) {
    const s = special(ns);
    const key = dev.ifindex * 2 + (type === RTN_MULTICAST ? 1 : 0);
    let rt = s.brdOut.get(key);
    if (rt === undefined || rt.dev !== dev) {
      rt = new Rtable(dev);
      rt.rt_type = type;
      rt.rt_flags = flags | RTCF_LOCAL | (type === RTN_BROADCAST ? RTCF_BROADCAST : RTCF_MULTICAST);
      rt.input = INPUT_LOCAL;
      s.brdOut.set(key, rt);
    }
    return rt;
  }
  if (nh === null) {
    const s = special(ns);
    const key = dev.ifindex * 2 + (type === RTN_LOCAL ? 1 : 0);
    let rt = s.onlink.get(key);
    if (rt === undefined || rt.dev !== dev) {
      rt = new Rtable(dev);
      rt.rt_type = type;
      rt.rt_flags = flags;
      if ((flags & RTCF_LOCAL) !== 0) rt.input = INPUT_LOCAL;
      s.onlink.set(key, rt);
    }
    rt.rt_iif = origOif;
    return rt;
  }
  const ex = find_exception(ns, nh, f.daddr);
  let rt = ex !== null ? ex.rthOutput : nh.rthOutput;
  if (rt === null) {
    rt = new Rtable(dev);
    rt.rt_type = type;
    rt.rt_flags = flags;
    if ((flags & RTCF_LOCAL) !== 0) rt.input = INPUT_LOCAL;
    rt_set_nexthop(rt, fi, nh, ex);
    if (ex !== null) ex.rthOutput = rt;
    else nh.rthOutput = rt;
  }
  rt.rt_iif = origOif;
  return rt;
}

/** ip_dst_mtu_maybe_forward. */
export function ip_dst_mtu_maybe_forward(ns: Netns, rt: Rtable, forwarding: boolean): number {
  if ((ns.sysctl.ip_forward_use_pmtu !== 0 || rtMtuLocked(rt) || !forwarding) && rt.pmtu !== 0) {
    if (ns.kernel.clock.ns < rt.pmtuExpiresNs) return Math.min(rt.pmtu, IP_MAX_MTU);
  }
  let mtu = rt.fi !== null ? rt.fi.mtu : 0;
  if (mtu === 0) {
    mtu = rt.dev.mtu;
    if (rtMtuLocked(rt) && rt.rt_uses_gateway && mtu > 576) mtu = 576;
  }
  return Math.min(mtu, IP_MAX_MTU);
}

/** ip_mtu_locked. */
export const rtMtuLocked = (rt: Rtable): boolean => rt.pmtuLocked || rt.fi?.mtuLocked === true;

/** dst_mtu of a route used by a local sender. */
export const dst_mtu = (ns: Netns, rt: Rtable): number => ip_dst_mtu_maybe_forward(ns, rt, false);

function fnhe(nh: FibNh, daddr: number): FibException {
  nh.exceptions ??= new Map();
  let ex = nh.exceptions.get(daddr);
  if (ex === undefined) {
    ex = new FibException();
    nh.exceptions.set(daddr, ex);
  }
  return ex;
}

/** __ip_rt_update_pmtu: the path of `rt` to f.daddr carries `mtu` bytes. */
export function ip_rt_update_pmtu(ns: Netns, rt: Rtable, f: Flowi4, newMtu: number): void {
  if (rtMtuLocked(rt)) return;
  let mtu = newMtu;
  const old = dst_mtu(ns, rt);
  if (old < mtu) return;
  let lock = false;
  if (mtu < ns.sysctl.min_pmtu) {
    lock = true;
    mtu = Math.min(old, ns.sysctl.min_pmtu);
  }
  const now = ns.kernel.clock.ns;
  const expires = ns.sysctl.mtu_expires * 1e9;
  if (rt.pmtu === mtu && !lock && now < rt.pmtuExpiresNs - expires / 2) return;
  const res = resOut;
  const daddr = f.daddr;
  f.iif = 1;
  if (ns.fib.lookup(f, res, 0) !== 0 || res.nh === null) return;
  fib_select_path(ns, res, f);
  const ex = fnhe(res.nh, daddr);
  ex.pmtu = mtu;
  ex.mtuLocked = lock;
  ex.expiresNs = Math.max(1, now + expires);
  // Routes handed out before keep the old value; the next lookup makes new ones.
  ex.rthInput = null;
  ex.rthOutput = null;
  ns.rtGenid++;
}

/**
 * ipv4_update_pmtu / ipv4_sk_update_pmtu: a frag-needed about a packet from `saddr` to `daddr` came in. Without `anyDev`
 * (nobody holds a route, it is looked up) the device that the lookup chose stays asked for: an own address of another
 * device than lo is not found by it.
 */
export function ipv4_update_pmtu(
  ns: Netns,
  daddr: number,
  saddr: number,
  tos: number,
  proto: number,
  mark: number,
  mtu: number,
  anyDev = true,
): void {
  const f = flTmp;
  f.clear();
  f.daddr = daddr;
  f.saddr = saddr;
  f.tos = tos & 0x1c;
  f.proto = proto;
  f.mark = mark;
  f.flags = FLOWI_FLAG_ANYSRC;
  const rt = ip_route_output_flow(ns, f);
  if (rt === null) return;
  if (anyDev) f.oif = 0;
  ip_rt_update_pmtu(ns, rt, f, mtu);
}

/** __ip_do_redirect: host `daddr` is better reached through `newGw` (all Be32). */
export function ip_do_redirect(
  ns: Netns,
  dev: NetDevice,
  oldGw: number,
  newGw: number,
  daddr: number,
  saddr: number,
  tos: number,
): void {
  const forwarding = inDevForward(dev);
  const all = ns.confAll.accept_redirects !== 0;
  const own = dev.conf.accept_redirects !== 0;
  const accept = forwarding ? all && own : all || own;
  if (newGw === oldGw || !accept) return;
  if (isMulticast(newGw) || newGw === -1 || isZeronet(newGw)) return;
  if (dev.conf.shared_media === 0 && ns.confAll.shared_media === 0) {
    if (!inet_addr_onlink(dev, newGw, oldGw)) return;
  } else if (ns.fib.addrType(newGw) !== RTN_UNICAST) return;
  const f = flTmp;
  f.clear();
  f.daddr = daddr;
  f.saddr = saddr;
  f.tos = tos & 0x1c;
  f.flags = FLOWI_FLAG_ANYSRC;
  const rt = ip_route_output_flow(ns, f);
  if (rt === null || rt.rt_gw !== oldGw || rt.dev !== dev || rt.nh === null) return;
  // A gateway that is not known (NUD_VALID) is only looked for.
  const n = neigh_for_nexthop(dev, newGw);
  if ((n.state & NUD_VALID) === 0) {
    n.eventSend(null);
    return;
  }
  const ex = fnhe(rt.nh, daddr);
  ex.gw = newGw;
  ex.expiresNs = ns.kernel.clock.ns + 300e9;
  ex.rthInput = null;
  ex.rthOutput = null;
  ns.rtGenid++;
}

/** ip_rt_send_redirect: the packet leaves by the device it came in on; its sender should know. */
export function ip_rt_send_redirect(skb: Skb, rt: Rtable): void {
  const ns = rt.dev.ns;
  if (!inDevTxRedirects(rt.dev)) return;
  const n = skb.network;
  const saddr = skb.view.getInt32(n + 12, true);
  const daddr = skb.view.getInt32(n + 16, true);
  const gw = rt.rt_gw !== 0 ? rt.rt_gw : daddr;
  const peer = inet_getpeer(ns, saddr);
  const now = jiffyNs(ns.kernel.clock.ns) / 1e6;
  const s = ns.sysctl;
  // After a silence of redirect_silence it all begins anew.
  if (now > peer.rateLast + s.redirect_silence) {
    peer.rateTokens = 0;
    peer.nRedirects = 0;
  }
  // It did not listen to so many: no more is sent, and the silence counts from this packet on.
  if (peer.nRedirects >= s.redirect_number) {
    peer.rateLast = now;
    return;
  }
  // Each pause is twice the one before, from the last redirect that was sent.
  if (peer.nRedirects === 0 || now > peer.rateLast + s.redirect_load * 2 ** peer.nRedirects) {
    icmp_send(ns, skb, ICMP_REDIRECT, ICMP_REDIR_HOST, gw);
    peer.rateLast = now;
    peer.nRedirects++;
  }
}

/** ip_error: the input of an unreachable, prohibit or missing route. Takes the packet. */
export function ip_error(skb: Skb, rt: Rtable): void {
  const dev = skb.dev as NetDevice;
  const ns = dev.ns;
  let reason = R.NOT_SPECIFIED;
  if (!inDevForward(dev)) {
    if (rt.error === EHOSTUNREACH) {
      reason = R.IP_INADDRERRORS;
      ns.mib[Mib.IpInAddrErrors]!++;
    } else if (rt.error === ENETUNREACH) {
      reason = R.IP_INNOROUTES;
      ns.mib[Mib.IpExtInNoRoutes]!++;
    }
    kfree_skb_reason(ns, skb, reason);
    return;
  }
  let code: number;
  switch (rt.error) {
    case EHOSTUNREACH:
      code = 1;
      break;
    case ENETUNREACH:
      code = 0;
      reason = R.IP_INNOROUTES;
      ns.mib[Mib.IpExtInNoRoutes]!++;
      break;
    case 13:
      code = 13;
      break;
    default:
      kfree_skb_reason(ns, skb, reason);
      return;
  }
  const peer = inet_getpeer(ns, skb.view.getInt32(skb.network + 12, true));
  const now = jiffyNs(ns.kernel.clock.ns) / 1e6;
  let send = true;
  peer.rateTokens += now - peer.rateLast;
  if (peer.rateTokens > ns.sysctl.error_burst) peer.rateTokens = ns.sysctl.error_burst;
  peer.rateLast = now;
  if (peer.rateTokens >= ns.sysctl.error_cost) peer.rateTokens -= ns.sysctl.error_cost;
  else send = false;
  if (send) icmp_send(ns, skb, ICMP_DEST_UNREACH, code, 0);
  kfree_skb_reason(ns, skb, reason);
}

/** For bpf_fib_lookup. */
export const fibSelectPath = fib_select_path;
export const findException = find_exception;
export const prefsrcOf = fib_result_prefsrc;

/** RT_SCOPE_UNIVERSE for callers that choose a source without a route. */
export const SCOPE_UNIVERSE = RT_SCOPE_UNIVERSE;
