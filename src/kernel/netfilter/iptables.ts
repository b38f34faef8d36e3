// iptables-restore and iptables-save: rule text to rules and back, as iptables 1.8.9 (nf_tables) reads and prints it.
//
// What is valid but not modelled is reported by table, chain and line and the rule is left out; what is not valid is
// an error with its line. Nothing is skipped silently.

import { PodpathError } from "../../base/errors.js";
import type { Netns } from "../netns.js";
import { NF_ACCEPT, NF_DROP } from "./hooks.js";
import { formatProtocol, parseProtocol } from "./text.js";
import {
  formatAddrMask,
  implicitModule,
  type MatchBuilder,
  matchBuilder,
  parseAddrMask,
  RuleError,
  Words,
} from "./xt_match.js";
import { type TargetBuilder, targetBuilder } from "./xt_target.js";
import {
  Act,
  builtinChains,
  F_FRAG,
  F_IN,
  F_INV_DST,
  F_INV_FRAG,
  F_INV_IN,
  F_INV_OUT,
  F_INV_PROTO,
  F_INV_SRC,
  F_OUT,
  IfacePattern,
  JUMP_DEPTH,
  TABLE_NAMES,
  type TableName,
  type XtChain,
  XtChain as XtChainClass,
  type XtNet,
  XtRule,
  type XtTable,
  xtNet,
} from "./xtables.js";

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

/** Splits a rule line into words as a shell does: double quotes with backslash, single quotes. */
function splitWords(line: string): string[] {
  const out: string[] = [];
  let i = 0;
  while (i < line.length) {
    while (line[i] === " " || line[i] === "\t") i++;
    if (i >= line.length) break;
    let w = "";
    while (i < line.length && line[i] !== " " && line[i] !== "\t") {
      const c = line[i]!;
      if (c === '"') {
        i++;
        while (i < line.length && line[i] !== '"') {
          if (line[i] === "\\" && i + 1 < line.length) i++;
          w += line[i++];
        }
        if (i >= line.length) throw new RuleError("a quoted argument has no end");
        i++;
      } else if (c === "'") {
        i++;
        while (i < line.length && line[i] !== "'") w += line[i++];
        if (i >= line.length) throw new RuleError("a quoted argument has no end");
        i++;
      } else {
        if (c === "\\" && i + 1 < line.length) i++;
        w += line[i++];
      }
    }
    out.push(w);
  }
  return out;
}

/** Parses the part of a rule after `-A CHAIN`. */
function parseRule(xt: XtNet, table: XtTable, words: readonly string[], line: number): XtRule {
  const rule = new XtRule();
  rule.line = line;
  const w = new Words(words);
  const builders: { name: string; b: MatchBuilder }[] = [];
  let target: { name: string; b: TargetBuilder } | null = null;
  let inv = false;
  let src = "";
  let dst = "";
  const noInv = (o: string): void => {
    if (inv) throw new RuleError(`unexpected "!" before ${o}`);
  };
  while (!w.done) {
    let o = w.next();
    if (o === "!") {
      if (inv) throw new RuleError('"!" twice');
      inv = true;
      continue;
    }
    // --option=value
    const eq = /^(--[a-z0-9-]+)=(.*)$/.exec(o);
    if (eq !== null) {
      o = eq[1]!;
      (w.words as string[]).splice(w.at, 0, eq[2]!);
    }
    switch (o) {
      case "-s":
      case "--source":
      case "--src": {
        src = w.next();
        const r = parseAddrMask(src);
        rule.src = r.addr;
        rule.srcMask = r.mask;
        if (inv) rule.flags |= F_INV_SRC;
        break;
      }
      case "-d":
      case "--destination":
      case "--dst": {
        dst = w.next();
        const r = parseAddrMask(dst);
        rule.dst = r.addr;
        rule.dstMask = r.mask;
        if (inv) rule.flags |= F_INV_DST;
        break;
      }
      case "-i":
      case "--in-interface":
        rule.inPattern = new IfacePattern(ifaceName(w.next()));
        rule.flags |= F_IN | (inv ? F_INV_IN : 0);
        break;
      case "-o":
      case "--out-interface":
        rule.outPattern = new IfacePattern(ifaceName(w.next()));
        rule.flags |= F_OUT | (inv ? F_INV_OUT : 0);
        break;
      case "-p":
      case "--protocol":
      case "--proto": {
        const p = w.next();
        const n = parseProtocol(p);
        if (n === undefined) throw new RuleError(`unknown protocol "${p}" specified`);
        rule.proto = n;
        if (inv) {
          if (n === 0) throw new RuleError("rule would never match protocol");
          rule.flags |= F_INV_PROTO;
        }
        break;
      }
      case "-f":
      case "--fragment":
        rule.flags |= F_FRAG | (inv ? F_INV_FRAG : 0);
        break;
      case "-m":
      case "--match": {
        noInv(o);
        const n = w.next();
        builders.push({ name: n, b: matchBuilder(n, xt) });
        break;
      }
      case "-j":
      case "--jump":
      case "-g":
      case "--goto": {
        noInv(o);
        const n = w.next();
        if (rule.act !== Act.NONE || target !== null) throw new RuleError("only one target is allowed");
        if (o === "-g" || o === "--goto") {
          const c = table.chain(n);
          if (c === undefined || c.hook >= 0) throw new RuleError(`there is no chain "${n}" to go to`);
          rule.act = Act.GOTO;
          rule.chain = c;
          break;
        }
        const std = { ACCEPT: Act.ACCEPT, DROP: Act.DROP, RETURN: Act.RETURN }[n];
        if (std !== undefined) {
          rule.act = std;
          break;
        }
        if (n === "QUEUE" || n === "NFQUEUE") throw new RuleError(`target ${n} is not modelled`, true);
        const c = table.chain(n);
        if (c !== undefined) {
          if (c.hook >= 0) throw new RuleError(`"${n}" is a built-in chain and cannot be jumped to`);
          rule.act = Act.JUMP;
          rule.chain = c;
          break;
        }
        const t = targetBuilder(n, xt);
        if (t === null) {
          // A name in capitals is an extension's; anything else a chain that nobody declared.
          if (/^[A-Z0-9]+$/.test(n) && n.length < 15 && KNOWN_TARGETS.has(n))
            throw new RuleError(`target ${n} is not modelled`, true);
          throw new RuleError(`there is no target or chain "${n}"`);
        }
        if (t.tables.length > 0 && !t.tables.includes(table.name))
          throw new RuleError(`target ${n} may be used in table ${t.tables.join(", ")} only`);
        rule.act = Act.TARGET;
        target = { name: n, b: t.builder };
        break;
      }
      case "-c":
      case "--set-counters":
        rule.pkts = Number(w.next());
        rule.bytes = Number(w.next());
        break;
      case "-4":
      case "--ipv4":
        break;
      case "-6":
      case "--ipv6":
        throw new RuleError("an IPv6 rule in IPv4 tables");
      case "-w":
      case "--wait":
        break;
      default: {
        let taken = target?.b.option(o, inv, w);
        for (let i = builders.length - 1; i >= 0 && !taken; i--) taken = builders[i]!.b.option(o, inv, w);
        if (!taken) {
          // An option of the protocol's own match loads it.
          const mod = (rule.flags & F_INV_PROTO) === 0 ? implicitModule(rule.proto) : null;
          if (mod !== null && !builders.some((x) => x.name === mod)) {
            const b = matchBuilder(mod, xt);
            if (b.option(o, inv, w)) {
              builders.push({ name: mod, b });
              taken = true;
            }
          }
        }
        if (!taken) throw new RuleError(`unknown option "${o}"`);
      }
    }
    inv = false;
  }
  if (inv) throw new RuleError('nothing follows "!"');
  for (const { name, b } of builders) {
    checkProto(name, rule);
    rule.matches.push(b.build(xt));
  }
  if (target !== null) rule.target = target.b.build(xt);
  rule.text = ruleText(rule);
  return rule;
}

/** Targets of iptables that exist and are not modelled. */
const KNOWN_TARGETS = new Set([
  "AUDIT",
  "CLASSIFY",
  "CLUSTERIP",
  "CONNSECMARK",
  "DSCP",
  "ECN",
  "HMARK",
  "IDLETIMER",
  "LED",
  "NETMAP",
  "RATEEST",
  "SECMARK",
  "SYNPROXY",
  "TCPOPTSTRIP",
  "TEE",
  "TOS",
  "TTL",
  "ULOG",
  "FLOWOFFLOAD",
]);

function ifaceName(s: string): string {
  if (s.length === 0 || s.length > 15)
    throw new RuleError(`interface name "${s}" must be 1 to 15 characters long`);
  return s;
}

function checkProto(module: string, rule: XtRule): void {
  const want: Readonly<Record<string, readonly number[]>> = {
    tcp: [6],
    udp: [17],
    icmp: [1],
    sctp: [132],
    udplite: [136],
    dccp: [33],
    multiport: [6, 17, 33, 132, 136],
  };
  const p = want[module];
  if (p === undefined) return;
  if (!p.includes(rule.proto) || (rule.flags & F_INV_PROTO) !== 0)
    throw new RuleError(`match ${module} needs -p ${p.map(formatProtocol).join(" or -p ")}`);
}

/** The rule as iptables-save prints it after `-A CHAIN`. */
function ruleText(r: XtRule): string {
  const s: string[] = [];
  if (r.srcMask !== 0 || (r.flags & F_INV_SRC) !== 0)
    s.push(`${(r.flags & F_INV_SRC) !== 0 ? "! " : ""}-s ${formatAddrMask(r.src, r.srcMask, true)}`);
  if (r.dstMask !== 0 || (r.flags & F_INV_DST) !== 0)
    s.push(`${(r.flags & F_INV_DST) !== 0 ? "! " : ""}-d ${formatAddrMask(r.dst, r.dstMask, true)}`);
  if (r.inPattern !== null) s.push(`${(r.flags & F_INV_IN) !== 0 ? "! " : ""}-i ${r.inPattern.text}`);
  if (r.outPattern !== null) s.push(`${(r.flags & F_INV_OUT) !== 0 ? "! " : ""}-o ${r.outPattern.text}`);
  if (r.proto !== 0) s.push(`${(r.flags & F_INV_PROTO) !== 0 ? "! " : ""}-p ${formatProtocol(r.proto)}`);
  if ((r.flags & F_FRAG) !== 0) s.push(`${(r.flags & F_INV_FRAG) !== 0 ? "! " : ""}-f`);
  for (const m of r.matches) s.push(m.save());
  switch (r.act) {
    case Act.ACCEPT:
      s.push("-j ACCEPT");
      break;
    case Act.DROP:
      s.push("-j DROP");
      break;
    case Act.RETURN:
      s.push("-j RETURN");
      break;
    case Act.JUMP:
      s.push(`-j ${r.chain!.name}`);
      break;
    case Act.GOTO:
      s.push(`-g ${r.chain!.name}`);
      break;
    case Act.TARGET: {
      const o = r.target!.save();
      s.push(`-j ${r.target!.name}${o === "" ? "" : ` ${o}`}`);
      break;
    }
  }
  return s.join(" ");
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
      c.syncCounters();
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
      const raw = lines[lineNo - 1]!.replace(/\r$/, "");
      const line = raw.trim();
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
      const cm = /^\[(\d+):(\d+)\]\s+(.*)$/.exec(line);
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
      if (cmd === "-F" || cmd === "--flush") {
        const l = edit.list(chain);
        edit.removed.push(...l);
        l.length = 0;
        continue;
      }
      if (cmd === "-X" || cmd === "--delete-chain") {
        deleteChain(table, chain, edit);
        continue;
      }
      if (cmd === "-Z" || cmd === "--zero") {
        chain.zero();
        continue;
      }
      let insertAt = -1;
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
  if (name.length > 28 || name.startsWith("-") || name.startsWith("!"))
    throw new RuleError(`"${name}" cannot be the name of a chain`);
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
  const c = new XtChainClass(table, name, -1);
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
      for (const c of [...table.chains.values()]) if (c.hook < 0) deleteChain(table, c, edit);
      return true;
    case "-Z":
    case "--zero":
      for (const c of table.chains.values()) c.zero();
      return true;
    default:
      return false;
  }
}

function deleteChain(table: XtTable, chain: XtChain, edit: TableEdit): void {
  if (chain.hook >= 0) throw new RuleError(`chain ${chain.name} is built in`);
  if (edit.list(chain).length > 0) throw new RuleError(`chain ${chain.name} is not empty`);
  let refs = 0;
  for (const c of table.chains.values())
    for (const r of edit.lists.get(c) ?? c.rules) if (r.chain === chain) refs++;
  if (refs > 0) throw new RuleError(`chain ${chain.name} is in use`);
  table.chains.delete(chain.name);
  edit.lists.delete(chain);
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
  let at: number;
  if (words.length === 3 && /^\d+$/.test(words[2]!)) at = Number(words[2]) - 1;
  else {
    const probe = parseRule(xt, table, words.slice(2), line);
    for (const m of probe.matches) m.release();
    probe.target?.release();
    at = list.findIndex((r) => r.text === probe.text);
  }
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
    c.commit(l);
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
      c.rules.forEach((r, i) => {
        if (opt.counters === true) s += `[${c.cnt[2 * i]}:${c.cnt[2 * i + 1]}] `;
        s += `-A ${c.name}${r.text === "" ? "" : ` ${r.text}`}\n`;
      });
    }
    s += "COMMIT\n";
    if (opt.date !== undefined) s += `# Completed on ${opt.date}\n`;
  }
  return s;
}

function sortedChains(t: XtTable): XtChain[] {
  const base = builtinChains(t.name).map((n) => t.chain(n)!);
  const user = [...t.chains.values()].filter((c) => c.hook < 0);
  user.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return [...base, ...user];
}

/** iptables -Z. */
export function iptablesZero(ns: Netns): void {
  const xt = ns.nf?.xt ?? null;
  if (xt === null) return;
  for (const t of xt.tables.values()) for (const c of t.chains.values()) c.zero();
}
