// X25519 (RFC 7748) with big integers: a few milliseconds a multiplication, which is enough for handshakes. Not
// constant-time: the secrets of a model are no secrets.

const P = (1n << 255n) - 19n;
const A24 = 121665n;

/** The base point, u = 9. */
const BASE = Uint8Array.of(9, ...new Uint8Array(31));

/** The 32-byte public key of a secret key. */
export function x25519Public(secret: Uint8Array): Uint8Array {
  return x25519(secret, BASE);
}

/** Scalar multiplication: 32 bytes of u coordinate. The scalar is clamped as the RFC says. */
export function x25519(scalar: Uint8Array, point: Uint8Array): Uint8Array {
  const k = scalar.slice();
  k[0]! &= 248;
  k[31] = (k[31]! & 127) | 64;
  const e = number(k);
  const u = point.slice();
  u[31]! &= 127;
  const x1 = number(u) % P;
  let x2 = 1n;
  let z2 = 0n;
  let x3 = x1;
  let z3 = 1n;
  for (let t = 254n; t >= 0n; t--) {
    const bit = (e >> t) & 1n;
    if (bit === 1n) [x2, x3, z2, z3] = [x3, x2, z3, z2];
    const a = x2 + z2;
    const b = x2 - z2;
    const aa = (a * a) % P;
    const bb = (b * b) % P;
    const c = aa - bb;
    const da = ((x3 - z3) * a) % P;
    const cb = ((x3 + z3) * b) % P;
    x3 = mod((da + cb) * (da + cb));
    z3 = mod(x1 * (da - cb) * (da - cb));
    x2 = mod(aa * bb);
    z2 = mod(c * (aa + A24 * c));
    if (bit === 1n) [x2, x3, z2, z3] = [x3, x2, z3, z2];
  }
  return bytes(mod(x2 * power(z2, P - 2n)));
}

function mod(x: bigint): bigint {
  const m = x % P;
  return m < 0n ? m + P : m;
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  let b = base;
  for (let e = exponent; e > 0n; e >>= 1n) {
    if ((e & 1n) === 1n) result = (result * b) % P;
    b = (b * b) % P;
  }
  return result;
}

/** Little-endian bytes to a number. */
function number(b: Uint8Array): bigint {
  let n = 0n;
  for (let i = 31; i >= 0; i--) n = (n << 8n) | BigInt(b[i]!);
  return n;
}

function bytes(n: bigint): Uint8Array {
  const out = new Uint8Array(32);
  let x = n;
  for (let i = 0; i < 32; i++) {
    out[i] = Number(x & 0xffn);
    x >>= 8n;
  }
  return out;
}
