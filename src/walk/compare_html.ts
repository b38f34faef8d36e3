// A comparison as one page without network: nodes, devices and hooks as boxes, the packet's way through each datapath as
// a coloured path, stations of all datapaths at the same height so that what one skips stands open in its drawing.
// Drawn here as SVG; the page's own script (compare_page.ts) only moves the marker and fills in bytes and fields.

import { Step } from "../bpf/steps.js";
import { alignKeys } from "./align.js";
import {
  type ComparedDirection,
  type ComparedStep,
  type ComparedWalk,
  type Comparison,
  comparisonTitle,
  DIFFERENCE_LABELS,
  type Difference,
  hexOf,
} from "./compare.js";
import { PAGE_SCRIPT, PAGE_STYLE } from "./compare_page.js";
import { stepLine } from "./compare_text.js";
import { COUNT_LABELS, type CountName } from "./counts.js";

const COLORS = ["#1b6ac9", "#c4500c", "#1f7a3d", "#8b3fa8", "#8a6d00", "#b0244f"];

type Column = 0 | 1 | 2;

/** A box that the path goes through. */
interface Station {
  readonly key: string;
  readonly where: string;
  readonly column: Column;
  readonly label: string;
  readonly drop: boolean;
  /** First and last step that happen in it. */
  readonly first: number;
  last: number;
}

/** The page as text. */
export function comparisonHtml(c: Comparison): string {
  const data = {
    names: c.datapaths.map((d) => d.name),
    dirs: c.directions.map((d) => {
      const drawings = d.walks.map((w) => (w === undefined ? [] : stationsOf(w)));
      return {
        direction: d.direction,
        rows: d.rows,
        walks: d.walks.map((w, i) => (w === undefined ? null : walkData(w, drawings[i]!))),
      };
    }),
  };
  const json = JSON.stringify(data).replaceAll("<", "\\u003c");
  const panels = c.directions
    .map((d, k) => {
      const svgs = drawDirection(c, d);
      const figures = c.datapaths
        .map(
          (dp, i) =>
            `<figure class="panel" data-dp="${i}" style="--c:${COLORS[i % COLORS.length]}">` +
            `<figcaption><b>${esc(dp.name)}</b><span>${esc(outcome(d.walks[i]))}</span></figcaption>` +
            `<div class="scroll" tabindex="-1">${svgs[i]}</div>` +
            `<div class="step" aria-live="polite"></div></figure>`,
        )
        .join("\n");
      return `<section class="dir" data-dir="${k}"${k === 0 ? "" : " hidden"}>\n${figures}\n</section>`;
    })
    .join("\n");
  const why = c.datapaths
    .filter((d) => d.hostRouting !== undefined)
    .map(
      (d) =>
        `<li><b>${esc(d.name)}</b>: host routing ${esc(d.hostRouting!.mode)}, because ${esc(d.hostRouting!.reason)}</li>`,
    )
    .join("");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${esc(comparisonTitle(c))}</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<header>
<h1>${esc(comparisonTitle(c))}</h1>
<ul class="why">${why}</ul>
</header>
<nav aria-label="Steps">
<span class="dirs">${c.directions.map((d, k) => `<button type="button" data-show="${k}" aria-pressed="${k === 0}">${d.direction}</button>`).join("")}</span>
<button type="button" id="first" title="First step (Home)">|◀</button>
<button type="button" id="prev" title="Step back (←)">◀</button>
<input id="at" type="range" min="0" value="0" aria-label="Step">
<button type="button" id="next" title="Step (→)">▶</button>
<button type="button" id="last" title="Last step (End)">▶|</button>
<output id="count"></output>
</nav>
<main>
${panels}
<h2>What each skips and adds</h2>
${c.directions.map((d) => summaryHtml(c, d)).join("\n")}
</main>
<script type="application/json" id="data">${json}</script>
<script>${PAGE_SCRIPT}</script>
</body>
</html>
`;
}

function walkData(w: ComparedWalk, stations: readonly Station[]): unknown {
  return {
    steps: w.steps.map((s, i) => ({
      at: s.where,
      line: stepLine(s),
      ttl: s.ttl ?? null,
      bytes: s.bytes,
      changes: s.changes.map((x) => [x.field, x.from, x.to, x.off, x.len]),
      hex: hexOf(s.frame),
      station: stations.findIndex((t) => i >= t.first && i <= t.last),
    })),
  };
}

function outcome(w: ComparedWalk | undefined): string {
  if (w === undefined) return "no packet";
  const ttl = w.ttl === undefined ? "" : `, ttl ${w.ttl}`;
  const wire = w.wireBytes.length === 0 ? "" : `, ${w.wireBytes.join(" + ")} bytes on the wire`;
  return `${w.outcome}${ttl}${wire}; ${w.decided}`;
}

// --- stations --------------------------------------------------------------------------------------------------------

/** The boxes of a walk in the order of the path. */
function stationsOf(w: ComparedWalk): Station[] {
  const out: Station[] = [];
  let program: { where: string; label: string } | undefined;
  let hook: { where: string; label: string } | undefined;
  w.steps.forEach((s, i) => {
    if (s.kind === Step.PROG) program = { where: s.where, label: s.name };
    if (s.kind === Step.NF_HOOK) hook = { where: s.where, label: s.name };
    const at = placeOf(s, program, hook);
    if (s.kind === Step.PROG_END) program = undefined;
    if (![Step.NF_CHAIN, Step.NF_RULE, Step.NF_HOOK, Step.NF_CT, Step.NF_NAT, Step.IPVS].includes(s.kind))
      hook = undefined;
    const key = `${s.where}|${at.column}|${at.column === 0 ? s.role : at.label}`;
    const prev = out.at(-1);
    if (prev !== undefined && prev.key === key) prev.last = i;
    else
      out.push({
        key,
        where: s.where,
        column: at.column,
        label: at.label,
        drop: s.kind === Step.DROP,
        first: i,
        last: i,
      });
  });
  return out;
}

function placeOf(
  s: ComparedStep,
  program: { where: string; label: string } | undefined,
  hook: { where: string; label: string } | undefined,
): { column: Column; label: string } {
  if (s.kind === Step.DROP) return { column: 2, label: `drop: ${s.detail}` };
  if (program !== undefined && program.where === s.where) return { column: 1, label: program.label };
  switch (s.kind) {
    case Step.DEV_XMIT:
    case Step.DEV_RX:
    case Step.BACKLOG:
      return { column: 0, label: s.device };
    case Step.REDIRECT:
      return { column: 1, label: `redirect ${s.detail}` };
    case Step.NF_HOOK:
      return { column: 2, label: s.name };
    case Step.FIB:
      return { column: 2, label: "routing" };
    case Step.FORWARD:
      return { column: 2, label: "ip_forward" };
    case Step.NEIGH:
      return { column: 2, label: "neighbour" };
    case Step.ORIGIN:
    case Step.LOCAL_OUT:
      return { column: 2, label: "socket, ip output" };
    case Step.LOCAL_IN:
    case Step.DELIVER:
      return { column: 2, label: "local in, socket" };
    case Step.BRIDGE:
      return { column: 2, label: "bridge" };
    default:
      return { column: 2, label: hook !== undefined && hook.where === s.where ? hook.label : s.what };
  }
}

// --- drawing ---------------------------------------------------------------------------------------------------------

const WIDTH = 420;
const ROW = 34;
const BOX = 24;
const HEAD = 26;
const COLUMN_X = [18, 150, 290] as const;
const COLUMN_W = [112, 130, 114] as const;

/** One SVG for each datapath; rows are shared, so that equal stations lie at equal height. */
function drawDirection(c: Comparison, d: ComparedDirection): string[] {
  const all = d.walks.map((w) => (w === undefined ? [] : stationsOf(w)));
  const rows = alignKeys(all.map((s) => s.map((x) => x.key)));
  const groups: { where: string; from: number; to: number }[] = [];
  const y: number[] = [];
  let top = 6;
  rows.forEach((row, r) => {
    const k = row.findIndex((i) => i >= 0);
    const where = all[k]![row[k]!]!.where;
    const g = groups.at(-1);
    if (g === undefined || g.where !== where) {
      if (g !== undefined) top += 14;
      groups.push({ where, from: top, to: top });
      top += HEAD;
    }
    y[r] = top;
    top += ROW;
    groups.at(-1)!.to = top;
  });
  const height = top + 6;
  return c.datapaths.map((dp, k) => {
    const mine = all[k]!;
    const color = COLORS[k % COLORS.length]!;
    let boxes = "";
    for (const g of groups) {
      boxes += `<rect class="ns" x="6" y="${g.from}" width="${WIDTH - 12}" height="${g.to - g.from}" rx="8"/>`;
      boxes += `<text class="ns" x="16" y="${g.from + 17}">${esc(shorten(g.where, 60))}</text>`;
    }
    const points: string[] = [];
    rows.forEach((row, r) => {
      const i = row[k]!;
      const from = row.findIndex((x) => x >= 0);
      const s = i >= 0 ? mine[i]! : all[from]![row[from]!]!;
      const x = COLUMN_X[s.column];
      const w = COLUMN_W[s.column];
      const title = `<title>${esc(s.label)}${i >= 0 ? "" : ` (not met by ${esc(dp.name)})`}</title>`;
      const cls = i < 0 ? "ghost" : s.drop ? "box drop" : `box k${s.column}`;
      const id = i < 0 ? "" : ` data-station="${i}"`;
      boxes += `<g class="${cls}"${id}>${title}<rect x="${x}" y="${y[r]}" width="${w}" height="${BOX}" rx="5"/>`;
      boxes += `<text x="${x + w / 2}" y="${y[r]! + 16}">${esc(shorten(s.label, s.column === 1 ? 20 : 17))}</text></g>`;
      if (i >= 0) points.push(`${x + w / 2},${y[r]! + BOX / 2}`);
    });
    const path =
      points.length === 0 ? "" : `<polyline class="way" stroke="${color}" points="${points.join(" ")}"/>`;
    return (
      `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${esc(`${dp.name}, ${d.direction}`)}">` +
      `${boxes.replace(/<g /, `${path}<g `)}` +
      `<circle class="marker" r="7" fill="${color}" cx="-20" cy="-20"/></svg>`
    );
  });
}

function shorten(s: string, n: number): string {
  return s.length <= n ? s : `${s.slice(0, n - 1)}…`;
}

function summaryHtml(c: Comparison, d: ComparedDirection): string {
  return d.versus
    .map((v) => {
      const a = c.datapaths[v.base]!.name;
      const b = c.datapaths[v.other]!.name;
      const items = (
        [
          ["skips", v.skips],
          ["adds", v.adds],
        ] as const
      ).flatMap(([word, diff]) =>
        (Object.keys(DIFFERENCE_LABELS) as (keyof Difference)[])
          .filter((k) => diff[k].length > 0)
          .map(
            (k) =>
              `<li>${word} <b>${diff[k].length}</b> of ${DIFFERENCE_LABELS[k]}: ${esc(diff[k].join(", "))}</li>`,
          ),
      );
      const rows = (Object.keys(v.counts) as CountName[])
        .map(
          (k) => `<tr><th>${COUNT_LABELS[k]}</th><td>${v.counts[k]![0]}</td><td>${v.counts[k]![1]}</td></tr>`,
        )
        .join("");
      return (
        `<section class="summary"><h3>${esc(a)} against ${esc(b)}, ${d.direction}</h3><ul>${items.join("") || "<li>no difference</li>"}</ul>` +
        (rows === ""
          ? ""
          : `<table><thead><tr><th></th><th>${esc(a)}</th><th>${esc(b)}</th></tr></thead><tbody>${rows}</tbody></table>`) +
        "</section>"
      );
    })
    .join("\n");
}

function esc(s: string): string {
  return s.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
