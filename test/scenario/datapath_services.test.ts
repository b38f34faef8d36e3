// Datapath facts, scenarios (f), (g) and (h): pod to ClusterIP, pod to outside, outside to NodePort and LoadBalancer.
import { describe, expect, it } from "vitest";
import type { Lab, LabOptions } from "../../src/lab.js";
import { inBuilds, withoutDebug } from "../support/datapath_lab.js";
import { text } from "../support/event_trace.js";
import { NODE_1, OUTSIDE } from "../support/two_nodes.js";

/** A service with one backend; `spec` adds to it. */
function service(backend: string, spec = ""): string {
  return `---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: ${backend}}, clusterIP: 10.96.0.10, ports: [{port: 80, targetPort: 8080, protocol: UDP, nodePort: 30080}]${spec}}
`;
}

const NODE_PORT = ", type: NodePort";

function options(more: Record<string, string> = {}): LabOptions {
  return { datapath: "cilium-host-routing", options: more };
}

/** One datagram to the service and the answer. */
function toService(backend: string) {
  return (lab: Lab): void => {
    lab.traffic.listen({ on: `pod/${backend}`, port: 8080, protocol: "udp" });
    lab.udp({ from: "pod/a", to: "10.96.0.10", port: 80, sourcePort: 20000, size: 8 });
  };
}

function toNodePort(backend: string, to = NODE_1, port = 30080) {
  return (lab: Lab): void => {
    lab.traffic.listen({ on: `pod/${backend}`, port: 8080, protocol: "udp" });
    lab.udp({ from: "host/outside", to, port, sourcePort: 20000, size: 8 });
  };
}

const outside = (lab: Lab): void => {
  lab.udp({ from: "pod/a", to: OUTSIDE, port: 9000, sourcePort: 40000, size: 8 });
};

describe("(f) pod to ClusterIP, socket load balancing", () => {
  const b = inBuilds(options(), service("c"), toService("c"));

  it("is translated in connect(); packets go to the backend as any others", () => {
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
        SOCK pre-fwd 10.96.0.10:80
        SOCK post-fwd 10.0.1.21:8080
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.1.21:8080
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        H1 D2 Attempting local delivery for container id 101 from seclabel 3003
        A D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=10.0.0.11:20000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from 10.0.1.21
        SOCK pre-rev 10.0.1.21:8080
        SOCK post-rev 10.96.0.10:80
      events n2
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        H2 D2 Attempting local delivery for container id 103 from seclabel 3001
        C D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.1.21:8080
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 62 from 10.0.0.11
        SOCK pre-rev 10.0.0.11:20000
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=10.0.0.11:20000
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=10.0.0.11 to identity=3001
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
    `,
    );
  });

  it("sends the same without debug messages in the default build", () => {
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        SOCK pre-fwd 10.96.0.10:80
        SOCK post-fwd 10.0.1.21:8080
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from 10.0.1.21
        SOCK pre-rev 10.0.1.21:8080
        SOCK post-rev 10.96.0.10:80
      events n2
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 62 from 10.0.0.11
        SOCK pre-rev 10.0.0.11:20000
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
    `,
    );
  });

  it("sends no socket events when trace-sock is off", () => {
    const quiet = inBuilds(options({ "trace-sock": "false" }), service("c"), toService("c"));
    expect(quiet.plain.events).toBe(b.plain.events.replaceAll(/^ {2}SOCK .*\n/gm, ""));
  });
});

describe("(f) pod to ClusterIP, per packet", () => {
  const perPacket = { "bpf-lb-sock-hostns-only": "true" };

  it("is translated by the pod's program, on the way back too, to a backend on another node", () => {
    const b = inBuilds(options(perPacket), service("c"), toService("c"));
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
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.96.0.10:80
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        A D15 CT verdict: New, revnat=1
        A D32 Service backend slot lookup: slot=1, dport=80
        A D50 Conntrack create: proxy-port=0 revnat=1 src-identity=0 lb=0.0.0.0
        A D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=10.0.0.11:20000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=1 src-identity=3001 lb=0.0.0.0
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        H1 D2 Attempting local delivery for container id 101 from seclabel 3003
        A D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=10.0.0.11:20000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=1
        A D15 CT verdict: Reply, revnat=1
        A D36 Reverse NAT lookup, index=1
        A D37 Performing reverse NAT, address=10.96.0.10 port=80
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from 10.0.1.21
        SOCK pre-rev 10.96.0.10:80
      events n2
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        H2 D2 Attempting local delivery for container id 103 from seclabel 3001
        C D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.1.21:8080
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 62 from 10.0.0.11
        SOCK pre-rev 10.0.0.11:20000
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=10.0.0.11:20000
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=10.0.0.11 to identity=3001
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from 10.0.1.21
        SOCK pre-rev 10.96.0.10:80
      events n2
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 62 from 10.0.0.11
        SOCK pre-rev 10.0.0.11:20000
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
    `,
    );
  });

  it("reaches a backend on the same node", () => {
    expect(inBuilds(options(perPacket), service("b"), toService("b")).debug.text).toBe(
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
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.96.0.10:80
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        A D15 CT verdict: New, revnat=1
        A D32 Service backend slot lookup: slot=1, dport=80
        A D50 Conntrack create: proxy-port=0 revnat=1 src-identity=0 lb=0.0.0.0
        A D48 Conntrack lookup 1/2: src=10.0.0.12:8080 dst=10.0.0.11:20000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.0.12 to identity=3002
        A D50 Conntrack create: proxy-port=0 revnat=1 src-identity=3001 lb=0.0.0.0
        A D2 Attempting local delivery for container id 102 from seclabel 3001
        B D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:8080
        B D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        B D15 CT verdict: New, revnat=0
        B D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        B T:to-endpoint(idA,idB,B,lxc_b,new) ttl 63 from 10.0.0.11
        SOCK pre-rev 10.0.0.11:20000
        B T:from-endpoint(idB,0,0,0,unknown) ttl 64
        B D48 Conntrack lookup 1/2: src=10.0.0.12:8080 dst=10.0.0.11:20000
        B D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Reply, revnat=0
        B D58 Successfully mapped addr=10.0.0.11 to identity=3001
        B D2 Attempting local delivery for container id 101 from seclabel 3002
        A D48 Conntrack lookup 1/2: src=10.0.0.12:8080 dst=10.0.0.11:20000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=1
        A D15 CT verdict: Reply, revnat=1
        A D36 Reverse NAT lookup, index=1
        A D37 Performing reverse NAT, address=10.96.0.10 port=80
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from 10.0.0.12
        SOCK pre-rev 10.96.0.10:80
    `,
    );
  });

  it("gives a pod that is its own backend the loopback address as source", () => {
    expect(inBuilds(options(perPacket), service("a"), toService("a")).debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.96.0.10:80
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        A D15 CT verdict: New, revnat=1
        A D32 Service backend slot lookup: slot=1, dport=80
        A D50 Conntrack create: proxy-port=0 revnat=1 src-identity=0 lb=0.0.0.0
        A D38 Loopback SNAT from=10.0.0.11 to=169.254.42.1
        A D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=169.254.42.1:20000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.0.11 to identity=3001
        A D50 Conntrack create: proxy-port=0 revnat=1 src-identity=3001 lb=0.0.0.0
        A D2 Attempting local delivery for container id 101 from seclabel 3001
        A D48 Conntrack lookup 1/2: src=169.254.42.1:20000 dst=10.0.0.11:8080
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D15 CT verdict: New, revnat=0
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-endpoint(idA,idA,A,lxc_a,new) ttl 63 from 169.254.42.1
        SOCK pre-rev 169.254.42.1:20000
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=169.254.42.1:20000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A D58 Successfully mapped addr=169.254.42.1 to identity=2
        A D2 Attempting local delivery for container id 101 from seclabel 3001
        A D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=169.254.42.1:20000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=1
        A D15 CT verdict: Reply, revnat=1
        A D36 Reverse NAT lookup, index=1
        A D37 Performing reverse NAT, address=10.96.0.10 port=80
        A D39 Loopback reverse SNAT from=169.254.42.1 to=10.0.0.11
        A T:to-endpoint(idA,idA,A,lxc_a,reply) ttl 63 from 10.0.0.11
        SOCK pre-rev 10.96.0.10:80
    `,
    );
  });
});

describe("(g) pod to outside", () => {
  it("is masqueraded by to-netdev with BPF host routing", () => {
    const b = inBuilds(options(), "", outside);
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
        A D48 Conntrack lookup 1/2: src=10.0.0.11:40000 dst=192.168.0.99:9000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=192.168.0.99 to identity=2
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-network(idA,2,0,eth0,new) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63 from 10.0.0.11
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:9000 dst=10.0.0.11:40000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H1 D15 CT verdict: New, revnat=0
        H1 D2 Attempting local delivery for container id 101 from seclabel 2
        A D48 Conntrack lookup 1/2: src=192.168.0.99:9000 dst=10.0.0.11:40000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(2,idA,A,lxc_a,reply) ttl 63 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:9000
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-network(idA,2,0,eth0,new) ttl 63
        A T:to-endpoint(2,idA,A,lxc_a,reply) ttl 63 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:9000
    `,
    );
  });

  it("is masqueraded by to-netdev behind the stack with legacy host routing", () => {
    const b = inBuilds({ datapath: "cilium-legacy" }, "", outside);
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[63] cil_to_netdev
        outside: backlog <eth0[63] local_in socket
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[63] cil_from_host policy(A) redirect(lxc_a) >lxc_a[62]
        pod/a: backlog <eth0[62] local_in socket
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:40000 dst=192.168.0.99:9000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=192.168.0.99 to identity=2
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-stack(idA,2,0,0,new) ttl 64
        A C4(0) ttl 64
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63 from 10.0.0.11
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:9000 dst=10.0.0.11:40000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H1 D15 CT verdict: New, revnat=0
        H1 D61 Inheriting identity=2 from stack
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-host(2,0,0,eth0,unknown) ttl 63
        H1 D2 Attempting local delivery for container id 101 from seclabel 2
        A D48 Conntrack lookup 1/2: src=192.168.0.99:9000 dst=10.0.0.11:40000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(2,idA,A,lxc_a,reply) ttl 62 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:9000
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-stack(idA,2,0,0,new) ttl 64
        A T:to-endpoint(2,idA,A,lxc_a,reply) ttl 62 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:9000
    `,
    );
  });

  it("is masqueraded in POSTROUTING by iptables", () => {
    const b = inBuilds(options({ "enable-bpf-masquerade": "false" }), "", outside);
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING SNAT >eth0[63] cil_to_netdev
        outside: backlog <eth0[63] local_in socket
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev PREROUTING DNAT ip_forward FORWARD POSTROUTING >cilium_host[63] cil_from_host policy(A) redirect(lxc_a) >lxc_a[62]
        pod/a: backlog <eth0[62] local_in socket
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:40000 dst=192.168.0.99:9000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=192.168.0.99 to identity=2
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-stack(idA,2,0,0,new) ttl 64
        A C4(0) ttl 64
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:9000 dst=192.168.0.11:40000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        H1 D15 CT verdict: New, revnat=0
        H1 D50 Conntrack create: proxy-port=0 revnat=0 src-identity=0 lb=0.0.0.0
        H1 T:to-network(idA,0,0,eth0,new) ttl 63 from 192.168.0.11
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:9000 dst=192.168.0.11:40000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H1 D8 CT entry found lifetime=L, revnat=0
        H1 D15 CT verdict: Reply, revnat=0
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:9000 dst=192.168.0.11:40000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H1 D15 CT verdict: New, revnat=0
        H1 D61 Inheriting identity=2 from stack
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-host(2,0,0,eth0,unknown) ttl 63
        H1 D2 Attempting local delivery for container id 101 from seclabel 2
        A D48 Conntrack lookup 1/2: src=192.168.0.99:9000 dst=10.0.0.11:40000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(2,idA,A,lxc_a,reply) ttl 62 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:9000
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-stack(idA,2,0,0,new) ttl 64
        H1 T:to-network(idA,0,0,eth0,new) ttl 63 from 192.168.0.11
        A T:to-endpoint(2,idA,A,lxc_a,reply) ttl 62 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:9000
    `,
    );
  });
});

describe("(h) outside to a NodePort", () => {
  it("goes to a local backend with the client's address", () => {
    const b = inBuilds(options(), service("a", NODE_PORT), toNodePort("a"));
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
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:20000 dst=192.168.0.11:30080
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        H1 D15 CT verdict: New, revnat=3
        H1 D32 Service backend slot lookup: slot=1, dport=30080
        H1 D50 Conntrack create: proxy-port=0 revnat=3 src-identity=0 lb=0.0.0.0
        H1 D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=192.168.0.99:20000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        H1 D15 CT verdict: New, revnat=3
        H1 D50 Conntrack create: proxy-port=0 revnat=3 src-identity=2 lb=0.0.0.0
        H1 D2 Attempting local delivery for container id 101 from seclabel 2
        A D48 Conntrack lookup 1/2: src=192.168.0.99:20000 dst=10.0.0.11:8080
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D15 CT verdict: New, revnat=0
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=2 lb=0.0.0.0
        A T:to-endpoint(2,idA,A,lxc_a,new) ttl 63 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:20000
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=192.168.0.99:20000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A D58 Successfully mapped addr=192.168.0.99 to identity=2
        A T:to-network(idA,2,0,eth0,reply) ttl 63
        H1 D36 Reverse NAT lookup, index=3
        H1 D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=192.168.0.99:20000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H1 D8 CT entry found lifetime=L, revnat=3
        H1 D15 CT verdict: Reply, revnat=3
        H1 D37 Performing reverse NAT, address=192.168.0.11 port=30080
        H1 T:to-network(idA,0,0,eth0,reply) ttl 63
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-endpoint(2,idA,A,lxc_a,new) ttl 63 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:20000
        A T:to-network(idA,2,0,eth0,reply) ttl 63
        H1 T:to-network(idA,0,0,eth0,reply) ttl 63
    `,
    );
  });

  it("goes to a local backend through cilium_host with legacy host routing", () => {
    const b = inBuilds({ datapath: "cilium-legacy" }, service("a", NODE_PORT), toNodePort("a"));
    expect(b.debug.text).toBe(
      text`
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[63] cil_from_host policy(A) redirect(lxc_a) >lxc_a[62]
        pod/a: backlog <eth0[62] local_in socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[63] cil_to_netdev
        outside: backlog <eth0[63] local_in socket
      events n1
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:20000 dst=192.168.0.11:30080
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        H1 D15 CT verdict: New, revnat=3
        H1 D32 Service backend slot lookup: slot=1, dport=30080
        H1 D50 Conntrack create: proxy-port=0 revnat=3 src-identity=0 lb=0.0.0.0
        H1 D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=192.168.0.99:20000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        H1 D15 CT verdict: New, revnat=3
        H1 D50 Conntrack create: proxy-port=0 revnat=3 src-identity=2 lb=0.0.0.0
        H1 D61 Inheriting identity=2 from stack
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-host(2,0,0,eth0,unknown) ttl 63
        H1 D2 Attempting local delivery for container id 101 from seclabel 2
        A D48 Conntrack lookup 1/2: src=192.168.0.99:20000 dst=10.0.0.11:8080
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D15 CT verdict: New, revnat=0
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=2 lb=0.0.0.0
        A T:to-endpoint(2,idA,A,lxc_a,new) ttl 62 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:20000
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=192.168.0.99:20000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A D58 Successfully mapped addr=192.168.0.99 to identity=2
        A T:to-stack(idA,2,0,0,reply) ttl 64
        A C4(0) ttl 64
        H1 D36 Reverse NAT lookup, index=3
        H1 D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=192.168.0.99:20000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H1 D8 CT entry found lifetime=L, revnat=3
        H1 D15 CT verdict: Reply, revnat=3
        H1 D37 Performing reverse NAT, address=192.168.0.11 port=30080
        H1 T:to-network(idA,0,0,eth0,reply) ttl 63
    `,
    );
  });

  it("goes to a remote backend with the node's address, and comes back through it", () => {
    const b = inBuilds(options(), service("c", NODE_PORT), toNodePort("c"));
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
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:20000 dst=192.168.0.11:30080
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        H1 D15 CT verdict: New, revnat=3
        H1 D32 Service backend slot lookup: slot=1, dport=30080
        H1 D50 Conntrack create: proxy-port=0 revnat=3 src-identity=0 lb=0.0.0.0
        H1 D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.99:20000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        H1 D15 CT verdict: New, revnat=3
        H1 D50 Conntrack create: proxy-port=0 revnat=3 src-identity=2 lb=0.0.0.0
        H1 T:to-network(0,0,0,eth0,unknown) ttl 63
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        H1 D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.99:20000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H1 D8 CT entry found lifetime=L, revnat=3
        H1 D15 CT verdict: Reply, revnat=3
        H1 D36 Reverse NAT lookup, index=3
        H1 D37 Performing reverse NAT, address=192.168.0.11 port=30080
        H1 T:to-network(0,0,0,eth0,unknown) ttl 62
      events n2
        H2 D58 Successfully mapped addr=192.168.0.11 to identity=6
        H2 T:from-network(6,0,0,eth0,unknown) ttl 63
        H2 D2 Attempting local delivery for container id 103 from seclabel 6
        C D48 Conntrack lookup 1/2: src=192.168.0.11:45050 dst=10.0.1.21:8080
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=6 lb=0.0.0.0
        C T:to-endpoint(6,idC,C,lxc_c,new) ttl 62 from 192.168.0.11
        SOCK pre-rev 192.168.0.11:45050
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.11:45050
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=192.168.0.11 to identity=6
        C T:to-network(idC,6,0,eth0,reply) ttl 63
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n2
        C T:to-endpoint(6,idC,C,lxc_c,new) ttl 62 from 192.168.0.11
        SOCK pre-rev 192.168.0.11:45050
        C T:to-network(idC,6,0,eth0,reply) ttl 63
    `,
    );
  });

  it("goes to a remote backend through the tunnel with the router's address", () => {
    const b = inBuilds({ datapath: "cilium-vxlan" }, service("c", NODE_PORT), toNodePort("c"));
    expect(b.debug.text).toBe(
      text`
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev redirect(cilium_vxlan) >cilium_vxlan[63] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_vxlan[63] cil_from_overlay policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[62] local_in socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect(cilium_vxlan) >cilium_vxlan[64] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_vxlan[64] cil_from_overlay redirect_neigh(eth0) >eth0[63] cil_to_netdev
        outside: backlog <eth0[63] local_in socket
      events n1
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:20000 dst=192.168.0.11:30080
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        H1 D15 CT verdict: New, revnat=3
        H1 D32 Service backend slot lookup: slot=1, dport=30080
        H1 D50 Conntrack create: proxy-port=0 revnat=3 src-identity=0 lb=0.0.0.0
        H1 D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.99:20000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        H1 D15 CT verdict: New, revnat=3
        H1 D50 Conntrack create: proxy-port=0 revnat=3 src-identity=2 lb=0.0.0.0
        H1 D3 Encapsulating to node 201369792 (0xc00a8c0) from seclabel 2
        H1 T:to-overlay(2,idC,0,cilium_vxlan,new) ttl 63
        H1 T:to-network(1,0,0,eth0,unknown) ttl 64 vxlan
        H1 D58 Successfully mapped addr=192.168.0.12 to identity=6
        H1 T:from-network(6,0,0,eth0,unknown) ttl 64 vxlan
        0 D16 Tunnel decap: id=3003 flowlabel=0
        0 T:from-overlay(idC,0,0,cilium_vxlan,unknown) ttl 64
        0 D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.99:20000
        0 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        0 D8 CT entry found lifetime=L, revnat=3
        0 D15 CT verdict: Reply, revnat=3
        0 D36 Reverse NAT lookup, index=3
        0 D37 Performing reverse NAT, address=192.168.0.11 port=30080
        H1 T:to-network(0,0,0,eth0,unknown) ttl 63
      events n2
        H2 D58 Successfully mapped addr=192.168.0.11 to identity=6
        H2 T:from-network(6,0,0,eth0,unknown) ttl 64 vxlan
        0 D16 Tunnel decap: id=2 flowlabel=0
        0 T:from-overlay(2,0,0,cilium_vxlan,unknown) ttl 63
        0 D2 Attempting local delivery for container id 103 from seclabel 2
        C D48 Conntrack lookup 1/2: src=10.0.0.1:37269 dst=10.0.1.21:8080
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=2 lb=0.0.0.0
        C T:to-endpoint(2,idC,C,lxc_c,new) ttl 62 from 10.0.0.1
        SOCK pre-rev 10.0.0.1:37269
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=10.0.0.1:37269
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=10.0.0.1 to identity=6
        C D3 Encapsulating to node 184592576 (0xb00a8c0) from seclabel 3003
        C T:to-overlay(idC,6,0,cilium_vxlan,reply) ttl 64
        0 T:to-overlay(idC,0,0,cilium_vxlan,unknown) ttl 64
        H2 T:to-network(1,0,0,eth0,unknown) ttl 64 vxlan
    `,
    );
  });

  it("goes to a remote backend with the client's address and an IP option with DSR", () => {
    const b = inBuilds(options({ "bpf-lb-mode": "dsr" }), service("c", NODE_PORT), toNodePort("c"));
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
        outside: backlog <eth0[63] local_in socket
      events n1
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:20000 dst=192.168.0.11:30080
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        H1 D15 CT verdict: New, revnat=3
        H1 D32 Service backend slot lookup: slot=1, dport=30080
        H1 D50 Conntrack create: proxy-port=0 revnat=3 src-identity=0 lb=0.0.0.0
        H1 T:to-network(0,0,0,eth0,unknown) ttl 63
      events n2
        H2 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H2 T:from-network(2,0,0,eth0,unknown) ttl 63
        H2 D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.99:20000
        H2 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        H2 D15 CT verdict: New, revnat=0
        H2 D50 Conntrack create: proxy-port=0 revnat=0 src-identity=2 lb=0.0.0.0
        H2 D2 Attempting local delivery for container id 103 from seclabel 2
        C D48 Conntrack lookup 1/2: src=192.168.0.99:20000 dst=10.0.1.21:8080
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=2 lb=0.0.0.0
        C T:to-endpoint(2,idC,C,lxc_c,new) ttl 62 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:20000
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.99:20000
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=192.168.0.99 to identity=2
        C T:to-network(idC,2,0,eth0,reply) ttl 63
        H2 D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.99:20000
        H2 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H2 D8 CT entry found lifetime=L, revnat=0
        H2 D15 CT verdict: Reply, revnat=0
        H2 D37 Performing reverse NAT, address=192.168.0.11 port=30080
        H2 T:to-network(idC,0,0,eth0,reply) ttl 63
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n2
        C T:to-endpoint(2,idC,C,lxc_c,new) ttl 62 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:20000
        C T:to-network(idC,2,0,eth0,reply) ttl 63
        H2 T:to-network(idC,0,0,eth0,reply) ttl 63
    `,
    );
  });

  it("goes to a remote backend in a Geneve packet with an option with DSR by Geneve", () => {
    const dsr = { "bpf-lb-mode": "dsr", "bpf-lb-dsr-dispatch": "geneve", "tunnel-protocol": "geneve" };
    const b = inBuilds(options(dsr), service("c", NODE_PORT), toNodePort("c"));
    expect(b.debug.text).toBe(
      text`
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev redirect(cilium_geneve) >cilium_geneve[64] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_geneve[64] cil_from_overlay policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[63] local_in socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        outside: backlog <eth0[63] local_in socket
      events n1
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:20000 dst=192.168.0.11:30080
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        H1 D15 CT verdict: New, revnat=3
        H1 D32 Service backend slot lookup: slot=1, dport=30080
        H1 D50 Conntrack create: proxy-port=0 revnat=3 src-identity=0 lb=0.0.0.0
        H1 D3 Encapsulating to node 201369792 (0xc00a8c0) from seclabel 2
        H1 T:to-overlay(2,idC,0,cilium_geneve,new) ttl 64
        0 T:to-overlay(2,0,0,cilium_geneve,unknown) ttl 64
        H1 T:to-network(1,0,0,eth0,unknown) ttl 64 geneve
      events n2
        H2 D58 Successfully mapped addr=192.168.0.11 to identity=6
        H2 T:from-network(6,0,0,eth0,unknown) ttl 64 geneve
        0 D16 Tunnel decap: id=2 flowlabel=0
        0 T:from-overlay(2,0,0,cilium_geneve,unknown) ttl 64
        0 D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.99:20000
        0 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        0 D15 CT verdict: New, revnat=0
        0 D50 Conntrack create: proxy-port=0 revnat=0 src-identity=2 lb=0.0.0.0
        0 D2 Attempting local delivery for container id 103 from seclabel 2
        C D48 Conntrack lookup 1/2: src=192.168.0.99:20000 dst=10.0.1.21:8080
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=2 lb=0.0.0.0
        C T:to-endpoint(2,idC,C,lxc_c,new) ttl 63 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:20000
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.99:20000
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=192.168.0.99 to identity=2
        C T:to-network(idC,2,0,eth0,reply) ttl 63
        H2 D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.99:20000
        H2 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H2 D8 CT entry found lifetime=L, revnat=0
        H2 D15 CT verdict: Reply, revnat=0
        H2 D37 Performing reverse NAT, address=192.168.0.11 port=30080
        H2 T:to-network(idC,0,0,eth0,reply) ttl 63
    `,
    );
  });

  it("goes to a remote backend from the XDP hook with acceleration", () => {
    const b = inBuilds(
      options({ "bpf-lb-acceleration": "native" }),
      service("c", NODE_PORT),
      toNodePort("c"),
    );
    expect(b.debug.text).toBe(
      text`
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_xdp_entry
        n2: backlog <eth0[63] cil_xdp_entry cil_from_netdev policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[62] local_in socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n1: backlog <eth0[63] cil_xdp_entry
        outside: backlog <eth0[62] local_in socket
      events n1
        0 D48 Conntrack lookup 1/2: src=192.168.0.99:20000 dst=192.168.0.11:30080
        0 D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        0 D15 CT verdict: New, revnat=3
        0 D32 Service backend slot lookup: slot=1, dport=30080
        0 D50 Conntrack create: proxy-port=0 revnat=3 src-identity=0 lb=0.0.0.0
        0 D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.99:20000
        0 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        0 D15 CT verdict: New, revnat=3
        0 D50 Conntrack create: proxy-port=0 revnat=3 src-identity=2 lb=0.0.0.0
        0 D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.99:20000
        0 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        0 D8 CT entry found lifetime=L, revnat=3
        0 D15 CT verdict: Reply, revnat=3
        0 D36 Reverse NAT lookup, index=3
        0 D37 Performing reverse NAT, address=192.168.0.11 port=30080
      events n2
        H2 D58 Successfully mapped addr=192.168.0.11 to identity=6
        H2 T:from-network(6,0,0,eth0,unknown) ttl 63
        H2 D2 Attempting local delivery for container id 103 from seclabel 6
        C D48 Conntrack lookup 1/2: src=192.168.0.11:45050 dst=10.0.1.21:8080
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=6 lb=0.0.0.0
        C T:to-endpoint(6,idC,C,lxc_c,new) ttl 62 from 192.168.0.11
        SOCK pre-rev 192.168.0.11:45050
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.11:45050
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=192.168.0.11 to identity=6
        C T:to-network(idC,6,0,eth0,reply) ttl 63
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n2
        C T:to-endpoint(6,idC,C,lxc_c,new) ttl 62 from 192.168.0.11
        SOCK pre-rev 192.168.0.11:45050
        C T:to-network(idC,6,0,eth0,reply) ttl 63
    `,
    );
  });

  it("goes past the service code of tc to a local backend with acceleration", () => {
    const b = inBuilds(
      options({ "bpf-lb-acceleration": "native" }),
      service("a", NODE_PORT),
      toNodePort("a"),
    );
    expect(b.debug.text).toBe(
      text`
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_xdp_entry cil_from_netdev policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        outside: backlog <eth0[63] local_in socket
      events n1
        0 D48 Conntrack lookup 1/2: src=192.168.0.99:20000 dst=192.168.0.11:30080
        0 D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        0 D15 CT verdict: New, revnat=3
        0 D32 Service backend slot lookup: slot=1, dport=30080
        0 D50 Conntrack create: proxy-port=0 revnat=3 src-identity=0 lb=0.0.0.0
        0 D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=192.168.0.99:20000
        0 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        0 D15 CT verdict: New, revnat=3
        0 D50 Conntrack create: proxy-port=0 revnat=3 src-identity=2 lb=0.0.0.0
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D2 Attempting local delivery for container id 101 from seclabel 2
        A D48 Conntrack lookup 1/2: src=192.168.0.99:20000 dst=10.0.0.11:8080
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D15 CT verdict: New, revnat=0
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=2 lb=0.0.0.0
        A T:to-endpoint(2,idA,A,lxc_a,new) ttl 63 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:20000
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=192.168.0.99:20000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A D58 Successfully mapped addr=192.168.0.99 to identity=2
        A T:to-network(idA,2,0,eth0,reply) ttl 63
        H1 D36 Reverse NAT lookup, index=3
        H1 D48 Conntrack lookup 1/2: src=10.0.0.11:8080 dst=192.168.0.99:20000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H1 D8 CT entry found lifetime=L, revnat=3
        H1 D15 CT verdict: Reply, revnat=3
        H1 D37 Performing reverse NAT, address=192.168.0.11 port=30080
        H1 T:to-network(idA,0,0,eth0,reply) ttl 63
    `,
    );
  });
});

describe("(h) outside to a LoadBalancer address", () => {
  it("is a NodePort's way with the address of the service in the answer", () => {
    const vip = "192.168.77.7";
    const yaml = `${service("c", ", type: LoadBalancer").trimEnd()}
status: {loadBalancer: {ingress: [{ip: ${vip}}]}}
`;
    const b = inBuilds(options(), yaml, (lab) => {
      lab.exec("host/outside", `ip route add ${vip} via ${NODE_1}`);
      toNodePort("c", vip, 80)(lab);
    });
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
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:20000 dst=192.168.77.7:80
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        H1 D15 CT verdict: New, revnat=4
        H1 D32 Service backend slot lookup: slot=1, dport=80
        H1 D50 Conntrack create: proxy-port=0 revnat=4 src-identity=0 lb=0.0.0.0
        H1 D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.99:20000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        H1 D15 CT verdict: New, revnat=4
        H1 D50 Conntrack create: proxy-port=0 revnat=4 src-identity=2 lb=0.0.0.0
        H1 T:to-network(0,0,0,eth0,unknown) ttl 63
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        H1 D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.99:20000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H1 D8 CT entry found lifetime=L, revnat=4
        H1 D15 CT verdict: Reply, revnat=4
        H1 D36 Reverse NAT lookup, index=4
        H1 D37 Performing reverse NAT, address=192.168.77.7 port=80
        H1 T:to-network(0,0,0,eth0,unknown) ttl 62
      events n2
        H2 D58 Successfully mapped addr=192.168.0.11 to identity=6
        H2 T:from-network(6,0,0,eth0,unknown) ttl 63
        H2 D2 Attempting local delivery for container id 103 from seclabel 6
        C D48 Conntrack lookup 1/2: src=192.168.0.11:45050 dst=10.0.1.21:8080
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=6 lb=0.0.0.0
        C T:to-endpoint(6,idC,C,lxc_c,new) ttl 62 from 192.168.0.11
        SOCK pre-rev 192.168.0.11:45050
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:8080 dst=192.168.0.11:45050
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=192.168.0.11 to identity=6
        C T:to-network(idC,6,0,eth0,reply) ttl 63
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n2
        C T:to-endpoint(6,idC,C,lxc_c,new) ttl 62 from 192.168.0.11
        SOCK pre-rev 192.168.0.11:45050
        C T:to-network(idC,6,0,eth0,reply) ttl 63
    `,
    );
  });
});
