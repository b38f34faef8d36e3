// BPF_MAP_TYPE_LRU_HASH, after kernel/bpf/hashtab.c (htab_lru_map_*): a hash table that never answers "full",
// it evicts. Two policies: "kernel" (lru_lists.ts, the default) and "strict" (strict_lru.ts).
// No program runs on eviction: there is no event, and a partner entry (a NAT entry's other half) stays.

import { EEXIST, EINVAL, ENOENT, ENOMEM } from "../src/base/errno.js";
import { hashWords } from "./key_hash.js";
import { LruLists, type LruListsState, MARK_REF } from "./lru_lists.js";
import { BPF_EXIST, BPF_NOEXIST, CurrentCpu, type MapSpec, NONE } from "./spec.js";
import { StrictLru, type StrictLruState } from "./strict_lru.js";
import { TableMap } from "./table_map.js";

export class LruHashMap extends TableMap {
  /** Exactly one of the two is there. */
  readonly #lists: LruLists | null;
  readonly #strict: StrictLru | null;
  readonly #cpu: CurrentCpu;
  /** The lists count their own. */
  #strictEvictions = 0;

  /**
   * `cpu` tells on which CPU's lists an insertion works; one CPU without it. `valueWords` is the room for values in
   * a row, if that is more than one value (per-CPU maps).
   */
  constructor(spec: MapSpec, cpu: CurrentCpu = new CurrentCpu(), valueWords?: number) {
    super(spec, valueWords);
    this.#cpu = cpu;
    const strict = spec.lru === "strict";
    this.#strict = strict ? new StrictLru() : null;
    this.#lists = strict ? null : new LruLists(this.table, cpu.count);
  }

  /** Entries evicted since the map was made. */
  get evictions(): number {
    return this.#lists !== null ? this.#lists.evictions : this.#strictEvictions;
  }

  override get memoryBytes(): number {
    return super.memoryBytes + (this.#lists ?? this.#strict!).memoryBytes;
  }

  /** A program's look-up: the entry counts as used. */
  override lookup(key: Int32Array): number {
    const table = this.table;
    const slot = table.find(key);
    if (slot >= 0) {
      const strict = this.#strict;
      if (strict !== null) {
        strict.touch(slot);
      } else {
        // Written only when it changes, as in the kernel: a shared cache line stays clean.
        const marks = table.marks;
        const mark = marks[slot];
        if ((mark & MARK_REF) === 0) marks[slot] = mark | MARK_REF;
      }
    }
    return slot;
  }

  /** User space's look-up: it does not. */
  override peek(key: Int32Array): number {
    return this.table.find(key);
  }

  override update(key: Int32Array, value: Int32Array, flags: number): number {
    return this.updatePart(key, value, flags, 0);
  }

  /** `update` of the value at word `part` of the row; in a new row the others are zero. */
  updatePart(key: Int32Array, value: Int32Array, flags: number, part: number): number {
    if (flags > BPF_EXIST || flags < 0) return -EINVAL;
    return this.#strict !== null
      ? this.#updateStrict(this.#strict, key, value, flags, part)
      : this.#updateKernel(this.#lists!, key, value, flags, part);
  }

  /** 0 or -ENOENT. */
  override remove(key: Int32Array): number {
    const table = this.table;
    const slot = table.find(key);
    if (slot === NONE) return -ENOENT;
    table.unlink(slot, table.hashOf(slot));
    if (this.#strict !== null) {
      this.#strict.remove(slot);
      table.free(slot);
    } else {
      this.#lists!.pushFree(slot);
    }
    return 0;
  }

  override clear(): void {
    super.clear();
    this.#lists?.clear();
    this.#strict?.clear();
  }

  /** htab_lru_map_update_elem: a node is taken first, so even an update in place can evict another entry. */
  #updateKernel(lists: LruLists, key: Int32Array, value: Int32Array, flags: number, part: number): number {
    const table = this.table;
    const taken = lists.popFree(this.#cpu.id);
    if (taken < 0) return -ENOMEM;
    // Taking nodes may have grown the table, whatever comes of the update.
    this.sync();
    const slot = table.find(key);
    if (slot === NONE) {
      if (flags === BPF_EXIST) {
        lists.pushFree(taken);
        return -ENOENT;
      }
      table.fill(taken, key, hashWords(key, 0, this.keyWords), value, part);
      return 0;
    }
    if (flags === BPF_NOEXIST) {
      lists.pushFree(taken);
      return -EEXIST;
    }
    table.write(slot, value, part);
    lists.exchange(slot, taken);
    return 0;
  }

  /** Exact LRU: an overwrite counts as a use, a full map gives up its oldest entry. */
  #updateStrict(strict: StrictLru, key: Int32Array, value: Int32Array, flags: number, part: number): number {
    const table = this.table;
    const slot = table.find(key);
    if (slot !== NONE) {
      if (flags === BPF_NOEXIST) return -EEXIST;
      table.write(slot, value, part);
      strict.touch(slot);
      return 0;
    }
    if (flags === BPF_EXIST) return -ENOENT;
    if (table.count >= this.spec.maxEntries) {
      const victim = strict.oldest();
      strict.remove(victim);
      table.unlink(victim, table.hashOf(victim));
      table.free(victim);
      this.#strictEvictions++;
    }
    const taken = table.take();
    table.fill(taken, key, hashWords(key, 0, this.keyWords), value, part);
    strict.add(taken);
    this.sync();
    return 0;
  }

  protected override saveExtra(): unknown {
    return { lists: (this.#lists ?? this.#strict!).save(), strictEvictions: this.#strictEvictions };
  }

  protected override restoreExtra(extra: unknown): void {
    const e = extra as { lists: unknown; strictEvictions: number };
    this.#lists?.restore(e.lists as LruListsState);
    this.#strict?.restore(e.lists as StrictLruState);
    this.#strictEvictions = e.strictEvictions;
  }
}
