// Go's gob encoding, as far as the monitor's payloads, agent notifications and access-log records need it.
//
//   stream  = message*          message = uint length, then int -id + type description | int id + value
//   uint    < 128: one byte; else the negated byte count and that many big-endian bytes
//   int     uint of (i << 1), or of (~i << 1 | 1) below zero
//   struct  for each non-zero field: uint delta of field numbers (from -1), value; then 0
//
// The reader builds values from the stream's own type descriptions, so that field order and unknown fields do not
// matter, as with Go's decoder, which matches fields by name.

import { copyOf } from "./go_text.js";

/** What is wrong with a gob stream; the messages are those of Go where it has one. */
export class GobError extends Error {
  override readonly name = "GobError";
}

/** A decoded struct: its fields by name; zero-valued fields are absent. */
export interface GobStruct {
  readonly [field: string]: GobValue | undefined;
}

/** A decoded map, in the order of the stream. */
export type GobMap = ReadonlyMap<GobValue, GobValue>;

/** A decoded value. 64-bit integers beyond 2^53 are bigint; values of types with their own encoding are bytes. */
export type GobValue =
  | number
  | bigint
  | boolean
  | string
  | Uint8Array
  | readonly GobValue[]
  | GobMap
  | GobStruct;

const T_BOOL = 1;
const T_INT = 2;
const T_UINT = 3;
const T_FLOAT = 4;
const T_BYTES = 5;
const T_STRING = 6;
/** First id that a stream may define. */
const FIRST_USER_ID = 64;
/** Values nest; a hostile description could make them nest for ever. */
const MAX_DEPTH = 64;
/** Go refuses larger messages too (tooBig). */
const MAX_MESSAGE = 1 << 30;

interface FieldType {
  readonly name: string;
  readonly id: number;
}

type WireType =
  | { readonly kind: "array" | "slice"; readonly elem: number }
  | { readonly kind: "struct"; readonly fields: readonly FieldType[] }
  | { readonly kind: "map"; readonly key: number; readonly elem: number }
  | { readonly kind: "opaque" };

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** Reads values from the bytes of a gob stream; keeps the type descriptions seen so far. */
export class GobReader {
  readonly #types = new Map<number, WireType>();
  #b: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;

  /**
   * The next value of a stream in `b` at or behind `off`, type descriptions on the way taken in, and the offset
   * behind it; undefined when the bytes end before the value does (read more and call again with the same `off`).
   * @throws GobError
   */
  next(b: Uint8Array, off: number): { readonly value: GobValue; readonly end: number } | undefined {
    const defined: number[] = [];
    let at = off;
    for (;;) {
      const message = this.#message(b, at);
      if (message === undefined) {
        // The descriptions will be met again.
        for (const id of defined) this.#types.delete(id);
        return undefined;
      }
      at = message;
      const id = this.#int();
      if (typeof id !== "number") throw new GobError("gob: type id out of range");
      if (id < 0) {
        this.#define(-id);
        defined.push(-id);
        continue;
      }
      const type = this.#types.get(id);
      let value: GobValue;
      if (type?.kind === "struct") {
        value = this.#struct(type.fields, 0);
      } else {
        // Anything but a struct is preceded by a zero.
        if (this.#uint() !== 0) throw new GobError("gob: bad data: non-zero delta for singleton");
        value = this.#value(id, 0);
      }
      return { value, end: at };
    }
  }

  /** Sets the window to the message at `at`; the offset behind it, or undefined if it is not complete. */
  #message(b: Uint8Array, at: number): number | undefined {
    if (at >= b.length) return undefined;
    const first = b[at]!;
    let head = 1;
    if (first >= 128) {
      head += 256 - first;
      if (head > 9) throw new GobError("gob: encoded unsigned integer out of range");
      if (at + head > b.length) return undefined;
    }
    this.#b = b;
    this.#at = at;
    this.#end = at + head;
    const len = this.#uint();
    if (typeof len !== "number" || len > MAX_MESSAGE) throw new GobError("gob: message too big");
    if (this.#at + len > b.length) return undefined;
    this.#end = this.#at + len;
    return this.#end;
  }

  #byte(): number {
    if (this.#at >= this.#end) throw new GobError("unexpected EOF");
    return this.#b[this.#at++]!;
  }

  #uint(): number | bigint {
    const first = this.#byte();
    if (first < 128) return first;
    const n = 256 - first;
    if (n > 8) throw new GobError("gob: encoded unsigned integer out of range");
    if (n <= 6) {
      let v = 0;
      for (let i = 0; i < n; i++) v = v * 256 + this.#byte();
      return v;
    }
    let v = 0n;
    for (let i = 0; i < n; i++) v = (v << 8n) | BigInt(this.#byte());
    return v <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(v) : v;
  }

  #length(): number {
    const n = this.#uint();
    if (typeof n !== "number" || n > this.#end - this.#at) throw new GobError("unexpected EOF");
    return n;
  }

  #int(): number | bigint {
    const u = this.#uint();
    if (typeof u === "number") {
      const half = Math.floor(u / 2);
      return u % 2 === 0 ? half : -half - 1;
    }
    const half = u >> 1n;
    const v = (u & 1n) === 0n ? half : ~half;
    return v >= BigInt(Number.MIN_SAFE_INTEGER) && v <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(v) : v;
  }

  #bytes(): Uint8Array {
    const n = this.#length();
    const out = copyOf(this.#b, this.#at, this.#at + n);
    this.#at += n;
    return out;
  }

  #string(): string {
    const n = this.#length();
    const s = utf8.decode(this.#b.subarray(this.#at, this.#at + n));
    this.#at += n;
    return s;
  }

  #value(id: number, depth: number): GobValue {
    if (depth > MAX_DEPTH) throw new GobError("gob: value nests too deeply");
    switch (id) {
      case T_BOOL:
        return this.#uint() !== 0;
      case T_INT:
        return this.#int();
      case T_UINT:
        return this.#uint();
      case T_FLOAT:
        return floatOf(this.#uint());
      case T_BYTES:
        return this.#bytes();
      case T_STRING:
        return this.#string();
      default:
    }
    const type = this.#types.get(id);
    if (type === undefined) throw new GobError(`gob: unknown type id or corrupted data`);
    switch (type.kind) {
      case "struct":
        return this.#struct(type.fields, depth);
      case "opaque":
        return this.#bytes();
      case "map": {
        const n = this.#length();
        const out = new Map<GobValue, GobValue>();
        for (let i = 0; i < n; i++) {
          const key = this.#value(type.key, depth + 1);
          out.set(key, this.#value(type.elem, depth + 1));
        }
        return out;
      }
      default: {
        const n = this.#length();
        const out: GobValue[] = [];
        for (let i = 0; i < n; i++) out.push(this.#value(type.elem, depth + 1));
        return out;
      }
    }
  }

  #struct(fields: readonly FieldType[], depth: number): GobStruct {
    const out: Record<string, GobValue> = Object.create(null) as Record<string, GobValue>;
    let field = -1;
    for (;;) {
      const delta = this.#uint();
      if (delta === 0) return out;
      field += Number(delta);
      const f = fields[field];
      if (f === undefined) throw new GobError("gob: bad data: field numbers out of bounds");
      out[f.name] = this.#value(f.id, depth + 1);
    }
  }

  // The description of a type is itself a gob struct of fixed types:
  //   wireType {ArrayT, SliceT, StructT, MapT, GobEncoderT, BinaryMarshalerT, TextMarshalerT}, of which one is set;
  //   each starts with CommonType {Name string, Id int}
  #define(id: number): void {
    if (id < FIRST_USER_ID || this.#types.has(id)) throw new GobError("gob: duplicate type received");
    let type: WireType | undefined;
    let field = -1;
    for (;;) {
      const delta = this.#uint();
      if (delta === 0) break;
      field += Number(delta);
      type = this.#description(field);
    }
    if (type === undefined) throw new GobError("gob: no type in description");
    this.#types.set(id, type);
  }

  #description(kind: number): WireType {
    let field = -1;
    let a = 0;
    let b = 0;
    let fields: FieldType[] = [];
    for (;;) {
      const delta = this.#uint();
      if (delta === 0) break;
      field += Number(delta);
      if (field === 0) this.#common();
      else if (kind === 2 && field === 1) fields = this.#fieldTypes();
      else if (field === 1) a = Number(this.#int());
      else if (field === 2) b = Number(this.#int());
      else throw new GobError("gob: bad type description");
    }
    switch (kind) {
      case 0:
      case 1:
        return { kind: kind === 0 ? "array" : "slice", elem: a };
      case 2:
        return { kind: "struct", fields };
      case 3:
        return { kind: "map", key: a, elem: b };
      case 4:
      case 5:
      case 6:
        return { kind: "opaque" };
      default:
        throw new GobError("gob: bad type description");
    }
  }

  #common(): void {
    let field = -1;
    for (;;) {
      const delta = this.#uint();
      if (delta === 0) return;
      field += Number(delta);
      if (field === 0) this.#bytes();
      else if (field === 1) this.#int();
      else throw new GobError("gob: bad type description");
    }
  }

  #fieldTypes(): FieldType[] {
    const n = this.#length();
    const out: FieldType[] = [];
    for (let i = 0; i < n; i++) {
      let name = "";
      let id = 0;
      let field = -1;
      for (;;) {
        const delta = this.#uint();
        if (delta === 0) break;
        field += Number(delta);
        if (field === 0) name = this.#string();
        else if (field === 1) id = Number(this.#int());
        else throw new GobError("gob: bad type description");
      }
      out.push({ name, id });
    }
    return out;
  }
}

/** A float is its bits reversed byte by byte, as an unsigned integer. */
function floatOf(u: number | bigint): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(u), true);
  return view.getFloat64(0, false);
}

/** The one value of a self-contained gob stream at `off`. @throws GobError */
export function decodeGob(b: Uint8Array, off: number): GobValue {
  if (off >= b.length) throw new GobError("EOF");
  const r = new GobReader().next(b, off);
  if (r === undefined) throw new GobError("unexpected EOF");
  return r.value;
}

const encoder = new TextEncoder();

/** Writes gob primitives into a growing buffer. */
export class GobWriter {
  bytes = new Uint8Array(256);
  length = 0;

  #room(n: number): void {
    if (this.length + n <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + n));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  /** Forgets what was written; the buffer stays. */
  clear(): void {
    this.length = 0;
  }

  /** A copy of what was written. */
  take(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }

  raw(b: Uint8Array): void {
    this.#room(b.length);
    this.bytes.set(b, this.length);
    this.length += b.length;
  }

  /** An unsigned integer below 2^53, or any unsigned 64-bit bigint. */
  uint(v: number | bigint): void {
    this.#room(9);
    if (typeof v === "number" && v < 128) {
      this.bytes[this.length++] = v;
      return;
    }
    if (typeof v === "number" && v < 0x1_0000_0000) {
      const n = v < 0x100 ? 1 : v < 0x1_0000 ? 2 : v < 0x100_0000 ? 3 : 4;
      this.bytes[this.length++] = 256 - n;
      for (let shift = 8 * (n - 1); shift >= 0; shift -= 8) this.bytes[this.length++] = v >>> shift;
      return;
    }
    const big = BigInt(v);
    let n = 0;
    for (let x = big; x > 0n; x >>= 8n) n++;
    this.bytes[this.length++] = 256 - n;
    for (let i = n - 1; i >= 0; i--) this.bytes[this.length++] = Number((big >> BigInt(8 * i)) & 0xffn);
  }

  /** A signed integer of magnitude below 2^52. */
  int(v: number): void {
    this.uint(v >= 0 ? v * 2 : -v * 2 - 1);
  }

  string(s: string): void {
    this.byteSlice(encoder.encode(s));
  }

  byteSlice(b: Uint8Array): void {
    this.uint(b.length);
    this.raw(b);
  }

  /** A message: the length of `body`, then `body`. */
  message(body: GobWriter): void {
    this.uint(body.length);
    this.raw(body.bytes.subarray(0, body.length));
  }
}

/** Ids of gob's basic types, for `describeStruct`. */
export const GOB_INT = T_INT;
export const GOB_UINT = T_UINT;
export const GOB_BYTES = T_BYTES;
export const GOB_STRING = T_STRING;

/** The message that describes a struct type with fields of basic types; `id` is at least 64. */
export function describeStruct(
  id: number,
  name: string,
  fields: readonly (readonly [name: string, type: number])[],
): Uint8Array {
  const body = new GobWriter();
  body.int(-id);
  body.uint(3); // wireType.StructT
  body.uint(1); // CommonType
  body.uint(1);
  body.string(name);
  body.uint(1);
  body.int(id);
  body.uint(0);
  body.uint(1); // fields
  body.uint(fields.length);
  for (const [field, type] of fields) {
    body.uint(1);
    body.string(field);
    body.uint(1);
    body.int(type);
    body.uint(0);
  }
  body.uint(0);
  body.uint(0);
  const out = new GobWriter();
  out.message(body);
  return out.take();
}
