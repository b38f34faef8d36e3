// IPsec as the programs see it, after bpf/lib/ipsec.h: which packets are handed to XFRM, by a mark that says to which node
// and with which key, and what of what arrives is ESP. The stack does the rest.

import {
  IPCACHE_F_HAS_TUNNEL_EP,
  ipcacheFlags,
  ipcacheKey,
  ipcacheSecIdentity,
  ipcacheTunnelEndpoint4,
} from "../../maps/ipcache.js";
import { NodeKey, nodeId, nodeSpi } from "../../maps/node.js";
import { NONE } from "../../maps/spec.js";
import { BPF_F_INGRESS } from "../../src/bpf/helpers.js";
import { PACKET_HOST } from "../../src/bpf/skb.js";
import {
  CB_ENCRYPT_IDENTITY,
  CB_ENCRYPT_MAGIC,
  CTX_ACT_OK,
  DROP_INVALID,
  DROP_NO_NODE_ID,
  ETH_HLEN,
  ETH_P_IP,
  HOST_ID,
  IPPROTO_ESP,
  MARK_MAGIC_DECRYPT,
  MARK_MAGIC_ENCRYPT,
  MARK_MAGIC_HOST_MASK,
  MARK_MAGIC_OVERLAY,
  UNKNOWN_ID,
} from "./common.js";
import { type Ctx, ctx_redirect, ctx_store_meta, revalidate_data4 } from "./ctx.js";
import { lookup_ip4_remote_endpoint } from "./eps.js";
import { eth_store_daddr_bytes } from "./eth.js";
import { identity_is_cluster, identity_is_remote_node } from "./identity.js";
import { ipv4_daddr, ipv4_protocol, ipv4_saddr } from "./ipv4.js";
import { get_identity } from "./overloadable.js";
import { set_decrypt_mark } from "./wireguard.js";

/** Keys have four bits in the mark; 15 is followed by 1. */
const MAX_KEY_INDEX = 15;

const node_key = new NodeKey();
const first = new Int32Array(1);

/** get_min_encrypt_key(): the older of both ends' keys, which both have; 0 = none. */
function get_min_encrypt_key(ctx: Ctx, peer_key: number): number {
  const state = ctx.maps.cilium_encrypt_state;
  const slot = state.lookup(first);
  const local_key = slot === NONE ? 0 : state.words[slot * state.valueWords] & 0xff;
  if (peer_key === MAX_KEY_INDEX) return local_key === 1 ? peer_key : local_key;
  if (local_key === MAX_KEY_INDEX) return peer_key === 1 ? local_key : peer_key;
  return local_key < peer_key ? local_key : peer_key;
}

/** True for a packet that XFRM has decrypted or is to decrypt. */
export function ctx_is_decrypt(ctx: Ctx): boolean {
  return (ctx.skb.mark & MARK_MAGIC_HOST_MASK) === MARK_MAGIC_DECRYPT;
}

/**
 * do_decrypt(): ESP of a known node is marked for XFRM; what XFRM has decrypted loses the mark. The original's redirect to
 * cilium_host is ignored by its caller, and left out here. IPv4.
 */
export function do_decrypt(ctx: Ctx, proto: number): number {
  if (proto !== ETH_P_IP) return CTX_ACT_OK;
  const skb = ctx.skb;
  if (!revalidate_data4(ctx)) {
    skb.mark = 0;
    return CTX_ACT_OK;
  }
  if (ctx_is_decrypt(ctx)) {
    skb.mark = 0;
    return CTX_ACT_OK;
  }
  if (ipv4_protocol(ctx, ETH_HLEN) !== IPPROTO_ESP) return CTX_ACT_OK;
  const map = ctx.maps.cilium_node_map_v2;
  const slot = map.lookup(node_key.setIpv4(ipv4_saddr(ctx, ETH_HLEN)).words);
  const node_id = slot === NONE ? 0 : nodeId(map, slot);
  if (node_id === 0) return DROP_NO_NODE_ID;
  set_decrypt_mark(ctx, node_id);
  // The frame may have been taken for another host's.
  ctx.helpers.skb_change_type(skb, PACKET_HOST);
  return CTX_ACT_OK;
}

/** set_ipsec_encrypt(): marks the packet for the node behind an address (Be32). */
function set_ipsec_encrypt(ctx: Ctx, tunnel_endpoint: number, seclabel: number): number {
  const map = ctx.maps.cilium_node_map_v2;
  const slot = map.lookup(node_key.setIpv4(tunnel_endpoint).words);
  if (slot === NONE || nodeId(map, slot) === 0) return DROP_NO_NODE_ID;
  const spi = get_min_encrypt_key(ctx, nodeSpi(map, slot));
  // Bits 12 to 15 key, 8 to 11 magic, 16 to 31 node: XFRM policies and states are found by it.
  const mark = ((spi & 0x0f) << 12) | MARK_MAGIC_ENCRYPT | (nodeId(map, slot) << 16);
  ctx_store_meta(ctx, CB_ENCRYPT_IDENTITY, seclabel);
  // Old kernels lose the mark in a redirect.
  ctx_store_meta(ctx, CB_ENCRYPT_MAGIC, mark);
  ctx.skb.mark = mark;
  return CTX_ACT_OK;
}

/** ipsec_redirect_sec_id_ok(): pods only. */
function ipsec_redirect_sec_id_ok(ctx: Ctx, src: number): boolean {
  return src !== HOST_ID && identity_is_cluster(ctx, src) && !identity_is_remote_node(ctx, src);
}

/**
 * ipsec_maybe_redirect_to_encrypt(): traffic to an endpoint whose ipcache entry has a key is received again on cilium_net, so
 * that the stack forwards it through XFRM. In tunnel mode that is the tunnel packet. IPv4.
 */
export function ipsec_maybe_redirect_to_encrypt(ctx: Ctx, proto: number, src_sec_identity: number): number {
  if (proto !== ETH_P_IP) return CTX_ACT_OK;
  if (!revalidate_data4(ctx)) return DROP_INVALID;
  const ipcache = ctx.maps.cilium_ipcache_v2;
  const daddr = ipv4_daddr(ctx, ETH_HLEN);
  let endpoint: number;
  let src_id = src_sec_identity;
  if (ctx.def.TUNNEL_MODE && (ctx.skb.mark & MARK_MAGIC_HOST_MASK) === MARK_MAGIC_OVERLAY) {
    // Addressed to the node already.
    endpoint = daddr;
    src_id = get_identity(ctx);
  } else {
    const dst = lookup_ip4_remote_endpoint(ctx, daddr, 0);
    // Where the mark does not say who sends, the source's ipcache entry does.
    if (src_id === UNKNOWN_ID) {
      const src = lookup_ip4_remote_endpoint(ctx, ipv4_saddr(ctx, ETH_HLEN), 0);
      if (src === NONE) return CTX_ACT_OK;
      src_id = ipcacheSecIdentity(ipcache, src);
    }
    if (
      dst === NONE ||
      (ipcacheFlags(ipcache, dst) & IPCACHE_F_HAS_TUNNEL_EP) === 0 ||
      ipcacheKey(ipcache, dst) === 0
    )
      return CTX_ACT_OK;
    if (!ipsec_redirect_sec_id_ok(ctx, src_id)) return CTX_ACT_OK;
    endpoint = ipcacheTunnelEndpoint4(ipcache, dst);
  }
  const ret = set_ipsec_encrypt(ctx, endpoint, src_id);
  if (ret !== CTX_ACT_OK) return ret;
  eth_store_daddr_bytes(ctx, ctx.def.CILIUM_NET_MAC);
  return ctx_redirect(ctx, ctx.def.CILIUM_NET_IFINDEX, BPF_F_INGRESS);
}
