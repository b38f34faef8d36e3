// `cilium-dbg bpf ct list global` (pkg/maps/ctmap): conntrack entries, one line each.
//
//   TCP OUT 10.0.1.124:3072 -> 10.0.0.85:80 expires=16836113 Packets=3 ... Flags=0x0010 [ SeenNonSyn ] RevNAT=5 ...

import type { BpfMap, MapEntry } from "../../../../maps/bpf_map.js";
import type { CiliumMaps } from "../../../../maps/cilium_maps.js";
import { TUPLE_F_IN, TUPLE_F_RELATED, TUPLE_F_SERVICE } from "../../../../maps/ct.js";
import { hex, hostPort, protocolText, u64, viewOf } from "./fields.js";

/** Names of the flag bits, the lowest first; "" is reserved. */
const FLAG_NAMES = [
  "RxClosing",
  "TxClosing",
  "Nat64",
  "LBLoopback",
  "SeenNonSyn",
  "NodePort",
  "ProxyRedirect",
  "DSRInternal",
  "FromL7LB",
  "",
  "FromTunnel",
];

export interface CtListOptions {
  /** Also list the IPv6 maps, which exist only where IPv6 is on. */
  readonly ipv6?: boolean;
  /** `-d`: seconds left, counted from this time (in the unit of the entries) and this many units a second. */
  readonly timeDiff?: { readonly now: number; readonly unitsPerSec: number } | undefined;
}

/** Text of the command: the entries of each map, a blank line after each. */
export function ctListText(maps: CiliumMaps, options: CtListOptions = {}): string {
  return ctMaps(maps, options.ipv6 === true)
    .map(({ map, ipv6 }) => {
      const lines = entries(map, ipv6).map((e) => `${ctLine(e, ipv6, options.timeDiff)}\n`);
      return `${lines.join("")}\n`;
    })
    .join("");
}

/** `-o json`: ports and NAT fields stay in network order, as in the maps. */
export function ctListJson(maps: CiliumMaps, options: CtListOptions = {}): unknown[] {
  return ctMaps(maps, options.ipv6 === true).flatMap(({ map, ipv6 }) =>
    entries(map, ipv6).map((e) => ({ Key: tupleJson(e.key, ipv6), Value: valueJson(e.value) })),
  );
}

function ctMaps(maps: CiliumMaps, ipv6: boolean): { map: BpfMap; ipv6: boolean }[] {
  const out = [
    { map: maps.cilium_ct4_global, ipv6: false },
    { map: maps.cilium_ct_any4_global, ipv6: false },
  ];
  if (ipv6)
    out.push({ map: maps.cilium_ct6_global, ipv6: true }, { map: maps.cilium_ct_any6_global, ipv6: true });
  return out;
}

/** Entries without protocol are left out. */
function entries(map: BpfMap, ipv6: boolean): MapEntry[] {
  return map.dump().filter((e) => e.key[ipv6 ? 36 : 12] !== 0);
}

/** One entry as text; it ends with a space. */
export function ctLine(e: MapEntry, ipv6: boolean, timeDiff?: CtListOptions["timeDiff"]): string {
  const v = viewOf(e.value);
  const lifetime = v.getUint32(32, true);
  const flags = v.getUint16(36, true);
  let left = "";
  if (timeDiff !== undefined) {
    left = ` (remaining: ${Math.trunc((lifetime - timeDiff.now) / timeDiff.unitsPerSec)} sec(s))`;
  }
  return [
    tupleText(e.key, ipv6),
    `expires=${lifetime}${left}`,
    `Packets=${u64(v, 16)}`,
    `Bytes=${u64(v, 24)}`,
    `RxFlagsSeen=${hex(v.getUint8(43), 2)}`,
    `LastRxReport=${v.getUint32(52, true)}`,
    `TxFlagsSeen=${hex(v.getUint8(42), 2)}`,
    `LastTxReport=${v.getUint32(48, true)}`,
    `Flags=${hex(flags, 4)} [ ${flagNames(flags)}]`,
    `RevNAT=${v.getUint16(38)}`,
    `SourceSecurityID=${v.getUint32(44, true)}`,
    `BackendID=${u64(v, 8)}`,
    `NatPort=${v.getUint16(40)} `,
  ].join(" ");
}

function flagNames(flags: number): string {
  let out = "";
  let unknown = 0;
  for (let i = 0; i < 16; i++) {
    if ((flags & (1 << i)) === 0) continue;
    if (FLAG_NAMES[i]) out += `${FLAG_NAMES[i]} `;
    else unknown |= 1 << i;
  }
  return unknown === 0 ? out : `${out}Unknown=${hex(unknown, 0)} `;
}

/**
 * Protocol, direction and the two ends. In IN and OUT entries the datapath stores the addresses swapped, so that
 * daddr:sport -> saddr:dport reads as the connection was opened; in service entries it is the other way round.
 */
export function tupleText(key: Uint8Array, ipv6: boolean): string {
  const size = ipv6 ? 16 : 4;
  const v = viewOf(key);
  const dport = v.getUint16(2 * size);
  const sport = v.getUint16(2 * size + 2);
  const flags = key[2 * size + 5]!;
  const proto = protocolText(key[2 * size + 4]!);
  const related = (flags & TUPLE_F_RELATED) !== 0 ? " related" : "";
  if ((flags & TUPLE_F_SERVICE) !== 0) {
    return `${proto} SVC ${hostPort(key, size, ipv6, dport)} -> ${hostPort(key, 0, ipv6, sport)}${related}`;
  }
  const dir = (flags & TUPLE_F_IN) !== 0 ? "IN" : "OUT";
  return `${proto} ${dir} ${hostPort(key, 0, ipv6, sport)} -> ${hostPort(key, size, ipv6, dport)}${related}`;
}

/** A tuple as JSON: addresses as bytes, ports as the machine reads their network-order bytes. */
export function tupleJson(key: Uint8Array, ipv6: boolean): unknown {
  const size = ipv6 ? 16 : 4;
  const v = viewOf(key);
  return {
    DestAddr: [...key.subarray(0, size)],
    SourceAddr: [...key.subarray(size, 2 * size)],
    DestPort: v.getUint16(2 * size, true),
    SourcePort: v.getUint16(2 * size + 2, true),
    NextHeader: key[2 * size + 4],
    Flags: key[2 * size + 5],
  };
}

function valueJson(value: Uint8Array): unknown {
  const v = viewOf(value);
  return {
    Union0: [u64(v, 0), u64(v, 8)],
    Packets: u64(v, 16),
    Bytes: u64(v, 24),
    Lifetime: v.getUint32(32, true),
    Flags: v.getUint16(36, true),
    RevNAT: v.getUint16(38, true),
    NatPort: v.getUint16(40, true),
    TxFlagsSeen: v.getUint8(42),
    RxFlagsSeen: v.getUint8(43),
    SourceSecurityID: v.getUint32(44, true),
    LastTxReport: v.getUint32(48, true),
    LastRxReport: v.getUint32(52, true),
  };
}
