// net/bridge/br_netfilter_hooks.c: with net.bridge.bridge-nf-call-iptables bridged IPv4 packets pass PREROUTING on
// the port, FORWARD and POSTROUTING when they are bridged on, and no second PREROUTING when they go up to the host.
//
//   port -> PREROUTING (IN=bridge) -> bridge decision -+-> up: ip_rcv without PREROUTING
//                                                      +-> FORWARD (IN=bridge OUT=bridge) -> POSTROUTING -> port

import { PACKET_HOST, PACKET_OTHERHOST, type Skb } from "../bpf/skb.js";
import { br_handle_frame_finish } from "./br_input.js";
import { type BridgeDevice, type BridgePort, br_dev_queue_push_xmit } from "./bridge.js";
import { ip_fast_csum } from "./csum.js";
import type { NetDevice } from "./device.js";
import * as R from "./drop_reason.js";
import { macKey, putMac } from "./eth.js";
import { ip_do_fragment_to } from "./ip_output.js";
import { NUD_CONNECTED, neigh_for_nexthop, neigh_output } from "./neighbour.js";
import {
  NF_ACCEPT,
  NF_DROP,
  NF_INET_FORWARD,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  nf_hook,
} from "./netfilter/hooks.js";
import type { Netns } from "./netns.js";
import { ip_dst_mtu_maybe_forward, ip_route_input, Rtable } from "./route.js";
import { IPSKB_FORWARDED, IPSKB_IGNORE_DF, kfree_skb_reason, skb_set_dev } from "./skbuff.js";
import { Mib } from "./snmp.js";

const fakeRtables = new WeakMap<BridgeDevice, Rtable>();

/** bridge_parent_rtable: what looks at the route of a bridged packet (ip_vs, REJECT) finds one. */
function fakeRtable(br: BridgeDevice): Rtable {
  let rt = fakeRtables.get(br);
  if (rt === undefined) {
    rt = new Rtable(br);
    fakeRtables.set(br, rt);
  }
  return rt;
}

/** br_drop_fake_rtable: the packet goes up to the host and is routed there. */
export function br_drop_fake_rtable(skb: Skb, br: BridgeDevice): void {
  if (skb.dst !== null && skb.dst === fakeRtables.get(br)) skb.dst = null;
}

/** br_validate_ipv4. False: the packet was dropped. */
function validate(ns: Netns, skb: Skb, n: number): boolean {
  const b = skb.bytes;
  const len = skb.tail - n;
  const hlen = (b[n]! & 15) * 4;
  const tot = (b[n + 2]! << 8) | b[n + 3]!;
  if (
    len < 20 ||
    b[n]! >> 4 !== 4 ||
    hlen < 20 ||
    len < hlen ||
    ip_fast_csum(skb, n, hlen) !== 0 ||
    tot < hlen
  ) {
    ns.mib[Mib.IpInHdrErrors]!++;
    kfree_skb_reason(ns, skb, R.IP_INHDR);
    return false;
  }
  if (len < tot) {
    ns.mib[Mib.IpExtInTruncatedPkts]!++;
    kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
    return false;
  }
  skb.tail = n + tot;
  return true;
}

/** br_nf_pre_routing and its finish. True: the bridge goes on with the packet, its Ethernet header at skb.mac. */
export function br_nf_pre_routing(skb: Skb, p: BridgePort): boolean {
  const br = p.br;
  const ns = br.ns;
  const n = skb.mac + 14;
  if (!validate(ns, skb, n)) return false;
  skb.physInDev = p.dev;
  skb.physOutDev = null;
  skb_set_dev(skb, br);
  skb.data = n;
  skb.network = n;
  skb.ipcb = 0;
  skb.fragMaxSize = 0;
  const type = skb.pktType;
  skb.pktType = PACKET_HOST;
  const daddr = skb.view.getInt32(n + 16, true);
  const verdict = nf_hook(ns, NF_INET_PRE_ROUTING, skb, br, null);
  if (verdict !== NF_ACCEPT) {
    if (verdict === NF_DROP) kfree_skb_reason(ns, skb, R.NETFILTER_DROP);
    return false;
  }
  skb.pktType = type;
  return br_nf_pre_routing_finish(skb, p, daddr);
}

/** br_nf_pre_routing_finish for a packet that conntrack put together from fragments: on with the bridge. */
export function br_nf_reassembled(skb: Skb, daddr: number): void {
  const p = (skb.physInDev as NetDevice).brPort;
  if (p === null) {
    kfree_skb_reason((skb.dev as NetDevice).ns, skb, R.NOT_SPECIFIED);
    return;
  }
  if (br_nf_pre_routing_finish(skb, p, daddr)) br_handle_frame_finish(skb, p);
}

/** `daddr`: the destination before PREROUTING. */
function br_nf_pre_routing_finish(skb: Skb, p: BridgePort, daddr: number): boolean {
  const br = p.br;
  const ns = br.ns;
  const m = skb.network;
  // A reassembled packet lies elsewhere; its Ethernet header is in front of it.
  skb.mac = m - 14;
  const v = skb.view;
  const now = v.getInt32(m + 16, true);
  if (now !== daddr) {
    if (!ip_route_input(skb, now, v.getInt32(m + 12, true), skb.bytes[m + 1]!, br)) {
      kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
      return false;
    }
    const rt = skb.dst as Rtable;
    if (rt.dev === br) {
      // br_nf_pre_routing_finish_bridge: bridged DNAT, only the destination MAC changes.
      const nb = neigh_for_nexthop(br, rt.rt_gw !== 0 ? rt.rt_gw : now);
      if ((nb.state & NUD_CONNECTED) === 0 || !nb.hh) {
        // The neighbour code writes the whole Ethernet header and sends it out of the bridge (taps see it there),
        // where br_nf_dev_xmit takes it back.
        skb.bridgedDnat = macKey(skb.bytes, skb.mac + 6);
        skb_set_dev(skb, br);
        skb.data = m;
        neigh_output(nb, skb);
        return false;
      }
      skb.bytes.set(nb.ha, skb.mac);
    } else {
      skb.bytes.set(br.mac, skb.mac);
      skb.pktType = PACKET_HOST;
    }
  } else skb.dst = fakeRtable(br);
  skb_set_dev(skb, p.dev);
  return true;
}

/**
 * br_nf_dev_xmit: takes a bridged packet whose destination was translated back from the neighbour code (`data` at the
 * Ethernet header) and goes on with the bridge. False: the packet is none.
 */
export function br_nf_dev_xmit(skb: Skb): boolean {
  if (skb.bridgedDnat < 0) return false;
  const p = (skb.physInDev as NetDevice).brPort;
  const mac = skb.data;
  putMac(skb.bytes, mac + 6, skb.bridgedDnat);
  skb.bridgedDnat = -1;
  if (p === null) {
    kfree_skb_reason((skb.dev as NetDevice).ns, skb, R.NOT_SPECIFIED);
    return true;
  }
  skb.mac = mac;
  skb.network = mac + 14;
  skb.physOutDev = null;
  skb_set_dev(skb, p.dev);
  br_handle_frame_finish(skb, p);
  return true;
}

/** br_nf_forward_ip and br_nf_post_routing. True: the frame (data at its Ethernet header) goes out by `p`. */
export function br_nf_forward(skb: Skb, p: BridgePort): boolean {
  const br = p.br;
  const ns = br.ns;
  skb.physOutDev = p.dev;
  skb_set_dev(skb, br);
  const mac = skb.data;
  skb.data = mac + 14;
  skb.network = skb.data;
  // To netfilter it is the host's own (pkt_otherhost): REJECT answers what is bridged to others, too.
  const type = skb.pktType;
  if (type === PACKET_OTHERHOST) skb.pktType = PACKET_HOST;
  let verdict = nf_hook(ns, NF_INET_FORWARD, skb, br, br);
  if (verdict === NF_ACCEPT) verdict = nf_hook(ns, NF_INET_POST_ROUTING, skb, null, br);
  if (verdict !== NF_ACCEPT) {
    if (verdict === NF_DROP) kfree_skb_reason(ns, skb, R.NETFILTER_DROP);
    return false;
  }
  skb.pktType = type;
  skb.physInDev = null;
  skb.physOutDev = null;
  const max = skb.fragMaxSize;
  if (skb.tail - skb.data > (max !== 0 && max < p.dev.mtu ? max : p.dev.mtu)) {
    br_nf_ip_fragment(skb, p);
    return false;
  }
  skb.data -= 14;
  return true;
}

/** br_nf_dev_queue_xmit's: what conntrack put together is taken apart again, behind the same Ethernet header. */
function br_nf_ip_fragment(skb: Skb, p: BridgePort): void {
  const ns = p.br.ns;
  const n = skb.data;
  const mtu = ip_dst_mtu_maybe_forward(ns, skb.dst as Rtable, (skb.ipcb & IPSKB_FORWARDED) !== 0);
  const df = (skb.bytes[n + 6]! & 0x40) !== 0 && (skb.ipcb & IPSKB_IGNORE_DF) === 0;
  if (df || (skb.fragMaxSize !== 0 && skb.fragMaxSize > mtu)) {
    ns.mib[Mib.IpFragFails]!++;
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  const head = skb.bytes.slice(n - 14, n);
  ip_do_fragment_to(ns, skb, mtu, (f) => {
    f.data -= 14;
    f.bytes.set(head, f.data);
    br_dev_queue_push_xmit(f, p);
  });
}
