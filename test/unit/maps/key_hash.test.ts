import { describe, expect, it } from "vitest";
import {
  HASH_SEED,
  hash1,
  hash2,
  hash3,
  hash4,
  hash5,
  hash6,
  hash10,
  hashEnd,
  hashPrefix64,
  hashStep,
  hashWords,
} from "../../../maps/key_hash.js";

/** Mean distance from the home bucket when the hashes fill a table to one half by linear probing. */
function meanDistance(hashes: Iterable<number>, buckets: number): number {
  const used = new Uint8Array(buckets);
  let distance = 0;
  let n = 0;
  for (const h of hashes) {
    let i = h & (buckets - 1);
    while (used[i]) {
      i = (i + 1) & (buckets - 1);
      distance++;
    }
    used[i] = 1;
    n++;
  }
  return distance / n;
}

describe("key hash", () => {
  it("is the same on every machine and in every run", () => {
    expect([
      hash4(1, 2, 3, 4),
      hashPrefix64(1, 2, 64),
      hashWords(Int32Array.of(9, 1, 2, 3), 1, 3),
      hashWords(Int32Array.of(1, 2, 3, 4), 0, 4),
    ]).toEqual([1471553755, 508574898, 803091594, 1471553755]);
  });

  it("is never 0, which marks an empty bucket", () => {
    expect(hashEnd(0)).toBe(1);
  });

  it("of words is made step by step", () => {
    const h = hashStep(hashStep(HASH_SEED, 5, 0), 6, 1);
    expect(hashWords(Int32Array.of(5, 6), 0, 2)).toBe(hashEnd(h));
  });

  it("is the same written out for a length as in the loop", () => {
    const words = Int32Array.of(5, -1, 0x7fffffff, 0x0a000055, 0, 123456, -987654, 1, 0x50000000, 58);
    const written: ((...words: number[]) => number)[] = [
      hash1,
      hash2,
      hash3,
      hash4,
      hash5,
      hash6,
      hash10,
    ] as never;
    for (const hash of written) {
      const n = hash.length;
      expect([n, hash(...words.subarray(0, n))]).toEqual([n, hashWords(words, 0, n)]);
    }
  });

  // A perfectly random hash gives 0.5 at half load; a hash with structure gives several times that.
  it("spreads conntrack tuples of neighbouring pods and ports", () => {
    const hashes: number[] = [];
    for (let client = 0; client < 64; client++) {
      for (let port = 0; port < 512; port++) {
        const sport = (((32768 + port) & 0xff) << 24) | (((32768 + port) >>> 8) << 16);
        hashes.push(hash4(0x0000000a | (client << 24), 0x0001000a | (7 << 24), 0x5000 | sport, 6));
      }
    }
    expect(meanDistance(hashes, hashes.length * 2)).toBeLessThan(0.6);
  });

  it("spreads both directions of the connections of one pod", () => {
    const hashes: number[] = [];
    for (let port = 1024; port < 1024 + 16384; port++) {
      const ports = 0x5000 | ((port & 0xff) << 24) | ((port >>> 8) << 16);
      hashes.push(hash4(0x5500000a, 0x7c01000a, ports, 6), hash4(0x5500000a, 0x7c01000a, ports, 6 | 0x100));
    }
    expect(meanDistance(hashes, hashes.length * 2)).toBeLessThan(0.6);
  });

  it("spreads the addresses of a /16 and the identities of a policy", () => {
    const addresses: number[] = [];
    const identities: number[] = [];
    for (let i = 0; i < 32768; i++) {
      addresses.push(hashPrefix64(0x01000000, 10 | ((i >>> 8) << 16) | ((i & 0xff) << 24), 64));
      identities.push(hashPrefix64(256 + i, 0x50000601, 64));
    }
    expect(meanDistance(addresses, 65536)).toBeLessThan(0.6);
    expect(meanDistance(identities, 65536)).toBeLessThan(0.6);
  });

  it("spreads IPv6 tuples that differ in one byte", () => {
    const hashes: number[] = [];
    const key = Int32Array.of(0xfd, 0, 0, 0, 0xfd, 0, 0, 0, 0x5000, 58);
    for (let a = 0; a < 256; a++) {
      for (let port = 0; port < 128; port++) {
        key[3] = a << 24;
        key[8] = 0x5000 | (port << 24);
        hashes.push(hashWords(key, 0, 10));
      }
    }
    expect(meanDistance(hashes, hashes.length * 2)).toBeLessThan(0.6);
  });
});
