// Why a verdict is as it is, as data: the rules behind the entry that decided, and for an implicit deny each rule that
// might have allowed the flow, what of it did not match, and the smallest change that would let the flow through.
// Nothing is printed here.

import type { LabelSet } from "./labels.js";
import {
  KEY_CLUSTER,
  KEY_POD_NAMESPACE,
  KEY_SERVICE_ACCOUNT,
  SOURCE_ANY,
  SOURCE_CIDR,
  SOURCE_CIDR_GROUP,
  SOURCE_FQDN,
  SOURCE_K8S,
  SOURCE_RESERVED,
} from "./labels.js";
import type { PolicyProbe, PolicyVerdict } from "./lookup.js";
import { type EndpointPolicy, firstPort, type PolicyContext, type Subject } from "./resolve.js";
import {
  ALLOW_ANY_EGRESS,
  ALLOW_ANY_INGRESS,
  ALLOW_LOCALHOST_INGRESS,
  type FieldPath,
  type Peer,
  type PortTerm,
  protocolName,
  type Rule,
  type RuleOrigin,
} from "./rules.js";
import { formatRequirement, meets, type Requirement } from "./selector.js";

/** What decided. */
export type VerdictReason =
  /** An entry made from rules. */
  | "rule"
  /** No policy applies in this direction. */
  | "not-enforced"
  /** Policies apply, but none of them asks for default deny. */
  | "default-allow"
  /** The endpoint's own host is always let in. */
  | "allow-localhost"
  /** Policies apply and none of their rules matches. */
  | "default-deny";

/** The flow a verdict is about. */
export interface ExplainedFlow extends PolicyProbe {
  /** Address of the other end, for suggestions about hosts outside the cluster. */
  readonly address?: string | undefined;
}

/** One thing of a rule that the flow does not meet. */
export type FailedCondition =
  /** None of the rule's peers is the other end; `missing` are the requirements of the nearest one. */
  | { readonly kind: "peer"; readonly path: FieldPath; readonly missing: readonly string[] }
  /** None of its ports matches; `wanted` are those it has. */
  | {
      readonly kind: "port";
      readonly path: FieldPath;
      readonly wanted: readonly string[];
      readonly got: string;
    }
  /** A named port that resolves to nothing. */
  | { readonly kind: "named-port"; readonly path: FieldPath; readonly name: string }
  /** The rule selects nothing at all and only switches enforcement on. */
  | { readonly kind: "selects-nothing"; readonly path: FieldPath };

/** An addition to a policy object: `value` appended to the list at `path`. */
export interface PolicyChange {
  readonly path: FieldPath;
  readonly value: unknown;
}

export interface CandidateRule {
  readonly origin: RuleOrigin;
  readonly failed: readonly FailedCondition[];
  readonly changes: readonly PolicyChange[];
}

export interface VerdictExplanation {
  readonly verdict: PolicyVerdict["verdict"];
  readonly reason: VerdictReason;
  /** Rules that the deciding entry remembers. */
  readonly rules: readonly RuleOrigin[];
  /** Rules that match the flow as well, but that the map does not remember (pruned, outranked or elided). */
  readonly others: readonly RuleOrigin[];
  /** On an implicit deny: rules that might have allowed the flow, nearest first. */
  readonly candidates: readonly CandidateRule[];
}

/** Explains `verdict`, which `lookupPolicy` gave for `flow` on `policy`. */
export function explainVerdict(
  policy: EndpointPolicy,
  verdict: PolicyVerdict,
  flow: ExplainedFlow,
  subject: Subject,
  ctx: PolicyContext,
): VerdictExplanation {
  const labels = ctx.identities.get(flow.identity);
  const rules = policy.rules.filter((r) => r.direction === flow.direction);
  const origins = verdict.entry?.origins ?? [];
  const matching = rules.filter((r) => failedConditions(r, flow, labels, subject, ctx).length === 0);
  return {
    verdict: verdict.verdict,
    reason: reasonOf(verdict, policy, flow),
    rules: origins.filter((o) => o.kind !== undefined),
    others: matching.map((r) => r.origin).filter((o) => !origins.includes(o)),
    candidates: verdict.entry === undefined ? candidates(rules, flow, labels, subject, ctx) : [],
  };
}

function reasonOf(verdict: PolicyVerdict, policy: EndpointPolicy, flow: ExplainedFlow): VerdictReason {
  const entry = verdict.entry;
  if (entry === undefined) return "default-deny";
  if (entry.origins.some((o) => o.kind !== undefined)) return "rule";
  if (entry.origins.includes(ALLOW_LOCALHOST_INGRESS)) return "allow-localhost";
  if (entry.origins.includes(ALLOW_ANY_INGRESS) || entry.origins.includes(ALLOW_ANY_EGRESS)) {
    const enforced = flow.direction === "ingress" ? policy.ingressEnforced : policy.egressEnforced;
    return enforced ? "default-allow" : "not-enforced";
  }
  // The host's entry beside an L7 redirect carries no rule.
  return "allow-localhost";
}

function candidates(
  rules: readonly Rule[],
  flow: ExplainedFlow,
  labels: LabelSet | undefined,
  subject: Subject,
  ctx: PolicyContext,
): CandidateRule[] {
  return rules
    .filter((r) => !r.deny)
    .map((rule) => {
      const failed = failedConditions(rule, flow, labels, subject, ctx);
      return {
        origin: rule.origin,
        failed,
        changes: changesFor(rule, failed, flow, labels, ctx.config.clusterName),
      };
    })
    .filter((c) => c.failed.length > 0)
    .map((c) => ({ c, distance: c.failed.reduce((n, f) => n + weight(f), 0) }))
    .sort((a, b) => a.distance - b.distance)
    .map(({ c }) => c);
}

/** How far a condition is from being met: a rule that selects nothing is farther than any single mismatch. */
function weight(f: FailedCondition): number {
  if (f.kind === "selects-nothing") return 100;
  return f.kind === "peer" ? 1 + f.missing.length : 1;
}

/** What of a rule a flow does not meet; empty if the rule matches. */
export function failedConditions(
  rule: Rule,
  flow: PolicyProbe,
  labels: LabelSet | undefined,
  subject: Subject,
  ctx: PolicyContext,
): FailedCondition[] {
  const noPeers = rule.peers === undefined || (rule.peers.length === 0 && rule.ports === undefined);
  if (noPeers || rule.ports?.length === 0) return [{ kind: "selects-nothing", path: rule.origin.path }];
  const out: FailedCondition[] = [];
  const peer = nearestPeer(rule.peers!, labels);
  if (peer !== undefined)
    out.push({ kind: "peer", path: peer.path, missing: peer.missing.map(formatRequirement) });
  if (rule.ports !== undefined) {
    const port = portCondition(rule.ports, rule, flow, subject, ctx);
    if (port !== undefined) out.push(port);
  }
  return out;
}

/** The peer with the fewest unmet requirements; undefined if one matches, or if any peer will do. */
function nearestPeer(
  peers: readonly Peer[],
  labels: LabelSet | undefined,
): { path: FieldPath; missing: Requirement[] } | undefined {
  let best: { path: FieldPath; missing: Requirement[] } | undefined;
  for (const p of peers) {
    if (p.selector.isWildcard || (labels !== undefined && p.selector.matches(labels))) return undefined;
    const all = [...p.selector.labels, ...p.selector.expressions];
    const missing = labels === undefined ? all : all.filter((r) => !meets(r, labels));
    if (best === undefined || missing.length < best.missing.length) best = { path: p.path, missing };
  }
  return best;
}

function portCondition(
  terms: readonly PortTerm[],
  rule: Rule,
  flow: PolicyProbe,
  subject: Subject,
  ctx: PolicyContext,
): FailedCondition | undefined {
  let unresolved: PortTerm | undefined;
  for (const t of terms) {
    const from = firstPort(rule.direction, t, subject, ctx.clusterNamedPorts);
    if (from === undefined) {
      unresolved ??= t;
      continue;
    }
    const to = from === 0 && t.endPort === 0 ? 65535 : Math.max(from, t.endPort);
    if (t.protocol === flow.protocol && flow.port >= from && flow.port <= to) return undefined;
  }
  if (unresolved !== undefined && terms.every((t) => t.portName !== "")) {
    return { kind: "named-port", path: unresolved.path, name: unresolved.portName };
  }
  return {
    kind: "port",
    path: terms[0]!.path,
    wanted: [...new Set(terms.map(termText))],
    got: portText(flow.protocol, flow.port),
  };
}

function termText(t: PortTerm): string {
  const name = protocolName(t.protocol);
  if (isIcmp(t.protocol)) return `${name} type ${t.port}`;
  const from = t.portName === "" ? String(t.port) : t.portName;
  if (t.port === 0 && t.portName === "" && t.endPort === 0) return name;
  return t.endPort > t.port ? `${from}-${t.endPort}/${name}` : `${from}/${name}`;
}

function portText(protocol: number, port: number): string {
  const name = protocolName(protocol);
  return isIcmp(protocol) ? `${name} type ${port}` : `${port}/${name}`;
}

function isIcmp(protocol: number): boolean {
  return protocol === 1 || protocol === 58;
}

// --- the smallest change ------------------------------------------------------------------------------------------------

function changesFor(
  rule: Rule,
  failed: readonly FailedCondition[],
  flow: ExplainedFlow,
  labels: LabelSet | undefined,
  cluster: string,
): PolicyChange[] {
  if (failed.length === 0) return [];
  const peerFailed = failed.find((f) => f.kind === "peer");
  const portFailed = failed.find((f) => f.kind === "port" || f.kind === "named-port");
  const nothing = failed.some((f) => f.kind === "selects-nothing");
  const knp = rule.origin.kind === "NetworkPolicy";
  if (nothing || (peerFailed !== undefined && portFailed !== undefined))
    return [newElement(rule, flow, labels, cluster)];
  if (peerFailed !== undefined) {
    const peer = knp ? knpPeer(flow, labels, cluster) : cnpPeer(flow, labels, cluster);
    if (peer === undefined) return [];
    // A new member goes into the list that is there; another kind of peer needs an element of its own.
    const listPath = peerFailed.path.slice(0, -1);
    const list = listPath.at(-1);
    if (knp) {
      const from = rule.origin.path.at(-2);
      if (from === "from" || from === "to") return [{ path: rule.origin.path.slice(0, -1), value: peer }];
      return [newElement(rule, flow, labels, cluster)];
    }
    const [field, value] = Object.entries(peer)[0]!;
    const wanted = (rule.direction === "ingress" ? "from" : "to") + field;
    if (list === wanted) return [{ path: listPath, value }];
    return [newElement(rule, flow, labels, cluster)];
  }
  if (isIcmp(flow.protocol) !== isIcmp(rule.ports![0]!.protocol))
    return [newElement(rule, flow, labels, cluster)];
  const value = portValue(flow, knp);
  // A port beside L7 rules or a listener would be handed to the proxy too.
  const plain = rule.ports!.find(
    (t) => t.l7 === undefined && !t.tls && t.listener === undefined && t.serverNames.length === 0,
  );
  if (plain !== undefined) return [{ path: plain.path.slice(0, -1), value }];
  return [{ path: rule.ports![0]!.path.slice(0, -3), value: { ports: [value] } }];
}

/** A rule of its own beside the one that did not match. */
function newElement(
  rule: Rule,
  flow: ExplainedFlow,
  labels: LabelSet | undefined,
  cluster: string,
): PolicyChange {
  const spec: FieldPath = rule.origin.path[0] === "specs" ? rule.origin.path.slice(0, 2) : ["spec"];
  const path = [...spec, rule.direction];
  const dir = rule.direction === "ingress" ? "from" : "to";
  if (rule.origin.kind === "NetworkPolicy") {
    const peer = knpPeer(flow, labels, cluster);
    const ports = isIcmp(flow.protocol) ? {} : { ports: [portValue(flow, true)] };
    return { path, value: { ...(peer === undefined ? {} : { [dir]: [peer] }), ...ports } };
  }
  const peer = cnpPeer(flow, labels, cluster);
  const peers = peer === undefined ? {} : { [dir + Object.keys(peer)[0]!]: [Object.values(peer)[0]] };
  const l4 = isIcmp(flow.protocol)
    ? { icmps: [{ fields: [portValue(flow, false)] }] }
    : { toPorts: [{ ports: [portValue(flow, false)] }] };
  return { path, value: { ...peers, ...l4 } };
}

function portValue(flow: PolicyProbe, knp: boolean): unknown {
  if (isIcmp(flow.protocol)) return { family: flow.protocol === 58 ? "IPv6" : "IPv4", type: flow.port };
  const protocol = protocolName(flow.protocol);
  return { port: knp ? flow.port : String(flow.port), protocol };
}

/** A NetworkPolicy peer for the other end; undefined for nodes, which it cannot name. */
function knpPeer(
  flow: ExplainedFlow,
  labels: LabelSet | undefined,
  cluster: string,
): Record<string, unknown> | undefined {
  if (labels === undefined) return undefined;
  const pod = podLabels(labels, cluster);
  if (pod !== undefined) {
    return {
      namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": labels.namespace } },
      podSelector: { matchLabels: pod },
    };
  }
  const cidr = worldCidr(flow, labels);
  return cidr === undefined ? undefined : { ipBlock: { cidr } };
}

/** A peer of a Cilium policy: the part of the field's name after from or to, and its new member. */
function cnpPeer(
  flow: ExplainedFlow,
  labels: LabelSet | undefined,
  cluster: string,
): Record<string, unknown> | undefined {
  if (labels === undefined) return undefined;
  const pod = podLabels(labels, cluster);
  if (pod !== undefined) {
    return { Endpoints: { matchLabels: { ...pod, "k8s:io.kubernetes.pod.namespace": labels.namespace } } };
  }
  const cidr = worldCidr(flow, labels);
  if (cidr !== undefined) return { CIDR: cidr };
  const reserved = labels.labels.filter((l) => l.source === SOURCE_RESERVED).map((l) => l.key);
  const entity = ["kube-apiserver", "remote-node", ...reserved].find((k) => reserved.includes(k));
  return entity === undefined ? undefined : { Entities: entity };
}

/** Labels that a person would select a pod by: its own, not those that the agent adds. */
function podLabels(labels: LabelSet, cluster: string): Record<string, string> | undefined {
  if (!labels.has(SOURCE_K8S, KEY_POD_NAMESPACE)) return undefined;
  const added = [KEY_POD_NAMESPACE, KEY_CLUSTER, KEY_SERVICE_ACCOUNT];
  const own = labels.labels.filter(
    (l) => l.source === SOURCE_K8S && !added.includes(l.key) && !l.key.startsWith("io.cilium."),
  );
  const out = Object.fromEntries(own.map((l) => [l.key, l.value]));
  // A pod of another cluster is found only by a selector that names the cluster.
  const home = labels.get(SOURCE_K8S, KEY_CLUSTER)?.value ?? cluster;
  return home === cluster ? out : { ...out, [KEY_CLUSTER]: home };
}

/** The address as a prefix, for what lies outside the cluster. */
function worldCidr(flow: ExplainedFlow, labels: LabelSet): string | undefined {
  const outside =
    ["world", "world-ipv4", "world-ipv6"].some((k) => labels.has(SOURCE_RESERVED, k)) ||
    labels.labels.some((l) => [SOURCE_CIDR, SOURCE_CIDR_GROUP, SOURCE_FQDN].includes(l.source));
  if (!outside || labels.has(SOURCE_ANY, "remote-node") || labels.has(SOURCE_ANY, "host")) return undefined;
  if (flow.address === undefined) return undefined;
  return `${flow.address}/${flow.address.includes(":") ? 128 : 32}`;
}
