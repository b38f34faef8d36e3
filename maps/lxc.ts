// cilium_lxc: the endpoints of this node by address (bpf/lib/eps.h, pkg/maps/lxcmap).
//
//   key    0 16 address (IPv4 in the first 4)   16 1 family   17 1 key   18 2 cluster_id
//   value  0 4 ifindex   4 2 -   6 2 lxc_id   8 4 flags   12 4 -   16 8 mac   24 8 node_mac
//          32 4 sec_id   36 4 parent_ifindex   40 8 -
//
// Addresses of the node itself have an entry that is zero except for flags = ENDPOINT_F_HOST.

import type { BpfMap } from "./bpf_map.js";
import { ENDPOINT_KEY_IPV4, ENDPOINT_KEY_IPV6, setAddr6 } from "./layout.js";
import type { MapSpec } from "./spec.js";

/** An address of the node itself. */
export const ENDPOINT_F_HOST = 1;
/** Host namespace, but an endpoint of its own. */
export const ENDPOINT_F_ATHOSTNS = 2;
/** Not masqueraded. */
export const ENDPOINT_F_NO_SNAT_V4 = 4;
export const ENDPOINT_F_NO_SNAT_V6 = 8;
/** "Host delivery": what of the flags sends a packet up the stack. */
export const ENDPOINT_MASK_HOST_DELIVERY = ENDPOINT_F_HOST | ENDPOINT_F_ATHOSTNS;
/** What of the flags excepts a source from masquerading. */
export const ENDPOINT_MASK_SKIP_MASQ_V4 = ENDPOINT_F_HOST | ENDPOINT_F_NO_SNAT_V4;
export const ENDPOINT_MASK_SKIP_MASQ_V6 = ENDPOINT_F_HOST | ENDPOINT_F_NO_SNAT_V6;

export const LXC_SPEC: MapSpec = {
  name: "cilium_lxc",
  type: "hash",
  keySize: 20,
  valueSize: 48,
  maxEntries: 65535,
};

/** struct endpoint_key */
export class LxcKey {
  readonly words = new Int32Array(5);

  /** Key of an IPv4 endpoint; `addr` is a Be32. */
  setIpv4(addr: number): this {
    const w = this.words;
    w[0] = addr;
    w[1] = 0;
    w[2] = 0;
    w[3] = 0;
    w[4] = ENDPOINT_KEY_IPV4;
    return this;
  }

  /** Key of an IPv6 endpoint, from the 16 bytes at `off`. */
  setIpv6(view: DataView, off: number): this {
    setAddr6(this.words, 0, view, off);
    this.words[4] = ENDPOINT_KEY_IPV6;
    return this;
  }

  /** Be32, for IPv4 keys. */
  get ip4(): number {
    return this.words[0];
  }
  /** ENDPOINT_KEY_IPV4 or ENDPOINT_KEY_IPV6. */
  get family(): number {
    return this.words[4] & 0xff;
  }
  set family(v: number) {
    this.words[4] = (this.words[4] & ~0xff) | v;
  }
  /** Only with overlapping pod CIDRs, otherwise 0. */
  get cluster_id(): number {
    return this.words[4] >>> 16;
  }
  set cluster_id(v: number) {
    this.words[4] = (this.words[4] & 0xffff) | (v << 16);
  }
}

/** struct endpoint_info, for writing. */
export class LxcValue {
  readonly words = new Int32Array(12);

  /** Host-side device. */
  set ifindex(v: number) {
    this.words[0] = v;
  }
  /** Endpoint id; 0 in entries of the node. */
  set lxc_id(v: number) {
    this.words[1] = v << 16;
  }
  /** ENDPOINT_F_*. */
  set flags(v: number) {
    this.words[2] = v;
  }
  /** Six bytes at `off` of `bytes`. */
  setMac(bytes: Uint8Array, off = 0): void {
    putMac(this.words, 4, bytes, off);
  }
  /** MAC of the host-side device, which the pod uses as its gateway. */
  setNodeMac(bytes: Uint8Array, off = 0): void {
    putMac(this.words, 6, bytes, off);
  }
  /** Security identity. */
  set sec_id(v: number) {
    this.words[8] = v;
  }
  /** 0 unless an ENI carries the endpoint. */
  set parent_ifindex(v: number) {
    this.words[9] = v;
  }
}

function putMac(words: Int32Array, at: number, b: Uint8Array, o: number): void {
  words[at] = b[o] | (b[o + 1] << 8) | (b[o + 2] << 16) | (b[o + 3] << 24);
  words[at + 1] = b[o + 4] | (b[o + 5] << 8);
}

/** Byte offsets of the MACs in a value: view of the map at slot * valueStride + LXC_MAC. */
export const LXC_MAC = 16;
export const LXC_NODE_MAC = 24;

/** Host-side device of the endpoint. */
export function lxcIfindex(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords];
}
/** Endpoint id. */
export function lxcId(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 1] >>> 16;
}
/** ENDPOINT_F_*. */
export function lxcFlags(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 2];
}
/** First four bytes of the MAC of the pod's device, as a little-endian word. */
export function lxcMacLo(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 4];
}
/** Last two bytes of it. */
export function lxcMacHi(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 5];
}
/** The same of the host-side device. */
export function lxcNodeMacLo(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 6];
}
/** Last two bytes of it. */
export function lxcNodeMacHi(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 7];
}
/** Security identity. */
export function lxcSecId(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 8];
}
/** ENI or parent device that its traffic leaves by; 0 = by the routes. */
export function lxcParentIfindex(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 9];
}
