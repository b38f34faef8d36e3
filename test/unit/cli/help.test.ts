// The examples of every command's --help are taken from its text and run.

import { spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { wholeProgram } from "../../../src/cli/run.js";
import { type CliRun, runCli } from "../../support/cli.js";
import { TestClient } from "../../support/monitor_client.js";

let dir = "";
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "podpath-help-"));
  mkdirSync(join(dir, "vectors"));
  // What the examples read: one sample, and one recorded vector.
  writeFileSync(join(dir, "samples.jsonl"), '{"cpu":8,"hex":"08010203ff"}\n');
  const text = "CPU 08: Unknown event: [8 1 2 3 255]\n";
  const record = {
    name: "unknown-type/8",
    cat: "unknown-type",
    hex: "08010203ff",
    cpu: 8,
    text_default: text,
    text_v: text,
    text_vv: text,
    json: text,
    text_hex: text,
  };
  writeFileSync(join(dir, "vectors/monitor-1.19.jsonl"), `${JSON.stringify(record)}\n`);
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

/** Words of a command line, with single quotes, as a shell reads them. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map((m) => m[1] ?? m[2]!);
}

/** The lines behind "Example:" or "Examples:" that start with podpath. */
function examplesOf(help: string): string[] {
  const at = help.search(/^Examples?:$/m);
  if (at < 0) return [];
  return help
    .slice(at)
    .split("\n")
    .map((l) => l.trim())
    .filter((l) => l.startsWith("podpath "));
}

/** Runs an example; its files are in the test's folder, and a socket of its own gets a client. */
async function run(line: string): Promise<CliRun> {
  const args = wordsOf(line)
    .slice(1)
    .map((w) => (/^[\w./-]+\.(jsonl?|html|svg|csv|ya?ml|pcapng|sock)$/.test(w) ? join(dir, w) : w));
  const done = runCli(...args);
  const socket = args.find((a) => a.endsWith(".sock"));
  if (socket === undefined) return done;
  const end = Date.now() + 30_000;
  while (!existsSync(socket) && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 5));
  await TestClient.connect(socket);
  return done;
}

const NAMES = (await wholeProgram()).commands.map((c) => c.name());

describe("podpath --version", () => {
  it("prints the version of package.json and nothing else", (ctx) => {
    const entry = new URL("../../../dist/src/cli/main.js", import.meta.url).pathname;
    if (!existsSync(entry)) return ctx.skip("the command is not built");
    const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8"));
    for (const flag of ["--version", "-V"]) {
      const r = spawnSync(process.execPath, [entry, flag], { encoding: "utf8" });
      expect({ out: r.stdout, err: r.stderr, status: r.status }).toEqual({
        out: `${version}\n`,
        err: "",
        status: 0,
      });
    }
  });
});

describe("a command whose output cannot be written", () => {
  it("says so in one line and ends with status 2", (ctx) => {
    const entry = new URL("../../../dist/src/cli/main.js", import.meta.url).pathname;
    if (!existsSync(entry)) return ctx.skip("the command is not built");
    if (!existsSync("/dev/full")) return ctx.skip("there is no /dev/full");
    const full = openSync("/dev/full", "w");
    const r = spawnSync(process.execPath, [entry, "schema"], {
      encoding: "utf8",
      stdio: ["ignore", full, "pipe"],
    });
    closeSync(full);
    expect({ err: r.stderr, status: r.status }).toEqual({
      err: "podpath: cannot write standard output: ENOSPC: no space left on device, write\n",
      status: 2,
    });
  });
});

describe("podpath COMMAND --help", () => {
  it("lists every command in podpath --help", async () => {
    const { out, status } = await runCli("--help");
    const listed = out
      .slice(out.indexOf("Commands:"))
      .split("\n")
      .flatMap((l) => /^ {2}(\w+)/.exec(l)?.[1] ?? []);
    expect(listed).toEqual([...NAMES, "help"]);
    expect(status).toBe(0);
  });

  it.for(NAMES)("shows no empty list as the default of an option of %s", async (name) => {
    expect((await runCli(name, "--help")).out).not.toContain("[])");
  });

  it.for(NAMES)("has an example for %s that runs, prints something and ends with status 0", async (name) => {
    const { out, status } = await runCli(name, "--help");
    expect(status).toBe(0);
    const examples = examplesOf(out);
    expect(examples.length).toBeGreaterThan(0);
    for (const line of examples) {
      expect(wordsOf(line)[1]).toBe(name);
      const r = await run(line);
      expect({
        line,
        err: r.err.replace(/^(Listening|Press|listening) .*\n/gm, ""),
        status: r.status,
      }).toEqual({
        line,
        err: "",
        status: 0,
      });
      const quiet = name === "serve" || / --(html|pcap|svg) /.test(line);
      if (!quiet) expect(r.out).not.toBe("");
    }
  });
});
