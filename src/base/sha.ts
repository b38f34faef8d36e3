// SHA-1 and SHA-256 of short texts (FIPS 180-4), for names that control planes derive from hashes: Calico's interface
// names, kube-proxy's chains, Felix's sets. Not for packets and not for secrets.

/** SHA-1 of UTF-8 text: 20 bytes. */
export function sha1(text: string): Uint8Array {
  const w = new Int32Array(80);
  const h = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);
  const m = padded(text);
  for (let at = 0; at < m.byteLength; at += 64) {
    for (let i = 0; i < 16; i++) w[i] = m.getInt32(at + 4 * i, false);
    for (let i = 16; i < 80; i++) w[i] = rotl(w[i - 3]! ^ w[i - 8]! ^ w[i - 14]! ^ w[i - 16]!, 1);
    let [a, b, c, d, e] = [h[0]!, h[1]!, h[2]!, h[3]!, h[4]!];
    for (let i = 0; i < 80; i++) {
      const f =
        i < 20
          ? ((b & c) | (~b & d)) + 0x5a827999
          : i < 40
            ? (b ^ c ^ d) + 0x6ed9eba1
            : i < 60
              ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
              : (b ^ c ^ d) + 0xca62c1d6;
      const t = (rotl(a, 5) + f + e + w[i]!) | 0;
      e = d;
      d = c;
      c = rotl(b, 30);
      b = a;
      a = t;
    }
    h[0]! += a;
    h[1]! += b;
    h[2]! += c;
    h[3]! += d;
    h[4]! += e;
  }
  return bigEndian(h);
}

/** SHA-256 of UTF-8 text: 32 bytes. */
export function sha256(text: string): Uint8Array {
  const w = W256;
  const h = Int32Array.from(H256);
  const m = padded(text);
  for (let at = 0; at < m.byteLength; at += 64) {
    for (let i = 0; i < 16; i++) w[i] = m.getInt32(at + 4 * i, false);
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15]!;
      const y = w[i - 2]!;
      w[i] =
        w[i - 16]! +
        (rotl(x, 25) ^ rotl(x, 14) ^ (x >>> 3)) +
        w[i - 7]! +
        (rotl(y, 15) ^ rotl(y, 13) ^ (y >>> 10));
    }
    // Eight locals, not an array: a node with thousands of services hashes a name for each chain.
    let s0 = h[0]!;
    let s1 = h[1]!;
    let s2 = h[2]!;
    let s3 = h[3]!;
    let s4 = h[4]!;
    let s5 = h[5]!;
    let s6 = h[6]!;
    let s7 = h[7]!;
    for (let i = 0; i < 64; i++) {
      const t1 =
        (s7 + (rotl(s4, 26) ^ rotl(s4, 21) ^ rotl(s4, 7)) + ((s4 & s5) ^ (~s4 & s6)) + K256[i]! + w[i]!) | 0;
      const t2 = ((rotl(s0, 30) ^ rotl(s0, 19) ^ rotl(s0, 10)) + ((s0 & s1) ^ (s0 & s2) ^ (s1 & s2))) | 0;
      s7 = s6;
      s6 = s5;
      s5 = s4;
      s4 = (s3 + t1) | 0;
      s3 = s2;
      s2 = s1;
      s1 = s0;
      s0 = (t1 + t2) | 0;
    }
    h[0]! += s0;
    h[1]! += s1;
    h[2]! += s2;
    h[3]! += s3;
    h[4]! += s4;
    h[5]! += s5;
    h[6]! += s6;
    h[7]! += s7;
  }
  return bigEndian(h);
}

/** Lower-case hex. */
export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

/** RFC 4648 base32, without padding. */
export function base32Of(bytes: Uint8Array): string {
  return encode(bytes, 5, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
}

/** RFC 4648 base64 with the URL alphabet, without padding. */
export function base64UrlOf(bytes: Uint8Array): string {
  return encode(bytes, 6, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
}

function encode(bytes: Uint8Array, bits: number, alphabet: string): string {
  let out = "";
  let acc = 0;
  let have = 0;
  for (const b of bytes) {
    acc = (acc << 8) | b;
    have += 8;
    while (have >= bits) {
      have -= bits;
      out += alphabet[acc >>> have]!;
      acc &= (1 << have) - 1;
    }
  }
  if (have > 0) out += alphabet[(acc << (bits - have)) & ((1 << bits) - 1)]!;
  return out;
}

const rotl = (x: number, n: number): number => (x << n) | (x >>> (32 - n));

const encoder = new TextEncoder();
/** Where short ASCII messages are padded. */
const scratch = new Uint8Array(4 * 64);

/** The message with its 1 bit, zeros and length in bits; valid until the next call. */
function padded(text: string): DataView {
  let n = 0;
  while (n < text.length && n < scratch.length - 9 && text.charCodeAt(n) < 0x80) n++;
  if (n < text.length) {
    const bytes = encoder.encode(text);
    const all = new Uint8Array((bytes.length + 72) & ~63);
    all.set(bytes);
    return finished(all, bytes.length);
  }
  const all = scratch.subarray(0, (n + 72) & ~63);
  all.fill(0, n);
  for (let i = 0; i < n; i++) all[i] = text.charCodeAt(i);
  return finished(all, n);
}

function finished(all: Uint8Array, length: number): DataView {
  all[length] = 0x80;
  const view = new DataView(all.buffer, all.byteOffset, all.byteLength);
  view.setUint32(view.byteLength - 4, length * 8, false);
  return view;
}

function bigEndian(words: Int32Array): Uint8Array {
  const out = new Uint8Array(words.length * 4);
  for (let i = 0; i < words.length; i++) {
    const x = words[i]!;
    out[4 * i] = x >>> 24;
    out[4 * i + 1] = x >>> 16;
    out[4 * i + 2] = x >>> 8;
    out[4 * i + 3] = x;
  }
  return out;
}

/** Fractional bits of the roots of the first primes: cube roots for K, square roots for H. */
function primeRoots(n: number, root: (p: number) => number): Int32Array {
  const out = new Int32Array(n);
  for (let p = 2, i = 0; i < n; p++) {
    let prime = true;
    for (let d = 2; d * d <= p; d++) if (p % d === 0) prime = false;
    if (prime) {
      const r = root(p);
      out[i++] = Math.floor((r - Math.floor(r)) * 0x100000000);
    }
  }
  return out;
}
/** The message schedule of sha256, which is not reentered. */
const W256 = new Int32Array(64);
const K256 = primeRoots(64, Math.cbrt);
const H256 = primeRoots(8, Math.sqrt);
