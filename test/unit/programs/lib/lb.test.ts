import { beforeEach, describe, expect, it } from "vitest";
import { LB_SELECTION_MAGLEV } from "../../../../programs/config.js";
import { maglevLookupTable } from "../../../../programs/lib/maglev.js";
import {
  ETH0_IFINDEX,
  frame4,
  ip,
  NODE,
  PlainNode,
  POD_A,
  POD_B,
  WORLD,
} from "../../../../src/bench/programs_node.js";
import { checksumsRight, type Flow, flowOf, putService4 } from "../../../support/services.js";

const SHOT = 2;
const SYN = 2;
const ACK = 0x10;
const SYN_ACK = 0x12;
const NODEPORT = 2;
const ROUTABLE = 64;
const AFFINITY = 16;
const PORT = 30080;
const LUT = 16381;
/** BE_STATE_* */
const ACTIVE = 0;
const TERMINATING = 1;

let node: PlainNode;
const backends = [1, 2, 3].map((i) => ({ id: 20 + i, address: ip(`10.10.1.${i}`), port: 8080 }));

beforeEach(() => {
  node = new PlainNode();
});

function nodePort(flags = NODEPORT | ROUTABLE, list = backends): void {
  putService4(node.maps, { address: NODE, port: PORT, rev: 9, flags, backends: list });
}

function setState(id: number, state: number): void {
  const key = Uint8Array.of(id, 0, 0, 0);
  const value = node.maps.cilium_lb4_backends_v3.get(key)!;
  value[7] = state;
  node.maps.cilium_lb4_backends_v3.set(key, value);
}

function request(sport: number, flags = SYN, saddr = WORLD, proto: 6 | 17 = 6): Flow {
  const skb = node.receive(frame4(saddr, NODE, proto, sport, PORT, flags), ETH0_IFINDEX);
  node.eth0.from_netdev.run(skb);
  return flowOf(skb.bytes.subarray(skb.data, skb.tail));
}

/** Last byte of the backend's address. */
function backendOf(f: Flow): number {
  return f.daddr >>> 24;
}

function putMaglev(ids: readonly number[]): Int32Array {
  const table = maglevLookupTable(
    backends
      .filter((b) => ids.includes(b.id))
      .map((b) => ({ ...b, address: `10.10.1.${b.id - 20}`, protocol: "TCP" })),
    LUT,
  );
  const inner = node.maps.newInner(node.maps.cilium_lb4_maglev, "lut");
  inner.set(new Uint8Array(4), new Uint8Array(table.buffer));
  const key = new Int32Array(1);
  key[0] = 9 << 8;
  node.maps.cilium_lb4_maglev.update(key, inner, 0);
  return table;
}

describe("backend selection", () => {
  it("by random number takes slot (number mod count) + 1", () => {
    nodePort();
    const draws = [0, 1, 2, 3, 0xffffffff];
    for (const [i, draw] of draws.entries()) {
      node.helpers.get_prandom_u32 = () => draw | 0;
      expect(backendOf(request(33000 + i))).toBe((draw % 3) + 1);
    }
  });

  it("by Maglev gives a flow the same backend on every node and spreads flows over all", () => {
    const pick = (): number[] => {
      node = new PlainNode({ config: { LB_SELECTION: LB_SELECTION_MAGLEV } });
      nodePort();
      putMaglev([21, 22, 23]);
      return Array.from({ length: 60 }, (_, i) => backendOf(request(33000 + i)));
    };
    const first = pick();
    expect(pick()).toEqual(first);
    expect([...new Set(first)].sort()).toEqual([1, 2, 3]);
  });

  it("by Maglev drops when there is no table", () => {
    node = new PlainNode({ config: { LB_SELECTION: LB_SELECTION_MAGLEV } });
    nodePort();
    const skb = node.receive(frame4(WORLD, NODE, 6, 33000, PORT, SYN), ETH0_IFINDEX);
    expect(node.eth0.from_netdev.run(skb)).toBe(SHOT);
  });

  it("by Maglev with affinity ignores the client's port", () => {
    node = new PlainNode({ config: { LB_SELECTION: LB_SELECTION_MAGLEV } });
    putService4(node.maps, {
      address: NODE,
      port: PORT,
      rev: 9,
      flags: NODEPORT | ROUTABLE | AFFINITY,
      affinity: 0,
      backends,
    });
    putMaglev([21, 22, 23]);
    const chosen = new Set(Array.from({ length: 40 }, (_, i) => backendOf(request(33000 + i))));
    expect(chosen.size).toBe(1);
  });
});

describe("terminating backends", () => {
  it("serve their connections to the end and get no new ones", () => {
    nodePort();
    node.helpers.get_prandom_u32 = () => 0;
    expect(backendOf(request(33000))).toBe(1);
    setState(21, TERMINATING);
    // The agent takes them out of the slots.
    nodePort(NODEPORT | ROUTABLE, backends.slice(1));
    expect(backendOf(request(33000, ACK))).toBe(1);
    expect(backendOf(request(33001))).toBe(2);
  });

  it("lose a connection that is opened anew", () => {
    nodePort();
    node.helpers.get_prandom_u32 = () => 0;
    request(33000);
    setState(21, TERMINATING);
    nodePort(NODEPORT | ROUTABLE, backends.slice(1));
    expect(backendOf(request(33000, SYN))).toBe(2);
    // And there it stays.
    setState(21, ACTIVE);
    expect(backendOf(request(33000, ACK))).toBe(2);
  });
});

describe("reverse translation", () => {
  it("leaves a reply alone when its index is unknown", () => {
    putService4(node.maps, {
      address: NODE,
      port: PORT,
      rev: 9,
      flags: ROUTABLE,
      backends: [{ id: 31, address: POD_B, port: 8080 }],
    });
    const a = node.a.from_container;
    a.run(node.receive(frame4(POD_A, NODE, 6, 40000, PORT, SYN), 101));
    node.maps.cilium_lb4_reverse_nat.delete(Uint8Array.of(0, 9));
    const skb = node.receive(frame4(POD_B, POD_A, 6, 8080, 40000, SYN_ACK), 102);
    node.b.from_container.run(skb);
    const frame = skb.bytes.slice(skb.data, skb.tail);
    expect(flowOf(frame)).toEqual({ saddr: POD_B, daddr: POD_A, sport: 8080, dport: 40000 });
    expect(checksumsRight(frame)).toBe(true);
  });

  it("does not exchange the port of a service whose backend has the same", () => {
    putService4(node.maps, {
      address: NODE,
      port: 8080,
      rev: 9,
      flags: ROUTABLE,
      backends: [{ id: 31, address: POD_B, port: 8080 }],
    });
    node.a.from_container.run(node.receive(frame4(POD_A, NODE, 6, 40000, 8080, SYN), 101));
    const skb = node.receive(frame4(POD_B, POD_A, 6, 8080, 40000, SYN_ACK), 102);
    node.b.from_container.run(skb);
    const frame = skb.bytes.slice(skb.data, skb.tail);
    expect(flowOf(frame)).toEqual({ saddr: NODE, daddr: POD_A, sport: 8080, dport: 40000 });
    expect(checksumsRight(frame)).toBe(true);
  });
});

describe("local redirects", () => {
  const LOCALREDIRECT = 1;
  const NETNS = 77;

  /** Packet of pod A to the redirected address, through a program loaded with `cookie`. */
  function fromPod(cookie: number, backend: number): Flow {
    const a = node.datapath.loadLxc({
      endpoint_id: 1001,
      endpoint_ipv4: POD_A,
      security_label: 20001,
      service_loopback_ipv4: ip("169.254.42.1"),
      enable_lrp: true,
      endpoint_netns_cookie: cookie,
    });
    putService4(node.maps, {
      address: ip("169.254.169.254"),
      port: 80,
      rev: 9,
      flags2: LOCALREDIRECT,
      backends: [{ id: 31, address: backend, port: 8080 }],
    });
    const skb = node.receive(frame4(POD_A, ip("169.254.169.254"), 6, 40000, 80, SYN), 101);
    a.from_container.run(skb);
    return flowOf(skb.bytes.subarray(skb.data, skb.tail));
  }

  it("go to the local backend", () => {
    expect(fromPod(NETNS, POD_B).daddr).toBe(POD_B);
  });

  it("are left to the socket level where that balances for pods", () => {
    node = new PlainNode({
      config: { ENABLE_SOCKET_LB_HOST_ONLY: false, ENABLE_SOCKET_LB_FULL: true, ENABLE_L7_LB: true },
    });
    expect(fromPod(NETNS, POD_B).daddr).toBe(ip("169.254.169.254"));
  });

  it("do not loop a backend back to itself when the agent has listed it", () => {
    const skip = Uint8Array.of(NETNS, 0, 0, 0, 0, 0, 0, 0, 169, 254, 169, 254, 0, 80, 0, 0);
    node.maps.cilium_skip_lb4.set(skip, Uint8Array.of(1));
    expect(fromPod(NETNS, POD_A).daddr).toBe(ip("169.254.169.254"));
    expect(fromPod(NETNS + 1, POD_A)).toEqual({
      saddr: ip("169.254.42.1"),
      daddr: POD_A,
      sport: 40000,
      dport: 8080,
    });
  });
});

describe("UDP without checksum", () => {
  it("stays without", () => {
    putService4(node.maps, {
      address: NODE,
      port: PORT,
      proto: 17,
      rev: 9,
      flags: NODEPORT | ROUTABLE,
      backends,
    });
    const frame = frame4(WORLD, NODE, 17, 33000, PORT);
    frame[40] = 0;
    frame[41] = 0;
    const skb = node.receive(frame, ETH0_IFINDEX);
    node.eth0.from_netdev.run(skb);
    expect(backendOf(flowOf(skb.bytes.subarray(skb.data))) > 0).toBe(true);
    expect([skb.bytes[skb.data + 40], skb.bytes[skb.data + 41]]).toEqual([0, 0]);
  });
});
