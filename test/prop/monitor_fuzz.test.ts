// Random and mutated samples through every form of every release: no exception, bounded output, flat memory.
// PODPATH_FUZZ_N=1000000 npx vitest run --config test/vitest.config.ts test/prop/monitor_fuzz is the long run.

import { existsSync, readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { encodeAgentNotification } from "../../monitor/agent.js";
import { MonitorFormatter } from "../../monitor/format.js";
import { PROFILE_NAMES } from "../../monitor/release.js";
import { Prng } from "../../src/base/prng.js";
import { fromHex, toHex } from "../../src/net/view.js";
import { allDatapathSamples } from "../support/monitor_samples.js";

const COUNT = Number(process.env.PODPATH_FUZZ_N ?? 20_000);

/** Forms of the command line. */
const FORMS = [
  {},
  { verbosity: 1 },
  { verbosity: 2 },
  { verbosity: 2, hex: true },
  { verbosity: 2, numeric: true },
  { json: true },
];

function corpus(): Uint8Array[] {
  const out = allDatapathSamples();
  out.push(
    encodeAgentNotification({ type: 2, text: '{"time":"2021-11-02T03:04:05Z"}' }),
    encodeAgentNotification({ type: 0, text: "" }),
  );
  // Access-log records have long type descriptions that random bytes never hit; recorded ones are taken if there.
  for (const release of PROFILE_NAMES) {
    const file = new URL(`../../../shared/vectors/monitor-${release}.jsonl`, import.meta.url);
    if (!existsSync(file)) continue;
    for (const line of readFileSync(file, "utf8").split("\n")) {
      if (!line.includes('"cat":"l7"') && !line.includes('"cat": "l7"')) continue;
      out.push(fromHex((JSON.parse(line) as { hex: string }).hex)!);
    }
  }
  return out;
}

/** One sample: random bytes, or a known one with bytes changed, cut, repeated or joined with another. */
function mutate(seeds: readonly Uint8Array[], rng: Prng): Uint8Array {
  const seed = seeds[rng.below(seeds.length)]!;
  switch (rng.below(6)) {
    case 0: {
      const b = new Uint8Array(1 + rng.below(200));
      for (let i = 0; i < b.length; i++) b[i] = rng.nextInt32();
      // Mostly of a known type, since the others all print the same.
      if (rng.below(4) !== 0) b[0] = [1, 2, 3, 4, 5, 6, 7, 129, 130][rng.below(9)]!;
      return b;
    }
    case 1:
      return seed.slice(0, 1 + rng.below(seed.length));
    case 2: {
      const other = seeds[rng.below(seeds.length)]!;
      const at = 1 + rng.below(seed.length);
      const from = rng.below(other.length);
      const b = new Uint8Array(at + other.length - from);
      b.set(seed.subarray(0, at));
      b.set(other.subarray(from), at);
      return b;
    }
    default: {
      const b = seed.slice();
      for (let n = 1 + rng.below(8); n > 0; n--) {
        const at = rng.below(b.length);
        // Boundary values break more than random ones.
        const how = rng.below(4);
        if (how === 0) b[at] = [0, 1, 2, 4, 5, 15, 127, 128, 255][rng.below(9)]!;
        else if (how === 1) b[at]! ^= 1 << rng.below(8);
        else b[at] = rng.nextInt32();
      }
      return b;
    }
  }
}

/**
 * The longest line that the real program can print for a sample: hex and layer lines have a fixed upper bound, the
 * bytes of an unknown event take four characters each, and a JSON line holds at most one line of each kind of layer
 * twice; text of agent and access-log samples grows sixfold when every character is escaped.
 */
function lineBound(sample: Uint8Array, json: boolean): number {
  const type = sample[0]!;
  if (type === 129 || type === 130) return 2000 + 8 * sample.length;
  if (type === 0 || type > 7) return 40 + 4 * sample.length;
  return Math.max(json ? 20_000 : 1400, 40 + 4 * sample.length);
}

function usedHeap(): number {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  gc();
  gc();
  return process.memoryUsage().heapUsed;
}

describe("fuzz", () => {
  it(`${COUNT} samples print within bounds in every form and release`, { timeout: 3_600_000 }, () => {
    const seeds = corpus();
    const rng = new Prng(20261121);
    const formatters = PROFILE_NAMES.flatMap((profile) =>
      FORMS.map((form) => ({
        json: "json" in form,
        f: new MonitorFormatter({
          profile,
          ...form,
          ifnames: (i) => (i === 26 ? "lxc5f949d4fd7fa" : undefined),
        }),
      })),
    );
    const problems: string[] = [];
    const heap: number[] = [];
    let characters = 0;
    for (let i = 0; i < COUNT && problems.length < 5; i++) {
      if (i % Math.max(1, COUNT >> 3) === 0) heap.push(usedHeap());
      const sample = mutate(seeds, rng);
      const cpu = rng.below(300);
      for (const { f, json } of formatters) {
        let text: string;
        try {
          text = f.format(cpu, sample);
        } catch (e) {
          problems.push(`${f.profile.name}: ${(e as Error).stack}\n${toHex(sample)}`);
          break;
        }
        characters += text.length;
        const bound = lineBound(sample, json);
        let from = 0;
        for (let lines = 0; from < text.length; lines++) {
          const nl = text.indexOf("\n", from);
          const end = nl < 0 ? text.length : nl;
          if (end - from > bound || lines > 20 + sample.length) {
            problems.push(`${f.profile.name}: a line of ${end - from} characters\n${toHex(sample)}`);
            break;
          }
          from = end + 1;
        }
      }
    }
    expect(problems).toEqual([]);
    expect(characters).toBeGreaterThan(COUNT * 100);
    // Flat: what is kept after the first eighth (compiled code, caches) does not grow with the number of samples.
    const growth = Math.max(...heap.slice(1)) - heap[1]!;
    expect(growth).toBeLessThan(16 * 1024 * 1024);
  });
});
