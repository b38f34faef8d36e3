// podpath explain [SCENARIO] --flow F: why a flow gets through, or what stops it and what would let it through.

import { Command } from "commander";
import { at, type Explanation, explainFlow, explainScenario } from "../walk/explain.js";
import { parseFlow, prepare } from "../walk/flow.js";
import { addLabFlags, type LabFlags, openLab } from "./scenario_arg.js";

interface Flags extends LabFlags {
  readonly flow?: string;
  readonly json?: boolean;
}

/** The `explain` command. */
export function explainCommand(): Command {
  return addLabFlags(new Command("explain"))
    .description("say why a flow is delivered or dropped, which rule decided, and what would change it")
    .option(
      "--flow <flow>",
      "what to send, like 'pod/a -> pod/b:80/tcp' (default: the scenario's first flow that fails)",
    )
    .option("--json", "print the explanation as JSON")
    .addHelpText("after", "\nExample:\n  podpath explain cilium-native-routing --datapath cilium-legacy\n")
    .action((scenario: string | undefined, flags: Flags) => {
      const asked = flags.flow === undefined ? undefined : parseFlow(flags.flow);
      const lab = openLab(scenario, flags, undefined);
      if (asked !== undefined) prepare(lab);
      const e = asked === undefined ? explainScenario(lab) : explainFlow(lab, asked);
      process.stdout.write(flags.json === true ? `${JSON.stringify(e, null, 2)}\n` : explanationText(e));
    });
}

/** An explanation as text. */
export function explanationText(e: Explanation): string {
  let out = `${e.flow}: ${e.kind === "delivered" ? "delivered" : `not delivered (${e.kind})`}\n`;
  out += `${e.verdict}\n`;
  if (e.kind !== "delivered") out += `packet: ${e.packet}, last seen at ${e.where}\n`;
  if (e.decisions.length > 0) {
    out += "decisions on the way:\n";
    for (const d of e.decisions)
      out += `  ${d.where}: ${d.what}${d.position === undefined ? "" : ` (${at(d.position)})`}\n`;
  }
  if (e.candidates.length > 0) {
    out += "what might have let it through:\n";
    for (const c of e.candidates) {
      out += `  ${c.what}${c.position === undefined ? "" : ` (${at(c.position)})`}\n`;
      for (const f of c.failed) out += `    but ${f}\n`;
      if (c.change !== undefined) out += `    change: ${c.change}\n`;
    }
  }
  if (e.change !== undefined) out += `smallest change: ${e.change}\n`;
  if (e.hostRouting !== undefined)
    out += `host routing is ${e.hostRouting.mode === "bpf" ? "BPF" : "Legacy"}: ${e.hostRouting.reason}\n`;
  return out;
}
