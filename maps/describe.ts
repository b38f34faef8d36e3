// Decoded views: one entry of a Cilium map as a plain object, for JSON and for diffs. Field names are those of the
// C structs where there is one. The text formats of cilium-dbg are made elsewhere.
//
// Numbers: ports, lengths and counters in host order; identities and u64 as numbers (u64 beyond 2^53 lose bits);
// rev NAT indices are stored in network order by the agent and shown as their number, unless `rawRevNat` is set.

import { formatIpv4At, formatIpv6, formatMac } from "../src/net/address.js";
import { toHex } from "../src/net/view.js";
import type { BpfMap } from "./bpf_map.js";
import { IPCACHE_STATIC_PREFIX } from "./ipcache.js";
import { ENDPOINT_KEY_IPV6 } from "./layout.js";

/** A decoded entry: nested plain values only. */
export type Described = { [field: string]: string | number | boolean | string[] | Described };

export interface DescribeOptions {
  /** Mono units now: adds `lifetime_rel` and its like, relative to it. */
  readonly now?: number;
  /** Rev NAT indices are numbers as the host stores them, not in network order (recorded test runs). */
  readonly rawRevNat?: boolean;
  /** Texts of metrics reasons and source files, which belong to the monitor. */
  readonly reasonName?: (reason: number) => string;
  readonly fileName?: (file: number) => string;
}

/** Reads the fields of one key or value. */
class Reader {
  readonly #view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    readonly options: DescribeOptions,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(off: number): number {
    return this.bytes[off];
  }
  u16(off: number): number {
    return this.#view.getUint16(off, true);
  }
  /** A port or another field in network order. */
  be16(off: number): number {
    return this.#view.getUint16(off, false);
  }
  u32(off: number): number {
    return this.#view.getUint32(off, true);
  }
  u64(off: number): number {
    return Number(this.#view.getBigUint64(off, true));
  }
  /** A rev NAT index, by the order that the options name. */
  revNat(off: number): number {
    return this.options.rawRevNat ? this.u16(off) : this.be16(off);
  }
  /** Dotted quad. */
  ip4(off: number): string {
    return formatIpv4At(this.bytes, off);
  }
  ip6(off: number): string {
    return formatIpv6(this.bytes, off);
  }
  /** Colon form. */
  mac(off: number): string {
    return formatMac(this.bytes, off);
  }
  /** True if `n` bytes are zero. */
  isZero(off: number, n: number): boolean {
    return this.bytes.subarray(off, off + n).every((b) => b === 0);
  }
}

/** Names of the set bits, lowest first. */
function bits(value: number, names: readonly string[]): string[] {
  return names.filter((name, i) => name !== "" && (value & (1 << i)) !== 0);
}

/** Bit 0 first; reserved bits have no name. */
const CT_FLAG_NAMES = [
  "rx_closing",
  "tx_closing",
  "",
  "lb_loopback",
  "seen_non_syn",
  "node_port",
  "proxy_redirect",
  "dsr_internal",
  "from_l7lb",
  "",
  "from_tunnel",
];

const LXC_FLAG_NAMES = ["host", "at_host_ns", "no_snat_v4", "no_snat_v6"];
const IPCACHE_FLAG_NAMES = ["skip_tunnel", "has_tunnel_ep", "ipv6_tunnel_ep", "remote_cluster"];

const SVC_FLAG_NAMES = [
  "external_ip",
  "nodeport",
  "ext_local_scope",
  "hostport",
  "affinity",
  "loadbalancer",
  "routable",
  "source_range",
];
const SVC_FLAG2_NAMES = [
  "localredirect",
  "nat_46x64",
  "l7_loadbalancer",
  "loopback",
  "int_local_scope",
  "two_scopes",
  "quarantined",
  "fwd_mode_dsr",
];
const BACKEND_STATES = ["active", "terminating", "quarantined", "maintenance"];

/** Kind of entry, in words. */
function tupleType(flags: number): string {
  if ((flags & 4) !== 0) return "service";
  return ((flags & 1) !== 0 ? "in" : "out") + ((flags & 2) !== 0 ? ",related" : "");
}

/** Key of conntrack and NAT. */
function tuple(k: Reader, v6: boolean): Described {
  const ports = v6 ? 32 : 8;
  const flags = k.u8(ports + 5);
  return {
    daddr: v6 ? k.ip6(0) : k.ip4(0),
    saddr: v6 ? k.ip6(16) : k.ip4(4),
    dport: k.be16(ports),
    sport: k.be16(ports + 2),
    proto: k.u8(ports + 4),
    flags,
    type: tupleType(flags),
  };
}

/** Adds `name_rel` = value - now. */
function relative(out: Described, now: number | undefined, names: readonly string[]): void {
  if (now === undefined) return;
  for (const name of names) {
    // A report at 0 never was, so that its distance would say nothing.
    if (out[name] === 0 && name.endsWith("_report")) continue;
    out[`${name}_rel`] = (out[name] as number) - now;
  }
}

/** Conntrack: key fields at the top, value fields under `entry`, as recorded runs have them. */
function ct(k: Reader, v: Reader, v6: boolean): Described {
  const key = tuple(k, v6);
  const service = ((key.flags as number) & 4) !== 0;
  const entry: Described = {
    packets: v.u64(16),
    bytes: v.u64(24),
    lifetime: v.u32(32),
    flags: bits(v.u16(36), CT_FLAG_NAMES),
    rev_nat_index: v.revNat(38),
    nat_port: v.be16(40),
    tx_flags_seen: v.u8(42),
    rx_flags_seen: v.u8(43),
    src_sec_id: v.u32(44),
    last_tx_report: v.u32(48),
    last_rx_report: v.u32(52),
  };
  if (service) entry.backend_id = v.u64(8);
  else if (!v.isZero(0, 16)) entry.nat_addr = v6 ? v.ip6(0) : v.ip4(12);
  relative(entry, v.options.now, ["lifetime", "last_tx_report", "last_rx_report"]);
  return { ...key, entry };
}

/** NAT, likewise. */
function nat(k: Reader, v: Reader, v6: boolean): Described {
  const entry: Described = {
    created: v.u64(0),
    needs_ct: v.u64(8),
    to_addr: v6 ? v.ip6(32) : v.ip4(32),
    to_port: v.be16(v6 ? 48 : 36),
  };
  relative(entry, v.options.now, ["created"]);
  return { ...tuple(k, v6), entry };
}

/** Endpoint; the address of either family as `ip`. */
function lxc(k: Reader, v: Reader): Described {
  return {
    ip: k.u8(16) === ENDPOINT_KEY_IPV6 ? k.ip6(0) : k.ip4(0),
    family: k.u8(16),
    cluster_id: k.u16(18),
    ifindex: v.u32(0),
    lxc_id: v.u16(6),
    flags: bits(v.u32(8), LXC_FLAG_NAMES),
    mac: v.mac(16),
    node_mac: v.mac(24),
    sec_id: v.u32(32),
    parent_ifindex: v.u32(36),
  };
}

/** ipcache; `prefix_len` counts address bits only. */
function ipcache(k: Reader, v: Reader): Described {
  const flags = v.u8(23);
  return {
    prefix_len: k.u32(0) - IPCACHE_STATIC_PREFIX,
    cluster_id: k.u16(4),
    family: k.u8(7),
    ip: k.u8(7) === ENDPOINT_KEY_IPV6 ? k.ip6(8) : k.ip4(8),
    sec_identity: v.u32(0),
    tunnel_endpoint: (flags & 4) !== 0 ? v.ip6(4) : v.ip4(4),
    key: v.u8(22),
    flags: bits(flags, IPCACHE_FLAG_NAMES),
  };
}

/** Policy entry; `prefix_len` is that of the key, 40 to 64. */
function policy(k: Reader, v: Reader): Described {
  return {
    prefix_len: k.u32(0),
    identity: k.u32(4),
    egress: k.u8(8) & 1,
    proto: k.u8(9),
    dport: k.be16(10),
    proxy_port: v.be16(0),
    deny: v.u8(2) & 1,
    lpm_prefix_length: v.u8(2) >> 3,
    auth_type: v.u8(3) & 0x7f,
    has_explicit_auth_type: v.u8(3) >> 7,
    precedence: v.u32(4),
    cookie: v.u32(8),
  };
}

function policystats(k: Reader, v: Reader): Described {
  return {
    endpoint_id: k.u16(0),
    prefix_len: k.u8(3),
    remote_identity: k.u32(4),
    egress: k.u8(8) & 1,
    proto: k.u8(9),
    dport: k.be16(10),
    packets: v.u64(0),
    bytes: v.u64(8),
  };
}

const METRIC_DIRECTIONS = ["unknown", "ingress", "egress", "service"];

/** Metrics, with names where the caller has some. */
function metrics(k: Reader, v: Reader): Described {
  const { reasonName, fileName } = k.options;
  const out: Described = {
    reason: k.u8(0),
    direction: METRIC_DIRECTIONS[k.u8(1) & 3],
    line: k.u16(2),
    file: k.u8(4),
    count: v.u64(0),
    bytes: v.u64(8),
  };
  if (reasonName) out.reason_name = reasonName(k.u8(0));
  if (fileName) out.file_name = fileName(k.u8(4));
  return out;
}

/** Frontend or backend slot of a service. */
function service(k: Reader, v: Reader, v6: boolean): Described {
  const at = v6 ? 16 : 4;
  const slot = k.u16(at + 2);
  const first = v.u32(0);
  const flags2 = v.u8(9);
  const out: Described = {
    address: v6 ? k.ip6(0) : k.ip4(0),
    dport: k.be16(at),
    backend_slot: slot,
    proto: k.u8(at + 4),
    scope: k.u8(at + 5) === 0 ? "external" : "internal",
    count: v.u16(4),
    rev_nat_index: v.revNat(6),
    flags: bits(v.u8(8), SVC_FLAG_NAMES),
    flags2: bits(flags2, SVC_FLAG2_NAMES),
    qcount: v.u16(10),
  };
  // The first word means three things.
  if (slot > 0) out.backend_id = first;
  else if ((flags2 & 4) !== 0) out.l7_lb_proxy_port = v.be16(0);
  else {
    out.affinity_timeout = first & 0xffffff;
    out.algorithm = ["default", "random", "maglev"][first >>> 24] ?? first >>> 24;
  }
  return out;
}

function backend(k: Reader, v: Reader, v6: boolean): Described {
  const at = v6 ? 16 : 4;
  return {
    backend_id: k.u32(0),
    address: v6 ? v.ip6(0) : v.ip4(0),
    port: v.be16(at),
    proto: v.u8(at + 2),
    state: BACKEND_STATES[v.u8(at + 3)] ?? v.u8(at + 3),
    cluster_id: v.u16(at + 4),
    zone: v.u8(at + 6),
  };
}

/** Service address behind a rev NAT index. */
function reverseNat(k: Reader, v: Reader, v6: boolean): Described {
  return { rev_nat_index: k.revNat(0), address: v6 ? v.ip6(0) : v.ip4(0), port: v.be16(v6 ? 16 : 4) };
}

/** Affinity; the client is an address or a namespace. */
function affinity(k: Reader, v: Reader, v6: boolean): Described {
  const at = v6 ? 16 : 8;
  const cookie = (k.u8(at + 2) & 1) !== 0;
  const out: Described = {
    ...(cookie ? { netns_cookie: k.u64(0) } : { client_ip: v6 ? k.ip6(0) : k.ip4(0) }),
    rev_nat_id: k.revNat(at),
    last_used: v.u64(0),
    backend_id: v.u32(8),
  };
  relative(out, v.options.now, ["last_used"]);
  return out;
}

/** Socket reverse NAT. */
function reverseSk(k: Reader, v: Reader, v6: boolean): Described {
  const at = v6 ? 16 : 4;
  return {
    cookie: k.u64(0),
    address: v6 ? k.ip6(8) : k.ip4(8),
    port: k.be16(8 + at),
    service_address: v6 ? v.ip6(0) : v.ip4(0),
    service_port: v.be16(at),
    rev_nat_index: v.revNat(at + 2),
  };
}

/** Source range; `prefix_len` counts address bits only. */
function sourceRange(k: Reader, _v: Reader, v6: boolean): Described {
  return { rev_nat_id: k.revNat(4), prefix_len: k.u32(0) - 32, address: v6 ? k.ip6(8) : k.ip4(8) };
}

/** Egress gateway; `prefix_len` is that of the destination. */
function egressGw4(k: Reader, v: Reader): Described {
  return {
    prefix_len: k.u32(0) - 32,
    saddr: k.ip4(4),
    daddr: k.ip4(8),
    egress_ip: v.ip4(0),
    gateway_ip: v.ip4(4),
  };
}

function egressGw6(k: Reader, v: Reader): Described {
  return {
    prefix_len: k.u32(0) - 128,
    saddr: k.ip6(4),
    daddr: k.ip6(20),
    egress_ip: v.ip6(0),
    gateway_ip: v.ip4(16),
    ifindex: v.u32(32),
  };
}

/** Fragment; the value is the start of an L4 header, so the source port comes first. */
function frag4(k: Reader, v: Reader): Described {
  return {
    daddr: k.ip4(0),
    saddr: k.ip4(4),
    id: k.be16(8),
    proto: k.u8(10),
    sport: v.be16(0),
    dport: v.be16(2),
  };
}

function frag6(k: Reader, v: Reader): Described {
  const id = (k.be16(0) * 0x10000 + k.be16(2)) >>> 0;
  return { daddr: k.ip6(24), saddr: k.ip6(8), id, proto: k.u8(4), sport: v.be16(0), dport: v.be16(2) };
}

function auth(k: Reader, v: Reader): Described {
  return {
    local_sec_label: k.u32(0),
    remote_sec_label: k.u32(4),
    remote_node_id: k.u16(8),
    auth_type: k.u8(10),
    expiration: v.u64(0),
  };
}

/** Bandwidth manager; the third u64 depends on the direction. */
function throttle(k: Reader, v: Reader): Described {
  const ingress = k.u8(4) === 1;
  const out: Described = {
    id: k.u32(0),
    direction: ingress ? "ingress" : "egress",
    bps: v.u64(0),
    t_last: v.u64(8),
    prio: v.u32(24),
  };
  out[ingress ? "tokens" : "t_horizon_drop"] = v.u64(16);
  return out;
}

function node(k: Reader, v: Reader): Described {
  const ip = k.u8(3) === ENDPOINT_KEY_IPV6 ? k.ip6(4) : k.ip4(4);
  return { family: k.u8(3), ip, id: v.u16(0), spi: v.u8(2) };
}

/** Turns key and value into fields. */
type Describer = (key: Reader, value: Reader) => Described;

/** By map name; policy maps are known by their prefix. */
const DESCRIBERS: Readonly<Record<string, Describer>> = {
  cilium_ct4_global: (k, v) => ct(k, v, false),
  cilium_ct_any4_global: (k, v) => ct(k, v, false),
  cilium_ct6_global: (k, v) => ct(k, v, true),
  cilium_ct_any6_global: (k, v) => ct(k, v, true),
  cilium_snat_v4_external: (k, v) => nat(k, v, false),
  cilium_snat_v6_external: (k, v) => nat(k, v, true),
  cilium_snat_v4_alloc_retries: (k, v) => ({ retries: k.u32(0), count: v.u32(0) }),
  cilium_snat_v6_alloc_retries: (k, v) => ({ retries: k.u32(0), count: v.u32(0) }),
  cilium_ipmasq_v4: (k) => ({ prefix_len: k.u32(0), address: k.ip4(4) }),
  cilium_ipmasq_v6: (k) => ({ prefix_len: k.u32(0), address: k.ip6(4) }),
  cilium_lxc: lxc,
  cilium_ipcache_v2: ipcache,
  cilium_policystats: policystats,
  cilium_metrics: metrics,
  cilium_lb4_services_v2: (k, v) => service(k, v, false),
  cilium_lb6_services_v2: (k, v) => service(k, v, true),
  cilium_lb4_backends_v3: (k, v) => backend(k, v, false),
  cilium_lb6_backends_v3: (k, v) => backend(k, v, true),
  cilium_lb4_reverse_nat: (k, v) => reverseNat(k, v, false),
  cilium_lb6_reverse_nat: (k, v) => reverseNat(k, v, true),
  cilium_lb4_affinity: (k, v) => affinity(k, v, false),
  cilium_lb6_affinity: (k, v) => affinity(k, v, true),
  cilium_lb_affinity_match: (k) => ({ backend_id: k.u32(0), rev_nat_id: k.revNat(4) }),
  cilium_lb4_source_range: (k, v) => sourceRange(k, v, false),
  cilium_lb6_source_range: (k, v) => sourceRange(k, v, true),
  cilium_lb4_reverse_sk: (k, v) => reverseSk(k, v, false),
  cilium_lb6_reverse_sk: (k, v) => reverseSk(k, v, true),
  cilium_lb_act: (k, v) => ({ svc_id: k.u16(0), zone: k.u8(2), opened: v.u32(0), closed: v.u32(4) }),
  cilium_skip_lb4: (k) => ({ netns_cookie: k.u64(0), address: k.ip4(8), port: k.be16(12) }),
  cilium_skip_lb6: (k) => ({ netns_cookie: k.u64(0), address: k.ip6(8), port: k.be16(24) }),
  cilium_nodeport_neigh4: (k, v) => ({ address: k.ip4(0), mac: v.mac(0) }),
  cilium_nodeport_neigh6: (k, v) => ({ address: k.ip6(0), mac: v.mac(0) }),
  cilium_ipv4_frag_datagrams: frag4,
  cilium_ipv6_frag_datagrams: frag6,
  cilium_egress_gw_policy_v4: egressGw4,
  cilium_egress_gw_policy_v6: egressGw6,
  cilium_l2_responder_v4: (k, v) => ({ ip: k.ip4(0), ifindex: k.u32(4), responses_sent: v.u64(0) }),
  cilium_l2_responder_v6: (k, v) => ({ ip: k.ip6(0), ifindex: k.u32(16), responses_sent: v.u64(0) }),
  cilium_auth_map: auth,
  cilium_throttle: throttle,
  cilium_node_map_v2: node,
  cilium_runtime_config: (k, v) => ({ index: k.u32(0), value: v.u64(0) }),
  cilium_percpu_trace_id: (_k, v) => ({ ip_trace_id: v.u64(0) }),
  cilium_ratelimit: (k, v) => ({
    usage: k.u32(0),
    netdev_idx: k.u32(4),
    last_topup: v.u64(0),
    tokens: v.u64(8),
  }),
  cilium_ratelimit_metrics: (k, v) => ({ usage: k.u32(0), dropped: v.u64(0) }),
  cilium_vtep_map: (k, v) => ({ vtep_ip: k.ip4(0), vtep_mac: v.mac(0), tunnel_endpoint: v.ip4(8) }),
  cilium_encrypt_state: (_k, v) => ({ key: v.u8(0) }),
};

/**
 * One entry as a plain object. Maps that are not Cilium's give `{ key, value }` in hex. The bytes must have the
 * sizes of the map's spec, as `dump()` gives them.
 */
export function describe(
  map: BpfMap,
  key: Uint8Array,
  value: Uint8Array,
  options: DescribeOptions = {},
): Described {
  const name = map.spec.name;
  const describer = name.startsWith("cilium_policy_v2_") ? policy : DESCRIBERS[name];
  if (describer === undefined) return { key: toHex(key), value: toHex(value) };
  return describer(new Reader(key, options), new Reader(value, options));
}

/** Every entry of a map, in order of key bytes. */
export function describeAll(map: BpfMap, options: DescribeOptions = {}): Described[] {
  return map.dump().map((e) => describe(map, e.key, e.value, options));
}
