// Random labs in the form of kernel-lab's topology.json whose router drops every n-th TCP packet of a kind: what a sender
// does about it (acknowledgements, retransmissions, timers) is compared frame by frame with the kernel.

import type { Prng } from "../../src/base/prng.js";
import type { LabTopology } from "../../src/conformance/kernel.js";
import type { TrafficOp } from "../../src/conformance/kernel_traffic.js";
import { Draw } from "./random_lab.js";

/** Two pods on one node, one to three connections between them. */
export function lossyLab(r: Prng, name: string): LabTopology {
  const d = new Draw(r);
  // Every kernel lets a namespace choose it.
  const sysctl: Record<string, string | number> = { "net/ipv4/tcp_congestion_control": "reno" };
  if (d.chance(25)) sysctl["net/ipv4/tcp_sack"] = 0;
  if (d.chance(25)) sysctl["net/ipv4/tcp_timestamps"] = 0;
  const mtu = d.pick([1500, 1500, 1400, 1000]);
  const node = d.ns("n1", "node");
  node.sysctl["net/ipv4/ip_forward"] = 1;
  for (const [pod, dev, net] of [
    ["p1", "va", "10.0.1"],
    ["p2", "vb", "10.0.2"],
  ] as const) {
    const n = d.ns(pod, "pod");
    Object.assign(n.sysctl, sysctl);
    n.addresses.push({ dev: "eth0", addr: `${net}.2/24` });
    n.routes.push({ dst: "default", via: `${net}.1`, dev: "eth0" });
    node.addresses.push({ dev, addr: `${net}.1/24` });
    const m = pod === "p1" ? 1500 : mtu;
    d.veth({ ns: "n1", name: dev, mtu: m }, { ns: pod, name: "eth0", mtu: m });
  }
  const rules: string[] = [];
  for (let i = d.pick([1, 1, 2]); i > 0; i--) {
    const every = 3 + r.below(10);
    const from = d.pick(["10.0.1.2", "10.0.2.2"]);
    // Handshakes mostly get through: a lost one costs a second.
    const data = d.chance(66) ? " -m length --length 100:1500" : "";
    rules.push(
      `-A FORWARD -s ${from} -p tcp${data} -m statistic --mode nth --every ${every} --packet ${r.below(every)} -j DROP`,
    );
  }
  node.iptables = `*filter\n${rules.join("\n")}\nCOMMIT\n`;
  const size = (): number => d.pick([1 + r.below(500), 500 + r.below(3500), 4000 + r.below(8000)]);
  const traffic: TrafficOp[] = [];
  for (let i = d.pick([1, 2, 3]); i > 0; i--)
    traffic.push({
      op: "tcp",
      id: `s${i}`,
      ns: "p1",
      dst: "10.0.2.2",
      sport: 40_000 + i,
      dport: 8000 + i,
      timeout: d.pick([0.6, 3]),
      server: { ns: "p2", port: 8000 + i },
      c2s: size(),
      s2c: size(),
    });
  traffic.push({ op: "sleep", id: "end", seconds: 2.5 });
  return {
    name,
    netns: d.netns as LabTopology["netns"],
    links: d.links,
    traffic,
    ...({ title: name, what: "TCP with losses" } as object),
  };
}
