import { beforeEach, describe, expect, it } from "vitest";
import {
  ETH0_IFINDEX,
  frame4,
  ip,
  NODE,
  PlainNode,
  POD_A,
  POD_R,
  REMOTE_NODE,
  WORLD,
} from "../../../../src/bench/programs_node.js";
import { checksumsRight, flowOf } from "../../../support/services.js";

const OK = 0;
const SHOT = 2;
const REDIRECT = 7;
const POD_MARK = (20001 << 16) | 0x0f00;
const TUNNEL_IFINDEX = 30;
const EGRESS_IP = ip("192.168.10.99");
const EXCLUDED = ip("0.0.0.1");

let node: PlainNode;

beforeEach(() => {
  node = new PlainNode({
    config: { ENABLE_EGRESS_GATEWAY: true, TUNNEL_MODE: true, ENCAP_IFINDEX: TUNNEL_IFINDEX },
  });
});

/** Traffic of `saddr` to `prefix`/`bits` leaves by `gateway` with `egress`. */
function policy(saddr: number, prefix: number, bits: number, egress: number, gateway: number): void {
  const key = new Uint8Array(12);
  const k = new DataView(key.buffer);
  k.setUint32(0, 32 + bits, true);
  k.setInt32(4, saddr, true);
  k.setInt32(8, prefix, true);
  const value = new Uint8Array(8);
  const v = new DataView(value.buffer);
  v.setInt32(0, egress, true);
  v.setInt32(4, gateway, true);
  node.maps.cilium_egress_gw_policy_v4.set(key, value);
}

function toNetdev(frame: Uint8Array): { ret: number; frame: Uint8Array } {
  const skb = node.receive(frame, ETH0_IFINDEX);
  skb.mark = POD_MARK;
  const ret = node.eth0.to_netdev.run(skb);
  return { ret, frame: skb.bytes.slice(skb.data, skb.tail) };
}

/** Drop reasons counted. */
function drops(): number[] {
  return node.maps.cilium_metrics
    .dump()
    .map(({ key }) => key[0])
    .filter((r) => r >= 130);
}

describe("on the pod's node", () => {
  const frame = frame4(POD_A, WORLD, 6, 40000, 443, 2);

  it("sends the packet unchanged into the tunnel to the gateway", () => {
    policy(POD_A, WORLD & 0xffffff, 24, EGRESS_IP, REMOTE_NODE);
    const out = toNetdev(frame);
    expect(out.ret).toBe(REDIRECT);
    expect(node.helpers.redirectIfindex).toBe(TUNNEL_IFINDEX);
    expect(node.skb.tunnel.remoteIp4).toBe(REMOTE_NODE);
    expect(node.skb.tunnel.id).toBe(20001);
    expect(flowOf(out.frame)).toEqual(flowOf(frame));
  });

  it("drops with reason 194 when the policy has no gateway", () => {
    policy(POD_A, WORLD, 32, EGRESS_IP, 0);
    expect(toNetdev(frame).ret).toBe(SHOT);
    expect(drops()).toEqual([194]);
  });

  it("treats excluded destinations as if there were no policy", () => {
    policy(POD_A, WORLD & 0xffffff, 24, EGRESS_IP, REMOTE_NODE);
    policy(POD_A, WORLD, 32, EGRESS_IP, EXCLUDED);
    const out = toNetdev(frame);
    expect(out.ret).toBe(OK);
    expect(flowOf(out.frame).saddr).toBe(NODE);
  });

  it("keeps traffic of other pods and of the cluster out of it", () => {
    policy(POD_A, 0, 0, EGRESS_IP, REMOTE_NODE);
    const inside = frame4(POD_A, POD_R, 6, 40000, 443, 2);
    expect(flowOf(toNetdev(inside).frame)).toEqual(flowOf(inside));
    const other = frame4(ip("10.10.0.12"), WORLD, 6, 40000, 443, 2);
    expect(flowOf(toNetdev(other).frame).saddr).toBe(NODE);
  });
});

describe("on the gateway", () => {
  const request = frame4(POD_R, WORLD, 6, 40000, 443, 2);

  it("leaves with the policy's egress address, and the reply goes into the pod's tunnel", () => {
    policy(POD_R, WORLD & 0xffffff, 24, EGRESS_IP, NODE);
    const out = toNetdev(request);
    expect(flowOf(out.frame)).toEqual({ saddr: EGRESS_IP, daddr: WORLD, sport: 40000, dport: 443 });
    expect(checksumsRight(out.frame)).toBe(true);
    const skb = node.receive(frame4(WORLD, EGRESS_IP, 6, 443, 40000, 0x12), ETH0_IFINDEX);
    expect(node.eth0.from_netdev.run(skb)).toBe(REDIRECT);
    expect(node.helpers.redirectIfindex).toBe(TUNNEL_IFINDEX);
    expect(skb.tunnel.remoteIp4).toBe(REMOTE_NODE);
    expect(skb.tunnel.id).toBe(2);
    expect(flowOf(skb.bytes.slice(skb.data, skb.tail))).toEqual({
      saddr: WORLD,
      daddr: POD_R,
      sport: 443,
      dport: 40000,
    });
  });

  it("drops with reason 204 when it has no egress address", () => {
    policy(POD_R, WORLD, 32, 0, NODE);
    expect(toNetdev(request).ret).toBe(SHOT);
    expect(drops()).toEqual([204]);
  });

  it("uses the most specific of several policies", () => {
    policy(POD_R, 0, 0, ip("192.168.10.98"), NODE);
    policy(POD_R, WORLD & 0xffff, 16, EGRESS_IP, NODE);
    expect(flowOf(toNetdev(request).frame).saddr).toBe(EGRESS_IP);
    expect(flowOf(toNetdev(frame4(POD_R, ip("8.8.8.8"), 6, 40000, 443, 2)).frame).saddr).toBe(
      ip("192.168.10.98"),
    );
  });
});
