import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import * as calls from "../../../maps/calls.js";
import * as drops from "../../../maps/drop_codes.js";
import * as events from "../../../maps/events.js";

/** Exported numbers of a module. */
function numbers(module: object): Map<string, number> {
  return new Map(Object.entries(module).filter((e): e is [string, number] => typeof e[1] === "number"));
}

describe("events", () => {
  /** The drawing at the top of the file: per structure its fields as [name, offset, size], and its length. */
  function drawing(): Map<string, { fields: [string, number, number][]; length: number | undefined }> {
    const source = readFileSync(new URL("../../../maps/events.ts", import.meta.url), "utf8");
    const out = new Map<string, { fields: [string, number, number][]; length: number | undefined }>();
    let current = "";
    for (const line of source.split("\n")) {
      const m = /^\/\/ {3}(\S.*?\S) {2,}(.*)$/.exec(line) ?? /^\/\/ {19}()(.*)$/.exec(line);
      if (m === null) {
        if (out.size > 0) break;
        continue;
      }
      if (m[1] !== "") {
        current = m[1];
        out.set(current, { fields: [], length: undefined });
      }
      const entry = out.get(current)!;
      for (const f of m[2].matchAll(/(\d+) (\d+) ([a-z_0-9]+|-)/g))
        entry.fields.push([f[3], Number(f[1]), Number(f[2])]);
      const length = /(\d+) bytes$/.exec(m[2]);
      if (length) entry.length = Number(length[1]);
    }
    return out;
  }

  it("has the offsets and lengths of the drawing at the top of its file", () => {
    const prefixes: Record<string, string> = {
      "common header": "NOTIFY",
      "capture header": "CAPTURE",
      drop: "DROP",
      debug: "DBG",
      "debug capture": "DBG_CAPTURE",
      trace: "TRACE",
      "policy verdict": "VERDICT",
      "socket trace": "SOCK",
    };
    const lengths: Record<string, number> = {
      drop: events.DROP_NOTIFY_LEN,
      debug: events.DBG_MSG_LEN,
      "debug capture": events.DBG_CAPTURE_LEN,
      trace: events.TRACE_NOTIFY_LEN,
      "policy verdict": events.POLICY_VERDICT_LEN,
      "socket trace": events.TRACE_SOCK_LEN,
    };
    const exported = numbers(events);
    const drawn = drawing();
    expect([...drawn.keys()]).toEqual(Object.keys(prefixes));
    let checked = 0;
    for (const [name, { fields, length }] of drawn) {
      expect([name, length]).toEqual([name, lengths[name]]);
      for (const [field, offset] of fields) {
        if (field === "-" || (name === "socket trace" && field === "type")) continue;
        const constant = `${prefixes[name]}_${field.toUpperCase().replace(/^SOCK_/, "")}`;
        expect([constant, exported.get(constant)]).toEqual([constant, offset]);
        checked++;
      }
    }
    expect(checked).toBe(44);
  });

  it("draws fields that follow each other without gap or overlap", () => {
    for (const [name, { fields, length }] of drawing()) {
      // Structures other than the two headers begin where their header ends.
      let at = fields[0][1];
      for (const [field, offset, size] of fields) {
        expect([name, field, offset]).toEqual([name, field, at]);
        at += size;
      }
      if (length !== undefined) expect([name, at]).toEqual([name, length]);
    }
  });

  it("numbers debug messages without hole, the datapath's three beyond the decoder's 65 included", () => {
    const codes = [...numbers(events)]
      .filter(([name]) => /^DBG_(?!CAPTURE|MSG|ARG)/.test(name))
      .map(([, code]) => code);
    expect(codes).toEqual(Array.from({ length: 68 }, (_, i) => i + 1));
    expect([events.DBG_L7_LB, events.DBG_SKIP_POLICY, events.DBG_LB6_LOOPBACK_SNAT_REV]).toEqual([
      65, 66, 68,
    ]);
  });
});

describe("drop codes", () => {
  it("run from -130 to -205, each once", () => {
    const codes = [...numbers(drops).values()].filter((n) => n < 0).sort((a, b) => b - a);
    expect(codes).toEqual(Array.from({ length: 76 }, (_, i) => -130 - i));
  });

  it("are errors, as is TC_ACT_SHOT, and other verdicts are not", () => {
    expect([drops.DROP_POLICY, 2, 0, 7, -1, drops.POLICY_ACT_PROXY_REDIRECT].map(drops.IS_ERR)).toEqual([
      true,
      true,
      false,
      false,
      true,
      false,
    ]);
  });
});

describe("tail calls", () => {
  it("fit into the calls map of an object", () => {
    const indices = [...numbers(calls)].filter(([name]) => name !== "CILIUM_CALL_SIZE").map(([, i]) => i);
    expect([Math.max(...indices), calls.CILIUM_CALL_SIZE]).toEqual([48, 49]);
    expect(calls.callsSpec(1580)).toEqual({
      name: "cilium_calls_01580",
      type: "prog_array",
      keySize: 4,
      valueSize: 4,
      maxEntries: 49,
    });
  });
});
