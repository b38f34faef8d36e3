// Truncated and corrupted frames through every program of several builds: nothing throws, every return value is a
// verdict, and what is dropped is counted with a reason.
// PODPATH_FUZZ_N=100000 npx vitest run --config test/vitest.config.ts test/prop/programs_fuzz is the long run: so many
// frames through each program.

import { describe, expect, it } from "vitest";
import type { CompileConfig } from "../../programs/config.js";
import { DSR_ENCAP_NONE } from "../../programs/config.js";
import { ETH0_IFINDEX, PlainNode } from "../../src/bench/programs_node.js";
import type { Program } from "../../src/bpf/program.js";
import fc from "../support/fast_check.js";
import {
  A,
  A6,
  B,
  B6,
  frames4,
  frames6,
  NODE,
  NODE6,
  R,
  R6,
  SERVICE,
  WORLD,
  WORLD6,
} from "../support/program_frames.js";

const COUNT = Number(process.env.PODPATH_FUZZ_N ?? 2_500);

const BUILDS: Readonly<Record<string, Partial<CompileConfig>>> = {
  "native routing, debug": { DEBUG: true, LB_DEBUG: true, MONITOR_AGGREGATION: 0 },
  "legacy host routing, host firewall, wireguard, bandwidth manager": {
    ENABLE_HOST_ROUTING: false,
    ENABLE_HOST_FIREWALL: true,
    ENABLE_WIREGUARD: true,
    ENABLE_NODE_ENCRYPTION: true,
    ENABLE_BANDWIDTH_MANAGER: true,
    ENABLE_L7_LB: true,
    ENABLE_SCTP: true,
    SERVICE_NO_BACKEND_RESPONSE: true,
  },
  "tunnel, egress gateway, per-endpoint routes": {
    TUNNEL_MODE: true,
    ENABLE_EGRESS_GATEWAY: true,
    USE_BPF_PROG_FOR_INGRESS_POLICY: true,
    ENABLE_MASQUERADE_IPV6: true,
    CONNTRACK_ACCOUNTING: true,
  },
  "DSR with options, XDP": {
    ENABLE_DSR: true,
    DSR_ENCAP_MODE: DSR_ENCAP_NONE,
    ENABLE_NODEPORT_ACCELERATION: true,
    ENABLE_DSR_ICMP_ERRORS: true,
    DEBUG: true,
  },
  "profile 1.11": { profile: "1.11", DEBUG: true, MONITOR_AGGREGATION: 0 },
};

const CORPUS: readonly Uint8Array[] = [
  [A, B],
  [A, R],
  [A, WORLD],
  [A, SERVICE],
  [A, NODE],
  [B, A],
  [R, A],
  [WORLD, NODE],
  [WORLD, A],
]
  .flatMap(([s, d]) => Object.values(frames4(s, d)))
  .concat(
    [
      [A6, B6],
      [A6, R6],
      [A6, WORLD6],
      [A6, NODE6],
      [R6, A6],
      [WORLD6, NODE6],
      [A6, "ff02::1:ff00:1"],
    ].flatMap(([s, d]) => Object.values(frames6(s, d))),
  );

/** A frame of the corpus with some bytes overwritten, cut anywhere. */
const mutated = fc.record({
  seed: fc.nat(CORPUS.length - 1),
  edits: fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { maxLength: 4 }),
  cut: fc.oneof({ weight: 3, arbitrary: fc.constant(-1) }, fc.nat(110)),
  mark: fc.constantFrom(0, 0x0f00, 0x0200, 0x0c00, 0x4e210a00, 0x0300, 0x0e00, 0x1d00 | 0, -1),
  cb: fc.constantFrom(0, 1, 4, -1),
});

function make(m: { seed: number; edits: [number, number][]; cut: number }): Uint8Array {
  const f = CORPUS[m.seed].slice();
  for (const [at, v] of m.edits) if (at < f.length) f[at] = v;
  return m.cut >= 0 && m.cut < f.length ? f.subarray(0, m.cut) : f;
}

/** Every program that a device of the node may have, with the device's ifindex. */
function programs(node: PlainNode): [Program, number][] {
  const wg = node.datapath.loadWireguard({ interface_ifindex: 40 });
  const xdp = node.datapath.loadXdp({ interface_ifindex: ETH0_IFINDEX });
  return [
    [node.a.from_container, 101],
    [node.a.to_container, 101],
    [node.a.policy, 101],
    [node.b.policy_egress, 102],
    [node.eth0.from_netdev, ETH0_IFINDEX],
    [node.eth0.to_netdev, ETH0_IFINDEX],
    [node.ciliumHost.from_host, 21],
    [node.ciliumHost.to_host, 20],
    [node.overlay.from_overlay, 30],
    [node.overlay.to_overlay, 30],
    [wg.from_wireguard, 40],
    [wg.to_wireguard, 40],
    [xdp.xdp_entry, ETH0_IFINDEX],
  ];
}

const VERDICTS: ReadonlySet<number> = new Set([-1, 0, 1, 2, 3, 4, 7]);

function run(node: PlainNode, program: Program, ifindex: number, frame: Uint8Array, mark = 0, cb = 0): void {
  const skb = node.receive(frame, ifindex);
  skb.mark = mark;
  skb.cb[0] = cb;
  const ret = program.run(skb);
  if (!VERDICTS.has(ret)) throw new Error(`${program.spec.name} returned ${ret}`);
  if (skb.tail < skb.data) throw new Error(`${program.spec.name} left a frame of negative length`);
}

describe.each(Object.entries(BUILDS))("%s", (_, config) => {
  const node = new PlainNode({ config, ipv6: true, reader: true, ctSize: 2048 });
  const all = programs(node);

  it("gives a verdict on every frame cut at every length", () => {
    let runs = 0;
    for (const seed of CORPUS) {
      for (let cut = 0; cut <= seed.length; cut += cut < 110 ? 1 : 17) {
        // One program a length, another one at the next frame: all meet in the end.
        const [program, ifindex] = all[(runs * 7) % all.length];
        run(node, program, ifindex, seed.subarray(0, cut));
        runs++;
      }
      node.maps.cilium_events.read(() => {});
    }
    expect(runs).toBeGreaterThan(10_000);
  });

  it("gives a verdict on every corrupted frame in every program", () => {
    let runs = 0;
    fc.assert(
      fc.property(mutated, (m) => {
        const frame = make(m);
        for (const [program, ifindex] of all) {
          run(node, program, ifindex, frame, m.mark, m.cb);
          runs++;
        }
        node.clock.advance(1000);
        node.maps.cilium_events.read(() => {});
      }),
      { numRuns: Math.ceil(COUNT / Object.keys(BUILDS).length) },
    );
    expect(runs).toBeGreaterThanOrEqual((all.length * COUNT) / Object.keys(BUILDS).length);
  });
});

describe("frames too short for their headers", () => {
  it.each(["from_container", "policy"] as const)("are dropped by %s as invalid and counted", (name) => {
    for (const frame of [frames4(A, B).udp.subarray(0, 33), frames6(A6, B6).udp.subarray(0, 53)]) {
      const node = new PlainNode({ ipv6: true });
      const skb = node.receive(frame, 101);
      expect(node.a[name].run(skb)).toBe(2);
      const metrics = node.maps.cilium_metrics.dump().map((e) => [e.key[0], e.key[1], e.value[0]]);
      // Reason 134 (invalid packet); a pod's own direction is egress, its policy program's ingress.
      expect(metrics).toEqual([[134, name === "policy" ? 1 : 2, 1]]);
    }
  });
});
