// cilium_nodeport_neigh4/6: MAC addresses learned from clients whose request went to a remote backend
// (bpf/lib/neigh.h).
//
//   key  4 or 16 bytes of address;   value  0 8 MAC in the first 6

import type { BpfMap } from "./bpf_map.js";
import { setAddr6 } from "./layout.js";
import { NAT_MAP_SIZE } from "./nat.js";
import type { MapSpec } from "./spec.js";

export const NODEPORT_NEIGH4_SPEC: MapSpec = {
  name: "cilium_nodeport_neigh4",
  type: "lru_hash",
  keySize: 4,
  valueSize: 8,
  maxEntries: NAT_MAP_SIZE,
};
export const NODEPORT_NEIGH6_SPEC: MapSpec = {
  ...NODEPORT_NEIGH4_SPEC,
  name: "cilium_nodeport_neigh6",
  keySize: 16,
};

/** Client address, Be32. */
export class NeighKey4 {
  readonly words = new Int32Array(1);

  set(address: number): this {
    this.words[0] = address;
    return this;
  }
}

/** Client address, 16 bytes. */
export class NeighKey6 {
  readonly words = new Int32Array(4);

  set(view: DataView, off: number): this {
    setAddr6(this.words, 0, view, off);
    return this;
  }
}

/** union macaddr, for writing. */
export class MacValue {
  readonly words = new Int32Array(2);

  /** Six bytes at `off`. */
  set(b: Uint8Array, off = 0): this {
    this.words[0] = b[off] | (b[off + 1] << 8) | (b[off + 2] << 16) | (b[off + 3] << 24);
    this.words[1] = b[off + 4] | (b[off + 5] << 8);
    return this;
  }
}

/** First four bytes of the MAC. */
export function neighMacLo(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords];
}
/** Last two bytes of it. */
export function neighMacHi(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 1];
}
