// Why a policy object is refused. The agent logs the same text and goes on with the other objects.

import type { FieldPath } from "./rules.js";
import type { RawSelector } from "./selector.js";

/** Thrown inside the parsers only; `parsePolicies` turns it into a RejectedPolicy. */
export class PolicyInvalid extends Error {
  constructor(
    message: string,
    readonly path: FieldPath,
    /** "decode": the object does not even have the right shape; its message carries no "Invalid ... spec" in front. */
    readonly stage: "decode" | "validate" = "validate",
  ) {
    super(message);
  }
}

/** The value as a list; undefined when absent or null. */
export function asList(v: unknown, path: FieldPath): readonly unknown[] | undefined {
  if (v === undefined || v === null) return undefined;
  if (!Array.isArray(v)) throw new PolicyInvalid(`${formatPath(path)} must be a list`, path, "decode");
  return v;
}

/** The value as an object; undefined when absent or null. */
export function asObject(v: unknown, path: FieldPath): Readonly<Record<string, unknown>> | undefined {
  if (v === undefined || v === null) return undefined;
  if (typeof v !== "object" || Array.isArray(v)) {
    throw new PolicyInvalid(`${formatPath(path)} must be an object`, path, "decode");
  }
  return v as Record<string, unknown>;
}

/** The value as text; undefined when absent or null. */
export function asText(v: unknown, path: FieldPath): string | undefined {
  if (v === undefined || v === null) return undefined;
  if (typeof v !== "string") throw new PolicyInvalid(`${formatPath(path)} must be a string`, path, "decode");
  return v;
}

/** The value as an integer; undefined when absent or null. */
export function asInteger(v: unknown, path: FieldPath): number | undefined {
  if (v === undefined || v === null) return undefined;
  if (typeof v !== "number" || !Number.isInteger(v)) {
    throw new PolicyInvalid(`${formatPath(path)} must be an integer`, path, "decode");
  }
  return v;
}

export function asBoolean(v: unknown, path: FieldPath): boolean | undefined {
  if (v === undefined || v === null) return undefined;
  if (typeof v !== "boolean") {
    throw new PolicyInvalid(`${formatPath(path)} must be true or false`, path, "decode");
  }
  return v;
}

/** The value as a label selector; undefined when absent or null. */
export function asSelector(v: unknown, path: FieldPath): RawSelector | undefined {
  const o = asObject(v, path);
  if (o === undefined) return undefined;
  const matchLabels: Record<string, string> = {};
  for (const [k, value] of Object.entries(asObject(o.matchLabels, [...path, "matchLabels"]) ?? {})) {
    matchLabels[k] = asText(value, [...path, "matchLabels", k]) ?? "";
  }
  const expressions = asList(o.matchExpressions, [...path, "matchExpressions"]) ?? [];
  const matchExpressions = expressions.map((e, i) => {
    const at = [...path, "matchExpressions", i];
    const x = asObject(e, at) ?? {};
    const values = asList(x.values, [...at, "values"]) ?? [];
    return {
      key: asText(x.key, [...at, "key"]) ?? "",
      operator: asText(x.operator, [...at, "operator"]) ?? "",
      values: values.map((s, k) => asText(s, [...at, "values", k]) ?? ""),
    };
  });
  return { matchLabels, matchExpressions };
}

/** spec.ingress[0].toPorts */
export function formatPath(path: FieldPath): string {
  return path.map((p, i) => (typeof p === "number" ? `[${p}]` : i === 0 ? p : `.${p}`)).join("");
}
