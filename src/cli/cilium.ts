// podpath cilium NODE WORDS...: the state commands of cilium-dbg on a node of a scenario, in its formats. The scenario's
// traffic is sent first, so that there is state to look at.

import { Command, Option } from "commander";
import { PodpathError } from "../base/errors.js";
import { isCiliumDatapath } from "../cluster/cilium/agent_config.js";
import {
  type EndpointRow,
  endpointListJson,
  endpointListText,
  identityListJson,
  identityListText,
  policyEnabled,
  serviceListJson,
  serviceListText,
} from "../cluster/cilium/dump/agent_tables.js";
import { ctListJson, ctListText } from "../cluster/cilium/dump/ct_list.js";
import {
  bpfEndpointListJson,
  bpfEndpointListText,
  bpfIpcacheListJson,
  bpfIpcacheListText,
  NO_ENTRIES,
} from "../cluster/cilium/dump/endpoint_maps.js";
import { type LbListForm, lbListJson, lbListText } from "../cluster/cilium/dump/lb_list.js";
import {
  mapGetJson,
  mapGetText,
  mapListJson,
  mapListText,
  mapListVerboseText,
} from "../cluster/cilium/dump/map_list.js";
import { metricsListJson, metricsListText } from "../cluster/cilium/dump/metrics_list.js";
import { natListJson, natListText } from "../cluster/cilium/dump/nat_list.js";
import { policyGetAllText, policyGetJson, policyGetText } from "../cluster/cilium/dump/policy_get.js";
import { jsonText } from "../cluster/cilium/dump/tabwriter.js";
import type { CiliumNode, CiliumPlane } from "../cluster/cilium/plane.js";
import type { Lab } from "../lab.js";
import { addLabFlags, type LabFlags, openLab } from "./scenario_arg.js";

interface Flags extends LabFlags {
  readonly scenario?: string;
  readonly output?: string;
  readonly numeric?: boolean;
  readonly timeDiff?: boolean;
  readonly all?: boolean;
  readonly verbose?: boolean;
  readonly frontends?: boolean;
  readonly backends?: boolean;
  readonly revnat?: boolean;
  readonly sourceRanges?: boolean;
  readonly profile?: "1.19" | "1.11";
  readonly traffic: boolean;
}

/** What a state command sees. */
interface Context {
  readonly lab: Lab;
  readonly plane: CiliumPlane;
  readonly node: CiliumNode;
  readonly flags: Flags;
  /** Words behind the command's own. */
  readonly args: readonly string[];
}

/** A command gives its text and its JSON form. */
interface StateCommand {
  readonly words: string;
  readonly argument?: string;
  readonly text: (c: Context) => string;
  readonly json: (c: Context) => unknown;
}

function clockOf(c: Context): { now: number; unitsPerSec: number } {
  const ns = c.lab.clock.ns;
  const hz = 250;
  return c.plane.config.jiffies
    ? { now: Math.floor((2 ** 32 - 300 * hz + (ns / 1e9) * hz) / 256), unitsPerSec: hz / 256 }
    : { now: Math.floor(ns / 1e9), unitsPerSec: 1 };
}

function endpointRows(c: Context): EndpointRow[] {
  return [...c.node.endpoints.values()].map((e) => ({
    id: e.id,
    state: "ready",
    identity: e.identity,
    labels: e.labels.texts,
    ipv4: e.sandbox.pod.ip4,
    ipv6: e.sandbox.pod.ip6,
    policyEnabled: policyEnabled(e.policy, c.plane.config.policyAuditMode),
  }));
}

function endpointId(c: Context): number {
  const id = Number(c.args[0]);
  if (!Number.isInteger(id)) throw new PodpathError("USAGE", "bpf policy get: give an endpoint id, or --all");
  return id;
}

function mapName(c: Context): string {
  const name = c.args[0];
  if (name === undefined)
    throw new PodpathError("USAGE", "map get: give the name of a map; map list has them all");
  return name;
}

/** What a command found under its argument. @throws PodpathError USAGE if there is no such thing */
function known<T>(found: T | undefined, c: Context, what: string): T {
  if (found === undefined)
    throw new PodpathError(
      "USAGE",
      `node ${c.node.name} has no ${what} ${c.args[0]}; ${what} list has them all`,
    );
  return found;
}

function lbForm(f: Flags): LbListForm {
  if (f.frontends === true) return "frontends";
  if (f.backends === true) return "backends";
  if (f.revnat === true) return "revnat";
  return f.sourceRanges === true ? "source-ranges" : "services";
}

function serviceRows(c: Context) {
  return c.node.frontends.flatMap((frontend) => {
    const id = c.node.serviceMaps.frontendId(frontend);
    return id === undefined ? [] : [{ id, frontend }];
  });
}

const COMMANDS: readonly StateCommand[] = [
  {
    words: "bpf ct list global",
    text: (c) =>
      ctListText(c.node.maps, {
        ipv6: c.plane.config.ipv6,
        timeDiff: c.flags.timeDiff === true ? clockOf(c) : undefined,
      }),
    json: (c) => ctListJson(c.node.maps, { ipv6: c.plane.config.ipv6 }),
  },
  {
    words: "bpf endpoint list",
    text: (c) => bpfEndpointListText(c.node.maps, c.plane.config.profile),
    json: (c) => bpfEndpointListJson(c.node.maps, c.plane.config.profile),
  },
  {
    words: "bpf ipcache list",
    text: (c) => bpfIpcacheListText(c.node.maps) ?? NO_ENTRIES,
    json: (c) => bpfIpcacheListJson(c.node.maps),
  },
  {
    words: "bpf policy get",
    argument: "ENDPOINT",
    text: (c) => {
      const options = {
        numeric: c.flags.numeric === true,
        identities: c.plane.identities.all,
        accounting: true,
      };
      if (c.flags.all === true) return policyGetAllText(c.node.maps, options);
      return known(policyGetText(c.node.maps, endpointId(c), options), c, "endpoint");
    },
    json: (c) => known(policyGetJson(c.node.maps, endpointId(c)), c, "endpoint"),
  },
  {
    words: "bpf lb list",
    text: (c) => lbListText(c.node.maps, lbForm(c.flags)),
    json: (c) => lbListJson(c.node.maps, lbForm(c.flags)),
  },
  {
    words: "bpf nat list",
    text: (c) => natListText(c.node.maps, { ipv6: c.plane.config.ipv6, clock: clockOf(c) }),
    json: (c) => natListJson(c.node.maps, { ipv6: c.plane.config.ipv6 }),
  },
  {
    words: "bpf metrics list",
    text: (c) => metricsListText(c.node.maps) ?? NO_ENTRIES,
    json: (c) => metricsListJson(c.node.maps),
  },
  {
    words: "endpoint list",
    text: (c) => endpointListText(endpointRows(c)),
    json: (c) => endpointListJson(endpointRows(c)),
  },
  {
    words: "identity list",
    text: (c) => identityListText(c.plane.identities.all),
    json: (c) => identityListJson(c.plane.identities.all),
  },
  {
    words: "service list",
    text: (c) => serviceListText(serviceRows(c)),
    json: (c) => serviceListJson(serviceRows(c)),
  },
  {
    words: "map list",
    text: (c) => (c.flags.verbose === true ? mapListVerboseText(c.node.maps) : mapListText(c.node.maps)),
    json: (c) => mapListJson(c.node.maps),
  },
  {
    words: "map get",
    argument: "NAME",
    text: (c) => known(mapGetText(c.node.maps, mapName(c)), c, "map"),
    json: (c) => known(mapGetJson(c.node.maps, mapName(c)), c, "map"),
  },
  {
    words: "status",
    text: (c) => {
      const routing = c.plane.config.hostRouting === "bpf" ? "BPF" : "Legacy";
      const { hostRoutingReason, datapathMode } = c.plane.config;
      return `Host Routing:            ${routing}\nHost Routing reason:     ${hostRoutingReason}\nDevice Mode:             ${datapathMode}\n`;
    },
    json: (c) => ({
      hostRouting: c.plane.config.hostRouting,
      reason: c.plane.config.hostRoutingReason,
      deviceMode: c.plane.config.datapathMode,
    }),
  },
];

/** The command whose words a line begins with. @throws PodpathError USAGE with those that it may have meant */
function commandOf(text: string): StateCommand {
  const found = COMMANDS.find((c) => text === c.words || text.startsWith(`${c.words} `));
  if (found !== undefined) return found;
  const begun = COMMANDS.filter((c) => c.words.startsWith(`${text} `));
  const names = (begun.length > 0 ? begun : COMMANDS).map((c) => c.words);
  throw new PodpathError(
    "USAGE",
    `unknown command ${text}; there ${names.length > 1 ? "are" : "is"} ${names.join(", ")}`,
  );
}

/** The `cilium` command. */
export function ciliumCommand(): Command {
  const list = COMMANDS.map((c) => `  ${c.words}${c.argument === undefined ? "" : ` ${c.argument}`}`).join(
    "\n",
  );
  return addLabFlags(
    new Command("cilium").description("cilium-dbg's state commands on a node of a scenario"),
    "option",
  )
    .argument("<node>", "node of the scenario")
    .argument("<command...>", "one of those below")
    .addOption(new Option("-o, --output <form>", "json").choices(["json"]))
    .option("-n, --numeric", "identities as numbers (bpf policy get)")
    .option("-d, --time-diff", "seconds left of each entry (bpf ct list)")
    .option("--all", "every endpoint (bpf policy get)")
    .option("--verbose", "entries too (map list)")
    .option("--frontends", "frontends (bpf lb list)")
    .option("--backends", "backends (bpf lb list)")
    .option("--revnat", "reverse NAT entries (bpf lb list)")
    .option("--source-ranges", "source ranges (bpf lb list)")
    .addOption(new Option("--profile <release>", "release that is imitated").choices(["1.19", "1.11"]))
    .option("--no-traffic", "do not send the scenario's traffic first")
    .addHelpText(
      "after",
      `\nCommands:\n${list}\n\nExample:\n  podpath cilium node-2.whale.com bpf ct list global\n`,
    )
    .action((nodeName: string, words: string[], flags: Flags) => {
      const command = commandOf(words.join(" "));
      const args = words.slice(command.words.split(" ").length);
      const takes = command.argument === undefined ? 0 : 1;
      if (args.length > takes)
        throw new PodpathError("USAGE", `${command.words} does not take ${args.slice(takes).join(" ")}`);
      const lab = openLab(flags.scenario, flags, flags.profile);
      const name = lab.cluster.model.datapath.name;
      if (!isCiliumDatapath(name))
        throw new PodpathError("USAGE", `the scenario's datapath is ${name}, not Cilium's`);
      const plane = lab.cluster as CiliumPlane;
      const node = lab.node(nodeName) as CiliumNode;
      if (flags.traffic) lab.run();
      const context: Context = { lab, plane, node, flags, args };
      process.stdout.write(flags.output === "json" ? jsonText(command.json(context)) : command.text(context));
    });
}
