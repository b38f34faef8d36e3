import { describe, expect, it } from "vitest";
import { createMap } from "../../../maps/create.js";
import { HashMap } from "../../../maps/hash_map.js";
import { BPF_EXIST, BPF_NOEXIST, type MapSpec, NONE } from "../../../maps/spec.js";
import { toHex } from "../../../src/net/view.js";
import { dumpHex } from "../../support/maps.js";

const SPEC: MapSpec = { name: "m", type: "hash", keySize: 6, valueSize: 5, maxEntries: 3 };
const E2BIG = -7;
const ENOENT = -2;
const EEXIST = -17;
const EINVAL = -22;

const key = (n: number) => Int32Array.of(n, n & 0xffff);
const value = (n: number) => Int32Array.of(n, n & 0xff);
/** First value word behind a key, or undefined. */
function read(map: HashMap, n: number): number | undefined {
  const slot = map.lookup(key(n));
  return slot === NONE ? undefined : map.words[slot * map.valueWords];
}

describe("HashMap", () => {
  it("creates with ANY and NOEXIST, overwrites with ANY and EXIST", () => {
    const map = new HashMap(SPEC);
    expect(map.update(key(1), value(10), BPF_NOEXIST)).toBe(0);
    expect(map.update(key(1), value(11), BPF_EXIST)).toBe(0);
    expect(map.update(key(1), value(12), 0)).toBe(0);
    expect(map.update(key(2), value(20), 0)).toBe(0);
    expect([map.size, read(map, 1), read(map, 2), read(map, 3)]).toEqual([2, 12, 20, undefined]);
  });

  it("answers EEXIST, ENOENT and EINVAL as the flags say, and changes nothing then", () => {
    const map = new HashMap(SPEC);
    map.update(key(1), value(10), 0);
    expect(map.update(key(1), value(11), BPF_NOEXIST)).toBe(EEXIST);
    expect(map.update(key(2), value(20), BPF_EXIST)).toBe(ENOENT);
    expect(map.update(key(1), value(11), 3)).toBe(EINVAL);
    expect(map.update(key(1), value(11), -1)).toBe(EINVAL);
    expect(dumpHex(map)).toEqual([["010000000100", "0a0000000a"]]);
  });

  it("answers E2BIG when full, still overwrites, and takes a new key after a removal", () => {
    const map = new HashMap(SPEC);
    for (const n of [1, 2, 3]) expect(map.update(key(n), value(n), 0)).toBe(0);
    expect(map.update(key(4), value(4), 0)).toBe(E2BIG);
    expect(map.update(key(4), value(4), BPF_EXIST)).toBe(ENOENT);
    expect(map.update(key(3), value(33), BPF_NOEXIST)).toBe(EEXIST);
    expect(map.update(key(3), value(33), 0)).toBe(0);
    expect(map.remove(key(1))).toBe(0);
    expect(map.remove(key(1))).toBe(ENOENT);
    expect(map.update(key(4), value(4), 0)).toBe(0);
    expect([read(map, 1), read(map, 2), read(map, 3), read(map, 4)]).toEqual([undefined, 2, 33, 4]);
  });

  it("keeps the slot of an entry while the table grows and others come and go", () => {
    const map = new HashMap({ ...SPEC, maxEntries: 5000 });
    map.update(key(7), value(77), 0);
    const slot = map.lookup(key(7));
    for (let n = 100; n < 4000; n++) map.update(key(n), value(n), 0);
    for (let n = 100; n < 4000; n += 2) map.remove(key(n));
    expect(map.lookup(key(7))).toBe(slot);
    expect(map.words[slot * map.valueWords]).toBe(77);
    expect(map.view.getInt32(slot * map.valueStride, true)).toBe(77);
    expect(map.bytes[slot * map.valueStride]).toBe(77);
  });

  it("grows to max_entries exactly", () => {
    const map = new HashMap({ ...SPEC, maxEntries: 100 });
    for (let n = 0; n < 100; n++) expect(map.update(key(n), value(n), 0)).toBe(0);
    expect(map.update(key(100), value(0), 0)).toBe(E2BIG);
    expect(map.words.length).toBe(100 * map.valueWords);
  });

  it("shows every entry once in an iteration that removes what it sees", () => {
    const map = new HashMap({ ...SPEC, maxEntries: 1000 });
    for (let n = 0; n < 500; n++) map.update(key(n), value(n), 0);
    const seen = new Set<number>();
    map.forEachSlot((_slot, keys, at) => {
      const n = keys[at];
      expect(seen.has(n)).toBe(false);
      seen.add(n);
      expect(map.remove(key(n))).toBe(0);
    });
    expect([seen.size, map.size]).toEqual([500, 0]);
  });

  it("reads and writes by bytes, and refuses bytes of another size", () => {
    const map = new HashMap(SPEC);
    const k = Uint8Array.of(1, 2, 3, 4, 5, 6);
    expect(map.get(k)).toBe(undefined);
    expect(map.set(k, Uint8Array.of(9, 8, 7, 6, 5))).toBe(0);
    expect(map.get(k)).toEqual(Uint8Array.of(9, 8, 7, 6, 5));
    expect(map.set(k, Uint8Array.of(0, 0, 0, 0, 0), BPF_NOEXIST)).toBe(EEXIST);
    expect(map.delete(k)).toBe(0);
    expect(map.delete(k)).toBe(ENOENT);
    expect(() => map.get(Uint8Array.of(1))).toThrow("map m: key has 1 bytes, not 6");
    expect(() => map.set(k, Uint8Array.of(1))).toThrow("map m: value has 1 bytes, not 5");
  });

  it("dumps copies in order of key bytes", () => {
    const map = new HashMap(SPEC);
    for (const n of [0x0201, 0x0102, 0x0003]) map.update(key(n), value(n), 0);
    const dump = map.dump();
    dump[0].value.fill(0xff);
    dump[0].key.fill(0xff);
    expect(dumpHex(map)).toEqual([
      ["010200000102", "0102000001"],
      ["020100000201", "0201000002"],
      ["030000000300", "0300000003"],
    ]);
  });

  it("is empty after clear and takes max_entries again", () => {
    const map = new HashMap(SPEC);
    for (const n of [1, 2, 3]) map.update(key(n), value(n), 0);
    map.clear();
    expect([map.size, read(map, 1), map.dump()]).toEqual([0, undefined, []]);
    for (const n of [4, 5, 6]) expect(map.update(key(n), value(n), 0)).toBe(0);
    expect(map.update(key(7), value(7), 0)).toBe(E2BIG);
  });

  it("returns to a snapshot with its slots, and a snapshot does not follow the map", () => {
    const map = new HashMap(SPEC);
    map.update(key(1), value(1), 0);
    map.update(key(2), value(2), 0);
    map.remove(key(1));
    const slot = map.lookup(key(2));
    const snapshot = map.save();
    map.update(key(2), value(22), 0);
    map.update(key(3), value(3), 0);
    map.restore(snapshot);
    expect([map.size, read(map, 2), read(map, 3), map.lookup(key(2))]).toEqual([1, 2, undefined, slot]);
    expect([snapshot.name, snapshot.size]).toEqual(["m", 1]);
  });

  it("refuses the snapshot of a map of another layout", () => {
    const other = new HashMap({ ...SPEC, name: "other", valueSize: 64 });
    other.update(key(1), new Int32Array(16), 0);
    expect(() => new HashMap(SPEC).restore(other.save())).toThrow("map m: the snapshot is of another layout");
  });

  it("refuses a spec without entries or with a negative size", () => {
    expect(() => new HashMap({ ...SPEC, maxEntries: 0 })).toThrow(
      "map m: sizes and max_entries must be positive",
    );
    expect(() => new HashMap({ ...SPEC, keySize: -1 })).toThrow(
      "map m: sizes and max_entries must be positive",
    );
  });

  it("keeps the words behind a value of odd size zero when a row is used again", () => {
    const map = new HashMap(SPEC);
    map.update(key(1), Int32Array.of(-1, -1), 0);
    map.remove(key(1));
    map.update(key(2), value(5), 0);
    expect(dumpHex(map)).toEqual([["020000000200", "0500000005"]]);
  });
});

describe("batches", () => {
  const specs: MapSpec[] = [
    { ...SPEC, type: "hash", maxEntries: 100 },
    { ...SPEC, type: "lru_hash", maxEntries: 256 },
    { ...SPEC, type: "lpm_trie", maxEntries: 100 },
    { ...SPEC, type: "percpu_hash", maxEntries: 100 },
  ];

  it("cover every entry once, whatever their size, on every type and back end", () => {
    for (const spec of specs) {
      for (const backend of ["table", "lru-cache"] as const) {
        const map = createMap(spec, { backend });
        for (let n = 0; n < 40; n++)
          map.update(Int32Array.of(spec.type === "lpm_trie" ? 16 : n, n), value(n), 0);
        for (let n = 0; n < 40; n += 3) map.remove(Int32Array.of(spec.type === "lpm_trie" ? 16 : n, n));
        for (const size of [1, 7, 26, 1000]) {
          const keys: string[] = [];
          let cursor = 0;
          while (cursor !== NONE) {
            const { entries, next } = map.batch(cursor, size);
            expect(entries.length).toBeLessThanOrEqual(size);
            for (const e of entries) keys.push(toHex(e.key));
            cursor = next;
          }
          expect([keys.length, keys.sort()]).toEqual([26, dumpHex(map).map(([k]) => k)]);
        }
      }
    }
  });

  it("are empty for an empty map and beyond the end", () => {
    const map = new HashMap(SPEC);
    expect(map.batch(0, 10)).toEqual({ entries: [], next: NONE });
    map.update(key(1), value(1), 0);
    expect([map.batch(NONE, 10), map.batch(5, 10)]).toEqual([
      { entries: [], next: NONE },
      { entries: [], next: NONE },
    ]);
  });

  it("of an array hold every element", () => {
    const map = createMap({ name: "a", type: "array", keySize: 4, valueSize: 1, maxEntries: 3 });
    expect(map.batch(1, 1)).toEqual({
      entries: [{ key: Uint8Array.of(1, 0, 0, 0), value: Uint8Array.of(0) }],
      next: 2,
    });
  });
});
