// Matches of iptables rules: what they look at, how their options are read, how iptables-save 1.8.9 prints them.
// Each class names the kernel file it follows. A match allocates nothing per packet.

import type { NetDevice } from "../device.js";
import { IFF_LOOPBACK } from "../device.js";
import { FIB_LOOKUP_IGNORE_LINKSTATE, FibResult, Flowi4, RTN_LOCAL, RTN_UNICAST } from "../fib.js";
import type { Netns } from "../netns.js";
import { Sock } from "../sock.js";
import { IP_CT_UNTRACKED } from "./hooks.js";
import type { IpSet, SetPacket } from "./ipset.js";
import {
  ctDir,
  IPS_ASSURED,
  IPS_CONFIRMED,
  IPS_DST_NAT,
  IPS_EXPECTED,
  IPS_SEEN_REPLY,
  IPS_SRC_NAT,
  type NfConn,
} from "./nf_conntrack.js";
import {
  formatAddrMask,
  formatIpv4,
  parseAddrMask,
  parseIpv4,
  parsePort,
  parseProtocol,
  prefixMask,
  RuleError,
} from "./text.js";
import { IfacePattern, type XtContext, XtMatch } from "./xt_rule.js";
import type { XtNet } from "./xtables.js";

/** Reads a rule's words one after the other. */
export class Words {
  at = 0;
  constructor(readonly words: readonly string[]) {}

  get done(): boolean {
    return this.at >= this.words.length;
  }

  next(): string {
    if (this.done) throw new RuleError("the rule ends where an argument is expected");
    return this.words[this.at++]!;
  }

  peek(): string | undefined {
    return this.words[this.at];
  }
}

/** Builds a match from its options. */
export interface MatchBuilder {
  /** Takes one option (`--x`), reading its arguments; false when it is not one of this match. */
  option(name: string, inv: boolean, w: Words): boolean;
  build(xt: XtNet): XtMatch;
}

/** xtables_save_string: quoted when it holds more than letters, digits, `_` and `-`. */
export function saveString(s: string): string {
  if (/^[A-Za-z0-9_-]+$/.test(s)) return s;
  return `"${s.replace(/["\\']/g, "\\$&")}"`;
}

export function parseU32(s: string): number {
  if (!/^(0x[0-9a-fA-F]+|\d+)$/.test(s) || Number(s) > 0xffffffff)
    throw new RuleError(`"${s}" is not a 32-bit number`);
  return Number(s) | 0;
}

/** value[/mask]; mask is all ones when absent. */
export function parseMarkMask(s: string): { mark: number; mask: number } {
  const [v, m] = s.split("/");
  return { mark: parseU32(v!), mask: m === undefined ? -1 : parseU32(m) };
}

export const hex = (v: number): string => `0x${(v >>> 0).toString(16)}`;

function bang(inv: boolean): string {
  return inv ? "! " : "";
}

// ---- ports ----

function portRange(s: string): { lo: number; hi: number } {
  const [a, b] = s.split(":");
  const lo = a === "" ? 0 : parsePort(a!);
  const hi = b === undefined ? lo : b === "" ? 65_535 : parsePort(b);
  if (lo === undefined || hi === undefined || lo > hi)
    throw new RuleError(`"${s}" is not a port or a range of ports`);
  return { lo, hi };
}

const rangeText = (lo: number, hi: number): string => (lo === hi ? String(lo) : `${lo}:${hi}`);

export const TCP_FLAG_BITS: Readonly<Record<string, number>> = {
  FIN: 1,
  SYN: 2,
  RST: 4,
  PSH: 8,
  ACK: 16,
  URG: 32,
  ALL: 63,
  NONE: 0,
};

function parseTcpFlags(s: string): number {
  let v = 0;
  for (const f of s.split(",")) {
    const b = TCP_FLAG_BITS[f.toUpperCase()];
    if (b === undefined) throw new RuleError(`"${f}" is not a TCP flag`);
    v |= b;
  }
  return v;
}

function formatTcpFlags(v: number): string {
  const out: string[] = [];
  for (const n of ["FIN", "SYN", "RST", "PSH", "ACK", "URG"]) if ((v & TCP_FLAG_BITS[n]!) !== 0) out.push(n);
  return out.length === 0 ? "NONE" : out.join(",");
}

/** xt_tcpudp.c, tcp. */
export class TcpMatch extends XtMatch {
  sLo = 0;
  sHi = 65_535;
  dLo = 0;
  dHi = 65_535;
  sInv = false;
  dInv = false;
  flagMask = 0;
  flagCmp = 0;
  flagInv = false;
  hasFlags = false;
  option = 0;
  optionInv = false;

  match(cx: XtContext): boolean {
    const th = cx.thoff;
    const skb = cx.skb;
    if (cx.fragoff !== 0) {
      // A fragment at offset 1 would overwrite the flags: a trick, dropped.
      if (cx.fragoff === 1) cx.hotdrop = true;
      return false;
    }
    if (th + 20 > skb.tail) {
      cx.hotdrop = true;
      return false;
    }
    const v = skb.view;
    const d = v.getUint16(th + 2, false);
    if ((d >= this.dLo && d <= this.dHi) === this.dInv) return false;
    const s = v.getUint16(th, false);
    if ((s >= this.sLo && s <= this.sHi) === this.sInv) return false;
    if (this.hasFlags && ((v.getUint8(th + 13) & this.flagMask) === this.flagCmp) === this.flagInv)
      return false;
    if (this.option !== 0) {
      const end = th + ((v.getUint8(th + 12) >>> 4) << 2);
      if (end < th + 20 || end > skb.tail) {
        cx.hotdrop = true;
        return false;
      }
      let found = false;
      for (let i = th + 20; i < end; ) {
        const op = v.getUint8(i);
        if (op === this.option) {
          found = true;
          break;
        }
        if (op < 2) i++;
        else i += i + 1 < end ? v.getUint8(i + 1) || 1 : 1;
      }
      if (found === this.optionInv) return false;
    }
    return true;
  }

  save(): string {
    let s = "-m tcp";
    if (this.sLo !== 0 || this.sHi !== 65_535)
      s += ` ${bang(this.sInv)}--sport ${rangeText(this.sLo, this.sHi)}`;
    if (this.dLo !== 0 || this.dHi !== 65_535)
      s += ` ${bang(this.dInv)}--dport ${rangeText(this.dLo, this.dHi)}`;
    if (this.option !== 0) s += ` ${bang(this.optionInv)}--tcp-option ${this.option}`;
    if (this.hasFlags)
      s += ` ${bang(this.flagInv)}--tcp-flags ${formatTcpFlags(this.flagMask)} ${formatTcpFlags(this.flagCmp)}`;
    return s;
  }
}

class TcpBuilder implements MatchBuilder {
  readonly m = new TcpMatch();

  option(name: string, inv: boolean, w: Words): boolean {
    const m = this.m;
    switch (name) {
      case "--sport":
      case "--source-port": {
        const r = portRange(w.next());
        m.sLo = r.lo;
        m.sHi = r.hi;
        m.sInv = inv;
        return true;
      }
      case "--dport":
      case "--destination-port": {
        const r = portRange(w.next());
        m.dLo = r.lo;
        m.dHi = r.hi;
        m.dInv = inv;
        return true;
      }
      case "--tcp-flags":
        m.flagMask = parseTcpFlags(w.next());
        m.flagCmp = parseTcpFlags(w.next());
        m.flagInv = inv;
        m.hasFlags = true;
        return true;
      case "--syn":
        m.flagMask = 23;
        m.flagCmp = 2;
        m.flagInv = inv;
        m.hasFlags = true;
        return true;
      case "--tcp-option":
        m.option = parseU32(w.next());
        m.optionInv = inv;
        return true;
      default:
        return false;
    }
  }

  build(): XtMatch {
    return this.m;
  }
}

/** xt_tcpudp.c, udp; xt_sctp.c without chunks shares it. */
export class UdpMatch extends XtMatch {
  sLo = 0;
  sHi = 65_535;
  dLo = 0;
  dHi = 65_535;
  sInv = false;
  dInv = false;

  constructor(readonly module: string) {
    super();
  }

  match(cx: XtContext): boolean {
    if (cx.fragoff !== 0) return false;
    const th = cx.thoff;
    if (th + 8 > cx.skb.tail) {
      cx.hotdrop = true;
      return false;
    }
    const v = cx.skb.view;
    const d = v.getUint16(th + 2, false);
    if ((d >= this.dLo && d <= this.dHi) === this.dInv) return false;
    const s = v.getUint16(th, false);
    return (s >= this.sLo && s <= this.sHi) !== this.sInv;
  }

  save(): string {
    let s = `-m ${this.module}`;
    if (this.sLo !== 0 || this.sHi !== 65_535)
      s += ` ${bang(this.sInv)}--sport ${rangeText(this.sLo, this.sHi)}`;
    if (this.dLo !== 0 || this.dHi !== 65_535)
      s += ` ${bang(this.dInv)}--dport ${rangeText(this.dLo, this.dHi)}`;
    return s;
  }
}

class UdpBuilder implements MatchBuilder {
  readonly m: UdpMatch;
  constructor(module: string) {
    this.m = new UdpMatch(module);
  }

  option(name: string, inv: boolean, w: Words): boolean {
    const m = this.m;
    switch (name) {
      case "--sport":
      case "--source-port": {
        const r = portRange(w.next());
        m.sLo = r.lo;
        m.sHi = r.hi;
        m.sInv = inv;
        return true;
      }
      case "--dport":
      case "--destination-port": {
        const r = portRange(w.next());
        m.dLo = r.lo;
        m.dHi = r.hi;
        m.dInv = inv;
        return true;
      }
      default:
        return false;
    }
  }

  build(): XtMatch {
    return this.m;
  }
}

/** Type, first and last code by the name that iptables has for them; the first name of a type is printed. */
export const ICMP_NAMES: Readonly<Record<string, readonly [number, number, number]>> = {
  any: [255, 0, 255],
  "echo-reply": [0, 0, 255],
  pong: [0, 0, 255],
  "destination-unreachable": [3, 0, 255],
  "network-unreachable": [3, 0, 0],
  "host-unreachable": [3, 1, 1],
  "protocol-unreachable": [3, 2, 2],
  "port-unreachable": [3, 3, 3],
  "fragmentation-needed": [3, 4, 4],
  "source-route-failed": [3, 5, 5],
  "network-unknown": [3, 6, 6],
  "host-unknown": [3, 7, 7],
  "network-prohibited": [3, 9, 9],
  "host-prohibited": [3, 10, 10],
  "TOS-network-unreachable": [3, 11, 11],
  "TOS-host-unreachable": [3, 12, 12],
  "communication-prohibited": [3, 13, 13],
  "host-precedence-violation": [3, 14, 14],
  "precedence-cutoff": [3, 15, 15],
  "source-quench": [4, 0, 255],
  redirect: [5, 0, 255],
  "network-redirect": [5, 0, 0],
  "host-redirect": [5, 1, 1],
  "TOS-network-redirect": [5, 2, 2],
  "TOS-host-redirect": [5, 3, 3],
  "echo-request": [8, 0, 255],
  ping: [8, 0, 255],
  "router-advertisement": [9, 0, 255],
  "router-solicitation": [10, 0, 255],
  "time-exceeded": [11, 0, 255],
  "ttl-zero-during-transit": [11, 0, 0],
  "ttl-zero-during-reassembly": [11, 1, 1],
  "parameter-problem": [12, 0, 255],
  "ip-header-bad": [12, 0, 0],
  "required-option-missing": [12, 1, 1],
  "timestamp-request": [13, 0, 255],
  "timestamp-reply": [14, 0, 255],
  "address-mask-request": [17, 0, 255],
  "address-mask-reply": [18, 0, 255],
};

/** icmp match of ip_tables.c. */
export class IcmpMatch extends XtMatch {
  type = 255;
  codeLo = 0;
  codeHi = 255;
  inv = false;

  match(cx: XtContext): boolean {
    if (cx.fragoff !== 0) return false;
    if (cx.thoff + 8 > cx.skb.tail) {
      cx.hotdrop = true;
      return false;
    }
    const t = cx.skb.view.getUint8(cx.thoff);
    const c = cx.skb.view.getUint8(cx.thoff + 1);
    const hit = this.type === 255 || (t === this.type && c >= this.codeLo && c <= this.codeHi);
    return hit !== this.inv;
  }

  save(): string {
    let s = `-m icmp ${bang(this.inv)}--icmp-type `;
    if (this.type === 255) return `${s}any`;
    s += this.type;
    if (this.codeLo !== 0 || this.codeHi !== 255) s += `/${this.codeLo}`;
    return s;
  }
}

class IcmpBuilder implements MatchBuilder {
  readonly m = new IcmpMatch();

  option(name: string, inv: boolean, w: Words): boolean {
    if (name !== "--icmp-type") return false;
    const s = w.next();
    const named = ICMP_NAMES[s];
    if (named !== undefined) [this.m.type, this.m.codeLo, this.m.codeHi] = named;
    else {
      const r = /^(\d+)(?:\/(\d+))?$/.exec(s);
      if (r === null || Number(r[1]) > 255) throw new RuleError(`"${s}" is not an ICMP type`);
      this.m.type = Number(r[1]);
      if (r[2] !== undefined) {
        this.m.codeLo = Number(r[2]);
        this.m.codeHi = this.m.codeLo;
      }
    }
    this.m.inv = inv;
    return true;
  }

  build(): XtMatch {
    return this.m;
  }
}

/** xt_comment.c. */
class CommentMatch extends XtMatch {
  constructor(readonly comment: string) {
    super();
  }
  match(): boolean {
    return true;
  }
  save(): string {
    return `-m comment --comment ${saveString(this.comment)}`;
  }
}

class CommentBuilder implements MatchBuilder {
  comment = "";
  option(name: string, _inv: boolean, w: Words): boolean {
    if (name !== "--comment") return false;
    this.comment = w.next();
    return true;
  }
  build(): XtMatch {
    return new CommentMatch(this.comment);
  }
}

/** xt_mark.c. */
class MarkMatch extends XtMatch {
  constructor(
    readonly mark: number,
    readonly mask: number,
    readonly inv: boolean,
  ) {
    super();
  }
  match(cx: XtContext): boolean {
    return ((cx.skb.mark & this.mask) === this.mark) !== this.inv;
  }
  save(): string {
    return `-m mark ${bang(this.inv)}--mark ${hex(this.mark)}${this.mask === -1 ? "" : `/${hex(this.mask)}`}`;
  }
}

/** xt_connmark.c. */
class ConnmarkMatch extends XtMatch {
  constructor(
    readonly mark: number,
    readonly mask: number,
    readonly inv: boolean,
  ) {
    super();
  }
  override get wantsConntrack(): boolean {
    return true;
  }
  match(cx: XtContext): boolean {
    const ct = cx.skb.nfct as NfConn | null;
    if (ct === null) return false;
    return ((ct.mark & this.mask) === this.mark) !== this.inv;
  }
  save(): string {
    return `-m connmark ${bang(this.inv)}--mark ${hex(this.mark)}${this.mask === -1 ? "" : `/${hex(this.mask)}`}`;
  }
}

class MarkBuilder implements MatchBuilder {
  mark = 0;
  mask = -1;
  inv = false;
  seen = false;
  constructor(readonly conn: boolean) {}
  option(name: string, inv: boolean, w: Words): boolean {
    if (name !== "--mark") return false;
    const r = parseMarkMask(w.next());
    this.mark = r.mark;
    this.mask = r.mask;
    this.inv = inv;
    this.seen = true;
    return true;
  }
  build(): XtMatch {
    if (!this.seen) throw new RuleError("the mark match needs --mark");
    return this.conn
      ? new ConnmarkMatch(this.mark, this.mask, this.inv)
      : new MarkMatch(this.mark, this.mask, this.inv);
  }
}

const CT_STATES: readonly (readonly [string, number])[] = [
  ["INVALID", 1],
  ["NEW", 8],
  ["RELATED", 4],
  ["ESTABLISHED", 2],
  ["UNTRACKED", 64],
  ["SNAT", 128],
  ["DNAT", 256],
];
const CT_STATUS: readonly (readonly [string, number])[] = [
  ["EXPECTED", IPS_EXPECTED],
  ["SEEN_REPLY", IPS_SEEN_REPLY],
  ["ASSURED", IPS_ASSURED],
  ["CONFIRMED", IPS_CONFIRMED],
];

interface AddrMask {
  addr: number;
  mask: number;
  inv: boolean;
}

interface PortCond {
  lo: number;
  hi: number;
  inv: boolean;
}

/** xt_conntrack.c. */
export class ConntrackMatch extends XtMatch {
  states = 0;
  stateInv = false;
  hasState = false;
  status = 0;
  statusInv = false;
  hasStatus = false;
  dir = -1;
  dirInv = false;
  proto = -1;
  protoInv = false;
  origsrc: AddrMask | null = null;
  origdst: AddrMask | null = null;
  replsrc: AddrMask | null = null;
  repldst: AddrMask | null = null;
  origsrcport: PortCond | null = null;
  origdstport: PortCond | null = null;
  replsrcport: PortCond | null = null;
  repldstport: PortCond | null = null;
  expire: PortCond | null = null;
  /** `-m state --state` prints as it was written. */
  alias = false;
  /** Nothing but states. */
  simple = true;

  constructor(readonly xt: XtNet) {
    super();
  }

  override get wantsConntrack(): boolean {
    return true;
  }

  match(cx: XtContext): boolean {
    const skb = cx.skb;
    const ct = skb.nfct as NfConn | null;
    let bit: number;
    if (ct !== null) {
      const i = skb.nfctinfo;
      bit = 2 << (i >= 3 ? i - 3 : i);
      if ((ct.status & IPS_SRC_NAT) !== 0) bit |= 128;
      if ((ct.status & IPS_DST_NAT) !== 0) bit |= 256;
    } else bit = skb.nfctinfo === IP_CT_UNTRACKED ? 64 : 1;
    if (this.hasState && ((this.states & bit) !== 0) === this.stateInv) return false;
    if (this.simple) return true;
    if (ct === null) return this.hasState;
    return this.#more(ct, cx);
  }

  #more(ct: NfConn, cx: XtContext): boolean {
    if (this.dir >= 0 && (ctDir(cx.skb.nfctinfo) === this.dir) === this.dirInv) return false;
    if (!addrOk(this.origsrc, ct.orig.src) || !addrOk(this.origdst, ct.orig.dst)) return false;
    if (!addrOk(this.replsrc, ct.reply.src) || !addrOk(this.repldst, ct.reply.dst)) return false;
    if (this.proto >= 0 && (ct.orig.proto === this.proto) === this.protoInv) return false;
    if (!portOk(this.origsrcport, ct.orig.sport) || !portOk(this.origdstport, ct.orig.dport)) return false;
    if (!portOk(this.replsrcport, ct.reply.sport) || !portOk(this.repldstport, ct.reply.dport)) return false;
    if (this.hasStatus && ((this.status & ct.status) !== 0) === this.statusInv) return false;
    if (this.expire !== null) {
      const net = this.xt.nf.ct;
      const sec = net === null ? 0 : Math.floor(net.expires(ct) / 1000);
      if (!portOk(this.expire, sec)) return false;
    }
    return true;
  }

  save(): string {
    const p = this.alias ? "" : "ct";
    let s = this.alias ? "-m state" : "-m conntrack";
    if (this.hasState) {
      const names = CT_STATES.filter(([, b]) => (this.states & b) !== 0).map(([n]) => n);
      s += ` ${bang(this.stateInv)}--${p}state ${names.join(",")}`;
    }
    if (this.proto >= 0) s += ` ${bang(this.protoInv)}--ctproto ${this.proto}`;
    for (const [n, a] of [
      ["origsrc", this.origsrc],
      ["origdst", this.origdst],
      ["replsrc", this.replsrc],
      ["repldst", this.repldst],
    ] as const)
      if (a !== null) s += ` ${bang(a.inv)}--ct${n} ${formatAddrMask(a.addr, a.mask, false)}`;
    for (const [n, r] of [
      ["origsrcport", this.origsrcport],
      ["origdstport", this.origdstport],
      ["replsrcport", this.replsrcport],
      ["repldstport", this.repldstport],
    ] as const)
      if (r !== null) s += ` ${bang(r.inv)}--ct${n} ${rangeText(r.lo, r.hi)}`;
    if (this.hasStatus) {
      const names = CT_STATUS.filter(([, b]) => (this.status & b) !== 0).map(([n]) => n);
      s += ` ${bang(this.statusInv)}--ctstatus ${names.length === 0 ? "NONE" : names.join(",")}`;
    }
    if (this.expire !== null)
      s += ` ${bang(this.expire.inv)}--ctexpire ${rangeText(this.expire.lo, this.expire.hi)}`;
    if (this.dir >= 0) {
      // An inverted direction is printed as the other one.
      const d = this.dirInv ? 1 - this.dir : this.dir;
      s += ` --ctdir ${d === 0 ? "ORIGINAL" : "REPLY"}`;
    }
    return s;
  }
}

function addrOk(a: AddrMask | null, v: number): boolean {
  return a === null || ((v & a.mask) === a.addr) !== a.inv;
}

function portOk(r: PortCond | null, v: number): boolean {
  return r === null || (v >= r.lo && v <= r.hi) !== r.inv;
}

class ConntrackBuilder implements MatchBuilder {
  readonly #m: ConntrackMatch;
  constructor(xt: XtNet, alias: boolean) {
    this.#m = new ConntrackMatch(xt);
    this.#m.alias = alias;
  }

  option(name: string, inv: boolean, w: Words): boolean {
    const m = this.#m;
    if (name === (m.alias ? "--state" : "--ctstate")) {
      for (const s of w.next().split(",")) {
        const e = CT_STATES.find(([n]) => n === s.toUpperCase());
        if (e === undefined) throw new RuleError(`"${s}" is not a connection state`);
        m.states |= e[1];
      }
      m.stateInv = inv;
      m.hasState = true;
      return true;
    }
    if (m.alias) return false;
    switch (name) {
      case "--ctstatus":
        for (const s of w.next().split(",")) {
          if (s.toUpperCase() === "NONE") continue;
          const e = CT_STATUS.find(([n]) => n === s.toUpperCase());
          if (e === undefined) throw new RuleError(`"${s}" is not a connection status`);
          m.status |= e[1];
        }
        m.statusInv = inv;
        m.hasStatus = true;
        break;
      case "--ctproto": {
        const p = w.next();
        const n = parseProtocol(p);
        if (n === undefined) throw new RuleError(`"${p}" is not a protocol`);
        m.proto = n;
        m.protoInv = inv;
        break;
      }
      case "--ctorigsrc":
        m.origsrc = { ...parseAddrMask(w.next()), inv };
        break;
      case "--ctorigdst":
        m.origdst = { ...parseAddrMask(w.next()), inv };
        break;
      case "--ctreplsrc":
        m.replsrc = { ...parseAddrMask(w.next()), inv };
        break;
      case "--ctrepldst":
        m.repldst = { ...parseAddrMask(w.next()), inv };
        break;
      case "--ctorigsrcport":
        m.origsrcport = { ...portRange(w.next()), inv };
        break;
      case "--ctorigdstport":
        m.origdstport = { ...portRange(w.next()), inv };
        break;
      case "--ctreplsrcport":
        m.replsrcport = { ...portRange(w.next()), inv };
        break;
      case "--ctrepldstport":
        m.repldstport = { ...portRange(w.next()), inv };
        break;
      case "--ctexpire": {
        const [a, b] = w.next().split(":");
        const lo = parseU32(a!) >>> 0;
        m.expire = { lo, hi: b === undefined ? lo : parseU32(b) >>> 0, inv };
        break;
      }
      case "--ctdir": {
        const d = w.next().toUpperCase();
        if (d !== "ORIGINAL" && d !== "REPLY") throw new RuleError(`"${d}" is not a direction`);
        m.dir = d === "ORIGINAL" ? 0 : 1;
        m.dirInv = inv;
        break;
      }
      default:
        return false;
    }
    m.simple = false;
    return true;
  }

  build(): XtMatch {
    return this.#m;
  }
}

/** xt_set.c. */
class SetMatch extends XtMatch implements SetPacket {
  skb!: XtContext["skb"];
  iph = 0;
  thoff = 0;
  fragoff = 0;
  proto = 0;
  inName = "";
  outName = "";

  constructor(
    readonly set: IpSet,
    readonly dirs: number,
    readonly ndirs: number,
    readonly inv: boolean,
    readonly dirText: string,
    readonly extra: string,
  ) {
    super();
    set.references++;
  }

  match(cx: XtContext): boolean {
    return this.set.test(cx, this.dirs, this.ndirs) !== this.inv;
  }

  save(): string {
    return `-m set ${bang(this.inv)}--match-set ${this.set.name} ${this.dirText}${this.extra}`;
  }

  override release(): void {
    this.set.references--;
  }
}

/** `src,dst,...`: bit i set = source. */
export function parseSetDirs(s: string): { dirs: number; ndirs: number } {
  let dirs = 0;
  const parts = s.split(",");
  parts.forEach((d, i) => {
    if (d !== "src" && d !== "dst") throw new RuleError(`"${s}" is not a list of src and dst`);
    if (d === "src") dirs |= 1 << i;
  });
  return { dirs, ndirs: parts.length };
}

class SetBuilder implements MatchBuilder {
  #set: IpSet | null = null;
  #dirs = 0;
  #ndirs = 0;
  #inv = false;
  #text = "";
  #extra = "";
  constructor(readonly xt: XtNet) {}

  option(name: string, inv: boolean, w: Words): boolean {
    switch (name) {
      case "--match-set": {
        const n = w.next();
        const set = this.xt.sets.get(n);
        if (set === undefined) throw new RuleError(`Set ${n} doesn't exist.`);
        this.#set = set;
        this.#text = w.next();
        const d = parseSetDirs(this.#text);
        this.#dirs = d.dirs;
        this.#ndirs = d.ndirs;
        this.#inv = inv;
        return true;
      }
      case "--return-nomatch":
      case "--update-counters":
      case "--update-subcounters":
        this.#extra += ` ${inv ? "! " : ""}${name}`;
        if (name === "--return-nomatch")
          throw new RuleError(`${name} of the set match is not modelled`, true);
        return true;
      case "--packets-eq":
      case "--packets-lt":
      case "--packets-gt":
      case "--bytes-eq":
      case "--bytes-lt":
      case "--bytes-gt":
        throw new RuleError(`${name} of the set match is not modelled`, true);
      default:
        return false;
    }
  }

  build(): XtMatch {
    if (this.#set === null) throw new RuleError("the set match needs --match-set");
    return new SetMatch(this.#set, this.#dirs, this.#ndirs, this.#inv, this.#text, this.#extra);
  }
}

/** xt_statistic.c. */
class StatisticMatch extends XtMatch {
  #count: number;
  constructor(
    readonly xt: XtNet,
    readonly random: boolean,
    readonly probability: number,
    readonly every: number,
    readonly packet: number,
    readonly inv: boolean,
  ) {
    super();
    this.#count = every - 1 - packet;
  }

  match(): boolean {
    if (this.random) return (this.xt.prng.nextInt32() & 0x7fffffff) < this.probability !== this.inv;
    const hit = this.#count === this.every - 1;
    this.#count = hit ? 0 : this.#count + 1;
    return hit !== this.inv;
  }

  save(): string {
    if (this.random)
      return `-m statistic --mode random ${bang(this.inv)}--probability ${(this.probability / 0x80000000).toFixed(11)}`;
    return `-m statistic --mode nth ${bang(this.inv)}--every ${this.every} --packet ${this.packet}`;
  }
}

class StatisticBuilder implements MatchBuilder {
  #mode = "";
  #p = -1;
  #every = 0;
  #packet = 0;
  #inv = false;
  constructor(readonly xt: XtNet) {}

  option(name: string, inv: boolean, w: Words): boolean {
    switch (name) {
      case "--mode":
        this.#mode = w.next();
        return true;
      case "--probability": {
        const p = Number(w.next());
        if (!(p >= 0 && p <= 1)) throw new RuleError("--probability must be between 0 and 1");
        this.#p = Math.round(p * 0x80000000);
        this.#inv = inv;
        return true;
      }
      case "--every":
        this.#every = parseU32(w.next());
        this.#inv = inv;
        return true;
      case "--packet":
        this.#packet = parseU32(w.next());
        return true;
      default:
        return false;
    }
  }

  build(): XtMatch {
    if (this.#mode === "random" && this.#p >= 0)
      return new StatisticMatch(this.xt, true, this.#p, 1, 0, this.#inv);
    if (this.#mode === "nth" && this.#every > 0 && this.#packet < this.#every)
      return new StatisticMatch(this.xt, false, 0, this.#every, this.#packet, this.#inv);
    throw new RuleError("the statistic match needs --mode random --probability P or --mode nth --every N");
  }
}

const ADDR_TYPES: readonly string[] = [
  "UNSPEC",
  "UNICAST",
  "LOCAL",
  "BROADCAST",
  "ANYCAST",
  "MULTICAST",
  "BLACKHOLE",
  "UNREACHABLE",
  "PROHIBIT",
  "THROW",
  "NAT",
  "XRESOLVE",
];

const flAddr = new Flowi4();
const resAddr = new FibResult();

/** inet_dev_addr_type: RTN_* of an address; with `dev`, LOCAL and the like only when the address is on it. */
export function inetAddrType(ns: Netns, addr: number, dev: NetDevice | null): number {
  if ((addr & 0xff) === 0 || addr === -1) return 3;
  if ((addr & 0xf0) === 0xe0) return 5;
  const f = flAddr;
  f.clear();
  f.daddr = addr;
  let err = ns.fib.local.lookup(f, resAddr, 0);
  // Without rules of their own the local and main tables are one trie.
  if (err !== 0 && !ns.fib.customRules) err = ns.fib.main.lookup(f, resAddr, 0);
  if (err !== 0 || resAddr.fi === null) return RTN_UNICAST;
  const nh = resAddr.fi.nhs[0];
  if (dev !== null && (nh === undefined || nh.dev !== dev)) return RTN_UNICAST;
  return resAddr.type;
}

/** xt_addrtype.c, revision 1. */
class AddrtypeMatch extends XtMatch {
  src = 0;
  dst = 0;
  srcInv = false;
  dstInv = false;
  limitIn = false;
  limitOut = false;
  constructor(readonly ns: Netns) {
    super();
  }

  match(cx: XtContext): boolean {
    const dev = this.limitIn ? cx.inDev : this.limitOut ? cx.outDev : null;
    if (this.src !== 0) {
      const t = inetAddrType(this.ns, cx.saddr, dev);
      if (((this.src & (1 << t)) !== 0) === this.srcInv) return false;
    }
    if (this.dst !== 0) {
      const t = inetAddrType(this.ns, cx.daddr, dev);
      if (((this.dst & (1 << t)) !== 0) === this.dstInv) return false;
    }
    return true;
  }

  save(): string {
    let s = "-m addrtype";
    if (this.src !== 0) s += ` ${bang(this.srcInv)}--src-type ${typeNames(this.src)}`;
    if (this.dst !== 0) s += ` ${bang(this.dstInv)}--dst-type ${typeNames(this.dst)}`;
    if (this.limitIn) s += " --limit-iface-in";
    if (this.limitOut) s += " --limit-iface-out";
    return s;
  }
}

function typeNames(mask: number): string {
  return ADDR_TYPES.filter((_, i) => (mask & (1 << i)) !== 0).join(",");
}

class AddrtypeBuilder implements MatchBuilder {
  readonly #m: AddrtypeMatch;
  constructor(xt: XtNet) {
    this.#m = new AddrtypeMatch(xt.ns);
  }
  option(name: string, inv: boolean, w: Words): boolean {
    const types = (): number => {
      let v = 0;
      for (const t of w.next().split(",")) {
        const i = ADDR_TYPES.indexOf(t.toUpperCase());
        if (i < 0) throw new RuleError(`"${t}" is not an address type`);
        v |= 1 << i;
      }
      return v;
    };
    switch (name) {
      case "--src-type":
        this.#m.src = types();
        this.#m.srcInv = inv;
        return true;
      case "--dst-type":
        this.#m.dst = types();
        this.#m.dstInv = inv;
        return true;
      case "--limit-iface-in":
        this.#m.limitIn = true;
        return true;
      case "--limit-iface-out":
        this.#m.limitOut = true;
        return true;
      default:
        return false;
    }
  }
  build(): XtMatch {
    return this.#m;
  }
}

/** xt_multiport.c. */
class MultiportMatch extends XtMatch {
  readonly lo: Int32Array;
  readonly hi: Int32Array;
  constructor(
    /** 1 source, 2 destination, 3 either. */
    readonly which: number,
    ranges: readonly { lo: number; hi: number }[],
    readonly inv: boolean,
  ) {
    super();
    this.lo = Int32Array.from(ranges, (r) => r.lo);
    this.hi = Int32Array.from(ranges, (r) => r.hi);
  }

  match(cx: XtContext): boolean {
    if (cx.fragoff !== 0) return false;
    if (cx.thoff + 4 > cx.skb.tail) {
      cx.hotdrop = true;
      return false;
    }
    const s = cx.skb.view.getUint16(cx.thoff, false);
    const d = cx.skb.view.getUint16(cx.thoff + 2, false);
    let hit = false;
    for (let i = 0; i < this.lo.length; i++) {
      const lo = this.lo[i]!;
      const hi = this.hi[i]!;
      if (((this.which & 1) !== 0 && s >= lo && s <= hi) || ((this.which & 2) !== 0 && d >= lo && d <= hi)) {
        hit = true;
        break;
      }
    }
    return hit !== this.inv;
  }

  save(): string {
    const list: string[] = [];
    for (let i = 0; i < this.lo.length; i++) list.push(rangeText(this.lo[i]!, this.hi[i]!));
    const name = this.which === 1 ? "--sports" : this.which === 2 ? "--dports" : "--ports";
    return `-m multiport ${bang(this.inv)}${name} ${list.join(",")}`;
  }
}

class MultiportBuilder implements MatchBuilder {
  #m: MultiportMatch | null = null;
  option(name: string, inv: boolean, w: Words): boolean {
    let which = 0;
    if (name === "--sports" || name === "--source-ports") which = 1;
    else if (name === "--dports" || name === "--destination-ports") which = 2;
    else if (name === "--ports") which = 3;
    else return false;
    const parts = w.next().split(",").map(portRange);
    const slots = parts.reduce((n, r) => n + (r.lo === r.hi ? 1 : 2), 0);
    if (slots > 15) throw new RuleError("multiport takes at most 15 ports, a range counting twice");
    this.#m = new MultiportMatch(which, parts, inv);
    return true;
  }
  build(): XtMatch {
    if (this.#m === null) throw new RuleError("the multiport match needs --sports, --dports or --ports");
    return this.#m;
  }
}

const RATE_UNITS: readonly (readonly [string, number])[] = [
  ["day", 86_400],
  ["hour", 3600],
  ["min", 60],
  ["sec", 1],
];

/** N/unit to the seconds that one packet costs. */
function parseRate(s: string): number {
  const m = /^(\d+)(?:\/(s|sec|second|m|min|minute|h|hour|d|day))?$/.exec(s);
  if (m === null || Number(m[1]) === 0) throw new RuleError(`"${s}" is not a rate`);
  const u = (m[2] ?? "s")[0]!;
  const sec = u === "s" ? 1 : u === "m" ? 60 : u === "h" ? 3600 : 86_400;
  return sec / Number(m[1]);
}

/** print_rate: the largest unit that divides well. */
function formatRate(period: number): string {
  // In units of 1/10000 s, as the kernel stores it.
  const p = Math.floor(period * 10_000);
  const units = [...RATE_UNITS].map(([n, s]) => [n, s * 10_000] as const);
  let i = 1;
  for (; i < units.length; i++) {
    const mult = units[i]![1];
    if (p > mult || Math.floor(mult / p) < mult % p) break;
  }
  const [name, mult] = units[i - 1]!;
  return `${Math.floor(mult / p)}/${name}`;
}

/** xt_limit.c: a token bucket. */
class LimitMatch extends XtMatch {
  /** [0] credit, [1] last time, both ns. */
  readonly #state = new Float64Array(2);
  readonly cost: number;
  readonly cap: number;
  constructor(
    readonly xt: XtNet,
    readonly period: number,
    readonly burst: number,
  ) {
    super();
    this.cost = period * 1e9;
    this.cap = this.cost * burst;
    this.#state[0] = this.cap;
    this.#state[1] = xt.clock.ns;
  }

  match(): boolean {
    const s = this.#state;
    const now = this.xt.clock.ns;
    const c = s[0]! + now - s[1]!;
    s[0] = Math.min(c, this.cap);
    s[1] = now;
    if (s[0]! < this.cost) return false;
    s[0]! -= this.cost;
    return true;
  }

  save(): string {
    return `-m limit --limit ${formatRate(this.period)}${this.burst === 5 ? "" : ` --limit-burst ${this.burst}`}`;
  }
}

class LimitBuilder implements MatchBuilder {
  #period = 1200;
  #burst = 5;
  constructor(readonly xt: XtNet) {}
  option(name: string, _inv: boolean, w: Words): boolean {
    if (name === "--limit") this.#period = parseRate(w.next());
    else if (name === "--limit-burst") this.#burst = parseU32(w.next());
    else return false;
    return true;
  }
  build(): XtMatch {
    return new LimitMatch(this.xt, this.#period, this.#burst);
  }
}

/** xt_hashlimit.c, packets per time: a token bucket per source, destination and port. */
class HashlimitMatch extends XtMatch {
  readonly cost: number;
  readonly cap: number;
  #keys = new Int32Array(64 * 4);
  /** Per slot: credit, last time, when the entry ends (0 = free). */
  #vals = new Float64Array(64 * 3);
  #mask = 63;
  #count = 0;

  constructor(
    readonly xt: XtNet,
    readonly above: boolean,
    readonly period: number,
    readonly burst: number,
    readonly mode: readonly string[],
    readonly name: string,
    readonly srcMask: number,
    readonly dstMask: number,
    readonly expireMs: number,
    readonly options: string,
  ) {
    super();
    this.cost = period * 1e9;
    this.cap = this.cost * burst;
  }

  match(cx: XtContext): boolean {
    const m = this.mode;
    const v = cx.skb.view;
    let k0 = 0;
    let k1 = 0;
    let k2 = 0;
    for (let i = 0; i < m.length; i++) {
      if (m[i] === "srcip") k0 = cx.saddr & this.srcMask;
      else if (m[i] === "dstip") k1 = cx.daddr & this.dstMask;
      else if (hasPorts(cx.proto)) {
        if (cx.fragoff !== 0 || cx.thoff + 4 > cx.skb.tail) {
          cx.hotdrop = true;
          return false;
        }
        if (m[i] === "srcport") k2 |= v.getUint16(cx.thoff, false) << 16;
        else k2 |= v.getUint16(cx.thoff + 2, false);
      }
    }
    const now = this.xt.clock.ns;
    const s = this.#slot(k0, k1, k2, now);
    const vals = this.#vals;
    const c = vals[s]! + now - vals[s + 1]!;
    vals[s] = Math.min(c, this.cap);
    vals[s + 1] = now;
    vals[s + 2] = now + this.expireMs * 1e6;
    if (vals[s]! >= this.cost) {
      vals[s]! -= this.cost;
      return !this.above;
    }
    return this.above;
  }

  #slot(k0: number, k1: number, k2: number, now: number): number {
    let h = Math.imul(k0 ^ 0x9e3779b9, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13) ^ k1, 0xc2b2ae35);
    h = Math.imul(h ^ (h >>> 16) ^ k2, 0x27d4eb2f);
    let i = (h ^ (h >>> 15)) & this.#mask;
    while (this.#vals[i * 3 + 2] !== 0) {
      const p = i * 4;
      if (this.#keys[p] === k0 && this.#keys[p + 1] === k1 && this.#keys[p + 2] === k2) {
        // An entry that nobody used for a while starts anew.
        if (this.#vals[i * 3 + 2]! < now) {
          this.#vals[i * 3] = this.cap;
          this.#vals[i * 3 + 1] = now;
        }
        return i * 3;
      }
      i = (i + 1) & this.#mask;
    }
    if (this.#count * 2 >= this.#mask) {
      this.#grow(now);
      return this.#slot(k0, k1, k2, now);
    }
    this.#count++;
    this.#keys[i * 4] = k0;
    this.#keys[i * 4 + 1] = k1;
    this.#keys[i * 4 + 2] = k2;
    this.#vals[i * 3] = this.cap;
    this.#vals[i * 3 + 1] = now;
    this.#vals[i * 3 + 2] = now + 1;
    return i * 3;
  }

  #grow(now: number): void {
    const keys = this.#keys;
    const vals = this.#vals;
    const size = (this.#mask + 1) * 2;
    this.#keys = new Int32Array(size * 4);
    this.#vals = new Float64Array(size * 3);
    this.#mask = size - 1;
    this.#count = 0;
    for (let i = 0; i < vals.length / 3; i++) {
      if (vals[i * 3 + 2] === 0 || vals[i * 3 + 2]! < now) continue;
      const s = this.#slot(keys[i * 4]!, keys[i * 4 + 1]!, keys[i * 4 + 2]!, now);
      for (let k = 0; k < 3; k++) this.#vals[s + k] = vals[i * 3 + k]!;
    }
  }

  save(): string {
    let s = `-m hashlimit --hashlimit-${this.above ? "above" : "upto"} ${formatRate(this.period)}`;
    s += ` --hashlimit-burst ${this.burst}`;
    if (this.mode.length > 0) s += ` --hashlimit-mode ${this.mode.join(",")}`;
    return `${s} --hashlimit-name ${this.name}${this.options}`;
  }
}

class HashlimitBuilder implements MatchBuilder {
  #above = false;
  #period = 0;
  #burst = 5;
  #mode: string[] = [];
  #name = "";
  #src = 32;
  #dst = 32;
  #expire = 10_000;
  #options = "";
  constructor(readonly xt: XtNet) {}

  option(name: string, inv: boolean, w: Words): boolean {
    switch (name) {
      case "--hashlimit-upto":
      case "--hashlimit":
      case "--hashlimit-above": {
        const r = w.next();
        if (/b\/s$/.test(r)) throw new RuleError("hashlimit by bytes is not modelled", true);
        this.#period = parseRate(r);
        this.#above = (name === "--hashlimit-above") !== inv;
        return true;
      }
      case "--hashlimit-burst":
        this.#burst = parseU32(w.next());
        return true;
      case "--hashlimit-mode":
        this.#mode = w.next().split(",");
        for (const m of this.#mode)
          if (!["srcip", "srcport", "dstip", "dstport"].includes(m))
            throw new RuleError(`"${m}" is not a hashlimit mode`);
        this.#mode = ["srcip", "srcport", "dstip", "dstport"].filter((m) => this.#mode.includes(m));
        return true;
      case "--hashlimit-name":
        this.#name = w.next();
        return true;
      case "--hashlimit-srcmask":
        this.#src = parseU32(w.next());
        if (this.#src !== 32) this.#options += ` --hashlimit-srcmask ${this.#src}`;
        return true;
      case "--hashlimit-dstmask":
        this.#dst = parseU32(w.next());
        if (this.#dst !== 32) this.#options += ` --hashlimit-dstmask ${this.#dst}`;
        return true;
      case "--hashlimit-htable-expire":
        this.#expire = parseU32(w.next());
        this.#options += ` ${name} ${this.#expire}`;
        return true;
      case "--hashlimit-htable-size":
      case "--hashlimit-htable-max":
      case "--hashlimit-htable-gcinterval":
        this.#options += ` ${name} ${w.next()}`;
        return true;
      case "--hashlimit-rate-match":
      case "--hashlimit-rate-interval":
        throw new RuleError(`${name} is not modelled`, true);
      default:
        return false;
    }
  }

  build(): XtMatch {
    if (this.#period === 0 || this.#name === "")
      throw new RuleError(
        "the hashlimit match needs --hashlimit-upto or --hashlimit-above, and --hashlimit-name",
      );
    return new HashlimitMatch(
      this.xt,
      this.#above,
      this.#period,
      this.#burst,
      this.#mode,
      this.#name,
      prefixMask(this.#src),
      prefixMask(this.#dst),
      this.#expire,
      this.#options,
    );
  }
}

/** proto_ports_offset: protocols whose header begins with ports (or, for ESP, something in their place). */
function hasPorts(proto: number): boolean {
  return proto === 6 || proto === 17 || proto === 33 || proto === 50 || proto === 132 || proto === 136;
}

/** What the owner match knows of a socket's process. */
interface Owned {
  readonly uid?: number;
  readonly gid?: number;
}

/** xt_owner.c: only packets made here have an owner. */
class OwnerMatch extends XtMatch {
  uid: PortCond | null = null;
  gid: PortCond | null = null;
  exists = false;
  existsInv = false;

  match(cx: XtContext): boolean {
    const sk = cx.skb.sk as (Sock & Owned) | null;
    // The kernel's own sockets (ICMP, resets) belong to no process.
    if (sk === null || Object.getPrototypeOf(sk) === Sock.prototype) {
      if (this.exists && !this.existsInv) return false;
      if (this.uid !== null && !this.uid.inv) return false;
      return this.gid === null || this.gid.inv;
    }
    if (this.exists && this.existsInv) return false;
    if (!portOk(this.uid, sk.uid ?? 0)) return false;
    return portOk(this.gid, sk.gid ?? 0);
  }

  save(): string {
    let s = "-m owner";
    if (this.exists) s += ` ${bang(this.existsInv)}--socket-exists`;
    if (this.uid !== null) s += ` ${bang(this.uid.inv)}--uid-owner ${ownerRange(this.uid)}`;
    if (this.gid !== null) s += ` ${bang(this.gid.inv)}--gid-owner ${ownerRange(this.gid)}`;
    return s;
  }
}

const ownerRange = (r: PortCond): string => (r.lo === r.hi ? String(r.lo) : `${r.lo}-${r.hi}`);

class OwnerBuilder implements MatchBuilder {
  readonly #m = new OwnerMatch();
  option(name: string, inv: boolean, w: Words): boolean {
    const id = (): PortCond => {
      const s = w.next();
      if (s === "root") return { lo: 0, hi: 0, inv };
      const [a, b] = s.split("-");
      const lo = parseU32(a!) >>> 0;
      return { lo, hi: b === undefined ? lo : parseU32(b) >>> 0, inv };
    };
    switch (name) {
      case "--uid-owner":
        this.#m.uid = id();
        return true;
      case "--gid-owner":
        this.#m.gid = id();
        return true;
      case "--socket-exists":
        this.#m.exists = true;
        this.#m.existsInv = inv;
        return true;
      case "--suppl-groups":
        throw new RuleError("--suppl-groups is not modelled", true);
      default:
        return false;
    }
  }
  build(): XtMatch {
    return this.#m;
  }
}

/** nf_sk_lookup_slow_v4: the socket of this host that a packet would reach. */
export function nfSocketLookup(
  ns: Netns,
  proto: number,
  saddr: number,
  sport: number,
  daddr: number,
  dport: number,
): Sock | null {
  const t = ns.sockets;
  if (proto === 6) {
    const est = t.tcpEstablished.get((sport << 16) | dport);
    if (est !== undefined)
      for (const s of est as readonly Sock[]) if (s.daddr === saddr && s.saddr === daddr) return s;
    return bestBound(t.tcpListen.get(dport) as readonly Sock[] | undefined, daddr);
  }
  if (proto === 17) {
    const list = t.udp.get(dport) as readonly Sock[] | undefined;
    if (list !== undefined)
      for (const s of list) if (s.daddr === saddr && s.dport === sport && s.saddr === daddr) return s;
    return bestBound(list, daddr);
  }
  return null;
}

function bestBound(list: readonly Sock[] | undefined, daddr: number): Sock | null {
  if (list === undefined) return null;
  let any: Sock | null = null;
  for (let i = 0; i < list.length; i++) {
    const s = list[i]!;
    if (s.saddr === daddr) return s;
    if (s.saddr === 0 && s.daddr === 0 && any === null) any = s;
  }
  return any;
}

/** xt_socket.c. */
class SocketMatch extends XtMatch {
  transparent = false;
  nowildcard = false;
  restore = false;
  constructor(readonly ns: Netns) {
    super();
  }
  override get wantsDefrag(): boolean {
    return true;
  }

  match(cx: XtContext): boolean {
    const skb = cx.skb;
    let sk = skb.sk as Sock | null;
    if (sk === null) {
      if ((cx.proto !== 6 && cx.proto !== 17) || cx.thoff + 8 > skb.tail) return false;
      const v = skb.view;
      sk = nfSocketLookup(
        this.ns,
        cx.proto,
        cx.saddr,
        v.getUint16(cx.thoff, false),
        cx.daddr,
        v.getUint16(cx.thoff + 2, false),
      );
    }
    if (sk === null) return false;
    if (!this.nowildcard && sk.saddr === 0) return false;
    if (this.transparent && !sk.transparent) return false;
    if (this.restore) skb.mark = sk.mark;
    return true;
  }

  save(): string {
    let s = "-m socket";
    if (this.transparent) s += " --transparent";
    if (this.nowildcard) s += " --nowildcard";
    if (this.restore) s += " --restore-skmark";
    return s;
  }
}

class SocketBuilder implements MatchBuilder {
  readonly #m: SocketMatch;
  constructor(xt: XtNet) {
    this.#m = new SocketMatch(xt.ns);
  }
  option(name: string): boolean {
    if (name === "--transparent") this.#m.transparent = true;
    else if (name === "--nowildcard") this.#m.nowildcard = true;
    else if (name === "--restore-skmark") this.#m.restore = true;
    else return false;
    return true;
  }
  build(): XtMatch {
    return this.#m;
  }
}

const flRpf = new Flowi4();
const resRpf = new FibResult();

/** ipt_rpfilter.c. */
class RpfilterMatch extends XtMatch {
  loose = false;
  validmark = false;
  acceptLocal = false;
  invert = false;
  constructor(readonly ns: Netns) {
    super();
  }

  match(cx: XtContext): boolean {
    return this.#test(cx) !== this.invert;
  }

  #test(cx: XtContext): boolean {
    const dev = cx.inDev;
    if (dev === null || (dev.flags & IFF_LOOPBACK) !== 0) return true;
    const s = cx.saddr;
    const d = cx.daddr;
    if ((s & 0xff) === 0 && (d === -1 || (d & 0xffffff) === 0x0000e0)) return true;
    const f = flRpf;
    f.clear();
    f.iif = 1;
    f.daddr = s;
    f.saddr = (d & 0xf0) === 0xe0 || d === -1 || (d & 0xff) === 0 ? 0 : d;
    f.mark = this.validmark ? cx.skb.mark : 0;
    f.tos = cx.skb.bytes[cx.iph + 1]! & 0x1c;
    if (this.ns.fib.lookup(f, resRpf, FIB_LOOKUP_IGNORE_LINKSTATE) !== 0) return false;
    if (resRpf.type !== RTN_UNICAST && !(resRpf.type === RTN_LOCAL && this.acceptLocal)) return false;
    if (this.loose) return true;
    const nhs = resRpf.fi!.nhs;
    for (let i = 0; i < nhs.length; i++) if (nhs[i]!.dev === dev) return true;
    return false;
  }

  save(): string {
    let s = "-m rpfilter";
    if (this.loose) s += " --loose";
    if (this.validmark) s += " --validmark";
    if (this.acceptLocal) s += " --accept-local";
    if (this.invert) s += " --invert";
    return s;
  }
}

class RpfilterBuilder implements MatchBuilder {
  readonly #m: RpfilterMatch;
  constructor(xt: XtNet) {
    this.#m = new RpfilterMatch(xt.ns);
  }
  option(name: string): boolean {
    if (name === "--loose") this.#m.loose = true;
    else if (name === "--validmark") this.#m.validmark = true;
    else if (name === "--accept-local") this.#m.acceptLocal = true;
    else if (name === "--invert") this.#m.invert = true;
    else return false;
    return true;
  }
  build(): XtMatch {
    return this.#m;
  }
}

/** The bridge port a packet came in by or leaves by (struct nf_bridge_info), where br_netfilter is on. */
interface BridgeInfo {
  readonly physInDev?: NetDevice | null;
  readonly physOutDev?: NetDevice | null;
}

/** xt_physdev.c. */
class PhysdevMatch extends XtMatch {
  inPat: IfacePattern | null = null;
  outPat: IfacePattern | null = null;
  inInv = false;
  outInv = false;
  isIn = 0;
  isOut = 0;
  isBridged = 0;

  match(cx: XtContext): boolean {
    const br = cx.skb as BridgeInfo;
    const pin = br.physInDev ?? null;
    const pout = br.physOutDev ?? null;
    if (pin === null && pout === null) {
      // Not a bridged packet: only inverted conditions hold.
      if (this.isBridged > 0 || this.isIn > 0 || this.isOut > 0) return false;
      return !(this.inPat !== null && !this.inInv) && !(this.outPat !== null && !this.outInv);
    }
    if (this.isBridged !== 0 && (pin !== null && pout !== null) !== this.isBridged > 0) return false;
    if (this.isIn !== 0 && (pin !== null) !== this.isIn > 0) return false;
    if (this.isOut !== 0 && (pout !== null) !== this.isOut > 0) return false;
    if (this.inPat !== null && this.inPat.matches(pin) === this.inInv) return false;
    return this.outPat === null || this.outPat.matches(pout) !== this.outInv;
  }

  save(): string {
    let s = "-m physdev";
    const one = (v: number, n: string): void => {
      if (v !== 0) s += ` ${bang(v < 0)}${n}`;
    };
    one(this.isIn, "--physdev-is-in");
    if (this.inPat !== null) s += ` ${bang(this.inInv)}--physdev-in ${this.inPat.text}`;
    one(this.isOut, "--physdev-is-out");
    if (this.outPat !== null) s += ` ${bang(this.outInv)}--physdev-out ${this.outPat.text}`;
    one(this.isBridged, "--physdev-is-bridged");
    return s;
  }
}

class PhysdevBuilder implements MatchBuilder {
  readonly #m = new PhysdevMatch();
  option(name: string, inv: boolean, w: Words): boolean {
    const m = this.#m;
    switch (name) {
      case "--physdev-in":
        m.inPat = new IfacePattern(w.next());
        m.inInv = inv;
        return true;
      case "--physdev-out":
        m.outPat = new IfacePattern(w.next());
        m.outInv = inv;
        return true;
      case "--physdev-is-in":
        m.isIn = inv ? -1 : 1;
        return true;
      case "--physdev-is-out":
        m.isOut = inv ? -1 : 1;
        return true;
      case "--physdev-is-bridged":
        m.isBridged = inv ? -1 : 1;
        return true;
      default:
        return false;
    }
  }
  build(): XtMatch {
    return this.#m;
  }
}

/** xt_length.c. */
class LengthMatch extends XtMatch {
  constructor(
    readonly lo: number,
    readonly hi: number,
    readonly inv: boolean,
  ) {
    super();
  }
  match(cx: XtContext): boolean {
    const len = cx.skb.view.getUint16(cx.iph + 2, false);
    return (len >= this.lo && len <= this.hi) !== this.inv;
  }
  save(): string {
    return `-m length ${bang(this.inv)}--length ${rangeText(this.lo, this.hi)}`;
  }
}

class LengthBuilder implements MatchBuilder {
  #m: LengthMatch | null = null;
  option(name: string, inv: boolean, w: Words): boolean {
    if (name !== "--length") return false;
    const r = portRange(w.next());
    this.#m = new LengthMatch(r.lo, r.hi, inv);
    return true;
  }
  build(): XtMatch {
    if (this.#m === null) throw new RuleError("the length match needs --length");
    return this.#m;
  }
}

/** xt_hl.c (ttl), xt_dscp.c, tos: one byte of the IP header against a value. */
class HeaderByteMatch extends XtMatch {
  constructor(
    readonly text: string,
    readonly offset: number,
    readonly shift: number,
    readonly mask: number,
    readonly op: "eq" | "lt" | "gt",
    readonly value: number,
    readonly inv: boolean,
  ) {
    super();
  }
  match(cx: XtContext): boolean {
    const v = (cx.skb.bytes[cx.iph + this.offset]! & this.mask) >>> this.shift;
    const hit = this.op === "eq" ? v === this.value : this.op === "lt" ? v < this.value : v > this.value;
    return hit !== this.inv;
  }
  save(): string {
    return this.text;
  }
}

class TtlBuilder implements MatchBuilder {
  #m: XtMatch | null = null;
  option(name: string, inv: boolean, w: Words): boolean {
    const op =
      name === "--ttl-eq" || name === "--ttl"
        ? "eq"
        : name === "--ttl-lt"
          ? "lt"
          : name === "--ttl-gt"
            ? "gt"
            : "";
    if (op === "") return false;
    const v = parseU32(w.next());
    this.#m = new HeaderByteMatch(`-m ttl ${bang(inv)}--ttl-${op} ${v}`, 8, 0, 255, op, v, inv);
    return true;
  }
  build(): XtMatch {
    if (this.#m === null) throw new RuleError("the ttl match needs --ttl-eq, --ttl-lt or --ttl-gt");
    return this.#m;
  }
}

class DscpBuilder implements MatchBuilder {
  #m: XtMatch | null = null;
  option(name: string, inv: boolean, w: Words): boolean {
    if (name !== "--dscp") return false;
    const v = parseU32(w.next());
    const text = `-m dscp ${bang(inv)}--dscp 0x${v.toString(16).padStart(2, "0")}`;
    this.#m = new HeaderByteMatch(text, 1, 2, 0xfc, "eq", v, inv);
    return true;
  }
  build(): XtMatch {
    if (this.#m === null) throw new RuleError("the dscp match needs --dscp");
    return this.#m;
  }
}

/** xt_iprange.c. */
class IprangeMatch extends XtMatch {
  src: { lo: number; hi: number; inv: boolean; text: string } | null = null;
  dst: { lo: number; hi: number; inv: boolean; text: string } | null = null;
  match(cx: XtContext): boolean {
    if (this.src !== null) {
      const a = hostOrder(cx.saddr);
      if ((a >= this.src.lo && a <= this.src.hi) === this.src.inv) return false;
    }
    if (this.dst !== null) {
      const a = hostOrder(cx.daddr);
      if ((a >= this.dst.lo && a <= this.dst.hi) === this.dst.inv) return false;
    }
    return true;
  }
  save(): string {
    let s = "-m iprange";
    if (this.src !== null) s += ` ${bang(this.src.inv)}--src-range ${this.src.text}`;
    if (this.dst !== null) s += ` ${bang(this.dst.inv)}--dst-range ${this.dst.text}`;
    return s;
  }
}

function hostOrder(a: number): number {
  return (((a & 0xff) << 24) | ((a & 0xff00) << 8) | ((a >>> 8) & 0xff00) | (a >>> 24)) >>> 0;
}

class IprangeBuilder implements MatchBuilder {
  readonly #m = new IprangeMatch();
  option(name: string, inv: boolean, w: Words): boolean {
    if (name !== "--src-range" && name !== "--dst-range") return false;
    const s = w.next();
    const [a, b] = s.split("-");
    const lo = parseIpv4(a!);
    const hi = parseIpv4(b ?? a!);
    if (lo === undefined || hi === undefined) throw new RuleError(`"${s}" is not a range of addresses`);
    const r = { lo: hostOrder(lo), hi: hostOrder(hi), inv, text: `${formatIpv4(lo)}-${formatIpv4(hi)}` };
    if (name === "--src-range") this.#m.src = r;
    else this.#m.dst = r;
    return true;
  }
  build(): XtMatch {
    return this.#m;
  }
}

/** xt_mac.c. */
class MacMatch extends XtMatch {
  constructor(
    readonly mac: readonly number[],
    readonly inv: boolean,
  ) {
    super();
  }
  match(cx: XtContext): boolean {
    const skb = cx.skb;
    if (cx.inDev === null || skb.mac < 0 || cx.inDev.hardHeaderLen !== 14) return false;
    let same = true;
    for (let i = 0; i < 6; i++) if (skb.bytes[skb.mac + 6 + i] !== this.mac[i]) same = false;
    return same !== this.inv;
  }
  save(): string {
    return `-m mac ${bang(this.inv)}--mac-source ${this.mac.map((b) => b.toString(16).padStart(2, "0")).join(":")}`;
  }
}

class MacBuilder implements MatchBuilder {
  #m: MacMatch | null = null;
  option(name: string, inv: boolean, w: Words): boolean {
    if (name !== "--mac-source") return false;
    const s = w.next();
    if (!/^([0-9a-fA-F]{1,2}:){5}[0-9a-fA-F]{1,2}$/.test(s))
      throw new RuleError(`"${s}" is not a MAC address`);
    this.#m = new MacMatch(
      s.split(":").map((h) => Number.parseInt(h, 16)),
      inv,
    );
    return true;
  }
  build(): XtMatch {
    if (this.#m === null) throw new RuleError("the mac match needs --mac-source");
    return this.#m;
  }
}

/** A list of addresses that xt_recent keeps under a name; shared by all rules that name it. */
export class RecentTable {
  /** Be32 to the times (ns) of the last packets, newest last, and the TTL of the newest. */
  readonly entries = new Map<number, { readonly stamps: number[]; ttl: number }>();
}

/** ip_list_tot and ip_pkt_list_tot. */
const RECENT_ENTRIES = 100;
const RECENT_STAMPS = 20;

/** xt_recent.c. An address that is new to its list allocates; known ones do not. */
class RecentMatch extends XtMatch {
  mode: "set" | "rcheck" | "update" | "remove" | "" = "";
  inv = false;
  seconds = 0;
  reap = false;
  hitcount = 0;
  rttl = false;
  name = "DEFAULT";
  mask = -1;
  dest = false;
  table: RecentTable | null = null;

  constructor(readonly xt: XtNet) {
    super();
  }

  match(cx: XtContext): boolean {
    const t = this.table!;
    const addr = (this.dest ? cx.daddr : cx.saddr) & this.mask;
    // The TTL as it was before forwarding.
    let ttl = cx.skb.bytes[cx.iph + 8]!;
    if (cx.outDev !== null && cx.skb.sk === null) ttl++;
    const now = this.xt.clock.ns;
    let e = t.entries.get(addr);
    if (e !== undefined && this.rttl && e.ttl !== ttl) e = undefined;
    if (e === undefined) {
      if (this.mode !== "set") return this.inv;
      if (t.entries.size >= RECENT_ENTRIES) {
        const oldest = t.entries.keys().next().value;
        if (oldest !== undefined) t.entries.delete(oldest);
      }
      t.entries.set(addr, { stamps: [now], ttl });
      return !this.inv;
    }
    let ret = this.inv;
    switch (this.mode) {
      case "set":
        ret = !ret;
        break;
      case "remove":
        t.entries.delete(addr);
        return !ret;
      default: {
        const since = now - this.seconds * 1e9;
        let hits = 0;
        for (let i = 0; i < e.stamps.length; i++) {
          if (this.seconds !== 0 && since > e.stamps[i]!) continue;
          if (this.hitcount === 0 || ++hits >= this.hitcount) {
            ret = !ret;
            break;
          }
        }
        if (this.reap) {
          // recent_entry_reap: the list's oldest entry goes when its newest stamp is too old.
          const first = t.entries.entries().next().value;
          if (first !== undefined && since > first[1].stamps[first[1].stamps.length - 1]!)
            t.entries.delete(first[0]);
        }
      }
    }
    if (this.mode === "set" || (this.mode === "update" && ret)) {
      e.stamps.push(now);
      if (e.stamps.length > RECENT_STAMPS) e.stamps.shift();
      e.ttl = ttl;
      t.entries.delete(addr);
      t.entries.set(addr, e);
    }
    return ret;
  }

  save(): string {
    let s = `-m recent ${bang(this.inv)}--${this.mode}`;
    if (this.seconds !== 0) s += ` --seconds ${this.seconds}`;
    if (this.reap) s += " --reap";
    if (this.hitcount !== 0) s += ` --hitcount ${this.hitcount}`;
    if (this.rttl) s += " --rttl";
    return `${s} --name ${this.name} --mask ${formatIpv4(this.mask)} ${this.dest ? "--rdest" : "--rsource"}`;
  }
}

class RecentBuilder implements MatchBuilder {
  readonly #m: RecentMatch;
  constructor(readonly xt: XtNet) {
    this.#m = new RecentMatch(xt);
  }
  option(name: string, inv: boolean, w: Words): boolean {
    const m = this.#m;
    switch (name) {
      case "--set":
      case "--rcheck":
      case "--update":
      case "--remove":
        m.mode = name.slice(2) as "set";
        m.inv = inv;
        return true;
      case "--seconds":
        m.seconds = parseU32(w.next());
        return true;
      case "--reap":
        m.reap = true;
        return true;
      case "--hitcount":
        m.hitcount = parseU32(w.next());
        return true;
      case "--rttl":
        m.rttl = true;
        return true;
      case "--name":
        m.name = w.next();
        return true;
      case "--mask": {
        const s = w.next();
        const a = parseIpv4(s);
        if (a === undefined) throw new RuleError(`"${s}" is not a mask`);
        m.mask = a;
        return true;
      }
      case "--rsource":
        m.dest = false;
        return true;
      case "--rdest":
        m.dest = true;
        return true;
      default:
        return false;
    }
  }
  build(): XtMatch {
    const m = this.#m;
    if (m.mode === "") throw new RuleError("the recent match needs --set, --rcheck, --update or --remove");
    if (m.reap && m.seconds === 0) throw new RuleError("--reap of the recent match needs --seconds");
    let t = this.xt.recent.get(m.name);
    if (t === undefined) {
      t = new RecentTable();
      this.xt.recent.set(m.name, t);
    }
    m.table = t;
    return m;
  }
}

/** xt_nfacct.c: counts into a named object, always matches. */
class NfacctMatch extends XtMatch {
  readonly counter: Float64Array;
  constructor(
    readonly xt: XtNet,
    readonly name: string,
  ) {
    super();
    let c = xt.nfacct.get(name);
    if (c === undefined) {
      c = new Float64Array(2);
      xt.nfacct.set(name, c);
    }
    this.counter = c;
  }
  match(cx: XtContext): boolean {
    this.counter[0]!++;
    this.counter[1]! += cx.skb.tail - cx.skb.data;
    return true;
  }
  save(): string {
    return `-m nfacct --nfacct-name ${this.name}`;
  }
}

class NfacctBuilder implements MatchBuilder {
  #name = "";
  constructor(readonly xt: XtNet) {}
  option(name: string, _inv: boolean, w: Words): boolean {
    if (name !== "--nfacct-name") return false;
    this.#name = w.next();
    return true;
  }
  build(): XtMatch {
    if (this.#name === "") throw new RuleError("the nfacct match needs --nfacct-name");
    return new NfacctMatch(this.xt, this.#name);
  }
}

const PKT_TYPES: readonly string[] = ["unicast", "broadcast", "multicast"];

/** xt_pkttype.c. */
class PkttypeMatch extends XtMatch {
  constructor(
    readonly type: number,
    readonly inv: boolean,
  ) {
    super();
  }
  match(cx: XtContext): boolean {
    return (cx.skb.pktType === this.type) !== this.inv;
  }
  save(): string {
    return `-m pkttype ${bang(this.inv)}--pkt-type ${PKT_TYPES[this.type]}`;
  }
}

class PkttypeBuilder implements MatchBuilder {
  #m: PkttypeMatch | null = null;
  option(name: string, inv: boolean, w: Words): boolean {
    if (name !== "--pkt-type") return false;
    const t = w.next();
    const i = PKT_TYPES.indexOf(t);
    if (i < 0) throw new RuleError(`"${t}" is not a packet type`);
    this.#m = new PkttypeMatch(i, inv);
    return true;
  }
  build(): XtMatch {
    if (this.#m === null) throw new RuleError("the pkttype match needs --pkt-type");
    return this.#m;
  }
}

/** Matches that `-m NAME` knows. */
export function matchBuilder(name: string, xt: XtNet): MatchBuilder {
  switch (name) {
    case "tcp":
      return new TcpBuilder();
    case "udp":
    case "udplite":
    case "sctp":
    case "dccp":
      return new UdpBuilder(name);
    case "icmp":
      return new IcmpBuilder();
    case "comment":
      return new CommentBuilder();
    case "mark":
      return new MarkBuilder(false);
    case "connmark":
      return new MarkBuilder(true);
    case "conntrack":
      return new ConntrackBuilder(xt, false);
    case "state":
      return new ConntrackBuilder(xt, true);
    case "set":
      return new SetBuilder(xt);
    case "statistic":
      return new StatisticBuilder(xt);
    case "addrtype":
      return new AddrtypeBuilder(xt);
    case "multiport":
      return new MultiportBuilder();
    case "limit":
      return new LimitBuilder(xt);
    case "hashlimit":
      return new HashlimitBuilder(xt);
    case "owner":
      return new OwnerBuilder();
    case "socket":
      return new SocketBuilder(xt);
    case "rpfilter":
      return new RpfilterBuilder(xt);
    case "physdev":
      return new PhysdevBuilder();
    case "length":
      return new LengthBuilder();
    case "ttl":
      return new TtlBuilder();
    case "dscp":
      return new DscpBuilder();
    case "iprange":
      return new IprangeBuilder();
    case "mac":
      return new MacBuilder();
    case "pkttype":
      return new PkttypeBuilder();
    case "recent":
      return new RecentBuilder(xt);
    case "nfacct":
      return new NfacctBuilder(xt);
    default:
      throw new RuleError(`match ${name} is not modelled`, true);
  }
}

/** Modules that `-p PROTO` loads when one of their options appears without `-m`. */
export function implicitModule(proto: number): string | null {
  switch (proto) {
    case 6:
      return "tcp";
    case 17:
      return "udp";
    case 1:
      return "icmp";
    case 132:
      return "sctp";
    case 136:
      return "udplite";
    case 33:
      return "dccp";
    default:
      return null;
  }
}
