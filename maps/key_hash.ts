// Hashing of keys over 32-bit words. Not keyed: the same key has the same hash on every machine and in every run,
// so that the order of a table repeats.
// Differs from the kernel: htab uses jhash2 with a random seed.
//
// Every word is mixed by itself (multiply, shift-xor, multiply) before it meets the others: the varying byte of an
// address is the highest one of its little-endian word, and ports vary in the same bits, so that words merely
// combined and mixed afterwards collide by the thousand.

const C1 = 0x9e3779b1 | 0;
const C2 = 0x85ebca77 | 0;
const C3 = 0xc2b2ae3d | 0;
const C4 = 0x27d4eb2f;

/** State before the first word. */
export const HASH_SEED = 0x165667b1;

/** Takes one more word into a running state (the body of MurmurHash3). */
export function hashStep(h: number, w: number): number {
  const k = Math.imul(w, C1);
  const s = h ^ Math.imul(k ^ (k >>> 15), C2);
  return (Math.imul((s << 13) | (s >>> 19), 5) + 0x38495ab5) | 0;
}

/** Ends a running state; never 0, which marks an empty bucket. */
export function hashEnd(h: number): number {
  const m = Math.imul(h ^ (h >>> 16), C2);
  const r = m ^ (m >>> 13);
  return r === 0 ? 1 : r;
}

/** Hash of two words and a small number (an LPM entry of at most 64 bits and its prefix length). */
export function hash2(w0: number, w1: number, n: number): number {
  const a = Math.imul(w0 ^ HASH_SEED, C1);
  const b = Math.imul(w1 ^ C4, C2);
  return hashEnd((Math.imul(a ^ (a >>> 15) ^ n, C3) + Math.imul(b ^ (b >>> 15), C4)) | 0);
}

/** Hash of exactly four words (an IPv4 tuple), mixed side by side. */
export function hash4(w0: number, w1: number, w2: number, w3: number): number {
  const a = Math.imul(w0 ^ HASH_SEED, C1);
  const b = Math.imul(w1 ^ C4, C2);
  const c = Math.imul(w2 ^ C1, C3);
  const d = Math.imul(w3 ^ C2, C4);
  const ab = (Math.imul(a ^ (a >>> 15), C3) + Math.imul(b ^ (b >>> 15), C4)) | 0;
  const cd = (Math.imul(c ^ (c >>> 15), C1) + Math.imul(d ^ (d >>> 15), C2)) | 0;
  return hashEnd((ab + cd) | 0);
}

/** Hash of `n` words from `at`. */
export function hashWords(key: Int32Array, at: number, n: number): number {
  if (n === 4) return hash4(key[at], key[at + 1], key[at + 2], key[at + 3]);
  let h = HASH_SEED;
  for (let i = 0; i < n; i++) h = hashStep(h, key[at + i]);
  return hashEnd(h);
}
