// Modelled cost of the real path: what a packet's walk meets, weighed. Counting is here, the weights with their origin and
// error are in cost_weights.ts. Not the emulator's own speed: that is measured, and never mixed with these figures.

import { Step } from "../bpf/steps.js";
import { FibInfo } from "../kernel/fib.js";
import type { XtRule } from "../kernel/netfilter/xt_rule.js";
import { XtChain } from "../kernel/netfilter/xtables.js";
import { Rtable } from "../kernel/route.js";
import type { Walk } from "../walk/walk.js";
import { MACHINES, type MachineScale } from "./cost_measured.js";
import { type CostStep, WEIGHTS } from "./cost_weights.js";

const IPPROTO_TCP = 6;

/** How often each weighed step happens. */
export type StepCounts = Readonly<Record<CostStep, number>>;

/** Counts the weighed steps of several walks; in pods only the backlog counts, the rest is the end hosts' own. */
export function stepCounts(walks: readonly Walk[], isPod: (where: string) => boolean): StepCounts {
  const c = Object.fromEntries(Object.keys(WEIGHTS).map((k) => [k, 0])) as Record<CostStep, number>;
  for (const w of walks) {
    let chains: XtChain[] = [];
    for (const s of w.steps) {
      if (isPod(s.where) && s.kind !== Step.BACKLOG) continue;
      if (s.kind === Step.FIB) c.policyRule += policyRules(s.record.ref);
      if (s.kind === Step.NF_CHAIN && s.record.ref instanceof XtChain) {
        if (s.record.b === 0) chains.push(s.record.ref);
        else {
          c.ruleItem += s.record.c * itemsPerRule(chains);
          chains = [];
        }
      }
      const step = costStep(s);
      if (step !== undefined) c[step] += step === "rule" ? s.record.c : 1;
      if (s.kind === Step.NF_CT) {
        if (s.record.b === 1) c.conntrackNew++;
        // In the hooks a packet begins with its IP header.
        if (s.record.frame[9] === IPPROTO_TCP) c.conntrackTcp++;
      }
    }
  }
  return c;
}

function costStep(s: Walk["steps"][number]): CostStep | undefined {
  const r = s.record;
  switch (s.kind) {
    case Step.BACKLOG:
      return "backlog";
    case Step.DEV_XMIT:
      return "transmit";
    case Step.FIB:
      return r.b === 2 ? "bpfFib" : "fib";
    case Step.NEIGH:
      return "neighbour";
    case Step.FORWARD:
      return "forward";
    case Step.NF_HOOK:
      return "netfilterHook";
    case Step.NF_CHAIN:
      if (r.b === 1) return "rule";
      return (r.ref as { hook?: number }).hook! >= 0 ? "chain" : "userChain";
    case Step.NF_CT:
      return "conntrack";
    case Step.NF_NAT:
      return "nat";
    case Step.IPVS:
      return "ipvs";
    case Step.ENCAP:
      return "encapsulate";
    case Step.DECAP:
      return "decapsulate";
    case Step.BRIDGE:
      return "bridge";
    case Step.PROG:
      return "program";
    case Step.TAIL_CALL:
      return "tailCall";
    case Step.MAP_LOOKUP:
      return "mapLookup";
    case Step.CT:
      return "bpfConntrack";
    case Step.POLICY:
      return "policy";
    case Step.MAP_UPDATE:
      return "mapUpdate";
    case Step.REDIRECT:
      return r.a === 2 ? "redirectPeer" : r.a === 3 ? "redirectNeigh" : "redirect";
    default:
      return undefined;
  }
}

/** Policy routing rules in front of the main table's, which a look-up went through where there are any of one's own. */
function policyRules(ref: object | null): number {
  const dev = ref instanceof Rtable ? ref.dev : ref instanceof FibInfo ? ref.nhs[0]?.dev : null;
  const fib = dev?.ns.fib;
  if (fib === undefined || !fib.customRules) return 0;
  return Math.max(
    0,
    fib.rules.indexOf(fib.rules.find((r) => r.table === fib.main.id && r.action === "table")!),
  );
}

/** Conditions and target of the average rule of these chains: a rule is as long as that in memory, met or not. */
function itemsPerRule(chains: readonly XtChain[]): number {
  let rules = 0;
  let items = 0;
  for (const chain of chains) {
    rules += chain.rules.length;
    for (const r of chain.rules) items += itemsOf(r);
  }
  return rules === 0 ? 0 : items / rules;
}

function itemsOf(r: XtRule): number {
  const has = (condition: boolean): number => (condition ? 1 : 0);
  return (
    has(r.srcMask !== 0) +
    has(r.dstMask !== 0) +
    has(r.inPattern !== null) +
    has(r.outPattern !== null) +
    has(r.proto !== 0) +
    r.matches.length +
    1
  );
}

/** Sum of counts by weights, ns, without the end hosts; on another machine than the weights' by its scale. */
export function modelledCost(c: StepCounts, scale: MachineScale = MACHINES.epyc.scale): number {
  let ns = 0;
  for (const k of Object.keys(WEIGHTS) as CostStep[]) ns += c[k] * WEIGHTS[k].ns * scale[groupOf(k)];
  return ns;
}

/** Which of a machine's factors a step goes with. */
function groupOf(step: CostStep): "route" | "netfilter" | "newConnection" | "rule" {
  switch (step) {
    case "netfilterHook":
    case "chain":
    case "userChain":
    case "conntrack":
    case "conntrackTcp":
    case "nat":
      return "netfilter";
    case "conntrackNew":
      return "newConnection";
    case "rule":
    case "ruleItem":
      return "rule";
    default:
      return "route";
  }
}
