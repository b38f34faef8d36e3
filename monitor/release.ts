// What a release of the monitor client is, as data: its code tables and the habits of its printer.
//
// `Release` is written down (release_1_19.ts, release_1_11.ts), `Profile` is its compiled form with one array look-up
// for each number. Adding a Cilium release is adding a table.

import { PodpathError } from "../src/base/errors.js";
import { compileMessage, type MessageFormat } from "./debug_message.js";
import { type PortNameSource, PortNames } from "./ports.js";
import { RELEASE_1_11 } from "./release_1_11.js";
import { RELEASE_1_19 } from "./release_1_19.js";
import {
  type CodeTable,
  DEBUG_CAPTURES,
  ERRNO_TEXT,
  ICMPV4_TYPES,
  ICMPV6_NEXT,
  ICMPV6_TYPES,
  IP_PROTOCOL_NEXT,
  IP_PROTOCOLS,
} from "./tables.js";

/** First byte of a sample. */
export const EVENT_DROP = 1;
export const EVENT_DEBUG = 2;
export const EVENT_CAPTURE = 3;
export const EVENT_TRACE = 4;
export const EVENT_POLICY_VERDICT = 5;
export const EVENT_RECORDER = 6;
export const EVENT_TRACE_SOCK = 7;
export const EVENT_ACCESS_LOG = 129;
export const EVENT_AGENT = 130;

/**
 * Observation point: number, name of `-v -v`, name of the summary. In the summary DSTID and SOURCE stand for the
 * event's fields; a part in brackets is left out when the field is 0.
 */
export type TracePoint = readonly [code: number, verbose: string, summary: string];

/** The written form of a release. */
export interface Release {
  readonly name: string;
  /** Names of `--type`, with their event types. */
  readonly eventTypes: CodeTable;
  readonly dropReasons: CodeTable;
  readonly debugMessages: CodeTable;
  readonly tracePoints: readonly TracePoint[];
  readonly traceReasons: CodeTable;
  readonly reservedIdentities: CodeTable;
  readonly policyMatchTypes: CodeTable;
  readonly agentNotifications: CodeTable;
  /** Source files of drops; empty: drops carry none. */
  readonly sourceFiles: CodeTable;
  /** Empty: policy verdicts do not print it. */
  readonly authTypes: CodeTable;
  readonly ethernetTypes: CodeTable;
  readonly ethernetTypeNext: CodeTable;
  readonly tcpPortNext: CodeTable;
  readonly udpPortNext: CodeTable;
  readonly tcpOptionKinds: CodeTable;
  readonly portNames: {
    readonly tcp: readonly PortNameSource[];
    readonly udp: readonly PortNameSource[];
    readonly sctp: readonly PortNameSource[];
  };
  /** Header lengths by version. */
  readonly traceHeader: readonly number[];
  readonly dropHeader: readonly number[];
  readonly policyVerdictHeader: number;
  /**
   * True for the decoder that checks lengths itself, says `cannot decode message type` and skips the event; false
   * for the one that prints its error and goes on with a structure of zeroes.
   */
  readonly skipsMalformed: boolean;
  /** `version` is a u8 followed by an extension version (true) or one u16 (false). */
  readonly byteVersion: boolean;
  /** SCTP, VRRP, IGMP, overlays and devices without Ethernet header. */
  readonly extendedLayers: boolean;
  /** Drops carry an extra error, printed behind the reason. */
  readonly dropExtError: boolean;
  /** Packet lines stand behind the header line of traces and drops (true) or before it (false). */
  readonly headerFirst: boolean;
  /** `--hex` works the wrong way round for drops. */
  readonly dropHexInverted: boolean;
  /** The line of a debug capture ends before its packet lines. */
  readonly captureNewline: boolean;
  /** A capture prints len_cap (true) or len_orig (false) as its bytes. */
  readonly captureBytesCaptured: boolean;
  /** A layer without decoder ends the chain silently (true) or as an error (false). */
  readonly ignoreUnsupported: boolean;
  /** Summary of a packet that did not decode: `[error]` (true) or what was decoded (false). */
  readonly summaryError: boolean;
  /** `icmp` stands before the type in a summary. */
  readonly icmpWord: boolean;
  /** Recorder captures exist (true) or socket traces (false). */
  readonly hasRecorder: boolean;
  /** The IPv4 decoder sets its fields before it checks (true) or after (false). */
  readonly ipv4FieldsFirst: boolean;
  /** TCP prints Multipath and decodes option 30. */
  readonly multipath: boolean;
  /** Responses of the access log name source and destination in the other order. */
  readonly responseSwapped: boolean;
  /** Source of DNS records: as recorded (true) or Query/Proxy (false). */
  readonly dnsSourceVerbatim: boolean;
  /** Addresses of DNS records are netip.Addr (true) or net.IP (false), which differ in a few texts. */
  readonly netipAddresses: boolean;
  /** `OmitHost` is a field of a URL in JSON. */
  readonly urlOmitHost: boolean;
  /** Banner lines go to stderr and log lines to stdout (true), or the other way round (false). */
  readonly bannerOnStderr: boolean;
}

/** What follows the text of an observation point's summary: nothing, dst_id, ` port ` dst_id unless 0, source. */
export const SUMMARY_NONE = 0;
export const SUMMARY_DST_ID = 1;
export const SUMMARY_PORT = 2;
export const SUMMARY_SOURCE = 3;

const RELEASES: readonly Release[] = [RELEASE_1_19, RELEASE_1_11];

/** Layer numbers of the dissector; those below NEXT_NONE have a decoder. */
export const L_ETHERNET = 0;
export const L_IPV4 = 1;
export const L_IPV6 = 2;
export const L_TCP = 3;
export const L_UDP = 4;
export const L_SCTP = 5;
export const L_ICMPV4 = 6;
export const L_ICMPV6 = 7;
export const L_VRRP = 8;
export const L_IGMP = 9;
export const L_VXLAN = 10;
export const L_GENEVE = 11;
export const LAYER_COUNT = 12;
/** No such layer type (an unknown EtherType or protocol): the chain ends silently. */
export const NEXT_NONE = 12;
export const NEXT_PAYLOAD = 13;
export const NEXT_FRAGMENT = 14;

const LAYER_NAMES = [
  "Ethernet",
  "IPv4",
  "IPv6",
  "TCP",
  "UDP",
  "SCTP",
  "ICMPv4",
  "ICMPv6",
  "VRRP",
  "IGMP",
  "VXLAN",
  "Geneve",
  "",
  "Payload",
  "Fragment",
];

function texts(rows: CodeTable, size: number, unknown?: (code: number) => string): string[] {
  const out: string[] = Array.from({ length: size }, (_, i) => unknown?.(i) ?? "");
  for (const [code, text] of rows) out[code] = text;
  return out;
}

type TypeRows = typeof ICMPV4_TYPES;

/** gopacket's text of an ICMP type and code: `T(C)` for an unknown type, `Name(Code: C)` for an unknown code. */
function typeCodeText(rows: TypeRows, typeCode: number): string {
  const type = typeCode >> 8;
  const code = typeCode & 0xff;
  const row = rows.find(([t]) => t === type);
  if (row === undefined) return `${type}(${code})`;
  const [, name, codes] = row;
  if (codes === undefined && code === 0) return name;
  const known = codes?.[code];
  return known === undefined ? `${name}(Code: ${code})` : `${name}(${known})`;
}

/** The compiled form of a release. Build once with `profileOf`; it is immutable. */
export class Profile {
  readonly name: string;
  readonly dropReasons: readonly (string | undefined)[];
  readonly debugMessages: readonly (MessageFormat | undefined)[];
  readonly captureMessages: readonly (MessageFormat | undefined)[];
  readonly capturePrefixes: readonly (MessageFormat | undefined)[];
  readonly tracePointVerbose: readonly string[];
  readonly tracePointSummary: readonly string[];
  /** What stands behind the summary's text: see SUMMARY_NONE and its neighbours. */
  readonly tracePointArg: Uint8Array;
  readonly traceReasons: readonly string[];
  readonly identities: readonly string[];
  readonly policyMatch: readonly string[];
  readonly agentTypes: readonly string[];
  readonly sourceFiles: readonly string[];
  readonly authTypes: readonly string[];
  readonly ethernetTypes: ReadonlyMap<number, string>;
  readonly ipProtocols: readonly string[];
  readonly tcpOptionKinds: readonly string[];
  readonly errno: readonly string[];
  /** Next layer by number; EtherTypes and ports by map, since almost none has an entry. */
  readonly ethernetNext: ReadonlyMap<number, number>;
  readonly ipNext: Uint8Array;
  readonly tcpNext: ReadonlyMap<number, number>;
  readonly udpNext: ReadonlyMap<number, number>;
  readonly icmpv6Next: Uint8Array;
  readonly mldv2Query: number;
  /** Error texts of next layers without decoder. */
  readonly noDecoder: readonly string[];
  readonly tcpPorts: PortNames;
  readonly udpPorts: PortNames;
  readonly sctpPorts: PortNames;
  /** Event types by `--type` name, in alphabetical order. */
  readonly eventTypes: ReadonlyMap<string, number>;
  readonly #icmpv4 = new Map<number, string>();
  readonly #icmpv6 = new Map<number, string>();

  constructor(readonly release: Release) {
    const r = release;
    this.name = r.name;
    const drops: (string | undefined)[] = new Array(256).fill(undefined);
    for (const [code, text] of r.dropReasons) drops[code] = text;
    this.dropReasons = drops;
    const debug: (MessageFormat | undefined)[] = new Array(256).fill(undefined);
    for (const [code, text] of r.debugMessages) debug[code] = compileMessage(text);
    this.debugMessages = debug;
    const captures: (MessageFormat | undefined)[] = new Array(256).fill(undefined);
    const prefixes: (MessageFormat | undefined)[] = new Array(256).fill(undefined);
    for (const [code, text, prefix] of DEBUG_CAPTURES) {
      captures[code] = compileMessage(text);
      if (prefix !== "") prefixes[code] = compileMessage(prefix);
    }
    this.captureMessages = captures;
    this.capturePrefixes = prefixes;
    const verbose = Array.from({ length: 256 }, (_, i) => String(i));
    const summary = new Array<string>(256).fill("unknown trace");
    const summaryArg = new Uint8Array(256);
    for (const [code, v, s] of r.tracePoints) {
      verbose[code] = v;
      const m = /^(.*?)(\[(.*)DSTID\]|DSTID|SOURCE)?$/.exec(s)!;
      summary[code] = m[1]!;
      if (m[2] === "DSTID") summaryArg[code] = SUMMARY_DST_ID;
      else if (m[2] === "SOURCE") summaryArg[code] = SUMMARY_SOURCE;
      else if (m[2] !== undefined) summaryArg[code] = SUMMARY_PORT;
    }
    this.tracePointArg = summaryArg;
    this.tracePointVerbose = verbose;
    this.tracePointSummary = summary;
    // Unknown reasons print the whole byte, the encryption bit included; known ones are found without it.
    const reasons = Array.from({ length: 256 }, (_, i) => String(i));
    for (const [code, text] of r.traceReasons) reasons[code] = reasons[code | 0x80] = text;
    this.traceReasons = reasons;
    this.identities = texts(r.reservedIdentities, r.reservedIdentities.length);
    this.policyMatch = texts(r.policyMatchTypes, 8, () => "unknown");
    this.agentTypes = texts(r.agentNotifications, r.agentNotifications.length);
    this.sourceFiles = texts(r.sourceFiles, 256, (i) => `unknown(${i})`);
    this.authTypes = texts(r.authTypes, 256, (i) => `Unknown-auth-type-${i}`);
    this.ethernetTypes = new Map(r.ethernetTypes);
    this.ipProtocols = texts(IP_PROTOCOLS, 256, () => "UnknownIPProtocol");
    this.tcpOptionKinds = texts(r.tcpOptionKinds, 256, (i) => `Unknown(${i})`);
    this.errno = texts(ERRNO_TEXT, 256);

    const names = [...LAYER_NAMES];
    const idOf = (name: string): number => {
      const known = names.indexOf(name);
      if (known >= 0) return known;
      names.push(name);
      return names.length - 1;
    };
    const nexts = (rows: CodeTable): Map<number, number> => new Map(rows.map(([c, n]) => [c, idOf(n)]));
    const nextArray = (rows: CodeTable, missing: number): Uint8Array => {
      const out = new Uint8Array(256).fill(missing);
      for (const [c, n] of rows) out[c] = idOf(n);
      return out;
    };
    this.ethernetNext = nexts(r.ethernetTypeNext);
    this.ipNext = nextArray(IP_PROTOCOL_NEXT, NEXT_NONE);
    this.tcpNext = nexts(r.tcpPortNext);
    this.udpNext = nexts(r.udpPortNext);
    this.icmpv6Next = nextArray(ICMPV6_NEXT, NEXT_PAYLOAD);
    this.mldv2Query = idOf("MLDv2MulticastListenerQuery");
    this.noDecoder = names.map((n) => `No decoder for layer type ${n}`);
    this.tcpPorts = new PortNames(r.portNames.tcp);
    this.udpPorts = new PortNames(r.portNames.udp);
    this.sctpPorts = new PortNames(r.portNames.sctp);
    this.eventTypes = new Map(r.eventTypes.map(([c, n]) => [n, c]));
  }

  /** `TypeCode=` of an ICMP header, from its first 16 bits. */
  icmpv4TypeCode(typeCode: number): string {
    return this.#icmpv4.get(typeCode) ?? remember(this.#icmpv4, typeCode, ICMPV4_TYPES);
  }

  /** `TypeCode=` of an ICMPv6 header. */
  icmpv6TypeCode(typeCode: number): string {
    return this.#icmpv6.get(typeCode) ?? remember(this.#icmpv6, typeCode, ICMPV6_TYPES);
  }
}

function remember(texts: Map<number, string>, typeCode: number, rows: TypeRows): string {
  const text = typeCodeText(rows, typeCode);
  texts.set(typeCode, text);
  return text;
}

const profiles = new Map<string, Profile>();

/** Names of the releases that can be printed. */
export const PROFILE_NAMES: readonly string[] = RELEASES.map((r) => r.name);

/** The profile of a release name; throws USAGE for an unknown one. */
export function profileOf(name: string): Profile {
  let p = profiles.get(name);
  if (p === undefined) {
    const release = RELEASES.find((r) => r.name === name);
    if (release === undefined) {
      throw new PodpathError(
        "USAGE",
        `unknown monitor profile "${name}": use one of ${PROFILE_NAMES.join(", ")}`,
      );
    }
    p = new Profile(release);
    profiles.set(name, p);
  }
  return p;
}
