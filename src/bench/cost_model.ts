// Modelled cost of the real path: what a packet's walk meets, weighed. Counting is here, the weights with their origin and
// error are in cost_weights.ts. Not the emulator's own speed: that is measured, and never mixed with these figures.

import { Step } from "../bpf/steps.js";
import type { Walk } from "../walk/walk.js";
import { type CostStep, WEIGHTS } from "./cost_weights.js";

/** How often each weighed step happens. */
export type StepCounts = Readonly<Record<CostStep, number>>;

/** Counts the weighed steps of several walks; in pods only the backlog counts, the rest is the end hosts' own. */
export function stepCounts(walks: readonly Walk[], isPod: (where: string) => boolean): StepCounts {
  const c = Object.fromEntries(Object.keys(WEIGHTS).map((k) => [k, 0])) as Record<CostStep, number>;
  for (const w of walks) {
    for (const s of w.steps) {
      if (isPod(s.where) && s.kind !== Step.BACKLOG) continue;
      const step = costStep(s);
      if (step !== undefined) c[step] += step === "rule" ? s.record.c : 1;
      if (s.kind === Step.NF_CT && s.record.b === 1) c.conntrackNew++;
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

/** Sum of counts by weights, ns, without the end hosts. */
export function modelledCost(c: StepCounts): number {
  let ns = 0;
  for (const k of Object.keys(WEIGHTS) as CostStep[]) ns += c[k] * WEIGHTS[k].ns;
  return ns;
}
