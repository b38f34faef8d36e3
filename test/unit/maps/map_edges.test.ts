// Edges of maps that no packet reaches: wrong sizes and names, addresses word by word, iteration of arrays.
import { describe, expect, it } from "vitest";
import { ArrayMap } from "../../../maps/array_map.js";
import { compareBytes } from "../../../maps/bpf_map.js";
import { CiliumMaps } from "../../../maps/cilium_maps.js";
import { createMap } from "../../../maps/create.js";
import { CtEntry, CtTuple4, CtTuple6 } from "../../../maps/ct.js";
import { copyAddr6, equalAddr6, putAddr6, setAddr6 } from "../../../maps/layout.js";
import { VirtualClock } from "../../../src/base/clock.js";
import type { PodpathError } from "../../../src/base/errors.js";

/** Code of what `f` throws. */
function codeOf(f: () => unknown): string {
  try {
    f();
  } catch (e) {
    return (e as PodpathError).code;
  }
  return "nothing";
}

describe("addresses of four words", () => {
  const words = Int32Array.of(90, 91, 11, 22, 33, 44, 92, 93);

  it("are copied word by word, from anywhere to anywhere", () => {
    const to = new Int32Array(8);
    copyAddr6(to, 3, words, 2);
    expect([...to]).toEqual([0, 0, 0, 11, 22, 33, 44, 0]);
  });

  it("are read from and written to bytes at any offset", () => {
    const view = new DataView(new ArrayBuffer(28));
    putAddr6(view, 5, words, 2);
    expect([1, 5, 9, 13, 17, 21].map((off) => view.getInt32(off, true))).toEqual([0, 11, 22, 33, 44, 0]);
    const back = new Int32Array(8);
    setAddr6(back, 1, view, 5);
    expect([...back]).toEqual([0, 11, 22, 33, 44, 0, 0, 0]);
    // Little-endian, as the programs' words are.
    expect([view.getUint8(5), view.getUint8(8)]).toEqual([11, 0]);
  });

  it("are equal only if every word is", () => {
    expect(equalAddr6(words, 2, Int32Array.of(7, 11, 22, 33, 44), 1)).toBe(true);
    for (let i = 0; i < 4; i++) {
      const other = Int32Array.of(7, 11, 22, 33, 44, 7);
      other[1 + i] = 5;
      expect(equalAddr6(words, 2, other, 1)).toBe(false);
      // One equal word alone makes no equal address.
      const one = Int32Array.of(7, 1, 2, 3, 4, 7);
      one[1 + i] = words[2 + i];
      expect(equalAddr6(words, 2, one, 1)).toBe(false);
    }
  });
});

describe("tuples", () => {
  it("keep the other fields of a word when one is set", () => {
    const four = new CtTuple4();
    const six = new CtTuple6();
    for (const t of [four, six]) {
      t.sport = 0x1111;
      t.dport = 0x2222;
      t.dport = 0x0303;
      t.flags = 0xff;
      t.nexthdr = 17;
      t.nexthdr = 6;
      expect([t.sport, t.dport, t.flags, t.nexthdr]).toEqual([0x1111, 0x0303, 0xff, 6]);
      t.flags = 1;
      t.sport = 0x4444;
      expect([t.sport, t.dport, t.flags, t.nexthdr]).toEqual([0x4444, 0x0303, 1, 6]);
    }
  });

  it("have a backend in entries of services", () => {
    const map = createMap({ name: "m", type: "hash", keySize: 4, valueSize: 56, maxEntries: 4 });
    const e = new CtEntry().reset();
    e.backend_id = 7;
    e.rev_nat_index = 1;
    e.rev_nat_index = 2;
    e.nat_port = 0xffff;
    e.nat_port = 3;
    for (const k of [1, 2]) map.update(Int32Array.of(k), e.words, 0);
    const at = new CtEntry().point(map, map.peek(Int32Array.of(2)));
    expect([at.backend_id, at.rev_nat_index, at.nat_port, at.flags]).toEqual([7, 2, 3, 0]);
  });
});

describe("maps by bytes", () => {
  const spec = { name: "m", type: "hash", keySize: 5, valueSize: 3, maxEntries: 4 } as const;

  it("refuse keys and values of another size, and maps of none", () => {
    const map = createMap(spec);
    expect(codeOf(() => map.set(new Uint8Array(5), new Uint8Array(4)))).toBe("MAP_LAYOUT");
    expect(codeOf(() => map.get(new Uint8Array(4)))).toBe("MAP_LAYOUT");
    expect(codeOf(() => createMap({ ...spec, maxEntries: 0 }))).toBe("MAP_SPEC");
    expect(codeOf(() => createMap({ ...spec, keySize: -1 }))).toBe("MAP_SPEC");
    expect(codeOf(() => createMap({ ...spec, valueSize: -1 }))).toBe("MAP_SPEC");
    expect(createMap({ ...spec, valueSize: 0 }).dataWords).toBe(0);
    expect(codeOf(() => createMap({ ...spec, type: "lpm_trie", keySize: 4 }))).toBe("MAP_SPEC");
    expect(codeOf(() => createMap({ ...spec, type: "lpm_trie", keySize: 261 }))).toBe("MAP_SPEC");
    expect([5, 260].map((keySize) => createMap({ ...spec, type: "lpm_trie", keySize }).spec.keySize)).toEqual(
      [5, 260],
    );
  });

  it("are ordered byte by byte, the shorter first", () => {
    const order = (a: number[], b: number[]) =>
      Math.sign(compareBytes(Uint8Array.from(a), Uint8Array.from(b)));
    expect([
      order([1, 2], [1, 3]),
      order([2], [1, 9]),
      order([1], [1, 0]),
      order([1, 0], [1]),
      order([4], [4]),
    ]).toEqual([-1, 1, -1, 1, 0]);
  });

  it("answer EINVAL to flags below zero, whatever their type", () => {
    for (const type of ["hash", "lru_hash", "lpm_trie", "array"] as const) {
      const map = createMap({ ...spec, type, keySize: type === "array" ? 4 : 8 });
      expect(map.update(new Int32Array(2), new Int32Array(1), -1)).toBe(-22);
    }
    const lru = createMap({ ...spec, type: "lru_hash", lru: "strict" }, { backend: "lru-cache" });
    expect(lru.update(new Int32Array(2), new Int32Array(1), -1)).toBe(-22);
  });
});

describe("arrays", () => {
  it("show every element with its index as key", () => {
    const map = new ArrayMap({ name: "a", type: "array", keySize: 4, valueSize: 4, maxEntries: 3 });
    const seen: number[][] = [];
    map.forEachSlot((slot, keys, at) => seen.push([slot, keys[at]]));
    expect(seen).toEqual([
      [0, 0],
      [1, 1],
      [2, 2],
    ]);
  });

  it("refuse keys that are no u32, and snapshots of another size", () => {
    const spec = { name: "a", type: "array", keySize: 4, valueSize: 4, maxEntries: 3 } as const;
    expect(codeOf(() => new ArrayMap({ ...spec, keySize: 8 }))).toBe("MAP_SPEC");
    const other = new ArrayMap({ ...spec, maxEntries: 4 }).save();
    expect(codeOf(() => new ArrayMap(spec).restore(other))).toBe("MAP_LAYOUT");
  });
});

describe("a node's maps", () => {
  const make = (o = {}) => new CiliumMaps({ clock: new VirtualClock(), ...o });

  it("know policy maps by their whole name only", () => {
    const maps = make();
    const map = maps.addPolicyMap(1580);
    expect(maps.byName("cilium_policy_v2_01580")).toBe(map);
    for (const name of ["xcilium_policy_v2_01580", "cilium_policy_v2_015801", "cilium_policy_v2_01581"])
      expect(maps.byName(name)).toBeUndefined();
    expect([maps.cilium_events.name, maps.cilium_signals.name]).toEqual(["cilium_events", "cilium_signals"]);
  });

  it("return to a snapshot with the policy maps of that time", () => {
    const maps = make();
    const kept = maps.addPolicyMap(2);
    const saved = maps.save();
    maps.addPolicyMap(5);
    maps.removePolicyMap(2);
    maps.restore(saved);
    expect([maps.policy.get(2), maps.policy.get(5), maps.byName("cilium_policy_v2_00005")]).toEqual([
      kept,
      undefined,
      undefined,
    ]);
    const other = make();
    other.restore(saved);
    expect(other.policy.get(2)).not.toBe(kept);
    expect(other.policy.get(2)?.spec.name).toBe("cilium_policy_v2_00002");
  });

  it("take the eviction of their options where the map has none of its own", () => {
    expect(make({ lru: "strict" }).cilium_ct4_global.spec.lru).toBe("strict");
    expect("lru" in make().cilium_ct4_global.spec).toBe(false);
  });
});
