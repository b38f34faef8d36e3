// What a newcomer gets wrong: each command line ends with status 2, nothing on standard output, and one line that says
// what to do.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EMBEDDED } from "../../../src/scenario/embedded/index.js";
import { runCli } from "../../support/cli.js";

const NODE = "node-1.whale.com";
const NODES = "node-1.whale.com, node-2.whale.com";
const SCENARIOS = [...EMBEDDED.keys()].join(", ");
const PODS = "default/cni-test-777bbd57c8-2f986, default/cni-test-777bbd57c8-d7wlv";
const POD = "pod/cni-test-777bbd57c8-2f986";
const FLOW = "write it like 'pod/a -> pod/b:80/tcp' or 'pod/a -> pod/b/icmp'";
const STATE =
  "bpf ct list global, bpf endpoint list, bpf ipcache list, bpf policy get, bpf lb list, bpf nat list, bpf metrics list, " +
  "endpoint list, identity list, service list, map list, map get, status";

let dir = "";
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "podpath-errors-"));
  writeFileSync(join(dir, "empty.yaml"), "");
  const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nstatus: {podIP: 10.0.0}\n";
  writeFileSync(join(dir, "pod.yaml"), pod);
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

/** Command lines (DIR is the test's folder) and what they say behind `podpath: `. */
const CASES: readonly [string[], string][] = [
  [["monitr"], "unknown command 'monitr'; did you mean monitor?; podpath --help says more"],
  [["help", "monitr"], "unknown command 'monitr'; did you mean monitor?; podpath --help says more"],
  [["--bogus"], "unknown option '--bogus'; podpath --help says more"],
  [["monitor", "--bogus"], "unknown option '--bogus'; podpath monitor --help says more"],
  [
    ["monitor", "a", "b"],
    "too many arguments for 'monitor'. Expected 1 argument but got 2; podpath monitor --help says more",
  ],
  [["monitor", "--seed"], "option '--seed <n>' argument missing; podpath monitor --help says more"],
  [
    ["monitor", "--seed", "x"],
    "option '--seed <n>' argument 'x' is invalid. Give a whole number from 0 to 4294967295; podpath monitor --help says more",
  ],
  [["monitor", "nosuch"], `no embedded scenario and no file is called nosuch; embedded are: ${SCENARIOS}`],
  [["monitor", "DIR/empty.yaml"], "DIR/empty.yaml:1:1: the scenario is empty"],
  [["monitor", "DIR"], "cannot read DIR: it is a folder"],
  [["decode", "DIR"], "cannot read DIR: it is a folder"],
  [["matrix", "--diff", "DIR"], "cannot read DIR: it is a folder"],
  [["matrix", "--diff", "DIR/empty.yaml", "--expect", "DIR"], "cannot read DIR: it is a folder"],
  // Where its own file has it, though it is read behind the scenario.
  [["matrix", "--diff", "DIR/pod.yaml"], "DIR/pod.yaml:4:17: status.podIP: 10.0.0 is not an IP address"],
  [
    ["monitor", "calico-kind-ipip", "--pcap", "DIR/x.pcap"],
    "node kind-control-plane runs calico-ipip, which has no monitor",
  ],
  [["monitor", "--node", "all", "--node", "x"], `the scenario has no node x; its nodes are ${NODES}`],
  [["monitor", "--set", "x"], "--set x: give KEY=VALUE, such as enable-endpoint-routes=true"],
  [
    ["monitor", "--set", "enable-endpoint-route=true"],
    "--set enable-endpoint-route=true: cilium-host-routing reads no option enable-endpoint-route; did you mean enable-endpoint-routes?; " +
      "podpath schema --options lists them",
  ],
  [
    ["explain", "--set", "kubeProxyReplacment=false"],
    "--set kubeProxyReplacment=false: cilium-host-routing reads no option kubeProxyReplacment; did you mean kube-proxy-replacement?; " +
      "podpath schema --options lists them",
  ],
  [
    ["cilium", NODE, "status", "--set", "endpointRoutes=true"],
    "--set endpointRoutes=true: cilium-host-routing reads no option endpointRoutes; did you mean enable-endpoint-routes?; " +
      "podpath schema --options lists them",
  ],
  [
    ["serve", "--monitor-socket", "DIR/s.sock", "--node", NODE, "--set", "ipip-mtu=1400"],
    "--set ipip-mtu=1400: cilium-host-routing reads no option ipip-mtu; calico-ipip does; podpath schema --options lists them",
  ],
  [
    ["matrix", "--datapath", "calico-ipip", "--set", "enable-hubble=true"],
    "--set enable-hubble=true: calico-ipip reads no option enable-hubble; podpath does not model it; " +
      "podpath schema --options lists them",
  ],
  [
    ["compare", "--datapath", "cilium-legacy", "--datapath", "calico-ipip", "--set", "vxlan-mtv=1400"],
    "--set vxlan-mtv=1400: cilium-legacy and calico-ipip read no option vxlan-mtv; did you mean vxlan-mtu?; " +
      "podpath schema --options lists them",
  ],
  [
    ["matrix", "--datapath", "calico-ipip", "--set", "ipip-mtu=large"],
    'options: ipip-mtu is "large", but must be a whole number from 68 to 65535',
  ],
  [["monitor", "--node", "x"], `the scenario has no node x; its nodes are ${NODES}`],
  [
    ["monitor", "--from", "x"],
    'invalid argument "x" for "--from" flag: strconv.ParseUint: parsing "x": invalid syntax',
  ],
  [
    ["monitor", "--pcap", "DIR/none/x"],
    "cannot write DIR/none/x: ENOENT: no such file or directory, open 'DIR/none/x'",
  ],
  [["serve"], "required option '--monitor-socket <path>' not specified; podpath serve --help says more"],
  [
    ["serve", "--monitor-socket", "DIR/none/s.sock", "--node", NODE],
    "cannot listen on DIR/none/s.sock: there is no folder DIR/none",
  ],
  [
    ["serve", "--monitor-socket", `/${"s".repeat(107)}`, "--node", NODE],
    `cannot listen on /${"s".repeat(107)}: a unix socket's path has at most 107 bytes`,
  ],
  [
    ["serve", "--monitor-socket", "DIR/s.sock", "--input", "DIR/none"],
    "cannot read DIR/none: ENOENT: no such file or directory, access 'DIR/none'",
  ],
  [
    ["serve", "--monitor-socket", "DIR/s.sock", "--profile", "2"],
    "option '--profile <release>' argument '2' is invalid. Allowed choices are 1.19, 1.11; podpath serve --help says more",
  ],
  [["cilium"], "missing required argument 'node'; podpath cilium --help says more"],
  [["cilium", NODE], "missing required argument 'command'; podpath cilium --help says more"],
  [["cilium", NODE, "bogus"], `unknown command bogus; there are ${STATE}`],
  [["cilium", NODE, "bpf", "ct"], "unknown command bpf ct; there is bpf ct list global"],
  [["cilium", NODE, "map"], "unknown command map; there are map list, map get"],
  [["cilium", NODE, "status", "all"], "status does not take all"],
  [["cilium", NODE, "map", "get"], "map get: give the name of a map; map list has them all"],
  [["cilium", NODE, "map", "get", "x", "-o", "json"], `node ${NODE} has no map x; map list has them all`],
  [["cilium", NODE, "bpf", "policy", "get"], "bpf policy get: give an endpoint id, or --all"],
  [
    ["cilium", NODE, "bpf", "policy", "get", "9", "-o", "json"],
    `node ${NODE} has no endpoint 9; endpoint list has them all`,
  ],
  [["cilium", "x", "status"], `the scenario has no node x; its nodes are ${NODES}`],
  [["compare", "--flow", "x"], `--flow "x": there is no ->; ${FLOW}`],
  [["compare", "--flow", `${POD} -> pod/x:80/tcp`], `there is no pod x; there are ${PODS}`],
  [
    ["compare", "--flow", "pod/a -> pod/b:80/foo"],
    `--flow "pod/a -> pod/b:80/foo": protocol "foo" is not icmp, udp or tcp; ${FLOW}`,
  ],
  [
    ["compare", "--datapath", "cilium-legacy"],
    "give --datapath at least twice: there is nothing to compare with",
  ],
  [
    ["compare", "calico-wrong-tunnel-route"],
    "calico-wrong-tunnel-route:45:7: with cilium-host-routing: setup of node/az3-k8s-13: ip route del 10.122.17.64/26: " +
      "RTNETLINK answers: No such process",
  ],
  [["explain", "--flow", `${POD} -> service/x:80`], "there is no service x; there are none"],
  [["matrix", "--port", "x"], "--port x: write it like 80/tcp, 53/udp or icmp"],
  [["bench", "--model-only", "--only", "nosuch"], '--only "nosuch": no case has that in its name'],
  [["completions"], "missing required argument 'shell'; podpath completions --help says more"],
  [["validate"], "missing required argument 'file'; podpath validate --help says more"],
  [["init", "DIR/empty.yaml"], "DIR/empty.yaml exists already; name another file, or remove it"],
  [["conformance"], "missing required argument 'kind'; podpath conformance --help says more"],
  [
    ["conformance", "x", "y"],
    "command-argument value 'x' is invalid for argument 'kind'. Allowed choices are monitor, bpf, policy, kernel; " +
      "podpath conformance --help says more",
  ],
  [["conformance", "bpf", "DIR/none"], "cannot read DIR/none"],
];

describe("a command line that is wrong", () => {
  it.each(CASES)("podpath %j", async (args, message) => {
    const r = await runCli(...args.map((a) => a.replace("DIR", dir)));
    expect({ ...r, err: r.err.replaceAll(dir, "DIR") }).toEqual({
      out: "",
      err: `podpath: ${message}\n`,
      status: 2,
    });
  });

  it("conformance says that it found nothing, instead of passing", async () => {
    expect(await runCli("conformance", "kernel", dir)).toEqual({
      out: "0 passed, 0 failed\n",
      err: `podpath: there are no kernel vectors in ${dir}\n`,
      status: 2,
    });
  });
});
