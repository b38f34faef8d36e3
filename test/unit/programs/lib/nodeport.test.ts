import { beforeEach, describe, expect, it } from "vitest";
import {
  DSR_ENCAP_GENEVE,
  DSR_ENCAP_IPIP,
  DSR_ENCAP_NONE,
  TUNNEL_PROTOCOL_GENEVE,
} from "../../../../programs/config.js";
import {
  ETH0_IFINDEX,
  frame4,
  ip,
  NODE,
  PlainNode,
  type PlainNodeOptions,
  POD_A,
  POD_B,
  POD_R,
  REMOTE_NODE,
  WORLD,
} from "../../../../src/bench/programs_node.js";
import type { Program } from "../../../../src/bpf/program.js";
import { toHex } from "../../../../src/net/view.js";
import {
  checksumsRight,
  flowOf,
  icmpFrame,
  putService4,
  type ServiceSpec,
} from "../../../support/services.js";

const OK = 0;
const SHOT = 2;
const REDIRECT = 7;
const XDP_DROP = 1;
const XDP_PASS = 2;
const XDP_TX = 3;
const SYN = 0x02;
const SYN_ACK = 0x12;

/** SVC_FLAG_* */
const NODEPORT = 2;
const EXT_LOCAL = 4;
const HOSTPORT = 8;
const AFFINITY = 16;
const ROUTABLE = 64;
const SOURCE_RANGE = 128;
const SOURCE_RANGE_DENY = 64;
const INT_LOCAL = 16;
const TWO_SCOPES = 32;
const FWD_MODE_DSR = 128;

const PORT = 30080;

let node: PlainNode;

function load(o: PlainNodeOptions = {}): void {
  node = new PlainNode(o);
}

beforeEach(() => load());

/** A node port on the node's address with one backend. */
function nodePort(s: Partial<ServiceSpec> = {}, backend = POD_R): void {
  putService4(node.maps, {
    address: NODE,
    port: PORT,
    rev: 9,
    flags: NODEPORT | ROUTABLE,
    backends: [{ id: 11, address: backend, port: 8080 }],
    ...s,
  });
}

interface Result {
  readonly ret: number;
  readonly frame: Uint8Array;
}

function run(program: Program, frame: Uint8Array, ifindex = ETH0_IFINDEX, mark = 0): Result {
  const skb = node.receive(frame, ifindex);
  skb.mark = mark;
  const ret = program.run(skb);
  return { ret, frame: skb.bytes.slice(skb.data, skb.tail) };
}

function request(sport = 1234, flags = SYN, dport = PORT, saddr = WORLD): Result {
  return run(node.eth0.from_netdev, frame4(saddr, NODE, 6, sport, dport, flags));
}

/** Drop reasons counted so far, sorted. */
function drops(): number[] {
  return node.maps.cilium_metrics
    .dump()
    .filter(({ key }) => key[0] >= 130)
    .flatMap(({ key, value }) => Array<number>(value[0]).fill(key[0]))
    .sort((a, b) => a - b);
}

describe("a node port with a remote backend", () => {
  it("sends the request on with the node's address and translates the reply back", () => {
    nodePort();
    const out = request(40000);
    expect(out.ret).toBe(REDIRECT);
    expect(flowOf(out.frame)).toEqual({ saddr: NODE, daddr: POD_R, sport: 40000, dport: 8080 });
    expect(checksumsRight(out.frame)).toBe(true);
    const back = run(node.eth0.from_netdev, frame4(POD_R, NODE, 6, 8080, 40000, SYN_ACK));
    expect(back.ret).toBe(REDIRECT);
    expect(flowOf(back.frame)).toEqual({ saddr: NODE, daddr: WORLD, sport: PORT, dport: 40000 });
    expect(checksumsRight(back.frame)).toBe(true);
  });

  it("keeps a flow at its backend when others are added", () => {
    nodePort();
    request(40000);
    nodePort({
      backends: [
        { id: 12, address: POD_B, port: 8080 },
        { id: 11, address: POD_R, port: 8080 },
      ],
    });
    for (let i = 0; i < 8; i++) expect(flowOf(request(40000, 0x10).frame).daddr).toBe(POD_R);
  });

  it("gives a flow whose backend is gone another one", () => {
    nodePort();
    request(40000);
    nodePort({ backends: [{ id: 12, address: POD_B, port: 8080 }] });
    node.maps.cilium_lb4_backends_v3.delete(Uint8Array.of(11, 0, 0, 0));
    expect(flowOf(request(40000, 0x10).frame).daddr).toBe(POD_B);
  });

  it("translates an ICMP error about the request back to the client's view", () => {
    nodePort();
    const sent = run(node.eth0.from_netdev, frame4(WORLD, NODE, 17, 40000, PORT)).frame;
    expect(flowOf(sent).daddr).toBe(NODE);
    nodePort({ proto: 17 });
    const out = run(node.eth0.from_netdev, frame4(WORLD, NODE, 17, 40000, PORT)).frame;
    expect(flowOf(out)).toEqual({ saddr: NODE, daddr: POD_R, sport: 40000, dport: 8080 });
    const error = run(node.eth0.from_netdev, icmpFrame(POD_R, NODE, 3, 3, 0, out.slice(14, 42))).frame;
    expect(flowOf(error).daddr).toBe(WORLD);
    expect(checksumsRight(error)).toBe(true);
  });
});

describe("a node port with a local backend", () => {
  it("delivers with the client's address, and the reply leaves from the service's", () => {
    nodePort({}, POD_B);
    const { ret, frame } = request();
    expect(ret).toBe(REDIRECT);
    expect(flowOf(frame)).toEqual({ saddr: WORLD, daddr: POD_B, sport: 1234, dport: 8080 });
    const reply = run(node.b.from_container, frame4(POD_B, WORLD, 6, 8080, 1234, SYN_ACK), 102);
    const out = run(node.eth0.to_netdev, reply.frame, ETH0_IFINDEX, (20002 << 16) | 0x0f00);
    expect(flowOf(out.frame)).toEqual({ saddr: NODE, daddr: WORLD, sport: PORT, dport: 1234 });
    expect(checksumsRight(out.frame)).toBe(true);
  });
});

describe("admission", () => {
  it("drops what has only the address's wildcard entry with reason 158", () => {
    putService4(node.maps, { address: NODE, port: 0, rev: 0, flags: ROUTABLE, backends: [] });
    expect(request(1234, SYN, 81).ret).toBe(SHOT);
    expect(drops()).toEqual([158]);
  });

  it("drops ClusterIPs that are not routable with reason 174", () => {
    nodePort({ flags: NODEPORT });
    expect(request().ret).toBe(SHOT);
    expect(drops()).toEqual([174]);
  });

  it("checks source ranges, as allow list and as deny list, with reason 177", () => {
    const range = new Uint8Array(12);
    range.set([32 + 24, 0, 0, 0, 0, 9, 0, 0, 203, 0, 113, 0]);
    node.maps.cilium_lb4_source_range.set(range, Uint8Array.of(0));
    const client = ip("198.51.100.7");
    nodePort({ flags: NODEPORT | ROUTABLE | SOURCE_RANGE });
    expect([request().ret, request(1234, SYN, PORT, client).ret]).toEqual([REDIRECT, SHOT]);
    nodePort({ flags: NODEPORT | ROUTABLE | SOURCE_RANGE, flags2: SOURCE_RANGE_DENY });
    expect([request(1235).ret, request(1235, SYN, PORT, client).ret]).toEqual([SHOT, REDIRECT]);
    expect(drops()).toEqual([177, 177]);
  });

  it("refuses a host port whose backend is elsewhere with reason 134", () => {
    nodePort({ flags: HOSTPORT | ROUTABLE });
    expect(request().ret).toBe(SHOT);
    expect(drops()).toEqual([134]);
  });

  it("answers for services without backend with an ICMP error, or drops with reason 158", () => {
    load({ config: { SERVICE_NO_BACKEND_RESPONSE: true } });
    nodePort({ backends: [] });
    const { ret, frame } = request();
    expect(ret).toBe(REDIRECT);
    expect(node.helpers.redirectIfindex).toBe(ETH0_IFINDEX);
    expect([frame[23], frame[34], frame[35]]).toEqual([1, 3, 3]);
    expect(flowOf(frame).daddr).toBe(WORLD);
    expect(checksumsRight(frame)).toBe(true);
    load();
    nodePort({ backends: [] });
    expect(request().ret).toBe(SHOT);
    expect(drops()).toEqual([158]);
  });
});

describe("scopes and policies", () => {
  const local = { id: 21, address: POD_B, port: 8080 };
  const remote = { id: 22, address: POD_R, port: 8080 };

  it("serve pods from the internal scope and the network from the external one", () => {
    const flags = { flags: NODEPORT | ROUTABLE | EXT_LOCAL, flags2: TWO_SCOPES };
    nodePort({ ...flags, scope: 0, backends: [local] });
    nodePort({ ...flags, scope: 1, backends: [remote] });
    expect(flowOf(request().frame).daddr).toBe(POD_B);
    const pod = run(node.a.from_container, frame4(POD_A, NODE, 6, 40000, PORT, SYN), 101);
    expect(flowOf(pod.frame).daddr).toBe(POD_R);
  });

  it("drop or pass on a service without local backends by its traffic policy", () => {
    const a = node.datapath.loadLxc({
      endpoint_id: 1001,
      endpoint_ipv4: POD_A,
      security_label: 20001,
      enable_no_service_endpoints_routable: false,
    });
    const pod = (): number => run(a.from_container, frame4(POD_A, NODE, 6, 40000, PORT, SYN), 101).ret;
    nodePort({ flags: ROUTABLE, flags2: INT_LOCAL, backends: [] });
    expect(pod()).toBe(SHOT);
    nodePort({ flags: ROUTABLE, backends: [] });
    expect(pod()).toBe(OK);
  });

  it("keep a client with affinity at its backend", () => {
    const backends = [1, 2, 3, 4].map((i) => ({ id: 20 + i, address: ip(`10.10.1.${i}`), port: 8080 }));
    nodePort({ flags: NODEPORT | ROUTABLE | AFFINITY, affinity: 100, backends });
    for (const b of backends) {
      node.maps.cilium_lb_affinity_match.set(Uint8Array.of(b.id, 0, 0, 0, 0, 9, 0, 0), Uint8Array.of(0));
    }
    const first = flowOf(request(40000).frame).daddr;
    for (let i = 1; i < 20; i++) expect(flowOf(request(40000 + i).frame).daddr).toBe(first);
    node.clock.advance(101e9);
    const later = new Set<number>();
    for (let i = 0; i < 20; i++) {
      later.add(flowOf(request(41000 + i).frame).daddr);
      node.clock.advance(101e9);
    }
    expect(later.size > 1).toBe(true);
  });
});

describe("a pod that is its own backend", () => {
  it("gets its packets from the loopback address, and answers to itself", () => {
    nodePort({ flags: ROUTABLE }, POD_A);
    const out = run(node.a.from_container, frame4(POD_A, NODE, 6, 40000, PORT, SYN), 101);
    const loopback = ip("169.254.42.1");
    expect(flowOf(out.frame)).toEqual({ saddr: loopback, daddr: POD_A, sport: 40000, dport: 8080 });
    expect(checksumsRight(out.frame)).toBe(true);
    const back = run(node.a.from_container, frame4(POD_A, loopback, 6, 8080, 40000, SYN_ACK), 101);
    expect(flowOf(back.frame)).toEqual({ saddr: NODE, daddr: POD_A, sport: PORT, dport: 40000 });
    expect(checksumsRight(back.frame)).toBe(true);
  });
});

describe("DSR", () => {
  it("puts address and port of the service into an IP option, on the SYN only", () => {
    load({ config: { ENABLE_DSR: true, DSR_ENCAP_MODE: DSR_ENCAP_NONE } });
    nodePort();
    const syn = request(40000).frame;
    expect(flowOf(syn)).toEqual({ saddr: WORLD, daddr: POD_R, sport: 40000, dport: 8080 });
    // Both in the byte order of the CPU.
    expect(toHex(syn.subarray(34, 42))).toBe("9a0880750b0aa8c0");
    expect(checksumsRight(syn)).toBe(true);
    const ack = request(40000, 0x10).frame;
    expect(ack.length).toBe(54);
    expect(flowOf(ack).daddr).toBe(POD_R);
    expect(node.maps.cilium_snat_v4_external.size).toBe(0);
  });

  it("is understood by the backend's node, which answers with the service's address", () => {
    load({ config: { ENABLE_DSR: true, DSR_ENCAP_MODE: DSR_ENCAP_NONE } });
    const vip = ip("192.0.2.80");
    const plain = frame4(WORLD, POD_B, 6, 40000, 8080, SYN);
    const syn = new Uint8Array(62);
    syn.set(plain.subarray(0, 34));
    syn.set([0x9a, 8, 80, 0, 80, 2, 0, 192], 34);
    syn.set(plain.subarray(34), 42);
    syn[14] = 0x47;
    syn[17] = 48;
    expect(run(node.eth0.from_netdev, syn).ret).toBe(REDIRECT);
    const reply = run(node.b.from_container, frame4(POD_B, WORLD, 6, 8080, 40000, SYN_ACK), 102);
    const out = run(node.eth0.to_netdev, reply.frame, ETH0_IFINDEX, (20002 << 16) | 0x0f00);
    expect(flowOf(out.frame)).toEqual({ saddr: vip, daddr: WORLD, sport: 80, dport: 40000 });
    expect(checksumsRight(out.frame)).toBe(true);
  });

  it("answers packets that do not fit with their option with fragmentation needed", () => {
    load({
      config: { ENABLE_DSR: true, DSR_ENCAP_MODE: DSR_ENCAP_NONE, ENABLE_DSR_ICMP_ERRORS: true },
    });
    nodePort();
    const big = new Uint8Array(14 + 1496);
    big.set(frame4(WORLD, NODE, 6, 40000, PORT, SYN));
    big[16] = 1496 >> 8;
    big[17] = 1496 & 255;
    const { ret, frame } = run(node.eth0.from_netdev, big);
    expect(ret).toBe(REDIRECT);
    expect([frame[34], frame[35], (frame[40] << 8) | frame[41]]).toEqual([3, 4, 1492]);
    expect(flowOf(frame).daddr).toBe(WORLD);
    expect(drops()).toEqual([136]);
  });

  it("follows the service's own setting where both modes are there", () => {
    load({ config: { ENABLE_DSR: true, ENABLE_DSR_BYUSER: true, DSR_ENCAP_MODE: DSR_ENCAP_NONE } });
    nodePort();
    expect(flowOf(request(40000).frame).saddr).toBe(NODE);
    nodePort({ flags2: FWD_MODE_DSR });
    expect(flowOf(request(40001).frame).saddr).toBe(WORLD);
  });

  it("drops when the packet cannot be told: Geneve without tunnel endpoint, reason 160", () => {
    load({ config: { ENABLE_DSR: true, DSR_ENCAP_MODE: DSR_ENCAP_GENEVE } });
    nodePort();
    expect(request().ret).toBe(SHOT);
    expect(drops()).toEqual([160]);
  });

  it("leaves the packet as it is with IPIP", () => {
    load({ config: { ENABLE_DSR: true, DSR_ENCAP_MODE: DSR_ENCAP_IPIP, ENCAP4_IFINDEX: 77 } });
    nodePort();
    const { ret, frame } = request();
    expect(ret).toBe(REDIRECT);
    expect(node.helpers.redirectIfindex).toBe(77);
    expect(flowOf(frame)).toEqual({ saddr: WORLD, daddr: NODE, sport: 1234, dport: PORT });
    expect(node.skb.tunnel.remoteIp4).toBe(POD_R);
  });
});

describe("XDP", () => {
  let entry: Program;
  function loadXdp(config: PlainNodeOptions["config"] = {}): void {
    load({ config: { ENABLE_NODEPORT_ACCELERATION: true, ...config } });
    entry = node.datapath.loadXdp({ interface_ifindex: ETH0_IFINDEX, host_ep_id: 4 }).xdp_entry;
  }
  beforeEach(() => loadXdp());

  it("forwards to remote backends on the device that the packet came in on", () => {
    nodePort();
    const { ret, frame } = run(entry, frame4(WORLD, NODE, 6, 40000, PORT, SYN));
    expect(ret).toBe(XDP_TX);
    expect(flowOf(frame)).toEqual({ saddr: NODE, daddr: POD_R, sport: 40000, dport: 8080 });
    const back = run(entry, frame4(POD_R, NODE, 6, 8080, 40000, SYN_ACK));
    expect(back.ret).toBe(XDP_TX);
    expect(flowOf(back.frame)).toEqual({ saddr: NODE, daddr: WORLD, sport: PORT, dport: 40000 });
    expect(checksumsRight(back.frame)).toBe(true);
  });

  it("passes requests for local backends to tc, translated, and notes that", () => {
    nodePort({}, POD_B);
    const { ret, frame } = run(entry, frame4(WORLD, NODE, 6, 40000, PORT, SYN));
    expect(ret).toBe(XDP_PASS);
    expect(flowOf(frame).daddr).toBe(POD_B);
    expect(node.skb.xdpMeta).toBe(1);
    expect(node.skb.tcIndex).toBe(0);
  });

  it("leaves traffic for local backends only (external policy) to tc untouched", () => {
    nodePort({ flags: NODEPORT | ROUTABLE | EXT_LOCAL }, POD_B);
    const frame = frame4(WORLD, NODE, 6, 40000, PORT, SYN);
    const out = run(entry, frame);
    expect(out).toEqual({ ret: XDP_PASS, frame });
    expect(node.skb.xdpMeta).toBe(0);
  });

  it("drops what tc would drop", () => {
    nodePort({ flags: NODEPORT });
    expect(run(entry, frame4(WORLD, NODE, 6, 40000, PORT, SYN)).ret).toBe(XDP_DROP);
    expect(drops()).toEqual([174]);
  });

  it("passes everything while acceleration is off, and frames that are not IP", () => {
    nodePort();
    const arp = new Uint8Array(42);
    arp.set([0x08, 0x06], 12);
    expect(run(entry, arp)).toEqual({ ret: XDP_PASS, frame: arp });
    loadXdp({ ENABLE_NODEPORT_ACCELERATION: false });
    nodePort();
    const frame = frame4(WORLD, NODE, 6, 40000, PORT, SYN);
    expect(run(entry, frame)).toEqual({ ret: XDP_PASS, frame });
  });

  it("writes the tunnel's headers itself, around the whole frame", () => {
    const tunnel = { TUNNEL_MODE: true, ENCAP_IFINDEX: 30, IPV4_GATEWAY: ip("10.10.0.1") };
    loadXdp(tunnel);
    nodePort();
    const { ret, frame } = run(entry, frame4(WORLD, NODE, 6, 40000, PORT, SYN));
    expect(ret).toBe(XDP_TX);
    expect(frame.length).toBe(54 + 50);
    expect([flowOf(frame).saddr, flowOf(frame).daddr, flowOf(frame).dport]).toEqual([
      NODE,
      REMOTE_NODE,
      8472,
    ]);
    // VXLAN flags and the world's identity; no UDP checksum.
    expect(toHex(frame.subarray(40, 50))).toBe("00000800000000000200");
    expect(frame[22]).toBe(64);
    const inner = frame.slice(50);
    expect(flowOf(inner)).toEqual({ saddr: ip("10.10.0.1"), daddr: POD_R, sport: 40000, dport: 8080 });
    expect(checksumsRight(inner)).toBe(true);
    // The reply is another flow; that of the same flow would have the same outer source port.
    expect(flowOf(run(entry, frame4(WORLD, NODE, 6, 40000, PORT)).frame).sport).toBe(flowOf(frame).sport);
  });

  it("writes the Geneve option of DSR on the SYN", () => {
    loadXdp({
      TUNNEL_MODE: true,
      TUNNEL_PROTOCOL: TUNNEL_PROTOCOL_GENEVE,
      TUNNEL_PORT: 6081,
      ENCAP_IFINDEX: 30,
      ENABLE_DSR: true,
      DSR_ENCAP_MODE: DSR_ENCAP_GENEVE,
    });
    nodePort();
    const syn = run(entry, frame4(WORLD, NODE, 6, 40000, PORT, SYN));
    expect(syn.ret).toBe(XDP_TX);
    expect(syn.frame.length).toBe(54 + 50 + 12);
    expect(toHex(syn.frame.subarray(42, 62))).toBe("0300655800000200014b8102c0a80a0b75800000");
    expect(flowOf(syn.frame.slice(62))).toEqual({ saddr: WORLD, daddr: POD_R, sport: 40000, dport: 8080 });
    const ack = run(entry, frame4(WORLD, NODE, 6, 40000, PORT));
    expect(ack.frame.length).toBe(54 + 50);
  });

  it("addresses replies by the neighbour that the request came from where the kernel knows none", () => {
    load({
      config: {
        ENABLE_NODEPORT_ACCELERATION: true,
        NATIVE_DEV_MAC_BY_IFINDEX: () => Uint8Array.of(0x1e, 0, 0, 0, 0, 0x10),
      },
    });
    entry = node.datapath.loadXdp({ interface_ifindex: ETH0_IFINDEX, host_ep_id: 4 }).xdp_entry;
    nodePort();
    run(entry, frame4(WORLD, NODE, 6, 40000, PORT, SYN));
    const NO_NEIGH = 7;
    let nextHop = WORLD;
    node.helpers.fib_lookup = (_skb, params) => {
      params.ifindex = ETH0_IFINDEX;
      params.ipv4Dst = nextHop;
      return NO_NEIGH;
    };
    const reply = frame4(POD_R, NODE, 6, 8080, 40000, SYN_ACK);
    const back = run(entry, reply);
    expect(back.ret).toBe(XDP_TX);
    // The client's MAC, as frame4() writes it, and the device's own.
    expect(toHex(back.frame.subarray(0, 12))).toBe("0a000000000a1e0000000010");
    // A client behind a router is no neighbour.
    nextHop = REMOTE_NODE;
    expect(run(entry, reply).ret).toBe(XDP_DROP);
    expect(drops()).toEqual([169]);
  });

  it("adds an IPIP header in place", () => {
    loadXdp({
      ENABLE_DSR: true,
      DSR_ENCAP_MODE: DSR_ENCAP_IPIP,
      IPV4_RSS_PREFIX: NODE,
      IPV4_RSS_PREFIX_BITS: 32,
    });
    nodePort();
    const { ret, frame } = run(entry, frame4(WORLD, NODE, 6, 40000, PORT, SYN));
    expect(ret).toBe(XDP_TX);
    expect(frame.length).toBe(74);
    expect(frame[23]).toBe(4);
    expect([flowOf(frame).saddr, flowOf(frame).daddr]).toEqual([NODE, POD_R]);
    const inner = new Uint8Array(54);
    inner.set(frame.subarray(34), 14);
    expect(flowOf(inner)).toEqual({ saddr: WORLD, daddr: NODE, sport: 40000, dport: PORT });
    expect(checksumsRight(inner)).toBe(true);
  });
});

describe("a full conntrack map", () => {
  it("lets new service flows in by evicting old ones", () => {
    load({ ctSize: 64 });
    nodePort({}, POD_B);
    for (let i = 0; i < 300; i++) expect(request(10000 + i).ret).toBe(REDIRECT);
    expect(node.maps.cilium_ct4_global.size).toBeLessThanOrEqual(64);
    expect(drops()).toEqual([]);
  });
});
