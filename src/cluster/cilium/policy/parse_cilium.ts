// CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy to rules: validation with the agent's messages
// (pkg/policy/api/rule_validation.go) and what the agent adds to selectors on the way in
// (pkg/k8s/apis/cilium.io/utils, pkg/policy/k8s for toServices).

import { isDualStack } from "./config.js";
import { fqdnByName, fqdnByPattern } from "./fqdn.js";
import { icmpType } from "./icmp.js";
import { asBoolean, asInteger, asList, asObject, asSelector, asText, PolicyInvalid } from "./invalid.js";
import { selectorProblem } from "./label_validation.js";
import {
  KEY_CLUSTER,
  KEY_NAMESPACE_LABELS,
  KEY_POD_NAMESPACE,
  LabelSet,
  SOURCE_ANY,
  SOURCE_CIDR,
  SOURCE_CIDR_GROUP,
  SOURCE_FQDN,
  SOURCE_K8S,
  SOURCE_NODE,
  SOURCE_RESERVED,
} from "./labels.js";
import type { ParseContext } from "./parse.js";
import { isServiceName, parsePortNumber } from "./ports.js";
import {
  cidrLabelKey,
  containsAddr,
  isIpv6,
  masked,
  type Prefix,
  PrefixError,
  parseAddr,
  parsePrefix,
  parsePrefixOrAddr,
  quote,
} from "./prefix.js";
import {
  type FieldPath,
  type L7Rules,
  type ListenerRef,
  NO_L7_RULES,
  type Peer,
  type PortTerm,
  PROTOCOL_NUMBERS,
  type Rule,
  ruleLabels,
} from "./rules.js";
import { doesNotExist, exists, match, type RawSelector, Selector } from "./selector.js";

type Fields = Readonly<Record<string, unknown>>;

const MAX_PORTS = 40;
const MAX_ICMP_FIELDS = 40;
const SECTIONS = ["ingress", "ingressDeny", "egress", "egressDeny"] as const;
type Section = (typeof SECTIONS)[number];

/** The rules of one object. Throws PolicyInvalid. */
export function parseCiliumPolicy(
  kind: "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy",
  object: Fields,
  ctx: ParseContext,
): Rule[] {
  const meta = asObject(object.metadata, ["metadata"]) ?? {};
  const name = asText(meta.name, ["metadata", "name"]) ?? "";
  if (name === "") throw new PolicyInvalid(`${kind} must have name`, ["metadata", "name"]);
  const clusterwide = kind === "CiliumClusterwideNetworkPolicy";
  const namespace = clusterwide ? "" : (asText(meta.namespace, ["metadata", "namespace"]) ?? "default");
  const uid = asText(meta.uid, ["metadata", "uid"]) ?? "";
  const spec = asObject(object.spec, ["spec"]);
  const specs = asList(object.specs, ["specs"]);
  if (spec === undefined && specs === undefined) {
    throw new PolicyInvalid(`Invalid ${kind} spec(s): empty policy`, []);
  }
  const rules: Rule[] = [];
  const read = (value: Fields, path: FieldPath, word: string): void => {
    try {
      new SpecReader(kind, name, namespace, uid, ctx, rules).read(value, path);
    } catch (e) {
      if (!(e instanceof PolicyInvalid) || e.stage === "decode") throw e;
      throw new PolicyInvalid(`Invalid ${kind} ${word}: ${e.message}`, e.path);
    }
  };
  if (spec !== undefined) read(spec, ["spec"], "spec");
  specs?.forEach((s, i) => {
    read(asObject(s, ["specs", i]) ?? {}, ["specs", i], "specs");
  });
  return rules;
}

/** What the sections of one element have in common after reading. */
interface Element {
  peers: Peer[] | undefined;
  ports: PortTerm[] | undefined;
  prefixes: Prefix[];
  fqdns: Rule["fqdns"][number][];
  auth: string | undefined;
}

class SpecReader {
  #matchesInit = false;

  constructor(
    private readonly kind: "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy",
    private readonly name: string,
    private readonly namespace: string,
    private readonly uid: string,
    private readonly ctx: ParseContext,
    private readonly rules: Rule[],
  ) {}

  read(spec: Fields, path: FieldPath): void {
    const sections = SECTIONS.map((s) => asList(spec[s], [...path, s]) ?? []);
    if (sections.every((s) => s.length === 0)) {
      throw new PolicyInvalid(
        "rule must have at least one of Ingress, IngressDeny, Egress, EgressDeny",
        path,
      );
    }
    const endpoints = asSelector(spec.endpointSelector, [...path, "endpointSelector"]);
    const nodes = asSelector(spec.nodeSelector, [...path, "nodeSelector"]);
    if (endpoints === undefined && nodes === undefined) {
      throw new PolicyInvalid("rule must have one of EndpointSelector or NodeSelector", path);
    }
    if (endpoints !== undefined && nodes !== undefined) {
      throw new PolicyInvalid("rule cannot have both EndpointSelector and NodeSelector", [
        ...path,
        "nodeSelector",
      ]);
    }
    const which = endpoints === undefined ? "nodeSelector" : "endpointSelector";
    checkSelector((endpoints ?? nodes)!, [...path, which]);
    let subject = Selector.parse((endpoints ?? nodes)!);
    this.#matchesInit = subject.hasKey(SOURCE_RESERVED, "init");
    if (this.namespace !== "") subject = subject.withMatch(SOURCE_K8S, KEY_POD_NAMESPACE, this.namespace);

    const elements = SECTIONS.map((s, i) =>
      sections[i]!.map((e, k) => {
        const at = [...path, s, k];
        return this.#element(s, asObject(e, at) ?? {}, at, nodes !== undefined);
      }),
    );
    // Like the agent, only after the whole spec was found to be well-formed.
    if (nodes !== undefined && this.namespace !== "") {
      throw new PolicyInvalid("rule cannot have NodeSelector", [...path, "nodeSelector"]);
    }

    const dd = asObject(spec.enableDefaultDeny, [...path, "enableDefaultDeny"]) ?? {};
    const defaultDeny = (direction: "ingress" | "egress"): boolean => {
      const given = asBoolean(dd[direction], [...path, "enableDefaultDeny", direction]);
      return this.ctx.config.enableNonDefaultDenyPolicies ? (given ?? true) : true;
    };
    const extra = (asList(spec.labels, [...path, "labels"]) ?? []).map((l, i) => {
      const at = [...path, "labels", i];
      const o = asObject(l, at) ?? {};
      return {
        source: asText(o.source, [...at, "source"]) ?? "unspec",
        key: asText(o.key, [...at, "key"]) ?? "",
        value: asText(o.value, [...at, "value"]) ?? "",
      };
    });
    const labels = ruleLabels(this.kind, this.name, this.namespace, this.uid, extra);
    const log = asObject(spec.log, [...path, "log"]);
    const logValue = asText(log?.value, [...path, "log", "value"]) ?? "";
    SECTIONS.forEach((s, i) => {
      const direction = s.startsWith("ingress") ? "ingress" : "egress";
      elements[i]!.forEach((e, k) => {
        const at = [...path, s, k];
        this.rules.push({
          subject,
          selectsHost: nodes !== undefined,
          namespace: this.namespace,
          resource: `${this.namespace === "" ? "ccnp" : "cnp"}/${this.namespace}/${this.name}`,
          direction,
          deny: s.endsWith("Deny"),
          defaultDeny: defaultDeny(direction),
          peers: e.peers,
          ports: e.ports,
          auth: e.auth,
          prefixes: e.prefixes,
          fqdns: e.fqdns,
          origin: {
            kind: this.kind,
            namespace: this.namespace,
            name: this.name,
            direction,
            deny: s.endsWith("Deny"),
            index: this.rules.length,
            path: at,
            labels,
            log: logValue,
            position: this.ctx.position(at),
          },
        });
      });
    });
  }

  #element(section: Section, e: Fields, path: FieldPath, host: boolean): Element {
    const ingress = section.startsWith("ingress");
    const deny = section.endsWith("Deny");
    const out: Element = { peers: [], ports: undefined, prefixes: [], fqdns: [], auth: undefined };
    this.#peers(e, path, ingress, deny, out);
    if (!deny) this.#l7Support(e, path, ingress, host);
    const icmps = asList(e.icmps, [...path, "icmps"]) ?? [];
    const toPorts = asList(e.toPorts, [...path, "toPorts"]) ?? [];
    if (icmps.length > 0 && !this.ctx.config.enableICMPRules) {
      throw new PolicyInvalid('ICMP rules can only be applied when the "enable-icmp-rules" flag is set', [
        ...path,
        "icmps",
      ]);
    }
    if (icmps.length > 0 && toPorts.length > 0) {
      throw new PolicyInvalid(
        "the ICMPs block may only be present without ToPorts. Define a separate rule to use ToPorts",
        [...path, "icmps"],
      );
    }
    if (toPorts.length > 0 || icmps.length > 0) out.ports = [];
    toPorts.forEach((p, i) => {
      const at = [...path, "toPorts", i];
      this.#portRule(asObject(p, at) ?? {}, at, ingress, deny, out.ports!);
    });
    icmps.forEach((p, i) => {
      const at = [...path, "icmps", i];
      this.#icmpRule(asObject(p, at) ?? {}, at, out.ports!);
    });
    if (!ingress && !deny) this.#fqdns(e, path, out);
    if (!deny) {
      const auth = asObject(e.authentication, [...path, "authentication"]);
      if (auth !== undefined) out.auth = asText(auth.mode, [...path, "authentication", "mode"]) ?? "";
    }
    return out;
  }

  #peers(e: Fields, path: FieldPath, ingress: boolean, deny: boolean, out: Element): void {
    const dir = ingress ? "from" : "to";
    const field = (what: string): string => `${dir}${what}`;
    const list = (what: string): readonly unknown[] | undefined =>
      asList(e[field(what)], [...path, field(what)]);
    const endpoints = list("Endpoints");
    const cidrs = list("CIDR");
    const cidrSets = list("CIDRSet");
    const entities = list("Entities");
    const nodes = list("Nodes");
    const groups = list("Groups");
    const fqdns = ingress || deny ? undefined : list("FQDNs");
    const services = ingress ? undefined : list("Services");

    const Dir = ingress ? "From" : "To";
    const kinds: [string, readonly unknown[] | undefined][] = [
      ["Endpoints", endpoints],
      ["CIDR", cidrs],
      ["CIDRSet", cidrSets],
      ["Entities", entities],
      ["Nodes", nodes],
      ["Groups", groups],
      ["Services", services],
      ["FQDNs", fqdns],
    ];
    const used = kinds.filter(([, l]) => l !== undefined && l.length > 0);
    if (used.length > 1) {
      throw new PolicyInvalid(
        `combining ${Dir}${used[0]![0]} and ${Dir}${used[1]![0]} is not supported yet`,
        [...path, field(used[1]![0])],
      );
    }

    const peers: Peer[] = [];
    endpoints?.forEach((s, i) => {
      const at = [...path, field("Endpoints"), i];
      const raw = asSelector(s, at) ?? {};
      checkSelector(raw, at);
      peers.push({ selector: this.#peerSelector(Selector.parse(raw)), path: at });
    });
    nodes?.forEach((s, i) => {
      const at = [...path, field("Nodes"), i];
      const raw = asSelector(s, at) ?? {};
      checkSelector(raw, at, "node.");
      let selector = Selector.parse(raw, SOURCE_NODE).withExpression(exists(SOURCE_RESERVED, "remote-node"));
      if (this.ctx.config.policyDefaultLocalCluster && !selector.hasKey(SOURCE_NODE, KEY_CLUSTER)) {
        selector = selector.withMatch(SOURCE_K8S, KEY_CLUSTER, this.ctx.config.clusterName);
      }
      peers.push({ selector, path: at });
    });
    cidrs?.forEach((c, i) => {
      const at = [...path, field("CIDR"), i];
      const text = asText(c, at) ?? "";
      if (text === "") throw new PolicyInvalid("IP must be specified", at);
      peers.push(this.#cidr(parseOrReject(text, at), [], at, out.prefixes));
    });
    cidrSets?.forEach((c, i) => {
      const at = [...path, field("CIDRSet"), i];
      peers.push(this.#cidrSet(asObject(c, at) ?? {}, at, out.prefixes));
    });
    entities?.forEach((n, i) => {
      const at = [...path, field("Entities"), i];
      for (const selector of entitySelectors(asText(n, at) ?? "", at, this.ctx.config.clusterName)) {
        peers.push({ selector, path: at });
      }
    });
    if (nodes !== undefined && nodes.length > 0 && !this.ctx.config.enableNodeSelectorLabels) {
      throw new PolicyInvalid(
        'FromNodes/ToNodes rules can only be applied when the "enable-node-selector-labels" flag is set',
        [...path, field("Nodes")],
      );
    }
    services?.forEach((s, i) => {
      const at = [...path, field("Services"), i];
      this.#service(asObject(s, at) ?? {}, at, peers, out.prefixes);
    });

    // A list that is there and empty selects nothing, whatever else the element says; toFQDNs and toServices are not
    // covered by that check.
    const empty = [endpoints, cidrs, cidrSets, entities, nodes].some(
      (l) => l !== undefined && l.length === 0,
    );
    // Groups are resolved by the operator into objects of their own: here they select nothing.
    if (empty || (groups !== undefined && groups.length > 0)) out.peers = undefined;
    else out.peers = collapseWildcard(peers);
  }

  /** What the agent adds to a peer's endpoint selector: the namespace and the cluster. */
  #peerSelector(s: Selector): Selector {
    if (s.hasSource(SOURCE_RESERVED)) return s;
    let out = s;
    const namesNamespace = s.hasKey(SOURCE_K8S, KEY_POD_NAMESPACE) || s.hasKey(SOURCE_ANY, KEY_POD_NAMESPACE);
    if (!namesNamespace) {
      if (this.namespace === "") {
        if (!this.#matchesInit) out = out.withExpression(exists(SOURCE_K8S, KEY_POD_NAMESPACE));
      } else if (
        !s.hasKeyPrefix(SOURCE_K8S, KEY_NAMESPACE_LABELS) &&
        !s.hasKeyPrefix(SOURCE_ANY, KEY_NAMESPACE_LABELS)
      ) {
        out = out.withMatch(SOURCE_K8S, KEY_POD_NAMESPACE, this.namespace);
      }
    }
    return withCluster(out, this.ctx);
  }

  #cidr(p: Prefix, except: readonly Prefix[], path: FieldPath, prefixes: Prefix[]): Peer {
    const all = masked(p);
    if (all.bits > 0) prefixes.push(all);
    const holes = except.map(masked);
    prefixes.push(...holes.filter((h) => h.bits > 0));
    return { selector: cidrSelector(all, holes, isDualStack(this.ctx.config)), path };
  }

  #cidrSet(c: Fields, path: FieldPath, prefixes: Prefix[]): Peer {
    const cidr = asText(c.cidr, [...path, "cidr"]) ?? "";
    const ref = asText(c.cidrGroupRef, [...path, "cidrGroupRef"]) ?? "";
    const group = asSelector(c.cidrGroupSelector, [...path, "cidrGroupSelector"]);
    if (group !== undefined) {
      const problem = selectorProblem(group, "");
      if (problem !== undefined) {
        throw new PolicyInvalid(
          `failed to sanitize cidrGroupSelector ${Selector.parse(group, "").text}: ${problem}`,
          [...path, "cidrGroupSelector"],
        );
      }
    }
    const ways = [cidr !== "", ref !== "", group !== undefined].filter(Boolean).length;
    if (ways === 0) {
      throw new PolicyInvalid("one of cidr, cidrGroupRef, or cidrGroupSelector is required", path);
    }
    if (ways > 1) {
      throw new PolicyInvalid(
        "more than one of cidr, cidrGroupRef, or cidrGroupSelector may not be set",
        path,
      );
    }
    const exceptTexts = (asList(c.except, [...path, "except"]) ?? []).map((x, i) => ({
      text: asText(x, [...path, "except", i]) ?? "",
      path: [...path, "except", i],
    }));
    if (cidr === "") {
      // Exceptions of a group are not checked; what cannot be read excludes nothing.
      const holes: Prefix[] = [];
      for (const x of exceptTexts) {
        try {
          holes.push(masked(parsePrefix(x.text)));
        } catch (e) {
          if (!(e instanceof PrefixError)) throw e;
        }
      }
      prefixes.push(...holes.filter((h) => h.bits > 0));
      const base =
        ref !== ""
          ? Selector.of([], [exists(SOURCE_CIDR_GROUP, `${CIDR_GROUP_NAME}${ref}`)])
          : Selector.parse(group!, SOURCE_CIDR_GROUP);
      return { selector: excluding(base, holes), path };
    }
    const read = (text: string, at: FieldPath, wrap: (m: string) => string): Prefix => {
      try {
        return parsePrefix(text);
      } catch (e) {
        if (e instanceof PrefixError) throw new PolicyInvalid(wrap(e.message), at);
        throw e;
      }
    };
    const p = read(cidr, [...path, "cidr"], (m) => `unable to parse CIDRRule ${quote(cidr)}: ${m}`);
    const holes = exceptTexts.map((x) => {
      const hole = read(x.text, x.path, (m) => m);
      // Only the address is checked, so a shorter exception is let in (and excludes everything).
      if (!containsAddr(p, hole.bytes)) {
        throw new PolicyInvalid(
          `allow CIDR prefix ${cidr} does not contain exclude CIDR prefix ${x.text}`,
          x.path,
        );
      }
      return hole;
    });
    return this.#cidr(p, holes, path, prefixes);
  }

  /** toServices: the selector of a service with one, otherwise /32s of its backends. */
  #service(s: Fields, path: FieldPath, peers: Peer[], prefixes: Prefix[]): void {
    const ref = asObject(s.k8sService, [...path, "k8sService"]);
    const bySelector = asObject(s.k8sServiceSelector, [...path, "k8sServiceSelector"]);
    for (const svc of this.ctx.services) {
      const byRef =
        ref !== undefined &&
        (ref.serviceName ?? "") === svc.name &&
        ((ref.namespace ?? "") === "" || ref.namespace === svc.namespace);
      let byLabels = false;
      if (bySelector !== undefined) {
        const raw = asSelector(bySelector.selector, [...path, "k8sServiceSelector", "selector"]) ?? {};
        const labels = new LabelSet(
          Object.entries(svc.labels).map(([key, value]) => ({ source: SOURCE_K8S, key, value })),
        );
        byLabels =
          Selector.parse(raw).matches(labels) &&
          ((bySelector.namespace ?? "") === "" || bySelector.namespace === svc.namespace);
      }
      if (!byRef && !byLabels) continue;
      if (svc.selector !== undefined && Object.keys(svc.selector).length > 0) {
        const selector = Selector.parse({ matchLabels: svc.selector }).withMatch(
          SOURCE_K8S,
          KEY_POD_NAMESPACE,
          svc.namespace,
        );
        peers.push({ selector: withCluster(selector, this.ctx), path });
      } else {
        for (const b of svc.backends ?? []) {
          const bytes = parseAddr(b);
          peers.push(this.#cidr({ bytes, bits: bytes.length * 8 }, [], path, prefixes));
        }
      }
    }
  }

  #fqdns(e: Fields, path: FieldPath, out: Element): void {
    asList(e.toFQDNs, [...path, "toFQDNs"])?.forEach((f, i) => {
      const at = [...path, "toFQDNs", i];
      const o = asObject(f, at) ?? {};
      const name = asText(o.matchName, [...at, "matchName"]) ?? "";
      const pattern = asText(o.matchPattern, [...at, "matchPattern"]) ?? "";
      checkFqdn(name, pattern, at);
      const fqdn = name !== "" ? fqdnByName(name) : fqdnByPattern(pattern);
      out.fqdns.push(fqdn);
      out.peers?.push({ selector: Selector.of([], [exists(SOURCE_FQDN, fqdn.text)]), path: at });
    });
  }

  #l7Support(e: Fields, path: FieldPath, ingress: boolean, host: boolean): void {
    const counts = { DNS: 0, HTTP: 0, Kafka: 0 };
    let any = false;
    (asList(e.toPorts, [...path, "toPorts"]) ?? []).forEach((p, i) => {
      const at = [...path, "toPorts", i, "rules"];
      const rules = asObject(asObject(p, at)?.rules, at);
      if (rules === undefined || l7IsEmpty(rules)) return;
      any = true;
      counts.DNS += asList(rules.dns, [...at, "dns"])?.length ?? 0;
      counts.HTTP += asList(rules.http, [...at, "http"])?.length ?? 0;
      counts.Kafka += asList(rules.kafka, [...at, "kafka"])?.length ?? 0;
    });
    if (!any) return;
    const at = [...path, "toPorts"];
    if (ingress && host) throw new PolicyInvalid("L7 policy is not supported on host ingress yet", at);
    if (!this.ctx.config.enableL7Proxy) {
      throw new PolicyInvalid("L7 policy is not supported since L7 proxy is not enabled", at);
    }
    for (const [member, n] of Object.entries(counts)) {
      const supported = ingress ? member !== "DNS" : member === "DNS" || !host;
      if (n > 0 && !supported) {
        const where = ingress ? "ingress" : host ? "host egress" : "egress";
        throw new PolicyInvalid(`L7 protocol ${member} is not supported on ${where} yet`, at);
      }
    }
  }

  #portRule(pr: Fields, path: FieldPath, ingress: boolean, deny: boolean, out: PortTerm[]): void {
    const rules = deny ? undefined : asObject(pr.rules, [...path, "rules"]);
    const l7 = rules === undefined ? undefined : readL7(rules, [...path, "rules"]);
    const hasL7 = rules !== undefined && !l7IsEmpty(rules);
    const dns = (l7?.dns.length ?? 0) > 0;
    if (ingress && dns)
      throw new PolicyInvalid("DNS rules are not allowed on ingress", [...path, "rules", "dns"]);
    const serverNames = deny
      ? []
      : (asList(pr.serverNames, [...path, "serverNames"]) ?? []).map(
          (s, i) => asText(s, [...path, "serverNames", i]) ?? "",
        );
    const terminating = deny ? undefined : asObject(pr.terminatingTLS, [...path, "terminatingTLS"]);
    const originating = deny ? undefined : asObject(pr.originatingTLS, [...path, "originatingTLS"]);
    if (serverNames.length > 0 && hasL7 && terminating === undefined) {
      throw new PolicyInvalid("ServerNames are not allowed with L7 rules without TLS termination", [
        ...path,
        "serverNames",
      ]);
    }
    if (serverNames.includes("")) {
      throw new PolicyInvalid("empty server name is not allowed", [...path, "serverNames"]);
    }
    const ports = asList(pr.ports, [...path, "ports"]) ?? [];
    if (ports.length > MAX_PORTS) {
      throw new PolicyInvalid(`too many ports, the max is ${MAX_PORTS}`, [...path, "ports"]);
    }
    let haveZero = false;
    const read = ports.map((p, i) => {
      const at = [...path, "ports", i];
      const o = asObject(p, at) ?? {};
      const port = readPort(o, at, dns, this.ctx.config.enableExtendedIPProtocols);
      haveZero ||= port.isZero;
      if (hasL7 && !dns && port.protocol !== "TCP") {
        throw new PolicyInvalid(
          `L7 rules can only apply to TCP (not ${port.protocol}) except for DNS rules`,
          at,
        );
      }
      return { ...port, path: at };
    });
    const listener = deny ? undefined : readListener(pr.listener, [...path, "listener"]);
    if (listener !== undefined) {
      if (ingress) {
        throw new PolicyInvalid(`Listener is not allowed on ingress (${listener.name})`, [
          ...path,
          "listener",
        ]);
      }
      if (hasL7) {
        throw new PolicyInvalid(`Listener is not allowed with L7 rules (${listener.name})`, [
          ...path,
          "listener",
        ]);
      }
    }
    if (hasL7) {
      if (haveZero) {
        throw new PolicyInvalid("L7 rules can not be used when a port is 0", [...path, "ports"]);
      }
      checkL7(rules!, l7!, ports.length, [...path, "rules"]);
    }
    for (const p of read) {
      const protocols = p.protocol === "ANY" ? ["TCP", "UDP", "SCTP"] : [p.protocol];
      for (const protocol of protocols) {
        out.push({
          port: p.port,
          endPort: p.endPort,
          portName: p.portName,
          protocol: PROTOCOL_NUMBERS[protocol]!,
          l7,
          serverNames,
          tls: terminating !== undefined || originating !== undefined,
          listener,
          path: p.path,
        });
      }
    }
  }

  #icmpRule(ir: Fields, path: FieldPath, out: PortTerm[]): void {
    const fields = asList(ir.fields, [...path, "fields"]) ?? [];
    const read = fields.map((f, i) => {
      const at = [...path, "fields", i];
      const o = asObject(f, at) ?? {};
      const family = asText(o.family, [...at, "family"]) ?? "";
      const type = icmpType(o.type, family);
      if (type === undefined) {
        throw new PolicyInvalid(
          typeof o.type === "string"
            ? `ICMP type ${o.type} not found in ${family === "" ? "IPv4" : family}`
            : "ICMP type must be specified",
          [...at, "type"],
          "decode",
        );
      }
      // An int-or-string of Kubernetes is a whole number, and what the map key has room for is 16 bits.
      if (!Number.isInteger(type) || type < 0 || type > 0xffff) {
        throw new PolicyInvalid(
          `ICMP type ${type} is not a number from 0 to 65535`,
          [...at, "type"],
          "decode",
        );
      }
      return { family, type, path: at };
    });
    if (fields.length > MAX_ICMP_FIELDS) {
      throw new PolicyInvalid(`too many types, the max is ${MAX_ICMP_FIELDS}`, path);
    }
    for (const f of read) {
      if (!["IPv4", "IPv6", ""].includes(f.family)) {
        throw new PolicyInvalid(`wrong family: ${f.family}`, [...f.path, "family"]);
      }
      out.push({
        port: f.type,
        endPort: 0,
        portName: "",
        protocol: f.family === "IPv6" ? PROTOCOL_NUMBERS.ICMPv6! : PROTOCOL_NUMBERS.ICMP!,
        l7: undefined,
        serverNames: [],
        tls: false,
        listener: undefined,
        path: f.path,
      });
    }
  }
}

/** Key prefix of the label that carries a CIDR group's name. */
export const CIDR_GROUP_NAME = "io.cilium.policy.cidrgroupname/";

function checkSelector(raw: RawSelector, path: FieldPath, prefix?: string): void {
  const problem = selectorProblem(raw, prefix);
  if (problem !== undefined) throw new PolicyInvalid(problem, path);
}

/** Requires the local cluster unless the selector names a cluster itself. */
export function withCluster(s: Selector, ctx: ParseContext): Selector {
  if (!ctx.config.policyDefaultLocalCluster) return s;
  if (s.hasKey(SOURCE_K8S, KEY_CLUSTER) || s.hasKey(SOURCE_ANY, KEY_CLUSTER)) return s;
  return s.withMatch(SOURCE_K8S, KEY_CLUSTER, ctx.config.clusterName);
}

/** If one selector means everything, the others say nothing more. */
export function collapseWildcard(peers: Peer[]): Peer[] {
  const wild = peers.find((p) => p.selector.isWildcard);
  return wild === undefined ? peers : [wild];
}

/**
 * Selector of a masked prefix minus exceptions. A prefix of length 0 has no label of its own: it is the world of its
 * family.
 */
export function cidrSelector(p: Prefix, except: readonly Prefix[], dualStack: boolean): Selector {
  if (p.bits > 0) return excluding(Selector.of([], [exists(SOURCE_CIDR, cidrLabelKey(p))]), except);
  const world = !dualStack ? "world" : isIpv6(p) ? "world-ipv6" : "world-ipv4";
  return excluding(Selector.of([match(SOURCE_RESERVED, world, "")]), except);
}

function excluding(s: Selector, except: readonly Prefix[]): Selector {
  let out = s;
  for (const x of except) out = out.withExpression(doesNotExist(SOURCE_CIDR, cidrLabelKey(x)));
  return out;
}

const CLUSTER_ENTITIES = ["host", "remote-node", "init", "ingress", "health", "unmanaged", "kube-apiserver"];

function entitySelectors(name: string, path: FieldPath, cluster: string): Selector[] {
  switch (name) {
    case "all":
      return [Selector.WILDCARD];
    case "world":
      return ["world", "world-ipv4", "world-ipv6"].map((n) => Selector.forReserved(n));
    case "cluster":
      return [
        ...CLUSTER_ENTITIES.map((n) => Selector.forReserved(n)),
        Selector.of([match(SOURCE_K8S, KEY_CLUSTER, cluster)]),
      ];
    case "none":
      return [Selector.NONE];
    case "world-ipv4":
    case "world-ipv6":
    case "host":
    case "init":
    case "ingress":
    case "unmanaged":
    case "remote-node":
    case "health":
    case "kube-apiserver":
      return [Selector.forReserved(name)];
    default:
      throw new PolicyInvalid(`unsupported entity: ${name}`, path);
  }
}

function parseOrReject(text: string, path: FieldPath): Prefix {
  try {
    return parsePrefixOrAddr(text);
  } catch (e) {
    if (e instanceof PrefixError) throw new PolicyInvalid(`unable to parse CIDR: ${e.message}`, path);
    throw e;
  }
}

function checkFqdn(name: string, pattern: string, path: FieldPath): void {
  if (name !== "" && pattern !== "") {
    throw new PolicyInvalid("only one of MatchName or MatchPattern is allowed in an FQDNSelector", path);
  }
  if (name === "" && pattern === "") {
    throw new PolicyInvalid("one of MatchName or MatchPattern is required in an FQDNSelector", path);
  }
  if (name !== "" && !/^[-0-9a-zA-Z_.]+$/.test(name)) {
    throw new PolicyInvalid(
      `Invalid characters in MatchName: ${quote(name)}. Only 0-9, a-z, A-Z and . and - characters are allowed`,
      [...path, "matchName"],
    );
  }
  if (pattern !== "" && !/^[-0-9a-zA-Z_.*]+$/.test(pattern)) {
    throw new PolicyInvalid(
      `Invalid characters in MatchPattern: ${quote(pattern)}. Only 0-9, a-z, A-Z and ., -, _ and * characters are allowed`,
      [...path, "matchPattern"],
    );
  }
}

/** Whether none of the rule lists is there at all; a list that is there and empty counts as present. */
function l7IsEmpty(rules: Fields): boolean {
  return ["http", "kafka", "dns", "l7"].every((k) => rules[k] === undefined || rules[k] === null);
}

function readL7(rules: Fields, path: FieldPath): L7Rules {
  const list = (k: string): readonly unknown[] => asList(rules[k], [...path, k]) ?? [];
  return {
    ...NO_L7_RULES,
    http: list("http"),
    kafka: list("kafka"),
    dns: list("dns"),
    l7proto: asText(rules.l7proto, [...path, "l7proto"]) ?? "",
    l7: list("l7"),
  };
}

function checkL7(raw: Fields, l7: L7Rules, nPorts: number, path: FieldPath): void {
  const there = (k: string): boolean => raw[k] !== undefined && raw[k] !== null;
  let types = 0;
  if (there("http")) types++;
  if (there("kafka")) {
    types++;
    l7.kafka.forEach((k, i) => {
      checkKafka(asObject(k, [...path, "kafka", i]) ?? {}, [...path, "kafka", i]);
    });
  }
  if (there("dns")) {
    if (nPorts === 0) throw new PolicyInvalid("port 53 must be specified for DNS rules", path);
    types++;
    l7.dns.forEach((d, i) => {
      const at = [...path, "dns", i];
      const o = asObject(d, at) ?? {};
      checkFqdn(asText(o.matchName, at) ?? "", asText(o.matchPattern, at) ?? "", at);
    });
  }
  if (there("l7") && l7.l7proto === "") {
    throw new PolicyInvalid("'l7' may only be specified when a 'l7proto' is also specified", path);
  }
  if (l7.l7proto !== "") types++;
  if (types > 1) {
    throw new PolicyInvalid("multiple L7 protocol rule types specified in single rule", path);
  }
}

function checkKafka(k: Fields, path: FieldPath): void {
  const text = (f: string): string => asText(k[f], [...path, f]) ?? "";
  const role = text("role");
  const apiKey = text("apiKey");
  const topic = text("topic");
  if (apiKey !== "" && role !== "") {
    throw new PolicyInvalid(
      `Cannot set both Role:${quote(role)} and APIKey :${quote(apiKey)} together`,
      path,
    );
  }
  if (role !== "" && !["produce", "consume"].includes(role.toLowerCase())) {
    throw new PolicyInvalid(`invalid Kafka APIRole :${quote(role)}`, path);
  }
  if (text("apiVersion") !== "" && !/^[+-]?[0-9]+$/.test(text("apiVersion"))) {
    throw new PolicyInvalid(`invalid Kafka APIVersion :${quote(text("apiVersion"))}`, path);
  }
  if (topic.length > 255) throw new PolicyInvalid("kafka topic exceeds maximum len of 255", path);
  if (topic !== "" && !/^[a-zA-Z0-9._-]+$/.test(topic)) {
    throw new PolicyInvalid(`invalid Kafka Topic name ${quote(topic)}`, path);
  }
}

function readPort(
  o: Fields,
  path: FieldPath,
  dns: boolean,
  extended: boolean,
): { port: number; endPort: number; portName: string; protocol: string; isZero: boolean } {
  const text = asText(o.port, [...path, "port"]) ?? "";
  const endPort = asInteger(o.endPort, [...path, "endPort"]) ?? 0;
  const rawProtocol = asText(o.protocol, [...path, "protocol"]) ?? "";
  const protocol = rawProtocol === "" ? "ANY" : rawProtocol.toUpperCase();
  let port = 0;
  let portName = "";
  let isZero = false;
  if (text === "") {
    if (!extended) throw new PolicyInvalid("port must be specified", path);
  } else if (isServiceName(text)) {
    portName = text.toLowerCase();
  } else {
    if (text !== "0" && (protocol === "VRRP" || protocol === "IGMP")) {
      throw new PolicyInvalid("port must be empty or 0", [...path, "port"]);
    }
    const n = parsePortNumber(text);
    if ("error" in n) throw new PolicyInvalid(`unable to parse port: ${n.error}`, [...path, "port"]);
    port = n.port;
    isZero = port === 0;
    if (dns && endPort > port) {
      throw new PolicyInvalid("DNS rules do not support port ranges", [...path, "endPort"]);
    }
  }
  if (!["TCP", "UDP", "SCTP", "VRRP", "IGMP", "ANY"].includes(protocol)) {
    throw new PolicyInvalid(
      `invalid protocol ${quote(protocol)}, must be { tcp | udp | sctp | vrrp | igmp | any }`,
      [...path, "protocol"],
    );
  }
  return { port, endPort: endPort & 0xffff, portName, protocol, isZero };
}

function readListener(v: unknown, path: FieldPath): ListenerRef | undefined {
  const o = asObject(v, path);
  if (o === undefined) return undefined;
  const config = asObject(o.envoyConfig, [...path, "envoyConfig"]) ?? {};
  return {
    kind: asText(config.kind, [...path, "envoyConfig", "kind"]) ?? "",
    config: asText(config.name, [...path, "envoyConfig", "name"]) ?? "",
    name: asText(o.name, [...path, "name"]) ?? "",
    priority: asInteger(o.priority, [...path, "priority"]) ?? 0,
  };
}
