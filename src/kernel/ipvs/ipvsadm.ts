// ipvsadm 1.31: its commands and what it prints.
//
// Differs: --rate prints zeroes, there is no estimator.

import { nfState } from "../netfilter/hooks.js";
import { formatIpv4, parseIpv4, prefixMask } from "../netfilter/text.js";
import type { Netns } from "../netns.js";
import { IpVs, ipvsState } from "./ip_vs.js";
import type { IpVsConn } from "./ip_vs_conn.js";
import { type IpVsDest, IpVsService, type IpVsStats, SCHEDULERS } from "./ip_vs_sched.js";

/** What a command left behind. */
export interface IpvsadmResult {
  readonly rc: number;
  readonly out: string;
}

const ok = (out = ""): IpvsadmResult => ({ rc: 0, out });
const fail = (rc: number, out: string): IpvsadmResult => ({ rc, out: `${out}\n` });

const hostOrder = (a: number): number =>
  ((a & 0xff) << 24) | ((a & 0xff00) << 8) | ((a >>> 8) & 0xff00) | (a >>> 24);

/** ipvs_cmp_services: the difference of addresses as a signed 32-bit number decides. */
function compareServices(a: IpVsService, b: IpVsService): number {
  if (a.fwmark !== b.fwmark) return a.fwmark - b.fwmark;
  if (a.proto !== b.proto) return a.proto - b.proto;
  const d = (hostOrder(a.addr) - hostOrder(b.addr)) | 0;
  return d !== 0 ? d : a.port - b.port;
}

function compareDests(a: IpVsDest, b: IpVsDest): number {
  const d = (hostOrder(a.addr) - hostOrder(b.addr)) | 0;
  return d !== 0 ? d : a.port - b.port;
}

const PROTO: Readonly<Record<number, string>> = { 6: "TCP", 17: "UDP", 132: "SCTP" };

interface Parsed {
  cmd: string;
  proto: number;
  addr: number;
  port: number;
  fwmark: number;
  rAddr: number;
  rPort: number;
  scheduler: string | null;
  persistent: number;
  netmask: number;
  weight: number;
  forward: string | null;
  flags: Set<string>;
  rest: string[];
  upper: number;
  lower: number;
  onePacket: boolean;
}

function hostPort(s: string): { addr: number; port: number } | null {
  const m = /^([\d.]+)(?::(\d+))?$/.exec(s);
  const a = m === null ? undefined : parseIpv4(m[1]!);
  if (m === null || a === undefined || Number(m[2] ?? 0) > 65_535) return null;
  return { addr: a, port: Number(m[2] ?? 0) };
}

function parse(argv: readonly string[]): Parsed | string {
  const p: Parsed = {
    cmd: "",
    proto: 0,
    addr: 0,
    port: 0,
    fwmark: 0,
    rAddr: 0,
    rPort: -1,
    scheduler: null,
    persistent: -1,
    netmask: -1,
    weight: -1,
    forward: null,
    flags: new Set(),
    rest: [],
    upper: 0,
    lower: 0,
    onePacket: false,
  };
  // -ln, -Sn, -lnc: joined letters.
  const words: string[] = [];
  for (const a of argv) {
    if (/^-[A-Za-z]{2,}$/.test(a)) for (const c of a.slice(1)) words.push(`-${c}`);
    else words.push(a);
  }
  for (let i = 0; i < words.length; i++) {
    const w = words[i]!;
    switch (w) {
      case "-A":
      case "--add-service":
        p.cmd = "A";
        break;
      case "-E":
      case "--edit-service":
        p.cmd = "E";
        break;
      case "-D":
      case "--delete-service":
        p.cmd = "D";
        break;
      case "-C":
      case "--clear":
        p.cmd = "C";
        break;
      case "-R":
      case "--restore":
        p.cmd = "R";
        break;
      case "-S":
      case "--save":
        p.cmd = "S";
        break;
      case "-a":
      case "--add-server":
        p.cmd = "a";
        break;
      case "-e":
      case "--edit-server":
        p.cmd = "e";
        break;
      case "-d":
      case "--delete-server":
        p.cmd = "d";
        break;
      case "-L":
      case "-l":
      case "--list":
        p.cmd = "L";
        break;
      case "-Z":
      case "--zero":
        p.cmd = "Z";
        break;
      case "--set":
        p.cmd = "set";
        p.rest = words.slice(i + 1);
        i = words.length;
        break;
      case "-t":
      case "--tcp-service":
      case "-u":
      case "--udp-service":
      case "--sctp-service": {
        const h = hostPort(words[++i] ?? "");
        if (h === null) return `illegal virtual server address[:port] specified`;
        p.proto = w === "-t" || w === "--tcp-service" ? 6 : w === "--sctp-service" ? 132 : 17;
        p.addr = h.addr;
        p.port = h.port;
        break;
      }
      case "-f":
      case "--fwmark-service":
        p.fwmark = Number(words[++i]);
        break;
      case "-r":
      case "--real-server": {
        const h = hostPort(words[++i] ?? "");
        if (h === null) return "illegal real server address[:port] specified";
        p.rAddr = h.addr;
        p.rPort = /:/.test(words[i]!) ? h.port : -2;
        break;
      }
      case "-s":
      case "--scheduler":
        p.scheduler = words[++i] ?? "";
        break;
      case "-p":
      case "--persistent":
        p.persistent = /^\d+$/.test(words[i + 1] ?? "") ? Number(words[++i]) : 360;
        break;
      case "-M":
      case "--netmask": {
        const m = words[++i] ?? "";
        p.netmask = /^\d+$/.test(m) ? prefixMask(Number(m)) : (parseIpv4(m) ?? -1);
        break;
      }
      case "-m":
      case "--masquerading":
        p.forward = "masq";
        break;
      case "-i":
      case "--ipip":
        p.forward = "tunnel";
        break;
      case "-g":
      case "--gatewaying":
        p.forward = "direct";
        break;
      case "-w":
      case "--weight":
        p.weight = Number(words[++i]);
        break;
      case "-x":
      case "--u-threshold":
        p.upper = Number(words[++i]);
        break;
      case "-y":
      case "--l-threshold":
        p.lower = Number(words[++i]);
        break;
      case "-o":
      case "--ops":
        p.onePacket = true;
        break;
      case "-n":
      case "--numeric":
      case "--exact":
      case "--stats":
      case "--rate":
      case "--timeout":
      case "--thresholds":
      case "--persistent-conn":
      case "--sort":
      case "-c":
      case "--connection":
        p.flags.add(w === "-c" ? "--connection" : w);
        break;
      default:
        return `unknown option "${w}"`;
    }
  }
  if (p.rPort === -2) p.rPort = p.port;
  return p;
}

/** Runs `ipvsadm ARGV`; `stdin` is read by -R. */
export function ipvsadm(ns: Netns, argv: readonly string[], stdin = ""): IpvsadmResult {
  const p = parse(argv.length === 0 ? ["-L"] : argv);
  if (typeof p === "string") return fail(2, p);
  const vs = ipvsState(nfState(ns));
  const svc = vs.services.get(IpVs.key(p.proto, p.addr, p.port, p.fwmark));
  switch (p.cmd) {
    case "A": {
      if (svc !== undefined) return fail(255, "Service already exists");
      const sched = p.scheduler ?? "wlc";
      if (!SCHEDULERS.includes(sched)) return fail(255, "No such file or directory");
      const s = new IpVsService(p.proto, p.addr, p.port, p.fwmark, sched);
      configure(s, p);
      vs.addService(s);
      return ok();
    }
    case "E":
      if (svc === undefined) return fail(255, "No such service");
      if (p.scheduler !== null) {
        if (!SCHEDULERS.includes(p.scheduler)) return fail(255, "No such file or directory");
        svc.setScheduler(p.scheduler);
      }
      configure(svc, p);
      return ok();
    case "D":
      if (svc === undefined) return fail(255, "No such service");
      vs.removeService(svc);
      return ok();
    case "C":
      for (const s of [...vs.services.values()]) vs.removeService(s);
      return ok();
    case "R": {
      for (const line of stdin.split("\n")) {
        if (line.trim() === "") continue;
        const r = ipvsadm(ns, line.trim().split(/\s+/));
        if (r.rc !== 0) return r;
      }
      return ok();
    }
    case "a": {
      if (svc === undefined) return fail(255, "Service not defined");
      if (svc.dests.some((d) => d.addr === p.rAddr && d.port === p.rPort))
        return fail(255, "Destination already exists");
      const fwd = p.forward ?? "direct";
      if (fwd !== "masq") return fail(255, `forwarding method ${fwd} is not modelled; use -m`);
      const d = vs.addDest(svc, p.rAddr, p.rPort, p.weight < 0 ? 1 : p.weight, fwd);
      d.setThresholds(p.upper, p.lower);
      return ok();
    }
    case "e":
    case "d": {
      if (svc === undefined) return fail(255, "Service not defined");
      const d = svc.dests.find((x) => x.addr === p.rAddr && x.port === p.rPort);
      if (d === undefined) return fail(255, "No such destination");
      if (p.cmd === "d") vs.removeDest(svc, d);
      else {
        d.weight = p.weight < 0 ? 1 : p.weight;
        d.setThresholds(p.upper, p.lower);
        svc.scheduler.changed("update", d);
      }
      return ok();
    }
    case "set": {
      const [tcp, fin, udp] = p.rest.map(Number);
      if (tcp !== undefined && tcp > 0) vs.timeouts.tcp[1] = tcp;
      if (fin !== undefined && fin > 0) vs.timeouts.tcp[4] = fin;
      if (udp !== undefined && udp > 0) vs.timeouts.udp = udp;
      return ok();
    }
    case "Z":
      for (const s of vs.services.values()) {
        s.stats.zero();
        for (const d of s.dests) d.stats.zero();
      }
      return ok();
    case "S":
      return ok(save(vs));
    default:
      if (p.flags.has("--connection")) return ok(connections(vs));
      if (p.flags.has("--timeout"))
        return ok(
          `Timeout (tcp tcpfin udp): ${vs.timeouts.tcp[1]} ${vs.timeouts.tcp[4]} ${vs.timeouts.udp}\n`,
        );
      if (p.proto === 0 && p.fwmark === 0) return ok(list(vs, p, undefined));
      return svc === undefined ? fail(1, "No such service") : ok(list(vs, p, svc));
  }
}

function configure(s: IpVsService, p: Parsed): void {
  if (p.persistent >= 0) s.persistent = p.persistent;
  else if (p.cmd === "E") s.persistent = 0;
  s.netmask = p.netmask;
  s.onePacket = p.onePacket;
}

function sorted(vs: IpVs): IpVsService[] {
  return [...vs.services.values()].sort(compareServices);
}

function flagsText(s: IpVsService): string {
  let t = "";
  if (s.persistent > 0) {
    t += ` persistent ${s.persistent}`;
    if (s.netmask !== -1) t += ` mask ${formatIpv4(s.netmask)}`;
  }
  if (s.onePacket) t += " ops";
  return t;
}

function save(vs: IpVs): string {
  let out = "";
  for (const s of sorted(vs)) {
    const key =
      s.fwmark !== 0
        ? `-f ${s.fwmark}`
        : `${s.proto === 6 ? "-t" : s.proto === 17 ? "-u" : "--sctp-service"} ${formatIpv4(s.addr)}:${s.port}`;
    out += `-A ${key} -s ${s.scheduler.name}`;
    if (s.persistent > 0) {
      out += ` -p ${s.persistent}`;
      if (s.netmask !== -1) out += ` -M ${formatIpv4(s.netmask)}`;
    }
    if (s.onePacket) out += " -o";
    out += "\n";
    for (const d of [...s.dests].sort(compareDests))
      out += `-a ${key} -r ${formatIpv4(d.addr)}:${d.port} -m -w ${d.weight}\n`;
  }
  return out;
}

/** Numbers as ipvsadm shows them without --exact: K, M, G, T from eight digits on. */
function large(n: number, width: number, exact: boolean): string {
  if (exact || n < 100_000_000) return String(n).padStart(width);
  if (n < 100_000_000_000) return `${String(Math.floor(n / 1000)).padStart(width - 1)}K`;
  if (n < 100_000_000_000_000) return `${String(Math.floor(n / 1_000_000)).padStart(width - 1)}M`;
  return `${String(Math.floor(n / 1_000_000_000)).padStart(width - 1)}G`;
}

function statsText(s: IpVsStats, exact: boolean): string {
  return [s.conns, s.inpkts, s.outpkts, s.inbytes, s.outbytes].map((n) => large(n, 9, exact)).join("");
}

function list(vs: IpVs, p: Parsed, only: IpVsService | undefined): string {
  const exact = p.flags.has("--exact");
  const zero = "        0".repeat(5);
  const counters = p.flags.has("--stats")
    ? (x: IpVsService | IpVsDest) => statsText(x.stats, exact)
    : p.flags.has("--rate")
      ? () => zero
      : null;
  const columns = p.flags.has("--thresholds")
    ? (d: IpVsDest) => [d.uthreshold, d.lthreshold, d.activeconns, d.inactconns]
    : p.flags.has("--persistent-conn")
      ? (d: IpVsDest) => [d.weight, d.persistconns, d.activeconns, d.inactconns]
      : null;
  let out = "IP Virtual Server version 1.2.1 (size=4096)\n";
  if (p.flags.has("--stats"))
    out +=
      "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n  -> RemoteAddress:Port\n";
  else if (p.flags.has("--rate"))
    out +=
      "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n  -> RemoteAddress:Port\n";
  else if (p.flags.has("--thresholds"))
    out +=
      "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n  -> RemoteAddress:Port\n";
  else if (p.flags.has("--persistent-conn"))
    out +=
      "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n  -> RemoteAddress:Port\n";
  else
    out +=
      "Prot LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n";
  const widths = p.flags.has("--thresholds") ? [10, 10, 10, 10] : [9, 11, 10, 10];
  for (const s of only === undefined ? sorted(vs) : [only]) {
    const name = s.fwmark !== 0 ? String(s.fwmark) : `${formatIpv4(s.addr)}:${s.port}`;
    const head = `${(s.fwmark !== 0 ? "FWM" : (PROTO[s.proto] ?? "TCP")).padEnd(4)} ${name}`;
    if (counters !== null) out += `${head.padEnd(33)}${counters(s)}\n`;
    else if (columns !== null) out += `${head.padEnd(33)}\n`;
    else out += `${head} ${s.scheduler.name}${flagsText(s)}\n`;
    for (const d of [...s.dests].sort(compareDests)) {
      const at = `  -> ${`${formatIpv4(d.addr)}:${d.port}`.padEnd(28)}`;
      if (counters !== null) out += `${at}${counters(d)}\n`;
      else if (columns !== null)
        out += `${at} ${columns(d)
          .map((v, i) => String(v).padEnd(widths[i]!))
          .join(" ")}\n`;
      else
        out += `${at} ${"Masq".padEnd(7)} ${String(d.weight).padEnd(6)} ${String(d.activeconns).padEnd(10)} ${String(d.inactconns).padEnd(10)}\n`;
    }
  }
  return out;
}

function connections(vs: IpVs): string {
  let out =
    "IPVS connection entries\npro expire state       source             virtual            destination\n";
  const all: IpVsConn[] = [...vs.conns.entries()].sort((a, b) => b.id - a.id);
  for (const c of all) {
    const left = Math.max(0, Math.floor(((c.deadline - vs.conns.now) | 0) / 1000));
    const mm = String(Math.floor(left / 60)).padStart(2, "0");
    const ss = String(left % 60).padStart(2, "0");
    const src = `${formatIpv4(c.caddr)}:${c.cport}`;
    const virt = `${formatIpv4(c.vaddr)}:${c.vport}`;
    const dst = `${formatIpv4(c.daddr)}:${c.dport}`;
    out += `${(PROTO[c.proto] ?? "IP").padEnd(3)} ${`${mm}:${ss}`.padEnd(6)} ${c.stateName.padEnd(11)} ${src.padEnd(18)} ${virt.padEnd(18)} ${dst}\n`;
  }
  return out;
}
