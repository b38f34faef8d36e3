// Internet checksums over the packet's bytes, under the kernel's names (arch/x86/lib, include/net/checksum.h).
// All values are in host order over big-endian words, as they stand in the header.

import type { Skb } from "../bpf/skb.js";

/** One's-complement sum of `n` bytes at `off`, added to `sum`; not folded to 16 bits (but kept below 2^32). */
export function csum_partial(b: Uint8Array, off: number, n: number, sum: number): number {
  let s = sum;
  const end = off + (n & ~1);
  let i = off;
  for (; i + 7 < end; i += 8) {
    s += (b[i]! << 8) + b[i + 1]! + (b[i + 2]! << 8) + b[i + 3]!;
    s += (b[i + 4]! << 8) + b[i + 5]! + (b[i + 6]! << 8) + b[i + 7]!;
  }
  for (; i < end; i += 2) s += (b[i]! << 8) | b[i + 1]!;
  if ((n & 1) !== 0) s += b[i]! << 8;
  return s;
}

/** Folds and complements. */
export function csum_fold(sum: number): number {
  let s = (sum & 0xffff) + Math.floor(sum / 65536);
  s = (s & 0xffff) + (s >>> 16);
  s = (s & 0xffff) + (s >>> 16);
  return ~s & 0xffff;
}

/** Checksum of the IPv4 header at `n` (`hlen` bytes), its check field included: 0 when right. */
export function ip_fast_csum(skb: Skb, n: number, hlen: number): number {
  const v = skb.view;
  let s = 0;
  for (let i = 0; i < hlen; i += 2) s += v.getUint16(n + i, false);
  s = (s & 0xffff) + (s >>> 16);
  s = (s & 0xffff) + (s >>> 16);
  return ~s & 0xffff;
}

/** ip_send_check: writes the header checksum. */
export function ip_send_check(skb: Skb, n: number): void {
  skb.view.setUint16(n + 10, 0, false);
  skb.view.setUint16(n + 10, ip_fast_csum(skb, n, (skb.bytes[n]! & 15) * 4), false);
}

/** Sum of the pseudo header of the IPv4 packet at `n` with `len` bytes of L4. */
export function csum_pseudo(skb: Skb, n: number, proto: number, len: number): number {
  const v = skb.view;
  return (
    v.getUint16(n + 12, false) +
    v.getUint16(n + 14, false) +
    v.getUint16(n + 16, false) +
    v.getUint16(n + 18, false) +
    proto +
    len
  );
}

/** Checksum of L4 at `off` (`len` bytes) with the pseudo header of the IPv4 header at `n`: 0 when right. */
export function csum_tcpudp(skb: Skb, n: number, proto: number, off: number, len: number): number {
  return csum_fold(csum_partial(skb.bytes, off, len, csum_pseudo(skb, n, proto, len)));
}

/** csum_replace2: the checksum `check` after a 16-bit word changed from `from` to `to`. */
export function csum_replace2(check: number, from: number, to: number): number {
  let s = (~check & 0xffff) + (~from & 0xffff) + to;
  s = (s & 0xffff) + (s >>> 16);
  s = (s & 0xffff) + (s >>> 16);
  return ~s & 0xffff;
}
