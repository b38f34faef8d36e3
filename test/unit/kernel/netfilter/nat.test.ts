import { describe, expect, it } from "vitest";
import { ip_route } from "../../../../src/kernel/iproute.js";
import { iptables, iptablesRestore } from "../../../../src/kernel/netfilter/iptables.js";
import { conntrackList } from "../../../../src/kernel/netfilter/nf_conntrack_text.js";
import { buildFrame, eth, icmp, ip4, udp } from "../../../../src/net/build.js";
import { RouterLab } from "../../../support/netfilter_lab.js";

const C = "10.0.0.2";
const S = "10.0.1.2";
const SERVICE = `*nat
-A PREROUTING -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.1.2:8080
-A PREROUTING -d 10.96.0.10/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.0.1.2:5353
-A POSTROUTING -s 10.4.0.0/16 -o b -j MASQUERADE
COMMIT
`;

/** Source port (or ICMP id) of the only frame that left. */
function sportOf(l: RouterLab): number {
  const f = l.frames[0]!;
  return f[23] === 1 ? (f[38]! << 8) | f[39]! : (f[34]! << 8) | f[35]!;
}

describe("nf_nat", () => {
  it("translates a service address there and back, address and port", () => {
    const l = new RouterLab(SERVICE);
    expect(l.tcp(l.a, C, 4000, "10.96.0.10", 80, "S", 100)).toEqual([
      "b: IP 10.0.0.2.4000 > 10.0.1.2.8080: Flags [S], seq 100, win 64240, length 0",
    ]);
    expect(l.tcp(l.b, S, 8080, C, 4000, "SA", 500, 101)).toEqual([
      "a: IP 10.96.0.10.80 > 10.0.0.2.4000: Flags [S.], seq 500, ack 101, win 64240, length 0",
    ]);
    expect(l.events()).toEqual([
      "    [NEW] tcp      6 120 SYN_SENT src=10.0.0.2 dst=10.96.0.10 sport=4000 dport=80 [UNREPLIED] src=10.0.1.2 dst=10.0.0.2 sport=8080 dport=4000",
      " [UPDATE] tcp      6 60 SYN_RECV src=10.0.0.2 dst=10.96.0.10 sport=4000 dport=80 src=10.0.1.2 dst=10.0.0.2 sport=8080 dport=4000",
    ]);
  });

  it("consults the nat chains for the first packet of a connection only", () => {
    const l = new RouterLab(SERVICE);
    l.udp(l.a, C, 4000, "10.96.0.10", 53);
    l.udp(l.a, C, 4000, "10.96.0.10", 53);
    l.udp(l.b, S, 5353, C, 4000);
    const t = l.node.nf!.xt!.table("nat");
    expect(t.chain("PREROUTING")!.rules.map((r) => [r.pkts, r.bytes])).toEqual([
      [0, 0],
      [1, 32],
    ]);
    expect([...t.chain("POSTROUTING")!.policyCnt]).toEqual([1, 32]);
  });

  it("keeps the source port when it is free and chooses another above 1024 when it is not", () => {
    const l = new RouterLab(SERVICE);
    l.udp(l.a, "10.4.0.5", 7000, S, 9);
    expect(sportOf(l)).toBe(7000);
    l.udp(l.a, "10.4.0.6", 7000, S, 9);
    const p = sportOf(l);
    expect(p).not.toBe(7000);
    expect(p).toBeGreaterThanOrEqual(1024);
    expect(l.udp(l.b, S, 9, "10.0.1.1", p)).toEqual(["a: IP 10.0.1.2.9 > 10.4.0.6.7000: UDP, length 4"]);
    l.udp(l.a, "10.4.0.7", 7000, "10.5.0.2", 9);
    expect(sportOf(l)).toBe(7000);
  });

  it.each([
    [100, 1, 511],
    [700, 600, 1023],
    [2000, 1024, 65_535],
  ])("chooses for port %i one of %i to %i", (port, lo, hi) => {
    const l = new RouterLab(SERVICE);
    for (let i = 0; i < 20; i++) {
      l.udp(l.a, `10.4.0.${i + 1}`, port, S, 9);
      const p = sportOf(l);
      if (i === 0) expect(p).toBe(port);
      expect(p >= lo && p <= hi).toBe(true);
    }
  });

  it("keeps an ICMP id when it is free and brings both answers to their pods when it is not", () => {
    const l = new RouterLab(SERVICE);
    l.ping(l.a, "10.4.0.5", S, 5);
    expect(sportOf(l)).toBe(5);
    l.ping(l.a, "10.4.0.6", S, 5);
    const id = sportOf(l);
    expect(id).not.toBe(5);
    expect(l.ping(l.b, S, "10.0.1.1", id, true)).toEqual([
      "a: IP 10.0.1.2 > 10.4.0.6: ICMP echo reply, id 5, seq 1, length 12",
    ]);
    expect(l.ping(l.b, S, "10.0.1.1", 5, true)).toEqual([
      "a: IP 10.0.1.2 > 10.4.0.5: ICMP echo reply, id 5, seq 1, length 12",
    ]);
  });

  it("stays within a port range and gives up a packet when the range is used up", () => {
    const l = new RouterLab(
      "*nat\n-A POSTROUTING -o b -p udp -j SNAT --to-source 10.0.1.1:5000-5002\nCOMMIT\n",
    );
    const used: number[] = [];
    for (let i = 0; i < 3; i++) {
      expect(l.udp(l.a, `10.4.0.${i + 1}`, 7000, S, 9).length).toBe(1);
      used.push(sportOf(l));
    }
    expect(used.sort()).toEqual([5000, 5001, 5002]);
    expect(l.udp(l.a, "10.4.0.9", 7000, S, 9)).toEqual([]);
  });

  it("translates an ICMP error about a translated packet, outside and inside", () => {
    const l = new RouterLab(SERVICE);
    l.udp(l.a, C, 4000, "10.96.0.10", 53);
    const sent = l.frames[0]!.slice(14);
    const out = l.inject(
      l.b,
      buildFrame([
        eth({ dst: "02:00:00:00:01:01", src: "02:00:00:00:01:02" }),
        ip4({ src: S, dst: C }),
        icmp({ type: 3, code: 3 }),
        sent,
      ]),
    );
    expect(out).toEqual(["a: IP 10.96.0.10 > 10.0.0.2: ICMP 10.96.0.10 udp port 53 unreachable, length 40"]);
  });

  it("answers a TTL that ends here with the address that the client used", () => {
    const l = new RouterLab(SERVICE);
    expect(l.udp(l.a, C, 4000, "10.96.0.10", 53, "data", { ttl: 1 })).toEqual([
      "a: IP 10.96.0.10 > 10.0.0.2: ICMP time exceeded in-transit, length 40",
    ]);
  });

  it("sends REJECT after DNAT from the service address", () => {
    const l = new RouterLab(`${SERVICE}*filter\n-A FORWARD -p udp -m udp --dport 5353 -j REJECT\nCOMMIT\n`);
    expect(l.udp(l.a, C, 4000, "10.96.0.10", 53)).toEqual([
      "a: IP 10.96.0.10 > 10.0.0.2: ICMP 10.96.0.10 udp port 53 unreachable, length 40",
    ]);
  });

  it("hairpins: the pod that calls itself through its service sees the node", () => {
    const l = new RouterLab(
      "*nat\n-A PREROUTING -d 10.96.0.10/32 -p udp -j DNAT --to-destination 10.0.0.2:53\n-A POSTROUTING -s 10.0.0.2/32 -d 10.0.0.2/32 -j MASQUERADE\nCOMMIT\n",
    );
    l.node.confAll.send_redirects = 0;
    l.a.conf.send_redirects = 0;
    expect(l.udp(l.a, C, 4000, "10.96.0.10", 80)).toEqual([
      "a: IP 10.0.0.1.4000 > 10.0.0.2.53: UDP, length 4",
    ]);
    expect(l.udp(l.a, C, 53, "10.0.0.1", 4000)).toEqual([
      "a: IP 10.96.0.10.80 > 10.0.0.2.4000: UDP, length 4",
    ]);
  });

  it("gives a binding up when the connection would leave by another device", () => {
    const l = new RouterLab("*nat\n-A POSTROUTING -s 10.4.0.0/16 -j MASQUERADE\nCOMMIT\n");
    l.udp(l.a, "10.4.0.5", 7000, S, 9);
    expect(conntrackList(l.node.nf!.ct).out).toBe(
      "udp      17 30 src=10.4.0.5 dst=10.0.1.2 sport=7000 dport=9 [UNREPLIED] src=10.0.1.2 dst=10.0.1.1 sport=9 dport=7000 mark=0 use=1\n",
    );
    ip_route(l.node, ["replace", "10.0.1.2/32", "via", "10.0.0.2", "dev", "a"]);
    expect(l.udp(l.a, "10.4.0.5", 7000, S, 9)).toEqual([]);
    expect(l.node.nf!.ct!.count).toBe(0);
  });

  it("leaves an UDP checksum of zero alone and never writes zero for a computed one", () => {
    const l = new RouterLab(SERVICE);
    const e = eth({ dst: "02:00:00:00:00:01", src: "02:00:00:00:00:02" });
    l.inject(
      l.a,
      buildFrame([e, ip4({ src: C, dst: "10.96.0.10" }), udp({ src: 1, dst: 53, check: 0 }), "x"]),
    );
    expect((l.frames[0]![40]! << 8) | l.frames[0]![41]!).toBe(0);
  });

  it("does not translate an INVALID packet", () => {
    const l = new RouterLab(`${SERVICE}*filter\n-A FORWARD -m conntrack --ctstate INVALID\nCOMMIT\n`);
    ip_route(l.node, ["add", "10.96.0.0/16", "via", "10.0.1.2", "dev", "b"]);
    expect(l.tcp(l.a, C, 4000, "10.96.0.10", 80, "R", 100)).toEqual([
      "b: IP 10.0.0.2.4000 > 10.96.0.10.80: Flags [R], seq 100, win 64240, length 0",
    ]);
  });
});

describe("REJECT", () => {
  it.each([
    ["icmp-net-unreachable", "net 10.0.1.2 unreachable"],
    ["icmp-host-unreachable", "host 10.0.1.2 unreachable"],
    ["icmp-proto-unreachable", "10.0.1.2 protocol 17 unreachable"],
    ["icmp-port-unreachable", "10.0.1.2 udp port 1 unreachable"],
    ["icmp-net-prohibited", "net 10.0.1.2 unreachable - admin prohibited"],
    ["icmp-host-prohibited", "host 10.0.1.2 unreachable - admin prohibited"],
    ["icmp-admin-prohibited", "host 10.0.1.2 unreachable - admin prohibited filter"],
  ])("answers with %s", (type, text) => {
    const l = new RouterLab(`*filter\n-A FORWARD -p udp -j REJECT --reject-with ${type}\nCOMMIT\n`);
    expect(l.udp(l.a, C, 9, S, 1)).toEqual([`a: IP 10.0.0.1 > 10.0.0.2: ICMP ${text}, length 40`]);
  });

  it("resets TCP from the address that was called, and never answers a RST", () => {
    const l = new RouterLab("*filter\n-A FORWARD -p tcp -j REJECT --reject-with tcp-reset\nCOMMIT\n");
    expect(l.tcp(l.a, C, 9, S, 1, "S", 100)).toEqual([
      "a: IP 10.0.1.2.1 > 10.0.0.2.9: Flags [R.], seq 0, ack 101, win 0, length 0",
    ]);
    expect(l.tcp(l.a, C, 9, S, 1, "PA", 100, 77, "abc")).toEqual([
      "a: IP 10.0.1.2.1 > 10.0.0.2.9: Flags [R], seq 77, win 0, length 0",
    ]);
    expect(l.tcp(l.a, C, 9, S, 1, "R", 100)).toEqual([]);
  });
});

describe("tracking", () => {
  it("stops when the last rule that tracks goes: connections are forwarded as they come, their entries stay", () => {
    const l = new RouterLab(SERVICE);
    l.udp(l.a, C, 4000, "10.96.0.10", 53);
    iptables(l.node, "nat", "-F");
    expect(l.node.nf!.ct!.count).toBe(1);
    ip_route(l.node, "replace 10.96.0.0/16 via 10.0.1.2 dev b".split(" "));
    expect(l.udp(l.a, C, 4000, "10.96.0.10", 53)).toEqual([
      "b: IP 10.0.0.2.4000 > 10.96.0.10.53: UDP, length 4",
    ]);
    l.rules(SERVICE);
    expect(l.udp(l.a, C, 4000, "10.96.0.10", 53)).toEqual([
      "b: IP 10.0.0.2.4000 > 10.0.1.2.5353: UDP, length 4",
    ]);
  });

  it("goes on without a gap when a restore replaces every rule", () => {
    const l = new RouterLab(SERVICE);
    const hooks = [...l.node.nf!.ct!.hooks];
    iptablesRestore(l.node, SERVICE);
    expect(l.node.nf!.ct!.hooks).toEqual(hooks);
    iptablesRestore(l.node, "*nat\nCOMMIT\n");
    expect(l.node.nf!.ct!.hooks).toEqual([]);
    expect(l.node.nf!.defrag).toBe(false);
  });
});
