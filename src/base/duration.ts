// Durations as people write them (`5s`, `1h30m`, `250ms`), after Go's time.ParseDuration.

const UNIT_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1_000,
  µs: 1_000,
  ms: 1_000_000,
  s: 1_000_000_000,
  m: 60_000_000_000,
  h: 3_600_000_000_000,
  d: 86_400_000_000_000,
};

/** More than Go's int64 of nanoseconds (292 years) is no duration there either. */
const MAX_NS = 2 ** 63;

/**
 * Nanoseconds of a duration; a bare number is seconds. Undefined when it is not a duration, is negative or longer than
 * 292 years.
 */
export function parseDuration(text: string | number): number | undefined {
  const ns = nanoseconds(text);
  return ns !== undefined && ns >= 0 && ns < MAX_NS ? ns : undefined;
}

function nanoseconds(text: string | number): number | undefined {
  if (typeof text === "number") return Math.round(text * 1e9);
  if (/^\d+(\.\d+)?$/.test(text)) return Math.round(Number(text) * 1e9);
  if (!/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h|d))+$/.test(text)) return undefined;
  let ns = 0;
  for (const m of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)/g))
    ns += Number(m[1]) * UNIT_NS[m[2]!]!;
  return Math.round(ns);
}
