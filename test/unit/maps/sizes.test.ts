import { describe, expect, it } from "vitest";
import { createCiliumMaps } from "../../../maps/cilium_maps.js";
import { dynamicMapSizes } from "../../../maps/sizes.js";
import { VirtualClock } from "../../../src/base/clock.js";

const GIB = 2 ** 30;

describe("dynamicMapSizes", () => {
  it("gives a small node the least sizes", () => {
    expect(dynamicMapSizes(7.5 * GIB)).toEqual({
      cilium_ct4_global: 131072,
      cilium_ct6_global: 131072,
      cilium_ct_any4_global: 65536,
      cilium_ct_any6_global: 65536,
      cilium_snat_v4_external: 131072,
      cilium_snat_v6_external: 131072,
      cilium_nodeport_neigh4: 131072,
      cilium_nodeport_neigh6: 131072,
      cilium_lb4_reverse_sk: 65536,
      cilium_lb6_reverse_sk: 65536,
    });
  });

  it("shares out a quarter of a per cent of a larger node's memory in the ratio of the nominal sizes", () => {
    const sizes = dynamicMapSizes(240 * GIB);
    const tcp = sizes.cilium_ct4_global;
    expect([
      sizes.cilium_ct_any4_global,
      sizes.cilium_snat_v4_external,
      sizes.cilium_nodeport_neigh4,
    ]).toEqual([Math.floor(tcp / 2), tcp, tcp]);
    // Elements of 94, 94, 94, 24 and 52 bytes fill the memory set aside.
    const used = tcp * (94 + 94 / 2 + 94 + 24 + 52 / 2);
    expect(Math.abs(used - 240 * GIB * 0.0025)).toBeLessThan(1000);
  });

  it("never goes beyond 16,777,216", () => {
    expect(new Set(Object.values(dynamicMapSizes(16 * GIB, 0.98)))).toEqual(new Set([16777216]));
  });

  it("is accepted by a node's maps", () => {
    const maps = createCiliumMaps({ clock: new VirtualClock(), sizes: dynamicMapSizes(64 * GIB) });
    expect(maps.cilium_ct4_global.spec.maxEntries).toBe(dynamicMapSizes(64 * GIB).cilium_ct4_global);
  });
});
