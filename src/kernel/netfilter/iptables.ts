// iptables-restore and iptables-save: rule text to rules and back, as iptables 1.8.9 (nf_tables) reads and prints it.
//
// What is valid but not modelled is reported by table, chain and line and the rule is left out; what is not valid is
// an error with its line. Nothing is skipped silently.

import { PodpathError } from "../../base/errors.js";
import type { Netns } from "../netns.js";
import { NF_ACCEPT, NF_DROP } from "./hooks.js";
import { sortedChains } from "./iptables_list.js";
import { RuleError } from "./text.js";
import { parseRule, splitWords } from "./xt_parse.js";
import { Act, JUMP_DEPTH, type XtRule } from "./xt_rule.js";
import { TABLE_NAMES, type TableName, XtChain, type XtNet, type XtTable, xtNet } from "./xtables.js";

/** A rule of the text that is valid for iptables and not modelled here. */
export interface Unmodelled {
  readonly table: string;
  readonly chain: string;
  readonly line: number;
  readonly rule: string;
  /** What of it is not modelled. */
  readonly what: string;
}

export interface RestoreOptions {
  /** Name for error positions. */
  readonly file?: string;
  /** --noflush: chains that the text does not declare keep their rules. */
  readonly noflush?: boolean;
  /** --counters: take packet and byte counters from the text. */
  readonly counters?: boolean;
  /** Unmodelled rules are errors. */
  readonly strict?: boolean;
}

export interface RestoreReport {
  /** Rules now in force from this text. */
  readonly rules: number;
  readonly unmodelled: readonly Unmodelled[];
}

function releaseRule(r: XtRule): void {
  for (const m of r.matches) m.release();
  r.target?.release();
  if (r.chain !== null) r.chain.references--;
}

/** Chains that jump in a circle, or deeper than the stack, are refused as the kernel does at load. */
function checkLoops(table: XtTable): string | null {
  const depth = new Map<XtChain, number>();
  const visiting = new Set<XtChain>();
  const visit = (c: XtChain): number => {
    const d = depth.get(c);
    if (d !== undefined) return d;
    if (visiting.has(c)) throw new RuleError(`chain ${c.name} of table ${table.name} jumps to itself`);
    visiting.add(c);
    let max = 0;
    for (const r of c.rules) {
      if (r.chain === null) continue;
      const n = visit(r.chain) + (r.act === Act.JUMP ? 1 : 0);
      if (n > max) max = n;
    }
    visiting.delete(c);
    depth.set(c, max);
    return max;
  };
  for (const c of table.chains.values()) {
    if (visit(c) > JUMP_DEPTH) return `chains of table ${table.name} jump deeper than ${JUMP_DEPTH} levels`;
  }
  return null;
}

/** What one rule command does to a chain's list. */
class TableEdit {
  /** New rule lists by chain. */
  readonly lists = new Map<XtChain, XtRule[]>();
  readonly removed: XtRule[] = [];

  list(c: XtChain): XtRule[] {
    let l = this.lists.get(c);
    if (l === undefined) {
      l = [...c.rules];
      this.lists.set(c, l);
    }
    return l;
  }
}

/**
 * iptables-restore. Tables are committed one by one at their COMMIT, as the tool does; an error leaves the table
 * it is in unchanged. Throws RULES_INVALID with the position of the first error.
 */
export function iptablesRestore(ns: Netns, text: string, opt: RestoreOptions = {}): RestoreReport {
  const xt = xtNet(ns);
  const unmodelled: Unmodelled[] = [];
  const file = opt.file ?? "iptables";
  let count = 0;
  let table: XtTable | null = null;
  let edit = new TableEdit();
  let pending: XtRule[] = [];
  let newChains: XtChain[] = [];
  const policies: { chain: XtChain; policy: number; cnt: readonly [number, number] | null }[] = [];
  const lines = text.split("\n");
  let lineNo = 0;
  try {
    for (lineNo = 1; lineNo <= lines.length; lineNo++) {
      const line = lines[lineNo - 1]!.trim();
      if (line === "" || line.startsWith("#")) continue;
      if (line.startsWith("*")) {
        if (table !== null) throw new RuleError(`table ${table.name} has no COMMIT`);
        const name = line.slice(1);
        if (!(TABLE_NAMES as readonly string[]).includes(name))
          throw new RuleError(`unknown table "${name}"`);
        table = xt.table(name as TableName);
        edit = new TableEdit();
        pending = [];
        newChains = [];
        policies.length = 0;
        if (opt.noflush !== true) {
          for (const c of table.chains.values()) {
            edit.list(c);
            edit.removed.push(...c.rules);
            edit.lists.set(c, []);
          }
        }
        continue;
      }
      if (table === null) throw new RuleError(`"${line}" stands outside of a table`);
      if (line === "COMMIT") {
        commit(xt, table, edit, opt, policies, pending);
        count += pending.length;
        table = null;
        continue;
      }
      if (line.startsWith(":")) {
        const m = /^:(\S+)\s+(\S+)(?:\s+\[(\d+):(\d+)\])?\s*$/.exec(line);
        if (m === null) throw new RuleError(`"${line}" is not a chain line`);
        const name = m[1]!;
        const cnt = m[3] === undefined ? null : ([Number(m[3]), Number(m[4])] as const);
        const chain = table.chain(name);
        if (chain !== undefined && chain.hook >= 0) {
          const pol =
            m[2] === "ACCEPT" ? NF_ACCEPT : m[2] === "DROP" ? NF_DROP : m[2] === "-" ? chain.policy : -1;
          if (pol < 0) throw new RuleError(`"${m[2]}" is not a policy`);
          policies.push({ chain, policy: pol, cnt });
          if (opt.noflush === true && !edit.lists.has(chain)) edit.list(chain);
          continue;
        }
        if (m[2] !== "-") throw new RuleError(`chain ${name} is not built in and cannot have a policy`);
        addChain(table, name, edit, newChains, opt.noflush === true);
        continue;
      }
      const cm = line.startsWith("[") ? /^\[(\d+):(\d+)\]\s+(.*)$/.exec(line) : null;
      const words = splitWords(cm === null ? line : cm[3]!);
      const cmd = words[0]!;
      const cname = words[1];
      if (cname === undefined && wholeTable(table, cmd, edit)) continue;
      if (cname === undefined) throw new RuleError(`"${line}" is not a rule`);
      if (cmd === "-N" || cmd === "--new-chain") {
        addChain(table, cname, edit, newChains, false);
        continue;
      }
      const chain: XtChain | undefined = table.chain(cname);
      if (cmd === "-P" || cmd === "--policy") {
        if (chain === undefined || chain.hook < 0)
          throw new RuleError(`there is no built-in chain "${cname}"`);
        policies.push({ chain, policy: words[2] === "DROP" ? NF_DROP : NF_ACCEPT, cnt: null });
        continue;
      }
      if (chain === undefined) throw new RuleError(`there is no chain "${cname}" in table ${table.name}`);
      if (cmd === "-E" || cmd === "--rename-chain") {
        renameChain(table, chain, words[2] ?? "");
        continue;
      }
      if (cmd === "-F" || cmd === "--flush") {
        const l = edit.list(chain);
        edit.removed.push(...l);
        l.length = 0;
        continue;
      }
      if (cmd === "-X" || cmd === "--delete-chain") {
        deleteChains(table, [chain], edit);
        continue;
      }
      if (cmd === "-Z" || cmd === "--zero") {
        chain.zero();
        continue;
      }
      let insertAt = -1;
      let replaceAt = -1;
      let from = 2;
      if (cmd === "-I" || cmd === "--insert") {
        insertAt = 0;
        if (words[2] !== undefined && /^\d+$/.test(words[2])) {
          insertAt = Number(words[2]) - 1;
          from = 3;
        }
      } else if (cmd === "-D" || cmd === "--delete") {
        deleteRule(xt, table, chain, words, edit, lineNo);
        continue;
      } else if (cmd === "-R" || cmd === "--replace") {
        replaceAt = Number(words[2]) - 1;
        from = 3;
        if (edit.list(chain)[replaceAt] === undefined)
          throw new RuleError(`${cname} has no rule ${words[2] ?? ""} to replace`);
      } else if (cmd !== "-A" && cmd !== "--append") throw new RuleError(`command ${cmd} is not known`);
      let rule: XtRule;
      try {
        rule = parseRule(xt, table, words.slice(from), lineNo);
      } catch (e) {
        if (e instanceof RuleError && e.unmodelled && opt.strict !== true) {
          unmodelled.push({ table: table.name, chain: cname, line: lineNo, rule: line, what: e.message });
          continue;
        }
        throw e;
      }
      if (cm !== null && opt.counters === true) {
        rule.pkts = Number(cm[1]);
        rule.bytes = Number(cm[2]);
      }
      rule.handle = xt.nextHandle++;
      if (rule.chain !== null) rule.chain.references++;
      const list = edit.list(chain);
      if (insertAt >= 0) {
        if (insertAt > list.length)
          throw new RuleError(`index ${insertAt + 1} is beyond the end of ${cname}`);
        list.splice(insertAt, 0, rule);
      } else if (replaceAt >= 0) {
        edit.removed.push(list[replaceAt]!);
        list[replaceAt] = rule;
      } else list.push(rule);
      pending.push(rule);
    }
    lineNo = lines.length;
    if (table !== null) throw new RuleError(`table ${table.name} has no COMMIT`);
  } catch (e) {
    // The table stays as it was.
    for (const r of pending) if (!edit.lists.has(r.owner as XtChain) || r.owner === null) releaseRule(r);
    if (table !== null) for (const c of newChains) table.chains.delete(c.name);
    if (e instanceof PodpathError && e.position === undefined)
      throw new PodpathError("RULES_INVALID", e.message, { file, line: lineNo, column: 1 });
    throw e;
  }
  return { rules: count, unmodelled };
}

function addChain(
  table: XtTable,
  name: string,
  edit: TableEdit,
  made: XtChain[],
  flushExisting: boolean,
): void {
  checkChainName(name);
  const old = table.chain(name);
  if (old !== undefined) {
    // A chain line empties the chain, also with --noflush.
    if (flushExisting || !edit.lists.has(old)) {
      const l = edit.list(old);
      edit.removed.push(...l);
      l.length = 0;
    }
    return;
  }
  const c = new XtChain(table, name, -1);
  table.chains.set(name, c);
  made.push(c);
  edit.lists.set(c, []);
}

/** -F, -X and -Z without a chain; false for other commands. */
function wholeTable(table: XtTable, cmd: string, edit: TableEdit): boolean {
  switch (cmd) {
    case "-F":
    case "--flush":
      for (const c of table.chains.values()) {
        const l = edit.list(c);
        edit.removed.push(...l);
        l.length = 0;
      }
      return true;
    case "-X":
    case "--delete-chain":
      deleteChains(
        table,
        [...table.chains.values()].filter((c) => c.hook < 0),
        edit,
      );
      return true;
    case "-Z":
    case "--zero":
      for (const c of table.chains.values()) c.zero();
      return true;
    default:
      return false;
  }
}

/** -X of chains, which must be empty and not jumped to. */
function deleteChains(table: XtTable, chains: readonly XtChain[], edit: TableEdit): void {
  const jumpedTo = new Set<XtChain>();
  for (const c of table.chains.values())
    for (const r of edit.lists.get(c) ?? c.rules) if (r.chain !== null) jumpedTo.add(r.chain);
  for (const chain of chains) {
    if (chain.hook >= 0) throw new RuleError(`chain ${chain.name} is built in`);
    if (edit.list(chain).length > 0) throw new RuleError(`chain ${chain.name} is not empty`);
    if (jumpedTo.has(chain)) throw new RuleError(`chain ${chain.name} is in use`);
    table.chains.delete(chain.name);
    edit.lists.delete(chain);
  }
}

/** Where a rule of these words stands; -1 if nowhere. */
function indexOfRule(
  xt: XtNet,
  table: XtTable,
  list: readonly XtRule[],
  words: readonly string[],
  line: number,
): number {
  const probe = parseRule(xt, table, words, line);
  for (const m of probe.matches) m.release();
  probe.target?.release();
  const { text } = probe;
  return list.findIndex((r) => r.text === text);
}

/** `iptables -C`: index of the rule in the chain, -1 if it is not there. Throws RULES_INVALID for words that are no rule. */
export function findRule(ns: Netns, table: TableName, chain: XtChain, words: readonly string[]): number {
  const xt = xtNet(ns);
  return indexOfRule(xt, xt.table(table), chain.rules, words, 1);
}

/** -E: rules that jump there go on doing so. */
function renameChain(table: XtTable, chain: XtChain, name: string): void {
  if (chain.hook >= 0) throw new RuleError(`chain ${chain.name} is built in`);
  checkChainName(name);
  if (table.chain(name) !== undefined) throw new RuleError(`chain ${name} is there already`);
  table.chains.delete(chain.name);
  chain.name = name;
  table.chains.set(name, chain);
}

function checkChainName(name: string): void {
  if (name === "" || name.length > 28 || name.startsWith("-") || name.startsWith("!"))
    throw new RuleError(`"${name}" cannot be the name of a chain`);
}

function deleteRule(
  xt: XtNet,
  table: XtTable,
  chain: XtChain,
  words: readonly string[],
  edit: TableEdit,
  line: number,
): void {
  const list = edit.list(chain);
  const at =
    words.length === 3 && /^\d+$/.test(words[2]!)
      ? Number(words[2]) - 1
      : indexOfRule(xt, table, list, words.slice(2), line);
  if (at < 0 || at >= list.length)
    throw new RuleError(`there is no such rule in ${chain.name} (does a matching rule exist in that chain?)`);
  edit.removed.push(list[at]!);
  list.splice(at, 1);
}

function commit(
  xt: XtNet,
  table: XtTable,
  edit: TableEdit,
  opt: RestoreOptions,
  policies: readonly { chain: XtChain; policy: number; cnt: readonly [number, number] | null }[],
  pending: readonly XtRule[],
): void {
  const before = new Map<XtChain, XtRule[]>();
  for (const [c, l] of edit.lists) {
    before.set(c, c.rules);
    // A list that grew rule by rule has room for more; most chains of a node hold two rules.
    c.commit(l.slice());
  }
  let bad: string | null = null;
  try {
    bad = checkLoops(table);
  } catch (e) {
    for (const [c, l] of before) c.commit(l);
    throw e;
  }
  if (bad !== null) {
    for (const [c, l] of before) c.commit(l);
    throw new RuleError(bad);
  }
  // Without --noflush, chains of users that the text does not declare go.
  if (opt.noflush !== true) {
    for (const c of [...table.chains.values()]) {
      if (c.hook < 0 && !edit.lists.has(c)) table.chains.delete(c.name);
    }
  }
  // What comes takes hold before what goes lets loose, lest tracking be switched off in between.
  for (const r of pending) xt.activate(r);
  for (const r of edit.removed) {
    xt.deactivate(r);
    releaseRule(r);
  }
  for (const p of policies) {
    p.chain.policy = p.policy;
    if (p.cnt !== null && opt.counters === true) p.chain.policyCnt.set(p.cnt);
  }
}

/** One iptables command on a table: `-A FORWARD ...`, `-I CHAIN 1 ...`, `-D ...`, `-N`, `-F`, `-X`, `-P`. */
export function iptables(
  ns: Netns,
  table: TableName,
  command: string,
  opt: RestoreOptions = {},
): RestoreReport {
  return iptablesRestore(ns, `*${table}\n${command}\nCOMMIT\n`, { ...opt, noflush: true });
}

export interface SaveOptions {
  /** Print counters of rules too (-c). */
  readonly counters?: boolean;
  /** Text of the "Generated" and "Completed" lines' date; without it these lines are left out. */
  readonly date?: string;
  /** Only these tables. */
  readonly tables?: readonly TableName[];
}

/** Order in which iptables-nft-save prints tables. */
const SAVE_ORDER: readonly TableName[] = ["mangle", "security", "raw", "filter", "nat"];

/** iptables-save: tables that exist, base chains by hook, users' chains by name. */
export function iptablesSave(ns: Netns, opt: SaveOptions = {}): string {
  const xt = ns.nf?.xt ?? null;
  if (xt === null) return "";
  let s = "";
  for (const name of SAVE_ORDER) {
    const t = xt.tables.get(name);
    if (t === undefined || (opt.tables !== undefined && !opt.tables.includes(name))) continue;
    if (opt.date !== undefined) s += `# Generated by iptables-nft-save v1.8.9 (nf_tables) on ${opt.date}\n`;
    s += `*${name}\n`;
    const chains = sortedChains(t);
    for (const c of chains) {
      if (c.hook >= 0)
        s += `:${c.name} ${c.policy === NF_DROP ? "DROP" : "ACCEPT"} [${c.policyCnt[0]}:${c.policyCnt[1]}]\n`;
      else s += `:${c.name} - [0:0]\n`;
    }
    for (const c of chains) {
      for (const r of c.rules) {
        const { text } = r;
        if (opt.counters === true) s += `[${r.pkts}:${r.bytes}] `;
        s += `-A ${c.name}${text === "" ? "" : ` ${text}`}\n`;
      }
    }
    s += "COMMIT\n";
    if (opt.date !== undefined) s += `# Completed on ${opt.date}\n`;
  }
  return s;
}

/** iptables -Z. */
export function iptablesZero(ns: Netns): void {
  const xt = ns.nf?.xt ?? null;
  if (xt === null) return;
  for (const t of xt.tables.values()) for (const c of t.chains.values()) c.zero();
}
