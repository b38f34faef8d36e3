// Runs the podpath command in this process and gives what it wrote and its exit status.

import { vi } from "vitest";
import { main } from "../../src/cli/run.js";

export interface CliRun {
  readonly out: string;
  readonly err: string;
  readonly status: number;
}

export async function runCli(...args: string[]): Promise<CliRun> {
  let out = "";
  let err = "";
  const stdout = vi.spyOn(process.stdout, "write").mockImplementation(((
    text: unknown,
    ...rest: unknown[]
  ) => {
    out += typeof text === "string" ? text : Buffer.from(text as Uint8Array).toString();
    const done = rest.at(-1);
    if (typeof done === "function") done();
    return true;
  }) as typeof process.stdout.write);
  const stderr = vi.spyOn(process.stderr, "write").mockImplementation(((text: unknown) => {
    err += String(text);
    return true;
  }) as typeof process.stderr.write);
  process.exitCode = undefined;
  try {
    const status = await main(args);
    return { out, err, status };
  } finally {
    stdout.mockRestore();
    stderr.mockRestore();
    process.exitCode = undefined;
  }
}
