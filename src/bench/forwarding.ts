// One packet that a node forwards from pod to pod, an established flow, through the rule sets whose real cost was
// measured: none, about 30 rules, kube-proxy with 1000 services.

import { modelledCost } from "./cost_model.js";
import { kubeRules, MeasuredLab, THIRTY_RULES } from "./measured_lab.js";
import type { BenchCase } from "./suite.js";

/** A rule set by its name. */
export interface ForwardCase {
  readonly name: string;
  readonly rules: () => string;
}

/** The cases; the name is what `--only` finds. */
export const FORWARD_CASES: readonly ForwardCase[] = [
  { name: "forwarded packet, established, no netfilter", rules: () => "" },
  { name: "forwarded packet, established, about 30 rules", rules: () => THIRTY_RULES },
  { name: "forwarded packet, established, kube-proxy with 1000 services", rules: () => kubeRules(1000) },
];

/** A case made ready. */
export interface ForwardBench {
  /** Rules that a packet is compared with. */
  readonly rules: number;
  /** Rules installed on the node, users' chains included. */
  readonly installed: number;
  /** Modelled CPU time of the real path, ns. */
  readonly modelNs: number;
  readonly bench: BenchCase;
}

const BATCH = 1024;

/** Builds the network of a case. */
export function forwardBench(c: ForwardCase): ForwardBench {
  const text = c.rules();
  const { counts, send } = new MeasuredLab({ bpf: false, rules: text }).forwarding();
  return {
    rules: counts.rule,
    installed: text.split("\n").filter((l) => l.startsWith("-A ")).length,
    modelNs: modelledCost(counts),
    bench: { group: "forwarding", name: c.name, batch: BATCH, run: () => send(BATCH) },
  };
}
