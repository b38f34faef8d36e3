import { describe, expect, it } from "vitest";
import { craftIpv4 } from "../../../src/conformance/kernel_traffic.js";
import { RX_ERRORS, TX_ERRORS } from "../../../src/kernel/device.js";
import { ip_command } from "../../../src/kernel/iproute.js";
import { iptablesRestore } from "../../../src/kernel/netfilter/iptables.js";
import { RawSock } from "../../../src/kernel/raw.js";
import { Mib } from "../../../src/kernel/snmp.js";
import type { TopoLink, Topology } from "../../../src/kernel/topology.js";
import { parseIpv4 } from "../../../src/net/address.js";
import { KernelNet } from "../../support/kernel_net.js";

/** Two nodes on a wire with a tunnel between them, a pod on each. */
function twoNodes(
  tunnel: (node: 1 | 2) => {
    link: TopoLink;
    via: string;
    neigh?: { ip: string; mac: string };
    fdb?: { mac: string; dst: string };
  },
): Topology {
  const netns: Record<string, object> = {};
  const links: TopoLink[] = [
    {
      kind: "veth",
      ends: [
        { ns: "n1", name: "eth0", mac: "02:00:00:00:00:01" },
        { ns: "n2", name: "eth0", mac: "02:00:00:00:00:02" },
      ],
    },
  ];
  for (const i of [1, 2] as const) {
    const o = i === 1 ? 2 : 1;
    const t = tunnel(i);
    links.push(t.link, {
      kind: "veth",
      ends: [
        { ns: `n${i}`, name: "c", mac: `02:00:00:00:0${i}:01`, mtu: 1450 },
        { ns: `p${i}`, name: "eth0", mac: `02:00:00:00:0${i}:02`, mtu: 1450 },
      ],
    });
    const dev = t.link.name!;
    netns[`n${i}`] = {
      sysctl: { "net/ipv4/ip_forward": 1 },
      addresses: [
        { dev: "eth0", addr: `192.168.0.${i}/24` },
        { dev: "c", addr: `10.${i}.0.254/32` },
        { dev, addr: `10.${i}.0.0/32` },
      ],
      routes: [
        { dst: `10.${i}.0.1/32`, dev: "c", scope: "link" },
        { dst: `10.${o}.0.0/24`, via: t.via, dev, onlink: true },
      ],
      neigh: t.neigh === undefined ? [] : [{ ...t.neigh, dev }],
      fdb: t.fdb === undefined ? [] : [{ ...t.fdb, dev }],
    };
    netns[`p${i}`] = {
      addresses: [{ dev: "eth0", addr: `10.${i}.0.1/32` }],
      routes: [
        { dst: `10.${i}.0.254/32`, dev: "eth0", scope: "link" },
        { dst: "default", via: `10.${i}.0.254`, dev: "eth0" },
      ],
    };
  }
  return { netns: netns as Topology["netns"], links };
}

const vxlan = (extra: Partial<TopoLink> = {}): Topology =>
  twoNodes((i) => ({
    link: {
      kind: "vxlan",
      ns: `n${i}`,
      name: "vx",
      mac: `02:00:00:00:0a:0${i}`,
      vni: 77,
      local: `192.168.0.${i}`,
      dev: "eth0",
      mtu: 1450,
      ...extra,
    },
    via: `10.${3 - i}.0.0`,
    neigh: { ip: `10.${3 - i}.0.0`, mac: `02:00:00:00:0a:0${3 - i}` },
    fdb: { mac: `02:00:00:00:0a:0${3 - i}`, dst: `192.168.0.${3 - i}` },
  }));
const ipip = (): Topology =>
  twoNodes((i) => ({
    link: { kind: "ipip", ns: `n${i}`, name: "tunl0", mtu: 1480 },
    via: `192.168.0.${3 - i}`,
  }));

const geneve: Topology = twoNodes((i) => ({
  link: {
    kind: "geneve",
    ns: `n${i}`,
    name: "gnv",
    mac: `02:00:00:00:0b:0${i}`,
    vni: 5,
    remote: `192.168.0.${3 - i}`,
    mtu: 1450,
  },
  via: `10.${3 - i}.0.0`,
  neigh: { ip: `10.${3 - i}.0.0`, mac: `02:00:00:00:0b:0${3 - i}` },
}));

/** Sends a packet with these fields from p1 to p2. */
function send(net: KernelNet, f: object): void {
  const s = new RawSock(net.ns("p1"), 255);
  const p = craftIpv4({ src: "10.1.0.1", dst: "10.2.0.1", l4: { kind: "icmp", len: 8 }, ...f });
  s.sendto(p, parseIpv4("10.2.0.1"));
  s.close();
  net.ms(5);
}

/** Outer header fields of the encapsulated packets a tap saw leave. */
const outer = (lines: readonly string[]): string[] =>
  lines
    .filter((l) => l.startsWith(">") && / (vxlan|geneve|ipip) /.test(l))
    .map((l) =>
      l.replace(/^> \S+ ip (tos=\d+) len=(\d+) id=x (fo=\S+) (ttl=\d+) \S+ (\w+) .*$/, "$5 $1 $2 $3 $4"),
    );

describe("VXLAN", () => {
  it("has TTL 64, no DSCP, the inner ECN, no DF, and a checksum; the pods see TTL 62", () => {
    const net = new KernelNet(vxlan());
    expect(net.ping("p1", "10.2.0.1").reply?.ttl).toBe(62);
    const up = net.tap("n1", "eth0");
    send(net, { tos: 0xb9, df: true, ttl: 9 });
    send(net, { tos: 0x03 });
    expect(outer(up.lines)).toEqual(["vxlan tos=1 86 fo=0 ttl=64", "vxlan tos=2 86 fo=0 ttl=64"]);
    expect(up.lines[0]).toContain("csum=ok 0800000000004d00 [02000000" + "0a02<-020000000a01");
  });

  it("does as its options say: ttl, tos inherit, df set, no checksum", () => {
    const net = new KernelNet(vxlan({ ttl: 7, tos: "inherit", df: "set", udpcsum: false }));
    net.ping("p1", "10.2.0.1");
    const up = net.tap("n1", "eth0");
    send(net, { tos: 0xb8 });
    expect(outer(up.lines)).toEqual(["vxlan tos=184 86 fo=4000 ttl=7"]);
    expect(up.lines[0]).toContain("csum=0 ");
  });

  it("tells the pod the MTU of the device for what does not fit", () => {
    const net = new KernelNet(vxlan());
    net.dev("p1", "eth0").mtu = 1500;
    net.dev("n1", "c").mtu = 1500;
    net.ns("p1").rtGenid++;
    expect(net.ping("p1", "10.2.0.1", { size: 1440, pmtu: 2 }).error).toMatchObject({
      type: 3,
      code: 4,
      info: 1450,
    });
  });

  it("drops a foreign VNI and an outer CE on a packet that cannot carry it", () => {
    const net = new KernelNet(vxlan());
    net.ping("p1", "10.2.0.1");
    net.dev("n2", "vx").stats.fill(0);
    const s = new RawSock(net.ns("n1"), 255);
    const inner = `0200000${"00a02"}02000000${"0a01"}0800${Buffer.from(craftIpv4({ src: "10.1.0.1", dst: "10.2.0.1", l4: { kind: "icmp", len: 8 } })).toString("hex")}`;
    const udp = (vni: string): string =>
      `30391${"2b5"}${(16 + inner.length / 2).toString(16).padStart(4, "0")}00000800000000${vni}00${inner}`;
    for (const [vni, tos] of [
      ["004e", 0],
      ["004d", 3],
    ] as const)
      s.sendto(
        craftIpv4({ src: "192.168.0.1", dst: "192.168.0.2", tos, proto: 17, payload_hex: udp(vni) }),
        parseIpv4("192.168.0.2"),
      );
    net.ms(5);
    expect(net.dev("n2", "vx").stats[RX_ERRORS]).toBe(1);
  });
});

describe("Geneve", () => {
  it("looks like VXLAN with its own header, and has no checksum unless asked for", () => {
    const net = new KernelNet(geneve);
    expect(net.ping("p1", "10.2.0.1").reply?.ttl).toBe(62);
    const up = net.tap("n1", "eth0");
    send(net, { tos: 0xb9, df: true });
    expect(outer(up.lines)).toEqual(["geneve tos=1 86 fo=0 ttl=64"]);
    expect(up.lines[0]).toContain("csum=0 0000655800000500");
  });
});

describe("an ICMP error about a Geneve packet", () => {
  it("is counted as a message, not as an error of ICMP, and tells the pod nothing", () => {
    const net = new KernelNet(geneve);
    net.ping("p1", "10.2.0.1");
    ip_command(net.ns("n2"), ["link", "set", "gnv", "down"]);
    const up = net.tap("n1", "eth0");
    const { mib } = net.ns("n1");
    const before = [mib[Mib.IcmpInMsgs]!, mib[Mib.IcmpInErrors]!];
    expect(net.ping("p1", "10.2.0.1")).toMatchObject({ reply: null, error: null });
    expect(up.lines.at(-1)).toMatch(/icmp-error 3\/3 .* geneve /);
    expect([mib[Mib.IcmpInMsgs]! - before[0]!, mib[Mib.IcmpInErrors]! - before[1]!]).toEqual([1, 0]);
  });
});

describe("ttl inherit", () => {
  it("gives the outer packet of VXLAN and Geneve the TTL that the inner one has by then", () => {
    for (const [kind, port] of [
      ["vxlan", 4789],
      ["geneve", 6081],
    ] as const) {
      const topo = twoNodes((i) => ({
        link: {
          kind,
          ns: `n${i}`,
          name: "tun",
          mac: `02:00:00:00:0b:0${i}`,
          vni: 5,
          remote: `192.168.0.${3 - i}`,
          dev: "eth0",
          dstport: port,
          ttl: "inherit",
        },
        via: `10.${3 - i}.0.0`,
        neigh: { ip: `10.${3 - i}.0.0`, mac: `02:00:00:00:0b:0${3 - i}` },
        ...(kind === "vxlan" ? { fdb: { mac: `02:00:00:00:0b:0${3 - i}`, dst: `192.168.0.${3 - i}` } } : {}),
      }));
      const net = new KernelNet(topo);
      net.ping("p1", "10.2.0.1");
      const up = net.tap("n1", "eth0");
      send(net, { ttl: 9 });
      expect(outer(up.lines)).toEqual([`${kind} tos=0 86 fo=0 ttl=8`]);
    }
  });
});

describe("IPIP", () => {
  it("takes TTL, DF and ECN from the inner packet, the gateway of the route as destination", () => {
    const net = new KernelNet(ipip());
    expect(net.ping("p1", "10.2.0.1").reply?.ttl).toBe(62);
    const up = net.tap("n1", "eth0");
    send(net, { tos: 0xb9, df: true, ttl: 9 });
    send(net, { ttl: 33 });
    expect(outer(up.lines)).toEqual([
      "ipip tos=1 56 fo=4000 ttl=8",
      "ipip tos=1 56 fo=0 ttl=32".replace("tos=1", "tos=0"),
    ]);
  });

  it("refuses a fixed TTL without path MTU discovery, in the tool's words, and takes it with it", () => {
    const net = new KernelNet(ipip());
    net.ping("p1", "10.2.0.1");
    const ip = (c: string): unknown => ip_command(net.ns("n1"), c.split(" "));
    expect(ip("tunnel change tunl0 mode ipip ttl 40")).toEqual({
      rc: 1,
      out: "ttl != 0 and nopmtudisc are incompatible\n",
    });
    expect(ip("tunnel change tunl0 mode ipip ttl 40 pmtudisc")).toEqual({ rc: 0, out: "" });
    expect(ip("tunnel del tunl0")).toEqual({
      rc: 1,
      out: 'delete tunnel "tunl0" failed: Operation not permitted\n',
    });
    const up = net.tap("n1", "eth0");
    send(net, {});
    expect(outer(up.lines)).toEqual(["ipip tos=0 56 fo=4000 ttl=40"]);
  });

  it("tells the pod behind a masquerading node what fits, not the address that it was given", () => {
    const net = new KernelNet(ipip());
    iptablesRestore(net.ns("n1"), "*nat\n-A POSTROUTING -s 10.1.0.1/32 -o tunl0 -j MASQUERADE\nCOMMIT\n");
    net.dev("n1", "eth0").mtu = 1400;
    net.ns("n1").rtGenid++;
    expect(net.ping("p1", "10.2.0.1", { size: 1400, pmtu: 2 }).error).toMatchObject({
      type: 3,
      code: 4,
      info: 1380,
    });
  });

  it("answers port unreachable where no tunnel takes the packet, and counts a route that leads back into it", () => {
    const net = new KernelNet(ipip());
    net.ping("p1", "10.2.0.1");
    ip_command(net.ns("n2"), ["link", "set", "tunl0", "down"]);
    const up = net.tap("n1", "eth0");
    send(net, {});
    expect(up.lines.at(-1)).toMatch(/icmp-error 3\/3 .* ipip \[/);
    ip_command(net.ns("n1"), ["route", "replace", "10.2.0.0/24", "via", "10.1.0.0", "dev", "tunl0"]);
    net.dev("n1", "tunl0").stats.fill(0);
    send(net, {});
    expect([net.dev("n1", "tunl0").stats[TX_ERRORS], net.dev("n1", "tunl0").stats[8]]).toEqual([1, 1]);
  });
});
