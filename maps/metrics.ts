// cilium_metrics: packets and bytes by reason, direction and place in the sources (bpf/lib/metrics.h).
//
//   key    0 1 reason   1 1 direction (low 2 bits)   2 2 line   4 1 file   5 3 -
//   value  0 8 count   8 8 bytes   (for each CPU)

import type { PercpuHashMap } from "./percpu_map.js";
import { addU64 } from "./percpu_map.js";
import { BPF_NOEXIST, type MapSpec } from "./spec.js";

export const METRICS_SPEC: MapSpec = {
  name: "cilium_metrics",
  type: "percpu_hash",
  keySize: 8,
  valueSize: 16,
  maxEntries: 1024,
};

export const METRIC_INGRESS = 1;
export const METRIC_EGRESS = 2;
/** Conntrack look-ups of services. */
export const METRIC_SERVICE = 3;

export const REASON_FORWARDED = 0;
/** Came in unencrypted. */
export const REASON_PLAINTEXT = 3;
export const REASON_DECRYPT = 4;
export const REASON_LB_NO_BACKEND_SLOT = 5;
export const REASON_LB_NO_BACKEND = 6;
export const REASON_LB_REVNAT_UPDATE = 7;
export const REASON_LB_REVNAT_STALE = 8;
/** A fragment passed conntrack. */
export const REASON_FRAG_PACKET = 9;
export const REASON_FRAG_PACKET_UPDATE = 10;
export const REASON_MISSED_CUSTOM_CALL = 11;
export const REASON_DECRYPTING = 12;
export const REASON_ENCRYPTING = 13;
export const REASON_LB_REVNAT_DELETE = 14;
/** An ICMP "fragmentation needed" or "packet too big" passed. */
export const REASON_MTU_ERROR_MSG = 15;

/** struct metrics_key */
export class MetricsKey {
  readonly words = new Int32Array(2);

  set(reason: number, dir: number, line: number, file: number): this {
    this.words[0] = (reason & 0xff) | ((dir & 3) << 8) | (line << 16);
    this.words[1] = file & 0xff;
    return this;
  }
}

const ONE = new Int32Array(4);

/**
 * update_metrics: counts one packet of `bytes` bytes on the running CPU. An entry that cannot be made (the map is
 * full) is ignored, as the program does.
 */
export function updateMetrics(map: PercpuHashMap, key: MetricsKey, bytes: number): void {
  const slot = map.lookup(key.words);
  if (slot >= 0) {
    const at = map.cpuWord(slot);
    addU64(map.words, at, 1);
    addU64(map.words, at + 2, bytes);
    return;
  }
  ONE[0] = 1;
  ONE[2] = bytes;
  map.update(key.words, ONE, BPF_NOEXIST);
}
