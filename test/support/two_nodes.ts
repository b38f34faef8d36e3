// The cluster that most scenario tests use: two nodes, pods a and b on the first, c on the second, a host outside.

import { Lab, type LabOptions } from "../../src/lab.js";

export const POD_A = "10.0.0.11";
export const POD_B = "10.0.0.12";
export const POD_C = "10.0.1.21";
export const NODE_1 = "192.168.0.11";
export const NODE_2 = "192.168.0.12";
export const OUTSIDE = "192.168.0.99";

export const MAC = {
  node1: "02:00:00:00:01:01",
  node2: "02:00:00:00:01:02",
  podA: "02:00:00:00:0a:01",
  hostA: "02:00:00:00:0a:02",
  podB: "02:00:00:00:0b:01",
  hostB: "02:00:00:00:0b:02",
  podC: "02:00:00:00:0c:01",
  hostC: "02:00:00:00:0c:02",
} as const;

function node(name: string, ip: string, podCidr: string, mac: string): string {
  return `---
apiVersion: v1
kind: Node
metadata: {name: ${name}}
spec: {podCIDR: ${podCidr}}
status: {addresses: [{type: InternalIP, address: ${ip}}]}
---
apiVersion: podpath.dev/v1
kind: NodeWiring
metadata: {name: ${name}}
spec: {gateway: 192.168.0.1, nics: [{name: eth0, mac: "${mac}", addresses: [${ip}/24]}]}
`;
}

function pod(name: string, onNode: string, ip: string, id: number, mac: string, hostMac: string): string {
  return `---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {app: ${name}}}
spec: {nodeName: ${onNode}, containers: [{ports: [{containerPort: 8080, name: http}]}]}
status: {podIP: ${ip}}
---
apiVersion: podpath.dev/v1
kind: PodWiring
metadata: {name: ${name}}
spec: {endpointId: ${id}, mac: "${mac}", hostMac: "${hostMac}", hostInterface: lxc_${name}}
`;
}

/** YAML of the cluster; `more` is appended (policies, services, traffic). */
export function twoNodes(more = "", config: Readonly<Record<string, string>> = {}): string {
  const data = { "ipv4-native-routing-cidr": "10.0.0.0/16", ...config };
  return `apiVersion: podpath.dev/v1
kind: Lab
metadata: {name: two-nodes}
spec: {seed: 7}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config}
data: ${JSON.stringify(data)}
---
apiVersion: podpath.dev/v1
kind: Network
metadata: {name: lan}
spec: {cidr: 192.168.0.0/24, gateway: 192.168.0.1}
---
apiVersion: podpath.dev/v1
kind: Host
metadata: {name: outside}
spec: {addresses: [${OUTSIDE}/24], gateway: 192.168.0.1}
${node("n1", NODE_1, "10.0.0.0/24", MAC.node1)}${node("n2", NODE_2, "10.0.1.0/24", MAC.node2)}${pod("a", "n1", POD_A, 101, MAC.podA, MAC.hostA)}${pod("b", "n1", POD_B, 102, MAC.podB, MAC.hostB)}${pod("c", "n2", POD_C, 103, MAC.podC, MAC.hostC)}${more}`;
}

/** The cluster, built. */
export function twoNodeLab(
  options: LabOptions = {},
  more = "",
  config: Readonly<Record<string, string>> = {},
): Lab {
  return Lab.fromYaml(twoNodes(more, config), "two-nodes.yaml", options);
}
