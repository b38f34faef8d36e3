import { describe, expect, it } from "vitest";
import { LruHashMap } from "../../../maps/lru_hash_map.js";
import { BPF_EXIST, BPF_NOEXIST, CurrentCpu, type MapSpec } from "../../../maps/spec.js";

const SPEC: MapSpec = { name: "m", type: "lru_hash", keySize: 4, valueSize: 4, maxEntries: 4 };
const STRICT: MapSpec = { ...SPEC, lru: "strict" };

const word = (n: number) => Int32Array.of(n);
function fill(map: LruHashMap, from: number, to: number): void {
  for (let n = from; n < to; n++) expect(map.update(word(n), word(n * 10), 0)).toBe(0);
}
function keys(map: LruHashMap): number[] {
  const out: number[] = [];
  map.forEachSlot((_slot, k, at) => out.push(k[at]));
  return out.sort((a, b) => a - b);
}

describe("LruHashMap, strict", () => {
  it("evicts the entry that was not looked up for the longest time", () => {
    const map = new LruHashMap(STRICT);
    fill(map, 0, 4);
    map.lookup(word(0));
    map.update(word(4), word(40), 0);
    expect([keys(map), map.evictions, map.size]).toEqual([[0, 2, 3, 4], 1, 4]);
  });

  it("does not count a look-up of user space as a use", () => {
    const map = new LruHashMap(STRICT);
    fill(map, 0, 4);
    map.peek(word(0));
    map.get(Uint8Array.of(0, 0, 0, 0));
    map.update(word(4), word(40), 0);
    expect(keys(map)).toEqual([1, 2, 3, 4]);
  });

  it("counts an overwrite as a use and a refused one not", () => {
    const map = new LruHashMap(STRICT);
    fill(map, 0, 4);
    expect(map.update(word(0), word(1), 0)).toBe(0);
    expect(map.update(word(1), word(1), BPF_NOEXIST)).toBe(-17);
    expect(map.update(word(9), word(1), BPF_EXIST)).toBe(-2);
    expect(map.update(word(9), word(1), 4)).toBe(-22);
    map.update(word(4), word(40), 0);
    expect(keys(map)).toEqual([0, 2, 3, 4]);
  });

  it("takes the place of a removed entry before it evicts", () => {
    const map = new LruHashMap(STRICT);
    fill(map, 0, 4);
    expect(map.remove(word(3))).toBe(0);
    expect(map.remove(word(3))).toBe(-2);
    map.update(word(4), word(40), 0);
    expect([keys(map), map.evictions]).toEqual([[0, 1, 2, 4], 0]);
  });

  it("holds one entry with max_entries 1", () => {
    const map = new LruHashMap({ ...STRICT, maxEntries: 1 });
    fill(map, 0, 5);
    expect([keys(map), map.evictions]).toEqual([[4], 4]);
  });
});

describe("LruHashMap, kernel", () => {
  it("evicts in batches, the first one before the map is quite full", () => {
    const map = new LruHashMap({ ...SPEC, maxEntries: 1000 });
    fill(map, 0, 896);
    expect([map.size, map.evictions]).toEqual([896, 0]);
    // A CPU's free list is refilled with 128 nodes: 104 were left, so 24 entries make up the rest.
    fill(map, 896, 897);
    expect([map.size, map.evictions]).toEqual([897 - 24, 24]);
    fill(map, 897, 1024);
    expect([map.size, map.evictions]).toEqual([1000, 24]);
    fill(map, 1024, 1025);
    expect([map.size, map.evictions]).toEqual([1001 - 128, 24 + 128]);
  });

  it("takes smaller batches where the map is small for its CPUs, as Linux 6.16 does", () => {
    const cpu = new CurrentCpu(2);
    const map = new LruHashMap(SPEC, cpu);
    fill(map, 0, 4);
    fill(map, 4, 5);
    expect([keys(map), map.evictions]).toEqual([[1, 2, 3, 4], 1]);
  });

  it("spares what a program looked up, and not what user space looked up", () => {
    const map = new LruHashMap({ ...SPEC, maxEntries: 1000 });
    fill(map, 0, 800);
    for (let n = 0; n < 10; n++) map.lookup(word(n));
    for (let n = 10; n < 20; n++) map.peek(word(n));
    fill(map, 800, 1400);
    const left = keys(map);
    expect(left.filter((n) => n < 20)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it("evicts referenced entries all the same when every one is referenced", () => {
    const map = new LruHashMap({ ...SPEC, maxEntries: 8 });
    fill(map, 0, 8);
    for (let round = 0; round < 50; round++) {
      for (const n of keys(map)) map.lookup(word(n));
      expect(map.update(word(100 + round), word(1), 0)).toBe(0);
      expect(map.peek(word(100 + round))).not.toBe(-1);
    }
    expect(map.size).toBeLessThanOrEqual(8);
  });

  it("takes nodes from another CPU when its own lists and the global ones are empty", () => {
    const cpu = new CurrentCpu(2);
    const map = new LruHashMap({ ...SPEC, maxEntries: 1 }, cpu);
    fill(map, 0, 1);
    cpu.id = 1;
    fill(map, 1, 2);
    expect([keys(map), map.evictions]).toEqual([[1], 1]);
  });

  it("updates in place without changing the slot", () => {
    const map = new LruHashMap({ ...SPEC, maxEntries: 100 });
    fill(map, 0, 50);
    const slot = map.peek(word(7));
    expect(map.update(word(7), word(77), BPF_EXIST)).toBe(0);
    expect([map.peek(word(7)), map.words[slot * map.valueWords], map.size]).toEqual([slot, 77, 50]);
  });

  it("answers EEXIST, ENOENT and EINVAL and gives the node back", () => {
    const map = new LruHashMap({ ...SPEC, maxEntries: 100 });
    fill(map, 0, 2);
    for (let i = 0; i < 500; i++) {
      expect(map.update(word(0), word(1), BPF_NOEXIST)).toBe(-17);
      expect(map.update(word(5), word(1), BPF_EXIST)).toBe(-2);
      expect(map.update(word(5), word(1), 3)).toBe(-22);
    }
    expect([keys(map), map.evictions]).toEqual([[0, 1], 0]);
  });

  it("can lose the entry that EXIST was to overwrite, as the node is taken first", () => {
    const map = new LruHashMap({ ...SPEC, maxEntries: 1 });
    fill(map, 0, 1);
    expect(map.update(word(0), word(1), BPF_EXIST)).toBe(-2);
    expect([map.size, map.evictions]).toEqual([0, 1]);
  });

  it("clears and fills up again without evicting", () => {
    const map = new LruHashMap({ ...SPEC, maxEntries: 256 });
    fill(map, 0, 400);
    const before = map.evictions;
    map.clear();
    expect(map.size).toBe(0);
    fill(map, 0, 256);
    expect([map.size, map.evictions]).toEqual([256, before]);
  });

  it("goes on from a snapshot exactly as from the original", () => {
    const spec: MapSpec = { ...SPEC, maxEntries: 300 };
    const map = new LruHashMap(spec);
    fill(map, 0, 350);
    for (let n = 100; n < 200; n += 3) map.lookup(word(n));
    const copy = new LruHashMap(spec);
    copy.restore(map.save());
    for (const m of [map, copy]) fill(m, 1000, 1500);
    expect(keys(copy)).toEqual(keys(map));
    expect(copy.evictions).toBe(map.evictions);
  });

  it("keeps a full conntrack table of 524,288 entries below 100 MB", () => {
    const map = new LruHashMap({
      name: "ct",
      type: "lru_hash",
      keySize: 14,
      valueSize: 56,
      maxEntries: 524288,
    });
    const k = new Int32Array(4);
    const v = new Int32Array(14);
    for (let n = 0; n < 524288; n++) {
      k[0] = n;
      map.update(k, v, 0);
    }
    expect(map.size).toBe(524288);
    expect(map.memoryBytes).toBeLessThan(60e6);
  });
});
