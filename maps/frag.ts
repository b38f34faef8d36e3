// Ports of the first fragment for the others (bpf/lib/ipv4.h, ipv6.h).
//
//   v4 key  0 4 daddr   4 4 saddr   8 2 id (be)   10 1 proto   11 1 -
//   v6 key  0 4 id (be)   4 1 proto   5 3 -   8 16 saddr   24 16 daddr
//   value   0 2 sport (be)   2 2 dport (be): the first four bytes of the L4 header

import type { BpfMap } from "./bpf_map.js";
import { setAddr6 } from "./layout.js";
import type { MapSpec } from "./spec.js";

export const IPV4_FRAG_SPEC: MapSpec = {
  name: "cilium_ipv4_frag_datagrams",
  type: "lru_hash",
  keySize: 12,
  valueSize: 4,
  maxEntries: 8192,
};
export const IPV6_FRAG_SPEC: MapSpec = { ...IPV4_FRAG_SPEC, name: "cilium_ipv6_frag_datagrams", keySize: 40 };

/** struct ipv4_frag_id; `id` as a Be16. */
export class FragKey4 {
  readonly words = new Int32Array(3);

  set(daddr: number, saddr: number, id: number, proto: number): this {
    const w = this.words;
    w[0] = daddr;
    w[1] = saddr;
    w[2] = (id & 0xffff) | ((proto & 0xff) << 16);
    return this;
  }
}

/** struct ipv6_frag_id; `id` as the four wire bytes loaded little-endian. */
export class FragKey6 {
  readonly words = new Int32Array(10);

  /** `ip6` is the offset of the IPv6 header, whose two addresses are at 8 and 24. */
  set(id: number, proto: number, view: DataView, ip6: number): this {
    const w = this.words;
    w[0] = id;
    w[1] = proto & 0xff;
    setAddr6(w, 2, view, ip6 + 8);
    setAddr6(w, 6, view, ip6 + 24);
    return this;
  }
}

/** struct ipv4_frag_l4ports, for writing: the port bytes of the packet loaded little-endian. */
export class FragValue {
  readonly words = new Int32Array(1);

  set(ports: number): this {
    this.words[0] = ports;
    return this;
  }
}

/** The four port bytes, loaded little-endian: source port low, destination port high. */
export function fragPorts(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords];
}
