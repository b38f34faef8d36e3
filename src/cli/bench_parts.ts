// How `podpath bench` measures: each part in a process of its own, so that what one case leaves in V8's inline caches does
// not slow the next. Where the command was not built, and for a
// few cases, everything happens in this process.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Bench } from "tinybench";
import { tuneEngine } from "../bench/engine.js";
import {
  caseName,
  type EmulatorFigures,
  FlowBench,
  type FlowCase,
  type ModelFigures,
} from "../bench/flows.js";
import {
  MATRIX_PODS,
  MATRIX_POLICIES,
  MATRIX_TARGET_SECONDS,
  matrixKindsScenario,
  matrixScenario,
} from "../bench/matrix_case.js";
import { measureSpeed, type SpeedRow } from "../bench/speed.js";
import { forcedGc, type MeasureOptions, measure } from "../bench/suite.js";

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

/** What another process is asked for. */
type Part =
  | { readonly row: string; readonly quick: boolean }
  | { readonly flows: readonly FlowCase[]; readonly quick: boolean };

/** How long to measure; bytes are counted over so many operations. */
export function measureOptions(quick: boolean, allocationOps = 400_000): MeasureOptions {
  return {
    timeMs: quick ? 100 : 300,
    warmupMs: quick ? 100 : 300,
    allocationOps: quick ? 0 : allocationOps,
    gc: forcedGc(),
  };
}

/** The built command, or undefined where these modules run in another way. */
function command(): string | undefined {
  const script = process.argv[1];
  if (script === undefined || !existsSync(script)) return undefined;
  const file = realpathSync(script);
  return basename(file) === "main.js" ? file : undefined;
}

function elsewhere<T>(part: Part): T | undefined {
  const script = command();
  if (script === undefined) return undefined;
  const args = [script, "bench", "--part", JSON.stringify(part)];
  const r = spawnSync(process.execPath, args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 1 << 28,
  });
  if (r.status !== 0) throw new Error(`a part of the bench ended with status ${r.status}`);
  return JSON.parse(r.stdout) as T;
}

/** Does what `elsewhere` asked for. */
export function measurePart(json: string): unknown {
  tuneEngine();
  const part = JSON.parse(json) as Part;
  return "row" in part
    ? measureSpeed(part.row, measureOptions(part.quick))
    : flowsHere(part.flows, part.quick, false);
}

/** One row of the emulator's speed. */
export function measureRow(row: string, quick: boolean): SpeedRow {
  return elsewhere<SpeedRow>({ row, quick }) ?? measureSpeed(row, measureOptions(quick));
}

/** Flows of one datapath. */
export function measureFlows(
  flows: readonly FlowCase[],
  quick: boolean,
  modelOnly: boolean,
): readonly BenchResult[] {
  const few = modelOnly || flows.length === 1;
  return (few ? undefined : elsewhere<BenchResult[]>({ flows, quick })) ?? flowsHere(flows, quick, modelOnly);
}

function flowsHere(flows: readonly FlowCase[], quick: boolean, modelOnly: boolean): BenchResult[] {
  return flows.map((flow) => {
    const bench = new FlowBench(flow);
    let emulator: EmulatorFigures | null = null;
    if (!modelOnly) {
      const row = measure("flows", bench.benchCase(), {
        ...measureOptions(quick, 20_000),
        // There are some ninety of them.
        ...(quick ? {} : { timeMs: 200, warmupMs: 150 }),
      });
      emulator = { nsPerPacket: row.nsPerOp, packetsPerSec: row.opsPerSec, bytesPerPacket: row.bytesPerOp };
    }
    return { flow, name: caseName(flow), packets: bench.packets, emulator, model: bench.model };
  });
}

const many = MATRIX_PODS.toLocaleString("en-US");

/** Scenarios of the matrix' rows by the rows' names. */
const MATRICES: ReadonlyMap<string, () => string> = new Map([
  [`matrix: ${many} pods, all pairs, the whole command`, () => matrixScenario()],
  [
    `matrix: ${many} pods of ${many} kinds, ${MATRIX_POLICIES} policies, all pairs, the whole command`,
    () => matrixKindsScenario(),
  ],
]);

/** Names of the matrix' rows. */
export const MATRIX_ROWS: readonly string[] = [...MATRICES.keys()];

/** The matrix command on a big cluster, from its start to its last line. */
export function measureMatrix(row: string, quick: boolean): SpeedRow {
  const script = command();
  const dir = mkdtempSync(join(tmpdir(), "podpath-bench-"));
  try {
    const file = join(dir, "matrix.yaml");
    writeFileSync(file, MATRICES.get(row)!());
    const bench = new Bench({ time: 0, iterations: quick ? 1 : 3, warmup: false, throws: true });
    bench.add(row, () => {
      if (script === undefined) return;
      const args = [script, "matrix", file, "--json"];
      const r = spawnSync(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
      if (r.status !== 0) throw new Error(`the matrix ended with status ${r.status}`);
    });
    bench.runSync();
    const { result } = bench.tasks[0]!;
    if (result.state !== "completed") throw new Error(`${row}: ${result.state}`);
    const ns = result.latency.p50 * 1e6;
    return {
      name: row,
      unit: "matrix",
      nsPerUnit: ns,
      unitsPerSec: 1e9 / ns,
      samples: result.latency.samplesCount,
      bytesPerUnit: null,
      target: 1 / MATRIX_TARGET_SECONDS,
    };
  } finally {
    rmSync(dir, { recursive: true });
  }
}
