import { describe, expect, it } from "vitest";
import { htons, parseIpv4 } from "../../../src/net/address.js";
import * as b from "../../../src/net/build.js";
import * as d from "../../../src/net/dissect.js";
import { fromHex } from "../../../src/net/view.js";

const E = b.eth({ src: "02:00:00:00:00:01", dst: "02:00:00:00:00:02" });
const I4 = b.ip4({ src: "10.0.0.1", dst: "10.0.0.2" });
const I6 = b.ip6({ src: "fd00::1", dst: "fd00::2" });

interface Found {
  ok: boolean;
  family: number;
  ipProto: number;
  flags: number;
  nhoff: number;
  thoff: number;
  sport: number;
  dport: number;
}

function run(layers: (b.Layer | string | Uint8Array)[], flags = 0, cut = 0): { k: d.FlowKeys; f: Found } {
  const bytes = b.buildFrame(layers);
  const v = new DataView(bytes.buffer);
  const k = new d.FlowKeys();
  const ok = d.dissectFrame(v, 0, bytes.length - cut, k, flags);
  const { family, ipProto, nhoff, thoff, sport, dport } = k;
  return { k, f: { ok, family, ipProto, flags: k.flags, nhoff, thoff, sport, dport } };
}

const PORTS = { sport: htons(1000), dport: htons(2000) };
const NONE = { sport: 0, dport: 0 };
const UDP = b.udp({ src: 1000, dst: 2000 });

describe("dissect", () => {
  it("finds addresses and ports of TCP, UDP and SCTP over IPv4", () => {
    const rows: [b.Layer, number][] = [
      [b.tcp({ src: 1000, dst: 2000 }), 6],
      [UDP, 17],
      [b.sctp({ src: 1000, dst: 2000 }), 132],
    ];
    for (const [layer, proto] of rows) {
      const { k, f } = run([E, I4, layer]);
      expect(f).toEqual({ ok: true, family: 4, ipProto: proto, flags: 0, nhoff: 14, thoff: 34, ...PORTS });
      expect([k.saddr, k.daddr, k.nProto]).toEqual([parseIpv4("10.0.0.1"), parseIpv4("10.0.0.2"), 0x0800]);
    }
  });

  it("finds addresses and ports over IPv6, through extension headers", () => {
    const { k, f } = run([E, I6, b.ext6({ kind: 0 }), b.ext6({ kind: 60 }), UDP]);
    expect(f).toEqual({ ok: true, family: 6, ipProto: 17, flags: 0, nhoff: 14, thoff: 70, ...PORTS });
    expect([...k.v6]).toEqual([0xfd, 0, 0, 0x01000000, 0xfd, 0, 0, 0x02000000]);
  });

  it("reads type, code and identifier of ICMP", () => {
    const { k } = run([E, I4, b.icmp({ type: 8, id: 0x0c00, seq: 5 })]);
    expect([k.icmpType, k.icmpCode, k.icmpId]).toEqual([8, 0, 0x000c]);
    const u = run([E, I4, b.icmp({ type: 3, code: 4, rest: 0x1234 })]).k;
    expect([u.icmpType, u.icmpCode, u.icmpId]).toEqual([3, 4, 0]);
    const six = run([E, I6, b.icmp6({ type: 129, id: 0x0c00 })]).k;
    expect([six.icmpType, six.icmpId]).toEqual([129, 0x000c]);
  });

  it("gives no ports for fragments, or for the first one when asked", () => {
    const first = [E, b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", mf: true }), UDP, "abcdefgh"];
    const frag = d.FLOW_DIS_IS_FRAGMENT;
    const both = frag | d.FLOW_DIS_FIRST_FRAG;
    const base = { ok: true, family: 4, ipProto: 17, nhoff: 14, thoff: 34 };
    expect(run(first).f).toEqual({ ...base, flags: both, ...NONE });
    expect(run(first, d.FLOW_DISSECTOR_F_PARSE_1ST_FRAG).f).toEqual({ ...base, flags: both, ...PORTS });
    const later = [E, b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", fragOffset: 8, proto: 17 }), "abcdefgh"];
    expect(run(later, d.FLOW_DISSECTOR_F_PARSE_1ST_FRAG).f).toEqual({ ...base, flags: frag, ...NONE });
    const six = [E, I6, b.frag6({ offset: 0, mf: true, id: 1 }), UDP];
    const base6 = { ok: true, family: 6, ipProto: 17, nhoff: 14, thoff: 62, flags: both };
    expect(run(six).f).toEqual({ ...base6, ...NONE });
    expect(run(six, d.FLOW_DISSECTOR_F_PARSE_1ST_FRAG).f).toEqual({ ...base6, ...PORTS });
    const six2 = [E, I6, b.frag6({ offset: 8, mf: false, id: 1, nexthdr: 17 }), "abcdefgh"];
    expect(run(six2).f).toEqual({ ...base6, flags: frag, ...NONE });
  });

  it("describes the inner packet of IPIP, 6in4 and GRE, unless told to stop", () => {
    const enc = d.FLOW_DIS_ENCAPSULATION;
    const outer = b.ip4({ src: "192.168.0.1", dst: "192.168.0.2" });
    const { k, f } = run([E, outer, I4, UDP]);
    expect(f).toEqual({ ok: true, family: 4, ipProto: 17, flags: enc, nhoff: 34, thoff: 54, ...PORTS });
    expect(k.saddr).toBe(parseIpv4("10.0.0.1"));
    expect(run([E, outer, I6, UDP]).f).toEqual({
      ok: true,
      family: 6,
      ipProto: 17,
      flags: enc,
      nhoff: 34,
      thoff: 74,
      ...PORTS,
    });
    const stop = run([E, outer, I4, UDP], d.FLOW_DISSECTOR_F_STOP_AT_ENCAP);
    expect([stop.f.ok, stop.f.ipProto, stop.f.thoff, stop.k.saddr]).toEqual([
      true,
      4,
      34,
      parseIpv4("192.168.0.1"),
    ]);
    const gre = b.ip4({ src: "192.168.0.1", dst: "192.168.0.2", proto: 47 });
    const keyed = run([E, gre, fromHex("200008000000002a")!, I4, UDP]);
    expect([keyed.f, keyed.k.keyid]).toEqual([
      { ok: true, family: 4, ipProto: 17, flags: enc, nhoff: 42, thoff: 62, ...PORTS },
      0x2a000000,
    ]);
    const teb = run([E, gre, fromHex("00006558")!, E, I4, UDP]).f;
    expect([teb.nhoff, teb.thoff, teb.sport]).toEqual([52, 72, PORTS.sport]);
  });

  it("does not look into VXLAN", () => {
    const { f } = run([E, I4, b.udp({ src: 1000, dst: 4789 }), b.vxlan(1), E, I4, UDP]);
    expect([f.thoff, f.dport]).toEqual([34, htons(4789)]);
  });

  it("remembers the outermost VLAN tag", () => {
    const { k, f } = run([
      b.eth({ src: "02:00:00:00:00:01", dst: "02:00:00:00:00:02", vlan: [0x2007, 8] }),
      I4,
      UDP,
    ]);
    expect([k.vlanTci, f.thoff, f.sport]).toEqual([0x2007, 42, PORTS.sport]);
  });

  it("stops at an IPv6 flow label when asked", () => {
    const layers = [E, b.ip6({ src: "fd00::1", dst: "fd00::2", flowLabel: 0x12345 }), UDP];
    const { k, f } = run(layers, d.FLOW_DISSECTOR_F_STOP_AT_FLOW_LABEL);
    expect([f.ok, k.flowLabel, f.thoff, f.ipProto, f.sport]).toEqual([true, 0x12345, 54, 17, 0]);
    expect(run(layers).f.sport).toBe(PORTS.sport);
  });

  it("takes the SPI of ESP and AH for ports", () => {
    const esp = b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", proto: 50 });
    expect(run([E, esp, fromHex("0102030400000001")!]).f).toMatchObject({ sport: 0x0201, dport: 0x0403 });
    const ah = b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", proto: 51 });
    expect(run([E, ah, fromHex("060400000102030400000001")!]).f).toMatchObject({
      sport: 0x0201,
      dport: 0x0403,
    });
  });

  it("fails on truncated or malformed headers and keeps what it read", () => {
    expect(run([E, I4, UDP], 0, 9).f).toEqual({
      ok: false,
      family: 0,
      ipProto: 0,
      flags: 0,
      nhoff: -1,
      thoff: 14,
      ...NONE,
    });
    expect(run([E, I4, UDP], 0, 6).f).toMatchObject({ ok: true, ipProto: 17, ...NONE });
    expect(run([E, b.ip4({ src: "10.0.0.1", dst: "10.0.0.2" }), I4], 0, 1).f).toMatchObject({
      ok: false,
      ipProto: 4,
    });
    expect(run([E, I6, b.ext6({ kind: 0 }), UDP], 0, 15).f).toMatchObject({ ok: false, family: 6 });
    expect(run([E, new Uint8Array(40)]).f).toMatchObject({ ok: false, nhoff: -1 });
    expect(run([E], 0, 1).f).toMatchObject({ ok: false, thoff: 13 });
    const many = Array.from({ length: 16 }, () => b.ext6({ kind: 60 }));
    expect(run([E, I6, ...many, UDP]).f).toMatchObject({ ok: false, ...NONE });
  });

  it("knows ARP only by its EtherType", () => {
    const { k, f } = run([E, b.arp({ sha: "02:00:00:00:00:01", spa: "10.0.0.1", tpa: "10.0.0.2" })]);
    expect([f.ok, k.nProto, f.family]).toEqual([true, 0x0806, 0]);
  });
});
