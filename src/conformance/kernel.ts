// podpath conformance kernel: labs recorded on a real kernel (topology.json, one pcap per device, results.json) are
// built and run in the model; frames of every device and the senders' results are compared.

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { isPodpathError, PodpathError } from "../base/errors.js";
import type { Skb } from "../bpf/skb.js";
import type { NetDevice, Tap } from "../kernel/device.js";
import { Kernel } from "../kernel/kernel.js";
import { type BuiltTopology, buildTopology, type Topology } from "../kernel/topology.js";
import { readPcap } from "../net/pcap.js";
import { FrameNorm } from "./frame_norm.js";
import { attachLabBpf, type LabBpf } from "./kernel_lab_bpf.js";
import { applyNetfilter, checkNetfilter, eventCounts, labCommand } from "./kernel_netfilter.js";
import { type LabPace, LabRecording, recordedBurst, recordedIsn, recordedPace } from "./kernel_pace.js";
import { LabTraffic, type StepResult, type TrafficOp } from "./kernel_traffic.js";
import { ConformanceReport, type ConformanceResult, textDiff } from "./report.js";

/** topology.json as recorded. */
export interface LabTopology extends Topology {
  readonly name: string;
  readonly traffic: readonly TrafficOp[];
  readonly captures?: readonly { readonly file: string; readonly ns: string; readonly dev: string }[];
  readonly capture_skip?: Readonly<Record<string, readonly string[]>>;
  readonly linger?: number;
  /** Release of the kernel that was recorded. */
  readonly kernel?: string;
  /** Wall-clock time (µs since the epoch) at which the recording machine's jiffies were 0, modulo 2^24 of them. */
  readonly clock?: { readonly jiffy0_us: number };
}

/** Keeps copies of the frames of a device. */
class FrameTap implements Tap {
  readonly frames: Uint8Array[] = [];

  packet(_dev: NetDevice, skb: Skb, from: number): void {
    this.frames.push(skb.bytes.slice(from, skb.tail));
  }
}

/** A lab that was run. */
export interface LabRun {
  readonly built: BuiltTopology;
  readonly kernel: Kernel;
  /** Frames by capture file (`ns.dev.pcap`). */
  readonly frames: ReadonlyMap<string, readonly Uint8Array[]>;
  /** How many of them were seen before the captures began to be ended; those behind may be missing in a recording. */
  readonly inTime: ReadonlyMap<string, number>;
  /** How many conntrack events each namespace had seen by then. */
  readonly eventsInTime: ReadonlyMap<string, number>;
  readonly results: readonly { readonly step: string | undefined; readonly result: StepResult }[];
}

/** When traffic starts: away from time 0, as a machine is that was not booted this instant. */
const START_NS = 1001e9;

/**
 * What reading the state of a namespace may have lasted. No recording tells: it is the first that explains what was
 * counted, for a sender that is never answered goes on meanwhile, and entries expire. An emulated machine takes longest.
 */
const STATE_MS = [300, 120, 40, 2500] as const;

/** Builds a lab and sends its traffic, each step lasting as long as it did in the record. */
export function runLab(
  topo: LabTopology,
  pace: LabPace = { steps: [] },
  stateMs: number = STATE_MS[0],
): LabRun {
  const [major = "6", minor = "18"] = (topo.kernel ?? "6.18").split(".");
  const kernel = new Kernel({ name: topo.name, cpus: 1, release: Number(major) + Number(minor) / 100 });
  // Every frame wakes those who capture it.
  kernel.world.weight = 64;
  // The traffic starts a second after this.
  kernel.clock.set((pace.steps[0]?.atNs ?? START_NS) - 1e9);
  const built = buildTopology(kernel, topo, (name, ns, spec) => {
    applyNetfilter(name, ns, spec, topo);
    const bpf = (spec as { readonly bpf?: LabBpf }).bpf;
    if (bpf !== undefined) attachLabBpf(ns, bpf);
  });
  kernel.runUntil(kernel.clock.ns + 1e9);
  const taps = new Map<string, FrameTap>();
  for (const d of built.devs) {
    const t = new FrameTap();
    d.addTap(t);
    taps.set(`${d.ns.name}.${d.name}.pcap`, t);
  }
  const traffic = new LabTraffic(kernel, built.ns, labCommand);
  const results: { step: string | undefined; result: StepResult }[] = [];
  topo.traffic.forEach((op, i) => {
    // Reading texts only takes time: the next step begins when it did.
    if (op.op !== "tools") results.push({ step: op.id, result: traffic.run(op, pace.steps[i]) });
  });
  traffic.sleep((topo.linger ?? 0.15) * 1000);
  const inTime = new Map([...taps].map(([f, t]) => [f, t.frames.length]));
  const eventsInTime = eventCounts(built.ns);
  // Captures end one after the other, the last of them a little later than asked for.
  if (pace.endNs !== undefined) traffic.sleep((pace.endNs - kernel.clock.ns) / 1e6);
  const frames = new Map([...taps].map(([f, t]) => [f, [...t.frames]]));
  // The counters are read when the state of every namespace was: what was under way still counts.
  traffic.sleep(built.ns.size * stateMs);
  return { built, kernel, frames, inTime, eventsInTime, results };
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (e) {
    throw new PodpathError("VECTOR_INVALID", `${path}: ${(e as Error).message}`);
  }
}

/** Folders below `path` (or itself) that hold a topology.json. */
function labsOf(path: string): string[] {
  if (!existsSync(path)) throw new PodpathError("IO", `${path}: no such file or directory`);
  if (!statSync(path).isDirectory()) {
    if (basename(path) === "topology.json") return [join(path, "..")];
    throw new PodpathError("VECTOR_INVALID", `${path}: not a lab; give a folder with a topology.json`);
  }
  if (existsSync(join(path, "topology.json"))) return [path];
  return readdirSync(path)
    .sort()
    .map((n) => join(path, n))
    .filter((p) => existsSync(join(p, "topology.json")));
}

/**
 * Frames of a capture as comparable lines. `cut`: how much of each was captured, where that is less than all of it
 * (a reassembled packet is longer than the device's MTU, by which libpcap sizes its ring).
 */
export function normalized(
  frames: readonly Uint8Array[],
  raw: boolean,
  known?: ReadonlySet<number>,
  cut?: readonly (number | undefined)[],
): string[] {
  const n = new FrameNorm(known);
  const out = frames.map((f, i) => {
    const c = cut?.[i];
    return c === undefined ? n.frame(f, raw) : `cut ${n.frame(f.length > c ? f.subarray(0, c) : f, raw)}`;
  });
  for (const b of n.bad) out.push(`bad ${b}`);
  return out;
}

/** Ports and ICMP ids that a description names: everything that is not among them was chosen by the kernel. */
export function namedPorts(topo: LabTopology): ReadonlySet<number> {
  const known = new Set<number>([0x1234]);
  const walk = (v: unknown): void => {
    if (typeof v === "number") known.add(v);
    else if (typeof v === "string") for (const m of v.matchAll(/\d+/g)) known.add(Number(m[0]));
    else if (v !== null && typeof v === "object") for (const x of Object.values(v)) walk(x);
  };
  walk(topo.traffic);
  walk(topo.netns);
  // `seq` of a raw packet without an id of its own.
  known.add(1);
  return known;
}

/**
 * Lines with unicast ARP sorted where several follow each other, and those with broadcast ARP. Neighbours are asked again
 * after a second and probed after five, times that the timer wheel rounds to 32 and 256 ms: several questions leave in one
 * tick, in an order that depends on the CPU on which each timer was armed, and answers come between them or behind.
 */
function sortProbes(lines: readonly string[]): string[] {
  const out: string[] = [];
  let run: string[] = [];
  let before = 0;
  for (const l of lines) {
    const kind = !/^\w{12}<-\w{12} arp /.test(l) ? 0 : l.startsWith("ffffffffffff") ? 1 : 2;
    if (kind !== before) {
      out.push(...run.sort());
      run = [];
    }
    before = kind;
    if (kind === 0) out.push(l);
    else run.push(l);
  }
  return [...out, ...run.sort()];
}

/** LINKTYPE_RAW and the older values that mean the same. */
const isRaw = (link: number): boolean => link === 101 || link === 12 || link === 14;

function checkFrames(
  dir: string,
  lab: string,
  topo: LabTopology,
  run: LabRun,
  report: ConformanceReport,
): void {
  const known = namedPorts(topo);
  for (const c of topo.captures ?? []) {
    const path = join(dir, c.file);
    const name = `${lab} ${c.file}`;
    const pcap = readPcap(readFileSync(path));
    const raw = isRaw(pcap.header.linkType);
    const cut = pcap.packets.map((p) => (p.bytes.length < p.origLen ? p.bytes.length : undefined));
    const want = normalized(
      pcap.packets.map((p) => p.bytes),
      raw,
      known,
      cut,
    );
    const frames = run.frames.get(c.file) ?? [];
    const got = normalized(frames, raw, known, cut);
    const a = `${want.join("\n")}\n`;
    const b = `${got.join("\n")}\n`;
    const enough = want.length >= (run.inTime.get(c.file) ?? 0) && frames.length > want.length;
    const same = enough ? normalized(frames.slice(0, want.length), raw, known, cut) : got;
    if (sortProbes(want).join("\n") === sortProbes(same).join("\n")) report.pass();
    else report.fail(name, `${want.length} frames recorded, ${got.length} sent\n${textDiff(a, b)}`);
  }
}

/** A result without what depends on the wall clock. */
function stable(r: unknown, known: ReadonlySet<number>): string {
  return JSON.stringify(
    r,
    (k, v: unknown) => {
      if (k === "ms") return undefined;
      // A port that MASQUERADE chose after a collision.
      if (k === "sport" && typeof v === "number" && !known.has(v)) return "chosen";
      if (v !== null && typeof v === "object" && !Array.isArray(v))
        return Object.fromEntries(Object.entries(v).sort(([x], [y]) => (x < y ? -1 : 1)));
      return v;
    },
    1,
  );
}

function checkResults(
  dir: string,
  lab: string,
  topo: LabTopology,
  run: LabRun,
  report: ConformanceReport,
): void {
  const known = namedPorts(topo);
  const path = join(dir, "results.json");
  if (!existsSync(path)) return;
  const want = readJson(path) as { step: string; result: StepResult }[];
  const rest = [...run.results];
  for (const w of want) {
    if ("files" in w.result) continue;
    const g = rest.shift();
    const name = `${lab} results ${w.step}`;
    if (g === undefined || g.step !== (w.step ?? undefined)) {
      report.fail(name, `step is missing (ours: ${g?.step ?? "none"})`);
      continue;
    }
    const a = `${stable(w.result, known)}\n`;
    const b = `${stable(g.result, known)}\n`;
    if (a === b) report.pass();
    else report.fail(name, textDiff(a, b));
  }
}

/** Whether netfilter counted what the recording says. */
function agrees(dir: string, lab: string, topo: LabTopology, run: LabRun): boolean {
  const report = new ConformanceReport(() => {});
  checkNetfilter(dir, lab, topo, run, report);
  return report.failed === 0;
}

/** How many steps before step `i` connect from its port. */
function sameSource(topo: LabTopology, i: number): number {
  const { ns, sport } = topo.traffic[i]!;
  let n = 0;
  for (const op of topo.traffic.slice(0, i)) if (op.op === "tcp" && op.ns === ns && op.sport === sport) n++;
  return n;
}

/** Runs every lab found in `paths`. */
export function runKernelVectors(paths: readonly string[], write: (text: string) => void): ConformanceResult {
  const report = new ConformanceReport(write);
  for (const dir of paths.flatMap(labsOf)) {
    const topo = readJson(join(dir, "topology.json")) as LabTopology;
    const lab = topo.name ?? basename(dir);
    const before = report.failed;
    try {
      const recorded = join(dir, "results.json");
      const steps = existsSync(recorded) ? (readJson(recorded) as { result: { ms?: number } }[]) : [];
      const rec = new LabRecording(dir, topo);
      const ms = topo.traffic.map((_, i) => steps[i]?.result.ms);
      const pace = recordedPace(rec, topo, ms, START_NS);
      const full: LabPace = {
        ...pace,
        steps: topo.traffic.map((op, i) => ({
          ...pace.steps[i],
          ...(ms[i] === undefined ? {} : { ms: ms[i]! }),
          ...(op.op === "tcp"
            ? { isn: recordedIsn(rec, op, sameSource(topo, i)), tsoSegs: recordedBurst(rec, op) }
            : {}),
        })),
      };
      let run = runLab(topo, full);
      for (const stateMs of STATE_MS.slice(1)) {
        if (agrees(dir, lab, topo, run)) break;
        const other = runLab(topo, full, stateMs);
        if (agrees(dir, lab, topo, other)) run = other;
      }
      checkFrames(dir, lab, topo, run, report);
      checkResults(dir, lab, topo, run, report);
      checkNetfilter(dir, lab, topo, run, report);
    } catch (e) {
      if (!isPodpathError(e)) throw e;
      report.fail(lab, e.toString());
    }
    write(`${report.failed === before ? "ok  " : "FAIL"} ${lab}\n`);
  }
  return report.finish();
}
