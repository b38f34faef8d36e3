import { describe, expect, it } from "vitest";
import {
  cidrLabelKey,
  comparePrefixes,
  containsAddr,
  containsPrefix,
  formatAddr,
  formatPrefix,
  masked,
  PrefixError,
  parseAddr,
  parsePrefix,
  parsePrefixOrAddr,
  prefixOfLabelKey,
  quote,
} from "../../../../../src/cluster/cilium/policy/prefix.js";

function refused(f: () => unknown): string {
  try {
    return `taken: ${String(f())}`;
  } catch (e) {
    if (!(e instanceof PrefixError)) throw e;
    return e.message;
  }
}

describe("addresses", () => {
  it("are read and written in canonical form", () => {
    const texts = [
      "10.0.0.1",
      "::",
      "2001:db8::1",
      "2001:db8:0:0:0:0:0:1",
      "::ffff:10.0.0.1",
      "1:0:0:2::",
      "FD00::A",
    ];
    expect(texts.map((t) => formatAddr(parseAddr(t)))).toEqual([
      "10.0.0.1",
      "::",
      "2001:db8::1",
      "2001:db8::1",
      "::ffff:a00:1",
      "1:0:0:2::",
      "fd00::a",
    ]);
  });

  it("that are none are refused in the words of netip", () => {
    expect(
      ["", "10.0.0", "10.0.0.256", "10.0.0.01", "1::2::3", "g::"].map((t) => refused(() => parseAddr(t))),
    ).toEqual([
      'ParseAddr(""): unable to parse IP',
      'ParseAddr("10.0.0"): IPv4 address too short',
      'ParseAddr("10.0.0.256"): IPv4 field has value >255',
      'ParseAddr("10.0.0.01"): IPv4 field has octet with leading zero',
      'ParseAddr("1::2::3"): multiple :: in address',
      'ParseAddr("g::"): unexpected character (at "g")',
    ]);
  });
});

describe("prefixes", () => {
  it("keep the address as written until they are masked", () => {
    const p = parsePrefix("10.1.2.3/8");
    expect([
      formatPrefix(p),
      formatPrefix(masked(p)),
      formatPrefix(masked(parsePrefix("2001:db8:ffff::/33"))),
    ]).toEqual(["10.1.2.3/8", "10.0.0.0/8", "2001:db8:8000::/33"]);
  });

  it("may be addresses where that is allowed", () => {
    expect([formatPrefix(parsePrefixOrAddr("10.0.0.1")), formatPrefix(parsePrefixOrAddr("fd00::1"))]).toEqual(
      ["10.0.0.1/32", "fd00::1/128"],
    );
  });

  it("that are none are refused in the words of netip", () => {
    expect(
      ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "x/8", "fd00::/129"].map((t) =>
        refused(() => parsePrefix(t)),
      ),
    ).toEqual([
      "netip.ParsePrefix(\"10.0.0.0\"): no '/'",
      'netip.ParsePrefix("10.0.0.0/33"): prefix length out of range',
      'netip.ParsePrefix("10.0.0.0/-1"): bad bits after slash: "-1"',
      'netip.ParsePrefix("10.0.0.0/08"): bad bits after slash: "08"',
      'netip.ParsePrefix("x/8"): ParseAddr("x"): unable to parse IP',
      'netip.ParsePrefix("fd00::/129"): prefix length out of range',
    ]);
  });

  it("contain addresses and prefixes of their own family", () => {
    const p = parsePrefix("10.0.0.0/9");
    const addr = (t: string): boolean => containsAddr(p, parseAddr(t));
    const prefix = (t: string): boolean => containsPrefix(p, parsePrefix(t));
    expect([
      addr("10.127.255.255"),
      addr("10.128.0.0"),
      addr("::a00:0"),
      prefix("10.0.0.0/9"),
      prefix("10.64.0.0/10"),
      prefix("10.0.0.0/8"),
    ]).toEqual([true, false, false, true, true, false]);
  });

  it("sort by length, then IPv4 first, then by address", () => {
    const list = ["fd00::/8", "10.1.0.0/16", "10.0.0.0/8", "9.0.0.0/8", "10.0.0.0/16", "::/0"].map(
      parsePrefix,
    );
    expect(list.sort(comparePrefixes).map(formatPrefix)).toEqual([
      "::/0",
      "9.0.0.0/8",
      "10.0.0.0/8",
      "fd00::/8",
      "10.0.0.0/16",
      "10.1.0.0/16",
    ]);
  });

  it("have label keys without colons", () => {
    const keys = ["10.0.0.0/8", "2001:db8::/32", "::/0", "::1/128"].map((t) => cidrLabelKey(parsePrefix(t)));
    expect(keys).toEqual(["10.0.0.0/8", "2001-db8--0/32", "0--0/0", "0--1/128"]);
    expect(keys.map((k) => formatPrefix(prefixOfLabelKey(k)!))).toEqual([
      "10.0.0.0/8",
      "2001:db8::/32",
      "::/0",
      "::1/128",
    ]);
    expect(prefixOfLabelKey("nonsense")).toBeUndefined();
  });
});

describe("quote", () => {
  it("writes texts as Go's %q", () => {
    expect(['a"b', "a\\b", "a\nb", "é"].map(quote)).toEqual(['"a\\"b"', '"a\\\\b"', '"a\\nb"', '"é"']);
  });
});
