// How large an agent makes the maps that grow with traffic, when no flag says it: `bpf-map-dynamic-size-ratio` of the
// node's memory, shared out in the ratio of the nominal sizes (pkg/option/config.go, dynamic BPF map sizes).

import { CT4_ANY_SPEC, CT4_TCP_SPEC, CT6_ANY_SPEC, CT6_TCP_SPEC } from "./ct.js";
import { LB4_REVERSE_SK_SPEC, LB6_REVERSE_SK_SPEC } from "./lb.js";
import { SNAT_V4_SPEC, SNAT_V6_SPEC } from "./nat.js";
import { NODEPORT_NEIGH4_SPEC, NODEPORT_NEIGH6_SPEC } from "./neigh.js";
import type { MapSpec } from "./spec.js";

/** Default of bpf-map-dynamic-size-ratio. */
export const DYNAMIC_SIZE_RATIO = 0.0025;
/** No dynamic size is above this. */
export const LIMIT_TABLE_MAX = 16777216;

/** IPv4 and IPv6 map of a kind, and the least size that the calculation gives. */
const SIZED: readonly { readonly v4: MapSpec; readonly v6: MapSpec; readonly min: number }[] = [
  { v4: CT4_TCP_SPEC, v6: CT6_TCP_SPEC, min: 131072 },
  { v4: CT4_ANY_SPEC, v6: CT6_ANY_SPEC, min: 65536 },
  { v4: SNAT_V4_SPEC, v6: SNAT_V6_SPEC, min: 131072 },
  { v4: NODEPORT_NEIGH4_SPEC, v6: NODEPORT_NEIGH6_SPEC, min: 131072 },
  { v4: LB4_REVERSE_SK_SPEC, v6: LB6_REVERSE_SK_SPEC, min: 65536 },
];

/**
 * max_entries by map name for a node with `memoryBytes` of memory, to be given to createCiliumMaps as `sizes`. Both
 * families get the same size, reckoned with the larger element, IPv6's.
 */
export function dynamicMapSizes(
  memoryBytes: number,
  ratio: number = DYNAMIC_SIZE_RATIO,
): Record<string, number> {
  const available = Math.floor(memoryBytes * ratio);
  let nominal = 0;
  for (const { v6 } of SIZED) nominal += v6.maxEntries * (v6.keySize + v6.valueSize);
  const out: Record<string, number> = {};
  for (const { v4, v6, min } of SIZED) {
    const share = Math.floor((v6.maxEntries * available) / nominal);
    const size = Math.min(Math.max(share, min), LIMIT_TABLE_MAX);
    out[v4.name] = size;
    out[v6.name] = size;
  }
  return out;
}
