// The recorded policy compilations, where they are at hand, and what the runner says of a record that differs.

import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { isPodpathError } from "../../../src/base/errors.js";
import { checkPolicyRecord, type PolicyRecord, runPolicyVectors } from "../../../src/conformance/policy.js";

const VECTORS = new URL("../../../../shared/vectors/policy-1.19.jsonl", import.meta.url).pathname;
const FIXTURE = new URL("../../fixture/policy_record.json", import.meta.url).pathname;

describe("podpath conformance policy", () => {
  it.skipIf(!existsSync(VECTORS))(
    "passes every recorded compilation, in everything that a record holds",
    () => {
      const out: string[] = [];
      const result = runPolicyVectors([VECTORS], (t) => out.push(t));
      expect(out.join("")).toBe(`${result.passed} passed, 0 failed\n`);
      expect(result.passed).toBeGreaterThan(500);
    },
  );

  const record = (): PolicyRecord => JSON.parse(readFileSync(FIXTURE, "utf8")) as PolicyRecord;

  it("finds nothing to report in a record that agrees", () => {
    expect(checkPolicyRecord(record())).toEqual({ mismatches: [], notes: [] });
  });

  it("reports enforcement, entries and verdicts that differ as mismatches", () => {
    const r = record();
    const [, second] = r.map;
    const changed: PolicyRecord = {
      ...r,
      egressEnforced: true,
      map: [r.map[0]!, { ...second!, valueHex: `0000c1${second!.valueHex.slice(6)}` }, ...r.map.slice(2)],
    };
    expect(checkPolicyRecord(changed)).toEqual({
      mismatches: [
        "enforcement:",
        "  - ingress true, egress true",
        "  + ingress true, egress false",
        "map:",
        "    ingress identity 1 protocol 0 ports 0-65535: allow precedence ffffff01 (280000000100000000000000 0000000001ffffff00000000)",
        "  - ingress identity 300 protocol 6 ports 80-80: deny precedence ffffff01 (400000002c01000000060050 0000c10001ffffff00000000)",
        "  + ingress identity 300 protocol 6 ports 80-80: allow precedence ffffff01 (400000002c01000000060050 0000c00001ffffff00000000)",
        "    egress identity 0 protocol 0 ports 0-65535: allow precedence ffffff01 (280000000000000001000000 0000000001ffffff00000000)",
        "verdict on the recorded map: ingress identity 300 protocol 6 port 80:",
        "  - allowed",
        "  + denied",
      ],
      notes: [],
    });
  });

  it("reports rules behind an entry that differ as notes", () => {
    const r = record();
    const labels = r.ruleLabels.map((l) => l.map((t) => t.replace("policy.name=cnp", "policy.name=other")));
    const rules = (name: string): string => {
      const k8s = "k8s:io.cilium.k8s.policy";
      return `rules [${k8s}.derived-from=CiliumNetworkPolicy,${k8s}.name=${name},${k8s}.namespace=default,${k8s}.uid=u] log []`;
    };
    const entry =
      "ingress identity 300 protocol 6 ports 80-80: allow precedence ffffff01 (400000002c01000000060050 0000c00001ffffff00000000)";
    expect(checkPolicyRecord({ ...r, ruleLabels: labels })).toEqual({
      mismatches: [],
      notes: [
        "rules behind the entries:",
        "    ingress identity 1 protocol 0 ports 0-65535: allow precedence ffffff01 (280000000100000000000000 0000000001ffffff00000000) rules [reserved:io.cilium.policy.derived-from=allow-localhost-ingress] log []",
        `  - ${entry} ${rules("other")}`,
        `  + ${entry} ${rules("cnp")}`,
        "    egress identity 0 protocol 0 ports 0-65535: allow precedence ffffff01 (280000000000000001000000 0000000001ffffff00000000) rules [reserved:io.cilium.policy.derived-from=allow-any-egress] log []",
        "rules behind the verdict: ingress identity 300 protocol 6 port 80:",
        `  - ${rules("other")}`,
        `  + ${rules("cnp")}`,
      ],
    });
  });

  it("throws VECTOR_INVALID with file and line for a line that is not JSON, and IO for a file that is not there", () => {
    const file = join(mkdtempSync(join(tmpdir(), "podpath-")), "policy-x.jsonl");
    writeFileSync(file, `${JSON.stringify(record())}\nnot json\n`);
    const codes: unknown[] = [];
    for (const path of [file, `${file}.missing`]) {
      try {
        runPolicyVectors([path], () => {});
      } catch (e) {
        if (!isPodpathError(e)) throw e;
        codes.push([e.code, e.position?.line]);
      }
    }
    expect(codes).toEqual([
      ["VECTOR_INVALID", 2],
      ["IO", undefined],
    ]);
  });
});
