import { describe, expect, it } from "vitest";
import { ArrayMap } from "../../../maps/array_map.js";
import { BPF_EXIST, BPF_NOEXIST, type MapSpec, NONE } from "../../../maps/spec.js";
import { dumpHex } from "../../support/maps.js";

const SPEC: MapSpec = { name: "a", type: "array", keySize: 4, valueSize: 6, maxEntries: 2 };
const word = (n: number) => Int32Array.of(n);

describe("ArrayMap", () => {
  it("has every element from the start, zeroed", () => {
    const map = new ArrayMap(SPEC);
    expect([
      map.size,
      map.lookup(word(0)),
      map.lookup(word(1)),
      map.lookup(word(2)),
      map.lookup(word(-1)),
    ]).toEqual([2, 0, 1, NONE, NONE]);
    expect(dumpHex(map)).toEqual([
      ["00000000", "000000000000"],
      ["01000000", "000000000000"],
    ]);
  });

  it("overwrites, answers E2BIG beyond the end, EEXIST for NOEXIST and EINVAL for bad flags", () => {
    const map = new ArrayMap(SPEC);
    const value = Int32Array.of(0x04030201, 0x0605);
    expect(map.update(word(1), value, 0)).toBe(0);
    expect(map.update(word(0), value, BPF_EXIST)).toBe(0);
    expect(map.update(word(2), value, 0)).toBe(-7);
    expect(map.update(word(1), value, BPF_NOEXIST)).toBe(-17);
    expect(map.update(word(1), value, 3)).toBe(-22);
    expect(map.update(word(2), value, 3)).toBe(-22);
    expect(map.get(Uint8Array.of(1, 0, 0, 0))).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6));
  });

  it("answers EINVAL to a removal", () => {
    const map = new ArrayMap(SPEC);
    expect([map.remove(word(0)), map.remove(word(9)), map.size]).toEqual([-22, -22, 2]);
  });

  it("is zeroed by clear and gives a snapshot back", () => {
    const map = new ArrayMap(SPEC);
    map.update(word(1), Int32Array.of(7, 0), 0);
    const snapshot = map.save();
    map.clear();
    expect(map.words[map.valueWords]).toBe(0);
    map.restore(snapshot);
    expect(map.words[map.valueWords]).toBe(7);
    expect(() => new ArrayMap({ ...SPEC, maxEntries: 3 }).restore(snapshot)).toThrow(
      "map a: the snapshot is of another layout",
    );
  });

  it("refuses keys other than u32", () => {
    expect(() => new ArrayMap({ ...SPEC, keySize: 8 })).toThrow("map a: the key of an array is a u32");
  });
});
