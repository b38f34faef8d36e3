// Datapath facts, scenarios (i) to (m): host and pod, drops, ICMP errors, the L7 proxy's redirect, ARP.
import { describe, expect, it } from "vitest";
import { LxcKey } from "../../maps/lxc.js";
import { EHOSTUNREACH } from "../../src/base/errno.js";
import type { CiliumNode } from "../../src/cluster/cilium/plane.js";
import { Ping } from "../../src/kernel/raw.js";
import { TcpSock } from "../../src/kernel/tcp.js";
import { UdpSock } from "../../src/kernel/udp.js";
import type { Lab, LabOptions } from "../../src/lab.js";
import { parseIpv4 } from "../../src/net/address.js";
import { DEBUG, datapathLab, inBuilds, NAMES, withoutDebug } from "../support/datapath_lab.js";
import { text, traceOf } from "../support/event_trace.js";
import { NODE_1, NODE_2, OUTSIDE, POD_B, POD_C } from "../support/two_nodes.js";

const ping = (from: string, to: string) => (lab: Lab) => void lab.ping({ from, to, id: 3072 });
const udp =
  (from: string, to: string, port = 9000) =>
  (lab: Lab) =>
    void lab.udp({ from, to, port, sourcePort: 20000, size: 8 });

/** One echo request that nobody answers; the neighbour tables are left alone meanwhile. */
const request =
  (from: string, to: string, ttl = 64) =>
  (lab: Lab): void => {
    const p = new Ping(lab.endpoint(from).ns!, lab.endpoint(to).ip4, 3072);
    p.sock.ttl = ttl;
    p.send(1, 56);
    lab.advance("100ms");
    p.close();
  };
/** One datagram that nobody answers. */
const datagram =
  (from: string, to: string, port = 9000) =>
  (lab: Lab): void => {
    const sock = new UdpSock(lab.endpoint(from).ns!);
    sock.recverr = true;
    sock.bind(0, 20000);
    if (sock.connect(lab.endpoint(to).ip4, port) === 0) sock.sendto(new Uint8Array(8));
    lab.advance("100ms");
    sock.close();
  };

const BPF: LabOptions = { datapath: "cilium-host-routing" };
const LEGACY: LabOptions = { datapath: "cilium-legacy" };
const VXLAN: LabOptions = { datapath: "cilium-vxlan" };

function policy(kind: string, name: string, spec: string): string {
  return `---
apiVersion: ${kind === "NetworkPolicy" ? "networking.k8s.io/v1" : "cilium.io/v2"}
kind: ${kind}
metadata: {name: ${name}}
spec: ${spec}
`;
}

describe("(i) host to pod", () => {
  it("goes by cilium_host to a pod of the node", () => {
    const b = inBuilds(BPF, "", ping("node/n1", "pod/a"));
    expect(b.debug.text).toBe(
      text`
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING local_in INPUT socket drop(NO_SOCKET)
      events n1
        H1 D61 Inheriting identity=1 from stack
        H1 D58 Successfully mapped addr=10.0.0.1 to identity=1
        H1 T:from-host(1,0,0,0,unknown) ttl 64
        H1 D2 Attempting local delivery for container id 101 from seclabel 1
        A D48 Conntrack lookup 1/2: src=10.0.0.1:3072 dst=10.0.0.11:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        A D15 CT verdict: New, revnat=0
        A D55 Matched L4 policy; creating conntrack src=1 dst=3001 dport=0 proto=1
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=1 lb=0.0.0.0
        A T:to-endpoint(1,idA,A,lxc_a,new) ttl 63 from 10.0.0.1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:0 dst=10.0.0.1:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A D58 Successfully mapped addr=10.0.0.1 to identity=1
        A T:to-stack(idA,1,0,0,reply) ttl 64
        A C4(0) ttl 64
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-endpoint(1,idA,A,lxc_a,new) ttl 63 from 10.0.0.1
        A T:to-stack(idA,1,0,0,reply) ttl 64
    `,
    );
  });

  it("goes by the node's own device to a pod of another node in native routing", () => {
    const b = inBuilds(BPF, "", ping("node/n1", "pod/c"));
    expect(b.debug.text).toBe(
      text`
      packet
        n1: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[63] local_in
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n1: backlog <eth0[63] cil_from_netdev PREROUTING local_in INPUT socket drop(NO_SOCKET)
      events n1
        H1 D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=192.168.0.11:3072
        H1 D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=0 scope=0
        H1 D15 CT verdict: New, revnat=0
        H1 D50 Conntrack create: proxy-port=0 revnat=0 src-identity=0 lb=0.0.0.0
        H1 T:to-network(1,0,0,eth0,new) ttl 64 from 192.168.0.11
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        H1 D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=192.168.0.11:3072
        H1 D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=1
        H1 D8 CT entry found lifetime=L, revnat=0
        H1 D15 CT verdict: Reply, revnat=0
      events n2
        H2 D58 Successfully mapped addr=192.168.0.11 to identity=6
        H2 T:from-network(6,0,0,eth0,unknown) ttl 64
        H2 D2 Attempting local delivery for container id 103 from seclabel 6
        C D48 Conntrack lookup 1/2: src=192.168.0.11:3072 dst=10.0.1.21:0
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=6 lb=0.0.0.0
        C T:to-endpoint(6,idC,C,lxc_c,new) ttl 63 from 192.168.0.11
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=192.168.0.11:3072
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=192.168.0.11 to identity=6
        C T:to-network(idC,6,0,eth0,reply) ttl 63
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
    `,
    );
    expect(b.medium.events).toBe(
      text`
      events n1
        H1 T:to-network(1,0,0,eth0,new) ttl 64 from 192.168.0.11
      events n2
        C T:to-endpoint(6,idC,C,lxc_c,new) ttl 63 from 192.168.0.11
        C T:to-network(idC,6,0,eth0,reply) ttl 63
    `,
    );
  });

  it("goes by cilium_host and the tunnel to a pod of another node in tunnel mode", () => {
    const b = inBuilds(VXLAN, "", ping("node/n1", "pod/c"));
    expect(b.debug.text).toBe(
      text`
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host redirect(cilium_vxlan) >cilium_vxlan[64] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_vxlan[64] cil_from_overlay policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[63] local_in
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect(cilium_vxlan) >cilium_vxlan[64] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_vxlan[64] cil_from_overlay redirect_ingress(cilium_host) backlog <cilium_host[63] cil_to_host PREROUTING local_in INPUT socket drop(NO_SOCKET)
      events n1
        H1 D61 Inheriting identity=1 from stack
        H1 D58 Successfully mapped addr=10.0.0.1 to identity=1
        H1 T:from-host(1,0,0,0,unknown) ttl 64
        H1 D3 Encapsulating to node 201369792 (0xc00a8c0) from seclabel 6
        H1 T:to-overlay(6,idC,0,cilium_vxlan,unknown) ttl 64
        0 T:to-overlay(6,0,0,cilium_vxlan,unknown) ttl 64
        H1 T:to-network(1,0,0,eth0,unknown) ttl 64 vxlan
        H1 D58 Successfully mapped addr=192.168.0.12 to identity=6
        H1 T:from-network(6,0,0,eth0,unknown) ttl 64 vxlan
        0 D16 Tunnel decap: id=3003 flowlabel=0
        0 T:from-overlay(idC,0,0,cilium_vxlan,unknown) ttl 64
        0 C4(3) ttl 63
        H1 T:to-stack(0,0,0,cilium_host,unknown) ttl 63
      events n2
        H2 D58 Successfully mapped addr=192.168.0.11 to identity=6
        H2 T:from-network(6,0,0,eth0,unknown) ttl 64 vxlan
        0 D16 Tunnel decap: id=6 flowlabel=0
        0 T:from-overlay(6,0,0,cilium_vxlan,unknown) ttl 64
        0 D2 Attempting local delivery for container id 103 from seclabel 6
        C D48 Conntrack lookup 1/2: src=10.0.0.1:3072 dst=10.0.1.21:0
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=6 lb=0.0.0.0
        C T:to-endpoint(6,idC,C,lxc_c,new) ttl 63 from 10.0.0.1
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.1:3072
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=10.0.0.1 to identity=6
        C D3 Encapsulating to node 184592576 (0xb00a8c0) from seclabel 3003
        C T:to-overlay(idC,6,0,cilium_vxlan,reply) ttl 64
        0 T:to-overlay(idC,0,0,cilium_vxlan,unknown) ttl 64
        H2 T:to-network(1,0,0,eth0,unknown) ttl 64 vxlan
    `,
    );
    expect(b.medium.events).toBe(
      text`
      events n1
        H1 T:to-overlay(6,idC,0,cilium_vxlan,unknown) ttl 64
      events n2
        C T:to-endpoint(6,idC,C,lxc_c,new) ttl 63 from 10.0.0.1
        C T:to-overlay(idC,6,0,cilium_vxlan,reply) ttl 64
    `,
    );
  });
});

describe("(i) pod to host", () => {
  it("is handed to the stack of its own node", () => {
    const b = inBuilds(BPF, "", ping("pod/a", NODE_1));
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING local_in INPUT
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in socket drop(NO_SOCKET)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=192.168.0.11:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=192.168.0.11 to identity=1
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-stack(idA,1,0,0,new) ttl 64
        A C4(0) ttl 64
        H1 D61 Inheriting identity=1 from stack
        H1 D58 Successfully mapped addr=192.168.0.11 to identity=1
        H1 T:from-host(1,0,0,0,unknown) ttl 64
        H1 D2 Attempting local delivery for container id 101 from seclabel 1
        A D48 Conntrack lookup 1/2: src=192.168.0.11:0 dst=10.0.0.11:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(1,idA,A,lxc_a,reply) ttl 63 from 192.168.0.11
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-stack(idA,1,0,0,new) ttl 64
        A T:to-endpoint(1,idA,A,lxc_a,reply) ttl 63 from 192.168.0.11
    `,
    );
  });

  it("goes out like any pod's packet to another node", () => {
    expect(inBuilds(BPF, "", ping("pod/a", NODE_2)).debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev PREROUTING local_in INPUT
      packet
        n2: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket drop(NO_SOCKET)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=192.168.0.12:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=192.168.0.12 to identity=6
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-network(idA,6,0,eth0,new) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
        H1 D58 Successfully mapped addr=192.168.0.12 to identity=6
        H1 T:from-network(6,0,0,eth0,unknown) ttl 64
        H1 D2 Attempting local delivery for container id 101 from seclabel 6
        A D48 Conntrack lookup 1/2: src=192.168.0.12:0 dst=10.0.0.11:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(6,idA,A,lxc_a,reply) ttl 63 from 192.168.0.12
      events n2
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        H2 T:to-network(1,0,0,eth0,unknown) ttl 64 from 192.168.0.12
    `,
    );
  });

  it("is masqueraded to another node in tunnel mode, and not encapsulated", () => {
    expect(inBuilds(VXLAN, "", ping("pod/a", NODE_2)).debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev PREROUTING local_in INPUT
      packet
        n2: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket drop(NO_SOCKET)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=192.168.0.12:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=192.168.0.12 to identity=6
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-network(idA,6,0,eth0,new) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63 from 10.0.0.11
        H1 D58 Successfully mapped addr=192.168.0.12 to identity=6
        H1 T:from-network(6,0,0,eth0,unknown) ttl 64
        H1 D2 Attempting local delivery for container id 101 from seclabel 6
        A D48 Conntrack lookup 1/2: src=192.168.0.12:0 dst=10.0.0.11:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(6,idA,A,lxc_a,reply) ttl 63 from 192.168.0.12
      events n2
        H2 D58 Successfully mapped addr=192.168.0.11 to identity=6
        H2 T:from-network(6,0,0,eth0,unknown) ttl 63
        H2 T:to-network(1,0,0,eth0,unknown) ttl 64 from 192.168.0.12
    `,
    );
  });
});

describe("(j) drops", () => {
  it("names both identities and the endpoint when a NetworkPolicy does not allow ingress", () => {
    const b = inBuilds(
      BPF,
      policy("NetworkPolicy", "closed", "{podSelector: {matchLabels: {app: b}}, policyTypes: [Ingress]}"),
      datagram("pod/a", "pod/b"),
    );
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container policy(B) drop(Policy denied) drop(TC_INGRESS)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:9000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.0.12 to identity=3002
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A D2 Attempting local delivery for container id 102 from seclabel 3001
        B D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:9000
        B D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        B D15 CT verdict: New, revnat=0
        B D5 Policy evaluation would deny packet from 3001 to 3002
        B V ingress idA 9000/17 deny 133 match none
        B DROP 133(idA,idB,B,lxc_a) ttl 63
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        B V ingress idA 9000/17 deny 133 match none
        B DROP 133(idA,idB,B,lxc_a) ttl 63
    `,
    );
  });

  it("names both identities when a NetworkPolicy does not allow egress", () => {
    const b = inBuilds(
      BPF,
      policy("NetworkPolicy", "closed", "{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress]}"),
      datagram("pod/a", "pod/c"),
    );
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container drop(Policy denied) drop(TC_INGRESS)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.1.21:9000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D5 Policy evaluation would deny packet from 3001 to 3003
        A V egress idC 9000/17 deny 133 match none
        A DROP 133(idA,idC,0,lxc_a) ttl 64
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A V egress idC 9000/17 deny 133 match none
        A DROP 133(idA,idC,0,lxc_a) ttl 64
    `,
    );
  });

  it("has a reason of its own for what a CiliumNetworkPolicy denies", () => {
    const b = inBuilds(
      BPF,
      policy(
        "CiliumNetworkPolicy",
        "deny",
        "{endpointSelector: {matchLabels: {app: c}}, ingress: [{fromEntities: [all]}], ingressDeny: [{fromEndpoints: [{matchLabels: {app: a}}]}]}",
      ),
      datagram("pod/a", "pod/c"),
    );
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev policy(C) drop(Policy denied by denylist) drop(TC_INGRESS)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.1.21:9000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
      events n2
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        H2 D2 Attempting local delivery for container id 103 from seclabel 3001
        C D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.1.21:9000
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D55 Matched L4 policy; creating conntrack src=3001 dst=3003 dport=9000 proto=17
        C D5 Policy evaluation would deny packet from 3001 to 3003
        C V ingress idA 9000/17 deny 181 match L3-Only
        C DROP 181(idA,idC,C,eth0) ttl 62
    `,
    );
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-network(idA,idC,0,eth0,new) ttl 63
      events n2
        C V ingress idA 9000/17 deny 181 match L3-Only
        C DROP 181(idA,idC,C,eth0) ttl 62
    `,
    );
  });

  it("logs what an enforced policy allows, with the entry that matched", () => {
    const b = inBuilds(
      BPF,
      policy(
        "NetworkPolicy",
        "open",
        "{podSelector: {matchLabels: {app: b}}, ingress: [{from: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 9000, protocol: UDP}]}]}",
      ),
      udp("pod/a", "pod/b"),
    );
    expect(b.debug.events).toBe(
      text`
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:9000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.0.12 to identity=3002
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A D2 Attempting local delivery for container id 102 from seclabel 3001
        B D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:9000
        B D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        B D15 CT verdict: New, revnat=0
        B D55 Matched L4 policy; creating conntrack src=3001 dst=3002 dport=9000 proto=17
        B V ingress idA 9000/17 allow match L3-L4
        B D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        B T:to-endpoint(idA,idB,B,lxc_b,new) ttl 63 from 10.0.0.11
        SOCK pre-rev 10.0.0.11:20000
        B T:from-endpoint(idB,0,0,0,unknown) ttl 64
        B D48 Conntrack lookup 1/2: src=10.0.0.12:9000 dst=10.0.0.11:20000
        B D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Reply, revnat=0
        B D58 Successfully mapped addr=10.0.0.11 to identity=3001
        B D2 Attempting local delivery for container id 101 from seclabel 3002
        A D48 Conntrack lookup 1/2: src=10.0.0.12:9000 dst=10.0.0.11:20000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from 10.0.0.12
        SOCK pre-rev 10.0.0.12:9000
    `,
    );
    expect(b.medium.events).toBe(
      text`
      events n1
        B V ingress idA 9000/17 allow match L3-L4
        B T:to-endpoint(idA,idB,B,lxc_b,new) ttl 63 from 10.0.0.11
        SOCK pre-rev 10.0.0.11:20000
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from 10.0.0.12
        SOCK pre-rev 10.0.0.12:9000
    `,
    );
  });

  it("refuses a source that is not the pod's", () => {
    const b = inBuilds(BPF, "", (lab) => {
      lab.exec("pod/a", "ip addr add 10.0.0.77/32 dev eth0");
      lab.exec("pod/a", "ip route add 10.0.1.0/24 via 10.0.0.1 dev eth0 src 10.0.0.77");
      request("pod/a", POD_C)(lab);
    });
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container drop(Invalid source ip) drop(TC_INGRESS)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A DROP 132(idA,0,0,lxc_a) ttl 64
    `,
    );
    expect(b.medium.events).toBe(
      text`
      events n1
        A DROP 132(idA,0,0,lxc_a) ttl 64
    `,
    );
  });

  it("answers a service without backends with port unreachable, and sends no drop event", () => {
    const service = `---
apiVersion: v1
kind: Service
metadata: {name: none}
spec: {selector: {app: nobody}, clusterIP: 10.96.0.20, ports: [{port: 80, protocol: UDP}]}
`;
    const b = inBuilds(
      { ...BPF, options: { "bpf-lb-sock-hostns-only": "true" } },
      service,
      datagram("pod/a", "10.96.0.20", 80),
    );
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect(lxc_a) >lxc_a[64]
        pod/a: backlog <eth0[64] local_in
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.96.0.20:80
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=4 dir=2 scope=1
        A D15 CT verdict: New, revnat=1
        A C4(5) ttl 64
    `,
    );
    expect(b.medium.events).toMatchInlineSnapshot(`""`);
  });

  it("fails connect() to a service without backends with socket load balancing", () => {
    const service = `---
apiVersion: v1
kind: Service
metadata: {name: none}
spec: {selector: {app: nobody}, clusterIP: 10.96.0.20, ports: [{port: 80, protocol: UDP}]}
`;
    let errno = 0;
    const b = inBuilds(BPF, service, (lab) => {
      errno = lab.udp({ from: "pod/a", to: "10.96.0.20", port: 80 }).errno;
    });
    expect(errno).toBe(EHOSTUNREACH);
    expect(b.plain.text).toMatchInlineSnapshot(`""`);
  });

  it("drops what an endpoint without programs should get", () => {
    const lab = datapathLab({ ...BPF, options: DEBUG });
    (lab.node("n1") as CiliumNode).datapath.unloadLxc(102);
    expect(traceOf(lab, NAMES, () => request("pod/a", "pod/b")(lab)).text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container policy(B) drop(Endpoint policy program not available) drop(TC_INGRESS)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.0.12:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.0.12 to identity=3002
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A D2 Attempting local delivery for container id 102 from seclabel 3001
        A DROP 203(idA,idB,0,lxc_a) ttl 63
    `,
    );
  });

  it("loops between cilium_host and cilium_net until its TTL ends if cilium_lxc does not know the pod", () => {
    const lab = datapathLab({ ...LEGACY, options: DEBUG });
    (lab.node("n2") as CiliumNode).maps.cilium_lxc.remove(
      new LxcKey().setIpv4(lab.endpoint("pod/c").ip4).words,
    );
    expect(traceOf(lab, NAMES, () => request("pod/a", "pod/c", 4)(lab)).text).toBe(
      text`
      packet
        pod/a: local_out >eth0[4]
        n1: backlog <lxc_a[4] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[3] cil_to_netdev
        n2: backlog <eth0[3] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[2] cil_from_host backlog <cilium_net[2] cil_to_host PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[1] cil_from_host backlog <cilium_net[1] cil_to_host PREROUTING icmp_error(11,0) drop(IP_INHDR)
      packet
        n2: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[63] cil_from_host policy(A) redirect(lxc_a) >lxc_a[62]
        pod/a: backlog <eth0[62] local_in socket
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 4
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-stack(idA,idC,0,0,new) ttl 4
        A C4(0) ttl 4
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 3
        H1 D58 Successfully mapped addr=192.168.0.12 to identity=6
        H1 T:from-network(6,0,0,eth0,unknown) ttl 64
        H1 D61 Inheriting identity=2 from stack
        H1 D58 Successfully mapped addr=192.168.0.12 to identity=6
        H1 T:from-host(6,0,0,eth0,unknown) ttl 63
        H1 D2 Attempting local delivery for container id 101 from seclabel 6
        A D48 Conntrack lookup 1/2: src=192.168.0.12:0 dst=10.0.0.11:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=2 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Related, revnat=0
        A T:to-endpoint(6,idA,A,lxc_a,related) ttl 62 from 192.168.0.12
      events n2
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 3
        H2 D61 Inheriting identity=2 from stack
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 T:from-host(idA,0,0,eth0,unknown) ttl 2
        H2 T:to-stack(0,0,0,cilium_host,unknown) ttl 2
        H2 D61 Inheriting identity=2 from stack
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 T:from-host(idA,0,0,cilium_net,unknown) ttl 1
        H2 T:to-stack(0,0,0,cilium_host,unknown) ttl 1
        H2 T:to-network(1,0,0,eth0,unknown) ttl 64 from 192.168.0.12
    `,
    );
  });
});

describe("(j, k) TTL", () => {
  it("of 1 ends in local delivery, silently for the sender", () => {
    const b = inBuilds(BPF, "", request("pod/a", "pod/b", 1));
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[1]
        n1: backlog <lxc_a[1] cil_from_container drop(TTL exceeded) drop(TC_INGRESS)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 1
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.0.12:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.0.12 to identity=3002
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A D2 Attempting local delivery for container id 102 from seclabel 3001
        A DROP 196(idA,idB,0,lxc_a) ttl 1
    `,
    );
    expect(b.medium.events).toBe(
      text`
      events n1
        A DROP 196(idA,idB,0,lxc_a) ttl 1
    `,
    );
  });

  it("of 1 ends in FIB forwarding, silently for the sender", () => {
    expect(inBuilds(BPF, "", request("pod/a", "pod/c", 1)).debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[1]
        n1: backlog <lxc_a[1] cil_from_container drop(TTL exceeded) drop(TC_INGRESS)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 1
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A DROP 196(idA,idC,0,lxc_a) ttl 1
    `,
    );
  });

  it("of 1 makes the node's kernel send time exceeded with legacy host routing", () => {
    expect(inBuilds(LEGACY, "", request("pod/a", "pod/c", 1)).debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[1]
        n1: backlog <lxc_a[1] cil_from_container PREROUTING icmp_error(11,0) drop(IP_INHDR)
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in socket
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 1
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-stack(idA,idC,0,0,new) ttl 1
        A C4(0) ttl 1
        H1 D61 Inheriting identity=1 from stack
        H1 D58 Successfully mapped addr=10.0.0.1 to identity=1
        H1 T:from-host(1,0,0,0,unknown) ttl 64
        H1 D2 Attempting local delivery for container id 101 from seclabel 1
        A D48 Conntrack lookup 1/2: src=10.0.0.1:0 dst=10.0.0.11:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=2 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Established, revnat=0
        A D55 Matched L4 policy; creating conntrack src=1 dst=3001 dport=0 proto=1
        A T:to-endpoint(1,idA,A,lxc_a,established) ttl 63 from 10.0.0.1
    `,
    );
  });
});

describe("(k) ICMP errors", () => {
  /** A datagram to a port where nobody listens. */
  const unserved = (to: string, sourcePort: number) => (lab: Lab) => {
    const sock = new UdpSock(lab.endpoint("pod/a").ns!);
    sock.recverr = true;
    sock.bind(0, sourcePort);
    sock.connect(parseIpv4(to), 7);
    sock.sendto(new Uint8Array(8));
    expect(lab.runWhileWaiting(() => sock.errqueue.length > 0, 1e9)).toBe(true);
    sock.close();
  };

  it("of a peer are related to the connection", () => {
    const b = inBuilds(BPF, "", unserved(POD_B, 20000));
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container policy(B) redirect_peer(lxc_b)
        pod/b: <eth0[63] local_in icmp_error(3,3) drop(NO_SOCKET)
      packet
        pod/b: local_out >eth0[64]
        n1: backlog <lxc_b[64] cil_from_container policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:7
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.0.12 to identity=3002
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A D2 Attempting local delivery for container id 102 from seclabel 3001
        B D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:7
        B D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        B D15 CT verdict: New, revnat=0
        B D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        B T:to-endpoint(idA,idB,B,lxc_b,new) ttl 63 from 10.0.0.11
        B T:from-endpoint(idB,0,0,0,unknown) ttl 64
        B D48 Conntrack lookup 1/2: src=10.0.0.12:0 dst=10.0.0.11:0
        B D49 Conntrack lookup 2/2: nexthdr=1 flags=3 dir=0 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Related, revnat=0
        B D58 Successfully mapped addr=10.0.0.11 to identity=3001
        B D2 Attempting local delivery for container id 101 from seclabel 3002
        A D48 Conntrack lookup 1/2: src=10.0.0.12:0 dst=10.0.0.11:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=2 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Related, revnat=0
        A T:to-endpoint(idB,idA,A,lxc_a,related) ttl 63 from 10.0.0.12
    `,
    );
    expect(b.medium.events).toBe(
      text`
      events n1
        B T:to-endpoint(idA,idB,B,lxc_b,new) ttl 63 from 10.0.0.11
        A T:to-endpoint(idB,idA,A,lxc_a,related) ttl 63 from 10.0.0.12
    `,
    );
  });

  it("for a masqueraded flow come back to the pod", () => {
    const b = inBuilds(BPF, "", unserved(OUTSIDE, 40000));
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        outside: backlog <eth0[63] local_in icmp_error(3,3) drop(NO_SOCKET)
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:40000 dst=192.168.0.99:7
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=192.168.0.99 to identity=2
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-network(idA,2,0,eth0,new) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63 from 10.0.0.11
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D2 Attempting local delivery for container id 101 from seclabel 2
        A D48 Conntrack lookup 1/2: src=192.168.0.99:0 dst=10.0.0.11:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=2 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Related, revnat=0
        A T:to-endpoint(2,idA,A,lxc_a,related) ttl 63 from 192.168.0.99
    `,
    );
  });
});

describe("(l) L7 proxy", () => {
  const l7 = (direction: "ingress" | "egress"): string =>
    policy(
      "CiliumNetworkPolicy",
      "l7",
      direction === "egress"
        ? '{endpointSelector: {matchLabels: {app: a}}, egress: [{toPorts: [{ports: [{port: "8080", protocol: TCP}], rules: {http: [{method: GET}]}}]}]}'
        : '{endpointSelector: {matchLabels: {app: b}}, ingress: [{toPorts: [{ports: [{port: "8080", protocol: TCP}], rules: {http: [{method: GET}]}}]}]}',
    );
  // Nothing listens on the proxy's port: TPROXY finds no socket and drops the packet. With one that does:
  // datapath_proxy.test.ts.
  const connect = (lab: Lab): void => {
    (lab.node("n1") as CiliumNode).proxy.close();
    const sock = new TcpSock(lab.endpoint("pod/a").ns!);
    sock.bind(0, 20000);
    sock.connect(parseIpv4(POD_B), 8080);
    lab.advance("100ms");
    sock.abort();
    lab.advance("100ms");
  };

  it("gets what egress rules redirect", () => {
    const b = inBuilds(BPF, l7("egress"), connect);
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING drop(NETFILTER_DROP)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:8080
        A D49 Conntrack lookup 2/2: nexthdr=6 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.0.12 to identity=3002
        A V egress idB 8080/6 proxy 24615 match L4-Only
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-proxy(idA,0,10080,0,new) ttl 64
        A C8(24615) ttl 64
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
  });

  it("gets what ingress rules redirect", () => {
    expect(inBuilds(BPF, l7("ingress"), connect).debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container policy(B) PREROUTING drop(NETFILTER_DROP)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:8080
        A D49 Conntrack lookup 2/2: nexthdr=6 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.0.12 to identity=3002
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A D2 Attempting local delivery for container id 102 from seclabel 3001
        B D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:8080
        B D49 Conntrack lookup 2/2: nexthdr=6 flags=0 dir=1 scope=2
        B D15 CT verdict: New, revnat=0
        B V ingress idA 8080/6 proxy 24871 match L4-Only
        B D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        B T:to-proxy(idA,idB,10081,lxc_b,new) ttl 63 from 10.0.0.11
        B C8(24871) ttl 63
    `,
    );
  });
});

describe("(m) ARP from the pod", () => {
  it("is answered by the program, whatever the address, with the MAC of the host's end", () => {
    const one = (extra: Record<string, string>): string => {
      const lab = datapathLab({ ...BPF, options: extra }, "", false);
      return traceOf(lab, NAMES, () => ping("pod/a", "pod/b")(lab)).text;
    };
    expect(one(DEBUG)).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container policy(B) redirect_peer(lxc_b)
        pod/b: <eth0[63] local_in
      packet
        pod/a: arp >eth0
        n1: backlog <lxc_a cil_from_container redirect(lxc_a) >lxc_a
        pod/a: backlog <eth0 arp
      packet
        pod/b: local_out >eth0[64]
        n1: backlog <lxc_b[64] cil_from_container policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket drop(NO_SOCKET)
      packet
        pod/b: arp >eth0
        n1: backlog <lxc_b cil_from_container redirect(lxc_b) >lxc_b
        pod/b: backlog <eth0 arp
      events n1
        A T:from-endpoint(idA,0,0,0,unknown)
        A C4(5)
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
        B T:from-endpoint(idB,0,0,0,unknown)
        B C4(6)
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
    expect(one({})).toBe(withoutDebug(one(DEBUG)));
  });
});
