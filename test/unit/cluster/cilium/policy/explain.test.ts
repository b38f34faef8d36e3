// Explanations of verdicts: the rules behind them, and what to change when nothing lets a flow through.

import { describe, expect, it } from "vitest";
import { explainVerdict, type VerdictExplanation } from "../../../../../src/cluster/cilium/policy/explain.js";
import { formatPath } from "../../../../../src/cluster/cilium/policy/invalid.js";
import { lookupPolicy } from "../../../../../src/cluster/cilium/policy/lookup.js";
import type { Direction, RuleOrigin } from "../../../../../src/cluster/cilium/policy/rules.js";
import { PolicyCluster } from "../../../../support/policy_cluster.js";

interface Ask {
  /** A pod, or the number of an identity. */
  readonly peer: "web" | "db" | "job" | number;
  readonly direction?: Direction;
  readonly protocol?: number;
  readonly port?: number;
  readonly address?: string;
}

function explain(yaml: string, ask: Ask, config = {}): VerdictExplanation {
  const cluster = new PolicyCluster(yaml, config);
  expect(cluster.parsed.rejected).toEqual([]);
  const policy = cluster.resolve();
  const flow = {
    direction: ask.direction ?? "ingress",
    identity: typeof ask.peer === "number" ? ask.peer : cluster.ids[ask.peer],
    protocol: ask.protocol ?? 6,
    port: ask.port ?? 80,
    address: ask.address,
  };
  return explainVerdict(
    policy,
    lookupPolicy(policy.entries, flow),
    flow,
    cluster.subject("web"),
    cluster.context,
  );
}

/** `p spec.ingress[0]` */
function rule(o: RuleOrigin): string {
  return `${o.name} ${formatPath(o.path)}`;
}

/** Everything that an explanation says, in lines. */
function text(e: VerdictExplanation): string[] {
  return [
    `${e.verdict}: ${e.reason}`,
    ...e.rules.map((o) => `by ${rule(o)}`),
    ...e.others.map((o) => `also ${rule(o)}`),
    ...e.candidates.flatMap((c) => [
      `candidate ${rule(c.origin)}`,
      ...c.failed.map((f) => {
        const { kind, path, ...rest } = f;
        return `  ${kind} ${formatPath(path)} ${JSON.stringify(rest)}`;
      }),
      ...c.changes.map((x) => `  append to ${formatPath(x.path)}: ${JSON.stringify(x.value)}`),
    ]),
  ];
}

function cnp(spec: string, name = "p"): string {
  return `
---
kind: CiliumNetworkPolicy
metadata: {name: ${name}, namespace: default}
spec: {endpointSelector: {matchLabels: {app: web}}, ${spec}}
`;
}
function knp(spec: string, name = "k"): string {
  return `
---
kind: NetworkPolicy
metadata: {name: ${name}, namespace: default}
spec: {podSelector: {matchLabels: {app: web}}, ${spec}}
`;
}
const FROM_DB = "fromEndpoints: [{matchLabels: {app: db}}]";
const PORT_80 = "toPorts: [{ports: [{port: '80', protocol: TCP}]}]";

describe("the reason of a verdict", () => {
  it("is that no policy applies, or that none denies by default", () => {
    expect([
      text(explain("", { peer: "db" })),
      text(explain(cnp(`enableDefaultDeny: {ingress: false}, ingress: [{${FROM_DB}}]`), { peer: "job" })),
    ]).toMatchInlineSnapshot(`
      [
        [
          "allowed: not-enforced",
        ],
        [
          "allowed: default-allow",
        ],
      ]
    `);
  });

  it("is the host's right to reach its pods", () => {
    expect(text(explain(cnp("ingress: [{}]"), { peer: 1 }))).toMatchInlineSnapshot(`
      [
        "allowed: allow-localhost",
      ]
    `);
    const http = "toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{}]}}]";
    expect(text(explain(cnp(`ingress: [{${http}}]`), { peer: 1 }))).toMatchInlineSnapshot(`
      [
        "redirect: rule",
        "by p spec.ingress[0]",
      ]
    `);
  });

  it("is a rule, with where it stands, and the others that match as well", () => {
    const yaml = cnp(`ingress: [{${FROM_DB}, ${PORT_80}}]`) + cnp(`ingress: [{${FROM_DB}}]`, "q");
    const e = explain(yaml, { peer: "db" });
    expect(text(e)).toMatchInlineSnapshot(`
      [
        "allowed: rule",
        "by p spec.ingress[0]",
        "also q spec.ingress[0]",
      ]
    `);
    expect(e.rules[0]).toMatchInlineSnapshot(`
      {
        "deny": false,
        "direction": "ingress",
        "index": 0,
        "kind": "CiliumNetworkPolicy",
        "labels": [
          "k8s:io.cilium.k8s.policy.derived-from=CiliumNetworkPolicy",
          "k8s:io.cilium.k8s.policy.name=p",
          "k8s:io.cilium.k8s.policy.namespace=default",
          "k8s:io.cilium.k8s.policy.uid",
        ],
        "log": "",
        "name": "p",
        "namespace": "default",
        "path": [
          "spec",
          "ingress",
          0,
        ],
        "position": {
          "column": 63,
          "file": "test.yaml",
          "line": 5,
        },
      }
    `);
  });

  it("is a deny, whatever else matches", () => {
    const yaml = cnp(`ingress: [{${FROM_DB}}], ingressDeny: [{${PORT_80}}]`);
    expect(text(explain(yaml, { peer: "db" }))).toMatchInlineSnapshot(`
      [
        "denied: rule",
        "by p spec.ingressDeny[0]",
        "also p spec.ingress[0]",
      ]
    `);
  });
});

describe("candidates of an implicit deny", () => {
  it("say which port would be needed, and how to add it", () => {
    expect(
      text(explain(cnp(`ingress: [{${FROM_DB}, ${PORT_80}}]`), { peer: "db", port: 81 })),
    ).toMatchInlineSnapshot(`
      [
        "denied: default-deny",
        "candidate p spec.ingress[0]",
        "  port spec.ingress[0].toPorts[0].ports[0] {"wanted":["80/TCP"],"got":"81/TCP"}",
        "  append to spec.ingress[0].toPorts[0].ports: {"port":"81","protocol":"TCP"}",
      ]
    `);
    expect(
      text(
        explain(knp("ingress: [{from: [{podSelector: {}}], ports: [{port: 8000, endPort: 8010}]}]"), {
          peer: "db",
          port: 81,
        }),
      ),
    ).toMatchInlineSnapshot(`
      [
        "denied: default-deny",
        "candidate k spec.ingress[0].from[0]",
        "  port spec.ingress[0].ports[0] {"wanted":["8000-8010/TCP"],"got":"81/TCP"}",
        "  append to spec.ingress[0].ports: {"port":81,"protocol":"TCP"}",
      ]
    `);
  });

  it("say which labels the other end would need, and how to add it as a peer", () => {
    expect(text(explain(cnp(`ingress: [{${FROM_DB}, ${PORT_80}}]`), { peer: "job" }))).toMatchInlineSnapshot(`
      [
        "denied: default-deny",
        "candidate p spec.ingress[0]",
        "  peer spec.ingress[0].fromEndpoints[0] {"missing":["app=db","k8s:io.kubernetes.pod.namespace=default"]}",
        "  append to spec.ingress[0].fromEndpoints: {"matchLabels":{"app":"job","k8s:io.kubernetes.pod.namespace":"prod"}}",
      ]
    `);
    expect(
      text(explain(knp("ingress: [{from: [{podSelector: {matchLabels: {app: db}}}]}]"), { peer: "job" })),
    ).toMatchInlineSnapshot(`
      [
        "denied: default-deny",
        "candidate k spec.ingress[0].from[0]",
        "  peer spec.ingress[0].from[0] {"missing":["k8s:app=db","k8s:io.kubernetes.pod.namespace=default"]}",
        "  append to spec.ingress[0].from: {"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"prod"}},"podSelector":{"matchLabels":{"app":"job"}}}",
      ]
    `);
  });

  it("come nearest first, and suggest a rule of their own when both port and peer differ", () => {
    const yaml =
      cnp(`ingress: [{${FROM_DB}, ${PORT_80}}]`) +
      cnp(
        "ingress: [{fromEndpoints: [{matchLabels: {app: job, 'k8s:io.kubernetes.pod.namespace': prod}}], toPorts: [{ports: [{port: '82'}]}]}]",
        "q",
      );
    expect(text(explain(yaml, { peer: "job", port: 81 }))).toMatchInlineSnapshot(`
      [
        "denied: default-deny",
        "candidate q spec.ingress[0]",
        "  port spec.ingress[0].toPorts[0].ports[0] {"wanted":["82/TCP","82/UDP","82/SCTP"],"got":"81/TCP"}",
        "  append to spec.ingress[0].toPorts[0].ports: {"port":"81","protocol":"TCP"}",
        "candidate p spec.ingress[0]",
        "  peer spec.ingress[0].fromEndpoints[0] {"missing":["app=db","k8s:io.kubernetes.pod.namespace=default"]}",
        "  port spec.ingress[0].toPorts[0].ports[0] {"wanted":["80/TCP"],"got":"81/TCP"}",
        "  append to spec.ingress: {"fromEndpoints":[{"matchLabels":{"app":"job","k8s:io.kubernetes.pod.namespace":"prod"}}],"toPorts":[{"ports":[{"port":"81","protocol":"TCP"}]}]}",
      ]
    `);
  });

  it("name addresses and entities for what is no pod", () => {
    const yaml = cnp("egress: [{toCIDR: [10.0.0.0/8]}]");
    expect(
      text(explain(yaml, { peer: 2, direction: "egress", port: 443, address: "203.0.113.9" })),
    ).toMatchInlineSnapshot(`
      [
        "denied: default-deny",
        "candidate p spec.egress[0]",
        "  peer spec.egress[0].toCIDR[0] {"missing":["cidr:10.0.0.0/8 exists"]}",
        "  append to spec.egress[0].toCIDR: "203.0.113.9/32"",
      ]
    `);
    expect(text(explain(yaml, { peer: 6, direction: "egress", port: 443 }))).toMatchInlineSnapshot(`
      [
        "denied: default-deny",
        "candidate p spec.egress[0]",
        "  peer spec.egress[0].toCIDR[0] {"missing":["cidr:10.0.0.0/8 exists"]}",
        "  append to spec.egress: {"toEntities":["remote-node"],"toPorts":[{"ports":[{"port":"443","protocol":"TCP"}]}]}",
      ]
    `);
  });

  it("name ICMP types", () => {
    const yaml = cnp(`ingress: [{${FROM_DB}, icmps: [{fields: [{type: 8}]}]}]`);
    expect(text(explain(yaml, { peer: "db", protocol: 1, port: 13 }))).toMatchInlineSnapshot(`
      [
        "denied: default-deny",
        "candidate p spec.ingress[0]",
        "  port spec.ingress[0].icmps[0].fields[0] {"wanted":["ICMP type 8"],"got":"ICMP type 13"}",
        "  append to spec.ingress[0].icmps[0].fields: {"family":"IPv4","type":13}",
      ]
    `);
    expect(
      text(explain(cnp(`ingress: [{${FROM_DB}, ${PORT_80}}]`), { peer: "db", protocol: 1, port: 8 })),
    ).toMatchInlineSnapshot(`
      [
        "denied: default-deny",
        "candidate p spec.ingress[0]",
        "  port spec.ingress[0].toPorts[0].ports[0] {"wanted":["80/TCP"],"got":"ICMP type 8"}",
        "  append to spec.ingress: {"fromEndpoints":[{"matchLabels":{"app":"db","k8s:io.kubernetes.pod.namespace":"default"}}],"icmps":[{"fields":[{"family":"IPv4","type":8}]}]}",
      ]
    `);
  });

  it("tell of named ports that nobody has, and of rules that select nothing", () => {
    const yaml =
      cnp(`ingress: [{${FROM_DB}, toPorts: [{ports: [{port: nobody}]}]}]`) + cnp("ingress: [{}]", "q");
    expect(text(explain(yaml, { peer: "db" }))).toMatchInlineSnapshot(`
      [
        "denied: default-deny",
        "candidate p spec.ingress[0]",
        "  named-port spec.ingress[0].toPorts[0].ports[0] {"name":"nobody"}",
        "  append to spec.ingress[0].toPorts[0].ports: {"port":"80","protocol":"TCP"}",
        "candidate q spec.ingress[0]",
        "  selects-nothing spec.ingress[0] {}",
        "  append to spec.ingress: {"fromEndpoints":[{"matchLabels":{"app":"db","k8s:io.kubernetes.pod.namespace":"default"}}],"toPorts":[{"ports":[{"port":"80","protocol":"TCP"}]}]}",
      ]
    `);
  });

  it("put a port beside L7 rules into a list of its own, so that the proxy does not get it", () => {
    const http = "toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET}]}}]";
    expect(
      text(explain(cnp(`ingress: [{${FROM_DB}, ${http}}]`), { peer: "db", port: 81 })),
    ).toMatchInlineSnapshot(`
      [
        "denied: default-deny",
        "candidate p spec.ingress[0]",
        "  port spec.ingress[0].toPorts[0].ports[0] {"wanted":["80/TCP"],"got":"81/TCP"}",
        "  append to spec.ingress[0].toPorts: {"ports":[{"port":"81","protocol":"TCP"}]}",
      ]
    `);
  });
});
