// cilium_ratelimit: token buckets of events and ICMPv6 answers (bpf/lib/ratelimit.h), and how much they held back.
//
//   key    0 4 usage   4 4 netdev index;   value  0 8 last_topup (ns)   8 8 tokens
//   cilium_ratelimit_metrics: key 0 4 usage;   value 0 8 dropped

import type { MapSpec } from "./spec.js";

export const RATELIMIT_SPEC: MapSpec = {
  name: "cilium_ratelimit",
  type: "lru_hash",
  keySize: 8,
  valueSize: 16,
  maxEntries: 1024,
};
export const RATELIMIT_METRICS_SPEC: MapSpec = {
  name: "cilium_ratelimit_metrics",
  type: "hash",
  keySize: 4,
  valueSize: 8,
  maxEntries: 64,
};

export const RATELIMIT_USAGE_ICMPV6 = 1;
export const RATELIMIT_USAGE_EVENTS_MAP = 2;
export const RATELIMIT_USAGE_SOCK_EVENTS = 3;

/** struct ratelimit_key */
export class RatelimitKey {
  readonly words = new Int32Array(2);

  set(usage: number, netdevIdx = 0): this {
    this.words[0] = usage;
    this.words[1] = netdevIdx;
    return this;
  }
}

/** Byte offsets of the u64 fields. */
export const RATELIMIT_LAST_TOPUP = 0;
export const RATELIMIT_TOKENS = 8;
export const RATELIMIT_TOKENS_W = 2;
