// Rules and identities to the policy of one endpoint (pkg/policy: repository, rule, l4, resolve): which rules apply, what
// is enforced, the filters that rules with the same protocol and port merge into, and the map entries they give.

import { allowsLocalhost, isDualStack, type PolicyConfig } from "./config.js";
import { KEY_POD_NAMESPACE, type LabelSet, SOURCE_ANY, SOURCE_K8S } from "./labels.js";
import {
  AUTH_TYPE_ALWAYS_FAIL,
  AUTH_TYPE_DISABLED,
  AUTH_TYPE_SPIRE,
  MapState,
  type MapStateEntry,
  type PolicyFeatures,
  type PolicyKey,
  type PolicyValue,
  PRECEDENCE_ALLOW,
  PRECEDENCE_DENY,
  redirectPrecedence,
  sameValue,
} from "./map_state.js";
import { portBlocks } from "./ports.js";
import {
  ALLOW_ANY_EGRESS,
  ALLOW_ANY_INGRESS,
  ALLOW_LOCALHOST_INGRESS,
  type Direction,
  type L7Rules,
  NO_L7_RULES,
  type Parser,
  type PortTerm,
  protocolName,
  type Rule,
  type RuleOrigin,
} from "./rules.js";
import { Selector } from "./selector.js";

/** Identity of the local host. */
export const IDENTITY_HOST = 1;
const IDENTITY_WORLD = 2;
const IDENTITY_WORLD_IPV4 = 9;
const IDENTITY_WORLD_IPV6 = 10;

/** A named container port. */
export interface NamedPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
}

/** The endpoint whose map is wanted. */
export interface Subject {
  readonly identity: number;
  readonly labels: LabelSet;
  /** The host endpoint (identity 1). */
  readonly isHost: boolean;
  readonly namedPorts: readonly NamedPort[];
}

/** Everything a policy is resolved against. */
export interface PolicyContext {
  readonly config: PolicyConfig;
  /** Every identity that can be selected, the reserved ones included. */
  readonly identities: ReadonlyMap<number, LabelSet>;
  /** Named ports of every pod of the cluster, one list per pod. */
  readonly clusterNamedPorts: readonly (readonly NamedPort[])[];
}

/** A proxy redirect that the policy needs and that could be made. */
export interface Redirect {
  readonly direction: Direction;
  readonly protocol: string;
  readonly port: number;
  readonly parser: Parser;
  readonly listener: string | undefined;
  /** Name of the target and its port. */
  readonly proxy: string;
  readonly proxyPort: number;
}

/** The policy of one endpoint. */
export interface EndpointPolicy {
  readonly ingressEnforced: boolean;
  readonly egressEnforced: boolean;
  readonly entries: readonly MapStateEntry[];
  readonly redirects: readonly Redirect[];
  /** The rules whose subject selector matches. */
  readonly rules: readonly Rule[];
}

/** Two rules that cannot be merged: the endpoint keeps its old map. */
export class PolicyConflict extends Error {}

/** Finds the identities a selector selects; remembers the answers, so that one per set of identities is enough. */
export class SelectorCache {
  readonly #answers = new Map<string, readonly number[]>();

  constructor(readonly identities: ReadonlyMap<number, LabelSet>) {}

  select(s: Selector): readonly number[] {
    let ids = this.#answers.get(s.text);
    if (ids === undefined) {
      const found: number[] = [];
      for (const [id, labels] of this.identities) if (s.matches(labels)) found.push(id);
      ids = found.sort((a, b) => a - b);
      this.#answers.set(s.text, ids);
    }
    return ids;
  }
}

/**
 * Compiles `rules` for `subject`. Throws PolicyConflict when rules of one filter cannot be merged; the agent then keeps
 * the endpoint's old map and tries again at the next regeneration.
 */
export function resolvePolicy(
  rules: readonly Rule[],
  subject: Subject,
  ctx: PolicyContext,
  cache: SelectorCache = new SelectorCache(ctx.identities),
): EndpointPolicy {
  return new Resolver(subject, ctx, cache).resolve(rules);
}

/** Whether a rule's subject selector picks this endpoint. */
export function selectsSubject(rule: Rule, subject: Subject): boolean {
  if (rule.selectsHost !== subject.isHost) return false;
  if (rule.namespace !== "" && rule.namespace !== subject.labels.namespace) return false;
  return rule.subject.matches(subject.labels);
}

/** What applies in each direction before any rule is compiled. */
export function enforcement(
  rules: readonly Rule[],
  subject: Subject,
  config: PolicyConfig,
): {
  ingress: boolean;
  egress: boolean;
  matching: Rule[];
  defaultDeny: { ingress: boolean; egress: boolean };
} {
  const none = { ingress: false, egress: false };
  // The agent asks for the label key "host" of any source, so a pod with such a label counts as a host here.
  const asHost = subject.labels.has(SOURCE_ANY, "host");
  if (config.policyEnforcement === "never" || (asHost && !config.enableHostFirewall)) {
    return { ...none, matching: [], defaultDeny: none };
  }
  const matching = rules.filter((r) => selectsSubject(r, subject)).sort(compareRules);
  if (config.policyEnforcement === "always" || subject.labels.has(SOURCE_ANY, "init")) {
    return { ingress: true, egress: true, matching, defaultDeny: { ingress: true, egress: true } };
  }
  const of = (d: Direction): Rule[] => matching.filter((r) => r.direction === d);
  const denies = (d: Direction): boolean => of(d).some((r) => r.defaultDeny);
  return {
    ingress: of("ingress").length > 0,
    egress: of("egress").length > 0,
    matching,
    defaultDeny: { ingress: denies("ingress"), egress: denies("egress") },
  };
}

/** By resource, then by place in the object. (Tier and priority are 0 for all kinds of 1.19.) */
function compareRules(a: Rule, b: Rule): number {
  if (a.resource !== b.resource) return a.resource < b.resource ? -1 : 1;
  return a.origin.index - b.origin.index;
}

/** What one selector of a filter gets; null is a plain allow. */
interface SelectorPolicy {
  deny: boolean;
  parser: Parser;
  /** Qualified listener name, "" if none. */
  listener: string;
  priority: number;
  auth: string | undefined;
  serverNames: readonly string[];
  l7: L7Rules;
}

const PLAIN: SelectorPolicy = {
  deny: false,
  parser: "",
  listener: "",
  priority: 0,
  auth: undefined,
  serverNames: [],
  l7: NO_L7_RULES,
};

interface SelectorEntry {
  readonly selector: Selector;
  policy: SelectorPolicy;
  origins: readonly RuleOrigin[];
}

/** All rules of one direction, protocol and port. */
interface Filter {
  readonly direction: Direction;
  readonly protocol: number;
  readonly port: number;
  readonly endPort: number;
  readonly portName: string;
  readonly selectors: Map<string, SelectorEntry>;
}

const L3_ONLY: PortTerm = {
  port: 0,
  endPort: 0,
  portName: "",
  protocol: 0,
  l7: undefined,
  serverNames: [],
  tls: false,
  listener: undefined,
  path: [],
};

class Resolver {
  readonly #filters = new Map<string, Filter>();
  readonly #redirects = new Map<string, Redirect>();
  readonly #map = new MapState();

  constructor(
    private readonly subject: Subject,
    private readonly ctx: PolicyContext,
    private readonly cache: SelectorCache,
  ) {}

  resolve(rules: readonly Rule[]): EndpointPolicy {
    const { config } = this.ctx;
    const e = enforcement(rules, this.subject, config);
    for (const direction of ["ingress", "egress"] as const) {
      if (!e[direction]) continue;
      for (const r of e.matching) if (r.direction === direction) this.#addRule(r);
      // Nobody asks for default deny here: everything else stays allowed.
      if (!e.defaultDeny[direction]) this.#allowAny(direction);
    }
    // All redirects exist before entries are made, as in the agent's second pass.
    for (const f of this.#filters.values()) this.#makeRedirects(f);
    for (const direction of ["ingress", "egress"] as const) {
      const filters = [...this.#filters.values()].filter((f) => f.direction === direction);
      const features = featuresOf(filters);
      for (const f of filters) this.#addEntries(f, features);
      if (!e[direction]) {
        const origin = direction === "ingress" ? ALLOW_ANY_INGRESS : ALLOW_ANY_EGRESS;
        this.#map.insert(anyKey(0, direction), allowValue(), [origin], NO_FEATURES);
      }
    }
    if (allowsLocalhost(config) && !this.subject.isHost) {
      const key = anyKey(IDENTITY_HOST, "ingress");
      this.#map.insert(key, allowValue(), [ALLOW_LOCALHOST_INGRESS], {
        deny: true,
        redirect: true,
        auth: false,
      });
    }
    return {
      ingressEnforced: e.ingress,
      egressEnforced: e.egress,
      entries: this.#map.entries(),
      redirects: [...this.#redirects.values()],
      rules: e.matching,
    };
  }

  #allowAny(direction: Direction): void {
    const f = this.#filter(direction, L3_ONLY);
    const origin = direction === "ingress" ? ALLOW_ANY_INGRESS : ALLOW_ANY_EGRESS;
    this.#merge(f, Selector.WILDCARD, PLAIN, [origin]);
  }

  #addRule(rule: Rule): void {
    if (rule.peers === undefined) return;
    if (rule.ports === undefined) {
      if (rule.peers.length > 0) this.#addTerm(rule, L3_ONLY, rule.peers);
      return;
    }
    const anyPeer = [{ selector: Selector.WILDCARD, path: rule.origin.path }];
    for (const t of rule.ports) this.#addTerm(rule, t, rule.peers.length === 0 ? anyPeer : rule.peers);
  }

  #addTerm(rule: Rule, term: PortTerm, peers: readonly { readonly selector: Selector }[]): void {
    const policy = this.#policyOf(rule, term);
    const f = this.#filter(rule.direction, term);
    const own = new Map(peers.map((p) => [p.selector.text, p.selector]));
    const wildcardHost = this.#wildcardsHost(rule, policy, [...own.values()]);
    for (const s of own.values()) this.#merge(f, s, policy, [rule.origin]);
    // Traffic of the local host is let through L7 unseen; the entry carries no rule labels.
    const host = Selector.forReserved("host");
    if (wildcardHost && !own.has(host.text)) this.#merge(f, host, PLAIN, []);
  }

  #wildcardsHost(rule: Rule, policy: SelectorPolicy, selectors: readonly Selector[]): boolean {
    if (rule.direction !== "ingress" || policy.parser === "" || !allowsLocalhost(this.ctx.config))
      return false;
    return selectors.some((s) => s.isWildcard || this.cache.select(s).includes(IDENTITY_HOST));
  }

  #policyOf(rule: Rule, term: PortTerm): SelectorPolicy {
    if (rule.deny) return { ...PLAIN, deny: true };
    const parser = parserOf(term);
    let priority = defaultPriority(parser);
    let listener = "";
    if (term.listener !== undefined) {
      const l = term.listener;
      let namespace = this.subject.labels.get(SOURCE_K8S, KEY_POD_NAMESPACE)?.value ?? "";
      if (l.kind === "CiliumEnvoyConfig" && namespace === "") {
        throw new PolicyConflict(
          `Listener ${JSON.stringify(l.name)} in CCNP can not use Kind CiliumEnvoyConfig`,
        );
      }
      if (l.kind === "CiliumClusterwideEnvoyConfig") namespace = "";
      listener = qualifiedName(namespace, l.config, l.name);
      if (l.priority !== 0) priority = l.priority;
    }
    let l7 = term.l7 ?? NO_L7_RULES;
    if (!rule.defaultDeny) l7 = withWildcardRule(l7, parser);
    return {
      deny: false,
      parser,
      listener,
      priority,
      auth: rule.auth,
      serverNames: [...new Set(term.serverNames)].sort(),
      l7,
    };
  }

  #filter(direction: Direction, t: PortTerm): Filter {
    const port = t.portName === "" ? `${t.port}-${t.endPort}` : t.portName;
    const key = `${direction} ${t.protocol} ${port}`;
    let f = this.#filters.get(key);
    if (f === undefined) {
      const { protocol, port, endPort, portName } = t;
      f = { direction, protocol, port, endPort, portName, selectors: new Map() };
      this.#filters.set(key, f);
    }
    return f;
  }

  #merge(f: Filter, selector: Selector, policy: SelectorPolicy, origins: readonly RuleOrigin[]): void {
    const old = f.selectors.get(selector.text);
    if (old === undefined) {
      f.selectors.set(selector.text, { selector, policy, origins });
      return;
    }
    if (selector.none) return;
    if (old.policy.deny !== policy.deny) {
      if (policy.deny) {
        old.policy = policy;
        old.origins = origins;
      }
      return;
    }
    old.origins = [...new Set([...old.origins, ...origins])];
    if (!policy.deny) old.policy = mergePolicies(old.policy, policy, selector);
  }

  #makeRedirects(f: Filter): void {
    const port = this.#port(f);
    if (port === undefined) return;
    for (const { policy } of f.selectors.values()) {
      if (policy.parser === "") continue;
      const id = redirectId(f, port, policy.listener);
      if (this.#redirects.has(id)) continue;
      const proxy = redirectTarget(f.direction, policy);
      const proxyPort = this.ctx.config.proxyPorts[proxy];
      if (proxyPort === undefined) continue;
      this.#redirects.set(id, {
        direction: f.direction,
        protocol: protocolName(f.protocol),
        port,
        parser: policy.parser,
        listener: policy.listener === "" ? undefined : policy.listener,
        proxy,
        proxyPort,
      });
    }
  }

  #port(f: Filter): number | undefined {
    return firstPort(f.direction, f, this.subject, this.ctx.clusterNamedPorts);
  }

  #addEntries(f: Filter, features: PolicyFeatures): void {
    const port = this.#port(f);
    if (port === undefined) return;
    const blocks = portBlocks(port, f.endPort);
    const wild = f.selectors.get(Selector.WILDCARD.text);
    const wildValue = wild === undefined ? undefined : this.#value(f, port, wild.policy);
    const insert = (identity: number, value: PolicyValue, origins: readonly RuleOrigin[]): void => {
      for (const b of blocks) {
        const key = {
          identity,
          direction: f.direction,
          protocol: f.protocol,
          port: b.port,
          portPrefixLen: b.prefixLen,
        };
        this.#map.insert(key, value, origins, features);
      }
    };
    if (wild !== undefined && wildValue !== undefined) insert(0, wildValue, wild.origins);
    for (const s of f.selectors.values()) {
      if (s === wild) continue;
      const value = this.#value(f, port, s.policy);
      if (value === undefined) continue;
      // Nothing that "any identity" does not already say.
      if (wildValue !== undefined && port !== 0 && sameValue(value, wildValue)) continue;
      for (const id of this.cache.select(s.selector)) {
        insert(id, value, s.origins);
        if (id === IDENTITY_WORLD && isDualStack(this.ctx.config)) {
          insert(IDENTITY_WORLD_IPV4, value, s.origins);
          insert(IDENTITY_WORLD_IPV6, value, s.origins);
        }
      }
    }
  }

  /** undefined: the redirect does not exist, so there is no entry. */
  #value(f: Filter, port: number, p: SelectorPolicy): PolicyValue | undefined {
    if (p.deny) {
      return {
        deny: true,
        proxyPort: 0,
        precedence: PRECEDENCE_DENY,
        authType: AUTH_TYPE_DISABLED,
        authExplicit: false,
      };
    }
    let proxyPort = 0;
    if (p.parser !== "") {
      const redirect = this.#redirects.get(redirectId(f, port, p.listener));
      if (redirect === undefined) return undefined;
      proxyPort = redirect.proxyPort;
    }
    const auth = authOf(p.auth);
    return {
      deny: false,
      proxyPort,
      precedence: p.parser === "" ? PRECEDENCE_ALLOW : redirectPrecedence(p.priority),
      authType: auth ?? AUTH_TYPE_DISABLED,
      authExplicit: auth !== undefined,
    };
  }
}

/**
 * The first port of a filter or port term; undefined for a name that does not resolve. On ingress a name is one of the
 * endpoint's own container ports, on egress it must mean one number in the whole cluster.
 */
export function firstPort(
  direction: Direction,
  term: { readonly port: number; readonly portName: string; readonly protocol: number },
  subject: Subject,
  clusterNamedPorts: PolicyContext["clusterNamedPorts"],
): number | undefined {
  if (term.portName === "") return term.port;
  const wanted = protocolName(term.protocol);
  // The names of container ports are compared in lower case.
  const find = (ports: readonly NamedPort[]): number[] =>
    ports
      .filter((p) => p.name.toLowerCase() === term.portName && p.protocol.toUpperCase() === wanted)
      .map((p) => p.port);
  const found = direction === "ingress" ? find(subject.namedPorts) : clusterNamedPorts.flatMap(find);
  const numbers = [...new Set(found.filter((p) => p !== 0))];
  return numbers.length === 1 || direction === "ingress" ? numbers[0] : undefined;
}

const NO_FEATURES: PolicyFeatures = { deny: false, redirect: false, auth: false };

function featuresOf(filters: readonly Filter[]): PolicyFeatures {
  const policies = filters.flatMap((f) => [...f.selectors.values()].map((s) => s.policy));
  return {
    deny: policies.some((p) => p.deny),
    redirect: policies.some((p) => p.parser !== ""),
    auth: policies.some((p) => authOf(p.auth) !== undefined),
  };
}

function anyKey(identity: number, direction: Direction): PolicyKey {
  return { identity, direction, protocol: 0, port: 0, portPrefixLen: 0 };
}

function allowValue(): PolicyValue {
  return {
    deny: false,
    proxyPort: 0,
    precedence: PRECEDENCE_ALLOW,
    authType: AUTH_TYPE_DISABLED,
    authExplicit: false,
  };
}

/** One redirect serves all selectors of a direction, protocol, first port and listener, whatever their parsers. */
function redirectId(f: Filter, port: number, listener: string): string {
  return `${f.direction}:${protocolName(f.protocol)}:${port}:${listener}`;
}

function redirectTarget(direction: Direction, p: SelectorPolicy): string {
  if (p.parser === "crd") return p.listener;
  if (p.parser === "dns") return "cilium-dns-egress";
  return p.parser === "http" ? `cilium-http-${direction}` : `cilium-proxylib-${direction}`;
}

function parserOf(t: PortTerm): Parser {
  if (t.listener !== undefined) return "crd";
  const l7 = t.l7;
  if (l7 !== undefined) {
    if (l7.dns.length > 0) return "dns";
    if (t.protocol === 6) {
      if (l7.http.length > 0) return "http";
      if (l7.kafka.length > 0) return "kafka";
      if (l7.l7proto !== "") return l7.l7proto;
    }
  }
  return t.tls || t.serverNames.length > 0 ? "tls" : "";
}

/** Listener priority of a parser: the lower the number, the higher the precedence. */
function defaultPriority(p: Parser): number {
  switch (p) {
    case "":
      return 0;
    case "http":
      return 101;
    case "kafka":
      return 106;
    case "tls":
      return 116;
    case "dns":
      return 121;
    case "crd":
      return 126;
    default:
      return 111;
  }
}

/** undefined: no mode, or one the agent does not know (it does not check). */
function authOf(mode: string | undefined): number | undefined {
  switch (mode) {
    case "disabled":
      return AUTH_TYPE_DISABLED;
    case "required":
      return AUTH_TYPE_SPIRE;
    case "test-always-fail":
      return AUTH_TYPE_ALWAYS_FAIL;
    default:
      return undefined;
  }
}

/** Name of a listener across the cluster: namespace/config/listener. */
function qualifiedName(namespace: string, config: string, listener: string): string {
  const slash = listener.indexOf("/");
  if (listener === "" || (slash === namespace.length && slash >= 0 && listener.startsWith(namespace))) {
    return listener;
  }
  return `${namespace}/${config}/${listener}`;
}

function mergePolicies(a: SelectorPolicy, b: SelectorPolicy, selector: Selector): SelectorPolicy {
  if (samePolicy(a, b)) return a;
  const parser = mergeParsers(a.parser, b.parser);
  let { listener, priority } = a;
  if (parser !== a.parser) {
    listener = b.listener;
    priority = b.priority;
  } else if (b.parser === parser && (b.listener !== listener || b.priority !== priority)) {
    if (b.priority !== 0 && (priority === 0 || b.priority < priority)) {
      listener = b.listener;
      priority = b.priority;
    } else if (b.priority === priority && b.listener !== listener) {
      throw new PolicyConflict(
        `cannot merge conflicting CiliumEnvoyConfig Listeners (${b.listener}/${listener}) with the same priority (${priority})`,
      );
    }
  }
  if (a.auth !== undefined && b.auth !== undefined && a.auth !== b.auth) {
    throw new PolicyConflict(`cannot merge conflicting authentication types (${b.auth}/${a.auth})`);
  }
  const serverNames = [...new Set([...a.serverNames, ...b.serverNames])].sort();
  // Only the rules that were there first are looked at, so the other order goes through.
  if (serverNames.length > 0 && hasL7(a.l7)) {
    throw new PolicyConflict(
      `cannot merge L7 rules for cached selector ${selector.text} with SNI filtering without TLS termination: map[${serverNames.map((n) => `${n}:{}`).join(" ")}]`,
    );
  }
  return {
    deny: false,
    parser,
    listener,
    priority,
    auth: a.auth ?? b.auth,
    serverNames,
    l7: mergeL7(a.l7, b.l7, parser),
  };
}

/** TLS can become any parser that reads what is inside; nothing at all can become any. */
function mergeParsers(a: Parser, b: Parser): Parser {
  if (a === b) return a;
  const promotes = (from: Parser, to: Parser): boolean =>
    from === "" || (from === "tls" && to !== "" && to !== "dns" && to !== "crd");
  if (promotes(a, b)) return b;
  if (promotes(b, a)) return a;
  throw new PolicyConflict(`cannot merge conflicting L7 parsers (${a}/${b})`);
}

function mergeL7(a: L7Rules, b: L7Rules, parser: Parser): L7Rules {
  if (!hasL7(a) && !hasL7(b)) return a;
  if (!hasL7(a)) return withWildcardRule(b, parser);
  if (!hasL7(b)) return withWildcardRule(a, parser);
  const union = (x: readonly unknown[], y: readonly unknown[]): unknown[] => {
    const seen = new Set(x.map((r) => JSON.stringify(r)));
    return [...x, ...y.filter((r) => !seen.has(JSON.stringify(r)))];
  };
  return {
    http: union(a.http, b.http),
    kafka: union(a.kafka, b.kafka),
    dns: union(a.dns, b.dns),
    l7proto: a.l7proto === "" ? b.l7proto : a.l7proto,
    l7: union(a.l7, b.l7),
  };
}

function hasL7(r: L7Rules): boolean {
  return r.http.length + r.kafka.length + r.dns.length + r.l7.length > 0;
}

/** Adds a rule that matches everything, so that the proxy lets the rest through. */
function withWildcardRule(r: L7Rules, parser: Parser): L7Rules {
  if (!hasL7(r)) return r;
  if (parser === "dns") return { ...r, dns: [...r.dns, { matchPattern: "*" }] };
  if (parser === "http") return { ...r, http: [...r.http, {}] };
  if (parser === "kafka") return { ...r, kafka: [...r.kafka, {}] };
  return r.l7proto === "" ? r : { ...r, l7: [...r.l7, {}] };
}

function samePolicy(a: SelectorPolicy, b: SelectorPolicy): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
