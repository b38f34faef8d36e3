// Endpoint and identity look-ups, after bpf/lib/eps.h. A result is a slot of cilium_lxc or cilium_ipcache_v2, read with
// the accessors of maps/lxc.ts and maps/ipcache.ts; NONE on a miss.

import { IpcacheKey } from "../../maps/ipcache.js";
import { copyAddr6, ENDPOINT_KEY_IPV6 } from "../../maps/layout.js";
import { LxcKey } from "../../maps/lxc.js";
import { Step } from "../../src/bpf/steps.js";
import type { Ctx } from "./ctx.js";

// Keys are made in place. All padding stays 0, for the maps hash every byte.
const lxc_key = new LxcKey();
const ipcache_key = new IpcacheKey();

/** __lookup_ip4_endpoint(): slot in cilium_lxc. */
export function lookup_ip4_endpoint(ctx: Ctx, addr: number): number {
  const map = ctx.maps.cilium_lxc;
  const slot = map.lookup(lxc_key.setIpv4(addr).words);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot;
}

/** __lookup_ip6_endpoint(): the address is four words. */
export function lookup_ip6_endpoint(ctx: Ctx, words: Int32Array, at: number): number {
  const map = ctx.maps.cilium_lxc;
  copyAddr6(lxc_key.words, 0, words, at);
  lxc_key.words[4] = ENDPOINT_KEY_IPV6;
  const slot = map.lookup(lxc_key.words);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot;
}

/** lookup_ip4_remote_endpoint(): slot in cilium_ipcache_v2. */
export function lookup_ip4_remote_endpoint(ctx: Ctx, addr: number, cluster_id: number): number {
  const map = ctx.maps.cilium_ipcache_v2;
  const slot = map.lookup(ipcache_key.setIpv4(addr, 32, cluster_id).words);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot;
}

/** lookup_ip6_remote_endpoint(): the address is four words. */
export function lookup_ip6_remote_endpoint(ctx: Ctx, words: Int32Array, at: number): number {
  const map = ctx.maps.cilium_ipcache_v2;
  const w = ipcache_key.words;
  // Prefix length: 32 bits of cluster id, padding and family, and 128 of the address. The family is the key's byte 7.
  w[0] = 160;
  w[1] = ENDPOINT_KEY_IPV6 << 24;
  copyAddr6(w, 2, words, at);
  const slot = map.lookup(w);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot;
}
