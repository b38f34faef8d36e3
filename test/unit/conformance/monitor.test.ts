import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runMonitorVectors } from "../../../src/conformance/monitor.js";
import { textDiff } from "../../../src/conformance/report.js";

const VECTORS = new URL("../../../../shared/vectors/", import.meta.url).pathname;

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "podpath-vectors-"));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

describe("runMonitorVectors", () => {
  it.for(["monitor-1.19.jsonl", "monitor-1.11.jsonl"])(
    "renders every record of %s as recorded, in all forms",
    async (name, ctx) => {
      const file = join(VECTORS, name);
      if (!existsSync(file)) return ctx.skip(`${file} is not there`);
      let printed = "";
      const result = await runMonitorVectors([file], (text) => {
        printed += text;
      });
      expect(printed).toBe(`${result.passed} passed, 0 failed\n`);
      expect(result.passed).toBeGreaterThan(500);
    },
  );

  it("prints the form, the difference and the tally of a record that does not agree", async () => {
    const record = {
      name: "unknown-type/8",
      cat: "unknown-type",
      hex: "08010203ff",
      cpu: 8,
      text_default: "CPU 08: Unknown event: [8 1 2 3 254]\n",
      text_v: "CPU 08: Unknown event: [8 1 2 3 255]\n",
      text_vv: "CPU 08: Unknown event: [8 1 2 3 255]",
    };
    const file = join(dir, "monitor-1.19.jsonl");
    writeFileSync(file, `${JSON.stringify(record)}\n${JSON.stringify({ ...record, name: "other" })}\n`);
    let printed = "";
    const result = await runMonitorVectors([dir], (text) => {
      printed += text;
    });
    expect(result).toEqual({ passed: 0, failed: 2 });
    expect(printed).toBe(
      ["unknown-type/8", "other"]
        .map(
          (name) => `FAIL ${name}
  text_default:
  - CPU 08: Unknown event: [8 1 2 3 254]
  + CPU 08: Unknown event: [8 1 2 3 255]
                                      ^
  text_vv:
  - CPU 08: Unknown event: [8 1 2 3 255] (no newline at the end)
  + CPU 08: Unknown event: [8 1 2 3 255]
                                        ^
  text_default_n:
  - CPU 08: Unknown event: [8 1 2 3 254]
  + CPU 08: Unknown event: [8 1 2 3 255]
                                      ^
  text_vv_n:
  - CPU 08: Unknown event: [8 1 2 3 255] (no newline at the end)
  + CPU 08: Unknown event: [8 1 2 3 255]
                                        ^
`,
        )
        .join("")
        .concat("0 passed, 2 failed\n"),
    );
  });

  it("names file and line of a record that is no JSON", async () => {
    const file = join(dir, "monitor-1.11.jsonl");
    writeFileSync(file, "\n{broken\n");
    await expect(runMonitorVectors([file], () => {})).rejects.toMatchObject({
      code: "VECTOR_INVALID",
      position: { file, line: 2, column: 1 },
    });
  });

  it("wants the release in the name of a file", async () => {
    const file = join(dir, "samples.jsonl");
    writeFileSync(file, "");
    await expect(runMonitorVectors([file], () => {})).rejects.toMatchObject({ code: "VECTOR_INVALID" });
    await expect(runMonitorVectors([join(dir, "none")], () => {})).rejects.toMatchObject({ code: "IO" });
  });
});

describe("textDiff", () => {
  it("leaves equal lines at both ends out and shows what a terminal hides", () => {
    expect(textDiff("a\nb\tc \nd\n", "a\nb c\nd\n")).toBe(
      ["  (1 equal lines)", "- b\\tc·", "+ b c", "   ^", "  (1 equal lines)"].join("\n"),
    );
  });
});
