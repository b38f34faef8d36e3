import { describe, expect, it } from "vitest";
import { flannelRules } from "../../../src/cluster/flannel/plane.js";
import { capture } from "../../support/capture.js";
import { twoNodeLab } from "../../support/two_nodes.js";

const lab = (more = "") => twoNodeLab({ datapath: "flannel-host-gw" }, more);

describe("flannel host-gw", () => {
  it("gives the node cni0 with the first address of its pod CIDR and a route to the other node's pods", () => {
    const l = lab();
    expect(l.exec("node/n1", "ip route").out.split("\n")).toEqual([
      "default via 192.168.0.1 dev eth0 ",
      "10.0.0.0/24 dev cni0 proto kernel scope link src 10.0.0.1 ",
      "10.0.1.0/24 via 192.168.0.12 dev eth0 ",
      "192.168.0.0/24 dev eth0 proto kernel scope link src 192.168.0.11 ",
      "",
    ]);
    expect(l.exec("pod/a", "ip route").out.split("\n")).toEqual([
      "default via 10.0.0.1 dev eth0 ",
      "10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.11 ",
      "10.0.0.0/16 via 10.0.0.1 dev eth0 ",
      "",
    ]);
    const bridge = l.exec("node/n1", "brctl show").out.split("\n");
    expect(bridge.slice(1, -1).map((x) => x.split("\t").at(-1))).toEqual(
      ["a", "b"].map((p) => l.cluster.pods.get(`default/${p}`)!.host.name).sort(),
    );
  });

  it("bridges between pods of a node: they see each other's MACs and no hop", () => {
    const l = lab();
    const b = capture(l, "pod/b", "eth0");
    expect(l.ping({ from: "pod/a", to: "pod/b", id: 5 }).replies[0]!.ttl).toBe(64);
    expect(b.lines()).toEqual([
      "02:00:00:00:0a:01 > ff:ff:ff:ff:ff:ff, ethertype ARP (0x0806), length 42: Request who-has 10.0.0.12 tell 10.0.0.11, length 28",
      "02:00:00:00:0b:01 > 02:00:00:00:0a:01, ethertype ARP (0x0806), length 42: Reply 10.0.0.12 is-at 02:00:00:00:0b:01, length 28",
      "ttl 64 02:00:00:00:0a:01 > 02:00:00:00:0b:01, ethertype IPv4 (0x0800), length 98: 10.0.0.11 > 10.0.0.12: ICMP echo request, id 5, seq 1, length 64",
      "ttl 64 02:00:00:00:0b:01 > 02:00:00:00:0a:01, ethertype IPv4 (0x0800), length 98: 10.0.0.12 > 10.0.0.11: ICMP echo reply, id 5, seq 1, length 64",
    ]);
  });

  it("writes flanneld's masquerade rules", () => {
    expect(flannelRules("10.244.1.0/24", "10.244.0.0/16").split("\n").slice(3, 9)).toEqual([
      '-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN',
      '-A FLANNEL-POSTRTG -s 10.244.1.0/24 -d 10.244.0.0/16 -m comment --comment "flanneld masq" -j RETURN',
      '-A FLANNEL-POSTRTG -s 10.244.0.0/16 -d 10.244.1.0/24 -m comment --comment "flanneld masq" -j RETURN',
      '-A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.1.0/24 -m comment --comment "flanneld masq" -j RETURN',
      '-A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully',
      '-A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.0.0/16 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully',
    ]);
  });

  it("refuses a pod whose address is not in its node's pod CIDR, with its place", () => {
    expect(() =>
      lab(`---
apiVersion: v1
kind: Pod
metadata: {name: d}
spec: {nodeName: n1}
status: {podIP: 10.0.9.9}
`),
    ).toThrow("pod default/d has 10.0.9.9, which is not in pod CIDR 10.0.0.0/24 of its node n1");
  });
});
