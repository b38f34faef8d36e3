// The two-node cluster with numbers that a trace can name: pods a, b (node n1), c (node n2) are endpoints A, B, C with
// identities idA, idB, idC (3001 to 3003); the host endpoints are H1 and H2 (901, 902).

import { Lab, type LabOptions } from "../../src/lab.js";
import { type Trace, type TraceNames, traceOf } from "./event_trace.js";
import { NODE_1, NODE_2, twoNodes } from "./two_nodes.js";

export const NAMES: TraceNames = {
  endpoints: { 101: "A", 102: "B", 103: "C", 901: "H1", 902: "H2" },
  identities: { 3001: "idA", 3002: "idB", 3003: "idC" },
};

function endpoint(name: string, id: number, identity: number): string {
  return `---
apiVersion: cilium.io/v2
kind: CiliumEndpoint
metadata: {name: ${name}, namespace: default}
status: {id: ${id}, identity: {id: ${identity}}}
`;
}

/** Endpoint ids and identities of pods a, b and c. */
export function podIdentities(): string {
  return endpoint("a", 101, 3001) + endpoint("b", 102, 3002) + endpoint("c", 103, 3003);
}

/** The debug build. */
export const DEBUG = { debug: "true", "debug-verbose": "datapath" } as const;
/** What the agent is installed with: no debug messages, aggregation medium. */
export const MEDIUM = { "monitor-aggregation": "medium" } as const;

/** The cluster, with its neighbour tables filled so that no walk waits for ARP. */
export function datapathLab(options: LabOptions, more = "", warm = true): Lab {
  const yaml =
    twoNodes(more)
      .replace(
        /kind: Node\nmetadata: \{name: (n\d)\}/g,
        "kind: Node\nmetadata: {name: $1, labels: {kubernetes.io/hostname: $1}}",
      )
      .replace("name: n1}\nspec: {gateway", "name: n1}\nspec: {hostEndpointId: 901, gateway")
      .replace("name: n2}\nspec: {gateway", "name: n2}\nspec: {hostEndpointId: 902, gateway") +
    podIdentities();
  const lab = Lab.fromYaml(yaml, "datapath.yaml", options);
  if (warm) {
    // Any answer will do, an unreachable one too: it is the ARP before it that counts.
    for (const from of ["pod/a", "pod/b", "pod/c", "node/n1", "node/n2"]) {
      for (const to of ["pod/a", "pod/b", "pod/c", NODE_1, NODE_2, "host/outside"])
        lab.ping({ from, to, id: 7 });
    }
    for (const to of [NODE_1, NODE_2]) lab.ping({ from: "host/outside", to, id: 7 });
  }
  return lab;
}

/** The trace of one ping with id 3072. */
export function pingTrace(lab: Lab, from: string, to: string): Trace {
  return traceOf(lab, NAMES, () => void lab.ping({ from, to, id: 3072 }));
}

/** What one exchange shows in the three builds that matter. */
export interface Builds {
  /** Debug messages, no aggregation: the whole trace. */
  readonly debug: Trace;
  /** No debug messages, no aggregation. */
  readonly plain: Trace;
  /** No debug messages, aggregation medium. */
  readonly medium: Trace;
}

/** Runs the same in a lab of each build. */
export function inBuilds(options: LabOptions, more: string, run: (lab: Lab) => void): Builds {
  const one = (extra: Readonly<Record<string, string>>): Trace => {
    const lab = datapathLab({ ...options, options: { ...options.options, ...extra } }, more);
    return traceOf(lab, NAMES, () => run(lab));
  };
  return { debug: one(DEBUG), plain: one({}), medium: one(MEDIUM) };
}

/** A trace's text without what only the debug build sends: debug messages and captures. */
export function withoutDebug(trace: string): string {
  const lines = trace.split("\n").filter((l) => !/^ {2}\S+ [DC]\d/.test(l));
  // A node whose every event was one of those has nothing left.
  return lines
    .filter((l, i) => !(l.startsWith("events ") && (lines[i + 1] ?? "").startsWith("  ") === false))
    .join("\n");
}
