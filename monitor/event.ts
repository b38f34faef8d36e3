// Samples of the datapath to fields: the packed structures that programs write in front of the captured packet.
//
//   0 type u8 | 1 subtype u8 | 2 source u16 | 4 hash u32              all but socket traces
//   8 len_orig u32 | 12 len_cap u16 | 14 version u8 | 15 ext u8       drop, capture, trace, policy verdict
//
// Little-endian. Everything behind the header is packet, the ring's padding included, as the client takes it. The
// stock decoder knows no extension version: the packet starts behind the base header whatever `ext` says.

import { le16, le32 } from "./go_text.js";
import {
  EVENT_CAPTURE,
  EVENT_DEBUG,
  EVENT_DROP,
  EVENT_POLICY_VERDICT,
  EVENT_RECORDER,
  EVENT_TRACE,
  EVENT_TRACE_SOCK,
  type Profile,
} from "./release.js";

/** Bits of the flags of traces and drops. */
export const CLS_FLAG_IPV6 = 0x01;
export const CLS_FLAG_L3_DEV = 0x02;
export const CLS_FLAG_VXLAN = 0x04;
export const CLS_FLAG_GENEVE = 0x08;

/** Bit of a trace reason: the packet was encrypted. */
export const TRACE_REASON_ENCRYPTED = 0x80;

/** Bits of the flags of policy verdicts. */
export const POLICY_DIR_MASK = 0x03;
export const POLICY_IPV6 = 0x04;
export const POLICY_MATCH_SHIFT = 3;
export const POLICY_MATCH_MASK = 0x07;
export const POLICY_AUDITED = 0x40;
export const POLICY_L3_DEV = 0x80;

const DEBUG_LEN = 20;
const CAPTURE_LEN = 24;
const SOCK_LEN = 40;
const RECORDER_LEN = 24;

/**
 * The fields of one sample; reused from sample to sample. 32-bit fields are signed int32 (`>>> 0` to print), 64-bit
 * ones stay in the sample (offsets below). What a kind does not have is 0.
 */
export class DatapathEvent {
  type = 0;
  /** Drop reason, debug code, capture code, observation point, socket xlate point. */
  subtype = 0;
  source = 0;
  hash = 0;
  lenOrig = 0;
  /** Bytes captured, as the decoder of the release reads it. */
  lenCap = 0;
  version = 0;
  /** Source and destination identity; a policy verdict's remote identity is `srcLabel`. */
  srcLabel = 0;
  dstLabel = 0;
  /** Destination endpoint; u16 of traces, u32 of drops. */
  dstId = 0;
  reason = 0;
  flags = 0;
  ifindex = 0;
  line = 0;
  file = 0;
  extError = 0;
  arg1 = 0;
  arg2 = 0;
  arg3 = 0;
  verdict = 0;
  dstPort = 0;
  proto = 0;
  authType = 0;
  /** Offset of the original address, -1 when the version has none; of the trace id, likewise. */
  origIp = -1;
  ipTraceId = -1;
  /** Where the packet starts. */
  packet = 0;
  /** 32-bit words of a trace's header that was read; 0 where the fields are not what the bytes say. */
  headerWords = 0;

  /** All fields to zero, as the 1.11 client's structure is after it failed to read one. */
  clear(): void {
    this.subtype = 0;
    this.source = 0;
    this.hash = 0;
    this.lenOrig = 0;
    this.lenCap = 0;
    this.version = 0;
    this.srcLabel = 0;
    this.dstLabel = 0;
    this.dstId = 0;
    this.reason = 0;
    this.flags = 0;
    this.ifindex = 0;
    this.line = 0;
    this.file = 0;
    this.extError = 0;
    this.arg1 = 0;
    this.arg2 = 0;
    this.arg3 = 0;
    this.verdict = 0;
    this.dstPort = 0;
    this.proto = 0;
    this.authType = 0;
    this.origIp = -1;
    this.ipTraceId = -1;
  }

  #common(b: Uint8Array): void {
    this.subtype = b[1]!;
    this.source = le16(b, 2);
    this.hash = le32(b, 4);
  }

  #capture(b: Uint8Array): void {
    this.subtype = b[1]!;
    this.source = le16(b, 2);
    this.hash = le32(b, 4);
    this.lenOrig = le32(b, 8);
    this.lenCap = le16(b, 12);
  }

  /**
   * Reads a sample of a datapath type (1-7). "" or why the decoder of this release refuses it; then the fields are
   * zero. A sample must have at least one byte.
   */
  decode(p: Profile, b: Uint8Array): string {
    this.type = b[0]!;
    switch (this.type) {
      case EVENT_TRACE:
        return this.#trace(p, b);
      case EVENT_DROP:
        return this.#drop(p, b);
      case EVENT_DEBUG:
        return this.#debug(p, b);
      case EVENT_CAPTURE:
        return this.#debugCapture(p, b);
      case EVENT_POLICY_VERDICT:
        return this.#policyVerdict(p, b);
      case EVENT_TRACE_SOCK:
        return this.#traceSock(b);
      case EVENT_RECORDER:
        return this.#recorder(b);
      default:
        return `unknown event type ${this.type}`;
    }
  }

  #refuse(text: string, packet: number): string {
    this.clear();
    this.headerWords = 0;
    this.packet = packet;
    return text;
  }

  #trace(p: Profile, b: Uint8Array): string {
    const r = p.release;
    const len = b.length;
    const base = r.traceHeader[0]!;
    const version = r.byteVersion ? b[14]! : le16(b, 14);
    const header = r.traceHeader[version];
    if (r.skipsMalformed) {
      if (len < base) {
        return this.#refuse(
          `unexpected TraceNotify data length, expected at least ${base} but got ${len}`,
          base,
        );
      }
      if (header !== undefined && len < header) {
        return this.#refuse(
          `unexpected TraceNotify data length (version ${version}), expected at least ${header} but got ${len}`,
          base,
        );
      }
    } else if (len < 16) {
      return this.#refuse("Unknown trace event", base);
    } else if (header !== undefined && len < header) {
      return this.#refuse("unexpected EOF", base);
    }
    if (header === undefined) return this.#refuse(`Unrecognized trace event (version ${version})`, base);
    this.#capture(b);
    this.version = version;
    this.srcLabel = le32(b, 16);
    this.dstLabel = le32(b, 20);
    this.dstId = le16(b, 24);
    this.reason = b[26]!;
    this.flags = b[27]!;
    this.ifindex = le32(b, 28);
    this.origIp = version >= 1 ? 32 : -1;
    this.ipTraceId = version >= 2 ? 48 : -1;
    this.packet = header;
    this.headerWords = header >> 2;
    return "";
  }

  #drop(p: Profile, b: Uint8Array): string {
    const r = p.release;
    const len = b.length;
    const base = r.dropHeader[0]!;
    if (!r.skipsMalformed) {
      if (len < base) return this.#refuse("unexpected EOF", base);
      this.#capture(b);
      // This decoder knows one layout, whose capture length has 32 bits.
      this.lenCap = le32(b, 12);
      this.version = 0;
      this.srcLabel = le32(b, 16);
      this.dstLabel = le32(b, 20);
      this.dstId = le32(b, 24);
      this.flags = 0;
      this.ipTraceId = -1;
      this.packet = base;
      return "";
    }
    if (len < base) {
      return this.#refuse(
        `unexpected DropNotify data length, expected at least ${base} but got ${len}`,
        base,
      );
    }
    const version = b[14]!;
    const header = r.dropHeader[version];
    if (header === undefined) return this.#refuse(`Unrecognized drop event (version ${version})`, base);
    // Version 3 passes the check of version 2 first.
    for (let v = 2; v <= version; v++) {
      const need = r.dropHeader[v]!;
      if (len < need) {
        return this.#refuse(
          `unexpected DropNotify data length (version ${version}), expected at least ${need} but got ${len}`,
          base,
        );
      }
    }
    this.#capture(b);
    this.version = version;
    this.srcLabel = le32(b, 16);
    this.dstLabel = le32(b, 20);
    this.dstId = le32(b, 24);
    this.line = le16(b, 28);
    this.file = b[30]!;
    this.extError = (b[31]! << 24) >> 24;
    this.ifindex = le32(b, 32);
    this.flags = version >= 2 ? b[36]! : 0;
    this.ipTraceId = version >= 3 ? 40 : -1;
    this.packet = header;
    return "";
  }

  #short(p: Profile, kind: string, need: number, len: number): string {
    return p.release.skipsMalformed
      ? `unexpected ${kind} data length, expected ${need} but got ${len}`
      : "unexpected EOF";
  }

  #debug(p: Profile, b: Uint8Array): string {
    if (b.length < DEBUG_LEN) {
      return this.#refuse(this.#short(p, "DebugMsg", DEBUG_LEN, b.length), DEBUG_LEN);
    }
    this.#common(b);
    this.arg1 = le32(b, 8);
    this.arg2 = le32(b, 12);
    this.arg3 = le32(b, 16);
    this.packet = DEBUG_LEN;
    return "";
  }

  #debugCapture(p: Profile, b: Uint8Array): string {
    if (b.length < CAPTURE_LEN) {
      return this.#refuse(this.#short(p, "DebugCapture", CAPTURE_LEN, b.length), CAPTURE_LEN);
    }
    this.#capture(b);
    this.arg1 = le32(b, 16);
    this.arg2 = le32(b, 20);
    this.flags = 0;
    this.packet = CAPTURE_LEN;
    return "";
  }

  #policyVerdict(p: Profile, b: Uint8Array): string {
    const need = p.release.policyVerdictHeader;
    if (b.length < need) {
      return this.#refuse(this.#short(p, "PolicyVerdictNotify", need, b.length), need);
    }
    this.#capture(b);
    this.srcLabel = le32(b, 16);
    this.verdict = le32(b, 20);
    this.dstPort = le16(b, 24);
    this.proto = b[26]!;
    this.flags = b[27]!;
    this.authType = p.release.authTypes.length > 0 ? b[28]! : 0;
    this.packet = need;
    return "";
  }

  #traceSock(b: Uint8Array): string {
    if (b.length < SOCK_LEN) {
      return this.#refuse(
        `unexpected TraceSockNotify data length, expected ${SOCK_LEN} but got ${b.length}`,
        SOCK_LEN,
      );
    }
    this.clear();
    this.subtype = b[1]!;
    this.proto = b[2]!;
    this.flags = b[3]! & CLS_FLAG_IPV6;
    this.dstPort = le16(b, 4);
    this.packet = SOCK_LEN;
    return "";
  }

  #recorder(b: Uint8Array): string {
    if (b.length < RECORDER_LEN) return this.#refuse("unexpected EOF", RECORDER_LEN);
    this.clear();
    this.subtype = b[1]!;
    this.lenCap = le32(b, 16);
    this.lenOrig = le32(b, 20);
    this.packet = RECORDER_LEN;
    return "";
  }
}
