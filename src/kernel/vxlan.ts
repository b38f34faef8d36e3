// drivers/net/vxlan: Ethernet in UDP. Static and learned FDB, or (collect_md) the tunnel key of the packet.

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
import { ETH_P_IP, ETH_P_IPV6, eth_type_trans, macKey } from "./eth.js";
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
import { dst_mtu, flowOut, RTCF_LOCAL } from "./route.js";
import { kfree_skb_reason, skb_copy, skb_scrub_packet } from "./skbuff.js";
import type { UdpTunnel } from "./sock.js";

/** Outer IPv4, UDP, VXLAN, inner Ethernet. */
const VXLAN_HEADROOM = 20 + 8 + 8 + 14;
const VXLAN_HF_VNI = 0x08000000;

export interface VxlanOptions {
  readonly mac: Uint8Array;
  readonly mtu?: number;
  readonly vni?: number;
  /** Be32; 0 = by route. */
  readonly local?: number;
  /** Default destination, Be32; 0 = none. */
  readonly remote?: number;
  readonly link?: NetDevice | null;
  readonly dstport?: number;
  readonly learning?: boolean;
  readonly udpcsum?: boolean;
  /** 0 = the route's. */
  readonly ttl?: number;
  readonly ttlInherit?: boolean;
  /** 1 = inherit. */
  readonly tos?: number;
  /** unset, set, inherit. */
  readonly df?: string;
  /** `external`: destination and VNI come with each packet. */
  readonly collectMd?: boolean;
}

interface Remote {
  ip: number;
  learned: boolean;
  updatedNs: number;
}

/** The UDP socket of a port: shared by the devices of a namespace that use it. */
class VxlanSock implements UdpTunnel {
  readonly byVni = new Map<number, VxlanDevice>();
  md: VxlanDevice | null = null;

  constructor(readonly port: number) {}

  udpRcv(ns: Netns, skb: Skb): boolean {
    return vxlan_rcv(ns, skb, this);
  }
}

export class VxlanDevice extends NetDevice {
  override readonly kind = "vxlan";
  readonly vni: number;
  local: number;
  link: NetDevice | null;
  readonly dstport: number;
  learning: boolean;
  udpcsum: boolean;
  ttl: number;
  ttlInherit: boolean;
  tos: number;
  df: string;
  readonly collectMd: boolean;
  /** Destinations by MAC; 0 is the default (all-zero MAC). */
  readonly fdb = new Map<number, Remote[]>();
  /** Seconds. */
  ageing = 300;

  constructor(ns: Netns, name: string, o: VxlanOptions) {
    super(ns, name);
    this.setMac(o.mac);
    this.vni = o.vni ?? 0;
    this.local = o.local ?? 0;
    this.link = o.link ?? null;
    // vxlan_config_apply: not more than the device below carries.
    const max = this.link === null ? Number.POSITIVE_INFINITY : this.link.mtu - VXLAN_HEADROOM;
    this.mtu = Math.min(o.mtu ?? 1450, max);
    this.dstport = o.dstport ?? 4789;
    this.learning = o.learning ?? false;
    this.udpcsum = o.udpcsum ?? true;
    this.ttl = o.ttl ?? 0;
    this.ttlInherit = o.ttlInherit ?? false;
    this.tos = o.tos ?? 0;
    this.df = o.df ?? "unset";
    this.collectMd = o.collectMd ?? false;
    this.keepDst = true;
    this.neededHeadroom = ETH_HLEN + VXLAN_HEADROOM;
    if ((o.remote ?? 0) !== 0) this.fdb.set(0, [{ ip: o.remote!, learned: false, updatedNs: 0 }]);
  }

  /** `bridge fdb append MAC dev DEV dst IP`. */
  fdbAppend(mac: Uint8Array, ip: number): void {
    const k = macKey(mac, 0);
    const list = this.fdb.get(k) ?? [];
    if (!list.some((r) => r.ip === ip)) list.push({ ip, learned: false, updatedNs: 0 });
    this.fdb.set(k, list);
  }

  /** `bridge fdb del`. */
  fdbDelete(mac: Uint8Array): boolean {
    return this.fdb.delete(macKey(mac, 0));
  }

  override opened(): void {
    const t = this.ns.sockets.udpTunnels;
    let s = t.get(this.dstport);
    if (!(s instanceof VxlanSock)) {
      s = new VxlanSock(this.dstport);
      t.set(this.dstport, s);
    }
    const vs = s as VxlanSock;
    if (this.collectMd) vs.md = this;
    else vs.byVni.set(this.vni, this);
  }

  override stopped(): void {
    const t = this.ns.sockets.udpTunnels;
    const s = t.get(this.dstport);
    if (!(s instanceof VxlanSock)) return;
    if (this.collectMd) s.md = null;
    else s.byVni.delete(this.vni);
    if (s.md === null && s.byVni.size === 0) t.delete(this.dstport);
  }

  #find(k: number): Remote[] | undefined {
    const list = this.fdb.get(k);
    if (list === undefined || !list[0]!.learned) return list;
    if (this.ns.kernel.clock.ns > list[0]!.updatedNs + this.ageing * 1e9) {
      this.fdb.delete(k);
      return undefined;
    }
    return list;
  }

  /** vxlan_xmit. */
  override xmit(skb: Skb): number {
    const d = skb.data;
    if (skb.tail - d < ETH_HLEN) {
      this.stats[TX_DROPPED]!++;
      kfree_skb_reason(this.ns, skb, R.HDR_TRUNC);
      return 0;
    }
    if (this.collectMd) {
      const key = skb.tunnel;
      if (!key.present) {
        this.stats[TX_DROPPED]!++;
        kfree_skb_reason(this.ns, skb, R.TUNNEL_TXINFO);
        return 0;
      }
      this.#xmitOne(
        skb,
        key.remoteIp4,
        key.id,
        key.localIp4,
        key.ttl,
        key.tos,
        (key.flags & 4) !== 0,
        (key.flags & 2) === 0,
        true,
      );
      return 0;
    }
    let list = this.#find(macKey(skb.bytes, d));
    if (list === undefined) list = this.#find(0);
    if (list === undefined || list.length === 0) {
      this.stats[TX_DROPPED]!++;
      kfree_skb_reason(this.ns, skb, R.NO_TX_TARGET);
      return 0;
    }
    for (let i = 1; i < list.length; i++) this.#xmitCfg(skb_copy(this.ns.kernel, skb), list[i]!.ip);
    this.#xmitCfg(skb, list[0]!.ip);
    return 0;
  }

  #xmitCfg(skb: Skb, remote: number): void {
    const n = skb.data + ETH_HLEN;
    const proto = skb.view.getUint16(skb.data + 12, false);
    const ttl = this.ttlInherit ? inner_ttl(skb, n, proto) : this.ttl;
    const tos = this.tos === 1 ? inner_tos(skb, n, proto) : this.tos;
    const df =
      this.df === "set" ||
      (this.df === "inherit" &&
        (proto === ETH_P_IPV6 || (proto === ETH_P_IP && (skb.bytes[n + 6]! & 0x40) !== 0)));
    this.#xmitOne(skb, remote, this.vni, this.local, ttl, tos, df, this.udpcsum, false);
  }

  /** vxlan_xmit_one. */
  #xmitOne(
    skb: Skb,
    remote: number,
    vni: number,
    local: number,
    ttl: number,
    tos: number,
    df: boolean,
    csum: boolean,
    md: boolean,
  ): void {
    const ns = this.ns;
    const n = skb.data + ETH_HLEN;
    const proto = skb.view.getUint16(skb.data + 12, false);
    skb.network = n;
    skb.protocol = proto;
    const innerTos = inner_tos(skb, n, proto);
    const s = ns.sysctl;
    const sport = udp_flow_src_port(skb_get_hash(skb), s.ip_local_port_min, s.ip_local_port_max);
    const f = flowOut(ns);
    f.daddr = remote;
    f.saddr = local;
    f.tos = tos & 0x1c;
    f.mark = skb.mark;
    f.proto = 17;
    f.sport = sport;
    f.dport = this.dstport;
    f.oif = this.link?.ifindex ?? 0;
    const rt = remote === 0 ? null : tunnel_route_output(ns, skb, f);
    if (rt === null || rt.dev === this || (!md && (rt.rt_flags & RTCF_LOCAL) !== 0)) {
      if (rt !== null && rt.dev === this) this.stats[COLLISIONS]!++;
      this.stats[TX_ERRORS]!++;
      kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
      return;
    }
    const saddr = f.saddr;
    // skb_tunnel_check_pmtu: the inner route learns; the packet goes all the same.
    const mtu = dst_mtu(ns, rt) - VXLAN_HEADROOM;
    if (skb.tail - n > mtu) skb_dst_update_pmtu(ns, skb, n, mtu);
    // iptunnel_xmit counts from the inner network header.
    const innerLen = skb.tail - n;
    skb.data -= 8;
    const v = skb.view;
    v.setInt32(skb.data, VXLAN_HF_VNI, false);
    v.setInt32(skb.data + 4, vni << 8, false);
    udp_tunnel_xmit(
      this,
      rt,
      skb,
      saddr,
      remote,
      ecn_encapsulate(tos, innerTos),
      ttl !== 0 ? ttl : s.ip_default_ttl,
      df,
      sport,
      this.dstport,
      csum,
      innerLen,
      vni,
    );
  }

  /** vxlan_snoop: the sender of an inner frame lives behind `ip`. True: the frame is to be dropped. */
  snoop(b: Uint8Array, off: number, ip: number): boolean {
    const k = macKey(b, off);
    const now = this.ns.kernel.clock.ns;
    const list = this.fdb.get(k);
    if (list === undefined) {
      this.fdb.set(k, [{ ip, learned: true, updatedNs: now }]);
      return false;
    }
    const r = list[0]!;
    r.updatedNs = now;
    if (r.ip === ip) return false;
    // A static entry does not move; the packet is dropped.
    if (!r.learned) return true;
    r.ip = ip;
    return false;
  }
}

/** vxlan_rcv. `skb.data` is the UDP header; the outer IP header is at skb.network. */
function vxlan_rcv(ns: Netns, skb: Skb, vs: VxlanSock): boolean {
  const o = skb.network;
  const h = skb.data + 8;
  const v = skb.view;
  if (skb.tail - h < 8) {
    kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
    return true;
  }
  const flags = v.getInt32(h, false);
  const word = v.getInt32(h + 4, false);
  if ((flags & VXLAN_HF_VNI) === 0) {
    kfree_skb_reason(ns, skb, R.VXLAN_INVALID_HDR);
    return true;
  }
  const vni = word >>> 8;
  const dev = vs.byVni.get(vni) ?? vs.md;
  if (dev === null || dev === undefined) {
    kfree_skb_reason(ns, skb, R.VXLAN_VNI_NOT_FOUND);
    return true;
  }
  if (flags !== VXLAN_HF_VNI || (word & 0xff) !== 0) {
    dev.stats[RX_FRAME_ERRORS]!++;
    dev.stats[RX_ERRORS]!++;
    kfree_skb_reason(ns, skb, R.VXLAN_INVALID_HDR);
    return true;
  }
  const remote = v.getInt32(o + 12, true);
  const local = v.getInt32(o + 16, true);
  const outerTos = skb.bytes[o + 1]!;
  const outerTtl = skb.bytes[o + 8]!;
  skb.data = h + 8;
  if (skb.tail - skb.data < ETH_HLEN) {
    dev.stats[RX_ERRORS]!++;
    kfree_skb_reason(ns, skb, R.PKT_TOO_SMALL);
    return true;
  }
  skb_scrub_packet(skb, false);
  skb.hash = 0;
  const b = skb.bytes;
  const src = skb.data + 6;
  let own = true;
  for (let i = 0; i < 6; i++) if (b[src + i] !== dev.mac[i]) own = false;
  if (own) {
    kfree_skb_reason(ns, skb, R.LOCAL_MAC);
    return true;
  }
  if ((b[src]! & 1) !== 0) {
    kfree_skb_reason(ns, skb, R.MAC_INVALID_SOURCE);
    return true;
  }
  if (dev.learning && dev.snoop(b, src, remote)) {
    kfree_skb_reason(ns, skb, R.VXLAN_ENTRY_EXISTS);
    return true;
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
  if (dev.collectMd) {
    const t = skb.tunnel;
    t.clear();
    t.present = true;
    t.id = vni;
    t.remoteIp4 = remote;
    t.localIp4 = local;
    t.tos = outerTos;
    t.ttl = outerTtl;
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
