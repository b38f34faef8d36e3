import { describe, expect, it } from "vitest";
import { FORWARD_CASES, forwardBench } from "../../../src/bench/forwarding.js";
import { ServiceLab, serviceCases } from "../../../src/bench/service_scale.js";

/** Rules that a packet meets: [new connection, established one], for the service in the middle and the last one. */
function rules(mode: "iptables" | "ipvs", services: number): Record<string, number> {
  const lab = new ServiceLab(mode, services, () => 0);
  return Object.fromEntries(
    serviceCases([services])
      .filter((c) => c.mode === mode)
      .map((c) => [`${c.state}, ${c.position}`, lab.prepare(c).walk.rules]),
  );
}

describe("kube-proxy with many services", () => {
  it("in iptables mode costs a new connection one rule more for each service before it, an established one none", () => {
    const few = rules("iptables", 10);
    const many = rules("iptables", 210);
    expect(many).toEqual({
      "new, middle": few["new, middle"]! + 100,
      "new, last": few["new, last"]! + 200,
      "established, middle": few["established, middle"]!,
      "established, last": few["established, last"]!,
    });
    expect(few["new, last"]! - few["new, middle"]!).toBe(4);
  });

  it("in ipvs mode costs the same with ten services and with two hundred", () => {
    expect(rules("ipvs", 210)).toEqual(rules("ipvs", 10));
  });

  it("leaves the connection tables as they were, however many new connections a batch makes", () => {
    for (const mode of ["iptables", "ipvs"] as const) {
      const lab = new ServiceLab(mode, 10, () => 0);
      const { bench } = lab.prepare(serviceCases([10]).find((c) => c.mode === mode)!);
      bench.run!();
      bench.run!();
      expect(lab.lab.exec("node/n1", "conntrack -C").out).toBe("0\n");
    }
  });
});

describe("a forwarded packet of an established flow", () => {
  it("meets no rule without netfilter, some of thirty, and hardly any of a thousand services'", () => {
    const of = (i: number): object => {
      const { rules, installed } = forwardBench(FORWARD_CASES[i]!);
      return { rules, installed };
    };
    expect([of(0), of(1), of(2)]).toEqual([
      { rules: 0, installed: 0 },
      { rules: 12, installed: 28 },
      { rules: 4, installed: 8018 },
    ]);
  });
});
