// L7 access-log records (event type 129): a type byte and an independent gob stream of the proxy's LogRecord.

import { formatIpv6 } from "../src/net/address.js";
import { ip4Text, jsonString } from "./go_text.js";
import { decodeGob, type GobMap, type GobStruct, type GobValue } from "./gob.js";
import type { Profile } from "./release.js";

/** Names of DNS record types, as the DNS library of the agent has them; a type without name prints as nothing. */
const DNS_TYPES: ReadonlyMap<number, string> = new Map(
  (
    "1 A,2 NS,3 MD,4 MF,5 CNAME,6 SOA,7 MB,8 MG,9 MR,10 NULL,12 PTR,13 HINFO,14 MINFO,15 MX,16 TXT,17 RP," +
    "18 AFSDB,19 X25,20 ISDN,21 RT,23 NSAP-PTR,24 SIG,25 KEY,26 PX,27 GPOS,28 AAAA,29 LOC,30 NXT,31 EID,32 NIMLOC," +
    "33 SRV,34 ATMA,35 NAPTR,36 KX,37 CERT,39 DNAME,41 OPT,42 APL,43 DS,44 SSHFP,45 IPSECKEY,46 RRSIG,47 NSEC," +
    "48 DNSKEY,49 DHCID,50 NSEC3,51 NSEC3PARAM,52 TLSA,53 SMIMEA,55 HIP,56 NINFO,57 RKEY,58 TALINK,59 CDS," +
    "60 CDNSKEY,61 OPENPGPKEY,62 CSYNC,63 ZONEMD,64 SVCB,65 HTTPS,99 SPF,100 UINFO,101 UID,102 GID,103 UNSPEC," +
    "104 NID,105 L32,106 L64,107 LP,108 EUI48,109 EUI64,249 TKEY,250 TSIG,251 IXFR,252 AXFR,253 MAILB,254 MAILA," +
    "255 ANY,256 URI,257 CAA,258 AVC,260 AMTRELAY,32768 TA,32769 DLV"
  )
    .split(",")
    .map((e): [number, string] => [Number.parseInt(e, 10), e.slice(e.indexOf(" ") + 1)]),
);

interface Endpoint {
  readonly id: number | bigint;
  readonly identity: number | bigint;
  /** `source:key=value`. */
  readonly labels: readonly string[];
}

/** A decoded record, as far as the client shows it. */
export interface AccessLogRecord {
  readonly type: string;
  readonly observationPoint: string;
  readonly verdict: string;
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly http: GobStruct | undefined;
  readonly kafka: GobStruct | undefined;
  readonly dns: GobStruct | undefined;
  readonly l7: GobStruct | undefined;
}

function isStruct(v: GobValue | undefined): v is GobStruct {
  return typeof v === "object" && !Array.isArray(v) && !(v instanceof Uint8Array) && !(v instanceof Map);
}

function struct(v: GobValue | undefined): GobStruct | undefined {
  return isStruct(v) ? v : undefined;
}

function text(v: GobValue | undefined): string {
  return typeof v === "string" ? v : "";
}

function int(v: GobValue | undefined): number | bigint {
  return typeof v === "number" || typeof v === "bigint" ? v : 0;
}

function list(v: GobValue | undefined): readonly GobValue[] {
  return Array.isArray(v) ? (v as readonly GobValue[]) : [];
}

function map(v: GobValue | undefined): GobMap | undefined {
  return v instanceof Map ? (v as GobMap) : undefined;
}

function label(v: GobValue): string {
  if (typeof v === "string") return v;
  const s = struct(v);
  if (s === undefined) return "";
  const value = text(s.Value);
  return `${text(s.Source)}:${text(s.Key)}${value === "" ? "" : `=${value}`}`;
}

function endpoint(v: GobValue | undefined): Endpoint {
  const s = struct(v) ?? {};
  return { id: int(s.ID), identity: int(s.Identity), labels: list(s.Labels).map(label) };
}

/** A record of zero values, which the 1.11 client prints after it failed to read one. */
export const EMPTY_RECORD: AccessLogRecord = recordOf({});

function recordOf(s: GobStruct): AccessLogRecord {
  return {
    type: text(s.Type),
    observationPoint: text(s.ObservationPoint),
    verdict: text(s.Verdict),
    source: endpoint(s.SourceEndpoint),
    destination: endpoint(s.DestinationEndpoint),
    http: struct(s.HTTP),
    kafka: struct(s.Kafka),
    dns: struct(s.DNS),
    l7: struct(s.L7),
  };
}

/** Reads an access-log sample. @throws GobError */
export function decodeAccessLog(sample: Uint8Array): AccessLogRecord {
  return recordOf(struct(decodeGob(sample, 1)) ?? {});
}

function protoOf(r: AccessLogRecord): string {
  if (r.http !== undefined) return "http";
  if (r.kafka !== undefined) return "kafka";
  if (r.dns !== undefined) return "dns";
  if (r.l7 !== undefined) return text(r.l7.Proto);
  return "unknown-l7";
}

function directionOf(r: AccessLogRecord): string {
  return r.observationPoint === "Ingress" ? "<-" : r.observationPoint === "Egress" ? "->" : "??";
}

function who(e: Endpoint): string {
  return `${e.id} ([${e.labels.join(" ")}])`;
}

function addressText(p: Profile, v: GobValue): string {
  if (!(v instanceof Uint8Array)) return "";
  if (v.length === 4) return ip4Text(v, 0);
  if (v.length !== 16) return p.release.netipAddresses ? "invalid IP" : "<nil>";
  const mapped = v[10] === 0xff && v[11] === 0xff && v.subarray(0, 10).every((x) => x === 0);
  // net.IP writes an IPv4-mapped address as IPv4, netip.Addr does not.
  return mapped && !p.release.netipAddresses ? ip4Text(v, 12) : formatIpv6(v);
}

function dnsText(p: Profile, r: AccessLogRecord, dns: GobStruct): string {
  if (r.type !== "Request" && r.type !== "Response") return "\n";
  const types = list(dns.QTypes).map((t) => DNS_TYPES.get(Number(t)) ?? "");
  const recorded = text(dns.ObservationSource);
  let source = recorded;
  if (!p.release.dnsSourceVerbatim)
    source = r.type === "Response" && recorded === "proxy" ? "Proxy" : "Query";
  let out = ` DNS ${source}: ${text(dns.Query)} ${types.join(",")}`;
  if (r.type === "Response") {
    const ips = list(dns.IPs).map((ip) => addressText(p, ip));
    out += ` TTL: ${int(dns.TTL)} Answer: '${ips.join(",")}'`;
    const names = list(dns.CNAMEs).map(text);
    if (names.length > 0) out += ` CNAMEs: ${names.join(",")}`;
  }
  return `${out}\n`;
}

/** The record's text; a record of no known protocol ends without a newline. */
export function accessLogText(p: Profile, r: AccessLogRecord): string {
  let out = "";
  const verdict = `identity ${r.source.identity}->${r.destination.identity}, verdict ${r.verdict}`;
  if (r.type === "Request") {
    out = `${directionOf(r)} Request ${protoOf(r)} from ${who(r.source)} to ${who(r.destination)}, ${verdict}`;
  } else if (r.type === "Response") {
    const [to, from] = p.release.responseSwapped ? [r.destination, r.source] : [r.source, r.destination];
    out = `${directionOf(r)} Response ${protoOf(r)} to ${who(to)} from ${who(from)}, ${verdict}`;
  }
  if (r.http !== undefined) {
    out += ` ${text(r.http.Method)} ${urlText(r.http.URL)} => ${int(r.http.Code)}\n`;
  }
  if (r.kafka !== undefined) {
    out += ` ${text(r.kafka.APIKey)} topic ${text(struct(r.kafka.Topic)?.Topic)} => ${int(r.kafka.ErrorCode)}\n`;
  }
  if (r.dns !== undefined) out += dnsText(p, r, r.dns);
  if (r.l7 !== undefined) {
    let status = "";
    for (const [k, v] of map(r.l7.Fields) ?? []) {
      if (k === "status") status = text(v);
      else out += ` ${text(k)}:${text(v)}`;
    }
    out += status === "" ? "\n" : ` => status:${status}\n`;
  }
  return out;
}

/** A URL travels as its text. */
function urlText(v: GobValue | undefined): string {
  return v instanceof Uint8Array ? new TextDecoder().decode(v) : "";
}

function unescapeUrl(s: string): string {
  try {
    return decodeURIComponent(s);
  } catch {
    return s;
  }
}

/** Go's url.escape for paths. */
function escapePath(path: string): string {
  return encodeURI(path)
    .replace(/[?#[\]!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
    .replace(/%5B|%5D/g, (e) => e);
}

/** encoding/json of Go's url.URL, from its text (net/url Parse). */
function urlJson(p: Profile, v: GobValue | undefined): string {
  if (!(v instanceof Uint8Array)) return "null";
  let rest = urlText(v);
  let fragment = "";
  const hash = rest.indexOf("#");
  if (hash >= 0) {
    fragment = rest.slice(hash + 1);
    rest = rest.slice(0, hash);
  }
  let scheme = "";
  const m = /^([a-zA-Z][a-zA-Z0-9+.-]*):/.exec(rest);
  if (m !== null) {
    scheme = m[1]!.toLowerCase();
    rest = rest.slice(m[0].length);
  }
  let rawQuery = "";
  let forceQuery = false;
  const question = rest.indexOf("?");
  if (question >= 0) {
    rawQuery = rest.slice(question + 1);
    forceQuery = rawQuery === "";
    rest = rest.slice(0, question);
  }
  let opaque = "";
  let user = "null";
  let host = "";
  let omitHost = false;
  if (!rest.startsWith("/") && scheme !== "") {
    opaque = rest;
    rest = "";
  } else if (rest.startsWith("//") && (scheme !== "" || !rest.startsWith("///"))) {
    const slash = rest.indexOf("/", 2);
    const authority = slash < 0 ? rest.slice(2) : rest.slice(2, slash);
    rest = slash < 0 ? "" : rest.slice(slash);
    const at = authority.lastIndexOf("@");
    // The user's fields are not exported: whoever it is prints as an empty object.
    if (at >= 0) user = "{}";
    host = unescapeUrl(authority.slice(at + 1));
  } else if (scheme !== "" && rest.startsWith("/")) {
    omitHost = true;
  }
  const path = unescapeUrl(rest);
  const rawPath = escapePath(path) === rest ? "" : rest;
  const plainFragment = unescapeUrl(fragment);
  const rawFragment = encodeURI(plainFragment) === fragment ? "" : fragment;
  const tail = p.release.urlOmitHost ? `,"OmitHost":${omitHost}` : "";
  return `{"Scheme":${jsonString(scheme)},"Opaque":${jsonString(opaque)},"User":${user},"Host":${jsonString(host)},"Path":${jsonString(path)},"Fragment":${jsonString(plainFragment)},"RawQuery":${jsonString(rawQuery)},"RawPath":${jsonString(rawPath)},"RawFragment":${jsonString(rawFragment)},"ForceQuery":${forceQuery}${tail}}`;
}

/** A Go map as JSON: keys sorted, null when nil. */
function mapJson(v: GobValue | undefined, value: (v: GobValue) => string): string {
  const m = map(v);
  if (m === undefined) return "null";
  const rows = [...m].map(([k, x]): [string, string] => [text(k), value(x)]);
  rows.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${rows.map(([k, x]) => `${jsonString(k)}:${x}`).join(",")}}`;
}

function stringsJson(v: readonly GobValue[]): string {
  return `[${v.map((x) => jsonString(text(x))).join(",")}]`;
}

function headersJson(v: GobValue | undefined): string {
  return mapJson(v, (x) => stringsJson(list(x)));
}

function dnsJson(p: Profile, dns: GobStruct): string {
  const parts: string[] = [];
  const query = text(dns.Query);
  if (query !== "") parts.push(`"Query":${jsonString(query)}`);
  const ips = list(dns.IPs);
  if (ips.length > 0) parts.push(`"IPs":[${ips.map((ip) => jsonString(addressText(p, ip))).join(",")}]`);
  if (int(dns.TTL) !== 0) parts.push(`"TTL":${int(dns.TTL)}`);
  const names = list(dns.CNAMEs);
  if (names.length > 0) parts.push(`"CNAMEs":${stringsJson(names)}`);
  const source = text(dns.ObservationSource);
  if (source !== "") parts.push(`"ObservationSource":${jsonString(source)}`);
  if (int(dns.RCode) !== 0) parts.push(`"RCode":${int(dns.RCode)}`);
  const q = list(dns.QTypes);
  if (q.length > 0) parts.push(`"QTypes":[${q.map((t) => int(t)).join(",")}]`);
  const a = list(dns.AnswerTypes);
  if (a.length > 0) parts.push(`"AnswerTypes":[${a.map((t) => int(t)).join(",")}]`);
  return `{${parts.join(",")}}`;
}

/** The record's JSON line. */
export function accessLogJson(p: Profile, r: AccessLogRecord): string {
  const { source, destination, http, kafka, dns, l7 } = r;
  let out = `{"type":"logRecord","observationPoint":${jsonString(r.observationPoint)},"flowType":${jsonString(r.type)},"l7Proto":${jsonString(protoOf(r))},"srcEpID":${source.id},"srcEpLabels":${stringsJson(source.labels)},"srcIdentity":${source.identity},"dstEpID":${destination.id},"dstEpLabels":${stringsJson(destination.labels)},"dstIdentity":${destination.identity},"verdict":${jsonString(r.verdict)}`;
  if (http !== undefined) {
    out += `,"http":{"Code":${int(http.Code)},"Method":${jsonString(text(http.Method))},"URL":${urlJson(p, http.URL)},"Protocol":${jsonString(text(http.Protocol))},"Headers":${headersJson(http.Headers)},"MissingHeaders":${headersJson(http.MissingHeaders)},"RejectedHeaders":${headersJson(http.RejectedHeaders)}}`;
  }
  if (kafka !== undefined) {
    out += `,"kafka":{"ErrorCode":${int(kafka.ErrorCode)},"APIVersion":${int(kafka.APIVersion)},"APIKey":${jsonString(text(kafka.APIKey))},"CorrelationID":${int(kafka.CorrelationID)},"Topic":{"Topic":${jsonString(text(struct(kafka.Topic)?.Topic))}}}`;
  }
  if (dns !== undefined) out += `,"dns":${dnsJson(p, dns)}`;
  if (l7 !== undefined) {
    out += `,"l7":{"Proto":${jsonString(text(l7.Proto))},"Fields":${mapJson(l7.Fields, (v) => jsonString(text(v)))}}`;
  }
  return `${out}}\n`;
}
