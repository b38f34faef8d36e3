// gopacket's DecodingLayerParser over the layers that the monitor registers, with offsets in the place of slices.
//
//   bytes -> layer 1 -> its payload -> layer 2 -> ... until no payload, no decoder, or an error
//
// As in gopacket there is one record for each kind of layer: a second IPv4 header overwrites the first one's fields
// (and a failing one those it had set by then), so that a packet with two prints the inner one twice. `Chain` holds
// those records; the 1.19 client has one chain for the packet and one for what an overlay carries.
//
// Differs from gopacket: every packet starts with fresh records, where the client carries IPv4 padding, TCP Multipath
// and the lists of VRRP and Geneve over from packet to packet.

import { be16, be32, DECIMAL } from "./go_text.js";
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
  LAYER_COUNT,
  NEXT_FRAGMENT,
  NEXT_NONE,
  NEXT_PAYLOAD,
  type Profile,
} from "./release.js";

/** TCP option kinds that the decoder treats specially. */
export const TCP_OPT_END = 0;
export const TCP_OPT_NOP = 1;
export const TCP_OPT_MPTCP = 30;

/** Layers decoded from one run of bytes. All offsets are into the array given to `run`. */
export class Chain {
  /** Kinds of the decoded layers, in order; `count` of them are valid. */
  layers = new Uint8Array(16);
  count = 0;
  truncated = false;
  /** Text of the error that ended the chain, empty for none. */
  error = "";
  /** By layer kind: where its fixed fields, contents and payload are. */
  readonly header = new Int32Array(LAYER_COUNT);
  readonly contents = new Int32Array(LAYER_COUNT);
  readonly contentsLen = new Int32Array(LAYER_COUNT);
  readonly payload = new Int32Array(LAYER_COUNT);
  readonly payloadLen = new Int32Array(LAYER_COUNT);
  /** Option bytes that were decoded, by layer kind (IPv4, TCP). */
  readonly options = new Int32Array(LAYER_COUNT);
  readonly optionsEnd = new Int32Array(LAYER_COUNT);
  /** Bytes behind an end-of-options option (IPv4, TCP). */
  readonly padding = new Int32Array(LAYER_COUNT);
  readonly paddingLen = new Int32Array(LAYER_COUNT);
  ip4Length = 0;
  ip4Ihl = 0;
  /** The IPv4 record is one header's, not a mixture that a failing second header left. */
  ip4Whole = true;
  ip6Whole = true;
  /** Offset of the IPv6 hop-by-hop header, -1 without one; its length and what follows it. */
  hopByHop = -1;
  hopByHopLen = 0;
  hopByHopPayloadLen = 0;
  multipath = false;

  #b: Uint8Array = new Uint8Array(0);

  /** `overlay`: VXLAN and Geneve have decoders here. */
  constructor(
    readonly profile: Profile,
    readonly overlay: boolean,
  ) {}

  /** Forgets the last packet. */
  reset(): void {
    this.count = 0;
    this.truncated = false;
    this.error = "";
    this.payloadLen[L_UDP] = 0;
    this.paddingLen[L_IPV4] = 0;
    this.paddingLen[L_TCP] = 0;
    this.multipath = false;
  }

  /** True if a layer of this kind was decoded. */
  has(kind: number): boolean {
    for (let i = 0; i < this.count; i++) if (this.layers[i] === kind) return true;
    return false;
  }

  /** Decodes bytes [off, end) of `b`, the first layer being `first`. */
  run(b: Uint8Array, off: number, end: number, first: number): void {
    this.reset();
    this.#b = b;
    let kind = first;
    for (;;) {
      if (!this.#decode(kind, off, end)) return;
      if (this.count === this.layers.length) {
        const grown = new Uint8Array(this.count * 2);
        grown.set(this.layers);
        this.layers = grown;
      }
      this.layers[this.count++] = kind;
      off = this.payload[kind]!;
      end = off + this.payloadLen[kind]!;
      if (off === end) return;
      kind = this.#next(kind);
      if (kind >= NEXT_NONE || !this.#known(kind)) {
        if (kind !== NEXT_NONE && !this.profile.release.ignoreUnsupported) this.error = this.#noDecoder(kind);
        return;
      }
    }
  }

  #known(kind: number): boolean {
    if (kind === L_VXLAN || kind === L_GENEVE) return this.overlay;
    if (kind === L_SCTP || kind === L_VRRP || kind === L_IGMP) return this.profile.release.extendedLayers;
    return true;
  }

  #noDecoder(kind: number): string {
    return this.profile.noDecoder[kind]!;
  }

  #decode(kind: number, off: number, end: number): boolean {
    switch (kind) {
      case L_ETHERNET:
        return this.#ethernet(off, end);
      case L_IPV4:
        return this.#ipv4(off, end);
      case L_IPV6:
        return this.#ipv6(off, end);
      case L_TCP:
        return this.#tcp(off, end);
      case L_UDP:
        return this.#udp(off, end);
      case L_ICMPV4:
        return this.#fixed(L_ICMPV4, off, end, 8, "ICMP layer less then 8 bytes for ICMPv4 packet", true);
      case L_ICMPV6:
        return this.#fixed(L_ICMPV6, off, end, 4, "ICMP layer less then 4 bytes for ICMPv6 packet", true);
      case L_SCTP:
        return this.#fixed(L_SCTP, off, end, 12, "Invalid SCTP common header length", false);
      case L_VXLAN:
        return this.#fixed(L_VXLAN, off, end, 8, "vxlan packet too small", false);
      case L_VRRP:
        return this.#vrrp(off, end);
      case L_IGMP:
        return this.#igmp(off, end);
      default:
        return this.#geneve(off, end);
    }
  }

  #next(kind: number): number {
    const b = this.#b;
    const p = this.profile;
    switch (kind) {
      case L_ETHERNET: {
        const type = this.etherType();
        if (type === 0x0800) return L_IPV4;
        return p.ethernetNext.get(type) ?? NEXT_NONE;
      }
      case L_IPV4: {
        const h = this.header[L_IPV4]!;
        // More fragments, or not the first one.
        if ((be16(b, h + 6) & 0x3fff) !== 0) return NEXT_FRAGMENT;
        return p.ipNext[b[h + 9]!]!;
      }
      case L_IPV6:
        return p.ipNext[this.hopByHop >= 0 ? b[this.hopByHop]! : b[this.header[L_IPV6]! + 6]!]!;
      case L_TCP:
      case L_UDP: {
        const h = this.header[kind]!;
        const table = kind === L_TCP ? p.tcpNext : p.udpNext;
        return table.get(be16(b, h + 2)) ?? table.get(be16(b, h)) ?? NEXT_PAYLOAD;
      }
      case L_ICMPV6: {
        const type = b[this.header[L_ICMPV6]!]!;
        // The two versions of the query differ in nothing but their size.
        if (type === 130 && this.payloadLen[L_ICMPV6]! > 20) return p.mldv2Query;
        return p.icmpv6Next[type]!;
      }
      case L_VXLAN:
        return L_ETHERNET;
      case L_GENEVE:
        return p.ethernetNext.get(be16(b, this.header[L_GENEVE]! + 2)) ?? NEXT_NONE;
      default:
        return NEXT_PAYLOAD;
    }
  }

  /** The EtherType, 0 (LLC) where the field is an 802.3 length. */
  etherType(): number {
    const type = be16(this.#b, this.header[L_ETHERNET]! + 12);
    return type < 0x0600 ? 0 : type;
  }

  #set(kind: number, contents: number, contentsLen: number, payload: number, payloadLen: number): void {
    this.contents[kind] = contents;
    this.contentsLen[kind] = contentsLen;
    this.payload[kind] = payload;
    this.payloadLen[kind] = payloadLen;
  }

  #fail(text: string, truncated: boolean): false {
    this.error = text;
    if (truncated) this.truncated = true;
    return false;
  }

  #fixed(kind: number, off: number, end: number, len: number, text: string, truncates: boolean): boolean {
    if (end - off < len) return this.#fail(text, truncates);
    this.header[kind] = off;
    this.#set(kind, off, len, off + len, end - off - len);
    return true;
  }

  #ethernet(off: number, end: number): boolean {
    if (end - off < 14) return this.#fail("Ethernet packet too small", false);
    this.header[L_ETHERNET] = off;
    let payloadLen = end - off - 14;
    const length = be16(this.#b, off + 12);
    if (length < 0x0600) {
      if (payloadLen < length) this.truncated = true;
      else payloadLen = length;
    }
    this.#set(L_ETHERNET, off, 14, off + 14, payloadLen);
    return true;
  }

  #ipv4(off: number, end: number): boolean {
    const b = this.#b;
    const len = end - off;
    if (len < 20) return this.#fail(`Invalid ip4 header. Length ${len} less than 20`, true);
    const fieldsFirst = this.profile.release.ipv4FieldsFirst;
    this.ip4Whole = false;
    if (fieldsFirst) {
      this.header[L_IPV4] = off;
      this.options[L_IPV4] = this.optionsEnd[L_IPV4] = 0;
      this.paddingLen[L_IPV4] = 0;
      this.#set(L_IPV4, off, len, end, 0);
    }
    let length = be16(b, off + 2);
    const ihl = b[off]! & 0x0f;
    // Segmentation offload leaves the length zero: what is there counts.
    if (length === 0) length = len & 0xffff;
    this.ip4Length = length;
    this.ip4Ihl = ihl;
    const headerLen = ihl * 4;
    if (length < 20) return this.#fail(`Invalid (too small) IP length (${length} < 20)`, false);
    if (ihl < 5) return this.#fail(`Invalid (too small) IP header length (${ihl} < 5)`, false);
    if (headerLen > length) {
      return this.#fail(`Invalid IP header length > IP length (${ihl} > ${length})`, false);
    }
    let dataEnd = end;
    if (len > length) {
      dataEnd = off + length;
    } else if (len < length) {
      this.truncated = true;
      if (headerLen > len) return this.#fail("Not all IP header bytes available", false);
    }
    this.#set(L_IPV4, off, headerLen, off + headerLen, dataEnd - off - headerLen);
    let at = off + 20;
    const stop = off + headerLen;
    this.options[L_IPV4] = at;
    this.optionsEnd[L_IPV4] = at;
    while (at < stop) {
      const type = b[at]!;
      if (type === 0) {
        this.optionsEnd[L_IPV4] = at + 1;
        this.padding[L_IPV4] = at + 1;
        this.paddingLen[L_IPV4] = stop - at - 1;
        break;
      }
      if (type === 1) {
        at++;
      } else {
        const rest = stop - at;
        if (rest < 2) return this.#fail(`Invalid ip4 option length. Length ${rest} less than 2`, true);
        const optLen = b[at + 1]!;
        if (rest < optLen) {
          return this.#fail(
            `IP option length exceeds remaining IP header size, option type ${type} length ${optLen}`,
            true,
          );
        }
        if (optLen <= 2) {
          return this.#fail(`Invalid IP option type ${type} length ${optLen}. Must be greater than 2`, false);
        }
        at += optLen;
      }
      this.optionsEnd[L_IPV4] = at;
    }
    if (!fieldsFirst) this.header[L_IPV4] = off;
    this.ip4Whole = true;
    return true;
  }

  #ipv6(off: number, end: number): boolean {
    const b = this.#b;
    if (end - off < 40) return this.#fail(`Invalid ip6 header. Length ${end - off} less than 40`, true);
    this.header[L_IPV6] = off;
    this.hopByHop = -1;
    this.ip6Whole = false;
    const length = be16(b, off + 4);
    let at = off + 40;
    this.#set(L_IPV6, off, 40, at, end - at);
    if (b[off + 6] === 0) {
      if (!this.#hopByHopHeader(at, end)) return false;
      this.hopByHop = at;
      const jumbo = this.#jumboLength(at);
      if (jumbo < 0) return false;
      if (jumbo > 0) {
        if (length !== 0) return this.#fail("IPv6 has jumbo length and IPv6 length is not 0", false);
        // The payload of a jumbogram keeps its hop-by-hop header.
        if (jumbo > end - at) this.truncated = true;
        else this.payloadLen[L_IPV6] = jumbo;
        return true;
      }
      if (length === 0) {
        return this.#fail("IPv6 length 0, but HopByHop header does not have jumbogram option", false);
      }
      at += this.hopByHopLen;
      this.payload[L_IPV6] = at;
      this.payloadLen[L_IPV6] = end - at;
    }
    if (length === 0) {
      const name = this.profile.ipProtocols[b[off + 6]!];
      return this.#fail(`IPv6 length 0, but next header is ${name}, not HopByHop`, false);
    }
    // With a hop-by-hop header this compares the wrong things, as gopacket does: such packets count as truncated.
    if (length > end - at) this.truncated = true;
    else this.payloadLen[L_IPV6] = length;
    this.ip6Whole = this.hopByHop < 0;
    return true;
  }

  #hopByHopHeader(at: number, end: number): boolean {
    const b = this.#b;
    const len = end - at;
    if (len < 2) return this.#fail(`Invalid ip6-extension header. Length ${len} less than 2`, true);
    const actual = b[at + 1]! * 8 + 8;
    if (len < actual) {
      return this.#fail(
        `Invalid ip6-extension header. Length ${len} less than specified length ${actual}`,
        false,
      );
    }
    // An option may reach behind the header, as long as there are bytes.
    for (let o = 2; o < actual; ) {
      const rest = len - o;
      if (rest < 2) return this.#fail("IPv6 header option too small", true);
      if (b[at + o] === 0) {
        o++;
      } else {
        const n = b[at + o + 1]! + 2;
        if (rest < n) return this.#fail("IPv6 header TLV option too small", true);
        o += n;
      }
    }
    this.hopByHopLen = actual;
    this.hopByHopPayloadLen = len - actual;
    return true;
  }

  /** Length of the first jumbogram option; 0 without one, -1 after an error. */
  #jumboLength(at: number): number {
    const b = this.#b;
    for (let o = 2; o < this.hopByHopLen; ) {
      const type = b[at + o]!;
      if (type === 0) {
        o++;
        continue;
      }
      const n = b[at + o + 1]!;
      if (type === 0xc2) {
        if (n !== 4) {
          this.error = "Jumbo length TLV data must have length 4";
          return -1;
        }
        const length = be32(b, at + o + 2) >>> 0;
        if (length <= 65535) {
          this.error = "Jumbo length cannot be less than 65536";
          return -1;
        }
        return length;
      }
      o += n + 2;
    }
    return 0;
  }

  #udp(off: number, end: number): boolean {
    if (end - off < 8) return this.#fail(`Invalid UDP header. Length ${end - off} less than 8`, true);
    this.header[L_UDP] = off;
    this.#set(L_UDP, off, 8, off + 8, 0);
    let length = be16(this.#b, off + 4);
    if (length >= 8) {
      if (length > end - off) {
        this.truncated = true;
        length = end - off;
      }
      this.payloadLen[L_UDP] = length - 8;
    } else if (length === 0) {
      this.payloadLen[L_UDP] = end - off - 8;
    } else {
      return this.#fail(`UDP packet too small: ${length} bytes`, false);
    }
    return true;
  }

  #tcp(off: number, end: number): boolean {
    const b = this.#b;
    const len = end - off;
    if (len < 20) return this.#fail(`Invalid TCP header. Length ${len} less than 20`, true);
    this.header[L_TCP] = off;
    const words = b[off + 12]! >> 4;
    if (words < 5) return this.#fail(`Invalid TCP data offset ${words} < 5`, false);
    const stop = off + words * 4;
    if (stop > end) return this.#fail("TCP data offset greater than packet length", true);
    this.#set(L_TCP, off, words * 4, stop, end - stop);
    let at = off + 20;
    this.options[L_TCP] = at;
    while (at < stop) {
      const kind = b[at]!;
      if (kind === TCP_OPT_END) {
        this.padding[L_TCP] = at + 1;
        this.paddingLen[L_TCP] = stop - at - 1;
        at++;
        break;
      }
      if (kind === TCP_OPT_NOP) {
        at++;
        continue;
      }
      const rest = stop - at;
      if (kind === TCP_OPT_MPTCP && this.profile.release.multipath) {
        this.multipath = true;
        const error = mptcpError(b, at, rest, b.length - at);
        if (error !== "") return this.#fail(error, false);
        at += b[at + 1]!;
        continue;
      }
      if (rest < 2) return this.#fail(`Invalid TCP option length. Length ${rest} less than 2`, true);
      const n = b[at + 1]!;
      if (n < 2) return this.#fail(`Invalid TCP option length ${n} < 2`, false);
      if (n > rest) {
        return this.#fail(`Invalid TCP option length ${n} exceeds remaining ${rest} bytes`, true);
      }
      at += n;
    }
    this.optionsEnd[L_TCP] = at;
    return true;
  }

  #vrrp(off: number, end: number): boolean {
    const b = this.#b;
    const len = end - off;
    this.#set(L_VRRP, off, len, off, 0);
    if ((b[off]! & 0x0f) !== 1) return this.#fail("Unrecognized VRRPv2 type field.", false);
    if (len < 4) return this.#fail(indexPanic(len < 2 ? 1 : len, len), false);
    const count = b[off + 3]!;
    if (count < 1) return this.#fail("VRRPv2 number of IP addresses is not valid.", false);
    if (len < 6) return this.#fail(indexPanic(len, len), false);
    const need = 8 + 4 * count;
    const cap = b.length - off;
    if (cap < 8) return this.#fail(slicePanic(8, cap), false);
    if (cap < need) return this.#fail(slicePanic(12 + 4 * ((cap - 8) >> 2), cap), false);
    this.header[L_VRRP] = off;
    return true;
  }

  #igmp(off: number, end: number): boolean {
    if (end - off < 8) return this.#fail("IGMP Packet too small", false);
    this.header[L_IGMP] = off;
    // This decoder never fills contents and payload.
    this.#set(L_IGMP, off, 0, off, 0);
    return true;
  }

  #geneve(off: number, end: number): boolean {
    const b = this.#b;
    const len = end - off;
    if (len < 7) return this.#fail("geneve packet too short", true);
    const optionsLen = (b[off]! & 0x3f) * 4;
    if (len < optionsLen + 7) return this.#fail("geneve packet too short", true);
    this.header[L_GENEVE] = off;
    // The running offset is a byte and wraps: 252 bytes of options end at 4.
    let offset = 8;
    for (let left = optionsLen; left > 0; ) {
      const at = off + offset;
      const rest = end - at;
      if (rest < 3) return this.#fail("geneve option too small", true);
      if (rest < 4) return this.#fail(indexPanic(3, 3), false);
      const n = (b[at + 3]! & 0x1f) * 4 + 4;
      if (rest < n) return this.#fail("geneve option too small", true);
      left -= n;
      offset = (offset + n) & 0xff;
    }
    if (offset > len)
      return this.#fail(`panic: runtime error: slice bounds out of range [${offset}:${len}]`, false);
    this.#set(L_GENEVE, off, offset, off + offset, len - offset);
    return true;
  }
}

/** Go's text for an index behind the end of a slice. */
function indexPanic(index: number, len: number): string {
  return `panic: runtime error: index out of range [${index}] with length ${len}`;
}

/** Go's text for a slice expression behind the capacity; ours is what is left of the sample. */
function slicePanic(end: number, cap: number): string {
  return `panic: runtime error: slice bounds out of range [:${end}] with capacity ${cap}`;
}

const MPTCP_NAMES = [
  "MP_CAPABLE",
  "MP_JOIN",
  "DSS",
  "ADD_ADDR",
  "Rem_ADDR",
  "MP_PRIO",
  "MP_FAIL",
  "MP_FASTCLOSE",
  "MP_TCPRST",
];

/** Length that an ADD_ADDR option has without its HMAC; the version is guessed from the flags as gopacket does. */
export function addAddrLength(b: Uint8Array, at: number): number {
  const n = b[at + 1]!;
  const flags = b[at + 2]! & 0x0f;
  return flags > 1 || (flags & 1) !== 0 ? n : (n - 8) & 0xff;
}

/** What is wrong with the multipath option at `at`, of which `rest` bytes of options remain; empty for nothing. */
function mptcpError(b: Uint8Array, at: number, rest: number, cap: number): string {
  if (rest < 2) return indexPanic(1, rest);
  if (rest < 3) return indexPanic(2, rest);
  const n = b[at + 1]!;
  const sub = b[at + 2]! >> 4;
  let ok = true;
  let need = 0;
  switch (sub) {
    case 0:
      ok = n === 4 || n === 12 || n === 20 || n === 22 || n === 24;
      need = n === 4 ? 0 : n;
      if (ok && rest < 4) return indexPanic(3, rest);
      break;
    case 1:
      ok = n === 12 || n === 16 || n === 24;
      if (ok && n !== 24 && rest < 4) return indexPanic(3, rest);
      need = n;
      break;
    case 2: {
      if (rest < 4) return indexPanic(3, rest);
      const flags = b[at + 3]!;
      let len = 4;
      if ((flags & 0x01) !== 0) len += (flags & 0x02) !== 0 ? 8 : 4;
      const mapped = (flags & 0x04) !== 0;
      if (mapped) len += (flags & 0x08) !== 0 ? 14 : 10;
      ok = n === len || (mapped && n === len + 2);
      need = n;
      break;
    }
    case 3: {
      const len = addAddrLength(b, at);
      ok = len === 8 || len === 10 || len === 20 || len === 22;
      if (ok && rest < 4) return indexPanic(3, rest);
      need = len;
      break;
    }
    case 4:
      ok = n >= 4;
      if (ok && n > rest) return indexPanic(rest, rest);
      break;
    case 5:
      ok = n === 3 || n === 4;
      if (n === 4 && rest < 4) return indexPanic(3, rest);
      break;
    case 6:
    case 7:
      ok = n === 12;
      need = n;
      break;
    case 8:
      ok = n === 4;
      if (ok && rest < 4) return indexPanic(3, rest);
      break;
    default:
      // Differs from gopacket 1.5: an unknown subtype of length 0 makes it loop for ever; later releases say this.
      if (n === 0) return "MPTCP bad option length 0";
  }
  if (!ok) return `${MPTCP_NAMES[sub]} bad option length ${DECIMAL[n]}`;
  if (need > cap) return slicePanic(need, cap);
  if (n > rest) return `panic: runtime error: slice bounds out of range [${n}:${rest}]`;
  return "";
}
