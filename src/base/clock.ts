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

/** A pending timer. `cancel()` is idempotent, and without effect once it has fired. */
export class Timer {
  cancelled = false;
  /** Its place in the queue's heap; -1 = not in it. Kept by the queue. */
  place = -1;

  constructor(
    readonly atNs: number,
    readonly seq: number,
    /** 0 for ordinary timers, else one more than the level of the wheel. */
    readonly rank: number,
    readonly fire: () => void,
    private readonly queue: TimerQueue,
  ) {}

  cancel(): void {
    this.cancelled = true;
    if (this.place >= 0) this.queue.remove(this);
  }
}

/**
 * Timers ordered by due time, then (but for `onWheel`) by order of scheduling, so that runs repeat exactly. A binary
 * heap: insertion and removal are O(log n). A cancelled timer leaves at once: TCP arms and cancels one for every segment,
 * and while virtual time stands still they would pile up.
 */
export class TimerQueue {
  readonly #heap: Timer[] = [];
  #seq = 0;
  /** Entered before the timers of the wheel that are due at one time run, left when all have: what they send waits. */
  softirq: { enter(): void; leave(): void } | null = null;

  constructor(readonly clock: VirtualClock) {}

  /** Runs `fire` when the clock reaches `atNs`; a time in the past fires at the next `runUntil`. */
  at(atNs: number, fire: () => void): Timer {
    return this.#push(new Timer(atNs, this.#seq++, 0, fire, this));
  }

  /**
   * As `at`, for timers that hang on a wheel: of those due at one time the higher `level` (from 0) runs first, within
   * a level the one scheduled last, and all of them before those of `at`.
   */
  onWheel(atNs: number, level: number, fire: () => void): Timer {
    return this.#push(new Timer(atNs, this.#seq++, level + 1, fire, this));
  }

  #push(t: Timer): Timer {
    this.#heap.push(t);
    this.#up(t, this.#heap.length - 1);
    return t;
  }

  /** Runs `fire` in `delayNs` nanoseconds. */
  after(delayNs: number, fire: () => void): Timer {
    return this.at(this.clock.ns + delayNs, fire);
  }

  /** Due time of the earliest timer, or Infinity. */
  nextDue(): number {
    const h = this.#heap;
    return h.length > 0 ? h[0]!.atNs : Number.POSITIVE_INFINITY;
  }

  /** Fires everything due up to and including `ns`, in order, the clock standing at each due time; ends at `ns`. */
  runUntil(ns: number): void {
    const h = this.#heap;
    while (h.length > 0) {
      const t = h[0]!;
      if (t.atNs > ns) break;
      if (t.atNs > this.clock.ns) this.clock.set(t.atNs);
      if (t.rank === 0) {
        this.remove(t);
        t.fire();
      } else this.#runWheel(t.atNs);
    }
    if (ns > this.clock.ns) this.clock.set(ns);
  }

  /** All timers of the wheel that are due at `atNs`. */
  #runWheel(atNs: number): void {
    const h = this.#heap;
    this.softirq?.enter();
    for (let t = h[0]; t !== undefined && t.atNs === atNs && t.rank > 0; t = h[0]) {
      this.remove(t);
      t.fire();
    }
    this.softirq?.leave();
  }

  /** Number of timers that wait. */
  get pending(): number {
    return this.#heap.length;
  }

  /** Takes a timer that waits here out of the queue; what `cancel()` does. */
  remove(t: Timer): void {
    const h = this.#heap;
    const at = t.place;
    t.place = -1;
    const last = h.pop()!;
    if (last === t) return;
    const up = (at - 1) >> 1;
    if (at > 0 && before(last, h[up]!)) this.#up(last, at);
    else this.#down(last, at);
  }

  /** Puts `t` at `from` or where it belongs above. */
  #up(t: Timer, from: number): void {
    const h = this.#heap;
    let i = from;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const p = h[parent]!;
      if (!before(t, p)) break;
      h[i] = p;
      p.place = i;
      i = parent;
    }
    h[i] = t;
    t.place = i;
  }

  /** Puts `t` at `from` or where it belongs below. */
  #down(t: Timer, from: number): void {
    const h = this.#heap;
    const n = h.length;
    let i = from;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= n) break;
      if (child + 1 < n && before(h[child + 1]!, h[child]!)) child++;
      const c = h[child]!;
      if (!before(c, t)) break;
      h[i] = c;
      c.place = i;
      i = child;
    }
    h[i] = t;
    t.place = i;
  }
}

function before(a: Timer, b: Timer): boolean {
  if (a.atNs !== b.atNs) return a.atNs < b.atNs;
  if (a.rank !== b.rank) return a.rank > b.rank;
  return a.rank === 0 ? a.seq < b.seq : a.seq > b.seq;
}
