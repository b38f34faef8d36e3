// Event filters with the client's semantics: every given filter must pass, several values of one are alternatives.

import { PodpathError } from "../src/base/errors.js";
import type { Profile } from "./release.js";

/** Selects events by type and by source and destination value (what these are depends on the kind of event). */
export class EventFilter {
  /** Event types to show; empty: all. */
  readonly types = new Set<number>();
  /** Values of --from, --to and --related-to; empty: any. */
  readonly from = new Set<number>();
  readonly to = new Set<number>();
  readonly related = new Set<number>();

  /** True if an event with these values is shown. */
  match(type: number, source: number, destination: number): boolean {
    if (this.types.size > 0 && !this.types.has(type)) return false;
    if (this.from.size > 0 && !this.from.has(source)) return false;
    if (this.to.size > 0 && !this.to.has(destination)) return false;
    return this.related.size === 0 || this.related.has(source) || this.related.has(destination);
  }

  /** True if nothing is filtered. */
  get empty(): boolean {
    return this.types.size + this.from.size + this.to.size + this.related.size === 0;
  }
}

/**
 * The event type of a `--type` value. Comma lists are an error, as with the real command.
 * @throws PodpathError USAGE with the client's own message
 */
export function parseEventType(p: Profile, name: string): number {
  const type = p.eventTypes.get(name);
  if (type === undefined) {
    const known = [...p.eventTypes].map(([n, t]) => `${n}:${t}`).join(" ");
    throw new PodpathError(
      "USAGE",
      `invalid argument "${name}" for "-t, --type" flag: Unknown type (${name}). Please use one of the following ones map[${known}]`,
    );
  }
  return type;
}

/** The value of --from, --to or --related-to, a u16. @throws PodpathError USAGE with the client's own message */
export function parseEndpointId(flag: string, text: string): number {
  const problem = !/^[0-9]+$/.test(text)
    ? "invalid syntax"
    : Number(text) > 65535
      ? "value out of range"
      : undefined;
  if (problem !== undefined) {
    throw new PodpathError(
      "USAGE",
      `invalid argument "${text}" for "--${flag}" flag: strconv.ParseUint: parsing "${text}": ${problem}`,
    );
  }
  return Number(text);
}
