import { describe, expect, it } from "vitest";
import type { CiliumNode } from "../../../../src/cluster/cilium/plane.js";
import { SockName } from "../../../../src/kernel/cgroup.js";
import { ipv6_specific } from "../../../../src/kernel/ipv6/tcp_ipv6.js";
import { Udp6Sock } from "../../../../src/kernel/ipv6/udp6.js";
import { TcpSock } from "../../../../src/kernel/tcp.js";
import { UdpSock } from "../../../../src/kernel/udp.js";
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from "../../../../src/net/address.js";
import { dualLab } from "../../../support/dual_lab.js";

const SERVICE = `---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: c}
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10, "fd00:96::10"]
  ipFamilies: [IPv4, IPv6]
  ports: [{name: u, port: 80, targetPort: 8080, protocol: UDP}, {name: t, port: 80, targetPort: 8080}]
`;
const VIP4 = parseIpv4("10.96.0.10");
const VIP6 = parseIpv6("fd00:96::10");

describe("socket load balancing of a pod's sockets", () => {
  const lab = dualLab({ datapath: "cilium-host-routing" }, SERVICE);
  const ns = lab.endpoint("pod/a").ns!;
  const { maps } = lab.node("n1") as CiliumNode;
  const name = new SockName();
  // A connection that is refused is forgotten at once.
  lab.traffic.listen({ on: "pod/c", port: 8080 });

  it("connects to the backend, calls it the service, and forgets at close: IPv4", () => {
    const udp = new UdpSock(ns);
    const tcp = new TcpSock(ns);
    for (const sock of [udp, tcp]) expect(sock.connect(VIP4, 80)).toBe(0);
    for (const [sock, protocol] of [
      [udp, 17],
      [tcp, 6],
    ] as const) {
      expect(`${formatIpv4(sock.daddr)}:${sock.dport}`).toBe("10.0.1.21:8080");
      sock.peername(protocol, name);
      expect(`${formatIpv4(name.ip)}:${name.port}`).toBe("10.96.0.10:80");
    }
    expect(maps.cilium_lb4_reverse_sk.size).toBe(2);
    udp.close();
    tcp.abort();
    expect(maps.cilium_lb4_reverse_sk.size).toBe(0);
  });

  it("connects to the backend, calls it the service, and forgets at close: IPv6", () => {
    const udp = new Udp6Sock(ns);
    const tcp = new TcpSock(ns, ipv6_specific);
    expect([udp.connect(VIP6, 80), tcp.connect6(VIP6, 80)]).toEqual([0, 0]);
    for (const [sock, protocol] of [
      [udp, 17],
      [tcp, 6],
    ] as const) {
      expect(`${formatIpv6(sock.daddr6)} ${sock.dport}`).toBe("fd00:11::21 8080");
      sock.peername(protocol, name);
      expect(`${formatIpv6(name.ip6)} ${name.port}`).toBe("fd00:96::10 80");
    }
    expect(maps.cilium_lb6_reverse_sk.size).toBe(2);
    udp.close();
    tcp.abort();
    expect(maps.cilium_lb6_reverse_sk.size).toBe(0);
  });

  it("sends each datagram of an unconnected socket to a backend, and shows answers as the service's", () => {
    lab.traffic.listen({ on: "pod/c", port: 8080, protocol: "udp" });
    const sock = new Udp6Sock(ns);
    expect(sock.sendto(new Uint8Array(3), VIP6, 80)).toBe(0);
    lab.advance("100ms");
    expect(sock.received.map((d) => [formatIpv6(d.from), d.sport, d.data.length])).toEqual([
      ["fd00:96::10", 80, 3],
    ]);
    sock.close();
  });
});
