// Addresses: text <-> the numbers and bytes that the packet path uses (IPv4 Be32, IPv6 16 bytes, MAC 6 bytes),
// and prefixes. Text is for borders (scenarios, printing); nothing here runs per packet except the mask arithmetic.
//
//   IPv4  dotted quad as inet_pton(3) takes it: four decimal parts, no leading zeros
//   IPv6  RFC 4291 in, RFC 5952 out (IPv4-mapped as ::ffff:a.b.c.d); a %zone is not part of an address
//   MAC   aa:bb:cc:dd:ee:ff in lower case; `-` is accepted on input

import type { Be16, Be32 } from "../base/brand.js";
import { PodpathError } from "../base/errors.js";
import { bswap16, bswap32 } from "./view.js";

/** 0.0.0.0 */
export const INADDR_ANY = 0 as Be32;
/** 255.255.255.255 */
export const INADDR_BROADCAST = -1 as Be32;

function bad(what: string, text: string): PodpathError {
  return new PodpathError("ADDRESS_INVALID", `"${text}" is not ${what}`);
}

// ---- 16-bit ports ---------------------------------------------------------------------------------------------

/** Port in network order as a little-endian CPU loads it: 80 -> 0x5000. */
export function htons(port: number): Be16 {
  return bswap16(port) as Be16;
}

/** Host-order port: 0x5000 -> 80. */
export function ntohs(port: Be16 | number): number {
  return bswap16(port);
}

// ---- IPv4 -----------------------------------------------------------------------------------------------------

/** Be32 of four bytes in writing order. */
export function ipv4Of(a: number, b: number, c: number, d: number): Be32 {
  return (a | (b << 8) | (c << 16) | (d << 24)) as Be32;
}

/** Numeric value (host order, signed int32) of an address: 10.0.0.85 -> 0x0a000055. */
export function ntohl(addr: Be32 | number): number {
  return bswap32(addr);
}

/** Be32 of a numeric value in host order. */
export function htonl(value: number): Be32 {
  return bswap32(value | 0) as Be32;
}

/** The address that `text` writes, or undefined. */
export function tryParseIpv4(text: string): Be32 | undefined {
  let v = 0;
  let part = 0;
  let digits = 0;
  let shift = 0;
  for (let i = 0; i <= text.length; i++) {
    const c = i < text.length ? text.charCodeAt(i) : 46;
    if (c === 46) {
      if (digits === 0 || shift > 24) return undefined;
      v |= part << shift;
      shift += 8;
      part = 0;
      digits = 0;
    } else if (c >= 48 && c <= 57) {
      if (digits > 0 && part === 0) return undefined;
      part = part * 10 + (c - 48);
      if (part > 255) return undefined;
      digits++;
    } else {
      return undefined;
    }
  }
  return shift === 32 ? (v as Be32) : undefined;
}

/** The address that `text` writes. @throws PodpathError ADDRESS_INVALID */
export function parseIpv4(text: string): Be32 {
  const v = tryParseIpv4(text);
  if (v === undefined) throw bad("an IPv4 address", text);
  return v;
}

/** Dotted quad. */
export function formatIpv4(addr: Be32 | number): string {
  return `${addr & 0xff}.${(addr >>> 8) & 0xff}.${(addr >>> 16) & 0xff}.${addr >>> 24}`;
}

/** Dotted quad of the four bytes at `off`. */
export function formatIpv4At(bytes: Uint8Array, off: number): string {
  return `${bytes[off]}.${bytes[off + 1]}.${bytes[off + 2]}.${bytes[off + 3]}`;
}

/** 224.0.0.0/4 */
export function isMulticast4(addr: Be32 | number): boolean {
  return (addr & 0xf0) === 0xe0;
}

/** 127.0.0.0/8 */
export function isLoopback4(addr: Be32 | number): boolean {
  return (addr & 0xff) === 127;
}

/** 169.254.0.0/16 */
export function isLinkLocal4(addr: Be32 | number): boolean {
  return (addr & 0xffff) === 0xfea9;
}

/** Netmask of a prefix length, as Be32. */
export function maskOf4(len: number): Be32 {
  return (len === 0 ? 0 : bswap32(-1 << (32 - len))) as Be32;
}

/** Prefix length of a contiguous netmask, or -1. */
export function lenOfMask4(mask: Be32): number {
  const inv = ~bswap32(mask);
  return ((inv + 1) & inv) === 0 ? Math.clz32(inv) : -1;
}

/** An IPv4 prefix; `addr` keeps its host bits as written. */
export interface Cidr4 {
  readonly family: 4;
  readonly addr: Be32;
  readonly len: number;
}

/** True if `addr` lies in the prefix. */
export function contains4(prefix: Be32, len: number, addr: Be32): boolean {
  return ((prefix ^ addr) & maskOf4(len)) === 0;
}

/** First address of the prefix. */
export function networkOf4(addr: Be32, len: number): Be32 {
  return (addr & maskOf4(len)) as Be32;
}

/** Last address of the prefix (the directed broadcast). */
export function broadcastOf4(addr: Be32, len: number): Be32 {
  return (addr | ~maskOf4(len)) as Be32;
}

/** The `n`th address of the prefix, counted from its network address. */
export function nthOf4(addr: Be32, len: number, n: number): Be32 {
  return htonl((ntohl(networkOf4(addr, len)) + n) | 0);
}

// ---- IPv6 -----------------------------------------------------------------------------------------------------

const HEX16 = /^[0-9a-fA-F]{1,4}$/;

/** The 16 bytes that `text` writes, or undefined. */
export function tryParseIpv6(text: string): Uint8Array | undefined {
  const gap = text.indexOf("::");
  if (gap >= 0 && text.indexOf("::", gap + 1) >= 0) return undefined;
  const head: number[] = [];
  const tail: number[] = [];
  if (gap < 0) {
    if (!groups(text, head, true) || head.length !== 8) return undefined;
  } else {
    const left = text.slice(0, gap);
    const right = text.slice(gap + 2);
    if (left !== "" && !groups(left, head, false)) return undefined;
    if (right !== "" && !groups(right, tail, true)) return undefined;
    if (head.length + tail.length > 7) return undefined;
  }
  const out = new Uint8Array(16);
  for (let i = 0; i < head.length; i++) put16(out, 2 * i, head[i]!);
  for (let i = 0; i < tail.length; i++) put16(out, 16 - 2 * (tail.length - i), tail[i]!);
  return out;
}

function put16(out: Uint8Array, at: number, v: number): void {
  out[at] = v >> 8;
  out[at + 1] = v & 0xff;
}

function groups(text: string, into: number[], mayEndIpv4: boolean): boolean {
  const parts = text.split(":");
  for (let i = 0; i < parts.length; i++) {
    const p = parts[i]!;
    if (HEX16.test(p)) {
      into.push(Number.parseInt(p, 16));
    } else if (mayEndIpv4 && i === parts.length - 1) {
      const v4 = tryParseIpv4(p);
      if (v4 === undefined) return false;
      into.push(bswap16(v4 & 0xffff), bswap16(v4 >>> 16));
    } else {
      return false;
    }
  }
  return true;
}

/** The 16 bytes that `text` writes. @throws PodpathError ADDRESS_INVALID */
export function parseIpv6(text: string): Uint8Array {
  const v = tryParseIpv6(text);
  if (v === undefined) throw bad("an IPv6 address", text);
  return v;
}

/** RFC 5952 text of the 16 bytes at `off`. */
export function formatIpv6(bytes: Uint8Array, off = 0): string {
  const g: number[] = [];
  for (let i = 0; i < 16; i += 2) g.push((bytes[off + i]! << 8) | bytes[off + i + 1]!);
  if (g[5] === 0xffff && g[0] === 0 && g[1] === 0 && g[2] === 0 && g[3] === 0 && g[4] === 0) {
    return `::ffff:${formatIpv4At(bytes, off + 12)}`;
  }
  // The longest run of at least two zero groups, the first of equals, is what `::` stands for (section 4.2).
  let best = -1;
  let bestLen = 1;
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && g[i + n] === 0) n++;
    if (n > bestLen) {
      best = i;
      bestLen = n;
    }
    if (n > 0) i += n - 1;
  }
  let s = "";
  for (let i = 0; i < 8; i++) {
    if (i === best) {
      s += "::";
      i += bestLen - 1;
    } else {
      if (s !== "" && !s.endsWith(":")) s += ":";
      s += g[i]!.toString(16);
    }
  }
  return s;
}

/** True if the two addresses share their first `len` bits. */
export function contains6(
  prefix: Uint8Array,
  len: number,
  addr: Uint8Array,
  prefixOff = 0,
  addrOff = 0,
): boolean {
  const whole = len >> 3;
  for (let i = 0; i < whole; i++) if (prefix[prefixOff + i] !== addr[addrOff + i]) return false;
  const rest = len & 7;
  if (rest === 0) return true;
  return ((prefix[prefixOff + whole]! ^ addr[addrOff + whole]!) & (0xff00 >> rest) & 0xff) === 0;
}

/** The 16-byte mask of a prefix length. */
export function maskOf6(len: number): Uint8Array {
  const m = new Uint8Array(16);
  for (let i = 0; i < 16; i++) {
    const bits = len - 8 * i;
    m[i] = bits >= 8 ? 0xff : bits <= 0 ? 0 : 0xff & (0xff00 >> bits);
  }
  return m;
}

/** First address of the prefix. */
export function networkOf6(addr: Uint8Array, len: number): Uint8Array {
  const m = maskOf6(len);
  for (let i = 0; i < 16; i++) m[i]! &= addr[i]!;
  return m;
}

/** An IPv6 prefix; `addr` keeps its host bits as written. */
export interface Cidr6 {
  readonly family: 6;
  readonly addr: Uint8Array;
  readonly len: number;
}

export type Cidr = Cidr4 | Cidr6;

/** An address of either family. */
export type IpAddress =
  | { readonly family: 4; readonly addr: Be32 }
  | { readonly family: 6; readonly addr: Uint8Array };

/** The address of either family that `text` writes, or undefined. */
export function tryParseIp(text: string): IpAddress | undefined {
  const v4 = tryParseIpv4(text);
  if (v4 !== undefined) return { family: 4, addr: v4 };
  const v6 = tryParseIpv6(text);
  return v6 === undefined ? undefined : { family: 6, addr: v6 };
}

/** The address of either family that `text` writes. @throws PodpathError ADDRESS_INVALID */
export function parseIp(text: string): IpAddress {
  const a = tryParseIp(text);
  if (a === undefined) throw bad("an IP address", text);
  return a;
}

/** Text of an address of either family. */
export function formatIp(a: IpAddress): string {
  return a.family === 4 ? formatIpv4(a.addr) : formatIpv6(a.addr);
}

/** The prefix that `text` writes (`10.0.0.0/24`, `fd00::/64`; without a length, a host prefix), or undefined. */
export function tryParseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf("/");
  const a = tryParseIp(slash < 0 ? text : text.slice(0, slash));
  if (a === undefined) return undefined;
  const max = a.family === 4 ? 32 : 128;
  let len = max;
  if (slash >= 0) {
    const l = text.slice(slash + 1);
    if (!/^(0|[1-9][0-9]{0,2})$/.test(l)) return undefined;
    len = Number(l);
    if (len > max) return undefined;
  }
  return { ...a, len };
}

/** The prefix that `text` writes. @throws PodpathError ADDRESS_INVALID */
export function parseCidr(text: string): Cidr {
  const c = tryParseCidr(text);
  if (c === undefined) throw bad("an address prefix", text);
  return c;
}

/** The IPv4 prefix that `text` writes. @throws PodpathError ADDRESS_INVALID */
export function parseCidr4(text: string): Cidr4 {
  const c = tryParseCidr(text);
  if (c === undefined || c.family !== 4) throw bad("an IPv4 prefix", text);
  return c;
}

/** The IPv6 prefix that `text` writes. @throws PodpathError ADDRESS_INVALID */
export function parseCidr6(text: string): Cidr6 {
  const c = tryParseCidr(text);
  if (c === undefined || c.family !== 6) throw bad("an IPv6 prefix", text);
  return c;
}

/** `address/length`, host bits kept. */
export function formatCidr(c: Cidr): string {
  return `${c.family === 4 ? formatIpv4(c.addr) : formatIpv6(c.addr)}/${c.len}`;
}

/** The same prefix with its host bits cleared. */
export function maskedCidr(c: Cidr): Cidr {
  return c.family === 4
    ? { family: 4, addr: networkOf4(c.addr, c.len), len: c.len }
    : { family: 6, addr: networkOf6(c.addr, c.len), len: c.len };
}

/** True if the address lies in the prefix; families never mix. */
export function cidrContains(c: Cidr, a: IpAddress): boolean {
  if (c.family === 4) return a.family === 4 && contains4(c.addr, c.len, a.addr);
  return a.family === 6 && contains6(c.addr, c.len, a.addr);
}

// ---- MAC ------------------------------------------------------------------------------------------------------

const MAC_TEXT = /^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$/;

/** The six bytes that `text` writes, or undefined. */
export function tryParseMac(text: string): Uint8Array | undefined {
  if (!MAC_TEXT.test(text)) return undefined;
  const out = new Uint8Array(6);
  for (let i = 0; i < 6; i++) out[i] = Number.parseInt(text.slice(3 * i, 3 * i + 2), 16);
  return out;
}

/** The six bytes that `text` writes. @throws PodpathError ADDRESS_INVALID */
export function parseMac(text: string): Uint8Array {
  const m = tryParseMac(text);
  if (m === undefined) throw bad("a MAC address", text);
  return m;
}

/** Two hex digits of each byte. */
const HEX2: readonly string[] = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0"));

/** `aa:bb:cc:dd:ee:ff` of the six bytes at `off`. */
export function formatMac(bytes: Uint8Array, off = 0): string {
  let s = HEX2[bytes[off]!]!;
  for (let i = 1; i < 6; i++) s += `:${HEX2[bytes[off + i]!]}`;
  return s;
}
