// `iptables -L` and `-S` as iptables 1.8.9 (nf_tables) prints them. Names of hosts are not looked up: without -n only the
// whole address space, protocols, ports, ICMP types and TCP flags have names.

import type { Netns } from "../netns.js";
import { NF_DROP } from "./hooks.js";
import { formatAddrMask, formatProtocol } from "./text.js";
import { printMatch, printTarget } from "./xt_print.js";
import {
  Act,
  F_FRAG,
  F_INV_DST,
  F_INV_FRAG,
  F_INV_IN,
  F_INV_OUT,
  F_INV_PROTO,
  F_INV_SRC,
  type XtRule,
} from "./xt_rule.js";
import { builtinChains, type TableName, type XtChain, type XtTable } from "./xtables.js";

export interface ListOptions {
  /** One chain only. */
  readonly chain?: string | undefined;
  /** With `chain`: one rule only, from 1. */
  readonly rule?: number | undefined;
  /** -v: counters and devices. */
  readonly verbose?: boolean;
  /** -n: no names. */
  readonly numeric?: boolean;
  /** -x: counters in full. */
  readonly exact?: boolean;
  readonly lineNumbers?: boolean;
}

/** Chains of a table: built-in ones by hook, users' by name. */
export function sortedChains(t: XtTable): XtChain[] {
  const base = builtinChains(t.name).map((n) => t.chain(n)!);
  const user = [...t.chains.values()].filter((c) => c.hook < 0);
  user.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return [...base, ...user];
}

/** A chain to print; a table that nobody used yet has its built-in chains all the same. */
interface Listed {
  readonly name: string;
  readonly hook: number;
  readonly policy: number;
  readonly policyCnt: ArrayLike<number>;
  readonly references: number;
  readonly rules: readonly XtRule[];
}

function chains(ns: Netns, table: TableName, only: string | undefined): Listed[] {
  const t = ns.nf?.xt?.tables.get(table);
  const all: Listed[] =
    t !== undefined
      ? sortedChains(t)
      : builtinChains(table).map((name) => ({
          name,
          hook: 0,
          policy: -1,
          policyCnt: [0, 0],
          references: 0,
          rules: [],
        }));
  return only === undefined ? all : all.filter((c) => c.name === only);
}

const policyName = (c: Listed): string => (c.policy === NF_DROP ? "DROP" : "ACCEPT");

/** A counter: from 100,000 on in thousands, then millions and so on, rounded. */
function counter(n: number, width: number, exact: boolean): string {
  if (exact) return String(n).padStart(width + 3);
  if (n <= 99_999) return String(n).padStart(width);
  let v = n;
  for (const unit of ["K", "M", "G"]) {
    v = Math.floor((v + 500) / 1000);
    if (v <= 9999) return `${String(v).padStart(width - 1)}${unit}`;
  }
  return `${String(Math.floor((v + 500) / 1000)).padStart(width - 1)}T`;
}

/** `iptables -L`; undefined when there is no such chain. */
export function iptablesList(ns: Netns, table: TableName, o: ListOptions = {}): string | undefined {
  const list = chains(ns, table, o.chain);
  if (list.length === 0) return undefined;
  if (o.rule !== undefined) {
    const r = list[0]!.rules[o.rule - 1];
    return r === undefined ? "" : ruleLine(r, o.rule, o);
  }
  return list.map((c) => chainText(c, o)).join("\n");
}

function chainText(c: Listed, o: ListOptions): string {
  const what =
    c.hook < 0
      ? `${c.references} references`
      : o.verbose === true
        ? `policy ${policyName(c)} ${counter(c.policyCnt[0]!, 0, o.exact === true).trim()} packets, ${counter(c.policyCnt[1]!, 0, o.exact === true).trim()} bytes`
        : `policy ${policyName(c)}`;
  let s = `Chain ${c.name} (${what})\n`;
  if (o.lineNumbers === true) s += "num  ";
  if (o.verbose === true) s += o.exact === true ? "    pkts      bytes " : " pkts bytes ";
  s += "target     prot opt ";
  if (o.verbose === true) s += "in     out     ";
  s += "source               destination         \n";
  c.rules.forEach((r, i) => {
    s += ruleLine(r, i + 1, o);
  });
  return s;
}

/** NOTRACK is a name of CT --notrack. */
const targetName = (r: XtRule): string => (r.verdictName === "NOTRACK" ? "CT" : r.verdictName);

function ruleLine(r: XtRule, n: number, o: ListOptions): string {
  const numeric = o.numeric === true;
  const not = (flag: number): string => ((r.flags & flag) !== 0 ? "!" : "");
  let s = "";
  if (o.lineNumbers === true) s += `${String(n).padEnd(4)} `;
  if (o.verbose === true)
    s += `${counter(r.pkts, 5, o.exact === true)} ${counter(r.bytes, 5, o.exact === true)} `;
  const proto = r.proto === 0 ? (numeric ? "0" : "all") : numeric ? String(r.proto) : formatProtocol(r.proto);
  s += `${targetName(r).padEnd(9)} ${not(F_INV_PROTO) || " "}${proto.padEnd(4)} `;
  s += `${not(F_INV_FRAG) || "-"}${(r.flags & F_FRAG) !== 0 ? "f" : "-"} `;
  if (o.verbose === true) {
    const dev = (text: string | undefined, flag: number): string =>
      (text === undefined ? "*" : not(flag) + text).padEnd(6);
    s += ` ${dev(r.inPattern?.text, F_INV_IN)} ${dev(r.outPattern?.text, F_INV_OUT)} `;
  }
  const net = (addr: number, mask: number, flag: number): string => {
    const text = mask === 0 ? (numeric ? "0.0.0.0/0" : "anywhere") : formatAddrMask(addr, mask, false);
    return `${not(flag) || " "}${text.padEnd(19)} `;
  };
  s += net(r.src, r.srcMask, F_INV_SRC) + net(r.dst, r.dstMask, F_INV_DST);
  if (r.act === Act.GOTO) s += "[goto] ";
  for (const m of r.matches) s += printMatch(m.save(), numeric);
  if (r.act === Act.TARGET) s += printTarget(r.target!.name, r.target!.save(), numeric);
  return `${s}\n`;
}

/** `iptables -S`: policies, chains, rules; with `verbose` their counters. Undefined when there is no such chain. */
export function iptablesSpec(ns: Netns, table: TableName, o: ListOptions = {}): string | undefined {
  const list = chains(ns, table, o.chain);
  if (list.length === 0) return undefined;
  const count = (pkts: number, bytes: number): string => (o.verbose === true ? `-c ${pkts} ${bytes}` : "");
  // The counters stand between the matches and the target.
  const line = (c: Listed, r: XtRule): string =>
    `${[`-A ${c.name}`, r.conditions, count(r.pkts, r.bytes), r.action].filter((w) => w !== "").join(" ")}\n`;
  if (o.rule !== undefined) {
    const r = list[0]!.rules[o.rule - 1];
    return r === undefined ? "" : line(list[0]!, r);
  }
  const base = list.filter((c) => c.hook >= 0);
  const user = list.filter((c) => c.hook < 0);
  return [
    ...base.map(
      (c) => `${`-P ${c.name} ${policyName(c)} ${count(c.policyCnt[0]!, c.policyCnt[1]!)}`.trimEnd()}\n`,
    ),
    ...user.map((c) => `-N ${c.name}\n`),
    ...list.flatMap((c) => c.rules.map((r) => line(c, r))),
  ].join("");
}
