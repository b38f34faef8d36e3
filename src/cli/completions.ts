// podpath completions SHELL: completions for bash, zsh and fish, made from the commands and options as commander has them,
// so that they cannot be out of date.

import { Argument, Command, type Option } from "commander";
import { PROFILE_NAMES } from "../../monitor/release.js";
import { DATAPATHS } from "../cluster/model.js";
import { EMBEDDED } from "../scenario/embedded/index.js";

const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = (typeof SHELLS)[number];

/** What may follow: these words, a file, these words or a file, anything, or (an option alone) nothing. */
interface Values {
  readonly words: readonly string[];
  readonly files: boolean;
}

interface OptionWords {
  /** `-v`, `--verbose`: whichever it has. */
  readonly flags: readonly string[];
  readonly description: string;
  /** Undefined: a flag without a value. */
  readonly values: Values | undefined;
}

interface CommandWords {
  readonly name: string;
  readonly description: string;
  readonly options: readonly OptionWords[];
  readonly argument: Values;
}

/** The `completions` command; `whole` gives the program with all commands. */
export function completionsCommand(whole: () => Promise<Command>): Command {
  return new Command("completions")
    .description("print completions for a shell")
    .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
    .addHelpText(
      "after",
      `
bash: podpath completions bash > ~/.local/share/bash-completion/completions/podpath
zsh:  podpath completions zsh > a folder of $fpath, as _podpath
fish: podpath completions fish > ~/.config/fish/completions/podpath.fish

Example:
  podpath completions bash
`,
    )
    .action(async (shell: Shell) => {
      process.stdout.write(completionScript(shell, wordsOf(await whole())));
    });
}

function wordsOf(program: Command): CommandWords[] {
  return program.commands.map((c) => ({
    name: c.name(),
    description: c.description(),
    options: c
      .createHelp()
      .visibleOptions(c)
      .map((o) => ({
        flags: [o.short, o.long].filter((f) => f !== undefined),
        description: o.description,
        values: valuesOf(o),
      })),
    argument: argumentOf(c.registeredArguments[0]),
  }));
}

function valuesOf(o: Option): Values | undefined {
  if (!o.required && !o.optional) return undefined;
  if (o.argChoices !== undefined) return { words: o.argChoices, files: false };
  if (o.long === "--profile") return { words: PROFILE_NAMES, files: false };
  if (o.long === "--datapath") return { words: DATAPATHS, files: false };
  if (o.long === "--scenario") return { words: [...EMBEDDED.keys()], files: true };
  return { words: [], files: /<(file|path|input)\b/.test(o.flags) };
}

function argumentOf(a: Argument | undefined): Values {
  if (a === undefined) return { words: [], files: false };
  if (a.argChoices !== undefined) return { words: a.argChoices, files: false };
  const scenarios = /scenario/.test(`${a.name()} ${a.description}`);
  return { words: scenarios ? [...EMBEDDED.keys()] : [], files: a.name() !== "name" };
}

/** The script for a shell. */
export function completionScript(shell: Shell, commands: readonly CommandWords[]): string {
  const make = { bash, zsh, fish }[shell];
  const body = make(commands);
  const note = `# Completions of podpath for ${shell}, written by: podpath completions ${shell}\n`;
  // compinit looks for its tag in the first line only.
  return shell === "zsh" ? body.replace("\n", `\n${note}`) : note + body;
}

function bash(commands: readonly CommandWords[]): string {
  const options = commands.flatMap((c) =>
    c.options.flatMap((o) =>
      o.values === undefined
        ? []
        : o.flags.map(
            (f) =>
              `    ${c.name}/${f}) words="${o.values!.words.join(" ")}" files=${bit(o.values!.files)} ;;\n`,
          ),
    ),
  );
  const own = commands.map((c) => {
    const flags = c.options.flatMap((o) => o.flags).join(" ");
    return `    ${c.name}) flags="${flags}" words="${c.argument.words.join(" ")}" files=${bit(c.argument.files)} ;;\n`;
  });
  return `_podpath() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} cmd= i flags= words= files=0 w
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in -*) ;; *) cmd=\${COMP_WORDS[i]}; break ;; esac
  done
  case $cmd/$prev in
${options.join("")}    *)
      case $cmd in
    "") flags="--help" words="${commands.map((c) => c.name).join(" ")}" ;;
${own.join("")}      esac
      [[ $cur == -* ]] && words=$flags && files=0 ;;
  esac
  COMPREPLY=()
  while IFS= read -r w; do COMPREPLY+=("$w"); done < <(
    compgen -W "$words" -- "$cur"
    ((files)) && compgen -f -- "$cur"
  )
}
complete -o filenames -F _podpath podpath
`;
}

const bit = (b: boolean): number => (b ? 1 : 0);

function zsh(commands: readonly CommandWords[]): string {
  const values = (v: Values): string => {
    const words = v.words.map((w) => w.replace(/([\\ :()])/g, "\\$1")).join(" ");
    if (v.files) return words === "" ? "_files" : `{ compadd -- ${words}; _files }`;
    return words === "" ? " " : `(${words})`;
  };
  const text = (s: string): string => s.replace(/([\\[\]:])/g, "\\$1").replace(/'/g, "'\\''");
  const cases = commands.map((c) => {
    const specs = c.options.flatMap((o) =>
      o.flags.map((f) => {
        const value = o.values === undefined ? "" : `:value:${values(o.values)}`;
        return `'*${f}[${text(o.description)}]${value}'`;
      }),
    );
    if (c.argument.words.length > 0 || c.argument.files) specs.push(`'*:argument:${values(c.argument)}'`);
    return `    ${c.name}) _arguments ${specs.join(" \\\n      ")} ;;\n`;
  });
  const names = commands.map((c) => `    '${c.name}:${text(c.description)}'\n`);
  return `#compdef podpath
_podpath() {
  local -a commands=(
${names.join("")}  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  shift words
  ((CURRENT--))
  case $words[1] in
${cases.join("")}  esac
}
_podpath "$@"
`;
}

function fish(commands: readonly CommandWords[]): string {
  const quoted = (s: string): string => `'${s.replace(/([\\'])/g, "\\$1")}'`;
  const lines = ["complete -c podpath -f"];
  for (const c of commands) {
    lines.push(`complete -c podpath -n __fish_use_subcommand -a ${c.name} -d ${quoted(c.description)}`);
    const when = `complete -c podpath -n ${quoted(`__fish_seen_subcommand_from ${c.name}`)}`;
    if (c.argument.words.length > 0) lines.push(`${when} -a ${quoted(c.argument.words.join(" "))}`);
    if (c.argument.files) lines.push(`${when} -F`);
    for (const o of c.options) {
      const flags = o.flags
        .map((f) => (f.startsWith("--") ? `-l ${f.slice(2)}` : `-s ${f.slice(1)}`))
        .join(" ");
      let value = "";
      if (o.values !== undefined) {
        value = o.values.files ? " -rF" : " -x";
        if (o.values.words.length > 0) value += ` -a ${quoted(o.values.words.join(" "))}`;
      }
      lines.push(`${when} ${flags}${value} -d ${quoted(o.description)}`);
    }
  }
  return `${lines.join("\n")}\n`;
}
