// podpath bench: datapaths against each other. Two kinds of figures that are never mixed: how fast this emulator is, and
// what the real path is modelled to cost; with the check of the model against what was measured.

import { cpus } from "node:os";
import { Command, InvalidArgumentError, Option } from "commander";
import { PodpathError } from "../base/errors.js";
import { type CostCheck, checkCosts } from "../bench/cost_check.js";
import { END_HOSTS, WEIGHTS } from "../bench/cost_weights.js";
import {
  caseName,
  type EmulatorFigures,
  FlowBench,
  type FlowCase,
  flowCases,
  type ModelFigures,
} from "../bench/flows.js";
import { SERVICE_COUNTS } from "../bench/service_scale.js";
import { forcedGc, measure } from "../bench/suite.js";
import { DATAPATHS, type DatapathName } from "../cluster/model.js";
import { type LinuxResults, linuxCases, linuxText, runLinuxCases } from "./bench_linux.js";
import { benchSvg } from "./bench_svg.js";
import { write } from "./compare.js";

/** A case with both kinds of figures. */
export interface BenchResult {
  readonly flow: FlowCase;
  readonly name: string;
  /** IP packets of one operation. */
  readonly packets: number;
  /** (a) Speed of the emulator; null when only the model was asked for. */
  readonly emulator: EmulatorFigures | null;
  /** (b) Modelled cost of the real path. */
  readonly model: ModelFigures;
}

interface Flags {
  readonly datapath: readonly DatapathName[];
  readonly only?: string;
  readonly services: readonly number[];
  readonly quick?: boolean;
  readonly modelOnly?: boolean;
  readonly check: boolean;
  readonly json?: boolean;
  readonly svg?: string;
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
        .default([], "the default"),
    )
    .option("--only <text>", "only cases whose name holds this, such as 'cross node, tcp rr'")
    .addOption(
      new Option("--services <n,...>", "numbers of services to measure kube-proxy's modes with; 0: none")
        .argParser(numbers)
        .default(SERVICE_COUNTS, SERVICE_COUNTS.join(",")),
    )
    .option("--quick", "shorter measurements")
    .option("--model-only", "do not measure the emulator, model the real path only")
    .option("--no-check", "leave out the check of the model against the measured ratios")
    .option("--json", "print the figures as JSON")
    .option("--svg <file>", "write the figures as plots")
    .addHelpText(
      "after",
      "\nExample:\n  podpath bench --quick --only 'same node, udp rr, established' --datapath cilium-host-routing --datapath cilium-legacy\n" +
        "\nOf a node's Linux stack, by --only: kube-proxy (iptables and ipvs, new and established connections, service in the middle or last), 'forwarded packet'.\n",
    )
    .action((flags: Flags) => {
      const names = flags.datapath.length === 0 ? DEFAULT_DATAPATHS : flags.datapath;
      const cases = flowCases(names).filter(
        (c) => flags.only === undefined || caseName(c).includes(flags.only),
      );
      const linux = linuxCases(flags.services, flags.only);
      if (cases.length + linux.services.length + linux.forwarding.length === 0)
        throw new PodpathError("USAGE", `--only ${JSON.stringify(flags.only)}: no case has that in its name`);
      const progress = (text: string): void => {
        if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
      };
      const results: BenchResult[] = cases.map((c, i) => {
        progress(`${i + 1}/${cases.length} ${c.datapath}: ${caseName(c)}`);
        return runCase(c, flags);
      });
      const how = {
        timeMs: flags.quick === true ? 60 : 300,
        warmupMs: flags.quick === true ? 100 : 500,
        allocationOps: flags.quick === true ? 0 : 400_000,
        gc: forcedGc(),
      };
      const onLinux = runLinuxCases(linux, flags.modelOnly === true ? null : how, progress);
      const checks = flags.check ? checkCosts(progress) : [];
      progress("");
      if (flags.svg !== undefined) write(flags.svg, benchSvg(results));
      process.stdout.write(
        flags.json === true
          ? `${JSON.stringify(asJson(results, onLinux, checks), null, 2)}\n`
          : asText(results, checks, linuxText(onLinux)),
      );
    });
}

function runCase(c: FlowCase, flags: Flags): BenchResult {
  const bench = new FlowBench(c);
  let emulator: EmulatorFigures | null = null;
  if (flags.modelOnly !== true) {
    const quick = flags.quick === true;
    const row = measure("flows", bench.benchCase(), {
      timeMs: quick ? 100 : 500,
      warmupMs: quick ? 400 : 1500,
      allocationOps: quick ? 0 : 20_000,
      gc: forcedGc(),
    });
    emulator = { nsPerPacket: row.nsPerOp, packetsPerSec: row.opsPerSec, bytesPerPacket: row.bytesPerOp };
  }
  return { flow: c, name: caseName(c), packets: bench.packets, emulator, model: bench.model };
}

function asJson(results: readonly BenchResult[], linux: LinuxResults, checks: readonly CostCheck[]): unknown {
  return {
    machine: { node: process.version, arch: process.arch, cpu: cpus()[0]?.model ?? "", cpus: cpus().length },
    emulator: results.flatMap((r) =>
      r.emulator === null ? [] : [{ ...r.flow, packets: r.packets, ...r.emulator }],
    ),
    model: {
      weights: WEIGHTS,
      endHosts: END_HOSTS,
      rows: results.map((r) => ({ ...r.flow, packets: r.packets, ...r.model })),
      check: checks,
    },
    services: { rows: linux.services, build: linux.build },
    forwarding: linux.forwarding,
  };
}

function asText(results: readonly BenchResult[], checks: readonly CostCheck[], linux: string): string {
  let out = results.length === 0 ? "" : flowText(results);
  out += results.length === 0 ? linux.replace("\n", "") : linux;
  if (checks.length > 0) {
    out +=
      "\nmodel against measurement: CPU time with legacy host routing / with BPF host routing, end hosts included\n";
    for (const c of checks) {
      const name = `${c.test}, ${c.path === "same" ? "same node" : "cross node"}, ${c.rules}`;
      out += `  ${name.padEnd(46)}  model ${c.modelledRatio.toFixed(2)}  measured ${c.measuredRatio.toFixed(2)}  ${(c.error * 100).toFixed(1).padStart(5)} %\n`;
    }
    const worst = Math.max(...checks.map((c) => Math.abs(c.error)));
    out += `  largest difference ${(worst * 100).toFixed(1)} %\n`;
  }
  return out;
}

function flowText(results: readonly BenchResult[]): string {
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
