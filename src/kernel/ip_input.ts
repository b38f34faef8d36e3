// net/ipv4/ip_input.c: a received IPv4 packet up to the routing decision, and delivery to this host.
//
//   ip_rcv -> ip_rcv_core -> PREROUTING -> ip_rcv_finish (route) -> ip_forward | ip_local_deliver -> INPUT -> L4

import { PACKET_OTHERHOST, type Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import { ip_fast_csum } from "./csum.js";
import { type NetDevice, RX_DROPPED } from "./device.js";
import * as R from "./drop_reason.js";
import { ETH_P_IP } from "./eth.js";
import { RTN_BROADCAST, RTN_MULTICAST } from "./fib.js";
import { ICMP_DEST_UNREACH, icmp_rcv, icmp_send } from "./icmp.js";
import { ip_forward } from "./ip_forward.js";
import { ip_defrag } from "./ip_fragment.js";
import { ip_rcv_options } from "./ip_options.js";
import { tunnel4_rcv, tunnel64_rcv } from "./ipip.js";
import { NF_ACCEPT, NF_DROP, NF_INET_LOCAL_IN, NF_INET_PRE_ROUTING, nf_hook } from "./netfilter/hooks.js";
import type { Netns } from "./netns.js";
import { raw_local_deliver } from "./raw.js";
import { INPUT_ERROR, INPUT_LOCAL, inputDropReason, ip_error, ip_route_input, type Rtable } from "./route.js";
import { consume_skb, kfree_skb_reason } from "./skbuff.js";
import { Mib } from "./snmp.js";
import { tcp_v4_rcv } from "./tcp_ipv4.js";
import { udp_rcv } from "./udp.js";
import { IPPROTO_ESP, xfrm4_rcv } from "./xfrm/esp4.js";

export const IPPROTO_ICMP = 1;
export const IPPROTO_IPIP = 4;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_IPV6 = 41;

/** ip_rcv. `skb.data` is the IP header. */
export function ip_rcv(skb: Skb, dev: NetDevice): void {
  const ns = dev.ns;
  if (skb.pktType === PACKET_OTHERHOST) {
    dev.stats[RX_DROPPED]!++;
    kfree_skb_reason(ns, skb, R.OTHERHOST);
    return;
  }
  const mib = ns.mib;
  const d = skb.data;
  const b = skb.bytes;
  const len = skb.tail - d;
  mib[Mib.IpInReceives]!++;
  mib[Mib.IpExtInOctets]! += len;
  if (len < 20) {
    mib[Mib.IpInHdrErrors]!++;
    kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
    return;
  }
  const vihl = b[d]!;
  if (vihl >> 4 !== 4 || (vihl & 15) < 5) {
    mib[Mib.IpInHdrErrors]!++;
    kfree_skb_reason(ns, skb, R.IP_INHDR);
    return;
  }
  mib[Mib.IpExtInNoECTPkts + (b[d + 1]! & 3)]!++;
  const hlen = (vihl & 15) * 4;
  if (len < hlen) {
    mib[Mib.IpInHdrErrors]!++;
    kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
    return;
  }
  if (ip_fast_csum(skb, d, hlen) !== 0) {
    mib[Mib.IpExtInCsumErrors]!++;
    mib[Mib.IpInHdrErrors]!++;
    kfree_skb_reason(ns, skb, R.IP_CSUM);
    return;
  }
  const tot = (b[d + 2]! << 8) | b[d + 3]!;
  if (len < tot) {
    mib[Mib.IpExtInTruncatedPkts]!++;
    kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
    return;
  }
  if (tot < hlen) {
    mib[Mib.IpInHdrErrors]!++;
    kfree_skb_reason(ns, skb, R.IP_INHDR);
    return;
  }
  skb.tail = d + tot;
  skb.network = d;
  skb.ipcb = 0;
  skb.fragMaxSize = 0;
  skb.sk = null;
  if (skb.physInDev !== null) {
    // ip_sabotage_in: br_netfilter ran PREROUTING on the bridge port already.
    skb.physInDev = null;
    skb.physOutDev = null;
    ip_rcv_finish(ns, skb, dev);
    return;
  }
  const verdict = nf_hook(ns, NF_INET_PRE_ROUTING, skb, dev, null);
  if (verdict === NF_ACCEPT) ip_rcv_finish(ns, skb, skb.dev as NetDevice);
  else if (verdict === NF_DROP) kfree_skb_reason(ns, skb, R.NETFILTER_DROP);
}

/** ip_rcv_finish: the route, unless the packet brings one (loopback, DNAT on a bridge). */
export function ip_rcv_finish(ns: Netns, skb: Skb, dev: NetDevice): void {
  const n = skb.network;
  const b = skb.bytes;
  if (skb.dst === null) {
    const v = skb.view;
    if (!ip_route_input(skb, v.getInt32(n + 16, true), v.getInt32(n + 12, true), b[n + 1]!, dev)) {
      if (inputDropReason === R.IP_RPFILTER) ns.mib[Mib.TcpExtIPReversePathFilter]!++;
      kfree_skb_reason(ns, skb, inputDropReason);
      return;
    }
  }
  if ((b[n]! & 15) > 5 && !ip_rcv_options(ns, skb, dev)) return;
  const rt = skb.dst as Rtable;
  if (rt.rt_type === RTN_MULTICAST || rt.rt_type === RTN_BROADCAST) {
    const len = skb.tail - n;
    if (rt.rt_type === RTN_MULTICAST) {
      ns.mib[Mib.IpExtInMcastPkts]!++;
      ns.mib[Mib.IpExtInMcastOctets]! += len;
    } else {
      ns.mib[Mib.IpExtInBcastPkts]!++;
      ns.mib[Mib.IpExtInBcastOctets]! += len;
    }
  }
  dst_input(ns, skb, rt);
}

/** dst_input. */
export function dst_input(ns: Netns, skb: Skb, rt: Rtable): void {
  if (rt.input === INPUT_LOCAL) ip_local_deliver(ns, skb);
  else if (rt.input === INPUT_ERROR) ip_error(skb, rt);
  else ip_forward(ns, skb, rt);
}

/** ip_local_deliver: reassembly, INPUT, then the transport protocol. */
export function ip_local_deliver(ns: Netns, skb: Skb): void {
  let p: Skb = skb;
  if ((p.view.getUint16(p.network + 6, false) & 0x3fff) !== 0) {
    const whole = ip_defrag(ns, p, 0);
    if (whole === null) return;
    p = whole;
  }
  if (ns.recorder !== null) ns.recorder.step(Step.LOCAL_IN, p, p.dev, 0, 0, 0);
  const verdict = nf_hook(ns, NF_INET_LOCAL_IN, p, p.dev as NetDevice, null);
  if (verdict === NF_ACCEPT) ip_local_deliver_finish(ns, p);
  else if (verdict === NF_DROP) kfree_skb_reason(ns, p, R.NETFILTER_DROP);
}

/** ip_protocol_deliver_rcu: `data` moves to the transport header. */
export function ip_local_deliver_finish(ns: Netns, skb: Skb): void {
  const n = skb.network;
  const proto = skb.bytes[n + 9]!;
  const off = n + (skb.bytes[n]! & 15) * 4;
  const raw = raw_local_deliver(ns, skb, proto);
  switch (proto) {
    case IPPROTO_ICMP:
      ns.mib[Mib.IpInDelivers]!++;
      skb.data = off;
      icmp_rcv(ns, skb);
      return;
    case IPPROTO_TCP:
      ns.mib[Mib.IpInDelivers]!++;
      skb.data = off;
      tcp_v4_rcv(ns, skb);
      return;
    case IPPROTO_UDP:
      ns.mib[Mib.IpInDelivers]!++;
      skb.data = off;
      udp_rcv(ns, skb);
      return;
    case IPPROTO_IPIP:
      if (ns.sockets.hasTunnel4) {
        ns.mib[Mib.IpInDelivers]!++;
        skb.data = off;
        tunnel4_rcv(ns, skb);
        return;
      }
      break;
    case IPPROTO_ESP:
      if (ns.xfrm !== null) {
        ns.mib[Mib.IpInDelivers]!++;
        skb.data = off;
        xfrm4_rcv(ns, skb);
        return;
      }
      break;
    case IPPROTO_IPV6:
      if (ns.sockets.hasTunnel64) {
        ns.mib[Mib.IpInDelivers]!++;
        skb.data = off;
        tunnel64_rcv(ns, skb);
        return;
      }
      break;
    default:
      break;
  }
  if (raw) {
    ns.mib[Mib.IpInDelivers]!++;
    consume_skb(ns.kernel, skb);
    return;
  }
  ns.mib[Mib.IpInUnknownProtos]!++;
  icmp_send(ns, skb, ICMP_DEST_UNREACH, 2, 0);
  kfree_skb_reason(ns, skb, R.IP_NOPROTO);
}

/** For tunnels that hand an inner IPv4 packet to the stack. */
export const INNER_PROTOCOL = ETH_P_IP;
