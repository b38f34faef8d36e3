// BPF_MAP_TYPE_LRU_HASH, after kernel/bpf/hashtab.c (htab_lru_map_*): a hash table that never answers "full",
// it evicts. Two policies: "kernel" (lru_lists.ts, the default) and "strict" (strict_lru.ts).
// No program runs on eviction: there is no event, and a partner entry (a NAT entry's other half) stays.

import { EEXIST, EINVAL, ENOENT, ENOMEM } from "../src/base/errno.js";
import { LruLists, type LruListsState, MARK_REF } from "./lru_lists.js";
import { BPF_EXIST, BPF_NOEXIST, CurrentCpu, type MapSpec, NONE } from "./spec.js";
import { StrictLru, type StrictLruState } from "./strict_lru.js";
import { TableMap } from "./table_map.js";

export class LruHashMap extends TableMap {
  readonly #lists: LruLists | null;
  readonly #strict: StrictLru | null;
  readonly #cpu: CurrentCpu;
  /** Entries evicted since the map was made. */
  evictions = 0;

  /** `cpu` tells on which CPU's lists an insertion works; one CPU without it. */
  constructor(spec: MapSpec, cpu: CurrentCpu = new CurrentCpu(), valueWords?: number) {
    super(spec, valueWords);
    this.#cpu = cpu;
    const strict = spec.lru === "strict";
    this.#strict = strict ? new StrictLru(this.marks.length) : null;
    this.#lists = strict ? null : new LruLists(this, this.marks, spec.maxEntries, cpu.count);
  }

  override lookup(key: Int32Array): number {
    const slot = this.find(key);
    if (slot >= 0) {
      const strict = this.#strict;
      if (strict !== null) strict.touch(slot);
      // Written only when it changes, as in the kernel: a shared cache line stays clean.
      else if ((this.marks[slot] & MARK_REF) === 0) this.marks[slot] |= MARK_REF;
    }
    return slot;
  }

  override peek(key: Int32Array): number {
    return this.find(key);
  }

  override update(key: Int32Array, value: Int32Array, flags: number): number {
    if (flags > BPF_EXIST || flags < 0) return -EINVAL;
    return this.#strict !== null
      ? this.#updateStrict(this.#strict, key, value, flags)
      : this.#updateKernel(this.#lists!, key, value, flags);
  }

  override remove(key: Int32Array): number {
    const slot = this.find(key);
    if (slot === NONE) return -ENOENT;
    this.unlink(slot);
    if (this.#strict !== null) {
      this.#strict.remove(slot);
      this.freeSlot(slot);
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

  override memoryBytes(): number {
    return super.memoryBytes() + (this.#lists ?? this.#strict!).memoryBytes;
  }

  /** For the lists: a slot that has never been used, or -1. */
  takeFresh(): number {
    return this.fresh < this.spec.maxEntries ? this.takeSlot() : -1;
  }

  /** For the lists: the entry of `slot` goes. */
  evict(slot: number): void {
    this.unlink(slot);
    this.evictions++;
  }

  /** htab_lru_map_update_elem: a node is taken first, so even an update in place can evict another entry. */
  #updateKernel(lists: LruLists, key: Int32Array, value: Int32Array, flags: number): number {
    const taken = lists.popFree(this.#cpu.id);
    if (taken < 0) return -ENOMEM;
    const slot = this.find(key);
    if (slot === NONE) {
      if (flags === BPF_EXIST) {
        lists.pushFree(taken);
        return -ENOENT;
      }
      this.fill(taken, key, value);
      return 0;
    }
    if (flags === BPF_NOEXIST) {
      lists.pushFree(taken);
      return -EEXIST;
    }
    this.writeValue(slot, value);
    lists.exchange(slot, taken);
    return 0;
  }

  #updateStrict(strict: StrictLru, key: Int32Array, value: Int32Array, flags: number): number {
    const slot = this.find(key);
    if (slot !== NONE) {
      if (flags === BPF_NOEXIST) return -EEXIST;
      this.writeValue(slot, value);
      strict.touch(slot);
      return 0;
    }
    if (flags === BPF_EXIST) return -ENOENT;
    if (this.count >= this.spec.maxEntries) {
      const victim = strict.oldest();
      strict.remove(victim);
      this.evict(victim);
      this.freeSlot(victim);
    }
    const taken = this.takeSlot();
    this.fill(taken, key, value);
    strict.add(taken);
    return 0;
  }

  protected override ensureSlots(n: number): void {
    const before = this.marks.length;
    super.ensureSlots(n);
    if (this.marks.length === before) return;
    this.#lists?.grow(this.marks);
    this.#strict?.grow(this.marks.length);
  }

  protected override saveExtra(): unknown {
    return { lists: (this.#lists ?? this.#strict!).save(), evictions: this.evictions };
  }

  protected override restoreExtra(extra: unknown): void {
    const e = extra as { lists: unknown; evictions: number };
    this.#lists?.restore(e.lists as LruListsState, this.marks);
    this.#strict?.restore(e.lists as StrictLruState);
    this.evictions = e.evictions;
  }
}
