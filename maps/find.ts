// The look-up of a table, written out for each length of key that Cilium's maps have.
//
//   1 backend id, rev NAT index, IPv4 neighbour   2 metrics, affinity match, throttle   3 IPv4 service, policy
//   statistics, IPv4 fragment, auth   4 IPv4 tuple (conntrack, NAT)   5 endpoint, node   6 IPv6 service
//   10 IPv6 tuple
//
// One loop over the words would do, and does for other lengths. But a packet makes some fifteen look-ups, and loops in
// hash and comparison add 2 to 12 ns to each of 12 to 20.

import { hash1, hash2, hash3, hash4, hash5, hash6, hash10, hashWords } from "./key_hash.js";
import { NONE } from "./spec.js";
import type { Table } from "./table.js";

/** Slot of the entry with this key in a table of keys of any length, or NONE. */
export function findAny(table: Table, key: Int32Array): number {
  const n = table.keyWords;
  const h = hashWords(key, 0, n);
  const index = table.index;
  const mask = table.mask;
  for (let i = (h << 1) & mask; ; i = (i + 2) & mask) {
    const t = index[i];
    if (t === h) {
      const rows = table.words;
      const slot = index[i + 1];
      const at = Math.imul(slot, table.stride) + table.keyAt;
      let k = 0;
      while (k < n && rows[at + k] === key[k]) k++;
      if (k === n) return slot;
    } else if (t === 0) {
      return NONE;
    }
  }
}

/** Keys of 1 word. */
export function find1(table: Table, key: Int32Array): number {
  const k0 = key[0];
  const h = hash1(k0);
  const index = table.index;
  const mask = table.mask;
  for (let i = (h << 1) & mask; ; i = (i + 2) & mask) {
    const t = index[i];
    if (t === h) {
      const rows = table.words;
      const slot = index[i + 1];
      const at = Math.imul(slot, table.stride) + table.keyAt;
      if (rows[at] === k0) return slot;
    } else if (t === 0) {
      return NONE;
    }
  }
}

/** Keys of 2 words. */
export function find2(table: Table, key: Int32Array): number {
  const k0 = key[0];
  const k1 = key[1];
  const h = hash2(k0, k1);
  const index = table.index;
  const mask = table.mask;
  for (let i = (h << 1) & mask; ; i = (i + 2) & mask) {
    const t = index[i];
    if (t === h) {
      const rows = table.words;
      const slot = index[i + 1];
      const at = Math.imul(slot, table.stride) + table.keyAt;
      if (rows[at] === k0 && rows[at + 1] === k1) return slot;
    } else if (t === 0) {
      return NONE;
    }
  }
}

/** Keys of 3 words. */
export function find3(table: Table, key: Int32Array): number {
  const k0 = key[0];
  const k1 = key[1];
  const k2 = key[2];
  const h = hash3(k0, k1, k2);
  const index = table.index;
  const mask = table.mask;
  for (let i = (h << 1) & mask; ; i = (i + 2) & mask) {
    const t = index[i];
    if (t === h) {
      const rows = table.words;
      const slot = index[i + 1];
      const at = Math.imul(slot, table.stride) + table.keyAt;
      if (rows[at] === k0 && rows[at + 1] === k1 && rows[at + 2] === k2) return slot;
    } else if (t === 0) {
      return NONE;
    }
  }
}

/** Keys of 4 words. */
export function find4(table: Table, key: Int32Array): number {
  const k0 = key[0];
  const k1 = key[1];
  const k2 = key[2];
  const k3 = key[3];
  const h = hash4(k0, k1, k2, k3);
  const index = table.index;
  const mask = table.mask;
  for (let i = (h << 1) & mask; ; i = (i + 2) & mask) {
    const t = index[i];
    if (t === h) {
      const rows = table.words;
      const slot = index[i + 1];
      const at = Math.imul(slot, table.stride) + table.keyAt;
      if (rows[at] === k0 && rows[at + 1] === k1 && rows[at + 2] === k2 && rows[at + 3] === k3) return slot;
    } else if (t === 0) {
      return NONE;
    }
  }
}

/** Keys of 5 words. */
export function find5(table: Table, key: Int32Array): number {
  const k0 = key[0];
  const k1 = key[1];
  const k2 = key[2];
  const k3 = key[3];
  const k4 = key[4];
  const h = hash5(k0, k1, k2, k3, k4);
  const index = table.index;
  const mask = table.mask;
  for (let i = (h << 1) & mask; ; i = (i + 2) & mask) {
    const t = index[i];
    if (t === h) {
      const rows = table.words;
      const slot = index[i + 1];
      const at = Math.imul(slot, table.stride) + table.keyAt;
      if (
        rows[at] === k0 &&
        rows[at + 1] === k1 &&
        rows[at + 2] === k2 &&
        rows[at + 3] === k3 &&
        rows[at + 4] === k4
      )
        return slot;
    } else if (t === 0) {
      return NONE;
    }
  }
}

/** Keys of 6 words. */
export function find6(table: Table, key: Int32Array): number {
  const k0 = key[0];
  const k1 = key[1];
  const k2 = key[2];
  const k3 = key[3];
  const k4 = key[4];
  const k5 = key[5];
  const h = hash6(k0, k1, k2, k3, k4, k5);
  const index = table.index;
  const mask = table.mask;
  for (let i = (h << 1) & mask; ; i = (i + 2) & mask) {
    const t = index[i];
    if (t === h) {
      const rows = table.words;
      const slot = index[i + 1];
      const at = Math.imul(slot, table.stride) + table.keyAt;
      if (
        rows[at] === k0 &&
        rows[at + 1] === k1 &&
        rows[at + 2] === k2 &&
        rows[at + 3] === k3 &&
        rows[at + 4] === k4 &&
        rows[at + 5] === k5
      )
        return slot;
    } else if (t === 0) {
      return NONE;
    }
  }
}

/** Keys of 10 words. */
export function find10(table: Table, key: Int32Array): number {
  const k0 = key[0];
  const k1 = key[1];
  const k2 = key[2];
  const k3 = key[3];
  const k4 = key[4];
  const k5 = key[5];
  const k6 = key[6];
  const k7 = key[7];
  const k8 = key[8];
  const k9 = key[9];
  const h = hash10(k0, k1, k2, k3, k4, k5, k6, k7, k8, k9);
  const index = table.index;
  const mask = table.mask;
  for (let i = (h << 1) & mask; ; i = (i + 2) & mask) {
    const t = index[i];
    if (t === h) {
      const rows = table.words;
      const slot = index[i + 1];
      const at = Math.imul(slot, table.stride) + table.keyAt;
      if (
        rows[at] === k0 &&
        rows[at + 1] === k1 &&
        rows[at + 2] === k2 &&
        rows[at + 3] === k3 &&
        rows[at + 4] === k4 &&
        rows[at + 5] === k5 &&
        rows[at + 6] === k6 &&
        rows[at + 7] === k7 &&
        rows[at + 8] === k8 &&
        rows[at + 9] === k9
      )
        return slot;
    } else if (t === 0) {
      return NONE;
    }
  }
}
