// Options of a control plane read as what they mean: every value that it would refuse is named with its key and, where
// it stands in a file, its position.

import { parseDuration } from "../base/duration.js";
import { PodpathError, type SourcePosition } from "../base/errors.js";
import { tryParseCidr } from "../net/address.js";

/** Texts that Go's strconv.ParseBool takes. */
const TRUE = new Set(["1", "t", "T", "true", "TRUE", "True"]);
const FALSE = new Set(["0", "f", "F", "false", "FALSE", "False"]);

/** Options by key, `K` being the keys that the reader knows. An empty value is the same as none. */
export class Options<K extends string> {
  /** `from` is what the options are called in errors; `posOf` gives the position of a key. */
  constructor(
    private readonly o: Readonly<Record<string, string>>,
    private readonly from: string,
    private readonly posOf: (key: string) => SourcePosition | undefined = () => undefined,
  ) {}

  bad(key: K, wanted: string): PodpathError {
    return this.refused(key, `but must be ${wanted}`);
  }

  /** A value that does not do, and why: a clause behind a comma. */
  refused(key: K, why: string): PodpathError {
    const text = `${this.from}: ${key} is ${JSON.stringify(this.o[key])}, ${why}`;
    return new PodpathError("SCENARIO_INVALID", text, this.posOf(key));
  }

  optional(key: K): string | undefined {
    const v = this.o[key];
    return v === "" ? undefined : v;
  }

  /** As it is written, empty too. */
  text(key: K, fallback: string): string {
    return this.o[key] ?? fallback;
  }

  bool(key: K, fallback: boolean): boolean {
    const v = this.optional(key);
    if (v === undefined) return fallback;
    if (TRUE.has(v)) return true;
    if (FALSE.has(v)) return false;
    throw this.bad(key, "true or false");
  }

  number(key: K, fallback: number, min: number, max: number): number {
    const v = this.optional(key);
    if (v === undefined) return fallback;
    const n = Number(v);
    if (!Number.isInteger(n) || n < min || n > max)
      throw this.bad(key, `a whole number from ${min} to ${max}`);
    return n;
  }

  /** An MTU; 0 is the same as none. */
  mtu(key: K): number | undefined {
    return this.o[key] === "0" || this.optional(key) === undefined
      ? undefined
      : this.number(key, 0, 68, 65535);
  }

  oneOf<T extends string>(key: K, values: readonly T[], fallback: T): T {
    const v = this.optional(key);
    if (v === undefined) return fallback;
    const found = values.find((x) => x === v);
    if (found === undefined) throw this.bad(key, `one of ${values.join(", ")}`);
    return found;
  }

  seconds(key: K, fallback: number): number {
    const v = this.optional(key);
    if (v === undefined) return fallback;
    const ns = parseDuration(v);
    if (ns === undefined) throw this.bad(key, "a duration like 5s");
    return Math.floor(ns / 1e9);
  }

  /** A subnet of one family. */
  cidr(key: K, family: 4 | 6): string | undefined {
    const v = this.optional(key);
    if (v === undefined) return undefined;
    if (!v.includes("/") || tryParseCidr(v)?.family !== family)
      throw this.bad(key, family === 4 ? "a subnet like 10.0.0.0/8" : "a subnet like fd00::/48");
    return v;
  }
}
