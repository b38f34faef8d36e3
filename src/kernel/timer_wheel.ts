// kernel/time/timer.c: a timer never fires early, and late by at most the granularity of its wheel level.

import type { Timer, TimerQueue } from "../base/clock.js";

/** CONFIG_HZ of the modelled machine: a jiffy is 4 ms. */
export const HZ = 250;
export const JIFFY_MS = 1000 / HZ;
const JIFFY_NS = 1e9 / HZ;

/** The kernel's coarse time, the start of the jiffy that runs, in ns. */
export const jiffyNs = (nowNs: number): number => Math.floor(nowNs / JIFFY_NS) * JIFFY_NS;

/** LVL_DEPTH. */
const LEVELS = 9;

/** The wheel level of a timer armed now for `atNs` (calc_wheel_index): 64 buckets each, eight times coarser each. */
function wheelLevel(nowNs: number, atNs: number): number {
  const delta = Math.floor(atNs / JIFFY_NS) - Math.floor(nowNs / JIFFY_NS);
  let level = 0;
  for (let start = 63; delta >= start && level < 8; start *= 8) level++;
  return level;
}

function bucketNs(nowNs: number, atNs: number, level: number): number {
  const gran = 8 ** level;
  return (Math.floor(Math.max(nowNs, atNs) / JIFFY_NS / gran) + 1) * gran * JIFFY_NS;
}

/** When a timer armed now for `atNs` fires. */
export const wheelExpiryNs = (nowNs: number, atNs: number): number =>
  bucketNs(nowNs, atNs, wheelLevel(nowNs, atNs));

/**
 * Arms a timer for `atNs`. Of those that expire together (collect_expired_timers, expire_timers) coarser levels come
 * first, and in a bucket, a list that grows at its head, the last that was armed. `pinned` (TIMER_PINNED): on the wheel
 * of the CPU's own timers, which runs before that of the others.
 */
export function wheelTimer(timers: TimerQueue, atNs: number, fire: () => void, pinned = false): Timer {
  const now = timers.clock.ns;
  const level = wheelLevel(now, atNs);
  return timers.onWheel(bucketNs(now, atNs, level), level + (pinned ? LEVELS : 0), fire);
}
