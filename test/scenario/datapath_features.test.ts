// Datapath facts, scenarios (q) and (r): host firewall and egress gateway.
import { describe, expect, it } from "vitest";
import { UdpSock } from "../../src/kernel/udp.js";
import type { Lab, LabOptions } from "../../src/lab.js";
import { inBuilds, withoutDebug } from "../support/datapath_lab.js";
import { text } from "../support/event_trace.js";
import { NODE_1, OUTSIDE } from "../support/two_nodes.js";

function object(kind: string, spec: string): string {
  return `---
apiVersion: cilium.io/v2
kind: ${kind}
metadata: {name: rule}
spec: ${spec}
`;
}

const udp =
  (from: string, to: string, port = 9000) =>
  (lab: Lab) =>
    void lab.udp({ from, to, port, sourcePort: 20000, size: 8 });
/** One datagram that nobody answers. */
const datagram = (from: string, to: string, port: number) => (lab: Lab) => {
  const sock = new UdpSock(lab.endpoint(from).ns!);
  sock.bind(0, 20000);
  sock.connect(lab.endpoint(to).ip4, port);
  sock.sendto(new Uint8Array(8));
  lab.advance("100ms");
  sock.close();
};

describe("(q) host firewall", () => {
  const FIREWALL: LabOptions = {
    datapath: "cilium-host-routing",
    options: { "enable-host-firewall": "true" },
  };
  const OPEN_9000 = object(
    "CiliumClusterwideNetworkPolicy",
    '{nodeSelector: {}, ingress: [{fromEntities: [world], toPorts: [{ports: [{port: "9000", protocol: UDP}]}]}]}',
  );

  it("lets in what a rule for nodes allows, and the answer out", () => {
    const b = inBuilds(FIREWALL, OPEN_9000, udp("host/outside", NODE_1));
    expect(b.debug.text).toBe(
      text`
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT socket
      packet
        n1: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        outside: backlog <eth0[64] local_in socket
      events n1
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D58 Successfully mapped addr=192.168.0.11 to identity=1
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:20000 dst=192.168.0.11:9000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        H1 D15 CT verdict: New, revnat=0
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 D55 Matched L4 policy; creating conntrack src=2 dst=1 dport=9000 proto=17
        H1 D50 Conntrack create: proxy-port=0 revnat=0 src-identity=2 lb=0.0.0.0
        H1 V ingress 2 9000/17 allow match L3-L4
        SOCK pre-rev 192.168.0.99:20000
        H1 D58 Successfully mapped addr=192.168.0.11 to identity=1
        H1 D48 Conntrack lookup 1/2: src=192.168.0.11:9000 dst=192.168.0.99:20000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        H1 D8 CT entry found lifetime=L, revnat=0
        H1 D15 CT verdict: Reply, revnat=0
        H1 T:to-network(1,0,0,eth0,unknown) ttl 64 from 192.168.0.11
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        H1 V ingress 2 9000/17 allow match L3-L4
        SOCK pre-rev 192.168.0.99:20000
    `,
    );
  });

  it("drops what no rule allows", () => {
    const b = inBuilds(FIREWALL, OPEN_9000, datagram("host/outside", NODE_1, 9001));
    expect(b.debug.text).toBe(
      text`
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev drop(Policy denied) drop(TC_INGRESS)
      events n1
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D58 Successfully mapped addr=192.168.0.11 to identity=1
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:20000 dst=192.168.0.11:9001
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        H1 D15 CT verdict: New, revnat=0
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 D5 Policy evaluation would deny packet from 2 to 1
        H1 V ingress 2 9001/17 deny 133 match none
        H1 DROP 133(2,0,0,eth0) ttl 64
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        H1 V ingress 2 9001/17 deny 133 match none
        H1 DROP 133(2,0,0,eth0) ttl 64
    `,
    );
  });

  it("judges a pod's traffic to its own node in cil_to_host", () => {
    const b = inBuilds(FIREWALL, OPEN_9000, datagram("pod/a", NODE_1, 9000));
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_ingress(cilium_net) backlog <cilium_net[64] cil_to_host drop(Policy denied) drop(TC_INGRESS)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=192.168.0.11:9000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=192.168.0.11 to identity=1
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-host(idA,1,0,cilium_net,new) ttl 64
        H1 D58 Successfully mapped addr=192.168.0.11 to identity=1
        H1 D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=192.168.0.11:9000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        H1 D15 CT verdict: New, revnat=0
        H1 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H1 D5 Policy evaluation would deny packet from 3001 to 1
        H1 V ingress idA 9000/17 deny 133 match none
        H1 DROP 133(idA,0,0,cilium_net) ttl 64
    `,
    );
  });

  describe("of what the node sends", () => {
    const EGRESS = object(
      "CiliumClusterwideNetworkPolicy",
      '{nodeSelector: {}, egress: [{toEntities: [world], toPorts: [{ports: [{port: "9000", protocol: UDP}]}]}]}',
    );

    it("lets out what a rule for nodes allows, and the answer in", () => {
      const b = inBuilds(FIREWALL, EGRESS, udp("node/n1", OUTSIDE));
      expect(b.debug.text).toBe(
        text`
      packet
        n1: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        outside: backlog <eth0[64] local_in socket
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT socket
      events n1
        H1 D58 Successfully mapped addr=192.168.0.11 to identity=1
        H1 D48 Conntrack lookup 1/2: src=192.168.0.11:20000 dst=192.168.0.99:9000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        H1 D15 CT verdict: New, revnat=0
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 D55 Matched L4 policy; creating conntrack src=2 dst=1 dport=9000 proto=17
        H1 D50 Conntrack create: proxy-port=0 revnat=0 src-identity=1 lb=0.0.0.0
        H1 V egress 2 9000/17 allow match L3-L4
        H1 T:to-network(1,0,0,eth0,unknown) ttl 64 from 192.168.0.11
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D58 Successfully mapped addr=192.168.0.11 to identity=1
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:9000 dst=192.168.0.11:20000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        H1 D8 CT entry found lifetime=L, revnat=0
        H1 D15 CT verdict: Reply, revnat=0
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        SOCK pre-rev 192.168.0.99:9000
    `,
      );
      expect(b.plain.text).toBe(withoutDebug(b.debug.text));
      expect(b.medium.events).toBe(
        text`
      events n1
        H1 V egress 2 9000/17 allow match L3-L4
        SOCK pre-rev 192.168.0.99:9000
    `,
      );
    });

    it("drops what no rule allows", () => {
      const b = inBuilds(FIREWALL, EGRESS, datagram("node/n1", "host/outside", 9001));
      expect(b.debug.text).toBe(
        text`
      packet
        n1: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev drop(Policy denied) drop(TC_EGRESS)
      events n1
        H1 D58 Successfully mapped addr=192.168.0.11 to identity=1
        H1 D48 Conntrack lookup 1/2: src=192.168.0.11:20000 dst=192.168.0.99:9001
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        H1 D15 CT verdict: New, revnat=0
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 D5 Policy evaluation would deny packet from 1 to 2
        H1 V egress 2 9001/17 deny 133 match none
        H1 DROP 133(1,0,0,eth0) ttl 64
    `,
      );
      expect(b.plain.text).toBe(withoutDebug(b.debug.text));
      expect(b.medium.events).toBe(
        text`
      events n1
        H1 V egress 2 9001/17 deny 133 match none
        H1 DROP 133(1,0,0,eth0) ttl 64
    `,
      );
    });

    it("judges what goes to its own pods in cil_from_host", () => {
      const b = inBuilds(FIREWALL, EGRESS, datagram("node/n1", "pod/a", 9000));
      expect(b.debug.text).toBe(
        text`
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host drop(Policy denied) drop(TC_EGRESS)
      events n1
        H1 D61 Inheriting identity=1 from stack
        H1 D58 Successfully mapped addr=10.0.0.1 to identity=1
        H1 T:from-host(1,0,0,0,unknown) ttl 64
        H1 D48 Conntrack lookup 1/2: src=10.0.0.1:20000 dst=10.0.0.11:9000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        H1 D15 CT verdict: New, revnat=0
        H1 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H1 D5 Policy evaluation would deny packet from 1 to 3001
        H1 V egress idA 9000/17 deny 133 match none
        H1 DROP 133(1,0,0,cilium_host) ttl 64
    `,
      );
      expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    });

    it("tells of the connection in to-network where no service code comes after it", () => {
      const alone: LabOptions = {
        datapath: "cilium-legacy",
        options: {
          "enable-host-firewall": "true",
          "kube-proxy-replacement": "false",
          "enable-bpf-masquerade": "false",
          "enable-ipv4-masquerade": "false",
        },
      };
      const b = inBuilds(alone, EGRESS, udp("node/n1", OUTSIDE));
      expect(b.debug.text).toBe(
        text`
      packet
        n1: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        outside: backlog <eth0[64] local_in socket
      packet
        outside: local_out >eth0[64]
        n1: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT socket
      events n1
        H1 D58 Successfully mapped addr=192.168.0.11 to identity=1
        H1 D48 Conntrack lookup 1/2: src=192.168.0.11:20000 dst=192.168.0.99:9000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        H1 D15 CT verdict: New, revnat=0
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 D55 Matched L4 policy; creating conntrack src=2 dst=1 dport=9000 proto=17
        H1 D50 Conntrack create: proxy-port=0 revnat=0 src-identity=1 lb=0.0.0.0
        H1 V egress 2 9000/17 allow match L3-L4
        H1 T:to-network(1,0,0,eth0,new) ttl 64
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D58 Successfully mapped addr=192.168.0.11 to identity=1
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:9000 dst=192.168.0.11:20000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        H1 D8 CT entry found lifetime=L, revnat=0
        H1 D15 CT verdict: Reply, revnat=0
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
    `,
      );
      expect(b.plain.text).toBe(withoutDebug(b.debug.text));
      expect(b.medium.events).toBe(
        text`
      events n1
        H1 V egress 2 9000/17 allow match L3-L4
        H1 T:to-network(1,0,0,eth0,new) ttl 64
    `,
      );
    });

    it("only tracks a pod's packet that iptables gave the node's address", () => {
      const b = inBuilds(
        {
          datapath: "cilium-legacy",
          options: { "enable-host-firewall": "true", "enable-bpf-masquerade": "false" },
        },
        EGRESS,
        udp("pod/a", OUTSIDE, 9001),
      );
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
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=192.168.0.99:9001
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=192.168.0.99 to identity=2
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-stack(idA,2,0,0,new) ttl 64
        A C4(0) ttl 64
        H1 D58 Successfully mapped addr=192.168.0.11 to identity=0
        H1 D48 Conntrack lookup 1/2: src=192.168.0.11:20000 dst=192.168.0.99:9001
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        H1 D15 CT verdict: New, revnat=0
        H1 D50 Conntrack create: proxy-port=0 revnat=0 src-identity=0 lb=0.0.0.0
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63 from 192.168.0.11
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D58 Successfully mapped addr=192.168.0.11 to identity=1
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:9001 dst=192.168.0.11:20000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        H1 D8 CT entry found lifetime=L, revnat=0
        H1 D15 CT verdict: Reply, revnat=0
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 D61 Inheriting identity=2 from stack
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-host(2,0,0,eth0,unknown) ttl 63
        H1 D2 Attempting local delivery for container id 101 from seclabel 2
        A D48 Conntrack lookup 1/2: src=192.168.0.99:9001 dst=10.0.0.11:20000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(2,idA,A,lxc_a,reply) ttl 62 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:9001
    `,
      );
      expect(b.plain.text).toBe(withoutDebug(b.debug.text));
      expect(b.medium.events).toBe(
        text`
      events n1
        A T:to-stack(idA,2,0,0,new) ttl 64
        A T:to-endpoint(2,idA,A,lxc_a,reply) ttl 62 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:9001
    `,
      );
    });
  });

  it("leaves pods' traffic through the node alone", () => {
    const b = inBuilds(FIREWALL, OPEN_9000, udp("pod/a", "pod/c"));
    const without = inBuilds({ datapath: "cilium-host-routing" }, "", udp("pod/a", "pod/c"));
    expect(b.medium.events).toBe(without.medium.events);
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
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.1.21:9000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        H1 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 63
        H1 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H1 D2 Attempting local delivery for container id 101 from seclabel 3003
        A D48 Conntrack lookup 1/2: src=10.0.1.21:9000 dst=10.0.0.11:20000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from 10.0.1.21
        SOCK pre-rev 10.0.1.21:9000
      events n2
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
        H2 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H2 D2 Attempting local delivery for container id 103 from seclabel 3001
        C D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=10.0.1.21:9000
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 62 from 10.0.0.11
        SOCK pre-rev 10.0.0.11:20000
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:9000 dst=10.0.0.11:20000
        C D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=10.0.0.11 to identity=3001
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
        H2 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H2 T:to-network(idC,0,0,eth0,unknown) ttl 63
    `,
    );
  });
});

describe("(r) egress gateway", () => {
  const GATEWAY: LabOptions = {
    datapath: "cilium-host-routing",
    options: { "enable-ipv4-egress-gateway": "true" },
  };
  const policy = (node: string): string =>
    object(
      "CiliumEgressGatewayPolicy",
      `{selectors: [{podSelector: {matchLabels: {app: a}}}], destinationCIDRs: [${OUTSIDE}/32], egressGateway: {nodeSelector: {matchLabels: {kubernetes.io/hostname: ${node}}}}}`,
    );

  it("tunnels to the gateway, leaves with its address and comes back the same way", () => {
    const b = inBuilds(GATEWAY, policy("n2"), udp("pod/a", OUTSIDE));
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev redirect(cilium_vxlan) >cilium_vxlan[63] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_vxlan[63] cil_from_overlay redirect_neigh(eth0) >eth0[62] cil_to_netdev
        outside: backlog <eth0[62] local_in socket
      packet
        outside: local_out >eth0[64]
        n2: backlog <eth0[64] cil_from_netdev redirect(cilium_vxlan) >cilium_vxlan[63] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_vxlan[63] cil_from_overlay policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[62] local_in socket
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=192.168.0.99:9000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=192.168.0.99 to identity=2
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-network(idA,2,0,eth0,new) ttl 63
        H1 D3 Encapsulating to node 201369792 (0xc00a8c0) from seclabel 3001
        H1 T:to-overlay(idA,2,0,cilium_vxlan,unknown) ttl 63
        0 T:to-overlay(idA,0,0,cilium_vxlan,unknown) ttl 63
        H1 T:to-network(1,0,0,eth0,unknown) ttl 64 vxlan
        H1 D58 Successfully mapped addr=192.168.0.12 to identity=6
        H1 T:from-network(6,0,0,eth0,unknown) ttl 64 vxlan
        0 D16 Tunnel decap: id=2 flowlabel=0
        0 T:from-overlay(2,0,0,cilium_vxlan,unknown) ttl 63
        0 D2 Attempting local delivery for container id 101 from seclabel 2
        A D48 Conntrack lookup 1/2: src=192.168.0.99:9000 dst=10.0.0.11:20000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(2,idA,A,lxc_a,reply) ttl 62 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:9000
      events n2
        H2 D58 Successfully mapped addr=192.168.0.11 to identity=6
        H2 T:from-network(6,0,0,eth0,unknown) ttl 64 vxlan
        0 D16 Tunnel decap: id=3001 flowlabel=0
        0 T:from-overlay(idA,0,0,cilium_vxlan,unknown) ttl 63
        H2 D48 Conntrack lookup 1/2: src=192.168.0.99:9000 dst=10.0.0.11:20000
        H2 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=0 scope=0
        H2 D15 CT verdict: New, revnat=0
        H2 D50 Conntrack create: proxy-port=0 revnat=0 src-identity=0 lb=0.0.0.0
        H2 T:to-network(idA,0,0,eth0,new) ttl 62 from 10.0.0.11
        H2 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H2 T:from-network(2,0,0,eth0,unknown) ttl 64
        H2 D48 Conntrack lookup 1/2: src=192.168.0.99:9000 dst=10.0.0.11:20000
        H2 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H2 D8 CT entry found lifetime=L, revnat=0
        H2 D15 CT verdict: Reply, revnat=0
        H2 D48 Conntrack lookup 1/2: src=192.168.0.99:9000 dst=10.0.0.11:20000
        H2 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H2 D15 CT verdict: New, revnat=0
        H2 D3 Encapsulating to node 184592576 (0xb00a8c0) from seclabel 2
        H2 T:to-overlay(2,idA,0,cilium_vxlan,reply) ttl 63
        H2 T:to-network(1,0,0,eth0,unknown) ttl 64 vxlan
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-network(idA,2,0,eth0,new) ttl 63
        A T:to-endpoint(2,idA,A,lxc_a,reply) ttl 62 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:9000
      events n2
        H2 T:to-network(idA,0,0,eth0,new) ttl 62 from 10.0.0.11
        H2 T:to-overlay(2,idA,0,cilium_vxlan,reply) ttl 63
    `,
    );
  });

  it("leaves directly from a pod on the gateway itself", () => {
    const b = inBuilds(GATEWAY, policy("n1"), udp("pod/a", OUTSIDE));
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
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=192.168.0.99:9000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=192.168.0.99 to identity=2
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-network(idA,2,0,eth0,new) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63 from 10.0.0.11
        H1 D58 Successfully mapped addr=192.168.0.99 to identity=2
        H1 T:from-network(2,0,0,eth0,unknown) ttl 64
        H1 D48 Conntrack lookup 1/2: src=192.168.0.99:9000 dst=10.0.0.11:20000
        H1 D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=1
        H1 D15 CT verdict: New, revnat=0
        H1 D2 Attempting local delivery for container id 101 from seclabel 2
        A D48 Conntrack lookup 1/2: src=192.168.0.99:9000 dst=10.0.0.11:20000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(2,idA,A,lxc_a,reply) ttl 63 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:9000
    `,
    );
  });

  it("drops what no node is gateway for", () => {
    const b = inBuilds(GATEWAY, policy("n3"), datagram("pod/a", OUTSIDE, 9000));
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev drop(No egress gateway found) drop(TC_EGRESS)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=192.168.0.99:9000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=192.168.0.99 to identity=2
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-network(idA,2,0,eth0,new) ttl 63
        H1 DROP 194(idA,0,0,eth0) ttl 63
    `,
    );
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-network(idA,2,0,eth0,new) ttl 63
        H1 DROP 194(idA,0,0,eth0) ttl 63
    `,
    );
  });

  it("is reached from a node with legacy host routing through its kernel", () => {
    const b = inBuilds({ ...GATEWAY, datapath: "cilium-legacy" }, policy("n2"), udp("pod/a", OUTSIDE));
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[63] cil_to_netdev redirect(cilium_vxlan) >cilium_vxlan[63] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_vxlan[63] cil_from_overlay redirect_neigh(eth0) >eth0[62] cil_to_netdev
        outside: backlog <eth0[62] local_in socket
      packet
        outside: local_out >eth0[64]
        n2: backlog <eth0[64] cil_from_netdev redirect(cilium_vxlan) >cilium_vxlan[63] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_vxlan[63] cil_from_overlay policy(A) redirect(lxc_a) >lxc_a[62]
        pod/a: backlog <eth0[62] local_in socket
      events n1
        A T:to-stack(idA,2,0,0,new) ttl 64
        A T:to-endpoint(2,idA,A,lxc_a,reply) ttl 62 from 192.168.0.99
        SOCK pre-rev 192.168.0.99:9000
      events n2
        H2 T:to-network(idA,0,0,eth0,new) ttl 62 from 10.0.0.11
        H2 T:to-overlay(2,idA,0,cilium_vxlan,reply) ttl 63
    `,
    );
  });

  it("is reached in tunnel mode as in native routing", () => {
    const b = inBuilds({ ...GATEWAY, datapath: "cilium-vxlan" }, policy("n2"), udp("pod/a", OUTSIDE));
    expect(b.debug.text).toBe(inBuilds(GATEWAY, policy("n2"), udp("pod/a", OUTSIDE)).debug.text);
  });

  it("has no part in what a policy excludes, which leaves from the pod's own node", () => {
    const excluded = policy("n2").replace(
      `[${OUTSIDE}/32]`,
      `[192.168.0.0/24], excludedCIDRs: [${OUTSIDE}/32]`,
    );
    const b = inBuilds(GATEWAY, excluded, udp("pod/a", OUTSIDE));
    expect(b.debug.text).toBe(inBuilds(GATEWAY, "", udp("pod/a", OUTSIDE)).debug.text);
  });

  it("drops on a gateway that lacks the policy's address with reason 204", () => {
    const b = inBuilds(
      GATEWAY,
      policy("n2").replace("}}}}", "}}, egressIP: 192.168.0.77}}"),
      datagram("pod/a", OUTSIDE, 9000),
    );
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev redirect(cilium_vxlan) >cilium_vxlan[63] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_vxlan[63] cil_from_overlay drop(No Egress IP configured) drop(TC_INGRESS)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:20000 dst=192.168.0.99:9000
        A D49 Conntrack lookup 2/2: nexthdr=17 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=192.168.0.99 to identity=2
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-network(idA,2,0,eth0,new) ttl 63
        H1 D3 Encapsulating to node 201369792 (0xc00a8c0) from seclabel 3001
        H1 T:to-overlay(idA,2,0,cilium_vxlan,unknown) ttl 63
        0 T:to-overlay(idA,0,0,cilium_vxlan,unknown) ttl 63
        H1 T:to-network(1,0,0,eth0,unknown) ttl 64 vxlan
      events n2
        H2 D58 Successfully mapped addr=192.168.0.11 to identity=6
        H2 T:from-network(6,0,0,eth0,unknown) ttl 64 vxlan
        0 D16 Tunnel decap: id=3001 flowlabel=0
        0 T:from-overlay(idA,0,0,cilium_vxlan,unknown) ttl 63
        0 DROP 204(idA,0,0,cilium_vxlan) ttl 63
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-network(idA,2,0,eth0,new) ttl 63
      events n2
        0 DROP 204(idA,0,0,cilium_vxlan) ttl 63
    `,
    );
  });

  it("does not concern pods that no policy chooses", () => {
    const b = inBuilds(GATEWAY, policy("n2"), udp("pod/b", OUTSIDE));
    const without = inBuilds({ datapath: "cilium-host-routing" }, "", udp("pod/b", OUTSIDE));
    expect(b.medium.text).toBe(without.medium.text);
  });
});
