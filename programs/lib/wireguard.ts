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
  MARK_MAGIC_PROXY_INGRESS,
  MARK_MAGIC_SKIP_TPROXY,
  UNKNOWN_ID,
} from "./common.js";
import {
  type Ctx,
  ctx_has,
  ctx_redirect,
  load_u8,
  load_u16,
  revalidate_data4,
  revalidate_data6,
} from "./ctx.js";
import { lookup_ip4_remote_endpoint, lookup_ip6_remote_endpoint } from "./eps.js";
import { ICMP6_NA_MSG_TYPE, is_icmp6_ndp } from "./icmp6.js";
import { identity_is_cluster, identity_is_remote_node } from "./identity.js";
import { ipv4_daddr, ipv4_hdrlen, ipv4_protocol, ipv4_saddr } from "./ipv4.js";
import { IPV6_DADDR_OFF, IPV6_SADDR_OFF, ipv6_hdrlen, ipv6_load_addr, ipv6_nexthdr } from "./ipv6.js";
import {
  set_identity_mark,
  tc_index_from_egress_proxy,
  tc_index_from_ingress_proxy,
} from "./overloadable.js";

const addr6 = new Int32Array(4);

/**
 * set_decrypt_mark(): 0x0D00, the node's id above it. Marks a packet as one that the kernel will decrypt, or has
 * decrypted.
 */
export function set_decrypt_mark(ctx: Ctx, node_id: number): void {
  ctx.skb.mark = MARK_MAGIC_DECRYPT | (node_id << 16);
}

/**
 * ctx_is_wireguard(): UDP from and to the WireGuard port (51871), from within the cluster: a stranger's packet to
 * that port is none of ours.
 */
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
  const def = ctx.def;
  const magic = ctx.skb.mark & MARK_MAGIC_HOST_MASK;
  // Tunnel packets are encrypted whole, so that the identity in them is hidden too.
  if (def.HAVE_ENCAP && magic === MARK_MAGIC_OVERLAY) return ctx_redirect(ctx, ctx.config.wg_ifindex, 0);
  const ipcache = ctx.maps.cilium_ipcache_v2;
  let dst: number;
  let src = NONE;
  if (proto === ETH_P_IP) {
    if (!revalidate_data4(ctx)) return DROP_INVALID;
    dst = lookup_ip4_remote_endpoint(ctx, ipv4_daddr(ctx, ETH_HLEN), 0);
    if (src_sec_identity === UNKNOWN_ID) src = lookup_ip4_remote_endpoint(ctx, ipv4_saddr(ctx, ETH_HLEN), 0);
  } else if (proto === ETH_P_IPV6) {
    if (!revalidate_data6(ctx)) return DROP_INVALID;
    // Neighbours must be found before the tunnel can be; advertisements through it would not make an entry.
    if (
      def.ENABLE_NODE_ENCRYPTION &&
      ipv6_nexthdr(ctx, ETH_HLEN) === IPPROTO_ICMPV6 &&
      is_icmp6_ndp(ctx) &&
      load_u8(ctx, ETH_HLEN + 40) === ICMP6_NA_MSG_TYPE
    )
      return CTX_ACT_OK;
    ipv6_load_addr(ctx, ETH_HLEN + IPV6_DADDR_OFF, addr6, 0);
    dst = lookup_ip6_remote_endpoint(ctx, addr6, 0);
    if (src_sec_identity === UNKNOWN_ID) {
      ipv6_load_addr(ctx, ETH_HLEN + IPV6_SADDR_OFF, addr6, 0);
      src = lookup_ip6_remote_endpoint(ctx, addr6, 0);
    }
  } else {
    return CTX_ACT_OK;
  }
  let src_id = src_sec_identity;
  if (src_id === UNKNOWN_ID) {
    if (src === NONE) return CTX_ACT_OK;
    src_id = ipcacheSecIdentity(ipcache, src);
  }
  // What the proxy sends on for a pod has the node's address, or is handed to the stack with a mark of its own.
  const proxied =
    !def.ENABLE_NODE_ENCRYPTION &&
    (magic === MARK_MAGIC_PROXY_INGRESS ||
      magic === MARK_MAGIC_SKIP_TPROXY ||
      (def.TUNNEL_MODE && (tc_index_from_ingress_proxy(ctx) || tc_index_from_egress_proxy(ctx))));
  if (!proxied && !encrypt_src_matches_policy(ctx, src_id)) return CTX_ACT_OK;
  // The key index of the ipcache is 255 for what WireGuard encrypts, 0 for what stays in the clear.
  if (dst === NONE || ipcacheKey(ipcache, dst) === 0) return CTX_ACT_OK;
  // cil_to_wireguard tells it; the encrypted packet itself comes back as the host's, with mark 0x0E00.
  set_identity_mark(ctx, src_id, MARK_MAGIC_IDENTITY);
  return ctx_redirect(ctx, ctx.config.wg_ifindex, 0);
}

/**
 * encrypt_src_matches_policy() of bpf/lib/encrypt.h: pods, and with node encryption the node itself. What comes from
 * outside the cluster, or for it from another node (DSR), is left as it is.
 */
export function encrypt_src_matches_policy(ctx: Ctx, src_id: number): boolean {
  if (!ctx.def.ENABLE_NODE_ENCRYPTION && src_id === HOST_ID) return false;
  return identity_is_cluster(ctx, src_id) && !identity_is_remote_node(ctx, src_id);
}
