import { describe, expect, it } from "vitest";
import { PodpathError } from "../../../src/base/errors.js";
import { Lab } from "../../../src/lab.js";
import { loadScenario } from "../../../src/scenario/load.js";
import { dualLab } from "../../support/dual_lab.js";

const ipFamily = "IPv6" as const;

function errorOf(run: () => unknown): string {
  try {
    run();
  } catch (e) {
    if (e instanceof PodpathError) return String(e);
    throw e;
  }
  return "no error";
}

const SERVICE = `---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: c}, clusterIP: "fd00:96::10", ports: [{port: 80, targetPort: 8080}]}
`;

describe("traffic in a dual-stack cluster", () => {
  const lab = dualLab({ datapath: "cilium-host-routing" }, SERVICE);

  it("goes over IPv4 unless it is told otherwise or the address is an IPv6 one", () => {
    expect(lab.ping({ from: "pod/a", to: "pod/c" }).replies.map((r) => r.from)).toEqual(["10.0.1.21"]);
    expect(lab.ping({ from: "pod/a", to: "pod/c", ipFamily }).replies.map((r) => r.from)).toEqual([
      "fd00:11::21",
    ]);
    expect(lab.ping({ from: "pod/a", to: "fd00:11::21" }).replies.map((r) => [r.from, r.bytes])).toEqual([
      ["fd00:11::21", 64],
    ]);
  });

  it("says of datagrams who sent them, with which hop limit, and what came back", () => {
    const r = lab.udp({
      from: "pod/a",
      to: "pod/c",
      port: 9000,
      sourcePort: 5000,
      size: 10,
      count: 2,
      ipFamily,
    });
    expect(r).toEqual({
      sent: 2,
      errno: 0,
      received: [
        { from: "fd00:10::11", sourcePort: 5000, ttl: 62, bytes: 10 },
        { from: "fd00:10::11", sourcePort: 5000, ttl: 62, bytes: 10 },
      ],
      answers: [
        { from: "fd00:11::21", ttl: 62, bytes: 10 },
        { from: "fd00:11::21", ttl: 62, bytes: 10 },
      ],
    });
  });

  it("carries connections to pods, nodes and services, both ways", () => {
    for (const to of ["pod/b", "pod/c", "node/n2", "host/outside"]) {
      expect(lab.tcp({ from: "pod/a", to, port: 9001, send: 30_000, receive: 20_000, ipFamily })).toEqual({
        connected: true,
        errno: 0,
        sent: 30_000,
        received: 20_000,
        closed: true,
      });
    }
    lab.traffic.listen({ on: "pod/c", port: 8080 });
    expect(lab.tcp({ from: "pod/b", to: "service/web", port: 80, send: 5 }).connected).toBe(true);
  });

  it("reports refusals, routers' errors and hop limits", () => {
    // The service has no such port, and the node no route to its address.
    const refused = lab.tcp({ from: "pod/a", to: "fd00:96::10", port: 81 });
    expect([refused.connected, refused.errno]).toEqual([false, 101]);
    const short = lab.ping({ from: "pod/a", to: "pod/b", ttl: 1, ipFamily });
    expect([short.received, short.errors]).toEqual([
      0,
      [{ seq: 1, errno: 113, type: 3, code: 0, from: "fd00:10::1" }],
    ]);
  });

  it("refuses more than the path takes, because a host's own packets are not fragmented here", () => {
    expect(lab.udp({ from: "pod/a", to: "pod/c", port: 9000, size: 1453, ipFamily }).errno).toBe(90);
    expect(lab.ping({ from: "pod/a", to: "pod/c", size: 1453, ipFamily }).errors).toEqual([
      { seq: 1, errno: 90, type: 0, code: 0, from: "::" },
    ]);
  });

  it("names the end that lacks the family", () => {
    expect(errorOf(() => lab.ping({ from: "pod/a", to: "10.0.0.12", ipFamily }))).toBe(
      "10.0.0.12 has no IPv6 address",
    );
    expect(errorOf(() => lab.ping({ from: "pod/a", to: "fd00:10::12", ipFamily: "IPv4" }))).toBe(
      "fd00:10::12 has no IPv4 address",
    );
    expect(errorOf(() => lab.udp({ from: "pod/a", to: "service/web", port: 80, ipFamily: "IPv4" }))).toBe(
      "service/web has no IPv4 address",
    );
  });

  it("is the same bytes after a rewind", () => {
    const at = lab.position;
    const once = lab.udp({ from: "pod/a", to: "pod/c", port: 9000, ipFamily });
    lab.rewind(at);
    expect(lab.udp({ from: "pod/a", to: "pod/c", port: 9000, ipFamily })).toEqual(once);
  });
});

/** One node and a host behind another network's router, without any IPv4. */
function ipv6Only(gateway = "fd00:1::1"): string {
  return `apiVersion: podpath.dev/v1
kind: Network
metadata: {name: lan}
spec: {cidr: "fd00:1::/64", gateway: "fd00:1::1"}
---
apiVersion: podpath.dev/v1
kind: Host
metadata: {name: outside}
spec: {addresses: ["fd00:1::99/64"], gateway: "${gateway}", routes: [{to: "fd00:10::/32", via: "fd00:1::11"}]}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDRs: ["fd00:10::/64"]}
status: {addresses: [{type: InternalIP, address: "fd00:1::11"}]}
---
apiVersion: podpath.dev/v1
kind: NodeWiring
metadata: {name: n1}
spec: {gateway: "fd00:1::1"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config}
data: {enable-ipv6: "true", enable-ipv4: "false"}
---
apiVersion: v1
kind: Pod
metadata: {name: a}
spec: {nodeName: n1}
status: {podIP: "fd00:10::11"}
`;
}

describe("a cluster without IPv4", () => {
  it("needs no family named: pods, nodes and hosts reach each other, the router answers", () => {
    const lab = Lab.fromYaml(ipv6Only());
    const ends = [
      ["pod/a", "host/outside", 63],
      ["host/outside", "pod/a", 63],
      ["pod/a", "node/n1", 63],
      ["node/n1", "pod/a", 64],
      ["pod/a", "fd00:1::1", 63],
    ] as const;
    for (const [from, to, ttl] of ends) expect(lab.ping({ from, to }).replies[0]?.ttl).toBe(ttl);
    expect(lab.tcp({ from: "pod/a", to: "host/outside", port: 80, send: 10, receive: 10 }).closed).toBe(true);
  });

  it("has its mistakes told in one line with a position", () => {
    expect(errorOf(() => loadScenario(ipv6Only("fd00:1:::1"), "x.yaml"))).toBe(
      "x.yaml:9:47: spec.gateway: fd00:1:::1 is not an IP address",
    );
    expect(errorOf(() => loadScenario(ipv6Only().replace('via: "fd00:1::11"', "via: n1"), "x.yaml"))).toBe(
      "x.yaml:9:95: spec.routes[0].via: n1 is not an IP address",
    );
    expect(errorOf(() => loadScenario(ipv6Only().replace("fd00:10::/32", "fd00:10::/129"), "x.yaml"))).toBe(
      "x.yaml:9:74: spec.routes[0].to: fd00:10::/129 is not default, an IP address or a subnet like 10.0.0.0/24",
    );
    expect(errorOf(() => Lab.fromYaml(ipv6Only("fd77::1")))).toBe(
      "scenario.yaml:9:47: outside: route default via fd77::1 cannot be added: RTNETLINK answers: No route to host",
    );
  });
});
