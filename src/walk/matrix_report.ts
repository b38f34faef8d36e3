// A finished matrix and what is made of it: table, CSV, JSON, a page, and the difference to another one.

import { CLOSED, type MatrixPlan, NO_ADDRESS, OPEN, VERDICT_NAMES } from "./matrix.js";
import { type MatrixPort, portText } from "./matrix_port.js";

/** A plan with the answers to its probes. */
export class Matrix {
  /** Names of the columns: pods, then services. */
  readonly targets: readonly string[];

  constructor(
    readonly plan: MatrixPlan,
    readonly answers: Uint8Array,
  ) {
    this.targets = [...plan.podNames, ...plan.services.map((s) => s.name)];
  }

  /** Verdict of pod `from` to target `to` (a pod's number, or behind the pods a service's). */
  at(from: number, to: number, port: MatrixPort): number {
    const { plan, answers } = this;
    const pods = plan.pods.length;
    if (to < pods) return plan.podVerdict(answers, from, to, port);
    return plan.serviceVerdict(answers, from, plan.services[to - pods]!, port);
  }

  /** How many pairs of a pod with a pod there are, and how many flows were sent to know them. */
  get size(): { readonly pairs: number; readonly flows: number } {
    const { addresses, ports, probes } = this.plan;
    const ends = (p: MatrixPort): number =>
      addresses.filter((a) => (p.ipv6 ? a.ip6 !== undefined : a.ip4 !== 0)).length;
    return { pairs: ports.reduce((n, p) => n + ends(p) ** 2, 0), flows: probes.length };
  }
}

const MARKS = [".", "X", "/", "-"] as const;
/** More targets than this, and the table shows one pod of each class. */
const TABLE_LIMIT = 40;

interface Group {
  readonly name: string;
  readonly index: number;
}

/** Pods to show: all of a small cluster, one of each class of a large one. */
function groups(m: Matrix): { readonly rows: Group[]; readonly columns: Group[] } {
  const { plan } = m;
  const services = plan.services.map((s, i) => ({ name: s.name, index: plan.pods.length + i }));
  let rows: Group[];
  if (m.targets.length <= TABLE_LIMIT) rows = plan.podNames.map((name, index) => ({ name, index }));
  else
    rows = plan.classes.map((c) => {
      const more = c.length === 1 ? "" : ` (+${c.length - 1})`;
      return { name: `${plan.podNames[c[0]!]!}${more}`, index: c[0]! };
    });
  return { rows, columns: [...rows, ...services] };
}

/** Column of a group: another pod of the same class stands for the class, not the pod itself. */
function target(m: Matrix, row: Group, column: Group): number {
  if (row.index !== column.index || m.targets.length <= TABLE_LIMIT) return column.index;
  return m.plan.classes[m.plan.classOf[row.index]!]![1] ?? column.index;
}

/** A table for each port; `X` open, `.` closed, `/` open to some backends, `-` where an end has no such address. */
export function matrixText(m: Matrix): string {
  const { rows, columns } = groups(m);
  let out = "";
  for (const port of m.plan.ports) {
    const none = m.plan.ports.some((p) => p.ipv6) ? ", - no address" : "";
    out += `${portText(port)}  (X open, . closed, / open to some backends${none})\n`;
    const width = Math.max(4, ...rows.map((r) => r.name.length));
    const digits = String(columns.length).length + 1;
    out += `${"from".padEnd(width)} ${columns.map((_, i) => String(i + 1).padStart(digits)).join("")}\n`;
    for (const r of rows) {
      const cells = columns.map((c) => MARKS[m.at(r.index, target(m, r, c), port)]!.padStart(digits));
      out += `${r.name.padEnd(width)} ${cells.join("")}\n`;
    }
    out += "\n";
  }
  columns.forEach((c, i) => {
    out += `${String(i + 1).padStart(4)}  ${c.name}\n`;
  });
  const { pairs, flows } = m.size;
  return `${out}\n${pairs} pairs of pods, known from ${flows} flows of ${m.plan.classes.length} classes\n`;
}

/** A line for each pair that has addresses, in pieces of one source pod each. */
export function* matrixCsv(m: Matrix): Generator<string> {
  yield "from,to,port,verdict\n";
  const { plan } = m;
  for (const port of plan.ports) {
    const p = portText(port);
    for (let a = 0; a < plan.pods.length; a++) {
      let out = "";
      const from = plan.podNames[a]!;
      // A class answers alike for all its pods; only the pod itself and services are asked apart.
      const known = plan.classes.map((c) => (c[0] === a ? (c[1] ?? a) : c[0]!)).map((b) => m.at(a, b, port));
      for (let b = 0; b < m.targets.length; b++) {
        const v = b < plan.pods.length && b !== a ? known[plan.classOf[b]!]! : m.at(a, b, port);
        if (v !== NO_ADDRESS) out += `${from},${m.targets[b]},${p},${VERDICT_NAMES[v]}\n`;
      }
      yield out;
    }
  }
}

/** The matrix by classes; every pair follows from the classes of its pods. */
export function matrixJson(m: Matrix): object {
  const { plan } = m;
  const name = (a: number, b: number, port: MatrixPort): string => VERDICT_NAMES[m.at(a, b, port)]!;
  return {
    scenario: plan.scenario.name,
    datapath: plan.scenario.cluster.datapath.name,
    ...m.size,
    classes: plan.classes.map((c) => c.map((i) => plan.podNames[i])),
    ports: plan.ports.map((port) => ({
      port: portText(port),
      // Undefined (left out as null) where a class has one pod only: there is no other to talk to.
      classes: plan.classes.map((a) =>
        plan.classes.map((b) =>
          a === b ? (a.length > 1 ? name(a[0]!, a[1]!, port) : null) : name(a[0]!, b[0]!, port),
        ),
      ),
      self: plan.classes.map((a) => name(a[0]!, a[0]!, port)),
      services: Object.fromEntries(
        plan.services.map((s, i) => [
          s.name,
          Object.fromEntries(plan.podNames.map((from, a) => [from, name(a, plan.pods.length + i, port)])),
        ]),
      ),
    })),
  };
}

/** A page without network: a coloured grid for each port. */
export function matrixHtml(m: Matrix): string {
  const { rows, columns } = groups(m);
  const safe = (s: string): string => s.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/"/g, "&quot;");
  const tables = m.plan.ports.map((port) => {
    const head = columns.map((c) => `<th scope="col"><span>${safe(c.name)}</span></th>`).join("");
    const body = rows.map((r) => {
      const cells = columns.map((c) => {
        const v = VERDICT_NAMES[m.at(r.index, target(m, r, c), port)]!;
        return `<td class="${v}" title="${safe(`${r.name} → ${c.name}:${portText(port)}: ${v}`)}">${v[0]}</td>`;
      });
      return `<tr><th scope="row">${safe(r.name)}</th>${cells.join("")}</tr>`;
    });
    return `<h2>${portText(port)}</h2><div class="scroll"><table><thead><tr><th></th>${head}</tr></thead><tbody>${body.join("\n")}</tbody></table></div>`;
  });
  const { pairs, flows } = m.size;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>podpath matrix: ${safe(m.plan.scenario.name)}</title>
<style>
body{font:14px system-ui,sans-serif;margin:1rem;color:#222;background:#fff}
.scroll{overflow:auto;max-width:100%}
table{border-collapse:collapse}
td{width:1.4rem;height:1.4rem;text-align:center;border:1px solid #fff;font-size:11px}
th{font-weight:normal;text-align:right;padding:0 .4rem;white-space:nowrap}
thead th{vertical-align:bottom;padding:.4rem 0}
thead span{writing-mode:vertical-rl;transform:rotate(180deg)}
.none{color:#999}.open{background:#9fd8a4}.closed{background:#f0b0aa}.partial{background:#f3dc8b}
</style></head><body>
<h1>${safe(m.plan.scenario.name)}</h1>
<p>Rows send, columns answer: o open, c closed, p open to some backends, n no such address. ${pairs} pairs of pods, known from ${flows} flows.</p>
${tables.join("\n")}
</body></html>
`;
}

/** A pair whose verdict differs, or an end that only one side has; `line` is how it is printed and expected. */
export interface MatrixChange {
  readonly kind: "opens" | "closes" | "changes" | "appears" | "disappears";
  readonly line: string;
}

/** What the second matrix has otherwise than the first: pods and services that came or went, then pair by pair. */
export function matrixDiff(before: Matrix, after: Matrix): MatrixChange[] {
  const out: MatrixChange[] = [];
  const rows = new Map(after.plan.podNames.map((n, i) => [n, i]));
  const columns = new Map(after.targets.map((n, i) => [n, i]));
  const had = new Set(before.targets);
  for (const name of before.targets)
    if (!columns.has(name)) out.push({ kind: "disappears", line: `disappears ${name}` });
  for (const name of after.targets)
    if (!had.has(name)) out.push({ kind: "appears", line: `appears ${name}` });
  // A family that only one side has pods of is a port that only that side has.
  const ports = new Map([...before.plan.ports, ...after.plan.ports].map((p) => [portText(p), p]));
  for (const [p, port] of ports) {
    before.plan.podNames.forEach((from, a) => {
      const a2 = rows.get(from);
      if (a2 === undefined) return;
      before.targets.forEach((to, b) => {
        const b2 = columns.get(to);
        if (b2 === undefined) return;
        const was = before.at(a, b, port);
        const is = after.at(a2, b2, port);
        if (was === is) return;
        const kind = is === OPEN ? "opens" : is === CLOSED && was !== NO_ADDRESS ? "closes" : "changes";
        const flow = `${from} -> ${to}${port.protocol === "icmp" ? `/${p}` : `:${p}`}`;
        const how = kind === "changes" ? ` (${VERDICT_NAMES[was]} to ${VERDICT_NAMES[is]})` : "";
        out.push({ kind, line: `${kind} ${flow}${how}` });
      });
    });
  }
  return out;
}

/** Which changes no expected line foresees, and which expected lines came to nothing. `*` in a line stands for anything. */
export function unexpected(
  changes: readonly MatrixChange[],
  expected: readonly string[],
): { readonly surprising: MatrixChange[]; readonly missing: string[] } {
  const patterns = expected.map((line) => {
    const source = line.split("*").map((s) => s.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
    return { line, pattern: new RegExp(`^${source.join(".*")}$`), met: false };
  });
  const surprising = changes.filter((c) => {
    const fits = patterns.filter((p) => p.pattern.test(c.line));
    for (const p of fits) p.met = true;
    return fits.length === 0;
  });
  return { surprising, missing: patterns.filter((p) => !p.met).map((p) => p.line) };
}
