// Policies on Calico: what they let through, and the rules and sets that Felix writes for them.
import { describe, expect, it } from "vitest";
import type { CalicoPlane } from "../../../src/cluster/calico/plane.js";
import { parseSelector } from "../../../src/cluster/calico/selector.js";
import { iptablesSave } from "../../../src/kernel/netfilter/iptables.js";
import type { Lab } from "../../../src/lab.js";
import { twoNodeLab } from "../../support/two_nodes.js";

const lab = (more: string): Lab => twoNodeLab({ datapath: "calico-ipip", kubeProxy: "none" }, more);

/** Ports 80, 443, 8080 from a pod: which answer. */
function open(l: Lab, from: string, to: string, ports: readonly number[] = [80, 8080]): number[] {
  for (const p of ports) l.traffic.listen({ on: to, port: p, protocol: "udp" });
  return ports.filter((p) => l.udp({ from, to, port: p }).answers.length > 0);
}

const rules = (l: Lab, node: string, chain: RegExp): string[] =>
  iptablesSave(l.node(node).machine.ns, { tables: ["filter"] })
    .split("\n")
    .filter((r) => chain.test(r));

describe("Kubernetes NetworkPolicy on Calico", () => {
  it("lets in what a rule names and denies the rest of the selected pod's ingress", () => {
    const l = lab(`---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-a}
spec:
  podSelector: {matchLabels: {app: c}}
  ingress:
    - from: [{podSelector: {matchLabels: {app: a}}}]
      ports: [{port: 8080, protocol: UDP}]
`);
    expect(open(l, "pod/a", "pod/c")).toEqual([8080]);
    expect(open(l, "pod/b", "pod/c")).toEqual([]);
    expect(open(l, "pod/c", "pod/b")).toEqual([80, 8080]);
    const chain = /cali-pi-_\S{19}/.exec(rules(l, "n2", /cali-tw-/).join("\n"))![0];
    const set = /cali40s:\S{23}/.exec(rules(l, "n2", new RegExp(`-A ${chain}`)).join("\n"))![0];
    const tw = rules(l, "n2", /-A cali-tw-/).map((r) => r.replace(/cali-tw-\w+/, "TW"));
    expect(tw).toEqual([
      "-A TW -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
      "-A TW -m conntrack --ctstate INVALID -j DROP",
      "-A TW -j MARK --set-xmark 0x0/0x10000",
      '-A TW -m comment --comment "Start of tier default" -j MARK --set-xmark 0x0/0x20000',
      `-A TW -m mark --mark 0x0/0x20000 -j ${chain}`,
      '-A TW -m comment --comment "Return if policy accepted" -m mark --mark 0x10000/0x10000 -j RETURN',
      '-A TW -m comment --comment "End of tier default. Drop if no policies passed packet" -m mark --mark 0x0/0x20000 -j DROP',
      "-A TW -j cali-pri-kns.default",
      "-A TW -m mark --mark 0x10000/0x10000 -j RETURN",
      '-A TW -m comment --comment "Drop if no profiles matched" -j DROP',
    ]);
    expect(rules(l, "n2", new RegExp(`-A ${chain}`))).toEqual([
      `-A ${chain} -p udp -m set --match-set ${set} src -m multiport --dports 8080 -j MARK --set-xmark 0x10000/0x10000`,
      `-A ${chain} -m mark --mark 0x10000/0x10000 -j RETURN`,
    ]);
    expect(
      l
        .exec("node/n2", "ipset save")
        .out.split("\n")
        .filter((x) => x.includes(set))[1],
    ).toBe(`add ${set} 10.0.0.11`);
  });

  it("ipBlock with except, port ranges and named ports use match blocks and sets", () => {
    const l = lab(`---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: c}}
  policyTypes: [Ingress]
  ingress:
    - from: [{ipBlock: {cidr: 10.0.0.0/24, except: [10.0.0.12/32]}}]
      ports: [{port: 8000, endPort: 8090, protocol: UDP}]
    - ports: [{port: http}]
`);
    expect(open(l, "pod/a", "pod/c", [80, 8000, 8080, 8090, 8091])).toEqual([8000, 8080, 8090]);
    expect(open(l, "pod/b", "pod/c", [8080])).toEqual([]);
    // containerPort 8080 is called http.
    expect(l.tcp({ from: "pod/b", to: "pod/c", port: 8080 }).connected).toBe(true);
    expect(l.tcp({ from: "pod/b", to: "pod/c", port: 8081 }).connected).toBe(false);
  });

  it("egress policies hold the pod itself, and what it may ask is answered", () => {
    const l = lab(`---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: only-c}
spec:
  podSelector: {matchLabels: {app: a}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {app: c}}}]}]
`);
    expect(open(l, "pod/a", "pod/c")).toEqual([80, 8080]);
    expect(open(l, "pod/a", "pod/b")).toEqual([]);
    expect(open(l, "pod/b", "pod/a")).toEqual([80, 8080]);
    expect(l.ping({ from: "pod/a", to: "host/outside" }).received).toBe(0);
  });

  it("namespaceSelector picks pods by the labels of their namespace", () => {
    const l = lab(`---
apiVersion: v1
kind: Namespace
metadata: {name: other, labels: {team: x}}
---
apiVersion: v1
kind: Pod
metadata: {name: d, namespace: other, labels: {app: d}}
spec: {nodeName: n2}
status: {podIP: 10.0.1.22}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: from-x}
spec:
  podSelector: {matchLabels: {app: c}}
  ingress: [{from: [{namespaceSelector: {matchLabels: {team: x}}}]}]
`);
    expect(open(l, "pod/other/d", "pod/c")).toEqual([80, 8080]);
    expect(open(l, "pod/a", "pod/c")).toEqual([]);
  });
});

describe("Calico policy, tiers and order", () => {
  it("decides by order inside a tier: the lower order wins", () => {
    const policy = (name: string, order: number, action: string): string => `---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: ${name}}
spec: {order: ${order}, selector: "app == 'c'", types: [Ingress], ingress: [{action: ${action}, source: {selector: "app == 'a'"}}]}
`;
    expect(open(lab(policy("deny", 10, "Deny") + policy("allow", 20, "Allow")), "pod/a", "pod/c")).toEqual(
      [],
    );
    expect(open(lab(policy("deny", 30, "Deny") + policy("allow", 20, "Allow")), "pod/a", "pod/c")).toEqual([
      80, 8080,
    ]);
  });

  it("an earlier tier can deny, or pass on to the next one", () => {
    const tier = `---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 100}
`;
    const first = (action: string): string => `---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: security.first}
spec: {tier: security, selector: "app == 'c'", types: [Ingress], ingress: [{action: ${action}, protocol: UDP, destination: {ports: [8080]}}]}
`;
    const second = `---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: default.second, namespace: default}
spec: {selector: "app == 'c'", types: [Ingress], ingress: [{action: Allow, source: {selector: "app in {'a'}"}}]}
`;
    // Passed: the second tier lets a in, and b not. What the first tier does not pass it drops.
    const passed = lab(tier + first("Pass") + second);
    expect([open(passed, "pod/a", "pod/c"), open(passed, "pod/b", "pod/c")]).toEqual([[8080], []]);
    const allowed = lab(tier + first("Allow") + second);
    expect([open(allowed, "pod/a", "pod/c"), open(allowed, "pod/b", "pod/c")]).toEqual([[8080], [8080]]);
    expect(open(lab(tier + first("Deny") + second), "pod/a", "pod/c")).toEqual([]);
    // Passed and no further policy: the namespace's profile allows.
    expect(open(lab(tier + first("Pass")), "pod/b", "pod/c")).toEqual([8080]);
  });

  it("nets, notNets, ICMP types, network sets and protocols", () => {
    const l = lab(`---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: outside, labels: {role: outside}}
spec: {nets: [192.168.0.99/32, 203.0.113.0/24]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: c}
spec:
  selector: app == 'c'
  types: [Ingress]
  ingress:
    - {action: Allow, protocol: ICMP, icmp: {type: 8}}
    - {action: Allow, protocol: UDP, source: {selector: role == 'outside'}, destination: {ports: [53, "8000:8100"]}}
    - {action: Deny, source: {nets: [10.0.0.12/32, 10.9.0.0/16]}}
    - {action: Allow, protocol: TCP, source: {notNets: [10.0.0.13/32]}}
`);
    expect(l.ping({ from: "pod/b", to: "pod/c" }).received).toBe(1);
    expect(open(l, "pod/a", "pod/c", [53, 8080])).toEqual([]);
    const tcp = (from: string): boolean => l.tcp({ from, to: "pod/c", port: 7000 }).connected;
    expect([tcp("pod/a"), tcp("pod/b")]).toEqual([true, false]);
  });

  it("an unknown tier and a wrong selector are told with their place", () => {
    const gnp = (spec: string): string => `---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: x}
spec: ${spec}
`;
    expect(() => lab(gnp("{tier: none, selector: all()}"))).toThrow(
      "policy none.x is in tier none, which is not defined",
    );
    expect(() => lab(gnp("{selector: 'app = x'}"))).toThrow(
      /^selector "\(app = x\)" is wrong at character \d+$/,
    );
  });
});

describe("selector language", () => {
  it.each<[string, Record<string, string>, boolean]>([
    ["", {}, true],
    ["all()", {}, true],
    ["a == 'x'", { a: "x" }, true],
    ["a != 'x'", {}, true],
    ["a in {'x', 'y'}", { a: "y" }, true],
    ["a not in {'x'}", { a: "x" }, false],
    ["a not in {'x'}", {}, true],
    ["has(a) && !has(b)", { a: "" }, true],
    ["a == 'x' || (b == 'y' && c contains 'z')", { b: "y", c: "xzx" }, true],
    ["a starts with 'x'", { a: "xy" }, true],
    ["a ends with 'x'", { a: "xy" }, false],
    ['projectcalico.org/namespace == "default"', { "projectcalico.org/namespace": "default" }, true],
  ])("%s on %j is %s", (text, labels, expected) => {
    expect(parseSelector(text).matches(labels)).toBe(expected);
  });
});

describe("BGP", () => {
  const plane = (l: Lab): CalicoPlane => l.cluster as unknown as CalicoPlane;

  it("a peer whose BIRD stops is down everywhere, its routes are withdrawn and come back with it", () => {
    const l = lab("");
    plane(l).setBird("n2", false);
    expect(
      plane(l)
        .sessions("n1")
        .map((s) => [s.peerAddress, s.state, s.info, s.detail]),
    ).toEqual([["192.168.0.12", "start", "Active", "Socket: Connection refused"]]);
    expect(plane(l).bird.notReady("n1")).toBe(
      "calico/node is not ready: BIRD is not ready: BGP not established with 192.168.0.12",
    );
    expect(l.exec("node/n1", "ip route").out).not.toMatch("10.0.1.0/26");
    expect(l.ping({ from: "pod/a", to: "pod/c" }).received).toBe(0);
    plane(l).setBird("n2", true);
    expect(plane(l).sessions("n1")[0]!.info).toBe("Established");
    expect(l.ping({ from: "pod/a", to: "pod/c" }).replies[0]!.ttl).toBe(62);
  });

  it("without the mesh nodes learn nothing; a route reflector tells each what the others have", () => {
    const off = `---
apiVersion: projectcalico.org/v3
kind: BGPConfiguration
metadata: {name: default}
spec: {nodeToNodeMeshEnabled: false, asNumber: 64512}
`;
    const alone = lab(off);
    expect(plane(alone).sessions("n1")).toEqual([]);
    expect(alone.exec("node/n1", "ip route").out).not.toMatch("proto bird onlink");
    const l = lab(`${off}---
apiVersion: v1
kind: Node
metadata: {name: rr, labels: {route-reflector: "true"}, annotations: {projectcalico.org/RouteReflectorClusterID: 244.0.0.1}}
status: {addresses: [{type: InternalIP, address: 192.168.0.13}]}
---
apiVersion: podpath.dev/v1
kind: NodeWiring
metadata: {name: rr}
spec: {gateway: 192.168.0.1, nics: [{name: eth0, addresses: [192.168.0.13/24]}]}
---
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: to-reflectors}
spec: {nodeSelector: all(), peerSelector: has(route-reflector)}
`);
    expect(
      plane(l)
        .sessions("n1")
        .map((s) => [s.peerAddress, s.peerType, s.info]),
    ).toEqual([["192.168.0.13", "node specific", "Established"]]);
    expect(
      plane(l)
        .sessions("rr")
        .map((s) => s.peerAddress),
    ).toEqual(["192.168.0.11", "192.168.0.12"]);
    expect(l.ping({ from: "pod/a", to: "pod/c" }).replies[0]!.ttl).toBe(62);
    plane(l).setBird("rr", false);
    expect(l.ping({ from: "pod/a", to: "pod/c" }).received).toBe(0);
  });

  it("a pod with an address of another node's block is announced on its own", () => {
    const l = lab(`---
apiVersion: v1
kind: Pod
metadata: {name: e}
spec: {nodeName: n2}
status: {podIP: 10.0.0.40}
`);
    expect(l.exec("node/n1", "ip route").out.split("\n")).toContain(
      "10.0.0.40 via 192.168.0.12 dev tunl0 proto bird onlink ",
    );
    expect(l.ping({ from: "pod/a", to: "pod/e" }).replies[0]!.ttl).toBe(62);
  });
});

describe("services of a Calico rule", () => {
  const service = `---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.96.0.9, selector: {app: c}, ports: [{port: 80, targetPort: 8080, protocol: UDP}]}
`;
  const policy = (spec: string): string => `---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: default}
spec: {${spec}}
`;

  it("as a destination are its endpoints on its ports, in a set of addresses and ports", () => {
    const l = lab(
      service +
        policy(
          "selector: app == 'a', types: [Egress], egress: [{action: Allow, destination: {services: {name: web}}}]",
        ),
    );
    expect(open(l, "pod/a", "pod/c")).toEqual([8080]);
    expect(open(l, "pod/a", "pod/b")).toEqual([]);
    const sets = l.exec("node/n1", "ipset save").out.split("\n");
    expect(sets.filter((x) => x.includes("cali40svc:")).map((x) => x.replace(/svc:\S+/, "svc"))).toEqual([
      "create cali40svc hash:ip,port family inet hashsize 1024 maxelem 1048576",
      "add cali40svc 10.0.1.21,udp:8080",
    ]);
  });

  it("as a source are its endpoints' addresses", () => {
    const l = lab(
      service + policy("selector: app == 'b', ingress: [{action: Allow, source: {services: {name: web}}}]"),
    );
    expect(open(l, "pod/c", "pod/b")).toEqual([80, 8080]);
    expect(open(l, "pod/a", "pod/b")).toEqual([]);
  });

  it("stand alone", () => {
    const both = "destination: {services: {name: web}, ports: [80]}";
    expect(() => lab(policy(`types: [Egress], egress: [{action: Allow, ${both}}]`))).toThrow(
      "services stands beside nets, ports or selectors",
    );
  });
});
