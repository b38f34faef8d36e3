// cilium_l2_responder_v4/v6: addresses that this node announces on a device (bpf/lib/l2_responder.h).
//
//   v4 key  0 4 ip   4 4 ifindex;   v6 key  0 16 ip   16 4 ifindex   20 4 -;   value  0 8 responses_sent

import type { BpfMap } from "./bpf_map.js";
import { setAddr6 } from "./layout.js";
import { addU64 } from "./percpu_map.js";
import type { MapSpec } from "./spec.js";

export const L2_RESPONDER_V4_SPEC: MapSpec = {
  name: "cilium_l2_responder_v4",
  type: "hash",
  keySize: 8,
  valueSize: 8,
  maxEntries: 4096,
};
export const L2_RESPONDER_V6_SPEC: MapSpec = {
  ...L2_RESPONDER_V4_SPEC,
  name: "cilium_l2_responder_v6",
  keySize: 24,
};

/** struct l2_responder_v4_key */
export class L2ResponderKey4 {
  readonly words = new Int32Array(2);

  set(ip: number, ifindex: number): this {
    this.words[0] = ip;
    this.words[1] = ifindex;
    return this;
  }
}

/** struct l2_responder_v6_key */
export class L2ResponderKey6 {
  readonly words = new Int32Array(6);

  set(view: DataView, off: number, ifindex: number): this {
    setAddr6(this.words, 0, view, off);
    this.words[4] = ifindex;
    return this;
  }
}

/** Counts one answer sent. */
export function l2ResponderAnswered(map: BpfMap, slot: number): void {
  addU64(map.words, slot * map.valueWords, 1);
}
