import { describe, expect, it } from "vitest";
import { Step, StepRecorder } from "../../../src/bpf/steps.js";
import { craftIpv4 } from "../../../src/conformance/kernel_traffic.js";
import { DROP_REASON_NAMES } from "../../../src/kernel/drop_reason.js";
import { ip_ident_start, ip_select_ident } from "../../../src/kernel/ip_output.js";
import { ip_addr, ip_route } from "../../../src/kernel/iproute.js";
import { iptablesRestore } from "../../../src/kernel/netfilter/iptables.js";
import { RawSock } from "../../../src/kernel/raw.js";
import { sysctl_set } from "../../../src/kernel/rtnetlink.js";
import { Mib } from "../../../src/kernel/snmp.js";
import { TcpSock } from "../../../src/kernel/tcp.js";
import { UdpSock } from "../../../src/kernel/udp.js";
import { formatIpv4, parseIpv4 } from "../../../src/net/address.js";
import { KernelNet } from "../../support/kernel_net.js";

/** Drops of a namespace by name. */
const drops = (net: KernelNet, ns: string): Record<string, number> =>
  Object.fromEntries(
    [...net.ns(ns).drops]
      .map((n, i) => [DROP_REASON_NAMES[i] ?? String(i), n] as const)
      .filter(([, n]) => n > 0),
  );

describe("forwarding between two pods of a node", () => {
  it("takes one TTL each way and rewrites MACs, after the ARP exchange of a cold path", () => {
    const net = new KernelNet();
    const tap = net.tap("p2", "eth0");
    const r = net.ping("p1", "10.0.0.2");
    expect(r.reply).toEqual({ from: parseIpv4("10.0.0.2"), ttl: 63, len: 36, payloadOk: true, rttNs: 0 });
    expect(tap.lines).toEqual([
      "< ffffffffffff<-eeeeeeeeeeee arp 0001080006040001eeeeeeeeeeeec0a800010000000000000a000002",
      "> eeeeeeeeeeee<-020000000102 arp 00010800060400020200000001020a000002eeeeeeeeeeeec0a80001",
      "< 020000000102<-eeeeeeeeeeee ip tos=0 len=36 id=x fo=4000 ttl=63 10.0.0.1>10.0.0.2 icmp 8/0 csum=ok id=77 00010000000000000000",
      "> ffffffffffff<-020000000102 arp 00010800060400010200000001020a000002000000000000a9fe0101",
      "< 020000000102<-eeeeeeeeeeee arp 0001080006040002eeeeeeeeeeeea9fe01010200000001020a000002",
      "> eeeeeeeeeeee<-020000000102 ip tos=0 len=36 id=x fo=0 ttl=64 10.0.0.2>10.0.0.1 icmp 0/0 csum=ok id=77 00010000000000000000",
    ]);
  });

  it("records the walk in the kernel's order: receive, PREROUTING, route, forward, FORWARD, POSTROUTING, neighbour, transmit", () => {
    const net = new KernelNet();
    // A hook without tables is not there at all.
    iptablesRestore(
      net.ns("n1"),
      "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n*mangle\n:PREROUTING ACCEPT\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\nCOMMIT\n",
    );
    net.ping("p1", "10.0.0.2");
    const rec = new StepRecorder(net.kernel.clock);
    net.ns("n1").recorder = rec;
    net.ping("p1", "10.0.0.2");
    const request = rec
      .records()
      .filter((s) => s.kind !== Step.NF_CHAIN)
      .slice(0, 11);
    expect(request.map((s) => s.kind)).toEqual([
      Step.BACKLOG,
      Step.DEV_RX,
      Step.NF_HOOK,
      Step.FIB,
      Step.FORWARD,
      Step.NF_HOOK,
      Step.NF_HOOK,
      Step.NEIGH,
      Step.DEV_XMIT,
      Step.BACKLOG,
      Step.DEV_RX,
    ]);
    expect(request.filter((s) => s.kind === Step.NF_HOOK).map((s) => s.a)).toEqual([0, 2, 4]);
  });

  it("answers an expired TTL with 11/0 from the uplink address and quotes the packet as it came", () => {
    const net = new KernelNet();
    const tap = net.tap("p1", "eth0");
    const r = net.ping("p1", "10.0.0.2", { ttl: 1 });
    expect(r.error).toEqual({
      errno: 113,
      origin: 2,
      type: 11,
      code: 0,
      info: 0,
      from: parseIpv4("192.168.0.1"),
    });
    expect(tap.lines.at(-1)).toBe(
      "< 020000000101<-eeeeeeeeeeee ip tos=192 len=64 id=x fo=0 ttl=64 192.168.0.1>10.0.0.1 icmp-error 11/0 00000000 csum=ok about [ip tos=0 len=36 id=x fo=4000 ttl=1 10.0.0.1>10.0.0.2 icmp 8/0 csum=ok id=77 00010000000000000000]",
    );
    expect(drops(net, "n1")).toEqual({ IP_INHDR: 1 });
  });

  it("tells the sender the MTU of the next device and cuts what may be cut", () => {
    const net = new KernelNet();
    const big = net.ping("p1", "10.0.0.2", { size: 1400, pmtu: 2 });
    expect(big.error).toEqual({
      errno: 90,
      origin: 2,
      type: 3,
      code: 4,
      info: 1400,
      from: parseIpv4("192.168.0.1"),
    });
    // The route has learned: the next one does not even leave.
    const again = net.ping("p1", "10.0.0.2", { size: 1400, pmtu: 2 });
    expect({ send: again.sendErrno, error: again.error }).toEqual({
      send: 90,
      error: { errno: 90, origin: 1, type: 0, code: 0, info: 1400, from: 0 },
    });
    const tap = net.tap("p2", "eth0");
    const cut = net.ping("p1", "10.0.0.2", { size: 2000, pmtu: 0 });
    expect(cut.reply?.len).toBe(2028);
    expect(
      tap.lines
        .filter((l) => l.startsWith("<") && l.includes(" ip "))
        .map((l) => l.split(" ").slice(4, 7).join(" ")),
    ).toEqual(["len=1396 id=x fo=2000", "len=652 id=x fo=ac"]);
  });

  it("forgets the path MTUs that it learned when the route cache is flushed", () => {
    const net = new KernelNet();
    const origin = () => net.ping("p1", "10.0.0.2", { size: 1400, pmtu: 2 }).error?.origin;
    // 2: the router says so; 1: the route knows.
    expect([origin(), origin()]).toEqual([2, 1]);
    expect(ip_route(net.ns("p1"), ["flush", "cache"])).toEqual({ rc: 0, out: "" });
    expect([origin(), origin()]).toEqual([2, 1]);
  });

  it("answers unreachable and prohibit routes with 3/1 and 3/13, a blackhole with silence", () => {
    const net = new KernelNet();
    net.ms(60_000);
    expect(net.ping("p1", "10.5.0.1").error).toBe(null);
    expect(net.ping("p1", "10.6.0.1").error).toMatchObject({ type: 3, code: 1 });
    expect(net.ping("p1", "10.7.0.1").error).toMatchObject({ type: 3, code: 13 });
    expect(drops(net, "n1")).toEqual({ NOT_SPECIFIED: 3 });
  });

  it("gives up on a silent next hop after three requests and says host unreachable for what waited", () => {
    const net = new KernelNet();
    net.ns("n1").fib.removeRoute({ prefix: 0, plen: 0 });
    net.ns("n1").fib.addRoute({ prefix: 0, plen: 0, nexthops: [{ gw: parseIpv4("192.168.0.77") }] });
    const tap = net.tap("n1", "eth0");
    const r = net.ping("p1", "8.8.8.8", { waitMs: 3200 });
    expect(r.error).toMatchObject({ type: 3, code: 1, from: parseIpv4("192.168.0.1") });
    expect(tap.lines.length).toBe(3);
    expect(drops(net, "n1")).toEqual({ NEIGH_FAILED: 1 });
  });

  it("drops what fails the reverse path check, and local sources always", () => {
    const net = new KernelNet();
    net.ping("p1", "10.0.0.2");
    const send = (src: string): void => {
      const s = new RawSock(net.ns("p1"), 255);
      s.sendto(
        craftIpv4({ src, dst: "10.0.0.2", l4: { kind: "udp", sport: 1, dport: 2 } }),
        parseIpv4("10.0.0.2"),
      );
      s.close();
      net.ms(1);
    };
    send("192.168.0.1");
    sysctl_set(net.ns("n1"), "net/ipv4/conf/c1/rp_filter", 1);
    send("9.9.9.9");
    // Loose, but the device has no address: still refused.
    sysctl_set(net.ns("n1"), "net/ipv4/conf/c1/rp_filter", 2);
    send("9.9.9.9");
    expect(drops(net, "n1")).toEqual({ IP_LOCAL_SOURCE: 1, IP_RPFILTER: 2 });
  });
});

describe("local sockets", () => {
  it("a closed UDP port answers port unreachable, which a connected socket reads as ECONNREFUSED", () => {
    const net = new KernelNet();
    const u = new UdpSock(net.ns("p1"));
    u.connect(parseIpv4("10.0.0.2"), 9);
    u.sendto(new Uint8Array(4));
    net.ms(5);
    expect(u.sendto(new Uint8Array(4))).toBe(-111);
    u.close();
  });

  it("a node talks to its pods from the uplink address, because their devices have none", () => {
    const net = new KernelNet();
    const seen: string[] = [];
    const s = new UdpSock(net.ns("p1"));
    s.bind(0, 5353);
    s.onDatagram = (d) => seen.push(`${formatIpv4(d.from)} ttl ${d.ttl}`);
    const c = new UdpSock(net.ns("n1"));
    c.sendto(new Uint8Array(1), parseIpv4("10.0.0.1"), 5353);
    net.ms(5);
    expect(seen).toEqual(["192.168.0.1 ttl 64"]);
  });

  it("sends at most six ICMP errors in a burst to one host, one more each second", () => {
    const net = new KernelNet();
    net.ping("p1", "10.0.0.2");
    const u = new UdpSock(net.ns("p1"));
    u.recverr = true;
    const burst = (n: number): number => {
      for (let i = 0; i < n; i++) {
        u.err = 0;
        u.sendto(new Uint8Array(1), parseIpv4("10.0.0.2"), 9);
      }
      net.ms(1);
      const got = u.errqueue.length;
      u.errqueue.length = 0;
      return got;
    };
    expect(burst(10)).toBe(6);
    net.ms(1000);
    expect(burst(3)).toBe(1);
  });

  it("a TCP segment that DNAT leads to a smaller route MTU is refused by its own host, and comes again in two", () => {
    const net = new KernelNet();
    const n1 = net.ns("n1");
    ip_route(n1, "add 10.0.0.254/32 via 192.168.0.254 dev eth0 mtu 900".split(" "));
    iptablesRestore(
      n1,
      "*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d 10.9.9.9 -p tcp -j DNAT --to-destination 10.0.0.254\nCOMMIT\n",
    );
    ip_addr(net.ns("host"), "add 10.0.0.254/32 dev eth0".split(" "));
    const l = new TcpSock(net.ns("host"));
    l.bind(0, 80);
    l.listen(4);
    const c = new TcpSock(n1);
    c.bind(0, 40000);
    c.connect(parseIpv4("10.9.9.9"), 80);
    net.ms(1);
    const tap = net.tap("n1", "eth0");
    c.send(new Uint8Array(1000));
    net.ms(1);
    expect({ sent: tap.lines.length, fails: n1.mib[Mib.IpFragFails] }).toEqual({ sent: 0, fails: 1 });
    net.ms(500);
    expect(
      tap.lines.filter((x) => x.startsWith(">")).map((x) => /len=\d+ id=\S+ fo=\d+/.exec(x)?.[0]),
    ).toEqual(["len=900 id=x fo=4000", "len=204 id=x fo=4000"]);
    expect(l.accept()!.recv(2000).length).toBe(1000);
  });

  it("ids of packets without a socket count on through 0", () => {
    const net = new KernelNet();
    const [from, to] = [parseIpv4("10.0.0.1"), parseIpv4("10.0.0.2")];
    ip_ident_start(net.ns("p1"), 65_534);
    expect([0, 1, 2, 3].map(() => ip_select_ident(net.ns("p1"), to, from, 17))).toEqual([
      65_534, 65_535, 0, 1,
    ]);
  });
});
