// struct net_device and what hangs on it: addresses (in_device), per-device sysctls, neighbour parameters,
// programs, taps and counters. Drivers (veth, wire, bridge, vxlan ...) extend NetDevice.

import type { Program } from "../bpf/program.js";
import type { Skb } from "../bpf/skb.js";
import type { BridgePort } from "./bridge.js";
import type { Neighbour } from "./neighbour.js";
import type { Netns } from "./netns.js";
import { IpConf } from "./sysctl.js";

export const IFF_UP = 1;
export const IFF_BROADCAST = 2;
export const IFF_LOOPBACK = 8;
export const IFF_POINTOPOINT = 0x10;
export const IFF_NOARP = 0x80;
export const IFF_PROMISC = 0x100;
export const IFF_MULTICAST = 0x1000;

export const ARPHRD_ETHER = 1;
export const ARPHRD_TUNNEL = 768;
export const ARPHRD_LOOPBACK = 772;
export const ARPHRD_NONE = 0xfffe;

/** Ethernet header length. */
export const ETH_HLEN = 14;

/** Indexes into NetDevice.stats. */
export const RX_PACKETS = 0;
export const RX_BYTES = 1;
export const RX_DROPPED = 2;
export const RX_ERRORS = 3;
export const TX_PACKETS = 4;
export const TX_BYTES = 5;
export const TX_DROPPED = 6;
export const TX_ERRORS = 7;
export const COLLISIONS = 8;
export const RX_FRAME_ERRORS = 9;
export const MULTICAST = 10;

/** NEIGH_VAR: net.ipv4.neigh.<dev>. Times in ms unless said otherwise. */
export class NeighParms {
  base_reachable_time = 30_000;
  /** Seconds. */
  delay_first_probe_time = 5;
  retrans_time = 1000;
  mcast_solicit = 3;
  ucast_solicit = 3;
  app_solicit = 0;
  mcast_resolicit = 0;
  unres_qlen_bytes = 212_992;
  proxy_qlen = 64;
  /** Hundredths of a second. */
  proxy_delay = 80;
  /** Seconds. */
  gc_stale_time = 60;
  /** Hundredths of a second. */
  locktime = 100;
  /** Hundredths of a second. */
  anycast_delay = 100;
  /** reachable_time, ns: re-drawn every 300 s in the kernel, here when first used. */
  reachableNs = 0;

  copyFrom(p: NeighParms): void {
    Object.assign(this, p);
    this.reachableNs = 0;
  }
}

/** struct in_ifaddr. Addresses are Be32. */
export interface InAddr {
  readonly local: number;
  /** ifa_address: the peer of a point-to-point address, else `local`. */
  readonly address: number;
  readonly prefixLen: number;
  readonly broadcast: number;
  /** RT_SCOPE_*. */
  readonly scope: number;
  readonly label: string;
  secondary: boolean;
  readonly metric: number;
}

/** An IPv6 address of a device. */
export interface In6Addr {
  readonly bytes: Uint8Array;
  readonly prefixLen: number;
  readonly scope: number;
}

/** Sees every frame that enters or leaves a device, where tcpdump would. */
export interface Tap {
  /** The frame is `skb.bytes[from .. skb.tail)`; it must not be kept or changed. */
  packet(dev: NetDevice, skb: Skb, from: number, outgoing: boolean): void;
}

export abstract class NetDevice {
  readonly ifindex: number;
  readonly mac = new Uint8Array(6);
  /** The MAC as numbers, for comparing: first four bytes big-endian (int32), last two. */
  macHi = 0;
  macLo = 0;
  readonly broadcast: Uint8Array = new Uint8Array([255, 255, 255, 255, 255, 255]);
  mtu = 1500;
  flags = IFF_BROADCAST | IFF_MULTICAST;
  /** ARPHRD_*. */
  type = ARPHRD_ETHER;
  /** hard_header_len as far as it is a link-layer header that `data` includes: 14 or 0. */
  hardHeaderLen = ETH_HLEN;
  /** What `ip -d link` calls the kind: veth, bridge, vxlan ... */
  abstract readonly kind: string;
  master: NetDevice | null = null;
  /** Set on ports of a bridge: the rx handler. */
  brPort: BridgePort | null = null;
  readonly conf = new IpConf();
  readonly arpParms = new NeighParms();
  readonly ndParms = new NeighParms();
  /** in_dev->ifa_list, primaries first. */
  readonly addrs: InAddr[] = [];
  readonly addrs6: In6Addr[] = [];
  /** ARP entries, by Be32 address. */
  readonly arp = new Map<number, Neighbour>();
  /** NDP entries. */
  readonly nd: Neighbour[] = [];
  /** Addresses of static proxy entries (`ip neigh add proxy`), Be32. */
  readonly proxyNeigh = new Set<number>();
  readonly stats = new Float64Array(11);
  xdp: Program | null = null;
  tc_ingress: Program | null = null;
  tc_egress: Program | null = null;
  taps: Tap[] | null = null;
  /** tunnel devices: dst is not kept (IFF_XMIT_DST_RELEASE is set on all others). */
  keepDst = false;
  /** dev->needed_headroom: what a tunnel puts in front of a packet; most packets lack the room. */
  neededHeadroom = 0;
  /** Segmentation offload: GSO packets pass uncut. Off, as after `ethtool -K ... tso off gso off`. */
  gso = false;
  /** A fallback device (tunl0), which cannot be deleted. */
  fallback = false;
  /** It was up once: its queueing discipline was attached. */
  wasUp = false;
  /** Carrier; a veth has it when its peer is up. */
  carrier = true;
  /** Nested transmissions on this device; > 0 is a loop. */
  xmitDepth = 0;

  constructor(
    readonly ns: Netns,
    readonly name: string,
    ifindex = 0,
  ) {
    this.ifindex = ns.register(this, ifindex);
    this.conf.copyFrom(ns.confDefault);
    this.arpParms.copyFrom(ns.neighDefault);
    this.ndParms.copyFrom(ns.neigh6Default);
  }

  /** ndo_start_xmit: takes the packet. Returns 0 (NETDEV_TX_OK) also when it dropped it. */
  abstract xmit(skb: Skb): number;

  /** ndo_open: the device came up. */
  opened(): void {}

  /** ndo_stop: it went down. */
  stopped(): void {}

  /** ndo_get_peer_dev. */
  peerDev(): NetDevice | null {
    return null;
  }

  get up(): boolean {
    return (this.flags & IFF_UP) !== 0;
  }

  setMac(mac: Uint8Array): void {
    this.mac.set(mac);
    this.macHi = (mac[0]! << 24) | (mac[1]! << 16) | (mac[2]! << 8) | mac[3]!;
    this.macLo = (mac[4]! << 8) | mac[5]!;
    this.ns.rtGenid++;
  }

  addTap(tap: Tap): void {
    this.taps = this.taps === null ? [tap] : [...this.taps, tap];
  }

  removeTap(tap: Tap): void {
    if (this.taps === null) return;
    const rest = this.taps.filter((t) => t !== tap);
    this.taps = rest.length === 0 ? null : rest;
  }
}
