import { describe, expect, it } from "vitest";
import { addU64, LruPercpuHashMap, PercpuArrayMap, PercpuHashMap } from "../../../maps/percpu_map.js";
import { BPF_EXIST, BPF_NOEXIST, CurrentCpu, type MapSpec, NONE } from "../../../maps/spec.js";
import { toHex } from "../../../src/net/view.js";

const HASH: MapSpec = { name: "p", type: "percpu_hash", keySize: 4, valueSize: 16, maxEntries: 2 };
const key = (n: number) => Int32Array.of(n);
const bytes = (n: number) => Uint8Array.of(n, 0, 0, 0);

describe("PercpuHashMap", () => {
  it("keeps a value for each CPU, shows programs their own and user space the sum", () => {
    const cpu = new CurrentCpu(3);
    const map = new PercpuHashMap(HASH, cpu);
    cpu.id = 1;
    expect(map.update(key(5), Int32Array.of(1, 0, 100, 0), BPF_NOEXIST)).toBe(0);
    const slot = map.lookup(key(5));
    cpu.id = 2;
    expect(map.words[map.cpuWord(slot)]).toBe(0);
    expect(map.update(key(5), Int32Array.of(2, 0, -1, 0), BPF_EXIST)).toBe(0);
    addU64(map.words, map.cpuWord(slot) + 2, 1);
    expect([0, 1, 2].map((c) => toHex(map.valueOfCpu(slot, c)))).toEqual([
      "00000000000000000000000000000000",
      "01000000000000006400000000000000",
      "02000000000000000000000001000000",
    ]);
    expect(toHex(map.get(bytes(5))!)).toBe("03000000000000006400000001000000");
    expect(map.dump().map((e) => toHex(e.value))).toEqual(["03000000000000006400000001000000"]);
  });

  it("starts the other CPUs at zero in a row that was used before", () => {
    const cpu = new CurrentCpu(2);
    const map = new PercpuHashMap(HASH, cpu);
    map.update(key(1), Int32Array.of(9, 9, 9, 9), 0);
    cpu.id = 1;
    map.update(key(1), Int32Array.of(9, 9, 9, 9), 0);
    map.remove(key(1));
    map.update(key(2), Int32Array.of(1, 0, 0, 0), 0);
    expect(toHex(map.get(bytes(2))!)).toBe("01000000000000000000000000000000");
  });

  it("gives the errno values of a hash", () => {
    const map = new PercpuHashMap(HASH, new CurrentCpu(2));
    const v = new Int32Array(4);
    expect(map.update(key(1), v, BPF_EXIST)).toBe(-2);
    expect(map.update(key(1), v, 0)).toBe(0);
    expect(map.update(key(1), v, BPF_NOEXIST)).toBe(-17);
    expect(map.update(key(1), v, 3)).toBe(-22);
    expect(map.update(key(2), v, 0)).toBe(0);
    expect(map.update(key(3), v, 0)).toBe(-7);
    expect([map.remove(key(3)), map.remove(key(2)), map.peek(key(2)), map.size]).toEqual([-2, 0, NONE, 1]);
  });
});

describe("LruPercpuHashMap", () => {
  it("evicts and writes only the running CPU's value", () => {
    const cpu = new CurrentCpu(2);
    const map = new LruPercpuHashMap({ ...HASH, type: "lru_percpu_hash", maxEntries: 4, lru: "strict" }, cpu);
    for (let n = 0; n < 5; n++) {
      cpu.id = n & 1;
      expect(map.update(key(n), Int32Array.of(n, 0, 1, 0), 0)).toBe(0);
    }
    expect([map.size, map.peek(key(0)), map.evictions]).toEqual([4, NONE, 1]);
    const slot = map.lookup(key(3));
    cpu.id = 0;
    map.update(key(3), Int32Array.of(10, 0, 1, 0), 0);
    expect([
      toHex(map.valueOfCpu(slot, 0)),
      toHex(map.valueOfCpu(slot, 1)),
      toHex(map.valueBytes(slot)),
    ]).toEqual([
      "0a000000000000000100000000000000",
      "03000000000000000100000000000000",
      "0d000000000000000200000000000000",
    ]);
  });
});

describe("PercpuArrayMap", () => {
  it("adds 32-bit counters where the spec says so", () => {
    const cpu = new CurrentCpu(2);
    const spec: MapSpec = {
      name: "h",
      type: "percpu_array",
      keySize: 4,
      valueSize: 4,
      maxEntries: 3,
      counterSize: 4,
    };
    const map = new PercpuArrayMap(spec, cpu);
    map.words[map.cpuWord(2)]++;
    cpu.id = 1;
    expect(map.update(key(2), Int32Array.of(41), 0)).toBe(0);
    expect(map.update(key(3), Int32Array.of(41), 0)).toBe(-7);
    expect([toHex(map.valueBytes(2)), toHex(map.valueOfCpu(2, 0)), toHex(map.valueOfCpu(2, 1))]).toEqual([
      "2a000000",
      "01000000",
      "29000000",
    ]);
  });
});

describe("addU64", () => {
  it("carries into the high word", () => {
    const w = Int32Array.of(-1, 0, 0x7fffffff, 5, -1, -1);
    addU64(w, 0, 1);
    addU64(w, 2, 1);
    addU64(w, 4, 1);
    addU64(w, 2, -1); // 2^32 - 1
    expect(Array.from(w, (x) => x >>> 0)).toEqual([0, 1, 0x7fffffff, 6, 0, 0]);
  });
});
