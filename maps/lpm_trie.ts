// BPF_MAP_TYPE_LPM_TRIE, after kernel/bpf/lpm_trie.c: longest-prefix match.
//
//   key: u32 prefixlen (host order) | data bytes, most significant bit of the first byte first
//
// Differs from the kernel: no trie. One hash table holds all entries under (prefix length, masked data), and a
// look-up tries the prefix lengths in use, longest first. Cilium's tries use few lengths (policy: 40, 48, 64 and
// the port ranges between; ipcache: 64 for nearly everything) and look up full-length keys, so this touches one or
// two cache lines a length where a trie walks a pointer for every differing bit. Results are the same. A filter over
// the first data word (the identity of a policy key) tells which lengths are worth trying, so that port ranges of one
// identity do not slow the others down.

import { EEXIST, EINVAL, ENOENT, ENOSPC } from "../src/base/errno.js";
import { PodpathError } from "../src/base/errors.js";
import { HASH_SEED, hashEnd, hashPrefix64, hashStep } from "./key_hash.js";
import { BPF_EXIST, BPF_NOEXIST, type MapSpec, NONE } from "./spec.js";
import { TableMap } from "./table_map.js";

/** BPF's limit of LPM data: 256 bytes. */
const MAX_DATA_BYTES = 256;

/** For r = 0..31 the bits of a little-endian word that the first r prefix bits cover. */
const PARTIAL = new Int32Array(32);
for (let r = 0; r < 32; r++) {
  for (let bit = 0; bit < r; bit++) PARTIAL[r] |= 1 << ((bit & ~7) | (7 - (bit & 7)));
}

/** Bits that a prefix of 0..64 bits covers in the first and in the second data word. */
const MASK_LO = new Int32Array(65);
const MASK_HI = new Int32Array(65);
for (let len = 0; len <= 64; len++) {
  MASK_LO[len] = len >= 32 ? -1 : PARTIAL[len];
  MASK_HI[len] = len === 64 ? -1 : len > 32 ? PARTIAL[len - 32] : 0;
}

/** Multiplier that spreads the first data word over the filter. */
const FILTER_MUL = 0x9e3779b1 | 0;
const MIN_FILTER_BITS = 6;

export class LpmTrie extends TableMap {
  /** Bits of data: the longest prefix. */
  readonly maxPrefixlen: number;
  /** Entries of each prefix length. */
  readonly #perLength: Int32Array;
  /** The lengths in use, longest first, and where in the list those of at most 64 and at most 32 bits begin. */
  #lengths = new Int32Array(0);
  #from64 = 0;
  #from32 = 0;
  /**
   * Which lengths of 33 to 64 bits exist beside a given first data word: bit (length - 33), in the place that the
   * word hashes to. Entries whose words share a place share their bits, and a removal leaves its bit behind until
   * the filter is made again; a bit too many only costs a probe.
   */
  #filter = new Int32Array(1 << MIN_FILTER_BITS);
  #filterShift = 32 - MIN_FILTER_BITS;
  /** Hash states after 0, 1, 2 ... whole words of the key being looked up. */
  readonly #states: Int32Array;

  constructor(spec: MapSpec) {
    if (spec.keySize < 5 || spec.keySize > 4 + MAX_DATA_BYTES) {
      throw new PodpathError(
        "MAP_SPEC",
        `map ${spec.name}: an LPM key has 1 to 256 bytes behind its u32 prefixlen`,
      );
    }
    super(spec);
    this.maxPrefixlen = (spec.keySize - 4) * 8;
    this.#perLength = new Int32Array(this.maxPrefixlen + 1);
    this.#states = new Int32Array(this.keyWords + 1);
  }

  /** Slot of the longest prefix that covers the key and is not longer than the key's own prefixlen, or NONE. */
  override lookup(key: Int32Array): number {
    const limit = key[0] >>> 0;
    if (limit > this.maxPrefixlen) return NONE;
    if (limit > 64) {
      const slot = this.#lookupLong(key, limit);
      if (slot >= 0) return slot;
    }
    // Prefixes of up to 64 bits, which is all there are in the maps of IPv4 and in the policy maps.
    const table = this.table;
    const index = table.index;
    const mask = table.mask;
    const rows = table.words;
    const stride = table.stride;
    const keyAt = table.keyAt;
    const lo = key[1];
    if (limit > 32) {
      const hi = key[2];
      let lengths = this.#filter[Math.imul(lo, FILTER_MUL) >>> this.#filterShift];
      // Bits above limit - 33 are of longer prefixes.
      if (limit < 64) lengths &= (2 << (limit - 33)) - 1;
      while (lengths !== 0) {
        const bit = 31 - Math.clz32(lengths);
        lengths ^= 1 << bit;
        const len = bit + 33;
        const maskHi = MASK_HI[len];
        const h = hashPrefix64(lo, hi & maskHi, len);
        for (let i = (h << 1) & mask; index[i] !== 0; i = (i + 2) & mask) {
          if (index[i] !== h) continue;
          const slot = index[i + 1];
          const at = Math.imul(slot, stride) + keyAt;
          if (rows[at] === len && rows[at + 1] === lo && ((rows[at + 2] ^ hi) & maskHi) === 0) return slot;
        }
      }
    }
    const lengths = this.#lengths;
    for (let l = this.#from32; l < lengths.length; l++) {
      const len = lengths[l];
      if (len > limit) continue;
      const maskLo = MASK_LO[len];
      const h = hashPrefix64(lo & maskLo, 0, len);
      for (let i = (h << 1) & mask; index[i] !== 0; i = (i + 2) & mask) {
        if (index[i] !== h) continue;
        const slot = index[i + 1];
        const at = Math.imul(slot, stride) + keyAt;
        if (rows[at] === len && ((rows[at + 1] ^ lo) & maskLo) === 0) return slot;
      }
    }
    return NONE;
  }

  /** The part of a look-up that tries prefixes of more than 64 bits. */
  #lookupLong(key: Int32Array, limit: number): number {
    const lengths = this.#lengths;
    const states = this.#states;
    const { index, mask, words: rows, stride, keyAt } = this.table;
    // The states of the first (longest) length serve all shorter ones.
    let have = 0;
    states[0] = HASH_SEED;
    for (let l = 0; l < this.#from64; l++) {
      const len = lengths[l];
      if (len > limit) continue;
      const whole = len >>> 5;
      const part = PARTIAL[len & 31];
      while (have < whole) {
        const state = hashStep(states[have], key[have + 1], have);
        states[++have] = state;
      }
      let h = states[whole];
      let last = 0;
      if (part !== 0) {
        last = key[whole + 1] & part;
        h = hashStep(h, last, whole);
      }
      h = hashEnd(h ^ len);
      for (let i = (h << 1) & mask; index[i] !== 0; i = (i + 2) & mask) {
        if (index[i] !== h) continue;
        const slot = index[i + 1];
        const at = Math.imul(slot, stride) + keyAt;
        if (rows[at] !== len || (part !== 0 && (rows[at + whole + 1] & part) !== last)) continue;
        let k = 1;
        while (k <= whole && rows[at + k] === key[k]) k++;
        if (k > whole) return slot;
      }
    }
    return NONE;
  }

  /** The same: tries have no order of use. */
  override peek(key: Int32Array): number {
    return this.lookup(key);
  }

  /** Slot of the entry with exactly this prefix, or NONE. */
  exact(key: Int32Array): number {
    const len = key[0] >>> 0;
    if (len > this.maxPrefixlen || this.#perLength[len] === 0) return NONE;
    const whole = len >>> 5;
    const part = PARTIAL[len & 31];
    const h = this.#hashPrefix(key);
    const { index, mask, words: rows, stride, keyAt } = this.table;
    for (let i = (h << 1) & mask; index[i] !== 0; i = (i + 2) & mask) {
      if (index[i] !== h) continue;
      const slot = index[i + 1];
      const at = slot * stride + keyAt;
      if (rows[at] !== len || ((rows[at + whole + 1] ^ key[whole + 1]) & part) !== 0) continue;
      let k = 1;
      while (k <= whole && rows[at + k] === key[k]) k++;
      if (k > whole) return slot;
    }
    return NONE;
  }

  /** 0, -ENOSPC when full, -EEXIST, -ENOENT by the flags, -EINVAL for bad flags or a prefix too long. */
  override update(key: Int32Array, value: Int32Array, flags: number): number {
    if (flags > BPF_EXIST || flags < 0) return -EINVAL;
    const len = key[0] >>> 0;
    if (len > this.maxPrefixlen) return -EINVAL;
    const table = this.table;
    const slot = this.exact(key);
    if (slot !== NONE) {
      if (flags === BPF_NOEXIST) return -EEXIST;
      table.write(slot, value, 0);
      // Bits behind the prefix are stored as given, and a new node brings its own.
      const at = slot * table.stride + table.keyAt;
      for (let k = 1; k < this.keyWords; k++) table.words[at + k] = key[k];
      return 0;
    }
    if (flags === BPF_EXIST) return -ENOENT;
    if (table.count >= this.spec.maxEntries) return -ENOSPC;
    table.fill(table.take(), key, this.#hashPrefix(key), value, 0);
    this.sync();
    if (this.#perLength[len]++ === 0) this.#listLengths();
    if (table.count > this.#filter.length) this.#makeFilter(this.#filter.length * 2);
    else this.#addToFilter(len, key[1]);
    return 0;
  }

  /** Removes exactly this prefix: 0, -ENOENT, or -EINVAL for a prefix too long. */
  override remove(key: Int32Array): number {
    const len = key[0] >>> 0;
    if (len > this.maxPrefixlen) return -EINVAL;
    const slot = this.exact(key);
    if (slot === NONE) return -ENOENT;
    // The given key has the same prefix, so it hashes alike.
    this.table.unlink(slot, this.#hashPrefix(key));
    this.table.free(slot);
    if (--this.#perLength[len] === 0) {
      this.#listLengths();
      this.#makeFilter(this.#filter.length);
    }
    return 0;
  }

  override clear(): void {
    super.clear();
    this.#perLength.fill(0);
    this.#filter.fill(0);
    this.#listLengths();
  }

  protected override restoreExtra(_extra: unknown): void {
    this.#perLength.fill(0);
    this.forEachSlot((_slot, keys, at) => {
      this.#perLength[keys[at]]++;
    });
    this.#listLengths();
    let size = 1 << MIN_FILTER_BITS;
    while (size < this.size) size *= 2;
    this.#makeFilter(size);
  }

  /** Makes the filter again, from the entries there are. */
  #makeFilter(size: number): void {
    this.#filter = new Int32Array(size);
    this.#filterShift = 1 + Math.clz32(size);
    this.forEachSlot((_slot, keys, at) => this.#addToFilter(keys[at], keys[at + 1]));
  }

  /** Notes that there is an entry of this length beside the data word. */
  #addToFilter(len: number, lo: number): void {
    if (len < 33 || len > 64) return;
    this.#filter[Math.imul(lo, FILTER_MUL) >>> this.#filterShift] |= 1 << (len - 33);
  }

  /** Hash of the prefix of a key; bits behind it do not count. */
  #hashPrefix(key: Int32Array): number {
    const len = key[0];
    if (len <= 64) {
      const hi = this.keyWords > 2 ? key[2] & MASK_HI[len] : 0;
      return hashPrefix64(key[1] & MASK_LO[len], hi, len);
    }
    const whole = len >>> 5;
    const part = PARTIAL[len & 31];
    let h = HASH_SEED;
    for (let k = 1; k <= whole; k++) h = hashStep(h, key[k], k - 1);
    if (part !== 0) h = hashStep(h, key[whole + 1] & part, whole);
    return hashEnd(h ^ len);
  }

  /** Lists the lengths in use anew. */
  #listLengths(): void {
    const lengths: number[] = [];
    for (let len = this.maxPrefixlen; len >= 0; len--) if (this.#perLength[len] > 0) lengths.push(len);
    this.#lengths = Int32Array.from(lengths);
    this.#from64 = lengths.filter((len) => len > 64).length;
    this.#from32 = lengths.filter((len) => len > 32).length;
  }
}
