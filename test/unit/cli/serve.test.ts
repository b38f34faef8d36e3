import { existsSync, lstatSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RecordingWriter } from "../../../monitor/recording.js";
import { type OpenSource, serveCommand } from "../../../src/cli/serve.js";
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
    const client = await serve(["seed", "--node", "n1", "--speed", "4"], async (scenario, options) => {
      asked.push([scenario, options]);
      return {
        cpus: 2,
        async run(emit) {
          await new Promise((resolve) => setTimeout(resolve, 100));
          emit.sample(1, debug(50));
          emit.lost(1, 3);
        },
      };
    });
    expect(asked).toEqual([["seed", { speed: 4, node: "n1" }]]);
    expect(client.stream.received.map((p) => [p.CPU, p.Type, p.Lost])).toEqual([
      [1, 9, 0],
      [1, 2, 3],
    ]);
  });

  it("wants a scenario or inputs, not both and not neither", async () => {
    const run = (...args: string[]): Promise<unknown> =>
      serveCommand()
        .exitOverride()
        .parseAsync([...args, "--monitor-socket", path], { from: "user" });
    await expect(run()).rejects.toThrow("serve needs a scenario or --input files, one of the two");
    await expect(run("seed", "--input", "x")).rejects.toThrow("one of the two");
    await expect(run("seed")).rejects.toThrow("there are no scenarios to serve here");
  });
});
