// Random networks, rules and traffic on the real kernel and in the model: frames of every device, senders' results,
// netfilter's trace and counters must agree. Needs root, kernel-lab and its tools.
//
//   PODPATH_KERNEL_LAB=/path/to/kernel-lab [PODPATH_KERNEL_LABS=200] [PODPATH_KERNEL_SEED=1] npx vitest run test/compat
//
// A difference counts only if a second recording of the same lab shows it too: where a redirect falls between two
// jiffies, or what arrives while the counters are being read, differs from run to run of the kernel itself.

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Prng } from "../../src/base/prng.js";
import { runKernelVectors } from "../../src/conformance/kernel.js";
import { randomLab } from "../support/random_lab.js";

const LAB = process.env.PODPATH_KERNEL_LAB ?? "";
const COUNT = Number(process.env.PODPATH_KERNEL_LABS ?? 20);
const SEED = Number(process.env.PODPATH_KERNEL_SEED ?? 1);
const why =
  LAB === ""
    ? "PODPATH_KERNEL_LAB is not set"
    : !existsSync(LAB)
      ? `${LAB} does not exist`
      : process.getuid?.() !== 0
        ? "needs root to create network namespaces"
        : "";

/** Records lab `seed` in `dir` and compares; "" or the differences. */
function attempt(dir: string, seed: number): string {
  const name = `random-${seed}`;
  const file = join(dir, `${name}.json`);
  writeFileSync(file, JSON.stringify(randomLab(new Prng(seed), name, seed % 2 === 1)));
  rmSync(join(dir, name), { recursive: true, force: true });
  execFileSync(LAB, ["run-json", "-o", dir, file], { stdio: ["ignore", "pipe", "pipe"], timeout: 120_000 });
  let text = "";
  const { failed } = runKernelVectors([join(dir, name)], (t) => {
    text += t;
  });
  return failed === 0 ? "" : text;
}

describe.skipIf(why !== "")(`random labs against the kernel${why === "" ? "" : ` (skipped: ${why})`}`, () => {
  const dir = why === "" ? mkdtempSync(join(tmpdir(), "podpath-labs-")) : "";

  for (let i = 0; i < COUNT; i++) {
    const seed = SEED + i;
    it(`lab ${seed} gives the same frames, results and netfilter path`, { timeout: 240_000 }, () => {
      const first = attempt(dir, seed);
      expect(first === "" ? "" : attempt(dir, seed)).toBe("");
    });
  }
});
