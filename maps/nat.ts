// SNAT: cilium_snat_v4_external and v6, retry histogram, excluded destinations (bpf/lib/nat.h).
//
//   key    as a conntrack tuple, but in packet order; flags 0 (OUT) = forward entry, 1 (IN) = reverse entry
//   value  0 8 created (mono units)   8 8 needs_ct   16 16 -   32 4 to_addr   36 2 to_port (be)   38 2 -
//   v6     0 8 created                8 8 needs_ct   16 16 -   32 16 to_addr  48 2 to_port        50 6 -
//
// Forward and reverse entry are two elements that LRU may evict one without the other; the program makes the
// missing half again on the next packet of the surviving one.

import type { BpfMap } from "./bpf_map.js";
import { CT4_KEY_SIZE, CT6_KEY_SIZE } from "./ct.js";
import { setAddr6 } from "./layout.js";
import type { MapSpec } from "./spec.js";

export const NAT_MAP_SIZE = 524288;
/** Attempts at a free port beyond the first. */
export const SNAT_COLLISION_RETRIES = 32;
/** From this many on the NAT fill-up signal is raised. */
export const SNAT_SIGNAL_THRES = 16;

export const SNAT_V4_SPEC: MapSpec = {
  name: "cilium_snat_v4_external",
  type: "lru_hash",
  keySize: CT4_KEY_SIZE,
  valueSize: 40,
  maxEntries: NAT_MAP_SIZE,
};
export const SNAT_V6_SPEC: MapSpec = {
  ...SNAT_V4_SPEC,
  name: "cilium_snat_v6_external",
  keySize: CT6_KEY_SIZE,
  valueSize: 56,
};
/** Histogram of port allocations by number of retries. */
export const SNAT_V4_ALLOC_RETRIES_SPEC: MapSpec = {
  name: "cilium_snat_v4_alloc_retries",
  type: "percpu_array",
  keySize: 4,
  valueSize: 4,
  maxEntries: SNAT_COLLISION_RETRIES + 1,
  counterSize: 4,
};
export const SNAT_V6_ALLOC_RETRIES_SPEC: MapSpec = {
  ...SNAT_V4_ALLOC_RETRIES_SPEC,
  name: "cilium_snat_v6_alloc_retries",
};
/** Destinations that ip-masq-agent excepts: key prefixlen + address, value 1 byte. */
export const IPMASQ_V4_SPEC: MapSpec = {
  name: "cilium_ipmasq_v4",
  type: "lpm_trie",
  keySize: 8,
  valueSize: 1,
  maxEntries: 16384,
};
export const IPMASQ_V6_SPEC: MapSpec = { ...IPMASQ_V4_SPEC, name: "cilium_ipmasq_v6", keySize: 20 };

/** u64, low word. */
export const NAT_CREATED_W = 0;
export const NAT_NEEDS_CT_W = 2;
/** One word (IPv4) or four. */
export const NAT_TO_ADDR_W = 8;
export const NAT4_TO_PORT_W = 9;
export const NAT6_TO_PORT_W = 12;

/** struct ipv4_nat_entry, for writing. */
export class NatEntry4 {
  readonly words = new Int32Array(10);

  /** `created` in mono units; address Be32, port Be16. */
  set(created: number, needsCt: number, toAddr: number, toPort: number): this {
    const w = this.words;
    w[NAT_CREATED_W] = created;
    w[NAT_NEEDS_CT_W] = needsCt;
    w[NAT_TO_ADDR_W] = toAddr;
    w[NAT4_TO_PORT_W] = toPort & 0xffff;
    return this;
  }
}

/** struct ipv6_nat_entry, for writing; the address is words 8..11. */
export class NatEntry6 {
  readonly words = new Int32Array(14);

  set(created: number, needsCt: number, toPort: number): this {
    const w = this.words;
    w[NAT_CREATED_W] = created;
    w[NAT_NEEDS_CT_W] = needsCt;
    w[NAT6_TO_PORT_W] = toPort & 0xffff;
    return this;
  }
  /** The 16 bytes of the translated address at `off`. */
  setToAddr(view: DataView, off: number): this {
    setAddr6(this.words, NAT_TO_ADDR_W, view, off);
    return this;
  }
}

/** When the mapping was made or last confirmed, mono units. */
export function natCreated(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + NAT_CREATED_W];
}
/** Confirms the mapping. */
export function setNatCreated(map: BpfMap, slot: number, v: number): void {
  map.words[slot * map.valueWords + NAT_CREATED_W] = v;
}
/** 1 for connections of the node itself, which have a conntrack entry only for this. */
export function natNeedsCt(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + NAT_NEEDS_CT_W];
}
/** Be32. */
export function nat4ToAddr(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + NAT_TO_ADDR_W];
}
/** Be16. */
export function nat4ToPort(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + NAT4_TO_PORT_W] & 0xffff;
}
/** Word of the first address word, for copyAddr6 and putAddr6. */
export function nat6ToAddrWord(map: BpfMap, slot: number): number {
  return slot * map.valueWords + NAT_TO_ADDR_W;
}
/** Be16. */
export function nat6ToPort(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + NAT6_TO_PORT_W] & 0xffff;
}

/** Key of cilium_ipmasq_v4. */
export class IpmasqKey4 {
  readonly words = new Int32Array(2);

  set(address: number, bits = 32): this {
    this.words[0] = bits;
    this.words[1] = address;
    return this;
  }
}

/** Key of cilium_ipmasq_v6. */
export class IpmasqKey6 {
  readonly words = new Int32Array(5);

  set(view: DataView, off: number, bits = 128): this {
    this.words[0] = bits;
    setAddr6(this.words, 1, view, off);
    return this;
  }
}
