// The scratch header that all samples are built in, and what their common parts look like (bpf/lib/notify.h).
//
//   word 0  type u8 | subtype u8 | source u16        common header
//   word 1  hash u32: skb->hash as it is, not computed for the sample (recorded runs with hash 0 show 0)
//   word 2  len_orig u32                             capture header
//   word 3  len_cap u16 | version u8 | ext_version u8
//   word 4.. by type
//
// Samples are little-endian words, as on the nodes that are modelled; the header is one Int32Array viewed as bytes.

import type { Ctx } from "./ctx.js";

/** Words of the sample header under construction. */
export const msg: Int32Array = new Int32Array(16);
const msgBytes = new Uint8Array(msg.buffer);

/** Words 0 to 3: common and capture header; `cap` bytes of the packet will follow. */
export function capture_header(
  ctx: Ctx,
  type: number,
  subtype: number,
  source: number,
  cap: number,
  version: number,
): void {
  const skb = ctx.skb;
  msg[0] = type | ((subtype & 0xff) << 8) | (source << 16);
  msg[1] = skb.hash;
  msg[2] = ctx.len;
  msg[3] = cap | (version << 16);
}

/** perf_event_output of `hdrLen` bytes of the header and `cap` bytes of the packet. */
export function emit(ctx: Ctx, hdrLen: number, cap: number): void {
  const skb = ctx.skb;
  ctx.maps.cilium_events.output(skb.cpu, msgBytes, hdrLen, skb.bytes, skb.data, cap);
}

/** True if somebody reads the ring: without a reader the helper fails at once and the header is not worth building. */
export function listened(ctx: Ctx): boolean {
  return ctx.maps.cilium_events.enabled;
}
