// Every address of a scenario that is not one is said with file, line and column, whatever kind holds it.

import { describe, expect, it } from "vitest";
import { PodpathError } from "../../../src/base/errors.js";
import { Lab } from "../../../src/lab.js";
import { checkScenario } from "../../../src/scenario/load.js";
import { twoNodes } from "../../support/two_nodes.js";

const K8S = "v1";
const OWN = "podpath.dev/v1";

/**
 * Documents with one bad value, written as `<value>`, and the message; the position is that of the value. `metadata` and
 * `apiVersion` are added.
 */
const CASES: readonly (readonly [apiVersion: string, kind: string, fields: string, message: string])[] = [
  [K8S, "Node", "spec: {podCIDR: <10.0.0.0>}", "spec.podCIDR: 10.0.0.0 is not a subnet like 10.0.0.0/24"],
  [
    K8S,
    "Node",
    "spec: {podCIDRs: [10.0.0.0/24, <fd00::/129>]}",
    "spec.podCIDRs[1]: fd00::/129 is not a subnet like 10.0.0.0/24",
  ],
  [
    K8S,
    "Node",
    "status: {addresses: [{type: Hostname, address: n1}, {type: InternalIP, address: <192.168.0.1/24>}]}",
    "status.addresses[1].address: 192.168.0.1/24 is not an IP address",
  ],
  [
    K8S,
    "Node",
    "status: {addresses: [{type: InternalIP, address: <192.168.0.256>}]}",
    "status.addresses[0].address: 192.168.0.256 is not an IP address",
  ],
  [K8S, "Pod", "status: {podIP: <10.0.0.1/99>}", "status.podIP: 10.0.0.1/99 is not an IP address"],
  [
    K8S,
    "Pod",
    "status: {podIPs: [{ip: 10.0.0.1}, {ip: <fd00:::1>}]}",
    "status.podIPs[1].ip: fd00:::1 is not an IP address",
  ],
  [
    K8S,
    "Pod",
    "spec: {containers: [{ports: [{containerPort: 80, hostPort: 80, hostIP: <0.0.0>}]}]}",
    "spec.containers[0].ports[0].hostIP: 0.0.0 is not an IP address",
  ],
  [K8S, "Service", "spec: {clusterIP: <10.96.0>}", "spec.clusterIP: 10.96.0 is not an IP address or None"],
  [
    K8S,
    "Service",
    "spec: {clusterIPs: [10.96.0.1, <fd00::g>]}",
    "spec.clusterIPs[1]: fd00::g is not an IP address or None",
  ],
  [K8S, "Service", "spec: {externalIPs: [<a.b.c.d>]}", "spec.externalIPs[0]: a.b.c.d is not an IP address"],
  [
    K8S,
    "Service",
    "spec: {loadBalancerSourceRanges: [<10.0.0.0/33>]}",
    "spec.loadBalancerSourceRanges[0]: 10.0.0.0/33 is not a subnet like 10.0.0.0/24",
  ],
  [
    K8S,
    "Service",
    "status: {loadBalancer: {ingress: [{ip: <1.2.3.4.5>}]}}",
    "status.loadBalancer.ingress[0].ip: 1.2.3.4.5 is not an IP address",
  ],
  [
    K8S,
    "Endpoints",
    "subsets: [{addresses: [{ip: <10.0.0>}]}]",
    "subsets[0].addresses[0].ip: 10.0.0 is not an IP address",
  ],
  [
    "discovery.k8s.io/v1",
    "EndpointSlice",
    "endpoints: [{addresses: [10.0.0.1]}, {addresses: [<10.0.0.1/24>]}]",
    "endpoints[1].addresses[0]: 10.0.0.1/24 is not an IP address",
  ],
  [
    "networking.k8s.io/v1",
    "NetworkPolicy",
    "spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: <10.0.0.0>}}]}]}",
    "spec.ingress[0].from[0].ipBlock.cidr: 10.0.0.0 is not a subnet like 10.0.0.0/24",
  ],
  [
    "networking.k8s.io/v1",
    "NetworkPolicy",
    "spec: {podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [<10.0.0.0/x>]}}]}]}",
    "spec.egress[0].to[0].ipBlock.except[0]: 10.0.0.0/x is not a subnet like 10.0.0.0/24",
  ],
  [
    "cilium.io/v2",
    "CiliumNetworkPolicy",
    "spec: {endpointSelector: {}, egressDeny: [{toCIDR: [<10.0.0.0/40>]}]}",
    "spec.egressDeny[0].toCIDR[0]: 10.0.0.0/40 is not an IP address or a subnet like 10.0.0.0/24",
  ],
  [
    "cilium.io/v2",
    "CiliumClusterwideNetworkPolicy",
    "specs: [{endpointSelector: {}, ingress: [{fromCIDRSet: [{cidr: 10.0.0.0/8, except: [<10/16>]}]}]}]",
    "specs[0].ingress[0].fromCIDRSet[0].except[0]: 10/16 is not an IP address or a subnet like 10.0.0.0/24",
  ],
  [
    "cilium.io/v2",
    "CiliumCIDRGroup",
    "spec: {externalCIDRs: [<10.0.0.1>]}",
    "spec.externalCIDRs[0]: 10.0.0.1 is not a subnet like 10.0.0.0/24",
  ],
  [
    "cilium.io/v2",
    "CiliumEgressGatewayPolicy",
    "spec: {destinationCIDRs: [<0.0.0.0>], selectors: [], egressGateway: {nodeSelector: {}}}",
    "spec.destinationCIDRs[0]: 0.0.0.0 is not a subnet like 10.0.0.0/24",
  ],
  [
    "cilium.io/v2",
    "CiliumEgressGatewayPolicy",
    "spec: {destinationCIDRs: [0.0.0.0/0], selectors: [], egressGateway: {nodeSelector: {}, egressIP: <10.0.0.1/24>}}",
    "spec.egressGateway.egressIP: 10.0.0.1/24 is not an IP address",
  ],
  [
    "crd",
    "IPPool",
    "spec: {cidr: <10.300.0.0/16>}",
    "spec.cidr: 10.300.0.0/16 is not a subnet like 10.0.0.0/24",
  ],
  [
    "crd",
    "Installation",
    "spec: {calicoNetwork: {ipPools: [{cidr: <10.244.0.0>}]}}",
    "spec.calicoNetwork.ipPools[0].cidr: 10.244.0.0 is not a subnet like 10.0.0.0/24",
  ],
  [
    "crd",
    "IPAMBlock",
    "spec: {cidr: <10.244.0/26>}",
    "spec.cidr: 10.244.0/26 is not a subnet like 10.0.0.0/24",
  ],
  ["crd", "BlockAffinity", "spec: {cidr: <x/26>}", "spec.cidr: x/26 is not a subnet like 10.0.0.0/24"],
  [
    "crd",
    "BGPPeer",
    "spec: {peerIP: <10.0.0:179>}",
    "spec.peerIP: 10.0.0:179 is not an IP address, with or without a port",
  ],
  ["crd", "HostEndpoint", "spec: {expectedIPs: [<::g>]}", "spec.expectedIPs[0]: ::g is not an IP address"],
  [
    "crd",
    "GlobalNetworkPolicy",
    "spec: {ingress: [{action: Allow, source: {notNets: [<10.0.0.0/8/8>]}}]}",
    "spec.ingress[0].source.notNets[0]: 10.0.0.0/8/8 is not an IP address or a subnet like 10.0.0.0/24",
  ],
  [
    "crd",
    "GlobalNetworkSet",
    "spec: {nets: [10.0.0.1, <ten>]}",
    "spec.nets[1]: ten is not an IP address or a subnet like 10.0.0.0/24",
  ],
  [
    "crd",
    "FelixConfiguration",
    "spec: {failsafeInboundHostPorts: [{port: 22, net: <0/0>}]}",
    "spec.failsafeInboundHostPorts[0].net: 0/0 is not an IP address or a subnet like 10.0.0.0/24",
  ],
  [
    OWN,
    "Network",
    "spec: {cidr: <192.168.0.0/>}",
    "spec.cidr: 192.168.0.0/ is not a subnet like 10.0.0.0/24",
  ],
  [OWN, "Network", "spec: {gateway: <192.168.0.1/24>}", "spec.gateway: 192.168.0.1/24 is not an IP address"],
  [
    OWN,
    "NodeWiring",
    "spec: {nics: [{name: eth1, addresses: [<10.9.0.1/99>]}]}",
    "spec.nics[0].addresses[0]: 10.9.0.1/99 is not an IP address, with or without a prefix length",
  ],
  [OWN, "NodeWiring", "spec: {gateway: <gw>}", "spec.gateway: gw is not an IP address"],
  [OWN, "NodeWiring", "spec: {gatewayIPv6: <10.0.0.1>}", "spec.gatewayIPv6: 10.0.0.1 is not an IPv6 address"],
  [OWN, "NodeWiring", "spec: {routerIP: <fd00::1>}", "spec.routerIP: fd00::1 is not an IPv4 address"],
  [OWN, "NodeWiring", "spec: {routerIPv6: <::x>}", "spec.routerIPv6: ::x is not an IPv6 address"],
  [
    OWN,
    "Host",
    "spec: {addresses: [<192.168.0.7/33>]}",
    "spec.addresses[0]: 192.168.0.7/33 is not an IP address, with or without a prefix length",
  ],
  [
    OWN,
    "Host",
    "spec: {addresses: [192.168.0.7], gateway: <192.168.0.0/24>}",
    "spec.gateway: 192.168.0.0/24 is not an IP address",
  ],
  [
    OWN,
    "Host",
    "spec: {addresses: [192.168.0.7], routes: [{to: <10.0.0.0/99>, via: 192.168.0.1}]}",
    "spec.routes[0].to: 10.0.0.0/99 is not default, an IP address or a subnet like 10.0.0.0/24",
  ],
  [
    OWN,
    "Host",
    "spec: {addresses: [192.168.0.7], routes: [{to: default, via: <192.168.0>}]}",
    "spec.routes[0].via: 192.168.0 is not an IP address",
  ],
  ...(
    [
      [
        "addresses: [{dev: a, addr: <10.0.0.1/99>}]",
        "addresses[0].addr",
        "an IP address, with or without a prefix length",
      ],
      [
        "routes: [{dst: <all>, dev: a}]",
        "routes[0].dst",
        "default, an IP address or a subnet like 10.0.0.0/24",
      ],
      ["routes: [{dst: default, via: <10.0.0.1/8>}]", "routes[0].via", "an IP address"],
      ["routes: [{dst: default, dev: a, src: <me>}]", "routes[0].src", "an IP address"],
      ["neigh: [{ip: <1.2.3>, mac: '02:00:00:00:00:01', dev: a}]", "neigh[0].ip", "an IP address"],
      ["proxy_neigh: [{ip: <1.2.3>, dev: a}]", "proxy_neigh[0].ip", "an IP address"],
      ["fdb: [{mac: '02:00:00:00:00:01', dev: v, dst: <::1>}]", "fdb[0].dst", "an IPv4 address"],
    ] as const
  ).map(
    ([fields, path, what]) =>
      [
        OWN,
        "Topology",
        `spec: {netns: {x: {${fields}}}, links: []}`,
        `spec.netns.x.${path}: ${/<(.*)>/.exec(fields)![1]} is not ${what}`,
      ] as const,
  ),
  [
    OWN,
    "Topology",
    "spec: {netns: {x: {}}, links: [{kind: ipip, ns: x, name: t, remote: <10.0.0.0/8>}]}",
    "spec.links[0].remote: 10.0.0.0/8 is not an IPv4 address",
  ],
];

describe("an address that is none", () => {
  it.each(CASES)("of %s %s in %s", (apiVersion, kind, fields, message) => {
    const before = `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: x}\n`;
    const { scenario, errors } = checkScenario(`${before}${fields.replace(/<(.*)>/, "$1")}\n`, "x.yaml");
    expect([scenario, errors.map(String)]).toEqual([
      undefined,
      [`x.yaml:4:${fields.indexOf("<") + 1}: ${message}`],
    ]);
  });
});

describe("addresses that are good", () => {
  it("are taken in every form that their fields know", () => {
    const documents = `
---
{apiVersion: v1, kind: Service, metadata: {name: none}, spec: {clusterIP: None, loadBalancerSourceRanges: [" 10.0.0.0/8 "]}}
---
{apiVersion: v1, kind: Service, metadata: {name: empty}, spec: {clusterIP: "", clusterIPs: ["fd00::1"]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: names}, addressType: FQDN, endpoints: [{addresses: [example.com]}]}
---
{apiVersion: crd, kind: BGPPeer, metadata: {name: p1}, spec: {peerIP: "192.168.0.1:179"}}
---
{apiVersion: crd, kind: BGPPeer, metadata: {name: p2}, spec: {peerIP: "[fd00::1]:179"}}
---
{apiVersion: crd, kind: BGPPeer, metadata: {name: p3}, spec: {peerIP: fd00::1}}
---
{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: one}, spec: {endpointSelector: {}, egress: [{toCIDR: [10.0.0.1]}]}}
`;
    expect(checkScenario(twoNodes(documents), "x.yaml").errors.map(String)).toEqual([]);
  });
});

describe("a gateway that no device leads to", () => {
  const errorOf = (text: string): string => {
    try {
      Lab.fromYaml(text, "x.yaml");
    } catch (e) {
      if (e instanceof PodpathError) return String(e);
      throw e;
    }
    return "no error";
  };
  const line = twoNodes().split("\n").length;

  it.each([
    ["gateway: <192.168.9.1>", "route default via 192.168.9.1 cannot be added: Nexthop has invalid gateway"],
    [
      "gatewayIPv6: <fd09::1>",
      "route default via fd09::1 cannot be added: RTNETLINK answers: No route to host",
    ],
    [
      "routes: [{to: 10.9.0.0/16, via: <10.9.0.1>}]",
      "route 10.9.0.0/16 via 10.9.0.1 cannot be added: Nexthop has invalid gateway",
    ],
  ])("%s has its place in the file, of a host", (field, message) => {
    const spec = `spec: {addresses: [192.168.0.77], ${field}}`;
    const text = `---\napiVersion: podpath.dev/v1\nkind: Host\nmetadata: {name: h}\n${spec.replace(/[<>]/g, "")}\n`;
    expect(errorOf(twoNodes(text))).toBe(`x.yaml:${line + 4}:${spec.indexOf("<") + 1}: h: ${message}`);
  });

  it("has its place in the file, of a node", () => {
    const text = twoNodes().replace("spec: {gateway: 192.168.0.1, nics", "spec: {gateway: 192.168.9.1, nics");
    const at = text.split("\n").findIndex((l) => l.includes("192.168.9.1")) + 1;
    expect(errorOf(text)).toBe(
      `x.yaml:${at}:17: n1: route default via 192.168.9.1 cannot be added: Nexthop has invalid gateway`,
    );
  });
});

describe("the block size of an IPPool", () => {
  it.each([99, 15, 19, 33])("%i is refused with its place", (blockSize) => {
    const pool = `---\napiVersion: crd\nkind: IPPool\nmetadata: {name: p}\nspec: {cidr: 10.0.0.0/16, blockSize: ${blockSize}}\n`;
    const at = twoNodes().split("\n").length + 4;
    let said = "";
    try {
      Lab.fromYaml(twoNodes(pool), "x.yaml", { datapath: "calico-ipip" });
    } catch (e) {
      said = String(e);
    }
    expect(said).toBe(
      `x.yaml:${at}:38: IPPool p: blockSize is a prefix length from 20 to 32, not ${blockSize}`,
    );
  });
});
