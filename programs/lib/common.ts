// Constants and small types shared by all programs, after Cilium's bpf/lib/common.h, drop_reasons.h, metrics.h and
// dbg.h. Values are the wire values: they appear in maps, in samples and in skb fields.

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
export const TC_INDEX_F_FROM_INGRESS_PROXY = 1;
export const TC_INDEX_F_FROM_EGRESS_PROXY = 2;
export const TC_INDEX_F_SKIP_NODEPORT = 4;
export const TC_INDEX_F_SKIP_HEALTH_CHECK = 8;
export const TC_INDEX_F_SKIP_HOST_FIREWALL = 16;

/** XDP metadata word handed to tc. */
export const XFER_PKT_NO_SVC = 1;
export const XFER_PKT_SNAT_DONE = 4;

// --- marks ------------------------------------------------------------------------------------------------------
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
export const CT_NEW = 0;
export const CT_ESTABLISHED = 1;
export const CT_REPLY = 2;
export const CT_RELATED = 3;
/** Only programs of the 1.11 profile return it. */
export const CT_REOPENED = 4;

export const CT_EGRESS = 0;
export const CT_INGRESS = 1;
export const CT_SERVICE = 2;

export const SCOPE_FORWARD = 0;
export const SCOPE_REVERSE = 1;
export const SCOPE_BIDIR = 2;

export const TUPLE_F_OUT = 0;
export const TUPLE_F_IN = 1;
export const TUPLE_F_RELATED = 2;
export const TUPLE_F_SERVICE = 4;

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

// --- metrics ----------------------------------------------------------------------------------------------------
export const METRIC_INGRESS = 1;
export const METRIC_EGRESS = 2;
export const METRIC_SERVICE = 3;

export const REASON_FORWARDED = 0;
export const REASON_PLAINTEXT = 3;
export const REASON_DECRYPT = 4;
export const REASON_LB_NO_BACKEND_SLOT = 5;
export const REASON_LB_NO_BACKEND = 6;
export const REASON_LB_REVNAT_UPDATE = 7;
export const REASON_LB_REVNAT_STALE = 8;
export const REASON_FRAG_PACKET = 9;
export const REASON_FRAG_PACKET_UPDATE = 10;
export const REASON_DECRYPTING = 12;
export const REASON_ENCRYPTING = 13;
export const REASON_LB_REVNAT_DELETE = 14;
export const REASON_MTU_ERROR_MSG = 15;

// --- drop reasons: negative, as programs return them ---------------------------------------------------------------
export const DROP_UNUSED1 = -130;
export const DROP_INVALID_SIP = -132;
export const DROP_POLICY = -133;
export const DROP_INVALID = -134;
export const DROP_CT_INVALID_HDR = -135;
export const DROP_FRAG_NEEDED = -136;
export const DROP_CT_UNKNOWN_PROTO = -137;
export const DROP_UNKNOWN_L3 = -139;
export const DROP_MISSED_TAIL_CALL = -140;
export const DROP_WRITE_ERROR = -141;
export const DROP_UNKNOWN_L4 = -142;
export const DROP_UNKNOWN_ICMP4_CODE = -143;
export const DROP_UNKNOWN_ICMP4_TYPE = -144;
export const DROP_UNKNOWN_ICMP6_CODE = -145;
export const DROP_UNKNOWN_ICMP6_TYPE = -146;
export const DROP_NO_TUNNEL_KEY = -147;
export const DROP_UNKNOWN_TARGET = -150;
export const DROP_UNROUTABLE = -151;
export const DROP_CSUM_L3 = -153;
export const DROP_CSUM_L4 = -154;
export const DROP_CT_CREATE_FAILED = -155;
export const DROP_INVALID_EXTHDR = -156;
export const DROP_FRAG_NOSUPPORT = -157;
export const DROP_NO_SERVICE = -158;
export const DROP_UNSUPP_SERVICE_PROTO = -159;
export const DROP_NO_TUNNEL_ENDPOINT = -160;
export const DROP_NAT_46X64_DISABLED = -161;
export const DROP_EDT_HORIZON = -162;
export const DROP_UNKNOWN_CT = -163;
export const DROP_HOST_UNREACHABLE = -164;
export const DROP_NO_CONFIG = -165;
export const DROP_UNSUPPORTED_L2 = -166;
export const DROP_NAT_NO_MAPPING = -167;
export const DROP_NAT_UNSUPP_PROTO = -168;
export const DROP_NO_FIB = -169;
export const DROP_ENCAP_PROHIBITED = -170;
export const DROP_INVALID_IDENTITY = -171;
export const DROP_UNKNOWN_SENDER = -172;
export const DROP_NAT_NOT_NEEDED = -173;
export const DROP_IS_CLUSTER_IP = -174;
export const DROP_FRAG_NOT_FOUND = -175;
export const DROP_FORBIDDEN_ICMP6 = -176;
export const DROP_NOT_IN_SRC_RANGE = -177;
export const DROP_PROXY_LOOKUP_FAILED = -178;
export const DROP_PROXY_SET_FAILED = -179;
export const DROP_PROXY_UNKNOWN_PROTO = -180;
export const DROP_POLICY_DENY = -181;
export const DROP_VLAN_FILTERED = -182;
export const DROP_INVALID_VNI = -183;
export const DROP_INVALID_TC_BUFFER = -184;
export const DROP_NO_SID = -185;
export const DROP_NAT46 = -187;
export const DROP_NAT64 = -188;
export const DROP_POLICY_AUTH_REQUIRED = -189;
export const DROP_CT_NO_MAP_FOUND = -190;
export const DROP_SNAT_NO_MAP_FOUND = -191;
export const DROP_INVALID_CLUSTER_ID = -192;
export const DROP_DSR_ENCAP_UNSUPP_PROTO = -193;
export const DROP_NO_EGRESS_GATEWAY = -194;
export const DROP_UNENCRYPTED_TRAFFIC = -195;
export const DROP_TTL_EXCEEDED = -196;
export const DROP_NO_NODE_ID = -197;
export const DROP_RATE_LIMITED = -198;
export const DROP_IGMP_HANDLED = -199;
export const DROP_IGMP_SUBSCRIBED = -200;
export const DROP_MULTICAST_HANDLED = -201;
export const DROP_HOST_NOT_READY = -202;
export const DROP_EP_NOT_READY = -203;
export const DROP_NO_EGRESS_IP = -204;
export const DROP_PUNT_PROXY = -205;

/** Internal codes that never reach a sample: extended errors of fib and nodeport. */
export const BPF_FIB_MAP_NO_NEIGH = 100;
/** Policy result above any port: redirect to proxy is needed. */
export const POLICY_ACT_PROXY_REDIRECT = 1 << 16;

// --- samples ----------------------------------------------------------------------------------------------------
export const CILIUM_NOTIFY_DROP = 1;
export const CILIUM_NOTIFY_DBG_MSG = 2;
export const CILIUM_NOTIFY_DBG_CAPTURE = 3;
export const CILIUM_NOTIFY_TRACE = 4;
export const CILIUM_NOTIFY_POLICY_VERDICT = 5;
export const CILIUM_NOTIFY_TRACE_SOCK = 7;

/** Observation points of trace samples. */
export const TRACE_TO_LXC = 0;
export const TRACE_TO_PROXY = 1;
export const TRACE_TO_HOST = 2;
export const TRACE_TO_STACK = 3;
export const TRACE_TO_OVERLAY = 4;
export const TRACE_FROM_LXC = 5;
export const TRACE_FROM_PROXY = 6;
export const TRACE_FROM_HOST = 7;
export const TRACE_FROM_STACK = 8;
export const TRACE_FROM_OVERLAY = 9;
export const TRACE_FROM_NETWORK = 10;
export const TRACE_TO_NETWORK = 11;
export const TRACE_FROM_CRYPTO = 12;
export const TRACE_TO_CRYPTO = 13;
/** No observation point (trace_point argument of drop notifications and of traces that must not be sent). */
export const TRACE_POINT_UNKNOWN = -1;

/** Reasons of trace samples. */
export const TRACE_REASON_POLICY = CT_NEW;
export const TRACE_REASON_CT_ESTABLISHED = CT_ESTABLISHED;
export const TRACE_REASON_CT_REPLY = CT_REPLY;
export const TRACE_REASON_CT_RELATED = CT_RELATED;
export const TRACE_REASON_UNKNOWN = 5;
export const TRACE_REASON_SRV6_ENCAP = 6;
export const TRACE_REASON_SRV6_DECAP = 7;
export const TRACE_REASON_ENCRYPTED = 0x80;

/** Bytes captured by default (TRACE_PAYLOAD_LEN); the per-object value is `trace_payload_len`. */
export const TRACE_PAYLOAD_LEN = 128;
export const TRACE_EP_ID_UNKNOWN = 0;
export const TRACE_IFINDEX_UNKNOWN = 0;

/** Debug messages. */
export const DBG_GENERIC = 1;
export const DBG_LOCAL_DELIVERY = 2;
export const DBG_ENCAP = 3;
export const DBG_LXC_FOUND = 4;
export const DBG_POLICY_DENIED = 5;
export const DBG_CT_LOOKUP = 6;
export const DBG_CT_MATCH = 8;
export const DBG_CT_CREATED = 9;
export const DBG_ICMP6_HANDLE = 11;
export const DBG_ICMP6_NS = 13;
export const DBG_ICMP6_TIME_EXCEEDED = 14;
export const DBG_CT_VERDICT = 15;
export const DBG_DECAP = 16;
export const DBG_ERROR_RET = 18;
export const DBG_LB6_LOOKUP_BACKEND_SLOT = 24;
export const DBG_LB6_LOOKUP_BACKEND_SLOT_FAIL = 26;
export const DBG_LB6_LOOKUP_BACKEND_FAIL = 27;
export const DBG_LB6_REVERSE_NAT_LOOKUP = 28;
export const DBG_LB6_REVERSE_NAT = 29;
export const DBG_LB4_LOOKUP_BACKEND_SLOT = 32;
export const DBG_LB4_LOOKUP_BACKEND_SLOT_FAIL = 34;
export const DBG_LB4_LOOKUP_BACKEND_FAIL = 35;
export const DBG_LB4_REVERSE_NAT_LOOKUP = 36;
export const DBG_LB4_REVERSE_NAT = 37;
export const DBG_LB4_LOOPBACK_SNAT = 38;
export const DBG_LB4_LOOPBACK_SNAT_REV = 39;
export const DBG_CT_LOOKUP4_1 = 48;
export const DBG_CT_LOOKUP4_2 = 49;
export const DBG_CT_CREATED4 = 50;
export const DBG_CT_LOOKUP6_1 = 51;
export const DBG_CT_LOOKUP6_2 = 52;
export const DBG_CT_CREATED6 = 53;
export const DBG_SKIP_PROXY = 54;
export const DBG_L4_CREATE = 55;
export const DBG_IP_ID_MAP_FAILED4 = 56;
export const DBG_IP_ID_MAP_FAILED6 = 57;
export const DBG_IP_ID_MAP_SUCCEED4 = 58;
export const DBG_IP_ID_MAP_SUCCEED6 = 59;
export const DBG_INHERIT_IDENTITY = 61;
export const DBG_SK_LOOKUP4 = 62;
export const DBG_SK_LOOKUP6 = 63;
export const DBG_SK_ASSIGN = 64;
export const DBG_L7_LB = 65;
export const DBG_SKIP_POLICY = 66;
export const DBG_LB6_LOOPBACK_SNAT = 67;
export const DBG_LB6_LOOPBACK_SNAT_REV = 68;

/** Debug captures. */
export const DBG_CAPTURE_DELIVERY = 4;
export const DBG_CAPTURE_FROM_LB = 5;
export const DBG_CAPTURE_PROXY_PRE = 8;
export const DBG_CAPTURE_PROXY_POST = 9;
export const DBG_CAPTURE_SNAT_PRE = 10;
export const DBG_CAPTURE_SNAT_POST = 11;

// --- tail calls (cilium_calls) --------------------------------------------------------------------------------------
export const CILIUM_CALL_DROP_NOTIFY = 1;
export const CILIUM_CALL_ERROR_NOTIFY = 2;
export const CILIUM_CALL_HANDLE_ICMP6_NS = 4;
export const CILIUM_CALL_SEND_ICMP6_TIME_EXCEEDED = 5;
export const CILIUM_CALL_ARP = 6;
export const CILIUM_CALL_IPV4_FROM_LXC = 7;
export const CILIUM_CALL_IPV4_FROM_NETDEV = 7;
export const CILIUM_CALL_IPV4_FROM_OVERLAY = 7;
export const CILIUM_CALL_IPV4_FROM_WIREGUARD = 7;
export const CILIUM_CALL_IPV6_FROM_LXC = 10;
export const CILIUM_CALL_IPV6_FROM_NETDEV = 10;
export const CILIUM_CALL_IPV6_FROM_OVERLAY = 10;
export const CILIUM_CALL_IPV6_FROM_WIREGUARD = 10;
export const CILIUM_CALL_IPV4_TO_LXC_POLICY_ONLY = 11;
export const CILIUM_CALL_IPV4_TO_HOST_POLICY_ONLY = 11;
export const CILIUM_CALL_IPV6_TO_LXC_POLICY_ONLY = 12;
export const CILIUM_CALL_IPV6_TO_HOST_POLICY_ONLY = 12;
export const CILIUM_CALL_IPV4_TO_ENDPOINT = 13;
export const CILIUM_CALL_IPV6_TO_ENDPOINT = 14;
export const CILIUM_CALL_IPV4_NODEPORT_NAT_EGRESS = 15;
export const CILIUM_CALL_IPV6_NODEPORT_NAT_EGRESS = 16;
export const CILIUM_CALL_IPV4_NODEPORT_REVNAT = 17;
export const CILIUM_CALL_IPV6_NODEPORT_REVNAT_INGRESS = 18;
export const CILIUM_CALL_IPV6_NODEPORT_REVNAT_EGRESS = 19;
export const CILIUM_CALL_IPV4_NODEPORT_NAT_FWD = 20;
export const CILIUM_CALL_IPV4_NODEPORT_DSR = 21;
export const CILIUM_CALL_IPV6_NODEPORT_DSR = 22;
export const CILIUM_CALL_IPV4_FROM_HOST = 23;
export const CILIUM_CALL_IPV6_FROM_HOST = 24;
export const CILIUM_CALL_IPV6_NODEPORT_NAT_FWD = 25;
export const CILIUM_CALL_IPV4_FROM_LXC_CONT = 26;
export const CILIUM_CALL_IPV6_FROM_LXC_CONT = 27;
export const CILIUM_CALL_IPV4_CT_INGRESS = 28;
export const CILIUM_CALL_IPV4_CT_INGRESS_POLICY_ONLY = 29;
export const CILIUM_CALL_IPV4_CT_EGRESS = 30;
export const CILIUM_CALL_IPV6_CT_INGRESS = 31;
export const CILIUM_CALL_IPV6_CT_INGRESS_POLICY_ONLY = 32;
export const CILIUM_CALL_IPV6_CT_EGRESS = 33;
export const CILIUM_CALL_SRV6_ENCAP = 34;
export const CILIUM_CALL_SRV6_DECAP = 35;
export const CILIUM_CALL_IPV4_NODEPORT_NAT_INGRESS = 36;
export const CILIUM_CALL_IPV6_NODEPORT_NAT_INGRESS = 37;
export const CILIUM_CALL_IPV4_NODEPORT_SNAT_FWD = 38;
export const CILIUM_CALL_IPV6_NODEPORT_SNAT_FWD = 39;
export const CILIUM_CALL_IPV4_INTER_CLUSTER_REVSNAT = 40;
export const CILIUM_CALL_IPV4_CONT_FROM_HOST = 41;
export const CILIUM_CALL_IPV4_CONT_FROM_NETDEV = 42;
export const CILIUM_CALL_IPV6_CONT_FROM_HOST = 43;
export const CILIUM_CALL_IPV6_CONT_FROM_NETDEV = 44;
export const CILIUM_CALL_IPV4_NO_SERVICE = 45;
export const CILIUM_CALL_IPV6_NO_SERVICE = 46;
export const CILIUM_CALL_MULTICAST_EP_DELIVERY = 47;
export const CILIUM_CALL_IPV4_POLICY_DENIED = 48;
export const CILIUM_CALL_SIZE = 49;

/** cilium_lxc flags. */
export const ENDPOINT_F_HOST = 1;
export const ENDPOINT_F_ATHOSTNS = 2;
export const ENDPOINT_F_NO_SNAT_V4 = 4;
export const ENDPOINT_F_NO_SNAT_V6 = 8;
export const ENDPOINT_MASK_HOST_DELIVERY = ENDPOINT_F_HOST | ENDPOINT_F_ATHOSTNS;
export const ENDPOINT_MASK_SKIP_MASQ_V4 = ENDPOINT_F_HOST | ENDPOINT_F_NO_SNAT_V4;
export const ENDPOINT_MASK_SKIP_MASQ_V6 = ENDPOINT_F_HOST | ENDPOINT_F_NO_SNAT_V6;

/** Key families. */
export const ENDPOINT_KEY_IPV4 = 1;
export const ENDPOINT_KEY_IPV6 = 2;

/** Policy match types of verdict samples. */
export const POLICY_MATCH_NONE = 0;
export const POLICY_MATCH_L3_ONLY = 1;
export const POLICY_MATCH_L3_L4 = 2;
export const POLICY_MATCH_L4_ONLY = 3;
export const POLICY_MATCH_ALL = 4;
export const POLICY_MATCH_L3_PROTO = 5;
export const POLICY_MATCH_PROTO_ONLY = 6;

/** True for a drop reason or another internal error. */
export function IS_ERR(ret: number): boolean {
  return ret < 0;
}
