// podpath matrix [SCENARIO] --port P: who reaches whom, from real flows, on all cores; and what a change would do to it.

import { existsSync, realpathSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { Worker } from "node:worker_threads";
import { Command, InvalidArgumentError } from "commander";
import { isPodpathError, PodpathError } from "../base/errors.js";
import { tuneEngine } from "../bench/engine.js";
import { Lab } from "../lab.js";
import { loadScenario } from "../scenario/load.js";
import { type AskedPort, parseMatrixPort, portText } from "../walk/matrix_port.js";
import { planMatrix, probe } from "../walk/matrix_probe.js";
import {
  Matrix,
  type MatrixChange,
  matrixCsv,
  matrixDiff,
  matrixHtml,
  matrixJson,
  matrixText,
  unexpected,
} from "../walk/matrix_report.js";
import { readText, writeResult } from "./files.js";
import type { MatrixJob } from "./matrix_worker.js";
import { addLabFlags, checkOptions, type LabFlags, labOptions, readScenario } from "./scenario_arg.js";

interface Flags extends LabFlags {
  readonly port: readonly AskedPort[];
  readonly csv?: boolean;
  readonly json?: boolean;
  readonly html?: string;
  readonly diff?: string;
  readonly expect?: string;
  readonly workers?: number;
}

/** Below this many probes, building a lab for each thread takes longer than sending them. */
const WORTH_A_THREAD = 20_000;
/** Exit status when a change does something that was not expected. */
const EXIT_DIFFERENT = 1;

/** The `matrix` command. */
export function matrixCommand(): Command {
  return addLabFlags(new Command("matrix"))
    .description(
      "which pods reach which pods and services on given ports, and what a change would open or close",
    )
    .option(
      "--port <port>",
      "80/tcp, 53/udp or icmp; with a 4 or 6 behind it over that family only (repeatable; default: 80/tcp)",
      ports,
      [],
    )
    .option("--csv", "print a line for each pair")
    .option("--json", "print the matrix by classes of pods as JSON")
    .option("--html <file>", "write a page, without network")
    .option(
      "--diff <file>",
      "print what this scenario, or these policies on top, would change; exit status 1 if anything unexpected",
    )
    .option(
      "--expect <file>",
      "changes that --diff may and must find, as it prints them; * stands for anything",
    )
    .option("--workers <n>", "threads (default: one for each core when it pays)", workersOf)
    .addHelpText(
      "after",
      `
Examples:
  podpath matrix cilium-native-routing --port 80/tcp --port icmp
  podpath matrix cilium-native-routing --port 53/udp --csv
`,
    )
    .action(async (name: string | undefined, flags: Flags) => {
      if (flags.csv === true && flags.json === true)
        throw new PodpathError("USAGE", "give --csv or --json, not both");
      if (flags.expect !== undefined && flags.diff === undefined)
        throw new PodpathError("USAGE", "--expect says what --diff may find: give --diff too");
      tuneEngine();
      const source = readScenario(name);
      const before = await matrixOf(source, flags);
      if (flags.html !== undefined) writeResult(flags.html, matrixHtml(before));
      if (flags.diff === undefined) {
        if (flags.csv === true) for (const piece of matrixCsv(before)) process.stdout.write(piece);
        else if (flags.json === true) process.stdout.write(`${JSON.stringify(matrixJson(before))}\n`);
        else if (flags.html === undefined) process.stdout.write(matrixText(before));
        return;
      }
      const changes = matrixDiff(before, await matrixOf(changed(source, flags.diff), flags));
      const expected = flags.expect === undefined ? [] : expectedLines(flags.expect);
      const { surprising, missing } = unexpected(changes, expected);
      if (flags.json === true)
        process.stdout.write(`${JSON.stringify({ changes, unexpected: surprising, missing }, null, 2)}\n`);
      else {
        const odd = new Set(surprising);
        for (const c of changes)
          process.stdout.write(`${c.line}${expected.length > 0 && odd.has(c) ? "  (unexpected)" : ""}\n`);
        for (const line of missing) process.stdout.write(`expected but not found: ${line}\n`);
        const count = (kind: MatrixChange["kind"]): number => changes.filter((c) => c.kind === kind).length;
        const [more, less] = [count("appears"), count("disappears")];
        process.stdout.write(
          `${count("opens")} opened, ${count("closes")} closed, ${count("changes")} changed in part` +
            `${more + less === 0 ? "" : `; ${more} appeared, ${less} disappeared`}\n`,
        );
      }
      if (surprising.length + missing.length > 0) process.exitCode = EXIT_DIFFERENT;
    });
}

interface Source {
  readonly text: string;
  readonly file: string;
  /** What the text ends with, where that is another file's, and the lines before it. */
  readonly added?: { readonly file: string; readonly after: number };
}

/** The scenario after a change: another one with nodes of its own, or more objects for this one. */
function changed(base: Source, name: string): Source {
  const other = readScenario(name);
  const whole = /^\s*"?kind"?:\s*"?Node"?\s*,?\s*$/m.test(other.text) || /\bkind: Node\b/.test(other.text);
  if (whole) return other;
  const head = `${base.text}\n---\n`;
  const added = { file: other.file, after: head.split("\n").length - 1 };
  return { text: head + other.text, file: base.file, added };
}

/** A mistake at the place where its file has it. */
function placed(e: unknown, source: Source): unknown {
  const { added } = source;
  if (added === undefined || !isPodpathError(e) || e.position === undefined || e.position.line <= added.after)
    return e;
  const { line, column } = e.position;
  return new PodpathError(e.code, e.message, { file: added.file, line: line - added.after, column });
}

async function matrixOf(source: Source, flags: Flags): Promise<Matrix> {
  const asked = flags.port.length === 0 ? [parseMatrixPort("80/tcp")] : flags.port;
  const unique = new Map(asked.map((p) => [portText(p), p]));
  const ports = [...unique.values()];
  const options = labOptions(flags);
  const file = workerFile();
  /** This thread is the first of so many. */
  const others = (parts: number): Helper[] =>
    file === undefined
      ? []
      : Array.from({ length: parts - 1 }, (_, i) =>
          startWorker(file, { text: source.text, file: source.file, options, ports, part: i + 1, parts }),
        );
  // Those that were asked for build their labs while this thread builds its own.
  let workers = others(flags.workers ?? 1);
  try {
    const scenario = loadScenario(source.text, source.file);
    checkOptions(flags.set, [flags.datapath ?? scenario.cluster.datapath.name]);
    const lab = Lab.fromScenario(scenario, options);
    const plan = planMatrix(lab, ports);
    if (flags.workers === undefined && plan.probes.length >= WORTH_A_THREAD)
      workers = others(Math.min(availableParallelism(), 64));
    const answers = new SharedArrayBuffer(plan.slots);
    for (const { worker } of workers) worker.postMessage(answers);
    probe(lab, plan, 0, workers.length + 1, new Uint8Array(answers));
    await Promise.all(workers.map((w) => w.ended));
    return new Matrix(plan, new Uint8Array(answers));
  } catch (e) {
    throw placed(e, source);
  } finally {
    for (const { worker } of workers) void worker.terminate();
  }
}

interface Helper {
  readonly worker: Worker;
  readonly ended: Promise<void>;
}

function startWorker(file: string, job: MatrixJob): Helper {
  const worker = new Worker(file, { workerData: job });
  const ended = new Promise<void>((resolve, reject) => {
    worker.once("error", reject);
    worker.once("exit", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`a worker ended with status ${code}`));
    });
  });
  // A scenario that no lab can be built of fails here too, and is said once.
  ended.catch(() => undefined);
  return { worker, ended };
}

/** The worker's module beside the command's; undefined where the command was not built (one thread does it all then). */
function workerFile(): string | undefined {
  const script = process.argv[1];
  if (script === undefined || !existsSync(script)) return undefined;
  const file = join(dirname(realpathSync(script)), "matrix_worker.js");
  return existsSync(file) ? file : undefined;
}

function expectedLines(file: string): string[] {
  const lines = readText(file).split("\n");
  return lines.map((l) => l.trim()).filter((l) => l !== "" && !l.startsWith("#"));
}

function ports(value: string, earlier: readonly AskedPort[]): AskedPort[] {
  return [...earlier, parseMatrixPort(value)];
}

function workersOf(text: string): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1 || n > 256)
    throw new InvalidArgumentError("Give a number from 1 to 256.");
  return n;
}
