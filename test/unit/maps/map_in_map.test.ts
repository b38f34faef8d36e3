import { describe, expect, it } from "vitest";
import { ArrayMap } from "../../../maps/array_map.js";
import { CT4_TCP_SPEC, PER_CLUSTER_CT4_TCP_SPEC } from "../../../maps/ct.js";
import { HashMap } from "../../../maps/hash_map.js";
import { maglevInnerSpec, maglevSpec } from "../../../maps/lb.js";
import { LruHashMap } from "../../../maps/lru_hash_map.js";
import { MapOfMaps } from "../../../maps/map_in_map.js";
import { BPF_EXIST, BPF_NOEXIST, resized } from "../../../maps/spec.js";
import { toHex } from "../../../src/net/view.js";

const key = (n: number) => Int32Array.of(n);

describe("MapOfMaps", () => {
  it("gives a program the Maglev table of a service", () => {
    const outer = new MapOfMaps<ArrayMap>(maglevSpec("cilium_lb4_maglev", 251));
    const table = new ArrayMap(maglevInnerSpec(251));
    table.words.fill(7, 0, 251);
    expect(outer.update(key(0x0700), table)).toBe(0);
    expect([outer.size, outer.lookup(key(0x0700)), outer.lookup(key(0x0800))]).toEqual([1, table, null]);
    const seen: [string, number][] = [];
    outer.forEach((k, m) => {
      seen.push([toHex(k), m.words[250]]);
    });
    expect(seen).toEqual([["0007", 7]]);
  });

  it("refuses an inner map of another shape", () => {
    const outer = new MapOfMaps<ArrayMap | HashMap>(maglevSpec("m", 251));
    expect(outer.update(key(1), new ArrayMap(maglevInnerSpec(16381)))).toBe(-22);
    const hash = new HashMap({ name: "h", type: "hash", keySize: 4, valueSize: 1004, maxEntries: 1 });
    expect(outer.update(key(1), hash)).toBe(-22);
    expect(outer.size).toBe(0);
  });

  it("keeps to update flags and errno values of a hash", () => {
    const outer = new MapOfMaps<ArrayMap>({ ...maglevSpec("m", 3), maxEntries: 1 });
    const a = new ArrayMap(maglevInnerSpec(3));
    const b = new ArrayMap(maglevInnerSpec(3));
    expect(outer.update(key(1), a, BPF_EXIST)).toBe(-2);
    expect(outer.update(key(1), a, 9)).toBe(-22);
    expect(outer.update(key(1), a, BPF_NOEXIST)).toBe(0);
    expect(outer.update(key(1), b, BPF_NOEXIST)).toBe(-17);
    expect(outer.update(key(1), b, BPF_EXIST)).toBe(0);
    expect(outer.update(key(2), a)).toBe(-7);
    expect([outer.lookup(key(1)) === b, outer.remove(key(2)), outer.remove(key(1)), outer.size]).toEqual([
      true,
      -2,
      0,
      0,
    ]);
  });

  it("keeps per-cluster conntrack maps in an array", () => {
    const outer = new MapOfMaps<LruHashMap>(PER_CLUSTER_CT4_TCP_SPEC);
    const inner = new LruHashMap(resized(CT4_TCP_SPEC, 100, "cilium_per_cluster_ct_tcp4_00003"));
    expect([outer.lookup(key(3)), outer.update(key(3), inner), outer.lookup(key(3))]).toEqual([
      null,
      0,
      inner,
    ]);
    expect(outer.update(key(256), inner)).toBe(-7);
    expect(outer.update(key(4), inner, BPF_NOEXIST)).toBe(-22);
    expect([outer.remove(key(256)), outer.remove(key(4)), outer.remove(key(3)), outer.size]).toEqual([
      -7, -2, 0, 0,
    ]);
  });

  it("returns to a snapshot together with the inner maps", () => {
    const outer = new MapOfMaps<ArrayMap>(maglevSpec("m", 3));
    const a = new ArrayMap(maglevInnerSpec(3));
    a.words[0] = 5;
    outer.update(key(1), a);
    const snapshot = outer.save();
    a.words[0] = 6;
    outer.update(key(2), new ArrayMap(maglevInnerSpec(3)));
    outer.remove(key(1));
    outer.restore(snapshot);
    expect([outer.size, outer.lookup(key(1))!.words[0], outer.lookup(key(2))]).toEqual([1, 5, null]);
    outer.clear();
    expect([outer.size, outer.lookup(key(1))]).toEqual([0, null]);
  });

  it("refuses a spec without an inner one", () => {
    expect(() => new MapOfMaps({ ...CT4_TCP_SPEC, type: "hash_of_maps" })).toThrow(
      "map cilium_ct4_global: a map of maps needs an inner spec and 4-byte values",
    );
  });
});
