import { describe, expect, it } from "vitest";
import { agentConfig } from "../../../../src/cluster/cilium/agent_config.js";
import type { DatapathModel } from "../../../../src/cluster/model.js";

function config(options: Record<string, string>, more: Partial<DatapathModel> = {}, forced = false) {
  return agentConfig(
    { name: "cilium-host-routing", profile: "1.19", kubeProxy: "none", options, ...more },
    forced,
  );
}

describe("host routing", () => {
  it.each([
    [{}, "bpf", "kube-proxy replacement and BPF masquerading are on and enable-host-legacy-routing is false"],
    [{ "enable-host-legacy-routing": "true" }, "legacy", "enable-host-legacy-routing is true"],
    [
      { "kube-proxy-replacement": "false" },
      "legacy",
      "kube-proxy-replacement is off, and BPF host routing needs it",
    ],
    [
      { "enable-bpf-masquerade": "false" },
      "legacy",
      "masquerading is done by iptables (enable-bpf-masquerade is off), and BPF host routing needs BPF masquerading",
    ],
    [{ "enable-bpf-masquerade": "false", "enable-ipv4-masquerade": "false" }, "bpf", undefined],
    [{ "enable-endpoint-routes": "true" }, "bpf", undefined],
  ] as const)("with %j is %s, and the reason is said", (options, mode, reason) => {
    const c = config({ ...options });
    expect(c.hostRouting).toBe(mode);
    if (reason !== undefined) expect(c.hostRoutingReason).toBe(reason);
  });

  it("is off in 1.11 with endpoint routes", () => {
    const c = config({ "enable-endpoint-routes": "true" }, { profile: "1.11" });
    expect([c.hostRouting, c.hostRoutingReason]).toEqual([
      "legacy",
      "enable-endpoint-routes is true, which 1.11 cannot combine with BPF host routing",
    ]);
  });
});

describe("datapath-mode", () => {
  it("is veth unless cilium-config or the datapath's name says otherwise", () => {
    expect(config({}).datapathMode).toBe("veth");
    expect(config({ "datapath-mode": "netkit-l2" }).datapathMode).toBe("netkit-l2");
    expect(config({}, { name: "cilium-netkit" }).datapathMode).toBe("netkit");
    expect(config({ "datapath-mode": "netkit-l2" }, { name: "cilium-netkit" }).datapathMode).toBe(
      "netkit-l2",
    );
  });

  it("of a chosen datapath wins over the scenario's, and the caller's over both", () => {
    const netkit = { "datapath-mode": "netkit" };
    expect(config(netkit, { name: "cilium-legacy" }, true).datapathMode).toBe("veth");
    expect(config({}, { name: "cilium-vxlan", overrides: netkit }, true).datapathMode).toBe("netkit");
  });

  it.each([
    [
      { "enable-host-legacy-routing": "true" },
      'cilium-config: datapath-mode is "netkit", which needs BPF host routing, but enable-host-legacy-routing is true',
    ],
    [
      { "kube-proxy-replacement": "false" },
      'cilium-config: datapath-mode is "netkit", which needs BPF host routing, but kube-proxy-replacement is off, and BPF host routing needs it',
    ],
    [
      { "datapath-mode": "ipvlan" },
      'cilium-config: datapath-mode is "ipvlan", but must be one of veth, netkit, netkit-l2',
    ],
  ])("is refused with %j", (options, message) => {
    expect(() => config(options, { name: "cilium-netkit" })).toThrow(message);
  });

  it("is refused in 1.11, which has veth only", () => {
    expect(() => config({}, { name: "cilium-netkit", profile: "1.11" })).toThrow(
      'cilium-config: datapath-mode is "netkit", but must be veth in release 1.11',
    );
  });
});

describe("agentConfig", () => {
  it("lets a chosen datapath win over the scenario and the caller's options win over both", () => {
    const scenario = { "routing-mode": "native", "kube-proxy-replacement": "true" };
    expect(config(scenario, { name: "cilium-vxlan" }, true).routingMode).toBe("tunnel");
    expect(config(scenario, { name: "cilium-vxlan" }, false).routingMode).toBe("native");
    const overrides = { "kube-proxy-replacement": "false" };
    const c = config({ ...scenario, ...overrides }, { name: "cilium-vxlan", overrides }, true);
    expect([c.routingMode, c.kubeProxyReplacement, c.hostRouting]).toEqual(["tunnel", false, "legacy"]);
  });

  it("reads the spellings of 1.11", () => {
    const old = {
      tunnel: "disabled",
      "native-routing-cidr": "10.0.0.0/16",
      "kube-proxy-replacement": "strict",
    };
    const c = config({ ...old, "routing-mode": "" }, { profile: "1.11" });
    expect([c.routingMode, c.nativeRoutingCidr4, c.kubeProxyReplacement]).toEqual([
      "native",
      "10.0.0.0/16",
      true,
    ]);
  });

  it.each([
    ["enable-ipv6", "maybe", 'cilium-config: enable-ipv6 is "maybe", but must be true or false'],
    ["tunnel-protocol", "gre", 'cilium-config: tunnel-protocol is "gre", but must be one of vxlan, geneve'],
    ["mtu", "5", 'cilium-config: mtu is "5", but must be a whole number from 68 to 65535'],
    ["node-port-range", "9", 'cilium-config: node-port-range is "9", but must be two ports like 30000,32767'],
    [
      "monitor-aggregation",
      "much",
      'cilium-config: monitor-aggregation is "much", but must be one of none, lowest, low, medium, maximum',
    ],
    [
      "monitor-aggregation-flags",
      "xyz",
      'cilium-config: monitor-aggregation-flags is "xyz", but must be TCP flags like syn,fin,rst',
    ],
  ])("refuses %s: %s", (key, value, message) => {
    expect(() => config({ [key]: value })).toThrow(message);
  });
});
