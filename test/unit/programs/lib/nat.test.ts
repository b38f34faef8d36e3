import { beforeEach, describe, expect, it } from "vitest";
import { __snat_clamp_port_range } from "../../../../programs/lib/nat.js";
import {
  ETH0_IFINDEX,
  frame4,
  ip,
  NODE,
  PlainNode,
  POD_A,
  WORLD,
} from "../../../../src/bench/programs_node.js";
import type { Skb } from "../../../../src/bpf/skb.js";
import { toHex } from "../../../../src/net/view.js";
import { checksumsRight, flowOf, icmpFrame } from "../../../support/services.js";

const OK = 0;
const SHOT = 2;
const POD_MARK = (20001 << 16) | 0x0f00;
const OTHER = ip("203.0.113.77");

let node: PlainNode;
beforeEach(() => {
  node = new PlainNode({ ctSize: 4096 });
});

function send(frame: Uint8Array, mark = POD_MARK): { ret: number; frame: Uint8Array } {
  const skb = node.receive(frame, ETH0_IFINDEX);
  skb.mark = mark;
  return { ret: node.eth0.to_netdev.run(skb), frame: bytesOf(skb) };
}

function receive(frame: Uint8Array): { ret: number; frame: Uint8Array } {
  const skb = node.receive(frame, ETH0_IFINDEX);
  return { ret: node.eth0.from_netdev.run(skb), frame: bytesOf(skb) };
}

function bytesOf(skb: Skb): Uint8Array {
  return skb.bytes.slice(skb.data, skb.tail);
}

/** The random numbers that port allocation draws. */
function random(...values: number[]): void {
  let i = 0;
  node.helpers.get_prandom_u32 = () => values[i++ % values.length] | 0;
}

/** Takes the port on the node's address for another flow to `peer`. */
function occupy(peer: number, peerPort: number, port: number, proto = 6): void {
  const key = new Uint8Array(14);
  const v = new DataView(key.buffer);
  v.setInt32(0, NODE, true);
  v.setInt32(4, peer, true);
  v.setUint16(8, port);
  v.setUint16(10, peerPort);
  key[12] = proto;
  key[13] = 1;
  node.maps.cilium_snat_v4_external.set(key, new Uint8Array(40));
}

function retries(n: number): number {
  const map = node.maps.cilium_snat_v4_alloc_retries;
  return map.words[map.cpuWord(n)];
}

function drops(reason: number): number {
  let n = 0;
  for (const { key, value } of node.maps.cilium_metrics.dump()) if (key[0] === reason) n += value[0];
  return n;
}

describe("port allocation", () => {
  it("spreads a 16-bit number over the range by multiplication", () => {
    expect(__snat_clamp_port_range(32768, 65535, 0)).toBe(32768);
    expect(__snat_clamp_port_range(32768, 65535, 0xffff)).toBe(65535);
    expect(__snat_clamp_port_range(32768, 65535, 0x8000)).toBe(49152);
    expect(__snat_clamp_port_range(1000, 1000, 12345)).toBe(1000);
    expect(__snat_clamp_port_range(0, 65535, 4711)).toBe(4711);
  });

  it("keeps a source port that lies in the range", () => {
    const { ret, frame } = send(frame4(POD_A, WORLD, 6, 40000, 443, 2));
    expect(ret).toBe(OK);
    expect(flowOf(frame)).toEqual({ saddr: NODE, daddr: WORLD, sport: 40000, dport: 443 });
    expect(checksumsRight(frame)).toBe(true);
    expect(retries(0)).toBe(1);
  });

  it("takes a random port for a source port outside of the range", () => {
    random(0x8000);
    const { frame } = send(frame4(POD_A, WORLD, 6, 1025, 443, 2));
    expect(flowOf(frame)).toEqual({ saddr: NODE, daddr: WORLD, sport: 49152, dport: 443 });
    expect(checksumsRight(frame)).toBe(true);
  });

  it("draws once more after a collision, then tries successors through the same formula", () => {
    random(0x4000);
    occupy(WORLD, 443, 40000);
    expect(flowOf(send(frame4(POD_A, WORLD, 6, 40000, 443, 2)).frame).sport).toBe(40960);
    expect(retries(1)).toBe(1);
    // 40960 is taken as well now: the next candidate is 40961 clamped, 32768 + (40961 >> 1).
    occupy(WORLD, 444, 40001);
    occupy(WORLD, 444, 40960);
    expect(flowOf(send(frame4(POD_A, WORLD, 6, 40001, 444, 2)).frame).sport).toBe(32768 + (40961 >> 1));
    expect(retries(2)).toBe(1);
  });

  it("lets flows to different peers share a port", () => {
    occupy(OTHER, 443, 40000);
    occupy(WORLD, 80, 40000);
    expect(flowOf(send(frame4(POD_A, WORLD, 6, 40000, 443, 2)).frame).sport).toBe(40000);
  });

  it("drops with reason 167 after 32 taken candidates and signals the agent", () => {
    random(0);
    occupy(WORLD, 443, 40000);
    let port = 32768;
    for (let i = 0; i < 32; i++) {
      occupy(WORLD, 443, port);
      port = __snat_clamp_port_range(32768, 65535, port + 1);
    }
    node.maps.cilium_signals.enabled = true;
    const { ret } = send(frame4(POD_A, WORLD, 6, 40000, 443, 2));
    expect(ret).toBe(SHOT);
    expect(drops(167)).toBe(1);
    expect(retries(32)).toBe(1);
    const signals: string[] = [];
    node.maps.cilium_signals.read((sample) => signals.push(toHex(sample.subarray(0, 8))));
    expect(signals).toEqual(["0000000000000000"]);
  });
});

describe("mappings", () => {
  it("stay with a flow: a retransmission has the same port and makes no entry", () => {
    random(0x1234);
    const first = flowOf(send(frame4(POD_A, WORLD, 6, 1025, 443, 2)).frame);
    random(0x7777);
    expect(flowOf(send(frame4(POD_A, WORLD, 6, 1025, 443, 2)).frame)).toEqual(first);
    expect(node.maps.cilium_snat_v4_external.size).toBe(2);
  });

  it("bring replies back to the pod, and nobody else's packets", () => {
    random(0x1234);
    const out = flowOf(send(frame4(POD_A, WORLD, 6, 1025, 443, 2)).frame);
    const { frame } = receive(frame4(WORLD, NODE, 6, 443, out.sport, 0x12));
    expect(flowOf(frame)).toEqual({ saddr: WORLD, daddr: POD_A, sport: 443, dport: 1025 });
    expect(checksumsRight(frame)).toBe(true);
    const stranger = frame4(OTHER, NODE, 6, 443, out.sport, 0x12);
    expect(flowOf(receive(stranger).frame)).toEqual(flowOf(stranger));
  });

  it("get their evicted reverse half back with the next packet", () => {
    send(frame4(POD_A, WORLD, 6, 40000, 443, 2));
    const map = node.maps.cilium_snat_v4_external;
    for (const { key } of map.dump()) if (key[13] === 1) map.delete(key);
    expect(map.size).toBe(1);
    send(frame4(POD_A, WORLD, 6, 40000, 443));
    expect(map.size).toBe(2);
    expect(flowOf(receive(frame4(WORLD, NODE, 6, 443, 40000)).frame).daddr).toBe(POD_A);
  });

  it("get their evicted forward half back with a reply", () => {
    send(frame4(POD_A, WORLD, 6, 40000, 443, 2));
    const map = node.maps.cilium_snat_v4_external;
    for (const { key } of map.dump()) if (key[13] === 0) map.delete(key);
    receive(frame4(WORLD, NODE, 6, 443, 40000, 0x12));
    expect(map.size).toBe(2);
  });

  it("are not made for traffic inside of the cluster", () => {
    const frame = frame4(POD_A, ip("10.10.1.21"), 6, 40000, 80, 2);
    expect(flowOf(send(frame).frame)).toEqual(flowOf(frame));
    expect(node.maps.cilium_snat_v4_external.size).toBe(0);
  });

  it("carry ICMP echo by its identifier", () => {
    random(0x2222);
    const echo = icmpFrame(POD_A, WORLD, 8, 0, 0x00070001, new Uint8Array(8));
    const out = send(echo).frame;
    expect(flowOf(out).saddr).toBe(NODE);
    expect(checksumsRight(out)).toBe(true);
    const id = flowOf(out).sport;
    const back = receive(icmpFrame(WORLD, NODE, 0, 0, (id << 16) | 1, new Uint8Array(8))).frame;
    expect(flowOf(back)).toEqual({ saddr: WORLD, daddr: POD_A, sport: 7, dport: 0 });
    expect(checksumsRight(back)).toBe(true);
  });
});

describe("ICMP errors", () => {
  it("about a translated packet reach the pod with its own addresses inside", () => {
    random(0x1234);
    const sent = send(frame4(POD_A, WORLD, 17, 1025, 53)).frame;
    const router = ip("198.51.100.1");
    const { frame } = receive(icmpFrame(router, NODE, 3, 4, 1400, sent.slice(14, 14 + 28)));
    expect(flowOf(frame).daddr).toBe(POD_A);
    expect(flowOf(frame).saddr).toBe(router);
    const inner = new Uint8Array(14 + 28);
    inner.set(frame.subarray(42), 14);
    expect(flowOf(inner)).toEqual({ saddr: POD_A, daddr: WORLD, sport: 1025, dport: 53 });
    expect(checksumsRight(frame)).toBe(true);
  });

  it("about an unknown packet are left alone", () => {
    const other = frame4(NODE, WORLD, 17, 40001, 53);
    const error = icmpFrame(WORLD, NODE, 3, 3, 0, other.slice(14));
    expect(receive(error).frame).toEqual(error);
  });
});

describe("a full NAT map", () => {
  it("evicts old flows and lets new ones in, and drops nothing", () => {
    node = new PlainNode({ ctSize: 64 });
    for (let i = 0; i < 500; i++) expect(send(frame4(POD_A, WORLD, 6, 33000 + i, 443, 2)).ret).toBe(OK);
    expect(node.maps.cilium_snat_v4_external.size).toBeLessThanOrEqual(64);
    expect(drops(167)).toBe(0);
  });

  it("keeps a flow that stays in use while others come and go", () => {
    node = new PlainNode({ ctSize: 64 });
    send(frame4(POD_A, WORLD, 6, 32800, 443, 2));
    for (let i = 0; i < 500; i++) {
      send(frame4(POD_A, WORLD, 6, 33000 + i, 443, 2));
      send(frame4(POD_A, WORLD, 6, 32800, 443));
    }
    expect(flowOf(receive(frame4(WORLD, NODE, 6, 443, 32800)).frame).daddr).toBe(POD_A);
  });
});
