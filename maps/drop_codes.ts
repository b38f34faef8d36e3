// Drop codes (bpf/lib/drop_reasons.h): what a program's function returns when it gives a packet up, negative;
// positive in events and metrics. The wording that people see is the monitor's business.

export const DROP_INVALID_SMAC = -130;
export const DROP_INVALID_DMAC = -131;
/** Source address is not the endpoint's own. */
export const DROP_INVALID_SIP = -132;
/** No entry allows it. */
export const DROP_POLICY = -133;
/** Too short or malformed. */
export const DROP_INVALID = -134;
export const DROP_CT_INVALID_HDR = -135;
export const DROP_FRAG_NEEDED = -136;
/** Conntrack does not track this protocol. */
export const DROP_CT_UNKNOWN_PROTO = -137;
export const DROP_CT_CANT_CREATE = -138;
export const DROP_UNKNOWN_L3 = -139;
/** Extended error: index of the tail call. */
export const DROP_MISSED_TAIL_CALL = -140;
export const DROP_WRITE_ERROR = -141;
export const DROP_UNKNOWN_L4 = -142;
export const DROP_UNKNOWN_ICMP4_CODE = -143;
export const DROP_UNKNOWN_ICMP4_TYPE = -144;
export const DROP_UNKNOWN_ICMP6_CODE = -145;
export const DROP_UNKNOWN_ICMP6_TYPE = -146;
export const DROP_NO_TUNNEL_KEY = -147;
export const DROP_NO_TUNNEL_OPT = -148;
export const DROP_INVALID_GENEVE = -149;
export const DROP_UNKNOWN_TARGET = -150;
export const DROP_UNROUTABLE = -151;
export const DROP_NO_LXC = -152;
export const DROP_CSUM_L3 = -153;
export const DROP_CSUM_L4 = -154;
/** Extended error: errno of the map update. */
export const DROP_CT_CREATE_FAILED = -155;
export const DROP_INVALID_EXTHDR = -156;
/** Fragment, and fragment tracking is off. */
export const DROP_FRAG_NOSUPPORT = -157;
/** Service without backend, or a wrong port of a service address. */
export const DROP_NO_SERVICE = -158;
/** Internal: not a service protocol. */
export const DROP_UNSUPP_SERVICE_PROTO = -159;
export const DROP_NO_TUNNEL_ENDPOINT = -160;
export const DROP_NAT_46X64_DISABLED = -161;
/** Bandwidth manager: would leave too far in the future. */
export const DROP_EDT_HORIZON = -162;
export const DROP_UNKNOWN_CT = -163;
export const DROP_HOST_UNREACHABLE = -164;
export const DROP_NO_CONFIG = -165;
export const DROP_UNSUPPORTED_L2 = -166;
/** No free port, or no mapping to reverse. */
export const DROP_NAT_NO_MAPPING = -167;
export const DROP_NAT_UNSUPP_PROTO = -168;
/** Extended error: result of the look-up; 100 = no learned neighbour. */
export const DROP_NO_FIB = -169;
/** A pod sends tunnel packets itself. */
export const DROP_ENCAP_PROHIBITED = -170;
export const DROP_INVALID_IDENTITY = -171;
export const DROP_UNKNOWN_SENDER = -172;
/** No drop: the packet needs no translation. */
export const NAT_NOT_NEEDED = -173;
export const DROP_IS_CLUSTER_IP = -174;
/** Later fragment before the first one. */
export const DROP_FRAG_NOT_FOUND = -175;
export const DROP_FORBIDDEN_ICMP6 = -176;
/** Client outside a service's source ranges. */
export const DROP_NOT_IN_SRC_RANGE = -177;
export const DROP_PROXY_LOOKUP_FAILED = -178;
export const DROP_PROXY_SET_FAILED = -179;
export const DROP_PROXY_UNKNOWN_PROTO = -180;
/** A deny entry matched. */
export const DROP_POLICY_DENY = -181;
export const DROP_VLAN_FILTERED = -182;
export const DROP_INVALID_VNI = -183;
export const DROP_INVALID_TC_BUFFER = -184;
export const DROP_NO_SID = -185;
export const DROP_MISSING_SRV6_STATE = -186;
export const DROP_NAT46 = -187;
export const DROP_NAT64 = -188;
/** Extended error: type of authentication. */
export const DROP_POLICY_AUTH_REQUIRED = -189;
export const DROP_CT_NO_MAP_FOUND = -190;
export const DROP_SNAT_NO_MAP_FOUND = -191;
export const DROP_INVALID_CLUSTER_ID = -192;
export const DROP_DSR_ENCAP_UNSUPP_PROTO = -193;
export const DROP_NO_EGRESS_GATEWAY = -194;
export const DROP_UNENCRYPTED_TRAFFIC = -195;
/** Silent for IPv4, answered for IPv6. */
export const DROP_TTL_EXCEEDED = -196;
export const DROP_NO_NODE_ID = -197;
export const DROP_RATE_LIMITED = -198;
export const DROP_IGMP_HANDLED = -199;
export const DROP_IGMP_SUBSCRIBED = -200;
export const DROP_MULTICAST_HANDLED = -201;
export const DROP_HOST_NOT_READY = -202;
/** cilium_call_policy has no program for the endpoint. */
export const DROP_EP_NOT_READY = -203;
export const DROP_NO_EGRESS_IP = -204;
/** Internal: the proxy takes over. */
export const DROP_PUNT_PROXY = -205;

/** Returned where a packet goes to the proxy instead; never reaches the kernel. */
export const POLICY_ACT_PROXY_REDIRECT = 1 << 16;

/** True for a return value that is a drop. */
export function IS_ERR(ret: number): boolean {
  return ret < 0 || ret === 2;
}
