import { describe, expect, it } from "vitest";
import { PodpathError } from "../../../src/base/errors.js";
import { DEFAULT_SCENARIO, EMBEDDED } from "../../../src/scenario/embedded/index.js";
import { loadScenario } from "../../../src/scenario/load.js";

function errorOf(text: string): string {
  try {
    loadScenario(text, "x.yaml");
  } catch (e) {
    if (e instanceof PodpathError) return String(e);
    throw e;
  }
  return "no error";
}

const NODE = `apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.0.0.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}
---
`;

describe("loadScenario", () => {
  it("reads every embedded scenario", () => {
    for (const [name, text] of EMBEDDED) expect(loadScenario(text, name).name).toBe(name);
    expect(EMBEDDED.has(DEFAULT_SCENARIO)).toBe(true);
  });

  it("takes a kubectl list apart and keeps the position of each item", () => {
    const s = loadScenario(
      `apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Node
  metadata: {name: a}
  status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: ignored}
- apiVersion: v1
  kind: Node
  metadata: {name: b}
  status: {addresses: [{type: InternalIP, address: 192.168.0.2}]}
`,
      "x.yaml",
    );
    expect(s.cluster.nodes.map((n) => [n.name, n.pos?.line])).toEqual([
      ["a", 4],
      ["b", 11],
    ]);
  });

  it("leaves out pods that have ended and keeps host-network pods without an address of their own", () => {
    const s = loadScenario(
      `${NODE}apiVersion: v1
kind: Pod
metadata: {name: done}
spec: {nodeName: n1}
status: {phase: Succeeded}
---
apiVersion: v1
kind: Pod
metadata: {name: agent}
spec: {nodeName: n1, hostNetwork: true}
status: {podIP: 192.168.0.1}
`,
      "x.yaml",
    );
    expect(s.cluster.pods.map((p) => p.name)).toEqual(["agent"]);
  });

  it("leaves out pending pods that have no node or no address yet", () => {
    const pod = (name: string, spec: string, status: string): string =>
      `---\n{apiVersion: v1, kind: Pod, metadata: {name: ${name}}, spec: {${spec}}, status: {phase: Pending${status}}}\n`;
    const s = loadScenario(
      NODE.replace("---\n", "") +
        pod("unscheduled", "", "") +
        pod("starting", "nodeName: n1", "") +
        pod("init", "nodeName: n1", ", podIP: 10.0.0.5"),
      "x.yaml",
    );
    expect(s.cluster.pods.map((p) => p.name)).toEqual(["init"]);
  });

  it.each([
    ["", "x.yaml:1:1: the scenario is empty"],
    [
      "a: [\n",
      "x.yaml:2:1: YAML: Flow sequence in block collection must be sufficiently indented and end with a ]",
    ],
    ["- 1\n", "x.yaml:1:1: is not an object"],
    ["apiVersion: v1\n", "x.yaml:1:1: has no `kind`"],
    ["apiVersion: v1\nkind: Foo\n", "x.yaml:2:7: kind: unknown kind Foo (apiVersion v1)"],
    [
      "apiVersion: podpath.dev/v1\nkind: Foo\n",
      "x.yaml:2:7: kind: unknown kind Foo; podpath's own are Lab, Datapath, Network, NodeWiring, PodWiring, Host, Topology, Traffic",
    ],
    [
      "apiVersion: podpath.dev/v9\nkind: Lab\n",
      "x.yaml:1:13: apiVersion: unknown version; podpath's kinds are podpath.dev/v1",
    ],
    [
      "apiVersion: podpath.dev/v1\nkind: Datapath\nspec: {nmae: x}\n",
      "x.yaml:3:14: spec.nmae: unknown field",
    ],
    [
      "apiVersion: podpath.dev/v1\nkind: Traffic\nspec:\n  steps:\n    - ping: {from: pod/a}\n",
      "x.yaml:5:13: spec.steps[0].ping.to: is missing",
    ],
    [
      `${NODE}apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nstatus: {podIP: 10.0.0.1}\n`,
      "x.yaml:7:1: spec: pod default/p has no node (spec.nodeName)",
    ],
    [
      `${NODE}apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {nodeName: n9}\nstatus: {podIP: 10.0.0.1}\n`,
      "x.yaml:10:18: spec.nodeName: pod default/p is on node n9, which the scenario does not have",
    ],
    [
      `${NODE}apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {nodeName: n1}\nstatus: {podIP: 192.168.0.1}\n`,
      "x.yaml:11:17: status.podIP: address 192.168.0.1 is already taken by node n1",
    ],
    [
      `${NODE}apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {nodeName: n1}\nstatus: {podIP: 10.0.0.300}\n`,
      "x.yaml:11:17: status.podIP: 10.0.0.300 is not an IP address",
    ],
    [
      `${NODE}apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {addresses: [{type: InternalIP, address: 192.168.0.2}]}\n`,
      "x.yaml:9:18: metadata.name: Node n1 is already defined at line 1",
    ],
    [
      "apiVersion: podpath.dev/v1\nkind: PodWiring\nmetadata: {name: ghost}\nspec: {}\n",
      "x.yaml:1:1: PodWiring default/ghost: the scenario has no such Pod",
    ],
  ])("says in one line what is wrong and where: case %#", (text, expected) => {
    expect(errorOf(text)).toBe(expected);
  });
});
