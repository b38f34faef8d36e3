// Bytes in and out in pieces, for the capture formats: a source that is fed as chunks arrive and a sink that is
// emptied as chunks leave. Neither touches a file.

/** Bytes that arrive in chunks of any size; reads are by absolute position in what has not been consumed. */
export class ByteSource {
  #buf: Uint8Array = new Uint8Array(0);
  #start = 0;
  #end = 0;
  #view = new DataView(this.#buf.buffer);
  #consumed = 0;

  /** Appends a chunk; it is copied unless nothing else waits. */
  push(chunk: Uint8Array): void {
    if (this.#start === this.#end) {
      this.#buf = chunk;
      this.#start = 0;
      this.#end = chunk.length;
    } else {
      const left = this.#end - this.#start;
      const buf = new Uint8Array(Math.max(2 * left, left + chunk.length));
      buf.set(this.#buf.subarray(this.#start, this.#end));
      buf.set(chunk, left);
      this.#buf = buf;
      this.#start = 0;
      this.#end = left + chunk.length;
    }
    this.#view = new DataView(this.#buf.buffer, this.#buf.byteOffset, this.#buf.byteLength);
  }

  /** Bytes that wait. */
  get available(): number {
    return this.#end - this.#start;
  }

  /** Position in the whole stream of the first byte that waits. */
  get position(): number {
    return this.#consumed;
  }

  u8(at: number): number {
    return this.#view.getUint8(this.#start + at);
  }

  u16(at: number, little: boolean): number {
    return this.#view.getUint16(this.#start + at, little);
  }

  i32(at: number, little: boolean): number {
    return this.#view.getInt32(this.#start + at, little);
  }

  u32(at: number, little: boolean): number {
    return this.#view.getUint32(this.#start + at, little);
  }

  u64(at: number, little: boolean): bigint {
    return this.#view.getBigUint64(this.#start + at, little);
  }

  /** Copy of `n` bytes. */
  bytes(at: number, n: number): Uint8Array {
    return this.#buf.slice(this.#start + at, this.#start + at + n);
  }

  /** Drops `n` bytes from the front. */
  consume(n: number): void {
    this.#start += n;
    this.#consumed += n;
  }
}

/** Bytes to be written, in one byte order. */
export class ByteSink {
  #buf = new Uint8Array(4096);
  #view = new DataView(this.#buf.buffer);
  #len = 0;

  constructor(readonly little: boolean) {}

  /** Bytes that wait to be taken. */
  get length(): number {
    return this.#len;
  }

  // Gives where `n` more bytes go. May replace buffer and view, so it is called before either is named.
  #room(n: number): number {
    const at = this.#len;
    if (at + n > this.#buf.length) {
      const buf = new Uint8Array(Math.max(2 * this.#buf.length, at + n));
      buf.set(this.#buf);
      this.#buf = buf;
      this.#view = new DataView(buf.buffer);
    }
    this.#len = at + n;
    return at;
  }

  u8(v: number): void {
    const at = this.#room(1);
    this.#view.setUint8(at, v);
  }

  u16(v: number): void {
    const at = this.#room(2);
    this.#view.setUint16(at, v, this.little);
  }

  u32(v: number): void {
    const at = this.#room(4);
    this.#view.setUint32(at, v, this.little);
  }

  u64(v: bigint): void {
    const at = this.#room(8);
    this.#view.setBigUint64(at, v, this.little);
  }

  bytes(b: Uint8Array): void {
    const at = this.#room(b.length);
    this.#buf.set(b, at);
  }

  /** Zeros up to a multiple of `n`. */
  align(n: number): void {
    while (this.#len % n !== 0) this.u8(0);
  }

  /** Overwrites a u32 written before. */
  patch32(at: number, v: number): void {
    this.#view.setUint32(at, v, this.little);
  }

  /** The bytes so far, which are the caller's; the sink is empty afterwards. */
  take(): Uint8Array {
    const out = this.#buf.slice(0, this.#len);
    this.#len = 0;
    return out;
  }
}
