import { describe, expect, it } from "vitest";
import {
  egressGatewayEntries,
  egressGatewayPolicyOf,
} from "../../../../src/cluster/cilium/egress_gateway.js";
import { LabelSet } from "../../../../src/cluster/cilium/policy/labels.js";

const NODES = ["n1", "n2"].map((name, i) => ({
  name,
  labels: { role: name === "n2" ? "gateway" : "worker" },
  ip: `192.168.0.1${i + 1}`,
  addresses: [
    { device: "eth0", ips: [`192.168.0.1${i + 1}`] },
    { device: "eth1", ips: [`172.16.0.1${i + 1}`, `172.16.0.2${i + 1}`] },
  ],
}));
const PODS = [
  { ip: "10.0.0.11", labels: LabelSet.parse(["k8s:app=a", "k8s:io.cilium.k8s.namespace.labels.team=x"]) },
  { ip: "10.0.0.12", labels: LabelSet.parse(["k8s:app=b", "k8s:io.cilium.k8s.namespace.labels.team=y"]) },
];

function entries(node: string, gateway: object, more: object = {}): string[] {
  const policy = egressGatewayPolicyOf({
    metadata: { name: "out" },
    spec: {
      selectors: [{ podSelector: { matchLabels: { app: "a" } } }],
      destinationCIDRs: ["0.0.0.0/0"],
      egressGateway: { nodeSelector: { matchLabels: { role: "gateway" } }, ...gateway },
      ...more,
    },
  });
  return egressGatewayEntries([policy], PODS, NODES, node).map(
    (e) => `${e.source} -> ${e.destination}/${e.bits} by ${e.gateway} as ${e.egressIp}`,
  );
}

describe("egress gateway entries", () => {
  it("name the gateway everywhere, and its address only on the gateway", () => {
    expect(entries("n1", {})).toEqual(["10.0.0.11 -> 0.0.0.0/0 by 192.168.0.12 as 0.0.0.0"]);
    expect(entries("n2", {})).toEqual(["10.0.0.11 -> 0.0.0.0/0 by 192.168.0.12 as 192.168.0.12"]);
  });

  it("take the address of the device named, or the address named if the node has it", () => {
    expect(entries("n2", { interface: "eth1" })).toEqual([
      "10.0.0.11 -> 0.0.0.0/0 by 192.168.0.12 as 172.16.0.12",
    ]);
    expect(entries("n2", { egressIP: "172.16.0.22" })).toEqual([
      "10.0.0.11 -> 0.0.0.0/0 by 192.168.0.12 as 172.16.0.22",
    ]);
    expect(entries("n2", { egressIP: "172.16.0.99" })).toEqual([
      "10.0.0.11 -> 0.0.0.0/0 by 192.168.0.12 as 0.0.0.0",
    ]);
  });

  it("have gateway 0.0.0.1 for excluded destinations and 0.0.0.0 where no node is selected", () => {
    expect(entries("n1", {}, { excludedCIDRs: ["10.1.0.0/16"] })).toEqual([
      "10.0.0.11 -> 0.0.0.0/0 by 192.168.0.12 as 0.0.0.0",
      "10.0.0.11 -> 10.1.0.0/16 by 0.0.0.1 as 0.0.0.0",
    ]);
    expect(entries("n1", { nodeSelector: { matchLabels: { role: "none" } } })).toEqual([
      "10.0.0.11 -> 0.0.0.0/0 by 0.0.0.0 as 0.0.0.0",
    ]);
  });

  it("are for pods by the labels of their namespace too", () => {
    const selectors = [{ namespaceSelector: { matchLabels: { team: "y" } } }];
    expect(entries("n1", {}, { selectors })).toEqual(["10.0.0.12 -> 0.0.0.0/0 by 192.168.0.12 as 0.0.0.0"]);
  });

  it("are refused for a gateway with both interface and egressIP, and without destinations", () => {
    expect(() => entries("n1", { interface: "eth0", egressIP: "172.16.0.22" })).toThrow(
      "CiliumEgressGatewayPolicy out: egressGateway cannot have both interface and egressIP",
    );
    expect(() => entries("n1", {}, { destinationCIDRs: [] })).toThrow(
      "CiliumEgressGatewayPolicy out: destinationCIDRs is empty",
    );
  });
});
