import { describe, expect, it } from "vitest";
import { Numbering } from "../../../src/base/numbering.js";

describe("numbers of sequences", () => {
  it("are the same for equal sequences only, of whatever length", () => {
    const n = new Numbering();
    const of = (sequence: readonly number[]): number => sequence.reduce((a, b) => n.of(a, b), 0);
    const all: number[][] = [[]];
    for (const s of all) if (s.length < 5) for (const last of [0, 1, 2]) all.push([...s, last]);
    const numbers = all.map(of);
    expect(new Set(numbers).size).toBe(all.length);
    expect(all.map(of)).toEqual(numbers);
    expect(Math.max(...numbers)).toBe(all.length - 1);
  });

  it("tell words apart by all of their bits", () => {
    const n = new Numbering();
    const words = [0, 1, -1, 0x10000, 0x80000000 | 0, 0xffff, 0x7fffffff];
    expect(new Set(words.map((w) => n.ofWord(0, w))).size).toBe(words.length);
    expect(n.ofWord(0, -1)).toBe(n.ofWord(0, 0xffffffff));
  });
});
