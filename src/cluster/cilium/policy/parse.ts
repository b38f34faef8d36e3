// Policy objects to rules: the entry point that takes objects as parsed from YAML, of any of the three kinds.

import { DEFAULT_POLICY_CONFIG, type PolicyConfig } from "./config.js";
import { PolicyInvalid } from "./invalid.js";
import { parseCiliumPolicy } from "./parse_cilium.js";
import { parseNetworkPolicy } from "./parse_k8s.js";
import type { FieldPath, PositionLookup, Rule } from "./rules.js";

/** A service as toServices sees it. */
export interface PolicyService {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly selector?: Readonly<Record<string, string>> | undefined;
  /** Addresses behind a service without selector. */
  readonly backends?: readonly string[] | undefined;
}

export interface ParseContext {
  readonly config: PolicyConfig;
  readonly services: readonly PolicyService[];
  readonly position: PositionLookup;
}

/** A policy object and where its fields stand. */
export interface PolicyObject {
  readonly object: Readonly<Record<string, unknown>>;
  readonly position?: PositionLookup | undefined;
}

/** An object that the agent refuses: it contributes nothing, the others apply. */
export interface RejectedPolicy {
  /** Index of the object in the list given. */
  readonly index: number;
  /** The agent's message. */
  readonly error: string;
  readonly path: FieldPath;
  readonly stage: "decode" | "validate";
}

export interface ParsedPolicies {
  readonly rules: readonly Rule[];
  readonly rejected: readonly RejectedPolicy[];
}

/** API groups of the policies that the agent watches, by kind. */
const POLICY_GROUPS: Readonly<Record<string, readonly string[]>> = {
  NetworkPolicy: ["networking.k8s.io", "extensions"],
  CiliumNetworkPolicy: ["cilium.io"],
  CiliumClusterwideNetworkPolicy: ["cilium.io"],
};

/**
 * Whether an object is a policy to the agent. Kinds of other groups are none, even of the same name: Calico's
 * NetworkPolicy (projectcalico.org/v3) in a scenario that also runs on Calico.
 */
export function isPolicy(o: { readonly apiVersion: string; readonly kind: string }): boolean {
  return POLICY_GROUPS[o.kind]?.includes(o.apiVersion.split("/")[0]!) ?? false;
}

/**
 * The rules of all objects, in order. Objects of other kinds are refused. Never throws for what a user wrote: that is
 * in `rejected`.
 */
export function parsePolicies(
  objects: readonly PolicyObject[],
  config: PolicyConfig = DEFAULT_POLICY_CONFIG,
  services: readonly PolicyService[] = [],
): ParsedPolicies {
  const rules: Rule[] = [];
  const rejected: RejectedPolicy[] = [];
  objects.forEach(({ object, position }, index) => {
    const ctx: ParseContext = { config, services, position: position ?? (() => undefined) };
    try {
      rules.push(...parseObject(object, ctx));
    } catch (e) {
      if (!(e instanceof PolicyInvalid)) throw e;
      rejected.push({ index, error: e.message, path: e.path, stage: e.stage });
    }
  });
  return { rules, rejected };
}

function parseObject(object: Readonly<Record<string, unknown>>, ctx: ParseContext): Rule[] {
  switch (object.kind) {
    case "NetworkPolicy":
      return parseNetworkPolicy(object, ctx);
    case "CiliumNetworkPolicy":
    case "CiliumClusterwideNetworkPolicy":
      return parseCiliumPolicy(object.kind, object, ctx);
    default:
      throw new PolicyInvalid(`unknown policy kind ${String(object.kind)}`, ["kind"], "decode");
  }
}
