// __bpf_redirect_neigh of net/core/filter.c: route (or a given next hop), neighbour, transmit; no netfilter, no
// TTL, no MTU check.

import { AF_INET } from "../bpf/helpers.js";
import type { Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import { type NetDevice, TX_DROPPED } from "./device.js";
import * as R from "./drop_reason.js";
import { ETH_P_IP } from "./eth.js";
import { bpf_out_neigh_v6 } from "./ipv6/ip6_output.js";
import type { RedirectInfo } from "./kernel.js";
import { neigh_for_nexthop, neigh_output } from "./neighbour.js";
import type { Netns } from "./netns.js";
import { FLOWI_FLAG_ANYSRC, flowOut, ip_route_output_flow, RTN_LOCAL, RTN_UNICAST } from "./route.js";
import { kfree_skb_reason, skb_set_dev } from "./skbuff.js";

/** `skb.data` is the network header. Takes the packet. */
export function bpf_out_neigh(skb: Skb, ns: Netns, dev: NetDevice, ri: RedirectInfo): void {
  if (skb.protocol !== ETH_P_IP) {
    bpf_out_neigh_v6(skb, ns, dev, ri);
    return;
  }
  const n = skb.data;
  if (skb.tail - n < 20) {
    kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
    return;
  }
  let nh: number;
  if (ri.hasNh) {
    if (ri.nhFamily !== AF_INET) {
      bpf_out_neigh_v6(skb, ns, dev, ri);
      return;
    }
    nh = ri.nh4;
  } else {
    const v = skb.view;
    const f = flowOut(ns);
    f.daddr = v.getInt32(n + 16, true);
    f.saddr = v.getInt32(n + 12, true);
    f.tos = skb.bytes[n + 1]! & 0x1c;
    f.proto = skb.bytes[n + 9]!;
    f.mark = skb.mark;
    f.oif = dev.ifindex;
    f.flags = FLOWI_FLAG_ANYSRC;
    const rt = ip_route_output_flow(ns, f);
    if (rt === null || (rt.rt_type !== RTN_UNICAST && rt.rt_type !== RTN_LOCAL)) {
      dev.stats[TX_DROPPED]!++;
      kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
      return;
    }
    if (ns.recorder !== null) ns.recorder.step(Step.FIB, skb, rt, 0, 1, 0);
    skb.dst = rt;
    nh = rt.rt_gw !== 0 ? rt.rt_gw : f.daddr;
  }
  skb_set_dev(skb, dev);
  skb.network = n;
  skb.protocol = ETH_P_IP;
  neigh_output(neigh_for_nexthop(dev, nh), skb);
}
