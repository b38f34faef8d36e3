// The agent's decisions to what the datapath is built with: one set of compile-time defines a node (what the agent
// writes to node_config.h) and load-time variables for each object. Names are those of programs/config.ts.

import {
  CompileConfig,
  DSR_ENCAP_GENEVE,
  DSR_ENCAP_INV,
  DSR_ENCAP_IPIP,
  DSR_ENCAP_NONE,
  derived,
  LB_SELECTION_MAGLEV,
  LB_SELECTION_RANDOM,
  ObjectConfig,
  TUNNEL_PROTOCOL_GENEVE,
  TUNNEL_PROTOCOL_VXLAN,
} from "../../../programs/config.js";
import type { AgentConfig } from "./agent_config.js";
import { WIREGUARD_PORT } from "./wireguard.js";

/** An IPv4 prefix, Be32 and bits. */
export interface Prefix4 {
  readonly address: number;
  readonly bits: number;
}

/** An IPv6 prefix, four Be32 words and bits. */
export interface Prefix6 {
  readonly address: Int32Array;
  readonly bits: number;
}

/** What the datapath must know of the node it runs on. IPv4 addresses are Be32 (0: none), IPv6 four words. */
export interface NodeFacts {
  readonly ciliumHostIfindex: number;
  readonly ciliumNetIfindex: number;
  readonly ciliumHostMac: Uint8Array;
  readonly ciliumNetMac: Uint8Array;
  /** ifindex of cilium_vxlan or cilium_geneve; 0: none. */
  readonly encapIfindex: number;
  /** ifindex of cilium_ipip4; 0: none. */
  readonly ipip4Ifindex: number;
  /** ifindex of cilium_wg0; 0: none. */
  readonly wgIfindex: number;
  readonly directRoutingIfindex: number;
  readonly nodeIp4: number;
  readonly nodeIp6: Int32Array;
  readonly routerIp4: number;
  readonly routerIp6: Int32Array;
  /** Destinations that are not masqueraded: the native routing CIDR, else the node's pod CIDR. */
  readonly exclusion4: Prefix4 | undefined;
  readonly exclusion6: Prefix6 | undefined;
  readonly hostEndpointId: number;
  readonly mtu: number;
  readonly netnsCookie: number;
  /** Destinations outside which agent excludes by ip-masq-agent exist. */
  readonly ipMasqAgent: boolean;
  readonly nativeMac: (ifindex: number) => Uint8Array | null;
}

/** Lifetime of an established TCP entry: 8000 s, in 1.11 six hours. */
function tcpLifetime(a: AgentConfig): number {
  return a.profile === "1.11" ? 21600 : 8000;
}

/** The defines that the agent would write for this node. */
export function nodeDefines(a: AgentConfig, n: NodeFacts): CompileConfig {
  const c = new CompileConfig();
  c.profile = a.profile;
  c.DEBUG = a.debug;
  c.LB_DEBUG = a.debugLb;
  c.MONITOR_AGGREGATION = a.monitorAggregation;
  c.CONNTRACK_ACCOUNTING = a.ctAccounting;
  c.CT_REPORT_INTERVAL = a.monitorIntervalSec;
  c.CT_REPORT_FLAGS = a.monitorFlags;
  c.CT_CONNECTION_LIFETIME_TCP = tcpLifetime(a);
  c.CT_SERVICE_LIFETIME_TCP = tcpLifetime(a);
  c.CT_SERVICE_CLOSE_REBALANCE = 60;
  c.ENABLE_IPV4 = a.ipv4;
  c.ENABLE_IPV6 = a.ipv6;
  c.ENABLE_IPV4_FRAGMENTS = a.fragmentTracking;
  c.ENABLE_IPV6_FRAGMENTS = a.fragmentTracking && a.ipv6;
  c.ENABLE_ROUTING = !a.endpointRoutes;
  c.USE_BPF_PROG_FOR_INGRESS_POLICY = a.endpointRoutes;
  c.ENABLE_HOST_ROUTING = a.hostRouting === "bpf";
  c.TUNNEL_MODE = a.routingMode === "tunnel";
  c.TUNNEL_PROTOCOL = a.tunnelProtocol === "geneve" ? TUNNEL_PROTOCOL_GENEVE : TUNNEL_PROTOCOL_VXLAN;
  c.TUNNEL_PORT = a.tunnelPort;
  c.ENCAP_IFINDEX = n.encapIfindex;
  c.ENCAP4_IFINDEX = n.ipip4Ifindex;
  c.ENABLE_HOST_FIREWALL = a.hostFirewall;
  c.ENABLE_WIREGUARD = a.encryption === "wireguard";
  c.ENABLE_IPSEC = a.encryption === "ipsec";
  c.ENABLE_NODE_ENCRYPTION = a.encryptNode;
  c.ENABLE_BANDWIDTH_MANAGER = a.bandwidthManager;
  c.ENABLE_SCTP = a.sctp;
  c.POLICY_AUDIT_MODE = a.policyAuditMode;
  c.ENABLE_NODEPORT = a.kubeProxyReplacement || a.bpfMasquerade;
  c.ENABLE_NODEPORT_ACCELERATION = a.lbAcceleration;
  c.ENABLE_MASQUERADE_IPV4 = a.bpfMasquerade && a.masquerade4 && a.ipv4;
  c.ENABLE_MASQUERADE_IPV6 = a.bpfMasquerade && a.masquerade6 && a.ipv6;
  c.ENABLE_IP_MASQ_AGENT_IPV4 = n.ipMasqAgent;
  c.ENABLE_EGRESS_GATEWAY = a.egressGateway;
  c.ENABLE_DSR = a.lbMode !== "snat";
  // In hybrid mode each service says; services of TCP say yes.
  c.ENABLE_DSR_BYUSER = a.lbMode === "hybrid";
  c.ENABLE_DSR_ICMP_ERRORS = a.lbMode !== "snat" && a.pmtuDiscovery;
  c.DSR_ENCAP_MODE =
    a.lbMode === "snat"
      ? DSR_ENCAP_INV
      : a.lbDsrDispatch === "geneve"
        ? DSR_ENCAP_GENEVE
        : a.lbDsrDispatch === "ipip"
          ? DSR_ENCAP_IPIP
          : DSR_ENCAP_NONE;
  c.ENABLE_SOCKET_LB_FULL = a.socketLb && !a.socketLbHostOnly;
  c.ENABLE_SOCKET_LB_HOST_ONLY = a.socketLb && a.socketLbHostOnly;
  c.TRACE_SOCK_NOTIFY = a.socketLb && a.traceSock;
  c.SERVICE_NO_BACKEND_RESPONSE = true;
  c.LB_SELECTION = a.lbAlgorithm === "maglev" ? LB_SELECTION_MAGLEV : LB_SELECTION_RANDOM;
  c.LB_SELECTION_PER_SERVICE = true;
  c.LB_MAGLEV_LUT_SIZE = a.maglevTableSize;
  c.HOST_NETNS_COOKIE = n.netnsCookie;
  c.NODEPORT_PORT_MIN = a.nodePortMin;
  c.NODEPORT_PORT_MAX = a.nodePortMax;
  c.NODEPORT_PORT_MIN_NAT = a.nodePortMax + 1;
  c.MTU = n.mtu;
  c.CILIUM_HOST_IFINDEX = n.ciliumHostIfindex;
  c.CILIUM_NET_IFINDEX = n.ciliumNetIfindex;
  c.CILIUM_HOST_MAC = n.ciliumHostMac;
  c.CILIUM_NET_MAC = n.ciliumNetMac;
  c.NATIVE_DEV_MAC_BY_IFINDEX = n.nativeMac;
  c.IPV4_GATEWAY = n.routerIp4;
  c.IPV4_DIRECT_ROUTING = n.nodeIp4;
  c.IPV6_DIRECT_ROUTING = n.nodeIp6;
  c.IPV4_RSS_PREFIX = n.nodeIp4;
  c.IPV6_RSS_PREFIX = n.nodeIp6;
  if (n.exclusion4 !== undefined) {
    c.IPV4_SNAT_EXCLUSION_DST_CIDR = n.exclusion4.address;
    c.IPV4_SNAT_EXCLUSION_DST_CIDR_LEN = n.exclusion4.bits;
  }
  if (n.exclusion6 !== undefined) {
    c.IPV6_SNAT_EXCLUSION_DST_CIDR = n.exclusion6.address;
    c.IPV6_SNAT_EXCLUSION_DST_CIDR_MASK = mask6(n.exclusion6.bits);
    c.IPV6_SNAT_EXCLUSION_DST_CIDR_SET = true;
  }
  if (a.ipv4 && a.ipv6) {
    c.WORLD_IPV4_ID = 9;
    c.WORLD_IPV6_ID = 10;
  }
  return derived(c);
}

/** Variables that every object of the node shares; `fields` are the object's own. */
export function objectVariables(a: AgentConfig, n: NodeFacts, fields: Partial<ObjectConfig>): ObjectConfig {
  const o = new ObjectConfig();
  o.cluster_id = a.clusterId;
  o.device_mtu = n.mtu;
  o.direct_routing_dev_ifindex = n.directRoutingIfindex;
  o.enable_jiffies = a.jiffies;
  o.enable_netkit = a.datapathMode !== "veth";
  o.kernel_hz = 250;
  o.host_ep_id = n.hostEndpointId;
  o.ephemeral_min = a.nodePortMax + 1;
  o.nat_ipv4_masquerade = n.nodeIp4;
  o.nat_ipv6_masquerade = n.nodeIp6;
  o.router_ipv6 = n.routerIp6;
  // 169.254.42.1 and fe80::1, the agent's defaults.
  o.service_loopback_ipv4 = 0x012afea9;
  o.service_loopback_ipv6 = new Int32Array([0x000080fe, 0, 0, 0x01000000]);
  o.wg_ifindex = n.wgIfindex;
  o.wg_port = WIREGUARD_PORT;
  o.policy_deny_response_enabled = a.policyDenyResponse === "icmp";
  o.trace_payload_len = a.tracePayloadLen;
  o.trace_payload_len_overlay = Math.max(a.tracePayloadLen, 192);
  return Object.assign(o, fields);
}

/** Four Be32 words of an IPv6 netmask. */
export function mask6(bits: number): Int32Array {
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 16; i++) {
    const n = Math.max(0, Math.min(8, bits - 8 * i));
    bytes[i] = (0xff00 >> n) & 0xff;
  }
  return new Int32Array(bytes.buffer);
}
