// Addresses and protocol names as iptables, ipset and conntrack read and print them.

import { PodpathError } from "../../base/errors.js";
import { formatIpv4, tryParseIpv4 } from "../../net/address.js";

export { formatIpv4 };

/** Something in a rule that cannot be read or is not modelled. */
export class RuleError extends PodpathError {
  constructor(
    message: string,
    /** True: valid for iptables, but not modelled here. */
    readonly unmodelled = false,
  ) {
    super("RULES_INVALID", message);
  }
}

/** Dotted quad to Be32; undefined when it is none. */
export function parseIpv4(s: string): number | undefined {
  return tryParseIpv4(s);
}

/** Be32 mask of a prefix length. */
export function prefixMask(plen: number): number {
  const h = plen === 0 ? 0 : -1 << (32 - plen);
  return ((h & 0xff) << 24) | ((h & 0xff00) << 8) | ((h >>> 8) & 0xff00) | (h >>> 24);
}

/** Prefix length of a Be32 mask; -1 when its ones are not at the front. */
export function maskPrefix(mask: number): number {
  for (let i = 0; i <= 32; i++) if (prefixMask(i) === mask) return i;
  return -1;
}

/** ADDR, ADDR/LEN or ADDR/MASK. */
export function parseAddrMask(s: string): { addr: number; mask: number } {
  const [a, m] = s.split("/");
  const addr = parseIpv4(a!);
  if (addr === undefined) throw new RuleError(`"${s}" is not an IPv4 address or network`);
  let mask = -1;
  if (m !== undefined) {
    if (/^\d+$/.test(m)) {
      if (Number(m) > 32) throw new RuleError(`"${s}" is not an IPv4 address or network`);
      mask = prefixMask(Number(m));
    } else {
      const mm = parseIpv4(m);
      if (mm === undefined) throw new RuleError(`"${s}" is not an IPv4 address or network`);
      mask = mm;
    }
  }
  return { addr: addr & mask, mask };
}

export function formatAddrMask(addr: number, mask: number, always: boolean): string {
  const p = maskPrefix(mask);
  if (p < 0) return `${formatIpv4(addr)}/${formatIpv4(mask)}`;
  return p === 32 && !always ? formatIpv4(addr) : `${formatIpv4(addr)}/${p}`;
}

// The protocols that iptables prints by name come from /etc/protocols (netbase 6.4), a few of them built in.
const PROTOCOLS: readonly (readonly [string, number])[] = [
  ["icmp", 1],
  ["igmp", 2],
  ["ggp", 3],
  ["ipencap", 4],
  ["st", 5],
  ["tcp", 6],
  ["egp", 8],
  ["igp", 9],
  ["pup", 12],
  ["udp", 17],
  ["hmp", 20],
  ["xns-idp", 22],
  ["rdp", 27],
  ["iso-tp4", 29],
  ["dccp", 33],
  ["xtp", 36],
  ["ddp", 37],
  ["idpr-cmtp", 38],
  ["ipv6", 41],
  ["ipv6-route", 43],
  ["ipv6-frag", 44],
  ["idrp", 45],
  ["rsvp", 46],
  ["gre", 47],
  ["esp", 50],
  ["ah", 51],
  ["skip", 57],
  ["ipv6-icmp", 58],
  ["ipv6-nonxt", 59],
  ["ipv6-opts", 60],
  ["rspf", 73],
  ["vmtp", 81],
  ["eigrp", 88],
  ["ospf", 89],
  ["ax.25", 93],
  ["ipip", 94],
  ["etherip", 97],
  ["encap", 98],
  ["pim", 103],
  ["ipcomp", 108],
  ["vrrp", 112],
  ["l2tp", 115],
  ["isis", 124],
  ["sctp", 132],
  ["fc", 133],
  ["mobility-header", 135],
  ["udplite", 136],
  ["mpls-in-ip", 137],
  ["manet", 138],
  ["hip", 139],
  ["shim6", 140],
  ["wesp", 141],
  ["rohc", 142],
];
const BY_NAME = new Map(PROTOCOLS);
const BY_NUMBER = new Map(PROTOCOLS.map(([n, p]) => [p, n]));
const ALIASES: Readonly<Record<string, number>> = { icmpv6: 58, mh: 135, all: 0 };

/** Protocol number of a name or number; undefined when unknown. */
export function parseProtocol(s: string): number | undefined {
  const l = s.toLowerCase();
  const n = BY_NAME.get(l) ?? ALIASES[l];
  if (n !== undefined) return n;
  return /^\d+$/.test(s) && Number(s) < 256 ? Number(s) : undefined;
}

/** As iptables-save prints a protocol: 4 is `ipencap`, 94 `ipip`. */
export function formatProtocol(p: number): string {
  return BY_NUMBER.get(p) ?? String(p);
}

/** Service names that rules of common tools use instead of port numbers. */
const SERVICES: Readonly<Record<string, number>> = {
  ftp: 21,
  ssh: 22,
  telnet: 23,
  smtp: 25,
  domain: 53,
  bootps: 67,
  bootpc: 68,
  http: 80,
  kerberos: 88,
  ntp: 123,
  snmp: 161,
  bgp: 179,
  https: 443,
  syslog: 514,
};

/** A port number or service name; undefined when it is neither. */
export function parsePort(s: string): number | undefined {
  if (/^\d+$/.test(s)) return Number(s) <= 65_535 ? Number(s) : undefined;
  return SERVICES[s.toLowerCase()];
}

const PORT_NAMES = new Map(Object.entries(SERVICES).map(([name, port]) => [port, name]));

/** The service name of a port; undefined when it has none. */
export function portName(port: number): string | undefined {
  return PORT_NAMES.get(port);
}
