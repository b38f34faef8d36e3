// What every kind of conformance run prints: the first mismatches with a readable difference, and the tally.

/** Result of a run. */
export interface ConformanceResult {
  readonly passed: number;
  readonly failed: number;
}

/** How many mismatches are printed in full; the rest is only counted. */
const DEFAULT_SHOWN = 20;
/** Lines of a difference, at most. */
const DIFF_LINES = 40;

/** Counts records and prints those that differ. */
export class ConformanceReport {
  passed = 0;
  failed = 0;

  constructor(
    private readonly write: (text: string) => void,
    private readonly shown = DEFAULT_SHOWN,
  ) {}

  /** Counts a record that agrees. */
  pass(): void {
    this.passed++;
  }

  /** Counts a record that does not; `details` is printed below its name. */
  fail(name: string, details: string): void {
    this.failed++;
    if (this.failed <= this.shown) this.write(`FAIL ${name}\n${indent(details)}`);
    else if (this.failed === this.shown + 1) this.write("further mismatches are only counted\n");
  }

  /** Prints the last line, `N passed, N failed`. */
  finish(): ConformanceResult {
    this.write(`${this.passed} passed, ${this.failed} failed\n`);
    return { passed: this.passed, failed: this.failed };
  }
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, "  ").replace(/\n?$/, "\n");
}

/** Makes what a terminal hides visible: tabs, other control characters, trailing spaces, a missing last newline. */
function visible(line: string): string {
  return JSON.stringify(line).slice(1, -1).replaceAll('\\"', '"').replace(/ $/, "·");
}

function linesOf(text: string): string[] {
  if (text === "") return [];
  const lines = text.split("\n");
  if (lines[lines.length - 1] === "") lines.pop();
  else lines[lines.length - 1] += " (no newline at the end)";
  return lines.map(visible);
}

/**
 * The difference of two texts: `-` lines are expected, `+` lines are ours, under each changed pair a caret below the
 * first differing column. Common lines at both ends are left out.
 */
export function textDiff(expected: string, actual: string): string {
  const a = linesOf(expected);
  const b = linesOf(actual);
  let from = 0;
  while (from < a.length && from < b.length && a[from] === b[from]) from++;
  let tail = 0;
  while (
    tail < a.length - from &&
    tail < b.length - from &&
    a[a.length - 1 - tail] === b[b.length - 1 - tail]
  ) {
    tail++;
  }
  const out: string[] = [];
  if (from > 0) out.push(`  (${from} equal lines)`);
  const n = Math.max(a.length, b.length) - tail;
  for (let i = from; i < n && out.length < DIFF_LINES; i++) {
    const x = i < a.length - tail ? a[i] : undefined;
    const y = i < b.length - tail ? b[i] : undefined;
    if (x !== undefined && x === y) {
      out.push(`  ${x}`);
      continue;
    }
    if (x !== undefined) out.push(`- ${x}`);
    if (y !== undefined) out.push(`+ ${y}`);
    if (x !== undefined && y !== undefined) {
      let col = 0;
      while (col < x.length && x[col] === y[col]) col++;
      out.push(`  ${" ".repeat(col)}^`);
    }
  }
  if (tail > 0) out.push(`  (${tail} equal lines)`);
  return out.join("\n");
}
