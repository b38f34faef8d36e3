// net/ipv6/ip6_output.c: packets made here, and the last step before the neighbour; redirect_neigh for IPv6.

import { AF_INET6 } from "../../bpf/helpers.js";
import type { Skb } from "../../bpf/skb.js";
import { Step } from "../../bpf/steps.js";
import { type NetDevice, TX_DROPPED } from "../device.js";
import * as R from "../drop_reason.js";
import { ETH_P_IP, ETH_P_IPV6 } from "../eth.js";
import { RTN_UNICAST } from "../fib.js";
import type { RedirectInfo } from "../kernel.js";
import { neigh_output } from "../neighbour.js";
import type { Netns } from "../netns.js";
import { kfree_skb_reason, skb_set_dev } from "../skbuff.js";
import { Mib } from "../snmp.js";
import { neigh6 } from "./ndisc.js";

/** ip6_finish_output2: to the neighbour of the gateway, or of the destination. */
export function ip6_finish_output(skb: Skb, dev: NetDevice, gw: Uint8Array | null): number {
  skb_set_dev(skb, dev);
  skb.protocol = ETH_P_IPV6;
  const n = neigh6(dev, gw ?? skb.bytes, gw === null ? skb.network + 24 : 0, true)!;
  return neigh_output(n, skb);
}

/** Writes the header of the packet at `n` (to skb.tail): traffic class, no flow label, next header, hop limit, addresses. */
export function ip6_build_header(
  skb: Skb,
  n: number,
  tclass: number,
  proto: number,
  hops: number,
  saddr: Uint8Array,
  daddr: Uint8Array,
): void {
  const b = skb.bytes;
  b[n] = 0x60 | (tclass >> 4);
  b[n + 1] = (tclass & 15) << 4;
  b[n + 2] = 0;
  b[n + 3] = 0;
  skb.view.setUint16(n + 4, skb.tail - n - 40, false);
  b[n + 6] = proto;
  b[n + 7] = hops;
  for (let i = 0; i < 16; i++) {
    b[n + 8 + i] = saddr[i]!;
    b[n + 24 + i] = daddr[i]!;
  }
  skb.data = n;
  skb.network = n;
}

/**
 * ip6_local_out: a complete packet (header at skb.network) of this host. Link-local and multicast destinations leave
 * by `link`. 0 or a negative errno.
 */
export function ip6_local_out(ns: Netns, skb: Skb, link: NetDevice | null = null): number {
  const fib = ns.fib6;
  const n = skb.network;
  skb.data = n;
  skb.protocol = ETH_P_IPV6;
  ns.mib[Mib.Ip6OutRequests]!++;
  if (fib === null) {
    kfree_skb_reason(ns, skb, R.IPV6DISABLED);
    return -101;
  }
  if (ns.outputMark6 !== null) skb.mark = ns.outputMark6(skb.mark);
  const onLink =
    skb.bytes[n + 24] === 0xff || (skb.bytes[n + 24] === 0xfe && (skb.bytes[n + 25]! & 0xc0) === 0x80);
  if (onLink && link !== null) return ip6_finish_output(skb, link, null);
  const rt = fib.output(skb.bytes, n + 24, 0);
  if (rt === null) {
    ns.mib[Mib.Ip6OutNoRoutes]!++;
    kfree_skb_reason(ns, skb, R.IP_OUTNOROUTES);
    return -101;
  }
  if (ns.recorder !== null) ns.recorder.step(Step.LOCAL_OUT, skb, rt.dev!, 0, 0, 0);
  return ip6_finish_output(skb, rt.dev!, rt.gw);
}

/** __bpf_redirect_neigh_v6 (and an IPv4 packet to an IPv6 next hop). `skb.data` is the network header. */
export function bpf_out_neigh_v6(skb: Skb, ns: Netns, dev: NetDevice, ri: RedirectInfo): void {
  const n = skb.data;
  const v4 = skb.protocol === ETH_P_IP;
  if (skb.tail - n < (v4 ? 20 : 40) || (!v4 && skb.protocol !== ETH_P_IPV6)) {
    dev.stats[TX_DROPPED]!++;
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  skb.network = n;
  skb_set_dev(skb, dev);
  if (ri.hasNh && ri.nhFamily === AF_INET6) {
    neigh_output(neigh6(dev, ri.nh6, 0, true)!, skb);
    return;
  }
  if (v4) {
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  const rt = ns.fib6?.lookup(skb.bytes, n + 24, dev.ifindex) ?? null;
  // With a device given, a missing route means that the destination is on the link.
  const gw = rt !== null && rt.type === RTN_UNICAST ? rt.gw : null;
  neigh_output(neigh6(dev, gw ?? skb.bytes, gw === null ? n + 24 : 0, true)!, skb);
}
