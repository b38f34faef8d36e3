// BPF_MAP_TYPE_HASH, after kernel/bpf/hashtab.c (htab_map_update_elem and its kin).
// Differs from the kernel: memory is never preallocated, whatever the agent's preallocate-bpf-maps says; the limit
// of entries is exact in both modes.

import { E2BIG, EEXIST, EINVAL, ENOENT } from "../src/base/errno.js";
import { hashWords } from "./key_hash.js";
import { BPF_EXIST, BPF_NOEXIST, type MapSpec, NONE } from "./spec.js";
import { TableMap } from "./table_map.js";

export class HashMap extends TableMap {
  /** `valueWords` is the room for values in a row, if that is more than one value (per-CPU maps). */
  constructor(spec: MapSpec, valueWords?: number) {
    super(spec, valueWords);
  }

  override lookup(key: Int32Array): number {
    return this.table.find(key);
  }

  override peek(key: Int32Array): number {
    return this.table.find(key);
  }

  /** 0, -E2BIG when full, -EEXIST, -ENOENT or -EINVAL by the flags. */
  override update(key: Int32Array, value: Int32Array, flags: number): number {
    return this.updatePart(key, value, flags, 0);
  }

  /** `update` of the value at word `part` of the row; in a new row the others are zero. */
  updatePart(key: Int32Array, value: Int32Array, flags: number, part: number): number {
    if (flags > BPF_EXIST || flags < 0) return -EINVAL;
    const table = this.table;
    const slot = table.find(key);
    // The kernel tests the flags first, so a full table answers EEXIST and ENOENT before E2BIG.
    if (slot !== NONE) {
      if (flags === BPF_NOEXIST) return -EEXIST;
      table.write(slot, value, part);
      return 0;
    }
    if (flags === BPF_EXIST) return -ENOENT;
    if (table.count >= this.spec.maxEntries) return -E2BIG;
    table.fill(table.take(), key, hashWords(key, 0, this.keyWords), value, part);
    this.sync();
    return 0;
  }

  /** 0 or -ENOENT. */
  override remove(key: Int32Array): number {
    const table = this.table;
    const slot = table.find(key);
    if (slot === NONE) return -ENOENT;
    table.unlink(slot, table.hashOf(slot));
    table.free(slot);
    return 0;
  }
}
