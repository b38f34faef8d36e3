// cilium_auth_map: pairs of identities that have authenticated each other (bpf/lib/auth.h).
//
//   key    0 4 local_sec_label   4 4 remote_sec_label   8 2 remote_node_id (0 = local)   10 1 auth_type   11 1 -
//   value  0 8 expiration, in 512 ns units of Unix time

import type { BpfMap } from "./bpf_map.js";
import type { MapSpec } from "./spec.js";

export const AUTH_SPEC: MapSpec = {
  name: "cilium_auth_map",
  type: "hash",
  keySize: 12,
  valueSize: 8,
  maxEntries: 524288,
};

export const AUTH_TYPE_DISABLED = 0;
export const AUTH_TYPE_SPIRE = 1;
export const AUTH_TYPE_TEST_ALWAYS_FAIL = 2;

/** struct auth_key */
export class AuthKey {
  readonly words = new Int32Array(3);

  set(localSecLabel: number, remoteSecLabel: number, remoteNodeId: number, authType: number): this {
    const w = this.words;
    w[0] = localSecLabel;
    w[1] = remoteSecLabel;
    w[2] = (remoteNodeId & 0xffff) | ((authType & 0xff) << 16);
    return this;
  }
}

/** Expiration in 512 ns units since 1970, as a double (exact: 2^53 units are 146,000 years). */
export function authExpiration(map: BpfMap, slot: number): number {
  const at = slot * map.valueWords;
  return (map.words[at] >>> 0) + (map.words[at + 1] >>> 0) * 0x1_0000_0000;
}
