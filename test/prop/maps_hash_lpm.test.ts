// Hash maps against a JavaScript Map with BPF's error numbers; every LPM map of Cilium against a linear scan.

import { describe, expect, it } from "vitest";
import type { BpfMap } from "../../maps/bpf_map.js";
import { createCiliumMaps } from "../../maps/cilium_maps.js";
import { createMap } from "../../maps/create.js";
import { CurrentCpu, type MapSpec } from "../../maps/spec.js";
import { VirtualClock } from "../../src/base/clock.js";
import fc, { runs } from "../support/fast_check.js";
import { mapCommands, runCommands } from "../support/map_commands.js";
import { HashReference, keyOf, LpmReference } from "../support/maps.js";

const maps = createCiliumMaps({ clock: new VirtualClock() });
maps.addPolicyMap(1580);
const SPECS = maps.all().map((m) => m.spec);
const LPM_SPECS = SPECS.filter((s) => s.type === "lpm_trie");

/**
 * LPM keys that share prefixes: n chooses the length (short, long, the full key, or one beyond it), m the data,
 * of which only a few bits vary, spread over all words.
 */
function lpmKey(map: BpfMap, n: number, m: number): Int32Array {
  const bits = (map.spec.keySize - 4) * 8;
  const words = new Int32Array(map.keyWords);
  words[0] =
    n < 4 ? n : n < 30 ? bits - (n % 27) : n < 38 ? Math.floor((bits * (n - 30)) / 8) : bits + (n - 38);
  const bytes = new Uint8Array(words.buffer, 4, map.spec.keySize - 4);
  for (let i = 0; i < bytes.length; i++)
    bytes[i] = (m >> (i % 3)) & 1 ? 0x80 : m & 8 && i === bytes.length - 1 ? 0x03 : 0;
  return words;
}

describe("hash maps", () => {
  for (const spec of SPECS.filter((s) => s.type === "hash")) {
    it(`${spec.name} does what a Map with max_entries and update flags does`, () => {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 40 }), mapCommands(keyOf, 60), (maxEntries, list) => {
          const make = () => createMap({ ...spec, maxEntries });
          runCommands(list, make, new HashReference(maxEntries), new CurrentCpu());
        }),
        { numRuns: runs(40) },
      );
    });
  }

  it("keep probe runs intact through many removals in a crowded table", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 400 }), { minLength: 500, maxLength: 2000 }), (keys) => {
        const map = createMap({ name: "m", type: "hash", keySize: 8, valueSize: 4, maxEntries: 300 });
        const there = new Set<number>();
        for (const k of keys) {
          const key = keyOf(map, k);
          key[0] = k;
          if (there.delete(k)) expect(map.remove(key)).toBe(0);
          else if (there.size < 300) {
            expect(map.update(key, Int32Array.of(k), 1)).toBe(0);
            there.add(k);
          }
        }
        for (let k = 0; k <= 400; k++) {
          const key = keyOf(map, k);
          key[0] = k;
          const slot = map.lookup(key);
          expect(slot >= 0 ? map.words[slot * map.valueWords] : -1).toBe(there.has(k) ? k : -1);
        }
      }),
      { numRuns: runs(50) },
    );
  });
});

describe("LPM maps", () => {
  it("are known to this test by their specs", () => {
    expect(LPM_SPECS.map((s) => s.name)).toEqual([
      "cilium_ipcache_v2",
      "cilium_subnet_map",
      "cilium_lb4_source_range",
      "cilium_lb6_source_range",
      "cilium_ipmasq_v4",
      "cilium_ipmasq_v6",
      "cilium_egress_gw_policy_v4",
      "cilium_egress_gw_policy_v6",
      "cilium_policy_v2_01580",
    ]);
  });

  for (const spec of LPM_SPECS) {
    it(`${spec.name} finds the entry that a scan of all prefixes finds`, () => {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 40 }), mapCommands(lpmKey, 40), (maxEntries, list) => {
          const make = () => createMap({ ...spec, maxEntries });
          const reference = new LpmReference(maxEntries, (spec.keySize - 4) * 8);
          runCommands(list, make, reference, new CurrentCpu());
        }),
        { numRuns: runs(60) },
      );
    });
  }

  it("find every prefix length of a dense set", () => {
    const spec: MapSpec = { name: "m", type: "lpm_trie", keySize: 8, valueSize: 4, maxEntries: 100 };
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 32 }), { maxLength: 20 }), fc.integer(), (lengths, address) => {
        const map = createMap(spec);
        for (const len of lengths) map.update(Int32Array.of(len, address), Int32Array.of(len), 0);
        for (let limit = 0; limit <= 32; limit++) {
          const slot = map.lookup(Int32Array.of(limit, address));
          const want = Math.max(-1, ...lengths.filter((l) => l <= limit));
          expect(slot < 0 ? -1 : map.words[slot * map.valueWords]).toBe(want);
        }
      }),
    );
  });
});
