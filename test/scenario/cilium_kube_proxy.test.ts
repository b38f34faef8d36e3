// Cilium without kube-proxy replacement: BPF translates ClusterIPs for pods, kube-proxy node ports and what nodes send.
import { describe, expect, it } from "vitest";
import { twoNodeLab } from "../support/two_nodes.js";

const SERVICE = `---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, clusterIP: 10.96.0.10, selector: {app: c}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]}
`;

describe.each(["iptables", "ipvs"] as const)("cilium-legacy with kube-proxy in %s mode", (kubeProxy) => {
  it("pods and nodes reach the ClusterIP, the outside and pods the node port of either node", () => {
    const l = twoNodeLab({ datapath: "cilium-legacy", kubeProxy }, SERVICE, {
      "kube-proxy-replacement": "false",
    });
    l.traffic.listen({ on: "pod/c", port: 8080 });
    const got = (from: string, to: string, port: number): string =>
      `${from} ${to}:${port} ${l.tcp({ from, to, port, send: 10, receive: 20 }).received}`;
    expect([
      got("pod/a", "10.96.0.10", 80),
      got("node/n1", "10.96.0.10", 80),
      got("host/outside", "192.168.0.11", 30080),
      got("host/outside", "192.168.0.12", 30080),
      got("pod/a", "192.168.0.12", 30080),
    ]).toEqual([
      "pod/a 10.96.0.10:80 20",
      "node/n1 10.96.0.10:80 20",
      "host/outside 192.168.0.11:30080 20",
      "host/outside 192.168.0.12:30080 20",
      "pod/a 192.168.0.12:30080 20",
    ]);
  });
});
