// cilium_events: the samples that programs write, as they lie in the ring (bpf/lib/dbg.h, drop.h, trace.h,
// policy_log.h, trace_sock.h). Little-endian, packed.
//
//   common header   0 1 type   1 1 subtype   2 2 source (endpoint id)   4 4 hash
//   capture header  common, then  8 4 len_orig   12 2 len_cap   14 1 version   15 1 ext_version
//   drop            capture (subtype = reason), 16 4 src_label  20 4 dst_label  24 4 dst_id  28 2 line  30 1 file
//                   31 1 ext_error  32 4 ifindex  36 1 flags  37 3 -  40 8 ip_trace_id               48 bytes
//   debug           common (subtype = code), 8 4 arg1  12 4 arg2  16 4 arg3                          20 bytes
//   debug capture   capture (subtype = code), 16 4 arg1  20 4 arg2                                   24 bytes
//   trace           capture (subtype = observation point), 16 4 src_label  20 4 dst_label  24 2 dst_id
//                   26 1 reason  27 1 flags  28 4 ifindex  32 16 orig_ip  48 8 ip_trace_id           56 bytes
//   policy verdict  capture, 16 4 remote_label  20 4 verdict  24 2 dst_port  26 1 proto  27 1 flags
//                   28 1 auth_type  29 3 -  32 4 cookie  36 4 -                                      40 bytes
//   socket trace    0 1 type  1 1 xlate_point  2 1 l4_proto  3 1 flags  4 2 dst_port  6 2 -
//                   8 8 sock_cookie  16 8 cgroup_id  24 16 dst_ip                                    40 bytes
//
// Release 1.11 wrote shorter ones: capture header with a u16 version at 14, drop and verdict 32 bytes, trace 48.
// Captured packet bytes follow the header.

import type { MapSpec } from "./spec.js";

export const EVENTS_SPEC: MapSpec = {
  name: "cilium_events",
  type: "perf_event_array",
  keySize: 4,
  valueSize: 4,
  maxEntries: 1,
};
export const SIGNALS_SPEC: MapSpec = { ...EVENTS_SPEC, name: "cilium_signals" };

// Types.
export const CILIUM_NOTIFY_UNSPEC = 0;
export const CILIUM_NOTIFY_DROP = 1;
export const CILIUM_NOTIFY_DBG_MSG = 2;
export const CILIUM_NOTIFY_DBG_CAPTURE = 3;
export const CILIUM_NOTIFY_TRACE = 4;
export const CILIUM_NOTIFY_POLICY_VERDICT = 5;
/** 1.11 only. */
export const CILIUM_NOTIFY_CAPTURE = 6;
export const CILIUM_NOTIFY_TRACE_SOCK = 7;
/** From the agent, not from the ring. */
export const CILIUM_NOTIFY_ACCESS_LOG = 129;
export const CILIUM_NOTIFY_AGENT = 130;

// Header lengths and versions.
export const DROP_NOTIFY_LEN = 48;
export const DROP_NOTIFY_LEN_V0 = 36;
export const DROP_NOTIFY_LEN_V2 = 40;
export const DBG_MSG_LEN = 20;
export const DBG_CAPTURE_LEN = 24;
export const TRACE_NOTIFY_LEN = 56;
export const TRACE_NOTIFY_LEN_V0 = 32;
export const TRACE_NOTIFY_LEN_V1 = 48;
export const POLICY_VERDICT_LEN = 40;
export const TRACE_SOCK_LEN = 40;
export const DROP_NOTIFY_VERSION = 3;
export const TRACE_NOTIFY_VERSION = 2;
export const DBG_CAPTURE_VERSION = 1;
export const POLICY_VERDICT_VERSION = 1;
export const DROP_NOTIFY_LEN_1_11 = 32;
export const TRACE_NOTIFY_LEN_1_11 = 48;
export const POLICY_VERDICT_LEN_1_11 = 32;
/** Version of all capture headers of 1.11. */
export const NOTIFY_VERSION_1_11 = 1;

/** Packet bytes captured by default, and of recognised overlay packets. */
export const TRACE_PAYLOAD_LEN = 128;
export const TRACE_PAYLOAD_LEN_OVERLAY = 192;

// Field offsets.
export const NOTIFY_TYPE = 0;
/** Drop reason, debug code or observation point. */
export const NOTIFY_SUBTYPE = 1;
/** Endpoint id compiled into the program. */
export const NOTIFY_SOURCE = 2;
/** skb->hash; what a monitor prints as MARK. */
export const NOTIFY_HASH = 4;
/** Length of the packet. */
export const CAPTURE_LEN_ORIG = 8;
/** Bytes of it that follow the header. */
export const CAPTURE_LEN_CAP = 12;
export const CAPTURE_VERSION = 14;
export const CAPTURE_EXT_VERSION = 15;
export const DROP_SRC_LABEL = 16;
export const DROP_DST_LABEL = 20;
/** 0 on egress. */
export const DROP_DST_ID = 24;
export const DROP_LINE = 28;
export const DROP_FILE = 30;
/** Signed: a negative errno, or a result of a FIB look-up. */
export const DROP_EXT_ERROR = 31;
export const DROP_IFINDEX = 32;
export const DROP_FLAGS = 36;
export const DROP_IP_TRACE_ID = 40;
export const DBG_ARG1 = 8;
export const DBG_ARG2 = 12;
export const DBG_ARG3 = 16;
export const DBG_CAPTURE_ARG1 = 16;
export const DBG_CAPTURE_ARG2 = 20;
export const TRACE_SRC_LABEL = 16;
export const TRACE_DST_LABEL = 20;
/** Endpoint id, or a proxy port in host order. */
export const TRACE_DST_ID = 24;
/** TRACE_REASON_*, with TRACE_REASON_ENCRYPTED as a bit. */
export const TRACE_REASON = 26;
export const TRACE_FLAGS = 27;
export const TRACE_IFINDEX = 28;
/** Source before translation; IPv4 in the first 4 bytes. */
export const TRACE_ORIG_IP = 32;
export const TRACE_IP_TRACE_ID = 48;
export const VERDICT_REMOTE_LABEL = 16;
/** 0 allow, > 0 proxy port as stored, < 0 drop code. */
export const VERDICT_VERDICT = 20;
/** Host order; 0 for ICMP. */
export const VERDICT_DST_PORT = 24;
export const VERDICT_PROTO = 26;
export const VERDICT_FLAGS = 27;
export const VERDICT_AUTH_TYPE = 28;
export const VERDICT_COOKIE = 32;
/** XLATE_*. */
export const SOCK_XLATE_POINT = 1;
export const SOCK_L4_PROTO = 2;
export const SOCK_FLAGS = 3;
export const SOCK_DST_PORT = 4;
export const SOCK_COOKIE = 8;
export const SOCK_CGROUP_ID = 16;
export const SOCK_DST_IP = 24;

// Classifier flags of trace and drop.
export const CLS_FLAG_IPV6 = 1;
/** No Ethernet header in front. */
export const CLS_FLAG_L3_DEV = 2;
export const CLS_FLAG_VXLAN = 4;
export const CLS_FLAG_GENEVE = 8;

// Flags byte of a policy verdict: direction in bits 0 and 1, match type in bits 3 to 5.
export const POLICY_INGRESS = 1;
export const POLICY_EGRESS = 2;
export const POLICY_VERDICT_F_IPV6 = 0x04;
export const POLICY_VERDICT_MATCH_SHIFT = 3;
export const POLICY_VERDICT_F_AUDITED = 0x40;
export const POLICY_VERDICT_F_L3 = 0x80;
export const POLICY_MATCH_NONE = 0;
export const POLICY_MATCH_L3_ONLY = 1;
export const POLICY_MATCH_L3_L4 = 2;
export const POLICY_MATCH_L4_ONLY = 3;
export const POLICY_MATCH_ALL = 4;
export const POLICY_MATCH_L3_PROTO = 5;
export const POLICY_MATCH_PROTO_ONLY = 6;

// Observation points of traces.
export const TRACE_TO_LXC = 0;
/** Handed to the L7 proxy. */
export const TRACE_TO_PROXY = 1;
/** Passed to cilium_host or the node itself. */
export const TRACE_TO_HOST = 2;
/** Passed to the kernel for routing. */
export const TRACE_TO_STACK = 3;
/** About to be encapsulated. */
export const TRACE_TO_OVERLAY = 4;
/** Sent by an endpoint. */
export const TRACE_FROM_LXC = 5;
export const TRACE_FROM_PROXY = 6;
export const TRACE_FROM_HOST = 7;
export const TRACE_FROM_STACK = 8;
export const TRACE_FROM_OVERLAY = 9;
/** Came in on a native device. */
export const TRACE_FROM_NETWORK = 10;
/** Leaves by a native device. */
export const TRACE_TO_NETWORK = 11;
export const TRACE_FROM_CRYPTO = 12;
export const TRACE_TO_CRYPTO = 13;

// Conntrack results, also the reasons of traces.
export const CT_NEW = 0;
export const CT_ESTABLISHED = 1;
export const CT_REPLY = 2;
export const CT_RELATED = 3;
/** Not since 1.16. */
export const CT_REOPENED = 4;
export const TRACE_REASON_POLICY = CT_NEW;
export const TRACE_REASON_CT_ESTABLISHED = CT_ESTABLISHED;
export const TRACE_REASON_CT_REPLY = CT_REPLY;
export const TRACE_REASON_CT_RELATED = CT_RELATED;
export const TRACE_REASON_UNKNOWN = 5;
export const TRACE_REASON_SRV6_ENCAP = 6;
export const TRACE_REASON_SRV6_DECAP = 7;
export const TRACE_REASON_ENCRYPTED = 0x80;

// Directions and scopes of conntrack.
export const CT_EGRESS = 0;
export const CT_INGRESS = 1;
export const CT_SERVICE = 2;
/** Look only for the original direction. */
export const SCOPE_FORWARD = 0;
/** Look only for the reply direction. */
export const SCOPE_REVERSE = 1;
/** Reply direction first, then the original one. */
export const SCOPE_BIDIR = 2;

// Monitor aggregation.
export const MONITOR_AGGREGATION_NONE = 0;
export const MONITOR_AGGREGATION_LOWEST = 1;
export const MONITOR_AGGREGATION_LOW = 2;
export const MONITOR_AGGREGATION_MEDIUM = 3;
export const MONITOR_AGGREGATION_MAX = 4;
/** FROM_* points are silent from here on. */
export const TRACE_AGGREGATE_RX = 1;
/** Events with monitor 0 are silent from here on. */
export const TRACE_AGGREGATE_ACTIVE_CT = 3;

// Debug captures.
export const DBG_CAPTURE_DELIVERY = 4;
export const DBG_CAPTURE_FROM_LB = 5;
export const DBG_CAPTURE_AFTER_V46 = 6;
export const DBG_CAPTURE_AFTER_V64 = 7;
export const DBG_CAPTURE_PROXY_PRE = 8;
export const DBG_CAPTURE_PROXY_POST = 9;
export const DBG_CAPTURE_SNAT_PRE = 10;
export const DBG_CAPTURE_SNAT_POST = 11;

// Socket traces.
export const XLATE_PRE_DIRECTION_FWD = 1;
export const XLATE_POST_DIRECTION_FWD = 2;
export const XLATE_PRE_DIRECTION_REV = 3;
export const XLATE_POST_DIRECTION_REV = 4;

// Debug messages: the datapath's numbers. The decoder's table lacks SKIP_POLICY, so that a real monitor prints 67 as
// the reverse translation and does not know 68.
export const DBG_GENERIC = 1;
export const DBG_LOCAL_DELIVERY = 2;
export const DBG_ENCAP = 3;
export const DBG_LXC_FOUND = 4;
export const DBG_POLICY_DENIED = 5;
export const DBG_CT_LOOKUP = 6;
export const DBG_CT_LOOKUP_REV = 7;
export const DBG_CT_MATCH = 8;
export const DBG_CT_CREATED = 9;
export const DBG_CT_CREATED2 = 10;
export const DBG_ICMP6_HANDLE = 11;
export const DBG_ICMP6_REQUEST = 12;
export const DBG_ICMP6_NS = 13;
export const DBG_ICMP6_TIME_EXCEEDED = 14;
export const DBG_CT_VERDICT = 15;
export const DBG_DECAP = 16;
export const DBG_PORT_MAP = 17;
export const DBG_ERROR_RET = 18;
export const DBG_TO_HOST = 19;
export const DBG_TO_STACK = 20;
export const DBG_PKT_HASH = 21;
export const DBG_LB6_LOOKUP_FRONTEND = 22;
export const DBG_LB6_LOOKUP_FRONTEND_FAIL = 23;
export const DBG_LB6_LOOKUP_BACKEND_SLOT = 24;
export const DBG_LB6_LOOKUP_BACKEND_SLOT_SUCCESS = 25;
export const DBG_LB6_LOOKUP_BACKEND_SLOT_V2_FAIL = 26;
export const DBG_LB6_LOOKUP_BACKEND_FAIL = 27;
export const DBG_LB6_REVERSE_NAT_LOOKUP = 28;
export const DBG_LB6_REVERSE_NAT = 29;
export const DBG_LB4_LOOKUP_FRONTEND = 30;
export const DBG_LB4_LOOKUP_FRONTEND_FAIL = 31;
export const DBG_LB4_LOOKUP_BACKEND_SLOT = 32;
export const DBG_LB4_LOOKUP_BACKEND_SLOT_SUCCESS = 33;
export const DBG_LB4_LOOKUP_BACKEND_SLOT_V2_FAIL = 34;
export const DBG_LB4_LOOKUP_BACKEND_FAIL = 35;
export const DBG_LB4_REVERSE_NAT_LOOKUP = 36;
export const DBG_LB4_REVERSE_NAT = 37;
export const DBG_LB4_LOOPBACK_SNAT = 38;
export const DBG_LB4_LOOPBACK_SNAT_REV = 39;
export const DBG_CT_LOOKUP4 = 40;
export const DBG_RR_BACKEND_SLOT_SEL = 41;
export const DBG_REV_PROXY_LOOKUP = 42;
export const DBG_REV_PROXY_FOUND = 43;
export const DBG_REV_PROXY_UPDATE = 44;
export const DBG_L4_POLICY = 45;
export const DBG_NETDEV_IN_CLUSTER = 46;
export const DBG_NETDEV_ENCAP4 = 47;
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
export const DBG_LB_STALE_CT = 60;
export const DBG_INHERIT_IDENTITY = 61;
export const DBG_SK_LOOKUP4 = 62;
export const DBG_SK_LOOKUP6 = 63;
export const DBG_SK_ASSIGN = 64;
export const DBG_L7_LB = 65;
export const DBG_SKIP_POLICY = 66;
export const DBG_LB6_LOOPBACK_SNAT = 67;
export const DBG_LB6_LOOPBACK_SNAT_REV = 68;

// Source files, as events and metrics name them.
export const FILE_BPF_HOST = 1;
export const FILE_BPF_LXC = 2;
export const FILE_BPF_OVERLAY = 3;
export const FILE_BPF_XDP = 4;
export const FILE_BPF_SOCK = 5;
export const FILE_BPF_NETWORK = 6;
export const FILE_BPF_WIREGUARD = 7;
export const FILE_DROP = 101;
export const FILE_SRV6 = 102;
export const FILE_ICMP6 = 103;
export const FILE_NODEPORT = 104;
export const FILE_LB = 105;
export const FILE_MCAST = 106;
export const FILE_IPV4 = 107;
export const FILE_CONNTRACK = 108;
export const FILE_LOCAL_DELIVERY = 109;
export const FILE_TRACE = 110;
export const FILE_ENCAP = 111;
export const FILE_HOST_FIREWALL = 112;
export const FILE_NODEPORT_EGRESS = 113;
export const FILE_IPV6 = 114;
export const FILE_CLASSIFIERS = 115;
