// The big clusters of the matrix' rows, 1,000 pods on ten nodes: one of few applications, whose pods nothing tells apart,
// and one in which no two pods have the same labels among those that policies select by.

import { Prng } from "../base/prng.js";

/** Pods of the cluster; the matrix has their number squared of pairs. */
export const MATRIX_PODS = 1000;
/** Seconds within which the matrix is asked for on two cores of a quiet machine. */
export const MATRIX_TARGET_SECONDS = 10;

const NODES = 10;

/** Policies of the cluster of as many kinds as pods. */
export const MATRIX_POLICIES = 200;

/** The lab and its nodes. */
function nodes(): string[] {
  const out = ["apiVersion: podpath.dev/v1\nkind: Lab\nmetadata: {name: matrix}\nspec: {seed: 1}"];
  for (let n = 0; n < NODES; n++)
    out.push(`apiVersion: v1
kind: Node
metadata: {name: n${n}}
spec: {podCIDR: 10.0.${n}.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.0.${11 + n}}]}`);
  return out;
}

/** A cluster as a scenario: pods of `apps` applications, a policy for every other of them and a few services. */
export function matrixScenario(apps = 100): string {
  const out = nodes();
  for (let p = 0; p < MATRIX_PODS; p++)
    out.push(`apiVersion: v1
kind: Pod
metadata: {name: p${p}, labels: {app: app-${p % apps}, serial: no-${p}}}
spec: {nodeName: n${p % NODES}}
status: {podIP: 10.0.${p % NODES}.${2 + Math.floor(p / NODES)}}`);
  for (let k = 0; k < apps; k += 2)
    out.push(`apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: policy-${k}}
spec:
  podSelector: {matchLabels: {app: app-${k}}}
  ingress: [{from: [{podSelector: {matchLabels: {app: app-${(7 * k + 3) % apps}}}}], ports: [{port: 80}]}]`);
  for (let s = 0; s < 20; s++)
    out.push(`apiVersion: v1
kind: Service
metadata: {name: service-${s}}
spec: {clusterIP: 10.96.0.${1 + s}, selector: {app: app-${(3 * s) % apps}}, ports: [{port: 80}]}`);
  return `${out.join("\n---\n")}\n`;
}

const NAMESPACES = 5;
const APPS = 50;
const TIERS = 7;
const ZONES = 11;

/**
 * A cluster whose pods all differ: application, tier and zone together are each pod's own, and policies of both
 * directions select by all of them, by lists of single pods, by namespace and by subnet.
 */
export function matrixKindsScenario(policies = MATRIX_POLICIES): string {
  const r = new Prng(1);
  const out = nodes();
  for (let n = 0; n < NAMESPACES; n++)
    out.push(`apiVersion: v1\nkind: Namespace\nmetadata: {name: ns-${n}, labels: {team: team-${n % 3}}}`);
  for (let p = 0; p < MATRIX_PODS; p++)
    out.push(`apiVersion: v1
kind: Pod
metadata:
  name: p${p}
  namespace: ns-${p % NAMESPACES}
  labels: {app: app-${p % APPS}, tier: tier-${p % TIERS}, zone: zone-${p % ZONES}, serial: no-${p}}
spec: {nodeName: n${p % NODES}}
status: {podIP: 10.0.${p % NODES}.${2 + Math.floor(p / NODES)}}`);
  const few = (prefix: string, among: number, n: number): string =>
    Array.from({ length: n }, () => `${prefix}-${r.below(among)}`).join(", ");
  const pods = (): string => {
    switch (r.below(5)) {
      case 0:
        return `matchLabels: {app: ${few("app", APPS, 1)}}`;
      case 1:
        return `matchLabels: {tier: ${few("tier", TIERS, 1)}, zone: ${few("zone", ZONES, 1)}}`;
      case 2:
        return `matchLabels: {zone: ${few("zone", ZONES, 1)}}`;
      case 3:
        return `matchExpressions: [{key: serial, operator: In, values: [${few("no", MATRIX_PODS, 8)}]}]`;
      default:
        return `matchLabels: {tier: ${few("tier", TIERS, 1)}}, matchExpressions: [{key: app, operator: NotIn, values: [${few("app", APPS, 3)}]}]`;
    }
  };
  const peer = (): string => {
    switch (r.below(6)) {
      case 0:
        return `{ipBlock: {cidr: 10.0.${r.below(NODES)}.0/24}}`;
      case 1:
        return `{namespaceSelector: {matchLabels: {team: ${few("team", 3, 1)}}}}`;
      case 2:
        return `{namespaceSelector: {}, podSelector: {${pods()}}}`;
      default:
        return `{podSelector: {${pods()}}}`;
    }
  };
  for (let k = 0; k < policies; k++) {
    const [way, side] = r.below(4) > 0 ? ["ingress", "from"] : ["egress", "to"];
    const rule = (): string =>
      `{${side}: [${peer()}, ${peer()}]${r.below(2) > 0 ? ", ports: [{port: 80}]" : ""}}`;
    out.push(`apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: policy-${k}, namespace: ns-${r.below(NAMESPACES)}}
spec:
  podSelector: {${pods()}}
  policyTypes: [${way === "ingress" ? "Ingress" : "Egress"}]
  ${way}: [${rule()}, ${rule()}]`);
  }
  for (let s = 0; s < 20; s++)
    out.push(`apiVersion: v1
kind: Service
metadata: {name: service-${s}, namespace: ns-${s % NAMESPACES}}
spec: {clusterIP: 10.96.0.${1 + s}, selector: {tier: tier-${s % TIERS}, app: app-${(s * 11) % APPS}}, ports: [{port: 80}]}`);
  return `${out.join("\n---\n")}\n`;
}
