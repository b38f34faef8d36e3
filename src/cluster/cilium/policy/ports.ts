// Ports of rules: names and numbers as users write them, and the blocks that a range falls into
// (pkg/policy/portrange.go).

import { quote } from "./prefix.js";

/** An aligned block of ports: the first `prefixLen` bits of `port` count. */
export interface PortBlock {
  readonly port: number;
  readonly prefixLen: number;
}

/** The last port of a block. */
export function lastPort(b: PortBlock): number {
  return b.port | (0xffff >> b.prefixLen);
}

/** Whether `outer` contains all of `inner`. */
export function blockCovers(outer: PortBlock, inner: PortBlock): boolean {
  return (
    outer.prefixLen <= inner.prefixLen && ((outer.port ^ inner.port) & ~(0xffff >> outer.prefixLen)) === 0
  );
}

/**
 * The smallest set of aligned blocks that make up start..end, in ascending order. All ports when the start is 0 and the
 * end is 0 or 65535; a single port when the end is not above the start.
 */
export function portBlocks(start: number, end: number): PortBlock[] {
  if (start === 0 && (end === 0 || end === 65535)) return [{ port: 0, prefixLen: 0 }];
  if (end <= start) return [{ port: start, prefixLen: 16 }];
  const out: PortBlock[] = [];
  let at = start;
  while (at <= end) {
    // The largest block that begins here is bounded by the alignment of its start and by what is left.
    let size = at === 0 ? 65536 : at & -at;
    while (at + size - 1 > end) size >>= 1;
    out.push({ port: at, prefixLen: 16 - Math.log2(size) });
    at += size;
  }
  return out;
}

/** Whether a port text is a name (RFC 6335 service name): a letter somewhere, so `0x10` is one. */
export function isServiceName(text: string): boolean {
  return (
    text.length >= 1 &&
    text.length <= 15 &&
    /^[A-Za-z0-9-]+$/.test(text) &&
    /[A-Za-z]/.test(text) &&
    !text.startsWith("-") &&
    !text.endsWith("-") &&
    !text.includes("--")
  );
}

/** The number of a port text that is not a name, as Go's ParseUint(text, 0, 16) reads it: `010` is 8. */
export function parsePortNumber(text: string): { port: number } | { error: string } {
  const fail = (what: string): { error: string } => ({
    error: `strconv.ParseUint: parsing ${quote(text)}: ${what}`,
  });
  let digits = text.replaceAll("_", "");
  let base = 10;
  if (/^0[xX]/.test(digits)) [base, digits] = [16, digits.slice(2)];
  else if (/^0[bB]/.test(digits)) [base, digits] = [2, digits.slice(2)];
  else if (/^0[oO]/.test(digits)) [base, digits] = [8, digits.slice(2)];
  else if (digits.length > 1 && digits.startsWith("0")) [base, digits] = [8, digits.slice(1)];
  const legal = { 2: /^[01]+$/, 8: /^[0-7]+$/, 10: /^[0-9]+$/, 16: /^[0-9a-fA-F]+$/ }[base]!;
  if (!legal.test(digits)) return fail("invalid syntax");
  const port = Number.parseInt(digits, base);
  return port > 65535 ? fail("value out of range") : { port };
}
