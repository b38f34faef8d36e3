// ARP answers, after bpf/lib/arp.h.
//
//   14 htype 2 | 16 ptype 2 | 18 hlen 1 | 19 plen 1 | 20 op 2 | 22 sha 6 | 28 spa 4 | 32 tha 6 | 38 tpa 4
//
// Pods ask for their gateway, which has no device that could answer on the pod's segment (with /32 routes it
// is the address of cilium_host): bpf_lxc answers with the MAC of the veth's host end, whatever address was asked
// for, where ENABLE_ARP_RESPONDER is set. l2_responder.ts is the other caller.

import { DBG_CAPTURE_DELIVERY, ETH_HLEN } from "./common.js";
import {
  type Ctx,
  ctx_has,
  ctx_redirect,
  load_be16,
  load_be32,
  load_u16,
  store_be16,
  store_be32,
  store_u16,
} from "./ctx.js";
import { cilium_dbg_capture } from "./dbg.js";
import { eth_store_daddr, eth_store_saddr, mac_hi, mac_lo } from "./eth.js";

const ARP_LEN = ETH_HLEN + 28;
const ARPHRD_ETHER = 1;
const ARPOP_REQUEST = 1;
const ARPOP_REPLY = 2;

/** What arp_validate read: protocol addresses (Be32) and the requester's MAC. */
export let arp_sip = 0;
export let arp_tip = 0;
let smac_lo = 0;
let smac_hi = 0;

/** arp_validate(): true for a request for an Ethernet address, broadcast or to `mac`. */
export function arp_validate(ctx: Ctx, mac: Uint8Array): boolean {
  if (!ctx_has(ctx, ARP_LEN)) return false;
  if (load_u16(ctx, 20) !== ARPOP_REQUEST || load_u16(ctx, 14) !== ARPHRD_ETHER) return false;
  const lo = load_be32(ctx, 0);
  const hi = load_be16(ctx, 4);
  // Requests are broadcast the first time; the kernel revalidates a neighbour that it knows by unicast.
  if (!(lo === -1 && hi === 0xffff) && !(lo === mac_lo(mac) && hi === mac_hi(mac))) return false;
  smac_lo = load_be32(ctx, 6);
  smac_hi = load_be16(ctx, 10);
  arp_sip = load_be32(ctx, 28);
  arp_tip = load_be32(ctx, 38);
  return true;
}

/** arp_respond(): turns the request just validated into the answer "`sip` is at `mac`" and sends it back. */
export function arp_respond(ctx: Ctx, mac: Uint8Array, sip: number, tip: number, direction: number): number {
  const lo = mac_lo(mac);
  const hi = mac_hi(mac);
  // The frame is rewritten in place: the requester becomes target, and "we" are who it asked for.
  eth_store_saddr(ctx, lo, hi);
  eth_store_daddr(ctx, smac_lo, smac_hi);
  store_u16(ctx, 20, ARPOP_REPLY);
  store_be32(ctx, 22, lo);
  store_be16(ctx, 26, hi);
  store_be32(ctx, 28, sip);
  store_be32(ctx, 32, smac_lo);
  store_be16(ctx, 36, smac_hi);
  store_be32(ctx, 38, tip);
  cilium_dbg_capture(ctx, DBG_CAPTURE_DELIVERY, ctx.skb.ifindex);
  return ctx_redirect(ctx, ctx.skb.ifindex, direction);
}
