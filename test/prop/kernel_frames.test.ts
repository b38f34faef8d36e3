// Frames of every degree of brokenness into every kind of device: nothing throws, no packet is freed twice or lost.

import { describe, expect, it } from "vitest";
import { Prng } from "../../src/base/prng.js";
import { craftIpv4 } from "../../src/conformance/kernel_traffic.js";
import { dev_queue_xmit, inject } from "../../src/kernel/dev.js";
import type { NetDevice } from "../../src/kernel/device.js";
import { addr6_add } from "../../src/kernel/ipv6/addrconf.js";
import { Kernel } from "../../src/kernel/kernel.js";
import { alloc_local_skb, skb_set_dev } from "../../src/kernel/skbuff.js";
import { TcpSock } from "../../src/kernel/tcp.js";
import { type BuiltTopology, buildTopology, type Topology } from "../../src/kernel/topology.js";
import { UdpSock } from "../../src/kernel/udp.js";
import { Cable, WireDevice } from "../../src/kernel/wire.js";
import { parseIpv6 } from "../../src/net/address.js";

const N = Number(process.env.PODPATH_FRAMES ?? 6000);

const TOPO: Topology = {
  netns: {
    n1: {
      sysctl: {
        "net/ipv4/ip_forward": 1,
        "net/ipv4/conf/all/proxy_arp": 1,
        "net/ipv6/conf/all/forwarding": 1,
      },
      addresses: [
        { dev: "eth0", addr: "192.168.0.1/24" },
        { dev: "vx", addr: "10.9.1.0/32" },
        { dev: "gnv", addr: "10.8.1.0/32" },
        { dev: "tunl0", addr: "10.7.1.0/32" },
        { dev: "br0", addr: "10.1.1.1/24" },
        { dev: "dummy0", addr: "10.96.0.1/32" },
      ],
      routes: [
        { dst: "10.1.2.0/24", via: "10.9.2.0", dev: "vx", onlink: true },
        { dst: "10.1.3.0/24", via: "10.8.2.0", dev: "gnv", onlink: true },
        { dst: "10.1.4.0/24", via: "192.168.0.2", dev: "tunl0", onlink: true },
        { dst: "10.1.5.0/24", type: "blackhole" },
        { dst: "10.1.6.0/24", type: "unreachable" },
        { dst: "default", via: "192.168.0.2", dev: "eth0", mtu: 900 },
      ],
      neigh: [
        { ip: "10.9.2.0", mac: "02:00:00:00:09:02", dev: "vx" },
        { ip: "10.8.2.0", mac: "02:00:00:00:08:02", dev: "gnv" },
      ],
      fdb: [{ mac: "02:00:00:00:09:02", dev: "vx", dst: "192.168.0.2" }],
    },
    n2: {
      sysctl: { "net/ipv4/ip_forward": 1 },
      addresses: [
        { dev: "eth0", addr: "192.168.0.2/24" },
        { dev: "vx", addr: "10.9.2.0/32" },
      ],
      routes: [{ dst: "10.1.1.0/24", via: "10.9.1.0", dev: "vx", onlink: true }],
      neigh: [{ ip: "10.9.1.0", mac: "02:00:00:00:09:01", dev: "vx" }],
      fdb: [{ mac: "02:00:00:00:09:01", dev: "vx", dst: "192.168.0.1" }],
    },
    p1: {
      addresses: [{ dev: "eth0", addr: "10.1.1.2/24" }],
      routes: [{ dst: "default", via: "10.1.1.1", dev: "eth0" }],
    },
    p2: {
      addresses: [{ dev: "eth0", addr: "10.1.1.3/24" }],
      routes: [{ dst: "default", via: "10.1.1.1", dev: "eth0" }],
    },
  },
  links: [
    { kind: "bridge", ns: "n1", name: "br0", mac: "02:00:00:00:01:00" },
    {
      kind: "veth",
      ends: [
        { ns: "n1", name: "eth0", mac: "02:00:00:00:00:01" },
        { ns: "n2", name: "eth0", mac: "02:00:00:00:00:02" },
      ],
    },
    {
      kind: "veth",
      ends: [
        { ns: "n1", name: "v1", mac: "02:00:00:00:01:01", master: "br0" },
        { ns: "p1", name: "eth0", mac: "02:00:00:00:01:02" },
      ],
    },
    {
      kind: "veth",
      ends: [
        { ns: "n1", name: "v2", mac: "02:00:00:00:01:03", master: "br0" },
        { ns: "p2", name: "eth0", mac: "02:00:00:00:01:04" },
      ],
    },
    {
      kind: "vxlan",
      ns: "n1",
      name: "vx",
      mac: "02:00:00:00:09:01",
      vni: 1,
      local: "192.168.0.1",
      dev: "eth0",
      learning: true,
    },
    {
      kind: "vxlan",
      ns: "n2",
      name: "vx",
      mac: "02:00:00:00:09:02",
      vni: 1,
      local: "192.168.0.2",
      dev: "eth0",
    },
    { kind: "geneve", ns: "n1", name: "gnv", mac: "02:00:00:00:08:01", vni: 2, remote: "192.168.0.2" },
    { kind: "ipip", ns: "n1", name: "tunl0" },
    { kind: "ipip", ns: "n2", name: "tunl0" },
    { kind: "dummy", ns: "n1", name: "dummy0", mac: "02:00:00:00:07:01" },
  ],
};

const ADDRS = [
  "10.1.1.1",
  "10.1.1.2",
  "10.1.1.3",
  "10.1.2.9",
  "10.1.3.9",
  "10.1.4.9",
  "10.1.5.9",
  "10.1.6.9",
  "192.168.0.1",
  "192.168.0.2",
  "10.96.0.1",
  "127.0.0.1",
  "0.0.0.0",
  "255.255.255.255",
  "224.0.0.1",
  "8.8.8.8",
  "10.9.1.0",
];

/** A frame that is well formed more often than not, then perhaps damaged. */
function frame(r: Prng, dev: NetDevice, macs: readonly Uint8Array[]): Uint8Array {
  const pick = <T>(a: readonly T[]): T => a[r.below(a.length)]!;
  const kind = r.below(12);
  let l3: Uint8Array;
  let type = 0x0800;
  if (kind === 0) {
    type = 0x0806;
    l3 = new Uint8Array(28);
    l3.set([0, 1, 8, 0, 6, 4, 0, 1 + r.below(3)]);
    l3.set(pick(macs), 8);
    for (const o of [14, 24])
      pick(ADDRS)
        .split(".")
        .forEach((x, i) => {
          l3[o + i] = Number(x);
        });
  } else if (kind === 1) {
    type = pick([0x86dd, 0x8100, 0x88cc, 0x0000, 0xffff]);
    l3 = new Uint8Array(r.below(100));
    for (let i = 0; i < l3.length; i++) l3[i] = r.below(256);
    if (type === 0x86dd && l3.length >= 40 && r.below(4) > 0) {
      for (const o of [8, 24])
        l3.set(
          parseIpv6(
            pick([
              "fd00:1::1",
              "fd00:2::1",
              "fd00:5::9",
              "fe80::1",
              "ff02::1",
              "ff02::1:ff00:1",
              "::",
              "::1",
              "fd99::1",
            ]),
          ),
          o,
        );
      if (l3.length > 48) l3.set([pick([128, 129, 135, 136, 1, 2, 3, 4, 200]), 0], 40);
    }
    if (type === 0x86dd && l3.length >= 40)
      l3.set([0x60, 0, 0, 0, 0, l3.length - 40, pick([58, 6, 17, 0, 44]), r.below(3) + 1]);
  } else {
    const l4 = pick([
      { kind: "udp", sport: r.below(65536), dport: pick([53, 4789, 6081, 9, 7777]), len: r.below(1600) },
      { kind: "icmp", type: r.below(20), code: r.below(18), len: r.below(1600) },
      {
        kind: "tcp",
        sport: 1 + r.below(5),
        dport: pick([80, 81]),
        flags: pick(["S", "SA", "A", "PA", "FA", "R", "RA", "", "SF"]),
        len: r.below(300),
        seqno: r.below(1000),
        ackno: r.below(1000),
      },
    ] as const);
    const f: Record<string, unknown> = {
      src: pick(ADDRS),
      dst: pick(ADDRS),
      ttl: r.below(4) === 0 ? r.below(3) : 64,
      tos: r.below(256),
      id: r.below(50),
      df: r.below(2) === 0,
      mf: r.below(8) === 0,
      frag: r.below(8) === 0 ? r.below(200) : 0,
      l4,
    };
    if (r.below(6) === 0)
      f.ip_options_hex = pick([
        "07070400000000",
        "4408050000000000",
        "94040000",
        "830704c0a8000101",
        "01010100",
        "0702",
        "44",
        "ffff0000",
      ])
        .padEnd(16, "0")
        .slice(0, 16);
    if (r.below(5) === 0) {
      f.proto = pick([4, 41, 47, 132, 255, 1, 6, 17]);
      f.payload_hex = Buffer.from(craftIpv4({ src: pick(ADDRS), dst: pick(ADDRS), l4 })).toString("hex");
    }
    l3 = craftIpv4(f);
    if (kind < 4) {
      // A tunnel packet around it.
      const inner = new Uint8Array(14 + l3.length);
      inner.set(pick(macs), 0);
      inner.set(pick(macs), 6);
      inner.set([8, 0], 12);
      inner.set(l3, 14);
      const head = kind === 2 ? [8, 0, 0, 0, 0, 0, r.below(3), 0] : [r.below(4), 0, 0x65, 0x58, 0, 0, 2, 0];
      const udp = new Uint8Array(8 + 8 + inner.length);
      udp.set([
        0x12,
        0x34,
        ...(kind === 2 ? [0x12, 0xb5] : [0x17, 0xc1]),
        udp.length >> 8,
        udp.length & 255,
        0,
        0,
        ...head,
      ]);
      udp.set(inner, 16);
      l3 = craftIpv4({
        src: "192.168.0.2",
        dst: "192.168.0.1",
        proto: 17,
        tos: r.below(256),
        payload_hex: Buffer.from(udp).toString("hex"),
      });
    }
  }
  let out: Uint8Array;
  if (dev.hardHeaderLen === 0) out = l3;
  else {
    out = new Uint8Array(14 + l3.length);
    out.set(r.below(4) === 0 ? pick(macs) : dev.mac, 0);
    if (r.below(10) === 0) out.fill(255, 0, 6);
    out.set(pick(macs), 6);
    out[12] = type >> 8;
    out[13] = type & 255;
    out.set(l3, 14);
  }
  const harm = r.below(6);
  if (harm === 0) out = out.slice(0, r.below(out.length + 1));
  else if (harm === 1)
    for (let i = r.below(4); i >= 0; i--) if (out.length > 0) out[r.below(out.length)] = r.below(256);
  return out;
}

function build(): { kernel: Kernel; built: BuiltTopology; devs: NetDevice[] } {
  const kernel = new Kernel({ seed: 7 });
  kernel.clock.set(1e12);
  const built = buildTopology(kernel, TOPO);
  const n1 = built.ns.get("n1")!;
  const n2 = built.ns.get("n2")!;
  const cable = new Cable();
  const w1 = new WireDevice({ ns: n1, name: "ens1", mac: Uint8Array.from([2, 0, 0, 0, 6, 1]) }).plug(cable);
  const w2 = new WireDevice({ ns: n2, name: "ens1", mac: Uint8Array.from([2, 0, 0, 0, 6, 2]) }).plug(cable);
  for (const w of [w1, w2]) w.flags |= 1;
  for (const [i, d] of [...built.devs, w1, w2].entries())
    if (d.hardHeaderLen !== 0) addr6_add(d, parseIpv6(`fd00:${i}::1`), 64);
  for (const ns of built.ns.values()) {
    const u = new UdpSock(ns);
    u.bind(0, 7777);
    u.onDatagram = () => {};
    const l = new TcpSock(ns);
    l.bind(0, 80);
    l.listen(16);
  }
  return { kernel, built, devs: [...built.devs, w1, w2, n1.lo] };
}

describe("random frames", () => {
  it("are received by every kind of device without an exception, and every packet is freed once", () => {
    const { kernel, devs } = build();
    const r = new Prng(42);
    const macs = devs.map((d) => d.mac);
    for (let i = 0; i < N; i++) {
      const d = devs[i % devs.length]!;
      const skb = kernel.world.alloc();
      skb.setFrame(frame(r, d, macs));
      if (d.hardHeaderLen === 0) skb.protocol = 0x0800;
      inject(d, skb);
      if (i % 64 === 0) kernel.runUntil(kernel.clock.ns + 50e6);
    }
    kernel.runUntil(kernel.clock.ns + 400e9);
    expect({
      doubleFrees: kernel.world.doubleFrees,
      pending: kernel.world.pending,
      depth: kernel.world.depth,
    }).toEqual({
      doubleFrees: 0,
      pending: 0,
      depth: 0,
    });
    expect(kernel.world.outstanding).toBe(0);
  });

  it("are transmitted by every kind of device without an exception", () => {
    const { kernel, devs } = build();
    const r = new Prng(43);
    const macs = devs.map((d) => d.mac);
    for (let i = 0; i < N; i++) {
      const d = devs[i % devs.length]!;
      const skb = alloc_local_skb(d.ns);
      skb.setFrame(frame(r, d, macs));
      skb.network = skb.data + d.hardHeaderLen;
      skb.protocol = 0x0800;
      skb_set_dev(skb, d);
      dev_queue_xmit(skb);
      if (i % 64 === 0) kernel.runUntil(kernel.clock.ns + 50e6);
    }
    kernel.runUntil(kernel.clock.ns + 400e9);
    expect({ doubleFrees: kernel.world.doubleFrees, outstanding: kernel.world.outstanding }).toEqual({
      doubleFrees: 0,
      outstanding: 0,
    });
  });
});
