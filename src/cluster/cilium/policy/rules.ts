// Rules: what a policy object becomes before it meets identities (pkg/policy/types PolicyEntry). One rule is one
// element of ingress, ingressDeny, egress or egressDeny (for a NetworkPolicy: one peer of one element).

import type { SourcePosition } from "../../../base/errors.js";
import type { FqdnSelector } from "./fqdn.js";
import type { Prefix } from "./prefix.js";
import type { Selector } from "./selector.js";

export type Direction = "ingress" | "egress";

/** Path of a field inside an object: ["spec", "ingress", 0]. */
export type FieldPath = readonly (string | number)[];

/** Finds where a field stands in the file it came from. */
export type PositionLookup = (path: FieldPath) => SourcePosition | undefined;

export type PolicyKind = "NetworkPolicy" | "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy";

/** Where a rule comes from: kept on every map entry that it gives. */
export interface RuleOrigin {
  /** undefined for what the agent adds itself (allow-any, allow-localhost). */
  readonly kind: PolicyKind | undefined;
  readonly namespace: string;
  readonly name: string;
  readonly direction: Direction;
  readonly deny: boolean;
  /** Number of the rule within its object. */
  readonly index: number;
  readonly path: FieldPath;
  /** Rule labels, sorted by key. */
  readonly labels: readonly string[];
  /** Value of spec.log, or "". */
  readonly log: string;
  readonly position: SourcePosition | undefined;
}

/** One way to name peers, and the field that does it. */
export interface Peer {
  readonly selector: Selector;
  readonly path: FieldPath;
}

/** Names of the L7 parsers (L7ParserType); others are proxylib parsers by their l7proto. */
export type Parser = "" | "tls" | "crd" | "http" | "kafka" | "dns" | (string & {});

/** L7 rules of a port rule, kept as written. */
export interface L7Rules {
  readonly http: readonly unknown[];
  readonly kafka: readonly unknown[];
  readonly dns: readonly unknown[];
  readonly l7proto: string;
  readonly l7: readonly unknown[];
}

export const NO_L7_RULES: L7Rules = { http: [], kafka: [], dns: [], l7proto: "", l7: [] };

export interface ListenerRef {
  readonly kind: string;
  readonly config: string;
  readonly name: string;
  /** 1..100, 0 = the default of its kind. */
  readonly priority: number;
}

/** One port (or range, or ICMP type) of a rule and one protocol. */
export interface PortTerm {
  /** 0 with an empty name: every port. */
  readonly port: number;
  readonly endPort: number;
  /** Named port, "" for a number. */
  readonly portName: string;
  /** IANA number; ANY was expanded to TCP, UDP, SCTP. */
  readonly protocol: number;
  readonly l7: L7Rules | undefined;
  readonly serverNames: readonly string[];
  readonly tls: boolean;
  readonly listener: ListenerRef | undefined;
  readonly path: FieldPath;
}

export interface Rule {
  readonly subject: Selector;
  /** nodeSelector: selects only the host endpoint; otherwise never the host endpoint. */
  readonly selectsHost: boolean;
  /** Namespace whose pods the object can select; "" = cluster-wide. */
  readonly namespace: string;
  /** Sort key of the object: `cnp/default/name`. */
  readonly resource: string;
  readonly direction: Direction;
  readonly deny: boolean;
  readonly defaultDeny: boolean;
  /** undefined: matches nothing, only switches enforcement on. Empty: any peer, if there are ports. */
  readonly peers: readonly Peer[] | undefined;
  /** undefined: all of L4 ("L3-only"). An empty list: nothing. */
  readonly ports: readonly PortTerm[] | undefined;
  /** authentication.mode as written. */
  readonly auth: string | undefined;
  /** Prefixes that the rule mentions, exceptions included, masked: they need identities. */
  readonly prefixes: readonly Prefix[];
  readonly fqdns: readonly FqdnSelector[];
  readonly origin: RuleOrigin;
}

/** IANA protocol numbers and the names that policies use. */
export const PROTOCOL_NUMBERS: Readonly<Record<string, number>> = {
  ICMP: 1,
  IGMP: 2,
  TCP: 6,
  UDP: 17,
  ICMPv6: 58,
  VRRP: 112,
  SCTP: 132,
};

/** Name of a protocol as redirects and dumps show it. */
export function protocolName(n: number): string {
  if (n === 0) return "ANY";
  for (const [name, value] of Object.entries(PROTOCOL_NUMBERS)) if (value === n) return name;
  return String(n);
}

/** Key prefix of the rule labels. */
const LABEL = "k8s:io.cilium.k8s.policy.";

/** Labels of an object's rules: where they are derived from, name, namespace, uid, and spec.labels; sorted by key. */
export function ruleLabels(
  kind: PolicyKind,
  name: string,
  namespace: string,
  uid: string,
  extra: readonly { source: string; key: string; value: string }[] = [],
): string[] {
  const own = [
    { key: "io.cilium.k8s.policy.derived-from", text: `${LABEL}derived-from=${kind}` },
    { key: "io.cilium.k8s.policy.name", text: `${LABEL}name=${name}` },
    { key: "io.cilium.k8s.policy.uid", text: uid === "" ? `${LABEL}uid` : `${LABEL}uid=${uid}` },
  ];
  if (kind !== "CiliumClusterwideNetworkPolicy") {
    own.push({ key: "io.cilium.k8s.policy.namespace", text: `${LABEL}namespace=${namespace}` });
  }
  for (const l of extra) {
    own.push({ key: l.key, text: `${l.source}:${l.key}${l.value === "" ? "" : `=${l.value}`}` });
  }
  return own.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)).map((l) => l.text);
}

/** Origin of an entry that the agent makes itself. */
export function agentOrigin(direction: Direction, name: string): RuleOrigin {
  return {
    kind: undefined,
    namespace: "",
    name,
    direction,
    deny: false,
    index: 0,
    path: [],
    labels: [`reserved:io.cilium.policy.derived-from=${name}`],
    log: "",
    position: undefined,
  };
}

export const ALLOW_ANY_INGRESS = agentOrigin("ingress", "allow-any-ingress");
export const ALLOW_ANY_EGRESS = agentOrigin("egress", "allow-any-egress");
export const ALLOW_LOCALHOST_INGRESS = agentOrigin("ingress", "allow-localhost-ingress");
