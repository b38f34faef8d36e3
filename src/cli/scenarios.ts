// podpath scenarios: the embedded scenarios, by name; `podpath scenarios NAME` prints one as YAML.

import { Command } from "commander";
import { PodpathError } from "../base/errors.js";
import { EMBEDDED } from "../scenario/embedded/index.js";
import { loadScenario } from "../scenario/load.js";

export function scenariosCommand(): Command {
  return new Command("scenarios")
    .description("list the embedded scenarios, or print one")
    .argument("[name]", "scenario to print as YAML")
    .addHelpText("after", "\nExample:\n  podpath scenarios cilium-native-routing\n")
    .action((name: string | undefined) => {
      if (name !== undefined) {
        const text = EMBEDDED.get(name);
        if (text === undefined) throw unknownScenario(name);
        process.stdout.write(text);
        return;
      }
      const width = Math.max(...[...EMBEDDED.keys()].map((n) => n.length));
      for (const [n, text] of EMBEDDED) {
        process.stdout.write(`${n.padEnd(width)}  ${loadScenario(text, n).description}\n`);
      }
    });
}

/** The error for a name that is neither an embedded scenario nor a file. */
export function unknownScenario(name: string): PodpathError {
  return new PodpathError(
    "SCENARIO_NOT_FOUND",
    `no embedded scenario and no file is called ${name}; embedded are: ${[...EMBEDDED.keys()].join(", ")}`,
  );
}
