// The commands compare, explain and bench as a person calls them: the examples of their help, forms, bad input.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { main } from "../../../src/cli/run.js";
import { readPcapng } from "../../../src/net/pcapng.js";

const dir = mkdtempSync(join(tmpdir(), "podpath-cli-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Runs a command line; gives status and what it wrote. */
async function run(...argv: string[]): Promise<{ status: number; out: string; err: string }> {
  let out = "";
  let err = "";
  const o = vi.spyOn(process.stdout, "write").mockImplementation((s) => {
    out += String(s);
    return true;
  });
  const e = vi.spyOn(process.stderr, "write").mockImplementation((s) => {
    err += String(s);
    return true;
  });
  try {
    return { status: await main(argv), out, err };
  } finally {
    o.mockRestore();
    e.mockRestore();
    process.exitCode = undefined;
  }
}

/** The example of a command's help, as arguments. */
async function example(command: string): Promise<string[]> {
  const { out } = await run(command, "--help");
  const line = /\nExample:\n {2}podpath (.*)\n/.exec(out)![1]!;
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map((m) => m[1] ?? m[2]!);
}

describe("examples of the help", () => {
  it("of compare names tail calls by their functions in the built command, too", async (ctx) => {
    const at = (path: string): string => new URL(`../../../${path}`, import.meta.url).pathname;
    const built = at("dist/podpath.cjs");
    if (!existsSync(built) || statSync(built).mtimeMs < statSync(at("src/cli/bundle.ts")).mtimeMs)
      return ctx.skip("the command is not built");
    const argv = await example("compare");
    const r = spawnSync(process.execPath, [at("dist/src/cli/main.js"), ...argv], { encoding: "utf8" });
    expect(r.stdout).toContain(" tail call tail_handle_ipv4 ");
  });

  it("of compare prints both walks and the summary", async () => {
    const r = await run(...(await example("compare")));
    expect([r.status, r.err]).toEqual([0, ""]);
    expect(r.out.split("\n").filter((l) => l.startsWith("  skips")).length).toBe(14);
  });

  it("of explain ends with the reason for Legacy host routing", async () => {
    const r = await run(...(await example("explain")));
    expect([r.status, r.err]).toEqual([0, ""]);
    expect(r.out.trimEnd().split("\n").at(-1)).toBe(
      "host routing is Legacy: enable-host-legacy-routing is true",
    );
  });

  it("of bench prints both kinds of figures, apart", async () => {
    const r = await run(...(await example("bench")), "--no-check");
    expect([r.status, r.err]).toEqual([0, ""]);
    expect(r.out.split("\n").filter((l) => /^\([ab]\)/.test(l))).toEqual([
      "(a) speed of the emulator, packets/s end to end on one core, this machine, monitor off",
      "(b) modelled CPU time of the real path, ns per operation on the nodes (x: times cilium-host-routing)",
    ]);
  });
});

describe("bench on a node's Linux stack", () => {
  const flags = ["bench", "--only", "kube-proxy", "--services", "10,30", "--model-only", "--no-check"];

  it("prints rules evaluated per packet by mode and number of services", async () => {
    const { out, status } = await run(...flags);
    expect([status, out.split("modelled ns")[0]]).toEqual([
      0,
      `kube-proxy with so many services: a datagram to a ClusterIP, from pod to pod of one node
rules evaluated per packet                                10          30
iptables, new connection, service middle                  60          70
iptables, new connection, service last                    64          84
iptables, established connection, service middle          15          15
iptables, established connection, service last            15          15
ipvs, new connection, service middle                      76          76
ipvs, new connection, service last                        76          76
ipvs, established connection, service middle              26          26
ipvs, established connection, service last                26          26
`,
    ]);
  });

  it("has the same rows in JSON, and those of forwarded packets", async () => {
    const j = JSON.parse((await run(...flags, "--json")).out) as {
      services: { rows: { mode: string; services: number; rulesPerPacket: number; nsPerPacket: null }[] };
      forwarding: { name: string; rulesPerPacket: number; nsPerPacket: null }[];
    };
    expect([j.services.rows.length, j.services.rows[0]]).toEqual([
      16,
      expect.objectContaining({
        mode: "iptables",
        services: 10,
        position: "middle",
        state: "new",
        rulesPerPacket: 60,
        nsPerPacket: null,
      }),
    ]);
    expect(j.forwarding.map((f) => [f.name, f.rulesPerPacket])).toEqual([
      ["forwarded packet, established, kube-proxy with 1000 services", 4],
    ]);
  });
});

describe("forms of compare", () => {
  const base = ["compare", "cilium-native-routing"];

  it("keep to the width that is asked for, in the narrow form", async () => {
    const { out } = await run(...base, "--width", "60");
    const tables = out.split("\n\n").filter((p) => p.startsWith("== "));
    expect(tables.flatMap((t) => t.split("\n")).filter((l) => l.length > 60)).toEqual([]);
  });

  it("are JSON with aligned rows that name every step of every walk once", async () => {
    const c = JSON.parse((await run(...base, "--json")).out) as {
      directions: { rows: number[][]; walks: { steps: unknown[] }[] }[];
    };
    for (const d of c.directions) {
      d.walks.forEach((w, k) => {
        expect(d.rows.map((r) => r[k]!).filter((i) => i >= 0)).toEqual(w.steps.map((_, i) => i));
      });
    }
  });

  it("are a Mermaid diagram in which every arrow and note has declared participants", async () => {
    const { out } = await run(...base, "--mermaid");
    expect(out.split("\n")[0]).toBe("sequenceDiagram");
    const declared = new Set([...out.matchAll(/participant (d\d+) as/g)].map((m) => m[1]));
    const used = [...out.matchAll(/^ {4}(d\d+)-?->>(d\d+):|Note over (d\d+):/gm)].flatMap((m) => m.slice(1));
    expect(used.filter((u) => u !== undefined && !declared.has(u))).toEqual([]);
    const open = out.split("\n").filter((l) => /^ {2}(rect|box) /.test(l)).length;
    expect(out.split("\n").filter((l) => l === "  end").length).toBe(open);
  });

  it("are a pcapng file with one interface for each hook", async () => {
    const file = join(dir, "c.pcapng");
    expect(await run(...base, "--pcap", file)).toEqual({ status: 0, out: "", err: "" });
    const section = readPcapng(new Uint8Array(readFileSync(file))).sections[0]!;
    const names = section.interfaces.map((i) => i.name!);
    expect(new Set(section.interfaces.map((i) => `${i.name} ${i.linkType}`)).size).toBe(names.length);
    expect(names.filter((n) => n.startsWith("cilium-host-routing/") && n.endsWith("/FORWARD"))).toEqual([]);
    expect(
      names.filter((n) => n.startsWith("cilium-legacy/node-1.whale.com/") && n.endsWith("ING")).length,
    ).toBe(4);
  });
});

describe("bad input", () => {
  it.each([
    [
      ["compare", "--flow", "pod/x"],
      "podpath: --flow \"pod/x\": there is no ->; write it like 'pod/a -> pod/b:80/tcp' or 'pod/a -> pod/b/icmp'\n",
    ],
    [["compare", "--json", "--mermaid"], "podpath: give --json or --mermaid, not both\n"],
    [
      ["compare", "--datapath", "cilium-legacy"],
      "podpath: give --datapath at least twice: there is nothing to compare with\n",
    ],
    [
      ["explain", "--flow", "pod/nobody -> pod/b"],
      "podpath: there is no pod nobody; there are default/cni-test-777bbd57c8-2f986, default/cni-test-777bbd57c8-d7wlv\n",
    ],
    [["bench", "--only", "nothing"], 'podpath: --only "nothing": no case has that in its name\n'],
  ])("of %j is one line and status 2", async (argv, line) => {
    expect(await run(...argv)).toEqual({ status: 2, out: "", err: line });
  });
});
