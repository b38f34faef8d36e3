// The cluster as control planes see it: Kubernetes objects reduced to what decides a packet's fate, with defaults
// filled in. src/scenario makes it from YAML; a program may also make it by hand. Addresses are text here: this
// is configuration, not the packet path.

import type { SourcePosition } from "../base/errors.js";
import type { Topology } from "../kernel/topology.js";

/** Position of the field at `path` of a document, or of the nearest parent that exists. */
export type PositionOf = (path?: readonly (string | number)[]) => SourcePosition;

/** A Kubernetes object as parsed from YAML, and where each of its fields stands in the file. */
export interface K8sObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  /** The whole object, for kinds whose control plane reads it itself (policies, services, pools). */
  readonly raw: Readonly<Record<string, unknown>>;
  readonly pos: PositionOf;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** A network card of a node or of a host outside the cluster. */
export interface NicModel {
  readonly name: string;
  /** Ethernet address as text; made from the lab's seed when the scenario gives none. */
  readonly mac: string | undefined;
  /** Addresses with prefix length, the primary one first. */
  readonly addresses: readonly string[];
  /** Name of the network (switch) it is plugged into. */
  readonly network: string;
  readonly mtu: number;
  /** CPU that takes its interrupts; undefined: receive hashing chooses. */
  readonly rxCpu: number | undefined;
  /** ifindex, if it matters. */
  readonly ifindex: number | undefined;
  /** Metric of its connected routes, and of the default route through the first card. */
  readonly metric?: number | undefined;
}

export interface NodeModel {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** status.addresses of type InternalIP, the first of each family. */
  readonly internalIp4: string | undefined;
  readonly internalIp6: string | undefined;
  readonly podCidrs: readonly string[];
  readonly nics: readonly NicModel[];
  /** Address of the default gateway, of either family; undefined: none. */
  readonly gateway: string | undefined;
  /** That of IPv6, where `gateway` is IPv4's. */
  readonly gatewayIPv6?: string | undefined;
  readonly cpus: number;
  /** Endpoint id of Cilium's host endpoint, if it matters. */
  readonly hostEndpointId: number | undefined;
  /** Cilium's router address (cilium_host), if it matters. */
  readonly routerIp4: string | undefined;
  readonly routerIp6: string | undefined;
  /** MAC of cilium_host and cilium_net, if they matter. */
  readonly ciliumHostMac: string | undefined;
  readonly ciliumNetMac: string | undefined;
  readonly sysctls: Readonly<Record<string, string | number>>;
  /** iptables-save text to load on top of what the control planes write. */
  readonly iptables: string | undefined;
  /** Commands run on the node when everything stands. */
  readonly setup?: readonly string[] | undefined;
  readonly pos: SourcePosition | undefined;
  /** Fields of its Node document and of its NodeWiring. */
  readonly posOf?: PositionOf | undefined;
  readonly wiringPosOf?: PositionOf | undefined;
}

export interface ContainerPort {
  readonly name: string | undefined;
  readonly containerPort: number;
  readonly hostPort: number | undefined;
  readonly hostIp: string | undefined;
  readonly protocol: "TCP" | "UDP" | "SCTP";
}

export interface PodModel {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly nodeName: string;
  readonly hostNetwork: boolean;
  readonly serviceAccount: string;
  readonly ip4: string | undefined;
  readonly ip6: string | undefined;
  readonly ports: readonly ContainerPort[];
  readonly ready: boolean;
  /** MAC of the pod's eth0 and of the host side, and the host side's name and ifindex, if they matter. */
  readonly mac: string | undefined;
  readonly hostMac: string | undefined;
  readonly hostInterface: string | undefined;
  readonly hostIfindex: number | undefined;
  readonly podIfindex: number | undefined;
  readonly mtu: number | undefined;
  /** Endpoint id, if it matters (CiliumEndpoint or wiring). */
  readonly endpointId: number | undefined;
  /** Security identity, if it matters (CiliumEndpoint). */
  readonly identity: number | undefined;
  /** Identification of the first IPv4 packet that the pod makes; undefined: from the seed. */
  readonly firstIpId: number | undefined;
  readonly pos: SourcePosition | undefined;
}

/** A machine outside the cluster. */
export interface HostModel {
  readonly name: string;
  readonly nics: readonly NicModel[];
  readonly gateway: string | undefined;
  readonly gatewayIPv6?: string | undefined;
  readonly routes: readonly { readonly to: string; readonly via: string }[];
  /** Forwards between its cards. */
  readonly router: boolean;
  /** Commands run there when everything stands. */
  readonly setup?: readonly string[] | undefined;
  readonly pos: SourcePosition | undefined;
  readonly posOf?: PositionOf | undefined;
}

/** A layer-2 network that NICs are plugged into. */
export interface NetworkModel {
  readonly name: string;
  /** Subnet; addresses of NICs without a prefix length take theirs from it. */
  readonly cidr: string | undefined;
  /** Address that the network's own router has here; undefined: nobody routes. */
  readonly gateway: string | undefined;
  /** IP protocols that the network's filter (a cloud firewall) drops between its members. */
  readonly dropProtocols: readonly number[];
  readonly posOf?: PositionOf | undefined;
}

/** A hand-made network of namespaces on a machine of its own: devices, addresses, routes, rules, sets. */
export interface TopologyModel {
  readonly name: string;
  /** In the form of the kernel model's topologies; iptables and ipset are loaded into each namespace. */
  readonly spec: Topology;
  readonly pos: SourcePosition | undefined;
}

export interface NamespaceModel {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Names of the datapaths, as every command accepts them. */
export const DATAPATHS = [
  "cilium-host-routing",
  "cilium-legacy",
  "cilium-netkit",
  "cilium-vxlan",
  "cilium-geneve",
  "calico-ipip",
  "calico-vxlan",
  "calico-ipip-crosssubnet",
  "calico-vxlan-crosssubnet",
  "calico-bgp",
  "flannel-host-gw",
] as const;
export type DatapathName = (typeof DATAPATHS)[number];

/** Releases whose programs and monitor can be had. */
export type Profile = "1.19" | "1.11";

export interface DatapathModel {
  readonly name: DatapathName;
  readonly profile: Profile;
  /** What translates services where Cilium does not; undefined: as kube-proxy's ConfigMap says, else iptables. */
  readonly kubeProxy: "iptables" | "ipvs" | "none" | undefined;
  /** cilium-config keys (or the other control plane's), as strings. */
  readonly options: Readonly<Record<string, string>>;
  /** Those of `options` that the caller gave: they win over what a chosen datapath says by itself. */
  readonly overrides?: Readonly<Record<string, string>>;
  /** Where an option stands in the scenario; undefined for what comes from elsewhere. */
  readonly posOf?: ((option: string) => SourcePosition | undefined) | undefined;
}

/** An identity whose number the scenario fixes (CiliumIdentity). */
export interface FixedIdentity {
  readonly id: number;
  /** Labels with source, `k8s:app=web`. */
  readonly labels: Readonly<Record<string, string>>;
}

export interface ClusterModel {
  readonly name: string;
  readonly datapath: DatapathModel;
  readonly networks: readonly NetworkModel[];
  readonly nodes: readonly NodeModel[];
  readonly pods: readonly PodModel[];
  readonly hosts: readonly HostModel[];
  readonly topologies?: readonly TopologyModel[];
  readonly namespaces: readonly NamespaceModel[];
  readonly identities: readonly FixedIdentity[];
  /** Services, EndpointSlices, policies, pools, configuration ... in the order of the file. */
  readonly objects: readonly K8sObject[];
}
