// NAT of whole packets: what goes out and is answered comes back as it was, whatever addresses, ports and collisions.

import { describe, expect, it } from "vitest";
import { __snat_clamp_port_range } from "../../programs/lib/nat.js";
import { ETH0_IFINDEX, frame4, NODE, PlainNode, POD_A } from "../../src/bench/programs_node.js";
import fc from "../support/fast_check.js";
import { checksumsRight, flowOf } from "../support/services.js";

const POD_MARK = (20001 << 16) | 0x0f00;

const port = fc.integer({ min: 1, max: 65535 });
const flows = fc.array(
  fc.record({
    // World addresses with few values, so that flows meet.
    peer: fc.integer({ min: 1, max: 3 }),
    proto: fc.constantFrom<6 | 17>(6, 17),
    sport: fc.oneof(port, fc.constantFrom(32768, 40000, 65535)),
    dport: fc.constantFrom(53, 443),
  }),
  { minLength: 1, maxLength: 40 },
);

function run(node: PlainNode, out: boolean, frame: Uint8Array): Uint8Array {
  const skb = node.receive(frame, out ? 101 : ETH0_IFINDEX);
  if (out) {
    // The pod's own program first: its conntrack entry tells what is a reply.
    node.a.from_container.run(skb);
    skb.ifindex = ETH0_IFINDEX;
    skb.mark = POD_MARK;
    node.eth0.to_netdev.run(skb);
  } else {
    node.eth0.from_netdev.run(skb);
  }
  return skb.bytes.slice(skb.data, skb.tail);
}

describe("masquerading", () => {
  it("is undone by the way back, with right checksums and no port given twice", () => {
    fc.assert(
      fc.property(flows, (list) => {
        const node = new PlainNode({ ctSize: 1024 });
        const taken = new Map<string, string>();
        for (const f of list) {
          const peer = 0x007100cb | (f.peer << 24);
          const out = run(node, true, frame4(POD_A, peer, f.proto, f.sport, f.dport, 2));
          const o = flowOf(out);
          expect(checksumsRight(out)).toBe(true);
          expect({ saddr: o.saddr, daddr: o.daddr, dport: o.dport }).toEqual({
            saddr: NODE,
            daddr: peer,
            dport: f.dport,
          });
          // A mapped port belongs to one flow; the same flow keeps its port.
          const here = `${f.proto} ${f.peer} ${f.dport} ${o.sport}`;
          expect(taken.get(here) ?? String(f.sport)).toBe(String(f.sport));
          taken.set(here, String(f.sport));
          if (f.sport >= 32768) expect(o.sport >= 32768).toBe(true);
          const back = run(node, false, frame4(peer, NODE, f.proto, f.dport, o.sport, 0x12));
          expect(flowOf(back)).toEqual({ saddr: peer, daddr: POD_A, sport: f.dport, dport: f.sport });
          expect(checksumsRight(back)).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("__snat_clamp_port_range", () => {
  it("stays inside of every range and is monotonic in the random number", () => {
    fc.assert(
      fc.property(port, port, fc.integer({ min: 0, max: 65535 }), (a, b, r) => {
        const min = Math.min(a, b);
        const max = Math.max(a, b);
        const p = __snat_clamp_port_range(min, max, r);
        expect(p >= min && p <= max).toBe(true);
        expect(p).toBe(min + Math.floor((r * (max - min + 1)) / 65536));
      }),
    );
  });
});
