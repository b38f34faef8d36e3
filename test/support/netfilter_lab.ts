// A router between two hosts whose frames the tests write themselves, for tests of netfilter and IPVS.
//
//   10.0.0.2 02:..:00:02 -- a 10.0.0.1 [node] b 10.0.1.1 -- 10.0.1.2 02:..:01:02   (both /24; 10.0.9.9 is also the node's)

import { Program } from "../../src/bpf/program.js";
import type { Skb } from "../../src/bpf/skb.js";
import { inject } from "../../src/kernel/dev.js";
import type { NetDevice } from "../../src/kernel/device.js";
import { Kernel } from "../../src/kernel/kernel.js";
import { iptablesRestore, type RestoreReport } from "../../src/kernel/netfilter/iptables.js";
import { ConntrackEvents } from "../../src/kernel/netfilter/nf_conntrack_text.js";
import type { Netns } from "../../src/kernel/netns.js";
import { buildTopology } from "../../src/kernel/topology.js";
import { buildFrame, eth, icmp, ip4, tcp, udp } from "../../src/net/build.js";
import { describeFrame } from "../../src/net/describe.js";

const TOPO = {
  netns: {
    node: {
      sysctl: { "net/ipv4/ip_forward": 1 },
      addresses: [
        { dev: "a", addr: "10.0.0.1/24" },
        { dev: "b", addr: "10.0.1.1/24" },
        { dev: "lo", addr: "10.0.9.9/32" },
      ],
      routes: [
        { dst: "10.5.0.0/16", via: "10.0.1.2", dev: "b" },
        { dst: "10.4.0.0/16", via: "10.0.0.2", dev: "a" },
      ],
      neigh: [
        { ip: "10.0.0.2", mac: "02:00:00:00:00:02", dev: "a" },
        { ip: "10.0.1.2", mac: "02:00:00:00:01:02", dev: "b" },
      ],
    },
    x: {},
    y: {},
  },
  links: [
    {
      kind: "veth",
      ends: [
        { ns: "node", name: "a", mac: "02:00:00:00:00:01" },
        { ns: "x", name: "eth0", mac: "02:00:00:00:00:02" },
      ],
    },
    {
      kind: "veth",
      ends: [
        { ns: "node", name: "b", mac: "02:00:00:00:01:01" },
        { ns: "y", name: "eth0", mac: "02:00:00:00:01:02" },
      ],
    },
  ],
};

export class RouterLab {
  readonly kernel = new Kernel({ name: "lab", cpus: 1, seed: 7 });
  readonly node: Netns;
  readonly a: NetDevice;
  readonly b: NetDevice;
  /** What left the node since the last look, as `device: description`. */
  #out: string[] = [];
  /** The same frames as bytes. */
  frames: Uint8Array[] = [];
  #events: ConntrackEvents | null = null;

  constructor(rules = "") {
    this.kernel.clock.set(1e12);
    const built = buildTopology(this.kernel, TOPO);
    this.node = built.ns.get("node")!;
    this.a = this.node.devByName("a")!;
    this.b = this.node.devByName("b")!;
    const deaf = new Program({ name: "deaf", type: "sched_cls", section: "", file: "" }, () => 2);
    for (const d of built.devs) {
      if (d.ns !== this.node) d.tc_ingress = deaf;
      else
        d.addTap({
          packet: (dev: NetDevice, skb: Skb, from: number, outgoing: boolean) => {
            if (!outgoing) return;
            const f = skb.bytes.slice(from, skb.tail);
            this.frames.push(f);
            this.#out.push(`${dev.name}: ${describeFrame(f)}`);
          },
        });
    }
    if (rules !== "") this.rules(rules);
  }

  rules(text: string): RestoreReport {
    const r = iptablesRestore(this.node, text, { noflush: true });
    const ct = this.node.nf?.ct ?? null;
    if (ct !== null && ct.listener === null) {
      this.#events = new ConntrackEvents(ct);
      ct.listener = this.#events;
    }
    return r;
  }

  /** Conntrack events since the last look. */
  events(): string[] {
    return this.#events === null ? [] : this.#events.lines.splice(0);
  }

  /** Frames that left the node since the last look. */
  out(): string[] {
    this.frames = [];
    return this.#out.splice(0);
  }

  /** Puts a frame into a device of the node and returns what leaves because of it. */
  inject(dev: NetDevice, frame: Uint8Array): string[] {
    this.out();
    const skb = this.kernel.world.alloc();
    skb.setFrame(frame);
    skb.dev = dev;
    skb.ifindex = dev.ifindex;
    skb.netns = this.node.id;
    inject(dev, skb);
    return this.#out.splice(0);
  }

  #eth(dev: NetDevice) {
    return dev === this.a
      ? eth({ dst: "02:00:00:00:00:01", src: "02:00:00:00:00:02" })
      : eth({ dst: "02:00:00:00:01:01", src: "02:00:00:00:01:02" });
  }

  udp(
    dev: NetDevice,
    src: string,
    sport: number,
    dst: string,
    dport: number,
    data = "data",
    ip: { readonly ttl?: number; readonly id?: number; readonly df?: boolean } = {},
  ): string[] {
    return this.inject(
      dev,
      buildFrame([this.#eth(dev), ip4({ src, dst, id: 1, ...ip }), udp({ src: sport, dst: dport }), data]),
    );
  }

  /** `flags` as letters: S A F R P U. */
  tcp(
    dev: NetDevice,
    src: string,
    sport: number,
    dst: string,
    dport: number,
    flags: string,
    seq = 1000,
    ack = 0,
    data = "",
    window = 64_240,
  ): string[] {
    let f = 0;
    for (const c of flags) f |= { F: 1, S: 2, R: 4, P: 8, A: 16, U: 32 }[c] ?? 0;
    return this.inject(
      dev,
      buildFrame([
        this.#eth(dev),
        ip4({ src, dst, id: 1 }),
        tcp({ src: sport, dst: dport, seq, ack, flags: f, window }),
        data,
      ]),
    );
  }

  ping(dev: NetDevice, src: string, dst: string, id: number, reply = false): string[] {
    return this.inject(
      dev,
      buildFrame([
        this.#eth(dev),
        ip4({ src, dst, id: 1 }),
        icmp({ type: reply ? 0 : 8, code: 0, id, seq: 1 }),
        "ping",
      ]),
    );
  }

  /** Lets virtual time pass. */
  wait(seconds: number): void {
    this.kernel.runUntil(this.kernel.clock.ns + seconds * 1e9);
  }
}
