// The monitor socket's stream (protocol 1.2): one gob stream for each connection, a value for each event.
//
//   Payload {Data []byte, CPU int, Lost uint64, Type int}      Type 9 a sample, 2 lost events (perf record types)

import { copyOf } from "./go_text.js";
import { describeStruct, GOB_BYTES, GOB_INT, GOB_UINT, GobError, GobReader } from "./gob.js";

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

/** Bytes of an unsigned gob integer below 2^53. */
function uintSize(v: number): number {
  if (v < 128) return 1;
  let n = 1;
  for (let x = v; x > 0; x = Math.floor(x / 256)) n++;
  return n;
}

function putUint(b: Uint8Array, at: number, v: number): number {
  if (v < 128) {
    b[at] = v;
    return at + 1;
  }
  const n = uintSize(v) - 1;
  b[at] = 256 - n;
  for (let i = n, x = v; i > 0; i--, x = Math.floor(x / 256)) b[at + i] = x % 256;
  return at + 1 + n;
}

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
  // Signed fields of small positive numbers: twice their value. Written by hand, since this runs once per event.
  const id = PAYLOAD_ID * 2;
  const sendCpu = cpu !== 0 || explicitZeros;
  let size = uintSize(id) + 1;
  if (data.length > 0) size += 1 + uintSize(data.length) + data.length;
  if (sendCpu) size += 1 + uintSize(cpu * 2);
  if (lost !== 0) size += 1 + uintSize(lost);
  if (type !== 0) size += 1 + uintSize(type * 2);
  const b = new Uint8Array(uintSize(size) + size);
  let at = putUint(b, 0, size);
  at = putUint(b, at, id);
  let field = -1;
  if (data.length > 0) {
    b[at++] = 1;
    at = putUint(b, at, data.length);
    b.set(data, at);
    at += data.length;
    field = 0;
  }
  if (sendCpu) {
    b[at++] = 1 - field;
    at = putUint(b, at, cpu * 2);
    field = 1;
  }
  if (lost !== 0) {
    b[at++] = 2 - field;
    at = putUint(b, at, lost);
    field = 2;
  }
  if (type !== 0) {
    b[at++] = 3 - field;
    putUint(b, at, type * 2);
  }
  return b;
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
