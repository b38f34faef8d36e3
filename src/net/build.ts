// Frames from plain objects: for tests, scenarios' traffic and whoever sends a few packets. Layers are given from
// the outside in; lengths, EtherTypes, protocol numbers and checksums that are not given are worked out.
//
//   buildFrame([eth({ src, dst }), ip4({ src: "10.0.0.1", dst: "10.0.0.2" }), udp({ src: 1234, dst: 53 }), "hi"])
//
// It allocates; the packet path uses the `write` functions of the header files, or `writeIpv4` below with an
// object that the caller keeps.

import type { Be32 } from "../base/brand.js";
import { PodpathError } from "../base/errors.js";
import { parseIpv4, parseIpv6, parseMac } from "./address.js";
import * as arpHdr from "./arp.js";
import * as ethHdr from "./ethernet.js";
import * as geneveHdr from "./geneve.js";
import * as icmpHdr from "./icmp.js";
import * as icmp6Hdr from "./icmpv6.js";
import * as ipv4 from "./ipv4.js";
import * as ipv6 from "./ipv6.js";
import * as sctpHdr from "./sctp.js";
import * as tcpHdr from "./tcp.js";
import * as udpHdr from "./udp.js";
import * as vxlanHdr from "./vxlan.js";

/** Text, or the bytes themselves. */
export type MacInput = string | Uint8Array;
/** Text, or a Be32. */
export type Ip4Input = string | Be32 | number;
/** Text, or 16 bytes. */
export type Ip6Input = string | Uint8Array;

export interface EthFields {
  readonly dst: MacInput;
  readonly src: MacInput;
  /** EtherType; default by the next layer. */
  readonly type?: number;
  /** 802.1Q TCIs, outermost first. */
  readonly vlan?: readonly number[];
}

export interface ArpFields {
  /** Default request. */
  readonly op?: number;
  readonly sha: MacInput;
  readonly spa: Ip4Input;
  /** Default zero. */
  readonly tha?: MacInput;
  readonly tpa: Ip4Input;
}

export interface Ip4Fields {
  readonly src: Ip4Input;
  readonly dst: Ip4Input;
  readonly tos?: number;
  readonly id?: number;
  readonly df?: boolean;
  readonly mf?: boolean;
  /** Bytes, a multiple of 8. */
  readonly fragOffset?: number;
  /** Default 64. */
  readonly ttl?: number;
  /** Default by the next layer. */
  readonly proto?: number;
  /** Raw options, padded to a multiple of 4 with zeros. */
  readonly options?: Uint8Array;
  /** Default: what follows. */
  readonly totLen?: number;
  /** Default: computed. */
  readonly check?: number;
}

export interface Ip6Fields {
  readonly src: Ip6Input;
  readonly dst: Ip6Input;
  readonly tclass?: number;
  readonly flowLabel?: number;
  /** Default 64. */
  readonly hopLimit?: number;
  /** Default by the next layer. */
  readonly nexthdr?: number;
  readonly payloadLen?: number;
}

/** An extension header: the body behind its two first bytes, padded to a multiple of 8 in all. */
export interface ExtFields {
  /** NEXTHDR_HOP, NEXTHDR_ROUTING or NEXTHDR_DEST. */
  readonly kind: number;
  readonly body?: Uint8Array;
}

export interface Frag6Fields {
  /** Bytes, a multiple of 8. */
  readonly offset: number;
  readonly mf: boolean;
  readonly id: number;
  readonly nexthdr?: number;
}

export interface IcmpFields {
  readonly type: number;
  readonly code?: number;
  readonly id?: number;
  readonly seq?: number;
  /** Host-order word at 4, instead of id and seq. */
  readonly rest?: number;
  readonly check?: number;
}

export interface TcpFields {
  readonly src: number;
  readonly dst: number;
  readonly seq?: number;
  readonly ack?: number;
  /** TCPHDR_ bits; default SYN. */
  readonly flags?: number;
  /** Default 65535. */
  readonly window?: number;
  readonly urgPtr?: number;
  readonly mss?: number;
  readonly wscale?: number;
  readonly sackOk?: boolean;
  readonly timestamp?: readonly [tsval: number, tsecr: number];
  /** Raw options instead of the four above, padded to a multiple of 4 with zeros. */
  readonly options?: Uint8Array;
  readonly check?: number;
}

export interface UdpFields {
  readonly src: number;
  readonly dst: number;
  readonly len?: number;
  /** Default: computed; 0 leaves it out. */
  readonly check?: number;
}

export interface SctpFields {
  readonly src: number;
  readonly dst: number;
  readonly vtag?: number;
  readonly check?: number;
}

export interface GeneveFields {
  readonly vni: number;
  /** Raw options, a multiple of 4 bytes. */
  readonly options?: Uint8Array;
  readonly critical?: boolean;
}

/** One layer of a frame. */
export type Layer =
  | ({ readonly layer: "eth" } & EthFields)
  | ({ readonly layer: "arp" } & ArpFields)
  | ({ readonly layer: "ip4" } & Ip4Fields)
  | ({ readonly layer: "ip6" } & Ip6Fields)
  | ({ readonly layer: "ext6" } & ExtFields)
  | ({ readonly layer: "frag6" } & Frag6Fields)
  | ({ readonly layer: "icmp" } & IcmpFields)
  | ({ readonly layer: "icmp6" } & IcmpFields)
  | ({ readonly layer: "tcp" } & TcpFields)
  | ({ readonly layer: "udp" } & UdpFields)
  | ({ readonly layer: "sctp" } & SctpFields)
  | { readonly layer: "vxlan"; readonly vni: number }
  | ({ readonly layer: "geneve" } & GeneveFields)
  | { readonly layer: "data"; readonly bytes: Uint8Array };

export const eth = (f: EthFields): Layer => ({ layer: "eth", ...f });
export const arp = (f: ArpFields): Layer => ({ layer: "arp", ...f });
export const ip4 = (f: Ip4Fields): Layer => ({ layer: "ip4", ...f });
export const ip6 = (f: Ip6Fields): Layer => ({ layer: "ip6", ...f });
export const ext6 = (f: ExtFields): Layer => ({ layer: "ext6", ...f });
export const frag6 = (f: Frag6Fields): Layer => ({ layer: "frag6", ...f });
export const icmp = (f: IcmpFields): Layer => ({ layer: "icmp", ...f });
export const icmp6 = (f: IcmpFields): Layer => ({ layer: "icmp6", ...f });
export const tcp = (f: TcpFields): Layer => ({ layer: "tcp", ...f });
export const udp = (f: UdpFields): Layer => ({ layer: "udp", ...f });
export const sctp = (f: SctpFields): Layer => ({ layer: "sctp", ...f });
export const vxlan = (vni: number): Layer => ({ layer: "vxlan", vni });
export const geneve = (f: GeneveFields): Layer => ({ layer: "geneve", ...f });
export const data = (bytes: Uint8Array): Layer => ({ layer: "data", bytes });

/** `n` bytes counting up from `first`, the usual filler of ping and of tests. */
export function countingBytes(n: number, first = 0): Uint8Array {
  return Uint8Array.from({ length: n }, (_, i) => (first + i) & 0xff);
}

function mac(m: MacInput): Uint8Array {
  return typeof m === "string" ? parseMac(m) : m;
}

function addr4(a: Ip4Input): number {
  return typeof a === "string" ? parseIpv4(a) : a;
}

function addr6(a: Ip6Input): Uint8Array {
  return typeof a === "string" ? parseIpv6(a) : a;
}

function pad4(n: number): number {
  return (n + 3) & ~3;
}

function tcpOptions(f: TcpFields): tcpHdr.TcpOptions {
  const o = new tcpHdr.TcpOptions();
  o.mss = f.mss ?? -1;
  o.wscale = f.wscale ?? -1;
  o.sackOk = f.sackOk ?? false;
  if (f.timestamp !== undefined) {
    o.hasTimestamp = true;
    o.tsval = f.timestamp[0];
    o.tsecr = f.timestamp[1];
  }
  return o;
}

/** Bytes of the layer itself, without what follows. */
function sizeOf(l: Layer): number {
  switch (l.layer) {
    case "eth":
      return ethHdr.ETH_HLEN + ethHdr.VLAN_HLEN * (l.vlan?.length ?? 0);
    case "arp":
      return arpHdr.ARP_LEN;
    case "ip4":
      return ipv4.IPV4_HLEN + pad4(l.options?.length ?? 0);
    case "ip6":
      return ipv6.IPV6_HLEN;
    case "ext6":
      return (2 + (l.body?.length ?? 0) + 7) & ~7;
    case "frag6":
      return ipv6.FRAG_HLEN;
    case "icmp":
    case "icmp6":
      return icmpHdr.ICMP_HLEN;
    case "tcp":
      return tcpHdr.TCP_HLEN + (l.options ? pad4(l.options.length) : tcpHdr.optionsLen(tcpOptions(l)));
    case "udp":
      return udpHdr.UDP_HLEN;
    case "sctp":
      return sctpHdr.SCTP_HLEN;
    case "vxlan":
      return vxlanHdr.VXLAN_HLEN;
    case "geneve":
      return geneveHdr.GENEVE_HLEN + (l.options?.length ?? 0);
    case "data":
      return l.bytes.length;
  }
}

function etherTypeOf(l: Layer | undefined): number {
  switch (l?.layer) {
    case "arp":
      return ethHdr.ETH_P_ARP;
    case "ip6":
      return ethHdr.ETH_P_IPV6;
    default:
      return ethHdr.ETH_P_IP;
  }
}

function protoOf(l: Layer | undefined, ofV6: boolean): number {
  switch (l?.layer) {
    case "icmp":
      return ipv4.IPPROTO_ICMP;
    case "icmp6":
      return ipv4.IPPROTO_ICMPV6;
    case "tcp":
      return ipv4.IPPROTO_TCP;
    case "udp":
      return ipv4.IPPROTO_UDP;
    case "sctp":
      return ipv4.IPPROTO_SCTP;
    case "ip4":
      return ipv4.IPPROTO_IPIP;
    case "ip6":
      return ipv4.IPPROTO_IPV6;
    case "ext6":
      return l.kind;
    case "frag6":
      return ipv6.NEXTHDR_FRAGMENT;
    default:
      return ofV6 ? ipv6.NEXTHDR_NONE : 0;
  }
}

/** Bytes of a string as they are sent: UTF-8 for the ASCII that tests use, Latin-1 for the rest. */
function stringBytes(s: string): Uint8Array {
  return Uint8Array.from(s, (c) => c.charCodeAt(0) & 0xff);
}

/**
 * The bytes of a frame from its layers, outermost first. A string stands for its characters, a Uint8Array for
 * itself.
 * @throws PodpathError ADDRESS_INVALID for a bad address, USAGE for a fragment offset that is not a multiple of 8
 */
export function buildFrame(layers: readonly (Layer | Uint8Array | string)[]): Uint8Array {
  const list = layers.map(
    (l): Layer =>
      typeof l === "string"
        ? { layer: "data", bytes: stringBytes(l) }
        : l instanceof Uint8Array
          ? { layer: "data", bytes: l }
          : l,
  );
  const starts: number[] = [];
  let total = 0;
  for (const l of list) {
    starts.push(total);
    total += sizeOf(l);
  }
  const out = new Uint8Array(total);
  const view = new DataView(out.buffer);
  // From the inside out, so that a checksum sees finished bytes. Transport checksums need the IP header in
  // front of them, which is therefore written first, without its own length depending on anything unwritten.
  for (let i = list.length - 1; i >= 0; i--) writeLayer(list, starts, i, out, view);
  return out;
}

/** Index of the nearest IP layer in front of `i`, across IPv6 extension headers; -1 if none. */
function ipBefore(list: readonly Layer[], i: number): number {
  let k = i - 1;
  while (k >= 0 && (list[k]!.layer === "ext6" || list[k]!.layer === "frag6")) k--;
  if (k < 0) return -1;
  return list[k]!.layer === "ip4" || list[k]!.layer === "ip6" ? k : -1;
}

/** Addresses of the IP header at `k`, which its transport's pseudo header needs before the header is written. */
function placeAddresses(list: readonly Layer[], starts: readonly number[], k: number, view: DataView): void {
  const l = list[k]!;
  const off = starts[k]!;
  if (l.layer === "ip4") {
    view.setUint8(off, 0x45);
    view.setInt32(off + ipv4.OFF_SADDR, addr4(l.src), true);
    view.setInt32(off + ipv4.OFF_DADDR, addr4(l.dst), true);
  } else if (l.layer === "ip6") {
    view.setUint8(off, 0x60);
    ipv6.setAddr(view, off + ipv6.OFF_SADDR, addr6(l.src));
    ipv6.setAddr(view, off + ipv6.OFF_DADDR, addr6(l.dst));
  }
}

function writeLayer(
  list: readonly Layer[],
  starts: readonly number[],
  i: number,
  out: Uint8Array,
  view: DataView,
): void {
  const l = list[i]!;
  const next = list[i + 1];
  const off = starts[i]!;
  const rest = out.length - off;
  const ip = ipBefore(list, i);
  if (ip >= 0) placeAddresses(list, starts, ip, view);
  const l3 = ip >= 0 ? starts[ip]! : -1;
  switch (l.layer) {
    case "eth": {
      const tags = l.vlan ?? [];
      const type = l.type ?? etherTypeOf(next);
      ethHdr.write(view, off, mac(l.dst), mac(l.src), tags.length > 0 ? ethHdr.ETH_P_8021Q : type);
      tags.forEach((tci, n) => {
        view.setUint16(off + 14 + 4 * n, tci);
        view.setUint16(off + 16 + 4 * n, n + 1 < tags.length ? ethHdr.ETH_P_8021Q : type);
      });
      break;
    }
    case "arp":
      arpHdr.write(
        view,
        off,
        l.op ?? arpHdr.ARPOP_REQUEST,
        mac(l.sha),
        addr4(l.spa),
        l.tha === undefined ? new Uint8Array(6) : mac(l.tha),
        addr4(l.tpa),
      );
      break;
    case "ip4": {
      const opts = l.options ?? new Uint8Array(0);
      const fragOffset = l.fragOffset ?? 0;
      if (fragOffset % 8 !== 0) {
        throw new PodpathError("USAGE", `fragment offset ${fragOffset} is not a multiple of 8`);
      }
      const frag = (l.df ? ipv4.IP_DF : 0) | (l.mf ? ipv4.IP_MF : 0) | (fragOffset >> 3);
      const totLen = l.totLen ?? rest;
      ipv4.write(
        view,
        off,
        l.tos ?? 0,
        totLen,
        l.id ?? 0,
        frag,
        l.ttl ?? ipv4.IPDEFTTL,
        l.proto ?? protoOf(next, false),
        addr4(l.src),
        addr4(l.dst),
      );
      if (opts.length > 0) {
        out.set(opts, off + ipv4.IPV4_HLEN);
        ipv4.setHlen(view, off, ipv4.IPV4_HLEN + pad4(opts.length));
        ipv4.updateCheck(view, off);
      }
      if (l.check !== undefined) ipv4.setCheck(view, off, l.check);
      break;
    }
    case "ip6":
      ipv6.write(
        view,
        off,
        l.tclass ?? 0,
        l.flowLabel ?? 0,
        l.payloadLen ?? rest - ipv6.IPV6_HLEN,
        l.nexthdr ?? protoOf(next, true),
        l.hopLimit ?? 64,
        addr6(l.src),
        addr6(l.dst),
      );
      break;
    case "ext6":
      view.setUint8(off, protoOf(next, true));
      view.setUint8(off + 1, (sizeOf(l) >> 3) - 1);
      if (l.body) out.set(l.body, off + 2);
      break;
    case "frag6":
      ipv6.writeFragHdr(
        view,
        off,
        l.nexthdr ?? protoOf(next, true),
        (l.offset & ipv6.IP6_OFFSET) | (l.mf ? ipv6.IP6_MF : 0),
        l.id,
      );
      break;
    case "icmp":
      icmpHdr.write(view, off, l.type, l.code ?? 0, l.rest ?? ((l.id ?? 0) << 16) | (l.seq ?? 0));
      if (l.check !== undefined) icmpHdr.setCheck(view, off, l.check);
      else icmpHdr.updateCheck(view, off, rest);
      break;
    case "icmp6":
      icmp6Hdr.write(view, off, l.type, l.code ?? 0, l.rest ?? ((l.id ?? 0) << 16) | (l.seq ?? 0));
      if (l.check !== undefined) icmp6Hdr.setCheck(view, off, l.check);
      else if (l3 >= 0) icmp6Hdr.updateCheck(view, l3, off, rest);
      break;
    case "tcp":
      tcpHdr.write(
        view,
        off,
        l.src,
        l.dst,
        l.seq ?? 0,
        l.ack ?? 0,
        l.flags ?? tcpHdr.TCPHDR_SYN,
        l.window ?? 65535,
      );
      if (l.urgPtr !== undefined) tcpHdr.setUrgPtr(view, off, l.urgPtr);
      if (l.options) {
        out.set(l.options, off + tcpHdr.TCP_HLEN);
        tcpHdr.setHlen(view, off, sizeOf(l));
      } else {
        tcpHdr.writeOptions(view, off, tcpOptions(l));
      }
      if (l.check !== undefined) tcpHdr.setCheck(view, off, l.check);
      else if (l3 >= 0) tcpHdr.updateCheck(view, l3, off, rest);
      break;
    case "udp":
      udpHdr.write(view, off, l.src, l.dst, l.len ?? rest);
      if (l.check !== undefined) udpHdr.setCheck(view, off, l.check);
      else if (l3 >= 0) udpHdr.updateCheck(view, l3, off, rest);
      break;
    case "sctp":
      sctpHdr.write(view, off, l.src, l.dst, l.vtag ?? 0);
      if (l.check !== undefined) view.setInt32(off + sctpHdr.OFF_CHECKSUM, l.check, true);
      else sctpHdr.updateCheck(view, off, rest);
      break;
    case "vxlan":
      vxlanHdr.write(view, off, l.vni);
      break;
    case "geneve": {
      const opts = l.options ?? new Uint8Array(0);
      geneveHdr.write(view, off, l.vni, opts.length, l.critical ?? false);
      out.set(opts, off + geneveHdr.GENEVE_HLEN);
      break;
    }
    case "data":
      out.set(l.bytes, off);
      break;
  }
}

/** The fields of an IPv4 header as a kept object, for senders that fill it anew each time. */
export class Ipv4Fields {
  tos = 0;
  totLen = 0;
  id = 0;
  /** Whole frag_off word. */
  fragOff = 0;
  ttl = ipv4.IPDEFTTL;
  protocol = 0;
  /** Be32. */
  saddr = 0;
  /** Be32. */
  daddr = 0;
}

/** Writes a 20-byte IPv4 header with checksum from a kept object; allocates nothing. */
export function writeIpv4(view: DataView, off: number, f: Ipv4Fields): void {
  ipv4.write(view, off, f.tos, f.totLen, f.id, f.fragOff, f.ttl, f.protocol, f.saddr, f.daddr);
}

/** Reads an IPv4 header into a kept object; allocates nothing. */
export function readIpv4(view: DataView, off: number, f: Ipv4Fields): void {
  f.tos = ipv4.tos(view, off);
  f.totLen = ipv4.totLen(view, off);
  f.id = ipv4.id(view, off);
  f.fragOff = ipv4.fragOff(view, off);
  f.ttl = ipv4.ttl(view, off);
  f.protocol = ipv4.protocol(view, off);
  f.saddr = ipv4.saddr(view, off);
  f.daddr = ipv4.daddr(view, off);
}
