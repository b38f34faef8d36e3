// The netfilter side of a kernel lab: rules, sets and services in, trace and counters out.

import type { Netns } from "../kernel/netns.js";
import type { TopoNetns } from "../kernel/topology.js";
import type { LabRun, LabTopology } from "./kernel.js";
import type { ConformanceReport } from "./report.js";

/** Loads iptables rules, ipsets and IPVS services of a namespace. */
export function applyNetfilter(_name: string, _ns: Netns, _spec: TopoNetns): void {}

/** Runs a command of a `cmd` step (iptables ...); null when it is not known. */
export function labCommand(
  _ns: Netns,
  _argv: readonly string[],
  _stdin: string,
): { rc: number; out: string } | null {
  return null;
}

/** Compares what netfilter saw. */
export function checkNetfilter(
  _dir: string,
  _lab: string,
  _topo: LabTopology,
  _run: LabRun,
  _report: ConformanceReport,
): void {}
