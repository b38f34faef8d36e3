// Alignment of several walks: rows in which steps that are the same in two walks stand side by side. The first walk
// gives the rows; each further one is laid against them along a longest common subsequence of step keys.

/** A row: index into each walk, -1 where that walk has no such step. */
export type AlignedRow = readonly number[];

/** Aligns sequences of keys. Rows keep the order of every sequence. */
export function alignKeys(sequences: readonly (readonly string[])[]): AlignedRow[] {
  let rows: { key: string; cells: number[] }[] = (sequences[0] ?? []).map((key, i) => ({ key, cells: [i] }));
  for (let s = 1; s < sequences.length; s++) {
    const seq = sequences[s]!;
    const pairs = lcs(
      rows.map((r) => r.key),
      seq,
    );
    const merged: { key: string; cells: number[] }[] = [];
    let i = 0;
    let j = 0;
    const blank = (): number[] => new Array<number>(s).fill(-1);
    for (const [pi, pj] of [...pairs, [rows.length, seq.length] as const]) {
      for (; i < pi; i++) merged.push({ key: rows[i]!.key, cells: [...rows[i]!.cells, -1] });
      for (; j < pj; j++) merged.push({ key: seq[j]!, cells: [...blank(), j] });
      if (pi < rows.length) {
        merged.push({ key: rows[pi]!.key, cells: [...rows[pi]!.cells, pj] });
        i = pi + 1;
        j = pj + 1;
      }
    }
    rows = merged;
  }
  return rows.map((r) => r.cells);
}

/** Index pairs of a longest common subsequence. */
function lcs(a: readonly string[], b: readonly string[]): (readonly [number, number])[] {
  const n = a.length;
  const m = b.length;
  const w = m + 1;
  const t = new Uint32Array((n + 1) * w);
  for (let i = n - 1; i >= 0; i--) {
    for (let j = m - 1; j >= 0; j--) {
      t[i * w + j] =
        a[i] === b[j] ? t[(i + 1) * w + j + 1]! + 1 : Math.max(t[(i + 1) * w + j]!, t[i * w + j + 1]!);
    }
  }
  const out: (readonly [number, number])[] = [];
  let i = 0;
  let j = 0;
  while (i < n && j < m) {
    if (a[i] === b[j]) out.push([i++, j++]);
    else if (t[(i + 1) * w + j]! >= t[i * w + j + 1]!) i++;
    else j++;
  }
  return out;
}
