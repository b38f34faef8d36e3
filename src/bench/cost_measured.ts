// What was measured of the real path, and the machines it was measured on. The weights (cost_weights.ts) are those of the
// first machine; on another one whole groups of them are cheaper or dearer, by factors of its own.

import type { EndHosts } from "./cost_weights.js";

/** Factors on the weights of the first machine. */
export interface MachineScale {
  /** End hosts' share of each test. */
  readonly rr: number;
  readonly crr: number;
  readonly pps: number;
  /** Devices, look-ups, forwarding, programs. */
  readonly route: number;
  /** Hooks, chains, conntrack of what is known. */
  readonly netfilter: number;
  readonly newConnection: number;
  readonly rule: number;
}

/** The machines. */
export const MACHINES = {
  epyc: {
    what: "Linux 6.18.44, 2-vCPU KVM guest, AMD EPYC family 26, JIT on, retpolines, nearly quiet; medians of 5 runs of 1 s",
    scale: { rr: 1, crr: 1, pps: 1, route: 1, netfilter: 1, newConnection: 1, rule: 1 },
  },
  xeon: {
    what: "Linux 6.18.44, 2-vCPU KVM guest, Intel Xeon family 6 model 167, JIT on, busy (load 9 to 20 on two cores): CPU time, medians of 5 or 10 runs of 0.5 s",
    scale: { rr: 0.43, crr: 0.49, pps: 0.34, route: 0.57, netfilter: 0.64, newConnection: 2.38, rule: 0.94 },
  },
} as const satisfies Readonly<Record<string, { readonly what: string; readonly scale: MachineScale }>>;

export type MachineName = keyof typeof MACHINES;

/** What the measured nodes had in the way of their packets. */
export type CaseName =
  | "BPF host routing"
  | "no netfilter"
  | "about 30 rules"
  | "kube-proxy, 100 services"
  | "kube-proxy, 300 services"
  | "kube-proxy, 1000 services"
  | "kube-proxy, 2000 services"
  | "100 forward rules"
  | "400 forward rules"
  | "conntrack, 200 forward rules"
  | "about 30 rules and 100 forward rules"
  | "16 policy routing rules"
  | "endpoint routes, about 30 rules"
  | "DNAT";

/** What the figures of a row are of, in order. */
export const MEASURED_ORDER: readonly (readonly [EndHosts, "same" | "cross"])[] = [
  ["rr", "same"],
  ["rr", "cross"],
  ["crr", "same"],
  ["crr", "cross"],
  ["pps", "same"],
  ["pps", "cross"],
];

/** Measured CPU time per operation, ns. */
export interface MeasuredRow {
  readonly machine: MachineName;
  readonly rules: CaseName;
  /** "fit": weights or the machine's factors were fitted to these figures; "unseen": nothing was. */
  readonly sample: "fit" | "unseen";
  /** In MEASURED_ORDER. */
  readonly ns: readonly number[];
}

const row = (
  machine: MachineName,
  rules: CaseName,
  sample: MeasuredRow["sample"],
  ...ns: number[]
): MeasuredRow => ({ machine, rules, sample, ns });

/** BPF host routing was measured with 1000 services installed, which it does not meet. */
export const MEASURED: readonly MeasuredRow[] = [
  row("epyc", "BPF host routing", "fit", 12_950, 14_668, 51_336, 56_374, 3_456, 4_318),
  row("epyc", "no netfilter", "fit", 14_355, 16_127, 55_543, 61_361, 3_947, 4_710),
  row("epyc", "about 30 rules", "fit", 17_481, 21_336, 69_494, 88_398, 5_292, 7_186),
  row("epyc", "kube-proxy, 1000 services", "fit", 16_636, 20_575, 80_790, 114_587, 5_066, 6_770),
  row("xeon", "BPF host routing", "fit", 5_612, 6_704, 24_020, 29_086, 1_290, 1_638),
  row("xeon", "no netfilter", "fit", 5_948, 6_666, 26_202, 29_992, 1_464, 1_723),
  row("xeon", "about 30 rules", "fit", 8_099, 10_712, 42_946, 56_316, 2_340, 3_384),
  row("xeon", "kube-proxy, 1000 services", "fit", 7_948, 10_351, 53_976, 81_226, 2_308, 3_374),
  row("xeon", "kube-proxy, 100 services", "unseen", 7_699, 10_349, 42_001, 61_925, 2_317, 3_420),
  row("xeon", "kube-proxy, 300 services", "unseen", 7_479, 9_902, 40_303, 61_144, 2_186, 3_188),
  row("xeon", "kube-proxy, 2000 services", "unseen", 7_864, 10_310, 67_762, 111_490, 2_261, 3_270),
  row("xeon", "100 forward rules", "unseen", 7_760, 10_294, 32_837, 44_404, 2_272, 3_262),
  row("xeon", "400 forward rules", "fit", 11_251, 16_578, 46_462, 71_306, 3_859, 6_660),
  row("xeon", "conntrack, 200 forward rules", "unseen", 7_378, 9_412, 38_225, 54_898, 2_960, 5_092),
  row("xeon", "about 30 rules and 100 forward rules", "unseen", 8_955, 12_383, 44_102, 61_344, 2_695, 4_392),
  row("xeon", "16 policy routing rules", "fit", 6_640, 7_912, 29_132, 34_288, 1_715, 2_306),
  row("xeon", "endpoint routes, about 30 rules", "unseen", 8_446, 11_326, 43_474, 61_771, 2_451, 3_562),
  row("xeon", "DNAT", "fit", 7_178, 9_010, 36_948, 51_988, 1_912, 2_623),
];
