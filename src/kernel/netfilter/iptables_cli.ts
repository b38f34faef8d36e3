// The command `iptables` 1.8.9 (nf_tables): options, one command, what it prints and its exit status. Rules themselves
// are read by xt_parse.ts, whose words for a bad rule are its own.

import { isPodpathError } from "../../base/errors.js";
import type { CommandResult } from "../iproute.js";
import type { Netns } from "../netns.js";
import { findRule, iptables } from "./iptables.js";
import { iptablesList, iptablesSpec } from "./iptables_list.js";
import { TABLE_NAMES, type TableName, type XtChain, xtNet } from "./xtables.js";

const VERSION = "iptables v1.8.9 (nf_tables)";
const OK: CommandResult = { rc: 0, out: "" };
const fail = (message: string): CommandResult => ({ rc: 1, out: `iptables: ${message}\n` });
/** What the tool cannot make sense of. */
const usage = (message: string): CommandResult => ({
  rc: 2,
  out: `${VERSION}: ${message}\nTry \`iptables -h' or 'iptables --help' for more information.\n`,
});
const NO_CHAIN = fail("No chain/target/match by that name.");
const NO_RULE = fail("Bad rule (does a matching rule exist in that chain?).");

const LONG: Readonly<Record<string, string>> = {
  "--append": "-A",
  "--check": "-C",
  "--delete": "-D",
  "--insert": "-I",
  "--replace": "-R",
  "--list": "-L",
  "--list-rules": "-S",
  "--flush": "-F",
  "--zero": "-Z",
  "--new-chain": "-N",
  "--new": "-N",
  "--delete-chain": "-X",
  "--policy": "-P",
  "--rename-chain": "-E",
  "--numeric": "-n",
  "--verbose": "-v",
  "--exact": "-x",
  "--wait": "-w",
  "--table": "-t",
  "--version": "-V",
};

interface Parsed {
  table: string;
  /** A C D I R L S F Z N X P E V; empty without one. */
  command: string;
  /** -Z beside -L. */
  zero: boolean;
  numeric: boolean;
  verbose: boolean;
  exact: boolean;
  lineNumbers: boolean;
  /** All that is not an option of the command itself: chain, rule number, rule. */
  readonly rest: string[];
}

/** Letters in one word, -nvL, as options of their own. */
function separate(args: readonly string[]): string[] {
  return args.flatMap((a) => (/^-[nvx]+[LSZnvx]$/.test(a) ? [...a.slice(1)].map((c) => `-${c}`) : [a]));
}

function parse(argv: readonly string[]): Parsed | CommandResult {
  const p: Parsed = {
    table: "filter",
    command: "",
    zero: false,
    numeric: false,
    verbose: false,
    exact: false,
    lineNumbers: false,
    rest: [],
  };
  const args = separate(argv);
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!;
    const o = LONG[word] ?? word;
    if (o === "-t") p.table = args[++i] ?? "";
    else if (o === "-w") {
      if (/^\d+$/.test(args[i + 1] ?? "")) i++;
    } else if (o === "-n") p.numeric = true;
    else if (o === "-v") p.verbose = true;
    else if (o === "-x") p.exact = true;
    else if (o === "-4" || o === "--ipv4") continue;
    else if (o === "--line-numbers" || o === "--line") p.lineNumbers = true;
    else if (/^-[ACDIRLSFZNXPEV]$/.test(o)) {
      const letter = o[1]!;
      if (letter === "Z" && p.command === "L") p.zero = true;
      else if (letter === "L" && p.command === "Z") {
        p.zero = true;
        p.command = "L";
      } else if (p.command !== "") return usage(`Cannot use -${letter} with -${p.command}`);
      else p.command = letter;
    } else p.rest.push(word);
  }
  return p;
}

/** Runs `iptables ARGV`. */
export function iptables_command(ns: Netns, argv: readonly string[]): CommandResult {
  const p = parse(argv);
  if ("rc" in p) return p;
  if (p.command === "") return usage("no command specified");
  if (p.command === "V") return { rc: 0, out: `${VERSION}\n` };
  const table = TABLE_NAMES.find((t) => t === p.table);
  if (table === undefined)
    return {
      rc: 3,
      out: `${VERSION}: table '${p.table}' does not exist\nPerhaps iptables or your kernel needs to be upgraded.\n`,
    };
  if (p.command === "L" || p.command === "S") return list(ns, table, p);
  return edit(ns, table, p);
}

function list(ns: Netns, table: TableName, p: Parsed): CommandResult {
  const [chain, rule] = p.rest;
  if (rule !== undefined && !/^\d+$/.test(rule)) return usage(`Invalid rule number \`${rule}'`);
  const options = { ...p, chain, rule: rule === undefined ? undefined : Number(rule) };
  const out = p.command === "L" ? iptablesList(ns, table, options) : iptablesSpec(ns, table, options);
  if (out === undefined)
    return {
      rc: 1,
      out: `${VERSION}: chain \`${chain}' in table \`${table}' is incompatible, use 'nft' tool.\n`,
    };
  if (!p.zero) return { rc: 0, out };
  const zeroed = edit(ns, table, { ...p, command: "Z", rest: chain === undefined ? [] : [chain] });
  return { rc: zeroed.rc, out: out + zeroed.out };
}

/** A word as the rule parser reads it back. */
const quoted = (w: string): string => (/^[^\s"'\\]+$/.test(w) ? w : `"${w.replace(/["\\]/g, "\\$&")}"`);

function edit(ns: Netns, table: TableName, p: Parsed): CommandResult {
  const [name, ...rest] = p.rest;
  const t = xtNet(ns).table(table);
  const chain = name === undefined ? undefined : t.chain(name);
  if (name === undefined && !"FXZ".includes(p.command))
    return usage(`option "-${p.command}" requires an argument`);
  const refused = check(p.command, chain, name, rest, (n) => t.chain(n));
  if (refused !== null) return refused;
  try {
    if (p.command === "C") return findRule(ns, table, chain!, rest) < 0 ? NO_RULE : OK;
    if (p.command === "D" && !isNumber(rest) && findRule(ns, table, chain!, rest) < 0) return NO_RULE;
    const words = name === undefined ? [] : [name, ...rest];
    iptables(ns, table, [`-${p.command}`, ...words.map(quoted)].join(" "), { strict: true });
    if (p.command !== "Z" || !p.verbose) return OK;
    const zeroed = chain === undefined ? [...t.chains.values()] : [chain];
    return { rc: 0, out: zeroed.map((c) => `Zeroing chain \`${c.name}'\n`).join("") };
  } catch (e) {
    if (!isPodpathError(e)) throw e;
    return usage(e.message);
  }
}

const isNumber = (rest: readonly string[]): boolean => rest.length === 1 && /^\d+$/.test(rest[0]!);

/** What the tool refuses by itself; null to go on. */
function check(
  command: string,
  chain: XtChain | undefined,
  name: string | undefined,
  rest: readonly string[],
  find: (name: string) => XtChain | undefined,
): CommandResult | null {
  const rules = chain?.rules.length ?? 0;
  const at = /^\d+$/.test(rest[0] ?? "") ? Number(rest[0]) : undefined;
  switch (command) {
    case "N":
      return chain === undefined ? null : fail("Chain already exists.");
    case "P":
      if (chain === undefined || chain.hook < 0) return fail("Bad built-in chain name.");
      return rest[0] === "ACCEPT" || rest[0] === "DROP"
        ? null
        : fail("Bad policy name. Run `dmesg' for more information.");
    case "E":
      if (chain === undefined) return NO_CHAIN;
      return find(rest[0] ?? "") === undefined ? null : fail("File exists.");
    case "X":
      if (name === undefined) return null;
      if (chain === undefined) return NO_CHAIN;
      return chain.hook < 0 && rules === 0 && chain.references === 0
        ? null
        : { rc: 4, out: `${VERSION}:  CHAIN_DEL failed (Device or resource busy): chain ${name}\n` };
    case "D":
      if (chain !== undefined && isNumber(rest) && (at! < 1 || at! > rules))
        return fail("Index of deletion too big.");
      break;
    case "R":
      if (at === undefined) return usage("-R requires a rule number");
      if (chain !== undefined && (at < 1 || at > rules)) return fail("Index of replacement too big.");
      break;
    case "I":
      if (at !== undefined && at > rules + 1) return fail("Index of insertion too big.");
      break;
  }
  return chain === undefined && name !== undefined ? NO_CHAIN : null;
}
