// Seed 004: two troubleshooting cases of Calico with IPIP as published, with the commands that repaired them, and the
// veth and bridge exercise of the same document.

const NODES = [
  ["az3-k8s-11", "192.168.3.110", "10.122.17.64", "00:16:3e:02:03:10"],
  ["az3-k8s-13", "192.168.3.112", "10.122.127.128", "00:16:3e:02:03:12"],
] as const;

const LAB = (name: string, description: string): string => `apiVersion: podpath.dev/v1
kind: Lab
metadata: {name: ${name}}
spec: {description: "${description}", seed: 1}
`;

const CALICO = `---
apiVersion: podpath.dev/v1
kind: Datapath
spec: {name: calico-ipip, kubeProxy: none}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: default-ipv4-ippool}
spec: {cidr: 10.122.0.0/16, blockSize: 26, ipipMode: Always, vxlanMode: Never, natOutgoing: true}
`;

const node = (name: string, address: string, block: string, wiring: string): string => `---
apiVersion: v1
kind: Node
metadata: {name: ${name}, annotations: {projectcalico.org/IPv4Address: ${address}/24, projectcalico.org/IPv4IPIPTunnelAddr: ${block}}}
status: {addresses: [{type: InternalIP, address: ${address}}]}
---
apiVersion: podpath.dev/v1
kind: NodeWiring
metadata: {name: ${name}}
spec: ${wiring}
`;

const pod = (name: string, on: string, ip: string, hostInterface: string, mac: string): string => `---
apiVersion: v1
kind: Pod
metadata: {name: ${name}}
spec: {nodeName: ${on}}
status: {podIP: ${ip}}
---
apiVersion: podpath.dev/v1
kind: PodWiring
metadata: {name: ${name}}
spec: {hostInterface: ${hostInterface}, mac: "${mac}"}
`;

/** Case 1: the route to the first node's block leads to the own tunnel address of the second. */
export const CALICO_WRONG_TUNNEL_ROUTE = `# Case 1: on az3-k8s-13 the way back to 10.122.17.64/26 leads through its own tunnel address.
${LAB("calico-wrong-tunnel-route", "Calico IPIP: a route whose gateway is the node's own tunnel address, and its repair (published case 1)")}${CALICO}---
apiVersion: podpath.dev/v1
kind: Network
metadata: {name: lan}
spec: {cidr: 192.168.3.0/24, gateway: 192.168.3.253}
${NODES.map(([name, ip, block, mac]) =>
  node(
    name,
    ip,
    block,
    `
  gateway: 192.168.3.253
  nics: [{name: eth1, mac: "${mac}", addresses: [${ip}/24]}]${
    name === "az3-k8s-13"
      ? `
  setup:
    - ip route del 10.122.17.64/26
    - ip route add 10.122.17.64/26 via 10.122.127.128 dev tunl0`
      : ""
  }`,
  ),
).join(
  "",
)}${pod("pod-110", "az3-k8s-11", "10.122.17.65", "cali0000000p110", "d2:2f:85:72:cc:97")}${pod("pod-112", "az3-k8s-13", "10.122.127.129", "cali0000000p112", "0e:10:d4:06:aa:f9")}---
apiVersion: podpath.dev/v1
kind: Traffic
spec:
  steps:
    - ping: {from: node/az3-k8s-11, to: 10.122.127.128}
    # Adding the right route beside the wrong one is refused: there is a route to that prefix already.
    - exec: {on: node/az3-k8s-13, command: "ip route add 10.122.17.64/26 via 192.168.3.110 dev tunl0 proto bird onlink"}
    - exec: {on: node/az3-k8s-13, command: "ip route del 10.122.17.64/26 via 10.122.127.128 dev tunl0 ; ip route add 10.122.17.64/26 via 192.168.3.110 dev tunl0 proto bird onlink"}
    - exec: {on: node/az3-k8s-13, command: ip route}
    - ping: {from: node/az3-k8s-11, to: 10.122.127.128}
`;

/** Case 2: node 4 has a second card in the network of node 2, and answers from that card's address. */
const TWO_NICS: readonly (readonly [string, string, string, string])[] = [
  [
    "az3-k8s-11",
    "192.168.3.110",
    "10.122.17.64",
    "{gateway: 192.168.3.253, nics: [{name: eth1, mac: '00:16:3e:02:03:10', addresses: [192.168.3.110/24], network: net3}]}",
  ],
  [
    "az3-k8s-12",
    "192.168.0.111",
    "10.122.124.128",
    "{gateway: 192.168.0.253, nics: [{name: eth0, mac: '00:16:3e:02:06:1e', addresses: [192.168.0.111/24], network: net0}]}",
  ],
  [
    "az3-k8s-13",
    "192.168.3.112",
    "10.122.127.128",
    "{gateway: 192.168.3.253, nics: [{name: eth1, mac: '00:16:3e:02:03:12', addresses: [192.168.3.112/24], network: net3}]}",
  ],
  [
    "az3-k8s-14",
    "192.168.3.113",
    "10.122.157.128",
    `
  gateway: 192.168.0.253
  nics:
    - {name: eth0, mac: '00:16:3e:02:01:13', addresses: [192.168.0.113/24], network: net0}
    - {name: eth1, mac: '00:16:3e:02:03:13', addresses: [192.168.3.113/24], network: net3}
  setup:
    - ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up
    - ip link add veth0 type veth peer name veth0_p; ip link set veth0_p master docker0; ip link set veth0 up; ip link set veth0_p up`,
  ],
  [
    "az3-k8s-15",
    "192.168.3.114",
    "10.122.173.128",
    "{gateway: 192.168.3.253, nics: [{name: eth1, mac: '00:16:3e:02:03:14', addresses: [192.168.3.114/24], network: net3}]}",
  ],
];

/** Interfaces of node 4's pods, in the order of the published route table, from 10.122.157.129 on. */
const NODE4_INTERFACES = [
  "cali19f6ea143e3",
  "cali09e016ead53",
  "cali0ad3225816d",
  "cali55a5ff1a4aa",
  "cali01cf8687c65",
  "cali65232d7ada6",
] as const;

export const CALICO_TWO_NICS = `# Case 2: node 2 knows node 4 as 192.168.3.113, but node 4 answers it from 192.168.0.113.
${LAB("calico-two-nics", "Calico IPIP: a node with two cards answers from the address that its peer does not know, and the repair (published case 2)")}${CALICO}---
apiVersion: podpath.dev/v1
kind: Network
metadata: {name: net0}
spec: {cidr: 192.168.0.0/24}
---
apiVersion: podpath.dev/v1
kind: Network
metadata: {name: net3}
spec: {cidr: 192.168.3.0/24}
---
apiVersion: podpath.dev/v1
kind: Host
metadata: {name: router}
spec:
  router: true
  nics:
    - {name: eth0, mac: "ee:ff:ff:ff:ff:ff", addresses: [192.168.0.253/24], network: net0}
    - {name: eth1, mac: "ee:ff:ff:ff:ff:fe", addresses: [192.168.3.253/24], network: net3}
${TWO_NICS.map((n) => node(...n)).join("")}${NODE4_INTERFACES.map((dev, i) =>
  pod(`pod4-${i + 1}`, "az3-k8s-14", `10.122.157.${129 + i}`, dev, `d2:2f:85:72:cc:0${i + 1}`),
).join("")}${pod("pod2-1", "az3-k8s-12", "10.122.124.129", "cali0ad3225816e", "56:d8:ac:4f:02:93")}---
apiVersion: podpath.dev/v1
kind: Traffic
spec:
  steps:
    - ping: {from: node/az3-k8s-12, to: 10.122.157.128}
    - ping: {from: node/az3-k8s-12, to: 10.122.17.64, id: 22001, seq: 4}
    - exec: {on: node/az3-k8s-14, command: "ip route del 192.168.0.0/24 dev eth0 proto kernel scope link src 192.168.0.113"}
    - exec: {on: node/az3-k8s-14, command: "ip route del default via 192.168.0.253 dev eth0; ip route add default via 192.168.3.253 dev eth1"}
    - exec: {on: node/az3-k8s-14, command: ip route}
    - ping: {from: node/az3-k8s-12, to: 10.122.157.128}
`;

/** The exercise: a namespace of one's own, a veth pair into it, and a bridge. */
export const VETH_NETNS_EXERCISE = `# A machine without Kubernetes: ip netns add, a veth pair, addresses, and then a bridge.
${LAB("veth-netns-exercise", "A namespace, a veth pair into it and a bridge, by the published commands")}---
apiVersion: podpath.dev/v1
kind: Network
metadata: {name: lan}
spec: {cidr: 192.168.0.0/24}
---
apiVersion: podpath.dev/v1
kind: Host
metadata: {name: box}
spec:
  addresses: [192.168.0.10/24]
  setup:
    - ip link add docker0 type bridge; ip link set docker0 up
    - ip link add veth2 type veth peer name veth2_p; ip link add veth3 type veth peer name veth3_p
---
apiVersion: podpath.dev/v1
kind: Traffic
spec:
  steps:
    - exec: {on: host/box, command: ip netns add ren}
    - exec: {on: host/box, command: ip netns show}
    - exec: {on: host/box, command: ip netns exec ren route}
    - exec: {on: host/box, command: ip link add veth1 type veth peer name veth1_p}
    - exec: {on: host/box, command: ip link set veth1 netns ren}
    - exec: {on: host/box, command: ip netns exec ren ip addr add 172.19.0.100/24 dev veth1}
    - exec: {on: host/box, command: ip netns exec ren ip link set dev veth1 up}
    - ping: {from: host/box, to: 172.19.0.100}
    - exec: {on: host/box, command: ip netns exec ren ip addr add 172.19.0.101/24 dev veth1_p}
    - exec: {on: host/box, command: ip addr add 172.19.0.101/24 dev veth1_p}
    - exec: {on: host/box, command: ip link set dev veth1_p up}
    - ping: {from: host/box, to: 172.19.0.100}
    - exec: {on: host/box, command: ip link set dev veth1_p down}
    - ping: {from: host/box, to: 172.19.0.100}
    - exec: {on: host/box, command: ip link set dev veth1_p up}
    - ping: {from: netns/box/ren, to: 172.19.0.101}
    - exec: {on: host/box, command: brctl show}
    - exec: {on: host/box, command: ip link set dev veth3_p master docker0}
    - exec: {on: host/box, command: ip link set dev veth1_p master docker0}
    - exec: {on: host/box, command: ip link set dev veth2 master docker0}
    - exec: {on: host/box, command: brctl show}
`;
