import { describe, expect, it } from "vitest";
import { Prng } from "../../../src/base/prng.js";

function take(prng: Prng, n: number): number[] {
  return Array.from({ length: n }, () => prng.nextInt32());
}

/** xoshiro128** in BigInt arithmetic, from its published definition. */
function reference(state: Int32Array, n: number): number[] {
  const M = 0xffffffffn;
  const rotl = (x: bigint, k: bigint) => ((x << k) | (x >> (32n - k))) & M;
  const s = Array.from(state, (w) => BigInt(w >>> 0));
  const out: number[] = [];
  for (let i = 0; i < n; i++) {
    out.push(Number((rotl((s[1] * 5n) & M, 7n) * 9n) & M) | 0);
    const t = (s[1] << 9n) & M;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 11n);
  }
  return out;
}

describe("Prng", () => {
  it("is xoshiro128**", () => {
    const prng = new Prng(42);
    const state = prng.save();
    expect(take(prng, 200)).toEqual(reference(state, 200));
  });

  it("gives the same numbers for the same seed, and others for another", () => {
    expect(take(new Prng(7), 50)).toEqual(take(new Prng(7), 50));
    expect(take(new Prng(7), 50)).not.toEqual(take(new Prng(8), 50));
    const prng = new Prng(1);
    take(prng, 10);
    prng.reseed(7);
    expect(take(prng, 50)).toEqual(take(new Prng(7), 50));
  });

  it("works with every seed, zero and negative ones included", () => {
    for (const seed of [0, -1, 0x7fffffff, -0x80000000, 0xffffffff]) {
      expect(new Set(take(new Prng(seed), 1000)).size).toBeGreaterThan(990);
    }
    expect(take(new Prng(-1), 5)).toEqual(take(new Prng(0xffffffff), 5));
  });

  it("gives signed int32 in both halves of the range", () => {
    const numbers = take(new Prng(3), 10000);
    expect(numbers.every((n) => n === (n | 0))).toBe(true);
    const negative = numbers.filter((n) => n < 0).length;
    expect(negative).toBeGreaterThan(4800);
    expect(negative).toBeLessThan(5200);
  });

  it("draws every number below n about equally often", () => {
    const prng = new Prng(11);
    const counts = new Array<number>(6).fill(0);
    for (let i = 0; i < 60000; i++) counts[prng.below(6)]++;
    for (const c of counts) {
      expect(c).toBeGreaterThan(9500);
      expect(c).toBeLessThan(10500);
    }
    expect(Array.from({ length: 20 }, () => prng.below(1))).toEqual(new Array(20).fill(0));
  });

  it("returns to a saved state, which it does not share", () => {
    const prng = new Prng(5);
    take(prng, 3);
    const state = prng.save();
    const next = take(prng, 5);
    prng.restore(state);
    expect(take(prng, 5)).toEqual(next);
  });
});
