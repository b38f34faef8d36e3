import { describe, expect, it } from "vitest";
import { NS_PER_MSEC, NS_PER_SEC, NS_PER_USEC, TimerQueue, VirtualClock } from "../../../src/base/clock.js";
import fc from "../../support/fast_check.js";

describe("VirtualClock", () => {
  it("counts nanoseconds and whole seconds", () => {
    const clock = new VirtualClock(1_999_999_999);
    expect([clock.ns, clock.sec]).toEqual([1_999_999_999, 1]);
    clock.advance(1);
    expect([clock.ns, clock.sec]).toEqual([2_000_000_000, 2]);
    clock.set(0);
    expect([clock.ns, clock.sec]).toEqual([0, 0]);
  });

  it("stays exact over six hours of nanosecond steps at a late time", () => {
    const clock = new VirtualClock(1_000_000 * NS_PER_SEC);
    clock.advance(6 * 3600 * NS_PER_SEC);
    clock.advance(1);
    expect([clock.ns, clock.sec]).toEqual([1_021_600_000_000_001, 1_021_600]);
  });

  it("knows its units", () => {
    expect([NS_PER_SEC, NS_PER_MSEC, NS_PER_USEC]).toEqual([1e9, 1e6, 1e3]);
  });
});

describe("TimerQueue", () => {
  /** A queue and what it fired, as [name, time]. */
  function recording() {
    const timers = new TimerQueue(new VirtualClock());
    const fired: [string, number][] = [];
    const mark = (name: string) => () => {
      fired.push([name, timers.clock.ns]);
    };
    return { timers, fired, mark };
  }

  it("fires in order of due time, and in order of scheduling at the same time", () => {
    const { timers, fired, mark } = recording();
    timers.at(30, mark("c"));
    timers.at(10, mark("a"));
    timers.at(30, mark("d"));
    timers.after(20, mark("b"));
    timers.runUntil(100);
    expect(fired).toEqual([
      ["a", 10],
      ["b", 20],
      ["c", 30],
      ["d", 30],
    ]);
    expect(timers.clock.ns).toBe(100);
  });

  it("leaves what is due later, and fires what is due exactly then", () => {
    const { timers, fired, mark } = recording();
    timers.at(10, mark("a"));
    timers.at(11, mark("b"));
    timers.runUntil(10);
    expect([fired, timers.pending, timers.nextDue()]).toEqual([[["a", 10]], 1, 11]);
  });

  it("fires a timer of the past at the next run without setting the clock back", () => {
    const { timers, fired, mark } = recording();
    timers.clock.set(50);
    timers.at(10, mark("late"));
    timers.runUntil(40);
    expect([fired, timers.clock.ns]).toEqual([[["late", 50]], 50]);
  });

  it("fires timers that a timer schedules within the same run", () => {
    const { timers, fired, mark } = recording();
    timers.at(10, () => {
      mark("a")();
      timers.after(0, mark("b"));
      timers.after(5, mark("c"));
      timers.after(500, mark("d"));
    });
    timers.runUntil(100);
    expect(fired).toEqual([
      ["a", 10],
      ["b", 10],
      ["c", 15],
    ]);
    expect(timers.pending).toBe(1);
  });

  it("does not fire a cancelled timer, also when cancelled by another of the same time", () => {
    const { timers, fired, mark } = recording();
    const b = timers.at(10, mark("b"));
    b.cancel();
    b.cancel();
    const first = timers.at(20, () => second.cancel());
    const second = timers.at(20, mark("second"));
    expect(timers.pending).toBe(2);
    timers.runUntil(100);
    expect([fired, timers.pending, first.cancelled, second.cancelled]).toEqual([[], 0, false, true]);
  });

  it("has no due time when nothing waits", () => {
    const { timers, mark } = recording();
    expect(timers.nextDue()).toBe(Number.POSITIVE_INFINITY);
    timers.at(5, mark("a")).cancel();
    expect(timers.nextDue()).toBe(Number.POSITIVE_INFINITY);
  });

  it("does what a sorted list does, with cancellations and runs in between", () => {
    const step = fc.oneof(
      fc.record({ op: fc.constant("at" as const), at: fc.nat({ max: 1000 }) }),
      fc.record({ op: fc.constant("cancel" as const), which: fc.nat() }),
      fc.record({ op: fc.constant("run" as const), by: fc.nat({ max: 200 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const timers = new TimerQueue(new VirtualClock());
        const fired: number[] = [];
        const expected: number[] = [];
        const all: { id: number; at: number; cancel: () => void }[] = [];
        let waiting: { id: number; at: number }[] = [];
        for (const s of steps) {
          if (s.op === "at") {
            const id = all.length;
            const t = timers.at(s.at, () => fired.push(id));
            all.push({ id, at: s.at, cancel: () => t.cancel() });
            waiting.push({ id, at: s.at });
          } else if (s.op === "cancel" && all.length > 0) {
            const t = all[s.which % all.length];
            t.cancel();
            waiting = waiting.filter((w) => w.id !== t.id);
          } else if (s.op === "run") {
            const until = timers.clock.ns + s.by;
            timers.runUntil(until);
            const due = waiting.filter((w) => w.at <= until).sort((a, b) => a.at - b.at || a.id - b.id);
            expected.push(...due.map((w) => w.id));
            waiting = waiting.filter((w) => w.at > until);
            expect(timers.clock.ns).toBe(until);
          }
          expect(timers.pending).toBe(waiting.length);
        }
        expect(fired).toEqual(expected);
      }),
    );
  });
});
