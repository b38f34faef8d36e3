// Seed 001 (Calico IPIP across nodes, kube-proxy in ipvs mode): ttl=62, protocol 4 between the nodes, the service, the
// BGP table, the cloud firewall that lets nothing arrive, and the node-name conflict.
import { describe, expect, it } from "vitest";
import type { CalicoPlane } from "../../src/cluster/calico/plane.js";
import { Lab } from "../../src/lab.js";
import { EMBEDDED } from "../../src/scenario/embedded/index.js";
import { capture } from "../support/capture.js";

const BUSYBOX = "pod/busybox";
const NGINX = "pod/nginx-6f648b8457-7ld9v";
const built = (name: string): Lab => Lab.fromYaml(EMBEDDED.get(name)!, name);
const calico = (l: Lab): CalicoPlane => l.cluster as CalicoPlane;

describe("seed 001: pod to pod across two nodes", () => {
  it("answers with ttl=62, as published", () => {
    const r = built("calico-ipip-cross-node").ping({ from: BUSYBOX, to: NGINX, seq: 0 });
    expect(r.replies.map((x) => [x.seq, x.from, x.ttl, x.bytes])).toEqual([[0, "172.20.139.94", 62, 64]]);
  });

  it("travels as protocol 4 between the nodes, with the pod's own packet inside", () => {
    const l = built("calico-ipip-cross-node");
    l.ping({ from: BUSYBOX, to: NGINX });
    const wire = capture(l, "node/10.0.1.203", "ens32");
    const tunnel = capture(l, "node/10.0.1.203", "tunl0");
    l.ping({ from: BUSYBOX, to: NGINX, id: 7 });
    expect(wire.lines()).toEqual([
      "ttl 63/63 00:16:3e:1e:fa:fb > 00:16:3e:1e:ea:ea, ethertype IPv4 (0x0800), length 118: 10.0.1.202 > 10.0.1.203: 172.20.247.1 > 172.20.139.94: ICMP echo request, id 7, seq 1, length 64",
      "ttl 63/63 00:16:3e:1e:ea:ea > 00:16:3e:1e:fa:fb, ethertype IPv4 (0x0800), length 118: 10.0.1.203 > 10.0.1.202: 172.20.139.94 > 172.20.247.1: ICMP echo reply, id 7, seq 1, length 64",
    ]);
    expect(wire.frames.map((f) => f[23])).toEqual([4, 4]);
    expect(tunnel.lines()).toEqual([
      "ttl 63 IP 172.20.247.1 > 172.20.139.94: ICMP echo request, id 7, seq 1, length 64",
      "ttl 63 IP 172.20.139.94 > 172.20.247.1: ICMP echo reply, id 7, seq 1, length 64",
    ]);
  });

  it("gives the nodes the published tunnel addresses and interfaces", () => {
    const l = built("calico-ipip-cross-node");
    const inet = (node: string): string =>
      l
        .exec(`node/${node}`, "ip addr show tunl0")
        .out.split("\n")
        .filter((x) => x.includes("inet "))
        .join();
    expect(inet("10.0.1.203")).toBe("    inet 172.20.139.64/32 scope global tunl0");
    expect(inet("10.0.1.202")).toBe("    inet 172.20.247.0/32 scope global tunl0");
    expect(inet("10.0.1.201")).toBe("    inet 172.20.84.128/32 scope global tunl0");
    expect(l.cluster.pods.get("default/nginx-6f648b8457-7ld9v")!.host.name).toBe("cali1342368ccea");
    expect(l.cluster.pods.get("default/busybox")!.host.name).toBe("cali12d4a061371");
  });
});

describe("seed 001: the service in ipvs mode", () => {
  it("kube-ipvs0 is down and has the published addresses in the published order", () => {
    const out = built("calico-ipip-cross-node").exec("node/10.0.1.202", "ip addr show kube-ipvs0").out;
    const lines = out.split("\n").filter((l) => !l.includes("valid_lft") && !l.includes("link/ether"));
    expect(lines[0]!.replace(/^\d+: /, "")).toBe(
      "kube-ipvs0: <BROADCAST,NOARP> mtu 1500 qdisc noop state DOWN group default qlen 1000",
    );
    expect(lines.slice(1, -1)).toEqual([
      "    inet 10.68.0.1/32 scope global kube-ipvs0",
      "    inet 10.68.0.2/32 scope global kube-ipvs0",
      "    inet 10.68.107.220/32 scope global kube-ipvs0",
      "    inet 10.68.229.156/32 scope global kube-ipvs0",
      "    inet 10.68.6.226/32 scope global kube-ipvs0",
    ]);
  });

  it("ipvsadm shows the published virtual server with the pod behind it", () => {
    const out = built("calico-ipip-cross-node").exec("node/10.0.1.202", "ipvsadm -ln").out.split("\n");
    const at = out.findIndex((l) => l.startsWith("TCP  10.68.6.226:80"));
    expect(out.slice(at, at + 2).map((l) => l.trimEnd())).toEqual([
      "TCP  10.68.6.226:80 rr",
      "  -> 172.20.139.94:80             Masq    1      0          0",
    ]);
  });

  it("carries a connection from a pod through the service to the pod on the other node", () => {
    const l = built("calico-ipip-cross-node");
    l.traffic.listen({ on: NGINX, port: 80 });
    expect(l.tcp({ from: BUSYBOX, to: "10.68.6.226", port: 80, send: 120, receive: 600 })).toEqual({
      connected: true,
      errno: 0,
      sent: 120,
      received: 600,
      closed: true,
    });
  });
});

describe("seed 001: BGP", () => {
  it("calicoctl node status on the first node prints the published table", () => {
    const l = built("calico-ipip-cross-node");
    expect(calico(l).nodeStatus("10.0.1.201", Date.UTC(2023, 3, 1, 12, 49, 54))).toBe(
      [
        "Calico process is running.",
        "",
        "IPv4 BGP status",
        "+--------------+-------------------+-------+----------+-------------+",
        "| PEER ADDRESS |     PEER TYPE     | STATE |  SINCE   |    INFO     |",
        "+--------------+-------------------+-------+----------+-------------+",
        "| 10.0.1.202   | node-to-node mesh | up    | 12:49:54 | Established |",
        "| 10.0.1.203   | node-to-node mesh | up    | 12:49:54 | Established |",
        "| 10.0.1.204   | node-to-node mesh | up    | 12:49:54 | Established |",
        "+--------------+-------------------+-------+----------+-------------+",
        "",
        "IPv6 BGP status",
        "No IPv6 peers found.",
        "",
        "",
      ].join("\n"),
    );
  });

  it("a node whose name is taken is in nobody's mesh, and its pods are reached by nobody", () => {
    const l = built("calico-node-name-conflict");
    const c = calico(l);
    expect(c.bird.conflicts).toEqual([
      { name: "aws-na-k8s-temp1", kept: "aws-na-k8s-temp1", lost: ["ip-172-31-7-227"] },
    ]);
    expect(c.sessions("ip-172-31-1-50").map((s) => [s.peerAddress, s.state, s.info])).toEqual([
      ["172.31.8.108", "up", "Established"],
      ["172.31.3.33", "up", "Established"],
      ["172.31.2.247", "up", "Established"],
    ]);
    expect(c.bird.notReady("ip-172-31-1-50")).toBeUndefined();
    expect(c.bird.notReady("ip-172-31-7-227")).toBe(
      "calico/node is not ready: BIRD is not ready: BGP not established with 172.31.8.108,172.31.3.33,172.31.2.247,172.31.1.50",
    );
    expect(l.ping({ from: "pod/pod-1-50", to: "pod/pod-8-108" }).received).toBe(1);
    expect(l.ping({ from: "pod/pod-1-50", to: "pod/pod-7-227" }).received).toBe(0);
  });
});

describe("seed 001: a cloud firewall without protocol 4", () => {
  it("lets nodes reach each other, while nothing of pods and services arrives on the other node", () => {
    const l = built("calico-cloud-firewall");
    expect(l.ping({ from: "node/10.0.1.202", to: "node/10.0.1.203" }).received).toBe(1);
    const there = capture(l, "node/10.0.1.203", "ens32");
    const tunnel = capture(l, "node/10.0.1.203", "tunl0");
    const here = capture(l, "node/10.0.1.202", "ens32");
    const ping = l.ping({ from: BUSYBOX, to: NGINX });
    expect([ping.received, ping.errors]).toEqual([0, []]);
    l.traffic.listen({ on: NGINX, port: 80 });
    expect(l.tcp({ from: BUSYBOX, to: "10.68.6.226", port: 80 })).toEqual({
      connected: false,
      errno: 110,
      sent: 0,
      received: 0,
      closed: false,
    });
    // Seven SYNs of one connection and the ping left; none came, and no error came back.
    const ipip = (f: Uint8Array): boolean => f[12] === 8 && f[13] === 0 && f[23] === 4;
    expect(here.frames.filter(ipip).length).toBe(8);
    expect(there.frames.filter((f) => f[12] === 8 && f[13] === 0)).toEqual([]);
    expect(tunnel.frames).toEqual([]);
  });
});
