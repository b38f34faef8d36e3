import { describe, expect, it } from "vitest";
import { LruCacheMap } from "../../../maps/lru_cache_map.js";
import { BPF_EXIST, BPF_NOEXIST, type MapSpec, NONE } from "../../../maps/spec.js";
import { dumpHex } from "../../support/maps.js";

const SPEC: MapSpec = { name: "m", type: "lru_hash", keySize: 5, valueSize: 4, maxEntries: 3 };
const key = (n: number) => Int32Array.of(n, n & 0xff);
const word = (n: number) => Int32Array.of(n);

describe("LruCacheMap", () => {
  it("evicts in strict order of use and counts evictions", () => {
    const map = new LruCacheMap(SPEC);
    for (const n of [1, 2, 3]) expect(map.update(key(n), word(n), 0)).toBe(0);
    map.lookup(key(1));
    map.peek(key(2));
    map.update(key(4), word(4), 0);
    expect(dumpHex(map)).toEqual([
      ["0100000001", "01000000"],
      ["0300000003", "03000000"],
      ["0400000004", "04000000"],
    ]);
    expect([map.evictions, map.size, map.lookup(key(2))]).toEqual([1, 3, NONE]);
  });

  it("gives the errno values of a BPF map", () => {
    const map = new LruCacheMap(SPEC);
    expect(map.update(key(1), word(1), BPF_EXIST)).toBe(-2);
    expect(map.update(key(1), word(1), 0)).toBe(0);
    expect(map.update(key(1), word(1), BPF_NOEXIST)).toBe(-17);
    expect(map.update(key(1), word(1), 7)).toBe(-22);
    expect([map.remove(key(1)), map.remove(key(1)), map.size]).toEqual([0, -2, 0]);
  });

  it("uses the rows of removed and evicted entries again", () => {
    const map = new LruCacheMap(SPEC);
    for (let n = 0; n < 1000; n++) {
      map.update(key(n), word(n), 0);
      if (n % 7 === 0) map.remove(key(n));
    }
    expect([map.size, map.words.length]).toEqual([3, 3 * map.valueWords]);
    const slot = map.lookup(key(998));
    expect(map.words[slot * map.valueWords]).toBe(998);
  });

  it("goes on from a snapshot in the same order of use", () => {
    const map = new LruCacheMap(SPEC);
    for (const n of [1, 2, 3]) map.update(key(n), word(n), 0);
    map.lookup(key(1));
    const copy = new LruCacheMap(SPEC);
    copy.restore(map.save());
    copy.update(key(4), word(4), 0);
    expect([copy.peek(key(2)), copy.peek(key(1)) !== NONE, copy.size]).toEqual([NONE, true, 3]);
    copy.clear();
    expect([copy.size, copy.dump()]).toEqual([0, []]);
  });
});
