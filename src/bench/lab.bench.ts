// The whole lab end to end: a datagram leaves a pod's eth0, crosses programs, devices and (where the datapath has them)
// the node's stack, and is counted by a socket in the other pod. No neighbour is resolved while it is measured.

import type { DatapathName } from "../cluster/model.js";
import { dev_queue_xmit } from "../kernel/dev.js";
import { alloc_skb, skb_set_dev } from "../kernel/skbuff.js";
import { UdpSock } from "../kernel/udp.js";
import { Lab } from "../lab.js";
import { parseIpv4 } from "../net/address.js";
import { buildFrame, eth, ip4, udp } from "../net/build.js";
import type { BenchCase, BenchSuite } from "./suite.js";

const BATCH = 1024;
const PORT = 9000;

const SCENARIO = `apiVersion: podpath.dev/v1
kind: Lab
metadata: {name: bench}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config}
data: {ipv4-native-routing-cidr: 10.0.0.0/16, monitor-aggregation-flags: all}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.0.0.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.0.11}]}
---
apiVersion: v1
kind: Node
metadata: {name: n2}
spec: {podCIDR: 10.0.1.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.0.12}]}
---
apiVersion: v1
kind: Pod
metadata: {name: a}
spec: {nodeName: n1}
status: {podIP: 10.0.0.11}
---
apiVersion: v1
kind: Pod
metadata: {name: b}
spec: {nodeName: n1}
status: {podIP: 10.0.0.12}
---
apiVersion: v1
kind: Pod
metadata: {name: c}
spec: {nodeName: n2}
status: {podIP: 10.0.1.21}
`;

/** The other pod: b on the sender's node, c on the other. */
export type PairPod = "b" | "c";

/** Two nodes with pods a and b on the first and c on the second. */
export function pairLab(datapath: DatapathName, aggregation: "medium" | "none"): Lab {
  return Lab.fromYaml(SCENARIO, "bench", { datapath, options: { "monitor-aggregation": aggregation } });
}

/** A lab with a warm path from pod a to another pod, and how to send one more datagram along it. */
class Path {
  readonly lab: Lab;
  readonly #sink: UdpSock;
  readonly #frame: Uint8Array;

  constructor(datapath: DatapathName, to: PairPod, events: boolean) {
    this.lab = pairLab(datapath, "medium");
    const target = to === "b" ? "10.0.0.12" : "10.0.1.21";
    const ns = this.lab.endpoint(`pod/${to}`).ns!;
    this.#sink = new UdpSock(ns);
    this.#sink.bind(0, PORT);
    this.#sink.discard = true;
    // Two real exchanges resolve every neighbour on the way there.
    this.lab.ping({ from: "pod/a", to: `pod/${to}`, count: 2 });
    const a = this.lab.cluster.pods.get("default/a")!;
    const gateway = a.eth0.arp.get(parseIpv4("10.0.0.1"))!;
    this.#frame = buildFrame([
      eth({ dst: gateway.ha, src: a.eth0.mac, type: 0x0800 }),
      ip4({ src: "10.0.0.11", dst: target, id: 1 }),
      udp({ src: 40000, dst: PORT }),
      new Uint8Array(18),
    ]);
    if (events) for (const n of this.lab.cluster.nodes) this.lab.monitor(n.name, () => {});
    const before = this.#sink.discarded;
    this.send(1);
    if (this.#sink.discarded !== before + 1)
      throw new Error(`${datapath} to pod ${to}: the datagram does not arrive`);
  }

  /** Sends `n` datagrams one after the other. */
  send(n: number): void {
    const a = this.lab.cluster.pods.get("default/a")!;
    const kernel = a.ns.kernel;
    const { world } = kernel;
    const frame = this.#frame;
    for (let i = 0; i < n; i++) {
      const skb = alloc_skb(kernel);
      skb.setFrame(frame);
      skb_set_dev(skb, a.eth0);
      skb.protocol = 0x0800;
      skb.network = skb.data + 14;
      world.enter();
      dev_queue_xmit(skb);
      world.leave();
    }
  }
}

function path(datapath: DatapathName, to: PairPod, name: string, events = false): BenchCase {
  const prepare = (): (() => void) => {
    const p = new Path(datapath, to, events);
    return () => p.send(BATCH);
  };
  return { group: "end to end, established", name, batch: BATCH, prepare };
}

export const labSuite: BenchSuite = {
  name: "lab",
  isolate: true,
  cases: () => [
    path("cilium-host-routing", "b", "same node, BPF host routing"),
    path("cilium-host-routing", "c", "cross node, BPF host routing"),
    path("cilium-host-routing", "b", "same node, BPF host routing, monitor on", true),
    path("cilium-host-routing", "c", "cross node, BPF host routing, monitor on", true),
    path("cilium-netkit", "b", "same node, netkit"),
    path("cilium-netkit", "c", "cross node, netkit"),
    path("cilium-legacy", "b", "same node, legacy host routing"),
    path("cilium-legacy", "c", "cross node, legacy host routing"),
    path("cilium-vxlan", "c", "cross node, VXLAN"),
  ],
};
