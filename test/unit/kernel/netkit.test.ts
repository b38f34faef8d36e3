import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Program } from "../../../src/bpf/program.js";
import { PACKET_HOST, PACKET_OTHERHOST, type Skb } from "../../../src/bpf/skb.js";
import { StepRecorder } from "../../../src/bpf/steps.js";
import { NETKIT_DROP, NETKIT_NEXT, NETKIT_PASS } from "../../../src/bpf/verdict.js";
import { addAddress, addRoute, linkUp, setSysctl } from "../../../src/cluster/netcfg.js";
import { RX_BYTES, RX_PACKETS, TX_BYTES, TX_DROPPED, TX_PACKETS } from "../../../src/kernel/device.js";
import { DROP_REASON_NAMES } from "../../../src/kernel/drop_reason.js";
import { KernelHelpers } from "../../../src/kernel/helpers.js";
import { ip_command } from "../../../src/kernel/iproute.js";
import { ethtool_S } from "../../../src/kernel/net_tools.js";
import { NetkitDevice, type NetkitEnd, type NetkitMode } from "../../../src/kernel/netkit.js";
import { RawSock } from "../../../src/kernel/raw.js";
import { link_down } from "../../../src/kernel/rtnetlink.js";
import { alloc_skb, skb_set_dev } from "../../../src/kernel/skbuff.js";
import { Mib } from "../../../src/kernel/snmp.js";
import { UdpSock } from "../../../src/kernel/udp.js";
import { parseIpv4 } from "../../../src/net/address.js";
import { walksOf } from "../../../src/walk/walk.js";
import fc from "../../support/fast_check.js";
import { KernelNet, ONE_NODE } from "../../support/kernel_net.js";

const MACS = {
  c1: [2, 0, 0, 0, 1, 0xff],
  p1: [2, 0, 0, 0, 1, 1],
  c2: [2, 0, 0, 0, 2, 0xff],
  p2: [2, 0, 0, 0, 2, 1],
} as const;

/** Two pods on netkit pairs (c1, c2 are the primaries) and a veth uplink to a host; the peers forward. */
class NetkitNet extends KernelNet {
  readonly c1: NetkitDevice;
  readonly p1: NetkitDevice;
  readonly c2: NetkitDevice;
  readonly p2: NetkitDevice;
  readonly h: KernelHelpers;

  constructor(mode: NetkitMode, o: { primary?: Partial<NetkitEnd>; peer?: Partial<NetkitEnd> } = {}) {
    const { host } = ONE_NODE.netns;
    super({
      netns: { n1: { addresses: [{ dev: "eth0", addr: "192.168.0.1/24" }] }, host: host!, p1: {}, p2: {} },
      links: [ONE_NODE.links[0]!],
    });
    const n1 = this.ns("n1");
    setSysctl(n1, "net/ipv4/ip_forward", 1);
    addRoute(n1, { to: "default", via: "192.168.0.254" });
    const pod = (i: 1 | 2): [NetkitDevice, NetkitDevice] => {
      const mac = (end: "c" | "p") =>
        mode === "l2" ? { mac: Uint8Array.from(MACS[`${end}${i}`]) } : undefined;
      const pair = NetkitDevice.pair(
        mode,
        { ns: n1, name: `c${i}`, policy: "forward", scrub: "none", ...mac("c"), ...o.primary },
        { ns: this.ns(`p${i}`), name: "eth0", policy: "forward", scrub: "default", ...mac("p"), ...o.peer },
      );
      for (const d of pair) linkUp(d);
      setSysctl(n1, `net/ipv4/conf/c${i}/proxy_arp`, 1);
      setSysctl(n1, `net/ipv4/neigh/c${i}/proxy_delay`, 0);
      addRoute(n1, { to: `10.0.0.${i}/32`, dev: pair[0] });
      addAddress(pair[1], `10.0.0.${i}/32`);
      addRoute(pair[1].ns, { to: "169.254.1.1", dev: pair[1] });
      addRoute(pair[1].ns, { to: "default", via: "169.254.1.1" });
      return pair;
    };
    [this.c1, this.p1] = pod(1);
    [this.c2, this.p2] = pod(2);
    this.h = new KernelHelpers(this.kernel);
  }

  /** Drops of a namespace by reason. */
  drops(ns: string): Record<string, number> {
    return Object.fromEntries(
      [...this.ns(ns).drops].map((n, i) => [DROP_REASON_NAMES[i], n]).filter(([, n]) => n !== 0),
    );
  }

  /** Steps of each packet while `action` runs, as `where what`. */
  steps(action: () => void): string[][] {
    const rec = new StepRecorder(this.kernel.clock);
    for (const ns of this.kernel.namespaces) ns.recorder = rec;
    action();
    for (const ns of this.kernel.namespaces) ns.recorder = null;
    const ns = (id: number) => this.kernel.namespaces.find((n) => n.id === id)!;
    const walks = walksOf(rec.records(), {
      netns: (id) => ns(id).name,
      device: (id, ifindex) => ns(id).dev(ifindex)!.name,
      dropReason: (code) => DROP_REASON_NAMES[code]!,
    });
    return walks.map((w) => w.steps.map((s) => `${s.where} ${s.what}`));
  }

  /** Hands a frame to a device as its own stack would, with metadata; gives what xmit said. */
  xmit(dev: NetkitDevice, frame: Uint8Array, set: (skb: Skb) => void = () => {}): number {
    const skb = alloc_skb(this.kernel);
    skb.setFrame(frame);
    skb_set_dev(skb, dev);
    set(skb);
    this.kernel.world.enter();
    const r = dev.xmit(skb);
    this.kernel.world.leave();
    return r;
  }
}

const prog = (run: (skb: Skb) => number, name = "prog"): Program =>
  new Program({ name, type: "sched_cls", section: "tc", file: "test" }, run);
const isIp = (skb: Skb): boolean => skb.view.getUint16(skb.data + 12, false) === 0x0800;
const stats = (d: NetkitDevice): number[] =>
  [TX_PACKETS, TX_BYTES, TX_DROPPED, RX_PACKETS, RX_BYTES].map((i) => d.stats[i]!);
/** An Ethernet header with zero addresses and 46 bytes behind it of a protocol that nobody handles. */
const FRAME = new Uint8Array(60);

let net: NetkitNet;
afterEach(() => {
  expect([net.kernel.world.outstanding, net.kernel.world.doubleFrees]).toEqual([0, 0]);
});

describe("a netkit pair in L3 mode", () => {
  beforeEach(() => {
    net = new NetkitNet("l3");
  });

  it("carries frames with zero addresses and asks nobody for others", () => {
    const pod = net.tap("p1", "eth0");
    const host = net.tap("n1", "c1");
    expect(net.ping("p1", "10.0.0.2").reply?.ttl).toBe(63);
    const out = "000000000000<-000000000000 ip tos=0 len=36 id=x fo=4000 ttl=64 10.0.0.1>10.0.0.2 icmp 8/0";
    const back = "000000000000<-000000000000 ip tos=0 len=36 id=x fo=0 ttl=63 10.0.0.2>10.0.0.1 icmp 0/0";
    expect(pod.lines.map((l) => l.replace(/ csum.*/, ""))).toEqual([`> ${out}`, `< ${back}`]);
    expect(host.lines.map((l) => l.replace(/ csum.*/, ""))).toEqual([`< ${out}`, `> ${back}`]);
  });

  it("has no address that could be set", () => {
    expect(ip_command(net.ns("p1"), ["link", "set", "eth0", "address", "02:00:00:00:00:09"])).toEqual({
      rc: 2,
      out: "RTNETLINK answers: Operation not supported\n",
    });
  });

  it("is shown by ip -d link with mode, end, policies and scrubbing of both ends", () => {
    const link = (ns: string, dev: string) => ip_command(net.ns(ns), ["-d", "link", "show", dev]).out;
    expect(link("n1", "c1")).toBe(`\
${net.c1.ifindex}: c1@if2: <BROADCAST,MULTICAST,NOARP,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP mode DEFAULT group default qlen 1000
    link/ether 00:00:00:00:00:00 brd ff:ff:ff:ff:ff:ff link-netns p1 promiscuity 0  allmulti 0 minmtu 68 maxmtu 65535 \n\
    netkit mode l3 type primary policy forward peer policy forward scrub none peer scrub default addrgenmode eui64 numtxqueues 1 numrxqueues 1 gso_max_size 65536 gso_max_segs 65535 tso_max_size 524280 tso_max_segs 65535 gro_max_size 65536 \n`);
    expect(link("p1", "eth0").split("\n")[2]).toMatch(
      /^ {4}netkit mode l3 type peer policy forward peer policy forward scrub default peer scrub none /,
    );
  });

  it("has no statistics for ethtool -S", () => {
    expect(ethtool_S(net.ns("n1"), "c1")).toEqual({ rc: 94, out: "no stats available\n" });
  });
});

describe("a netkit pair in L2 mode", () => {
  it("resolves addresses like veth", () => {
    net = new NetkitNet("l2");
    const pod = net.tap("p1", "eth0");
    expect(net.ping("p1", "10.0.0.2").reply?.ttl).toBe(63);
    expect(pod.lines.map((l) => l.slice(0, 32))).toEqual(
      [
        "> ffffffffffff<-020000000101 arp",
        "< 020000000101<-0200000001ff arp",
        "> 0200000001ff<-020000000101 ip t",
        "< 020000000101<-0200000001ff ip t",
      ].map((l) => l.slice(0, 32)),
    );
  });
});

describe("what a netkit device transmits", () => {
  it("waits in one backlog, on the device opposite", () => {
    net = new NetkitNet("l3");
    const met = net.steps(() => net.ping("p1", "192.168.0.1"));
    expect(met[0]).toEqual([
      "p1 origin",
      "p1 local out",
      "p1 neighbour",
      "p1 xmit",
      "n1 backlog",
      "n1 receive",
      "n1 FIB lookup",
      "n1 local in",
    ]);
    expect([stats(net.p1).slice(0, 3), stats(net.c1).slice(3)]).toEqual([
      [1, 50, 0],
      [1, 50],
    ]);
  });

  it("is dropped by a blackhole policy until there is a program, and the sender hears of it", () => {
    net = new NetkitNet("l3", { peer: { policy: "blackhole" } });
    const refused = net.ping("p1", "192.168.0.1");
    expect([refused.sendErrno, refused.reply]).toEqual([105, null]);
    expect([stats(net.p1), net.drops("n1")]).toEqual([[0, 0, 1, 0, 0], { NOT_SPECIFIED: 1 }]);
    net.p1.programs = [prog(() => NETKIT_PASS)];
    expect(net.ping("p1", "192.168.0.1").reply?.ttl).toBe(64);
    net.p1.programs = [];
    expect(net.ping("p1", "192.168.0.1").sendErrno).toBe(105);
  });

  it("that a policy drops is ENOBUFS with IP_RECVERR, sent without, and a discard in any case", () => {
    net = new NetkitNet("l3", { peer: { policy: "blackhole" } });
    const udp = new UdpSock(net.ns("p1"));
    const send = () => udp.sendto(new Uint8Array(4), parseIpv4("192.168.0.1"), 9);
    const counted = () => [Mib.IpOutDiscards, Mib.UdpOutDatagrams].map((m) => net.ns("p1").mib[m]);
    expect([send(), counted()]).toEqual([0, [1, 0]]);
    udp.recverr = true;
    expect([send(), counted()]).toEqual([-105, [2, 0]]);
    const raw = new RawSock(net.ns("p1"), 1, false);
    expect(raw.sendto(new Uint8Array(8), parseIpv4("192.168.0.1"))).toBe(0);
    raw.recverr = true;
    expect(raw.sendto(new Uint8Array(8), parseIpv4("192.168.0.1"))).toBe(-105);
  });

  it("is seen by the program as a packet of the device opposite, with its Ethernet header and before any backlog", () => {
    net = new NetkitNet("l3");
    const seen: number[][] = [];
    net.p1.programs = [
      prog((skb) => {
        seen.push([skb.ifindex, skb.ingressIfindex, skb.pktType, skb.tail - skb.data, skb.protocol]);
        return NETKIT_PASS;
      }, "at_peer"),
    ];
    net.c1.programs = [
      prog((skb) => {
        seen.push([skb.ifindex, skb.ingressIfindex, skb.pktType, skb.tail - skb.data, skb.protocol]);
        return NETKIT_PASS;
      }, "at_primary"),
    ];
    const met = net.steps(() => net.ping("p1", "192.168.0.1"));
    expect(seen).toEqual([
      [net.c1.ifindex, 0, PACKET_HOST, 50, 0x0800],
      [net.p1.ifindex, 0, PACKET_HOST, 50, 0x0800],
    ]);
    expect(met.map((w) => w.slice(w.findIndex((s) => s.endsWith("xmit"))).slice(0, 4))).toEqual([
      ["p1 xmit", "n1 program", "n1 verdict", "n1 backlog"],
      ["n1 xmit", "p1 program", "p1 verdict", "p1 backlog"],
    ]);
  });

  it.each([
    ["NEXT, NEXT", [NETKIT_NEXT, NETKIT_NEXT], 2, true],
    ["NEXT, DROP", [NETKIT_NEXT, NETKIT_DROP], 2, false],
    ["PASS, DROP", [NETKIT_PASS, NETKIT_DROP], 1, true],
    ["DROP, PASS", [NETKIT_DROP, NETKIT_PASS], 1, false],
    ["a verdict that does not exist", [5, NETKIT_PASS], 1, false],
  ] as const)(
    "is decided by the first program that does not say NEXT: %s",
    (_name, verdicts, runs, passes) => {
      // The policy holds only where there is no program.
      for (const policy of ["forward", "blackhole"] as const) {
        net = new NetkitNet("l3", { peer: { policy } });
        let n = 0;
        net.p1.programs = verdicts.map((v) =>
          prog(() => {
            n++;
            return v;
          }),
        );
        expect([net.ping("p1", "192.168.0.1").reply !== null, n]).toEqual([passes, runs]);
      }
    },
  );

  it("keeps a packet type that the program sets", () => {
    net = new NetkitNet("l3");
    let type = PACKET_OTHERHOST;
    net.p1.programs = [prog((skb) => net.h.skb_change_type(skb, type))];
    expect(net.ping("p1", "192.168.0.1").reply).toBeNull();
    expect(net.drops("n1")).toEqual({ OTHERHOST: 1 });
    type = PACKET_HOST;
    expect(net.ping("p1", "192.168.0.1").reply?.ttl).toBe(64);
  });

  it("is dropped when it has no whole Ethernet header", () => {
    net = new NetkitNet("l3");
    expect([net.xmit(net.p1, FRAME.subarray(0, 13)), stats(net.p1)]).toEqual([1, [0, 0, 1, 0, 0]]);
    expect([net.xmit(net.p1, FRAME.subarray(0, 14)), stats(net.p1)]).toEqual([0, [1, 14, 1, 0, 0]]);
  });

  it("counts as dropped when the backlog is full", () => {
    net = new NetkitNet("l3");
    net.kernel.world.limit = 0;
    expect([net.xmit(net.p1, FRAME), stats(net.p1), stats(net.c1)]).toEqual([
      1,
      [0, 0, 1, 0, 0],
      [0, 0, 0, 0, 0],
    ]);
  });
});

describe("any frame with any verdicts", () => {
  it("is counted once, as sent or as dropped, and no packet is lost or freed twice", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("l2" as const, "l3" as const),
        fc.constantFrom("forward" as const, "blackhole" as const),
        fc.array(fc.constantFrom(NETKIT_NEXT, NETKIT_PASS, NETKIT_DROP, 5, 7), { maxLength: 3 }),
        fc.array(fc.uint8Array({ maxLength: 80 }), { minLength: 1, maxLength: 5 }),
        (mode, policy, verdicts, frames) => {
          net = new NetkitNet(mode, { peer: { policy } });
          net.p1.programs = verdicts.map((v) => prog(() => v));
          for (const f of frames) net.xmit(net.p1, f);
          const decides = verdicts.find((v) => v !== NETKIT_NEXT) ?? NETKIT_NEXT;
          const [sent, bytes, dropped] = stats(net.p1) as [number, number, number];
          const whole = frames.filter((f) => f.length >= 14);
          const leaves =
            verdicts.length === 0 ? policy === "forward" : [NETKIT_NEXT, NETKIT_PASS, 7].includes(decides);
          expect([sent, dropped]).toEqual(
            leaves ? [whole.length, frames.length - whole.length] : [0, frames.length],
          );
          expect(bytes).toBe(leaves ? whole.reduce((n, f) => n + f.length, 0) : 0);
          // A redirected packet was not received by the primary.
          expect(stats(net.c1).slice(3)).toEqual(decides === 7 ? [0, 0] : [sent, bytes]);
          expect([net.kernel.world.outstanding, net.kernel.world.doubleFrees]).toEqual([0, 0]);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe("a netkit program's redirect", () => {
  beforeEach(() => {
    net = new NetkitNet("l3");
  });

  it("to another primary reaches the other pod with one backlog pass in all, past the host's stack and taps", () => {
    net.p1.programs = [prog((skb) => net.h.redirect(skb, net.c2.ifindex, 0))];
    const source = net.tap("n1", "c1");
    const target = net.tap("n1", "c2");
    const [met] = net.steps(() => net.ping("p1", "10.0.0.2")) as [string[]];
    expect(met.slice(met.indexOf("p1 xmit"), met.indexOf("p2 receive") + 1)).toEqual([
      "p1 xmit",
      "n1 program",
      "n1 verdict",
      "n1 redirect",
      "n1 xmit",
      "p2 backlog",
      "p2 receive",
    ]);
    expect([source.lines.map((l) => l[0]), target.lines.map((l) => l[0])]).toEqual([[">"], [">", "<"]]);
    // What was redirected was sent by the pod, but never received by its primary.
    expect([stats(net.p1).slice(0, 3), stats(net.c1).slice(3)]).toEqual([
      [1, 50, 0],
      [0, 0],
    ]);
  });

  it("to the uplink by redirect_neigh writes the uplink's addresses", () => {
    const eth0 = net.dev("n1", "eth0");
    net.p1.programs = [prog((skb) => net.h.redirect_neigh(skb, eth0.ifindex, null, 0))];
    const up = net.tap("n1", "eth0");
    expect(net.ping("p1", "192.168.0.254").reply?.ttl).toBe(63);
    expect(up.lines.filter((l) => l.includes(" ip ")).map((l) => l.slice(0, 28))).toEqual([
      "> 0200000000fe<-020000000001",
      "< 020000000001<-0200000000fe",
    ]);
  });

  it("by redirect_peer is refused, since the packet is at no tc ingress", () => {
    net.p1.programs = [prog((skb) => net.h.redirect_peer(skb, net.c2.ifindex, 0))];
    const p = net.ping("p1", "10.0.0.2");
    // The device sent it; that it ended there is nobody's error.
    expect([p.reply, p.sendErrno, net.drops("n1")]).toEqual([null, 0, { NOT_SPECIFIED: 1 }]);
  });

  it("is dropped when the program did not say where to", () => {
    net.p1.programs = [prog(() => 7)];
    expect([net.ping("p1", "10.0.0.2").reply, net.drops("n1")]).toEqual([null, { NOT_SPECIFIED: 1 }]);
  });
});

describe("redirect_peer from a native device", () => {
  it("ends in the pod without running the primary's program or passing its tap", () => {
    net = new NetkitNet("l3");
    net.ping("p1", "192.168.0.254");
    let ran = 0;
    net.c1.programs = [
      prog(() => {
        ran++;
        return NETKIT_PASS;
      }),
    ];
    net.dev("n1", "eth0").tc_ingress = prog((skb) => {
      if (!isIp(skb)) return 0;
      skb.bytes.fill(0, skb.data, skb.data + 12);
      return net.h.redirect_peer(skb, net.c1.ifindex, 0);
    });
    const host = net.tap("n1", "c1");
    const pod = net.tap("p1", "eth0");
    expect(net.ping("p1", "192.168.0.254").reply?.ttl).toBe(64);
    expect([ran, host.lines.map((l) => l[0]), pod.lines.map((l) => l[0])]).toEqual([0, ["<"], [">", "<"]]);
  });
});

describe("scrubbing", () => {
  /** Mark, priority, ingress ifindex and timestamp as the program of `dev` sees them. */
  const seen = (dev: NetkitDevice): number[] => {
    let out: number[] = [];
    dev.programs = [
      prog((skb) => {
        out = [skb.mark, skb.priority, skb.ingressIfindex, skb.tstamp[0]!];
        return NETKIT_DROP;
      }),
    ];
    net.xmit(dev, FRAME, (skb) => {
      skb.mark = 0x0d180f00;
      skb.priority = 6;
      skb.ingressIfindex = 9;
      skb.tstamp[0] = 77;
    });
    return out;
  };

  it("default clears mark and priority before the program, none leaves them; the rest goes in any case", () => {
    net = new NetkitNet("l3");
    expect(seen(net.p1)).toEqual([0, 0, 0, 0]);
    expect(seen(net.c1)).toEqual([0x0d180f00, 6, 0, 0]);
    net = new NetkitNet("l3", { primary: { scrub: "default" }, peer: { scrub: "none" } });
    expect(seen(net.p1)).toEqual([0x0d180f00, 6, 0, 0]);
    expect(seen(net.c1)).toEqual([0, 0, 0, 0]);
  });

  it("leaves mark, priority and time alone within one namespace", () => {
    net = new NetkitNet("l3");
    const [a, b] = NetkitDevice.pair(
      "l3",
      { ns: net.ns("n1"), name: "nk0", policy: "forward", scrub: "default" },
      { ns: net.ns("n1"), name: "nk1", policy: "forward", scrub: "default" },
    );
    linkUp(a);
    linkUp(b);
    expect(seen(a)).toEqual([0x0d180f00, 6, 0, 77]);
    expect(seen(b)).toEqual([0x0d180f00, 6, 0, 77]);
  });
});

describe("carrier", () => {
  it("needs both ends up, and nothing is sent to an end that is down", () => {
    net = new NetkitNet("l3");
    expect([net.c1.carrier, net.p1.carrier]).toEqual([true, true]);
    link_down(net.c1);
    expect([net.c1.carrier, net.p1.carrier]).toEqual([false, false]);
    expect(ip_command(net.ns("p1"), ["link", "show", "eth0"]).out).toMatch(
      /<NO-CARRIER,BROADCAST,MULTICAST,NOARP,UP> .* state LOWERLAYERDOWN /,
    );
    expect([net.xmit(net.p1, FRAME), net.p1.stats[TX_DROPPED]]).toEqual([1, 1]);
    linkUp(net.c1);
    // Its route went with it.
    addRoute(net.ns("n1"), { to: "10.0.0.1/32", dev: net.c1 });
    expect([net.c1.carrier, net.p1.carrier]).toEqual([true, true]);
    expect(net.ping("p1", "192.168.0.1").reply?.ttl).toBe(64);
  });
});
