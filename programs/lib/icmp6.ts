// ICMPv6 as the programs speak it, after bpf/lib/icmp6.h: neighbour advertisements in the pods' and the router's name,
// and time exceeded. Echo requests are nobody's business here.

import { ENDPOINT_F_HOST, lxcFlags } from "../../maps/lxc.js";
import { NONE } from "../../maps/spec.js";
import {
  CB_DELIVERY_REDIRECT,
  CILIUM_CALL_HANDLE_ICMP6_NS,
  CILIUM_CALL_SEND_ICMP6_TIME_EXCEEDED,
  CTX_ACT_OK,
  DBG_CAPTURE_DELIVERY,
  DBG_ICMP6_HANDLE,
  DBG_ICMP6_NS,
  DBG_ICMP6_TIME_EXCEEDED,
  DROP_FORBIDDEN_ICMP6,
  DROP_INVALID,
  DROP_UNKNOWN_L4,
  DROP_UNKNOWN_TARGET,
  DROP_WRITE_ERROR,
  ETH_HLEN,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  METRIC_INGRESS,
  UNKNOWN_ID,
} from "./common.js";
import { csum_fold16, csum_partial, csum_pseudo6 } from "./csum.js";
import {
  type Ctx,
  ctx_has,
  ctx_store_meta,
  IS_BPF_HOST,
  load_be16,
  load_be32,
  load_u8,
  store_be16,
  store_be32,
  store_u8,
  store_u16,
  tail_call_internal,
} from "./ctx.js";
import { cilium_dbg, cilium_dbg_capture } from "./dbg.js";
import { send_drop_notify_error } from "./drop.js";
import { lookup_ip6_endpoint } from "./eps.js";
import { eth_store_daddr, eth_store_saddr, eth_store_saddr_bytes, mac_hi, mac_lo } from "./eth.js";
import { IPV6_DADDR_OFF, IPV6_SADDR_OFF, ipv6_load_addr, ipv6_store_addr } from "./ipv6.js";
import { redirect_self } from "./overloadable.js";
import { ctx_change_tail } from "./room.js";
import { ICMP6_NS_DROP, ICMP6_TIME_EXCEEDED_DROP } from "./source_lines.js";

export const ICMP6_NS_MSG_TYPE = 135;
export const ICMP6_NA_MSG_TYPE = 136;
/** Verdict of icmp6_host_handle: the host firewall lets it pass unfiltered. */
export const SKIP_HOST_FIREWALL = 2;

const L4_OFF = ETH_HLEN + 40;
const ND_TARGET_OFF = L4_OFF + 8;
const ND_OPT_OFF = L4_OFF + 24;
/** Neighbour advertisement with one link-layer address option. */
const NA_LEN = 32;

const target = new Int32Array(4);
const saddr = new Int32Array(4);

/** is_icmp6_ndp(): neighbour solicitation or advertisement, without extension headers. */
export function is_icmp6_ndp(ctx: Ctx): boolean {
  if (!ctx_has(ctx, L4_OFF + 1) || load_u8(ctx, ETH_HLEN + 6) !== IPPROTO_ICMPV6) return false;
  const type = load_u8(ctx, L4_OFF);
  return type === ICMP6_NS_MSG_TYPE || type === ICMP6_NA_MSG_TYPE;
}

/**
 * icmp6_ndp_handle(): answers a solicitation (in a tail call); an advertisement goes on to the stack. Pods find all
 * their neighbours at their device's MAC, as with ARP.
 */
export function icmp6_ndp_handle(ctx: Ctx, direction: number): number {
  const type = load_u8(ctx, L4_OFF);
  cilium_dbg(ctx, DBG_ICMP6_HANDLE, type, 0);
  if (type === ICMP6_NS_MSG_TYPE) return icmp6_handle_ns(ctx, direction);
  return CTX_ACT_OK;
}

/** icmp6_handle_ns(): neighbour solicitations go on in a tail call of their own. */
function icmp6_handle_ns(ctx: Ctx, direction: number): number {
  ctx_store_meta(ctx, 0, 0);
  ctx_store_meta(ctx, CB_DELIVERY_REDIRECT, direction);
  return tail_call_internal(ctx, CILIUM_CALL_HANDLE_ICMP6_NS);
}

/** tail_icmp6_handle_ns(). */
export function tail_icmp6_handle_ns(ctx: Ctx): number {
  const direction = ctx.skb.cb[CB_DELIVERY_REDIRECT];
  const ret = __icmp6_handle_ns(ctx);
  if (ret < 0) return send_drop_notify_error(ctx, UNKNOWN_ID, ret, direction, ICMP6_NS_DROP);
  return ret;
}

/**
 * Solicitations for the router, the loopback address and the node's pods are answered, those for the host pass; others
 * are unknown targets, except on native devices, where the stack may know them.
 */
function __icmp6_handle_ns(ctx: Ctx): number {
  if (!ctx_has(ctx, ND_OPT_OFF)) return DROP_INVALID;
  ipv6_load_addr(ctx, ND_TARGET_OFF, target, 0);
  cilium_dbg(ctx, DBG_ICMP6_NS, target[2], target[3]);
  const mac = ctx.config.interface_mac;
  if (equals(target, ctx.config.router_ipv6))
    return send_icmp6_ndisc_adv(ctx, mac_lo(mac), mac_hi(mac), true);
  if (equals(target, ctx.config.service_loopback_ipv6)) {
    // The pod talks to itself: its own MAC.
    return send_icmp6_ndisc_adv(ctx, load_be32(ctx, 6), load_be16(ctx, 10), false);
  }
  const ep = lookup_ip6_endpoint(ctx, target, 0);
  if (ep !== NONE) {
    if ((lxcFlags(ctx.maps.cilium_lxc, ep) & ENDPOINT_F_HOST) !== 0) return CTX_ACT_OK;
    return send_icmp6_ndisc_adv(ctx, mac_lo(mac), mac_hi(mac), false);
  }
  // ACTION_UNKNOWN_ICMP6_NS: on native devices the stack may know.
  return ctx.obj.kind === IS_BPF_HOST ? CTX_ACT_OK : DROP_UNKNOWN_TARGET;
}

/** Answers the solicitation in the packet with the device's own MAC (L2 announcements). */
export function send_ndisc_adv_for_target(ctx: Ctx): number {
  const mac = ctx.config.interface_mac;
  ipv6_load_addr(ctx, ND_TARGET_OFF, target, 0);
  return send_icmp6_ndisc_adv(ctx, mac_lo(mac), mac_hi(mac), false);
}

/** ipv6_addr_equals() of two addresses in words. */
function equals(a: Int32Array, b: Int32Array): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}

/**
 * send_icmp6_ndisc_adv(): turns the solicitation into the advertisement of its target and sends it back. The packet
 * is cut or grown to one option; flags are the first byte of a be32 (router 0x80, solicited 0x40, override 0x20).
 */
function send_icmp6_ndisc_adv(ctx: Ctx, lo: number, hi: number, to_router: boolean): number {
  if (ctx_change_tail(ctx, L4_OFF + NA_LEN) < 0) return DROP_WRITE_ERROR;
  const smac_lo = load_be32(ctx, 6);
  const smac_hi = load_be16(ctx, 10);
  ipv6_load_addr(ctx, ETH_HLEN + IPV6_SADDR_OFF, saddr, 0);
  store_u16(ctx, ETH_HLEN + 4, NA_LEN);
  ipv6_store_addr(ctx, ETH_HLEN + IPV6_SADDR_OFF, target, 0);
  ipv6_store_addr(ctx, ETH_HLEN + IPV6_DADDR_OFF, saddr, 0);
  store_u8(ctx, L4_OFF, ICMP6_NA_MSG_TYPE);
  store_u8(ctx, L4_OFF + 1, 0);
  // Router and solicited, or solicited and override.
  store_be32(ctx, L4_OFF + 4, to_router ? 0xc0 : 0x60);
  store_u8(ctx, ND_OPT_OFF, 2);
  store_u8(ctx, ND_OPT_OFF + 1, 1);
  store_be32(ctx, ND_OPT_OFF + 2, lo);
  store_be16(ctx, ND_OPT_OFF + 6, hi);
  icmp6_checksum(ctx, NA_LEN);
  eth_store_daddr(ctx, smac_lo, smac_hi);
  eth_store_saddr(ctx, lo, hi);
  cilium_dbg_capture(ctx, DBG_CAPTURE_DELIVERY, ctx.skb.ifindex);
  return redirect_self(ctx);
}

/** Computes the checksum of the `len` bytes behind the IPv6 header afresh. */
function icmp6_checksum(ctx: Ctx, len: number): void {
  store_be16(ctx, L4_OFF + 2, 0);
  const sum =
    csum_pseudo6(ctx, ETH_HLEN + IPV6_SADDR_OFF, len, IPPROTO_ICMPV6) + csum_partial(ctx, L4_OFF, len);
  store_be16(ctx, L4_OFF + 2, ~csum_fold16(sum) & 0xffff);
}

/**
 * icmp6_send_time_exceeded(): the hop limit is used up; the answer is made in a tail call, because it would not fit
 * where hops are counted. IPv4 has no such answer: BPF drops.
 */
export function icmp6_send_time_exceeded(ctx: Ctx, direction: number): number {
  ctx_store_meta(ctx, 0, 0);
  ctx_store_meta(ctx, CB_DELIVERY_REDIRECT, direction);
  return tail_call_internal(ctx, CILIUM_CALL_SEND_ICMP6_TIME_EXCEEDED);
}

/** tail_icmp6_send_time_exceeded(). */
export function tail_icmp6_send_time_exceeded(ctx: Ctx): number {
  const direction = ctx.skb.cb[CB_DELIVERY_REDIRECT];
  const ret = __icmp6_send_time_exceeded(ctx);
  if (ret < 0) return send_drop_notify_error(ctx, UNKNOWN_ID, ret, direction, ICMP6_TIME_EXCEEDED_DROP);
  return ret;
}

/**
 * Turns the packet round: addresses and MACs swapped, an ICMPv6 header in front of what the packet began with (its
 * IPv6 header and as much behind it as identifies the flow).
 */
function __icmp6_send_time_exceeded(ctx: Ctx): number {
  cilium_dbg(ctx, DBG_ICMP6_TIME_EXCEEDED, 0, 0);
  // Quoted: the IPv6 header and as much of the L4 header as identifies the flow.
  let quoted: number;
  switch (load_u8(ctx, ETH_HLEN + 6)) {
    case IPPROTO_ICMPV6:
    case IPPROTO_UDP:
      quoted = 40 + 8;
      break;
    case IPPROTO_TCP:
      // TCP without its options.
      quoted = 40 + 20;
      break;
    default:
      return DROP_UNKNOWN_L4;
  }
  if (!ctx_has(ctx, ETH_HLEN + quoted)) return DROP_INVALID;
  const len = quoted + 8;
  if (ctx_change_tail(ctx, L4_OFF + len) < 0) return DROP_WRITE_ERROR;
  const { bytes, data } = ctx.skb;
  // Backwards, because source and destination overlap.
  for (let i = quoted - 1; i >= 0; i--) bytes[data + L4_OFF + 8 + i] = bytes[data + ETH_HLEN + i];
  store_be32(ctx, L4_OFF, 3);
  store_be32(ctx, L4_OFF + 4, 0);
  store_u8(ctx, ETH_HLEN + 6, IPPROTO_ICMPV6);
  store_u16(ctx, ETH_HLEN + 4, len);
  ipv6_load_addr(ctx, ETH_HLEN + IPV6_SADDR_OFF, saddr, 0);
  // The node answers as the pods' router.
  ipv6_store_addr(ctx, ETH_HLEN + IPV6_SADDR_OFF, ctx.config.router_ipv6, 0);
  ipv6_store_addr(ctx, ETH_HLEN + IPV6_DADDR_OFF, saddr, 0);
  icmp6_checksum(ctx, len);
  eth_store_daddr(ctx, load_be32(ctx, 6), load_be16(ctx, 10));
  eth_store_saddr_bytes(ctx, ctx.config.interface_mac);
  cilium_dbg_capture(ctx, DBG_CAPTURE_DELIVERY, ctx.skb.ifindex);
  return redirect_self(ctx);
}

/**
 * icmp6_host_handle(): ICMPv6 at the host's devices. Solicitations for pods are answered; the host firewall filters by
 * type as RFC 4890 says, echo goes to its policy.
 */
export function icmp6_host_handle(ctx: Ctx, l4_off: number, handle_ns: boolean): number {
  if (!ctx_has(ctx, l4_off + 1)) return DROP_INVALID;
  const type = load_u8(ctx, l4_off);
  if (type === ICMP6_NS_MSG_TYPE && handle_ns) return icmp6_handle_ns(ctx, METRIC_INGRESS);
  if (!ctx.def.ENABLE_HOST_FIREWALL) return CTX_ACT_OK;
  // Echo goes to the host's policy; what the network needs to work passes unfiltered, the rest is dropped (176).
  if (type === 128 || type === 129) return CTX_ACT_OK;
  if (
    (type >= 1 && type <= 4) ||
    (type >= 130 && type <= 136) ||
    (type >= 141 && type <= 143) ||
    type === 148 ||
    type === 149 ||
    (type >= 151 && type <= 153)
  ) {
    return SKIP_HOST_FIREWALL;
  }
  return DROP_FORBIDDEN_ICMP6;
}
