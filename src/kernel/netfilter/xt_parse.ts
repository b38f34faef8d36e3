// Rules read from text, as iptables 1.8.9 (nf_tables) reads them: words, options of the rule itself, and those of its
// matches and target.

import { formatProtocol, parseAddrMask, parseProtocol, RuleError } from "./text.js";
import { implicitModule, type MatchBuilder, matchBuilder, Words } from "./xt_match.js";
import {
  Act,
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
  XtRule,
} from "./xt_rule.js";
import { type TargetBuilder, targetBuilder } from "./xt_target.js";
import type { XtNet, XtTable } from "./xtables.js";

/**
 * Splits a rule line into words as a shell does: double quotes with backslash, single quotes. Words are cut out of the
 * line in one piece where that is possible: a word grown letter by letter is a heap of its own, and a node with many
 * services has a million of them.
 */
export function splitWords(line: string): string[] {
  if (!/["'\\\t]/.test(line)) return line.split(" ").filter((w) => w !== "");
  const out: string[] = [];
  const n = line.length;
  let i = 0;
  while (i < n) {
    let c = line.charCodeAt(i);
    if (c === SPACE || c === TAB) {
      i++;
      continue;
    }
    let word = "";
    while (i < n) {
      c = line.charCodeAt(i);
      if (c === SPACE || c === TAB) break;
      if (c === DOUBLE_QUOTE || c === SINGLE_QUOTE) {
        const end = closingQuote(line, i);
        const inner = line.slice(i + 1, end);
        word += c === DOUBLE_QUOTE && inner.includes("\\") ? inner.replace(/\\(.)/g, "$1") : inner;
        i = end + 1;
      } else if (c === BACKSLASH && i + 1 < n) {
        word += line[i + 1]!;
        i += 2;
      } else {
        const from = i++;
        for (; i < n; i++) {
          c = line.charCodeAt(i);
          if (c === SPACE || c === TAB || c === DOUBLE_QUOTE || c === SINGLE_QUOTE || c === BACKSLASH) break;
        }
        word += line.slice(from, i);
      }
    }
    out.push(word);
  }
  return out;
}

const TAB = 9;
const SPACE = 32;
const DOUBLE_QUOTE = 34;
const SINGLE_QUOTE = 39;
const BACKSLASH = 92;

/** Where the quote that opens at `from` closes; in double quotes a backslash hides the next character. */
function closingQuote(line: string, from: number): number {
  const quote = line.charCodeAt(from);
  for (let i = from + 1; i < line.length; i++) {
    const c = line.charCodeAt(i);
    if (c === quote) return i;
    if (c === BACKSLASH && quote === DOUBLE_QUOTE) i++;
  }
  throw new RuleError("a quoted argument has no end");
}

/** Parses the part of a rule after `-A CHAIN`. */
export function parseRule(xt: XtNet, table: XtTable, words: readonly string[], line: number): XtRule {
  const rule = new XtRule();
  rule.line = line;
  const w = new Words(words);
  const builders: { name: string; b: MatchBuilder }[] = [];
  let target: { name: string; b: TargetBuilder } | null = null;
  let inv = false;
  while (!w.done) {
    let o = w.next();
    if (o === "!") {
      if (inv) throw new RuleError('"!" twice');
      inv = true;
      continue;
    }
    // --option=value
    const eq = o.includes("=") ? /^(--[a-z0-9-]+)=(.*)$/.exec(o) : null;
    if (eq !== null) {
      o = eq[1]!;
      (w.words as string[]).splice(w.at, 0, eq[2]!);
    }
    switch (o) {
      case "-s":
      case "--source":
      case "--src": {
        const r = parseAddrMask(w.next());
        rule.src = r.addr;
        rule.srcMask = r.mask;
        if (inv) rule.flags |= F_INV_SRC;
        break;
      }
      case "-d":
      case "--destination":
      case "--dst": {
        const r = parseAddrMask(w.next());
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
        if (inv) throw new RuleError(`unexpected "!" before ${o}`);
        const n = w.next();
        builders.push({ name: n, b: matchBuilder(n, xt) });
        break;
      }
      case "-j":
      case "--jump":
      case "-g":
      case "--goto": {
        if (inv) throw new RuleError(`unexpected "!" before ${o}`);
        const n = w.next();
        if (rule.act !== Act.NONE || target !== null) throw new RuleError("only one target is allowed");
        if (o === "-g" || o === "--goto") {
          const c = table.chain(n);
          if (c === undefined || c.hook >= 0) throw new RuleError(`there is no chain "${n}" to go to`);
          rule.act = Act.GOTO;
          rule.chain = c;
          break;
        }
        if (n === "ACCEPT" || n === "DROP" || n === "RETURN") {
          rule.act = n === "ACCEPT" ? Act.ACCEPT : n === "DROP" ? Act.DROP : Act.RETURN;
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
  rule.matches = builders.map(({ name, b }) => {
    checkProto(name, rule);
    return b.build(xt);
  });
  if (target !== null) rule.target = target.b.build(xt);
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

/** Protocols of the matches that need one. */
const MATCH_PROTOCOLS: ReadonlyMap<string, readonly number[]> = new Map([
  ["tcp", [6]],
  ["udp", [17]],
  ["icmp", [1]],
  ["sctp", [132]],
  ["udplite", [136]],
  ["dccp", [33]],
  ["multiport", [6, 17, 33, 132, 136]],
]);

function checkProto(module: string, rule: XtRule): void {
  const p = MATCH_PROTOCOLS.get(module);
  if (p === undefined) return;
  if (!p.includes(rule.proto) || (rule.flags & F_INV_PROTO) !== 0)
    throw new RuleError(`match ${module} needs -p ${p.map(formatProtocol).join(" or -p ")}`);
}
