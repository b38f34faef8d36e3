// Bandwidth manager, L2 announcements, authentication, WireGuard's marks.

import { describe, expect, it } from "vitest";
import { auth_lookup } from "../../../../programs/lib/auth.js";
import { IS_BPF_HOST } from "../../../../programs/lib/ctx.js";
import { edt_sched_departure, edt_set_aggregate } from "../../../../programs/lib/edt.js";
import { handle_l2_announcement4 } from "../../../../programs/lib/l2_responder.js";
import { ctx_is_wireguard, set_decrypt_mark } from "../../../../programs/lib/wireguard.js";
import { PlainNode } from "../../../../src/bench/programs_node.js";
import { arp, buildFrame, countingBytes, eth, ip4, udp } from "../../../../src/net/build.js";
import { toHex } from "../../../../src/net/view.js";
import { enterProgram } from "../../../support/program_ctx.js";
import { A, frame, WORLD } from "../../../support/program_frames.js";

/** 1000 bytes to the world. */
const FRAME = frame(ip4({ src: A, dst: WORLD }), udp({ src: 1, dst: 2 }), countingBytes(958));

describe("edt_sched_departure", () => {
  /** Endpoint 1001 may send `bps` bytes a second; what would wait 2 s or more is dropped. */
  function limited(bps: number, prio = 0): PlainNode {
    const node = new PlainNode({ ctSize: 64, config: { ENABLE_BANDWIDTH_MANAGER: true } });
    const key = new Uint8Array(node.maps.cilium_throttle.spec.keySize);
    new DataView(key.buffer).setUint32(0, 1001, true);
    const value = new Uint8Array(node.maps.cilium_throttle.spec.valueSize);
    const v = new DataView(value.buffer);
    v.setBigUint64(0, BigInt(bps), true);
    v.setBigUint64(16, 2_000_000_000n, true);
    v.setUint32(24, prio, true);
    node.maps.cilium_throttle.set(key, value);
    return node;
  }

  it("spaces packets by their length at the rate, and drops beyond the horizon", () => {
    const node = limited(1000);
    const now = node.clock.ns;
    const departures = [1, 2, 3].map(() => {
      const { ctx } = enterProgram({ frame: FRAME, node });
      edt_set_aggregate(ctx, 1001);
      const ret = edt_sched_departure(ctx, 0x800);
      return [ret, ctx.skb.tstamp[0] === 0 ? 0 : ctx.skb.tstamp[0] - now, ctx.skb.queueMapping];
    });
    expect(departures).toEqual([
      [0, 0, 0],
      [0, 1e9, 0],
      [-162, 0, 0],
    ]);
  });

  it("leaves packets alone that count against nobody, and sets the priority of those that do", () => {
    const node = limited(1000, 7);
    let { ctx } = enterProgram({ frame: FRAME, node });
    expect([edt_sched_departure(ctx, 0x800), ctx.skb.priority]).toEqual([0, 0]);
    ({ ctx } = enterProgram({ frame: FRAME, node }));
    edt_set_aggregate(ctx, 1001);
    expect([edt_sched_departure(ctx, 0x800), ctx.skb.priority]).toEqual([0, 6]);
  });
});

describe("handle_l2_announcement4", () => {
  const request = buildFrame([
    eth({ dst: "ff:ff:ff:ff:ff:ff", src: "02:00:00:00:00:05" }),
    arp({ sha: "02:00:00:00:00:05", spa: "192.168.10.5", tpa: "192.168.10.200" }),
  ]);

  function announced(): PlainNode {
    const node = new PlainNode({ ctSize: 64 });
    const key = Uint8Array.of(192, 168, 10, 200, 10, 0, 0, 0);
    node.maps.cilium_l2_responder_v4.set(key, new Uint8Array(8));
    return node;
  }

  function ask(node: PlainNode, seenAgo: number): { verdict: number; frame: string } {
    const seen = new Uint8Array(8);
    new DataView(seen.buffer).setBigUint64(0, BigInt(node.clock.ns - seenAgo), true);
    node.maps.cilium_runtime_config.set(Uint8Array.of(1, 0, 0, 0), seen);
    const { ctx } = enterProgram({
      frame: request,
      node,
      kind: IS_BPF_HOST,
      ifindex: 10,
      config: { interface_mac: Uint8Array.of(2, 0, 0, 0, 0, 1), l2_announcements_max_liveness: 3e9 },
    });
    const verdict = handle_l2_announcement4(ctx);
    return { verdict, frame: toHex(ctx.skb.frame()) };
  }

  it("answers for an announced address with the device's MAC, and counts the answer", () => {
    const node = announced();
    expect(ask(node, 1e9)).toEqual({
      verdict: 7,
      frame: "0200000000050200000000010806000108000604000202000000000" + "1c0a80ac8020000000005c0a80a05",
    });
    expect(node.maps.cilium_l2_responder_v4.dump()[0].value[0]).toBe(1);
  });

  it("is silent when the agent has not been seen lately, and about other addresses", () => {
    expect(ask(announced(), 4e9)).toEqual({ verdict: 0, frame: toHex(request) });
    expect(ask(new PlainNode({ ctSize: 64 }), 1e9)).toEqual({ verdict: 0, frame: toHex(request) });
  });
});

describe("auth_lookup", () => {
  it("asks the agent for a pair that is not authenticated, and fails without the peer's node id", () => {
    const { ctx } = enterProgram({ frame: FRAME });
    expect([auth_lookup(ctx, 20001, 20002, 0, 1), ctx.ext_err]).toEqual([-189, 1]);
    expect(auth_lookup(ctx, 20001, 20002, 0x0c0aa8c0, 1)).toBe(-197);
  });
});

describe("WireGuard", () => {
  it("packets are UDP from port to port, from a member of the cluster", () => {
    const wg = frame(ip4({ src: A, dst: WORLD }), udp({ src: 51871, dst: 51871 }));
    const { ctx } = enterProgram({ frame: wg, config: { wg_port: 51871 } });
    expect([6, 2, 20001].map((id) => ctx_is_wireguard(ctx, 34, 17, id))).toEqual([true, false, true]);
    expect(ctx_is_wireguard(ctx, 34, 6, 6)).toBe(false);
    const other = enterProgram({ frame: FRAME, config: { wg_port: 51871 } });
    expect(ctx_is_wireguard(other.ctx, 34, 17, 6)).toBe(false);
  });

  it("leaves the decrypt mark with the node id", () => {
    const { ctx } = enterProgram({ frame: FRAME });
    set_decrypt_mark(ctx, 0x1234);
    expect(ctx.skb.mark).toBe(0x12340d00);
  });
});
