// A client of the monitor socket for tests, with a gob decoder of its own: written from the format's description and
// sharing no code with monitor/gob.ts.

import { connect, type Socket } from "node:net";

/** A payload as Go's decoder would leave it in a variable that is reused for every message. */
export interface ReceivedPayload {
  readonly Data: Uint8Array;
  readonly CPU: number;
  readonly Lost: number;
  readonly Type: number;
}

class Cursor {
  at = 0;
  constructor(readonly b: Uint8Array) {}

  uint(): number {
    const first = this.b[this.at++]!;
    if (first <= 0x7f) return first;
    let v = 0;
    for (let n = 0x100 - first; n > 0; n--) v = v * 0x100 + this.b[this.at++]!;
    return v;
  }

  int(): number {
    const u = this.uint();
    return u & 1 ? -(Math.floor(u / 2) + 1) : u / 2;
  }

  take(n: number): Uint8Array {
    this.at += n;
    return Uint8Array.from(this.b.subarray(this.at - n, this.at));
  }

  name(): string {
    return Buffer.from(this.take(this.uint())).toString("latin1");
  }

  expect(what: string, ...values: number[]): void {
    for (const v of values) {
      const got = this.uint();
      if (got !== v) throw new Error(`${what}: expected ${v}, found ${got} at ${this.at - 1}`);
    }
  }
}

/** Decodes the stream as it arrives. */
export class PayloadStream {
  #buffer = Buffer.alloc(0);
  #fields: { name: string; type: number }[] | undefined;
  #id = 0;
  #current: { Data: Uint8Array; CPU: number; Lost: number; Type: number } = {
    Data: new Uint8Array(0),
    CPU: 0,
    Lost: 0,
    Type: 0,
  };
  readonly received: ReceivedPayload[] = [];
  readonly raw: Buffer[] = [];

  push(chunk: Buffer): void {
    this.raw.push(chunk);
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
    for (;;) {
      const first = this.#buffer[0];
      if (first === undefined) return;
      const head = first <= 0x7f ? 1 : 1 + 0x100 - first;
      if (this.#buffer.length < head) return;
      const length = new Cursor(this.#buffer).uint();
      if (this.#buffer.length < head + length) return;
      this.#message(new Cursor(this.#buffer.subarray(head, head + length)), length);
      this.#buffer = this.#buffer.subarray(head + length);
    }
  }

  #message(c: Cursor, length: number): void {
    const id = c.int();
    if (id < 0) this.#describe(c, -id);
    else this.#value(c, id);
    if (c.at !== length) throw new Error(`message of ${length} bytes ends at ${c.at}`);
  }

  #describe(c: Cursor, id: number): void {
    if (this.#fields !== undefined) throw new Error("a second type description");
    c.expect("struct type, common part, name", 3, 1, 1);
    if (c.name() !== "Payload") throw new Error("not a Payload");
    c.expect("id", 1);
    if (c.int() !== id) throw new Error("id does not match");
    c.expect("end of the common part, fields", 0, 1);
    this.#id = id;
    this.#fields = [];
    for (let n = c.uint(); n > 0; n--) {
      c.expect("field name", 1);
      const name = c.name();
      c.expect("field type", 1);
      this.#fields.push({ name, type: c.int() });
      c.expect("end of field", 0);
    }
    c.expect("end of struct type, end of wire type", 0, 0);
  }

  #value(c: Cursor, id: number): void {
    if (this.#fields === undefined || id !== this.#id) throw new Error(`value of unknown type ${id}`);
    let field = -1;
    for (let delta = c.uint(); delta !== 0; delta = c.uint()) {
      field += delta;
      const { name, type } = this.#fields[field]!;
      if (name === "Data" && type === 5) this.#current.Data = c.take(c.uint());
      else if (name === "CPU" && type === 2) this.#current.CPU = c.int();
      else if (name === "Lost" && type === 3) this.#current.Lost = c.uint();
      else if (name === "Type" && type === 2) this.#current.Type = c.int();
      else throw new Error(`field ${name} of type ${type}`);
    }
    this.received.push({ ...this.#current });
  }
}

/** A connected client. It reads unless told not to. */
export class TestClient {
  readonly stream = new PayloadStream();
  closed = false;
  #error: Error | undefined;

  private constructor(readonly socket: Socket) {
    socket.on("data", (chunk: Buffer) => {
      try {
        this.stream.push(chunk);
      } catch (e) {
        this.#error = e as Error;
        socket.destroy();
      }
    });
    socket.on("close", () => {
      this.closed = true;
    });
    socket.on("error", () => {});
  }

  static async connect(path: string): Promise<TestClient> {
    const socket = connect(path);
    const client = new TestClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", () => resolve());
      socket.once("error", reject);
    });
    return client;
  }

  /** What was received, once `done` says it is enough. */
  async until(done: (received: readonly ReceivedPayload[]) => boolean): Promise<readonly ReceivedPayload[]> {
    const end = Date.now() + 10_000;
    while (!done(this.stream.received)) {
      if (this.#error !== undefined) throw this.#error;
      if (Date.now() > end) throw new Error(`timed out with ${this.stream.received.length} payloads`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return this.stream.received;
  }
}
