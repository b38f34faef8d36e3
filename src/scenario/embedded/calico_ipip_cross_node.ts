// Seed 001: pods of two nodes under Calico with IPIP, kube-proxy in ipvs mode, as published (nodes 10.0.1.201 to 204,
// pods, MACs, service addresses, BGP peers); and the same cluster where a cloud's firewall does not pass protocol 4.

const NODES = [
  ["10.0.1.201", "172.20.84.128", "00:16:3e:1e:01:c9"],
  ["10.0.1.202", "172.20.247.0", "00:16:3e:1e:fa:fb"],
  ["10.0.1.203", "172.20.139.64", "00:16:3e:1e:ea:ea"],
  ["10.0.1.204", "172.20.217.64", "00:16:3e:1e:01:cc"],
] as const;

const nodes = NODES.map(
  ([ip, block, mac]) => `---
apiVersion: v1
kind: Node
metadata: {name: ${ip}, annotations: {projectcalico.org/IPv4Address: ${ip}/24, projectcalico.org/IPv4IPIPTunnelAddr: ${block}}}
status: {addresses: [{type: InternalIP, address: ${ip}}]}
---
apiVersion: podpath.dev/v1
kind: NodeWiring
metadata: {name: ${ip}}
spec: {gateway: 10.0.1.1, nics: [{name: ens32, mac: "${mac}", addresses: [${ip}/24]}]}
`,
).join("");

/** Services of the published \`kube-ipvs0\`, in its order; what the last two but one are for is not published. */
const SERVICES = `---
apiVersion: v1
kind: Service
metadata: {name: kubernetes}
spec: {clusterIP: 10.68.0.1, ports: [{name: https, port: 443, targetPort: 6443}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: kubernetes}
subsets: [{addresses: [{ip: 10.0.1.201, nodeName: 10.0.1.201}], ports: [{name: https, port: 6443}]}]
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  clusterIP: 10.68.0.2
  selector: {k8s-app: kube-dns}
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}]
---
apiVersion: v1
kind: Service
metadata: {name: empty-a}
spec: {clusterIP: 10.68.107.220, selector: {app: none}, ports: [{port: 8000}]}
---
apiVersion: v1
kind: Service
metadata: {name: empty-b}
spec: {clusterIP: 10.68.229.156, selector: {app: none}, ports: [{port: 443}]}
---
apiVersion: v1
kind: Service
metadata: {name: nginx}
spec: {clusterIP: 10.68.6.226, selector: {app: nginx}, ports: [{port: 80, targetPort: 80}]}
`;

function cluster(name: string, description: string, network: string, traffic: string): string {
  return `# Four nodes, Calico with IPIP, kube-proxy in ipvs mode; busybox on 10.0.1.202, nginx on 10.0.1.203.
apiVersion: podpath.dev/v1
kind: Lab
metadata: {name: ${name}}
spec: {description: "${description}", seed: 1}
---
apiVersion: podpath.dev/v1
kind: Datapath
spec: {name: calico-ipip, kubeProxy: ipvs}
---
apiVersion: podpath.dev/v1
kind: Network
metadata: {name: lan}
spec: ${network}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: default-ipv4-ippool}
spec: {cidr: 172.20.0.0/16, blockSize: 26, ipipMode: Always, vxlanMode: Never, natOutgoing: true, nodeSelector: all()}
${nodes}---
apiVersion: v1
kind: Pod
metadata: {name: nginx-6f648b8457-7ld9v, labels: {app: nginx}}
spec: {nodeName: 10.0.1.203, containers: [{ports: [{containerPort: 80}]}]}
status: {podIP: 172.20.139.94}
---
apiVersion: podpath.dev/v1
kind: PodWiring
metadata: {name: nginx-6f648b8457-7ld9v}
spec: {mac: "fa:ed:2c:cc:c9:cd", hostIfindex: 9}
---
apiVersion: v1
kind: Pod
metadata: {name: busybox, labels: {run: busybox}}
spec: {nodeName: 10.0.1.202}
status: {podIP: 172.20.247.1}
---
apiVersion: podpath.dev/v1
kind: PodWiring
metadata: {name: busybox}
spec: {mac: "1e:a4:fa:76:7e:95"}
${SERVICES}---
apiVersion: podpath.dev/v1
kind: Traffic
spec:
  steps:
    - listen: {on: pod/nginx-6f648b8457-7ld9v, port: 80}
${traffic}`;
}

const TRAFFIC = `    - ping: {from: pod/busybox, to: pod/nginx-6f648b8457-7ld9v, count: 2, seq: 0}
    - tcp: {from: pod/busybox, to: 10.68.6.226, port: 80, send: 120, receive: 600}
`;

export const CALICO_IPIP_CROSS_NODE = cluster(
  "calico-ipip-cross-node",
  "Calico IPIP across two nodes, a service in ipvs mode (published cluster)",
  "{cidr: 10.0.1.0/24, gateway: 10.0.1.1}",
  TRAFFIC,
);

export const CALICO_CLOUD_FIREWALL = cluster(
  "calico-cloud-firewall",
  "The same cluster behind a cloud firewall that drops IP protocol 4: nodes reach each other, pods do not",
  "{cidr: 10.0.1.0/24, gateway: 10.0.1.1, dropProtocols: [4]}",
  `    - ping: {from: node/10.0.1.202, to: node/10.0.1.203}
${TRAFFIC}`,
);

/** The second case: a machine was added under a name that a node of the cluster has already. */
export const CALICO_NODE_NAME_CONFLICT = `# Five nodes; two of them call themselves aws-na-k8s-temp1, so that Calico knows only one of the two.
apiVersion: podpath.dev/v1
kind: Lab
metadata: {name: calico-node-name-conflict}
spec: {description: "Two Calico nodes of one name: one is in the datastore, the other has no BGP session", seed: 1}
---
apiVersion: podpath.dev/v1
kind: Datapath
spec: {name: calico-ipip, kubeProxy: none}
---
apiVersion: podpath.dev/v1
kind: Network
metadata: {name: lan}
spec: {cidr: 172.31.0.0/20, gateway: 172.31.0.1}
${(
  [
    ["ip-172-31-7-227", "172.31.7.227", "aws-na-k8s-temp1"],
    ["aws-na-k8s-temp1", "172.31.8.108", undefined],
    ["aws-na-k8s-temp2", "172.31.3.33", undefined],
    ["ip-172-31-2-247", "172.31.2.247", undefined],
    ["ip-172-31-1-50", "172.31.1.50", undefined],
  ] as const
)
  .map(
    ([name, ip, calico]) => `---
apiVersion: v1
kind: Node
metadata: {name: ${name}${calico === undefined ? "" : `, annotations: {podpath.dev/calico-nodename: ${calico}}`}}
status: {addresses: [{type: InternalIP, address: ${ip}}]}
---
apiVersion: podpath.dev/v1
kind: NodeWiring
metadata: {name: ${name}}
spec: {gateway: 172.31.0.1, nics: [{name: eth0, addresses: [${ip}/20]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: pod-${ip.split(".").slice(2).join("-")}}
spec: {nodeName: ${name}}
status: {podIP: 10.244.${ip.split(".")[2]}.${ip.split(".")[3]}}
`,
  )
  .join("")}---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: default-ipv4-ippool}
spec: {cidr: 10.244.0.0/16, ipipMode: Always, natOutgoing: true}
---
apiVersion: podpath.dev/v1
kind: Traffic
spec:
  steps:
    - ping: {from: pod/pod-1-50, to: pod/pod-8-108}
`;
