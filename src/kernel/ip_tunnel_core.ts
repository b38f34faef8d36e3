// net/ipv4/ip_tunnel_core.c, include/net/inet_ecn.h: what all tunnels share.

import type { Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import { csum_fold, csum_partial, csum_replace2, ip_send_check } from "./csum.js";
import { type NetDevice, TX_BYTES, TX_ERRORS, TX_PACKETS } from "./device.js";
import { ETH_P_IP, ETH_P_IPV6 } from "./eth.js";
import { ip_build_header, ip_local_out, ip_select_ident } from "./ip_output.js";
import type { Netns } from "./netns.js";
import {
  dst_mtu,
  type Flowi4,
  flowOut,
  ip_route_output_flow,
  ip_rt_update_pmtu,
  outputErrno,
  type Rtable,
  rtMtuLocked,
} from "./route.js";
import { IPSKB_TUNNEL, skb_scrub_packet } from "./skbuff.js";

/** DSCP and ECN of the packet whose network header is at `n`. */
export function inner_tos(skb: Skb, n: number, proto: number): number {
  if (proto === ETH_P_IP) return skb.bytes[n + 1]!;
  if (proto === ETH_P_IPV6) return ((skb.bytes[n]! & 15) << 4) | (skb.bytes[n + 1]! >> 4);
  return 0;
}

/** TTL or hop limit of it; 0 for anything else. */
export function inner_ttl(skb: Skb, n: number, proto: number): number {
  if (proto === ETH_P_IP) return skb.bytes[n + 8]!;
  if (proto === ETH_P_IPV6) return skb.bytes[n + 7]!;
  return 0;
}

/** INET_ECN_encapsulate: ECN of the outer header; an inner CE becomes ECT(0). */
export function ecn_encapsulate(outer: number, inner: number): number {
  const ecn = inner & 3;
  return (outer & ~3) | (ecn === 3 ? 2 : ecn);
}

/** INET_ECN_decapsulate on the packet at `n`: 0 right, 1 odd but accepted, 2 to be dropped. */
export function ecn_decapsulate(skb: Skb, n: number, proto: number, outerTos: number): number {
  const outer = outerTos & 3;
  const tos = inner_tos(skb, n, proto);
  const inner = tos & 3;
  if (inner === 0) return outer === 0 ? 0 : outer === 3 ? 2 : 1;
  if (outer === 3 && inner !== 3) set_tos(skb, n, proto, tos | 3);
  else if (outer === 1 && inner === 2) set_tos(skb, n, proto, (tos & ~3) | 1);
  return 0;
}

function set_tos(skb: Skb, n: number, proto: number, tos: number): void {
  const b = skb.bytes;
  if (proto === ETH_P_IP) {
    const v = skb.view;
    const old = v.getUint16(n, false);
    b[n + 1] = tos;
    v.setUint16(n + 10, csum_replace2(v.getUint16(n + 10, false), old, v.getUint16(n, false)), false);
  } else if (proto === ETH_P_IPV6) {
    b[n] = (b[n]! & 0xf0) | (tos >> 4);
    b[n + 1] = (b[n + 1]! & 0x0f) | ((tos & 15) << 4);
  }
}

/** skb_dst_update_pmtu_no_confirm: the inner route learns what fits through the tunnel. */
export function skb_dst_update_pmtu(ns: Netns, skb: Skb, n: number, mtu: number): void {
  const rt = skb.dst as Rtable | null;
  if (rt === null || rt.nh === null || skb.bytes[n]! >> 4 !== 4) return;
  if (dst_mtu(ns, rt) < mtu) return;
  const f = flowOut(ns);
  f.daddr = skb.view.getInt32(n + 16, true);
  f.saddr = skb.view.getInt32(n + 12, true);
  f.tos = skb.bytes[n + 1]! & 0x1c;
  f.mark = skb.mark;
  f.oif = rt.dev.ifindex;
  ip_rt_update_pmtu(ns, rt, f, mtu);
}

/** The route of the outer packet: ip_route_output_flow, which has no skb, on behalf of one. null: there is none. */
export function tunnel_route_output(ns: Netns, skb: Skb, f: Flowi4): Rtable | null {
  const daddr = f.daddr;
  const rt = ip_route_output_flow(ns, f);
  if (ns.recorder !== null) ns.recorder.step(Step.FIB, skb, rt, rt === null ? -outputErrno : 0, 1, daddr);
  return rt;
}

/**
 * iptunnel_xmit: outer IPv4 header in front of `data`, then the way of a packet made here. The packet keeps the
 * tunnel as its device: POSTROUTING sees it as input device. `vni` is for the record only.
 */
export function iptunnel_xmit(
  dev: NetDevice,
  rt: Rtable,
  skb: Skb,
  saddr: number,
  daddr: number,
  proto: number,
  tos: number,
  ttl: number,
  df: boolean,
  innerLen: number,
  vni: number,
): void {
  const ns = dev.ns;
  skb_scrub_packet(skb, false);
  skb.ipcb |= IPSKB_TUNNEL;
  skb.dst = rt;
  skb.data -= 20;
  skb.network = skb.data;
  ip_build_header(
    skb,
    skb.data,
    tos,
    ip_select_ident(ns, daddr, saddr, proto),
    df && !rtMtuLocked(rt),
    ttl,
    proto,
    saddr,
    daddr,
  );
  if (ns.recorder !== null) {
    // The length and the checksum are ip_local_out's; the record shows the header as it will leave.
    skb.view.setUint16(skb.data + 2, skb.tail - skb.data, false);
    ip_send_check(skb, skb.data);
    ns.recorder.step(Step.ENCAP, skb, dev, vni, 0, 0);
  }
  if (ip_local_out(ns, skb) >= 0) {
    dev.stats[TX_PACKETS]!++;
    dev.stats[TX_BYTES]! += innerLen;
  } else dev.stats[TX_ERRORS]!++;
}

/** udp_tunnel_xmit_skb: UDP header, then iptunnel_xmit. */
export function udp_tunnel_xmit(
  dev: NetDevice,
  rt: Rtable,
  skb: Skb,
  saddr: number,
  daddr: number,
  tos: number,
  ttl: number,
  df: boolean,
  sport: number,
  dport: number,
  csum: boolean,
  innerLen: number,
  vni: number,
): void {
  skb.data -= 8;
  const d = skb.data;
  const v = skb.view;
  const len = skb.tail - d;
  v.setUint16(d, sport, false);
  v.setUint16(d + 2, dport, false);
  v.setUint16(d + 4, len, false);
  v.setUint16(d + 6, 0, false);
  if (csum) {
    let sum = csum_partial(skb.bytes, d, len, 17 + len);
    sum += ((saddr & 0xff) << 8) + ((saddr >>> 8) & 0xff) + (((saddr >>> 16) & 0xff) << 8) + (saddr >>> 24);
    sum += ((daddr & 0xff) << 8) + ((daddr >>> 8) & 0xff) + (((daddr >>> 16) & 0xff) << 8) + (daddr >>> 24);
    v.setUint16(d + 6, csum_fold(sum) || 0xffff, false);
  }
  iptunnel_xmit(dev, rt, skb, saddr, daddr, 17, tos, ttl, df, innerLen, vni);
}
