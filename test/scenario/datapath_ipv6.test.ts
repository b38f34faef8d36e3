// Datapath facts, scenarios (a), (c), (k) and (m) over IPv6: pod to pod, hop limit, neighbour solicitation.
import { describe, expect, it } from "vitest";
import { icmpv6_checksum } from "../../src/kernel/ipv6/icmpv6.js";
import { ip6_local_out } from "../../src/kernel/ipv6/ip6_output.js";
import { alloc_local_skb } from "../../src/kernel/skbuff.js";
import { Lab } from "../../src/lab.js";
import { parseIpv6 } from "../../src/net/address.js";
import { DEBUG, NAMES, podIdentities, withoutDebug } from "../support/datapath_lab.js";
import { text, traceOf } from "../support/event_trace.js";
import { twoNodes } from "../support/two_nodes.js";

const POD6: Readonly<Record<string, string>> = { a: "fd00:10::11", b: "fd00:10::12", c: "fd00:11::21" };

/** The two-node cluster with both families. */
function dualLab(options: Readonly<Record<string, string>>): Lab {
  const yaml = twoNodes("", { "ipv6-native-routing-cidr": "fd00:10::/31" })
    .replace("name: n1}\nspec: {gateway", "name: n1}\nspec: {hostEndpointId: 901, gateway")
    .replace("name: n2}\nspec: {gateway", "name: n2}\nspec: {hostEndpointId: 902, gateway")
    .replace(/podCIDR: (10\.0\.(\d)\.0\/24)/g, 'podCIDR: $1, podCIDRs: [$1, "fd00:1$2::/64"]')
    .replace(/addresses: \[\{type: InternalIP, address: 192\.168\.0\.(\d+)\}\]/g, (m, n) =>
      m.replace("]", `, {type: InternalIP, address: "fd00:1::${n}"}]`),
    )
    .replace(/addresses: \[192\.168\.0\.(1\d)\/24\]/g, 'addresses: [192.168.0.$1/24, "fd00:1::$1/64"]')
    .replace(
      /status: \{podIP: 10\.0\.(\d)\.(\d+)\}/g,
      'status: {podIP: 10.0.$1.$2, podIPs: [{ip: 10.0.$1.$2}, {ip: "fd00:1$1::$2"}]}',
    );
  return Lab.fromYaml(yaml + podIdentities(), "dual.yaml", {
    datapath: "cilium-host-routing",
    options: { "enable-ipv6": "true", ...options },
  });
}

/** One echo request over IPv6. */
function echo6(lab: Lab, from: string, to: string, hops = 64, id = 3072): void {
  const ns = lab.endpoint(`pod/${from}`).ns!;
  const skb = alloc_local_skb(ns);
  const n = skb.data;
  skb.ensure(n + 56);
  skb.tail = n + 56;
  skb.network = n;
  skb.bytes.fill(0, n, skb.tail);
  skb.bytes[n] = 0x60;
  skb.view.setUint16(n + 4, 16, false);
  skb.bytes[n + 6] = 58;
  skb.bytes[n + 7] = hops;
  skb.bytes.set(parseIpv6(POD6[from]!), n + 8);
  skb.bytes.set(parseIpv6(POD6[to]!), n + 24);
  skb.bytes[n + 40] = 128;
  skb.view.setUint32(n + 44, (id << 16) | 1, false);
  icmpv6_checksum(skb, n, n + 40);
  ip6_local_out(ns, skb);
  lab.advance("100ms");
}

function trace(
  options: Readonly<Record<string, string>>,
  from: string,
  to: string,
  warm: boolean,
  hops = 64,
): string {
  const lab = dualLab(options);
  if (warm)
    for (const [x, y] of [
      [from, to],
      [to, from],
    ] as const)
      echo6(lab, x, y, 64, 7);
  if (warm) lab.advance("1s");
  return traceOf(lab, NAMES, () => echo6(lab, from, to, hops)).text;
}

describe("IPv6", () => {
  it("goes from pod to pod on one node, hop limit 63", () => {
    const debug = trace(DEBUG, "a", "b", true);
    expect(debug).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container policy(B) redirect_peer(lxc_b)
        pod/b: <eth0[63] local_in
      packet
        pod/b: local_out >eth0[64]
        n1: backlog <lxc_b[64] cil_from_container policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in
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
    expect(trace({}, "a", "b", true)).toBe(withoutDebug(debug));
  });

  it("goes from node to node, hop limit 62", () => {
    const debug = trace(DEBUG, "a", "c", true);
    expect(debug).toBe(
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
        pod/a: <eth0[62] local_in
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
    expect(trace({}, "a", "c", true)).toBe(withoutDebug(debug));
  });

  it("(m) has its neighbour solicitations for the router answered by the program", () => {
    expect(trace(DEBUG, "a", "b", false)).toBe(
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
        pod/a: <eth0[63] local_in
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

  it("(k) ends with time exceeded from the router at hop limit 1", () => {
    expect(trace(DEBUG, "a", "b", true, 1)).toBe(
      text`
      packet
        pod/a: local_out >eth0[1]
        n1: backlog <lxc_a[1] cil_from_container redirect(lxc_a) >lxc_a[1]
        pod/a: backlog <eth0[1] local_in
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
  });
});
