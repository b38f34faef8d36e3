// The big cluster of the matrix' row: 1,000 pods on ten nodes, labels of their own among those that policies and services
// select by.

/** Pods of the cluster; the matrix has their number squared of pairs. */
export const MATRIX_PODS = 1000;
/** Seconds within which the matrix is asked for, two threads on a quiet machine. */
export const MATRIX_TARGET_SECONDS = 10;

const NODES = 10;

/** The cluster as a scenario: pods of `apps` applications, a policy for every other of them and a few services. */
export function matrixScenario(apps = 100): string {
  const out = ["apiVersion: podpath.dev/v1\nkind: Lab\nmetadata: {name: matrix}\nspec: {seed: 1}"];
  for (let n = 0; n < NODES; n++)
    out.push(`apiVersion: v1
kind: Node
metadata: {name: n${n}}
spec: {podCIDR: 10.0.${n}.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.0.${11 + n}}]}`);
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
