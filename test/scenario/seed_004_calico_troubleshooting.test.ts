// Seed 004: the two troubleshooting cases before and after their repair, with the published texts and capture lines,
// and the veth and bridge exercise.
import { describe, expect, it } from "vitest";
import type { CalicoPlane } from "../../src/cluster/calico/plane.js";
import { COLLISIONS, TX_ERRORS } from "../../src/kernel/device.js";
import { Lab } from "../../src/lab.js";
import { EMBEDDED } from "../../src/scenario/embedded/index.js";
import { capture } from "../support/capture.js";

const built = (name: string): Lab => Lab.fromYaml(EMBEDDED.get(name)!, name);
const out = (l: Lab, on: string, command: string): string => l.exec(on, command).out;

describe("seed 004, case 1: the route by the node's own tunnel address", () => {
  const NODE = "node/az3-k8s-13";
  const WRONG = "10.122.17.64/26 via 10.122.127.128 dev tunl0 ";
  const RIGHT = "10.122.17.64/26 via 192.168.3.110 dev tunl0 proto bird onlink ";

  it("tunl0 sees request and reply, the card only the request, and the reply counts as collision and error", () => {
    const l = built("calico-wrong-tunnel-route");
    expect(
      out(l, NODE, "ip route show")
        .split("\n")
        .filter((r) => r.includes("tunl0")),
    ).toEqual([WRONG]);
    const tunnel = capture(l, NODE, "tunl0");
    const card = capture(l, NODE, "eth1");
    expect(l.ping({ from: "node/az3-k8s-11", to: "10.122.127.128", id: 3 }).received).toBe(0);
    expect(tunnel.lines().map((x) => x.replace(/^ttl 64 IP /, ""))).toEqual([
      "10.122.17.64 > 10.122.127.128: ICMP echo request, id 3, seq 1, length 64",
      "10.122.127.128 > 10.122.17.64: ICMP echo reply, id 3, seq 1, length 64",
    ]);
    expect(
      card
        .lines()
        .filter((x) => x.includes("echo"))
        .map((x) => /: (192\S+ > \S+): /.exec(x)![1]),
    ).toEqual(["192.168.3.110 > 192.168.3.112"]);
    const dev = l.endpoint(NODE).ns!.devByName("tunl0")!;
    expect([dev.stats[COLLISIONS], dev.stats[TX_ERRORS]]).toEqual([1, 1]);
  });

  it("adding the right route first answers File exists; deleting the wrong one and adding it repairs both ways", () => {
    const l = built("calico-wrong-tunnel-route");
    l.run();
    expect(l.traffic.executed.map((e) => [e.rc, e.out])).toEqual([
      [2, "RTNETLINK answers: File exists\n"],
      [0, ""],
      [
        0,
        [
          "default via 192.168.3.253 dev eth1 ",
          RIGHT,
          "blackhole 10.122.127.128/26 proto bird ",
          "10.122.127.129 dev cali0000000p112 scope link ",
          "192.168.3.0/24 dev eth1 proto kernel scope link src 192.168.3.112 ",
          "",
        ].join("\n"),
      ],
    ]);
    expect(l.ping({ from: "node/az3-k8s-11", to: "10.122.127.128" }).replies[0]!.ttl).toBe(64);
    expect(l.ping({ from: "pod/pod-110", to: "pod/pod-112" }).replies[0]!.ttl).toBe(62);
    // Once more, as the document ran it: the route is there already.
    expect(
      l.exec(NODE, "ip route add 10.122.17.64/26 via 192.168.3.110 dev tunl0 proto bird onlink"),
    ).toMatchObject({ rc: 2, out: "RTNETLINK answers: File exists\n" });
    expect(l.exec(NODE, "ip route del 10.122.99.64/26 via 192.168.3.110 dev tunl0")).toMatchObject({
      rc: 2,
      out: "RTNETLINK answers: No such process\n",
    });
    expect(l.exec(NODE, "ip route add 10.122.18.64/26 via 192.168.3.110 dev tunl0")).toMatchObject({
      rc: 2,
      out: "Error: Nexthop has invalid gateway.\n",
    });
  });
});

describe("seed 004, case 2: two cards", () => {
  const NODE2 = "node/az3-k8s-12";
  const NODE4 = "node/az3-k8s-14";
  const pairs = (lines: readonly string[]): string[] =>
    lines.filter((x) => x.includes("echo")).map((x) => /: (192\S+ > \S+): /.exec(x)![1]!);

  it("node 2 sees its peers by the published addresses, all established", () => {
    const c = built("calico-two-nics").cluster as CalicoPlane;
    expect(c.sessions("az3-k8s-11").map((s) => [s.peerAddress, s.peerType, s.state, s.info])).toEqual([
      ["192.168.0.111", "node-to-node mesh", "up", "Established"],
      ["192.168.3.112", "node-to-node mesh", "up", "Established"],
      ["192.168.3.113", "node-to-node mesh", "up", "Established"],
      ["192.168.3.114", "node-to-node mesh", "up", "Established"],
    ]);
    const nowNs = 2 * 86_400e9;
    expect(c.nodeStatus("az3-k8s-11", Date.UTC(2020, 7, 29)).split("\n")[4]).toBe(
      "| PEER ADDRESS  |     PEER TYPE     | STATE |  SINCE   |    INFO     |",
    );
    c.machines.timers.runUntil(nowNs);
    expect(
      c
        .nodeStatus("az3-k8s-11", Date.UTC(2020, 7, 29))
        .split("\n")
        .slice(3, 8),
    ).toEqual([
      "+---------------+-------------------+-------+------------+-------------+",
      "| PEER ADDRESS  |     PEER TYPE     | STATE |   SINCE    |    INFO     |",
      "+---------------+-------------------+-------+------------+-------------+",
      "| 192.168.0.111 | node-to-node mesh | up    | 2020-08-29 | Established |",
      "| 192.168.3.112 | node-to-node mesh | up    | 2020-08-29 | Established |",
    ]);
  });

  it("the request goes to 3.113, the reply comes from 0.113 and does not reach node 2's tunl0", () => {
    const l = built("calico-two-nics");
    const card = capture(l, NODE2, "eth0");
    const tunnel = capture(l, NODE2, "tunl0");
    expect(l.ping({ from: NODE2, to: "10.122.157.128" }).received).toBe(0);
    expect(pairs(card.lines())).toEqual(["192.168.0.111 > 192.168.3.113", "192.168.0.113 > 192.168.0.111"]);
    expect(tunnel.lines().length).toBe(1);
    // Felix's rule is what refuses it.
    expect(
      l
        .exec(NODE2, "iptables-save -c")
        .out.split("\n")
        .find((r) => r.includes("Drop IPIP packets")),
    ).toBe(
      '[1:104] -A cali-INPUT -p ipencap -m comment --comment "Drop IPIP packets from non-Calico hosts" -j DROP',
    );
    expect(l.ping({ from: NODE4, to: "10.122.124.128" }).received).toBe(0);
    expect(l.ping({ from: "pod/pod4-1", to: "pod/pod2-1" }).received).toBe(0);
  });

  it("without Felix's rules tunl0 takes the packet from any source", () => {
    const l = built("calico-two-nics");
    l.exec(NODE2, "iptables -F cali-INPUT");
    expect(l.ping({ from: NODE2, to: "10.122.157.128" }).received).toBe(1);
  });

  it("node 2 reaches node 1, with the published lines of request and reply", () => {
    const l = built("calico-two-nics");
    l.ping({ from: NODE2, to: "10.122.17.64" });
    const card = capture(l, NODE2, "eth0");
    expect(l.ping({ from: NODE2, to: "10.122.17.64", id: 22001, seq: 4 }).received).toBe(1);
    expect(card.lines()).toEqual([
      "ttl 64/64 00:16:3e:02:06:1e > ee:ff:ff:ff:ff:ff, ethertype IPv4 (0x0800), length 118: 192.168.0.111 > 192.168.3.110: 10.122.124.128 > 10.122.17.64: ICMP echo request, id 22001, seq 4, length 64",
      "ttl 63/64 ee:ff:ff:ff:ff:ff > 00:16:3e:02:06:1e, ethertype IPv4 (0x0800), length 118: 192.168.3.110 > 192.168.0.111: 10.122.17.64 > 10.122.124.128: ICMP echo reply, id 22001, seq 4, length 64",
    ]);
  });

  it("after the published repair node 4 has the published routes, answers from 3.113 and is reached", () => {
    const l = built("calico-two-nics");
    l.run();
    expect(l.traffic.executed.map((e) => e.rc)).toEqual([0, 0, 0]);
    expect(l.traffic.executed[2]!.out.split("\n")).toEqual([
      "default via 192.168.3.253 dev eth1 ",
      "10.122.17.64/26 via 192.168.3.110 dev tunl0 proto bird onlink ",
      "10.122.124.128/26 via 192.168.0.111 dev tunl0 proto bird onlink ",
      "10.122.127.128/26 via 192.168.3.112 dev tunl0 proto bird onlink ",
      "blackhole 10.122.157.128/26 proto bird ",
      "10.122.157.129 dev cali19f6ea143e3 scope link ",
      "10.122.157.130 dev cali09e016ead53 scope link ",
      "10.122.157.131 dev cali0ad3225816d scope link ",
      "10.122.157.132 dev cali55a5ff1a4aa scope link ",
      "10.122.157.133 dev cali01cf8687c65 scope link ",
      "10.122.157.134 dev cali65232d7ada6 scope link ",
      "10.122.173.128/26 via 192.168.3.114 dev tunl0 proto bird onlink ",
      "172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1 ",
      "192.168.3.0/24 dev eth1 proto kernel scope link src 192.168.3.113 ",
      "",
    ]);
    const card = capture(l, NODE2, "eth0");
    expect(l.ping({ from: NODE2, to: "10.122.157.128" }).received).toBe(1);
    expect(pairs(card.lines())).toEqual(["192.168.0.111 > 192.168.3.113", "192.168.3.113 > 192.168.0.111"]);
    expect(l.ping({ from: "pod/pod4-1", to: "pod/pod2-1" }).replies[0]!.ttl).toBe(62);
  });
});

describe("seed 004: the veth and bridge exercise", () => {
  it("answers each published step as the machine did: no route, then the pair, then down and up, then the bridge", () => {
    const l = built("veth-netns-exercise");
    const ping = (from: string, to: string): string => {
      const r = l.ping({ from, to });
      return r.received === 1 ? `ttl ${r.replies[0]!.ttl}` : `errno ${r.errors[0]?.errno}`;
    };
    const sh = (command: string): string => out(l, "host/box", command);
    expect(sh("ip netns add ren")).toBe("");
    expect(sh("ip netns show")).toBe("ren\n");
    expect(sh("ip netns exec ren route -n").split("\n").length).toBe(3);
    sh("ip link add veth1 type veth peer name veth1_p");
    expect(sh("ifconfig -a").match(/^veth1\S*(?=:)/gm)).toEqual(["veth1", "veth1_p"]);
    sh("ip link set veth1 netns ren");
    expect(sh("ip link show veth1")).toBe('Device "veth1" does not exist.\n');
    expect(
      sh("ip netns exec ren ip link list")
        .split("\n")[2]!
        .replace(/^\d+: /, ""),
    ).toMatch(
      /^veth1@if\d+: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN mode DEFAULT group default qlen 1000$/,
    );
    sh("ip netns exec ren ip addr add 172.19.0.100/24 dev veth1");
    sh("ip netns exec ren ip link set dev veth1 up");
    expect(ping("host/box", "172.19.0.100")).toBe("errno 101");
    expect(sh("ip netns exec ren ip addr add 172.19.0.101/24 dev veth1_p")).toBe(
      'Cannot find device "veth1_p"\n',
    );
    sh("ip addr add 172.19.0.101/24 dev veth1_p");
    sh("ip link set dev veth1_p up");
    expect(ping("host/box", "172.19.0.101")).toBe("ttl 64");
    expect(ping("host/box", "172.19.0.100")).toBe("ttl 64");
    sh("ip link set dev veth1_p down");
    expect(ping("host/box", "172.19.0.100")).toBe("errno 101");
    expect(ping("host/box", "172.19.0.101")).toBe("ttl 64");
    sh("ip link set dev veth1_p up");
    expect(ping("netns/box/ren", "172.19.0.101")).toBe("ttl 64");
    for (const p of ["veth3_p", "veth1_p", "veth2"])
      expect(sh(`ip link set dev ${p} master docker0`)).toBe("");
    expect(sh("brctl show").replace(/8000\.\w+/, "ID")).toBe(
      "bridge name\tbridge id\t\tSTP enabled\tinterfaces\ndocker0\t\tID\tno\t\tveth1_p\n\t\t\t\t\t\t\tveth2\n\t\t\t\t\t\t\tveth3_p\n",
    );
  });
});
