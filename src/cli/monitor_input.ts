// Samples that came from anywhere: JSON lines, hex lines, a recording of ours, or the stream of a monitor socket; from
// files or stdin. The kind is told by the first bytes.

import { accessSync, constants, createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import { PAYLOAD_DESCRIPTION, PAYLOAD_LOST, PAYLOAD_SAMPLE, PayloadReader } from "../../monitor/payload.js";
import { isRecording } from "../../monitor/recording_magic.js";
import { PodpathError } from "../base/errors.js";
import { fromHex } from "../net/view.js";
import { refuseFolder } from "./files.js";

/** An event of an input. */
export interface InputEvent {
  /** Name of the node, "" where the input has none. */
  readonly node: string;
  readonly cpu: number;
  /** Virtual time; 0 where the input has none. */
  readonly ns: number;
  /** Payload type: a sample, lost events, or whatever the input said. */
  readonly type: number;
  readonly lost: number;
  readonly data: Uint8Array;
}

/** Who takes the events. */
export interface InputHandler {
  /** Called once per input, before its events: the release of its samples and its nodes, where the input says so. */
  begin(header: { readonly profile?: string; readonly nodes?: readonly string[] }): Promise<void> | void;
  event(e: InputEvent): Promise<void> | undefined;
  /** An interface's name, valid for the events that follow. `node` as in events. */
  link(node: string, ifindex: number, name: string): void;
  /** Something that cannot be used and is skipped; `where` is a file and line. */
  bad(where: string, message: string): void;
  /** Between batches of events. */
  flush(): Promise<void>;
}

const NO_DATA = new Uint8Array(0);

/** A line's event, a reason why it is none, or undefined for a line that says nothing. */
function lineEvent(
  text: string,
  link: (node: string, ifindex: number, name: string) => void,
): InputEvent | string | undefined {
  const line = text.trim();
  if (line === "" || line.startsWith("#")) return undefined;
  if (!line.startsWith("{")) {
    const data = fromHex(line.replace(/^0x/, "").replace(/[\s:]+/g, ""));
    if (data === undefined) return "neither JSON nor hex";
    return { node: "", cpu: 0, ns: 0, type: PAYLOAD_SAMPLE, lost: 0, data };
  }
  let v: Record<string, unknown>;
  try {
    v = JSON.parse(line) as Record<string, unknown>;
  } catch (e) {
    return `not JSON: ${(e as Error).message}`;
  }
  const count = (name: string, fallback: number): number | undefined => {
    const x = v[name] ?? fallback;
    return typeof x === "number" && Number.isSafeInteger(x) && x >= 0 ? x : undefined;
  };
  const cpu = count("cpu", 0);
  if (cpu === undefined) return "cpu is not a number of a CPU";
  const ns = count("ns", 0);
  if (ns === undefined) return "ns is not a time in nanoseconds";
  const lost = count("lost", 0);
  if (lost === undefined) return "lost is not a count";
  const type = count(
    "payload_type",
    v.hex === undefined && v.lost !== undefined ? PAYLOAD_LOST : PAYLOAD_SAMPLE,
  );
  if (type === undefined) return "payload_type is not a number";
  const hex = v.hex ?? (type === PAYLOAD_SAMPLE ? undefined : "");
  if (typeof hex !== "string") return "hex is missing";
  const data = fromHex(hex);
  if (data === undefined) return "hex is not an even number of hex digits";
  const node = typeof v.node === "string" ? v.node : "";
  if (typeof v.links === "object" && v.links !== null) {
    for (const [ifindex, name] of Object.entries(v.links)) link(node, Number(ifindex), String(name));
  }
  return { node, cpu, ns, type, lost, data };
}

class LineInput {
  #rest = "";
  #line = 0;
  readonly #decoder = new TextDecoder();

  constructor(
    private readonly name: string,
    private readonly handler: InputHandler,
  ) {}

  async push(chunk: Uint8Array): Promise<void> {
    this.#rest += this.#decoder.decode(chunk, { stream: true });
    let at = 0;
    for (;;) {
      const nl = this.#rest.indexOf("\n", at);
      if (nl < 0) break;
      await this.#take(this.#rest.slice(at, nl));
      at = nl + 1;
    }
    this.#rest = this.#rest.slice(at);
  }

  async end(): Promise<void> {
    if (this.#rest !== "") await this.#take(this.#rest);
  }

  async #take(text: string): Promise<void> {
    this.#line++;
    const e = lineEvent(text, (node, ifindex, name) => this.handler.link(node, ifindex, name));
    if (e === undefined) return;
    if (typeof e === "string") {
      this.handler.bad(`${this.name}:${this.#line}`, e);
    } else if (e.type === PAYLOAD_SAMPLE && e.data.length === 0) {
      this.handler.bad(`${this.name}:${this.#line}`, "a sample has at least one byte");
    } else {
      const waits = this.handler.event(e);
      if (waits !== undefined) await waits;
    }
  }
}

class SocketInput {
  readonly #reader = new PayloadReader();

  constructor(
    private readonly name: string,
    private readonly handler: InputHandler,
  ) {}

  async push(chunk: Uint8Array): Promise<void> {
    for (const p of this.#reader.push(chunk)) {
      const waits = this.handler.event({ node: "", ns: 0, ...p, lost: Number(p.lost) });
      if (waits !== undefined) await waits;
    }
  }

  async end(): Promise<void> {}

  failed(e: Error): void {
    this.handler.bad(this.name, e.message);
  }
}

async function recordingInput(
  name: string,
  handler: InputHandler,
): Promise<{
  push(chunk: Uint8Array): Promise<void>;
  end(): Promise<void>;
}> {
  const { RecordingReader } = await import("../../monitor/recording.js");
  const reader = new RecordingReader();
  let begun = false;
  return {
    async push(chunk) {
      const items = reader.push(chunk);
      const header = reader.header;
      if (header === undefined) return;
      if (!begun) {
        begun = true;
        await handler.begin({ profile: header.profile, nodes: header.nodes });
      }
      for (const { event, link } of items) {
        if (link !== undefined) {
          handler.link(header.nodes[link.node] ?? "", link.ifindex, link.name);
        } else {
          const waits = handler.event({ ...event, node: header.nodes[event.node] ?? "" });
          if (waits !== undefined) await waits;
        }
      }
    },
    async end() {
      if (reader.header === undefined) {
        throw new PodpathError("RECORDING_INVALID", `${name}: the file ends inside its header`);
      }
      if (reader.pending > 0) {
        process.stderr.write(
          `podpath: ${name}: the recording was cut off; its last ${reader.pending} bytes are no whole record\n`,
        );
      }
    },
  };
}

/** Enough bytes to tell the kinds of input apart. */
const SNIFF = 64;

/** Is there something to read? @throws PodpathError IO, as `readInput` would later */
export function checkInput(name: string): void {
  if (name === "-") return;
  try {
    accessSync(name, constants.R_OK);
  } catch (e) {
    throw new PodpathError("IO", `cannot read ${name}: ${(e as Error).message}`);
  }
  refuseFolder(name);
}

/** Reads one input, "-" being stdin, into a handler. @throws PodpathError IO, RECORDING_INVALID */
export async function readInput(path: string, handler: InputHandler): Promise<void> {
  refuseFolder(path);
  const name = path === "-" ? "stdin" : path;
  const stream: Readable = path === "-" ? process.stdin : createReadStream(path);
  let head: Uint8Array = NO_DATA;
  let input: { push(chunk: Uint8Array): Promise<void>; end(): Promise<void> } | undefined;
  const start = async (): Promise<void> => {
    if (isRecording(head)) {
      input = await recordingInput(name, handler);
    } else {
      await handler.begin({});
      const gob = PAYLOAD_DESCRIPTION.every((v, i) => head[i] === v);
      input = gob ? new SocketInput(name, handler) : new LineInput(name, handler);
    }
    await input.push(head);
  };
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      if (input === undefined) {
        head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
        // A line may be short and the next one long in coming.
        if (head.length < SNIFF && !head.includes(10)) continue;
        await start();
      } else {
        await input.push(chunk);
      }
      await handler.flush();
    }
    if (input === undefined) await start();
    await input!.end();
    await handler.flush();
  } catch (e) {
    if (e instanceof PodpathError) throw e;
    if (e instanceof Error && e.name === "GobError") handler.bad(name, e.message);
    else throw new PodpathError("IO", `cannot read ${name}: ${e instanceof Error ? e.message : String(e)}`);
  }
}
