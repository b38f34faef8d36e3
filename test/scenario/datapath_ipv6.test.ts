// Datapath facts over IPv6: pod to pod, services, masquerading, policy, hop limit, neighbour solicitation. What follows
// from the IPv4 traces is compared with them in datapath_ipv6_parity.test.ts; here are the traces themselves.
import { describe, expect, it } from "vitest";
import { Udp6Sock } from "../../src/kernel/ipv6/udp6.js";
import type { Lab, LabOptions } from "../../src/lab.js";
import { parseIpv6 } from "../../src/net/address.js";
import { DEBUG, NAMES, withoutDebug } from "../support/datapath_lab.js";
import { dualLab, inBuilds6, NODE6_1, OUTSIDE6 } from "../support/dual_lab.js";
import { text, traceOf } from "../support/event_trace.js";

const HOST_ROUTING: LabOptions = { datapath: "cilium-host-routing" };
const ipFamily = "IPv6" as const;

const ping =
  (to: string, ttl = 64) =>
  (lab: Lab) =>
    void lab.ping({ from: "pod/a", to, id: 3072, ttl, ipFamily });
const udp =
  (from: string, to: string, port = 9000) =>
  (lab: Lab) =>
    void lab.udp({ from, to, port, sourcePort: 40000, size: 8, ipFamily });

function service(backend: string, protocol = "UDP"): string {
  return `---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: ${backend}}, clusterIP: "fd00:96::10", type: NodePort, ports: [{port: 80, targetPort: 8080, protocol: ${protocol}, nodePort: 30080}]}
`;
}
const toService =
  (backend: string, from = "pod/a", to = "fd00:96::10", port = 80) =>
  (lab: Lab) => {
    lab.traffic.listen({ on: `pod/${backend}`, port: 8080, protocol: "udp" });
    udp(from, to, port)(lab);
  };

describe("IPv6", () => {
  it("goes from pod to pod on one node, hop limit 63", () => {
    const b = inBuilds6(HOST_ROUTING, "", ping("pod/b"));
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container policy(B) redirect_peer(lxc_b)
        pod/b: <eth0[63] local_in
      packet
        pod/b: local_out >eth0[64]
        n1: backlog <lxc_b[64] cil_from_container policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket drop(NO_SOCKET)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D51 Conntrack lookup 1/2: src=[::0:11]:3072 dst=[::0:12]:0
        A D52 Conntrack lookup 2/2: nexthdr=58 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D59 Successfully mapped addr.p4=[::0:12] to identity=3002
        A D53 Conntrack create: proxy-port=0 revnat=0 src-identity=3001
        A D2 Attempting local delivery for container id 102 from seclabel 3001
        B D51 Conntrack lookup 1/2: src=[::0:11]:3072 dst=[::0:12]:0
        B D52 Conntrack lookup 2/2: nexthdr=58 flags=0 dir=1 scope=2
        B D15 CT verdict: New, revnat=0
        B D53 Conntrack create: proxy-port=0 revnat=0 src-identity=3001
        B T:to-endpoint(idA,idB,B,lxc_b,new) ttl 63 from fd00:10::11
        B T:from-endpoint(idB,0,0,0,unknown) ttl 64
        B D51 Conntrack lookup 1/2: src=[::0:12]:0 dst=[::0:11]:3072
        B D52 Conntrack lookup 2/2: nexthdr=58 flags=1 dir=0 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Reply, revnat=0
        B D59 Successfully mapped addr.p4=[::0:11] to identity=3001
        B D2 Attempting local delivery for container id 101 from seclabel 3002
        A D51 Conntrack lookup 1/2: src=[::0:12]:0 dst=[::0:11]:3072
        A D52 Conntrack lookup 2/2: nexthdr=58 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from fd00:10::12
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
  });

  it("goes from node to node, hop limit 62", () => {
    const b = inBuilds6(HOST_ROUTING, "", ping("pod/c"));
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[62] local_in
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n1: backlog <eth0[63] cil_from_netdev policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[62] local_in socket drop(NO_SOCKET)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D51 Conntrack lookup 1/2: src=[::0:11]:3072 dst=[::0:21]:0
        A D52 Conntrack lookup 2/2: nexthdr=58 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D59 Successfully mapped addr.p4=[::0:21] to identity=3003
        A D53 Conntrack create: proxy-port=0 revnat=0 src-identity=3001
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
        H1 D59 Successfully mapped addr.p4=[::0:21] to identity=3003
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        H1 D2 Attempting local delivery for container id 101 from seclabel 3003
        A D51 Conntrack lookup 1/2: src=[::0:21]:0 dst=[::0:11]:3072
        A D52 Conntrack lookup 2/2: nexthdr=58 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from fd00:11::21
      events n2
        H2 D59 Successfully mapped addr.p4=[::0:11] to identity=3001
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        H2 D2 Attempting local delivery for container id 103 from seclabel 3001
        C D51 Conntrack lookup 1/2: src=[::0:11]:3072 dst=[::0:21]:0
        C D52 Conntrack lookup 2/2: nexthdr=58 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D53 Conntrack create: proxy-port=0 revnat=0 src-identity=3001
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 62 from fd00:10::11
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D51 Conntrack lookup 1/2: src=[::0:21]:0 dst=[::0:11]:3072
        C D52 Conntrack lookup 2/2: nexthdr=58 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D59 Successfully mapped addr.p4=[::0:11] to identity=3001
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from fd00:11::21
      events n2
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 62 from fd00:10::11
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
    `,
    );
  });

  it("goes from node to node in an IPv4 tunnel, hop limit 63", () => {
    const b = inBuilds6({ datapath: "cilium-vxlan" }, "", udp("pod/a", "pod/c"));
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect(cilium_vxlan) >cilium_vxlan[64] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_vxlan[64] cil_from_overlay policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[63] local_in socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect(cilium_vxlan) >cilium_vxlan[64] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_vxlan[64] cil_from_overlay policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D51 Conntrack lookup 1/2: src=[::0:11]:40000 dst=[::0:21]:9000
        A D52 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D59 Successfully mapped addr.p4=[::0:21] to identity=3003
        A D53 Conntrack create: proxy-port=0 revnat=0 src-identity=3001
        A D3 Encapsulating to node 201369792 (0xc00a8c0) from seclabel 3001
        A T:to-overlay(idA,idC,0,cilium_vxlan,new) ttl 64
        0 T:to-overlay(idA,0,0,cilium_vxlan,unknown) ttl 64
        H1 T:to-network(1,0,0,eth0,unknown) ttl 64 vxlan
        H1 D58 Successfully mapped addr=192.168.0.12 to identity=6
        H1 T:from-network(6,0,0,eth0,unknown) ttl 64 vxlan
        0 D16 Tunnel decap: id=3003 flowlabel=0
        0 T:from-overlay(idC,0,0,cilium_vxlan,unknown) ttl 64
        0 D2 Attempting local delivery for container id 101 from seclabel 3003
        A D51 Conntrack lookup 1/2: src=[::0:21]:9000 dst=[::0:11]:40000
        A D52 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 63 from fd00:11::21
        SOCK pre-rev fd00:11::21:9000
      events n2
        H2 D58 Successfully mapped addr=192.168.0.11 to identity=6
        H2 T:from-network(6,0,0,eth0,unknown) ttl 64 vxlan
        0 D16 Tunnel decap: id=3001 flowlabel=0
        0 T:from-overlay(idA,0,0,cilium_vxlan,unknown) ttl 64
        0 D2 Attempting local delivery for container id 103 from seclabel 3001
        C D51 Conntrack lookup 1/2: src=[::0:11]:40000 dst=[::0:21]:9000
        C D52 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D53 Conntrack create: proxy-port=0 revnat=0 src-identity=3001
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 63 from fd00:10::11
        SOCK pre-rev fd00:10::11:40000
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D51 Conntrack lookup 1/2: src=[::0:21]:9000 dst=[::0:11]:40000
        C D52 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D59 Successfully mapped addr.p4=[::0:11] to identity=3001
        C D3 Encapsulating to node 184592576 (0xb00a8c0) from seclabel 3003
        C T:to-overlay(idC,idA,0,cilium_vxlan,reply) ttl 64
        0 T:to-overlay(idC,0,0,cilium_vxlan,unknown) ttl 64
        H2 T:to-network(1,0,0,eth0,unknown) ttl 64 vxlan
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-overlay(idA,idC,0,cilium_vxlan,new) ttl 64
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 63 from fd00:11::21
        SOCK pre-rev fd00:11::21:9000
      events n2
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 63 from fd00:10::11
        SOCK pre-rev fd00:10::11:40000
        C T:to-overlay(idC,idA,0,cilium_vxlan,reply) ttl 64
    `,
    );
  });

  it("goes from node to node through both kernels with legacy host routing, hop limit 61", () => {
    const b = inBuilds6({ datapath: "cilium-legacy" }, "", udp("pod/a", "pod/c"));
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container ip_forward >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev ip_forward >cilium_host[62] cil_from_host policy(C) redirect(lxc_c) >lxc_c[61]
        pod/c: backlog <eth0[61] local_in socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container ip_forward >eth0[63] cil_to_netdev
        n1: backlog <eth0[63] cil_from_netdev ip_forward >cilium_host[62] cil_from_host policy(A) redirect(lxc_a) >lxc_a[61]
        pod/a: backlog <eth0[61] local_in socket
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D51 Conntrack lookup 1/2: src=[::0:11]:40000 dst=[::0:21]:9000
        A D52 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D59 Successfully mapped addr.p4=[::0:21] to identity=3003
        A D53 Conntrack create: proxy-port=0 revnat=0 src-identity=3001
        A T:to-stack(idA,idC,0,0,new) ttl 64
        A C4(0) ttl 64
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
        H1 D59 Successfully mapped addr.p4=[::0:21] to identity=3003
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        H1 D61 Inheriting identity=10 from stack
        H1 D59 Successfully mapped addr.p4=[::0:21] to identity=3003
        H1 T:from-host(idC,0,0,eth0,unknown) ttl 62
        H1 D2 Attempting local delivery for container id 101 from seclabel 3003
        A D51 Conntrack lookup 1/2: src=[::0:21]:9000 dst=[::0:11]:40000
        A D52 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 61 from fd00:11::21
        SOCK pre-rev fd00:11::21:9000
      events n2
        H2 D59 Successfully mapped addr.p4=[::0:11] to identity=3001
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        H2 D61 Inheriting identity=10 from stack
        H2 D59 Successfully mapped addr.p4=[::0:11] to identity=3001
        H2 T:from-host(idA,0,0,eth0,unknown) ttl 62
        H2 D2 Attempting local delivery for container id 103 from seclabel 3001
        C D51 Conntrack lookup 1/2: src=[::0:11]:40000 dst=[::0:21]:9000
        C D52 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D53 Conntrack create: proxy-port=0 revnat=0 src-identity=3001
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 61 from fd00:10::11
        SOCK pre-rev fd00:10::11:40000
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D51 Conntrack lookup 1/2: src=[::0:21]:9000 dst=[::0:11]:40000
        C D52 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D59 Successfully mapped addr.p4=[::0:11] to identity=3001
        C T:to-stack(idC,idA,0,0,reply) ttl 64
        C C4(0) ttl 64
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
  });

  it("(m) has its neighbour solicitations for the router answered by the program", () => {
    const lab = dualLab({ ...HOST_ROUTING, options: DEBUG }, "", false);
    expect(traceOf(lab, NAMES, () => ping("pod/b")(lab)).text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container policy(B) redirect_peer(lxc_b)
        pod/b: <eth0[63] local_in
      packet
        pod/a: >eth0[255]
        n1: backlog <lxc_a[255] cil_from_container redirect(lxc_a) >lxc_a[255]
        pod/a: backlog <eth0[255] local_in
      packet
        pod/b: local_out >eth0[64]
        n1: backlog <lxc_b[64] cil_from_container policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket drop(NO_SOCKET)
      packet
        pod/b: >eth0[255]
        n1: backlog <lxc_b[255] cil_from_container redirect(lxc_b) >lxc_b[255]
        pod/b: backlog <eth0[255] local_in
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 255
        A D11 Handling ICMPv6 type=135
        A D13 ICMPv6 neighbour soliciation for address 0:1000000
        A C4(5) ttl 255
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D51 Conntrack lookup 1/2: src=[::0:11]:3072 dst=[::0:12]:0
        A D52 Conntrack lookup 2/2: nexthdr=58 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D59 Successfully mapped addr.p4=[::0:12] to identity=3002
        A D53 Conntrack create: proxy-port=0 revnat=0 src-identity=3001
        A D2 Attempting local delivery for container id 102 from seclabel 3001
        B D51 Conntrack lookup 1/2: src=[::0:11]:3072 dst=[::0:12]:0
        B D52 Conntrack lookup 2/2: nexthdr=58 flags=0 dir=1 scope=2
        B D15 CT verdict: New, revnat=0
        B D53 Conntrack create: proxy-port=0 revnat=0 src-identity=3001
        B T:to-endpoint(idA,idB,B,lxc_b,new) ttl 63 from fd00:10::11
        B T:from-endpoint(idB,0,0,0,unknown) ttl 255
        B D11 Handling ICMPv6 type=135
        B D13 ICMPv6 neighbour soliciation for address 0:1000000
        B C4(6) ttl 255
        B T:from-endpoint(idB,0,0,0,unknown) ttl 64
        B D51 Conntrack lookup 1/2: src=[::0:12]:0 dst=[::0:11]:3072
        B D52 Conntrack lookup 2/2: nexthdr=58 flags=1 dir=0 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Reply, revnat=0
        B D59 Successfully mapped addr.p4=[::0:11] to identity=3001
        B D2 Attempting local delivery for container id 101 from seclabel 3002
        A D51 Conntrack lookup 1/2: src=[::0:12]:0 dst=[::0:11]:3072
        A D52 Conntrack lookup 2/2: nexthdr=58 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from fd00:10::12
    `,
    );
  });

  it("(m) passes the nodes' own neighbour solicitations to their kernels", () => {
    const lab = dualLab({ ...HOST_ROUTING, options: DEBUG }, "", false);
    expect(traceOf(lab, NAMES, () => udp("node/n1", "node/n2")(lab)).text).toBe(
      text`
      packet
        n1: local_out >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev local_in socket
      packet
        n1: >eth0[255] cil_to_netdev
        n2: backlog <eth0[255] cil_from_netdev local_in
        outside: backlog <eth0[255] drop(NOT_SPECIFIED)
        gateway-lan: backlog <eth0[255] drop(IPV6DISABLED)
      packet
        n2: >eth0[255] cil_to_netdev
        n1: backlog <eth0[255] cil_from_netdev local_in
      packet
        n2: local_out >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev local_in socket
      events n1
        H1 T:to-network(1,0,0,eth0,unknown) ttl 255 from fd00:1::11
        H1 D59 Successfully mapped addr.p4=[::0:12] to identity=6
        H1 T:from-network(6,0,0,eth0,unknown) ttl 255
        H1 D51 Conntrack lookup 1/2: src=[::0:12]:9000 dst=[::0:11]:40000
        H1 D52 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        H1 D15 CT verdict: New, revnat=0
        H1 D53 Conntrack create: proxy-port=0 revnat=0 src-identity=0
        H1 T:to-network(1,0,0,eth0,new) ttl 64 from fd00:1::11
        H1 D59 Successfully mapped addr.p4=[::0:12] to identity=6
        H1 T:from-network(6,0,0,eth0,unknown) ttl 64
        H1 D51 Conntrack lookup 1/2: src=[::0:12]:9000 dst=[::0:11]:40000
        H1 D52 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H1 D8 CT entry found lifetime=L, revnat=0
        H1 D15 CT verdict: Reply, revnat=0
        H1 D51 Conntrack lookup 1/2: src=[::0:12]:9000 dst=[::0:11]:40000
        H1 D52 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H1 D15 CT verdict: New, revnat=0
        SOCK pre-rev fd00:1::12:9000
      events n2
        H2 D59 Successfully mapped addr.p4=[::0:11] to identity=6
        H2 T:from-network(6,0,0,eth0,unknown) ttl 255
        H2 D13 ICMPv6 neighbour soliciation for address 0:12000000
        H2 T:to-network(1,0,0,eth0,unknown) ttl 255 from fd00:1::12
        H2 D59 Successfully mapped addr.p4=[::0:11] to identity=6
        H2 T:from-network(6,0,0,eth0,unknown) ttl 64
        SOCK pre-rev fd00:1::11:40000
        H2 T:to-network(1,0,0,eth0,unknown) ttl 64 from fd00:1::12
    `,
    );
  });

  it("(k) ends with time exceeded from the router at hop limit 1", () => {
    const b = inBuilds6(HOST_ROUTING, "", ping("pod/b", 1));
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[1]
        n1: backlog <lxc_a[1] cil_from_container redirect(lxc_a) >lxc_a[1]
        pod/a: backlog <eth0[1] local_in socket
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 1
        A D51 Conntrack lookup 1/2: src=[::0:11]:3072 dst=[::0:12]:0
        A D52 Conntrack lookup 2/2: nexthdr=58 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D59 Successfully mapped addr.p4=[::0:12] to identity=3002
        A D53 Conntrack create: proxy-port=0 revnat=0 src-identity=3001
        A D2 Attempting local delivery for container id 102 from seclabel 3001
        A D14 Sending ICMPv6 time exceeded
        A C4(5) ttl 1
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
  });

  it("(k) is told of a path that takes less, by the kernel with legacy host routing", () => {
    const lab = dualLab({ datapath: "cilium-legacy", options: DEBUG });
    lab.exec("node/n1", "ip link set eth0 mtu 1400");
    const big = (): void =>
      void lab.ping({ from: "pod/a", to: "pod/c", id: 3072, size: 1400, dontFragment: true, ipFamily });
    expect(traceOf(lab, NAMES, big).text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container icmp_error(2,0) drop(PKT_TOO_BIG)
      packet
        n1: local_out >cilium_host[64] cil_from_host policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in socket
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D51 Conntrack lookup 1/2: src=[::0:11]:3072 dst=[::0:21]:0
        A D52 Conntrack lookup 2/2: nexthdr=58 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D59 Successfully mapped addr.p4=[::0:21] to identity=3003
        A D53 Conntrack create: proxy-port=0 revnat=0 src-identity=3001
        A T:to-stack(idA,idC,0,0,new) ttl 64
        A C4(0) ttl 64
        H1 D61 Inheriting identity=1 from stack
        H1 D59 Successfully mapped addr.p4=[::0:1] to identity=1
        H1 T:from-host(1,0,0,0,unknown) ttl 64
        H1 D2 Attempting local delivery for container id 101 from seclabel 1
        A D51 Conntrack lookup 1/2: src=[::0:1]:0 dst=[::0:11]:0
        A D52 Conntrack lookup 2/2: nexthdr=58 flags=2 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Established, revnat=0
        A D55 Matched L4 policy; creating conntrack src=1 dst=3001 dport=0 proto=58
        A T:to-endpoint(1,idA,A,lxc_a,established) ttl 63 from fd00:10::1
    `,
    );
  });
});

describe("IPv6 services and masquerading", () => {
  it("(f) reaches a ClusterIP at the socket", () => {
    const b = inBuilds6(HOST_ROUTING, service("c"), toService("c"));
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[62] local_in socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n1: backlog <eth0[63] cil_from_netdev policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[62] local_in socket
      events n1
        SOCK pre-fwd fd00:96::10:80
        SOCK post-fwd fd00:11::21:8080
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D51 Conntrack lookup 1/2: src=[::0:11]:40000 dst=[::0:21]:8080
        A D52 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D59 Successfully mapped addr.p4=[::0:21] to identity=3003
        A D53 Conntrack create: proxy-port=0 revnat=0 src-identity=3001
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
        H1 D59 Successfully mapped addr.p4=[::0:21] to identity=3003
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        H1 D2 Attempting local delivery for container id 101 from seclabel 3003
        A D51 Conntrack lookup 1/2: src=[::0:21]:8080 dst=[::0:11]:40000
        A D52 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from fd00:11::21
        SOCK pre-rev fd00:11::21:8080
        SOCK post-rev fd00:96::10:80
      events n2
        H2 D59 Successfully mapped addr.p4=[::0:11] to identity=3001
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        H2 D2 Attempting local delivery for container id 103 from seclabel 3001
        C D51 Conntrack lookup 1/2: src=[::0:11]:40000 dst=[::0:21]:8080
        C D52 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D53 Conntrack create: proxy-port=0 revnat=0 src-identity=3001
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 62 from fd00:10::11
        SOCK pre-rev fd00:10::11:40000
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D51 Conntrack lookup 1/2: src=[::0:21]:8080 dst=[::0:11]:40000
        C D52 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D59 Successfully mapped addr.p4=[::0:11] to identity=3001
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        SOCK pre-fwd fd00:96::10:80
        SOCK post-fwd fd00:11::21:8080
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from fd00:11::21
        SOCK pre-rev fd00:11::21:8080
        SOCK post-rev fd00:96::10:80
      events n2
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 62 from fd00:10::11
        SOCK pre-rev fd00:10::11:40000
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
    `,
    );
  });

  it("(f) gives a pod that is its own backend the link-local loopback address, whose MAC is the pod's own", () => {
    const b = inBuilds6(
      { ...HOST_ROUTING, options: { "bpf-lb-sock-hostns-only": "true" } },
      service("a", "TCP"),
      (lab) => {
        lab.traffic.listen({ on: "pod/a", port: 8080 });
        lab.tcp({ from: "pod/a", to: "fd00:96::10", port: 80, sourcePort: 20000, close: "none" });
      },
    );
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket
      packet
        pod/a: >eth0[255]
        n1: backlog <lxc_a[255] cil_from_container redirect(lxc_a) >lxc_a[255]
        pod/a: backlog <eth0[255] local_in
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D51 Conntrack lookup 1/2: src=[::0:11]:20000 dst=[::0:10]:80
        A D52 Conntrack lookup 2/2: nexthdr=6 flags=4 dir=2 scope=1
        A D15 CT verdict: New, revnat=1
        A D24 Service backend slot lookup: slot=1, dport=80
        A D53 Conntrack create: proxy-port=0 revnat=1 src-identity=0
        A D67 Loopback reverse SNAT from.p4=11000000 to.p4=1000000
        A D51 Conntrack lookup 1/2: src=[::0:11]:8080 dst=[::0:1]:20000
        A D52 Conntrack lookup 2/2: nexthdr=6 flags=0 dir=0 scope=0
        A D15 CT verdict: New, revnat=0
        A D59 Successfully mapped addr.p4=[::0:11] to identity=3001
        A D53 Conntrack create: proxy-port=0 revnat=1 src-identity=3001
        A D2 Attempting local delivery for container id 101 from seclabel 3001
        A D51 Conntrack lookup 1/2: src=[::0:1]:20000 dst=[::0:11]:8080
        A D52 Conntrack lookup 2/2: nexthdr=6 flags=0 dir=1 scope=2
        A D15 CT verdict: New, revnat=0
        A D53 Conntrack create: proxy-port=0 revnat=0 src-identity=3001
        A T:to-endpoint(idA,idA,A,lxc_a,new) ttl 63 from fe80::1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 255
        A D11 Handling ICMPv6 type=135
        A D13 ICMPv6 neighbour soliciation for address 0:1000000
        A C4(5) ttl 255
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D51 Conntrack lookup 1/2: src=[::0:11]:8080 dst=[::0:1]:20000
        A D52 Conntrack lookup 2/2: nexthdr=6 flags=1 dir=0 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A D59 Successfully mapped addr.p4=[::0:1] to identity=10
        A D2 Attempting local delivery for container id 101 from seclabel 3001
        A D51 Conntrack lookup 1/2: src=[::0:11]:8080 dst=[::0:1]:20000
        A D52 Conntrack lookup 2/2: nexthdr=6 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=1
        A D15 CT verdict: Reply, revnat=1
        A D28 Reverse NAT lookup, index=1
        A D29 Performing reverse NAT, address.p4=10000000 port=80
        A D68 16777216 285212672 0
        A T:to-endpoint(idA,idA,A,lxc_a,reply) ttl 63 from fd00:10::11
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D51 Conntrack lookup 1/2: src=[::0:11]:20000 dst=[::0:10]:80
        A D52 Conntrack lookup 2/2: nexthdr=6 flags=4 dir=2 scope=1
        A D8 CT entry found lifetime=L, revnat=1
        A D15 CT verdict: Reply, revnat=1
        A D67 Loopback reverse SNAT from.p4=11000000 to.p4=1000000
        A D51 Conntrack lookup 1/2: src=[::0:11]:8080 dst=[::0:1]:20000
        A D52 Conntrack lookup 2/2: nexthdr=6 flags=0 dir=0 scope=0
        A D8 CT entry found lifetime=L, revnat=1
        A D15 CT verdict: Established, revnat=1
        A D59 Successfully mapped addr.p4=[::0:11] to identity=3001
        A D2 Attempting local delivery for container id 101 from seclabel 3001
        A D51 Conntrack lookup 1/2: src=[::0:1]:20000 dst=[::0:11]:8080
        A D52 Conntrack lookup 2/2: nexthdr=6 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Established, revnat=0
        A T:to-endpoint(idA,idA,A,lxc_a,established) ttl 63 from fe80::1
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
  });

  it("(g) is masqueraded with the node's address", () => {
    const b = inBuilds6(HOST_ROUTING, "", udp("pod/a", OUTSIDE6));
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        outside: backlog <eth0[63] local_in socket
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D51 Conntrack lookup 1/2: src=[::0:11]:40000 dst=[::0:99]:9000
        A D52 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D59 Successfully mapped addr.p4=[::0:99] to identity=10
        A D53 Conntrack create: proxy-port=0 revnat=0 src-identity=3001
        A T:to-network(idA,10,0,eth0,new) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63 from fd00:10::11
        H1 D59 Successfully mapped addr.p4=[::0:99] to identity=10
        H1 T:from-network(10,0,0,eth0,unknown) ttl 64
        H1 D51 Conntrack lookup 1/2: src=[::0:99]:9000 dst=[::0:11]:40000
        H1 D52 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H1 D15 CT verdict: New, revnat=0
        H1 D2 Attempting local delivery for container id 101 from seclabel 10
        A D51 Conntrack lookup 1/2: src=[::0:99]:9000 dst=[::0:11]:40000
        A D52 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(10,idA,A,lxc_a,reply) ttl 63 from fd00:1::99
        SOCK pre-rev fd00:1::99:9000
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-network(idA,10,0,eth0,new) ttl 63
        A T:to-endpoint(10,idA,A,lxc_a,reply) ttl 63 from fd00:1::99
        SOCK pre-rev fd00:1::99:9000
    `,
    );
  });

  it("(h) goes from outside by a node port to a backend on another node, and back through the first", () => {
    const b = inBuilds6(HOST_ROUTING, service("c"), toService("c", "host/outside", NODE6_1, 30080));
    expect(b.debug.text).toBe(
      text`
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[62] local_in socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n1: backlog <eth0[63] cil_from_netdev redirect_neigh(eth0) >eth0[62] cil_to_netdev
        outside: backlog <eth0[62] local_in socket
      events n1
        H1 D59 Successfully mapped addr.p4=[::0:99] to identity=10
        H1 T:from-network(10,0,0,eth0,unknown) ttl 64
        H1 D51 Conntrack lookup 1/2: src=[::0:99]:40000 dst=[::0:11]:30080
        H1 D52 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        H1 D15 CT verdict: New, revnat=3
        H1 D24 Service backend slot lookup: slot=1, dport=30080
        H1 D53 Conntrack create: proxy-port=0 revnat=3 src-identity=0
        H1 D51 Conntrack lookup 1/2: src=[::0:21]:8080 dst=[::0:99]:40000
        H1 D52 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        H1 D15 CT verdict: New, revnat=3
        H1 D53 Conntrack create: proxy-port=0 revnat=3 src-identity=10
        H1 T:to-network(0,0,0,eth0,unknown) ttl 63
        H1 D59 Successfully mapped addr.p4=[::0:21] to identity=3003
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        H1 D51 Conntrack lookup 1/2: src=[::0:21]:8080 dst=[::0:99]:40000
        H1 D52 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H1 D8 CT entry found lifetime=L, revnat=3
        H1 D15 CT verdict: Reply, revnat=3
        H1 D28 Reverse NAT lookup, index=3
        H1 D29 Performing reverse NAT, address.p4=11000000 port=30080
        H1 T:to-network(0,0,0,eth0,unknown) ttl 62
      events n2
        H2 D59 Successfully mapped addr.p4=[::0:11] to identity=6
        H2 T:from-network(6,0,0,eth0,unknown) ttl 63
        H2 D2 Attempting local delivery for container id 103 from seclabel 6
        C D51 Conntrack lookup 1/2: src=[::0:11]:40000 dst=[::0:21]:8080
        C D52 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D53 Conntrack create: proxy-port=0 revnat=0 src-identity=6
        C T:to-endpoint(6,idC,C,lxc_c,new) ttl 62 from fd00:1::11
        SOCK pre-rev fd00:1::11:40000
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D51 Conntrack lookup 1/2: src=[::0:21]:8080 dst=[::0:11]:40000
        C D52 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D59 Successfully mapped addr.p4=[::0:11] to identity=6
        C T:to-network(idC,6,0,eth0,reply) ttl 63
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n2
        C T:to-endpoint(6,idC,C,lxc_c,new) ttl 62 from fd00:1::11
        SOCK pre-rev fd00:1::11:40000
        C T:to-network(idC,6,0,eth0,reply) ttl 63
    `,
    );
  });

  it("(h) goes by DSR with the service in a destination option, the hop limit left alone on the first node", () => {
    const b = inBuilds6(
      { ...HOST_ROUTING, options: { "bpf-lb-mode": "dsr" } },
      service("c"),
      toService("c", "host/outside", NODE6_1, 30080),
    );
    expect(b.debug.text).toBe(
      text`
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev redirect_neigh(eth0) >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[63] local_in socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        outside: backlog <eth0[63] local_in socket
      events n1
        H1 D59 Successfully mapped addr.p4=[::0:99] to identity=10
        H1 T:from-network(10,0,0,eth0,unknown) ttl 64
        H1 D51 Conntrack lookup 1/2: src=[::0:99]:40000 dst=[::0:11]:30080
        H1 D52 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        H1 D15 CT verdict: New, revnat=3
        H1 D24 Service backend slot lookup: slot=1, dport=30080
        H1 D53 Conntrack create: proxy-port=0 revnat=3 src-identity=0
        H1 T:to-network(0,0,0,eth0,unknown) ttl 64
      events n2
        H2 D59 Successfully mapped addr.p4=[::0:99] to identity=10
        H2 T:from-network(10,0,0,eth0,unknown) ttl 64
        H2 D51 Conntrack lookup 1/2: src=[::0:21]:8080 dst=[::0:99]:40000
        H2 D52 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        H2 D15 CT verdict: New, revnat=0
        H2 D53 Conntrack create: proxy-port=0 revnat=0 src-identity=10
        H2 D2 Attempting local delivery for container id 103 from seclabel 10
        C D51 Conntrack lookup 1/2: src=[::0:99]:40000 dst=[::0:21]:8080
        C D52 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D53 Conntrack create: proxy-port=0 revnat=0 src-identity=10
        C T:to-endpoint(10,idC,C,lxc_c,new) ttl 63 from fd00:1::99
        SOCK pre-rev fd00:1::99:40000
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D51 Conntrack lookup 1/2: src=[::0:21]:8080 dst=[::0:99]:40000
        C D52 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D59 Successfully mapped addr.p4=[::0:99] to identity=10
        C T:to-network(idC,10,0,eth0,reply) ttl 63
        H2 D51 Conntrack lookup 1/2: src=[::0:21]:8080 dst=[::0:99]:40000
        H2 D52 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H2 D8 CT entry found lifetime=L, revnat=0
        H2 D15 CT verdict: Reply, revnat=0
        H2 D29 Performing reverse NAT, address.p4=11000000 port=30080
        H2 T:to-network(idC,0,0,eth0,reply) ttl 63
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n2
        C T:to-endpoint(10,idC,C,lxc_c,new) ttl 63 from fd00:1::99
        SOCK pre-rev fd00:1::99:40000
        C T:to-network(idC,10,0,eth0,reply) ttl 63
        H2 T:to-network(idC,0,0,eth0,reply) ttl 63
    `,
    );
  });

  it("(h) answers a datagram that does not fit with that option with packet too big", () => {
    const options = { "bpf-lb-mode": "dsr", "enable-pmtu-discovery": "true" };
    const b = inBuilds6({ ...HOST_ROUTING, options }, service("c"), (lab) => {
      const sock = new Udp6Sock(lab.endpoint("host/outside").ns!);
      sock.recverr = true;
      sock.bind(40000);
      sock.connect(parseIpv6(NODE6_1), 30080);
      sock.sendto(new Uint8Array(1452));
      lab.advance("100ms");
      // The option's header has 24 bytes.
      expect(sock.errqueue.map((e) => [e.errno, e.type, e.code, e.info])).toEqual([[90, 2, 0, 1476]]);
      sock.close();
    });
    expect(b.debug.text).toBe(
      text`
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev redirect(eth0) >eth0[64] cil_to_netdev
        outside: backlog <eth0[64] local_in
      events n1
        H1 D59 Successfully mapped addr.p4=[::0:99] to identity=10
        H1 T:from-network(10,0,0,eth0,unknown) ttl 64
        H1 D51 Conntrack lookup 1/2: src=[::0:99]:40000 dst=[::0:11]:30080
        H1 D52 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        H1 D15 CT verdict: New, revnat=3
        H1 D24 Service backend slot lookup: slot=1, dport=30080
        H1 D53 Conntrack create: proxy-port=0 revnat=3 src-identity=0
        H1 T:to-network(0,0,0,eth0,unknown) ttl 64
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe("");
  });
});
