// The Internet checksum (RFC 1071, RFC 1624), after include/net/checksum.h, lib/checksum.c and net/core/utils.c.
//
// Two forms of a number, never mixed:
//   - functions with kernel names (`csum_*`, `inet_*`, `ip_*`) keep sums as a little-endian CPU does: words are
//     loaded little-endian, a __wsum is a signed int32, a __sum16 is stored back little-endian. Their results
//     are those of the kernel bit for bit where that can be seen (0x0000 against 0xffff).
//   - functions in camelCase give and take the checksum as a host-order number, like the header accessors.

import { bswap16 } from "./view.js";

/** What l4_csum_replace writes in place of a computed 0 when 0 means "no checksum" (UDP over IPv4). */
export const CSUM_MANGLED_0 = 0xffff;

/** 32-bit sum with end-around carry (csum_add). */
export function csum_add(a: number, b: number): number {
  const s = (a + b) | 0;
  return (s + (((a & b) | ((a | b) & ~s)) >>> 31)) | 0;
}

/** csum_sub: adds the complement. */
export function csum_sub(a: number, b: number): number {
  return csum_add(a, ~b);
}

/** 16-bit sum with end-around carry (csum16_add). */
export function csum16_add(a: number, b: number): number {
  const s = a + b;
  return (s + (s >>> 16)) & 0xffff;
}

/** A __wsum folded to 16 bits, not complemented (csum_from32to16). */
export function csum_from32to16(sum: number): number {
  let s = (sum & 0xffff) + (sum >>> 16);
  s = (s & 0xffff) + (s >>> 16);
  return s;
}

/** A __wsum folded and complemented: the checksum (csum_fold). */
export function csum_fold(sum: number): number {
  return ~csum_from32to16(sum) & 0xffff;
}

/** Sum of `len` bytes; an odd last byte counts as if a zero followed (csum_partial). `seed` is a __wsum. */
export function csum_partial(view: DataView, off: number, len: number, seed: number): number {
  const end = off + len;
  // A frame has fewer than 2^15 words of 16 bits, so the plain sum of a chunk cannot leave 31 bits.
  let lo = 0;
  let sum = seed;
  let i = off;
  while (end - i >= 2) {
    const stop = end - i > 32768 ? i + 32768 : end - ((end - i) & 1);
    lo = 0;
    for (; i + 7 < stop; i += 8) {
      const a = view.getInt32(i, true);
      const b = view.getInt32(i + 4, true);
      lo += (a & 0xffff) + (a >>> 16) + (b & 0xffff) + (b >>> 16);
    }
    for (; i < stop; i += 2) lo += view.getUint16(i, true);
    sum = csum_add(sum, lo);
  }
  if (i < end) sum = csum_add(sum, view.getUint8(i));
  return sum;
}

/** Sum of a range that starts `at` bytes after an even boundary of the summed data (csum_block_add). */
export function csum_block_add(sum: number, part: number, at: number): number {
  return csum_add(sum, (at & 1) !== 0 ? (part << 8) | (part >>> 24) : part);
}

/** Header checksum of `ihl` 32-bit words (ip_fast_csum): 0 when the stored checksum is right. */
export function ip_fast_csum(view: DataView, off: number, ihl: number): number {
  return csum_fold(csum_partial(view, off, ihl * 4, 0));
}

/** Sum over the IPv4 pseudo header; addresses Be32, `len` and `proto` host order (csum_tcpudp_nofold). */
export function csum_tcpudp_nofold(
  saddr: number,
  daddr: number,
  len: number,
  proto: number,
  sum: number,
): number {
  return csum_add(csum_add(csum_add(sum, saddr), daddr), (len + proto) << 8);
}

/** Checksum over pseudo header and `sum` (csum_tcpudp_magic). */
export function csum_tcpudp_magic(
  saddr: number,
  daddr: number,
  len: number,
  proto: number,
  sum: number,
): number {
  return csum_fold(csum_tcpudp_nofold(saddr, daddr, len, proto, sum));
}

/** Sum over the IPv6 pseudo header whose addresses are the 32 bytes at `addrs`; not folded. */
export function csum_ipv6_nofold(
  view: DataView,
  addrs: number,
  len: number,
  proto: number,
  sum: number,
): number {
  let s = csum_partial(view, addrs, 32, sum);
  s = csum_add(s, ((len & 0xff) << 24) | ((len & 0xff00) << 8) | ((len >>> 8) & 0xff00) | (len >>> 24));
  return csum_add(s, proto << 24);
}

/** Checksum over the IPv6 pseudo header and `sum` (csum_ipv6_magic). */
export function csum_ipv6_magic(
  view: DataView,
  addrs: number,
  len: number,
  proto: number,
  sum: number,
): number {
  return csum_fold(csum_ipv6_nofold(view, addrs, len, proto, sum));
}

/** The checksum field at `off` follows a change of a 16-bit value, both Be16 (csum_replace2). */
export function csum_replace2(view: DataView, off: number, from: number, to: number): void {
  const sum = ~view.getUint16(off, true) & 0xffff;
  view.setUint16(off, ~csum16_add(csum16_add(sum, ~from & 0xffff), to & 0xffff), true);
}

/** The checksum field at `off` follows a change of a 32-bit value, both Be32 (csum_replace4). */
export function csum_replace4(view: DataView, off: number, from: number, to: number): void {
  const sum = csum_sub(~view.getUint16(off, true), from);
  view.setUint16(off, csum_fold(csum_add(sum, to)), true);
}

/** The checksum field at `off` follows a difference made by `csum_diff` (inet_proto_csum_replace_by_diff). */
export function csum_replace_by_diff(view: DataView, off: number, diff: number): void {
  view.setUint16(off, csum_fold(csum_add(diff, ~view.getUint16(off, true))), true);
}

/** The checksum field at `off` follows a change of 16 bytes (inet_proto_csum_replace16). */
export function csum_replace16(
  view: DataView,
  off: number,
  fromView: DataView,
  from: number,
  toView: DataView,
  to: number,
): void {
  csum_replace_by_diff(view, off, csum_diff(fromView, from, 16, toView, to, 16, 0));
}

/** bpf_csum_diff: difference that turns a sum over `from` into one over `to`; either length may be 0. */
export function csum_diff(
  fromView: DataView,
  from: number,
  fromLen: number,
  toView: DataView,
  to: number,
  toLen: number,
  seed: number,
): number {
  let ret: number;
  if (fromLen > 0 && toLen > 0) {
    ret = csum_sub(csum_partial(toView, to, toLen, seed), csum_partial(fromView, from, fromLen, 0));
  } else if (toLen > 0) {
    ret = csum_partial(toView, to, toLen, seed);
  } else if (fromLen > 0) {
    ret = ~csum_partial(fromView, from, fromLen, ~seed);
  } else {
    ret = seed;
  }
  return csum_from32to16(ret);
}

/** `csum_diff(&from, 4, &to, 4, seed)` for two Be32 words. */
export function csum_diff4(from: number, to: number, seed: number): number {
  return csum_from32to16(csum_sub(csum_add(seed, to), from));
}

/** bpf_l4_csum_replace: the check field is untouched when it is 0 and this flag is set; a result of 0 becomes 0xffff. */
export const BPF_F_MARK_MANGLED_0 = 1 << 5;
/** bpf_l4_csum_replace: a value of the pseudo header changed. Of no effect here: no checksum is left to hardware. */
export const BPF_F_PSEUDO_HDR = 1 << 4;
/** bpf_l4_csum_replace: with BPF_F_MARK_MANGLED_0, a zero checksum is computed on instead of kept. */
export const BPF_F_MARK_ENFORCE = 1 << 6;
/** Mask of the size (0, 2 or 4) in the flags of l3_csum_replace and l4_csum_replace. */
export const BPF_F_HDR_FIELD_MASK = 0xf;

/** bpf_l3_csum_replace on the field at `off`; false for a size that the kernel answers with -EINVAL. */
export function l3_csum_replace(
  view: DataView,
  off: number,
  from: number,
  to: number,
  flags: number,
): boolean {
  switch (flags & BPF_F_HDR_FIELD_MASK) {
    case 0:
      if (from !== 0) return false;
      csum_replace_by_diff(view, off, to);
      return true;
    case 2:
      csum_replace2(view, off, from, to);
      return true;
    case 4:
      csum_replace4(view, off, from, to);
      return true;
    default:
      return false;
  }
}

/** bpf_l4_csum_replace on the field at `off`; false for a size that the kernel answers with -EINVAL. */
export function l4_csum_replace(
  view: DataView,
  off: number,
  from: number,
  to: number,
  flags: number,
): boolean {
  const mangled0 = (flags & BPF_F_MARK_MANGLED_0) !== 0;
  if (mangled0 && (flags & BPF_F_MARK_ENFORCE) === 0 && view.getUint16(off, true) === 0) return true;
  switch (flags & BPF_F_HDR_FIELD_MASK) {
    case 0:
      if (from !== 0) return false;
      csum_replace_by_diff(view, off, to);
      break;
    case 2:
      // inet_proto_csum_replace2 widens both to 32 bits.
      csum_replace4(view, off, from & 0xffff, to & 0xffff);
      break;
    case 4:
      csum_replace4(view, off, from, to);
      break;
    default:
      return false;
  }
  if (mangled0 && view.getUint16(off, true) === 0) view.setUint16(off, CSUM_MANGLED_0, true);
  return true;
}

/** TTL minus one with the checksum carried along, as ip_decrease_ttl does it; gives the new TTL. */
export function ip_decrease_ttl(view: DataView, off: number): number {
  // htons(0x0100) is 1 on a little-endian CPU.
  const check = view.getUint16(off + 10, true) + 1;
  view.setUint16(off + 10, check + (check >= 0xffff ? 1 : 0), true);
  const ttl = (view.getUint8(off + 8) - 1) & 0xff;
  view.setUint8(off + 8, ttl);
  return ttl;
}

// ---- whole checksums as host-order numbers ----------------------------------------------------------------------

/** Checksum of `len` bytes (ICMP, IGMP, GRE ...), host order; 0 if the bytes hold a right checksum. */
export function checksum(view: DataView, off: number, len: number): number {
  return bswap16(csum_fold(csum_partial(view, off, len, 0)));
}

/**
 * Checksum of the `len` bytes of a TCP, UDP, ICMPv6 ... message at `l4`, pseudo header of the IP header at `l3`
 * (version 4 or 6) included. Host order; 0 if the bytes hold a right checksum. `proto` is the transport's number.
 */
export function l4Checksum(view: DataView, l3: number, l4: number, len: number, proto: number): number {
  const sum = csum_partial(view, l4, len, 0);
  if (view.getUint8(l3) >> 4 === 6) return bswap16(csum_ipv6_magic(view, l3 + 8, len, proto, sum));
  return bswap16(
    csum_tcpudp_magic(view.getInt32(l3 + 12, true), view.getInt32(l3 + 16, true), len, proto, sum),
  );
}

// CRC32c (Castagnoli), reflected: the checksum of SCTP (RFC 9260 appendix A).
const CRC32C = /* @__PURE__ */ (() => {
  const t = new Int32Array(256);
  for (let i = 0; i < 256; i++) {
    let c = i;
    for (let k = 0; k < 8; k++) c = (c & 1) !== 0 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
    t[i] = c;
  }
  return t;
})();

/** CRC32c of `len` bytes with the four bytes at `skip` taken as zero (-1: none); SCTP stores it little-endian. */
export function crc32c(view: DataView, off: number, len: number, skip: number): number {
  let c = -1;
  for (let i = off; i < off + len; i++) {
    const b = i >= skip && i < skip + 4 && skip >= 0 ? 0 : view.getUint8(i);
    c = CRC32C[(c ^ b) & 0xff]! ^ (c >>> 8);
  }
  return ~c;
}
