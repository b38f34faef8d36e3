import { describe, expect, it } from "vitest";
import { Step, StepRecorder } from "../../../../src/bpf/steps.js";
import { nfState } from "../../../../src/kernel/netfilter/hooks.js";
import { iptablesSave } from "../../../../src/kernel/netfilter/iptables.js";
import { NfTrace } from "../../../../src/kernel/netfilter/trace.js";
import { xtNet } from "../../../../src/kernel/netfilter/xtables.js";
import { RouterLab } from "../../../support/netfilter_lab.js";

const RULES = `*raw
-A PREROUTING -j TRACE
COMMIT
*filter
:USER - [0:0]
-A FORWARD -j USER
-A FORWARD -p udp -m udp --dport 1 -j DROP
-A USER -j MARK --set-xmark 0x1/0xffffffff
-A USER -p udp -j RETURN
COMMIT
`;

function traced(chainEnds: boolean): { l: RouterLab; t: NfTrace } {
  const l = new RouterLab(RULES);
  const t = new NfTrace({ chainEnds });
  nfState(l.node).trace = t;
  return { l, t };
}

describe("TRACE", () => {
  it("tells the way of a packet as xtables-monitor prints it on Linux 6.18", () => {
    const { l, t } = traced(false);
    l.udp(l.a, "10.0.0.2", 9, "10.0.1.2", 1);
    const mac = "MACSRC=2:0:0:0:0:2 MACDST=2:0:0:0:0:1 MACPROTO=0800";
    const ip = (ttl: number, mark: string): string =>
      `SRC=10.0.0.2 DST=10.0.1.2 LEN=32 TOS=0x0 TTL=${ttl} ID=1 SPORT=9 DPORT=1${mark}`;
    expect(t.compact()).toBe(`packet 0
  | IN=a ${mac} ${ip(64, "")}
  > raw:PREROUTING:policy:ACCEPT
  | IN=a OUT=b ${mac} ${ip(63, "")}
  > filter:FORWARD:rule:JUMP:USER -4 -t filter -A FORWARD -j USER
  > filter:USER:rule:CONTINUE -4 -t filter -A USER -j MARK --set-xmark 0x1/0xffffffff
  > filter:USER:rule:0xfffffffb -4 -t filter -A USER -p udp -j RETURN
  > filter:FORWARD:rule:DROP -4 -t filter -A FORWARD -p udp -m udp --dport 1 -j DROP
`);
    expect(t.lines[1]).toBe(
      " TRACE: 2 00000001 raw:PREROUTING:rule:0x1:CONTINUE  -4 -t raw -A PREROUTING -j TRACE",
    );
  });

  it("tells of the ends of chains as Linux 6.1 does", () => {
    const { l, t } = traced(true);
    l.tcp(l.a, "10.0.0.2", 9, "10.0.1.2", 1, "S");
    expect(t.compact().split("\n").slice(5)).toEqual([
      "  > filter:FORWARD:rule:JUMP:USER -4 -t filter -A FORWARD -j USER",
      "  > filter:USER:rule:CONTINUE -4 -t filter -A USER -j MARK --set-xmark 0x1/0xffffffff",
      "  > filter:USER:return:",
      "  > filter:FORWARD:return:",
      "  > filter:FORWARD:policy:ACCEPT",
      "",
    ]);
  });
});

describe("walk records", () => {
  it("hold hooks, chains, rules, conntrack and NAT of a packet in order", () => {
    const l = new RouterLab(
      "*nat\n-A PREROUTING -d 10.96.0.1/32 -p udp -j DNAT --to-destination 10.0.1.2:53\nCOMMIT\n*filter\n-A FORWARD -p udp -j ACCEPT\nCOMMIT\n",
    );
    const rec = new StepRecorder(l.kernel.clock);
    l.node.recorder = rec;
    l.udp(l.a, "10.0.0.2", 9, "10.96.0.1", 1);
    const netfilter = new Set<number>([Step.NF_HOOK, Step.NF_CHAIN, Step.NF_RULE, Step.NF_CT, Step.NF_NAT]);
    const name = (r: object | null): string =>
      (r as { name?: string; text?: string } | null)?.name ?? (r as { text?: string } | null)?.text ?? "";
    expect(
      rec
        .records()
        .filter((r) => netfilter.has(r.kind) && (r.kind !== Step.NF_CHAIN || r.b === 0))
        .map((r) =>
          `${r.kind} ${r.a} ${r.kind === Step.NF_CT || r.kind === Step.NF_NAT ? "" : name(r.ref)}`.trim(),
        ),
    ).toEqual([
      "14 0",
      "17 2",
      "15 0 PREROUTING",
      "16 1 -d 10.96.0.1/32 -p udp -j DNAT --to-destination 10.0.1.2:53",
      "18 1",
      "14 2",
      "15 2 FORWARD",
      "16 1 -p udp -j ACCEPT",
      "14 4",
      "15 4 POSTROUTING",
    ]);
  });
});

// The rules that Cilium 1.19 installs in legacy mode with native routing and iptables masquerading.
const CILIUM = `*raw
:CILIUM_OUTPUT_raw - [0:0]
:CILIUM_PRE_raw - [0:0]
-A PREROUTING -m comment --comment "cilium-feeder: CILIUM_PRE_raw" -j CILIUM_PRE_raw
-A OUTPUT -m comment --comment "cilium-feeder: CILIUM_OUTPUT_raw" -j CILIUM_OUTPUT_raw
-A CILIUM_OUTPUT_raw -o lxc+ -m mark --mark 0xa00/0xfffffeff -m comment --comment "cilium: NOTRACK for proxy return traffic" -j CT --notrack
-A CILIUM_OUTPUT_raw -o lxc+ -m mark --mark 0x800/0xe00 -m comment --comment "cilium: NOTRACK for L7 proxy upstream traffic" -j CT --notrack
-A CILIUM_OUTPUT_raw -o cilium_host -m mark --mark 0xa00/0xfffffeff -m comment --comment "cilium: NOTRACK for proxy return traffic" -j CT --notrack
-A CILIUM_OUTPUT_raw -o cilium_host -m mark --mark 0x800/0xe00 -m comment --comment "cilium: NOTRACK for L7 proxy upstream traffic" -j CT --notrack
-A CILIUM_PRE_raw -m mark --mark 0x200/0xf00 -m comment --comment "cilium: NOTRACK for proxy traffic" -j CT --notrack
COMMIT
*mangle
:CILIUM_POST_mangle - [0:0]
:CILIUM_PRE_mangle - [0:0]
-A PREROUTING -m comment --comment "cilium-feeder: CILIUM_PRE_mangle" -j CILIUM_PRE_mangle
-A POSTROUTING -m comment --comment "cilium-feeder: CILIUM_POST_mangle" -j CILIUM_POST_mangle
-A CILIUM_PRE_mangle ! -o lo -m socket --transparent -m mark ! --mark 0xe00/0xf00 -m mark ! --mark 0x800/0xf00 -m comment --comment "cilium: any->pod redirect proxied traffic to host proxy" -j MARK --set-xmark 0x200/0xffffffff
-A CILIUM_PRE_mangle -p tcp -m mark --mark 0x11270200 -m comment --comment "cilium: TPROXY to host cilium-dns-egress proxy" -j TPROXY --on-port 10001 --on-ip 127.0.0.1 --tproxy-mark 0x200/0xffffffff
COMMIT
*nat
:CILIUM_OUTPUT_nat - [0:0]
:CILIUM_POST_nat - [0:0]
:CILIUM_PRE_nat - [0:0]
-A PREROUTING -m comment --comment "cilium-feeder: CILIUM_PRE_nat" -j CILIUM_PRE_nat
-A OUTPUT -m comment --comment "cilium-feeder: CILIUM_OUTPUT_nat" -j CILIUM_OUTPUT_nat
-A POSTROUTING -m comment --comment "cilium-feeder: CILIUM_POST_nat" -j CILIUM_POST_nat
-A CILIUM_POST_nat -s 10.0.0.0/24 -m set --match-set cilium_node_set_v4 dst -m comment --comment "exclude traffic to cluster nodes from masquerade" -j ACCEPT
-A CILIUM_POST_nat -s 10.0.0.0/24 ! -d 10.0.0.0/16 ! -o cilium_+ -m comment --comment "cilium masquerade non-cluster" -j MASQUERADE
-A CILIUM_POST_nat -m mark --mark 0xa00/0xe00 -m comment --comment "exclude proxy return traffic from masquerade" -j ACCEPT
-A CILIUM_POST_nat -s 127.0.0.1/32 -o cilium_host -m comment --comment "cilium host->cluster from 127.0.0.1 masquerade" -j SNAT --to-source 10.0.0.1
-A CILIUM_POST_nat -o cilium_host -m mark --mark 0xf00/0xf00 -m conntrack --ctstate DNAT -m comment --comment "hairpin traffic that originated from a local pod" -j SNAT --to-source 10.0.0.1
COMMIT
*filter
:CILIUM_FORWARD - [0:0]
:CILIUM_INPUT - [0:0]
:CILIUM_OUTPUT - [0:0]
-A INPUT -m comment --comment "cilium-feeder: CILIUM_INPUT" -j CILIUM_INPUT
-A FORWARD -m comment --comment "cilium-feeder: CILIUM_FORWARD" -j CILIUM_FORWARD
-A OUTPUT -m comment --comment "cilium-feeder: CILIUM_OUTPUT" -j CILIUM_OUTPUT
-A CILIUM_FORWARD -o cilium_host -m comment --comment "cilium: any->cluster on cilium_host forward accept" -j ACCEPT
-A CILIUM_FORWARD -i cilium_host -m comment --comment "cilium: cluster->any on cilium_host forward accept (nodeport)" -j ACCEPT
-A CILIUM_FORWARD -i lxc+ -m comment --comment "cilium: cluster->any on lxc+ forward accept" -j ACCEPT
-A CILIUM_FORWARD -i cilium_net -m comment --comment "cilium: cluster->any on cilium_net forward accept (nodeport)" -j ACCEPT
-A CILIUM_INPUT -m mark --mark 0x200/0xf00 -m comment --comment "cilium: ACCEPT for proxy traffic" -j ACCEPT
-A CILIUM_OUTPUT -m mark --mark 0xa00/0xe00 -m comment --comment "cilium: ACCEPT for proxy traffic" -j ACCEPT
-A CILIUM_OUTPUT -m mark --mark 0x800/0xe00 -m comment --comment "cilium: ACCEPT for l7 proxy upstream traffic" -j ACCEPT
-A CILIUM_OUTPUT -m mark ! --mark 0xd00/0xf00 -m mark ! --mark 0xe00/0xf00 -m mark ! --mark 0x400/0xf00 -m mark ! --mark 0xa00/0xe00 -m mark ! --mark 0x800/0xe00 -m comment --comment "cilium: host->any mark as from host" -j MARK --set-xmark 0xc00/0xf00
COMMIT
`;

describe("Cilium's own rules", () => {
  it("load, print as they were written, and masquerade a pod to the world but not to a node", () => {
    const l = new RouterLab();
    const set = xtNet(l.node).sets.create("cilium_node_set_v4", "hash:ip");
    set.add("10.5.0.1");
    expect(l.rules(CILIUM).unmodelled).toEqual([]);
    const rules = (s: string): string[] =>
      s
        .split("\n")
        .filter((x) => x.startsWith("-A"))
        .sort();
    expect(rules(iptablesSave(l.node))).toEqual(rules(CILIUM));
    expect(l.udp(l.a, "10.0.0.2", 9, "10.5.0.1", 1)).toEqual([
      "b: IP 10.0.0.2.9 > 10.5.0.1.1: UDP, length 4",
    ]);
    expect(l.udp(l.a, "10.0.0.2", 9, "10.5.0.2", 1)).toEqual([
      "b: IP 10.0.1.1.9 > 10.5.0.2.1: UDP, length 4",
    ]);
    expect(l.udp(l.a, "10.0.0.2", 9, "10.0.1.2", 1)).toEqual([
      "b: IP 10.0.0.2.9 > 10.0.1.2.1: UDP, length 4",
    ]);
  });

  it("marks what the node itself sends as from the host", () => {
    const l = new RouterLab();
    xtNet(l.node).sets.create("cilium_node_set_v4", "hash:ip");
    l.rules(CILIUM);
    l.ping(l.a, "10.0.0.2", "10.0.0.1", 3);
    const c = l.node.nf!.xt!.table("filter").chain("CILIUM_OUTPUT")!;
    expect(c.rules.map((r) => [r.pkts, r.bytes])).toEqual([
      [0, 0],
      [0, 0],
      [1, 32],
    ]);
  });
});
