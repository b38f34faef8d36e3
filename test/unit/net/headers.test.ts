import { describe, expect, it } from "vitest";
import { formatIpv4, parseIpv4, parseIpv6, parseMac } from "../../../src/net/address.js";
import * as arp from "../../../src/net/arp.js";
import * as eth from "../../../src/net/ethernet.js";
import * as geneve from "../../../src/net/geneve.js";
import * as icmp from "../../../src/net/icmp.js";
import * as icmpv6 from "../../../src/net/icmpv6.js";
import * as igmp from "../../../src/net/igmp.js";
import * as ipv4 from "../../../src/net/ipv4.js";
import * as ipv6 from "../../../src/net/ipv6.js";
import * as sctp from "../../../src/net/sctp.js";
import * as tcp from "../../../src/net/tcp.js";
import * as udp from "../../../src/net/udp.js";
import { fromHex, toHex } from "../../../src/net/view.js";
import * as vrrp from "../../../src/net/vrrp.js";
import * as vxlan from "../../../src/net/vxlan.js";

// Each frame below is written out by hand from its RFC's drawing, read through the accessors, and written again.

function bytes(hex: string): { b: Uint8Array; v: DataView } {
  const b = fromHex(hex.replace(/[\s|]/g, ""))!;
  return { b, v: new DataView(b.buffer) };
}

function blank(n: number): { b: Uint8Array; v: DataView } {
  const b = new Uint8Array(n);
  return { b, v: new DataView(b.buffer) };
}

describe("ethernet", () => {
  const HEX = "2a0ad9174422 c66d95cd34a2 0800";

  it("reads and writes the header", () => {
    const { b, v } = bytes(HEX);
    expect(eth.proto(v, 0)).toBe(eth.ETH_P_IP);
    expect(eth.isMac(v, eth.OFF_DST, parseMac("2a:0a:d9:17:44:22"))).toBe(true);
    expect(eth.isMac(v, eth.OFF_SRC, parseMac("c6:6d:95:cd:34:a2"))).toBe(true);
    expect([eth.dstHi(v, 0), eth.dstLo(v, 0)]).toEqual([0x17d90a2a, 0x2244]);
    expect([eth.srcHi(v, 0), eth.srcLo(v, 0)]).toEqual([0xcd956dc6 | 0, 0xa234]);
    const w = blank(14);
    eth.write(w.v, 0, parseMac("2a:0a:d9:17:44:22"), parseMac("c6:6d:95:cd:34:a2"), eth.ETH_P_IP);
    expect(toHex(w.b)).toBe(toHex(b));
    eth.swapMacs(v, 0);
    expect(toHex(b)).toBe("c66d95cd34a22a0ad91744220800");
    expect(eth.macEqual(v, 0, w.v, 6)).toBe(true);
    expect(eth.macEqual(v, 0, w.v, 0)).toBe(false);
  });

  it("classes addresses as the kernel's is_*_ether_addr do", () => {
    const row = (mac: string) => {
      const { v } = blank(6);
      eth.setMac(v, 0, parseMac(mac));
      return [eth.isBroadcast(v, 0), eth.isMulticast(v, 0), eth.isZero(v, 0), eth.isValid(v, 0)];
    };
    expect(row("ff:ff:ff:ff:ff:ff")).toEqual([true, true, false, false]);
    expect(row("01:00:5e:00:00:01")).toEqual([false, true, false, false]);
    expect(row("00:00:00:00:00:00")).toEqual([false, false, true, false]);
    expect(row("ee:ee:ee:ee:ee:ee")).toEqual([false, false, false, true]);
  });

  it("maps multicast groups to MACs", () => {
    const out = new Uint8Array(6);
    eth.multicastMac4(parseIpv4("239.129.2.3"), out);
    expect(toHex(out)).toBe("01005e010203");
    eth.multicastMac6(parseIpv6("ff02::1:ff00:85"), 0, out);
    expect(toHex(out)).toBe("3333ff000085");
  });

  it("reads a VLAN tag", () => {
    const { v } = bytes("2a0ad9174422 c66d95cd34a2 8100 6064 0800");
    expect([eth.isVlan(eth.proto(v, 0)), eth.vlanTci(v, 0), eth.vlanId(eth.vlanTci(v, 0))]).toEqual([
      true,
      0x6064,
      100,
    ]);
    expect([eth.isVlan(eth.ETH_P_8021AD), eth.isVlan(eth.ETH_P_IP)]).toEqual([true, false]);
  });
});

describe("arp", () => {
  it("reads and writes a reply", () => {
    const { b, v } = bytes("0001 0800 06 04 0002 2a0ad9174422 a9fe0101 c66d95cd34a2 0a000055");
    expect([arp.htype(v, 0), arp.ptype(v, 0), arp.hlen(v, 0), arp.plen(v, 0), arp.oper(v, 0)]).toEqual([
      1,
      0x0800,
      6,
      4,
      arp.ARPOP_REPLY,
    ]);
    expect([formatIpv4(arp.spa(v, 0)), formatIpv4(arp.tpa(v, 0))]).toEqual(["169.254.1.1", "10.0.0.85"]);
    expect(arp.isEthIpv4(v, 0)).toBe(true);
    const w = blank(28);
    arp.write(
      w.v,
      0,
      arp.ARPOP_REPLY,
      parseMac("2a:0a:d9:17:44:22"),
      parseIpv4("169.254.1.1"),
      parseMac("c6:6d:95:cd:34:a2"),
      parseIpv4("10.0.0.85"),
    );
    expect(toHex(w.b)).toBe(toHex(b));
    arp.setOper(v, 0, arp.ARPOP_REQUEST);
    arp.setSpa(v, 0, parseIpv4("1.2.3.4"));
    arp.setTpa(v, 0, parseIpv4("5.6.7.8"));
    expect(toHex(b)).toBe("00010800060400012a0ad917442201020304c66d95cd34a205060708");
  });

  it("is not Ethernet and IPv4 when any of the four says otherwise", () => {
    for (const hex of ["0006 0800 0604", "0001 86dd 0604", "0001 0800 0804", "0001 0800 0610"]) {
      expect(arp.isEthIpv4(bytes(`${hex} 0001`).v, 0)).toBe(false);
    }
  });
});

describe("ipv4", () => {
  // 45 tos b8, length 84, id 45716, DF, ttl 63, ICMP, 10.0.0.85 > 10.0.1.124
  const HEX = "45b8 0054 b294 4000 3f01 728c 0a000055 0a00017c";

  it("reads and writes the header", () => {
    const { b, v } = bytes(HEX);
    expect([ipv4.version(v, 0), ipv4.ihl(v, 0), ipv4.hlen(v, 0), ipv4.tos(v, 0), ipv4.totLen(v, 0)]).toEqual([
      4, 5, 20, 0xb8, 84,
    ]);
    expect([ipv4.id(v, 0), ipv4.idBe(v, 0), ipv4.fragOff(v, 0), ipv4.df(v, 0), ipv4.mf(v, 0)]).toEqual([
      45716,
      0x94b2,
      0x4000,
      true,
      false,
    ]);
    expect([ipv4.ttl(v, 0), ipv4.protocol(v, 0), ipv4.check(v, 0)]).toEqual([63, 1, 0x728c]);
    expect([ipv4.saddr(v, 0), ipv4.daddr(v, 0), ipv4.payload(v, 0)]).toEqual([0x5500000a, 0x7c01000a, 20]);
    const w = blank(20);
    ipv4.write(w.v, 0, 0xb8, 84, 45716, ipv4.IP_DF, 63, 1, parseIpv4("10.0.0.85"), parseIpv4("10.0.1.124"));
    expect(ipv4.checkOk(w.v, 0)).toBe(true);
    w.v.setUint16(10, 0x728c);
    expect(toHex(w.b)).toBe(toHex(b));
  });

  it("sets every field in its place", () => {
    const { b, v } = blank(20);
    ipv4.setHlen(v, 0, 24);
    ipv4.setTos(v, 0, 1);
    ipv4.setTotLen(v, 0, 0x0203);
    ipv4.setId(v, 0, 0x0405);
    ipv4.setFragOff(v, 0, 0x2607);
    ipv4.setTtl(v, 0, 8);
    ipv4.setProtocol(v, 0, 9);
    ipv4.setCheck(v, 0, 0x0a0b);
    ipv4.setSaddr(v, 0, parseIpv4("12.13.14.15"));
    ipv4.setDaddr(v, 0, parseIpv4("16.17.18.19"));
    expect(toHex(b)).toBe("4601020304052607" + "08090a0b" + "0c0d0e0f" + "10111213");
    expect([ipv4.isFragment(v, 0), ipv4.isLaterFragment(v, 0), ipv4.fragOffsetBytes(v, 0)]).toEqual([
      true,
      true,
      0x607 * 8,
    ]);
  });

  it("tells fragments apart: none, first, middle, last", () => {
    const row = (word: number) => {
      const { v } = blank(20);
      ipv4.setFragOff(v, 0, word);
      return [ipv4.isFragment(v, 0), ipv4.isLaterFragment(v, 0), ipv4.mf(v, 0)];
    };
    expect(row(ipv4.IP_DF)).toEqual([false, false, false]);
    expect(row(ipv4.IP_MF)).toEqual([true, false, true]);
    expect(row(ipv4.IP_MF | 185)).toEqual([true, true, true]);
    expect(row(185)).toEqual([true, true, false]);
  });

  it("validates as ip_rcv does, before anything is trusted", () => {
    const { b, v } = blank(84);
    ipv4.write(v, 0, 0, 84, 1, 0, 64, 1, 1, 2);
    const at = (edit: (x: DataView) => void, avail = 84): number => {
      const c = new DataView(b.slice().buffer);
      edit(c);
      return ipv4.validate(c, 0, avail);
    };
    const none = (): void => {};
    expect(at(none)).toBe(0);
    expect(at(none, 19)).toBe(ipv4.IPV4_BAD_TRUNCATED);
    expect(at(none, 83)).toBe(ipv4.IPV4_BAD_TRUNCATED);
    expect(at((x) => x.setUint8(0, 0x65))).toBe(ipv4.IPV4_BAD_HEADER);
    expect(at((x) => x.setUint8(0, 0x44))).toBe(ipv4.IPV4_BAD_HEADER);
    expect(at((x) => x.setUint8(0, 0x4f), 30)).toBe(ipv4.IPV4_BAD_TRUNCATED);
    expect(at((x) => x.setUint8(8, 1))).toBe(ipv4.IPV4_BAD_CHECKSUM);
    expect(
      at((x) => {
        x.setUint16(2, 10);
        ipv4.updateCheck(x, 0);
      }),
    ).toBe(ipv4.IPV4_BAD_HEADER);
  });

  it("walks options and stops at a malformed one", () => {
    // no-op, router alert, record route of 7, end
    const { v } = bytes(
      "49 00 0024 0000 0000 40 01 0000 00000001 00000002 01 94040000 070704 00000000 00 000000",
    );
    const first = ipv4.findOption(v, 0, 20, -1);
    expect([first, v.getUint8(first), ipv4.optionEnd(v, first)]).toEqual([21, ipv4.IPOPT_RA, 25]);
    const second = ipv4.findOption(v, 0, ipv4.optionEnd(v, first), -1);
    expect([second, v.getUint8(second), ipv4.optionEnd(v, second)]).toEqual([25, ipv4.IPOPT_RR, 32]);
    expect(ipv4.findOption(v, 0, ipv4.optionEnd(v, second), -1)).toBe(-1);
    expect(ipv4.findOption(v, 0, 20, ipv4.IPOPT_RR)).toBe(25);
    expect(ipv4.findOption(v, 0, 20, ipv4.IPOPT_SSRR)).toBe(-1);
    v.setUint8(22, 1);
    expect(ipv4.findOption(v, 0, 20, ipv4.IPOPT_RR)).toBe(-1);
    v.setUint8(22, 60);
    expect(ipv4.findOption(v, 0, 20, ipv4.IPOPT_RR)).toBe(-1);
  });
});

describe("ipv6", () => {
  const HEX = "6b8 abcde 0008 3a 40 fd000000000000000000000000000001 fe800000000000000000000000000002";

  it("reads and writes the header", () => {
    const { b, v } = bytes(HEX);
    expect([
      ipv6.version(v, 0),
      ipv6.tclass(v, 0),
      ipv6.flowLabel(v, 0),
      ipv6.payloadLen(v, 0),
      ipv6.nexthdr(v, 0),
      ipv6.hopLimit(v, 0),
    ]).toEqual([6, 0xb8, 0xabcde, 8, 58, 64]);
    expect([
      ipv6.saddrWord(v, 0, 0),
      ipv6.saddrWord(v, 0, 3),
      ipv6.daddrWord(v, 0, 0),
      ipv6.daddrWord(v, 0, 3),
    ]).toEqual([0xfd, 0x01000000, 0x80fe, 0x02000000]);
    expect([
      ipv6.isLinkLocal(v, 8),
      ipv6.isLinkLocal(v, 24),
      ipv6.isMulticast(v, 24),
      ipv6.isAny(v, 8),
    ]).toEqual([false, true, false, false]);
    const w = blank(40);
    ipv6.write(w.v, 0, 0xb8, 0xabcde, 8, 58, 64, parseIpv6("fd00::1"), parseIpv6("fe80::2"));
    expect(toHex(w.b)).toBe(toHex(b));
    ipv6.setTclass(v, 0, 0x03);
    ipv6.setFlowLabel(v, 0, 0x12345);
    ipv6.setPayloadLen(v, 0, 0x0607);
    ipv6.setNexthdr(v, 0, 17);
    ipv6.setHopLimit(v, 0, 9);
    expect(toHex(b.slice(0, 8))).toBe("6031234506071109");
  });

  it("copies, compares and folds addresses", () => {
    const { v } = bytes(HEX);
    const w = blank(16);
    ipv6.copyAddr(w.v, 0, v, 24);
    expect([
      ipv6.addrEqual(w.v, 0, v, 24),
      ipv6.addrEqual(w.v, 0, v, 8),
      ipv6.isAddr(w.v, 0, parseIpv6("fe80::2")),
    ]).toEqual([true, false, true]);
    expect(ipv6.addrFold(v, 24)).toBe(0x80fe ^ 0x02000000);
    const out = new Uint8Array(16);
    ipv6.getAddr(v, 8, out);
    expect(out).toEqual(parseIpv6("fd00::1"));
    ipv6.solicitedNode(parseIpv6("fd00::12:3456:789a"), 0, out);
    expect(out).toEqual(parseIpv6("ff02::1:ff56:789a"));
  });

  it("walks extension headers to the transport header", () => {
    // hop-by-hop 8 bytes, routing 8, first fragment, then UDP
    const { v } = bytes(
      `6000 0000 0028 00 40 ${"00".repeat(32)} 2b00010400000000 2c00000000000000 1100 0001 00000063 0001 0002 0010 0000 0000000000000000`,
    );
    const w = new ipv6.ExtWalk();
    expect(ipv6.walkExt(v, 0, 80, w)).toBe(true);
    expect({ ...w }).toEqual({ offset: 64, nexthdr: 17, fragment: 56, fragOff: 1, nexthdrAt: 56, count: 3 });
    expect([ipv6.fragId(v, 56), ipv6.fragOffsetBytes(v, 56)]).toEqual([0x63, 0]);
  });

  it("stops behind the fragment header of a later fragment, at no next header, and at the end", () => {
    const w = new ipv6.ExtWalk();
    const later = bytes(`6000 0000 0010 2c 40 ${"00".repeat(32)} 3c00 0010 00000063 0000000000000000`).v;
    expect([ipv6.walkExt(later, 0, 56, w), w.offset, w.nexthdr, w.fragOff]).toEqual([true, 48, 60, 16]);
    const none = bytes(`6000 0000 0008 3c 40 ${"00".repeat(32)} 3b00000000000000`).v;
    expect([ipv6.walkExt(none, 0, 48, w), w.offset, w.nexthdr]).toEqual([false, 48, 59]);
    const long = bytes(`6000 0000 0008 3c 40 ${"00".repeat(32)} 1102000000000000`).v;
    expect([ipv6.walkExt(long, 0, 48, w), w.offset, w.nexthdr]).toEqual([false, 40, 60]);
    const ah = bytes(`6000 0000 0010 33 40 ${"00".repeat(32)} 0602 0000 00000000 00000000 00000000`).v;
    expect([ipv6.walkExt(ah, 0, 56, w), w.offset, w.nexthdr]).toEqual([true, 56, 6]);
  });
});

describe("icmp", () => {
  it("reads and writes an echo request", () => {
    const { b, v } = bytes("08 00 a3ec 0c00 0001 6162636465666768");
    expect([
      icmp.type(v, 0),
      icmp.code(v, 0),
      icmp.check(v, 0),
      icmp.id(v, 0),
      icmp.idBe(v, 0),
      icmp.seq(v, 0),
    ]).toEqual([8, 0, 0xa3ec, 3072, 0x000c, 1]);
    icmp.write(v, 0, icmp.ICMP_ECHO, 0, (3072 << 16) | 1);
    icmp.updateCheck(v, 0, 16);
    expect([icmp.checkOk(v, 0, 16), b.length]).toEqual([true, 16]);
    icmp.setType(v, 0, icmp.ICMP_ECHOREPLY);
    expect(icmp.checkOk(v, 0, 16)).toBe(false);
  });

  it("reads and writes what errors carry", () => {
    const { b, v } = blank(8);
    icmp.write(v, 0, icmp.ICMP_DEST_UNREACH, icmp.ICMP_FRAG_NEEDED, 0);
    icmp.setMtu(v, 0, 1450);
    expect([toHex(b), icmp.mtu(v, 0)]).toEqual(["03040000000005aa", 1450]);
    icmp.setGateway(v, 0, parseIpv4("10.0.0.1"));
    expect([toHex(b), formatIpv4(icmp.gateway(v, 0))]).toEqual(["030400000a000001", "10.0.0.1"]);
    icmp.setId(v, 0, 0x0102);
    icmp.setSeq(v, 0, 0x0304);
    icmp.setCode(v, 0, 1);
    icmp.setCheck(v, 0, 0x0506);
    expect(toHex(b)).toBe("0301050601020304");
    expect([0, 3, 4, 5, 8, 11, 12, 13].map(icmp.isError)).toEqual([
      false,
      true,
      true,
      true,
      false,
      true,
      true,
      false,
    ]);
  });
});

describe("icmpv6", () => {
  it("reads a neighbour solicitation with its option", () => {
    const { v } = bytes("87 00 1234 00000000 fd000000000000000000000000000001 0101 c66d95cd34a2");
    expect([icmpv6.type(v, 0), icmpv6.code(v, 0), icmpv6.check(v, 0)]).toEqual([135, 0, 0x1234]);
    expect(ipv6.isAddr(v, icmpv6.OFF_TARGET, parseIpv6("fd00::1"))).toBe(true);
    expect(icmpv6.ndLinkAddr(v, 24, 32, icmpv6.ND_OPT_SOURCE_LL_ADDR)).toBe(26);
    expect(icmpv6.ndLinkAddr(v, 24, 32, icmpv6.ND_OPT_TARGET_LL_ADDR)).toBe(-1);
    expect(icmpv6.ndLinkAddr(v, 24, 30, icmpv6.ND_OPT_SOURCE_LL_ADDR)).toBe(-1);
    v.setUint8(25, 0);
    expect(icmpv6.ndLinkAddr(v, 24, 32, icmpv6.ND_OPT_SOURCE_LL_ADDR)).toBe(-1);
  });

  it("writes messages whose checksum covers the pseudo header", () => {
    const { b, v } = blank(48);
    ipv6.write(v, 0, 0, 0, 8, 58, 64, parseIpv6("fd00::1"), parseIpv6("fd00::2"));
    icmpv6.write(v, 40, icmpv6.ICMPV6_ECHO_REQUEST, 0, 0x0c000001);
    icmpv6.updateCheck(v, 0, 40, 8);
    expect([icmpv6.checkOk(v, 0, 40, 8), icmpv6.id(v, 40), icmpv6.idBe(v, 40), icmpv6.seq(v, 40)]).toEqual([
      true,
      3072,
      0x000c,
      1,
    ]);
    icmpv6.setMtu(v, 40, 1280);
    icmpv6.setType(v, 40, 2);
    icmpv6.setCode(v, 40, 9);
    icmpv6.setCheck(v, 40, 0xabcd);
    expect([toHex(b.slice(40)), icmpv6.mtu(v, 40)]).toEqual(["0209abcd00000500", 1280]);
    icmpv6.setNaFlags(v, 40, icmpv6.NA_SOLICITED | icmpv6.NA_OVERRIDE);
    icmpv6.setSeq(v, 40, 7);
    expect([icmpv6.naFlags(v, 40), icmpv6.seq(v, 40)]).toEqual([0x60, 7]);
    icmpv6.setId(v, 40, 6);
    expect([icmpv6.id(v, 40), icmpv6.isError(4), icmpv6.isError(128)]).toEqual([6, true, false]);
  });
});

describe("tcp", () => {
  // SYN of a Linux host: MSS 1460, SACK permitted, timestamp, window scale 7
  const HEX =
    "d822 0050 0aac3c84 00000000 a002 faf0 0000 0000 | 020405b4 0402 080a cdcaa5d5 00000000 01 030307";

  it("reads and writes a SYN with Linux's options", () => {
    const { b, v } = bytes(HEX);
    expect([tcp.source(v, 0), tcp.sourceBe(v, 0), tcp.dest(v, 0), tcp.destBe(v, 0)]).toEqual([
      55330, 0x22d8, 80, 0x5000,
    ]);
    expect([
      tcp.seq(v, 0),
      tcp.ackSeq(v, 0),
      tcp.hlen(v, 0),
      tcp.flags(v, 0),
      tcp.window(v, 0),
      tcp.urgPtr(v, 0),
    ]).toEqual([179059844, 0, 40, tcp.TCPHDR_SYN, 64240, 0]);
    const o = new tcp.TcpOptions();
    expect(tcp.parseOptions(v, 0, o)).toBe(true);
    expect([o.mss, o.wscale, o.sackOk, o.hasTimestamp, o.tsval >>> 0, o.tsecr, o.sacks]).toEqual([
      1460,
      7,
      true,
      true,
      0xcdcaa5d5,
      0,
      0,
    ]);
    const w = blank(40);
    tcp.write(w.v, 0, 55330, 80, 179059844, 0, tcp.TCPHDR_SYN, 64240);
    expect(tcp.optionsLen(o)).toBe(20);
    expect(tcp.writeOptions(w.v, 0, o)).toBe(20);
    // Linux puts SACK permitted into the padding of the timestamp.
    expect(toHex(w.b)).toBe(toHex(b));
    expect(tcp.mssAt(v, 0)).toBe(22);
  });

  it("writes each option alone, padded to words", () => {
    const one = (set: (o: tcp.TcpOptions) => void): string => {
      const { b, v } = blank(60);
      const o = new tcp.TcpOptions();
      set(o);
      const n = tcp.writeOptions(v, 0, o);
      expect([tcp.optionsLen(o), tcp.hlen(v, 0)]).toEqual([n, 20 + n]);
      return toHex(b.slice(20, 20 + n));
    };
    expect(one(() => {})).toBe("");
    expect(
      one((o) => {
        o.mss = 8960;
      }),
    ).toBe("02042300");
    expect(
      one((o) => {
        o.sackOk = true;
      }),
    ).toBe("01010402");
    expect(
      one((o) => {
        o.wscale = 14;
      }),
    ).toBe("0103030e");
    expect(
      one((o) => {
        o.hasTimestamp = true;
        o.tsval = 1;
        o.tsecr = -1;
      }),
    ).toBe("0101080a00000001ffffffff");
    expect(
      one((o) => {
        o.sacks = 2;
        o.sack.set([1, 2, 3, 4]);
      }),
    ).toBe("0101051200000001000000020000000300000004");
  });

  it("keeps what came before a malformed option", () => {
    const o = new tcp.TcpOptions();
    const read = (opts: string): [boolean, number, number] => {
      const hex = opts.replace(/ /g, "");
      const { v } = bytes(
        `0001 0002 00000000 00000000 ${(5 + hex.length / 8).toString(16)}010 0000 0000 0000 ${hex}`,
      );
      return [tcp.parseOptions(v, 0, o), o.mss, o.wscale];
    };
    expect(read("020405b4 03030900")).toEqual([true, 1460, 9]);
    expect(read("020405b4 03030f00")).toEqual([true, 1460, 14]);
    expect(read("020405b4 03010900")).toEqual([false, 1460, -1]);
    expect(read("020405b4 03050900")).toEqual([false, 1460, -1]);
    expect(read("01010102")).toEqual([false, -1, -1]);
    expect(read("0203ff00 03040707")).toEqual([true, -1, -1]);
    expect(read("fe040000 020405b4")).toEqual([true, 1460, -1]);
  });

  it("reads SACK blocks", () => {
    const { v } = bytes(
      "0001 0002 00000000 00000000 d010 0000 0000 0000 0101 051a 00000001 00000002 00000003 00000004 fffffff0 00000010 01010101",
    );
    const o = new tcp.TcpOptions();
    expect(tcp.parseOptions(v, 0, o)).toBe(true);
    expect([o.sacks, [...o.sack.slice(0, 6)]]).toEqual([3, [1, 2, 3, 4, -16, 16]]);
    expect(tcp.mssAt(v, 0)).toBe(-1);
  });

  it("orders sequence numbers across the wrap", () => {
    expect([
      tcp.before(0xfffffff0 | 0, 0x10),
      tcp.after(0x10, 0xfffffff0 | 0),
      tcp.before(5, 5),
      tcp.after(5, 5),
    ]).toEqual([true, true, false, false]);
    expect([tcp.before(1, 2), tcp.before(2, 1), tcp.after(2, 1)]).toEqual([true, false, true]);
  });

  it("sets every field in its place and keeps the low bits beside the header length", () => {
    const { b, v } = blank(20);
    v.setUint8(12, 0x01);
    tcp.setSource(v, 0, 0x0102);
    tcp.setDest(v, 0, 0x0304);
    tcp.setSeq(v, 0, 0x05060708);
    tcp.setAckSeq(v, 0, 0x090a0b0c);
    tcp.setHlen(v, 0, 20);
    tcp.setFlags(v, 0, 0xff);
    tcp.setWindow(v, 0, 0x0d0e);
    tcp.setCheck(v, 0, 0x0f10);
    tcp.setUrgPtr(v, 0, 0x1112);
    expect(toHex(b)).toBe("01020304" + "05060708" + "090a0b0c" + "51ff0d0e" + "0f101112");
    expect([tcp.flags12(v, 0), tcp.check(v, 0)]).toEqual([0x1ff, 0x0f10]);
  });
});

describe("udp and sctp", () => {
  it("reads and writes a UDP header", () => {
    const { b, v } = bytes("dda3 12b5 007a 0000");
    expect([
      udp.source(v, 0),
      udp.sourceBe(v, 0),
      udp.dest(v, 0),
      udp.destBe(v, 0),
      udp.len(v, 0),
      udp.check(v, 0),
    ]).toEqual([56739, 0xa3dd, 4789, 0xb512, 122, 0]);
    const w = blank(8);
    udp.write(w.v, 0, 56739, 4789, 122);
    expect(toHex(w.b)).toBe(toHex(b));
    udp.setSource(v, 0, 1);
    udp.setDest(v, 0, 2);
    udp.setLen(v, 0, 3);
    udp.setCheck(v, 0, 4);
    expect(toHex(b)).toBe("0001000200030004");
  });

  it("takes an absent UDP checksum for right", () => {
    const { v } = blank(28);
    ipv4.write(v, 0, 0, 28, 0, 0, 64, 17, 1, 2);
    udp.write(v, 20, 5, 6, 8);
    expect(udp.checkOk(v, 0, 20, 8)).toBe(true);
    udp.updateCheck(v, 0, 20, 8);
    expect([udp.check(v, 20) !== 0, udp.checkOk(v, 0, 20, 8)]).toEqual([true, true]);
    udp.setDest(v, 20, 7);
    expect(udp.checkOk(v, 0, 20, 8)).toBe(false);
  });

  it("reads and writes an SCTP packet with its CRC32c", () => {
    const { v } = blank(16);
    sctp.write(v, 0, 2905, 2906, 0x01020304);
    v.setInt32(12, 0x0e000004);
    sctp.updateCheck(v, 0, 16);
    expect([
      sctp.source(v, 0),
      sctp.sourceBe(v, 0),
      sctp.dest(v, 0),
      sctp.destBe(v, 0),
      sctp.vtag(v, 0),
    ]).toEqual([2905, 0x590b, 2906, 0x5a0b, 0x01020304]);
    expect([
      sctp.chunkType(v, 12),
      sctp.chunkFlags(v, 12),
      sctp.chunkLen(v, 12),
      sctp.checkOk(v, 0, 16),
    ]).toEqual([14, 0, 4, true]);
    sctp.setDest(v, 0, 1);
    expect(sctp.checkOk(v, 0, 16)).toBe(false);
    sctp.setSource(v, 0, 3);
    expect(sctp.source(v, 0)).toBe(3);
  });
});

describe("tunnel headers", () => {
  it("reads and writes VXLAN", () => {
    const { b, v } = bytes("08000000 001000 00");
    expect([vxlan.flags(v, 0), vxlan.vni(v, 0), vxlan.gbp(v, 0)]).toEqual([8, 4096, 0]);
    const w = blank(8);
    vxlan.write(w.v, 0, 4096);
    expect(toHex(w.b)).toBe(toHex(b));
    vxlan.setVni(w.v, 0, 0xfffffe);
    expect(vxlan.vni(w.v, 0)).toBe(0xfffffe);
  });

  it("reads and writes Geneve with options", () => {
    // Cilium's DSR option: class 0x014b, type 1 critical, 8 bytes of data
    const { b, v } = bytes("03 40 6558 000002 00 014b 81 02 0a000001 00500000");
    expect([
      geneve.version(v, 0),
      geneve.optLen(v, 0),
      geneve.hlen(v, 0),
      geneve.flags(v, 0),
      geneve.proto(v, 0),
      geneve.vni(v, 0),
    ]).toEqual([0, 12, 20, geneve.GENEVE_F_CRIT, eth.ETH_P_TEB, 2]);
    const at = geneve.findOption(v, 0, 0x014b, 0x81);
    expect([at, geneve.optClass(v, at), geneve.optType(v, at), geneve.optDataLen(v, at)]).toEqual([
      8, 0x014b, 0x81, 8,
    ]);
    expect(geneve.findOption(v, 0, 0x014b, 0x01)).toBe(-1);
    v.setUint8(11, 0x1f);
    expect(geneve.findOption(v, 0, 0x014b, 0x81)).toBe(-1);
    v.setUint8(11, 0x02);
    const w = blank(20);
    geneve.write(w.v, 0, 2, 12, true);
    geneve.writeOption(w.v, 8, 0x014b, 0x81, 8);
    w.v.setInt32(12, 0x0a000001);
    w.v.setInt32(16, 0x00500000);
    expect(toHex(w.b)).toBe(toHex(b));
    geneve.setVni(w.v, 0, 0xabcdef);
    expect(geneve.vni(w.v, 0)).toBe(0xabcdef);
  });
});

describe("igmp and vrrp", () => {
  it("reads what classification needs", () => {
    const g = bytes("16 00 0904 e0000005").v;
    expect([igmp.type(g, 0), igmp.code(g, 0), igmp.check(g, 0), formatIpv4(igmp.group(g, 0))]).toEqual([
      igmp.IGMPV2_HOST_MEMBERSHIP_REPORT,
      0,
      0x0904,
      "224.0.0.5",
    ]);
    expect(igmp.records(bytes("22 00 0000 0000 0003").v, 0)).toBe(3);
    const v2 = bytes("21 33 64 01 0001 0000").v;
    expect([
      vrrp.version(v2, 0),
      vrrp.type(v2, 0),
      vrrp.vrid(v2, 0),
      vrrp.priority(v2, 0),
      vrrp.count(v2, 0),
      vrrp.interval(v2, 0),
    ]).toEqual([2, 1, 51, 100, 1, 1]);
    expect(vrrp.interval(bytes("31 33 64 01 0064 0000").v, 0)).toBe(100);
  });
});
