// Hashing of keys over 32-bit words. Not keyed: the same key has the same hash on every machine and in every run,
// so that the order of a table repeats.
// Differs from the kernel: htab uses jhash2 with a random seed.
//
//   hash = end(SEED + mix(word 0, F0) + mix(word 1, F1) + ...)        mix = multiply, shift-xor, multiply by F
//
// The words are mixed each by itself and then added, so that a CPU works on all of them at once. The second factor
// must differ from place to place: the varying byte of an address is the highest one of its little-endian word,
// ports vary in the same bits, and with equal factors such words collide by the thousand.

const C1 = 0x9e3779b1 | 0;
const C2 = 0x85ebca77 | 0;

// Factors of the first places: odd, otherwise arbitrary.
const F0 = 0xc2b2ae3d | 0;
const F1 = 0x27d4eb2f;
const F2 = 0x165667b1;
const F3 = 0xd35a2d97 | 0;
const F4 = 0x735a2d97;
const F5 = 0xcaf649a9 | 0;
const F6 = 0x21f0aaad;
const F7 = 0xe6546b65 | 0;
const F8 = 0xcc9e2d51 | 0;
const F9 = 0x1b873593;

/** Factor of each place; keys have up to 65 words (LPM data of 256 bytes behind a prefix length). */
const FACTOR = new Int32Array(66);
FACTOR.set([F0, F1, F2, F3, F4, F5, F6, F7, F8, F9]);
for (let i = 10; i < FACTOR.length; i++) FACTOR[i] = Math.imul(FACTOR[i - 1], C2);

/** State before the first word. */
export const HASH_SEED = 0x38495ab5;

/** What a word contributes at the place whose factor is `f`. */
function mix(w: number, f: number): number {
  const k = Math.imul(w, C1);
  return Math.imul(k ^ (k >>> 15), f);
}

/** Takes the word at place `i` into a running state. */
export function hashStep(h: number, w: number, i: number): number {
  return (h + mix(w, FACTOR[i])) | 0;
}

/** Ends a running state; never 0, which marks an empty bucket. */
export function hashEnd(h: number): number {
  const m = Math.imul(h ^ (h >>> 16), C2);
  const r = m ^ (m >>> 13);
  return r === 0 ? 1 : r;
}

/** Hash of two words and a small number (an LPM entry of at most 64 bits and its prefix length). */
export function hashPrefix64(w0: number, w1: number, len: number): number {
  return hashEnd((Math.imul(len, C1) + ((mix(w0, F0) + mix(w1, F1)) | 0)) | 0);
}

/** Hash of `n` words from `at`. */
export function hashWords(key: Int32Array, at: number, n: number): number {
  let h = HASH_SEED;
  for (let i = 0; i < n; i++) h = hashStep(h, key[at + i], i);
  return hashEnd(h);
}

// The same hash for keys of few words, without the loop.
export function hash1(a: number): number {
  return hashEnd((HASH_SEED + mix(a, F0)) | 0);
}
export function hash2(a: number, b: number): number {
  return hashEnd((HASH_SEED + ((mix(a, F0) + mix(b, F1)) | 0)) | 0);
}
export function hash3(a: number, b: number, c: number): number {
  return hashEnd((HASH_SEED + ((((mix(a, F0) + mix(b, F1)) | 0) + mix(c, F2)) | 0)) | 0);
}
export function hash4(a: number, b: number, c: number, d: number): number {
  return hashEnd((HASH_SEED + ((((mix(a, F0) + mix(b, F1)) | 0) + ((mix(c, F2) + mix(d, F3)) | 0)) | 0)) | 0);
}
export function hash5(a: number, b: number, c: number, d: number, e: number): number {
  return hashEnd(
    (HASH_SEED +
      ((((((mix(a, F0) + mix(b, F1)) | 0) + ((mix(c, F2) + mix(d, F3)) | 0)) | 0) + mix(e, F4)) | 0)) |
      0,
  );
}
export function hash6(a: number, b: number, c: number, d: number, e: number, f: number): number {
  return hashEnd(
    (HASH_SEED +
      ((((((mix(a, F0) + mix(b, F1)) | 0) + ((mix(c, F2) + mix(d, F3)) | 0)) | 0) +
        ((mix(e, F4) + mix(f, F5)) | 0)) |
        0)) |
      0,
  );
}
export function hash10(
  a: number,
  b: number,
  c: number,
  d: number,
  e: number,
  f: number,
  g: number,
  h: number,
  i: number,
  j: number,
): number {
  return hashEnd(
    (HASH_SEED +
      ((((((((mix(a, F0) + mix(b, F1)) | 0) + ((mix(c, F2) + mix(d, F3)) | 0)) | 0) +
        ((((mix(e, F4) + mix(f, F5)) | 0) + ((mix(g, F6) + mix(h, F7)) | 0)) | 0)) |
        0) +
        ((mix(i, F8) + mix(j, F9)) | 0)) |
        0)) |
      0,
  );
}
