// Bench of the monitor: decoding, rendering in its forms, the ring, the socket's encoding, recordings. Events are
// those of flows that really differ: each case walks through 4096 packets with identifiers, ports and sequence numbers
// of their own, seen at several points each, as a stream shows them.

import { PerfEventArray } from "../../maps/perf_event_array.js";
import { DatapathEvent } from "../../monitor/event.js";
import { MonitorFormatter } from "../../monitor/format.js";
import { encodePayload, PAYLOAD_SAMPLE } from "../../monitor/payload.js";
import { profileOf } from "../../monitor/release.js";
import { VirtualClock } from "../base/clock.js";
import { fromHex } from "../net/view.js";
import type { BenchCase, BenchSuite } from "./suite.js";

const FLOWS = 4096;
const BATCH = 1024;
/** Points of a pod-to-pod path at which a packet is seen, with and without its MAC addresses changed. */
const POINTS = [5, 3, 10, 0] as const;

const TCP = fromHex(
  "42eff87a9ef7ca0efa6c0f3008004500003cb29440003e0674570a0000550a00017c870700500000000000000000a002faf012340000020405b40402080a000000010000000001030307",
)!;
const ICMP = fromHex(
  `42eff87a9ef7ca0efa6c0f30080045000054b29440003e0174440a0000550a00017c0800517d0c000000${"00".repeat(56)}`,
)!;

function traceHeader(release: string): Uint8Array {
  const old = release === "1.11";
  const b = new Uint8Array(old ? 48 : 56);
  const v = new DataView(b.buffer);
  b[0] = 4;
  b[14] = old ? 1 : 2;
  v.setUint16(2, 1580, true);
  v.setUint32(16, 3352, true);
  v.setUint32(20, 3352, true);
  v.setUint16(24, 1580, true);
  v.setUint32(28, 26, true);
  b.set([10, 0, 0, 85], 32);
  return b;
}

/** Traces as a ring delivers them: four points of each of 4096 packets of either protocol. */
function traces(release: string): Uint8Array[] {
  const header = traceHeader(release);
  const out: Uint8Array[] = [];
  for (let i = 0; i < FLOWS; i++) {
    const frame = i % 2 === 0 ? TCP : ICMP;
    for (const point of POINTS) {
      const b = new Uint8Array(((header.length + frame.length + 11) & ~7) - 4);
      const v = new DataView(b.buffer);
      b.set(header);
      b.set(frame, header.length);
      b[1] = point;
      v.setUint32(8, frame.length, true);
      v.setUint16(12, frame.length, true);
      const ip = header.length + 14;
      v.setUint16(ip + 4, i);
      b[ip + 8] = point === 10 || point === 0 ? 62 : 63;
      if (frame === TCP) {
        v.setUint16(ip + 20, 32768 + (i % 28000));
        v.setUint32(ip + 24, Math.imul(i, 0x9e3779b1) >>> 0);
      } else {
        v.setUint16(ip + 26, i);
      }
      out.push(b);
    }
  }
  return out;
}

function debugMessages(): Uint8Array[] {
  return Array.from({ length: FLOWS }, (_, i) => {
    const b = new Uint8Array(20);
    const v = new DataView(b.buffer);
    b[0] = 2;
    b[1] = [48, 49, 15, 50][i % 4]!;
    v.setUint16(2, 1580, true);
    v.setUint32(8, b[1] === 15 ? i % 3 : 0x5500000a, true);
    v.setUint32(12, 0x7c01000a, true);
    v.setUint32(16, (i << 16) | 80, true);
    return b;
  });
}

const ifnames = (ifindex: number): string | undefined => (ifindex === 26 ? "lxc5f949d4fd7fa" : undefined);

function cases(): BenchCase[] {
  const out: BenchCase[] = [];
  const add = (group: string, name: string, run: () => void, unit = "event"): void => {
    out.push({ group, name, batch: BATCH, run, unit, steady: false });
  };
  for (const release of ["1.19", "1.11"]) {
    const samples = traces(release);
    const render = (name: string, options: object, of: Uint8Array[]): void => {
      const f = new MonitorFormatter({ profile: release, ifnames, ...options });
      let at = 0;
      let written = 0;
      add(`render ${release}`, name, () => {
        const lines: string[] = [];
        for (let i = 0; i < BATCH; i++) {
          lines.push(f.format(3, of[at]!));
          at = at + 1 === of.length ? 0 : at + 1;
        }
        // Text counts when it is written: joining makes it one flat string, as the output does.
        written += Buffer.byteLength(lines.join(""));
      });
      if (written < 0) throw new Error("unreachable");
    };
    render("trace, default", {}, samples);
    render("trace, -v -v", { verbosity: 2 }, samples);
    render("trace, -v -v --hex", { verbosity: 2, hex: true }, samples);
    render("trace, -j", { json: true }, samples);
    render("debug message, -v", { verbosity: 1 }, debugMessages());
  }

  const profile = profileOf("1.19");
  const samples = traces("1.19");
  const ev = new DatapathEvent();
  let at = 0;
  let sum = 0;
  add(
    "decode",
    "sample to fields, not rendered",
    () => {
      for (let i = 0; i < BATCH; i++) {
        ev.decode(profile, samples[at]!);
        sum = (sum + ev.dstId) | 0;
        at = at + 1 === samples.length ? 0 : at + 1;
      }
    },
    "sample",
  );

  const header = traceHeader("1.19");
  const ring = new PerfEventArray("cilium_events", new VirtualClock(), 4);
  ring.enabled = true;
  add(
    "transport",
    "ring, written and read",
    () => {
      for (let i = 0; i < BATCH; i++) ring.output(i & 3, header, header.length, ICMP, 0, ICMP.length);
      let n = 0;
      ring.read(() => {
        n++;
      });
      if (n !== BATCH) throw new Error(`the ring lost ${BATCH - n} of ${BATCH} events`);
    },
    "sample",
  );
  add("transport", "gob payload of the monitor socket", () => {
    for (let i = 0; i < BATCH; i++) {
      sum += encodePayload(samples[at]!, i & 3, 0, PAYLOAD_SAMPLE).length;
      at = at + 1 === samples.length ? 0 : at + 1;
    }
  });
  return out;
}

/** The suite of the monitor. */
export const monitorSuite: BenchSuite = { name: "monitor", cases };
