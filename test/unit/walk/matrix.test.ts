import { describe, expect, it } from "vitest";
import { Prng } from "../../../src/base/prng.js";
import { Lab } from "../../../src/lab.js";
import { loadScenario } from "../../../src/scenario/load.js";
import { MatrixPlan, type MatrixPort, probe, VERDICT_NAMES } from "../../../src/walk/matrix.js";
import { randomCluster } from "../../support/random_cluster.js";

const PORTS: readonly MatrixPort[] = [
  { port: 80, protocol: "tcp" },
  { port: 53, protocol: "udp" },
  { port: 0, protocol: "icmp" },
];

/** All verdicts by name, pods and services, the probes sent by `parts` labs. */
function verdicts(text: string, exhaustive: boolean, parts = 1): Record<string, string> {
  const scenario = loadScenario(text, "random.yaml");
  const plan = new MatrixPlan(scenario, PORTS, exhaustive);
  const answers = new Uint8Array(plan.probes.length);
  for (let part = 0; part < parts; part++) probe(Lab.fromScenario(scenario), plan, part, parts, answers);
  const out: Record<string, string> = {};
  for (const port of PORTS) {
    plan.podNames.forEach((a, i) => {
      plan.podNames.forEach((b, k) => {
        out[`${a} -> ${b}:${port.port}`] = VERDICT_NAMES[plan.podVerdict(answers, i, k, port)]!;
      });
      for (const s of plan.services)
        out[`${a} -> ${s.name}:${port.port}`] = VERDICT_NAMES[plan.serviceVerdict(answers, i, s, port)]!;
    });
  }
  return out;
}

describe("the matrix", () => {
  it.for([
    ["cilium-host-routing", 1],
    ["cilium-host-routing", 2],
    ["cilium-legacy", 3],
    ["cilium-vxlan", 4],
    ["calico-ipip", 5],
    ["calico-vxlan", 6],
  ] as const)("of classes equals a flow sent for every pair on %s, random cluster %i", ([datapath, seed]) => {
    const text = randomCluster(new Prng(seed), datapath);
    const sent = verdicts(text, true);
    const classed = verdicts(text, false);
    expect(classed).toEqual(sent);
    const plan = new MatrixPlan(loadScenario(text, "random.yaml"), PORTS);
    expect(plan.classes.length).toBeLessThan(plan.pods.length);
    const values = Object.values(sent);
    expect(values.filter((v) => v === "open").length).toBeGreaterThan(values.length / 20);
    expect(values.filter((v) => v === "closed").length).toBeGreaterThan(values.length / 20);
  });

  it("is the same whether one, two or five labs send the probes", () => {
    const text = randomCluster(new Prng(7), "cilium-host-routing");
    const one = verdicts(text, false);
    expect(verdicts(text, false, 2)).toEqual(one);
    expect(verdicts(text, false, 5)).toEqual(one);
  });
});
