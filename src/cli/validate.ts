// podpath validate FILE...: reads scenarios and builds their clusters, sends nothing, and names every mistake.

import { Command } from "commander";
import { isPodpathError, PodpathError } from "../base/errors.js";
import { Lab } from "../lab.js";
import { checkScenario } from "../scenario/load.js";
import { stepMistakes } from "../scenario/traffic.js";
import { readScenario } from "./scenario_arg.js";

/** Exit status when a scenario is wrong. */
const EXIT_INVALID = 2;

/** The `validate` command. */
export function validateCommand(): Command {
  return new Command("validate")
    .description(
      "check scenarios: read and build them, and print every mistake on a line; exit status 2 if any",
    )
    .argument("<file...>", "YAML files, embedded scenarios, or - for standard input")
    .option("-q, --quiet", "print mistakes only")
    .addHelpText("after", "\nExample:\n  podpath validate cilium-native-routing calico-kind-ipip\n")
    .action((files: string[], flags: { readonly quiet?: boolean }) => {
      let wrong = 0;
      for (const name of files) {
        const lines = mistakes(name);
        for (const line of lines) process.stderr.write(`${line}\n`);
        if (lines.length > 0) wrong++;
        else if (flags.quiet !== true) process.stdout.write(`${name}: ok\n`);
      }
      if (wrong > 0) process.exitCode = EXIT_INVALID;
    });
}

/** Every mistake of one scenario as a line with its position. */
function mistakes(name: string): string[] {
  let source: { readonly text: string; readonly file: string };
  try {
    source = readScenario(name);
  } catch (e) {
    return [lineOf(e, name)];
  }
  const { text, file } = source;
  const { scenario, errors } = checkScenario(text, file);
  if (scenario === undefined) return errors.map((e) => lineOf(e, file));
  try {
    const lab = Lab.fromScenario(scenario);
    return scenario.traffic.flatMap((step) => stepMistakes(lab, step)).map((e) => lineOf(e, file));
  } catch (e) {
    return [lineOf(e, file)];
  }
}

/** A mistake as one line; those without a position name the file. Other errors are ours, and are thrown on. */
function lineOf(e: unknown, file: string): string {
  if (!isPodpathError(e)) throw e;
  const text = e.position === undefined ? `${file}: ${e.message}` : PodpathError.prototype.toString.call(e);
  return text.replace(/\s*\n\s*/g, " ");
}
