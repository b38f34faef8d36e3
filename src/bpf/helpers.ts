// The helpers that programs may call, after linux/bpf.h. Programs see the world only through the skb, the maps
// and this interface; src/kernel implements it for a lab, src/conformance for recorded runs, tests as they like.

import type { FibLookup } from "./fib_lookup.js";
import type { Skb, TunnelKey } from "./skb.js";

/** bpf_redirect: re-inject at the ingress of the device instead of transmitting on it. */
export const BPF_F_INGRESS = 1;
/** bpf_skb_set_tunnel_key / get: addresses are IPv6. */
export const BPF_F_TUNINFO_IPV6 = 1;
/** bpf_skb_set_tunnel_key: outer UDP checksum 0. */
export const BPF_F_ZERO_CSUM_TX = 2;
/** bpf_skb_set_tunnel_key: outer DF. */
export const BPF_F_DONT_FRAGMENT = 4;

/** Address family numbers of Linux. */
export const AF_INET = 2;
export const AF_INET6 = 10;

/** struct bpf_redir_neigh: the next hop that redirect_neigh shall use instead of a route look-up. */
export class RedirNeigh {
  nhFamily = AF_INET;
  /** Be32. */
  ipv4 = 0;
  readonly ipv6 = new Uint8Array(16);
}

/** A socket found by `sk_lookup`; opaque to programs. */
export type SockRef = object;

/** One instance per node (or per recorded run). Return values are those of the C helpers: 0 or a negative errno. */
export interface Helpers {
  /** Monotonic nanoseconds. Allocates a heap number when not inlined: prefer `ktime_get_sec` where seconds do. */
  ktime_get_ns(): number;
  /** Whole monotonic seconds, ktime_get_ns() / 10^9. */
  ktime_get_sec(): number;
  /** jiffies64 >> 8, the unit of conntrack lifetimes when enable_jiffies is set. */
  jiffies_shr8(): number;
  /** 32 random bits as int32. */
  get_prandom_u32(): number;
  get_smp_processor_id(): number;
  /** skb->hash, computed first if it is 0 (bpf_get_hash_recalc). */
  get_hash_recalc(skb: Skb): number;

  /** All redirects return TC_ACT_REDIRECT (7) or TC_ACT_SHOT (2); they take effect when the program returns 7. */
  redirect(skb: Skb, ifindex: number, flags: number): number;
  redirect_peer(skb: Skb, ifindex: number, flags: number): number;
  redirect_neigh(skb: Skb, ifindex: number, nh: RedirNeigh | null, flags: number): number;
  /** XDP's redirect to the device `ifindex`: XDP_REDIRECT, or XDP_TX when that is the device it came from. */
  xdp_redirect(skb: Skb, ifindex: number, flags: number): number;

  /** BPF_FIB_LKUP_RET_* or a negative errno; `params` is changed in place. */
  fib_lookup(skb: Skb, params: FibLookup, flags: number): number;

  skb_set_tunnel_key(skb: Skb, key: TunnelKey, flags: number): number;
  /** Fills `key`; negative when the packet has no tunnel metadata. */
  skb_get_tunnel_key(skb: Skb, key: TunnelKey, flags: number): number;
  /** Geneve options for transmission: `len` bytes of `opt`. */
  skb_set_tunnel_opt(skb: Skb, opt: Uint8Array, len: number): number;
  /** Received Geneve options into `opt`: their length, or a negative errno. */
  skb_get_tunnel_opt(skb: Skb, opt: Uint8Array, size: number): number;

  /** skb->pkt_type = type. */
  skb_change_type(skb: Skb, type: number): number;
  /** Changes the length at the tail; the new bytes are zero. */
  skb_change_tail(skb: Skb, len: number, flags: number): number;
  /** `len` more bytes at the front (an L2 header for an L3 device). */
  skb_change_head(skb: Skb, len: number, flags: number): number;
  /** bpf_skb_adjust_room with BPF_ADJ_ROOM_MAC: grows (or shrinks) behind the Ethernet header by `delta` bytes. */
  skb_adjust_room(skb: Skb, delta: number, mode: number, flags: number): number;

  /** Socket for the tuple in the skb's namespace, or null (bpf_skc_lookup_tcp / bpf_sk_lookup_udp). */
  sk_lookup(
    skb: Skb,
    proto: number,
    saddr: number,
    daddr: number,
    sport: number,
    dport: number,
  ): SockRef | null;
  /** bpf_sk_assign. */
  sk_assign(skb: Skb, sk: SockRef): number;
  /** Cookie of the namespace the program runs in; of the socket's one for cgroup hooks. */
  get_netns_cookie(skb: Skb | null): number;
}
