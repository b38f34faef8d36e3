// Maglev tables: what the agent computes (pkg/maglev/maglev.go) and writes into cilium_lb4_maglev and cilium_lb6_maglev,
// and MurmurHash3 x64 128 (pkg/murmur3), from which the permutations come. The datapath's side, a hash of the tuple
// modulo the table size, is in lib/lb.ts.
//
//   backend -> "[10.0.0.1:8080/TCP,State:active]" -> murmur3(seed) = h1, h2 -> offset = h1 % M, skip = h2 % (M-1) + 1
//   row of the permutation: offset, offset + skip, offset + 2 skip ... (mod M)
//   the backends take turns; each takes the next slot of its row that nobody has yet
//
// Nothing here runs on the packet path: a table is built when a service changes.

import { PodpathError } from "../../src/base/errors.js";

/** Table sizes the agent accepts; all are prime. */
export const MAGLEV_TABLE_SIZES: readonly number[] = [
  251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071,
];
/** `bpf-lb-maglev-table-size`. */
export const DEFAULT_MAGLEV_TABLE_SIZE = 16381;
/** `bpf-lb-maglev-hash-seed`: base64 of twelve bytes. The first four seed murmur3, the others are not used since 1.8. */
export const DEFAULT_MAGLEV_HASH_SEED = "JLfvgnHc2kaSUFaI";

/** A backend as the table sees it. */
export interface MaglevBackend {
  readonly id: number;
  /** Canonical text of the address, IPv6 without brackets. */
  readonly address: string;
  readonly port: number;
  readonly protocol: "TCP" | "UDP" | "SCTP";
  /** Clusters other than the own one follow the address, as in `10.0.0.1@3`. */
  readonly clusterId?: number;
  /** Internal scope of a service with two scopes. */
  readonly internal?: boolean;
  /** Share of turns; equal weights behave as no weights. Default 1. */
  readonly weight?: number;
}

const MASK64 = (1n << 64n) - 1n;
const C1 = 0x87c37b91114253d5n;
const C2 = 0x4cf5ad432745937fn;

function rotl64(x: bigint, r: bigint): bigint {
  return ((x << r) | (x >> (64n - r))) & MASK64;
}

function fmix64(k: bigint): bigint {
  k ^= k >> 33n;
  k = (k * 0xff51afd7ed558ccdn) & MASK64;
  k ^= k >> 33n;
  k = (k * 0xc4ceb9fe1a85ec53n) & MASK64;
  return k ^ (k >> 33n);
}

function load64(b: Uint8Array, at: number, n: number): bigint {
  let v = 0n;
  for (let i = n - 1; i >= 0; i--) v = (v << 8n) | BigInt(b[at + i]!);
  return v;
}

/** MurmurHash3 x64 128 of `data`; the two halves. */
export function murmur3Hash128(data: Uint8Array, seed: number): [bigint, bigint] {
  let h1 = BigInt(seed >>> 0);
  let h2 = h1;
  const blocks = data.length >> 4;
  for (let i = 0; i < blocks; i++) {
    const k1 = load64(data, i * 16, 8);
    const k2 = load64(data, i * 16 + 8, 8);
    h1 ^= (rotl64((k1 * C1) & MASK64, 31n) * C2) & MASK64;
    h1 = (rotl64(h1, 27n) + h2) & MASK64;
    h1 = (h1 * 5n + 0x52dce729n) & MASK64;
    h2 ^= (rotl64((k2 * C2) & MASK64, 33n) * C1) & MASK64;
    h2 = (rotl64(h2, 31n) + h1) & MASK64;
    h2 = (h2 * 5n + 0x38495ab5n) & MASK64;
  }
  const tail = blocks * 16;
  const rest = data.length - tail;
  if (rest > 8) h2 ^= (rotl64((load64(data, tail + 8, rest - 8) * C2) & MASK64, 33n) * C1) & MASK64;
  if (rest > 0) h1 ^= (rotl64((load64(data, tail, Math.min(rest, 8)) * C1) & MASK64, 31n) * C2) & MASK64;
  const len = BigInt(data.length);
  h1 ^= len;
  h2 ^= len;
  h1 = (h1 + h2) & MASK64;
  h2 = (h2 + h1) & MASK64;
  h1 = fmix64(h1);
  h2 = fmix64(h2);
  h1 = (h1 + h2) & MASK64;
  h2 = (h2 + h1) & MASK64;
  return [h1, h2];
}

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** The murmur3 seed within a `bpf-lb-maglev-hash-seed`. Throws USAGE if it is not the base64 of twelve bytes. */
export function maglevSeed(hashSeed: string): number {
  // 12 bytes are 16 characters without padding; only the first four bytes matter.
  const bytes: number[] = [];
  let acc = 0;
  let bits = 0;
  for (const ch of hashSeed) {
    const v = BASE64.indexOf(ch);
    if (v < 0) break;
    acc = ((acc << 6) | v) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes.push((acc >> bits) & 0xff);
    }
  }
  if (hashSeed.length !== 16 || bytes.length !== 12) {
    throw new PodpathError("USAGE", `Maglev hash seed "${hashSeed}" is not the base64 of 12 bytes`);
  }
  return (bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]! | 0;
}

/**
 * The text that is hashed and by which backends are sorted, so that every node of a cluster builds the same table
 * although backend ids are a node's own. Its form is frozen in Cilium for the same reason.
 */
export function maglevHashString(b: MaglevBackend): string {
  const cluster = b.clusterId ? `@${b.clusterId}` : "";
  const address = b.address.includes(":") ? `[${b.address}${cluster}]` : `${b.address}${cluster}`;
  return `[${address}:${b.port}/${b.protocol}${b.internal ? "/i" : ""},State:active]`;
}

/**
 * GetLookupTable: the backend ids of a table of `tableSize` slots. Empty without backends. Throws USAGE on a size that
 * the agent would refuse.
 */
export function maglevLookupTable(
  backends: readonly MaglevBackend[],
  tableSize: number = DEFAULT_MAGLEV_TABLE_SIZE,
  hashSeed: string = DEFAULT_MAGLEV_HASH_SEED,
): Int32Array {
  if (!MAGLEV_TABLE_SIZES.includes(tableSize)) {
    throw new PodpathError(
      "USAGE",
      `Maglev table size ${tableSize} is not supported; use one of ${MAGLEV_TABLE_SIZES.join(", ")}`,
    );
  }
  const n = backends.length;
  if (n === 0) return new Int32Array(0);
  const seed = maglevSeed(hashSeed);
  const m = tableSize;
  const sorted = backends
    .map((b) => ({ id: b.id, weight: b.weight ?? 1, hash: maglevHashString(b) }))
    .sort((a, b) => (a.hash < b.hash ? -1 : a.hash > b.hash ? 1 : 0));

  // The agent stores whole permutations; the position within a row is enough.
  const at = new Int32Array(n);
  const skip = new Int32Array(n);
  let weightSum = 0;
  const turns = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    const bytes = new Uint8Array(sorted[i]!.hash.length);
    for (let k = 0; k < bytes.length; k++) bytes[k] = sorted[i]!.hash.charCodeAt(k);
    const [h1, h2] = murmur3Hash128(bytes, seed);
    at[i] = Number(h1 % BigInt(m));
    skip[i] = Number(h2 % BigInt(m - 1)) + 1;
    weightSum += sorted[i]!.weight;
    turns[i] = sorted[i]!.weight / n;
  }
  const weighted = Math.floor(weightSum / n) > 1;

  const entry = new Int32Array(m);
  const taken = new Uint8Array(m);
  for (let slot = 0; slot < m; slot++) {
    let i = slot % n;
    if (weighted) {
      // A backend whose counter is ahead of its weight lets the next one have the turn.
      while ((slot + 1) * sorted[i]!.weight < Math.floor(turns[i]!)) i = (i + 1) % n;
      turns[i]! += weightSum;
    }
    while (taken[at[i]!] === 1) at[i] = (at[i]! + skip[i]!) % m;
    taken[at[i]!] = 1;
    entry[at[i]!] = sorted[i]!.id;
    at[i] = (at[i]! + skip[i]!) % m;
  }
  return entry;
}
