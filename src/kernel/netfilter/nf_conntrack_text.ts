// What `conntrack -L` and `conntrack -E` (conntrack-tools 1.4.7) print about entries.
//
//   tcp      6 431999 ESTABLISHED src=A dst=B sport=1 dport=2 src=B dst=A sport=2 dport=1 [ASSURED] mark=0 use=1

import {
  IPCT_DESTROY,
  IPCT_NEW,
  IPCT_PROTOINFO,
  IPCT_RELATED,
  IPS_ASSURED,
  IPS_SEEN_REPLY,
  type NfConn,
  type NfConntrack,
  type NfCtListener,
  type NfTupleHash,
} from "./nf_conntrack.js";
import {
  IPPROTO_GRE,
  IPPROTO_ICMP,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPPROTO_UDPLITE,
  SCTP_STATE_NAMES,
} from "./nf_conntrack_proto.js";
import { TCP_STATE_NAMES } from "./nf_conntrack_tcp.js";
import { formatIpv4 } from "./text.js";

const PROTO_NAMES: Readonly<Record<number, string>> = {
  1: "icmp",
  6: "tcp",
  17: "udp",
  33: "dccp",
  47: "gre",
  58: "icmpv6",
  132: "sctp",
  136: "udplite",
};

function tupleText(t: NfTupleHash): string {
  let s = `src=${formatIpv4(t.src)} dst=${formatIpv4(t.dst)}`;
  switch (t.proto) {
    case IPPROTO_TCP:
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
    case IPPROTO_SCTP:
      s += ` sport=${t.sport} dport=${t.dport}`;
      break;
    case IPPROTO_GRE:
      s += " srckey=0x0 dstkey=0x0";
      break;
    case IPPROTO_ICMP:
      s += ` type=${t.dport >>> 8} code=${t.dport & 0xff} id=${t.sport}`;
  }
  return s;
}

/** State of a TCP or SCTP entry, "" for others. */
export function conntrackState(ct: NfConn): string {
  if (ct.tcp !== null) return TCP_STATE_NAMES[ct.tcp.state]!;
  if (ct.orig.proto === IPPROTO_SCTP) return SCTP_STATE_NAMES[ct.sctpState]!;
  return "";
}

/** The part that -L and -E share. `seconds` undefined: the event carries no timeout. */
function entryText(
  ct: NfConn,
  seconds: number | undefined,
  state: boolean,
  listing: boolean,
  acct: boolean,
): string {
  const proto = ct.orig.proto;
  let s = `${(PROTO_NAMES[proto] ?? "unknown").padEnd(8)} ${proto} `;
  if (seconds !== undefined) s += `${seconds} `;
  const st = state ? conntrackState(ct) : "";
  if (st !== "") s += `${st} `;
  const counters = (i: number): string =>
    acct && ct.acct !== null ? ` packets=${ct.acct[i]} bytes=${ct.acct[i + 1]}` : "";
  // A zone of one direction stands with its tuple, a zone of both at the end.
  const both = ct.zone !== 0 && ct.orig.zone === ct.reply.zone;
  const dirZone = (z: number, name: string): string => (!both && z !== 0 ? ` zone-${name}=${z}` : "");
  s += tupleText(ct.orig) + dirZone(ct.orig.zone, "orig") + counters(0);
  if ((ct.status & IPS_SEEN_REPLY) === 0) s += " [UNREPLIED]";
  s += ` ${tupleText(ct.reply)}${dirZone(ct.reply.zone, "reply")}${counters(2)}`;
  if ((ct.status & IPS_ASSURED) !== 0) s += " [ASSURED]";
  if (listing || ct.mark !== 0) s += ` mark=${ct.mark >>> 0}`;
  if (both) s += ` zone=${ct.zone}`;
  if (listing) s += " use=1";
  return s;
}

/** One line of `conntrack -L`. */
export function conntrackLine(net: NfConntrack, ct: NfConn): string {
  return entryText(ct, Math.floor(net.expires(ct) / 1000), true, true, true);
}

/** `conntrack -L`: the table on standard output, the summary on standard error. Newest entries first. */
export function conntrackList(net: NfConntrack | null): { out: string; err: string } {
  const list = net === null ? [] : [...net.entries()].sort((a, b) => b.id - a.id);
  return {
    out: list.map((ct) => `${conntrackLine(net!, ct)}\n`).join(""),
    err: `conntrack v1.4.7 (conntrack-tools): ${list.length} flow entries have been shown.\n`,
  };
}

/** One line of /proc/net/nf_conntrack. */
export function procNfConntrackLine(net: NfConntrack, ct: NfConn): string {
  return `ipv4     2 ${conntrackLine(net, ct)}`;
}

/** One line of `conntrack -E`. */
export function conntrackEventLine(net: NfConntrack, ct: NfConn, events: number): string {
  const line = eventText(net, ct, events);
  return net.userPort === 0 ? line : `${line} [USERSPACE] portid=${net.userPort}`;
}

function eventText(net: NfConntrack, ct: NfConn, events: number): string {
  if ((events & IPCT_DESTROY) !== 0) {
    // The time that was left is told only when some was.
    const left = Math.floor(net.remaining(ct) / 1000);
    return `[DESTROY] ${entryText(ct, left > 0 ? left : undefined, true, false, true)}`;
  }
  const fresh = (events & (IPCT_NEW | IPCT_RELATED)) !== 0;
  const sec = Math.floor(net.expires(ct) / 1000);
  const head = fresh ? "    [NEW] " : " [UPDATE] ";
  return head + entryText(ct, sec, fresh || (events & IPCT_PROTOINFO) !== 0, false, false);
}

/** Collects events as text. */
export class ConntrackEvents implements NfCtListener {
  readonly lines: string[] = [];

  constructor(readonly net: NfConntrack) {}

  conntrack(ct: NfConn, events: number): void {
    this.lines.push(conntrackEventLine(this.net, ct, events));
  }
}
