#!/usr/bin/env node
// The podpath command's entry. Most of a short run is Node finding, reading and compiling some two hundred modules, so
// the build leaves them in one file with V8's code cache beside it (bundle.ts); where that is missing or of another V8,
// the modules themselves are loaded, or compiled anew, and only time is lost.

import { readFileSync, statSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { Script } from "node:vm";

type Main = (argv: readonly string[], version: string) => Promise<number>;

/** The version in package.json, which lies beside dist/ both in the repository and in the published package. */
function packageVersion(): string {
  const file = new URL("../../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

/** The bundled command line, or undefined where there is no bundle. */
function bundled(): Main | undefined {
  const file = fileURLToPath(new URL("../../podpath.cjs", import.meta.url));
  let source: string;
  let cachedData: Buffer | undefined;
  try {
    // A bundle older than its modules is a leftover of a build without the last step.
    if (statSync(file).mtimeMs < statSync(new URL("run.js", import.meta.url)).mtimeMs) return undefined;
    source = readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
  try {
    cachedData = readFileSync(`${file}.cache`);
  } catch {
    // Compiled from source, then.
  }
  const script = new Script(source, { filename: file, ...(cachedData === undefined ? {} : { cachedData }) });
  const module = { exports: {} as { main: Main } };
  (script.runInThisContext() as (m: typeof module, e: object, r: NodeJS.Require) => void)(
    module,
    module.exports,
    createRequire(import.meta.url),
  );
  return module.exports.main;
}

// A closed pipe (`podpath monitor | head`) ends the program quietly, as it ends any filter; a full disk with a line.
process.stdout.on("error", (e: NodeJS.ErrnoException) => {
  if (e.code === "EPIPE") process.exit(0);
  writeSync(2, `podpath: cannot write standard output: ${e.message}\n`);
  process.exit(2);
});

const main = bundled() ?? (await import("./run.js")).main;
process.exitCode = await main(process.argv.slice(2), packageVersion());
