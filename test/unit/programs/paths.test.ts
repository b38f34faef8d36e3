// Whole programs on single packets: verdict, where it goes, TTL and MACs, marks, and what `cilium monitor -v` shows.

import { describe, expect, it } from "vitest";
import type { CompileConfig } from "../../../programs/config.js";
import { ETH0_IFINDEX, PlainNode, REMOTE_NODE } from "../../../src/bench/programs_node.js";
import type { Program } from "../../../src/bpf/program.js";
import type { Skb } from "../../../src/bpf/skb.js";
import { Step, StepRecorder } from "../../../src/bpf/steps.js";
import { arp, buildFrame, eth, icmp, icmp6, ip4, ip6, tcp, udp } from "../../../src/net/build.js";
import { toHex } from "../../../src/net/view.js";
import { monitorLines } from "../../support/monitor_lines.js";
import { metricRows } from "../../support/program_ctx.js";
import { A, A6, B, B6, frame, NODE, R, ROUTER6, SERVICE, WORLD } from "../../support/program_frames.js";

const OK = 0;
const SHOT = 2;
const REDIRECT = 7;

function makeNode(config: Partial<CompileConfig> = {}): PlainNode {
  return new PlainNode({
    config: { MONITOR_AGGREGATION: 0, ...config },
    ipv6: true,
    reader: true,
    ctSize: 256,
  });
}

interface Outcome {
  readonly verdict: number;
  readonly to: string;
  readonly ttl: number;
  readonly macs: string;
  readonly events: string[];
}

/** Runs a program; `to` is the redirect, TTL and MACs are those of the frame afterwards. */
function run(
  node: PlainNode,
  program: Program,
  ifindex: number,
  f: Uint8Array,
  mark = 0,
): Outcome & { skb: Skb } {
  node.helpers.redirectKind = "";
  const skb = node.receive(f, ifindex);
  skb.mark = mark;
  const verdict = program.run(skb);
  const out = skb.frame();
  const { redirectKind, redirectIfindex } = node.helpers;
  return {
    verdict,
    to: redirectKind === "" ? "" : `${redirectKind}(${redirectIfindex})`,
    ttl: out[12] === 0x86 ? out[21] : out[22],
    macs: `${toHex(out.subarray(6, 12))} > ${toHex(out.subarray(0, 6))}`,
    // Policy verdicts have tests of their own.
    events: monitorLines(node.maps).filter((e) => !e.startsWith("Policy verdict")),
    skb,
  };
}

/** What is compared of an outcome. */
function facts(o: Outcome): Omit<Outcome, "skb"> {
  return { verdict: o.verdict, to: o.to, ttl: o.ttl, macs: o.macs, events: o.events };
}

const to = (dst: string, src = A): Uint8Array =>
  frame(ip4({ src, dst }), udp({ src: 40000, dst: 53 }), "hello");
const to6 = (dst: string): Uint8Array => frame(ip6({ src: A6, dst }), udp({ src: 40000, dst: 53 }), "hello");

describe("from a pod", () => {
  it("a packet to a pod of the node goes straight to its peer, with one hop and the pods' MACs", () => {
    const node = makeNode();
    expect(facts(run(node, node.a.from_container, 101, to(B)))).toEqual({
      verdict: REDIRECT,
      to: "redirect_peer(102)",
      ttl: 63,
      macs: "0e000000000b > 0a000000000b",
      events: [
        "<- endpoint 1001 flow 0x0 , identity 20001->0 state unknown ifindex 0 orig-ip 0.0.0.0: 10.10.0.11:40000 -> 10.10.0.12:53 udp",
        "-> endpoint 1002 flow 0x0 , identity 20001->20002 state new ifindex 102 orig-ip 10.10.0.11: 10.10.0.11:40000 -> 10.10.0.12:53 udp",
      ],
    });
  });

  it("an IPv6 packet does the same", () => {
    const node = makeNode();
    const o = run(node, node.a.from_container, 101, to6(B6));
    expect([o.verdict, o.to, o.ttl, o.macs]).toEqual([
      REDIRECT,
      "redirect_peer(102)",
      63,
      "0e000000000b > 0a000000000b",
    ]);
  });

  it("a packet to a pod of another node is routed by the FIB out of the device", () => {
    const node = makeNode();
    const o = run(node, node.a.from_container, 101, to(R));
    expect([o.verdict, o.to, o.ttl]).toEqual([REDIRECT, `redirect_neigh(${ETH0_IFINDEX})`, 63]);
    expect(o.events[1]).toBe(
      "-> network flow 0x0 , identity 20001->20004 state new ifindex 10 orig-ip 0.0.0.0: 10.10.0.11:40000 -> 10.10.1.21:53 udp",
    );
  });

  it("a packet whose FIB look-up fails is dropped with the result as extended error", () => {
    const node = makeNode();
    node.helpers.fibRet = 3;
    const o = run(node, node.a.from_container, 101, to(R));
    expect([o.verdict, o.events[1].slice(0, 40)]).toEqual([SHOT, "xx drop (FIB lookup failed, 3) flow 0x0 "]);
  });

  it("without BPF host routing goes to the stack with the identity in its mark", () => {
    const node = makeNode({ ENABLE_HOST_ROUTING: false });
    const o = run(node, node.a.from_container, 101, to(R));
    expect([o.verdict, o.to, o.ttl, (o.skb.mark >>> 0).toString(16)]).toEqual([OK, "", 64, "4e210f00"]);
    expect(o.events[1]).toBe(
      "-> stack flow 0x0 , identity 20001->20004 state new ifindex 0 orig-ip 0.0.0.0: 10.10.0.11:40000 -> 10.10.1.21:53 udp",
    );
  });

  it("in tunnel mode goes into the tunnel with the identity as VNI", () => {
    const node = makeNode({ TUNNEL_MODE: true, ENCAP_IFINDEX: 30 });
    const o = run(node, node.a.from_container, 101, to(R));
    expect([o.verdict, o.to]).toEqual([REDIRECT, "redirect(30)"]);
    const t = o.skb.tunnel;
    expect([t.present, t.id, t.remoteIp4, o.ttl]).toEqual([true, 20001, REMOTE_NODE, 64]);
    expect(o.events[1]).toBe(
      "-> overlay flow 0x0 , identity 20001->20004 state new ifindex 30 orig-ip 0.0.0.0: 10.10.0.11:40000 -> 10.10.1.21:53 udp",
    );
  });

  it("a packet to a service reaches the backend's pod under the backend's address", () => {
    const node = makeNode();
    const o = run(
      node,
      node.a.from_container,
      101,
      frame(ip4({ src: A, dst: SERVICE }), tcp({ src: 40000, dst: 80 })),
    );
    expect([o.verdict, o.to]).toEqual([REDIRECT, "redirect_peer(102)"]);
    expect(o.events[1]).toBe(
      "-> endpoint 1002 flow 0x0 , identity 20001->20002 state new ifindex 102 orig-ip 10.10.0.11: 10.10.0.11:40000 -> 10.10.0.12:8080 tcp SYN",
    );
  });

  it.each([
    ["another pod's IPv4 address", to(B, R), "xx drop (Invalid source ip)"],
    [
      "another pod's IPv6 address",
      frame(ip6({ src: B6, dst: A6 }), udp({ src: 1, dst: 2 })),
      "xx drop (Invalid source ip)",
    ],
    [
      "an unknown EtherType",
      buildFrame([eth({ dst: "0e:00:00:00:00:0a", src: "0a:00:00:00:00:0a", type: 0x88cc }), "x"]),
      "xx drop (Unsupported L3 protocol)",
    ],
    [
      "an unknown L4 protocol",
      frame(ip4({ src: A, dst: B, proto: 99 }), "12345678"),
      "xx drop (CT: Unknown L4 protocol)",
    ],
    [
      "a TTL that is used up",
      frame(ip4({ src: A, dst: B, ttl: 1 }), udp({ src: 1, dst: 2 })),
      "xx drop (TTL exceeded)",
    ],
  ])("a packet with %s is dropped with its reason", (_, f, text) => {
    const node = makeNode();
    const o = run(node, node.a.from_container, 101, f);
    expect([o.verdict, o.events.at(-1)!.slice(0, text.length)]).toEqual([SHOT, text]);
  });

  it("an IPv6 packet whose hop limit is used up is answered with time exceeded", () => {
    const node = makeNode();
    const f = frame(ip6({ src: A6, dst: B6, hopLimit: 1 }), udp({ src: 40000, dst: 53 }), "hello");
    const o = run(node, node.a.from_container, 101, f);
    const out = o.skb.frame();
    expect([o.verdict, o.to]).toEqual([REDIRECT, "redirect(101)"]);
    // ICMPv6 type 3 code 0 to the sender.
    expect([out[20], out[54], out[55], toHex(out.subarray(38, 54))]).toEqual([
      58,
      3,
      0,
      "fd00001000100000000000000000000b",
    ]);
  });

  it("an ARP request is answered by the program with the device's MAC", () => {
    const node = makeNode();
    const f = buildFrame([
      eth({ dst: "ff:ff:ff:ff:ff:ff", src: "0a:00:00:00:00:0a" }),
      arp({ sha: "0a:00:00:00:00:0a", spa: A, tpa: "10.10.0.1" }),
    ]);
    const o = run(node, node.a.from_container, 101, f);
    expect([o.verdict, o.to]).toEqual([REDIRECT, "redirect(101)"]);
    expect(toHex(o.skb.frame())).toBe(
      "0a000000000a" +
        "0e000000000a" +
        "0806" +
        "0001080006040002" +
        "0e000000000a" +
        "0a0a0001" +
        "0a000000000a" +
        "0a0a000b",
    );
  });

  it("an ARP request for its own address is left to the stack", () => {
    const node = makeNode();
    const f = buildFrame([
      eth({ dst: "ff:ff:ff:ff:ff:ff", src: "0a:00:00:00:00:0a" }),
      arp({ sha: "0a:00:00:00:00:0a", spa: "0.0.0.0", tpa: A }),
    ]);
    expect([run(node, node.a.from_container, 101, f).verdict, toHex(node.skb.frame())]).toEqual([
      OK,
      toHex(f),
    ]);
  });

  it("a neighbour solicitation for the router is answered by the program", () => {
    const node = makeNode();
    const target = new Uint8Array(24);
    target.set([0xfd, 0, 0, 0x10, 0, 0x10]);
    target[15] = 1;
    target.set([1, 1, 0x0a, 0, 0, 0, 0, 0x0a], 16);
    const f = frame(ip6({ src: A6, dst: ROUTER6, hopLimit: 255 }), icmp6({ type: 135, rest: 0 }), target);
    const o = run(node, node.a.from_container, 101, f);
    const out = o.skb.frame();
    expect([o.verdict, o.to, out[54], out[58] & 0xe0]).toEqual([REDIRECT, "redirect(101)", 136, 0xc0]);
    // Target link-layer address option with the device's MAC.
    expect(toHex(out.subarray(78, 86))).toBe("02010e000000000a");
  });

  it("an L7 rule sends it to the proxy: through the stack, with the proxy's port in the mark", () => {
    const node = makeNode({ ENABLE_HOST_ROUTING: true });
    node.revoke(1001, "egress", 0);
    proxyRule(node, 1001, "egress");
    const o = run(node, node.a.from_container, 101, to(B));
    expect([o.verdict, (o.skb.mark >>> 0).toString(16)]).toEqual([OK, "27100200"]);
    expect(o.events.at(-1)).toBe(
      "-> proxy port 4135 flow 0x0 , identity 20001->0 state new ifindex 0 orig-ip 0.0.0.0: 10.10.0.11:40000 -> 10.10.0.12:53 udp",
    );
  });
});

/** Everything in a direction goes to proxy port 4135 (0x1027). */
function proxyRule(node: PlainNode, ep: number, direction: "egress" | "ingress"): void {
  node.allow(ep, direction, 0);
  const map = node.maps.addPolicyMap(ep);
  for (const { key, value } of map.dump()) {
    if ((key[8] & 1) !== (direction === "egress" ? 1 : 0)) continue;
    value.set([0x10, 0x27], 0);
    map.set(key, value);
  }
}

describe("to a pod", () => {
  it("from the network goes to its peer after ingress policy", () => {
    const node = makeNode();
    const o = run(node, node.eth0.from_netdev, ETH0_IFINDEX, to(A, R));
    expect([o.verdict, o.to, o.ttl, o.macs]).toEqual([
      REDIRECT,
      "redirect_peer(101)",
      63,
      "0e000000000a > 0a000000000a",
    ]);
    expect(o.events).toEqual([
      "<- network flow 0x0 , identity 20004->0 state unknown ifindex 10 orig-ip 0.0.0.0: 10.10.1.21:40000 -> 10.10.0.11:53 udp",
      "-> endpoint 1001 flow 0x0 , identity 20004->20001 state new ifindex 101 orig-ip 10.10.1.21: 10.10.1.21:40000 -> 10.10.0.11:53 udp",
    ]);
  });

  it("without BPF host routing is handed to the stack, and delivered where the stack sends it", () => {
    const node = makeNode({ ENABLE_HOST_ROUTING: false });
    const o = run(node, node.eth0.from_netdev, ETH0_IFINDEX, to(A, R));
    expect([o.verdict, o.to]).toEqual([OK, ""]);
  });

  it("from the tunnel has the identity of the VNI", () => {
    const node = makeNode({ TUNNEL_MODE: true, ENCAP_IFINDEX: 30 });
    Object.assign(node.helpers.rxTunnel, { present: true, id: 31337 });
    const o = run(node, node.overlay.from_overlay, 30, to(A, WORLD));
    expect([o.verdict, o.to]).toEqual([REDIRECT, "redirect_peer(101)"]);
    expect(o.events.map((e) => e.slice(0, 61))).toEqual([
      "<- overlay flow 0x0 , identity 31337->0 state unknown ifindex",
      "-> endpoint 1001 flow 0x0 , identity 31337->20001 state new i",
    ]);
  });

  it("that is not loaded is dropped: its policy program is missing", () => {
    const node = makeNode();
    node.datapath.unloadLxc(1002);
    const o = run(node, node.a.from_container, 101, to(B));
    expect(o.verdict).toBe(SHOT);
    expect(o.events.length).toBe(2);
    expect(metricRows(node).map((r) => r.split(" ")[0])).toEqual(["0", "203"]);
  });
});

describe("tail calls", () => {
  it("beyond the limit of 33 are a drop, counted with the index as extended error", () => {
    const node = makeNode();
    const { ctx } = node.datapath;
    const original = ctx.enter.bind(ctx);
    ctx.enter = (skb, obj): void => {
      original(skb, obj);
      ctx.tail_calls = 33;
    };
    const o = run(node, node.a.from_container, 101, to(B));
    expect([o.verdict, o.events.at(-1)!.slice(0, 35)]).toEqual([SHOT, "xx drop (Missed tail call, 7) flow "]);
  });

  it("are in the walk with the function, the index and whether it was there", () => {
    const node = makeNode();
    const recorder = new StepRecorder(node.clock, 256);
    node.datapath.recorder = recorder;
    run(node, node.a.from_container, 101, to(B));
    const calls = recorder.records().filter((r) => r.kind === Step.TAIL_CALL);
    expect(calls.map((r) => `${(r.ref as () => void).name} ${r.a} ${r.b} ${r.c}`)).toEqual([
      "tail_handle_ipv4 7 1 0",
      "tail_ipv4_ct_egress 30 1 0",
      "tail_handle_ipv4_cont 26 1 0",
      "cil_lxc_policy 1002 1 1",
      "tail_ipv4_ct_ingress_policy_only 29 1 0",
      "tail_ipv4_policy 11 1 0",
    ]);
  });
});

describe("the host's programs", () => {
  it("give the host's own packets its identity and let them pass", () => {
    const node = makeNode();
    const o = run(node, node.ciliumHost.from_host, 21, to(B, NODE), 0x0c00);
    expect([o.verdict, o.to]).toEqual([REDIRECT, "redirect(102)"]);
    expect(o.events[0].slice(0, 38)).toBe("<- host flow 0x0 , identity 1->0 state");
  });

  it("masquerade a pod's packet to the world behind the node's address", () => {
    const node = makeNode();
    run(node, node.a.from_container, 101, to(WORLD));
    const o = run(node, node.eth0.to_netdev, ETH0_IFINDEX, to(WORLD), 0x4e210f00);
    const out = o.skb.frame();
    expect([o.verdict, toHex(out.subarray(26, 30))]).toEqual([OK, "c0a80a0b"]);
  });

  it("leave what is for the host to the host", () => {
    const node = makeNode();
    const o = run(
      node,
      node.eth0.from_netdev,
      ETH0_IFINDEX,
      frame(ip4({ src: WORLD, dst: NODE }), icmp({ type: 8, id: 1 })),
    );
    expect([o.verdict, o.to]).toEqual([OK, ""]);
  });

  it("with the host firewall refuse what its policy does not admit", () => {
    const node = makeNode({ ENABLE_HOST_FIREWALL: true });
    const f = frame(ip4({ src: WORLD, dst: NODE }), tcp({ src: 40000, dst: 22 }));
    const refused = run(node, node.eth0.from_netdev, ETH0_IFINDEX, f);
    expect([refused.verdict, refused.events.at(-1)!.slice(0, 24)]).toEqual([
      SHOT,
      "xx drop (Policy denied) ",
    ]);
    node.allow(4, "ingress", 0, 6, 22);
    expect(run(node, node.eth0.from_netdev, ETH0_IFINDEX, f).verdict).toBe(OK);
  });
});
