// `cilium-dbg map list` and `map get NAME`: the maps that the agent has open, and its cached copy of those it writes.

import type { MapEntry } from "../../../../maps/bpf_map.js";
import type { CiliumMaps } from "../../../../maps/cilium_maps.js";
import {
  endpointEntries,
  endpointKeyText,
  endpointValueText,
  ipcacheEntries,
  ipcacheKeyText,
  ipcacheValueText,
} from "./endpoint_maps.js";
import { alignTable } from "./tabwriter.js";

interface CachedMap {
  readonly entries: (maps: CiliumMaps) => MapEntry[];
  readonly key: (key: Uint8Array) => string;
  readonly value: (value: Uint8Array) => string;
}

/** The maps that the agent keeps a copy of (`WithCache`), and how their entries print. */
const CACHED: Readonly<Record<string, CachedMap>> = {
  cilium_lxc: { entries: endpointEntries, key: endpointKeyText, value: (v) => endpointValueText(v) },
  cilium_ipcache_v2: { entries: ipcacheEntries, key: ipcacheKeyText, value: ipcacheValueText },
};

/** Text of `map list`. */
export function mapListText(maps: CiliumMaps): string {
  const lines = ["Name\tNum entries\tNum errors\tCache enabled"];
  for (const name of maps.names()) {
    const map = CACHED[name] === undefined ? undefined : maps.byName(name);
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
  const cached = CACHED[name];
  return cached?.entries(maps).map((e) => ({ key: cached.key(e.key), value: cached.value(e.value) }));
}
