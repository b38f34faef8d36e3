// Datapath facts, scenario (p): IPsec between nodes, request and reply, the whole trace; what is encrypted and what is not;
// what is on the wire.
import { describe, expect, it } from "vitest";
import { NodeKey } from "../../maps/node.js";
import { ipcacheEntries, ipcacheKeyText } from "../../src/cluster/cilium/dump/endpoint_maps.js";
import type { CiliumNode } from "../../src/cluster/cilium/plane.js";
import type { DatapathName } from "../../src/cluster/model.js";
import { inject } from "../../src/kernel/dev.js";
import { alloc_local_skb } from "../../src/kernel/skbuff.js";
import type { Lab, LabOptions } from "../../src/lab.js";
import { parseIpv4 } from "../../src/net/address.js";
import { capture } from "../support/capture.js";
import { datapathLab, inBuilds, NAMES, withoutDebug } from "../support/datapath_lab.js";
import { pathLines, text, traceOf } from "../support/event_trace.js";
import { NODE_1, NODE_2 } from "../support/two_nodes.js";

const IPSEC = { "enable-ipsec": "true" } as const;

function options(datapath: DatapathName, more: Readonly<Record<string, string>> = {}): LabOptions {
  return { datapath, options: { ...IPSEC, ...more } };
}

const ping = (lab: Lab) => void lab.ping({ from: "pod/a", to: "pod/c", id: 3072 });
const node = (lab: Lab, name: string): CiliumNode => lab.node(name) as CiliumNode;

describe("IPsec, native routing, BPF host routing", () => {
  const b = inBuilds(options("cilium-host-routing"), "", ping);

  it("goes from cil_to_netdev to the stack by cilium_net, and is received on eth0 twice: encrypted, then as it was, TTL 61", () => {
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev redirect_ingress(cilium_net) backlog <cilium_net[63] cil_to_host PREROUTING ip_forward FORWARD POSTROUTING encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <eth0[62] cil_from_netdev policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[61] local_in
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev redirect_ingress(cilium_net) backlog <cilium_net[63] cil_to_host PREROUTING ip_forward FORWARD POSTROUTING encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <eth0[62] cil_from_netdev policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[61] local_in socket drop(NO_SOCKET)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        H1 T:to-stack(idA,0,0,cilium_host,unknown) ttl 63
        H1 T:from-stack(idA,0,0,cilium_net,new,encrypted) ttl 64
        H1 T:to-network(1,0,0,eth0,unknown,encrypted) ttl 64
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 62
        H1 D2 Attempting local delivery for container id 101 from seclabel 3003
        A D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 61 from 10.0.1.21
      events n2
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 62
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
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
        H2 T:to-stack(idC,0,0,cilium_host,unknown) ttl 63
        H2 T:from-stack(idC,0,0,cilium_net,new,encrypted) ttl 64
        H2 T:to-network(1,0,0,eth0,unknown,encrypted) ttl 64
    `,
    );
  });

  it("sends the same without debug messages in the default build, and four events at medium, none of encryption", () => {
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 61 from 10.0.1.21
      events n2
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 61 from 10.0.0.11
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
    `,
    );
  });
});

describe("IPsec, native routing, legacy host routing", () => {
  const b = inBuilds(options("cilium-legacy"), "", ping);

  it("goes through the stack once more on both nodes, TTL 60", () => {
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[63] cil_to_netdev redirect_ingress(cilium_net) backlog <cilium_net[63] cil_to_host PREROUTING ip_forward FORWARD POSTROUTING encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <eth0[62] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[61] cil_from_host policy(C) redirect(lxc_c) >lxc_c[60]
        pod/c: backlog <eth0[60] local_in
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[63] cil_to_netdev redirect_ingress(cilium_net) backlog <cilium_net[63] cil_to_host PREROUTING ip_forward FORWARD POSTROUTING encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <eth0[62] cil_from_netdev PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[61] cil_from_host policy(A) redirect(lxc_a) >lxc_a[60]
        pod/a: backlog <eth0[60] local_in socket drop(NO_SOCKET)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-stack(idA,idC,0,0,new) ttl 64
        A C4(0) ttl 64
        H1 T:to-stack(idA,0,0,cilium_host,unknown) ttl 63
        H1 T:from-stack(idA,0,0,cilium_net,new,encrypted) ttl 64
        H1 T:to-network(1,0,0,eth0,unknown,encrypted) ttl 64
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 T:from-network(idC,0,0,eth0,unknown) ttl 62
        H1 D61 Inheriting identity=2 from stack
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 T:from-host(idC,0,0,eth0,unknown) ttl 61
        H1 D2 Attempting local delivery for container id 101 from seclabel 3003
        A D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 60 from 10.0.1.21
      events n2
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 62
        H2 D61 Inheriting identity=2 from stack
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 T:from-host(idA,0,0,eth0,unknown) ttl 61
        H2 D2 Attempting local delivery for container id 103 from seclabel 3001
        C D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        C D15 CT verdict: New, revnat=0
        C D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 60 from 10.0.0.11
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
        C D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        C D8 CT entry found lifetime=L, revnat=0
        C D15 CT verdict: Reply, revnat=0
        C D58 Successfully mapped addr=10.0.0.11 to identity=3001
        C T:to-stack(idC,idA,0,0,reply) ttl 64
        C C4(0) ttl 64
        H2 T:to-stack(idC,0,0,cilium_host,unknown) ttl 63
        H2 T:from-stack(idC,0,0,cilium_net,new,encrypted) ttl 64
        H2 T:to-network(1,0,0,eth0,unknown,encrypted) ttl 64
    `,
    );
  });

  it("sends the same without debug messages in the default build, and at medium nothing of encryption", () => {
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        A T:to-stack(idA,idC,0,0,new) ttl 64
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 60 from 10.0.1.21
      events n2
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 60 from 10.0.0.11
        C T:to-stack(idC,idA,0,0,reply) ttl 64
    `,
    );
  });
});

describe("IPsec, tunnel mode", () => {
  const b = inBuilds(options("cilium-vxlan"), "", ping);

  it("encrypts the tunnel packet whole, TTL 63", () => {
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect(cilium_vxlan) >cilium_vxlan[64] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev redirect_ingress(cilium_net) backlog <cilium_net[64] cil_to_host PREROUTING ip_forward FORWARD POSTROUTING encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <eth0[63] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_vxlan[64] cil_from_overlay policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[63] local_in
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect(cilium_vxlan) >cilium_vxlan[64] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev redirect_ingress(cilium_net) backlog <cilium_net[64] cil_to_host PREROUTING ip_forward FORWARD POSTROUTING encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <eth0[63] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_vxlan[64] cil_from_overlay policy(A) redirect_peer(lxc_a)
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
        H1 T:to-stack(idA,0,0,cilium_host,unknown) ttl 64
        H1 T:from-stack(idA,0,0,cilium_net,new,encrypted) ttl 64
        H1 T:to-network(1,0,0,eth0,unknown,encrypted) ttl 64
        H1 D58 Successfully mapped addr=192.168.0.12 to identity=6
        H1 T:from-network(6,0,0,eth0,unknown) ttl 63 vxlan
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
        H2 T:from-network(6,0,0,eth0,unknown) ttl 63 vxlan
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
        H2 T:to-stack(idC,0,0,cilium_host,unknown) ttl 64
        H2 T:from-stack(idC,0,0,cilium_net,new,encrypted) ttl 64
        H2 T:to-network(1,0,0,eth0,unknown,encrypted) ttl 64
    `,
    );
  });

  it("sends the same without debug messages in the default build, and four events at medium", () => {
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
  it("is the same with Geneve", () => {
    const geneve = inBuilds(options("cilium-geneve"), "", ping);
    expect(geneve.debug.text).toBe(b.debug.text.replaceAll("vxlan", "geneve"));
  });
});

describe("the ESP packet", () => {
  for (const [datapath, ends] of [
    ["cilium-host-routing", ["10.0.0.1", "10.0.1.1"]],
    ["cilium-legacy", ["10.0.0.1", "10.0.1.1"]],
    ["cilium-vxlan", [NODE_1, NODE_2]],
  ] as const) {
    it(`of ${datapath} is, decrypted with the state's key, what the other node receives again`, () => {
      const lab = datapathLab(options(datapath));
      const sent = capture(lab, "node/n1", "eth0");
      const received = capture(lab, "node/n2", "eth0");
      lab.udp({ from: "pod/a", to: "pod/c", port: 9000, sourcePort: 20000, size: 333 });
      const [esp] = sent.frames;
      const inner = received.frames[1]!.slice(14);
      const f = esp!.slice();
      const v = new DataView(f.buffer);
      expect([f[23], f.slice(26, 30).join("."), f.slice(30, 34).join(".")]).toEqual([50, ...ends]);
      const state = node(lab, "n1").machine.ns.xfrm!.states.find((s) => s.dst === parseIpv4(ends[1]))!;
      expect(v.getUint32(34)).toBe(3);
      const body = 34 + 8 + 8;
      const n = f.length - body - 16;
      const ad = new Uint8Array(12);
      ad.set(f.slice(34, 38), 0);
      ad.set(f.slice(38, 42), 8);
      expect(state.aead.open(f, body, n, state.salt, v.getInt32(42), v.getInt32(46), ad, 0, 12)).toBe(true);
      expect(f.slice(body, body + inner.length)).toEqual(inner);
      // Padding 1, 2, ... to a multiple of 4, its length, and the type of what is inside.
      const pad = n - inner.length - 2;
      expect(pad).toBeLessThan(4);
      expect([...f.slice(body + inner.length, body + n)]).toEqual([...[1, 2, 3].slice(0, pad), pad, 4]);
    });
  }

  it("hides the pods: no frame that a node sends shows their addresses, and none is cut", () => {
    for (const datapath of ["cilium-host-routing", "cilium-legacy", "cilium-vxlan"] as const) {
      const lab = datapathLab(options(datapath));
      const n1 = capture(lab, "node/n1", "eth0");
      const n2 = capture(lab, "node/n2", "eth0");
      expect(lab.tcp({ from: "pod/a", to: "pod/c", port: 8080, send: 5000, receive: 5000 })).toMatchObject({
        sent: 5000,
        received: 5000,
      });
      const [mac1, mac2] = [n1, n2].map((c) => c.dev.mac.join());
      const of = (c: typeof n1, mac: string) => c.frames.filter((f) => f.slice(6, 12).join() === mac);
      const onWire = [...of(n1, mac1!), ...of(n2, mac2!)];
      expect(onWire.length).toBeGreaterThan(16);
      for (const f of onWire) {
        expect(f[23]).toBe(50);
        expect(f.length).toBeLessThanOrEqual(1514);
        expect((f[20]! << 8) | f[21]!).toBe(onWire[0]![20]! << 8);
      }
    }
  });
});

/** The way of one ping's request. */
function way(lab: Lab, from: string, to: string): string {
  const walks = lab.record(() => void lab.ping({ from, to, id: 3073 }));
  return pathLines(walks[0]!, NAMES).join("\n");
}

describe("what IPsec encrypts", () => {
  it("is pod to pod between nodes, not what a node sends, nodes are sent, or leaves the cluster", () => {
    const lab = datapathLab(options("cilium-host-routing"));
    const encrypted = (from: string, to: string) => way(lab, from, to).includes("encap");
    expect(encrypted("pod/a", "pod/c")).toBe(true);
    for (const [from, to] of [
      ["pod/a", "pod/b"],
      ["pod/a", NODE_2],
      ["node/n1", NODE_2],
      ["node/n1", "pod/c"],
      ["pod/a", "host/outside"],
      ["host/outside", NODE_1],
    ] as const)
      expect([from, to, encrypted(from, to)]).toEqual([from, to, false]);
  });

  it("is in tunnel mode all that goes through the tunnel, what a node sends to pods too", () => {
    const lab = datapathLab(options("cilium-vxlan"));
    expect(way(lab, "node/n1", "pod/c")).toBe(
      text`
      n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host redirect(cilium_vxlan) >cilium_vxlan[64] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev redirect_ingress(cilium_net) backlog <cilium_net[64] cil_to_host PREROUTING ip_forward FORWARD POSTROUTING encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
      n2: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <eth0[63] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_vxlan[64] cil_from_overlay policy(C) redirect_peer(lxc_c)
      pod/c: <eth0[63] local_in
    `.trimEnd(),
    );
    expect(way(lab, "node/n1", NODE_2)).not.toContain("encap");
  });

  for (const datapath of ["cilium-host-routing", "cilium-legacy"] as const) {
    it(`is also what the proxy of either node sends and is sent, ${datapath}`, () => {
      const l7 = (app: string, direction: string) => `---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: l7}
spec: {endpointSelector: {matchLabels: {app: ${app}}}, ${direction}: [{toPorts: [{ports: [{port: "8080", protocol: TCP}], rules: {http: [{method: GET}]}}]}]}
`;
      for (const policy of [l7("a", "egress"), l7("c", "ingress")]) {
        const lab = datapathLab(options(datapath), policy);
        const wire = capture(lab, "node/n1", "eth0");
        const r = lab.tcp({ from: "pod/a", to: "pod/c", port: 8080, send: 100, receive: 50 });
        expect([r.connected, r.received]).toEqual([true, 50]);
        const mac = wire.dev.mac.join();
        const sent = wire.frames.filter((f) => f.slice(6, 12).join() === mac);
        expect(sent.length).toBeGreaterThan(3);
        expect(sent.every((f) => f[23] === 50)).toBe(true);
      }
    });
  }
});

describe("IPsec that fails", () => {
  /** What the nodes say they drop of one ping. */
  const drops = (lab: Lab): string[] =>
    traceOf(lab, NAMES, () => ping(lab))
      .events.split("\n")
      .map((l) => l.trim())
      .filter((l) => l.includes("DROP"));

  it("drops ESP of a node that has no id", () => {
    const lab = datapathLab(options("cilium-host-routing"));
    const map = node(lab, "n2").maps.cilium_node_map_v2;
    expect(map.remove(new NodeKey().setIpv4(parseIpv4("10.0.0.1")).words)).toBe(0);
    expect(drops(lab)).toEqual(["H2 DROP 197(0,0,0,eth0) ttl 64"]);
  });

  it("drops what cannot be encrypted for want of the node's id, and sends nothing as it is", () => {
    const lab = datapathLab(options("cilium-host-routing"));
    const map = node(lab, "n1").maps.cilium_node_map_v2;
    expect(map.remove(new NodeKey().setIpv4(parseIpv4(NODE_2)).words)).toBe(0);
    const wire = capture(lab, "node/n1", "eth0");
    expect(drops(lab)).toEqual(["H1 DROP 197(idA,0,0,eth0) ttl 63"]);
    expect(wire.frames.filter((f) => f[13] === 0)).toEqual([]);
  });

  it("drops a packet that comes twice, or with another byte, in the stack", () => {
    const lab = datapathLab(options("cilium-host-routing"));
    const wire = capture(lab, "node/n2", "eth0");
    ping(lab);
    const esp = wire.frames[0]!.slice();
    const { ns, nics } = node(lab, "n2").machine;
    const stats = () => [ns.xfrm!.stats.inStateSeqError, ns.xfrm!.stats.inStateProtoError];
    const resend = (f: Uint8Array) => {
      const skb = alloc_local_skb(ns);
      skb.setFrame(f);
      inject(nics[0]!, skb);
    };
    wire.clear();
    resend(esp);
    expect(stats()).toEqual([1, 0]);
    // A number not seen yet is believed only if the tag is right.
    const later = esp.slice();
    later[41]! += 5;
    resend(later);
    expect(stats()).toEqual([1, 1]);
    // Neither came out again.
    expect(wire.frames.length).toBe(2);
    expect(lab.ping({ from: "pod/a", to: "pod/c", id: 9 }).received).toBe(1);
  });
});

describe("what the agent sets up for IPsec", () => {
  const native = datapathLab(options("cilium-host-routing"), "", false);
  const tunnel = datapathLab(options("cilium-vxlan"), "", false);
  const run = (lab: Lab, on: string, command: string): string => lab.exec(on, command).out;

  it("is routes to pods that leave room for ESP, and for the tunnel inside it", () => {
    expect(run(native, "pod/a", "ip route")).toBe(
      "default via 10.0.0.1 dev eth0 mtu 1423 \n10.0.0.1 dev eth0 scope link \n",
    );
    expect(run(tunnel, "pod/a", "ip route")).toBe(
      "default via 10.0.0.1 dev eth0 mtu 1373 \n10.0.0.1 dev eth0 scope link \n",
    );
    const whole = native.ping({ from: "pod/a", to: "pod/c", id: 9, size: 1423 - 28 });
    expect(whole.replies.map((r) => r.bytes)).toEqual([1403]);
  });

  it("is a rule and a table for what was decrypted, and a rule for what proxies send, in native routing", () => {
    expect(run(native, "node/n1", "ip rule")).toBe(
      text`
      0:	from all lookup local
      1:	from all fwmark 0xd00/0xf00 lookup 200
      9:	from all fwmark 0x200/0xf00 lookup 2004
      10:	from all fwmark 0xa00/0xf00 lookup 2005
      10:	from all fwmark 0xb00/0xf00 lookup 2005
      32766:	from all lookup main
      32767:	from all lookup default
    `,
    );
    expect(run(native, "node/n1", "ip route show table 200")).toBe(
      "local 10.0.0.0/24 dev eth0 \n10.0.1.0/24 dev cilium_host scope link mtu 1500 \n",
    );
    expect(run(tunnel, "node/n1", "ip route show table 200")).toBe(
      "local 10.0.0.0/24 dev eth0 \n10.0.1.0/24 dev cilium_host scope link mtu 1450 \n",
    );
    expect(run(tunnel, "node/n1", "ip rule")).not.toContain("2005");
  });

  it("is the key's number on every pod in the ipcache, and the tunnel endpoint of those on other nodes", () => {
    const keys = Object.fromEntries(
      ipcacheEntries(node(native, "n1").maps).map((e) => [ipcacheKeyText(e.key), e.value[22]]),
    );
    expect(keys).toEqual({
      "0.0.0.0/0": 0,
      "192.168.0.11/32": 0,
      "192.168.0.12/32": 0,
      "10.0.0.1/32": 0,
      "10.0.1.1/32": 0,
      "10.0.0.11/32": 3,
      "10.0.0.12/32": 3,
      "10.0.1.21/32": 3,
    });
  });

  it("is other keys for every pair and direction, the same in every run", () => {
    const keys = (lab: Lab) =>
      ["n1", "n2"].flatMap((n) => node(lab, n).machine.ns.xfrm!.states.map((s) => `${s.salt} ${s.ivSalt}`));
    const k = keys(native);
    expect(k.length).toBe(4);
    // What one node sends with is what the other receives with.
    expect([k[0], k[1]]).toEqual([k[3], k[2]]);
    expect(k[0]).not.toBe(k[1]);
    expect(keys(datapathLab(options("cilium-host-routing"), "", false))).toEqual(k);
  });

  it("is refused with WireGuard, with IPv6 and for release 1.11", () => {
    const refused = (o: LabOptions) => () => datapathLab(o, "", false);
    expect(refused(options("cilium-host-routing", { "enable-wireguard": "true" }))).toThrow(
      'cilium-config: enable-ipsec is "true", which does not go with enable-wireguard',
    );
    expect(refused(options("cilium-host-routing", { "enable-ipv6": "true" }))).toThrow(
      'cilium-config: enable-ipsec is "true", which is modelled for IPv4 only, but enable-ipv6 is true',
    );
    expect(refused({ ...options("cilium-host-routing"), profile: "1.11" })).toThrow(
      'cilium-config: enable-ipsec is "true", which is modelled for release 1.19 only',
    );
  });
});
