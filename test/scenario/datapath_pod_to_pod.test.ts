// Datapath facts, scenarios (a) to (e) and (n): pod to pod, request and reply, the whole trace.
import { describe, expect, it } from "vitest";
import type { DatapathName } from "../../src/cluster/model.js";
import type { Lab, LabOptions } from "../../src/lab.js";
import { inBuilds, withoutDebug } from "../support/datapath_lab.js";
import { text } from "../support/event_trace.js";

const ping = (to: string) => (lab: Lab) => void lab.ping({ from: "pod/a", to, id: 3072 });
const udp = (to: string) => (lab: Lab) =>
  void lab.udp({ from: "pod/a", to, port: 9000, sourcePort: 40000, size: 8 });

function options(datapath: DatapathName, more: Record<string, string> = {}): LabOptions {
  return { datapath, options: more };
}

const ROUTES = { "enable-endpoint-routes": "true" };

describe("(a) same node, BPF host routing", () => {
  const b = inBuilds(options("cilium-host-routing"), "", ping("pod/b"));

  it("goes from lxc to the other pod without the host's stack, TTL 63", () => {
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
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.0.12:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.0.12 to identity=3002
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A D2 Attempting local delivery for container id 102 from seclabel 3001
        B D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.0.12:0
        B D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        B D15 CT verdict: New, revnat=0
        B D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        B T:to-endpoint(idA,idB,B,lxc_b,new) ttl 63 from 10.0.0.11
        B T:from-endpoint(idB,0,0,0,unknown) ttl 64
        B D48 Conntrack lookup 1/2: src=10.0.0.12:0 dst=10.0.0.11:3072
        B D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Reply, revnat=0
        B D58 Successfully mapped addr=10.0.0.11 to identity=3001
        B D2 Attempting local delivery for container id 101 from seclabel 3002
        A D48 Conntrack lookup 1/2: src=10.0.0.12:0 dst=10.0.0.11:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from 10.0.0.12
    `,
    );
  });

  it("sends the same without debug messages in the default build, and two to-endpoint events at medium", () => {
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        B T:to-endpoint(idA,idB,B,lxc_b,new) ttl 63 from 10.0.0.11
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from 10.0.0.12
    `,
    );
  });
});

describe("(b) same node, legacy host routing", () => {
  const b = inBuilds(options("cilium-legacy"), "", ping("pod/b"));

  it("has the same events, but is transmitted through the other lxc device", () => {
    expect(b.debug.events).toBe(inBuilds(options("cilium-host-routing"), "", ping("pod/b")).debug.events);
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container policy(B) redirect(lxc_b) >lxc_b[63]
        pod/b: backlog <eth0[63] local_in
      packet
        pod/b: local_out >eth0[64]
        n1: backlog <lxc_b[64] cil_from_container policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in socket drop(NO_SOCKET)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.0.12:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.0.12 to identity=3002
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A D2 Attempting local delivery for container id 102 from seclabel 3001
        B D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.0.12:0
        B D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        B D15 CT verdict: New, revnat=0
        B D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        B T:to-endpoint(idA,idB,B,lxc_b,new) ttl 63 from 10.0.0.11
        B T:from-endpoint(idB,0,0,0,unknown) ttl 64
        B D48 Conntrack lookup 1/2: src=10.0.0.12:0 dst=10.0.0.11:3072
        B D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Reply, revnat=0
        B D58 Successfully mapped addr=10.0.0.11 to identity=3001
        B D2 Attempting local delivery for container id 101 from seclabel 3002
        A D48 Conntrack lookup 1/2: src=10.0.0.12:0 dst=10.0.0.11:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from 10.0.0.12
    `,
    );
  });

  it("sends the same without debug messages in the default build", () => {
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        B T:to-endpoint(idA,idB,B,lxc_b,new) ttl 63 from 10.0.0.11
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from 10.0.0.12
    `,
    );
  });
});

describe("(b, n) same node, legacy host routing with per-endpoint routes", () => {
  const b = inBuilds(options("cilium-legacy", ROUTES), "", ping("pod/b"));

  it("goes through the stack, and policy runs in cil_to_container", () => {
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >lxc_b[63] cil_to_container
        pod/b: backlog <eth0[63] local_in
      packet
        pod/b: local_out >eth0[64]
        n1: backlog <lxc_b[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >lxc_a[63] cil_to_container
        pod/a: backlog <eth0[63] local_in socket drop(NO_SOCKET)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.0.12:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.0.12 to identity=3002
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-stack(idA,idB,0,0,new) ttl 64
        A C4(0) ttl 64
        B D61 Inheriting identity=3001 from stack
        B T:from-stack(idA,idB,B,lxc_a,unknown) ttl 63
        B D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.0.12:0
        B D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        B D15 CT verdict: New, revnat=0
        B D2 Attempting local delivery for container id 102 from seclabel 3002
        B D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        B T:to-endpoint(idA,idB,B,lxc_b,new) ttl 63 from 10.0.0.11
        B T:from-endpoint(idB,0,0,0,unknown) ttl 64
        B D48 Conntrack lookup 1/2: src=10.0.0.12:0 dst=10.0.0.11:3072
        B D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Reply, revnat=0
        B D58 Successfully mapped addr=10.0.0.11 to identity=3001
        B T:to-stack(idB,idA,0,0,reply) ttl 64
        B C4(0) ttl 64
        A D61 Inheriting identity=3002 from stack
        A T:from-stack(idB,idA,A,lxc_b,unknown) ttl 63
        A D48 Conntrack lookup 1/2: src=10.0.0.12:0 dst=10.0.0.11:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A D2 Attempting local delivery for container id 101 from seclabel 3001
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from 10.0.0.12
    `,
    );
  });

  it("sends the same without debug messages in the default build", () => {
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-stack(idA,idB,0,0,new) ttl 64
        B T:to-endpoint(idA,idB,B,lxc_b,new) ttl 63 from 10.0.0.11
        B T:to-stack(idB,idA,0,0,reply) ttl 64
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from 10.0.0.12
    `,
    );
  });
});

describe("(n) same node, BPF host routing with per-endpoint routes", () => {
  const b = inBuilds(options("cilium-host-routing", ROUTES), "", ping("pod/b"));

  it("is delivered as without them", () => {
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
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.0.12:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.0.12 to identity=3002
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A D2 Attempting local delivery for container id 102 from seclabel 3001
        B D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.0.12:0
        B D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        B D15 CT verdict: New, revnat=0
        B D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        B T:to-endpoint(idA,idB,B,lxc_b,new) ttl 63 from 10.0.0.11
        B T:from-endpoint(idB,0,0,0,unknown) ttl 64
        B D48 Conntrack lookup 1/2: src=10.0.0.12:0 dst=10.0.0.11:3072
        B D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Reply, revnat=0
        B D58 Successfully mapped addr=10.0.0.11 to identity=3001
        B D2 Attempting local delivery for container id 101 from seclabel 3002
        A D48 Conntrack lookup 1/2: src=10.0.0.12:0 dst=10.0.0.11:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from 10.0.0.12
    `,
    );
  });
});

describe("(c) cross node, native routing, BPF host routing", () => {
  const b = inBuilds(options("cilium-host-routing"), "", ping("pod/c"));

  it("meets no netfilter hook on either node, TTL 62", () => {
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
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        H1 D2 Attempting local delivery for container id 101 from seclabel 3003
        A D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from 10.0.1.21
      events n2
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        H2 D2 Attempting local delivery for container id 103 from seclabel 3001
        C D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 62 from 10.0.0.11
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=10.0.0.11 to identity=3001
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
    `,
    );
  });

  it("sends the same without debug messages in the default build, and four events at medium", () => {
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from 10.0.1.21
      events n2
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 62 from 10.0.0.11
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
    `,
    );
  });

  it("asks the NAT map on the way in for a datagram from a port of the NAT range", () => {
    expect(inBuilds(options("cilium-host-routing"), "", udp("pod/c")).debug.text).toBe(
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
        A D48 Conntrack lookup 1/2: src=10.0.0.11:40000 dst=10.0.1.21:9000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        H1 D2 Attempting local delivery for container id 101 from seclabel 3003
        A D48 Conntrack lookup 1/2: src=10.0.1.21:9000 dst=10.0.0.11:40000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from 10.0.1.21
        SOCK pre-rev 10.0.1.21:9000
      events n2
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        H2 D2 Attempting local delivery for container id 103 from seclabel 3001
        C D48 Conntrack lookup 1/2: src=10.0.0.11:40000 dst=10.0.1.21:9000
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 62 from 10.0.0.11
        SOCK pre-rev 10.0.0.11:40000
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:9000 dst=10.0.0.11:40000
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=10.0.0.11 to identity=3001
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
    `,
    );
  });
});

describe("(c, n) cross node, BPF host routing with per-endpoint routes", () => {
  it("is as without them", () => {
    const b = inBuilds(options("cilium-host-routing", ROUTES), "", ping("pod/c"));
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
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        H1 D2 Attempting local delivery for container id 101 from seclabel 3003
        A D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from 10.0.1.21
      events n2
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        H2 D2 Attempting local delivery for container id 103 from seclabel 3001
        C D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 62 from 10.0.0.11
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=10.0.0.11 to identity=3001
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
    `,
    );
  });
});

describe("(d) cross node, native routing, legacy host routing", () => {
  const b = inBuilds(options("cilium-legacy"), "", ping("pod/c"));

  it("is forwarded by both kernels and enters the far pod through cilium_host, TTL 61", () => {
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[62] cil_from_host policy(C) redirect(lxc_c) >lxc_c[61]
        pod/c: backlog <eth0[61] local_in
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[63] cil_to_netdev
        n1: backlog <eth0[63] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[62] cil_from_host policy(A) redirect(lxc_a) >lxc_a[61]
        pod/a: backlog <eth0[61] local_in socket drop(NO_SOCKET)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-stack(idA,idC,0,0,new) ttl 64
        A C4(0) ttl 64
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        H1 D61 Inheriting identity=2 from stack
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 T:from-host(idC,0,0,eth0,unknown) ttl 62
        H1 D2 Attempting local delivery for container id 101 from seclabel 3003
        A D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 61 from 10.0.1.21
      events n2
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        H2 D61 Inheriting identity=2 from stack
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 T:from-host(idA,0,0,eth0,unknown) ttl 62
        H2 D2 Attempting local delivery for container id 103 from seclabel 3001
        C D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 61 from 10.0.0.11
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=10.0.0.11 to identity=3001
        C T:to-stack(idC,idA,0,0,reply) ttl 64
        C C4(0) ttl 64
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
    `,
    );
  });

  it("sends the same without debug messages in the default build", () => {
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-stack(idA,idC,0,0,new) ttl 64
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 61 from 10.0.1.21
      events n2
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 61 from 10.0.0.11
        C T:to-stack(idC,idA,0,0,reply) ttl 64
    `,
    );
  });

  it("took one from the TTL more on each node in 1.11", () => {
    const old = inBuilds({ ...options("cilium-legacy"), profile: "1.11" }, "", ping("pod/c"));
    expect(old.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[62] cil_to_netdev
        n2: backlog <eth0[62] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[61] cil_from_host policy(C) redirect(lxc_c) >lxc_c[60]
        pod/c: backlog <eth0[60] local_in
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[62] cil_to_netdev
        n1: backlog <eth0[62] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[61] cil_from_host policy(A) redirect(lxc_a) >lxc_a[60]
        pod/a: backlog <eth0[60] local_in socket drop(NO_SOCKET)
      events n1
        A T:from-endpoint(idA,0,0,0,new) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-stack(idA,idC,0,0,new) ttl 63
        A C4(0) ttl 63
        H1 T:to-network(0,0,0,0,new) ttl 62
        H1 T:from-network(0,0,0,eth0,new) ttl 62
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 D61 Inheriting identity=2 from stack
        H1 T:from-host(2,0,0,eth0,new) ttl 61
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 D2 Attempting local delivery for container id 101 from seclabel 3003
        A D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 60 from 10.0.1.21
      events n2
        H2 T:from-network(0,0,0,eth0,new) ttl 62
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 D61 Inheriting identity=2 from stack
        H2 T:from-host(2,0,0,eth0,new) ttl 61
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 D2 Attempting local delivery for container id 103 from seclabel 3001
        C D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=0
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 60 from 10.0.0.11
        C T:from-endpoint(idC,0,0,0,new) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=1
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=10.0.0.11 to identity=3001
        C T:to-stack(idC,idA,0,0,reply) ttl 63
        C C4(0) ttl 63
        H2 T:to-network(0,0,0,0,new) ttl 62
    `,
    );
  });
});

describe("(d, n) cross node, legacy host routing with per-endpoint routes", () => {
  it("is routed to the lxc device and judged by cil_to_container", () => {
    const b = inBuilds(options("cilium-legacy", ROUTES), "", ping("pod/c"));
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >lxc_c[62] cil_to_container
        pod/c: backlog <eth0[62] local_in
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[63] cil_to_netdev
        n1: backlog <eth0[63] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >lxc_a[62] cil_to_container
        pod/a: backlog <eth0[62] local_in socket drop(NO_SOCKET)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-stack(idA,idC,0,0,new) ttl 64
        A C4(0) ttl 64
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        A D61 Inheriting identity=2 from stack
        A T:from-stack(2,idA,A,eth0,unknown) ttl 62
        A D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D2 Attempting local delivery for container id 101 from seclabel 3001
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from 10.0.1.21
      events n2
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        C D61 Inheriting identity=2 from stack
        C T:from-stack(2,idC,C,eth0,unknown) ttl 62
        C D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D58 Successfully mapped addr=10.0.0.11 to identity=3001
        C D2 Attempting local delivery for container id 103 from seclabel 3003
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 62 from 10.0.0.11
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=10.0.0.11 to identity=3001
        C T:to-stack(idC,idA,0,0,reply) ttl 64
        C C4(0) ttl 64
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-stack(idA,idC,0,0,new) ttl 64
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from 10.0.1.21
      events n2
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 62 from 10.0.0.11
        C T:to-stack(idC,idA,0,0,reply) ttl 64
    `,
    );
  });
});

describe("(e) cross node, VXLAN", () => {
  const b = inBuilds(options("cilium-vxlan"), "", ping("pod/c"));

  it("is carried from tunnel device to tunnel device, TTL 63", () => {
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect(cilium_vxlan) >cilium_vxlan[64] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_vxlan[64] cil_from_overlay policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[63] local_in
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect(cilium_vxlan) >cilium_vxlan[64] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_vxlan[64] cil_from_overlay policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket drop(NO_SOCKET)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A D3 Encapsulating to node 201369792 (0xc00a8c0) from seclabel 3001
        A T:to-overlay(idA,idC,0,cilium_vxlan,new) ttl 64
        0 T:to-overlay(idA,0,0,cilium_vxlan,unknown) ttl 64
        H1 T:to-network(1,0,0,eth0,unknown) ttl 64 vxlan
        H1 D58 Successfully mapped addr=192.168.0.12 to identity=6
        H1 T:from-network(6,0,0,eth0,unknown) ttl 64 vxlan
        0 D16 Tunnel decap: id=3003 flowlabel=0
        0 T:from-overlay(idC,0,0,cilium_vxlan,unknown) ttl 64
        0 D2 Attempting local delivery for container id 101 from seclabel 3003
        A D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 63 from 10.0.1.21
      events n2
        H2 D58 Successfully mapped addr=192.168.0.11 to identity=6
        H2 T:from-network(6,0,0,eth0,unknown) ttl 64 vxlan
        0 D16 Tunnel decap: id=3001 flowlabel=0
        0 T:from-overlay(idA,0,0,cilium_vxlan,unknown) ttl 64
        0 D2 Attempting local delivery for container id 103 from seclabel 3001
        C D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 63 from 10.0.0.11
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=10.0.0.11 to identity=3001
        C D3 Encapsulating to node 184592576 (0xb00a8c0) from seclabel 3003
        C T:to-overlay(idC,idA,0,cilium_vxlan,reply) ttl 64
        0 T:to-overlay(idC,0,0,cilium_vxlan,unknown) ttl 64
        H2 T:to-network(1,0,0,eth0,unknown) ttl 64 vxlan
    `,
    );
  });

  it("sends the same without debug messages in the default build", () => {
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-overlay(idA,idC,0,cilium_vxlan,new) ttl 64
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 63 from 10.0.1.21
      events n2
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 63 from 10.0.0.11
        C T:to-overlay(idC,idA,0,cilium_vxlan,reply) ttl 64
    `,
    );
  });

  it("leaves the tunnel device by lxc with legacy host routing", () => {
    const legacy = options("cilium-vxlan", { "enable-host-legacy-routing": "true" });
    expect(inBuilds(legacy, "", ping("pod/c")).debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect(cilium_vxlan) >cilium_vxlan[64] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_vxlan[64] cil_from_overlay policy(C) redirect(lxc_c) >lxc_c[63]
        pod/c: backlog <eth0[63] local_in
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect(cilium_vxlan) >cilium_vxlan[64] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_vxlan[64] cil_from_overlay policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in socket drop(NO_SOCKET)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A D3 Encapsulating to node 201369792 (0xc00a8c0) from seclabel 3001
        A T:to-overlay(idA,idC,0,cilium_vxlan,new) ttl 64
        0 T:to-overlay(idA,0,0,cilium_vxlan,unknown) ttl 64
        H1 T:to-network(1,0,0,eth0,unknown) ttl 64 vxlan
        H1 D58 Successfully mapped addr=192.168.0.12 to identity=6
        H1 T:from-network(6,0,0,eth0,unknown) ttl 64 vxlan
        0 D16 Tunnel decap: id=3003 flowlabel=0
        0 T:from-overlay(idC,0,0,cilium_vxlan,unknown) ttl 64
        0 D2 Attempting local delivery for container id 101 from seclabel 3003
        A D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 63 from 10.0.1.21
      events n2
        H2 D58 Successfully mapped addr=192.168.0.11 to identity=6
        H2 T:from-network(6,0,0,eth0,unknown) ttl 64 vxlan
        0 D16 Tunnel decap: id=3001 flowlabel=0
        0 T:from-overlay(idA,0,0,cilium_vxlan,unknown) ttl 64
        0 D2 Attempting local delivery for container id 103 from seclabel 3001
        C D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 63 from 10.0.0.11
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=10.0.0.11 to identity=3001
        C D3 Encapsulating to node 184592576 (0xb00a8c0) from seclabel 3003
        C T:to-overlay(idC,idA,0,cilium_vxlan,reply) ttl 64
        0 T:to-overlay(idC,0,0,cilium_vxlan,unknown) ttl 64
        H2 T:to-network(1,0,0,eth0,unknown) ttl 64 vxlan
    `,
    );
  });
});

describe("(e) cross node, Geneve", () => {
  it("has VXLAN's events under the other device's name", () => {
    const b = inBuilds(options("cilium-geneve"), "", ping("pod/c"));
    const vxlan = inBuilds(options("cilium-vxlan"), "", ping("pod/c"));
    expect(b.debug.text).toBe(vxlan.debug.text.replaceAll("vxlan", "geneve"));
    expect(b.medium.text).toBe(vxlan.medium.text.replaceAll("vxlan", "geneve"));
  });
});
