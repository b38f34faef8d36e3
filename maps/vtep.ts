// cilium_vtep_map: external VXLAN endpoints (bpf/lib/vtep.h), and the maps of the less common routing modes.
//
//   cilium_vtep_map       key 0 4 vtep_ip (masked);   value 0 8 vtep_mac   8 4 tunnel_endpoint   12 4 -
//   cilium_subnet_map     LPM: prefix -> 0 4 subnet id (hybrid routing mode)
//   cilium_encrypt_state  array of one: 0 1 key id (IPsec)

import type { BpfMap } from "./bpf_map.js";
import type { MapSpec } from "./spec.js";

export const VTEP_SPEC: MapSpec = {
  name: "cilium_vtep_map",
  type: "hash",
  keySize: 4,
  valueSize: 16,
  maxEntries: 8,
};

/** Key as of the ipcache: prefixlen, cluster id, family, address. */
export const SUBNET_SPEC: MapSpec = {
  name: "cilium_subnet_map",
  type: "lpm_trie",
  keySize: 24,
  valueSize: 4,
  maxEntries: 1024,
};

export const ENCRYPT_STATE_SPEC: MapSpec = {
  name: "cilium_encrypt_state",
  type: "array",
  keySize: 4,
  valueSize: 1,
  maxEntries: 1,
};

/** struct vtep_value, for writing. */
export class VtepValue {
  readonly words = new Int32Array(4);

  set(mac: Uint8Array, tunnelEndpoint: number): this {
    this.words[0] = mac[0] | (mac[1] << 8) | (mac[2] << 16) | (mac[3] << 24);
    this.words[1] = mac[4] | (mac[5] << 8);
    this.words[2] = tunnelEndpoint;
    return this;
  }
}

export function vtepTunnelEndpoint(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 2];
}
