// NetworkPolicy to rules (pkg/k8s/network_policy.go). The API server validates these objects; the agent takes what it
// gets and checks only protocol names.

import { isDualStack } from "./config.js";
import { asInteger, asList, asObject, asSelector, asText, PolicyInvalid } from "./invalid.js";
import { KEY_NAMESPACE_LABELS, KEY_POD_NAMESPACE, SOURCE_K8S } from "./labels.js";
import type { ParseContext } from "./parse.js";
import { cidrSelector, collapseWildcard, withCluster } from "./parse_cilium.js";
import { isServiceName, parsePortNumber } from "./ports.js";
import { masked, type Prefix, PrefixError, parsePrefix, quote } from "./prefix.js";
import {
  type Direction,
  type FieldPath,
  type Peer,
  type PortTerm,
  PROTOCOL_NUMBERS,
  type Rule,
  ruleLabels,
} from "./rules.js";
import { exists, match, type RawSelector, Selector } from "./selector.js";

type Fields = Readonly<Record<string, unknown>>;

/** Annotations that give a NetworkPolicy another name in its rule labels, the newer one first. */
const NAME_ANNOTATIONS = ["policy.cilium.io/name", "io.cilium.name"];

/** The rules of one NetworkPolicy. Throws PolicyInvalid. */
export function parseNetworkPolicy(object: Fields, ctx: ParseContext): Rule[] {
  const meta = asObject(object.metadata, ["metadata"]) ?? {};
  const namespace = asText(meta.namespace, ["metadata", "namespace"]) ?? "default";
  const annotations = asObject(meta.annotations, ["metadata", "annotations"]) ?? {};
  const name = asText(meta.name, ["metadata", "name"]) ?? "";
  const shown = NAME_ANNOTATIONS.map((a) => annotations[a]).find((v) => typeof v === "string" && v !== "");
  const uid = asText(meta.uid, ["metadata", "uid"]) ?? "";
  const spec = asObject(object.spec, ["spec"]) ?? {};
  const labels = ruleLabels("NetworkPolicy", (shown as string | undefined) ?? name, namespace, uid);
  const subject = Selector.parse(
    asSelector(spec.podSelector, ["spec", "podSelector"]) ?? {},
    SOURCE_K8S,
  ).withMatch(SOURCE_K8S, KEY_POD_NAMESPACE, namespace);

  const rules: Rule[] = [];
  const add = (
    direction: Direction,
    path: FieldPath,
    peers: readonly Peer[] | undefined,
    ports: PortTerm[] | undefined,
    prefixes: readonly Prefix[],
  ): void => {
    rules.push({
      subject,
      selectsHost: false,
      namespace,
      resource: `netpol/${namespace}/${name}`,
      direction,
      deny: false,
      defaultDeny: true,
      peers,
      ports,
      auth: undefined,
      prefixes,
      fqdns: [],
      origin: {
        kind: "NetworkPolicy",
        namespace,
        name: (shown as string | undefined) ?? name,
        direction,
        deny: false,
        index: rules.length,
        path,
        labels,
        log: "",
        position: ctx.position(path),
      },
    });
  };

  for (const direction of ["ingress", "egress"] as const) {
    const field = direction === "ingress" ? "from" : "to";
    (asList(spec[direction], ["spec", direction]) ?? []).forEach((r, i) => {
      const path = ["spec", direction, i];
      const rule = asObject(r, path) ?? {};
      const ports = readPorts(asList(rule.ports, [...path, "ports"]) ?? [], [...path, "ports"]);
      const peers = asList(rule[field], [...path, field]) ?? [];
      if (peers.length === 0) {
        add(direction, path, [{ selector: Selector.WILDCARD, path }], ports, []);
        return;
      }
      peers.forEach((p, k) => {
        const at = [...path, field, k];
        const prefixes: Prefix[] = [];
        const got = readPeer(asObject(p, at) ?? {}, at, direction, namespace, ctx, prefixes);
        add(direction, at, got, ports, prefixes);
      });
    });
  }

  const types = (asList(spec.policyTypes, ["spec", "policyTypes"]) ?? []) as readonly unknown[];
  const has = (d: Direction): boolean => rules.some((r) => r.direction === d);
  const bare = { ingress: !has("ingress"), egress: !has("egress") };
  if (bare.ingress && (types.includes("Ingress") || !types.includes("Egress"))) {
    add("ingress", ["spec"], [], undefined, []);
  }
  if (bare.egress && types.includes("Egress")) add("egress", ["spec"], [], undefined, []);
  return rules;
}

function readPeer(
  peer: Fields,
  path: FieldPath,
  direction: Direction,
  namespace: string,
  ctx: ParseContext,
  prefixes: Prefix[],
): Peer[] | undefined {
  const out: Peer[] = [];
  const pods = asSelector(peer.podSelector, [...path, "podSelector"]);
  const spaces = asSelector(peer.namespaceSelector, [...path, "namespaceSelector"]);
  let selector: Selector | undefined;
  if (spaces !== undefined) {
    selector = namespaceSelector(spaces);
    if (pods !== undefined) selector = selector.and(Selector.parse(pods, SOURCE_K8S));
  } else if (pods !== undefined) {
    selector = Selector.parse(pods, SOURCE_K8S).withMatch(SOURCE_K8S, KEY_POD_NAMESPACE, namespace);
  } else if (direction === "ingress" && ctx.config.policyDefaultLocalCluster) {
    // The cluster requirement is put into an empty pod selector here, which then means the pods of the namespace: an
    // ipBlock on ingress lets them in too.
    selector = Selector.of([match(SOURCE_K8S, KEY_POD_NAMESPACE, namespace)]);
  }
  if (selector !== undefined) out.push({ selector: withCluster(selector, ctx), path });
  const block = asObject(peer.ipBlock, [...path, "ipBlock"]);
  if (block !== undefined) {
    const p = prefixOrNone(asText(block.cidr, [...path, "ipBlock", "cidr"]) ?? "");
    const except = (asList(block.except, [...path, "ipBlock", "except"]) ?? [])
      .map((x, i) => prefixOrNone(asText(x, [...path, "ipBlock", "except", i]) ?? ""))
      .filter((x) => x !== undefined)
      .map(masked);
    if (p !== undefined) {
      const all = masked(p);
      prefixes.push(...[all, ...except].filter((x) => x.bits > 0));
      out.push({
        selector: cidrSelector(all, except, isDualStack(ctx.config)),
        path: [...path, "ipBlock"],
      });
    }
  }
  return out.length === 0 ? undefined : collapseWildcard(out);
}

/** Keys become namespace labels; an empty selector means that there is a namespace at all. */
function namespaceSelector(raw: RawSelector): Selector {
  const rekey = <T>(entries: [string, T][]): [string, T][] =>
    entries.map(([k, v]) => [KEY_NAMESPACE_LABELS + k, v]);
  const matchLabels = Object.fromEntries(rekey(Object.entries(raw.matchLabels ?? {})));
  const matchExpressions = (raw.matchExpressions ?? []).map((e) => ({
    ...e,
    key: KEY_NAMESPACE_LABELS + (e.key ?? ""),
  }));
  if (Object.keys(matchLabels).length === 0 && matchExpressions.length === 0) {
    return Selector.of([], [exists(SOURCE_K8S, KEY_POD_NAMESPACE)]);
  }
  return Selector.parse({ matchLabels, matchExpressions }, SOURCE_K8S);
}

function readPorts(list: readonly unknown[], path: FieldPath): PortTerm[] | undefined {
  if (list.length === 0) return undefined;
  return list.map((p, i) => {
    const at = [...path, i];
    const o = asObject(p, at) ?? {};
    const word = asText(o.protocol, [...at, "protocol"]) ?? "TCP";
    const protocol = PROTOCOL_NUMBERS[word.toUpperCase()];
    if (protocol === undefined) {
      throw new PolicyInvalid(
        `invalid protocol ${quote(word)}, must be { tcp | udp | sctp | vrrp | igmp | any }`,
        [...at, "protocol"],
      );
    }
    const text =
      typeof o.port === "number"
        ? String(asInteger(o.port, [...at, "port"]))
        : asText(o.port, [...at, "port"]);
    const portName = text !== undefined && isServiceName(text) ? text : "";
    return {
      port: text === undefined || portName !== "" ? 0 : portOrNearest(text),
      endPort: (asInteger(o.endPort, [...at, "endPort"]) ?? 0) & 0xffff,
      portName,
      protocol,
      l7: undefined,
      serverNames: [],
      tls: false,
      listener: undefined,
      path: at,
    };
  });
}

/** The API server refuses what is no port; the agent takes what Go's ParseUint gives beside its error. */
function portOrNearest(text: string): number {
  const p = parsePortNumber(text);
  return "port" in p ? p.port : p.error.endsWith("out of range") ? 65535 : 0;
}

function prefixOrNone(text: string): Prefix | undefined {
  try {
    return parsePrefix(text);
  } catch (e) {
    if (e instanceof PrefixError) return undefined;
    throw e;
  }
}
