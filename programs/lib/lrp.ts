// Local redirect policies, after bpf/lib/lrp.h: a node-local backend that talks to the very frontend it stands in for must
// reach the real one, so the agent lists (namespace, frontend) pairs that are not translated.
//
// A CiliumLocalRedirectPolicy with skipRedirectFromBackend, such as node-local DNS: the cache's pod asks kube-dns
// itself, and would be sent back to itself. The socket hooks know the namespace by its cookie (get_netns_cookie);
// bpf_lxc, whose packets have no socket, has the endpoint's cookie in its configuration.

import { copyAddr6 } from "../../maps/layout.js";
import { NONE } from "../../maps/spec.js";
import { Step } from "../../src/bpf/steps.js";
import type { Ctx } from "./ctx.js";

// struct skip_lb4_key and skip_lb6_key: cookie u64, address, port.
const key4 = new Int32Array(4);
const key6 = new Int32Array(8);

// Cookies are 64-bit counters, well below 2^53: a number holds them.
function hi_word(cookie: number): number {
  return Math.floor(cookie / 0x1_0000_0000) | 0;
}

/** lrp_v4_skip_xlate_from_ctx_to_svc(): shall this namespace's traffic to the frontend stay as it is? */
export function lrp_v4_skip_xlate_from_ctx_to_svc(
  ctx: Ctx,
  netns_cookie: number,
  address: number,
  port: number,
): boolean {
  const map = ctx.maps.cilium_skip_lb4;
  key4[0] = netns_cookie | 0;
  key4[1] = hi_word(netns_cookie);
  key4[2] = address;
  key4[3] = port;
  const slot = map.lookup(key4);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot !== NONE;
}

/** lrp_v6_skip_xlate_from_ctx_to_svc(): the address is four words from `at`. */
export function lrp_v6_skip_xlate_from_ctx_to_svc(
  ctx: Ctx,
  netns_cookie: number,
  words: Int32Array,
  at: number,
  port: number,
): boolean {
  const map = ctx.maps.cilium_skip_lb6;
  key6[0] = netns_cookie | 0;
  key6[1] = hi_word(netns_cookie);
  copyAddr6(key6, 2, words, at);
  key6[6] = port;
  const slot = map.lookup(key6);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot !== NONE;
}
