// SCTP common header and first chunk (RFC 9260), after linux/sctp.h.
//
//   offset  size  field
//   0       2     source
//   2       2     dest
//   4       4     vtag
//   8       4     checksum  CRC32c over the packet, stored little-endian
//   12      1     type      of the first chunk
//   13      1     flags
//   14      2     length    chunk header included, padding excluded

import type { Be16 } from "../base/brand.js";
import { crc32c } from "./checksum.js";

export const SCTP_HLEN = 12;
export const SCTP_CHUNK_HLEN = 4;

export const SCTP_CID_DATA = 0;
export const SCTP_CID_INIT = 1;
export const SCTP_CID_INIT_ACK = 2;
export const SCTP_CID_SACK = 3;
export const SCTP_CID_HEARTBEAT = 4;
export const SCTP_CID_HEARTBEAT_ACK = 5;
export const SCTP_CID_ABORT = 6;
export const SCTP_CID_SHUTDOWN = 7;
export const SCTP_CID_SHUTDOWN_ACK = 8;
export const SCTP_CID_ERROR = 9;
export const SCTP_CID_COOKIE_ECHO = 10;
export const SCTP_CID_COOKIE_ACK = 11;
export const SCTP_CID_SHUTDOWN_COMPLETE = 14;

export const OFF_SOURCE = 0;
export const OFF_DEST = 2;
export const OFF_VTAG = 4;
export const OFF_CHECKSUM = 8;

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

/** Verification tag, int32. */
export function vtag(view: DataView, off: number): number {
  return view.getInt32(off + OFF_VTAG);
}

/** Stored CRC32c, int32. */
export function crc(view: DataView, off: number): number {
  return view.getInt32(off + OFF_CHECKSUM, true);
}

/** Type of the chunk at `at`. */
export function chunkType(view: DataView, at: number): number {
  return view.getUint8(at);
}

export function chunkFlags(view: DataView, at: number): number {
  return view.getUint8(at + 1);
}

export function chunkLen(view: DataView, at: number): number {
  return view.getUint16(at + 2);
}

/** Writes the common header with a zero checksum; 12 bytes. */
export function write(view: DataView, off: number, src: number, dst: number, tag: number): void {
  view.setUint16(off, src);
  view.setUint16(off + OFF_DEST, dst);
  view.setInt32(off + OFF_VTAG, tag);
  view.setInt32(off + OFF_CHECKSUM, 0);
}

/** Computes and writes the CRC32c of a packet of `len` bytes. */
export function updateCheck(view: DataView, off: number, len: number): void {
  view.setInt32(off + OFF_CHECKSUM, crc32c(view, off, len, off + OFF_CHECKSUM), true);
}

/** True if the stored CRC32c is right. */
export function checkOk(view: DataView, off: number, len: number): boolean {
  return crc(view, off) === crc32c(view, off, len, off + OFF_CHECKSUM);
}
