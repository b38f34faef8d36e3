// The table behind every hash map: open addressing over typed arrays, grown on demand up to max_entries.
//
//   index    pairs of words (hash, slot), a power of two of them, at most half full, small ones a quarter;
//            hash 0 = empty bucket.
//            Linear probing; the whole hash is stored, so that a probe touches a row only when it will match, and
//            growing or deleting never reads keys.
//   words    rows of value then key. A slot is a row number; it stays valid until the entry is removed.
//            Value in front and key behind it: the fields of a conntrack entry that every packet writes are the
//            last ones of the value, so that they share cache lines with the key just compared.
//   marks    one byte a slot: bit 0 = in use; the other bits belong to the eviction policy.
//
// Removal moves later buckets of the probe run back (no tombstones), so a table that has seen many removals
// is as fast as a new one.
//
// Map types own a table instead of deriving from it: its methods then see objects of one shape only, which V8
// compiles to straight loads. With four classes deriving from it a look-up took three times as long.

import { PodpathError } from "../src/base/errors.js";
import { find1, find2, find3, find4, find5, find6, find10, findAny } from "./find.js";
import { hashWords } from "./key_hash.js";
import { type MapSpec, NONE } from "./spec.js";

/** Bit of `marks`: the slot holds an entry. */
export const MARK_USED = 1;

/**
 * Below this size (1 MB would not leave a second-level cache room for rows) the index is at most a quarter full: a
 * miss then nearly always ends at its first bucket, which the branch predictor learns. Above, memory decides: at most
 * half full. Two words a bucket, so these are count * 8 and count * 4 words.
 */
const SPARSE_WORDS = 1 << 17;
const MIN_BUCKETS = 16;
const MIN_SLOTS = 8;

/** State of a table in a snapshot. */
export interface TableState {
  readonly rows: Int32Array;
  readonly marks: Uint8Array;
  readonly index: Int32Array;
  readonly count: number;
  readonly fresh: number;
  readonly freeHead: number;
}

export class Table {
  words: Int32Array;
  index: Int32Array = new Int32Array(MIN_BUCKETS * 2);
  /** Mask of a position in `index`, always even. */
  mask: number = MIN_BUCKETS * 2 - 2;
  marks: Uint8Array;
  /** Entries. */
  count = 0;
  /** Slots from here on have never been used. */
  fresh = 0;
  /** Words of a row, of the key, and where in the row the key begins. */
  readonly stride: number;
  readonly keyWords: number;
  readonly keyAt: number;
  /** Words of one value. */
  readonly dataWords: number;
  readonly maxEntries: number;
  /** Freed slots, chained through word 0 of their rows; -1 = none. */
  #freeHead = -1;

  /** `valueWords` is the room for values in a row, where that is more than one value. */
  constructor(spec: MapSpec, valueWords: number = ((spec.valueSize + 7) & ~7) >> 2) {
    const slots = Math.min(MIN_SLOTS, spec.maxEntries);
    this.keyWords = (spec.keySize + 3) >> 2;
    this.keyAt = valueWords;
    this.stride = valueWords + this.keyWords;
    this.dataWords = (spec.valueSize + 3) >> 2;
    this.maxEntries = spec.maxEntries;
    this.words = new Int32Array(slots * this.stride);
    this.marks = new Uint8Array(slots);
  }

  /** Bytes of memory that it occupies now. */
  get memoryBytes(): number {
    return this.words.byteLength + this.index.byteLength + this.marks.byteLength;
  }

  /** Slot of the entry with this key, or NONE. */
  find(key: Int32Array): number {
    // In the order of how often a packet needs them.
    switch (this.keyWords) {
      case 4:
        return find4(this, key);
      case 3:
        return find3(this, key);
      case 5:
        return find5(this, key);
      case 2:
        return find2(this, key);
      case 1:
        return find1(this, key);
      case 10:
        return find10(this, key);
      case 6:
        return find6(this, key);
      default:
        return findAny(this, key);
    }
  }

  /** Takes a slot from the freed ones, else a fresh one. The caller knows that there is one. */
  take(): number {
    const slot = this.#freeHead;
    if (slot >= 0) {
      this.#freeHead = this.words[slot * this.stride];
      return slot;
    }
    const fresh = this.fresh;
    if (fresh === this.marks.length) this.#grow(fresh + 1);
    this.fresh = fresh + 1;
    return fresh;
  }

  /** Gives a slot back that is no longer in the index. */
  free(slot: number): void {
    this.marks[slot] = 0;
    this.words[slot * this.stride] = this.#freeHead;
    this.#freeHead = slot;
  }

  /**
   * Writes key and value of a slot and puts it into the index under `hash`. The key must not be in the table. The
   * value goes to word `part` of the row, other values in the row become zero.
   */
  fill(slot: number, key: Int32Array, hash: number, value: Int32Array, part: number): void {
    const rows = this.words;
    const at = slot * this.stride;
    const end = part + this.dataWords;
    const keyAt = this.keyAt;
    for (let k = 0; k < part; k++) rows[at + k] = 0;
    for (let k = part; k < end; k++) rows[at + k] = value[k - part];
    for (let k = end; k < keyAt; k++) rows[at + k] = 0;
    const n = this.keyWords;
    for (let k = 0; k < n; k++) rows[at + keyAt + k] = key[k];
    this.marks[slot] |= MARK_USED;
    const length = this.index.length;
    if (++this.count * (length < SPARSE_WORDS ? 8 : 4) > length) this.#growIndex();
    this.#link(hash, slot);
  }

  /** Overwrites a value of a slot, at word `part` of the row. */
  write(slot: number, value: Int32Array, part: number): void {
    const rows = this.words;
    const at = slot * this.stride + part;
    const n = this.dataWords;
    for (let k = 0; k < n; k++) rows[at + k] = value[k];
  }

  /** Hash of the key of a slot, for maps that hash whole keys. */
  hashOf(slot: number): number {
    return hashWords(this.words, slot * this.stride + this.keyAt, this.keyWords);
  }

  /** Takes a slot, linked under `hash`, out of the index; its row stays as it is. */
  unlink(slot: number, hash: number): void {
    const index = this.index;
    const mask = this.mask;
    let i = (hash << 1) & mask;
    while (index[i + 1] !== slot || index[i] === 0) i = (i + 2) & mask;
    this.marks[slot] &= ~MARK_USED;
    this.count--;
    // Backward shift: an entry further on may fill the hole unless its home lies behind the hole.
    let hole = i;
    for (;;) {
      i = (i + 2) & mask;
      const t = index[i];
      if (t === 0) break;
      const home = (t << 1) & mask;
      if (((i - home) & mask) >= ((i - hole) & mask)) {
        index[hole] = t;
        index[hole + 1] = index[i + 1];
        hole = i;
      }
    }
    index[hole] = 0;
    index[hole + 1] = 0;
  }

  /**
   * Calls `visit` with each used slot and the first word of its key, in slot order. `visit` may remove what it is
   * shown; what it adds may or may not be shown.
   */
  forEachSlot(visit: (slot: number, keys: Int32Array, keyWord: number) => void): void {
    for (let slot = 0; slot < this.fresh; slot++) {
      if ((this.marks[slot] & MARK_USED) !== 0) visit(slot, this.words, slot * this.stride + this.keyAt);
    }
  }

  /** The first used slot from `from` on, or NONE. */
  nextSlot(from: number): number {
    let slot = from;
    while (slot < this.fresh && (this.marks[slot] & MARK_USED) === 0) slot++;
    return slot < this.fresh ? slot : NONE;
  }

  /** Copy of the first `size` bytes of the key of a slot. */
  keyBytes(slot: number, size: number): Uint8Array {
    const at = this.words.byteOffset + (slot * this.stride + this.keyAt) * 4;
    return new Uint8Array(this.words.buffer, at, size).slice();
  }

  /** Removes everything; what it has grown to is kept. */
  clear(): void {
    this.index.fill(0);
    this.marks.fill(0);
    this.count = 0;
    this.fresh = 0;
    this.#freeHead = -1;
  }

  save(): TableState {
    return {
      rows: this.words.slice(0, this.fresh * this.stride),
      marks: this.marks.slice(0, this.fresh),
      index: this.index.slice(),
      count: this.count,
      fresh: this.fresh,
      freeHead: this.#freeHead,
    };
  }

  /** Throws MAP_LAYOUT for the state of a table with other rows or more entries than this one may have. */
  restore(s: TableState, name: string): void {
    if (s.rows.length !== s.fresh * this.stride || s.fresh > this.maxEntries) {
      throw new PodpathError("MAP_LAYOUT", `map ${name}: the snapshot is of another layout`);
    }
    this.clear();
    if (s.fresh > this.marks.length) this.#grow(s.fresh);
    this.words.set(s.rows);
    this.marks.set(s.marks);
    this.index = s.index.slice();
    this.mask = s.index.length - 2;
    this.count = s.count;
    this.fresh = s.fresh;
    this.#freeHead = s.freeHead;
  }

  /** Puts a (hash, slot) pair into the first empty bucket of its run. */
  #link(hash: number, slot: number): void {
    const index = this.index;
    const mask = this.mask;
    let i = (hash << 1) & mask;
    while (index[i] !== 0) i = (i + 2) & mask;
    index[i] = hash;
    index[i + 1] = slot;
  }

  #growIndex(): void {
    const old = this.index;
    this.index = new Int32Array(old.length * 2);
    this.mask = this.index.length - 2;
    for (let i = 0; i < old.length; i += 2) {
      if (old[i] !== 0) this.#link(old[i], old[i + 1]);
    }
  }

  /** Makes room for `n` entries in all at once: what they would grow it to one by one. */
  reserve(n: number): void {
    const most = Math.min(n, this.maxEntries);
    if (most > this.marks.length) this.#grow(most);
    while (most * (this.index.length < SPARSE_WORDS ? 8 : 4) > this.index.length) this.#growIndex();
  }

  /** Makes room for at least `n` slots, doubling. */
  #grow(n: number): void {
    const want = Math.min(Math.max(n, this.marks.length * 2), this.maxEntries);
    const words = new Int32Array(want * this.stride);
    words.set(this.words);
    this.words = words;
    const marks = new Uint8Array(want);
    marks.set(this.marks);
    this.marks = marks;
  }
}
