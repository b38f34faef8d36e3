// Datapath facts, scenario (o): pods on netkit instead of veth. Programs run when the pod sends; the rest is as with veth.
import { describe, expect, it } from "vitest";
import { Program } from "../../src/bpf/program.js";
import { Step } from "../../src/bpf/steps.js";
import { NETKIT_DROP, NETKIT_NEXT } from "../../src/bpf/verdict.js";
import { bpfEndpointListText } from "../../src/cluster/cilium/dump/endpoint_maps.js";
import type { CiliumNode } from "../../src/cluster/cilium/plane.js";
import { Ping } from "../../src/kernel/raw.js";
import { TcpSock } from "../../src/kernel/tcp.js";
import { Lab, type LabOptions } from "../../src/lab.js";
import { formatMac, parseIpv4 } from "../../src/net/address.js";
import { STARTER } from "../../src/scenario/starter.js";
import { compareFlow } from "../../src/walk/compare.js";
import { macText } from "../../src/walk/walk.js";
import { DEBUG, datapathLab, inBuilds, NAMES, withoutDebug } from "../support/datapath_lab.js";
import { dualLab } from "../support/dual_lab.js";
import { text, traceOf } from "../support/event_trace.js";
import { MAC, POD_B } from "../support/two_nodes.js";

const NETKIT: LabOptions = { datapath: "cilium-netkit" };
const L2: LabOptions = { datapath: "cilium-netkit", options: { "datapath-mode": "netkit-l2" } };
const VETH: LabOptions = { datapath: "cilium-host-routing" };
const ROUTES = { "enable-endpoint-routes": "true" };
const MODES = [
  ["L3", NETKIT],
  ["L2", L2],
] as const;

const ping = (from: string, to: string) => (lab: Lab) => void lab.ping({ from, to, id: 3072 });

/** One echo request that nobody answers. */
const request =
  (from: string, to: string) =>
  (lab: Lab): void => {
    const p = new Ping(lab.endpoint(from).ns!, lab.endpoint(to).ip4, 3072);
    p.send(1, 56);
    lab.advance("100ms");
    p.close();
  };

/** The whole trace in one build. */
function trace(
  options: LabOptions,
  run: (lab: Lab) => void,
  extra: Readonly<Record<string, string>> = {},
  more = "",
) {
  const lab = datapathLab({ ...options, options: { ...options.options, ...extra } }, more);
  return traceOf(lab, NAMES, () => run(lab));
}

function policy(kind: string, spec: string): string {
  return `---
apiVersion: ${kind === "NetworkPolicy" ? "networking.k8s.io/v1" : "cilium.io/v2"}
kind: ${kind}
metadata: {name: closed}
spec: ${spec}
`;
}

describe("(o) same node", () => {
  const b = inBuilds(NETKIT, "", ping("pod/a", "pod/b"));

  it("goes from the pod's transmit straight to the other primary, with the one backlog pass behind it", () => {
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: cil_from_container policy(B) redirect(lxc_b) >lxc_b[63]
        pod/b: backlog <eth0[63] local_in
      packet
        pod/b: local_out >eth0[64]
        n1: cil_from_container policy(A) redirect(lxc_a) >lxc_a[63]
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

  it("has the events of veth, and as many backlog passes", () => {
    const veth = trace(VETH, ping("pod/a", "pod/b"), DEBUG);
    expect(b.debug.events).toBe(veth.events);
    const passes = (t: typeof veth) => t.walks.map((w) => w.of(Step.BACKLOG).map((s) => s.where));
    expect(passes(veth)).toEqual([["n1"], ["n1"]]);
    expect(passes(b.debug)).toEqual([["pod/default/b"], ["pod/default/a"]]);
  });

  it("is the same in L2 mode", () => {
    expect(trace(L2, ping("pod/a", "pod/b"), DEBUG).text).toBe(b.debug.text);
  });

  it("is not seen on the sender's primary by a capture, but on the receiver's", () => {
    const lab = datapathLab(NETKIT);
    const sender = lab.capture("n1:lxc_a");
    const receiver = lab.capture("n1:lxc_b");
    request("pod/a", "pod/b")(lab);
    // The request reaches lxc_b only, the reply lxc_a only.
    expect([sender.frames, receiver.frames].map((f) => f.map((x) => x.outgoing))).toEqual([[true], [true]]);
  });
});

describe("(o) cross node", () => {
  const b = inBuilds(NETKIT, "", ping("pod/a", "pod/c"));

  it("leaves by redirect_neigh in the sender's context and enters by redirect_peer, TTL 62", () => {
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[62] local_in
      packet
        pod/c: local_out >eth0[64]
        n2: cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
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

  it("has the events of veth", () => {
    expect(b.debug.events).toBe(trace(VETH, ping("pod/a", "pod/c"), DEBUG).events);
  });

  it("is the same in L2 mode", () => {
    expect(trace(L2, ping("pod/a", "pod/c"), DEBUG).text).toBe(b.debug.text);
  });

  it("goes through VXLAN as with veth, but for the backlog behind the pod", () => {
    const vxlan = (mode: string) =>
      trace({ datapath: "cilium-vxlan" }, ping("pod/a", "pod/c"), { ...DEBUG, "datapath-mode": mode });
    const [veth, netkit] = [vxlan("veth"), vxlan("netkit")];
    expect(netkit.events).toBe(veth.events);
    expect(netkit.text).toBe(veth.text.replace(/backlog <lxc_\w\[64\] /g, ""));
  });
});

describe("(o) MACs", () => {
  const macs = (options: LabOptions, to: string): string[] => {
    const [w] = trace(options, ping("pod/a", to)).walks;
    return w!.steps
      .filter((s) => s.kind === Step.DEV_XMIT || (s.kind === Step.DEV_RX && s.where.startsWith("pod/")))
      .map((s) => `${s.where} ${s.device} ${macText(s.record.frame, 6)} > ${macText(s.record.frame, 0)}`);
  };
  const ZERO = "00:00:00:00:00:00";

  it("are zero on an L3 pair and the nodes' on the wire", () => {
    expect(macs(NETKIT, "pod/c")).toEqual([
      `pod/default/a eth0 ${ZERO} > ${ZERO}`,
      `n1 eth0 ${MAC.node1} > ${MAC.node2}`,
      `pod/default/c eth0 ${ZERO} > ${ZERO}`,
    ]);
  });

  it("are the pods' and the primaries' on an L2 pair", () => {
    expect(macs(L2, "pod/b")).toEqual([
      `pod/default/a eth0 ${MAC.podA} > ${MAC.hostA}`,
      `n1 lxc_b ${MAC.hostB} > ${MAC.podB}`,
      `pod/default/b eth0 ${MAC.hostB} > ${MAC.podB}`,
    ]);
  });

  it("of L3 pairs are zero in cilium_lxc too", () => {
    const { maps } = datapathLab(NETKIT, "", false).node("n1") as CiliumNode;
    const pods = bpfEndpointListText(maps)
      .split("\n")
      .filter((l) => l.includes("nodemac"));
    expect(pods.map((l) => l.replace(/^(\S+) .*(mac=\S+ nodemac=\S+).*$/, "$1 $2"))).toEqual([
      `10.0.0.11:0 mac=${ZERO} nodemac=${ZERO}`,
      `10.0.0.12:0 mac=${ZERO} nodemac=${ZERO}`,
    ]);
  });
});

describe("a lab on netkit", () => {
  it("differs from one on veth in the pods' devices alone: ids and other devices' MACs are the same", () => {
    const numbers = (datapath: "cilium-netkit" | "cilium-host-routing") =>
      Lab.fromYaml(STARTER, "starter.yaml", { datapath }).cluster.nodes.map((n) => [
        ...n.endpointIds,
        ...n.machine.ns.devOrder.filter((d) => !d.name.startsWith("lxc")).map((d) => formatMac(d.mac)),
      ]);
    expect(numbers("cilium-netkit")).toEqual(numbers("cilium-host-routing"));
  });
});

describe("(o) ARP from the pod", () => {
  const cold = (options: LabOptions) => {
    const lab = datapathLab(options, "", false);
    return traceOf(lab, NAMES, () => ping("pod/a", "pod/b")(lab));
  };

  it("does not exist in L3 mode: the first packet goes as any later one", () => {
    expect(cold(NETKIT).text).toBe(trace(NETKIT, ping("pod/a", "pod/b")).text);
  });

  it("is answered by the program in L2 mode, out of the primary it did not come in by", () => {
    expect(cold({ ...L2, options: { ...L2.options, ...DEBUG } }).text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: cil_from_container policy(B) redirect(lxc_b) >lxc_b[63]
        pod/b: backlog <eth0[63] local_in
      packet
        pod/a: arp >eth0
        n1: cil_from_container redirect(lxc_a) >lxc_a
        pod/a: backlog <eth0 arp
      packet
        pod/b: local_out >eth0[64]
        n1: cil_from_container policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in socket drop(NO_SOCKET)
      packet
        pod/b: arp >eth0
        n1: cil_from_container redirect(lxc_b) >lxc_b
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
  });
});

describe("(o) IPv6", () => {
  const one = (
    options: LabOptions,
    to: string,
    warm: boolean,
    extra: Readonly<Record<string, string>> = {},
    more = "",
  ) => {
    const lab = dualLab({ ...options, options: { ...options.options, ...extra } }, more, warm);
    return traceOf(lab, NAMES, () => void lab.ping({ from: "pod/a", to, id: 3072, ipFamily: "IPv6" }));
  };

  it("goes as IPv4 does, with the events of veth", () => {
    const [same, cross] = [one(NETKIT, "pod/b", true, DEBUG), one(NETKIT, "pod/c", true, DEBUG)];
    const paths = (t: typeof same) => t.text.slice(0, t.text.indexOf("events"));
    expect(paths(same) + paths(cross)).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: cil_from_container policy(B) redirect(lxc_b) >lxc_b[63]
        pod/b: backlog <eth0[63] local_in
      packet
        pod/b: local_out >eth0[64]
        n1: cil_from_container policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in socket drop(NO_SOCKET)
      packet
        pod/a: local_out >eth0[64]
        n1: cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev policy(C) redirect_peer(lxc_c)
        pod/c: <eth0[62] local_in
      packet
        pod/c: local_out >eth0[64]
        n2: cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n1: backlog <eth0[63] cil_from_netdev policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[62] local_in socket drop(NO_SOCKET)
    `,
    );
    expect(same.events).toBe(one(VETH, "pod/b", true, DEBUG).events);
    expect(cross.events).toBe(one(VETH, "pod/c", true, DEBUG).events);
  });

  it("knows no neighbour solicitation in L3 mode, and answers it from the program in L2 mode", () => {
    expect(one(NETKIT, "pod/b", false).text).toBe(one(NETKIT, "pod/b", true).text);
    const solicited = one(L2, "pod/b", false).walks.filter((w) => w.steps[0]!.record.frame[21] === 255);
    expect(solicited.map((w) => w.devices())).toEqual([
      ["pod/default/a:eth0", "n1:lxc_a", "pod/default/a:eth0"],
      ["pod/default/b:eth0", "n1:lxc_b", "pod/default/b:eth0"],
    ]);
  });
});

describe("(o) host and pod", () => {
  it("goes by cilium_host to the primary; what the pod answers waits in the backlog for the stack", () => {
    expect(trace(NETKIT, ping("node/n1", "pod/a")).text).toBe(
      text`
      packet
        n1: local_out OUTPUT POSTROUTING >cilium_host[64] cil_from_host policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: backlog <eth0[63] local_in
      packet
        pod/a: local_out >eth0[64]
        n1: cil_from_container backlog <lxc_a[64] PREROUTING local_in INPUT socket drop(NO_SOCKET)
      events n1
        H1 T:from-host(1,0,0,0,unknown) ttl 64
        A T:to-endpoint(1,idA,A,lxc_a,new) ttl 63 from 10.0.0.1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-stack(idA,1,0,0,reply) ttl 64
    `,
    );
  });

  it.each(MODES)("comes from another node by redirect_peer, %s", (_mode, options) => {
    expect(trace(options, ping("node/n2", "pod/a")).text).toBe(
      text`
      packet
        n2: local_out OUTPUT POSTROUTING >eth0[64] cil_to_netdev
        n1: backlog <eth0[64] cil_from_netdev policy(A) redirect_peer(lxc_a)
        pod/a: <eth0[63] local_in
      packet
        pod/a: local_out >eth0[64]
        n1: cil_from_container redirect_neigh(eth0) >eth0[63] cil_to_netdev
        n2: backlog <eth0[63] cil_from_netdev PREROUTING local_in INPUT socket drop(NO_SOCKET)
      events n1
        H1 T:from-network(6,0,0,eth0,unknown) ttl 64
        A T:to-endpoint(6,idA,A,lxc_a,new) ttl 63 from 192.168.0.12
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A T:to-network(idA,6,0,eth0,reply) ttl 63
        H1 T:to-network(idA,0,0,eth0,unknown) ttl 63
      events n2
        H2 T:to-network(1,0,0,eth0,new) ttl 64 from 192.168.0.12
        H2 T:from-network(idA,0,0,eth0,unknown) ttl 63
    `,
    );
  });
});

describe("(o, n) netkit with per-endpoint routes", () => {
  const routes: LabOptions = { datapath: "cilium-netkit", options: ROUTES };
  const b = inBuilds(routes, "", ping("pod/a", "pod/b"));

  it("enforces policy at the source, and again in cil_to_container, which runs for what the primary sends", () => {
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: cil_from_container policy(B) redirect(lxc_b) >lxc_b[63]
        pod/b: cil_to_container backlog <eth0[63] local_in
      packet
        pod/b: local_out >eth0[64]
        n1: cil_from_container policy(A) redirect(lxc_a) >lxc_a[63]
        pod/a: cil_to_container backlog <eth0[63] local_in socket drop(NO_SOCKET)
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
        B D61 Inheriting identity=3001 from stack
        B T:from-stack(idA,idB,B,0,unknown) ttl 63
        B D48 Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.0.12:0
        B D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        B D8 CT entry found lifetime=L, revnat=0
        B D15 CT verdict: Established, revnat=0
        B D2 Attempting local delivery for container id 102 from seclabel 3002
        B T:to-endpoint(idA,idB,B,lxc_b,established) ttl 63 from 10.0.0.11
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
        A D61 Inheriting identity=3002 from stack
        A T:from-stack(idB,idA,A,0,unknown) ttl 63
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
        B T:to-endpoint(idA,idB,B,lxc_b,new) ttl 63 from 10.0.0.11
        A T:to-endpoint(idB,idA,A,lxc_a,reply) ttl 63 from 10.0.0.12
    `,
    );
  });

  it("enters from another node as without them", () => {
    expect(trace(routes, ping("pod/a", "pod/c"), DEBUG).text).toBe(
      trace(NETKIT, ping("pod/a", "pod/c"), DEBUG).text,
    );
  });

  it("brings the host's mark to cil_to_container, since the primary scrubs nothing", () => {
    expect(trace(routes, ping("node/n1", "pod/a"), DEBUG).text).toBe(
      text`
      packet
        n1: local_out OUTPUT POSTROUTING >lxc_a[64]
        pod/a: cil_to_container backlog <eth0[64] local_in
      packet
        pod/a: local_out >eth0[64]
        n1: cil_from_container backlog <lxc_a[64] PREROUTING local_in INPUT socket drop(NO_SOCKET)
      events n1
        A D61 Inheriting identity=1 from stack
        A T:from-stack(1,idA,A,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=192.168.0.11:3072 dst=10.0.0.11:0
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
        A D15 CT verdict: New, revnat=0
        A D58 Successfully mapped addr=192.168.0.11 to identity=1
        A D2 Attempting local delivery for container id 101 from seclabel 3001
        A D55 Matched L4 policy; creating conntrack src=1 dst=3001 dport=0 proto=1
        A D50 Conntrack create: proxy-port=0 revnat=0 src-identity=1 lb=0.0.0.0
        A T:to-endpoint(1,idA,A,lxc_a,new) ttl 64 from 192.168.0.11
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A D48 Conntrack lookup 1/2: src=10.0.0.11:0 dst=192.168.0.11:3072
        A D49 Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
        A D8 CT entry found lifetime=L, revnat=0
        A D15 CT verdict: Reply, revnat=0
        A D58 Successfully mapped addr=192.168.0.11 to identity=1
        A T:to-stack(idA,1,0,0,reply) ttl 64
        A C4(0) ttl 64
    `,
    );
  });

  it("denies in cil_to_container what comes from the host, with the ifindex that the device has in the pod", () => {
    const closed = policy(
      "CiliumNetworkPolicy",
      "{endpointSelector: {matchLabels: {app: b}}, ingressDeny: [{fromEntities: [all]}]}",
    );
    const t = trace(routes, request("node/n1", "pod/b"), {}, closed);
    // The drop names interface 2, the pod's eth0; on the node that is another device of that name.
    expect(t.text).toBe(
      text`
      packet
        n1: local_out OUTPUT POSTROUTING >lxc_b[64]
        pod/b: cil_to_container drop(Policy denied by denylist) drop(NOT_SPECIFIED)
      events n1
        B T:from-stack(1,idB,B,0,unknown) ttl 64
        B V ingress 1 0/1 deny 181 match all
        B DROP 181(1,idB,B,eth0) ttl 64
    `,
    );
  });
});

describe("(o, j) policy drops", () => {
  const ingress = policy("NetworkPolicy", "{podSelector: {matchLabels: {app: b}}, policyTypes: [Ingress]}");
  const egress = policy("NetworkPolicy", "{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress]}");

  it("happen at the sender's transmit, also for the receiver's ingress policy", () => {
    const b = inBuilds(NETKIT, ingress, request("pod/a", "pod/b"));
    expect(b.debug.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: cil_from_container policy(B) drop(Policy denied) drop(NOT_SPECIFIED)
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
        B D5 Policy evaluation would deny packet from 3001 to 3002
        B V ingress idA 0/1 deny 133 match none
        B DROP 133(idA,idB,B,lxc_a) ttl 63
    `,
    );
    expect(b.plain.text).toBe(withoutDebug(b.debug.text));
    expect(b.medium.events).toBe(
      text`
      events n1
        B V ingress idA 0/1 deny 133 match none
        B DROP 133(idA,idB,B,lxc_a) ttl 63
    `,
    );
  });

  it("happen there with per-endpoint routes too", () => {
    const t = (extra: Record<string, string>) =>
      trace(NETKIT, request("pod/a", "pod/b"), extra, ingress).text;
    expect(t(ROUTES)).toBe(t({}));
  });

  it("happen there for egress policy", () => {
    expect(trace(NETKIT, request("pod/a", "pod/b"), {}, egress).text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: cil_from_container drop(Policy denied) drop(NOT_SPECIFIED)
      events n1
        A T:from-endpoint(idA,0,0,0,unknown) ttl 64
        A V egress idB 0/1 deny 133 match none
        A DROP 133(idA,idB,0,lxc_a) ttl 64
    `,
    );
  });

  it("are told to the sender, as ENOBUFS of the device", () => {
    const refused = (options: LabOptions) =>
      datapathLab(options, ingress)
        .ping({ from: "pod/a", to: "pod/b", id: 3072 })
        .errors.map((e) => e.errno);
    expect(refused(NETKIT)).toEqual([105]);
    expect(refused(VETH)).toEqual([]);
  });
});

describe("(o, l) L7 proxy", () => {
  it("gets what ingress rules redirect from the source's primary, with and without per-endpoint routes", () => {
    const l7 = policy(
      "CiliumNetworkPolicy",
      '{endpointSelector: {matchLabels: {app: b}}, ingress: [{toPorts: [{ports: [{port: "8080", protocol: TCP}], rules: {http: [{method: GET}]}}]}]}',
    );
    // Nothing listens on the proxy's port: TPROXY finds no socket and drops the packet.
    const connect = (lab: Lab): void => {
      (lab.node("n1") as CiliumNode).proxy.close();
      const sock = new TcpSock(lab.endpoint("pod/a").ns!);
      sock.bind(0, 20000);
      sock.connect(parseIpv4(POD_B), 8080);
      lab.advance("100ms");
      sock.abort();
      lab.advance("100ms");
    };
    const t = (options: LabOptions, extra = {}) => trace(options, connect, { ...DEBUG, ...extra }, l7);
    const plain = t(NETKIT);
    expect(plain.text).toBe(
      text`
      packet
        pod/a: local_out >eth0[64]
        n1: cil_from_container policy(B) backlog <lxc_a[63] PREROUTING drop(NETFILTER_DROP)
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
    expect(t(NETKIT, ROUTES).text).toBe(plain.text);
    expect(t(VETH).events).toBe(plain.events);
  });
});

describe("comparison with veth", () => {
  it("moves the backlog pass from the source to the destination and redirect_peer to a transmission", () => {
    const flow = { from: "pod/a", to: "pod/b", port: 8080, protocol: "tcp" } as const;
    const { datapaths, directions } = compareFlow([datapathLab(VETH), datapathLab(NETKIT)], flow);
    expect(datapaths.map((d) => [d.name, d.hostRouting?.mode])).toEqual([
      ["cilium-host-routing", "bpf"],
      ["cilium-netkit", "bpf"],
    ]);
    const none = {
      netfilterHooks: [],
      chains: [],
      fibLookups: [],
      programs: [],
      transmissions: [],
      encapsulations: [],
    };
    expect(directions.map((d) => d.versus[0])).toEqual(
      (
        [
          ["lxc_a", "lxc_b", "b"],
          ["lxc_b", "lxc_a", "a"],
        ] as const
      ).map(([source, target, pod]) => ({
        base: 0,
        other: 1,
        skips: {
          ...none,
          backlogPasses: [`pod/default/${pod} eth0`],
          transmissions: [`n1 ${target}`],
          redirects: ["n1 egress"],
        },
        adds: { ...none, backlogPasses: [`n1 ${source}`], redirects: ["n1 peer"] },
        counts: { redirectsPeer: [1, 0], transmissions: [1, 2], receptions: [2, 1] },
      })),
    );
  });
});

describe("programs on netkit", () => {
  const mine = (verdict: number) => () =>
    new Program({ name: "mine", type: "sched_cls", section: "tc", file: "mine.ts" }, () => verdict);

  it("can be taken off the peer: the pod is then cut off, since its policy is blackhole", () => {
    const lab = datapathLab(NETKIT);
    const theirs = lab.attach("n1", "lxc_a", "netkit_peer", null);
    expect(theirs?.spec.name).toBe("cil_from_container");
    expect(lab.ping({ from: "pod/a", to: "pod/b" }).errors.map((e) => e.errno)).toEqual([105]);
    // Packets to the pod still arrive; it cannot answer.
    const walks = lab.record(() => request("pod/b", "pod/a")(lab));
    expect(walks[0]!.delivered).toBe(true);
    expect(walks[1]!.drop?.where).toBe("n1");
    lab.attach("n1", "lxc_a", "netkit_peer", () => theirs!);
    expect(lab.ping({ from: "pod/a", to: "pod/b" }).received).toBe(1);
  });

  it("can be one's own on the primary, whose policy is to forward", () => {
    const lab = datapathLab(NETKIT);
    lab.attach("n1", "lxc_b", "netkit_primary", mine(NETKIT_DROP));
    expect(lab.ping({ from: "pod/a", to: "pod/b" }).received).toBe(0);
    lab.attach("n1", "lxc_b", "netkit_primary", mine(NETKIT_NEXT));
    expect(lab.ping({ from: "pod/a", to: "pod/b" }).received).toBe(1);
  });

  it("need a netkit pair and its primary", () => {
    const on = (options: LabOptions, device: string) => () =>
      datapathLab(options, "", false).attach("n1", device, "netkit_peer", null);
    expect(on(VETH, "lxc_a")).toThrow("lxc_a of node n1 is not the primary device of a netkit pair");
    expect(on(NETKIT, "eth0")).toThrow("eth0 of node n1 is not the primary device of a netkit pair");
  });
});
