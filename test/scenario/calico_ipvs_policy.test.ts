// Calico's policies hold what kube-proxy forwards in either mode: IPVS takes it through INPUT and OUTPUT, where policies
// once did not see it.
import { describe, expect, it } from "vitest";
import type { Lab } from "../../src/lab.js";
import { NODE_1, NODE_2, twoNodeLab } from "../support/two_nodes.js";

const SERVICES = `---
apiVersion: v1
kind: Service
metadata: {name: b}
spec: {type: NodePort, clusterIP: 10.96.0.11, selector: {app: b}, ports: [{port: 80, targetPort: 8080, nodePort: 30081}]}
---
apiVersion: v1
kind: Service
metadata: {name: c}
spec: {type: NodePort, clusterIP: 10.96.0.12, selector: {app: c}, ports: [{port: 80, targetPort: 8080, nodePort: 30082}]}
`;
const policy = (spec: string): string => `---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: default.p, namespace: default}
spec: {${spec}}
`;
const HEP = `---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: n1-eth0, labels: {role: edge}}
spec: {node: n1, interfaceName: eth0}
`;
const HEP_FORWARD = `---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: fw}
spec: {selector: role == 'edge', applyOnForward: true, types: [Ingress], ingress: [{action: Deny, protocol: TCP, source: {nets: [192.168.0.99/32]}}, {action: Allow}]}
`;

const WAYS = {
  direct: (app: "b" | "c") => [app === "b" ? "pod/b" : "pod/c", 8080],
  clusterIp: (app: "b" | "c") => [app === "b" ? "10.96.0.11" : "10.96.0.12", 80],
  nodePort1: (app: "b" | "c") => [NODE_1, app === "b" ? 30081 : 30082],
  nodePort2: (app: "b" | "c") => [NODE_2, app === "b" ? 30081 : 30082],
} as const;

/** Who reaches which pod which way: lines `client > pod: the ways that connect`. */
function table(mode: "iptables" | "ipvs", more: string): string[] {
  const l: Lab = twoNodeLab({ datapath: "calico-ipip", kubeProxy: mode }, SERVICES + more);
  for (const p of ["pod/b", "pod/c"]) l.traffic.listen({ on: p, port: 8080 });
  return ["pod/a", "pod/c", "host/outside"].flatMap((from) =>
    (["b", "c"] as const).map((app) => {
      const open = Object.entries(WAYS).filter(([name, way]) => {
        // Pods and services have no address outside.
        if (from === "host/outside" && !name.startsWith("nodePort")) return false;
        const [to, port] = way(app);
        return l.tcp({ from, to: to as string, port: port as number }).connected;
      });
      return `${from} > ${app}: ${open.map(([name]) => name).join(" ")}`.trimEnd();
    }),
  );
}

const ALL = "direct clusterIp nodePort1 nodePort2";
const PORTS = "nodePort1 nodePort2";

describe.each(["iptables", "ipvs"] as const)("Calico's policy on services, kube-proxy in %s mode", (mode) => {
  it.each([
    [
      "none",
      "",
      [
        `pod/a > b: ${ALL}`,
        `pod/a > c: ${ALL}`,
        `pod/c > b: ${ALL}`,
        `pod/c > c: ${ALL}`,
        `host/outside > b: ${PORTS}`,
        `host/outside > c: ${PORTS}`,
      ],
    ],
    [
      "ingress of b denied",
      policy("selector: app == 'b', types: [Ingress], ingress: [{action: Deny}]"),
      [
        "pod/a > b:",
        `pod/a > c: ${ALL}`,
        "pod/c > b:",
        `pod/c > c: ${ALL}`,
        "host/outside > b:",
        `host/outside > c: ${PORTS}`,
      ],
    ],
    [
      "egress of a denied",
      policy("selector: app == 'a', types: [Egress], egress: [{action: Deny}]"),
      [
        "pod/a > b:",
        "pod/a > c:",
        `pod/c > b: ${ALL}`,
        `pod/c > c: ${ALL}`,
        `host/outside > b: ${PORTS}`,
        `host/outside > c: ${PORTS}`,
      ],
    ],
    [
      "egress of a to b only",
      policy(
        "selector: app == 'a', types: [Egress], egress: [{action: Allow, protocol: TCP, destination: {selector: app == 'b', ports: [8080]}}]",
      ),
      // Towards the other node's port the destination is that node, which the policy does not allow.
      [
        "pod/a > b: direct clusterIp nodePort1",
        "pod/a > c:",
        `pod/c > b: ${ALL}`,
        `pod/c > c: ${ALL}`,
        `host/outside > b: ${PORTS}`,
        `host/outside > c: ${PORTS}`,
      ],
    ],
    [
      "forwarded TCP from outside denied on n1",
      HEP + HEP_FORWARD,
      [
        `pod/a > b: ${ALL}`,
        `pod/a > c: ${ALL}`,
        `pod/c > b: ${ALL}`,
        `pod/c > c: ${ALL}`,
        "host/outside > b: nodePort2",
        "host/outside > c: nodePort2",
      ],
    ],
    [
      "n1 closed by a host endpoint without policies, which forwarded packets do not meet",
      HEP,
      [
        `pod/a > b: ${ALL}`,
        `pod/a > c: ${ALL}`,
        `pod/c > b: ${ALL}`,
        `pod/c > c: ${ALL}`,
        `host/outside > b: ${PORTS}`,
        `host/outside > c: ${PORTS}`,
      ],
    ],
  ])("%s: the same ways are open", (_, more, want) => {
    expect(table(mode, more)).toEqual(want);
  });
});
