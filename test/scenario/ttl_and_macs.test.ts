// TTL at the far pod and on the wire, MACs on every segment, netfilter hooks met: datapath facts, section 4.
import { describe, expect, it } from "vitest";
import { Step } from "../../src/bpf/steps.js";
import type { Lab, LabOptions } from "../../src/lab.js";
import { macText, type Walk } from "../../src/walk/walk.js";
import { MAC, twoNodeLab } from "../support/two_nodes.js";

type Proto = "icmp" | "udp" | "tcp";

/** Walks of one exchange: the first packet of the request's protocol and the first that comes back. */
function exchange(lab: Lab, to: string, proto: Proto): { request: Walk; reply: Walk } {
  // A first packet fills the neighbour tables, so that no walk waits for ARP.
  lab.ping({ from: "pod/a", to });
  const walks = lab.record(() => {
    if (proto === "icmp") lab.ping({ from: "pod/a", to });
    else if (proto === "udp") lab.udp({ from: "pod/a", to, port: 9000 });
    else lab.tcp({ from: "pod/a", to, port: 8080, send: 10, receive: 10 });
  });
  const delivered = walks.filter((w) => w.delivered);
  const last = to.replace("pod/", "pod/default/");
  return {
    request: delivered.find((w) => w.steps.at(-1)!.where === last)!,
    reply: delivered.find((w) => w.steps.at(-1)!.where === "pod/default/a")!,
  };
}

/** TTL of the packet where it is sent on a device of a node, the first time. */
function wireTtl(w: Walk, where: string, device: string): number | undefined {
  return w.of(Step.DEV_XMIT, where).find((s) => s.device === device)?.record.frame[22];
}

/** `source > destination` MAC of the frame in the first (or last) receive step of a namespace. */
function macs(w: Walk, where: string): string {
  const rx = w.of(Step.DEV_RX, where).at(-1)!;
  return `${macText(rx.record.frame, 6)} > ${macText(rx.record.frame, 0)}`;
}

const CASES: readonly [string, LabOptions, { same: number; cross: number; wire: number }][] = [
  ["BPF host routing", { datapath: "cilium-host-routing" }, { same: 63, cross: 62, wire: 63 }],
  ["legacy host routing", { datapath: "cilium-legacy" }, { same: 63, cross: 61, wire: 63 }],
  [
    "legacy host routing in 1.11",
    { datapath: "cilium-legacy", profile: "1.11" },
    { same: 63, cross: 60, wire: 62 },
  ],
  [
    "BPF host routing with per-endpoint routes",
    { datapath: "cilium-host-routing", options: { "enable-endpoint-routes": "true" } },
    { same: 63, cross: 62, wire: 63 },
  ],
  [
    "legacy host routing with per-endpoint routes",
    { datapath: "cilium-legacy", options: { "enable-endpoint-routes": "true" } },
    { same: 63, cross: 62, wire: 63 },
  ],
  ["netkit", { datapath: "cilium-netkit" }, { same: 63, cross: 62, wire: 63 }],
  ["VXLAN", { datapath: "cilium-vxlan" }, { same: 63, cross: 63, wire: 64 }],
  ["Geneve", { datapath: "cilium-geneve" }, { same: 63, cross: 63, wire: 64 }],
];

describe.each(CASES)("TTL from 64 with %s", (_name, options, expected) => {
  it.each(["icmp", "udp", "tcp"] as const)("is the same for request and reply of %s", (proto) => {
    const lab = twoNodeLab(options);
    const same = exchange(lab, "pod/b", proto);
    expect([same.request.ttl, same.reply.ttl]).toEqual([expected.same, expected.same]);
    const cross = exchange(lab, "pod/c", proto);
    expect([cross.request.ttl, cross.reply.ttl]).toEqual([expected.cross, expected.cross]);
    expect([wireTtl(cross.request, "n1", "eth0"), wireTtl(cross.reply, "n2", "eth0")]).toEqual([
      expected.wire,
      expected.wire,
    ]);
  });
});

describe("MACs on every segment", () => {
  it("are the pods', then the nodes', then those of the far endpoint, with BPF host routing", () => {
    const { request, reply } = exchange(twoNodeLab({ datapath: "cilium-host-routing" }), "pod/c", "icmp");
    expect([macs(request, "n1"), macs(request, "n2"), macs(request, "pod/default/c")]).toEqual([
      `${MAC.podA} > ${MAC.hostA}`,
      `${MAC.node1} > ${MAC.node2}`,
      `${MAC.hostC} > ${MAC.podC}`,
    ]);
    expect([macs(reply, "n2"), macs(reply, "n1"), macs(reply, "pod/default/a")]).toEqual([
      `${MAC.podC} > ${MAC.hostC}`,
      `${MAC.node2} > ${MAC.node1}`,
      `${MAC.hostA} > ${MAC.podA}`,
    ]);
  });

  it("are the pods' and the endpoints' on one node", () => {
    const { request, reply } = exchange(twoNodeLab({ datapath: "cilium-host-routing" }), "pod/b", "icmp");
    expect([macs(request, "n1"), macs(request, "pod/default/b")]).toEqual([
      `${MAC.podA} > ${MAC.hostA}`,
      `${MAC.hostB} > ${MAC.podB}`,
    ]);
    expect([macs(reply, "n1"), macs(reply, "pod/default/a")]).toEqual([
      `${MAC.podB} > ${MAC.hostB}`,
      `${MAC.hostA} > ${MAC.podA}`,
    ]);
  });
});

describe("netfilter and routing on the nodes", () => {
  it("are not met by a same-node packet with BPF host routing", () => {
    const { request, reply } = exchange(twoNodeLab({ datapath: "cilium-host-routing" }), "pod/b", "tcp");
    for (const w of [request, reply]) {
      expect(w.hooks()).toEqual([]);
      expect(w.of(Step.FIB, "n1")).toEqual([]);
      expect(w.of(Step.REDIRECT).map((s) => s.detail)).toEqual(["peer"]);
    }
  });

  it("shrink to one BPF FIB look-up and one neighbour's on the sending node of a cross-node packet", () => {
    const { request } = exchange(twoNodeLab({ datapath: "cilium-host-routing" }), "pod/c", "icmp");
    expect(request.hooks()).toEqual([]);
    expect(request.of(Step.REDIRECT).map((s) => `${s.where} ${s.detail}`)).toEqual(["n1 neigh", "n2 peer"]);
    expect(request.of(Step.FIB, "n2")).toEqual([]);
  });

  it("are PREROUTING, FORWARD and POSTROUTING on both nodes in legacy routing", () => {
    const { request, reply } = exchange(twoNodeLab({ datapath: "cilium-legacy" }), "pod/c", "udp");
    for (const w of [request, reply]) {
      for (const node of ["n1", "n2"])
        expect(w.hooks(node)).toEqual(["PREROUTING", "FORWARD", "POSTROUTING"]);
    }
  });

  it("are not met by a same-node packet in legacy routing either, which goes through the backlog instead", () => {
    const { request } = exchange(twoNodeLab({ datapath: "cilium-legacy" }), "pod/b", "icmp");
    expect(request.hooks()).toEqual([]);
    expect(request.of(Step.REDIRECT).map((s) => s.detail)).toEqual(["egress"]);
    expect(request.of(Step.BACKLOG).map((s) => `${s.where} ${s.device}`)).toEqual([
      "n1 lxc_a",
      "pod/default/b eth0",
    ]);
  });
});
