import { describe, expect, it } from "vitest";
import { ArrayMap } from "../../../maps/array_map.js";
import { createCiliumMaps } from "../../../maps/cilium_maps.js";
import { HashMap } from "../../../maps/hash_map.js";
import { LruCacheMap } from "../../../maps/lru_cache_map.js";
import { LruHashMap } from "../../../maps/lru_hash_map.js";
import { MetricsKey, updateMetrics } from "../../../maps/metrics.js";
import { PolicyStatsKey, policyStatsAdd } from "../../../maps/policystats.js";
import { VirtualClock } from "../../../src/base/clock.js";
import { toHex } from "../../../src/net/view.js";
import { dumpHex, keyOf, valueFor } from "../../support/maps.js";

const clock = new VirtualClock();

describe("CiliumMaps", () => {
  it("has every map of the datapath under its C name, with the layout and size of 1.19", () => {
    const maps = createCiliumMaps({ clock });
    const list = maps.all().map((m) => {
      const s = m.spec;
      return `${s.name} ${s.type} ${s.keySize} ${s.valueSize} ${s.maxEntries}`;
    });
    expect(list).toEqual([
      "cilium_lxc hash 20 48 65535",
      "cilium_ipcache_v2 lpm_trie 24 24 512000",
      "cilium_node_map_v2 hash 20 4 16384",
      "cilium_metrics percpu_hash 8 16 1024",
      "cilium_policystats lru_percpu_hash 12 16 65536",
      "cilium_auth_map hash 12 8 524288",
      "cilium_runtime_config array 4 8 256",
      "cilium_throttle hash 8 56 65535",
      "cilium_vtep_map hash 4 16 8",
      "cilium_subnet_map lpm_trie 24 4 1024",
      "cilium_encrypt_state array 4 1 1",
      "cilium_percpu_trace_id percpu_array 4 8 1",
      "cilium_ratelimit lru_hash 8 16 1024",
      "cilium_ratelimit_metrics hash 4 8 64",
      "cilium_ct4_global lru_hash 14 56 524288",
      "cilium_ct_any4_global lru_hash 14 56 262144",
      "cilium_ct6_global lru_hash 38 56 524288",
      "cilium_ct_any6_global lru_hash 38 56 262144",
      "cilium_lb4_services_v2 hash 12 12 65536",
      "cilium_lb6_services_v2 hash 24 12 65536",
      "cilium_lb4_backends_v3 hash 4 12 65536",
      "cilium_lb6_backends_v3 hash 4 24 65536",
      "cilium_lb4_reverse_nat hash 2 6 65536",
      "cilium_lb6_reverse_nat hash 2 18 65536",
      "cilium_lb4_affinity lru_hash 16 16 65536",
      "cilium_lb6_affinity lru_hash 24 16 65536",
      "cilium_lb_affinity_match hash 8 1 65536",
      "cilium_lb4_source_range lpm_trie 12 1 65536",
      "cilium_lb6_source_range lpm_trie 24 1 65536",
      "cilium_lb4_reverse_sk lru_hash 16 8 262144",
      "cilium_lb6_reverse_sk lru_hash 32 20 262144",
      "cilium_lb4_health lru_hash 8 12 65536",
      "cilium_lb6_health lru_hash 8 24 65536",
      "cilium_skip_lb4 hash 16 1 100",
      "cilium_skip_lb6 hash 32 1 100",
      "cilium_lb_act lru_hash 4 8 65536",
      "cilium_snat_v4_external lru_hash 14 40 524288",
      "cilium_snat_v6_external lru_hash 38 56 524288",
      "cilium_snat_v4_alloc_retries percpu_array 4 4 33",
      "cilium_snat_v6_alloc_retries percpu_array 4 4 33",
      "cilium_ipmasq_v4 lpm_trie 8 1 16384",
      "cilium_ipmasq_v6 lpm_trie 20 1 16384",
      "cilium_nodeport_neigh4 lru_hash 4 8 524288",
      "cilium_nodeport_neigh6 lru_hash 16 8 524288",
      "cilium_ipv4_frag_datagrams lru_hash 12 4 8192",
      "cilium_ipv6_frag_datagrams lru_hash 40 4 8192",
      "cilium_egress_gw_policy_v4 lpm_trie 12 8 16384",
      "cilium_egress_gw_policy_v6 lpm_trie 36 40 16384",
      "cilium_l2_responder_v4 hash 8 8 4096",
      "cilium_l2_responder_v6 hash 24 8 4096",
    ]);
    for (const m of maps.all()) {
      expect((maps as unknown as Record<string, unknown>)[m.spec.name]).toBe(m);
      expect(maps.byName(m.spec.name)).toBe(m);
    }
  });

  it("costs little while it is empty", () => {
    const bytes = createCiliumMaps({ clock, cpus: 4 })
      .all()
      .reduce((n, m) => n + m.words.byteLength, 0);
    expect(bytes).toBeLessThan(200_000);
  });

  it("names a policy map by its endpoint, and finds, lists and forgets it", () => {
    const maps = createCiliumMaps({ clock, policyMapSize: 100 });
    const map = maps.addPolicyMap(1580);
    expect(maps.addPolicyMap(1580)).toBe(map);
    expect([map.spec.name, map.spec.maxEntries]).toEqual(["cilium_policy_v2_01580", 100]);
    expect([maps.byName("cilium_policy_v2_01580"), maps.byName("cilium_policy_v2_00001")]).toEqual([
      map,
      undefined,
    ]);
    expect([maps.policy.get(1580), maps.policy.get(5)]).toEqual([map, undefined]);
    maps.addPolicyMap(7);
    expect(
      maps
        .all()
        .slice(-2)
        .map((m) => m.spec.name),
    ).toEqual(["cilium_policy_v2_00007", "cilium_policy_v2_01580"]);
    expect(maps.names().filter((n) => n.startsWith("cilium_p"))).toEqual([
      "cilium_per_cluster_ct_any4",
      "cilium_per_cluster_ct_any6",
      "cilium_per_cluster_ct_tcp4",
      "cilium_per_cluster_ct_tcp6",
      "cilium_percpu_trace_id",
      "cilium_policy_v2_00007",
      "cilium_policy_v2_01580",
      "cilium_policystats",
    ]);
    maps.removePolicyMap(1580);
    expect([maps.byName("cilium_policy_v2_01580"), maps.policy.get(1580)]).toEqual([undefined, undefined]);
  });

  it("takes other sizes, types, eviction and back end by option", () => {
    const maps = createCiliumMaps({
      clock,
      sizes: { cilium_ct4_global: 4, cilium_lxc: 9 },
      types: { cilium_ct4_global: "hash" },
      lru: "strict",
      maglevTableSize: 251,
    });
    expect([maps.cilium_ct4_global.constructor, maps.cilium_ct4_global.spec.maxEntries]).toEqual([
      HashMap,
      4,
    ]);
    expect([maps.cilium_ct_any4_global.constructor, maps.cilium_ct_any4_global.spec.lru]).toEqual([
      LruHashMap,
      "strict",
    ]);
    expect([maps.cilium_lxc.spec.maxEntries, maps.cilium_lb4_maglev.innerSpec.valueSize]).toEqual([9, 1004]);
    expect(createCiliumMaps({ clock, backend: "lru-cache" }).cilium_ct4_global).toBeInstanceOf(LruCacheMap);
  });

  it("makes inner maps for maps of maps", () => {
    const maps = createCiliumMaps({ clock, maglevTableSize: 3 });
    const table = maps.newInner(maps.cilium_lb4_maglev, "cilium_lb4_maglev_7");
    expect(table).toBeInstanceOf(ArrayMap);
    expect(maps.cilium_lb4_maglev.update(Int32Array.of(7), table)).toBe(0);
    const ct = maps.newInner(maps.cilium_per_cluster_ct_tcp4, "cilium_per_cluster_ct_tcp4_1");
    expect(maps.cilium_per_cluster_ct_tcp4.update(Int32Array.of(1), ct)).toBe(0);
    expect([maps.nestedByName("cilium_lb4_maglev"), maps.nestedByName("cilium_lxc")]).toEqual([
      maps.cilium_lb4_maglev,
      undefined,
    ]);
  });

  it("returns to a snapshot as a whole, policy maps included", () => {
    const maps = createCiliumMaps({ clock, cpus: 2, maglevTableSize: 3 });
    const policy = maps.addPolicyMap(1);
    for (const m of maps.all()) m.update(keyOf(m, 0), valueFor(m, 7), 0);
    const program = {};
    maps.cilium_call_policy.set(1, program);
    maps.cilium_events.enabled = true;
    maps.cilium_events.output(0, Uint8Array.of(4, 0, 0, 0), 4, new Uint8Array(0), 0, 0);
    const before = maps.all().map(dumpHex);
    const snapshot = maps.save();
    for (const m of maps.all()) {
      m.update(keyOf(m, 0), valueFor(m, 8), 0);
      m.update(keyOf(m, 1), valueFor(m, 9), 0);
    }
    maps.addPolicyMap(2);
    maps.removePolicyMap(1);
    maps.cilium_call_policy.delete(1);
    maps.cilium_events.discard();
    maps.restore(snapshot);
    expect([maps.all().map(dumpHex), [...maps.policy.keys()]]).toEqual([before, [1]]);
    expect(maps.policy.get(1)).toBe(policy);
    expect([maps.cilium_call_policy.get(1) === program, maps.cilium_events.read(() => {})]).toEqual([
      true,
      1,
    ]);
    const other = createCiliumMaps({ clock, cpus: 2, maglevTableSize: 3 });
    other.restore(snapshot);
    expect(other.all().map(dumpHex)).toEqual(before);
    // Programs are bound to their node.
    expect(other.cilium_call_policy.size).toBe(0);
  });
});

describe("counters", () => {
  it("of metrics add up per CPU and ignore a full map", () => {
    const maps = createCiliumMaps({ clock, cpus: 2, sizes: { cilium_metrics: 1 } });
    const key = new MetricsKey().set(0, 2, 1377, 2);
    updateMetrics(maps.cilium_metrics, key, 100);
    maps.cpu.id = 1;
    updateMetrics(maps.cilium_metrics, key, 60);
    updateMetrics(maps.cilium_metrics, key, 60);
    updateMetrics(maps.cilium_metrics, new MetricsKey().set(133, 1, 1, 2), 60);
    expect(dumpHex(maps.cilium_metrics)).toEqual([["0002610502000000", "0300000000000000dc00000000000000"]]);
    const slot = maps.cilium_metrics.lookup(key.words);
    expect(toHex(maps.cilium_metrics.valueOfCpu(slot, 0))).toBe("01000000000000006400000000000000");
  });

  it("of policy entries add up per CPU", () => {
    const maps = createCiliumMaps({ clock, cpus: 2 });
    const key = new PolicyStatsKey().set(1580, 24, 3352, 0, 6, 0x5000);
    policyStatsAdd(maps.cilium_policystats, key, 98);
    maps.cpu.id = 1;
    policyStatsAdd(maps.cilium_policystats, key, 2);
    expect(dumpHex(maps.cilium_policystats)).toEqual([
      ["2c060018180d000000060050", "02000000000000006400000000000000"],
    ]);
  });
});
