// Policies compiled to map entries and looked up as the datapath does, against the reference evaluator that knows
// nothing of maps: generated clusters, policies and flows. A failure is shrunk and shown as YAML.

import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { explainVerdict } from "../../src/cluster/cilium/policy/explain.js";
import { lookupPolicy } from "../../src/cluster/cilium/policy/lookup.js";
import { redirectPrecedence } from "../../src/cluster/cilium/policy/map_state.js";
import { parsePolicies } from "../../src/cluster/cilium/policy/parse.js";
import { PolicyConflict } from "../../src/cluster/cilium/policy/resolve.js";
import type { FieldPath } from "../../src/cluster/cilium/policy/rules.js";
import * as fc from "../support/fast_check.js";
import { referenceVerdict } from "../support/policy_reference.js";
import { compileScenario, type Scenario, scenario } from "../support/policy_scenarios.js";

interface Outcome {
  readonly checked: number;
  /** The first disagreement. */
  readonly wrong: unknown;
}

/** Asks both sides about a sixth of the flows of a scenario. */
function compare(s: Scenario, offset: number): Outcome {
  const c = compileScenario(s);
  let checked = 0;
  for (const [i, { flow, identity }] of c.flows.entries()) {
    if (i % 6 !== offset) continue;
    checked++;
    const { direction, protocol, port } = flow;
    const want = referenceVerdict(s.policies, c.world, flow);
    const enforced = direction === "ingress" ? c.policy.ingressEnforced : c.policy.egressEnforced;
    const got = lookupPolicy(c.written, { direction, identity, protocol, port });
    const same =
      want.verdict === got.verdict &&
      want.enforced === enforced &&
      (want.verdict !== "redirect" || got.entry?.value.precedence === redirectPrecedence(want.priority));
    if (!same) {
      const actual = { verdict: got.verdict, enforced, entry: got.entry?.key, value: got.entry?.value };
      return { checked, wrong: { flow, expected: want, actual } };
    }
  }
  return { checked, wrong: undefined };
}

/** Makes the smallest change that the explanation of an implicit deny names, and asks again. */
function applyAdvice(s: Scenario, offset: number): Outcome {
  const c = compileScenario(s);
  let checked = 0;
  for (const [i, { flow, identity, address }] of c.flows.entries()) {
    if (i % 40 !== offset) continue;
    const probe = { direction: flow.direction, identity, protocol: flow.protocol, port: flow.port, address };
    const verdict = lookupPolicy(c.policy.entries, probe);
    const explained = explainVerdict(c.policy, verdict, probe, c.subject, c.ctx);
    // What decided and what is said to match must agree with each other.
    const matched = [...explained.rules, ...explained.others];
    if (verdict.verdict === "denied" && verdict.entry === undefined && matched.length > 0) {
      return { checked, wrong: { flow, said: "implicit deny, but rules match", matched } };
    }
    if (explained.reason === "rule" && explained.rules.length === 0) {
      return { checked, wrong: { flow, said: "decided by a rule without naming it" } };
    }
    const advice = explained.candidates.find((x) => x.changes.length > 0);
    if (advice === undefined) continue;
    checked++;
    const policies = structuredClone(s.policies) as Record<string, unknown>[];
    const object = policies.find((p) => (p.metadata as { name: string }).name === advice.origin.name)!;
    for (const change of advice.changes) append(object, change.path, change.value);
    let now: ReturnType<typeof lookupPolicy>;
    try {
      const changed = compileScenario({ ...s, policies });
      const again = changed.flows[i]!;
      now = lookupPolicy(changed.policy.entries, { ...probe, identity: again.identity });
    } catch (e) {
      if (e instanceof PolicyConflict) continue;
      throw e;
    }
    if (now.verdict === "denied") return { checked, wrong: { flow, advice } };
  }
  return { checked, wrong: undefined };
}

/** Appends to the list at `path`, which is made if it is not there. */
function append(object: Record<string, unknown>, path: FieldPath, value: unknown): void {
  // biome-ignore lint/suspicious/noExplicitAny: walks a policy object
  let at: any = object;
  for (const step of path.slice(0, -1)) at = at[step];
  at[path.at(-1)!] ??= [];
  at[path.at(-1)!].push(value);
}

/** Runs one of the two over generated scenarios; a failure shows the shrunk scenario as YAML. */
function hold(
  title: string,
  run: (s: Scenario, offset: number) => Outcome,
  slices: number,
  runs: number,
): number {
  let checked = 0;
  let conflicts = 0;
  const property = fc.property(scenario, fc.nat({ max: slices - 1 }), (s, offset) => {
    try {
      const r = run(s, offset);
      checked += r.checked;
      return r.wrong === undefined;
    } catch (e) {
      if (!(e instanceof PolicyConflict)) throw e;
      conflicts++;
      return true;
    }
  });
  const result = fc.check(property, { numRuns: runs });
  if (result.failed) {
    const [s, offset] = result.counterexample!;
    let wrong: string;
    try {
      wrong = stringify(run(s, offset).wrong);
    } catch (e) {
      wrong = e instanceof Error ? `${e.stack}\n` : String(e);
    }
    throw new Error(
      `${title} (seed ${result.seed}, path ${result.counterexamplePath}):\n${wrong}---\n${stringify({ pods: s.pods, mode: s.mode, allowLocalhost: s.localhost })}---\n${s.policies.map((p) => stringify(p)).join("---\n")}`,
    );
  }
  expect(conflicts).toBeLessThan(runs / 4);
  return checked;
}

const RUNS = Number(process.env.PODPATH_POLICY_RUNS ?? 500);

describe("policy compilation", () => {
  it("gives every generated flow the verdict that its rules say, over at least 20,000 flows", () => {
    const flows = hold("policy compiled to another verdict than its rules say", compare, 6, RUNS);
    expect(flows).toBeGreaterThanOrEqual(20_000);
  });

  it("explains an implicit deny such that the smallest change it names lets the flow through", () => {
    const changes = hold(
      "the change does not help, or the explanation is wrong",
      applyAdvice,
      40,
      Math.ceil(RUNS * 0.3),
    );
    expect(changes).toBeGreaterThanOrEqual(500);
  });

  it("takes whatever a user may write: an object that is wrong is refused, and nothing else happens", () => {
    const broken = fc
      .tuple(
        scenario,
        fc.array(fc.tuple(fc.nat(), fc.jsonValue({ maxDepth: 2 })), { minLength: 1, maxLength: 3 }),
      )
      .map(([s, changes]) => {
        const policies = structuredClone(s.policies) as Record<string, unknown>[];
        for (const [n, value] of changes) {
          const places = fieldsOf(policies).filter((f) => f.key !== "kind");
          const { holder, key } = places[n % places.length]!;
          holder[key] = value;
        }
        return { ...s, policies };
      });
    fc.assert(
      fc.property(broken, (s) => {
        const parsed = parsePolicies(s.policies.map((object) => ({ object })));
        expect(parsed.rejected.every((r) => r.error !== "" && r.index < s.policies.length)).toBe(true);
        try {
          compileScenario({
            ...s,
            policies: s.policies.filter((_, i) => !parsed.rejected.some((r) => r.index === i)),
          });
        } catch (e) {
          if (!(e instanceof PolicyConflict)) throw e;
        }
      }),
      { numRuns: Math.ceil(RUNS * 0.5) },
    );
  });
});

/** Every field of every object and list inside `v`, except whole policies. */
function fieldsOf(v: unknown): { holder: Record<string, unknown>; key: string }[] {
  if (typeof v !== "object" || v === null) return [];
  const holder = v as Record<string, unknown>;
  return Object.entries(holder).flatMap(([key, value]) => {
    const isPolicy = typeof value === "object" && value !== null && "kind" in value;
    return [...(isPolicy ? [] : [{ holder, key }]), ...fieldsOf(value)];
  });
}
