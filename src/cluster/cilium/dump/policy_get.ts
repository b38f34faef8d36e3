// `cilium-dbg bpf policy get ENDPOINT` (cilium-dbg/cmd/bpf_policy_get.go): the entries of an endpoint's policy map with
// their counters.

import type { CiliumMaps } from "../../../../maps/cilium_maps.js";
import { endpointMapName } from "../../../../maps/policy.js";
import { PolicyStatsKey } from "../../../../maps/policystats.js";
import { htons } from "../../../net/address.js";
import type { LabelSet } from "../policy/labels.js";
import { entryFromBytes, STATIC_PREFIX_BITS } from "../policy/lookup.js";
import { compareKeys, type MapStateEntry } from "../policy/map_state.js";
import { lastPort } from "../policy/ports.js";
import { protocolText, u64, viewOf } from "./fields.js";
import { alignTable } from "./tabwriter.js";

export interface PolicyGetOptions {
  /** `-n`: identities as numbers. */
  readonly numeric?: boolean;
  /** Labels of identities, for the other form. */
  readonly identities: ReadonlyMap<number, LabelSet>;
  /** Whether the datapath counts (policy accounting); without it the counters are `-`. */
  readonly accounting?: boolean;
}

interface Row {
  readonly entry: MapStateEntry;
  readonly prefix: number;
  readonly cookie: number;
  readonly packets: number;
  readonly bytes: number;
}

const AUTH_TYPES = ["disabled", "spire", "test-always-fail"];

/** Text of the command for one endpoint; undefined if it has no policy map. */
export function policyGetText(maps: CiliumMaps, epId: number, options: PolicyGetOptions): string | undefined {
  const rows = policyRows(maps, epId);
  if (rows === undefined) return undefined;
  const who = options.numeric === true ? "IDENTITY" : "LABELS (source:key[=value])";
  const lines = [
    `POLICY\tDIRECTION\t${who}\tPORT/PROTO\tPROXY PORT\tAUTH TYPE\tBYTES\tPACKETS\tPREFIX\tCOOKIE`,
  ];
  const counted = options.accounting !== false;
  for (const r of rows) {
    const { key, value } = r.entry;
    const names =
      options.numeric === true ? [String(key.identity)] : labelLines(key.identity, options.identities);
    lines.push(
      [
        value.deny ? "Deny" : "Allow",
        key.direction === "egress" ? "Egress" : "Ingress",
        names[0]!,
        portText(r.entry),
        value.proxyPort === 0 ? "NONE" : String(value.proxyPort),
        AUTH_TYPES[value.authType] ?? `Unknown-auth-type-${value.authType}`,
        counted ? String(r.bytes) : "-",
        counted ? String(r.packets) : "-",
        String(r.prefix),
        String(r.cookie),
      ].join("\t"),
    );
    for (const more of names.slice(1)) lines.push(`\t\t${more}\t\t\t\t\t\t\t`);
  }
  const empty = "Policy stats empty. Perhaps the policy enforcement is disabled?\n";
  return `${alignTable(lines)}${rows.length === 0 ? empty : ""}`;
}

/** `bpf policy get --all`: every endpoint's map. */
export function policyGetAllText(maps: CiliumMaps, options: PolicyGetOptions): string {
  return [...maps.policy.keys()]
    .sort((a, b) => a - b)
    .map((id) => {
      const path = `/sys/fs/bpf/tc/globals/${endpointMapName("cilium_policy_v2", id)}`;
      return `Endpoint ID: ${id}\nPath: ${path}\n\n${policyGetText(maps, id, options)}\n\n`;
    })
    .join("");
}

/** `-o json`; undefined if the endpoint has no policy map. */
export function policyGetJson(maps: CiliumMaps, epId: number): unknown[] | undefined {
  return policyRows(maps, epId)?.map((r) => {
    const { key, value } = r.entry;
    return {
      ProxyPortNetwork: htons(value.proxyPort),
      Flags: (r.prefix << 3) | (value.deny ? 1 : 0),
      AuthRequirement: value.authType | (value.authExplicit ? 0x80 : 0),
      Precedence: value.precedence,
      Cookie: r.cookie,
      Packets: r.packets,
      Bytes: r.bytes,
      Key: {
        Prefixlen: STATIC_PREFIX_BITS + r.prefix,
        Identity: key.identity,
        TrafficDirection: key.direction === "egress" ? 1 : 0,
        Nexthdr: key.protocol,
        DestPortNetwork: htons(key.port),
      },
    };
  });
}

/** Deny first, then by direction and identity; the rest of the order is ours. */
function policyRows(maps: CiliumMaps, epId: number): Row[] | undefined {
  const map = maps.policy.get(epId);
  if (map === undefined) return undefined;
  const stats = maps.cilium_policystats;
  const statsKey = new PolicyStatsKey();
  return map
    .dump()
    .map((e): Row => {
      const entry = entryFromBytes(e.key, e.value);
      const prefix = viewOf(e.key).getUint32(0, true) - STATIC_PREFIX_BITS;
      const { identity, direction, protocol, port } = entry.key;
      statsKey.set(epId, prefix, identity, direction === "egress" ? 1 : 0, protocol, htons(port));
      const slot = stats.peek(statsKey.words);
      const counters = slot < 0 ? undefined : viewOf(stats.valueBytes(slot));
      return {
        entry,
        prefix,
        cookie: viewOf(e.value).getUint32(8, true),
        packets: counters === undefined ? 0 : u64(counters, 0),
        bytes: counters === undefined ? 0 : u64(counters, 8),
      };
    })
    .sort(
      (a, b) =>
        Number(b.entry.value.deny) - Number(a.entry.value.deny) || compareKeys(a.entry.key, b.entry.key),
    );
}

/** ANY, TCP, 80/TCP or 8000-8063/TCP. */
function portText(e: MapStateEntry): string {
  const { protocol, port, portPrefixLen } = e.key;
  if (protocol === 0) return "ANY";
  const name = protocolText(protocol);
  if (portPrefixLen === 0) return name;
  const last = lastPort({ port, prefixLen: portPrefixLen });
  return `${port === last ? port : `${port}-${last}`}/${name}`;
}

/** Labels of an identity, one a line; identity 0 is anybody, an unknown one its number. */
function labelLines(id: number, identities: ReadonlyMap<number, LabelSet>): readonly string[] {
  if (id === 0) return ["ANY"];
  const labels = identities.get(id)?.texts ?? [];
  return labels.length === 0 ? [String(id)] : labels;
}
