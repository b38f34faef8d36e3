// The packet part of an event in the three forms that the client prints: layer lines, connection summary, JSON
// summary. Each dissects once and reads what it needs from the chains.

import { Chain } from "./dissect.js";
import { be16, ip4Text, ip6Text, joinHostPort, jsonString, macText } from "./go_text.js";
import { IGMP_TYPES, LayerPrinter } from "./layers.js";
import {
  L_ETHERNET,
  L_GENEVE,
  L_ICMPV4,
  L_ICMPV6,
  L_IGMP,
  L_IPV4,
  L_IPV6,
  L_SCTP,
  L_TCP,
  L_UDP,
  L_VRRP,
  L_VXLAN,
  type Profile,
} from "./release.js";

/** What stands in front of the packet and what it carries; releases without these notions take the default. */
export interface PacketKind {
  /** No Ethernet header: the packet starts with IPv4, or IPv6 if `ipv6` is set. */
  readonly l3Device: boolean;
  readonly ipv6: boolean;
  readonly vxlan: boolean;
  readonly geneve: boolean;
}

/** SYN, ACK, RST, FIN in this order, for the low five bits of the TCP flags. */
const SUMMARY_FLAGS: readonly string[] = Array.from({ length: 32 }, (_, f) => {
  const names: string[] = [];
  if ((f & 0x02) !== 0) names.push("SYN");
  if ((f & 0x10) !== 0) names.push("ACK");
  if ((f & 0x04) !== 0) names.push("RST");
  if ((f & 0x01) !== 0) names.push("FIN");
  return names.join(", ");
});

/** Fields of the JSON summary that hold layer lines, in order. */
const JSON_LAYERS: readonly (readonly [name: string, kind: number])[] = [
  ["ethernet", L_ETHERNET],
  ["ipv4", L_IPV4],
  ["ipv6", L_IPV6],
  ["tcp", L_TCP],
  ["udp", L_UDP],
  ["sctp", L_SCTP],
  ["icmpv4", L_ICMPV4],
  ["icmpv6", L_ICMPV6],
  ["vrrp", L_VRRP],
  ["igmp", L_IGMP],
];
/** Those of a tunnel's outer headers. */
const JSON_TUNNEL_LAYERS = JSON_LAYERS.filter(([name]) => ["ethernet", "ipv4", "ipv6", "udp"].includes(name));

/** Dissects and prints packets for one formatter; keeps its chains and recent lines. */
export class PacketPrinter {
  readonly #outer: Chain;
  readonly #inner: Chain;
  readonly #printer: LayerPrinter;
  /** True once a packet had to be decoded: the client sets up its decoders then, and says so in its log. */
  used = false;

  constructor(readonly profile: Profile) {
    this.#outer = new Chain(profile, false);
    this.#inner = new Chain(profile, true);
    this.#printer = new LayerPrinter(profile);
  }

  /** Decodes the outer chain; a packet has at least one byte. */
  #dissect(b: Uint8Array, off: number, l3Device: boolean, ipv6: boolean): Chain {
    this.#outer.run(b, off, b.length, l3Device ? (ipv6 ? L_IPV6 : L_IPV4) : L_ETHERNET);
    return this.#outer;
  }

  /** Decodes what the outer UDP layer carries. Without such a layer there is nothing, which is an error. */
  #overlay(b: Uint8Array, vxlan: boolean): Chain {
    const len = this.#outer.payloadLen[L_UDP]!;
    const at = len === 0 ? 0 : this.#outer.payload[L_UDP]!;
    this.#inner.run(b, at, at + len, vxlan ? L_VXLAN : L_GENEVE);
    return this.#inner;
  }

  #chainLines(c: Chain, b: Uint8Array): string {
    let out = "";
    for (let i = 0; i < c.count; i++) out += this.#printer.line(c, b, c.layers[i]!);
    if (c.truncated) out += "  Packet has been truncated\n";
    if (c.error !== "") out += `  Failed to decode layer: ${c.error}\n`;
    return out;
  }

  /** Layer lines of the packet at `off`, with the lines on truncation and errors; "" for an empty packet. */
  lines(b: Uint8Array, off: number, kind: PacketKind): string {
    this.used = true;
    if (off >= b.length) return "";
    const out = this.#chainLines(this.#dissect(b, off, kind.l3Device, kind.ipv6), b);
    if (!kind.vxlan && !kind.geneve) return out;
    return out + this.#chainLines(this.#overlay(b, kind.vxlan), b);
  }

  /** One line that names the connection, such as `10.0.0.85:34567 -> 10.0.1.124:80 tcp SYN`. */
  summary(b: Uint8Array, off: number, kind: PacketKind): string {
    this.used = true;
    if (off >= b.length) return "[unknown]";
    const outer = this.#dissect(b, off, kind.l3Device, kind.ipv6);
    const strict = this.profile.release.summaryError;
    if (strict && outer.error !== "") return "[error]";
    if (!kind.vxlan && !kind.geneve) return this.#connection(outer, b);
    const inner = this.#overlay(b, kind.vxlan);
    if (inner.error !== "") return "[error]";
    const { src, dst } = addresses(outer, b);
    const udp = outer.header[L_UDP]!;
    return `${this.#connection(inner, b)} [tunnel ${joinHostPort(src, be16(b, udp))} -> ${joinHostPort(dst, be16(b, udp + 2))} ${kind.vxlan ? "vxlan" : "geneve"}]`;
  }

  #connection(c: Chain, b: Uint8Array): string {
    let ip = -1;
    let l4 = -1;
    let ethernet = false;
    for (let i = 0; i < c.count; i++) {
      const kind = c.layers[i]!;
      if (kind === L_IPV4 || kind === L_IPV6) ip = kind;
      else if (kind === L_ETHERNET) ethernet = true;
      else if (kind < L_VXLAN) l4 = kind;
    }
    if (l4 >= 0 && ip >= 0) return this.#transport(c, b, ip, l4);
    if (ip >= 0) {
      return ip === L_IPV4
        ? `${ip4Text(b, c.header[L_IPV4]! + 12)} -> ${ip4Text(b, c.header[L_IPV4]! + 16)}`
        : `${ip6Text(b, c.header[L_IPV6]! + 8)} -> ${ip6Text(b, c.header[L_IPV6]! + 24)}`;
    }
    if (ethernet) {
      const h = c.header[L_ETHERNET]!;
      return `${macText(b, h + 6)} -> ${macText(b, h)} ${this.#printer.etherTypeName(c)}`;
    }
    return "[unknown]";
  }

  #transport(c: Chain, b: Uint8Array, ip: number, l4: number): string {
    const ipHeader = c.header[ip]!;
    const src = ip === L_IPV4 ? ip4Text(b, ipHeader + 12) : ip6Text(b, ipHeader + 8);
    const dst = ip === L_IPV4 ? ip4Text(b, ipHeader + 16) : ip6Text(b, ipHeader + 24);
    const h = c.header[l4]!;
    switch (l4) {
      case L_TCP:
      case L_UDP:
      case L_SCTP: {
        const sport = be16(b, h);
        const dport = be16(b, h + 2);
        const pair =
          ip === L_IPV4
            ? `${src}:${sport} -> ${dst}:${dport}`
            : `${joinHostPort(src, sport)} -> ${joinHostPort(dst, dport)}`;
        if (l4 === L_TCP) return `${pair} tcp ${SUMMARY_FLAGS[b[h + 13]! & 0x1f]}`;
        return l4 === L_UDP ? `${pair} udp` : `${pair} sctp`;
      }
      case L_VRRP:
        // The client looks into the record of the outer packet, which is empty for one inside an overlay.
        return c.overlay
          ? `${src} -> ${dst} vrrp  0 0`
          : `${src} -> ${dst} vrrp VRRPv2 Advertisement ${b[h + 1]} ${b[h + 2]}`;
      case L_IGMP:
        return `${src} -> ${dst} igmp ${IGMP_TYPES.get(b[h]!) ?? ""} ${ip4Text(b, h + 4)}`;
      default: {
        const code =
          l4 === L_ICMPV4 ? this.profile.icmpv4TypeCode(be16(b, h)) : this.profile.icmpv6TypeCode(be16(b, h));
        return `${src} -> ${dst} ${this.profile.release.icmpWord ? "icmp " : ""}${code}`;
      }
    }
  }

  /** The JSON object of the packet, or undefined where the release leaves it out. */
  json(b: Uint8Array, off: number, kind: PacketKind): string | undefined {
    this.used = true;
    if (off >= b.length) return undefined;
    const outer = this.#dissect(b, off, kind.l3Device, kind.ipv6);
    if (this.profile.release.summaryError && outer.error !== "") return undefined;
    const plain = (): string => `{${this.#jsonFields(outer, b, JSON_LAYERS, "")}}`;
    if (!kind.vxlan && !kind.geneve) return plain();
    const inner = this.#overlay(b, kind.vxlan);
    if (inner.error !== "") return plain();
    const name = kind.vxlan ? "vxlan" : "geneve";
    const line = this.#printer.line(inner, b, kind.vxlan ? L_VXLAN : L_GENEVE).slice(0, -1);
    const tunnel = this.#jsonFields(outer, b, JSON_TUNNEL_LAYERS, `"${name}":${jsonString(line)}`);
    const fields = this.#jsonFields(inner, b, JSON_LAYERS, "");
    return `{${fields === "" ? "" : `${fields},`}"tunnel":{${tunnel}}}`;
  }

  #jsonFields(
    c: Chain,
    b: Uint8Array,
    layers: readonly (readonly [string, number])[],
    extraLayer: string,
  ): string {
    const parts: string[] = [];
    for (const [name, kind] of layers) {
      if (c.has(kind)) parts.push(`"${name}":${jsonString(this.#printer.line(c, b, kind).slice(0, -1))}`);
    }
    if (extraLayer !== "") parts.push(extraLayer);
    if (c.has(L_ETHERNET)) {
      const h = c.header[L_ETHERNET]!;
      parts.push(`"l2":{"src":"${macText(b, h + 6)}","dst":"${macText(b, h)}"}`);
    }
    if (c.has(L_IPV4) || c.has(L_IPV6)) {
      const { src, dst } = addresses(c, b);
      parts.push(`"l3":{"src":"${src}","dst":"${dst}"}`);
    }
    const l4 = lastOf(c, L_TCP, L_UDP, L_SCTP);
    if (l4 >= 0) {
      const h = c.header[l4]!;
      parts.push(`"l4":{"src":"${be16(b, h)}","dst":"${be16(b, h + 2)}"}`);
    }
    return parts.join(",");
  }
}

/** The last layer of three kinds, -1 without one. */
function lastOf(c: Chain, a: number, b: number, d: number): number {
  for (let i = c.count - 1; i >= 0; i--) {
    const kind = c.layers[i]!;
    if (kind === a || kind === b || kind === d) return kind;
  }
  return -1;
}

/** Addresses of the innermost IP header, `<nil>` without one. */
function addresses(c: Chain, b: Uint8Array): { src: string; dst: string } {
  const kind = lastOf(c, L_IPV4, L_IPV6, L_IPV6);
  if (kind < 0) return { src: "<nil>", dst: "<nil>" };
  const h = c.header[kind]!;
  return kind === L_IPV4
    ? { src: ip4Text(b, h + 12), dst: ip4Text(b, h + 16) }
    : { src: ip6Text(b, h + 8), dst: ip6Text(b, h + 24) };
}
