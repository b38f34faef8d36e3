// What one build of the datapath is made from: the compile-time defines of node_config.h (one set a node) and the
// load-time CONFIG() variables of bpf/config/*.h (one set a loaded object). Names are the original ones, so that a
// recorded configuration or a node's own header can be read beside this file.
//
// Both are plain classes with every field present and set once: V8 then sees one hidden class for all of them and a
// feature test on the packet path is one load and one branch.

/** Which release's programs and samples a node speaks. */
export type Profile = "1.19" | "1.11";

/** DSR_ENCAP_MODE. */
export const DSR_ENCAP_INV = 0;
export const DSR_ENCAP_NONE = 1;
export const DSR_ENCAP_IPIP = 2;
export const DSR_ENCAP_GENEVE = 3;

/** TUNNEL_PROTOCOL. */
export const TUNNEL_PROTOCOL_VXLAN = 1;
export const TUNNEL_PROTOCOL_GENEVE = 2;

/** LB_SELECTION. */
export const LB_SELECTION_RANDOM = 1;
export const LB_SELECTION_MAGLEV = 2;

/** MONITOR_AGGREGATION levels. */
export const TRACE_AGGREGATE_NONE = 0;
export const TRACE_AGGREGATE_RX = 1;
export const TRACE_AGGREGATE_ACTIVE_CT = 3;

/**
 * The compile-time defines. A define that is only "set or not" is a boolean. IPv4 addresses are Be32 (wire bytes loaded
 * little-endian), IPv6 addresses and masks are four such words, times are seconds.
 */
export class CompileConfig {
  profile: Profile = "1.19";

  // What is told, and how much of it. DEBUG and LB_DEBUG compile debug messages in (--debug-verbose=datapath; those of
  // services apart, as DebugLB). Without the *_NOTIFY defines samples are left out and metrics are still counted.
  DEBUG = false;
  LB_DEBUG = false;
  DROP_NOTIFY = true;
  TRACE_NOTIFY = true;
  POLICY_VERDICT_NOTIFY = true;
  POLICY_ACCOUNTING = true;
  LOCAL_DELIVERY_METRICS = true;
  /** monitor-aggregation: 1 and above drop FROM_* samples, 3 and above also those with monitor 0. */
  MONITOR_AGGREGATION = TRACE_AGGREGATE_NONE;
  /** Packets and bytes in conntrack entries; off by default in 1.19. */
  CONNTRACK_ACCOUNTING = false;
  /** bpf-events-default-rate-limit: samples a second, 0 = no limit; and the size of the bucket. */
  EVENTS_MAP_RATE_LIMIT = 0;
  EVENTS_MAP_BURST_LIMIT = 0;

  ENABLE_IPV4 = true;
  ENABLE_IPV6 = false;
  /** Fragment tracking. Without it every fragment is dropped where it enters (157). */
  ENABLE_IPV4_FRAGMENTS = true;
  ENABLE_IPV6_FRAGMENTS = false;
  /** Not per-endpoint routes: programs deliver to local pods themselves. */
  ENABLE_ROUTING = false;
  /** BPF host routing: redirect_peer and redirect_neigh in the place of the stack; else "legacy". */
  ENABLE_HOST_ROUTING = false;
  /** With per-endpoint routes ingress policy is cil_to_container's, on the device, and not a tail call. */
  USE_BPF_PROG_FOR_INGRESS_POLICY = false;
  /** routing-mode: tunnel. A tunnel device (HAVE_ENCAP) may exist without it, for DSR or the egress gateway. */
  TUNNEL_MODE = false;
  TUNNEL_PROTOCOL = TUNNEL_PROTOCOL_VXLAN;
  TUNNEL_PORT = 8472;
  /** ENCAP_IFINDEX; 0 = no tunnel device (HAVE_ENCAP not defined). */
  ENCAP_IFINDEX = 0;
  /** ENCAP4_IFINDEX, ENCAP6_IFINDEX: the IPIP devices of DSR_ENCAP_IPIP. */
  ENCAP4_IFINDEX = 0;
  ENCAP6_IFINDEX = 0;
  /** cil_from_container answers ARP itself, or lets it through. */
  ENABLE_ARP_RESPONDER = true;
  ENABLE_ARP_PASSTHROUGH = false;
  /** Pods' packets carry their identity in skb->mark (0x0F00). */
  ENABLE_IDENTITY_MARK = true;
  /** A pod's packets need its own source address (132). */
  ENABLE_SIP_VERIFICATION = true;
  ENABLE_HOST_FIREWALL = false;
  ENABLE_WIREGUARD = false;
  ENABLE_IPSEC = false;
  /** WireGuard also between nodes themselves, not between pods only. */
  ENABLE_NODE_ENCRYPTION = false;
  ENABLE_BANDWIDTH_MANAGER = false;
  ENABLE_L7_LB = false;
  ENABLE_SCTP = false;
  ENABLE_EXTENDED_IP_PROTOCOLS = false;
  /** Policy audit mode (POLICY_AUDIT_MODE). */
  POLICY_AUDIT_MODE = false;
  ENABLE_VLAN_FILTER = false;

  // Services and masquerading. ENABLE_NODEPORT is kube-proxy replacement or BPF masquerading: either needs nodeport.h.
  ENABLE_NODEPORT = false;
  ENABLE_NODEPORT_ACCELERATION = false;
  ENABLE_MASQUERADE_IPV4 = false;
  ENABLE_MASQUERADE_IPV6 = false;
  ENABLE_IP_MASQ_AGENT_IPV4 = false;
  ENABLE_IP_MASQ_AGENT_IPV6 = false;
  ENABLE_EGRESS_GATEWAY = false;
  /** Direct server return for all services or, BYUSER (hybrid, annotations), for those whose entry says so. */
  ENABLE_DSR = false;
  ENABLE_DSR_BYUSER = false;
  /** A request that its DSR option makes too long is answered with an ICMP error (enable-pmtu-discovery). */
  ENABLE_DSR_ICMP_ERRORS = false;
  DSR_ENCAP_MODE = DSR_ENCAP_INV;
  /** Socket load balancing for pods and host, or for the host's namespace only. */
  ENABLE_SOCKET_LB_FULL = false;
  ENABLE_SOCKET_LB_HOST_ONLY = false;
  ENABLE_SOCKET_LB_TCP = true;
  ENABLE_SOCKET_LB_UDP = true;
  ENABLE_SOCKET_LB_PEER = true;
  TRACE_SOCK_NOTIFY = false;
  ENABLE_HEALTH_CHECK = false;
  ENABLE_LOCAL_REDIRECT_POLICY = false;
  /** A service without backends is answered with an ICMP error instead of a drop. */
  SERVICE_NO_BACKEND_RESPONSE = false;
  LB_SELECTION = LB_SELECTION_RANDOM;
  LB_SELECTION_PER_SERVICE = false;
  /** Places of a Maglev table: a prime, the same on all nodes, as the two seeds. */
  LB_MAGLEV_LUT_SIZE = 16381;
  HASH_INIT4_SEED = 0xcafe;
  HASH_INIT6_SEED = 0xeb9f;
  /** Cookie of the host's network namespace. */
  HOST_NETNS_COOKIE = 1;

  // Ports in host order, both ends included. SNAT begins behind the NodePort range, so that a reply to a translated
  // port can never be a request to a node port.
  NODEPORT_PORT_MIN = 30000;
  NODEPORT_PORT_MAX = 32767;
  NODEPORT_PORT_MIN_NAT = 32768;
  NODEPORT_PORT_MAX_NAT = 65535;
  /** Candidates before a packet is dropped (167); more than half of them used calls for garbage collection. */
  SNAT_COLLISION_RETRIES = 32;

  // Conntrack, seconds: bpf-ct-timeout-regular-tcp, -regular-any, -service-tcp, -service-any, -regular-tcp-syn (until a
  // packet without SYN comes), -regular-tcp-fin (both ends closed), -service-tcp-grace.
  CT_CONNECTION_LIFETIME_TCP = 8000;
  CT_CONNECTION_LIFETIME_NONTCP = 60;
  CT_SERVICE_LIFETIME_TCP = 8000;
  CT_SERVICE_LIFETIME_NONTCP = 60;
  CT_SYN_TIMEOUT = 60;
  CT_CLOSE_TIMEOUT = 10;
  CT_SERVICE_CLOSE_REBALANCE = 30;
  /** monitor-aggregation-interval: seconds between two reports of a connection and direction. */
  CT_REPORT_INTERVAL = 5;
  /** monitor-aggregation-flags: TCP flags (FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32) that are reported at once. */
  CT_REPORT_FLAGS = 0xff;

  MTU = 1500;
  CILIUM_HOST_IFINDEX = 0;
  CILIUM_NET_IFINDEX = 0;
  /** Six bytes. */
  CILIUM_HOST_MAC: Uint8Array = new Uint8Array(6);
  CILIUM_NET_MAC: Uint8Array = new Uint8Array(6);
  /** NATIVE_DEV_MAC_BY_IFINDEX: MAC of a native device by its ifindex; null where the device has none. */
  NATIVE_DEV_MAC_BY_IFINDEX: (ifindex: number) => Uint8Array | null = () => null;

  /** Router address of this node, which SNAT uses for what goes through the tunnel. */
  IPV4_GATEWAY = 0;
  /** Address of the direct routing device: source of node port SNAT, and of what XDP encapsulates. */
  IPV4_DIRECT_ROUTING = 0;
  IPV6_DIRECT_ROUTING: Int32Array = new Int32Array(4);
  /** Source prefix of DSR's IPIP packets; the bits behind it are filled with a hash of the flow. */
  IPV4_RSS_PREFIX = 0;
  IPV4_RSS_PREFIX_BITS = 32;
  IPV6_RSS_PREFIX: Int32Array = new Int32Array(4);
  IPV6_RSS_PREFIX_BITS = 128;
  /** IPV4_SNAT_EXCLUSION_DST_CIDR; length -1 = not defined. */
  IPV4_SNAT_EXCLUSION_DST_CIDR = 0;
  IPV4_SNAT_EXCLUSION_DST_CIDR_LEN = -1;
  IPV6_SNAT_EXCLUSION_DST_CIDR: Int32Array = new Int32Array(4);
  IPV6_SNAT_EXCLUSION_DST_CIDR_MASK: Int32Array = new Int32Array(4);
  IPV6_SNAT_EXCLUSION_DST_CIDR_SET = false;

  // Identities. WORLD_IPV4_ID and WORLD_IPV6_ID are 9 and 10 in dual stack.
  HOST_ID = 1;
  WORLD_ID = 2;
  WORLD_IPV4_ID = 2;
  WORLD_IPV6_ID = 2;
  LOCAL_NODE_ID = 6;
  REMOTE_NODE_ID = 6;
  KUBE_APISERVER_NODE_ID = 7;
  CIDR_IDENTITY_RANGE_START = 16777217;
  CIDR_IDENTITY_RANGE_END = 16842751;

  /** Derived by `compileConfig`: ENABLE_PER_PACKET_LB of bpf_lxc.c. */
  ENABLE_PER_PACKET_LB = true;
  /** Derived: a tunnel device exists. */
  HAVE_ENCAP = false;
  /** Derived: both families, so that world has two identities. */
  DUAL_STACK = false;
}

/**
 * The load-time variables of one object, all objects' variables in one class (an object ignores those it has not).
 * IPv4 addresses are Be32, IPv6 addresses four such words, MACs six bytes.
 */
export class ObjectConfig {
  /** ICMP 3/4 passes policy whatever the rules are. */
  allow_icmp_frag_needed = true;
  cluster_id = 0;
  /** Highest cluster id, and the mask of those bits of an identity (from bit 16) that name its cluster. */
  cluster_id_max = 255;
  /** Bytes, of the device the object is attached to. */
  device_mtu = 1500;
  direct_routing_dev_ifindex = 0;
  enable_extended_ip_protocols = false;
  /** Rules can name ICMP types, which then stand for the port in policy keys. */
  enable_icmp_rule = true;
  /** Conntrack time in jiffies >> 8 instead of seconds (enable-bpf-clock-probe). */
  enable_jiffies = false;
  enable_l2_announcements = false;
  enable_lrp = false;
  enable_netkit = false;
  /** Else packets to a service without backends go on as if it were none, unless it wants local ones. */
  enable_no_service_endpoints_routable = true;
  /** Pods' packets to other nodes are masqueraded, too. */
  enable_remote_node_masquerade = false;
  /** Endpoint id of the pod (bpf_lxc). */
  endpoint_id = 0;
  endpoint_ipv4 = 0;
  endpoint_ipv6: Int32Array = new Int32Array(4);
  /** Cookie of the pod's network namespace (bpf_lxc); 0 = unknown. */
  endpoint_netns_cookie = 0;
  ephemeral_min = 32768;
  /** 14, or 0 on a device without Ethernet header. */
  eth_header_length = 14;
  /** Id of the host endpoint: source of bpf_host's samples, slot of the host's policy program. */
  host_ep_id = 0;
  hybrid_routing_enabled = false;
  interface_ifindex = 0;
  interface_mac: Uint8Array = new Uint8Array(6);
  /** Ticks a second, for enable_jiffies. */
  kernel_hz = 1000;
  /** Nanoseconds. */
  l2_announcements_max_liveness = 0;
  /** Address of the device that masquerading uses. */
  nat_ipv4_masquerade = 0;
  nat_ipv6_masquerade: Int32Array = new Int32Array(4);
  policy_deny_response_enabled = false;
  /** Bit 0: ingress verdicts are logged, bit 1: egress. */
  policy_verdict_log_filter = 0;
  proxy_redirect_via_cilium_net = false;
  router_ipv6: Int32Array = new Int32Array(4);
  /** The pod's identity (bpf_lxc). */
  security_label = 0;
  /** Source of a pod's packets to itself through a service. */
  service_loopback_ipv4 = 0;
  service_loopback_ipv6: Int32Array = new Int32Array(4);
  /** BPF_FIB_LOOKUP_SKIP_NEIGH is known to the kernel: routes are looked up without the neighbour. */
  supports_fib_lookup_skip_neigh = true;
  /** Bytes of the packet in samples, and the monitor value that says "report"; the second for tunnel packets. */
  trace_payload_len = 128;
  trace_payload_len_overlay = 192;
  tracing_ip_option_type = 0;
  vtep_mask = 0;
  /** cilium_wg0 and its UDP port (host order). */
  wg_ifindex = 0;
  wg_port = 0;
}

/** A configuration with the given fields changed from the defaults; derived fields are computed. */
export function compileConfig(fields: Partial<CompileConfig> = {}): CompileConfig {
  const c = new CompileConfig();
  // That release kept established TCP connections for six hours.
  if (fields.profile === "1.11") {
    c.CT_CONNECTION_LIFETIME_TCP = 21600;
    c.CT_SERVICE_LIFETIME_TCP = 21600;
  }
  return derived(Object.assign(c, fields));
}

/** Sets the fields that follow from others. */
export function derived(c: CompileConfig): CompileConfig {
  c.ENABLE_PER_PACKET_LB =
    !c.ENABLE_SOCKET_LB_FULL || c.ENABLE_SOCKET_LB_HOST_ONLY || c.ENABLE_L7_LB || c.ENABLE_SCTP;
  c.HAVE_ENCAP = c.ENCAP_IFINDEX !== 0;
  c.DUAL_STACK = c.ENABLE_IPV4 && c.ENABLE_IPV6;
  return c;
}

/** Load-time variables with the given fields changed from the defaults. */
export function objectConfig(fields: Partial<ObjectConfig> = {}): ObjectConfig {
  return Object.assign(new ObjectConfig(), fields);
}
