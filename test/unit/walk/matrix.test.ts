import { describe, expect, it } from "vitest";
import { Prng } from "../../../src/base/prng.js";
import { Lab } from "../../../src/lab.js";
import { loadScenario } from "../../../src/scenario/load.js";
import { MatrixPlan, type MatrixPort, probe, VERDICT_NAMES } from "../../../src/walk/matrix.js";
import { randomCluster } from "../../support/random_cluster.js";
import { twoNodes } from "../../support/two_nodes.js";

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

  it("calls a service partial for a pod that reaches some of its backends, whichever a flow meets", () => {
    const more = `---
apiVersion: v1
kind: Service
metadata: {name: x}
spec: {clusterIP: 10.96.0.1, selector: {tier: x}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: b}
spec: {podSelector: {matchLabels: {app: b}}, ingress: [{from: [{podSelector: {matchLabels: {app: c}}}]}]}
`;
    const text = twoNodes(more, { "kube-proxy-replacement": "true" })
      .replace("labels: {app: b}", "labels: {app: b, tier: x}")
      .replace("labels: {app: c}", "labels: {app: c, tier: x}");
    const got = verdicts(text, false);
    expect(["a", "b", "c"].map((p) => got[`pod/default/${p} -> service/default/x:80`])).toEqual([
      "partial",
      "open",
      "open",
    ]);
  });

  it("is the same whether one, two or five labs send the probes", () => {
    const text = randomCluster(new Prng(7), "cilium-host-routing");
    const one = verdicts(text, false);
    expect(verdicts(text, false, 2)).toEqual(one);
    expect(verdicts(text, false, 5)).toEqual(one);
  });
});
