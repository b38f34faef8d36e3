// pcapng files (draft-ietf-opsawg-pcapng): reading in both byte orders, several sections, in chunks; writing.
//
//   block   type 4, total length 4, body, total length 4; everything padded to 4 bytes
//   SHB     0x0a0d0d0a  byte-order magic 1a2b3c4d, version 1.0, section length 8, options
//   IDB     1           link type 2, reserved 2, snaplen 4, options
//   SPB     3           original length 4, bytes
//   NRB     4           records (type 2, length 2, value), options
//   ISB     5           interface 4, time 4+4, options
//   EPB     6           interface 4, time 4+4, captured length 4, original length 4, bytes, options
//   option  code 2, length 2, value padded to 4; code 0 ends the list
//
// Blocks of other types are stepped over, custom ones included; so are options that are not named here.

import { PodpathError } from "../base/errors.js";
import { formatIpv4At, formatIpv6, tryParseIpv4, tryParseIpv6 } from "./address.js";
import { ByteSink, ByteSource } from "./byte_stream.js";
import { canonicalLinkType, LINKTYPE_ETHERNET } from "./link_type.js";
import type { CapturedPacket } from "./pcap.js";

export const BLOCK_SHB = 0x0a0d0d0a;
export const BLOCK_IDB = 1;
/** Packet Block: obsolete, still read. */
export const BLOCK_PB = 2;
export const BLOCK_SPB = 3;
export const BLOCK_NRB = 4;
export const BLOCK_ISB = 5;
export const BLOCK_EPB = 6;
export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;

/** Longest block that is believed. */
export const MAX_BLOCK = 16 * 1024 * 1024;

/** Direction bits of epb_flags. */
export const DIRECTION_UNKNOWN = 0;
export const DIRECTION_INBOUND = 1;
export const DIRECTION_OUTBOUND = 2;

/** Kinds of epb_verdict: who decided. */
export const VERDICT_HARDWARE = 0;
export const VERDICT_EBPF_TC = 1;
export const VERDICT_EBPF_XDP = 2;

const OPT_END = 0;
const OPT_COMMENT = 1;
const SHB_HARDWARE = 2;
const SHB_OS = 3;
const SHB_USERAPPL = 4;
const IF_NAME = 2;
const IF_DESCRIPTION = 3;
const IF_MACADDR = 6;
const IF_TSRESOL = 9;
const IF_FILTER = 11;
const IF_OS = 12;
const IF_TSOFFSET = 14;
const EPB_FLAGS = 2;
const EPB_DROPCOUNT = 4;
const EPB_PACKETID = 5;
const EPB_QUEUE = 6;
const EPB_VERDICT = 7;
const ISB_STARTTIME = 2;
const ISB_ENDTIME = 3;
const ISB_IFRECV = 4;
const ISB_IFDROP = 5;
const NRB_RECORD_END = 0;
const NRB_RECORD_IPV4 = 1;
const NRB_RECORD_IPV6 = 2;

/** A point in time, since the epoch. */
export interface CaptureTime {
  readonly sec: number;
  readonly nsec: number;
}

/** A captured interface. */
export interface CaptureInterface {
  readonly linkType: number;
  /** 0 = no limit. */
  readonly snaplen: number;
  readonly name?: string;
  readonly description?: string;
  readonly macAddr?: Uint8Array;
  /** The option's byte: decimal exponent, or with 0x80 binary exponent, of the time unit. 6 = microseconds. */
  readonly tsresol: number;
  /** Seconds added to every time. */
  readonly tsoffset?: number;
  /** Capture filter in libpcap syntax. */
  readonly filter?: string;
  readonly os?: string;
  readonly comments?: readonly string[];
}

/** A packet of a pcapng file. */
export interface PcapngPacket extends CapturedPacket {
  /** Index into the interfaces of its section. */
  readonly interfaceIndex: number;
  readonly comments?: readonly string[];
  /** epb_flags as written; direction in its two lowest bits. */
  readonly flags?: number;
  /** Packets lost between the one before and this one. */
  readonly dropCount?: number;
  /** Identifies the same packet in several places. */
  readonly packetId?: bigint;
  /** Receive queue; podpath writes the CPU. */
  readonly queue?: number;
  readonly verdict?: { readonly kind: number; readonly value: bigint };
  /** False for simple packets, which have no time. */
  readonly timed?: boolean;
}

/** Names of an address. */
export interface NameRecord {
  /** IPv4 or IPv6 text. */
  readonly address: string;
  readonly names: readonly string[];
}

/** Counters of an interface. */
export interface InterfaceStatistics {
  readonly interfaceIndex: number;
  readonly time: CaptureTime;
  readonly startTime?: CaptureTime;
  readonly endTime?: CaptureTime;
  readonly received?: bigint;
  readonly dropped?: bigint;
  readonly comments?: readonly string[];
}

export interface SectionOptions {
  readonly hardware?: string;
  readonly os?: string;
  /** Who wrote the file. */
  readonly application?: string;
  readonly comments?: readonly string[];
}

/** One section: its own byte order, interfaces and packets. */
export interface PcapngSection extends SectionOptions {
  readonly little: boolean;
  readonly versionMajor: number;
  readonly versionMinor: number;
  readonly interfaces: readonly CaptureInterface[];
  readonly packets: readonly PcapngPacket[];
  readonly names: readonly NameRecord[];
  readonly statistics: readonly InterfaceStatistics[];
}

export interface PcapngFile {
  readonly sections: readonly PcapngSection[];
  /** Set if the file ends inside a block: where that block starts, and a sentence for people. */
  readonly truncated?: { readonly offset: number; readonly message: string };
}

function invalid(offset: number, what: string): PodpathError {
  return new PodpathError("PCAP_INVALID", `pcapng: ${what} at byte ${offset}`);
}

/** True if the bytes begin like a pcapng file. */
export function isPcapng(bytes: Uint8Array): boolean {
  return (
    bytes.length >= 4 && bytes[0] === 0x0a && bytes[1] === 0x0d && bytes[2] === 0x0d && bytes[3] === 0x0a
  );
}

// ---- time -----------------------------------------------------------------------------------------------------

const NS = 1_000_000_000n;

/** Time units per second of a tsresol byte. */
function unitsPerSec(tsresol: number): bigint {
  return (tsresol & 0x80) !== 0 ? 1n << BigInt(tsresol & 0x7f) : 10n ** BigInt(tsresol);
}

function timeFrom(units: bigint, iface: { tsresol: number; tsoffset?: number }): CaptureTime {
  const per = unitsPerSec(iface.tsresol);
  return {
    sec: Number(units / per) + (iface.tsoffset ?? 0),
    nsec: Number(((units % per) * NS) / per),
  };
}

function timeTo(t: CaptureTime, iface: { tsresol: number; tsoffset?: number }): bigint {
  const per = unitsPerSec(iface.tsresol);
  const sec = BigInt(t.sec - (iface.tsoffset ?? 0));
  if (sec < 0n)
    throw new PodpathError("USAGE", `pcapng: the time ${t.sec} s lies before the interface's offset`);
  // Units that nanoseconds do not hit are rounded up, so that a time that reading rounded down comes back.
  const up = (iface.tsresol & 0x80) !== 0 || iface.tsresol > 9 ? NS - 1n : 0n;
  return sec * per + (BigInt(t.nsec) * per + up) / NS;
}

// ---- reading --------------------------------------------------------------------------------------------------

interface MutableSection extends SectionOptions {
  little: boolean;
  versionMajor: number;
  versionMinor: number;
  interfaces: CaptureInterface[];
  packets: PcapngPacket[];
  names: NameRecord[];
  statistics: InterfaceStatistics[];
}

const utf8 = new TextDecoder();

function text(bytes: Uint8Array): string {
  // Writers are seen that count a terminating NUL.
  let n = bytes.length;
  while (n > 0 && bytes[n - 1] === 0) n--;
  return utf8.decode(n === bytes.length ? bytes : bytes.subarray(0, n));
}

/**
 * Reads a file as its bytes arrive: `push` chunks, `next` packets until undefined, `finish` at the end; `sections`
 * grows meanwhile. With `keepPackets: false` packets are only handed out, not kept in their sections.
 * @throws PodpathError PCAP_INVALID from `next` and `finish`, with the byte offset of what is wrong
 */
export class PcapngReader {
  readonly #src = new ByteSource();
  readonly #keep: boolean;
  readonly #sections: MutableSection[] = [];
  #section: MutableSection | undefined;
  #truncated: { offset: number; message: string } | undefined;

  constructor(opts: { readonly keepPackets?: boolean } = {}) {
    this.#keep = opts.keepPackets ?? true;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length > 0) this.#src.push(chunk);
  }

  get sections(): readonly PcapngSection[] {
    return this.#sections;
  }

  /** Set by `finish` if the file ended inside a block. */
  get truncated(): { readonly offset: number; readonly message: string } | undefined {
    return this.#truncated;
  }

  /** The next packet, or undefined until more bytes come. Blocks of other kinds are taken in on the way. */
  next(): PcapngPacket | undefined {
    for (;;) {
      const total = this.#blockLength();
      if (total === undefined || this.#src.available < total) return undefined;
      const packet = this.#block(total);
      this.#src.consume(total);
      if (packet !== undefined) {
        if (this.#keep) this.#section!.packets.push(packet);
        return packet;
      }
    }
  }

  /** Says that no more bytes will come; gives the packet inside which they ended, if any of it can be shown. */
  finish(): PcapngPacket | undefined {
    const s = this.#src;
    const offset = s.position;
    const there = s.available;
    if (there === 0) {
      if (this.#section === undefined) throw invalid(0, "the file is empty");
      return undefined;
    }
    if (this.#section === undefined) throw invalid(offset + there, "the file ends inside its section header");
    const total = this.#blockLength();
    this.#truncated = {
      offset,
      message:
        total === undefined
          ? `pcapng: the last block header, at byte ${offset}, has ${there} of 8 bytes`
          : `pcapng: the last block, at byte ${offset}, has ${there} of ${total} bytes`,
    };
    let packet: PcapngPacket | undefined;
    if (total !== undefined) {
      const type = s.u32(0, this.#section.little);
      if (type === BLOCK_EPB && there >= 28) packet = this.#epb(total, there);
      else if (type === BLOCK_SPB && there >= 12) packet = this.#spb(total, there);
    }
    s.consume(there);
    if (packet === undefined) return undefined;
    packet = { ...packet, truncated: true };
    if (this.#keep) this.#section.packets.push(packet);
    return packet;
  }

  /** Total length of the block at the front, checked; undefined until its header is there. */
  #blockLength(): number | undefined {
    const s = this.#src;
    if (s.available < 4) return undefined;
    const isShb = s.u32(0, false) === BLOCK_SHB;
    if (!isShb && this.#section === undefined) {
      const magic = s.u32(0, false).toString(16).padStart(8, "0");
      throw invalid(0, `not a pcapng file (first block type 0x${magic})`);
    }
    if (s.available < (isShb ? 12 : 8)) return undefined;
    let little: boolean;
    if (isShb) {
      if (s.u32(8, true) === BYTE_ORDER_MAGIC) little = true;
      else if (s.u32(8, false) === BYTE_ORDER_MAGIC) little = false;
      else throw invalid(s.position + 8, "bad byte-order magic");
    } else {
      little = this.#section!.little;
    }
    const total = s.u32(4, little);
    if (total < (isShb ? 28 : 12) || total % 4 !== 0) {
      throw invalid(s.position + 4, `bad block length ${total}`);
    }
    if (total > MAX_BLOCK) throw invalid(s.position + 4, `block length ${total} is too large`);
    return total;
  }

  #block(total: number): PcapngPacket | undefined {
    const s = this.#src;
    if (s.u32(0, false) === BLOCK_SHB) {
      this.#shb(total);
      return undefined;
    }
    const le = this.#section!.little;
    const again = s.u32(total - 4, le);
    if (again !== total) {
      throw invalid(s.position + total - 4, `block length ${again} at the end, ${total} at the start`);
    }
    const least = MIN_BLOCK[s.u32(0, le)];
    if (least !== undefined && total < least) {
      throw invalid(s.position + 4, `block length ${total} is below ${least}`);
    }
    switch (s.u32(0, le)) {
      case BLOCK_IDB:
        this.#idb(total);
        return undefined;
      case BLOCK_EPB:
        return this.#epb(total, total);
      case BLOCK_PB:
        return this.#pb(total);
      case BLOCK_SPB:
        return this.#spb(total, total);
      case BLOCK_NRB:
        this.#nrb(total);
        return undefined;
      case BLOCK_ISB:
        this.#isb(total);
        return undefined;
      default:
        return undefined;
    }
  }

  /** Calls `on` with each option between `at` and `end`. */
  #options(at: number, end: number, on: (code: number, at: number, len: number) => void): void {
    const s = this.#src;
    const le = this.#section!.little;
    while (at + 4 <= end) {
      const code = s.u16(at, le);
      const len = s.u16(at + 2, le);
      if (code === OPT_END) return;
      if (at + 4 + len > end) throw invalid(s.position + at, `option ${code} runs over its block`);
      on(code, at + 4, len);
      at += 4 + ((len + 3) & ~3);
    }
  }

  #text(at: number, len: number): string {
    return text(this.#src.bytes(at, len));
  }

  #shb(total: number): void {
    const s = this.#src;
    const little = s.u32(8, true) === BYTE_ORDER_MAGIC;
    const again = s.u32(total - 4, little);
    if (again !== total) {
      throw invalid(s.position + total - 4, `block length ${again} at the end, ${total} at the start`);
    }
    const major = s.u16(12, little);
    const minor = s.u16(14, little);
    if (major !== 1) throw invalid(s.position + 12, `version ${major}.${minor} is not supported`);
    const section: MutableSection = {
      little,
      versionMajor: major,
      versionMinor: minor,
      interfaces: [],
      packets: [],
      names: [],
      statistics: [],
    };
    this.#section = section;
    this.#sections.push(section);
    const comments: string[] = [];
    const o: { hardware?: string; os?: string; application?: string } = {};
    this.#options(24, total - 4, (code, at, len) => {
      if (code === OPT_COMMENT) comments.push(this.#text(at, len));
      else if (code === SHB_HARDWARE) o.hardware = this.#text(at, len);
      else if (code === SHB_OS) o.os = this.#text(at, len);
      else if (code === SHB_USERAPPL) o.application = this.#text(at, len);
    });
    Object.assign(section, o, comments.length > 0 ? { comments } : {});
  }

  #idb(total: number): void {
    const s = this.#src;
    const le = this.#section!.little;
    const o: { -readonly [K in keyof CaptureInterface]: CaptureInterface[K] } = {
      linkType: canonicalLinkType(s.u16(8, le)),
      snaplen: s.u32(12, le),
      tsresol: 6,
    };
    const comments: string[] = [];
    this.#options(16, total - 4, (code, at, len) => {
      if (code === OPT_COMMENT) comments.push(this.#text(at, len));
      else if (code === IF_NAME) o.name = this.#text(at, len);
      else if (code === IF_DESCRIPTION) o.description = this.#text(at, len);
      else if (code === IF_MACADDR && len === 6) o.macAddr = s.bytes(at, 6);
      else if (code === IF_TSRESOL && len === 1) o.tsresol = s.u8(at);
      else if (code === IF_FILTER && len >= 1 && s.u8(at) === 0) o.filter = this.#text(at + 1, len - 1);
      else if (code === IF_OS) o.os = this.#text(at, len);
      else if (code === IF_TSOFFSET && len === 8) o.tsoffset = Number(BigInt.asIntN(64, s.u64(at, le)));
    });
    if (comments.length > 0) o.comments = comments;
    this.#section!.interfaces.push(o);
  }

  #interface(index: number, at: number): CaptureInterface {
    const iface = this.#section!.interfaces[index];
    if (iface === undefined) {
      throw invalid(this.#src.position + at, `interface ${index} is not described in its section`);
    }
    return iface;
  }

  /** Time written as two words, high one first, at `at`. */
  #units(at: number): bigint {
    const s = this.#src;
    const le = this.#section!.little;
    return (BigInt(s.u32(at, le)) << 32n) | BigInt(s.u32(at + 4, le));
  }

  /** An enhanced packet block of `total` bytes of which the first `there` are present. */
  #epb(total: number, there: number): PcapngPacket {
    const s = this.#src;
    const le = this.#section!.little;
    const interfaceIndex = s.u32(8, le);
    const iface = this.#interface(interfaceIndex, 8);
    const caplen = s.u32(20, le);
    if (28 + caplen > total - 4) {
      throw invalid(s.position + 20, `captured length ${caplen} runs over its block`);
    }
    const o: { -readonly [K in keyof PcapngPacket]: PcapngPacket[K] } = {
      interfaceIndex,
      ...timeFrom(this.#units(12), iface),
      bytes: s.bytes(28, Math.min(caplen, there - 28)),
      origLen: s.u32(24, le),
    };
    if (there === total) this.#packetOptions(28 + ((caplen + 3) & ~3), total - 4, o);
    return o;
  }

  #packetOptions(
    from: number,
    end: number,
    o: { -readonly [K in keyof PcapngPacket]: PcapngPacket[K] },
  ): void {
    const s = this.#src;
    const le = this.#section!.little;
    const comments: string[] = [];
    this.#options(from, end, (code, at, len) => {
      if (code === OPT_COMMENT) comments.push(this.#text(at, len));
      else if (code === EPB_FLAGS && len === 4) o.flags = s.u32(at, le);
      else if (code === EPB_DROPCOUNT && len === 8) o.dropCount = Number(s.u64(at, le));
      else if (code === EPB_PACKETID && len === 8) o.packetId = s.u64(at, le);
      else if (code === EPB_QUEUE && len === 4) o.queue = s.u32(at, le);
      else if (code === EPB_VERDICT && len === 9) o.verdict = { kind: s.u8(at), value: s.u64(at + 1, le) };
    });
    if (comments.length > 0) o.comments = comments;
  }

  /** The obsolete packet block: interface 2, drops 2, then as an EPB. */
  #pb(total: number): PcapngPacket {
    const s = this.#src;
    const le = this.#section!.little;
    const interfaceIndex = s.u16(8, le);
    const iface = this.#interface(interfaceIndex, 8);
    const caplen = s.u32(20, le);
    if (28 + caplen > total - 4) {
      throw invalid(s.position + 20, `captured length ${caplen} runs over its block`);
    }
    const o: { -readonly [K in keyof PcapngPacket]: PcapngPacket[K] } = {
      interfaceIndex,
      ...timeFrom(this.#units(12), iface),
      bytes: s.bytes(28, caplen),
      origLen: s.u32(24, le),
    };
    this.#packetOptions(28 + ((caplen + 3) & ~3), total - 4, o);
    return o;
  }

  #spb(total: number, there: number): PcapngPacket {
    const s = this.#src;
    const iface = this.#interface(0, 0);
    const origLen = s.u32(8, this.#section!.little);
    let n = Math.min(origLen, total - 16);
    if (iface.snaplen > 0) n = Math.min(n, iface.snaplen);
    return {
      interfaceIndex: 0,
      sec: 0,
      nsec: 0,
      timed: false,
      bytes: s.bytes(12, Math.min(n, there - 12)),
      origLen,
    };
  }

  #nrb(total: number): void {
    const s = this.#src;
    const le = this.#section!.little;
    const end = total - 4;
    let at = 8;
    while (at + 4 <= end) {
      const type = s.u16(at, le);
      const len = s.u16(at + 2, le);
      if (type === NRB_RECORD_END) return;
      if (at + 4 + len > end) throw invalid(s.position + at, "name record runs over its block");
      const addrLen = type === NRB_RECORD_IPV4 ? 4 : type === NRB_RECORD_IPV6 ? 16 : 0;
      if (addrLen > 0) {
        if (len <= addrLen) throw invalid(s.position + at, "name record without a name");
        const value = s.bytes(at + 4, len);
        this.#section!.names.push({
          address: addrLen === 4 ? formatIpv4At(value, 0) : formatIpv6(value),
          names: text(value.subarray(addrLen)).split("\0"),
        });
      }
      at += 4 + ((len + 3) & ~3);
    }
  }

  #isb(total: number): void {
    const s = this.#src;
    const le = this.#section!.little;
    const interfaceIndex = s.u32(8, le);
    const iface = this.#interface(interfaceIndex, 8);
    const o: { -readonly [K in keyof InterfaceStatistics]: InterfaceStatistics[K] } = {
      interfaceIndex,
      time: timeFrom(this.#units(12), iface),
    };
    const comments: string[] = [];
    this.#options(20, total - 4, (code, at, len) => {
      if (code === OPT_COMMENT) comments.push(this.#text(at, len));
      else if (len !== 8) return;
      else if (code === ISB_STARTTIME) o.startTime = timeFrom(this.#units(at), iface);
      else if (code === ISB_ENDTIME) o.endTime = timeFrom(this.#units(at), iface);
      else if (code === ISB_IFRECV) o.received = s.u64(at, le);
      else if (code === ISB_IFDROP) o.dropped = s.u64(at, le);
    });
    if (comments.length > 0) o.comments = comments;
    this.#section!.statistics.push(o);
  }
}

/** Shortest block of each type that is read. */
const MIN_BLOCK: { readonly [type: number]: number } = {
  [BLOCK_IDB]: 20,
  [BLOCK_PB]: 32,
  [BLOCK_SPB]: 16,
  [BLOCK_NRB]: 12,
  [BLOCK_ISB]: 24,
  [BLOCK_EPB]: 32,
};

/**
 * Reads a whole pcapng file. A packet cut off by the end of the file is kept, marked, and named in `truncated`.
 * @throws PodpathError PCAP_INVALID with the byte offset
 */
export function readPcapng(bytes: Uint8Array): PcapngFile {
  const r = new PcapngReader();
  r.push(bytes);
  while (r.next() !== undefined);
  r.finish();
  return {
    sections: r.sections,
    ...(r.truncated !== undefined ? { truncated: r.truncated } : {}),
  };
}

// ---- writing --------------------------------------------------------------------------------------------------

/** What may be told about a packet beside its bytes. */
export interface PacketOptions {
  readonly origLen?: number;
  readonly comments?: readonly string[];
  /** Or only the direction: DIRECTION_INBOUND or DIRECTION_OUTBOUND. */
  readonly flags?: number;
  readonly dropCount?: number;
  readonly packetId?: bigint;
  readonly queue?: number;
  readonly verdict?: { readonly kind: number; readonly value: bigint };
}

/** Fields of an interface to be described; times are nanoseconds unless told otherwise. */
export interface InterfaceOptions {
  readonly linkType?: number;
  readonly snaplen?: number;
  readonly name?: string;
  readonly description?: string;
  readonly macAddr?: Uint8Array;
  readonly tsresol?: number;
  readonly tsoffset?: number;
  readonly filter?: string;
  readonly os?: string;
  readonly comments?: readonly string[];
}

const utf8Encoder = new TextEncoder();

/**
 * Writes a file as packets come; the section header is the first thing that `take` gives.
 *
 *   const w = new PcapngWriter({ application: "podpath" });
 *   const eth0 = w.addInterface({ name: "eth0" });
 *   w.packet(eth0, sec, nsec, bytes, { flags: DIRECTION_INBOUND, comments: ["from-netdev"] });
 *   file = w.take();
 */
export class PcapngWriter {
  readonly #sink: ByteSink;
  #interfaces: { tsresol: number; tsoffset?: number; snaplen: number }[] = [];
  #blockAt = 0;

  constructor(opts: SectionOptions & { readonly little?: boolean } = {}) {
    this.#sink = new ByteSink(opts.little ?? true);
    this.section(opts);
  }

  /** Begins another section: interfaces must be described anew. */
  section(opts: SectionOptions = {}): void {
    const s = this.#sink;
    this.#interfaces = [];
    this.#begin(BLOCK_SHB);
    s.u32(BYTE_ORDER_MAGIC);
    s.u16(1);
    s.u16(0);
    s.u64(0xffff_ffff_ffff_ffffn);
    const o = this.#optionList();
    o.comments(opts.comments);
    o.text(SHB_HARDWARE, opts.hardware);
    o.text(SHB_OS, opts.os);
    o.text(SHB_USERAPPL, opts.application);
    o.end();
    this.#end();
  }

  /** Describes an interface; gives its index in the section. */
  addInterface(opts: InterfaceOptions = {}): number {
    const s = this.#sink;
    const tsresol = opts.tsresol ?? 9;
    const snaplen = opts.snaplen ?? 0;
    this.#begin(BLOCK_IDB);
    s.u16(opts.linkType ?? LINKTYPE_ETHERNET);
    s.u16(0);
    s.u32(snaplen);
    const o = this.#optionList();
    o.comments(opts.comments);
    o.text(IF_NAME, opts.name);
    o.text(IF_DESCRIPTION, opts.description);
    if (opts.macAddr !== undefined) o.bytes(IF_MACADDR, opts.macAddr);
    if (tsresol !== 6) o.bytes(IF_TSRESOL, Uint8Array.of(tsresol));
    if (opts.filter !== undefined) o.bytes(IF_FILTER, utf8Encoder.encode(`\0${opts.filter}`));
    o.text(IF_OS, opts.os);
    if (opts.tsoffset !== undefined) o.u64(IF_TSOFFSET, BigInt.asUintN(64, BigInt(opts.tsoffset)));
    o.end();
    this.#end();
    this.#interfaces.push({
      tsresol,
      snaplen,
      ...(opts.tsoffset !== undefined ? { tsoffset: opts.tsoffset } : {}),
    });
    return this.#interfaces.length - 1;
  }

  #interface(index: number): { tsresol: number; tsoffset?: number; snaplen: number } {
    const iface = this.#interfaces[index];
    if (iface === undefined) throw new PodpathError("USAGE", `pcapng: interface ${index} is not described`);
    return iface;
  }

  /** Adds an enhanced packet block. */
  packet(
    interfaceIndex: number,
    sec: number,
    nsec: number,
    bytes: Uint8Array,
    opts: PacketOptions = {},
  ): void {
    const s = this.#sink;
    const iface = this.#interface(interfaceIndex);
    const n = iface.snaplen > 0 ? Math.min(bytes.length, iface.snaplen) : bytes.length;
    this.#begin(BLOCK_EPB);
    s.u32(interfaceIndex);
    this.#time({ sec, nsec }, iface);
    s.u32(n);
    s.u32(opts.origLen ?? bytes.length);
    s.bytes(bytes.subarray(0, n));
    s.align(4);
    const o = this.#optionList();
    o.comments(opts.comments);
    if (opts.flags !== undefined) o.u32(EPB_FLAGS, opts.flags);
    if (opts.dropCount !== undefined) o.u64(EPB_DROPCOUNT, BigInt(opts.dropCount));
    if (opts.packetId !== undefined) o.u64(EPB_PACKETID, opts.packetId);
    if (opts.queue !== undefined) o.u32(EPB_QUEUE, opts.queue);
    if (opts.verdict !== undefined) o.verdict(opts.verdict.kind, opts.verdict.value);
    o.end();
    this.#end();
  }

  /** Adds a simple packet block: interface 0, no time. */
  simplePacket(bytes: Uint8Array, origLen: number = bytes.length): void {
    const s = this.#sink;
    const iface = this.#interface(0);
    this.#begin(BLOCK_SPB);
    s.u32(origLen);
    s.bytes(iface.snaplen > 0 ? bytes.subarray(0, iface.snaplen) : bytes);
    s.align(4);
    this.#end();
  }

  /** Adds a name resolution block. @throws PodpathError ADDRESS_INVALID */
  names(records: readonly NameRecord[]): void {
    const s = this.#sink;
    this.#begin(BLOCK_NRB);
    for (const r of records) {
      const v4 = tryParseIpv4(r.address);
      const addr =
        v4 !== undefined ? Uint8Array.of(v4, v4 >>> 8, v4 >>> 16, v4 >>> 24) : tryParseIpv6(r.address);
      if (addr === undefined) {
        throw new PodpathError("ADDRESS_INVALID", `"${r.address}" is not an IP address`);
      }
      const names = utf8Encoder.encode(r.names.map((n) => `${n}\0`).join(""));
      s.u16(v4 !== undefined ? NRB_RECORD_IPV4 : NRB_RECORD_IPV6);
      s.u16(addr.length + names.length);
      s.bytes(addr);
      s.bytes(names);
      s.align(4);
    }
    s.u32(NRB_RECORD_END);
    this.#end();
  }

  /** Adds an interface statistics block. */
  statistics(st: InterfaceStatistics): void {
    const s = this.#sink;
    const iface = this.#interface(st.interfaceIndex);
    this.#begin(BLOCK_ISB);
    s.u32(st.interfaceIndex);
    this.#time(st.time, iface);
    const o = this.#optionList();
    o.comments(st.comments);
    if (st.startTime !== undefined) o.words(ISB_STARTTIME, timeTo(st.startTime, iface));
    if (st.endTime !== undefined) o.words(ISB_ENDTIME, timeTo(st.endTime, iface));
    if (st.received !== undefined) o.u64(ISB_IFRECV, st.received);
    if (st.dropped !== undefined) o.u64(ISB_IFDROP, st.dropped);
    o.end();
    this.#end();
  }

  /** The bytes since the last `take`. */
  take(): Uint8Array {
    return this.#sink.take();
  }

  #time(t: CaptureTime, iface: { tsresol: number; tsoffset?: number }): void {
    const units = timeTo(t, iface);
    this.#sink.u32(Number((units >> 32n) & 0xffff_ffffn));
    this.#sink.u32(Number(units & 0xffff_ffffn));
  }

  #begin(type: number): void {
    this.#blockAt = this.#sink.length;
    this.#sink.u32(type);
    this.#sink.u32(0);
  }

  #end(): void {
    const total = this.#sink.length - this.#blockAt + 4;
    this.#sink.u32(total);
    this.#sink.patch32(this.#blockAt + 4, total);
  }

  #optionList(): OptionList {
    return new OptionList(this.#sink);
  }
}

/** Options of one block; the end mark is written only if there was one. */
class OptionList {
  #any = false;
  readonly #s: ByteSink;

  constructor(sink: ByteSink) {
    this.#s = sink;
  }

  #head(code: number, len: number): void {
    this.#any = true;
    this.#s.u16(code);
    this.#s.u16(len);
  }

  bytes(code: number, b: Uint8Array): void {
    if (b.length > 0xffff)
      throw new PodpathError("USAGE", `pcapng: option ${code} is longer than 65535 bytes`);
    this.#head(code, b.length);
    this.#s.bytes(b);
    this.#s.align(4);
  }

  text(code: number, t: string | undefined): void {
    if (t !== undefined) this.bytes(code, utf8Encoder.encode(t));
  }

  comments(list: readonly string[] | undefined): void {
    for (const c of list ?? []) this.text(OPT_COMMENT, c);
  }

  u32(code: number, v: number): void {
    this.#head(code, 4);
    this.#s.u32(v);
  }

  u64(code: number, v: bigint): void {
    this.#head(code, 8);
    this.#s.u64(v);
  }

  /** A time: high word, low word. */
  words(code: number, v: bigint): void {
    this.#head(code, 8);
    this.#s.u32(Number((v >> 32n) & 0xffff_ffffn));
    this.#s.u32(Number(v & 0xffff_ffffn));
  }

  verdict(kind: number, value: bigint): void {
    this.#head(EPB_VERDICT, 9);
    this.#s.u8(kind);
    this.#s.u64(value);
    this.#s.align(4);
  }

  end(): void {
    if (this.#any) this.#s.u32(OPT_END);
  }
}
