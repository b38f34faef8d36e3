// Policies of a Calico cluster in one form: Kubernetes NetworkPolicy (as libcalico-go converts it, `knp.default.`),
// Calico NetworkPolicy and GlobalNetworkPolicy, with their tiers and order; and the profile of each namespace.

import { PodpathError, type SourcePosition } from "../../base/errors.js";
import { clusterServices } from "../kube_proxy/service_map.js";
import { type Fields, fields, int, list, strings, text } from "../linux_plane.js";
import type { ClusterModel, ContainerPort, K8sObject, PodModel } from "../model.js";
import type { HostEndpoint } from "./host_endpoints.js";
import { fromLabelSelector, type Labels, parseSelector } from "./selector.js";

export type RuleAction = "allow" | "deny" | "pass" | "log";
export type Direction = "ingress" | "egress";

/** A range of ports, or a port by its name in pods. */
export type PortMatch = { readonly lo: number; readonly hi: number } | { readonly name: string };

/** One side of a rule, positive and negated. */
export interface EntityMatch {
  readonly nets: readonly string[];
  readonly notNets: readonly string[];
  /** Selector text over endpoint labels; undefined: not asked for. */
  readonly selector: string | undefined;
  readonly notSelector: string | undefined;
  readonly ports: readonly PortMatch[];
  readonly notPorts: readonly PortMatch[];
  /** `namespace/name` of a service: its endpoints (as a destination on its ports only); undefined: not asked for. */
  readonly service: string | undefined;
}

export interface PolicyRule {
  readonly action: RuleAction;
  /** As iptables takes it: tcp, udp, sctp, icmp, or a number. */
  readonly protocol: string | undefined;
  readonly notProtocol: string | undefined;
  readonly icmpType: number | undefined;
  readonly icmpCode: number | undefined;
  readonly source: EntityMatch;
  readonly destination: EntityMatch;
  readonly pos: SourcePosition;
}

export interface CalicoPolicy {
  /** Name as Felix keys it: `default/knp.default.web`, `default.deny-all`. */
  readonly id: string;
  readonly kind: string;
  readonly tier: string;
  readonly order: number;
  readonly selects: (labels: Labels) => boolean;
  /** Of host endpoints: for forwarded packets too; before addresses of services are translated. */
  readonly applyOnForward: boolean;
  readonly preDnat: boolean;
  /** Rules by direction; undefined where the policy does not apply. */
  readonly ingress: readonly PolicyRule[] | undefined;
  readonly egress: readonly PolicyRule[] | undefined;
  readonly pos: SourcePosition;
}

export interface Tier {
  readonly name: string;
  readonly order: number;
  /** What happens to what no policy of the tier decided: Deny, or on to the next tier. */
  readonly defaultAction: "Deny" | "Pass";
}

/** A pod (or network set) with the labels that selectors see. */
export interface LabelledEndpoint {
  readonly labels: Labels;
  /** Addresses, or prefixes of a network set. */
  readonly nets: readonly string[];
  readonly ports: readonly ContainerPort[];
}

export interface PolicySet {
  /** By order, then name. */
  readonly tiers: readonly Tier[];
  /** By order, then name, within each tier. */
  readonly policies: readonly CalicoPolicy[];
  readonly endpoints: readonly LabelledEndpoint[];
  /** Endpoints of services, by `namespace/name`. */
  readonly services?: ReadonlyMap<string, readonly ServiceEndpoint[]>;
}

/** What a rule needs to know of a service's endpoint. */
export interface ServiceEndpoint {
  readonly address: string;
  readonly port: number;
  readonly protocol: string;
}

const DEFAULT_TIER_ORDER = 1_000_000;
/** Policies made of Kubernetes objects come before Calico's own without an order. */
const KNP_ORDER = 1000;

/** Labels of a pod as selectors see them: its own, its namespace's (pcns.), its service account's (pcsa.). */
export function endpointLabels(pod: PodModel, namespaceLabels: Labels): Labels {
  const out: Record<string, string> = { ...pod.labels };
  out["projectcalico.org/namespace"] = pod.namespace;
  out["projectcalico.org/orchestrator"] = "k8s";
  out["projectcalico.org/serviceaccount"] = pod.serviceAccount;
  for (const [k, v] of Object.entries(namespaceLabels)) out[`pcns.${k}`] = v;
  out["pcns.projectcalico.org/name"] = pod.namespace;
  out["pcns.kubernetes.io/metadata.name"] ??= pod.namespace;
  out["pcsa.projectcalico.org/name"] = pod.serviceAccount;
  return out;
}

/** Reads all policies. Throws SCENARIO_INVALID with the position of what is wrong. */
export function readPolicies(model: ClusterModel, hosts: readonly HostEndpoint[] = []): PolicySet {
  const tiers: Tier[] = [{ name: "default", order: DEFAULT_TIER_ORDER, defaultAction: "Deny" }];
  const policies: CalicoPolicy[] = [];
  const nsLabels = (ns: string): Labels => model.namespaces.find((n) => n.name === ns)?.labels ?? {};
  const endpoints: LabelledEndpoint[] = model.pods
    .filter((p) => !p.hostNetwork && p.ip4 !== undefined)
    .map((p) => ({ labels: endpointLabels(p, nsLabels(p.namespace)), nets: [p.ip4!], ports: p.ports }));
  for (const h of hosts) endpoints.push({ labels: h.labels, nets: h.expectedIps, ports: [] });
  for (const o of model.objects) {
    const calico = o.apiVersion.includes("projectcalico.org");
    switch (o.kind) {
      case "Tier": {
        const s = fields(o.raw.spec);
        const tier: Tier = {
          name: o.metadata.name,
          order: typeof s.order === "number" ? s.order : Number.POSITIVE_INFINITY,
          defaultAction: text(s.defaultAction) === "Pass" ? "Pass" : "Deny",
        };
        const at = tiers.findIndex((t) => t.name === tier.name);
        if (at >= 0) tiers[at] = tier.name === "default" ? { ...tier, order: DEFAULT_TIER_ORDER } : tier;
        else tiers.push(tier);
        break;
      }
      case "NetworkPolicy":
        policies.push(calico ? calicoPolicy(o, true) : kubernetesPolicy(o));
        break;
      case "GlobalNetworkPolicy":
        policies.push(calicoPolicy(o, false));
        break;
      case "NetworkSet":
      case "GlobalNetworkSet": {
        const labels: Record<string, string> = { ...o.metadata.labels };
        if (o.kind === "NetworkSet") {
          labels["projectcalico.org/namespace"] = o.metadata.namespace;
          for (const [k, v] of Object.entries(nsLabels(o.metadata.namespace))) labels[`pcns.${k}`] = v;
          labels["pcns.projectcalico.org/name"] = o.metadata.namespace;
        }
        const nets = strings(fields(o.raw.spec).nets).filter((n) => !n.includes(":"));
        endpoints.push({ labels, nets, ports: [] });
        break;
      }
    }
  }
  const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  tiers.sort((a, b) => compare(a.order, b.order) || byName(a.name, b.name));
  policies.sort((a, b) => compare(a.order, b.order) || byName(a.id, b.id));
  for (const p of policies) {
    if (!tiers.some((t) => t.name === p.tier))
      throw new PodpathError(
        "SCENARIO_INVALID",
        `policy ${p.id} is in tier ${p.tier}, which is not defined`,
        p.pos,
      );
  }
  return { tiers, policies, endpoints, services: clusterServices(model).backends };
}

/** Subtraction would make NaN of two infinities. */
const compare = (a: number, b: number): number => (a < b ? -1 : a > b ? 1 : 0);

const NOTHING: EntityMatch = {
  nets: [],
  notNets: [],
  selector: undefined,
  notSelector: undefined,
  ports: [],
  notPorts: [],
  service: undefined,
};

// --- Kubernetes -----------------------------------------------------------------------------------------------------

function kubernetesPolicy(o: K8sObject): CalicoPolicy {
  const s = fields(o.raw.spec);
  const ns = o.metadata.namespace;
  const pods = fromLabelSelector(s.podSelector);
  const selector = parseSelector(
    `projectcalico.org/namespace == '${ns}' && projectcalico.org/orchestrator == 'k8s'${pods === "" ? "" : ` && ${pods}`}`,
    o.pos(["spec", "podSelector"]),
  );
  const types = strings(s.policyTypes);
  const egress = types.length > 0 ? types.includes("Egress") : s.egress !== undefined;
  const ingress = types.length > 0 ? types.includes("Ingress") : true;
  const rules = (dir: Direction): PolicyRule[] =>
    list(s[dir]).flatMap((r, i) => kubernetesRules(fields(r), dir, ns, o.pos(["spec", dir, i])));
  return {
    id: `${ns}/knp.default.${o.metadata.name}`,
    kind: "NetworkPolicy",
    tier: "default",
    order: KNP_ORDER,
    selects: selector.matches,
    applyOnForward: false,
    preDnat: false,
    ingress: ingress ? rules("ingress") : undefined,
    egress: egress ? rules("egress") : undefined,
    pos: o.pos(),
  };
}

/** One rule for each peer and each protocol that the ports name. */
function kubernetesRules(r: Fields, dir: Direction, ns: string, pos: SourcePosition): PolicyRule[] {
  const peers = list(dir === "ingress" ? r.from : r.to).map(fields);
  const ports = list(r.ports).map(fields);
  const protocols = new Map<string, PortMatch[]>();
  for (const p of ports) {
    const proto = (text(p.protocol) ?? "TCP").toLowerCase();
    const all = protocols.get(proto) ?? [];
    if (typeof p.port === "string" && !/^\d+$/.test(p.port)) all.push({ name: p.port });
    else if (p.port !== undefined && p.port !== null)
      all.push({ lo: Number(p.port), hi: int(p.endPort) ?? Number(p.port) });
    // A protocol without a port takes all of its ports.
    else all.push({ lo: 0, hi: 65535 });
    protocols.set(proto, all);
  }
  const out: PolicyRule[] = [];
  const sides = peers.length === 0 ? [NOTHING] : peers.map((p) => kubernetesPeer(p, ns));
  const protos: readonly (readonly [string | undefined, readonly PortMatch[]])[] =
    ports.length === 0 ? [[undefined, []]] : [...protocols];
  for (const [protocol, matches] of protos) {
    const all = matches.some((m) => "lo" in m && m.lo === 0 && m.hi === 65535);
    const portMatch = all ? [] : matches;
    for (const peer of sides) {
      out.push({
        action: "allow",
        protocol,
        notProtocol: undefined,
        icmpType: undefined,
        icmpCode: undefined,
        source: dir === "ingress" ? peer : NOTHING,
        destination: dir === "ingress" ? { ...NOTHING, ports: portMatch } : { ...peer, ports: portMatch },
        pos,
      });
    }
  }
  return out;
}

function kubernetesPeer(p: Fields, ns: string): EntityMatch {
  if (p.ipBlock !== undefined) {
    const b = fields(p.ipBlock);
    return { ...NOTHING, nets: [text(b.cidr) ?? "0.0.0.0/0"], notNets: strings(b.except) };
  }
  const parts: string[] = [];
  if (p.namespaceSelector !== undefined) {
    const n = fromLabelSelector(p.namespaceSelector, "pcns.");
    parts.push(n === "" ? "has(projectcalico.org/namespace)" : n);
  } else parts.push(`projectcalico.org/namespace == '${ns}'`);
  parts.push("projectcalico.org/orchestrator == 'k8s'");
  const pods = fromLabelSelector(p.podSelector);
  if (pods !== "") parts.push(pods);
  return { ...NOTHING, selector: parts.join(" && ") };
}

// --- Calico ---------------------------------------------------------------------------------------------------------

function calicoPolicy(o: K8sObject, namespaced: boolean): CalicoPolicy {
  const s = fields(o.raw.spec);
  const ns = namespaced ? o.metadata.namespace : undefined;
  const tier = text(s.tier) ?? "default";
  const name = o.metadata.name.startsWith(`${tier}.`) ? o.metadata.name : `${tier}.${o.metadata.name}`;
  const parts: string[] = [];
  if (ns !== undefined) parts.push(`projectcalico.org/namespace == '${ns}'`);
  const own = text(s.selector);
  if (own !== undefined) parts.push(`(${own})`);
  const sa = text(s.serviceAccountSelector);
  if (sa !== undefined) parts.push(prefixed(sa, "pcsa.", o));
  const nsSel = ns === undefined ? text(s.namespaceSelector) : undefined;
  if (nsSel !== undefined) parts.push(prefixed(nsSel, "pcns.", o));
  const selector = parseSelector(parts.join(" && ") || "all()", o.pos(["spec", "selector"]));
  const types = strings(s.types);
  if (s.doNotTrack === true)
    throw new PodpathError(
      "SCENARIO_INVALID",
      `${o.kind} ${o.metadata.name}: doNotTrack is not modelled`,
      o.pos(["spec", "doNotTrack"]),
    );
  if (s.preDNAT === true && s.applyOnForward !== true)
    throw new PodpathError(
      "SCENARIO_INVALID",
      `${o.kind} ${o.metadata.name}: preDNAT needs applyOnForward: true`,
      o.pos(["spec", "preDNAT"]),
    );
  const hasIn = s.ingress !== undefined;
  const hasOut = s.egress !== undefined;
  const ingress = types.length > 0 ? types.includes("Ingress") : hasIn || !hasOut;
  const egress = types.length > 0 ? types.includes("Egress") : hasOut;
  const rules = (dir: Direction): PolicyRule[] =>
    list(s[dir]).map((r, i) => calicoRule(fields(r), ns, o, o.pos(["spec", dir, i])));
  return {
    id: ns === undefined ? name : `${ns}/${name}`,
    kind: o.kind,
    tier,
    order: typeof s.order === "number" ? s.order : Number.POSITIVE_INFINITY,
    selects: selector.matches,
    applyOnForward: s.applyOnForward === true,
    preDnat: s.preDNAT === true,
    ingress: ingress ? rules("ingress") : undefined,
    egress: egress ? rules("egress") : undefined,
    pos: o.pos(),
  };
}

function calicoRule(r: Fields, ns: string | undefined, o: K8sObject, pos: SourcePosition): PolicyRule {
  const action = (text(r.action) ?? "Allow").toLowerCase();
  if (action !== "allow" && action !== "deny" && action !== "pass" && action !== "log")
    throw new PodpathError(
      "SCENARIO_INVALID",
      `action ${String(r.action)} is not Allow, Deny, Pass or Log`,
      pos,
    );
  const icmp = fields(r.icmp);
  return {
    action,
    protocol: protocolOf(r.protocol),
    notProtocol: protocolOf(r.notProtocol),
    icmpType: int(icmp.type),
    icmpCode: int(icmp.code),
    source: withService(entity(fields(r.source), ns, o), pos),
    destination: withService(entity(fields(r.destination), ns, o), pos),
    pos,
  };
}

/** A service says addresses and ports itself: nothing else of them may stand beside it. */
function withService(e: EntityMatch, pos: SourcePosition): EntityMatch {
  const others = e.nets.length + e.notNets.length + e.ports.length + e.notPorts.length;
  if (e.service !== undefined && (others > 0 || e.selector !== undefined || e.notSelector !== undefined))
    throw new PodpathError("SCENARIO_INVALID", "services stands beside nets, ports or selectors", pos);
  return e;
}

function protocolOf(v: unknown): string | undefined {
  const t = text(v)?.toLowerCase();
  return t === "udplite" ? "136" : t === "icmpv6" ? "58" : t;
}

function entity(e: Fields, ns: string | undefined, o: K8sObject): EntityMatch {
  const services = fields(e.services);
  const service = text(services.name);
  const parts: string[] = [];
  const own = text(e.selector);
  const nsSel = text(e.namespaceSelector);
  const sa = fields(e.serviceAccounts);
  const names = strings(sa.names);
  const saSel = text(sa.selector);
  const selects = own !== undefined || nsSel !== undefined || names.length > 0 || saSel !== undefined;
  if (selects) {
    // A namespaced policy means its own namespace unless it says which.
    if (nsSel === "global()") parts.push("!has(projectcalico.org/namespace)");
    else if (nsSel !== undefined)
      parts.push(nsSel === "all()" ? "has(projectcalico.org/namespace)" : prefixed(nsSel, "pcns.", o));
    else if (ns !== undefined) parts.push(`projectcalico.org/namespace == '${ns}'`);
    if (names.length > 0)
      parts.push(`projectcalico.org/serviceaccount in {${names.map((n) => `'${n}'`).join(", ")}}`);
    if (saSel !== undefined) parts.push(prefixed(saSel, "pcsa.", o));
    if (own !== undefined) parts.push(`(${own})`);
  }
  return {
    nets: strings(e.nets).filter((n) => !n.includes(":")),
    notNets: strings(e.notNets).filter((n) => !n.includes(":")),
    selector: selects ? parts.join(" && ") || "all()" : undefined,
    notSelector: text(e.notSelector),
    ports: list(e.ports).map(portOf),
    notPorts: list(e.notPorts).map(portOf),
    service: service === undefined ? undefined : `${text(services.namespace) ?? ns ?? "default"}/${service}`,
  };
}

function portOf(v: unknown): PortMatch {
  if (typeof v === "number") return { lo: v, hi: v };
  const m = /^(\d+)(?::(\d+))?$/.exec(String(v));
  return m === null ? { name: String(v) } : { lo: Number(m[1]), hi: Number(m[2] ?? m[1]) };
}

/** The selector with a prefix before each of its labels (namespace and service account labels are kept so). */
function prefixed(selector: string, prefix: string, o: K8sObject): string {
  parseSelector(selector, o.pos(["spec"]));
  const out = selector.replace(
    /'[^']*'|"[^"]*"|(all|global)\s*\(\s*\)|has\s*\(\s*([\w./-]+)\s*\)|([\w./-]+)/g,
    (all: string, fn: string | undefined, has: string | undefined, word: string | undefined) => {
      if (has !== undefined) return `has(${prefix}${has})`;
      if (word === undefined || fn !== undefined) return all;
      return ["in", "not", "contains", "starts", "ends", "with"].includes(word) ? word : prefix + word;
    },
  );
  return `(${out})`;
}
