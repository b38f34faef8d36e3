// How headers are read: pure functions of (DataView, byte offset), no objects, no bounds checks of their own.
// One length check at a layer's door makes its fields safe to read. Files of this folder hold one protocol each.
//
// Conventions, the same everywhere:
//   - an IPv4 address is a Be32: the four wire bytes loaded little-endian into a signed int32
//   - a port or another 16-bit field is a host-order number, unless the name ends in `Be` (then a Be16)
//   - an IPv6 address or a MAC is addressed by its offset, compared and copied with the functions below

/** Two 16-bit byte orders exchanged. */
export function bswap16(v: number): number {
  return ((v & 0xff) << 8) | ((v >>> 8) & 0xff);
}

/** Four bytes reversed, as signed int32. */
export function bswap32(v: number): number {
  return ((v & 0xff) << 24) | ((v & 0xff00) << 8) | ((v >>> 8) & 0xff00) | (v >>> 24);
}

/** Copies `n` bytes inside or between buffers; overlapping ranges of one buffer are safe. */
export function copyBytes(dst: Uint8Array, to: number, src: Uint8Array, from: number, n: number): void {
  if (dst === src && from < to) {
    for (let i = n - 1; i >= 0; i--) dst[to + i] = src[from + i]!;
  } else {
    for (let i = 0; i < n; i++) dst[to + i] = src[from + i]!;
  }
}

/** Copies `n` bytes between two different buffers, four at a time: for payloads, where `copyBytes` is slow. */
export function copyView(dst: DataView, to: number, src: DataView, from: number, n: number): void {
  let i = 0;
  for (; i + 4 <= n; i += 4) dst.setInt32(to + i, src.getInt32(from + i, true), true);
  for (; i < n; i++) dst.setUint8(to + i, src.getUint8(from + i));
}

/** True if `n` bytes are equal. */
export function equalBytes(a: Uint8Array, ai: number, b: Uint8Array, bi: number, n: number): boolean {
  for (let i = 0; i < n; i++) if (a[ai + i] !== b[bi + i]) return false;
  return true;
}

/** Bytes of an even-length hex string; undefined when it is not one. */
export function fromHex(s: string): Uint8Array | undefined {
  if (s.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(s)) return undefined;
  const out = new Uint8Array(s.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(s.slice(2 * i, 2 * i + 2), 16);
  return out;
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0"));

/** Lower-case hex of bytes. */
export function toHex(b: Uint8Array): string {
  let s = "";
  for (let i = 0; i < b.length; i++) s += HEX[b[i]!];
  return s;
}
