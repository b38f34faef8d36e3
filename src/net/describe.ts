// One line of text about a frame, worded as `tcpdump -nn` words it (its 4.99 series): for capture listings and
// walks. Not for the packet path.
//
//   IP 10.0.0.1.1234 > 10.0.0.2.80: Flags [S], seq 1, win 64240, options [mss 1460], length 0
//   ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28
//
// Where it differs from tcpdump:
//   - a frame gives one line: the line break in front of the frame inside VXLAN or OTV becomes ": "
//   - application payloads are not decoded, except the first line of HTTP; they are "UDP, length n"
//   - sequence numbers are absolute (-S) unless a TcpSequences remembers the connections
//   - bytes of a kind it does not know are not dumped

import { formatIpv4At, formatIpv6, formatMac } from "./address.js";
import * as ethernet from "./ethernet.js";
import * as geneve from "./geneve.js";
import * as ipv4 from "./ipv4.js";
import * as ipv6 from "./ipv6.js";
import {
  LINKTYPE_ETHERNET,
  LINKTYPE_IPV4,
  LINKTYPE_IPV6,
  LINKTYPE_LINUX_SLL,
  LINKTYPE_LINUX_SLL2,
  LINKTYPE_RAW,
} from "./link_type.js";
import * as sll from "./sll.js";
import * as tcp from "./tcp.js";
import * as vxlan from "./vxlan.js";

/** UDP port that tcpdump takes for OTV, a format that VXLAN's happens to fill; Linux's first VXLAN port. */
const OTV_PORT = 8472;
const HTTP_PORTS: readonly number[] = [80, 8080];

export interface DescribeOptions {
  /** Default Ethernet. */
  readonly linkType?: number;
  /** Length on the wire, when the capture cut the frame. */
  readonly origLen?: number;
  /** `-e`: source, destination and EtherType come first, of inner Ethernet headers too. */
  readonly ether?: boolean;
  /** Relative sequence numbers, as tcpdump prints without -S. */
  readonly sequences?: TcpSequences;
  /** UDP ports whose payload is VXLAN; default 4789. With 8472 Linux's old port reads as VXLAN, not OTV. */
  readonly vxlanPorts?: readonly number[];
  /** Name of an interface index of Linux cooked v2 captures. */
  readonly ifName?: (ifindex: number) => string;
}

/** Remembers the first sequence numbers of each TCP connection, so that later ones can be printed relative. */
export class TcpSequences {
  readonly #flows = new Map<string, { seq: number; ack: number }>();

  /** The numbers of the connection `key` begins with; `fresh` starts it anew. */
  base(key: string, fresh: boolean, seq: number, ack: number): { seq: number; ack: number; known: boolean } {
    const f = this.#flows.get(key);
    if (f !== undefined && !fresh) return { ...f, known: true };
    this.#flows.set(key, { seq, ack });
    return { seq, ack, known: false };
  }
}

/** The frame ends before a field that is needed. */
class Truncated extends Error {}

/** One line about a frame; never throws, whatever the bytes. */
export function describeFrame(bytes: Uint8Array, opts: DescribeOptions = {}): string {
  const p = new Printer(bytes, opts);
  try {
    p.link(opts.linkType ?? LINKTYPE_ETHERNET, opts.origLen ?? bytes.length);
  } catch (e) {
    if (!(e instanceof Truncated)) throw e;
    p.say(` [|${p.protocol}]`);
  }
  return p.text;
}

/** Where the IP header lies that a transport header belongs to. */
interface Outer {
  readonly at: number;
  readonly version: 4 | 6;
  /** The protocol number in the IP header itself names this transport: no extension header between. */
  readonly direct: boolean;
}

class Printer {
  text = "";
  /** What `[|...]` names when the bytes run out. */
  protocol = "";
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #opts: DescribeOptions;
  /** End of the readable bytes: of the capture, or of the innermost IP packet. */
  #end: number;
  #ether: boolean;

  constructor(bytes: Uint8Array, opts: DescribeOptions) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#opts = opts;
    this.#end = bytes.length;
    this.#ether = opts.ether ?? false;
  }

  say(s: string): void {
    this.text += s;
  }

  #need(at: number, n: number): void {
    if (at + n > this.#end) throw new Truncated();
  }

  #has(at: number, n: number): boolean {
    return at + n <= this.#end;
  }

  #u8(at: number): number {
    this.#need(at, 1);
    return this.#view.getUint8(at);
  }

  #u16(at: number): number {
    this.#need(at, 2);
    return this.#view.getUint16(at);
  }

  #u32(at: number): number {
    this.#need(at, 4);
    return this.#view.getUint32(at);
  }

  #ip4(at: number): string {
    this.#need(at, 4);
    return formatIpv4At(this.#bytes, at);
  }

  #ip6(at: number): string {
    this.#need(at, 16);
    return formatIpv6(this.#bytes, at);
  }

  #hex(at: number, n: number): string {
    let s = "";
    for (let i = 0; i < n; i++)
      s += this.#u8(at + i)
        .toString(16)
        .padStart(2, "0");
    return s;
  }

  /** Says bytes as hex one by one, so that a cut shows how far they went. */
  #sayHex(at: number, n: number): void {
    for (let i = 0; i < n; i++) this.say(this.#hex(at + i, 1));
  }

  // ---- link layer ---------------------------------------------------------------------------------------------

  link(linkType: number, length: number): void {
    switch (linkType) {
      case LINKTYPE_ETHERNET:
        this.#etherFrame(0, length);
        return;
      case LINKTYPE_RAW:
      case LINKTYPE_IPV4:
      case LINKTYPE_IPV6:
        if (this.#ether) this.say("ip: ");
        this.#anyIp(0, length);
        return;
      case LINKTYPE_LINUX_SLL:
        this.#cooked(length, sll.SLL_HLEN, "sll");
        return;
      case LINKTYPE_LINUX_SLL2:
        this.#cooked(length, sll.SLL2_HLEN, "sll2");
        return;
      default:
        this.say(`link type ${linkType}, length ${length}`);
    }
  }

  #cooked(length: number, hlen: number, name: string): void {
    this.protocol = name;
    this.#need(0, hlen);
    const v2 = hlen === sll.SLL2_HLEN;
    const type = v2 ? sll.pktType2(this.#view, 0) : sll.pktType(this.#view, 0);
    const way = ["In", "B", "M", "P", "Out"][type] ?? "?";
    if (v2) {
      const ifindex = sll.ifindex2(this.#view, 0);
      this.say(`${(this.#opts.ifName?.(ifindex) ?? "?").padEnd(5)} `);
    }
    this.say(`${way.padEnd(3)} `);
    // The cooked header's own fields are not spelled out; what follows reads as without -e.
    this.#ether = false;
    const proto = v2 ? sll.proto2(this.#view, 0) : sll.proto(this.#view, 0);
    if (!this.#network(proto, hlen, length - hlen)) {
      this.say(`ethertype Unknown (0x${proto.toString(16).padStart(4, "0")}), length ${length}`);
    }
  }

  #etherFrame(at: number, length: number): void {
    if (!this.#has(at, ethernet.ETH_HLEN) || length < ethernet.ETH_HLEN) {
      this.say(" [|ether]");
      return;
    }
    const macs = `${formatMac(this.#bytes, at + 6)} > ${formatMac(this.#bytes, at)}, `;
    if (this.#ether) this.say(macs);
    let printed = false;
    let type = ethernet.proto(this.#view, at);
    let off = at + ethernet.ETH_HLEN;
    let left = length - ethernet.ETH_HLEN;
    while (ethernet.isVlan(type)) {
      if (!this.#has(off, 4) || left < 4) {
        this.say(" [|vlan]");
        return;
      }
      if (this.#ether) {
        this.say(`ethertype ${etherTypeName(type)}`);
        this.say(printed ? ", " : `, length ${length}: `);
        printed = true;
        const tci = this.#u16(off);
        this.say(`vlan ${tci & 0xfff}, p ${tci >> 13}${(tci & 0x1000) !== 0 ? ", DEI" : ""}, `);
      }
      type = this.#u16(off + 2);
      off += 4;
      left -= 4;
    }
    if (type < ethernet.ETH_P_802_3_MIN) {
      this.say(`${this.#ether ? "" : macs}802.3, length ${Math.min(type, left)}`);
      return;
    }
    if (this.#ether) this.say(`ethertype ${etherTypeName(type)}, ${printed ? "" : `length ${length}: `}`);
    if (!this.#network(type, off, left) && !this.#ether) {
      this.say(`${macs}ethertype ${etherTypeName(type)}, length ${length}: `);
    }
  }

  /** Prints the packet of that EtherType; false if it is none that is known. */
  #network(type: number, at: number, length: number): boolean {
    switch (type) {
      case ethernet.ETH_P_IP:
        this.#printIp4(at, length);
        return true;
      case ethernet.ETH_P_IPV6:
        this.#printIp6(at, length);
        return true;
      case ethernet.ETH_P_ARP:
      case ethernet.ETH_P_RARP:
        this.#arp(at, length);
        return true;
      default:
        return false;
    }
  }

  #anyIp(at: number, length: number): void {
    this.protocol = "ipn";
    if (length < 1) {
      this.say("truncated-ip 0");
      return;
    }
    const v = this.#u8(at) >> 4;
    if (v === 4) this.#printIp4(at, length);
    else if (v === 6) this.#printIp6(at, length);
    else this.say(`unknown ip ${v}`);
  }

  // ---- ARP ----------------------------------------------------------------------------------------------------

  #arp(at: number, length: number): void {
    this.protocol = "arp";
    this.#need(at, 8);
    const hrd = this.#u16(at);
    const pro = this.#u16(at + 2);
    const hln = this.#u8(at + 4);
    const pln = this.#u8(at + 5);
    const op = this.#u16(at + 6);
    const sha = at + 8;
    const spa = sha + hln;
    const tha = spa + pln;
    const tpa = tha + hln;
    this.#need(tpa, pln);
    if (!this.#ether) this.say("ARP, ");
    if (pro !== ethernet.ETH_P_IP || pln !== 4 || hln === 0) {
      const hw = ARP_HARDWARE[hrd] ?? `Unknown Hardware (${hrd})`;
      const pr = ETHER_TYPES[pro] ?? `Unknown Protocol (0x${pro.toString(16).padStart(4, "0")})`;
      this.say(`${hw} (len ${hln}), ${pr} (len ${pln}), length ${length}`);
      return;
    }
    const mac = (m: number): string => {
      let s = "";
      for (let i = 0; i < hln; i++) s += `${i > 0 ? ":" : ""}${this.#hex(m + i, 1)}`;
      return s;
    };
    switch (op) {
      case 1: {
        let known = false;
        for (let i = 0; i < hln; i++) if (this.#u8(tha + i) !== 0) known = true;
        this.say(`Request who-has ${this.#ip4(tpa)}${known ? ` (${mac(tha)})` : ""} tell ${this.#ip4(spa)}`);
        break;
      }
      case 2:
        this.say(`Reply ${this.#ip4(spa)} is-at ${mac(sha)}`);
        break;
      case 3:
        this.say(`Reverse Request who-is ${mac(tha)} tell ${mac(sha)}`);
        break;
      case 4:
        this.say(`Reverse Reply ${mac(tha)} at ${this.#ip4(tpa)}`);
        break;
      default:
        this.say(`Unknown (${op}) `);
        return;
    }
    this.say(`, length ${length}`);
  }

  // ---- IPv4 ---------------------------------------------------------------------------------------------------

  #printIp4(at: number, length: number): void {
    this.protocol = "ip";
    const v = this.#u8(at) >> 4;
    if (v !== 4) {
      this.say(`${v === 6 ? "IP6, wrong link-layer encapsulation" : `IP${v}`} (invalid)`);
      return;
    }
    if (!this.#ether) this.say("IP ");
    this.#need(at, ipv4.IPV4_HLEN);
    if (length < ipv4.IPV4_HLEN) {
      this.say(`truncated-ip ${length}`);
      return;
    }
    const hlen = ipv4.hlen(this.#view, at);
    if (hlen < ipv4.IPV4_HLEN) {
      this.say(`bad-hlen ${hlen}`);
      return;
    }
    const len = ipv4.totLen(this.#view, at);
    if (length < len) this.say(`truncated-ip - ${len - length} bytes missing! `);
    if (len < hlen) {
      this.say(`bad-len ${len}`);
      return;
    }
    const end = this.#end;
    this.#end = Math.min(end, at + len);
    const proto = ipv4.protocol(this.#view, at);
    const pair = `${this.#ip4(at + ipv4.OFF_SADDR)} > ${this.#ip4(at + ipv4.OFF_DADDR)}:`;
    if (ipv4.isLaterFragment(this.#view, at)) {
      this.say(`${pair} ip-proto-${proto}`);
    } else {
      if (!hasPorts(proto)) this.say(`${pair} `);
      if (!this.#has(at, hlen)) {
        this.say(` [remaining caplen(${this.#end - at}) < header length(${hlen})]`);
        throw new Truncated();
      }
      const outer: Outer = { at, version: 4, direct: true };
      const more = ipv4.mf(this.#view, at);
      this.#demux(at + hlen, len - hlen, outer, more, ipv4.ttl(this.#view, at), proto);
    }
    this.#end = end;
  }

  // ---- IPv6 ---------------------------------------------------------------------------------------------------

  #printIp6(at: number, length: number): void {
    this.protocol = "ip6";
    this.#need(at, ipv6.IPV6_HLEN);
    if (length < ipv6.IPV6_HLEN) {
      this.say(`truncated-ip6 ${length}`);
      return;
    }
    if (!this.#ether) this.say("IP6 ");
    const v = ipv6.version(this.#view, at);
    if (v !== 6) {
      this.say(`version error: ${v} != 6`);
      return;
    }
    const payload = ipv6.payloadLen(this.#view, at);
    let len = payload !== 0 ? payload + ipv6.IPV6_HLEN : length;
    if (payload !== 0 && length < len) this.say(`truncated-ip6 - ${len - length} bytes missing!`);
    const end = this.#end;
    this.#end = Math.min(end, at + len);
    const src = this.#ip6(at + ipv6.OFF_SADDR);
    const dst = this.#ip6(at + ipv6.OFF_DADDR);
    let next = ipv6.nexthdr(this.#view, at);
    if (!hasPorts(next)) this.say(`${src} > ${dst}: `);
    let off = at + ipv6.IPV6_HLEN;
    let direct = true;
    let fragmented = false;
    len -= ipv6.IPV6_HLEN;
    for (;;) {
      let n: number;
      if (next === ipv6.NEXTHDR_HOP || next === ipv6.NEXTHDR_DEST) {
        this.protocol = next === ipv6.NEXTHDR_HOP ? "hbhopt" : "dstopt";
        n = (this.#u8(off + 1) + 1) << 3;
        this.#need(off, n);
        this.say(next === ipv6.NEXTHDR_HOP ? "HBH " : "DSTOPT ");
      } else if (next === ipv6.NEXTHDR_ROUTING) {
        n = this.#routing6(off);
        if (n < 0) break;
      } else if (next === ipv6.NEXTHDR_FRAGMENT) {
        this.protocol = "frag6";
        const word = this.#u16(off + 2);
        this.say(`frag (${word & ipv6.IP6_OFFSET}|${at + ipv6.IPV6_HLEN + payload - off - ipv6.FRAG_HLEN})`);
        if ((word & ipv6.IP6_OFFSET) !== 0) break;
        this.say(" ");
        n = ipv6.FRAG_HLEN;
        fragmented = true;
        if (this.#end <= off + n) break;
      } else {
        const outer: Outer = { at, version: 6, direct };
        this.#demux(off, len, outer, fragmented, ipv6.hopLimit(this.#view, at), next);
        break;
      }
      direct = false;
      this.protocol = "ip6";
      next = this.#u8(off);
      off += n;
      len -= n;
      if (len < 0) throw new Truncated();
      if (off >= this.#end) break;
    }
    this.#end = end;
  }

  /** Routing header; its length, or -1 if it is malformed and ends the line. */
  #routing6(at: number): number {
    this.protocol = "rt6";
    const len = this.#u8(at + 1);
    const type = this.#u8(at + 2);
    this.say(
      `RT6 (len=${len}, type=${type}${type === 0 ? " [Deprecated]" : ""}, segleft=${this.#u8(at + 3)}`,
    );
    if (type === 4) {
      this.say(`, last-entry=${this.#u8(at + 4)}`);
      if (this.#u8(at + 5) !== 0) this.say(`, flags=0x${this.#u8(at + 5).toString(16)}`);
      this.say(`, tag=${this.#u16(at + 6).toString(16)}`);
    } else if (type !== 0 && type !== 2) {
      this.say(" (unknown type) (invalid)");
      return -1;
    } else if (this.#u32(at + 4) !== 0) {
      this.say(`, rsv=0x${this.#u32(at + 4).toString(16)}`);
    }
    if (len % 2 === 1) {
      this.say(` (invalid length ${len}) (invalid)`);
      return -1;
    }
    for (let i = 0; i < len >> 1; i++) this.say(`, [${i}]${this.#ip6(at + 8 + 16 * i)}`);
    this.say(") ");
    return (len + 1) << 3;
  }

  // ---- what IP carries ----------------------------------------------------------------------------------------

  #demux(at: number, length: number, outer: Outer, fragmented: boolean, ttl: number, proto: number): void {
    switch (proto) {
      case ipv4.IPPROTO_TCP:
        this.#tcp(at, length, outer);
        return;
      case ipv4.IPPROTO_UDP:
        this.#udp(at, length, outer, fragmented);
        return;
      case ipv4.IPPROTO_SCTP:
        this.#sctp(at, length, outer);
        return;
      case ipv4.IPPROTO_ICMP:
        if (outer.version === 4) this.#icmp(at, length);
        else this.say("[ICMP requires IPv4] (invalid)");
        return;
      case ipv4.IPPROTO_ICMPV6:
        if (outer.version === 6) this.#icmp6(at, length);
        else this.say("[ICMPv6 requires IPv6] (invalid)");
        return;
      case ipv4.IPPROTO_IGMP:
        if (outer.version === 4) this.#igmp(at, length);
        else this.say("[IGMP requires IPv4] (invalid)");
        return;
      case ipv4.IPPROTO_IPIP:
        this.#printIp4(at, length);
        return;
      case ipv4.IPPROTO_IPV6:
        this.#printIp6(at, length);
        return;
      case ipv4.IPPROTO_GRE:
        this.#gre(at, length);
        return;
      case ipv4.IPPROTO_ESP:
        this.protocol = "esp";
        this.#need(at, 8);
        this.say(`ESP(spi=0x${this.#hex(at, 4)},seq=0x${this.#u32(at + 4).toString(16)}), length ${length}`);
        return;
      case ipv4.IPPROTO_AH: {
        this.protocol = "ah";
        const words = this.#u8(at + 1);
        const hlen = (words + 2) << 2;
        const reserved = this.#u16(at + 2);
        this.say("AH(");
        if (reserved !== 0) this.say(`reserved=0x${reserved.toString(16)}[MustBeZero],`);
        this.say(`spi=0x${this.#hex(at + 4, 4)},`);
        this.say(`seq=0x${this.#u32(at + 8).toString(16)},icv=0x`);
        this.#sayHex(at + 12, Math.max(0, hlen - 12));
        this.say("): ");
        const inner: Outer = { ...outer, direct: false };
        this.#demux(at + hlen, length - hlen, inner, fragmented, ttl, this.#u8(at));
        return;
      }
      case ipv4.IPPROTO_VRRP:
        this.#vrrp(at, length, ttl);
        return;
      case ipv6.NEXTHDR_NONE:
        this.say("no next header");
        return;
      default:
        this.say(` ip-proto-${proto} ${length}`);
    }
  }

  /** `a.sport > b.dport: `, or without the addresses if an extension header stands between. */
  #endpoints(sport: number, dport: number, outer: Outer): string {
    if (!outer.direct) return `${sport} > ${dport}`;
    return outer.version === 4
      ? `${this.#ip4(outer.at + ipv4.OFF_SADDR)}.${sport} > ${this.#ip4(outer.at + ipv4.OFF_DADDR)}.${dport}`
      : `${this.#ip6(outer.at + ipv6.OFF_SADDR)}.${sport} > ${this.#ip6(outer.at + ipv6.OFF_DADDR)}.${dport}`;
  }

  #addresses(outer: Outer): string {
    return outer.version === 4
      ? `${this.#ip4(outer.at + ipv4.OFF_SADDR)} > ${this.#ip4(outer.at + ipv4.OFF_DADDR)}`
      : `${this.#ip6(outer.at + ipv6.OFF_SADDR)} > ${this.#ip6(outer.at + ipv6.OFF_DADDR)}`;
  }

  // ---- TCP ----------------------------------------------------------------------------------------------------

  #tcp(at: number, length: number, outer: Outer): void {
    this.protocol = "tcp";
    if (!this.#has(at, 4)) {
      this.say(`${this.#addresses(outer)}: [|tcp]`);
      return;
    }
    const sport = this.#u16(at);
    const dport = this.#u16(at + 2);
    this.say(`${this.#endpoints(sport, dport, outer)}: `);
    this.#need(at, tcp.TCP_HLEN);
    const hlen = tcp.hlen(this.#view, at);
    if (hlen < tcp.TCP_HLEN) {
      this.say(` tcp ${(length - hlen) >>> 0} [bad hdr length ${hlen} - too short, < 20]`);
      return;
    }
    const flags = tcp.flags(this.#view, at);
    let seq = this.#u32(at + tcp.OFF_SEQ);
    let ack = this.#u32(at + tcp.OFF_ACK_SEQ);
    this.say(`Flags [${tcpFlags(flags)}]`);
    let sackBase = 0;
    const seqs = this.#opts.sequences;
    if (seqs !== undefined && (flags & tcp.TCPHDR_ACK) !== 0) {
      const src = outer.version === 4 ? this.#ip4(outer.at + 12) : this.#ip6(outer.at + 8);
      const dst = outer.version === 4 ? this.#ip4(outer.at + 16) : this.#ip6(outer.at + 24);
      const rev = sport > dport || (sport === dport && this.#srcAfterDst(outer));
      const key = rev ? `${dst} ${dport} ${src} ${sport}` : `${src} ${sport} ${dst} ${dport}`;
      const fresh = (flags & tcp.TCPHDR_SYN) !== 0;
      const b = rev
        ? seqs.base(key, fresh, (ack - 1) >>> 0, seq)
        : seqs.base(key, fresh, seq, (ack - 1) >>> 0);
      if (b.known) {
        seq = (seq - (rev ? b.ack : b.seq)) >>> 0;
        ack = (ack - (rev ? b.seq : b.ack)) >>> 0;
      }
      sackBase = rev ? b.seq : b.ack;
    }
    if (hlen > length) {
      this.say(` [bad hdr length ${hlen} - too long, > ${length}]`);
      return;
    }
    const dataLen = length - hlen;
    if (dataLen > 0 || (flags & (tcp.TCPHDR_SYN | tcp.TCPHDR_FIN | tcp.TCPHDR_RST)) !== 0) {
      this.say(`, seq ${seq}`);
      if (dataLen > 0) this.say(`:${(seq + dataLen) >>> 0}`);
    }
    if ((flags & tcp.TCPHDR_ACK) !== 0) this.say(`, ack ${ack}`);
    this.say(`, win ${tcp.window(this.#view, at)}`);
    if ((flags & tcp.TCPHDR_URG) !== 0) this.say(`, urg ${tcp.urgPtr(this.#view, at)}`);
    if (hlen > tcp.TCP_HLEN && !this.#tcpOptions(at + tcp.TCP_HLEN, at + hlen, sackBase)) return;
    this.say(`, length ${dataLen}`);
    if (dataLen === 0) return;
    if (!this.#has(at, hlen)) throw new Truncated();
    if (HTTP_PORTS.includes(sport) || HTTP_PORTS.includes(dport)) this.#http(at + hlen, at + length);
  }

  #srcAfterDst(outer: Outer): boolean {
    const n = outer.version === 4 ? 4 : 16;
    const src = outer.at + (n === 4 ? ipv4.OFF_SADDR : ipv6.OFF_SADDR);
    for (let i = 0; i < n; i++) {
      const d = this.#u8(src + i) - this.#u8(src + n + i);
      if (d !== 0) return d > 0;
    }
    return false;
  }

  /** `, options [...]`; false if the list is malformed, which ends the line. */
  #tcpOptions(from: number, end: number, sackBase: number): boolean {
    this.say(", options [");
    let at = from;
    let sep = "";
    const bad = (): boolean => {
      this.say(`[bad opt]${sep === "" ? "" : "]"}`);
      return false;
    };
    while (at < end) {
      this.say(sep);
      const kind = this.#u8(at);
      const name = TCP_OPTIONS[kind] ?? `unknown-${kind}`;
      if (kind === tcp.TCPOPT_EOL || kind === tcp.TCPOPT_NOP) {
        this.say(name);
        at++;
        sep = ",";
        if (kind === tcp.TCPOPT_EOL) break;
        continue;
      }
      const len = this.#u8(at + 1);
      if (len < 2 || len > end - at) return bad();
      this.say(name);
      // Bytes that the option must have; more or fewer are remarked on.
      const want = TCP_OPTION_DATA[kind] ?? len - 2;
      if (want > end - at - 2) return bad();
      const v = at + 2;
      switch (kind) {
        case tcp.TCPOPT_MSS:
          this.say(` ${this.#u16(v)}`);
          break;
        case tcp.TCPOPT_WINDOW:
          this.say(` ${this.#u8(v)}`);
          break;
        case tcp.TCPOPT_SACK_PERM:
          break;
        case tcp.TCPOPT_TIMESTAMP:
          this.say(` val ${this.#u32(v)} ecr ${this.#u32(v + 4)}`);
          break;
        case tcp.TCPOPT_SACK:
          if (want % 8 !== 0) {
            this.say(" invalid sack");
            break;
          }
          this.say(` ${want / 8} `);
          for (let i = 0; i < want; i += 8) {
            const l = (this.#u32(v + i) - sackBase) >>> 0;
            const r = (this.#u32(v + i + 4) - sackBase) >>> 0;
            this.say(`{${l}:${r}}`);
          }
          break;
        default:
          if (want > 0) {
            this.say(" 0x");
            this.#sayHex(v, want);
          }
      }
      if (want + 2 !== len) this.say(`[len ${len}]`);
      at += 2 + want;
      sep = ",";
    }
    this.say("]");
    return true;
  }

  /** The first line of a request or response; nothing of it if it is neither. */
  #http(at: number, end: number): void {
    this.say(": HTTP");
    this.protocol = "http";
    let line = "";
    let i = at;
    let ended = "";
    for (; i < end && this.#has(i, 1) && ended === ""; i++) {
      const c = this.#u8(i);
      if (c === 10) ended = "newline";
      else if (c === 13) ended = i + 1 < end && this.#u8(i + 1) === 10 ? "newline" : "binary";
      else if ((c < 32 || c > 126) && c !== 9) ended = "binary";
      else line += String.fromCharCode(c);
    }
    const [first, second] = line.trimStart().split(/\s+/, 2);
    const isRequest = HTTP_METHODS.has((first ?? "").toUpperCase());
    if (!isRequest && !/^[0-9]{3}$/.test(second ?? "")) return;
    if (ended === "binary") return;
    if (ended === "" && i < end) throw new Truncated();
    this.say(`: ${line}`);
    if (ended === "") this.say(" [|http]");
  }

  // ---- UDP and its tunnels ------------------------------------------------------------------------------------

  #udp(at: number, length: number, outer: Outer, fragmented: boolean): void {
    this.protocol = "udp";
    if (!this.#has(at, 4)) {
      this.say(`${outer.direct ? `${this.#addresses(outer)}: ` : ""} [|udp]`);
      return;
    }
    const sport = this.#u16(at);
    const dport = this.#u16(at + 2);
    this.say(`${this.#endpoints(sport, dport, outer)}: `);
    if (length < 8) {
      this.say(`truncated-udp ${length}`);
      return;
    }
    const ulen = this.#u16(at + 4);
    if (ulen < 8) {
      this.say(`truncated-udplength ${ulen}`);
      return;
    }
    if (at + 8 > this.#end) throw new Truncated();
    const claimed = ulen - 8;
    const there = Math.min(claimed, length - 8);
    const on = (port: number): boolean => sport === port || dport === port;
    const vxlanPorts = this.#opts.vxlanPorts ?? [vxlan.VXLAN_PORT];
    if (vxlanPorts.some(on)) this.#vxlan(at + 8, there);
    else if (on(OTV_PORT)) this.#otv(at + 8, there);
    else if (on(geneve.GENEVE_PORT)) this.#geneve(at + 8, there);
    else if (claimed > there && !fragmented) this.say(`UDP, bad length ${claimed} > ${there}`);
    else this.say(`UDP, length ${claimed}`);
  }

  #vxlan(at: number, length: number): void {
    this.protocol = "vxlan";
    this.say("VXLAN");
    if (length < vxlan.VXLAN_HLEN) {
      this.say(" (invalid)");
      return;
    }
    const f = this.#u8(at);
    this.say(`, flags [${(f & vxlan.VXLAN_F_VNI) !== 0 ? "I" : "invalid"}] (0x${this.#hex(at, 1)}), `);
    this.#need(at, vxlan.VXLAN_HLEN - 1);
    this.say(`vni ${this.#u32(at + 3) & 0xffffff}: `);
    this.#need(at, vxlan.VXLAN_HLEN);
    this.#etherFrame(at + vxlan.VXLAN_HLEN, length - vxlan.VXLAN_HLEN);
  }

  #otv(at: number, length: number): void {
    this.protocol = "otv";
    this.say("OTV, ");
    if (length < 8) {
      this.say(`[length ${length} < 8] (invalid)`);
      return;
    }
    const f = this.#u8(at);
    this.say(`flags [${(f & 8) !== 0 ? "I" : "."}] (0x${this.#hex(at, 1)}), `);
    this.#need(at, 8);
    this.say(`overlay ${this.#u32(at) & 0xffffff}, instance ${vxlan.vni(this.#view, at)}: `);
    this.#etherFrame(at + 8, length - 8);
  }

  #geneve(at: number, length: number): void {
    this.protocol = "geneve";
    this.say("Geneve");
    if (length < geneve.GENEVE_HLEN) {
      this.say(` [length ${length} < 8] (invalid)`);
      return;
    }
    this.#need(at, geneve.GENEVE_HLEN);
    const version = geneve.version(this.#view, at);
    if (version !== 0) {
      this.say(` ERROR: unknown-version ${version}`);
      return;
    }
    const f = this.#u8(at + 1);
    const names = ["O", "C", "R1", "R2", "R3", "R4", "R5", "R6"].filter((_, i) => (f & (0x80 >> i)) !== 0);
    this.say(`, Flags [${names.length > 0 ? names.join("") : "none"}]`);
    this.say(`, vni 0x${geneve.vni(this.#view, at).toString(16)}`);
    const reserved = this.#u8(at + 7);
    if (reserved !== 0) this.say(`, rsvd 0x${reserved.toString(16)}`);
    const proto = geneve.proto(this.#view, at);
    if (this.#ether) this.say(`, proto ${etherTypeName(proto, "unknown")}`);
    const opts = geneve.optLen(this.#view, at);
    const left = length - geneve.GENEVE_HLEN;
    if (left < opts) {
      this.say(` truncated-geneve - ${opts - left} bytes missing`);
      return;
    }
    this.#need(at + geneve.GENEVE_HLEN, opts);
    if (opts > 0) this.say(`, options [${opts} bytes]`);
    this.say(": ");
    const inner = at + geneve.GENEVE_HLEN + opts;
    if (proto === ethernet.ETH_P_TEB) this.#etherFrame(inner, left - opts);
    else if (!this.#network(proto, inner, left - opts)) this.say(`geneve-proto-0x${proto.toString(16)}`);
  }

  #gre(at: number, length: number): void {
    this.protocol = "gre";
    const flags = this.#u16(at);
    const version = flags & 7;
    this.say(`GREv${version}`);
    if (version !== 0) {
      if (version !== 1) this.say(" ERROR: unknown-version");
      return;
    }
    const proto = this.#u16(at + 2);
    let off = at + 4;
    if ((flags & 0xc000) !== 0) {
      this.say(`, off 0x${this.#u16(off + 2).toString(16)}`);
      off += 4;
    }
    if ((flags & 0x2000) !== 0) {
      this.say(`, key=0x${this.#u32(off).toString(16)}`);
      off += 4;
    }
    if ((flags & 0x1000) !== 0) {
      this.say(`, seq ${this.#u32(off)}`);
      off += 4;
    }
    if (this.#ether) this.say(`, proto ${etherTypeName(proto, "unknown")}`);
    this.say(`, length ${length}: `);
    const left = length - (off - at);
    if (proto === ethernet.ETH_P_TEB) this.#etherFrame(off, left);
    else if (!this.#network(proto, off, left)) this.say(`gre-proto-0x${proto.toString(16)}`);
  }

  // ---- SCTP ---------------------------------------------------------------------------------------------------

  #sctp(at: number, length: number, outer: Outer): void {
    this.protocol = "sctp";
    if (length < 12) {
      this.say(`truncated-sctp - ${12 - length} bytes missing!`);
      return;
    }
    this.#need(at, 12);
    const o: Outer = { ...outer, direct: true };
    this.say(`${this.#endpoints(this.#u16(at), this.#u16(at + 2), o)}: sctp`);
    let off = at + 12;
    let left = length - 12;
    let sep = " (";
    for (let n = 1; left > 0; n++) {
      if (left < 4) {
        this.say(`${sep}${n}) [chunk descriptor cut off at end of packet]`);
        return;
      }
      this.#need(off, 4);
      const type = this.#u8(off);
      const flags = this.#u8(off + 1);
      const len = this.#u16(off + 2);
      if (len < 4) {
        this.say(`${sep}${n}) [Bad chunk length ${len}, < size of chunk descriptor]`);
        return;
      }
      const padded = (len + 3) & ~3;
      if (left < padded - len) {
        this.say(`${sep}${n}) [Bad chunk length ${len}, > remaining data in packet]`);
        return;
      }
      this.#need(off, len);
      this.say(`${sep}${n}) [${SCTP_CHUNKS[type] ?? `Unknown chunk type: 0x${type.toString(16)}`}] `);
      if (!this.#sctpChunk(type, flags, off + 4, len)) return;
      sep = ", (";
      this.#need(off, padded);
      off += padded;
      left -= padded;
    }
  }

  #sctpChunk(type: number, flags: number, at: number, len: number): boolean {
    const least = type === 0 ? 13 : type === 1 || type === 2 ? 16 : type === 3 ? 12 : 0;
    if (type === 0) {
      const marks = `${(flags & 4) !== 0 ? "(U)" : ""}${(flags & 2) !== 0 ? "(B)" : ""}${
        (flags & 1) !== 0 ? "(E)" : ""
      }`;
      this.say(marks === "" ? "" : `${marks} `);
    }
    if (len - 4 < (type === 0 ? 12 : least)) {
      this.say(`bogus chunk length ${len}]`);
      return false;
    }
    if (type === 0) {
      this.say(`[TSN: ${this.#u32(at)}] [SID: ${this.#u16(at + 4)}] [SSEQ ${this.#u16(at + 6)}] `);
      const ppid = this.#u32(at + 8);
      this.say(`[PPID ${SCTP_PPIDS[ppid] ?? `0x${ppid.toString(16)}`}] `);
      if (len - 4 < least) {
        this.say(`bogus chunk length ${len}]`);
        return false;
      }
    } else if (type === 1 || type === 2) {
      this.say(`[init tag: ${this.#u32(at)}] [rwnd: ${this.#u32(at + 4)}] [OS: ${this.#u16(at + 8)}] `);
      this.say(`[MIS: ${this.#u16(at + 10)}] [init TSN: ${this.#u32(at + 12)}] `);
    } else if (type === 3) {
      this.say(`[cum ack ${this.#u32(at)}] [a_rwnd ${this.#u32(at + 4)}] `);
      this.say(`[#gap acks ${this.#u16(at + 8)}] [#dup tsns ${this.#u16(at + 10)}] `);
    }
    return true;
  }

  // ---- ICMP ---------------------------------------------------------------------------------------------------

  #icmp(at: number, length: number): void {
    this.protocol = "icmp";
    const type = this.#u8(at);
    const code = this.#u8(at + 1);
    const text = this.#icmpText(at, type, code);
    this.say(`ICMP ${text}, length ${length}`);
  }

  #icmpText(at: number, type: number, code: number): string {
    // The packet that an error quotes starts at +8, its addresses lie at +20 and +24.
    const quoted = at + 8;
    const dst = (): string => this.#ip4(quoted + ipv4.OFF_DADDR);
    switch (type) {
      case 0:
      case 8:
        return `echo ${type === 8 ? "request" : "reply"}, id ${this.#u16(at + 4)}, seq ${this.#u16(at + 6)}`;
      case 3:
        switch (code) {
          case 0:
            return `net ${dst()} unreachable`;
          case 1:
            return `host ${dst()} unreachable`;
          case 2:
            return `${dst()} protocol ${this.#u8(quoted + ipv4.OFF_PROTOCOL)} unreachable`;
          case 3: {
            const l4 = quoted + ((this.#u8(quoted) & 0xf) << 2);
            const port = this.#u16(l4 + 2);
            const proto = this.#u8(quoted + ipv4.OFF_PROTOCOL);
            if (proto === ipv4.IPPROTO_TCP) return `${dst()} tcp port ${port} unreachable`;
            if (proto === ipv4.IPPROTO_UDP) return `${dst()} udp port ${port} unreachable`;
            return `${dst()} protocol ${proto} port ${port} unreachable`;
          }
          case 4: {
            const mtu = this.#u16(at + 6);
            return `${dst()} unreachable - need to frag${mtu !== 0 ? ` (mtu ${mtu})` : ""}`;
          }
          default: {
            const t = UNREACH_CODES[code];
            return t === undefined ? `${dst()} unreachable - #${code}` : t.replace("%", dst());
          }
        }
      case 4:
        return "source quench";
      case 5: {
        const gw = this.#ip4(at + 4);
        if (code > 3) return `redirect-#${code} ${dst()} to ${gw}`;
        return `redirect${code >= 2 ? "-tos" : ""} ${dst()} to ${code % 2 === 0 ? "net" : "host"} ${gw}`;
      }
      case 9:
        return `router advertisement${this.#routerAdvert(at)}`;
      case 10:
        return "router solicitation";
      case 11:
        this.#need(quoted + ipv4.OFF_DADDR, 4);
        if (code === 0) return "time exceeded in-transit";
        return code === 1 ? "ip reassembly time exceeded" : `time exceeded-#${code}`;
      case 12:
        return code !== 0
          ? `parameter problem - code ${code}`
          : `parameter problem - octet ${this.#u8(at + 4)}`;
      case 13:
        return `time stamp query id ${this.#u16(at + 4)} seq ${this.#u16(at + 6)}`;
      case 14:
        return (
          `time stamp reply id ${this.#u16(at + 4)} seq ${this.#u16(at + 6)}: ` +
          `org ${clock(this.#u32(at + 8))}, recv ${clock(this.#u32(at + 12))}, xmit ${clock(this.#u32(at + 16))}`
        );
      case 15:
        return "information request";
      case 16:
        return "information reply";
      case 17:
        return "address mask request";
      case 18:
        return `address mask is 0x${this.#hex(at + 8, 4)}`;
      default:
        return `type-#${type}`;
    }
  }

  /** RFC 1256: count, words per entry, lifetime in seconds, then address and preference. */
  #routerAdvert(at: number): string {
    this.#need(at + 4, 4);
    const count = this.#u8(at + 4);
    const size = this.#u8(at + 5);
    const life = this.#u16(at + 6);
    const p = (n: number): string => String(n % 60).padStart(2, "0");
    let s = ` lifetime ${life < 60 ? life : life < 3600 ? `${Math.floor(life / 60)}:${p(life)}` : ""}`;
    if (life >= 3600) s += `${Math.floor(life / 3600)}:${p(Math.floor(life / 60))}:${p(life)}`;
    s += ` ${count}:`;
    if (size !== 2) return `${s} [size ${size}]`;
    for (let i = 0; i < count; i++) {
      s += ` {${this.#ip4(at + 8 + 8 * i)} ${this.#u32(at + 12 + 8 * i)}}`;
    }
    return s;
  }

  #icmp6(at: number, length: number): void {
    this.protocol = "icmp6";
    if (length === 0) {
      this.say("ICMP6, length 0 (invalid)");
      return;
    }
    const type = this.#u8(at);
    this.say(`ICMP6, ${ICMP6_TYPES[type] ?? `unknown icmp6 type (${type})`}`);
    const code = this.#u8(at + 1);
    const quoted = at + 8;
    switch (type) {
      case 1: {
        this.say(`, ${UNREACH6_CODES[code] ?? `unknown unreach code (${code})`}`);
        if (code === 0 || code === 1 || code === 3) this.say(` ${this.#ip6(quoted + 24)}`);
        else if (code === 2) this.say(` ${this.#ip6(quoted + 24)}, source address ${this.#ip6(quoted + 8)}`);
        else if (code === 4) this.#portUnreach6(quoted);
        else return;
        break;
      }
      case 2:
        this.say(`, mtu ${this.#u32(at + 4)}`);
        break;
      case 3:
        if (code === 0) this.say(` for ${this.#ip6(quoted + 24)}`);
        else this.say(code === 1 ? " (reassembly)" : `, unknown code (${code})`);
        break;
      case 4: {
        this.#need(quoted + 24, 16);
        const what = ["erroneous", "next header", "option", "incomplete header chain"][code];
        this.say(what === undefined ? `, code-#${code}` : `, ${what} - octet ${this.#u32(at + 4)}`);
        break;
      }
      case 128:
      case 129:
        this.say(`, id ${this.#u16(at + 4)}, seq ${this.#u16(at + 6)}`);
        break;
      case 130:
        if (length === 24) this.#mld(at);
        else if (length >= 28) this.#mld2Query(at);
        else this.say(` unknown-version (len ${length}) `);
        break;
      case 131:
      case 132:
        this.#mld(at);
        break;
      case 143: {
        this.protocol = "mldv2";
        this.say(`, ${this.#u16(at + 6)} group record(s)`);
        break;
      }
      case 133:
      case 134:
        break;
      case 135:
        this.say(`, who has ${this.#ip6(at + 8)}`);
        break;
      case 136:
        this.say(`, tgt is ${this.#ip6(at + 8)}`);
        break;
      case 137:
        this.say(`, ${this.#ip6(at + 24)} to ${this.#ip6(at + 8)}`);
        break;
    }
    this.say(`, length ${length}`);
  }

  #mld(at: number): void {
    if (!this.#has(at, 24)) return;
    this.say(`max resp delay: ${this.#u16(at + 4)} addr: ${this.#ip6(at + 8)}`);
  }

  #mld2Query(at: number): void {
    this.say(" v2");
    this.protocol = "icmp6";
    const sources = this.#u16(at + 26);
    this.say(` [gaddr ${this.#ip6(at + 8)}${sources > 0 ? `, ${sources} source(s)` : ""}]`);
  }

  #portUnreach6(quoted: number): void {
    const w = new ipv6.ExtWalk();
    this.#need(quoted, ipv6.IPV6_HLEN);
    ipv6.walkExt(this.#view, quoted, this.#end, w);
    const dst = this.#ip6(quoted + ipv6.OFF_DADDR);
    const port = this.#u16(w.offset + 2);
    const name = w.nexthdr === ipv4.IPPROTO_TCP ? "tcp" : w.nexthdr === ipv4.IPPROTO_UDP ? "udp" : undefined;
    this.say(
      name !== undefined
        ? `, ${dst} ${name} port ${port}`
        : `, ${dst} protocol ${w.nexthdr} port ${port} unreachable`,
    );
  }

  // ---- the rest -----------------------------------------------------------------------------------------------

  #igmp(at: number, length: number): void {
    this.protocol = "igmp";
    const type = this.#u8(at);
    switch (type) {
      case 0x11: {
        this.say("igmp query");
        if (length >= 12) {
          this.#igmp3Query(at, length);
          return;
        }
        const max = this.#u8(at + 1);
        this.say(max !== 0 ? ` v2${max !== 100 ? ` [max resp time ${max}]` : ""}` : " v1");
        if (this.#u32(at + 4) !== 0) this.say(` [gaddr ${this.#ip4(at + 4)}]`);
        if (length !== 8) this.say(` [len ${length}]`);
        return;
      }
      case 0x12:
        this.say(`igmp v1 report ${this.#ip4(at + 4)}${length !== 8 ? ` [len ${length}]` : ""}`);
        return;
      case 0x16:
        this.say(`igmp v2 report ${this.#ip4(at + 4)}`);
        return;
      case 0x17:
        this.say(`igmp leave ${this.#ip4(at + 4)}`);
        return;
      case 0x22:
        this.say("igmp v3 report");
        if (length < 16 || length % 4 !== 0) this.say(` [invalid len ${length}]`);
        else this.say(`, ${this.#u16(at + 6)} group record(s)`);
        return;
      default:
        this.say(`igmp-${type}`);
    }
  }

  #igmp3Query(at: number, length: number): void {
    this.say(" v3");
    if (length % 4 !== 0) {
      this.say(` [invalid len ${length}]`);
      return;
    }
    const code = this.#u8(at + 1);
    const tenths = code < 128 ? code : ((code & 0x0f) | 0x10) << (((code & 0x70) >> 4) + 3);
    if (code !== 100) this.say(` [max resp time ${maxRespTime(tenths)}]`);
    if (this.#u32(at + 4) === 0) return;
    this.say(` [gaddr ${this.#ip4(at + 4)}`);
    const sources = this.#u16(at + 10);
    if (sources > 0) {
      this.say(length < 12 + sources * 4 ? " [invalid number of sources]" : `, ${sources} source(s)`);
    }
    this.say("]");
  }

  #vrrp(at: number, length: number, ttl: number): void {
    this.protocol = "vrrp";
    const version = this.#u8(at) >> 4;
    const type = this.#u8(at) & 0xf;
    this.say(`VRRPv${version}, ${type === 1 ? "Advertisement" : `unknown type (${type})`}`);
    if (ttl !== 255) this.say(`, (ttl ${ttl})`);
    if (version < 2 || version > 3 || type !== 1) return;
    this.say(`, vrid ${this.#u8(at + 1)}, prio ${this.#u8(at + 2)}`);
    if (version === 2) {
      const auth = this.#u8(at + 4);
      this.say(`, authtype ${["none", "simple", "ah"][auth] ?? `#${auth}`}`);
      this.say(`, intvl ${this.#u8(at + 5)}s, length ${length}`);
    } else {
      this.say(`, intvl ${this.#u16(at + 4) & 0xfff}cs, length ${length}`);
    }
  }
}

/** Protocols whose printer writes the addresses itself. */
function hasPorts(proto: number): boolean {
  return proto === ipv4.IPPROTO_TCP || proto === ipv4.IPPROTO_UDP || proto === ipv4.IPPROTO_SCTP;
}

function etherTypeName(type: number, unknown = "Unknown"): string {
  return `${ETHER_TYPES[type] ?? unknown} (0x${type.toString(16).padStart(4, "0")})`;
}

function tcpFlags(f: number): string {
  let s = "";
  for (let i = 0; i < 8; i++) if ((f & (1 << i)) !== 0) s += "FSRP.UEW"[i];
  return s === "" ? "none" : s;
}

/** Milliseconds since midnight. */
function clock(ms: number): string {
  const p = (n: number, w: number): string => String(n).padStart(w, "0");
  const s = Math.floor(ms / 1000);
  return `${p(Math.floor(s / 3600), 2)}:${p(Math.floor(s / 60) % 60, 2)}:${p(s % 60, 2)}.${p(ms % 1000, 3)}`;
}

function maxRespTime(tenths: number): string {
  if (tenths < 600) return `${(tenths / 10).toFixed(1)}s`;
  let s = Math.floor(tenths / 10);
  let out = "";
  for (const [unit, secs] of [
    ["w", 604800],
    ["d", 86400],
    ["h", 3600],
    ["m", 60],
    ["s", 1],
  ] as const) {
    if (s >= secs) out += `${Math.floor(s / secs)}${unit}`;
    s %= secs;
  }
  return out;
}

type Names = { readonly [n: number]: string };

const ETHER_TYPES: Names = {
  2048: "IPv4",
  2054: "ARP",
  25944: "TEB",
  32821: "Reverse ARP",
  33024: "802.1Q",
  34525: "IPv6",
  34887: "MPLS unicast",
  34888: "MPLS multicast",
  34915: "PPPoE D",
  34916: "PPPoE S",
  34984: "802.1Q-QinQ",
  35020: "LLDP",
};

const TCP_OPTIONS: Names = {
  0: "eol",
  1: "nop",
  2: "mss",
  3: "wscale",
  4: "sackOK",
  5: "sack",
  6: "echo",
  7: "echoreply",
  8: "TS",
  19: "md5",
  28: "uto",
  29: "tcp-ao",
  30: "mptcp",
  34: "tfo",
  254: "exp",
};

const TCP_OPTION_DATA: { readonly [kind: number]: number } = { 2: 2, 3: 1, 4: 0, 8: 8 };

const SCTP_CHUNKS: Names = {
  0: "DATA",
  1: "INIT",
  2: "INIT ACK",
  3: "SACK",
  4: "HB REQ",
  5: "HB ACK",
  6: "ABORT",
  7: "SHUTDOWN",
  8: "SHUTDOWN ACK",
  9: "OP ERR",
  10: "COOKIE ECHO",
  11: "COOKIE ACK",
  12: "ECN ECHO",
  13: "ECN CWR",
  14: "SHUTDOWN COMPLETE",
  192: "FOR CUM TSN",
};

/** Payload protocols of SCTP by their assigned number. */
const SCTP_PPIDS: Names = {
  1: "ISDN Q.921",
  2: "M2UA",
  3: "M3UA",
  4: "SUA",
  5: "M2PA",
  6: "V5.2",
  7: "H.248",
  8: "BICC",
  9: "TALI",
  10: "DUA",
  11: "ASAP",
  12: "ENRP",
  13: "H.323",
  14: "Q.IPC",
  18: "S1AP",
  27: "X2AP",
};

const ARP_HARDWARE: Names = {
  1: "Ethernet",
  6: "TokenRing",
  7: "ArcNet",
  15: "FrameRelay",
  24: "Infiniband",
};

const UNREACH_CODES: Names = {
  5: "% unreachable - source route failed",
  6: "net % unreachable - unknown",
  7: "host % unreachable - unknown",
  8: "% unreachable - source host isolated",
  9: "net % unreachable - admin prohibited",
  10: "host % unreachable - admin prohibited",
  11: "net % unreachable - tos prohibited",
  12: "host % unreachable - tos prohibited",
  13: "host % unreachable - admin prohibited filter",
  14: "host % unreachable - host precedence violation",
  15: "host % unreachable - precedence cutoff",
};

const ICMP6_TYPES: Names = {
  1: "destination unreachable",
  2: "packet too big",
  3: "time exceeded in-transit",
  4: "parameter problem",
  128: "echo request",
  129: "echo reply",
  130: "multicast listener query",
  131: "multicast listener report",
  132: "multicast listener done",
  133: "router solicitation",
  134: "router advertisement",
  135: "neighbor solicitation",
  136: "neighbor advertisement",
  137: "redirect",
  143: "multicast listener report v2",
};

const UNREACH6_CODES: Names = {
  0: "unreachable route",
  1: " unreachable prohibited",
  2: "beyond scope",
  3: "unreachable address",
  4: "unreachable port",
};

const HTTP_METHODS: ReadonlySet<string> = new Set([
  "GET",
  "PUT",
  "COPY",
  "HEAD",
  "LOCK",
  "MOVE",
  "POLL",
  "POST",
  "TRACE",
  "PATCH",
  "DELETE",
  "CONNECT",
  "OPTIONS",
  "PROPFIND",
  "PROPPATCH",
  "MKCOL",
  "UNLOCK",
  "SUBSCRIBE",
  "UNSUBSCRIBE",
]);
