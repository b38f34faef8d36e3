// The flow hash of a packet and what the kernel derives from it, after net/core/flow_dissector.c (__skb_get_hash),
// net/ipv4/route.c (fib_multipath_hash) and include/net/udp_tunnel.h (udp_flow_src_port).
//
// Differs from the kernel: there the keyed function is SipHash with a key drawn at boot (jhash2 until 5.5); here it
// is jhash2 with a given seed, so that the same scenario gives the same hash. Which fields enter, and that both
// directions of a flow hash alike, is as in the kernel.

import { dissect, dissectFrame, FLOW_DISSECTOR_F_STOP_AT_FLOW_LABEL, FlowKeys } from "./dissect.js";
import { jhash2 } from "./jhash.js";

/** Net's default port range for senders without a bound port (ip_local_port_range). */
export const LOCAL_PORT_MIN = 32768;
export const LOCAL_PORT_MAX = 60999;

const scratch = new FlowKeys();
// n_proto and ip_proto, flow label, vlan, GRE key, ports, then 2 or 8 words of addresses.
const words = new Int32Array(13);

/** True if the address in words [4,8) sorts before the one in [0,4), compared byte by byte (memcmp). */
function dstBeforeSrc6(v6: Int32Array): boolean {
  for (let i = 0; i < 4; i++) {
    const s = v6[i]!;
    const d = v6[4 + i]!;
    if (s === d) continue;
    for (let sh = 0; sh < 32; sh += 8) {
      const sb = (s >>> sh) & 0xff;
      const db = (d >>> sh) & 0xff;
      if (sb !== db) return db < sb;
    }
  }
  return false;
}

/**
 * Hash of flow keys (flow_hash_from_keys): never 0, and the same for both directions, because the smaller address
 * and the smaller port are put first (__flow_hash_consistentify).
 */
export function flowHashFromKeys(k: FlowKeys, seed: number): number {
  words[0] = k.nProto | (k.ipProto << 16);
  words[1] = k.flowLabel;
  words[2] = k.vlanTci;
  words[3] = k.keyid;
  words[4] = k.dport < k.sport ? (k.sport << 16) | k.dport : (k.dport << 16) | k.sport;
  let n = 5;
  if (k.family === 4) {
    const swap = k.daddr >>> 0 < k.saddr >>> 0;
    words[5] = swap ? k.daddr : k.saddr;
    words[6] = swap ? k.saddr : k.daddr;
    n = 7;
  } else if (k.family === 6) {
    const swap = dstBeforeSrc6(k.v6);
    for (let i = 0; i < 8; i++) words[5 + i] = k.v6[swap ? (i + 4) & 7 : i]!;
    n = 13;
  }
  const h = jhash2(words, 0, n, seed);
  return h === 0 ? 1 : h;
}

/** skb_get_hash of the Ethernet frame in [off, end): int32, never 0. */
export function frameHash(view: DataView, off: number, end: number, seed: number): number {
  dissectFrame(view, off, end, scratch, FLOW_DISSECTOR_F_STOP_AT_FLOW_LABEL);
  return flowHashFromKeys(scratch, seed);
}

/** skb_get_hash of the packet of EtherType `proto` whose network header is at `off`: int32, never 0. */
export function packetHash(view: DataView, off: number, end: number, proto: number, seed: number): number {
  dissect(view, off, end, proto, scratch, FLOW_DISSECTOR_F_STOP_AT_FLOW_LABEL);
  return flowHashFromKeys(scratch, seed);
}

/**
 * Source port of a UDP tunnel's outer header from the inner packet's hash (udp_flow_src_port), host order, in
 * [min, max). Only the upper half of the product counts, hence the folding.
 */
export function udp_flow_src_port(hash: number, min: number, max: number): number {
  const h = (hash ^ (hash << 16)) >>> 0;
  return Math.floor((h * (max - min)) / 0x1_0000_0000) + min;
}

/** fib_multipath_hash_policy 0: addresses alone; 1: addresses, protocol and ports. */
export const FIB_MULTIPATH_L3 = 0;
export const FIB_MULTIPATH_L4 = 1;

const mp = new FlowKeys();

/** Hash that picks a next hop of a multipath route (fib_multipath_hash): 31 bits. */
export function fibMultipathHash(k: FlowKeys, policy: number, seed: number): number {
  mp.clear();
  mp.family = k.family;
  mp.saddr = k.saddr;
  mp.daddr = k.daddr;
  for (let i = 0; i < 8; i++) mp.v6[i] = k.v6[i]!;
  if (policy === FIB_MULTIPATH_L3) {
    // IPv6 also takes the label and the protocol (ip6_multipath_l3_keys).
    if (k.family === 6) {
      mp.flowLabel = k.flowLabel;
      mp.ipProto = k.ipProto;
    }
  } else {
    mp.ipProto = k.ipProto;
    mp.sport = k.sport;
    mp.dport = k.dport;
  }
  return flowHashFromKeys(mp, seed) >>> 1;
}

/**
 * Upper bounds of next hops with these weights, for `fibSelectMultipath` (fib_rebalance): the hop is the first
 * whose bound is not below the hash. A weight of 0 gives -1: never chosen.
 */
export function fibUpperBounds(weights: readonly number[]): Int32Array {
  const total = weights.reduce((s, w) => s + w, 0);
  const out = new Int32Array(weights.length);
  let w = 0;
  weights.forEach((weight, i) => {
    w += weight;
    out[i] = weight === 0 ? -1 : Math.floor((w * 0x8000_0000 + (total >> 1)) / total) - 1;
  });
  return out;
}

/** Index of the next hop for a 31-bit hash (fib_select_multipath); -1 if none is usable. */
export function fibSelectMultipath(bounds: Int32Array, hash: number): number {
  for (let i = 0; i < bounds.length; i++) if (hash <= bounds[i]!) return i;
  return -1;
}
