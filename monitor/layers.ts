// One line for each layer, as gopacket.LayerString writes it: `NAME<TAB>{Field=Value ...}`.
//
// A packet is seen at many observation points and its headers mostly stay what they were, so finished lines of the
// common layers are kept in small direct-mapped caches keyed by the header's words and the payload's length.

import { addAddrLength, type Chain, TCP_OPT_END, TCP_OPT_MPTCP, TCP_OPT_NOP } from "./dissect.js";
import { be16, be32, bytesSpaced, DECIMAL, durationMs, hexOf, ip4Text, ip6Text, macText } from "./go_text.js";
import { FEW, LineCache } from "./line_cache.js";
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

/** A list of bytes: up to four are listed, more are counted. */
function byteList(b: Uint8Array, off: number, len: number): string {
  if (len > 4) return `[..${len}..]`;
  let out = "[";
  for (let i = 0; i < len; i++) out += i === 0 ? DECIMAL[b[off]!]! : `, ${DECIMAL[b[off + i]!]}`;
  return `${out}]`;
}

const IPV4_FLAGS = ["", "MF", "DF", "DF|MF", "Evil", "Evil|MF", "Evil|DF", "Evil|DF|MF"];

/** The same behind the Id, of packets that are no fragments. */
const IPV4_WHOLE: readonly string[] = IPV4_FLAGS.map((f) => ` Flags=${f} FragOffset=0 TTL=`);

/** `FIN=.. SYN=.. .. CWR=..` for the flags byte. */
const TCP_FLAGS: readonly string[] = Array.from({ length: 256 }, (_, f) =>
  ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"]
    .map((name, bit) => `${name}=${(f & (1 << bit)) !== 0}`)
    .join(" "),
);

const VRRP_AUTH = ["No Authentication", "Reserved", "Reserved"];
/** gopacket's names of IGMP types, for layer lines and summaries. */
export const IGMP_TYPES: ReadonlyMap<number, string> = new Map([
  [0x11, "IGMP Membership Query"],
  [0x12, "IGMPv1 Membership Report"],
  [0x16, "IGMPv2 Membership Report"],
  [0x17, "Leave Group"],
  [0x22, "IGMPv3 Membership Report"],
]);

const MPTCP_SUBTYPES = [
  "MP_CAPABLE",
  "MP_JOIN",
  "DSS",
  "ADD_ADDR",
  "REMOVE_ADDR",
  "MP_PRIO",
  "MP_FAIL",
  "MP_FASTCLOSE",
  "MP_TCPRST",
];

/** Writes layer lines of one release. Not shared between formatters: it keeps their recent lines. */
export class LayerPrinter {
  readonly #ethernetLines = new LineCache();
  readonly #ipv4Lines = new LineCache(FEW);
  readonly #ipv4Heads = new LineCache();
  readonly #ipv4Tails = new LineCache();
  /** What stands between TTL and checksum, by protocol. */
  readonly #ipv4Protocols: readonly string[];
  readonly #ipv6Lines = new LineCache();
  readonly #tcpLines = new LineCache();
  readonly #udpLines = new LineCache();
  readonly #icmpLines = new LineCache(FEW);

  constructor(readonly profile: Profile) {
    this.#ipv4Protocols = Array.from(
      { length: 256 },
      (_, n) => ` Protocol=${profile.ipProtocols[n]} Checksum=`,
    );
  }

  /** The line of the chain's record of a kind, newline included. */
  line(c: Chain, b: Uint8Array, kind: number): string {
    switch (kind) {
      case L_ETHERNET:
        return this.#ethernet(c, b);
      case L_IPV4:
        return this.#ipv4(c, b);
      case L_IPV6:
        return this.#ipv6(c, b);
      case L_TCP:
        return this.#tcp(c, b);
      case L_UDP:
        return this.#udp(c, b);
      case L_SCTP:
        return this.#sctp(c, b);
      case L_ICMPV4:
        return this.#icmpv4(c, b);
      case L_ICMPV6:
        return this.#icmpv6(c, b);
      case L_VRRP:
        return this.#vrrp(c, b);
      case L_IGMP:
        return this.#igmp(c, b);
      case L_VXLAN:
        return this.#vxlan(c, b);
      default:
        return this.#geneve(c, b);
    }
  }

  /** The name of the chain's EtherType. */
  etherTypeName(c: Chain): string {
    return this.profile.ethernetTypes.get(c.etherType()) ?? "UnknownEthernetType";
  }

  #base(c: Chain, b: Uint8Array, kind: number): string {
    return `{Contents=${byteList(b, c.contents[kind]!, c.contentsLen[kind]!)} Payload=${byteList(b, c.payload[kind]!, c.payloadLen[kind]!)} `;
  }

  #ethernet(c: Chain, b: Uint8Array): string {
    const off = c.header[L_ETHERNET]!;
    const payloadLen = c.payloadLen[L_ETHERNET]!;
    const cached = payloadLen > 4;
    if (cached) {
      const hit = this.#ethernetLines.find(b, off, 4, payloadLen);
      if (hit !== "") return hit;
    }
    const length = be16(b, off + 12);
    const line = `Ethernet\t${this.#base(c, b, L_ETHERNET)}SrcMAC=${macText(b, off + 6)} DstMAC=${macText(b, off)} EthernetType=${this.etherTypeName(c)} Length=${length < 0x0600 ? length : 0}}\n`;
    return cached ? this.#ethernetLines.put(b, off, 4, payloadLen, line) : line;
  }

  #ipv4(c: Chain, b: Uint8Array): string {
    const off = c.header[L_IPV4]!;
    const payloadLen = c.payloadLen[L_IPV4]!;
    // A record that a failing second header left half changed is not what its bytes say.
    const cached = payloadLen > 4 && c.ip4Whole && c.contentsLen[L_IPV4] === 20 && c.paddingLen[L_IPV4] === 0;
    if (cached) {
      const hit = this.#ipv4Lines.find(b, off, 5, payloadLen);
      if (hit !== "") return hit;
    }
    const line = this.#ipv4Text(c, b, off, payloadLen, cached);
    return cached ? this.#ipv4Lines.put(b, off, 5, payloadLen, line) : line;
  }

  /**
   * Every packet of a flow has another Id and checksum, on every hop another TTL and checksum: for `kept` headers the texts
   * in front of and behind these are kept by themselves.
   */
  #ipv4Text(c: Chain, b: Uint8Array, off: number, payloadLen: number, kept: boolean): string {
    let head = kept ? this.#ipv4Heads.find(b, off, 1, payloadLen) : "";
    if (head === "") {
      head = `IPv4\t${this.#base(c, b, L_IPV4)}Version=${b[off]! >> 4} IHL=${c.ip4Ihl} TOS=${b[off + 1]} Length=${c.ip4Length} Id=`;
      if (kept) this.#ipv4Heads.put(b, off, 1, payloadLen, head);
    }
    let tail = kept ? this.#ipv4Tails.find(b, off + 12, 2, 0) : "";
    if (tail === "") {
      tail = ` SrcIP=${ip4Text(b, off + 12)} DstIP=${ip4Text(b, off + 16)} Options=${this.#ipv4Options(c, b)} Padding=${byteList(b, c.padding[L_IPV4]!, c.paddingLen[L_IPV4]!)}}\n`;
      if (kept) this.#ipv4Tails.put(b, off + 12, 2, 0, tail);
    }
    const frag = be16(b, off + 6);
    const flags =
      (frag & 0x1fff) === 0
        ? IPV4_WHOLE[frag >> 13]!
        : ` Flags=${IPV4_FLAGS[frag >> 13]} FragOffset=${frag & 0x1fff} TTL=`;
    return `${head}${be16(b, off + 4)}${flags}${DECIMAL[b[off + 8]!]}${this.#ipv4Protocols[b[off + 9]!]}${be16(b, off + 10)}${tail}`;
  }

  #ipv4Options(c: Chain, b: Uint8Array): string {
    const from = c.options[L_IPV4]!;
    const end = c.optionsEnd[L_IPV4]!;
    if (from === end) return "[]";
    let n = 0;
    let out = "[";
    for (let at = from; at < end; n++) {
      const type = b[at]!;
      const len = type < 2 ? 1 : b[at + 1]!;
      if (n < 4) {
        const data = type < 2 ? "[]" : bytesSpaced(b, at + 2, at + len);
        out += `${n === 0 ? "" : ", "}IPv4Option(${type}:${data})`;
      }
      at += len;
    }
    return n > 4 ? `[..${n}..]` : `${out}]`;
  }

  #ipv6(c: Chain, b: Uint8Array): string {
    const off = c.header[L_IPV6]!;
    const payloadLen = c.payloadLen[L_IPV6]!;
    const cached = payloadLen > 4 && c.ip6Whole;
    if (cached) {
      const hit = this.#ipv6Lines.find(b, off, 10, payloadLen);
      if (hit !== "") return hit;
    }
    const word = be32(b, off);
    const line = `IPv6\t${this.#base(c, b, L_IPV6)}Version=${word >>> 28} TrafficClass=${(word >>> 20) & 0xff} FlowLabel=${word & 0xfffff} Length=${be16(b, off + 4)} NextHeader=${this.profile.ipProtocols[b[off + 6]!]} HopLimit=${b[off + 7]} SrcIP=${ip6Text(b, off + 8)} DstIP=${ip6Text(b, off + 24)} HopByHop=${c.hopByHop < 0 ? "nil" : this.#hopByHop(c, b)}}\n`;
    return cached ? this.#ipv6Lines.put(b, off, 10, payloadLen, line) : line;
  }

  #hopByHop(c: Chain, b: Uint8Array): string {
    const at = c.hopByHop;
    const len = c.hopByHopLen;
    let n = 0;
    let options = "[";
    for (let o = 2; o < len; n++) {
      const type = b[at + o]!;
      const dataLen = type === 0 ? 0 : b[at + o + 1]!;
      const actual = type === 0 ? 1 : dataLen + 2;
      if (n < 4) {
        options += `${n === 0 ? "" : ", "}{OptionType=${type} OptionLength=${dataLen} ActualLength=${actual} OptionData=${byteList(b, at + o + 2, dataLen)} OptionAlignment=[0 0]}`;
      }
      o += actual;
    }
    options = n > 4 ? `[..${n}..]` : `${options}]`;
    return `{ Contents=${byteList(b, at, len)} Payload=${byteList(b, at + len, c.hopByHopPayloadLen)} NextHeader=${this.profile.ipProtocols[b[at]!]} HeaderLength=${b[at + 1]} ActualLength=${len} Options=${options}}`;
  }

  #tcp(c: Chain, b: Uint8Array): string {
    const off = c.header[L_TCP]!;
    const payloadLen = c.payloadLen[L_TCP]!;
    const words = c.contentsLen[L_TCP]! >> 2;
    const cached = payloadLen === 0 || payloadLen > 4;
    if (cached) {
      const hit = this.#tcpLines.find(b, off, words, payloadLen);
      if (hit !== "") return hit;
    }
    const ports = this.profile.tcpPorts;
    const multipath = this.profile.release.multipath ? ` Multipath=${c.multipath}` : "";
    const line = `TCP\t${this.#base(c, b, L_TCP)}SrcPort=${ports.text(be16(b, off))} DstPort=${ports.text(be16(b, off + 2))} Seq=${be32(b, off + 4) >>> 0} Ack=${be32(b, off + 8) >>> 0} DataOffset=${b[off + 12]! >> 4} ${TCP_FLAGS[b[off + 13]!]} NS=${(b[off + 12]! & 1) !== 0} Window=${be16(b, off + 14)} Checksum=${be16(b, off + 16)} Urgent=${be16(b, off + 18)} Options=${this.#tcpOptions(c, b)} Padding=${byteList(b, c.padding[L_TCP]!, c.paddingLen[L_TCP]!)}${multipath}}\n`;
    return cached ? this.#tcpLines.put(b, off, words, payloadLen, line) : line;
  }

  #tcpOptions(c: Chain, b: Uint8Array): string {
    const from = c.options[L_TCP]!;
    const end = c.optionsEnd[L_TCP]!;
    if (from === end) return "[]";
    let n = 0;
    for (let at = from; at < end; n++) at += b[at]! < 2 ? 1 : b[at + 1]!;
    if (n > 4) return `[..${n}..]`;
    let out = "[";
    for (let at = from, i = 0; i < n; i++) {
      out += `${i === 0 ? "" : ", "}${this.#tcpOption(b, at)}`;
      at += b[at]! < 2 ? 1 : b[at + 1]!;
    }
    return `${out}]`;
  }

  #tcpOption(b: Uint8Array, at: number): string {
    const kind = b[at]!;
    const name = this.profile.tcpOptionKinds[kind]!;
    if (kind === TCP_OPT_END || kind === TCP_OPT_NOP) return `TCPOption(${name}:)`;
    const len = b[at + 1]!;
    if (kind === TCP_OPT_MPTCP && this.profile.release.multipath) return mptcpOption(b, at, name);
    const hex = len > 2 ? ` 0x${hexOf(b, at + 2, at + len)}` : "";
    if (kind === 2 && len >= 4) return `TCPOption(${name}:${be16(b, at + 2)}${hex})`;
    if (kind === 8 && len === 10) {
      return `TCPOption(${name}:${be32(b, at + 2) >>> 0}/${be32(b, at + 6) >>> 0}${hex})`;
    }
    return `TCPOption(${name}:${hex})`;
  }

  #udp(c: Chain, b: Uint8Array): string {
    const off = c.header[L_UDP]!;
    const payloadLen = c.payloadLen[L_UDP]!;
    const cached = payloadLen > 4;
    if (cached) {
      const hit = this.#udpLines.find(b, off, 2, payloadLen);
      if (hit !== "") return hit;
    }
    const ports = this.profile.udpPorts;
    const line = `UDP\t${this.#base(c, b, L_UDP)}SrcPort=${ports.text(be16(b, off))} DstPort=${ports.text(be16(b, off + 2))} Length=${be16(b, off + 4)} Checksum=${be16(b, off + 6)}}\n`;
    return cached ? this.#udpLines.put(b, off, 2, payloadLen, line) : line;
  }

  #sctp(c: Chain, b: Uint8Array): string {
    const off = c.header[L_SCTP]!;
    const ports = this.profile.sctpPorts;
    return `SCTP\t${this.#base(c, b, L_SCTP)}SrcPort=${ports.text(be16(b, off))} DstPort=${ports.text(be16(b, off + 2))} VerificationTag=${be32(b, off + 4) >>> 0} Checksum=${be32(b, off + 8) >>> 0}}\n`;
  }

  #icmpv4(c: Chain, b: Uint8Array): string {
    const off = c.header[L_ICMPV4]!;
    const payloadLen = c.payloadLen[L_ICMPV4]!;
    const cached = payloadLen > 4;
    if (cached) {
      const hit = this.#icmpLines.find(b, off, 2, payloadLen);
      if (hit !== "") return hit;
    }
    const line = `ICMPv4\t${this.#base(c, b, L_ICMPV4)}TypeCode=${this.profile.icmpv4TypeCode(be16(b, off))} Checksum=${be16(b, off + 2)} Id=${be16(b, off + 4)} Seq=${be16(b, off + 6)}}\n`;
    return cached ? this.#icmpLines.put(b, off, 2, payloadLen, line) : line;
  }

  #icmpv6(c: Chain, b: Uint8Array): string {
    const off = c.header[L_ICMPV6]!;
    return `ICMPv6\t${this.#base(c, b, L_ICMPV6)}TypeCode=${this.profile.icmpv6TypeCode(be16(b, off))} Checksum=${be16(b, off + 2)} TypeBytes=[]}\n`;
  }

  #vrrp(c: Chain, b: Uint8Array): string {
    const off = c.header[L_VRRP]!;
    const count = b[off + 3]!;
    let addresses: string;
    if (count > 4) {
      addresses = `[..${count}..]`;
    } else {
      const list: string[] = [];
      for (let i = 0; i < count; i++) list.push(ip4Text(b, off + 8 + 4 * i));
      addresses = `[${list.join(", ")}]`;
    }
    return `VRRP\t${this.#base(c, b, L_VRRP)}Version=${b[off]! >> 4} Type=VRRPv2 Advertisement VirtualRtrID=${b[off + 1]} Priority=${b[off + 2]} CountIPAddr=${count} AuthType=${VRRP_AUTH[b[off + 4]!] ?? ""} AdverInt=${b[off + 5]} Checksum=${be16(b, off + 6)} IPAddress=${addresses}}\n`;
  }

  #igmp(c: Chain, b: Uint8Array): string {
    const off = c.header[L_IGMP]!;
    const t = b[off + 1]!;
    // RFC 3376 §4.1.1, whose shifted mantissa gopacket keeps in a byte.
    const tenths = t < 128 ? t : ((((t >> 4) & 7) | 16) << ((t & 15) + 3)) & 0xff;
    return `IGMP\t${this.#base(c, b, L_IGMP)}Type=${IGMP_TYPES.get(b[off]!) ?? ""} MaxResponseTime=${durationMs(tenths * 100)} Checksum=${be16(b, off + 2)} GroupAddress=${ip4Text(b, off + 4)} Version=0}\n`;
  }

  #vxlan(c: Chain, b: Uint8Array): string {
    const off = c.header[L_VXLAN]!;
    const flags = b[off]!;
    const gbp = b[off + 1]!;
    return `VXLAN\t${this.#base(c, b, L_VXLAN)}ValidIDFlag=${(flags & 0x08) !== 0} VNI=${be32(b, off + 4) >>> 8} GBPExtension=${(flags & 0x80) !== 0} GBPDontLearn=${(gbp & 0x40) !== 0} GBPApplied=${(gbp & 0x80) !== 0} GBPGroupPolicyID=${be16(b, off + 2)}}\n`;
  }

  #geneve(c: Chain, b: Uint8Array): string {
    const off = c.header[L_GENEVE]!;
    const optionsLen = (b[off]! & 0x3f) * 4;
    const protocol = this.profile.ethernetTypes.get(be16(b, off + 2)) ?? "UnknownEthernetType";
    let n = 0;
    let offset = 8;
    let options = "[";
    for (let left = optionsLen; left > 0; n++) {
      const at = off + offset;
      const len = (b[at + 3]! & 0x1f) * 4 + 4;
      if (n < 4) {
        options += `${n === 0 ? "" : ", "}{Class=${be16(b, at)} Type=${b[at + 2]} Flags=${b[at + 3]! >> 5} Length=${len} Data=${byteList(b, at + 4, len - 4)}}`;
      }
      left -= len;
      offset = (offset + len) & 0xff;
    }
    options = n > 4 ? `[..${n}..]` : `${options}]`;
    return `Geneve\t${this.#base(c, b, L_GENEVE)}Version=${b[off]! >> 7} OptionsLength=${optionsLen} OAMPacket=${(b[off + 1]! & 0x80) !== 0} CriticalOption=${(b[off + 1]! & 0x40) !== 0} Protocol=${protocol} VNI=${be32(b, off + 4) >>> 8} Options=${options}}\n`;
  }
}

function mptcpOption(b: Uint8Array, at: number, kindName: string): string {
  const n = b[at + 1]!;
  const sub = b[at + 2]! >> 4;
  const flags = b[at + 2]! & 0x0f;
  const name = MPTCP_SUBTYPES[sub];
  switch (sub) {
    case 0:
      return `MPTCPOption(${name} Version ${flags})`;
    case 1:
      // The third handshake packet carries neither.
      return n === 24
        ? `MPTCPOption(${name} Backup false;Address ID 0)`
        : `MPTCPOption(${name} Backup ${(flags & 1) !== 0};Address ID ${b[at + 3]})`;
    case 2:
    case 6:
    case 7:
      return `MPTCPOption(${name})`;
    case 3: {
      const len = addAddrLength(b, at);
      const address = len < 20 ? ip4Text(b, at + 4) : ip6Text(b, at + 4);
      const port = len === 10 ? be16(b, at + 8) : len === 22 ? be16(b, at + 20) : 0;
      return `MPTCPOption(${name} Address ID ${b[at + 3]};Address ${address};Port ${port})`;
    }
    case 4:
      return `MPTCPOption(${name} Address ID ${bytesSpaced(b, at + 3, at + n)})`;
    case 5:
      return `MPTCPOption(${name} Backup ${(flags & 1) !== 0};Address ID ${n === 4 ? b[at + 3] : 0})`;
    case 8:
      return `MPTCPOption(${name} Transient ${(flags & 1) !== 0}; Reason ${b[at + 3]})`;
    default:
      return `TCPOption(${kindName}:)`;
  }
}
