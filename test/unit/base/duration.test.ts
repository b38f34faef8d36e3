import { describe, expect, it } from "vitest";
import { parseDuration } from "../../../src/base/duration.js";

describe("durations", () => {
  it("are read as Go reads them, and bare numbers as seconds", () => {
    const texts = ["5s", "1h30m", "250ms", "1.5µs", "2d", "7", 0.25];
    expect(texts.map(parseDuration)).toEqual([5e9, 5.4e12, 2.5e8, 1500, 1.728e14, 7e9, 2.5e8]);
  });

  it("are none when negative, endless, longer than 292 years, or other text", () => {
    const texts = [
      -1,
      Number.NaN,
      1e300,
      Number.POSITIVE_INFINITY,
      "9999999h",
      "1e300",
      "-5s",
      "5 s",
      "s",
      "",
    ];
    expect(texts.filter((t) => parseDuration(t) !== undefined)).toEqual([]);
    expect(parseDuration("2562047h")).toBe(2562047 * 3.6e12);
  });
});
