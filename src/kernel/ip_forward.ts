// net/ipv4/ip_forward.c.

import { PACKET_HOST, type Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import type { NetDevice } from "./device.js";
import * as R from "./drop_reason.js";
import { ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, ICMP_TIME_EXCEEDED, icmp_send } from "./icmp.js";
import { ip_forward_options } from "./ip_options.js";
import { ip_output } from "./ip_output.js";
import { NF_ACCEPT, NF_DROP, NF_INET_FORWARD, nf_hook } from "./netfilter/hooks.js";
import type { Netns } from "./netns.js";
import { ip_dst_mtu_maybe_forward, ip_rt_send_redirect, type Rtable } from "./route.js";
import { IPSKB_DOREDIRECT, IPSKB_FORWARDED, IPSKB_IGNORE_DF, kfree_skb_reason } from "./skbuff.js";
import { Mib } from "./snmp.js";
import { xfrm4_output } from "./xfrm/esp4.js";
import type { XfrmState } from "./xfrm/xfrm.js";

/** ip_tos2prio by (tos & 0x1e) >> 1. */
const TOS2PRIO = [0, 1, 0, 0, 2, 2, 2, 2, 6, 6, 6, 6, 4, 4, 4, 4];

/** rt_tos2priority. */
export const rt_tos2priority = (tos: number): number => TOS2PRIO[(tos & 0x1e) >> 1]!;

/** Checks in the kernel's order, then TTL - 1, redirect, FORWARD. */
export function ip_forward(ns: Netns, skb: Skb, rt: Rtable): void {
  if (skb.pktType !== PACKET_HOST) {
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  const n = skb.network;
  const b = skb.bytes;
  const ttl = b[n + 8]!;
  if (ttl <= 1) {
    ns.mib[Mib.IpInHdrErrors]!++;
    icmp_send(ns, skb, ICMP_TIME_EXCEEDED, 0, 0);
    kfree_skb_reason(ns, skb, R.IP_INHDR);
    return;
  }
  if (ns.kernel.release >= 6.07) ns.mib[Mib.IpForwDatagrams]!++;
  skb.ipcb |= IPSKB_FORWARDED;
  let mtu = ip_dst_mtu_maybe_forward(ns, rt, true);
  // xfrm4_route_forward
  let state: XfrmState | null = null;
  if (ns.xfrm !== null) {
    const policy = ns.xfrm.lookupOut(skb);
    if (policy !== null) {
      state = policy.template === null ? null : ns.xfrm.stateFor(policy, skb.mark);
      if (state === null) {
        if (policy.template === null) ns.xfrm.stats.outPolBlock++;
        else ns.xfrm.stats.outNoStates++;
        kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
        return;
      }
      mtu = state.innerMtu(mtu);
    }
  }
  if (ip_exceeds_mtu(skb, mtu)) {
    ns.mib[Mib.IpFragFails]!++;
    icmp_send(ns, skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtu);
    kfree_skb_reason(ns, skb, R.PKT_TOO_BIG);
    return;
  }
  // ip_decrease_ttl: check += 0x0100 with end-around carry.
  let check = ((b[n + 10]! << 8) | b[n + 11]!) + 0x0100;
  check += check >= 0xffff ? 1 : 0;
  b[n + 10] = check >> 8;
  b[n + 11] = check;
  b[n + 8] = ttl - 1;
  if (ns.recorder !== null) ns.recorder.step(Step.FORWARD, skb, rt.dev, ttl - 1, 0, 0);
  if ((skb.ipcb & IPSKB_DOREDIRECT) !== 0) ip_rt_send_redirect(skb, rt);
  if (ns.sysctl.ip_forward_update_priority !== 0) skb.priority = rt_tos2priority(b[n + 1]!);
  const verdict = nf_hook(ns, NF_INET_FORWARD, skb, skb.dev as NetDevice, rt.dev);
  if (verdict === NF_ACCEPT) {
    if (state === null) ip_forward_finish(ns, skb);
    else xfrm4_output(ns, skb, state, rt);
  } else if (verdict === NF_DROP) kfree_skb_reason(ns, skb, R.NETFILTER_DROP);
}

/** ip_forward_finish. */
export function ip_forward_finish(ns: Netns, skb: Skb): void {
  if (ns.kernel.release < 6.07) {
    ns.mib[Mib.IpForwDatagrams]!++;
    ns.mib[Mib.IpExtOutOctets]! += skb.tail - skb.network;
  }
  if ((skb.bytes[skb.network]! & 15) > 5) ip_forward_options(ns, skb);
  skb.tstamp[0] = 0;
  ip_output(ns, skb);
}

/** ip_exceeds_mtu. */
function ip_exceeds_mtu(skb: Skb, mtu: number): boolean {
  if (skb.tail - skb.network <= mtu) return false;
  if ((skb.bytes[skb.network + 6]! & 0x40) === 0) return false;
  if (skb.fragMaxSize > mtu) return true;
  if ((skb.ipcb & IPSKB_IGNORE_DF) !== 0) return false;
  // skb_gso_validate_network_len: what counts is the size of the segments.
  const n = skb.network;
  const l4 = n + (skb.bytes[n]! & 15) * 4;
  return !(skb.gsoSize !== 0 && l4 - n + (skb.bytes[l4 + 12]! >> 4) * 4 + skb.gsoSize <= mtu);
}
