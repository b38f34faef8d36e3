// The modelled cost beside the measured one: each measured case is run in the model's copy of the measured network, its
// steps are counted and weighed, and the ratio of legacy to BPF host routing is set beside the measured ratio.

import { modelledCost, type StepCounts } from "./cost_model.js";
import { END_HOSTS, type EndHosts, MEASURED } from "./cost_weights.js";
import {
  kubeRules,
  MeasuredLab,
  type MeasuredLabOptions,
  type MeasuredPath,
  THIRTY_RULES,
} from "./measured_lab.js";

/** One case of the check. */
export interface CostCheck {
  readonly test: EndHosts;
  readonly path: MeasuredPath;
  readonly rules: string;
  /** Modelled ns of an operation with legacy host routing, and with BPF host routing. */
  readonly modelled: readonly [number, number];
  readonly modelledRatio: number;
  readonly measuredRatio: number;
  /** modelledRatio / measuredRatio - 1. */
  readonly error: number;
}

/** Modelled ns of one operation, end hosts included. */
export function operationCost(test: EndHosts, counts: StepCounts): number {
  return END_HOSTS[test] + modelledCost(counts);
}

/** Modelled ns of one operation on the measured network with any rule set. */
export function measuredLabCost(o: MeasuredLabOptions, test: EndHosts, path: MeasuredPath): number {
  return operationCost(test, new MeasuredLab(o).operation(test, path));
}

/** All measured cases. BPF host routing is taken with the 1000 services installed, as the published ratios are. */
export function checkCosts(progress: (text: string) => void = () => {}): CostCheck[] {
  const kube = kubeRules(1000);
  const sets = [
    ["no netfilter", "", "legacyNone"],
    ["about 30 rules", THIRTY_RULES, "legacy30"],
    ["kube-proxy, 1000 services", kube, "legacyKube1000"],
  ] as const;
  const out: CostCheck[] = [];
  const bpf = new MeasuredLab({ bpf: true, rules: kube });
  for (const [name, rules, field] of sets) {
    progress(`model against measurement: ${name}`);
    const lab = new MeasuredLab({ bpf: false, rules });
    for (const m of MEASURED) {
      const a = operationCost(m.test, lab.operation(m.test, m.path));
      const b = operationCost(m.test, bpf.operation(m.test, m.path));
      const measuredRatio = m[field] / m.bpfKube1000;
      out.push({
        test: m.test,
        path: m.path,
        rules: name,
        modelled: [a, b],
        modelledRatio: a / b,
        measuredRatio,
        error: a / b / measuredRatio - 1,
      });
    }
  }
  return out;
}
