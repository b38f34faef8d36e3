// Every key and value class against the bytes that the C struct has on a little-endian node.

import { describe, expect, it } from "vitest";
import * as auth from "../../../maps/auth.js";
import { CT_F_NODE_PORT, CT_F_SEEN_NON_SYN, CtEntry, CtTuple4, CtTuple6 } from "../../../maps/ct.js";
import * as egw from "../../../maps/egress_gw.js";
import * as frag from "../../../maps/frag.js";
import { HashMap } from "../../../maps/hash_map.js";
import * as ipc from "../../../maps/ipcache.js";
import * as l2 from "../../../maps/l2_responder.js";
import { copyAddr6, equalAddr6, putAddr6, setAddr6 } from "../../../maps/layout.js";
import * as lb from "../../../maps/lb.js";
import * as lxc from "../../../maps/lxc.js";
import * as metrics from "../../../maps/metrics.js";
import * as nat from "../../../maps/nat.js";
import * as neigh from "../../../maps/neigh.js";
import * as node from "../../../maps/node.js";
import * as policy from "../../../maps/policy.js";
import * as stats from "../../../maps/policystats.js";
import { RatelimitKey } from "../../../maps/ratelimit.js";
import * as runtime from "../../../maps/runtime_config.js";
import type { MapSpec } from "../../../maps/spec.js";
import * as throttle from "../../../maps/throttle.js";
import { VtepValue, vtepTunnelEndpoint } from "../../../maps/vtep.js";
import { htons, parseIpv4, parseIpv6, parseMac } from "../../../src/net/address.js";
import { hexOf } from "../../support/maps.js";

const A = parseIpv4("10.0.0.85");
const B = parseIpv4("10.0.1.124");
/** Two IPv6 addresses, at 0 and 16, and a whole IPv6 header with them at 32. */
const V6 = new DataView(new ArrayBuffer(72));
const v6bytes = new Uint8Array(V6.buffer);
v6bytes.set(parseIpv6("fd00::a"), 0);
v6bytes.set(parseIpv6("fd00::b"), 16);
v6bytes.set(parseIpv6("fd00::a"), 32 + 8);
v6bytes.set(parseIpv6("fd00::b"), 32 + 24);
const HEX_A6 = "fd00000000000000000000000000000a";
const HEX_B6 = "fd00000000000000000000000000000b";
const MAC = parseMac("0a:1b:2c:3d:4e:5f");

/** A map with one entry: its value is `value`; gives map and slot. */
function mapWith(valueSize: number, value: Int32Array): [HashMap, number] {
  const spec: MapSpec = { name: "m", type: "hash", keySize: 4, valueSize, maxEntries: 4 };
  const map = new HashMap(spec);
  map.update(Int32Array.of(1), new Int32Array(value.length), 0);
  map.update(Int32Array.of(2), value, 0);
  return [map, map.lookup(Int32Array.of(2))];
}

describe("keys", () => {
  const ct4 = new CtTuple4();
  ct4.daddr = A;
  ct4.saddr = B;
  ct4.dport = htons(80);
  ct4.sport = htons(34567);
  ct4.nexthdr = 6;
  ct4.flags = 1;
  const ct6 = new CtTuple6();
  ct6.setDaddr(V6, 0);
  ct6.setSaddr(V6, 16);
  ct6.dport = htons(80);
  ct6.sport = htons(34567);
  ct6.nexthdr = 58;
  ct6.flags = 3;
  const svc4 = new lb.Lb4Key().set(A, htons(80), 6, 1, 3);
  const svc6 = new lb.Lb6Key().setAddress(V6, 0);
  svc6.dport = htons(80);
  svc6.backend_slot = 2;
  svc6.proto = 17;
  svc6.scope = 1;
  const lxcKey = new lxc.LxcKey().setIpv4(A);
  lxcKey.cluster_id = 3;
  const policyKey = new policy.PolicyKey().set(3352, 1, 6, htons(8080));

  it.each<[name: string, words: Int32Array, size: number, hex: string]>([
    ["ipv4_ct_tuple", ct4.words, 14, "0a0000550a00017c005087070601"],
    ["ipv6_ct_tuple", ct6.words, 38, `${HEX_A6}${HEX_B6}005087073a03`],
    ["endpoint_key v4", lxcKey.words, 20, "0a00005500000000000000000000000001000300"],
    ["endpoint_key v6", new lxc.LxcKey().setIpv6(V6, 0).words, 20, `${HEX_A6}02000000`],
    [
      "ipcache_key v4",
      new ipc.IpcacheKey().setIpv4(A, 24, 7).words,
      24,
      "38000000070000010a000055000000000000000000000000",
    ],
    ["ipcache_key v6", new ipc.IpcacheKey().setIpv6(V6, 0).words, 24, `a000000000000002${HEX_A6}`],
    ["policy_key", policyKey.words, 12, "40000000180d000001061f90"],
    [
      "policy_stats_key, exact port",
      new stats.PolicyStatsKey().set(1580, 24, 3352, 0, 6, htons(8080)).words,
      12,
      "2c060018180d000000061f90",
    ],
    [
      "policy_stats_key, port range",
      new stats.PolicyStatsKey().set(1580, 8 + 6, 3352, 1, 6, htons(8080)).words,
      12,
      "2c06000e180d000001061c00",
    ],
    [
      "policy_stats_key, protocol",
      new stats.PolicyStatsKey().set(1580, 8, 3352, 1, 6, htons(8080)).words,
      12,
      "2c060008180d000001060000",
    ],
    [
      "policy_stats_key, identity only",
      new stats.PolicyStatsKey().set(1580, 0, 3352, 1, 6, htons(8080)).words,
      12,
      "2c060000180d000001000000",
    ],
    ["metrics_key", new metrics.MetricsKey().set(133, 2, 1377, 2).words, 8, "8502610502000000"],
    ["lb4_key", svc4.words, 12, "0a0000550050030006010000"],
    ["lb6_key", svc6.words, 24, `${HEX_A6}0050020011010000`],
    [
      "lb4_affinity_key",
      new lb.Lb4AffinityKey().setIp(A, htons(7)).words,
      16,
      "0a000055000000000007000000000000",
    ],
    [
      "lb4_affinity_key of a namespace",
      new lb.Lb4AffinityKey().setCookie(0x1_0000_0002, htons(7)).words,
      16,
      "02000000010000000007010000000000",
    ],
    [
      "lb6_affinity_key",
      new lb.Lb6AffinityKey().setIp(V6, 0, htons(7)).words,
      24,
      `${HEX_A6}0007000000000000`,
    ],
    [
      "lb6_affinity_key of a namespace",
      new lb.Lb6AffinityKey().setCookie(0x1_0000_0002, htons(7)).words,
      24,
      "020000000100000000000000000000000007010000000000",
    ],
    ["lb_affinity_match", new lb.LbAffinityMatchKey().set(9, htons(7)).words, 8, "0900000000070000"],
    ["lb4_src_range_key", new lb.Lb4SrcRangeKey().set(htons(7), A, 24).words, 12, "38000000000700000a000055"],
    [
      "lb6_src_range_key",
      new lb.Lb6SrcRangeKey().set(htons(7), V6, 0).words,
      24,
      `a000000000070000${HEX_A6}`,
    ],
    [
      "ipv4_revnat_tuple",
      new lb.Lb4ReverseSkKey().set(0x1_0000_0005, A, htons(80)).words,
      16,
      "05000000010000000a00005500500000",
    ],
    [
      "ipv6_revnat_tuple",
      new lb.Lb6ReverseSkKey().set(0x1_0000_0005, V6, 0, htons(80)).words,
      32,
      `0500000001000000${HEX_A6}0050000000000000`,
    ],
    ["skip_lb4_key", new lb.SkipLb4Key().set(1, A, htons(80)).words, 16, "01000000000000000a00005500500000"],
    [
      "skip_lb6_key",
      new lb.SkipLb6Key().set(1, V6, 0, htons(80)).words,
      32,
      `0100000000000000${HEX_A6}0050000000000000`,
    ],
    ["lb_act_key", new lb.LbActKey().set(7, 2).words, 4, "07000200"],
    ["u32", new lb.U32Key().set(258).words, 4, "02010000"],
    ["ipmasq v4", new nat.IpmasqKey4().set(A, 8).words, 8, "080000000a000055"],
    ["ipmasq v6", new nat.IpmasqKey6().set(V6, 0).words, 20, `80000000${HEX_A6}`],
    ["ipv4_frag_id", new frag.FragKey4().set(A, B, htons(0x4242), 17).words, 12, "0a0000550a00017c42421100"],
    [
      "ipv6_frag_id",
      new frag.FragKey6().set(0x77000000, 17, V6, 32).words,
      40,
      `0000007711000000${HEX_A6}${HEX_B6}`,
    ],
    ["neigh v4", new neigh.NeighKey4().set(A).words, 4, "0a000055"],
    ["neigh v6", new neigh.NeighKey6().set(V6, 16).words, 16, HEX_B6],
    ["node_key v4", new node.NodeKey().setIpv4(A).words, 20, "000000010a000055000000000000000000000000"],
    ["node_key v6", new node.NodeKey().setIpv6(V6, 0).words, 20, `00000002${HEX_A6}`],
    ["egress_gw_policy_key", new egw.EgressGwKey4().set(A, B, 16).words, 12, "300000000a0000550a00017c"],
    ["egress_gw_policy_key6", new egw.EgressGwKey6().set(V6, 0, 16).words, 36, `00010000${HEX_A6}${HEX_B6}`],
    ["l2_responder_v4_key", new l2.L2ResponderKey4().set(A, 2).words, 8, "0a00005502000000"],
    ["l2_responder_v6_key", new l2.L2ResponderKey6().set(V6, 0, 2).words, 24, `${HEX_A6}0200000000000000`],
    ["auth_key", new auth.AuthKey().set(1, 2, 3, auth.AUTH_TYPE_SPIRE).words, 12, "010000000200000003000100"],
    ["edt_id", new throttle.ThrottleKey().set(1580, 1).words, 8, "2c06000001000000"],
    ["ratelimit_key", new RatelimitKey().set(2, 5).words, 8, "0200000005000000"],
  ])("%s has the bytes of the C struct", (_name, words, size, hex) => {
    expect(hexOf(words, size)).toBe(hex);
    // The padding behind keySize is part of the hash and must be zero.
    const rest = new Uint8Array(words.buffer).subarray(size);
    expect(rest.every((b) => b === 0)).toBe(true);
  });

  it("give their fields back", () => {
    expect([ct4.daddr, ct4.saddr, ct4.dport, ct4.sport, ct4.nexthdr, ct4.flags]).toEqual([
      A,
      B,
      htons(80),
      htons(34567),
      6,
      1,
    ]);
    expect([ct6.daddrP4, ct6.saddrP4, ct6.dport, ct6.sport, ct6.nexthdr, ct6.flags]).toEqual([
      0x0a000000,
      0x0b000000,
      htons(80),
      htons(34567),
      58,
      3,
    ]);
    expect([svc4.address, svc4.dport, svc4.backend_slot, svc4.proto, svc4.scope]).toEqual([
      A,
      htons(80),
      3,
      6,
      1,
    ]);
    expect([svc6.dport, svc6.backend_slot, svc6.proto, svc6.scope]).toEqual([htons(80), 2, 17, 1]);
    expect([lxcKey.ip4, lxcKey.family, lxcKey.cluster_id]).toEqual([A, 1, 3]);
    expect([
      policyKey.prefixlen,
      policyKey.sec_label,
      policyKey.egress,
      policyKey.protocol,
      policyKey.dport,
    ]).toEqual([64, 3352, 1, 6, htons(8080)]);
  });

  it("let single fields be changed without touching their neighbours", () => {
    const k = new lb.Lb4Key().set(A, 0xffff, 0xff, 0xff, 0xffff);
    k.dport = htons(81);
    k.backend_slot = 5;
    k.proto = 17;
    k.scope = 0;
    k.address = B;
    expect(hexOf(k.words, 12)).toBe("0a00017c0051050011000000");
    const t = new CtTuple4();
    t.ports = -1;
    t.dport = 0;
    expect([t.ports, t.sport]).toEqual([0xffff0000 | 0, 0xffff]);
    const p = new policy.PolicyKey();
    p.prefixlen = 40;
    p.sec_label = 2;
    expect(hexOf(p.words, 12)).toBe("280000000200000000000000");
    const l = new lxc.LxcKey().setIpv4(A);
    l.family = 2;
    expect(l.family).toBe(2);
  });
});

describe("tuples", () => {
  it("exchange addresses and ports and copy", () => {
    const t = new CtTuple4();
    t.daddr = A;
    t.saddr = B;
    t.ports = 0x11223344;
    t.swapAddrs();
    t.swapPorts();
    const u = new CtTuple4();
    u.copyFrom(t);
    expect(hexOf(u.words, 14)).toBe("0a00017c0a000055221144330000");
    const t6 = new CtTuple6();
    t6.setDaddr(V6, 0);
    t6.setSaddr(V6, 16);
    t6.ports = 0x11223344;
    t6.swapAddrs();
    t6.swapPorts();
    const u6 = new CtTuple6();
    u6.copyFrom(t6);
    expect(hexOf(u6.words, 38)).toBe(`${HEX_B6}${HEX_A6}221144330000`);
    expect(t6.ports).toBe(0x33441122);
  });
});

describe("IPv6 addresses in words", () => {
  it("are read, copied, compared and written", () => {
    const w = new Int32Array(9);
    setAddr6(w, 0, V6, 0);
    copyAddr6(w, 5, w, 0);
    expect([equalAddr6(w, 0, w, 5), equalAddr6(w, 0, w, 1)]).toEqual([true, false]);
    const out = new DataView(new ArrayBuffer(20));
    putAddr6(out, 4, w, 5);
    expect(hexOf(new Int32Array(out.buffer), 20)).toBe(`00000000${HEX_A6}`);
  });
});

describe("values", () => {
  it("of conntrack are written and read field by field", () => {
    const e = new CtEntry();
    e.nat_addr4 = A;
    e.lifetime = 1000060;
    e.flags = CT_F_SEEN_NON_SYN | CT_F_NODE_PORT;
    e.rev_nat_index = htons(7);
    e.nat_port = htons(80);
    e.tx_flags_seen = 0x12;
    e.rx_flags_seen = 0xff;
    e.src_sec_id = 3352;
    e.last_tx_report = 5;
    e.last_rx_report = 6;
    const hex =
      "0000000000000000000000000a000055000000000000000000000000000000007c420f0030000007005012ff180d00000500000006000000";
    expect(hexOf(e.words, 56)).toBe(hex);
    const [map, slot] = mapWith(56, e.words);
    const c = new CtEntry().point(map, slot);
    expect([c.nat_addr4, c.lifetime, c.flags, c.rev_nat_index, c.nat_port]).toEqual([
      A,
      1000060,
      0x30,
      htons(7),
      htons(80),
    ]);
    expect([c.tx_flags_seen, c.rx_flags_seen, c.src_sec_id, c.last_tx_report, c.last_rx_report]).toEqual([
      0x12, 0xff, 3352, 5, 6,
    ]);
    c.flags = 3;
    c.tx_flags_seen = 0;
    expect([c.rev_nat_index, c.rx_flags_seen, map.words[slot * map.valueWords + 9] & 0xffff]).toEqual([
      htons(7),
      0xff,
      3,
    ]);
    expect(c.reset().lifetime).toBe(0);
    c.backend_id = 4;
    expect(hexOf(c.words, 16)).toBe("00000000000000000400000000000000");
  });

  it("of endpoints", () => {
    const v = new lxc.LxcValue();
    v.ifindex = 26;
    v.lxc_id = 1580;
    v.flags = lxc.ENDPOINT_F_HOST;
    v.setMac(MAC);
    v.setNodeMac(Uint8Array.of(0, ...MAC), 1);
    v.sec_id = 3352;
    v.parent_ifindex = 2;
    expect(hexOf(v.words, 48)).toBe(
      "1a00000000002c0601000000000000000a1b2c3d4e5f00000a1b2c3d4e5f0000180d0000020000000000000000000000",
    );
    const [m, s] = mapWith(48, v.words);
    expect([
      lxc.lxcIfindex(m, s),
      lxc.lxcId(m, s),
      lxc.lxcFlags(m, s),
      lxc.lxcMacLo(m, s),
      lxc.lxcMacHi(m, s),
      lxc.lxcNodeMacLo(m, s),
      lxc.lxcNodeMacHi(m, s),
      lxc.lxcSecId(m, s),
      lxc.lxcParentIfindex(m, s),
    ]).toEqual([26, 1580, 1, 0x3d2c1b0a, 0x5f4e, 0x3d2c1b0a, 0x5f4e, 3352, 2]);
    expect(m.bytes[s * m.valueStride + lxc.LXC_NODE_MAC]).toBe(0x0a);
  });

  it("of the ipcache", () => {
    const v = new ipc.IpcacheValue();
    v.sec_identity = 0x01000001;
    v.tunnel_endpoint4 = A;
    v.flags = ipc.IPCACHE_F_HAS_TUNNEL_EP;
    v.key = 255;
    expect(hexOf(v.words, 24)).toBe("010000010a0000550000000000000000000000000000ff02");
    const [m, s] = mapWith(24, v.words);
    expect([
      ipc.ipcacheSecIdentity(m, s),
      ipc.ipcacheTunnelEndpoint4(m, s),
      ipc.ipcacheKey(m, s),
      ipc.ipcacheFlags(m, s),
    ]).toEqual([0x01000001, A, 255, 2]);
    v.setTunnelEndpoint6(V6, 16);
    expect(hexOf(v.words, 24)).toBe(`01000001${HEX_B6}0000ff02`);
  });

  it("of policy", () => {
    const v = new policy.PolicyValue().set(htons(10001), true, 24, 0xffffffff | 0, 1, true, 9);
    expect(hexOf(v.words, 12)).toBe("2711c181ffffffff09000000");
    const [m, s] = mapWith(12, v.words);
    expect([
      policy.policyProxyPort(m, s),
      policy.policyDeny(m, s),
      policy.policyLpmPrefixLength(m, s),
      policy.policyAuthType(m, s),
      policy.policyHasExplicitAuthType(m, s),
      policy.policyPrecedence(m, s) === policy.MAX_PRECEDENCE,
      policy.policyCookie(m, s),
    ]).toEqual([htons(10001), true, 24, 1, true, true, 9]);
    const allow = new policy.PolicyValue().set(0, false, 0, 0xffffff01 | 0);
    const [n, t] = mapWith(12, allow.words);
    expect([
      policy.policyDeny(n, t),
      policy.policyHasExplicitAuthType(n, t),
      policy.policyPrecedence(n, t) >>> 0,
    ]).toEqual([false, false, 0xffffff01]);
  });

  it("of services", () => {
    const v = new lb.LbServiceValue();
    v.first = (lb.LB_SELECTION_MAGLEV << 24) | 10800;
    v.count = 2;
    v.rev_nat_index = htons(7);
    v.flags = lb.SVC_FLAG_NODEPORT | lb.SVC_FLAG_ROUTABLE;
    v.flags2 = lb.SVC_FLAG_FWD_MODE_DSR;
    v.qcount = 1;
    expect(hexOf(v.words, 12)).toBe("302a00020200000742800100");
    const [m, s] = mapWith(12, v.words);
    expect([
      lb.svcAffinityTimeout(m, s),
      lb.svcAlgorithm(m, s),
      lb.svcCount(m, s),
      lb.svcRevNatIndex(m, s),
      lb.svcFlags(m, s),
      lb.svcFlags2(m, s),
      lb.svcQcount(m, s),
    ]).toEqual([10800, 2, 2, htons(7), 0x42, 0x80, 1]);
    v.first = 5;
    const [n, t] = mapWith(12, v.words);
    expect(lb.svcBackendId(n, t)).toBe(5);
  });

  it("of backends", () => {
    const [m, s] = mapWith(
      12,
      new lb.Lb4BackendValue().set(A, htons(8080), 6, lb.BE_STATE_TERMINATING, 3, 2).words,
    );
    expect(hexOf(m.words.subarray(s * m.valueWords), 12)).toBe("0a0000551f90060103000200");
    expect([
      lb.backend4Address(m, s),
      lb.backend4Port(m, s),
      lb.backend4Proto(m, s),
      lb.backend4Flags(m, s),
      lb.backend4ClusterId(m, s),
      lb.backend4Zone(m, s),
    ]).toEqual([A, htons(8080), 6, 1, 3, 2]);
    const [n, t] = mapWith(24, new lb.Lb6BackendValue().set(V6, 0, htons(8080), 6, 1, 3, 2).words);
    expect(hexOf(n.words.subarray(lb.backend6AddressWord(n, t)), 24)).toBe(`${HEX_A6}1f90060103000200`);
    expect([lb.backend6Port(n, t), lb.backend6Proto(n, t), lb.backend6Flags(n, t)]).toEqual([
      htons(8080),
      6,
      1,
    ]);
  });

  it("of reverse NAT, sockets and affinity", () => {
    const [m, s] = mapWith(6, new lb.Lb4ReverseNatValue().set(A, htons(80)).words);
    expect([lb.revNat4Address(m, s), lb.revNat4Port(m, s)]).toEqual([A, htons(80)]);
    const [n, t] = mapWith(18, new lb.Lb6ReverseNatValue().set(V6, 0, htons(80)).words);
    expect(hexOf(n.words.subarray(lb.revNat6AddressWord(n, t)), 18)).toBe(`${HEX_A6}0050`);
    expect(lb.revNat6Port(n, t)).toBe(htons(80));
    const [o, u] = mapWith(8, new lb.Lb4ReverseSkValue().set(A, htons(80), htons(7)).words);
    expect(hexOf(o.words.subarray(u * o.valueWords), 8)).toBe("0a00005500500007");
    expect([lb.revNat4Address(o, u), lb.revNat4Port(o, u), lb.reverseSk4RevNatIndex(o, u)]).toEqual([
      A,
      htons(80),
      htons(7),
    ]);
    const [p, w] = mapWith(20, new lb.Lb6ReverseSkValue().set(V6, 0, htons(80), htons(7)).words);
    expect(hexOf(p.words.subarray(w * p.valueWords), 20)).toBe(`${HEX_A6}00500007`);
    expect(lb.reverseSk6RevNatIndex(p, w)).toBe(htons(7));
    const [q, x] = mapWith(16, new lb.LbAffinityValue().set(1000000, 2).words);
    expect(hexOf(q.words.subarray(x * q.valueWords), 16)).toBe("40420f00000000000200000000000000");
    lb.setAffinityLastUsed(q, x, 5);
    expect([lb.affinityLastUsed(q, x), lb.affinityBackendId(q, x)]).toEqual([5, 2]);
  });

  it("of NAT", () => {
    const [m, s] = mapWith(40, new nat.NatEntry4().set(1000000, 1, A, htons(31080)).words);
    expect(hexOf(m.words.subarray(s * m.valueWords), 40)).toBe(
      "40420f00000000000100000000000000000000000000000000000000000000000a00005579680000",
    );
    nat.setNatCreated(m, s, 7);
    expect([nat.natCreated(m, s), nat.natNeedsCt(m, s), nat.nat4ToAddr(m, s), nat.nat4ToPort(m, s)]).toEqual([
      7,
      1,
      A,
      htons(31080),
    ]);
    const [n, t] = mapWith(56, new nat.NatEntry6().set(1, 0, htons(31080)).setToAddr(V6, 0).words);
    expect(hexOf(n.words.subarray(nat.nat6ToAddrWord(n, t)), 18)).toBe(`${HEX_A6}7968`);
    expect(nat.nat6ToPort(n, t)).toBe(htons(31080));
  });

  it("of the small maps", () => {
    const [f, fs] = mapWith(4, new frag.FragValue().set(0x581b7017).words);
    expect(frag.fragPorts(f, fs)).toBe(0x581b7017);
    const [nm, ns] = mapWith(8, new neigh.MacValue().set(Uint8Array.of(0, 0, ...MAC), 2).words);
    expect([neigh.neighMacLo(nm, ns), neigh.neighMacHi(nm, ns)]).toEqual([0x3d2c1b0a, 0x5f4e]);
    const [no, nos] = mapWith(4, new node.NodeValue().set(3, 9).words);
    expect([node.nodeId(no, nos), node.nodeSpi(no, nos)]).toEqual([3, 9]);
    const [e4, e4s] = mapWith(8, new egw.EgressGwValue4().set(A, B).words);
    expect([egw.egressGwEgressIp(e4, e4s), egw.egressGwGatewayIp(e4, e4s)]).toEqual([A, B]);
    const [e6, e6s] = mapWith(40, new egw.EgressGwValue6().set(V6, 0, B, 4).words);
    expect(hexOf(e6.words.subarray(egw.egressGw6EgressIpWord(e6, e6s)), 40)).toBe(
      `${HEX_A6}0a00017c0000000000000000000000000400000000000000`,
    );
    expect([egw.egressGw6GatewayIp(e6, e6s), egw.egressGw6Ifindex(e6, e6s)]).toEqual([B, 4]);
    expect(parseIpv4("0.0.0.1")).toBe(egw.EGRESS_GATEWAY_EXCLUDED_CIDR);
    const [v, vs] = mapWith(16, new VtepValue().set(MAC, A).words);
    expect([hexOf(v.words.subarray(vs * v.valueWords), 12), vtepTunnelEndpoint(v, vs)]).toEqual([
      "0a1b2c3d4e5f00000a000055",
      A,
    ]);
    const [a, as] = mapWith(8, Int32Array.of(-1, 2));
    expect(auth.authExpiration(a, as)).toBe(0x2_ffff_ffff);
    const [l, ls] = mapWith(8, Int32Array.of(-1, 0));
    l2.l2ResponderAnswered(l, ls);
    expect(hexOf(l.words.subarray(ls * l.valueWords), 8)).toBe("0000000001000000");
  });

  it("of 64 bits as doubles", () => {
    const [m, s] = mapWith(56, new Int32Array(14));
    throttle.throttleSet(m, s, throttle.THROTTLE_BPS, 1.25e10);
    throttle.throttleSet(m, s, throttle.THROTTLE_T_LAST, 2 ** 53 - 1);
    expect(hexOf(m.words.subarray(s * m.valueWords), 16)).toBe("00dd0ee902000000ffffffffffff1f00");
    expect([
      throttle.throttleGet(m, s, throttle.THROTTLE_BPS),
      throttle.throttleGet(m, s, throttle.THROTTLE_T_LAST),
    ]).toEqual([1.25e10, 2 ** 53 - 1]);
    runtime.setRuntimeConfig(m, s, 0x1_8000_0001);
    expect([runtime.runtimeConfig(m, s), hexOf(m.words.subarray(s * m.valueWords), 8)]).toEqual([
      0x1_8000_0001,
      "0100008001000000",
    ]);
  });
});

describe("maskPortBe", () => {
  it("keeps the first bits of a port", () => {
    const masked = (bits: number) => stats.maskPortBe(htons(0xabcd), bits);
    expect([0, 1, 4, 8, 9, 12, 15, 16].map(masked)).toEqual(
      [0, 0x8000, 0xa000, 0xab00, 0xab80, 0xabc0, 0xabcc, 0xabcd].map(htons),
    );
  });
});
