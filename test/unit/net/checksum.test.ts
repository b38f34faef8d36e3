import { describe, expect, it } from "vitest";
import { parseIpv4 } from "../../../src/net/address.js";
import { buildFrame, ip4, ip6, tcp, udp } from "../../../src/net/build.js";
import * as c from "../../../src/net/checksum.js";
import * as ipv4 from "../../../src/net/ipv4.js";
import { fromHex } from "../../../src/net/view.js";

const view = (hex: string): DataView => new DataView(fromHex(hex.replace(/ /g, ""))!.buffer as ArrayBuffer);

describe("checksum: whole sums", () => {
  it("gives the example of RFC 1071 section 3", () => {
    expect(c.checksum(view("0001 f203 f4f5 f6f7"), 0, 8)).toBe(0x220d);
  });

  it("counts an odd last byte as if a zero followed", () => {
    expect(c.checksum(view("0001 f203 f4"), 0, 5)).toBe(c.checksum(view("0001 f203 f400"), 0, 6));
    expect(c.checksum(view("ff"), 0, 1)).toBe(0x00ff);
    expect(c.checksum(view(""), 0, 0)).toBe(0xffff);
  });

  it("does not depend on where in the buffer the data starts", () => {
    const v = view("aabb 0001 f203 f4f5 f6f7");
    expect(c.checksum(v, 2, 8)).toBe(0x220d);
    expect(c.checksum(view("aa 0001 f203 f4f5 f6f7"), 1, 8)).toBe(0x220d);
  });

  it("sums more than 32 KiB without losing carries", () => {
    const big = new DataView(new Uint8Array(65534).fill(0xff).buffer);
    expect(c.checksum(big, 0, 65534)).toBe(0);
    expect(c.checksum(big, 0, 65533)).toBe(0x00ff);
  });

  it("joins sums of ranges that start at an odd place", () => {
    const v = view("01020304 05060708 09");
    const a = c.csum_partial(v, 0, 3, 0);
    const b = c.csum_partial(v, 3, 6, 0);
    expect(c.csum_fold(c.csum_block_add(a, b, 3))).toBe(c.csum_fold(c.csum_partial(v, 0, 9, 0)));
  });

  it("verifies the header of a recorded packet and of one with options", () => {
    const plain = view("4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7");
    expect(ipv4.checkOk(plain, 0)).toBe(true);
    plain.setUint8(8, 0x3f);
    expect(ipv4.checkOk(plain, 0)).toBe(false);
    ipv4.updateCheck(plain, 0);
    expect(ipv4.check(plain, 0)).toBe(0xb961);
    const f = buildFrame([ip4({ src: "10.0.0.1", dst: "10.0.0.2", options: fromHex("9404000001")! })]);
    const v = new DataView(f.buffer);
    expect([ipv4.hlen(v, 0), ipv4.checkOk(v, 0)]).toEqual([28, true]);
  });

  it("computes the two header checksums of the published ping, sent with TTL 64", () => {
    const header = (src: string, dst: string, id: number, df: boolean): DataView =>
      new DataView(buildFrame([ip4({ src, dst, id, df, proto: 1 }), new Uint8Array(64)]).buffer);
    const request = header("10.0.0.85", "10.0.1.124", 45716, true);
    expect([c.ip_decrease_ttl(request, 0), c.ip_decrease_ttl(request, 0)]).toEqual([63, 62]);
    expect(ipv4.check(request, 0)).toBe(29764);
    const reply = header("10.0.1.124", "10.0.0.85", 48973, false);
    expect(c.ip_decrease_ttl(reply, 0)).toBe(63);
    expect(ipv4.check(reply, 0)).toBe(42635);
  });
});

describe("checksum: pseudo headers", () => {
  it("covers IPv4 addresses, protocol and length", () => {
    const f = buildFrame([ip4({ src: "10.0.0.1", dst: "10.0.0.2" }), udp({ src: 1234, dst: 53 }), "abc"]);
    const v = new DataView(f.buffer);
    // By hand: a000+1 a000+2 0011 000b 04d2 0035 000b 6162 6300 -> complement.
    const words = [0x0a00, 1, 0x0a00, 2, 17, 11, 1234, 53, 11, 0x6162, 0x6300];
    const s = words.reduce((x, y) => x + y, 0);
    expect(v.getUint16(26)).toBe(~((s & 0xffff) + (s >> 16)) & 0xffff);
    expect(c.l4Checksum(v, 0, 20, 11, 17)).toBe(0);
  });

  it("covers IPv6 addresses, protocol and length", () => {
    const f = buildFrame([ip6({ src: "fd00::1", dst: "fd00::2" }), tcp({ src: 1, dst: 2 }), "odd"]);
    const v = new DataView(f.buffer);
    expect(c.l4Checksum(v, 0, 40, 23, 6)).toBe(0);
    v.setUint8(23, 9);
    expect(c.l4Checksum(v, 0, 40, 23, 6)).not.toBe(0);
  });

  it("sends a UDP sum of zero as 0xffff", () => {
    // Ports chosen so that everything sums to 0xffff.
    const f = buildFrame([
      ip4({ src: "0.0.0.1", dst: "0.0.0.2" }),
      udp({ src: 0xffff - 3 - 17 - 8 - 8 - 9, dst: 9 }),
    ]);
    expect(new DataView(f.buffer).getUint16(26)).toBe(0xffff);
  });
});

describe("checksum: updates", () => {
  it("csum_replace2 and csum_replace4 give the kernel's result, 0xffff and 0x0000 included", () => {
    const v = new DataView(new ArrayBuffer(2));
    v.setUint16(0, 0x0000, true);
    c.csum_replace2(v, 0, 0x0000, 0x0000);
    // ~0 + ~0 + 0 carries round to 0xffff, whose complement is 0.
    expect(v.getUint16(0, true)).toBe(0x0000);
    v.setUint16(0, 0xffff, true);
    c.csum_replace2(v, 0, 0x0000, 0x0000);
    // ~0xffff = 0, + 0xffff + 0 = 0xffff, complement 0: the other zero is not kept.
    expect(v.getUint16(0, true)).toBe(0x0000);
    v.setUint16(0, 0x1234, true);
    c.csum_replace4(v, 0, 0x0100007f, 0x0200007f);
    expect(v.getUint16(0, true)).toBe(0x1234 - 0x100);
  });

  it("ip_decrease_ttl adds 0x0100 with carry and can leave 0xffff where a full sum gives 0", () => {
    const header = (check: number): DataView => {
      const v = view("4500 0054 0000 4000 4001 0000 0a00 0001 0a00 0002");
      v.setUint16(10, check);
      return v;
    };
    const run = (check: number): [number, number] => {
      const v = header(check);
      return [c.ip_decrease_ttl(v, 0), v.getUint16(10)];
    };
    expect(run(0x1234)).toEqual([63, 0x1334]);
    expect(run(0xff10)).toEqual([63, 0x0011]);
    expect(run(0xfeff)).toEqual([63, 0x0000]);
    expect(run(0xfe00)).toEqual([63, 0xff00]);
  });

  it("replaceSaddr, replaceDaddr and replaceTos keep the header valid", () => {
    const v = new DataView(buildFrame([ip4({ src: "10.0.0.1", dst: "10.0.0.2" })]).buffer);
    ipv4.replaceSaddr(v, 0, parseIpv4("172.16.254.3"));
    ipv4.replaceDaddr(v, 0, parseIpv4("255.255.255.255"));
    ipv4.replaceTos(v, 0, 0xb8);
    expect([ipv4.checkOk(v, 0), ipv4.tos(v, 0), ipv4.saddr(v, 0)]).toEqual([
      true,
      0xb8,
      parseIpv4("172.16.254.3"),
    ]);
  });

  it("csum_diff makes the difference of growing, shrinking and changing data", () => {
    const from = view("0102030405060708");
    const to = view("1112131415161718");
    const none = new DataView(new ArrayBuffer(0));
    const sum = (v: DataView, n: number): number => c.csum_partial(v, 0, n, 0);
    const same = (a: number, b: number): void => expect(c.csum_from32to16(a)).toBe(c.csum_from32to16(b));
    same(c.csum_add(sum(from, 8), c.csum_diff(from, 0, 8, to, 0, 8, 0)), sum(to, 8));
    same(c.csum_diff(none, 0, 0, to, 0, 8, 5), c.csum_add(sum(to, 8), 5));
    same(c.csum_add(sum(from, 8), c.csum_diff(from, 0, 8, none, 0, 0, 7)), 7);
    same(c.csum_diff(none, 0, 0, none, 0, 0, 99), 99);
    same(c.csum_diff4(0x04030201, 0x14131211, 3), c.csum_diff(from, 0, 4, to, 0, 4, 3));
  });

  it("l4_csum_replace honours size, zero checksums and the mangled zero", () => {
    const field = (start: number, from: number, to: number, flags: number): number | false => {
      const v = new DataView(new ArrayBuffer(2));
      v.setUint16(0, start, true);
      return c.l4_csum_replace(v, 0, from, to, flags) && v.getUint16(0, true);
    };
    expect(field(0x0000, 1, 2, 2 | c.BPF_F_MARK_MANGLED_0)).toBe(0);
    expect(field(0x0000, 1, 2, 2 | c.BPF_F_MARK_MANGLED_0 | c.BPF_F_MARK_ENFORCE)).toBe(0xfffe);
    expect(field(0x0001, 1, 2, 2 | c.BPF_F_MARK_MANGLED_0)).toBe(0xffff);
    expect(field(0x0001, 1, 2, 2)).toBe(0);
    expect(field(0x1000, 0, 0x20, 0)).toBe(0x0fe0);
    expect(field(0x1000, 1, 0x20, 0)).toBe(false);
    expect(field(0x1000, 1, 2, 3)).toBe(false);
    expect(field(0x1000, 0x5000, 0x6000, 4 | c.BPF_F_PSEUDO_HDR)).toBe(0xffff & (0x1000 - 0x1000));
  });

  it("l3_csum_replace takes sizes 0, 2 and 4 and refuses others", () => {
    const v = new DataView(new ArrayBuffer(2));
    expect([
      c.l3_csum_replace(v, 0, 0, 0, 2),
      c.l3_csum_replace(v, 0, 0, 0, 4),
      c.l3_csum_replace(v, 0, 0, 0, 0),
      c.l3_csum_replace(v, 0, 1, 0, 0),
      c.l3_csum_replace(v, 0, 0, 0, 8),
    ]).toEqual([true, true, true, false, false]);
  });
});

describe("checksum: CRC32c", () => {
  it("gives the check value of the polynomial", () => {
    const b = Uint8Array.from("123456789", (ch) => ch.charCodeAt(0));
    expect(c.crc32c(new DataView(b.buffer), 0, 9, -1) >>> 0).toBe(0xe3069283);
  });
});
