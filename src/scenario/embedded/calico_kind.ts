// Seed 003: the kind cluster of four nodes under Calico 3.16, as published, with each of its three ways between nodes:
// IPIP, direct routing (the pool's ipipMode set to Never) and VXLAN (a second cluster, with other node addresses).

interface KindNode {
  readonly name: string;
  readonly ip: string;
  readonly block: string;
  /** Interface index of eth0, where published. */
  readonly ifindex?: number;
}

interface KindPod {
  readonly name: string;
  readonly node: string;
  readonly ip: string;
  readonly namespace?: string;
  readonly mac?: string;
  readonly hostInterface?: string;
  readonly hostIfindex?: number;
  readonly podIfindex?: number;
}

const IPIP_NODES: readonly KindNode[] = [
  { name: "kind-control-plane", ip: "172.18.0.5", block: "10.244.82.0", ifindex: 11 },
  { name: "kind-worker", ip: "172.18.0.3", block: "10.244.162.128" },
  { name: "kind-worker2", ip: "172.18.0.2", block: "10.244.110.128" },
  { name: "kind-worker3", ip: "172.18.0.4", block: "10.244.195.192" },
];

const IPIP_PODS: readonly KindPod[] = [
  // What the three pods of the control plane are called is not published; their interfaces are.
  {
    name: "control-plane-pod-1",
    namespace: "kube-system",
    node: "kind-control-plane",
    ip: "10.244.82.1",
    hostInterface: "calia4307b0e305",
    hostIfindex: 2,
    podIfindex: 3,
  },
  {
    name: "control-plane-pod-2",
    namespace: "kube-system",
    node: "kind-control-plane",
    ip: "10.244.82.2",
    hostInterface: "calid50353acbd9",
    hostIfindex: 6,
    podIfindex: 4,
  },
  {
    name: "control-plane-pod-3",
    namespace: "kube-system",
    node: "kind-control-plane",
    ip: "10.244.82.3",
    hostInterface: "cali38bd23d7943",
    hostIfindex: 7,
    podIfindex: 4,
  },
  {
    name: "worker3-pod",
    namespace: "kube-system",
    node: "kind-worker3",
    ip: "10.244.195.193",
    hostInterface: "cali15c1d999844",
  },
  {
    name: "busybox-deployment-654565d6ff-gbmnj",
    node: "kind-worker3",
    ip: "10.244.195.194",
    mac: "0e:10:d4:06:aa:f9",
    hostIfindex: 5,
    podIfindex: 4,
  },
  {
    name: "busybox-deployment-654565d6ff-lm5nf",
    node: "kind-worker2",
    ip: "10.244.110.129",
    mac: "0a:d9:c9:76:e7:d4",
  },
];

const VXLAN_NODES: readonly KindNode[] = [
  // No pod runs on the control plane of the second cluster, so its block is not published.
  { name: "kind-control-plane", ip: "172.18.0.5", block: "" },
  { name: "kind-worker", ip: "172.18.0.2", block: "10.244.162.128" },
  { name: "kind-worker2", ip: "172.18.0.3", block: "10.244.110.128" },
  { name: "kind-worker3", ip: "172.18.0.4", block: "10.244.195.192" },
];

const VXLAN_PODS: readonly KindPod[] = [
  { name: "busybox-deployment-654565d6ff-7lj4t", node: "kind-worker", ip: "10.244.162.129" },
  { name: "busybox-deployment-654565d6ff-h4xw2", node: "kind-worker2", ip: "10.244.110.131" },
  {
    name: "calico-kube-controllers-569b4c5cb7-5c2x6",
    namespace: "calico-system",
    node: "kind-worker2",
    ip: "10.244.110.129",
  },
  {
    name: "coredns-74ff55c5b-glltq",
    namespace: "kube-system",
    node: "kind-worker2",
    ip: "10.244.110.130",
  },
  {
    name: "coredns-74ff55c5b-s68bf",
    namespace: "kube-system",
    node: "kind-worker3",
    ip: "10.244.195.193",
  },
];

function nodeYaml(n: KindNode): string {
  const mac = `02:42:ac:12:00:0${n.ip.split(".")[3]}`;
  const block =
    n.block === ""
      ? ""
      : `---
apiVersion: crd.projectcalico.org/v1
kind: BlockAffinity
metadata: {name: ${n.name}-block}
spec: {cidr: ${n.block}/26, node: ${n.name}, state: confirmed}
`;
  return `---
apiVersion: v1
kind: Node
metadata: {name: ${n.name}, annotations: {projectcalico.org/IPv4Address: ${n.ip}/16}}
status: {addresses: [{type: InternalIP, address: ${n.ip}}]}
---
apiVersion: podpath.dev/v1
kind: NodeWiring
metadata: {name: ${n.name}}
spec: {gateway: 172.18.0.1, nics: [{name: eth0, mac: "${mac}", addresses: [${n.ip}/16]${n.ifindex === undefined ? "" : `, ifindex: ${n.ifindex}`}}]}
${block}`;
}

function podYaml(p: KindPod): string {
  const meta = `{name: ${p.name}, namespace: ${p.namespace ?? "default"}}`;
  const wiring = [
    p.mac === undefined ? "" : `mac: "${p.mac}"`,
    p.hostInterface === undefined ? "" : `hostInterface: ${p.hostInterface}`,
    p.hostIfindex === undefined ? "" : `hostIfindex: ${p.hostIfindex}`,
    p.podIfindex === undefined ? "" : `podIfindex: ${p.podIfindex}`,
  ].filter((w) => w !== "");
  return `---
apiVersion: v1
kind: Pod
metadata: ${meta}
spec: {nodeName: ${p.node}}
status: {podIP: ${p.ip}}
${wiring.length === 0 ? "" : `---\napiVersion: podpath.dev/v1\nkind: PodWiring\nmetadata: ${meta}\nspec: {${wiring.join(", ")}}\n`}`;
}

function kind(
  name: string,
  description: string,
  datapath: string,
  pool: string,
  nodes: readonly KindNode[],
  pods: readonly KindPod[],
  steps: string,
): string {
  return `# The kind cluster of the published walk through Calico: four nodes on 172.18.0.0/16.
apiVersion: podpath.dev/v1
kind: Lab
metadata: {name: ${name}}
spec: {description: "${description}", seed: 1}
---
apiVersion: podpath.dev/v1
kind: Datapath
spec: {name: ${datapath}, kubeProxy: iptables}
---
apiVersion: podpath.dev/v1
kind: Network
metadata: {name: lan}
spec: {cidr: 172.18.0.0/16, gateway: 172.18.0.1}
---
apiVersion: operator.tigera.io/v1
kind: Installation
metadata: {name: default}
spec:
  calicoNetwork:
    mtu: 1410
    ipPools: [{blockSize: 26, cidr: 10.244.0.0/16, encapsulation: ${pool.includes("vxlanMode: Always") ? "VXLAN" : "IPIP"}, natOutgoing: Enabled, nodeSelector: all()}]
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: default-ipv4-ippool}
spec: {blockSize: 26, cidr: 10.244.0.0/16, ${pool}, natOutgoing: true, nodeSelector: all()}
---
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {ipipMTU: 1440, vxlanMTU: 1410}
${nodes.map(nodeYaml).join("")}${pods.map(podYaml).join("")}---
apiVersion: podpath.dev/v1
kind: Traffic
spec:
  steps:
${steps}`;
}

const PING = `    - ping: {from: pod/busybox-deployment-654565d6ff-gbmnj, to: pod/busybox-deployment-654565d6ff-lm5nf, count: 4, seq: 0}
`;

export const CALICO_KIND_IPIP = kind(
  "calico-kind-ipip",
  "Calico IPIP on a kind cluster (published routes)",
  "calico-ipip",
  "ipipMode: Always, vxlanMode: Never",
  IPIP_NODES,
  IPIP_PODS,
  PING,
);

export const CALICO_KIND_DIRECT = kind(
  "calico-kind-direct",
  "The kind cluster with the pool's ipipMode Never: BIRD's routes without a tunnel",
  "calico-bgp",
  "ipipMode: Never, vxlanMode: Never",
  IPIP_NODES,
  IPIP_PODS,
  PING,
);

export const CALICO_KIND_VXLAN = kind(
  "calico-kind-vxlan",
  "Calico VXLAN on a kind cluster (published routes)",
  "calico-vxlan",
  "ipipMode: Never, vxlanMode: Always",
  VXLAN_NODES,
  VXLAN_PODS,
  `    - ping: {from: pod/busybox-deployment-654565d6ff-7lj4t, to: pod/busybox-deployment-654565d6ff-h4xw2, count: 2}
`,
);
