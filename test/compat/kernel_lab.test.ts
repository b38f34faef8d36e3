// Random networks, rules and traffic on the real kernel and in the model: frames of every device, senders' results,
// netfilter's trace and counters must agree. Needs root, kernel-lab and its tools.
//
//   PODPATH_KERNEL_LAB=/path/to/kernel-lab [PODPATH_KERNEL_LABS=200] [PODPATH_KERNEL_SEED=1] [PODPATH_KERNEL_JOBS=3]
//     [PODPATH_KERNEL_KEEP=DIR] npx vitest run --config test/vitest.config.ts test/compat/kernel_lab
//
// With PODPATH_KERNEL_KIND=lossy the labs are pairs of pods whose router drops every n-th TCP packet; with
// PODPATH_KERNEL_KIND=tunnel they are nodes joined by IPIP or Geneve, with IPVS services (needs ipip, geneve, dummy, ip_vs;
// where the kernel lacks them, kernel-lab's `vm.sh ... run-json` records the same files on another kernel).
//
// The model sends when the recording's script did and counts the recording machine's jiffies. What the kernel does not
// decide twice in the same way (on which CPU a timer was armed, whether an ACK overtook the script, what arrives while
// the counters are read) can still differ: a lab agrees if the model equals one of up to three recordings of it. How
// many labs needed more than one is printed.

import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { Prng } from "../../src/base/prng.js";
import { runKernelVectors } from "../../src/conformance/kernel.js";
import { lossyLab } from "../support/lossy_lab.js";
import { randomLab } from "../support/random_lab.js";
import { tunnelLab } from "../support/tunnel_lab.js";

const LAB = process.env.PODPATH_KERNEL_LAB ?? "";
const COUNT = Number(process.env.PODPATH_KERNEL_LABS ?? 20);
const SEED = Number(process.env.PODPATH_KERNEL_SEED ?? 1);
/** Labs recorded at the same time: a recording mostly waits. */
const JOBS = Number(process.env.PODPATH_KERNEL_JOBS ?? 3);
const RECORDINGS = 3;
const KINDS = {
  random: (seed: number, name: string) => randomLab(new Prng(seed), name, seed % 2 === 1),
  lossy: (seed: number, name: string) => lossyLab(new Prng(seed), name),
  tunnel: (seed: number, name: string) => tunnelLab(new Prng(seed), name),
};
const KIND = (process.env.PODPATH_KERNEL_KIND ?? "random") as keyof typeof KINDS;
const why =
  LAB === ""
    ? "PODPATH_KERNEL_LAB is not set"
    : !existsSync(LAB)
      ? `${LAB} does not exist`
      : process.getuid?.() !== 0
        ? "needs root to create network namespaces"
        : "";

/** Wall-clock time (µs) at which jiffies were 0 modulo 2^24; undefined where /proc/timer_list does not tell. */
function jiffy0Us(): number | undefined {
  const text = existsSync("/proc/timer_list") ? readFileSync("/proc/timer_list", "utf8") : "";
  const mono = /^now at (\d+) nsecs/m.exec(text);
  const jiffies = /^jiffies: (\d+)/m.exec(text);
  if (mono === null || jiffies === null) return undefined;
  // Jiffies count on from a start of their own at multiples of 4 ms of the monotonic clock.
  const start = Number(jiffies[1]) - Math.floor(Number(mono[1]) / 4e6);
  const offsets: number[] = [];
  for (let i = 0; i < 50; i++) {
    const wall = (performance.timeOrigin + performance.now()) * 1000;
    offsets.push(wall - Number(process.hrtime.bigint()) / 1000);
  }
  return Math.min(...offsets) - (start % 2 ** 24) * 4000;
}

/** Records lab `seed` below `dir` and compares; "" or the differences. */
async function attempt(dir: string, seed: number, nth: number): Promise<string> {
  const name = `${KIND}-${seed}`;
  const file = join(dir, `${name}.json`);
  const out = join(dir, String(nth));
  writeFileSync(file, JSON.stringify(KINDS[KIND](seed, name)));
  try {
    await promisify(execFile)(LAB, ["run-json", "-o", out, file], { timeout: 120_000 });
  } catch (e) {
    // A capture that lost packets, a command that timed out: not the model's fault, but no recording either.
    return `not recorded: ${(e as Error).message}\n`;
  }
  const recorded = join(out, name, "topology.json");
  const clock = jiffy0Us();
  if (clock !== undefined) {
    const topo = JSON.parse(readFileSync(recorded, "utf8")) as object;
    writeFileSync(recorded, JSON.stringify({ ...topo, clock: { jiffy0_us: clock } }, null, 1));
  }
  let text = "";
  const { failed } = runKernelVectors([join(out, name)], (t) => {
    text += t;
  });
  return failed === 0 ? "" : text;
}

/** At most JOBS at a time. */
class Slots {
  #free = JOBS;
  readonly #waiting: (() => void)[] = [];

  async take(): Promise<void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}

describe.skipIf(why !== "")(
  `${KIND} labs against the kernel${why === "" ? "" : ` (skipped: ${why})`}`,
  () => {
    const keep = process.env.PODPATH_KERNEL_KEEP;
    const dir = why !== "" ? "" : (keep ?? mkdtempSync(join(tmpdir(), "podpath-labs-")));
    if (why === "") mkdirSync(dir, { recursive: true });
    const slots = new Slots();
    /** How many labs agreed with their first, second, third recording; and with none. */
    const tally = new Array<number>(RECORDINGS + 1).fill(0);

    afterAll(() => {
      if (keep === undefined) rmSync(dir, { recursive: true, force: true });
      const again = tally.slice(1, RECORDINGS).map((n, i) => `${n} with recording ${i + 2}`);
      console.log(
        `${COUNT - tally[RECORDINGS]!} of ${COUNT} ${KIND} labs (seeds ${SEED} to ${SEED + COUNT - 1}) agree: ` +
          `${tally[0]} with the first recording, ${again.join(", ")}`,
      );
    });

    for (let i = 0; i < COUNT; i++) {
      const seed = SEED + i;
      it.concurrent(`lab ${seed} gives the same frames, results and netfilter path`, {
        timeout: 3_600_000,
      }, async () => {
        await slots.take();
        try {
          let text = "";
          let n = 0;
          for (; n < RECORDINGS; n++) {
            text = await attempt(dir, seed, n + 1);
            if (text === "") break;
          }
          tally[n]!++;
          expect(text).toBe("");
        } finally {
          slots.give();
        }
      });
    }
  },
);
