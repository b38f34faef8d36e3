// Growing and shrinking the packet, after ctx_adjust_hroom and ctx_adjust_troom of bpf/include/bpf/ctx/skb.h and xdp.h.
// tc programs call bpf_skb_adjust_room and bpf_skb_change_tail; XDP moves the headers itself.

import { copyBytes } from "../../src/net/view.js";
import { ETH_HLEN, ETH_P_IP } from "./common.js";
import { type Ctx, ctx_full_len, IS_BPF_XDP, load_u16 } from "./ctx.js";

/** New bytes behind the network header (without options). */
export const BPF_ADJ_ROOM_NET = 0;
/** New bytes behind the Ethernet header. */
export const BPF_ADJ_ROOM_MAC = 1;

/** ctx_adjust_hroom(): `len` zero bytes more behind the Ethernet or the network header; negative if there is no room. */
export function ctx_adjust_hroom(ctx: Ctx, len: number, mode: number): number {
  if (ctx.obj.kind !== IS_BPF_XDP) {
    const ret = ctx.helpers.skb_adjust_room(ctx.skb, len, mode, 0);
    ctx.refresh();
    return ret;
  }
  const skb = ctx.skb;
  const keep = mode === BPF_ADJ_ROOM_MAC ? ETH_HLEN : ETH_HLEN + (load_u16(ctx, 12) === ETH_P_IP ? 20 : 40);
  if (!skb.push(len)) return -1;
  copyBytes(skb.bytes, skb.data, skb.bytes, skb.data + len, keep);
  skb.bytes.fill(0, skb.data + keep, skb.data + keep + len);
  ctx.refresh();
  return 0;
}

/** bpf_skb_change_tail(): changes the length at the end to `len`; new bytes are zero. */
export function ctx_change_tail(ctx: Ctx, len: number): number {
  const ret = ctx.helpers.skb_change_tail(ctx.skb, len, 0);
  ctx.refresh();
  return ret;
}

/** ctx_adjust_troom(): changes the length at the end by `delta`; new bytes are zero. */
export function ctx_adjust_troom(ctx: Ctx, delta: number): number {
  const len = ctx_full_len(ctx) + delta;
  if (ctx.obj.kind !== IS_BPF_XDP) return ctx_change_tail(ctx, len);
  if (len < ETH_HLEN) return -22;
  if (delta > 0) ctx.skb.put(delta);
  else ctx.skb.trim(len);
  ctx.refresh();
  return 0;
}
