// net/ipv4/ip_output.c: from a routed packet to the neighbour code; packets made here; fragmentation.

import type { Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import { bswap32 } from "../net/view.js";
import { ip_send_check } from "./csum.js";
import type { NetDevice } from "./device.js";
import * as R from "./drop_reason.js";
import { ETH_P_IP } from "./eth.js";
import { RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST } from "./fib.js";
import { jhash_3words } from "./flow_dissector.js";
import { skb_gso_segment } from "./gso.js";
import { ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, icmp_out_count, icmp_send } from "./icmp.js";
import { ip_options_fragment } from "./ip_options.js";
import { neigh_for_nexthop, neigh_output } from "./neighbour.js";
import { NF_ACCEPT, NF_DROP, NF_INET_LOCAL_OUT, NF_INET_POST_ROUTING, nf_hook } from "./netfilter/hooks.js";
import type { Netns } from "./netns.js";
import {
  FLOWI_FLAG_ANYSRC,
  flowOut,
  ip_dst_mtu_maybe_forward,
  ip_route_output_flow,
  outputErrno,
  type Rtable,
  rtMtuLocked,
} from "./route.js";
import {
  alloc_skb,
  consume_skb,
  copy_skb_header,
  IPSKB_FORWARDED,
  IPSKB_FRAG_COMPLETE,
  IPSKB_FRAG_PMTU,
  IPSKB_IGNORE_DF,
  IPSKB_REROUTED,
  IPSKB_TUNNEL,
  kfree_skb_reason,
  skb_set_dev,
} from "./skbuff.js";
import { Mib } from "./snmp.js";
import { IP_PMTUDISC_INTERFACE, IP_PMTUDISC_OMIT, IP_PMTUDISC_PROBE, type Sock } from "./sock.js";

const EPERM = 1;
const EMSGSIZE = 90;

/** dst_output of an IPv4 route: ip_output. 0 or a negative errno. */
export function ip_output(ns: Netns, skb: Skb): number {
  const rt = skb.dst as Rtable;
  const inDev = skb.dev as NetDevice | null;
  const dev = rt.dev;
  skb_set_dev(skb, dev);
  skb.protocol = ETH_P_IP;
  if (ns.kernel.release < 6.07) {
    // IPSTATS_MIB_OUT was "OutRequests" and counted here, before fragmentation.
    ns.mib[Mib.IpOutRequests]!++;
    ns.mib[Mib.IpExtOutOctets]! += skb.tail - skb.network;
  }
  if ((skb.ipcb & IPSKB_REROUTED) === 0) {
    const verdict = nf_hook(ns, NF_INET_POST_ROUTING, skb, inDev, dev);
    if (verdict !== NF_ACCEPT) {
      if (verdict === NF_DROP) {
        kfree_skb_reason(ns, skb, R.NETFILTER_DROP);
        return -EPERM;
      }
      return 0;
    }
  }
  return ip_finish_output(ns, skb);
}

/** __ip_finish_output: fragments when it must. */
export function ip_finish_output(ns: Netns, skb: Skb): number {
  const rt = skb.dst as Rtable;
  const mtu = ip_skb_dst_mtu(ns, skb, rt);
  if (skb.gsoSize !== 0) return ip_finish_output_gso(ns, skb, rt, mtu);
  if (skb.tail - skb.network > mtu || skb.fragMaxSize !== 0) return ip_fragment(ns, skb, rt, mtu);
  // The device gets one piece.
  skb.frags = null;
  return ip_finish_output2(ns, skb, rt);
}

/** ip_finish_output_gso: segments that fit are cut by the device; others are cut here and fragmented. */
function ip_finish_output_gso(ns: Netns, skb: Skb, rt: Rtable, mtu: number): number {
  const n = skb.network;
  const hlen = (skb.bytes[n]! & 15) * 4;
  const l4 = n + hlen;
  const thlen = skb.bytes[n + 9] === 6 ? (skb.bytes[l4 + 12]! >> 4) * 4 : 8;
  if (hlen + thlen + skb.gsoSize <= mtu) return ip_finish_output2(ns, skb, rt);
  let ret = 0;
  let seg = skb_gso_segment(ns.kernel, skb);
  while (seg !== null) {
    const next: Skb | null = seg.next;
    seg.next = null;
    const r = ip_fragment(ns, seg, rt, mtu);
    if (r < 0) ret = r;
    seg = next;
  }
  return ret;
}

/** ip_skb_dst_mtu. */
function ip_skb_dst_mtu(ns: Netns, skb: Skb, rt: Rtable): number {
  const sk = skb.sk as Sock | null;
  if (sk === null || sk.pmtudisc < IP_PMTUDISC_PROBE || (skb.ipcb & IPSKB_TUNNEL) !== 0)
    return ip_dst_mtu_maybe_forward(ns, rt, (skb.ipcb & IPSKB_FORWARDED) !== 0);
  return Math.min(rt.dev.mtu, 65535);
}

/** ip_finish_output2: to the neighbour of the next hop. */
function ip_finish_output2(ns: Netns, skb: Skb, rt: Rtable): number {
  const dev = rt.dev;
  const mib = ns.mib;
  const len = skb.tail - skb.network;
  if (rt.rt_type === RTN_MULTICAST) {
    mib[Mib.IpExtOutMcastPkts]!++;
    mib[Mib.IpExtOutMcastOctets]! += len;
  } else if (rt.rt_type === RTN_BROADCAST) {
    mib[Mib.IpExtOutBcastPkts]!++;
    mib[Mib.IpExtOutBcastOctets]! += len;
  }
  if (ns.kernel.release >= 6.07) {
    mib[Mib.IpOutTransmits]!++;
    mib[Mib.IpExtOutOctets]! += len;
  }
  const nh = rt.rt_gw !== 0 ? rt.rt_gw : skb.view.getInt32(skb.network + 16, true);
  const n = neigh_for_nexthop(dev, nh);
  // sock_confirm_neigh. The flag stays on the packet: it confirms every hop that it passes on this machine.
  if (skb.dstConfirm) n.confirm();
  return neigh_output(n, skb);
}

/** ip_fragment. */
function ip_fragment(ns: Netns, skb: Skb, rt: Rtable, mtu: number): number {
  if ((skb.bytes[skb.network + 6]! & 0x40) === 0) return ip_do_fragment(ns, skb, rt, mtu);
  if ((skb.ipcb & IPSKB_IGNORE_DF) === 0 || (skb.fragMaxSize !== 0 && skb.fragMaxSize > mtu)) {
    ns.mib[Mib.IpFragFails]!++;
    icmp_send(ns, skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtu);
    kfree_skb_reason(ns, skb, R.PKT_TOO_BIG);
    return -EMSGSIZE;
  }
  return ip_do_fragment(ns, skb, rt, mtu);
}

/**
 * ip_do_fragment: with the sizes it arrived in when they all fit (frag-list fast path), otherwise cut to size.
 */
function ip_do_fragment(
  ns: Netns,
  skb: Skb,
  rt: Rtable | null,
  pathMtu: number,
  out: ((fragment: Skb) => void) | null = null,
): number {
  const k = ns.kernel;
  const n = skb.network;
  const v = skb.view;
  const hlen = (skb.bytes[n]! & 15) * 4;
  let mtu = pathMtu;
  if (skb.fragMaxSize !== 0 && skb.fragMaxSize < mtu) mtu = skb.fragMaxSize;
  mtu -= hlen;
  skb.ipcb |= IPSKB_FRAG_COMPLETE;
  const total = skb.tail - n - hlen;
  const off0 = v.getUint16(n + 6, false);
  const base = (off0 & 0x1fff) << 3;
  const moreAfter = (off0 & 0x2000) !== 0;
  const sizes = skb.frags as readonly number[] | null;
  // Too little headroom: fragments that came by Ethernet have no room for a tunnel's headers.
  const room = rt === null || rt.dev.neededHeadroom === 0;
  let fast = sizes !== null && (off0 & 0x3fff) === 0 && room;
  if (fast) {
    for (let i = 0; i < sizes!.length; i++) {
      const s = sizes![i]!;
      if (s > mtu || ((s & 7) !== 0 && i + 1 < sizes!.length)) fast = false;
    }
  }
  const df = !fast && (skb.ipcb & IPSKB_FRAG_PMTU) !== 0 ? 0x4000 : 0;
  let off = 0;
  let count = 0;
  let ret = 0;
  skb.frags = null;
  if (ns.recorder !== null)
    ns.recorder.step(
      Step.FRAGMENT,
      skb,
      rt === null ? skb.dev : rt.dev,
      0,
      fast ? sizes!.length : Math.ceil(total / (mtu & ~7)),
      0,
    );
  while (off < total) {
    let len = total - off;
    if (fast) len = sizes![count]!;
    else if (len > mtu) len = mtu & ~7;
    if (len <= 0) break;
    const f = alloc_skb(k);
    copy_skb_header(f, skb);
    f.frags = null;
    // IPCB of a fragment: its size is its own.
    f.fragMaxSize = 0;
    f.ensure(f.data + hlen + len);
    const d = f.data;
    f.network = d;
    f.tail = d + hlen + len;
    const dst = f.bytes;
    const src = skb.bytes;
    for (let i = 0; i < hlen; i++) dst[d + i] = src[n + i]!;
    const from = n + hlen + off;
    for (let i = 0; i < len; i++) dst[d + hlen + i] = src[from + i]!;
    if (off > 0 && hlen > 20) ip_options_fragment(f, d);
    const more = off + len < total || moreAfter;
    f.view.setUint16(d + 2, hlen + len, false);
    f.view.setUint16(d + 6, ((base + off) >> 3) | (more ? 0x2000 : 0) | df, false);
    ip_send_check(f, d);
    off += len;
    count++;
    ns.mib[Mib.IpFragCreates]!++;
    if (out !== null) out(f);
    else {
      const r = ip_finish_output2(ns, f, rt!);
      if (r < 0) ret = r;
    }
  }
  if (ret === 0) ns.mib[Mib.IpFragOKs]!++;
  else ns.mib[Mib.IpFragFails]!++;
  consume_skb(k, skb);
  return ret;
}

/** ip_do_fragment with its own way of sending, for bridges. Takes the packet. */
export function ip_do_fragment_to(ns: Netns, skb: Skb, mtu: number, out: (fragment: Skb) => void): void {
  ip_do_fragment(ns, skb, null, mtu, out);
}

/** __ip_local_out and dst_output: a packet made here, complete but for its length and checksum. */
export function ip_local_out(ns: Netns, skb: Skb): number {
  const n = skb.network;
  const rt = skb.dst as Rtable;
  if (ns.kernel.release >= 6.07) ns.mib[Mib.IpOutRequests]!++;
  skb.view.setUint16(n + 2, skb.tail - n, false);
  ip_send_check(skb, n);
  skb.protocol = ETH_P_IP;
  skb.netns = ns.id;
  if (ns.recorder !== null) ns.recorder.step(Step.LOCAL_OUT, skb, rt.dev, 0, 0, 0);
  const verdict = nf_hook(ns, NF_INET_LOCAL_OUT, skb, null, rt.dev);
  if (verdict === NF_ACCEPT) return ip_output(ns, skb);
  if (verdict === NF_DROP) {
    kfree_skb_reason(ns, skb, R.NETFILTER_DROP);
    return -EPERM;
  }
  return 0;
}

/** Counters behind IP ids of packets without a connected socket (ip_idents). */
interface IpIdents {
  readonly ids: Int32Array;
  readonly stamps: Float64Array;
  /** False: no jitter, as `ip_ident_start` asked. */
  jitter: boolean;
}
const idents = new WeakMap<Netns, IpIdents>();

function identsOf(ns: Netns): IpIdents {
  let t = idents.get(ns);
  if (t === undefined) {
    t = { ids: new Int32Array(2048), stamps: new Float64Array(2048), jitter: true };
    for (let i = 0; i < 2048; i++) t.ids[i] = ns.kernel.prng.nextInt32() & 0xffff;
    idents.set(ns, t);
  }
  return t;
}

/** The next IP id towards every destination is `id`, and those after it count on from there (published traces). */
export function ip_ident_start(ns: Netns, id: number): void {
  const t = identsOf(ns);
  t.ids.fill(id & 0xffff);
  t.jitter = false;
}

/** __ip_select_ident: a counter per (source, destination, protocol) bucket with random start and jitter. */
export function ip_select_ident(ns: Netns, daddr: number, saddr: number, proto: number): number {
  const t = identsOf(ns);
  const h = jhash_3words(daddr, saddr, proto, ns.hashSecret) & 2047;
  const now = Math.floor(ns.kernel.clock.ns / 4e6);
  const old = t.stamps[h]!;
  let delta = 0;
  if (old !== now && t.jitter) {
    t.stamps[h] = now;
    delta = ns.kernel.prng.below(Math.min(now - old, 65536));
  }
  const id = t.ids[h]!;
  t.ids[h] = (id + 1 + delta) & 0xffff;
  return (id + delta) & 0xffff;
}

/** ip_dont_fragment. */
export const ip_dont_fragment = (sk: Sock, rt: Rtable): boolean =>
  sk.pmtudisc === 2 || (sk.pmtudisc === 1 && !rtMtuLocked(rt));

/** Writes a 20-byte IPv4 header at `n`; length and checksum come in ip_local_out. */
export function ip_build_header(
  skb: Skb,
  n: number,
  tos: number,
  id: number,
  df: boolean,
  ttl: number,
  proto: number,
  saddr: number,
  daddr: number,
): void {
  const b = skb.bytes;
  const v = skb.view;
  b[n] = 0x45;
  b[n + 1] = tos;
  v.setUint16(n + 2, 0, false);
  v.setUint16(n + 4, id, false);
  v.setUint16(n + 6, df ? 0x4000 : 0, false);
  b[n + 8] = ttl;
  b[n + 9] = proto;
  v.setUint16(n + 10, 0, false);
  v.setInt32(n + 12, saddr, true);
  v.setInt32(n + 16, daddr, true);
}

/** ip_options_build: options behind the header that ip_build_header wrote at `n`; `len` is a multiple of four. */
export function ip_put_options(skb: Skb, n: number, options: Uint8Array, len: number): void {
  skb.bytes[n] = 0x45 + (len >> 2);
  for (let i = 0; i < len; i++) skb.bytes[n + 20 + i] = options[i]!;
}

/**
 * The second half of ip_make_skb: puts the IP header in front of `data` (the L4 packet) and sends. The packet is
 * fragmented by ip_output when it is too long. 0, a negative errno, or NET_XMIT_DROP (1; Sock.xmitErrno).
 */
export function ip_push_packet(
  ns: Netns,
  skb: Skb,
  rt: Rtable,
  sk: Sock,
  saddr: number,
  daddr: number,
  proto: number,
  tos: number,
  ttl: number,
  icmpType = -1,
  options: Uint8Array | null = null,
  optLen = 0,
): number {
  const len = skb.tail - skb.data + 20 + optLen;
  const mtu = sk.pmtudisc >= IP_PMTUDISC_PROBE ? rt.dev.mtu : ip_dst_mtu_maybe_forward(ns, rt, false);
  // __ip_append_data refuses what may not be fragmented and does not fit.
  const ignoreDf = sk.pmtudisc < 2 || sk.pmtudisc === IP_PMTUDISC_OMIT;
  if (len > (ignoreDf ? 65535 : mtu)) {
    consume_skb(ns.kernel, skb);
    return -EMSGSIZE;
  }
  // __ip_make_skb counts by fl4_icmp_type, which icmp_reply does not set: its messages count as echo replies.
  if (proto === 1) icmp_out_count(ns, icmpType >= 0 ? icmpType : skb.bytes[skb.data]!);
  const df =
    sk.pmtudisc === 2 ||
    sk.pmtudisc === IP_PMTUDISC_PROBE ||
    (len <= mtu && ip_dont_fragment(sk, rt) && sk.pmtudisc !== IP_PMTUDISC_INTERFACE);
  let id = 0;
  if (sk.daddr !== 0) id = sk.nextIpId();
  else if (!df || ignoreDf) id = ip_select_ident(ns, daddr, saddr, proto);
  skb.data -= 20 + optLen;
  skb.network = skb.data;
  // ip_select_ttl: IP_MULTICAST_TTL is 1 unless a socket says otherwise.
  const hops = rt.rt_type === RTN_MULTICAST ? 1 : ttl;
  ip_build_header(skb, skb.data, tos, id, df, hops, proto, saddr, daddr);
  if (optLen > 0) ip_put_options(skb, skb.data, options!, optLen);
  if (ignoreDf) skb.ipcb |= IPSKB_IGNORE_DF;
  if (len > mtu) skb.frags = appendedPieces(len - 20 - optLen, mtu - 20 - optLen);
  skb.dst = rt;
  skb.sk = sk;
  skb.mark = sk.mark;
  skb.priority = sk.priority;
  const r = ip_local_out(ns, skb);
  if (r !== 0) ns.mib[Mib.IpOutDiscards]!++;
  return r;
}

/**
 * __ip_append_data: the sizes of the pieces that `len` bytes were put into for the route of the socket, of which a packet
 * carries `room`. Another route (DNAT) keeps them if they fit.
 */
function appendedPieces(len: number, room: number): number[] {
  const sizes: number[] = [];
  let left = len;
  for (; left > room; left -= room & ~7) sizes.push(room & ~7);
  sizes.push(left);
  return sizes;
}

/** ip_select_ttl. */
export const ip_select_ttl = (ns: Netns, sk: Sock): number =>
  sk.ttl >= 0 ? sk.ttl : ns.sysctl.ip_default_ttl;

/**
 * ip_route_me_harder: a packet of this host (LOCAL_OUT) got another destination, source, TOS or mark. 0 or a
 * negative errno.
 */
export function ip_route_me_harder(ns: Netns, skb: Skb): number {
  const n = skb.network;
  const v = skb.view;
  const saddr = v.getInt32(n + 12, true);
  const local = ns.fib.addrType(saddr) === RTN_LOCAL;
  const f = flowOut(ns);
  f.daddr = v.getInt32(n + 16, true);
  // With a source that is not local the kernel looks up as if it forwarded: it lets the route choose and takes any source.
  f.saddr = local ? saddr : 0;
  f.flags = local ? 0 : FLOWI_FLAG_ANYSRC;
  if (!local) f.saddr = saddr;
  f.tos = skb.bytes[n + 1]! & 0x1c;
  f.mark = skb.mark;
  f.proto = skb.bytes[n + 9]!;
  const sk = skb.sk as Sock | null;
  f.oif = sk !== null ? sk.boundIf : 0;
  const rt = ip_route_output_flow(ns, f);
  if (rt === null) return -outputErrno;
  skb.dst = rt;
  return 0;
}

/** Text of an address, for messages off the packet path. */
export const ip4str = (be: number): string => {
  const h = bswap32(be);
  return `${(h >>> 24) & 255}.${(h >>> 16) & 255}.${(h >>> 8) & 255}.${h & 255}`;
};
