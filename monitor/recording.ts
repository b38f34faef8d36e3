// Recordings of a monitor stream: length-delimited protobuf, one record after the other, so that a file that ends in
// the middle of a record (a crash, a full disk) is readable up to the last whole one.
//
//   file   = { varint length | Record }*                the first record is a header
//
//   message Record {
//     oneof what { Header header = 1; Event event = 2; Link link = 3; }
//   }
//   message Header {
//     string magic = 1;          // "podpath-monitor"
//     uint32 version = 2;        // 1
//     string profile = 3;        // release whose layouts the samples have: "1.19", "1.11"
//     repeated string nodes = 4; // names; events and links refer to them by index
//     string source = 5;         // what was recorded, for people
//   }
//   message Event {
//     uint32 node = 1;           // index into nodes
//     uint32 cpu = 2;
//     double time_ns = 3;        // virtual clock, nanoseconds; an integer below 2^53
//     uint32 type = 4;           // 9 = sample, 2 = lost events (perf record types)
//     bytes data = 5;            // the sample, ring padding included
//     double lost = 6;           // number of lost events
//   }
//   message Link {               // from here on, ifindex of that node is called name
//     uint32 node = 1;
//     uint32 ifindex = 2;
//     string name = 3;
//   }

import protobuf from "protobufjs/light.js";
import { PodpathError } from "../src/base/errors.js";
import { copyOf } from "./go_text.js";
import { PAYLOAD_LOST, PAYLOAD_SAMPLE } from "./payload.js";
import { RECORDING_MAGIC } from "./recording_magic.js";

const VERSION = 1;
const NO_DATA = new Uint8Array(0);
/** Longest record that is believed; a sample is at most 64 KiB. */
const MAX_RECORD = 1 << 20;

const { Field, OneOf, Root, Type } = protobuf;

const root = new Root().define("podpath.monitor");
root.add(
  new Type("Header")
    .add(new Field("magic", 1, "string"))
    .add(new Field("version", 2, "uint32"))
    .add(new Field("profile", 3, "string"))
    .add(new Field("nodes", 4, "string", "repeated"))
    .add(new Field("source", 5, "string")),
);
root.add(
  new Type("Event")
    .add(new Field("node", 1, "uint32"))
    .add(new Field("cpu", 2, "uint32"))
    .add(new Field("timeNs", 3, "double"))
    .add(new Field("type", 4, "uint32"))
    .add(new Field("data", 5, "bytes"))
    .add(new Field("lost", 6, "double")),
);
root.add(
  new Type("Link")
    .add(new Field("node", 1, "uint32"))
    .add(new Field("ifindex", 2, "uint32"))
    .add(new Field("name", 3, "string")),
);
const RecordType = new Type("Record")
  .add(new Field("header", 1, "Header"))
  .add(new Field("event", 2, "Event"))
  .add(new Field("link", 3, "Link"))
  .add(new OneOf("what", ["header", "event", "link"]));
root.add(RecordType);

/** What a recording says about itself. */
export interface RecordingHeader {
  readonly profile: string;
  readonly nodes: readonly string[];
  readonly source: string;
}

/** A recorded event. `type` is a payload type: PAYLOAD_SAMPLE or PAYLOAD_LOST. */
export interface RecordedEvent {
  /** Index into the header's nodes. */
  readonly node: number;
  readonly cpu: number;
  readonly ns: number;
  readonly type: number;
  readonly data: Uint8Array;
  readonly lost: number;
}

/** A name of an interface, valid for the events that follow. */
export interface RecordedLink {
  readonly node: number;
  readonly ifindex: number;
  readonly name: string;
}

/** One record behind the header. */
export type RecordedItem =
  | { readonly event: RecordedEvent; readonly link?: undefined }
  | { readonly link: RecordedLink; readonly event?: undefined };

/** Encodes a recording; every method hands one whole record to `sink`. */
export class RecordingWriter {
  readonly #sink: (bytes: Uint8Array) => void;

  /** Writes the header. */
  constructor(sink: (bytes: Uint8Array) => void, header: RecordingHeader) {
    this.#sink = sink;
    this.#put({ header: { magic: RECORDING_MAGIC, version: VERSION, ...header, nodes: [...header.nodes] } });
  }

  /** A sample of a node's CPU at `ns` of the virtual clock. */
  sample(node: number, cpu: number, ns: number, data: Uint8Array): void {
    this.#put({ event: { node, cpu, timeNs: ns, type: PAYLOAD_SAMPLE, data } });
  }

  /** Events that a ring lost. */
  lost(node: number, cpu: number, ns: number, lost: number): void {
    this.#put({ event: { node, cpu, timeNs: ns, type: PAYLOAD_LOST, lost } });
  }

  /** The name of an interface. */
  link(link: RecordedLink): void {
    this.#put({ link });
  }

  #put(record: Record<string, unknown>): void {
    this.#sink(RecordType.encodeDelimited(record).finish());
  }
}

interface RawRecord {
  readonly header?: { magic: string; version: number; profile: string; nodes: string[]; source: string };
  readonly event?: {
    node: number;
    cpu: number;
    timeNs: number;
    type: number;
    data: Uint8Array;
    lost: number;
  };
  readonly link?: { node: number; ifindex: number; name: string };
}

/** Reads a recording piece by piece. */
export class RecordingReader {
  #rest: Uint8Array = new Uint8Array(0);
  #header: RecordingHeader | undefined;
  #offset = 0;

  /** The header, once it was read. */
  get header(): RecordingHeader | undefined {
    return this.#header;
  }

  /** Bytes of a record that is not complete; what is left at the end of a file was cut off. */
  get pending(): number {
    return this.#rest.length;
  }

  /** Offset of the first byte that was not taken in. */
  get offset(): number {
    return this.#offset;
  }

  /** Takes more bytes; returns the records that are complete now. @throws PodpathError RECORDING_INVALID */
  push(bytes: Uint8Array): RecordedItem[] {
    let buf = bytes;
    if (this.#rest.length > 0) {
      buf = new Uint8Array(this.#rest.length + bytes.length);
      buf.set(this.#rest);
      buf.set(bytes, this.#rest.length);
    }
    const out: RecordedItem[] = [];
    let at = 0;
    for (;;) {
      let len = 0;
      let shift = 0;
      let o = at;
      let whole = false;
      while (o < buf.length && shift < 28) {
        const v = buf[o++]!;
        len |= (v & 0x7f) << shift;
        shift += 7;
        if (v < 0x80) {
          whole = true;
          break;
        }
      }
      if (!whole && shift >= 28) throw this.#invalid("a record's length is out of range");
      if (!whole) break;
      if (len > MAX_RECORD) throw this.#invalid(`a record claims ${len} bytes`);
      if (o + len > buf.length) break;
      this.#take(buf.subarray(o, o + len), out);
      this.#offset += o + len - at;
      at = o + len;
    }
    this.#rest = copyOf(buf, at, buf.length);
    return out;
  }

  #take(bytes: Uint8Array, out: RecordedItem[]): void {
    let r: RawRecord;
    try {
      r = RecordType.decode(bytes) as unknown as RawRecord;
    } catch (e) {
      throw this.#invalid(e instanceof Error ? e.message : String(e));
    }
    if (this.#header === undefined) {
      if (r.header?.magic !== RECORDING_MAGIC) throw this.#invalid("not a recording of podpath monitor");
      if (r.header.version !== VERSION) {
        throw this.#invalid(`version ${r.header.version} of the format is not known, only ${VERSION}`);
      }
      const { profile, nodes, source } = r.header;
      this.#header = { profile, nodes, source };
      return;
    }
    if (r.event !== undefined && r.event !== null) {
      const { node, cpu, timeNs, type, data, lost } = r.event;
      out.push({
        event: {
          node,
          cpu,
          ns: timeNs,
          type,
          data: data.length > 0 ? copyOf(data, 0, data.length) : NO_DATA,
          lost,
        },
      });
    } else if (r.link !== undefined && r.link !== null) {
      const { node, ifindex, name } = r.link;
      out.push({ link: { node, ifindex, name } });
    }
  }

  #invalid(what: string): PodpathError {
    return new PodpathError("RECORDING_INVALID", `recording: at byte ${this.#offset}: ${what}`);
  }
}

/** A recording read in one go. `cut` is the number of bytes of an incomplete last record. */
export function readRecording(bytes: Uint8Array): {
  readonly header: RecordingHeader;
  readonly items: readonly RecordedItem[];
  readonly cut: number;
} {
  const r = new RecordingReader();
  const items = r.push(bytes);
  if (r.header === undefined) {
    throw new PodpathError("RECORDING_INVALID", "recording: the file ends inside its header");
  }
  return { header: r.header, items, cut: r.pending };
}
