// Tunnel headers that XDP writes itself, after ctx_set_encap_info of bpf/lib/overloadable_xdp.h: there is no tunnel device
// on this hook to do it. The frame is kept whole behind
//
//   Ethernet (MACs by the FIB) | IPv4, TTL 64 | UDP, checksum 0 | VXLAN or Geneve, VNI = identity [| Geneve options]

import { TUNNEL_PROTOCOL_VXLAN } from "../config.js";
import {
  CTX_ACT_REDIRECT,
  DBG_ENCAP,
  DROP_INVALID,
  DROP_NO_FIB,
  ETH_HLEN,
  ETH_P_IP,
  HOST_ID,
  IPPROTO_UDP,
  TRACE_EP_ID_UNKNOWN,
  TRACE_TO_OVERLAY,
} from "./common.js";
import { csum_fold16, csum_partial } from "./csum.js";
import { type Ctx, ctx_full_len, store_be16, store_be32, store_u8, store_u16 } from "./ctx.js";
import { cilium_dbg } from "./dbg.js";
import { fib_do_redirect, fib_lookup_v4, fib_ok, fib_params } from "./fib.js";
import { get_tunnel_id } from "./identity.js";
import { ENCAP_TO_OVERLAY, ENCAP_TO_OVERLAY_DSR } from "./source_lines.js";
import { send_trace_notify } from "./trace.js";

const IPDEFTTL = 64;
const IP_OFF = ETH_HLEN;
const UDP_OFF = IP_OFF + 20;
const TUNNEL_OFF = UDP_OFF + 8;
const OPT_OFF = TUNNEL_OFF + 8;
const ETH_P_TEB = 0x6558;

/**
 * tunnel_gen_src_port_v4/v6(): from the hash of the inner flow, so that the underlay's ECMP and the receiver's queues
 * spread flows while each keeps to one way. Not limited to the ephemeral range, as the tunnel device's is. Be16.
 */
export function tunnel_gen_src_port(hash: number): number {
  return ((hash >>> 16) ^ hash) & 0xffff;
}

/** ctx_set_encap_info(): CTX_ACT_REDIRECT, or DROP_INVALID without headroom or for options that VXLAN does not have. */
function ctx_set_encap_info(
  ctx: Ctx,
  src_port: number,
  daddr: number,
  seclabel: number,
  opt: Uint8Array,
  opt_len: number,
): number {
  const vxlan = ctx.def.TUNNEL_PROTOCOL === TUNNEL_PROTOCOL_VXLAN;
  if (vxlan && opt_len > 0) return DROP_INVALID;
  const inner_len = ctx_full_len(ctx);
  // Drivers leave 256 bytes of headroom, which the options of DSR do not exhaust.
  if (!ctx.skb.push(OPT_OFF + opt_len)) return DROP_INVALID;
  ctx.refresh();
  ctx.bytes.fill(0, ctx.base, ctx.base + OPT_OFF);
  for (let i = 0; i < opt_len; i++) store_u8(ctx, OPT_OFF + i, opt[i]);
  if (vxlan) {
    // Flag I: the VNI is valid.
    store_u8(ctx, TUNNEL_OFF, 0x08);
  } else {
    // Version 0, length of the options in words; the payload is Ethernet, as in VXLAN.
    store_u8(ctx, TUNNEL_OFF, opt_len >> 2);
    store_u16(ctx, TUNNEL_OFF + 2, ETH_P_TEB);
  }
  const vni = get_tunnel_id(ctx, seclabel);
  store_u16(ctx, TUNNEL_OFF + 4, (vni >>> 8) & 0xffff);
  store_u8(ctx, TUNNEL_OFF + 6, vni & 0xff);

  const udp_len = 8 + 8 + opt_len + inner_len;
  store_be16(ctx, UDP_OFF, src_port);
  store_u16(ctx, UDP_OFF + 2, ctx.def.TUNNEL_PORT);
  store_u16(ctx, UDP_OFF + 4, udp_len);

  // No id and no DF: what is too long is the next hop's to fragment.
  store_u8(ctx, IP_OFF, 0x45);
  store_u16(ctx, IP_OFF + 2, 20 + udp_len);
  store_u8(ctx, IP_OFF + 8, IPDEFTTL);
  store_u8(ctx, IP_OFF + 9, IPPROTO_UDP);
  store_be32(ctx, IP_OFF + 12, ctx.def.IPV4_DIRECT_ROUTING);
  store_be32(ctx, IP_OFF + 16, daddr);
  store_be16(ctx, IP_OFF + 10, ~csum_fold16(csum_partial(ctx, IP_OFF, 20)) & 0xffff);
  store_u16(ctx, 12, ETH_P_IP);
  return CTX_ACT_REDIRECT;
}

/**
 * __encap_with_nodeid4() in XDP, and the redirect by the FIB's way to the other node. `hash` is the inner flow's; the
 * recorded neighbours are of no use here, they are clients.
 */
export function encap_and_redirect_xdp(
  ctx: Ctx,
  hash: number,
  tunnel_endpoint: number,
  seclabel: number,
  dstid: number,
  opt: Uint8Array,
  opt_len: number,
  ct_reason: number,
  monitor: number,
  proto: number,
): number {
  const label = seclabel === HOST_ID ? ctx.def.LOCAL_NODE_ID : seclabel;
  if (ctx.def.DEBUG) cilium_dbg(ctx, DBG_ENCAP, tunnel_endpoint, label);
  send_trace_notify(
    ctx,
    TRACE_TO_OVERLAY,
    label,
    dstid,
    TRACE_EP_ID_UNKNOWN,
    ctx.def.ENCAP_IFINDEX,
    ct_reason,
    monitor,
    proto,
    opt_len > 0 ? ENCAP_TO_OVERLAY_DSR : ENCAP_TO_OVERLAY,
  );
  const ret = ctx_set_encap_info(ctx, tunnel_gen_src_port(hash), tunnel_endpoint, label, opt, opt_len);
  if (ret !== CTX_ACT_REDIRECT) return ret;
  // No kernel below to route the outer packet: the program asks the FIB for device and MACs itself.
  const fib = fib_lookup_v4(ctx, ctx.def.IPV4_DIRECT_ROUTING, tunnel_endpoint, 0);
  if (!fib_ok(fib)) {
    ctx.ext_err = fib;
    return DROP_NO_FIB;
  }
  ctx.fib_oif = fib_params.ifindex;
  return fib_do_redirect(ctx, true, false, fib, ctx.fib_oif);
}
