import { describe, expect, it } from "vitest";
import { Prng } from "../../../src/base/prng.js";
import { Lab } from "../../../src/lab.js";
import { loadScenario, type Scenario } from "../../../src/scenario/load.js";
import { type AskedPort, MatrixPlan, portText, VERDICT_NAMES } from "../../../src/walk/matrix.js";
import { probe } from "../../../src/walk/matrix_probe.js";
import { dualLab } from "../../support/dual_lab.js";
import { randomCluster } from "../../support/random_cluster.js";
import { twoNodes } from "../../support/two_nodes.js";

const PORTS: readonly AskedPort[] = [
  { port: 80, protocol: "tcp" },
  { port: 53, protocol: "udp" },
  { port: 0, protocol: "icmp" },
];

/** All verdicts by name, pods and services, the probes sent by `parts` labs. */
function verdicts(text: string, exhaustive: boolean, parts = 1): Record<string, string> {
  return verdictsOf(loadScenario(text, "random.yaml"), PORTS, exhaustive, parts);
}

function verdictsOf(
  scenario: Scenario,
  ports: readonly AskedPort[],
  exhaustive = false,
  parts = 1,
): Record<string, string> {
  const plan = new MatrixPlan(scenario, ports, exhaustive);
  const answers = new Uint8Array(plan.slots);
  for (let part = 0; part < parts; part++) probe(Lab.fromScenario(scenario), plan, part, parts, answers);
  const out: Record<string, string> = {};
  for (const port of plan.ports) {
    plan.podNames.forEach((a, i) => {
      plan.podNames.forEach((b, k) => {
        out[`${a} -> ${b}:${portText(port)}`] = VERDICT_NAMES[plan.podVerdict(answers, i, k, port)]!;
      });
      for (const s of plan.services)
        out[`${a} -> ${s.name}:${portText(port)}`] = VERDICT_NAMES[plan.serviceVerdict(answers, i, s, port)]!;
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
    expect(["a", "b", "c"].map((p) => got[`pod/default/${p} -> service/default/x:80/tcp`])).toEqual([
      "partial",
      "open",
      "open",
    ]);
  });

  it("judges a service by flows through it where direct ones to its backends would all get through", () => {
    const more = `---
apiVersion: v1
kind: Service
metadata: {name: x}
spec: {clusterIP: 10.96.0.1, selector: {tier: x}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: podpath.dev/v1
kind: Traffic
spec:
  steps:
    - exec: {on: node/n1, command: "iptables -I FORWARD 1 -m conntrack --ctorigdst 10.96.0.1 -d 10.0.1.21 -j DROP"}
`;
    const text = twoNodes(more)
      .replace("labels: {app: b}", "labels: {app: b, tier: x}")
      .replace("labels: {app: c}", "labels: {app: c, tier: x}");
    const scenario = Lab.fromYaml(text, "x.yaml", { datapath: "calico-bgp" }).scenario;
    const got = verdictsOf(scenario, [
      { port: 80, protocol: "tcp" },
      { port: 8080, protocol: "tcp" },
    ]);
    expect(["b", "c"].map((p) => got[`pod/default/a -> pod/default/${p}:8080/tcp`])).toEqual([
      "open",
      "open",
    ]);
    expect(["a", "c"].map((p) => got[`pod/default/${p} -> service/default/x:80/tcp`])).toEqual([
      "partial",
      "open",
    ]);
  });

  it("asks dual-stack pods over both families, and pods in their node's network at the node's addresses", () => {
    const more = `---
apiVersion: v1
kind: Pod
metadata: {name: h, labels: {app: h}}
spec: {nodeName: n1, hostNetwork: true}
---
apiVersion: v1
kind: Pod
metadata: {name: four, labels: {app: four}}
spec: {nodeName: n2}
status: {podIPs: [{ip: 10.0.1.44}]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: c}
spec:
  endpointSelector: {matchLabels: {app: c}}
  ingress: [{fromEntities: [remote-node]}]
---
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {clusterIP: 10.96.0.5, clusterIPs: [10.96.0.5, "fd00:96::5"], ipFamilies: [IPv4, IPv6], selector: {app: b}, ports: [{port: 80}]}
`;
    const { scenario } = dualLab({ datapath: "cilium-host-routing" }, more, false);
    const classed = verdictsOf(scenario, PORTS);
    expect(classed).toEqual(verdictsOf(scenario, PORTS, true));
    const to = (from: string, targets: readonly string[], port: string): Record<string, string | undefined> =>
      Object.fromEntries(targets.map((t) => [t, classed[`pod/default/${from} -> ${t}:${port}`]]));
    const targets = [
      "pod/default/b",
      "pod/default/c",
      "pod/default/h",
      "pod/default/four",
      "service/default/s",
    ];
    const open = {
      "pod/default/b": "open",
      "pod/default/c": "closed",
      "pod/default/h": "open",
      "pod/default/four": "open",
      "service/default/s": "open",
    };
    expect(to("a", targets, "80/tcp")).toEqual(open);
    expect(to("a", targets, "80/tcp6")).toEqual({ ...open, "pod/default/four": "none" });
    expect(to("h", targets, "80/tcp6")).toEqual({
      ...open,
      "pod/default/c": "open",
      "pod/default/four": "none",
    });
    expect(to("four", targets, "53/udp6")).toEqual(Object.fromEntries(targets.map((t) => [t, "none"])));
  });

  it("knows no classes by labels that no selector can see, nor by values that none compares with", () => {
    const pods = (labels: (i: number) => string): string =>
      Array.from(
        { length: 6 },
        (_, i) => `---
apiVersion: v1
kind: Pod
metadata: {name: w${i}, labels: {${labels(i)}}}
spec: {nodeName: n1}
status: {podIP: 10.0.0.${50 + i}}
`,
      ).join("");
    const policy = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p}
spec: {podSelector: {matchExpressions: [{key: shard, operator: NotIn, values: [s3]}]}}
`;
    const classes = (more: string): number[] =>
      new MatrixPlan(loadScenario(twoNodes(more), "a.yaml"), PORTS).classes.map((c) => c.length);
    const apart = classes("").length;
    expect(classes(pods((i) => `serial: s${i}`)).slice(apart)).toEqual([6]);
    expect(classes(pods((i) => `shard: s${i}`) + policy).slice(apart)).toEqual([5, 1]);
    expect(classes(pods((i) => (i < 2 ? `shard: s${i}` : "x: y")) + policy).slice(apart)).toEqual([2, 4]);
  });

  it("is the same whether one, two or five labs send the probes", () => {
    const text = randomCluster(new Prng(7), "cilium-host-routing");
    const one = verdicts(text, false);
    expect(verdicts(text, false, 2)).toEqual(one);
    expect(verdicts(text, false, 5)).toEqual(one);
  });
});
