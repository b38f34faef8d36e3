// The datapaths without BPF on the two-node cluster, with kube-proxy in both modes: who reaches whom, and with how many
// hops left.
import { describe, expect, it } from "vitest";
import type { LinuxNode } from "../../src/cluster/linux_plane.js";
import { UdpSock } from "../../src/kernel/udp.js";
import type { Lab } from "../../src/lab.js";
import { parseIpv4 } from "../../src/net/address.js";
import { capture } from "../support/capture.js";
import { OUTSIDE, POD_C, twoNodeLab } from "../support/two_nodes.js";

const SERVICES = `---
apiVersion: v1
kind: Service
metadata: {name: remote}
spec: {clusterIP: 10.96.0.10, selector: {app: c}, ports: [{name: http, port: 80, targetPort: 8080}, {name: dns, port: 53, targetPort: 8053, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: local}
spec: {clusterIP: 10.96.0.11, selector: {app: b}, ports: [{name: http, port: 80, targetPort: 8080}, {name: dns, port: 53, targetPort: 8053, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: self}
spec: {clusterIP: 10.96.0.12, selector: {app: a}, ports: [{name: http, port: 80, targetPort: 8080}]}
`;

interface Expected {
  readonly datapath:
    | "calico-ipip"
    | "calico-vxlan"
    | "calico-ipip-crosssubnet"
    | "calico-vxlan-crosssubnet"
    | "calico-bgp"
    | "flannel-host-gw";
  /** MTU of a pod. */
  readonly mtu: number;
  /** TTL of an answer from a pod on the same node. */
  readonly sameNode: number;
  /** Route of node 1 to the block of pod c. */
  readonly route: string;
  /** Bytes that encapsulation adds to a frame between the nodes. */
  readonly overhead: number;
}

const TABLE: readonly Expected[] = [
  {
    datapath: "calico-ipip",
    mtu: 1480,
    sameNode: 63,
    route: "10.0.1.0/26 via 192.168.0.12 dev tunl0 proto bird onlink ",
    overhead: 20,
  },
  {
    datapath: "calico-vxlan",
    mtu: 1450,
    sameNode: 63,
    route: "10.0.1.0/26 via 10.0.1.0 dev vxlan.calico onlink ",
    overhead: 50,
  },
  {
    datapath: "calico-ipip-crosssubnet",
    mtu: 1480,
    sameNode: 63,
    route: "10.0.1.0/26 via 192.168.0.12 dev eth0 proto bird ",
    overhead: 0,
  },
  {
    datapath: "calico-vxlan-crosssubnet",
    mtu: 1450,
    sameNode: 63,
    route: "10.0.1.0/26 via 192.168.0.12 dev eth0 proto 80 onlink ",
    overhead: 0,
  },
  {
    datapath: "calico-bgp",
    mtu: 1500,
    sameNode: 63,
    route: "10.0.1.0/26 via 192.168.0.12 dev eth0 proto bird ",
    overhead: 0,
  },
  // Pods of one node share a bridge: no hop between them.
  {
    datapath: "flannel-host-gw",
    mtu: 1500,
    sameNode: 64,
    route: "10.0.1.0/24 via 192.168.0.12 dev eth0 ",
    overhead: 0,
  },
];

function serve(lab: Lab): void {
  for (const pod of ["pod/a", "pod/b", "pod/c"]) {
    lab.traffic.listen({ on: pod, port: 8080 });
    lab.traffic.listen({ on: pod, port: 8053, protocol: "udp" });
  }
}

describe.each(TABLE)("$datapath", (row) => {
  const lab = (kubeProxy: "iptables" | "ipvs" = "iptables"): Lab =>
    twoNodeLab({ datapath: row.datapath, kubeProxy }, SERVICES);

  it("pings pods, nodes and the outside with the hops that the path has", () => {
    const l = lab();
    const ttl = (to: string): number | undefined => l.ping({ from: "pod/a", to }).replies[0]?.ttl;
    expect({
      sameNode: ttl("pod/b"),
      crossNode: ttl("pod/c"),
      ownNode: ttl("node/n1"),
      otherNode: ttl("node/n2"),
      outside: ttl("host/outside"),
      nodeToPod: l.ping({ from: "node/n1", to: "pod/a" }).replies[0]?.ttl,
      nodeToRemotePod: l.ping({ from: "node/n1", to: "pod/c" }).replies[0]?.ttl,
    }).toEqual({
      sameNode: row.sameNode,
      crossNode: 62,
      ownNode: 64,
      otherNode: 63,
      outside: 63,
      nodeToPod: 64,
      nodeToRemotePod: 63,
    });
  });

  it("carries UDP and TCP to pods, nodes and outside, and a large transfer across nodes", () => {
    const l = lab();
    for (const to of ["pod/b", "pod/c", "node/n1", "node/n2", "host/outside"]) {
      expect(l.udp({ from: "pod/a", to, port: 5353, size: 100 }), to).toMatchObject({
        sent: 1,
        errno: 0,
        received: [{ bytes: 100 }],
        // A server on 0.0.0.0 answers from the address nearest to the client: under flannel that of cni0, which is
        // not the one that was asked.
        answers: row.datapath === "flannel-host-gw" && to === "node/n1" ? [] : [{ bytes: 100 }],
      });
      expect(l.tcp({ from: "pod/a", to, port: 7000, send: 500, receive: 3000 }), to).toEqual({
        connected: true,
        errno: 0,
        sent: 500,
        received: 3000,
        closed: true,
      });
    }
    expect(l.tcp({ from: "pod/a", to: "pod/c", port: 7000, send: 10, receive: 200_000 }).received).toBe(
      200_000,
    );
  });

  it("gives pods the MTU that the encapsulation leaves, and the node the route to the other's pods", () => {
    const l = lab();
    expect(l.endpoint("pod/a").ns!.devByName("eth0")!.mtu).toBe(row.mtu);
    expect(l.exec("node/n1", "ip route").out.split("\n")).toContain(row.route);
    l.ping({ from: "pod/a", to: "pod/c" });
    const wire = capture(l, "node/n2", "eth0");
    l.ping({ from: "pod/a", to: "pod/c" });
    expect(wire.frames.map((f) => f.length)).toEqual([98 + row.overhead, 98 + row.overhead]);
  });

  it("masquerades what leaves the cluster, and only that", () => {
    const l = lab();
    const toOutside = l.udp({ from: "pod/a", to: "host/outside", port: 9000 });
    expect(toOutside.received.map((r) => r.from)).toEqual(["192.168.0.11"]);
    expect(l.udp({ from: "pod/a", to: "pod/c", port: 9000 }).received.map((r) => r.from)).toEqual([
      "10.0.0.11",
    ]);
    expect(OUTSIDE).toBe("192.168.0.99");
  });

  it.each(["iptables", "ipvs"] as const)("reaches services from pods and nodes (kube-proxy %s)", (mode) => {
    const l = lab(mode);
    serve(l);
    for (const from of ["pod/a", "node/n1"]) {
      for (const to of ["10.96.0.10", "10.96.0.11"]) {
        expect(l.tcp({ from, to, port: 80, send: 100, receive: 3000 }), `${from} ${to}`).toEqual({
          connected: true,
          errno: 0,
          sent: 100,
          received: 3000,
          closed: true,
        });
        expect(
          l.udp({ from, to, port: 53 }).answers.map((a) => a.from),
          `${from} ${to}`,
        ).toEqual([to]);
      }
    }
    // A pod that reaches itself through its service comes back masqueraded.
    expect(l.tcp({ from: "pod/a", to: "10.96.0.12", port: 80, send: 10, receive: 20 })).toMatchObject({
      connected: true,
      received: 20,
    });
    expect(POD_C).toBe("10.0.1.21");
  });

  it("has no rule that the kernel model does not know", () => {
    for (const mode of ["iptables", "ipvs"] as const)
      for (const n of lab(mode).cluster.nodes) expect((n as LinuxNode).unmodelled).toEqual([]);
  });
});

describe("a UDP server on a flannel node, asked by a pod of that node at the node's own address", () => {
  // As Linux 6.18 does it with the same addresses: without IP_PKTINFO the source of an answer is that of the route back.
  it.each([
    ["0.0.0.0", "10.0.0.1.53 > 10.0.0.11.40000"],
    ["192.168.0.11", "192.168.0.11.53 > 10.0.0.11.40000"],
  ])("answers, bound to %s, as %s", (bound, answer) => {
    const lab = twoNodeLab({ datapath: "flannel-host-gw" });
    const server = new UdpSock(lab.node("n1").machine.ns);
    expect(server.bind(parseIpv4(bound), 53)).toBe(0);
    server.onDatagram = (d) => {
      server.sendto(d.data, d.from, d.sport);
    };
    const client = new UdpSock(lab.endpoint("pod/a").ns!);
    client.bind(0, 40000);
    const seen = capture(lab, "pod/a", "eth0");
    client.sendto(Uint8Array.of(1), parseIpv4("192.168.0.11"), 53);
    lab.advance("10ms");
    const answers = seen.lines().filter((l) => l.includes(" > 10.0.0.11.40000"));
    expect(answers.map((l) => /IPv4.*?: (\S+ > \S+?):/.exec(l)?.[1] ?? l)).toEqual([answer]);
    // An unconnected client takes an answer from anywhere.
    expect(client.received.length).toBe(1);
  });
});
