import { describe, expect, it } from "vitest";
import { csum_ipv6_magic } from "../../../src/kernel/ipv6/icmpv6.js";
import { ip6_build_header, ip6_local_out } from "../../../src/kernel/ipv6/ip6_output.js";
import { Ping6, Raw6Sock } from "../../../src/kernel/ipv6/raw6.js";
import { ipv6_specific } from "../../../src/kernel/ipv6/tcp_ipv6.js";
import { Udp6Sock } from "../../../src/kernel/ipv6/udp6.js";
import { alloc_local_skb } from "../../../src/kernel/skbuff.js";
import { TCP_CLOSE, TCP_ESTABLISHED, TCP_TIME_WAIT, TcpSock } from "../../../src/kernel/tcp.js";
import { formatIpv6, parseIpv6 } from "../../../src/net/address.js";
import type { KernelNet } from "../../support/kernel_net.js";
import { net6 } from "../../support/kernel_net6.js";

const P1 = parseIpv6("fd00::1");
const P2 = parseIpv6("fd00::2");

function pair(net: KernelNet): { c: TcpSock; s: TcpSock } {
  const l = new TcpSock(net.ns("p2"), ipv6_specific);
  l.bind6(80);
  l.listen(4);
  const c = new TcpSock(net.ns("p1"), ipv6_specific);
  c.bind6(40000);
  c.connect6(P2, 80);
  net.ms(5);
  return { c, s: l.accept()! };
}

/** `from:port hops bytes` of what a socket got. */
const got = (s: Udp6Sock): string[] =>
  s.received.map((d) => `${formatIpv6(d.from)}:${d.sport} hops ${d.ttl} ${d.data.length}`);

describe("UDP over IPv6", () => {
  it("carries datagrams both ways, one hop less behind the node", () => {
    const net = net6();
    const server = new Udp6Sock(net.ns("p2"));
    server.bind(53);
    const client = new Udp6Sock(net.ns("p1"));
    client.bind(5000);
    expect(client.connect(P2, 53)).toBe(0);
    expect(client.sendto(new Uint8Array(9))).toBe(0);
    net.ms(5);
    expect(got(server)).toEqual(["fd00::1:5000 hops 63 9"]);
    server.sendto(new Uint8Array(7), P1, 5000);
    net.ms(5);
    expect(got(client)).toEqual(["fd00::2:53 hops 63 7"]);
  });

  it("reads ECONNREFUSED from a closed port, and no other sender than the connected one", () => {
    const net = net6();
    const client = new Udp6Sock(net.ns("p1"));
    client.bind(5000);
    client.connect(P2, 53);
    client.sendto(new Uint8Array(9));
    net.ms(5);
    expect(client.sendto(new Uint8Array(9))).toBe(-111);
    const stranger = new Udp6Sock(net.ns("n1"));
    stranger.sendto(new Uint8Array(3), P1, 5000);
    net.ms(5);
    expect(got(client)).toEqual([]);
    expect(client.bind(5000)).toBe(-98);
  });

  it("hears nothing of closed ports while it is not connected, unless it asks for errors", () => {
    const net = net6();
    for (const recverr of [false, true]) {
      const server = new Udp6Sock(net.ns("p1"));
      server.recverr = recverr;
      // The client is gone when the answer comes.
      server.sendto(new Uint8Array(9), P2, 5000);
      net.ms(5);
      expect(server.err).toBe(recverr ? 111 : 0);
      expect(server.errqueue.map((e) => e.errno)).toEqual(recverr ? [111] : []);
    }
  });

  it("refuses what the path does not carry, at once where a router has said so before", () => {
    const net = net6();
    const client = new Udp6Sock(net.ns("p1"));
    client.recverr = true;
    client.connect(P2, 53);
    expect(client.sendto(new Uint8Array(1453))).toBe(-90);
    expect(client.errqueue.splice(0).map((e) => e.info)).toEqual([1500]);
    expect(client.sendto(new Uint8Array(1452))).toBe(0);
    net.ms(5);
    expect(client.errqueue.splice(0).map((e) => [e.errno, e.info, formatIpv6(e.offender6!)])).toEqual([
      [90, 1400, "fd01::1"],
    ]);
    client.takeError();
    expect(client.sendto(new Uint8Array(1353))).toBe(-90);
    expect(client.sendto(new Uint8Array(1352))).toBe(0);
    // What a router said holds for ten minutes.
    net.ms(601_000);
    client.takeError();
    expect(client.sendto(new Uint8Array(1452))).toBe(0);
  });

  it("reaches the host's own addresses by lo", () => {
    const net = net6();
    const server = new Udp6Sock(net.ns("p1"));
    server.bind(53);
    const client = new Udp6Sock(net.ns("p1"));
    client.bind(5000);
    client.sendto(new Uint8Array(4), P1, 53);
    net.ms(1);
    expect(got(server)).toEqual(["fd00::1:5000 hops 64 4"]);
  });

  it("says ENETUNREACH without a route", () => {
    const net = net6();
    const client = new Udp6Sock(net.ns("n1"));
    expect(client.connect(parseIpv6("fd77::1"), 53)).toBe(-101);
    expect(client.sendto(new Uint8Array(1), parseIpv6("fd77::1"), 53)).toBe(-101);
  });
});

describe("options in front of a datagram", () => {
  /** Sends a datagram behind a destination options header with one option of `type` and four bytes. */
  function send(net: KernelNet, type: number): void {
    const ns = net.ns("p1");
    const skb = alloc_local_skb(ns);
    const d = skb.data;
    skb.tail = d + 8 + 10;
    skb.bytes.fill(0, d, skb.tail);
    skb.bytes.set([17, 0, type, 4], d);
    skb.view.setUint16(d + 8, 5000, false);
    skb.view.setUint16(d + 10, 53, false);
    skb.view.setUint16(d + 12, 10, false);
    ip6_build_header(skb, d - 40, 0, 60, 64, P1, P2);
    skb.view.setUint16(d + 14, csum_ipv6_magic(skb, d - 40, 17, d + 8, 10), false);
    ip6_local_out(ns, skb);
    net.ms(5);
  }

  it.each([
    [0x1b, "is passed over", ["fd00::1:5000 hops 63 2"], []],
    [0x5b, "drops it", [], []],
    [0x9b, "drops it and tells the sender where it stands", [], [[4, 2, 42]]],
    [0xdb, "likewise", [], [[4, 2, 42]]],
  ] as const)("an unknown one of type %i %s", (type, _what, datagrams, errors) => {
    const net = net6();
    const server = new Udp6Sock(net.ns("p2"));
    server.bind(53);
    const sock = new Raw6Sock(net.ns("p1"));
    const heard: number[][] = [];
    sock.onPacket = (p) => heard.push([p[40]!, p[41]!, new DataView(p.buffer, p.byteOffset).getUint32(44)]);
    send(net, type);
    expect(got(server)).toEqual(datagrams);
    expect(heard).toEqual(errors);
  });
});

describe("TCP over IPv6", () => {
  it("opens with an MSS of the MTU less 60, carries data cut to it, and closes", () => {
    const net = net6();
    const tap = net.tap("p1", "eth0");
    const { c, s } = pair(net);
    expect([c.state, s.state]).toEqual([TCP_ESTABLISHED, TCP_ESTABLISHED]);
    let n = 0;
    s.onEvent = () => {
      n += s.recv(1 << 20).length;
    };
    c.send(new Uint8Array(40_000).fill(7));
    net.ms(2000);
    expect(n).toBe(40_000);
    c.close();
    net.ms(100);
    s.close();
    net.ms(100);
    expect([c.state, s.state]).toEqual([TCP_TIME_WAIT, TCP_CLOSE]);
    // The second pod's device takes 1400 bytes, of which headers take 60 and timestamps 12.
    const packets = tap.lines.map((l) => l.split(" ")[3]!).filter((hex) => hex.slice(12, 14) === "06");
    const syn = packets.filter((hex) => (Number.parseInt(hex.slice(106, 108), 16) & 2) !== 0);
    expect(syn.map((hex) => Number.parseInt(hex.slice(124, 128), 16))).toEqual([1440, 1340]);
    const lengths = packets.map((hex) => Number.parseInt(hex.slice(8, 12), 16) - 32);
    expect([...new Set(lengths.filter((x) => x > 8))]).toEqual([1328, 40_000 - 30 * 1328]);
  });

  it("is refused by a RST from a closed port", () => {
    const net = net6();
    const c = new TcpSock(net.ns("p1"), ipv6_specific);
    expect(c.connect6(P2, 81)).toBe(0);
    net.ms(5);
    expect([c.state, c.err]).toEqual([TCP_CLOSE, 111]);
  });

  it("fails with the errno of an unreachable network", () => {
    const net = net6();
    const c = new TcpSock(net.ns("p1"), ipv6_specific);
    c.connect6(parseIpv6("fd99::1"), 80);
    net.ms(5);
    expect([c.state, c.err]).toEqual([TCP_CLOSE, 101]);
  });

  it("shares no port with IPv4: a listener serves its own family", () => {
    const net = net6();
    const l = new TcpSock(net.ns("p2"));
    l.bind(0, 80);
    l.listen(4);
    const c = new TcpSock(net.ns("p1"), ipv6_specific);
    c.connect6(P2, 80);
    net.ms(5);
    expect(c.err).toBe(111);
  });
});

describe("ping over IPv6", () => {
  it("gets replies, and the errors of routers", () => {
    const net = net6();
    const p = new Ping6(net.ns("p1"), P2, 9);
    p.send(1);
    net.ms(5);
    p.sock.ttl = 1;
    p.send(2);
    net.ms(5);
    p.close();
    expect(p.probes.map((x) => [x.reply?.ttl, x.reply?.len, x.error?.errno, x.error?.type])).toEqual([
      [63, 104, undefined, undefined],
      [undefined, undefined, 113, 3],
    ]);
    expect(formatIpv6(p.probes[1]!.error!.from!)).toBe("fd01::1");
  });
});
