// npm run bench: every suite, as a table on stdout and (with --json FILE) as JSON. Figures are of this machine and
// this moment; quote ratios.

import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { Command } from "commander";
import { type BenchRow, type BenchSuite, type MeasureOptions, measure } from "./suite.js";

const SUITES: readonly (() => Promise<BenchSuite>)[] = [
  async () => (await import("./maps.bench.js")).mapsBench,
  async () => (await import("./net.bench.js")).netSuite,
  async () => (await import("./monitor.bench.js")).monitorSuite,
];

interface Options {
  readonly json?: string;
  readonly only?: string;
  readonly quick?: boolean;
}

const program = new Command("bench")
  .description("packets/s and ns/packet of the emulator (tinybench)")
  .option("--json <file>", "write the same figures as JSON")
  .option("--only <text>", "run only suites, groups and cases whose name contains this")
  .option("--quick", "shorter measurements")
  .action(async (o: Options) => {
    const gc = (globalThis as { gc?: () => void }).gc;
    const how: MeasureOptions = {
      timeMs: o.quick === true ? 100 : 1000,
      warmupMs: o.quick === true ? 50 : 300,
      allocationOps: o.quick === true ? 100_000 : 1_000_000,
      gc,
    };
    const rows: BenchRow[] = [];
    for (const load of SUITES) {
      const suite = await load();
      for (const c of suite.cases()) {
        const full = `${suite.name} ${c.group} ${c.name}`;
        if (o.only !== undefined && !full.includes(o.only)) continue;
        process.stderr.write(`\r\u001b[K${full}`);
        const row = measure(suite.name, c, how);
        process.stderr.write("\r\u001b[K");
        if (rows.length === 0 || rows[rows.length - 1]!.group !== row.group)
          process.stdout.write(`\n${suite.name}: ${c.group}\n`);
        process.stdout.write(`${line(row)}\n`);
        rows.push(row);
      }
    }
    if (o.json !== undefined) {
      const machine = {
        node: process.version,
        arch: process.arch,
        cpu: cpus()[0]?.model ?? "",
        cpus: cpus().length,
      };
      writeFileSync(
        o.json,
        `${JSON.stringify({ machine, options: { timeMs: how.timeMs }, rows }, null, 2)}\n`,
      );
    }
  });

function line(r: BenchRow): string {
  const rate = `${Math.round(r.opsPerSec).toLocaleString("en-US")} ${r.unit}s/s`;
  const cols = [
    `  ${r.name.padEnd(60)}`,
    `${r.nsPerOp.toFixed(r.nsPerOp < 10 ? 2 : 0).padStart(8)} ns/${r.unit}`,
    rate.padStart(26),
  ];
  if (r.bytesPerOp !== null) cols.push(`${r.bytesPerOp.toFixed(2).padStart(8)} B/${r.unit}`);
  if (r.ratioToReal !== null) cols.push(`  real ${r.realNs} ns, ratio ${r.ratioToReal.toFixed(2)}`);
  return cols.join("  ");
}

await program.parseAsync();
