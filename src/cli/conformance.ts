// podpath conformance KIND PATH...: runs recorded vectors and ends with `N passed, N failed`.

import { Argument, Command } from "commander";
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
    .addArgument(new Argument("<kind>", "what was recorded").choices([...RUNNERS.keys()]))
    .argument("<path...>", "files or folders of vectors")
    .addHelpText("after", "\nExample:\n  podpath conformance monitor vectors/monitor-1.19.jsonl\n")
    .action(async (kind: string, paths: string[]) => {
      const run = await RUNNERS.get(kind)!();
      const { passed, failed } = await run(paths, (text) => process.stdout.write(text));
      if (passed + failed === 0)
        throw new PodpathError("USAGE", `there are no ${kind} vectors in ${paths.join(", ")}`);
      if (failed > 0) process.exitCode = 1;
    });
}
