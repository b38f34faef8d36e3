// The monitor socket of a node (protocol 1.2): a unix stream socket to which Cilium's own `cilium-dbg monitor` attaches.
//
//   connection = type description, then one gob payload for each event; clients only read
//
// Every client has its own bounded queue. When one does not read, its queue fills, further events are dropped for it
// alone, and it is told how many as soon as there is room; whoever publishes is never held up.
//
// Differs from the agent: its server drops silently. And a zero CPU is sent explicitly where leaving it out would make
// the client, which keeps the fields of the message before, show the CPU of an earlier event.

import { chmodSync, existsSync, lstatSync, type Stats, unlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { isMainThread } from "node:worker_threads";
import { encodePayload, PAYLOAD_DESCRIPTION, PAYLOAD_LOST, PAYLOAD_SAMPLE } from "../../monitor/payload.js";
import { PodpathError } from "../base/errors.js";

/** Payloads that wait for a client, per CPU of the node, and at most. */
const QUEUE_PER_CPU = 1024;
const MAX_QUEUE = 16384;
/** Bytes handed to the kernel in one go. */
const CHUNK = 64 * 1024;
/** A client has nothing to say; one that sends more than this is not one. */
const MAX_GARBAGE = 1024 * 1024;
/** sun_path without its terminating zero. */
const MAX_PATH = 107;
const NO_DATA = new Uint8Array(0);

/** Where a client stands; for tests and statistics. */
export interface ClientState {
  readonly queued: number;
  /** Events dropped so far, told or not. */
  readonly dropped: number;
}

export interface MonitorSocketOptions {
  /** CPUs of the node; the queue of a client holds 1024 payloads for each, at most 16384. */
  readonly cpus?: number;
  /** Length of a client's queue, in the place of the above. */
  readonly queue?: number;
}

/** An event in its two encodings, each made when the first client needs it. */
class Encoded {
  #plain: Uint8Array | undefined;
  #explicit: Uint8Array | undefined;

  constructor(
    readonly data: Uint8Array,
    readonly cpu: number,
  ) {}

  bytes(explicitCpu: boolean): Uint8Array {
    if (explicitCpu) {
      this.#explicit ??= encodePayload(this.data, this.cpu, 0, PAYLOAD_SAMPLE, true);
      return this.#explicit;
    }
    this.#plain ??= encodePayload(this.data, this.cpu, 0, PAYLOAD_SAMPLE);
    return this.#plain;
  }
}

class Client {
  readonly #socket: Socket;
  readonly #limit: number;
  /** A ring of waiting payloads: the oldest at #head. */
  readonly #queue: (Uint8Array | undefined)[];
  #head = 0;
  #count = 0;
  #blocked = false;
  /** CPU that the client believes in when a message does not say. */
  #lastCpu = 0;
  /** Dropped and not yet told, by CPU. */
  readonly #lost = new Map<number, number>();
  dropped = 0;
  #garbage = 0;

  constructor(socket: Socket, limit: number) {
    this.#socket = socket;
    this.#limit = limit;
    this.#queue = new Array<Uint8Array | undefined>(limit).fill(undefined);
    socket.write(PAYLOAD_DESCRIPTION);
    socket.on("drain", () => {
      this.#blocked = false;
      this.flush();
    });
    socket.on("data", (bytes: Buffer) => {
      this.#garbage += bytes.length;
      if (this.#garbage > MAX_GARBAGE) socket.destroy();
    });
    // A client that goes away is no event; "close" follows.
    socket.on("error", () => {});
  }

  get queued(): number {
    return this.#count;
  }

  event(e: Encoded): void {
    this.#tellLost();
    if (this.#count >= this.#limit) {
      this.#drop(e.cpu, 1);
      return;
    }
    this.#push(e.bytes(e.cpu === 0 && this.#lastCpu !== 0));
    this.#lastCpu = e.cpu;
  }

  lost(cpu: number, n: number): void {
    this.#lost.set(cpu, (this.#lost.get(cpu) ?? 0) + n);
    this.#tellLost();
  }

  #drop(cpu: number, n: number): void {
    this.dropped += n;
    this.#lost.set(cpu, (this.#lost.get(cpu) ?? 0) + n);
  }

  #tellLost(): void {
    if (this.#lost.size === 0) return;
    for (const [cpu, n] of this.#lost) {
      if (this.#count >= this.#limit) return;
      this.#push(encodePayload(NO_DATA, cpu, n, PAYLOAD_LOST, cpu === 0 && this.#lastCpu !== 0));
      this.#lastCpu = cpu;
      this.#lost.delete(cpu);
    }
  }

  #push(bytes: Uint8Array): void {
    this.#queue[(this.#head + this.#count) % this.#limit] = bytes;
    this.#count++;
  }

  /** Hands waiting payloads to the socket until it has enough. */
  flush(): void {
    while (!this.#blocked && !this.#socket.destroyed) {
      if (this.#count === 0) {
        this.#tellLost();
        if (this.#count === 0) return;
      }
      const parts: Uint8Array[] = [];
      for (let size = 0; this.#count > 0 && size < CHUNK; ) {
        const bytes = this.#queue[this.#head]!;
        this.#queue[this.#head] = undefined;
        this.#head = (this.#head + 1) % this.#limit;
        this.#count--;
        size += bytes.length;
        parts.push(bytes);
      }
      this.#blocked = !this.#socket.write(parts.length === 1 ? parts[0]! : Buffer.concat(parts));
    }
  }

  close(): void {
    this.flush();
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/**
 * Serves one node's events. `publish` and `publishLost` return at once whatever the clients do.
 *
 *   const server = await MonitorSocketServer.listen("/run/podpath/monitor1_2.sock", { cpus: 4 });
 *   server.publish(cpu, sample);
 *   await server.close();
 */
export class MonitorSocketServer {
  readonly #server: Server;
  readonly #clients = new Map<Socket, Client>();
  readonly #limit: number;
  readonly #inode: number;
  #flushing = false;
  readonly #onExit = (): void => this.#unlink();

  private constructor(
    server: Server,
    readonly path: string,
    limit: number,
    inode: number,
  ) {
    this.#server = server;
    this.#limit = limit;
    this.#inode = inode;
    server.on("connection", (socket) => {
      const client = new Client(socket, this.#limit);
      this.#clients.set(socket, client);
      socket.on("close", () => this.#clients.delete(socket));
    });
    // Running out of descriptors fails one accept, not the server.
    server.on("error", () => {});
    process.on("exit", this.#onExit);
  }

  /**
   * Binds the socket with mode 0600. A socket file that nobody listens on is replaced.
   * @throws PodpathError IO if another server is alive there, the path is no socket, or it cannot be bound
   */
  static async listen(path: string, options: MonitorSocketOptions = {}): Promise<MonitorSocketServer> {
    await removeStale(path);
    const server = createServer({ pauseOnConnect: false });
    await bind(server, path);
    const limit = options.queue ?? Math.min(MAX_QUEUE, QUEUE_PER_CPU * (options.cpus ?? 1));
    return new MonitorSocketServer(server, path, Math.max(1, limit), lstatSync(path).ino);
  }

  /** Connected clients. */
  get clients(): readonly ClientState[] {
    return [...this.#clients.values()].map((c) => ({ queued: c.queued, dropped: c.dropped }));
  }

  /** Sends a sample, ring padding included, to every client. The bytes must not change afterwards. */
  publish(cpu: number, sample: Uint8Array): void {
    if (this.#clients.size === 0) return;
    const e = new Encoded(sample, cpu);
    for (const c of this.#clients.values()) c.event(e);
    this.#schedule();
  }

  /** Tells every client that `lost` events of a CPU were lost before they got here. */
  publishLost(cpu: number, lost: number): void {
    if (this.#clients.size === 0) return;
    for (const c of this.#clients.values()) c.lost(cpu, lost);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      for (const c of this.#clients.values()) c.flush();
    });
  }

  /** Ends all connections, after what fits was sent, and removes the socket. */
  async close(): Promise<void> {
    process.off("exit", this.#onExit);
    this.#unlink();
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const c of this.#clients.values()) c.close();
    // A client that never reads must not hold the end up.
    const timer = setTimeout(() => {
      for (const c of this.#clients.values()) c.destroy();
    }, 200);
    await closed;
    clearTimeout(timer);
  }

  #unlink(): void {
    try {
      // Somebody may have put another socket in its place.
      if (lstatSync(this.path).ino === this.#inode) unlinkSync(this.path);
    } catch {
      // Gone already.
    }
  }
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new PodpathError("IO", `cannot look at ${path}: ${(e as Error).message}`);
  }
}

async function removeStale(path: string): Promise<void> {
  const stat = statOf(path);
  if (stat === undefined) return;
  if (!stat.isSocket()) {
    throw new PodpathError("IO", `${path} exists and is not a socket: remove it or choose another path`);
  }
  const error = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(undefined);
    });
    probe.once("error", resolve);
  });
  if (error === undefined) {
    throw new PodpathError("IO", `another server is listening on ${path}: stop it or choose another path`);
  }
  if (error.code !== "ECONNREFUSED" && error.code !== "ENOENT") {
    throw new PodpathError("IO", `cannot tell whether ${path} is in use: ${error.message}`);
  }
  try {
    unlinkSync(path);
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== "ENOENT") {
      throw new PodpathError("IO", `cannot remove the stale socket ${path}: ${(e as Error).message}`);
    }
  }
}

function bind(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (e: Error): void => {
      reject(new PodpathError("IO", `cannot listen on ${path}: ${e.message}`));
    };
    // What the kernel says of these two is EACCES, or a path cut short.
    if (Buffer.byteLength(path) > MAX_PATH)
      return fail(new Error(`a unix socket's path has at most ${MAX_PATH} bytes`));
    if (!existsSync(dirname(path))) return fail(new Error(`there is no folder ${dirname(path)}`));
    server.once("error", fail);
    // The socket is bound before `listen` returns. Threads other than the main one cannot set the file mode mask.
    const mask = isMainThread ? process.umask(0o177) : undefined;
    try {
      server.listen(path, () => {
        server.off("error", fail);
        try {
          chmodSync(path, 0o600);
          resolve();
        } catch (e) {
          server.close();
          fail(e as Error);
        }
      });
    } finally {
      if (mask !== undefined) process.umask(mask);
    }
  });
}
