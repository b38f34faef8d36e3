// The meaning of network policies, evaluated rule by rule on one flow. It shares nothing with the compiler: no
// selectors, identities, filters, blocks or precedence values; it asks of every rule "does this flow match?" and then
// lets deny win over redirect, the more important redirect over the less, redirect over allow. It covers what the
// generators of test/prop/policy.test.ts make.

export interface RefPod {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly cluster: string;
}

/** Who is at the other end. */
export type RefPeer =
  | { readonly kind: "pod"; readonly pod: RefPod }
  | { readonly kind: "host" | "remote-node" | "kube-apiserver" | "health" }
  | { readonly kind: "world"; readonly ip: string };

export interface RefFlow {
  readonly direction: "ingress" | "egress";
  readonly peer: RefPeer;
  readonly protocol: number;
  /** Destination port, or ICMP type. */
  readonly port: number;
}

export interface RefWorld {
  readonly subject: RefPod;
  readonly namespaceLabels: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly clusterName: string;
  readonly subjectPorts: readonly { name: string; port: number; protocol: string }[];
  readonly clusterPorts: readonly { name: string; port: number; protocol: string }[];
  /** name -> addresses */
  readonly dns: Readonly<Record<string, readonly string[]>>;
  readonly mode: "default" | "always" | "never";
  readonly allowLocalhost: boolean;
}

export interface RefAnswer {
  readonly verdict: "allowed" | "denied" | "redirect";
  /** Of a redirect: the listener priority that won. */
  readonly priority: number;
  readonly enforced: boolean;
}

// biome-ignore lint/suspicious/noExplicitAny: policy objects are whatever the generators wrote
type Any = any;

/** What `policies` say about one flow of the subject. */
export function referenceVerdict(policies: readonly Any[], w: RefWorld, flow: RefFlow): RefAnswer {
  const always = w.mode === "always";
  let enforced = always;
  let defaultDeny = always;
  let denied = false;
  let allowed = false;
  let best = 0;
  for (const p of w.mode === "never" ? [] : policies) {
    if (!selectsSubject(p, w)) continue;
    for (const r of rulesOf(p, flow.direction)) {
      enforced = true;
      defaultDeny ||= r.defaultDeny;
      if (!peerMatches(p, r, w, flow)) continue;
      for (const hit of portHits(p, r, w, flow)) {
        if (r.deny) denied = true;
        else {
          allowed = true;
          if (hit > 0 && (best === 0 || hit < best)) best = hit;
        }
      }
    }
  }
  const localhost = flow.direction === "ingress" && flow.peer.kind === "host" && w.allowLocalhost;
  if (denied) return { verdict: "denied", priority: 0, enforced };
  if (best > 0) return { verdict: "redirect", priority: best, enforced };
  if (allowed || !enforced || !defaultDeny || localhost) return { verdict: "allowed", priority: 0, enforced };
  return { verdict: "denied", priority: 0, enforced };
}

interface RefRule {
  readonly deny: boolean;
  readonly defaultDeny: boolean;
  readonly element: Any;
  /** KNP: an element that only stands for "nothing is allowed". */
  readonly bare: boolean;
}

function rulesOf(p: Any, direction: "ingress" | "egress"): RefRule[] {
  const s = p.spec;
  if (p.kind === "NetworkPolicy") {
    const list = (s[direction] ?? []).map((element: Any) => ({
      deny: false,
      defaultDeny: true,
      element,
      bare: false,
    }));
    if (list.length > 0) return list;
    const types: string[] = s.policyTypes ?? ["Ingress"];
    const applies = types.includes(direction === "ingress" ? "Ingress" : "Egress");
    return applies ? [{ deny: false, defaultDeny: true, element: {}, bare: true }] : [];
  }
  const defaultDeny = s.enableDefaultDeny?.[direction] ?? true;
  return [
    ...(s[direction] ?? []).map((element: Any) => ({ deny: false, defaultDeny, element, bare: false })),
    ...(s[`${direction}Deny`] ?? []).map((element: Any) => ({
      deny: true,
      defaultDeny,
      element,
      bare: false,
    })),
  ];
}

function selectsSubject(p: Any, w: RefWorld): boolean {
  if (p.kind === "NetworkPolicy") {
    return p.metadata.namespace === w.subject.namespace && labelsMatch(p.spec.podSelector, w.subject.labels);
  }
  if (p.kind === "CiliumNetworkPolicy" && p.metadata.namespace !== w.subject.namespace) return false;
  return labelsMatch(p.spec.endpointSelector, w.subject.labels);
}

function labelsMatch(selector: Any, labels: Readonly<Record<string, string>>): boolean {
  for (const [k, v] of Object.entries(selector.matchLabels ?? {})) if (labels[k] !== v) return false;
  for (const e of selector.matchExpressions ?? []) {
    const v = labels[e.key];
    if (e.operator === "In" && (v === undefined || !e.values.includes(v))) return false;
    if (e.operator === "NotIn" && v !== undefined && e.values.includes(v)) return false;
    if (e.operator === "Exists" && v === undefined) return false;
    if (e.operator === "DoesNotExist" && v !== undefined) return false;
  }
  return true;
}

function peerMatches(p: Any, r: RefRule, w: RefWorld, flow: RefFlow): boolean {
  if (r.bare) return false;
  const e = r.element;
  if (p.kind === "NetworkPolicy") {
    const peers = (flow.direction === "ingress" ? e.from : e.to) ?? [];
    return peers.length === 0 || peers.some((x: Any) => knpPeerMatches(p, x, w, flow));
  }
  const dir = flow.direction === "ingress" ? "from" : "to";
  const fields = ["Endpoints", "Entities", "CIDR", "CIDRSet", "FQDNs"].filter(
    (f) => e[dir + f] !== undefined,
  );
  // An empty list selects nothing; no list at all is anybody, but only together with ports.
  if (fields.length === 0) return (e.toPorts ?? []).length > 0 || (e.icmps ?? []).length > 0;
  return fields.some((f) => e[dir + f].some((x: Any) => cnpPeerMatches(p, f, x, w, flow.peer)));
}

function knpPeerMatches(p: Any, x: Any, w: RefWorld, flow: RefFlow): boolean {
  const peer = flow.peer;
  if (x.ipBlock !== undefined) {
    if (peer.kind === "world" && inCidr(peer.ip, x.ipBlock.cidr)) {
      if (!(x.ipBlock.except ?? []).some((c: string) => inCidr(peer.ip, c))) return true;
    }
    // The agent's oddity: an ingress peer without selectors also means the pods of the namespace.
    return (
      flow.direction === "ingress" &&
      peer.kind === "pod" &&
      peer.pod.cluster === w.clusterName &&
      peer.pod.namespace === p.metadata.namespace
    );
  }
  if (peer.kind !== "pod" || peer.pod.cluster !== w.clusterName) return false;
  if (x.namespaceSelector !== undefined) {
    if (!labelsMatch(x.namespaceSelector, w.namespaceLabels[peer.pod.namespace] ?? {})) return false;
  } else if (peer.pod.namespace !== p.metadata.namespace) return false;
  return x.podSelector === undefined || labelsMatch(x.podSelector, peer.pod.labels);
}

function cnpPeerMatches(p: Any, field: string, x: Any, w: RefWorld, peer: RefPeer): boolean {
  switch (field) {
    case "Endpoints": {
      if (peer.kind !== "pod") return false;
      const own = { ...x, matchLabels: { ...x.matchLabels } };
      const cluster = own.matchLabels["io.cilium.k8s.policy.cluster"];
      const namespace = own.matchLabels["k8s:io.kubernetes.pod.namespace"];
      delete own.matchLabels["io.cilium.k8s.policy.cluster"];
      delete own.matchLabels["k8s:io.kubernetes.pod.namespace"];
      if (peer.pod.cluster !== (cluster ?? w.clusterName)) return false;
      const wanted = namespace ?? (p.kind === "CiliumNetworkPolicy" ? p.metadata.namespace : undefined);
      if (wanted !== undefined && peer.pod.namespace !== wanted) return false;
      return labelsMatch(own, peer.pod.labels);
    }
    case "Entities":
      return entityMatches(x, w, peer);
    case "CIDR":
      return peer.kind === "world" && inCidr(peer.ip, x);
    case "CIDRSet":
      return (
        peer.kind === "world" &&
        inCidr(peer.ip, x.cidr) &&
        !(x.except ?? []).some((c: string) => inCidr(peer.ip, c))
      );
    default:
      return (
        peer.kind === "world" &&
        Object.entries(w.dns).some(([name, ips]) => ips.includes(peer.ip) && nameMatches(x, name))
      );
  }
}

function entityMatches(entity: string, w: RefWorld, peer: RefPeer): boolean {
  switch (entity) {
    case "all":
      return true;
    case "world":
      return peer.kind === "world";
    case "cluster":
      return peer.kind === "pod" ? peer.pod.cluster === w.clusterName : peer.kind !== "world";
    case "remote-node":
      return peer.kind === "remote-node" || peer.kind === "kube-apiserver";
    default:
      return peer.kind === entity;
  }
}

/** 0 for each plain match, the listener priority for each redirect. */
function portHits(p: Any, r: RefRule, w: RefWorld, flow: RefFlow): number[] {
  const e = r.element;
  if (p.kind === "NetworkPolicy") {
    const ports: Any[] = e.ports ?? [];
    if (ports.length === 0) return [0];
    return ports.filter((x) => knpPortMatches(x, w, flow)).map(() => 0);
  }
  if ((e.icmps ?? []).length > 0) {
    const match = e.icmps.some((i: Any) =>
      i.fields.some((f: Any) => flow.protocol === (f.family === "IPv6" ? 58 : 1) && flow.port === f.type),
    );
    return match ? [0] : [];
  }
  if ((e.toPorts ?? []).length === 0) return [0];
  const out: number[] = [];
  for (const t of e.toPorts) {
    for (const x of t.ports) {
      const protocols =
        x.protocol === "ANY" || x.protocol === undefined ? [6, 17, 132] : [PROTOCOLS[x.protocol]];
      if (!protocols.includes(flow.protocol)) continue;
      const from = resolve(x.port, flow, w);
      if (from === undefined) continue;
      const to = Math.max(x.endPort ?? 0, from);
      if (from !== 0 && (flow.port < from || flow.port > to)) continue;
      out.push(r.deny ? 0 : redirectPriority(t, flow.protocol));
    }
  }
  return out;
}

const PROTOCOLS: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

function knpPortMatches(x: Any, w: RefWorld, flow: RefFlow): boolean {
  if (PROTOCOLS[x.protocol ?? "TCP"] !== flow.protocol) return false;
  if (x.port === undefined) return true;
  const from = resolve(String(x.port), flow, w);
  return from !== undefined && flow.port >= from && flow.port <= Math.max(x.endPort ?? 0, from);
}

/** A number as it is; a name by the ports of the subject (ingress) or of the whole cluster, if it means one thing. */
function resolve(port: string, flow: RefFlow, w: RefWorld): number | undefined {
  if (/^[0-9]+$/.test(port)) return Number(port);
  const ports = flow.direction === "ingress" ? w.subjectPorts : w.clusterPorts;
  const found = ports
    .filter((c) => c.name === port && PROTOCOLS[c.protocol] === flow.protocol)
    .map((c) => c.port);
  return new Set(found).size === 1 ? found[0] : undefined;
}

function redirectPriority(t: Any, protocol: number): number {
  if (t.listener !== undefined) return t.listener.priority ?? 126;
  if (t.rules?.dns !== undefined) return 121;
  if (t.rules?.http !== undefined && protocol === 6) return 101;
  if (t.rules?.kafka !== undefined && protocol === 6) return 106;
  return 0;
}

function nameMatches(x: Any, name: string): boolean {
  if (x.matchName !== undefined) return x.matchName.toLowerCase() === name;
  const want = x.matchPattern.split(".");
  const have = name.split(".");
  if (x.matchPattern === "*") return true;
  return want.length === have.length && want.every((part: string, i: number) => globMatches(part, have[i]!));
}

function globMatches(glob: string, text: string): boolean {
  if (glob === "") return text === "";
  if (glob[0] === "*")
    return globMatches(glob.slice(1), text) || (text !== "" && globMatches(glob, text.slice(1)));
  return text[0] === glob[0] && globMatches(glob.slice(1), text.slice(1));
}

/** IPv4 only: dotted addresses as numbers. */
function inCidr(ip: string, cidr: string): boolean {
  const [net, bits] = cidr.split("/");
  const size = 2 ** (32 - Number(bits));
  return Math.floor(toNumber(ip) / size) === Math.floor(toNumber(net!) / size);
}

function toNumber(ip: string): number {
  return ip.split(".").reduce((n, b) => n * 256 + Number(b), 0);
}
