// AES (FIPS 197) in Galois/Counter Mode (NIST SP 800-38D) with nonces of 12 bytes, in place over a packet's buffer. Tables
// are made when the module is loaded and, for GHASH, per key; nothing allocates after that. Not constant-time.

export const GCM_TAG_LEN = 16;

const SBOX = new Uint8Array(256);
/** A row of MixColumns times the S-box; the other three are its rotations. */
const T0 = new Int32Array(256);

// The S-box from the multiplicative inverse: powers of the generator 3 run through the field in both directions.
{
  let p = 1;
  let q = 1;
  do {
    p = (p ^ (p << 1) ^ ((p & 0x80) !== 0 ? 0x11b : 0)) & 0xff;
    q ^= q << 1;
    q ^= q << 2;
    q ^= q << 4;
    q &= 0xff;
    if ((q & 0x80) !== 0) q ^= 0x09;
    const x = q ^ rotl8(q, 1) ^ rotl8(q, 2) ^ rotl8(q, 3) ^ rotl8(q, 4);
    SBOX[p] = x ^ 0x63;
  } while (p !== 1);
  SBOX[0] = 0x63;
  for (let i = 0; i < 256; i++) {
    const s = SBOX[i]!;
    const s2 = ((s << 1) ^ ((s & 0x80) !== 0 ? 0x11b : 0)) & 0xff;
    T0[i] = (s2 << 24) | (s << 16) | (s << 8) | (s2 ^ s);
  }
}

function rotl8(x: number, n: number): number {
  return ((x << n) | (x >> (8 - n))) & 0xff;
}

const block = new Int32Array(4);
const y = new Int32Array(4);
const tag = new Int32Array(4);
/** What the four bits that fall off the end of a GHASH shift come back as, in the upper half of the first word. */
const REDUCE = new Int32Array(16);
for (let i = 0; i < 16; i++) {
  let r = 0;
  for (let b = 0; b < 4; b++) if ((i & (1 << b)) !== 0) r ^= 0xe100 >> (3 - b);
  REDUCE[i] = r << 16;
}

/** AES-GCM with one key of 16 or 32 bytes. */
export class AesGcm {
  readonly #round: Int32Array;
  readonly #rounds: number;
  /** Products of the hash key with the sixteen polynomials of degree below 4: four words each. */
  readonly #table = new Int32Array(64);

  constructor(key: Uint8Array) {
    const nk = key.length / 4;
    this.#rounds = nk + 6;
    const w = new Int32Array(4 * (this.#rounds + 1));
    const kv = new DataView(key.buffer, key.byteOffset, key.length);
    for (let i = 0; i < nk; i++) w[i] = kv.getInt32(4 * i, false);
    let rcon = 1;
    for (let i = nk; i < w.length; i++) {
      let t = w[i - 1]!;
      if (i % nk === 0) {
        t = subWord((t << 8) | (t >>> 24)) ^ (rcon << 24);
        rcon = (rcon << 1) ^ ((rcon & 0x80) !== 0 ? 0x11b : 0);
      } else if (nk > 6 && i % nk === 4) t = subWord(t);
      w[i] = w[i - nk]! ^ t;
    }
    this.#round = w;
    block.fill(0);
    this.#encrypt(block);
    this.#ghashTable(block);
  }

  /**
   * Encrypts `len` bytes of `b` at `off` in place and writes the 16-byte tag behind them. The nonce is three big-endian words;
   * `adLen` bytes of `ad` at `adOff` are authenticated too.
   */
  seal(
    b: Uint8Array,
    off: number,
    len: number,
    n0: number,
    n1: number,
    n2: number,
    ad: Uint8Array,
    adOff: number,
    adLen: number,
  ): void {
    this.#crypt(b, off, len, n0, n1, n2);
    this.#authenticate(b, off, len, n0, n1, n2, ad, adOff, adLen);
    for (let i = 0; i < 16; i++) b[off + len + i] = tag[i >> 2]! >>> (24 - 8 * (i & 3));
  }

  /** Decrypts what `seal` made, `len` bytes without the tag. False, and nothing changed, if the tag is wrong. */
  open(
    b: Uint8Array,
    off: number,
    len: number,
    n0: number,
    n1: number,
    n2: number,
    ad: Uint8Array,
    adOff: number,
    adLen: number,
  ): boolean {
    this.#authenticate(b, off, len, n0, n1, n2, ad, adOff, adLen);
    let diff = 0;
    for (let i = 0; i < 16; i++) diff |= b[off + len + i]! ^ ((tag[i >> 2]! >>> (24 - 8 * (i & 3))) & 0xff);
    if (diff !== 0) return false;
    this.#crypt(b, off, len, n0, n1, n2);
    return true;
  }

  #crypt(b: Uint8Array, off: number, len: number, n0: number, n1: number, n2: number): void {
    const end = off + len;
    // Counter 1 is the tag's.
    for (let at = off, counter = 2; at < end; counter++) {
      block[0] = n0;
      block[1] = n1;
      block[2] = n2;
      block[3] = counter;
      this.#encrypt(block);
      for (let i = 0; i < 16 && at < end; i++) b[at++]! ^= (block[i >> 2]! >>> (24 - 8 * (i & 3))) & 0xff;
    }
  }

  #authenticate(
    b: Uint8Array,
    off: number,
    len: number,
    n0: number,
    n1: number,
    n2: number,
    ad: Uint8Array,
    adOff: number,
    adLen: number,
  ): void {
    y.fill(0);
    this.#hash(ad, adOff, adLen);
    this.#hash(b, off, len);
    y[1]! ^= adLen << 3;
    y[3]! ^= len << 3;
    this.#multiply();
    tag[0] = n0;
    tag[1] = n1;
    tag[2] = n2;
    tag[3] = 1;
    this.#encrypt(tag);
    for (let i = 0; i < 4; i++) tag[i]! ^= y[i]!;
  }

  /** GHASH of `len` bytes, the last block filled up with zeros. */
  #hash(b: Uint8Array, off: number, len: number): void {
    for (let at = 0; at < len; at += 16) {
      const n = Math.min(16, len - at);
      for (let i = 0; i < n; i++) y[i >> 2]! ^= b[off + at + i]! << (24 - 8 * (i & 3));
      this.#multiply();
    }
  }

  /** The products with x^0 .. x^3 by shifting, the others as their sums. Bit 3 of an index is the lowest power. */
  #ghashTable(h: Int32Array): void {
    const t = this.#table;
    let a = h[0]!;
    let b = h[1]!;
    let c = h[2]!;
    let d = h[3]!;
    for (let i = 8; i >= 1; i >>= 1) {
      t[4 * i] = a;
      t[4 * i + 1] = b;
      t[4 * i + 2] = c;
      t[4 * i + 3] = d;
      const lost = d & 1;
      d = (d >>> 1) | (c << 31);
      c = (c >>> 1) | (b << 31);
      b = (b >>> 1) | (a << 31);
      a = (a >>> 1) ^ (lost !== 0 ? 0xe1000000 : 0);
    }
    for (let i = 2; i < 16; i <<= 1) {
      for (let j = 1; j < i; j++)
        for (let k = 0; k < 4; k++) t[4 * (i + j) + k] = t[4 * i + k]! ^ t[4 * j + k]!;
    }
  }

  /** y = y * H, four bits at a time, the highest power first. */
  #multiply(): void {
    const t = this.#table;
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    for (let i = 31; i >= 0; i--) {
      const nibble = (y[i >> 3]! >>> (28 - 4 * (i & 7))) & 15;
      if (i !== 31) {
        const lost = d & 15;
        d = (d >>> 4) | (c << 28);
        c = (c >>> 4) | (b << 28);
        b = (b >>> 4) | (a << 28);
        a = (a >>> 4) ^ REDUCE[lost]!;
      }
      a ^= t[4 * nibble]!;
      b ^= t[4 * nibble + 1]!;
      c ^= t[4 * nibble + 2]!;
      d ^= t[4 * nibble + 3]!;
    }
    y[0] = a;
    y[1] = b;
    y[2] = c;
    y[3] = d;
  }

  /** One block, in place. */
  #encrypt(s: Int32Array): void {
    const w = this.#round;
    let a = s[0]! ^ w[0]!;
    let b = s[1]! ^ w[1]!;
    let c = s[2]! ^ w[2]!;
    let d = s[3]! ^ w[3]!;
    let k = 4;
    for (let r = 1; r < this.#rounds; r++) {
      const a2 = column(a, b, c, d) ^ w[k++]!;
      const b2 = column(b, c, d, a) ^ w[k++]!;
      const c2 = column(c, d, a, b) ^ w[k++]!;
      const d2 = column(d, a, b, c) ^ w[k++]!;
      a = a2;
      b = b2;
      c = c2;
      d = d2;
    }
    s[0] = last(a, b, c, d) ^ w[k++]!;
    s[1] = last(b, c, d, a) ^ w[k++]!;
    s[2] = last(c, d, a, b) ^ w[k++]!;
    s[3] = last(d, a, b, c) ^ w[k]!;
  }
}

/** SubBytes, ShiftRows and MixColumns of one column. */
function column(a: number, b: number, c: number, d: number): number {
  const t1 = T0[(b >>> 16) & 0xff]!;
  const t2 = T0[(c >>> 8) & 0xff]!;
  const t3 = T0[d & 0xff]!;
  return T0[a >>> 24]! ^ ((t1 >>> 8) | (t1 << 24)) ^ ((t2 >>> 16) | (t2 << 16)) ^ ((t3 >>> 24) | (t3 << 8));
}

/** The same without MixColumns. */
function last(a: number, b: number, c: number, d: number): number {
  return (
    (SBOX[a >>> 24]! << 24) |
    (SBOX[(b >>> 16) & 0xff]! << 16) |
    (SBOX[(c >>> 8) & 0xff]! << 8) |
    SBOX[d & 0xff]!
  );
}

function subWord(x: number): number {
  return last(x, x, x, x);
}
