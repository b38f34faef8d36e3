// podpath compare [SCENARIO] --flow F --datapath A --datapath B: the same packets through several datapaths, side by side.

import { Command, InvalidArgumentError, Option } from "commander";
import { isPodpathError, PodpathError } from "../base/errors.js";
import { DATAPATHS, type DatapathName } from "../cluster/model.js";
import { Lab } from "../lab.js";
import { compareFlow, comparisonJson } from "../walk/compare.js";
import { comparisonPcapng } from "../walk/compare_pcapng.js";
import { comparisonMermaid, comparisonText } from "../walk/compare_text.js";
import { type FlowState, firstFlow, parseFlow, prepare } from "../walk/flow.js";
import { writeResult } from "./files.js";
import { addLabFlags, chooseScenario, type LabFlags } from "./scenario_arg.js";

interface Flags extends Omit<LabFlags, "datapath"> {
  readonly flow?: string;
  readonly datapath: readonly DatapathName[];
  readonly state: FlowState;
  readonly cold?: boolean;
  readonly json?: boolean;
  readonly mermaid?: boolean;
  readonly pcap?: string;
  readonly html?: string;
  readonly width?: number;
}

/** Datapaths compared when none is named. */
const DEFAULT_DATAPATHS: readonly DatapathName[] = ["cilium-host-routing", "cilium-legacy"];

/** The `compare` command. */
export function compareCommand(): Command {
  const command = addLabFlags(new Command("compare"), "argument", false).description(
    "send the same packets through several datapaths and lay the walks side by side",
  );
  return command
    .option(
      "--flow <flow>",
      "what to send, like 'pod/a -> pod/b:80/tcp' or 'pod/a -> service/web:80' (default: the scenario's first step)",
    )
    .addOption(
      new Option(
        "--datapath <name>",
        `a datapath to compare (repeatable; default: ${DEFAULT_DATAPATHS.join(" and ")})`,
      )
        .argParser(datapaths)
        .default([]),
    )
    .addOption(
      new Option("--state <state>", "packets of a new flow, or of one that both ends have answered")
        .choices(["new", "established"])
        .default("new"),
    )
    .option("--cold", "do not resolve neighbours beforehand")
    .option("--width <columns>", "columns of the table (default: the terminal's, else 160)", widthOf)
    .option("--json", "print the comparison as JSON")
    .option("--mermaid", "print a Mermaid sequence diagram")
    .option("--pcap <file>", "write a pcapng file with one interface for each hook")
    .option("--html <file>", "write a page to step through, without network")
    .addHelpText(
      "after",
      "\nExample:\n  podpath compare cilium-native-routing --datapath cilium-host-routing --datapath cilium-legacy\n",
    )
    .action(async (scenario: string | undefined, flags: Flags) => {
      const asked = flags.flow === undefined ? undefined : parseFlow(flags.flow);
      if (flags.json === true && flags.mermaid === true)
        throw new PodpathError("USAGE", "give --json or --mermaid, not both");
      const names = flags.datapath.length === 0 ? DEFAULT_DATAPATHS : flags.datapath;
      if (names.length < 2)
        throw new PodpathError("USAGE", "give --datapath at least twice: there is nothing to compare with");
      const labs = names.map((datapath) => labOf(scenario, { ...flags, datapath }, names));
      for (const lab of labs) prepare(lab);
      const flow = asked ?? firstFlow(labs[0]!);
      const c = compareFlow(labs, flow, { state: flags.state, cold: flags.cold ?? false });
      if (flags.pcap !== undefined) writeResult(flags.pcap, comparisonPcapng(c));
      if (flags.html !== undefined) {
        const { comparisonHtml } = await import("../walk/compare_html.js");
        writeResult(flags.html, comparisonHtml(c));
      }
      if (flags.json === true) process.stdout.write(`${JSON.stringify(comparisonJson(c), null, 2)}\n`);
      else if (flags.mermaid === true) process.stdout.write(comparisonMermaid(c));
      else if (flags.pcap === undefined && flags.html === undefined)
        process.stdout.write(comparisonText(c, { width: flags.width ?? process.stdout.columns ?? 160 }));
    });
}

/** One of the labs; what goes wrong in building it is wrong with that datapath only, and its name is said. */
function labOf(
  scenario: string | undefined,
  flags: LabFlags & { readonly datapath: DatapathName },
  names: readonly DatapathName[],
): Lab {
  const chosen = chooseScenario(scenario, flags, undefined, names);
  try {
    return Lab.fromScenario(chosen.scenario, chosen.options);
  } catch (e) {
    if (!isPodpathError(e)) throw e;
    throw new PodpathError(e.code, `with ${flags.datapath}: ${e.message}`, e.position);
  }
}

function datapaths(value: string, earlier: readonly DatapathName[]): DatapathName[] {
  const name = DATAPATHS.find((d) => d === value);
  if (name === undefined) throw new InvalidArgumentError(`Allowed choices are ${DATAPATHS.join(", ")}.`);
  return [...earlier, name];
}

function widthOf(text: string): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 40 || n > 1000)
    throw new InvalidArgumentError("Give a whole number from 40 to 1000.");
  return n;
}
