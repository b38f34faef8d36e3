// BPF_MAP_TYPE_ARRAY, after kernel/bpf/arraymap.c: every index below max_entries is always there, slot = index.

import { E2BIG, EEXIST, EINVAL } from "../src/base/errno.js";
import { PodpathError } from "../src/base/errors.js";
import { BpfMap, type MapSnapshot } from "./bpf_map.js";
import { BPF_EXIST, BPF_NOEXIST, type MapSpec, NONE } from "./spec.js";

export class ArrayMap extends BpfMap {
  // Index of the slot that forEachSlot shows, as a key.
  readonly #key = new Int32Array(1);

  /** `rowWords` is given by the per-CPU type, whose rows hold several values. */
  constructor(spec: MapSpec, rowWords?: number) {
    if (spec.keySize !== 4) {
      throw new PodpathError("MAP_SPEC", `map ${spec.name}: the key of an array is a u32`);
    }
    super(spec, spec.maxEntries, rowWords);
  }

  /** max_entries: an array has no absent elements. */
  override get size(): number {
    return this.spec.maxEntries;
  }

  /** Slot = index; NONE from max_entries on. */
  override lookup(key: Int32Array): number {
    const i = key[0] >>> 0;
    return i < this.spec.maxEntries ? i : NONE;
  }

  override peek(key: Int32Array): number {
    return this.lookup(key);
  }

  /** 0, -E2BIG beyond the end, -EEXIST for BPF_NOEXIST (every element is there), -EINVAL for bad flags. */
  override update(key: Int32Array, value: Int32Array, flags: number): number {
    if (flags > BPF_EXIST || flags < 0) return -EINVAL;
    const i = key[0] >>> 0;
    if (i >= this.spec.maxEntries) return -E2BIG;
    if (flags === BPF_NOEXIST) return -EEXIST;
    const at = this.writeAt(i);
    const n = this.dataWords;
    for (let k = 0; k < n; k++) this.words[at + k] = value[k];
    return 0;
  }

  /** Elements of an array cannot be removed. */
  override remove(_key: Int32Array): number {
    return -EINVAL;
  }

  /** Zeroes every element. */
  override clear(): void {
    this.words.fill(0);
  }

  override forEachSlot(visit: (slot: number, keys: Int32Array, keyWord: number) => void): void {
    for (let i = 0; i < this.spec.maxEntries; i++) {
      this.#key[0] = i;
      visit(i, this.#key, 0);
    }
  }

  override nextSlot(from: number): number {
    return from < this.spec.maxEntries ? from : NONE;
  }

  override keyBytes(slot: number): Uint8Array {
    return new Uint8Array(Int32Array.of(slot).buffer);
  }

  override save(): MapSnapshot {
    return { name: this.spec.name, size: this.size, state: this.words.slice() };
  }

  override restore(snapshot: MapSnapshot): void {
    const words = snapshot.state as Int32Array;
    if (words.length !== this.words.length) {
      throw new PodpathError("MAP_LAYOUT", `map ${this.spec.name}: the snapshot is of another layout`);
    }
    this.words.set(words);
  }

  /** First word that a program's update of element `i` writes. */
  protected writeAt(i: number): number {
    return i * this.valueWords;
  }
}
