import { describe, expect, it } from "vitest";
import { type MonitorFlags, wantsColor } from "../../../src/cli/monitor_options.js";

/** Whether output is coloured by `--color [when]` on a terminal or not, with NO_COLOR of that value. */
function colored(color: MonitorFlags["color"], terminal: boolean, noColor?: string): boolean {
  const flags: MonitorFlags = {
    type: [],
    from: [],
    to: [],
    relatedTo: [],
    verbose: 0,
    ...(color === undefined ? {} : { color }),
  };
  return wantsColor(flags, terminal, noColor === undefined ? {} : { NO_COLOR: noColor });
}

describe("colour", () => {
  it.each([
    [undefined, true, undefined, false],
    ["never", true, undefined, false],
    [true, true, undefined, true],
    ["auto", true, undefined, true],
    ["auto", false, undefined, false],
    ["auto", true, "", true],
    ["auto", true, "1", false],
    [true, true, "1", false],
    ["always", false, "1", true],
  ] as const)("--color %s, terminal %s, NO_COLOR=%s: %s", (color, terminal, noColor, expected) => {
    expect(colored(color, terminal, noColor)).toBe(expected);
  });
});
