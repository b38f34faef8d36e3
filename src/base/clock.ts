// The lab's only source of time: a virtual monotonic clock in nanoseconds and the timers that hang on it.
// Nothing below floor 7 reads a wall clock, so six hours pass as soon as somebody asks for them.

/** Nanoseconds per second. */
export const NS_PER_SEC = 1_000_000_000;
/** Nanoseconds per millisecond. */
export const NS_PER_MSEC = 1_000_000;
/** Nanoseconds per microsecond. */
export const NS_PER_USEC = 1000;

/**
 * A monotonic clock that moves only when told. `sec` is kept beside the nanoseconds because conntrack stamps
 * seconds on every packet and a double division there is measurable.
 */
export class VirtualClock {
  // A typed array, so that advancing the clock does not allocate a heap number each time.
  readonly #ns = new Float64Array(1);
  #sec = 0;

  constructor(startNs = 0) {
    this.set(startNs);
  }

  /** Nanoseconds since the (virtual) boot; an integer below 2^53. */
  get ns(): number {
    return this.#ns[0]!;
  }

  /** Whole seconds since boot, as a small integer. */
  get sec(): number {
    return this.#sec;
  }

  /** Moves the clock to `ns`. Time may be set back only by restoring a snapshot. */
  set(ns: number): void {
    this.#ns[0] = ns;
    this.#sec = Math.floor(ns / NS_PER_SEC) | 0;
  }

  /** Moves the clock `ns` nanoseconds on. */
  advance(ns: number): void {
    this.set(this.#ns[0]! + ns);
  }
}

/** A pending timer. `cancel()` is idempotent. */
export class Timer {
  cancelled = false;

  constructor(
    readonly atNs: number,
    readonly seq: number,
    readonly fire: () => void,
  ) {}

  cancel(): void {
    this.cancelled = true;
  }
}

/**
 * Timers ordered by due time, then by order of scheduling, so that runs repeat exactly. A binary heap:
 * insertion and removal are O(log n).
 */
export class TimerQueue {
  readonly #heap: Timer[] = [];
  #seq = 0;

  constructor(readonly clock: VirtualClock) {}

  /** Runs `fire` when the clock reaches `atNs`; a time in the past fires at the next `runUntil`. */
  at(atNs: number, fire: () => void): Timer {
    const t = new Timer(atNs, this.#seq++, fire);
    const h = this.#heap;
    let i = h.length;
    h.push(t);
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (!before(t, h[up]!)) break;
      h[i] = h[up]!;
      i = up;
    }
    h[i] = t;
    return t;
  }

  /** Runs `fire` in `delayNs` nanoseconds. */
  after(delayNs: number, fire: () => void): Timer {
    return this.at(this.clock.ns + delayNs, fire);
  }

  /** Due time of the earliest live timer, or Infinity. */
  nextDue(): number {
    const h = this.#heap;
    while (h.length > 0 && h[0]!.cancelled) this.#pop();
    return h.length > 0 ? h[0]!.atNs : Number.POSITIVE_INFINITY;
  }

  /** Fires everything due up to and including `ns`, in order, the clock standing at each due time; ends at `ns`. */
  runUntil(ns: number): void {
    for (;;) {
      const due = this.nextDue();
      if (due > ns) break;
      const t = this.#pop();
      if (due > this.clock.ns) this.clock.set(due);
      t.fire();
    }
    if (ns > this.clock.ns) this.clock.set(ns);
  }

  /** Number of timers that wait, cancelled ones not counted. */
  get pending(): number {
    let n = 0;
    for (const t of this.#heap) if (!t.cancelled) n++;
    return n;
  }

  #pop(): Timer {
    const h = this.#heap;
    const top = h[0]!;
    const last = h.pop()!;
    const n = h.length;
    if (n > 0) {
      let i = 0;
      for (;;) {
        let c = 2 * i + 1;
        if (c >= n) break;
        if (c + 1 < n && before(h[c + 1]!, h[c]!)) c++;
        if (!before(h[c]!, last)) break;
        h[i] = h[c]!;
        i = c;
      }
      h[i] = last;
    }
    return top;
  }
}

function before(a: Timer, b: Timer): boolean {
  return a.atNs < b.atNs || (a.atNs === b.atNs && a.seq < b.seq);
}
