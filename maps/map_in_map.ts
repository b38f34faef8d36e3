// BPF_MAP_TYPE_ARRAY_OF_MAPS and HASH_OF_MAPS, after kernel/bpf/map_in_map.c: the value of an entry is another map.
// Slots of the outer map number the inner maps; user space sees the id of an inner map (u32) as value.

import { E2BIG, EEXIST, EINVAL, ENOENT } from "../src/base/errno.js";
import { PodpathError } from "../src/base/errors.js";
import { ArrayMap } from "./array_map.js";
import type { BpfMap, MapSnapshot } from "./bpf_map.js";
import { HashMap } from "./hash_map.js";
import { BPF_EXIST, BPF_NOEXIST, type MapSpec, NONE } from "./spec.js";

/** True if a map of `spec` may stand where `inner` is required (bpf_map_meta_equal). */
export function fitsInner(inner: MapSpec, spec: MapSpec): boolean {
  return (
    spec.type === inner.type &&
    spec.keySize === inner.keySize &&
    spec.valueSize === inner.valueSize &&
    (spec.type !== "array" || spec.maxEntries === inner.maxEntries)
  );
}

export class MapOfMaps<M extends BpfMap> {
  /** Holds the keys; its slots index `#inner`. */
  readonly #outer: HashMap | ArrayMap;
  /** By slot of the outer map. */
  #inner: (M | null)[] = [];
  /** Value of an entry being written: the number of the inner map. */
  readonly #id = new Int32Array(2);
  #nextId = 1;
  /** What an inner map must look like. */
  readonly innerSpec: MapSpec;

  constructor(readonly spec: MapSpec) {
    if (spec.inner === undefined || spec.valueSize !== 4) {
      throw new PodpathError(
        "MAP_SPEC",
        `map ${spec.name}: a map of maps needs an inner spec and 4-byte values`,
      );
    }
    this.innerSpec = spec.inner;
    this.#outer = spec.type === "array_of_maps" ? new ArrayMap(spec) : new HashMap(spec);
  }

  /** Entries that hold a map. */
  get size(): number {
    let n = 0;
    for (const m of this.#inner) if (m) n++;
    return n;
  }

  /** A program's look-up: the inner map, or null. Allocates nothing. */
  lookup(key: Int32Array): M | null {
    const slot = this.#outer.lookup(key);
    return slot < 0 ? null : (this.#inner[slot] ?? null);
  }

  /** 0; -EINVAL for a map of the wrong shape or bad flags, and the errno values of the outer type. */
  update(key: Int32Array, map: M, flags = 0): number {
    if (!fitsInner(this.innerSpec, map.spec)) return -EINVAL;
    if (flags > BPF_EXIST || flags < 0) return -EINVAL;
    if (this.#outer instanceof ArrayMap) {
      // An array of maps takes BPF_ANY only (bpf_fd_array_map_update_elem).
      if (flags !== 0) return -EINVAL;
      if (this.#outer.lookup(key) === NONE) return -E2BIG;
    } else {
      const there = this.#outer.peek(key) !== NONE;
      if (there && flags === BPF_NOEXIST) return -EEXIST;
      if (!there && flags === BPF_EXIST) return -ENOENT;
    }
    this.#id[0] = this.#nextId++;
    const ret = this.#outer.update(key, this.#id, 0);
    if (ret !== 0) return ret;
    this.#inner[this.#outer.peek(key)] = map;
    return 0;
  }

  /** 0 or -ENOENT; -E2BIG beyond an array. */
  remove(key: Int32Array): number {
    const slot = this.#outer.peek(key);
    if (slot === NONE) return this.#outer instanceof ArrayMap ? -E2BIG : -ENOENT;
    if (!this.#inner[slot]) return -ENOENT;
    this.#inner[slot] = null;
    if (this.#outer instanceof HashMap) this.#outer.remove(key);
    return 0;
  }

  /** Forgets all inner maps; they stay as they are. */
  clear(): void {
    this.#outer.clear();
    this.#inner = [];
  }

  /** Calls `visit` with a copy of each key and its map, in slot order. */
  forEach(visit: (key: Uint8Array, map: M) => void): void {
    this.#outer.forEachSlot((slot, keys, at) => {
      const map = this.#inner[slot];
      if (!map) return;
      visit(new Uint8Array(keys.buffer, keys.byteOffset + at * 4, this.spec.keySize).slice(), map);
    });
  }

  /** Outer and inner state. Inner maps made later are forgotten by `restore`. */
  save(): MapSnapshot {
    const inner = this.#inner.map((m) => (m ? { map: m, state: m.save() } : null));
    return {
      name: this.spec.name,
      size: this.size,
      state: { outer: this.#outer.save(), inner, nextId: this.#nextId },
    };
  }

  /** Puts the inner maps of the snapshot back and their contents. */
  restore(snapshot: MapSnapshot): void {
    const s = snapshot.state as {
      outer: MapSnapshot;
      inner: ({ map: M; state: MapSnapshot } | null)[];
      nextId: number;
    };
    this.#outer.restore(s.outer);
    this.#nextId = s.nextId;
    this.#inner = s.inner.map((e) => {
      if (!e) return null;
      e.map.restore(e.state);
      return e.map;
    });
  }
}
