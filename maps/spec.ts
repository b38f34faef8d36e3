// What a BPF map is, apart from the map itself: plain data that can be printed, listed and compared
// (after cilium/ebpf's MapSpec). Names of types and flags are those of linux/bpf.h.

/** Map types, as `bpftool map` and `cilium-dbg map list` name them. */
export type MapType =
  | "hash"
  | "percpu_hash"
  | "lru_hash"
  | "lru_percpu_hash"
  | "lpm_trie"
  | "array"
  | "percpu_array"
  | "prog_array"
  | "perf_event_array"
  | "array_of_maps"
  | "hash_of_maps";

/** update: create or overwrite. */
export const BPF_ANY = 0;
/** update: create only; -EEXIST if the key is there. */
export const BPF_NOEXIST = 1;
/** update: overwrite only; -ENOENT if the key is not there. */
export const BPF_EXIST = 2;

/** Slot number that a look-up gives on a miss. */
export const NONE = -1;

/** Who chooses the victim when an LRU map is full: exact least-recently-used order, or the kernel's approximation. */
export type LruPolicy = "strict" | "kernel";

/** What holds the entries of an LRU map: this project's tables, or npm's `lru-cache` (slower, for comparison). */
export type MapBackend = "table" | "lru-cache";

/** The fixed properties of a map. Sizes in bytes. */
export interface MapSpec {
  /** Name as pinned, e.g. `cilium_ct4_global`. */
  readonly name: string;
  readonly type: MapType;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** Eviction of the LRU types; default "kernel". */
  readonly lru?: LruPolicy;
  /** Per-CPU types: width in bytes of the counters that user space adds over the CPUs; default 8. */
  readonly counterSize?: 4 | 8;
  /** array_of_maps and hash_of_maps: what every inner map looks like. */
  readonly inner?: MapSpec;
}

/** `spec` under another name or of another size. */
export function resized(spec: MapSpec, maxEntries: number, name: string = spec.name): MapSpec {
  return { ...spec, name, maxEntries };
}

/**
 * The CPU that the running program is on, shared by the maps of a node: per-CPU values and the kernel's LRU lists
 * depend on it. Whoever runs programs sets `id` before each run.
 */
export class CurrentCpu {
  id = 0;

  constructor(
    /** Number of possible CPUs of the node. */
    readonly count: number = 1,
  ) {}
}
