// What the TRACE target shows: nf_tables trace events as `xtables-monitor --trace` prints them, and grouped by
// packet. Only traced packets come here, so that strings may be built.
//
//   one group per packet:   '|' the packet as the following chain saw it (when it changed), '>' one step
//
// Linux before 6.3 tells also of the end of a chain ("return:"), and says RETURN without its rule; such an event
// carries the packet's headers, but xtables-monitor prints them only with rules and policies.

import { ARPHRD_ETHER, ARPHRD_LOOPBACK } from "../device.js";
import { NF_ACCEPT, NF_DROP, NF_QUEUE, NF_STOLEN } from "./hooks.js";
import { formatIpv4 } from "./text.js";
import { Act, XT_CONTINUE, XT_RETURN, type XtContext, type XtRule } from "./xt_rule.js";
import type { XtChain, XtNet } from "./xtables.js";

export const TRACE_RULE = 1;
export const TRACE_RETURN = 2;
export const TRACE_POLICY = 3;

interface Group {
  last: string;
  readonly lines: string[];
}

export interface NfTraceOptions {
  /** Print the ends of chains, as Linux did before 6.3. */
  readonly chainEnds?: boolean;
}

/** Collects the events of one namespace. */
export class NfTrace {
  readonly #groups = new Map<number, Group>();
  readonly #order: Group[] = [];
  /** Lines as xtables-monitor prints them, in order. */
  readonly lines: string[] = [];
  readonly chainEnds: boolean;
  #nextId = 1;

  constructor(opt: NfTraceOptions = {}) {
    this.chainEnds = opt.chainEnds ?? false;
  }

  /** An id for a packet that begins to be traced. */
  newId(): number {
    return this.#nextId++;
  }

  /** The group of a packet, which begins with its first event: one that meets no chain has none. */
  #group(id: number): Group {
    let g = this.#groups.get(id);
    if (g === undefined) {
      g = { last: "", lines: [] };
      this.#groups.set(id, g);
      this.#order.push(g);
    }
    return g;
  }

  /**
   * One event. `dumped`: this chain's walk has shown the packet's headers before; returns whether it has now.
   */
  event(
    xt: XtNet,
    cx: XtContext,
    chain: XtChain,
    rule: XtRule | null,
    type: number,
    verdict: number,
    dumped: boolean,
  ): boolean {
    let kind = type;
    if (type === TRACE_RETURN && !this.chainEnds) return dumped;
    if (type === TRACE_RULE && verdict === XT_RETURN && this.chainEnds) kind = TRACE_RETURN;
    void xt;
    const id = cx.skb.nfTrace;
    if (id === 0) return dumped;
    const g = this.#group(id);
    const head = `${chain.table.name}:${chain.name}`;
    const hex = id.toString(16).padStart(8, "0");
    if (kind === TRACE_RETURN) {
      g.lines.push(`  > ${head}:return:`);
      this.lines.push(` TRACE: 2 ${hex} ${head}:return:`);
      return true;
    }
    if (!dumped) {
      const p = describePacket(cx);
      this.lines.push(`PACKET: 2 ${hex} ${p}`);
      if (p !== g.last) {
        g.lines.push(`  | ${p}`);
        g.last = p;
      }
    }
    if (kind === TRACE_POLICY) {
      g.lines.push(`  > ${head}:policy:${verdictName(verdict, null)}`);
      this.lines.push(` TRACE: 2 ${hex} ${head}:policy:${verdictName(verdict, null)}`);
      return true;
    }
    const v = verdictName(verdict, rule);
    const text = `-4 -t ${chain.table.name} -A ${chain.name}${rule!.text === "" ? "" : ` ${rule!.text}`}`;
    // The rule that switched tracing on begins the group and is not shown in it.
    if (!(chain.table.name === "raw" && rule!.target !== null && rule!.target.name === "TRACE"))
      g.lines.push(`  > ${head}:rule:${v} ${text}`);
    this.lines.push(` TRACE: 2 ${hex} ${head}:rule:0x${rule!.handle.toString(16)}:${v}  ${text}`);
    return true;
  }

  /** Groups as text: "packet 0", then its lines. Empty when nothing was traced. */
  compact(): string {
    let s = "";
    this.#order.forEach((g, i) => {
      s += `packet ${i}\n`;
      for (const l of g.lines) s += `${l}\n`;
    });
    return s;
  }

  clear(): void {
    this.#groups.clear();
    this.#order.length = 0;
    this.lines.length = 0;
  }
}

/** nf_tables' number of RETURN. */
const NFT_RETURN = 0xfffffffb;

function verdictName(v: number, rule: XtRule | null): string {
  switch (v) {
    case NF_ACCEPT:
      return "ACCEPT";
    case NF_DROP:
      return "DROP";
    case NF_STOLEN:
      return "STOLEN";
    case NF_QUEUE:
      return "QUEUE";
    case XT_RETURN:
      return `0x${NFT_RETURN.toString(16)}`;
    case XT_CONTINUE:
      if (rule !== null && rule.act === Act.JUMP) return `JUMP:${rule.chain!.name}`;
      if (rule !== null && rule.act === Act.GOTO) return `GOTO:${rule.chain!.name}`;
      return "CONTINUE";
    default:
      return `0x${(v >>> 0).toString(16)}`;
  }
}

/** Bytes as C's `%02x` of a signed char prints them: from 0x80 on with sign. */
function signedHex(b: number): string {
  return b < 0x80 ? b.toString(16).padStart(2, "0") : (0xffffff00 + b).toString(16);
}

function etherNtoa(b: Uint8Array, at: number): string {
  let s = "";
  for (let i = 0; i < 6; i++) s += `${i > 0 ? ":" : ""}${b[at + i]!.toString(16)}`;
  return s;
}

/** The PACKET line: devices, link layer, IPv4 header, ports and flags, mark. */
export function describePacket(cx: XtContext): string {
  const skb = cx.skb;
  const v = skb.view;
  const b = skb.bytes;
  const n = skb.data;
  let s = "";
  if (cx.inDev !== null) s += `IN=${cx.inDev.name} `;
  if (cx.outDev !== null) s += `OUT=${cx.outDev.name} `;
  if (skb.mac >= 0) {
    // The kernel dumps what lies between the MAC header and the IP header, at most 20 bytes; a stale MAC header
    // behind the IP header makes it 20 bytes from there.
    const gap = n - skb.mac;
    const len = gap >= 0 ? Math.min(gap, 20) : 20;
    const type = cx.inDev !== null ? cx.inDev.type : 0;
    if (len > 0) {
      if (type === ARPHRD_ETHER && len >= 14) {
        s += `MACSRC=${etherNtoa(b, skb.mac + 6)} MACDST=${etherNtoa(b, skb.mac)} `;
        s += `MACPROTO=${v
          .getUint16(skb.mac + 12, false)
          .toString(16)
          .padStart(4, "0")} `;
      } else if (type === ARPHRD_LOOPBACK) s += "LOOPBACK ";
      else if (type !== ARPHRD_ETHER) {
        s += `LL=0x${type.toString(16)} `;
        for (let i = 0; i < len; i++) s += signedHex(b[skb.mac + i] ?? 0);
        s += " ";
      }
    }
  }
  s += `SRC=${formatIpv4(v.getInt32(n + 12, true))} DST=${formatIpv4(v.getInt32(n + 16, true))} `;
  s += `LEN=${v.getUint16(n + 2, false)} TOS=0x${v.getUint8(n + 1).toString(16)} `;
  s += `TTL=${v.getUint8(n + 8)} ID=${v.getUint16(n + 4, false)} `;
  const fo = v.getUint16(n + 6, false);
  if ((fo & 0x8000) !== 0) s += "CE ";
  if ((fo & 0x4000) !== 0) s += "DF ";
  if ((fo & 0x2000) !== 0) s += "MF ";
  if ((fo & 0x1fff) !== 0) s += `FRAG:${fo & 0x1fff} `;
  const proto = v.getUint8(n + 9);
  const th = n + ((v.getUint8(n) & 15) << 2);
  if (th > n + 20) {
    let opt = "";
    // "%02X" of a signed char.
    for (let i = n + 20; i < th; i++) opt += (v.getInt8(i) >>> 0).toString(16).toUpperCase().padStart(2, "0");
    s += `OPT (${opt}) `;
  }
  if (proto === 6 && th + 20 <= skb.tail) {
    s += `SPORT=${v.getUint16(th, false)} DPORT=${v.getUint16(th + 2, false)} `;
    const f = v.getUint8(th + 13);
    if ((f & 2) !== 0) s += "SYN ";
    if ((f & 16) !== 0) s += "ACK ";
    if ((f & 1) !== 0) s += "FIN ";
    if ((f & 4) !== 0) s += "RST ";
    if ((f & 8) !== 0) s += "PSH ";
    if ((f & 32) !== 0) s += "URG ";
  } else if ((proto === 17 || proto === 132 || proto === 136) && th + 4 <= skb.tail) {
    s += `SPORT=${v.getUint16(th, false)} DPORT=${v.getUint16(th + 2, false)} `;
  }
  if (skb.mark !== 0) s += `MARK=0x${(skb.mark >>> 0).toString(16)} `;
  return s.trimEnd();
}
