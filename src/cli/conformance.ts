// podpath conformance KIND PATH...: runs recorded vectors and ends with `N passed, N failed`.

import { Command } from "commander";
import { PodpathError } from "../base/errors.js";

interface Outcome {
  readonly passed: number;
  readonly failed: number;
}
type Runner = (paths: readonly string[], write: (text: string) => void) => Promise<Outcome> | Outcome;

const RUNNERS: ReadonlyMap<string, () => Promise<Runner>> = new Map([
  ["monitor", async (): Promise<Runner> => (await import("../conformance/monitor.js")).runMonitorVectors],
  ["bpf", async (): Promise<Runner> => (await import("../conformance/bpf.js")).runBpfVectors],
  ["policy", async (): Promise<Runner> => (await import("../conformance/policy.js")).runPolicyVectors],
  ["kernel", async (): Promise<Runner> => (await import("../conformance/kernel.js")).runKernelVectors],
]);

export function conformanceCommand(): Command {
  return new Command("conformance")
    .description("run recorded vectors against the emulator; exit status 1 if any failed")
    .argument("<kind>", [...RUNNERS.keys()].join(", "))
    .argument("<path...>", "files or folders of vectors")
    .addHelpText("after", "\nExample:\n  podpath conformance monitor vectors/monitor-1.19.jsonl\n")
    .action(async (kind: string, paths: string[]) => {
      const load = RUNNERS.get(kind);
      if (load === undefined) {
        throw new PodpathError(
          "USAGE",
          `unknown kind of vectors ${kind}; there are ${[...RUNNERS.keys()].join(", ")}`,
        );
      }
      const run = await load();
      const { failed } = await run(paths, (text) => process.stdout.write(text));
      if (failed > 0) process.exitCode = 1;
    });
}
