// Tables as Go's text/tabwriter aligns them, with spaces. A cell that a tab ends belongs to a column; what follows the
// last tab of a line does not, and is neither padded nor counted. A column lasts as long as consecutive lines have it.

/** Lines of tab-separated cells to aligned text; each line ends with a newline. */
export function alignTable(lines: readonly string[], minWidth = 5, padding = 3): string {
  const cells = lines.map((l) => l.split("\t"));
  const widths: number[][] = cells.map(() => []);
  const format = (from: number, to: number, column: number): void => {
    let i = from;
    while (i < to) {
      if (cells[i]!.length - 1 <= column) {
        i++;
        continue;
      }
      let end = i;
      let width = minWidth;
      while (end < to && cells[end]!.length - 1 > column) {
        width = Math.max(width, [...cells[end]![column]!].length + padding);
        end++;
      }
      for (let k = i; k < end; k++) widths[k]!.push(width);
      format(i, end, column + 1);
      i = end;
    }
  };
  format(0, cells.length, 0);
  return cells
    .map((line, i) => {
      const last = line.length - 1;
      const padded = line.map((c, k) => (k === last ? c : c + " ".repeat(widths[i]![k]! - [...c].length)));
      return `${padded.join("")}\n`;
    })
    .join("");
}

/** The table of a dumped map: two headings, then one line for each value of each key. */
export function mapTable(first: string, second: string, rows: readonly MapRow[]): string {
  const lines = [`${first}\t${second}`];
  for (const r of rows) {
    r.values.forEach((v, i) => {
      lines.push(`${i === 0 ? r.key : ""}\t${v}\t`);
    });
  }
  return alignTable(lines);
}

/** A key of a dumped map and what it holds, as text. */
export interface MapRow {
  readonly key: string;
  readonly values: readonly string[];
}

/** The same rows as the JSON object that `-o json` gives. */
export function mapJson(rows: readonly MapRow[]): Record<string, readonly string[]> {
  // Go's maps print with their keys sorted.
  const sorted = [...rows].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return Object.fromEntries(sorted.map((r) => [r.key, r.values]));
}

/** What `-o json` prints: two spaces of indentation, Go's escapes for HTML, and an empty line at the end. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value, null, 2)
    .replaceAll("<", "\\u003c")
    .replaceAll(">", "\\u003e")
    .replaceAll("&", "\\u0026");
  return `${text}\n\n`;
}
