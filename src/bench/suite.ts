// What a benchmark suite registers and how it is measured: tinybench runs batches of at least 256 operations (a timer
// call costs as much as one of them), the figures quoted are medians, and allocation is measured on its own.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Bench } from "tinybench";

/** Least operations in a batch. */
export const MIN_BATCH = 256;

/** One measured case. `run` does `batch` operations. */
export interface BenchCase {
  readonly group: string;
  readonly name: string;
  readonly batch: number;
  /** Does one batch; or, with `prepare`, is made by it when the case is measured (heavy set-up, a lab of its own). */
  readonly run?: () => void;
  readonly prepare?: () => () => void;
  /** What a batch does besides the thing measured: timed in the same way and subtracted. */
  readonly overhead?: () => void;
  /** Unit of one operation; default "packet". */
  readonly unit?: string;
  /** Cost of the real thing in ns, where it was recorded. */
  readonly realNs?: number;
  /** False: allocation is expected here (text rendering ...) and not reported. */
  readonly steady?: boolean;
}

/** A suite makes its cases when it is run: set-up is not measured. */
export interface BenchSuite {
  readonly name: string;
  /** True: every case runs in a process of its own, so that no other case's shapes are in V8's caches. */
  readonly isolate?: boolean;
  cases(): BenchCase[];
}

/** A row of the result. Times in nanoseconds. */
export interface BenchRow {
  readonly suite: string;
  readonly group: string;
  readonly name: string;
  readonly unit: string;
  readonly batch: number;
  readonly samples: number;
  /** Median, 10th and 90th percentile of ns per operation over batches. */
  readonly nsPerOp: number;
  readonly nsPerOpMin: number;
  readonly nsPerOpP99: number;
  /** Subtracted from the three above. */
  readonly overheadNs: number;
  readonly opsPerSec: number;
  /** Heap bytes allocated per operation in steady state; null where it was not asked for. */
  readonly bytesPerOp: number | null;
  readonly realNs: number | null;
  readonly ratioToReal: number | null;
}

export interface MeasureOptions {
  /** Milliseconds of measuring for each case. */
  readonly timeMs: number;
  readonly warmupMs: number;
  /** Operations of the allocation measurement; 0 = none. */
  readonly allocationOps: number;
  /** Forces a garbage collection; undefined when node runs without --expose-gc (then nothing is said of allocation). */
  readonly gc: (() => void) | undefined;
}

/** Garbage collection at will, also where node was started without --expose-gc. */
export function forcedGc(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

/** Measures one case. Throws a RangeError for a batch below MIN_BATCH. */
export function measure(suite: string, c: BenchCase, o: MeasureOptions): BenchRow {
  if (c.batch < MIN_BATCH) throw new RangeError(`${c.name}: a batch has at least ${MIN_BATCH} operations`);
  const run = c.prepare?.() ?? c.run;
  if (run === undefined) throw new RangeError(`${c.name}: neither run nor prepare`);
  settle(run, c.batch, o.warmupMs);
  const bench = new Bench({
    time: o.timeMs,
    warmupTime: o.timeMs / 10,
    warmupIterations: 4,
    iterations: 16,
    throws: true,
  });
  bench.add(c.name, run);
  bench.runSync();
  const result = bench.tasks[0]!.result;
  if (result.state !== "completed")
    throw new Error(`${c.name}: the benchmark did not complete (${result.state})`);
  const toNs = 1e6 / c.batch;
  const overhead = c.overhead === undefined ? 0 : medianNs(c.overhead, c.batch, o);
  const ns = Math.max(0, result.latency.p50 * toNs - overhead);
  const real = c.realNs ?? null;
  return {
    suite,
    group: c.group,
    name: c.name,
    unit: c.unit ?? "packet",
    batch: c.batch,
    samples: result.latency.samplesCount,
    nsPerOp: ns,
    nsPerOpMin: Math.max(0, result.latency.min * toNs - overhead),
    nsPerOpP99: result.latency.p99 * toNs - overhead,
    overheadNs: overhead,
    opsPerSec: 1e9 / ns,
    bytesPerOp:
      c.steady === false || o.allocationOps === 0 || o.gc === undefined
        ? null
        : allocated(run, c.batch, o.allocationOps, o.gc),
    realNs: real,
    ratioToReal: real === null ? null : ns / real,
  };
}

/** Warm-up goes on for at most this many times the time asked for. */
const MAX_WARMUP = 8;
/** Parts of the warm-up that must pass without a faster one, and operations that must have been done. */
const STEADY_PARTS = 4;
const STEADY_OPS = 50_000;

/**
 * Runs until it gets no faster. V8 compiles in other threads, in steps that the code itself sets off: how long that takes
 * depends on how much code a case has and on how busy the machine is, so that no fixed time is right. Figures taken
 * earlier are of the interpreter, and differ by a factor of ten.
 */
function settle(run: () => void, batch: number, warmupMs: number): void {
  const start = performance.now();
  const part = warmupMs / STEADY_PARTS;
  let best = Number.POSITIVE_INFINITY;
  let since = 0;
  let ops = 0;
  while ((since < STEADY_PARTS || ops < STEADY_OPS) && performance.now() - start < warmupMs * MAX_WARMUP) {
    const from = performance.now();
    let runs = 0;
    do {
      run();
      runs++;
    } while (performance.now() - from < part);
    const each = (performance.now() - from) / runs;
    // A little faster is chance.
    if (each < best * 0.97) since = 0;
    else since++;
    best = Math.min(best, each);
    ops += runs * batch;
  }
}

function medianNs(run: () => void, batch: number, o: MeasureOptions): number {
  const bench = new Bench({
    time: o.timeMs / 4,
    warmupTime: o.warmupMs / 4,
    warmupIterations: 4,
    iterations: 16,
    throws: true,
  });
  bench.add("overhead", run);
  bench.runSync();
  const { result } = bench.tasks[0]!;
  return result.state === "completed" ? (result.latency.p50 * 1e6) / batch : 0;
}

/**
 * Heap bytes per operation over `ops` operations: growth of the used heap between two collections' ends and the end of
 * the run. The least of three runs: code that is still being optimised allocates, the packet path must not.
 */
function allocated(run: () => void, batch: number, ops: number, gc: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  const batches = Math.ceil(ops / batch);
  for (let round = 0; round < 3; round++) {
    gc();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < batches; i++) run();
    const grown = process.memoryUsage().heapUsed - before;
    best = Math.min(best, Math.max(0, grown) / (batches * batch));
  }
  return best;
}
