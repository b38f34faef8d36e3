// Classes of identities and the identity that the host's mark carries, after bpf/lib/identity.h.

import {
  DBG_INHERIT_IDENTITY,
  ETH_P_IP,
  ETH_P_IPV6,
  HOST_ID,
  KUBE_APISERVER_NODE_ID,
  MARK_MAGIC_HOST,
  MARK_MAGIC_HOST_MASK,
  MARK_MAGIC_IDENTITY,
  MARK_MAGIC_PROXY_EGRESS,
  MARK_MAGIC_PROXY_INGRESS,
  REMOTE_NODE_ID,
  TC_INDEX_F_FROM_EGRESS_PROXY,
  TC_INDEX_F_FROM_INGRESS_PROXY,
  UNMANAGED_ID,
  WORLD_ID,
} from "./common.js";
import type { Ctx } from "./ctx.js";
import { cilium_dbg } from "./dbg.js";
import { get_identity } from "./overloadable.js";

/** True for a node of this or another cluster: 6, 7, or the remote-node scope 0x02xxxxxx. */
export function identity_is_remote_node(_ctx: Ctx, identity: number): boolean {
  return (
    identity === REMOTE_NODE_ID ||
    identity === KUBE_APISERVER_NODE_ID ||
    (identity & 0xff000000) === 0x02000000
  );
}

// 2 is the world of an IPv4-only or IPv6-only cluster; in dual stack each family has its own (9, 10), and 2 remains as
// what comes out of a tunnel before it is told apart.
export function identity_is_world_ipv4(ctx: Ctx, identity: number): boolean {
  return identity === WORLD_ID || (ctx.def.DUAL_STACK && identity === ctx.def.WORLD_IPV4_ID);
}

export function identity_is_world_ipv6(ctx: Ctx, identity: number): boolean {
  return identity === WORLD_ID || (ctx.def.DUAL_STACK && identity === ctx.def.WORLD_IPV6_ID);
}

/** True where the ipcache knows better than the mark: unknown, host, world, nodes. */
export function identity_is_reserved(ctx: Ctx, identity: number): boolean {
  if (identity >>> 0 < UNMANAGED_ID || identity_is_remote_node(ctx, identity)) return true;
  const def = ctx.def;
  return def.DUAL_STACK && (identity === def.WORLD_IPV4_ID || identity === def.WORLD_IPV6_ID);
}

/** identity_is_cluster(): neither world nor a CIDR identity. */
export function identity_is_cluster(ctx: Ctx, identity: number): boolean {
  const def = ctx.def;
  if (identity === WORLD_ID) return false;
  if (def.DUAL_STACK && (identity === def.WORLD_IPV4_ID || identity === def.WORLD_IPV6_ID)) return false;
  return identity < def.CIDR_IDENTITY_RANGE_START || identity > def.CIDR_IDENTITY_RANGE_END;
}

/** Identity of what no map knows, by family. */
export function world_id(ctx: Ctx, proto: number): number {
  if (!ctx.def.DUAL_STACK) return WORLD_ID;
  return proto === ETH_P_IP ? ctx.def.WORLD_IPV4_ID : proto === ETH_P_IPV6 ? ctx.def.WORLD_IPV6_ID : WORLD_ID;
}

/** get_tunnel_id(): on the wire there is one world. */
export function get_tunnel_id(ctx: Ctx, identity: number): number {
  const def = ctx.def;
  if (def.DUAL_STACK && (identity === def.WORLD_IPV4_ID || identity === def.WORLD_IPV6_ID)) return WORLD_ID;
  return identity;
}

/** get_id_from_tunnel_id(): the inverse; the inner protocol (EtherType, host order) tells which world it was. */
export function get_id_from_tunnel_id(ctx: Ctx, tunnel_id: number, proto: number): number {
  return tunnel_id === WORLD_ID ? world_id(ctx, proto) : tunnel_id;
}

/** What inherit_identity_from_host found. */
export let inherited_identity = 0;

/**
 * inherit_identity_from_host(): reads source identity and proxy origin from the mark, then clears it so that routing
 * rules do not match it again. Returns the magic; the identity is in `inherited_identity`.
 */
export function inherit_identity_from_host(ctx: Ctx, proto: number): number {
  const skb = ctx.skb;
  const magic = skb.mark & MARK_MAGIC_HOST_MASK;
  let identity: number;
  if (magic === MARK_MAGIC_PROXY_INGRESS) {
    identity = get_identity(ctx);
    skb.tcIndex |= TC_INDEX_F_FROM_INGRESS_PROXY;
  } else if (magic === MARK_MAGIC_PROXY_EGRESS) {
    identity = get_identity(ctx);
    skb.tcIndex |= TC_INDEX_F_FROM_EGRESS_PROXY;
  } else if (magic === MARK_MAGIC_IDENTITY) {
    identity = get_identity(ctx);
  } else if (magic === MARK_MAGIC_HOST) {
    identity = HOST_ID;
  } else {
    identity = world_id(ctx, proto);
  }
  skb.mark = 0;
  if (ctx.def.DEBUG) cilium_dbg(ctx, DBG_INHERIT_IDENTITY, identity, 0);
  inherited_identity = identity;
  return magic;
}
