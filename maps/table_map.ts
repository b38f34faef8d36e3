// The table behind every hash map: open addressing over typed arrays, grown on demand up to max_entries.
//
//   index    pairs of words (hash, slot), a power of two of them, at most half full; hash 0 = empty bucket.
//            Linear probing; the whole hash is stored, so that a probe touches a row only when it will match,
//            and growing or deleting never reads keys.
//   words    rows of value then key. A slot is a row number; it stays valid until the entry is removed.
//            Value in front and key behind it: the fields of a conntrack entry that every packet writes are the
//            last ones of the value, so that they share cache lines with the key just compared.
//   marks    one byte a slot: bit 0 = in use; the other bits belong to the eviction policy.
//
// Removal moves later buckets of the probe run back (no tombstones), so a table that has seen many removals
// is as fast as a new one.

import { PodpathError } from "../src/base/errors.js";
import { BpfMap, type MapSnapshot } from "./bpf_map.js";
import { hashWords } from "./key_hash.js";
import { type MapSpec, NONE } from "./spec.js";

/** Bit of `marks`: the slot holds an entry. */
export const MARK_USED = 1;

const MIN_BUCKETS = 16;
const MIN_SLOTS = 8;

interface TableState {
  readonly rows: Int32Array;
  readonly marks: Uint8Array;
  readonly fresh: number;
  readonly freeHead: number;
  readonly extra: unknown;
}

export abstract class TableMap extends BpfMap {
  protected index: Int32Array = new Int32Array(MIN_BUCKETS * 2);
  /** Mask of a position in `index`, always even. */
  protected mask: number = MIN_BUCKETS * 2 - 2;
  protected marks: Uint8Array;
  /** Word of the key within a row. */
  protected readonly keyAt: number;
  protected count = 0;
  /** Slots from here on have never been used. */
  protected fresh = 0;
  /** Freed slots, chained through word 0 of their rows; -1 = none. */
  protected freeHead = -1;

  protected constructor(spec: MapSpec, valueWords: number = ((spec.valueSize + 7) & ~7) >> 2) {
    const slots = Math.min(MIN_SLOTS, spec.maxEntries);
    super(spec, slots, valueWords + ((spec.keySize + 3) >> 2));
    this.keyAt = valueWords;
    this.marks = new Uint8Array(slots);
  }

  override get size(): number {
    return this.count;
  }

  /** Bytes of memory that the table occupies now. */
  memoryBytes(): number {
    return this.words.byteLength + this.index.byteLength + this.marks.byteLength;
  }

  /** First word, within `words`, of the key of `slot`. */
  keyWordOf(slot: number): number {
    return slot * this.valueWords + this.keyAt;
  }

  override forEachSlot(visit: (slot: number, keys: Int32Array, keyWord: number) => void): void {
    // In slot order, by the marks: `visit` may remove what it is shown, and what it adds may or may not be shown.
    for (let slot = 0; slot < this.fresh; slot++) {
      if ((this.marks[slot] & MARK_USED) !== 0) visit(slot, this.words, slot * this.valueWords + this.keyAt);
    }
  }

  override clear(): void {
    this.index.fill(0);
    this.marks.fill(0);
    this.count = 0;
    this.fresh = 0;
    this.freeHead = -1;
  }

  override save(): MapSnapshot {
    const state: TableState = {
      rows: this.words.slice(0, this.fresh * this.valueWords),
      marks: this.marks.slice(0, this.fresh),
      fresh: this.fresh,
      freeHead: this.freeHead,
      extra: this.saveExtra(),
    };
    return { name: this.spec.name, size: this.count, state };
  }

  override restore(snapshot: MapSnapshot): void {
    const s = snapshot.state as TableState;
    if (s.rows.length !== s.fresh * this.valueWords || s.fresh > this.spec.maxEntries) {
      throw new PodpathError(
        "MAP_LAYOUT",
        `map ${this.spec.name}: the snapshot is of another layout (${snapshot.name})`,
      );
    }
    TableMap.prototype.clear.call(this);
    this.ensureSlots(s.fresh);
    this.words.set(s.rows);
    this.marks.set(s.marks);
    this.fresh = s.fresh;
    this.freeHead = s.freeHead;
    this.count = snapshot.size;
    this.sizeIndex(this.count);
    for (let slot = 0; slot < this.fresh; slot++) {
      if ((this.marks[slot] & MARK_USED) !== 0) this.link(this.hashOfSlot(slot), slot);
    }
    this.restoreExtra(s.extra);
  }

  /** What a subclass adds to a snapshot. */
  protected saveExtra(): unknown {
    return undefined;
  }

  protected restoreExtra(_extra: unknown): void {}

  /** Slot of the entry with this key, or NONE. */
  protected find(key: Int32Array): number {
    const rows = this.words;
    const index = this.index;
    const mask = this.mask;
    const stride = this.valueWords;
    const n = this.keyWords;
    const h = hashWords(key, 0, n);
    let i = (h << 1) & mask;
    for (;;) {
      const t = index[i];
      if (t === h) {
        const slot = index[i + 1];
        const at = Math.imul(slot, stride) + this.keyAt;
        if (n === 4) {
          if (
            rows[at] === key[0] &&
            rows[at + 1] === key[1] &&
            rows[at + 2] === key[2] &&
            rows[at + 3] === key[3]
          ) {
            return slot;
          }
        } else {
          let k = 0;
          while (k < n && rows[at + k] === key[k]) k++;
          if (k === n) return slot;
        }
      } else if (t === 0) {
        return NONE;
      }
      i = (i + 2) & mask;
    }
  }

  /** Takes a slot from the freed ones, else a fresh one. The caller knows that there is one. */
  protected takeSlot(): number {
    const slot = this.freeHead;
    if (slot >= 0) {
      this.freeHead = this.words[slot * this.valueWords];
      return slot;
    }
    const fresh = this.fresh;
    if (fresh === this.marks.length) this.ensureSlots(fresh + 1);
    this.fresh = fresh + 1;
    return fresh;
  }

  /** Gives a slot back that is no longer in the index. */
  protected freeSlot(slot: number): void {
    this.marks[slot] = 0;
    this.words[slot * this.valueWords] = this.freeHead;
    this.freeHead = slot;
  }

  /** Writes key and value of a slot and puts it into the index. The key must not be in the table. */
  protected fill(slot: number, key: Int32Array, value: Int32Array): void {
    this.fillPart(slot, key, value, 0);
  }

  /** `fill` of a row that holds more than one value: this one begins at word `part`, the rest is zero. */
  protected fillPart(slot: number, key: Int32Array, value: Int32Array, part: number): void {
    const rows = this.words;
    const at = slot * this.valueWords;
    const end = part + this.dataWords;
    const keyAt = this.keyAt;
    for (let k = 0; k < part; k++) rows[at + k] = 0;
    for (let k = part; k < end; k++) rows[at + k] = value[k - part];
    for (let k = end; k < keyAt; k++) rows[at + k] = 0;
    const n = this.keyWords;
    for (let k = 0; k < n; k++) rows[at + keyAt + k] = key[k];
    this.marks[slot] |= MARK_USED;
    this.count++;
    // Two words a bucket, so "at most half full" is count * 4 <= words of the index.
    if (this.count * 4 > this.index.length) this.sizeIndex(this.count);
    this.link(this.hashKey(key), slot);
  }

  /** Overwrites the value of a slot. */
  protected writeValue(slot: number, value: Int32Array): void {
    const rows = this.words;
    const at = slot * this.valueWords;
    const n = this.dataWords;
    for (let k = 0; k < n; k++) rows[at + k] = value[k];
  }

  /** Takes a slot out of the index; its row stays as it is. */
  protected unlink(slot: number): void {
    const index = this.index;
    const mask = this.mask;
    let i = (this.hashOfSlot(slot) << 1) & mask;
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

  /** Hash of a key; tries override it, as they hash a prefix only. */
  protected hashKey(key: Int32Array): number {
    return hashWords(key, 0, this.keyWords);
  }

  /** The same hash, of the key of a slot. */
  protected hashOfSlot(slot: number): number {
    return hashWords(this.words, slot * this.valueWords + this.keyAt, this.keyWords);
  }

  /** Puts a (hash, slot) pair into the first empty bucket of its run. */
  protected link(h: number, slot: number): void {
    const index = this.index;
    const mask = this.mask;
    let i = (h << 1) & mask;
    while (index[i] !== 0) i = (i + 2) & mask;
    index[i] = h;
    index[i + 1] = slot;
  }

  /** Makes the index large enough for `count` entries; never shrinks it. */
  protected sizeIndex(count: number): void {
    let length = this.index.length;
    while (count * 4 > length) length *= 2;
    if (length === this.index.length) return;
    const old = this.index;
    this.index = new Int32Array(length);
    this.mask = length - 2;
    for (let i = 0; i < old.length; i += 2) {
      if (old[i] !== 0) this.link(old[i], old[i + 1]);
    }
  }

  /** Makes room for at least `n` slots, doubling. */
  protected ensureSlots(n: number): void {
    const have = this.marks.length;
    if (n <= have) return;
    const want = Math.min(Math.max(n, have * 2), this.spec.maxEntries);
    const old = this.words;
    this.setBuffer(new ArrayBuffer(want * this.valueStride));
    this.words.set(old);
    const marks = new Uint8Array(want);
    marks.set(this.marks);
    this.marks = marks;
  }
}
