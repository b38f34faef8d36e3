import { spawnSync } from "node:child_process";
import { beforeAll, describe, expect, it } from "vitest";
import { wholeProgram } from "../../../src/cli/run.js";
import { DATAPATHS } from "../../../src/cluster/model.js";
import { EMBEDDED } from "../../../src/scenario/embedded/index.js";
import { runCli } from "../../support/cli.js";

const program = await wholeProgram();
const names = program.commands.map((c) => c.name());
const optionsOf = (name: string): string[] => {
  const c = program.commands.find((x) => x.name() === name)!;
  return c
    .createHelp()
    .visibleOptions(c)
    .flatMap((o) => [o.short, o.long].filter((f) => f !== undefined));
};

describe("podpath completions bash", () => {
  let script = "";
  beforeAll(async () => {
    script = (await runCli("completions", "bash")).out;
  });

  /** What a real bash would offer behind these words. */
  function complete(...words: string[]): string[] {
    const program = `eval "$SCRIPT"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _podpath; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const r = spawnSync("bash", ["-c", program, "bash", "podpath", ...words], {
      env: { ...process.env, SCRIPT: script },
      cwd: "/dev",
    });
    expect(r.stderr.toString()).toBe("");
    return r.stdout
      .toString()
      .split("\n")
      .filter((w) => w !== "");
  }

  it("offers all commands, and those that start as typed", () => {
    expect(complete("")).toEqual(names);
    expect(complete("comp")).toEqual(names.filter((n) => n.startsWith("comp")));
  });

  it("offers the options of the command that was typed", () => {
    for (const name of names) expect(complete(name, "-").sort()).toEqual(optionsOf(name).sort());
    expect(complete("compare", "--da")).toEqual(["--datapath"]);
  });

  it("offers an option's values behind it", () => {
    expect(complete("compare", "--datapath", "")).toEqual([...DATAPATHS]);
    expect(complete("monitor", "-v", "--profile", "1.1")).toEqual(["1.19", "1.11"]);
    expect(complete("compare", "--html", "nul")).toEqual(["null"]);
    expect(complete("monitor", "--seed", "")).toEqual([]);
  });

  it("offers scenarios and files where a scenario is taken, shells where a shell is", () => {
    expect(complete("monitor", "cil")).toEqual([...EMBEDDED.keys()].filter((n) => n.startsWith("cil")));
    expect(complete("monitor", "nul")).toEqual(["null"]);
    expect(complete("completions", "")).toEqual(["bash", "zsh", "fish"]);
  });
});

describe("podpath completions zsh and fish", () => {
  it("has every command with every option, in the words of that shell", async () => {
    const zsh = (await runCli("completions", "zsh")).out;
    const fish = (await runCli("completions", "fish")).out;
    expect(zsh.split("\n")[0]).toBe("#compdef podpath");
    for (const name of names) {
      const body = new RegExp(`^    ${name}\\) _arguments ([^]*?) ;;$`, "m").exec(zsh)?.[1] ?? "";
      const specs = [...body.matchAll(/^\s*'\*(--?[\w-]+)\[/gm)].map((m) => m[1]!);
      expect(specs).toEqual(optionsOf(name));
      const lines = fish.split("\n").filter((l) => l.includes(`'__fish_seen_subcommand_from ${name}'`));
      const flags = lines.flatMap((l) =>
        [...l.split(" -d ")[0]!.matchAll(/ -(?:l ([\w-]+)|s (\w))/g)].map((m) =>
          m[1] === undefined ? `-${m[2]}` : `--${m[1]}`,
        ),
      );
      expect(flags).toEqual(optionsOf(name));
    }
  });

  it("keeps quotes and colons of descriptions out of the shell's syntax", async () => {
    const zsh = (await runCli("completions", "zsh")).out;
    expect(zsh).toContain(
      "    'monitor:send a scenario'\\''s traffic and print the monitor stream of its nodes'\n",
    );
    expect(zsh).toContain(
      "    'decode:render monitor samples\\: JSON lines, hex lines, recordings, monitor socket streams'\n",
    );
    const fish = (await runCli("completions", "fish")).out;
    expect(fish).toContain(
      "-a serve -d 'serve a node\\'s monitor socket; Cilium\\'s own monitor attaches to it'\n",
    );
  });

  it("refuses a shell that it does not know", async () => {
    const r = await runCli("completions", "tcsh");
    expect(r.status).toBe(2);
  });
});
