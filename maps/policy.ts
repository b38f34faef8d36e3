// The policy map of an endpoint, cilium_policy_v2_NNNNN (bpf/lib/policy.h), and the prog arrays of policy programs.
//
//   key    0 4 prefixlen   4 4 sec_label   8 1 egress (bit 0)   9 1 protocol   10 2 dport (be)
//   value  0 2 proxy_port (be)   2 1 bit 0 deny, bits 3..7 lpm_prefix_length
//          3 1 bits 0..6 auth_type, bit 7 has_explicit_auth_type   4 4 precedence   8 4 cookie

import type { BpfMap } from "./bpf_map.js";
import type { MapSpec } from "./spec.js";

/** Default of bpf-policy-map-max. */
export const POLICY_MAP_SIZE = 16384;
/** sec_label and direction: the shortest prefix. */
export const POLICY_STATIC_PREFIX = 40;
/** Identity, direction, protocol and port: what a look-up gives. */
export const POLICY_FULL_PREFIX = 64;

/** The precedence of a default deny, above all others. */
export const MAX_PRECEDENCE = -1;

export const POLICY_SPEC: MapSpec = {
  name: "cilium_policy_v2_00000",
  type: "lpm_trie",
  keySize: 12,
  valueSize: 12,
  maxEntries: POLICY_MAP_SIZE,
};

/** Name of an endpoint's map with a numbered family: five digits. */
export function endpointMapName(base: string, epId: number): string {
  return `${base}_${String(epId).padStart(5, "0")}`;
}

/** Spec of the policy map of one endpoint. */
export function policySpec(epId: number, maxEntries: number = POLICY_MAP_SIZE): MapSpec {
  return { ...POLICY_SPEC, name: endpointMapName("cilium_policy_v2", epId), maxEntries };
}

/** Index = endpoint id, value = that endpoint's policy program. */
export const CALL_POLICY_SPEC: MapSpec = {
  name: "cilium_call_policy",
  type: "prog_array",
  keySize: 4,
  valueSize: 4,
  maxEntries: 65535,
};
/** The same for what the L7 load balancer sends back. */
export const EGRESSCALL_POLICY_SPEC: MapSpec = { ...CALL_POLICY_SPEC, name: "cilium_egresscall_policy" };

/** struct policy_key */
export class PolicyKey {
  readonly words = new Int32Array(3);

  /** A look-up key: full prefix. `dport` is a Be16. */
  set(secLabel: number, egress: number, protocol: number, dport: number): this {
    const w = this.words;
    w[0] = POLICY_FULL_PREFIX;
    w[1] = secLabel;
    w[2] = egress | (protocol << 8) | (dport << 16);
    return this;
  }

  /** 40 + L4 prefix; POLICY_FULL_PREFIX in a look-up. */
  get prefixlen(): number {
    return this.words[0];
  }
  set prefixlen(v: number) {
    this.words[0] = v;
  }
  /** Identity of the peer, 0 = any. */
  get sec_label(): number {
    return this.words[1];
  }
  set sec_label(v: number) {
    this.words[1] = v;
  }
  /** 1 = egress, 0 = ingress. */
  get egress(): number {
    return this.words[2] & 1;
  }
  /** IP protocol, 0 where wildcarded. */
  get protocol(): number {
    return (this.words[2] >>> 8) & 0xff;
  }
  /** Be16; ICMP rules have the type here. */
  get dport(): number {
    return this.words[2] >>> 16;
  }
}

/** struct policy_entry, for writing. */
export class PolicyValue {
  readonly words = new Int32Array(3);

  /** `proxyPort` is a Be16; `lpmPrefixLength` is the L4 prefix of the key, 0..24. */
  set(
    proxyPort: number,
    deny: boolean,
    lpmPrefixLength: number,
    precedence: number,
    authType = 0,
    hasExplicitAuthType = false,
    cookie = 0,
  ): this {
    const w = this.words;
    w[0] =
      (proxyPort & 0xffff) |
      ((deny ? 1 : 0) << 16) |
      ((lpmPrefixLength & 0x1f) << 19) |
      ((authType & 0x7f) << 24) |
      ((hasExplicitAuthType ? 1 : 0) << 31);
    w[1] = precedence;
    w[2] = cookie;
    return this;
  }
}

/** Be16. */
export function policyProxyPort(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords] & 0xffff;
}
/** True for a deny entry. */
export function policyDeny(map: BpfMap, slot: number): boolean {
  return (map.words[slot * map.valueWords] & 0x10000) !== 0;
}
/** 0..24. */
export function policyLpmPrefixLength(map: BpfMap, slot: number): number {
  return (map.words[slot * map.valueWords] >>> 19) & 0x1f;
}
/** AUTH_TYPE_*. */
export function policyAuthType(map: BpfMap, slot: number): number {
  return (map.words[slot * map.valueWords] >>> 24) & 0x7f;
}
/** False: a less specific entry of equal precedence may demand more. */
export function policyHasExplicitAuthType(map: BpfMap, slot: number): boolean {
  return map.words[slot * map.valueWords] < 0;
}
/** u32 as int32: compare with `>>> 0`. */
export function policyPrecedence(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 1];
}
/** Number that policy logging puts into verdict events; 0 = none. */
export function policyCookie(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 2];
}
