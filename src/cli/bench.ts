// podpath bench: datapaths against each other. Two kinds of figures that are never mixed: how fast this emulator is, and
// what the real path is modelled to cost; with the check of the model against what was measured.

import { cpus } from "node:os";
import { Command, InvalidArgumentError, Option } from "commander";
import { PodpathError } from "../base/errors.js";
import { type CostCheck, checkCosts } from "../bench/cost_check.js";
import { MACHINES } from "../bench/cost_measured.js";
import { END_HOSTS, WEIGHTS } from "../bench/cost_weights.js";
import { caseName, flowCases } from "../bench/flows.js";
import { SERVICE_COUNTS } from "../bench/service_scale.js";
import { type SpeedRow, speedNames } from "../bench/speed.js";
import { DATAPATHS, type DatapathName } from "../cluster/model.js";
import { type LinuxResults, linuxCases, linuxText, runLinuxCases } from "./bench_linux.js";
import {
  type BenchResult,
  MATRIX_ROWS,
  measureFlows,
  measureMatrix,
  measureOptions,
  measurePart,
  measureRow,
} from "./bench_parts.js";
import { benchSvg } from "./bench_svg.js";
import { writeResult } from "./files.js";

interface Flags {
  readonly datapath: readonly DatapathName[];
  readonly only?: string;
  readonly services: readonly number[];
  readonly quick?: boolean;
  readonly modelOnly?: boolean;
  readonly model?: boolean;
  readonly check: boolean;
  readonly json?: boolean;
  readonly svg?: string;
  readonly part?: string;
}

/** What fits into the addresses of the services. */
const MOST_SERVICES = 100_000;

const DEFAULT_DATAPATHS: readonly DatapathName[] = [
  "cilium-host-routing",
  "cilium-legacy",
  "calico-bgp",
  "calico-ipip",
  "calico-vxlan",
];

/** The `bench` command. */
export function benchCommand(): Command {
  return new Command("bench")
    .description("measure the emulator's speed and model the real path's cost, datapath against datapath")
    .addOption(
      new Option("--datapath <name>", `a datapath (repeatable; default: ${DEFAULT_DATAPATHS.join(", ")})`)
        .argParser(datapaths)
        .default([]),
    )
    .option("--only <text>", "only cases whose name holds this, such as 'cross node, tcp rr'")
    .addOption(
      new Option("--services <n,...>", "numbers of services to measure kube-proxy's modes with; 0: none")
        .argParser(numbers)
        .default(SERVICE_COUNTS, SERVICE_COUNTS.join(",")),
    )
    .option("--quick", "shorter measurements")
    .option("--model-only", "do not measure the emulator, model the real path only")
    .option("--model", "only the check of the model against what was measured")
    .option("--no-check", "leave out the check of the model against the measured ratios")
    .option("--json", "print the figures as JSON")
    .option("--svg <file>", "write the figures as plots")
    .addOption(new Option("--part <json>", "measure one part, for another bench").hideHelp())
    .addHelpText(
      "after",
      "\nExample:\n  podpath bench --quick --only 'same node, udp rr, established' --datapath cilium-host-routing --datapath cilium-legacy\n" +
        "\nOf a node's Linux stack, by --only: kube-proxy (iptables and ipvs, new and established connections, service in the middle or last), 'forwarded packet'.\n",
    )
    .action((flags: Flags) => {
      if (flags.part !== undefined) {
        process.stdout.write(JSON.stringify(measurePart(flags.part)));
        return;
      }
      if (flags.model === true) {
        const checks = checkCosts();
        process.stdout.write(
          flags.json === true
            ? `${JSON.stringify({ weights: WEIGHTS, endHosts: END_HOSTS, machines: MACHINES, check: checks }, null, 2)}\n`
            : checksText(checks).slice(1),
        );
        return;
      }
      const names = flags.datapath.length === 0 ? DEFAULT_DATAPATHS : flags.datapath;
      const wanted = (name: string): boolean => flags.only === undefined || name.includes(flags.only);
      const cases = flowCases(names).filter((c) => wanted(caseName(c)));
      const rows = flags.modelOnly === true ? [] : speedNames().filter(wanted);
      const matrices = flags.modelOnly === true ? [] : MATRIX_ROWS.filter(wanted);
      const linux = linuxCases(flags.services, flags.only);
      const ours = cases.length + rows.length + matrices.length;
      if (ours + linux.services.length + linux.forwarding.length === 0)
        throw new PodpathError("USAGE", `--only ${JSON.stringify(flags.only)}: no case has that in its name`);
      const quick = flags.quick === true;
      const progress = (text: string): void => {
        if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
      };
      const speed = rows.map((name, i) => {
        progress(`speed ${i + 1}/${rows.length} ${name}`);
        return measureRow(name, quick);
      });
      for (const row of matrices) {
        progress(row);
        speed.push(measureMatrix(row, quick));
      }
      const results = names.flatMap((d) => {
        const of = cases.filter((c) => c.datapath === d);
        progress(`flows of ${d}`);
        return of.length === 0 ? [] : measureFlows(of, quick, flags.modelOnly === true);
      });
      const onLinux = runLinuxCases(linux, flags.modelOnly === true ? null : measureOptions(quick), progress);
      const checks = flags.check && flags.only === undefined ? checkCosts(progress) : [];
      progress("");
      if (flags.svg !== undefined) writeResult(flags.svg, benchSvg(results));
      process.stdout.write(
        flags.json === true
          ? `${JSON.stringify(asJson(speed, results, onLinux, checks), null, 2)}\n`
          : asText(speed, results, checks, linuxText(onLinux)),
      );
    });
}

function asJson(
  speed: readonly SpeedRow[],
  results: readonly BenchResult[],
  linux: LinuxResults,
  checks: readonly CostCheck[],
): unknown {
  return {
    machine: { node: process.version, arch: process.arch, cpu: cpus()[0]?.model ?? "", cpus: cpus().length },
    // How fast podpath itself is, on this machine; what the real path costs is under `model`.
    emulator: {
      speed,
      flows: results.flatMap((r) =>
        r.emulator === null ? [] : [{ ...r.flow, packets: r.packets, ...r.emulator }],
      ),
    },
    model: {
      weights: WEIGHTS,
      endHosts: END_HOSTS,
      machines: MACHINES,
      rows: results.map((r) => ({ ...r.flow, packets: r.packets, ...r.model })),
      check: checks,
    },
    services: { rows: linux.services, build: linux.build },
    forwarding: linux.forwarding,
  };
}

function asText(
  speed: readonly SpeedRow[],
  results: readonly BenchResult[],
  checks: readonly CostCheck[],
  linux: string,
): string {
  const first = speedText(speed) + (results.length === 0 ? "" : flowsText(results));
  return first + (first === "" ? linux.replace("\n", "") : linux) + checksText(checks);
}

function speedText(rows: readonly SpeedRow[]): string {
  if (rows.length === 0) return "";
  const width = Math.max(...rows.map((r) => r.name.length));
  let out = "speed of the emulator, medians, this machine (target: on one core of a quiet one)\n";
  for (const r of rows) {
    const cols = [
      `  ${r.name.padEnd(width)}`,
      `${Math.round(r.nsPerUnit).toLocaleString("en-US")} ns/${r.unit}`.padStart(26),
      `${Math.round(r.unitsPerSec).toLocaleString("en-US")}/s`.padStart(12),
    ];
    if (r.target !== null) cols.push(`target ${r.target.toLocaleString("en-US")}/s`);
    if (r.bytesPerUnit !== null) cols.push(`${r.bytesPerUnit.toFixed(2)} B/${r.unit}`);
    out += `${cols.join("  ")}\n`;
  }
  return `${out}\n`;
}

function flowsText(results: readonly BenchResult[]): string {
  const groups = [...new Set(results.map((r) => r.name))];
  const names = [...new Set(results.map((r) => r.flow.datapath))];
  const width = Math.max(...groups.map((g) => g.length), 20);
  const col = Math.max(...names.map((n) => n.length), 12);
  const head = `${"".padEnd(width)}  ${names.map((n) => n.padStart(col)).join("  ")}\n`;
  const table = (cell: (r: BenchResult, base: BenchResult | undefined) => string): string =>
    groups
      .map((g) => {
        const row = names.map((n) => results.find((r) => r.name === g && r.flow.datapath === n));
        return `${g.padEnd(width)}  ${row.map((r) => (r === undefined ? "-" : cell(r, row[0])).padStart(col)).join("  ")}\n`;
      })
      .join("");
  let out = "";
  if (results.some((r) => r.emulator !== null)) {
    out += "(a) speed of the emulator, packets/s end to end on one core, this machine, monitor off\n";
    out += head;
    out += table((r) =>
      r.emulator === null ? "-" : Math.round(r.emulator.packetsPerSec).toLocaleString("en-US"),
    );
    out += "\n";
  }
  out += `(b) modelled CPU time of the real path, ns per operation on the nodes (x: times ${names[0]})\n`;
  out += head;
  out += table((r, base) => {
    const x = base === undefined || base === r ? "" : ` x${(r.model.pathNs / base.model.pathNs).toFixed(2)}`;
    return `${Math.round(r.model.pathNs).toLocaleString("en-US")}${x}`;
  });
  out += "weights with origin and error: src/bench/cost_weights.ts; end hosts are not in these figures\n";
  if (names.includes("cilium-netkit"))
    out +=
      "netkit was not measured: its transmissions weigh as much as veth's, so (b) does not rank the two\n";
  return out;
}

function checksText(checks: readonly CostCheck[]): string {
  if (checks.length === 0) return "";
  let out =
    "\nmodel against measurement: CPU time with legacy host routing / with BPF host routing, end hosts included\n";
  for (const machine of new Set(checks.map((c) => c.machine))) {
    for (const sample of ["fit", "unseen"] as const) {
      const of = checks.filter((c) => c.machine === machine && c.sample === sample);
      if (of.length === 0) continue;
      out += `${machine}: ${MACHINES[machine].what}; ${sample === "fit" ? "fitted to" : "nothing was fitted to these"}\n`;
      for (const c of of) {
        const name = `${c.test}, ${c.path === "same" ? "same node" : "cross node"}, ${c.rules}`;
        out += `  ${name.padEnd(53)}  model ${c.modelledRatio.toFixed(2)}  measured ${c.measuredRatio.toFixed(2)}  ${(c.error * 100).toFixed(1).padStart(5)} %\n`;
      }
      const worst = Math.max(...of.map((c) => Math.abs(c.error)));
      out += `  largest difference ${(worst * 100).toFixed(1)} %\n`;
    }
  }
  return out;
}

/** `10,100` as numbers; none for 0. */
function numbers(value: string): readonly number[] {
  const all = value.split(",").map(Number);
  if (all.some((n) => !Number.isInteger(n) || n < 0 || n > MOST_SERVICES))
    throw new InvalidArgumentError(`It is a list of numbers from 0 to ${MOST_SERVICES}, such as 10,1000.`);
  return all.filter((n) => n > 0);
}

function datapaths(value: string, earlier: readonly DatapathName[]): DatapathName[] {
  const name = DATAPATHS.find((d) => d === value);
  if (name === undefined) throw new InvalidArgumentError(`Allowed choices are ${DATAPATHS.join(", ")}.`);
  return [...earlier, name];
}
