// What `podpath init` writes: two nodes, three pods, a service, a policy and some traffic, each part explained.

export const STARTER = `# A scenario of podpath: Kubernetes objects as kubectl prints them, and a few kinds of podpath's own
# (podpath.dev/v1). \`podpath schema\` prints a JSON Schema for editors, \`podpath validate\` checks the file.
apiVersion: podpath.dev/v1
kind: Lab
metadata: {name: starter}
spec:
  description: two nodes, a client and two web pods
  seed: 1             # everything random comes from here: same seed, same bytes
  monitor: [node-1]   # nodes that \`podpath monitor\` watches
---
# How packets get from pod to pod. Without this document: cilium-host-routing.
apiVersion: podpath.dev/v1
kind: Datapath
spec:
  name: cilium-host-routing
---
# Options of the agent, as in the cluster's own ConfigMap.
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data:
  ipv4-native-routing-cidr: 10.0.0.0/16
  # datapath-mode: netkit   # pods on netkit devices instead of veth (netkit-l2: with MAC addresses)
---
# The wire between the nodes.
apiVersion: podpath.dev/v1
kind: Network
metadata: {name: lan}
spec: {cidr: 192.168.0.0/24, gateway: 192.168.0.1}
---
apiVersion: v1
kind: Node
metadata: {name: node-1}
spec: {podCIDR: 10.0.0.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.0.11}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-2}
spec: {podCIDR: 10.0.1.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.0.12}]}
---
# Pods need a node and an address; labels make their identity.
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {app: client}}
spec: {nodeName: node-1}
status: {podIP: 10.0.0.10}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web}}
spec: {nodeName: node-1, containers: [{ports: [{name: http, containerPort: 8080}]}]}
status: {podIP: 10.0.0.20}
---
apiVersion: v1
kind: Pod
metadata: {name: web-2, labels: {app: web}}
spec: {nodeName: node-2, containers: [{ports: [{name: http, containerPort: 8080}]}]}
status: {podIP: 10.0.1.20}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.0.80
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080, protocol: TCP}]
---
# Web pods answer clients on 8080, and nobody else on anything.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
    - from: [{podSelector: {matchLabels: {app: client}}}]
      ports: [{port: 8080, protocol: TCP}]
---
# What \`podpath monitor\` sends, in order: also udp, listen, exec and wait.
apiVersion: podpath.dev/v1
kind: Traffic
spec:
  steps:
    - tcp: {from: pod/client, to: pod/web-1, port: 8080, send: 100, receive: 100}
    - tcp: {from: pod/client, to: pod/web-2, port: 8080, send: 100, receive: 100}
    - ping: {from: pod/client, to: pod/web-2}   # denied: the policy allows no ICMP
`;
