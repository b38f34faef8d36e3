// podpath validate FILE...: reads scenarios and builds their clusters, sends nothing, and names every mistake.

import { Command } from "commander";
import { isPodpathError, PodpathError } from "../base/errors.js";
import { isCiliumDatapath } from "../cluster/cilium/agent_config.js";
import type { CiliumPlane } from "../cluster/cilium/plane.js";
import { isPolicy } from "../cluster/cilium/policy/parse.js";
import { mistypedOption, readsOption } from "../cluster/option_keys.js";
import { Lab } from "../lab.js";
import { checkScenario, type Scenario } from "../scenario/load.js";
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
        const { lines, notes } = check(name);
        for (const line of lines) process.stderr.write(`${line}\n`);
        if (lines.length > 0) wrong++;
        else if (flags.quiet !== true)
          for (const line of [`${name}: ok`, ...notes]) process.stdout.write(`${line}\n`);
      }
      if (wrong > 0) process.exitCode = EXIT_INVALID;
    });
}

interface Checked {
  /** Every mistake as a line with its position. */
  readonly lines: readonly string[];
  /** What is no mistake, but may not be what was meant. */
  readonly notes: readonly string[];
}

function check(name: string): Checked {
  const wrong = (...lines: string[]): Checked => ({ lines, notes: [] });
  let source: { readonly text: string; readonly file: string };
  try {
    source = readScenario(name);
  } catch (e) {
    if (!isPodpathError(e)) throw e;
    // It names the file itself.
    return wrong(e.message);
  }
  const { text, file } = source;
  const { scenario, errors } = checkScenario(text, file);
  if (scenario === undefined) return wrong(...errors.map((e) => lineOf(e, file)));
  try {
    const lab = Lab.fromScenario(scenario);
    const steps = scenario.traffic.flatMap((step) => stepMistakes(lab, step));
    return {
      lines: steps.map((e) => lineOf(e, file)),
      notes: [...optionNotes(scenario, file), ...policyNotes(lab, file)],
    };
  } catch (e) {
    return wrong(lineOf(e, file));
  }
}

/** Unread options that one line names. */
const NAMED = 5;

/**
 * Options that the datapath does not read. A ConfigMap of a real cluster has hundreds, which one line counts; one that is
 * a slip of the pen away from an option has a line of its own.
 */
function optionNotes(scenario: Scenario, file: string): string[] {
  const { name, options, posOf } = scenario.cluster.datapath;
  const slips: string[] = [];
  const others: string[] = [];
  for (const key of Object.keys(options)) {
    if (readsOption(name, key)) continue;
    const nearest = mistypedOption([name], key);
    if (nearest === undefined) others.push(key);
    else {
      const note = new PodpathError(
        "USAGE",
        `note: nothing reads ${key}; did you mean ${nearest}?`,
        posOf?.(key),
      );
      slips.push(lineOf(note, file));
    }
  }
  if (others.length === 0) return slips;
  const named = others.slice(0, NAMED).join(", ");
  const more = others.length > NAMED ? `, and ${others.length - NAMED} more` : "";
  return [
    ...slips,
    `${file}: note: options that ${name} does not read, and that change nothing: ${named}${more}`,
  ];
}

/** Policies that the agent would refuse: the others apply, and nothing on the node says that one is missing. */
function policyNotes(lab: Lab, file: string): string[] {
  if (!isCiliumDatapath(lab.cluster.model.datapath.name)) return [];
  const policies = lab.cluster.model.objects.filter(isPolicy);
  return (lab.cluster as CiliumPlane).policies.rejected.map((r) => {
    const o = policies[r.index]!;
    const text = `note: the agent refuses ${o.kind} ${o.metadata.name}: ${r.error}`;
    return lineOf(new PodpathError("USAGE", text, o.pos(r.path)), file);
  });
}

/** A mistake as one line; those without a position name the file. Other errors are ours, and are thrown on. */
function lineOf(e: unknown, file: string): string {
  if (!isPodpathError(e)) throw e;
  const text = e.position === undefined ? `${file}: ${e.message}` : PodpathError.prototype.toString.call(e);
  return text.replace(/\s*\n\s*/g, " ");
}
