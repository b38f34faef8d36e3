// ChaCha20, Poly1305 and the AEAD made of them (RFC 8439), in place over a packet's buffer. Nothing here allocates once
// the key is set; the arithmetic is not constant-time, which a model does not need.
//
//   Poly1305 works modulo 2^130 - 5 in six limbs of 22 bits: sums of their products stay below 2^53, so plain doubles
//   hold them exactly. A carry out of the last limb (2^132) comes back as 20.

/** Bytes of an authentication tag. */
export const AEAD_TAG_LEN = 16;

const LIMB = 0x400000;
const MASK = 0x3fffff;
/** 2^128 in the last limb, which begins at bit 110. */
const HIBIT = 0x40000;
const NO_AD = new Uint8Array(0);

/** The block of key stream made last, as 16 little-endian words. */
const stream = new Int32Array(16);
const h = new Float64Array(6);
const r = new Float64Array(6);
const s = new Float64Array(6);
/** Second half of the one-time key. */
const pad = new Uint32Array(4);
const tag = new Uint8Array(AEAD_TAG_LEN);

/** The block function: 64 bytes of key stream for a counter and a nonce of three little-endian words, into `out`. */
export function chacha20Block(
  out: Int32Array,
  key: Int32Array,
  counter: number,
  n0: number,
  n1: number,
  n2: number,
): void {
  let x0 = 0x61707865;
  let x1 = 0x3320646e;
  let x2 = 0x79622d32;
  let x3 = 0x6b206574;
  let x4 = key[0]!;
  let x5 = key[1]!;
  let x6 = key[2]!;
  let x7 = key[3]!;
  let x8 = key[4]!;
  let x9 = key[5]!;
  let x10 = key[6]!;
  let x11 = key[7]!;
  let x12 = counter | 0;
  let x13 = n0 | 0;
  let x14 = n1 | 0;
  let x15 = n2 | 0;
  for (let i = 0; i < 10; i++) {
    // Columns, then diagonals.
    x0 = (x0 + x4) | 0;
    x12 = rotl(x12 ^ x0, 16);
    x8 = (x8 + x12) | 0;
    x4 = rotl(x4 ^ x8, 12);
    x0 = (x0 + x4) | 0;
    x12 = rotl(x12 ^ x0, 8);
    x8 = (x8 + x12) | 0;
    x4 = rotl(x4 ^ x8, 7);

    x1 = (x1 + x5) | 0;
    x13 = rotl(x13 ^ x1, 16);
    x9 = (x9 + x13) | 0;
    x5 = rotl(x5 ^ x9, 12);
    x1 = (x1 + x5) | 0;
    x13 = rotl(x13 ^ x1, 8);
    x9 = (x9 + x13) | 0;
    x5 = rotl(x5 ^ x9, 7);

    x2 = (x2 + x6) | 0;
    x14 = rotl(x14 ^ x2, 16);
    x10 = (x10 + x14) | 0;
    x6 = rotl(x6 ^ x10, 12);
    x2 = (x2 + x6) | 0;
    x14 = rotl(x14 ^ x2, 8);
    x10 = (x10 + x14) | 0;
    x6 = rotl(x6 ^ x10, 7);

    x3 = (x3 + x7) | 0;
    x15 = rotl(x15 ^ x3, 16);
    x11 = (x11 + x15) | 0;
    x7 = rotl(x7 ^ x11, 12);
    x3 = (x3 + x7) | 0;
    x15 = rotl(x15 ^ x3, 8);
    x11 = (x11 + x15) | 0;
    x7 = rotl(x7 ^ x11, 7);

    x0 = (x0 + x5) | 0;
    x15 = rotl(x15 ^ x0, 16);
    x10 = (x10 + x15) | 0;
    x5 = rotl(x5 ^ x10, 12);
    x0 = (x0 + x5) | 0;
    x15 = rotl(x15 ^ x0, 8);
    x10 = (x10 + x15) | 0;
    x5 = rotl(x5 ^ x10, 7);

    x1 = (x1 + x6) | 0;
    x12 = rotl(x12 ^ x1, 16);
    x11 = (x11 + x12) | 0;
    x6 = rotl(x6 ^ x11, 12);
    x1 = (x1 + x6) | 0;
    x12 = rotl(x12 ^ x1, 8);
    x11 = (x11 + x12) | 0;
    x6 = rotl(x6 ^ x11, 7);

    x2 = (x2 + x7) | 0;
    x13 = rotl(x13 ^ x2, 16);
    x8 = (x8 + x13) | 0;
    x7 = rotl(x7 ^ x8, 12);
    x2 = (x2 + x7) | 0;
    x13 = rotl(x13 ^ x2, 8);
    x8 = (x8 + x13) | 0;
    x7 = rotl(x7 ^ x8, 7);

    x3 = (x3 + x4) | 0;
    x14 = rotl(x14 ^ x3, 16);
    x9 = (x9 + x14) | 0;
    x4 = rotl(x4 ^ x9, 12);
    x3 = (x3 + x4) | 0;
    x14 = rotl(x14 ^ x3, 8);
    x9 = (x9 + x14) | 0;
    x4 = rotl(x4 ^ x9, 7);
  }
  out[0] = x0 + 0x61707865;
  out[1] = x1 + 0x3320646e;
  out[2] = x2 + 0x79622d32;
  out[3] = x3 + 0x6b206574;
  out[4] = x4 + key[0]!;
  out[5] = x5 + key[1]!;
  out[6] = x6 + key[2]!;
  out[7] = x7 + key[3]!;
  out[8] = x8 + key[4]!;
  out[9] = x9 + key[5]!;
  out[10] = x10 + key[6]!;
  out[11] = x11 + key[7]!;
  out[12] = x12 + (counter | 0);
  out[13] = x13 + (n0 | 0);
  out[14] = x14 + (n1 | 0);
  out[15] = x15 + (n2 | 0);
}

function rotl(x: number, n: number): number {
  return (x << n) | (x >>> (32 - n));
}

/** An AEAD with one 32-byte key. */
export class ChaCha20Poly1305 {
  readonly #key = new Int32Array(8);

  constructor(key: Uint8Array) {
    for (let i = 0; i < 8; i++) {
      this.#key[i] = key[4 * i]! | (key[4 * i + 1]! << 8) | (key[4 * i + 2]! << 16) | (key[4 * i + 3]! << 24);
    }
  }

  /**
   * Encrypts `len` bytes of `b` at `off` in place and writes the 16-byte tag behind them. The nonce is three
   * little-endian words; `ad` is authenticated but not sent.
   */
  seal(
    b: Uint8Array,
    off: number,
    len: number,
    n0: number,
    n1: number,
    n2: number,
    ad: Uint8Array = NO_AD,
  ): void {
    this.#crypt(b, off, len, n0, n1, n2);
    this.#authenticate(b, off, len, n0, n1, n2, ad);
    for (let i = 0; i < AEAD_TAG_LEN; i++) b[off + len + i] = tag[i]!;
  }

  /** Decrypts what `seal` made, `len` bytes without the tag. False, and nothing changed, if the tag is wrong. */
  open(
    b: Uint8Array,
    off: number,
    len: number,
    n0: number,
    n1: number,
    n2: number,
    ad: Uint8Array = NO_AD,
  ): boolean {
    this.#authenticate(b, off, len, n0, n1, n2, ad);
    let diff = 0;
    for (let i = 0; i < AEAD_TAG_LEN; i++) diff |= tag[i]! ^ b[off + len + i]!;
    if (diff !== 0) return false;
    this.#crypt(b, off, len, n0, n1, n2);
    return true;
  }

  #crypt(b: Uint8Array, off: number, len: number, n0: number, n1: number, n2: number): void {
    const end = off + len;
    // Block 0 gives the one-time key of Poly1305.
    for (let at = off, counter = 1; at < end; counter++) {
      chacha20Block(stream, this.#key, counter, n0, n1, n2);
      for (let w = 0; w < 16 && at < end; w++) {
        let k = stream[w]!;
        for (let i = 0; i < 4 && at < end; i++) {
          b[at++]! ^= k & 0xff;
          k >>>= 8;
        }
      }
    }
  }

  /** The tag over `ad` and the ciphertext, into `tag`. */
  #authenticate(
    b: Uint8Array,
    off: number,
    len: number,
    n0: number,
    n1: number,
    n2: number,
    ad: Uint8Array,
  ): void {
    chacha20Block(stream, this.#key, 0, n0, n1, n2);
    polyKey(stream);
    polyBytes(ad, 0, ad.length);
    polyBytes(b, off, len);
    polyBlock(ad.length, 0, len, 0);
    polyFinish(tag);
  }
}

/** Splits four little-endian words into limbs and adds them to, or stores them in, `to`. */
function limbs(to: Float64Array, w0: number, w1: number, w2: number, w3: number): void {
  to[0]! += w0 & MASK;
  to[1]! += ((w0 >>> 22) | (w1 << 10)) & MASK;
  to[2]! += ((w1 >>> 12) | (w2 << 20)) & MASK;
  to[3]! += (w2 >>> 2) & MASK;
  to[4]! += ((w2 >>> 24) | (w3 << 8)) & MASK;
  to[5]! += w3 >>> 14;
}

function polyKey(k: Int32Array): void {
  h.fill(0);
  r.fill(0);
  limbs(r, k[0]! & 0x0fffffff, k[1]! & 0x0ffffffc, k[2]! & 0x0ffffffc, k[3]! & 0x0ffffffc);
  for (let i = 0; i < 6; i++) s[i] = r[i]! * 20;
  for (let i = 0; i < 4; i++) pad[i] = k[4 + i]!;
}

/** Whole blocks of 16; the last is filled up with zeros, as the AEAD has it. */
function polyBytes(b: Uint8Array, off: number, len: number): void {
  const end = off + len;
  let at = off;
  for (; at + 16 <= end; at += 16) polyBlock(le32(b, at), le32(b, at + 4), le32(b, at + 8), le32(b, at + 12));
  if (at === end) return;
  polyBlock(le32to(b, at, end), le32to(b, at + 4, end), le32to(b, at + 8, end), le32to(b, at + 12, end));
}

function le32(b: Uint8Array, o: number): number {
  return b[o]! | (b[o + 1]! << 8) | (b[o + 2]! << 16) | (b[o + 3]! << 24);
}

/** The word at `o`, zeros from `end` on. */
function le32to(b: Uint8Array, o: number, end: number): number {
  let w = 0;
  for (let i = 0; i < 4; i++) if (o + i < end) w |= b[o + i]! << (8 * i);
  return w;
}

/** h = (h + block) * r, partly reduced. */
function polyBlock(w0: number, w1: number, w2: number, w3: number): void {
  limbs(h, w0, w1, w2, w3);
  const h0 = h[0]!;
  const h1 = h[1]!;
  const h2 = h[2]!;
  const h3 = h[3]!;
  const h4 = h[4]!;
  const h5 = h[5]! + HIBIT;
  const r0 = r[0]!;
  const r1 = r[1]!;
  const r2 = r[2]!;
  const r3 = r[3]!;
  const r4 = r[4]!;
  const r5 = r[5]!;
  const s1 = s[1]!;
  const s2 = s[2]!;
  const s3 = s[3]!;
  const s4 = s[4]!;
  const s5 = s[5]!;
  h[0] = h0 * r0 + h1 * s5 + h2 * s4 + h3 * s3 + h4 * s2 + h5 * s1;
  h[1] = h0 * r1 + h1 * r0 + h2 * s5 + h3 * s4 + h4 * s3 + h5 * s2;
  h[2] = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s5 + h4 * s4 + h5 * s3;
  h[3] = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * s5 + h5 * s4;
  h[4] = h0 * r4 + h1 * r3 + h2 * r2 + h3 * r1 + h4 * r0 + h5 * s5;
  h[5] = h0 * r5 + h1 * r4 + h2 * r3 + h3 * r2 + h4 * r1 + h5 * r0;
  carry();
}

/** Brings the limbs back below 2^22, but for a little in the second. */
function carry(): void {
  for (let i = 0; i < 5; i++) {
    const c = Math.floor(h[i]! / LIMB);
    h[i]! -= c * LIMB;
    h[i + 1]! += c;
  }
  const top = Math.floor(h[5]! / LIMB);
  h[5]! -= top * LIMB;
  h[0]! += top * 20;
  const c = Math.floor(h[0]! / LIMB);
  h[0]! -= c * LIMB;
  h[1]! += c;
}

function polyFinish(out: Uint8Array): void {
  // Fully reduced: what stands above bit 130 comes back as 5; twice, for what the first round pushes up.
  for (let round = 0; round < 2; round++) {
    carry();
    const q = Math.floor(h[5]! / 0x100000);
    h[5]! -= q * 0x100000;
    h[0]! += q * 5;
  }
  carry();
  // h or h - (2^130 - 5): the latter if h + 5 reaches 2^130.
  let c = 5;
  for (let i = 0; i < 6; i++) c = Math.floor((h[i]! + c) / (i === 5 ? 0x100000 : LIMB));
  if (c !== 0) {
    h[0]! += 5;
    carry();
    h[5]! %= 0x100000;
  }
  const w0 = h[0]! | (h[1]! << 22);
  const w1 = (h[1]! >>> 10) | (h[2]! << 12);
  const w2 = (h[2]! >>> 20) | (h[3]! << 2) | (h[4]! << 24);
  const w3 = (h[4]! >>> 8) | (h[5]! << 14);
  let f = (w0 >>> 0) + pad[0]!;
  putLe32(out, 0, f);
  f = (w1 >>> 0) + pad[1]! + Math.floor(f / 0x1_0000_0000);
  putLe32(out, 4, f);
  f = (w2 >>> 0) + pad[2]! + Math.floor(f / 0x1_0000_0000);
  putLe32(out, 8, f);
  f = (w3 >>> 0) + pad[3]! + Math.floor(f / 0x1_0000_0000);
  putLe32(out, 12, f);
}

/** The low 32 bits of a sum. */
function putLe32(out: Uint8Array, at: number, sum: number): void {
  const w = sum % 0x1_0000_0000;
  out[at] = w;
  out[at + 1] = w >>> 8;
  out[at + 2] = w >>> 16;
  out[at + 3] = w >>> 24;
}
