// Policy look-ups: precedence, deny, wildcards, ICMP types, audit mode, authentication, proxy ports, statistics.

import { describe, expect, it } from "vitest";
import { PolicyKey, PolicyValue } from "../../../../maps/policy.js";
import { type CompileConfig, compileConfig, type ObjectConfig } from "../../../../programs/config.js";
import { IS_BPF_HOST, type ObjectKind } from "../../../../programs/lib/ctx.js";
import { PolicyResult, policy_can_egress, policy_can_ingress } from "../../../../programs/lib/policy.js";
import { PlainNode } from "../../../../src/bench/programs_node.js";
import { Step, StepRecorder } from "../../../../src/bpf/steps.js";
import { icmp, icmp6, ip4, ip6, tcp, udp } from "../../../../src/net/build.js";
import { enterProgram, samples } from "../../../support/program_ctx.js";
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
  readonly auth?: number;
  readonly explicitAuth?: boolean;
  readonly cookie?: number;
  readonly egress?: boolean;
}

/** Ingress rules of pod A. */
function nodeWith(rules: readonly Rule[], def = {}): PlainNode {
  const node = new PlainNode({ ctSize: 64, ipv6: true, reader: true, config: def });
  node.revoke(1001, "ingress", 0);
  const map = node.maps.addPolicyMap(1001);
  for (const r of rules) {
    const be = (((r.port ?? 0) & 0xff) << 8) | ((r.port ?? 0) >>> 8);
    const key = new PolicyKey().set(r.id ?? 0, r.egress === true ? 1 : 0, r.proto ?? 0, be);
    const bits = r.proto === undefined ? 0 : r.port === undefined ? 8 : 8 + (r.portBits ?? 16);
    key.prefixlen = 40 + bits;
    const precedence = r.precedence ?? (r.deny === true ? 0xffffffff : 0xffffff01);
    const proxy = (((r.proxyPort ?? 0) & 0xff) << 8) | ((r.proxyPort ?? 0) >>> 8);
    const auth = [r.auth ?? 0, r.explicitAuth ?? false, r.cookie ?? 0] as const;
    const value = new PolicyValue().set(proxy, r.deny ?? false, bits, precedence | 0, ...auth);
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

/** One packet of identity 20002 to port 80 (or ICMP), with everything that the evaluation leaves behind. */
function evaluate(
  rules: readonly Rule[] | null,
  o: {
    readonly def?: Partial<CompileConfig>;
    readonly config?: Partial<ObjectConfig>;
    readonly kind?: ObjectKind;
    readonly icmp?: readonly [type: number, code: number];
    readonly cut?: number;
    readonly egress?: boolean;
    readonly dport?: number;
    readonly proto?: number;
    readonly source?: number;
  } = {},
) {
  const node = nodeWith(rules ?? [], o.def);
  const recorder = new StepRecorder(node.clock, 8);
  const l4 =
    o.icmp === undefined ? tcp({ src: 40000, dst: 80 }) : icmp({ type: o.icmp[0], code: o.icmp[1], id: 1 });
  const whole = frame(ip4({ src: B, dst: A }), l4);
  const { ctx } = enterProgram({
    frame: o.cut === undefined ? whole : whole.subarray(0, o.cut),
    node,
    policy: rules === null ? null : node.maps.addPolicyMap(1001),
    config: o.config ?? {},
    ...(o.kind === undefined ? {} : { kind: o.kind }),
  });
  node.datapath.recorder = recorder;
  const res = new PolicyResult();
  res.proxy_port = 5;
  const proto = o.proto ?? (o.icmp === undefined ? 6 : 1);
  const dport = o.dport ?? (o.icmp === undefined ? 0x5000 : 0);
  const ret =
    o.egress === true
      ? policy_can_egress(ctx, o.source ?? 20001, 20002, 0x800, dport, proto, 34, res)
      : policy_can_ingress(ctx, 20002, 20001, 0x800, dport, proto, 34, false, res);
  return { ret, res, ext: ctx.ext_err, node, steps: recorder.records() };
}

describe("ties between the peer's entry and anybody's", () => {
  it("go to the peer's at equal precedence and port", () => {
    expect(
      ask(
        nodeWith([
          { id: 20002, proto: 6, port: 80, proxyPort: 1000 },
          { proto: 6, port: 80, proxyPort: 2000 },
        ]),
        20002,
        80,
      ),
    ).toEqual([0, 2, 1000]);
  });

  it("are not looked for where the peer's entry has the highest precedence", () => {
    expect(
      ask(
        nodeWith([
          { id: 20002, deny: true },
          { proto: 6, port: 80, deny: true },
        ]),
        20002,
        80,
      ),
    ).toEqual([-181, 1, 0]);
  });

  it("compare precedences as unsigned numbers", () => {
    const rules = [
      { id: 20002, precedence: 5, proxyPort: 1000 },
      { proto: 6, port: 80, precedence: 0x80000000, proxyPort: 2000 },
    ];
    expect(ask(nodeWith(rules), 20002, 80)).toEqual([0, 3, 2000]);
    const [a, b] = rules;
    expect(
      ask(
        nodeWith([
          { ...a, precedence: 0x80000000 },
          { ...b, precedence: 5 },
        ]),
        20002,
        80,
      ),
    ).toEqual([0, 1, 1000]);
  });
});

describe("authentication", () => {
  const verdict = (...rules: Rule[]) => {
    const { ret, ext } = evaluate(rules);
    return [ret, ext];
  };

  it("is demanded by the entry, with its type as extended error", () => {
    expect(verdict({ id: 20002, auth: 2 })).toEqual([-189, 2]);
    expect(verdict({ id: 20002, auth: 2, deny: true })).toEqual([-181, 0]);
  });

  it("is taken over from the other entry of equal precedence that asks for more", () => {
    expect(verdict({ id: 20002, auth: 1 }, { auth: 2 })).toEqual([-189, 2]);
    expect(verdict({ id: 20002, auth: 2 }, { auth: 1 })).toEqual([-189, 2]);
    expect(verdict({ id: 20002 }, { auth: 1 })).toEqual([-189, 1]);
    expect(verdict({ proto: 6, port: 80 }, { id: 20002, auth: 3 })).toEqual([-189, 3]);
  });

  it("is not taken over by an explicit entry, or from one of other precedence", () => {
    expect(verdict({ id: 20002, explicitAuth: true }, { auth: 2 })).toEqual([0, 0]);
    expect(verdict({ id: 20002, precedence: 0xffffff02 }, { auth: 2 })).toEqual([0, 0]);
  });
});

describe("what an evaluation leaves behind", () => {
  it("is proxy port, cookie and match of the entry", () => {
    const { res } = evaluate([{ id: 20002, proxyPort: 1000, cookie: 77 }]);
    expect(res).toMatchObject({ match_type: 1, proxy_port: 0xe803, cookie: 77, audited: 0 });
    res.audited = 1;
    res.reset();
    expect(res).toMatchObject({ match_type: 0, proxy_port: 0, cookie: 0, audited: 0 });
  });

  it("is the cookie of a deny entry too, but no proxy port", () => {
    expect(evaluate([{ id: 20002, proxyPort: 1000, cookie: 77, deny: true }]).res).toMatchObject({
      cookie: 77,
      proxy_port: 5,
    });
  });

  it("is a step with verdict, direction and the entry's slot", () => {
    const told = (e: ReturnType<typeof evaluate>) => e.steps.map((s) => [s.kind, s.a, s.b, s.c >= 0]);
    expect(told(evaluate([{ id: 20002 }]))).toEqual([[Step.POLICY, 0, 0, true]]);
    expect(told(evaluate([{ id: 20002, deny: true }]))).toEqual([[Step.POLICY, -181, 0, true]]);
    expect(told(evaluate([{ id: 20002, auth: 1 }]))).toEqual([[Step.POLICY, -189, 0, true]]);
    expect(told(evaluate([]))).toEqual([[Step.POLICY, DENIED, 0, false]]);
    expect(told(evaluate(null))).toEqual([[Step.POLICY, DENIED, 0, false]]);
    expect(told(evaluate([], { icmp: [3, 4] }))).toEqual([[Step.POLICY, 0, 0, false]]);
    expect(told(evaluate([{ egress: true }], { egress: true }))).toEqual([[Step.POLICY, 0, 1, true]]);
  });

  it("is a debug message where the peer's own entry decided", () => {
    const messages = (rules: readonly Rule[]) =>
      samples(evaluate(rules, { def: { DEBUG: true } }).node).map((s) => [
        s[1],
        ...new Int32Array(s.slice(8, 20).buffer),
      ]);
    expect(messages([{ id: 20002 }])).toEqual([[55, 20002, 20001, (0x5000 << 16) | 6]]);
    expect(messages([{}])).toEqual([]);
    expect(messages([])).toEqual([[5, 20002, 20001, 0]]);
    expect(samples(evaluate([{ id: 20002 }]).node)).toEqual([]);
    expect(samples(evaluate([]).node)).toEqual([]);
  });

  it("is a count under the entry's prefix and peer, of the pod or of the host", () => {
    const keys = (rules: readonly Rule[], o: Parameters<typeof evaluate>[1] = {}) =>
      evaluate(rules, o)
        .node.maps.cilium_policystats.dump()
        .map(({ key }) => {
          const v = new DataView(key.buffer, key.byteOffset);
          return [v.getUint16(0, true), key[3], v.getUint32(4, true), key[8], key[9], v.getUint16(10)];
        });
    expect(keys([{ id: 20002, proto: 6, port: 80 }])).toEqual([[1001, 24, 20002, 0, 6, 80]]);
    expect(keys([{ proto: 6 }])).toEqual([[1001, 8, 0, 0, 6, 0]]);
    expect(keys([{ id: 20002 }], { kind: IS_BPF_HOST, config: { host_ep_id: 4 } })).toEqual([
      [4, 0, 20002, 0, 0, 0],
    ]);
    expect(keys([{ egress: true, proto: 6, port: 80 }], { egress: true })).toEqual([[1001, 24, 0, 1, 6, 80]]);
    expect(keys([{ id: 20002 }], { def: { POLICY_ACCOUNTING: false } })).toEqual([]);
  });
});

describe("ICMP", () => {
  const off = { enable_icmp_rule: false };

  it("says `fragmentation needed` without a proxy, and only where that is allowed", () => {
    const e = evaluate([], { icmp: [3, 4] });
    expect([e.ret, e.res.proxy_port]).toEqual([0, 0]);
    expect(evaluate([], { icmp: [3, 4], config: { allow_icmp_frag_needed: false } }).ret).toBe(DENIED);
    expect(evaluate([], { icmp: [11, 4] }).ret).toBe(DENIED);
    // Of TCP the same bytes mean nothing.
    expect(evaluate([], { icmp: [3, 4], proto: 6 }).ret).toBe(DENIED);
  });

  it("is matched by type only where rules may say so", () => {
    const rules = [{ proto: 1, port: 8 }];
    expect(evaluate(rules, { icmp: [8, 0] }).ret).toBe(0);
    expect(evaluate(rules, { icmp: [8, 0], config: off }).ret).toBe(DENIED);
    expect(evaluate([{ proto: 1 }], { icmp: [8, 0], config: off }).ret).toBe(0);
  });

  it("is refused where it is cut off, unless nobody looks at it", () => {
    expect([41, 42].map((cut) => evaluate([], { icmp: [8, 0], cut }).ret)).toEqual([-134, DENIED]);
    const config = { allow_icmp_frag_needed: false, enable_icmp_rule: false };
    expect(evaluate([], { icmp: [8, 0], cut: 41, config }).ret).toBe(DENIED);
    const one = { icmp: [8, 0], cut: 41 } as const;
    expect(evaluate([], { ...one, config: { allow_icmp_frag_needed: false } }).ret).toBe(-134);
    expect(evaluate([], { ...one, config: off }).ret).toBe(-134);
  });

  it("v6 is matched by type only where rules may say so, and needs a type then", () => {
    const verdict = (length: number, config: Partial<ObjectConfig> = {}): number => {
      const node = nodeWith([{ proto: 58, port: 128 }]);
      const { ctx } = enterProgram({
        frame: frame(ip6({ src: B6, dst: A6 }), icmp6({ type: 128, id: 1 })).subarray(0, length),
        node,
        policy: node.maps.addPolicyMap(1001),
        config,
      });
      return policy_can_ingress(ctx, 20002, 20001, 0x86dd, 0, 58, 54, false, new PolicyResult());
    };
    expect([verdict(55), verdict(54), verdict(54, off)]).toEqual([0, -134, DENIED]);
  });
});

describe("audit mode", () => {
  const def = { POLICY_AUDIT_MODE: true };

  it("marks what it lets pass, and nothing else", () => {
    const results = [evaluate([], { def }), evaluate([{}], { def }), evaluate([])].map((e) => [
      e.ret,
      e.res.audited,
    ]);
    expect(results).toEqual([
      [0, 1],
      [0, 0],
      [DENIED, 0],
    ]);
    const denied = evaluate([{ deny: true }], { def, egress: false });
    expect([denied.ret, denied.res.audited]).toEqual([0, 1]);
  });

  it("goes for egress as well", () => {
    expect([evaluate([], { egress: true }).ret, evaluate([], { def, egress: true }).ret]).toEqual([0, 0]);
    expect(evaluate([{ egress: true, deny: true }], { egress: true }).ret).toBe(-181);
    expect(evaluate([{ egress: true, deny: true }], { egress: true, def }).ret).toBe(0);
  });
});

describe("tunnel packets of a pod's own making", () => {
  const TUNNEL = 0x1821;
  const def = { ENCAP_IFINDEX: 30 };
  const allowed = [{ egress: true }];
  const udpTo = (dport: number, more: object = {}) =>
    evaluate(allowed, { def, egress: true, proto: 17, dport, ...more }).ret;

  it("are known by protocol, port and sender, where there is a tunnel", () => {
    expect(udpTo(TUNNEL)).toBe(-170);
    expect(udpTo(TUNNEL, { source: 1 })).toBe(0);
    expect(udpTo(TUNNEL, { proto: 6 })).toBe(0);
    expect(udpTo(TUNNEL, { def: {} })).toBe(0);
    expect(compileConfig(def).TUNNEL_PORT).toBe(8472);
  });
});
