// cilium_metrics, after bpf/lib/metrics.h: packets and bytes by reason, direction and place in the sources.
// The hot keys of a node are few, so a look-up nearly always hits; a full map is silently ignored, as in C.

import { addU64 } from "../../maps/percpu_map.js";
import { NONE } from "../../maps/spec.js";
import type { Ctx } from "./ctx.js";

// struct metrics_key: reason u8, dir u8, line u16, file u8, 3 reserved.
const key = new Int32Array(2);
// struct metrics_value: count u64, bytes u64.
const value = new Int32Array(4);

/** update_metrics(): one packet of `bytes` bytes; `site` is one of source_lines.ts. */
export function update_metrics(
  ctx: Ctx,
  bytes: number,
  direction: number,
  reason: number,
  site: number,
): void {
  const map = ctx.maps.cilium_metrics;
  // Line and file make keys of one reason distinct by place; readers add them up.
  key[0] = (reason & 0xff) | (direction << 8) | ((site >>> 8) << 16);
  key[1] = site & 0xff;
  const slot = map.lookup(key);
  if (slot === NONE) {
    value[0] = 1;
    value[2] = bytes;
    map.update(key, value, 0);
    return;
  }
  const words = map.words;
  const at = map.cpuWord(slot);
  addU64(words, at, 1);
  addU64(words, at + 2, bytes);
}

/** ct_to_metrics_dir(): CT_EGRESS 0 to 2, CT_INGRESS 1 to 1, CT_SERVICE 2 to 3. Metrics count from 1. */
export function ct_to_metrics_dir(dir: number): number {
  return dir === 0 ? 2 : dir === 1 ? 1 : 3;
}
