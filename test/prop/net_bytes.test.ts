// Addresses, checksums, headers, dissector and one-line texts against independent references and random bytes.

import { isIPv4, isIPv6 } from "node:net";
import { describe, expect, it } from "vitest";
import * as a from "../../src/net/address.js";
import * as b from "../../src/net/build.js";
import * as c from "../../src/net/checksum.js";
import { describeFrame, TcpSequences } from "../../src/net/describe.js";
import { dissect, dissectFrame, FlowKeys } from "../../src/net/dissect.js";
import * as ipv4 from "../../src/net/ipv4.js";
import * as ipv6 from "../../src/net/ipv6.js";
import { jhash, jhash2 } from "../../src/net/jhash.js";
import { flowHashFromKeys, frameHash, udp_flow_src_port } from "../../src/net/skb_hash.js";
import * as tcp from "../../src/net/tcp.js";
import { equalBytes, fromHex, toHex } from "../../src/net/view.js";
import fc from "../support/fast_check.js";

const viewOf = (x: Uint8Array): DataView => new DataView(x.buffer, x.byteOffset, x.byteLength);
const u8 = fc.integer({ min: 0, max: 255 });
const u16 = fc.integer({ min: 0, max: 65535 });
const i32 = fc.integer({ min: -0x80000000, max: 0x7fffffff });
const bytes = (n: number) => fc.uint8Array({ minLength: n, maxLength: n });
const upTo = (n: number) => fc.uint8Array({ maxLength: n });

describe("addresses", () => {
  it("come back from their text", () => {
    fc.assert(
      fc.property(i32, bytes(16), bytes(6), (v4, v6, mac) => {
        expect(a.parseIpv4(a.formatIpv4(v4))).toBe(v4);
        expect(a.parseIpv6(a.formatIpv6(v6))).toEqual(v6);
        expect(a.parseMac(a.formatMac(mac))).toEqual(mac);
        expect(fromHex(toHex(v6))).toEqual(v6);
        expect(a.htonl(a.ntohl(v4))).toBe(v4);
      }),
    );
  });

  it("with many zero groups are written as a browser writes them", () => {
    const group = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, u16);
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const raw = groups.map((g) => g.toString(16)).join(":");
        const v6 = a.parseIpv6(raw);
        const mapped = groups.slice(0, 5).every((g) => g === 0) && groups[5] === 0xffff;
        fc.pre(!mapped);
        expect(a.formatIpv6(v6)).toBe(new URL(`http://[${raw}]/`).hostname.slice(1, -1));
      }),
    );
  });

  it("are told from other text as Node tells them", () => {
    const piece = fc.constantFrom(
      "0",
      "1",
      "ff",
      "ffff",
      "10000",
      ":",
      "::",
      ".",
      "1.2.3.4",
      "256",
      "a",
      "g",
      "01",
      "%0",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (parts) => {
        const t = parts.join("");
        expect(a.tryParseIpv4(t) !== undefined).toBe(isIPv4(t));
        // A zone is not part of an address here.
        expect(a.tryParseIpv6(t) !== undefined).toBe(isIPv6(t) && !t.includes("%"));
      }),
      { numRuns: 2000 },
    );
  });

  it("lie in a prefix exactly when their first bits agree", () => {
    const bits = (x: Uint8Array): string => [...x].map((v) => v.toString(2).padStart(8, "0")).join("");
    fc.assert(
      fc.property(bytes(16), bytes(16), fc.integer({ min: 0, max: 128 }), u8, (p, x, len, same) => {
        x.set(p.subarray(0, same % 17));
        expect(a.contains6(p, len, x)).toBe(bits(p).slice(0, len) === bits(x).slice(0, len));
        const [p4, x4] = [viewOf(p).getInt32(0, true), viewOf(x).getInt32(0, true)];
        const len4 = len % 33;
        const want = bits(p).slice(0, len4) === bits(x).slice(0, len4);
        expect(
          a.cidrContains({ family: 4, addr: p4 as never, len: len4 }, { family: 4, addr: x4 as never }),
        ).toBe(want);
      }),
    );
  });
});

/** The checksum as the RFC defines it, on big-endian words, with a bigint for a sum. */
function referenceChecksum(x: Uint8Array): number {
  let s = 0n;
  for (let i = 0; i < x.length; i += 2) s += BigInt((x[i]! << 8) | (x[i + 1] ?? 0));
  while (s > 0xffffn) s = (s & 0xffffn) + (s >> 16n);
  return Number(~s & 0xffffn);
}

/** 0 and 0xffff are the same number to a ones' complement sum. */
const oneZero = (x: number): number => (x === 0xffff ? 0 : x);

describe("checksums", () => {
  it("equal the definition for any bytes at any offset", () => {
    fc.assert(
      fc.property(upTo(3000), fc.integer({ min: 0, max: 9 }), (data, pad) => {
        const buf = new Uint8Array(pad + data.length + 3).fill(0xa5);
        buf.set(data, pad);
        expect(c.checksum(viewOf(buf), pad, data.length)).toBe(referenceChecksum(data));
      }),
    );
  });

  it("are joined from any split", () => {
    fc.assert(
      fc.property(upTo(200), u16, (data, cut) => {
        const at = data.length === 0 ? 0 : cut % data.length;
        const v = viewOf(data);
        const joined = c.csum_block_add(
          c.csum_partial(v, 0, at, 0),
          c.csum_partial(v, at, data.length - at, 0),
          at,
        );
        expect(oneZero(c.csum_fold(joined))).toBe(oneZero(c.csum_fold(c.csum_partial(v, 0, data.length, 0))));
      }),
    );
  });

  it("updated in place equal those computed anew", () => {
    fc.assert(
      fc.property(
        bytes(40),
        i32,
        u16,
        bytes(16),
        fc.integer({ min: 1, max: 4 }),
        (data, word, half, block, at) => {
          const v = viewOf(data);
          const fresh = (): number => {
            const copy = data.slice();
            viewOf(copy).setUint16(0, 0);
            return oneZero(referenceChecksum(copy));
          };
          v.setUint16(0, 0);
          v.setUint16(0, c.checksum(v, 0, 40));
          c.csum_replace4(v, 0, v.getInt32(4 * at, true), word);
          v.setInt32(4 * at, word, true);
          expect(oneZero(v.getUint16(0))).toBe(fresh());
          c.csum_replace2(v, 0, v.getUint16(2 * at, true), half);
          v.setUint16(2 * at, half, true);
          expect(oneZero(v.getUint16(0))).toBe(fresh());
          c.csum_replace16(v, 0, v, 20, viewOf(block), 0);
          data.set(block, 20);
          expect(oneZero(v.getUint16(0))).toBe(fresh());
          const was = v.getInt32(8, true);
          c.csum_replace_by_diff(v, 0, c.csum_diff4(was, word ^ was, 0));
          v.setInt32(8, word ^ was, true);
          expect(oneZero(v.getUint16(0))).toBe(fresh());
        },
      ),
    );
  });

  it("of a header stay right while its TTL counts down", () => {
    fc.assert(
      fc.property(u16, u16, i32, i32, fc.integer({ min: 2, max: 255 }), (id, len, src, dst, ttl) => {
        const v = new DataView(new ArrayBuffer(20));
        ipv4.write(v, 0, 0, len, id, 0, ttl, 17, src, dst);
        for (let t = ttl - 1; t > 0; t--) {
          expect(c.ip_decrease_ttl(v, 0)).toBe(t);
          expect(ipv4.checkOk(v, 0)).toBe(true);
        }
      }),
      { numRuns: 50 },
    );
  });
});

const mac = bytes(6);
const ip4Fields = fc.record({
  src: i32,
  dst: i32,
  tos: u8,
  id: u16,
  df: fc.boolean(),
  mf: fc.boolean(),
  fragOffset: fc.integer({ min: 0, max: 8191 }).map((x) => x * 8),
  ttl: u8,
  proto: u8,
  options: upTo(40),
});

describe("built frames", () => {
  it("read back field by field: Ethernet and IPv4", () => {
    fc.assert(
      fc.property(mac, mac, ip4Fields, upTo(100), (src, dst, f, data) => {
        const frame = b.buildFrame([b.eth({ src, dst }), b.ip4(f), data]);
        const v = viewOf(frame);
        expect([frame.slice(0, 6), frame.slice(6, 12)]).toEqual([dst, src]);
        const pad = (f.options.length + 3) & ~3;
        const g = new b.Ipv4Fields();
        b.readIpv4(v, 14, g);
        expect({ ...g }).toEqual({
          tos: f.tos,
          totLen: 20 + pad + data.length,
          id: f.id,
          fragOff: (f.df ? 0x4000 : 0) | (f.mf ? 0x2000 : 0) | (f.fragOffset >> 3),
          ttl: f.ttl,
          protocol: f.proto,
          saddr: f.src,
          daddr: f.dst,
        });
        expect([ipv4.hlen(v, 14), ipv4.checkOk(v, 14)]).toEqual([20 + pad, true]);
        expect(equalBytes(frame, 34 + pad, data, 0, data.length)).toBe(true);
      }),
    );
  });

  it("read back field by field: IPv6 and TCP with its options", () => {
    const opt = fc.record({
      mss: fc.option(u16, { nil: -1 }),
      wscale: fc.option(fc.integer({ min: 0, max: 14 }), { nil: -1 }),
      sackOk: fc.boolean(),
      ts: fc.option(fc.tuple(i32, i32), { nil: undefined }),
    });
    fc.assert(
      fc.property(
        bytes(16),
        bytes(16),
        u16,
        u16,
        i32,
        i32,
        u8,
        opt,
        upTo(50),
        (src, dst, sp, dp, seq, ack, flags, o, data) => {
          const frame = b.buildFrame([
            b.ip6({ src, dst, tclass: flags, flowLabel: sp }),
            b.tcp({
              src: sp,
              dst: dp,
              seq,
              ack,
              flags,
              sackOk: o.sackOk,
              ...(o.mss >= 0 ? { mss: o.mss } : {}),
              ...(o.wscale >= 0 ? { wscale: o.wscale } : {}),
              ...(o.ts ? { timestamp: o.ts } : {}),
            }),
            data,
          ]);
          const v = viewOf(frame);
          expect([
            ipv6.version(v, 0),
            ipv6.tclass(v, 0),
            ipv6.flowLabel(v, 0),
            ipv6.payloadLen(v, 0) + 40,
          ]).toEqual([6, flags, sp, frame.length]);
          expect([frame.slice(8, 24), frame.slice(24, 40)]).toEqual([src, dst]);
          expect([
            tcp.source(v, 40),
            tcp.dest(v, 40),
            tcp.seq(v, 40),
            tcp.ackSeq(v, 40),
            tcp.flags(v, 40),
          ]).toEqual([sp, dp, seq, ack, flags]);
          expect(tcp.checkOk(v, 0, 40, frame.length - 40)).toBe(true);
          const got = new tcp.TcpOptions();
          expect(tcp.parseOptions(v, 40, got)).toBe(true);
          expect([got.mss, got.wscale, got.sackOk, got.hasTimestamp, got.tsval, got.tsecr]).toEqual([
            o.mss,
            o.wscale,
            o.sackOk,
            o.ts !== undefined,
            o.ts?.[0] ?? 0,
            o.ts?.[1] ?? 0,
          ]);
          // Writing what was read gives the same header.
          const again = new Uint8Array(60);
          again.set(frame.subarray(40, 60));
          const n = 20 + tcp.writeOptions(viewOf(again), 0, got);
          expect(toHex(again.slice(0, n))).toBe(toHex(frame.slice(40, 40 + n)));
        },
      ),
    );
  });

  it("are dissected to what they were built from", () => {
    const l4 = fc.constantFrom("tcp", "udp", "sctp");
    fc.assert(
      fc.property(
        i32,
        i32,
        u16,
        u16,
        l4,
        fc.boolean(),
        fc.integer({ min: 0, max: 2 }),
        (src, dst, sp, dp, kind, six, tags) => {
          const t =
            kind === "tcp"
              ? b.tcp({ src: sp, dst: dp })
              : kind === "udp"
                ? b.udp({ src: sp, dst: dp })
                : b.sctp({ src: sp, dst: dp });
          const s6 = new Uint8Array(16);
          viewOf(s6).setInt32(12, src, true);
          const ip = six ? b.ip6({ src: s6, dst: new Uint8Array(16).fill(7) }) : b.ip4({ src, dst });
          const eth = b.eth({
            src: "02:00:00:00:00:01",
            dst: "02:00:00:00:00:02",
            vlan: [5, 6].slice(0, tags),
          });
          const frame = b.buildFrame([eth, ip, t]);
          const k = new FlowKeys();
          expect(dissectFrame(viewOf(frame), 0, frame.length, k, 0)).toBe(true);
          expect([k.family, k.ipProto, k.sport, k.dport, k.vlanTci]).toEqual([
            six ? 6 : 4,
            { tcp: 6, udp: 17, sctp: 132 }[kind],
            a.htons(sp),
            a.htons(dp),
            tags > 0 ? 5 : -1,
          ]);
          expect(six ? k.v6[3] : k.saddr).toBe(src);
          const h = frameHash(viewOf(frame), 0, frame.length, 1);
          expect(h).toBe(flowHashFromKeys(k, 1));
          const port = udp_flow_src_port(h, 32768, 60999);
          expect(port >= 32768 && port < 60999).toBe(true);
        },
      ),
    );
  });
});

/** Frames that begin like real ones, then anything: the tail is random and some bytes are replaced. */
const SEEDS: Uint8Array[] = (() => {
  const e = b.eth({ src: "02:00:00:00:00:01", dst: "02:00:00:00:00:02" });
  const i4 = b.ip4({ src: "10.0.0.1", dst: "10.0.0.2" });
  const i6 = b.ip6({ src: "fd00::1", dst: "fd00::2" });
  const udp = b.udp({ src: 1, dst: 2 });
  const quoted = b.buildFrame([i4, udp]);
  return [
    [
      e,
      i4,
      b.tcp({ src: 1, dst: 80, mss: 1460, sackOk: true, timestamp: [1, 2], wscale: 7, flags: 0x12 }),
      "GET / HTTP/1.1\r\n",
    ],
    [e, i6, b.ext6({ kind: 0 }), b.ext6({ kind: 43 }), b.frag6({ offset: 0, mf: true, id: 1 }), udp],
    [
      e,
      b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", options: fromHex("0707040000000000")! }),
      b.icmp({ type: 3, code: 3 }),
      quoted,
    ],
    [e, i4, i4, udp],
    [e, i4, i6, udp],
    [
      e,
      b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", proto: 47 }),
      fromHex("b0006558000000000000000500000006")!,
      e,
      i4,
      udp,
    ],
    [e, i4, b.udp({ src: 1, dst: 4789 }), b.vxlan(1), e, i4, udp],
    [
      e,
      i4,
      b.udp({ src: 1, dst: 6081 }),
      b.geneve({ vni: 1, options: fromHex("014b810200000001")! }),
      e,
      i4,
      udp,
    ],
    [e, i4, b.sctp({ src: 1, dst: 2 }), fromHex("00030014000000010001000200000000616200000a000004")!],
    [e, i6, b.icmp6({ type: 135 }), new Uint8Array(24)],
    [e, b.arp({ sha: "02:00:00:00:00:01", spa: "10.0.0.1", tpa: "10.0.0.2" })],
    [e, b.ip4({ src: "10.0.0.1", dst: "224.0.0.1", proto: 2 }), fromHex("1164000000000000027d0000")!],
    [
      b.eth({ src: "02:00:00:00:00:01", dst: "02:00:00:00:00:02", vlan: [1, 2] }),
      i6,
      b.ext6({ kind: 60 }),
      b.tcp({ src: 1, dst: 2 }),
    ],
  ].map((l) => b.buildFrame(l));
})();

const mutated = fc
  .tuple(
    fc.constantFrom(...SEEDS),
    fc.array(fc.tuple(u16, u8), { maxLength: 6 }),
    fc.option(u16, { nil: -1 }),
    upTo(20),
  )
  .map(([seed, edits, cut, tail]) => {
    const f = seed.slice();
    for (const [at, v] of edits) f[at % f.length] = v;
    const head = cut < 0 ? f : f.subarray(0, cut % (f.length + 1));
    const out = new Uint8Array(head.length + tail.length);
    out.set(head);
    out.set(tail, head.length);
    return out;
  });

const anything = fc.oneof({ weight: 1, arbitrary: upTo(120) }, { weight: 4, arbitrary: mutated });

describe("random and mutated bytes", () => {
  it("are dissected without a read outside the packet, and bytes behind it change nothing", () => {
    const k1 = new FlowKeys();
    const k2 = new FlowKeys();
    fc.assert(
      fc.property(anything, fc.integer({ min: 0, max: 7 }), u8, (f, flags, junk) => {
        // A view of exactly the frame: a read outside throws.
        const exact = f.slice();
        const ok = dissectFrame(viewOf(exact), 0, exact.length, k1, flags);
        const wide = new Uint8Array(f.length + 64).fill(junk);
        wide.set(f, 16);
        expect(dissectFrame(viewOf(wide), 16, 16 + f.length, k2, flags)).toBe(ok);
        expect({ ...k2, nhoff: k2.nhoff < 0 ? -1 : k2.nhoff - 16, thoff: k2.thoff - 16 }).toEqual({ ...k1 });
        expect(k1.thoff <= f.length).toBe(true);
        for (const proto of [0x0800, 0x86dd, 0x8100])
          dissect(viewOf(exact), 0, exact.length, proto, k1, flags);
      }),
      { numRuns: 20_000 },
    );
  });

  it("give one line of text, whatever the link type", () => {
    const sequences = new TcpSequences();
    fc.assert(
      fc.property(
        anything,
        fc.constantFrom(1, 101, 113, 276),
        fc.boolean(),
        fc.boolean(),
        (f, linkType, ether, relative) => {
          const line = describeFrame(f, { linkType, ether, ...(relative ? { sequences } : {}) });
          expect(line.length > 0 && !/[\n\r]/.test(line)).toBe(true);
        },
      ),
      { numRuns: 20_000 },
    );
  });

  it("are validated and walked without a read outside the packet", () => {
    const w = new ipv6.ExtWalk();
    const o = new tcp.TcpOptions();
    fc.assert(
      fc.property(anything, (f) => {
        const p = f.slice(Math.min(14, f.length));
        const v = viewOf(p);
        if (ipv4.validate(v, 0, p.length) === 0) {
          for (let at = 20; ; at = ipv4.optionEnd(v, at)) {
            at = ipv4.findOption(v, 0, at, -1);
            if (at < 0) break;
            expect(at < ipv4.hlen(v, 0)).toBe(true);
          }
        }
        if (p.length >= 40) {
          ipv6.walkExt(v, 0, p.length, w);
          expect(w.offset <= p.length).toBe(true);
        }
        if (p.length >= 20 && tcp.hlen(v, 0) <= p.length) {
          tcp.parseOptions(v, 0, o);
          expect(tcp.mssAt(v, 0) < p.length).toBe(true);
        }
      }),
      { numRuns: 5000 },
    );
  });
});

describe("jhash", () => {
  it("over words equals jhash over their bytes", () => {
    fc.assert(
      fc.property(fc.array(i32, { maxLength: 20 }), i32, (list, seed) => {
        const words = Int32Array.from(list);
        expect(jhash2(words, 0, words.length, seed)).toBe(
          jhash(new Uint8Array(words.buffer), 0, 4 * words.length, seed),
        );
      }),
    );
  });
});
