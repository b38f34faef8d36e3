import { describe, expect, it } from "vitest";
import { MonitorFormatter } from "../../../monitor/format.js";
import { Prng } from "../../../src/base/prng.js";
import { allDatapathSamples, FRAMES, trace } from "../../support/monitor_samples.js";

describe("formatters that keep recent lines", () => {
  it("print every sample as a fresh formatter does, in whatever order samples repeat", () => {
    const samples = allDatapathSamples().filter((_, i) => i % 3 === 0);
    const rng = new Prng(7);
    // Variants that differ in one byte of header or packet are what a cache would mix up.
    for (let i = 0; i < 150; i++) {
      const s = samples[rng.below(samples.length)]!.slice();
      s[rng.below(Math.min(s.length, 110))]! ^= 1 << rng.below(8);
      samples.push(s, s.subarray(0, 1 + rng.below(s.length)));
    }
    for (const profile of ["1.19", "1.11"]) {
      for (const form of [{}, { verbosity: 1 }, { verbosity: 2 }, { json: true }]) {
        const kept = new MonitorFormatter({ profile, ...form });
        const wrong: number[] = [];
        for (let i = 0; i < 500; i++) {
          const at = rng.below(samples.length);
          const cpu = rng.below(3);
          const fresh = new MonitorFormatter({ profile, ...form }).format(cpu, samples[at]!);
          if (kept.format(cpu, samples[at]!) !== fresh) wrong.push(at);
        }
        expect(wrong).toEqual([]);
      }
    }
  });

  it("notice that an interface got another name", () => {
    let name = "eth0";
    const f = new MonitorFormatter({ profile: "1.19", verbosity: 2, ifnames: () => name });
    const sample = trace({ ifindex: 2 }, FRAMES.arp);
    const first = f.format(0, sample);
    name = "ens33";
    expect(f.format(0, sample)).toBe(first.replace("interface eth0", "interface ens33"));
    name = "eth0";
    expect(f.format(0, sample)).toBe(first);
  });
});
