// Captures and fragments: what goes in comes out, in every byte order and every order of arrival; damaged files give
// one kind of error.

import { describe, expect, it } from "vitest";
import { isPodpathError } from "../../src/base/errors.js";
import * as b from "../../src/net/build.js";
import { readCapture } from "../../src/net/capture.js";
import * as f from "../../src/net/frag.js";
import * as ipv4 from "../../src/net/ipv4.js";
import * as ipv6 from "../../src/net/ipv6.js";
import { PcapReader, PcapWriter, readPcap, writePcap } from "../../src/net/pcap.js";
import { type PcapngPacket, PcapngReader, PcapngWriter, readPcapng } from "../../src/net/pcapng.js";
import { toHex } from "../../src/net/view.js";
import fc from "../support/fast_check.js";

const viewOf = (x: Uint8Array): DataView => new DataView(x.buffer, x.byteOffset, x.byteLength);
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const nsec = fc.integer({ min: 0, max: 999_999_999 });
const data = fc.uint8Array({ maxLength: 80 });
const text = fc.string({ unit: "grapheme", maxLength: 12 }).map((s) => s.replaceAll("\0", ""));

const packet = fc
  .tuple(u32, nsec, data, fc.integer({ min: 0, max: 1000 }))
  .map(([sec, ns, bytes, extra]) => ({
    sec,
    nsec: ns,
    bytes,
    origLen: bytes.length + extra,
  }));

/** Cuts a file at random places. */
function chunks(file: Uint8Array, cuts: number[]): Uint8Array[] {
  const at = [...new Set(cuts.map((x) => x % (file.length + 1)))].sort((x, y) => x - y);
  return [0, ...at].map((from, i) => file.subarray(from, at[i] ?? file.length));
}

const cutPlaces = fc.array(fc.nat(100_000), { maxLength: 8 });

describe("pcap", () => {
  it("gives back packets in both byte orders and resolutions, in chunks of any size", () => {
    fc.assert(
      fc.property(
        fc.array(packet, { maxLength: 8 }),
        fc.boolean(),
        fc.boolean(),
        fc.constantFrom(1, 101, 113, 228, 229, 276),
        cutPlaces,
        (packets, little, nano, linkType, cuts) => {
          const file = writePcap(packets, { little, nano, linkType });
          const want = packets.map((p) => (nano ? p : { ...p, nsec: Math.floor(p.nsec / 1000) * 1000 }));
          const whole = readPcap(file);
          expect(whole.packets).toEqual(want);
          expect([whole.header.little, whole.header.nano, whole.header.linkType, whole.truncated]).toEqual([
            little,
            nano,
            linkType,
            undefined,
          ]);
          const r = new PcapReader();
          const got: unknown[] = [];
          for (const c of chunks(file, cuts)) {
            r.push(c);
            for (let p = r.next(); p !== undefined; p = r.next()) got.push(p);
          }
          expect([got, r.finish()]).toEqual([want, undefined]);
          const w = new PcapWriter({ little, nano, linkType });
          const parts = [
            w.take(),
            ...packets.map((p) => {
              w.packet(p.sec, p.nsec, p.bytes, p.origLen);
              return w.take();
            }),
          ];
          expect(parts.map(toHex).join("")).toBe(toHex(file));
        },
      ),
    );
  });

  it("loses nothing of a file that ends early", () => {
    fc.assert(
      fc.property(fc.array(packet, { minLength: 1, maxLength: 4 }), fc.nat(), (packets, cut) => {
        const file = writePcap(packets);
        const end = 24 + (cut % (file.length - 24 + 1));
        const got = readPcap(file.subarray(0, end));
        let at = 24;
        const want: unknown[] = [];
        let broken = false;
        for (const p of packets) {
          const next = at + 16 + p.bytes.length;
          if (next <= end) want.push(p);
          else {
            if (at + 16 <= end) want.push({ ...p, bytes: p.bytes.slice(0, end - at - 16), truncated: true });
            broken = at < end;
            break;
          }
          at = next;
        }
        expect(got.packets).toEqual(want);
        expect(got.truncated?.offset).toBe(broken ? at : undefined);
      }),
    );
  });
});

const ngPacket = fc.record(
  {
    iface: fc.nat(2),
    base: packet,
    comments: fc.array(text, { minLength: 1, maxLength: 2 }),
    flags: u32,
    dropCount: fc.nat(),
    packetId: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    queue: u32,
    verdict: fc.record({ kind: fc.nat(255), value: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }) }),
  },
  { requiredKeys: ["iface", "base"] },
);

describe("pcapng", () => {
  it("gives back sections, interfaces and packets with their options, in both byte orders and any chunks", () => {
    const section = fc.record({
      comments: fc.array(text, { minLength: 1, maxLength: 2 }),
      packets: fc.array(ngPacket, { maxLength: 5 }),
      name: text,
    });
    fc.assert(
      fc.property(
        fc.array(section, { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        cutPlaces,
        (sections, little, cuts) => {
          const w = new PcapngWriter({ little, comments: sections[0]!.comments });
          const want = sections.map((s, i) => {
            if (i > 0) w.section({ comments: s.comments });
            for (let k = 0; k < 3; k++)
              w.addInterface({ name: `${s.name}${k}`, linkType: [1, 101, 276][k]! });
            const packets = s.packets.map(({ iface, base, ...o }): PcapngPacket => {
              w.packet(iface, base.sec, base.nsec, base.bytes, { origLen: base.origLen, ...o });
              return { interfaceIndex: iface, ...base, ...o };
            });
            return { comments: s.comments, names: [0, 1, 2].map((k) => `${s.name}${k}`), packets };
          });
          const file = w.take();
          const shape = (r: { sections: ReturnType<typeof readPcapng>["sections"] }): unknown =>
            r.sections.map((s) => ({
              comments: s.comments,
              names: s.interfaces.map((i) => i.name),
              packets: s.packets,
            }));
          expect(shape(readPcapng(file))).toEqual(want);
          const r = new PcapngReader();
          for (const c of chunks(file, cuts)) {
            r.push(c);
            while (r.next() !== undefined);
          }
          r.finish();
          expect([shape(r), r.truncated]).toEqual([want, undefined]);
        },
      ),
    );
  });

  it("keeps times at every resolution that the file can hold", () => {
    const resolution = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0x80, max: 0x80 + 29 }));
    fc.assert(
      fc.property(
        resolution,
        fc.nat(0x7fffffff),
        fc.nat(),
        fc.option(fc.integer({ min: -1000, max: 1000 }), { nil: undefined }),
        (tsresol, sec, frac, tsoffset) => {
          // A time before the offset has no count of units.
          fc.pre(sec >= (tsoffset ?? 0));
          const per = (tsresol & 0x80) !== 0 ? 2 ** (tsresol & 0x7f) : 10 ** tsresol;
          const units = frac % per;
          const time = { sec, nsec: Math.floor((units * 1e9) / per) };
          const w = new PcapngWriter();
          w.addInterface({ tsresol, ...(tsoffset !== undefined ? { tsoffset } : {}) });
          w.packet(0, time.sec, time.nsec, new Uint8Array(0));
          const p = readPcapng(w.take()).sections[0]!.packets[0]!;
          expect([p.sec, p.nsec]).toEqual([time.sec, time.nsec]);
        },
      ),
    );
  });
});

describe("damaged captures", () => {
  const good = fc.boolean().chain((ng) =>
    fc.tuple(fc.array(packet, { maxLength: 3 }), fc.boolean()).map(([packets, little]) => {
      if (!ng) return writePcap(packets, { little });
      const w = new PcapngWriter({ little, application: "x", comments: ["y"] });
      w.addInterface({ name: "eth0", description: "z" });
      for (const p of packets) w.packet(0, p.sec, p.nsec, p.bytes, { flags: 1, comments: ["c"] });
      w.names([{ address: "10.0.0.1", names: ["a", "b"] }]);
      w.statistics({ interfaceIndex: 0, time: { sec: 1, nsec: 2 }, received: 3n });
      return w.take();
    }),
  );

  it("give packets or one PCAP_INVALID error that names a byte, never anything else", () => {
    fc.assert(
      fc.property(
        good,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 5 }),
        fc.option(fc.nat(), { nil: undefined }),
        (file, edits, cut) => {
          const bad = file.slice(0, cut === undefined ? file.length : cut % (file.length + 1));
          for (const [at, v] of edits) if (bad.length > 0) bad[at % bad.length] = v;
          try {
            readCapture(bad);
          } catch (e) {
            expect(isPodpathError(e) && e.code === "PCAP_INVALID" && /at byte \d+$/.test(e.message)).toBe(
              true,
            );
          }
        },
      ),
      { numRuns: 5000 },
    );
  });
});

// ---- fragments --------------------------------------------------------------------------------------------------

const shuffled = (n: number) =>
  fc.shuffledSubarray(
    Array.from({ length: n }, (_, i) => i),
    { minLength: n, maxLength: n },
  );

describe("fragments", () => {
  it("of an IPv4 packet give it back in any order, with repeats in between", () => {
    const optionList = fc.constantFrom(
      "",
      "01010100",
      "07070400000000",
      "9404000007070400000000",
      "0101018304000000",
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4000 }),
        fc.integer({ min: 68, max: 1500 }),
        optionList,
        fc.nat(255),
        fc.infiniteStream(fc.nat()),
        (n, mtu, opts, tos, rnd) => {
          const options = Uint8Array.from({ length: opts.length / 2 }, (_, i) =>
            Number.parseInt(opts.slice(2 * i, 2 * i + 2), 16),
          );
          const packetBytes = b.buildFrame([
            b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", id: n, tos, proto: 17, options }),
            b.countingBytes(n),
          ]);
          const v = viewOf(packetBytes);
          const hl = ipv4.hlen(v, 0);
          const plan = new f.FragPlan();
          expect(f.planFragments(hl, n, mtu, plan)).toBe(true);
          fc.pre(plan.count > 1);
          const parts = Array.from({ length: plan.count }, (_, i) => {
            const dst = new Uint8Array(mtu);
            return dst.slice(0, f.writeFragment4(viewOf(dst), 0, v, 0, plan, i, false));
          });
          for (const p of parts) expect([p.length <= mtu, ipv4.checkOk(viewOf(p), 0)]).toEqual([true, true]);
          const order = parts.map((_, i) => i).sort(() => (rnd.next().value % 2 === 0 ? 1 : -1));
          const table = new f.FragTable();
          let whole: string | undefined;
          for (const i of order) {
            const p = parts[i]!;
            const code = table.input4(viewOf(p), 0, 0, 0, 0);
            if (code === f.FRAG_COMPLETE) {
              const dst = new Uint8Array(f.wholeLength(table.whole!));
              f.writeWhole(viewOf(dst), 0, table.whole!);
              whole = toHex(dst);
            } else {
              expect(code).toBe(f.FRAG_QUEUED);
              expect(table.input4(viewOf(p), 0, 0, 0, 0)).toBe(f.FRAG_DUPLICATE);
            }
          }
          expect([whole, table.size]).toEqual([toHex(packetBytes), 0]);
        },
      ),
    );
  });

  it("of fragments are fragments of the same packet", () => {
    fc.assert(
      fc.property(fc.integer({ min: 600, max: 3000 }), shuffled(6), (n, order) => {
        const packetBytes = b.buildFrame([
          b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", id: 1, proto: 17 }),
          b.countingBytes(n),
        ]);
        const cut = (p: Uint8Array, mtu: number): Uint8Array[] => {
          const plan = new f.FragPlan();
          f.planFragments(20, p.length - 20, mtu, plan);
          return Array.from({ length: plan.count }, (_, i) => {
            const dst = new Uint8Array(mtu);
            return dst.slice(0, f.writeFragment4(viewOf(dst), 0, viewOf(p), 0, plan, i, false));
          });
        };
        const parts = cut(packetBytes, 576).flatMap((p) => cut(p, 300));
        const table = new f.FragTable();
        let done = "";
        const sequence = [...order.filter((i) => i < parts.length), ...parts.keys()].filter(
          (x, i, l) => l.indexOf(x) === i,
        );
        for (const i of sequence) {
          if (table.input4(viewOf(parts[i]!), 0, 0, 0, 0) === f.FRAG_COMPLETE) {
            const dst = new Uint8Array(f.wholeLength(table.whole!));
            f.writeWhole(viewOf(dst), 0, table.whole!);
            done = toHex(dst);
          }
        }
        expect(done).toBe(toHex(packetBytes));
      }),
    );
  });

  it("of an IPv6 packet give it back, whatever extension headers it has", () => {
    const ext = fc.subarray([0, 60, 43]);
    fc.assert(
      fc.property(
        fc.integer({ min: 1300, max: 5000 }),
        fc.integer({ min: 1280, max: 1500 }),
        ext,
        fc.nat(),
        (n, mtu, kinds, turn) => {
          const p = b.buildFrame([
            b.ip6({ src: "fd00::1", dst: "fd00::2" }),
            ...kinds.map((kind) => b.ext6({ kind, ...(kind === 43 ? { body: Uint8Array.of(4, 0) } : {}) })),
            b.udp({ src: 1, dst: 2 }),
            b.countingBytes(n),
          ]);
          const w = new ipv6.ExtWalk();
          const unfrag = f.unfragmentableLen6(viewOf(p), 0, p.length, w);
          const plan = new f.FragPlan();
          expect(f.planFragments(unfrag + 8, p.length - unfrag, mtu, plan)).toBe(true);
          fc.pre(plan.count > 1);
          const table = new f.FragTable();
          const walk = new ipv6.ExtWalk();
          let done = "";
          for (let i = 0; i < plan.count; i++) {
            const dst = new Uint8Array(mtu);
            const len = f.writeFragment6(viewOf(dst), 0, viewOf(p), 0, w, plan, (i + turn) % plan.count, 77);
            expect(len <= mtu).toBe(true);
            ipv6.walkExt(viewOf(dst), 0, len, walk);
            const code = table.input6(viewOf(dst), 0, walk.fragment, len, 0, 0, 0);
            expect(code).toBe(i + 1 < plan.count ? f.FRAG_QUEUED : f.FRAG_COMPLETE);
            if (code === f.FRAG_COMPLETE) {
              const out = new Uint8Array(f.wholeLength(table.whole!));
              f.writeWhole(viewOf(out), 0, table.whole!);
              done = toHex(out);
            }
          }
          expect(done).toBe(toHex(p));
        },
      ),
    );
  });

  it("at random never overlap in what is kept, and a whole packet holds exactly their bytes", () => {
    const frag = fc.record({ from: fc.nat(12), n: fc.integer({ min: 1, max: 6 }), more: fc.boolean() });
    fc.assert(
      fc.property(fc.array(frag, { minLength: 1, maxLength: 14 }), (list) => {
        const table = new f.FragTable();
        let kept: { from: number; to: number }[] = [];
        for (const { from, n, more } of list) {
          const p = b.buildFrame([
            b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", id: 1, proto: 17, fragOffset: from * 8, mf: more }),
            b.countingBytes(n * 8, from * 8),
          ]);
          const code = table.input4(viewOf(p), 0, 0, 0, 0);
          const meets = kept.some((k) => from < k.to && k.from < from + n);
          if (code === f.FRAG_QUEUED || code === f.FRAG_COMPLETE) {
            expect(meets).toBe(false);
            kept.push({ from, to: from + n });
          } else if (code === f.FRAG_DUPLICATE) {
            for (let u = from; u < from + n; u++)
              expect(kept.some((k) => k.from <= u && u < k.to)).toBe(true);
          } else {
            expect(code).toBe(f.FRAG_DISCARDED);
            kept = [];
          }
          expect(table.size).toBe(code === f.FRAG_QUEUED || code === f.FRAG_DUPLICATE ? 1 : 0);
          if (code === f.FRAG_COMPLETE) {
            const end = Math.max(...kept.map((k) => k.to)) * 8;
            const out = new Uint8Array(f.wholeLength(table.whole!));
            f.writeWhole(viewOf(out), 0, table.whole!);
            expect(toHex(out.slice(20))).toBe(toHex(b.countingBytes(end)));
            kept = [];
          }
        }
      }),
      { numRuns: 2000 },
    );
  });
});
