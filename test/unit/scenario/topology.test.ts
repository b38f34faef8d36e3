import { describe, expect, it } from "vitest";
import { Lab } from "../../../src/lab.js";

const yaml = (rules = ""): string => `apiVersion: podpath.dev/v1
kind: Topology
metadata: {name: box}
spec:
  netns:
    left: {addresses: [{dev: l0, addr: 10.1.0.1/24}], routes: [{dst: default, via: 10.1.0.254}]}
    router:
      sysctl: {net/ipv4/ip_forward: 1}
      addresses: [{dev: r0, addr: 10.1.0.254/24}, {dev: r1, addr: 10.2.0.254/24}]
${rules}
    right: {addresses: [{dev: e0, addr: 10.2.0.2/24}], routes: [{dst: default, via: 10.2.0.254}]}
  links:
    - {kind: veth, ends: [{ns: left, name: l0, mac: "02:00:00:00:00:01"}, {ns: router, name: r0, mac: "02:00:00:00:00:02"}]}
    - {kind: veth, ends: [{ns: router, name: r1, mac: "02:00:00:00:00:03"}, {ns: right, name: e0, mac: "02:00:00:00:00:04"}]}
---
apiVersion: podpath.dev/v1
kind: Traffic
spec: {steps: [{ping: {from: netns/box/left, to: netns/box/right}}]}
`;

describe("kind Topology", () => {
  it("builds namespaces, devices, addresses and routes, and pings across them", () => {
    const l = Lab.fromYaml(yaml(), "box.yaml");
    expect(l.ping({ from: "netns/box/left", to: "netns/box/right" }).replies.map((r) => r.ttl)).toEqual([63]);
    expect(l.exec("netns/box/router", "ip route").out).toBe(
      "10.1.0.0/24 dev r0 proto kernel scope link src 10.1.0.254 \n10.2.0.0/24 dev r1 proto kernel scope link src 10.2.0.254 \n",
    );
    expect(l.exec("host/box", "ip netns exec left ip route").out.split("\n")[0]).toBe(
      "default via 10.1.0.254 dev l0 ",
    );
  });

  it("loads sets and rules into a namespace", () => {
    const l = Lab.fromYaml(
      yaml(`      ipset: [{name: bad, type: "hash:net", members: [10.1.0.0/24]}]
      iptables: |
        *filter
        -A FORWARD -m set --match-set bad src -j REJECT --reject-with icmp-host-prohibited
        COMMIT`),
      "box.yaml",
    );
    const r = l.ping({ from: "netns/box/left", to: "netns/box/right" });
    expect(r.errors.map((e) => [e.type, e.code, e.from])).toEqual([[3, 10, "10.1.0.254"]]);
  });

  it("tells what is wrong with its place", () => {
    expect(() => Lab.fromYaml(yaml().replace("kind: veth, ends", "kind: tun, ends"), "box.yaml")).toThrow(
      "spec.links[0].kind: must be one of veth, bridge, dummy, vxlan, geneve, ipip",
    );
    expect(() => Lab.fromYaml(yaml().replace("via: 10.1.0.254", "via: 10.9.0.1"), "box.yaml")).toThrow(
      "Topology box: route default in left: Error: Nexthop has invalid gateway.",
    );
  });
});
