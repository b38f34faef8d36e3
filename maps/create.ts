// From spec to live map.

import { PodpathError } from "../src/base/errors.js";
import { ArrayMap } from "./array_map.js";
import type { BpfMap } from "./bpf_map.js";
import { HashMap } from "./hash_map.js";
import { LpmTrie } from "./lpm_trie.js";
import { LruCacheMap } from "./lru_cache_map.js";
import { LruHashMap } from "./lru_hash_map.js";
import { LruPercpuHashMap, PercpuArrayMap, PercpuHashMap } from "./percpu_map.js";
import { CurrentCpu, type MapBackend, type MapSpec } from "./spec.js";

export interface CreateMapOptions {
  /** CPUs of the node and which one runs; needed by the per-CPU types, used by the kernel's LRU. */
  readonly cpu?: CurrentCpu;
  /** What holds LRU maps; default "table". */
  readonly backend?: MapBackend;
}

/**
 * Makes a keyed map of the type that the spec names. Throws MAP_SPEC for types that are no keyed tables
 * (prog_array, perf_event_array, maps of maps: these have classes of their own).
 */
export function createMap(spec: MapSpec, options: CreateMapOptions = {}): BpfMap {
  const cpu = options.cpu ?? new CurrentCpu();
  switch (spec.type) {
    case "hash":
      return new HashMap(spec);
    case "lru_hash":
      return options.backend === "lru-cache" ? new LruCacheMap(spec) : new LruHashMap(spec, cpu);
    case "lpm_trie":
      return new LpmTrie(spec);
    case "array":
      return new ArrayMap(spec);
    case "percpu_hash":
      return new PercpuHashMap(spec, cpu);
    case "lru_percpu_hash":
      return new LruPercpuHashMap(spec, cpu);
    case "percpu_array":
      return new PercpuArrayMap(spec, cpu);
    default:
      throw new PodpathError("MAP_SPEC", `map ${spec.name}: type ${spec.type} is not a keyed table`);
  }
}
