import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { encodePayload, PAYLOAD_DESCRIPTION } from "../../../monitor/payload.js";
import { RecordingWriter } from "../../../monitor/recording.js";
import { decodeCommand } from "../../../src/cli/decode.js";
import { readPcapng } from "../../../src/net/pcapng.js";
import { toHex } from "../../../src/net/view.js";
import { debug, drop, FRAMES, padded, trace } from "../../support/monitor_samples.js";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "podpath-decode-"));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
  process.exitCode = undefined;
});

/** Runs `podpath decode`; what it wrote and its exit status. */
async function decode(...args: string[]): Promise<{ out: string; err: string; status: number }> {
  let out = "";
  let err = "";
  const stdout = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += String(text);
    return true;
  });
  const stderr = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    err += String(text);
    return true;
  });
  process.exitCode = undefined;
  try {
    await decodeCommand().exitOverride().parseAsync(args, { from: "user" });
  } finally {
    stdout.mockRestore();
    stderr.mockRestore();
  }
  const status = Number(process.exitCode ?? 0);
  process.exitCode = undefined;
  return { out, err: err.replaceAll(`${dir}/`, ""), status };
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
}

const DEBUG_LINE =
  "CPU 03: MARK 0x0 FROM 1580 DEBUG: Conntrack lookup 1/2: src=10.0.0.85:3072 dst=10.0.1.124:0\n";
const DEBUG = debug(48, 0x5500000a, 0x7c01000a, 0x00000c00);
const TRACE_LINE =
  "-> endpoint 1580 flow 0x0 , identity 3352->3352 state new ifindex lxc5f949d4fd7fa orig-ip 0.0.0.0: 10.0.0.85 -> 10.0.1.124 icmp EchoRequest\n";
const TRACE = padded(trace({ ifindex: 26, dstId: 1580 }, FRAMES.icmpEcho));

describe("podpath decode", () => {
  it("prints JSON lines, hex lines and lost events, and reports bad lines with their number", async () => {
    const path = file(
      "samples.jsonl",
      [
        `{"cpu":3,"hex":"${toHex(DEBUG)}"}`,
        "# a comment, and an empty line",
        "",
        toHex(TRACE).replace(/(..)/g, "$1 "),
        "not a sample",
        '{"cpu":3',
        '{"cpu":-1,"hex":"02"}',
        '{"cpu":3}',
        '{"cpu":3,"hex":"0"}',
        '{"cpu":3,"hex":""}',
        '{"cpu":127,"lost":7}',
        `{"cpu":3,"hex":"${toHex(TRACE)}","links":{"26":"lxc5f949d4fd7fa"}}`,
      ].join("\n"),
    );
    const { out, err, status } = await decode("-v", path);
    expect(out).toBe(
      `${DEBUG_LINE}${TRACE_LINE.replace("lxc5f949d4fd7fa", "26")}CPU 127: Lost 7 events\n${TRACE_LINE}`,
    );
    expect(err.split("\n").map((l) => l.replace(/not JSON:.*/, "not JSON"))).toEqual([
      "podpath: samples.jsonl:5: neither JSON nor hex",
      "podpath: samples.jsonl:6: not JSON",
      "podpath: samples.jsonl:7: cpu is not a number of a CPU",
      "podpath: samples.jsonl:8: hex is missing",
      "podpath: samples.jsonl:9: hex is not an even number of hex digits",
      "podpath: samples.jsonl:10: a sample has at least one byte",
      "",
    ]);
    expect(status).toBe(1);
  });

  it("exits with 0 when every line was good, and takes names of interfaces", async () => {
    const path = file("one.hex", `${toHex(TRACE)}\n`);
    expect(await decode("--ifname", "26=lxc5f949d4fd7fa", path)).toEqual({
      out: TRACE_LINE,
      err: "",
      status: 0,
    });
  });

  it("plays a recording back with its release, interface names and a prefix for each of several nodes", async () => {
    const chunks: Uint8Array[] = [];
    const w = new RecordingWriter((b) => chunks.push(b), {
      profile: "1.11",
      nodes: ["m1", "n1"],
      source: "test",
    });
    w.link({ node: 1, ifindex: 26, name: "lxc5f949d4fd7fa" });
    w.sample(0, 3, 1_000_000_000, DEBUG);
    w.sample(
      1,
      0,
      2_000_000_000,
      padded(trace({ release: "1.11", ifindex: 26, dstId: 1580 }, FRAMES.icmpEcho)),
    );
    w.lost(1, 2, 3_000_000_000, 9);
    const path = file("run.rec", Buffer.concat(chunks));
    const traced = TRACE_LINE.replace(" icmp ", " ");
    expect(await decode("-v", path)).toEqual({
      out: `m1: ${DEBUG_LINE}n1: ${traced}n1: CPU 02: Lost 9 events\n`,
      err: "",
      status: 0,
    });
    expect((await decode("-v", "--node", "n1", path)).out).toBe(`${traced}CPU 02: Lost 9 events\n`);
    expect((await decode("-v", "--since", "1.5s", "--until", "2s", path)).out).toBe(`n1: ${traced}`);
    await expect(decode("--node", "n7", path)).rejects.toThrow("there is no node n7; there are m1, n1");
    expect((await decode("-j", "--node", "m1", "--node", "n1", "--type", "debug", path)).out).toBe(
      '{"node":"m1","cpu":"CPU 03:","type":"debug","message":"Conntrack lookup 1/2: src=10.0.0.85:3072 dst=10.0.1.124:0"}\nn1: CPU 02: Lost 9 events\n',
    );

    const cut = file("cut.rec", Buffer.concat(chunks).subarray(0, -3));
    const r = await decode("-v", cut);
    expect([r.out, r.status]).toEqual([`m1: ${DEBUG_LINE}n1: ${traced}`, 0]);
    expect(r.err).toBe(
      `podpath: cut.rec: the recording was cut off; its last ${chunks.at(-1)!.length - 3} bytes are no whole record\n`,
    );
  });

  it("puts the node in front of lines only, not where an event goes on in the line of the one before", async () => {
    const chunks: Uint8Array[] = [];
    const w = new RecordingWriter((b) => chunks.push(b), {
      profile: "1.19",
      nodes: ["m1", "n1"],
      source: "test",
    });
    // A capture without packet bytes ends without a newline.
    const capture = new Uint8Array(24);
    capture[0] = 3;
    capture[1] = 10;
    w.sample(0, 0, 0, capture);
    w.sample(1, 3, 0, DEBUG);
    const path = file("glued.rec", Buffer.concat(chunks));
    const { out } = await decode("-v", "-v", path);
    expect(out.split("\n")).toEqual([
      `m1: ${"-".repeat(78)}`,
      `m1: CPU 00: MARK 0x0 FROM 0 DEBUG: 0 bytes, Packet going into snat engine on ifindex 0${DEBUG_LINE.trimEnd()}`,
      "",
    ]);
  });

  it("reads the stream of a monitor socket, as a client would have it", async () => {
    const stream = Buffer.concat([
      PAYLOAD_DESCRIPTION,
      encodePayload(DEBUG, 3, 0, 9),
      encodePayload(new Uint8Array(0), 3, 4, 2),
      encodePayload(new Uint8Array(0), 3, 4, 10),
    ]);
    const { out, status } = await decode("-v", file("socket.bin", stream));
    expect(out).toBe(`${DEBUG_LINE}CPU 03: Lost 4 events\nUnknown payload type: 10, CPU 03: Lost 4 events\n`);
    expect(status).toBe(0);
  });

  it("records and exports what it reads", async () => {
    const path = file(
      "in.hex",
      `${toHex(TRACE)}\n${toHex(padded(drop({}, FRAMES.tcpSyn)))}\n${toHex(DEBUG)}\n`,
    );
    const rec = join(dir, "out.rec");
    const pcap = join(dir, "out.pcapng");
    const first = await decode(
      "-v",
      "-v",
      "--ifname",
      "26=lxc5f949d4fd7fa",
      "--record",
      rec,
      "--pcap",
      pcap,
      path,
    );
    const again = await decode("-v", "-v", rec);
    expect(again).toEqual(first);
    const [section] = readPcapng(readFileSync(pcap)).sections;
    expect(section!.packets.map((p) => p.bytes.length)).toEqual([98, 74]);
    expect(section!.interfaces.map((i) => i.name)).toEqual(["lxc5f949d4fd7fa"]);
  });

  it("keeps the text unchanged between the escapes of --color=always, and plain without a terminal", async () => {
    const path = file("in.hex", `${toHex(TRACE)}\n${toHex(padded(drop({}, FRAMES.tcpSyn)))}\n`);
    const plain = await decode("-v", "-v", path);
    expect(plain.out).not.toContain("\u001b");
    expect((await decode("-v", "-v", "--color=auto", path)).out).toBe(plain.out);
    const coloured = (await decode("-v", "-v", "--color=always", path)).out;
    expect(coloured).toContain("\u001b[31m");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the escapes are what is removed.
    expect(coloured.replace(/\u001b\[\d+m/g, "")).toBe(plain.out);
  });

  it("refuses flags as the real command does, and files that are not there", async () => {
    const path = file("in.hex", toHex(TRACE));
    await expect(decode("--type", "trace,drop", path)).rejects.toThrow("Unknown type (trace,drop)");
    await expect(decode("--from", "70000", path)).rejects.toThrow("value out of range");
    await expect(decode(join(dir, "none"))).rejects.toMatchObject({ code: "IO" });
    await expect(decode("--ifname", "x", path)).rejects.toMatchObject({ code: "USAGE" });
  });
});
