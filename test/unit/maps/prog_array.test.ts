import { describe, expect, it } from "vitest";
import { ProgArray } from "../../../maps/prog_array.js";
import type { MapSpec } from "../../../maps/spec.js";

const SPEC: MapSpec = { name: "calls", type: "prog_array", keySize: 4, valueSize: 4, maxEntries: 4 };

describe("ProgArray", () => {
  it("holds programs by index and answers null for a tail call that has no target", () => {
    const map = new ProgArray<{ name: string }>(SPEC);
    const a = { name: "a" };
    const b = { name: "b" };
    expect([map.set(3, a), map.set(1, b), map.size]).toEqual([0, 0, 2]);
    expect([-1, 0, 1, 2, 3, 4].map((i) => map.get(i))).toEqual([null, null, b, null, a, null]);
    expect(map.entries()).toEqual([
      [1, b],
      [3, a],
    ]);
  });

  it("answers E2BIG, EINVAL and ENOENT", () => {
    const map = new ProgArray<object>(SPEC);
    expect([map.set(4, {}), map.set(-1, {}), map.set(0, {}, 1)]).toEqual([-7, -7, -22]);
    expect([map.delete(4), map.delete(0)]).toEqual([-7, -2]);
    map.set(0, {});
    expect([map.delete(0), map.delete(0), map.size]).toEqual([0, -2, 0]);
  });

  it("returns to what it held", () => {
    const map = new ProgArray<object>(SPEC);
    const a = {};
    map.set(2, a);
    const state = map.save();
    map.clear();
    map.set(3, {});
    map.restore(state);
    expect(map.entries()).toEqual([[2, a]]);
  });
});
