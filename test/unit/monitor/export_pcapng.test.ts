import { describe, expect, it } from "vitest";
import { PcapngExport } from "../../../monitor/export_pcapng.js";
import { profileOf } from "../../../monitor/release.js";
import { readPcapng } from "../../../src/net/pcapng.js";
import {
  capture,
  debug,
  drop,
  FRAMES,
  padded,
  policyVerdict,
  recorder,
  trace,
} from "../../support/monitor_samples.js";

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

describe("PcapngExport", () => {
  it("writes each captured packet with interface, direction, hook, verdict and CPU, without the ring's padding", () => {
    const e = new PcapngExport({
      profile: profileOf("1.19"),
      ifnames: (node, i) => (i === 26 ? `lxc-of-${node}` : undefined),
    });
    const parts = [e.take()];
    const put = (node: string, cpu: number, ns: number, s: Uint8Array): boolean => {
      const added = e.add(node, cpu, ns, s);
      parts.push(e.take());
      return added;
    };
    expect(
      put("n1", 3, 1_500_000_007, padded(trace({ ifindex: 26, dstId: 1580 }, FRAMES.icmpEcho), 0x5a)),
    ).toBe(true);
    expect(put("n1", 0, 2_000_000_000, padded(trace({ point: 10, ifindex: 2 }, FRAMES.arp)))).toBe(true);
    expect(put("n2", 1, 2_000_000_001, padded(drop({ reason: 133 }, FRAMES.tcpSyn)))).toBe(true);
    expect(put("n2", 1, 2_000_000_002, policyVerdict({ verdict: 15001, flags: 0x12 }, FRAMES.tcpSyn))).toBe(
      true,
    );
    expect(put("n2", 1, 3_000_000_000, trace({ flags: 2, ifindex: 7 }, FRAMES.tcpSyn.subarray(14)))).toBe(
      true,
    );
    expect(put("n2", 1, 4_000_000_000, capture(5, 26, FRAMES.udpDns))).toBe(true);
    expect(put("n2", 1, 4_000_000_000, debug(48))).toBe(false);
    expect(put("n2", 1, 4_000_000_000, trace({}, FRAMES.arp).subarray(0, 40))).toBe(false);
    expect(put("n2", 1, 4_000_000_000, trace({}, new Uint8Array(0)))).toBe(false);
    expect(e.packets).toBe(6);

    const file = readPcapng(concat(parts));
    expect(file.truncated).toBeUndefined();
    const section = file.sections[0]!;
    expect(section.interfaces.map((i) => [i.name, i.linkType, i.tsresol])).toEqual([
      ["n1/lxc-of-n1", 1, 9],
      ["n1/ifindex 2", 1, 9],
      ["n2/lxc-of-n2", 1, 9],
      ["n2/unknown", 1, 9],
      ["n2/ifindex 7", 1, 9],
    ]);
    expect(
      section.packets.map((p) => ({
        iface: p.interfaceIndex,
        at: [p.sec, p.nsec],
        length: [p.bytes.length, p.origLen],
        flags: p.flags,
        verdict: p.verdict,
        queue: p.queue,
        comments: p.comments?.slice(0, -1),
      })),
    ).toEqual([
      {
        iface: 0,
        at: [1, 500_000_007],
        length: [98, 98],
        flags: 2,
        verdict: { kind: 1, value: 0n },
        queue: 3,
        comments: ["hook to-endpoint", "verdict forwarded, state new", "cpu 3"],
      },
      {
        iface: 1,
        at: [2, 0],
        length: [42, 42],
        flags: 1,
        verdict: { kind: 1, value: 0n },
        queue: 0,
        comments: ["hook from-network", "verdict forwarded, state new", "cpu 0"],
      },
      {
        iface: 2,
        at: [2, 1],
        length: [74, 74],
        flags: undefined,
        verdict: { kind: 1, value: 2n },
        queue: 1,
        comments: ["hook drop at bpf_lxc.c:1234", "verdict dropped, Policy denied", "cpu 1"],
      },
      {
        iface: 3,
        at: [2, 2],
        length: [74, 74],
        flags: 2,
        verdict: { kind: 1, value: 7n },
        queue: 1,
        comments: ["hook policy-verdict", "verdict redirect to port 15001", "cpu 1"],
      },
      {
        iface: 4,
        at: [3, 0],
        length: [74, 74],
        flags: 2,
        verdict: { kind: 1, value: 0n },
        queue: 1,
        comments: [
          "hook to-endpoint",
          "verdict forwarded, state new",
          "cpu 1",
          "no Ethernet header: the device has none, this one is made up",
        ],
      },
      {
        iface: 2,
        at: [4, 0],
        length: [51, 51],
        flags: 1,
        verdict: undefined,
        queue: 1,
        comments: ["hook capture 5", "verdict none", "cpu 1"],
      },
    ]);
    expect(section.packets[0]!.comments![3]).toBe(
      "-> endpoint 1580 flow 0x0 , identity 3352->3352 state new ifindex lxc-of-n1 orig-ip 0.0.0.0: 10.0.0.85 -> 10.0.1.124 icmp EchoRequest",
    );
    expect(section.packets[0]!.bytes).toEqual(FRAMES.icmpEcho);
  });

  it("reads the layouts of 1.11, whose drops have no version and whose recorder has its own header", () => {
    const e = new PcapngExport({ profile: profileOf("1.11") });
    e.add("", 2, 0, padded(drop({ release: "1.11" }, FRAMES.tcpSyn)));
    e.add("", 2, 0, padded(recorder(1, FRAMES.arp)));
    const [section] = readPcapng(e.take()).sections;
    expect(section!.interfaces.map((i) => i.name)).toEqual(["unknown"]);
    expect(section!.packets.map((p) => [p.bytes.length, p.origLen, p.flags])).toEqual([
      [74, 74, undefined],
      [42, 52, 1],
    ]);
  });
});
