// What REJECT sends: ICMP errors and TCP resets (net/ipv4/netfilter/nf_reject_ipv4.c).

import type { Skb } from "../../bpf/skb.js";
import { csum_fold, csum_partial, csum_tcpudp } from "../csum.js";
import type { NetDevice } from "../device.js";
import { ICMP_DEST_UNREACH, icmp_send } from "../icmp.js";
import { ip_build_header, ip_local_out, ip_route_me_harder } from "../ip_output.js";
import type { Netns } from "../netns.js";
import { dst_mtu, ip_route_input, RTCF_BROADCAST, RTCF_MULTICAST, type Rtable } from "../route.js";
import { alloc_local_skb, consume_skb } from "../skbuff.js";
import { NF_INET_PRE_ROUTING, nf_ct_attach } from "./hooks.js";
import { IPCT_PROTOINFO, IPS_CONFIRMED, type NfConn, type NfConntrack } from "./nf_conntrack.js";
import { TCP_CONNTRACK_CLOSE } from "./nf_conntrack_tcp.js";

/** True if the packet's own checksum is right, as far as REJECT looks: a broken packet is not answered. */
function checksumOk(skb: Skb, thoff: number, proto: number): boolean {
  const len = skb.tail - thoff;
  if (proto === 17) {
    if (len < 8) return false;
    if (skb.view.getUint16(thoff + 6, false) === 0) return true;
    return csum_tcpudp(skb, skb.data, 17, thoff, len) === 0;
  }
  if (proto === 6) return csum_tcpudp(skb, skb.data, 6, thoff, len) === 0;
  if (proto === 1) return csum_fold(csum_partial(skb.bytes, thoff, len, 0)) === 0;
  return true;
}

/** nf_reject_fill_skb_dst: in PREROUTING there is no route yet. */
function fillDst(skb: Skb, hook: number, inDev: NetDevice | null): boolean {
  if (hook !== NF_INET_PRE_ROUTING || skb.dst !== null) return skb.dst !== null;
  if (inDev === null) return false;
  const v = skb.view;
  const n = skb.data;
  return ip_route_input(skb, v.getInt32(n + 16, true), v.getInt32(n + 12, true), v.getUint8(n + 1), inDev);
}

/** nf_send_unreach. */
export function nf_send_unreach(
  ns: Netns,
  skb: Skb,
  code: number,
  hook: number,
  inDev: NetDevice | null,
): void {
  const n = skb.data;
  const v = skb.view;
  if ((v.getUint16(n + 6, false) & 0x1fff) !== 0) return;
  if (!fillDst(skb, hook, inDev)) return;
  const proto = v.getUint8(n + 9);
  if (!checksumOk(skb, n + ((v.getUint8(n) & 15) << 2), proto)) return;
  skb.network = n;
  icmp_send(ns, skb, ICMP_DEST_UNREACH, code, 0);
}

/** nf_send_reset. */
export function nf_send_reset(
  ns: Netns,
  ct: NfConntrack | null,
  old: Skb,
  hook: number,
  inDev: NetDevice | null,
): void {
  const n = old.data;
  const v = old.view;
  const hl = (v.getUint8(n) & 15) << 2;
  const th = n + hl;
  if ((v.getUint16(n + 6, false) & 0x1fff) !== 0 || v.getUint8(n + 9) !== 6 || th + 20 > old.tail) return;
  const flags = v.getUint8(th + 13);
  if ((flags & 4) !== 0 || !checksumOk(old, th, 6)) return;
  if (!fillDst(old, hook, inDev)) return;
  const ort = old.dst as Rtable;
  if ((ort.rt_flags & (RTCF_BROADCAST | RTCF_MULTICAST)) !== 0) return;
  const skb = alloc_local_skb(ns);
  const d = skb.data;
  skb.network = d;
  skb.ensure(d + 40);
  skb.tail = d + 40;
  ip_build_header(
    skb,
    d,
    0,
    0,
    true,
    ns.sysctl.ip_default_ttl,
    6,
    v.getInt32(n + 16, true),
    v.getInt32(n + 12, true),
  );
  const nv = skb.view;
  const t = d + 20;
  nv.setUint16(t, v.getUint16(th + 2, false), false);
  nv.setUint16(t + 2, v.getUint16(th, false), false);
  const doff = (v.getUint8(th + 12) >>> 4) << 2;
  if ((flags & 16) !== 0) {
    nv.setInt32(t + 4, v.getInt32(th + 8, false), false);
    nv.setInt32(t + 8, 0, false);
    nv.setUint16(t + 12, 0x5004, false);
  } else {
    const end = v.getInt32(th + 4, false) + ((flags & 2) >> 1) + (flags & 1) + (old.tail - th - doff);
    nv.setInt32(t + 4, 0, false);
    nv.setInt32(t + 8, end | 0, false);
    nv.setUint16(t + 12, 0x5014, false);
  }
  nv.setUint16(t + 14, 0, false);
  nv.setInt32(t + 16, 0, false);
  nv.setUint16(t + 16, csum_tcpudp(skb, d, 6, t, 20), false);
  skb.dst = ort;
  if (ip_route_me_harder(ns, skb) < 0 || 40 > dst_mtu(ns, skb.dst as Rtable)) {
    consume_skb(ns.kernel, skb);
    return;
  }
  nf_ct_attach(skb, old);
  if (ct !== null) setClosing(ct, old.nfct as NfConn | null);
  ip_local_out(ns, skb);
}

/** nf_ct_set_closing: the tracked connection is over. One that is not confirmed yet is left as it is. */
function setClosing(net: NfConntrack, ct: NfConn | null): void {
  if (ct === null || ct.tcp === null || (ct.status & IPS_CONFIRMED) === 0) return;
  const old = ct.tcp.state;
  ct.tcp.state = TCP_CONNTRACK_CLOSE;
  if (old === TCP_CONNTRACK_CLOSE) return;
  net.setTimeout(ct, net.sysctl.tcp_timeouts[TCP_CONNTRACK_CLOSE]! * 1000);
  ct.events |= IPCT_PROTOINFO;
}
