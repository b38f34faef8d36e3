import { describe, expect, it } from "vitest";
import { conntrackList } from "../../../../src/kernel/netfilter/nf_conntrack_text.js";
import { buildFrame, eth, icmp, ip4, udp } from "../../../../src/net/build.js";
import { RouterLab } from "../../../support/netfilter_lab.js";

// Counts what conntrack says about forwarded packets, in the order NEW ESTABLISHED RELATED INVALID UNTRACKED.
const STATES = `*mangle
-A FORWARD -m conntrack --ctstate NEW
-A FORWARD -m conntrack --ctstate ESTABLISHED
-A FORWARD -m conntrack --ctstate RELATED
-A FORWARD -m conntrack --ctstate INVALID
-A FORWARD -m conntrack --ctstate UNTRACKED
COMMIT
`;

/** The state of the last packet, by the counters of STATES. */
function stateOf(l: RouterLab): string {
  const c = l.node.nf!.xt!.table("mangle").chain("FORWARD")!;
  const names = ["NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"];
  const hit = names.filter((_, i) => c.rules[i]!.pkts > 0);
  c.zero();
  return hit.join("+");
}

const C = "10.0.0.2";
const S = "10.0.1.2";
const line = (rest: string): string => `tcp      6 ${rest}`;
const ORIG = "src=10.0.0.2 dst=10.0.1.2 sport=4000 dport=80";
const REPL = "src=10.0.1.2 dst=10.0.0.2 sport=80 dport=4000";

describe("nf_conntrack TCP", () => {
  it("follows a connection from SYN to TIME_WAIT with the kernel's states and timeouts", () => {
    const l = new RouterLab(STATES);
    l.tcp(l.a, C, 4000, S, 80, "S", 100);
    l.tcp(l.b, S, 80, C, 4000, "SA", 500, 101);
    l.tcp(l.a, C, 4000, S, 80, "A", 101, 501);
    l.tcp(l.a, C, 4000, S, 80, "PA", 101, 501, "hello");
    l.tcp(l.b, S, 80, C, 4000, "A", 501, 106);
    l.tcp(l.a, C, 4000, S, 80, "FA", 106, 501);
    l.tcp(l.b, S, 80, C, 4000, "A", 501, 107);
    l.tcp(l.b, S, 80, C, 4000, "FA", 501, 107);
    l.tcp(l.a, C, 4000, S, 80, "A", 107, 502);
    expect(l.events()).toEqual([
      `    [NEW] ${line(`120 SYN_SENT ${ORIG} [UNREPLIED] ${REPL}`)}`,
      ` [UPDATE] ${line(`60 SYN_RECV ${ORIG} ${REPL}`)}`,
      ` [UPDATE] ${line(`432000 ESTABLISHED ${ORIG} ${REPL} [ASSURED]`)}`,
      ` [UPDATE] ${line(`120 FIN_WAIT ${ORIG} ${REPL} [ASSURED]`)}`,
      ` [UPDATE] ${line(`60 CLOSE_WAIT ${ORIG} ${REPL} [ASSURED]`)}`,
      ` [UPDATE] ${line(`30 LAST_ACK ${ORIG} ${REPL} [ASSURED]`)}`,
      ` [UPDATE] ${line(`120 TIME_WAIT ${ORIG} ${REPL} [ASSURED]`)}`,
    ]);
    l.wait(50);
    expect(conntrackList(l.node.nf!.ct)).toEqual({
      out: `${line(`70 TIME_WAIT ${ORIG} ${REPL} [ASSURED] mark=0 use=1`)}\n`,
      err: "conntrack v1.4.7 (conntrack-tools): 1 flow entries have been shown.\n",
    });
    l.wait(71);
    expect(l.events()).toEqual([`[DESTROY] ${line(`TIME_WAIT ${ORIG} ${REPL} [ASSURED]`)}`]);
    expect(l.node.nf!.ct!.count).toBe(0);
  });

  it("counts unacknowledged data down from 300 s and an established connection from five days", () => {
    const l = new RouterLab(STATES);
    l.tcp(l.a, C, 4000, S, 80, "S", 100);
    l.tcp(l.b, S, 80, C, 4000, "SA", 500, 101);
    l.tcp(l.a, C, 4000, S, 80, "A", 101, 501);
    l.tcp(l.a, C, 4000, S, 80, "PA", 101, 501, "hello");
    const ct = l.node.nf!.ct!;
    expect(conntrackList(ct).out).toBe(`${line(`300 ESTABLISHED ${ORIG} ${REPL} [ASSURED] mark=0 use=1`)}\n`);
    l.tcp(l.b, S, 80, C, 4000, "A", 501, 106);
    expect(conntrackList(ct).out).toBe(
      `${line(`432000 ESTABLISHED ${ORIG} ${REPL} [ASSURED] mark=0 use=1`)}\n`,
    );
  });

  it("takes up a connection in its middle with 300 s and removes it when only a RST comes back", () => {
    const l = new RouterLab(STATES);
    l.tcp(l.a, C, 4000, S, 80, "A", 100, 200);
    expect(stateOf(l)).toBe("NEW");
    l.tcp(l.b, S, 80, C, 4000, "R", 200);
    expect(stateOf(l)).toBe("ESTABLISHED");
    expect(l.events()).toEqual([
      `    [NEW] ${line(`300 ESTABLISHED ${ORIG} [UNREPLIED] ${REPL}`)}`,
      `[DESTROY] ${line(`300 CLOSE ${ORIG} [UNREPLIED] ${REPL}`)}`,
    ]);
  });

  it("does not take one up with tcp_loose 0", () => {
    const l = new RouterLab(STATES);
    l.node.nf!.ct!.sysctl.tcp_loose = 0;
    l.tcp(l.a, C, 4000, S, 80, "A", 100, 200);
    expect(stateOf(l)).toBe("INVALID");
  });

  it.each([
    ["R", "INVALID"],
    ["SA", "INVALID"],
    ["", "INVALID"],
    ["SF", "INVALID"],
    ["SR", "INVALID"],
    ["F", "INVALID"],
    ["FPU", "INVALID"],
    ["S", "NEW"],
    ["A", "NEW"],
  ])("calls a first segment with flags %j %s", (flags, state) => {
    const l = new RouterLab(STATES);
    l.tcp(l.a, C, 4000, S, 80, flags, 1, 1);
    expect(stateOf(l)).toBe(state);
  });

  it("calls a segment beyond the window INVALID, unless tcp_be_liberal", () => {
    const l = new RouterLab(STATES);
    l.tcp(l.a, C, 4000, S, 80, "S", 100, 0, "", 1000);
    l.tcp(l.b, S, 80, C, 4000, "SA", 500, 101, "", 1000);
    l.tcp(l.a, C, 4000, S, 80, "A", 101, 501, "", 1000);
    stateOf(l);
    l.tcp(l.a, C, 4000, S, 80, "A", 500_101, 501, "x", 1000);
    expect(stateOf(l)).toBe("INVALID");
    l.tcp(l.a, C, 4000, S, 80, "A", 101, 900_000, "", 1000);
    expect(stateOf(l)).toBe("INVALID");
    l.node.nf!.ct!.sysctl.tcp_be_liberal = 1;
    l.tcp(l.a, C, 4000, S, 80, "A", 500_101, 501, "x", 1000);
    expect(stateOf(l)).toBe("ESTABLISHED");
  });

  it("starts anew with a SYN on a closed connection", () => {
    const l = new RouterLab(STATES);
    l.tcp(l.a, C, 4000, S, 80, "S", 100);
    l.tcp(l.b, S, 80, C, 4000, "SA", 500, 101);
    l.tcp(l.a, C, 4000, S, 80, "A", 101, 501);
    l.tcp(l.a, C, 4000, S, 80, "FA", 101, 501);
    l.tcp(l.b, S, 80, C, 4000, "FA", 501, 102);
    l.tcp(l.a, C, 4000, S, 80, "A", 102, 502);
    l.events();
    l.tcp(l.a, C, 4000, S, 80, "S", 90_000);
    expect(l.events()).toEqual([
      `[DESTROY] ${line(`120 TIME_WAIT ${ORIG} ${REPL} [ASSURED]`)}`,
      `    [NEW] ${line(`120 SYN_SENT ${ORIG} [UNREPLIED] ${REPL}`)}`,
    ]);
  });

  it("leaves no entry for a packet that a rule dropped", () => {
    const l = new RouterLab("*filter\n-A FORWARD -m conntrack --ctstate NEW -j DROP\nCOMMIT\n");
    l.tcp(l.a, C, 4000, S, 80, "S");
    expect(l.node.nf!.ct!.count).toBe(0);
  });
});

describe("nf_conntrack UDP, ICMP and others", () => {
  it("makes an UDP flow a stream after replies and two seconds, then ASSURED with 120 s", () => {
    const l = new RouterLab(STATES);
    const o = "src=10.0.0.2 dst=10.0.1.2 sport=5000 dport=53";
    const r = "src=10.0.1.2 dst=10.0.0.2 sport=53 dport=5000";
    l.udp(l.a, C, 5000, S, 53);
    l.wait(1);
    l.udp(l.b, S, 53, C, 5000);
    l.udp(l.a, C, 5000, S, 53);
    l.wait(1.5);
    l.udp(l.a, C, 5000, S, 53);
    expect(l.events()).toEqual([
      `    [NEW] udp      17 30 ${o} [UNREPLIED] ${r}`,
      ` [UPDATE] udp      17 30 ${o} ${r}`,
      ` [UPDATE] udp      17 120 ${o} ${r} [ASSURED]`,
    ]);
    l.wait(121);
    expect(l.events()).toEqual([`[DESTROY] udp      17 ${o} ${r} [ASSURED]`]);
  });

  it("calls UDP with a bad checksum INVALID and tracks one without checksum", () => {
    const l = new RouterLab(STATES);
    const send = (check: number): void => {
      l.inject(
        l.a,
        buildFrame([
          eth({ dst: "02:00:00:00:00:01", src: "02:00:00:00:00:02" }),
          ip4({ src: C, dst: S }),
          udp({ src: 1, dst: 2, check }),
          "abc",
        ]),
      );
    };
    send(0x1234);
    expect(stateOf(l)).toBe("INVALID");
    send(0);
    expect(stateOf(l)).toBe("NEW");
  });

  it("tracks ICMP queries by id and calls an answer without a question INVALID", () => {
    const l = new RouterLab(STATES);
    l.ping(l.b, S, C, 7, true);
    expect(stateOf(l)).toBe("INVALID");
    l.ping(l.a, C, S, 7);
    expect(stateOf(l)).toBe("NEW");
    l.ping(l.b, S, C, 7, true);
    expect(stateOf(l)).toBe("ESTABLISHED");
    expect(conntrackList(l.node.nf!.ct).out).toBe(
      "icmp     1 30 src=10.0.0.2 dst=10.0.1.2 type=8 code=0 id=7 src=10.0.1.2 dst=10.0.0.2 type=0 code=0 id=7 mark=0 use=1\n",
    );
  });

  it("calls an ICMP error RELATED when it quotes a packet of an entry, else INVALID", () => {
    const l = new RouterLab(STATES);
    const error = (sport: number): void => {
      const quoted = buildFrame([ip4({ src: C, dst: S }), udp({ src: sport, dst: 53 }), "data"]);
      l.inject(
        l.b,
        buildFrame([
          eth({ dst: "02:00:00:00:01:01", src: "02:00:00:00:01:02" }),
          ip4({ src: S, dst: C }),
          icmp({ type: 3, code: 3 }),
          quoted,
        ]),
      );
    };
    l.udp(l.a, C, 5000, S, 53);
    stateOf(l);
    error(5000);
    expect(stateOf(l)).toBe("RELATED");
    error(5001);
    expect(stateOf(l)).toBe("INVALID");
  });

  it("tracks an unknown protocol by addresses for 600 s and GRE for 30 s", () => {
    const l = new RouterLab(STATES);
    const e = eth({ dst: "02:00:00:00:00:01", src: "02:00:00:00:00:02" });
    l.inject(l.a, buildFrame([e, ip4({ src: C, dst: S, proto: 4 }), new Uint8Array(20)]));
    l.inject(l.a, buildFrame([e, ip4({ src: C, dst: S, proto: 47 }), new Uint8Array(8)]));
    const pair = (k: string): string =>
      `src=10.0.0.2 dst=10.0.1.2${k} [UNREPLIED] src=10.0.1.2 dst=10.0.0.2${k}`;
    expect(l.events()).toEqual([
      `    [NEW] unknown  4 600 ${pair("")}`,
      `    [NEW] gre      47 30 ${pair(" srckey=0x0 dstkey=0x0")}`,
    ]);
  });

  it("keeps zones apart and prints them", () => {
    const l = new RouterLab(
      `${STATES}*raw\n-A PREROUTING -i a -j CT --zone 5\n-A PREROUTING -i b -j CT --zone 5\nCOMMIT\n`,
    );
    l.udp(l.a, C, 5000, S, 53);
    l.udp(l.b, S, 53, C, 5000);
    expect(stateOf(l)).toBe("NEW+ESTABLISHED");
    expect(conntrackList(l.node.nf!.ct).out).toBe(
      "udp      17 30 src=10.0.0.2 dst=10.0.1.2 sport=5000 dport=53 src=10.0.1.2 dst=10.0.0.2 sport=53 dport=5000 mark=0 zone=5 use=1\n",
    );
  });

  it("does not track what NOTRACK took out", () => {
    const l = new RouterLab(`${STATES}*raw\n-A PREROUTING -p udp -j NOTRACK\nCOMMIT\n`);
    l.udp(l.a, C, 5000, S, 53);
    expect(stateOf(l)).toBe("UNTRACKED");
    expect(l.node.nf!.ct!.count).toBe(0);
  });

  it("drops new connections when the table is full of ASSURED ones and drops unassured ones to make room", () => {
    const l = new RouterLab(STATES);
    const ct = l.node.nf!.ct!;
    ct.sysctl.max = 4;
    for (let i = 0; i < 4; i++) {
      const p = 4000 + i;
      l.tcp(l.a, C, p, S, 80, "S", 100);
      l.tcp(l.b, S, 80, C, p, "SA", 500, 101);
      l.tcp(l.a, C, p, S, 80, "A", 101, 501);
    }
    expect(l.udp(l.a, C, 5000, S, 53)).toEqual([]);
    expect({ count: ct.count, drop: ct.stats.drop, early: ct.stats.early_drop }).toEqual({
      count: 4,
      drop: 1,
      early: 0,
    });
    ct.flush(() => true);
    ct.sysctl.max = 2000;
    for (let i = 0; i < 2000; i++) l.udp(l.a, C, 10_000 + i, S, 53);
    expect(l.udp(l.a, C, 50_000, S, 53)).toEqual(["b: IP 10.0.0.2.50000 > 10.0.1.2.53: UDP, length 4"]);
    expect(ct.stats.early_drop).toBeGreaterThan(0);
  });

  it("puts fragments together before the rules and sends them on in their sizes", () => {
    const l = new RouterLab(STATES);
    const whole = buildFrame([
      ip4({ src: C, dst: S, id: 77 }),
      udp({ src: 5000, dst: 53 }),
      new Uint8Array(1992),
    ]);
    const e = eth({ dst: "02:00:00:00:00:01", src: "02:00:00:00:00:02" });
    const part = (from: number, to: number, mf: boolean): Uint8Array =>
      buildFrame([
        e,
        ip4({ src: C, dst: S, id: 77, proto: 17, fragOffset: from, mf }),
        whole.slice(20 + from, 20 + to),
      ]);
    expect(l.inject(l.a, part(1480, 2000, false))).toEqual([]);
    expect(l.inject(l.a, part(0, 1480, true)).length).toBe(2);
    expect(l.frames.map((f) => f.length - 14)).toEqual([1500, 540]);
    expect(stateOf(l)).toBe("NEW");
  });
});
