// A TCP connection between two pods of a node, from SYN until the collector takes it, and one that policy refuses: the
// conntrack entries in full after every packet, with the verdicts and the aggregated trace events that go with them.

import { describe, expect, it } from "vitest";
import { gcConntrack } from "../../../maps/ct_gc.js";
import { PlainNode } from "../../../src/bench/programs_node.js";
import { ip4, tcp } from "../../../src/net/build.js";
import { ctLines, T0 } from "../../support/ct_text.js";
import { monitorLines } from "../../support/monitor_lines.js";
import { A, B, frame } from "../../support/program_frames.js";

const OUT = "TCP OUT 10.10.0.11:40000 > 10.10.0.12:80";
const IN = "TCP IN 10.10.0.11:40000 > 10.10.0.12:80";
const RELATED = [
  "ICMP IN REL 10.10.0.11:0 > 10.10.0.12:0 expires=60 tx=00@- rx=02@0 src=20001",
  "ICMP OUT REL 10.10.0.11:0 > 10.10.0.12:0 expires=60 tx=02@0 rx=00@- src=20001",
];
const FLOW = "10.10.0.11:40000 -> 10.10.0.12:80 tcp";
const BACK = "10.10.0.12:80 -> 10.10.0.11:40000 tcp";
const TO_B = "-> endpoint 1002 flow 0x0 , identity 20001->20002 state";
const TO_A = "-> endpoint 1001 flow 0x0 , identity 20002->20001 state";

/** The agent's default report mask: SYN, FIN and RST. */
function makeNode(): PlainNode {
  return new PlainNode({ reader: true, ctSize: 256, config: { CT_REPORT_FLAGS: 0x07 } });
}

/** Sends a segment between the pods; entries but RELATED ones, and events. */
function send(node: PlainNode, from: "a" | "b", flags: number): { entries: string[]; events: string[] } {
  const ends =
    from === "a"
      ? [ip4({ src: A, dst: B }), tcp({ src: 40000, dst: 80, flags })]
      : [ip4({ src: B, dst: A }), tcp({ src: 80, dst: 40000, flags })];
  const skb = node.receive(frame(...ends), from === "a" ? 101 : 102);
  node[from].from_container.run(skb);
  return {
    entries: ctLines(node.maps).filter((line) => line.startsWith("TCP")),
    events: monitorLines(node.maps),
  };
}

function wait(node: PlainNode, seconds: number): void {
  node.clock.advance(seconds * 1e9);
}

/** What the agent's collector takes away now. */
function collect(node: PlainNode): number {
  const now = node.clock.sec;
  const { cilium_ct4_global, cilium_ct_any4_global, cilium_snat_v4_external } = node.maps;
  return (
    gcConntrack(cilium_ct4_global, cilium_snat_v4_external, now).deleted +
    gcConntrack(cilium_ct_any4_global, cilium_snat_v4_external, now).deleted
  );
}

describe("a TCP connection", () => {
  it("has the entries of each step from SYN to collection", () => {
    const node = makeNode();

    // SYN: entries at both pods with the SYN timeout, each for its own direction, and their ICMP companions.
    expect(send(node, "a", 0x02)).toEqual({
      entries: [`${IN} expires=60 tx=00@- rx=02@0 src=20001`, `${OUT} expires=60 tx=02@0 rx=00@- src=20001`],
      events: [
        `Policy verdict log: flow 0x0 local EP ID 1001, remote ID 20002, proto 6, egress, action allow, auth: disabled, match all, ${FLOW} SYN`,
        `Policy verdict log: flow 0x0 local EP ID 1002, remote ID 20001, proto 6, ingress, action allow, auth: disabled, match all, ${FLOW} SYN`,
        `${TO_B} new ifindex 102 orig-ip 10.10.0.11: ${FLOW} SYN`,
      ],
    });
    expect(ctLines(node.maps).filter((line) => line.startsWith("ICMP"))).toEqual(RELATED);

    // SYN-ACK: reply at both; still the SYN timeout, because every packet so far had SYN.
    wait(node, 1);
    expect(send(node, "b", 0x12)).toEqual({
      entries: [`${IN} expires=61 tx=02@1 rx=02@0 src=20001`, `${OUT} expires=61 tx=02@0 rx=02@1 src=20001`],
      events: [`${TO_A} reply ifindex 101 orig-ip 10.10.0.12: ${BACK} SYN, ACK`],
    });

    // ACK: the established timeout; no new flag of the mask, last report 1 s ago: no event.
    expect(send(node, "a", 0x10)).toEqual({
      entries: [
        `${IN} expires=8001 SeenNonSyn tx=02@1 rx=02@0 src=20001`,
        `${OUT} expires=8001 SeenNonSyn tx=02@0 rx=02@1 src=20001`,
      ],
      events: [],
    });

    // Data 5 s after the report: not more than the interval, so silent; a second later it is.
    wait(node, 4);
    expect(send(node, "a", 0x18).events).toEqual([]);
    wait(node, 1);
    expect(send(node, "a", 0x18)).toEqual({
      entries: [
        `${IN} expires=8006 SeenNonSyn tx=02@1 rx=02@6 src=20001`,
        `${OUT} expires=8006 SeenNonSyn tx=02@6 rx=02@1 src=20001`,
      ],
      events: [`${TO_B} established ifindex 102 orig-ip 10.10.0.11: ${FLOW} ACK`],
    });

    // First FIN: closes its direction only, the lifetime stays.
    expect(send(node, "a", 0x11)).toEqual({
      entries: [
        `${IN} expires=8006 RxClosing|SeenNonSyn tx=02@1 rx=03@6 src=20001`,
        `${OUT} expires=8006 TxClosing|SeenNonSyn tx=03@6 rx=02@1 src=20001`,
      ],
      events: [`${TO_B} established ifindex 102 orig-ip 10.10.0.11: ${FLOW} ACK, FIN`],
    });

    // Second FIN: both closed, ten seconds to live.
    wait(node, 1);
    expect(send(node, "b", 0x11)).toEqual({
      entries: [
        `${IN} expires=17 RxClosing|TxClosing|SeenNonSyn tx=03@7 rx=03@6 src=20001`,
        `${OUT} expires=17 RxClosing|TxClosing|SeenNonSyn tx=03@6 rx=03@7 src=20001`,
      ],
      events: [`${TO_A} reply ifindex 101 orig-ip 10.10.0.12: ${BACK} ACK, FIN`],
    });

    // The last ACK finds a dead entry: nothing changes, and the event of the miss before it stays.
    wait(node, 1);
    expect(send(node, "a", 0x10)).toEqual({
      entries: [
        `${IN} expires=17 RxClosing|TxClosing|SeenNonSyn tx=03@7 rx=03@6 src=20001`,
        `${OUT} expires=17 RxClosing|TxClosing|SeenNonSyn tx=03@6 rx=03@7 src=20001`,
      ],
      events: [`${TO_B} established ifindex 102 orig-ip 10.10.0.11: ${FLOW} ACK`],
    });

    // Look-ups do not expire; the collector does.
    wait(node, 9);
    expect(collect(node)).toBe(0);
    wait(node, 1);
    expect(collect(node)).toBe(2);
    expect(ctLines(node.maps)).toEqual(RELATED);
    wait(node, 43);
    expect(node.clock.sec - T0).toBe(61);
    expect(collect(node)).toBe(2);
    expect(ctLines(node.maps)).toEqual([]);
  });

  it("begins anew when a SYN reuses the ports of a closed one, with new verdicts", () => {
    const node = makeNode();
    for (const [from, flags] of [
      ["a", 0x02],
      ["b", 0x12],
      ["a", 0x10],
      ["a", 0x11],
      ["b", 0x11],
    ] as const) {
      send(node, from, flags);
    }
    wait(node, 3);
    const { entries, events } = send(node, "a", 0x02);
    expect(entries).toEqual([
      `${IN} expires=63 tx=00@- rx=02@3 src=20001`,
      `${OUT} expires=63 tx=02@3 rx=00@- src=20001`,
    ]);
    expect(events.map((e) => e.slice(0, 50))).toEqual([
      "Policy verdict log: flow 0x0 local EP ID 1001, rem",
      "Policy verdict log: flow 0x0 local EP ID 1002, rem",
      "-> endpoint 1002 flow 0x0 , identity 20001->20002 ",
    ]);
  });

  it("is closed in both directions at once by RST, whichever end sends it", () => {
    for (const from of ["a", "b"] as const) {
      const node = makeNode();
      send(node, "a", 0x02);
      send(node, "b", 0x12);
      send(node, "a", 0x10);
      wait(node, 2);
      const { entries } = send(node, from, 0x04);
      const [tx, rx] = from === "a" ? ["06@2", "02@0"] : ["02@0", "06@2"];
      expect(entries).toEqual([
        `${IN} expires=12 RxClosing|TxClosing|SeenNonSyn tx=${rx} rx=${tx} src=20001`,
        `${OUT} expires=12 RxClosing|TxClosing|SeenNonSyn tx=${tx} rx=${rx} src=20001`,
      ]);
    }
  });

  it("refreshes the SYN timeout and reports nothing when the SYN is sent again", () => {
    const node = makeNode();
    send(node, "a", 0x02);
    wait(node, 1);
    expect(send(node, "a", 0x02)).toEqual({
      entries: [`${IN} expires=61 tx=00@- rx=02@0 src=20001`, `${OUT} expires=61 tx=02@0 rx=00@- src=20001`],
      events: [],
    });
  });

  it("is taken up in the middle: ACK without a connection is new with the SYN timeout", () => {
    const node = makeNode();
    expect(send(node, "a", 0x10).entries).toEqual([
      `${IN} expires=60 tx=00@- rx=02@0 src=20001`,
      `${OUT} expires=60 tx=02@0 rx=00@- src=20001`,
    ]);
  });

  it("lives as long as profile 1.11 says, and is reopened there", () => {
    const node = new PlainNode({
      reader: true,
      ctSize: 256,
      config: { CT_REPORT_FLAGS: 0x07, profile: "1.11" },
    });
    send(node, "a", 0x02);
    send(node, "b", 0x12);
    expect(send(node, "a", 0x10).entries).toEqual([
      `${IN} expires=21600 SeenNonSyn tx=02@0 rx=02@0 src=20001`,
      `${OUT} expires=21600 SeenNonSyn tx=02@0 rx=02@0 src=20001`,
    ]);
    send(node, "a", 0x11);
    send(node, "b", 0x11);
    wait(node, 1);
    expect(send(node, "a", 0x02).entries).toEqual([
      `${IN} expires=21601 SeenNonSyn tx=03@0 rx=03@0 src=20001`,
      `${OUT} expires=21601 SeenNonSyn tx=03@0 rx=03@0 src=20001`,
    ]);
  });
});

describe("a TCP connection that policy refuses", () => {
  it("leaves the sender's entry only, and a drop with its reason, when ingress refuses", () => {
    const node = makeNode();
    node.revoke(1002, "ingress", 0);
    expect(send(node, "a", 0x02)).toEqual({
      entries: [`${OUT} expires=60 tx=02@0 rx=00@- src=20001`],
      events: [
        `Policy verdict log: flow 0x0 local EP ID 1001, remote ID 20002, proto 6, egress, action allow, auth: disabled, match all, ${FLOW} SYN`,
        `Policy verdict log: flow 0x0 local EP ID 1002, remote ID 20001, proto 6, ingress, action deny, auth: disabled, match none, ${FLOW} SYN`,
        `xx drop (Policy denied) flow 0x0 to endpoint 1002, ifindex 101, file bpf_lxc.c:2381, , identity 20001->20002: ${FLOW} SYN`,
      ],
    });
    // The SYN again: the sender's side knows it, the receiver refuses as before.
    wait(node, 1);
    expect(send(node, "a", 0x02)).toEqual({
      entries: [`${OUT} expires=61 tx=02@0 rx=00@- src=20001`],
      events: [
        `Policy verdict log: flow 0x0 local EP ID 1002, remote ID 20001, proto 6, ingress, action deny, auth: disabled, match none, ${FLOW} SYN`,
        `xx drop (Policy denied) flow 0x0 to endpoint 1002, ifindex 101, file bpf_lxc.c:2381, , identity 20001->20002: ${FLOW} SYN`,
      ],
    });
    wait(node, 61);
    expect(collect(node)).toBe(2);
    expect(ctLines(node.maps)).toEqual([]);
  });

  it("leaves no entry at all when egress refuses", () => {
    const node = makeNode();
    node.revoke(1001, "egress", 0);
    const { entries, events } = send(node, "a", 0x02);
    expect(entries).toEqual([]);
    expect(events).toEqual([
      `Policy verdict log: flow 0x0 local EP ID 1001, remote ID 20002, proto 6, egress, action deny, auth: disabled, match none, ${FLOW} SYN`,
      `xx drop (Policy denied) flow 0x0 to endpoint 0, ifindex 101, file bpf_lxc.c:1651, , identity 20001->20002: ${FLOW} SYN`,
    ]);
    expect(ctLines(node.maps)).toEqual([]);
  });

  it("is cut off at the next packet when the policy changes, but its replies still pass", () => {
    const node = makeNode();
    send(node, "a", 0x02);
    send(node, "b", 0x12);
    node.revoke(1002, "ingress", 0);
    const before = ctLines(node.maps).filter((line) => line.startsWith(IN));
    const { events } = send(node, "a", 0x10);
    expect(events.map((e) => e.slice(0, 24))).toEqual([
      "Policy verdict log: flow",
      "xx drop (Policy denied) ",
    ]);
    // The look-up before the verdict has refreshed the entry; nobody takes it back.
    expect(before).toEqual([`${IN} expires=60 tx=02@0 rx=02@0 src=20001`]);
    expect(ctLines(node.maps).filter((line) => line.startsWith(IN))).toEqual([
      `${IN} expires=8000 SeenNonSyn tx=02@0 rx=02@0 src=20001`,
    ]);
    wait(node, 6);
    expect(send(node, "b", 0x10).events).toEqual([
      `${TO_A} reply ifindex 101 orig-ip 10.10.0.12: ${BACK} ACK`,
    ]);
  });
});
