// cilium_throttle: the bandwidth manager's rate of an endpoint (bpf/lib/edt.h, struct edt_info).
//
//   key    0 4 id (endpoint)   4 1 direction (0 egress, 1 ingress)   5 3 -
//   value  0 8 bps (bytes/s)   8 8 t_last (ns)   16 8 t_horizon_drop (egress) or tokens (ingress)
//          24 4 prio (stored + 1)   28 4 -   32 24 -
//
// Times and rates are u64; the functions below read and write them as doubles, which are exact below 2^53 (104 days
// in nanoseconds).

import type { BpfMap } from "./bpf_map.js";
import type { MapSpec } from "./spec.js";

export const THROTTLE_SPEC: MapSpec = {
  name: "cilium_throttle",
  type: "hash",
  keySize: 8,
  valueSize: 56,
  maxEntries: 65535,
};

export const DIRECTION_EGRESS = 0;
export const DIRECTION_INGRESS = 1;

/** struct edt_id */
export class ThrottleKey {
  readonly words = new Int32Array(2);

  set(id: number, direction: number): this {
    this.words[0] = id;
    this.words[1] = direction & 0xff;
    return this;
  }
}

/** Byte offsets of the u64 fields. */
export const THROTTLE_BPS = 0;
export const THROTTLE_T_LAST = 8;
export const THROTTLE_T_HORIZON_DROP = 16;
export const THROTTLE_TOKENS = 16;
export const THROTTLE_PRIO_W = 6;

/** A u64 field as a double (exact below 2^53). */
export function throttleGet(map: BpfMap, slot: number, field: number): number {
  const at = slot * map.valueStride + field;
  return map.view.getUint32(at, true) + map.view.getUint32(at + 4, true) * 0x1_0000_0000;
}

/** Writes a u64 field from a double. */
export function throttleSet(map: BpfMap, slot: number, field: number, v: number): void {
  const at = slot * map.valueStride + field;
  map.view.setUint32(at, v % 0x1_0000_0000, true);
  map.view.setUint32(at + 4, Math.floor(v / 0x1_0000_0000), true);
}
