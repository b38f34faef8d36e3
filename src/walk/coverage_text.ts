// A coverage report as text: a summary line for each kind, then what was never met, then what was, most often first.

import { COVERAGE_KINDS, type CoverageItem, type CoverageKind, type CoverageReport } from "./coverage.js";

const TITLES: Readonly<Record<CoverageKind, string>> = {
  policyRules: "policy rules",
  services: "services and their backends",
  routes: "routes",
  iptables: "iptables rules",
};

/** The report as a person reads it; ends with a newline. */
export function coverageText(r: CoverageReport): string {
  let out = "";
  for (const kind of COVERAGE_KINDS) {
    const items = r[kind];
    const met = items.filter((i) => i.hits > 0);
    const share = items.length === 0 ? "" : ` (${((met.length / items.length) * 100).toFixed(1)} %)`;
    out += `${TITLES[kind]}: ${met.length} of ${items.length} met${share}\n`;
    for (const i of items) if (i.hits === 0) out += line("never", i);
    for (const i of [...met].sort((a, b) => b.hits - a.hits)) out += line(String(i.hits), i);
  }
  if (r.lost > 0) out += `${r.lost} steps were lost: the counts are too low\n`;
  return out;
}

function line(count: string, i: CoverageItem): string {
  const p = i.position;
  const at = p === undefined ? "" : `  ${p.file}:${p.line}:${p.column}`;
  return `${count.padStart(8)}  ${i.where === "" ? "" : `${i.where}  `}${i.name}${at}\n`;
}

/**
 * Reports of several runs as one: hits of the same thing add up. Throws nothing; reports of other scenarios stand beside
 * each other.
 */
export function mergeCoverage(reports: readonly CoverageReport[]): CoverageReport {
  const merged = (kind: CoverageKind): CoverageItem[] => {
    const out = new Map<string, CoverageItem>();
    for (const r of reports) {
      for (const i of r[kind]) {
        const key = `${i.where} ${i.name}`;
        const before = out.get(key);
        out.set(key, before === undefined ? i : { ...before, hits: before.hits + i.hits });
      }
    }
    return [...out.values()];
  };
  return {
    policyRules: merged("policyRules"),
    services: merged("services"),
    routes: merged("routes"),
    iptables: merged("iptables"),
    lost: reports.reduce((n, r) => n + r.lost, 0),
  };
}
