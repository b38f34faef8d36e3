import { beforeEach, describe, expect, it } from "vitest";
import { SockAddr, SYS_PROCEED, SYS_REJECT } from "../../../programs/bpf_sock.js";
import type { SockPrograms } from "../../../programs/datapath.js";
import {
  ip,
  NODE,
  PlainNode,
  POD_B,
  POD_R,
  REMOTE_NODE,
  SERVICE,
  WORLD,
} from "../../../src/bench/programs_node.js";
import { toHex } from "../../../src/net/view.js";
import { putService4, type ServiceSpec } from "../../support/services.js";

const HOST_NETNS = 1;
const POD_NETNS = 77;
const TCP = 6;
const UDP = 17;
const EADDRINUSE = -98;
const EHOSTUNREACH = -113;

/** SVC_FLAG_* */
const EXTERNAL_IP = 1;
const NODEPORT = 2;
const HOSTPORT = 8;
const AFFINITY = 16;
const LOCALREDIRECT = 1;
const L7_LOADBALANCER = 4;

let node: PlainNode;
let progs: SockPrograms;
let sk: SockAddr;

function load(config: ConstructorParameters<typeof PlainNode>[0] = {}): void {
  node = new PlainNode({ ...config, config: { ENABLE_SOCKET_LB_HOST_ONLY: false, ...config.config } });
  progs = node.datapath.loadSock();
}

beforeEach(() => {
  load();
  sk = socket(SERVICE, 80);
});

function be16(port: number): number {
  return ((port & 0xff) << 8) | (port >>> 8);
}

function socket(address: number, port: number, protocol = TCP): SockAddr {
  const s = new SockAddr();
  s.protocol = protocol;
  s.user_ip4 = address;
  s.user_port = be16(port);
  s.socket_cookie = 0x1234;
  s.netns_cookie = POD_NETNS;
  s.cgroup_id = 0x99;
  return s;
}

function v6(s: SockAddr, ...words: number[]): SockAddr {
  s.family = 10;
  s.user_ip6.set(words.map((w) => w | 0));
  return s;
}

function target(s: SockAddr): [number, number] {
  return [s.user_ip4, be16(s.user_port)];
}

function service(s: Partial<ServiceSpec>): void {
  putService4(node.maps, {
    address: ip("10.96.0.20"),
    port: 80,
    rev: 9,
    backends: [{ id: 11, address: POD_R, port: 9090 }],
    ...s,
  });
}

function events(): string[] {
  const out: string[] = [];
  node.maps.cilium_events.read((s) => out.push(toHex(s.subarray(0, 40))));
  return out;
}

/** [reason, direction, count] of the metrics. */
function metrics(): number[][] {
  return node.maps.cilium_metrics.dump().map(({ key, value }) => [key[0], key[1], value[0]]);
}

describe("connect", () => {
  it("goes to a backend instead of the service and remembers the service for the socket", () => {
    expect(progs.connect4.run(sk)).toBe(SYS_PROCEED);
    expect(target(sk)).toEqual([POD_B, 8080]);
    expect(node.maps.cilium_lb4_reverse_sk.dump().map((e) => [toHex(e.key), toHex(e.value)])).toEqual([
      ["34120000000000000a0a000c1f900000", "0a60000a00500700"],
    ]);
  });

  it("leaves addresses that are no service alone", () => {
    sk = socket(WORLD, 443);
    expect(progs.connect4.run(sk)).toBe(SYS_PROCEED);
    expect(target(sk)).toEqual([WORLD, 443]);
    expect(node.maps.cilium_lb4_reverse_sk.size).toBe(0);
  });

  it("fails with EHOSTUNREACH on a service without backends", () => {
    service({ backends: [] });
    sk = socket(ip("10.96.0.20"), 80);
    expect(progs.connect4.run(sk)).toBe(SYS_REJECT);
    expect(sk.retval).toBe(EHOSTUNREACH);
  });

  it("counts and rejects when the slot or the backend is missing", () => {
    service({ count: 1, backends: [] });
    sk = socket(ip("10.96.0.20"), 80);
    expect(progs.connect4.run(sk)).toBe(SYS_REJECT);
    expect(metrics()).toEqual([[5, 2, 1]]);
    service({});
    node.maps.cilium_lb4_backends_v3.delete(Uint8Array.of(11, 0, 0, 0));
    expect(progs.connect4.run(sk)).toBe(SYS_REJECT);
    expect(metrics()).toEqual([
      [5, 2, 1],
      [6, 2, 1],
    ]);
  });

  it("chooses TCP backends by random number and UDP ones by the socket's cookie", () => {
    const backends = [1, 2, 3].map((i) => ({ id: 20 + i, address: ip(`10.10.1.${i}`), port: 53 }));
    service({ backends });
    service({ backends, proto: UDP });
    node.helpers.get_prandom_u32 = () => 5;
    sk = socket(ip("10.96.0.20"), 80);
    progs.connect4.run(sk);
    expect(target(sk)).toEqual([ip("10.10.1.3"), 53]);
    for (const [cookie, last] of [
      [6, 1],
      [7, 2],
      [7, 2],
    ]) {
      sk = socket(ip("10.96.0.20"), 80, UDP);
      sk.socket_cookie = cookie;
      progs.sendmsg4.run(sk);
      expect(target(sk)).toEqual([ip(`10.10.1.${last}`), 53]);
    }
  });

  it("keeps a namespace with affinity at its backend until the timeout", () => {
    const backends = [1, 2, 3, 4].map((i) => ({ id: 20 + i, address: ip(`10.10.1.${i}`), port: 53 }));
    service({ backends, flags: AFFINITY, affinity: 10 });
    for (const b of backends) {
      // cilium_lb_affinity_match: backend id, rev_nat (be).
      node.maps.cilium_lb_affinity_match.set(Uint8Array.of(b.id, 0, 0, 0, 0, 9, 0, 0), Uint8Array.of(0));
    }
    let n = 0;
    node.helpers.get_prandom_u32 = () => n++;
    const connect = (netns: number): number => {
      const s = socket(ip("10.96.0.20"), 80);
      s.netns_cookie = netns;
      progs.connect4.run(s);
      return s.user_ip4 >>> 24;
    };
    expect([connect(5), connect(5), connect(6), connect(5)]).toEqual([1, 1, 2, 1]);
    node.clock.advance(11e9);
    expect(connect(5)).toBe(3);
  });

  it("ignores other protocols and, with socket LB for the host only, pods", () => {
    sk = socket(SERVICE, 80, 132);
    progs.connect4.run(sk);
    expect(target(sk)).toEqual([SERVICE, 80]);
    load({ config: { ENABLE_SOCKET_LB_HOST_ONLY: true } });
    sk = socket(SERVICE, 80);
    progs.connect4.run(sk);
    expect(target(sk)).toEqual([SERVICE, 80]);
    sk.netns_cookie = HOST_NETNS;
    progs.connect4.run(sk);
    expect(target(sk)).toEqual([POD_B, 8080]);
  });

  it("finds node ports on all nodes, and on loopback from the host", () => {
    service({ address: 0, port: 30080, flags: NODEPORT });
    for (const [address, netns, translated] of [
      [NODE, POD_NETNS, true],
      [REMOTE_NODE, POD_NETNS, true],
      [ip("127.0.0.1"), HOST_NETNS, true],
      [ip("127.0.0.1"), POD_NETNS, false],
      [WORLD, POD_NETNS, false],
    ] as const) {
      sk = socket(address, 30080);
      sk.netns_cookie = netns;
      progs.connect4.run(sk);
      expect(target(sk)).toEqual(translated ? [POD_R, 9090] : [address, 30080]);
    }
  });

  it("finds host ports on this node only, outside of the NodePort range", () => {
    service({ address: 0, port: 8080, flags: HOSTPORT });
    sk = socket(NODE, 8080);
    progs.connect4.run(sk);
    expect(target(sk)).toEqual([POD_R, 9090]);
    sk = socket(REMOTE_NODE, 8080);
    progs.connect4.run(sk);
    expect(target(sk)).toEqual([REMOTE_NODE, 8080]);
  });

  it("does not translate external IPs that are not the host's", () => {
    service({ address: WORLD, flags: EXTERNAL_IP });
    sk = socket(WORLD, 80);
    expect(progs.connect4.run(sk)).toBe(SYS_PROCEED);
    expect(target(sk)).toEqual([WORLD, 80]);
    service({ address: NODE, flags: EXTERNAL_IP });
    sk = socket(NODE, 80);
    progs.connect4.run(sk);
    expect(target(sk)).toEqual([POD_R, 9090]);
  });

  it("sends the host's connections to L7 services to the proxy and leaves the pods' to their device", () => {
    load({ config: { ENABLE_L7_LB: true } });
    const key = Uint8Array.of(10, 96, 0, 20, 0, 80, 0, 0, 6, 0, 0, 0);
    // The proxy port, network order, in the first word.
    node.maps.cilium_lb4_services_v2.set(
      key,
      Uint8Array.of(0x3a, 0x98, 0, 0, 0, 0, 0, 9, 0, L7_LOADBALANCER, 0, 0),
    );
    sk = socket(ip("10.96.0.20"), 80);
    progs.connect4.run(sk);
    expect(target(sk)).toEqual([ip("10.96.0.20"), 80]);
    sk.netns_cookie = HOST_NETNS;
    progs.connect4.run(sk);
    expect(target(sk)).toEqual([ip("127.0.0.1"), 15000]);
  });

  it("does not send the backend of a local redirect to itself", () => {
    service({ flags2: LOCALREDIRECT });
    const skip = Uint8Array.of(POD_NETNS, 0, 0, 0, 0, 0, 0, 0, 10, 96, 0, 20, 0, 80, 0, 0);
    node.maps.cilium_skip_lb4.set(skip, Uint8Array.of(1));
    sk = socket(ip("10.96.0.20"), 80);
    progs.connect4.run(sk);
    expect(target(sk)).toEqual([ip("10.96.0.20"), 80]);
    sk.netns_cookie = 78;
    progs.connect4.run(sk);
    expect(target(sk)).toEqual([POD_R, 9090]);
  });
});

describe("recvmsg and getpeername", () => {
  it("show the service's address again", () => {
    progs.connect4.run(sk);
    expect(progs.getpeername4.run(sk)).toBe(SYS_PROCEED);
    expect(target(sk)).toEqual([SERVICE, 80]);
    sk.user_ip4 = POD_B;
    sk.user_port = be16(8080);
    progs.recvmsg4.run(sk);
    expect(target(sk)).toEqual([SERVICE, 80]);
  });

  it("leave datagrams of others alone", () => {
    progs.connect4.run(sk);
    sk.user_port = be16(8081);
    progs.recvmsg4.run(sk);
    expect(target(sk)).toEqual([POD_B, 8081]);
  });

  it("drop the entry of a service that is gone, and count it", () => {
    progs.connect4.run(sk);
    node.maps.cilium_lb4_services_v2.delete(Uint8Array.of(10, 96, 0, 10, 0, 80, 0, 0, 6, 0, 0, 0));
    progs.getpeername4.run(sk);
    expect(target(sk)).toEqual([POD_B, 8080]);
    expect(node.maps.cilium_lb4_reverse_sk.size).toBe(0);
    expect(metrics()).toEqual([[8, 1, 1]]);
  });
});

describe("post_bind", () => {
  it("refuses the host the address and port of a node port", () => {
    service({ address: 0, port: 30080, flags: NODEPORT });
    for (const [address, netns, ret] of [
      [NODE, HOST_NETNS, SYS_REJECT],
      [ip("127.0.0.1"), HOST_NETNS, SYS_REJECT],
      [NODE, POD_NETNS, SYS_PROCEED],
      [REMOTE_NODE, HOST_NETNS, SYS_PROCEED],
    ] as const) {
      sk = socket(address, 30080);
      sk.netns_cookie = netns;
      expect(progs.post_bind4.run(sk)).toBe(ret);
      expect(sk.retval).toBe(ret === SYS_REJECT ? EADDRINUSE : 0);
    }
  });
});

describe("sock_release", () => {
  it("takes the reverse entry away and counts it once", () => {
    progs.connect4.run(sk);
    progs.sock_release.run(sk);
    progs.sock_release.run(sk);
    expect(node.maps.cilium_lb4_reverse_sk.size).toBe(0);
    expect(metrics()).toEqual([[14, 2, 1]]);
  });
});

describe("IPv6 sockets", () => {
  it("take the IPv4 way for mapped addresses", () => {
    load({ config: { ENABLE_IPV6: true } });
    v6(sk, 0, 0, 0xffff0000, SERVICE);
    expect(progs.connect6.run(sk)).toBe(SYS_PROCEED);
    expect([...sk.user_ip6]).toEqual([0, 0, 0xffff0000 | 0, POD_B]);
    expect(be16(sk.user_port)).toBe(8080);
    progs.getpeername6.run(sk);
    expect([...sk.user_ip6]).toEqual([0, 0, 0xffff0000 | 0, SERVICE]);
  });

  it("reach IPv6 services", () => {
    load({ config: { ENABLE_IPV6: true } });
    const key = new Uint8Array(24);
    key.set([0xfd, 0x10], 0);
    key[15] = 1;
    key[17] = 80;
    key[20] = TCP;
    const slot = Uint8Array.from(key);
    slot[18] = 1;
    node.maps.cilium_lb6_services_v2.set(key, Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 5, 0, 0, 0, 0));
    node.maps.cilium_lb6_services_v2.set(slot, Uint8Array.of(31, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0));
    const backend = new Uint8Array(24);
    backend.set([0xfd, 0x00], 0);
    backend[15] = 9;
    backend.set([0x1f, 0x90, TCP], 16);
    node.maps.cilium_lb6_backends_v3.set(Uint8Array.of(31, 0, 0, 0), backend);
    v6(sk, 0x10fd, 0, 0, 0x01000000);
    expect(progs.connect6.run(sk)).toBe(SYS_PROCEED);
    expect([...sk.user_ip6]).toEqual([0xfd, 0, 0, 0x09000000]);
    expect(be16(sk.user_port)).toBe(8080);
    progs.getpeername6.run(sk);
    expect([...sk.user_ip6]).toEqual([0x10fd, 0, 0, 0x01000000]);
    expect(be16(sk.user_port)).toBe(80);
    progs.sock_release.run(v6(socket(0, 8080), 0xfd, 0, 0, 0x09000000));
    expect(node.maps.cilium_lb6_reverse_sk.size).toBe(0);
  });
});

describe("trace-sock events", () => {
  it("tell both sides of a translation and of its reverse", () => {
    load({ reader: true, config: { TRACE_SOCK_NOTIFY: true } });
    progs.connect4.run(sk);
    progs.getpeername4.run(sk);
    const common = "34120000000000009900000000000000";
    const zeros = "000000000000000000000000";
    expect(events()).toEqual([
      `0701010050000000${common}0a60000a${zeros}`,
      `07020100901f0000${common}0a0a000c${zeros}`,
      `07030100901f0000${common}0a0a000c${zeros}`,
      `0704010050000000${common}0a60000a${zeros}`,
    ]);
  });

  // __sock4_xlate_fwd refuses before it traces: the application hears EHOSTUNREACH, the monitor hears nothing.
  it("tell nothing of a service without backends, whose connect and sendmsg are refused first", () => {
    load({ reader: true, config: { TRACE_SOCK_NOTIFY: true } });
    service({ backends: [] });
    for (const run of [progs.connect4, progs.sendmsg4]) {
      sk = socket(ip("10.96.0.20"), 80, run === progs.connect4 ? TCP : UDP);
      if (run === progs.sendmsg4) service({ backends: [], proto: UDP });
      expect([run.run(sk), sk.retval]).toEqual([SYS_REJECT, EHOSTUNREACH]);
    }
    expect(events()).toEqual([]);
  });

  it("are not sent unless the node is built with them", () => {
    load({ reader: true });
    progs.connect4.run(sk);
    expect(events()).toEqual([]);
  });
});
