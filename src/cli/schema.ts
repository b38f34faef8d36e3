// podpath schema: the JSON Schema of scenario files, for editors; and the options that datapaths read, for people.

import { Command } from "commander";
import { DATAPATHS } from "../cluster/model.js";
import { optionsOf } from "../cluster/option_keys.js";
import { scenarioJsonSchema } from "../scenario/json_schema.js";
import { PODPATH_API } from "../scenario/load.js";

/** The `schema` command. */
export function schemaCommand(): Command {
  return new Command("schema")
    .description("print the JSON Schema of scenario files, for editors")
    .option("--options", "print the options that --set, cilium-config and a Datapath document know instead")
    .addHelpText("after", "\nExamples:\n  podpath schema\n  podpath schema --options\n")
    .action((flags: { readonly options?: boolean }) => {
      process.stdout.write(
        flags.options === true
          ? optionsText()
          : `${JSON.stringify(scenarioJsonSchema(PODPATH_API), null, 2)}\n`,
      );
    });
}

/** Every option with what it says, in groups with a heading. */
function optionsText(): string {
  const groups = new Map(DATAPATHS.flatMap((d) => [...optionsOf(d)]));
  const width = Math.max(...[...groups.values()].flatMap((t) => Object.keys(t).map((k) => k.length)));
  const text = [...groups].map(
    ([heading, table]) =>
      `${heading}:\n${Object.entries(table)
        .map(([k, says]) => `  ${k.padEnd(width)}  ${says}\n`)
        .join("")}`,
  );
  return text.join("\n");
}
