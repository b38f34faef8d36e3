// drivers/net/geneve.c: Ethernet in UDP with options; one remote per device, or (collect_md) the packet's key.

import type { Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import { udp_flow_src_port } from "../net/skb_hash.js";
import { netif_rx } from "./dev.js";
import {
  COLLISIONS,
  ETH_HLEN,
  IFF_UP,
  NetDevice,
  RX_BYTES,
  RX_DROPPED,
  RX_ERRORS,
  RX_FRAME_ERRORS,
  RX_PACKETS,
  TX_DROPPED,
  TX_ERRORS,
} from "./device.js";
import * as R from "./drop_reason.js";
import { ETH_P_IP, ETH_P_IPV6, eth_type_trans } from "./eth.js";
import { skb_get_hash } from "./flow_dissector.js";
import {
  ecn_decapsulate,
  ecn_encapsulate,
  inner_tos,
  inner_ttl,
  skb_dst_update_pmtu,
  tunnel_route_output,
  udp_tunnel_xmit,
} from "./ip_tunnel_core.js";
import type { Netns } from "./netns.js";
import { dst_mtu, flowOut } from "./route.js";
import { kfree_skb_reason, skb_scrub_packet } from "./skbuff.js";
import type { UdpTunnel } from "./sock.js";

const GENEVE_HEADROOM = 20 + 8 + 8 + 14;

export interface GeneveOptions {
  readonly mac: Uint8Array;
  readonly mtu?: number;
  readonly vni?: number;
  /** Be32. */
  readonly remote?: number;
  readonly dstport?: number;
  readonly udpcsum?: boolean;
  /** 0 = the route's. */
  readonly ttl?: number;
  readonly ttlInherit?: boolean;
  /** 1 = inherit. */
  readonly tos?: number;
  readonly df?: string;
  readonly collectMd?: boolean;
}

class GeneveSock implements UdpTunnel {
  readonly devs: GeneveDevice[] = [];

  constructor(readonly port: number) {}

  udpRcv(ns: Netns, skb: Skb): boolean {
    return geneve_rcv(ns, skb, this);
  }
}

export class GeneveDevice extends NetDevice {
  override readonly kind = "geneve";
  readonly vni: number;
  remote: number;
  readonly dstport: number;
  udpcsum: boolean;
  ttl: number;
  ttlInherit: boolean;
  tos: number;
  df: string;
  readonly collectMd: boolean;

  constructor(ns: Netns, name: string, o: GeneveOptions) {
    super(ns, name);
    this.setMac(o.mac);
    this.mtu = o.mtu ?? 1450;
    this.vni = o.vni ?? 0;
    this.remote = o.remote ?? 0;
    this.dstport = o.dstport ?? 6081;
    this.udpcsum = o.udpcsum ?? false;
    this.ttl = o.ttl ?? 0;
    this.ttlInherit = o.ttlInherit ?? false;
    this.tos = o.tos ?? 0;
    this.df = o.df ?? "unset";
    this.collectMd = o.collectMd ?? false;
    this.keepDst = true;
    this.neededHeadroom = ETH_HLEN + GENEVE_HEADROOM;
  }

  override opened(): void {
    const t = this.ns.sockets.udpTunnels;
    let s = t.get(this.dstport);
    if (!(s instanceof GeneveSock)) {
      s = new GeneveSock(this.dstport);
      t.set(this.dstport, s);
    }
    (s as GeneveSock).devs.push(this);
  }

  override stopped(): void {
    const t = this.ns.sockets.udpTunnels;
    const s = t.get(this.dstport);
    if (!(s instanceof GeneveSock)) return;
    const at = s.devs.indexOf(this);
    if (at >= 0) s.devs.splice(at, 1);
    if (s.devs.length === 0) t.delete(this.dstport);
  }

  /** geneve_xmit_skb. */
  override xmit(skb: Skb): number {
    const ns = this.ns;
    if (skb.tail - skb.data < ETH_HLEN) {
      this.stats[TX_DROPPED]!++;
      kfree_skb_reason(ns, skb, R.HDR_TRUNC);
      return 0;
    }
    const n = skb.data + ETH_HLEN;
    const proto = skb.view.getUint16(skb.data + 12, false);
    skb.network = n;
    skb.protocol = proto;
    const key = skb.tunnel;
    const md = this.collectMd;
    if (md && !key.present) {
      this.stats[TX_DROPPED]!++;
      kfree_skb_reason(ns, skb, R.TUNNEL_TXINFO);
      return 0;
    }
    const remote = md ? key.remoteIp4 : this.remote;
    const vni = md ? key.id : this.vni;
    const innerTos = inner_tos(skb, n, proto);
    const tos = md ? key.tos : this.tos === 1 ? innerTos : this.tos;
    let ttl = md ? key.ttl : this.ttlInherit ? inner_ttl(skb, n, proto) : this.ttl;
    if (ttl === 0) ttl = ns.sysctl.ip_default_ttl;
    const df = md
      ? (key.flags & 4) !== 0
      : this.df === "set" ||
        (this.df === "inherit" &&
          (proto === ETH_P_IPV6 || (proto === ETH_P_IP && (skb.bytes[n + 6]! & 0x40) !== 0)));
    const csum = md ? (key.flags & 2) === 0 : this.udpcsum;
    // Not ip_local_port_range but 1..65535.
    const sport = udp_flow_src_port(skb_get_hash(skb), 1, 65535);
    const f = flowOut(ns);
    f.daddr = remote;
    f.saddr = md ? key.localIp4 : 0;
    f.tos = tos & 0x1c;
    f.mark = skb.mark;
    f.proto = 17;
    f.sport = sport;
    f.dport = this.dstport;
    const rt = remote === 0 ? null : tunnel_route_output(ns, skb, f);
    if (rt === null || rt.dev === this) {
      if (rt !== null) this.stats[COLLISIONS]!++;
      this.stats[TX_ERRORS]!++;
      kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
      return 0;
    }
    const saddr = f.saddr;
    const optLen = md ? key.optLen : 0;
    const mtu = dst_mtu(ns, rt) - GENEVE_HEADROOM - optLen;
    if (skb.tail - n > mtu) skb_dst_update_pmtu(ns, skb, n, mtu);
    // iptunnel_xmit counts from the inner network header.
    const innerLen = skb.tail - n;
    skb.data -= 8 + optLen;
    const d = skb.data;
    const b = skb.bytes;
    b[d] = optLen >> 2;
    b[d + 1] = 0;
    b[d + 2] = 0x65;
    b[d + 3] = 0x58;
    skb.view.setInt32(d + 4, vni << 8, false);
    for (let i = 0; i < optLen; i++) b[d + 8 + i] = key.opt[i]!;
    udp_tunnel_xmit(
      this,
      rt,
      skb,
      saddr,
      remote,
      ecn_encapsulate(tos, innerTos),
      ttl,
      df,
      sport,
      this.dstport,
      csum,
      innerLen,
      vni,
    );
    return 0;
  }
}

/** geneve_udp_encap_recv and geneve_rx. `skb.data` is the UDP header. */
function geneve_rcv(ns: Netns, skb: Skb, gs: GeneveSock): boolean {
  const o = skb.network;
  const h = skb.data + 8;
  const b = skb.bytes;
  const v = skb.view;
  if (skb.tail - h < 8 || b[h]! >> 6 !== 0) {
    kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
    return true;
  }
  const optLen = (b[h]! & 0x3f) * 4;
  const vni = v.getInt32(h + 4, false) >>> 8;
  const remote = v.getInt32(o + 12, true);
  let dev: GeneveDevice | null = null;
  for (const g of gs.devs) {
    if (g.collectMd) dev ??= g;
    else if (g.vni === vni && g.remote === remote) dev = g;
  }
  if (dev === null || v.getUint16(h + 2, false) !== 0x6558) {
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return true;
  }
  if ((b[h + 1]! & 0x40) !== 0 && !dev.collectMd) {
    // Critical options that nobody understands.
    dev.stats[RX_FRAME_ERRORS]!++;
    dev.stats[RX_ERRORS]!++;
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return true;
  }
  const outerTos = b[o + 1]!;
  const outerTtl = b[o + 8]!;
  const local = v.getInt32(o + 16, true);
  skb.data = h + 8 + optLen;
  if (skb.tail - skb.data < ETH_HLEN) {
    dev.stats[RX_ERRORS]!++;
    kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
    return true;
  }
  skb_scrub_packet(skb, false);
  skb.hash = 0;
  let own = true;
  for (let i = 0; i < 6; i++) if (b[skb.data + 6 + i] !== dev.mac[i]) own = false;
  if (own) {
    dev.stats[RX_ERRORS]!++;
    kfree_skb_reason(ns, skb, R.LOCAL_MAC);
    return true;
  }
  if (dev.collectMd) {
    const t = skb.tunnel;
    t.clear();
    t.present = true;
    t.id = vni;
    t.remoteIp4 = remote;
    t.localIp4 = local;
    t.tos = outerTos;
    t.ttl = outerTtl;
    for (let i = 0; i < optLen; i++) t.opt[i] = b[h + 8 + i]!;
    t.optLen = optLen;
  }
  eth_type_trans(skb, dev);
  if (ecn_decapsulate(skb, skb.data, skb.protocol, outerTos) > 1) {
    dev.stats[RX_FRAME_ERRORS]!++;
    dev.stats[RX_ERRORS]!++;
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return true;
  }
  if ((dev.flags & IFF_UP) === 0) {
    dev.stats[RX_DROPPED]!++;
    kfree_skb_reason(ns, skb, R.DEV_READY);
    return true;
  }
  dev.stats[RX_PACKETS]!++;
  dev.stats[RX_BYTES]! += skb.tail - skb.data;
  if (ns.recorder !== null) {
    skb.data = skb.mac;
    ns.recorder.step(Step.DECAP, skb, dev, vni, 0, 0);
    skb.data = skb.network;
  }
  netif_rx(skb);
  return true;
}
