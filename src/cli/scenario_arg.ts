// The [SCENARIO] argument that commands share: an embedded scenario's name, a file, or - for standard input.

import { existsSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { PodpathError } from "../base/errors.js";
import { DATAPATHS, type DatapathName, type Profile } from "../cluster/model.js";
import { nearestOption, readsOption } from "../cluster/option_keys.js";
import { Lab, type LabOptions } from "../lab.js";
import { DEFAULT_SCENARIO, EMBEDDED } from "../scenario/embedded/index.js";
import { loadScenario, type Scenario } from "../scenario/load.js";
import { readText } from "./files.js";
import { unknownScenario } from "./scenarios.js";

/** Flags that choose how a scenario is built. */
export interface LabFlags {
  readonly datapath?: DatapathName;
  readonly seed?: number;
  readonly set: readonly string[];
}

/** Adds the scenario (an argument, or `-s` where the command has other arguments) and how it is built. */
export function addLabFlags(
  command: Command,
  scenario: "argument" | "option" = "argument",
  datapath = true,
): Command {
  const what = `embedded scenario, YAML file, or - for standard input (default: ${DEFAULT_SCENARIO})`;
  if (scenario === "argument") command.argument("[scenario]", what);
  else command.option("-s, --scenario <scenario>", what);
  if (datapath)
    command.addOption(
      new Option("--datapath <name>", "another datapath than the scenario's").choices(DATAPATHS),
    );
  return command
    .option("--seed <n>", "seed of everything random", seedOf)
    .option(
      "--set <key=value>",
      "an option of the control plane, as in cilium-config (repeatable); podpath schema --options lists them",
      collect,
      [],
    );
}

function collect(value: string, earlier: readonly string[]): string[] {
  return [...earlier, value];
}

function seedOf(text: string): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 0 || n > 0xffffffff)
    throw new InvalidArgumentError("Give a whole number from 0 to 4294967295.");
  return n;
}

/** The text of a scenario and its name for errors. @throws PodpathError SCENARIO_NOT_FOUND, IO */
export function readScenario(name: string = DEFAULT_SCENARIO): { text: string; file: string } {
  const embedded = EMBEDDED.get(name);
  if (embedded !== undefined) return { text: embedded, file: name };
  if (name === "-") return { text: readText(name), file: "<stdin>" };
  if (!existsSync(name)) throw unknownScenario(name);
  return { text: readText(name), file: name };
}

/** A scenario as the argument and flags ask for it, read but not built. */
export interface ChosenScenario {
  readonly scenario: Scenario;
  readonly options: LabOptions;
  /** Release that its nodes will run. */
  readonly profile: Profile;
}

/** What the flags say of how a lab is built. @throws PodpathError USAGE */
export function labOptions(flags: LabFlags, profile?: Profile): LabOptions {
  const options: Record<string, string> = {};
  for (const s of flags.set) {
    const at = s.indexOf("=");
    if (at < 1)
      throw new PodpathError("USAGE", `--set ${s}: give KEY=VALUE, such as enable-endpoint-routes=true`);
    options[s.slice(0, at)] = s.slice(at + 1);
  }
  return {
    options,
    ...(flags.datapath === undefined ? {} : { datapath: flags.datapath }),
    ...(flags.seed === undefined ? {} : { seed: flags.seed }),
    ...(profile === undefined ? {} : { profile }),
  };
}

/**
 * Reads the scenario and the flags. `read`: the datapaths that options of --set may be for, where they are not the chosen
 * one alone. @throws PodpathError
 */
export function chooseScenario(
  name: string | undefined,
  flags: LabFlags,
  profile: Profile | undefined,
  read?: readonly DatapathName[],
): ChosenScenario {
  const { text, file } = readScenario(name);
  const options = labOptions(flags, profile);
  const scenario = loadScenario(text, file);
  checkOptions(flags.set, read ?? [flags.datapath ?? scenario.cluster.datapath.name]);
  return { scenario, profile: profile ?? scenario.cluster.datapath.profile, options };
}

/**
 * Holds that each option of --set is read by one of the datapaths: in a file an option that nothing reads is a part of a
 * real cluster's configuration, but typed by hand it is a mistake. @throws PodpathError USAGE
 */
export function checkOptions(set: readonly string[], datapaths: readonly DatapathName[]): void {
  for (const s of set) {
    const key = s.slice(0, s.indexOf("="));
    if (datapaths.some((d) => readsOption(d, key))) continue;
    const nearest = nearestOption(datapaths, key);
    const elsewhere = DATAPATHS.find((d) => readsOption(d, key));
    const hint =
      elsewhere !== undefined
        ? `${elsewhere} does`
        : nearest !== undefined
          ? `did you mean ${nearest}?`
          : "podpath does not model it";
    throw new PodpathError(
      "USAGE",
      `--set ${s}: ${datapaths.join(" and ")} ${datapaths.length === 1 ? "reads" : "read"} no option ${key}; ${hint}; ` +
        "podpath schema --options lists them",
    );
  }
}

/** Builds the lab that the argument and flags ask for. @throws PodpathError */
export function openLab(name: string | undefined, flags: LabFlags, profile: Profile | undefined): Lab {
  const chosen = chooseScenario(name, flags, profile);
  return Lab.fromScenario(chosen.scenario, chosen.options);
}
