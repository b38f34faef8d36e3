// The `conntrack` command (conntrack-tools 1.4.7): -L, -G, -D, -U --mark, -F, -C, -S with their filters.
//
// Differs: -I, -E, labels, expectations and output formats other than `extended` are refused; -S prints one line, for
// all processors.

import type { Netns } from "../netns.js";
import {
  IPS_ASSURED,
  IPS_DST_NAT,
  IPS_EXPECTED,
  IPS_FIXED_TIMEOUT,
  IPS_SEEN_REPLY,
  IPS_SRC_NAT,
  type NfConn,
  type NfConntrack,
} from "./nf_conntrack.js";
import { conntrackLine, conntrackState } from "./nf_conntrack_text.js";
import { parseIpv4, prefixMask } from "./text.js";

export interface CommandResult {
  readonly rc: number;
  /** Standard output and standard error. */
  readonly out: string;
  readonly err: string;
}

const NAME = "conntrack v1.4.7 (conntrack-tools): ";
const PROTOCOLS: Readonly<Record<string, number>> = {
  icmp: 1,
  tcp: 6,
  udp: 17,
  dccp: 33,
  gre: 47,
  icmpv6: 58,
  sctp: 132,
  udplite: 136,
};
const WITH_PORTS = new Set([6, 17, 33, 132, 136]);

const LONG: Readonly<Record<string, string>> = {
  "--dump": "-L",
  "--get": "-G",
  "--delete": "-D",
  "--update": "-U",
  "--flush": "-F",
  "--count": "-C",
  "--stats": "-S",
};

type Filter = (ct: NfConn) => boolean;

class Usage extends Error {}

const say = (text: string): string => `${NAME}${text}\n`;
const usage = (text: string): CommandResult => ({
  rc: 2,
  out: "",
  err: `${NAME}${text}\nTry \`conntrack -h' or 'conntrack --help' for more information.\n`,
});

interface Parsed {
  command: string;
  filters: Filter[];
  extended: boolean;
  zero: boolean;
  /** Of -U: value and mask. */
  mark: readonly [number, number] | null;
}

function address(text: string): { addr: number; mask: number } {
  const [a, len] = text.split("/");
  const addr = parseIpv4(a!);
  const bits = len === undefined ? 32 : Number(len);
  if (addr === undefined || !(bits >= 0 && bits <= 32)) throw new Usage(`Invalid IP address \`${text}'`);
  const mask = prefixMask(bits);
  return { addr: addr & mask, mask };
}

function parse(argv: readonly string[]): Parsed {
  const p: Parsed = { command: "", filters: [], extended: false, zero: false, mark: null };
  const add = (f: Filter): void => {
    p.filters.push(f);
  };
  let proto = -1;
  const queue = [...argv];
  while (queue.length > 0) {
    let w = queue.shift()!;
    const eq = /^(--[a-z-]+)=(.*)$/.exec(w);
    if (eq !== null) {
      w = eq[1]!;
      queue.unshift(eq[2]!);
    } else if (/^-[a-z]./i.test(w) && !w.startsWith("--")) {
      // A value joined to its letter.
      queue.unshift(w.slice(2));
      w = w.slice(0, 2);
    }
    const need = (): string => {
      const v = queue.shift();
      if (v === undefined) throw new Usage(`option \`${w}' requires an argument`);
      return v;
    };
    const ip = (pick: (ct: NfConn) => number): void => {
      const { addr, mask } = address(need());
      add((ct) => (pick(ct) & mask) === addr);
    };
    const port = (pick: (ct: NfConn) => number): void => {
      if (!WITH_PORTS.has(proto)) throw new Usage(`unknown option \`${w}'`);
      const n = Number(need());
      add((ct) => pick(ct) === n);
    };
    const number = (pick: (ct: NfConn) => number): void => {
      const n = Number(need());
      add((ct) => pick(ct) === n);
    };
    const nat = (bits: number, pick: (ct: NfConn) => readonly number[]): void => {
      add((ct) => (ct.status & bits) !== 0);
      if (queue[0] !== undefined && !queue[0].startsWith("-")) {
        const { addr } = address(need());
        add((ct) => pick(ct).includes(addr));
      }
    };
    switch (w) {
      case "-L":
      case "--dump":
      case "-G":
      case "--get":
      case "-D":
      case "--delete":
      case "-U":
      case "--update":
      case "-F":
      case "--flush":
      case "-C":
      case "--count":
      case "-S":
      case "--stats": {
        p.command = LONG[w] ?? w;
        const table = queue[0];
        if (table !== undefined && !table.startsWith("-")) {
          queue.shift();
          if (table !== "conntrack")
            throw new Usage(
              ["expect", "dying", "unconfirmed"].includes(table)
                ? `table ${table} is not modelled`
                : `unknown type \`${table}'`,
            );
        }
        break;
      }
      case "-p":
      case "--protonum":
      case "--proto": {
        const v = need();
        const n = PROTOCOLS[v.toLowerCase()] ?? (/^\d+$/.test(v) ? Number(v) : -1);
        if (n < 0 || n > 255) throw new Usage(`\`${v}' unsupported protocol`);
        proto = n;
        add((ct) => ct.orig.proto === n);
        break;
      }
      case "-f":
      case "--family":
        if (need() === "ipv6") add(() => false);
        break;
      case "-s":
      case "--src":
      case "--orig-src":
        ip((ct) => ct.orig.src);
        break;
      case "-d":
      case "--dst":
      case "--orig-dst":
        ip((ct) => ct.orig.dst);
        break;
      case "-r":
      case "--reply-src":
        ip((ct) => ct.reply.src);
        break;
      case "-q":
      case "--reply-dst":
        ip((ct) => ct.reply.dst);
        break;
      case "--sport":
      case "--orig-port-src":
        port((ct) => ct.orig.sport);
        break;
      case "--dport":
      case "--orig-port-dst":
        port((ct) => ct.orig.dport);
        break;
      case "--reply-port-src":
        port((ct) => ct.reply.sport);
        break;
      case "--reply-port-dst":
        port((ct) => ct.reply.dport);
        break;
      case "--icmp-type":
        number((ct) => ct.orig.dport >>> 8);
        break;
      case "--icmp-code":
        number((ct) => ct.orig.dport & 0xff);
        break;
      case "--icmp-id":
        number((ct) => ct.orig.sport);
        break;
      case "-n":
      case "--src-nat":
        nat(IPS_SRC_NAT, (ct) => [ct.reply.dst]);
        break;
      case "-g":
      case "--dst-nat":
        nat(IPS_DST_NAT, (ct) => [ct.reply.src]);
        break;
      case "-j":
      case "--any-nat":
        nat(IPS_SRC_NAT | IPS_DST_NAT, (ct) => [ct.reply.src, ct.reply.dst]);
        break;
      case "-m":
      case "--mark": {
        const v = need();
        const [value, mask] = v.split("/").map(Number);
        if (Number.isNaN(value) || Number.isNaN(mask ?? 0)) throw new Usage(`Bad mark \`${v}'`);
        p.mark = [value! | 0, (mask ?? -1) | 0];
        break;
      }
      case "-u":
      case "--status":
        for (const s of need().split(",")) {
          const bit = {
            ASSURED: IPS_ASSURED,
            SEEN_REPLY: IPS_SEEN_REPLY,
            EXPECTED: IPS_EXPECTED,
            FIXED_TIMEOUT: IPS_FIXED_TIMEOUT,
          }[s.toUpperCase()];
          if (bit !== undefined) add((ct) => (ct.status & bit) !== 0);
          else if (s.toUpperCase() === "UNSET" || s.toUpperCase() === "UNREPLIED")
            add((ct) => (ct.status & IPS_SEEN_REPLY) === 0);
          else throw new Usage(`unknown parameter \`${s}'`);
        }
        break;
      case "--state": {
        const s = need().toUpperCase();
        if (proto !== 6 && proto !== 132) throw new Usage(`unknown option \`${w}'`);
        add((ct) => conntrackState(ct) === s);
        break;
      }
      case "-w":
      case "--zone":
        number((ct) => ct.zone);
        break;
      case "--orig-zone":
        number((ct) => ct.orig.zone);
        break;
      case "--reply-zone":
        number((ct) => ct.reply.zone);
        break;
      case "-z":
      case "--zero":
        p.zero = true;
        break;
      case "-o":
      case "--output":
        for (const o of need().split(",")) {
          if (o === "extended") p.extended = true;
          else throw new Usage(`output ${o} is not modelled`);
        }
        break;
      default:
        throw new Usage(`unknown option \`${w}'`);
    }
  }
  if (p.mark !== null && p.command !== "-U") {
    const [value, mask] = p.mark;
    add((ct) => (ct.mark & mask) === value);
  }
  return p;
}

/** Runs `conntrack ARGV`. */
export function conntrack(ns: Netns, argv: readonly string[]): CommandResult {
  let p: Parsed;
  try {
    p = parse(argv);
  } catch (e) {
    if (e instanceof Usage) return usage(e.message);
    throw e;
  }
  const net: NfConntrack | null = ns.nf?.ct ?? null;
  const wanted: NfConn[] = [];
  if (net !== null) {
    for (const ct of net.entries()) if (p.filters.every((f) => f(ct))) wanted.push(ct);
    wanted.sort((a, b) => b.id - a.id);
  }
  const lines = (list: readonly NfConn[]): string =>
    list.map((ct) => `${p.extended ? "ipv4     2 " : ""}${conntrackLine(net!, ct)}\n`).join("");
  switch (p.command) {
    case "-L": {
      const out = lines(wanted);
      if (p.zero) for (const ct of wanted) ct.acct?.fill(0);
      return { rc: 0, out, err: say(`${wanted.length} flow entries have been shown.`) };
    }
    case "-G":
      if (wanted.length === 0)
        return { rc: 1, out: "", err: say("Operation failed: such conntrack doesn't exist") };
      return {
        rc: 0,
        out: lines(wanted.slice(0, 1)).replace(/use=1\n$/, "use=2\n"),
        err: say("1 flow entries have been shown."),
      };
    case "-D": {
      const out = lines(wanted);
      net?.byUser(() => {
        for (const ct of wanted) net.kill(ct);
      });
      return {
        rc: wanted.length > 0 ? 0 : 1,
        out,
        err: say(`${wanted.length} flow entries have been deleted.`),
      };
    }
    case "-U": {
      if (p.mark === null) return usage("missing option `--mark'");
      const [value, mask] = p.mark;
      net?.byUser(() => {
        for (const ct of wanted) net.setMark(ct, (ct.mark & ~mask) | value);
      });
      return {
        rc: wanted.length > 0 ? 0 : 1,
        out: lines(wanted),
        err: say(`${wanted.length} flow entries have been updated.`),
      };
    }
    case "-F":
      net?.byUser(() => net.flush(() => true));
      return { rc: 0, out: "", err: say("connection tracking table has been emptied.") };
    case "-C":
      return { rc: 0, out: `${net?.count ?? 0}\n`, err: "" };
    case "-S": {
      const s = net?.stats;
      return {
        rc: 0,
        out: `cpu=0   \tfound=${s?.found ?? 0} invalid=${s?.invalid ?? 0} insert=${s?.insert ?? 0} insert_failed=${s?.insert_failed ?? 0} drop=${s?.drop ?? 0} early_drop=${s?.early_drop ?? 0} error=${s?.error ?? 0} search_restart=0 clash_resolve=${s?.clash_resolve ?? 0} chaintoolong=0 \n`,
        err: "",
      };
    }
    default:
      return usage("one of -L, -G, -D, -U, -F, -C, -S is needed");
  }
}
