// net/ipv4/ipip.c and ip_tunnel.c: IPv4 in IPv4, named tunnels and the fallback device tunl0.

import type { Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import { netif_rx } from "./dev.js";
import {
  ARPHRD_TUNNEL,
  COLLISIONS,
  IFF_NOARP,
  IFF_POINTOPOINT,
  IFF_UP,
  NetDevice,
  RX_BYTES,
  RX_ERRORS,
  RX_FRAME_ERRORS,
  RX_PACKETS,
  TX_ERRORS,
} from "./device.js";
import * as R from "./drop_reason.js";
import { ETH_P_IP, ETH_P_IPV6 } from "./eth.js";
import {
  ICMP_DEST_UNREACH,
  ICMP_FRAG_NEEDED,
  ICMP_PORT_UNREACH,
  icmp_link_failure,
  icmp_ndo_send,
  icmp_send,
} from "./icmp.js";
import {
  ecn_decapsulate,
  ecn_encapsulate,
  inner_tos,
  inner_ttl,
  iptunnel_xmit,
  skb_dst_update_pmtu,
  tunnel_route_output,
} from "./ip_tunnel_core.js";
import type { Netns } from "./netns.js";
import { dst_mtu, flowOut, ipv4_update_pmtu, type Rtable } from "./route.js";
import { kfree_skb_reason, skb_scrub_packet, skb_set_dev } from "./skbuff.js";

const BPF_F_DONT_FRAGMENT = 4;
/** IPTUNNEL_ERR_TIMEO. */
const ERR_TIMEO_NS = 30e9;

export interface IpipOptions {
  /** Be32; 0 = any. */
  readonly local?: number;
  readonly remote?: number;
  readonly link?: NetDevice | null;
  /** `external`: destination, TTL and TOS of each packet come from its tunnel key. */
  readonly collectMd?: boolean;
}

export class IpipDevice extends NetDevice {
  override readonly kind = "ipip";
  local: number;
  remote: number;
  link: NetDevice | null;
  readonly collectMd: boolean;
  /** 0 = inherit. */
  ttl = 0;
  /** 1 = inherit. */
  tos = 0;
  /** Outer DF always set. */
  pmtudisc = false;
  #errCount = 0;
  #errNs = -ERR_TIMEO_NS;

  constructor(ns: Netns, name: string, o: IpipOptions = {}) {
    super(ns, name);
    this.local = o.local ?? 0;
    this.remote = o.remote ?? 0;
    this.link = o.link ?? null;
    this.collectMd = o.collectMd ?? false;
    this.type = ARPHRD_TUNNEL;
    this.hardHeaderLen = 0;
    this.mtu = 1480;
    this.flags = IFF_NOARP | (this.remote !== 0 ? IFF_POINTOPOINT : 0);
    this.keepDst = true;
    this.neededHeadroom = 14 + 20;
    tunnels(ns).push(this);
    ns.sockets.hasTunnel4 = true;
  }

  configure(o: { ttl?: number; tos?: number; pmtudisc?: boolean }): void {
    if (o.ttl !== undefined) this.ttl = o.ttl;
    if (o.tos !== undefined) this.tos = o.tos;
    if (o.pmtudisc !== undefined) this.pmtudisc = o.pmtudisc;
  }

  #txError(skb: Skb): number {
    this.stats[TX_ERRORS]!++;
    kfree_skb_reason(this.ns, skb, R.NOT_SPECIFIED);
    return 0;
  }

  /** ipip_tunnel_xmit and ip_tunnel_xmit. */
  override xmit(skb: Skb): number {
    const ns = this.ns;
    const n = skb.data;
    skb.network = n;
    const b = skb.bytes;
    const v = skb.view;
    if (skb.protocol !== ETH_P_IP || skb.tail - n < 20) return this.#txError(skb);
    if (this.collectMd) return this.#xmitMd(skb, n);
    let dst = this.remote;
    const rtIn = skb.dst as Rtable | null;
    if (dst === 0) {
      // NBMA: the gateway of the route, else the inner destination.
      if (rtIn === null) return this.#txError(skb);
      dst = rtIn.rt_gw !== 0 ? rtIn.rt_gw : v.getInt32(n + 16, true);
    }
    const innerTos = inner_tos(skb, n, ETH_P_IP);
    let tos = this.tos;
    if ((tos & 1) !== 0) tos = innerTos;
    const f = flowOut(ns);
    f.daddr = dst;
    f.saddr = this.local;
    f.tos = tos & 0x1c;
    f.proto = 4;
    f.oif = this.link?.ifindex ?? 0;
    const rt = tunnel_route_output(ns, skb, f);
    if (rt === null) return this.#txError(skb);
    if (rt.dev === this) {
      this.stats[COLLISIONS]!++;
      return this.#txError(skb);
    }
    const innerDf = (b[n + 6]! & 0x40) !== 0;
    const df = this.pmtudisc || innerDf;
    const saddr = f.saddr;
    const daddr = f.daddr;
    // tnl_update_pmtu
    const len = skb.tail - n;
    const mtu = df ? dst_mtu(ns, rt) - 20 : rtIn !== null ? dst_mtu(ns, rtIn) : this.mtu;
    skb_dst_update_pmtu(ns, skb, n, mtu);
    if (innerDf && mtu < len && skb.gsoSize === 0) {
      icmp_ndo_send(ns, skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtu);
      return this.#txError(skb);
    }
    if (this.#errCount > 0) {
      if (ns.kernel.clock.ns < this.#errNs + ERR_TIMEO_NS) {
        this.#errCount--;
        icmp_link_failure(ns, skb);
      } else this.#errCount = 0;
    }
    const ttl = this.ttl !== 0 ? this.ttl : inner_ttl(skb, n, ETH_P_IP);
    iptunnel_xmit(this, rt, skb, saddr, daddr, 4, ecn_encapsulate(tos, innerTos), ttl, df, len, 0);
    return 0;
  }

  /** ip_md_tunnel_xmit: by the tunnel key of the packet; DF as it asks, else as the inner packet has it. */
  #xmitMd(skb: Skb, n: number): number {
    const ns = this.ns;
    const key = skb.tunnel;
    if (!key.present) return this.#txError(skb);
    const innerTos = inner_tos(skb, n, ETH_P_IP);
    const tos = key.tos === 1 ? innerTos : key.tos;
    const f = flowOut(ns);
    f.daddr = key.remoteIp4;
    f.saddr = key.localIp4;
    f.tos = tos & 0x1c;
    f.proto = 4;
    const rt = tunnel_route_output(ns, skb, f);
    if (rt === null) return this.#txError(skb);
    if (rt.dev === this) {
      this.stats[COLLISIONS]!++;
      return this.#txError(skb);
    }
    const innerDf = (skb.bytes[n + 6]! & 0x40) !== 0;
    const df = (key.flags & BPF_F_DONT_FRAGMENT) !== 0 || innerDf;
    const len = skb.tail - n;
    const mtu = dst_mtu(ns, rt) - 20;
    if (innerDf && mtu < len && skb.gsoSize === 0) {
      icmp_ndo_send(ns, skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtu);
      return this.#txError(skb);
    }
    const ttl = key.ttl !== 0 ? key.ttl : inner_ttl(skb, n, ETH_P_IP);
    iptunnel_xmit(this, rt, skb, f.saddr, f.daddr, 4, ecn_encapsulate(tos, innerTos), ttl, df, len, 0);
    return 0;
  }

  /** The end of ipip_err for errors that the tunnel passes on with the next packet. */
  noteError(type: number): void {
    if (this.remote === 0 || (this.ttl === 0 && type === 11)) return;
    const now = this.ns.kernel.clock.ns;
    if (now < this.#errNs + ERR_TIMEO_NS) this.#errCount++;
    else this.#errCount = 1;
    this.#errNs = now;
  }

  override stopped(): void {
    this.#errCount = 0;
  }
}

const all = new WeakMap<Netns, IpipDevice[]>();

function tunnels(ns: Netns): IpipDevice[] {
  let t = all.get(ns);
  if (t === undefined) {
    t = [];
    all.set(ns, t);
  }
  return t;
}

/** tunl0 of a namespace: the fallback device, made (down) when the ipip module meets the namespace. */
export function ipip_fallback(ns: Netns): IpipDevice {
  const have = ns.devByName("tunl0");
  if (have instanceof IpipDevice) return have;
  const d = new IpipDevice(ns, "tunl0");
  d.fallback = true;
  return d;
}

/** A tunnel device was deleted. */
export function ipip_forget(dev: IpipDevice): void {
  const t = tunnels(dev.ns);
  const at = t.indexOf(dev);
  if (at >= 0) t.splice(at, 1);
}

/** Nothing to do after a topology is built; tells which of the namespaces take protocol 4. */
export function ipip_namespaces(list: Iterable<Netns>): number {
  let n = 0;
  for (const ns of list) if (ns.sockets.hasTunnel4) n++;
  return n;
}

/** ip_tunnel_lookup: the most specific tunnel that is up, then the one that takes any, then tunl0. */
function lookup(ns: Netns, remote: number, local: number): IpipDevice | null {
  let byRemote: IpipDevice | null = null;
  let byLocal: IpipDevice | null = null;
  let md: IpipDevice | null = null;
  let fb: IpipDevice | null = null;
  const list = tunnels(ns);
  for (let i = 0; i < list.length; i++) {
    const t = list[i]!;
    if ((t.flags & IFF_UP) === 0) continue;
    if (t.fallback) {
      fb = t;
      continue;
    }
    if (t.collectMd) {
      md = t;
      continue;
    }
    if (t.remote === remote && t.local === local) return t;
    if (t.remote === remote && t.local === 0) byRemote ??= t;
    else if (t.remote === 0 && t.local === local) byLocal ??= t;
  }
  return byRemote ?? byLocal ?? md ?? fb;
}

/** tunnel4_rcv: protocol 4. `skb.data` is the inner header, `skb.network` the outer one. */
export function tunnel4_rcv(ns: Netns, skb: Skb): void {
  if (skb.tail - skb.data < 20) {
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  const o = skb.network;
  const t = lookup(ns, skb.view.getInt32(o + 12, true), skb.view.getInt32(o + 16, true));
  if (t === null) {
    icmp_send(ns, skb, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0);
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  ip_tunnel_rcv(ns, skb, t, ETH_P_IP);
}

/** tunnel64_rcv: protocol 41; no sit device is modelled. */
export function tunnel64_rcv(ns: Netns, skb: Skb): void {
  icmp_send(ns, skb, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0);
  kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
}

/** ip_tunnel_rcv: ECN, counters, scrub; the inner packet is received on the tunnel device. */
function ip_tunnel_rcv(ns: Netns, skb: Skb, t: IpipDevice, proto: number): void {
  const outerTos = skb.bytes[skb.network + 1]!;
  skb.network = skb.data;
  if (ecn_decapsulate(skb, skb.data, proto, outerTos) > 1) {
    t.stats[RX_FRAME_ERRORS]!++;
    t.stats[RX_ERRORS]!++;
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  t.stats[RX_PACKETS]!++;
  t.stats[RX_BYTES]! += skb.tail - skb.data;
  skb_scrub_packet(skb, false);
  skb.hash = 0;
  skb_set_dev(skb, t);
  skb.protocol = proto === ETH_P_IPV6 ? ETH_P_IPV6 : ETH_P_IP;
  skb.mac = skb.data;
  if (ns.recorder !== null) ns.recorder.step(Step.DECAP, skb, t, 0, 0, 0);
  netif_rx(skb);
}

/** ipip_err: an ICMP error about an outer packet, quoted at `q`. */
export function ipip_err(ns: Netns, skb: Skb, q: number, type: number, code: number, info: number): void {
  const v = skb.view;
  const t = lookup(ns, v.getInt32(q + 16, true), v.getInt32(q + 12, true));
  if (t === null) return;
  if (type === ICMP_DEST_UNREACH) {
    if (code === 5) return;
    if (code === ICMP_FRAG_NEEDED) {
      ipv4_update_pmtu(
        ns,
        v.getInt32(q + 16, true),
        v.getInt32(q + 12, true),
        skb.bytes[q + 1]!,
        4,
        0,
        info,
        false,
      );
      return;
    }
  } else if (type === 11) {
    if (code !== 0) return;
  } else return;
  t.noteError(type);
}
