import { existsSync, lstatSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RecordingWriter } from "../../../monitor/recording.js";
import { readScenario } from "../../../src/cli/scenario_arg.js";
import { type OpenSource, serveCommand } from "../../../src/cli/serve.js";
import { Lab } from "../../../src/lab.js";
import { toHex } from "../../../src/net/view.js";
import { TestClient } from "../../support/monitor_client.js";
import { debug, FRAMES, padded, trace } from "../../support/monitor_samples.js";

let dir = "";
let path = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "podpath-serve-"));
  path = join(dir, "monitor1_2.sock");
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

/** Starts `podpath serve`, attaches a client, and waits for the command's end. */
async function serve(args: string[], open?: OpenSource): Promise<TestClient> {
  const stderr = vi.spyOn(process.stderr, "write").mockImplementation(() => true);
  try {
    const done = serveCommand(open)
      .exitOverride()
      .parseAsync([...args, "--monitor-socket", path, "--once"], { from: "user" });
    const end = Date.now() + 5000;
    while (!existsSync(path) && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 5));
    const client = await TestClient.connect(path);
    expect(lstatSync(path).mode & 0o777).toBe(0o600);
    await done;
    expect(existsSync(path)).toBe(false);
    while (!client.closed) await new Promise((resolve) => setTimeout(resolve, 2));
    return client;
  } finally {
    stderr.mockRestore();
  }
}

describe("podpath serve", () => {
  it("plays inputs to the clients of its socket and removes it at the end", async () => {
    const input = join(dir, "in.jsonl");
    const samples = Array.from({ length: 500 }, (_, i) => debug(48, i));
    writeFileSync(
      input,
      `${samples.map((s, i) => `{"cpu":${i % 4},"hex":"${toHex(s)}"}`).join("\n")}\n{"cpu":2,"lost":9}\n`,
    );
    const client = await serve(["--input", input]);
    const received = client.stream.received;
    expect(received.slice(0, 500).map((p) => [p.CPU, p.Type, p.Data])).toEqual(
      samples.map((s, i) => [i % 4, 9, s]),
    );
    expect(received[500]).toMatchObject({ CPU: 2, Type: 2, Lost: 9 });
    expect(received.length).toBe(501);
  });

  it("serves one node of a recording", async () => {
    const chunks: Uint8Array[] = [];
    const w = new RecordingWriter((b) => chunks.push(b), {
      profile: "1.19",
      nodes: ["m1", "n1"],
      source: "test",
    });
    const sample = padded(trace({}, FRAMES.icmpEcho));
    w.sample(0, 1, 0, debug(48));
    w.sample(1, 2, 0, sample);
    const input = join(dir, "run.rec");
    writeFileSync(input, Buffer.concat(chunks));
    const client = await serve(["--input", input, "--node", "n1"]);
    expect(client.stream.received).toEqual([{ CPU: 2, Data: sample, Lost: 0, Type: 9 }]);
    await expect(serve(["--input", input])).rejects.toThrow(
      "a monitor socket belongs to one node: choose a --node of m1, n1",
    );
  });

  it("serves what a scenario emits", async () => {
    const asked: unknown[] = [];
    const client = await serve(["seed", "--node", "n1", "--speed", "4"], async (scenario, flags) => {
      asked.push([scenario, flags.node, flags.speed]);
      return {
        cpus: 2,
        async run(emit) {
          await new Promise((resolve) => setTimeout(resolve, 100));
          emit.sample(1, debug(50));
          emit.lost(1, 3);
        },
      };
    });
    expect(asked).toEqual([["seed", "n1", 4]]);
    expect(client.stream.received.map((p) => [p.CPU, p.Type, p.Lost])).toEqual([
      [1, 9, 0],
      [1, 2, 3],
    ]);
  });

  it("serves the events of a lab's node, the same that its monitor prints", async () => {
    const expected: { cpu: number; bytes: Uint8Array }[] = [];
    const lab = Lab.fromYaml(readScenario().text);
    const name = lab.scenario.monitorNodes[0] ?? lab.nodeNames[0]!;
    lab.monitor(name, (s) => expected.push(s));
    lab.run();
    expect(expected.length).toBeGreaterThan(4);
    const client = await serve(["--node", name, "--speed", "1000"]);
    expect(client.stream.received.map((p) => [p.CPU, p.Data])).toEqual(expected.map((s) => [s.cpu, s.bytes]));
  });

  it("takes a scenario or inputs, not both", async () => {
    await expect(
      serveCommand()
        .exitOverride()
        .parseAsync(["seed", "--input", "x", "--monitor-socket", path], { from: "user" }),
    ).rejects.toThrow("serve takes a scenario or --input files, not both");
  });
});
