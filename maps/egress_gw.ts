// cilium_egress_gw_policy_v4/v6: which source, to which destination, leaves by which gateway
// (bpf/lib/egress_gateway.h).
//
//   v4 key  0 4 prefixlen (32 + destination bits)   4 4 saddr   8 4 daddr;   value  0 4 egress_ip   4 4 gateway_ip
//   v6 key  0 4 prefixlen (128 + bits)   4 16 saddr   20 16 daddr
//      value  0 16 egress_ip   16 4 gateway_ip (v4)   20 12 -   32 4 ifindex   36 4 -

import type { BpfMap } from "./bpf_map.js";
import { setAddr6 } from "./layout.js";
import type { MapSpec } from "./spec.js";

/** Gateway 0.0.0.0: none found, the packet is dropped. */
export const EGRESS_GATEWAY_NO_GATEWAY = 0;
/** Gateway 0.0.0.1 (Be32): the destination is excluded. */
export const EGRESS_GATEWAY_EXCLUDED_CIDR = 0x01000000;
/** Egress address 0.0.0.0: none, the packet is dropped. */
export const EGRESS_GATEWAY_NO_EGRESS_IP = 0;

export const EGRESS_GW_POLICY_V4_SPEC: MapSpec = {
  name: "cilium_egress_gw_policy_v4",
  type: "lpm_trie",
  keySize: 12,
  valueSize: 8,
  maxEntries: 16384,
};
export const EGRESS_GW_POLICY_V6_SPEC: MapSpec = {
  name: "cilium_egress_gw_policy_v6",
  type: "lpm_trie",
  keySize: 36,
  valueSize: 40,
  maxEntries: 16384,
};

/** struct egress_gw_policy_key */
export class EgressGwKey4 {
  readonly words = new Int32Array(3);

  set(saddr: number, daddr: number, bits = 32): this {
    this.words[0] = 32 + bits;
    this.words[1] = saddr;
    this.words[2] = daddr;
    return this;
  }
}

/** struct egress_gw_policy_key6 */
export class EgressGwKey6 {
  readonly words = new Int32Array(9);

  /** Addresses at two offsets of a view. */
  set(view: DataView, saddr: number, daddr: number, bits = 128): this {
    this.words[0] = 128 + bits;
    setAddr6(this.words, 1, view, saddr);
    setAddr6(this.words, 5, view, daddr);
    return this;
  }
}

/** struct egress_gw_policy_entry, for writing. */
export class EgressGwValue4 {
  readonly words = new Int32Array(2);

  set(egressIp: number, gatewayIp: number): this {
    this.words[0] = egressIp;
    this.words[1] = gatewayIp;
    return this;
  }
}

/** struct egress_gw_policy_entry6, for writing. */
export class EgressGwValue6 {
  readonly words = new Int32Array(10);

  set(view: DataView, egressIp: number, gatewayIp: number, ifindex = 0): this {
    setAddr6(this.words, 0, view, egressIp);
    this.words[4] = gatewayIp;
    this.words[8] = ifindex;
    return this;
  }
}

export function egressGwEgressIp(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords];
}
export function egressGwGatewayIp(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 1];
}
/** Word of the first word of the egress address. */
export function egressGw6EgressIpWord(map: BpfMap, slot: number): number {
  return slot * map.valueWords;
}
export function egressGw6GatewayIp(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 4];
}
export function egressGw6Ifindex(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 8];
}
