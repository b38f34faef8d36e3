import { describe, expect, it } from "vitest";
import { PerfEventArray } from "../../../maps/perf_event_array.js";
import { VirtualClock } from "../../../src/base/clock.js";
import { toHex } from "../../../src/net/view.js";

const NO_PACKET = new Uint8Array(0);

function sample(n: number, len: number): Uint8Array {
  return new Uint8Array(len).fill(n);
}
function readAll(map: PerfEventArray): [cpu: number, ns: number, bytes: string][] {
  const out: [number, number, string][] = [];
  map.read((s, cpu, ns) => out.push([cpu, ns, toHex(s)]));
  return out;
}

describe("PerfEventArray", () => {
  it("answers ENOENT while nobody listens", () => {
    const map = new PerfEventArray("e", new VirtualClock(), 1, 4096);
    expect(map.output(0, sample(1, 8), 8, NO_PACKET, 0, 0)).toBe(-2);
    map.enabled = true;
    expect(readAll(map)).toEqual([]);
    expect(map.output(0, sample(1, 8), 8, NO_PACKET, 0, 0)).toBe(0);
  });

  it("gives header and packet bytes as one sample, padded so that 4 + length is a multiple of 8", () => {
    const map = new PerfEventArray("e", new VirtualClock(77), 1, 4096);
    map.enabled = true;
    map.output(0, sample(1, 8), 4, Uint8Array.of(9, 8, 7, 6), 1, 2);
    map.output(0, sample(2, 20), 20, NO_PACKET, 0, 0);
    expect(readAll(map)).toEqual([
      [0, 77, "010101010807000000000000"],
      [0, 77, "02".repeat(20)],
    ]);
  });

  it("merges the rings of all CPUs in order of emission", () => {
    const clock = new VirtualClock();
    const map = new PerfEventArray("e", clock, 3, 4096);
    map.enabled = true;
    [2, 0, 1, 0, 2].forEach((cpu, i) => {
      clock.set(i * 10);
      map.output(cpu, sample(i, 4), 4, NO_PACKET, 0, 0);
    });
    expect(readAll(map)).toEqual([
      [2, 0, "00000000"],
      [0, 10, "01010101"],
      [1, 20, "02020202"],
      [0, 30, "03030303"],
      [2, 40, "04040404"],
    ]);
  });

  it("counts samples as lost, per CPU, when a ring is full, and takes new ones after it was read", () => {
    const map = new PerfEventArray("e", new VirtualClock(), 2, 4096);
    map.enabled = true;
    const results: number[] = [];
    for (let i = 0; i < 20; i++) results.push(map.output(1, sample(i, 300), 300, NO_PACKET, 0, 0));
    const stored = results.filter((r) => r === 0).length;
    expect(results).toEqual([...new Array(stored).fill(0), ...new Array(20 - stored).fill(-28)]);
    expect([stored, map.lost(0), map.lost(1)]).toEqual([12, 0, 8]);
    expect(readAll(map).length).toBe(12);
    expect(map.output(1, sample(9, 300), 300, NO_PACKET, 0, 0)).toBe(0);
    expect(readAll(map)).toEqual([[1, 0, toHex(sample(9, 300))]]);
  });

  it("keeps samples whole across the end of the ring", () => {
    const map = new PerfEventArray("e", new VirtualClock(), 1, 4096);
    map.enabled = true;
    for (let i = 0; i < 1000; i++) {
      const len = 8 * (1 + ((i * 37) % 120)) - 4;
      expect(map.output(0, sample(i & 0xff, len), len, NO_PACKET, 0, 0)).toBe(0);
      expect(readAll(map)).toEqual([[0, 0, toHex(sample(i & 0xff, len))]]);
    }
    expect(map.lost(0)).toBe(0);
  });

  it("forgets what is unread without counting it as lost", () => {
    const map = new PerfEventArray("e", new VirtualClock(), 1, 4096);
    map.enabled = true;
    map.output(0, sample(1, 8), 8, NO_PACKET, 0, 0);
    map.discard();
    expect([readAll(map), map.lost(0)]).toEqual([[], 0]);
  });

  it("returns to a snapshot: unread samples, losses and order", () => {
    const map = new PerfEventArray("e", new VirtualClock(), 2, 4096);
    map.enabled = true;
    map.output(0, sample(1, 4), 4, NO_PACKET, 0, 0);
    map.output(1, sample(2, 4), 4, NO_PACKET, 0, 0);
    const snapshot = map.save();
    readAll(map);
    map.output(0, sample(3, 4), 4, NO_PACKET, 0, 0);
    map.restore(snapshot);
    map.output(0, sample(4, 4), 4, NO_PACKET, 0, 0);
    expect(readAll(map).map((s) => s[2])).toEqual(["01010101", "02020202", "04040404"]);
  });

  it("refuses a ring that is too small or of odd size, and no CPU", () => {
    const message = "map e: needs a CPU and a ring of at least 4096 bytes, a multiple of 8";
    expect(() => new PerfEventArray("e", new VirtualClock(), 0)).toThrow(message);
    expect(() => new PerfEventArray("e", new VirtualClock(), 1, 4000)).toThrow(message);
    expect(() => new PerfEventArray("e", new VirtualClock(), 1, 4100)).toThrow(message);
  });
});
