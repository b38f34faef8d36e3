// Where ingress policy of a pod of the node is evaluated, and how the packet gets to its device: bpf/lib/local_delivery.h.

import { describe, expect, it } from "vitest";
import { PlainNode } from "../../../../src/bench/programs_node.js";
import { ip4, udp } from "../../../../src/net/build.js";
import { monitorLines } from "../../../support/monitor_lines.js";
import { A, B, frame, NODE, R } from "../../../support/program_frames.js";

const ROUTES = { ENABLE_ROUTING: false, USE_BPF_PROG_FOR_INGRESS_POLICY: true };
const LEGACY = { ENABLE_HOST_ROUTING: false };

type From = "pod" | "netdev" | "host";

/** A packet to pod B: what is asked of the kernel, the mark it goes with, and whether B's policy program ran. */
function deliver(o: {
  readonly from: From;
  readonly netkit?: boolean;
  readonly config?: Record<string, boolean>;
}): [to: string, mark: string, policy: "at the source" | "at the device"] {
  const enable_netkit = o.netkit === true;
  const node = new PlainNode({
    config: { MONITOR_AGGREGATION: 0, ...o.config },
    variables: { enable_netkit },
    reader: true,
    ctSize: 256,
  });
  const [program, src, ifindex] =
    o.from === "pod"
      ? ([node.a.from_container, A, 101] as const)
      : o.from === "netdev"
        ? ([node.eth0.from_netdev, R, 10] as const)
        : ([node.ciliumHost.from_host, NODE, 21] as const);
  const skb = node.receive(frame(ip4({ src, dst: B }), udp({ src: 20000, dst: 53 }), "hello"), ifindex);
  // Sent, not received: what the host sends, and what a pod sends on netkit.
  if (o.from === "host" || (o.from === "pod" && enable_netkit)) skb.ingressIfindex = 0;
  if (o.from === "host") skb.mark = 0x0c00;
  expect(program.run(skb)).toBe(7);
  const ran = monitorLines(node.maps).some((l) => l.startsWith("-> endpoint 1002 "));
  const { redirectKind, redirectIfindex } = node.helpers;
  return [
    `${redirectKind}(${redirectIfindex})`,
    (skb.mark >>> 0).toString(16),
    ran ? "at the source" : "at the device",
  ];
}

const POD = "4e210f00";

describe("delivery to a pod of the node", () => {
  it.each([
    ["pod", {}, ["redirect_peer(102)", POD, "at the source"]],
    ["netdev", {}, ["redirect_peer(102)", "0", "at the source"]],
    ["host", {}, ["redirect(102)", "0", "at the source"]],
    ["pod", ROUTES, ["redirect_peer(102)", POD, "at the source"]],
    ["netdev", ROUTES, ["redirect_peer(102)", "0", "at the source"]],
    // The identity goes in the mark to cil_to_container.
    ["host", ROUTES, ["redirect(102)", "10f00", "at the device"]],
    ["host", { ...ROUTES, ...LEGACY }, ["redirect(102)", "10f00", "at the device"]],
    ["host", LEGACY, ["redirect(102)", "0", "at the source"]],
  ] as const)("from the %s on veth with %j", (from, config, expected) => {
    expect(deliver({ from, config })).toEqual(expected);
  });

  it.each([
    ["pod", {}, ["redirect(102)", POD, "at the source"]],
    ["netdev", {}, ["redirect_peer(102)", "0", "at the source"]],
    ["host", {}, ["redirect(102)", "0", "at the source"]],
    ["pod", ROUTES, ["redirect(102)", POD, "at the source"]],
    ["netdev", ROUTES, ["redirect_peer(102)", "0", "at the source"]],
    ["host", ROUTES, ["redirect(102)", "0", "at the source"]],
  ] as const)("from the %s on netkit with %j", (from, config, expected) => {
    expect(deliver({ from, netkit: true, config })).toEqual(expected);
  });
});
