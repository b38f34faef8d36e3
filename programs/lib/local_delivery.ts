// Delivery to an endpoint of this node, after bpf/lib/local_delivery.h: a hop at layer 3, then the endpoint's ingress
// policy program as a tail call. With per-endpoint routes the policy runs on the endpoint's device instead.

import { lxcId, lxcIfindex, lxcMacHi, lxcMacLo, lxcNodeMacHi, lxcNodeMacLo } from "../../maps/lxc.js";
import { PACKET_HOST } from "../../src/bpf/skb.js";
import {
  CB_CLUSTER_ID_INGRESS,
  CB_DELIVERY_REDIRECT,
  CB_FROM_HOST,
  CB_FROM_TUNNEL,
  CB_SRC_LABEL,
  CTX_ACT_OK,
  DBG_LOCAL_DELIVERY,
  DROP_EP_NOT_READY,
  REASON_FORWARDED,
} from "./common.js";
import { type Ctx, ctx_full_len, IS_BPF_HOST, IS_BPF_LXC, tail_call_policy } from "./ctx.js";
import { cilium_dbg } from "./dbg.js";
import { eth_store_daddr, eth_store_saddr } from "./eth.js";
import { ipv4_l3, ipv6_l3_ttl } from "./l3.js";
import { update_metrics } from "./metrics.js";
import { redirect_ep, set_identity_mark, should_redirect_peer } from "./overloadable.js";
import { LOCAL_DELIVERY_FORWARDED } from "./source_lines.js";

/**
 * local_delivery_fill_meta(): what the policy program takes from skb->cb. cb survives the tail call into another
 * object.
 */
export function local_delivery_fill_meta(
  ctx: Ctx,
  seclabel: number,
  delivery_redirect: boolean,
  from_host: boolean,
  from_tunnel: boolean,
  cluster_id: number,
): void {
  const cb = ctx.skb.cb;
  cb[CB_SRC_LABEL] = seclabel;
  cb[CB_DELIVERY_REDIRECT] = delivery_redirect ? 1 : 0;
  cb[CB_CLUSTER_ID_INGRESS] = cluster_id;
  cb[CB_FROM_HOST] = from_host ? 1 : 0;
  cb[CB_FROM_TUNNEL] = from_tunnel ? 1 : 0;
}

/**
 * local_delivery(): `ep` is a slot of cilium_lxc. The endpoint's policy as a tail call, or with per-endpoint routes
 * its device, whose own program enforces policy on the way out (cil_to_container); the identity then travels in the
 * mark.
 */
function local_delivery(
  ctx: Ctx,
  seclabel: number,
  magic: number,
  ep: number,
  direction: number,
  from_host: boolean,
  from_tunnel: boolean,
  cluster_id: number,
): number {
  const map = ctx.maps.cilium_lxc;
  const def = ctx.def;
  // Objects of tunnel devices are compiled without LOCAL_DELIVERY_METRICS.
  if (def.LOCAL_DELIVERY_METRICS && (ctx.obj.kind === IS_BPF_LXC || ctx.obj.kind === IS_BPF_HOST)) {
    update_metrics(ctx, ctx_full_len(ctx), direction, REASON_FORWARDED, LOCAL_DELIVERY_FORWARDED);
  }
  // With a fast redirect the packet never meets the program on the endpoint's device: evaluate policy here. So do pods on
  // netkit always, whose own program could not redirect to a proxy.
  const fast = def.ENABLE_HOST_ROUTING && should_redirect_peer(ctx, from_host);
  if (def.USE_BPF_PROG_FOR_INGRESS_POLICY && !fast && !ctx.config.enable_netkit) {
    set_identity_mark(ctx, seclabel, magic);
    if (!def.ENABLE_NODEPORT && from_tunnel) {
      // Redirecting would bypass nf_conntrack and kube-proxy's reverse translation.
      ctx.helpers.skb_change_type(ctx.skb, PACKET_HOST);
      return CTX_ACT_OK;
    }
    return redirect_ep(ctx, lxcIfindex(map, ep), false, from_tunnel);
  }
  local_delivery_fill_meta(ctx, seclabel, true, from_host, from_tunnel, cluster_id);
  const ret = tail_call_policy(ctx, lxcId(map, ep));
  return ret < 0 ? DROP_EP_NOT_READY : ret;
}

/**
 * ipv4_local_delivery(): `ep` is a slot of cilium_lxc, `direction` the metric's (egress from a pod's program, ingress
 * from a host program's). A hop at layer 3 whoever delivers: TTL, the device's MAC as source, the pod's as
 * destination. An IPv4 packet whose TTL ends here is dropped (196) without an ICMP error.
 */
export function ipv4_local_delivery(
  ctx: Ctx,
  l3_off: number,
  seclabel: number,
  magic: number,
  ep: number,
  direction: number,
  from_host: boolean,
  from_tunnel: boolean,
  cluster_id: number,
): number {
  const map = ctx.maps.cilium_lxc;
  if (ctx.def.DEBUG) cilium_dbg(ctx, DBG_LOCAL_DELIVERY, lxcId(map, ep), seclabel);
  const ret = ipv4_l3(
    ctx,
    l3_off,
    lxcNodeMacLo(map, ep),
    lxcNodeMacHi(map, ep),
    lxcMacLo(map, ep),
    lxcMacHi(map, ep),
  );
  if (ret !== CTX_ACT_OK) return ret;
  return local_delivery(ctx, seclabel, magic, ep, direction, from_host, from_tunnel, cluster_id);
}

/**
 * ipv6_local_delivery(): as for IPv4, but an expired packet is answered with time exceeded (ipv6_l3_ttl's tail call).
 */
export function ipv6_local_delivery(
  ctx: Ctx,
  l3_off: number,
  seclabel: number,
  magic: number,
  ep: number,
  direction: number,
  from_host: boolean,
  from_tunnel: boolean,
): number {
  const map = ctx.maps.cilium_lxc;
  if (ctx.def.DEBUG) cilium_dbg(ctx, DBG_LOCAL_DELIVERY, lxcId(map, ep), seclabel);
  const ret = ipv6_l3_ttl(ctx, l3_off, direction);
  if (ret !== CTX_ACT_OK) return ret;
  eth_store_saddr(ctx, lxcNodeMacLo(map, ep), lxcNodeMacHi(map, ep));
  eth_store_daddr(ctx, lxcMacLo(map, ep), lxcMacHi(map, ep));
  return local_delivery(ctx, seclabel, magic, ep, direction, from_host, from_tunnel, 0);
}
