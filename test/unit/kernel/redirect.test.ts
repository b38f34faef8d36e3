import { describe, expect, it } from "vitest";
import { RedirNeigh } from "../../../src/bpf/helpers.js";
import { Program } from "../../../src/bpf/program.js";
import type { Skb } from "../../../src/bpf/skb.js";
import { Step, StepRecorder } from "../../../src/bpf/steps.js";
import { TC_ACT_OK, TC_ACT_SHOT, XDP_DROP, XDP_PASS, XDP_TX } from "../../../src/bpf/verdict.js";
import { DROP_REASON_NAMES } from "../../../src/kernel/drop_reason.js";
import { KernelHelpers } from "../../../src/kernel/helpers.js";
import { parseIpv4 } from "../../../src/net/address.js";
import { KernelNet } from "../../support/kernel_net.js";

const prog = (name: string, type: "sched_cls" | "xdp", run: (skb: Skb) => number): Program =>
  new Program({ name, type, section: "tc", file: "test" }, run);

/** Rewrites MACs for p2 and takes one TTL, as a datapath program does before redirect_peer. */
function toP2(net: KernelNet, skb: Skb): void {
  skb.bytes.set(net.dev("p2", "eth0").mac, skb.data);
  skb.bytes.set(net.dev("n1", "c2").mac, skb.data + 6);
  const n = skb.data + 14;
  skb.bytes[n + 8]!--;
  const c = skb.view.getUint16(n + 10, false) + 0x100;
  skb.view.setUint16(n + 10, c + (c >= 0xffff ? 1 : 0), false);
}

function warm(): { net: KernelNet; h: KernelHelpers } {
  const net = new KernelNet();
  net.ping("p1", "10.0.0.2");
  return { net, h: new KernelHelpers(net.kernel) };
}

const isIp = (skb: Skb): boolean => skb.view.getUint16(skb.data + 12, false) === 0x0800;

describe("tc redirects", () => {
  it("redirect_peer continues on the pod's device: no FIB, no neighbour, no transmit and no tap on the host side", () => {
    const { net, h } = warm();
    net.dev("n1", "c1").tc_ingress = prog("from_pod", "sched_cls", (skb) => {
      if (!isIp(skb)) return TC_ACT_OK;
      toP2(net, skb);
      return h.redirect_peer(skb, net.dev("n1", "c2").ifindex, 0);
    });
    const host = net.tap("n1", "c2");
    const pod = net.tap("p2", "eth0");
    const rec = new StepRecorder(net.kernel.clock);
    net.ns("n1").recorder = rec;
    const r = net.ping("p1", "10.0.0.2");
    expect(r.reply?.ttl).toBe(63);
    expect(host.lines.filter((l) => l.startsWith(">"))).toEqual([]);
    expect(pod.lines.map((l) => l[0])).toEqual(["<", ">"]);
    const upToRedirect = rec.records().map((s) => s.kind);
    expect(upToRedirect.slice(0, upToRedirect.indexOf(Step.REDIRECT) + 1)).toEqual([
      Step.BACKLOG,
      Step.DEV_RX,
      Step.PROG,
      Step.PROG_END,
      Step.REDIRECT,
    ]);
  });

  it("redirect transmits on the other device: its tap sees the frame, netfilter and routing do not", () => {
    const { net, h } = warm();
    net.dev("n1", "c1").tc_ingress = prog("from_pod", "sched_cls", (skb) => {
      if (!isIp(skb)) return TC_ACT_OK;
      toP2(net, skb);
      return h.redirect(skb, net.dev("n1", "c2").ifindex, 0);
    });
    const host = net.tap("n1", "c2");
    expect(net.ping("p1", "10.0.0.2").reply?.ttl).toBe(63);
    expect(host.lines.map((l) => l.slice(0, 28))).toEqual([
      "> 020000000102<-eeeeeeeeeeee",
      "< eeeeeeeeeeee<-020000000102",
    ]);
  });

  it("redirect_neigh routes with the device given and asks for the neighbour, leaving TTL and MTU alone", () => {
    const { net, h } = warm();
    const eth0 = net.dev("n1", "eth0");
    net.dev("n1", "c1").tc_ingress = prog("from_pod", "sched_cls", (skb) =>
      isIp(skb) ? h.redirect_neigh(skb, eth0.ifindex, null, 0) : TC_ACT_OK,
    );
    const up = net.tap("n1", "eth0");
    net.ping("p1", "8.8.8.8");
    expect(up.lines.map((l) => l.slice(0, 90))).toEqual(
      [
        "> ffffffffffff<-020000000001 arp 000108000604000102000000000" + "1c0a80001000000000000c0a800fe",
        "< 020000000001<-0200000000fe arp 00010800060400020200000000fe" + "c0a800fe020000000001c0a80001",
        "> 0200000000fe<-020000000001 ip tos=0 len=36 id=x fo=4000 ttl=64 10.0.0.1>8.8.8.8 icmp 8/0 c",
      ].map((l) => l.slice(0, 90)),
    );
    // A given next hop needs no route.
    const nh = new RedirNeigh();
    nh.ipv4 = parseIpv4("192.168.0.254");
    net.ns("n1").fib.removeRoute({ prefix: 0, plen: 0 });
    net.dev("n1", "c1").tc_ingress = prog("from_pod", "sched_cls", (skb) =>
      isIp(skb) ? h.redirect_neigh(skb, eth0.ifindex, nh, 0) : TC_ACT_OK,
    );
    net.ping("p1", "8.8.8.8");
    expect(up.lines.at(-1)!.slice(0, 28)).toBe("> 0200000000fe<-020000000001");
  });

  it("without a route redirect_neigh takes the destination for a neighbour and fails after three seconds with 3/1", () => {
    const { net, h } = warm();
    net.ns("n1").fib.removeRoute({ prefix: 0, plen: 0 });
    net.dev("n1", "c1").tc_ingress = prog("from_pod", "sched_cls", (skb) =>
      isIp(skb) ? h.redirect_neigh(skb, net.dev("n1", "eth0").ifindex, null, 0) : TC_ACT_OK,
    );
    const up = net.tap("n1", "eth0");
    const r = net.ping("p1", "8.8.8.8", { waitMs: 3300 });
    expect(up.lines.length).toBe(3);
    expect(up.lines[0]).toContain("08080808");
    expect(r.error).toMatchObject({ type: 3, code: 1 });
  });

  it("drops at ingress and egress are counted with their reasons, and only the first is seen by the tap", () => {
    const { net } = warm();
    const drops = (): Record<string, number> =>
      Object.fromEntries(
        [...net.ns("n1").drops].map((n, i) => [DROP_REASON_NAMES[i], n]).filter(([, n]) => n !== 0),
      );
    net.dev("n1", "c2").tc_egress = prog("to_pod", "sched_cls", () => TC_ACT_SHOT);
    const host = net.tap("n1", "c2");
    net.ping("p1", "10.0.0.2");
    expect([drops(), host.lines]).toEqual([{ TC_EGRESS: 1 }, []]);
    net.dev("n1", "c1").tc_ingress = prog("from_pod", "sched_cls", () => TC_ACT_SHOT);
    const c1 = net.tap("n1", "c1");
    net.ping("p1", "10.0.0.2");
    expect([drops(), c1.lines.length]).toEqual([{ TC_EGRESS: 1, TC_INGRESS: 1 }, 1]);
  });
});

describe("XDP", () => {
  it("runs before the tap; XDP_TX sends the frame back past tc and taps", () => {
    const { net } = warm();
    const c1 = net.dev("n1", "c1");
    const tap = net.tap("n1", "c1");
    const pod = net.tap("p1", "eth0");
    let verdict = XDP_DROP;
    c1.xdp = prog("xdp", "xdp", () => verdict);
    net.ping("p1", "10.0.0.2");
    expect(tap.lines).toEqual([]);
    verdict = XDP_TX;
    net.ping("p1", "10.0.0.2");
    expect([tap.lines, pod.lines.map((l) => l[0])]).toEqual([[], [">", ">", "<"]]);
    verdict = XDP_PASS;
    expect(net.ping("p1", "10.0.0.2").reply?.ttl).toBe(63);
  });
});
