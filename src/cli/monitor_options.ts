// Flags of the monitor that `podpath monitor` and `podpath decode` share: those of the real command with their
// meaning, and our own for node prefixes, recording, export and colour.

import { type Command, InvalidArgumentError } from "commander";
import { EventFilter, parseEndpointId, parseEventType } from "../../monitor/filter.js";
import { MonitorFormatter } from "../../monitor/format.js";
import { PROFILE_NAMES, type Profile } from "../../monitor/release.js";
import { parseDuration } from "../base/duration.js";

/** Values of the shared flags, as commander gives them. */
export interface MonitorFlags {
  readonly type: readonly string[];
  readonly from: readonly string[];
  readonly to: readonly string[];
  readonly relatedTo: readonly string[];
  readonly hex?: boolean;
  readonly json?: boolean;
  /** How often -v was given. */
  readonly verbose: number;
  readonly numeric?: boolean;
  /** Undefined: the command's default. */
  readonly profile?: string;
  readonly color?: boolean | string;
  readonly record?: string;
  readonly pcap?: string;
  /** Bounds on the virtual clock, nanoseconds. */
  readonly since?: number;
  readonly until?: number;
  /** Pace of the events: 1 is real time; undefined: as fast as they come. */
  readonly speed?: number;
  readonly follow?: boolean;
}

function collect(value: string, earlier: readonly string[]): string[] {
  return [...earlier, value];
}

function duration(text: string): number {
  const ns = parseDuration(text);
  if (ns === undefined) throw new InvalidArgumentError("Give a duration such as 1.5s, 300ms or 2m.");
  return ns;
}

function factor(text: string): number {
  const x = Number(text);
  if (!(x > 0)) throw new InvalidArgumentError("Give a number above 0; 1 is real time.");
  return x;
}

function profileName(text: string): string {
  if (!PROFILE_NAMES.includes(text))
    throw new InvalidArgumentError(`Use one of ${PROFILE_NAMES.join(", ")}.`);
  return text;
}

function colorWhen(text: string): string {
  if (!["auto", "always", "never"].includes(text)) {
    throw new InvalidArgumentError("Use auto, always or never.");
  }
  return text;
}

/** Adds the shared flags to a command. */
export function addMonitorFlags(command: Command): Command {
  return command
    .option("-t, --type <name>", "show only events of this type (repeatable; no comma lists)", collect, [])
    .option("--from <id>", "show only events from this source endpoint (repeatable)", collect, [])
    .option("--to <id>", "show only events to this destination endpoint (repeatable)", collect, [])
    .option("--related-to <id>", "show only events from or to this endpoint (repeatable)", collect, [])
    .option("--hex", "packets as hex dumps instead of dissected, with -v -v")
    .option("-j, --json", "JSON; overrides -v")
    .option(
      "-v, --verbose",
      "once: debug messages too; twice: dissected packets",
      (_: string, n: number) => n + 1,
      0,
    )
    .option("-n, --numeric", "identities as numbers")
    .option(
      "--profile <release>",
      `release whose client is imitated: ${PROFILE_NAMES.join(", ")}`,
      profileName,
    )
    .option(
      "--color [when]",
      "colour: auto (when it is a terminal and NO_COLOR is not set), always, never",
      colorWhen,
    )
    .option("--since <time>", "leave out events before this time of the virtual clock", duration)
    .option("--until <time>", "leave out events after this time of the virtual clock", duration)
    .option("--follow", "print at real-time pace")
    .option("--speed <factor>", "print at this multiple of real time", factor)
    .option("--record <file>", "keep the stream in a file that `podpath decode` plays back")
    .option("--pcap <file>", "write every captured packet to a pcapng file");
}

/** The filter that the flags ask for. @throws PodpathError USAGE with the real client's message */
export function filterOf(flags: MonitorFlags, profile: Profile): EventFilter {
  const filter = new EventFilter();
  for (const name of flags.type) filter.types.add(parseEventType(profile, name));
  for (const id of flags.from) filter.from.add(parseEndpointId("from", id));
  for (const id of flags.to) filter.to.add(parseEndpointId("to", id));
  for (const id of flags.relatedTo) filter.related.add(parseEndpointId("related-to", id));
  return filter;
}

/**
 * The real command's check of endpoint ids, which it makes only when all three of --from, --to and --related-to are
 * given: a message for each unknown id, and whether none of them is known (then it exits with 1).
 */
export function checkEndpoints(
  flags: MonitorFlags,
  known: ReadonlySet<number>,
): { readonly messages: readonly string[]; readonly noneKnown: boolean } {
  const { from, to, relatedTo } = flags;
  if (from.length === 0 || to.length === 0 || relatedTo.length === 0)
    return { messages: [], noneKnown: false };
  const ids = [...from, ...to, ...relatedTo].map(Number);
  const unknown = ids.filter((id) => !known.has(id));
  return {
    messages: unknown.map((id) => `endpoint ${id} not found\n`),
    noneKnown: unknown.length === ids.length,
  };
}

/** A formatter as the flags ask for it. @throws PodpathError USAGE */
export function formatterOf(
  flags: MonitorFlags,
  profile: Profile,
  ifnames?: (ifindex: number) => string | undefined,
): MonitorFormatter {
  return new MonitorFormatter({
    profile,
    verbosity: flags.verbose,
    numeric: flags.numeric === true,
    hex: flags.hex === true,
    json: flags.json === true,
    filter: filterOf(flags, profile),
    ...(ifnames === undefined ? {} : { ifnames }),
  });
}

/** True if output is to be coloured. `--color` alone means: when it is a terminal, and NO_COLOR is not set. */
export function wantsColor(flags: MonitorFlags, terminal: boolean, env = process.env): boolean {
  const { color } = flags;
  if (color === undefined || color === false || color === "never") return false;
  return color === "always" || (terminal && (env.NO_COLOR ?? "") === "");
}

/** The pace of the events: a multiple of real time, undefined for as fast as possible. */
export function paceOf(flags: MonitorFlags): number | undefined {
  return flags.speed ?? (flags.follow === true ? 1 : undefined);
}

/** Holds events back until their time has come, measured from the first one. */
export class Pacer {
  readonly #speed: number;
  #firstNs: number | undefined;
  #startMs = 0;

  /** `speed`: multiple of real time. */
  constructor(speed: number) {
    this.#speed = speed;
  }

  /** Milliseconds to wait before an event of virtual time `ns` is due; 0 or less when it is. */
  delay(ns: number): number {
    const now = performance.now();
    if (this.#firstNs === undefined) {
      this.#firstNs = ns;
      this.#startMs = now;
    }
    return this.#startMs + (ns - this.#firstNs) / 1e6 / this.#speed - now;
  }

  /** Waits until an event of virtual time `ns` is due. */
  async wait(ns: number): Promise<void> {
    const ms = this.delay(ns);
    if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
  }
}
