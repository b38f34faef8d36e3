// net/bridge/br_netfilter_hooks.c: with bridge-nf-call-iptables a frame that is only bridged passes the IPv4 hooks all
// the same, PREROUTING, FORWARD and POSTROUTING with the bridge as device. It is how the answer of a pod on the same
// bridge gets its service address back.
//
// Differs from the kernel: frames for the bridge itself meet PREROUTING at the IP layer only (the kernel runs it here and
// skips it there), fragments are bridged without passing the hooks, and physdev does not see the ports.

import { PACKET_HOST, type Skb } from "../bpf/skb.js";
import type { BridgeDevice } from "./bridge.js";
import { ip_fast_csum } from "./csum.js";
import { ETH_HLEN } from "./device.js";
import * as R from "./drop_reason.js";
import { ip_rcv_finish } from "./ip_input.js";
import {
  NF_ACCEPT,
  NF_DROP,
  NF_INET_FORWARD,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  nf_hook,
} from "./netfilter/hooks.js";
import { Rtable } from "./route.js";
import { kfree_skb_reason, skb_set_dev } from "./skbuff.js";

const fakeRtables = new WeakMap<BridgeDevice, Rtable>();

/** Runs the hooks on a frame (`data` at its Ethernet header) on its way to another port. False: it goes no further here. */
export function br_nf_forward(skb: Skb, br: BridgeDevice): boolean {
  const ns = br.ns;
  const d = skb.data;
  const n = d + ETH_HLEN;
  const b = skb.bytes;
  if (ns.nf === null || b[d + 12] !== 8 || b[d + 13] !== 0 || skb.tail - n < 20) return true;
  const hlen = (b[n]! & 15) * 4;
  // br_validate_ipv4: what is no proper packet is dropped.
  const tot = (b[n + 2]! << 8) | b[n + 3]!;
  if (b[n]! >> 4 !== 4 || hlen < 20 || skb.tail - n < tot || tot < hlen || ip_fast_csum(skb, n, hlen) !== 0) {
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return false;
  }
  if ((skb.view.getUint16(n + 6, false) & 0x3fff) !== 0) return true;
  const daddr = skb.view.getInt32(n + 16, true);
  skb.data = n;
  skb.network = n;
  skb.tail = n + tot;
  skb.ipcb = 0;
  skb.fragMaxSize = 0;
  skb_set_dev(skb, br);
  // bridge_parent_rtable: what looks at the route (ip_vs) finds one.
  let fake = fakeRtables.get(br);
  if (fake === undefined) {
    fake = new Rtable(br);
    fakeRtables.set(br, fake);
  }
  let verdict = nf_hook(ns, NF_INET_PRE_ROUTING, skb, br, null);
  if (verdict === NF_ACCEPT && skb.view.getInt32(n + 16, true) !== daddr) {
    // DNAT: the packet leaves the bridge for the router that this host is.
    skb.pktType = PACKET_HOST;
    ip_rcv_finish(ns, skb, br);
    return false;
  }
  if (verdict === NF_ACCEPT) {
    skb.dst = fake;
    verdict = nf_hook(ns, NF_INET_FORWARD, skb, br, br);
  }
  if (verdict === NF_ACCEPT) verdict = nf_hook(ns, NF_INET_POST_ROUTING, skb, null, br);
  if (verdict === NF_ACCEPT) {
    skb.data = d;
    skb.dst = null;
    return true;
  }
  if (verdict === NF_DROP) kfree_skb_reason(ns, skb, R.NETFILTER_DROP);
  return false;
}
