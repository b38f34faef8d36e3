// Token buckets in cilium_ratelimit, after bpf/lib/ratelimit.h: limits samples (events-map rate limit) and ICMPv6
// answers. Key: usage u32, device u32. Value: time of the last top-up u64 (ns), tokens u64.

import { NONE } from "../../maps/spec.js";
import { NS_PER_SEC } from "../../src/base/clock.js";
import type { Ctx } from "./ctx.js";

export const RATELIMIT_USAGE_ICMPV6 = 1;
export const RATELIMIT_USAGE_EVENTS_MAP = 2;
export const RATELIMIT_USAGE_SOCK_EVENTS_MAP = 3;

const key = new Int32Array(2);
const value = new Int32Array(4);
const valueView = new DataView(value.buffer);

/**
 * ratelimit_check_and_take(): false if the bucket of (usage, device) is empty. It holds at most `bucket` tokens and
 * gains `perSecond` each second.
 */
export function ratelimit_check_and_take(
  ctx: Ctx,
  usage: number,
  device: number,
  bucket: number,
  perSecond: number,
): boolean {
  const map = ctx.maps.cilium_ratelimit;
  key[0] = usage;
  key[1] = device;
  const now = ctx.helpers.ktime_get_ns();
  const slot = map.lookup(key);
  if (slot === NONE) {
    // The first packet creates the bucket full and takes one token.
    putU64(valueView, 0, now);
    putU64(valueView, 8, bucket - 1);
    map.update(key, value, 0);
    return true;
  }
  const at = slot * map.valueStride;
  const view = map.view;
  const last = getU64(view, at);
  let tokens = getU64(view, at + 8);
  const since = now - last;
  if (since > NS_PER_SEC) {
    const intervals = Math.floor(since / NS_PER_SEC);
    tokens = Math.min(tokens + perSecond * intervals, bucket);
    // Keep the remainder, so that the average rate is exact.
    putU64(view, at, last + intervals * NS_PER_SEC);
  }
  if (tokens <= 0) {
    putU64(view, at + 8, tokens);
    return false;
  }
  putU64(view, at + 8, tokens - 1);
  return true;
}

function getU64(v: DataView, at: number): number {
  return v.getUint32(at, true) + v.getUint32(at + 4, true) * 0x1_0000_0000;
}

function putU64(v: DataView, at: number, n: number): void {
  v.setUint32(at, n >>> 0, true);
  v.setUint32(at + 4, Math.floor(n / 0x1_0000_0000), true);
}
