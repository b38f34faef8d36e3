// `cilium-dbg bpf endpoint list` and `bpf ipcache list`: the endpoint map and the ipcache as tables of two columns.

import type { BpfMap, MapEntry } from "../../../../maps/bpf_map.js";
import type { CiliumMaps } from "../../../../maps/cilium_maps.js";
import {
  IPCACHE_F_HAS_TUNNEL_EP,
  IPCACHE_F_IPV6_TUNNEL_EP,
  IPCACHE_F_REMOTE_CLUSTER,
  IPCACHE_F_SKIP_TUNNEL,
  IPCACHE_STATIC_PREFIX,
} from "../../../../maps/ipcache.js";
import { ENDPOINT_KEY_IPV6 } from "../../../../maps/layout.js";
import { ENDPOINT_F_HOST } from "../../../../maps/lxc.js";
import type { Profile } from "../../model.js";
import { addressText, macText, viewOf } from "./fields.js";
import { type MapRow, mapJson, mapTable } from "./tabwriter.js";

/** Text of `bpf endpoint list`; profile 1.11 has neither security id nor parent interface. */
export function bpfEndpointListText(maps: CiliumMaps, profile: Profile = "1.19"): string {
  return mapTable("IP ADDRESS", "LOCAL ENDPOINT INFO", endpointRows(maps, profile));
}

export function bpfEndpointListJson(
  maps: CiliumMaps,
  profile: Profile = "1.19",
): Record<string, readonly string[]> {
  return mapJson(endpointRows(maps, profile));
}

function endpointRows(maps: CiliumMaps, profile: Profile): MapRow[] {
  return endpointEntries(maps).map((e) => ({
    key: endpointKeyText(e.key),
    values: [endpointValueText(e.value, profile)],
  }));
}

/** Endpoint map by family and address. */
export function endpointEntries(maps: CiliumMaps): MapEntry[] {
  return sortedBy(maps.cilium_lxc, (key) => [key[16]!, ...key.subarray(0, 16)]);
}

/** The ipcache by family and address, shorter prefixes first. */
export function ipcacheEntries(maps: CiliumMaps): MapEntry[] {
  return sortedBy(maps.cilium_ipcache_v2, (key) => [key[7]!, ...key.subarray(8), key[0]!]);
}

function sortedBy(map: BpfMap, order: (key: Uint8Array) => number[]): MapEntry[] {
  return map
    .dump()
    .map((e) => ({ e, order: order(e.key) }))
    .sort((a, b) => {
      const i = a.order.findIndex((x, k) => x !== b.order[k]);
      return i < 0 ? 0 : a.order[i]! - b.order[i]!;
    })
    .map(({ e }) => e);
}

export function endpointKeyText(key: Uint8Array): string {
  return `${addressText(key, 0, key[16] === ENDPOINT_KEY_IPV6)}:${key[17]}`;
}

export function endpointValueText(value: Uint8Array, profile: Profile = "1.19"): string {
  const v = viewOf(value);
  const flags = v.getUint32(8, true);
  if ((flags & ENDPOINT_F_HOST) !== 0) return "(localhost)";
  const id = String(v.getUint16(6, true)).padEnd(5);
  const secId = String(v.getUint32(32, true)).padEnd(5);
  const ifindex = String(v.getUint32(0, true)).padEnd(3);
  const parent = String(v.getUint32(36, true)).padEnd(3);
  const flagsText = flags.toString(16).toUpperCase().padStart(4, "0");
  const macs = `mac=${macText(value, 16)} nodemac=${macText(value, 24)}`;
  if (profile === "1.11") return `id=${id} flags=0x${flagsText} ifindex=${ifindex} ${macs}`;
  return `id=${id} sec_id=${secId} flags=0x${flagsText} ifindex=${ifindex} ${macs} parent_ifindex=${parent}`;
}

/** Text of `bpf ipcache list`; undefined for an empty map, of which the tool says so on stderr. */
export function bpfIpcacheListText(maps: CiliumMaps): string | undefined {
  const rows = ipcacheRows(maps);
  return rows.length === 0 ? undefined : mapTable("IP PREFIX/ADDRESS", "IDENTITY", rows);
}

/** What the tool prints on stderr instead of an empty table. */
export const NO_ENTRIES = "No entries found.\n";

export function bpfIpcacheListJson(maps: CiliumMaps): Record<string, readonly string[]> {
  return mapJson(ipcacheRows(maps));
}

function ipcacheRows(maps: CiliumMaps): MapRow[] {
  return ipcacheEntries(maps).map((e) => ({
    key: ipcacheKeyText(e.key),
    values: [ipcacheValueText(e.value)],
  }));
}

export function ipcacheKeyText(key: Uint8Array): string {
  const v = viewOf(key);
  const bits = v.getUint32(0, true) - IPCACHE_STATIC_PREFIX;
  const cluster = v.getUint16(4, true);
  const address = addressText(key, 8, key[7] === ENDPOINT_KEY_IPV6);
  return `${address}/${bits}${cluster === 0 ? "" : `@${cluster}`}`;
}

const IPCACHE_FLAGS: readonly (readonly [number, string])[] = [
  [IPCACHE_F_SKIP_TUNNEL, "skiptunnel"],
  [IPCACHE_F_HAS_TUNNEL_EP, "hastunnel"],
  [IPCACHE_F_IPV6_TUNNEL_EP, "ipv6tunnel"],
  [IPCACHE_F_REMOTE_CLUSTER, "remotecluster"],
];

export function ipcacheValueText(value: Uint8Array): string {
  const v = viewOf(value);
  const flags = value[23]!;
  const names = IPCACHE_FLAGS.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
  const tunnel = addressText(value, 4, (flags & IPCACHE_F_IPV6_TUNNEL_EP) !== 0);
  return `identity=${v.getUint32(0, true)} encryptkey=${value[22]} tunnelendpoint=${tunnel} flags=${names.join(",") || "<none>"}`;
}
