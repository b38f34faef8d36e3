// Mutual authentication, after bpf/lib/auth.h: a policy entry may demand that the two identities have authenticated
// each other; the agent keeps the proof, with its expiry, in cilium_auth_map.

import { AuthKey, authExpiration } from "../../maps/auth.js";
import { NONE } from "../../maps/spec.js";
import { CTX_ACT_OK, DROP_NO_NODE_ID, DROP_POLICY_AUTH_REQUIRED } from "./common.js";
import type { Ctx } from "./ctx.js";

const key = new AuthKey();
const node_key = new Int32Array(5);
const zero = new Int32Array(1);
const signal = new Int32Array(4);
const signalBytes = new Uint8Array(signal.buffer);
const SIGNAL_AUTH_REQUIRED = 2;

/**
 * auth_lookup(): CTX_ACT_OK while the pair is authenticated, else DROP_POLICY_AUTH_REQUIRED, and the agent is told.
 * `remote_node_ip` is the tunnel endpoint (Be32) of the peer, 0 for this node.
 */
export function auth_lookup(
  ctx: Ctx,
  local_id: number,
  remote_id: number,
  remote_node_ip: number,
  auth_type: number,
): number {
  let node_id = 0;
  if (remote_node_ip !== 0) {
    // struct node_key: 3 bytes of padding, family, address.
    node_key[0] = 1 << 24;
    node_key[1] = remote_node_ip;
    const nodes = ctx.maps.cilium_node_map_v2;
    const slot = nodes.lookup(node_key);
    if (slot === NONE) return DROP_NO_NODE_ID;
    node_id = nodes.words[slot * nodes.valueWords] & 0xffff;
    if (node_id === 0) return DROP_NO_NODE_ID;
  }
  key.set(local_id, remote_id, node_id, auth_type);
  const map = ctx.maps.cilium_auth_map;
  const slot = map.lookup(key.words);
  // A pair that authenticated before and has run out is told like one that never did.
  if (slot !== NONE && utime_now(ctx) < authExpiration(map, slot)) return CTX_ACT_OK;
  ctx.ext_err = auth_type;
  signal[0] = SIGNAL_AUTH_REQUIRED;
  for (let i = 0; i < 3; i++) signal[1 + i] = key.words[i];
  ctx.maps.cilium_signals.output(ctx.skb.cpu, signalBytes, 16, ctx.skb.bytes, 0, 0);
  return DROP_POLICY_AUTH_REQUIRED;
}

// utime_get_time(): Unix time in 512 ns units, monotonic time plus the offset that the agent maintains.
function utime_now(ctx: Ctx): number {
  const map = ctx.maps.cilium_runtime_config;
  zero[0] = 0;
  const slot = map.lookup(zero);
  const at = slot * map.valueWords;
  const offset = (map.words[at] >>> 0) + (map.words[at + 1] >>> 0) * 0x1_0000_0000;
  return Math.floor(ctx.helpers.ktime_get_ns() / 512) + offset;
}
