// The alternative back end of LRU maps: npm's lru-cache keeps keys and order, rows hold the values as everywhere.
// Strict LRU only. Several times slower than lru_hash_map.ts and it allocates a string for each operation, so it is
// for comparison and for small maps; `--map-backend lru-cache` selects it.

import { LRUCache } from "lru-cache";
import { EEXIST, EINVAL, ENOENT } from "../src/base/errno.js";
import { BpfMap, type MapSnapshot } from "./bpf_map.js";
import { BPF_EXIST, BPF_NOEXIST, type MapSpec, NONE } from "./spec.js";

export class LruCacheMap extends BpfMap {
  /** Key text to slot. */
  readonly #cache: LRUCache<string, number>;
  /** Slots given back. */
  readonly #free: number[] = [];
  /** Slots in use. */
  readonly #used = new Set<number>();
  /** Slots from here on have never been used. */
  #fresh = 0;
  /** Key words of each slot, for iteration. */
  #keys: Int32Array;
  /** Entries evicted since the map was made. */
  evictions = 0;

  constructor(spec: MapSpec) {
    super(spec, Math.min(8, spec.maxEntries));
    this.#keys = new Int32Array(Math.min(8, spec.maxEntries) * this.keyWords);
    this.#cache = new LRUCache<string, number>({
      // `max` would make arrays of max_entries places now; sizes of 1 bound it alike and let it grow.
      maxSize: spec.maxEntries,
      sizeCalculation: () => 1,
      dispose: (slot, _key, reason) => {
        if (reason === "set") return;
        if (reason === "evict") this.evictions++;
        this.#free.push(slot);
        this.#used.delete(slot);
      },
    });
  }

  override get size(): number {
    return this.#cache.size;
  }

  /** Moves the entry to the front. */
  override lookup(key: Int32Array): number {
    return this.#cache.get(this.#text(key, 0)) ?? NONE;
  }

  /** Leaves the order alone. */
  override peek(key: Int32Array): number {
    return this.#cache.peek(this.#text(key, 0)) ?? NONE;
  }

  override update(key: Int32Array, value: Int32Array, flags: number): number {
    if (flags > BPF_EXIST || flags < 0) return -EINVAL;
    const text = this.#text(key, 0);
    let slot = this.#cache.peek(text);
    if (slot !== undefined) {
      if (flags === BPF_NOEXIST) return -EEXIST;
      this.#cache.get(text);
    } else {
      if (flags === BPF_EXIST) return -ENOENT;
      slot = this.#takeSlot();
      for (let k = 0; k < this.keyWords; k++) this.#keys[slot * this.keyWords + k] = key[k];
      this.#cache.set(text, slot);
      this.#used.add(slot);
    }
    const at = slot * this.valueWords;
    for (let k = 0; k < this.dataWords; k++) this.words[at + k] = value[k];
    return 0;
  }

  override remove(key: Int32Array): number {
    return this.#cache.delete(this.#text(key, 0)) ? 0 : -ENOENT;
  }

  override clear(): void {
    this.#cache.clear();
    this.#free.length = 0;
    this.#used.clear();
    this.#fresh = 0;
  }

  override forEachSlot(visit: (slot: number, keys: Int32Array, keyWord: number) => void): void {
    for (const slot of [...this.#used].sort((a, b) => a - b)) visit(slot, this.#keys, slot * this.keyWords);
  }

  override nextSlot(from: number): number {
    let slot = from;
    while (slot < this.#fresh && !this.#used.has(slot)) slot++;
    return slot < this.#fresh ? slot : NONE;
  }

  override keyBytes(slot: number): Uint8Array {
    const at = slot * this.keyWords * 4;
    return new Uint8Array(this.#keys.buffer, at, this.spec.keySize).slice();
  }

  override save(): MapSnapshot {
    // Oldest first, so that putting them back in order restores the order of use.
    const slots = [...this.#cache.rvalues()] as number[];
    const entries = slots.map((slot) => ({
      key: this.#keys.slice(slot * this.keyWords, (slot + 1) * this.keyWords),
      value: this.words.slice(slot * this.valueWords, slot * this.valueWords + this.dataWords),
    }));
    return { name: this.spec.name, size: this.size, state: { entries, evictions: this.evictions } };
  }

  override restore(snapshot: MapSnapshot): void {
    const s = snapshot.state as { entries: { key: Int32Array; value: Int32Array }[]; evictions: number };
    this.clear();
    for (const e of s.entries) this.update(e.key, e.value, 0);
    this.evictions = s.evictions;
  }

  /** The key's 16-bit halves as a string: exact, and what V8 hashes fastest. */
  #text(words: Int32Array, at: number): string {
    let s = "";
    for (let k = 0; k < this.keyWords; k++) {
      const w = words[at + k];
      s += String.fromCharCode(w & 0xffff, w >>> 16);
    }
    return s;
  }

  /** A free slot; a full cache gives its oldest entry up first, so that rows never outnumber max_entries. */
  #takeSlot(): number {
    if (this.#cache.size >= this.spec.maxEntries) this.#cache.pop();
    const slot = this.#free.pop();
    if (slot !== undefined) return slot;
    const fresh = this.#fresh++;
    if ((fresh + 1) * this.valueWords > this.words.length) {
      const slots = Math.min(2 * fresh, this.spec.maxEntries);
      const old = this.words;
      this.setBuffer(new Int32Array(slots * this.valueWords));
      this.words.set(old);
      const keys = new Int32Array(slots * this.keyWords);
      keys.set(this.#keys);
      this.#keys = keys;
    }
    return fresh;
  }
}
