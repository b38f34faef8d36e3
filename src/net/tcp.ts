// TCP header and options (RFC 9293, RFC 7323, RFC 2018), after linux/tcp.h and net/ipv4/tcp_input.c.
//
//   offset  size  field
//   0       2     source
//   2       2     dest
//   4       4     seq
//   8       4     ack_seq
//   12      1     doff 4 bits (header length in words), reserved 3, AE 1
//   13      1     flags CWR ECE URG ACK PSH RST SYN FIN
//   14      2     window
//   16      2     check   pseudo header included
//   18      2     urg_ptr
//   20      0-40  options

import type { Be16 } from "../base/brand.js";
import { l4Checksum } from "./checksum.js";
import { IPPROTO_TCP } from "./ipv4.js";

/** Length without options. */
export const TCP_HLEN = 20;
export const TCP_MAX_HLEN = 60;

export const TCPHDR_FIN = 0x01;
export const TCPHDR_SYN = 0x02;
export const TCPHDR_RST = 0x04;
export const TCPHDR_PSH = 0x08;
export const TCPHDR_ACK = 0x10;
export const TCPHDR_URG = 0x20;
export const TCPHDR_ECE = 0x40;
export const TCPHDR_CWR = 0x80;
/** Lowest bit of byte 12 (formerly NS), as bit 8 of `flags12`. */
export const TCPHDR_AE = 0x100;

export const TCPOPT_EOL = 0;
export const TCPOPT_NOP = 1;
export const TCPOPT_MSS = 2;
export const TCPOPT_WINDOW = 3;
export const TCPOPT_SACK_PERM = 4;
export const TCPOPT_SACK = 5;
export const TCPOPT_TIMESTAMP = 8;
export const TCPOPT_MD5SIG = 19;
export const TCPOPT_FASTOPEN = 34;

export const TCP_MAX_WSCALE = 14;

export const OFF_SOURCE = 0;
export const OFF_DEST = 2;
export const OFF_SEQ = 4;
export const OFF_ACK_SEQ = 8;
export const OFF_DOFF = 12;
export const OFF_FLAGS = 13;
export const OFF_WINDOW = 14;
export const OFF_CHECK = 16;
export const OFF_URG_PTR = 18;

export function source(view: DataView, off: number): number {
  return view.getUint16(off);
}

export function sourceBe(view: DataView, off: number): Be16 {
  return view.getUint16(off, true) as Be16;
}

export function setSource(view: DataView, off: number, v: number): void {
  view.setUint16(off, v);
}

export function dest(view: DataView, off: number): number {
  return view.getUint16(off + OFF_DEST);
}

export function destBe(view: DataView, off: number): Be16 {
  return view.getUint16(off + OFF_DEST, true) as Be16;
}

export function setDest(view: DataView, off: number, v: number): void {
  view.setUint16(off + OFF_DEST, v);
}

/** Sequence number as int32; compare with `before` and `after`, print with `>>> 0`. */
export function seq(view: DataView, off: number): number {
  return view.getInt32(off + OFF_SEQ);
}

export function setSeq(view: DataView, off: number, v: number): void {
  view.setInt32(off + OFF_SEQ, v);
}

export function ackSeq(view: DataView, off: number): number {
  return view.getInt32(off + OFF_ACK_SEQ);
}

export function setAckSeq(view: DataView, off: number, v: number): void {
  view.setInt32(off + OFF_ACK_SEQ, v);
}

/** Header length in bytes, 0 to 60; below 20 is malformed. */
export function hlen(view: DataView, off: number): number {
  return (view.getUint8(off + OFF_DOFF) >> 4) << 2;
}

export function setHlen(view: DataView, off: number, bytes: number): void {
  view.setUint8(off + OFF_DOFF, (bytes << 2) | (view.getUint8(off + OFF_DOFF) & 0xf));
}

/** CWR to FIN, eight bits. */
export function flags(view: DataView, off: number): number {
  return view.getUint8(off + OFF_FLAGS);
}

export function setFlags(view: DataView, off: number, v: number): void {
  view.setUint8(off + OFF_FLAGS, v);
}

/** Reserved bits, AE and the eight flags: twelve bits. */
export function flags12(view: DataView, off: number): number {
  return view.getUint16(off + OFF_DOFF) & 0xfff;
}

export function window(view: DataView, off: number): number {
  return view.getUint16(off + OFF_WINDOW);
}

export function setWindow(view: DataView, off: number, v: number): void {
  view.setUint16(off + OFF_WINDOW, v);
}

export function check(view: DataView, off: number): number {
  return view.getUint16(off + OFF_CHECK);
}

export function setCheck(view: DataView, off: number, v: number): void {
  view.setUint16(off + OFF_CHECK, v);
}

export function urgPtr(view: DataView, off: number): number {
  return view.getUint16(off + OFF_URG_PTR);
}

export function setUrgPtr(view: DataView, off: number, v: number): void {
  view.setUint16(off + OFF_URG_PTR, v);
}

/** Sequence number `a` comes before `b`, modulo 2^32. */
export function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** Sequence number `a` comes after `b`, modulo 2^32. */
export function after(a: number, b: number): boolean {
  return ((b - a) | 0) < 0;
}

/** Writes a header without options and with a zero checksum; 20 bytes. */
export function write(
  view: DataView,
  off: number,
  src: number,
  dst: number,
  seqNo: number,
  ackNo: number,
  flagByte: number,
  win: number,
): void {
  view.setUint16(off, src);
  view.setUint16(off + OFF_DEST, dst);
  view.setInt32(off + OFF_SEQ, seqNo);
  view.setInt32(off + OFF_ACK_SEQ, ackNo);
  view.setUint8(off + OFF_DOFF, 5 << 4);
  view.setUint8(off + OFF_FLAGS, flagByte);
  view.setUint16(off + OFF_WINDOW, win);
  view.setUint16(off + OFF_CHECK, 0);
  view.setUint16(off + OFF_URG_PTR, 0);
}

/** Computes and writes the checksum of a segment of `len` bytes (header included), its IP header at `l3`. */
export function updateCheck(view: DataView, l3: number, off: number, len: number): void {
  view.setUint16(off + OFF_CHECK, 0);
  view.setUint16(off + OFF_CHECK, l4Checksum(view, l3, off, len, IPPROTO_TCP));
}

/** True if the checksum is right. */
export function checkOk(view: DataView, l3: number, off: number, len: number): boolean {
  return l4Checksum(view, l3, off, len, IPPROTO_TCP) === 0;
}

// ---- options --------------------------------------------------------------------------------------------------

/** The options that endpoints and conntrack care about; reused, after struct tcp_options_received. */
export class TcpOptions {
  /** -1 = absent. */
  mss = -1;
  /** Window shift, at most 14; -1 = absent. */
  wscale = -1;
  sackOk = false;
  hasTimestamp = false;
  /** int32. */
  tsval = 0;
  tsecr = 0;
  /** Number of SACK blocks, 0 to 4. */
  sacks = 0;
  /** Left and right edges, int32, two per block. */
  readonly sack = new Int32Array(8);

  clear(): void {
    this.mss = -1;
    this.wscale = -1;
    this.sackOk = false;
    this.hasTimestamp = false;
    this.tsval = 0;
    this.tsecr = 0;
    this.sacks = 0;
  }
}

/**
 * Reads the options of the header at `off`, all of whose `hlen` bytes must be readable. Unknown ones are stepped
 * over; a malformed list ends the reading and gives false, as the kernel keeps what it had until then.
 */
export function parseOptions(view: DataView, off: number, o: TcpOptions): boolean {
  o.clear();
  const end = off + hlen(view, off);
  let at = off + TCP_HLEN;
  while (at < end) {
    const kind = view.getUint8(at);
    if (kind === TCPOPT_EOL) return true;
    if (kind === TCPOPT_NOP) {
      at++;
      continue;
    }
    if (at + 1 >= end) return false;
    const len = view.getUint8(at + 1);
    if (len < 2 || at + len > end) return false;
    switch (kind) {
      case TCPOPT_MSS:
        if (len === 4) o.mss = view.getUint16(at + 2);
        break;
      case TCPOPT_WINDOW:
        if (len === 3) {
          const w = view.getUint8(at + 2);
          o.wscale = Math.min(w, TCP_MAX_WSCALE);
        }
        break;
      case TCPOPT_SACK_PERM:
        if (len === 2) o.sackOk = true;
        break;
      case TCPOPT_TIMESTAMP:
        if (len === 10) {
          o.hasTimestamp = true;
          o.tsval = view.getInt32(at + 2);
          o.tsecr = view.getInt32(at + 6);
        }
        break;
      case TCPOPT_SACK:
        if (len >= 10 && ((len - 2) & 7) === 0) {
          const n = (len - 2) >> 3;
          o.sacks = Math.min(n, 4);
          for (let i = 0; i < o.sacks * 2; i++) o.sack[i] = view.getInt32(at + 2 + 4 * i);
        }
        break;
    }
    at += len;
  }
  return true;
}

/**
 * Writes options in the order in which Linux emits them (tcp_options_write: MSS, timestamp with SACK permitted in
 * its padding or two NOPs, SACK permitted alone, window scale, SACK blocks) and sets the header length.
 * Gives the number of option bytes, a multiple of 4.
 */
export function writeOptions(view: DataView, off: number, o: TcpOptions): number {
  let at = off + TCP_HLEN;
  if (o.mss >= 0) {
    view.setUint8(at, TCPOPT_MSS);
    view.setUint8(at + 1, 4);
    view.setUint16(at + 2, o.mss);
    at += 4;
  }
  if (o.hasTimestamp) {
    view.setUint8(at, o.sackOk ? TCPOPT_SACK_PERM : TCPOPT_NOP);
    view.setUint8(at + 1, o.sackOk ? 2 : TCPOPT_NOP);
    view.setUint8(at + 2, TCPOPT_TIMESTAMP);
    view.setUint8(at + 3, 10);
    view.setInt32(at + 4, o.tsval);
    view.setInt32(at + 8, o.tsecr);
    at += 12;
  } else if (o.sackOk) {
    view.setUint8(at, TCPOPT_NOP);
    view.setUint8(at + 1, TCPOPT_NOP);
    view.setUint8(at + 2, TCPOPT_SACK_PERM);
    view.setUint8(at + 3, 2);
    at += 4;
  }
  if (o.wscale >= 0) {
    view.setUint8(at, TCPOPT_NOP);
    view.setUint8(at + 1, TCPOPT_WINDOW);
    view.setUint8(at + 2, 3);
    view.setUint8(at + 3, o.wscale);
    at += 4;
  }
  if (o.sacks > 0) {
    view.setUint8(at, TCPOPT_NOP);
    view.setUint8(at + 1, TCPOPT_NOP);
    view.setUint8(at + 2, TCPOPT_SACK);
    view.setUint8(at + 3, 2 + 8 * o.sacks);
    at += 4;
    for (let i = 0; i < o.sacks * 2; i++, at += 4) view.setInt32(at, o.sack[i]!);
  }
  setHlen(view, off, at - off);
  return at - off - TCP_HLEN;
}

/** Bytes that `writeOptions` will write. */
export function optionsLen(o: TcpOptions): number {
  return (
    (o.mss >= 0 ? 4 : 0) +
    (o.hasTimestamp ? 12 : o.sackOk ? 4 : 0) +
    (o.wscale >= 0 ? 4 : 0) +
    (o.sacks > 0 ? 4 + 8 * o.sacks : 0)
  );
}

/** Offset of the MSS value in a SYN's options, or -1; what TCPMSS and Cilium's MSS clamp look for. */
export function mssAt(view: DataView, off: number): number {
  const end = off + hlen(view, off);
  let at = off + TCP_HLEN;
  while (at < end) {
    const kind = view.getUint8(at);
    if (kind === TCPOPT_EOL) return -1;
    if (kind === TCPOPT_NOP) {
      at++;
      continue;
    }
    if (at + 1 >= end) return -1;
    const len = view.getUint8(at + 1);
    if (len < 2 || at + len > end) return -1;
    if (kind === TCPOPT_MSS && len === 4) return at + 2;
    at += len;
  }
  return -1;
}
