// Assertions on walks as plain functions: each gives whether it holds and a message that shows the walk. `podpath/vitest`
// makes matchers of them; other runners call them through `assertWalk`.

import { PodpathError } from "../base/errors.js";
import { Step } from "../bpf/steps.js";
import type { NfHookName, Walk } from "./walk.js";

/** Outcome of a check. `message` says what was expected and found, and shows the walk; for either outcome. */
export interface Check {
  readonly pass: boolean;
  readonly message: string;
}

/** Verdicts of Cilium's conntrack, as the monitor prints them. */
export type ConntrackVerdict = "New" | "Established" | "Reply" | "Related";

const CONNTRACK: readonly ConntrackVerdict[] = ["New", "Established", "Reply", "Related"];

function check(walk: Walk, pass: boolean, expected: string, found: string): Check {
  return { pass, message: `expected the packet ${expected}; ${found}\n\n${walk.toString()}` };
}

function ending(walk: Walk): string {
  const { drop } = walk;
  if (walk.delivered) return `it was delivered in ${walk.steps.at(-1)?.where ?? "nowhere"}`;
  return drop === undefined ? "its walk just ends" : `it was dropped in ${drop.where} (${drop.detail})`;
}

/** A socket, or the stack of the destination, got the packet. */
export function isDelivered(walk: Walk): Check {
  return check(walk, walk.delivered, "to be delivered", ending(walk));
}

/** The packet was dropped; with `reason`, for that reason: a kernel name (`NETFILTER_DROP`) or Cilium's text (`Policy denied`). */
export function isDropped(walk: Walk, reason?: string): Check {
  const dropped = !walk.delivered && walk.drop !== undefined;
  const pass = dropped && (reason === undefined || walk.drop!.detail === reason);
  return check(
    walk,
    pass,
    reason === undefined ? "to be dropped" : `to be dropped for "${reason}"`,
    ending(walk),
  );
}

/** BPF conntrack gave this verdict somewhere; with `where`, on that node. */
export function hasConntrackVerdict(walk: Walk, verdict: ConntrackVerdict, where?: string): Check {
  const found = walk.of(Step.CT, where).map((s) => CONNTRACK[s.record.a] ?? String(s.record.a));
  const text = found.length === 0 ? "BPF conntrack was not asked" : `verdicts were ${found.join(", ")}`;
  return check(walk, found.includes(verdict), `to have conntrack verdict ${verdict}`, text);
}

/** Policy allowed or denied it (the last verdict counts), in the given direction if one is given. */
export function hasPolicyVerdict(
  walk: Walk,
  verdict: "allow" | "deny",
  direction?: "ingress" | "egress",
): Check {
  const wanted = direction === undefined ? undefined : direction === "egress" ? 1 : 0;
  const steps = walk.of(Step.POLICY).filter((s) => wanted === undefined || s.record.b === wanted);
  const last = steps.at(-1);
  const found = last === undefined ? "no policy was evaluated" : `policy said ${last.detail}`;
  const pass = last !== undefined && (verdict === "allow" ? last.record.a >= 0 : last.record.a < 0);
  return check(
    walk,
    pass,
    `to have policy verdict ${verdict}${direction === undefined ? "" : ` at ${direction}`}`,
    found,
  );
}

/** It met a netfilter hook, a program or a device of that name; with `where`, in that namespace. */
export function traverses(walk: Walk, what: NfHookName | string, where?: string): Check {
  const met = [
    ...walk.hooks(where),
    ...walk.programs(where),
    ...walk.steps.filter((s) => where === undefined || s.where === where).map((s) => s.device),
  ];
  return check(
    walk,
    met.includes(what),
    `to traverse ${what}${where === undefined ? "" : ` in ${where}`}`,
    `it met ${[...new Set(met)].filter((m) => m !== "-").join(", ")}`,
  );
}

/** TTL (or hop limit) where the walk ends. */
export function hasTtl(walk: Walk, ttl: number): Check {
  return check(
    walk,
    walk.ttl === ttl,
    `to end with TTL ${ttl}`,
    `it ends with TTL ${walk.ttl ?? "(no IP header)"}`,
  );
}

/** For runners without matchers of their own: throws CHECK_FAILED unless the check holds. */
export function assertWalk(c: Check): void {
  if (!c.pass) throw new PodpathError("CHECK_FAILED", c.message);
}
