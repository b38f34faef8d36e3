// Datapath facts, 4(e).5: the encapsulated packet on the wire, byte for byte, and what carries it.
import { describe, expect, it } from "vitest";
import { Step } from "../../src/bpf/steps.js";
import type { DatapathName } from "../../src/cluster/model.js";
import { decodeFrame } from "../../src/walk/fields.js";
import { addressOfRecord } from "../../src/walk/route_text.js";
import { capture } from "../support/capture.js";
import { datapathLab } from "../support/datapath_lab.js";
import { MAC } from "../support/two_nodes.js";

interface Outer {
  readonly macs: string;
  readonly source: string;
  readonly destination: string;
  readonly tos: number;
  readonly df: boolean;
  readonly ttl: number;
  readonly protocol: number;
  readonly headerSumOk: boolean;
  readonly length: number;
  readonly sourcePort: number;
  readonly port: number;
  readonly udpLength: number;
  readonly checksum: number;
  readonly tunnel: string;
  readonly vni: number;
  readonly inner: string;
}

const hex = (b: Uint8Array): string => Array.from(b, (x) => x.toString(16).padStart(2, "0")).join(":");

function sumOk(b: Uint8Array): boolean {
  let s = 0;
  for (let i = 0; i < b.length; i += 2) s += (b[i]! << 8) | b[i + 1]!;
  while (s > 0xffff) s = (s & 0xffff) + (s >> 16);
  return s === 0xffff;
}

function outer(f: Uint8Array): Outer {
  const u16 = (at: number): number => (f[at]! << 8) | f[at + 1]!;
  return {
    macs: `${hex(f.subarray(6, 12))} > ${hex(f.subarray(0, 6))}`,
    source: f.subarray(26, 30).join("."),
    destination: f.subarray(30, 34).join("."),
    tos: f[15]!,
    df: (f[20]! & 0x40) !== 0,
    ttl: f[22]!,
    protocol: f[23]!,
    headerSumOk: sumOk(f.subarray(14, 34)),
    length: u16(16),
    sourcePort: u16(34),
    port: u16(36),
    udpLength: u16(38),
    checksum: u16(40),
    // Flags, reserved and protocol; the VNI follows.
    tunnel: hex(f.subarray(42, 46)),
    vni: (f[46]! << 16) | (f[47]! << 8) | f[48]!,
    inner: `${hex(f.subarray(56, 62))} > ${hex(f.subarray(50, 56))} ${f.subarray(76, 80).join(".")} > ${f.subarray(80, 84).join(".")} ttl ${f[72]}`,
  };
}

function onTheWire(datapath: DatapathName, id: number): Outer[] {
  const lab = datapathLab({ datapath });
  const wire = capture(lab, "node/n2", "eth0");
  lab.ping({ from: "pod/a", to: "pod/c", id });
  return wire.frames.filter((f) => f[23] === 17).map(outer);
}

const CASES: readonly [DatapathName, number, string, [number, number]][] = [
  ["cilium-vxlan", 8472, "08:00:00:00", [32768, 60999]],
  // geneve.c takes any port, VXLAN the ephemeral range.
  ["cilium-geneve", 6081, "00:00:65:58", [1, 65535]],
];

describe.each(CASES)("the outer frame of %s", (datapath, port, tunnel, [low, high]) => {
  it("has the nodes' addresses, TTL 64, no UDP checksum, and the sender's identity as VNI", () => {
    const [request, reply] = onTheWire(datapath, 3072);
    const common = {
      tos: 0,
      df: false,
      ttl: 64,
      protocol: 17,
      headerSumOk: true,
      length: 134,
      port,
      udpLength: 114,
      checksum: 0,
      tunnel,
    };
    expect(request).toEqual({
      ...common,
      macs: `${MAC.node1} > ${MAC.node2}`,
      source: "192.168.0.11",
      destination: "192.168.0.12",
      sourcePort: request!.sourcePort,
      vni: 3001,
      inner: `${MAC.podA} > ${MAC.hostA} 10.0.0.11 > 10.0.1.21 ttl 64`,
    });
    expect(reply).toEqual({
      ...common,
      macs: `${MAC.node2} > ${MAC.node1}`,
      source: "192.168.0.12",
      destination: "192.168.0.11",
      sourcePort: reply!.sourcePort,
      vni: 3003,
      inner: `${MAC.podC} > ${MAC.hostC} 10.0.1.21 > 10.0.0.11 ttl 64`,
    });
  });

  it("has a source port of the range of its kind that the inner flow decides", () => {
    const ports = [3072, 3072, 3073].map((id) => onTheWire(datapath, id)[0]!.sourcePort);
    for (const p of ports) expect(p >= low && p <= high).toBe(true);
    expect(ports[0]).toBe(ports[1]);
  });
});

/** The steps of the tunnel device on the sending node: the packet's outermost header, and what a look-up asked for. */
function tunnelSteps(datapath: DatapathName): string[] {
  const lab = datapathLab({ datapath });
  const [walk] = lab.record(() => lab.ping({ from: "pod/a", to: "pod/c" }));
  const at = walk!.steps.findIndex((s) => s.kind === Step.ENCAP);
  return walk!.steps.slice(at - 1, at + 2).map((s) => {
    const { ip, carries } = decodeFrame(s.record.frame).levels.at(-1)!;
    const asked = s.kind === Step.FIB ? ` for ${addressOfRecord(s.record)}: ${s.name} (${s.detail})` : "";
    return `${s.where} ${s.device} ${s.what}${asked}, ${ip!.src} > ${ip!.dst} ttl ${ip!.ttl}, ${carries ?? "bare"}`;
  });
}

describe("the record of an encapsulation", () => {
  // Regression: the outer route left no record, and the encapsulation showed the inner packet.
  it.each([
    ["calico-ipip", "tunl0", "63", "IPIP", "63"],
    ["calico-vxlan", "vxlan.calico", "63", "VXLAN vni 4096", "64"],
    ["cilium-vxlan", "cilium_vxlan", "64", "VXLAN vni 3001", "64"],
    ["cilium-geneve", "cilium_geneve", "64", "Geneve vni 3001", "64"],
  ] as const)(
    "of %s is the outer route's look-up, then the outer packet",
    (datapath, dev, inner, carries, outer) => {
      expect(tunnelSteps(datapath)).toEqual([
        `n1 ${dev} FIB lookup for 192.168.0.12: 192.168.0.0/24 dev eth0 proto kernel scope link src 192.168.0.11 (output), 10.0.0.11 > 10.0.1.21 ttl ${inner}, bare`,
        `n1 ${dev} encapsulate, 192.168.0.11 > 192.168.0.12 ttl ${outer}, ${carries}`,
        `n1 ${dev} local out, 192.168.0.11 > 192.168.0.12 ttl ${outer}, ${carries}`,
      ]);
    },
  );

  it("says that there is no route to the far end where there is none", () => {
    const lab = datapathLab({ datapath: "calico-ipip" });
    lab.exec("node/n1", "ip route del 192.168.0.0/24");
    lab.exec("node/n1", "ip route del default");
    const [walk] = lab.record(() => lab.ping({ from: "pod/a", to: "pod/c" }));
    expect(walk!.steps.slice(-2).map((s) => [s.what, s.device, s.name, s.detail])).toEqual([
      ["FIB lookup", "tunl0", "no route", "output error -101"],
      ["drop", "tunl0", "tunl0", "NOT_SPECIFIED"],
    ]);
  });
});
