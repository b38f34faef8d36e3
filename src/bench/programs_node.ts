// A node with two pods, a remote pod and a service, for benches and tests of single programs: the datapath alone, with
// helpers that answer at once. Addresses:
//
//   node 192.168.10.11 (eth0, ifindex 10)   pod A 10.10.0.11 (endpoint 1001, identity 20001, ifindex 101)
//   remote node 192.168.10.12               pod B 10.10.0.12 (endpoint 1002, identity 20002, ifindex 102)
//   service 10.96.0.10:80 -> B:8080         remote pod R 10.10.1.21 (identity 20004), world 203.0.113.5
//
// With `ipv6` the same hosts have fd00:10:10::b, ::c, fd00:10:10:1::15 and fd00:192::b, ::c besides.

import { CiliumMaps } from "../../maps/cilium_maps.js";
import { PolicyKey, PolicyValue } from "../../maps/policy.js";
import { type CompileConfig, compileConfig, type ObjectConfig } from "../../programs/config.js";
import {
  createDatapath,
  type HostPrograms,
  type LxcPrograms,
  type NodeDatapath,
  type OverlayPrograms,
} from "../../programs/datapath.js";
import { VirtualClock } from "../base/clock.js";
import { Prng } from "../base/prng.js";
import type { FibLookup } from "../bpf/fib_lookup.js";
import { AF_INET, type Helpers, type RedirNeigh, type SockRef } from "../bpf/helpers.js";
import { Skb, TunnelKey } from "../bpf/skb.js";
import { TC_ACT_REDIRECT } from "../bpf/verdict.js";

export const ETH0_IFINDEX = 10;
export const POD_A = ip("10.10.0.11");
export const POD_B = ip("10.10.0.12");
export const POD_R = ip("10.10.1.21");
export const WORLD = ip("203.0.113.5");
export const NODE = ip("192.168.10.11");
export const REMOTE_NODE = ip("192.168.10.12");
export const SERVICE = ip("10.96.0.10");
export const POD_A6 = ip6("fd00001000100000000000000000000b");
export const POD_B6 = ip6("fd00001000100000000000000000000c");
export const POD_R6 = ip6("fd000010001000010000000000000015");
export const NODE6 = ip6("fd00019200000000000000000000000b");
export const ID_A = 20001;
export const ID_B = 20002;
export const ID_R = 20004;

/** Be32 of a dotted quad. */
export function ip(text: string): number {
  const [a, b, c, d] = text.split(".").map(Number);
  return a | (b << 8) | (c << 16) | (d << 24);
}

/** An IPv6 address as programs keep it, from its 32 hex digits. */
export function ip6(digits: string): Int32Array {
  return new Int32Array(hex(digits).buffer);
}

/** Helpers without a kernel behind them: every redirect succeeds, every route leads out of eth0. */
export class PlainHelpers implements Helpers {
  /** Device and kind of the last redirect. */
  redirectIfindex = 0;
  redirectKind: "" | "redirect" | "redirect_peer" | "redirect_neigh" = "";
  /** Return value of FIB look-ups. */
  fibRet = 0;
  readonly rxTunnel: TunnelKey = new TunnelKey();
  readonly #prng = new Prng(1);

  constructor(readonly clock: VirtualClock) {}

  ktime_get_ns(): number {
    return this.clock.ns;
  }
  ktime_get_sec(): number {
    return this.clock.sec;
  }
  jiffies_shr8(): number {
    return (this.clock.sec * 1000) >> 8;
  }
  get_prandom_u32(): number {
    return this.#prng.nextInt32();
  }
  get_smp_processor_id(): number {
    return 0;
  }
  get_hash_recalc(skb: Skb): number {
    return skb.hash;
  }
  redirect(_skb: Skb, ifindex: number, _flags: number): number {
    this.redirectIfindex = ifindex;
    this.redirectKind = "redirect";
    return TC_ACT_REDIRECT;
  }
  redirect_peer(_skb: Skb, ifindex: number, _flags: number): number {
    this.redirectIfindex = ifindex;
    this.redirectKind = "redirect_peer";
    return TC_ACT_REDIRECT;
  }
  redirect_neigh(_skb: Skb, ifindex: number, _nh: RedirNeigh | null, _flags: number): number {
    this.redirectIfindex = ifindex;
    this.redirectKind = "redirect_neigh";
    return TC_ACT_REDIRECT;
  }
  xdp_redirect(skb: Skb, ifindex: number, _flags: number): number {
    return ifindex === skb.ifindex ? 3 : 4;
  }
  fib_lookup(_skb: Skb, params: FibLookup, _flags: number): number {
    params.ifindex = ETH0_IFINDEX;
    if (params.family === AF_INET) params.ipv4Dst = REMOTE_NODE;
    return this.fibRet;
  }
  skb_set_tunnel_key(skb: Skb, key: TunnelKey, _flags: number): number {
    skb.tunnel.copyFrom(key);
    return 0;
  }
  skb_get_tunnel_key(_skb: Skb, key: TunnelKey, _flags: number): number {
    if (!this.rxTunnel.present) return -22;
    key.copyFrom(this.rxTunnel);
    return 0;
  }
  skb_set_tunnel_opt(): number {
    return 0;
  }
  skb_get_tunnel_opt(): number {
    return -2;
  }
  skb_change_type(skb: Skb, type: number): number {
    skb.pktType = type;
    return 0;
  }
  skb_change_tail(skb: Skb, len: number, _flags: number): number {
    const have = skb.tail - skb.data;
    if (len > have) skb.put(len - have);
    else skb.trim(len);
    return 0;
  }
  skb_change_head(skb: Skb, len: number, _flags: number): number {
    if (!skb.push(len)) return -12;
    skb.bytes.fill(0, skb.data, skb.data + len);
    return 0;
  }
  skb_adjust_room(skb: Skb, delta: number, mode: number, _flags: number): number {
    const keep = mode === 1 ? 14 : skb.protocol === 0x86dd ? 54 : 34;
    if (delta <= 0 || !skb.push(delta)) return -22;
    skb.bytes.copyWithin(skb.data, skb.data + delta, skb.data + delta + keep);
    skb.bytes.fill(0, skb.data + keep, skb.data + keep + delta);
    return 0;
  }
  sk_lookup(): SockRef | null {
    return null;
  }
  sk_assign(): number {
    return 0;
  }
  get_netns_cookie(): number {
    return 1;
  }
}

export interface PlainNodeOptions {
  /** Changes of the compile-time configuration; the default is native routing with BPF host routing. */
  readonly config?: Partial<CompileConfig>;
  /** Load-time variables of every object. */
  readonly variables?: Partial<ObjectConfig>;
  /** Entries of the TCP conntrack map; the other has half of it. */
  readonly ctSize?: number;
  /** Somebody reads the events. */
  readonly reader?: boolean;
  /** IPv6 beside IPv4. */
  readonly ipv6?: boolean;
}

function mac(last: number, first: number): Uint8Array {
  return Uint8Array.from([first, 0, 0, 0, 0, last]);
}

/** The node of the drawing above. */
export class PlainNode {
  readonly clock = new VirtualClock(1_000_000_000_000_000);
  readonly helpers = new PlainHelpers(this.clock);
  readonly maps: CiliumMaps;
  readonly datapath: NodeDatapath;
  readonly a: LxcPrograms;
  readonly b: LxcPrograms;
  readonly eth0: HostPrograms;
  readonly ciliumHost: HostPrograms;
  readonly overlay: OverlayPrograms;
  readonly skb = new Skb();

  constructor(o: PlainNodeOptions = {}) {
    const ctSize = o.ctSize ?? 4096;
    this.maps = new CiliumMaps({
      clock: this.clock,
      sizes: {
        cilium_ct4_global: ctSize,
        cilium_ct_any4_global: Math.max(1, ctSize >> 1),
        cilium_ct6_global: ctSize,
        cilium_ct_any6_global: Math.max(1, ctSize >> 1),
        cilium_snat_v4_external: ctSize,
      },
      ringBytes: 1 << 22,
    });
    this.maps.cilium_events.enabled = o.reader ?? false;
    const v6 = o.ipv6 ?? false;
    const config = compileConfig({
      ENABLE_IPV6: v6,
      ENABLE_IPV6_FRAGMENTS: v6,
      ENABLE_NODEPORT: true,
      ENABLE_HOST_ROUTING: true,
      ENABLE_ROUTING: true,
      ENABLE_MASQUERADE_IPV4: true,
      ENABLE_SOCKET_LB_HOST_ONLY: true,
      MONITOR_AGGREGATION: 3,
      IPV4_DIRECT_ROUTING: NODE,
      IPV4_SNAT_EXCLUSION_DST_CIDR: ip("10.10.0.0"),
      IPV4_SNAT_EXCLUSION_DST_CIDR_LEN: 16,
      CILIUM_HOST_IFINDEX: 21,
      CILIUM_NET_IFINDEX: 20,
      CILIUM_HOST_MAC: mac(0x21, 0x1e),
      CILIUM_NET_MAC: mac(0x20, 0x1e),
      ENCAP_IFINDEX: o.config?.TUNNEL_MODE === true ? 30 : 0,
      ...o.config,
    });
    this.datapath = createDatapath({ config, maps: this.maps, helpers: this.helpers });
    const router = { router_ipv6: ip6("fd000010001000000000000000000001"), nat_ipv6_masquerade: NODE6 };
    const common = {
      ...(v6 ? router : {}),
      host_ep_id: 4,
      direct_routing_dev_ifindex: ETH0_IFINDEX,
      nat_ipv4_masquerade: NODE,
      service_loopback_ipv4: ip("169.254.42.1"),
      policy_verdict_log_filter: 3,
      ...o.variables,
    };
    this.a = this.datapath.loadLxc({
      ...common,
      endpoint_id: 1001,
      endpoint_ipv4: POD_A,
      endpoint_ipv6: v6 ? POD_A6 : new Int32Array(4),
      interface_ifindex: 101,
      interface_mac: mac(0x0a, 0x0e),
      security_label: ID_A,
    });
    this.b = this.datapath.loadLxc({
      ...common,
      endpoint_id: 1002,
      endpoint_ipv4: POD_B,
      endpoint_ipv6: v6 ? POD_B6 : new Int32Array(4),
      interface_ifindex: 102,
      interface_mac: mac(0x0b, 0x0e),
      security_label: ID_B,
    });
    const eth0 = {
      ...common,
      interface_ifindex: ETH0_IFINDEX,
      interface_mac: mac(0x10, 0x1e),
      security_label: 1,
    };
    this.eth0 = this.datapath.loadHost(eth0);
    this.ciliumHost = this.datapath.loadHost({
      ...eth0,
      interface_ifindex: 21,
      interface_mac: mac(0x21, 0x1e),
    });
    this.overlay = this.datapath.loadOverlay({
      ...eth0,
      interface_ifindex: 30,
      interface_mac: mac(0x30, 0x1e),
    });
    this.#agent();
    if (v6) this.#agent6();
  }

  /** What the agent would write: endpoints, identities, the service, and policies that allow everything. */
  #agent(): void {
    const m = this.maps;
    m.cilium_lxc.set(lxcKey(POD_A), lxcValue(101, 1001, 0x0a, ID_A));
    m.cilium_lxc.set(lxcKey(POD_B), lxcValue(102, 1002, 0x0b, ID_B));
    m.cilium_lxc.set(lxcKey(NODE), hostValue());
    const tunnel = this.datapath.config.TUNNEL_MODE;
    for (const [addr, bits, id, node] of [
      [0, 0, 2, 0],
      [POD_A, 32, ID_A, 0],
      [POD_B, 32, ID_B, 0],
      [POD_R, 32, ID_R, tunnel ? REMOTE_NODE : 0],
      [NODE, 32, 1, 0],
      [REMOTE_NODE, 32, 6, 0],
    ] as const) {
      m.cilium_ipcache_v2.set(ipcacheKey(addr, bits), ipcacheValue(id, node));
    }
    for (const ep of [1001, 1002]) {
      this.allow(ep, "egress", 0);
      this.allow(ep, "ingress", 0);
    }
    m.cilium_lb4_services_v2.set(hex("0a60000a0050000006000000"), hex("000000000100070000000000"));
    m.cilium_lb4_services_v2.set(hex("0a60000a0050010006000000"), hex("010000000000070000000000"));
    m.cilium_lb4_backends_v3.set(hex("01000000"), hex("0a0a000c1f90060000000000"));
    m.cilium_lb4_reverse_nat.set(hex("0700"), hex("0a60000a0050"));
  }

  #agent6(): void {
    const m = this.maps;
    m.cilium_lxc.set(lxcKey6(POD_A6), lxcValue(101, 1001, 0x0a, ID_A));
    m.cilium_lxc.set(lxcKey6(POD_B6), lxcValue(102, 1002, 0x0b, ID_B));
    m.cilium_lxc.set(lxcKey6(NODE6), hostValue());
    const node = this.datapath.config.TUNNEL_MODE ? REMOTE_NODE : 0;
    m.cilium_ipcache_v2.set(ipcacheKey6(new Int32Array(4), 0), ipcacheValue(2, 0));
    m.cilium_ipcache_v2.set(ipcacheKey6(POD_A6, 128), ipcacheValue(ID_A, 0));
    m.cilium_ipcache_v2.set(ipcacheKey6(POD_B6, 128), ipcacheValue(ID_B, 0));
    m.cilium_ipcache_v2.set(ipcacheKey6(POD_R6, 128), ipcacheValue(ID_R, node));
    m.cilium_ipcache_v2.set(ipcacheKey6(NODE6, 128), ipcacheValue(1, 0));
  }

  /** Policy entry of an endpoint for a remote identity (0 = any), with protocol and port if given. */
  allow(ep: number, direction: "egress" | "ingress", identity: number, proto = 0, port = 0): void {
    const key = policyKey(direction, identity, proto, port);
    const value = new PolicyValue().set(0, false, key.prefixlen - 40, 0xffffff01 | 0);
    this.maps.addPolicyMap(ep).update(key.words, value.words, 0);
  }

  /** Takes an entry of `allow` away. */
  revoke(ep: number, direction: "egress" | "ingress", identity: number, proto = 0, port = 0): void {
    this.maps.addPolicyMap(ep).remove(policyKey(direction, identity, proto, port).words);
  }

  /** Puts a frame into the node's skb as received on `ifindex`. */
  receive(frame: Uint8Array, ifindex: number): Skb {
    const skb = this.skb;
    skb.reset();
    skb.setFrame(frame);
    skb.ifindex = ifindex;
    skb.ingressIfindex = ifindex;
    skb.protocol = frame.length >= 14 ? (frame[12] << 8) | frame[13] : 0;
    return skb;
  }
}

function policyKey(
  direction: "egress" | "ingress",
  identity: number,
  proto: number,
  port: number,
): PolicyKey {
  const be = ((port & 0xff) << 8) | (port >>> 8);
  const key = new PolicyKey().set(identity, direction === "egress" ? 1 : 0, proto, be);
  key.prefixlen = 40 + (proto === 0 ? 0 : port === 0 ? 8 : 24);
  return key;
}

function hex(s: string): Uint8Array {
  return Uint8Array.from({ length: s.length / 2 }, (_, i) => Number.parseInt(s.slice(2 * i, 2 * i + 2), 16));
}

function lxcKey(addr: number): Uint8Array {
  const key = new Uint8Array(20);
  new DataView(key.buffer).setInt32(0, addr, true);
  key[16] = 1;
  return key;
}

function lxcKey6(addr: Int32Array): Uint8Array {
  const key = new Uint8Array(20);
  key.set(bytesOf(addr));
  key[16] = 2;
  return key;
}

function ipcacheKey6(addr: Int32Array, bits: number): Uint8Array {
  const key = new Uint8Array(24);
  new DataView(key.buffer).setUint32(0, 32 + bits, true);
  key[7] = 2;
  key.set(bytesOf(addr), 8);
  return key;
}

/** The 16 wire bytes of an address. */
export function bytesOf(addr: Int32Array): Uint8Array {
  return new Uint8Array(addr.buffer, addr.byteOffset, 16);
}

function lxcValue(ifindex: number, id: number, last: number, identity: number): Uint8Array {
  const value = new Uint8Array(48);
  const v = new DataView(value.buffer);
  v.setUint32(0, ifindex, true);
  v.setUint16(6, id, true);
  value.set(mac(last, 0x0a), 16);
  value.set(mac(last, 0x0e), 24);
  v.setUint32(32, identity, true);
  return value;
}

function hostValue(): Uint8Array {
  const value = new Uint8Array(48);
  value[8] = 1;
  return value;
}

function ipcacheKey(addr: number, bits: number): Uint8Array {
  const key = new Uint8Array(24);
  const v = new DataView(key.buffer);
  v.setUint32(0, 32 + bits, true);
  key[7] = 1;
  v.setInt32(8, addr, true);
  return key;
}

function ipcacheValue(identity: number, node: number): Uint8Array {
  const value = new Uint8Array(24);
  const v = new DataView(value.buffer);
  v.setUint32(0, identity, true);
  v.setInt32(4, node, true);
  if (node !== 0) value[23] = 2;
  return value;
}

/** A TCP frame of 54 bytes, or a UDP one of 42, with right checksums and the MACs of a pod's first hop. */
export function frame4(
  saddr: number,
  daddr: number,
  proto: 6 | 17,
  sport: number,
  dport: number,
  flags = 0x10,
  ttl = 64,
): Uint8Array {
  const l4 = proto === 6 ? 20 : 8;
  const f = new Uint8Array(34 + l4);
  const v = new DataView(f.buffer);
  f.set([0x0e, 0, 0, 0, 0, 0x0a, 0x0a, 0, 0, 0, 0, 0x0a, 0x08, 0x00]);
  v.setUint16(14, 0x4500);
  v.setUint16(16, 20 + l4);
  v.setUint16(18, 1);
  v.setUint16(20, 0x4000);
  f[22] = ttl;
  f[23] = proto;
  v.setInt32(26, saddr, true);
  v.setInt32(30, daddr, true);
  v.setUint16(34, sport);
  v.setUint16(36, dport);
  if (proto === 6) {
    v.setUint32(38, 1);
    f[46] = 0x50;
    f[47] = flags;
    v.setUint16(48, 65535);
  } else {
    v.setUint16(38, l4);
  }
  v.setUint16(24, checksum(f, 14, 20, 0));
  const pseudo = sum16(f, 26, 8) + proto + l4;
  v.setUint16(proto === 6 ? 50 : 40, checksum(f, 34, l4, pseudo));
  return f;
}

function sum16(f: Uint8Array, off: number, len: number): number {
  let s = 0;
  for (let i = 0; i < len; i += 2) s += (f[off + i] << 8) | f[off + i + 1];
  return s;
}

function checksum(f: Uint8Array, off: number, len: number, seed: number): number {
  let s = seed + sum16(f, off, len);
  while (s > 0xffff) s = (s & 0xffff) + (s >>> 16);
  return ~s & 0xffff;
}
