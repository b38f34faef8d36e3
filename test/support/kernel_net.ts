// Small networks of the kernel model for tests, with a tap that keeps frames as text.

import { FrameNorm } from "../../src/conformance/frame_norm.js";
import type { NetDevice, Tap } from "../../src/kernel/device.js";
import { Kernel } from "../../src/kernel/kernel.js";
import type { Netns } from "../../src/kernel/netns.js";
import { Ping, type PingProbe } from "../../src/kernel/raw.js";
import { buildTopology, type Topology } from "../../src/kernel/topology.js";
import { parseIpv4 } from "../../src/net/address.js";

/** Keeps every frame of a device: `> ` sent, `< ` received, then the frame as FrameNorm prints it. */
export class TextTap implements Tap {
  readonly lines: string[] = [];
  readonly #norm = new FrameNorm();

  constructor(dev: NetDevice) {
    dev.addTap(this);
  }

  packet(dev: NetDevice, skb: { bytes: Uint8Array; tail: number }, from: number, outgoing: boolean): void {
    this.lines.push(
      `${outgoing ? ">" : "<"} ${this.#norm.frame(skb.bytes.slice(from, skb.tail), dev.hardHeaderLen === 0)}`,
    );
  }
}

/** Two pods behind one node that routes (10.0.0.1 and 10.0.0.2 on host routes, gateway 169.254.1.1 by proxy ARP). */
export const ONE_NODE: Topology = {
  netns: {
    n1: {
      sysctl: {
        "net/ipv4/ip_forward": 1,
        "net/ipv4/conf/c1/proxy_arp": 1,
        "net/ipv4/conf/c2/proxy_arp": 1,
        "net/ipv4/neigh/c1/proxy_delay": 0,
        "net/ipv4/neigh/c2/proxy_delay": 0,
      },
      addresses: [{ dev: "eth0", addr: "192.168.0.1/24" }],
      routes: [
        { dst: "default", via: "192.168.0.254", dev: "eth0" },
        { dst: "10.0.0.1/32", dev: "c1", scope: "link" },
        { dst: "10.0.0.2/32", dev: "c2", scope: "link" },
        { dst: "10.5.0.0/24", type: "blackhole" },
        { dst: "10.6.0.0/24", type: "unreachable" },
        { dst: "10.7.0.0/24", type: "prohibit" },
      ],
    },
    host: {
      addresses: [{ dev: "eth0", addr: "192.168.0.254/24" }],
      routes: [{ dst: "10.0.0.0/24", via: "192.168.0.1", dev: "eth0" }],
    },
    p1: {
      addresses: [{ dev: "eth0", addr: "10.0.0.1/32" }],
      routes: [
        { dst: "169.254.1.1", dev: "eth0", scope: "link" },
        { dst: "default", via: "169.254.1.1", dev: "eth0" },
      ],
    },
    p2: {
      addresses: [{ dev: "eth0", addr: "10.0.0.2/32" }],
      routes: [
        { dst: "169.254.1.1", dev: "eth0", scope: "link" },
        { dst: "default", via: "169.254.1.1", dev: "eth0" },
      ],
    },
  },
  links: [
    {
      kind: "veth",
      ends: [
        { ns: "n1", name: "eth0", mac: "02:00:00:00:00:01" },
        { ns: "host", name: "eth0", mac: "02:00:00:00:00:fe" },
      ],
    },
    {
      kind: "veth",
      ends: [
        { ns: "n1", name: "c1", mac: "ee:ee:ee:ee:ee:ee" },
        { ns: "p1", name: "eth0", mac: "02:00:00:00:01:01" },
      ],
    },
    {
      kind: "veth",
      ends: [
        { ns: "n1", name: "c2", mac: "ee:ee:ee:ee:ee:ee", mtu: 1400 },
        { ns: "p2", name: "eth0", mac: "02:00:00:00:01:02", mtu: 1400 },
      ],
    },
  ],
};

/** A running network. */
export class KernelNet {
  readonly kernel = new Kernel({ seed: 5, cpus: 1 });
  readonly #ns: ReadonlyMap<string, Netns>;

  constructor(topo: Topology = ONE_NODE) {
    this.kernel.clock.set(1e12);
    this.#ns = buildTopology(this.kernel, topo).ns;
  }

  ns(name: string): Netns {
    return this.#ns.get(name)!;
  }

  dev(ns: string, name: string): NetDevice {
    return this.ns(ns).devByName(name)!;
  }

  tap(ns: string, name: string): TextTap {
    return new TextTap(this.dev(ns, name));
  }

  /** Lets virtual milliseconds pass. */
  ms(n: number): void {
    this.kernel.runUntil(this.kernel.clock.ns + n * 1e6);
  }

  /** One echo request and what came of it within `waitMs`. */
  ping(
    ns: string,
    dst: string,
    o: { size?: number; ttl?: number; pmtu?: number; waitMs?: number } = {},
  ): PingProbe {
    const p = new Ping(this.ns(ns), parseIpv4(dst), 77, (_seq, size) => new Uint8Array(size));
    if (o.ttl !== undefined) p.sock.ttl = o.ttl;
    if (o.pmtu !== undefined) p.sock.pmtudisc = o.pmtu;
    p.send(1, o.size ?? 8);
    this.ms(o.waitMs ?? 10);
    p.close();
    return p.probes[0]!;
  }
}
