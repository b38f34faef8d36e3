// Where a monitor stream goes: text on stdout with node prefixes and colour, a recording, a pcapng file.

import { closeSync, openSync, writeSync } from "node:fs";
import type { PcapngExport } from "../../monitor/export_pcapng.js";
import type { MonitorFormatter } from "../../monitor/format.js";
import type { RecordingWriter } from "../../monitor/recording.js";
import { type Profile, profileOf } from "../../monitor/release.js";
import { PodpathError } from "../base/errors.js";
import { formatterOf, type MonitorFlags, wantsColor } from "./monitor_options.js";

const TEXT_BATCH = 32 * 1024;
const FILE_BATCH = 64 * 1024;

/** Text to a stream in large pieces; `flush` waits for a slow reader. */
export class TextSink {
  #pending: string[] = [];
  #size = 0;

  constructor(private readonly stream: NodeJS.WriteStream) {}

  write(text: string): void {
    this.#pending.push(text);
    this.#size += text.length;
    if (this.#size > 64 * TEXT_BATCH) this.#send();
  }

  #send(): boolean {
    const text = this.#pending.join("");
    this.#pending = [];
    this.#size = 0;
    return text === "" || this.stream.write(text);
  }

  /** True if enough is waiting that a flush is worth its while. */
  get full(): boolean {
    return this.#size > TEXT_BATCH;
  }

  async flush(): Promise<void> {
    if (!this.#send()) await new Promise<void>((resolve) => this.stream.once("drain", () => resolve()));
  }
}

/** Bytes to a file in large pieces, in whole writes. */
class FileSink {
  readonly #fd: number;
  #pending: Uint8Array[] = [];
  #size = 0;

  constructor(private readonly path: string) {
    try {
      this.#fd = openSync(path, "w", 0o644);
    } catch (e) {
      throw new PodpathError("IO", `cannot write ${path}: ${(e as Error).message}`);
    }
  }

  write(bytes: Uint8Array): void {
    this.#pending.push(bytes);
    this.#size += bytes.length;
    if (this.#size > FILE_BATCH) this.flush();
  }

  flush(): void {
    if (this.#size === 0) return;
    const all = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#size = 0;
    try {
      for (let at = 0; at < all.length; ) at += writeSync(this.#fd, all, at);
    } catch (e) {
      throw new PodpathError("IO", `cannot write ${this.path}: ${(e as Error).message}`);
    }
  }

  close(): void {
    this.flush();
    closeSync(this.#fd);
  }
}

const RED = "\u001b[31m";
const CYAN = "\u001b[36m";
const DIM = "\u001b[2m";
const BOLD = "\u001b[1m";
const RESET = "\u001b[0m";

/** Colours lines by what they are; the text between the escapes is unchanged. */
function colored(text: string): string {
  return text.replace(/^.+$/gm, (line) => {
    if (/^-{78}$/.test(line)) return `${DIM}${line}${RESET}`;
    if (line.startsWith("xx drop") || / DROP: /.test(line) || /, action deny,/.test(line)) {
      return `${RED}${line}${RESET}`;
    }
    if (/ DEBUG: /.test(line)) return `${DIM}${line}${RESET}`;
    if (line.startsWith("  ")) return `${RED}${line}${RESET}`;
    const layer = /^(\w+)\t/.exec(line);
    if (layer !== null) return `${CYAN}${layer[1]}${RESET}${line.slice(layer[1]!.length)}`;
    return line.startsWith("CPU ") ? `${BOLD}${line}${RESET}` : line;
  });
}

/** How an output is set up. */
export interface MonitorOutputOptions {
  readonly flags: MonitorFlags;
  /** Release to imitate. */
  readonly profile: string;
  /** Names of the nodes whose events come; more than one are told apart by a prefix. */
  readonly nodes: readonly string[];
  /** Name of an interface of a node (by its index in `nodes`). */
  readonly ifnames?: (node: number, ifindex: number) => string | undefined;
  /** What is recorded, for people. */
  readonly source: string;
  readonly stdout: NodeJS.WriteStream;
}

/** One place for the events of any number of nodes. */
export class MonitorOutput {
  readonly profile: Profile;
  readonly text: TextSink;
  readonly #flags: MonitorFlags;
  readonly #formatter: MonitorFormatter;
  readonly #nodes: readonly string[];
  readonly #color: boolean;
  readonly #ifnames: ((node: number, ifindex: number) => string | undefined) | undefined;
  #node = 0;
  #lineStart = true;
  #recordFile: FileSink | undefined;
  #recording: RecordingWriter | undefined;
  #pcapFile: FileSink | undefined;
  #pcap: PcapngExport | undefined;
  readonly #linksRecorded = new Set<string>();

  private constructor(o: MonitorOutputOptions) {
    this.profile = profileOf(o.profile);
    this.text = new TextSink(o.stdout);
    this.#flags = o.flags;
    this.#nodes = o.nodes;
    this.#ifnames = o.ifnames;
    this.#formatter = formatterOf(o.flags, this.profile, (ifindex) => o.ifnames?.(this.#node, ifindex));
    this.#color = wantsColor(o.flags, o.stdout.isTTY === true);
  }

  /** Opens the files that the flags name. @throws PodpathError USAGE, IO */
  static async open(o: MonitorOutputOptions): Promise<MonitorOutput> {
    const out = new MonitorOutput(o);
    // Loaded only when asked for: protobufjs alone takes longer to load than everything else.
    if (o.flags.record !== undefined) {
      const { RecordingWriter } = await import("../../monitor/recording.js");
      const file = new FileSink(o.flags.record);
      out.#recordFile = file;
      out.#recording = new RecordingWriter((bytes) => file.write(bytes), {
        profile: o.profile,
        nodes: o.nodes,
        source: o.source,
      });
    }
    if (o.flags.pcap !== undefined) {
      const { PcapngExport } = await import("../../monitor/export_pcapng.js");
      out.#pcapFile = new FileSink(o.flags.pcap);
      out.#pcap = new PcapngExport({
        profile: out.profile,
        ifnames: (_, ifindex) => o.ifnames?.(out.#node, ifindex),
      });
    }
    return out;
  }

  /** True once an event's packet was dissected; the real client logs that moment. */
  get dissected(): boolean {
    return this.#formatter.dissected;
  }

  #inTime(ns: number): boolean {
    const { since, until } = this.#flags;
    return (since === undefined || ns >= since) && (until === undefined || ns <= until);
  }

  /** A sample of a node (index into `nodes`) at `ns` of the virtual clock. */
  sample(node: number, cpu: number, ns: number, sample: Uint8Array): void {
    if (!this.#inTime(ns)) return;
    this.#node = node;
    if (this.#recording !== undefined) {
      this.#recordLinks(node, sample);
      this.#recording.sample(node, cpu, ns, sample);
    }
    if (this.#pcap?.add(this.#nodes.length > 1 ? this.#nodes[node]! : "", cpu, ns, sample) === true) {
      this.#pcapFile!.write(this.#pcap.take());
    }
    this.#print(node, this.#formatter.format(cpu, sample));
  }

  /** A payload of any type; `sample` is empty for lost events. */
  payload(node: number, cpu: number, ns: number, type: number, lost: number, sample: Uint8Array): void {
    if (!this.#inTime(ns)) return;
    this.#node = node;
    this.#print(node, this.#formatter.payload(type, cpu, lost, sample));
  }

  /** Events that a ring lost. */
  lost(node: number, cpu: number, ns: number, lost: number): void {
    if (!this.#inTime(ns)) return;
    this.#recording?.lost(node, cpu, ns, lost);
    this.#print(node, this.#formatter.lost(cpu, lost));
  }

  /** Keeps the names of interfaces that a sample may mention: those at the places where ifindexes stand. */
  #recordLinks(node: number, b: Uint8Array): void {
    if (this.#ifnames === undefined || b.length < 20) return;
    // Traces have theirs at 28, drops at 32, debug messages and captures as first argument.
    for (const at of [8, 16, 28, 32]) {
      if (at + 4 > b.length) break;
      const ifindex = b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24);
      if (ifindex === 0) continue;
      const name = this.#ifnames(node, ifindex);
      const key = `${node}/${ifindex}/${name}`;
      if (name === undefined || this.#linksRecorded.has(key)) continue;
      this.#linksRecorded.add(key);
      this.#recording!.link({ node, ifindex, name });
    }
  }

  #print(node: number, text: string): void {
    if (text === "") return;
    let out = this.#color ? colored(text) : text;
    if (this.#nodes.length > 1) {
      const name = this.#nodes[node] ?? String(node);
      if (this.#flags.json === true && out.startsWith("{")) {
        out = `{"node":${JSON.stringify(name)},${out.slice(1)}`;
      } else {
        // Some events end without a newline, and the next one goes on in their line.
        const lines = out.replace(/\n(?=[\s\S])/g, () => `\n${name}: `);
        out = this.#lineStart ? `${name}: ${lines}` : lines;
      }
      this.#lineStart = text.endsWith("\n");
    }
    this.text.write(out);
  }

  /** Sends what is waiting; call it between batches of events. */
  async flush(): Promise<void> {
    this.#recordFile?.flush();
    this.#pcapFile?.flush();
    await this.text.flush();
  }

  /** Flushes and closes the files. */
  async end(): Promise<void> {
    await this.text.flush();
    this.#recordFile?.close();
    if (this.#pcap !== undefined) {
      this.#pcapFile!.write(this.#pcap.finish());
      this.#pcapFile!.close();
    }
    this.#recordFile = undefined;
    this.#pcapFile = undefined;
  }
}
