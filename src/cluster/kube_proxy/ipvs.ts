// kube-proxy's ipvs mode (pkg/proxy/ipvs/proxier.go): services as virtual servers on addresses of kube-ipvs0; rules and
// sets only say what is masqueraded and what is let in.

import { DummyDevice } from "../../kernel/dummy.js";
import { IpVs, ipvsState } from "../../kernel/ipvs/ip_vs.js";
import { IpVsService } from "../../kernel/ipvs/ip_vs_sched.js";
import { nfState } from "../../kernel/netfilter/hooks.js";
import { formatIpv4, parseIpv4, parseMac } from "../../net/address.js";
import { inPrefix } from "../linux_plane.js";
import { addAddress, makeIpset, setSysctl } from "../netcfg.js";
import type { KubeProxyConfig } from "./config.js";
import type { ProxyNode } from "./kube_proxy.js";
import type { ProxyEndpoint, ServicePort } from "./service_map.js";

export const KUBE_IPVS = "kube-ipvs0";

const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const;

interface Sets {
  readonly [name: string]: { readonly type: string; readonly members: Set<string> };
}

/** Makes kube-ipvs0, the virtual servers and the sets; gives the rules to load. */
export function installIpvs(n: ProxyNode, ports: readonly ServicePort[], config: KubeProxyConfig): string {
  const ns = n.ns;
  const nodeAddresses = nodePortAddresses(n, config);
  // NOARP and down: the addresses are in the local table all the same.
  const dev = new DummyDevice(ns, KUBE_IPVS, parseMac("02:69:70:76:73:00"));
  for (const [k, v] of [
    ["conntrack", 1],
    ["conn_reuse_mode", 0],
    ["expire_nodest_conn", 1],
    ["expire_quiescent_template", 1],
  ] as const)
    setSysctl(ns, `net/ipv4/vs/${k}`, v);
  if (config.strictArp) {
    setSysctl(ns, "net/ipv4/conf/all/arp_ignore", 1);
    setSysctl(ns, "net/ipv4/conf/all/arp_announce", 2);
  }
  const set = (type: string): { type: string; members: Set<string> } => ({ type, members: new Set() });
  const address = "hash:ip,port";
  const sets = {
    "KUBE-LOOP-BACK": set("hash:ip,port,ip"),
    "KUBE-CLUSTER-IP": set(address),
    "KUBE-EXTERNAL-IP": set(address),
    "KUBE-EXTERNAL-IP-LOCAL": set(address),
    "KUBE-LOAD-BALANCER": set(address),
    "KUBE-LOAD-BALANCER-LOCAL": set(address),
    "KUBE-LOAD-BALANCER-FW": set(address),
    "KUBE-LOAD-BALANCER-SOURCE-CIDR": set("hash:ip,port,net"),
    "KUBE-NODE-PORT-TCP": set("bitmap:port range 0-65535"),
    "KUBE-NODE-PORT-LOCAL-TCP": set("bitmap:port range 0-65535"),
    "KUBE-NODE-PORT-UDP": set("bitmap:port range 0-65535"),
    "KUBE-NODE-PORT-LOCAL-UDP": set("bitmap:port range 0-65535"),
    "KUBE-IPVS-IPS": set("hash:ip"),
  } satisfies Sets;
  const into = (name: keyof typeof sets, member: string): void => {
    sets[name].members.add(member);
  };
  const bound = new Set<string>();
  const vs = ipvsState(nfState(ns));
  const virtual = (p: ServicePort, ip: string, port: number, endpoints: readonly ProxyEndpoint[]): void => {
    const addr = parseIpv4(ip);
    const proto = PROTOCOLS[p.protocol];
    // Two services with one address: the first one has it.
    if (vs.services.has(IpVs.key(proto, addr, port, 0))) return;
    const svc = new IpVsService(proto, addr, port, 0, config.scheduler);
    svc.persistent = p.affinitySec ?? 0;
    vs.addService(svc);
    for (const e of endpoints) vs.addDest(svc, parseIpv4(e.address), e.port, 1, "masq");
  };
  const bind = (ip: string): void => {
    if (bound.has(ip)) return;
    bound.add(ip);
    addAddress(dev, `${ip}/32`);
    into("KUBE-IPVS-IPS", ip);
  };
  for (const p of ports) {
    const internal = p.internalLocal ? p.localEndpoints : p.clusterEndpoints;
    const external = p.externalLocal ? p.localEndpoints : p.clusterEndpoints;
    const key = (ip: string): string => `${ip},${p.protocol}:${p.port}`;
    for (const e of p.clusterEndpoints)
      into("KUBE-LOOP-BACK", `${e.address},${p.protocol}:${e.port},${e.address}`);
    bind(p.clusterIp);
    into("KUBE-CLUSTER-IP", key(p.clusterIp));
    virtual(p, p.clusterIp, p.port, internal);
    for (const ip of p.externalIps) {
      bind(ip);
      into(p.externalLocal ? "KUBE-EXTERNAL-IP-LOCAL" : "KUBE-EXTERNAL-IP", key(ip));
      virtual(p, ip, p.port, external);
    }
    for (const ip of p.loadBalancerIps) {
      bind(ip);
      into("KUBE-LOAD-BALANCER", key(ip));
      if (p.externalLocal) into("KUBE-LOAD-BALANCER-LOCAL", key(ip));
      if (p.sourceRanges.length > 0) {
        into("KUBE-LOAD-BALANCER-FW", key(ip));
        for (const r of p.sourceRanges) into("KUBE-LOAD-BALANCER-SOURCE-CIDR", `${key(ip)},${r}`);
      }
      virtual(p, ip, p.port, external);
    }
    if (p.nodePort !== 0) {
      const family = p.protocol === "udp" ? "UDP" : "TCP";
      into(`KUBE-NODE-PORT-${family}`, String(p.nodePort));
      if (p.externalLocal) into(`KUBE-NODE-PORT-LOCAL-${family}`, String(p.nodePort));
      for (const a of nodeAddresses) virtual(p, a, p.nodePort, external);
    }
  }
  for (const [name, s] of Object.entries(sets)) makeIpset(ns, name, s.type, s.members);
  return rules(config);
}

/** Addresses that node ports are served on: all of the node's but those of lo and kube-ipvs0. */
export function nodePortAddresses(n: ProxyNode, config: KubeProxyConfig): string[] {
  const all = n.ns.devOrder
    .filter((d) => d !== n.ns.lo && d.name !== KUBE_IPVS)
    .flatMap((d) => d.addrs.map((a) => formatIpv4(a.local)));
  const only = config.nodePortAddresses.filter((c) => c.includes("."));
  return only.length === 0 ? all : all.filter((a) => only.some((c) => inPrefix(c, a)));
}

function rules(config: KubeProxyConfig): string {
  const m = config.masqueradeMark;
  const mark = `${m}/${m}`;
  const match = (set: string, dirs: string): string => `-m set --match-set ${set} ${dirs}`;
  const nodePort = (proto: string, family: string): string[] => [
    `-A KUBE-NODE-PORT -p ${proto} -m comment --comment "Kubernetes nodeport ${family} port with externalTrafficPolicy=local" ${match(`KUBE-NODE-PORT-LOCAL-${family}`, "dst")} -j RETURN`,
    `-A KUBE-NODE-PORT -p ${proto} -m comment --comment "Kubernetes nodeport ${family} port for masquerade purpose" ${match(`KUBE-NODE-PORT-${family}`, "dst")} -j KUBE-MARK-MASQ`,
  ];
  const clusterIp = '-m comment --comment "Kubernetes service cluster ip + port for masquerade purpose"';
  const externalIp =
    '-m comment --comment "Kubernetes service external ip + port for masquerade and filter purpose"';
  const outside = "-m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL";
  return [
    "*nat",
    ":KUBE-SERVICES - [0:0]",
    ":KUBE-POSTROUTING - [0:0]",
    ":KUBE-LOAD-BALANCER - [0:0]",
    ":KUBE-MARK-MASQ - [0:0]",
    ":KUBE-NODE-PORT - [0:0]",
    '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
    '-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
    '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
    `-A KUBE-LOAD-BALANCER -m comment --comment "Kubernetes service load balancer ip + port with externalTrafficPolicy=local" ${match("KUBE-LOAD-BALANCER-LOCAL", "dst,dst")} -j RETURN`,
    "-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ",
    `-A KUBE-MARK-MASQ -j MARK --set-xmark ${mark}`,
    ...nodePort("tcp", "TCP"),
    ...nodePort("udp", "UDP"),
    `-A KUBE-POSTROUTING -m comment --comment "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose" ${match("KUBE-LOOP-BACK", "dst,dst,src")} -j MASQUERADE`,
    `-A KUBE-POSTROUTING -m mark ! --mark ${mark} -j RETURN`,
    `-A KUBE-POSTROUTING -j MARK --set-xmark ${m}/0x0`,
    '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE',
    "-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN",
    `-A KUBE-SERVICES -m comment --comment "Kubernetes service lb portal" ${match("KUBE-LOAD-BALANCER", "dst,dst")} -j KUBE-LOAD-BALANCER`,
    ...(config.masqueradeAll
      ? [`-A KUBE-SERVICES ${clusterIp} ${match("KUBE-CLUSTER-IP", "dst,dst")} -j KUBE-MARK-MASQ`]
      : config.clusterCidr === undefined
        ? [`-A KUBE-SERVICES ${clusterIp} ${match("KUBE-CLUSTER-IP", "src,dst")} -j KUBE-MARK-MASQ`]
        : [
            `-A KUBE-SERVICES ! -s ${config.clusterCidr} ${clusterIp} ${match("KUBE-CLUSTER-IP", "dst,dst")} -j KUBE-MARK-MASQ`,
          ]),
    `-A KUBE-SERVICES ${externalIp} ${match("KUBE-EXTERNAL-IP", "dst,dst")} -j KUBE-MARK-MASQ`,
    `-A KUBE-SERVICES ${externalIp} ${match("KUBE-EXTERNAL-IP", "dst,dst")} ${outside} -j ACCEPT`,
    `-A KUBE-SERVICES ${externalIp} ${match("KUBE-EXTERNAL-IP", "dst,dst")} -m addrtype --dst-type LOCAL -j ACCEPT`,
    `-A KUBE-SERVICES ${externalIp} ${match("KUBE-EXTERNAL-IP-LOCAL", "dst,dst")} ${outside} -j ACCEPT`,
    `-A KUBE-SERVICES ${externalIp} ${match("KUBE-EXTERNAL-IP-LOCAL", "dst,dst")} -m addrtype --dst-type LOCAL -j ACCEPT`,
    "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT",
    `-A KUBE-SERVICES ${match("KUBE-CLUSTER-IP", "dst,dst")} -j ACCEPT`,
    `-A KUBE-SERVICES ${match("KUBE-LOAD-BALANCER", "dst,dst")} -j ACCEPT`,
    "COMMIT",
    "*filter",
    ":KUBE-FORWARD - [0:0]",
    ":KUBE-PROXY-FIREWALL - [0:0]",
    ":KUBE-SOURCE-RANGES-FIREWALL - [0:0]",
    ...(config.ipvsFilter ? IPVS_FILTER : []),
    '-A INPUT -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL',
    '-A FORWARD -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL',
    '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
    `-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark ${mark} -j ACCEPT`,
    '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    `-A KUBE-PROXY-FIREWALL -m comment --comment "Kubernetes service load balancer ip + port for load balancer with sourceRange" ${match("KUBE-LOAD-BALANCER-FW", "dst,dst")} -j KUBE-SOURCE-RANGES-FIREWALL`,
    `-A KUBE-SOURCE-RANGES-FIREWALL ${match("KUBE-LOAD-BALANCER-SOURCE-CIDR", "dst,dst,src")} -j RETURN`,
    "-A KUBE-SOURCE-RANGES-FIREWALL -j DROP",
    "COMMIT",
    "",
  ].join("\n");
}

/** Newer kube-proxy: an address of kube-ipvs0 is the node's, but only its services are meant, nothing else answers there. */
const IPVS_FILTER = [
  ":KUBE-IPVS-FILTER - [0:0]",
  '-A INPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-FILTER',
  ...["KUBE-LOAD-BALANCER", "KUBE-CLUSTER-IP", "KUBE-EXTERNAL-IP", "KUBE-EXTERNAL-IP-LOCAL"].map(
    (s) => `-A KUBE-IPVS-FILTER -m set --match-set ${s} dst,dst -j RETURN`,
  ),
  "-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -m set --match-set KUBE-IPVS-IPS dst -j REJECT --reject-with icmp-port-unreachable",
];
