import { describe, expect, it } from "vitest";
import { parseIpv6 } from "../../../src/net/address.js";
import * as b from "../../../src/net/build.js";
import * as f from "../../../src/net/frag.js";
import * as ipv4 from "../../../src/net/ipv4.js";
import * as ipv6 from "../../../src/net/ipv6.js";
import { fromHex, toHex } from "../../../src/net/view.js";

const view = (x: Uint8Array): DataView => new DataView(x.buffer, x.byteOffset, x.byteLength);

function packet4(n: number, fields: Partial<b.Ip4Fields> = {}): Uint8Array {
  return b.buildFrame([
    b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", id: 7, proto: 17, ...fields }),
    b.countingBytes(n),
  ]);
}

function cut4(packet: Uint8Array, mtu: number, keepDf = false): Uint8Array[] {
  const v = view(packet);
  const plan = new f.FragPlan();
  const hl = ipv4.hlen(v, 0);
  expect(f.planFragments(hl, packet.length - hl, mtu, plan)).toBe(true);
  const out: Uint8Array[] = [];
  for (let i = 0; i < plan.count; i++) {
    const dst = new Uint8Array(2000);
    const n = f.writeFragment4(view(dst), 0, v, 0, plan, i, keepDf);
    out.push(dst.slice(0, n));
  }
  return out;
}

/** [length, offset, MF, DF] of each packet, checksum verified. */
function shape4(list: Uint8Array[]): unknown[] {
  return list.map((p) => {
    const v = view(p);
    expect([ipv4.totLen(v, 0), ipv4.checkOk(v, 0)]).toEqual([p.length, true]);
    return [p.length, ipv4.fragOffsetBytes(v, 0), ipv4.mf(v, 0), ipv4.df(v, 0)];
  });
}

/** Feeds packets to a table: the codes, and the packet that came out of it. */
function feed4(
  list: Uint8Array[],
  table = new f.FragTable(),
  user = 0,
): { codes: number[]; whole: Uint8Array | undefined } {
  let whole: Uint8Array | undefined;
  const codes = list.map((p) => {
    const c = table.input4(view(p), 0, user, 0, 0);
    if (c === f.FRAG_COMPLETE) {
      const dst = new Uint8Array(70_000);
      whole = dst.slice(0, f.writeWhole(view(dst), 0, table.whole!));
      expect(whole.length).toBe(f.wholeLength(table.whole!));
    }
    return c;
  });
  return { codes, whole };
}

const Q = f.FRAG_QUEUED;
const OK = f.FRAG_COMPLETE;
const DUP = f.FRAG_DUPLICATE;
const BAD = f.FRAG_DISCARDED;

/** A fragment of 8-byte units [from, to) of a datagram of counting bytes. */
function piece(from: number, to: number, more: boolean, fields: Partial<b.Ip4Fields> = {}): Uint8Array {
  return b.buildFrame([
    b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", id: 7, proto: 17, fragOffset: from * 8, mf: more, ...fields }),
    b.countingBytes((to - from) * 8, from * 8),
  ]);
}

describe("cutting IPv4", () => {
  it("cuts at multiples of 8: MTU 1400 leaves packets of 1396 bytes", () => {
    expect(shape4(cut4(packet4(3000), 1400))).toEqual([
      [1396, 0, true, false],
      [1396, 1376, true, false],
      [268, 2752, false, false],
    ]);
  });

  it("keeps id, ttl, tos and addresses in every piece", () => {
    for (const p of cut4(packet4(3000, { tos: 0x10, ttl: 9 }), 1400)) {
      expect(toHex(p.slice(4, 6)) + toHex(p.slice(8, 10)) + toHex(p.slice(12, 20))).toBe(
        "000709110a0000010a000002",
      );
      expect(p[1]).toBe(0x10);
    }
  });

  it("continues offset and MF of a packet that is a fragment itself", () => {
    const middle = packet4(64, { fragOffset: 800, mf: true });
    expect(shape4(cut4(middle, 60))).toEqual([
      [60, 800, true, false],
      [44, 840, true, false],
    ]);
  });

  it("repeats only options marked copied; the others become no-ops of the same length", () => {
    // record route (7) is not copied, router alert (0x94) is
    const packet = packet4(32, { options: fromHex("070704000000009404000000")! });
    const parts = cut4(packet, 48);
    expect(parts.map((p) => toHex(p.slice(20, 32)))).toEqual([
      "070704000000009404000000",
      "010101010101019404000000",
    ]);
    expect(shape4(parts)).toEqual([
      [48, 0, true, false],
      [48, 16, false, false],
    ]);
  });

  it("keeps DF on the pieces of a datagram that must keep it", () => {
    expect(shape4(cut4(packet4(64, { df: true }), 60, true)).map((s) => (s as unknown[])[3])).toEqual([
      true,
      true,
    ]);
  });

  it("does not cut when not even 8 bytes fit", () => {
    expect(f.planFragments(20, 100, 27, new f.FragPlan())).toBe(false);
    expect(f.planFragments(20, 100, 28, new f.FragPlan())).toBe(true);
  });

  it("plans more pieces than it started with room for", () => {
    const plan = new f.FragPlan();
    f.planFragments(20, 8000, 28, plan);
    expect([plan.count, plan.offset[999], plan.length[999]]).toEqual([1000, 7992, 8]);
  });
});

describe("putting IPv4 together", () => {
  it("gives back the packet whatever the order of its fragments", () => {
    const packet = packet4(3000, { ttl: 9 });
    const parts = cut4(packet, 1400);
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [0, 2, 1],
    ]) {
      const { codes, whole } = feed4(order.map((i) => parts[i]!));
      expect(codes).toEqual([Q, Q, OK]);
      expect(toHex(whole!)).toBe(toHex(packet));
    }
  });

  it("takes the header from the first fragment, options included", () => {
    const packet = packet4(32, { options: fromHex("0707040000000000")!, ttl: 3 });
    const [first, second] = cut4(packet, 48);
    second![8] = 60;
    expect(toHex(feed4([second!, first!]).whole!)).toBe(toHex(packet));
  });

  it("ignores a fragment whose bytes are all there", () => {
    const { codes, whole } = feed4([
      piece(0, 4, true),
      piece(0, 4, true),
      piece(1, 3, true),
      piece(4, 6, false),
    ]);
    expect(codes).toEqual([Q, DUP, DUP, OK]);
    expect(whole!.length).toBe(20 + 48);
  });

  it("drops everything at an overlap, as RFC 5722 asks", () => {
    const table = new f.FragTable();
    expect(feed4([piece(0, 4, true), piece(3, 6, true)], table).codes).toEqual([Q, BAD]);
    expect(table.size).toBe(0);
    expect(table.discarded!.hasFirst).toBe(true);
    // The rest of the datagram starts a new queue and never completes.
    expect(feed4([piece(4, 6, false)], table).codes).toEqual([Q]);
  });

  it("drops everything at an overlap with a fragment that came earlier but lies behind", () => {
    expect(feed4([piece(4, 8, true), piece(2, 5, true)]).codes).toEqual([Q, BAD]);
    expect(feed4([piece(4, 8, true), piece(0, 4, true), piece(3, 5, true)]).codes).toEqual([Q, Q, BAD]);
  });

  it("calls a repeat across two runs an overlap, within one run a duplicate, as Linux's runs do", () => {
    // Appended in order: one run of [0,8).
    expect(feed4([piece(0, 4, true), piece(4, 8, true), piece(2, 6, true)]).codes).toEqual([Q, Q, DUP]);
    // The other way round: two runs that touch.
    expect(feed4([piece(4, 8, true), piece(0, 4, true), piece(2, 6, true)]).codes).toEqual([Q, Q, BAD]);
  });

  it("drops everything when lengths contradict each other", () => {
    expect(feed4([piece(4, 6, false), piece(6, 8, true)]).codes).toEqual([Q, BAD]);
    expect(feed4([piece(4, 6, false), piece(6, 8, false)]).codes).toEqual([Q, BAD]);
    expect(feed4([piece(4, 8, true), piece(4, 6, false)]).codes).toEqual([Q, BAD]);
  });

  it("cuts a middle fragment of odd length back to a multiple of 8, and drops an empty one", () => {
    const odd = b.buildFrame([
      b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", id: 7, proto: 17, mf: true }),
      b.countingBytes(13),
    ]);
    expect(feed4([odd, piece(1, 2, false)]).codes).toEqual([Q, OK]);
    const tiny = b.buildFrame([
      b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", id: 7, proto: 17, mf: true }),
      "abc",
    ]);
    expect(feed4([tiny]).codes).toEqual([BAD]);
  });

  it("keeps datagrams apart by addresses, id, protocol, user and device", () => {
    const table = new f.FragTable();
    feed4([piece(0, 1, true)], table);
    feed4([piece(1, 2, false, { id: 8 })], table);
    feed4([piece(1, 2, false, { proto: 6 })], table);
    feed4([piece(1, 2, false, { src: "10.0.0.3" })], table);
    feed4([piece(1, 2, false, { dst: "10.0.0.3" })], table);
    feed4([piece(1, 2, false)], table, 1);
    expect(table.size).toBe(6);
    const p = piece(1, 2, false);
    expect(table.input4(view(p), 0, 0, 5, 0)).toBe(Q);
    expect(feed4([p], table).codes).toEqual([OK]);
  });

  it("merges ECN: CE wins over ECT, not-ECT must not mix", () => {
    const ecn = (a: number, c: number): unknown => {
      const { codes, whole } = feed4([piece(0, 1, true, { tos: a }), piece(1, 2, false, { tos: c })]);
      return whole === undefined ? codes[1] : whole[1];
    };
    expect([ecn(2, 3), ecn(1, 3), ecn(3, 3), ecn(2, 1), ecn(0xb8, 0xb8), ecn(0, 3), ecn(0, 2)]).toEqual([
      3,
      3,
      3,
      2,
      0xb8,
      BAD,
      BAD,
    ]);
  });

  it("sets DF on the whole when its largest fragment had it", () => {
    const df = (a: boolean, c: boolean): number =>
      feed4([piece(0, 4, true, { df: a }), piece(4, 5, false, { df: c })]).whole![6]!;
    expect([df(true, true), df(true, false), df(false, true), df(false, false)]).toEqual([0x40, 0x40, 0, 0]);
  });

  it("drops a datagram that would be longer than 65,535 bytes", () => {
    const full: Uint8Array[] = [];
    for (let at = 0; at < 8184; at += 1023) full.push(piece(at, Math.min(at + 1023, 8184), true));
    full.push(
      b.buildFrame([
        b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", id: 7, proto: 17, fragOffset: 65472 }),
        new Uint8Array(60),
      ]),
    );
    const { codes } = feed4(full);
    expect(codes.at(-1)).toBe(BAD);
  });

  it("gives up after 30 seconds and tells whether the first fragment had come", () => {
    const table = new f.FragTable();
    const p = piece(0, 1, true);
    const q = piece(1, 2, false, { id: 8 });
    table.input4(view(p), 0, 0, 0, 1000);
    table.input4(view(q), 0, 0, 0, 2000);
    expect(table.nextExpiry()).toBe(1000 + f.IP_FRAG_TIME_NS);
    const log: unknown[] = [];
    table.expire(1999 + f.IP_FRAG_TIME_NS, (x) => log.push([x.id, x.hasFirst]));
    expect([log, table.size, table.nextExpiry()]).toEqual([[[7, true]], 1, 2000 + f.IP_FRAG_TIME_NS]);
    table.expire(2000 + f.IP_FRAG_TIME_NS, (x) => log.push([x.id, x.hasFirst]));
    expect([log, table.size, table.nextExpiry()]).toEqual([
      [
        [7, true],
        [8, false],
      ],
      0,
      Number.POSITIVE_INFINITY,
    ]);
  });

  it("takes no more packets than it has room for", () => {
    const table = new f.FragTable(1);
    expect(feed4([piece(0, 1, true), piece(0, 1, true, { id: 8 })], table).codes).toEqual([
      Q,
      f.FRAG_NO_ROOM,
    ]);
    expect(feed4([piece(1, 2, false), piece(0, 1, true, { id: 8 })], table).codes).toEqual([OK, Q]);
  });

  it("remembers the sizes in which a packet arrived, for sending it on", () => {
    const table = new f.FragTable();
    feed4([piece(5, 9, false), piece(0, 2, true), piece(2, 5, true)], table);
    const plan = new f.FragPlan();
    expect(f.planOriginal(table.whole!, 20, 60, plan)).toBe(true);
    expect([[...plan.offset.slice(0, 3)], [...plan.length.slice(0, 3)]]).toEqual([
      [0, 16, 40],
      [16, 24, 32],
    ]);
    expect(f.planOriginal(table.whole!, 20, 51, plan)).toBe(false);
  });

  it("reuses queues: the same table reassembles any number of packets", () => {
    const table = new f.FragTable();
    for (let i = 0; i < 100; i++) {
      const { codes } = feed4([piece(0, 100, true, { id: i }), piece(100, 101, false, { id: i })], table);
      expect(codes).toEqual([Q, OK]);
    }
    expect(table.size).toBe(0);
  });

  it("keeps more fragments of one packet than it started with room for", () => {
    const parts = Array.from({ length: 200 }, (_, i) => piece(i * 2, i * 2 + 2, i < 199));
    const odd = parts.filter((_, i) => i % 2 === 1);
    const even = parts.filter((_, i) => i % 2 === 0);
    const { codes, whole } = feed4([...odd, ...even]);
    expect(codes.filter((x) => x !== Q)).toEqual([OK]);
    expect(whole!.slice(20)).toEqual(b.countingBytes(3200));
  });
});

describe("cutting and putting IPv6 together", () => {
  const base = b.ip6({ src: "fd00::1", dst: "fd00::2", tclass: 2 });
  const packet = b.buildFrame([
    base,
    b.ext6({ kind: 0 }),
    b.ext6({ kind: 60 }),
    b.udp({ src: 1, dst: 2 }),
    b.countingBytes(3000),
  ]);

  function cut(p: Uint8Array, mtu: number): Uint8Array[] {
    const w = new ipv6.ExtWalk();
    const unfrag = f.unfragmentableLen6(view(p), 0, p.length, w);
    const plan = new f.FragPlan();
    f.planFragments(unfrag + ipv6.FRAG_HLEN, p.length - unfrag, mtu, plan);
    return Array.from({ length: plan.count }, (_, i) => {
      const dst = new Uint8Array(2000);
      return dst.slice(0, f.writeFragment6(view(dst), 0, view(p), 0, w, plan, i, 0x01020304));
    });
  }

  function feed(
    list: Uint8Array[],
    table = new f.FragTable(),
  ): { codes: number[]; whole: Uint8Array | undefined } {
    let whole: Uint8Array | undefined;
    const w = new ipv6.ExtWalk();
    const codes = list.map((p) => {
      ipv6.walkExt(view(p), 0, p.length, w);
      const c = table.input6(view(p), 0, w.fragment, p.length, 0, 0, 0);
      if (c === OK) {
        const dst = new Uint8Array(70_000);
        whole = dst.slice(0, f.writeWhole(view(dst), 0, table.whole!));
      }
      return c;
    });
    return { codes, whole };
  }

  it("repeats hop-by-hop, routing and destination options not behind routing, then the fragment header", () => {
    const parts = cut(packet, 1280);
    const w = new ipv6.ExtWalk();
    const rows = parts.map((p) => {
      const v = view(p);
      ipv6.walkExt(v, 0, p.length, w);
      return [p.length, p[40], p[48], w.fragment, w.fragOff, ipv6.fragId(v, 56), ipv6.payloadLen(v, 0) + 40];
    });
    expect(rows).toEqual([
      [1280, 60, 44, 56, 1, 0x01020304, 1280],
      [1280, 60, 44, 56, 1216 | 1, 0x01020304, 1280],
      [640, 60, 44, 56, 2432, 0x01020304, 640],
    ]);
  });

  it("leaves a destination header behind a routing header to the fragmented part", () => {
    const p = b.buildFrame([
      base,
      b.ext6({ kind: 43, body: fromHex("0400")! }),
      b.ext6({ kind: 60 }),
      b.udp({ src: 1, dst: 2 }),
    ]);
    const w = new ipv6.ExtWalk();
    expect([f.unfragmentableLen6(view(p), 0, p.length, w), w.nexthdrAt, w.nexthdr]).toEqual([48, 40, 60]);
    const plain = b.buildFrame([base, b.udp({ src: 1, dst: 2 })]);
    expect([f.unfragmentableLen6(view(plain), 0, plain.length, w), w.nexthdrAt, w.nexthdr]).toEqual([
      40, 6, 17,
    ]);
  });

  it("gives back the packet whatever the order of its fragments", () => {
    const parts = cut(packet, 1280);
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 2, 0],
    ]) {
      const { codes, whole } = feed(order.map((i) => parts[i]!));
      expect(codes).toEqual([Q, Q, OK]);
      expect(toHex(whole!)).toBe(toHex(packet));
    }
  });

  it("refuses a fragment whose length is no multiple of 8 but keeps the others", () => {
    const frag = (offset: number, mf: boolean, n: number): Uint8Array =>
      b.buildFrame([
        b.ip6({ src: "fd00::1", dst: "fd00::2" }),
        b.frag6({ offset, mf, id: 9, nexthdr: 17 }),
        new Uint8Array(n),
      ]);
    expect(feed([frag(0, true, 16), frag(16, true, 13), frag(16, false, 13)]).codes).toEqual([
      Q,
      f.FRAG_BAD_LENGTH,
      OK,
    ]);
    expect(feed([frag(65528, false, 100)]).codes).toEqual([f.FRAG_TOO_LONG]);
    expect(feed([frag(0, true, 16), frag(8, true, 16)]).codes).toEqual([Q, BAD]);
  });

  it("keeps datagrams apart by addresses and id, and waits 60 seconds", () => {
    const frag = (src: string, id: number): Uint8Array =>
      b.buildFrame([
        b.ip6({ src, dst: "fd00::2" }),
        b.frag6({ offset: 8, mf: false, id, nexthdr: 17 }),
        new Uint8Array(8),
      ]);
    const table = new f.FragTable();
    feed([frag("fd00::1", 1), frag("fd00::1", 2), frag("fd00::3", 1)], table);
    expect([table.size, table.nextExpiry()]).toEqual([3, f.IPV6_FRAG_TIME_NS]);
    const seen: unknown[] = [];
    table.expire(f.IPV6_FRAG_TIME_NS, (q) => seen.push([q.isIp6, q.hasFirst, q.addrs[4]]));
    expect(seen).toEqual([0, 1, 2].map(() => [true, false, view(parseIpv6("fd00::2")).getInt32(0, true)]));
  });
});
