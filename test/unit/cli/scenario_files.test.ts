// podpath validate, init and schema: the commands around scenario files.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import * as z from "zod";
import { Lab } from "../../../src/lab.js";
import { EMBEDDED } from "../../../src/scenario/embedded/index.js";
import { type CliRun, runCli } from "../../support/cli.js";
import { twoNodes } from "../../support/two_nodes.js";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "podpath-files-"));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

function file(name: string, content: string): string {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
}

/** Runs podpath with the folder's name left out of what it prints. */
async function podpath(...args: string[]): Promise<CliRun> {
  const r = await runCli(...args);
  return { ...r, out: r.out.replaceAll(`${dir}/`, ""), err: r.err.replaceAll(`${dir}/`, "") };
}

describe("podpath validate", () => {
  it("accepts every embedded scenario with exit status 0", async () => {
    const names = [...EMBEDDED.keys()];
    expect(await podpath("validate", ...names)).toEqual({
      out: names.map((n) => `${n}: ok\n`).join(""),
      err: "",
      status: 0,
    });
  });

  it("prints every mistake of a file on a line of its own, in the order of the file, and exits with 2", async () => {
    const bad = file(
      "bad.yaml",
      `apiVersion: podpath.dev/v1
kind: Lab
metadata: {name: bad}
spec: {sed: 1, monitr: [a], seed: -1}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.0.0.0/240}
status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: a}
spec: {nodeName: n1}
status: {podIP: 10.0.0.256}
---
apiVersion: v1
kind: Pod
metadata: {name: b}
spec: {nodeName: n2}
status: {podIP: 10.0.0.2}
---
apiVersion: podpath.dev/v1
kind: PodWiring
metadata: {name: nobody}
spec: {mtu: 10}
---
apiVersion: podpath.dev/v1
kind: PodWiring
metadata: {name: c}
spec: {}
`,
    );
    expect(await podpath("validate", bad)).toEqual({
      out: "",
      err: `bad.yaml:4:13: spec.sed: unknown field
bad.yaml:4:24: spec.monitr: unknown field
bad.yaml:4:35: spec.seed: must be at least 0
bad.yaml:9:17: spec.podCIDR: 10.0.0.0/240 is not a subnet like 10.0.0.0/24
bad.yaml:16:17: status.podIP: 10.0.0.256 is not an IP address
bad.yaml:21:18: spec.nodeName: pod default/b is on node n2, which the scenario does not have
bad.yaml:27:13: spec.mtu: must be at least 68
bad.yaml:29:1: PodWiring default/c: the scenario has no such Pod
`,
      status: 2,
    });
  });

  it("refuses a Service of a wrong shape and a device index that no machine reaches", async () => {
    const bad = file(
      "service.yaml",
      `apiVersion: v1
kind: Service
metadata: {name: s}
spec: {clusterIP: 10.96.0.1, selector: {app: {}}, ports: [{port: 0}, {port: 80, protocol: ICMP}]}
---
apiVersion: v1
kind: Service
metadata: {name: t}
spec: {ports: true}
---
apiVersion: podpath.dev/v1
kind: PodWiring
metadata: {name: p}
spec: {hostIfindex: 1000000000}
`,
    );
    expect(await podpath("validate", bad)).toEqual({
      out: "",
      err: `service.yaml:4:46: spec.selector.app: must be a string
service.yaml:4:66: spec.ports[0].port: must be at least 1
service.yaml:4:91: spec.ports[1].protocol: must be one of TCP, UDP, SCTP
service.yaml:9:15: spec.ports: must be a list
service.yaml:14:21: spec.hostIfindex: must be at most 1048575
`,
      status: 2,
    });
  });

  it("names a syntax error, a missing file, a cluster that cannot be built and an end that nobody is", async () => {
    const syntax = file("syntax.yaml", "kind: [\n");
    const twice = file("twice.yaml", twoNodes().replace("endpointId: 102", "endpointId: 101"));
    const traffic = file(
      "traffic.yaml",
      twoNodes(`---
apiVersion: podpath.dev/v1
kind: Traffic
spec: {steps: [{wait: 1s}, {ping: {from: pod/a, to: pod/z}}]}
`),
    );
    const trafficLine =
      readFileSync(traffic, "utf8")
        .split("\n")
        .findIndex((l) => l.includes("pod/z")) + 1;
    const good = file("good.yaml", twoNodes());
    const r = await podpath("validate", syntax, join(dir, "none.yaml"), twice, traffic, good);
    expect(r.out).toBe("good.yaml: ok\n");
    expect(r.status).toBe(2);
    const lines = r.err.trimEnd().split("\n");
    expect(lines[0]).toMatch(/^syntax\.yaml:2:1: YAML: /);
    expect(lines[1]).toBe(
      `no embedded scenario and no file is called none.yaml; embedded are: ${[...EMBEDDED.keys()].join(", ")}`,
    );
    expect(lines[2]).toMatch(/^twice\.yaml:\d+:1: endpoint id 101 of pod default\/b is taken on node n1$/);
    expect(lines.slice(3)).toEqual([
      `traffic.yaml:${trafficLine}:53: ping.to: there is no pod z; there are default/a, default/b, default/c`,
    ]);
  });

  it("stops a run at a step whose end nobody is, with its line, and at an interval that is no duration", async () => {
    const steps = (text: string): string =>
      twoNodes(`---
apiVersion: podpath.dev/v1
kind: Traffic
spec:
  steps:
    - ${text}
`);
    const nobody = file("nobody.yaml", steps("udp: {from: pod/z, to: pod/a, port: 53}"));
    const line = steps("").split("\n").length - 1;
    const message = `nobody.yaml:${line}:19: udp.from: there is no pod z; there are default/a, default/b, default/c\n`;
    for (const command of ["monitor", "explain"])
      expect((await podpath(command, nobody)).err.replace(/^(Listening|Press) .*\n/gm, "")).toBe(
        `podpath: ${message}`,
      );
    const interval = file("interval.yaml", steps("ping: {from: pod/b, to: pod/a, interval: soon}"));
    expect((await podpath("validate", interval)).err).toBe(
      `interval.yaml:${line}:48: spec.steps[0].ping.interval: is not a duration like 5s or 100ms\n`,
    );
  });

  it("accepts a real cluster's ConfigMap and notes what of it is not read, a slip of the pen with its line", async () => {
    const config = `---
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data:
  enable-hubble: "true"
  enable-endpoint-route: "true"
  ipam: kubernetes
  hubble-listen-address: ":4244"
  bpf-map-dynamic-size-ratio: "0.0025"
  identity-allocation-mode: crd
  cgroup-root: /run/cilium/cgroupv2
`;
    const real = file("real.yaml", twoNodes(config));
    const at = twoNodes(config).split("\n").indexOf('  enable-endpoint-route: "true"') + 1;
    const run = await podpath("validate", real);
    expect({ ...run, out: run.out.split("\n") }).toEqual({
      out: [
        "real.yaml: ok",
        `real.yaml:${at}:26: note: nothing reads enable-endpoint-route; did you mean enable-endpoint-routes?`,
        "real.yaml: note: options that cilium-host-routing does not read, and that change nothing: enable-hubble, ipam, " +
          "hubble-listen-address, bpf-map-dynamic-size-ratio, identity-allocation-mode, and 1 more",
        "",
      ],
      err: "",
      status: 0,
    });
    expect((await podpath("validate", "-q", real)).out).toBe("");
  });

  it("notes a policy that the agent refuses, with the place and the agent's words", async () => {
    const policy = `---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: wrong}
spec: {endpointSelector: {}, ingress: []}
`;
    const run = await podpath("validate", file("policy.yaml", twoNodes(policy)));
    const line = twoNodes().split("\n").length + 4;
    expect(run).toEqual({
      out:
        `policy.yaml: ok\npolicy.yaml:${line}:7: note: the agent refuses CiliumNetworkPolicy wrong: ` +
        "Invalid CiliumNetworkPolicy spec: rule must have at least one of Ingress, IngressDeny, Egress, EgressDeny\n",
      err: "",
      status: 0,
    });
  });

  it("says where an option with a wrong value stands: in the ConfigMap, or in the Datapath that wins over it", async () => {
    const documents = (option: string): string => `---
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config}
data: {ipv4-native-routing-cidr: 10.0.0.0/99}
---
apiVersion: podpath.dev/v1
kind: Datapath
spec: {options: {${option}}}
`;
    const line = twoNodes().split("\n").length;
    const wrong = (option: string): Promise<CliRun> =>
      podpath("validate", file("wrong.yaml", twoNodes(documents(option))));
    expect((await wrong("enable-icmp-rules: maybe, ipv4-native-routing-cidr: 10.0.0.0/8")).err).toBe(
      `wrong.yaml:${line + 8}:37: cilium-config: enable-icmp-rules is "maybe", but must be true or false\n`,
    );
    expect((await wrong("enable-icmp-rules: true")).err).toBe(
      `wrong.yaml:${line + 4}:34: cilium-config: ipv4-native-routing-cidr is "10.0.0.0/99", but must be a subnet like 10.0.0.0/8\n`,
    );
  });

  it("prints nothing for good files with --quiet", async () => {
    expect(await podpath("validate", "-q", file("good.yaml", twoNodes()))).toEqual({
      out: "",
      err: "",
      status: 0,
    });
  });
});

describe("podpath monitor of a scenario without traffic", () => {
  it("says why it prints nothing", async () => {
    const run = await podpath("monitor", file("quiet.yaml", twoNodes()));
    expect({ ...run, err: run.err.split("\n").slice(2) }).toEqual({
      out: "",
      err: ["podpath: the scenario sends nothing: a Traffic document says what to send", ""],
      status: 0,
    });
  });
});

describe("podpath init", () => {
  it("writes a scenario that validates, whose pods talk as its comments say, and refuses to overwrite it", async () => {
    const path = join(dir, "new.yaml");
    expect(await podpath("init", path)).toEqual({
      out: "wrote new.yaml; next:\n  podpath monitor -v new.yaml\n",
      err: "",
      status: 0,
    });
    const text = readFileSync(path, "utf8");
    expect((await podpath("validate", path)).out).toBe("new.yaml: ok\n");
    const lab = Lab.fromYaml(text, "new.yaml");
    expect(lab.tcp({ from: "pod/client", to: "pod/web-1", port: 8080 }).connected).toBe(true);
    expect(lab.tcp({ from: "pod/client", to: "pod/web-2", port: 8080 }).connected).toBe(true);
    expect(lab.tcp({ from: "pod/client", to: "service/web", port: 80 }).connected).toBe(true);
    expect(lab.ping({ from: "pod/client", to: "pod/web-2" }).received).toBe(0);
    expect(lab.tcp({ from: "pod/web-2", to: "pod/web-1", port: 8080 }).connected).toBe(false);
    expect(await podpath("init", path)).toEqual({
      out: "",
      err: "podpath: new.yaml exists already; name another file, or remove it\n",
      status: 2,
    });
    expect(readFileSync(path, "utf8")).toBe(text);
    expect((await podpath("init", "-")).out).toBe(text);
  });
});

describe("podpath schema", () => {
  /** A document against the schema: its branch is chosen as `if` says, the branch checked by zod's own reader. */
  function check(schema: Record<string, unknown>, document: { apiVersion: string; kind: string }): boolean {
    const all = schema.allOf as {
      if: { properties: Record<string, { const?: string }> };
      then: { $ref?: string };
    }[];
    return all.every((b) => {
      const { kind, apiVersion } = b.if.properties;
      const name = b.then.$ref?.replace("#/$defs/", "");
      if (name === undefined || kind?.const !== document.kind) return true;
      if (apiVersion !== undefined && apiVersion.const !== document.apiVersion) return true;
      const defs = schema.$defs as Record<string, Parameters<typeof z.fromJSONSchema>[0]>;
      return z.fromJSONSchema(defs[name]!).safeParse(document).success;
    });
  }

  it("accepts each document of every embedded scenario and of the starter", async () => {
    const schema = JSON.parse((await podpath("schema")).out);
    const texts = [...EMBEDDED.values(), (await podpath("init", "-")).out];
    for (const text of texts) {
      for (const d of parseAllDocuments(text)) {
        const o = d.toJS();
        if (o !== null)
          expect([o.kind, o.metadata?.name, check(schema, o)]).toEqual([o.kind, o.metadata?.name, true]);
      }
    }
  });

  it("refuses unknown fields in podpath's own kinds, leaves Kubernetes kinds open", async () => {
    const schema = JSON.parse((await podpath("schema")).out);
    const own = { apiVersion: "podpath.dev/v1", kind: "Lab", metadata: { name: "x" } };
    expect(check(schema, own)).toBe(true);
    expect(check(schema, { ...own, spec: { sed: 1 } } as typeof own)).toBe(false);
    expect(check(schema, { ...own, metadata: {} } as typeof own)).toBe(false);
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "x" } };
    expect(check(schema, { ...pod, spec: { dnsPolicy: "Default" } } as typeof pod)).toBe(true);
    expect(check(schema, { ...pod, spec: { hostNetwork: "yes" } } as typeof pod)).toBe(false);
  });
});
