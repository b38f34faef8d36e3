// The command line of iptables, against transcripts of iptables 1.8.9 (nf_tables) in an empty network namespace.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Kernel } from "../../../../src/kernel/kernel.js";
import { iptablesRestore } from "../../../../src/kernel/netfilter/iptables.js";
import { iptables_command } from "../../../../src/kernel/netfilter/iptables_cli.js";
import { splitWords } from "../../../../src/kernel/netfilter/xt_parse.js";
import type { Netns } from "../../../../src/kernel/netns.js";

const fixture = (name: string): string =>
  readFileSync(new URL(`../../../fixture/netfilter/${name}`, import.meta.url), "utf8");

const netns = (): Netns => new Kernel({ name: "n" }).addNetns("n");

/** Types the commands of a transcript (`$ COMMAND`, output, `= STATUS`) and gives the transcript that comes of it. */
function replay(ns: Netns, transcript: string): string {
  let out = "";
  for (const line of transcript.split("\n")) {
    if (!line.startsWith("$ ")) continue;
    const r = iptables_command(ns, splitWords(line).slice(2));
    out += `${line}\n${r.out}= ${r.rc}\n`;
  }
  return out;
}

describe("iptables", () => {
  it("lists rules of every match and target in the real tool's columns and words", () => {
    const ns = netns();
    iptablesRestore(ns, fixture("list.rules"));
    const real = fixture("list.transcript");
    expect(replay(ns, real)).toBe(real);
  });

  it("appends, checks, replaces, renames, zeroes and refuses as the real tool does", () => {
    const real = fixture("commands.transcript");
    expect(replay(netns(), real)).toBe(real);
  });

  it("shortens counters in steps of a thousand", () => {
    const ns = netns();
    const rules = fixture("counters.rules");
    iptablesRestore(ns, rules, { counters: true });
    const real = fixture("counters.transcript");
    expect(replay(ns, real)).toBe(real);
  });

  it("reads a rule that it cannot take as a mistake of one line and status 2", () => {
    expect(
      iptables_command(netns(), ["-A", "INPUT", "-p", "tcp", "--dport", "99999", "-j", "ACCEPT"]),
    ).toEqual({
      rc: 2,
      out: `iptables v1.8.9 (nf_tables): "99999" is not a port or a range of ports
Try \`iptables -h' or 'iptables --help' for more information.
`,
    });
  });

  it("keeps the jumps to a chain that is renamed", () => {
    const ns = netns();
    for (const c of ["-N A", "-A INPUT -j A", "-A A -j DROP", "-E A B"])
      expect(iptables_command(ns, c.split(" "))).toEqual({ rc: 0, out: "" });
    expect(iptables_command(ns, ["-S", "B"]).out).toBe("-N B\n-A B -j DROP\n");
    expect(iptables_command(ns, ["-A", "INPUT", "-j", "A"]).rc).toBe(2);
  });
});
