// kernel/time/timer.c: a timer never fires early, and late by at most the granularity of its wheel level.

/** CONFIG_HZ of the modelled machine: a jiffy is 4 ms. */
export const HZ = 250;
const JIFFY_NS = 1e9 / HZ;

/** When a timer armed now for `atNs` fires (calc_wheel_index): levels of 64 buckets, eight times coarser each. */
export function wheelExpiryNs(nowNs: number, atNs: number): number {
  const now = Math.floor(nowNs / JIFFY_NS);
  const at = Math.max(now, Math.floor(atNs / JIFFY_NS));
  const delta = at - now;
  let gran = 1;
  for (let start = 63; delta >= start && gran < 8 ** 8; start *= 8) gran *= 8;
  return (Math.floor(at / gran) + 1) * gran * JIFFY_NS;
}
