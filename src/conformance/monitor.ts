// podpath conformance monitor: samples recorded with Cilium's own monitor, rendered in every form that a record
// holds, byte for byte.
//
// A record: name, cat, hex (the sample), cpu, links {ifindex: name}, payload_type and lost (category `lost`),
// text_default, text_v, text_vv, text_hex, json, and text_default_n, text_vv_n where -n changes something.

import { createReadStream, readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { MonitorFormatter } from "../../monitor/format.js";
import { PAYLOAD_SAMPLE } from "../../monitor/payload.js";
import { PROFILE_NAMES } from "../../monitor/release.js";
import { PodpathError } from "../base/errors.js";
import { fromHex } from "../net/view.js";
import { ConformanceReport, type ConformanceResult, textDiff } from "./report.js";

/** One line of a vector file. */
interface MonitorRecord {
  readonly name: string;
  readonly hex: string;
  readonly cpu: number;
  readonly links?: Readonly<Record<string, string>>;
  readonly payload_type?: number;
  readonly [form: string]: unknown;
}

/** Forms of a record and the flags that give them; -n forms may be absent and then equal the one without. */
const FORMS: readonly (readonly [
  form: string,
  flags: { verbosity?: number; hex?: boolean; json?: boolean; numeric?: boolean },
  fallback?: string,
])[] = [
  ["text_default", {}],
  ["text_v", { verbosity: 1 }],
  ["text_vv", { verbosity: 2 }],
  ["text_hex", { verbosity: 2, hex: true }],
  ["json", { json: true }],
  ["text_default_n", { numeric: true }, "text_default"],
  ["text_vv_n", { verbosity: 2, numeric: true }, "text_vv"],
];

class Runner {
  #links: Readonly<Record<string, string>> = {};
  readonly #formatters: readonly MonitorFormatter[];

  constructor(
    profile: string,
    private readonly report: ConformanceReport,
  ) {
    const ifnames = (ifindex: number): string | undefined => this.#links[String(ifindex >>> 0)];
    this.#formatters = FORMS.map(([, flags]) => new MonitorFormatter({ profile, ifnames, ...flags }));
  }

  /** `lost` is apart from the record: a u64 that JSON.parse would round. */
  run(r: MonitorRecord, lost: bigint): void {
    const sample = fromHex(r.hex);
    if (sample === undefined) {
      this.report.fail(r.name, "the record's hex is not hex");
      return;
    }
    this.#links = r.links ?? {};
    const problems: string[] = [];
    FORMS.forEach(([form, , fallback], i) => {
      const expected = r[form] ?? (fallback === undefined ? undefined : r[fallback]);
      if (typeof expected !== "string") return;
      let actual: string;
      try {
        actual = this.#formatters[i]!.payload(r.payload_type ?? PAYLOAD_SAMPLE, r.cpu, lost, sample);
      } catch (e) {
        problems.push(`${form}: ${e instanceof Error ? (e.stack ?? e.message) : String(e)}`);
        return;
      }
      if (actual !== expected) problems.push(`${form}:\n${textDiff(expected, actual)}`);
    });
    if (problems.length === 0) this.report.pass();
    else this.report.fail(r.name, problems.join("\n"));
  }
}

/** `monitor-1.19.jsonl` is of profile 1.19. */
function profileOfFile(path: string): string {
  const name = basename(path);
  const profile = PROFILE_NAMES.find((p) => name.includes(p));
  if (profile === undefined) {
    throw new PodpathError(
      "VECTOR_INVALID",
      `${path}: a file of monitor vectors has its release in its name (${PROFILE_NAMES.join(", ")})`,
    );
  }
  return profile;
}

function filesOf(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    try {
      if (!statSync(path).isDirectory()) return [path];
      return readdirSync(path)
        .filter((f) => /^monitor-.*\.jsonl$/.test(f))
        .sort()
        .map((f) => join(path, f));
    } catch (e) {
      throw new PodpathError("IO", `cannot read ${path}: ${e instanceof Error ? e.message : String(e)}`);
    }
  });
}

/** Runs files, or folders of `monitor-*.jsonl`. @throws PodpathError IO, VECTOR_INVALID */
export async function runMonitorVectors(
  paths: readonly string[],
  write: (text: string) => void,
): Promise<ConformanceResult> {
  const report = new ConformanceReport(write);
  for (const file of filesOf(paths)) {
    const runner = new Runner(profileOfFile(file), report);
    let line = 0;
    for await (const text of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
      line++;
      if (text.trim() === "") continue;
      let record: MonitorRecord;
      try {
        record = JSON.parse(text) as MonitorRecord;
      } catch {
        throw new PodpathError("VECTOR_INVALID", "not a JSON record", { file, line, column: 1 });
      }
      runner.run(record, BigInt(/"lost":\s*(\d+)/.exec(text)?.[1] ?? 0));
    }
  }
  return report.finish();
}
