// podpath serve: a node's monitor socket, to which Cilium's own `cilium-dbg monitor --monitor-socket PATH` attaches.
//
// The events are a scenario's, produced while the command runs, or those of recorded inputs.

import { Command } from "commander";
import { PAYLOAD_LOST, PAYLOAD_SAMPLE } from "../../monitor/payload.js";
import { PodpathError } from "../base/errors.js";
import { MonitorSocketServer } from "../server/monitor_socket.js";
import { type InputEvent, type InputHandler, readInput } from "./monitor_input.js";
import { Pacer } from "./monitor_options.js";

/** A running node whose events are served. */
export interface EventSource {
  /** CPUs of the node; sizes the clients' queues. */
  readonly cpus: number;
  /**
   * Emits events until the scenario's traffic is over or `signal` fires. Emission never waits for clients; the source
   * itself keeps the pace.
   */
  run(emit: EventEmitter, signal: AbortSignal): Promise<void>;
}

/** Takes a source's events. */
export interface EventEmitter {
  sample(cpu: number, sample: Uint8Array): void;
  lost(cpu: number, lost: number): void;
}

/** What a source may need to know. */
export interface SourceOptions {
  readonly node?: string;
  readonly profile?: string;
  readonly speed: number;
}

/** Opens a scenario by its name or file. */
export type OpenSource = (scenario: string, options: SourceOptions) => Promise<EventSource>;

interface ServeFlags {
  readonly monitorSocket: string;
  readonly input: readonly string[];
  readonly node?: string;
  readonly profile?: string;
  readonly speed: number;
  readonly once?: boolean;
}

/** Inputs are not a datapath: they may wait for the clients, this long for one that does not read. */
const SLOW_CLIENT_MS = 1000;
const QUEUE_HIGH = 512;

class Replay implements InputHandler {
  readonly #pacer: Pacer;
  #nodes: readonly string[] = [];

  constructor(
    private readonly server: MonitorSocketServer,
    private readonly flags: ServeFlags,
    private readonly signal: AbortSignal,
  ) {
    this.#pacer = new Pacer(flags.speed);
  }

  begin(header: { nodes?: readonly string[] }): void {
    this.#nodes = header.nodes ?? [];
    const { node } = this.flags;
    if (node === undefined && this.#nodes.length > 1) {
      throw new PodpathError(
        "USAGE",
        `a monitor socket belongs to one node: choose a --node of ${this.#nodes.join(", ")}`,
      );
    }
    if (node !== undefined && this.#nodes.length > 0 && !this.#nodes.includes(node)) {
      throw new PodpathError("USAGE", `there is no node ${node}; there are ${this.#nodes.join(", ")}`);
    }
  }

  link(): void {
    // The socket carries no names: the client looks interfaces up on its own host.
  }

  bad(where: string, message: string): void {
    process.stderr.write(`podpath: ${where}: ${message}\n`);
  }

  async event(e: InputEvent): Promise<void> {
    if (this.signal.aborted) return;
    if (this.flags.node !== undefined && e.node !== "" && e.node !== this.flags.node) return;
    for (let ms = this.#pacer.delay(e.ns); ms > 0 && !this.signal.aborted; ms = this.#pacer.delay(e.ns)) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(ms, 50)));
    }
    if (e.type === PAYLOAD_SAMPLE) this.server.publish(e.cpu, e.data);
    else if (e.type === PAYLOAD_LOST) this.server.publishLost(e.cpu, e.lost);
    const patience = performance.now() + SLOW_CLIENT_MS;
    while (this.server.clients.some((c) => c.queued > QUEUE_HIGH) && performance.now() < patience) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  async flush(): Promise<void> {}
}

function factor(text: string): number {
  const x = Number(text);
  if (!(x > 0)) throw new PodpathError("USAGE", `--speed ${text}: give a number above 0; 1 is real time`);
  return x;
}

/** Resolves when the process is asked to end. */
function interrupted(): { readonly signal: AbortSignal; readonly done: Promise<void>; stop(): void } {
  const controller = new AbortController();
  let finish = (): void => {};
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const stop = (): void => {
    controller.abort();
    finish();
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  return { signal: controller.signal, done, stop };
}

async function firstClient(server: MonitorSocketServer, signal: AbortSignal): Promise<void> {
  while (server.clients.length === 0 && !signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The `serve` command; `open` gives it scenarios to run. */
export function serveCommand(open?: OpenSource): Command {
  const collect = (value: string, earlier: readonly string[]): string[] => [...earlier, value];
  return new Command("serve")
    .description("serve a node's monitor socket; Cilium's own monitor attaches to it")
    .argument("[scenario]", "scenario whose traffic is sent")
    .requiredOption("--monitor-socket <path>", "unix socket to listen on (mode 0600, removed at the end)")
    .option("--input <file>", "serve recorded events in the place of a scenario's (repeatable)", collect, [])
    .option("--node <name>", "the node whose events are served")
    .option("--profile <release>", "release whose sample layouts the node has")
    .option("--speed <factor>", "pace of the events, as a multiple of real time", factor, 1)
    .option("--once", "end when the last event was sent")
    .action(async (scenario: string | undefined, flags: ServeFlags) => {
      if ((scenario === undefined) === (flags.input.length === 0)) {
        throw new PodpathError("USAGE", "serve needs a scenario or --input files, one of the two");
      }
      let source: EventSource | undefined;
      if (scenario !== undefined) {
        if (open === undefined) throw new PodpathError("UNSUPPORTED", "there are no scenarios to serve here");
        source = await open(scenario, {
          speed: flags.speed,
          ...(flags.node === undefined ? {} : { node: flags.node }),
          ...(flags.profile === undefined ? {} : { profile: flags.profile }),
        });
      }
      const server = await MonitorSocketServer.listen(flags.monitorSocket, { cpus: source?.cpus ?? 16 });
      const ending = interrupted();
      process.stderr.write(`listening on ${server.path}\n`);
      try {
        if (source !== undefined) {
          await source.run(
            {
              sample: (cpu, sample) => server.publish(cpu, sample),
              lost: (cpu, lost) => server.publishLost(cpu, lost),
            },
            ending.signal,
          );
        } else {
          // Nobody could see what is played before somebody attached.
          await firstClient(server, ending.signal);
          const replay = new Replay(server, flags, ending.signal);
          for (const path of flags.input) {
            if (!ending.signal.aborted) await readInput(path, replay);
          }
        }
        if (flags.once !== true) await ending.done;
      } finally {
        ending.stop();
        await server.close();
      }
    });
}
