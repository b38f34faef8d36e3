import { describe, expect, it } from "vitest";
import { parseIpv4 } from "../../../src/net/address.js";
import * as b from "../../../src/net/build.js";
import { fromHex, toHex } from "../../../src/net/view.js";

const MACS = { src: "c6:6d:95:cd:34:a2", dst: "2a:0a:d9:17:44:22" };

const hex = (...groups: string[]): string => groups.join("").replace(/\s/g, "");

describe("buildFrame", () => {
  it("builds an ARP request byte for byte", () => {
    const f = b.buildFrame([
      b.eth({ ...MACS, dst: "ff:ff:ff:ff:ff:ff" }),
      b.arp({ sha: MACS.src, spa: "10.0.0.85", tpa: "169.254.1.1" }),
    ]);
    expect(toHex(f)).toBe(
      hex(
        "ffffffffffff c66d95cd34a2 0806",
        "0001 0800 06 04 0001 c66d95cd34a2 0a000055 000000000000 a9fe0101",
      ),
    );
  });

  it("builds a ping byte for byte, checksums included", () => {
    const f = b.buildFrame([
      b.eth(MACS),
      b.ip4({ src: "10.0.0.85", dst: "10.0.1.124", id: 45716, df: true }),
      b.icmp({ type: 8, id: 3072, seq: 1 }),
      b.countingBytes(8, 0x10),
    ]);
    expect(toHex(f)).toBe(
      hex(
        "2a0ad9174422 c66d95cd34a2 0800",
        "45 00 0024 b294 4000 40 01 7274 0a000055 0a00017c",
        "08 00 9fae 0c00 0001",
        "1011121314151617",
      ),
    );
  });

  it("builds VXLAN with an inner frame, both levels with their own lengths and checksums", () => {
    const inner = [
      b.eth({ src: "66:00:00:00:00:81", dst: "66:00:00:00:00:82" }),
      b.ip4({ src: "10.244.42.65", dst: "10.244.103.65" }),
      b.udp({ src: 1, dst: 2 }),
      "hi",
    ];
    const f = b.buildFrame([
      b.eth(MACS),
      b.ip4({ src: "192.168.0.81", dst: "192.168.0.82" }),
      b.udp({ src: 55007, dst: 4789, check: 0 }),
      b.vxlan(4096),
      ...inner,
    ]);
    expect(toHex(f.slice(50))).toBe(toHex(b.buildFrame(inner)));
    expect(toHex(f.slice(34, 50))).toBe(hex("d6df 12b5 003c 0000", "08000000 00100000"));
  });

  it("names the next header itself, through IPIP, 6in4 and extension headers", () => {
    const six = b.ip6({ src: "fd00::1", dst: "fd00::2" });
    const four = b.ip4({ src: "10.0.0.1", dst: "10.0.0.2" });
    const at = (layers: (b.Layer | string)[], i: number): number => b.buildFrame(layers)[i]!;
    expect(at([four, four], 9)).toBe(4);
    expect(at([four, six], 9)).toBe(41);
    expect(at([six, four], 6)).toBe(4);
    expect(at([six, b.tcp({ src: 1, dst: 2 })], 6)).toBe(6);
    expect(at([six], 6)).toBe(59);
    const chain = b.buildFrame([
      six,
      b.ext6({ kind: 0 }),
      b.frag6({ offset: 0, mf: true, id: 1 }),
      b.udp({ src: 1, dst: 2 }),
    ]);
    expect([chain[6], chain[40], chain[41], chain[48], chain[51]]).toEqual([0, 44, 0, 17, 1]);
    expect(at([b.eth({ ...MACS, vlan: [7] }), six], 12)).toBe(0x81);
  });

  it("puts options into IPv4 and TCP headers, padded to words", () => {
    const f = b.buildFrame([
      b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", options: fromHex("9404000001")! }),
      b.tcp({ src: 1, dst: 2, options: fromHex("0204")! }),
    ]);
    expect([f[0], f.length, f[28 + 12]]).toEqual([0x47, 52, 0x60]);
  });

  it("leaves given lengths, checksums and types alone", () => {
    const f = b.buildFrame([
      b.eth({ ...MACS, type: 0x1234 }),
      b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", totLen: 9, check: 0xabcd, proto: 99 }),
      b.udp({ src: 1, dst: 2, len: 3, check: 4 }),
    ]);
    expect(toHex(f.slice(12))).toBe(
      hex("1234", "4500 0009 0000 0000 4063 abcd 0a000001 0a000002", "0001 0002 0003 0004"),
    );
  });

  it("refuses a fragment offset that is not a multiple of 8, and bad addresses", () => {
    expect(() => b.buildFrame([b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", fragOffset: 4 })])).toThrow(
      "fragment offset 4 is not a multiple of 8",
    );
    expect(() => b.buildFrame([b.ip4({ src: "10.0.0", dst: "10.0.0.2" })])).toThrow(
      '"10.0.0" is not an IPv4 address',
    );
  });
});

describe("writeIpv4 and readIpv4", () => {
  it("carry a header through a kept object", () => {
    const bytes = new Uint8Array(20);
    const v = new DataView(bytes.buffer);
    const f = new b.Ipv4Fields();
    f.tos = 4;
    f.totLen = 1500;
    f.id = 7;
    f.fragOff = 0x4000;
    f.ttl = 9;
    f.protocol = 17;
    f.saddr = parseIpv4("10.0.0.1");
    f.daddr = parseIpv4("10.0.0.2");
    b.writeIpv4(v, 0, f);
    const g = new b.Ipv4Fields();
    b.readIpv4(v, 0, g);
    expect(g).toEqual(f);
  });
});
