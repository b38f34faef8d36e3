// Targets of iptables rules: what they do, how their options are read, how iptables-save 1.8.9 prints them.

import { csum_tcpudp, ip_send_check } from "../csum.js";
import type { NetDevice } from "../device.js";
import { RT_SCOPE_UNIVERSE } from "../fib.js";
import { dst_mtu, flowOut, inet_select_addr, ip_route_output_flow, type Rtable } from "../route.js";
import { IP_CT_UNTRACKED, NF_ACCEPT, NF_DROP, NF_INET_LOCAL_OUT } from "./hooks.js";
import type { IpSet } from "./ipset.js";
import { IPCT_MARK, type NfConn } from "./nf_conntrack.js";
import { LOG_IPOPT, LOG_MACDECODE, LOG_TCPOPT, LOG_TCPSEQ, LOG_UID, logLine } from "./nf_log.js";
import {
  csumReplace2,
  NatRange,
  NF_NAT_MANIP_DST,
  NF_NAT_MANIP_SRC,
  NF_NAT_RANGE_MAP_IPS,
  NF_NAT_RANGE_PERSISTENT,
  NF_NAT_RANGE_PROTO_OFFSET,
  NF_NAT_RANGE_PROTO_RANDOM,
  NF_NAT_RANGE_PROTO_RANDOM_FULLY,
  NF_NAT_RANGE_PROTO_SPECIFIED,
  nf_nat_masquerade,
  nf_nat_setup_info,
} from "./nf_nat.js";
import { nf_send_reset, nf_send_unreach } from "./reject.js";
import { formatIpv4, parseIpv4, parsePort, RuleError } from "./text.js";
import {
  hex,
  nfSocketLookup,
  parseMarkMask,
  parseSetDirs,
  parseU32,
  saveString,
  type Words,
} from "./xt_match.js";
import { XT_CONTINUE, type XtContext, XtTarget } from "./xt_rule.js";
import type { XtNet } from "./xtables.js";

/** Builds a target from its options. */
export interface TargetBuilder {
  option(name: string, inv: boolean, w: Words): boolean;
  build(xt: XtNet): XtTarget;
}

/** xt_mark.c. */
class MarkTarget extends XtTarget {
  readonly name = "MARK";
  constructor(
    readonly mark: number,
    readonly mask: number,
  ) {
    super();
  }
  run(cx: XtContext): number {
    cx.skb.mark = (cx.skb.mark & ~this.mask) ^ this.mark;
    return XT_CONTINUE;
  }
  save(): string {
    return `--set-xmark ${hex(this.mark)}/${hex(this.mask)}`;
  }
}

/** --set-xmark and its relatives; null when `name` is none of them. */
function markOption(name: string, w: Words): { mark: number; mask: number } | null {
  switch (name) {
    case "--set-xmark":
      return parseMarkMask(w.next());
    case "--set-mark": {
      const r = parseMarkMask(w.next());
      return { mark: r.mark, mask: r.mark | r.mask };
    }
    case "--and-mark":
      return { mark: 0, mask: ~parseU32(w.next()) };
    case "--or-mark": {
      const v = parseU32(w.next());
      return { mark: v, mask: v };
    }
    case "--xor-mark":
      return { mark: parseU32(w.next()), mask: 0 };
    default:
      return null;
  }
}

class MarkBuilder implements TargetBuilder {
  #m: { mark: number; mask: number } | null = null;
  option(name: string, _inv: boolean, w: Words): boolean {
    const r = markOption(name, w);
    if (r === null) return false;
    this.#m = r;
    return true;
  }
  build(): XtTarget {
    if (this.#m === null) throw new RuleError("MARK needs --set-xmark or one of its relatives");
    return new MarkTarget(this.#m.mark, this.#m.mask);
  }
}

/** xt_connmark.c, target. */
class ConnmarkTarget extends XtTarget {
  readonly name = "CONNMARK";
  constructor(
    readonly mode: "set" | "save" | "restore",
    readonly mark: number,
    readonly ctmask: number,
    readonly nfmask: number,
  ) {
    super();
  }
  override get wantsConntrack(): boolean {
    return true;
  }
  run(cx: XtContext): number {
    const skb = cx.skb;
    const ct = skb.nfct as NfConn | null;
    if (ct === null) return XT_CONTINUE;
    if (this.mode === "restore") {
      skb.mark = (skb.mark & ~this.nfmask) ^ (ct.mark & this.ctmask);
      return XT_CONTINUE;
    }
    const m =
      this.mode === "set"
        ? (ct.mark & ~this.ctmask) ^ this.mark
        : (ct.mark & ~this.ctmask) ^ (skb.mark & this.nfmask);
    if (ct.mark !== m) {
      ct.mark = m;
      ct.events |= IPCT_MARK;
    }
    return XT_CONTINUE;
  }
  save(): string {
    if (this.mode === "set") return `--set-xmark ${hex(this.mark)}/${hex(this.ctmask)}`;
    return `--${this.mode}-mark --nfmask ${hex(this.nfmask)} --ctmask ${hex(this.ctmask)}`;
  }
}

class ConnmarkBuilder implements TargetBuilder {
  #mode: "set" | "save" | "restore" | null = null;
  #mark = 0;
  #ctmask = -1;
  #nfmask = -1;
  option(name: string, _inv: boolean, w: Words): boolean {
    const r = markOption(name, w);
    if (r !== null) {
      this.#mode = "set";
      this.#mark = r.mark;
      this.#ctmask = r.mask;
      return true;
    }
    switch (name) {
      case "--save-mark":
        this.#mode = "save";
        return true;
      case "--restore-mark":
        this.#mode = "restore";
        return true;
      case "--mask":
        this.#ctmask = parseU32(w.next());
        this.#nfmask = this.#ctmask;
        return true;
      case "--ctmask":
        this.#ctmask = parseU32(w.next());
        return true;
      case "--nfmask":
        this.#nfmask = parseU32(w.next());
        return true;
      default:
        return false;
    }
  }
  build(): XtTarget {
    if (this.#mode === null) throw new RuleError("CONNMARK needs --set-xmark, --save-mark or --restore-mark");
    return new ConnmarkTarget(this.#mode, this.#mark, this.#ctmask, this.#nfmask);
  }
}

// ---- NAT ----

function parsePorts(s: string, r: NatRange): void {
  const [span, base] = s.split("/");
  const [a, b] = span!.split("-");
  const lo = parsePort(a!);
  const hi = b === undefined ? lo : parsePort(b);
  if (lo === undefined || hi === undefined || lo > hi) throw new RuleError(`"${s}" is not a range of ports`);
  r.minPort = lo;
  r.maxPort = hi;
  r.flags |= NF_NAT_RANGE_PROTO_SPECIFIED;
  if (base !== undefined) {
    r.basePort = parsePort(base) ?? 0;
    r.flags |= NF_NAT_RANGE_PROTO_OFFSET;
  }
}

/** ADDR[-ADDR][:PORT[-PORT]]. */
function parseNatTo(s: string): NatRange {
  const r = new NatRange();
  const colon = s.indexOf(":");
  const addr = colon < 0 ? s : s.slice(0, colon);
  if (colon >= 0) parsePorts(s.slice(colon + 1), r);
  if (addr !== "") {
    const [a, b] = addr.split("-");
    const lo = parseIpv4(a!);
    const hi = b === undefined ? lo : parseIpv4(b);
    if (lo === undefined || hi === undefined)
      throw new RuleError(`"${s}" is not an address or a range of addresses`);
    r.minAddr = lo;
    r.maxAddr = hi;
    r.flags |= NF_NAT_RANGE_MAP_IPS;
  }
  return r;
}

function formatPorts(r: NatRange): string {
  let s = r.minPort === r.maxPort ? String(r.minPort) : `${r.minPort}-${r.maxPort}`;
  if ((r.flags & NF_NAT_RANGE_PROTO_OFFSET) !== 0) s += `/${r.basePort}`;
  return s;
}

function formatNatTo(r: NatRange): string {
  let s = "";
  if ((r.flags & NF_NAT_RANGE_MAP_IPS) !== 0) {
    s += formatIpv4(r.minAddr);
    if (r.maxAddr !== r.minAddr) s += `-${formatIpv4(r.maxAddr)}`;
  }
  if ((r.flags & NF_NAT_RANGE_PROTO_SPECIFIED) !== 0) s += `:${formatPorts(r)}`;
  return s;
}

function natFlags(r: NatRange): string {
  let s = "";
  if ((r.flags & NF_NAT_RANGE_PROTO_RANDOM) !== 0) s += " --random";
  if ((r.flags & NF_NAT_RANGE_PROTO_RANDOM_FULLY) !== 0) s += " --random-fully";
  if ((r.flags & NF_NAT_RANGE_PERSISTENT) !== 0) s += " --persistent";
  return s;
}

function natFlagOption(name: string, r: NatRange): boolean {
  if (name === "--random") r.flags |= NF_NAT_RANGE_PROTO_RANDOM;
  else if (name === "--random-fully") r.flags |= NF_NAT_RANGE_PROTO_RANDOM_FULLY;
  else if (name === "--persistent") r.flags |= NF_NAT_RANGE_PERSISTENT;
  else return false;
  return true;
}

abstract class NatTarget extends XtTarget {
  constructor(
    readonly xt: XtNet,
    readonly range: NatRange,
  ) {
    super();
  }
  override get wantsConntrack(): boolean {
    return true;
  }
}

/** xt_nat.c: DNAT and SNAT. */
class ToTarget extends NatTarget {
  readonly name: string;
  readonly manip: number;
  constructor(xt: XtNet, range: NatRange, name: "SNAT" | "DNAT") {
    super(xt, range);
    this.name = name;
    this.manip = name === "SNAT" ? NF_NAT_MANIP_SRC : NF_NAT_MANIP_DST;
  }
  run(cx: XtContext): number {
    const ct = cx.skb.nfct as NfConn | null;
    const net = this.xt.nf.ct;
    if (ct === null || net === null) return NF_ACCEPT;
    return nf_nat_setup_info(net, ct, this.range, this.manip);
  }
  save(): string {
    return `--to-${this.manip === NF_NAT_MANIP_SRC ? "source" : "destination"} ${formatNatTo(this.range)}${natFlags(this.range)}`;
  }
}

class ToBuilder implements TargetBuilder {
  #range: NatRange | null = null;
  #flags = new NatRange();
  constructor(
    readonly xt: XtNet,
    readonly kind: "SNAT" | "DNAT",
  ) {}
  option(name: string, _inv: boolean, w: Words): boolean {
    if (name === (this.kind === "SNAT" ? "--to-source" : "--to-destination")) {
      this.#range = parseNatTo(w.next());
      return true;
    }
    return natFlagOption(name, this.#flags);
  }
  build(): XtTarget {
    const r = this.#range;
    if (r === null)
      throw new RuleError(`${this.kind} needs ${this.kind === "SNAT" ? "--to-source" : "--to-destination"}`);
    r.flags |= this.#flags.flags;
    return new ToTarget(this.xt, r, this.kind);
  }
}

/** xt_MASQUERADE.c. */
class MasqueradeTarget extends NatTarget {
  readonly name = "MASQUERADE";
  run(cx: XtContext): number {
    const ct = cx.skb.nfct as NfConn | null;
    const net = this.xt.nf.ct;
    const out = cx.outDev;
    if (ct === null || net === null || out === null) return NF_ACCEPT;
    const rt = cx.skb.dst as Rtable | null;
    const nh = rt !== null && rt.rt_gw !== 0 ? rt.rt_gw : cx.daddr;
    return nf_nat_masquerade(
      net,
      ct,
      this.range,
      out,
      inet_select_addr(this.xt.ns, out, nh, RT_SCOPE_UNIVERSE),
    );
  }
  save(): string {
    let s = "";
    if ((this.range.flags & NF_NAT_RANGE_PROTO_SPECIFIED) !== 0)
      s += ` --to-ports ${formatPorts(this.range)}`;
    return (s + natFlags(this.range)).trimStart();
  }
}

/** xt_REDIRECT.c. */
class RedirectTarget extends NatTarget {
  readonly name = "REDIRECT";
  readonly #r = new NatRange();
  run(cx: XtContext): number {
    const ct = cx.skb.nfct as NfConn | null;
    const net = this.xt.nf.ct;
    if (ct === null || net === null) return NF_ACCEPT;
    let to = 0x0100007f;
    if (cx.hook !== NF_INET_LOCAL_OUT) {
      const a = cx.inDev === null ? undefined : primaryAddr(cx.inDev);
      if (a === undefined) return NF_DROP;
      to = a;
    }
    const r = this.#r;
    r.copyFrom(this.range);
    r.flags |= NF_NAT_RANGE_MAP_IPS;
    r.minAddr = to;
    r.maxAddr = to;
    return nf_nat_setup_info(net, ct, r, NF_NAT_MANIP_DST);
  }
  save(): string {
    let s = "";
    if ((this.range.flags & NF_NAT_RANGE_PROTO_SPECIFIED) !== 0)
      s += ` --to-ports ${formatPorts(this.range)}`;
    return (s + natFlags(this.range)).trimStart();
  }
}

function primaryAddr(dev: NetDevice): number | undefined {
  for (const a of dev.addrs) if (!a.secondary) return a.local;
  return undefined;
}

class PortsBuilder implements TargetBuilder {
  readonly #range = new NatRange();
  constructor(
    readonly xt: XtNet,
    readonly kind: "MASQUERADE" | "REDIRECT",
  ) {}
  option(name: string, _inv: boolean, w: Words): boolean {
    if (name === "--to-ports") {
      parsePorts(w.next(), this.#range);
      return true;
    }
    if (name === "--persistent") return false;
    return natFlagOption(name, this.#range);
  }
  build(): XtTarget {
    return this.kind === "MASQUERADE"
      ? new MasqueradeTarget(this.xt, this.#range)
      : new RedirectTarget(this.xt, this.#range);
  }
}

// ---- REJECT ----

const REJECT_WITH: readonly (readonly [string, string, number])[] = [
  ["icmp-net-unreachable", "net-unreach", 0],
  ["icmp-host-unreachable", "host-unreach", 1],
  ["icmp-proto-unreachable", "proto-unreach", 2],
  ["icmp-port-unreachable", "port-unreach", 3],
  ["icmp-net-prohibited", "net-prohib", 9],
  ["icmp-host-prohibited", "host-prohib", 10],
  ["icmp-admin-prohibited", "admin-prohib", 13],
  ["tcp-reset", "tcp-rst", -1],
];

/** ipt_REJECT.c. */
class RejectTarget extends XtTarget {
  readonly name = "REJECT";
  constructor(
    readonly xt: XtNet,
    readonly code: number,
  ) {
    super();
  }
  run(cx: XtContext): number {
    const ns = this.xt.ns;
    if (this.code < 0) nf_send_reset(ns, this.xt.nf.ct, cx.skb, cx.hook, cx.inDev);
    else nf_send_unreach(ns, cx.skb, this.code, cx.hook, cx.inDev);
    return NF_DROP;
  }
  save(): string {
    return `--reject-with ${REJECT_WITH.find(([, , c]) => c === this.code)![0]}`;
  }
}

class RejectBuilder implements TargetBuilder {
  #code = 3;
  constructor(readonly xt: XtNet) {}
  option(name: string, _inv: boolean, w: Words): boolean {
    if (name !== "--reject-with") return false;
    const s = w.next();
    const e = REJECT_WITH.find(([a, b]) => a === s || b === s || a.startsWith(s));
    if (e === undefined) throw new RuleError(`unknown reject type "${s}"`);
    this.#code = e[2];
    return true;
  }
  build(): XtTarget {
    return new RejectTarget(this.xt, this.#code);
  }
}

// ---- LOG, NFLOG, TRACE ----

/** xt_LOG.c. */
class LogTarget extends XtTarget {
  readonly name = "LOG";
  prefix = "";
  level = 4;
  flags = 0;
  constructor(readonly xt: XtNet) {
    super();
  }
  run(cx: XtContext): number {
    this.xt.log.push(logLine(this.prefix, cx.skb, cx.inDev, cx.outDev, this.flags));
    return XT_CONTINUE;
  }
  save(): string {
    let s = "";
    if (this.prefix !== "") s += ` --log-prefix ${saveString(this.prefix)}`;
    if (this.level !== 4) s += ` --log-level ${this.level}`;
    if ((this.flags & LOG_TCPSEQ) !== 0) s += " --log-tcp-sequence";
    if ((this.flags & LOG_TCPOPT) !== 0) s += " --log-tcp-options";
    if ((this.flags & LOG_IPOPT) !== 0) s += " --log-ip-options";
    if ((this.flags & LOG_UID) !== 0) s += " --log-uid";
    if ((this.flags & LOG_MACDECODE) !== 0) s += " --log-macdecode";
    return s.trimStart();
  }
}

const LOG_LEVELS: Readonly<Record<string, number>> = {
  emerg: 0,
  panic: 0,
  alert: 1,
  crit: 2,
  err: 3,
  error: 3,
  warning: 4,
  warn: 4,
  notice: 5,
  info: 6,
  debug: 7,
};

class LogBuilder implements TargetBuilder {
  readonly #t: LogTarget;
  constructor(xt: XtNet) {
    this.#t = new LogTarget(xt);
  }
  option(name: string, _inv: boolean, w: Words): boolean {
    switch (name) {
      case "--log-prefix":
        this.#t.prefix = w.next();
        return true;
      case "--log-level": {
        const s = w.next();
        this.#t.level = LOG_LEVELS[s] ?? parseU32(s);
        return true;
      }
      case "--log-tcp-sequence":
        this.#t.flags |= LOG_TCPSEQ;
        return true;
      case "--log-tcp-options":
        this.#t.flags |= LOG_TCPOPT;
        return true;
      case "--log-ip-options":
        this.#t.flags |= LOG_IPOPT;
        return true;
      case "--log-uid":
        this.#t.flags |= LOG_UID;
        return true;
      case "--log-macdecode":
        this.#t.flags |= LOG_MACDECODE;
        return true;
      default:
        return false;
    }
  }
  build(): XtTarget {
    return this.#t;
  }
}

/** xt_NFLOG.c: nobody listens here; packets are counted by group. */
class NflogTarget extends XtTarget {
  readonly name = "NFLOG";
  prefix = "";
  group = 0;
  size = -1;
  threshold = 0;
  constructor(readonly xt: XtNet) {
    super();
  }
  run(): number {
    const g = this.xt.nflog;
    g.set(this.group, (g.get(this.group) ?? 0) + 1);
    return XT_CONTINUE;
  }
  save(): string {
    let s = "";
    if (this.prefix !== "") s += ` --nflog-prefix ${saveString(this.prefix)}`;
    if (this.group !== 0) s += ` --nflog-group ${this.group}`;
    if (this.size >= 0) s += ` --nflog-size ${this.size}`;
    if (this.threshold !== 0) s += ` --nflog-threshold ${this.threshold}`;
    return s.trimStart();
  }
}

class NflogBuilder implements TargetBuilder {
  readonly #t: NflogTarget;
  constructor(xt: XtNet) {
    this.#t = new NflogTarget(xt);
  }
  option(name: string, _inv: boolean, w: Words): boolean {
    switch (name) {
      case "--nflog-prefix":
        this.#t.prefix = w.next();
        return true;
      case "--nflog-group":
        this.#t.group = parseU32(w.next());
        return true;
      case "--nflog-size":
      case "--nflog-range":
        this.#t.size = parseU32(w.next());
        return true;
      case "--nflog-threshold":
        this.#t.threshold = parseU32(w.next());
        return true;
      default:
        return false;
    }
  }
  build(): XtTarget {
    return this.#t;
  }
}

/** TRACE: the packet's way through the tables is told from here on, if somebody listens. */
class TraceTarget extends XtTarget {
  readonly name = "TRACE";
  constructor(readonly xt: XtNet) {
    super();
  }
  run(cx: XtContext): number {
    const t = this.xt.nf.trace;
    if (t !== null) cx.skb.nfTrace = t.newId();
    return XT_CONTINUE;
  }
  save(): string {
    return "";
  }
}

// ---- TCPMSS, CHECKSUM ----

/** xt_TCPMSS.c. */
class TcpmssTarget extends XtTarget {
  readonly name = "TCPMSS";
  constructor(
    readonly xt: XtNet,
    /** -1 = clamp to the path MTU. */
    readonly mss: number,
  ) {
    super();
  }

  run(cx: XtContext): number {
    if (cx.fragoff !== 0) return XT_CONTINUE;
    const skb = cx.skb;
    const th = cx.thoff;
    if (th + 20 > skb.tail) return NF_DROP;
    const v = skb.view;
    const hl = (v.getUint8(th + 12) >>> 4) << 2;
    if (hl < 20 || th + hl > skb.tail) return NF_DROP;
    let mss = this.mss;
    if (mss < 0) {
      const rt = skb.dst as Rtable | null;
      if (rt === null) return NF_DROP;
      const mtu = dst_mtu(this.xt.ns, rt);
      // tcpmss_reverse_mtu: the way back counts too.
      const f = flowOut(this.xt.ns);
      f.daddr = cx.saddr;
      const back = ip_route_output_flow(this.xt.ns, f);
      const least = back === null ? mtu : Math.min(mtu, dst_mtu(this.xt.ns, back));
      if (least <= 40) return NF_DROP;
      mss = least - 40;
    }
    for (let i = th + 20; i + 3 < th + hl; ) {
      const op = v.getUint8(i);
      if (op === 0) break;
      if (op === 2 && v.getUint8(i + 1) === 4) {
        const old = v.getUint16(i + 2, false);
        // Never larger than what the sender said.
        if (old <= mss) return XT_CONTINUE;
        v.setUint16(i + 2, mss, false);
        // The value may stand on an odd offset: then its bytes belong to two words of the sum.
        if (((i - th) & 1) === 0) csumReplace2(skb, th + 16, old, mss);
        else csumReplace2(skb, th + 16, swap16(old), swap16(mss));
        return XT_CONTINUE;
      }
      i += op === 1 ? 1 : v.getUint8(i + 1) || 1;
    }
    // No option: only a SYN without data gets one, and a segment that fits the default needs none.
    if (skb.tail > th + hl || hl >= 60) return XT_CONTINUE;
    if (mss > 536) mss = 536;
    skb.put(4);
    const b = skb.bytes;
    for (let i = th + hl - 1; i >= th + 20; i--) b[i + 4] = b[i]!;
    const nv = skb.view;
    nv.setUint8(th + 20, 2);
    nv.setUint8(th + 21, 4);
    nv.setUint16(th + 22, mss, false);
    nv.setUint8(th + 12, ((hl + 4) << 2) | (nv.getUint8(th + 12) & 15));
    nv.setUint16(cx.iph + 2, nv.getUint16(cx.iph + 2, false) + 4, false);
    ip_send_check(skb, cx.iph);
    nv.setUint16(th + 16, 0, false);
    nv.setUint16(th + 16, csum_tcpudp(skb, cx.iph, 6, th, skb.tail - th), false);
    return XT_CONTINUE;
  }

  save(): string {
    return this.mss < 0 ? "--clamp-mss-to-pmtu" : `--set-mss ${this.mss}`;
  }
}

const swap16 = (x: number): number => ((x & 0xff) << 8) | (x >>> 8);

class TcpmssBuilder implements TargetBuilder {
  #mss = 0;
  constructor(readonly xt: XtNet) {}
  option(name: string, _inv: boolean, w: Words): boolean {
    if (name === "--set-mss") this.#mss = parseU32(w.next());
    else if (name === "--clamp-mss-to-pmtu") this.#mss = -1;
    else return false;
    return true;
  }
  build(): XtTarget {
    if (this.#mss === 0) throw new RuleError("TCPMSS needs --set-mss or --clamp-mss-to-pmtu");
    return new TcpmssTarget(this.xt, this.#mss);
  }
}

/** xt_CHECKSUM.c: fills a checksum that was left to the hardware; ours are always complete. */
class ChecksumTarget extends XtTarget {
  readonly name = "CHECKSUM";
  run(): number {
    return XT_CONTINUE;
  }
  save(): string {
    return "--checksum-fill";
  }
}

class ChecksumBuilder implements TargetBuilder {
  #seen = false;
  option(name: string): boolean {
    if (name !== "--checksum-fill") return false;
    this.#seen = true;
    return true;
  }
  build(): XtTarget {
    if (!this.#seen) throw new RuleError("CHECKSUM needs --checksum-fill");
    return new ChecksumTarget();
  }
}

// ---- CT, NOTRACK, TPROXY, SET ----

/** xt_CT.c. */
class CtTarget extends XtTarget {
  readonly name: string;
  readonly #template: NfConn | null;
  constructor(
    readonly xt: XtNet,
    readonly notrack: boolean,
    alias: boolean,
    readonly zone: number,
    readonly dir: "both" | "orig" | "reply",
  ) {
    super();
    this.name = alias ? "NOTRACK" : "CT";
    this.#template = notrack ? null : xt.conntrack().makeTemplate(zone, dir !== "reply", dir !== "orig");
  }
  override get wantsConntrack(): boolean {
    return !this.notrack;
  }
  run(cx: XtContext): number {
    const skb = cx.skb;
    // Previously seen (loopback)? Ignore.
    if (skb.nfct !== null || skb.nfctinfo === IP_CT_UNTRACKED) return XT_CONTINUE;
    if (this.notrack) skb.nfctinfo = IP_CT_UNTRACKED;
    else {
      skb.nfct = this.#template;
      skb.nfctinfo = 2;
    }
    return XT_CONTINUE;
  }
  save(): string {
    if (this.name === "NOTRACK") return "";
    if (this.notrack) return "--notrack";
    if (this.zone === 0) return "";
    const n = this.dir === "both" ? "--zone" : this.dir === "orig" ? "--zone-orig" : "--zone-reply";
    return `${n} ${this.zone}`;
  }
}

class CtBuilder implements TargetBuilder {
  #notrack: boolean;
  #zone = 0;
  #dir: "both" | "orig" | "reply" = "both";
  constructor(
    readonly xt: XtNet,
    readonly alias: boolean,
  ) {
    this.#notrack = alias;
  }
  option(name: string, _inv: boolean, w: Words): boolean {
    if (this.alias) return false;
    switch (name) {
      case "--notrack":
        this.#notrack = true;
        return true;
      case "--zone":
      case "--zone-orig":
      case "--zone-reply": {
        const s = w.next();
        if (s === "mark") throw new RuleError("CT --zone mark is not modelled", true);
        this.#zone = parseU32(s);
        this.#dir = name === "--zone" ? "both" : name === "--zone-orig" ? "orig" : "reply";
        return true;
      }
      case "--helper":
      case "--timeout":
      case "--ctevents":
      case "--expevents":
        throw new RuleError(`CT ${name} is not modelled`, true);
      default:
        return false;
    }
  }
  build(): XtTarget {
    return new CtTarget(this.xt, this.#notrack, this.alias, this.#zone, this.#dir);
  }
}

/** xt_TPROXY.c: hands the packet to a transparent socket of this host. */
class TproxyTarget extends XtTarget {
  readonly name = "TPROXY";
  port = 0;
  ip = 0;
  mark = 0;
  mask = 0;
  constructor(readonly xt: XtNet) {
    super();
  }
  override get wantsDefrag(): boolean {
    return true;
  }
  run(cx: XtContext): number {
    const skb = cx.skb;
    const th = cx.thoff;
    if ((cx.proto !== 6 && cx.proto !== 17) || cx.fragoff !== 0 || th + 8 > skb.tail) return NF_DROP;
    const v = skb.view;
    const sport = v.getUint16(th, false);
    const dport = v.getUint16(th + 2, false);
    const ns = this.xt.ns;
    // An existing connection first, then the proxy's listener; the address defaults to that of the device.
    let sk = nfSocketLookup(ns, cx.proto, cx.saddr, sport, cx.daddr, dport);
    if (sk !== null && sk.daddr === 0) sk = null;
    if (sk === null) {
      const laddr = this.ip !== 0 ? this.ip : cx.inDev === null ? 0 : (primaryAddr(cx.inDev) ?? cx.daddr);
      sk = nfSocketLookup(ns, cx.proto, cx.saddr, sport, laddr, this.port !== 0 ? this.port : dport);
    }
    if (sk === null || !sk.transparent) return NF_DROP;
    skb.mark = (skb.mark & ~this.mask) ^ this.mark;
    skb.sk = sk;
    return NF_ACCEPT;
  }
  save(): string {
    return `--on-port ${this.port} --on-ip ${formatIpv4(this.ip)} --tproxy-mark ${hex(this.mark)}/${hex(this.mask)}`;
  }
}

class TproxyBuilder implements TargetBuilder {
  readonly #t: TproxyTarget;
  #seen = false;
  constructor(xt: XtNet) {
    this.#t = new TproxyTarget(xt);
  }
  option(name: string, _inv: boolean, w: Words): boolean {
    switch (name) {
      case "--on-port": {
        const s = w.next();
        const p = parsePort(s);
        if (p === undefined) throw new RuleError(`"${s}" is not a port`);
        this.#t.port = p;
        this.#seen = true;
        return true;
      }
      case "--on-ip": {
        const s = w.next();
        const a = parseIpv4(s);
        if (a === undefined) throw new RuleError(`"${s}" is not an IPv4 address`);
        this.#t.ip = a;
        return true;
      }
      case "--tproxy-mark": {
        const r = parseMarkMask(w.next());
        this.#t.mark = r.mark;
        this.#t.mask = r.mask;
        return true;
      }
      default:
        return false;
    }
  }
  build(): XtTarget {
    if (!this.#seen) throw new RuleError("TPROXY needs --on-port");
    return this.#t;
  }
}

/** xt_set.c, target. */
class SetTarget extends XtTarget {
  readonly name = "SET";
  constructor(
    readonly add: IpSet | null,
    readonly addDirs: { dirs: number; ndirs: number; text: string },
    readonly del: IpSet | null,
    readonly delDirs: { dirs: number; ndirs: number; text: string },
    readonly timeout: number,
    readonly exist: boolean,
  ) {
    super();
    if (add !== null) add.references++;
    if (del !== null) del.references++;
  }
  run(cx: XtContext): number {
    this.add?.addPacket(cx, this.addDirs.dirs, this.addDirs.ndirs, this.timeout, this.exist);
    this.del?.delPacket(cx, this.delDirs.dirs, this.delDirs.ndirs);
    return XT_CONTINUE;
  }
  save(): string {
    let s = "";
    if (this.add !== null) {
      s += ` --add-set ${this.add.name} ${this.addDirs.text}`;
      if (this.exist) s += " --exist";
      if (this.timeout >= 0) s += ` --timeout ${this.timeout}`;
    }
    if (this.del !== null) s += ` --del-set ${this.del.name} ${this.delDirs.text}`;
    return s.trimStart();
  }
  override release(): void {
    if (this.add !== null) this.add.references--;
    if (this.del !== null) this.del.references--;
  }
}

class SetBuilder implements TargetBuilder {
  #add: IpSet | null = null;
  #del: IpSet | null = null;
  #addDirs = { dirs: 0, ndirs: 0, text: "" };
  #delDirs = { dirs: 0, ndirs: 0, text: "" };
  #timeout = -1;
  #exist = false;
  constructor(readonly xt: XtNet) {}
  option(name: string, _inv: boolean, w: Words): boolean {
    switch (name) {
      case "--add-set":
      case "--del-set": {
        const n = w.next();
        const set = this.xt.sets.get(n);
        if (set === undefined) throw new RuleError(`Set ${n} doesn't exist.`);
        const text = w.next();
        const dirs = { ...parseSetDirs(text), text };
        if (name === "--add-set") {
          this.#add = set;
          this.#addDirs = dirs;
        } else {
          this.#del = set;
          this.#delDirs = dirs;
        }
        return true;
      }
      case "--timeout":
        this.#timeout = parseU32(w.next());
        return true;
      case "--exist":
        this.#exist = true;
        return true;
      case "--map-set":
        throw new RuleError("SET --map-set is not modelled", true);
      default:
        return false;
    }
  }
  build(): XtTarget {
    if (this.#add === null && this.#del === null) throw new RuleError("SET needs --add-set or --del-set");
    return new SetTarget(this.#add, this.#addDirs, this.#del, this.#delDirs, this.#timeout, this.#exist);
  }
}

class PlainBuilder implements TargetBuilder {
  constructor(readonly make: () => XtTarget) {}
  option(): boolean {
    return false;
  }
  build(): XtTarget {
    return this.make();
  }
}

/** Targets that `-j NAME` knows, with the tables they may be used in (all when empty); null = no such target. */
export function targetBuilder(
  name: string,
  xt: XtNet,
): { builder: TargetBuilder; tables: readonly string[] } | null {
  switch (name) {
    case "MARK":
      return { builder: new MarkBuilder(), tables: [] };
    case "CONNMARK":
      return { builder: new ConnmarkBuilder(), tables: [] };
    case "SNAT":
    case "DNAT":
      return { builder: new ToBuilder(xt, name), tables: ["nat"] };
    case "MASQUERADE":
    case "REDIRECT":
      return { builder: new PortsBuilder(xt, name), tables: ["nat"] };
    case "REJECT":
      return { builder: new RejectBuilder(xt), tables: ["filter"] };
    case "LOG":
      return { builder: new LogBuilder(xt), tables: [] };
    case "NFLOG":
      return { builder: new NflogBuilder(xt), tables: [] };
    case "TRACE":
      return { builder: new PlainBuilder(() => new TraceTarget(xt)), tables: ["raw"] };
    case "TCPMSS":
      return { builder: new TcpmssBuilder(xt), tables: [] };
    case "CHECKSUM":
      return { builder: new ChecksumBuilder(), tables: ["mangle"] };
    case "CT":
      return { builder: new CtBuilder(xt, false), tables: ["raw"] };
    case "NOTRACK":
      return { builder: new CtBuilder(xt, true), tables: ["raw"] };
    case "TPROXY":
      return { builder: new TproxyBuilder(xt), tables: ["mangle"] };
    case "SET":
      return { builder: new SetBuilder(xt), tables: [] };
    default:
      return null;
  }
}
