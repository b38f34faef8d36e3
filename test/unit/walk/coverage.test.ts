// Coverage: which policy rules, services, routes and iptables rules a run has met.
import { describe, expect, it } from "vitest";
import type { Lab, LabOptions } from "../../../src/lab.js";
import type { CoverageItem } from "../../../src/walk/coverage.js";
import { coverageText, mergeCoverage } from "../../../src/walk/coverage_text.js";
import { twoNodeLab, twoNodes } from "../../support/two_nodes.js";

const POLICY = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: c}}
  policyTypes: [Ingress]
  ingress:
    - {from: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 8080}]}
    - {from: [{podSelector: {matchLabels: {app: b}}}], ports: [{port: 9090}]}
`;
const WEB = `---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, clusterIP: 10.96.0.10, selector: {app: c}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]}
---
apiVersion: v1
kind: Service
metadata: {name: idle}
spec: {clusterIP: 10.96.0.11, selector: {app: b}, ports: [{port: 80, targetPort: 8080}]}
`;

function lab(options: LabOptions, more = WEB): Lab {
  const l = twoNodeLab(options, more);
  l.listen({ on: "pod/c", port: 8080 });
  return l;
}

const line = (i: CoverageItem): string => `${i.hits} ${i.where} ${i.name}`.replace("  ", " ");
const connect = (l: Lab, to = "service/web"): boolean =>
  l.tcp({ from: "pod/a", to, port: to === "service/web" ? 80 : 30080, send: 10, receive: 10, close: "rst" })
    .connected;

const SERVICES = (clusterIp: number, nodePort: number): string[] => [
  `${clusterIp} default/web 10.96.0.10:80/TCP ClusterIP`,
  `${clusterIp} default/web 10.96.0.10:80/TCP ClusterIP -> 10.0.1.21:8080`,
  `${nodePort} default/web 0.0.0.0:30080/TCP NodePort`,
  `${nodePort} default/web 0.0.0.0:30080/TCP NodePort -> 10.0.1.21:8080`,
  "0 default/idle 10.96.0.11:80/TCP ClusterIP",
  "0 default/idle 10.96.0.11:80/TCP ClusterIP -> 10.0.0.12:8080",
];

describe("Lab.coverage", () => {
  it("counts the policy rule behind every verdict, and names the rule that nobody met with its line", () => {
    const l = lab({ datapath: "cilium-host-routing" }, POLICY + WEB);
    const c = l.coverage();
    expect(connect(l)).toBe(true);
    const rules = c.report().policyRules;
    expect(rules.map(line)).toEqual([
      "5 NetworkPolicy default/web ingress rule 1",
      "0 NetworkPolicy default/web ingress rule 2",
    ]);
    const yaml = twoNodes(POLICY + WEB).split("\n");
    expect(rules.map((r) => yaml[r.position!.line - 1]?.trim())).toEqual([
      "- {from: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 8080}]}",
      "- {from: [{podSelector: {matchLabels: {app: b}}}], ports: [{port: 9090}]}",
    ]);
  });

  it.each([
    ["cilium-host-routing", undefined],
    ["calico-bgp", "iptables"],
    ["calico-bgp", "ipvs"],
  ] as const)(
    "counts the frontends and backends that flows choose on %s, kube-proxy %s",
    (datapath, kubeProxy) => {
      const l = lab(kubeProxy === undefined ? { datapath } : { datapath, kubeProxy });
      const c = l.coverage();
      expect([connect(l), connect(l), connect(l, "192.168.0.12")]).toEqual([true, true, true]);
      expect(c.report().services.map(line)).toEqual(SERVICES(2, 1));
    },
  );

  it("counts the routes that packets took, and lists the others", () => {
    const l = lab({ datapath: "flannel-host-gw" });
    l.ping({ from: "pod/a", to: "pod/c" });
    const c = l.coverage();
    l.ping({ from: "pod/a", to: "pod/c" });
    expect(c.report().routes.map(line)).toEqual([
      "0 n1 default via 192.168.0.1 dev eth0",
      "1 n1 10.0.0.0/24 dev cni0 proto kernel scope link src 10.0.0.1",
      "1 n1 10.0.1.0/24 via 192.168.0.12 dev eth0",
      "0 n1 192.168.0.0/24 dev eth0 proto kernel scope link src 192.168.0.11",
      "0 n2 default via 192.168.0.1 dev eth0",
      "1 n2 10.0.0.0/24 via 192.168.0.11 dev eth0",
      "1 n2 10.0.1.0/24 dev cni0 proto kernel scope link src 10.0.1.1",
      "0 n2 192.168.0.0/24 dev eth0 proto kernel scope link src 192.168.0.12",
    ]);
  });

  it("counts iptables rules as their own packet counters do", () => {
    const l = lab({ datapath: "flannel-host-gw" });
    const c = l.coverage();
    for (const on of ["node/n1", "node/n2"]) l.exec(on, "iptables -t nat -Z; iptables -Z");
    connect(l);
    const counted = [
      ...l.exec("node/n1", "iptables-save -c -t nat").out.matchAll(/^\[(\d+):\d+\] (-A .*?) *$/gm),
    ];
    const mine = c.report().iptables.filter((i) => i.where === "n1");
    expect(counted.length).toBeGreaterThan(20);
    expect(
      mine
        .filter((i) => i.name.startsWith("nat: "))
        .map(line)
        .sort(),
    ).toEqual(counted.map((m) => `${m[1]} n1 nat: ${m[2]}`).sort());
    expect(mine.filter((i) => i.hits > 0).length).toBeGreaterThan(5);
  });

  it("counts what lab.record() sees too, and nothing twice after a rewind", () => {
    const l = lab({ datapath: "cilium-host-routing" }, POLICY + WEB);
    const c = l.coverage();
    const walks = l.record(() => connect(l));
    expect(walks.length).toBeGreaterThan(4);
    const before = c.report();
    l.rewind(2);
    expect(c.report()).toEqual(before);
    connect(l);
    expect(c.report().policyRules.map((r) => r.hits)).toEqual([10, 0]);
  });

  it("counts nothing after stop, and lets another begin", () => {
    const l = lab({ datapath: "cilium-host-routing" }, POLICY + WEB);
    const c = l.coverage();
    expect(() => l.coverage()).toThrow("coverage of this lab is being counted already; stop that first");
    c.stop();
    connect(l);
    expect(c.report().policyRules.map((r) => r.hits)).toEqual([0, 0]);
    const next = l.coverage();
    connect(l);
    expect([c.report(), next.report()].map((r) => r.policyRules[0]?.hits)).toEqual([0, 5]);
  });
});

describe("coverage reports", () => {
  const item = (name: string, hits: number, where = ""): CoverageItem => ({
    where,
    name,
    hits,
    position: name === "p2" ? { file: "a.yaml", line: 3, column: 1 } : undefined,
  });
  const report = {
    policyRules: [item("p1", 2), item("p2", 0)],
    services: [],
    routes: [item("default dev eth0", 1, "n1"), item("10.0.0.0/8 dev eth1", 7, "n1")],
    iptables: [],
    lost: 0,
  };

  it("print what was never met first, then the rest by count", () => {
    expect(coverageText({ ...report, lost: 4 })).toBe(`policy rules: 1 of 2 met (50.0 %)
   never  p2  a.yaml:3:1
       2  p1
services and their backends: 0 of 0 met
routes: 2 of 2 met (100.0 %)
       7  n1  10.0.0.0/8 dev eth1
       1  n1  default dev eth0
iptables rules: 0 of 0 met
4 steps were lost: the counts are too low
`);
  });

  it("of several runs add up", () => {
    const other = { ...report, policyRules: [item("p2", 5), item("p3", 0)], lost: 1 };
    expect(mergeCoverage([report, other])).toEqual({
      policyRules: [item("p1", 2), item("p2", 5), item("p3", 0)],
      services: [],
      routes: [item("default dev eth0", 2, "n1"), item("10.0.0.0/8 dev eth1", 14, "n1")],
      iptables: [],
      lost: 1,
    });
  });
});
