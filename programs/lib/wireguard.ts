// WireGuard as the programs see it, after bpf/lib/wireguard.h: which packets go through the tunnel device, and which
// UDP packets are its own.

import { ipcacheKey, ipcacheSecIdentity } from "../../maps/ipcache.js";
import { NONE } from "../../maps/spec.js";
import {
  CTX_ACT_OK,
  DROP_INVALID,
  ETH_HLEN,
  ETH_P_IP,
  ETH_P_IPV6,
  HOST_ID,
  IPPROTO_ICMPV6,
  IPPROTO_UDP,
  MARK_MAGIC_DECRYPT,
  MARK_MAGIC_HOST_MASK,
  MARK_MAGIC_IDENTITY,
  MARK_MAGIC_OVERLAY,
} from "./common.js";
import { type Ctx, ctx_has, ctx_redirect, load_u16, revalidate_data4, revalidate_data6 } from "./ctx.js";
import { lookup_ip4_remote_endpoint, lookup_ip6_remote_endpoint } from "./eps.js";
import { is_icmp6_ndp } from "./icmp6.js";
import { identity_is_cluster, identity_is_remote_node } from "./identity.js";
import { ipv4_daddr, ipv4_hdrlen, ipv4_protocol, ipv4_saddr } from "./ipv4.js";
import { IPV6_DADDR_OFF, IPV6_SADDR_OFF, ipv6_hdrlen, ipv6_load_addr, ipv6_nexthdr } from "./ipv6.js";
import { set_identity_mark } from "./overloadable.js";

const addr6 = new Int32Array(4);

/** set_decrypt_mark(). */
export function set_decrypt_mark(ctx: Ctx, node_id: number): void {
  ctx.skb.mark = MARK_MAGIC_DECRYPT | (node_id << 16);
}

/** ctx_is_wireguard(): UDP from and to the WireGuard port, from within the cluster. */
export function ctx_is_wireguard(ctx: Ctx, l4_off: number, protocol: number, identity: number): boolean {
  if (protocol !== IPPROTO_UDP || !ctx_has(ctx, l4_off + 4)) return false;
  const port = ctx.config.wg_port;
  if (load_u16(ctx, l4_off) !== port || load_u16(ctx, l4_off + 2) !== port) return false;
  return identity_is_cluster(ctx, identity);
}

/** L4 offset for ctx_is_wireguard; negative if the headers are broken. */
export function wireguard_l4_off(ctx: Ctx, proto: number): number {
  if (proto === ETH_P_IP) {
    ctx.nexthdr = ipv4_protocol(ctx, ETH_HLEN);
    return ETH_HLEN + ipv4_hdrlen(ctx, ETH_HLEN);
  }
  const hdrlen = ipv6_hdrlen(ctx, ETH_HLEN);
  return hdrlen < 0 ? hdrlen : ETH_HLEN + hdrlen;
}

/**
 * wg_maybe_redirect_to_encrypt(): CTX_ACT_REDIRECT to the WireGuard device for traffic to an endpoint whose ipcache
 * entry has an encryption key, CTX_ACT_OK for the rest.
 */
export function wg_maybe_redirect_to_encrypt(ctx: Ctx, proto: number, src_sec_identity: number): number {
  // Tunnel packets are encrypted whole.
  if (ctx.def.TUNNEL_MODE && (ctx.skb.mark & MARK_MAGIC_HOST_MASK) === MARK_MAGIC_OVERLAY) {
    return ctx_redirect(ctx, ctx.config.wg_ifindex, 0);
  }
  if (ctx.def.TUNNEL_MODE && !ctx.def.ENABLE_NODE_ENCRYPTION) return CTX_ACT_OK;
  const ipcache = ctx.maps.cilium_ipcache_v2;
  let dst: number;
  let src: number;
  if (proto === ETH_P_IP) {
    if (!revalidate_data4(ctx)) return DROP_INVALID;
    dst = lookup_ip4_remote_endpoint(ctx, ipv4_daddr(ctx, ETH_HLEN), 0);
    src = lookup_ip4_remote_endpoint(ctx, ipv4_saddr(ctx, ETH_HLEN), 0);
  } else if (proto === ETH_P_IPV6) {
    if (!revalidate_data6(ctx)) return DROP_INVALID;
    // Neighbour discovery has to work before the tunnel does.
    if (ipv6_nexthdr(ctx, ETH_HLEN) === IPPROTO_ICMPV6 && is_icmp6_ndp(ctx)) return CTX_ACT_OK;
    ipv6_load_addr(ctx, ETH_HLEN + IPV6_DADDR_OFF, addr6, 0);
    dst = lookup_ip6_remote_endpoint(ctx, addr6, 0);
    ipv6_load_addr(ctx, ETH_HLEN + IPV6_SADDR_OFF, addr6, 0);
    src = lookup_ip6_remote_endpoint(ctx, addr6, 0);
  } else {
    return CTX_ACT_OK;
  }
  const src_id =
    src_sec_identity !== 0 ? src_sec_identity : src === NONE ? 0 : ipcacheSecIdentity(ipcache, src);
  if (!ctx.def.ENABLE_NODE_ENCRYPTION) {
    // Only pod to pod: nodes' own traffic is left alone.
    if (src_id === 0 || !identity_is_cluster(ctx, src_id)) return CTX_ACT_OK;
    if (src_id === HOST_ID || identity_is_remote_node(ctx, src_id)) return CTX_ACT_OK;
  }
  if (dst === NONE || ipcacheKey(ipcache, dst) === 0) return CTX_ACT_OK;
  set_identity_mark(ctx, src_id, MARK_MAGIC_IDENTITY);
  return ctx_redirect(ctx, ctx.config.wg_ifindex, 0);
}
