// cilium_policystats: packets and bytes by policy entry (bpf/lib/policy.h, struct policy_stats_key).
//
//   key    0 2 endpoint_id   2 1 -   3 1 prefix_len (0..24)   4 4 sec_label   8 1 egress   9 1 protocol   10 2 dport
//   value  0 8 packets   8 8 bytes   (for each CPU)

import type { LruPercpuHashMap } from "./percpu_map.js";
import { addU64 } from "./percpu_map.js";
import type { MapSpec } from "./spec.js";

export const POLICYSTATS_SPEC: MapSpec = {
  name: "cilium_policystats",
  type: "lru_percpu_hash",
  keySize: 12,
  valueSize: 16,
  maxEntries: 65536,
};

/** struct policy_stats_key */
export class PolicyStatsKey {
  readonly words = new Int32Array(3);

  /** Protocol and port are wildcarded down to what `prefixLen` covers. */
  set(
    endpointId: number,
    prefixLen: number,
    secLabel: number,
    egress: number,
    protocol: number,
    dport: number,
  ): this {
    const w = this.words;
    w[0] = (endpointId & 0xffff) | (prefixLen << 24);
    w[1] = secLabel;
    let l4 = 0;
    if (prefixLen >= 8) {
      l4 = protocol << 8;
      if (prefixLen > 8) l4 |= maskPortBe(dport, prefixLen - 8) << 16;
    }
    w[2] = egress | l4;
    return this;
  }
}

/** The first `bits` bits of a Be16. */
export function maskPortBe(dport: number, bits: number): number {
  if (bits >= 16) return dport;
  if (bits <= 8) return dport & ((0xff00 >> bits) & 0xff);
  return dport & (0xff | (((0xff00 >> (bits - 8)) & 0xff) << 8));
}

const ONE = new Int32Array(4);

/** Adds one packet of `bytes` bytes to the counters of the running CPU. */
export function policyStatsAdd(map: LruPercpuHashMap, key: PolicyStatsKey, bytes: number): void {
  const slot = map.lookup(key.words);
  if (slot >= 0) {
    const at = map.cpuWord(slot);
    addU64(map.words, at, 1);
    addU64(map.words, at + 2, bytes);
    return;
  }
  ONE[0] = 1;
  ONE[2] = bytes;
  map.update(key.words, ONE, 0);
}
