// podpath explain: the deciding rule, the failed condition and the smallest change, for each kind of miss.
import { describe, expect, it } from "vitest";
import type { SourcePosition } from "../../src/base/errors.js";
import { Lab, type LabOptions } from "../../src/lab.js";
import { EMBEDDED } from "../../src/scenario/embedded/index.js";
import { type Explanation, explainFlow, explainScenario } from "../../src/walk/explain.js";
import { parseFlow, prepare } from "../../src/walk/flow.js";
import { routeSource } from "../../src/walk/route_source.js";
import { twoNodeLab, twoNodes } from "../support/two_nodes.js";

const POLICY = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: c-in}
spec:
  podSelector: {matchLabels: {app: c}}
  policyTypes: [Ingress]
  ingress:
    - from: [{podSelector: {matchLabels: {app: b}}}]
      ports: [{port: 8080, protocol: TCP}]
`;

const DENY = `---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: no-a}
spec:
  endpointSelector: {matchLabels: {app: c}}
  ingressDeny:
    - fromEndpoints: [{matchLabels: {app: a}}]
`;

const SERVICE = `---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: d}, ports: [{port: 80, targetPort: 8080}]}
`;

const explain = (lab: Lab, flow: string): Explanation => {
  prepare(lab);
  return explainFlow(lab, parseFlow(flow));
};

const exec = (...commands: readonly string[]): string => `---
apiVersion: podpath.dev/v1
kind: Traffic
spec:
  steps:
${commands.map((c) => `    - exec: {on: node/n1, command: ${JSON.stringify(c)}}\n`).join("")}`;

/** The line of a YAML text that holds a piece of it. */
function lineOf(text: string, piece: string): number {
  return text.split("\n").findIndex((l) => l.includes(piece)) + 1;
}

describe("explain, policy", () => {
  it("names the rule that nearly matched with its line, the label that lacks, and the peer to add", () => {
    const e = explain(twoNodeLab({}, POLICY), "pod/a -> pod/c:8080/tcp");
    expect([e.kind, e.packet, e.where]).toEqual(["policy-implicit-deny", "request", "n2 eth0"]);
    expect(e.candidates.map((c) => ({ ...c, position: c.position?.line }))).toEqual([
      {
        what: "NetworkPolicy default/c-in ingress rule 1",
        position: lineOf(twoNodes(POLICY), "podSelector: {matchLabels: {app: b}}"),
        failed: ["spec.ingress[0].from[0]: the other end lacks k8s:app=b"],
        change:
          'add to NetworkPolicy c-in at spec.ingress[0].from: {"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"default"}},"podSelector":{"matchLabels":{"app":"a"}}}',
      },
    ]);
    expect(e.change).toBe(e.candidates[0]!.change);
  });

  it("says of a delivered flow which rule let it in, and where that stands", () => {
    const e = explain(twoNodeLab({}, POLICY), "pod/b -> pod/c:8080/tcp");
    expect(e.kind).toBe("delivered");
    const rule = e.decisions.find((d) => d.what.includes("c-in"));
    expect([rule?.what, rule?.position?.line]).toEqual([
      "policy of pod/default/c, ingress: allow by NetworkPolicy default/c-in ingress rule 1",
      lineOf(twoNodes(POLICY), "podSelector: {matchLabels: {app: b}}"),
    ]);
  });

  it("tells a deny rule from an implicit deny", () => {
    const e = explain(twoNodeLab({}, DENY), "pod/a -> pod/c");
    expect([e.kind, e.verdict]).toEqual([
      "policy-deny",
      "policy of pod/default/c, ingress: denied by CiliumNetworkPolicy default/no-a ingress rule 1 (deny)",
    ]);
  });
});

describe("explain, services and routes", () => {
  it("lists each pod that a service without backends does not select, and the label that it lacks", () => {
    const e = explain(twoNodeLab({}, SERVICE), "pod/a -> service/web:80");
    expect([e.kind, e.packet]).toEqual(["no-backend", "none"]);
    expect(e.candidates.map((c) => [c.what, c.failed, c.change])).toEqual(
      ["a", "b", "c"].map((p) => [`Pod default/${p}`, [`label app=d (it has app=${p})`], "give it app: d"]),
    );
  });

  it("says which route to the other node's pods is missing", () => {
    const e = explain(
      twoNodeLab({}, "", { "routing-mode": "native", "auto-direct-node-routes": "false" }),
      "pod/a -> pod/c",
    );
    expect([e.kind, e.verdict, e.change]).toEqual([
      "no-route",
      "gateway-lan has no route to 10.0.1.21",
      'auto-direct-node-routes: "true" in cilium-config, or on n1: ip route add 10.0.1.0/24 via 192.168.0.12',
    ]);
  });

  it("says of a route in a table that was not asked which rules lead to that table", () => {
    const e = explain(
      twoNodeLab(
        { datapath: "cilium-legacy" },
        exec(
          "ip route del default; ip route add default dev eth0 table 77; ip rule add fwmark 0x5 lookup 77",
        ),
      ),
      "pod/a -> 198.51.100.9",
    );
    expect([e.kind, e.verdict]).toEqual(["no-route", "n1 has no route to 198.51.100.9"]);
    expect(e.candidates.find((c) => c.what.includes("table 77"))?.failed).toEqual([
      "no rule leads the packet to table 77 (8: from all fwmark 0x5 lookup 77)",
    ]);
  });

  it("says whom the node asked for in vain", () => {
    const e = explain(twoNodeLab({ datapath: "cilium-legacy" }), "pod/a -> 192.168.0.77");
    expect([e.kind, e.verdict]).toEqual([
      "no-neighbour",
      "n1 asked for the MAC of 192.168.0.77 on eth0 three times, and nobody answered",
    ]);
    expect(e.candidates[0]!.failed).toEqual(["nobody in the lab has the address 192.168.0.77"]);
  });

  it("shows the filter rule that dropped the packet and what would take it away", () => {
    const e = explain(
      twoNodeLab({ datapath: "cilium-legacy" }, exec("iptables -I FORWARD 1 -d 10.0.1.21 -p udp -j DROP")),
      "pod/a -> pod/c:53/udp",
    );
    expect([e.kind, e.verdict, e.change]).toEqual([
      "netfilter",
      "netfilter on n1, hook FORWARD: filter: -A FORWARD -d 10.0.1.21/32 -p udp -j DROP dropped it",
      "iptables -t filter -D FORWARD -d 10.0.1.21/32 -p udp -j DROP, or accept the flow in a rule before it",
    ]);
  });
});

describe("explain, a datagram answered from another address", () => {
  it("names the address of the bridge, which the server's kernel chose, and what the server would have to do", () => {
    const e = explain(twoNodeLab({ datapath: "flannel-host-gw" }), "pod/a -> node/n1:53/udp");
    expect([e.kind, e.packet, e.where, e.verdict, e.change]).toEqual([
      "answer-source",
      "reply",
      "pod/default/a eth0",
      "the answer comes from 10.0.0.1, and pod/a asked 192.168.0.11: the server on n1 listens on every address, and its " +
        "kernel chose the source by the route back to pod/a",
      "let the server listen on 192.168.0.11 itself, or answer with IP_PKTINFO; or send to 10.0.0.1",
    ]);
  });
});

describe("explain, host routing", () => {
  it.each([
    [{ datapath: "cilium-legacy" }, "enable-host-legacy-routing is true"],
    [
      { options: { "kube-proxy-replacement": "false" } },
      "kube-proxy-replacement is off, and BPF host routing needs it",
    ],
    [
      { options: { "enable-bpf-masquerade": "false" } },
      "masquerading is done by iptables (enable-bpf-masquerade is off), and BPF host routing needs BPF masquerading",
    ],
  ] as readonly [LabOptions, string][])(
    "is Legacy for the reason that the agent has (%#)",
    (options, reason) => {
      const e = explain(twoNodeLab(options), "pod/a -> pod/b");
      expect(e.hostRouting).toEqual({ mode: "legacy", reason });
    },
  );
});

describe("explain, IPIP as the seeds' troubleshooting cases have it", () => {
  it("case 1: the gateway of the route is the node's own tunnel address", () => {
    const lab = twoNodeLab({ datapath: "calico-ipip" });
    const own = lab.node("n1").machine.ns.devByName("tunl0")!.addrs[0]!.local;
    const address = [0, 8, 16, 24].map((s) => (own >>> s) & 255).join(".");
    lab.traffic.runAll([
      {
        kind: "exec",
        spec: { on: "node/n1", command: `ip route replace 10.0.1.0/26 via ${address} dev tunl0` },
      },
    ]);
    const e = explain(lab, "pod/a -> pod/c");
    expect([e.kind, e.change]).toEqual([
      "wrong-gateway",
      "on n1: ip route replace 10.0.1.0/26 via 192.168.0.12 dev tunl0 onlink",
    ]);
  });

  it("case 2: the outer packet leaves from a network card that the peer does not know", () => {
    const yaml = twoNodes(exec("ip route del 192.168.0.0/24 dev eth0")).replace(
      "addresses: [192.168.0.11/24]}]",
      'addresses: [192.168.0.11/24]}, {name: eth1, mac: "02:00:00:00:01:11", addresses: [192.168.0.111/24]}]',
    );
    const e = explain(Lab.fromYaml(yaml, "two-nics.yaml", { datapath: "calico-ipip" }), "pod/a -> pod/c");
    expect([e.kind, e.where.split(" ")[0]]).toEqual(["tunnel-source", "n2"]);
    expect(e.verdict).toBe(
      "n2 does not recognise the tunnel's source: the outer packet (protocol 4) comes from 192.168.0.111 (n1), and " +
        'filter: -A cali-INPUT -p ipencap -m comment --comment "Drop IPIP packets from non-Calico hosts" -j DROP ' +
        "drops protocol 4 from hosts that are not known",
    );
    expect(e.change).toBe(
      "let n1 send from 192.168.0.11, which is known: the route to 192.168.0.12 on n1 must leave by the device that has 192.168.0.11",
    );
  });

  it("cloud firewall: the network between the nodes drops protocol 4", () => {
    const yaml = twoNodes().replace(
      "spec: {cidr: 192.168.0.0/24, gateway: 192.168.0.1}",
      "spec: {cidr: 192.168.0.0/24, gateway: 192.168.0.1, dropProtocols: [4]}",
    );
    const e = explain(Lab.fromYaml(yaml, "firewall.yaml", { datapath: "calico-ipip" }), "pod/a -> pod/c");
    expect([e.kind, e.change]).toEqual([
      "protocol-filtered",
      "allow IPIP (protocol 4) between the nodes in the firewall of network lan",
    ]);
  });
});

/** The text that a position points at, to the end of its value. */
const pointedAt = (yaml: string, p: SourcePosition | undefined): string | undefined =>
  p === undefined ? undefined : /^[^,}\]]*/.exec(yaml.split("\n")[p.line - 1]!.slice(p.column - 1))![0];

describe("explain, where a route and a network's filter stand in the file", () => {
  it("points a route at the pod subnet of the node that it leads to", () => {
    const yaml = twoNodes();
    const e = explain(Lab.fromYaml(yaml, "lab.yaml"), "pod/a -> pod/c");
    const routes = e.decisions.filter((d) => d.what.startsWith("route "));
    expect(routes.map((d) => [d.where, d.what.split(" ")[1], pointedAt(yaml, d.position)])).toEqual([
      ["n1", "10.0.1.0/24", "10.0.1.0/24"],
      ["n2", "10.0.0.0/24", "10.0.0.0/24"],
    ]);
  });

  it("points a route that an operator wrote at the command, in a setup or in the traffic", () => {
    const name = "calico-wrong-tunnel-route";
    const yaml = EMBEDDED.get(name)!;
    const e = explainScenario(Lab.fromYaml(yaml, name));
    expect(pointedAt(yaml, e.candidates[0]!.position)).toBe(
      "ip route add 10.122.17.64/26 via 10.122.127.128 dev tunl0",
    );
    const command = "ip route replace 10.0.1.0/24 via 192.168.0.77 dev eth0";
    const typed = twoNodes(exec(command));
    const by = explain(Lab.fromYaml(typed, "lab.yaml", { datapath: "cilium-legacy" }), "pod/a -> pod/c");
    expect([by.kind, pointedAt(typed, by.candidates[0]!.position)]).toEqual(["no-neighbour", `"${command}"`]);
  });

  it("points at the default gateway, and at the protocol in dropProtocols", () => {
    const name = "calico-cloud-firewall";
    const yaml = EMBEDDED.get(name)!;
    const lab = Lab.fromYaml(yaml, name);
    expect(pointedAt(yaml, explainScenario(lab).candidates[0]!.position)).toBe("4");
    expect(pointedAt(yaml, routeSource(lab, "10.0.1.203", "default via 10.0.1.1 dev ens32"))).toBe(
      "10.0.1.1",
    );
    // A block that no document fixes comes from the pool; a subnet of nowhere from nothing.
    expect(pointedAt(yaml, routeSource(lab, "10.0.1.203", "172.20.247.0/26 via 10.0.1.202 dev tunl0"))).toBe(
      "172.20.0.0/16",
    );
    expect(routeSource(lab, "10.0.1.203", "203.0.113.0/24 via 10.0.1.1 dev ens32")).toBeUndefined();
  });
});

describe("explain, the embedded scenarios of the published cases by name", () => {
  it.each([
    [
      "calico-wrong-tunnel-route",
      "wrong-gateway",
      "on az3-k8s-13: ip route replace 10.122.17.64/26 via 192.168.3.110 dev tunl0 onlink",
    ],
    [
      "calico-two-nics",
      "tunnel-source",
      "let az3-k8s-14 send from 192.168.3.113, which is known: the route to 192.168.0.111 on az3-k8s-14 must leave by the device that has 192.168.3.113",
    ],
    [
      "calico-cloud-firewall",
      "protocol-filtered",
      "allow IPIP (protocol 4) between the nodes in the firewall of network lan",
    ],
  ])("%s is %s, and the change is named", (name, kind, change) => {
    const e = explainScenario(Lab.fromYaml(EMBEDDED.get(name)!, name));
    expect([e.kind, e.change]).toEqual([kind, change]);
  });
});
