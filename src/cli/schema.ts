// podpath schema: the JSON Schema of scenario files, for editors.

import { Command } from "commander";
import { scenarioJsonSchema } from "../scenario/json_schema.js";
import { PODPATH_API } from "../scenario/load.js";

/** The `schema` command. */
export function schemaCommand(): Command {
  return new Command("schema")
    .description("print the JSON Schema of scenario files, for editors")
    .addHelpText("after", "\nExample:\n  podpath schema\n")
    .action(() => {
      process.stdout.write(`${JSON.stringify(scenarioJsonSchema(PODPATH_API), null, 2)}\n`);
    });
}
