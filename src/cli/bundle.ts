// Build step behind tsc: all modules of the command line in dist/podpath.cjs, and V8's code cache of what a first
// `podpath monitor` runs in dist/podpath.cjs.cache. main.ts says why. The benches are bundled likewise, into dist/bench:
// a bundler puts the values of constants where modules import them, which V8 does not, and the programs are a sixth
// faster for it; they are measured as they are shipped.

import { spawnSync } from "node:child_process";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { Script } from "node:vm";

const dist = new URL("../../", import.meta.url);
const file = fileURLToPath(new URL("podpath.cjs", dist));
const self = fileURLToPath(import.meta.url);

if (process.argv[2] === "--warm") {
  warm();
} else {
  const { rolldown } = await import("rolldown");
  const input = fileURLToPath(new URL("src/cli/run.js", dist));
  const build = await rolldown({ input, platform: "node", logLevel: "silent" });
  // Tail calls are shown by the names of their functions.
  const { output } = await build.generate({
    format: "cjs",
    minify: true,
    keepNames: true,
    codeSplitting: false,
  });
  // A function expression is the script's value, so that the loader needs no wrapper of its own.
  writeFileSync(file, `(function(module,exports,require){${output[0].code}\n})`);
  const bench = await rolldown({
    input: fileURLToPath(new URL("src/bench/main.js", dist)),
    platform: "node",
    logLevel: "silent",
  });
  await bench.write({ dir: fileURLToPath(new URL("bench", dist)), format: "esm", minify: true });
  chmodSync(fileURLToPath(new URL("src/cli/main.js", dist)), 0o755);
  const r = spawnSync(process.execPath, [self, "--warm"], { stdio: ["ignore", "ignore", "inherit"] });
  if (r.status !== 0) process.exitCode = 1;
}

/** Runs the main job once, so that the cache holds its functions compiled, and writes the cache. */
function warm(): void {
  const script = new Script(readFileSync(file, "utf8"), { filename: file });
  const module = { exports: {} as { main: (argv: readonly string[]) => Promise<number> } };
  (script.runInThisContext() as (m: typeof module, e: object, r: NodeJS.Require) => void)(
    module,
    module.exports,
    createRequire(import.meta.url),
  );
  process.on("exit", () => writeFileSync(`${file}.cache`, script.createCachedData()));
  void module.exports.main(["monitor", "--profile", "1.11", "-v", "-v"]);
}
