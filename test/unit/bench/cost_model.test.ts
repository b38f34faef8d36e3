// The modelled cost against the measured: ratios of legacy to BPF host routing, and how it behaves outside the cases.
import { describe, expect, it } from "vitest";
import { checkCosts, measuredLabCost } from "../../../src/bench/cost_check.js";
import {
  DNAT_RULES,
  forwardRules,
  kubeRules,
  MeasuredLab,
  type MeasuredLabOptions,
  THIRTY_RULES,
} from "../../../src/bench/measured_lab.js";

describe("modelled cost", () => {
  it("gives each measured ratio of legacy to BPF host routing within 15 %, also where nothing was fitted to it", () => {
    const checks = checkCosts();
    const count = (machine: string, sample: string): number =>
      checks.filter((c) => c.machine === machine && c.sample === sample).length;
    expect([count("epyc", "fit"), count("xeon", "fit"), count("xeon", "unseen")]).toEqual([18, 36, 42]);
    expect(checks.filter((c) => Math.abs(c.error) > 0.15)).toEqual([]);
    expect(checks.filter((c) => c.sample === "fit" && Math.abs(c.error) > 0.09)).toEqual([]);
  });

  it("goes through policy routing rules, long and short rules, and DNAT", () => {
    const packet = (o: Partial<MeasuredLabOptions>) =>
      new MeasuredLab({ bpf: false, rules: "", ...o }).operation("pps", "same");
    expect(packet({ ipRules: ["pref 100 from 172.16.0.0/24 lookup 100"] }).policyRule).toBe(2);
    expect(packet({}).policyRule).toBe(0);
    // Address and target of a hundred rules, once a packet.
    expect(packet({ rules: forwardRules(100) })).toMatchObject({ rule: 100, ruleItem: 200, conntrack: 0 });
    expect(packet({ rules: DNAT_RULES, dnat: true })).toMatchObject({
      nat: 1,
      conntrack: 1,
      conntrackTcp: 0,
    });
    expect(packet({ programs: true }).program).toBe(2);
  });

  it("grows with the services for a new connection, and not at all for an established one", () => {
    const cost = (test: "crr" | "rr", n: number): number =>
      measuredLabCost({ bpf: false, rules: kubeRules(n) }, test, "same");
    const perService = (cost("crr", 300) - cost("crr", 100)) / 200;
    // One rule of KUBE-SERVICES each, looked at once per connection; measured 13 to 14 ns on this kernel.
    expect(perService).toBeGreaterThan(12);
    expect(perService).toBeLessThan(17);
    expect(cost("rr", 300)).toBe(cost("rr", 100));
  });

  it("does not change with rules where host routing is BPF", () => {
    const counts = (rules: string) => new MeasuredLab({ bpf: true, rules }).operation("rr", "cross");
    expect(counts(THIRTY_RULES)).toEqual(counts(""));
    expect(counts("")).toMatchObject({
      netfilterHook: 0,
      rule: 0,
      conntrack: 0,
      redirectPeer: 2,
      redirectNeigh: 2,
    });
  });

  it("counts one FIB look-up, one forward and one transmission per packet and node in plain routing", () => {
    const c = new MeasuredLab({ bpf: false, rules: "" }).operation("rr", "cross");
    expect([c.fib, c.forward, c.transmit, c.backlog, c.netfilterHook]).toEqual([4, 4, 4, 6, 0]);
  });
});
