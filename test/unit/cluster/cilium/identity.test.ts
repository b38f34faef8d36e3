// Numbers for label sets, and identities of addresses.

import { describe, expect, it } from "vitest";
import {
  IdentityAllocator,
  isIdentityLabel,
  podIdentityLabels,
  RESERVED_IDENTITIES,
  RESERVED_NAMES,
} from "../../../../src/cluster/cilium/identity.js";
import {
  cidrGroupOf,
  type IpcacheInput,
  resolveIpcache,
  worldIdentity,
} from "../../../../src/cluster/cilium/ipcache.js";
import { DEFAULT_POLICY_CONFIG, type PolicyConfig } from "../../../../src/cluster/cilium/policy/config.js";
import { LabelSet } from "../../../../src/cluster/cilium/policy/labels.js";
import { parsePolicies } from "../../../../src/cluster/cilium/policy/parse.js";
import { objects } from "../../../support/k8s.js";

const set = (...texts: string[]): LabelSet => LabelSet.parse(texts);

describe("IdentityAllocator", () => {
  it("knows the reserved identities", () => {
    expect([...new IdentityAllocator().all].map(([id, l]) => [id, l.texts])).toEqual([
      ...RESERVED_IDENTITIES,
    ]);
    expect([...RESERVED_NAMES.keys()]).toEqual([0, ...RESERVED_IDENTITIES.keys()]);
  });

  it("numbers pods from 256 in order of appearance, equal labels alike", () => {
    const a = new IdentityAllocator();
    expect([
      a.pod(set("k8s:a")),
      a.pod(set("k8s:b", "k8s:c")),
      a.pod(set("k8s:c", "k8s:b")),
      a.pod(set("k8s:a")),
    ]).toEqual([256, 257, 257, 256]);
  });

  it("numbers what only the node knows in scopes of their own", () => {
    const a = new IdentityAllocator();
    expect([
      a.local(set("cidr:10.0.0.0/8")),
      a.local(set("cidr:10.0.0.0/9")),
      a.remoteNode(set("node:a", "reserved:remote-node")),
      a.remoteNode(set("reserved:remote-node")),
    ]).toEqual([16777217, 16777218, 33554433, 33554434]);
  });

  it("takes the numbers it is given, and gives none of them to others", () => {
    const a = new IdentityAllocator([
      { id: 3352, labels: set("k8s:app=web") },
      { id: 256, labels: set("k8s:app=db") },
    ]);
    expect([
      a.pod(set("k8s:app=web")),
      a.pod(set("k8s:app=new")),
      a.labelsOf(3352)?.texts,
      a.labelsOf(9999),
    ]).toEqual([3352, 257, ["k8s:app=web"], undefined]);
  });
});

describe("labels of a pod's identity", () => {
  it("are its own that count, its namespace's, and those the agent adds", () => {
    const labels = podIdentityLabels(
      {
        namespace: "prod",
        labels: {
          app: "web",
          "app.kubernetes.io/name": "web",
          "pod-template-hash": "6d4b",
          "statefulset.kubernetes.io/pod-name": "web-0",
          "topology.beta.kubernetes.io/zone": "a",
        },
        namespaceLabels: { team: "a" },
        serviceAccount: "web",
      },
      "default",
    );
    expect(labels.texts).toEqual([
      "k8s:app.kubernetes.io/name=web",
      "k8s:app=web",
      "k8s:io.cilium.k8s.namespace.labels.team=a",
      "k8s:io.cilium.k8s.policy.cluster=default",
      "k8s:io.cilium.k8s.policy.serviceaccount=web",
      "k8s:io.kubernetes.pod.namespace=prod",
    ]);
    expect(
      ["k8s-app", "annotation.x", "controller-revision-hash", "a.beta.kubernetes.io/x"].map(isIdentityLabel),
    ).toEqual([true, false, false, false]);
  });
});

const POLICY = `
kind: CiliumNetworkPolicy
metadata: {name: p, namespace: default}
spec:
  endpointSelector: {}
  egress:
    - toCIDR: [10.0.0.0/8, 10.1.2.3]
    - toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}]
    - toFQDNs: [{matchName: api.example.com}, {matchPattern: "*.example.com"}]
`;

/** Prefixes with the labels of their identities. */
function resolve(input: Partial<IpcacheInput>, config: Partial<PolicyConfig> = {}, yaml = ""): string[] {
  const c = { ...DEFAULT_POLICY_CONFIG, ...config };
  const parsed = parsePolicies(
    objects(yaml).map((o) => ({ object: o.raw })),
    c,
  );
  if (parsed.rejected.length > 0) throw new Error(parsed.rejected[0]!.error);
  const allocator = new IdentityAllocator();
  const entries = resolveIpcache(
    { config: c, rules: parsed.rules, nodes: [], cidrGroups: [], dns: {}, ...input },
    allocator,
  );
  return entries.map((e) => `${e.prefix} ${e.identity} ${allocator.labelsOf(e.identity)!.texts.join(" ")}`);
}

describe("the ipcache", () => {
  it("has a prefix for every CIDR of a rule, shorter ones first, exceptions included", () => {
    expect(resolve({}, {}, POLICY)).toEqual([
      "10.0.0.0/8 16777217 cidr:10.0.0.0/8 reserved:world",
      "10.1.0.0/16 16777218 cidr:10.1.0.0/16 reserved:world",
      "10.1.2.3/32 16777219 cidr:10.1.2.3/32 reserved:world",
    ]);
  });

  it("labels what DNS gave with the selectors that match its name, inside the CIDRs around it", () => {
    expect(
      resolve(
        { dns: { "api.example.com": ["10.1.2.3", "203.0.113.5"], "example.org": ["203.0.113.6"] } },
        {},
        POLICY,
      ),
    ).toEqual([
      "10.0.0.0/8 16777217 cidr:10.0.0.0/8 reserved:world",
      "10.1.0.0/16 16777218 cidr:10.1.0.0/16 reserved:world",
      "10.1.2.3/32 16777219 cidr:10.1.2.3/32 fqdn:*.example.com fqdn:api.example.com reserved:world",
      "203.0.113.5/32 16777220 fqdn:*.example.com fqdn:api.example.com reserved:world",
    ]);
  });

  it("tells the families of world apart in a dual-stack cluster", () => {
    const both = POLICY.replace("10.0.0.0/8, 10.1.2.3", "10.0.0.0/8, 'fd00::/8'").replace(
      / +- toCIDRSet.*\n/,
      "",
    );
    expect(resolve({}, { enableIPv6: true }, both)).toEqual([
      "10.0.0.0/8 16777217 cidr:10.0.0.0/8 reserved:world-ipv4",
      "fd00::/8 16777218 cidr:fd00--0/8 reserved:world-ipv6",
    ]);
    const config = (enableIPv4: boolean, enableIPv6: boolean): PolicyConfig => ({
      ...DEFAULT_POLICY_CONFIG,
      enableIPv4,
      enableIPv6,
    });
    expect([
      worldIdentity(config(true, false), false),
      worldIdentity(config(false, true), true),
      worldIdentity(config(true, true), false),
      worldIdentity(config(true, true), true),
    ]).toEqual([2, 2, 9, 10]);
  });

  it("labels members of CIDR groups with the group and its labels", () => {
    const groups = objects(`
apiVersion: cilium.io/v2
kind: CiliumCIDRGroup
metadata: {name: office, labels: {site: berlin}}
spec: {externalCIDRs: [192.0.2.0/24, 0.0.0.0/0]}
---
apiVersion: cilium.io/v2
kind: CiliumCIDRGroup
metadata: {name: vpn, labels: {site: paris}}
spec: {externalCIDRs: [192.0.2.128/25]}
`).map((o) => cidrGroupOf(o.raw));
    expect(resolve({ cidrGroups: groups })).toEqual([
      "192.0.2.0/24 16777217 cidrgroup:io.cilium.policy.cidrgroupname/office cidrgroup:site+berlin cidrgroup:site=berlin reserved:world",
      "192.0.2.128/25 16777218 cidrgroup:io.cilium.policy.cidrgroupname/office cidrgroup:io.cilium.policy.cidrgroupname/vpn cidrgroup:site+berlin cidrgroup:site+paris cidrgroup:site=paris reserved:world",
    ]);
  });

  it("gives nodes the identity of what they are, which no CIDR can select", () => {
    const nodes = [
      { ip: "10.0.0.1", kind: "host" },
      { ip: "10.0.0.2", kind: "remote-node" },
      { ip: "10.0.0.3", kind: "remote-node", kubeAPIServer: true },
      { ip: "10.0.0.4", kind: "health" },
      { ip: "10.0.0.5", kind: "ingress" },
      { ip: "10.0.0.6", kind: "external", kubeAPIServer: true },
      { ip: "10.0.0.7", kind: "external" },
    ] as const;
    expect(resolve({ nodes }, {}, POLICY).filter((t) => /^10\.0\.0\.[1-9]\//.test(t))).toEqual([
      "10.0.0.1/32 1 reserved:host",
      "10.0.0.2/32 6 reserved:remote-node",
      "10.0.0.3/32 7 reserved:kube-apiserver reserved:remote-node",
      "10.0.0.4/32 4 reserved:health",
      "10.0.0.5/32 8 reserved:ingress",
      "10.0.0.6/32 16777219 cidr:10.0.0.0/8 reserved:kube-apiserver reserved:world",
    ]);
  });

  it("labels the host with the API server that runs on it", () => {
    expect(resolve({ nodes: [{ ip: "10.0.0.1", kind: "host", kubeAPIServer: true }] })).toEqual([
      "10.0.0.1/32 1 reserved:host reserved:kube-apiserver",
    ]);
  });

  it("lets CIDRs select nodes where the agent is told so", () => {
    const nodes = [
      { ip: "10.0.0.1", kind: "host" },
      { ip: "10.0.0.2", kind: "remote-node" },
    ] as const;
    expect(
      resolve({ nodes }, { policyCIDRMatchMode: ["nodes"] }, POLICY).filter((t) =>
        /^10\.0\.0\.[1-9]\//.test(t),
      ),
    ).toEqual([
      "10.0.0.1/32 1 cidr:10.0.0.1/32 reserved:host",
      "10.0.0.2/32 33554433 cidr:10.0.0.0/8 reserved:remote-node",
    ]);
  });

  it("labels remote nodes with their Kubernetes labels where the agent is told so", () => {
    const nodes = [
      { ip: "10.0.0.2", kind: "remote-node", labels: { zone: "a" } },
      { ip: "10.0.0.3", kind: "remote-node", labels: { zone: "a" } },
      { ip: "10.0.0.4", kind: "remote-node", labels: { zone: "b" }, kubeAPIServer: true },
    ] as const;
    expect(resolve({ nodes }, { enableNodeSelectorLabels: true })).toEqual([
      "10.0.0.2/32 33554433 k8s:io.cilium.k8s.policy.cluster=default node:zone=a reserved:remote-node",
      "10.0.0.3/32 33554433 k8s:io.cilium.k8s.policy.cluster=default node:zone=a reserved:remote-node",
      "10.0.0.4/32 33554434 k8s:io.cilium.k8s.policy.cluster=default node:zone=b reserved:kube-apiserver reserved:remote-node",
    ]);
  });
});
