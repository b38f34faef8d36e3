// Seed 000 (Calico IPIP, two pods of one node): the published route table, interfaces and the four captures.
import { describe, expect, it } from "vitest";
import { Lab } from "../../src/lab.js";
import { EMBEDDED } from "../../src/scenario/embedded/index.js";
import { capture } from "../support/capture.js";

const POD1 = "pod/cni-test-777bbd57c8-4lnwt";
const POD2 = "pod/cni-test-777bbd57c8-8zgs9";
const NODE1 = "node/node1.whale.com";

const lab = (): Lab => Lab.fromYaml(EMBEDDED.get("calico-ipip-same-node")!, "calico-ipip-same-node");

/** Blanks squeezed, as in the published copy. */
const squeezed = (text: string): string[] =>
  text
    .trimEnd()
    .split("\n")
    .map((l) => l.replace(/\s+/g, " ").trim());

describe("seed 000: what the published commands print", () => {
  it("route -n on node1 shows the published table: block as blackhole, pods as host routes, other blocks by tunl0", () => {
    expect(squeezed(lab().exec(NODE1, "route -n").out)).toEqual([
      "Kernel IP routing table",
      "Destination Gateway Genmask Flags Metric Ref Use Iface",
      "0.0.0.0 192.168.0.1 0.0.0.0 UG 100 0 0 ens33",
      "10.244.42.64 0.0.0.0 255.255.255.192 U 0 0 0 *",
      "10.244.42.65 0.0.0.0 255.255.255.255 UH 0 0 0 cali59330ed5cb6",
      "10.244.42.66 0.0.0.0 255.255.255.255 UH 0 0 0 cali072e3706f4d",
      "10.244.103.64 192.168.0.82 255.255.255.192 UG 0 0 0 tunl0",
      "10.244.152.128 192.168.0.80 255.255.255.192 UG 0 0 0 tunl0",
      "172.17.0.0 0.0.0.0 255.255.0.0 U 0 0 0 docker0",
      "192.168.0.0 0.0.0.0 255.255.255.0 U 100 0 0 ens33",
    ]);
  });

  it("both pods have only the default route by 169.254.1.1, which is on the link", () => {
    const l = lab();
    for (const pod of [POD1, POD2])
      expect(squeezed(l.exec(pod, "route -n").out)).toEqual([
        "Kernel IP routing table",
        "Destination Gateway Genmask Flags Metric Ref Use Iface",
        "0.0.0.0 169.254.1.1 0.0.0.0 UG 0 0 0 eth0",
        "169.254.1.1 0.0.0.0 255.255.255.255 UH 0 0 0 eth0",
      ]);
  });

  it("peer_ifindex in the pods leads to the published interfaces 7 and 8 of the node, MTU 1480", () => {
    const l = lab();
    expect(l.exec(POD1, "ethtool -S eth0").out.split("\n")[1]).toBe("     peer_ifindex: 7");
    expect(l.exec(POD2, "ethtool -S eth0").out.split("\n")[1]).toBe("     peer_ifindex: 8");
    const head = (dev: string): string => l.exec(NODE1, `ip link show ${dev}`).out.split("\n")[0]!;
    expect(head("cali59330ed5cb6")).toBe(
      "7: cali59330ed5cb6@if4: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1480 qdisc noqueue state UP mode DEFAULT group default qlen 1000",
    );
    expect(head("cali072e3706f4d")).toBe(
      "8: cali072e3706f4d@if4: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1480 qdisc noqueue state UP mode DEFAULT group default qlen 1000",
    );
  });

  it("a pod has its /32, the published MAC and MTU 1480", () => {
    const l = lab();
    expect(l.exec(POD1, "ip addr show eth0").out).toBe(
      [
        "4: eth0@if7: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1480 qdisc noqueue state UP group default qlen 1000",
        "    link/ether d2:2f:85:72:cc:97 brd ff:ff:ff:ff:ff:ff link-netns node1.whale.com",
        "    inet 10.244.42.65/32 scope global eth0",
        "       valid_lft forever preferred_lft forever",
        "",
      ].join("\n"),
    );
    expect(l.exec(POD2, "ip link show eth0").out.split("\n")[1]).toBe(
      "    link/ether 56:d8:ac:4f:02:93 brd ff:ff:ff:ff:ff:ff link-netns node1.whale.com",
    );
  });
});

describe("seed 000: the four captures of one ping", () => {
  it("shows proxy ARP for 169.254.1.1, ee:ee:ee:ee:ee:ee as the node's MAC and one hop less on the second pod's side", () => {
    const l = lab();
    const pod1 = [capture(l, POD1, "eth0"), capture(l, NODE1, "cali59330ed5cb6")];
    const pod2 = [capture(l, POD2, "eth0"), capture(l, NODE1, "cali072e3706f4d")];
    const uplink = capture(l, NODE1, "ens33");
    expect(l.ping({ from: POD1, to: POD2, id: 7 }).replies.map((r) => r.ttl)).toEqual([63]);
    const echo = (src: string, dst: string, kind: string): string =>
      `ethertype IPv4 (0x0800), length 98: ${src} > ${dst}: ICMP echo ${kind}, id 7, seq 1, length 64`;
    const expected1 = [
      "d2:2f:85:72:cc:97 > ff:ff:ff:ff:ff:ff, ethertype ARP (0x0806), length 42: Request who-has 169.254.1.1 tell 10.244.42.65, length 28",
      "ee:ee:ee:ee:ee:ee > d2:2f:85:72:cc:97, ethertype ARP (0x0806), length 42: Reply 169.254.1.1 is-at ee:ee:ee:ee:ee:ee, length 28",
      `ttl 64 d2:2f:85:72:cc:97 > ee:ee:ee:ee:ee:ee, ${echo("10.244.42.65", "10.244.42.66", "request")}`,
      `ttl 63 ee:ee:ee:ee:ee:ee > d2:2f:85:72:cc:97, ${echo("10.244.42.66", "10.244.42.65", "reply")}`,
    ];
    const expected2 = [
      "ee:ee:ee:ee:ee:ee > ff:ff:ff:ff:ff:ff, ethertype ARP (0x0806), length 42: Request who-has 10.244.42.66 tell 192.168.0.81, length 28",
      "56:d8:ac:4f:02:93 > ee:ee:ee:ee:ee:ee, ethertype ARP (0x0806), length 42: Reply 10.244.42.66 is-at 56:d8:ac:4f:02:93, length 28",
      `ttl 63 ee:ee:ee:ee:ee:ee > 56:d8:ac:4f:02:93, ${echo("10.244.42.65", "10.244.42.66", "request")}`,
      "56:d8:ac:4f:02:93 > ff:ff:ff:ff:ff:ff, ethertype ARP (0x0806), length 42: Request who-has 169.254.1.1 tell 10.244.42.66, length 28",
      "ee:ee:ee:ee:ee:ee > 56:d8:ac:4f:02:93, ethertype ARP (0x0806), length 42: Reply 169.254.1.1 is-at ee:ee:ee:ee:ee:ee, length 28",
      `ttl 64 56:d8:ac:4f:02:93 > ee:ee:ee:ee:ee:ee, ${echo("10.244.42.66", "10.244.42.65", "reply")}`,
    ];
    for (const c of pod1) expect(c.lines()).toEqual(expected1);
    for (const c of pod2) expect(c.lines()).toEqual(expected2);
    expect(uplink.lines()).toEqual([]);
  });
});
