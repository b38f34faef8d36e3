// IP prefixes as policies and the ipcache use them: parsing with the messages of Go's net/netip, masking,
// containment, canonical text (RFC 5952) and the text of `cidr:` labels. Configuration path: addresses are bytes.

/** An address prefix; `bytes` has 4 or 16 bytes and is not masked unless `masked` made it. */
export interface Prefix {
  readonly bytes: Uint8Array;
  readonly bits: number;
}

/** A text that is not an address or prefix; `message` is what Go's netip would say. */
export class PrefixError extends Error {}

/** Whether the prefix is of IPv6. */
export function isIpv6(p: Prefix): boolean {
  return p.bytes.length === 16;
}

/** Parses an IPv4 or IPv6 address. Throws PrefixError. */
export function parseAddr(text: string): Uint8Array {
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === ".") return parseIpv4(text, text);
    if (c === ":") return parseIpv6(text);
    if (c === "%") throw addrError(text, "missing IPv6 address");
  }
  throw addrError(text, "unable to parse IP");
}

/** Parses `address/bits`; host bits are kept. Throws PrefixError. */
export function parsePrefix(text: string): Prefix {
  const fail = (what: string): never => {
    throw new PrefixError(`netip.ParsePrefix(${quote(text)}): ${what}`);
  };
  const slash = text.lastIndexOf("/");
  if (slash < 0) return fail("no '/'");
  let bytes: Uint8Array;
  try {
    bytes = parseAddr(text.slice(0, slash));
  } catch (e) {
    if (e instanceof PrefixError) return fail(e.message);
    throw e;
  }
  const bitsText = text.slice(slash + 1);
  if (!/^(0|[1-9][0-9]*)$/.test(bitsText)) return fail(`bad bits after slash: ${quote(bitsText)}`);
  const bits = Number(bitsText);
  if (bits > bytes.length * 8) return fail("prefix length out of range");
  return { bytes, bits };
}

/** Parses a prefix or a bare address (then with full length), as toCIDR accepts. Throws PrefixError. */
export function parsePrefixOrAddr(text: string): Prefix {
  try {
    return parsePrefix(text);
  } catch (e) {
    if (!(e instanceof PrefixError)) throw e;
    const bytes = parseAddr(text);
    return { bytes, bits: bytes.length * 8 };
  }
}

/** The prefix with its host bits cleared. */
export function masked(p: Prefix): Prefix {
  const bytes = p.bytes.slice();
  for (let i = 0; i < bytes.length; i++) {
    const keep = Math.min(8, Math.max(0, p.bits - i * 8));
    bytes[i] = bytes[i]! & (0xff00 >> keep) & 0xff;
  }
  return { bytes, bits: p.bits };
}

/** Whether `outer` contains the address `inner` begins with (lengths are compared by the caller where wanted). */
export function containsAddr(outer: Prefix, inner: Uint8Array): boolean {
  if (outer.bytes.length !== inner.length) return false;
  for (let i = 0, left = outer.bits; left > 0; i++, left -= 8) {
    const mask = left >= 8 ? 0xff : (0xff00 >> left) & 0xff;
    if (((outer.bytes[i]! ^ inner[i]!) & mask) !== 0) return false;
  }
  return true;
}

/** Whether every address of `inner` lies in `outer`. */
export function containsPrefix(outer: Prefix, inner: Prefix): boolean {
  return outer.bits <= inner.bits && containsAddr(outer, inner.bytes);
}

/** Order in which the agent gives numbers to new prefixes: shorter first, then IPv4 before IPv6, then by address. */
export function comparePrefixes(a: Prefix, b: Prefix): number {
  if (a.bits !== b.bits) return a.bits - b.bits;
  if (a.bytes.length !== b.bytes.length) return a.bytes.length - b.bytes.length;
  for (let i = 0; i < a.bytes.length; i++) {
    const d = a.bytes[i]! - b.bytes[i]!;
    if (d !== 0) return d;
  }
  return 0;
}

/** Canonical text of an address. */
export function formatAddr(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((bytes[i]! << 8) | bytes[i + 1]!);
  // The longest run of at least two zero groups becomes "::", the first one of equal runs.
  let from = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && groups[i + n] === 0) n++;
    if (n > length) {
      from = i;
      length = n;
    }
  }
  const hex = (g: number[]): string => g.map((x) => x.toString(16)).join(":");
  return from < 0 ? hex(groups) : `${hex(groups.slice(0, from))}::${hex(groups.slice(from + length))}`;
}

/** Canonical text of a prefix. */
export function formatPrefix(p: Prefix): string {
  return `${formatAddr(p.bytes)}/${p.bits}`;
}

/**
 * Key of the `cidr:` label of a masked prefix: the prefix itself, with the colons of IPv6 written as `-` and a `0`
 * beside one at either end (label keys may not begin or end with a dash).
 */
export function cidrLabelKey(p: Prefix): string {
  const text = formatAddr(p.bytes);
  if (p.bytes.length === 4) return `${text}/${p.bits}`;
  let s = text.replaceAll(":", "-");
  if (s.startsWith("-")) s = `0${s}`;
  if (s.endsWith("-")) s = `${s}0`;
  return `${s}/${p.bits}`;
}

/** The prefix that a `cidr:` label key stands for, or undefined. */
export function prefixOfLabelKey(key: string): Prefix | undefined {
  try {
    return parsePrefix(key.includes(".") ? key : key.replaceAll("-", ":"));
  } catch {
    return undefined;
  }
}

/** A Go-quoted string (%q) for the characters that turn up in these messages. */
export function quote(s: string): string {
  return JSON.stringify(s);
}

function addrError(text: string, what: string, at?: string): PrefixError {
  return new PrefixError(`ParseAddr(${quote(text)}): ${what}${at === undefined ? "" : ` (at ${quote(at)})`}`);
}

function parseIpv4(whole: string, s: string): Uint8Array {
  const out = new Uint8Array(4);
  let value = 0;
  let digits = 0;
  let pos = 0;
  for (let i = 0; i < s.length; i++) {
    const c = s.charCodeAt(i);
    if (c >= 48 && c <= 57) {
      if (digits === 1 && value === 0) throw addrError(whole, "IPv4 field has octet with leading zero");
      value = value * 10 + (c - 48);
      digits++;
      if (value > 255) throw addrError(whole, "IPv4 field has value >255");
    } else if (c === 46) {
      if (i === 0 || i === s.length - 1 || s[i - 1] === ".") {
        throw addrError(whole, "IPv4 field must have at least one digit", s.slice(i));
      }
      if (pos === 3) throw addrError(whole, "IPv4 address too long");
      out[pos++] = value;
      value = 0;
      digits = 0;
    } else {
      throw addrError(whole, "unexpected character", s.slice(i));
    }
  }
  if (pos < 3) throw addrError(whole, "IPv4 address too short");
  out[3] = value;
  return out;
}

function parseIpv6(text: string): Uint8Array {
  if (text.includes("%")) throw addrError(text, "unexpected character", text.slice(text.indexOf("%")));
  const halves = text.split("::");
  if (halves.length > 2) throw addrError(text, "multiple :: in address");
  const groups = (half: string): number[] => {
    if (half === "") return [];
    const out: number[] = [];
    const parts = half.split(":");
    parts.forEach((part, i) => {
      if (part.includes(".")) {
        if (i !== parts.length - 1) throw addrError(text, "unexpected character", part);
        const v4 = parseIpv4(text, part);
        out.push((v4[0]! << 8) | v4[1]!, (v4[2]! << 8) | v4[3]!);
        return;
      }
      if (part === "") throw addrError(text, "each colon-separated field must have at least one digit");
      const bad = part.search(/[^0-9a-fA-F]/);
      if (bad >= 0) throw addrError(text, "unexpected character", part.slice(bad));
      if (part.length > 4) throw addrError(text, "each group must have 4 or less digits");
      out.push(Number.parseInt(part, 16));
    });
    return out;
  };
  const head = groups(halves[0]!);
  const tail = halves.length === 2 ? groups(halves[1]!) : [];
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) {
    throw addrError(text, missing > 0 ? "address string too short" : "trailing garbage after address");
  }
  const all = [...head, ...new Array<number>(halves.length === 2 ? missing : 0).fill(0), ...tail];
  const out = new Uint8Array(16);
  all.forEach((g, i) => {
    out[2 * i] = g >> 8;
    out[2 * i + 1] = g & 0xff;
  });
  return out;
}
