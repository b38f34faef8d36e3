// MonitorFormatter: samples to the text that `cilium monitor` prints, byte for byte, in all its forms.
//
//   default, -v   summaries; debug messages and socket traces need -v
//   -v -v         a separator, the header line and the dissected packet (before or behind it, by release)
//   --hex         a hex dump in the place of the dissection
//   -j            JSON, for the events that have it
//
// The oddities are the client's: doubled separators, missing newlines, the inverted --hex of drops.

import { accessLogJson, accessLogText, decodeAccessLog, EMPTY_RECORD } from "./access_log.js";
import { agentJson, agentLine, decodeAgentNotification } from "./agent.js";
import { dropReasonText, fillMessage } from "./debug_message.js";
import {
  CLS_FLAG_GENEVE,
  CLS_FLAG_IPV6,
  CLS_FLAG_L3_DEV,
  CLS_FLAG_VXLAN,
  DatapathEvent,
  POLICY_AUDITED,
  POLICY_DIR_MASK,
  POLICY_IPV6,
  POLICY_L3_DEV,
  POLICY_MATCH_MASK,
  POLICY_MATCH_SHIFT,
  TRACE_REASON_ENCRYPTED,
} from "./event.js";
import type { EventFilter } from "./filter.js";
import {
  bytesSpaced,
  goQuote,
  hex32,
  hexDump,
  ip4Text,
  ip6Text,
  jsonString,
  le16,
  u64Text,
} from "./go_text.js";
import { LineCache } from "./line_cache.js";
import { type PacketKind, PacketPrinter } from "./packet.js";
import { PAYLOAD_LOST, PAYLOAD_SAMPLE } from "./payload.js";
import {
  EVENT_ACCESS_LOG,
  EVENT_AGENT,
  EVENT_CAPTURE,
  EVENT_DEBUG,
  EVENT_DROP,
  EVENT_POLICY_VERDICT,
  EVENT_RECORDER,
  EVENT_TRACE,
  EVENT_TRACE_SOCK,
  type Profile,
  profileOf,
  SUMMARY_DST_ID,
  SUMMARY_PORT,
  SUMMARY_SOURCE,
} from "./release.js";

/** The line in front of every trace, drop and capture of `-v -v`. */
export const SEPARATOR = `${"-".repeat(78)}\n`;

const INFO = 0;
const DEBUG = 1;
const VERBOSE = 2;
const JSON_FORM = 3;

/** How to print. */
export interface FormatOptions {
  /** Release whose client is imitated: "1.19" or "1.11". */
  readonly profile: string | Profile;
  /** How often -v was given: once is DEBUG, twice VERBOSE, any other count the default, as in the client. */
  readonly verbosity?: number;
  /** -n: identities as numbers. */
  readonly numeric?: boolean;
  /** --hex. */
  readonly hex?: boolean;
  /** -j; overrides verbosity. */
  readonly json?: boolean;
  /** Name of an interface, undefined if unknown (then its index is printed). */
  readonly ifnames?: (ifindex: number) => string | undefined;
  /** Events to print; all without one. */
  readonly filter?: EventFilter;
}

/** A debug message, in 32-bit words. */
const DEBUG_WORDS = 5;

const CPU_PREFIX: readonly string[] = Array.from(
  { length: 256 },
  (_, cpu) => `CPU ${String(cpu).padStart(2, "0")}:`,
);

/** `CPU 03:` */
export function cpuPrefix(cpu: number): string {
  return CPU_PREFIX[cpu] ?? `CPU ${String(cpu).padStart(2, "0")}:`;
}

const TRACE_SOCK_POINTS = ["unknown", "pre-xlate-fwd", "post-xlate-fwd", "pre-xlate-rev", "post-xlate-rev"];
const TRACE_SOCK_PROTOCOLS = ["unknown", "tcp", "udp"];

/** What kind of packet flags announce; one frozen object for each combination, so that none is made per event. */
const PACKET_KINDS: readonly PacketKind[] = Array.from({ length: 16 }, (_, f) =>
  Object.freeze({
    ipv6: (f & CLS_FLAG_IPV6) !== 0,
    l3Device: (f & CLS_FLAG_L3_DEV) !== 0,
    vxlan: (f & CLS_FLAG_VXLAN) !== 0,
    geneve: (f & CLS_FLAG_GENEVE) !== 0,
  }),
);
const ETHERNET_PACKET = PACKET_KINDS[0]!;

/** Formats samples of one stream. Reusable for any number of samples; not re-entrant. */
export class MonitorFormatter {
  readonly profile: Profile;
  readonly #form: number;
  readonly #numeric: boolean;
  readonly #hex: boolean;
  readonly #ifnames: ((ifindex: number) => string | undefined) | undefined;
  readonly #filter: EventFilter | undefined;
  readonly #packets: PacketPrinter;
  /** Recent heads of trace events and lines of debug messages, by their bytes. */
  readonly #traceHeads = new LineCache();
  readonly #debugLines = new LineCache();
  readonly #ev = new DatapathEvent();
  readonly #ifname: (ifindex: number) => string;

  constructor(options: FormatOptions) {
    this.profile = typeof options.profile === "string" ? profileOf(options.profile) : options.profile;
    const v = options.verbosity ?? 0;
    this.#form = options.json === true ? JSON_FORM : v === 1 ? DEBUG : v === 2 ? VERBOSE : INFO;
    this.#numeric = options.numeric === true;
    this.#hex = options.hex === true;
    this.#ifnames = options.ifnames;
    this.#filter = options.filter;
    this.#packets = new PacketPrinter(this.profile);
    this.#ifname = (ifindex) => this.#ifnames?.(ifindex) ?? String(ifindex >>> 0);
  }

  /** The text of a sample, newlines as the client writes them; "" if it prints nothing. */
  format(cpu: number, sample: Uint8Array): string {
    switch (sample[0]) {
      case EVENT_TRACE:
        return this.#trace(cpu, sample);
      case EVENT_DEBUG:
        return this.#debug(cpu, sample);
      case EVENT_DROP:
        return this.#drop(cpu, sample);
      case EVENT_CAPTURE:
        return this.#capture(cpu, sample);
      case EVENT_POLICY_VERDICT:
        return this.#policyVerdict(sample);
      case EVENT_AGENT:
        return this.#agent(sample);
      case EVENT_ACCESS_LOG:
        return this.#accessLog(sample);
      case EVENT_TRACE_SOCK:
        return this.profile.release.hasRecorder ? unknownEvent(cpu, sample) : this.#traceSock(cpu, sample);
      case EVENT_RECORDER:
        return this.profile.release.hasRecorder ? this.#recorder(sample) : unknownEvent(cpu, sample);
      // Differs from the client, which crashes on a sample without bytes.
      case undefined:
        return "";
      default:
        return unknownEvent(cpu, sample);
    }
  }

  /** True once an event's packet was decoded; the client's log line on its dissection cache stands before that event. */
  get dissected(): boolean {
    return this.#packets.used;
  }

  /** `CPU 03: Lost 7 events`; never filtered. */
  lost(cpu: number, lost: number | bigint): string {
    return `${cpuPrefix(cpu)} Lost ${lost} events\n`;
  }

  /** The text of a payload of the monitor socket, by its type. */
  payload(type: number, cpu: number, lost: number | bigint, sample: Uint8Array): string {
    if (type === PAYLOAD_SAMPLE) return this.format(cpu, sample);
    if (type === PAYLOAD_LOST || !this.profile.release.skipsMalformed) return this.lost(cpu, lost);
    return `Unknown payload type: ${type}, ${this.lost(cpu, lost)}`;
  }

  #passes(type: number, source: number, destination: number): boolean {
    const f = this.#filter;
    return f === undefined || f.match(type, source, destination);
  }

  #identity(id: number): string {
    const names = this.profile.identities;
    return !this.#numeric && id >= 0 && id < names.length ? names[id]! : String(id >>> 0);
  }

  /** What a malformed sample prints first; the newer client then skips the event. */
  #malformed(type: number, kind: string, error: string): string {
    return this.profile.release.skipsMalformed
      ? `cannot decode message type '${type}': ${error}\n`
      : `Error while parsing ${kind}: ${error}\n`;
  }

  #packetKind(flags: number): PacketKind {
    return this.profile.release.extendedLayers ? PACKET_KINDS[flags & 15]! : ETHERNET_PACKET;
  }

  /** The packet of `-v -v`. */
  #packet(b: Uint8Array, off: number, kind: PacketKind, hex: boolean): string {
    return hex ? hexDump(b, off, b.length) : this.#packets.lines(b, off, kind);
  }

  #trace(cpu: number, b: Uint8Array): string {
    const ev = this.#ev;
    const error = ev.decode(this.profile, b);
    let head = "";
    if (error !== "") {
      head = this.#malformed(EVENT_TRACE, "trace notification message", error);
      if (this.profile.release.skipsMalformed) return head;
    }
    if (!this.#passes(EVENT_TRACE, ev.source, ev.dstId)) return head;
    const kind = this.#packetKind(ev.flags);
    if (this.#form === VERBOSE) return head + this.#traceVerbose(cpu, b, kind);
    if (this.#form === JSON_FORM) return head + this.#traceJson(cpu, b, kind);
    return head + this.#traceInfo(b, kind);
  }

  #origIp(b: Uint8Array): string {
    const ev = this.#ev;
    const v6 = (ev.flags & CLS_FLAG_IPV6) !== 0;
    if (ev.origIp < 0) return v6 ? "::" : "0.0.0.0";
    return v6 ? ip6Text(b, ev.origIp) : ip4Text(b, ev.origIp);
  }

  /** The IP trace id in decimal, "" for none. */
  #traceId(b: Uint8Array): string {
    const off = this.#ev.ipTraceId;
    if (off < 0) return "";
    const id = u64Text(b, off);
    return id === "0" ? "" : id;
  }

  #tracePoint(): string {
    const ev = this.#ev;
    const text = this.profile.tracePointSummary[ev.subtype]!;
    switch (this.profile.tracePointArg[ev.subtype]) {
      case SUMMARY_DST_ID:
        return `${text}${ev.dstId}`;
      case SUMMARY_PORT:
        return ev.dstId === 0 ? text : `${text} port ${ev.dstId}`;
      case SUMMARY_SOURCE:
        return `${text}${ev.source}`;
      default:
        return text;
    }
  }

  #traceInfo(b: Uint8Array, kind: PacketKind): string {
    const ev = this.#ev;
    const ifname = this.#ifname(ev.ifindex);
    const words = ev.headerWords;
    let head = words === 0 ? "" : this.#traceHeads.find(b, 0, words, 0, ifname);
    if (head === "") {
      head = this.#traceInfoHead(b, ifname);
      if (words !== 0) this.#traceHeads.put(b, 0, words, 0, head, ifname);
    }
    return `${head}${this.#packets.summary(b, ev.packet, kind)}\n`;
  }

  #traceInfoHead(b: Uint8Array, ifname: string): string {
    const ev = this.#ev;
    const id = this.#traceId(b);
    return `${this.#tracePoint()} ${(ev.reason & TRACE_REASON_ENCRYPTED) !== 0 ? "encrypted  " : ""}flow ${hex32(ev.hash)} , identity ${this.#identity(ev.srcLabel)}->${this.#identity(ev.dstLabel)}${id === "" ? "" : ` [ ip-trace-id = ${id} ]`} state ${this.profile.traceReasons[ev.reason]} ifindex ${ifname} orig-ip ${this.#origIp(b)}: `;
  }

  #traceVerbose(cpu: number, b: Uint8Array, kind: PacketKind): string {
    const ev = this.#ev;
    const ifname = ev.ifindex === 0 ? "" : this.#ifname(ev.ifindex);
    const words = ev.headerWords;
    let line = words === 0 ? "" : this.#traceHeads.find(b, 0, words, cpu, ifname);
    if (line === "") {
      line = this.#traceVerboseHead(cpu, b, ifname);
      if (words !== 0) this.#traceHeads.put(b, 0, words, cpu, line, ifname);
    }
    const packet = ev.lenCap !== 0 ? this.#packet(b, ev.packet, kind, this.#hex) : "";
    return this.profile.release.headerFirst ? `${line}${packet}` : `${SEPARATOR}${packet}${line}`;
  }

  /** The header line; with the separator where that stands right before it. */
  #traceVerboseHead(cpu: number, b: Uint8Array, ifname: string): string {
    const ev = this.#ev;
    let line = `${this.profile.release.headerFirst ? SEPARATOR : ""}${cpuPrefix(cpu)} MARK ${hex32(ev.hash)}`;
    const id = this.#traceId(b);
    if (id !== "") line += ` [ IP-TRACE-ID = ${id} ]`;
    line += ` FROM ${ev.source} ${this.profile.tracePointVerbose[ev.subtype]}: ${ev.lenOrig >>> 0} bytes (${ev.lenCap} captured), state ${this.profile.traceReasons[ev.reason]}`;
    if (ev.ifindex !== 0) line += `, interface ${ifname}`;
    if ((ev.srcLabel | ev.dstLabel) !== 0) {
      line += `, , identity ${this.#identity(ev.srcLabel)}->${this.#identity(ev.dstLabel)}`;
    }
    line += `, orig-ip ${this.#origIp(b)}`;
    if (ev.dstId !== 0)
      line += ev.subtype === 1 ? `, to proxy-port ${ev.dstId}` : `, to endpoint ${ev.dstId}`;
    return `${line}\n`;
  }

  #traceJson(cpu: number, b: Uint8Array, kind: PacketKind): string {
    const ev = this.#ev;
    const id = this.profile.release.byteVersion ? `,"IpTraceID":${this.#traceId(b) || "0"}` : "";
    const packet = ev.lenCap !== 0 ? this.#packets.json(b, ev.packet, kind) : undefined;
    return `{"cpu":"${cpuPrefix(cpu)}","type":"trace","mark":"${hex32(ev.hash)}","ifindex":${jsonString(this.#ifname(ev.ifindex))},"state":"${this.profile.traceReasons[ev.reason]}","observationPoint":"${this.profile.tracePointVerbose[ev.subtype]}","traceSummary":${jsonString(this.#tracePoint())},"source":${ev.source},"bytes":${ev.lenOrig >>> 0},"srcLabel":${ev.srcLabel >>> 0},"dstLabel":${ev.dstLabel >>> 0},"dstID":${ev.dstId}${id}${packet === undefined ? "" : `,"summary":${packet}`}}\n`;
  }

  #drop(cpu: number, b: Uint8Array): string {
    const ev = this.#ev;
    const error = ev.decode(this.profile, b);
    let head = "";
    if (error !== "") {
      head = this.#malformed(EVENT_DROP, "drop notification message", error);
      if (this.profile.release.skipsMalformed) return head;
    }
    if (!this.#passes(EVENT_DROP, ev.source, ev.dstId & 0xffff)) return head;
    const kind = this.#packetKind(ev.flags);
    if (this.#form === VERBOSE) return head + this.#dropVerbose(cpu, b, kind);
    if (this.#form === JSON_FORM) return head + this.#dropJson(cpu, b, kind);
    return head + this.#dropInfo(b, kind);
  }

  #dropInfo(b: Uint8Array, kind: PacketKind): string {
    const ev = this.#ev;
    const p = this.profile;
    let line = `xx drop (${dropReasonText(p, ev.subtype, ev.extError)}) flow ${hex32(ev.hash)} to endpoint ${ev.dstId >>> 0}, `;
    if (p.release.sourceFiles.length > 0) {
      line += `ifindex ${ev.ifindex >>> 0}, file ${p.sourceFiles[ev.file]}:${ev.line}, `;
    }
    const id = this.#traceId(b);
    if (id !== "") line += ` [ ip-trace-id = ${id} ]`;
    return `${line}, identity ${this.#identity(ev.srcLabel)}->${this.#identity(ev.dstLabel)}: ${this.#packets.summary(b, ev.packet, kind)}\n`;
  }

  #dropVerbose(cpu: number, b: Uint8Array, kind: PacketKind): string {
    const ev = this.#ev;
    const r = this.profile.release;
    let line = `${cpuPrefix(cpu)} MARK ${hex32(ev.hash)} FROM ${ev.source} DROP: ${ev.lenOrig >>> 0} bytes, reason ${dropReasonText(this.profile, ev.subtype, ev.extError)}`;
    if ((ev.srcLabel | ev.dstLabel) !== 0) {
      line += `, identity ${this.#identity(ev.srcLabel)}->${this.#identity(ev.dstLabel)}`;
    }
    if (ev.dstId !== 0) line += `, to endpoint ${ev.dstId >>> 0}`;
    const packet = ev.lenCap !== 0 ? this.#packet(b, ev.packet, kind, this.#hex !== r.dropHexInverted) : "";
    if (!r.headerFirst) return `${SEPARATOR}${packet}${line}\n`;
    const id = this.#traceId(b);
    return `${SEPARATOR}${line}\n${id === "" ? "" : ` [ IP-TRACE-ID=${id}`}${packet}`;
  }

  #dropJson(cpu: number, b: Uint8Array, kind: PacketKind): string {
    const ev = this.#ev;
    const p = this.profile;
    let out = `{"cpu":"${cpuPrefix(cpu)}","type":"drop","mark":"${hex32(ev.hash)}","reason":${jsonString(dropReasonText(p, ev.subtype, ev.extError))},"source":${ev.source},"bytes":${ev.lenOrig >>> 0},"srcLabel":${ev.srcLabel >>> 0},"dstLabel":${ev.dstLabel >>> 0},"dstID":${ev.dstId >>> 0}`;
    if (p.release.sourceFiles.length > 0) {
      out += `,"Line":${ev.line},"File":${ev.file},"ExtError":${ev.extError},"Ifindex":${ev.ifindex >>> 0}`;
    }
    const id = this.#traceId(b);
    if (id !== "") out += `,"IPTraceID":${id}`;
    const packet = ev.lenCap !== 0 ? this.#packets.json(b, ev.packet, kind) : undefined;
    return packet === undefined ? `${out}}\n` : `${out},"summary":${packet}}\n`;
  }

  #debug(cpu: number, b: Uint8Array): string {
    const ev = this.#ev;
    const p = this.profile;
    const error = ev.decode(p, b);
    let head = "";
    if (error !== "") {
      head = this.#malformed(EVENT_DEBUG, "debug message", error);
      if (p.release.skipsMalformed) return head;
    }
    if (this.#form === INFO || !this.#passes(EVENT_DEBUG, ev.source, 0)) return head;
    const format = p.debugMessages[ev.subtype];
    const cached = error === "" && format !== undefined && !format.named && this.#form !== JSON_FORM;
    if (cached) {
      const hit = this.#debugLines.find(b, 0, DEBUG_WORDS, cpu);
      if (hit !== "") return hit;
    }
    const message =
      format === undefined
        ? `Unknown message type=${ev.subtype} arg1=${ev.arg1 >>> 0} arg2=${ev.arg2 >>> 0}`
        : fillMessage(p, format, ev.arg1, ev.arg2, ev.arg3, this.#ifname);
    if (this.#form === JSON_FORM) {
      return `${head}{"cpu":"${cpuPrefix(cpu)}","type":"debug","message":${goQuote(message)}}\n`;
    }
    const line = `${head}${cpuPrefix(cpu)} MARK ${hex32(ev.hash)} FROM ${ev.source} DEBUG: ${message}\n`;
    return cached ? this.#debugLines.put(b, 0, DEBUG_WORDS, cpu, line) : line;
  }

  #capture(cpu: number, b: Uint8Array): string {
    const ev = this.#ev;
    const p = this.profile;
    const error = ev.decode(p, b);
    let head = "";
    if (error !== "") {
      head = this.#malformed(EVENT_CAPTURE, "debug capture message", error);
      if (p.release.skipsMalformed) return head;
    }
    if (!this.#passes(EVENT_CAPTURE, ev.source, 0)) return head;
    const prefixFormat = p.capturePrefixes[ev.subtype];
    const prefix =
      prefixFormat === undefined ? "" : fillMessage(p, prefixFormat, ev.arg1, ev.arg2, 0, this.#ifname);
    if (this.#form === INFO || this.#form === DEBUG) {
      if (prefix === "") return head;
      return `${head}${prefix}: ${this.#packets.summary(b, ev.packet, ETHERNET_PACKET)}\n`;
    }
    const format = p.captureMessages[ev.subtype];
    const message =
      format === undefined
        ? `Unknown message type=${ev.subtype} arg1=${ev.arg1 >>> 0}`
        : fillMessage(p, format, ev.arg1, ev.arg2, 0, this.#ifname);
    const bytes = p.release.captureBytesCaptured ? ev.lenCap : ev.lenOrig >>> 0;
    if (this.#form === JSON_FORM) {
      const summary = this.#packets.summary(b, ev.packet, ETHERNET_PACKET);
      return `${head}{"cpu":"${cpuPrefix(cpu)}","type":"capture","mark":"${hex32(ev.hash)}","message":${jsonString(message)},${prefix === "" ? "" : `"prefix":${jsonString(prefix)},`}"source":${ev.source},"bytes":${bytes},"summary":${jsonString(summary)}}\n`;
    }
    const packet = bytes !== 0 ? this.#packet(b, ev.packet, ETHERNET_PACKET, this.#hex) : "";
    return `${head}${SEPARATOR}${cpuPrefix(cpu)} MARK ${hex32(ev.hash)} FROM ${ev.source} DEBUG: ${bytes} bytes, ${message}${p.release.captureNewline ? "\n" : ""}${packet}`;
  }

  #policyVerdict(b: Uint8Array): string {
    const ev = this.#ev;
    const p = this.profile;
    const error = ev.decode(p, b);
    let head = "";
    if (error !== "") {
      head = this.#malformed(EVENT_POLICY_VERDICT, "policy notification message", error);
      if (p.release.skipsMalformed) return head;
    }
    if (!this.#passes(EVENT_POLICY_VERDICT, ev.source, ev.srcLabel & 0xffff)) return head;
    const { flags, verdict } = ev;
    let action = "allow";
    if ((flags & POLICY_AUDITED) !== 0) action = "audit";
    else if (verdict < 0) action = "deny";
    else if (verdict > 0) action = "redirect";
    const kind = this.#packetKind(
      ((flags & POLICY_IPV6) !== 0 ? CLS_FLAG_IPV6 : 0) |
        ((flags & POLICY_L3_DEV) !== 0 ? CLS_FLAG_L3_DEV : 0),
    );
    const auth = p.release.authTypes.length > 0 ? `auth: ${p.authTypes[ev.authType]}, ` : "";
    return `${head}Policy verdict log: flow ${hex32(ev.hash)} local EP ID ${ev.source}, remote ID ${this.#identity(ev.srcLabel)}, proto ${ev.proto}, ${(flags & POLICY_DIR_MASK) === 1 ? "ingress" : "egress"}, action ${action}, ${auth}match ${p.policyMatch[(flags >> POLICY_MATCH_SHIFT) & POLICY_MATCH_MASK]}, ${this.#packets.summary(b, ev.packet, kind)}\n`;
  }

  /** Socket traces escape every filter, and every form but -v. */
  #traceSock(cpu: number, b: Uint8Array): string {
    const ev = this.#ev;
    const error = ev.decode(this.profile, b);
    if (error !== "") return this.#malformed(EVENT_TRACE_SOCK, "socket trace notification message", error);
    if (this.#form !== DEBUG) return "";
    const ip = ev.flags !== 0 ? ip6Text(b, 24) : ip4Text(b, 24);
    return `${cpuPrefix(cpu)} [${TRACE_SOCK_POINTS[ev.subtype] ?? "unknown"}] cgroup_id: ${u64Text(b, 16)} sock_cookie: ${u64Text(b, 8)}, dst [${ip}]:${ev.dstPort} ${TRACE_SOCK_PROTOCOLS[ev.proto] ?? "unknown"} \n`;
  }

  #recorder(b: Uint8Array): string {
    const ev = this.#ev;
    const error = ev.decode(this.profile, b);
    let head = "";
    if (error !== "") head = this.#malformed(EVENT_RECORDER, "capture record", error);
    if (!this.#passes(EVENT_RECORDER, 0, 0)) return head;
    const [rule, ns] = error === "" ? [le16(b, 2), u64Text(b, 8)] : [0, "0"];
    return `${head}Recorder capture: dir:${ev.subtype === 1 ? "ingress" : "egress"} rule:${rule} ts:${ns} caplen:${ev.lenCap >>> 0} len:${ev.lenOrig >>> 0}\n${this.#packets.lines(b, ev.packet, ETHERNET_PACKET)}----\n`;
  }

  #agent(b: Uint8Array): string {
    const p = this.profile;
    let head = "";
    let n = { type: 0, text: "" };
    try {
      n = decodeAgentNotification(b);
    } catch (e) {
      if (p.release.skipsMalformed) return this.#malformed(EVENT_AGENT, "", messageOf(e));
      head = `Error while decoding agent notification message: ${messageOf(e)}\n`;
    }
    if (!this.#passes(EVENT_AGENT, 0, 0)) return head;
    return head + (this.#form === JSON_FORM ? agentJson(p, n) : agentLine(p, n));
  }

  #accessLog(b: Uint8Array): string {
    const p = this.profile;
    let head = "";
    let record = EMPTY_RECORD;
    try {
      record = decodeAccessLog(b);
    } catch (e) {
      if (p.release.skipsMalformed) return this.#malformed(EVENT_ACCESS_LOG, "", messageOf(e));
      head = `Error while decoding LogRecord notification message: ${messageOf(e)}\n`;
    }
    const low16 = (v: number | bigint): number => Number(BigInt.asUintN(16, BigInt(v)));
    if (!this.#passes(EVENT_ACCESS_LOG, low16(record.source.id), low16(record.destination.id))) return head;
    return head + (this.#form === JSON_FORM ? accessLogJson(p, record) : accessLogText(p, record));
  }
}

function messageOf(e: unknown): string {
  return e instanceof Error ? e.message : String(e);
}

/** Samples that the release has no decoder for; never filtered. */
function unknownEvent(cpu: number, b: Uint8Array): string {
  return `${cpuPrefix(cpu)} Unknown event: ${bytesSpaced(b, 0, b.length)}\n`;
}
