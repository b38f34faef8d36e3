// Hashing of keys over 32-bit words. Not keyed: the same key has the same hash on every machine and in every run,
// so that the order of a table repeats.
// Differs from the kernel: htab uses jhash2 with a random seed.
//
// Every word goes through multiply and shift-xor, because the varying byte of an address is the highest one of
// its little-endian word and would never reach the low bits by multiplication alone.

const C1 = 0x9e3779b1 | 0;
const C2 = 0x85ebca77 | 0;
const C3 = 0xc2b2ae3d | 0;

/** State before the first word. */
export const HASH_SEED = 0x27d4eb2f;

/** Takes one more word into a running state. */
export function hashStep(h: number, w: number): number {
  const m = Math.imul(h ^ w, C1);
  return m ^ (m >>> 15);
}

/** Ends a running state; never 0, which marks an empty bucket. */
export function hashEnd(h: number): number {
  const m = Math.imul(h, C2);
  const r = m ^ (m >>> 13);
  return r === 0 ? 1 : r;
}

/** Hash of two words and a small number (an LPM entry of at most 64 bits and its prefix length). */
export function hash2(w0: number, w1: number, n: number): number {
  let a = Math.imul(w0 ^ HASH_SEED, C1);
  let b = Math.imul(w1 ^ C3, C2);
  a ^= a >>> 15;
  b ^= b >>> 15;
  return hashEnd(Math.imul(a ^ n, C3) ^ b ^ (b >>> 14));
}

/** Hash of exactly four words (an IPv4 tuple), in two lanes that a CPU works on side by side. */
export function hash4(w0: number, w1: number, w2: number, w3: number): number {
  let a = Math.imul(w0 ^ HASH_SEED, C1);
  let b = Math.imul(w1 ^ C3, C2);
  a ^= a >>> 15;
  b ^= b >>> 15;
  a = Math.imul(a ^ w2, C3);
  b = Math.imul(b ^ w3, C1);
  a ^= a >>> 15;
  return hashEnd(a ^ b ^ (b >>> 14));
}

/** Hash of `n` words from `at`. */
export function hashWords(key: Int32Array, at: number, n: number): number {
  if (n === 4) return hash4(key[at], key[at + 1], key[at + 2], key[at + 3]);
  let h = HASH_SEED;
  for (let i = 0; i < n; i++) h = hashStep(h, key[at + i]);
  return hashEnd(h);
}
