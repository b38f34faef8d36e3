// The `bpf ... list` commands against the recorded texts and their rules: conntrack, NAT, endpoints, ipcache, metrics.

import { beforeEach, describe, expect, it } from "vitest";
import { type CiliumMaps, createCiliumMaps } from "../../../../../maps/cilium_maps.js";
import { MetricsKey, updateMetrics } from "../../../../../maps/metrics.js";
import { VirtualClock } from "../../../../../src/base/clock.js";
import { ctListJson, ctListText } from "../../../../../src/cluster/cilium/dump/ct_list.js";
import {
  bpfEndpointListJson,
  bpfEndpointListText,
  bpfIpcacheListJson,
  bpfIpcacheListText,
  NO_ENTRIES,
} from "../../../../../src/cluster/cilium/dump/endpoint_maps.js";
import { metricsListJson, metricsListText } from "../../../../../src/cluster/cilium/dump/metrics_list.js";
import { natListJson, natListText } from "../../../../../src/cluster/cilium/dump/nat_list.js";
import { jsonText } from "../../../../../src/cluster/cilium/dump/tabwriter.js";
import { be16, ip, le16, le32, le64, mac, put, u8, zeros } from "../../../../support/map_bytes.js";

let maps: CiliumMaps;
beforeEach(() => {
  maps = createCiliumMaps({ clock: new VirtualClock() });
});

/** Key of a conntrack or NAT map: the stored order. */
function tuple(
  daddr: string,
  dport: number,
  saddr: string,
  sport: number,
  proto: number,
  flags: number,
): string[] {
  return [ip(daddr), ip(saddr), be16(dport), be16(sport), u8(proto), u8(flags)];
}

interface Ct {
  readonly union?: readonly [number, number];
  readonly packets?: number;
  readonly bytes?: number;
  readonly lifetime?: number;
  readonly flags?: number;
  readonly revNat?: number;
  readonly natPort?: number;
  readonly tx?: number;
  readonly rx?: number;
  readonly id?: number;
  readonly lastTx?: number;
  readonly lastRx?: number;
}

function entry(e: Ct): string[] {
  return [
    le64(e.union?.[0] ?? 0),
    le64(e.union?.[1] ?? 0),
    le64(e.packets ?? 0),
    le64(e.bytes ?? 0),
    le32(e.lifetime ?? 0),
    le16(e.flags ?? 0),
    be16(e.revNat ?? 0),
    be16(e.natPort ?? 0),
    u8(e.tx ?? 0),
    u8(e.rx ?? 0),
    le32(e.id ?? 0),
    le32(e.lastTx ?? 0),
    le32(e.lastRx ?? 0),
  ];
}

/** A conntrack line with nothing in it but the tuple. */
function plain(head: string): string {
  return `${head} expires=0 Packets=0 Bytes=0 RxFlagsSeen=0x00 LastRxReport=0 TxFlagsSeen=0x00 LastTxReport=0 Flags=0x0000 [ ] RevNAT=0 SourceSecurityID=0 BackendID=0 NatPort=0 \n`;
}

const RECORDED: Ct = {
  union: [0, 9],
  packets: 3,
  bytes: 294,
  lifetime: 16836113,
  flags: 0x10,
  revNat: 5,
  natPort: 30001,
  tx: 2,
  id: 3352,
  lastTx: 16836053,
};

describe("bpf ct list global", () => {
  it("prints the recorded lines", () => {
    put(maps.cilium_ct4_global, tuple("10.0.1.124", 80, "10.0.0.85", 3072, 6, 0), entry(RECORDED));
    put(maps.cilium_ct_any4_global, tuple("10.0.1.124", 0, "10.0.0.85", 8, 1, 0), entry({ flags: 0x423 }));
    expect(ctListText(maps)).toBe(
      "TCP OUT 10.0.1.124:3072 -> 10.0.0.85:80 expires=16836113 Packets=3 Bytes=294 RxFlagsSeen=0x00 LastRxReport=0 TxFlagsSeen=0x02 LastTxReport=16836053 Flags=0x0010 [ SeenNonSyn ] RevNAT=5 SourceSecurityID=3352 BackendID=9 NatPort=30001 \n\n" +
        "ICMP OUT 10.0.1.124:8 -> 10.0.0.85:0 expires=0 Packets=0 Bytes=0 RxFlagsSeen=0x00 LastRxReport=0 TxFlagsSeen=0x00 LastTxReport=0 Flags=0x0423 [ RxClosing TxClosing NodePort FromTunnel ] RevNAT=0 SourceSecurityID=0 BackendID=0 NatPort=0 \n\n",
    );
  });

  it("adds the seconds left with -d, negative ones for expired entries", () => {
    const at = tuple("10.0.1.124", 80, "10.0.0.85", 3072, 6, 0);
    put(maps.cilium_ct4_global, at, entry({ lifetime: 16836113 }));
    const expires = (now: number, unitsPerSec: number): string =>
      / expires=.* Packets/.exec(ctListText(maps, { timeDiff: { now, unitsPerSec } }))![0];
    expect(expires(16836053, 1)).toBe(" expires=16836113 (remaining: 60 sec(s)) Packets");
    expect(expires(16836173, 1)).toBe(" expires=16836113 (remaining: -60 sec(s)) Packets");
    expect(expires(16836113 - 2550, 250)).toBe(" expires=16836113 (remaining: 10 sec(s)) Packets");
  });

  it("names protocol and direction, turns service tuples round, and leaves out entries without protocol", () => {
    const ct = maps.cilium_ct_any4_global;
    const at = (proto: number, flags: number): string[] =>
      tuple("10.0.0.2", 53, "10.0.0.1", 4000, proto, flags);
    put(ct, at(17, 1), entry({}));
    put(ct, at(17, 4), entry({}));
    put(ct, at(1, 2), entry({}));
    put(ct, at(58, 3), entry({}));
    put(ct, at(132, 6), entry({}));
    put(ct, at(112, 0), entry({}));
    put(ct, at(47, 0), entry({}));
    put(ct, at(0, 0), entry({}));
    const lines = [
      plain("UDP IN 10.0.0.2:4000 -> 10.0.0.1:53"),
      plain("UDP SVC 10.0.0.1:53 -> 10.0.0.2:4000"),
      plain("ICMP OUT 10.0.0.2:4000 -> 10.0.0.1:53 related"),
      plain("ICMPv6 IN 10.0.0.2:4000 -> 10.0.0.1:53 related"),
      plain("SCTP SVC 10.0.0.1:53 -> 10.0.0.2:4000 related"),
      plain("VRRP OUT 10.0.0.2:4000 -> 10.0.0.1:53"),
      plain("47 OUT 10.0.0.2:4000 -> 10.0.0.1:53"),
    ];
    // Rows come in the order of the hash table.
    expect(ctListText(maps).split("\n").sort()).toEqual(`\n${lines.join("")}\n`.split("\n").sort());
  });

  it("names every flag bit in order and prints the others as Unknown", () => {
    const at = tuple("10.0.0.2", 53, "10.0.0.1", 4000, 6, 0);
    put(maps.cilium_ct4_global, at, entry({ flags: 0xffff }));
    expect(/Flags=.* RevNAT/.exec(ctListText(maps))![0]).toBe(
      "Flags=0xffff [ RxClosing TxClosing Nat64 LBLoopback SeenNonSyn NodePort ProxyRedirect DSRInternal FromL7LB FromTunnel Unknown=0xfa00 ] RevNAT",
    );
  });

  it("lists the IPv6 maps, addresses in brackets, only where asked to", () => {
    put(maps.cilium_ct6_global, tuple("fd00::2", 443, "fd00::1", 4000, 6, 0), entry({}));
    expect(ctListText(maps)).toBe("\n\n");
    expect(ctListText(maps, { ipv6: true })).toBe(
      `\n\n${plain("TCP OUT [fd00::2]:4000 -> [fd00::1]:443")}\n\n`,
    );
    expect(ctListJson(maps)).toEqual([]);
    expect(ctListJson(maps, { ipv6: true })).toMatchObject([
      { Key: { DestAddr: [0xfd, ...Array(14).fill(0), 2], DestPort: 0xbb01, NextHeader: 6, Flags: 0 } },
    ]);
  });

  it("leaves ports and NAT fields of the JSON in network order", () => {
    put(maps.cilium_ct_any4_global, tuple("10.0.1.124", 0, "10.0.0.85", 8, 1, 0), entry({ flags: 1059 }));
    put(maps.cilium_ct4_global, tuple("10.0.1.124", 80, "10.0.0.85", 3072, 6, 0), entry(RECORDED));
    expect(ctListJson(maps)).toEqual([
      {
        Key: {
          DestAddr: [10, 0, 1, 124],
          SourceAddr: [10, 0, 0, 85],
          DestPort: 20480,
          SourcePort: 12,
          NextHeader: 6,
          Flags: 0,
        },
        Value: {
          Union0: [0, 9],
          Packets: 3,
          Bytes: 294,
          Lifetime: 16836113,
          Flags: 16,
          RevNAT: 1280,
          NatPort: 12661,
          TxFlagsSeen: 2,
          RxFlagsSeen: 0,
          SourceSecurityID: 3352,
          LastTxReport: 16836053,
          LastRxReport: 0,
        },
      },
      {
        Key: {
          DestAddr: [10, 0, 1, 124],
          SourceAddr: [10, 0, 0, 85],
          DestPort: 0,
          SourcePort: 2048,
          NextHeader: 1,
          Flags: 0,
        },
        Value: {
          Union0: [0, 0],
          Packets: 0,
          Bytes: 0,
          Lifetime: 0,
          Flags: 1059,
          RevNAT: 0,
          NatPort: 0,
          TxFlagsSeen: 0,
          RxFlagsSeen: 0,
          SourceSecurityID: 0,
          LastTxReport: 0,
          LastRxReport: 0,
        },
      },
    ]);
  });
});

describe("bpf nat list", () => {
  const value = [le64(100), zeros(24), ip("192.168.0.120"), be16(60001)];

  it("prints the recorded lines, with and without a clock", () => {
    const at = (flags: number): string[] => tuple("8.8.8.8", 443, "10.0.0.85", 40000, 6, flags);
    put(maps.cilium_snat_v4_external, at(0), value);
    put(maps.cilium_snat_v4_external, at(1), value);
    const sorted = (text: string): string[] => text.split("\n").sort();
    expect(sorted(natListText(maps, { clock: { now: 200, unitsPerSec: 1 } }))).toEqual([
      "",
      "",
      "TCP IN 10.0.0.85:40000 -> 8.8.8.8:443 XLATE_DST 192.168.0.120:60001 Created=100sec ago NeedsCT=0",
      "TCP OUT 10.0.0.85:40000 -> 8.8.8.8:443 XLATE_SRC 192.168.0.120:60001 Created=100sec ago NeedsCT=0",
    ]);
    expect(sorted(natListText(maps))).toEqual([
      "",
      "",
      "TCP IN 10.0.0.85:40000 -> 8.8.8.8:443 XLATE_DST 192.168.0.120:60001 Created=? (raw 100) NeedsCT=0",
      "TCP OUT 10.0.0.85:40000 -> 8.8.8.8:443 XLATE_SRC 192.168.0.120:60001 Created=? (raw 100) NeedsCT=0",
    ]);
  });

  it("gives the recorded JSON", () => {
    put(maps.cilium_snat_v4_external, tuple("8.8.8.8", 443, "10.0.0.85", 40000, 6, 0), value);
    expect(natListJson(maps)).toEqual([
      {
        Key: {
          DestAddr: [8, 8, 8, 8],
          SourceAddr: [10, 0, 0, 85],
          DestPort: 47873,
          SourcePort: 16540,
          NextHeader: 6,
          Flags: 0,
        },
        Value: { Created: 100, NeedsCT: 0, Pad1: 0, Pad2: 0, Addr: [192, 168, 0, 120], Port: 25066 },
      },
    ]);
  });

  it("lists the IPv6 map where asked to", () => {
    put(maps.cilium_snat_v6_external, tuple("2001:db8::8", 443, "fd00::1", 40000, 17, 0), [
      le64(7),
      le64(1),
      zeros(16),
      ip("fd01::1"),
      be16(60001),
    ]);
    expect(natListText(maps, { ipv6: true })).toBe(
      "\nUDP OUT [fd00::1]:40000 -> [2001:db8::8]:443 XLATE_SRC [fd01::1]:60001 Created=? (raw 7) NeedsCT=1\n\n",
    );
  });
});

describe("bpf endpoint list", () => {
  const fill = (): void => {
    put(maps.cilium_lxc, [ip("192.168.0.120"), zeros(12), "01"], [zeros(8), le32(1)]);
    put(
      maps.cilium_lxc,
      [ip("10.0.0.85"), zeros(12), "01"],
      [
        le32(34),
        le16(0),
        le16(1445),
        le32(0),
        le32(0),
        mac("C6:6D:95:CD:34:A2"),
        zeros(2),
        mac("2A:0A:D9:17:44:22"),
        zeros(2),
        le32(3352),
      ],
    );
    put(maps.cilium_lxc, [ip("fd00::1"), "02"], [zeros(8), le32(1)]);
  };
  const RECORDED_VALUE =
    "id=1445  sec_id=3352  flags=0x0000 ifindex=34  mac=C6:6D:95:CD:34:A2 nodemac=2A:0A:D9:17:44:22 parent_ifindex=0  ";

  it("prints the recorded values, by address", () => {
    fill();
    expect(bpfEndpointListText(maps)).toBe(
      "IP ADDRESS        LOCAL ENDPOINT INFO\n" +
        `10.0.0.85:0       ${RECORDED_VALUE}   \n` +
        `192.168.0.120:0   (localhost)${" ".repeat(RECORDED_VALUE.length - 8)}\n` +
        `fd00::1:0         (localhost)${" ".repeat(RECORDED_VALUE.length - 8)}\n`,
    );
  });

  it("prints neither security id nor parent interface in profile 1.11", () => {
    fill();
    const value = "id=1445  flags=0x0000 ifindex=34  mac=C6:6D:95:CD:34:A2 nodemac=2A:0A:D9:17:44:22";
    expect(bpfEndpointListText(maps, "1.11")).toBe(
      "IP ADDRESS        LOCAL ENDPOINT INFO\n" +
        `10.0.0.85:0       ${value}   \n` +
        `192.168.0.120:0   (localhost)${" ".repeat(value.length - 8)}\n` +
        `fd00::1:0         (localhost)${" ".repeat(value.length - 8)}\n`,
    );
  });

  it("gives each address an array of one text as JSON, keys sorted", () => {
    fill();
    expect(jsonText(bpfEndpointListJson(maps))).toBe(
      `{\n  "10.0.0.85:0": [\n    "${RECORDED_VALUE}"\n  ],\n  "192.168.0.120:0": [\n    "(localhost)"\n  ],\n  "fd00::1:0": [\n    "(localhost)"\n  ]\n}\n\n`,
    );
  });
});

describe("bpf ipcache list", () => {
  const key = (address: string, bits: number, cluster = 0): string[] => [
    le32(32 + bits),
    le16(cluster),
    "00",
    address.includes(":") ? "02" : "01",
    ip(address),
  ];
  const value = (id: number, tunnel: string, encryptKey: number, flags: number): string[] => {
    const t = ip(tunnel);
    return [le32(id), t, zeros(16 - t.length / 2), zeros(2), u8(encryptKey), u8(flags)];
  };

  it("prints the recorded form, sorted by family, address and prefix length", () => {
    const m = maps.cilium_ipcache_v2;
    put(m, key("10.0.1.124", 32), value(3353, "192.168.0.130", 0, 2));
    put(m, key("0.0.0.0", 0), value(2, "0.0.0.0", 0, 0));
    put(m, key("10.0.0.0", 8), value(16777217, "0.0.0.0", 0, 1));
    put(m, key("10.0.0.0", 16), value(16777218, "192.168.0.130", 3, 1 | 2 | 8));
    put(m, key("fd00::", 64), value(9, "fd01::1", 0, 2 | 4));
    put(m, key("10.9.0.1", 32, 7), value(131072, "0.0.0.0", 0, 8));
    expect(bpfIpcacheListText(maps)!.replaceAll(/ +$/gm, "")).toBe(`\
IP PREFIX/ADDRESS   IDENTITY
0.0.0.0/0           identity=2 encryptkey=0 tunnelendpoint=0.0.0.0 flags=<none>
10.0.0.0/8          identity=16777217 encryptkey=0 tunnelendpoint=0.0.0.0 flags=skiptunnel
10.0.0.0/16         identity=16777218 encryptkey=3 tunnelendpoint=192.168.0.130 flags=skiptunnel,hastunnel,remotecluster
10.0.1.124/32       identity=3353 encryptkey=0 tunnelendpoint=192.168.0.130 flags=hastunnel
10.9.0.1/32@7       identity=131072 encryptkey=0 tunnelendpoint=0.0.0.0 flags=remotecluster
fd00::/64           identity=9 encryptkey=0 tunnelendpoint=fd01::1 flags=hastunnel,ipv6tunnel
`);
    expect(
      bpfIpcacheListText(maps)!
        .split("\n")
        .map((l) => l.length),
    ).toEqual([28, 123, 123, 123, 123, 123, 123, 0]);
  });

  it("escapes the angle brackets of the JSON as Go does", () => {
    put(maps.cilium_ipcache_v2, key("0.0.0.0", 0), value(2, "0.0.0.0", 0, 0));
    expect(jsonText(bpfIpcacheListJson(maps))).toBe(
      '{\n  "0.0.0.0/0": [\n    "identity=2 encryptkey=0 tunnelendpoint=0.0.0.0 flags=\\u003cnone\\u003e"\n  ]\n}\n\n',
    );
  });

  it("has no text for an empty map, of which the tool speaks on stderr", () => {
    expect([bpfIpcacheListText(maps), NO_ENTRIES]).toEqual([undefined, "No entries found.\n"]);
  });
});

describe("bpf metrics list", () => {
  it("sums the CPUs and sorts the rows as texts, column by column", () => {
    maps = createCiliumMaps({ clock: new VirtualClock(), cpus: 2 });
    const count = (cpu: number, key: MetricsKey, bytes: number): void => {
      maps.cpu.id = cpu;
      updateMetrics(maps.cilium_metrics, key, bytes);
    };
    count(0, new MetricsKey().set(0, 2, 1086, 1), 98);
    count(1, new MetricsKey().set(0, 2, 1086, 1), 42);
    count(1, new MetricsKey().set(0, 2, 1086, 1), 60);
    count(0, new MetricsKey().set(0, 1, 1086, 1), 66);
    count(0, new MetricsKey().set(133, 2, 1457, 2), 98);
    count(0, new MetricsKey().set(0, 3, 9, 1), 60);
    count(0, new MetricsKey().set(0, 0, 10, 1), 60);
    count(0, new MetricsKey().set(0, 0, 9, 1), 60);
    expect(metricsListText(maps)).toBe(`\
REASON          DIRECTION   PACKETS   BYTES   LINE   FILE
Policy denied   EGRESS      1         98      1457   bpf_lxc.c
Success         EGRESS      3         200     1086   bpf_host.c
Success         INGRESS     1         66      1086   bpf_host.c
Success         SERVICE     1         60      9      bpf_host.c
Success         UNKNOWN     1         60      10     bpf_host.c
Success         UNKNOWN     1         60      9      bpf_host.c
`);
    const row = (direction: string, packets: number, bytes: number, line: number): unknown => ({
      reason: "Success",
      direction,
      packets,
      bytes,
      line,
      file: "bpf_host.c",
    });
    expect(metricsListJson(maps)).toEqual([
      { reason: "Policy denied", direction: "egress", packets: 1, bytes: 98, line: 1457, file: "bpf_lxc.c" },
      row("egress", 3, 200, 1086),
      row("ingress", 1, 66, 1086),
      row("service", 1, 60, 9),
      row("unknown", 1, 60, 10),
      row("unknown", 1, 60, 9),
    ]);
  });

  it("has no text for an empty map", () => {
    expect([metricsListText(maps), metricsListJson(maps)]).toEqual([undefined, []]);
  });
});
