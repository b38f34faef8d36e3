// BLAKE2s (RFC 7693), and HMAC and HKDF over it as the Noise protocol framework has them. For handshakes, not packets.

const IV = Int32Array.of(
  0x6a09e667,
  0xbb67ae85,
  0x3c6ef372,
  0xa54ff53a,
  0x510e527f,
  0x9b05688c,
  0x1f83d9ab,
  0x5be0cd19,
);

const SIGMA: readonly (readonly number[])[] = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

/** Columns and diagonals of a round. */
const QUARTERS: readonly (readonly [number, number, number, number])[] = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
];

const BLOCK = 64;
const HASH_LEN = 32;

/** BLAKE2s of the concatenated `parts`, `outLen` bytes (1 to 32); with a key (at most 32 bytes) a MAC. */
export function blake2s(
  parts: readonly Uint8Array[],
  outLen: number = HASH_LEN,
  key: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const length = parts.reduce((n, p) => n + p.length, key.length > 0 ? BLOCK : 0);
  const padded = new Uint8Array(Math.max(BLOCK, Math.ceil(length / BLOCK) * BLOCK));
  padded.set(key);
  let at = key.length > 0 ? BLOCK : 0;
  for (const p of parts) {
    padded.set(p, at);
    at += p.length;
  }
  const h = IV.slice();
  h[0]! ^= 0x01010000 ^ (key.length << 8) ^ outLen;
  const m = new DataView(padded.buffer);
  for (let off = 0; off < padded.length; off += BLOCK) {
    compress(h, m, off, Math.min(off + BLOCK, length), off + BLOCK === padded.length);
  }
  const out = new Uint8Array(outLen);
  for (let i = 0; i < outLen; i++) out[i] = h[i >> 2]! >>> (8 * (i & 3));
  return out;
}

/** The compression function over one block; `count` bytes of input so far. */
function compress(h: Int32Array, m: DataView, off: number, count: number, last: boolean): void {
  const v = new Int32Array(16);
  v.set(h);
  v.set(IV, 8);
  v[12]! ^= count;
  if (last) v[14] = ~v[14]!;
  for (const order of SIGMA) {
    for (let q = 0; q < 8; q++) {
      const [a, b, c, d] = QUARTERS[q]!;
      v[a] = v[a]! + v[b]! + m.getInt32(off + 4 * order[2 * q]!, true);
      v[d] = rotr(v[d]! ^ v[a]!, 16);
      v[c] = v[c]! + v[d]!;
      v[b] = rotr(v[b]! ^ v[c]!, 12);
      v[a] = v[a]! + v[b]! + m.getInt32(off + 4 * order[2 * q + 1]!, true);
      v[d] = rotr(v[d]! ^ v[a]!, 8);
      v[c] = v[c]! + v[d]!;
      v[b] = rotr(v[b]! ^ v[c]!, 7);
    }
  }
  for (let i = 0; i < 8; i++) h[i]! ^= v[i]! ^ v[8 + i]!;
}

function rotr(x: number, n: number): number {
  return (x >>> n) | (x << (32 - n));
}

/** HMAC-BLAKE2s (RFC 2104): 32 bytes. Keys longer than a block do not occur. */
export function hmacBlake2s(key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const inner = new Uint8Array(BLOCK).fill(0x36);
  const outer = new Uint8Array(BLOCK).fill(0x5c);
  for (let i = 0; i < key.length; i++) {
    inner[i]! ^= key[i]!;
    outer[i]! ^= key[i]!;
  }
  return blake2s([outer, blake2s([inner, ...parts])]);
}

/** HKDF as Noise has it: `n` outputs of 32 bytes from a chaining key and input (which may be empty). */
export function hkdfBlake2s(chainingKey: Uint8Array, input: Uint8Array, n: 1 | 2 | 3): Uint8Array[] {
  const secret = hmacBlake2s(chainingKey, [input]);
  const out: Uint8Array[] = [];
  let last = new Uint8Array(0);
  for (let i = 1; i <= n; i++) {
    last = new Uint8Array(hmacBlake2s(secret, [last, Uint8Array.of(i)]));
    out.push(last);
  }
  return out;
}
