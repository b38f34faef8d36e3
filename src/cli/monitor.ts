// podpath monitor [SCENARIO]: sends the scenario's traffic and prints what `cilium monitor` on its nodes would.

import { Command } from "commander";
import { profileOf } from "../../monitor/release.js";
import { interruptText, startUpText } from "../../monitor/session.js";
import type { Profile } from "../cluster/model.js";
import { Lab, type LabSample } from "../lab.js";
import { stepMistakes } from "../scenario/traffic.js";
import {
  addMonitorFlags,
  checkEndpoints,
  filterOf,
  type MonitorFlags,
  Pacer,
  paceOf,
} from "./monitor_options.js";
import { MonitorOutput } from "./monitor_output.js";
import { addLabFlags, chooseScenario, type LabFlags } from "./scenario_arg.js";

interface Flags extends MonitorFlags, LabFlags {
  readonly node: readonly string[];
}

/** The `monitor` command. */
export function monitorCommand(): Command {
  const collect = (value: string, earlier: readonly string[]): string[] => [...earlier, value];
  const command = new Command("monitor").description(
    "send a scenario's traffic and print the monitor stream of its nodes",
  );
  return addMonitorFlags(addLabFlags(command))
    .option(
      "--node <name>",
      "a node to watch (repeatable; `all` for every one); default: the scenario's choice",
      collect,
      [],
    )
    .addHelpText("after", "\nExample:\n  podpath monitor cilium-native-routing --profile 1.11 -v -v\n")
    .action(async (scenario: string | undefined, flags: Flags) => {
      const chosen = chooseScenario(scenario, flags, flags.profile as Profile | undefined);
      const client = profileOf(chosen.profile);
      filterOf(flags, client);
      const lab = Lab.fromScenario(chosen.scenario, chosen.options);
      const wrong = lab.scenario.traffic.flatMap((step) => stepMistakes(lab, step))[0];
      if (wrong !== undefined) throw wrong;
      for (const n of flags.node) if (n !== "all") lab.node(n);
      const nodes = watched(flags.node, lab.scenario.monitorNodes, lab.nodeNames).map(
        (n) => lab.node(n).name,
      );
      const known = nodes.flatMap((n) => lab.node(n).endpointIds);
      const check = checkEndpoints(flags, new Set(known));
      const speed = paceOf(flags);
      const later: { node: number; s: LabSample }[] = [];
      let output: MonitorOutput | undefined;
      nodes.forEach((name, node) => {
        lab.monitor(
          name,
          (s) => {
            if (speed === undefined) output!.sample(node, s.cpu, s.ns, s.bytes);
            else later.push({ node, s });
          },
          (cpu, ns, n) => output!.lost(node, cpu, ns, n),
        );
      });
      if (!check.noneKnown)
        output = await MonitorOutput.open({
          flags,
          profile: chosen.profile,
          nodes,
          source: `monitor ${lab.scenario.name}`,
          ifnames: (node, ifindex) => lab.node(nodes[node]!).ifname(ifindex),
          stdout: process.stdout,
        });
      // The real client's banner, when nothing that was asked for can be wrong any more.
      const ring = { cpus: chosen.scenario.cluster.nodes[0]?.cpus ?? 1, npages: 64, pagesize: 4096 };
      for (const t of startUpText(client, ring)) process[t.stream].write(t.text);
      process.once("SIGINT", () => {
        const t = interruptText(client);
        process[t.stream].write(t.text, () => process.exit(0));
      });
      for (const message of check.messages) process.stderr.write(message);
      if (lab.scenario.traffic.length === 0)
        process.stderr.write("podpath: the scenario sends nothing: a Traffic document says what to send\n");
      if (output === undefined) {
        process.exitCode = 1;
        return;
      }
      lab.run();
      if (speed !== undefined) {
        const pacer = new Pacer(speed);
        for (const { node, s } of later) {
          if (pacer.delay(s.ns) > 0) {
            await output.flush();
            await pacer.wait(s.ns);
          }
          output.sample(node, s.cpu, s.ns, s.bytes);
        }
      }
      await output.end();
    });
}

/** Which nodes are watched: those asked for, else the scenario's choice, else all. */
function watched(
  asked: readonly string[],
  chosen: readonly string[],
  all: readonly string[],
): readonly string[] {
  if (asked.includes("all")) return all;
  if (asked.length > 0) return asked;
  return chosen.length > 0 ? chosen : all;
}
