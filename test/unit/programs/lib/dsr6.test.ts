import { describe, expect, it } from "vitest";
import { DSR_ENCAP_NONE } from "../../../../programs/config.js";
import { toHex } from "../../../../src/net/view.js";
import {
  addr6,
  checksum6Right,
  ETH0,
  flow6,
  frame6,
  NODE6,
  Node6,
  POD6_B,
  POD6_R,
  segment,
  WORLD6,
} from "../../../support/node6.js";

const REDIRECT = 7;
const SHOT = 2;
const XDP_TX = 3;
const SYN = 2;
const SYN_ACK = 0x12;
const NODEPORT_ROUTABLE = 2 | 64;
const PORT = 30080;
const VIP = addr6("2001:db8:1::80");

function dsrNode(icmpErrors = false): Node6 {
  return new Node6({
    ENABLE_DSR: true,
    DSR_ENCAP_MODE: DSR_ENCAP_NONE,
    ENABLE_DSR_ICMP_ERRORS: icmpErrors,
  });
}

/** A SYN with the destination option that names `VIP` port 80 (network order). */
function withOption(frame: Uint8Array): Uint8Array {
  const out = new Uint8Array(frame.length + 24);
  out.set(frame.subarray(0, 54));
  out.set(frame.subarray(54), 78);
  out[19] += 24;
  out[54] = out[20];
  out[20] = 60;
  out.set([2, 0x1b, 20], 55);
  out.set(VIP, 58);
  out.set([0, 80, 0, 0], 74);
  return out;
}

describe("IPv6 DSR", () => {
  it("puts address and port of the service into a destination option, on the SYN only", () => {
    const node = dsrNode();
    node.service(NODE6, PORT, 6, NODEPORT_ROUTABLE, POD6_R, 8080);
    const syn = node.run(node.eth0.from_netdev, frame6(WORLD6, NODE6, 6, segment(6, 40000, PORT, SYN)), ETH0);
    expect(syn.ret).toBe(REDIRECT);
    expect(syn.frame.length).toBe(74 + 24);
    expect([syn.frame[19], syn.frame[20]]).toEqual([44, 60]);
    expect(toHex(syn.frame.subarray(54, 78))).toBe(`06021b14${toHex(NODE6)}75800000`);
    expect(toHex(flow6(syn.frame).daddr)).toBe(toHex(POD6_R));
    const ack = node.run(node.eth0.from_netdev, frame6(WORLD6, NODE6, 6, segment(6, 40000, PORT)), ETH0);
    expect(ack.frame.length).toBe(74);
    expect(checksum6Right(ack.frame)).toBe(true);
  });

  it("is understood by the backend's node, which answers with the service's address", () => {
    const node = dsrNode();
    const syn = withOption(frame6(WORLD6, POD6_B, 6, segment(6, 40000, 8080, SYN)));
    expect(node.run(node.eth0.from_netdev, syn, ETH0).ret).toBe(REDIRECT);
    const reply = node.run(
      node.b.from_container,
      frame6(POD6_B, WORLD6, 6, segment(6, 8080, 40000, SYN_ACK)),
      102,
    );
    const out = node.run(node.eth0.to_netdev, reply.frame, ETH0, (20002 << 16) | 0x0f00);
    const f = flow6(out.frame);
    expect([toHex(f.saddr), f.sport, f.dport]).toEqual([toHex(VIP), 80, 40000]);
    expect(checksum6Right(out.frame)).toBe(true);
  });

  it("answers packets that do not fit with packet too big", () => {
    const node = dsrNode(true);
    node.service(NODE6, PORT, 17, NODEPORT_ROUTABLE, POD6_R, 8080);
    const big = new Uint8Array(1440);
    big.set(segment(17, 40000, PORT));
    big[4] = 1440 >> 8;
    big[5] = 1440 & 255;
    const { ret, frame } = node.run(node.eth0.from_netdev, frame6(WORLD6, NODE6, 17, big), ETH0);
    expect(ret).toBe(REDIRECT);
    expect([frame[20], frame[54], frame[55]]).toEqual([58, 2, 0]);
    expect((frame[60] << 8) | frame[61]).toBe(1500 - 24);
    expect(toHex(flow6(frame).daddr)).toBe(toHex(WORLD6));
    expect(checksum6Right(frame)).toBe(true);
  });

  it("drops chains of more than four extension headers with reason 156", () => {
    const node = dsrNode();
    const inner = segment(6, 40000, 8080, SYN);
    const chain = new Uint8Array(5 * 8 + inner.length);
    for (let i = 0; i < 5; i++) chain[i * 8] = i === 4 ? 6 : 60;
    chain.set(inner, 40);
    const frame = frame6(WORLD6, POD6_B, 6, chain);
    frame[20] = 60;
    // The helper has put a checksum where the third header is.
    frame.set(chain, 54);
    expect(node.run(node.eth0.from_netdev, frame, ETH0).ret).toBe(SHOT);
    expect(
      node.maps.cilium_metrics
        .dump()
        .map(({ key }) => key[0])
        .filter((r) => r >= 130),
    ).toEqual([156]);
  });
});

describe("IPv6 in XDP", () => {
  it("forwards to remote backends and back on the device that the packet came in on", () => {
    const node = new Node6({ ENABLE_NODEPORT_ACCELERATION: true });
    const xdp = node.datapath.loadXdp({ interface_ifindex: ETH0, host_ep_id: 4 }).xdp_entry;
    node.service(NODE6, PORT, 6, NODEPORT_ROUTABLE, POD6_R, 8080);
    const out = node.run(xdp, frame6(WORLD6, NODE6, 6, segment(6, 40000, PORT, SYN)), ETH0);
    expect(out.ret).toBe(XDP_TX);
    expect(toHex(flow6(out.frame).daddr)).toBe(toHex(POD6_R));
    const back = node.run(xdp, frame6(POD6_R, NODE6, 6, segment(6, 8080, 40000, SYN_ACK)), ETH0);
    expect(back.ret).toBe(XDP_TX);
    const f = flow6(back.frame);
    expect([toHex(f.saddr), toHex(f.daddr), f.sport, f.dport]).toEqual([
      toHex(NODE6),
      toHex(WORLD6),
      PORT,
      40000,
    ]);
    expect(checksum6Right(back.frame)).toBe(true);
  });
});
