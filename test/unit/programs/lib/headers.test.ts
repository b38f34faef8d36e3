// csum, ipv4, ipv6, eth, l3: what programs read from headers, and what they do to them.

import { describe, expect, it } from "vitest";
import {
  csum_diff2,
  csum_diff4,
  csum_l4_offset,
  csum_l4_replace,
  csum_update,
  ipv4_csum_update_by_diff,
  l4_modify_port,
  TCP_DPORT_OFF,
} from "../../../../programs/lib/csum.js";
import {
  eth_store_daddr_bytes,
  eth_store_saddr_bytes,
  validate_ethertype,
} from "../../../../programs/lib/eth.js";
import {
  IPFRAG_FRAGMENT,
  IPFRAG_NO_L4,
  ipfrag_encode_ipv4,
  ipv4_hdrlen,
  ipv4_load_l4_ports,
} from "../../../../programs/lib/ipv4.js";
import { ipv6_hdrlen_with_fraginfo, ipv6_load_l4_ports } from "../../../../programs/lib/ipv6.js";
import { ipv4_l3, ipv4_l3_ttl, ipv6_l3_ttl } from "../../../../programs/lib/l3.js";
import { PlainNode } from "../../../../src/bench/programs_node.js";
import { countingBytes, ext6, frag6, ip4, ip6, tcp, udp } from "../../../../src/net/build.js";
import { toHex } from "../../../../src/net/view.js";
import fc from "../../../support/fast_check.js";
import { enterProgram, metricRows } from "../../../support/program_ctx.js";
import { A, A6, B, B6, frame } from "../../../support/program_frames.js";
import { checksumsRight } from "../../../support/services.js";

const DROP_INVALID = -134;
const DROP_CT_INVALID_HDR = -135;
const DROP_INVALID_EXTHDR = -156;
const DROP_FRAG_NOT_FOUND = -175;
const DROP_TTL_EXCEEDED = -196;
/** sport 40000, dport 80 as a little-endian CPU loads them. */
const PORTS = (0x5000 << 16) | 0x409c;

const tcp4 = (): Uint8Array => frame(ip4({ src: A, dst: B }), tcp({ src: 40000, dst: 80 }), "abc");

describe("checksums", () => {
  it("follow every change of address and port, for TCP and UDP", () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(0xffff), fc.boolean(), (addr, port, isTcp) => {
        const l4 = isTcp ? tcp({ src: 40000, dst: 80 }) : udp({ src: 40000, dst: 80 });
        const { ctx } = enterProgram({ frame: frame(ip4({ src: A, dst: B }), l4, "abc"), node });
        const proto = isTcp ? 6 : 17;
        const old = ctx.view.getInt32(ctx.base + 30, true);
        ctx.view.setInt32(ctx.base + 30, addr, true);
        ipv4_csum_update_by_diff(ctx, 14, csum_diff4(old, addr));
        expect(csum_l4_replace(ctx, 34, csum_l4_offset(proto), proto, csum_diff4(old, addr))).toBe(0);
        expect(l4_modify_port(ctx, 34, TCP_DPORT_OFF, csum_l4_offset(proto), proto, port, 0x5000)).toBe(0);
        expect(checksumsRight(ctx.skb.frame())).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it("of UDP stay 0 if there is none, and are never 0 if there is one", () => {
    const none = frame(ip4({ src: A, dst: B }), udp({ src: 1, dst: 2, check: 0 }));
    const { ctx } = enterProgram({ frame: none, node });
    csum_l4_replace(ctx, 34, 6, 17, csum_diff2(1, 2));
    expect(ctx.view.getUint16(ctx.base + 40)).toBe(0);
    ctx.view.setUint16(ctx.base + 40, 1, true);
    csum_l4_replace(ctx, 34, 6, 17, csum_diff2(0, 1));
    expect(ctx.view.getUint16(ctx.base + 40)).toBe(0xffff);
    expect(csum_update(1, csum_diff2(0, 1))).toBe(0);
  });

  it("outside of the packet are a checksum error", () => {
    const { ctx } = enterProgram({ frame: tcp4().subarray(0, 48), node });
    expect(csum_l4_replace(ctx, 34, 16, 6, 1)).toBe(-154);
  });
});

const node = new PlainNode({ ipv6: true, ctSize: 64 });

describe("validate_ethertype", () => {
  it.each([
    ["IPv4", [0x08, 0x00], true],
    ["IPv6", [0x86, 0xdd], true],
    ["ARP", [0x08, 0x06], true],
    ["LLDP", [0x88, 0xcc], true],
    ["an 802.3 length of 256", [0x01, 0x00], false],
    // The original compares as loaded by a little-endian CPU: 46 counts as a type.
    ["an 802.3 length of 46", [0x00, 0x2e], true],
  ] as const)("says of %s whether it is Ethernet II", (_, type, ok) => {
    const f = tcp4();
    f.set(type, 12);
    expect(validate_ethertype(enterProgram({ frame: f, node }).ctx)).toBe(ok);
  });

  it("refuses a frame without a whole Ethernet header", () => {
    expect(validate_ethertype(enterProgram({ frame: tcp4().subarray(0, 13), node }).ctx)).toBe(false);
  });
});

describe("eth_store_*", () => {
  it("writes six bytes and no more", () => {
    const { ctx } = enterProgram({ frame: tcp4(), node });
    eth_store_daddr_bytes(ctx, Uint8Array.of(1, 2, 3, 4, 5, 6));
    eth_store_saddr_bytes(ctx, Uint8Array.of(7, 8, 9, 10, 11, 12));
    expect(toHex(ctx.skb.frame().subarray(0, 15))).toBe("0102030405060708090a0b0c080045");
  });
});

describe("IPv4", () => {
  it("has its L4 header behind the options", () => {
    const f = frame(
      ip4({ src: A, dst: B, options: Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 1) }),
      tcp({ src: 40000, dst: 80 }),
    );
    const { ctx } = enterProgram({ frame: f, node });
    expect(ipv4_hdrlen(ctx, 14)).toBe(28);
    expect(ipv4_load_l4_ports(ctx, 14, 0, 42, 0)).toBe(0);
    expect(ctx.l4_ports).toBe(PORTS | 0);
  });

  it.each([
    ["no fragment", {}, 0],
    ["don't fragment", { df: true }, 0],
    ["the first fragment", { mf: true }, IPFRAG_FRAGMENT],
    ["a middle fragment", { mf: true, fragOffset: 8 }, IPFRAG_FRAGMENT | IPFRAG_NO_L4],
    ["the last fragment", { fragOffset: 0x1fff0 & 0xfff8 }, IPFRAG_FRAGMENT | IPFRAG_NO_L4],
  ] as const)("knows %s", (_, fields, info) => {
    const f = frame(ip4({ src: A, dst: B, ...fields, proto: 17 }), countingBytes(16));
    expect(ipfrag_encode_ipv4(enterProgram({ frame: f, node }).ctx, 14)).toBe(info);
  });

  it("finds the ports of later fragments under those of the first", () => {
    const own = new PlainNode({ ctSize: 64 });
    const first = frame(
      ip4({ src: A, dst: B, id: 7, mf: true }),
      udp({ src: 40000, dst: 80 }),
      countingBytes(8),
    );
    const last = frame(ip4({ src: A, dst: B, id: 7, fragOffset: 16, proto: 17 }), countingBytes(8));
    const other = frame(ip4({ src: A, dst: B, id: 8, fragOffset: 16, proto: 17 }), countingBytes(8));
    let { ctx } = enterProgram({ frame: first, node: own });
    expect(ipv4_load_l4_ports(ctx, 14, ipfrag_encode_ipv4(ctx, 14), 34, 0)).toBe(0);
    ({ ctx } = enterProgram({ frame: last, node: own }));
    ctx.l4_ports = 0;
    expect(ipv4_load_l4_ports(ctx, 14, ipfrag_encode_ipv4(ctx, 14), 34, 0)).toBe(0);
    expect(ctx.l4_ports).toBe(PORTS | 0);
    ({ ctx } = enterProgram({ frame: other, node: own }));
    expect(ipv4_load_l4_ports(ctx, 14, ipfrag_encode_ipv4(ctx, 14), 34, 0)).toBe(DROP_FRAG_NOT_FOUND);
  });

  it("without four bytes of L4 has no ports", () => {
    const { ctx } = enterProgram({ frame: tcp4().subarray(0, 37), node });
    expect(ipv4_load_l4_ports(ctx, 14, 0, 34, 0)).toBe(DROP_CT_INVALID_HDR);
  });

  it("loses one of its TTL at a hop, with the right checksum, down to 1", () => {
    const { ctx } = enterProgram({ frame: tcp4(), node });
    for (let ttl = 63; ttl >= 1; ttl--) {
      expect(ipv4_l3_ttl(ctx, 14)).toBe(0);
      expect([ctx.bytes[ctx.base + 22], checksumsRight(ctx.skb.frame())]).toEqual([ttl, true]);
    }
    expect(ipv4_l3_ttl(ctx, 14)).toBe(DROP_TTL_EXCEEDED);
  });

  it("gets both MACs at a hop", () => {
    const { ctx } = enterProgram({ frame: tcp4(), node });
    expect(ipv4_l3(ctx, 14, 0x04030201, 0x0605, 0x0a090807, 0x0c0b)).toBe(0);
    expect(toHex(ctx.skb.frame().subarray(0, 12))).toBe("0708090a0b0c010203040506");
  });
});

describe("IPv6", () => {
  const ip = ip6({ src: A6, dst: B6 });
  const l4 = udp({ src: 40000, dst: 80 });
  const hop = ext6({ kind: 0, body: countingBytes(14) });
  const dest = ext6({ kind: 60, body: countingBytes(6) });

  it.each([
    ["no extension header", [l4], 40],
    ["hop-by-hop options of 16 bytes", [hop, l4], 56],
    ["three headers", [hop, dest, dest, l4], 72],
    ["more than the program walks", [dest, dest, dest, dest, dest, dest, dest, l4], DROP_INVALID_EXTHDR],
  ] as const)("finds the L4 header behind %s", (_, rest, len) => {
    const { ctx } = enterProgram({ frame: frame(ip, ...rest), node });
    expect(ipv6_hdrlen_with_fraginfo(ctx, 14)).toBe(len);
    if (len > 0) expect([ctx.nexthdr, ctx.fraginfo]).toEqual([17, 0]);
  });

  it("refuses `no next header` and a header that is not there in full", () => {
    const none = frame(ip6({ src: A6, dst: B6, nexthdr: 59 }));
    expect(ipv6_hdrlen_with_fraginfo(enterProgram({ frame: none, node }).ctx, 14)).toBe(DROP_INVALID_EXTHDR);
    const cut = frame(ip, hop, l4).subarray(0, 55);
    expect(ipv6_hdrlen_with_fraginfo(enterProgram({ frame: cut, node }).ctx, 14)).toBe(DROP_INVALID);
  });

  it("does not walk on behind a later fragment, whose ports are the first one's", () => {
    const own = new PlainNode({ ctSize: 64, ipv6: true });
    const first = frame(ip, frag6({ offset: 0, mf: true, id: 9 }), l4);
    const last = frame(ip, frag6({ offset: 64, mf: false, id: 9, nexthdr: 17 }), countingBytes(8));
    let { ctx } = enterProgram({ frame: first, node: own });
    expect(ipv6_hdrlen_with_fraginfo(ctx, 14)).toBe(48);
    expect(ctx.fraginfo).toBe(IPFRAG_FRAGMENT);
    expect(ipv6_load_l4_ports(ctx, 14, ctx.fraginfo, 62, 0)).toBe(0);
    ({ ctx } = enterProgram({ frame: last, node: own }));
    expect(ipv6_hdrlen_with_fraginfo(ctx, 14)).toBe(48);
    expect(ctx.fraginfo).toBe(IPFRAG_FRAGMENT | IPFRAG_NO_L4);
    ctx.l4_ports = 0;
    expect(ipv6_load_l4_ports(ctx, 14, ctx.fraginfo, 62, 0)).toBe(0);
    expect(ctx.l4_ports).toBe(PORTS | 0);
  });

  it("loses one of its hop limit at a hop", () => {
    const { ctx } = enterProgram({ frame: frame(ip, l4), node });
    expect(ipv6_l3_ttl(ctx, 14, 2)).toBe(0);
    expect(ctx.bytes[ctx.base + 21]).toBe(63);
  });
});

describe("fragments at conntrack", () => {
  it("are counted under their own reason, and dropped when their first one never came", () => {
    const own = new PlainNode({ ctSize: 64, ipv6: true });
    const last = frame(ip4({ src: A, dst: B, id: 7, fragOffset: 16, proto: 17 }), countingBytes(8));
    expect(own.a.from_container.run(own.receive(last, 101))).toBe(2);
    expect(metricRows(own).map((row) => row.split(" ").slice(0, 2).join(" "))).toEqual(["175 2"]);
  });
});
