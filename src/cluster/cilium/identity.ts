// Security identities (pkg/identity): numbers for label sets. Reserved ones are fixed; pods get numbers from 256 on in
// order of appearance; what only this node knows (CIDRs, DNS addresses, nodes with labels) is numbered in a scope of its
// own.

import {
  KEY_CLUSTER,
  KEY_NAMESPACE_LABELS,
  KEY_POD_NAMESPACE,
  KEY_SERVICE_ACCOUNT,
  type Label,
  LabelSet,
  SOURCE_K8S,
} from "./policy/labels.js";

export const ID_UNKNOWN = 0;
export const ID_HOST = 1;
export const ID_WORLD = 2;
export const ID_UNMANAGED = 3;
export const ID_HEALTH = 4;
export const ID_INIT = 5;
export const ID_REMOTE_NODE = 6;
export const ID_KUBE_APISERVER = 7;
export const ID_INGRESS = 8;
export const ID_WORLD_IPV4 = 9;
export const ID_WORLD_IPV6 = 10;

/** First identity that a pod can get. */
export const MIN_CLUSTER_IDENTITY = 256;
/** Identities of CIDRs and DNS addresses are above this. */
export const SCOPE_LOCAL = 0x01000000;
/** Identities of remote nodes with labels of their own are above this. */
export const SCOPE_REMOTE_NODE = 0x02000000;

/** Labels of the reserved identities. */
export const RESERVED_IDENTITIES: ReadonlyMap<number, readonly string[]> = new Map([
  [ID_HOST, ["reserved:host"]],
  [ID_WORLD, ["reserved:world"]],
  [ID_UNMANAGED, ["reserved:unmanaged"]],
  [ID_HEALTH, ["reserved:health"]],
  [ID_INIT, ["reserved:init"]],
  [ID_REMOTE_NODE, ["reserved:remote-node"]],
  [ID_KUBE_APISERVER, ["reserved:kube-apiserver", "reserved:remote-node"]],
  [ID_INGRESS, ["reserved:ingress"]],
  [ID_WORLD_IPV4, ["reserved:world-ipv4"]],
  [ID_WORLD_IPV6, ["reserved:world-ipv6"]],
]);

/** Names of the reserved identities, as the monitor and the tools print them. */
export const RESERVED_NAMES: ReadonlyMap<number, string> = new Map([
  [ID_UNKNOWN, "unknown"],
  [ID_HOST, "host"],
  [ID_WORLD, "world"],
  [ID_UNMANAGED, "unmanaged"],
  [ID_HEALTH, "health"],
  [ID_INIT, "init"],
  [ID_REMOTE_NODE, "remote-node"],
  [ID_KUBE_APISERVER, "kube-apiserver"],
  [ID_INGRESS, "ingress"],
  [ID_WORLD_IPV4, "world-ipv4"],
  [ID_WORLD_IPV6, "world-ipv6"],
]);

/** Gives numbers to label sets, the same ones for the same sequence of requests. */
export class IdentityAllocator {
  readonly #labels = new Map<number, LabelSet>();
  readonly #numbers = new Map<string, number>();
  #nextPod = MIN_CLUSTER_IDENTITY;
  #nextLocal = SCOPE_LOCAL + 1;
  #nextNode = SCOPE_REMOTE_NODE + 1;

  /** `given` fixes numbers (CiliumIdentity objects); those numbers are not given out again. */
  constructor(given: Iterable<{ readonly id: number; readonly labels: LabelSet }> = []) {
    for (const [id, texts] of RESERVED_IDENTITIES) this.#set(id, LabelSet.parse(texts));
    for (const { id, labels } of given) this.#set(id, labels);
  }

  /** All identities and their labels, in order of number. */
  get all(): ReadonlyMap<number, LabelSet> {
    return new Map([...this.#labels].sort(([a], [b]) => a - b));
  }

  labelsOf(id: number): LabelSet | undefined {
    return this.#labels.get(id);
  }

  /** Identity of a pod. */
  pod(labels: LabelSet): number {
    return this.#of(labels, () => this.#nextPod++);
  }

  /** Fixes the number of a pod's labels unless that number has labels already. */
  fix(id: number, labels: LabelSet): void {
    if (!this.#labels.has(id)) this.#set(id, labels);
  }

  /** Identity of addresses outside the cluster that this node tells apart. */
  local(labels: LabelSet): number {
    return this.#of(labels, () => this.#nextLocal++);
  }

  /** Identity of a remote node that has labels beyond the reserved ones. */
  remoteNode(labels: LabelSet): number {
    return this.#of(labels, () => this.#nextNode++);
  }

  /** Replaces the labels of a reserved identity: the host of a node that runs the API server, for one. */
  relabel(id: number, labels: LabelSet): void {
    this.#set(id, labels);
  }

  #of(labels: LabelSet, next: () => number): number {
    const known = this.#numbers.get(labels.id);
    if (known !== undefined) return known;
    let id = next();
    while (this.#labels.has(id)) id = next();
    this.#set(id, labels);
    return id;
  }

  #set(id: number, labels: LabelSet): void {
    this.#labels.set(id, labels);
    // A remote node without labels of its own may still need a number in its scope: reserved ones are not given out.
    if (id >= MIN_CLUSTER_IDENTITY && !this.#numbers.has(labels.id)) this.#numbers.set(labels.id, id);
  }
}

/** What of a pod goes into its identity. */
export interface PodIdentityInput {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly namespaceLabels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
}

/** Labels that make an identity of a pod in this cluster, after the agent's default label filter. */
export function podIdentityLabels(pod: PodIdentityInput, clusterName: string): LabelSet {
  const out: Label[] = [];
  const add = (key: string, value: string): void => {
    out.push({ source: SOURCE_K8S, key, value });
  };
  for (const [k, v] of Object.entries(pod.labels)) if (isIdentityLabel(k)) add(k, v);
  for (const [k, v] of Object.entries(pod.namespaceLabels)) add(KEY_NAMESPACE_LABELS + k, v);
  add(KEY_POD_NAMESPACE, pod.namespace);
  add(KEY_CLUSTER, clusterName);
  if (pod.serviceAccount !== "") add(KEY_SERVICE_ACCOUNT, pod.serviceAccount);
  return new LabelSet(out);
}

/** Keys that never tell pods apart: they differ between replicas, or belong to Kubernetes itself. */
const EXCLUDED_KEYS = [
  "io.kubernetes",
  "kubernetes.io",
  "statefulset.kubernetes.io/pod-name",
  "apps.kubernetes.io/pod-index",
  "batch.kubernetes.io/job-completion-index",
  "batch.kubernetes.io/controller-uid",
  "k8s.io",
  "pod-template-generation",
  "pod-template-hash",
  "controller-revision-hash",
  "annotation",
  "controller-uid",
  "etcd_node",
];

/** Whether a pod label counts for the identity (pkg/labelsfilter, default list). */
export function isIdentityLabel(key: string): boolean {
  if (key.startsWith("app.kubernetes.io")) return true;
  if (key.includes("beta.kubernetes.io")) return false;
  return !EXCLUDED_KEYS.some((x) => key.startsWith(x));
}
