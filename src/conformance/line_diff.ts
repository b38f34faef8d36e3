// A line difference for lists whose lines come and go (map entries, redirects), as `diff -u` shows it. For texts that must
// agree byte for byte see textDiff in report.ts.

/**
 * Lines of two texts side by side in order, in the manner of `diff -u` without headers: `-` expected, `+` actual, and
 * `context` equal lines around each difference.
 */
export function diffLines(expected: readonly string[], actual: readonly string[], context = 2): string[] {
  const ops = editScript(expected, actual);
  const keep = new Array<boolean>(ops.length).fill(false);
  ops.forEach((o, i) => {
    if (o.op === " ") return;
    for (let k = Math.max(0, i - context); k <= Math.min(ops.length - 1, i + context); k++) keep[k] = true;
  });
  const out: string[] = [];
  let skipped = false;
  ops.forEach((o, i) => {
    if (!keep[i]) {
      skipped = true;
      return;
    }
    if (skipped && out.length > 0) out.push("...");
    skipped = false;
    out.push(`${o.op} ${o.line}`);
  });
  return out;
}

interface Edit {
  readonly op: " " | "-" | "+";
  readonly line: string;
}

/** Longest common subsequence; common heads and tails are set aside first, so long texts with few changes are quick. */
function editScript(a: readonly string[], b: readonly string[]): Edit[] {
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (
    tail < a.length - head &&
    tail < b.length - head &&
    a[a.length - 1 - tail] === b[b.length - 1 - tail]
  )
    tail++;
  const x = a.slice(head, a.length - tail);
  const y = b.slice(head, b.length - tail);
  const out: Edit[] = a.slice(0, head).map((line) => ({ op: " ", line }));
  if (x.length * y.length > 4_000_000) {
    for (const line of x) out.push({ op: "-", line });
    for (const line of y) out.push({ op: "+", line });
  } else {
    const width = y.length + 1;
    const lcs = new Int32Array((x.length + 1) * width);
    for (let i = x.length - 1; i >= 0; i--) {
      for (let k = y.length - 1; k >= 0; k--) {
        lcs[i * width + k] =
          x[i] === y[k]
            ? lcs[(i + 1) * width + k + 1]! + 1
            : Math.max(lcs[(i + 1) * width + k]!, lcs[i * width + k + 1]!);
      }
    }
    let i = 0;
    let k = 0;
    while (i < x.length || k < y.length) {
      if (i < x.length && k < y.length && x[i] === y[k]) {
        out.push({ op: " ", line: x[i]! });
        i++;
        k++;
      } else if (i < x.length && (k === y.length || lcs[(i + 1) * width + k]! >= lcs[i * width + k + 1]!)) {
        out.push({ op: "-", line: x[i++]! });
      } else {
        out.push({ op: "+", line: y[k++]! });
      }
    }
  }
  for (const line of a.slice(a.length - tail)) out.push({ op: " ", line });
  return out;
}
