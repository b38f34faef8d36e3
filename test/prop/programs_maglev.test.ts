// The Maglev table over generated sets of backends: complete, even, independent of order, and stable when one goes.

import { describe, expect, it } from "vitest";
import { type MaglevBackend, maglevLookupTable } from "../../programs/lib/maglev.js";
import fc from "../support/fast_check.js";

const SIZE = 2039;

const backend = fc.record({
  address: fc
    .tuple(fc.integer({ min: 1, max: 223 }), fc.nat(255), fc.nat(255), fc.nat(255))
    .map((b) => b.join(".")),
  port: fc.integer({ min: 1, max: 65535 }),
  protocol: fc.constantFrom<"TCP" | "UDP">("TCP", "UDP"),
});

const sets = fc
  .uniqueArray(backend, {
    minLength: 2,
    maxLength: 20,
    selector: (b) => `${b.address}:${b.port}/${b.protocol}`,
  })
  .map((list): MaglevBackend[] => list.map((b, i) => ({ ...b, id: i + 1 })));

function count(table: Int32Array): Map<number, number> {
  const out = new Map<number, number>();
  for (const id of table) out.set(id, (out.get(id) ?? 0) + 1);
  return out;
}

describe("maglevLookupTable", () => {
  it("gives every backend its even share, at most one slot more or less", () => {
    fc.assert(
      fc.property(sets, (list) => {
        const table = maglevLookupTable(list, SIZE);
        const n = count(table);
        expect([...n.keys()].sort((a, b) => a - b)).toEqual(list.map((b) => b.id));
        const counts = [...n.values()];
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      }),
      { numRuns: 40 },
    );
  });

  it("is the same for every order of the backends", () => {
    fc.assert(
      fc.property(sets, fc.integer(), (list, seed) => {
        const mixed = [...list].sort((a, b) => ((a.id * 7919) ^ seed) - ((b.id * 7919) ^ seed));
        expect(maglevLookupTable(mixed, SIZE)).toEqual(maglevLookupTable(list, SIZE));
      }),
      { numRuns: 30 },
    );
  });

  it("moves few flows of the others when a backend goes", () => {
    fc.assert(
      fc.property(sets, fc.nat(), (list, which) => {
        const gone = list[which % list.length];
        const before = maglevLookupTable(list, SIZE);
        const after = maglevLookupTable(
          list.filter((b) => b !== gone),
          SIZE,
        );
        let moved = 0;
        for (let i = 0; i < SIZE; i++) if (before[i] !== gone.id && before[i] !== after[i]) moved++;
        // Consistent hashing: a table made afresh would move nearly all of them.
        expect(moved / SIZE).toBeLessThan(0.25);
      }),
      { numRuns: 40 },
    );
  });
});
