// Selectors over labels (pkg/policy/types selectors and the slim LabelSelector): what a peer or a subject must have.

import { type LabelSet, SOURCE_ANY, SOURCE_CIDR, SOURCE_CIDR_GROUP, SOURCE_RESERVED } from "./labels.js";
import { type Prefix, prefixOfLabelKey } from "./prefix.js";

export type Operator = "In" | "NotIn" | "Exists" | "DoesNotExist";

/** One condition on a label set. */
export interface Requirement {
  readonly source: string;
  readonly key: string;
  readonly operator: Operator;
  readonly values: readonly string[];
}

/** A Kubernetes label selector as parsed from YAML. */
export interface RawSelector {
  readonly matchLabels?: Readonly<Record<string, string>> | null;
  readonly matchExpressions?:
    | readonly {
        readonly key?: string;
        readonly operator?: string;
        readonly values?: readonly string[] | null;
      }[]
    | null;
}

/** A label key split into source and key, as users write it: `k8s:app`, `app` (any source), `reserved:host`. */
export function parseKey(text: string): { source: string; key: string } {
  if (text.startsWith("$")) return { source: SOURCE_RESERVED, key: text.slice(1) };
  const colon = text.indexOf(":");
  if (colon < 0) {
    if (text.startsWith("reserved.")) return { source: SOURCE_RESERVED, key: text.slice(9) };
    return { source: SOURCE_ANY, key: text };
  }
  const source = text.slice(0, colon);
  return { source: source === "" ? SOURCE_ANY : source, key: text.slice(colon + 1) };
}

/**
 * An immutable selector: all requirements must hold. Its `text` identifies it: rules that meet in one filter are
 * grouped by it, and selectors written differently for the same pods stay apart, as in the agent.
 */
export class Selector {
  readonly text: string;

  private constructor(
    /** From matchLabels, sorted by key: each is an In with one value. */
    readonly labels: readonly Requirement[],
    readonly expressions: readonly Requirement[],
    /** Selects nothing, ever (entity none). */
    readonly none: boolean,
  ) {
    const key = (r: Requirement): string => `${r.source}.${r.key}`;
    const pairs = labels.map((r) => `${key(r)}: ${r.values[0]},`).join("");
    const exprs = expressions
      .map(
        (r) =>
          `LabelSelectorRequirement{Key:${key(r)},Operator:${r.operator},Values:[${r.values.join(" ")}],},`,
      )
      .join("");
    this.text = none
      ? "reserved:none"
      : `&LabelSelector{MatchLabels:map[string]string{${pairs}},MatchExpressions:[]LabelSelectorRequirement{${exprs}},}`;
  }

  /** The selector without any requirement: every identity, never enumerated. */
  static readonly WILDCARD = new Selector([], [], false);
  static readonly NONE = new Selector([], [], true);

  static of(labels: readonly Requirement[], expressions: readonly Requirement[] = []): Selector {
    const sorted = [...labels].sort((a, b) => compare(`${a.source}.${a.key}`, `${b.source}.${b.key}`));
    return new Selector(sorted, expressions, false);
  }

  /** A selector for one label with an empty value, the form that entities take. */
  static forReserved(name: string): Selector {
    return Selector.of([match(SOURCE_RESERVED, name, "")]);
  }

  /** Reads a Kubernetes selector; `defaultSource` is put on keys as they are (KNP: "k8s"), undefined parses the source. */
  static parse(raw: RawSelector, defaultSource?: string): Selector {
    const split = (k: string): { source: string; key: string } =>
      defaultSource === undefined ? parseKey(k) : { source: defaultSource, key: k };
    const labels = Object.entries(raw.matchLabels ?? {}).map(([k, v]) => {
      const { source, key } = split(k);
      return match(source, key, v ?? "");
    });
    const expressions = (raw.matchExpressions ?? []).map((e): Requirement => {
      const { source, key } = split(e.key ?? "");
      return { source, key, operator: e.operator as Operator, values: e.values ?? [] };
    });
    return Selector.of(labels, expressions);
  }

  get isWildcard(): boolean {
    return !this.none && this.labels.length === 0 && this.expressions.length === 0;
  }

  /** Whether any requirement names exactly this key. */
  hasKey(source: string, key: string): boolean {
    return this.#some((r) => r.source === source && r.key === key);
  }

  /** Whether any requirement's key begins so. */
  hasKeyPrefix(source: string, prefix: string): boolean {
    return this.#some((r) => r.source === source && r.key.startsWith(prefix));
  }

  hasSource(source: string): boolean {
    return this.#some((r) => r.source === source);
  }

  /** The same selector with `source:key` = `value` required; replaces a matchLabels entry of the same key. */
  withMatch(source: string, key: string, value: string): Selector {
    const rest = this.labels.filter((r) => r.source !== source || r.key !== key);
    return Selector.of([...rest, match(source, key, value)], this.expressions);
  }

  withExpression(r: Requirement): Selector {
    return Selector.of(this.labels, [...this.expressions, r]);
  }

  /** Both selectors at once. */
  and(other: Selector): Selector {
    let s: Selector = this;
    for (const r of other.labels) s = s.withMatch(r.source, r.key, r.values[0]!);
    return Selector.of(s.labels, [...s.expressions, ...other.expressions]);
  }

  matches(set: LabelSet): boolean {
    return this.firstMismatch(set) === undefined && !this.none;
  }

  /** The first requirement that `set` does not meet, or undefined. */
  firstMismatch(set: LabelSet): Requirement | undefined {
    return this.labels.find((r) => !meets(r, set)) ?? this.expressions.find((r) => !meets(r, set));
  }

  #some(test: (r: Requirement) => boolean): boolean {
    return this.labels.some(test) || this.expressions.some(test);
  }
}

/** Requirement "label `source:key` has this value". */
export function match(source: string, key: string, value: string): Requirement {
  return { source, key, operator: "In", values: [value] };
}

export function exists(source: string, key: string): Requirement {
  return { source, key, operator: "Exists", values: [] };
}

export function doesNotExist(source: string, key: string): Requirement {
  return { source, key, operator: "DoesNotExist", values: [] };
}

/** Whether a label set meets one requirement. */
export function meets(r: Requirement, set: LabelSet): boolean {
  if (r.source === SOURCE_CIDR) {
    // cidr labels match by containment, not by equality.
    const prefix = cachedPrefix(r.key);
    const inside = prefix !== undefined && set.hasCidrWithin(prefix);
    return r.operator === "Exists" ? inside : r.operator === "DoesNotExist" ? !inside : false;
  }
  if (r.source === SOURCE_CIDR_GROUP && r.values.length > 0) {
    // A prefix can be in several groups that give one key different values, so each pair is a label key of its own.
    const any = r.values.some((v) => set.has(SOURCE_CIDR_GROUP, `${r.key}+${v}`));
    return r.operator === "In" ? any : !any;
  }
  const label = set.get(r.source, r.key);
  switch (r.operator) {
    case "In":
      return label !== undefined && r.values.includes(label.value);
    case "NotIn":
      return label === undefined || !r.values.includes(label.value);
    case "Exists":
      return label !== undefined;
    case "DoesNotExist":
      return label === undefined;
  }
}

/** A requirement in words a policy author writes. */
export function formatRequirement(r: Requirement): string {
  const key = r.source === SOURCE_ANY ? r.key : `${r.source}:${r.key}`;
  switch (r.operator) {
    case "In":
      return r.values.length === 1 ? `${key}=${r.values[0]}` : `${key} in (${r.values.join(", ")})`;
    case "NotIn":
      return `${key} not in (${r.values.join(", ")})`;
    case "Exists":
      return `${key} exists`;
    case "DoesNotExist":
      return `${key} does not exist`;
  }
}

const prefixes = new Map<string, Prefix | undefined>();
function cachedPrefix(key: string): Prefix | undefined {
  if (!prefixes.has(key)) {
    if (prefixes.size >= 4096) prefixes.clear();
    prefixes.set(key, prefixOfLabelKey(key));
  }
  return prefixes.get(key);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
