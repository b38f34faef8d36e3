// Places in the sources of Cilium 1.19.4 that metrics keys and drop samples name (__MAGIC_LINE__, __MAGIC_FILE__).
// A site is one number: line << 8 | file, so that the packet path passes a small integer and the two parts are
// taken out only where they are written. Names say what is counted there, after the function that does it.
// Line 0 = the line is not known; such a site still carries its file.

export const FILE_HOST = 1;
export const FILE_LXC = 2;
export const FILE_OVERLAY = 3;
export const FILE_XDP = 4;
export const FILE_SOCK = 5;
export const FILE_NETWORK = 6;
export const FILE_WIREGUARD = 7;
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

/** A call site: line and file in one integer. */
export function site(file: number, line: number): number {
  return (line << 8) | file;
}

/** Line of a site. */
export function siteLine(s: number): number {
  return s >>> 8;
}

/** File number of a site. */
export function siteFile(s: number): number {
  return s & 0xff;
}

// --- bpf_lxc.c ----------------------------------------------------------------------------------------------------
/** lxc_redirect_to_host: to-host trace. */
export const LXC_REDIRECT_TO_HOST = site(FILE_LXC, 88);
/** drop_for_direction. */
export const LXC_DROP_FOR_DIRECTION = site(FILE_LXC, 521);
/** ipv6_forward_to_destination: to-proxy, to-network, to-stack traces. */
export const LXC_V6_TO_PROXY = site(FILE_LXC, 0);
export const LXC_V6_TO_NETWORK = site(FILE_LXC, 806);
export const LXC_V6_TO_STACK = site(FILE_LXC, 819);
/** tail_handle_ipv6_cont: drop. */
export const LXC_V6_CONT_DROP = site(FILE_LXC, 1063);
/** tail_handle_ipv6: drop. */
export const LXC_V6_DROP = site(FILE_LXC, 1120);
/** ipv4_forward_to_destination: to-network, to-stack traces. */
export const LXC_V4_TO_PROXY = site(FILE_LXC, 0);
export const LXC_V4_TO_NETWORK = site(FILE_LXC, 1356);
export const LXC_V4_TO_STACK = site(FILE_LXC, 1377);
/** handle_ipv4_from_lxc, handle_ipv6_from_lxc: to-network trace before reverse translation. */
export const LXC_V4_REVNAT = site(FILE_LXC, 0);
export const LXC_V6_REVNAT = site(FILE_LXC, 0);
/** tail_handle_ipv4_cont: drop. */
export const LXC_V4_CONT_DROP = site(FILE_LXC, 1651);
/** tail_handle_ipv4: drop. */
export const LXC_V4_DROP = site(FILE_LXC, 1721);
/** tail_handle_arp: drop. */
export const LXC_ARP_DROP = site(FILE_LXC, 0);
/** cil_from_container: from-endpoint trace (not counted) and drop. */
export const LXC_FROM_CONTAINER = site(FILE_LXC, 0);
export const LXC_FROM_CONTAINER_DROP = site(FILE_LXC, 1831);
/** ipv6_policy: to-endpoint trace. */
export const LXC_V6_TO_LXC = site(FILE_LXC, 1984);
/** tail_ipv6_policy: drop. */
export const LXC_V6_POLICY_DROP = site(FILE_LXC, 2057);
/** tail_ipv6_to_endpoint: delivery metric and drop. */
export const LXC_V6_TO_ENDPOINT = site(FILE_LXC, 0);
export const LXC_V6_TO_ENDPOINT_DROP = site(FILE_LXC, 0);
/** ipv4_policy: to-endpoint trace. */
export const LXC_V4_TO_LXC = site(FILE_LXC, 2299);
/** tail_ipv4_policy: drop. */
export const LXC_V4_POLICY_DROP = site(FILE_LXC, 2381);
/** tail_ipv4_to_endpoint: delivery metric and drop. */
export const LXC_V4_TO_ENDPOINT = site(FILE_LXC, 2425);
export const LXC_V4_TO_ENDPOINT_DROP = site(FILE_LXC, 2448);
/** cil_lxc_policy and cil_lxc_policy_egress: drops. */
export const LXC_POLICY_DROP = site(FILE_LXC, 0);
export const LXC_POLICY_EGRESS_DROP = site(FILE_LXC, 0);
/** cil_to_container: from-stack trace and drops. */
export const LXC_TO_CONTAINER = site(FILE_LXC, 2617);
export const LXC_TO_CONTAINER_EGRESS_POLICY_DROP = site(FILE_LXC, 0);
export const LXC_TO_CONTAINER_HOST_DROP = site(FILE_LXC, 0);
export const LXC_TO_CONTAINER_DROP = site(FILE_LXC, 0);
/** tail_policy_denied_ipv4: metric and drop. */
export const LXC_POLICY_DENIED = site(FILE_LXC, 0);
export const LXC_POLICY_DENIED_DROP = site(FILE_LXC, 0);

// --- bpf_host.c ---------------------------------------------------------------------------------------------------
export const HOST_V6_CONT_DROP = site(FILE_HOST, 0);
/** tail_handle_ipv6: drop. */
export const HOST_V6_DROP = site(FILE_HOST, 496);
/** tail_handle_ipv4_cont_from_host, _from_netdev: drops. */
export const HOST_V4_CONT_FROM_HOST_DROP = site(FILE_HOST, 906);
export const HOST_V4_CONT_FROM_NETDEV_DROP = site(FILE_HOST, 923);
/** tail_handle_ipv4: drop. */
export const HOST_V4_DROP = site(FILE_HOST, 962);
/** do_netdev: traces by protocol, drops. */
export const HOST_NETDEV_V6 = site(FILE_HOST, 1083);
export const HOST_NETDEV_V6_DROP = site(FILE_HOST, 0);
export const HOST_NETDEV_V4 = site(FILE_HOST, 1123);
export const HOST_NETDEV_V4_DROP = site(FILE_HOST, 0);
export const HOST_NETDEV_ARP = site(FILE_HOST, 1147);
export const HOST_NETDEV_OTHER = site(FILE_HOST, 1163);
export const HOST_NETDEV_DROP = site(FILE_HOST, 1178);
/** cil_from_netdev: to-stack trace of unsupported frames, drop. */
export const HOST_FROM_NETDEV_TO_STACK = site(FILE_HOST, 0);
export const HOST_FROM_NETDEV_DROP = site(FILE_HOST, 0);
/** cil_from_host: to-stack trace of unsupported frames, drop, drop of a missing egress policy program. */
export const HOST_FROM_HOST_TO_STACK = site(FILE_HOST, 0);
export const HOST_FROM_HOST_L2_DROP = site(FILE_HOST, 0);
export const HOST_FROM_HOST_EGRESS_POLICY_DROP = site(FILE_HOST, 1312);
/** cil_to_netdev: bandwidth manager's metric, to-network trace, drop. */
export const HOST_TO_NETDEV_FROM_STACK = site(FILE_HOST, 0);
export const HOST_TO_NETDEV_EDT = site(FILE_HOST, 0);
export const HOST_TO_NETDEV = site(FILE_HOST, 1543);
export const HOST_TO_NETDEV_DROP = site(FILE_HOST, 1549);
/** tail_ipv4_host_policy_ingress: drop and to-stack trace. */
export const HOST_V4_POLICY_INGRESS_DROP = site(FILE_HOST, 1598);
export const HOST_V4_POLICY_INGRESS = site(FILE_HOST, 1603);
/** tail_ipv6_host_policy_ingress. */
export const HOST_V6_POLICY_INGRESS_DROP = site(FILE_HOST, 0);
export const HOST_V6_POLICY_INGRESS = site(FILE_HOST, 0);
/** to_host_from_lxc and cil_host_policy: drops. */
export const HOST_TO_HOST_FROM_LXC_DROP = site(FILE_HOST, 0);
export const HOST_POLICY_DROP = site(FILE_HOST, 0);
/** cil_to_host: drop and to-stack trace. */
export const HOST_TO_HOST_DROP = site(FILE_HOST, 0);
export const HOST_TO_HOST = site(FILE_HOST, 1801);

// --- bpf_overlay.c ------------------------------------------------------------------------------------------------
export const OVERLAY_V6_DROP = site(FILE_OVERLAY, 0);
/** tail_handle_ipv4: drop. */
export const OVERLAY_V4_DROP = site(FILE_OVERLAY, 445);
export const OVERLAY_ARP_DROP = site(FILE_OVERLAY, 0);
/** cil_from_overlay: trace and drop. */
export const OVERLAY_FROM_OVERLAY = site(FILE_OVERLAY, 587);
export const OVERLAY_FROM_OVERLAY_DROP = site(FILE_OVERLAY, 619);
/** cil_to_overlay: drop and bandwidth manager's metric. */
export const OVERLAY_TO_OVERLAY_DROP = site(FILE_OVERLAY, 0);
export const OVERLAY_TO_OVERLAY_EDT = site(FILE_OVERLAY, 0);

// --- bpf_xdp.c ----------------------------------------------------------------------------------------------------
/** tail_lb_ipv4, tail_lb_ipv6: drops. */
export const XDP_LB4_DROP = site(FILE_XDP, 194);
export const XDP_LB6_DROP = site(FILE_XDP, 0);
/** cil_xdp_entry: the tail call is missing. */
export const XDP_ENTRY_DROP = site(FILE_XDP, 0);

// --- bpf_sock.c ---------------------------------------------------------------------------------------------------
/** Metrics of the socket programs. */
export const SOCK_METRIC = site(FILE_SOCK, 0);

// --- bpf_wireguard.c ------------------------------------------------------------------------------------------------
export const WIREGUARD_DROP = site(FILE_WIREGUARD, 0);
export const WIREGUARD_FROM = site(FILE_WIREGUARD, 0);
export const WIREGUARD_TO = site(FILE_WIREGUARD, 0);

// --- lib/ -----------------------------------------------------------------------------------------------------------
/** tail_icmp6_handle_ns and tail_icmp6_send_time_exceeded: drops. */
export const ICMP6_NS_DROP = site(FILE_ICMP6, 407);
export const ICMP6_TIME_EXCEEDED_DROP = site(FILE_ICMP6, 0);
/** ct_extract_ports6, ct_lookup_fill_state of IPv6: MTU message, fragment. */
export const CONNTRACK_V6_MTU = site(FILE_CONNTRACK, 620);
export const CONNTRACK_V6_FRAG = site(FILE_CONNTRACK, 679);
export const CONNTRACK_V4_MTU = site(FILE_CONNTRACK, 884);
export const CONNTRACK_V4_FRAG = site(FILE_CONNTRACK, 939);
/** ipv4_handle_fragmentation, ipv6_handle_fragmentation: the fragment map could not be written. */
export const IPV4_FRAG_UPDATE = site(FILE_IPV4, 0);
export const IPV6_FRAG_UPDATE = site(FILE_IPV6, 0);
/** local_delivery. */
export const LOCAL_DELIVERY_FORWARDED = site(FILE_LOCAL_DELIVERY, 130);
/** encap: to-overlay traces of a delivery and of DSR with Geneve. */
export const ENCAP_TO_OVERLAY = site(FILE_ENCAP, 36);
export const ENCAP_TO_OVERLAY_DSR = site(FILE_ENCAP, 165);
/** nodeport.h: DSR packets that are too big, answered with an ICMP error; reverse SNAT of IPv6. */
export const NODEPORT_V6_DSR_FRAG_NEEDED = site(FILE_NODEPORT, 663);
export const NODEPORT_V6_NAT_INGRESS_DROP = site(FILE_NODEPORT, 1225);
export const NODEPORT_V4_DSR_FRAG_NEEDED = site(FILE_NODEPORT, 2089);
/** nodeport_egress.h: traces and drops of the NAT of forwarded packets. */
export const NODEPORT_EGRESS_V6_SNAT_FWD = site(FILE_NODEPORT_EGRESS, 162);
export const NODEPORT_EGRESS_V6_NAT_FWD = site(FILE_NODEPORT_EGRESS, 294);
export const NODEPORT_EGRESS_V4_SNAT_FWD_DROP = site(FILE_NODEPORT_EGRESS, 445);
export const NODEPORT_EGRESS_V4_SNAT_FWD = site(FILE_NODEPORT_EGRESS, 455);
export const NODEPORT_EGRESS_V4_NAT_FWD = site(FILE_NODEPORT_EGRESS, 595);
export const NODEPORT_EGRESS_V6_SNAT_FWD_DROP = site(FILE_NODEPORT_EGRESS, 152);
export const NODEPORT_EGRESS_V6_NAT_FWD_DROP = site(FILE_NODEPORT_EGRESS, 289);
export const NODEPORT_EGRESS_V4_NAT_FWD_DROP = site(FILE_NODEPORT_EGRESS, 590);
/** nodeport.h: DSR packets that are too big but get no answer; drops of the other tail calls. */
export const NODEPORT_V6_DSR_REPLY_DROP = site(FILE_NODEPORT, 709);
export const NODEPORT_V4_DSR_REPLY_DROP = site(FILE_NODEPORT, 2144);
export const NODEPORT_V6_DSR_DROP = site(FILE_NODEPORT, 0);
export const NODEPORT_V4_DSR_DROP = site(FILE_NODEPORT, 2198);
export const NODEPORT_V6_NAT_EGRESS_DROP = site(FILE_NODEPORT, 0);
export const NODEPORT_V6_REVNAT_DROP = site(FILE_NODEPORT, 0);
export const NODEPORT_V4_NAT_INGRESS_DROP = site(FILE_NODEPORT, 0);
export const NODEPORT_V4_NAT_EGRESS_DROP = site(FILE_NODEPORT, 0);
export const NODEPORT_V4_REVNAT_DROP = site(FILE_NODEPORT, 0);
/** Service traffic for an L7 proxy: to-proxy trace. */
export const NODEPORT_V6_TO_PROXY = site(FILE_NODEPORT, 0);
export const NODEPORT_V4_TO_PROXY = site(FILE_NODEPORT, 0);
/** tail_no_service_ipv4, _ipv6: drops. */
export const LB_V4_NO_SERVICE_DROP = site(FILE_LB, 0);
export const LB_V6_NO_SERVICE_DROP = site(FILE_LB, 0);
/** host_firewall.h: to-proxy trace (not counted). */
export const HOST_FIREWALL_TO_PROXY = site(FILE_HOST_FIREWALL, 0);
