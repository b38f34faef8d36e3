// The parts of `podpath bench` that are about a node's Linux stack: kube-proxy with many services, and a forwarded packet
// of an established flow.

import { FORWARD_CASES, type ForwardCase, forwardBench } from "../bench/forwarding.js";
import { type ServiceCase, ServiceLab, serviceCaseName, serviceCases } from "../bench/service_scale.js";
import { type BenchCase, type MeasureOptions, measure } from "../bench/suite.js";

/** How to measure; null: rules and model only. */
export type Measuring = MeasureOptions | null;

interface Figures {
  /** Rules that one packet was compared with. */
  readonly rulesPerPacket: number;
  /** Modelled CPU time of the real path. */
  readonly modelNs: number;
  /** Of the emulator; null when it was not measured, or what cannot be told of allocation. */
  readonly nsPerPacket: number | null;
  readonly packetsPerSec: number | null;
  readonly bytesPerPacket: number | null;
}

export interface ServiceRow extends ServiceCase, Figures {}

export interface ForwardRow extends Figures {
  readonly name: string;
  readonly rulesInstalled: number;
}

export interface LinuxResults {
  readonly services: readonly ServiceRow[];
  /** How long the control plane took. */
  readonly build: readonly { readonly mode: string; readonly services: number; readonly ms: number }[];
  readonly forwarding: readonly ForwardRow[];
}

/** The cases whose names hold `only`. */
export function linuxCases(
  counts: readonly number[],
  only: string | undefined,
): { readonly services: readonly ServiceCase[]; readonly forwarding: readonly ForwardCase[] } {
  const wanted = (name: string): boolean => only === undefined || name.includes(only);
  return {
    services: serviceCases(counts).filter((c) => wanted(serviceCaseName(c))),
    forwarding: FORWARD_CASES.filter((c) => wanted(c.name)),
  };
}

/** Runs them. */
export function runLinuxCases(
  cases: ReturnType<typeof linuxCases>,
  how: Measuring,
  progress: (text: string) => void,
): LinuxResults {
  const services: ServiceRow[] = [];
  const build: { mode: string; services: number; ms: number }[] = [];
  let lab: ServiceLab | undefined;
  for (const c of cases.services) {
    progress(serviceCaseName(c));
    if (lab?.mode !== c.mode || lab.services !== c.services) {
      lab = new ServiceLab(c.mode, c.services, () => performance.now());
      build.push({ mode: c.mode, services: c.services, ms: lab.buildMs });
    }
    const { walk, bench } = lab.prepare(c);
    services.push({ ...c, rulesPerPacket: walk.rules, modelNs: walk.modelNs, ...speed(bench, how) });
  }
  const forwarding = cases.forwarding.map((c): ForwardRow => {
    progress(c.name);
    const { rules, installed, modelNs, bench } = forwardBench(c);
    return { name: c.name, rulesInstalled: installed, rulesPerPacket: rules, modelNs, ...speed(bench, how) };
  });
  return { services, build, forwarding };
}

function speed(
  bench: BenchCase,
  how: Measuring,
): Pick<Figures, "nsPerPacket" | "packetsPerSec" | "bytesPerPacket"> {
  if (how === null) return { nsPerPacket: null, packetsPerSec: null, bytesPerPacket: null };
  const r = measure("linux", bench, how);
  return { nsPerPacket: r.nsPerOp, packetsPerSec: r.opsPerSec, bytesPerPacket: r.bytesPerOp };
}

/** Tables of the results; empty without any. */
export function linuxText(r: LinuxResults): string {
  let out = "";
  if (r.services.length > 0) {
    const counts = [...new Set(r.services.map((s) => s.services))];
    const names = [...new Set(r.services.map(rowName))];
    const cells = (what: string, cell: (s: ServiceRow) => number | null): string =>
      table([
        [what, ...counts.map(whole)],
        ...names.map((name) => [
          name,
          ...counts.map((n) => {
            const s = r.services.find((x) => x.services === n && rowName(x) === name);
            return s === undefined ? "-" : whole(cell(s));
          }),
        ]),
      ]);
    out += "\nkube-proxy with so many services: a datagram to a ClusterIP, from pod to pod of one node\n";
    out += cells("rules evaluated per packet", (s) => s.rulesPerPacket);
    if (r.services.some((s) => s.nsPerPacket !== null))
      out += cells("ns/packet of the emulator", (s) => s.nsPerPacket);
    out += cells("modelled ns of the real path", (s) => s.modelNs);
    const ms = (mode: string): string[] => [
      `${mode}, programmed in ms`,
      ...counts.map((n) => whole(r.build.find((x) => x.mode === mode && x.services === n)?.ms ?? null)),
    ];
    out += table([...new Set(r.build.map((x) => x.mode))].map(ms));
  }
  if (r.forwarding.length > 0) {
    out += "\n";
    out += table([
      [
        "in at one veth of a node and out at another",
        "rules installed",
        "rules/packet",
        "ns/packet",
        "bytes/packet",
        "model ns",
      ],
      ...r.forwarding.map((f) => [
        f.name,
        whole(f.rulesInstalled),
        whole(f.rulesPerPacket),
        whole(f.nsPerPacket),
        f.bytesPerPacket === null ? "-" : f.bytesPerPacket.toFixed(2),
        whole(f.modelNs),
      ]),
    ]);
  }
  return out;
}

const rowName = (s: ServiceRow): string => `${s.mode}, ${s.state} connection, service ${s.position}`;

const whole = (n: number | null): string => (n === null ? "-" : Math.round(n).toLocaleString("en-US"));

/** Names to the left, numbers to the right, in columns that do not depend on the figures. */
function table(rows: readonly (readonly string[])[]): string {
  const width = rows[0]!.map((_, i) => Math.max(i === 0 ? 44 : 10, ...rows.map((r) => r[i]!.length)));
  return rows
    .map((r) => `${r.map((c, i) => (i === 0 ? c.padEnd(width[i]!) : c.padStart(width[i]!))).join("  ")}\n`)
    .join("");
}
