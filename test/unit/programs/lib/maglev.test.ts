import { describe, expect, it } from "vitest";
import {
  DEFAULT_MAGLEV_HASH_SEED,
  type MaglevBackend,
  maglevHashString,
  maglevLookupTable,
  maglevSeed,
  murmur3Hash128,
} from "../../../../programs/lib/maglev.js";

const text = (s: string): Uint8Array => new TextEncoder().encode(s);

function backends(n: number): MaglevBackend[] {
  return Array.from({ length: n }, (_, i) => ({
    id: i + 1,
    address: `10.0.0.${i + 1}`,
    port: 80,
    protocol: "TCP" as const,
  }));
}

function shares(table: Int32Array): Map<number, number> {
  const out = new Map<number, number>();
  for (const id of table) out.set(id, (out.get(id) ?? 0) + 1);
  return out;
}

describe("murmur3Hash128", () => {
  it("gives the published values for seed 0", () => {
    expect(murmur3Hash128(text(""), 0)).toEqual([0n, 0n]);
    expect(murmur3Hash128(text("hello"), 0)).toEqual([0xcbd8a7b341bd9b02n, 0x5b1e906a48ae1d19n]);
    expect(murmur3Hash128(text("The quick brown fox jumps over the lazy dog"), 0)).toEqual([
      0xe34bbc7bbc071b6cn,
      0x7a433ca9c49a9347n,
    ]);
  });

  it("depends on the seed", () => {
    expect(murmur3Hash128(text("hello"), 1)).not.toEqual(murmur3Hash128(text("hello"), 0));
  });
});

describe("maglevHashString", () => {
  it("writes addresses as the agent does", () => {
    const b = backends(1)[0];
    expect(maglevHashString(b)).toBe("[10.0.0.1:80/TCP,State:active]");
    expect(maglevHashString({ ...b, address: "fd00::1", protocol: "UDP" })).toBe(
      "[[fd00::1]:80/UDP,State:active]",
    );
    expect(maglevHashString({ ...b, internal: true, clusterId: 3 })).toBe(
      "[10.0.0.1@3:80/TCP/i,State:active]",
    );
  });
});

describe("maglevSeed", () => {
  it("takes the first four bytes of the base64 text, big-endian", () => {
    expect(maglevSeed("AAAAAQAAAAAAAAAA")).toBe(1);
    expect(maglevSeed(DEFAULT_MAGLEV_HASH_SEED) >>> 0).toBe(0x24b7ef82);
  });
});

describe("maglevLookupTable", () => {
  it("fills every slot, with equal shares within one percent of the table", () => {
    const table = maglevLookupTable(backends(7), 16381);
    const counts = [...shares(table).values()];
    expect(table.length).toBe(16381);
    expect(counts.length).toBe(7);
    for (const n of counts) expect(Math.abs(n - 16381 / 7)).toBeLessThan(2);
  });

  it("does not depend on the order in which backends are given", () => {
    const list = backends(9);
    expect(maglevLookupTable([...list].reverse(), 1021)).toEqual(maglevLookupTable(list, 1021));
  });

  it("moves few slots between the backends that stay when one goes", () => {
    const list = backends(20);
    const before = maglevLookupTable(list, 16381);
    const after = maglevLookupTable(list.slice(1), 16381);
    let moved = 0;
    for (let i = 0; i < before.length; i++) if (before[i] !== 1 && before[i] !== after[i]) moved++;
    expect(moved / before.length).toBeLessThan(0.05);
  });

  it("gives turns by weight", () => {
    const [a, b] = backends(2);
    const n = shares(
      maglevLookupTable(
        [
          { ...a, weight: 3 },
          { ...b, weight: 1 },
        ],
        16381,
      ),
    );
    expect(n.get(1)! / n.get(2)!).toBeGreaterThan(2.8);
    expect(n.get(1)! / n.get(2)!).toBeLessThan(3.2);
  });

  it("changes with the seed", () => {
    const list = backends(5);
    expect(maglevLookupTable(list, 251, "AAAAAQAAAAAAAAAA")).not.toEqual(maglevLookupTable(list, 251));
  });

  it("is empty without backends and refuses sizes that the agent refuses", () => {
    expect(maglevLookupTable([], 251).length).toBe(0);
    expect(() => maglevLookupTable(backends(1), 100)).toThrow(/size 100 is not supported/);
  });
});
