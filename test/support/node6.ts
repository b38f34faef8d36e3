// A node with one IPv6 pod for tests of the IPv6 programs, beside src/bench's IPv4 node: pod fd00:10::a (endpoint 1001,
// ifindex 101), pod fd00:10::b (1002, 102), remote pod fd00:11::c, node fd00:1::1, world 2001:db8::5.

import { CiliumMaps } from "../../maps/cilium_maps.js";
import { PolicyKey, PolicyValue } from "../../maps/policy.js";
import { type CompileConfig, compileConfig } from "../../programs/config.js";
import {
  createDatapath,
  type HostPrograms,
  type LxcPrograms,
  type NodeDatapath,
} from "../../programs/datapath.js";
import { VirtualClock } from "../../src/base/clock.js";
import { ETH0_IFINDEX, PlainHelpers } from "../../src/bench/programs_node.js";
import type { Program } from "../../src/bpf/program.js";
import { Skb } from "../../src/bpf/skb.js";

export const ETH0 = ETH0_IFINDEX;
export const POD6_A = addr6("fd00:10::a");
export const POD6_B = addr6("fd00:10::b");
export const POD6_R = addr6("fd00:11::c");
export const NODE6 = addr6("fd00:1::1");
export const WORLD6 = addr6("2001:db8::5");

/** Sixteen bytes of an address with exactly one `::`. */
export function addr6(text: string): Uint8Array {
  const [left, right] = text.split("::").map((p) => p.split(":").filter((w) => w !== ""));
  const out = new Uint8Array(16);
  const v = new DataView(out.buffer);
  for (const [i, w] of left.entries()) v.setUint16(2 * i, Number.parseInt(w, 16));
  for (const [i, w] of right.entries()) v.setUint16(16 - 2 * (right.length - i), Number.parseInt(w, 16));
  return out;
}

function words(bytes: Uint8Array): Int32Array {
  return new Int32Array(bytes.slice().buffer);
}

function concat(...parts: (Uint8Array | number[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((p) => [...p]));
}

export interface Result6 {
  readonly ret: number;
  readonly frame: Uint8Array;
}

export class Node6 {
  readonly clock = new VirtualClock(1_000_000_000_000_000);
  readonly helpers = new PlainHelpers(this.clock);
  readonly maps: CiliumMaps;
  readonly datapath: NodeDatapath;
  readonly a: LxcPrograms;
  readonly b: LxcPrograms;
  readonly eth0: HostPrograms;
  readonly skb = new Skb();

  constructor(config: Partial<CompileConfig> = {}) {
    this.maps = new CiliumMaps({ clock: this.clock, sizes: { cilium_snat_v6_external: 1024 } });
    this.maps.cilium_events.enabled = false;
    this.datapath = createDatapath({
      config: compileConfig({
        ENABLE_IPV4: false,
        ENABLE_IPV6: true,
        ENABLE_IPV6_FRAGMENTS: true,
        ENABLE_NODEPORT: true,
        ENABLE_HOST_ROUTING: true,
        ENABLE_ROUTING: true,
        ENABLE_MASQUERADE_IPV6: true,
        ENABLE_SOCKET_LB_HOST_ONLY: true,
        MONITOR_AGGREGATION: 3,
        IPV6_DIRECT_ROUTING: words(NODE6),
        IPV6_SNAT_EXCLUSION_DST_CIDR: words(addr6("fd00::")),
        IPV6_SNAT_EXCLUSION_DST_CIDR_MASK: Int32Array.of(0xffff, 0, 0, 0),
        IPV6_SNAT_EXCLUSION_DST_CIDR_SET: true,
        ...config,
      }),
      maps: this.maps,
      helpers: this.helpers,
    });
    const common = {
      host_ep_id: 4,
      direct_routing_dev_ifindex: ETH0,
      nat_ipv6_masquerade: words(NODE6),
      policy_verdict_log_filter: 3,
    };
    const lxc = (
      endpoint_id: number,
      addr: Uint8Array,
      ifindex: number,
      security_label: number,
    ): LxcPrograms =>
      this.datapath.loadLxc({
        ...common,
        endpoint_id,
        endpoint_ipv6: words(addr),
        interface_ifindex: ifindex,
        security_label,
      });
    this.a = lxc(1001, POD6_A, 101, 20001);
    this.b = lxc(1002, POD6_B, 102, 20002);
    this.eth0 = this.datapath.loadHost({ ...common, interface_ifindex: ETH0, security_label: 1 });
    this.#agent();
  }

  #agent(): void {
    const m = this.maps;
    const endpoint = (
      addr: Uint8Array,
      ifindex: number,
      id: number,
      identity: number,
      flags: number,
    ): void => {
      const value = new Uint8Array(48);
      const v = new DataView(value.buffer);
      v.setUint32(0, ifindex, true);
      v.setUint16(6, id, true);
      v.setUint32(8, flags, true);
      v.setUint32(32, identity, true);
      m.cilium_lxc.set(concat(addr, [2, 0, 0, 0]), value);
    };
    endpoint(POD6_A, 101, 1001, 20001, 0);
    endpoint(POD6_B, 102, 1002, 20002, 0);
    endpoint(NODE6, 0, 0, 1, 1);
    const identity = (addr: Uint8Array, bits: number, id: number): void => {
      const value = new Uint8Array(24);
      new DataView(value.buffer).setUint32(0, id, true);
      m.cilium_ipcache_v2.set(concat([32 + bits, 0, 0, 0, 0, 0, 0, 2], addr), value);
    };
    identity(new Uint8Array(16), 0, 2);
    identity(POD6_A, 128, 20001);
    identity(POD6_B, 128, 20002);
    identity(POD6_R, 128, 20003);
    identity(NODE6, 128, 1);
    for (const ep of [1001, 1002]) {
      for (const direction of [0, 1]) {
        const key = new PolicyKey().set(0, direction, 0, 0);
        key.prefixlen = 40;
        m.addPolicyMap(ep).update(key.words, new PolicyValue().set(0, false, 0, 0xffffff01 | 0).words, 0);
      }
    }
  }

  /** A service with one backend. */
  service(
    address: Uint8Array,
    port: number,
    proto: number,
    flags: number,
    backend: Uint8Array,
    bport: number,
  ): void {
    const be = (p: number): number[] => [p >> 8, p & 255];
    const key = (slot: number): Uint8Array => concat(address, be(port), [slot, 0, proto, 0, 0, 0]);
    this.maps.cilium_lb6_services_v2.set(key(0), Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 9, flags, 0, 0, 0));
    this.maps.cilium_lb6_services_v2.set(key(1), Uint8Array.of(7, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0));
    this.maps.cilium_lb6_backends_v3.set(
      Uint8Array.of(7, 0, 0, 0),
      concat(backend, be(bport), [proto, 0, 0, 0, 0, 0]),
    );
    this.maps.cilium_lb6_reverse_nat.set(Uint8Array.of(0, 9), concat(address, be(port)));
  }

  run(program: Program, frame: Uint8Array, ifindex: number, mark = 0): Result6 {
    const skb = this.skb;
    skb.reset();
    skb.setFrame(frame);
    skb.ifindex = ifindex;
    skb.ingressIfindex = ifindex;
    skb.protocol = 0x86dd;
    skb.mark = mark;
    const ret = program.run(skb);
    return { ret, frame: skb.bytes.slice(skb.data, skb.tail) };
  }
}

function sum(bytes: Uint8Array, from: number, to: number, seed: number): number {
  let s = seed;
  for (let i = from; i < to; i += 2) s += (bytes[i] << 8) | (i + 1 < to ? bytes[i + 1] : 0);
  while (s > 0xffff) s = (s & 0xffff) + (s >>> 16);
  return s;
}

const CSUM_OFF: Readonly<Record<number, number>> = { 6: 16, 17: 6, 58: 2 };

/** A frame with `payload` as the L4 packet (checksum filled in). */
export function frame6(
  saddr: Uint8Array,
  daddr: Uint8Array,
  proto: 6 | 17 | 58,
  payload: Uint8Array,
): Uint8Array {
  const f = new Uint8Array(54 + payload.length);
  f.set([0x0e, 0, 0, 0, 0, 0x0a, 0x0a, 0, 0, 0, 0, 0x0a, 0x86, 0xdd, 0x60]);
  const v = new DataView(f.buffer);
  v.setUint16(18, payload.length);
  f[20] = proto;
  f[21] = 64;
  f.set(saddr, 22);
  f.set(daddr, 38);
  f.set(payload, 54);
  const at = 54 + CSUM_OFF[proto];
  v.setUint16(at, 0);
  v.setUint16(at, ~sum(f, 22, f.length, proto + payload.length) & 0xffff);
  return f;
}

/** A TCP segment of 20 bytes or a UDP datagram of 8. */
export function segment(proto: 6 | 17, sport: number, dport: number, flags = 0x10): Uint8Array {
  const p = new Uint8Array(proto === 6 ? 20 : 8);
  const v = new DataView(p.buffer);
  v.setUint16(0, sport);
  v.setUint16(2, dport);
  if (proto === 6) {
    p[12] = 0x50;
    p[13] = flags;
  } else v.setUint16(4, 8);
  return p;
}

/** ICMPv6: `rest` is the second word. */
export function icmp6(type: number, code: number, rest: number, body: Uint8Array): Uint8Array {
  const p = new Uint8Array(8 + body.length);
  p[0] = type;
  p[1] = code;
  new DataView(p.buffer).setUint32(4, rest);
  p.set(body, 8);
  return p;
}

export interface Flow6 {
  readonly saddr: Uint8Array;
  readonly daddr: Uint8Array;
  readonly sport: number;
  readonly dport: number;
}

/** Addresses and ports of a frame without extension headers. */
export function flow6(f: Uint8Array): Flow6 {
  const v = new DataView(f.buffer, f.byteOffset);
  const icmp = f[20] === 58;
  return {
    saddr: f.slice(22, 38),
    daddr: f.slice(38, 54),
    sport: icmp ? v.getUint16(58) : v.getUint16(54),
    dport: icmp ? 0 : v.getUint16(56),
  };
}

/** Is the checksum of the frame's L4 header right? */
export function checksum6Right(f: Uint8Array): boolean {
  const len = (f[18] << 8) | f[19];
  return sum(f, 22, 54 + len, f[20] + len) === 0xffff;
}
