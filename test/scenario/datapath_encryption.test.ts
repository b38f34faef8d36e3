// Datapath facts, scenario (p): WireGuard between nodes, request and reply, the whole trace; what is encrypted and what is
// not; what is on the wire.
import { describe, expect, it } from "vitest";
import { ChaCha20Poly1305 } from "../../src/base/crypto/chacha20poly1305.js";
import { ipcacheEntries, ipcacheKeyText } from "../../src/cluster/cilium/dump/endpoint_maps.js";
import { metricsListJson } from "../../src/cluster/cilium/dump/metrics_list.js";
import type { CiliumNode } from "../../src/cluster/cilium/plane.js";
import type { DatapathName } from "../../src/cluster/model.js";
import type { Lab, LabOptions } from "../../src/lab.js";
import { capture } from "../support/capture.js";
import { datapathLab, inBuilds, MEDIUM, NAMES, withoutDebug } from "../support/datapath_lab.js";
import { dualLab } from "../support/dual_lab.js";
import { pathLines, text, traceOf } from "../support/event_trace.js";
import { NODE_1, NODE_2, POD_C } from "../support/two_nodes.js";

const WIREGUARD = { "enable-wireguard": "true" } as const;
const ENCRYPT_NODE = { ...WIREGUARD, "encrypt-node": "true" } as const;

function options(datapath: DatapathName, more: Readonly<Record<string, string>> = WIREGUARD): LabOptions {
  return { datapath, options: more };
}

const ping = (lab: Lab) => void lab.ping({ from: "pod/a", to: "pod/c", id: 3072 });
const node = (lab: Lab, name: string): CiliumNode => lab.node(name) as CiliumNode;

describe("WireGuard, native routing, BPF host routing", () => {
  const b = inBuilds(options("cilium-host-routing"), "", ping);

  it("goes from cil_to_netdev through cilium_wg0 and eth0 again; the far pod is reached from cilium_wg0, TTL 62", () => {
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev redirect(cilium_wg0) >cilium_wg0[63] cil_to_wireguard encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_wg0[63] cil_from_wireguard policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[62] local_in
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev redirect(cilium_wg0) >cilium_wg0[63] cil_to_wireguard encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_wg0[63] cil_from_wireguard policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[62] local_in socket drop(NO_SOCKET)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=10.0.1.21 to identity=3003
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        0 T:to-crypto(idA,0,0,cilium_wg0,unknown) ttl 63
        H1 T:to-network(1,0,0,eth0,unknown,encrypted) ttl 64
        H1 D58 Successfully mapped addr=192.168.0.12 to identity=6
        H1 T:from-network(6,0,0,eth0,new,encrypted) ttl 64
        0 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        0 T:from-crypto(idC,0,0,cilium_wg0,unknown) ttl 63
        0 D2 Attempting local delivery for container id 101 from seclabel 3003
        A D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from 10.0.1.21
      events n2
        H2 D58 Successfully mapped addr=192.168.0.11 to identity=6
        H2 T:from-network(6,0,0,eth0,new,encrypted) ttl 64
        0 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        0 T:from-crypto(idA,0,0,cilium_wg0,unknown) ttl 63
        0 D2 Attempting local delivery for container id 103 from seclabel 3001
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
        0 T:to-crypto(idC,0,0,cilium_wg0,unknown) ttl 63
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
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from 10.0.1.21
      events n2
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 62 from 10.0.0.11
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
    `,
    );
  });
});

describe("WireGuard, native routing, legacy host routing", () => {
  const b = inBuilds(options("cilium-legacy"), "", ping);

  it("goes through both stacks before it is encrypted and after it was decrypted, TTL 61", () => {
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[63] cil_to_netdev redirect(cilium_wg0) >cilium_wg0[63] cil_to_wireguard encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_wg0[63] cil_from_wireguard PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[62] cil_from_host policy(C) redirect(lxc_c) >lxc_c[61]
        pod/c: backlog <eth0[61] local_in
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container PREROUTING ip_forward FORWARD POSTROUTING >eth0[63] cil_to_netdev redirect(cilium_wg0) >cilium_wg0[63] cil_to_wireguard encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_wg0[63] cil_from_wireguard PREROUTING ip_forward FORWARD POSTROUTING >cilium_host[62] cil_from_host policy(A) redirect(lxc_a) >lxc_a[61]
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
        0 T:to-crypto(idA,0,0,cilium_wg0,unknown) ttl 63
        H1 T:to-network(1,0,0,eth0,unknown,encrypted) ttl 64
        H1 D58 Successfully mapped addr=192.168.0.12 to identity=6
        H1 T:from-network(6,0,0,eth0,new,encrypted) ttl 64
        0 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        0 T:from-crypto(idC,0,0,cilium_wg0,unknown) ttl 63
        H1 D61 Inheriting identity=2 from stack
        H1 D58 Successfully mapped addr=10.0.1.21 to identity=3003
        H1 T:from-host(idC,0,0,cilium_wg0,unknown) ttl 62
        H1 D2 Attempting local delivery for container id 101 from seclabel 3003
        A D48 Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 61 from 10.0.1.21
      events n2
        H2 D58 Successfully mapped addr=192.168.0.11 to identity=6
        H2 T:from-network(6,0,0,eth0,new,encrypted) ttl 64
        0 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        0 T:from-crypto(idA,0,0,cilium_wg0,unknown) ttl 63
        H2 D61 Inheriting identity=2 from stack
        H2 D58 Successfully mapped addr=10.0.0.11 to identity=3001
        H2 T:from-host(idA,0,0,cilium_wg0,unknown) ttl 62
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
        0 T:to-crypto(idC,0,0,cilium_wg0,unknown) ttl 63
        H2 T:to-network(1,0,0,eth0,unknown,encrypted) ttl 64
    `,
    );
  });

  it("sends the same without debug messages in the default build, and four events at medium", () => {
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
});

describe("WireGuard, tunnel mode", () => {
  const b = inBuilds(options("cilium-vxlan"), "", ping);

  it("encrypts the tunnel packet whole, without a trace of cilium_wg0, TTL 63", () => {
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect(cilium_vxlan) >cilium_vxlan[64] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev redirect(cilium_wg0) >cilium_wg0[64] encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_wg0[64] cil_from_wireguard PREROUTING local_in INPUT decap backlog <cilium_vxlan[64] cil_from_overlay policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[63] local_in
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect(cilium_vxlan) >cilium_vxlan[64] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev redirect(cilium_wg0) >cilium_wg0[64] encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_wg0[64] cil_from_wireguard PREROUTING local_in INPUT decap backlog <cilium_vxlan[64] cil_from_overlay policy(A) redirect_peer(lxc_a)
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
        H1 T:to-network(1,0,0,eth0,unknown,encrypted) ttl 64
        H1 D58 Successfully mapped addr=192.168.0.12 to identity=6
        H1 T:from-network(6,0,0,eth0,new,encrypted) ttl 64
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
        H2 T:from-network(6,0,0,eth0,new,encrypted) ttl 64
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
    expect(geneve.debug.text).toBe(b.debug.text.replaceAll("cilium_vxlan", "cilium_geneve"));
  });
});

describe("the first packet between two nodes", () => {
  it("waits for the handshake, whose messages are traced as encrypted packets of the host", () => {
    const lab = datapathLab(options("cilium-host-routing"), "", false);
    // Neighbours are known, but there was nothing to encrypt yet.
    lab.ping({ from: "node/n1", to: NODE_2, id: 7 });
    lab.ping({ from: "pod/a", to: "pod/b", id: 7 });
    lab.ping({ from: "pod/c", to: NODE_2, id: 7 });
    expect(traceOf(lab, NAMES, () => ping(lab)).text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: backlog <lxc_a[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev redirect(cilium_wg0) >cilium_wg0[63] cil_to_wireguard encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_wg0[63] cil_from_wireguard policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[62] local_in
      packet
        n1: encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n2: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT socket
      packet
        n2: encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT socket
      packet
        pod/c: local_out >eth0[64]
        n2: backlog <lxc_c[64] cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev redirect(cilium_wg0) >cilium_wg0[63] cil_to_wireguard encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_wg0[63] cil_from_wireguard policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[62] local_in socket drop(NO_SOCKET)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-network(idA,idC,0,eth0,new) ttl 63
        0 T:to-crypto(idA,0,0,cilium_wg0,unknown) ttl 63
        H1 T:to-network(1,0,0,eth0,unknown,encrypted) ttl 64
        H1 T:from-network(6,0,0,eth0,new,encrypted) ttl 64
        H1 T:to-network(1,0,0,eth0,unknown,encrypted) ttl 64
        H1 T:from-network(6,0,0,eth0,new,encrypted) ttl 64
        0 T:from-crypto(idC,0,0,cilium_wg0,unknown) ttl 63
        A T:to-endpoint(idC,idA,A,lxc_a,reply) ttl 62 from 10.0.1.21
      events n2
        H2 T:from-network(6,0,0,eth0,new,encrypted) ttl 64
        H2 T:to-network(1,0,0,eth0,unknown,encrypted) ttl 64
        H2 T:from-network(6,0,0,eth0,new,encrypted) ttl 64
        0 T:from-crypto(idA,0,0,cilium_wg0,unknown) ttl 63
        C T:to-endpoint(idA,idC,C,lxc_c,new) ttl 62 from 10.0.0.11
        C T:from-endpoint(idC,0,0,0,unknown) ttl 64
        C T:to-network(idC,idA,0,eth0,reply) ttl 63
        0 T:to-crypto(idC,0,0,cilium_wg0,unknown) ttl 63
        H2 T:to-network(1,0,0,eth0,unknown,encrypted) ttl 64
    `,
    );
  });
});

describe("the encrypted packet", () => {
  for (const datapath of ["cilium-host-routing", "cilium-legacy", "cilium-vxlan"] as const) {
    it(`of ${datapath} is, decrypted with the session's key, what went into cilium_wg0`, () => {
      const lab = datapathLab(options(datapath));
      const wire = capture(lab, "node/n1", "eth0");
      const inner = capture(lab, "node/n1", "cilium_wg0");
      lab.udp({ from: "pod/a", to: "pod/c", port: 9000, sourcePort: 20000, size: 333 });
      // Request and answer.
      expect(wire.frames.length).toBe(2);
      expect(inner.frames.length).toBe(2);
      const [peer] = node(lab, "n1").wireguard!.peers;
      const keys = [peer!.current!.sending.key, peer!.current!.receiving.key];
      const ips = [
        [NODE_1, NODE_2],
        [NODE_2, NODE_1],
      ];
      for (const i of [0, 1]) {
        const f = wire.frames[i]!;
        const v = new DataView(f.buffer);
        expect([f.slice(26, 30).join("."), f.slice(30, 34).join(".")]).toEqual(ips[i]);
        expect([v.getUint16(34), v.getUint16(36), v.getUint32(42, true)]).toEqual([51871, 51871, 4]);
        const counter = v.getUint32(50, true);
        const b = f.slice(58);
        expect(new ChaCha20Poly1305(keys[i]!).open(b, 0, b.length - 16, 0, counter, 0)).toBe(true);
        const packet = inner.frames[i]!;
        expect(b.slice(0, packet.length)).toEqual(packet);
        // Padded with zeros to a multiple of 16.
        expect(b.length - 16).toBe(Math.ceil(packet.length / 16) * 16);
        expect(b.slice(packet.length, -16).every((x) => x === 0)).toBe(true);
      }
    });
  }

  it("hides the pods: no frame between the nodes shows their addresses", () => {
    const lab = datapathLab(options("cilium-host-routing"));
    const wire = capture(lab, "node/n1", "eth0");
    lab.tcp({ from: "pod/a", to: "pod/c", port: 8080, send: 5000 });
    expect(wire.frames.length).toBeGreaterThan(8);
    for (const f of wire.frames) {
      expect([NODE_1, NODE_2]).toContain(f.slice(26, 30).join("."));
      expect(f[23]).toBe(17);
      // Nothing had to be cut: TCP knows the route's MTU.
      expect(f.length).toBeLessThanOrEqual(1514);
      expect((f[20]! << 8) | f[21]!).toBe(0);
    }
  });
});

/** The way of one ping's request. */
function way(lab: Lab, from: string, to: string): string {
  const walks = lab.record(() => void lab.ping({ from, to, id: 3073 }));
  return pathLines(walks[0]!, NAMES).join("\n");
}

describe("what is encrypted", () => {
  it("is pod to pod between nodes, not what a node sends, nodes are sent, or leaves the cluster", () => {
    const lab = datapathLab(options("cilium-host-routing"));
    const encrypted = (from: string, to: string) => way(lab, from, to).includes("cilium_wg0");
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

  it("is also what nodes send and are sent with encrypt-node, but nothing of the world", () => {
    for (const datapath of ["cilium-host-routing", "cilium-legacy", "cilium-vxlan"] as const) {
      const lab = datapathLab(options(datapath, ENCRYPT_NODE));
      for (const [from, to, expected] of [
        ["pod/a", "pod/c", true],
        ["pod/a", NODE_2, true],
        ["node/n1", NODE_2, true],
        ["node/n1", "pod/c", true],
        ["pod/a", "host/outside", false],
        ["host/outside", NODE_1, false],
      ] as const) {
        expect([datapath, from, to, way(lab, from, to).includes("cilium_wg0")]).toEqual([
          datapath,
          from,
          to,
          expected,
        ]);
        expect(lab.ping({ from, to, id: 9 }).received).toBe(1);
      }
    }
  });

  // A reply of a node that is reached through cilium_wg0 used to be lost in tunnel mode: the pod's address is not one that
  // the peer may have, so nodes have to be reached through the tunnel.
  it("goes from a pod to another node through the tunnel and then encrypted, with encrypt-node in tunnel mode", () => {
    const lab = datapathLab(options("cilium-vxlan", ENCRYPT_NODE));
    expect(way(lab, "pod/a", NODE_2)).toBe(
      text`
      pod/a: local_out >eth0[64]
      n1: backlog <lxc_a[64] cil_from_container redirect(cilium_vxlan) >cilium_vxlan[64] cil_to_overlay encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev redirect(cilium_wg0) >cilium_wg0[64] encap local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
      n2: backlog <eth0[64] cil_from_netdev PREROUTING local_in INPUT decap backlog <cilium_wg0[64] cil_from_wireguard PREROUTING local_in INPUT decap backlog <cilium_vxlan[64] cil_from_overlay redirect_ingress(cilium_host) backlog <cilium_host[63] cil_to_host PREROUTING local_in INPUT
    `.trimEnd(),
    );
  });

  it("leaves out nodes with a label that opts out", () => {
    const lab = datapathLab(
      options("cilium-host-routing", {
        ...ENCRYPT_NODE,
        "node-encryption-opt-out-labels": "kubernetes.io/hostname=n2",
      }),
    );
    expect(way(lab, "node/n1", NODE_2)).not.toContain("cilium_wg0");
    expect(way(lab, "node/n2", NODE_1)).not.toContain("cilium_wg0");
    expect(way(lab, "pod/a", "pod/c")).toContain("cilium_wg0");
  });

  it("is IPv6 between pods too, inside IPv4", () => {
    const lab = dualLab(options("cilium-host-routing"));
    const wire = capture(lab, "node/n1", "eth0");
    const r = lab.ping({ from: "pod/a", to: "pod/c", id: 9, ipFamily: "IPv6" });
    expect(r.replies.map((x) => x.ttl)).toEqual([62]);
    expect(wire.frames.map((f) => f[23])).toEqual([17, 17]);
  });
});

describe("what the agent sets up", () => {
  const native = datapathLab(options("cilium-host-routing"), "", false);
  const tunnel = datapathLab(options("cilium-vxlan"), "", false);
  const run = (lab: Lab, on: string, command: string): string => lab.exec(on, command).out;

  it("is a device without addresses, 80 bytes smaller than the node's", () => {
    expect(run(native, "node/n1", "ip link show cilium_wg0")).toBe(
      "5: cilium_wg0: <POINTOPOINT,NOARP,UP,LOWER_UP> mtu 1420 qdisc noqueue state UNKNOWN mode DEFAULT group default qlen 1000\n    link/none \n",
    );
  });

  it("is routes to pods that leave room for the encryption, and for the tunnel inside it", () => {
    expect(run(native, "pod/a", "ip route")).toBe(
      "default via 10.0.0.1 dev eth0 mtu 1420 \n10.0.0.1 dev eth0 scope link \n",
    );
    expect(run(tunnel, "pod/a", "ip route")).toBe(
      "default via 10.0.0.1 dev eth0 mtu 1370 \n10.0.0.1 dev eth0 scope link \n",
    );
    expect(run(tunnel, "node/n1", "ip route").split("\n")).toContain(
      "10.0.1.0/24 via 10.0.0.1 dev cilium_host proto kernel src 10.0.0.1 mtu 1370 ",
    );
    const whole = native.ping({ from: "pod/a", to: "pod/c", id: 9, size: 1420 - 28 });
    expect(whole.replies.map((r) => r.bytes)).toEqual([1400]);
  });

  it("is a rule for what the ingress proxy sends, in native routing only", () => {
    expect(run(native, "node/n1", "ip rule")).toContain("10:\tfrom all fwmark 0xa00/0xf00 lookup 2005\n");
    expect(run(native, "node/n1", "ip route show table 2005")).toBe(
      text`
      default via 10.0.0.1 dev cilium_host mtu 1420
      10.0.0.1 dev cilium_host scope link
    `.replaceAll("\n", " \n"),
    );
    expect(run(tunnel, "node/n1", "ip rule")).not.toContain("2005");
  });

  it("is a key on every pod in the ipcache, and on nodes with encrypt-node", () => {
    const keys = (lab: Lab) =>
      Object.fromEntries(
        ipcacheEntries(node(lab, "n1").maps).map((e) => [ipcacheKeyText(e.key), e.value[22]]),
      );
    expect(keys(native)).toEqual({
      "0.0.0.0/0": 0,
      "192.168.0.11/32": 0,
      "192.168.0.12/32": 0,
      "10.0.0.1/32": 0,
      "10.0.1.1/32": 0,
      "10.0.0.11/32": 255,
      "10.0.0.12/32": 255,
      "10.0.1.21/32": 255,
    });
    const nodes = keys(datapathLab(options("cilium-host-routing", ENCRYPT_NODE), "", false));
    expect([nodes["192.168.0.11/32"], nodes["192.168.0.12/32"], nodes["10.0.1.1/32"]]).toEqual([0, 255, 255]);
  });

  it("is a peer for each other node: its pods, router and own address, in tunnel mode only the last", () => {
    const allowed = (lab: Lab) =>
      node(lab, "n1").wireguard!.allowedIps.list.map((a) => `${a.address.join(".")}/${a.bits}`);
    expect(allowed(native)).toEqual(["10.0.1.1/32", `${POD_C}/32`, `${NODE_2}/32`]);
    expect(allowed(tunnel)).toEqual([`${NODE_2}/32`]);
    const [peer] = node(native, "n1").wireguard!.peers;
    expect(peer!.publicKey).toEqual(node(native, "n2").wireguard!.identity.publicKey);
    expect([peer!.port, peer!.persistentKeepalive]).toEqual([51871, 0]);
  });

  it("is rules that leave encrypted and decrypted packets alone", () => {
    const rules = run(native, "node/n1", "iptables-save").split("\n");
    const of = (chain: string) =>
      rules
        .filter(
          (r) =>
            r.startsWith(`-A ${chain} -m mark --mark 0xe00/0xf00`) ||
            r.startsWith(`-A ${chain} -m mark --mark 0xd00/0xf00`),
        )
        .map((r) => r.replace(`-A ${chain} -m mark --mark `, ""));
    expect(of("CILIUM_PRE_raw")).toEqual([
      `0xe00/0xf00 -m comment --comment "cilium-encryption-notrack:" -j CT --notrack`,
      `0xd00/0xf00 -m comment --comment "cilium-encryption-notrack:" -j CT --notrack`,
    ]);
    for (const [table, chain] of [
      ["filter", "CILIUM_INPUT"],
      ["filter", "CILIUM_OUTPUT"],
      ["filter", "CILIUM_FORWARD"],
      ["nat", "CILIUM_POST_nat"],
      ["nat", "CILIUM_OUTPUT_nat"],
      ["nat", "CILIUM_PRE_nat"],
    ]) {
      const why = `-m comment --comment "exclude encrypt/decrypt marks from ${table} ${chain} chain" -j ACCEPT`;
      expect(of(chain!)).toEqual([`0xe00/0xf00 ${why}`, `0xd00/0xf00 ${why}`]);
    }
    // nf_conntrack never sees the outer packets that arrive.
    native.ping({ from: "pod/a", to: "pod/c", id: 9 });
    expect(run(native, "node/n2", "conntrack -L")).not.toContain("51871");
  });

  it("counts decrypted and encrypted packets in the metrics map", () => {
    const lab = datapathLab(options("cilium-host-routing", { ...WIREGUARD, ...MEDIUM }), "", false);
    lab.ping({ from: "pod/a", to: "pod/c", id: 9, count: 3 });
    const metrics = metricsListJson(node(lab, "n1").maps);
    const count = (reason: string) => {
      const m = metrics.filter((r) => r.reason === reason);
      return m.map((r) => `${r.direction} ${r.packets}`).join(", ");
    };
    expect([count("Interface Encrypting"), count("Interface Decrypting")]).toEqual(["egress 3", "ingress 3"]);
    // Three answers and the response of the handshake.
    expect(count("Interface Decrypted")).toBe("ingress 4");
  });

  it("is refused for release 1.11", () => {
    expect(() => datapathLab({ ...options("cilium-host-routing"), profile: "1.11" }, "", false)).toThrow(
      'cilium-config: enable-wireguard is "true", which is modelled for release 1.19 only',
    );
  });
});
