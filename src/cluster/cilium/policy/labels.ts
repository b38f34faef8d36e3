// Security labels (pkg/labels): `source:key=value`. A set of them is what an identity stands for.

import { containsPrefix, type Prefix, prefixOfLabelKey } from "./prefix.js";

/** Source that matches every source. */
export const SOURCE_ANY = "any";
export const SOURCE_K8S = "k8s";
export const SOURCE_RESERVED = "reserved";
export const SOURCE_CIDR = "cidr";
export const SOURCE_CIDR_GROUP = "cidrgroup";
export const SOURCE_FQDN = "fqdn";
export const SOURCE_NODE = "node";

/** Namespace of a pod. */
export const KEY_POD_NAMESPACE = "io.kubernetes.pod.namespace";
/** Prefix of the keys that carry the labels of a pod's namespace. */
export const KEY_NAMESPACE_LABELS = "io.cilium.k8s.namespace.labels.";
/** Cluster of a pod. */
export const KEY_CLUSTER = "io.cilium.k8s.policy.cluster";
/** Service account of a pod. */
export const KEY_SERVICE_ACCOUNT = "io.cilium.k8s.policy.serviceaccount";

export interface Label {
  readonly source: string;
  readonly key: string;
  readonly value: string;
}

/** Reads `source:key=value`; without a source it is "unspec", without a value "". */
export function parseLabel(text: string): Label {
  // A cidrgroup label may hold "=" in its key (cidrgroup:env=prod is written beside cidrgroup:env+prod); for matching
  // it makes no difference where it is cut.
  const colon = text.indexOf(":");
  const source = colon < 0 ? "unspec" : text.slice(0, colon);
  const rest = text.slice(colon + 1);
  const eq = rest.indexOf("=");
  return eq < 0
    ? { source, key: rest, value: "" }
    : { source, key: rest.slice(0, eq), value: rest.slice(eq + 1) };
}

/** Text form; an empty value is left out with its "=". */
export function formatLabel(l: Label): string {
  return l.value === "" ? `${l.source}:${l.key}` : `${l.source}:${l.key}=${l.value}`;
}

/** An immutable set of labels, sorted by text. */
export class LabelSet {
  readonly labels: readonly Label[];
  /** Sorted texts; equal sets have equal texts. */
  readonly texts: readonly string[];
  #cidrs: Prefix[] | undefined;

  constructor(labels: Iterable<Label>) {
    const byText = new Map<string, Label>();
    for (const l of labels) byText.set(formatLabel(l), l);
    this.texts = [...byText.keys()].sort();
    this.labels = this.texts.map((t) => byText.get(t)!);
  }

  static parse(texts: Iterable<string>): LabelSet {
    return new LabelSet([...texts].map(parseLabel));
  }

  /** One text for the whole set, to be used as a map key. */
  get id(): string {
    return this.texts.join(";");
  }

  /** The label with this key; source "any" takes the first of any source. */
  get(source: string, key: string): Label | undefined {
    return this.labels.find((l) => l.key === key && (source === SOURCE_ANY || l.source === source));
  }

  has(source: string, key: string): boolean {
    return this.get(source, key) !== undefined;
  }

  /** Whether a `cidr:` label lies inside `prefix`. */
  hasCidrWithin(prefix: Prefix): boolean {
    this.#cidrs ??= this.labels
      .filter((l) => l.source === SOURCE_CIDR)
      .map((l) => prefixOfLabelKey(l.key))
      .filter((p) => p !== undefined);
    return this.#cidrs.some((p) => containsPrefix(prefix, p));
  }

  /** Value of the pod namespace label, or "". */
  get namespace(): string {
    return this.get(SOURCE_K8S, KEY_POD_NAMESPACE)?.value ?? "";
  }
}
