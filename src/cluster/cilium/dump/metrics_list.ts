// `cilium-dbg bpf metrics list` (cilium-dbg/cmd/bpf_metrics_list.go): packets and bytes by reason, direction and place.

import type { CiliumMaps } from "../../../../maps/cilium_maps.js";
import { profileOf } from "../../../../monitor/release.js";
import { u64, viewOf } from "./fields.js";
import { alignTable } from "./tabwriter.js";

/** One row as `-o json` gives it. */
export interface MetricsRow {
  readonly reason: string;
  readonly direction: string;
  readonly packets: number;
  readonly bytes: number;
  readonly line: number;
  readonly file: string;
}

const DIRECTIONS = ["unknown", "ingress", "egress", "service"];

/** Text of the command; undefined for an empty map, of which the tool says so on stderr. */
export function metricsListText(maps: CiliumMaps): string | undefined {
  const rows = metricsListJson(maps);
  if (rows.length === 0) return undefined;
  const lines = rows.map(
    (r) => `${r.reason}\t${r.direction.toUpperCase()}\t${r.packets}\t${r.bytes}\t${r.line}\t${r.file}`,
  );
  return alignTable(["REASON\tDIRECTION\tPACKETS\tBYTES\tLINE\tFILE", ...lines]);
}

/** Rows summed over CPUs, sorted as strings, column by column. */
export function metricsListJson(maps: CiliumMaps): MetricsRow[] {
  const names = profileOf("1.19");
  return maps.cilium_metrics
    .dump()
    .map((e): MetricsRow => {
      const v = viewOf(e.value);
      const reason = e.key[0]!;
      return {
        reason: names.dropReasons[reason] ?? `${reason}, 0`,
        direction: DIRECTIONS[e.key[1]! & 3]!,
        packets: u64(v, 0),
        bytes: u64(v, 8),
        line: viewOf(e.key).getUint16(2, true),
        file: names.sourceFiles[e.key[4]!]!,
      };
    })
    .map((row) => ({ row, columns: Object.values(row).map(String) }))
    .sort((a, b) => {
      const i = a.columns.findIndex((c, k) => c !== b.columns[k]);
      return i < 0 ? 0 : a.columns[i]! < b.columns[i]! ? -1 : 1;
    })
    .map(({ row }) => row);
}
