import { describe, expect, it } from "vitest";
import { ArrayMap } from "../../../maps/array_map.js";
import { createMap } from "../../../maps/create.js";
import { HashMap } from "../../../maps/hash_map.js";
import { LpmTrie } from "../../../maps/lpm_trie.js";
import { LruCacheMap } from "../../../maps/lru_cache_map.js";
import { LruHashMap } from "../../../maps/lru_hash_map.js";
import { LruPercpuHashMap, PercpuArrayMap, PercpuHashMap } from "../../../maps/percpu_map.js";
import type { MapSpec } from "../../../maps/spec.js";

const SPEC = { name: "m", keySize: 4, valueSize: 8, maxEntries: 2 };
const specOf = (type: MapSpec["type"]): MapSpec => ({ ...SPEC, type, keySize: type === "lpm_trie" ? 8 : 4 });

describe("createMap", () => {
  it("makes the class of each keyed type", () => {
    const made = (
      ["hash", "lru_hash", "lpm_trie", "array", "percpu_hash", "lru_percpu_hash", "percpu_array"] as const
    ).map((type) => createMap(specOf(type)).constructor);
    expect(made).toEqual([
      HashMap,
      LruHashMap,
      LpmTrie,
      ArrayMap,
      PercpuHashMap,
      LruPercpuHashMap,
      PercpuArrayMap,
    ]);
  });

  it("puts LRU maps, and only these, on lru-cache when told to", () => {
    expect(createMap(specOf("lru_hash"), { backend: "lru-cache" })).toBeInstanceOf(LruCacheMap);
    expect(createMap(specOf("hash"), { backend: "lru-cache" })).toBeInstanceOf(HashMap);
  });

  it("refuses types that are no keyed tables", () => {
    for (const type of ["prog_array", "perf_event_array", "hash_of_maps", "array_of_maps"] as const) {
      expect(() => createMap(specOf(type))).toThrow(`map m: type ${type} is not a keyed table`);
    }
  });
});
