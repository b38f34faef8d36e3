// cilium_runtime_config: numbers that the agent changes while programs run (bpf/lib/time.h, liveness.h).
//
//   key u32 index;   value u64

import type { BpfMap } from "./bpf_map.js";
import type { MapSpec } from "./spec.js";

export const RUNTIME_CONFIG_SPEC: MapSpec = {
  name: "cilium_runtime_config",
  type: "array",
  keySize: 4,
  valueSize: 8,
  maxEntries: 256,
};

/** Offset of Unix time from the monotonic clock, 512 ns units. */
export const RUNTIME_CONFIG_UTIME_OFFSET = 0;
/** Monotonic time of the agent's last sign of life, ns. */
export const RUNTIME_CONFIG_AGENT_LIVENESS = 1;

/** Value of an index as a double (exact below 2^53). */
export function runtimeConfig(map: BpfMap, index: number): number {
  const at = index * map.valueWords;
  return (map.words[at] >>> 0) + (map.words[at + 1] >>> 0) * 0x1_0000_0000;
}

export function setRuntimeConfig(map: BpfMap, index: number, v: number): void {
  const at = index * map.valueWords;
  map.words[at] = (v % 0x1_0000_0000) | 0;
  map.words[at + 1] = Math.floor(v / 0x1_0000_0000) | 0;
}
