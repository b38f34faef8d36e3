// The recorder of walks: what it was told stays, whatever is recorded after it.
import { describe, expect, it } from "vitest";
import { VirtualClock } from "../../../src/base/clock.js";
import { Skb } from "../../../src/bpf/skb.js";
import { STEP_SNAP, Step, StepRecorder } from "../../../src/bpf/steps.js";

const REF = { name: "it" };

/** Records steps number `from` to `to - 1`; each has its number in every field and in the frame. */
function record(r: StepRecorder, clock: VirtualClock, from: number, to: number): void {
  const skb = new Skb();
  for (let n = from; n < to; n++) {
    clock.set(1e13 + n);
    skb.setFrame(Uint8Array.from({ length: 1 + (n % 200) }, (_, i) => (n + i) & 0xff));
    skb.id = n;
    skb.netns = n + 1;
    skb.ifindex = n + 2;
    skb.mark = n | 0x80000000;
    r.step(Step.MAP_LOOKUP, skb, n % 2 === 0 ? REF : null, n + 3, -n, n + 5);
  }
}

/** What `record` should have left. */
const expected = (from: number, to: number): unknown[] =>
  Array.from({ length: to - from }, (_, k) => {
    const n = from + k;
    const len = 1 + (n % 200);
    return {
      head: [Step.MAP_LOOKUP, n, n + 1, n + 2, n + 3, -n, n + 5, len, (n | 0x80000000) >>> 0, 1e13 + n],
      ref: n % 2 === 0 ? REF : null,
      frame: Array.from({ length: Math.min(len, STEP_SNAP) }, (_, i) => (n + i) & 0xff),
    };
  });

const read = (records: ReturnType<StepRecorder["records"]>): unknown[] =>
  records.map((r) => ({
    head: [r.kind, r.id, r.netns, r.ifindex, r.a, r.b, r.c, r.len, r.mark, r.ns],
    ref: r.ref,
    frame: [...r.frame],
  }));

describe("a recorder of steps", () => {
  it("gives out records that later recordings, long or short, do not change", () => {
    const clock = new VirtualClock(0);
    const r = new StepRecorder(clock, 65_536);
    const given: [ReturnType<StepRecorder["records"]>, unknown[]][] = [];
    let n = 1;
    for (const length of [3, 90, 130, 90, 700, 1, 0, 511, 2100, 200, 90]) {
      record(r, clock, n, n + length);
      expect([r.written, r.lost]).toEqual([length, 0]);
      given.push([r.records(), expected(n, n + length)]);
      r.clear();
      n += length;
    }
    for (const [records, want] of given) expect(read(records)).toEqual(want);
  });

  it("goes on behind records that it gave out, and gives all of them the next time", () => {
    const clock = new VirtualClock(0);
    const r = new StepRecorder(clock);
    record(r, clock, 1, 10);
    const first = r.records();
    record(r, clock, 10, 600);
    expect(read(first)).toEqual(expected(1, 10));
    expect(read(r.records())).toEqual(expected(1, 600));
  });

  it("keeps the last of more than it has room for, and writes over none that it gave out", () => {
    const clock = new VirtualClock(0);
    const r = new StepRecorder(clock, 20);
    record(r, clock, 1, 31);
    const first = r.records();
    expect([r.written, r.lost]).toEqual([30, 10]);
    expect(read(first)).toEqual(expected(11, 31));
    record(r, clock, 31, 38);
    expect(read(first)).toEqual(expected(11, 31));
    expect(read(r.records())).toEqual(expected(18, 38));
    r.clear();
    record(r, clock, 38, 40);
    expect(read(r.records())).toEqual(expected(38, 40));
    expect(read(first)).toEqual(expected(11, 31));
  });
});
