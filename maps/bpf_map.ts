// The face that every keyed map shows to programs (words and slots, no allocation) and to user space (bytes).
//
//   key:    keySize bytes, padded with zeros to whole 32-bit words; programs build it in an Int32Array
//   value:  valueSize bytes at the front of a row of `valueStride` bytes (a multiple of 4) inside one backing
//           buffer; slot s begins at byte s * valueStride, word s * valueWords
//   row:    some types keep more in it than the value (hash tables put the key behind it, so that both share a
//           cache line), so the stride is the map's and never computed from the size of the value
//
// The words are the host's: all this assumes a little-endian machine, as x86-64 and arm64 are.
//
// Programs address a value by its slot: `const s = map.lookup(key.words); if (s !== NONE) map.words[s * map.valueWords + 2]`.
// The backing buffer is replaced when a table grows, so `view` and `words` are read from the map each time and
// never kept across an update.

import { PodpathError } from "../src/base/errors.js";
import { type MapSpec, NONE } from "./spec.js";

if (new Uint8Array(new Int32Array([1]).buffer)[0] !== 1) {
  throw new PodpathError("UNSUPPORTED", "podpath needs a little-endian machine");
}

/** One entry as user space sees it: copies, not views. */
export interface MapEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Part of a map, as BPF_MAP_LOOKUP_BATCH gives it. */
export interface MapBatch {
  readonly entries: MapEntry[];
  /** Where the next batch begins; NONE at the end. */
  readonly next: number;
}

/** State of a map that `restore` takes back; opaque, and independent of the map it came from. */
export interface MapSnapshot {
  /** Name of the map it belongs to. */
  readonly name: string;
  /** Entries at the time of the snapshot. */
  readonly size: number;
  readonly state: unknown;
}

export abstract class BpfMap {
  /** Words of a key, padding included. */
  readonly keyWords: number;
  /** Words of a value, without what else its row holds. */
  readonly dataWords: number;
  /** Words from one slot to the next. */
  readonly valueWords: number;
  /** Bytes from one slot to the next, a multiple of 4. */
  readonly valueStride: number;
  /** All values as 32-bit words; replaced when the table grows. */
  words: Int32Array;
  /** The same bytes as `words`. */
  view: DataView;
  /** The same bytes as `words`. */
  bytes: Uint8Array;

  protected constructor(
    readonly spec: MapSpec,
    initialSlots: number,
    rowWords: number = ((spec.valueSize + 7) & ~7) >> 2,
  ) {
    if (spec.keySize < 0 || spec.valueSize < 0 || spec.maxEntries < 1) {
      throw new PodpathError("MAP_SPEC", `map ${spec.name}: sizes and max_entries must be positive`);
    }
    this.keyWords = (spec.keySize + 3) >> 2;
    this.dataWords = (spec.valueSize + 3) >> 2;
    this.valueWords = rowWords;
    this.valueStride = rowWords * 4;
    const buf = new ArrayBuffer(initialSlots * this.valueStride);
    this.words = new Int32Array(buf);
    this.view = new DataView(buf);
    this.bytes = new Uint8Array(buf);
  }

  /** Number of entries. */
  abstract get size(): number;

  /** A program's look-up: slot of the entry or NONE; counts as a use for LRU. */
  abstract lookup(key: Int32Array): number;

  /** User space's look-up: like `lookup` but does not count as a use. */
  abstract peek(key: Int32Array): number;

  /** Inserts or overwrites; `flags` is BPF_ANY, BPF_NOEXIST or BPF_EXIST. 0 or a negative errno. */
  abstract update(key: Int32Array, value: Int32Array, flags: number): number;

  /** Removes; 0, -ENOENT, or -EINVAL where the type has no removal. */
  abstract remove(key: Int32Array): number;

  /** Removes every entry. */
  abstract clear(): void;

  /** Calls `visit` with each slot and the first word of its key inside `keys`; order is unspecified but repeatable. */
  abstract forEachSlot(visit: (slot: number, keys: Int32Array, keyWord: number) => void): void;

  /** The first used slot from `from` on, or NONE. */
  abstract nextSlot(from: number): number;

  /** Copy of the key of a used slot. */
  abstract keyBytes(slot: number): Uint8Array;

  /** Copy of the whole state, for `restore`. */
  abstract save(): MapSnapshot;

  /** Returns to a state that `save` of a map of the same spec gave. Slot numbers are those of the snapshot. */
  abstract restore(snapshot: MapSnapshot): void;

  /** Copy of the value of `slot`; per-CPU types override it with the sum or the list of CPUs. */
  valueBytes(slot: number): Uint8Array {
    const at = slot * this.valueStride;
    return this.bytes.slice(at, at + this.spec.valueSize);
  }

  /** User space's read by bytes. Throws MAP_LAYOUT if the key has not keySize bytes. */
  get(key: Uint8Array): Uint8Array | undefined {
    const slot = this.peek(this.keyFromBytes(key));
    return slot < 0 ? undefined : this.valueBytes(slot);
  }

  /** User space's write by bytes; 0 or a negative errno. Throws MAP_LAYOUT on a wrong size. */
  set(key: Uint8Array, value: Uint8Array, flags = 0): number {
    if (value.length !== this.spec.valueSize) {
      throw new PodpathError(
        "MAP_LAYOUT",
        `map ${this.spec.name}: value has ${value.length} bytes, not ${this.spec.valueSize}`,
      );
    }
    const words = new Int32Array(this.dataWords);
    new Uint8Array(words.buffer).set(value);
    return this.update(this.keyFromBytes(key), words, flags);
  }

  /** User space's removal by bytes. */
  delete(key: Uint8Array): number {
    return this.remove(this.keyFromBytes(key));
  }

  /**
   * At most `count` entries from `cursor` on (0 to begin with, then `next` of the former batch), in the table's own
   * order. Entries that come or go between two batches may be missed or seen, as with the kernel's.
   */
  batch(cursor: number, count: number): MapBatch {
    const entries: MapEntry[] = [];
    let slot = cursor < 0 ? NONE : this.nextSlot(cursor);
    while (slot !== NONE && entries.length < count) {
      entries.push({ key: this.keyBytes(slot), value: this.valueBytes(slot) });
      slot = this.nextSlot(slot + 1);
    }
    return { entries, next: slot };
  }

  /** Every entry, copied, sorted by key bytes (a batch dump whose order does not depend on the table). */
  dump(): MapEntry[] {
    return this.batch(0, Number.POSITIVE_INFINITY).entries.sort((x, y) => compareBytes(x.key, y.key));
  }

  /** Shows other rows as the map's: a table has grown. */
  protected setBuffer(words: Int32Array): void {
    this.words = words;
    this.view = new DataView(words.buffer, words.byteOffset, words.byteLength);
    this.bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  }

  protected keyFromBytes(key: Uint8Array): Int32Array {
    if (key.length !== this.spec.keySize) {
      throw new PodpathError(
        "MAP_LAYOUT",
        `map ${this.spec.name}: key has ${key.length} bytes, not ${this.spec.keySize}`,
      );
    }
    const words = new Int32Array(this.keyWords);
    new Uint8Array(words.buffer).set(key);
    return words;
  }
}

/** Lexicographic order of byte strings. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    const d = a[i]! - b[i]!;
    if (d !== 0) return d;
  }
  return a.length - b.length;
}
