// The emulator's own speed in a few named rows, against the speed that is asked of it: packets end to end, whole traces,
// and the matrix of a big cluster. Rows of packets and traces are cases of the suites that `npm run bench` runs too.

import { labSuite } from "./lab.bench.js";
import { type BenchCase, type BenchRow, type MeasureOptions, measure } from "./suite.js";
import { tracesSuite } from "./traces.bench.js";

/** One row. */
export interface SpeedRow {
  readonly name: string;
  readonly unit: string;
  /** Nanoseconds of one unit, median of the samples. */
  readonly nsPerUnit: number;
  readonly unitsPerSec: number;
  readonly samples: number;
  /** Heap bytes per unit; null where collection cannot be forced or allocation is expected. */
  readonly bytesPerUnit: number | null;
  /** Units per second that are asked for on one core of a quiet machine; null where nothing is. */
  readonly target: number | null;
}

const TARGETS: Readonly<Record<string, number>> = {
  "end to end, established: same node, BPF host routing": 1_000_000,
  "end to end, established: cross node, BPF host routing": 500_000,
  "round-trip traces, -v -v text and recorded walk: same node, BPF host routing": 20_000,
  "round-trip traces, -v -v text and recorded walk: cross node, BPF host routing": 20_000,
};

const nameOf = (c: { readonly group: string; readonly name: string }): string => `${c.group}: ${c.name}`;

function cases(): { readonly suite: string; readonly of: BenchCase }[] {
  return [labSuite, tracesSuite].flatMap((s) => s.cases().map((of) => ({ suite: s.name, of })));
}

/** Names of the rows, in their order. */
export function speedNames(): string[] {
  return cases().map((c) => nameOf(c.of));
}

/** Measures one row. */
export function measureSpeed(name: string, o: MeasureOptions): SpeedRow {
  const found = cases().find((c) => nameOf(c.of) === name);
  if (found === undefined) throw new RangeError(`there is no row ${name}`);
  return speedRow(measure(found.suite, found.of, o));
}

function speedRow(r: BenchRow): SpeedRow {
  const name = nameOf(r);
  return {
    name,
    unit: r.unit,
    nsPerUnit: r.nsPerOp,
    unitsPerSec: r.opsPerSec,
    samples: r.samples,
    bytesPerUnit: r.bytesPerOp,
    target: TARGETS[name] ?? null,
  };
}
