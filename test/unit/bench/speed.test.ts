// The emulator's own speed: what is measured is what it says, and the rows come out as figures.
import { describe, expect, it } from "vitest";
import { pairLab } from "../../../src/bench/lab.bench.js";
import { matrixKindsScenario, matrixScenario } from "../../../src/bench/matrix_case.js";
import { tracer } from "../../../src/bench/traces.bench.js";
import { loadScenario } from "../../../src/scenario/load.js";
import { MatrixPlan } from "../../../src/walk/matrix.js";
import { runCli } from "../../support/cli.js";

describe("speed of the emulator", () => {
  it("traces a whole round trip: both walks, and every point of both nodes as text", () => {
    const trace = tracer(pairLab("cilium-host-routing", "none"), "c");
    trace();
    const { text, walks } = trace();
    expect(walks).toBe(2);
    const points = [...text.matchAll(/^CPU \d\d: MARK \S+ FROM \d+ ([a-z-]+): 98 bytes/gm)].map((m) => m[1]);
    // Each node's own, one after the other; the host device reports what it sends once more.
    expect(points).toEqual([
      "from-endpoint",
      "to-network",
      "to-network",
      "from-network",
      "to-endpoint",
      "from-network",
      "to-endpoint",
      "from-endpoint",
      "to-network",
      "to-network",
    ]);
    expect(text.split("\n").filter((l) => l.startsWith("ICMPv4")).length).toBe(points.length);
  });

  it("comes as JSON in a section of its own, apart from the model", async () => {
    const { out, status } = await runCli(
      "bench",
      "--quick",
      "--json",
      "--only",
      "traces, -v -v text and recorded walk: same",
    );
    expect(status).toBe(0);
    const { emulator, model } = JSON.parse(out);
    expect(emulator).toEqual({
      speed: [
        {
          name: "round-trip traces, -v -v text and recorded walk: same node, BPF host routing",
          unit: "trace",
          nsPerUnit: expect.any(Number),
          unitsPerSec: expect.any(Number),
          samples: expect.any(Number),
          bytesPerUnit: null,
          target: 20_000,
        },
      ],
      flows: [],
    });
    expect([model.rows, model.check]).toEqual([[], []]);
  });

  it("asks for the matrix of 1,000 pods of which nothing but application and node matters", () => {
    const plan = new MatrixPlan(loadScenario(matrixScenario(), "matrix.yaml"), [
      { port: 80, protocol: "tcp" },
    ]);
    expect([plan.pods.length, plan.classes.length]).toEqual([1000, 100]);
  });

  it("asks for the matrix of 1,000 pods that are all different to 200 policies", () => {
    const plan = new MatrixPlan(loadScenario(matrixKindsScenario(), "kinds.yaml"), []);
    expect([plan.pods.length, plan.classes.length]).toEqual([1000, 1000]);
    expect(plan.scenario.cluster.objects.filter((o) => o.kind === "NetworkPolicy").length).toBe(200);
  });
});
