import { beforeEach, describe, expect, it } from "vitest";
import { toHex } from "../../../../src/net/view.js";
import {
  checksum6Right,
  ETH0,
  flow6,
  frame6,
  icmp6,
  NODE6,
  Node6,
  POD6_A,
  POD6_B,
  POD6_R,
  type Result6,
  segment,
  WORLD6,
} from "../../../support/node6.js";

const REDIRECT = 7;
const SHOT = 2;
const SYN = 2;
const SYN_ACK = 0x12;
const POD_MARK = (20001 << 16) | 0x0f00;
const NODEPORT_ROUTABLE = 2 | 64;
const PORT = 30080;

let node: Node6;
beforeEach(() => {
  node = new Node6();
});

function out(frame: Uint8Array): Result6 {
  return node.run(node.eth0.to_netdev, frame, ETH0, POD_MARK);
}

function into(frame: Uint8Array): Result6 {
  return node.run(node.eth0.from_netdev, frame, ETH0);
}

/** Addresses as hex, so that failures can be read. */
function flow(f: Uint8Array): unknown[] {
  const { saddr, daddr, sport, dport } = flow6(f);
  return [toHex(saddr), toHex(daddr), sport, dport];
}

function want(saddr: Uint8Array, daddr: Uint8Array, sport: number, dport: number): unknown[] {
  return [toHex(saddr), toHex(daddr), sport, dport];
}

describe("IPv6 masquerading", () => {
  it("keeps a port in the range and translates the reply back", () => {
    const sent = out(frame6(POD6_A, WORLD6, 6, segment(6, 40000, 443, SYN))).frame;
    expect(flow(sent)).toEqual(want(NODE6, WORLD6, 40000, 443));
    expect(checksum6Right(sent)).toBe(true);
    const back = into(frame6(WORLD6, NODE6, 6, segment(6, 443, 40000, SYN_ACK))).frame;
    expect(flow(back)).toEqual(want(WORLD6, POD6_A, 443, 40000));
    expect(checksum6Right(back)).toBe(true);
  });

  it("draws a port for one outside of the range, and keeps it for the flow", () => {
    node.helpers.get_prandom_u32 = () => 0x8000;
    for (let i = 0; i < 2; i++) {
      const sent = out(frame6(POD6_A, WORLD6, 17, segment(17, 1025, 53))).frame;
      expect(flow(sent)).toEqual(want(NODE6, WORLD6, 49152, 53));
      expect(checksum6Right(sent)).toBe(true);
    }
    expect(node.maps.cilium_snat_v6_external.size).toBe(2);
  });

  it("leaves cluster traffic alone", () => {
    const frame = frame6(POD6_A, POD6_R, 6, segment(6, 40000, 80, SYN));
    expect(flow(out(frame).frame)).toEqual(flow(frame));
  });

  it("carries echo by its identifier", () => {
    node.helpers.get_prandom_u32 = () => 0x2222;
    const sent = out(frame6(POD6_A, WORLD6, 58, icmp6(128, 0, 0x00070001, new Uint8Array(8)))).frame;
    expect(toHex(flow6(sent).saddr)).toBe(toHex(NODE6));
    expect(checksum6Right(sent)).toBe(true);
    const id = flow6(sent).sport;
    const back = into(frame6(WORLD6, NODE6, 58, icmp6(129, 0, (id << 16) | 1, new Uint8Array(8)))).frame;
    expect(flow(back)).toEqual(want(WORLD6, POD6_A, 7, 0));
    expect(checksum6Right(back)).toBe(true);
  });

  it("translates errors, with what they quote", () => {
    node.helpers.get_prandom_u32 = () => 0x1234;
    for (const proto of [6, 17] as const) {
      const sent = out(frame6(POD6_A, WORLD6, proto, segment(proto, 1025, 53, SYN))).frame;
      const error = into(frame6(WORLD6, NODE6, 58, icmp6(2, 0, 1280, sent.slice(14)))).frame;
      expect(toHex(flow6(error).daddr)).toBe(toHex(POD6_A));
      expect(checksum6Right(error)).toBe(true);
      const inner = new Uint8Array(14 + error.length - 62);
      inner.set(error.subarray(62), 14);
      expect(flow(inner)).toEqual(want(POD6_A, WORLD6, 1025, 53));
    }
  });
});

describe("an IPv6 node port", () => {
  it("with a remote backend forwards and translates the reply", () => {
    node.service(NODE6, PORT, 6, NODEPORT_ROUTABLE, POD6_R, 8080);
    const sent = into(frame6(WORLD6, NODE6, 6, segment(6, 40000, PORT, SYN)));
    expect(sent.ret).toBe(REDIRECT);
    expect(flow(sent.frame)).toEqual(want(NODE6, POD6_R, 40000, 8080));
    expect(checksum6Right(sent.frame)).toBe(true);
    const back = into(frame6(POD6_R, NODE6, 6, segment(6, 8080, 40000, SYN_ACK)));
    expect(back.ret).toBe(REDIRECT);
    expect(flow(back.frame)).toEqual(want(NODE6, WORLD6, PORT, 40000));
    expect(checksum6Right(back.frame)).toBe(true);
  });

  it("with a local backend delivers, and the reply leaves with the service's address", () => {
    node.service(NODE6, PORT, 6, NODEPORT_ROUTABLE, POD6_B, 8080);
    const sent = into(frame6(WORLD6, NODE6, 6, segment(6, 40000, PORT, SYN)));
    expect(flow(sent.frame)).toEqual(want(WORLD6, POD6_B, 40000, 8080));
    const reply = node.run(
      node.b.from_container,
      frame6(POD6_B, WORLD6, 6, segment(6, 8080, 40000, SYN_ACK)),
      102,
    );
    const left = node.run(node.eth0.to_netdev, reply.frame, ETH0, (20002 << 16) | 0x0f00);
    expect(flow(left.frame)).toEqual(want(NODE6, WORLD6, PORT, 40000));
    expect(checksum6Right(left.frame)).toBe(true);
  });

  it("without backend answers at most 1000 times at once, then drops with reason 198", () => {
    node = new Node6({ SERVICE_NO_BACKEND_RESPONSE: true });
    node.service(NODE6, PORT, 17, NODEPORT_ROUTABLE, POD6_R, 8080);
    node.maps.cilium_lb6_services_v2.delete(
      Uint8Array.from([...NODE6, PORT >> 8, PORT & 255, 1, 0, 17, 0, 0, 0]),
    );
    const frame = frame6(WORLD6, NODE6, 17, segment(17, 40000, PORT));
    const { ret, frame: answer } = into(frame);
    expect(ret).toBe(REDIRECT);
    expect([answer[20], answer[54], answer[55]]).toEqual([58, 1, 4]);
    expect(toHex(flow6(answer).daddr)).toBe(toHex(WORLD6));
    expect(checksum6Right(answer)).toBe(true);
    for (let i = 1; i < 1000; i++) into(frame);
    expect(into(frame).ret).toBe(SHOT);
    node.clock.advance(2e9);
    expect(into(frame).ret).toBe(REDIRECT);
  });
});
