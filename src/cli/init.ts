// podpath init [FILE]: a small scenario with comments, to start from.

import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { PodpathError } from "../base/errors.js";
import { STARTER } from "../scenario/starter.js";

const DEFAULT_FILE = "podpath.yaml";

/** The `init` command. */
export function initCommand(): Command {
  return new Command("init")
    .description("write a commented starter scenario; a file that exists is left alone")
    .argument("[file]", "file to write, or - for standard output", DEFAULT_FILE)
    .addHelpText("after", "\nExample:\n  podpath init -\n")
    .action((file: string) => {
      if (file === "-") {
        process.stdout.write(STARTER);
        return;
      }
      try {
        writeFileSync(file, STARTER, { flag: "wx" });
      } catch (e) {
        if ((e as NodeJS.ErrnoException).code === "EEXIST")
          throw new PodpathError("USAGE", `${file} exists already; name another file, or remove it`);
        throw new PodpathError("IO", `cannot write ${file}: ${(e as Error).message}`);
      }
      process.stdout.write(`wrote ${file}; next:\n  podpath monitor -v ${file}\n`);
    });
}
