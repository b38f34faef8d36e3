// Policy look-ups: precedence, deny, wildcards, ICMP types, audit mode, authentication, proxy ports, statistics.

import { describe, expect, it } from "vitest";
import { PolicyKey, PolicyValue } from "../../../../maps/policy.js";
import { PolicyResult, policy_can_egress, policy_can_ingress } from "../../../../programs/lib/policy.js";
import { PlainNode } from "../../../../src/bench/programs_node.js";
import { icmp, icmp6, ip4, ip6, tcp, udp } from "../../../../src/net/build.js";
import { enterProgram } from "../../../support/program_ctx.js";
import { A, A6, B, B6, frame } from "../../../support/program_frames.js";

const DENIED = -133;

interface Rule {
  /** Identity of the peer; 0 = any. */
  readonly id?: number;
  readonly proto?: number;
  readonly port?: number;
  /** Bits of the port that count; 16 if there is a port. */
  readonly portBits?: number;
  readonly deny?: boolean;
  readonly proxyPort?: number;
  /** Precedence of the entry; the agent gives an allow rule 0xffffff01 and a deny rule 0xffffffff. */
  readonly precedence?: number;
}

/** Ingress rules of pod A. */
function nodeWith(rules: readonly Rule[], def = {}): PlainNode {
  const node = new PlainNode({ ctSize: 64, ipv6: true, reader: true, config: def });
  node.revoke(1001, "ingress", 0);
  const map = node.maps.addPolicyMap(1001);
  for (const r of rules) {
    const be = (((r.port ?? 0) & 0xff) << 8) | ((r.port ?? 0) >>> 8);
    const key = new PolicyKey().set(r.id ?? 0, 0, r.proto ?? 0, be);
    const bits = r.proto === undefined ? 0 : r.port === undefined ? 8 : 8 + (r.portBits ?? 16);
    key.prefixlen = 40 + bits;
    const precedence = r.precedence ?? (r.deny === true ? 0xffffffff : 0xffffff01);
    const proxy = (((r.proxyPort ?? 0) & 0xff) << 8) | ((r.proxyPort ?? 0) >>> 8);
    const value = new PolicyValue().set(proxy, r.deny ?? false, bits, precedence | 0);
    map.update(key.words, value.words, 0);
  }
  return node;
}

/** Verdict, match type and proxy port (host order) of a TCP connection of `id` to `port`. */
function ask(node: PlainNode, id: number, port: number, proto: 6 | 17 = 6): [number, number, number] {
  const l4 = proto === 6 ? tcp({ src: 40000, dst: port }) : udp({ src: 40000, dst: port });
  const { ctx } = enterProgram({
    frame: frame(ip4({ src: B, dst: A }), l4),
    node,
    policy: node.maps.addPolicyMap(1001),
  });
  const be = ((port & 0xff) << 8) | (port >>> 8);
  const res = new PolicyResult();
  const ret = policy_can_ingress(ctx, id, 20001, 0x800, be, proto, 34, false, res);
  return [ret, res.match_type, ((res.proxy_port & 0xff) << 8) | (res.proxy_port >>> 8)];
}

describe("policy_can_ingress", () => {
  it("denies without a rule, and says that nothing matched", () => {
    expect(ask(nodeWith([]), 20002, 80)).toEqual([DENIED, 0, 0]);
  });

  it.each([
    [{ id: 20002, proto: 6, port: 80 }, 2],
    [{ proto: 6, port: 80 }, 3],
    [{ id: 20002 }, 1],
    [{}, 4],
    [{ id: 20002, proto: 6 }, 5],
    [{ proto: 6 }, 6],
  ])("says of rule %j that the match was of type %i", (rule, match) => {
    expect(ask(nodeWith([rule]), 20002, 80)).toEqual([0, match, 0]);
  });

  it("admits the identity, protocol and port of the rule, no other", () => {
    const node = nodeWith([{ id: 20002, proto: 6, port: 80 }]);
    expect(ask(node, 20002, 80)[0]).toBe(0);
    expect(ask(node, 20003, 80)[0]).toBe(DENIED);
    expect(ask(node, 20002, 81)[0]).toBe(DENIED);
    expect(ask(node, 20002, 80, 17)[0]).toBe(DENIED);
  });

  it("admits the ports of a range by its prefix", () => {
    const node = nodeWith([{ proto: 6, port: 8064, portBits: 10 }]);
    expect([8063, 8064, 8100, 8127, 8128].map((p) => ask(node, 20002, p)[0])).toEqual([
      DENIED,
      0,
      0,
      0,
      DENIED,
    ]);
  });

  it("denies by a deny rule, however wide, against any allow rule", () => {
    const node = nodeWith([{ id: 20002, proto: 6, port: 80 }, { deny: true }]);
    expect(ask(node, 20002, 80)).toEqual([-181, 4, 0]);
    const other = nodeWith([{}, { id: 20002, proto: 6, port: 80, deny: true }]);
    expect(ask(other, 20002, 80)).toEqual([-181, 2, 0]);
    expect(ask(other, 20002, 81)).toEqual([0, 4, 0]);
  });

  it("takes the entry of higher precedence, and of equals the longer port", () => {
    const node = nodeWith([
      { id: 20002, proxyPort: 1000 },
      { proto: 6, port: 80, proxyPort: 2000 },
    ]);
    expect(ask(node, 20002, 80)).toEqual([0, 3, 2000]);
    const ranked = nodeWith([
      { id: 20002, proxyPort: 1000, precedence: 0xffffff02 },
      { proto: 6, port: 80, proxyPort: 2000 },
    ]);
    expect(ask(ranked, 20002, 80)).toEqual([0, 1, 1000]);
  });

  it("matches ICMP by its type, and lets `fragmentation needed` through whatever the rules", () => {
    const node = nodeWith([{ proto: 1, port: 8 }]);
    const verdict = (type: number, code: number): number => {
      const { ctx } = enterProgram({
        frame: frame(ip4({ src: B, dst: A }), icmp({ type, code, id: 1 })),
        node,
        policy: node.maps.addPolicyMap(1001),
      });
      return policy_can_ingress(ctx, 20002, 20001, 0x800, 0, 1, 34, false, new PolicyResult());
    };
    // The rule's port is the type in the high byte of the key, as the agent writes it.
    expect([verdict(8, 0), verdict(13, 0), verdict(3, 1), verdict(3, 4)]).toEqual([0, DENIED, DENIED, 0]);
  });

  it("matches ICMPv6 by its type", () => {
    const node = nodeWith([{ proto: 58, port: 128 }]);
    const verdict = (type: number): number => {
      const { ctx } = enterProgram({
        frame: frame(ip6({ src: B6, dst: A6 }), icmp6({ type, id: 1 })),
        node,
        policy: node.maps.addPolicyMap(1001),
      });
      return policy_can_ingress(ctx, 20002, 20001, 0x86dd, 0, 58, 54, false, new PolicyResult());
    };
    expect([verdict(128), verdict(129)]).toEqual([0, DENIED]);
  });

  it("lets denied packets pass in audit mode, and says so", () => {
    const node = nodeWith([], { POLICY_AUDIT_MODE: true });
    const { ctx } = enterProgram({
      frame: frame(ip4({ src: B, dst: A }), tcp({ src: 1, dst: 80 })),
      node,
      policy: node.maps.addPolicyMap(1001),
    });
    const res = new PolicyResult();
    expect(policy_can_ingress(ctx, 20002, 20001, 0x800, 0x5000, 6, 34, false, res)).toBe(0);
    expect(res.audited).toBe(1);
  });

  it("denies fragments that have no ports with their own reason", () => {
    const node = nodeWith([]);
    const { ctx } = enterProgram({
      frame: frame(ip4({ src: B, dst: A }), tcp({ src: 1, dst: 80 })),
      node,
      policy: node.maps.addPolicyMap(1001),
    });
    expect(policy_can_ingress(ctx, 20002, 20001, 0x800, 0, 6, 34, true, new PolicyResult())).toBe(-157);
  });

  it("counts packets and bytes of the entry that decided", () => {
    const node = nodeWith([{ id: 20002, proto: 6, port: 80 }]);
    ask(node, 20002, 80);
    ask(node, 20002, 80);
    const [row, ...rest] = node.maps.cilium_policystats.dump();
    expect(rest).toEqual([]);
    const v = new DataView(row.value.buffer, row.value.byteOffset);
    expect([v.getBigUint64(0, true), v.getBigUint64(8, true)]).toEqual([2n, 108n]);
  });
});

describe("policy_can_egress", () => {
  it("never lets a pod build tunnel packets itself", () => {
    const node = new PlainNode({ ctSize: 64, config: { ENCAP_IFINDEX: 30 } });
    const { ctx } = enterProgram({
      frame: frame(ip4({ src: A, dst: B }), udp({ src: 1, dst: 8472 })),
      node,
      policy: node.maps.addPolicyMap(1001),
    });
    const tunnelPort = 0x1821;
    expect(policy_can_egress(ctx, 20001, 20002, 0x800, tunnelPort, 17, 34, new PolicyResult())).toBe(-170);
    expect(policy_can_egress(ctx, 20001, 20002, 0x800, 0x3500, 17, 34, new PolicyResult())).toBe(0);
  });
});
