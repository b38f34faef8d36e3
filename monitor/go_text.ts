// Values as Go's fmt, net, strconv, encoding/hex and encoding/json write them, which is what the monitor prints.

import { formatIpv6 } from "../src/net/address.js";

/** `%02d`-style decimal of 0..255, and the octets of a dotted quad. */
export const DECIMAL: readonly string[] = Array.from({ length: 256 }, (_, i) => String(i));
/** Two-digit lower-case hex of a byte. */
export const HEX2: readonly string[] = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0"));

/** Big-endian 16 bits. */
export function be16(b: Uint8Array, off: number): number {
  return (b[off]! << 8) | b[off + 1]!;
}

/** Big-endian 32 bits, as signed int32. */
export function be32(b: Uint8Array, off: number): number {
  return (b[off]! << 24) | (b[off + 1]! << 16) | (b[off + 2]! << 8) | b[off + 3]!;
}

/** Little-endian 16 bits. */
export function le16(b: Uint8Array, off: number): number {
  return b[off]! | (b[off + 1]! << 8);
}

/** Little-endian 32 bits, as signed int32. */
export function le32(b: Uint8Array, off: number): number {
  return b[off]! | (b[off + 1]! << 8) | (b[off + 2]! << 16) | (b[off + 3]! << 24);
}

/** `%d` of an unsigned 64-bit little-endian integer. */
export function u64Text(b: Uint8Array, off: number): string {
  const lo = le32(b, off) >>> 0;
  const hi = le32(b, off + 4) >>> 0;
  return hi === 0 ? String(lo) : String((BigInt(hi) << 32n) | BigInt(lo));
}

/** A copy of bytes [from, to); `slice` would not be one for a Node Buffer. */
export function copyOf(b: Uint8Array, from: number, to: number): Uint8Array {
  const out = new Uint8Array(to - from);
  out.set(b.subarray(from, to));
  return out;
}

/** `%#x` of a 32-bit integer. */
export function hex32(v: number): string {
  return v === 0 ? "0x0" : `0x${(v >>> 0).toString(16)}`;
}

// Direct-mapped caches: a stream shows the same few addresses over and over, and a miss only costs the rewrite.
const CACHE = 4096;
const ip4Keys = new Int32Array(CACHE);
const ip4Texts: string[] = new Array<string>(CACHE).fill("0.0.0.0");

/** net.IP.String() of the four bytes at `off`. */
export function ip4Text(b: Uint8Array, off: number): string {
  const a = b[off]!;
  const c = b[off + 1]!;
  const d = b[off + 2]!;
  const e = b[off + 3]!;
  const key = a | (c << 8) | (d << 16) | (e << 24);
  const slot = (e ^ (d << 4) ^ (c << 8) ^ a) & (CACHE - 1);
  if (ip4Keys[slot] === key) return ip4Texts[slot]!;
  const text = `${DECIMAL[a]}.${DECIMAL[c]}.${DECIMAL[d]}.${DECIMAL[e]}`;
  ip4Keys[slot] = key;
  ip4Texts[slot] = text;
  return text;
}

/** net.IP.String() of the 16 bytes at `off`: RFC 5952, and IPv4-mapped addresses as dotted quads. */
export function ip6Text(b: Uint8Array, off: number): string {
  if (be32(b, off + 8) === 0xffff && be32(b, off) === 0 && be32(b, off + 4) === 0)
    return ip4Text(b, off + 12);
  const w0 = be32(b, off);
  const w1 = be32(b, off + 4);
  const w2 = be32(b, off + 8);
  const w3 = be32(b, off + 12);
  const h = Math.imul(w3 ^ Math.imul(w1, 31) ^ Math.imul(w2, 131) ^ w0, 0x9e3779b1) >>> 22;
  const k = h << 2;
  if (ip6Keys[k] === w0 && ip6Keys[k + 1] === w1 && ip6Keys[k + 2] === w2 && ip6Keys[k + 3] === w3) {
    return ip6Texts[h]!;
  }
  const text = formatIpv6(b, off);
  ip6Keys[k] = w0;
  ip6Keys[k + 1] = w1;
  ip6Keys[k + 2] = w2;
  ip6Keys[k + 3] = w3;
  ip6Texts[h] = text;
  return text;
}
const ip6Keys = new Int32Array(1024 * 4);
const ip6Texts: string[] = new Array<string>(1024).fill("::");

const macHigh = new Int32Array(1024);
const macLow = new Int32Array(1024);
const macTexts: string[] = new Array<string>(1024).fill("00:00:00:00:00:00");

/** net.HardwareAddr.String() of the six bytes at `off`. */
export function macText(b: Uint8Array, off: number): string {
  const hi = be16(b, off);
  const lo = be32(b, off + 2);
  const slot = Math.imul(lo ^ hi, 0x9e3779b1) >>> 22;
  if (macLow[slot] === lo && macHigh[slot] === hi) return macTexts[slot]!;
  const text = `${HEX2[b[off]!]}:${HEX2[b[off + 1]!]}:${HEX2[b[off + 2]!]}:${HEX2[b[off + 3]!]}:${HEX2[b[off + 4]!]}:${HEX2[b[off + 5]!]}`;
  macHigh[slot] = hi;
  macLow[slot] = lo;
  macTexts[slot] = text;
  return text;
}

/** net.JoinHostPort: brackets around anything with a colon. */
export function joinHostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** time.Duration.String() of a non-negative number of milliseconds below one hour. */
export function durationMs(ms: number): string {
  if (ms === 0) return "0s";
  if (ms < 1000) return `${ms}ms`;
  const minutes = Math.floor(ms / 60_000);
  const seconds = (ms % 60_000) / 1000;
  return minutes === 0 ? `${seconds}s` : `${minutes}m${seconds}s`;
}

// A row of a dump: offset 0-7, bytes from 10 (from 35 the upper eight), `|` at 60, text, `|`, newline.
const DUMP_ROW = 79;
const DUMP_TEXT = 61;
const SPACE = 0x20;
const BAR = 0x7c;
const DIGITS = new Uint8Array(16);
for (let i = 0; i < 16; i++) DIGITS[i] = i.toString(16).charCodeAt(0);
let dump = new Uint8Array(DUMP_ROW * 16);
const ascii = new TextDecoder();

/** encoding/hex.Dump of bytes [from, to). */
export function hexDump(b: Uint8Array, from: number, to: number): string {
  const rows = (to - from + 15) >> 4;
  if (dump.length < rows * DUMP_ROW) dump = new Uint8Array(rows * DUMP_ROW * 2);
  const out = dump;
  let length = 0;
  for (let row = 0; row < rows; row++) {
    const base = row * DUMP_ROW;
    const at = from + row * 16;
    const n = Math.min(16, to - at);
    for (let i = 0, shift = 28; i < 8; i++, shift -= 4) out[base + i] = DIGITS[((row << 4) >>> shift) & 15]!;
    for (let i = 8; i < 60; i++) out[base + i] = SPACE;
    out[base + 60] = BAR;
    for (let i = 0; i < n; i++) {
      const v = b[at + i]!;
      const o = base + 10 + 3 * i + (i >> 3);
      out[o] = DIGITS[v >> 4]!;
      out[o + 1] = DIGITS[v & 15]!;
      out[base + DUMP_TEXT + i] = v < 32 || v > 126 ? 0x2e : v;
    }
    out[base + DUMP_TEXT + n] = BAR;
    out[base + DUMP_TEXT + n + 1] = 0x0a;
    length = base + DUMP_TEXT + n + 2;
  }
  return ascii.decode(out.subarray(0, length));
}

/** `[a b c]`: `%v` of bytes [from, to). */
export function bytesSpaced(b: Uint8Array, from: number, to: number): string {
  let out = "[";
  for (let i = from; i < to; i++) out += i === from ? DECIMAL[b[i]!]! : ` ${DECIMAL[b[i]!]}`;
  return `${out}]`;
}

/** Lower-case hex of bytes [from, to). */
export function hexOf(b: Uint8Array, from: number, to: number): string {
  let out = "";
  for (let i = from; i < to; i++) out += HEX2[b[i]!];
  return out;
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** A Go string of bytes [from, to); invalid UTF-8 becomes U+FFFD (Go would print the bytes as they are). */
export function goString(b: Uint8Array, from: number, to: number): string {
  return utf8.decode(b.subarray(from, to));
}

const SHORT_ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ["\\", "\\\\"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ["\b", "\\b"],
  ["\f", "\\f"],
]);
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what has to be escaped.
const NEEDS_ESCAPE = /["\\<>&\u0000-\u001f\u2028\u2029]/g;

/** A JSON string, quotes included, as encoding/json writes it: `<`, `>`, `&`, U+2028 and U+2029 are escaped. */
export function jsonString(s: string): string {
  return `"${s.replace(NEEDS_ESCAPE, (c) => SHORT_ESCAPES.get(c) ?? `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)}"`;
}

/** strconv.Quote of printable ASCII, which is all that debug messages hold. */
export function goQuote(s: string): string {
  return `"${s.replace(/["\\]/g, (c) => `\\${c}`)}"`;
}
