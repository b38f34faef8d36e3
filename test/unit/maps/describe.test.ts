import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createCiliumMaps } from "../../../maps/cilium_maps.js";
import { type Described, describeAll, describe as describeEntry } from "../../../maps/describe.js";
import { HashMap } from "../../../maps/hash_map.js";
import { VirtualClock } from "../../../src/base/clock.js";
import { fromHex } from "../../../src/net/view.js";

const maps = createCiliumMaps({ clock: new VirtualClock() });
maps.addPolicyMap(1580);
const VECTORS = new URL("../../../../shared/vectors/bpf/", import.meta.url);

function view(name: string, key: string, value: string, options = {}): Described {
  return describeEntry(maps.byName(name)!, fromHex(key)!, fromHex(value)!, options);
}

describe("describe", () => {
  it("shows a conntrack entry with its flags, and times relative to now", () => {
    const key = "0a0000550a00017c005087070601";
    const value =
      "0000000000000000000000000a000055010000000000000062000000000000007c420f0031000007005012ff180d00000500000000000000";
    expect(view("cilium_ct4_global", key, value, { now: 1000000 })).toEqual({
      daddr: "10.0.0.85",
      saddr: "10.0.1.124",
      dport: 80,
      sport: 34567,
      proto: 6,
      flags: 1,
      type: "in",
      entry: {
        packets: 1,
        bytes: 98,
        lifetime: 1000060,
        flags: ["rx_closing", "seen_non_syn", "node_port"],
        rev_nat_index: 7,
        nat_port: 80,
        nat_addr: "10.0.0.85",
        tx_flags_seen: 18,
        rx_flags_seen: 255,
        src_sec_id: 3352,
        last_tx_report: 5,
        last_rx_report: 0,
        lifetime_rel: 60,
        last_tx_report_rel: -999995,
      },
    });
  });

  it("shows the union in the first word of a service by what it means", () => {
    const front = view("cilium_lb4_services_v2", "0a60000a0050000006000000", "302a00020200000752800100");
    expect(front).toEqual({
      address: "10.96.0.10",
      dport: 80,
      backend_slot: 0,
      proto: 6,
      scope: "external",
      affinity_timeout: 10800,
      algorithm: "maglev",
      count: 2,
      rev_nat_index: 7,
      flags: ["nodeport", "affinity", "routable"],
      flags2: ["fwd_mode_dsr"],
      qcount: 1,
    });
    expect(
      view("cilium_lb4_services_v2", "0a60000a0050010006010000", "050000000000000700000000").backend_id,
    ).toBe(5);
    const l7 = view("cilium_lb4_services_v2", "0a60000a0050000006000000", "271100000000000700040000");
    expect([l7.l7_lb_proxy_port, l7.affinity_timeout]).toEqual([10001, undefined]);
  });

  it.each<[map: string, key: string, value: string, decoded: Described]>([
    [
      "cilium_lxc",
      "0a00005500000000000000000000000001000000",
      "1a00000000002c0600000000000000000a1b2c3d4e5f00000a1b2c3d4e600000180d0000000000000000000000000000",
      {
        ip: "10.0.0.85",
        family: 1,
        cluster_id: 0,
        ifindex: 26,
        lxc_id: 1580,
        flags: [],
        mac: "0a:1b:2c:3d:4e:5f",
        node_mac: "0a:1b:2c:3d:4e:60",
        sec_id: 3352,
        parent_ifindex: 0,
      },
    ],
    [
      "cilium_ipcache_v2",
      "38000000000000010a000100000000000000000000000000",
      "180d0000c0a80082000000000000000000000000000000 02".replace(" ", ""),
      {
        prefix_len: 24,
        cluster_id: 0,
        family: 1,
        ip: "10.0.1.0",
        sec_identity: 3352,
        tunnel_endpoint: "192.168.0.130",
        key: 0,
        flags: ["has_tunnel_ep"],
      },
    ],
    [
      "cilium_policy_v2_01580",
      "40000000180d000001061f90",
      "2711c181ffffffff09000000",
      {
        prefix_len: 64,
        identity: 3352,
        egress: 1,
        proto: 6,
        dport: 8080,
        proxy_port: 10001,
        deny: 1,
        lpm_prefix_length: 24,
        auth_type: 1,
        has_explicit_auth_type: 1,
        precedence: 4294967295,
        cookie: 9,
      },
    ],
    [
      "cilium_lb4_backends_v3",
      "05000000",
      "0a00000c1f90060103000200",
      {
        backend_id: 5,
        address: "10.0.0.12",
        port: 8080,
        proto: 6,
        state: "terminating",
        cluster_id: 3,
        zone: 2,
      },
    ],
    ["cilium_lb4_reverse_nat", "0007", "0a60000a0050", { rev_nat_index: 7, address: "10.96.0.10", port: 80 }],
    [
      "cilium_lb4_affinity",
      "cb007105000000000007000000000000",
      "40420f00000000000200000000000000",
      { client_ip: "203.0.113.5", rev_nat_id: 7, last_used: 1000000, backend_id: 2 },
    ],
    [
      "cilium_lb4_affinity",
      "01000000000000000007010000000000",
      "40420f00000000000200000000000000",
      { netns_cookie: 1, rev_nat_id: 7, last_used: 1000000, backend_id: 2 },
    ],
    [
      "cilium_lb4_reverse_sk",
      "05000000000000000a00000c1f900000",
      "0a60000a00500007",
      {
        cookie: 5,
        address: "10.0.0.12",
        port: 8080,
        service_address: "10.96.0.10",
        service_port: 80,
        rev_nat_index: 7,
      },
    ],
    [
      "cilium_lb4_source_range",
      "3800000000070000c6336400",
      "00",
      { rev_nat_id: 7, prefix_len: 24, address: "198.51.100.0" },
    ],
    ["cilium_lb_affinity_match", "0900000000070000", "00", { backend_id: 9, rev_nat_id: 7 }],
    ["cilium_lb_act", "07000200", "0300000001000000", { svc_id: 7, zone: 2, opened: 3, closed: 1 }],
    [
      "cilium_skip_lb4",
      "01000000000000000a60000a00500000",
      "00",
      { netns_cookie: 1, address: "10.96.0.10", port: 80 },
    ],
    [
      "cilium_nodeport_neigh4",
      "cb007105",
      "1e00000000990000",
      { address: "203.0.113.5", mac: "1e:00:00:00:00:99" },
    ],
    [
      "cilium_ipv4_frag_datagrams",
      "0a0a000c0a0a000b42421100",
      "17701b58",
      { daddr: "10.10.0.12", saddr: "10.10.0.11", id: 16962, proto: 17, sport: 6000, dport: 7000 },
    ],
    [
      "cilium_ipv6_frag_datagrams",
      "0000007711000000fd00000000000000000000000000000afd00000000000000000000000000000b",
      "17701b58",
      { daddr: "fd00::b", saddr: "fd00::a", id: 119, proto: 17, sport: 6000, dport: 7000 },
    ],
    [
      "cilium_egress_gw_policy_v4",
      "200000000a0a000b00000000",
      "c0a80a32c0a80a0b",
      {
        prefix_len: 0,
        saddr: "10.10.0.11",
        daddr: "0.0.0.0",
        egress_ip: "192.168.10.50",
        gateway_ip: "192.168.10.11",
      },
    ],
    [
      "cilium_egress_gw_policy_v6",
      `80000000fd00000000000000000000000000000a${"00".repeat(16)}`,
      `fd00000000000000000000000000000bc0a80a0b${"00".repeat(12)}0400000000000000`.slice(0, 80),
      {
        prefix_len: 0,
        saddr: "fd00::a",
        daddr: "::",
        egress_ip: "fd00::b",
        gateway_ip: "192.168.10.11",
        ifindex: 4,
      },
    ],
    [
      "cilium_l2_responder_v4",
      "0a60000a02000000",
      "0300000000000000",
      { ip: "10.96.0.10", ifindex: 2, responses_sent: 3 },
    ],
    [
      "cilium_auth_map",
      "010000000200000003000100",
      "0a00000000000000",
      { local_sec_label: 1, remote_sec_label: 2, remote_node_id: 3, auth_type: 1, expiration: 10 },
    ],
    [
      "cilium_throttle",
      "2c06000000000000",
      `${"40420f0000000000"}${"0500000000000000"}${"0600000000000000"}${"01000000"}${"00".repeat(28)}`,
      { id: 1580, direction: "egress", bps: 1000000, t_last: 5, t_horizon_drop: 6, prio: 1 },
    ],
    [
      "cilium_node_map_v2",
      "000000010a00005500000000000000 0000000000".replace(" ", ""),
      "03000900",
      { family: 1, ip: "10.0.0.85", id: 3, spi: 9 },
    ],
    ["cilium_runtime_config", "01000000", "0500000001000000", { index: 1, value: 4294967301 }],
    [
      "cilium_ratelimit",
      "0200000000000000",
      "05000000000000000600000000000000",
      { usage: 2, netdev_idx: 0, last_topup: 5, tokens: 6 },
    ],
    ["cilium_snat_v4_alloc_retries", "03000000", "07000000", { retries: 3, count: 7 }],
    ["cilium_ipmasq_v4", "080000000a000000", "00", { prefix_len: 8, address: "10.0.0.0" }],
    [
      "cilium_vtep_map",
      "0a010000",
      "0a1b2c3d4e5f0000c0a8008200000000",
      { vtep_ip: "10.1.0.0", vtep_mac: "0a:1b:2c:3d:4e:5f", tunnel_endpoint: "192.168.0.130" },
    ],
  ])("shows an entry of %s", (name, key, value, decoded) => {
    expect(view(name, key, value)).toEqual(decoded);
  });

  it("shows metrics with the texts it is given", () => {
    const options = { reasonName: (n: number) => `reason ${n}`, fileName: (n: number) => `file ${n}` };
    expect(view("cilium_metrics", "8502610502000000", "01000000000000003e00000000000000", options)).toEqual({
      reason: 133,
      reason_name: "reason 133",
      direction: "egress",
      line: 1377,
      file: 2,
      file_name: "file 2",
      count: 1,
      bytes: 62,
    });
  });

  it("shows hex for a map that it does not know", () => {
    const map = new HashMap({ name: "mine", type: "hash", keySize: 2, valueSize: 1, maxEntries: 4 });
    map.set(Uint8Array.of(1, 2), Uint8Array.of(3));
    map.set(Uint8Array.of(0, 2), Uint8Array.of(4));
    expect(describeAll(map)).toEqual([
      { key: "0002", value: "04" },
      { key: "0102", value: "03" },
    ]);
  });

  it.skipIf(!existsSync(VECTORS))(
    "agrees with the decoded entries of recorded runs (skipped without the recordings)",
    () => {
      let compared = 0;
      for (const file of readdirSync(VECTORS).filter((f) => f.endsWith(".jsonl"))) {
        for (const line of readFileSync(new URL(file, VECTORS), "utf8").split("\n")) {
          if (line === "") continue;
          const record = JSON.parse(line) as {
            maps_in: Dump;
            steps: { now_ns: number; maps_after?: Dump }[];
          };
          const dumps: [Dump, number | undefined][] = [[record.maps_in, undefined]];
          for (const s of record.steps) dumps.push([s.maps_after ?? {}, Math.floor(s.now_ns / 1e9)]);
          for (const [dump, now] of dumps) compared += compare(dump, now);
        }
      }
      expect(compared).toBeGreaterThan(10_000);
    },
  );
});

type Dump = Record<string, { key: string; value: string; decoded?: Described }[]>;

/** Compares every decoded entry; how many there were. */
function compare(dump: Dump, now: number | undefined): number {
  let n = 0;
  for (const [name, entries] of Object.entries(dump)) {
    const map = name.startsWith("cilium_policy_v2_") ? maps.policy.get(1580)! : maps.byName(name)!;
    for (const e of entries) {
      if (e.decoded === undefined) continue;
      const options = {
        rawRevNat: true,
        ...(now === undefined ? {} : { now }),
        reasonName: () => e.decoded!.reason_name as string,
        fileName: () => e.decoded!.file_name as string,
      };
      const got = describeEntry(map, fromHex(e.key)!, fromHex(e.value)!, options);
      // The recordings leave these out.
      for (const field of ["auth_type", "has_explicit_auth_type", "cookie"]) {
        if (name.startsWith("cilium_policy_v2_")) delete got[field];
      }
      if (typeof got.entry === "object") delete (got.entry as Described).nat_addr;
      expect(got).toEqual(e.decoded);
      n++;
    }
  }
  return n;
}
