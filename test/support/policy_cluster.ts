// The small cluster that policy tests compile for: pods web and db in namespace default, job in prod.

import { IdentityAllocator, podIdentityLabels } from "../../src/cluster/cilium/identity.js";
import { resolveIpcache } from "../../src/cluster/cilium/ipcache.js";
import { DEFAULT_POLICY_CONFIG, type PolicyConfig } from "../../src/cluster/cilium/policy/config.js";
import { LabelSet } from "../../src/cluster/cilium/policy/labels.js";
import { type ParsedPolicies, parsePolicies } from "../../src/cluster/cilium/policy/parse.js";
import {
  type EndpointPolicy,
  type PolicyContext,
  resolvePolicy,
  type Subject,
} from "../../src/cluster/cilium/policy/resolve.js";
import { objects } from "./k8s.js";

const PODS = {
  web: { namespace: "default", labels: { app: "web" } },
  db: { namespace: "default", labels: { app: "db" } },
  job: { namespace: "prod", labels: { app: "job" } },
};
const NAMED = [{ name: "http", port: 8080, protocol: "TCP" }];
const NAMED_ELSEWHERE = [
  { name: "pg", port: 5432, protocol: "TCP" },
  { name: "pg", port: 5433, protocol: "TCP" },
  { name: "metrics", port: 9153, protocol: "TCP" },
];

/** Policies parsed against the cluster; `resolve` compiles them for one endpoint. */
export class PolicyCluster {
  readonly config: PolicyConfig;
  readonly parsed: ParsedPolicies;
  readonly allocator = new IdentityAllocator();
  /** Identities of the pods. */
  readonly ids: Readonly<Record<keyof typeof PODS, number>>;
  /** Identities of prefixes. */
  readonly prefixes: ReadonlyMap<string, number>;

  constructor(yaml: string, config: Partial<PolicyConfig> = {}) {
    this.config = { ...DEFAULT_POLICY_CONFIG, ...config };
    this.parsed = parsePolicies(
      objects(yaml).map((o) => ({ object: o.raw, position: o.pos })),
      this.config,
    );
    const id = (name: keyof typeof PODS): number => {
      const pod = PODS[name];
      const namespaceLabels = { "kubernetes.io/metadata.name": pod.namespace };
      const input = { ...pod, namespaceLabels, serviceAccount: "" };
      return this.allocator.pod(podIdentityLabels(input, this.config.clusterName));
    };
    this.ids = { web: id("web"), db: id("db"), job: id("job") };
    const ipcache = resolveIpcache(
      {
        config: this.config,
        rules: this.parsed.rules,
        nodes: [],
        cidrGroups: [],
        dns: { "api.example.com": ["203.0.113.5"] },
      },
      this.allocator,
    );
    this.prefixes = new Map(ipcache.map((e) => [e.prefix, e.identity]));
  }

  /** `web`, `any`, or the labels. */
  name(id: number): string {
    if (id === 0) return "any";
    const pod = Object.entries(this.ids).find(([, n]) => n === id);
    return pod?.[0] ?? this.allocator.labelsOf(id)!.texts.join("+");
  }

  get context(): PolicyContext {
    return {
      config: this.config,
      identities: this.allocator.all,
      clusterNamedPorts: [NAMED, NAMED_ELSEWHERE],
    };
  }

  subject(who: "web" | "host"): Subject {
    if (who === "host") {
      return {
        identity: 1,
        labels: LabelSet.parse(["k8s:role=worker", "reserved:host"]),
        isHost: true,
        namedPorts: [],
      };
    }
    const identity = this.ids.web;
    return { identity, labels: this.allocator.labelsOf(identity)!, isHost: false, namedPorts: NAMED };
  }

  /** Throws PolicyConflict if the rules cannot be merged. */
  resolve(who: "web" | "host" = "web"): EndpointPolicy {
    return resolvePolicy(this.parsed.rules, this.subject(who), this.context);
  }
}
