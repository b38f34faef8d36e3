// Datapath facts, scenario (l): the L7 proxy of a node, which listens: redirect, the proxy's own connection to where the
// client wanted to go, and both ways back.
import { describe, expect, it } from "vitest";
import { Step } from "../../src/bpf/steps.js";
import type { CiliumNode } from "../../src/cluster/cilium/plane.js";
import type { DatapathName } from "../../src/cluster/model.js";
import { TCP_CLOSE_WAIT, TcpSock } from "../../src/kernel/tcp.js";
import type { Lab, LabOptions } from "../../src/lab.js";
import { parseIpv4 } from "../../src/net/address.js";
import { datapathLab, inBuilds, NAMES, withoutDebug } from "../support/datapath_lab.js";
import { text, traceOf } from "../support/event_trace.js";
import { POD_C } from "../support/two_nodes.js";

type Direction = "ingress" | "egress";

function l7(direction: Direction, app: string): string {
  return `---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: l7}
spec: {endpointSelector: {matchLabels: {app: ${app}}}, ${direction}: [{toPorts: [{ports: [{port: "8080", protocol: TCP}], rules: {http: [{method: GET}]}}]}]}
`;
}

function options(datapath: DatapathName, more: Readonly<Record<string, string>> = {}): LabOptions {
  return { datapath, options: more };
}

/** A request of 100 bytes and an answer of 50, the connection left open. */
const request = (to: string) => (lab: Lab) =>
  void lab.tcp({ from: "pod/a", to, port: 8080, sourcePort: 20000, send: 100, receive: 50, close: "none" });

const proxy = (lab: Lab, node: string) => (lab.node(node) as CiliumNode).proxy;

describe("the egress proxy of the client's node, to another node", () => {
  it("takes the connection and makes one of its own, BPF host routing", () => {
    const b = inBuilds(options("cilium-host-routing"), l7("egress", "a"), request("pod/c"));
    expect(b.plain.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING local_in INPUT socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING local_in INPUT socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING local_in INPUT socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in socket
      packet
        n1: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[63] local_in socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n1: backlog <eth0[63] cil_from_netdev policy(A) PREROUTING local_in INPUT socket
      packet
        n1: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[63] local_in socket
      packet
        n1: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[63] local_in socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n1: backlog <eth0[63] cil_from_netdev policy(A) PREROUTING local_in INPUT socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n1: backlog <eth0[63] cil_from_netdev policy(A) PREROUTING local_in INPUT socket
      packet
        n1: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[63] local_in socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING local_in INPUT socket
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A V egress idC 8080/6 proxy 24615 match L4-Only
        A T:to-proxy(idA,0,10080,0,new) ttl 64
        H1 T:from-proxy(idC,0,0,0,unknown) ttl 64
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 63 from 10.0.1.21
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-proxy(idA,0,10080,0,established) ttl 64
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-proxy(idA,0,10080,0,established) ttl 64
        H1 T:from-proxy(idC,0,0,0,unknown) ttl 64
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 63 from 10.0.1.21
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 64
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        A T:to-proxy(idC,idA,0,lxc_a,reply) ttl 62 from 10.0.1.21
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 64
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 64
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        A T:to-proxy(idC,idA,0,lxc_a,reply) ttl 62 from 10.0.1.21
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        A T:to-proxy(idC,idA,0,lxc_a,reply) ttl 62 from 10.0.1.21
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 64
        H1 T:from-proxy(idC,0,0,0,unknown) ttl 64
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 63 from 10.0.1.21
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-proxy(idA,0,10080,0,established) ttl 64
      events n2
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 64
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 63 from 10.0.0.11
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 64
        C T:to-endpoint(idA,idC,C,lxc_c,established) ttl 63 from 10.0.0.11
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 64
        C T:to-endpoint(idA,idC,C,lxc_c,established) ttl 63 from 10.0.0.11
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 64
        C T:to-endpoint(idA,idC,C,lxc_c,established) ttl 63 from 10.0.0.11
    `,
    );
    expect(withoutDebug(b.debug.text)).toBe(b.plain.text);
    expect(b.medium.events).toBe(
      text`
      events n1
        A V egress idC 8080/6 proxy 24615 match L4-Only
        A T:to-proxy(idA,0,10080,0,new) ttl 64
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 63 from 10.0.1.21
      events n2
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 63 from 10.0.0.11
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
    `,
    );
  });

  it("takes the connection and makes one of its own, legacy host routing", () => {
    const b = inBuilds(options("cilium-legacy"), l7("egress", "a"), request("pod/c"));
    expect(b.plain.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING local_in INPUT socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING local_in INPUT socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING local_in INPUT socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in socket
      packet
        n1: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[63] cil_from_host policy(C) redirect(lxc_c) >lxc_c[62]
        pod/c: backlog <eth0[62] local_in socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[63] cil_to_netdev
        n1: backlog <eth0[63] cil_from_netdev PREROUTING local_in INPUT socket
      packet
        n1: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[63] cil_from_host policy(C) redirect(lxc_c) >lxc_c[62]
        pod/c: backlog <eth0[62] local_in socket
      packet
        n1: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[63] cil_from_host policy(C) redirect(lxc_c) >lxc_c[62]
        pod/c: backlog <eth0[62] local_in socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[63] cil_to_netdev
        n1: backlog <eth0[63] cil_from_netdev PREROUTING local_in INPUT socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[63] cil_to_netdev
        n1: backlog <eth0[63] cil_from_netdev PREROUTING local_in INPUT socket
      packet
        n1: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[63] cil_from_host policy(C) redirect(lxc_c) >lxc_c[62]
        pod/c: backlog <eth0[62] local_in socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING local_in INPUT socket
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A V egress idC 8080/6 proxy 24615 match L4-Only
        A T:to-proxy(idA,0,10080,0,new) ttl 64
        H1 T:from-proxy(idC,0,0,0,unknown) ttl 64
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 63 from 10.0.1.21
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-proxy(idA,0,10080,0,established) ttl 64
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-proxy(idA,0,10080,0,established) ttl 64
        H1 T:from-proxy(idC,0,0,0,unknown) ttl 64
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 63 from 10.0.1.21
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 64
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 64
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 64
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 64
        H1 T:from-proxy(idC,0,0,0,unknown) ttl 64
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 63 from 10.0.1.21
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-proxy(idA,0,10080,0,established) ttl 64
      events n2
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 64
        H2 T:from-host(idA,0,0,eth0,unknown) ttl 63
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 62 from 10.0.0.11
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C T:to-stack(idC,idA,0,0,reply) ttl 64
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 64
        H2 T:from-host(idA,0,0,eth0,unknown) ttl 63
        C T:to-endpoint(idA,idC,C,lxc_c,established) ttl 62 from 10.0.0.11
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 64
        H2 T:from-host(idA,0,0,eth0,unknown) ttl 63
        C T:to-endpoint(idA,idC,C,lxc_c,established) ttl 62 from 10.0.0.11
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C T:to-stack(idC,idA,0,0,reply) ttl 64
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C T:to-stack(idC,idA,0,0,reply) ttl 64
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 64
        H2 T:from-host(idA,0,0,eth0,unknown) ttl 63
        C T:to-endpoint(idA,idC,C,lxc_c,established) ttl 62 from 10.0.0.11
    `,
    );
    expect(withoutDebug(b.debug.text)).toBe(b.plain.text);
    expect(b.medium.events).toBe(
      text`
      events n1
        A V egress idC 8080/6 proxy 24615 match L4-Only
        A T:to-proxy(idA,0,10080,0,new) ttl 64
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 63 from 10.0.1.21
      events n2
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 62 from 10.0.0.11
        C T:to-stack(idC,idA,0,0,reply) ttl 64
    `,
    );
  });
});

describe("the ingress proxy of the server's node, from another node", () => {
  it("takes the connection and makes one of its own, BPF host routing", () => {
    const b = inBuilds(options("cilium-host-routing"), l7("ingress", "c"), request("pod/c"));
    expect(b.plain.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev policy(C) PREROUTING local_in INPUT socket
      packet
        n2: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev policy(C) PREROUTING local_in INPUT socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev policy(C) PREROUTING local_in INPUT socket
      packet
        n2: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket
      packet
        n2: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(C) redirect(lxc_c) >lxc_c[63]
        pod/c: backlog <eth0[63] local_in socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container PREROUTING local_in INPUT socket
      packet
        n2: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(C) redirect(lxc_c) >lxc_c[63]
        pod/c: backlog <eth0[63] local_in socket
      packet
        n2: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(C) redirect(lxc_c) >lxc_c[63]
        pod/c: backlog <eth0[63] local_in socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container PREROUTING local_in INPUT socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container PREROUTING local_in INPUT socket
      packet
        n2: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(C) redirect(lxc_c) >lxc_c[63]
        pod/c: backlog <eth0[63] local_in socket
      packet
        n2: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev policy(C) PREROUTING local_in INPUT socket
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 64
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 63 from 10.0.1.21
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-network(idA,idC,0,eth0,established) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-network(idA,idC,0,eth0,established) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 64
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 63 from 10.0.1.21
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 64
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 63 from 10.0.1.21
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-network(idA,idC,0,eth0,established) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
      events n2
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        C V ingress idA 8080/6 proxy 24871 match L4-Only
        C T:to-proxy(idA,idC,10081,lxc_c,new) ttl 62 from 10.0.0.11
        H2 T:to-network(0,0,0,eth0,unknown) ttl 64
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        C T:to-proxy(idA,idC,10081,lxc_c,established) ttl 62 from 10.0.0.11
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        C T:to-proxy(idA,idC,10081,lxc_c,established) ttl 62 from 10.0.0.11
        H2 T:to-network(0,0,0,eth0,unknown) ttl 64
        H2 T:from-proxy(idA,0,0,0,unknown) ttl 64
        C T:to-endpoint(idA,idC,C,lxc_c,established) ttl 63 from 10.0.0.11
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C T:to-proxy(idC,0,0,0,reply) ttl 64
        H2 T:from-proxy(idA,0,0,0,unknown) ttl 64
        C T:to-endpoint(idA,idC,C,lxc_c,established) ttl 63 from 10.0.0.11
        H2 T:from-proxy(idA,0,0,0,unknown) ttl 64
        C T:to-endpoint(idA,idC,C,lxc_c,established) ttl 63 from 10.0.0.11
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C T:to-proxy(idC,0,0,0,reply) ttl 64
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C T:to-proxy(idC,0,0,0,reply) ttl 64
        H2 T:from-proxy(idA,0,0,0,unknown) ttl 64
        C T:to-endpoint(idA,idC,C,lxc_c,established) ttl 63 from 10.0.0.11
        H2 T:to-network(0,0,0,eth0,unknown) ttl 64
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        C T:to-proxy(idA,idC,10081,lxc_c,established) ttl 62 from 10.0.0.11
    `,
    );
    expect(withoutDebug(b.debug.text)).toBe(b.plain.text);
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 63 from 10.0.1.21
      events n2
        C V ingress idA 8080/6 proxy 24871 match L4-Only
        C T:to-proxy(idA,idC,10081,lxc_c,new) ttl 62 from 10.0.0.11
        C T:to-proxy(idC,0,0,0,reply) ttl 64
    `,
    );
  });

  it("takes the connection and makes one of its own, legacy host routing", () => {
    const b = inBuilds(options("cilium-legacy"), l7("ingress", "c"), request("pod/c"));
    expect(b.plain.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[62] cil_from_host policy(C) backlog <cilium_net[61] cil_to_host PREROUTING local_in INPUT socket
      packet
        n2: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[63] cil_from_host policy(A) redirect(lxc_a) >lxc_a[62]
        pod/a: backlog <eth0[62] local_in socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev PREROUTING local_in INPUT socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev PREROUTING local_in INPUT socket
      packet
        n2: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[63] cil_from_host policy(A) redirect(lxc_a) >lxc_a[62]
        pod/a: backlog <eth0[62] local_in socket
      packet
        n2: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(C) redirect(lxc_c) >lxc_c[63]
        pod/c: backlog <eth0[63] local_in socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container PREROUTING local_in INPUT socket
      packet
        n2: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(C) redirect(lxc_c) >lxc_c[63]
        pod/c: backlog <eth0[63] local_in socket
      packet
        n2: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(C) redirect(lxc_c) >lxc_c[63]
        pod/c: backlog <eth0[63] local_in socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container PREROUTING local_in INPUT socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container PREROUTING local_in INPUT socket
      packet
        n2: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(C) redirect(lxc_c) >lxc_c[63]
        pod/c: backlog <eth0[63] local_in socket
      packet
        n2: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[63] cil_from_host policy(A) redirect(lxc_a) >lxc_a[62]
        pod/a: backlog <eth0[62] local_in socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev PREROUTING local_in INPUT socket
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-stack(idA,idC,0,0,new) ttl 64
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 64
        H1 T:from-host(idC,0,0,eth0,unknown) ttl 63
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from 10.0.1.21
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-stack(idA,idC,0,0,established) ttl 64
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-stack(idA,idC,0,0,established) ttl 64
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 64
        H1 T:from-host(idC,0,0,eth0,unknown) ttl 63
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from 10.0.1.21
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 64
        H1 T:from-host(idC,0,0,eth0,unknown) ttl 63
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from 10.0.1.21
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-stack(idA,idC,0,0,established) ttl 64
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
      events n2
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        H2 T:from-host(idA,0,0,eth0,unknown) ttl 62
        C V ingress idA 8080/6 proxy 24871 match L4-Only
        C T:to-proxy(idA,idC,10081,lxc_c,new) ttl 61 from 10.0.0.11
        H2 T:to-network(0,0,0,eth0,unknown) ttl 64
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        H2 T:to-network(0,0,0,eth0,unknown) ttl 64
        H2 T:from-proxy(idA,0,0,0,unknown) ttl 64
        C T:to-endpoint(idA,idC,C,lxc_c,established) ttl 63 from 10.0.0.11
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C T:to-proxy(idC,0,0,0,reply) ttl 64
        H2 T:from-proxy(idA,0,0,0,unknown) ttl 64
        C T:to-endpoint(idA,idC,C,lxc_c,established) ttl 63 from 10.0.0.11
        H2 T:from-proxy(idA,0,0,0,unknown) ttl 64
        C T:to-endpoint(idA,idC,C,lxc_c,established) ttl 63 from 10.0.0.11
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C T:to-proxy(idC,0,0,0,reply) ttl 64
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C T:to-proxy(idC,0,0,0,reply) ttl 64
        H2 T:from-proxy(idA,0,0,0,unknown) ttl 64
        C T:to-endpoint(idA,idC,C,lxc_c,established) ttl 63 from 10.0.0.11
        H2 T:to-network(0,0,0,eth0,unknown) ttl 64
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
    `,
    );
    expect(withoutDebug(b.debug.text)).toBe(b.plain.text);
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-stack(idA,idC,0,0,new) ttl 64
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from 10.0.1.21
      events n2
        C V ingress idA 8080/6 proxy 24871 match L4-Only
        C T:to-proxy(idA,idC,10081,lxc_c,new) ttl 61 from 10.0.0.11
        C T:to-proxy(idC,0,0,0,reply) ttl 64
    `,
    );
  });
});

describe("the proxies between two pods of a node", () => {
  it("are reached from the client's device, and the answer from the client's policy, on egress", () => {
    const b = inBuilds(options("cilium-host-routing"), l7("egress", "a"), request("pod/b"));
    expect(b.plain.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING local_in INPUT socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING local_in INPUT socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING local_in INPUT socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(B) redirect(lxc_b) >lxc_b[63]
        pod/b: backlog <eth0[63] local_in socket
      packet
        pod/b: local_out >eth0[64]
        n1: backlog <lxc_b[64] cil_from_container policy(A) PREROUTING local_in INPUT socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(B) redirect(lxc_b) >lxc_b[63]
        pod/b: backlog <eth0[63] local_in socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(B) redirect(lxc_b) >lxc_b[63]
        pod/b: backlog <eth0[63] local_in socket
      packet
        pod/b: local_out >eth0[64]
        n1: backlog <lxc_b[64] cil_from_container policy(A) PREROUTING local_in INPUT socket
      packet
        pod/b: local_out >eth0[64]
        n1: backlog <lxc_b[64] cil_from_container policy(A) PREROUTING local_in INPUT socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(B) redirect(lxc_b) >lxc_b[63]
        pod/b: backlog <eth0[63] local_in socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING local_in INPUT socket
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A V egress idB 8080/6 proxy 24615 match L4-Only
        A T:to-proxy(idA,0,10080,0,new) ttl 64
        H1 T:from-proxy(idB,0,0,0,unknown) ttl 64
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from 10.0.0.12
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-proxy(idA,0,10080,0,established) ttl 64
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-proxy(idA,0,10080,0,established) ttl 64
        H1 T:from-proxy(idB,0,0,0,unknown) ttl 64
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from 10.0.0.12
        H1 T:from-proxy(idA,0,0,0,unknown) ttl 64
        B T:to-endpoint(idA,idB,B,lxc_b,new) ttl 63 from 10.0.0.11
        B T:from-endpoint(idB,0,0,0,unknown) ttl 64
        A T:to-proxy(idB,idA,0,lxc_a,reply) ttl 63 from 10.0.0.12
        H1 T:from-proxy(idA,0,0,0,unknown) ttl 64
        B T:to-endpoint(idA,idB,B,lxc_b,established) ttl 63 from 10.0.0.11
        H1 T:from-proxy(idA,0,0,0,unknown) ttl 64
        B T:to-endpoint(idA,idB,B,lxc_b,established) ttl 63 from 10.0.0.11
        B T:from-endpoint(idB,0,0,0,unknown) ttl 64
        A T:to-proxy(idB,idA,0,lxc_a,reply) ttl 63 from 10.0.0.12
        B T:from-endpoint(idB,0,0,0,unknown) ttl 64
        A T:to-proxy(idB,idA,0,lxc_a,reply) ttl 63 from 10.0.0.12
        H1 T:from-proxy(idA,0,0,0,unknown) ttl 64
        B T:to-endpoint(idA,idB,B,lxc_b,established) ttl 63 from 10.0.0.11
        H1 T:from-proxy(idB,0,0,0,unknown) ttl 64
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from 10.0.0.12
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-proxy(idA,0,10080,0,established) ttl 64
    `,
    );
    expect(withoutDebug(b.debug.text)).toBe(b.plain.text);
  });

  it("skip policy on their own packets and are found again by the answer, on ingress", () => {
    const b = inBuilds(options("cilium-host-routing"), l7("ingress", "b"), request("pod/b"));
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container policy(B) PREROUTING local_in INPUT socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container policy(B) PREROUTING local_in INPUT socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container policy(B) PREROUTING local_in INPUT socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(B) redirect(lxc_b) >lxc_b[63]
        pod/b: backlog <eth0[63] local_in socket
      packet
        pod/b: local_out >eth0[64]
        n1: backlog <lxc_b[64] cil_from_container PREROUTING local_in INPUT socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(B) redirect(lxc_b) >lxc_b[63]
        pod/b: backlog <eth0[63] local_in socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(B) redirect(lxc_b) >lxc_b[63]
        pod/b: backlog <eth0[63] local_in socket
      packet
        pod/b: local_out >eth0[64]
        n1: backlog <lxc_b[64] cil_from_container PREROUTING local_in INPUT socket
      packet
        pod/b: local_out >eth0[64]
        n1: backlog <lxc_b[64] cil_from_container PREROUTING local_in INPUT socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(B) redirect(lxc_b) >lxc_b[63]
        pod/b: backlog <eth0[63] local_in socket
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in socket
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container policy(B) PREROUTING local_in INPUT socket
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
        H1 D61 Inheriting identity=0 from stack
        H1 D58 Successfully mapped addr=10.0.0.12 to identity=3002
        H1 T:from-proxy(idB,0,0,0,unknown) ttl 64
        H1 D54 Skipping proxy, tc_index is set=1
        H1 D2 Attempting local delivery for container id 101 from seclabel 3002
        A D48 Conntrack lookup 1/2: src=10.0.0.12:8080 dst=10.0.0.11:20000
        A D49 Conntrack lookup 2/2: nexthdr=6 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from 10.0.0.12
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:8080
        A D49 Conntrack lookup 2/2: nexthdr=6 flags=1 dir=0 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Established, revnat=0
        A D58 Successfully mapped addr=10.0.0.12 to identity=3002
        A D2 Attempting local delivery for container id 102 from seclabel 3001
        B D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:8080
        B D49 Conntrack lookup 2/2: nexthdr=6 flags=0 dir=1 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Established, revnat=0
        B T:to-proxy(idA,idB,10081,lxc_b,established) ttl 63 from 10.0.0.11
        B C8(24871) ttl 63
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:8080
        A D49 Conntrack lookup 2/2: nexthdr=6 flags=1 dir=0 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Established, revnat=0
        A D58 Successfully mapped addr=10.0.0.12 to identity=3002
        A D2 Attempting local delivery for container id 102 from seclabel 3001
        B D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:8080
        B D49 Conntrack lookup 2/2: nexthdr=6 flags=0 dir=1 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Established, revnat=0
        B T:to-proxy(idA,idB,10081,lxc_b,established) ttl 63 from 10.0.0.11
        B C8(24871) ttl 63
        H1 D61 Inheriting identity=0 from stack
        H1 D58 Successfully mapped addr=10.0.0.12 to identity=3002
        H1 T:from-proxy(idB,0,0,0,unknown) ttl 64
        H1 D54 Skipping proxy, tc_index is set=1
        H1 D2 Attempting local delivery for container id 101 from seclabel 3002
        A D48 Conntrack lookup 1/2: src=10.0.0.12:8080 dst=10.0.0.11:20000
        A D49 Conntrack lookup 2/2: nexthdr=6 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from 10.0.0.12
        H1 D61 Inheriting identity=3001 from stack
        H1 T:from-proxy(idA,0,0,0,unknown) ttl 64
        H1 D54 Skipping proxy, tc_index is set=1
        H1 D2 Attempting local delivery for container id 102 from seclabel 3001
        B D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:8080
        B D49 Conntrack lookup 2/2: nexthdr=6 flags=0 dir=1 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Established, revnat=0
        B D54 Skipping proxy, tc_index is set=1
        B T:to-endpoint(idA,idB,B,lxc_b,established) ttl 63 from 10.0.0.11
        B T:from-endpoint(idB,0,0,0,unknown) ttl 64
        B D48 Conntrack lookup 1/2: src=10.0.0.12:8080 dst=10.0.0.11:20000
        B D49 Conntrack lookup 2/2: nexthdr=6 flags=1 dir=0 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Reply, revnat=0
        B D58 Successfully mapped addr=10.0.0.11 to identity=3001
        B T:to-proxy(idB,0,0,0,reply) ttl 64
        B C8(0) ttl 64
        H1 D61 Inheriting identity=3001 from stack
        H1 T:from-proxy(idA,0,0,0,unknown) ttl 64
        H1 D54 Skipping proxy, tc_index is set=1
        H1 D2 Attempting local delivery for container id 102 from seclabel 3001
        B D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:8080
        B D49 Conntrack lookup 2/2: nexthdr=6 flags=0 dir=1 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Established, revnat=0
        B D54 Skipping proxy, tc_index is set=1
        B T:to-endpoint(idA,idB,B,lxc_b,established) ttl 63 from 10.0.0.11
        H1 D61 Inheriting identity=3001 from stack
        H1 T:from-proxy(idA,0,0,0,unknown) ttl 64
        H1 D54 Skipping proxy, tc_index is set=1
        H1 D2 Attempting local delivery for container id 102 from seclabel 3001
        B D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:8080
        B D49 Conntrack lookup 2/2: nexthdr=6 flags=0 dir=1 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Established, revnat=0
        B D54 Skipping proxy, tc_index is set=1
        B T:to-endpoint(idA,idB,B,lxc_b,established) ttl 63 from 10.0.0.11
        B T:from-endpoint(idB,0,0,0,unknown) ttl 64
        B D48 Conntrack lookup 1/2: src=10.0.0.12:8080 dst=10.0.0.11:20000
        B D49 Conntrack lookup 2/2: nexthdr=6 flags=1 dir=0 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Reply, revnat=0
        B D58 Successfully mapped addr=10.0.0.11 to identity=3001
        B T:to-proxy(idB,0,0,0,reply) ttl 64
        B C8(0) ttl 64
        B T:from-endpoint(idB,0,0,0,unknown) ttl 64
        B D48 Conntrack lookup 1/2: src=10.0.0.12:8080 dst=10.0.0.11:20000
        B D49 Conntrack lookup 2/2: nexthdr=6 flags=1 dir=0 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Reply, revnat=0
        B D58 Successfully mapped addr=10.0.0.11 to identity=3001
        B T:to-proxy(idB,0,0,0,reply) ttl 64
        B C8(0) ttl 64
        H1 D61 Inheriting identity=3001 from stack
        H1 T:from-proxy(idA,0,0,0,unknown) ttl 64
        H1 D54 Skipping proxy, tc_index is set=1
        H1 D2 Attempting local delivery for container id 102 from seclabel 3001
        B D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:8080
        B D49 Conntrack lookup 2/2: nexthdr=6 flags=0 dir=1 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Established, revnat=0
        B D54 Skipping proxy, tc_index is set=1
        B T:to-endpoint(idA,idB,B,lxc_b,established) ttl 63 from 10.0.0.11
        H1 D61 Inheriting identity=0 from stack
        H1 D58 Successfully mapped addr=10.0.0.12 to identity=3002
        H1 T:from-proxy(idB,0,0,0,unknown) ttl 64
        H1 D54 Skipping proxy, tc_index is set=1
        H1 D2 Attempting local delivery for container id 101 from seclabel 3002
        A D48 Conntrack lookup 1/2: src=10.0.0.12:8080 dst=10.0.0.11:20000
        A D49 Conntrack lookup 2/2: nexthdr=6 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from 10.0.0.12
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:8080
        A D49 Conntrack lookup 2/2: nexthdr=6 flags=1 dir=0 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Established, revnat=0
        A D58 Successfully mapped addr=10.0.0.12 to identity=3002
        A D2 Attempting local delivery for container id 102 from seclabel 3001
        B D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.0.12:8080
        B D49 Conntrack lookup 2/2: nexthdr=6 flags=0 dir=1 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Established, revnat=0
        B T:to-proxy(idA,idB,10081,lxc_b,established) ttl 63 from 10.0.0.11
        B C8(24871) ttl 63
    `,
    );
    expect(withoutDebug(b.debug.text)).toBe(b.plain.text);
  });

  it("meet the same with legacy host routing", () => {
    for (const [direction, app] of [
      ["egress", "a"],
      ["ingress", "b"],
    ] as const) {
      const run = (datapath: DatapathName) => {
        const lab = datapathLab(options(datapath), l7(direction, app));
        return traceOf(lab, NAMES, () => request("pod/b")(lab)).text;
      };
      expect(run("cilium-legacy")).toBe(run("cilium-host-routing"));
    }
  });
});

/** Marks with which the node's own sockets sent, without repetitions. */
function marks(lab: Lab, node: string, action: () => void): string[] {
  const sent = lab.record(action).flatMap((w) => w.of(Step.LOCAL_OUT, node));
  return [...new Set(sent.map((s) => s.record.mark.toString(16)))];
}

describe("the proxy's sockets", () => {
  it("mark what goes back to the client with their side alone, what goes on with the client's identity too", () => {
    const egress = datapathLab(options("cilium-host-routing"), l7("egress", "a"));
    // 3001 = 0xbb9.
    expect(marks(egress, "n1", () => request("pod/c")(egress))).toEqual(["b00", "bb90b00"]);
    const ingress = datapathLab(options("cilium-host-routing"), l7("ingress", "c"));
    expect(marks(ingress, "n2", () => request("pod/c")(ingress))).toEqual(["a00", "bb90a00"]);
  });

  it("pass any amount both ways and close when either end does", () => {
    for (const [direction, app] of [
      ["egress", "a"],
      ["ingress", "c"],
    ] as const) {
      const lab = datapathLab(options("cilium-host-routing"), l7(direction, app));
      expect(lab.tcp({ from: "pod/a", to: "pod/c", port: 8080, send: 70_000, receive: 90_000 })).toEqual({
        connected: true,
        errno: 0,
        sent: 70_000,
        received: 90_000,
        closed: true,
      });
      expect(proxy(lab, direction === "egress" ? "n1" : "n2").accepted).toBe(1);
      lab.advance("2m");
      const sockets = lab.endpoint(direction === "egress" ? "node/n1" : "node/n2").ns!.sockets;
      expect([...sockets.tcpEstablished.values()].flat().length).toBe(0);
    }
  });

  it("accept a client whose server refuses, and then close its connection", () => {
    const lab = datapathLab(options("cilium-host-routing"), l7("egress", "a"));
    const sock = new TcpSock(lab.endpoint("pod/a").ns!);
    sock.connect(parseIpv4(POD_C), 8080);
    lab.advance("10ms");
    expect(sock.connected).toBe(true);
    sock.send(new Uint8Array(10));
    lab.advance("10ms");
    expect([sock.recv(100).length, sock.state]).toEqual([0, TCP_CLOSE_WAIT]);
  });

  it("are missed by a packet that finds none of them: TPROXY drops it", () => {
    const lab = datapathLab(options("cilium-host-routing"), l7("egress", "a"));
    proxy(lab, "n1").close();
    const walks = lab.record(() => {
      expect(lab.tcp({ from: "pod/a", to: "pod/c", port: 8080 }).errno).toBe(110);
    });
    expect(walks[0]!.drop?.detail).toBe("NETFILTER_DROP");
  });

  it("serve every datapath, with per-endpoint routes and encrypted too", () => {
    for (const [datapath, extra] of [
      ["cilium-host-routing", { "enable-endpoint-routes": "true" }],
      ["cilium-legacy", { "enable-endpoint-routes": "true" }],
      ["cilium-legacy", { "enable-wireguard": "true" }],
      ["cilium-vxlan", {}],
      ["cilium-vxlan", { "enable-wireguard": "true" }],
    ] as const) {
      for (const [direction, app] of [
        ["egress", "a"],
        ["ingress", "c"],
      ] as const) {
        const lab = datapathLab(options(datapath, extra), l7(direction, app), false);
        const r = lab.tcp({ from: "pod/a", to: "pod/c", port: 8080, send: 100, receive: 50 });
        expect([datapath, extra, direction, r.received, r.closed]).toEqual([
          datapath,
          extra,
          direction,
          50,
          true,
        ]);
      }
    }
  });

  // With BPF host routing the program of cilium_wg0 puts an Ethernet header in front before it runs the pod's policy; a packet
  // that policy sent to the proxy was then dropped by ip_rcv for that header.
  it("get decrypted packets from cilium_wg0 without the header that was meant for the pod", () => {
    const lab = datapathLab(
      options("cilium-host-routing", { "enable-wireguard": "true" }),
      l7("ingress", "c"),
    );
    const [syn] = lab.record(() => request("pod/c")(lab));
    expect(syn!.programs("n2")).toEqual(["cil_from_netdev", "cil_from_wireguard"]);
    expect(syn!.delivered).toBe(true);
  });
});
