import { describe, expect, it } from "vitest";
import type { Be32 } from "../../../src/base/brand.js";
import * as a from "../../../src/net/address.js";
import { toHex } from "../../../src/net/view.js";

describe("address: IPv4", () => {
  it("keeps the wire bytes in little-endian order, as a signed int32", () => {
    expect(a.parseIpv4("10.0.0.85")).toBe(0x5500000a);
    expect(a.parseIpv4("192.168.0.130")).toBe(0x8200a8c0 | 0);
    expect(a.ipv4Of(10, 0, 0, 85)).toBe(0x5500000a);
    expect(a.ntohl(a.parseIpv4("10.0.0.85"))).toBe(0x0a000055);
    expect(a.htonl(0xc0a80082)).toBe(a.parseIpv4("192.168.0.130"));
    expect(a.htons(80)).toBe(0x5000);
    expect(a.ntohs(0x5000)).toBe(80);
  });

  it("takes exactly what inet_pton takes", () => {
    const good = ["0.0.0.0", "255.255.255.255", "1.2.3.4", "10.0.0.85"];
    expect(good.map((t) => a.formatIpv4(a.parseIpv4(t)))).toEqual(good);
    const bad = [
      "",
      "1.2.3",
      "1.2.3.4.5",
      "1.2.3.256",
      "01.2.3.4",
      "1..3.4",
      "1.2.3.",
      " 1.2.3.4",
      "1.2.3.4 ",
      "a.b.c.d",
      "1.2.3.-4",
      "0x1.2.3.4",
    ];
    expect(bad.map((t) => a.tryParseIpv4(t))).toEqual(bad.map(() => undefined));
  });

  it("names the text that is no address", () => {
    expect(() => a.parseIpv4("1.2.3")).toThrow('"1.2.3" is not an IPv4 address');
    expect(() => a.parseIpv6("1::2::3")).toThrow('"1::2::3" is not an IPv6 address');
    expect(() => a.parseIp("nowhere")).toThrow('"nowhere" is not an IP address');
    expect(() => a.parseCidr("10.0.0.0/33")).toThrow('"10.0.0.0/33" is not an address prefix');
    expect(() => a.parseCidr4("fd00::/64")).toThrow('"fd00::/64" is not an IPv4 prefix');
    expect(() => a.parseCidr6("10.0.0.0/8")).toThrow('"10.0.0.0/8" is not an IPv6 prefix');
    expect(() => a.parseMac("02:00:00:00:00")).toThrow('"02:00:00:00:00" is not a MAC address');
  });

  it("makes masks of every length and recognises contiguous ones", () => {
    expect([0, 1, 8, 24, 25, 31, 32].map((n) => a.formatIpv4(a.maskOf4(n)))).toEqual([
      "0.0.0.0",
      "128.0.0.0",
      "255.0.0.0",
      "255.255.255.0",
      "255.255.255.128",
      "255.255.255.254",
      "255.255.255.255",
    ]);
    for (let n = 0; n <= 32; n++) expect(a.lenOfMask4(a.maskOf4(n))).toBe(n);
    expect(a.lenOfMask4(a.parseIpv4("255.0.255.0"))).toBe(-1);
  });

  it("finds network, broadcast, nth address and membership of a prefix", () => {
    const addr = a.parseIpv4("10.1.2.200");
    expect(a.formatIpv4(a.networkOf4(addr, 26))).toBe("10.1.2.192");
    expect(a.formatIpv4(a.broadcastOf4(addr, 26))).toBe("10.1.2.255");
    expect(a.formatIpv4(a.nthOf4(addr, 26, 1))).toBe("10.1.2.193");
    expect(a.contains4(addr, 26, a.parseIpv4("10.1.2.193"))).toBe(true);
    expect(a.contains4(addr, 26, a.parseIpv4("10.1.2.191"))).toBe(false);
    expect(a.contains4(0 as Be32, 0, a.parseIpv4("255.255.255.255"))).toBe(true);
  });

  it("classes addresses", () => {
    const row = (t: string) => {
      const v = a.parseIpv4(t);
      return [a.isMulticast4(v), a.isLoopback4(v), a.isLinkLocal4(v)];
    };
    expect(row("224.0.0.1")).toEqual([true, false, false]);
    expect(row("239.255.255.255")).toEqual([true, false, false]);
    expect(row("240.0.0.1")).toEqual([false, false, false]);
    expect(row("127.1.2.3")).toEqual([false, true, false]);
    expect(row("169.254.1.1")).toEqual([false, false, true]);
  });
});

describe("address: IPv6", () => {
  it("prints the form of RFC 5952", () => {
    const rows: [string, string][] = [
      ["2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"],
      ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
      ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
      ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
      ["2001:DB8::A", "2001:db8::a"],
      ["0:0:0:0:0:0:0:0", "::"],
      ["0:0:0:0:0:0:0:1", "::1"],
      ["fd00:0:0:0:0:0:0:0", "fd00::"],
      ["::ffff:10.0.0.1", "::ffff:10.0.0.1"],
      ["0:0:0:0:0:ffff:a00:1", "::ffff:10.0.0.1"],
      ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
      ["1::", "1::"],
      ["::1:2:3:4:5:6:7", "0:1:2:3:4:5:6:7"],
    ];
    expect(rows.map(([t]) => a.formatIpv6(a.parseIpv6(t)))).toEqual(rows.map(([, w]) => w));
  });

  it("writes 16 bytes in network order", () => {
    expect(toHex(a.parseIpv6("fd00:1:2::85"))).toBe("fd000001000200000000000000000085");
  });

  it("refuses what is no address", () => {
    const bad = [
      "",
      ":",
      ":::",
      "1",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "1::2::3",
      "12345::",
      "g::",
      "::1.2.3",
      "1.2.3.4::",
      "::1%eth0",
      "1:2:3:4:5:6:7:8::",
      "1::2:3:4:5:6:7:8",
    ];
    expect(bad.map((t) => a.tryParseIpv6(t))).toEqual(bad.map(() => undefined));
  });

  it("masks and compares prefixes that do not end on a byte", () => {
    expect(toHex(a.maskOf6(61))).toBe("fffffffffffffff80000000000000000");
    expect(a.formatIpv6(a.networkOf6(a.parseIpv6("fd00::ffff:ffff:ffff:ffff"), 67))).toBe("fd00::e000:0:0:0");
    const p = a.parseIpv6("fd00::e000:0:0:0");
    expect(a.contains6(p, 67, a.parseIpv6("fd00::ffff:0:0:1"))).toBe(true);
    expect(a.contains6(p, 67, a.parseIpv6("fd00::dfff:0:0:1"))).toBe(false);
    expect(a.contains6(p, 128, p)).toBe(true);
    expect(a.contains6(p, 0, a.parseIpv6("::1"))).toBe(true);
  });
});

describe("address: prefixes of both families", () => {
  it("keeps host bits as written and masks on request", () => {
    const c = a.parseCidr("10.0.1.124/24");
    expect(a.formatCidr(c)).toBe("10.0.1.124/24");
    expect(a.formatCidr(a.maskedCidr(c))).toBe("10.0.1.0/24");
    expect(a.formatCidr(a.maskedCidr(a.parseCidr("fd00::1/64")))).toBe("fd00::/64");
  });

  it("reads an address without a length as a host prefix", () => {
    expect(a.formatCidr(a.parseCidr("10.0.0.1"))).toBe("10.0.0.1/32");
    expect(a.formatCidr(a.parseCidr("::1"))).toBe("::1/128");
  });

  it("refuses bad lengths", () => {
    const bad = ["10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/-1", "::/129", "/8"];
    expect(bad.map((t) => a.tryParseCidr(t))).toEqual(bad.map(() => undefined));
  });

  it("never mixes families in a membership test", () => {
    expect(a.cidrContains(a.parseCidr("0.0.0.0/0"), a.parseIp("::1"))).toBe(false);
    expect(a.cidrContains(a.parseCidr("::/0"), a.parseIp("10.0.0.1"))).toBe(false);
    expect(a.cidrContains(a.parseCidr("::/0"), a.parseIp("fd00::1"))).toBe(true);
    expect(a.cidrContains(a.parseCidr("10.0.0.0/8"), a.parseIp("10.9.9.9"))).toBe(true);
  });
});

describe("address: MAC", () => {
  it("reads colons and dashes, prints lower case with colons", () => {
    expect(a.formatMac(a.parseMac("C6-6D-95-CD-34-A2"))).toBe("c6:6d:95:cd:34:a2");
    expect(a.formatMac(a.parseMac("0a:d9:c9:76:e7:d4"))).toBe("0a:d9:c9:76:e7:d4");
    expect(["0a:d9:c9:76:e7", "0ad9c976e7d4", "0a:d9:c9:76:e7:g4"].map(a.tryParseMac)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});
