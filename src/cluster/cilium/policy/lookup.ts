// The policy map as written to the endpoint's LPM trie, and the verdict that the datapath reads from it
// (bpf/lib/policy.h, facts: two longest-prefix matches, for the peer's identity and for identity 0, then precedence).

import type { LpmTrie } from "../../../../maps/lpm_trie.js";
import { PolicyKey as MapKey, PolicyValue as MapValue } from "../../../../maps/policy.js";
import { BPF_ANY } from "../../../../maps/spec.js";
import { bswap16 } from "../../../net/view.js";
import {
  compareKeys,
  l4PrefixLen,
  type MapStateEntry,
  type PolicyKey,
  type PolicyValue,
  PRECEDENCE_DENY,
} from "./map_state.js";
import { lastPort } from "./ports.js";
import type { Direction, RuleOrigin } from "./rules.js";

/** Bits of an LPM key before protocol and port: identity (32) and direction byte (8). */
export const STATIC_PREFIX_BITS = 40;

/** Bytes of key and value of cilium_policy_v2. */
export const POLICY_KEY_SIZE = 12;
export const POLICY_VALUE_SIZE = 12;

/** Match types, as the verdict event carries them. */
export const MATCH_NONE = 0;
export const MATCH_L3_ONLY = 1;
export const MATCH_L3_L4 = 2;
export const MATCH_L4_ONLY = 3;
export const MATCH_ALL = 4;
export const MATCH_L3_PROTO = 5;
export const MATCH_PROTO_ONLY = 6;

/**
 * Entries as the map holds them. A zero port is always written as "every port", so a block such as 0-1023 becomes wider
 * there than the agent means it.
 */
export function asWritten(entries: readonly MapStateEntry[]): MapStateEntry[] {
  if (!entries.some((e) => e.key.port === 0 && e.key.portPrefixLen !== 0))
    return [...entries].sort((a, b) => compareKeys(a.key, b.key));
  const out = new Map<string, MapStateEntry>();
  for (const e of entries) {
    const key = e.key.port === 0 && e.key.portPrefixLen !== 0 ? { ...e.key, portPrefixLen: 0 } : e.key;
    const id = `${key.direction} ${key.identity} ${key.protocol} ${key.port}/${key.portPrefixLen}`;
    // Should both the block and the real wildcard exist, the wildcard (the broader key, met first) stays.
    if (!out.has(id)) out.set(id, key === e.key ? e : { ...e, key });
  }
  return [...out.values()].sort((a, b) => compareKeys(a.key, b.key));
}

/** Key bytes as a little-endian node writes them. */
export function keyBytes(k: PolicyKey): Uint8Array {
  const out = new Uint8Array(POLICY_KEY_SIZE);
  const v = new DataView(out.buffer);
  v.setUint32(0, STATIC_PREFIX_BITS + writtenPrefix(k), true);
  v.setUint32(4, k.identity, true);
  v.setUint8(8, k.direction === "egress" ? 1 : 0);
  v.setUint8(9, k.protocol);
  v.setUint16(10, k.port);
  return out;
}

/** Value bytes. The log cookie is always 0: nothing allocates one in 1.19. */
export function valueBytes(k: PolicyKey, value: PolicyValue): Uint8Array {
  const out = new Uint8Array(POLICY_VALUE_SIZE);
  const v = new DataView(out.buffer);
  v.setUint16(0, value.proxyPort);
  v.setUint8(2, (writtenPrefix(k) << 3) | (value.deny ? 1 : 0));
  v.setUint8(3, value.authType | (value.authExplicit ? 0x80 : 0));
  v.setUint32(4, value.precedence, true);
  return out;
}

const mapKey = new MapKey();
const mapValue = new MapValue();

/** Writes the policy of an endpoint into its map, in the place of what was there. */
export function writePolicy(map: LpmTrie, entries: readonly MapStateEntry[]): void {
  map.clear();
  const written = asWritten(entries);
  map.reserve(written.length);
  for (const { key: k, value: v } of written) {
    const bits = writtenPrefix(k);
    mapKey.set(k.identity, k.direction === "egress" ? 1 : 0, k.protocol, bswap16(k.port));
    mapKey.prefixlen = STATIC_PREFIX_BITS + bits;
    mapValue.set(bswap16(v.proxyPort), v.deny, bits, v.precedence, v.authType, v.authExplicit);
    map.update(mapKey.words, mapValue.words, BPF_ANY);
  }
}

/** An entry read back from bytes; its rules are not known. */
export function entryFromBytes(key: Uint8Array, value: Uint8Array): MapStateEntry {
  const k = new DataView(key.buffer, key.byteOffset, POLICY_KEY_SIZE);
  const v = new DataView(value.buffer, value.byteOffset, POLICY_VALUE_SIZE);
  const l4 = k.getUint32(0, true) - STATIC_PREFIX_BITS;
  const auth = v.getUint8(3);
  return {
    key: {
      identity: k.getUint32(4, true),
      direction: k.getUint8(8) & 1 ? "egress" : "ingress",
      protocol: k.getUint8(9),
      port: k.getUint16(10),
      portPrefixLen: Math.max(0, l4 - 8),
    },
    value: {
      deny: (v.getUint8(2) & 1) !== 0,
      proxyPort: v.getUint16(0),
      precedence: v.getUint32(4, true),
      authType: auth & 0x7f,
      authExplicit: (auth & 0x80) !== 0,
    },
    origins: [],
  };
}

function writtenPrefix(k: PolicyKey): number {
  return k.port === 0 && k.protocol !== 0 ? 8 : l4PrefixLen(k);
}

/** What is asked of a policy: ICMP types go in as `port`. */
export interface PolicyProbe {
  readonly direction: Direction;
  readonly identity: number;
  readonly protocol: number;
  readonly port: number;
}

export interface PolicyVerdict {
  readonly verdict: "allowed" | "denied" | "redirect";
  /** The entry that decided; undefined: no entry matches (default deny). */
  readonly entry: MapStateEntry | undefined;
  /** MATCH_ constant. */
  readonly matchType: number;
  readonly proxyPort: number;
  /** Authentication that the flow needs, 0 = none. */
  readonly authType: number;
}

/**
 * The datapath's lookup. Within one identity the most specific protocol and port wins, precedence decides only between
 * the peer's identity and identity 0.
 */
export function lookupPolicy(entries: readonly MapStateEntry[], probe: PolicyProbe): PolicyVerdict {
  let a: MapStateEntry | undefined;
  let b: MapStateEntry | undefined;
  for (const e of entries) {
    if (!matchesProbe(e.key, probe)) continue;
    if (e.key.identity === probe.identity && (a === undefined || l4PrefixLen(e.key) > l4PrefixLen(a.key)))
      a = e;
    if (e.key.identity === 0 && (b === undefined || l4PrefixLen(e.key) > l4PrefixLen(b.key))) b = e;
  }
  const chosen = choose(a, b);
  if (chosen === undefined) {
    return { verdict: "denied", entry: undefined, matchType: MATCH_NONE, proxyPort: 0, authType: 0 };
  }
  const v = chosen.value;
  const matchType = matchTypeOf(chosen.key);
  if (v.deny) return { verdict: "denied", entry: chosen, matchType, proxyPort: 0, authType: 0 };
  const other = chosen === a ? b : a;
  let authType = v.authType;
  if (
    !v.authExplicit &&
    other !== undefined &&
    other.value.precedence === v.precedence &&
    other.value.authType > authType
  ) {
    authType = other.value.authType;
  }
  return {
    verdict: v.proxyPort === 0 ? "allowed" : "redirect",
    entry: chosen,
    matchType,
    proxyPort: v.proxyPort,
    authType,
  };
}

function choose(a: MapStateEntry | undefined, b: MapStateEntry | undefined): MapStateEntry | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  // Nothing can outrank a deny of the highest priority, so the program does not even look for the second entry.
  if (a.value.precedence === PRECEDENCE_DENY) return a;
  if (b.value.precedence !== a.value.precedence) return b.value.precedence > a.value.precedence ? b : a;
  return l4PrefixLen(b.key) > l4PrefixLen(a.key) ? b : a;
}

/** Whether a key matches a flow, its identity apart. */
function matchesProbe(k: PolicyKey, p: PolicyProbe): boolean {
  if (k.direction !== p.direction) return false;
  if (k.protocol === 0) return true;
  return (
    k.protocol === p.protocol &&
    p.port >= k.port &&
    p.port <= lastPort({ port: k.port, prefixLen: k.portPrefixLen })
  );
}

function matchTypeOf(k: PolicyKey): number {
  const l4 = l4PrefixLen(k);
  if (k.identity === 0) return l4 === 0 ? MATCH_ALL : l4 <= 8 ? MATCH_PROTO_ONLY : MATCH_L4_ONLY;
  return l4 === 0 ? MATCH_L3_ONLY : l4 <= 8 ? MATCH_L3_PROTO : MATCH_L3_L4;
}

/** Label lists of the rules behind an entry: sorted, each once. Only what the agent itself remembers. */
export function labelLists(origins: readonly RuleOrigin[]): (readonly string[])[] {
  const byText = new Map<string, readonly string[]>();
  for (const o of origins) byText.set(o.labels.join(" "), o.labels);
  return [...byText.keys()].sort().map((t) => byText.get(t)!);
}

/** Log values of the rules behind an entry: sorted, each once, without empty ones. */
export function logValues(origins: readonly RuleOrigin[]): string[] {
  return [...new Set(origins.map((o) => o.log).filter((l) => l !== ""))].sort();
}
