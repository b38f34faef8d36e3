// Seed 003 (Calico on a kind cluster): the published routes with IPIP, without encapsulation and with VXLAN, devices,
// MTUs, endpoints, BGP peers, and the packets of a ping.
import { describe, expect, it } from "vitest";
import type { CalicoPlane } from "../../src/cluster/calico/plane.js";
import { Lab } from "../../src/lab.js";
import { EMBEDDED } from "../../src/scenario/embedded/index.js";
import { capture } from "../support/capture.js";

const GBMNJ = "pod/busybox-deployment-654565d6ff-gbmnj";
const LM5NF = "pod/busybox-deployment-654565d6ff-lm5nf";
const built = (name: string): Lab => Lab.fromYaml(EMBEDDED.get(name)!, name);
const routes = (l: Lab, node: string): string[] =>
  l.exec(`node/${node}`, "ip route").out.trimEnd().split("\n");

const CONTROL_PLANE = [
  "default via 172.18.0.1 dev eth0 ",
  "blackhole 10.244.82.0/26 proto bird ",
  "10.244.82.1 dev calia4307b0e305 scope link ",
  "10.244.82.2 dev calid50353acbd9 scope link ",
  "10.244.82.3 dev cali38bd23d7943 scope link ",
];

describe("seed 003: IPIP", () => {
  it("gives each node the published routes", () => {
    const l = built("calico-kind-ipip");
    const out = (n: string): string => l.exec(`node/${n}`, "ip route").out;
    expect(out("kind-control-plane").split("\n")).toEqual([
      ...CONTROL_PLANE,
      "10.244.110.128/26 via 172.18.0.2 dev tunl0 proto bird onlink ",
      "10.244.162.128/26 via 172.18.0.3 dev tunl0 proto bird onlink ",
      "10.244.195.192/26 via 172.18.0.4 dev tunl0 proto bird onlink ",
      "172.18.0.0/16 dev eth0 proto kernel scope link src 172.18.0.5 ",
      "",
    ]);
    expect(out("kind-worker3").split("\n")).toEqual([
      "default via 172.18.0.1 dev eth0 ",
      "10.244.82.0/26 via 172.18.0.5 dev tunl0 proto bird onlink ",
      "10.244.110.128/26 via 172.18.0.2 dev tunl0 proto bird onlink ",
      "10.244.162.128/26 via 172.18.0.3 dev tunl0 proto bird onlink ",
      "blackhole 10.244.195.192/26 proto bird ",
      "10.244.195.193 dev cali15c1d999844 scope link ",
      "10.244.195.194 dev cali6ad45a7cd51 scope link ",
      "172.18.0.0/16 dev eth0 proto kernel scope link src 172.18.0.4 ",
      "",
    ]);
    expect(out("kind-worker2").split("\n")).toEqual([
      "default via 172.18.0.1 dev eth0 ",
      "10.244.82.0/26 via 172.18.0.5 dev tunl0 proto bird onlink ",
      "blackhole 10.244.110.128/26 proto bird ",
      "10.244.110.129 dev calie4f3c781c5e scope link ",
      "10.244.162.128/26 via 172.18.0.3 dev tunl0 proto bird onlink ",
      "10.244.195.192/26 via 172.18.0.4 dev tunl0 proto bird onlink ",
      "172.18.0.0/16 dev eth0 proto kernel scope link src 172.18.0.2 ",
      "",
    ]);
  });

  it("gives tunl0 the first address of the block and MTU 1440, pods 1410, and every pod a tunl0 that is down", () => {
    const l = built("calico-kind-ipip");
    const tunl0 = l.exec("node/kind-control-plane", "ifconfig tunl0").out.split("\n");
    expect(tunl0.slice(0, 3)).toEqual([
      "tunl0: flags=193<UP,RUNNING,NOARP>  mtu 1440",
      "        inet 10.244.82.0  netmask 255.255.255.255",
      "        tunnel   txqueuelen 1000  (IPIP Tunnel)",
    ]);
    expect(l.exec("node/kind-control-plane", "ip link show calia4307b0e305").out.split("\n")[0]).toBe(
      "2: calia4307b0e305@if3: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1410 qdisc noqueue state UP mode DEFAULT group default qlen 1000",
    );
    expect(l.exec(GBMNJ, "ip addr").out).toBe(
      [
        "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000",
        "    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00",
        "    inet 127.0.0.1/8 scope host lo",
        "       valid_lft forever preferred_lft forever",
        "2: tunl0@NONE: <NOARP> mtu 1480 qdisc noop state DOWN group default qlen 1000",
        "    link/ipip 0.0.0.0 brd 0.0.0.0",
        "4: eth0@if5: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1410 qdisc noqueue state UP group default qlen 1000",
        "    link/ether 0e:10:d4:06:aa:f9 brd ff:ff:ff:ff:ff:ff link-netns kind-worker3",
        "    inet 10.244.195.194/32 scope global eth0",
        "       valid_lft forever preferred_lft forever",
        "",
      ].join("\n"),
    );
    expect(l.exec(GBMNJ, "ip route").out).toBe(
      "default via 169.254.1.1 dev eth0 \n169.254.1.1 dev eth0 scope link \n",
    );
    expect(l.exec(GBMNJ, "arp -n").out).toBe("");
    expect(l.exec("node/kind-worker3", "cat /proc/sys/net/ipv4/conf/cali6ad45a7cd51/proxy_arp").out).toBe(
      "1\n",
    );
  });

  it("calicoctl prints the published endpoints and BGP peers", () => {
    const l = built("calico-kind-ipip");
    const c = l.cluster as CalicoPlane;
    expect(c.workloadEndpoints()).toBe(
      [
        "WORKLOAD                              NODE           NETWORKS            INTERFACE         ",
        "busybox-deployment-654565d6ff-gbmnj   kind-worker3   10.244.195.194/32   cali6ad45a7cd51   ",
        "busybox-deployment-654565d6ff-lm5nf   kind-worker2   10.244.110.129/32   calie4f3c781c5e   ",
        "",
      ].join("\n"),
    );
    expect(c.sessions("kind-control-plane").map((s) => [s.peerAddress, s.peerType, s.state, s.info])).toEqual(
      [
        ["172.18.0.3", "node-to-node mesh", "up", "Established"],
        ["172.18.0.2", "node-to-node mesh", "up", "Established"],
        ["172.18.0.4", "node-to-node mesh", "up", "Established"],
      ],
    );
  });

  it("pings with ttl 62, as published, and the pod's ARP table then knows the gateway as ee:ee:ee:ee:ee:ee", () => {
    const l = built("calico-kind-ipip");
    const r = l.ping({ from: GBMNJ, to: LM5NF, count: 4, seq: 0 });
    expect(r.replies.map((x) => [x.seq, x.ttl])).toEqual([
      [0, 62],
      [1, 62],
      [2, 62],
      [3, 62],
    ]);
    expect(l.exec(GBMNJ, "arp -n").out.split("\n")).toContain(
      "169.254.1.1              ether   ee:ee:ee:ee:ee:ee   C                     eth0",
    );
  });

  it("after five seconds both ends ask again for whom they only know from a request, as in the published capture", () => {
    const l = built("calico-kind-ipip");
    const eth0 = capture(l, LM5NF, "eth0");
    l.ping({ from: GBMNJ, to: LM5NF, count: 8, seq: 0 });
    const arp = eth0.lines().filter((x) => x.includes("ARP"));
    const text = (x: string): string => x.replace(/^.*length 42: /, "");
    expect(new Set(arp.map(text))).toEqual(
      new Set([
        "Request who-has 10.244.110.129 tell 172.18.0.2, length 28",
        "Reply 10.244.110.129 is-at 0a:d9:c9:76:e7:d4, length 28",
        "Request who-has 169.254.1.1 tell 10.244.110.129, length 28",
        "Reply 169.254.1.1 is-at ee:ee:ee:ee:ee:ee, length 28",
      ]),
    );
  });
});

describe("seed 003: without encapsulation", () => {
  const DIRECT = [
    ...CONTROL_PLANE,
    "10.244.110.128/26 via 172.18.0.2 dev eth0 proto bird ",
    "10.244.162.128/26 via 172.18.0.3 dev eth0 proto bird ",
    "10.244.195.192/26 via 172.18.0.4 dev eth0 proto bird ",
    "172.18.0.0/16 dev eth0 proto kernel scope link src 172.18.0.5 ",
  ];

  it("gives the control plane the published routes by eth0", () => {
    const l = built("calico-kind-direct");
    expect(routes(l, "kind-control-plane").map((r) => `${r.trimEnd()} `)).toEqual(DIRECT);
  });

  it("setting ipipMode to Never changes the routes of a running cluster, and pods go on reaching each other", () => {
    const l = built("calico-kind-ipip");
    expect(l.ping({ from: GBMNJ, to: LM5NF }).replies[0]!.ttl).toBe(62);
    (l.cluster as CalicoPlane).setPoolModes("default-ipv4-ippool", "Never", "Never");
    expect(routes(l, "kind-control-plane").map((r) => `${r.trimEnd()} `)).toEqual(DIRECT);
    const wire = capture(l, "node/kind-worker3", "eth0");
    expect(l.ping({ from: GBMNJ, to: LM5NF, id: 9 }).replies[0]!.ttl).toBe(62);
    expect(wire.lines().filter((x) => x.includes("echo"))).toEqual([
      "ttl 63 02:42:ac:12:00:04 > 02:42:ac:12:00:02, ethertype IPv4 (0x0800), length 98: 10.244.195.194 > 10.244.110.129: ICMP echo request, id 9, seq 1, length 64",
      "ttl 63 02:42:ac:12:00:02 > 02:42:ac:12:00:04, ethertype IPv4 (0x0800), length 98: 10.244.110.129 > 10.244.195.194: ICMP echo reply, id 9, seq 1, length 64",
    ]);
  });
});

describe("seed 003: VXLAN", () => {
  it("gives the control plane the published routes by vxlan.calico", () => {
    const l = built("calico-kind-vxlan");
    const own = (r: string): boolean => !r.includes("blackhole");
    expect(
      routes(l, "kind-control-plane")
        .filter(own)
        .map((r) => r.trimEnd()),
    ).toEqual([
      "default via 172.18.0.1 dev eth0",
      "10.244.110.128/26 via 10.244.110.128 dev vxlan.calico onlink",
      "10.244.162.128/26 via 10.244.162.128 dev vxlan.calico onlink",
      "10.244.195.192/26 via 10.244.195.192 dev vxlan.calico onlink",
      "172.18.0.0/16 dev eth0 proto kernel scope link src 172.18.0.5",
    ]);
  });

  it("carries a ping in UDP to port 4789 with VNI 4096 and answers with ttl 62; there are no BGP sessions", () => {
    const l = built("calico-kind-vxlan");
    const from = "pod/busybox-deployment-654565d6ff-7lj4t";
    const to = "pod/busybox-deployment-654565d6ff-h4xw2";
    l.ping({ from, to });
    const wire = capture(l, "node/kind-worker2", "eth0");
    expect(l.ping({ from, to }).replies[0]!.ttl).toBe(62);
    expect(
      wire.frames.map((f) => {
        const v = new DataView(f.buffer, f.byteOffset);
        return {
          length: f.length,
          proto: f[23],
          dport: v.getUint16(36),
          vni: v.getUint32(46) >>> 8,
          ttl: f[22],
          innerTtl: f[14 + 20 + 8 + 8 + 14 + 8],
        };
      }),
    ).toEqual([
      { length: 148, proto: 17, dport: 4789, vni: 4096, ttl: 64, innerTtl: 63 },
      { length: 148, proto: 17, dport: 4789, vni: 4096, ttl: 64, innerTtl: 63 },
    ]);
    expect((l.cluster as CalicoPlane).sessions("kind-worker")).toEqual([]);
  });

  it("masquerades what leaves the cluster and answers from outside with one hop less", () => {
    const l = built("calico-kind-vxlan");
    const wire = capture(l, "node/kind-worker", "eth0");
    const r = l.ping({ from: "pod/busybox-deployment-654565d6ff-7lj4t", to: "172.18.0.1" });
    expect(r.replies.map((x) => [x.from, x.ttl])).toEqual([["172.18.0.1", 63]]);
    expect(
      wire
        .lines()
        .filter((x) => x.includes("echo"))
        .map((x) => /: (\S+ > \S+): ICMP/.exec(x)![1]),
    ).toEqual(["172.18.0.2 > 172.18.0.1", "172.18.0.1 > 172.18.0.2"]);
  });
});
