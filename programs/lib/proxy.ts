// Redirection to the L7 proxy, after bpf/lib/proxy.h and proxy_hairpin.h: a mark makes the stack's TPROXY rule take the
// packet (port in the upper half), or lets it find the proxy's socket (port 0, replies).
// Differs from Cilium: ENABLE_TPROXY (socket assignment by the program) is not modelled.

import { PACKET_HOST } from "../../src/bpf/skb.js";
import {
  CB_PROXY_MAGIC,
  CTX_ACT_OK,
  DBG_CAPTURE_PROXY_POST,
  DBG_CAPTURE_PROXY_PRE,
  ETH_HLEN,
  MARK_MAGIC_TO_PROXY,
  METRIC_INGRESS,
} from "./common.js";
import { type Ctx, ctx_redirect, ctx_store_meta } from "./ctx.js";
import { cilium_dbg_capture } from "./dbg.js";
import { eth_store_daddr_bytes, eth_store_saddr_bytes, mac_hi, mac_lo } from "./eth.js";
import { ipv4_l3, ipv6_l3_ttl } from "./l3.js";

/**
 * ctx_redirect_to_proxy4/6(): `proxy_port` is a Be16. Nothing is redirected here: the packet goes up the stack of the
 * device that the program runs on, where a TPROXY rule assigns the proxy's socket and ip rule 9 (fwmark 0x200/0xf00)
 * routes it to lo. Port 0 is a reply: the proxy's own socket matches it.
 */
export function ctx_redirect_to_proxy(ctx: Ctx, proxy_port: number): number {
  ctx.skb.mark = MARK_MAGIC_TO_PROXY | (proxy_port << 16);
  cilium_dbg_capture(ctx, DBG_CAPTURE_PROXY_PRE, proxy_port);
  // Packets of the overlay device would be taken for another host's.
  ctx.helpers.skb_change_type(ctx.skb, PACKET_HOST);
  return CTX_ACT_OK;
}

/**
 * ctx_redirect_to_proxy_first(): in cil_to_host, for packets that a program of an endpoint's device sent round: the
 * mark again, on this side of the veth pair.
 */
export function ctx_redirect_to_proxy_first(ctx: Ctx, proxy_port: number): number {
  cilium_dbg_capture(ctx, DBG_CAPTURE_PROXY_POST, proxy_port);
  ctx.skb.mark = MARK_MAGIC_TO_PROXY | (proxy_port << 16);
  ctx.helpers.skb_change_type(ctx.skb, PACKET_HOST);
  return CTX_ACT_OK;
}

/**
 * ctx_redirect_to_proxy_hairpin_ipv4(): from the egress side of an endpoint's device the stack cannot be reached, so
 * the packet goes out of cilium_net and comes in on cilium_host, where cil_to_host sees the mark.
 */
export function ctx_redirect_to_proxy_hairpin_ipv4(ctx: Ctx, proxy_port: number): number {
  const host_mac = ctx.def.CILIUM_HOST_MAC;
  const router_mac = ctx.config.interface_mac;
  ctx_store_meta(ctx, CB_PROXY_MAGIC, MARK_MAGIC_TO_PROXY | (proxy_port << 16));
  const ret = ipv4_l3(
    ctx,
    ETH_HLEN,
    mac_lo(router_mac),
    mac_hi(router_mac),
    mac_lo(host_mac),
    mac_hi(host_mac),
  );
  if (ret < 0) return ret;
  cilium_dbg_capture(ctx, DBG_CAPTURE_PROXY_PRE, proxy_port);
  return ctx_redirect(ctx, ctx.def.CILIUM_NET_IFINDEX, 0);
}

/** ctx_redirect_to_proxy_hairpin_ipv6(). */
export function ctx_redirect_to_proxy_hairpin_ipv6(ctx: Ctx, proxy_port: number): number {
  ctx_store_meta(ctx, CB_PROXY_MAGIC, MARK_MAGIC_TO_PROXY | (proxy_port << 16));
  const ret = ipv6_l3_ttl(ctx, ETH_HLEN, METRIC_INGRESS);
  if (ret !== CTX_ACT_OK) return ret;
  eth_store_saddr_bytes(ctx, ctx.config.interface_mac);
  eth_store_daddr_bytes(ctx, ctx.def.CILIUM_HOST_MAC);
  cilium_dbg_capture(ctx, DBG_CAPTURE_PROXY_PRE, proxy_port);
  return ctx_redirect(ctx, ctx.def.CILIUM_NET_IFINDEX, 0);
}
