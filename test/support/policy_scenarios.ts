// Generated clusters and policies for the policy properties, and what they compile to. The pieces are drawn from small
// sets, so that selectors, prefixes and port ranges meet often.

import { IdentityAllocator, podIdentityLabels } from "../../src/cluster/cilium/identity.js";
import { resolveIpcache, worldIdentity } from "../../src/cluster/cilium/ipcache.js";
import { DEFAULT_POLICY_CONFIG, type PolicyConfig } from "../../src/cluster/cilium/policy/config.js";
import { asWritten } from "../../src/cluster/cilium/policy/lookup.js";
import type { MapStateEntry } from "../../src/cluster/cilium/policy/map_state.js";
import { parsePolicies } from "../../src/cluster/cilium/policy/parse.js";
import { containsAddr, parseAddr, parsePrefix } from "../../src/cluster/cilium/policy/prefix.js";
import {
  type EndpointPolicy,
  type PolicyContext,
  resolvePolicy,
  type Subject,
} from "../../src/cluster/cilium/policy/resolve.js";
import * as fc from "./fast_check.js";
import type { RefFlow, RefPeer, RefPod, RefWorld } from "./policy_reference.js";

const NAMESPACES: Readonly<Record<string, Record<string, string>>> = {
  default: { "kubernetes.io/metadata.name": "default" },
  prod: { "kubernetes.io/metadata.name": "prod", team: "a" },
  dev: { "kubernetes.io/metadata.name": "dev", team: "b" },
};
const APPS = ["web", "db", "cache"];
const TIERS = ["front", "back"];
const CIDRS = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "192.0.2.0/24", "0.0.0.0/0"];
const EXCEPTS: Readonly<Record<string, string[]>> = {
  "10.0.0.0/8": ["10.1.0.0/16", "10.1.2.0/24", "10.96.0.0/12"],
  "10.1.0.0/16": ["10.1.2.0/24", "10.1.2.3/32"],
  "10.1.2.0/24": ["10.1.2.3/32", "10.1.2.128/25"],
  "192.0.2.0/24": ["192.0.2.128/25"],
  "0.0.0.0/0": ["10.0.0.0/8", "192.0.2.0/24"],
};
const ADDRESSES = [
  "10.1.2.3",
  "10.1.2.200",
  "10.1.9.9",
  "10.99.0.1",
  "10.200.0.1",
  "192.0.2.1",
  "192.0.2.200",
  "203.0.113.5",
];
const DNS = {
  "api.example.com": ["203.0.113.5", "10.1.2.3"],
  "www.example.com": ["192.0.2.1"],
  "example.org": ["203.0.113.5"],
};
const ENTITIES = ["all", "world", "cluster", "host", "remote-node", "kube-apiserver", "health"];
const NODES = [
  { ip: "172.18.0.2", kind: "host" },
  { ip: "172.18.0.3", kind: "remote-node" },
  { ip: "172.18.0.4", kind: "remote-node", kubeAPIServer: true },
  { ip: "172.18.9.9", kind: "health" },
] as const;
const PORTS = [1, 53, 79, 80, 81, 84, 87, 88, 95, 96, 443, 8080, 9092, 9093, 65535];

const label = <T extends string>(values: readonly T[]) => fc.constantFrom(...values);

const pod: fc.Arbitrary<RefPod> = fc.record({
  namespace: label(Object.keys(NAMESPACES)),
  labels: fc.record({ app: label(APPS), tier: label(TIERS) }, { requiredKeys: ["app"] }),
  cluster: fc.constantFrom("default", "default", "default", "other"),
}) as fc.Arbitrary<RefPod>;

const podSelector = fc.oneof(
  fc.constant({}),
  fc.record({ matchLabels: fc.record({ app: label(APPS) }) }),
  fc.record({ matchLabels: fc.record({ tier: label(TIERS) }) }),
  fc.record({
    matchExpressions: fc.array(
      fc.oneof(
        fc.record({
          key: fc.constantFrom("app", "tier"),
          operator: fc.constantFrom("In", "NotIn"),
          values: fc.uniqueArray(fc.constantFrom("web", "db", "front", "back"), {
            minLength: 1,
            maxLength: 2,
          }),
        }),
        fc.record({
          key: fc.constantFrom("tier", "env"),
          operator: fc.constantFrom("Exists", "DoesNotExist"),
        }),
      ),
      { minLength: 1, maxLength: 2 },
    ),
  }),
);

const endpointPeer = fc
  .tuple(
    podSelector,
    fc.option(label(Object.keys(NAMESPACES)), { nil: undefined, freq: 3 }),
    fc.option(fc.constantFrom("default", "other"), { nil: undefined, freq: 5 }),
  )
  .map(([s, ns, cluster]) => {
    const own = (s as { matchLabels?: Record<string, string> }).matchLabels;
    if (ns === undefined && cluster === undefined) return s;
    const matchLabels: Record<string, string> = { ...own };
    if (ns !== undefined) matchLabels["k8s:io.kubernetes.pod.namespace"] = ns;
    if (cluster !== undefined) matchLabels["io.cilium.k8s.policy.cluster"] = cluster;
    return { ...s, matchLabels };
  });

const cidrSet = fc
  .constantFrom(...CIDRS.filter((c) => c in EXCEPTS))
  .chain((cidr) => fc.record({ cidr: fc.constant(cidr), except: fc.subarray(EXCEPTS[cidr]!) }));

/** One kind of peer field, or none. */
function cnpPeers(dir: "from" | "to", deny: boolean): fc.Arbitrary<Record<string, unknown>> {
  const list = <T>(a: fc.Arbitrary<T>) => fc.array(a, { minLength: 0, maxLength: 2 });
  const kinds: fc.Arbitrary<Record<string, unknown>>[] = [
    fc.constant({}),
    list(endpointPeer).map((l) => ({ [`${dir}Endpoints`]: l })),
    list(endpointPeer).map((l) => ({ [`${dir}Endpoints`]: l })),
    list(label(ENTITIES)).map((l) => ({ [`${dir}Entities`]: l })),
    list(label(CIDRS)).map((l) => ({ [`${dir}CIDR`]: l })),
    list(cidrSet).map((l) => ({ [`${dir}CIDRSet`]: l })),
  ];
  if (dir === "to" && !deny) {
    const name = fc.constantFrom<Record<string, string>>(
      { matchName: "api.example.com" },
      { matchName: "WWW.example.com" },
      { matchPattern: "*.example.com" },
      { matchPattern: "w*.example.com" },
      { matchPattern: "*" },
    );
    kinds.push(fc.array(name, { minLength: 1, maxLength: 2 }).map((l) => ({ toFQDNs: l })));
  }
  return fc.oneof(...kinds);
}

/** A port rule. The L7 kinds keep to ports of their own, so that two parsers never meet in one filter. */
function portRule(dir: "from" | "to", deny: boolean): fc.Arbitrary<Record<string, unknown>> {
  const one = (port: fc.Arbitrary<number>, protocol: fc.Arbitrary<string>) =>
    fc
      .tuple(port, protocol, fc.option(fc.constantFrom(0, 3, 7, 15, 1000), { nil: undefined, freq: 2 }))
      .map(([p, proto, span]) => ({
        port: String(p),
        protocol: proto,
        ...(span === undefined || p === 0 ? {} : { endPort: Math.min(65535, p + span) }),
      }));
  const plain = one(
    fc.constantFrom(0, 53, 79, 80, 81, 84, 88, 443, 8080),
    fc.constantFrom("TCP", "TCP", "UDP", "SCTP", "ANY"),
  );
  const named = fc.record({
    port: fc.constantFrom("http", "pg", "nope"),
    protocol: fc.constantFrom("TCP", "UDP", "ANY"),
  });
  const kinds: fc.Arbitrary<Record<string, unknown>>[] = [
    fc.array(fc.oneof(plain, plain, named), { minLength: 1, maxLength: 2 }).map((ports) => ({ ports })),
  ];
  if (!deny) {
    const tcp = fc.constant("TCP");
    kinds.push(
      one(fc.constantFrom(80, 84, 88, 443), tcp).map((p) => ({
        ports: [p],
        rules: { http: [{ method: "GET" }] },
      })),
      one(fc.constant(9092), tcp).map((p) => ({ ports: [p], rules: { kafka: [{ topic: "t" }] } })),
    );
    if (dir === "to") {
      kinds.push(
        fc.constantFrom("UDP", "ANY").map((protocol) => ({
          ports: [{ port: "53", protocol }],
          rules: { dns: [{ matchPattern: "*" }] },
        })),
        fc.tuple(one(fc.constant(8080), tcp), fc.constantFrom(undefined, 1, 50)).map(([p, priority]) => ({
          ports: [p],
          listener: {
            envoyConfig: { kind: "CiliumClusterwideEnvoyConfig", name: "cec" },
            name: `l${priority ?? 0}`,
            ...(priority === undefined ? {} : { priority }),
          },
        })),
      );
    }
  }
  return fc.oneof(...kinds);
}

function cnpElement(dir: "from" | "to", deny: boolean): fc.Arbitrary<Record<string, unknown>> {
  const l4 = fc.oneof(
    fc.constant({}),
    fc.array(portRule(dir, deny), { minLength: 1, maxLength: 2 }).map((toPorts) => ({ toPorts })),
    fc.array(portRule(dir, deny), { minLength: 1, maxLength: 2 }).map((toPorts) => ({ toPorts })),
    fc
      .array(fc.record({ family: fc.constantFrom("IPv4", "IPv6"), type: fc.constantFrom(3, 8, 128) }), {
        minLength: 1,
        maxLength: 2,
      })
      .map((fields) => ({ icmps: [{ fields }] })),
  );
  const auth = deny
    ? fc.constant({})
    : fc
        .option(fc.constantFrom("required", "disabled", "test-always-fail"), { nil: undefined, freq: 6 })
        .map((mode) => (mode === undefined ? {} : { authentication: { mode } }));
  return fc.tuple(cnpPeers(dir, deny), l4, auth).map(([a, b, c]) => ({ ...a, ...b, ...c }));
}

const subjectSelector = fc.oneof(
  fc.constant({}),
  fc.record({ matchLabels: fc.record({ app: label(APPS) }) }),
);

const ciliumPolicy = fc
  .tuple(
    fc.constantFrom("CiliumNetworkPolicy", "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"),
    subjectSelector,
    fc.array(cnpElement("from", false), { maxLength: 3 }),
    fc.array(cnpElement("from", true), { maxLength: 2 }),
    fc.array(cnpElement("to", false), { maxLength: 3 }),
    fc.array(cnpElement("to", true), { maxLength: 2 }),
    fc.option(fc.record({ ingress: fc.boolean(), egress: fc.boolean() }), { nil: undefined, freq: 4 }),
  )
  .filter(([, , a, b, c, d]) => a.length + b.length + c.length + d.length > 0)
  .map(([kind, endpointSelector, ingress, ingressDeny, egress, egressDeny, enableDefaultDeny]) => ({
    kind,
    spec: {
      endpointSelector,
      ...(ingress.length > 0 ? { ingress } : {}),
      ...(ingressDeny.length > 0 ? { ingressDeny } : {}),
      ...(egress.length > 0 ? { egress } : {}),
      ...(egressDeny.length > 0 ? { egressDeny } : {}),
      ...(enableDefaultDeny === undefined ? {} : { enableDefaultDeny }),
    },
  }));

const knpPort = fc.oneof(
  fc.constant({}),
  fc.record({ protocol: fc.constantFrom("TCP", "UDP") }),
  fc.record({ port: fc.constantFrom<number | string>(80, 84, 443, "http", "nope") }),
  fc.record({
    port: fc.constantFrom(80, 84),
    endPort: fc.constantFrom(84, 87, 95, 1000),
    protocol: fc.constantFrom("TCP", "UDP"),
  }),
);

const knpPeer = fc.oneof(
  fc.record({ podSelector }),
  fc.record({
    namespaceSelector: fc.constantFrom(
      {},
      { matchLabels: { team: "a" } },
      { matchExpressions: [{ key: "team", operator: "DoesNotExist" }] },
    ),
  }),
  fc.record({ namespaceSelector: fc.constantFrom({}, { matchLabels: { team: "b" } }), podSelector }),
  cidrSet.map((ipBlock) => ({ ipBlock })),
);

function knpElement(field: "from" | "to"): fc.Arbitrary<Record<string, unknown>> {
  return fc
    .tuple(
      fc.option(fc.array(knpPeer, { maxLength: 2 }), { nil: undefined }),
      fc.option(fc.array(knpPort, { maxLength: 2 }), { nil: undefined }),
    )
    .map(([peers, ports]) => ({ ...(peers ? { [field]: peers } : {}), ...(ports ? { ports } : {}) }));
}

const networkPolicy = fc
  .tuple(
    subjectSelector,
    fc.option(fc.array(knpElement("from"), { maxLength: 2 }), { nil: undefined }),
    fc.option(fc.array(knpElement("to"), { maxLength: 2 }), { nil: undefined }),
    fc.option(fc.subarray(["Ingress", "Egress"], { minLength: 1 }), { nil: undefined }),
  )
  .map(([podSelector, ingress, egress, policyTypes]) => ({
    kind: "NetworkPolicy",
    spec: {
      podSelector,
      ...(ingress ? { ingress } : {}),
      ...(egress ? { egress } : {}),
      policyTypes: policyTypes ?? ["Ingress", ...((egress ?? []).length > 0 ? ["Egress"] : [])],
    },
  }));

/** What is generated: pods (the first is the one whose policy is compiled), policy objects, two options. */
export interface Scenario {
  readonly pods: readonly RefPod[];
  readonly policies: readonly Record<string, unknown>[];
  readonly mode: "default" | "always" | "never";
  readonly localhost: "auto" | "policy";
}

export const scenario: fc.Arbitrary<Scenario> = fc.record({
  pods: fc
    .array(pod, { minLength: 2, maxLength: 5 })
    .map((p) => [{ ...p[0]!, cluster: "default" }, ...p.slice(1)]),
  policies: fc
    .array(
      fc.tuple(
        fc.oneof(ciliumPolicy, ciliumPolicy, networkPolicy),
        fc.constantFrom("default", "default", "prod"),
      ),
      { minLength: 1, maxLength: 4 },
    )
    .map((list) =>
      list.map(([p, namespace], i) => ({
        ...p,
        metadata:
          p.kind === "CiliumClusterwideNetworkPolicy" ? { name: `p${i}` } : { name: `p${i}`, namespace },
      })),
    ),
  mode: fc.constantFrom("default", "default", "default", "default", "always", "never"),
  localhost: fc.constantFrom("auto", "auto", "policy"),
}) as fc.Arbitrary<Scenario>;

const NAMED = [
  { name: "http", port: 8080, protocol: "TCP" },
  { name: "pg", port: 5432, protocol: "TCP" },
];
const CLUSTER_NAMED = [
  ...NAMED,
  { name: "pg", port: 5433, protocol: "TCP" },
  { name: "http", port: 8080, protocol: "TCP" },
];

/** A flow, as the reference sees it and as the map does. */
export interface ScenarioFlow {
  readonly flow: RefFlow;
  readonly identity: number;
  readonly address: string | undefined;
}

export interface CompiledScenario {
  readonly policy: EndpointPolicy;
  readonly written: readonly MapStateEntry[];
  readonly subject: Subject;
  readonly ctx: PolicyContext;
  readonly world: RefWorld;
  readonly flows: readonly ScenarioFlow[];
}

/** Compiles the policy of the first pod. Throws PolicyConflict if rules cannot be merged. */
export function compileScenario(s: Scenario): CompiledScenario {
  const config: PolicyConfig = {
    ...DEFAULT_POLICY_CONFIG,
    policyEnforcement: s.mode,
    allowLocalhost: s.localhost,
    proxyPorts: {
      ...DEFAULT_POLICY_CONFIG.proxyPorts,
      "/cec/l0": 11000,
      "/cec/l1": 11001,
      "/cec/l50": 11050,
    },
  };
  const parsed = parsePolicies(
    s.policies.map((object) => ({ object })),
    config,
  );
  if (parsed.rejected.length > 0) throw new Error(`rejected: ${JSON.stringify(parsed.rejected)}`);
  const allocator = new IdentityAllocator();
  const labelsOf = (p: RefPod) =>
    podIdentityLabels(
      { ...p, namespaceLabels: NAMESPACES[p.namespace]!, serviceAccount: "default" },
      p.cluster,
    );
  const ids = s.pods.map((p) => allocator.pod(labelsOf(p)));
  const ipcache = resolveIpcache(
    { config, rules: parsed.rules, nodes: NODES, cidrGroups: [], dns: DNS },
    allocator,
  ).map((e) => ({ prefix: parsePrefix(e.prefix), identity: e.identity }));
  const subject: Subject = {
    identity: ids[0]!,
    labels: labelsOf(s.pods[0]!),
    isHost: false,
    namedPorts: NAMED,
  };
  const ctx: PolicyContext = { config, identities: allocator.all, clusterNamedPorts: [CLUSTER_NAMED] };
  const policy = resolvePolicy(parsed.rules, subject, ctx);

  const identityOf = (ip: string): number => {
    const bytes = parseAddr(ip);
    let best = { bits: -1, identity: worldIdentity(config, false) };
    for (const e of ipcache) {
      if (e.prefix.bits > best.bits && containsAddr(e.prefix, bytes)) {
        best = { bits: e.prefix.bits, identity: e.identity };
      }
    }
    return best.identity;
  };
  const peers: { peer: RefPeer; identity: number; address?: string }[] = [
    ...s.pods.map((p, i) => ({ peer: { kind: "pod" as const, pod: p }, identity: ids[i]! })),
    ...ADDRESSES.map((ip) => ({
      peer: { kind: "world" as const, ip },
      identity: identityOf(ip),
      address: ip,
    })),
    { peer: { kind: "host" }, identity: 1 },
    { peer: { kind: "remote-node" }, identity: identityOf("172.18.0.3") },
    { peer: { kind: "kube-apiserver" }, identity: identityOf("172.18.0.4") },
    { peer: { kind: "health" }, identity: identityOf("172.18.9.9") },
  ];
  const flows: ScenarioFlow[] = [];
  for (const direction of ["ingress", "egress"] as const) {
    for (const { peer, identity, address } of peers) {
      for (const [protocol, ports] of PROBED) {
        for (const port of ports)
          flows.push({ flow: { direction, peer, protocol, port }, identity, address });
      }
    }
  }
  const world: RefWorld = {
    subject: s.pods[0]!,
    namespaceLabels: NAMESPACES,
    clusterName: "default",
    subjectPorts: NAMED,
    clusterPorts: CLUSTER_NAMED,
    dns: DNS,
    mode: s.mode,
    allowLocalhost: s.localhost === "auto",
  };
  return { policy, written: asWritten(policy.entries), subject, ctx, world, flows };
}

/** Ports and ICMP types that are asked about. */
const PROBED: readonly (readonly [number, readonly number[]])[] = [
  [6, PORTS],
  [17, [53, 80, 85, 443]],
  [132, [80]],
  [1, [3, 8, 11]],
  [58, [8, 128]],
];
