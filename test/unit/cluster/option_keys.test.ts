import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";
import { DATAPATHS } from "../../../src/cluster/model.js";
import {
  CALICO_OPTIONS,
  CILIUM_OPTIONS,
  CLUSTER_OPTIONS,
  editDistance,
  KUBE_PROXY_OPTIONS,
  mistypedOption,
  nearestOption,
  optionsOf,
  readsOption,
} from "../../../src/cluster/option_keys.js";
import { EMBEDDED } from "../../../src/scenario/embedded/index.js";
import { loadScenario } from "../../../src/scenario/load.js";
import fc, { runs } from "../../support/fast_check.js";

describe("the tables of options", () => {
  /** Sources that read options; the type of their keys keeps them to the tables, this the tables to them. */
  it.each([
    ["Cilium", CILIUM_OPTIONS, ["cilium/agent_config.ts", "cilium/policy/config.ts"]],
    ["the cluster", CLUSTER_OPTIONS, ["linux_plane.ts"]],
    ["Calico", CALICO_OPTIONS, ["calico/config.ts"]],
    ["kube-proxy", KUBE_PROXY_OPTIONS, ["kube_proxy/config.ts"]],
  ] as const)("%s: nothing is in the table that nothing reads", (_, table, files) => {
    const source = files
      .map((f) => readFileSync(new URL(`../../../src/cluster/${f}`, import.meta.url), "utf8"))
      .join("\n");
    // As an argument, as an index, or (tunnel) as a property.
    const unread = Object.keys(table).filter(
      (k) => !new RegExp(`[([]\\s*"${k}"|\\bo\\.${k}\\b`).test(source),
    );
    expect(unread).toEqual([]);
  });

  it("every option of the embedded scenarios is read", () => {
    const unread = [...EMBEDDED].flatMap(([name, text]) => {
      const d = loadScenario(text, name).cluster.datapath;
      return Object.keys(d.options).filter((k) => !readsOption(d.name, k));
    });
    expect(unread).toEqual([]);
  });

  it("every datapath reads kube-proxy's options, and only Calico's read those of its pools", () => {
    expect(DATAPATHS.filter((d) => !readsOption(d, "ipvs-scheduler"))).toEqual([]);
    expect(DATAPATHS.filter((d) => readsOption(d, "pool-cidr"))).toEqual(
      DATAPATHS.filter((d) => d.startsWith("calico-")),
    );
    expect([...optionsOf("flannel-host-gw").keys()]).toEqual(["the cluster", "kube-proxy"]);
  });
});

describe("nearestOption", () => {
  it.each([
    ["enable-endpoint-route", "enable-endpoint-routes"],
    ["enable_endpoint_routes", "enable-endpoint-routes"],
    ["endpointRoutes", "enable-endpoint-routes"],
    ["bpf.masquerade", "enable-bpf-masquerade"],
    ["monitor-agregation", "monitor-aggregation"],
    ["tunnle", "tunnel"],
    ["enable-hubble", undefined],
    ["ipam", undefined],
    ["x", undefined],
    ["", undefined],
  ])("%j is taken for %j", (key, nearest) => {
    expect(nearestOption(["cilium-host-routing"], key)).toBe(nearest);
  });

  it("mistypedOption does not take a part of a name for a slip of the pen", () => {
    expect(mistypedOption(["cilium-host-routing"], "endpoint-routes")).toBe(undefined);
    expect(mistypedOption(["cilium-host-routing"], "tunnle-port")).toBe("tunnel-port");
  });
});

describe("editDistance", () => {
  it.each([
    ["", "", 0],
    ["abc", "abc", 0],
    ["abc", "ab", 1],
    ["abc", "abxc", 1],
    ["abc", "axc", 1],
    ["abc", "acb", 1],
    ["abc", "", 3],
    ["kitten", "sitting", 3],
  ])("from %j to %j it is %i", (a, b, n) => {
    expect(editDistance(a, b)).toBe(n);
  });

  it("is the same both ways and at most the longer text", () => {
    const word = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 6 });
    fc.assert(
      fc.property(word, word, (a, b) => {
        const d = editDistance(a, b);
        expect(editDistance(b, a)).toBe(d);
        expect(d).toBeLessThanOrEqual(Math.max(a.length, b.length));
        expect(d === 0).toBe(a === b);
      }),
      { numRuns: runs(100) },
    );
  });
});
