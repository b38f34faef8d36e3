// `cilium-dbg map list` and `map get NAME`: the maps that the agent has open, and its cached copy of those it writes.

import type { BpfMap, MapEntry } from "../../../../maps/bpf_map.js";
import type { CiliumMaps } from "../../../../maps/cilium_maps.js";
import { entryFromBytes, STATIC_PREFIX_BITS } from "../policy/lookup.js";
import { endpointKeyText, endpointValueText, ipcacheKeyText, ipcacheValueText } from "./endpoint_maps.js";
import { addressText, viewOf } from "./fields.js";
import {
  backendValueText,
  frontendValueText,
  revNatValueText,
  serviceKeyText,
  sourceRangeKeyText,
} from "./lb_list.js";
import { alignTable } from "./tabwriter.js";

interface CachedMap {
  readonly key: (key: Uint8Array) => string;
  readonly value: (value: Uint8Array, key: Uint8Array) => string;
}

/** Maps that only the agent writes, of which it keeps a copy; how their entries print. */
const CACHED: Readonly<Record<string, CachedMap>> = {
  cilium_lxc: { key: endpointKeyText, value: (v) => endpointValueText(v) },
  cilium_ipcache_v2: { key: ipcacheKeyText, value: ipcacheValueText },
  cilium_lb4_services_v2: { key: (k) => serviceKeyText(k, false), value: frontendValueText },
  cilium_lb6_services_v2: { key: (k) => serviceKeyText(k, true), value: frontendValueText },
  cilium_lb4_backends_v3: { key: u32Text, value: backendValueText },
  cilium_lb6_backends_v3: { key: u32Text, value: backendValueText },
  cilium_lb4_reverse_nat: { key: revNatKeyText, value: revNatValueText },
  cilium_lb6_reverse_nat: { key: revNatKeyText, value: revNatValueText },
  cilium_lb4_source_range: { key: sourceRangeKeyText, value: () => "" },
  cilium_lb6_source_range: { key: sourceRangeKeyText, value: () => "" },
  cilium_lb_affinity_match: { key: affinityMatchKeyText, value: () => "" },
  cilium_node_map_v2: { key: nodeKeyText, value: nodeValueText },
};

const POLICY_MAP = /^cilium_policy_v2_\d{5}$/;
const POLICY: CachedMap = { key: policyKeyText, value: policyValueText };

function cachedMap(name: string): CachedMap | undefined {
  return POLICY_MAP.test(name) ? POLICY : CACHED[name];
}

/** Text of `map list`. */
export function mapListText(maps: CiliumMaps): string {
  const lines = ["Name\tNum entries\tNum errors\tCache enabled"];
  for (const name of maps.names()) {
    const map = cachedMap(name) === undefined ? undefined : maps.byName(name);
    lines.push(`${name}\t${map === undefined ? "unknown" : map.size}\t0\t${map !== undefined}`);
  }
  return alignTable(lines);
}

/** Text of `map list --verbose`: every map's cached entries. */
export function mapListVerboseText(maps: CiliumMaps): string {
  return maps
    .names()
    .map((name) => `## Map: ${name}\n${mapGetText(maps, name)!}`)
    .join("");
}

export function mapListJson(maps: CiliumMaps): unknown {
  return { maps: maps.names().map((name) => mapGetJson(maps, name)) };
}

/** Text of `map get NAME`; undefined if there is no such map. */
export function mapGetText(maps: CiliumMaps, name: string): string | undefined {
  if (!maps.names().includes(name)) return undefined;
  const rows = cacheRows(maps, name);
  if (rows === undefined) return "Cache is disabled\n\n";
  if (rows.length === 0) return "Cache is empty\n\n";
  return alignTable(["Key\tValue\tState\tError", ...rows.map((r) => `${r.key}\t${r.value}\tsync\t`)]);
}

/** `map get NAME -o json`; undefined if there is no such map. */
export function mapGetJson(maps: CiliumMaps, name: string): unknown {
  if (!maps.names().includes(name)) return undefined;
  const path = `/sys/fs/bpf/tc/globals/${name}`;
  const rows = cacheRows(maps, name);
  if (rows === undefined) return { path };
  return { cache: rows.map((r) => ({ "desired-action": "sync", key: r.key, value: r.value })), path };
}

function cacheRows(maps: CiliumMaps, name: string): { key: string; value: string }[] | undefined {
  const cached = cachedMap(name);
  const map: BpfMap | undefined = maps.byName(name);
  if (cached === undefined || map === undefined) return undefined;
  return map.dump().map((e: MapEntry) => ({ key: cached.key(e.key), value: cached.value(e.value, e.key) }));
}

function u32Text(key: Uint8Array): string {
  return String(viewOf(key).getUint32(0, true));
}

function revNatKeyText(key: Uint8Array): string {
  return String(viewOf(key).getUint16(0));
}

function affinityMatchKeyText(key: Uint8Array): string {
  const v = viewOf(key);
  return `${v.getUint32(0, true)} ${v.getUint16(4)}`;
}

function nodeKeyText(key: Uint8Array): string {
  return addressText(key, 4, key[3] === 2);
}

function nodeValueText(value: Uint8Array): string {
  return `nodeid=${viewOf(value).getUint16(0, true)} spi=${value[2]}`;
}

/** `Ingress: 3352 80/TCP` in the words of policymap.PolicyKey. */
function policyKeyText(key: Uint8Array): string {
  const k = entryFromBytes(key, new Uint8Array(12)).key;
  const bits = viewOf(key).getUint32(0, true) - STATIC_PREFIX_BITS;
  const direction = k.direction === "egress" ? "Egress" : "Ingress";
  const ports = k.protocol === 0 ? "" : ` ${k.port}/${k.protocol}`;
  return `${direction}: ${k.identity}${ports} (${bits})`;
}

function policyValueText(value: Uint8Array, key: Uint8Array): string {
  const v = entryFromBytes(key, value).value;
  return v.deny ? "deny" : v.proxyPort === 0 ? "allow" : `allow proxy=${v.proxyPort}`;
}
