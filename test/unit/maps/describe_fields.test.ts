// Decoded views field by field: keys and values of counting bytes, so that each field shows from where it was read. Offsets
// are those of the C structs.
import { describe, expect, it } from "vitest";
import { createCiliumMaps } from "../../../maps/cilium_maps.js";
import { type Described, type DescribeOptions, describe as describeEntry } from "../../../maps/describe.js";
import { VirtualClock } from "../../../src/base/clock.js";

const maps = createCiliumMaps({ clock: new VirtualClock() });
maps.addPolicyMap(1580);

/** First byte of keys and of values. */
const [K, V] = [0x01, 0x81];

/** The entry of counting bytes, with some of them set: offset to byte. */
function entry(
  name: string,
  key: Readonly<Record<number, number>> = {},
  value: Readonly<Record<number, number>> = {},
  options: DescribeOptions = {},
): Described {
  const { spec } = maps.byName(name)!;
  const bytes = (size: number, first: number, set: Readonly<Record<number, number>>): Uint8Array =>
    Uint8Array.from({ length: size }, (_, i) => set[i] ?? first + i);
  return describeEntry(
    maps.byName(name)!,
    bytes(spec.keySize, K, key),
    bytes(spec.valueSize, V, value),
    options,
  );
}

// What counting bytes from `first` on read as at an offset.
const range = (first: number, off: number, n: number): number[] =>
  Array.from({ length: n }, (_, i) => first + off + i);
const le = (first: number, off: number, n: number): number =>
  range(first, off, n).reduceRight((sum, b) => sum * 256 + b, 0);
const be16 = (first: number, off: number): number => (first + off) * 256 + first + off + 1;
const ip4 = (first: number, off: number): string => range(first, off, 4).join(".");
const hex = (n: number): string => n.toString(16).padStart(2, "0");
const ip6 = (first: number, off: number): string =>
  Array.from({ length: 8 }, (_, i) => be16(first, off + 2 * i).toString(16)).join(":");
const mac = (first: number, off: number): string => range(first, off, 6).map(hex).join(":");

describe("tuples", () => {
  const tuple = (v6: boolean) => ({
    daddr: v6 ? ip6(K, 0) : ip4(K, 0),
    saddr: v6 ? ip6(K, 16) : ip4(K, 4),
    dport: be16(K, v6 ? 32 : 8),
    sport: be16(K, v6 ? 34 : 10),
  });

  it.each([
    ["cilium_ct4_global", false],
    ["cilium_ct_any4_global", false],
    ["cilium_ct6_global", true],
    ["cilium_ct_any6_global", true],
  ] as const)("of %s stand before the entry", (name, v6) => {
    const at = v6 ? 36 : 12;
    expect(entry(name, { [at]: 17, [at + 1]: 2 })).toEqual({
      ...tuple(v6),
      proto: 17,
      flags: 2,
      type: "out,related",
      entry: {
        packets: le(V, 16, 8),
        bytes: le(V, 24, 8),
        lifetime: le(V, 32, 4),
        // 0xa6a5: bits 0, 2, 5, 7 and 9, 10, 13, 15, of which 2, 9, 13 and 15 have no name.
        flags: ["rx_closing", "node_port", "dsr_internal", "from_tunnel"],
        rev_nat_index: be16(V, 38),
        nat_port: be16(V, 40),
        nat_addr: v6 ? ip6(V, 0) : ip4(V, 12),
        tx_flags_seen: V + 42,
        rx_flags_seen: V + 43,
        src_sec_id: le(V, 44, 4),
        last_tx_report: le(V, 48, 4),
        last_rx_report: le(V, 52, 4),
      },
    });
  });

  it("name their kind", () => {
    const kinds = [0, 1, 2, 3, 4, 5].map((f) => entry("cilium_ct4_global", { 13: f }).type);
    expect(kinds).toEqual(["out", "in", "out,related", "in,related", "service", "service"]);
  });

  it("of services have a backend instead of an address, others an address if there is one", () => {
    const of = (flags: number, value = {}) =>
      entry("cilium_ct4_global", { 13: flags }, value).entry as Described;
    expect(of(4).backend_id).toBe(le(V, 8, 8));
    expect("nat_addr" in of(4)).toBe(false);
    expect("backend_id" in of(0)).toBe(false);
    const none = Object.fromEntries(range(0, 0, 16).map((i) => [i, 0]));
    expect("nat_addr" in of(0, none)).toBe(false);
    expect(of(0, { ...none, 15: 9 }).nat_addr).toBe("0.0.0.9");
    expect(of(0, { ...none, 0: 9 }).nat_addr).toBe("0.0.0.0");
  });

  it("have times relative to now, but for reports that never were", () => {
    const never = { 48: 0, 49: 0, 50: 0, 51: 0, 32: 0, 33: 0, 34: 0, 35: 0 };
    const e = entry("cilium_ct4_global", {}, never, { now: 1000 }).entry as Described;
    expect([e.lifetime_rel, e.last_rx_report_rel]).toEqual([-1000, le(V, 52, 4) - 1000]);
    expect("last_tx_report_rel" in e).toBe(false);
    expect("lifetime_rel" in (entry("cilium_ct4_global").entry as Described)).toBe(false);
  });

  it.each([
    ["cilium_snat_v4_external", false],
    ["cilium_snat_v6_external", true],
  ] as const)("of %s lead to the translation", (name, v6) => {
    const at = v6 ? 36 : 12;
    const now = 5;
    expect(entry(name, { [at]: 6, [at + 1]: 1 }, {}, { now })).toEqual({
      ...tuple(v6),
      proto: 6,
      flags: 1,
      type: "in",
      entry: {
        created: le(V, 0, 8),
        needs_ct: le(V, 8, 8),
        to_addr: v6 ? ip6(V, 32) : ip4(V, 32),
        to_port: be16(V, v6 ? 48 : 36),
        created_rel: le(V, 0, 8) - now,
      },
    });
  });
});

describe("addresses of either family", () => {
  it("follow the family byte of endpoints, ipcache entries and nodes", () => {
    expect([1, 2].map((family) => entry("cilium_lxc", { 16: family }).ip)).toEqual([ip4(K, 0), ip6(K, 0)]);
    expect([1, 2].map((family) => entry("cilium_ipcache_v2", { 7: family }).ip)).toEqual([
      ip4(K, 8),
      ip6(K, 8),
    ]);
    expect([1, 2].map((family) => entry("cilium_node_map_v2", { 3: family }).ip)).toEqual([
      ip4(K, 4),
      ip6(K, 4),
    ]);
  });

  it("of tunnel endpoints follow their flag", () => {
    expect([2, 6].map((flags) => entry("cilium_ipcache_v2", {}, { 23: flags }).tunnel_endpoint)).toEqual([
      ip4(V, 4),
      ip6(V, 4),
    ]);
  });
});

describe("services", () => {
  it.each([
    ["cilium_lb4_services_v2", 4, ip4(K, 0)],
    ["cilium_lb6_services_v2", 16, ip6(K, 0)],
  ] as const)("of %s show frontends and backend slots", (name, at, address) => {
    expect(entry(name, { [at + 4]: 6, [at + 5]: 0 })).toEqual({
      address,
      dport: be16(K, at),
      backend_slot: le(K, at + 2, 2),
      proto: 6,
      scope: "external",
      count: le(V, 4, 2),
      rev_nat_index: be16(V, 6),
      // 0x89 and 0x8a.
      flags: ["external_ip", "hostport", "source_range"],
      flags2: ["nat_46x64", "loopback", "fwd_mode_dsr"],
      qcount: le(V, 10, 2),
      backend_id: le(V, 0, 4),
    });
    expect(entry(name, { [at + 5]: 1 }).scope).toBe("internal");
  });

  it("say how backends are chosen", () => {
    const algorithm = (n: number) =>
      entry("cilium_lb4_services_v2", { 6: 0, 7: 0 }, { 3: n, 9: 0 }).algorithm;
    expect([0, 1, 2, 3].map(algorithm)).toEqual(["default", "random", "maglev", 3]);
    const punted = entry("cilium_lb4_services_v2", { 6: 0, 7: 0 }, { 9: 4 });
    expect([punted.l7_lb_proxy_port, "algorithm" in punted]).toEqual([be16(V, 0), false]);
  });

  it.each([
    ["cilium_lb4_backends_v3", 4, ip4(V, 0)],
    ["cilium_lb6_backends_v3", 16, ip6(V, 0)],
  ] as const)("of %s show backends and their state", (name, at, address) => {
    expect(entry(name, {}, { [at + 3]: 2 })).toEqual({
      backend_id: le(K, 0, 4),
      address,
      port: be16(V, at),
      proto: V + at + 2,
      state: "quarantined",
      cluster_id: le(V, at + 4, 2),
      zone: V + at + 6,
    });
    expect([0, 1, 3, 4].map((n) => entry(name, {}, { [at + 3]: n }).state)).toEqual([
      "active",
      "terminating",
      "maintenance",
      4,
    ]);
  });

  it.each([
    ["cilium_lb4_reverse_nat", { address: ip4(V, 0), port: be16(V, 4) }],
    ["cilium_lb6_reverse_nat", { address: ip6(V, 0), port: be16(V, 16) }],
  ])("of %s show the address behind an index, in either byte order", (name, rest) => {
    expect(entry(name)).toEqual({ rev_nat_index: be16(K, 0), ...rest });
    expect(entry(name, {}, {}, { rawRevNat: true }).rev_nat_index).toBe(le(K, 0, 2));
  });

  it.each([
    ["cilium_lb4_affinity", 8, ip4(K, 0)],
    ["cilium_lb6_affinity", 16, ip6(K, 0)],
  ] as const)("of %s show clients by address or namespace", (name, at, client_ip) => {
    const rest = { rev_nat_id: be16(K, at), last_used: le(V, 0, 8), backend_id: le(V, 8, 4) };
    expect(entry(name, { [at + 2]: 0 })).toEqual({ client_ip, ...rest });
    expect(entry(name, { [at + 2]: 1 }, {}, { now: 7 })).toEqual({
      netns_cookie: le(K, 0, 8),
      ...rest,
      last_used_rel: le(V, 0, 8) - 7,
    });
  });

  it.each([
    ["cilium_lb4_source_range", ip4(K, 8)],
    ["cilium_lb6_source_range", ip6(K, 8)],
  ])("of %s show source ranges", (name, address) => {
    expect(entry(name)).toEqual({ rev_nat_id: be16(K, 4), prefix_len: le(K, 0, 4) - 32, address });
  });

  it.each([
    ["cilium_lb4_reverse_sk", 4, ip4(K, 8), ip4(V, 0)],
    ["cilium_lb6_reverse_sk", 16, ip6(K, 8), ip6(V, 0)],
  ] as const)("of %s show what a socket asked for", (name, at, address, service_address) => {
    expect(entry(name)).toEqual({
      cookie: le(K, 0, 8),
      address,
      port: be16(K, 8 + at),
      service_address,
      service_port: be16(V, at),
      rev_nat_index: be16(V, at + 2),
    });
  });
});

describe("the small maps", () => {
  it.each<[string, Described]>([
    ["cilium_snat_v4_alloc_retries", { retries: le(K, 0, 4), count: le(V, 0, 4) }],
    ["cilium_snat_v6_alloc_retries", { retries: le(K, 0, 4), count: le(V, 0, 4) }],
    ["cilium_ipmasq_v4", { prefix_len: le(K, 0, 4), address: ip4(K, 4) }],
    ["cilium_ipmasq_v6", { prefix_len: le(K, 0, 4), address: ip6(K, 4) }],
    ["cilium_skip_lb4", { netns_cookie: le(K, 0, 8), address: ip4(K, 8), port: be16(K, 12) }],
    ["cilium_skip_lb6", { netns_cookie: le(K, 0, 8), address: ip6(K, 8), port: be16(K, 24) }],
    ["cilium_nodeport_neigh4", { address: ip4(K, 0), mac: mac(V, 0) }],
    ["cilium_nodeport_neigh6", { address: ip6(K, 0), mac: mac(V, 0) }],
    ["cilium_l2_responder_v4", { ip: ip4(K, 0), ifindex: le(K, 4, 4), responses_sent: le(V, 0, 8) }],
    ["cilium_l2_responder_v6", { ip: ip6(K, 0), ifindex: le(K, 16, 4), responses_sent: le(V, 0, 8) }],
    ["cilium_percpu_trace_id", { ip_trace_id: le(V, 0, 8) }],
    ["cilium_ratelimit_metrics", { usage: le(K, 0, 4), dropped: le(V, 0, 8) }],
    ["cilium_encrypt_state", { key: V }],
    ["cilium_lb_affinity_match", { backend_id: le(K, 0, 4), rev_nat_id: be16(K, 4) }],
  ])("%s", (name, fields) => {
    expect(entry(name)).toEqual(fields);
  });

  it("cilium_policystats", () => {
    expect(entry("cilium_policystats")).toEqual({
      endpoint_id: le(K, 0, 2),
      prefix_len: K + 3,
      remote_identity: le(K, 4, 4),
      egress: 1,
      proto: K + 9,
      dport: be16(K, 10),
      packets: le(V, 0, 8),
      bytes: le(V, 8, 8),
    });
  });

  it("cilium_throttle, whose last field depends on the direction", () => {
    const fields = { id: le(K, 0, 4), bps: le(V, 0, 8), t_last: le(V, 8, 8), prio: le(V, 24, 4) };
    expect(entry("cilium_throttle", { 4: 1 })).toEqual({
      ...fields,
      direction: "ingress",
      tokens: le(V, 16, 8),
    });
    expect(entry("cilium_throttle", { 4: 0 })).toEqual({
      ...fields,
      direction: "egress",
      t_horizon_drop: le(V, 16, 8),
    });
  });

  it("cilium_metrics, with names where somebody has them", () => {
    const plain = entry("cilium_metrics", { 1: 2 });
    expect([plain.direction, "reason_name" in plain, "file_name" in plain]).toEqual(["egress", false, false]);
    const named = entry("cilium_metrics", {}, {}, { reasonName: (n) => `r${n}`, fileName: (n) => `f${n}` });
    expect([named.reason_name, named.file_name]).toEqual([`r${K}`, `f${K + 4}`]);
  });

  it("cilium_ipv6_frag_datagrams, whose id may be above 2^31", () => {
    expect(entry("cilium_ipv6_frag_datagrams", { 0: 0xff }).id).toBe(0xff000000 + 0x020304);
  });
});
