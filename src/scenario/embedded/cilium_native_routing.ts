// Seed 002: cross-node ping over Cilium's native routing, as published (nodes, addresses, MACs, endpoint ids,
// interface names, IP and ICMP ids). The published trace was taken with release 1.11 and BPF host routing.

export const CILIUM_NATIVE_ROUTING = `# Two nodes, native routing (no encapsulation), BPF host routing, one ping.
apiVersion: podpath.dev/v1
kind: Lab
metadata: {name: cilium-native-routing}
spec:
  description: "Cilium native routing with BPF host routing, one ping across two nodes (published trace)"
  seed: 2
  uptime: 16h49m12s
  monitor: [node-2.whale.com]
---
apiVersion: podpath.dev/v1
kind: Datapath
spec: {name: cilium-host-routing}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data:
  routing-mode: native
  ipv4-native-routing-cidr: 10.0.0.0/16
  auto-direct-node-routes: "true"
  kube-proxy-replacement: "true"
  enable-bpf-masquerade: "true"
  enable-bpf-clock-probe: "true"
  monitor-aggregation: none
  debug: "true"
  debug-verbose: datapath
---
apiVersion: podpath.dev/v1
kind: Network
metadata: {name: lan}
spec: {cidr: 192.168.0.0/24, gateway: 192.168.0.1}
---
apiVersion: v1
kind: Node
metadata: {name: node-1.whale.com}
spec: {podCIDR: 10.0.0.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.0.120}]}
---
apiVersion: podpath.dev/v1
kind: NodeWiring
metadata: {name: node-1.whale.com}
spec:
  gateway: 192.168.0.1
  nics: [{name: ens33, mac: "00:0c:29:79:54:d3", addresses: [192.168.0.120/24], rxCpu: 3, ifindex: 2}]
---
apiVersion: v1
kind: Node
metadata: {name: node-2.whale.com}
spec: {podCIDR: 10.0.1.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.0.130}]}
---
apiVersion: podpath.dev/v1
kind: NodeWiring
metadata: {name: node-2.whale.com}
spec:
  gateway: 192.168.0.1
  hostEndpointId: 385
  nics: [{name: ens33, mac: "00:0c:29:8f:2d:28", addresses: [192.168.0.130/24], rxCpu: 3, ifindex: 2}]
---
apiVersion: cilium.io/v2
kind: CiliumIdentity
metadata: {name: "3352"}
security-labels:
  k8s:app: cni-test
  k8s:io.cilium.k8s.policy.cluster: default
  k8s:io.cilium.k8s.policy.serviceaccount: default
  k8s:io.kubernetes.pod.namespace: default
---
apiVersion: v1
kind: Pod
metadata: {name: cni-test-777bbd57c8-2f986, labels: {app: cni-test}}
spec: {nodeName: node-1.whale.com}
status: {podIP: 10.0.0.85}
---
apiVersion: podpath.dev/v1
kind: PodWiring
metadata: {name: cni-test-777bbd57c8-2f986}
spec:
  endpointId: 1445
  mac: "c6:6d:95:cd:34:a2"
  hostMac: "2a:0a:d9:17:44:22"
  hostInterface: lxc449258345f59
  hostIfindex: 34
  podIfindex: 33
---
apiVersion: v1
kind: Pod
metadata: {name: cni-test-777bbd57c8-d7wlv, labels: {app: cni-test}}
spec: {nodeName: node-2.whale.com}
status: {podIP: 10.0.1.124}
---
apiVersion: podpath.dev/v1
kind: PodWiring
metadata: {name: cni-test-777bbd57c8-d7wlv}
spec:
  endpointId: 1580
  mac: "42:ef:f8:7a:9e:f7"
  hostMac: "ca:0e:fa:6c:0f:30"
  hostInterface: lxc5f949d4fd7fa
  hostIfindex: 26
  podIfindex: 25
  firstIpId: 48973
---
apiVersion: podpath.dev/v1
kind: Traffic
spec:
  steps:
    - ping: {from: pod/cni-test-777bbd57c8-2f986, to: pod/cni-test-777bbd57c8-d7wlv, id: 3072, seq: 0, ipId: 45716}
    # The monitor ran on: the nodes probe each other's neighbour entries five seconds after their use.
    - wait: 6s
`;
