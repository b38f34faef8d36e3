import { describe, expect, it } from "vitest";
import { htons, parseIpv4 } from "../../../src/net/address.js";
import * as b from "../../../src/net/build.js";
import { dissectFrame, FlowKeys } from "../../../src/net/dissect.js";
import * as j from "../../../src/net/jhash.js";
import * as h from "../../../src/net/skb_hash.js";

const ascii = (s: string): Uint8Array => Uint8Array.from(s, (c) => c.charCodeAt(0));

describe("jhash", () => {
  it("gives the values published with lookup3", () => {
    const text = ascii("Four score and seven years ago");
    expect(j.jhash(text, 0, 0, 0) >>> 0).toBe(0xdeadbeef);
    expect(j.jhash(text, 0, 0, 0xdeadbeef | 0) >>> 0).toBe(0xbd5b7dde);
    expect(j.jhash(text, 0, 30, 0) >>> 0).toBe(0x17770551);
    expect(j.jhash(text, 0, 30, 1) >>> 0).toBe(0xcd628161);
  });

  it("hashes words like the bytes that they are made of", () => {
    const bytes = Uint8Array.from({ length: 52 }, (_, i) => (i * 37) & 0xff);
    const words = new Int32Array(bytes.buffer);
    for (let n = 0; n <= 13; n++) expect(j.jhash2(words, 0, n, 99)).toBe(j.jhash(bytes, 0, 4 * n, 99));
  });

  it("jhash_1word, 2words and 3words are jhash2 over as many words", () => {
    const w = Int32Array.of(0x01020304, -5, 0x7fffffff);
    expect(j.jhash_3words(w[0]!, w[1]!, w[2]!, 7)).toBe(j.jhash2(w, 0, 3, 7));
    expect(j.jhash_2words(w[0]!, w[1]!, 7)).toBe(j.jhash2(w, 0, 2, 7));
    expect(j.jhash_1word(w[0]!, 7)).toBe(j.jhash2(w, 0, 1, 7));
  });

  it("hash_from_tuple_v4 hashes source, ports and protocol, and ignores the service address", () => {
    const saddr = parseIpv4("10.0.0.85");
    const key = Int32Array.of(saddr, (htons(80) << 16) | htons(40000), 6);
    expect(j.hash_from_tuple_v4(saddr, htons(40000), htons(80), 6, j.HASH_INIT4_SEED)).toBe(
      j.jhash2(key, 0, 3, j.HASH_INIT4_SEED),
    );
  });

  it("hash_from_tuple_v6 depends on every word of the source, ports and protocol", () => {
    const base = [1, 2, 3, 4, 5, 6, 7, 0xeb9f] as const;
    const hash = (a: readonly number[]): number =>
      j.hash_from_tuple_v6(a[0]!, a[1]!, a[2]!, a[3]!, a[4]!, a[5]!, a[6]!, a[7]!);
    const seen = new Set([
      hash(base),
      ...base.map((_, i) => hash(base.map((v, k) => (k === i ? v + 1 : v)))),
    ]);
    expect(seen.size).toBe(9);
  });

  it("reciprocal_scale maps the whole range of hashes evenly", () => {
    expect(
      [0, 0x3fffffff, 0x40000000, 0x7fffffff, 0x80000000 | 0, -1].map((x) => j.reciprocal_scale(x, 4)),
    ).toEqual([0, 0, 1, 1, 2, 3]);
  });
});

const E = b.eth({ src: "02:00:00:00:00:01", dst: "02:00:00:00:00:02" });

function hashOf(layers: (b.Layer | string)[], seed = 1): number {
  const f = b.buildFrame([E, ...layers]);
  return h.frameHash(new DataView(f.buffer), 0, f.length, seed);
}

const flow = (src: string, dst: string, sport: number, dport: number): (b.Layer | string)[] => [
  src.includes(":") ? b.ip6({ src, dst }) : b.ip4({ src, dst }),
  b.tcp({ src: sport, dst: dport }),
];

describe("flow hash", () => {
  it("is the same for both directions, of both families", () => {
    expect(hashOf(flow("10.0.0.1", "10.0.1.2", 4000, 80))).toBe(
      hashOf(flow("10.0.1.2", "10.0.0.1", 80, 4000)),
    );
    expect(hashOf(flow("fd00::1", "fd01::2", 4000, 80))).toBe(hashOf(flow("fd01::2", "fd00::1", 80, 4000)));
  });

  it("depends on addresses, ports, protocol and seed, and not on what else differs between packets", () => {
    const base = hashOf(flow("10.0.0.1", "10.0.1.2", 4000, 80));
    const others = [
      hashOf(flow("10.0.0.3", "10.0.1.2", 4000, 80)),
      hashOf(flow("10.0.0.1", "10.0.1.2", 4001, 80)),
      hashOf([b.ip4({ src: "10.0.0.1", dst: "10.0.1.2" }), b.udp({ src: 4000, dst: 80 })]),
      hashOf(flow("10.0.0.1", "10.0.1.2", 4000, 80), 2),
    ];
    expect(new Set([base, ...others]).size).toBe(5);
    const same = [
      b.ip4({ src: "10.0.0.1", dst: "10.0.1.2", ttl: 3, id: 9 }),
      b.tcp({ src: 4000, dst: 80, seq: 77 }),
      "data",
    ];
    expect(hashOf(same)).toBe(base);
  });

  it("is the same for all fragments of a packet, and for a ping whatever its id", () => {
    const at = { src: "10.0.0.1", dst: "10.0.1.2", id: 5 };
    const first = hashOf([b.ip4({ ...at, mf: true }), b.udp({ src: 1, dst: 2, len: 24 }), "12345678"]);
    const last = hashOf([b.ip4({ ...at, fragOffset: 16, proto: 17 }), "12345678"]);
    expect(first).toBe(last);
    const ping = (id: number): number => hashOf([b.ip4(at), b.icmp({ type: 8, id })]);
    expect(ping(1)).toBe(ping(2));
  });

  it("takes an IPv6 flow label instead of ports", () => {
    const labelled = (label: number, sport: number): number =>
      hashOf([b.ip6({ src: "fd00::1", dst: "fd00::2", flowLabel: label }), b.udp({ src: sport, dst: 2 })]);
    expect(labelled(7, 1)).toBe(labelled(7, 9));
    expect(labelled(7, 1)).not.toBe(labelled(8, 1));
    expect(labelled(0, 1)).not.toBe(labelled(0, 9));
  });

  it("is never zero", () => {
    const k = new FlowKeys();
    for (let seed = 0; seed < 1000; seed++) expect(h.flowHashFromKeys(k, seed)).not.toBe(0);
  });

  it("works from the network header too", () => {
    const f = b.buildFrame([E, ...flow("10.0.0.1", "10.0.1.2", 4000, 80)]);
    const v = new DataView(f.buffer);
    expect(h.packetHash(v, 14, f.length, 0x0800, 1)).toBe(h.frameHash(v, 0, f.length, 1));
  });
});

describe("what is derived from the hash", () => {
  it("udp_flow_src_port folds the hash and stays in its range", () => {
    expect(h.udp_flow_src_port(0, 32768, 60999)).toBe(32768);
    // hash 0x00010000 has nothing to fold in: (0x10000 * 28231) >> 32 = 0
    expect(h.udp_flow_src_port(0x00010000, 32768, 60999)).toBe(32768);
    // hash 0x0000ffff becomes 0xffffffff
    expect(h.udp_flow_src_port(0x0000ffff, 32768, 60999)).toBe(60998);
    // hash 0x80000000 is kept: half of the range
    expect(h.udp_flow_src_port(0x80000000 | 0, 32768, 60999)).toBe(32768 + 14115);
  });

  it("multipath hash takes addresses at policy 0, ports too at policy 1, and has 31 bits", () => {
    const keys = (sport: number): FlowKeys => {
      const f = b.buildFrame([E, ...flow("10.0.0.1", "10.0.1.2", sport, 80)]);
      const k = new FlowKeys();
      dissectFrame(new DataView(f.buffer), 0, f.length, k, 0);
      return k;
    };
    expect(h.fibMultipathHash(keys(1), h.FIB_MULTIPATH_L3, 5)).toBe(
      h.fibMultipathHash(keys(2), h.FIB_MULTIPATH_L3, 5),
    );
    expect(h.fibMultipathHash(keys(1), h.FIB_MULTIPATH_L4, 5)).not.toBe(
      h.fibMultipathHash(keys(2), h.FIB_MULTIPATH_L4, 5),
    );
    for (let p = 1; p < 200; p++) {
      const x = h.fibMultipathHash(keys(p), h.FIB_MULTIPATH_L4, 5);
      expect(x >= 0 && x <= 0x7fffffff).toBe(true);
    }
  });

  it("next hops get shares of the hash space by weight; weight 0 gets none", () => {
    expect([...h.fibUpperBounds([1, 1])]).toEqual([0x3fffffff, 0x7fffffff]);
    expect([...h.fibUpperBounds([1, 3])]).toEqual([0x1fffffff, 0x7fffffff]);
    const b3 = h.fibUpperBounds([0, 2, 2]);
    expect([...b3]).toEqual([-1, 0x3fffffff, 0x7fffffff]);
    expect([
      h.fibSelectMultipath(b3, 0),
      h.fibSelectMultipath(b3, 0x40000000),
      h.fibSelectMultipath(b3, 0x7fffffff),
    ]).toEqual([1, 2, 2]);
    expect(h.fibSelectMultipath(h.fibUpperBounds([0]), 5)).toBe(-1);
  });
});
