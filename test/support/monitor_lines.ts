// Events of a node as `cilium monitor -v` prints them, one line each without the CPU, for tests of whole sequences.

import type { CiliumMaps } from "../../maps/cilium_maps.js";
import { MonitorFormatter } from "../../monitor/format.js";

/** Takes all events out of the ring. */
export function monitorLines(maps: CiliumMaps, profile = "1.19", verbosity = 1): string[] {
  const formatter = new MonitorFormatter({ profile, verbosity, numeric: true });
  const out: string[] = [];
  maps.cilium_events.read((sample, cpu) => {
    out.push(
      formatter
        .format(cpu, sample)
        .trimEnd()
        .replace(/^CPU \d+: /, ""),
    );
  });
  return out;
}
