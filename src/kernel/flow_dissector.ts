// skb_get_hash: the flow hash of a packet, after net/core/flow_dissector.c.

import type { Skb } from "../bpf/skb.js";
import { ETH_P_IP, ETH_P_IPV6 } from "./eth.js";

const rol = (x: number, k: number): number => (x << k) | (x >>> (32 - k));

/** jhash_3words (include/linux/jhash.h). */
export function jhash_3words(a: number, b: number, c: number, initval: number): number {
  const base = (0xdeadbeef + (3 << 2) + initval) | 0;
  a = (a + base) | 0;
  b = (b + base) | 0;
  c = (c + base) | 0;
  c ^= b;
  c = (c - rol(b, 14)) | 0;
  a ^= c;
  a = (a - rol(c, 11)) | 0;
  b ^= a;
  b = (b - rol(a, 25)) | 0;
  c ^= b;
  c = (c - rol(b, 16)) | 0;
  a ^= c;
  a = (a - rol(c, 4)) | 0;
  b ^= a;
  b = (b - rol(a, 14)) | 0;
  c ^= b;
  c = (c - rol(b, 24)) | 0;
  return c;
}

/**
 * skb->hash, computed over addresses, protocol and ports when it is 0. Symmetric: both directions of a flow give
 * the same number, as __flow_hash_consistentify does. `skb.network` must be set. Never 0 afterwards.
 * Differs from the kernel: jhash instead of siphash with a boot secret.
 */
export function skb_get_hash(skb: Skb): number {
  if (skb.hash !== 0) return skb.hash;
  const h = flow_hash(skb, skb.network, skb.protocol);
  skb.hash = h === 0 ? 1 : h;
  return skb.hash;
}

/** The symmetric flow hash of the packet whose network header is at `n`. */
export function flow_hash(skb: Skb, n: number, protocol: number): number {
  const v = skb.view;
  const end = skb.tail;
  let a = 0;
  let b = 0;
  let proto = 0;
  let l4 = 0;
  if (protocol === ETH_P_IP && end - n >= 20) {
    a = v.getInt32(n + 12, true);
    b = v.getInt32(n + 16, true);
    proto = skb.bytes[n + 9]!;
    if ((v.getUint16(n + 6, false) & 0x3fff) === 0) l4 = n + (skb.bytes[n]! & 15) * 4;
  } else if (protocol === ETH_P_IPV6 && end - n >= 40) {
    for (let i = 0; i < 16; i += 4) {
      a = (rol(a, 5) ^ v.getInt32(n + 8 + i, true)) | 0;
      b = (rol(b, 5) ^ v.getInt32(n + 24 + i, true)) | 0;
    }
    proto = skb.bytes[n + 6]!;
    l4 = n + 40;
  } else return 0;
  let sp = 0;
  let dp = 0;
  if (l4 !== 0 && end - l4 >= 4 && (proto === 6 || proto === 17 || proto === 132)) {
    sp = v.getUint16(l4, false);
    dp = v.getUint16(l4 + 2, false);
  }
  if (b >>> 0 < a >>> 0 || (a === b && dp < sp)) {
    const t = a;
    a = b;
    b = t;
    const p = sp;
    sp = dp;
    dp = p;
  }
  return jhash_3words(a, b, (sp << 16) | dp, proto);
}
