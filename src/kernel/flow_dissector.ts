// skb_get_hash: the flow hash of a packet, kept in skb->hash.

import type { Skb } from "../bpf/skb.js";
import { packetHash } from "../net/skb_hash.js";

export { jhash_3words } from "../net/jhash.js";

/** Stands for the secret that a kernel draws at boot. */
const HASH_SEED = 0;

/**
 * skb->hash, computed when it is 0: symmetric, as __flow_hash_consistentify makes it. `skb.network` and
 * `skb.protocol` must be set. Never 0 afterwards.
 */
export function skb_get_hash(skb: Skb): number {
  if (skb.hash !== 0) return skb.hash;
  const h = packetHash(skb.view, skb.network, skb.tail, skb.protocol, HASH_SEED);
  skb.hash = h === 0 ? 1 : h;
  return skb.hash;
}
