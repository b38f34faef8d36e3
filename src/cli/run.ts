// The podpath command. Each sub-command lives in a file of its own and is loaded only when it is the one that was
// asked for (or when help lists them all), so that `podpath monitor` starts quickly.

import { Command, CommanderError, Help } from "commander";
import { isPodpathError } from "../base/errors.js";

type Loader = () => Promise<Command>;

/** Sub-commands in the order of the help. */
const COMMANDS: ReadonlyMap<string, Loader> = new Map<string, Loader>([
  ["monitor", async () => (await import("./monitor.js")).monitorCommand()],
  ["decode", async () => (await import("./decode.js")).decodeCommand()],
  ["serve", async () => (await import("./serve.js")).serveCommand()],
  ["cilium", async () => (await import("./cilium.js")).ciliumCommand()],
  ["compare", async () => (await import("./compare.js")).compareCommand()],
  ["explain", async () => (await import("./explain.js")).explainCommand()],
  ["bench", async () => (await import("./bench.js")).benchCommand()],
  ["matrix", async () => (await import("./matrix.js")).matrixCommand()],
  ["scenarios", async () => (await import("./scenarios.js")).scenariosCommand()],
  ["validate", async () => (await import("./validate.js")).validateCommand()],
  ["init", async () => (await import("./init.js")).initCommand()],
  ["schema", async () => (await import("./schema.js")).schemaCommand()],
  ["completions", async () => (await import("./completions.js")).completionsCommand(wholeProgram)],
  ["conformance", async () => (await import("./conformance.js")).conformanceCommand()],
]);

/** Exit status for bad input and bad usage. */
const EXIT_USAGE = 2;

async function programOf(loaders: Iterable<Loader>, version?: string): Promise<Command> {
  const program = new Command("podpath")
    .description("sends packets from pod to pod without a cluster: Cilium's eBPF datapath, emulated")
    .exitOverride()
    .showSuggestionAfterError(true);
  if (version !== undefined) program.version(version, "-V, --version", "print the version");
  oneLineErrors(program);
  for (const load of loaders) {
    const command = (await load()).exitOverride().showSuggestionAfterError(true);
    oneLineErrors(command);
    plainDefaults(command);
    program.addCommand(command);
  }
  return program;
}

/** Of options that may be given several times, the empty list that they start with is no default to tell. */
function plainDefaults(command: Command): void {
  command.configureHelp({
    optionDescription(option) {
      const empty = Array.isArray(option.defaultValue) && option.defaultValue.length === 0;
      const shown = empty ? Object.create(option, { defaultValue: { value: undefined } }) : option;
      return Help.prototype.optionDescription.call(this, shown);
    },
  });
}

/** Commander's errors in the form of all others: one line, and where to read on. */
function oneLineErrors(command: Command): void {
  command.configureOutput({
    outputError: (text, write) => {
      const line = text
        .trim()
        .replace(/^error: /, "")
        .replace(/\.?\s*\n\((.+?)\??\)$/, "; $1?");
      const name = command.name() === "podpath" ? "podpath" : `podpath ${command.name()}`;
      write(
        `podpath: ${line.replace("; Did you", "; did you").replace(/\.$/, "")}; ${name} --help says more\n`,
      );
    },
  });
}

/** The program with all its commands. */
export function wholeProgram(): Promise<Command> {
  return programOf(COMMANDS.values());
}

/**
 * Runs one command line (without `node` and the script). Gives the exit status; never throws for bad input. `version` is
 * the package's own, which only the entry knows where to find: these modules also run bundled, from another folder.
 */
export async function main(argv: readonly string[], version?: string): Promise<number> {
  // `help X` of an unknown X is an unknown command, not a reason to list all.
  const args = argv[0] === "help" && argv.length > 1 && !COMMANDS.has(argv[1]!) ? argv.slice(1) : argv;
  const wanted = args.find((a) => !a.startsWith("-"));
  const one = wanted === undefined ? undefined : COMMANDS.get(wanted);
  const program = await (one === undefined
    ? programOf(COMMANDS.values(), version)
    : programOf([one], version));
  try {
    await program.parseAsync([...args], { from: "user" });
    return typeof process.exitCode === "number" ? process.exitCode : 0;
  } catch (e) {
    if (e instanceof CommanderError) return e.exitCode === 0 ? 0 : EXIT_USAGE;
    if (isPodpathError(e)) {
      process.stderr.write(`podpath: ${String(e)}\n`);
      return EXIT_USAGE;
    }
    throw e;
  }
}
