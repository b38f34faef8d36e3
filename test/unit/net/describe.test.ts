import { describe, expect, it } from "vitest";
import * as b from "../../../src/net/build.js";
import { type DescribeOptions, describeFrame, TcpSequences } from "../../../src/net/describe.js";
import * as lt from "../../../src/net/link_type.js";
import * as sll from "../../../src/net/sll.js";
import { fromHex } from "../../../src/net/view.js";

// The expected lines are what tcpdump 4.99.3 (-nn -t -S) printed for the same bytes.

type Part = b.Layer | string | Uint8Array;
type Row = readonly [Part[], string];

const E = b.eth({ src: "02:00:00:00:00:01", dst: "02:00:00:00:00:02" });
const eth = (type: number): b.Layer => b.eth({ src: "02:00:00:00:00:01", dst: "02:00:00:00:00:02", type });
const I4 = b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", id: 7 });
const I6 = b.ip6({ src: "fd00::1", dst: "fd00::2" });
const of4 = (proto: number): b.Layer => b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", proto });
const hex = (s: string): Uint8Array => fromHex(s.replace(/\s/g, ""))!;
const Q4 = b.buildFrame([
  b.ip4({ src: "10.0.0.2", dst: "10.0.0.9" }),
  b.udp({ src: 5000, dst: 6000 }),
  "abcd",
]);
const Q4T = b.buildFrame([b.ip4({ src: "10.0.0.2", dst: "10.0.0.9" }), b.tcp({ src: 5000, dst: 6000 })]);
const Q6 = b.buildFrame([b.ip6({ src: "fd00::2", dst: "fd00::9" }), b.udp({ src: 5000, dst: 6000 }), "abcd"]);
const TARGET = hex("fd000000000000000000000000000007");

function check(rows: readonly Row[], opts: DescribeOptions = {}): void {
  expect(rows.map(([parts]) => describeFrame(b.buildFrame(parts), opts))).toEqual(
    rows.map(([, line]) => line),
  );
}

describe("describeFrame", () => {
  it("prints TCP: flags, sequence numbers, window, options, length", () => {
    check([
      [
        [
          E,
          I4,
          b.tcp({
            src: 1234,
            dst: 80,
            seq: 179059764,
            window: 64240,
            mss: 1460,
            sackOk: true,
            timestamp: [3452575109, 0],
            wscale: 10,
          }),
        ],
        "IP 10.0.0.1.1234 > 10.0.0.2.80: Flags [S], seq 179059764, win 64240, options [mss 1460,sackOK,TS val 3452575109 ecr 0,nop,wscale 10], length 0",
      ],
      [
        [E, I4, b.tcp({ src: 80, dst: 1234, flags: 0x12, seq: 9, ack: 10, mss: 1460 })],
        "IP 10.0.0.1.80 > 10.0.0.2.1234: Flags [S.], seq 9, ack 10, win 65535, options [mss 1460], length 0",
      ],
      [
        [E, I4, b.tcp({ src: 1234, dst: 80, flags: 0x10, seq: 10, ack: 10, timestamp: [1, 2] })],
        "IP 10.0.0.1.1234 > 10.0.0.2.80: Flags [.], ack 10, win 65535, options [nop,nop,TS val 1 ecr 2], length 0",
      ],
      [
        [E, I4, b.tcp({ src: 1234, dst: 81, flags: 0x18, seq: 10, ack: 10 }), "hello"],
        "IP 10.0.0.1.1234 > 10.0.0.2.81: Flags [P.], seq 10:15, ack 10, win 65535, length 5",
      ],
      [
        [E, I4, b.tcp({ src: 1234, dst: 81, flags: 0x11, seq: 4294967295, ack: 10 })],
        "IP 10.0.0.1.1234 > 10.0.0.2.81: Flags [F.], seq 4294967295, ack 10, win 65535, length 0",
      ],
      [
        [E, I4, b.tcp({ src: 1234, dst: 81, flags: 0x14, seq: 10, ack: 10, window: 0 })],
        "IP 10.0.0.1.1234 > 10.0.0.2.81: Flags [R.], seq 10, ack 10, win 0, length 0",
      ],
      [
        [E, I4, b.tcp({ src: 1234, dst: 81, flags: 0x04, seq: 10, window: 0 })],
        "IP 10.0.0.1.1234 > 10.0.0.2.81: Flags [R], seq 10, win 0, length 0",
      ],
      [
        [E, I4, b.tcp({ src: 1234, dst: 81, flags: 0x00, window: 0 })],
        "IP 10.0.0.1.1234 > 10.0.0.2.81: Flags [none], win 0, length 0",
      ],
      [
        [E, I4, b.tcp({ src: 8081, dst: 33000, flags: 0xff, seq: 200, ack: 100, urgPtr: 5 }), "abc"],
        "IP 10.0.0.1.8081 > 10.0.0.2.33000: Flags [FSRP.UEW], seq 200:203, ack 100, win 65535, urg 5, length 3",
      ],
      [
        [E, I6, b.tcp({ src: 1234, dst: 81 })],
        "IP6 fd00::1.1234 > fd00::2.81: Flags [S], seq 0, win 65535, length 0",
      ],
    ]);
  });

  it("prints TCP options that are rare, unknown, too long, too short or cut", () => {
    const t = (opts: string): Part[] => [
      E,
      I4,
      b.tcp({ src: 81, dst: 33000, flags: 0x10, options: hex(opts) }),
    ];
    check([
      [
        t("0101050a 00000001 00000009"),
        "IP 10.0.0.1.81 > 10.0.0.2.33000: Flags [.], ack 0, win 65535, options [nop,nop,sack 1 {1:9}], length 0",
      ],
      [
        t("01010512 00000001 00000009 00000010 00000020"),
        "IP 10.0.0.1.81 > 10.0.0.2.33000: Flags [.], ack 0, win 65535, options [nop,nop,sack 2 {1:9}{16:32}], length 0",
      ],
      [
        t("0509 0000 0000 0000 00 010101"),
        "IP 10.0.0.1.81 > 10.0.0.2.33000: Flags [.], ack 0, win 65535, options [sack invalid sack,nop,nop,nop], length 0",
      ],
      [t("0204"), "IP 10.0.0.1.81 > 10.0.0.2.33000: Flags [.], ack 0, win 65535, options [mss 0], length 0"],
      [
        t("0305 0102 0300"),
        "IP 10.0.0.1.81 > 10.0.0.2.33000: Flags [.], ack 0, win 65535, options [wscale 1[len 5],mss 0[len 3],eol], length 0",
      ],
      [
        t("fd04 0102 0000"),
        "IP 10.0.0.1.81 > 10.0.0.2.33000: Flags [.], ack 0, win 65535, options [unknown-253 0x0102,eol], length 0",
      ],
      [
        t("0101 0300 00"),
        "IP 10.0.0.1.81 > 10.0.0.2.33000: Flags [.], ack 0, win 65535, options [nop,nop,[bad opt]]",
      ],
      [
        t("0402 0000"),
        "IP 10.0.0.1.81 > 10.0.0.2.33000: Flags [.], ack 0, win 65535, options [sackOK,eol], length 0",
      ],
    ]);
  });

  it("prints the first line of HTTP", () => {
    const t = (sport: number, payload: string): Part[] => [
      E,
      I4,
      b.tcp({ src: sport, dst: 33000, flags: 0x18 }),
      payload,
    ];
    check([
      [
        t(80, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        "IP 10.0.0.1.80 > 10.0.0.2.33000: Flags [P.], seq 0:27, ack 0, win 65535, length 27: HTTP: GET / HTTP/1.1",
      ],
      [
        t(8080, "HTTP/1.1 200 OK\r\n\r\nbody"),
        "IP 10.0.0.1.8080 > 10.0.0.2.33000: Flags [P.], seq 0:23, ack 0, win 65535, length 23: HTTP: HTTP/1.1 200 OK",
      ],
      [
        t(80, "GET /no-line-end"),
        "IP 10.0.0.1.80 > 10.0.0.2.33000: Flags [P.], seq 0:16, ack 0, win 65535, length 16: HTTP: GET /no-line-end [|http]",
      ],
      [
        t(80, "POST /lf HTTP/1.0\n"),
        "IP 10.0.0.1.80 > 10.0.0.2.33000: Flags [P.], seq 0:18, ack 0, win 65535, length 18: HTTP: POST /lf HTTP/1.0",
      ],
      [
        t(80, "body text only\r\n"),
        "IP 10.0.0.1.80 > 10.0.0.2.33000: Flags [P.], seq 0:16, ack 0, win 65535, length 16: HTTP",
      ],
      [
        t(80, "GET \u0001bad\r\n"),
        "IP 10.0.0.1.80 > 10.0.0.2.33000: Flags [P.], seq 0:10, ack 0, win 65535, length 10: HTTP",
      ],
      [
        t(80, "GET \rbad\r\n"),
        "IP 10.0.0.1.80 > 10.0.0.2.33000: Flags [P.], seq 0:10, ack 0, win 65535, length 10: HTTP",
      ],
    ]);
  });

  it("prints UDP by its length, right or wrong", () => {
    check([
      [[E, I4, b.udp({ src: 1234, dst: 5678 }), "abc"], "IP 10.0.0.1.1234 > 10.0.0.2.5678: UDP, length 3"],
      [[E, I6, b.udp({ src: 1234, dst: 5678 }), "abc"], "IP6 fd00::1.1234 > fd00::2.5678: UDP, length 3"],
      [[E, I4, b.udp({ src: 1, dst: 2, len: 5 })], "IP 10.0.0.1.1 > 10.0.0.2.2: truncated-udplength 5"],
      [
        [E, I4, b.udp({ src: 1, dst: 2, len: 500 }), "abc"],
        "IP 10.0.0.1.1 > 10.0.0.2.2: UDP, bad length 492 > 3",
      ],
      [[E, I4, b.udp({ src: 1, dst: 2, len: 10 }), "abc"], "IP 10.0.0.1.1 > 10.0.0.2.2: UDP, length 2"],
    ]);
  });

  it("prints ICMP echo and the other questions and answers", () => {
    const m = (type: number, rest = hex("00000001 05265c00 00ffffff")): Part[] => [
      E,
      I4,
      b.icmp({ type, id: 3, seq: 4 }),
      rest,
    ];
    check([
      [m(8), "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 3, seq 4, length 20"],
      [m(0), "IP 10.0.0.1 > 10.0.0.2: ICMP echo reply, id 3, seq 4, length 20"],
      [m(4), "IP 10.0.0.1 > 10.0.0.2: ICMP source quench, length 20"],
      [
        [E, I4, b.icmp({ type: 9, rest: 0x01020708 }), hex("0a000001 00000005")],
        "IP 10.0.0.1 > 10.0.0.2: ICMP router advertisement lifetime 30:00 1: {10.0.0.1 5}, length 16",
      ],
      [
        [E, I4, b.icmp({ type: 9, rest: 0x01020010 }), hex("0a000001 00000005")],
        "IP 10.0.0.1 > 10.0.0.2: ICMP router advertisement lifetime 16 1: {10.0.0.1 5}, length 16",
      ],
      [
        [E, I4, b.icmp({ type: 9, rest: 0x01030e99 })],
        "IP 10.0.0.1 > 10.0.0.2: ICMP router advertisement lifetime 1:02:17 1: [size 3], length 8",
      ],
      [m(10), "IP 10.0.0.1 > 10.0.0.2: ICMP router solicitation, length 20"],
      [m(13), "IP 10.0.0.1 > 10.0.0.2: ICMP time stamp query id 3 seq 4, length 20"],
      [
        m(14),
        "IP 10.0.0.1 > 10.0.0.2: ICMP time stamp reply id 3 seq 4: org 00:00:00.001, recv 24:00:00.000, xmit 04:39:37.215, length 20",
      ],
      [m(15), "IP 10.0.0.1 > 10.0.0.2: ICMP information request, length 20"],
      [m(16), "IP 10.0.0.1 > 10.0.0.2: ICMP information reply, length 20"],
      [m(17), "IP 10.0.0.1 > 10.0.0.2: ICMP address mask request, length 20"],
      [m(18), "IP 10.0.0.1 > 10.0.0.2: ICMP address mask is 0x00000001, length 20"],
      [m(40), "IP 10.0.0.1 > 10.0.0.2: ICMP type-#40, length 20"],
    ]);
  });

  it("prints every code of ICMP destination unreachable", () => {
    const u = (code: number, quote = Q4, rest = 0): Part[] => [E, I4, b.icmp({ type: 3, code, rest }), quote];
    check([
      [u(0), "IP 10.0.0.1 > 10.0.0.2: ICMP net 10.0.0.9 unreachable, length 40"],
      [u(1), "IP 10.0.0.1 > 10.0.0.2: ICMP host 10.0.0.9 unreachable, length 40"],
      [u(2), "IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.9 protocol 17 unreachable, length 40"],
      [u(3), "IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.9 udp port 6000 unreachable, length 40"],
      [u(3, Q4T), "IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.9 tcp port 6000 unreachable, length 48"],
      [
        u(3, b.buildFrame([b.ip4({ src: "10.0.0.2", dst: "10.0.0.9", proto: 99 }), "abcd"])),
        "IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.9 protocol 99 port 25444 unreachable, length 32",
      ],
      [
        u(4, Q4, 1400),
        "IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.9 unreachable - need to frag (mtu 1400), length 40",
      ],
      [u(4), "IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.9 unreachable - need to frag, length 40"],
      [u(5), "IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.9 unreachable - source route failed, length 40"],
      [u(6), "IP 10.0.0.1 > 10.0.0.2: ICMP net 10.0.0.9 unreachable - unknown, length 40"],
      [u(7), "IP 10.0.0.1 > 10.0.0.2: ICMP host 10.0.0.9 unreachable - unknown, length 40"],
      [u(8), "IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.9 unreachable - source host isolated, length 40"],
      [u(9), "IP 10.0.0.1 > 10.0.0.2: ICMP net 10.0.0.9 unreachable - admin prohibited, length 40"],
      [u(10), "IP 10.0.0.1 > 10.0.0.2: ICMP host 10.0.0.9 unreachable - admin prohibited, length 40"],
      [u(11), "IP 10.0.0.1 > 10.0.0.2: ICMP net 10.0.0.9 unreachable - tos prohibited, length 40"],
      [u(12), "IP 10.0.0.1 > 10.0.0.2: ICMP host 10.0.0.9 unreachable - tos prohibited, length 40"],
      [u(13), "IP 10.0.0.1 > 10.0.0.2: ICMP host 10.0.0.9 unreachable - admin prohibited filter, length 40"],
      [
        u(14),
        "IP 10.0.0.1 > 10.0.0.2: ICMP host 10.0.0.9 unreachable - host precedence violation, length 40",
      ],
      [u(15), "IP 10.0.0.1 > 10.0.0.2: ICMP host 10.0.0.9 unreachable - precedence cutoff, length 40"],
      [u(16), "IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.9 unreachable - #16, length 40"],
    ]);
  });

  it("prints ICMP redirect, time exceeded and parameter problem", () => {
    const e = (type: number, code: number, rest = 0): Part[] => [E, I4, b.icmp({ type, code, rest }), Q4];
    check([
      [e(5, 0, 0x0a000063), "IP 10.0.0.1 > 10.0.0.2: ICMP redirect 10.0.0.9 to net 10.0.0.99, length 40"],
      [e(5, 1, 0x0a000063), "IP 10.0.0.1 > 10.0.0.2: ICMP redirect 10.0.0.9 to host 10.0.0.99, length 40"],
      [e(5, 2, 0x0a000063), "IP 10.0.0.1 > 10.0.0.2: ICMP redirect-tos 10.0.0.9 to net 10.0.0.99, length 40"],
      [
        e(5, 3, 0x0a000063),
        "IP 10.0.0.1 > 10.0.0.2: ICMP redirect-tos 10.0.0.9 to host 10.0.0.99, length 40",
      ],
      [e(5, 4, 0x0a000063), "IP 10.0.0.1 > 10.0.0.2: ICMP redirect-#4 10.0.0.9 to 10.0.0.99, length 40"],
      [e(11, 0), "IP 10.0.0.1 > 10.0.0.2: ICMP time exceeded in-transit, length 40"],
      [e(11, 1), "IP 10.0.0.1 > 10.0.0.2: ICMP ip reassembly time exceeded, length 40"],
      [e(11, 2), "IP 10.0.0.1 > 10.0.0.2: ICMP time exceeded-#2, length 40"],
      [e(12, 0, 0x05000000), "IP 10.0.0.1 > 10.0.0.2: ICMP parameter problem - octet 5, length 40"],
      [e(12, 1), "IP 10.0.0.1 > 10.0.0.2: ICMP parameter problem - code 1, length 40"],
    ]);
  });

  it("prints ICMPv6 errors", () => {
    const e = (type: number, code: number, rest = 0, quote = Q6): Part[] => [
      E,
      I6,
      b.icmp6({ type, code, rest }),
      quote,
    ];
    const tcp6 = b.buildFrame([
      b.ip6({ src: "fd00::2", dst: "fd00::9" }),
      b.ext6({ kind: 60 }),
      b.tcp({ src: 5000, dst: 6000 }),
    ]);
    check([
      [
        e(1, 0),
        "IP6 fd00::1 > fd00::2: ICMP6, destination unreachable, unreachable route fd00::9, length 60",
      ],
      [
        e(1, 1),
        "IP6 fd00::1 > fd00::2: ICMP6, destination unreachable,  unreachable prohibited fd00::9, length 60",
      ],
      [
        e(1, 2),
        "IP6 fd00::1 > fd00::2: ICMP6, destination unreachable, beyond scope fd00::9, source address fd00::2, length 60",
      ],
      [
        e(1, 3),
        "IP6 fd00::1 > fd00::2: ICMP6, destination unreachable, unreachable address fd00::9, length 60",
      ],
      [
        e(1, 4),
        "IP6 fd00::1 > fd00::2: ICMP6, destination unreachable, unreachable port, fd00::9 udp port 6000, length 60",
      ],
      [
        e(1, 4, 0, tcp6),
        "IP6 fd00::1 > fd00::2: ICMP6, destination unreachable, unreachable port, fd00::9 tcp port 6000, length 76",
      ],
      [e(1, 7), "IP6 fd00::1 > fd00::2: ICMP6, destination unreachable, unknown unreach code (7)"],
      [e(2, 0, 1280), "IP6 fd00::1 > fd00::2: ICMP6, packet too big, mtu 1280, length 60"],
      [e(3, 0), "IP6 fd00::1 > fd00::2: ICMP6, time exceeded in-transit for fd00::9, length 60"],
      [e(3, 1), "IP6 fd00::1 > fd00::2: ICMP6, time exceeded in-transit (reassembly), length 60"],
      [e(3, 2), "IP6 fd00::1 > fd00::2: ICMP6, time exceeded in-transit, unknown code (2), length 60"],
      [e(4, 0, 6), "IP6 fd00::1 > fd00::2: ICMP6, parameter problem, erroneous - octet 6, length 60"],
      [e(4, 1, 40), "IP6 fd00::1 > fd00::2: ICMP6, parameter problem, next header - octet 40, length 60"],
      [e(4, 2, 42), "IP6 fd00::1 > fd00::2: ICMP6, parameter problem, option - octet 42, length 60"],
      [
        e(4, 3),
        "IP6 fd00::1 > fd00::2: ICMP6, parameter problem, incomplete header chain - octet 0, length 60",
      ],
      [e(4, 4), "IP6 fd00::1 > fd00::2: ICMP6, parameter problem, code-#4, length 60"],
    ]);
  });

  it("prints ICMPv6 echo, neighbour discovery and multicast listeners", () => {
    check([
      [
        [E, I6, b.icmp6({ type: 128, id: 3, seq: 4 }), "abcd"],
        "IP6 fd00::1 > fd00::2: ICMP6, echo request, id 3, seq 4, length 12",
      ],
      [
        [E, I6, b.icmp6({ type: 129, id: 3, seq: 4 }), "abcd"],
        "IP6 fd00::1 > fd00::2: ICMP6, echo reply, id 3, seq 4, length 12",
      ],
      [[E, I6, b.icmp6({ type: 133 })], "IP6 fd00::1 > fd00::2: ICMP6, router solicitation, length 8"],
      [
        [E, I6, b.icmp6({ type: 134 }), new Uint8Array(8)],
        "IP6 fd00::1 > fd00::2: ICMP6, router advertisement, length 16",
      ],
      [
        [E, I6, b.icmp6({ type: 135 }), TARGET, hex("0101020000000001")],
        "IP6 fd00::1 > fd00::2: ICMP6, neighbor solicitation, who has fd00::7, length 32",
      ],
      [
        [E, I6, b.icmp6({ type: 136, rest: 0x60000000 }), TARGET],
        "IP6 fd00::1 > fd00::2: ICMP6, neighbor advertisement, tgt is fd00::7, length 24",
      ],
      [
        [E, I6, b.icmp6({ type: 137 }), TARGET, hex("fd000000000000000000000000000008")],
        "IP6 fd00::1 > fd00::2: ICMP6, redirect, fd00::8 to fd00::7, length 40",
      ],
      [
        [E, I6, b.icmp6({ type: 130, id: 1000 }), TARGET],
        "IP6 fd00::1 > fd00::2: ICMP6, multicast listener querymax resp delay: 1000 addr: fd00::7, length 24",
      ],
      [
        [E, I6, b.icmp6({ type: 130, id: 1000 }), TARGET, hex("027d0000")],
        "IP6 fd00::1 > fd00::2: ICMP6, multicast listener query v2 [gaddr fd00::7], length 28",
      ],
      [
        [E, I6, b.icmp6({ type: 130, id: 1000 }), TARGET, hex("027d0001"), TARGET],
        "IP6 fd00::1 > fd00::2: ICMP6, multicast listener query v2 [gaddr fd00::7, 1 source(s)], length 44",
      ],
      [
        [E, I6, b.icmp6({ type: 130 }), "abcd"],
        "IP6 fd00::1 > fd00::2: ICMP6, multicast listener query unknown-version (len 12) , length 12",
      ],
      [
        [E, I6, b.icmp6({ type: 131 }), TARGET],
        "IP6 fd00::1 > fd00::2: ICMP6, multicast listener reportmax resp delay: 0 addr: fd00::7, length 24",
      ],
      [
        [E, I6, b.icmp6({ type: 132 }), TARGET],
        "IP6 fd00::1 > fd00::2: ICMP6, multicast listener donemax resp delay: 0 addr: fd00::7, length 24",
      ],
      [
        [
          E,
          b.ip6({ src: "fe80::1", dst: "ff02::16" }),
          b.ext6({ kind: 0, body: hex("050200000100") }),
          b.icmp6({ type: 143, rest: 1 }),
          hex("04000000 ff02000000000000 00000001ff000001"),
        ],
        "IP6 fe80::1 > ff02::16: HBH ICMP6, multicast listener report v2, 1 group record(s), length 28",
      ],
      [
        [E, I6, b.icmp6({ type: 150 }), "abcdefgh"],
        "IP6 fd00::1 > fd00::2: ICMP6, unknown icmp6 type (150), length 16",
      ],
    ]);
  });

  it("prints ARP", () => {
    const a = { sha: "02:00:00:00:00:01", spa: "10.0.0.1", tpa: "10.0.0.2" };
    check([
      [[E, b.arp(a)], "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28"],
      [
        [E, b.arp({ ...a, tha: "02:00:00:00:00:02" })],
        "ARP, Request who-has 10.0.0.2 (02:00:00:00:00:02) tell 10.0.0.1, length 28",
      ],
      [
        [E, b.arp({ ...a, op: 2, tha: "02:00:00:00:00:02" })],
        "ARP, Reply 10.0.0.1 is-at 02:00:00:00:00:01, length 28",
      ],
      [
        [E, b.arp({ ...a, op: 3, tha: "02:00:00:00:00:02" })],
        "ARP, Reverse Request who-is 02:00:00:00:00:02 tell 02:00:00:00:00:01, length 28",
      ],
      [
        [E, b.arp({ ...a, op: 4, tha: "02:00:00:00:00:02" })],
        "ARP, Reverse Reply 02:00:00:00:00:02 at 10.0.0.2, length 28",
      ],
      [
        [eth(0x0806), hex("0001 86dd 0610 0001"), new Uint8Array(44)],
        "ARP, Ethernet (len 6), IPv6 (len 16), length 52",
      ],
      [
        [eth(0x0806), hex("0006 1234 0604 0001"), new Uint8Array(20)],
        "ARP, TokenRing (len 6), Unknown Protocol (0x1234) (len 4), length 28",
      ],
    ]);
  });

  it("prints packets inside packets", () => {
    const inner = [I4, b.icmp({ type: 8, id: 1, seq: 1 }), "x"];
    check([
      [
        [E, of4(4), ...inner],
        "IP 10.0.0.1 > 10.0.0.2: IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1, length 9",
      ],
      [[E, of4(41), Q6], "IP 10.0.0.1 > 10.0.0.2: IP6 fd00::2.5000 > fd00::9.6000: UDP, length 4"],
      [
        [E, b.ip6({ src: "fd00::1", dst: "fd00::2" }), ...inner],
        "IP6 fd00::1 > fd00::2: IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1, length 9",
      ],
      [
        [E, I4, b.udp({ src: 33333, dst: 4789 }), b.vxlan(4096), E, ...inner],
        "IP 10.0.0.1.33333 > 10.0.0.2.4789: VXLAN, flags [I] (0x08), vni 4096: IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1, length 9",
      ],
      [
        [E, I4, b.udp({ src: 33333, dst: 4789 }), hex("00000000 00100000"), E, ...inner],
        "IP 10.0.0.1.33333 > 10.0.0.2.4789: VXLAN, flags [invalid] (0x00), vni 4096: IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1, length 9",
      ],
      [
        [E, I4, b.udp({ src: 33333, dst: 4789 }), "abc"],
        "IP 10.0.0.1.33333 > 10.0.0.2.4789: VXLAN (invalid)",
      ],
      [
        [E, I4, b.udp({ src: 33333, dst: 8472 }), b.vxlan(77), E, ...inner],
        "IP 10.0.0.1.33333 > 10.0.0.2.8472: OTV, flags [I] (0x08), overlay 0, instance 77: IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1, length 9",
      ],
      [
        [E, I4, b.udp({ src: 33333, dst: 8472 }), "abc"],
        "IP 10.0.0.1.33333 > 10.0.0.2.8472: OTV, [length 3 < 8] (invalid)",
      ],
      [
        [E, I4, b.udp({ src: 33333, dst: 6081 }), b.geneve({ vni: 77 }), E, ...inner],
        "IP 10.0.0.1.33333 > 10.0.0.2.6081: Geneve, Flags [none], vni 0x4d: IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1, length 9",
      ],
      [
        [
          E,
          I4,
          b.udp({ src: 33333, dst: 6081 }),
          b.geneve({ vni: 77, options: hex("014b8102 00000001 00000002"), critical: true }),
          E,
          ...inner,
        ],
        "IP 10.0.0.1.33333 > 10.0.0.2.6081: Geneve, Flags [C], vni 0x4d, options [12 bytes]: IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1, length 9",
      ],
      [
        [E, I4, b.udp({ src: 33333, dst: 6081 }), "abcd"],
        "IP 10.0.0.1.33333 > 10.0.0.2.6081: Geneve [length 4 < 8] (invalid)",
      ],
      [
        [E, I4, b.udp({ src: 33333, dst: 6081 }), hex("40000800 00000000")],
        "IP 10.0.0.1.33333 > 10.0.0.2.6081: Geneve ERROR: unknown-version 1",
      ],
      [
        [E, of4(47), hex("b0000800 00000000 00000005 00000006"), ...inner],
        "IP 10.0.0.1 > 10.0.0.2: GREv0, off 0x0, key=0x5, seq 6, length 45: IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1, length 9",
      ],
      [
        [E, of4(47), hex("00006558"), E, ...inner],
        "IP 10.0.0.1 > 10.0.0.2: GREv0, length 47: IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1, length 9",
      ],
      [[E, of4(47), hex("00001234"), "abcd"], "IP 10.0.0.1 > 10.0.0.2: GREv0, length 8: gre-proto-0x1234"],
    ]);
  });

  it("prints fragments: the first with its ports, later ones by protocol number", () => {
    const at = { src: "10.0.0.1", dst: "10.0.0.2" };
    check([
      [
        [E, b.ip4({ ...at, mf: true }), b.udp({ src: 1, dst: 2, len: 100 }), "abcdefgh"],
        "IP 10.0.0.1.1 > 10.0.0.2.2: UDP, length 92",
      ],
      [
        [E, b.ip4({ ...at, mf: true, fragOffset: 1480, proto: 17 }), "abcdefgh"],
        "IP 10.0.0.1 > 10.0.0.2: ip-proto-17",
      ],
      [
        [E, I6, b.frag6({ offset: 0, mf: true, id: 99 }), b.udp({ src: 1, dst: 2, len: 100 }), "abcdefgh"],
        "IP6 fd00::1 > fd00::2: frag (0|16) 1 > 2: UDP, length 92",
      ],
      [
        [E, I6, b.frag6({ offset: 16, mf: false, id: 99, nexthdr: 17 }), "abcdefgh"],
        "IP6 fd00::1 > fd00::2: frag (16|8)",
      ],
    ]);
  });

  it("prints IPv6 extension headers", () => {
    const T = b.tcp({ src: 1, dst: 2 });
    const via = "fd00000000000000 0000000000000005";
    check([
      [
        [E, I6, b.ext6({ kind: 60 }), T],
        "IP6 fd00::1 > fd00::2: DSTOPT 1 > 2: Flags [S], seq 0, win 65535, length 0",
      ],
      [
        [E, I6, b.ext6({ kind: 0 }), b.ext6({ kind: 60 }), T],
        "IP6 fd00::1 > fd00::2: HBH DSTOPT 1 > 2: Flags [S], seq 0, win 65535, length 0",
      ],
      [
        [E, I6, b.ext6({ kind: 43, body: hex(`020000000000${via}`) }), T],
        "IP6 fd00::1 > fd00::2: RT6 (len=2, type=2, segleft=0, [0]fd00::5) 1 > 2: Flags [S], seq 0, win 65535, length 0",
      ],
      [
        [E, I6, b.ext6({ kind: 43, body: hex(`000100000007${via}`) }), T],
        "IP6 fd00::1 > fd00::2: RT6 (len=2, type=0 [Deprecated], segleft=1, rsv=0x7, [0]fd00::5) 1 > 2: Flags [S], seq 0, win 65535, length 0",
      ],
      [
        [E, I6, b.ext6({ kind: 43, body: hex(`040100010002${via}`) }), T],
        "IP6 fd00::1 > fd00::2: RT6 (len=2, type=4, segleft=1, last-entry=0, flags=0x1, tag=2, [0]fd00::5) 1 > 2: Flags [S], seq 0, win 65535, length 0",
      ],
      [
        [E, I6, b.ext6({ kind: 43, body: hex(`090100000000${via}`) }), T],
        "IP6 fd00::1 > fd00::2: RT6 (len=2, type=9, segleft=1 (unknown type) (invalid)",
      ],
      [[E, I6], "IP6 fd00::1 > fd00::2: no next header"],
    ]);
  });

  it("prints SCTP chunk by chunk", () => {
    const s = (chunks: string): Part[] => [E, I4, b.sctp({ src: 1, dst: 2, vtag: 5 }), hex(chunks)];
    check([
      [
        s("01000014 00000001 00001000 000a000b 00000064"),
        "IP 10.0.0.1.1 > 10.0.0.2.2: sctp (1) [INIT] [init tag: 1] [rwnd: 4096] [OS: 10] [MIS: 11] [init TSN: 100] ",
      ],
      [
        s("00030012 00000001 00010002 00000000 61620000 03000010 00000001 00001000 00000000"),
        "IP 10.0.0.1.1 > 10.0.0.2.2: sctp (1) [DATA] (B)(E) [TSN: 1] [SID: 1] [SSEQ 2] [PPID 0x0] , (2) [SACK] [cum ack 1] [a_rwnd 4096] [#gap acks 0] [#dup tsns 0] ",
      ],
      [
        s("00070011 00000001 00010002 0000000a 61000000"),
        "IP 10.0.0.1.1 > 10.0.0.2.2: sctp (1) [DATA] (U)(B)(E) [TSN: 1] [SID: 1] [SSEQ 2] [PPID DUA] ",
      ],
      [
        s("0a000008 00000001 0e000004 ff000004 01000008 00000000"),
        "IP 10.0.0.1.1 > 10.0.0.2.2: sctp (1) [COOKIE ECHO] , (2) [SHUTDOWN COMPLETE] , (3) [Unknown chunk type: 0xff] , (4) [INIT] bogus chunk length 8]",
      ],
      [
        s("00000003"),
        "IP 10.0.0.1.1 > 10.0.0.2.2: sctp (1) [Bad chunk length 3, < size of chunk descriptor]",
      ],
      [s("0e00"), "IP 10.0.0.1.1 > 10.0.0.2.2: sctp (1) [chunk descriptor cut off at end of packet]"],
      [
        [E, I6, b.sctp({ src: 1, dst: 2, vtag: 5 }), hex("0e000004")],
        "IP6 fd00::1.1 > fd00::2.2: sctp (1) [SHUTDOWN COMPLETE] ",
      ],
    ]);
  });

  it("prints IGMP, VRRP, ESP, AH and protocols it does not know", () => {
    const g = (m: string): Part[] => [
      E,
      b.ip4({ src: "10.0.0.1", dst: "224.0.0.5", proto: 2, ttl: 1 }),
      hex(m),
    ];
    const v = (ttl: number, m: string): Part[] => [
      E,
      b.ip4({ src: "10.0.0.1", dst: "224.0.0.18", proto: 112, ttl }),
      hex(m),
    ];
    check([
      [g("11000000 00000000"), "IP 10.0.0.1 > 224.0.0.5: igmp query v1"],
      [g("11640000 00000000"), "IP 10.0.0.1 > 224.0.0.5: igmp query v2"],
      [g("11140000 e0000005"), "IP 10.0.0.1 > 224.0.0.5: igmp query v2 [max resp time 20] [gaddr 224.0.0.5]"],
      [g("11640000 e0000005 027d0000"), "IP 10.0.0.1 > 224.0.0.5: igmp query v3 [gaddr 224.0.0.5]"],
      [
        g("11180000 00000000 027d0001 0a000001"),
        "IP 10.0.0.1 > 224.0.0.5: igmp query v3 [max resp time 2.4s]",
      ],
      [
        g("11ff0000 e0000005 027d0001 0a000001"),
        "IP 10.0.0.1 > 224.0.0.5: igmp query v3 [max resp time 52m54s] [gaddr 224.0.0.5, 1 source(s)]",
      ],
      [g("12000000 e0000005"), "IP 10.0.0.1 > 224.0.0.5: igmp v1 report 224.0.0.5"],
      [g("16000000 e0000005"), "IP 10.0.0.1 > 224.0.0.5: igmp v2 report 224.0.0.5"],
      [g("17000000 e0000005"), "IP 10.0.0.1 > 224.0.0.5: igmp leave 224.0.0.5"],
      [
        g("22000000 00000001 04000000 e0000005"),
        "IP 10.0.0.1 > 224.0.0.5: igmp v3 report, 1 group record(s)",
      ],
      [g("99000000 00000000"), "IP 10.0.0.1 > 224.0.0.5: igmp-153"],
      [
        v(255, "21016401 00010000 0a000063"),
        "IP 10.0.0.1 > 224.0.0.18: VRRPv2, Advertisement, vrid 1, prio 100, authtype none, intvl 1s, length 12",
      ],
      [
        v(64, "31016401 00640000 0a000063"),
        "IP 10.0.0.1 > 224.0.0.18: VRRPv3, Advertisement, (ttl 64), vrid 1, prio 100, intvl 100cs, length 12",
      ],
      [v(255, "41016401 00640000 0a000063"), "IP 10.0.0.1 > 224.0.0.18: VRRPv4, Advertisement"],
      [
        [E, of4(50), hex("00000105 00000009 aabbccdd")],
        "IP 10.0.0.1 > 10.0.0.2: ESP(spi=0x00000105,seq=0x9), length 12",
      ],
      [
        [
          E,
          of4(51),
          hex("11040000 00000105 00000009 aabbccdd aabbccdd aabbccdd"),
          b.udp({ src: 1, dst: 2 }),
          "ab",
        ],
        "IP 10.0.0.1 > 10.0.0.2: AH(spi=0x00000105,seq=0x9,icv=0xaabbccddaabbccddaabbccdd): 1 > 2: UDP, length 2",
      ],
      [[E, of4(99), "abc"], "IP 10.0.0.1 > 10.0.0.2:  ip-proto-99 3"],
      [[E, of4(59), "abc"], "IP 10.0.0.1 > 10.0.0.2: no next header"],
      [[E, of4(58), "abc"], "IP 10.0.0.1 > 10.0.0.2: [ICMPv6 requires IPv6] (invalid)"],
      [
        [E, b.ip6({ src: "fd00::1", dst: "fd00::2", nexthdr: 1 }), "abc"],
        "IP6 fd00::1 > fd00::2: [ICMP requires IPv4] (invalid)",
      ],
      [
        [E, b.ip6({ src: "fd00::1", dst: "fd00::2", nexthdr: 2 }), "abc"],
        "IP6 fd00::1 > fd00::2: [IGMP requires IPv4] (invalid)",
      ],
    ]);
  });

  it("prints malformed and cut packets as far as they go", () => {
    const whole = b.buildFrame([E, I4, b.tcp({ src: 1, dst: 2, mss: 1460 })]);
    const udp = b.buildFrame([E, I4, b.udp({ src: 1, dst: 2 }), "abcd"]);
    const six = b.buildFrame([E, I6, b.icmp6({ type: 135 }), TARGET]);
    check([
      [[eth(0x0800), hex("f5"), new Uint8Array(30)], "IP15 (invalid)"],
      [[eth(0x86dd), hex("45"), new Uint8Array(60)], "IP6 version error: 4 != 6"],
      [[eth(0x0800), hex("60"), new Uint8Array(60)], "IP6, wrong link-layer encapsulation (invalid)"],
      [[eth(0x0800), hex("44"), new Uint8Array(60)], "IP bad-hlen 16"],
      [
        [E, b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", totLen: 10 }), b.udp({ src: 1, dst: 2 })],
        "IP bad-len 10",
      ],
      [
        [E, b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", totLen: 100 }), b.udp({ src: 1, dst: 2 })],
        "IP truncated-ip - 72 bytes missing! 10.0.0.1.1 > 10.0.0.2.2: UDP, length 0",
      ],
      [[whole.slice(0, 20)], "IP  [|ip]"],
      [[whole.slice(0, 36)], "IP truncated-ip - 22 bytes missing! 10.0.0.1 > 10.0.0.2: [|tcp]"],
      [[whole.slice(0, 40)], "IP truncated-ip - 18 bytes missing! 10.0.0.1.1 > 10.0.0.2.2:  [|tcp]"],
      [
        [whole.slice(0, 56)],
        "IP truncated-ip - 2 bytes missing! 10.0.0.1.1 > 10.0.0.2.2: Flags [S], seq 0, win 65535, options [mss [|tcp]",
      ],
      [[udp.slice(0, 36)], "IP truncated-ip - 10 bytes missing! 10.0.0.1 > 10.0.0.2:  [|udp]"],
      [[udp.slice(0, 40)], "IP truncated-ip - 6 bytes missing! 10.0.0.1.1 > 10.0.0.2.2:  [|udp]"],
      [[six.slice(0, 50)], " [|ip6]"],
      [
        [six.slice(0, 58)],
        "IP6 truncated-ip6 - 20 bytes missing!fd00::1 > fd00::2: ICMP6, neighbor solicitation [|icmp6]",
      ],
      [
        [six.slice(0, 70)],
        "IP6 truncated-ip6 - 8 bytes missing!fd00::1 > fd00::2: ICMP6, neighbor solicitation [|icmp6]",
      ],
      [[whole.slice(0, 13)], " [|ether]"],
      [[E, b.arp({ sha: "02:00:00:00:00:01", spa: "10.0.0.1", tpa: "10.0.0.2" })].slice(0, 1), " [|ip]"],
    ]);
  });

  it("prints link-layer addresses and EtherTypes when asked, of inner frames too", () => {
    const tagged = b.eth({ src: "02:00:00:00:00:01", dst: "02:00:00:00:00:02", vlan: [0x7005, 7] });
    check(
      [
        [
          [E, I4, b.icmp({ type: 8, id: 1, seq: 1 })],
          "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype IPv4 (0x0800), length 42: 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1, length 8",
        ],
        [
          [E, b.arp({ sha: "02:00:00:00:00:01", spa: "10.0.0.1", tpa: "10.0.0.2" })],
          "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype ARP (0x0806), length 42: Request who-has 10.0.0.2 tell 10.0.0.1, length 28",
        ],
        [
          [tagged, I6],
          "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype 802.1Q (0x8100), length 62: vlan 5, p 3, DEI, ethertype 802.1Q (0x8100), vlan 7, p 0, ethertype IPv6 (0x86dd), fd00::1 > fd00::2: no next header",
        ],
        [
          [E, I4, b.udp({ src: 33333, dst: 4789 }), b.vxlan(1), E, I4],
          "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype IPv4 (0x0800), length 84: 10.0.0.1.33333 > 10.0.0.2.4789: VXLAN, flags [I] (0x08), vni 1: " +
            "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype IPv4 (0x0800), length 34: 10.0.0.1 > 10.0.0.2:  ip-proto-0 0",
        ],
        [
          [E, I4, b.udp({ src: 33333, dst: 6081 }), b.geneve({ vni: 1 }), E, I4],
          "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype IPv4 (0x0800), length 84: 10.0.0.1.33333 > 10.0.0.2.6081: Geneve, Flags [none], vni 0x1, proto TEB (0x6558): " +
            "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype IPv4 (0x0800), length 34: 10.0.0.1 > 10.0.0.2:  ip-proto-0 0",
        ],
      ],
      { ether: true },
    );
  });

  it("names the addresses of frames that carry something unknown", () => {
    check([
      [
        [eth(0x1234), "abcd"],
        "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype Unknown (0x1234), length 18: ",
      ],
      [[eth(0x88cc), "abcd"], "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype LLDP (0x88cc), length 18: "],
      [[eth(0x0026), new Uint8Array(46)], "02:00:00:00:00:01 > 02:00:00:00:00:02, 802.3, length 38"],
    ]);
  });

  it("prints sequence numbers relative to the connection it remembers", () => {
    const sequences = new TcpSequences();
    const c = { src: 40000, dst: 81 };
    const s = { src: 81, dst: 40000 };
    const back = b.ip4({ src: "10.0.0.2", dst: "10.0.0.1" });
    check(
      [
        [
          [E, I4, b.tcp({ ...c, seq: 4294967290 })],
          "IP 10.0.0.1.40000 > 10.0.0.2.81: Flags [S], seq 4294967290, win 65535, length 0",
        ],
        [
          [E, back, b.tcp({ ...s, flags: 0x12, seq: 100, ack: 4294967291 })],
          "IP 10.0.0.2.81 > 10.0.0.1.40000: Flags [S.], seq 100, ack 4294967291, win 65535, length 0",
        ],
        [
          [E, I4, b.tcp({ ...c, flags: 0x10, seq: 4294967291, ack: 101 })],
          "IP 10.0.0.1.40000 > 10.0.0.2.81: Flags [.], ack 1, win 65535, length 0",
        ],
        [
          [E, I4, b.tcp({ ...c, flags: 0x18, seq: 4294967291, ack: 101 }), "0123456789"],
          "IP 10.0.0.1.40000 > 10.0.0.2.81: Flags [P.], seq 1:11, ack 1, win 65535, length 10",
        ],
        [
          [
            E,
            back,
            b.tcp({ ...s, flags: 0x10, seq: 101, ack: 5, options: hex("0101050a 00000000 00000005") }),
          ],
          "IP 10.0.0.2.81 > 10.0.0.1.40000: Flags [.], ack 11, win 65535, options [nop,nop,sack 1 {6:11}], length 0",
        ],
        [
          [E, back, b.tcp({ ...s, flags: 0x11, seq: 101, ack: 5 })],
          "IP 10.0.0.2.81 > 10.0.0.1.40000: Flags [F.], seq 1, ack 11, win 65535, length 0",
        ],
        [
          [E, I4, b.tcp({ ...c, flags: 0x04, seq: 5 })],
          "IP 10.0.0.1.40000 > 10.0.0.2.81: Flags [R], seq 5, win 65535, length 0",
        ],
      ],
      { sequences },
    );
  });

  it("starts from the first segment it sees of a connection that was there before", () => {
    const sequences = new TcpSequences();
    const same = { src: 7000, dst: 7000 };
    const back = b.ip6({ src: "fd00::2", dst: "fd00::1" });
    check(
      [
        [
          [E, I6, b.tcp({ ...same, flags: 0x18, seq: 1000, ack: 500 }), "ab"],
          "IP6 fd00::1.7000 > fd00::2.7000: Flags [P.], seq 1000:1002, ack 500, win 65535, length 2",
        ],
        [
          [E, back, b.tcp({ ...same, flags: 0x18, seq: 500, ack: 1002 }), "c"],
          "IP6 fd00::2.7000 > fd00::1.7000: Flags [P.], seq 1:2, ack 2, win 65535, length 1",
        ],
        [
          [E, I6, b.tcp({ ...same, flags: 0x18, seq: 1002, ack: 501 }), "d"],
          "IP6 fd00::1.7000 > fd00::2.7000: Flags [P.], seq 2:3, ack 2, win 65535, length 1",
        ],
      ],
      { sequences },
    );
  });

  it("reads port 8472 as VXLAN when told to", () => {
    check(
      [
        [
          [E, I4, b.udp({ src: 33333, dst: 8472 }), b.vxlan(5), E, I6],
          "IP 10.0.0.1.33333 > 10.0.0.2.8472: VXLAN, flags [I] (0x08), vni 5: IP6 fd00::1 > fd00::2: no next header",
        ],
      ],
      { vxlanPorts: [4789, 8472] },
    );
  });

  it("prints raw IP captures", () => {
    for (const linkType of [lt.LINKTYPE_RAW, lt.LINKTYPE_IPV4, lt.LINKTYPE_IPV6]) {
      check(
        [
          [
            [I4, b.icmp({ type: 8, id: 1, seq: 1 })],
            "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1, length 8",
          ],
          [[I6], "IP6 fd00::1 > fd00::2: no next header"],
          [[hex("50")], "unknown ip 5"],
          [[], "truncated-ip 0"],
        ],
        { linkType },
      );
    }
    check([[[I4], "ip: 10.0.0.1 > 10.0.0.2:  ip-proto-0 0"]], { linkType: lt.LINKTYPE_RAW, ether: true });
    check([[["ab"], "link type 105, length 2"]], { linkType: 105 });
  });

  it("prints Linux cooked captures with direction and interface name", () => {
    const mac = hex("020000000001");
    const v1 = (type: number): Uint8Array => {
      const h = new Uint8Array(16);
      sll.write(new DataView(h.buffer), 0, type, 1, mac, 0x0800);
      return h;
    };
    const v2 = (type: number, proto: number): Uint8Array => {
      const h = new Uint8Array(20);
      sll.write2(new DataView(h.buffer), 0, type, 1, mac, proto, 7);
      return h;
    };
    const ping = [I4, b.icmp({ type: 8, id: 1, seq: 1 })];
    const line = "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1, length 8";
    check(
      [0, 1, 2, 3, 4, 9].map(
        (type, i): Row => [[v1(type), ...ping], `${["In ", "B  ", "M  ", "P  ", "Out", "?  "][i]} ${line}`],
      ),
      { linkType: lt.LINKTYPE_LINUX_SLL },
    );
    check([[[v1(0).slice(0, 9)], " [|sll]"]], { linkType: lt.LINKTYPE_LINUX_SLL });
    check([[[v2(4, 0x0800), ...ping], `eth0  Out ${line}`]], {
      linkType: lt.LINKTYPE_LINUX_SLL2,
      ifName: (n) => (n === 7 ? "eth0" : "lo"),
    });
    check(
      [
        [
          [v2(0, 0x0806), b.arp({ sha: mac, spa: "10.0.0.1", tpa: "10.0.0.2" })],
          "?     In  ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28",
        ],
        [[v2(0, 0x1234), "abcd"], "?     In  ethertype Unknown (0x1234), length 24"],
      ],
      { linkType: lt.LINKTYPE_LINUX_SLL2 },
    );
  });

  it("takes the length on the wire from the capture", () => {
    const whole = b.buildFrame([E, I4, b.udp({ src: 1, dst: 2 }), b.countingBytes(1000)]);
    expect(describeFrame(whole.slice(0, 64), { origLen: whole.length })).toBe(
      "IP 10.0.0.1.1 > 10.0.0.2.2: UDP, length 1000",
    );
    expect(describeFrame(whole.slice(0, 64))).toBe(
      "IP truncated-ip - 978 bytes missing! 10.0.0.1.1 > 10.0.0.2.2: UDP, length 1000",
    );
  });
});
