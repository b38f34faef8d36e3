// cilium_node_map_v2: node id by address (bpf/lib/node.h), used by authentication and IPsec.
//
//   key  0 3 -   3 1 family   4 16 address (v4 in the first 4);   value  0 2 id   2 1 spi   3 1 -

import type { BpfMap } from "./bpf_map.js";
import { ENDPOINT_KEY_IPV4, ENDPOINT_KEY_IPV6, setAddr6 } from "./layout.js";
import type { MapSpec } from "./spec.js";

export const NODE_SPEC: MapSpec = {
  name: "cilium_node_map_v2",
  type: "hash",
  keySize: 20,
  valueSize: 4,
  maxEntries: 16384,
};

/** struct node_key */
export class NodeKey {
  readonly words = new Int32Array(5);

  setIpv4(address: number): this {
    const w = this.words;
    w[0] = ENDPOINT_KEY_IPV4 << 24;
    w[1] = address;
    w[2] = 0;
    w[3] = 0;
    w[4] = 0;
    return this;
  }
  /** The 16 address bytes at `off`. */
  setIpv6(view: DataView, off: number): this {
    this.words[0] = ENDPOINT_KEY_IPV6 << 24;
    setAddr6(this.words, 1, view, off);
    return this;
  }
}

/** struct node_value, for writing. */
export class NodeValue {
  readonly words = new Int32Array(1);

  set(id: number, spi = 0): this {
    this.words[0] = (id & 0xffff) | ((spi & 0xff) << 16);
    return this;
  }
}

/** Node id. */
export function nodeId(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords] & 0xffff;
}
/** IPsec key of the node. */
export function nodeSpi(map: BpfMap, slot: number): number {
  return (map.words[slot * map.valueWords] >>> 16) & 0xff;
}
