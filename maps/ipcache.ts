// cilium_ipcache_v2: address to identity and tunnel endpoint (struct remote_endpoint_info of bpf/lib/eps.h).
//
//   key    0 4 prefixlen (32 static bits + address bits)   4 2 cluster_id   6 1 -   7 1 family   8 16 address
//   value  0 4 sec_identity   4 16 tunnel_endpoint (v4 in the first 4)   20 2 -   22 1 key   23 1 flags

import type { BpfMap } from "./bpf_map.js";
import { ENDPOINT_KEY_IPV4, ENDPOINT_KEY_IPV6, setAddr6 } from "./layout.js";
import type { MapSpec } from "./spec.js";

export const IPCACHE_SPEC: MapSpec = {
  name: "cilium_ipcache_v2",
  type: "lpm_trie",
  keySize: 24,
  valueSize: 24,
  maxEntries: 512000,
};

/** Bits in front of the address that every prefix covers: cluster id, padding, family. */
export const IPCACHE_STATIC_PREFIX = 32;
/** Prefix lengths of a look-up. */
export const IPCACHE_PREFIX_V4 = IPCACHE_STATIC_PREFIX + 32;
export const IPCACHE_PREFIX_V6 = IPCACHE_STATIC_PREFIX + 128;

/** Never encapsulate to this address. */
export const IPCACHE_F_SKIP_TUNNEL = 1;
/** tunnel_endpoint is set: the address lives on another node. */
export const IPCACHE_F_HAS_TUNNEL_EP = 2;
/** tunnel_endpoint is an IPv6 address. */
export const IPCACHE_F_IPV6_TUNNEL_EP = 4;
/** Belongs to another cluster of the mesh. */
export const IPCACHE_F_REMOTE_CLUSTER = 8;

/** struct ipcache_key */
export class IpcacheKey {
  readonly words = new Int32Array(6);

  /** Key for the look-up of an address (Be32), or of a prefix of `bits` bits. */
  setIpv4(addr: number, bits = 32, clusterId = 0): this {
    const w = this.words;
    w[0] = IPCACHE_STATIC_PREFIX + bits;
    w[1] = clusterId | (ENDPOINT_KEY_IPV4 << 24);
    w[2] = addr;
    w[3] = 0;
    w[4] = 0;
    w[5] = 0;
    return this;
  }

  /** The same for 16 address bytes at `off`. */
  setIpv6(view: DataView, off: number, bits = 128, clusterId = 0): this {
    this.words[0] = IPCACHE_STATIC_PREFIX + bits;
    this.words[1] = clusterId | (ENDPOINT_KEY_IPV6 << 24);
    setAddr6(this.words, 2, view, off);
    return this;
  }
}

/** struct remote_endpoint_info, for writing. */
export class IpcacheValue {
  readonly words = new Int32Array(6);

  /** Identity of whatever has the address. */
  set sec_identity(v: number) {
    this.words[0] = v;
  }
  /** Be32; the flag HAS_TUNNEL_EP is the caller's business. */
  set tunnel_endpoint4(v: number) {
    this.words[1] = v;
  }
  /** The flag IPV6_TUNNEL_EP goes with it. */
  setTunnelEndpoint6(view: DataView, off: number): void {
    setAddr6(this.words, 1, view, off);
  }
  /** Encryption key: SPI, 255 for WireGuard, 0 = none. */
  set key(v: number) {
    this.words[5] = (this.words[5] & ~0xff0000) | ((v & 0xff) << 16);
  }
  /** IPCACHE_F_*. */
  set flags(v: number) {
    this.words[5] = (this.words[5] & 0xffffff) | (v << 24);
  }
}

/** Identity. */
export function ipcacheSecIdentity(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords];
}
/** Be32. */
export function ipcacheTunnelEndpoint4(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 1];
}
/** Byte offset of the tunnel endpoint in a value. */
export const IPCACHE_TUNNEL_ENDPOINT = 4;
export const IPCACHE_TUNNEL_ENDPOINT_W = 1;
/** Encryption key, 0 = none. */
export function ipcacheKey(map: BpfMap, slot: number): number {
  return (map.words[slot * map.valueWords + 5] >>> 16) & 0xff;
}
/** IPCACHE_F_*. */
export function ipcacheFlags(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 5] >>> 24;
}
