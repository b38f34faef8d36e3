import { describe, expect, it } from "vitest";
import { iptablesRestore } from "../../src/kernel/netfilter/iptables.js";
import { Mib } from "../../src/kernel/snmp.js";
import { TcpSock } from "../../src/kernel/tcp.js";
import { OutOfOrder } from "../../src/kernel/tcp_ofo.js";
import {
  EVER_RETRANS,
  LOST,
  SACKED_ACKED,
  SACKED_RETRANS,
  Scoreboard,
  setSegs,
  txSkb,
} from "../../src/kernel/tcp_scoreboard.js";
import { parseIpv4 } from "../../src/net/address.js";
import fc, { runs } from "../support/fast_check.js";
import { KernelNet } from "../support/kernel_net.js";

const bytes = (n: number, from: number): Uint8Array =>
  Uint8Array.from({ length: n }, (_, i) => (7 * i + from) & 255);

/** Reads all that is there now. */
function drain(s: TcpSock, into: number[]): void {
  while (s.readable() && !s.eof) into.push(...s.recv(65_536));
}

/** A path that drops what `rules` say, and a connection over it that both sides fill and close. */
function transfer(
  c2s: Uint8Array,
  s2c: Uint8Array,
  rules: readonly string[],
  sysctl: Record<string, number>,
): [number[], number[]] {
  const net = new KernelNet();
  for (const pod of ["p1", "p2"]) Object.assign(net.ns(pod).sysctl, sysctl);
  net.ping("p1", "10.0.0.2");
  const l = new TcpSock(net.ns("p2"));
  l.bind(0, 80);
  l.listen(4);
  const c = new TcpSock(net.ns("p1"));
  c.connect(parseIpv4("10.0.0.2"), 80);
  net.ms(1);
  const s = l.accept()!;
  iptablesRestore(net.ns("n1"), `*filter\n${rules.join("\n")}\nCOMMIT\n`);
  const before = resent(net);
  const got: [number[], number[]] = [[], []];
  let a = 0;
  let b = 0;
  // Most are done in a second; where two of three packets are lost, pauses of two minutes add up.
  for (let i = 0; i < 20_000 && !(c.eof && s.eof); i++) {
    if (a < c2s.length) a += Math.max(0, c.send(c2s.subarray(a)));
    else c.shutdown();
    if (b < s2c.length) b += Math.max(0, s.send(s2c.subarray(b)));
    else s.shutdown();
    net.ms(i < 1000 ? 100 : 10_000);
    drain(s, got[0]);
    drain(c, got[1]);
  }
  losses += resent(net) - before;
  return got;
}

/** Segments that both pods have sent again. */
const resent = (net: KernelNet): number =>
  net.ns("p1").mib[Mib.TcpRetransSegs]! + net.ns("p2").mib[Mib.TcpRetransSegs]!;
let losses = 0;

describe("TCP", () => {
  it("delivers every byte once and in order, whatever a router drops and whichever options it has", () => {
    const rule = fc.record({
      from: fc.constantFrom("10.0.0.1", "10.0.0.2"),
      every: fc.integer({ min: 3, max: 12 }),
      packet: fc.nat(2),
    });
    fc.assert(
      fc.property(
        fc.nat(40_000),
        fc.nat(40_000),
        fc.array(rule, { minLength: 1, maxLength: 3 }),
        fc.record({ tcp_sack: fc.nat(1), tcp_timestamps: fc.nat(1) }),
        (n, m, rules, sysctl) => {
          const text = rules.map(
            (r) =>
              `-A FORWARD -s ${r.from} -p tcp -m statistic --mode nth --every ${r.every} --packet ${r.packet} -j DROP`,
          );
          const sent = [bytes(n, 1), bytes(m, 2)] as const;
          const got = transfer(sent[0], sent[1], text, sysctl);
          expect(got.map((x) => x.length)).toEqual([n, m]);
          expect(
            got.map((x) => Buffer.compare(Buffer.from(x), Buffer.from(x === got[0] ? sent[0] : sent[1]))),
          ).toEqual([0, 0]);
        },
      ),
      { numRuns: runs(60) },
    );
    expect(losses).toBeGreaterThan(runs(60));
  });
});

describe("the scoreboard of a TCP sender", () => {
  it("counts what its packets' marks say, however they are split, merged and marked", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 6000 }), { minLength: 1, maxLength: 12 }),
        fc.array(fc.tuple(fc.constantFrom("split", "merge", "lost", "sack", "again"), fc.nat(), fc.nat()), {
          maxLength: 40,
        }),
        (sizes, steps) => {
          const sk = { sackOk: true, sndUna: 0, sndNxt: 0, windowEnd: () => 1_000_000 };
          const out = new Scoreboard(sk);
          for (const n of sizes) {
            const s = txSkb(sk.sndNxt, new Uint8Array(n));
            setSegs(s, 1000);
            out.rtx.push(s);
            out.packetsOut += s.pcount;
            sk.sndNxt = s.end;
          }
          for (const [what, x, y] of steps) {
            const i = x % out.rtx.length;
            const s = out.rtx[i]!;
            if (what === "split" && s.data.length > 1) out.split(i, 1 + (y % (s.data.length - 1)), 1000);
            else if (what === "merge" && s.pcount === 1 && s.data.length < 1000) out.collapse(i, 1000);
            else if (what === "lost") out.markLost(s);
            else if (what === "sack" && s.sacked === 0) {
              s.sacked |= SACKED_ACKED;
              out.sackedOut += s.pcount;
            } else if (what === "again" && s.sacked === LOST) {
              s.sacked |= SACKED_RETRANS | EVER_RETRANS;
              out.retransOut += s.pcount;
            }
          }
          const count = (mark: number): number =>
            out.rtx.reduce((n, s) => n + (mark === 0 || (s.sacked & mark) !== 0 ? s.pcount : 0), 0);
          expect([out.packetsOut, out.sackedOut, out.lostOut, out.retransOut]).toEqual([
            count(0),
            count(SACKED_ACKED),
            count(LOST),
            count(SACKED_RETRANS),
          ]);
          expect(out.rtx.map((s) => [s.seq, s.end - s.seq])).toEqual(
            out.rtx.map((s, i) => [i === 0 ? 0 : out.rtx[i - 1]!.end, s.data.length]),
          );
          expect(out.rtx[out.rtx.length - 1]!.end).toBe(sk.sndNxt);
        },
      ),
      { numRuns: runs(500) },
    );
  });
});

describe("the out-of-order queue of a TCP receiver", () => {
  it("tells blocks that it holds, apart from each other, and hands on what no hole precedes", () => {
    const segment = fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 15 }));
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 20 }), (segments) => {
        const ofo = new OutOfOrder();
        const held = new Set<number>();
        for (const [from, len] of segments) {
          ofo.add({ seq: from, end: from + len, data: bytes(len, from), fin: false });
          for (let i = from; i < from + len; i++) held.add(i);
          const edges = ofo.edges(5);
          // A D-SACK, if there is one, lies within what is held too.
          for (let e = 0; e < edges.length; e += 2)
            for (let i = edges[e]!; i < edges[e + 1]!; i++) expect(held.has(i)).toBe(true);
          const blocks = ofo.edges(4);
          const [first] = blocks;
          expect(first! <= from && blocks[1]! >= from + len).toBe(true);
          for (let e = 2; e < blocks.length; e += 2)
            for (let f = 0; f < e; f += 2)
              expect(blocks[e]! > blocks[f + 1]! || blocks[e + 1]! < blocks[f]!).toBe(true);
        }
        // The hole before 1 is filled: what follows comes, in order, with nothing twice.
        let next = 1;
        ofo.startDrain(next);
        for (let s = ofo.drain(next); s !== undefined; s = ofo.drain(next)) {
          expect(s.seq <= next && s.end > next).toBe(true);
          next = s.end;
        }
        ofo.forget(next);
        let end = 1;
        while (held.has(end)) end++;
        expect(next).toBe(end);
        // The first call may still tell a D-SACK.
        ofo.edges(4);
        const left = ofo.edges(4);
        expect(left.filter((x, e) => e % 2 === 0 && x <= next)).toEqual([]);
        expect(left.length > 0).toBe(ofo.queue.length > 0);
      }),
      { numRuns: runs(500) },
    );
  });
});
