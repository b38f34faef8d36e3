import { describe, expect, it } from "vitest";
import { RecordingReader, RecordingWriter, readRecording } from "../../../monitor/recording.js";
import { isRecording } from "../../../monitor/recording_magic.js";
import { debug, FRAMES, padded, trace } from "../../support/monitor_samples.js";

const HEADER = { profile: "1.11", nodes: ["master1", "node1"], source: "seed.yaml" };

function record(): { bytes: Uint8Array; ends: number[] } {
  const chunks: Uint8Array[] = [];
  const w = new RecordingWriter((b) => chunks.push(b), HEADER);
  w.link({ node: 0, ifindex: 26, name: "lxc5f949d4fd7fa" });
  w.sample(0, 3, 0, padded(debug(48, 1, 2, 3)));
  w.sample(1, 0, 9_007_199_254_740_991, padded(trace({ release: "1.11" }, FRAMES.icmpEcho)));
  w.lost(1, 127, 5_000_000_001, 4_294_967_296);
  const ends: number[] = [];
  let n = 0;
  for (const c of chunks) {
    n += c.length;
    ends.push(n);
  }
  return { bytes: Buffer.concat(chunks), ends };
}

const ITEMS = [
  { link: { node: 0, ifindex: 26, name: "lxc5f949d4fd7fa" } },
  { event: { node: 0, cpu: 3, ns: 0, type: 9, data: padded(debug(48, 1, 2, 3)), lost: 0 } },
  {
    event: {
      node: 1,
      cpu: 0,
      ns: 9_007_199_254_740_991,
      type: 9,
      data: padded(trace({ release: "1.11" }, FRAMES.icmpEcho)),
      lost: 0,
    },
  },
  { event: { node: 1, cpu: 127, ns: 5_000_000_001, type: 2, data: new Uint8Array(0), lost: 4_294_967_296 } },
];

describe("recordings", () => {
  it("give back what was written, times and counts exactly", () => {
    const { bytes } = record();
    expect(isRecording(bytes)).toBe(true);
    expect(readRecording(bytes)).toEqual({ header: HEADER, items: ITEMS, cut: 0 });
  });

  it("are readable up to the last whole record wherever they are cut off", () => {
    const { bytes, ends } = record();
    for (let n = ends[0]!; n <= bytes.length; n++) {
      const whole = ends.filter((e) => e <= n).length;
      const r = readRecording(bytes.subarray(0, n));
      expect(r.items).toEqual(ITEMS.slice(0, whole - 1));
      expect(r.cut).toBe(n - ends[whole - 1]!);
    }
    expect(() => readRecording(bytes.subarray(0, ends[0]! - 1))).toThrow(
      "recording: the file ends inside its header",
    );
  });

  it("are read the same in pieces of any size", () => {
    const { bytes } = record();
    for (const size of [1, 2, 7, 64]) {
      const r = new RecordingReader();
      const items = [];
      for (let at = 0; at < bytes.length; at += size) items.push(...r.push(bytes.subarray(at, at + size)));
      expect(items).toEqual(ITEMS);
      expect(r.header).toEqual(HEADER);
      expect(r.pending).toBe(0);
    }
  });

  it("are refused when they are something else", () => {
    const { bytes } = record();
    const other = Uint8Array.from(bytes);
    other[6]! ^= 1;
    expect(isRecording(other)).toBe(false);
    expect(() => readRecording(other)).toThrow("recording: at byte 0: not a recording of podpath monitor");
    expect(() => readRecording(new Uint8Array(40).fill(0xff))).toThrow(
      "recording: at byte 0: a record's length is out of range",
    );
    expect(() => readRecording(Uint8Array.of(0xff, 0xff, 0xff, 0x7f, 0))).toThrow(
      "recording: at byte 0: a record claims 268435455 bytes",
    );
  });
});
