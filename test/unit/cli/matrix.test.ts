import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CliRun, runCli } from "../../support/cli.js";
import { twoNodes } from "../../support/two_nodes.js";

const SERVICE = `---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.1, selector: {app: b}, ports: [{port: 80, targetPort: 8080}]}
`;
/** Pod b answers a only, on 8080. */
const POLICY = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: b}
spec:
  podSelector: {matchLabels: {app: b}}
  ingress: [{from: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 8080}]}]
`;

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "podpath-matrix-"));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

function file(name: string, content: string): string {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
}

const matrix = (...args: string[]): Promise<CliRun> => runCli("matrix", ...args);
const CLUSTER = (more = ""): string => twoNodes(SERVICE + more, { "kube-proxy-replacement": "true" });

describe("podpath matrix", () => {
  it("prints a table for each port, pods and services as columns", async () => {
    const r = await matrix(file("a.yaml", CLUSTER(POLICY)), "--port", "80", "--port", "8080/tcp");
    expect(r).toEqual({
      out: `80/tcp  (X open, . closed, / open to some backends)
from           1 2 3 4
pod/default/a  X . X X
pod/default/b  X X X X
pod/default/c  X . X .

8080/tcp  (X open, . closed, / open to some backends)
from           1 2 3 4
pod/default/a  X X X .
pod/default/b  X X X .
pod/default/c  X . X .

   1  pod/default/a
   2  pod/default/b
   3  pod/default/c
   4  service/default/web

18 pairs of pods, known from 24 flows of 3 classes
`,
      err: "",
      status: 0,
    });
  });

  it("gives the same pairs as CSV and as JSON, and a page without network", async () => {
    const yaml = file("a.yaml", CLUSTER(POLICY));
    const page = join(dir, "m.html");
    const csv = (await matrix(yaml, "--port", "8080/tcp", "--csv", "--html", page)).out;
    expect(csv).toBe(`from,to,port,verdict
pod/default/a,pod/default/a,8080/tcp,open
pod/default/a,pod/default/b,8080/tcp,open
pod/default/a,pod/default/c,8080/tcp,open
pod/default/a,service/default/web,8080/tcp,closed
pod/default/b,pod/default/a,8080/tcp,open
pod/default/b,pod/default/b,8080/tcp,open
pod/default/b,pod/default/c,8080/tcp,open
pod/default/b,service/default/web,8080/tcp,closed
pod/default/c,pod/default/a,8080/tcp,open
pod/default/c,pod/default/b,8080/tcp,closed
pod/default/c,pod/default/c,8080/tcp,open
pod/default/c,service/default/web,8080/tcp,closed
`);
    const json = JSON.parse((await matrix(yaml, "--port", "8080/tcp", "--json")).out);
    expect(json).toEqual({
      scenario: "two-nodes",
      datapath: "cilium-host-routing",
      pairs: 9,
      flows: 12,
      classes: [["pod/default/a"], ["pod/default/b"], ["pod/default/c"]],
      ports: [
        {
          port: "8080/tcp",
          classes: [
            [null, "open", "open"],
            ["open", null, "open"],
            ["open", "closed", null],
          ],
          self: ["open", "open", "open"],
          services: {
            "service/default/web": {
              "pod/default/a": "closed",
              "pod/default/b": "closed",
              "pod/default/c": "closed",
            },
          },
        },
      ],
    });
    const html = readFileSync(page, "utf8");
    expect(html.match(/<td class="open"/g)?.length).toBe(8);
    expect(html.match(/<td class="closed"/g)?.length).toBe(4);
    expect(html).not.toMatch(/https?:|<script|<link/);
  });

  it("tells what policies on top would open and close, with status 1 for what was not expected", async () => {
    const yaml = file("a.yaml", CLUSTER());
    const policy = file("policy.yaml", POLICY);
    const lines = [
      "closes pod/default/a -> pod/default/b:80/tcp",
      "closes pod/default/c -> pod/default/b:80/tcp",
      "closes pod/default/c -> service/default/web:80/tcp",
    ];
    const r = await matrix(yaml, "--diff", policy);
    expect(r).toEqual({
      out: `${lines.join("\n")}\n0 opened, 3 closed, 0 changed in part\n`,
      err: "",
      status: 1,
    });
    const all = file(
      "all.txt",
      "# as reviewed\ncloses pod/default/* -> pod/default/b:80/tcp\ncloses * -> service/*\n",
    );
    expect((await matrix(yaml, "--diff", policy, "--expect", all)).status).toBe(0);
    const some = file("some.txt", `${lines[0]}\nopens * -> *\n`);
    expect(await matrix(yaml, "--diff", policy, "--expect", some)).toEqual({
      out: `${lines[0]}
${lines[1]}  (unexpected)
${lines[2]}  (unexpected)
expected but not found: opens * -> *
0 opened, 3 closed, 0 changed in part
`,
      err: "",
      status: 1,
    });
  });

  it("compares with another scenario, and finds nothing between equal ones", async () => {
    const open = file("open.yaml", CLUSTER());
    const closed = file("closed.yaml", CLUSTER(POLICY));
    expect(await matrix(closed, "--diff", open)).toEqual({
      out: `opens pod/default/a -> pod/default/b:80/tcp
opens pod/default/c -> pod/default/b:80/tcp
opens pod/default/c -> service/default/web:80/tcp
3 opened, 0 closed, 0 changed in part
`,
      err: "",
      status: 1,
    });
    expect(await matrix(open, "--diff", open)).toEqual({
      out: "0 opened, 0 closed, 0 changed in part\n",
      err: "",
      status: 0,
    });
  });

  it("names pods and services that only one side has, as changes that can be expected", async () => {
    const yaml = file("a.yaml", CLUSTER());
    const more = `---
apiVersion: v1
kind: Pod
metadata: {name: d}
spec: {nodeName: n2}
status: {podIP: 10.0.1.22}
`;
    const other = file("b.yaml", twoNodes(more, { "kube-proxy-replacement": "true" }));
    const expected = file("e.txt", "appears pod/default/d\n");
    const r = await matrix(yaml, "--diff", other, "--expect", expected);
    expect(r).toEqual({
      out: `disappears service/default/web  (unexpected)
appears pod/default/d
0 opened, 0 closed, 0 changed in part; 1 appeared, 1 disappeared
`,
      err: "",
      status: 1,
    });
  });

  it("asks dual-stack pods over both families, or over the one that a port names", async () => {
    const six = twoNodes("", { "enable-ipv6": "true" })
      .replace("podCIDR: 10.0.0.0/24", 'podCIDRs: [10.0.0.0/24, "fd00:10::/64"]')
      .replaceAll(
        /status: \{podIP: 10\.0\.0\.(\d+)\}/g,
        'status: {podIPs: [{ip: 10.0.0.$1}, {ip: "fd00:10::$1"}]}',
      );
    const yaml = file("six.yaml", six);
    const both = await matrix(yaml, "--port", "80");
    expect(both.out).toBe(`80/tcp  (X open, . closed, / open to some backends, - no address)
from           1 2 3
pod/default/a  X X X
pod/default/b  X X X
pod/default/c  X X X

80/tcp6  (X open, . closed, / open to some backends, - no address)
from           1 2 3
pod/default/a  X X -
pod/default/b  X X -
pod/default/c  - - -

   1  pod/default/a
   2  pod/default/b
   3  pod/default/c

13 pairs of pods, known from 7 flows of 2 classes
`);
    expect((await matrix(yaml, "--port", "icmp6", "--csv")).out).toBe(`from,to,port,verdict
pod/default/a,pod/default/a,icmp6,open
pod/default/a,pod/default/b,icmp6,open
pod/default/b,pod/default/a,icmp6,open
pod/default/b,pod/default/b,icmp6,open
`);
  });

  it("prints the same from one worker thread and from three", (ctx) => {
    // Worker threads load built modules only.
    const main = new URL("../../../dist/src/cli/main.js", import.meta.url).pathname;
    if (!existsSync(main.replace("main.js", "matrix_worker.js"))) return ctx.skip("the command is not built");
    const yaml = file("a.yaml", CLUSTER(POLICY));
    const run = (workers: string): string => {
      const args = [main, "matrix", yaml, "--port", "80", "--port", "icmp", "--csv", "--workers", workers];
      const r = spawnSync(process.execPath, args);
      expect({ status: r.status, err: String(r.stderr) }).toEqual({ status: 0, err: "" });
      return String(r.stdout);
    };
    const one = run("1");
    expect(one.split("\n").length).toBe(26);
    expect(run("3")).toBe(one);
    const twice = file("b.yaml", CLUSTER().replace("endpointId: 102", "endpointId: 101"));
    const failed = spawnSync(process.execPath, [main, "matrix", twice, "--workers", "2"]);
    expect(String(failed.stderr)).toMatch(
      /^podpath: .*b\.yaml:\d+:1: endpoint id 101 of pod default\/b is taken on node n1\n$/,
    );
    expect(failed.status).toBe(2);
  });

  it("refuses ports that are none", async () => {
    expect(await matrix("--port", "80/sctp")).toEqual({
      out: "",
      err: "podpath: --port 80/sctp: write it like 80/tcp, 53/udp or icmp\n",
      status: 2,
    });
  });
});
