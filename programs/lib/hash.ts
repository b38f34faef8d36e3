// Tuple hashes of the datapath, after bpf/lib/hash.h and jhash.h (Bob Jenkins' lookup3). The destination address is
// left out on purpose: a client then meets the same backend behind each of a service's addresses.

import type { CtTuple4, CtTuple6 } from "../../maps/ct.js";

const JHASH_INITVAL = 0xdeadbeef | 0;

function rol(x: number, k: number): number {
  return (x << k) | (x >>> (32 - k));
}

// The three words of the hash in progress; one packet at a time.
let a = 0;
let b = 0;
let c = 0;

/** __jhash_mix: reversible, for words that are followed by others. */
function mix(): void {
  a = (a - c) ^ rol(c, 4);
  c = (c + b) | 0;
  b = (b - a) ^ rol(a, 6);
  a = (a + c) | 0;
  c = (c - b) ^ rol(b, 8);
  b = (b + a) | 0;
  a = (a - c) ^ rol(c, 16);
  c = (c + b) | 0;
  b = (b - a) ^ rol(a, 19);
  a = (a + c) | 0;
  c = (c - b) ^ rol(b, 4);
  b = (b + a) | 0;
}

/** __jhash_final: mixes the last words into c. */
function final(): void {
  c = ((c ^ b) - rol(b, 14)) | 0;
  a = ((a ^ c) - rol(c, 11)) | 0;
  b = ((b ^ a) - rol(a, 25)) | 0;
  c = ((c ^ b) - rol(b, 16)) | 0;
  a = ((a ^ c) - rol(c, 4)) | 0;
  b = ((b ^ a) - rol(a, 14)) | 0;
  c = ((c ^ b) - rol(b, 24)) | 0;
}

/** __hash_from_tuple_v4: the ports are given apart, as a caller may hide the source port (affinity). Be16; int32. */
export function __hash_from_tuple_v4(tuple: CtTuple4, sport: number, dport: number, seed: number): number {
  // jhash_3words
  const init = (seed + JHASH_INITVAL + 12) | 0;
  a = (tuple.saddr + init) | 0;
  b = (((dport << 16) | sport) + init) | 0;
  c = (tuple.nexthdr + init) | 0;
  final();
  return c;
}

/** __hash_from_tuple_v6. */
export function __hash_from_tuple_v6(tuple: CtTuple6, sport: number, dport: number, seed: number): number {
  const w = tuple.words;
  a = w[4]!;
  b = w[5]!;
  c = w[6]!;
  mix();
  a = (a + w[7]!) | 0;
  b = (b + ((dport << 16) | sport)) | 0;
  c = (c + tuple.nexthdr) | 0;
  mix();
  a = (a + seed) | 0;
  final();
  return c;
}
