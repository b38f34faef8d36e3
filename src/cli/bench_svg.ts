// Plots of a bench run: the two kinds of figures as two charts of their own, never on one axis.

import type { BenchResult } from "./bench_parts.js";

const COLORS = ["#1b6ac9", "#c4500c", "#1f7a3d", "#8b3fa8", "#8a6d00", "#b0244f"];
const WIDTH = 900;
const LEFT = 270;
const BAR = 12;

/** The file's text. */
export function benchSvg(results: readonly BenchResult[]): string {
  const charts = [
    chart(
      "modelled CPU time of the real path, ns per operation on the nodes",
      results,
      (r) => r.model.pathNs,
    ),
    ...(results.some((r) => r.emulator !== null)
      ? [chart("speed of the emulator, packets/s", results, (r) => r.emulator?.packetsPerSec ?? 0)]
      : []),
  ];
  let y = 0;
  let body = "";
  for (const c of charts) {
    body += `<g transform="translate(0 ${y})">${c.svg}</g>`;
    y += c.height + 24;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" font-family="system-ui, DejaVu Sans, sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>${body}</svg>\n`;
}

function chart(
  title: string,
  results: readonly BenchResult[],
  value: (r: BenchResult) => number,
): { svg: string; height: number } {
  const names = [...new Set(results.map((r) => r.flow.datapath))];
  const groups = [...new Set(results.map((r) => r.name))];
  const max = Math.max(...results.map(value), 1);
  let svg = `<text x="12" y="20" font-size="14" font-weight="600">${esc(title)}</text>`;
  names.forEach((n, i) => {
    svg += `<rect x="${12 + i * 170}" y="30" width="10" height="10" fill="${COLORS[i % COLORS.length]}"/><text x="${26 + i * 170}" y="39">${esc(n)}</text>`;
  });
  let y = 54;
  for (const g of groups) {
    const rows = names.flatMap((n, i) => {
      const r = results.find((x) => x.name === g && x.flow.datapath === n);
      return r === undefined ? [] : [{ v: value(r), i }];
    });
    svg += `<text x="${LEFT - 8}" y="${y + (rows.length * BAR) / 2 + 4}" text-anchor="end">${esc(g)}</text>`;
    for (const { v, i } of rows) {
      const w = ((WIDTH - LEFT - 90) * v) / max;
      svg += `<rect x="${LEFT}" y="${y}" width="${w.toFixed(1)}" height="${BAR - 2}" fill="${COLORS[i % COLORS.length]}"/>`;
      svg += `<text x="${(LEFT + w + 4).toFixed(1)}" y="${y + BAR - 3}" font-size="10">${Math.round(v).toLocaleString("en-US")}</text>`;
      y += BAR;
    }
    y += 8;
  }
  return { svg, height: y };
}

function esc(s: string): string {
  return s.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
