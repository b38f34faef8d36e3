// kube-proxy's iptables mode (pkg/proxy/iptables/proxier.go): services as chains of rules.
//
//   KUBE-SERVICES --> KUBE-SVC-x (all endpoints) | KUBE-SVL-x (local ones) --> KUBE-SEP-y --> DNAT
//        |            KUBE-EXT-x (from outside: masquerade or not, then one of the above)
//        |            KUBE-FW-x  (load balancer with source ranges, then KUBE-EXT-x)
//        +--> KUBE-NODEPORTS --> KUBE-EXT-x
//
// What has no endpoints is refused in the filter table.

import { base32Of, sha256 } from "../../base/sha.js";
import type { KubeProxyConfig } from "./config.js";
import type { ProxyEndpoint, ServicePort } from "./service_map.js";

/** KUBE-SVC-, KUBE-SVL-, KUBE-EXT-, KUBE-FW- and the hash of service port and protocol. */
export function servicePortChain(
  prefix: "SVC" | "SVL" | "EXT" | "FW",
  name: string,
  protocol: string,
): string {
  return `KUBE-${prefix}-${hash(name + protocol)}`;
}

/** KUBE-SEP- and the hash of service port, protocol and endpoint. */
export function endpointChain(name: string, protocol: string, endpoint: string): string {
  return `KUBE-SEP-${hash(name + protocol + endpoint)}`;
}

/** 16 characters of base32 are ten bytes. */
const hash = (s: string): string => base32Of(sha256(s).subarray(0, 10));

/** The rules of a node for iptables-restore --noflush. */
export function iptablesRules(ports: readonly ServicePort[], config: KubeProxyConfig): string {
  const nat = new Rules();
  const flt = new Rules();
  const mark = `${config.masqueradeMark}/${config.masqueradeMark}`;
  for (const c of ["KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ"]) nat.chain(c);
  for (const c of [
    "KUBE-SERVICES",
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-PROXY-FIREWALL",
    "KUBE-FORWARD",
    "KUBE-FIREWALL",
  ])
    flt.chain(c);
  nat.add('PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES');
  nat.add('OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES');
  nat.add('POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING');
  nat.add(`KUBE-MARK-MASQ -j MARK --set-xmark ${mark}`);
  nat.add(`KUBE-POSTROUTING -m mark ! --mark ${mark} -j RETURN`);
  // The mark goes, so that a packet that leaves by a tunnel is not masqueraded again outside.
  nat.add(`KUBE-POSTROUTING -j MARK --set-xmark ${config.masqueradeMark}/0x0`);
  nat.add('KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE');

  for (const p of ports) servicePort(p, config, nat, flt);

  nat.add(
    'KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
  );
  const fresh = "-m conntrack --ctstate NEW -m comment --comment";
  flt.add(`INPUT ${fresh} "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL`);
  flt.add(`INPUT ${fresh} "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES`);
  flt.add(`INPUT ${fresh} "kubernetes service portals" -j KUBE-SERVICES`);
  flt.add("INPUT -j KUBE-FIREWALL");
  flt.add(`FORWARD ${fresh} "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL`);
  flt.add('FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD');
  flt.add(`FORWARD ${fresh} "kubernetes service portals" -j KUBE-SERVICES`);
  flt.add(`FORWARD ${fresh} "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES`);
  flt.add(`OUTPUT ${fresh} "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL`);
  flt.add(`OUTPUT ${fresh} "kubernetes service portals" -j KUBE-SERVICES`);
  flt.add("OUTPUT -j KUBE-FIREWALL");
  flt.add(
    'KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP',
  );
  flt.add("KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP");
  flt.add(`KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark ${mark} -j ACCEPT`);
  flt.add(
    'KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
  );
  return nat.text("nat") + flt.text("filter");
}

class Rules {
  readonly #chains = new Set<string>();
  readonly #rules: string[] = [];

  chain(name: string): void {
    this.#chains.add(name);
  }

  add(rule: string): void {
    this.#rules.push(rule);
  }

  text(table: string): string {
    const chains = [...this.#chains].map((c) => `:${c} - [0:0]\n`).join("");
    return `*${table}\n${chains}${this.#rules.map((r) => `-A ${r}\n`).join("")}COMMIT\n`;
  }
}

function servicePort(p: ServicePort, config: KubeProxyConfig, nat: Rules, flt: Rules): void {
  const { name, protocol } = p;
  const comment = (s: string): string => `-m comment --comment "${name}${s}"`;
  const to = (ip: string, port: number, s: string): string =>
    `-d ${ip}/32 -p ${protocol} ${comment(s)} -m ${protocol} --dport ${port}`;
  const svc = servicePortChain("SVC", name, protocol);
  // The same hash in all chains of a port.
  const [svl, ext, fw] = [svc.replace("SVC", "SVL"), svc.replace("SVC", "EXT"), svc.replace("SVC", "FW")];
  const external = p.nodePort !== 0 || p.externalIps.length > 0 || p.loadBalancerIps.length > 0;
  const internalEndpoints = p.internalLocal ? p.localEndpoints : p.clusterEndpoints;
  const externalEndpoints = p.externalLocal ? p.localEndpoints : p.clusterEndpoints;
  const any = p.clusterEndpoints.length > 0 || p.localEndpoints.length > 0;

  // ClusterIP.
  const internal = p.internalLocal ? svl : svc;
  if (internalEndpoints.length > 0) {
    nat.add(`KUBE-SERVICES ${to(p.clusterIp, p.port, " cluster IP")} -j ${internal}`);
  } else if (any) {
    flt.add(`KUBE-SERVICES ${to(p.clusterIp, p.port, " has no local endpoints")} -j DROP`);
  } else {
    flt.add(
      `KUBE-SERVICES ${to(p.clusterIp, p.port, " has no endpoints")} -j REJECT --reject-with icmp-port-unreachable`,
    );
  }
  const refuse = any ? " has no local endpoints" : " has no endpoints";
  const how = any ? "DROP" : "REJECT --reject-with icmp-port-unreachable";
  const open = externalEndpoints.length > 0;
  // With policy Local, pods and the node itself still reach all endpoints.
  const usesExt = external && any;
  for (const ip of p.externalIps) {
    if (usesExt) nat.add(`KUBE-SERVICES ${to(ip, p.port, " external IP")} -j ${ext}`);
    if (!open) flt.add(`KUBE-EXTERNAL-SERVICES ${to(ip, p.port, refuse)} -j ${how}`);
  }
  for (const ip of p.loadBalancerIps) {
    const chain = p.sourceRanges.length > 0 ? fw : ext;
    if (usesExt) nat.add(`KUBE-SERVICES ${to(ip, p.port, " loadbalancer IP")} -j ${chain}`);
    if (usesExt && p.sourceRanges.length > 0)
      flt.add(`KUBE-PROXY-FIREWALL ${to(ip, p.port, ` traffic not accepted by ${fw}`)} -j DROP`);
    if (!open) flt.add(`KUBE-EXTERNAL-SERVICES ${to(ip, p.port, refuse)} -j ${how}`);
  }
  if (p.nodePort !== 0) {
    const rule = `-p ${protocol} ${comment("")} -m ${protocol} --dport ${p.nodePort}`;
    if (usesExt) nat.add(`KUBE-NODEPORTS ${rule} -j ${ext}`);
    if (!open)
      flt.add(
        `KUBE-EXTERNAL-SERVICES -p ${protocol} ${comment(refuse)} -m addrtype --dst-type LOCAL -m ${protocol} --dport ${p.nodePort} -j ${how}`,
      );
  }
  if (!any) return;

  // From outside: masquerade (the answer must come back here), or keep the source and take local endpoints.
  if (usesExt) {
    nat.chain(ext);
    if (!p.externalLocal) {
      nat.add(
        `${ext} -m comment --comment "masquerade traffic for ${name} external destinations" -j KUBE-MARK-MASQ`,
      );
    } else {
      if (config.clusterCidr !== undefined)
        nat.add(
          `${ext} -s ${config.clusterCidr} -m comment --comment "pod traffic for ${name} external destinations" -j ${svc}`,
        );
      nat.add(
        `${ext} -m comment --comment "masquerade LOCAL traffic for ${name} external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ`,
      );
      nat.add(
        `${ext} -m comment --comment "route LOCAL traffic for ${name} external destinations" -m addrtype --src-type LOCAL -j ${svc}`,
      );
    }
    if (open) nat.add(`${ext} -j ${p.externalLocal ? svl : svc}`);
    if (p.loadBalancerIps.length > 0 && p.sourceRanges.length > 0) {
      nat.chain(fw);
      for (const r of p.sourceRanges) nat.add(`${fw} -s ${r} ${comment(" loadbalancer IP")} -j ${ext}`);
      nat.add(`${fw} -m comment --comment "other traffic to ${name} will be dropped by KUBE-PROXY-FIREWALL"`);
    }
  }
  const usesCluster = (!p.internalLocal && internalEndpoints.length > 0) || usesExt;
  const usesLocal = p.localEndpoints.length > 0 && (p.internalLocal || (external && p.externalLocal));
  const masquerade = (chain: string): void => {
    if (chain !== internal || internalEndpoints.length === 0) return;
    if (config.masqueradeAll) nat.add(`${chain} ${to(p.clusterIp, p.port, " cluster IP")} -j KUBE-MARK-MASQ`);
    else if (config.clusterCidr !== undefined)
      nat.add(
        `${chain} ! -s ${config.clusterCidr} ${to(p.clusterIp, p.port, " cluster IP")} -j KUBE-MARK-MASQ`,
      );
  };
  const used = new Map<string, Choice>();
  const choose = (chain: string, endpoints: readonly ProxyEndpoint[]): void => {
    nat.chain(chain);
    masquerade(chain);
    const choices = endpoints.map((e): Choice => {
      const text = `${e.address}:${e.port}`;
      const known = used.get(text) ?? { e, text, sep: endpointChain(name, protocol, text) };
      used.set(text, known);
      return known;
    });
    balance(p, chain, choices, nat);
  };
  if (usesCluster && p.clusterEndpoints.length > 0) choose(svc, p.clusterEndpoints);
  if (usesLocal) choose(svl, p.localEndpoints);
  for (const { e, text, sep } of used.values()) {
    nat.chain(sep);
    // A pod that reaches itself through the service must get its answer through the node.
    nat.add(`${sep} -s ${e.address}/32 ${comment("")} -j KUBE-MARK-MASQ`);
    const recent =
      p.affinitySec === undefined ? "" : ` -m recent --set --name ${sep} --mask 255.255.255.255 --rsource`;
    nat.add(`${sep} -p ${protocol} ${comment("")}${recent} -m ${protocol} -j DNAT --to-destination ${text}`);
  }
}

/** An endpoint, as `ip:port`, with its chain. */
interface Choice {
  readonly e: ProxyEndpoint;
  readonly text: string;
  readonly sep: string;
}

/** Rules that pick an endpoint: the one of last time if clients stick, else each with its share of what is left. */
function balance(p: ServicePort, chain: string, choices: readonly Choice[], nat: Rules): void {
  if (p.affinitySec !== undefined) {
    for (const { text, sep } of choices)
      nat.add(
        `${chain} -m comment --comment "${p.name} -> ${text}" -m recent --rcheck --seconds ${p.affinitySec} --reap --name ${sep} --mask 255.255.255.255 --rsource -j ${sep}`,
      );
  }
  choices.forEach(({ text, sep }, i) => {
    const left = choices.length - i;
    const statistic = left === 1 ? "" : ` -m statistic --mode random --probability ${(1 / left).toFixed(11)}`;
    nat.add(`${chain} -m comment --comment "${p.name} -> ${text}"${statistic} -j ${sep}`);
  });
}
