// Why the kernel dropped a packet: enum skb_drop_reason (include/net/dropreason-core.h), the part that the model
// uses. The numbers are ours (the kernel's change with every release); the names are the kernel's.

export const NOT_SPECIFIED = 0;
export const NO_SOCKET = 1;
export const PKT_TOO_SMALL = 2;
export const TCP_CSUM = 3;
export const UDP_CSUM = 4;
export const NETFILTER_DROP = 5;
export const OTHERHOST = 6;
export const IP_CSUM = 7;
export const IP_INHDR = 8;
export const IP_RPFILTER = 9;
export const UNICAST_IN_L2_MULTICAST = 10;
export const IP_NOPROTO = 11;
export const SOCKET_RCVBUFF = 12;
export const IP_OUTNOROUTES = 13;
export const NEIGH_CREATEFAIL = 14;
export const NEIGH_FAILED = 15;
export const NEIGH_QUEUEFULL = 16;
export const NEIGH_DEAD = 17;
export const TC_EGRESS = 18;
export const TC_INGRESS = 19;
export const XDP = 20;
export const CPU_BACKLOG = 21;
export const UNHANDLED_PROTO = 22;
export const SKB_CSUM = 23;
export const HDR_TRUNC = 24;
export const FULL_RING = 25;
export const NOMEM = 26;
export const ICMP_CSUM = 27;
export const INVALID_PROTO = 28;
export const IP_INADDRERRORS = 29;
export const IP_INNOROUTES = 30;
export const IP_LOCAL_SOURCE = 31;
export const IP_INVALID_SOURCE = 32;
export const IP_LOCALNET = 33;
export const IP_INVALID_DEST = 34;
export const PKT_TOO_BIG = 35;
export const DUP_FRAG = 36;
export const FRAG_REASM_TIMEOUT = 37;
export const FRAG_TOO_FAR = 38;
export const DEV_READY = 39;
export const DEV_HDR = 40;
export const VXLAN_INVALID_HDR = 41;
export const VXLAN_VNI_NOT_FOUND = 42;
export const VXLAN_INVALID_SMAC = 43;
export const VXLAN_ENTRY_EXISTS = 44;
export const MAC_INVALID_SOURCE = 45;
export const TUNNEL_TXINFO = 46;
export const RECURSION_LIMIT = 47;
export const LOCAL_MAC = 48;
export const TCP_RESET = 49;
export const TCP_OLD_DATA = 50;
export const TCP_CLOSE = 51;
export const TCP_FLAGS = 52;
export const TCP_INVALID_SEQUENCE = 53;
export const IPV6DISABLED = 54;
export const IPV6_NDISC_BAD_OPTIONS = 55;
export const BPF_REDIRECT = 56;
export const QUEUE_PURGE = 57;
export const BRIDGE_INGRESS_STP_STATE = 58;
export const NO_TX_TARGET = 59;
export const ARP_PVLAN_DISABLE = 60;

/** Names as the tracepoint prints them, by number. */
export const DROP_REASON_NAMES: readonly string[] = [
  "NOT_SPECIFIED",
  "NO_SOCKET",
  "PKT_TOO_SMALL",
  "TCP_CSUM",
  "UDP_CSUM",
  "NETFILTER_DROP",
  "OTHERHOST",
  "IP_CSUM",
  "IP_INHDR",
  "IP_RPFILTER",
  "UNICAST_IN_L2_MULTICAST",
  "IP_NOPROTO",
  "SOCKET_RCVBUFF",
  "IP_OUTNOROUTES",
  "NEIGH_CREATEFAIL",
  "NEIGH_FAILED",
  "NEIGH_QUEUEFULL",
  "NEIGH_DEAD",
  "TC_EGRESS",
  "TC_INGRESS",
  "XDP",
  "CPU_BACKLOG",
  "UNHANDLED_PROTO",
  "SKB_CSUM",
  "HDR_TRUNC",
  "FULL_RING",
  "NOMEM",
  "ICMP_CSUM",
  "INVALID_PROTO",
  "IP_INADDRERRORS",
  "IP_INNOROUTES",
  "IP_LOCAL_SOURCE",
  "IP_INVALID_SOURCE",
  "IP_LOCALNET",
  "IP_INVALID_DEST",
  "PKT_TOO_BIG",
  "DUP_FRAG",
  "FRAG_REASM_TIMEOUT",
  "FRAG_TOO_FAR",
  "DEV_READY",
  "DEV_HDR",
  "VXLAN_INVALID_HDR",
  "VXLAN_VNI_NOT_FOUND",
  "VXLAN_INVALID_SMAC",
  "VXLAN_ENTRY_EXISTS",
  "MAC_INVALID_SOURCE",
  "TUNNEL_TXINFO",
  "RECURSION_LIMIT",
  "LOCAL_MAC",
  "TCP_RESET",
  "TCP_OLD_DATA",
  "TCP_CLOSE",
  "TCP_FLAGS",
  "TCP_INVALID_SEQUENCE",
  "IPV6DISABLED",
  "IPV6_NDISC_BAD_OPTIONS",
  "BPF_REDIRECT",
  "QUEUE_PURGE",
  "BRIDGE_INGRESS_STP_STATE",
  "NO_TX_TARGET",
  "ARP_PVLAN_DISABLE",
];
