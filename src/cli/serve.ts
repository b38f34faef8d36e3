// podpath serve: a node's monitor socket, to which Cilium's own `cilium-dbg monitor --monitor-socket PATH` attaches.
//
// The events are a scenario's, produced while the command runs, or those of recorded inputs.

import { Command, Option } from "commander";
import { PAYLOAD_LOST, PAYLOAD_SAMPLE } from "../../monitor/payload.js";
import { PROFILE_NAMES } from "../../monitor/release.js";
import { PodpathError } from "../base/errors.js";
import type { Profile } from "../cluster/model.js";
import { MonitorSocketServer } from "../server/monitor_socket.js";
import { checkInput, type InputEvent, type InputHandler, readInput } from "./monitor_input.js";
import { Pacer } from "./monitor_options.js";
import { addLabFlags, type LabFlags, openLab } from "./scenario_arg.js";

/** A node whose events are served. */
export interface EventSource {
  /** CPUs of the node; sizes the clients' queues. */
  readonly cpus: number;
  /** Sends the scenario's traffic; resolves when its last event was emitted, or `signal` fired. */
  run(emit: EventEmitter, signal: AbortSignal): Promise<void>;
}

/** Takes a source's events. Never waits for clients. */
export interface EventEmitter {
  sample(cpu: number, sample: Uint8Array): void;
  lost(cpu: number, lost: number): void;
}

/** Opens a scenario, undefined being the default one. */
export type OpenSource = (scenario: string | undefined, flags: ServeFlags) => Promise<EventSource>;

/** Flags of `podpath serve`. */
export interface ServeFlags extends LabFlags {
  readonly monitorSocket: string;
  readonly input: readonly string[];
  readonly node?: string;
  readonly profile?: string;
  readonly speed: number;
  readonly once?: boolean;
}

/** Waits until an event of virtual time `ns` is due, or `signal` fires. */
export async function paced(pacer: Pacer, ns: number, signal: AbortSignal): Promise<void> {
  for (let ms = pacer.delay(ns); ms > 0 && !signal.aborted; ms = pacer.delay(ns)) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(ms, 50)));
  }
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
    await paced(this.#pacer, e.ns, this.signal);
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
export function serveCommand(open: OpenSource = openLabSource): Command {
  const collect = (value: string, earlier: readonly string[]): string[] => [...earlier, value];
  return addLabFlags(
    new Command("serve").description("serve a node's monitor socket; Cilium's own monitor attaches to it"),
  )
    .requiredOption("--monitor-socket <path>", "unix socket to listen on (mode 0600, removed at the end)")
    .option("--input <file>", "serve recorded events in the place of a scenario's (repeatable)", collect, [])
    .option("--node <name>", "the node whose events are served")
    .addOption(
      new Option("--profile <release>", "release whose sample layouts the node has").choices(PROFILE_NAMES),
    )
    .option("--speed <factor>", "pace of the events, as a multiple of real time", factor, 1)
    .option("--once", "end when the last event was sent")
    .addHelpText(
      "after",
      `
The traffic starts when the first client attaches: nobody could see it before.

Example:
  podpath serve cilium-native-routing --node node-2.whale.com --monitor-socket monitor1_2.sock --once
`,
    )
    .action(async (scenario: string | undefined, flags: ServeFlags) => {
      if (scenario !== undefined && flags.input.length > 0) {
        throw new PodpathError("USAGE", "serve takes a scenario or --input files, not both");
      }
      // Before anybody waits for a client: an input that is not there.
      for (const path of flags.input) checkInput(path);
      const source = flags.input.length > 0 ? undefined : await open(scenario, flags);
      const server = await MonitorSocketServer.listen(flags.monitorSocket, { cpus: source?.cpus ?? 16 });
      const ending = interrupted();
      process.stderr.write(`listening on ${server.path}\n`);
      try {
        await firstClient(server, ending.signal);
        if (source === undefined) {
          const replay = new Replay(server, flags, ending.signal);
          for (const path of flags.input) {
            if (!ending.signal.aborted) await readInput(path, replay);
          }
        } else if (!ending.signal.aborted) {
          await source.run(
            {
              sample: (cpu, sample) => server.publish(cpu, sample),
              lost: (cpu, lost) => server.publishLost(cpu, lost),
            },
            ending.signal,
          );
        }
        if (flags.once !== true) await ending.done;
      } finally {
        ending.stop();
        await server.close();
      }
    });
}

/** A scenario's lab as a source: its traffic is sent at once, its events are emitted at their pace. */
const openLabSource: OpenSource = async (scenario, flags) => {
  const lab = openLab(scenario, flags, flags.profile as Profile | undefined);
  const choice = lab.scenario.monitorNodes.length > 0 ? lab.scenario.monitorNodes : lab.nodeNames;
  if (flags.node === undefined && choice.length > 1) {
    throw new PodpathError(
      "USAGE",
      `a monitor socket belongs to one node: choose a --node of ${choice.join(", ")}`,
    );
  }
  const node = lab.node(flags.node ?? choice[0]!);
  const events: { ns: number; emit: (to: EventEmitter) => void }[] = [];
  lab.monitor(
    node.name,
    (s) => events.push({ ns: s.ns, emit: (to) => to.sample(s.cpu, s.bytes) }),
    (cpu, ns, n) => events.push({ ns, emit: (to) => to.lost(cpu, n) }),
  );
  return {
    cpus: node.events?.cpus ?? 1,
    async run(emit, signal) {
      lab.run();
      const pacer = new Pacer(flags.speed);
      for (const e of events) {
        await paced(pacer, e.ns, signal);
        if (signal.aborted) return;
        e.emit(emit);
      }
    },
  };
};
