// pcap files (draft-ietf-opsawg-pcap; libpcap's sf-pcap.c): reading in both byte orders, micro- and nanosecond,
// in chunks; writing the same.
//
//   file    magic 4, major 2, minor 2, thiszone 4, sigfigs 4, snaplen 4, link type 4
//   packet  seconds 4, micro- or nanoseconds 4, captured length 4, original length 4, bytes
//
//   magic   a1b2c3d4 microseconds · a1b23c4d nanoseconds · a1b2cd34 the "modified" form with 8 more bytes a packet

import { PodpathError } from "../base/errors.js";
import { ByteSink, ByteSource } from "./byte_stream.js";
import { canonicalLinkType, LINKTYPE_ETHERNET } from "./link_type.js";

export const PCAP_MAGIC_USEC = 0xa1b2c3d4;
export const PCAP_MAGIC_NSEC = 0xa1b23c4d;
export const PCAP_MAGIC_MODIFIED = 0xa1b2cd34;
export const PCAP_FILE_HLEN = 24;
export const PCAP_PACKET_HLEN = 16;
/** Longest packet that is believed when the file's own snapshot length is shorter (libpcap's MAXIMUM_SNAPLEN). */
export const MAX_SNAPLEN = 262144;

/** A captured packet, of either format. */
export interface CapturedPacket {
  /** Seconds since the epoch. */
  readonly sec: number;
  /** Nanoseconds within the second. */
  readonly nsec: number;
  /** The captured bytes. */
  readonly bytes: Uint8Array;
  /** Length on the wire; more than `bytes.length` if the capture cut it. */
  readonly origLen: number;
  /** The file ends inside this packet: `bytes` is what was there. */
  readonly truncated?: boolean;
}

/** What a pcap file's header says. */
export interface PcapHeader {
  readonly little: boolean;
  readonly nano: boolean;
  readonly modified: boolean;
  readonly versionMajor: number;
  readonly versionMinor: number;
  readonly snaplen: number;
  readonly linkType: number;
  /** Bytes of frame check sequence at the end of each packet; undefined if not told. */
  readonly fcsLen?: number;
}

/** A whole file. */
export interface PcapFile {
  readonly header: PcapHeader;
  readonly packets: readonly CapturedPacket[];
  /** Set if the file ends inside a packet: where that packet starts, and a sentence for people. */
  readonly truncated?: { readonly offset: number; readonly message: string };
}

function invalid(offset: number, what: string): PodpathError {
  return new PodpathError("PCAP_INVALID", `pcap: ${what} at byte ${offset}`);
}

/**
 * Reads a file as its bytes arrive: `push` chunks, `next` packets until undefined, and `finish` at the end.
 * @throws PodpathError PCAP_INVALID from `next` and `finish`, with the byte offset of what is wrong
 */
export class PcapReader {
  readonly #src = new ByteSource();
  #header: PcapHeader | undefined;
  #truncated: { offset: number; message: string } | undefined;

  push(chunk: Uint8Array): void {
    if (chunk.length > 0) this.#src.push(chunk);
  }

  /** The file's header, once 24 bytes are there. */
  get header(): PcapHeader | undefined {
    if (this.#header === undefined && this.#src.available >= 4) this.#readHeader();
    return this.#header;
  }

  /** Set by `finish` if the file ended inside a packet. */
  get truncated(): { readonly offset: number; readonly message: string } | undefined {
    return this.#truncated;
  }

  /** The next whole packet, or undefined until more bytes come. */
  next(): CapturedPacket | undefined {
    const h = this.header;
    if (h === undefined) return undefined;
    const s = this.#src;
    const hlen = h.modified ? PCAP_PACKET_HLEN + 8 : PCAP_PACKET_HLEN;
    if (s.available < hlen) return undefined;
    const caplen = this.#caplen(h);
    if (s.available < hlen + caplen) return undefined;
    const p = this.#packet(h, hlen, caplen);
    s.consume(hlen + caplen);
    return p;
  }

  /** Says that no more bytes will come; gives the packet inside which they ended, if any of it can be shown. */
  finish(): CapturedPacket | undefined {
    const s = this.#src;
    const h = this.header;
    if (h === undefined) throw invalid(s.position + s.available, "the file ends inside its header");
    if (s.available === 0) return undefined;
    const hlen = h.modified ? PCAP_PACKET_HLEN + 8 : PCAP_PACKET_HLEN;
    const offset = s.position;
    const there = s.available - hlen;
    if (there < 0) {
      this.#truncated = {
        offset,
        message: `pcap: the last packet header, at byte ${offset}, has ${s.available} of ${hlen} bytes`,
      };
      s.consume(s.available);
      return undefined;
    }
    const caplen = this.#caplen(h);
    this.#truncated = {
      offset,
      message: `pcap: the last packet, at byte ${offset}, has ${there} of ${caplen} bytes`,
    };
    const p = this.#packet(h, hlen, there);
    s.consume(s.available);
    return { ...p, truncated: true };
  }

  #caplen(h: PcapHeader): number {
    const caplen = this.#src.u32(8, h.little);
    if (caplen > MAX_SNAPLEN && caplen > h.snaplen) {
      throw invalid(this.#src.position + 8, `captured length ${caplen} is too large`);
    }
    return caplen;
  }

  #packet(h: PcapHeader, hlen: number, n: number): CapturedPacket {
    const s = this.#src;
    const frac = s.u32(4, h.little);
    return {
      sec: s.u32(0, h.little),
      nsec: h.nano ? frac : frac * 1000,
      bytes: s.bytes(hlen, n),
      origLen: s.u32(12, h.little),
    };
  }

  #readHeader(): void {
    const s = this.#src;
    const big = s.u32(0, false);
    const little = s.u32(0, true);
    const known = (m: number) => m === PCAP_MAGIC_USEC || m === PCAP_MAGIC_NSEC || m === PCAP_MAGIC_MODIFIED;
    if (!known(big) && !known(little)) {
      throw invalid(0, `not a pcap file (magic 0x${big.toString(16).padStart(8, "0")})`);
    }
    if (s.available < PCAP_FILE_HLEN) return;
    const le = known(little);
    const magic = le ? little : big;
    const major = s.u16(4, le);
    const minor = s.u16(6, le);
    if (major !== 2) throw invalid(4, `version ${major}.${minor} is not supported`);
    const link = s.u32(20, le);
    this.#header = {
      little: le,
      nano: magic === PCAP_MAGIC_NSEC,
      modified: magic === PCAP_MAGIC_MODIFIED,
      versionMajor: major,
      versionMinor: minor,
      snaplen: s.u32(16, le),
      linkType: canonicalLinkType(link & 0x03ff_ffff),
      ...((link & 0x0400_0000) !== 0 ? { fcsLen: link >>> 28 } : {}),
    };
    s.consume(PCAP_FILE_HLEN);
  }
}

/** True if the bytes begin like a pcap file. */
export function isPcap(bytes: Uint8Array): boolean {
  if (bytes.length < 4) return false;
  const v = new DataView(bytes.buffer, bytes.byteOffset, 4);
  return [v.getUint32(0), v.getUint32(0, true)].some(
    (m) => m === PCAP_MAGIC_USEC || m === PCAP_MAGIC_NSEC || m === PCAP_MAGIC_MODIFIED,
  );
}

/**
 * Reads a whole pcap file. A packet cut off by the end of the file is kept, marked, and named in `truncated`.
 * @throws PodpathError PCAP_INVALID with the byte offset
 */
export function readPcap(bytes: Uint8Array): PcapFile {
  const r = new PcapReader();
  r.push(bytes);
  const packets: CapturedPacket[] = [];
  for (let p = r.next(); p !== undefined; p = r.next()) packets.push(p);
  const last = r.finish();
  if (last !== undefined) packets.push(last);
  return {
    header: r.header!,
    packets,
    ...(r.truncated !== undefined ? { truncated: r.truncated } : {}),
  };
}

export interface PcapOptions {
  /** Default little-endian. */
  readonly little?: boolean;
  /** Default nanoseconds. */
  readonly nano?: boolean;
  /** Default Ethernet. */
  readonly linkType?: number;
  /** Default 262144. Longer packets are cut. */
  readonly snaplen?: number;
}

/** Writes a file as packets come: the header is the first thing that `take` gives. */
export class PcapWriter {
  readonly #sink: ByteSink;
  readonly #nano: boolean;
  readonly #snaplen: number;

  constructor(opts: PcapOptions = {}) {
    this.#nano = opts.nano ?? true;
    this.#snaplen = opts.snaplen ?? MAX_SNAPLEN;
    const s = new ByteSink(opts.little ?? true);
    this.#sink = s;
    s.u32(this.#nano ? PCAP_MAGIC_NSEC : PCAP_MAGIC_USEC);
    s.u16(2);
    s.u16(4);
    s.u32(0);
    s.u32(0);
    s.u32(this.#snaplen);
    s.u32(opts.linkType ?? LINKTYPE_ETHERNET);
  }

  /** Adds a packet; without nanoseconds in the file its time is cut to microseconds. */
  packet(sec: number, nsec: number, bytes: Uint8Array, origLen: number = bytes.length): void {
    const s = this.#sink;
    const n = Math.min(bytes.length, this.#snaplen);
    s.u32(sec);
    s.u32(this.#nano ? nsec : Math.floor(nsec / 1000));
    s.u32(n);
    s.u32(origLen);
    s.bytes(n === bytes.length ? bytes : bytes.subarray(0, n));
  }

  /** The bytes since the last `take`. */
  take(): Uint8Array {
    return this.#sink.take();
  }
}

/** A whole pcap file. */
export function writePcap(packets: Iterable<CapturedPacket>, opts: PcapOptions = {}): Uint8Array {
  const w = new PcapWriter(opts);
  for (const p of packets) w.packet(p.sec, p.nsec, p.bytes, p.origLen);
  return w.take();
}
