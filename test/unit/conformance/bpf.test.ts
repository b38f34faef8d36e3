import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runBpfVectors } from "../../../src/conformance/bpf.js";

const VECTORS = new URL("../../../../shared/vectors/bpf/", import.meta.url).pathname;
const CONFIGS = ["compile-time-config.json", "load-time-config.json"];

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "podpath-bpf-"));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

/** First record of a configuration, as text, that the predicate takes. */
function record(name: string, take: (text: string) => boolean): string {
  return readFileSync(join(VECTORS, `${name}.jsonl`), "utf8")
    .split("\n")
    .find(take)!;
}

describe("runBpfVectors", () => {
  it("finds every recorded step of every configuration equal", (ctx) => {
    if (!existsSync(VECTORS)) return ctx.skip(`${VECTORS} is not there`);
    let printed = "";
    const result = runBpfVectors([VECTORS], (text) => {
      printed += text;
    });
    expect(printed).toBe(`${result.passed} passed, 0 failed\n`);
    expect(result).toEqual({ passed: 667, failed: 0 });
  });

  it("finds the configurations one folder up", (ctx) => {
    if (!existsSync(VECTORS)) return ctx.skip(`${VECTORS} is not there`);
    for (const name of CONFIGS) copyFileSync(join(VECTORS, name), join(dir, name));
    mkdirSync(join(dir, "more"));
    writeFileSync(
      join(dir, "more", "x.jsonl"),
      record("hr-n0", () => true),
    );
    expect(runBpfVectors([dir], () => {})).toEqual({ passed: 1, failed: 0 });
  });

  it("prints step, field and both values of what does not agree", (ctx) => {
    if (!existsSync(VECTORS)) return ctx.skip(`${VECTORS} is not there`);
    for (const name of CONFIGS) copyFileSync(join(VECTORS, name), join(dir, name));
    const r = JSON.parse(record("hr-n0", () => true)) as {
      id: string;
      steps: { name: string; hook: string; ret: number; prandom_used: number; events: { hex: string }[] }[];
    };
    const [first] = r.steps;
    const { ret } = first;
    first.ret = 99;
    first.prandom_used = 5;
    first.events.push({ hex: "0402" });
    writeFileSync(join(dir, "x.jsonl"), JSON.stringify(r));
    let printed = "";
    runBpfVectors([join(dir, "x.jsonl")], (text) => {
      printed += text;
    });
    expect(printed).toBe(`FAIL ${r.id}
  step "${first.name}" (${first.hook})
  return code:
    expected 99
    actual   ${ret}
  random numbers:
    expected 5
    actual   0
  event ${first.events.length - 1}:
    expected 0402
    actual   none
0 passed, 1 failed
`);
  });

  it("names file and line of a record that is no JSON or of another format", (ctx) => {
    if (!existsSync(VECTORS)) return ctx.skip(`${VECTORS} is not there`);
    for (const name of CONFIGS) copyFileSync(join(VECTORS, name), join(dir, name));
    const file = join(dir, "x.jsonl");
    for (const [text, message] of [
      ["{broken", "not a JSON record"],
      ['{"format":2,"steps":[]}', "not a datapath record of format 1"],
    ]) {
      writeFileSync(file, `\n${text}\n`);
      expect(() => runBpfVectors([file], () => {})).toThrow(
        expect.objectContaining({ code: "VECTOR_INVALID", message: expect.stringContaining(message) }),
      );
    }
  });

  it("says what is missing where there are no configurations or no vectors", () => {
    const file = join(dir, "x.jsonl");
    expect(() => runBpfVectors([file], () => {})).toThrow(`cannot read ${file}`);
    writeFileSync(file, "{}\n");
    expect(() => runBpfVectors([file], () => {})).toThrow(
      `compile-time-config.json is neither beside ${file} nor one folder up`,
    );
  });
});
