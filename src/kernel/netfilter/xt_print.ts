// Matches and targets as `iptables -L` (1.8.9) prints them behind a rule's addresses: the same fields as in
// iptables-save, in the words of each extension's own print function. Read from the saved form, so that what an
// extension holds is written down once.

import { portName } from "./text.js";
import { ICMP_NAMES, TCP_FLAG_BITS } from "./xt_match.js";
import { splitWords } from "./xt_parse.js";

/** An option of the saved form. */
interface Option {
  /** With its dashes. */
  readonly name: string;
  readonly inv: boolean;
  readonly args: readonly string[];
}

function optionsOf(words: readonly string[]): Option[] {
  const out: Option[] = [];
  let inv = false;
  for (let i = 0; i < words.length; i++) {
    const w = words[i]!;
    if (w === "!") {
      inv = true;
      continue;
    }
    const args: string[] = [];
    while (i + 1 < words.length && words[i + 1] !== "!" && !words[i + 1]!.startsWith("--"))
      args.push(words[++i]!);
    out.push({ name: w, inv, args });
    inv = false;
  }
  return out;
}

type Print = (options: readonly Option[], numeric: boolean) => string;

/** `name value`, with `! ` before it when inverted. */
const plain = (o: Option): string => `${o.inv ? " !" : ""} ${[o.name.slice(2), ...o.args].join(" ")}`;
const allPlain: Print = (all) => all.map(plain).join("");
const withDashes = (all: readonly Option[]): string =>
  all.map((o) => `${o.inv ? " !" : ""} ${[o.name, ...o.args].join(" ")}`).join("");
const bang = (o: Option): string => (o.inv ? "!" : "");
const one = (all: readonly Option[], name: string): Option | undefined => all.find((o) => o.name === name);

function port(text: string, numeric: boolean): string {
  return numeric ? text : (portName(Number(text)) ?? text);
}

/** ` spt:1`, ` dpts:!1:2`. */
function ports(o: Option | undefined, what: string, numeric: boolean): string {
  if (o === undefined) return "";
  const [lo, hi] = o.args[0]!.split(":");
  const range = hi === undefined ? port(lo!, numeric) : `${port(lo!, numeric)}:${port(hi, numeric)}`;
  return ` ${what}${hi === undefined ? "" : "s"}:${bang(o)}${range}`;
}

const hex2 = (n: number): string => `0x${n.toString(16).toUpperCase().padStart(2, "0")}`;

function tcpFlags(o: Option | undefined, numeric: boolean): string {
  if (o === undefined) return "";
  const value = (names: string): number => names.split(",").reduce((n, x) => n | TCP_FLAG_BITS[x]!, 0);
  const [mask, cmp] = o.args as [string, string];
  return ` flags:${bang(o)}${numeric ? `${hex2(value(mask))}/${hex2(value(cmp))}` : `${mask}/${cmp}`}`;
}

/** tcp, udp, udplite, dccp and sctp. */
const transport =
  (name: string): Print =>
  (all, numeric) => {
    const option = one(all, "--tcp-option");
    return [
      ` ${name}`,
      ports(one(all, "--sport"), "spt", numeric),
      ports(one(all, "--dport"), "dpt", numeric),
      option === undefined ? "" : ` option=${bang(option)}${option.args[0]}`,
      tcpFlags(one(all, "--tcp-flags"), numeric),
    ].join("");
  };

const icmp: Print = (all, numeric) => {
  const o = all[0]!;
  const [type, code] = (o.args[0] === "any" ? "255" : o.args[0]!).split("/").map(Number) as [number, number?];
  const known = Object.entries(ICMP_NAMES).find(
    ([, [t, lo, hi]]) =>
      t === type && (code === undefined ? lo === 0 && hi === 255 : lo === code && hi === code),
  );
  if (!numeric && known !== undefined) return ` icmp ${bang(o)}${known[0]}`;
  return ` icmp${o.inv ? " !" : ""}type ${type}${code === undefined ? "" : ` code ${code}`}`;
};

const limit: Print = (all) =>
  ` limit: avg ${one(all, "--limit")!.args[0]} burst ${one(all, "--limit-burst")?.args[0] ?? "5"}`;

const hashlimit: Print = (all) =>
  all
    .map((o) => {
      switch (o.name) {
        case "--hashlimit-upto":
          return ` limit: up to ${o.args[0]}`;
        case "--hashlimit-above":
          return ` limit: above ${o.args[0]}`;
        case "--hashlimit-mode":
          return ` mode ${o.args[0]!.replaceAll(",", "-")}`;
        case "--hashlimit-name":
          return "";
        default:
          return ` ${[o.name.slice("--hashlimit-".length), ...o.args].join(" ")}`;
      }
    })
    .join("");

const RECENT: Readonly<Record<string, string>> = {
  "--set": "SET",
  "--rcheck": "CHECK",
  "--update": "UPDATE",
  "--remove": "REMOVE",
};

const recent: Print = (all) => {
  const does = all.find((o) => o.name in RECENT)!;
  const value = (name: string, said: string): string => {
    const o = one(all, name);
    return o === undefined ? "" : ` ${said}${o.args.length > 0 ? ` ${o.args[0]}` : ""}`;
  };
  return [
    does.inv ? " !" : "",
    ` recent: ${RECENT[does.name]}`,
    value("--seconds", "seconds:"),
    value("--reap", "reap"),
    value("--hitcount", "hit_count:"),
    value("--rttl", "TTL-Match"),
    value("--name", "name:"),
    one(all, "--rdest") === undefined ? " side: source" : " side: dest",
    value("--mask", "mask:"),
  ].join("");
};

const TTL: Readonly<Record<string, string>> = { "--ttl-eq": "==", "--ttl-lt": "<", "--ttl-gt": ">" };

const multiport: Print = (all, numeric) =>
  all
    .map((o) => {
      const list = o.args[0]!.split(",").map((p) =>
        p
          .split(":")
          .map((x) => port(x, numeric))
          .join(":"),
      );
      return ` multiport ${o.name.slice(2)} ${o.inv ? " !" : ""}${list.join(",")}`;
    })
    .join("");

const OWNER: Readonly<Record<string, string>> = {
  "--uid-owner": "owner UID match",
  "--gid-owner": "owner GID match",
  "--socket-exists": "owner socket exists",
};

const MATCHES: Readonly<Record<string, Print>> = {
  tcp: transport("tcp"),
  udp: transport("udp"),
  udplite: transport("udplite"),
  dccp: transport("dccp"),
  sctp: transport("sctp"),
  icmp,
  comment: (all) => ` /* ${all[0]!.args[0]} */`,
  mark: (all) => ` mark match${all[0]!.inv ? " !" : ""} ${all[0]!.args[0]}`,
  connmark: (all) => ` connmark match ${bang(all[0]!)} ${all[0]!.args[0]}`,
  conntrack: allPlain,
  state: allPlain,
  set: allPlain,
  statistic: (all) => ` statistic${allPlain(all, true)}`,
  addrtype: (all) =>
    ` ADDRTYPE match${all
      .map((o) =>
        o.name.startsWith("--limit-iface-")
          ? ` limit-${o.name.slice("--limit-iface-".length)}`
          : ` ${o.name.slice(2)} ${bang(o)}${o.args[0]}`,
      )
      .join("")}`,
  multiport,
  limit,
  hashlimit,
  owner: (all, numeric) =>
    all
      .map((o) => {
        // The one user and group that every system has.
        const who = o.args.map((id) => (!numeric && id === "0" ? "root" : id));
        return `${o.inv ? " !" : ""} ${[OWNER[o.name], ...who].join(" ")}`;
      })
      .join(""),
  socket: (all) => ` socket${withDashes(all)}`,
  rpfilter: (all) => ` rpfilter${allPlain(all, true)}`,
  physdev: (all) => ` PHYSDEV match${withDashes(all)}`,
  length: (all) => ` length ${bang(all[0]!)}${all[0]!.args[0]}`,
  ttl: (all) => ` TTL match TTL ${all[0]!.inv ? "!=" : TTL[all[0]!.name]} ${all[0]!.args[0]}`,
  dscp: (all) => ` DSCP match ${bang(all[0]!)}${all[0]!.args[0]}`,
  iprange: (all) =>
    all
      .map(
        (o) =>
          ` ${o.name === "--src-range" ? "source" : "destination"} IP range${o.inv ? " !" : ""} ${o.args[0]}`,
      )
      .join(""),
  mac: (all) => ` MAC${all[0]!.inv ? " !" : ""} ${all[0]!.args[0]}`,
  pkttype: (all) => ` PKTTYPE ${all[0]!.inv ? "!=" : "="} ${all[0]!.args[0]}`,
  recent,
  nfacct: allPlain,
};

/** A match from its saved form (`-m NAME ...`), with a space before it. `numeric`: no names of ports, types and flags. */
export function printMatch(saved: string, numeric: boolean): string {
  const [, name, ...rest] = splitWords(saved);
  return MATCHES[name!]!(optionsOf(rest), numeric);
}

/** `and`, `or`, `xor`, `set` or what is none of them, of mark and mask. */
function markWords(text: string): string {
  const [mark, mask] = text.split("/").map(Number) as [number, number];
  const hex = (n: number): string => `0x${(n >>> 0).toString(16)}`;
  if (mark === 0) return `and ${hex(~mask)}`;
  if (mark === mask) return `or ${hex(mark)}`;
  if (mask === 0) return `xor ${hex(mark)}`;
  return mask === 0xffffffff ? `set ${hex(mark)}` : `xset ${hex(mark)}/${hex(mask)}`;
}

const LOG_FLAGS: Readonly<Record<string, number>> = {
  "--log-tcp-sequence": 1,
  "--log-tcp-options": 2,
  "--log-ip-options": 4,
  "--log-uid": 8,
  "--log-macdecode": 32,
};
const LOG_LEVELS = ["emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"];

const log: Print = (all, numeric) => {
  const flags = all.filter((o) => o.name in LOG_FLAGS);
  const level = Number(one(all, "--log-level")?.args[0] ?? 4);
  const prefix = one(all, "--log-prefix");
  const what = numeric
    ? ` flags ${flags.reduce((n, o) => n + LOG_FLAGS[o.name]!, 0)} level ${level}`
    : ` level ${LOG_LEVELS[level]}${flags.map((o) => ` ${o.name.slice("--log-".length)}`).join("")}`;
  return ` LOG${what}${prefix === undefined ? "" : ` prefix "${prefix.args[0]}"`}`;
};

const connmark: Print = (all) => {
  const set = one(all, "--set-xmark");
  if (set !== undefined) return ` CONNMARK ${markWords(set.args[0]!)}`;
  const nf = one(all, "--nfmask")!.args[0]!;
  const ct = one(all, "--ctmask")!.args[0]!;
  const masks = nf !== ct ? ` nfmask ${nf} ctmask ~${ct}` : nf === "0xffffffff" ? "" : ` mask ${nf}`;
  return ` CONNMARK ${one(all, "--save-mark") === undefined ? "restore" : "save"}${masks}`;
};

/** The first option in words, the others as they are. */
const renamed =
  (words: string): Print =>
  (all) =>
    all.map((o) => (o.args.length > 0 ? ` ${words}${o.args[0]}` : plain(o))).join("");

const TARGETS: Readonly<Record<string, Print>> = {
  DNAT: renamed("to:"),
  SNAT: renamed("to:"),
  MASQUERADE: renamed("masq ports: "),
  REDIRECT: renamed("redir ports "),
  MARK: (all) => ` MARK ${markWords(all[0]!.args[0]!)}`,
  CONNMARK: connmark,
  REJECT: allPlain,
  LOG: log,
  NFLOG: (all) =>
    all
      .map((o) => ` ${o.name.slice(2)} ${o.name === "--nflog-prefix" ? `"${o.args[0]}"` : o.args[0]}`)
      .join(""),
  TPROXY: (all) => {
    const value = (name: string): string => one(all, name)!.args[0]!;
    return ` TPROXY redirect ${value("--on-ip")}:${value("--on-port")} mark ${value("--tproxy-mark")}`;
  },
  TCPMSS: (all) =>
    all[0]!.name === "--set-mss" ? ` TCPMSS set ${all[0]!.args[0]}` : " TCPMSS clamp to PMTU",
  CHECKSUM: () => " CHECKSUM fill",
  CT: (all) => ` CT${allPlain(all, true)}`,
  NOTRACK: () => " NOTRACK",
  SET: allPlain,
};

/** A target from its saved options, with a space before it; empty where its name says all. */
export function printTarget(name: string, saved: string, numeric: boolean): string {
  return TARGETS[name]?.(optionsOf(splitWords(saved)), numeric) ?? "";
}
