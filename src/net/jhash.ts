// Bob Jenkins' lookup3 as the kernel (linux/jhash.h) and Cilium (bpf/lib/jhash.h, bpf/lib/hash.h) use it.
// All words and results are signed int32; `>>> 0` before a modulo.

const JHASH_INITVAL = 0xdeadbeef | 0;

/** Seed of Cilium's hash over an IPv4 tuple when none is configured. */
export const HASH_INIT4_SEED = 0xcafe;
/** Seed of Cilium's hash over an IPv6 tuple when none is configured. */
export const HASH_INIT6_SEED = 0xeb9f;

function rol32(v: number, n: number): number {
  return (v << n) | (v >>> (32 - n));
}

// The three running words of what is not hashed for every packet. Module state instead of a tuple result: nothing is
// allocated, nothing re-entered.
let a = 0;
let b = 0;
let c = 0;

function mix(): void {
  a = (a - c) ^ rol32(c, 4);
  c = (c + b) | 0;
  b = (b - a) ^ rol32(a, 6);
  a = (a + c) | 0;
  c = (c - b) ^ rol32(b, 8);
  b = (b + a) | 0;
  a = (a - c) ^ rol32(c, 16);
  c = (c + b) | 0;
  b = (b - a) ^ rol32(a, 19);
  a = (a + c) | 0;
  c = (c - b) ^ rol32(b, 4);
  b = (b + a) | 0;
}

function final(a0: number, b0: number, c0: number): number {
  let z = ((c0 ^ b0) - rol32(b0, 14)) | 0;
  let x = ((a0 ^ z) - rol32(z, 11)) | 0;
  let y = ((b0 ^ x) - rol32(x, 25)) | 0;
  z = ((z ^ y) - rol32(y, 16)) | 0;
  x = ((x ^ z) - rol32(z, 4)) | 0;
  y = ((y ^ x) - rol32(x, 14)) | 0;
  return ((z ^ y) - rol32(y, 24)) | 0;
}

/** Hash of `len` bytes (jhash). */
export function jhash(bytes: Uint8Array, off: number, len: number, initval: number): number {
  a = (JHASH_INITVAL + len + initval) | 0;
  b = a;
  c = a;
  let k = off;
  let n = len;
  while (n > 12) {
    a = (a + word(bytes, k)) | 0;
    b = (b + word(bytes, k + 4)) | 0;
    c = (c + word(bytes, k + 8)) | 0;
    mix();
    k += 12;
    n -= 12;
  }
  if (n === 0) return c;
  for (let i = n - 1; i >= 0; i--) {
    const v = bytes[k + i]! << ((i & 3) << 3);
    if (i >= 8) c = (c + v) | 0;
    else if (i >= 4) b = (b + v) | 0;
    else a = (a + v) | 0;
  }
  return final(a, b, c);
}

function word(bytes: Uint8Array, k: number): number {
  return bytes[k]! | (bytes[k + 1]! << 8) | (bytes[k + 2]! << 16) | (bytes[k + 3]! << 24);
}

/** Hash of `count` words starting at index `from` (jhash2). On the packet path: its words stay in registers. */
export function jhash2(words: Int32Array, from: number, count: number, initval: number): number {
  let x = (JHASH_INITVAL + (count << 2) + initval) | 0;
  let y = x;
  let z = x;
  let k = from;
  let n = count;
  while (n > 3) {
    x = (x + words[k]!) | 0;
    y = (y + words[k + 1]!) | 0;
    z = (z + words[k + 2]!) | 0;
    x = (x - z) ^ rol32(z, 4);
    z = (z + y) | 0;
    y = (y - x) ^ rol32(x, 6);
    x = (x + z) | 0;
    z = (z - y) ^ rol32(y, 8);
    y = (y + x) | 0;
    x = (x - z) ^ rol32(z, 16);
    z = (z + y) | 0;
    y = (y - x) ^ rol32(x, 19);
    x = (x + z) | 0;
    z = (z - y) ^ rol32(y, 4);
    y = (y + x) | 0;
    k += 3;
    n -= 3;
  }
  if (n === 0) return z;
  if (n === 3) z = (z + words[k + 2]!) | 0;
  if (n >= 2) y = (y + words[k + 1]!) | 0;
  return final((x + words[k]!) | 0, y, z);
}

/** jhash_3words */
export function jhash_3words(w0: number, w1: number, w2: number, initval: number): number {
  const iv = (initval + JHASH_INITVAL + 12) | 0;
  return final((w0 + iv) | 0, (w1 + iv) | 0, (w2 + iv) | 0);
}

/** jhash_2words */
export function jhash_2words(w0: number, w1: number, initval: number): number {
  const iv = (initval + JHASH_INITVAL + 8) | 0;
  return final((w0 + iv) | 0, (w1 + iv) | 0, iv);
}

/** jhash_1word */
export function jhash_1word(w0: number, initval: number): number {
  const iv = (initval + JHASH_INITVAL + 4) | 0;
  return final((w0 + iv) | 0, iv, iv);
}

/**
 * Cilium's hash over a service tuple (hash_from_tuple_v4): the index into a Maglev table is this, unsigned, modulo
 * the table's size. The destination address is left out, so that a client finds the same backend behind several
 * service addresses. `saddr` Be32, ports Be16.
 */
export function hash_from_tuple_v4(
  saddr: number,
  sport: number,
  dport: number,
  nexthdr: number,
  seed: number,
): number {
  return jhash_3words(saddr, (dport << 16) | sport, nexthdr, seed);
}

/** hash_from_tuple_v6; `p1` to `p4` are the words of the source address, loaded little-endian. */
export function hash_from_tuple_v6(
  p1: number,
  p2: number,
  p3: number,
  p4: number,
  sport: number,
  dport: number,
  nexthdr: number,
  seed: number,
): number {
  a = p1 | 0;
  b = p2 | 0;
  c = p3 | 0;
  mix();
  a = (a + p4) | 0;
  b = (b + ((dport << 16) | sport)) | 0;
  c = (c + nexthdr) | 0;
  mix();
  return final((a + seed) | 0, b, c);
}

/** `hash` scaled to [0, n): ((u64)hash * n) >> 32 (reciprocal_scale); what receive steering picks a CPU with. */
export function reciprocal_scale(hash: number, n: number): number {
  return Math.floor(((hash >>> 0) * n) / 0x1_0000_0000);
}
