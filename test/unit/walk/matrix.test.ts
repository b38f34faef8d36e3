import { describe, expect, it } from "vitest";
import { Prng } from "../../../src/base/prng.js";
import { Lab } from "../../../src/lab.js";
import { loadScenario, type Scenario } from "../../../src/scenario/load.js";
import { MatrixPlan, type PlanOptions, VERDICT_NAMES } from "../../../src/walk/matrix.js";
import { type AskedPort, portText } from "../../../src/walk/matrix_port.js";
import { planMatrix, probe } from "../../../src/walk/matrix_probe.js";
import { diverseCluster } from "../../support/diverse_cluster.js";
import { dualLab } from "../../support/dual_lab.js";
import { randomCluster } from "../../support/random_cluster.js";
import { twoNodes } from "../../support/two_nodes.js";

const PORTS: readonly AskedPort[] = [
  { port: 80, protocol: "tcp" },
  { port: 53, protocol: "udp" },
  { port: 0, protocol: "icmp" },
];

/** A flow for every pair of pods. */
const EXHAUSTIVE: Asked = { exhaustive: true };
/** Pairs share flows however few there are. */
const SHARED: Asked = { worthSharing: 0 };

type Asked = Omit<PlanOptions, "sight">;

/** All verdicts by name, pods and services, the probes sent by `parts` labs. */
function verdicts(text: string, how?: Asked, parts = 1): Record<string, string> {
  return verdictsOf(loadScenario(text, "random.yaml"), PORTS, how, parts);
}

function verdictsOf(
  scenario: Scenario,
  ports: readonly AskedPort[],
  how?: Asked,
  parts = 1,
): Record<string, string> {
  let answers = new Uint8Array(0);
  let plan!: MatrixPlan;
  for (let part = 0; part < parts; part++) {
    const lab = Lab.fromScenario(scenario);
    plan = planMatrix(lab, ports, how);
    if (part === 0) answers = new Uint8Array(plan.slots);
    probe(lab, plan, part, parts, answers);
  }
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
    const sent = verdicts(text, EXHAUSTIVE);
    const classed = verdicts(text);
    expect(classed).toEqual(sent);
    const plan = new MatrixPlan(loadScenario(text, "random.yaml"), PORTS);
    expect(plan.classes.length).toBeLessThan(plan.pods.length);
    const values = Object.values(sent);
    expect(values.filter((v) => v === "open").length).toBeGreaterThan(values.length / 20);
    expect(values.filter((v) => v === "closed").length).toBeGreaterThan(values.length / 20);
  });

  it.for([
    ["cilium-host-routing", 1],
    ["cilium-host-routing", 2],
    ["cilium-legacy", 3],
    ["cilium-vxlan", 4],
    ["cilium-netkit", 5],
    ["calico-ipip", 6],
    ["calico-vxlan", 7],
    ["calico-bgp", 8],
    ["flannel-host-gw", 6],
  ] as const)(
    "of pairs that share flows equals a flow for every pair on %s, diverse cluster %i",
    ([datapath, seed]) => {
      const text = diverseCluster(new Prng(seed), datapath);
      expect(verdicts(text, SHARED)).toEqual(verdicts(text, EXHAUSTIVE));
    },
  );

  it("of pairs that share flows knows whom masquerading makes of a pod on its way to another node", () => {
    const pod = (name: string, node: number, ip: number): string => `---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {app: ${name}}}
spec: {nodeName: n${node}}
status: {podIP: 10.0.${node - 1}.${ip}}
`;
    const policy = (name: string, from: string): string => `---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: ${name}}
spec: {endpointSelector: {matchLabels: {app: ${name}}}, ingress: [${from}]}
`;
    const text = twoNodes(
      pod("d", 2, 22) +
        pod("e", 2, 23) +
        policy("c", "fromEndpoints: [{matchLabels: {app: none}}]") +
        policy("d", "fromEntities: [remote-node]") +
        policy("e", "fromCIDR: [192.168.0.11/32]"),
      // Pods of the other node are outside of what is routed without masquerading.
      { "ipv4-native-routing-cidr": "10.0.0.0/24" },
    );
    const got = verdicts(text, SHARED);
    expect(got).toEqual(verdicts(text, EXHAUSTIVE));
    const to = (p: string): unknown => got[`pod/default/a -> pod/default/${p}:80/tcp`];
    expect([to("c"), to("d"), to("e")]).toEqual(["closed", "open", "closed"]);
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
    const got = verdicts(text);
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
    expect(classed).toEqual(verdictsOf(scenario, PORTS, EXHAUSTIVE));
    expect(verdictsOf(scenario, PORTS, SHARED)).toEqual(classed);
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

  it("has a class of its own for a pod in which a command was run", () => {
    const pod = (name: string, ip: number): string => `---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {app: w}}
spec: {nodeName: n1}
status: {podIP: 10.0.0.${ip}}
`;
    const text = twoNodes(`${pod("worker-x", 50)}${pod("worker-y", 51)}---
apiVersion: podpath.dev/v1
kind: Traffic
spec: {steps: [{exec: {on: pod/worker-y, command: ip route del default}}]}
`);
    for (const how of [undefined, SHARED]) {
      const got = verdicts(text, how);
      const from = (p: string): unknown => got[`pod/default/${p} -> pod/default/c:80/tcp`];
      expect([from("worker-x"), from("worker-y")]).toEqual(["open", "closed"]);
    }
  });

  it("is the same whether one, two or five labs send the probes", () => {
    const text = randomCluster(new Prng(7), "cilium-host-routing");
    const one = verdicts(text);
    expect(verdicts(text, undefined, 2)).toEqual(one);
    expect(verdicts(text, undefined, 5)).toEqual(one);
    expect(verdicts(text, SHARED, 3)).toEqual(one);
  });
});
