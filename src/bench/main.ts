// npm run bench: every suite, as a table on stdout and (with --json FILE) as JSON. Figures are of this machine and
// this moment; quote ratios. Suites run in processes of their own (cases too, where a suite asks for it): what one
// leaves in V8's inline caches would otherwise slow the next.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { tuneEngine } from "./engine.js";
import { type BenchCase, type BenchRow, type BenchSuite, type MeasureOptions, measure } from "./suite.js";

const SUITES: Readonly<Record<string, () => Promise<BenchSuite>>> = {
  maps: async () => (await import("./maps.bench.js")).mapsBench,
  net: async () => (await import("./net.bench.js")).netSuite,
  monitor: async () => (await import("./monitor.bench.js")).monitorSuite,
  programs: async () => (await import("./programs.bench.js")).programsBench(),
  lab: async () => (await import("./lab.bench.js")).labSuite,
  traces: async () => (await import("./traces.bench.js")).tracesSuite,
};

interface Options {
  readonly json?: string;
  readonly only?: string;
  readonly quick?: boolean;
  readonly suite?: string;
  readonly case?: string;
}

const program = new Command("bench")
  .description("packets/s and ns/packet of the emulator (tinybench)")
  .option("--json <file>", "write the same figures as JSON")
  .option("--only <text>", "run only suites, groups and cases whose name contains this")
  .option("--quick", "shorter measurements")
  .option("--suite <name>", `one suite, in this process: ${Object.keys(SUITES).join(", ")}`)
  .option("--case <name>", "with --suite: one case, by its full name")
  .action(async (o: Options) => {
    const rows = o.suite === undefined ? spawnSuites(o) : await runSuite(o.suite, o);
    if (o.json !== undefined) {
      const machine = {
        node: process.version,
        arch: process.arch,
        cpu: cpus()[0]?.model ?? "",
        cpus: cpus().length,
      };
      writeFileSync(o.json, `${JSON.stringify({ machine, quick: o.quick === true, rows }, null, 2)}\n`);
    }
  });

/** Each suite in a child; the rows come back through a file. */
function spawnSuites(o: Options): BenchRow[] {
  const dir = mkdtempSync(join(tmpdir(), "podpath-bench-"));
  try {
    return Object.keys(SUITES).flatMap((name) => spawnPart(dir, o, ["--suite", name]));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** The bundled benches (src/cli/bundle.ts) if they are as new as this module, else this module. */
function entry(): string {
  const self = fileURLToPath(import.meta.url);
  const bundle = fileURLToPath(new URL("../../bench/main.js", import.meta.url));
  if (!existsSync(bundle) || statSync(bundle).mtimeMs < statSync(self).mtimeMs) return self;
  return bundle;
}

function spawnPart(dir: string, o: Options, args: readonly string[]): BenchRow[] {
  const file = join(dir, "rows.json");
  const self = entry();
  const flags = [...args, "--json", file];
  if (o.only !== undefined) flags.push("--only", o.only);
  if (o.quick === true) flags.push("--quick");
  const r = spawnSync(process.execPath, [...process.execArgv, self, ...flags], { stdio: "inherit" });
  if (r.status !== 0) throw new Error(`bench ${args.join(" ")} ended with status ${r.status}`);
  return (JSON.parse(readFileSync(file, "utf8")) as { rows: BenchRow[] }).rows;
}

async function runSuite(name: string, o: Options): Promise<BenchRow[]> {
  const load = SUITES[name];
  if (load === undefined)
    throw new Error(`there is no suite ${name}; there are ${Object.keys(SUITES).join(", ")}`);
  const how: MeasureOptions = {
    timeMs: o.quick === true ? 100 : 1000,
    warmupMs: o.quick === true ? 50 : 300,
    allocationOps: o.quick === true ? 100_000 : 1_000_000,
    gc: (globalThis as { gc?: () => void }).gc,
  };
  const suite = await load();
  const full = (c: BenchCase): string => `${suite.name} ${c.group} ${c.name}`;
  const cases = suite
    .cases()
    .filter(
      (c) =>
        (o.case === undefined || full(c) === o.case) && (o.only === undefined || full(c).includes(o.only)),
    );
  const rows: BenchRow[] = [];
  if (suite.isolate === true && o.case === undefined) {
    const dir = mkdtempSync(join(tmpdir(), "podpath-bench-"));
    for (const c of cases) rows.push(...spawnPart(dir, o, ["--suite", name, "--case", full(c)]));
    rmSync(dir, { recursive: true });
    return rows;
  }
  for (const c of cases) {
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${full(c)}`);
    const row = measure(suite.name, c, how);
    if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
    if (o.case === undefined && rows[rows.length - 1]?.group !== row.group) {
      process.stdout.write(`\n${suite.name}: ${c.group}\n`);
    }
    process.stdout.write(`${line(row, o.case !== undefined)}\n`);
    rows.push(row);
  }
  return rows;
}

function line(r: BenchRow, alone: boolean): string {
  const rate = `${Math.round(r.opsPerSec).toLocaleString("en-US")} ${r.unit}s/s`;
  const cols = [
    `  ${(alone ? `${r.suite}: ${r.group}, ${r.name}` : r.name).padEnd(60)}`,
    `${r.nsPerOp.toFixed(r.nsPerOp < 10 ? 2 : 0).padStart(8)} ns/${r.unit}`,
    rate.padStart(26),
  ];
  if (r.bytesPerOp !== null) cols.push(`${r.bytesPerOp.toFixed(2).padStart(8)} B/${r.unit}`);
  if (r.ratioToReal !== null) cols.push(`  real ${r.realNs} ns, ratio ${r.ratioToReal.toFixed(2)}`);
  return cols.join("  ");
}

tuneEngine();
await program.parseAsync();
