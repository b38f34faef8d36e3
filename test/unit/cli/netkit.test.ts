// Pods on netkit, as the commands show and refuse it.
import { describe, expect, it } from "vitest";
import { runCli } from "../../support/cli.js";

const SCENARIO = "cilium-native-routing";
const NODE = "node-1.whale.com";
const REASON = "kube-proxy replacement and BPF masquerading are on and enable-host-legacy-routing is false";

describe("cilium status", () => {
  it("names the kind of the pods' devices", async () => {
    const status = (...args: string[]) => runCli("cilium", ...args, NODE, "status");
    expect(await status("--datapath", "cilium-netkit")).toEqual({
      status: 0,
      out: `Host Routing:            BPF\nHost Routing reason:     ${REASON}\nDevice Mode:             netkit\n`,
      err: "",
    });
    const l2 = await status("--set", "datapath-mode=netkit-l2", "-o", "json");
    expect(JSON.parse(l2.out)).toEqual({ hostRouting: "bpf", reason: REASON, deviceMode: "netkit-l2" });
    expect(JSON.parse((await status("-o", "json")).out)).toMatchObject({ deviceMode: "veth" });
  });
});

describe("bench", () => {
  it("says that netkit's transmissions were not measured, where netkit is compared", async () => {
    const note =
      "netkit was not measured: its transmissions weigh as much as veth's, so (b) does not rank the two\n";
    const bench = (datapath: string) =>
      runCli("bench", "--model-only", "--only", "same node, udp rr, new", "--datapath", datapath);
    expect((await bench("cilium-netkit")).out.split("\n")).toContain(note.trim());
    expect((await bench("cilium-host-routing")).out.split("\n")).not.toContain(note.trim());
  });
});

describe("a cluster that cannot have netkit", () => {
  it.each([
    [
      ["--set", "enable-host-legacy-routing=true"],
      'datapath-mode is "netkit", which needs BPF host routing, but enable-host-legacy-routing is true',
    ],
    [
      ["--set", "datapath-mode=macvlan"],
      'datapath-mode is "macvlan", but must be one of veth, netkit, netkit-l2',
    ],
  ])("is refused with %j in one line and status 2", async (flags, why) => {
    const run = await runCli("explain", SCENARIO, "--datapath", "cilium-netkit", ...flags);
    expect(run).toEqual({ status: 2, out: "", err: `podpath: cilium-config: ${why}\n` });
  });
});
