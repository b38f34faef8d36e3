// The pcapng files of the monitor, and classic pcap files with the same packets, as tshark and tcpdump read them.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PcapngExport } from "../../monitor/export_pcapng.js";
import { profileOf } from "../../monitor/release.js";
import { writePcap } from "../../src/net/pcap.js";
import { drop, FRAMES, padded, trace } from "../support/monitor_samples.js";

function missing(tool: string): boolean {
  return spawnSync(tool, ["--version"], { stdio: "ignore" }).error !== undefined;
}

const NO_TSHARK = missing("tshark");
const NO_TCPDUMP = missing("tcpdump");
/** Frames whose bytes are complete packets for a strict reader. */
const NAMES = Object.keys(FRAMES) as (keyof typeof FRAMES)[];

let dir = "";
let pcapng = "";
let pcap = "";

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "podpath-pcap-"));
  pcapng = join(dir, "monitor.pcapng");
  pcap = join(dir, "monitor.pcap");
  const e = new PcapngExport({
    profile: profileOf("1.19"),
    ifnames: (_, i) => (i === 26 ? "lxc5f949d4fd7fa" : undefined),
  });
  NAMES.forEach((name, i) => {
    e.add("node1", i % 4, 1_000_000_000 + i, padded(trace({ ifindex: 26, point: 5 }, FRAMES[name])));
  });
  e.add("node2", 1, 2_000_000_000, padded(drop({}, FRAMES.tcpSyn)));
  e.add("node2", 1, 2_000_000_001, padded(trace({ flags: 2, ifindex: 3 }, FRAMES.tcpSyn.subarray(14))));
  writeFileSync(pcapng, e.take());
  writeFileSync(
    pcap,
    writePcap(
      NAMES.map((name, i) => ({ sec: 1, nsec: i * 1000, bytes: FRAMES[name], origLen: FRAMES[name].length })),
    ),
  );
});

afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

function run(tool: string, args: string[]): { lines: string[]; warnings: string[] } {
  const r = spawnSync(tool, args, { encoding: "utf8" });
  if (r.error !== undefined) throw r.error;
  const warnings = r.stderr
    .split("\n")
    // Said by tshark to everybody who is root, and by tcpdump of every file.
    .filter((l) => l !== "" && !l.startsWith("Running as user") && !l.startsWith("reading from file"));
  expect(r.status).toBe(0);
  return { lines: r.stdout.split("\n").filter((l) => l !== ""), warnings };
}

describe("tshark", () => {
  const skip = NO_TSHARK ? "tshark is not installed (Debian package tshark)" : "";

  it("reads the pcapng file with interface names, directions, queues and comments", (ctx) => {
    if (skip !== "") return ctx.skip(skip);
    const fields = ["frame.interface_name", "frame.packet_flags_direction", "frame.len", "frame.comment"];
    const { lines, warnings } = run("tshark", [
      "-n",
      "-r",
      pcapng,
      "-T",
      "fields",
      "-E",
      "occurrence=f",
      ...fields.flatMap((f) => ["-e", f]),
    ]);
    expect(warnings).toEqual([]);
    expect(lines).toEqual([
      ...NAMES.map((name) => `node1/lxc5f949d4fd7fa\t0x00000001\t${FRAMES[name].length}\thook from-endpoint`),
      `node2/lxc5f949d4fd7fa\t\t${FRAMES.tcpSyn.length}\thook drop at bpf_lxc.c:1234`,
      `node2/ifindex 3\t0x00000002\t${FRAMES.tcpSyn.length}\thook to-endpoint`,
    ]);
  });

  it("dissects the packets of both files alike", (ctx) => {
    if (skip !== "") return ctx.skip(skip);
    const protocols = (file: string): string[] => {
      const { lines, warnings } = run("tshark", ["-n", "-r", file, "-T", "fields", "-e", "frame.protocols"]);
      expect(warnings).toEqual([]);
      return lines;
    };
    const fromPcap = protocols(pcap);
    expect(protocols(pcapng).slice(0, NAMES.length)).toEqual(fromPcap);
    expect(fromPcap[NAMES.indexOf("icmpEcho")]).toBe("eth:ethertype:ip:icmp:data");
    expect(fromPcap[NAMES.indexOf("vrrp")]).toBe("eth:ethertype:ip:vrrp");
    expect(fromPcap[NAMES.indexOf("arp")]).toBe("eth:ethertype:arp");
  });
});

describe("tcpdump", () => {
  const skip = NO_TCPDUMP ? "tcpdump is not installed (Debian package tcpdump)" : "";

  it("reads the pcapng and the pcap file to the last packet", (ctx) => {
    if (skip !== "") return ctx.skip(skip);
    const a = run("tcpdump", ["-n", "-t", "-r", pcapng]);
    const b = run("tcpdump", ["-n", "-t", "-r", pcap]);
    expect([...a.warnings, ...b.warnings]).toEqual([]);
    expect(a.lines.length).toBe(b.lines.length + 2);
    expect(a.lines.slice(0, b.lines.length)).toEqual(b.lines);
    expect(a.lines[0]).toBe("IP 10.0.0.85 > 10.0.1.124: ICMP echo request, id 3072, seq 0, length 64");
    // The drop and the packet of the L3 device are the same SYN.
    expect(a.lines.slice(-1)).toEqual(a.lines.slice(-2, -1));
  });

  it("shows that a file without packets is a file", (ctx) => {
    if (skip !== "") return ctx.skip(skip);
    const empty = join(dir, "empty.pcapng");
    writeFileSync(empty, new PcapngExport({ profile: profileOf("1.19") }).finish());
    if (!NO_TSHARK) expect(run("tshark", ["-r", empty])).toEqual({ lines: [], warnings: [] });
    expect(run("tcpdump", ["-r", empty])).toEqual({ lines: [], warnings: [] });
  });
});
