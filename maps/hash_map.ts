// BPF_MAP_TYPE_HASH, after kernel/bpf/hashtab.c (htab_map_update_elem and its kin).
// Differs from the kernel: memory is never preallocated, whatever the agent's preallocate-bpf-maps says; the limit
// of entries is exact in both modes.

import { E2BIG, EEXIST, EINVAL, ENOENT } from "../src/base/errno.js";
import { BPF_EXIST, BPF_NOEXIST, type MapSpec, NONE } from "./spec.js";
import { TableMap } from "./table_map.js";

export class HashMap extends TableMap {
  constructor(spec: MapSpec) {
    super(spec);
  }

  override lookup(key: Int32Array): number {
    return this.find(key);
  }

  override peek(key: Int32Array): number {
    return this.find(key);
  }

  override update(key: Int32Array, value: Int32Array, flags: number): number {
    if (flags > BPF_EXIST || flags < 0) return -EINVAL;
    const slot = this.find(key);
    // The kernel tests the flags first, so a full table answers EEXIST and ENOENT before E2BIG.
    if (slot !== NONE) {
      if (flags === BPF_NOEXIST) return -EEXIST;
      this.writeValue(slot, value);
      return 0;
    }
    if (flags === BPF_EXIST) return -ENOENT;
    if (this.count >= this.spec.maxEntries) return -E2BIG;
    this.fill(this.takeSlot(), key, value);
    return 0;
  }

  override remove(key: Int32Array): number {
    const slot = this.find(key);
    if (slot === NONE) return -ENOENT;
    this.unlink(slot);
    this.freeSlot(slot);
    return 0;
  }
}
