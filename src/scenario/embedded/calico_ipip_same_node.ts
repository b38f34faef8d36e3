// Seed 000: two pods of one node under Calico with IPIP, as published (nodes, blocks, addresses, MACs of the pods,
// interface names and numbers, docker0). MACs of the node cards are not published.

const NODES = [
  ["master.whale.com", "192.168.0.80", "10.244.152.128", "00:0c:29:00:00:80"],
  ["node1.whale.com", "192.168.0.81", "10.244.42.64", "00:0c:29:00:00:81"],
  ["node2.whale.com", "192.168.0.82", "10.244.103.64", "00:0c:29:00:00:82"],
] as const;

const nodes = NODES.map(
  ([name, ip, block, mac]) => `---
apiVersion: v1
kind: Node
metadata: {name: ${name}, annotations: {projectcalico.org/IPv4Address: ${ip}/24, projectcalico.org/IPv4IPIPTunnelAddr: ${block}}}
status: {addresses: [{type: InternalIP, address: ${ip}}]}
---
apiVersion: podpath.dev/v1
kind: NodeWiring
metadata: {name: ${name}}
spec:
  gateway: 192.168.0.1
  nics: [{name: ens33, mac: "${mac}", addresses: [${ip}/24], metric: 100}]
  setup:
    - ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up
---
apiVersion: crd.projectcalico.org/v1
kind: BlockAffinity
metadata: {name: ${name}-block}
spec: {cidr: ${block}/26, node: ${name}, state: confirmed}
`,
).join("");

export const CALICO_IPIP_SAME_NODE = `# Three nodes, Calico with IPIP; pod 10.244.42.65 pings pod 10.244.42.66 on the same node.
apiVersion: podpath.dev/v1
kind: Lab
metadata: {name: calico-ipip-same-node}
spec: {description: "Calico IPIP, two pods of one node (published addresses and MACs)", seed: 1}
---
apiVersion: podpath.dev/v1
kind: Datapath
spec: {name: calico-ipip, kubeProxy: none}
---
apiVersion: podpath.dev/v1
kind: Network
metadata: {name: lan}
spec: {cidr: 192.168.0.0/24, gateway: 192.168.0.1}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: default-ipv4-ippool}
spec: {cidr: 10.244.0.0/16, blockSize: 26, ipipMode: Always, vxlanMode: Never, natOutgoing: true, nodeSelector: all()}
${nodes}---
apiVersion: v1
kind: Pod
metadata: {name: cni-test-777bbd57c8-4lnwt, labels: {app: cni-test}}
spec: {nodeName: node1.whale.com}
status: {podIP: 10.244.42.65}
---
apiVersion: podpath.dev/v1
kind: PodWiring
metadata: {name: cni-test-777bbd57c8-4lnwt}
spec: {mac: "d2:2f:85:72:cc:97", hostIfindex: 7, podIfindex: 4}
---
apiVersion: v1
kind: Pod
metadata: {name: cni-test-777bbd57c8-8zgs9, labels: {app: cni-test}}
spec: {nodeName: node1.whale.com}
status: {podIP: 10.244.42.66}
---
apiVersion: podpath.dev/v1
kind: PodWiring
metadata: {name: cni-test-777bbd57c8-8zgs9}
spec: {mac: "56:d8:ac:4f:02:93", hostIfindex: 8, podIfindex: 4}
---
apiVersion: v1
kind: Pod
metadata: {name: cni-test-777bbd57c8-4bqtf, labels: {app: cni-test}}
spec: {nodeName: node2.whale.com}
status: {podIP: 10.244.103.65}
---
apiVersion: podpath.dev/v1
kind: Traffic
spec:
  steps:
    - ping: {from: pod/cni-test-777bbd57c8-4lnwt, to: pod/cni-test-777bbd57c8-8zgs9, count: 2}
`;
