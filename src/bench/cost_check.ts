// The modelled cost beside the measured one: each measured case is run in the model's copy of the measured network, its
// steps are counted and weighed, and the ratio of legacy to BPF host routing is set beside the measured ratio.

import {
  type CaseName,
  MACHINES,
  type MachineName,
  type MachineScale,
  MEASURED,
  MEASURED_ORDER,
} from "./cost_measured.js";
import { modelledCost, type StepCounts } from "./cost_model.js";
import { END_HOSTS, type EndHosts } from "./cost_weights.js";
import {
  DNAT_RULES,
  forwardRules,
  kubeRules,
  MeasuredLab,
  type MeasuredLabOptions,
  type MeasuredPath,
  THIRTY_RULES,
} from "./measured_lab.js";

/** One case of the check. */
export interface CostCheck {
  readonly machine: MachineName;
  /** "fit": weights or the machine's factors were fitted to it; "unseen": nothing was. */
  readonly sample: "fit" | "unseen";
  readonly test: EndHosts;
  readonly path: MeasuredPath;
  readonly rules: CaseName;
  /** Modelled ns of an operation with legacy host routing, and with BPF host routing. */
  readonly modelled: readonly [number, number];
  readonly modelledRatio: number;
  readonly measuredRatio: number;
  /** modelledRatio / measuredRatio - 1. */
  readonly error: number;
}

/** Modelled ns of one operation, end hosts included. */
export function operationCost(
  test: EndHosts,
  counts: StepCounts,
  scale: MachineScale = MACHINES.epyc.scale,
): number {
  return END_HOSTS[test] * scale[test] + modelledCost(counts, scale);
}

/** Modelled ns of one operation on the measured network with any rule set. */
export function measuredLabCost(o: MeasuredLabOptions, test: EndHosts, path: MeasuredPath): number {
  return operationCost(test, new MeasuredLab(o).operation(test, path));
}

/** How each measured case is built. */
function caseOptions(name: CaseName): MeasuredLabOptions {
  const legacy = (rules: string, more: Partial<MeasuredLabOptions> = {}): MeasuredLabOptions => ({
    bpf: false,
    rules,
    ...more,
  });
  switch (name) {
    case "BPF host routing":
      return { bpf: true, rules: THIRTY_RULES };
    case "no netfilter":
      return legacy("");
    case "about 30 rules":
      return legacy(THIRTY_RULES);
    case "kube-proxy, 100 services":
      return legacy(kubeRules(100));
    case "kube-proxy, 300 services":
      return legacy(kubeRules(300));
    case "kube-proxy, 1000 services":
      return legacy(kubeRules(1000));
    case "kube-proxy, 2000 services":
      return legacy(kubeRules(2000));
    case "100 forward rules":
      return legacy(forwardRules(100));
    case "400 forward rules":
      return legacy(forwardRules(400));
    case "conntrack, 200 forward rules":
      return legacy(forwardRules(200, true));
    case "about 30 rules and 100 forward rules":
      // In the agent's own chain, before what accepts.
      return legacy(THIRTY_RULES.replace("-A CILIUM_FORWARD", `${moreForward(100)}-A CILIUM_FORWARD`));
    case "16 policy routing rules":
      return legacy("", {
        ipRules: Array.from({ length: 16 }, (_, i) => `pref ${100 + i} from 172.16.${i}.0/24 lookup 100`),
      });
    case "endpoint routes, about 30 rules":
      return legacy(THIRTY_RULES, { programs: true });
    case "DNAT":
      return legacy(DNAT_RULES, { dnat: true });
  }
}

function moreForward(n: number): string {
  return Array.from({ length: n }, (_, i) => `-A CILIUM_FORWARD -s 172.16.0.${i + 1}/32 -j DROP\n`).join("");
}

/** All measured cases of all machines. */
export function checkCosts(progress: (text: string) => void = () => {}): CostCheck[] {
  const counted = new Map<CaseName, readonly StepCounts[]>();
  const countsOf = (name: CaseName): readonly StepCounts[] => {
    let counts = counted.get(name);
    if (counts === undefined) {
      progress(`model against measurement: ${name}`);
      const lab = new MeasuredLab(caseOptions(name));
      counts = MEASURED_ORDER.map(([test, path]) => lab.operation(test, path));
      counted.set(name, counts);
    }
    return counts;
  };
  const out: CostCheck[] = [];
  for (const machine of Object.keys(MACHINES) as MachineName[]) {
    const { scale } = MACHINES[machine];
    const base = MEASURED.find((m) => m.machine === machine && m.rules === "BPF host routing")!;
    for (const m of MEASURED) {
      if (m.machine !== machine || m === base) continue;
      MEASURED_ORDER.forEach(([test, path], i) => {
        const a = operationCost(test, countsOf(m.rules)[i]!, scale);
        const b = operationCost(test, countsOf(base.rules)[i]!, scale);
        const measuredRatio = m.ns[i]! / base.ns[i]!;
        out.push({
          machine,
          sample: m.sample,
          test,
          path,
          rules: m.rules,
          modelled: [a, b],
          modelledRatio: a / b,
          measuredRatio,
          error: a / b / measuredRatio - 1,
        });
      });
    }
  }
  return out;
}
