// A comparison as text: a table with one column a datapath where the terminal is wide, one column with marks where it is
// narrow, the summary after it; and as a Mermaid sequence diagram.

import { Step } from "../bpf/steps.js";
import {
  type ComparedDirection,
  type ComparedStep,
  type ComparedWalk,
  type Comparison,
  comparisonTitle,
  DIFFERENCE_LABELS,
  type Difference,
} from "./compare.js";
import { COUNT_LABELS, type CountName } from "./counts.js";

export interface TableOptions {
  /** Columns of the terminal. */
  readonly width: number;
}

/** Below this many columns for each datapath the narrow form is taken. */
const LEAST_COLUMN = 44;

/** The whole comparison as text. */
export function comparisonText(c: Comparison, o: TableOptions): string {
  let out = `${comparisonTitle(c)}\n`;
  for (const d of c.datapaths) {
    if (d.hostRouting !== undefined)
      out += `${d.name}: host routing ${d.hostRouting.mode}, because ${d.hostRouting.reason}\n`;
  }
  for (const dir of c.directions) {
    out += `\n== ${dir.direction} ==\n`;
    const wide = o.width >= LEAST_COLUMN * c.datapaths.length;
    out += wide ? wideTable(c, dir, o.width) : narrowTable(c, dir, o.width);
    out += summary(c, dir, o.width);
  }
  return out;
}

/** A step in one line. */
export function stepLine(s: ComparedStep): string {
  const dev = s.device === "-" ? "" : `${s.device} `;
  const what = s.name === "" || s.name === s.device ? s.what : `${s.what} ${s.name}`;
  return `${dev}${what}${s.detail === "" ? "" : ` [${s.detail}]`}`;
}

/** Header changes in one line; empty if there are none. */
export function changesLine(s: ComparedStep): string {
  return s.changes.map((c) => `${c.field} ${c.from} -> ${c.to}`).join(", ");
}

function cut(s: string, n: number): string {
  return s.length <= n ? s : `${s.slice(0, n - 1)}…`;
}

function wideTable(c: Comparison, dir: ComparedDirection, width: number): string {
  const n = c.datapaths.length;
  const col = Math.floor((width - 3 * (n - 1)) / n);
  const line = (cells: readonly string[]): string =>
    `${cells
      .map((x) => cut(x, col).padEnd(col))
      .join(" | ")
      .trimEnd()}\n`;
  let out = line(c.datapaths.map((d) => d.name));
  out += `${c.datapaths.map(() => "-".repeat(col)).join("-+-")}\n`;
  let where = "";
  for (const row of dir.rows) {
    const steps = row.map((i, k) => (i < 0 ? undefined : dir.walks[k]!.steps[i]!));
    const at = steps.find((s) => s !== undefined)!.where;
    if (at !== where) {
      where = at;
      out += line(steps.map(() => `[${at}]`));
    }
    out += line(steps.map((s) => (s === undefined ? "" : stepLine(s))));
    if (steps.some((s) => s !== undefined && s.changes.length > 0))
      out += line(
        steps.map((s) => (s === undefined || s.changes.length === 0 ? "" : `  ~ ${changesLine(s)}`)),
      );
  }
  out += `${c.datapaths.map(() => "-".repeat(col)).join("-+-")}\n`;
  return out + dir.walks.map((w, i) => `${c.datapaths[i]!.name}: ${outcomeLine(w)}\n`).join("");
}

function narrowTable(c: Comparison, dir: ComparedDirection, width: number): string {
  const marks = c.datapaths.map((_, i) => String.fromCharCode(65 + i));
  let out = c.datapaths.map((d, i) => `${marks[i]} = ${d.name}\n`).join("");
  let where = "";
  for (const row of dir.rows) {
    const steps = row.map((i, k) => (i < 0 ? undefined : dir.walks[k]!.steps[i]!));
    const at = steps.find((s) => s !== undefined)!.where;
    if (at !== where) {
      where = at;
      out += `[${at}]\n`;
    }
    // Steps that read the same share a line; those that differ in a word get one each.
    const lines = new Map<string, string[]>();
    steps.forEach((s, i) => {
      if (s === undefined) return;
      const text = stepLine(s) + (s.changes.length === 0 ? "" : `\n~ ${changesLine(s)}`);
      lines.set(text, [...(lines.get(text) ?? []), marks[i]!]);
    });
    for (const [text, who] of lines) {
      const tag = marks.map((m) => (who.includes(m) ? m : "·")).join("");
      const [first, change] = text.split("\n");
      out += `${cut(`${tag} ${first}`, width)}\n`;
      if (change !== undefined) out += `${cut(`${" ".repeat(tag.length)} ${change}`, width)}\n`;
    }
  }
  return out + dir.walks.map((w, i) => `${cut(`${marks[i]}: ${outcomeLine(w)}`, width)}\n`).join("");
}

function outcomeLine(w: ComparedWalk | undefined): string {
  if (w === undefined) return "no packet";
  const ttl = w.ttl === undefined ? "" : `, ttl ${w.ttl}`;
  const wire = w.wireBytes.length === 0 ? "" : `, ${w.wireBytes.join("+")} bytes on the wire`;
  return `${w.outcome}${ttl}${wire}; ${w.decided}`;
}

function summary(c: Comparison, dir: ComparedDirection, width: number): string {
  let out = "";
  for (const v of dir.versus) {
    const a = c.datapaths[v.base]!.name;
    const b = c.datapaths[v.other]!.name;
    out += `\n${a} against ${b}, ${dir.direction}:\n`;
    for (const [word, d] of [
      ["skips", v.skips],
      ["adds", v.adds],
    ] as const) {
      const keys = (Object.keys(DIFFERENCE_LABELS) as (keyof Difference)[]).filter((k) => d[k].length > 0);
      if (keys.length === 0) out += `  ${word} nothing\n`;
      for (const k of keys) {
        const head = `  ${word} ${d[k].length} ${singular(DIFFERENCE_LABELS[k], d[k].length)}: `;
        out += wrap(head, d[k], width);
      }
    }
    const names = Object.keys(v.counts) as CountName[];
    const widest = Math.max(0, ...names.map((k) => COUNT_LABELS[k].length));
    for (const k of names) {
      const [x, y] = v.counts[k]!;
      out += `  ${COUNT_LABELS[k].padEnd(widest)}  ${String(x).padStart(4)} ${String(y).padStart(4)}  ${y > x ? `-${y - x}` : `+${x - y}`}\n`;
    }
  }
  return out;
}

function singular(label: string, n: number): string {
  if (n !== 1) return label;
  return label === "backlog passes" ? "backlog pass" : label.replace(/s$/, "");
}

function wrap(head: string, items: readonly string[], width: number): string {
  let out = "";
  let line = head;
  items.forEach((x, i) => {
    const piece = x + (i === items.length - 1 ? "" : ", ");
    if (line.length + piece.trimEnd().length > width && line.trim() !== "" && line !== head) {
      out += `${line.trimEnd()}\n`;
      line = "    ";
    }
    line += piece;
  });
  return `${out}${line.trimEnd()}\n`;
}

// --- Mermaid ---------------------------------------------------------------------------------------------------------

const RECTS = ["rgb(222, 235, 247)", "rgb(253, 231, 214)", "rgb(226, 240, 217)", "rgb(242, 220, 240)"];

/** One sequence diagram: devices as participants, a coloured block for each datapath, hooks and look-ups as notes. */
export function comparisonMermaid(c: Comparison): string {
  const ids = new Map<string, string>();
  const groups = new Map<string, string[]>();
  const idOf = (s: ComparedStep): string => {
    const key = `${s.where} ${s.device}`;
    let id = ids.get(key);
    if (id === undefined) {
      id = `d${ids.size}`;
      ids.set(key, id);
      const g = groups.get(s.where) ?? [];
      g.push(`    participant ${id} as ${label(s.device)}`);
      groups.set(s.where, g);
    }
    return id;
  };
  let body = "";
  c.datapaths.forEach((dp, i) => {
    body += `  rect ${RECTS[i % RECTS.length]}\n`;
    let opened = false;
    for (const dir of c.directions) {
      const w = dir.walks[i];
      if (w === undefined) continue;
      const onDevice = w.steps.filter((s) => s.device !== "-");
      let at: string | undefined;
      let last: ComparedStep | undefined;
      for (const s of onDevice) {
        const id = idOf(s);
        if (!opened) {
          body += `    Note over ${id}: ${label(dp.name)}\n`;
          opened = true;
        }
        if (at !== undefined && id !== at) {
          const arrow = dir.direction === "request" ? "->>" : "-->>";
          const ttl = s.ttl === undefined ? "" : `, ttl ${s.ttl}`;
          body += `    ${at}${arrow}${id}: ${label(`${last!.kind === Step.REDIRECT ? `redirect ${last!.detail}` : s.what}, ${s.bytes} bytes${ttl}`)}\n`;
        }
        at = id;
        last = s;
        const note = noteOf(s);
        if (note !== undefined) body += `    Note over ${id}: ${label(note)}\n`;
      }
      if (at !== undefined)
        body += `    Note over ${at}: ${label(`${dir.direction} ${w.outcome}: ${w.decided}`)}\n`;
    }
    body += "  end\n";
  });
  let head = "sequenceDiagram\n";
  for (const [where, lines] of groups) head += `  box ${label(where)}\n${lines.join("\n")}\n  end\n`;
  return head + body;
}

function noteOf(s: ComparedStep): string | undefined {
  const changes = changesLine(s);
  const tail = changes === "" ? "" : ` (${changes})`;
  switch (s.kind) {
    case Step.PROG:
    case Step.NF_HOOK:
    case Step.FIB:
    case Step.CT:
    case Step.POLICY:
    case Step.SERVICE:
    case Step.NF_NAT:
    case Step.NF_CT:
    case Step.IPVS:
    case Step.ENCAP:
    case Step.DECAP:
    case Step.FORWARD:
    case Step.DROP:
      return `${s.name === "" || s.kind === Step.FORWARD ? s.what : `${s.what} ${s.name}`}${s.detail === "" ? "" : ` ${s.detail}`}${tail}`;
    default:
      return changes === "" ? undefined : `${s.what}: ${changes}`;
  }
}

/** Text that Mermaid takes as it is: no line breaks, semicolons and hash signs written out. */
function label(s: string): string {
  return s.replaceAll("#", "#35;").replaceAll(";", "#59;").replaceAll(":", "#58;").replaceAll("\n", " ");
}
