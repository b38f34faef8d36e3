// IPVS in a router with service addresses of its own: 10.0.9.9 is a service of the node, backends are behind b.
// What the expectations rest on: facts §2.6 of the measured kernels, else net/netfilter/ipvs.

import { describe, expect, it } from "vitest";
import { ipvsState } from "../../../../src/kernel/ipvs/ip_vs.js";
import { ipvsadm } from "../../../../src/kernel/ipvs/ipvsadm.js";
import { nfState } from "../../../../src/kernel/netfilter/hooks.js";
import { conntrackList } from "../../../../src/kernel/netfilter/nf_conntrack_text.js";
import { nfSysctlSet } from "../../../../src/kernel/netfilter/sysctl.js";
import { buildFrame, eth, icmp, ip4, udp } from "../../../../src/net/build.js";
import { RouterLab } from "../../../support/netfilter_lab.js";

const C = "10.0.0.2";
const VIP = "10.0.9.9";
/** Backends in the order of addition, all behind b. */
const P = "10.5.0.1";
const Q = "10.5.0.2";
const S = "10.5.0.3";
const TRACK = "*filter\n-A INPUT -m conntrack --ctstate ESTABLISHED\nCOMMIT\n";

function adm(l: RouterLab, command: string): string {
  const r = ipvsadm(l.node, command.split(" "));
  expect(r.rc, r.out).toBe(0);
  return r.out;
}

/** A TCP service on port 80 and a UDP service on port 53 with the given weights for P, Q, S. */
function lab(scheduler: string, weights: readonly number[] = [1, 1, 1], rules = TRACK): RouterLab {
  const l = new RouterLab(rules);
  nfSysctlSet(l.node, "net/ipv4/vs/conntrack", 1);
  adm(l, `-A -t ${VIP}:80 -s ${scheduler}`);
  adm(l, `-A -u ${VIP}:53 -s ${scheduler}`);
  weights.forEach((w, i) => {
    adm(l, `-a -t ${VIP}:80 -r ${[P, Q, S][i]}:8080 -m -w ${w}`);
    adm(l, `-a -u ${VIP}:53 -r ${[P, Q, S][i]}:5353 -m -w ${w}`);
  });
  return l;
}

/** The letter of the backend that a frame went to, "-" when nothing left through b. */
function backend(out: readonly string[]): string {
  const m = /^b: IP \S+ > 10\.5\.0\.(\d)\./.exec(out[0] ?? "");
  return m === null ? "-" : "?pqs"[Number(m[1])]!;
}

const BACKEND: Readonly<Record<string, string>> = { p: P, q: Q, s: S };

const syn = (l: RouterLab, sport: number, src = C): string =>
  backend(l.tcp(l.a, src, sport, VIP, 80, "S", 100));

/** Opens a connection and returns its backend's letter. */
function open(l: RouterLab, sport: number, src = C): string {
  const at = syn(l, sport, src);
  if (at === "-") return at;
  l.tcp(l.b, BACKEND[at]!, 8080, src, sport, "SA", 500, 101);
  l.tcp(l.a, src, sport, VIP, 80, "A", 101, 501);
  return at;
}

const conns = (l: RouterLab): string[] => adm(l, "-lnc").split("\n").slice(2, -1);
const marks = (n: number, f: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => f(i)).join(" ");

describe("schedulers", () => {
  it("rr starts with the destination added last and goes backwards", () => {
    const l = lab("rr");
    expect(marks(7, (i) => syn(l, 4000 + i))).toBe("s q p s q p s");
  });

  it("rr goes on from the neighbour when the destination chosen last is removed", () => {
    const l = lab("rr");
    expect(marks(2, (i) => syn(l, 4000 + i))).toBe("s q");
    adm(l, `-d -t ${VIP}:80 -r ${Q}:8080`);
    expect(marks(3, (i) => syn(l, 4010 + i))).toBe("p s p");
  });

  it("wrr goes through the weights as the measured kernel does", () => {
    const l = lab("wrr", [3, 2, 1]);
    expect(marks(7, (i) => syn(l, 4000 + i))).toBe("s q p p q p s");
  });

  it("lc and wlc take the first least loaded one in the order of the list", () => {
    const l = lab("lc");
    expect(marks(5, (i) => open(l, 4000 + i))).toBe("s q p s q");
    const w = lab("wlc", [3, 2, 1]);
    expect(marks(5, (i) => open(w, 4000 + i))).toBe("s q p p q");
  });

  it("sed counts the connection to come, nq fills the idle ones before", () => {
    const l = lab("sed", [3, 2, 1]);
    expect(marks(6, (i) => open(l, 4000 + i))).toBe("p q p s q p");
    const w = lab("nq", [3, 2, 1]);
    expect(marks(4, (i) => open(w, 4000 + i))).toBe("s q p p");
  });

  it("sh sends a client to one destination whatever its port, clients to different ones", () => {
    const l = lab("sh");
    const of = (src: string) => new Set(Array.from({ length: 8 }, (_, i) => syn(l, 4000 + i, src)));
    const seen = new Set<string>();
    for (let i = 1; i <= 40; i++) {
      const s = of(`10.4.0.${i}`);
      expect(s.size).toBe(1);
      for (const b of s) seen.add(b);
    }
    expect([...seen].sort()).toEqual(["p", "q", "s"]);
  });

  it.each(["rr", "wrr", "lc", "wlc", "sed", "nq"])("%s leaves out destinations of weight 0", (sched) => {
    const l = lab(sched, [1, 0, 1]);
    const seen = new Set(Array.from({ length: 6 }, (_, i) => open(l, 4000 + i)));
    expect([...seen].sort()).toEqual(["p", "s"]);
  });

  it("keeps the connections of a destination whose weight becomes 0", () => {
    const l = lab("rr");
    expect(open(l, 4000)).toBe("s");
    adm(l, `-e -t ${VIP}:80 -r ${S}:8080 -m -w 0`);
    expect(backend(l.tcp(l.a, C, 4000, VIP, 80, "PA", 101, 501, "data"))).toBe("s");
    expect(marks(4, (i) => syn(l, 4010 + i))).not.toContain("s");
  });
});

describe("a connection", () => {
  it("is changed to the destination, TTL decremented once, and back", () => {
    const l = lab("rr");
    expect(l.tcp(l.a, C, 4000, VIP, 80, "S", 100)).toEqual([
      "b: IP 10.0.0.2.4000 > 10.5.0.3.8080: Flags [S], seq 100, win 64240, length 0",
    ]);
    expect(l.frames[0]![22]).toBe(63);
    expect(l.tcp(l.b, S, 8080, C, 4000, "SA", 500, 101)).toEqual([
      "a: IP 10.0.9.9.80 > 10.0.0.2.4000: Flags [S.], seq 500, ack 101, win 64240, length 0",
    ]);
    expect(l.frames[0]![22]).toBe(63);
  });

  it("goes through NEW, SYN_RECV, ESTABLISHED, FIN_WAIT, TIME_WAIT with their timeouts", () => {
    const l = lab("rr");
    syn(l, 4000);
    const row = (expire: string, state: string) =>
      `TCP ${expire}  ${state.padEnd(11)} 10.0.0.2:4000      10.0.9.9:80        10.5.0.3:8080`;
    expect(conns(l)).toEqual([row("01:00", "SYN_RECV")]);
    l.tcp(l.b, S, 8080, C, 4000, "SA", 500, 101);
    expect(conns(l)).toEqual([row("01:00", "SYN_RECV")]);
    l.tcp(l.a, C, 4000, VIP, 80, "A", 101, 501);
    expect(conns(l)).toEqual([row("15:00", "ESTABLISHED")]);
    l.wait(10);
    expect(conns(l)).toEqual([row("14:50", "ESTABLISHED")]);
    l.tcp(l.b, S, 8080, C, 4000, "FA", 501, 101);
    expect(conns(l)).toEqual([row("02:00", "FIN_WAIT")]);
    l.tcp(l.a, C, 4000, VIP, 80, "FA", 101, 502);
    expect(conns(l)).toEqual([row("02:00", "TIME_WAIT")]);
    l.wait(121);
    expect(conns(l)).toEqual([]);
  });

  it("closes for 10 s on a reset", () => {
    const l = lab("rr");
    open(l, 4000);
    l.tcp(l.a, C, 4000, VIP, 80, "R", 101);
    expect(conns(l)[0]).toMatch(/^TCP 00:10 {2}CLOSE /);
    l.wait(11);
    expect(conns(l)).toEqual([]);
  });

  it("of UDP keeps its destination for 300 s and is scheduled anew afterwards", () => {
    const l = lab("rr");
    const send = () => backend(l.udp(l.a, C, 4000, VIP, 53));
    expect([send(), send()]).toEqual(["s", "s"]);
    expect(conns(l)).toEqual(["UDP 05:00  UDP         10.0.0.2:4000      10.0.9.9:53        10.5.0.3:5353"]);
    l.wait(299);
    expect(send()).toBe("s");
    l.wait(301);
    expect(send()).toBe("q");
  });

  it("uses the timeouts of ipvsadm --set for established TCP, FIN_WAIT and UDP", () => {
    const l = lab("rr");
    adm(l, "--set 50 20 30");
    expect(adm(l, "-l --timeout")).toBe("Timeout (tcp tcpfin udp): 50 20 30\n");
    open(l, 4000);
    l.udp(l.a, C, 4001, VIP, 53);
    expect(conns(l).map((r) => r.slice(0, 23).trim())).toEqual(["UDP 00:30  UDP", "TCP 00:50  ESTABLISHED"]);
    l.tcp(l.b, S, 8080, C, 4000, "FA", 501, 101);
    expect(conns(l)[1]).toMatch(/^TCP 00:20 {2}FIN_WAIT/);
    l.tcp(l.a, C, 4000, VIP, 80, "FA", 101, 502);
    expect(conns(l)[1]).toMatch(/^TCP 02:00 {2}TIME_WAIT/);
  });

  it("takes its conntrack entry with it when it ends", () => {
    const l = lab("rr");
    l.udp(l.a, C, 4000, VIP, 53);
    l.udp(l.b, S, 5353, C, 4000);
    l.events();
    expect(conntrackList(l.node.nf!.ct!).out).toBe(
      "udp      17 30 src=10.0.0.2 dst=10.0.9.9 sport=4000 dport=53 src=10.5.0.3 dst=10.0.0.2 sport=5353 dport=4000 mark=0 use=1\n",
    );
    adm(l, "--set 0 0 20");
    l.udp(l.a, C, 4000, VIP, 53);
    l.events();
    l.wait(21);
    expect(l.events()).toEqual([
      "[DESTROY] udp      17 10 src=10.0.0.2 dst=10.0.9.9 sport=4000 dport=53 src=10.5.0.3 dst=10.0.0.2 sport=5353 dport=4000",
    ]);
  });

  it("leaves what its backend still sends untranslated after its end", () => {
    const l = lab("rr");
    adm(l, "--set 20 0 0");
    open(l, 4000);
    l.wait(21);
    expect(l.tcp(l.b, S, 8080, C, 4000, "PA", 501, 101, "late")).toEqual([
      "a: IP 10.5.0.3.8080 > 10.0.0.2.4000: Flags [P.], seq 501:505, ack 101, win 64240, length 4: HTTP",
    ]);
    expect(l.tcp(l.a, C, 4000, VIP, 80, "A", 101, 501)).toEqual([
      "a: IP 10.0.9.9.80 > 10.0.0.2.4000: Flags [R], seq 501, win 0, length 0",
    ]);
  });

  it("of which nothing is known is not made by a segment in mid-stream; a reset is swallowed", () => {
    const l = lab("rr");
    expect(l.tcp(l.a, C, 4000, VIP, 80, "A", 101, 501)).toEqual([
      "a: IP 10.0.9.9.80 > 10.0.0.2.4000: Flags [R], seq 501, win 0, length 0",
    ]);
    expect(l.tcp(l.a, C, 4000, VIP, 80, "R", 101)).toEqual([]);
    expect(conns(l)).toEqual([]);
    nfSysctlSet(l.node, "net/ipv4/vs/sloppy_tcp", 1);
    expect(backend(l.tcp(l.a, C, 4000, VIP, 80, "A", 101, 501))).toBe("s");
  });
});

describe("no destination", () => {
  it("is answered with port unreachable from the service address", () => {
    const l = lab("rr", []);
    expect(l.tcp(l.a, C, 4000, VIP, 80, "S", 100)).toEqual([
      "a: IP 10.0.9.9 > 10.0.0.2: ICMP 10.0.9.9 tcp port 80 unreachable, length 48",
    ]);
    expect(l.udp(l.a, C, 4000, VIP, 53)).toEqual([
      "a: IP 10.0.9.9 > 10.0.0.2: ICMP 10.0.9.9 udp port 53 unreachable, length 40",
    ]);
    expect(ipvsState(l.node.nf!).log).toEqual([
      "IPVS: rr: TCP 10.0.9.9:80 - no destination available",
      "IPVS: rr: UDP 10.0.9.9:53 - no destination available",
    ]);
  });

  it("does not concern other ports of the address, which the node answers itself", () => {
    const l = lab("rr");
    expect(l.tcp(l.a, C, 4000, VIP, 81, "S", 100)).toEqual([
      "a: IP 10.0.9.9.81 > 10.0.0.2.4000: Flags [R.], seq 0, ack 101, win 0, length 0",
    ]);
    expect(l.ping(l.a, C, VIP, 5)).toEqual([
      "a: IP 10.0.9.9 > 10.0.0.2: ICMP echo reply, id 5, seq 1, length 12",
    ]);
  });
});

describe("errors", () => {
  const quote = (dev: "a" | "b", src: string, dst: string, type: number, code: number, inner: Uint8Array) =>
    buildFrame([
      dev === "b"
        ? eth({ dst: "02:00:00:00:01:01", src: "02:00:00:00:01:02" })
        : eth({ dst: "02:00:00:00:00:01", src: "02:00:00:00:00:02" }),
      ip4({ src, dst, id: 1 }),
      icmp({ type, code }),
      inner,
    ]);
  /** IP header and eight bytes of what left last. */
  const cut = (l: RouterLab): Uint8Array => l.frames[0]!.slice(14, 14 + 28);

  it("for a TTL that ends come from the service address", () => {
    const l = lab("rr");
    expect(l.udp(l.a, C, 4000, VIP, 53, "x", { ttl: 1 })).toEqual([
      "a: IP 10.0.9.9 > 10.0.0.2: ICMP time exceeded in-transit, length 37",
    ]);
  });

  it("about a request are translated back: from the service address, with the service address quoted", () => {
    const l = lab("rr");
    l.udp(l.a, C, 4000, VIP, 53);
    expect(l.inject(l.b, quote("b", S, C, 3, 3, cut(l)))).toEqual([
      "a: IP 10.0.9.9 > 10.0.0.2: ICMP 10.0.9.9 udp port 53 unreachable, length 36",
    ]);
    l.udp(l.a, C, 4000, VIP, 53);
    expect(l.inject(l.b, quote("b", "10.0.1.2", C, 11, 0, cut(l)))).toEqual([
      "a: IP 10.0.9.9 > 10.0.0.2: ICMP time exceeded in-transit, length 36",
    ]);
    expect([...l.frames[0]!.slice(14 + 28 + 12, 14 + 28 + 24)]).toEqual([
      10,
      0,
      0,
      2,
      10,
      0,
      9,
      9,
      4000 >> 8,
      4000 & 255,
      0,
      53,
    ]);
  });

  it("about a reply reach the backend with its own address quoted", () => {
    const l = lab("rr");
    l.udp(l.a, C, 4000, VIP, 53);
    l.udp(l.b, S, 5353, C, 4000);
    expect(l.inject(l.a, quote("a", C, VIP, 3, 3, cut(l)))).toEqual([
      "b: IP 10.0.0.2 > 10.5.0.3: ICMP 10.0.0.2 udp port 4000 unreachable, length 36",
    ]);
  });
});

describe("removing a destination", () => {
  it("keeps connections without expire_nodest_conn but drops their packets", () => {
    const l = lab("rr");
    expect(open(l, 4000)).toBe("s");
    adm(l, `-d -t ${VIP}:80 -r ${S}:8080`);
    expect(l.tcp(l.a, C, 4000, VIP, 80, "PA", 101, 501, "x")).toEqual([]);
    expect(conns(l)).toHaveLength(1);
    adm(l, `-a -t ${VIP}:80 -r ${S}:8080 -m -w 1`);
    expect(backend(l.tcp(l.a, C, 4000, VIP, 80, "PA", 101, 501, "x"))).toBe("s");
  });

  it("ends connections with expire_nodest_conn, whose next segment is reset", () => {
    const l = lab("rr");
    nfSysctlSet(l.node, "net/ipv4/vs/expire_nodest_conn", 1);
    open(l, 4000);
    adm(l, `-d -t ${VIP}:80 -r ${S}:8080`);
    expect(conns(l)).toEqual([]);
    expect(l.tcp(l.a, C, 4000, VIP, 80, "A", 101, 501)).toEqual([
      "a: IP 10.0.9.9.80 > 10.0.0.2.4000: Flags [R], seq 501, win 0, length 0",
    ]);
  });
});

describe("a SYN from a port in TIME_WAIT", () => {
  function timeWait(l: RouterLab): void {
    open(l, 4000);
    l.tcp(l.b, S, 8080, C, 4000, "FA", 501, 101);
    l.tcp(l.a, C, 4000, VIP, 80, "FA", 101, 502);
    expect(conns(l)[0]).toContain("TIME_WAIT");
  }

  it("keeps its backend with conn_reuse_mode 0", () => {
    const l = lab("rr");
    nfSysctlSet(l.node, "net/ipv4/vs/conn_reuse_mode", 0);
    timeWait(l);
    expect(backend(l.tcp(l.a, C, 4000, VIP, 80, "S", 9000))).toBe("s");
    expect(conns(l)).toHaveLength(1);
  });

  it("is scheduled anew with conn_reuse_mode 1", () => {
    const l = lab("rr");
    nfSysctlSet(l.node, "net/ipv4/vs/conntrack", 0);
    timeWait(l);
    expect(backend(l.tcp(l.a, C, 4000, VIP, 80, "S", 9000))).toBe("q");
  });
});

describe("a SYN for a connection whose server has weight 0", () => {
  function drained(conntrack: number): RouterLab {
    const l = lab("rr", [1, 1]);
    nfSysctlSet(l.node, "net/ipv4/vs/conntrack", conntrack);
    nfSysctlSet(l.node, "net/ipv4/vs/expire_nodest_conn", 1);
    expect(open(l, 4000)).toBe("q");
    adm(l, `-e -t ${VIP}:80 -r ${Q}:8080 -m -w 0`);
    return l;
  }

  it("is dropped with expire_nodest_conn while conntrack knows the old one, the next is scheduled anew", () => {
    const l = drained(1);
    expect(syn(l, 4000)).toBe("-");
    expect(syn(l, 4000)).toBe("p");
  });

  it("is scheduled anew at once without conntrack", () => {
    expect(syn(drained(0), 4000)).toBe("p");
  });
});

describe("persistence", () => {
  it("keeps a client's connections with one destination while its template lives", () => {
    const l = new RouterLab(TRACK);
    adm(l, `-A -t ${VIP}:80 -s rr -p 60`);
    for (const b of [P, Q, S]) adm(l, `-a -t ${VIP}:80 -r ${b}:8080 -m`);
    expect(marks(3, (i) => open(l, 4000 + i))).toBe("s s s");
    expect(syn(l, 5000, "10.4.0.1")).toBe("q");
    expect(conns(l).filter((r) => r.includes("10.0.0.2:0 "))).toEqual([
      "TCP 01:00  ASSURED     10.0.0.2:0         10.0.9.9:80        10.5.0.3:8080",
    ]);
    for (let i = 0; i < 3; i++) l.tcp(l.a, C, 4000 + i, VIP, 80, "R", 101);
    l.wait(9);
    expect(syn(l, 4005)).toBe("s");
    l.tcp(l.a, C, 4005, VIP, 80, "R", 101);
    l.wait(150);
    expect(syn(l, 4006)).toBe("p");
  });

  it("covers a network of clients with a mask", () => {
    const l = new RouterLab(TRACK);
    adm(l, `-A -t ${VIP}:80 -s rr -p 60 -M 255.255.255.0`);
    for (const b of [P, Q, S]) adm(l, `-a -t ${VIP}:80 -r ${b}:8080 -m`);
    expect([
      syn(l, 1, "10.4.0.1"),
      syn(l, 1, "10.4.0.2"),
      syn(l, 1, "10.4.1.1"),
      syn(l, 1, "10.4.0.9"),
    ]).toEqual(["s", "s", "q", "s"]);
    expect(adm(l, "-ln").split("\n")[3]).toBe("TCP  10.0.9.9:80 rr persistent 60 mask 255.255.255.0");
  });
});

describe("rules and IPVS", () => {
  it("see the service in INPUT, the backend in OUTPUT and POSTROUTING, the backend in FORWARD of the reply", () => {
    const l = lab(
      "rr",
      [1],
      `*filter
-A INPUT -d ${VIP} -p tcp -m comment --comment in
-A INPUT -d ${P} -p tcp -m comment --comment wrong
-A FORWARD -s ${P} -p tcp -m conntrack --ctstate ESTABLISHED
-A FORWARD -s ${VIP} -m comment --comment wrong
-A FORWARD -d ${P} -m comment --comment wrong
-A OUTPUT -d ${P} -p tcp --dport 8080 -m comment --comment out
-A OUTPUT -d ${VIP} -m comment --comment wrong
COMMIT
*nat
-A POSTROUTING -d ${P} -p tcp --dport 8080 -j MASQUERADE
-A OUTPUT -m comment --comment wrong
COMMIT
`,
    );
    expect(l.tcp(l.a, C, 4000, VIP, 80, "S", 100)).toEqual([
      "b: IP 10.0.1.1.4000 > 10.5.0.1.8080: Flags [S], seq 100, win 64240, length 0",
    ]);
    expect(l.tcp(l.b, P, 8080, "10.0.1.1", 4000, "SA", 500, 101)).toEqual([
      "a: IP 10.0.9.9.80 > 10.0.0.2.4000: Flags [S.], seq 500, ack 101, win 64240, length 0",
    ]);
    const f = l.node.nf!.xt!.table("filter");
    const n = l.node.nf!.xt!.table("nat");
    const hits = (t: typeof f, c: string): number[] => {
      return t.chain(c)!.rules.map((r) => r.pkts);
    };
    expect(hits(f, "INPUT")).toEqual([1, 0]);
    expect(hits(f, "FORWARD")).toEqual([1, 0, 0]);
    expect(hits(f, "OUTPUT")).toEqual([1, 0]);
    expect(hits(n, "POSTROUTING")).toEqual([1]);
    expect(hits(n, "OUTPUT")).toEqual([0]);
  });

  it("drop in INPUT keeps a connection from being made", () => {
    const l = lab("rr", [1], `*filter\n-A INPUT -d ${VIP} -p tcp --dport 80 -j DROP\nCOMMIT\n`);
    expect(syn(l, 4000)).toBe("-");
    expect(conns(l)).toEqual([]);
  });

  it("choose a service by firewall mark", () => {
    const l = new RouterLab("*mangle\n-A PREROUTING -d 10.0.9.9 -p udp -j MARK --set-mark 7\nCOMMIT\n");
    adm(l, "-A -f 7 -s rr");
    adm(l, `-a -f 7 -r ${P} -m`);
    adm(l, `-a -f 7 -r ${Q} -m`);
    expect(l.udp(l.a, C, 4000, VIP, 99)).toEqual(["b: IP 10.0.0.2.4000 > 10.5.0.2.99: UDP, length 4"]);
    expect(l.udp(l.a, C, 4001, VIP, 98)).toEqual(["b: IP 10.0.0.2.4001 > 10.5.0.1.98: UDP, length 4"]);
    expect(adm(l, "-ln").split("\n")[3]).toBe("FWM  7 rr");
  });

  it("change nothing for packets that no service wants", () => {
    const l = lab("rr");
    expect(l.udp(l.a, C, 4000, "10.0.1.2", 99)).toEqual(["b: IP 10.0.0.2.4000 > 10.0.1.2.99: UDP, length 4"]);
    expect(ipvsState(nfState(l.node)).conns.count).toBe(0);
  });
});

describe("checksums", () => {
  it("stay right through both directions", () => {
    const l = lab("rr", [1]);
    l.tcp(l.a, C, 4000, VIP, 80, "S", 100);
    expect(l.frames.every(sound)).toBe(true);
    l.tcp(l.b, P, 8080, C, 4000, "SA", 500, 101);
    expect(l.frames.every(sound)).toBe(true);
  });

  it("are made for datagrams that come without one, on the way there and back", () => {
    const l = lab("rr", [1]);
    const bare = (to: string, src: string, sport: number, dst: string, dport: number): Uint8Array =>
      buildFrame([
        eth({ dst: to, src: "02:00:00:00:00:02" }),
        ip4({ src, dst, id: 1 }),
        udp({ src: sport, dst: dport, check: 0 }),
        "odd size",
        "!",
      ]);
    for (const [dev, f] of [
      [l.a, bare("02:00:00:00:00:01", C, 4000, VIP, 53)],
      [l.b, bare("02:00:00:00:01:01", P, 5353, C, 4000)],
    ] as const) {
      l.inject(dev, f);
      expect(l.frames).toHaveLength(1);
      expect(sound(l.frames[0]!)).toBe(true);
      expect([l.frames[0]![40], l.frames[0]![41]]).not.toEqual([0, 0]);
    }
  });
});

function sum(b: Uint8Array, from: number, to: number, start = 0): number {
  let s = start;
  for (let i = from; i < to; i++) s += (i - from) % 2 === 0 ? b[i]! << 8 : b[i]!;
  while (s > 0xffff) s = (s & 0xffff) + (s >>> 16);
  return s;
}

/** IP and TCP or UDP checksum of an Ethernet frame. */
function sound(f: Uint8Array): boolean {
  const len = (f[16]! << 8) | f[17]!;
  if (sum(f, 14, 34) !== 0xffff) return false;
  return sum(f, 34, 14 + len, sum(f, 26, 34) + f[23]! + (len - 20)) === 0xffff;
}
