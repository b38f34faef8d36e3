// Datapath facts, scenario (h): what services say of who may come and by which way: traffic policies, source ranges,
// direct server return in its forms. Scenario (j): policy-deny-response.
import { describe, expect, it } from "vitest";
import { Step } from "../../src/bpf/steps.js";
import type { CiliumNode } from "../../src/cluster/cilium/plane.js";
import { ipip_fallback } from "../../src/kernel/ipip.js";
import { addr_add, link_up } from "../../src/kernel/rtnetlink.js";
import { UdpSock } from "../../src/kernel/udp.js";
import type { Lab, LabOptions } from "../../src/lab.js";
import { parseIpv4 } from "../../src/net/address.js";
import { DEBUG, datapathLab, inBuilds, MEDIUM, NAMES, withoutDebug } from "../support/datapath_lab.js";
import { type Trace, text, traceOf } from "../support/event_trace.js";
import { NODE_1, NODE_2, OUTSIDE } from "../support/two_nodes.js";

const VIP = "192.168.0.200";

/** A service of UDP port 80, node port 30080, and of TCP port 80, node port 30081; `spec` adds to it. */
function service(backend: string, spec = ""): string {
  return `---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: ${backend}}
  clusterIP: 10.96.0.10
  ports:
    - {name: u, port: 80, targetPort: 8080, protocol: UDP, nodePort: 30080}
    - {name: t, port: 80, targetPort: 8080, protocol: TCP, nodePort: 30081}
  type: LoadBalancer
${spec}
status: {loadBalancer: {ingress: [{ip: ${VIP}}]}}
`;
}

function options(more: Record<string, string> = {}): LabOptions {
  return { datapath: "cilium-host-routing", options: more };
}
/** DSR wants one tunnel device at most and no SNAT; the rest is as in the default cluster. */
const dsr = (dispatch: string, mode = "dsr"): LabOptions =>
  options({ "bpf-lb-mode": mode, "bpf-lb-dsr-dispatch": dispatch });

/** One datagram to a port; the servers answer. */
const udp =
  (from: string, to: string, port: number) =>
  (lab: Lab): void => {
    for (const pod of ["a", "b", "c"]) lab.traffic.listen({ on: `pod/${pod}`, port: 8080, protocol: "udp" });
    lab.udp({ from, to, port, sourcePort: 40000, size: 8 });
  };
/** One datagram that nobody answers. */
const datagram =
  (from: string, to: string, port: number, size = 8) =>
  (lab: Lab): void => {
    const sock = new UdpSock(lab.endpoint(from).ns!);
    sock.bind(0, 40000);
    if (sock.connect(parseIpv4(to), port) === 0) sock.sendto(new Uint8Array(size));
    lab.advance("100ms");
    sock.close();
  };
/** A connection's handshake, and a reset. */
const handshake =
  (from: string, to: string, port: number) =>
  (lab: Lab): void => {
    for (const pod of ["a", "b", "c"]) lab.traffic.listen({ on: `pod/${pod}`, port: 8080, protocol: "tcp" });
    lab.tcp({ from, to, port, sourcePort: 40000, close: "rst" });
  };

describe("(h) externalTrafficPolicy: Local", () => {
  const local = "  externalTrafficPolicy: Local";

  it("serves from the node that has a backend, whose pod sees the client", () => {
    const b = inBuilds(options(), service("a", local), udp("host/outside", NODE_1, 30080));
    expect(b.debug.text).toBe(
      text`
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        outside: backlog <eth0[63] local_in socket
      events n1
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:40000 dst=192.168.0.11:30080
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        H1 D15 CT verdict: New, revnat=4
        H1 D32 Service backend slot lookup: slot=1, dport=30080
        H1 D50 Conntrack create: proxy-port=0 revnat=4 src-identity=0 lb=0.0.0.0
        H1 D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=192.168.0.99:40000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        H1 D15 CT verdict: New, revnat=4
        H1 D50 Conntrack create: proxy-port=0 revnat=4 src-identity=2 lb=0.0.0.0
        H1 D2 Attempting local delivery for container id 101 from seclabel 2
        A D48 Conntrack lookup 1/2: src=192.168.0.99:40000 dst=10.0.0.11:8080
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D15 CT verdict: New, revnat=0
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=2 lb=0.0.0.0
        A T:to-endpoint(2,idA,A,lxc_a,new) ttl 63 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:40000
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=192.168.0.99:40000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A D58 Successfully mapped addr=192.168.0.99 to identity=2
        A T:to-network(idA,2,0,eth0,reply) ttl 63
        H1 D36 Reverse NAT lookup, index=4
        H1 D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=192.168.0.99:40000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H1 D8 CT entry found lifetime=L, revnat=4
        H1 D15 CT verdict: Reply, revnat=4
        H1 D37 Performing reverse NAT, address=192.168.0.11 port=30080
        H1 T:to-network(idA,0,0,eth0,reply) ttl 63
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-endpoint(2,idA,A,lxc_a,new) ttl 63 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:40000
        A T:to-network(idA,2,0,eth0,reply) ttl 63
        H1 T:to-network(idA,0,0,eth0,reply) ttl 63
    `,
    );
  });

  it("is refused with port unreachable by a node without one", () => {
    const b = inBuilds(options(), service("a", local), datagram("host/outside", NODE_2, 30080));
    expect(b.debug.text).toBe(
      text`
      packet
        outside: local_out >eth0[64]
        n2: backlog <eth0[64] cil_from_netdev redirect(eth0) >eth0[64] cil_to_netdev
        outside: backlog <eth0[64] local_in
      events n2
        H2 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H2 T:from-network(2,0,0,eth0,unknown) ttl 64
        H2 D48 Conntrack lookup 1/2: src=192.168.0.99:40000 dst=192.168.0.12:30080
        H2 D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        H2 D15 CT verdict: New, revnat=4
        H2 C4(2) ttl 64
        H2 T:to-network(0,0,0,eth0,unknown) ttl 64 from 192.168.0.12
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe("");
  });

  it("does not keep pods of that node from the service's ClusterIP", () => {
    const b = inBuilds(
      options({ "bpf-lb-sock-hostns-only": "true" }),
      service("a", local),
      udp("pod/c", "10.96.0.10", 80),
    );
    expect(b.debug.text).toBe(
      text`
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n1: backlog <eth0[63] cil_from_netdev policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[62] local_in socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[62] local_in socket
      events n1
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        H1 D2 Attempting local delivery for container id 101 from seclabel 3003
        A D48 Conntrack lookup 1/2: src=10.0.1.21:40000 dst=10.0.0.11:8080
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D15 CT verdict: New, revnat=0
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3003 lb=0.0.0.0
        A T:to-endpoint(idC,idA,A,lxc_a,new) ttl 62 from 10.0.1.21
        SOCK pre-rev 10.0.1.21:40000
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=10.0.1.21:40000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A T:to-network(idA,idC,0,eth0,reply) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
      events n2
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:40000 dst=10.96.0.10:80
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        C D15 CT verdict: New, revnat=1
        C D32 Service backend slot lookup: slot=1, dport=80
        C D50 Conntrack create: proxy-port=0 revnat=1 src-identity=0 lb=0.0.0.0
        C D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=10.0.1.21:40000
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        C D15 CT verdict: New, revnat=0
        C D58 Successfully mapped addr=10.0.0.11 to identity=3001
        C D50 Conntrack create: proxy-port=0 revnat=1 src-identity=3003 lb=0.0.0.0
        C T:to-network(idC,idA,0,eth0,new) ttl 63
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        H2 D2 Attempting local delivery for container id 103 from seclabel 3001
        C D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=10.0.1.21:40000
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        C D8 CT entry found lifetime=L, revnat=1
        C D15 CT verdict: Reply, revnat=1
        C D36 Reverse NAT lookup, index=1
        C D37 Performing reverse NAT, address=10.96.0.10 port=80
        C T:to-endpoint(idA,idC,C,lxc_c,reply) ttl 62 from 10.0.0.11
        SOCK pre-rev 10.96.0.10:80
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-endpoint(idC,idA,A,lxc_a,new) ttl 62 from 10.0.1.21
        SOCK pre-rev 10.0.1.21:40000
        A T:to-network(idA,idC,0,eth0,reply) ttl 63
      events n2
        C T:to-network(idC,idA,0,eth0,new) ttl 63
        C T:to-endpoint(idA,idC,C,lxc_c,reply) ttl 62 from 10.0.0.11
        SOCK pre-rev 10.96.0.10:80
    `,
    );
  });
});

describe("(f) internalTrafficPolicy: Local", () => {
  const local = "  internalTrafficPolicy: Local";
  const perPacket = options({ "bpf-lb-sock-hostns-only": "true" });

  it("serves pods of the node that has a backend", () => {
    const b = inBuilds(perPacket, service("b", local), udp("pod/a", "10.96.0.10", 80));
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container policy(B) redirect_peer(lxc_b)
        pod/b: <eth0[63] local_in socket
      packet
        pod/b: local_out >eth0[64]
        n1: backlog <lxc_b[64] cil_from_container policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:40000 dst=10.96.0.10:80
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        A D15 CT verdict: New, revnat=1
        A D32 Service backend slot lookup: slot=1, dport=80
        A D50 Conntrack create: proxy-port=0 revnat=1 src-identity=0 lb=0.0.0.0
        A D48 Conntrack lookup 1/2: src=10.0.0.12:8080 dst=10.0.0.11:40000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.0.12 to identity=3002
        A D50 Conntrack create: proxy-port=0 revnat=1 src-identity=3001 lb=0.0.0.0
        A D2 Attempting local delivery for container id 102 from seclabel 3001
        B D48 Conntrack lookup 1/2: src=10.0.0.11:40000 dst=10.0.0.12:8080
        B D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        B D15 CT verdict: New, revnat=0
        B D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        B T:to-endpoint(idA,idB,B,lxc_b,new) ttl 63 from 10.0.0.11
        SOCK pre-rev 10.0.0.11:40000
        B T:from-endpoint(idB,0,0,0,unknown) ttl 64
        B D48 Conntrack lookup 1/2: src=10.0.0.12:8080 dst=10.0.0.11:40000
        B D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Reply, revnat=0
        B D58 Successfully mapped addr=10.0.0.11 to identity=3001
        B D2 Attempting local delivery for container id 101 from seclabel 3002
        A D48 Conntrack lookup 1/2: src=10.0.0.12:8080 dst=10.0.0.11:40000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=1
        A D15 CT verdict: Reply, revnat=1
        A D36 Reverse NAT lookup, index=1
        A D37 Performing reverse NAT, address=10.96.0.10 port=80
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from 10.0.0.12
        SOCK pre-rev 10.96.0.10:80
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        B T:to-endpoint(idA,idB,B,lxc_b,new) ttl 63 from 10.0.0.11
        SOCK pre-rev 10.0.0.11:40000
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from 10.0.0.12
        SOCK pre-rev 10.96.0.10:80
    `,
    );
  });

  it("refuses pods of another node with port unreachable", () => {
    const b = inBuilds(perPacket, service("c", local), datagram("pod/a", "10.96.0.10", 80));
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect(lxc_a) >lxc_a[64]
        pod/a: backlog <eth0[64] local_in
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:40000 dst=10.96.0.10:80
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        A D15 CT verdict: New, revnat=1
        A C4(5) ttl 64
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe("");
  });

  it("fails their connect() at the socket, before any packet", () => {
    let errno = 0;
    const b = inBuilds(options(), service("c", local), (lab) => {
      errno = lab.udp({ from: "pod/a", to: "10.96.0.10", port: 80, size: 8 }).errno;
    });
    expect(errno).toBe(113);
    expect(b.debug.text).toBe("");
  });

  it("leaves the way in from outside to the other node's backend", () => {
    const b = inBuilds(options(), service("c", local), udp("host/outside", NODE_1, 30080));
    expect(b.medium.text).toBe(
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
      events n2
        C T:to-endpoint(6,idC,C,lxc_c,new) ttl 62 from 192.168.0.11
        SOCK pre-rev 192.168.0.11:40000
        C T:to-network(idC,6,0,eth0,reply) ttl 63
    `,
    );
  });
});

describe("(h) loadBalancerSourceRanges", () => {
  const ranges = (list: string): string => service("a", `  loadBalancerSourceRanges: [${list}]`);
  /** The client's way to the load balancer's address is by the first node. */
  const byNode1 = (run: (lab: Lab) => void) => (lab: Lab) => {
    lab.exec("host/outside", `ip route add ${VIP}/32 via ${NODE_1}`);
    run(lab);
  };

  it("let in who is in them", () => {
    const run = byNode1(udp("host/outside", VIP, 80));
    const b = inBuilds(options(), ranges(`${OUTSIDE}/32`), run);
    expect(b.debug.text).toBe(
      text`
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        outside: backlog <eth0[63] local_in socket
      events n1
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:40000 dst=192.168.0.200:80
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        H1 D15 CT verdict: New, revnat=7
        H1 D32 Service backend slot lookup: slot=1, dport=80
        H1 D50 Conntrack create: proxy-port=0 revnat=7 src-identity=0 lb=0.0.0.0
        H1 D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=192.168.0.99:40000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        H1 D15 CT verdict: New, revnat=7
        H1 D50 Conntrack create: proxy-port=0 revnat=7 src-identity=2 lb=0.0.0.0
        H1 D2 Attempting local delivery for container id 101 from seclabel 2
        A D48 Conntrack lookup 1/2: src=192.168.0.99:40000 dst=10.0.0.11:8080
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D15 CT verdict: New, revnat=0
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=2 lb=0.0.0.0
        A T:to-endpoint(2,idA,A,lxc_a,new) ttl 63 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:40000
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=192.168.0.99:40000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A D58 Successfully mapped addr=192.168.0.99 to identity=2
        A T:to-network(idA,2,0,eth0,reply) ttl 63
        H1 D36 Reverse NAT lookup, index=7
        H1 D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=192.168.0.99:40000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H1 D8 CT entry found lifetime=L, revnat=7
        H1 D15 CT verdict: Reply, revnat=7
        H1 D37 Performing reverse NAT, address=192.168.0.200 port=80
        H1 T:to-network(idA,0,0,eth0,reply) ttl 63
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-endpoint(2,idA,A,lxc_a,new) ttl 63 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:40000
        A T:to-network(idA,2,0,eth0,reply) ttl 63
        H1 T:to-network(idA,0,0,eth0,reply) ttl 63
    `,
    );
    expect(b.debug.text).toBe(inBuilds(options(), service("a"), run).debug.text);
  });

  it("drop who is not with reason 177", () => {
    const b = inBuilds(options(), ranges("192.168.1.0/24"), byNode1(datagram("host/outside", VIP, 80)));
    expect(b.debug.text).toBe(
      text`
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev drop(Denied by LB src range check) drop(TC_INGRESS)
      events n1
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 DROP 177(2,0,0,eth0) ttl 64
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        H1 DROP 177(2,0,0,eth0) ttl 64
    `,
    );
  });

  it("do not concern the service's node port", () => {
    const run = udp("host/outside", NODE_1, 30080);
    const b = inBuilds(options(), ranges("192.168.1.0/24"), run);
    expect(b.plain.text).toBe(inBuilds(options(), service("a"), run).plain.text);
  });
});

describe("(h) direct server return", () => {
  it("tells the backend's node the service by an IPv4 option in the SYN of a connection only", () => {
    const b = inBuilds(dsr("opt"), service("c"), handshake("host/outside", NODE_1, 30081));
    expect(b.plain.text).toBe(
      text`
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[62] local_in socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        outside: backlog <eth0[63] local_in socket
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[62] local_in socket
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[62] local_in socket
      events n1
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 T:to-network(0,0,0,eth0,unknown) ttl 63
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 T:to-network(0,0,0,eth0,unknown) ttl 63
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 T:to-network(0,0,0,eth0,unknown) ttl 63
      events n2
        H2 T:from-network(2,0,0,eth0,unknown) ttl 63
        C T:to-endpoint(2,idC,C,lxc_c,new) ttl 62 from 192.168.0.99
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C T:to-network(idC,2,0,eth0,reply) ttl 63
        H2 T:to-network(idC,0,0,eth0,reply) ttl 63
        H2 T:from-network(2,0,0,eth0,unknown) ttl 63
        C T:to-endpoint(2,idC,C,lxc_c,established) ttl 62 from 192.168.0.99
        H2 T:from-network(2,0,0,eth0,unknown) ttl 63
        C T:to-endpoint(2,idC,C,lxc_c,established) ttl 62 from 192.168.0.99
    `,
    );
    // Header words of the client's packets as the second node gets them: two more with the option.
    const words = b.plain.walks.flatMap((w) =>
      w.steps
        .filter((x) => x.kind === Step.DEV_RX && x.where === "n2" && x.device === "eth0")
        .map((x) => x.record.frame[14]! & 15),
    );
    expect(words).toEqual([7, 5, 5]);
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
  });

  describe("by IPIP", () => {
    /** A backend outside of the cluster that unpacks IPIP and has the service's address itself. */
    const external = `---
apiVersion: podpath.dev/v1
kind: Host
metadata: {name: server}
spec: {addresses: [192.168.0.50/24], gateway: 192.168.0.1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, type: LoadBalancer, ports: [{port: 80, protocol: UDP, nodePort: 30080}]}
status: {loadBalancer: {ingress: [{ip: ${VIP}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 80, protocol: UDP}]
endpoints: [{addresses: [192.168.0.50]}]
`;
    const exchange = (lab: Lab): void => {
      const server = lab.endpoint("host/server").ns!;
      link_up(ipip_fallback(server));
      addr_add(server.lo, parseIpv4(VIP), 32, {});
      const sock = new UdpSock(server);
      sock.bind(parseIpv4(VIP), 80);
      sock.onDatagram = (d) => void sock.sendto(d.data, d.from, d.sport);
      lab.udp({ from: "host/outside", to: VIP, port: 80, sourcePort: 40000, size: 8 });
    };
    /** Neighbours know each other; the client's way to the address is by the node. */
    const build = (
      more: Readonly<Record<string, string>>,
      extra: Readonly<Record<string, string>>,
    ): Trace => {
      const lab = datapathLab(
        options({ "bpf-lb-mode": "dsr", "bpf-lb-dsr-dispatch": "ipip", ...more, ...extra }),
        external,
      );
      lab.exec("host/outside", `ip route add ${VIP}/32 via ${NODE_1}`);
      for (const to of [NODE_1, OUTSIDE]) lab.ping({ from: "host/server", to, id: 7 });
      return traceOf(lab, NAMES, () => exchange(lab));
    };

    it("sends the packet as it came inside of another, from the tunnel device; the answer comes straight", () => {
      const debug = build({}, DEBUG);
      expect(debug.text).toBe(
        text`
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev redirect(cilium_ipip4) >cilium_ipip4[64] encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        server: backlog <eth0[64] local_in decap backlog <tunl0[64] local_in socket
      packet
        server: local_out >eth0[64]
        outside: backlog <eth0[64] local_in socket
      events n1
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:40000 dst=192.168.0.200:80
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        H1 D15 CT verdict: New, revnat=4
        H1 D32 Service backend slot lookup: slot=1, dport=80
        H1 D50 Conntrack create: proxy-port=0 revnat=4 src-identity=0 lb=0.0.0.0
        H1 T:to-network(1,0,0,eth0,unknown) ttl 64 from 192.168.0.11
    `,
      );
      expect(build({}, {}).text).toBe(withoutDebug(debug.text));
      expect(build({}, MEDIUM).events).toBe("");
    });

    it("does so in the XDP program with acceleration", () => {
      const debug = build({ "bpf-lb-acceleration": "native" }, DEBUG);
      expect(debug.text).toBe(
        text`
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_xdp_entry
        server: backlog <eth0[63] local_in decap backlog <tunl0[64] local_in socket
      packet
        server: local_out >eth0[64]
        outside: backlog <eth0[64] local_in socket
      events n1
        0 D48 Conntrack lookup 1/2: src=192.168.0.99:40000 dst=192.168.0.200:80
        0 D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        0 D15 CT verdict: New, revnat=4
        0 D32 Service backend slot lookup: slot=1, dport=80
        0 D50 Conntrack create: proxy-port=0 revnat=4 src-identity=0 lb=0.0.0.0
    `,
      );
      expect(build({ "bpf-lb-acceleration": "native" }, {}).text).toBe(withoutDebug(debug.text));
    });
  });

  it("by Geneve is refused with another tunnel protocol, whose packets carry no options", () => {
    expect(() => datapathLab(dsr("geneve"))).toThrow(
      'cilium-config: bpf-lb-dsr-dispatch is "geneve", but must be opt or ipip unless tunnel-protocol is geneve',
    );
  });

  it("is for TCP alone in hybrid mode: UDP is translated both ways", () => {
    const hybrid = dsr("opt", "hybrid");
    const one = inBuilds(hybrid, service("c"), udp("host/outside", NODE_1, 30080));
    const snat = inBuilds(options(), service("c"), udp("host/outside", NODE_1, 30080));
    expect(one.plain.text).toBe(snat.plain.text);
    const tcp = inBuilds(hybrid, service("c"), handshake("host/outside", NODE_1, 30081));
    const full = inBuilds(dsr("opt"), service("c"), handshake("host/outside", NODE_1, 30081));
    expect(tcp.plain.text).toBe(full.plain.text);
    expect(one.debug.text).toBe(
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
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:40000 dst=192.168.0.11:30080
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        H1 D15 CT verdict: New, revnat=4
        H1 D32 Service backend slot lookup: slot=1, dport=30080
        H1 D50 Conntrack create: proxy-port=0 revnat=4 src-identity=0 lb=0.0.0.0
        H1 D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.99:40000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        H1 D15 CT verdict: New, revnat=4
        H1 D50 Conntrack create: proxy-port=0 revnat=4 src-identity=2 lb=0.0.0.0
        H1 T:to-network(0,0,0,eth0,unknown) ttl 63
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        H1 D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.99:40000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H1 D8 CT entry found lifetime=L, revnat=4
        H1 D15 CT verdict: Reply, revnat=4
        H1 D36 Reverse NAT lookup, index=4
        H1 D37 Performing reverse NAT, address=192.168.0.11 port=30080
        H1 T:to-network(0,0,0,eth0,unknown) ttl 62
      events n2
        H2 D58 Successfully mapped addr=192.168.0.11 to identity=6
        H2 T:from-network(6,0,0,eth0,unknown) ttl 63
        H2 D2 Attempting local delivery for container id 103 from seclabel 6
        C D48 Conntrack lookup 1/2: src=192.168.0.11:40000 dst=10.0.1.21:8080
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=6 lb=0.0.0.0
        C T:to-endpoint(6,idC,C,lxc_c,new) ttl 62 from 192.168.0.11
        SOCK pre-rev 192.168.0.11:40000
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.11:40000
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=192.168.0.11 to identity=6
        C T:to-network(idC,6,0,eth0,reply) ttl 63
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
    `,
    );
  });

  describe("of a datagram that does not fit with its option", () => {
    const tooLong = (errors: readonly (readonly number[])[]) => (lab: Lab) => {
      const sock = new UdpSock(lab.endpoint("host/outside").ns!);
      sock.recverr = true;
      sock.bind(0, 40000);
      sock.connect(parseIpv4(NODE_1), 30080);
      sock.sendto(new Uint8Array(1472));
      lab.advance("100ms");
      expect(sock.errqueue.map((e) => [e.errno, e.type, e.code, e.info])).toEqual(errors);
      sock.close();
    };

    it("answers with fragmentation needed, and no drop event, with path MTU discovery", () => {
      const discovers = options({ "bpf-lb-mode": "dsr", "enable-pmtu-discovery": "true" });
      // 1500 less the eight bytes of the option.
      const b = inBuilds(discovers, service("c"), tooLong([[90, 3, 4, 1492]]));
      expect(b.debug.text).toBe(
        text`
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev redirect(eth0) >eth0[64] cil_to_netdev
        outside: backlog <eth0[64] local_in
      events n1
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:40000 dst=192.168.0.11:30080
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        H1 D15 CT verdict: New, revnat=4
        H1 D32 Service backend slot lookup: slot=1, dport=30080
        H1 D50 Conntrack create: proxy-port=0 revnat=4 src-identity=0 lb=0.0.0.0
        H1 T:to-network(0,0,0,eth0,unknown) ttl 64
    `,
      );
      expect(b.plain.text).toBe(withoutDebug(b.debug.text));
      expect(b.medium.events).toBe("");
    });

    it("leaves as much room for a Geneve packet with its option, and counts reason 136", () => {
      const discovers = options({
        "bpf-lb-mode": "dsr",
        "bpf-lb-dsr-dispatch": "geneve",
        "tunnel-protocol": "geneve",
        "enable-pmtu-discovery": "true",
      });
      const lab = datapathLab(discovers, service("c"));
      // IPv4, UDP and Geneve headers, twelve bytes of option, and the inner Ethernet header.
      tooLong([[90, 3, 4, 1500 - 20 - 8 - 8 - 12 - 14]])(lab);
      const { cilium_metrics: metrics } = (lab.node("n1") as CiliumNode).maps;
      const counted: string[] = [];
      metrics.forEachSlot((_slot, keys, at) => {
        const reason = keys[at]! & 0xff;
        if (reason >= 130) counted.push(`${reason} direction ${(keys[at]! >> 8) & 3}`);
      });
      expect(counted).toEqual(["136 direction 2"]);
    });

    it("drops with reason 169, ext 8, without: the FIB look-up says so", () => {
      const b = inBuilds(dsr("opt"), service("c"), tooLong([]));
      expect(b.debug.text).toBe(
        text`
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev drop(FIB lookup failed) drop(TC_INGRESS)
      events n1
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:40000 dst=192.168.0.11:30080
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        H1 D15 CT verdict: New, revnat=4
        H1 D32 Service backend slot lookup: slot=1, dport=30080
        H1 D50 Conntrack create: proxy-port=0 revnat=4 src-identity=0 lb=0.0.0.0
        H1 DROP 169(0,0,0,eth0) ext 8 ttl 64
    `,
      );
      expect(b.plain.text).toBe(withoutDebug(b.debug.text));
      expect(b.medium.events).toBe(
        text`
      events n1
        H1 DROP 169(0,0,0,eth0) ext 8 ttl 64
    `,
      );
    });
  });
});

describe("(j, k) egress", () => {
  const deny = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {matchLabels: {app: a}}, policyTypes: [Egress], egress: []}
`;

  it("that policy denies is answered with ICMP 3/13 instead of a drop event with policy-deny-response=icmp", () => {
    const b = inBuilds(options({ "policy-deny-response": "icmp" }), deny, (lab) => {
      const sock = new UdpSock(lab.endpoint("pod/a").ns!);
      sock.recverr = true;
      sock.bind(0, 40000);
      sock.connect(parseIpv4("10.0.1.21"), 9000);
      sock.sendto(new Uint8Array(8));
      lab.advance("100ms");
      expect(sock.errqueue.map((e) => [e.errno, e.type, e.code])).toEqual([[113, 3, 13]]);
      sock.close();
    });
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect(lxc_a) >lxc_a[64]
        pod/a: backlog <eth0[64] local_in
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:40000 dst=10.0.1.21:9000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D5 Policy evaluation would deny packet from 3001 to 3003
        A V egress idC 9000/17 deny 133 match none
        A C4(5) ttl 64
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A V egress idC 9000/17 deny 133 match none
    `,
    );
  });

  it("that is larger than the MTU of the way out is dropped with reason 169, ext 8, with BPF host routing", () => {
    const b = inBuilds(options(), "", (lab) => {
      lab.exec("node/n1", "ip link set eth0 mtu 1400");
      datagram("pod/a", "10.0.1.21", 9000, 1400)(lab);
    });
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container drop(FIB lookup failed) drop(TC_INGRESS)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:40000 dst=10.0.1.21:9000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A DROP 169(idA,idC,0,lxc_a) ext 8 ttl 64
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A DROP 169(idA,idC,0,lxc_a) ext 8 ttl 64
    `,
    );
  });

  it("that is larger is answered by the kernel with legacy host routing", () => {
    const b = inBuilds({ datapath: "cilium-legacy" }, "", (lab) => {
      lab.exec("node/n1", "ip link set eth0 mtu 1400");
      datagram("pod/a", "10.0.1.21", 9000, 1400)(lab);
    });
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING icmp_error(3,4) drop(PKT_TOO_BIG)
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:40000 dst=10.0.1.21:9000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-stack(idA,idC,0,0,new) ttl 64
        A C4(0) ttl 64
        H1 D61 Inheriting identity=1 from stack
        H1 D58 Successfully mapped addr=10.0.0.1 to identity=1
        H1 T:from-host(1,0,0,0,unknown) ttl 64
        H1 D2 Attempting local delivery for container id 101 from seclabel 1
        A D48 Conntrack lookup 1/2: src=10.0.0.1:0 dst=10.0.0.11:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=2 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Established, revnat=0
        A T:to-endpoint(1,idA,A,lxc_a,established) ttl 63 from 10.0.0.1
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
  });

  it("that is larger than a tunnel carries never leaves the pod, whose route says so", () => {
    const b = inBuilds({ datapath: "cilium-vxlan" }, "", (lab) => {
      const sock = new UdpSock(lab.endpoint("pod/a").ns!);
      sock.recverr = true;
      sock.pmtudisc = 2;
      sock.connect(parseIpv4("10.0.1.21"), 9000);
      expect(sock.sendto(new Uint8Array(1423))).toBe(-90);
      expect(sock.errqueue.map((e) => e.info)).toEqual([1450]);
      sock.close();
    });
    expect(b.debug.events).toBe("");
  });
});
