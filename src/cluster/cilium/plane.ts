// The Cilium control plane: agents on nodes. Each makes the devices, routes, rules and maps of its node, loads the
// programs with the node's configuration and attaches them; together they know every identity and address.

import { type CiliumMaps, createCiliumMaps } from "../../../maps/cilium_maps.js";
import { CtGc } from "../../../maps/ct_gc.js";
import { EgressGwKey4, EgressGwValue4 } from "../../../maps/egress_gw.js";
import { IPCACHE_F_HAS_TUNNEL_EP, IpcacheKey, IpcacheValue } from "../../../maps/ipcache.js";
import { ENDPOINT_F_HOST, LxcKey, LxcValue } from "../../../maps/lxc.js";
import type { PerfEventArray } from "../../../maps/perf_event_array.js";
import { BPF_ANY } from "../../../maps/spec.js";
import { createDatapath, type NodeDatapath } from "../../../programs/datapath.js";
import { PodpathError } from "../../base/errors.js";
import type { StepRecorder } from "../../bpf/steps.js";
import { IFF_NOARP, type NetDevice } from "../../kernel/device.js";
import { GeneveDevice } from "../../kernel/geneve.js";
import { KernelHelpers } from "../../kernel/helpers.js";
import { ip_ident_start } from "../../kernel/ip_output.js";
import { IpipDevice } from "../../kernel/ipip.js";
import type { Unmodelled } from "../../kernel/netfilter/iptables.js";
import { NetkitDevice } from "../../kernel/netkit.js";
import type { Netns } from "../../kernel/netns.js";
import { VethDevice } from "../../kernel/veth.js";
import { VxlanDevice } from "../../kernel/vxlan.js";
import type { WireguardDevice } from "../../kernel/wireguard/device.js";
import { formatIpv6, networkOf4, networkOf6, parseIpv4, parseIpv6, parseMac } from "../../net/address.js";
import { type ControlPlane, type PlaneNode, podKey } from "../control_plane.js";
import { installKubeProxy } from "../kube_proxy/kube_proxy.js";
import { clusterCidr } from "../linux_plane.js";
import { type Machine, type Machines, nthAddress, type Sandbox } from "../machines.js";
import type { ClusterModel, NodeModel, PodModel } from "../model.js";
import {
  addAddress,
  addMarkRule,
  addRoute,
  addRoute6,
  linkUp,
  makeIpset,
  restoreIptables,
  setSysctl,
  tryRoute,
} from "../netcfg.js";
import { type AgentConfig, routeMtu } from "./agent_config.js";
import { egressGatewayEntries, egressGatewayPolicyOf } from "./egress_gateway.js";
import {
  ID_HOST,
  ID_REMOTE_NODE,
  ID_WORLD,
  ID_WORLD_IPV4,
  ID_WORLD_IPV6,
  IdentityAllocator,
  podIdentityLabels,
} from "./identity.js";
import { cidrGroupOf, type NodeAddress, resolveIpcache } from "./ipcache.js";
import { IPSEC_KEY, installIpsec } from "./ipsec.js";
import { ciliumIptables, hostMark6 } from "./iptables.js";
import { type NodeFacts, nodeDefines, objectVariables } from "./node_config.js";
import type { PolicyConfig } from "./policy/config.js";
import { LabelSet } from "./policy/labels.js";
import { writePolicy } from "./policy/lookup.js";
import { isPolicy, type ParsedPolicies, parsePolicies } from "./policy/parse.js";
import {
  type EndpointPolicy,
  type NamedPort,
  PolicyConflict,
  type PolicyContext,
  resolvePolicy,
  SelectorCache,
} from "./policy/resolve.js";
import { NodeProxy, type ProxyPort } from "./proxy.js";
import { ServiceMaps } from "./service_maps.js";
import { type LbCluster, type LbFrontend, nodeFrontends, readServices } from "./services.js";
import { SignalListener } from "./signals.js";
import { SockHooks } from "./sock_hooks.js";
import { addWireguardDevice, addWireguardPeer, WIREGUARD_KEY } from "./wireguard.js";

/** An endpoint as the agent keeps it. */
export interface CiliumEndpoint {
  readonly id: number;
  readonly identity: number;
  readonly labels: LabelSet;
  readonly sandbox: Sandbox;
  policy: EndpointPolicy;
}

/** A node with its agent. */
export class CiliumNode implements PlaneNode {
  readonly endpoints = new Map<number, CiliumEndpoint>();
  /** Rules of the node's own iptables text that the kernel model does not know, by rule and line. */
  readonly unmodelled: Unmodelled[] = [];
  datapath!: NodeDatapath;
  facts!: NodeFacts;
  gc!: CtGc;
  serviceMaps!: ServiceMaps;
  /** What L7 redirects lead to. */
  proxy!: NodeProxy;
  /** cilium_wg0. */
  wireguard: WireguardDevice | null = null;
  /** What the node programs of the cluster's services. */
  frontends: readonly LbFrontend[] = [];

  constructor(
    readonly name: string,
    readonly model: NodeModel,
    readonly machine: Machine,
    readonly maps: CiliumMaps,
    readonly hostEndpointId: number,
    readonly routerIp4: string | undefined,
    readonly routerIp6: string | undefined,
  ) {}

  get events(): PerfEventArray {
    return this.maps.cilium_events;
  }

  get endpointIds(): number[] {
    return [this.hostEndpointId, ...this.endpoints.keys()];
  }

  ifname(ifindex: number): string | undefined {
    return this.machine.ns.dev(ifindex)?.name;
  }
}

const NO_IP6 = new Int32Array(4);

export class CiliumPlane implements ControlPlane {
  readonly nodes: CiliumNode[] = [];
  readonly pods = new Map<string, Sandbox>();
  readonly identities: IdentityAllocator;
  readonly policyConfig: PolicyConfig;
  /** Policies as parsed; what the agent refused is in `rejected`. */
  readonly policies: ParsedPolicies;
  /** Services of the cluster, as every agent sees them. */
  readonly services: LbCluster;
  readonly #identityOf = new Map<string, number>();

  constructor(
    readonly model: ClusterModel,
    readonly machines: Machines,
    readonly config: AgentConfig,
  ) {
    this.policyConfig = config.policy;
    this.identities = new IdentityAllocator(
      model.identities.map((i) => ({
        id: i.id,
        labels: LabelSet.parse(Object.entries(i.labels).map(([k, v]) => `${k}=${v}`)),
      })),
    );
    this.policies = parsePolicies(
      model.objects.filter(isPolicy).map((o) => ({ object: o.raw, position: o.pos })),
      this.policyConfig,
    );
    for (const n of model.nodes) this.nodes.push(this.#startAgent(n));
    for (const p of model.pods) if (!p.hostNetwork) this.#identify(p);
    const prefixes = this.#prefixes();
    for (const n of this.nodes) this.#routes(n);
    for (const p of model.pods) if (!p.hostNetwork) this.#addEndpoint(p);
    for (const n of this.nodes) this.#ipcache(n, prefixes);
    for (const n of this.nodes) this.#wireguardPeers(n);
    if (config.encryption === "ipsec") this.#ipsec();
    this.#regenerate();
    for (const n of this.nodes) this.#iptables(n);
    this.services = readServices(model.objects, model.pods);
    for (const n of this.nodes) this.#programServices(n);
    if (config.egressGateway) this.#egressGateway();
    for (const n of this.nodes) {
      n.gc.start(this.machines.timers);
      new SignalListener(n.maps.cilium_signals, n.gc, this.machines.timers).start();
    }
  }

  /** Endpoint of a pod. */
  endpointOf(namespace: string, name: string): { node: CiliumNode; endpoint: CiliumEndpoint } | undefined {
    const sandbox = this.pods.get(podKey(namespace, name));
    for (const node of this.nodes) {
      for (const endpoint of node.endpoints.values())
        if (endpoint.sandbox === sandbox) return { node, endpoint };
    }
    return undefined;
  }

  setRecorder(recorder: StepRecorder | null): void {
    for (const ns of this.machines.namespaces) if (ns !== undefined) ns.recorder = recorder;
    for (const n of this.nodes) n.datapath.recorder = recorder;
  }

  // --- a node -----------------------------------------------------------------------------------------------------

  #startAgent(model: NodeModel): CiliumNode {
    const a = this.config;
    const machine = this.machines.nodes.get(model.name)!;
    const ns = machine.ns;
    const podCidr4 = model.podCidrs.find((c) => !c.includes(":"));
    const routerIp4 = model.routerIp4 ?? (podCidr4 === undefined ? undefined : this.#freeAddress(podCidr4));
    const podCidr6 = a.ipv6 ? model.podCidrs.find((c) => c.includes(":")) : undefined;
    const routerIp6 = model.routerIp6 ?? (podCidr6 === undefined ? undefined : this.#freeAddress6(podCidr6));
    const maps = createCiliumMaps({
      clock: this.machines.clock,
      cpus: model.cpus,
      backend: a.mapBackend,
      maglevTableSize: a.maglevTableSize,
      policyMapSize: a.policyMapMax,
      sizes: {
        cilium_ct4_global: a.ctTcpMax,
        cilium_ct_any4_global: a.ctAnyMax,
        cilium_ct6_global: a.ctTcpMax,
        cilium_ct_any6_global: a.ctAnyMax,
        cilium_snat_v4_external: a.natMax,
        cilium_snat_v6_external: a.natMax,
        cilium_nodeport_neigh4: a.neighMax,
        cilium_nodeport_neigh6: a.neighMax,
      },
    });
    const node = new CiliumNode(
      model.name,
      model,
      machine,
      maps,
      model.hostEndpointId ?? this.#endpointId(new Set()),
      routerIp4,
      routerIp6,
    );

    const [host, net] = VethDevice.pair(
      {
        ns,
        name: "cilium_host",
        mac: model.ciliumHostMac === undefined ? this.machines.newMac() : parseMac(model.ciliumHostMac),
      },
      {
        ns,
        name: "cilium_net",
        mac: model.ciliumNetMac === undefined ? this.machines.newMac() : parseMac(model.ciliumNetMac),
      },
    );
    for (const d of ["all", "default", "cilium_host", "cilium_net"])
      setSysctl(ns, `net/ipv4/conf/${d}/rp_filter`, 0);
    for (const d of ["cilium_host", "cilium_net"]) {
      setSysctl(ns, `net/ipv4/conf/${d}/forwarding`, 1);
      setSysctl(ns, `net/ipv4/conf/${d}/accept_local`, 1);
    }
    // `ip link set ... arp off`: packets leave by cilium_host with its own MAC as destination, nobody resolves.
    host.flags |= IFF_NOARP;
    net.flags |= IFF_NOARP;
    linkUp(host);
    linkUp(net);
    if (routerIp4 !== undefined) addAddress(host, `${routerIp4}/32`);
    if (a.ipv6) setSysctl(ns, "net/ipv6/conf/all/forwarding", 1);
    if (a.ipv6 && routerIp6 !== undefined) addAddress(host, `${routerIp6}/128`);

    // The tunnel device takes destination and VNI from each packet (collect_md, `external`).
    let overlay: NetDevice | undefined;
    if (
      a.routingMode === "tunnel" ||
      a.egressGateway ||
      (a.lbMode !== "snat" && a.lbDsrDispatch === "geneve")
    ) {
      const options = {
        mac: this.machines.newMac(),
        mtu: machine.nics[0]!.mtu,
        collectMd: true,
        dstport: a.tunnelPort,
      };
      overlay =
        a.tunnelProtocol === "geneve"
          ? new GeneveDevice(ns, "cilium_geneve", options)
          : new VxlanDevice(ns, "cilium_vxlan", options);
      setSysctl(ns, `net/ipv4/conf/${overlay.name}/rp_filter`, 0);
      setSysctl(ns, `net/ipv4/conf/${overlay.name}/accept_local`, 1);
      linkUp(overlay);
    }

    // DSR by IPIP: the backend's address as tunnel end comes with each packet.
    let ipip4: NetDevice | undefined;
    if (a.ipv4 && a.lbMode !== "snat" && a.lbDsrDispatch === "ipip") {
      ipip4 = new IpipDevice(ns, "cilium_ipip4", { collectMd: true });
      linkUp(ipip4);
    }

    const nic = machine.nics[0]!;
    if (a.encryption === "wireguard")
      node.wireguard = addWireguardDevice(ns, this.machines.prng, a.mtu ?? nic.mtu);
    const exclusion = a.nativeRoutingCidr4 ?? podCidr4;
    const exclusion6 = a.nativeRoutingCidr6 ?? podCidr6;
    const mtu = a.mtu ?? nic.mtu;
    node.facts = {
      ciliumHostIfindex: host.ifindex,
      ciliumNetIfindex: net.ifindex,
      ciliumHostMac: host.mac,
      ciliumNetMac: net.mac,
      encapIfindex: overlay?.ifindex ?? 0,
      ipip4Ifindex: ipip4?.ifindex ?? 0,
      wgIfindex: node.wireguard?.ifindex ?? 0,
      directRoutingIfindex: nic.ifindex,
      nodeIp4: model.internalIp4 === undefined ? 0 : parseIpv4(model.internalIp4),
      nodeIp6: model.internalIp6 === undefined ? NO_IP6 : words6(model.internalIp6),
      routerIp4: routerIp4 === undefined ? 0 : parseIpv4(routerIp4),
      routerIp6: routerIp6 === undefined ? NO_IP6 : words6(routerIp6),
      exclusion4: exclusion === undefined ? undefined : prefix4(exclusion),
      exclusion6: exclusion6 === undefined ? undefined : prefix6(exclusion6),
      hostEndpointId: node.hostEndpointId,
      mtu,
      netnsCookie: ns.cookie,
      ipMasqAgent: false,
      nativeMac: (ifindex) => ns.dev(ifindex)?.mac ?? null,
    };
    const helpers = new KernelHelpers(machine.kernel);
    node.datapath = createDatapath({ config: nodeDefines(a, node.facts), maps, helpers });
    const nat = a.kubeProxyReplacement || a.bpfMasquerade;
    node.gc = new CtGc({
      ipv4: a.ipv4
        ? {
            tcp: maps.cilium_ct4_global,
            any: maps.cilium_ct_any4_global,
            nat: nat ? maps.cilium_snat_v4_external : null,
          }
        : null,
      ipv6: a.ipv6
        ? {
            tcp: maps.cilium_ct6_global,
            any: maps.cilium_ct_any6_global,
            nat: nat ? maps.cilium_snat_v6_external : null,
          }
        : null,
      now: a.jiffies ? () => helpers.jiffies_shr8() : () => helpers.ktime_get_sec(),
      interval: a.ctGcIntervalNs,
    });
    node.serviceMaps = new ServiceMaps(maps, { tableSize: a.maglevTableSize });
    const vars = (fields: Parameters<typeof objectVariables>[2]) => objectVariables(a, node.facts, fields);

    const hostVars = (dev: { ifindex: number; mac: Uint8Array }) =>
      vars({ interface_ifindex: dev.ifindex, interface_mac: dev.mac, security_label: ID_HOST });
    const onHost = node.datapath.loadHost(hostVars(host));
    host.tc_ingress = onHost.to_host;
    host.tc_egress = onHost.from_host;
    net.tc_ingress = node.datapath.loadHost(hostVars(net)).to_host;
    if (overlay !== undefined) {
      const onOverlay = node.datapath.loadOverlay(hostVars(overlay));
      overlay.tc_ingress = onOverlay.from_overlay;
      overlay.tc_egress = onOverlay.to_overlay;
    }
    const wg = node.wireguard;
    if (wg !== null) {
      const onWireguard = node.datapath.loadWireguard({ ...hostVars(wg), eth_header_length: 0 });
      wg.tc_ingress = onWireguard.from_wireguard;
      // Only replies of services need a program on the way in.
      if (a.routingMode === "native" && a.l7Proxy && a.kubeProxyReplacement)
        wg.tc_egress = onWireguard.to_wireguard;
    }
    if (a.socketLb && a.kubeProxyReplacement)
      machine.kernel.cgroup = new SockHooks(node.datapath.loadSock(vars({})));
    // Native devices get programs only when some feature needs them there.
    if (a.kubeProxyReplacement || a.bpfMasquerade || a.hostFirewall || a.encryption !== "none") {
      for (const dev of machine.nics) {
        const onNetdev = node.datapath.loadHost(hostVars(dev));
        dev.tc_ingress = onNetdev.from_netdev;
        dev.tc_egress = onNetdev.to_netdev;
        if (a.lbAcceleration && a.kubeProxyReplacement)
          dev.xdp = node.datapath.loadXdp(hostVars(dev)).xdp_entry;
      }
    }
    return node;
  }

  /** Routes and rules of a node; every node's router address is known by now. */
  #routes(node: CiliumNode): void {
    const a = this.config;
    const ns = node.machine.ns;
    const host = ns.devByName("cilium_host")!;
    const router = node.routerIp4;
    // The local table moves behind the rules for proxy traffic.
    addMarkRule(ns, 9, 0x200, 0xf00, 2004);
    addRoute(ns, { to: "0.0.0.0/0", dev: ns.lo, type: "local", table: 2004 });
    if (router !== undefined) this.#fromProxyRoutes(ns, router, host, node.facts.mtu);
    if (router !== undefined) {
      addRoute(ns, { to: `${router}/32`, dev: host, scope: "link" });
      for (const cidr of node.model.podCidrs) {
        if (!cidr.includes(":")) addRoute(ns, { to: cidr, via: router, dev: host, src: router, proto: 2 });
      }
    }
    for (const other of this.nodes) {
      if (other === node) continue;
      for (const cidr of other.model.podCidrs) {
        if (cidr.includes(":")) continue;
        if (a.routingMode === "tunnel") {
          if (router !== undefined)
            addRoute(ns, {
              to: cidr,
              via: router,
              dev: host,
              src: router,
              proto: 2,
              mtu: routeMtu(a, node.facts.mtu),
            });
        } else if (a.autoDirectNodeRoutes && other.model.internalIp4 !== undefined) {
          // A node of another subnet has none: the agent writes a line in its log and goes on.
          tryRoute(ns, { to: cidr, via: other.model.internalIp4, proto: 2 });
        }
      }
    }
    if (a.ipv6) this.#routes6(node);
    this.#hostAddresses(node);
  }

  /** requireFromProxyRoutes(): what a proxy sends goes by cilium_host where it must not leave by the native device. */
  #fromProxyRoutes(ns: Netns, router: string, host: NetDevice, mtu: number): void {
    const a = this.config;
    const egress = a.envoyConfig || a.encryption === "ipsec";
    if (a.routingMode === "tunnel" || !a.l7Proxy || !(egress || a.encryption === "wireguard")) return;
    addMarkRule(ns, 10, 0xa00, 0xf00, 2005);
    if (egress) addMarkRule(ns, 10, 0xb00, 0xf00, 2005);
    addRoute(ns, { to: `${router}/32`, dev: host, scope: "link", table: 2005 });
    addRoute(ns, {
      to: "default",
      via: router,
      dev: host,
      table: 2005,
      mtu: a.encryption === "none" ? undefined : routeMtu(a, mtu),
    });
  }

  /** The same for IPv6: pods by cilium_host, other nodes' pods by the node or, in tunnel mode, by cilium_host too. */
  #routes6(node: CiliumNode): void {
    const a = this.config;
    const ns = node.machine.ns;
    const host = ns.devByName("cilium_host")!;
    const v6 = (n: CiliumNode): string[] => n.model.podCidrs.filter((c) => c.includes(":"));
    for (const cidr of v6(node)) addRoute6(ns, cidr, host);
    for (const other of this.nodes) {
      if (other === node) continue;
      for (const cidr of v6(other)) {
        if (a.routingMode === "tunnel") addRoute6(ns, cidr, host, undefined, routeMtu(a, node.facts.mtu));
        else if (a.autoDirectNodeRoutes && other.model.internalIp6 !== undefined)
          addRoute6(ns, cidr, node.machine.nics[0]!, other.model.internalIp6);
      }
    }
  }

  /** iptables of a node; the proxies that its endpoints' policies need are known by now. */
  #iptables(node: CiliumNode): void {
    const a = this.config;
    const ns = node.machine.ns;
    const router = node.routerIp4;
    const proxies = new Map<number, ProxyPort>();
    for (const e of node.endpoints.values()) {
      for (const r of e.policy.redirects)
        proxies.set(r.proxyPort, { name: r.proxy, port: r.proxyPort, ingress: r.direction === "ingress" });
    }
    const proxyPorts = [...proxies.values()];
    node.proxy = new NodeProxy(ns, proxyPorts, node.maps);
    const text = ciliumIptables(a, {
      podCidr4: node.model.podCidrs.find((c) => !c.includes(":")),
      routerIp4: router,
      proxyPorts,
    });
    if (a.masquerade4 && !a.bpfMasquerade) {
      const members = this.nodes.map((n) => n.model.internalIp4).filter((ip) => ip !== undefined);
      makeIpset(ns, "cilium_node_set_v4", "hash:ip family inet", members);
    }
    node.unmodelled.push(...restoreIptables(ns, text, "cilium"));
    if (a.ipv6) ns.outputMark6 = hostMark6;
    // Node ports and the node's own connections to services are kube-proxy's where Cilium does not replace it.
    if (!a.kubeProxyReplacement) {
      const rules = (text: string, file: string): void => {
        node.unmodelled.push(...restoreIptables(ns, text, file, true));
      };
      installKubeProxy(this.model, { name: node.name, ns, rules }, clusterCidr(this.model));
    }
    if (node.model.iptables !== undefined) {
      node.unmodelled.push(...restoreIptables(ns, node.model.iptables, `iptables of ${node.name}`, true));
    }
  }

  /** cilium_lxc entries of the node's own addresses. */
  #hostAddresses(node: CiliumNode): void {
    const value = new LxcValue();
    value.flags = ENDPOINT_F_HOST;
    const key = new LxcKey();
    for (const dev of node.machine.ns.devOrder) {
      if (dev === node.machine.ns.lo) continue;
      for (const addr of dev.addrs)
        node.maps.cilium_lxc.update(key.setIpv4(addr.local).words, value.words, BPF_ANY);
      for (const addr of dev.addrs6)
        node.maps.cilium_lxc.update(key.setIpv6(viewOf(addr.bytes), 0).words, value.words, BPF_ANY);
    }
  }

  // --- endpoints ----------------------------------------------------------------------------------------------------

  #identify(pod: PodModel): void {
    const namespaceLabels = this.model.namespaces.find((n) => n.name === pod.namespace)?.labels ?? {};
    const labels = podIdentityLabels(
      { namespace: pod.namespace, labels: pod.labels, namespaceLabels, serviceAccount: pod.serviceAccount },
      this.config.clusterName,
    );
    if (pod.identity !== undefined) this.identities.fix(pod.identity, labels);
    this.#identityOf.set(podKey(pod.namespace, pod.name), pod.identity ?? this.identities.pod(labels));
  }

  #addEndpoint(pod: PodModel): void {
    const a = this.config;
    const node = this.nodes.find((n) => n.name === pod.nodeName)!;
    const key = podKey(pod.namespace, pod.name);
    const identity = this.#identityOf.get(key)!;
    const taken = new Set([...node.endpoints.keys(), node.hostEndpointId]);
    const id = pod.endpointId ?? this.#endpointId(taken);
    if (taken.has(id)) {
      throw new PodpathError(
        "SCENARIO_INVALID",
        `endpoint id ${id} of pod ${key} is taken on node ${node.name}`,
        pod.pos,
      );
    }
    const mtu = pod.mtu ?? node.facts.mtu;
    const toPods = routeMtu(a, mtu);
    const name = pod.hostInterface ?? lxcName(key);
    const sandbox = this.machines.sandbox(pod, node.machine, name, mtu, { device: a.datapathMode });
    this.pods.set(key, sandbox);
    const { host, eth0, ns } = sandbox;
    if (pod.firstIpId !== undefined) ip_ident_start(ns, pod.firstIpId);
    setSysctl(node.machine.ns, `net/ipv4/conf/${host.name}/rp_filter`, 0);
    setSysctl(node.machine.ns, `net/ipv4/conf/${host.name}/forwarding`, 1);
    setSysctl(node.machine.ns, `net/ipv4/conf/${host.name}/accept_local`, 1);
    if (pod.ip4 !== undefined) {
      addAddress(eth0, `${pod.ip4}/32`);
      const router = node.routerIp4;
      if (router !== undefined) {
        addRoute(ns, { to: router, dev: eth0, scope: "link" });
        addRoute(ns, {
          to: "default",
          via: router,
          dev: eth0,
          mtu: toPods === mtu ? undefined : toPods,
        });
      }
      if (a.endpointRoutes)
        addRoute(node.machine.ns, { to: `${pod.ip4}/32`, dev: host, scope: "link", proto: 2 });
    }
    if (pod.ip6 !== undefined && a.ipv6) {
      addAddress(eth0, `${pod.ip6}/128`);
      const router = node.routerIp6;
      if (router !== undefined) {
        addRoute6(ns, router, eth0);
        addRoute6(ns, "default", eth0, router, toPods === mtu ? 0 : toPods);
      }
      if (a.endpointRoutes) addRoute6(node.machine.ns, `${pod.ip6}/128`, host);
    }
    const endpoint: CiliumEndpoint = {
      id,
      identity,
      labels: this.identities.labelsOf(identity) ?? LabelSet.parse([]),
      sandbox,
      policy: { ingressEnforced: false, egressEnforced: false, entries: [], redirects: [], rules: [] },
    };
    node.endpoints.set(id, endpoint);

    const value = new LxcValue();
    value.ifindex = host.ifindex;
    value.lxc_id = id;
    value.setMac(eth0.mac);
    value.setNodeMac(host.mac);
    value.sec_id = identity;
    const lxc = new LxcKey();
    if (pod.ip4 !== undefined)
      node.maps.cilium_lxc.update(lxc.setIpv4(parseIpv4(pod.ip4)).words, value.words, BPF_ANY);
    if (pod.ip6 !== undefined) {
      node.maps.cilium_lxc.update(lxc.setIpv6(viewOf(parseIpv6(pod.ip6)), 0).words, value.words, BPF_ANY);
    }
  }

  /** Loads an endpoint's programs; called again when its policy changes what the programs are built with. */
  #load(node: CiliumNode, e: CiliumEndpoint): void {
    const { host, pod } = e.sandbox;
    const loaded = node.datapath.loadLxc(
      objectVariables(this.config, node.facts, {
        endpoint_id: e.id,
        endpoint_ipv4: pod.ip4 === undefined ? 0 : parseIpv4(pod.ip4),
        endpoint_ipv6: pod.ip6 === undefined ? NO_IP6 : words6(pod.ip6),
        endpoint_netns_cookie: e.sandbox.ns.cookie,
        interface_ifindex: host.ifindex,
        interface_mac: host.mac,
        security_label: e.identity,
        policy_verdict_log_filter: (e.policy.ingressEnforced ? 1 : 0) | (e.policy.egressEnforced ? 2 : 0),
      }),
    );
    const toContainer = this.config.endpointRoutes ? loaded.to_container : null;
    if (host instanceof NetkitDevice) {
      host.peer!.programs = [loaded.from_container];
      host.programs = toContainer === null ? [] : [toContainer];
    } else {
      host.tc_ingress = loaded.from_container;
      host.tc_egress = toContainer;
    }
  }

  // --- identities and addresses ---------------------------------------------------------------------------------------

  /** Prefixes outside the pods that have identities: policies' CIDRs, nodes. As the agent of `node` sees them. */
  #prefixes(): (node: CiliumNode) => { prefix: string; identity: number }[] {
    const groups = this.model.objects
      .filter((o) => o.kind === "CiliumCIDRGroup")
      .map((o) => cidrGroupOf(o.raw));
    return (node) => {
      const nodes: NodeAddress[] = [];
      for (const n of this.nodes) {
        const kind = n === node ? "host" : "remote-node";
        for (const dev of n.machine.ns.devOrder) {
          if (dev === n.machine.ns.lo) continue;
          for (const addr of dev.addrs) nodes.push({ ip: text4(addr.local), kind });
          if (!this.config.ipv6) continue;
          // Link-local addresses are every node's.
          for (const addr of dev.addrs6)
            if (addr.scope === 0) nodes.push({ ip: formatIpv6(addr.bytes), kind });
        }
      }
      return resolveIpcache(
        { config: this.policyConfig, rules: this.policies.rules, nodes, cidrGroups: groups, dns: {} },
        this.identities,
      );
    };
  }

  #ipcache(node: CiliumNode, prefixes: (node: CiliumNode) => { prefix: string; identity: number }[]): void {
    const a = this.config;
    const map = node.maps.cilium_ipcache_v2;
    const key = new IpcacheKey();
    const encryptKey = { none: 0, wireguard: WIREGUARD_KEY, ipsec: IPSEC_KEY }[a.encryption];
    // A node that opted out encrypts nothing to other nodes, and they nothing to it.
    const nodeKey = (of: CiliumNode): number =>
      a.encryptNode && !optedOut(a, node) && !optedOut(a, of) ? WIREGUARD_KEY : 0;
    const put = (prefix: string, identity: number, tunnel: string | undefined, key4 = 0): void => {
      const value = new IpcacheValue();
      value.sec_identity = identity;
      value.key = key4;
      if (tunnel !== undefined) {
        value.tunnel_endpoint4 = parseIpv4(tunnel);
        value.flags = IPCACHE_F_HAS_TUNNEL_EP;
      }
      const [addr, bits] = prefix.split("/");
      const v6 = prefix.includes(":");
      if (v6) key.setIpv6(viewOf(parseIpv6(addr!)), 0, bits === undefined ? 128 : Number(bits));
      else key.setIpv4(parseIpv4(addr!), bits === undefined ? 32 : Number(bits));
      map.update(key.words, value.words, BPF_ANY);
    };
    const dual = a.ipv4 && a.ipv6;
    if (a.ipv4) put("0.0.0.0/0", dual ? ID_WORLD_IPV4 : ID_WORLD, undefined);
    if (a.ipv6) put("::/0", dual ? ID_WORLD_IPV6 : ID_WORLD, undefined);
    // The host firewall wants the sender's identity with the packet, and encryption both directions on one way.
    const nodesInTunnel = a.hostFirewall || a.encryptNode;
    const ownerOf = new Map<string, CiliumNode>();
    for (const other of this.nodes) {
      for (const dev of other.machine.ns.devOrder) {
        for (const addr of dev.addrs) ownerOf.set(`${text4(addr.local)}/32`, other);
        for (const addr of dev.addrs6) ownerOf.set(`${formatIpv6(addr.bytes)}/128`, other);
      }
    }
    for (const p of prefixes(node)) {
      const owner = ownerOf.get(p.prefix);
      if (owner === undefined || owner === node) put(p.prefix, p.identity, undefined);
      else put(p.prefix, p.identity, nodesInTunnel ? owner.model.internalIp4 : undefined, nodeKey(owner));
    }
    // Router addresses of other nodes live in their pod CIDRs: reached through the tunnel, as pods are.
    for (const other of this.nodes) {
      if (other === node) continue;
      if (other.routerIp4 !== undefined && a.ipv4)
        put(other.routerIp4, ID_REMOTE_NODE, other.model.internalIp4, nodeKey(other));
      if (other.routerIp6 !== undefined && a.ipv6)
        put(other.routerIp6, ID_REMOTE_NODE, other.model.internalIp4, nodeKey(other));
    }
    for (const pod of this.model.pods) {
      if (pod.hostNetwork) continue;
      const identity = this.#identityOf.get(podKey(pod.namespace, pod.name))!;
      const owner = this.model.nodes.find((n) => n.name === pod.nodeName)!;
      const tunnel = owner.name === node.name ? undefined : owner.internalIp4;
      if (pod.ip4 !== undefined && a.ipv4) put(pod.ip4, identity, tunnel, encryptKey);
      if (pod.ip6 !== undefined && a.ipv6) put(pod.ip6, identity, tunnel, encryptKey);
    }
  }

  // --- encryption -------------------------------------------------------------------------------------------------------

  #ipsec(): void {
    const { prng } = this.machines;
    const nodes = this.nodes.map((n) => ({
      name: n.name,
      ns: n.machine.ns,
      maps: n.maps,
      device: n.machine.nics[0]!,
      ciliumHost: n.machine.ns.devByName("cilium_host")!,
      mtu: n.facts.mtu,
      ip: n.model.internalIp4,
      router: n.routerIp4,
      podCidrs: n.model.podCidrs.filter((c) => !c.includes(":")),
    }));
    installIpsec(nodes, this.config, prng);
  }

  #wireguardPeers(node: CiliumNode): void {
    const a = this.config;
    if (node.wireguard === null) return;
    for (const other of this.nodes) {
      if (other === node || other.wireguard === null) continue;
      const pods = this.model.pods.filter((p) => p.nodeName === other.name && !p.hostNetwork);
      const remote = {
        device: other.wireguard,
        ip4: a.ipv4 ? other.model.internalIp4 : undefined,
        ip6: a.ipv6 ? other.model.internalIp6 : undefined,
        addresses: [
          ...[other.routerIp4, ...pods.map((p) => p.ip4)].filter((ip) => ip !== undefined && a.ipv4),
          ...[other.routerIp6, ...pods.map((p) => p.ip6)].filter((ip) => ip !== undefined && a.ipv6),
        ] as string[],
      };
      addWireguardPeer(node.wireguard, remote, a.routingMode === "native", a.wireguardKeepalive);
    }
  }

  // --- services ---------------------------------------------------------------------------------------------------------

  #programServices(node: CiliumNode): void {
    const a = this.config;
    node.frontends = nodeFrontends(this.services, {
      nodeName: node.name,
      zone: node.model.labels["topology.kubernetes.io/zone"] ?? "",
      nodePortAddresses: node.model.nics.flatMap((n) => n.addresses.map((x) => x.split("/")[0]!)),
      kubeProxyReplacement: a.kubeProxyReplacement,
      externalClusterIp: a.lbExternalClusterIp,
      algorithm: a.lbAlgorithm,
      algorithmAnnotation: true,
      mode: a.lbMode,
      modeAnnotation: false,
      ipv4: a.ipv4,
      ipv6: a.ipv6,
      pods: this.model.pods.filter((p) => p.nodeName === node.name),
    });
    node.serviceMaps.sync(node.frontends);
  }

  // --- egress gateway -----------------------------------------------------------------------------------------------------

  #egressGateway(): void {
    const policies = this.model.objects
      .filter((o) => o.kind === "CiliumEgressGatewayPolicy")
      .map((o) => egressGatewayPolicyOf(o.raw));
    const pods = this.model.pods.flatMap((p) => {
      const labels = this.identities.labelsOf(this.#identityOf.get(podKey(p.namespace, p.name)) ?? 0);
      return p.hostNetwork || p.ip4 === undefined || labels === undefined ? [] : [{ ip: p.ip4, labels }];
    });
    const gateways = this.nodes.map((n) => ({
      name: n.name,
      labels: n.model.labels,
      ip: n.model.internalIp4,
      addresses: n.machine.nics.map((d) => ({ device: d.name, ips: d.addrs.map((x) => text4(x.local)) })),
    }));
    for (const node of this.nodes) {
      const map = node.maps.cilium_egress_gw_policy_v4;
      const key = new EgressGwKey4();
      const value = new EgressGwValue4();
      for (const e of egressGatewayEntries(policies, pods, gateways, node.name)) {
        key.set(parseIpv4(e.source), parseIpv4(e.destination), e.bits);
        map.update(key.words, value.set(parseIpv4(e.egressIp), parseIpv4(e.gateway)).words, BPF_ANY);
      }
    }
  }

  // --- policy -----------------------------------------------------------------------------------------------------------

  /** Compiles the policy of every endpoint and writes the maps (the agent's endpoint regeneration). */
  #regenerate(): void {
    const identities = this.identities.all;
    const named = (p: PodModel): NamedPort[] =>
      p.ports
        .filter((c) => c.name !== undefined)
        .map((c) => ({ name: c.name!, port: c.containerPort, protocol: c.protocol }));
    const ctx = {
      config: this.policyConfig,
      identities,
      clusterNamedPorts: this.model.pods.filter((p) => !p.hostNetwork).map(named),
    };
    const cache = new SelectorCache(identities);
    for (const node of this.nodes) {
      for (const e of node.endpoints.values()) {
        try {
          e.policy = resolvePolicy(
            this.policies.rules,
            { identity: e.identity, labels: e.labels, isHost: false, namedPorts: named(e.sandbox.pod) },
            ctx,
            cache,
          );
        } catch (err) {
          // Rules that cannot be merged: the endpoint keeps its old map, as with the agent.
          if (!(err instanceof PolicyConflict)) throw err;
        }
        writePolicy(node.maps.addPolicyMap(e.id), e.policy.entries);
        this.#load(node, e);
      }
      if (this.config.hostFirewall) this.#hostPolicy(node, ctx, cache);
    }
  }

  /** The host endpoint's policy: rules with a nodeSelector, for traffic of the node itself. */
  #hostPolicy(node: CiliumNode, ctx: PolicyContext, cache: SelectorCache): void {
    const labels = [
      "reserved:host",
      ...Object.entries(node.model.labels).map(([k, v]) => (v === "" ? `k8s:${k}` : `k8s:${k}=${v}`)),
    ];
    try {
      const policy = resolvePolicy(
        this.policies.rules,
        { identity: ID_HOST, labels: LabelSet.parse(labels), isHost: true, namedPorts: [] },
        ctx,
        cache,
      );
      writePolicy(node.maps.addPolicyMap(node.hostEndpointId), policy.entries);
    } catch (err) {
      if (!(err instanceof PolicyConflict)) throw err;
    }
  }

  // --- numbers ----------------------------------------------------------------------------------------------------------

  /** An endpoint id that is not taken, from the lab's seed (the agent's are random too). */
  #endpointId(taken: ReadonlySet<number>): number {
    for (;;) {
      const id = 1 + this.machines.prng.below(4095);
      if (!taken.has(id)) return id;
    }
  }

  /** Likewise for an IPv6 pod CIDR. */
  #freeAddress6(cidr: string): string {
    const [a, bits] = cidr.split("/");
    const used = new Set(this.model.pods.map((p) => p.ip6));
    const bytes = networkOf6(parseIpv6(a!), Number(bits));
    for (;;) {
      // A prefix longer than /112 has fewer addresses than its last group counts; nobody writes one.
      new DataView(bytes.buffer).setUint16(14, new DataView(bytes.buffer).getUint16(14) + 1);
      const text = formatIpv6(bytes);
      if (!used.has(text)) return text;
    }
  }

  /** The first address of a pod CIDR that no pod has: the router's. */
  #freeAddress(cidr: string): string {
    const used = new Set(this.model.pods.map((p) => p.ip4));
    for (let n = 1; ; n++) {
      const a = nthAddress(cidr, n);
      if (!used.has(a)) return a;
    }
  }
}

function text4(addr: number): string {
  return `${addr & 0xff}.${(addr >>> 8) & 0xff}.${(addr >>> 16) & 0xff}.${addr >>> 24}`;
}

/** True for a node that does not take part in node encryption. */
function optedOut(a: AgentConfig, node: CiliumNode): boolean {
  return a.nodeEncryptionOptOut.some((label) => {
    const [key, value] = label.split("=");
    const have = node.model.labels[key!];
    return have !== undefined && (value === undefined || value === have);
  });
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function words6(text: string): Int32Array {
  return new Int32Array(parseIpv6(text).slice().buffer);
}

function prefix6(cidr: string): { address: Int32Array; bits: number } {
  const [a, bits] = cidr.split("/");
  return { address: words6(a!), bits: Number(bits) };
}

function prefix4(cidr: string): { address: number; bits: number } {
  const [a, bits] = cidr.split("/");
  const n = Number(bits);
  return { address: networkOf4(parseIpv4(a!), n), bits: n };
}

/**
 * Host-side device name of a pod: `lxc` and twelve hex digits. The agent takes them from a SHA-256 of the container id,
 * which a lab does not have; here a hash of the pod's name gives the same name in every run.
 */
function lxcName(key: string): string {
  let lo = 0x811c9dc5 | 0;
  let hi = 0x01000193 | 0;
  for (let i = 0; i < key.length; i++) {
    const c = key.charCodeAt(i);
    lo = Math.imul(lo ^ c, 0x01000193);
    hi = Math.imul(hi ^ c, 0x85ebca6b) ^ (hi >>> 13);
  }
  return `lxc${((lo >>> 0).toString(16).padStart(8, "0") + (hi >>> 0).toString(16).padStart(8, "0")).slice(0, 12)}`;
}
