// Every LRU map of Cilium against an independent reference: npm's lru-cache for strict order, an array-based
// rewrite of the kernel's lists for the kernel's policy.

import { describe, expect, it } from "vitest";
import { createCiliumMaps } from "../../maps/cilium_maps.js";
import { createMap } from "../../maps/create.js";
import { CurrentCpu, type MapSpec } from "../../maps/spec.js";
import { VirtualClock } from "../../src/base/clock.js";
import fc, { runs } from "../support/fast_check.js";
import { mapCommands, runCommands } from "../support/map_commands.js";
import { dumpHex, hexOf, KernelLruReference, keyOf, StrictLruReference, valueFor } from "../support/maps.js";

const LRU_SPECS: MapSpec[] = createCiliumMaps({ clock: new VirtualClock() })
  .all()
  .map((m) => m.spec)
  .filter((s) => s.type === "lru_hash");

const commands = mapCommands(keyOf, 40);
const sizes = fc.integer({ min: 1, max: 24 });

describe("LRU maps", () => {
  it("are known to this test by their specs", () => {
    expect(LRU_SPECS.map((s) => s.name)).toEqual([
      "cilium_ratelimit",
      "cilium_ct4_global",
      "cilium_ct_any4_global",
      "cilium_ct6_global",
      "cilium_ct_any6_global",
      "cilium_lb4_affinity",
      "cilium_lb6_affinity",
      "cilium_lb4_reverse_sk",
      "cilium_lb6_reverse_sk",
      "cilium_lb4_health",
      "cilium_lb6_health",
      "cilium_lb_act",
      "cilium_snat_v4_external",
      "cilium_snat_v6_external",
      "cilium_nodeport_neigh4",
      "cilium_nodeport_neigh6",
      "cilium_ipv4_frag_datagrams",
      "cilium_ipv6_frag_datagrams",
    ]);
  });

  for (const spec of LRU_SPECS) {
    for (const backend of ["table", "lru-cache"] as const) {
      it(`${spec.name} in strict order (${backend}) does what lru-cache does`, () => {
        fc.assert(
          fc.property(sizes, commands, (maxEntries, list) => {
            const sized: MapSpec = { ...spec, maxEntries, lru: "strict" };
            const cpu = new CurrentCpu();
            runCommands(list, () => createMap(sized, { backend }), new StrictLruReference(maxEntries), cpu);
          }),
          { numRuns: runs(50) },
        );
      });
    }
    it(`${spec.name} evicts as the kernel's lists do`, () => {
      fc.assert(
        fc.property(sizes, fc.integer({ min: 1, max: 3 }), commands, (maxEntries, cpus, list) => {
          const cpu = new CurrentCpu(cpus);
          const make = () => createMap({ ...spec, maxEntries }, { cpu });
          runCommands(list, make, new KernelLruReference(maxEntries, cpus), cpu);
        }),
        { numRuns: runs(50) },
      );
    });
  }

  it("of 700 entries, past the scan limit of 128, evict as the kernel's lists do", () => {
    const spec: MapSpec = { ...LRU_SPECS[0], maxEntries: 700 };
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 2 }), (seed, cpus) => {
        const cpu = new CurrentCpu(cpus);
        const map = createMap(spec, { cpu });
        const reference = new KernelLruReference(700, cpus);
        let x = seed | 1;
        for (let i = 0; i < 6000; i++) {
          x ^= x << 13;
          x ^= x >>> 17;
          x ^= x << 5;
          const key = keyOf(map, (x >>> 8) % 1400);
          const hex = hexOf(key, spec.keySize);
          const r = x & 15;
          if (r < 6) expect(map.lookup(key) >= 0).toBe(reference.lookup(hex) !== undefined);
          else if (r === 6) expect(map.remove(key)).toBe(reference.remove(hex));
          else if (r === 15) cpu.id = (x >>> 20) % cpus;
          else {
            const value = valueFor(map, x & 255);
            const want = reference.update(hex, hexOf(value, spec.valueSize), 0, cpu.id);
            expect(map.update(key, value, 0)).toBe(want);
          }
        }
        expect(dumpHex(map)).toEqual(reference.entries().sort(([a], [b]) => (a < b ? -1 : 1)));
      }),
      { numRuns: runs(10) },
    );
  });
});
