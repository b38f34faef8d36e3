// SHA-512/256 of short texts (FIPS 180-4): Cilium sums the labels of an identity with it. In 64-bit BigInts, whose slowness
// nobody notices here; the constants are made as the standard defines them instead of being copied out.

const MASK = (1n << 64n) - 1n;

interface Constants {
  /** First 64 bits of the fractional parts of the cube roots of the first 80 primes. */
  readonly k: readonly bigint[];
  /** The start of SHA-512/256. */
  readonly h: readonly bigint[];
}

let constants: Constants | undefined;

function made(): Constants {
  const p = primes(80);
  const k = p.map((x) => root(x << 192n, 3n) & MASK);
  // SHA-512's own start: the square roots of the first eight primes.
  const h512 = p.slice(0, 8).map((x) => root(x << 128n, 2n) & MASK);
  // 5.3.6: the start of SHA-512/t is the sum of its own name, with another start again.
  const name = new TextEncoder().encode("SHA-512/256");
  return {
    k,
    h: sha512(
      name,
      k,
      h512.map((x) => x ^ 0xa5a5a5a5a5a5a5a5n),
    ),
  };
}

/** SHA-512/256 of UTF-8 text as 64 hexadecimal digits. */
export function sha512_256(text: string): string {
  constants ??= made();
  return sha512(new TextEncoder().encode(text), constants.k, constants.h)
    .slice(0, 4)
    .map((h) => h.toString(16).padStart(16, "0"))
    .join("");
}

function sha512(message: Uint8Array, k: readonly bigint[], start: readonly bigint[]): bigint[] {
  const view = new DataView(new ArrayBuffer((message.length + 144) & ~127));
  new Uint8Array(view.buffer).set(message);
  view.setUint8(message.length, 0x80);
  view.setUint32(view.byteLength - 4, message.length * 8, false);
  const h = [...start];
  const w = new Array<bigint>(80).fill(0n);
  for (let at = 0; at < view.byteLength; at += 128) {
    for (let i = 0; i < 16; i++) w[i] = view.getBigUint64(at + 8 * i, false);
    for (let i = 16; i < 80; i++) {
      const x = w[i - 15]!;
      const y = w[i - 2]!;
      const s0 = rotr(x, 1n) ^ rotr(x, 8n) ^ (x >> 7n);
      const s1 = rotr(y, 19n) ^ rotr(y, 61n) ^ (y >> 6n);
      w[i] = (w[i - 16]! + s0 + w[i - 7]! + s1) & MASK;
    }
    let [a, b, c, d, e, f, g, z] = h as [bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint];
    for (let i = 0; i < 80; i++) {
      const s1 = rotr(e, 14n) ^ rotr(e, 18n) ^ rotr(e, 41n);
      const t1 = z + s1 + ((e & f) ^ (~e & MASK & g)) + k[i]! + w[i]!;
      const s0 = rotr(a, 28n) ^ rotr(a, 34n) ^ rotr(a, 39n);
      const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
      z = g;
      g = f;
      f = e;
      e = (d + t1) & MASK;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) & MASK;
    }
    [a, b, c, d, e, f, g, z].forEach((x, i) => {
      h[i] = (h[i]! + x) & MASK;
    });
  }
  return h;
}

function rotr(x: bigint, n: bigint): bigint {
  return ((x >> n) | (x << (64n - n))) & MASK;
}

/** Whole part of the n-th root of x, by Newton's method from above. */
function root(x: bigint, n: bigint): bigint {
  let r = 1n << (BigInt(x.toString(2).length) / n + 1n);
  for (;;) {
    const next = ((n - 1n) * r + x / r ** (n - 1n)) / n;
    if (next >= r) return r;
    r = next;
  }
}

function primes(count: number): bigint[] {
  const out: number[] = [];
  for (let n = 2; out.length < count; n++) if (out.every((p) => n % p !== 0)) out.push(n);
  return out.map(BigInt);
}
