// Calico's selector language (libcalico-go/lib/selector): label predicates with && || ! and brackets.
//
//   a == 'x'   a != 'x'   a in {'x', 'y'}   a not in {..}   has(a)   !has(a)   all()   global()
//   a contains 'x'   a starts with 'x'   a ends with 'x'

import { PodpathError, type SourcePosition } from "../../base/errors.js";

export type Labels = Readonly<Record<string, string>>;
export type Predicate = (labels: Labels) => boolean;

export interface CalicoSelector {
  /** The text that names the set of matching endpoints. */
  readonly text: string;
  readonly matches: Predicate;
}

/** Parses a selector; the empty one selects everything. Throws SCENARIO_INVALID at `pos`. */
export function parseSelector(text: string, pos?: SourcePosition): CalicoSelector {
  return { text, matches: new Parser(text, pos).parse() };
}

/** A Kubernetes label selector (matchLabels, matchExpressions) in Calico's words; `prefix` goes before each key. */
export function fromLabelSelector(selector: unknown, prefix = ""): string {
  const s = (selector ?? {}) as {
    matchLabels?: Record<string, string> | null;
    matchExpressions?: { key: string; operator: string; values?: string[] }[] | null;
  };
  const parts = Object.entries(s.matchLabels ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([k, v]) => `${prefix}${k} == '${v}'`);
  for (const e of s.matchExpressions ?? []) {
    const key = prefix + e.key;
    const values = `{${(e.values ?? []).map((v) => `'${v}'`).join(", ")}}`;
    if (e.operator === "In") parts.push(`${key} in ${values}`);
    else if (e.operator === "NotIn") parts.push(`${key} not in ${values}`);
    else if (e.operator === "Exists") parts.push(`has(${key})`);
    else parts.push(`!has(${key})`);
  }
  return parts.join(" && ");
}

const TOKEN =
  /\s*(?:(==|!=|&&|\|\||[!(){},])|'([^']*)'|"([^"]*)"|(all\s*\(\s*\)|global\s*\(\s*\))|has\s*\(\s*([\w./-]+)\s*\)|(not\s+in|in|contains|starts\s+with|ends\s+with)(?=[\s{'"])|([\w./-]+))/y;

type Token =
  | { readonly kind: "op" | "word" | "string" | "label" | "has"; readonly value: string }
  | { readonly kind: "all" | "end"; readonly value: "" };

class Parser {
  #at = 0;
  #next: Token;

  constructor(
    private readonly text: string,
    private readonly pos: SourcePosition | undefined,
  ) {
    this.#next = this.#token();
  }

  parse(): Predicate {
    if (this.#ended()) return () => true;
    const p = this.#or();
    if (!this.#ended()) this.#bad();
    return p;
  }

  #ended(): boolean {
    return this.#next.kind === "end";
  }

  #bad(): never {
    throw new PodpathError(
      "SCENARIO_INVALID",
      `selector ${JSON.stringify(this.text)} is wrong at character ${this.#at}`,
      this.pos,
    );
  }

  #token(): Token {
    if (this.text.slice(this.#at).trim() === "") return { kind: "end", value: "" };
    TOKEN.lastIndex = this.#at;
    const m = TOKEN.exec(this.text);
    if (m === null) this.#bad();
    this.#at = TOKEN.lastIndex;
    if (m[1] !== undefined) return { kind: "op", value: m[1] };
    if (m[2] !== undefined || m[3] !== undefined) return { kind: "string", value: m[2] ?? m[3]! };
    if (m[4] !== undefined) return { kind: "all", value: "" };
    if (m[5] !== undefined) return { kind: "has", value: m[5] };
    if (m[6] !== undefined) return { kind: "word", value: m[6].replace(/\s+/g, " ") };
    return { kind: "label", value: m[7]! };
  }

  #take(): Token {
    const t = this.#next;
    this.#next = this.#token();
    return t;
  }

  #is(value: string): boolean {
    return this.#next.kind === "op" && this.#next.value === value;
  }

  #expect(value: string): void {
    if (!this.#is(value)) this.#bad();
    this.#take();
  }

  #string(): string {
    const t = this.#take();
    if (t.kind !== "string") this.#bad();
    return t.value;
  }

  #or(): Predicate {
    const parts = [this.#and()];
    while (this.#is("||")) {
      this.#take();
      parts.push(this.#and());
    }
    return parts.length === 1 ? parts[0]! : (l) => parts.some((p) => p(l));
  }

  #and(): Predicate {
    const parts = [this.#unary()];
    while (this.#is("&&")) {
      this.#take();
      parts.push(this.#unary());
    }
    return parts.length === 1 ? parts[0]! : (l) => parts.every((p) => p(l));
  }

  #unary(): Predicate {
    const t = this.#take();
    if (t.kind === "all") return () => true;
    if (t.kind === "has") return (l) => l[t.value] !== undefined;
    if (t.kind === "op" && t.value === "!") {
      const p = this.#unary();
      return (l) => !p(l);
    }
    if (t.kind === "op" && t.value === "(") {
      const p = this.#or();
      this.#expect(")");
      return p;
    }
    if (t.kind !== "label" && t.kind !== "word") this.#bad();
    const key = t.value;
    const op = this.#take();
    switch (op.value) {
      case "==": {
        const v = this.#string();
        return (l) => l[key] === v;
      }
      case "!=": {
        const v = this.#string();
        return (l) => l[key] !== v;
      }
      case "contains": {
        const v = this.#string();
        return (l) => l[key]?.includes(v) === true;
      }
      case "starts with": {
        const v = this.#string();
        return (l) => l[key]?.startsWith(v) === true;
      }
      case "ends with": {
        const v = this.#string();
        return (l) => l[key]?.endsWith(v) === true;
      }
      case "in":
      case "not in": {
        const values = this.#set();
        return op.value === "in"
          ? (l) => l[key] !== undefined && values.has(l[key])
          : (l) => l[key] === undefined || !values.has(l[key]);
      }
      default:
        return this.#bad();
    }
  }

  #set(): Set<string> {
    const values = new Set<string>();
    this.#expect("{");
    while (!this.#is("}")) {
      values.add(this.#string());
      if (this.#is(",")) this.#take();
      else if (!this.#is("}")) this.#bad();
    }
    this.#take();
    return values;
  }
}
