// The monitor socket's stream (protocol 1.2): one gob stream for each connection, a value for each event.
//
//   Payload {Data []byte, CPU int, Lost uint64, Type int}      Type 9 a sample, 2 lost events (perf record types)

import { copyOf } from "./go_text.js";
import { describeStruct, GOB_BYTES, GOB_INT, GOB_UINT, GobError, GobReader, GobWriter } from "./gob.js";

/** Payload types: the kernel's PERF_RECORD_SAMPLE and PERF_RECORD_LOST. */
export const PAYLOAD_SAMPLE = 9;
export const PAYLOAD_LOST = 2;

const PAYLOAD_ID = 64;

/** What a connection starts with: the description of the payload type. */
export const PAYLOAD_DESCRIPTION: Uint8Array = describeStruct(PAYLOAD_ID, "Payload", [
  ["Data", GOB_BYTES],
  ["CPU", GOB_INT],
  ["Lost", GOB_UINT],
  ["Type", GOB_INT],
]);

const body = new GobWriter();
const out = new GobWriter();

/**
 * One payload, as a message. Zero-valued fields are left out, as Go's encoder does: the stock client reuses its
 * variable and so shows the CPU of an earlier event for an event of CPU 0. `explicitZeros` sends that zero, which the
 * client honours.
 */
export function encodePayload(
  data: Uint8Array,
  cpu: number,
  lost: number,
  type: number,
  explicitZeros = false,
): Uint8Array {
  body.clear();
  body.int(PAYLOAD_ID);
  let field = -1;
  if (data.length > 0) {
    body.uint(1);
    body.byteSlice(data);
    field = 0;
  }
  if (cpu !== 0 || explicitZeros) {
    body.uint(1 - field);
    body.int(cpu);
    field = 1;
  }
  if (lost !== 0) {
    body.uint(2 - field);
    body.uint(lost);
    field = 2;
  }
  if (type !== 0) {
    body.uint(3 - field);
    body.int(type);
  }
  body.uint(0);
  out.clear();
  out.message(body);
  return out.take();
}

/** One payload as a client sees it. */
export interface Payload {
  readonly data: Uint8Array;
  readonly cpu: number;
  readonly lost: number | bigint;
  readonly type: number;
}

/**
 * Reads a payload stream piece by piece, as the client does: a field that a message leaves out keeps the value of
 * the message before.
 */
export class PayloadReader {
  readonly #gob = new GobReader();
  #rest: Uint8Array = new Uint8Array(0);
  #data: Uint8Array = new Uint8Array(0);
  #cpu = 0;
  #lost: number | bigint = 0;
  #type = 0;

  /** Takes more bytes; returns the payloads that are complete now. @throws GobError on anything but such a stream */
  push(bytes: Uint8Array): Payload[] {
    let buf = bytes;
    if (this.#rest.length > 0) {
      buf = new Uint8Array(this.#rest.length + bytes.length);
      buf.set(this.#rest);
      buf.set(bytes, this.#rest.length);
    }
    const found: Payload[] = [];
    let at = 0;
    for (;;) {
      const r = this.#gob.next(buf, at);
      if (r === undefined) break;
      at = r.end;
      found.push(this.#take(r.value));
    }
    this.#rest = copyOf(buf, at, buf.length);
    return found;
  }

  #take(value: unknown): Payload {
    const { Data, CPU, Lost, Type } = value as Record<string, unknown>;
    if (Data !== undefined) {
      if (!(Data instanceof Uint8Array)) throw new GobError("gob: wrong type for field Payload.Data");
      this.#data = Data;
    }
    if (CPU !== undefined) this.#cpu = numberOf("CPU", CPU);
    if (Lost !== undefined) this.#lost = typeof Lost === "bigint" ? Lost : numberOf("Lost", Lost);
    if (Type !== undefined) this.#type = numberOf("Type", Type);
    return { data: this.#data, cpu: this.#cpu, lost: this.#lost, type: this.#type };
  }
}

function numberOf(field: string, v: unknown): number {
  if (typeof v !== "number") throw new GobError(`gob: wrong type for field Payload.${field}`);
  return v;
}
