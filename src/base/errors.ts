// The one exception class of podpath. Exceptions are for broken scenarios, bad files and programming errors;
// the packet path never throws: there a drop is counted with its reason.

/** Closed set of error codes; the code is stable, the message is for people. */
export type PodpathErrorCode =
  | "SCENARIO_INVALID"
  | "SCENARIO_NOT_FOUND"
  | "MAP_LAYOUT"
  | "MAP_SPEC"
  | "ADDRESS_INVALID"
  | "PCAP_INVALID"
  | "RULES_INVALID"
  | "RECORDING_INVALID"
  | "VECTOR_INVALID"
  | "CHECK_FAILED"
  | "USAGE"
  | "IO"
  | "UNSUPPORTED";

/** Where in a text file something is wrong; lines and columns count from 1. */
export interface SourcePosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/**
 * An error that a person can act on. `message` is one line and says what to do; `toString()` puts
 * `file:line:column: ` in front when the position is known.
 */
export class PodpathError extends Error {
  override readonly name = "PodpathError";

  constructor(
    readonly code: PodpathErrorCode,
    message: string,
    readonly position?: SourcePosition,
  ) {
    super(message);
  }

  override toString(): string {
    const p = this.position;
    return p === undefined ? this.message : `${p.file}:${p.line}:${p.column}: ${this.message}`;
  }
}

/** True for a PodpathError, also one of another copy of this module (a linked package, another realm). */
export function isPodpathError(e: unknown): e is PodpathError {
  return e instanceof Error && e.name === "PodpathError" && typeof (e as PodpathError).code === "string";
}
