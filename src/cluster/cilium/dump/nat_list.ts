// `cilium-dbg bpf nat list` (pkg/maps/nat): SNAT entries, one line each. Keys have packet order here: source first.

import type { BpfMap } from "../../../../maps/bpf_map.js";
import type { CiliumMaps } from "../../../../maps/cilium_maps.js";
import { TUPLE_F_IN } from "../../../../maps/ct.js";
import { tupleJson } from "./ct_list.js";
import { hostPort, protocolText, u64, viewOf } from "./fields.js";

export interface NatListOptions {
  readonly ipv6?: boolean;
  /** Now, in the unit of the entries, and units a second; without it the age is printed raw. */
  readonly clock?: { readonly now: number; readonly unitsPerSec: number } | undefined;
}

/** Text of the command: the entries of each map, a blank line after each. */
export function natListText(maps: CiliumMaps, options: NatListOptions = {}): string {
  return natMaps(maps, options.ipv6 === true)
    .map(({ map, ipv6 }) => {
      const lines = map.dump().map((e) => `${natLine(e.key, e.value, ipv6, options.clock)}\n`);
      return `${lines.join("")}\n`;
    })
    .join("");
}

export function natListJson(maps: CiliumMaps, options: NatListOptions = {}): unknown[] {
  return natMaps(maps, options.ipv6 === true).flatMap(({ map, ipv6 }) =>
    map.dump().map((e) => {
      const v = viewOf(e.value);
      const size = ipv6 ? 16 : 4;
      return {
        Key: tupleJson(e.key, ipv6),
        Value: {
          Created: u64(v, 0),
          NeedsCT: u64(v, 8),
          Pad1: u64(v, 16),
          Pad2: u64(v, 24),
          Addr: [...e.value.subarray(32, 32 + size)],
          Port: v.getUint16(32 + size, true),
        },
      };
    }),
  );
}

function natMaps(maps: CiliumMaps, ipv6: boolean): { map: BpfMap; ipv6: boolean }[] {
  const out = [{ map: maps.cilium_snat_v4_external, ipv6: false }];
  if (ipv6) out.push({ map: maps.cilium_snat_v6_external, ipv6: true });
  return out;
}

/** One entry as text. */
export function natLine(
  key: Uint8Array,
  value: Uint8Array,
  ipv6: boolean,
  clock?: NatListOptions["clock"],
): string {
  const size = ipv6 ? 16 : 4;
  const k = viewOf(key);
  const v = viewOf(value);
  const isIn = (key[2 * size + 5]! & TUPLE_F_IN) !== 0;
  const src = hostPort(key, size, ipv6, k.getUint16(2 * size + 2));
  const dst = hostPort(key, 0, ipv6, k.getUint16(2 * size));
  const to = hostPort(value, 32, ipv6, v.getUint16(32 + size));
  const created = u64(v, 0);
  const age =
    clock === undefined
      ? `? (raw ${created})`
      : `${Math.trunc((clock.now - created) / clock.unitsPerSec)}sec ago`;
  const proto = protocolText(key[2 * size + 4]!);
  return `${proto} ${isIn ? "IN" : "OUT"} ${src} -> ${dst} XLATE_${isIn ? "DST" : "SRC"} ${to} Created=${age} NeedsCT=${u64(v, 8)}`;
}
