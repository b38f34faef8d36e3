import { describe, expect, it } from "vitest";
import { xtNet } from "../../../../src/kernel/netfilter/xtables.js";
import { RouterLab } from "../../../support/netfilter_lab.js";

const C = "10.0.0.2";
const S = "10.0.1.2";

/** A lab whose FORWARD chain counts the packets that match `rule`; `hits` reads and forgets the count. */
function counting(rule: string, more = ""): { l: RouterLab; hits: () => number } {
  const l = new RouterLab(`${more}*filter\n-A FORWARD ${rule}\nCOMMIT\n`);
  const c = l.node.nf!.xt!.table("filter").chain("FORWARD")!;
  return {
    l,
    hits: () => {
      const n = c.rules[0]!.pkts;
      c.zero();
      return n;
    },
  };
}

describe("matches", () => {
  it("statistic nth takes every third packet, beginning with the one asked for", () => {
    const { l, hits } = counting("-m statistic --mode nth --every 3 --packet 1");
    const seen: number[] = [];
    for (let i = 0; i < 7; i++) {
      l.udp(l.a, C, 1, S, 2);
      seen.push(hits());
    }
    expect(seen).toEqual([0, 1, 0, 0, 1, 0, 0]);
  });

  it("statistic random takes its share from the seeded generator, the same each run", () => {
    const run = (): number => {
      const { l, hits } = counting("-m statistic --mode random --probability 0.25");
      for (let i = 0; i < 400; i++) l.udp(l.a, C, 1, S, 2);
      return hits();
    };
    const n = run();
    expect(n).toBe(run());
    expect(n).toBeGreaterThan(70);
    expect(n).toBeLessThan(130);
  });

  it("limit lets a burst pass, then its rate", () => {
    const { l, hits } = counting("-m limit --limit 6/min --limit-burst 3");
    for (let i = 0; i < 10; i++) l.udp(l.a, C, 1, S, 2);
    expect(hits()).toBe(3);
    l.wait(10.5);
    for (let i = 0; i < 10; i++) l.udp(l.a, C, 1, S, 2);
    expect(hits()).toBe(1);
    l.wait(3600);
    for (let i = 0; i < 10; i++) l.udp(l.a, C, 1, S, 2);
    expect(hits()).toBe(3);
  });

  it("hashlimit keeps a bucket for each source and destination port", () => {
    const { l, hits } = counting(
      "-m hashlimit --hashlimit-upto 1/min --hashlimit-burst 2 --hashlimit-mode srcip,dstport --hashlimit-name h",
    );
    for (let i = 0; i < 4; i++) l.udp(l.a, "10.4.0.1", 1, S, 2);
    expect(hits()).toBe(2);
    for (let i = 0; i < 4; i++) l.udp(l.a, "10.4.0.2", 1, S, 2);
    expect(hits()).toBe(2);
    for (let i = 0; i < 4; i++) l.udp(l.a, "10.4.0.1", 1, S, 3);
    expect(hits()).toBe(2);
    for (let i = 0; i < 4; i++) l.ping(l.a, "10.4.0.1", S, i);
    expect(hits()).toBe(2);
  });

  it("recent remembers a client for its seconds, as session affinity wants", () => {
    const l = new RouterLab(`*filter
-A FORWARD -m recent --rcheck --seconds 60 --reap --name AFF --rsource
-A FORWARD -p udp -m udp --dport 1 -m recent --set --name AFF --rsource
COMMIT
`);
    const c = l.node.nf!.xt!.table("filter").chain("FORWARD")!;
    const known = (): boolean => {
      const n = c.rules[0]!.pkts;
      c.zero();
      return n > 0;
    };
    l.udp(l.a, C, 9, S, 1);
    expect(known()).toBe(false);
    l.udp(l.a, C, 9, S, 2);
    expect(known()).toBe(true);
    l.udp(l.a, "10.4.0.1", 9, S, 2);
    expect(known()).toBe(false);
    l.wait(61);
    l.udp(l.a, C, 9, S, 2);
    expect(known()).toBe(false);
  });

  it("mark and connmark carry a mark through a connection", () => {
    const { l, hits } = counting(
      "-m mark --mark 0x7/0xf",
      `*mangle
-A PREROUTING -j CONNMARK --restore-mark
-A PREROUTING -p udp -m udp --dport 5 -m conntrack --ctstate NEW -j MARK --set-xmark 0x17/0xff
-A PREROUTING -m mark ! --mark 0 -j CONNMARK --save-mark
COMMIT
`,
    );
    l.udp(l.a, C, 9, S, 5);
    l.udp(l.b, S, 5, C, 9);
    l.udp(l.a, C, 9, S, 6);
    expect(hits()).toBe(2);
    expect([...l.node.nf!.ct!.entries()].map((e) => e.mark).sort()).toEqual([0, 0x17]);
  });

  it("addrtype asks the routing table, of one device when limited to it", () => {
    const l = new RouterLab(`*mangle
-A PREROUTING -m addrtype --dst-type LOCAL
-A PREROUTING -m addrtype --dst-type LOCAL --limit-iface-in
-A PREROUTING -m addrtype --dst-type UNICAST
-A PREROUTING -m addrtype --dst-type BROADCAST,MULTICAST
-A PREROUTING -m addrtype ! --src-type LOCAL
COMMIT
`);
    const c = l.node.nf!.xt!.table("mangle").chain("PREROUTING")!;
    const hit = (dst: string): number[] => {
      l.udp(l.a, C, 9, dst, 5);
      const r = [0, 1, 2, 3, 4].filter((i) => c.rules[i]!.pkts > 0);
      c.zero();
      return r;
    };
    expect(hit("10.0.0.1")).toEqual([0, 1, 4]);
    expect(hit("10.0.9.9")).toEqual([0, 4]);
    expect(hit("10.0.1.2")).toEqual([2, 4]);
    expect(hit("10.0.0.255")).toEqual([3, 4]);
    expect(hit("224.0.0.5")).toEqual([3, 4]);
  });

  it("rpfilter asks whether the way back leads through the device", () => {
    const { l, hits } = counting(
      "-m mark --mark 1",
      "*raw\n-A PREROUTING -m rpfilter --invert -j MARK --set-mark 1\nCOMMIT\n",
    );
    l.udp(l.a, C, 9, S, 5);
    expect(hits()).toBe(0);
    l.udp(l.a, "10.5.0.1", 9, S, 5);
    expect(hits()).toBe(1);
  });

  it("tcp flags, options and ports", () => {
    const l = new RouterLab(`*filter
-A FORWARD -p tcp --syn
-A FORWARD -p tcp --tcp-flags ALL ACK,PSH
-A FORWARD -p tcp ! --dport 80
-A FORWARD -p tcp -m multiport --dports 80,443,8000:8080
-A FORWARD -p tcp -m tcp --tcp-option 2
COMMIT
`);
    const c = l.node.nf!.xt!.table("filter").chain("FORWARD")!;
    const hit = (dport: number, flags: string): number[] => {
      l.tcp(l.a, C, 9, S, dport, flags, 1, 1);
      const r = [0, 1, 2, 3, 4].filter((i) => c.rules[i]!.pkts > 0);
      c.zero();
      return r;
    };
    expect(hit(80, "S")).toEqual([0, 3]);
    expect(hit(8010, "SA")).toEqual([2, 3]);
    expect(hit(22, "PA")).toEqual([1, 2]);
  });

  it("drops a TCP packet too short for its header when a rule looks at it", () => {
    const l = new RouterLab("*filter\n-A FORWARD -p tcp -m tcp --dport 80\nCOMMIT\n");
    const f = new Uint8Array(14 + 20 + 8);
    f.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 28, 0, 1, 0, 0, 64, 6]);
    f.set([10, 0, 0, 2, 10, 0, 1, 2], 26);
    let s = 0;
    for (let i = 14; i < 34; i += 2) s += (f[i]! << 8) | f[i + 1]!;
    s = (s & 0xffff) + (s >>> 16);
    f[24] = (~s >>> 8) & 255;
    f[25] = ~s & 255;
    expect(l.inject(l.a, f)).toEqual([]);
    expect(l.node.nf!.dropped[2]).toBe(1);
  });

  it("TCPMSS lowers the MSS of a SYN and mends the checksum", () => {
    const l = new RouterLab("*mangle\n-A FORWARD -p tcp --syn -j TCPMSS --set-mss 1200\nCOMMIT\n");
    expect(l.tcp(l.a, C, 9, S, 80, "S")).toEqual([
      "b: IP 10.0.0.2.9 > 10.0.1.2.80: Flags [S], seq 1000, win 64240, options [mss 536], length 0",
    ]);
  });

  it("LOG writes the kernel's line, NFLOG counts", () => {
    const l = new RouterLab(
      '*filter\n-A FORWARD -p udp -j LOG --log-prefix "fwd: "\n-A FORWARD -j NFLOG --nflog-group 3\nCOMMIT\n',
    );
    l.udp(l.a, C, 9, S, 80);
    expect(l.node.nf!.xt!.log).toEqual([
      "fwd: IN=a OUT=b MAC=02:00:00:00:00:01:02:00:00:00:00:02:08:00 SRC=10.0.0.2 DST=10.0.1.2 LEN=32 TOS=0x00 PREC=0x00 TTL=63 ID=1 PROTO=UDP SPT=9 DPT=80 LEN=12 ",
    ]);
    expect([...l.node.nf!.xt!.nflog]).toEqual([[3, 1]]);
  });
});

describe("ipset", () => {
  it("tests a packet against every type, dimension by dimension", () => {
    const l = new RouterLab();
    const sets = xtNet(l.node).sets;
    sets.restore(`create ip hash:ip
create net hash:net
create ipport hash:ip,port
create ippi hash:ip,port,ip
create netport hash:net,port
create bm bitmap:port range 0-1023
create all list:set
add ip 10.0.0.2
add net 10.0.0.0/8
add net 10.0.0.0/24 nomatch
add net 10.0.0.2
add ipport 10.0.1.2,udp:53
add ippi 10.0.1.2,udp:53,10.0.0.2
add netport 10.0.1.0/24,udp:50-60
add bm 53
add all ipport
add all bm
`);
    l.rules(`*filter
-A FORWARD -m set --match-set ip src
-A FORWARD -m set --match-set ip dst
-A FORWARD -m set --match-set net src
-A FORWARD -m set --match-set net dst
-A FORWARD -m set --match-set ipport dst,dst
-A FORWARD -m set --match-set ippi dst,dst,src
-A FORWARD -m set --match-set netport dst,dst
-A FORWARD -m set --match-set bm dst
-A FORWARD -m set --match-set all dst,dst
-A FORWARD -m set ! --match-set ipport dst
COMMIT
`);
    const c = l.node.nf!.xt!.table("filter").chain("FORWARD")!;
    const hit = (src: string, dport: number): number[] => {
      l.udp(l.a, src, 9, S, dport);
      const r = c.rules.map((_, i) => i).filter((i) => c.rules[i]!.pkts > 0);
      c.zero();
      return r;
    };
    expect(hit("10.0.0.2", 53)).toEqual([0, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(hit("10.0.0.3", 53)).toEqual([3, 4, 6, 7, 8, 9]);
    expect(hit("10.4.0.3", 61)).toEqual([2, 3, 9]);
  });

  it("forgets elements whose time is over, also those that the SET target added", () => {
    const l = new RouterLab();
    const sets = xtNet(l.node).sets;
    sets.create("t", "hash:ip timeout 10");
    sets.get("t")!.add("10.0.0.9");
    sets.get("t")!.add("10.0.0.8 timeout 0");
    l.rules("*filter\n-A FORWARD -j SET --add-set t src --exist --timeout 5\nCOMMIT\n");
    l.udp(l.a, C, 9, S, 1);
    expect(sets.get("t")!.members().sort()).toEqual([
      "10.0.0.2 timeout 5",
      "10.0.0.8 timeout 0",
      "10.0.0.9 timeout 10",
    ]);
    l.wait(7);
    expect(sets.get("t")!.members().sort()).toEqual(["10.0.0.8 timeout 0", "10.0.0.9 timeout 3"]);
  });

  it("refuses to destroy a set that a rule uses, and swaps contents", () => {
    const l = new RouterLab();
    const sets = xtNet(l.node).sets;
    sets.restore("create a1 hash:net\ncreate a2 hash:net\nadd a1 10.0.0.0/8\n");
    l.rules("*filter\n-A FORWARD -m set --match-set a1 src\nCOMMIT\n");
    expect(() => sets.destroy("a1")).toThrow("ipset a1: the set is in use");
    sets.swap("a1", "a2");
    expect(sets.get("a1")!.members()).toEqual([]);
    expect(sets.get("a2")!.members()).toEqual(["10.0.0.0/8"]);
    l.rules("*filter\n-F FORWARD\nCOMMIT\n");
    sets.destroy("a1");
    expect(sets.list().map((s) => s.name)).toEqual(["a2"]);
  });
});
