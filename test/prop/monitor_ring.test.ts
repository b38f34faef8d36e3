import { describe, expect, it } from "vitest";
import { PerfEventArray } from "../../maps/perf_event_array.js";
import { VirtualClock } from "../../src/base/clock.js";
import fc from "../support/fast_check.js";

/** A sample whose bytes tell its number and CPU. */
function header(cpu: number, n: number): Uint8Array {
  const b = new Uint8Array(8);
  b[0] = cpu;
  new DataView(b.buffer).setUint32(4, n, true);
  return b;
}

const PACKET = new Uint8Array(2000).map((_, i) => i * 7);

describe("the event ring", () => {
  it("delivers or counts every event, in order, whatever the load and however seldom it is read", () => {
    const step = fc.oneof(
      {
        weight: 20,
        arbitrary: fc.record({ cpu: fc.integer({ min: 0, max: 3 }), len: fc.integer({ min: 0, max: 2000 }) }),
      },
      { weight: 1, arbitrary: fc.constant("read" as const) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const ring = new PerfEventArray("cilium_events", new VirtualClock(), 4, 8192);
        ring.enabled = true;
        const written: { cpu: number; n: number; len: number }[] = [];
        const seen: { cpu: number; n: number; len: number }[] = [];
        const lost = [0, 0, 0, 0];
        const read = (): void => {
          ring.read((s, cpu) => {
            const v = new DataView(s.buffer, s.byteOffset, s.byteLength);
            const n = v.getUint32(4, true);
            const len = written.find((w) => w.n === n)!.len;
            expect(s[0]).toBe(cpu);
            expect(s.length % 8).toBe(4);
            expect(s.subarray(8, 8 + len)).toEqual(PACKET.subarray(0, len));
            seen.push({ cpu, n, len });
          });
        };
        steps.forEach((s, n) => {
          if (s === "read") {
            read();
            return;
          }
          const ret = ring.output(s.cpu, header(s.cpu, n), 8, PACKET, 0, s.len);
          if (ret === 0) written.push({ cpu: s.cpu, n, len: s.len });
          else {
            expect(ret).toBe(-28);
            lost[s.cpu]!++;
          }
        });
        read();
        expect(seen).toEqual(written);
        expect([0, 1, 2, 3].map((cpu) => ring.lost(cpu))).toEqual(lost);
      }),
      { numRuns: 60 },
    );
  });

  it("loses nothing while its reader keeps up: a million events through rings of default size", () => {
    const ring = new PerfEventArray("cilium_events", new VirtualClock(), 2);
    ring.enabled = true;
    const hdr = header(0, 0);
    const view = new DataView(hdr.buffer);
    let next = 0;
    let wrong = 0;
    for (let i = 0; i < 1_000_000; i++) {
      view.setUint32(4, i, true);
      if (ring.output(i & 1, hdr, 8, PACKET, 0, 120) !== 0) wrong++;
      if (i % 1024 === 1023) {
        ring.read((s) => {
          if (s[4]! + s[5]! * 256 + s[6]! * 65536 !== next) wrong++;
          next++;
        });
      }
    }
    ring.read(() => {
      next++;
    });
    expect([next, wrong, ring.lost(0), ring.lost(1)]).toEqual([1_000_000, 0, 0, 0]);
  });
});
