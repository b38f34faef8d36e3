// Direct server return, after the DSR parts of bpf/lib/nodeport.h: the load balancing node sends the request on with the
// client's address and tells the backend's node, beside the packet, which service it was for; the backend's node answers
// the client itself, with the service's address.
//
//   DSR_ENCAP_NONE    IPv4: option 0x9a, 8 bytes: type, len, port, address, both in the byte order of the CPU
//                     IPv6: destination option 0x1b, 24 bytes: next, len 2, type, 20, address 16, port (be), 2 pad
//   DSR_ENCAP_GENEVE  Geneve option class 0x014b, type 0x81: address, port (be), 2 pad
//   DSR_ENCAP_IPIP    the packet untouched inside IPIP to the backend
//
// Of a TCP connection only the SYN carries it; the backend's node remembers it in a conntrack entry (dsr_internal).
//
// The packet is translated to the backend by the load balancing node as without DSR (not with IPIP, where the
// backend's node does it), only its source stays the client's. Policies of the backend therefore judge the client.

import type { BpfMap } from "../../maps/bpf_map.js";
import { CT_FLAGS_W, CtTuple4, CtTuple6 } from "../../maps/ct.js";
import {
  IPCACHE_F_HAS_TUNNEL_EP,
  ipcacheFlags,
  ipcacheSecIdentity,
  ipcacheTunnelEndpoint4,
} from "../../maps/ipcache.js";
import { copyAddr6 } from "../../maps/layout.js";
import { NONE } from "../../maps/spec.js";
import { BPF_F_TUNINFO_IPV6, BPF_F_ZERO_CSUM_TX } from "../../src/bpf/helpers.js";
import { TunnelKey } from "../../src/bpf/skb.js";
import { Step } from "../../src/bpf/steps.js";
import { hash_from_tuple_v4, hash_from_tuple_v6 } from "../../src/net/jhash.js";
import { bswap16, bswap32 } from "../../src/net/view.js";
import { DSR_ENCAP_GENEVE, DSR_ENCAP_IPIP, DSR_ENCAP_NONE } from "../config.js";
import {
  CB_ADDR_V4,
  CB_ADDR_V6_1,
  CB_HINT,
  CB_PORT,
  CT_EGRESS,
  CT_ENTRY_DSR,
  CT_ENTRY_DSR_INTERNAL,
  CT_ESTABLISHED,
  CT_NEW,
  CTX_ACT_OK,
  CTX_ACT_REDIRECT,
  DROP_CT_INVALID_HDR,
  DROP_FRAG_NEEDED,
  DROP_INVALID,
  DROP_INVALID_EXTHDR,
  DROP_NO_FIB,
  DROP_NO_TUNNEL_ENDPOINT,
  DROP_NO_TUNNEL_KEY,
  DROP_UNKNOWN_CT,
  ETH_HLEN,
  ETH_P_IP,
  ETH_P_IPV6,
  IPPROTO_AH,
  IPPROTO_DSTOPTS,
  IPPROTO_FRAGMENT,
  IPPROTO_HOPOPTS,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_IPIP,
  IPPROTO_IPV6,
  IPPROTO_NONE,
  IPPROTO_ROUTING,
  IPPROTO_TCP,
  IPPROTO_UDP,
  METRIC_EGRESS,
  SCOPE_FORWARD,
  TCP_FLAG_SYN,
  TUPLE_F_OUT,
  UNKNOWN_ID,
} from "./common.js";
import {
  __ipv4_ct_tuple_reverse,
  __ipv6_ct_tuple_reverse,
  ct_create4,
  ct_create6,
  ct_lazy_lookup4,
  ct_lazy_lookup6,
  ipv4_ct_tuple_reverse,
  ipv6_ct_tuple_reverse,
} from "./conntrack.js";
import { get_ct_map4, get_ct_map6 } from "./conntrack_map.js";
import { csum_diff4, csum_fold16, csum_partial, csum_pseudo6, ipv4_csum_update_by_diff } from "./csum.js";
import {
  CtState,
  type Ctx,
  ctx_full_len,
  ctx_get_ifindex,
  ctx_has,
  ctx_load_meta,
  ctx_redirect,
  IS_BPF_OVERLAY,
  IS_BPF_XDP,
  load_be16,
  load_be32,
  load_u8,
  load_u16,
  revalidate_data4,
  revalidate_data6,
  store_be16,
  store_be32,
  store_u8,
  store_u16,
} from "./ctx.js";
import { send_drop_notify_error, send_drop_notify_error_ext } from "./drop.js";
import { __encap_with_nodeid_opt4, __encap_with_nodeid4, NOT_VTEP_DST } from "./encap.js";
import { encap_and_redirect_xdp } from "./encap_xdp.js";
import { lookup_ip4_remote_endpoint, lookup_ip6_remote_endpoint } from "./eps.js";
import { eth_store_daddr, eth_store_saddr } from "./eth.js";
import { fib_do_redirect, fib_lookup_v6, fib_ok, fib_params, fib_redirect_v4 } from "./fib.js";
import { ipv4_dec_ttl, ipv4_hdrlen } from "./ipv4.js";
import { ipv6_hdrlen_with_fraginfo, ipv6_load_addr, ipv6_store_addr } from "./ipv6.js";
import { update_metrics } from "./metrics.js";
import { snat_v4_create_dsr, snat_v6_create_dsr } from "./nat.js";
import { BPF_ADJ_ROOM_NET, ctx_adjust_hroom, ctx_adjust_troom } from "./room.js";
import {
  NODEPORT_V4_DSR_DROP,
  NODEPORT_V4_DSR_FRAG_NEEDED,
  NODEPORT_V4_DSR_REPLY_DROP,
  NODEPORT_V6_DSR_DROP,
  NODEPORT_V6_DSR_FRAG_NEEDED,
  NODEPORT_V6_DSR_REPLY_DROP,
} from "./source_lines.js";

// The option types are private ones: 0x9a has the copied bit (0x80) and class 0; 0x1b has its two upper bits clear, so
// that a receiver who does not know it skips it.
const DSR_IPV4_OPT_TYPE = 0x9a;
const DSR_IPV4_OPT_LEN = 8;
const DSR_IPV6_OPT_TYPE = 0x1b;
/** sizeof(struct dsr_opt_v6). */
const DSR_IPV6_OPT_SIZE = 24;
const DSR_IPV6_OPT_LEN = DSR_IPV6_OPT_SIZE - 4;
// Extension header length counts units of eight bytes beyond the first.
const DSR_IPV6_EXT_LEN = (DSR_IPV6_OPT_SIZE - 8) / 8;
const IPV6_MAX_HEADERS = 4;
// The type's bit 7 is Geneve's "critical": who does not know the option must drop the packet.
const DSR_GENEVE_OPT_CLASS = 0x014b;
const DSR_GENEVE_OPT_TYPE = 0x81;
// Four bytes of option header, then the data: address 4 or 16, port 2, padding 2.
const GENEVE_OPT4_SIZE = 12;
const GENEVE_OPT6_SIZE = 24;
// Longest options of an IPv4 header, bytes.
const MAX_IPOPTLEN = 40;
const IPDEFTTL = 64;
// hash_32() of the kernel multiplies by it and takes the upper bits.
const GOLDEN_RATIO_32 = 0x61c88647;

/** What nodeport_extract_dsr_v4/v6() found beside the packet: the service's address and port (Be16; 0 = not told). */
export const dsr_info = { found: false, addr4: 0, addr6: new Int32Array(4), port: 0 };

/** `*ohead` of C: bytes that the encapsulation would have added, for the MTU told to the client. */
let ohead = 0;
const gopt = new Uint8Array(GENEVE_OPT6_SIZE);
const goptView = new DataView(gopt.buffer);
const tmp4 = new CtTuple4();
const tmp6 = new CtTuple6();
const ct_state_new = new CtState();
const tunnel_key = new TunnelKey();
const addr6 = new Int32Array(4);
const inner_saddr = new Int32Array(4);

/**
 * Does the packet with what is added still fit the device? Asked only with PMTU discovery on; without it the packet
 * is sent, and fragmented or lost on the way. `expanded_len`: bytes of the IP packet.
 */
function dsr_is_too_big(ctx: Ctx, expanded_len: number): boolean {
  return ctx.def.ENABLE_DSR_ICMP_ERRORS && expanded_len > ctx.config.device_mtu;
}

// l4_load_tcp_flags() and the test all encapsulations make: 1 = TCP and no SYN, so nothing is to be told; 0 = tell;
// negative = broken header.
function tells_nothing(ctx: Ctx, nexthdr: number, l4_off: number): number {
  if (nexthdr !== IPPROTO_TCP) return 0;
  if (!ctx_has(ctx, l4_off + 14)) return DROP_CT_INVALID_HDR;
  return (load_u8(ctx, l4_off + 13) & TCP_FLAG_SYN) === 0 ? 1 : 0;
}

// --- conntrack entries of DSR flows (conntrack.h) ---------------------------------------------------------------------

function entry_of(ctx: Ctx, map: BpfMap, key: Int32Array): number {
  const slot = map.lookup(key);
  if (ctx.recorder !== null) ctx.recorder.step(Step.MAP_LOOKUP, ctx.skb, map, slot, 0, 0);
  return slot;
}

/**
 * ct_has_dsr_egress_entry4(): does a DSR flow own this tuple? The direction bit is set for the look-up and put back:
 * callers go on with the tuple as they had it. No lifetime is touched.
 */
export function ct_has_dsr_egress_entry4(ctx: Ctx, map: BpfMap, tuple: CtTuple4): boolean {
  const flags = tuple.flags;
  tuple.flags = TUPLE_F_OUT;
  const slot = entry_of(ctx, map, tuple.words);
  tuple.flags = flags;
  return slot !== NONE && (map.words[slot * map.valueWords + CT_FLAGS_W] & CT_ENTRY_DSR_INTERNAL) !== 0;
}

/** See ct_has_dsr_egress_entry4(). */
export function ct_has_dsr_egress_entry6(ctx: Ctx, map: BpfMap, tuple: CtTuple6): boolean {
  const flags = tuple.flags;
  tuple.flags = TUPLE_F_OUT;
  const slot = entry_of(ctx, map, tuple.words);
  tuple.flags = flags;
  return slot !== NONE && (map.words[slot * map.valueWords + CT_FLAGS_W] & CT_ENTRY_DSR_INTERNAL) !== 0;
}

/** ct_update_dsr(map, tuple, false): the flow is no longer one of DSR. */
function ct_clear_dsr(ctx: Ctx, map: BpfMap, key: Int32Array): void {
  const slot = entry_of(ctx, map, key);
  if (slot !== NONE) map.words[slot * map.valueWords + CT_FLAGS_W] &= ~CT_ENTRY_DSR_INTERNAL;
}

// === IPv4, load balancing node ==========================================================================================

/** dsr_set_opt4(): service address and port as an IP option behind the fixed header. */
function dsr_set_opt4(ctx: Ctx, ip4: number, svc_addr: number, svc_port: number): number {
  const hdrlen = ipv4_hdrlen(ctx, ip4);
  const nothing = tells_nothing(ctx, load_u8(ctx, ip4 + 9), ETH_HLEN + hdrlen);
  // Behind the SYN the backend's node has its entry: the packet goes as it is.
  if (nothing !== 0) return nothing < 0 ? nothing : 0;
  // IHL counts words in four bits: 60 bytes of header, no more.
  if (hdrlen + DSR_IPV4_OPT_LEN > 20 + MAX_IPOPTLEN) return DROP_CT_INVALID_HDR;
  const tot_len = (load_u16(ctx, ip4 + 2) + DSR_IPV4_OPT_LEN) & 0xffff;
  if (dsr_is_too_big(ctx, tot_len)) {
    ohead = DSR_IPV4_OPT_LEN;
    return DROP_FRAG_NEEDED;
  }
  // Header length and total length change, and eight bytes are added: all of it goes into the header checksum.
  const iph_old = load_be32(ctx, ip4);
  store_u8(ctx, ip4, load_u8(ctx, ip4) + (DSR_IPV4_OPT_LEN >> 2));
  store_u16(ctx, ip4 + 2, tot_len);
  const diff = csum_diff4(iph_old, load_be32(ctx, ip4));
  // Room behind the fixed header: options that are there already move back.
  if (ctx_adjust_hroom(ctx, DSR_IPV4_OPT_LEN, BPF_ADJ_ROOM_NET) < 0) return DROP_INVALID;
  const opt = ip4 + 20;
  store_u8(ctx, opt, DSR_IPV4_OPT_TYPE);
  store_u8(ctx, opt + 1, DSR_IPV4_OPT_LEN);
  // In the CPU's order, as both ends read it; other than the Geneve option, which is in network order.
  store_be16(ctx, opt + 2, bswap16(svc_port));
  store_be32(ctx, opt + 4, bswap32(svc_addr));
  ipv4_csum_update_by_diff(ctx, ip4, diff + csum_partial(ctx, opt, DSR_IPV4_OPT_LEN));
  return 0;
}

// rss_gen_src4(): a source address that spreads the IPIP packets of different clients over receive queues.
function rss_gen_src4(ctx: Ctx, client: number, l4_hint: number): number {
  const bits = 32 - ctx.def.IPV4_RSS_PREFIX_BITS;
  if (bits === 0) return ctx.def.IPV4_RSS_PREFIX;
  return ctx.def.IPV4_RSS_PREFIX | bswap32(Math.imul(client ^ l4_hint, GOLDEN_RATIO_32) >>> (32 - bits));
}

/** dsr_set_ipip4(): to the IPIP device with the backend as tunnel end, or, in XDP, an outer header in place. */
function dsr_set_ipip4(ctx: Ctx, ip4: number, backend_addr: number, l4_hint: number): number {
  if (ctx.obj.kind !== IS_BPF_XDP) {
    tunnel_key.clear();
    tunnel_key.remoteIp4 = backend_addr;
    tunnel_key.ttl = IPDEFTTL;
    tunnel_key.present = true;
    if (ctx.helpers.skb_set_tunnel_key(ctx.skb, tunnel_key, BPF_F_ZERO_CSUM_TX) < 0)
      return DROP_NO_TUNNEL_KEY;
    return ctx_redirect(ctx, ctx.def.ENCAP4_IFINDEX, 0);
  }
  const tot_len = (load_u16(ctx, ip4 + 2) + 20) & 0xffff;
  if (dsr_is_too_big(ctx, tot_len)) {
    ohead = 20;
    return DROP_FRAG_NEEDED;
  }
  // The old header stays in front and becomes the outer one; behind it the packet begins anew.
  const first = load_be32(ctx, ip4);
  const ttl = load_be32(ctx, ip4 + 8);
  const saddr = load_be32(ctx, ip4 + 12);
  const daddr = load_be32(ctx, ip4 + 16);
  // The prefix's host bits are filled from the flow; with a /32 there are none.
  const src = rss_gen_src4(ctx, saddr, l4_hint);
  if (ctx_adjust_hroom(ctx, 20, BPF_ADJ_ROOM_NET) < 0) return DROP_INVALID;
  for (let i = 0; i < 20; i += 4) store_be32(ctx, ip4 + 20 + i, load_be32(ctx, ip4 + i));
  store_u16(ctx, ip4 + 2, tot_len);
  store_u8(ctx, ip4 + 8, IPDEFTTL);
  store_u8(ctx, ip4 + 9, IPPROTO_IPIP);
  store_be32(ctx, ip4 + 12, src);
  store_be32(ctx, ip4 + 16, backend_addr);
  let diff = csum_diff4(first, load_be32(ctx, ip4));
  diff += csum_diff4(ttl & 0xffff, load_be16(ctx, ip4 + 8));
  diff += csum_diff4(saddr, src) + csum_diff4(daddr, backend_addr);
  ipv4_csum_update_by_diff(ctx, ip4, diff);
  return 0;
}

/**
 * struct geneve_dsr_opt4/6: class (be16), type, length of the data in words; filled for both families.
 */
function geneve_opt_header(data_words: number): void {
  gopt[0] = DSR_GENEVE_OPT_CLASS >> 8;
  gopt[1] = DSR_GENEVE_OPT_CLASS & 0xff;
  gopt[2] = DSR_GENEVE_OPT_TYPE;
  gopt[3] = data_words;
}

/** encap_geneve_dsr_opt4(): into the tunnel to the backend's node, service address and port as a Geneve option. */
function encap_geneve_dsr_opt4(ctx: Ctx, ip4: number, svc_addr: number, svc_port: number): number {
  const info = lookup_ip4_remote_endpoint(ctx, load_be32(ctx, ip4 + 16), 0);
  const map = ctx.maps.cilium_ipcache_v2;
  if (info === NONE || (ipcacheFlags(map, info) & IPCACHE_F_HAS_TUNNEL_EP) === 0)
    return DROP_NO_TUNNEL_ENDPOINT;
  const nothing = tells_nothing(ctx, load_u8(ctx, ip4 + 9), ip4 + ipv4_hdrlen(ctx, ip4));
  if (nothing < 0) return nothing;
  // IPv4, UDP, Geneve and inner Ethernet headers.
  let encap_len = 20 + 8 + 8 + ETH_HLEN;
  let opt_len = 0;
  if (nothing === 0) {
    opt_len = GENEVE_OPT4_SIZE;
    encap_len += opt_len;
    geneve_opt_header(2);
    goptView.setInt32(4, svc_addr, true);
    goptView.setUint16(8, svc_port, true);
    goptView.setUint16(10, 0, true);
  }
  if (dsr_is_too_big(ctx, load_u16(ctx, ip4 + 2) + encap_len)) {
    ohead = encap_len;
    return DROP_FRAG_NEEDED;
  }
  return encap_dsr(ctx, info, flow_hash4(ctx, ip4), ctx.def.WORLD_IPV4_ID, opt_len, ETH_P_IP);
}

// Hash of the flow for the outer source port in XDP. (The ports are there: the packet has been through DNAT.)
function flow_hash4(ctx: Ctx, ip4: number): number {
  if (ctx.obj.kind !== IS_BPF_XDP) return 0;
  const l4 = ip4 + ipv4_hdrlen(ctx, ip4);
  return hash_from_tuple_v4(
    load_be32(ctx, ip4 + 12),
    load_be16(ctx, l4),
    load_be16(ctx, l4 + 2),
    load_u8(ctx, ip4 + 9),
    ctx.def.HASH_INIT4_SEED,
  );
}

function flow_hash6(ctx: Ctx, ip6: number, l4: number): number {
  if (ctx.obj.kind !== IS_BPF_XDP) return 0;
  const s = inner_saddr;
  ipv6_load_addr(ctx, ip6 + 8, s, 0);
  const sport = load_be16(ctx, l4);
  const dport = load_be16(ctx, l4 + 2);
  return hash_from_tuple_v6(s[0], s[1], s[2], s[3], sport, dport, ctx.nexthdr, ctx.def.HASH_INIT6_SEED);
}

// nodeport_add_tunnel_encap_opt(), or without option nodeport_add_tunnel_encap(): the kernel chooses the outer source.
function encap_dsr(
  ctx: Ctx,
  info: number,
  hash: number,
  src_sec_identity: number,
  opt_len: number,
  proto: number,
): number {
  const map = ctx.maps.cilium_ipcache_v2;
  const endpoint = ipcacheTunnelEndpoint4(map, info);
  const dst = ipcacheSecIdentity(map, info);
  const monitor = ctx.config.trace_payload_len;
  if (ctx.obj.kind === IS_BPF_XDP) {
    const verdict = encap_and_redirect_xdp(
      ctx,
      hash,
      endpoint,
      src_sec_identity,
      dst,
      gopt,
      opt_len,
      CT_NEW,
      monitor,
      proto,
    );
    // fib_redirect_v4() counts this hop in the header that it finds, which by now is the outer one.
    if (verdict === CTX_ACT_REDIRECT && proto === ETH_P_IP) ipv4_dec_ttl(ctx, ETH_HLEN);
    return verdict;
  }
  const ret =
    opt_len > 0
      ? __encap_with_nodeid_opt4(
          ctx,
          0,
          endpoint,
          src_sec_identity,
          dst,
          NOT_VTEP_DST,
          gopt,
          opt_len,
          CT_NEW,
          monitor,
          proto,
        )
      : __encap_with_nodeid4(ctx, 0, endpoint, src_sec_identity, dst, NOT_VTEP_DST, CT_NEW, monitor, proto);
  return ret === CTX_ACT_REDIRECT ? ctx_redirect(ctx, ctx.def.ENCAP_IFINDEX, 0) : ret;
}

/**
 * dsr_reply_icmp4(): the packet does not fit with its option: ICMP "fragmentation needed" to the client, quoting the
 * packet as the client sent it. Counts the drop but sends no drop sample.
 */
function dsr_reply_icmp4(ctx: Ctx, ip4: number, svc_addr: number, dport: number, code: number): number {
  const hdrlen = ipv4_hdrlen(ctx, ip4);
  const nexthdr = load_u8(ctx, ip4 + 9);
  // RFC 792: the header and eight bytes behind it, which hold the ports.
  const orig_dgram = 8;
  const len_new = ETH_HLEN + hdrlen + orig_dgram;
  // What is quoted is summed over a fixed length, zeros behind it: the packet has to be that long.
  const enough = ctx_has(ctx, len_new + MAX_IPOPTLEN) && (nexthdr === IPPROTO_TCP || nexthdr === IPPROTO_UDP);
  if (!ctx.def.ENABLE_DSR_ICMP_ERRORS || !enough) {
    return send_drop_notify_error(ctx, UNKNOWN_ID, code, METRIC_EGRESS, NODEPORT_V4_DSR_REPLY_DROP);
  }
  update_metrics(ctx, ctx_full_len(ctx), METRIC_EGRESS, -code & 0xff, NODEPORT_V4_DSR_FRAG_NEEDED);
  const tos = load_u8(ctx, ip4 + 1);
  const id = load_be16(ctx, ip4 + 4);
  const saddr = load_be32(ctx, ip4 + 12);
  const daddr = load_be32(ctx, ip4 + 16);
  const s_lo = load_be32(ctx, 6);
  const s_hi = load_be16(ctx, 10);
  const d_lo = load_be32(ctx, 0);
  const d_hi = load_be16(ctx, 4);

  // First the sample is cut off, then the two headers are put in front of it.
  if (ctx_adjust_troom(ctx, len_new - ctx_full_len(ctx)) < 0) return DROP_INVALID;
  // Room behind the fixed header, which is then copied to where the quoted packet begins.
  if (ctx_adjust_hroom(ctx, 20 + 8, BPF_ADJ_ROOM_NET) < 0) return DROP_INVALID;
  const icmp = ip4 + 20;
  const inner = icmp + 8;
  for (let i = 0; i < 20; i += 4) store_be32(ctx, inner + i, load_be32(ctx, ip4 + i));
  // The client must recognize its packet, so the quoted one has the service's address and port again.
  store_be32(ctx, inner + 16, svc_addr);
  store_be16(ctx, inner + 10, 0);
  // Without the options, as C does it.
  store_be16(ctx, inner + 10, ~csum_fold16(csum_partial(ctx, inner, 20)) & 0xffff);
  store_be16(ctx, inner + 20 + 2, dport);

  eth_store_daddr(ctx, s_lo, s_hi);
  eth_store_saddr(ctx, d_lo, d_hi);
  store_u16(ctx, 12, ETH_P_IP);
  store_u8(ctx, ip4, 0x45);
  store_u8(ctx, ip4 + 1, tos);
  store_u16(ctx, ip4 + 2, 20 + hdrlen + 8 + orig_dgram);
  store_be16(ctx, ip4 + 4, id);
  // Flags and offset: DF.
  store_u16(ctx, ip4 + 6, 0x4000);
  store_u8(ctx, ip4 + 8, IPDEFTTL);
  store_u8(ctx, ip4 + 9, IPPROTO_ICMP);
  store_be16(ctx, ip4 + 10, 0);
  store_be32(ctx, ip4 + 12, daddr);
  store_be32(ctx, ip4 + 16, saddr);
  store_be16(ctx, ip4 + 10, ~csum_fold16(csum_partial(ctx, ip4, 20)) & 0xffff);
  store_u8(ctx, icmp, 3);
  store_u8(ctx, icmp + 1, 4);
  store_be16(ctx, icmp + 2, 0);
  store_be16(ctx, icmp + 4, 0);
  // The MTU that leaves room for the option.
  store_u16(ctx, icmp + 6, ctx.config.device_mtu - ohead);
  const sum = csum_partial(ctx, icmp, 8 + hdrlen + orig_dgram);
  store_be16(ctx, icmp + 2, ~csum_fold16(sum) & 0xffff);
  // Out of the device it came in on.
  return ctx_redirect(ctx, ctx_get_ifindex(ctx), 0);
}

/**
 * tail_nodeport_ipv4_dsr(): CILIUM_CALL_IPV4_NODEPORT_DSR. Service address and port are in cb (or, for IPIP, the
 * backend's address and the ports as a hint for spreading flows). Ends in a redirect: to the tunnel device, or by the
 * FIB.
 */
export function tail_nodeport_ipv4_dsr(ctx: Ctx): number {
  const ip4 = ETH_HLEN;
  if (!revalidate_data4(ctx)) {
    return send_drop_notify_error_ext(ctx, UNKNOWN_ID, DROP_INVALID, 0, METRIC_EGRESS, NODEPORT_V4_DSR_DROP);
  }
  const addr = ctx_load_meta(ctx, CB_ADDR_V4);
  const port = ctx_load_meta(ctx, CB_PORT) & 0xffff;
  ctx.ext_err = 0;
  let ret: number;
  switch (ctx.def.DSR_ENCAP_MODE) {
    case DSR_ENCAP_IPIP:
      ret = dsr_set_ipip4(ctx, ip4, addr, ctx_load_meta(ctx, CB_HINT));
      break;
    case DSR_ENCAP_NONE:
      ret = dsr_set_opt4(ctx, ip4, addr, port);
      break;
    case DSR_ENCAP_GENEVE:
      ret = encap_geneve_dsr_opt4(ctx, ip4, addr, port);
      break;
    default:
      ret = DROP_INVALID;
      break;
  }
  if (ret === CTX_ACT_REDIRECT) return ret;
  if (ret === DROP_FRAG_NEEDED) return dsr_reply_icmp4(ctx, ip4, addr, port, ret);
  if (ret >= 0) {
    ret = fib_redirect_v4(ctx, ETH_HLEN, false);
    if (ret >= 0) return ret;
  }
  return send_drop_notify_error_ext(ctx, UNKNOWN_ID, ret, ctx.ext_err, METRIC_EGRESS, NODEPORT_V4_DSR_DROP);
}

// === IPv4, backend's node ===============================================================================================

/** nodeport_extract_dsr_v4(): is this a request of a DSR flow? Fills dsr_info; 0 or a drop reason. */
export function nodeport_extract_dsr_v4(ctx: Ctx, ip4: number, tuple: CtTuple4, l4_off: number): number {
  const tcp = tuple.nexthdr === IPPROTO_TCP;
  dsr_info.found = false;
  dsr_info.port = 0;
  if (tcp) {
    if (!ctx_has(ctx, l4_off + 14)) return DROP_CT_INVALID_HDR;
    tmp4.copyFrom(tuple);
    ipv4_ct_tuple_reverse(tmp4);
    // Only a SYN carries the option; the entry that it has made tells of the others.
    if ((load_u8(ctx, l4_off + 13) & TCP_FLAG_SYN) === 0) {
      // Of a tracked flow the entry knows the rest.
      dsr_info.found = ct_has_dsr_egress_entry4(ctx, get_ct_map4(ctx, tmp4), tmp4);
      return 0;
    }
  }
  // UDP has no first packet, so each datagram carries the option and comes to this point.
  if (ctx.obj.kind === IS_BPF_OVERLAY) {
    if (ctx.helpers.skb_get_tunnel_opt(ctx.skb, gopt, GENEVE_OPT4_SIZE) > 0 && is_dsr_option()) {
      dsr_info.found = true;
      dsr_info.addr4 = goptView.getInt32(4, true);
      dsr_info.port = goptView.getUint16(8, true);
      return 0;
    }
  } else if (ipv4_hdrlen(ctx, ip4) >= 28) {
    // Only the first option is looked at: the load balancing node puts its own in front of any others.
    const opt = ETH_HLEN + 20;
    if (!ctx_has(ctx, opt + DSR_IPV4_OPT_LEN)) return DROP_INVALID;
    if (load_u8(ctx, opt) === DSR_IPV4_OPT_TYPE && load_u8(ctx, opt + 1) === DSR_IPV4_OPT_LEN) {
      dsr_info.found = true;
      dsr_info.addr4 = bswap32(load_be32(ctx, opt + 4));
      dsr_info.port = bswap16(load_be16(ctx, opt + 2));
      return 0;
    }
  }
  // A SYN without: should the flow have been one of DSR before, it is no longer. (C looks the entry up under the
  // direction that the reversal left, IN.)
  if (tcp) ct_clear_dsr(ctx, get_ct_map4(ctx, tmp4), tmp4.words);
  return 0;
}

// Class and type of what skb_get_tunnel_opt has copied to gopt; the length is not asked.
function is_dsr_option(): boolean {
  return ((gopt[0] << 8) | gopt[1]) === DSR_GENEVE_OPT_CLASS && gopt[2] === DSR_GENEVE_OPT_TYPE;
}

/**
 * nodeport_dsr_ingress_ipv4(): remembers the service of dsr_info for the replies; the packet goes on to the backend.
 * The entry has the service's address itself (nat_addr, nat_port) and no rev_nat_index, whose numbers each node gives
 * out by itself.
 */
export function nodeport_dsr_ingress_ipv4(
  ctx: Ctx,
  tuple: CtTuple4,
  fraginfo: number,
  l4_off: number,
): number {
  // The look-up wants the tuple in forward direction.
  __ipv4_ct_tuple_reverse(tuple);
  const map = get_ct_map4(ctx, tuple);
  const ret = ct_lazy_lookup4(
    ctx,
    map,
    tuple,
    fraginfo,
    l4_off,
    CT_EGRESS,
    SCOPE_FORWARD,
    CT_ENTRY_DSR,
    null,
  );
  if (ret < 0) return ret;
  switch (ret) {
    case CT_NEW:
      break;
    case CT_ESTABLISHED:
      // Only a SYN tells the service, so this is a new connection in a stale entry.
      if (tuple.nexthdr === IPPROTO_TCP && dsr_info.port !== 0) break;
      return CTX_ACT_OK;
    default:
      return DROP_UNKNOWN_CT;
  }
  if (dsr_info.port === 0) return DROP_INVALID;
  const state = ct_state_new;
  state.clear();
  // Replies are translated by this, whatever services this node knows.
  state.nat_addr[3] = dsr_info.addr4;
  state.nat_port = dsr_info.port;
  state.src_sec_id = ctx.def.WORLD_IPV4_ID;
  state.dsr_internal = true;
  const err = ct_create4(ctx, map, null, tuple, CT_EGRESS, state);
  if (err < 0) return err;
  // Kept until release 1.20, for programs that look into the NAT map.
  return snat_v4_create_dsr(ctx, tuple, dsr_info.addr4, dsr_info.port);
}

// === IPv6 ===============================================================================================================

/** dsr_set_ext6(): service address and port as a destination option in front of the packet's other headers. */
function dsr_set_ext6(ctx: Ctx, ip6: number, svc_addr: Int32Array, svc_port: number): number {
  const hdrlen = ipv6_hdrlen_with_fraginfo(ctx, ip6);
  if (hdrlen < 0) return hdrlen;
  const nothing = tells_nothing(ctx, ctx.nexthdr, ETH_HLEN + hdrlen);
  if (nothing !== 0) return nothing < 0 ? nothing : 0;
  // Payload length does not count the fixed header, which the MTU does. No checksum covers what is added.
  const payload_len = load_u16(ctx, ip6 + 4) + DSR_IPV6_OPT_SIZE;
  if (dsr_is_too_big(ctx, payload_len + 40)) {
    ohead = DSR_IPV6_OPT_SIZE;
    return DROP_FRAG_NEEDED;
  }
  const nexthdr = load_u8(ctx, ip6 + 6);
  store_u8(ctx, ip6 + 6, IPPROTO_DSTOPTS);
  store_u16(ctx, ip6 + 4, payload_len);
  if (ctx_adjust_hroom(ctx, DSR_IPV6_OPT_SIZE, BPF_ADJ_ROOM_NET) < 0) return DROP_INVALID;
  const opt = ip6 + 40;
  store_u8(ctx, opt, nexthdr);
  store_u8(ctx, opt + 1, DSR_IPV6_EXT_LEN);
  store_u8(ctx, opt + 2, DSR_IPV6_OPT_TYPE);
  store_u8(ctx, opt + 3, DSR_IPV6_OPT_LEN);
  // As it stands in the key, in network order, unlike IPv4's option.
  ipv6_store_addr(ctx, opt + 4, svc_addr, 0);
  store_be16(ctx, opt + 20, svc_port);
  store_be16(ctx, opt + 22, 0);
  return 0;
}

/**
 * dsr_set_ipip6(): see dsr_set_ipip4(). The outer source is the RSS prefix with the hash in the bits that it leaves,
 * word by word from the first that it does not fill.
 */
function dsr_set_ipip6(ctx: Ctx, ip6: number, backend_addr: Int32Array, l4_hint: number): number {
  if (ctx.obj.kind !== IS_BPF_XDP) {
    tunnel_key.clear();
    tunnel_key.isIp6 = true;
    put_words(tunnel_key.remoteIp6, backend_addr);
    tunnel_key.ttl = IPDEFTTL;
    tunnel_key.present = true;
    const flags = BPF_F_ZERO_CSUM_TX | BPF_F_TUNINFO_IPV6;
    if (ctx.helpers.skb_set_tunnel_key(ctx.skb, tunnel_key, flags) < 0) return DROP_NO_TUNNEL_KEY;
    return ctx_redirect(ctx, ctx.def.ENCAP6_IFINDEX, 0);
  }
  const payload_len = load_u16(ctx, ip6 + 4) + 40;
  if (dsr_is_too_big(ctx, payload_len + 40)) {
    ohead = 40;
    return DROP_FRAG_NEEDED;
  }
  ipv6_load_addr(ctx, ip6 + 8, inner_saddr, 0);
  // rss_gen_src6(): the client's words, hashed, fill what the prefix leaves.
  copyAddr6(addr6, 0, ctx.def.IPV6_RSS_PREFIX, 0);
  let bits = 128 - ctx.def.IPV6_RSS_PREFIX_BITS;
  for (let i = 0; i < 4 && bits > 0; i++) {
    const rest = 96 - 32 * i;
    if (bits <= rest) continue;
    const todo = bits - rest;
    addr6[i] |= bswap32(Math.imul(inner_saddr[i] ^ l4_hint, GOLDEN_RATIO_32) >>> (32 - todo));
    bits -= todo;
  }
  if (ctx_adjust_hroom(ctx, 40, BPF_ADJ_ROOM_NET) < 0) return DROP_INVALID;
  for (let i = 0; i < 40; i += 4) store_be32(ctx, ip6 + 40 + i, load_be32(ctx, ip6 + i));
  store_u16(ctx, ip6 + 4, payload_len);
  store_u8(ctx, ip6 + 6, IPPROTO_IPV6);
  store_u8(ctx, ip6 + 7, IPDEFTTL);
  ipv6_store_addr(ctx, ip6 + 8, addr6, 0);
  ipv6_store_addr(ctx, ip6 + 24, backend_addr, 0);
  return 0;
}

// Words as loaded from the packet (little-endian) to bytes in wire order.
function put_words(bytes: Uint8Array, words: Int32Array): void {
  for (let i = 0; i < 16; i++) bytes[i] = (words[i >> 2] >>> ((i & 3) << 3)) & 0xff;
}

/** encap_geneve_dsr_opt6(): see encap_geneve_dsr_opt4(). Drop 160 where the ipcache knows no tunnel endpoint. */
function encap_geneve_dsr_opt6(ctx: Ctx, ip6: number, svc_addr: Int32Array, svc_port: number): number {
  ipv6_load_addr(ctx, ip6 + 24, addr6, 0);
  const info = lookup_ip6_remote_endpoint(ctx, addr6, 0);
  const map = ctx.maps.cilium_ipcache_v2;
  if (info === NONE || (ipcacheFlags(map, info) & IPCACHE_F_HAS_TUNNEL_EP) === 0)
    return DROP_NO_TUNNEL_ENDPOINT;
  const hdrlen = ipv6_hdrlen_with_fraginfo(ctx, ip6);
  if (hdrlen < 0) return hdrlen;
  const nothing = tells_nothing(ctx, ctx.nexthdr, ip6 + hdrlen);
  if (nothing < 0) return nothing;
  // IPv6, UDP, Geneve and inner Ethernet headers.
  let encap_len = 40 + 8 + 8 + ETH_HLEN;
  let opt_len = 0;
  if (nothing === 0) {
    opt_len = GENEVE_OPT6_SIZE;
    encap_len += opt_len;
    // Five words of data; the address and port as they are in the key, in wire order.
    geneve_opt_header(5);
    for (let i = 0; i < 4; i++) goptView.setInt32(4 + 4 * i, svc_addr[i], true);
    goptView.setUint16(20, svc_port, true);
    goptView.setUint16(22, 0, true);
  }
  if (dsr_is_too_big(ctx, load_u16(ctx, ip6 + 4) + 40 + encap_len)) {
    ohead = encap_len;
    return DROP_FRAG_NEEDED;
  }
  return encap_dsr(ctx, info, flow_hash6(ctx, ip6, ip6 + hdrlen), ctx.def.WORLD_IPV6_ID, opt_len, ETH_P_IPV6);
}

/**
 * dsr_reply_icmp6(): Packet Too Big (2/0) with the first 64 bytes behind the header. As in IPv4 the drop is counted and
 * not told; without PMTU discovery, or for a packet too short to quote, a drop sample takes the error's place.
 */
function dsr_reply_icmp6(ctx: Ctx, ip6: number, svc_addr: Int32Array, dport: number, code: number): number {
  const orig_dgram = 64;
  const len_new = ETH_HLEN + 40 + orig_dgram;
  const nexthdr = load_u8(ctx, ip6 + 6);
  const enough = ctx_has(ctx, len_new) && (nexthdr === IPPROTO_TCP || nexthdr === IPPROTO_UDP);
  if (!ctx.def.ENABLE_DSR_ICMP_ERRORS || !enough) {
    return send_drop_notify_error(ctx, UNKNOWN_ID, code, METRIC_EGRESS, NODEPORT_V6_DSR_REPLY_DROP);
  }
  update_metrics(ctx, ctx_full_len(ctx), METRIC_EGRESS, -code & 0xff, NODEPORT_V6_DSR_FRAG_NEEDED);
  ipv6_load_addr(ctx, ip6 + 8, inner_saddr, 0);
  ipv6_load_addr(ctx, ip6 + 24, addr6, 0);
  const s_lo = load_be32(ctx, 6);
  const s_hi = load_be16(ctx, 10);
  const d_lo = load_be32(ctx, 0);
  const d_hi = load_be16(ctx, 4);
  if (ctx_adjust_troom(ctx, len_new - ctx_full_len(ctx)) < 0) return DROP_INVALID;
  if (ctx_adjust_hroom(ctx, 40 + 8, BPF_ADJ_ROOM_NET) < 0) return DROP_INVALID;
  const icmp = ip6 + 40;
  const inner = icmp + 8;
  for (let i = 0; i < 40; i += 4) store_be32(ctx, inner + i, load_be32(ctx, ip6 + i));
  // The quoted packet as the client sent it: addressed to the service.
  ipv6_store_addr(ctx, inner + 24, svc_addr, 0);
  store_be16(ctx, inner + 40 + 2, dport);
  eth_store_daddr(ctx, s_lo, s_hi);
  eth_store_saddr(ctx, d_lo, d_hi);
  store_u16(ctx, 12, ETH_P_IPV6);
  const len = 40 + 8 + orig_dgram;
  store_u16(ctx, ip6 + 4, len);
  store_u8(ctx, ip6 + 6, IPPROTO_ICMPV6);
  store_u8(ctx, ip6 + 7, IPDEFTTL);
  ipv6_store_addr(ctx, ip6 + 8, addr6, 0);
  ipv6_store_addr(ctx, ip6 + 24, inner_saddr, 0);
  store_u8(ctx, icmp, 2);
  store_u8(ctx, icmp + 1, 0);
  store_be16(ctx, icmp + 2, 0);
  store_u16(ctx, icmp + 4, 0);
  store_u16(ctx, icmp + 6, ctx.config.device_mtu - ohead);
  const sum = csum_pseudo6(ctx, ip6 + 8, len, IPPROTO_ICMPV6) + csum_partial(ctx, icmp, len);
  store_be16(ctx, icmp + 2, ~csum_fold16(sum) & 0xffff);
  return ctx_redirect(ctx, ctx_get_ifindex(ctx), 0);
}

const meta_addr = new Int32Array(4);

/** tail_nodeport_ipv6_dsr(): CILIUM_CALL_IPV6_NODEPORT_DSR; see tail_nodeport_ipv4_dsr(). Address in cb[1] to cb[4]. */
export function tail_nodeport_ipv6_dsr(ctx: Ctx): number {
  const ip6 = ETH_HLEN;
  if (!revalidate_data6(ctx)) {
    return send_drop_notify_error_ext(ctx, UNKNOWN_ID, DROP_INVALID, 0, METRIC_EGRESS, NODEPORT_V6_DSR_DROP);
  }
  for (let i = 0; i < 4; i++) meta_addr[i] = ctx_load_meta(ctx, CB_ADDR_V6_1 + i);
  const port = ctx_load_meta(ctx, CB_PORT) & 0xffff;
  ctx.ext_err = 0;
  let ret: number;
  switch (ctx.def.DSR_ENCAP_MODE) {
    case DSR_ENCAP_IPIP:
      ret = dsr_set_ipip6(ctx, ip6, meta_addr, ctx_load_meta(ctx, CB_HINT));
      break;
    case DSR_ENCAP_NONE:
      ret = dsr_set_ext6(ctx, ip6, meta_addr, port);
      break;
    case DSR_ENCAP_GENEVE:
      ret = encap_geneve_dsr_opt6(ctx, ip6, meta_addr, port);
      break;
    default:
      ret = DROP_INVALID;
      break;
  }
  if (ret === CTX_ACT_REDIRECT) return ret;
  if (ret === DROP_FRAG_NEEDED) return dsr_reply_icmp6(ctx, ip6, meta_addr, port, ret);
  if (ret >= 0) {
    ret = fib_redirect_v6_as_is(ctx, ip6);
    if (ret >= 0) return ret;
  }
  return send_drop_notify_error_ext(ctx, UNKNOWN_ID, ret, ctx.ext_err, METRIC_EGRESS, NODEPORT_V6_DSR_DROP);
}

// Onwards by the packet's own addresses. Unlike fib_redirect_v6() this leaves the hop limit alone.
function fib_redirect_v6_as_is(ctx: Ctx, ip6: number): number {
  ipv6_load_addr(ctx, ip6 + 8, inner_saddr, 0);
  ipv6_load_addr(ctx, ip6 + 24, addr6, 0);
  const fib = fib_lookup_v6(ctx, inner_saddr, 0, addr6, 0, 0);
  ctx.ext_err = fib;
  if (!fib_ok(fib)) return DROP_NO_FIB;
  ctx.fib_oif = fib_params.ifindex;
  return fib_do_redirect(ctx, true, false, fib, ctx.fib_oif);
}

// Looks for the DSR option in the extension headers: 1 = found (dsr_info filled), 0 = none, negative = a drop reason.
function find_dsr_v6(ctx: Ctx, ip6: number): number {
  let nh = load_u8(ctx, ip6 + 6);
  let off = ip6 + 40;
  for (let i = 0; i < IPV6_MAX_HEADERS; i++) {
    switch (nh) {
      case IPPROTO_NONE:
        return DROP_INVALID_EXTHDR;
      case IPPROTO_FRAGMENT:
      case IPPROTO_HOPOPTS:
      case IPPROTO_ROUTING:
      case IPPROTO_AH:
      case IPPROTO_DSTOPTS: {
        if (!ctx_has(ctx, off + 2)) return DROP_INVALID;
        const hdrlen = load_u8(ctx, off + 1);
        const len = nh === IPPROTO_AH ? (hdrlen + 2) << 2 : nh === IPPROTO_FRAGMENT ? 8 : (hdrlen + 1) << 3;
        if (nh === IPPROTO_DSTOPTS && len === DSR_IPV6_OPT_SIZE) {
          if (!ctx_has(ctx, off + DSR_IPV6_OPT_SIZE)) return DROP_INVALID;
          if (load_u8(ctx, off + 2) === DSR_IPV6_OPT_TYPE && load_u8(ctx, off + 3) === DSR_IPV6_OPT_LEN) {
            ipv6_load_addr(ctx, off + 4, dsr_info.addr6, 0);
            dsr_info.port = load_be16(ctx, off + 20);
            dsr_info.found = true;
            return 1;
          }
        }
        nh = load_u8(ctx, off);
        off += len;
        break;
      }
      default:
        return 0;
    }
  }
  // Longer chains are refused elsewhere.
  return DROP_INVALID_EXTHDR;
}

/** nodeport_extract_dsr_v6(): see nodeport_extract_dsr_v4(); the option may stand behind other extension headers. */
export function nodeport_extract_dsr_v6(ctx: Ctx, ip6: number, tuple: CtTuple6, l4_off: number): number {
  const tcp = tuple.nexthdr === IPPROTO_TCP;
  dsr_info.found = false;
  dsr_info.port = 0;
  if (tcp) {
    if (!ctx_has(ctx, l4_off + 14)) return DROP_CT_INVALID_HDR;
    tmp6.copyFrom(tuple);
    ipv6_ct_tuple_reverse(tmp6);
    if ((load_u8(ctx, l4_off + 13) & TCP_FLAG_SYN) === 0) {
      dsr_info.found = ct_has_dsr_egress_entry6(ctx, get_ct_map6(ctx, tmp6), tmp6);
      return 0;
    }
  }
  if (ctx.obj.kind === IS_BPF_OVERLAY) {
    if (ctx.helpers.skb_get_tunnel_opt(ctx.skb, gopt, GENEVE_OPT6_SIZE) > 0 && is_dsr_option()) {
      dsr_info.found = true;
      for (let i = 0; i < 4; i++) dsr_info.addr6[i] = goptView.getInt32(4 + 4 * i, true);
      dsr_info.port = goptView.getUint16(20, true);
      return 0;
    }
  } else {
    const ret = find_dsr_v6(ctx, ip6);
    if (ret !== 0) return ret < 0 ? ret : 0;
  }
  if (tcp) ct_clear_dsr(ctx, get_ct_map6(ctx, tmp6), tmp6.words);
  return 0;
}

/** nodeport_dsr_ingress_ipv6(): see nodeport_dsr_ingress_ipv4(); nat_addr takes all four words. */
export function nodeport_dsr_ingress_ipv6(
  ctx: Ctx,
  tuple: CtTuple6,
  fraginfo: number,
  l4_off: number,
): number {
  __ipv6_ct_tuple_reverse(tuple);
  const map = get_ct_map6(ctx, tuple);
  const ret = ct_lazy_lookup6(
    ctx,
    map,
    tuple,
    fraginfo,
    l4_off,
    CT_EGRESS,
    SCOPE_FORWARD,
    CT_ENTRY_DSR,
    null,
  );
  if (ret < 0) return ret;
  switch (ret) {
    case CT_NEW:
      break;
    case CT_ESTABLISHED:
      if (tuple.nexthdr === IPPROTO_TCP && dsr_info.port !== 0) break;
      return CTX_ACT_OK;
    default:
      return DROP_UNKNOWN_CT;
  }
  if (dsr_info.port === 0) return DROP_INVALID;
  const state = ct_state_new;
  state.clear();
  copyAddr6(state.nat_addr, 0, dsr_info.addr6, 0);
  state.nat_port = dsr_info.port;
  state.src_sec_id = ctx.def.WORLD_IPV6_ID;
  state.dsr_internal = true;
  const err = ct_create6(ctx, map, null, tuple, CT_EGRESS, state);
  if (err < 0) return err;
  return snat_v6_create_dsr(ctx, tuple, dsr_info.addr6, dsr_info.port);
}
