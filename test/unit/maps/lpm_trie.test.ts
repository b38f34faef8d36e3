import { describe, expect, it } from "vitest";
import { IPCACHE_SPEC, IpcacheKey, IpcacheValue, ipcacheSecIdentity } from "../../../maps/ipcache.js";
import { LpmTrie } from "../../../maps/lpm_trie.js";
import { PolicyKey, PolicyValue, policyLpmPrefixLength, policySpec } from "../../../maps/policy.js";
import { BPF_EXIST, BPF_NOEXIST, type MapSpec, NONE } from "../../../maps/spec.js";
import { htons, parseIpv4, parseIpv6 } from "../../../src/net/address.js";
import { dumpHex } from "../../support/maps.js";

const SPEC: MapSpec = { name: "m", type: "lpm_trie", keySize: 8, valueSize: 4, maxEntries: 3 };
const key = (len: number, addr: string) => Int32Array.of(len, parseIpv4(addr));
const word = (n: number) => Int32Array.of(n);
function read(map: LpmTrie, addr: string, len = 32): number | undefined {
  const slot = map.lookup(key(len, addr));
  return slot === NONE ? undefined : map.words[slot * map.valueWords];
}

describe("LpmTrie", () => {
  it("finds the longest prefix that covers an address", () => {
    const map = new LpmTrie({ ...SPEC, maxEntries: 10 });
    map.update(key(0, "0.0.0.0"), word(1), 0);
    map.update(key(8, "10.0.0.0"), word(2), 0);
    map.update(key(24, "10.0.1.0"), word(3), 0);
    map.update(key(25, "10.0.1.128"), word(4), 0);
    map.update(key(32, "10.0.1.124"), word(5), 0);
    expect(
      ["192.0.2.1", "10.9.9.9", "10.0.1.1", "10.0.1.127", "10.0.1.128", "10.0.1.124"].map((a) =>
        read(map, a),
      ),
    ).toEqual([1, 2, 3, 3, 4, 5]);
  });

  it("tries no prefix longer than that of the look-up key", () => {
    const map = new LpmTrie({ ...SPEC, maxEntries: 10 });
    map.update(key(8, "10.0.0.0"), word(2), 0);
    map.update(key(24, "10.0.1.0"), word(3), 0);
    expect([32, 24, 23, 8, 7, 0, 33].map((len) => read(map, "10.0.1.0", len))).toEqual([
      3,
      3,
      2,
      2,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("finds a shorter prefix again after the longer one was removed", () => {
    const map = new LpmTrie(SPEC);
    map.update(key(16, "10.1.0.0"), word(1), 0);
    map.update(key(32, "10.1.2.3"), word(2), 0);
    expect(read(map, "10.1.2.3")).toBe(2);
    expect(map.remove(key(32, "10.1.2.3"))).toBe(0);
    expect(read(map, "10.1.2.3")).toBe(1);
    expect(map.remove(key(16, "10.1.0.0"))).toBe(0);
    expect(read(map, "10.1.2.3")).toBe(undefined);
  });

  it("answers ENOSPC when full, EEXIST, ENOENT, and EINVAL for flags and prefixes out of range", () => {
    const map = new LpmTrie(SPEC);
    for (const n of [1, 2, 3]) expect(map.update(key(32, `10.0.0.${n}`), word(n), 0)).toBe(0);
    expect(map.update(key(32, "10.0.0.4"), word(4), 0)).toBe(-28);
    expect(map.update(key(32, "10.0.0.4"), word(4), BPF_EXIST)).toBe(-2);
    expect(map.update(key(32, "10.0.0.3"), word(4), BPF_NOEXIST)).toBe(-17);
    expect(map.update(key(32, "10.0.0.3"), word(33), 0)).toBe(0);
    expect(map.update(key(32, "10.0.0.3"), word(4), 3)).toBe(-22);
    expect(map.update(key(33, "10.0.0.3"), word(4), 0)).toBe(-22);
    expect(map.update(key(-1, "10.0.0.3"), word(4), 0)).toBe(-22);
    expect(map.remove(key(33, "10.0.0.3"))).toBe(-22);
    expect(map.remove(key(31, "10.0.0.2"))).toBe(-2);
    expect([map.size, read(map, "10.0.0.3")]).toEqual([3, 33]);
  });

  it("ignores key bits behind the prefix but keeps them as written", () => {
    const map = new LpmTrie(SPEC);
    map.update(key(8, "10.1.2.3"), word(1), 0);
    expect(map.update(key(8, "10.9.9.9"), word(2), BPF_EXIST)).toBe(0);
    expect([map.size, read(map, "10.200.0.1")]).toEqual([1, 2]);
    expect(dumpHex(map)).toEqual([["080000000a090909", "02000000"]]);
  });

  it("holds a prefix of length 0", () => {
    const map = new LpmTrie(SPEC);
    map.update(key(0, "255.255.255.255"), word(9), 0);
    expect([read(map, "1.2.3.4"), read(map, "1.2.3.4", 0)]).toEqual([9, 9]);
  });

  it("is empty after clear and gives a snapshot back", () => {
    const map = new LpmTrie(SPEC);
    map.update(key(8, "10.0.0.0"), word(1), 0);
    const snapshot = map.save();
    map.clear();
    expect([map.size, read(map, "10.0.0.1")]).toEqual([0, undefined]);
    map.update(key(16, "10.0.0.0"), word(2), 0);
    map.restore(snapshot);
    expect([map.size, read(map, "10.0.0.1")]).toEqual([1, 1]);
  });

  it("refuses keys without data or with more than 256 bytes of it", () => {
    expect(() => new LpmTrie({ ...SPEC, keySize: 4 })).toThrow(
      "map m: an LPM key has 1 to 256 bytes behind its u32 prefixlen",
    );
    expect(() => new LpmTrie({ ...SPEC, keySize: 261 })).toThrow(
      "map m: an LPM key has 1 to 256 bytes behind its u32 prefixlen",
    );
  });

  it("serves IPv4 and IPv6 from one ipcache", () => {
    const map = new LpmTrie(IPCACHE_SPEC);
    const k = new IpcacheKey();
    const v = new IpcacheValue();
    const v6 = (text: string) => new DataView(parseIpv6(text).slice().buffer);
    const put = (identity: number) => {
      v.sec_identity = identity;
      expect(map.update(k.words, v.words, 0)).toBe(0);
    };
    k.setIpv4(0, 0);
    put(9);
    k.setIpv6(v6("::"), 0, 0);
    put(10);
    k.setIpv4(parseIpv4("10.0.1.0"), 24);
    put(3);
    k.setIpv6(v6("fd00::"), 0, 17);
    put(4);
    k.setIpv6(v6("fd00::1"), 0, 128);
    put(5);
    k.setIpv6(v6("fd00:0:0:1::"), 0, 64);
    put(6);
    const id4 = (a: string) => ipcacheSecIdentity(map, map.lookup(k.setIpv4(parseIpv4(a)).words));
    const id6 = (a: string) => ipcacheSecIdentity(map, map.lookup(k.setIpv6(v6(a), 0).words));
    expect([id4("10.0.1.9"), id4("10.0.2.9")]).toEqual([3, 9]);
    expect(["fd00::1", "fd00::2", "fd00:7fff::", "fd00:8000::", "fd00:0:0:1::9"].map(id6)).toEqual([
      5, 4, 4, 10, 6,
    ]);
  });

  it("prefers exact port to port range to protocol to identity in a policy map", () => {
    const map = new LpmTrie(policySpec(1580));
    const k = new PolicyKey();
    const v = new PolicyValue();
    const add = (l4: number, port: number) => {
      k.set(3352, 0, l4 === 0 ? 0 : 6, htons(port));
      k.prefixlen = 40 + l4;
      map.update(k.words, v.set(0, false, l4, 0xffffff01 | 0).words, 0);
    };
    add(0, 0);
    add(8, 0);
    add(8 + 10, 8064); // 8064..8127
    add(24, 8080);
    const found = (proto: number, port: number, identity = 3352) => {
      const slot = map.lookup(k.set(identity, 0, proto, htons(port)).words);
      return slot === NONE ? NONE : policyLpmPrefixLength(map, slot);
    };
    expect([found(6, 8080), found(6, 8081), found(6, 8128), found(17, 8080), found(6, 80, 1)]).toEqual([
      24,
      18,
      8,
      0,
      NONE,
    ]);
  });
});
