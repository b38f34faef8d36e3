// podpath decode [FILE...]: renders monitor samples that came from anywhere, with the flags of the monitor.

import { Command } from "commander";
import { PAYLOAD_LOST, PAYLOAD_SAMPLE } from "../../monitor/payload.js";
import { PROFILE_NAMES } from "../../monitor/release.js";
import { PodpathError } from "../base/errors.js";
import { type InputEvent, type InputHandler, readInput } from "./monitor_input.js";
import { addMonitorFlags, type MonitorFlags, Pacer, paceOf } from "./monitor_options.js";
import { MonitorOutput } from "./monitor_output.js";

interface DecodeFlags extends MonitorFlags {
  readonly node: readonly string[];
  readonly ifname: readonly string[];
}

/** Turns the events of one run's inputs into output. */
class Decoder implements InputHandler {
  #output: MonitorOutput | undefined;
  /** Names of interfaces by node name; those of "" hold for every node. */
  readonly #links = new Map<string, Map<number, string>>();
  #nodes: string[] = [""];
  readonly #pacer: Pacer | undefined;
  badCount = 0;

  constructor(
    private readonly flags: DecodeFlags,
    private readonly source: string,
  ) {
    const speed = paceOf(flags);
    this.#pacer = speed === undefined ? undefined : new Pacer(speed);
    for (const given of flags.ifname) {
      const m = /^(\d+)=(.+)$/.exec(given);
      if (m === null)
        throw new PodpathError("USAGE", `--ifname ${given}: give INDEX=NAME, such as 26=lxc1234`);
      this.link("", Number(m[1]), m[2]!);
    }
  }

  async begin(header: { profile?: string; nodes?: readonly string[] }): Promise<void> {
    if (this.#output !== undefined) return;
    const profile = this.flags.profile ?? header.profile ?? PROFILE_NAMES[0]!;
    if (!PROFILE_NAMES.includes(profile)) {
      throw new PodpathError(
        "USAGE",
        `the recording is of release ${profile}: choose a --profile to print it with`,
      );
    }
    const nodes = header.nodes ?? [""];
    this.#nodes = this.flags.node.length > 0 ? nodes.filter((n) => this.flags.node.includes(n)) : [...nodes];
    for (const wanted of this.flags.node) {
      if (!nodes.includes(wanted)) {
        throw new PodpathError(
          "USAGE",
          `there is no node ${wanted}; there are ${nodes.join(", ") || "none"}`,
        );
      }
    }
    this.#output = await MonitorOutput.open({
      flags: this.flags,
      profile,
      nodes: this.#nodes,
      source: this.source,
      ifnames: (node, ifindex) =>
        this.#links.get(this.#nodes[node]!)?.get(ifindex) ?? this.#links.get("")?.get(ifindex),
      stdout: process.stdout,
    });
  }

  link(node: string, ifindex: number, name: string): void {
    let links = this.#links.get(node);
    if (links === undefined) {
      links = new Map();
      this.#links.set(node, links);
    }
    links.set(ifindex, name);
  }

  bad(where: string, message: string): void {
    this.badCount++;
    process.stderr.write(`podpath: ${where}: ${message}\n`);
  }

  event(e: InputEvent): Promise<void> | undefined {
    let node = this.#nodes.indexOf(e.node);
    if (node < 0) {
      if (this.flags.node.length > 0) return undefined;
      // Inputs without a list of nodes name them as they come.
      node = this.#nodes.length === 1 && this.#nodes[0] === "" ? 0 : this.#nodes.length;
      this.#nodes[node] = e.node;
    }
    if (this.#pacer !== undefined && this.#pacer.delay(e.ns) > 0) return this.#later(node, e);
    this.#put(node, e);
    return this.#output!.text.full ? this.#output!.flush() : undefined;
  }

  async #later(node: number, e: InputEvent): Promise<void> {
    await this.#output!.flush();
    await this.#pacer!.wait(e.ns);
    this.#put(node, e);
    await this.#output!.flush();
  }

  #put(node: number, e: InputEvent): void {
    const out = this.#output!;
    if (e.type === PAYLOAD_SAMPLE) out.sample(node, e.cpu, e.ns, e.data);
    else if (e.type === PAYLOAD_LOST) out.lost(node, e.cpu, e.ns, e.lost);
    else out.payload(node, e.cpu, e.ns, e.type, e.lost, e.data);
  }

  async flush(): Promise<void> {
    await this.#output?.flush();
  }

  async end(): Promise<void> {
    await this.#output?.end();
  }
}

/** The `decode` command. */
export function decodeCommand(): Command {
  const collect = (value: string, earlier: readonly string[]): string[] => [...earlier, value];
  return addMonitorFlags(
    new Command("decode")
      .description("render monitor samples: JSON lines, hex lines, recordings, monitor socket streams")
      .argument("[file...]", "inputs; none, or -, is standard input")
      .option("--node <name>", "only this node of a recording (repeatable)", collect, [])
      .option("--ifname <index=name>", "name of an interface (repeatable)", collect, []),
  )
    .addHelpText(
      "after",
      `
A JSON line is {"cpu":3,"hex":"0402..."}, with "ns", "node" and "links" {"26":"lxc1234"} where wanted; a hex line is
the sample alone. Lines that are neither are reported and skipped, and the exit status is 1.

Example:
  podpath decode -v samples.jsonl
`,
    )
    .action(async (files: string[], flags: DecodeFlags) => {
      const inputs = files.length > 0 ? files : ["-"];
      const decoder = new Decoder(flags, `decode ${inputs.join(" ")}`);
      try {
        for (const path of inputs) await readInput(path, decoder);
      } finally {
        await decoder.end();
      }
      if (decoder.badCount > 0) process.exitCode = 1;
    });
}
