// Constants and small types shared by all programs, after Cilium's bpf/lib/common.h. What maps and samples hold (drop
// reasons, sample types and codes, metrics reasons, tail call indices) is declared once, beside the layouts in maps/, and
// passed on here, because the original's programs find it in common.h too.

export * from "../../maps/calls.js";
export { TUPLE_F_IN, TUPLE_F_OUT, TUPLE_F_RELATED, TUPLE_F_SERVICE } from "../../maps/ct.js";
export * from "../../maps/drop_codes.js";
export * from "../../maps/events.js";
export { ENDPOINT_KEY_IPV4, ENDPOINT_KEY_IPV6 } from "../../maps/layout.js";
export {
  ENDPOINT_F_ATHOSTNS,
  ENDPOINT_F_HOST,
  ENDPOINT_F_NO_SNAT_V4,
  ENDPOINT_F_NO_SNAT_V6,
  ENDPOINT_MASK_HOST_DELIVERY,
  ENDPOINT_MASK_SKIP_MASQ_V4,
  ENDPOINT_MASK_SKIP_MASQ_V6,
} from "../../maps/lxc.js";
export * from "../../maps/metrics.js";

/** Verdicts under their context-independent names (TC numbers; XDP programs translate at the end). */
export const CTX_ACT_OK = 0;
export const CTX_ACT_DROP = 2;
export const CTX_ACT_REDIRECT = 7;
/**
 * Set in the return value of a tail call that took place. In C such a call never returns to the caller; here the
 * callers see a value that equals none of the verdicts above and is not negative, so that every "return ret if it is
 * not OK" passes it on. A caller that would go on after OK tests `ret !== CTX_ACT_OK` first. The program's entry
 * removes the bit.
 */
export const TAIL_CALLED = 0x100000;

/** A verdict without the tail-call mark. */
export function finalVerdict(ret: number): number {
  return ret & ~TAIL_CALLED;
}

export const ETH_HLEN = 14;
export const ETH_P_IP = 0x0800;
export const ETH_P_ARP = 0x0806;
export const ETH_P_IPV6 = 0x86dd;
export const ETH_P_8021Q = 0x8100;
export const IPPROTO_HOPOPTS = 0;
export const IPPROTO_ICMP = 1;
export const IPPROTO_IGMP = 2;
export const IPPROTO_IPIP = 4;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_IPV6 = 41;
export const IPPROTO_ROUTING = 43;
export const IPPROTO_FRAGMENT = 44;
export const IPPROTO_ESP = 50;
export const IPPROTO_AH = 51;
export const IPPROTO_ICMPV6 = 58;
export const IPPROTO_NONE = 59;
export const IPPROTO_DSTOPTS = 60;
export const IPPROTO_SCTP = 132;

/** TCP flags, byte 13 of the header. */
export const TCP_FLAG_FIN = 0x01;
export const TCP_FLAG_SYN = 0x02;
export const TCP_FLAG_RST = 0x04;
export const TCP_FLAG_ACK = 0x10;

// --- identities -------------------------------------------------------------------------------------------------
export const UNKNOWN_ID = 0;
export const HOST_ID = 1;
export const WORLD_ID = 2;
export const UNMANAGED_ID = 3;
export const HEALTH_ID = 4;
export const INIT_ID = 5;
export const REMOTE_NODE_ID = 6;
export const KUBE_APISERVER_NODE_ID = 7;

// --- skb->cb indices --------------------------------------------------------------------------------------------
// Five words that go with the packet through tail calls; the same word means different things to different programs, so
// names share numbers. Entries clear all of them, a drop sample overwrites all of them.
export const CB_SRC_LABEL = 0;
export const CB_PROXY_MAGIC = 0;
export const CB_ENCRYPT_MAGIC = 0;
export const CB_HINT = 0;
export const CB_PORT = 0;
export const CB_DST_ENDPOINT_ID = 0;
export const CB_VERDICT = 0;
export const CB_DELIVERY_REDIRECT = 1;
export const CB_NAT_46X64 = 1;
export const CB_ADDR_V4 = 1;
export const CB_ADDR_V6_1 = 1;
export const CB_IPCACHE_SRC_LABEL = 1;
export const CB_CLUSTER_ID_EGRESS = 1;
export const CB_TRACED = 1;
export const CB_ADDR_V6_2 = 2;
export const CB_CLUSTER_ID_INGRESS = 2;
export const CB_NAT_FLAGS = 2;
export const CB_NAT_FLAGS_REVDNAT_ONLY = 1;
export const CB_FROM_HOST = 3;
export const CB_DSR_L3_OFF = 3;
export const CB_ADDR_V6_3 = 3;
export const CB_CT_STATE = 4;
export const CB_ENCRYPT_IDENTITY = 4;
export const CB_FROM_TUNNEL = 4;
export const CB_ADDR_V6_4 = 4;
export const FROM_HOST_L7_LB = 0xfacade42 | 0;

/** skb->tc_index bits. */
// The two proxy bits come from the mark (0x0A00, 0x0B00) and outlive it. The bits that skip node ports and host
// firewall are cleared as they are read.
export const TC_INDEX_F_FROM_INGRESS_PROXY = 1;
export const TC_INDEX_F_FROM_EGRESS_PROXY = 2;
export const TC_INDEX_F_SKIP_NODEPORT = 4;
export const TC_INDEX_F_SKIP_HEALTH_CHECK = 8;
export const TC_INDEX_F_SKIP_HOST_FIREWALL = 16;

/** XDP metadata word handed to tc. */
// XFER_PKT_NO_SVC: services have been looked up. XFER_PKT_SNAT_DONE: the source has been translated.
export const XFER_PKT_NO_SVC = 1;
export const XFER_PKT_SNAT_DONE = 4;

// --- marks ------------------------------------------------------------------------------------------------------
// Bits 8 to 11 of skb->mark say who set it; what the other bits hold depends on it (overloadable.ts).
// 0x0800 has two names; the key mask takes bits 12 to 15 in, where IPsec has its key.
export const MARK_MAGIC_HOST_MASK = 0x0f00;
export const MARK_MAGIC_PROXY_TO_WORLD = 0x0800;
export const MARK_MAGIC_SKIP_TPROXY = 0x0800;
export const MARK_MAGIC_PROXY_EGRESS_EPID = 0x0900;
export const MARK_MAGIC_PROXY_INGRESS = 0x0a00;
export const MARK_MAGIC_PROXY_EGRESS = 0x0b00;
export const MARK_MAGIC_HOST = 0x0c00;
export const MARK_MAGIC_DECRYPT = 0x0d00;
export const MARK_MAGIC_ENCRYPT = 0x0e00;
export const MARK_MAGIC_IDENTITY = 0x0f00;
export const MARK_MAGIC_TO_PROXY = 0x0200;
export const MARK_MAGIC_SNAT_DONE = 0x0300;
export const MARK_MAGIC_OVERLAY = 0x0400;
export const MARK_MAGIC_EGW_DONE = 0x0500;
export const MARK_MAGIC_KEY_MASK = 0xff00;

// --- conntrack --------------------------------------------------------------------------------------------------

/** ct_entry_types: which entries a look-up accepts. */
export const CT_ENTRY_ANY = 0;
export const CT_ENTRY_NODEPORT = 1 << 0;
export const CT_ENTRY_DSR = 1 << 1;
export const CT_ENTRY_SVC = 1 << 2;

/** Bits of ct_entry's flag word. */
export const CT_ENTRY_RX_CLOSING = 0x0001;
export const CT_ENTRY_TX_CLOSING = 0x0002;
export const CT_ENTRY_LB_LOOPBACK = 0x0008;
export const CT_ENTRY_SEEN_NON_SYN = 0x0010;
export const CT_ENTRY_NODE_PORT = 0x0020;
export const CT_ENTRY_PROXY_REDIRECT = 0x0040;
export const CT_ENTRY_DSR_INTERNAL = 0x0080;
export const CT_ENTRY_FROM_L7LB = 0x0100;
export const CT_ENTRY_FROM_TUNNEL = 0x0400;

// --- drop reasons: negative, as programs return them ---------------------------------------------------------------
export const DROP_NAT_NOT_NEEDED = -173;

/** Internal codes that never reach a sample: extended errors of fib and nodeport. */
export const BPF_FIB_MAP_NO_NEIGH = 100;

// --- samples ----------------------------------------------------------------------------------------------------

/** No observation point (trace_point argument of drop notifications and of traces that must not be sent). */
export const TRACE_POINT_UNKNOWN = -1;

export const TRACE_EP_ID_UNKNOWN = 0;
export const TRACE_IFINDEX_UNKNOWN = 0;

export const DBG_LB6_LOOKUP_BACKEND_SLOT_FAIL = 26;
export const DBG_LB4_LOOKUP_BACKEND_SLOT_FAIL = 34;

/** True for a drop reason or another internal error. */
export function IS_ERR(ret: number): boolean {
  return ret < 0;
}
