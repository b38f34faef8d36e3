// IPv4 and IPv6 programs do the same: random sequences of packets through a node of each family, with services, NAT and
// policy; after every packet verdict, mark, translation, random numbers used and the whole conntrack table agree.

import { describe, expect, it } from "vitest";
import type { BpfMap } from "../../maps/bpf_map.js";
import {
  ETH0_IFINDEX,
  frame4,
  NODE,
  PlainNode,
  POD_A,
  POD_B,
  POD_R,
  WORLD,
} from "../../src/bench/programs_node.js";
import { toHex } from "../../src/net/view.js";
import fc from "../support/fast_check.js";
import { flow6, frame6, NODE6, Node6, POD6_A, POD6_B, POD6_R, segment, WORLD6 } from "../support/node6.js";
import { flowOf, putService4 } from "../support/services.js";

const PORT = 30080;
const NODEPORT_ROUTABLE = 2 | 64;
const REDIRECT = 7;

/** Pods A and B of the node, remote pod R, world W, the node N. */
type Name = "A" | "B" | "R" | "W" | "N";
const V4: Record<Name, number> = { A: POD_A, B: POD_B, R: POD_R, W: WORLD, N: NODE };
const V6: Record<Name, Uint8Array> = { A: POD6_A, B: POD6_B, R: POD6_R, W: WORLD6, N: NODE6 };

function name4(addr: number): string {
  return Object.entries(V4).find(([, a]) => a === addr)?.[0] ?? String(addr);
}

function name6(addr: Uint8Array): string {
  const text = toHex(addr);
  return Object.entries(V6).find(([, a]) => toHex(a) === text)?.[0] ?? text;
}

interface Packet {
  /** Where it starts: a pod's device, or eth0. */
  readonly from: "A" | "B" | "eth0";
  readonly src: Name;
  readonly dst: Name;
  readonly sport: number;
  readonly dport: number;
}

const port = fc.constantFrom(1025, 33000, 40000, 40001);

/** Requests and replies of masqueraded, service and direct flows. */
const packet: fc.Arbitrary<Packet> = port.chain((p) =>
  fc.constantFrom<Packet>(
    { from: "A", src: "A", dst: "W", sport: p, dport: 443 },
    { from: "eth0", src: "W", dst: "N", sport: 443, dport: p },
    { from: "eth0", src: "W", dst: "N", sport: p, dport: PORT },
    { from: "eth0", src: "R", dst: "N", sport: 8080, dport: p },
    { from: "B", src: "B", dst: "W", sport: 8080, dport: p },
    { from: "A", src: "A", dst: "N", sport: p, dport: PORT },
    { from: "B", src: "B", dst: "A", sport: 8080, dport: p },
    { from: "eth0", src: "W", dst: "B", sport: p, dport: 80 },
    { from: "eth0", src: "R", dst: "A", sport: 8080, dport: p },
  ),
);

const step = fc.record({
  packet,
  proto: fc.constantFrom<6 | 17>(6, 6, 17),
  /** SYN, ACK, FIN-ACK, RST, SYN-ACK, RST-ACK, PSH-ACK. */
  flags: fc.constantFrom(0x02, 0x10, 0x11, 0x04, 0x12, 0x14, 0x18),
  seconds: fc.constantFrom(0, 0, 0, 1, 6, 11, 61),
});

interface Seen {
  readonly ret: number;
  readonly mark: number;
  readonly flow: string;
  /** The packet goes on to the network: to-netdev is next. */
  readonly leaves: boolean;
}

function through4(n: PlainNode, p: Packet, frame: Uint8Array): Seen[] {
  const one = (
    run: (typeof n.eth0)["from_netdev"],
    f: Uint8Array,
    ifindex: number,
    mark: number,
  ): [Seen, Uint8Array] => {
    const skb = n.receive(f, ifindex);
    skb.mark = mark;
    const ret = run.run(skb);
    const out = skb.bytes.slice(skb.data, skb.tail);
    const { saddr, daddr, sport, dport } = flowOf(out);
    const to = name4(daddr);
    const flow = `${name4(saddr)}:${sport}>${to}:${dport}`;
    return [{ ret, mark: skb.mark, flow, leaves: ret === REDIRECT && (to === "W" || to === "R") }, out];
  };
  if (p.from === "eth0") return [one(n.eth0.from_netdev, frame, ETH0_IFINDEX, 0)[0]];
  const a = p.from === "A";
  const [seen, out] = one(a ? n.a.from_container : n.b.from_container, frame, a ? 101 : 102, 0);
  if (!seen.leaves) return [seen];
  return [seen, one(n.eth0.to_netdev, out, ETH0_IFINDEX, ((a ? 20001 : 20002) << 16) | 0x0f00)[0]];
}

function through6(n: Node6, p: Packet, frame: Uint8Array): Seen[] {
  const one = (
    run: (typeof n.eth0)["from_netdev"],
    f: Uint8Array,
    ifindex: number,
    mark: number,
  ): [Seen, Uint8Array] => {
    const { ret, frame: out } = n.run(run, f, ifindex, mark);
    const { saddr, daddr, sport, dport } = flow6(out);
    const to = name6(daddr);
    const flow = `${name6(saddr)}:${sport}>${to}:${dport}`;
    return [{ ret, mark: n.skb.mark, flow, leaves: ret === REDIRECT && (to === "W" || to === "R") }, out];
  };
  if (p.from === "eth0") return [one(n.eth0.from_netdev, frame, ETH0_IFINDEX, 0)[0]];
  const a = p.from === "A";
  const [seen, out] = one(a ? n.a.from_container : n.b.from_container, frame, a ? 101 : 102, 0);
  if (!seen.leaves) return [seen];
  return [seen, one(n.eth0.to_netdev, out, ETH0_IFINDEX, ((a ? 20001 : 20002) << 16) | 0x0f00)[0]];
}

/** Entries with names for addresses: lifetime, flags, rev NAT index, TCP flags seen. */
function table(map: BpfMap, addrs: (key: Uint8Array) => string, ports: number): string[] {
  return map
    .dump()
    .map(({ key, value }) => {
      // The protocol of RELATED entries is the family's own ICMP.
      const rest = toHex(key.subarray(ports)).replace(/^(.{8})3a/, "$101");
      return `${addrs(key)} ${rest} ${toHex(value.subarray(32, 40))} ${toHex(value.subarray(42, 44))}`;
    })
    .sort();
}

function table4(map: BpfMap): string[] {
  const at = (key: Uint8Array, off: number): string =>
    name4(new DataView(key.buffer, key.byteOffset).getInt32(off, true));
  return table(map, (key) => `${at(key, 0)} ${at(key, 4)}`, 8);
}

function table6(map: BpfMap): string[] {
  return table(map, (key) => `${name6(key.slice(0, 16))} ${name6(key.slice(16, 32))}`, 32);
}

describe("the programs of both families", () => {
  it("agree on every packet of a random sequence", () => {
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 40 }),
        fc.boolean(),
        fc.array(fc.integer(), { minLength: 8, maxLength: 8 }),
        (steps, local, draws) => {
          const n4 = new PlainNode();
          const n6 = new Node6();
          let used4 = 0;
          let used6 = 0;
          n4.helpers.get_prandom_u32 = () => draws[used4++ % draws.length];
          n6.helpers.get_prandom_u32 = () => draws[used6++ % draws.length];
          for (const proto of [6, 17]) {
            putService4(n4.maps, {
              address: NODE,
              port: PORT,
              proto,
              rev: 9,
              flags: NODEPORT_ROUTABLE,
              backends: [{ id: 7, address: local ? POD_B : POD_R, port: 8080 }],
            });
            n6.service(NODE6, PORT, proto, NODEPORT_ROUTABLE, local ? POD6_B : POD6_R, 8080);
          }
          for (const { packet: p, proto, flags, seconds } of steps) {
            n4.clock.advance(seconds * 1e9);
            n6.clock.advance(seconds * 1e9);
            const s4 = through4(n4, p, frame4(V4[p.src], V4[p.dst], proto, p.sport, p.dport, flags));
            const s6 = through6(
              n6,
              p,
              frame6(V6[p.src], V6[p.dst], proto, segment(proto, p.sport, p.dport, flags)),
            );
            expect(s6).toEqual(s4);
            expect(used6).toBe(used4);
            expect(table6(n6.maps.cilium_ct6_global)).toEqual(table4(n4.maps.cilium_ct4_global));
            expect(table6(n6.maps.cilium_ct_any6_global)).toEqual(table4(n4.maps.cilium_ct_any4_global));
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
