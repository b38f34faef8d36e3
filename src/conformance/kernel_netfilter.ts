// The netfilter side of a kernel lab: rules, sets and services in; trace, conntrack events, rule counters, conntrack
// table and IPVS tables out.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { isPodpathError, PodpathError } from "../base/errors.js";
import { ipvsadm } from "../kernel/ipvs/ipvsadm.js";
import { conntrack } from "../kernel/netfilter/conntrack_cli.js";
import { nfState } from "../kernel/netfilter/hooks.js";
import { iptables, iptablesRestore, iptablesSave } from "../kernel/netfilter/iptables.js";
import { ConntrackEvents, procNfConntrackLine } from "../kernel/netfilter/nf_conntrack_text.js";
import { nfSysctlSet } from "../kernel/netfilter/sysctl.js";
import { NfTrace } from "../kernel/netfilter/trace.js";
import { type TableName, xtNet } from "../kernel/netfilter/xtables.js";
import type { Netns } from "../kernel/netns.js";
import { MIB_NAMES } from "../kernel/snmp.js";
import type { TopoNetns } from "../kernel/topology.js";
import type { LabRun, LabTopology } from "./kernel.js";
import { type ConformanceReport, textDiff } from "./report.js";

/** The netfilter part of a namespace in topology.json. */
interface NfSpec {
  readonly role?: string;
  readonly trace?: boolean;
  readonly iptables?: string;
  readonly ipset?: readonly {
    readonly name: string;
    readonly type: string;
    readonly members: readonly string[];
  }[];
  readonly ipvs?: {
    readonly services: readonly {
      readonly proto: string;
      readonly addr: string;
      readonly port: number;
      readonly scheduler?: string;
      readonly persistent?: number;
      readonly servers: readonly {
        readonly addr: string;
        readonly port: number;
        readonly weight?: number;
        readonly forward?: string;
      }[];
    }[];
    readonly timeouts?: readonly number[];
  };
  readonly sysctl?: Readonly<Record<string, string | number>>;
}

/** The four empty tables that every node of a lab starts with. */
const EMPTY_TABLES = `*raw
:PREROUTING ACCEPT
:OUTPUT ACCEPT
COMMIT
*mangle
:PREROUTING ACCEPT
:INPUT ACCEPT
:FORWARD ACCEPT
:OUTPUT ACCEPT
:POSTROUTING ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT
:INPUT ACCEPT
:OUTPUT ACCEPT
:POSTROUTING ACCEPT
COMMIT
*filter
:INPUT ACCEPT
:FORWARD ACCEPT
:OUTPUT ACCEPT
COMMIT
`;

/** Conntrack events of traced namespaces. */
const events = new WeakMap<Netns, ConntrackEvents>();

/** Listens to conntrack as soon as something has switched it on. */
function listen(ns: Netns): void {
  const ct = ns.nf?.ct ?? null;
  if (ct === null || !(ns.nf!.trace instanceof NfTrace) || ct.listener !== null) return;
  const ev = new ConntrackEvents(ct);
  ct.listener = ev;
  events.set(ns, ev);
}

/** What `conntrack -E` has printed in a namespace so far; nothing where nobody listens. */
const eventLines = (ns: Netns): readonly string[] => events.get(ns)?.lines ?? [];

/** How many conntrack events each namespace has seen. */
export const eventCounts = (all: ReadonlyMap<string, Netns>): ReadonlyMap<string, number> =>
  new Map([...all].map(([name, ns]) => [name, eventLines(ns).length]));

/** Loads iptables rules, ipsets and IPVS services of a namespace. */
export function applyNetfilter(name: string, ns: Netns, topoSpec: TopoNetns, topo: LabTopology): void {
  const spec = topoSpec as NfSpec;
  const node = spec.role === "node";
  for (const s of spec.ipset ?? []) {
    const set = xtNet(ns).sets.create(s.name, s.type);
    for (const m of s.members) set.add(m);
  }
  if (node || spec.iptables !== undefined) iptablesRestore(ns, EMPTY_TABLES);
  if (spec.iptables !== undefined) {
    const report = iptablesRestore(ns, spec.iptables, { file: `iptables of ${name}`, noflush: true });
    const u = report.unmodelled[0];
    if (u !== undefined)
      throw new PodpathError("UNSUPPORTED", `${name}, line ${u.line}: ${u.what} (${u.rule})`);
  }
  for (const [k, v] of Object.entries(spec.sysctl ?? {})) nfSysctlSet(ns, k, v);
  if (spec.ipvs !== undefined) {
    const ok = (argv: readonly string[]): void => {
      const r = ipvsadm(ns, argv);
      if (r.rc !== 0)
        throw new PodpathError("SCENARIO_INVALID", `${name}: ipvsadm ${argv.join(" ")}: ${r.out.trim()}`);
    };
    for (const s of spec.ipvs.services) {
      const key = [s.proto === "udp" ? "-u" : "-t", `${s.addr}:${s.port}`];
      const p = s.persistent !== undefined && s.persistent > 0 ? ["-p", String(s.persistent)] : [];
      ok(["-A", ...key, "-s", s.scheduler ?? "rr", ...p]);
      for (const r of s.servers) {
        const fwd = { masq: "-m", tunnel: "-i", direct: "-g" }[r.forward ?? "masq"] ?? "-m";
        ok(["-a", ...key, "-r", `${r.addr}:${r.port}`, fwd, "-w", String(r.weight ?? 1)]);
      }
    }
    if (spec.ipvs.timeouts !== undefined) ok(["--set", ...spec.ipvs.timeouts.map(String)]);
  }
  if (node && spec.trace !== false) {
    nfState(ns).trace = new NfTrace({ chainEnds: oldKernel(topo) });
    for (const c of ["PREROUTING", "OUTPUT"]) iptables(ns, "raw", `-I ${c} 1 -j TRACE`);
    listen(ns);
  }
}

/** True before Linux 6.3: nf_tables told of the ends of chains. */
function oldKernel(topo: LabTopology): boolean {
  const m = /^(\d+)\.(\d+)/.exec((topo as { readonly kernel?: string }).kernel ?? "");
  return m !== null && (Number(m[1]) < 6 || (Number(m[1]) === 6 && Number(m[2]) < 3));
}

function quote(w: string): string {
  return /^[^\s"'\\]+$/.test(w) ? w : `"${w.replace(/["\\]/g, "\\$&")}"`;
}

/** Runs a command of a `cmd` step (iptables, ipset, ipvsadm, conntrack); null when it is not known. */
export function labCommand(
  ns: Netns,
  argv: readonly string[],
  stdin: string,
): { rc: number; out: string } | null {
  try {
    switch (argv[0]) {
      case "iptables":
      case "iptables-nft": {
        let table: TableName = "filter";
        const rest: string[] = [];
        for (let i = 1; i < argv.length; i++) {
          if (argv[i] === "-t") table = argv[++i] as TableName;
          else if (argv[i] !== "-w" && argv[i] !== "-n") rest.push(argv[i]!);
        }
        iptables(ns, table, rest.map(quote).join(" "), { strict: true });
        listen(ns);
        return { rc: 0, out: "" };
      }
      case "iptables-restore":
      case "iptables-nft-restore":
        iptablesRestore(ns, stdin, {
          noflush: argv.includes("--noflush") || argv.includes("-n"),
          strict: true,
        });
        listen(ns);
        return { rc: 0, out: "" };
      case "ipset":
        xtNet(ns).sets.restore(argv[1] === "restore" ? stdin : argv.slice(1).join(" "));
        return { rc: 0, out: "" };
      case "ipvsadm":
        return ipvsadm(ns, argv.slice(1), stdin);
      case "conntrack": {
        const r = conntrack(ns, argv.slice(1));
        return { rc: r.rc, out: r.out + r.err };
      }
      default:
        return null;
    }
  } catch (e) {
    if (!isPodpathError(e)) throw e;
    return { rc: 1, out: `${argv[0]}: ${e.message}\n` };
  }
}

function readMaybe(path: string): string | null {
  if (existsSync(path)) return readFileSync(path, "utf8");
  if (existsSync(`${path}.gz`)) return gunzipSync(readFileSync(`${path}.gz`)).toString("utf8");
  return null;
}

/** A trace line without what is random: IP ids that the sender's kernel chose, tunnel ports, dumped bytes. */
function maskTrace(l: string): string {
  return l
    .replace(/ ID=(\d+)/, (_, id) => ` ID=${id === "0" ? "0" : "#"}`)
    .replace(/LL=(0x[0-9a-f]+) [0-9a-f]+/, "LL=$1 #")
    .replace(/SPORT=\d+ DPORT=(4789|6081)/, "SPORT=# DPORT=$1")
    .trimEnd();
}

/** Source ports of VXLAN and Geneve: a hash with a secret of the boot. */
function maskTunnelPort(l: string): string {
  return l
    .replace(/sport=\d+ dport=(4789|6081)\b/g, "sport=# dport=$1")
    .replace(/sport=(4789|6081) dport=\d+/g, "sport=$1 dport=#");
}

/** Seconds of a conntrack line: a tick may have passed before they were read. */
function maskSeconds(l: string): string {
  return maskTunnelPort(l.replace(/ portid=\d+( progname=\S+)?$/, "")).replace(
    /^(\s*\[\w+\])?(\s*\w+\s+\d+) (\d+) /,
    (_, a: string | undefined, b: string, s: string) => {
      const n = Number(s);
      return `${a ?? ""}${b} ${a?.includes("DESTROY") ? "#" : n % 10 === 9 ? n + 1 : n} `;
    },
  );
}

/** When the tables were read is not recorded: an entry with no more seconds than this may have ended before. */
const UNSURE_S = 5;
const endsSoon = (l: string): boolean => {
  const left = /^ipv4 +2 \w+ +\d+ (\d+) /.exec(l);
  return left !== null && Number(left[1]) <= UNSURE_S;
};

/**
 * Ports and ICMP ids that MASQUERADE chose at random after a collision: the reply goes to another port than the
 * original came from. Returns a function that takes them out of a line.
 */
function natPortMask(events: readonly string[]): (l: string) => string {
  const chosen = new Set<string>();
  for (const l of events) {
    const port = / src=(\S+) dst=\S+ sport=(\d+) dport=\d+ .*src=\S+ dst=(\S+) sport=\d+ dport=(\d+)/.exec(l);
    if (port !== null && port[1] !== port[3] && port[2] !== port[4]) chosen.add(port[4]!);
    const id = / src=(\S+) .* id=(\d+) .*dst=(\S+) type=\d+ code=\d+ id=(\d+)/.exec(l);
    if (id !== null && id[1] !== id[3] && id[2] !== id[4]) chosen.add(id[4]!);
  }
  if (chosen.size === 0) return (l) => l;
  const re = new RegExp(`\\b(dport|sport|DPORT|SPORT|id)=(${[...chosen].join("|")})\\b`, "g");
  return (l) => l.replace(re, "$1=#");
}

/** Sections of trace.txt by node. */
function traceSections(text: string): Map<string, { trace: string[]; events: string[] }> {
  const out = new Map<string, { trace: string[]; events: string[] }>();
  let into: string[] | null = null;
  for (const l of text.split("\n")) {
    const t = /^### netfilter trace in (\S+)/.exec(l);
    const e = /^### conntrack events in (\S+)/.exec(l);
    if (t !== null) {
      into = [];
      out.set(t[1]!, { trace: into, events: [] });
    } else if (e !== null) {
      into = out.get(e[1]!)!.events;
    } else if (into !== null && l !== "" && !l.startsWith("(no packet") && l !== "(none)") into.push(l);
  }
  return out;
}

interface Counters {
  readonly nstat?: Readonly<Record<string, number>>;
  readonly conntrack?: readonly string[];
  readonly iptables_save?: readonly string[];
  readonly ipvs?: Readonly<Record<string, readonly string[]>>;
}

/** How many packets the TRACE rules of a node saw, from their counters; -1 = not recorded. */
function tracedPackets(counters: Record<string, Counters> | null, node: string): number {
  const save = counters?.[node]?.iptables_save;
  if (save === undefined) return -1;
  let n = 0;
  for (const l of save) {
    const m = /^\[(\d+):\d+\] -A \S+ -j TRACE$/.exec(l);
    if (m !== null) n += Number(m[1]);
  }
  return n;
}

/** The groups of a trace, without their numbers. */
function traceGroups(lines: readonly string[]): string[] {
  const out: string[] = [];
  for (const l of lines) {
    if (l.startsWith("packet ")) out.push("");
    else out[out.length - 1] += `${l}\n`;
  }
  return out;
}

/** Where a base chain stands on a packet's way; tables that no lab uses stand with filter. */
const CHAIN_ORDER = [
  "raw:PREROUTING",
  "mangle:PREROUTING",
  "nat:PREROUTING",
  "raw:OUTPUT",
  "mangle:OUTPUT",
  "nat:OUTPUT",
  "filter:OUTPUT",
  "mangle:INPUT",
  "filter:INPUT",
  "nat:INPUT",
  "mangle:FORWARD",
  "filter:FORWARD",
  "mangle:POSTROUTING",
  "nat:POSTROUTING",
];

/**
 * The walks of a trace: its groups, cut where a packet is back at an earlier chain. The kernel's trace id is a hash
 * of the packet's address in memory, its flow and its input device; a packet that a bridge hands up gets another
 * input device and so begins a group without its first chains - or goes on with the group of an earlier packet that
 * lay at the same address.
 */
function traceWalks(lines: readonly string[]): string[] {
  const out: string[] = [];
  for (const g of traceGroups(lines)) {
    let walk = "";
    let packet = "";
    let at = -1;
    for (const l of g.split("\n")) {
      if (l.startsWith("  | ")) {
        packet += `${l}\n`;
        continue;
      }
      if (l === "") continue;
      const m = /^ {2}> (\w+:\w+):|-t (\w+) -A (\w+)/.exec(l);
      const chain = m === null ? -1 : CHAIN_ORDER.indexOf(m[1] ?? `${m[2]}:${m[3]}`);
      if (chain >= 0 && chain < at) {
        out.push(walk);
        walk = "";
      }
      if (chain >= 0) at = chain;
      walk += `${packet}${l}\n`;
      packet = "";
    }
    if (walk !== "") out.push(walk);
  }
  return out;
}

/**
 * Equal but for three things that no rule decides: where among the others an ICMP message of the node itself stands
 * (redirects are paced in jiffies); to which group the walk of a packet belongs that a bridge handed up (traceWalks);
 * and events that the recording lost - its TRACE rules counted more packets than it shows (the netlink socket
 * overran). Then what it does show must be found in ours, in its order.
 */
function sameTrace(want: readonly string[], got: readonly string[], traced: number): boolean {
  const own = (g: string): boolean => /^ {2}\| OUT=[^\n]* TOS=0xc0 /.test(g);
  const begins = (g: string): boolean => /^.*\n {2}> raw:/.test(g);
  const eq = (x: readonly string[], y: readonly string[]): boolean =>
    x.length === y.length && x.every((v, i) => v === y[i]);
  const a = traceWalks(want);
  const b = traceWalks(got);
  if (
    eq(
      a.filter((g) => begins(g) && !own(g)),
      b.filter((g) => begins(g) && !own(g)),
    ) &&
    eq(a.filter(own), b.filter(own)) &&
    eq(a.filter((g) => !begins(g)).sort(), b.filter((g) => !begins(g)).sort())
  )
    return true;
  if (traced < 0 || traceGroups(want).length >= traced || traceGroups(got).length !== traced) return false;
  let at = 0;
  for (const l of want) {
    if (l.startsWith("packet ")) continue;
    while (at < got.length && got[at] !== l) at++;
    if (at === got.length) return false;
    at++;
  }
  return true;
}

/** Compares what netfilter saw with what was recorded, node by node. */
export function checkNetfilter(
  dir: string,
  lab: string,
  topo: LabTopology,
  run: LabRun,
  report: ConformanceReport,
): void {
  const old = oldKernel(topo);
  const compare = (name: string, want: readonly string[], got: readonly string[]): void => {
    const a = want.map((l) => `${l}\n`).join("");
    const b = got.map((l) => `${l}\n`).join("");
    if (a === b) report.pass();
    else report.fail(`${lab} ${name}`, textDiff(a, b));
  };
  const json = readMaybe(join(dir, "counters.json"));
  const counters = json === null ? null : (JSON.parse(json) as Record<string, Counters>);
  const masks = new Map<string, readonly [(l: string) => string, (l: string) => string]>();
  const text = readMaybe(join(dir, "trace.txt"));
  if (text !== null) {
    const sections = traceSections(text);
    const wantMask = natPortMask([...sections.values()].flatMap((s) => s.events));
    const gotMask = natPortMask([...run.built.ns.values()].flatMap(eventLines));
    for (const [node, s] of sections) {
      const ns = run.built.ns.get(node);
      if (ns === undefined) continue;
      const got = (ns.nf?.trace?.compact() ?? "").split("\n").filter((l) => l !== "");
      masks.set(node, [wantMask, gotMask]);
      const want = s.trace.map((l) => wantMask(maskTrace(l)));
      const mine = got.map((l) => gotMask(maskTrace(l)));
      if (sameTrace(want, mine, tracedPackets(counters, node))) report.pass();
      else compare(`trace in ${node}`, want, mine);
      const seen = s.events.map((l) => wantMask(maskSeconds(l.trimEnd())));
      const ours = eventLines(ns).map((l) => gotMask(maskSeconds(l.trimEnd())));
      // The recording stopped listening before it read the counters, up to which the model ran.
      const enough = seen.length >= (run.eventsInTime.get(node) ?? 0);
      compare(`conntrack events in ${node}`, seen, enough ? ours.slice(0, seen.length) : ours);
    }
  }
  if (counters === null) return;
  for (const [node, c] of Object.entries(counters)) {
    const ns = run.built.ns.get(node);
    if (ns === undefined) continue;
    if (c.iptables_save !== undefined && c.iptables_save.length > 0) {
      compare(
        `rule counters in ${node}`,
        c.iptables_save.filter((l) => !l.startsWith("#")),
        iptablesSave(ns, { counters: true })
          .split("\n")
          .filter((l) => l !== ""),
      );
    }
    if (c.conntrack !== undefined) {
      const ct = ns.nf?.ct ?? null;
      const strip = (l: string): string =>
        maskTunnelPort(l.replace(/^(ipv4 +2 \w+ +\d+) \d+ /, "$1 # ").replace(/ use=\d+$/, ""));
      const got = ct === null ? [] : [...ct.entries()].map((x) => procNfConntrackLine(ct, x));
      const same = (l: string): string => l;
      const [wantMask, gotMask] = masks.get(node) ?? [same, same];
      const want = c.conntrack.map((l) => wantMask(strip(l)));
      const mine = got.map((l) => gotMask(strip(l)));
      compare(
        `conntrack table in ${node}`,
        want.filter((l, i) => !endsSoon(c.conntrack![i]!) || mine.includes(l)).sort(),
        mine.filter((l, i) => !endsSoon(got[i]!) || want.includes(l)).sort(),
      );
    }
    if (c.ipvs !== undefined) {
      const lines = (t: string): string[] => t.split("\n").filter((l) => l !== "");
      const strip = (l: string): string => l.replace(/ \d+:\d\d +/, " # ");
      compare(`ipvs services in ${node}`, c.ipvs.services ?? [], lines(ipvsadm(ns, ["-Sn"]).out));
      compare(
        `ipvs statistics in ${node}`,
        c.ipvs.stats ?? [],
        lines(ipvsadm(ns, ["-ln", "--stats", "--exact"]).out),
      );
      compare(
        `ipvs connections in ${node}`,
        (c.ipvs.connections ?? []).map(strip).sort(),
        lines(ipvsadm(ns, ["-lnc"]).out)
          .map(strip)
          .sort(),
      );
    }
    if (c.nstat !== undefined) {
      const want: string[] = [];
      const got: string[] = [];
      MIB_NAMES.forEach((n, i) => {
        if (/^(Tcp|Ip6|Icmp6)/.test(n)) return;
        const w = c.nstat![n] ?? 0;
        const g = ns.mib[i]!;
        // Before 6.7 there is no IpOutTransmits.
        if (old && n === "IpOutTransmits") return;
        want.push(`${n} ${w}`);
        got.push(`${n} ${g}`);
      });
      compare(`counters in ${node}`, want, got);
    }
  }
}
