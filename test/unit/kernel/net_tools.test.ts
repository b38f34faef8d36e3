import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { runLab } from "../../../src/conformance/kernel.js";
import { type CommandResult, ip_command } from "../../../src/kernel/iproute.js";
import { arp_n, ethtool_S, ifconfig, route_n } from "../../../src/kernel/net_tools.js";
import type { Netns } from "../../../src/kernel/netns.js";

const VECTORS = new URL("../../../../shared/vectors/kernel/", import.meta.url).pathname;

/** `$ command` sections of a recorded file. */
function sections(text: string): { command: string; out: string }[] {
  return text
    .split(/^\$ /m)
    .slice(1)
    .map((s) => ({ command: s.slice(0, s.indexOf("\n")), out: s.slice(s.indexOf("\n") + 1) }));
}

function print(ns: Netns, command: string): CommandResult | null {
  const argv = command.split(" ");
  switch (argv[0]) {
    case "ip":
      // Details of a driver (-d) beyond the tunnel's own line are the kernel's, not the tools'.
      return argv[1] === "-d" && argv[2] !== "tunnel" ? null : ip_command(ns, argv.slice(1));
    case "route":
      return { rc: 0, out: route_n(ns) };
    case "arp":
      return { rc: 0, out: arp_n(ns) };
    case "ifconfig":
      return ifconfig(ns, argv.slice(1));
    case "ethtool":
      return ethtool_S(ns, argv[2]!);
    default:
      return null;
  }
}

const LABS = existsSync(VECTORS)
  ? readdirSync(VECTORS).filter((l) => existsSync(`${VECTORS}${l}/tools`))
  : [];

describe.skipIf(LABS.length === 0)(
  "what the tools print (needs the recorded labs beside the repository)",
  () => {
    it.each(LABS)("%s: before any traffic each modelled command prints what was recorded", (lab) => {
      const topo = JSON.parse(readFileSync(`${VECTORS}${lab}/topology.json`, "utf8"));
      const run = runLab({ ...topo, traffic: [] });
      let compared = 0;
      for (const [name, ns] of run.built.ns) {
        const file = `${VECTORS}${lab}/tools/${name}.before.txt`;
        if (!existsSync(file)) continue;
        for (const s of sections(readFileSync(file, "utf8"))) {
          const got = print(ns, s.command);
          if (got === null) continue;
          // The recording machine's geneve device took an index more than ours.
          const index = (t: string): string => t.replace(/^\d+: genev_sys/m, "N: genev_sys");
          expect(`$ ${s.command}\n${index(got.out)}`, `${lab} ${name}`).toBe(
            `$ ${s.command}\n${index(s.out)}`,
          );
          compared++;
        }
      }
      expect(compared).toBeGreaterThan(lab.includes("routed-underlay") ? -1 : 0);
    });
  },
);
