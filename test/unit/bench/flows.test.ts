import { describe, expect, it } from "vitest";
import { stepCounts } from "../../../src/bench/cost_model.js";
import { FlowBench, type FlowCase } from "../../../src/bench/flows.js";

describe("bench flows", () => {
  it.each(["udp rr", "icmp rr"] as const)(
    "of new %s are new still after ports or ids have come round",
    (kind) => {
      const flow: FlowCase = { datapath: "calico-bgp", path: "same", kind, state: "new", service: false };
      const bench = new FlowBench(flow);
      for (let i = 0; i < 4100; i++) bench.operation();
      const walks = bench.lab.record(() => bench.operation());
      expect(stepCounts(walks, (where) => where.startsWith("pod/")).conntrackNew).toBe(1);
      expect(bench.model.counts.conntrackNew).toBe(1);
    },
  );
});
