import { describe, expect, it } from "vitest";
import { splitWords } from "../../../../src/kernel/netfilter/xt_parse.js";

describe("splitWords", () => {
  it("reads quotes and backslashes as a shell does", () => {
    const cases: readonly (readonly [string, readonly string[]])[] = [
      ["-A INPUT  -j ACCEPT", ["-A", "INPUT", "-j", "ACCEPT"]],
      ["-A\tINPUT", ["-A", "INPUT"]],
      ['--comment "a b" -j X', ["--comment", "a b", "-j", "X"]],
      ['--comment "say \\"hi\\" \\\\ now"', ["--comment", 'say "hi" \\ now']],
      ["--comment 'a \\ \"b\"'", ["--comment", 'a \\ "b"']],
      ["a\"b c\"d'e f'g", ["ab cde fg"]],
      ['one\\ word \\"', ["one word", '"']],
      ['"" x', ["", "x"]],
      ["trailing\\", ["trailing\\"]],
    ];
    expect(cases.map(([line]) => splitWords(line))).toEqual(cases.map(([, words]) => words));
  });

  it("says when a quote is not closed", () => {
    for (const line of ['a "b', "a 'b", 'a "b\\"'])
      expect(() => splitWords(line)).toThrow("a quoted argument has no end");
  });
});
