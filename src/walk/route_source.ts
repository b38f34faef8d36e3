// Where a route of a machine comes from in the scenario: the operator's command that wrote it, the addresses and gateways
// of machines, the pod subnets of nodes, the pods' own addresses, the pools that they are taken from.

import type { SourcePosition } from "../base/errors.js";
import type { K8sObject } from "../cluster/model.js";
import type { Lab } from "../lab.js";
import { tryParseIpv4 } from "../net/address.js";

/**
 * Position of what made a route. `where` is the machine that has it, `route` the route as `ip route` prints it. Undefined
 * where no document says it: a router of the lab's own, a route that a control plane makes for itself.
 */
export function routeSource(lab: Lab, where: string, route: string): SourcePosition | undefined {
  const words = route.split(" ").filter((w) => !TYPES.has(w));
  const prefix = words[0] ?? "";
  return (
    byCommand(lab, where, prefix, words.slice(1)) ??
    (prefix === "default" ? byGateway(lab, where) : byPrefix(lab, where, prefix))
  );
}

/** Types that stand before the prefix. */
const TYPES = new Set(["local", "blackhole", "unreachable", "prohibit"]);

/** The last command that was run on that machine and wrote this route: steps of the traffic come after the setup. */
function byCommand(
  lab: Lab,
  where: string,
  prefix: string,
  rest: readonly string[],
): SourcePosition | undefined {
  const writes = (command: string): boolean =>
    command.split(/;|&&|\n/).some((one) => writesRoute(one.trim().split(/\s+/), prefix, rest));
  const { node, host } = machineOf(lab, where);
  const on = `${node === undefined ? "host" : "node"}/${where}`;
  const done = lab.traffic.executed.filter((e) => e.rc === 0);
  const step = lab.scenario.traffic.findLast(
    (s) =>
      s.kind === "exec" &&
      s.spec.on === on &&
      writes(s.spec.command) &&
      done.some((e) => e.on === on && e.command === s.spec.command),
  );
  if (step !== undefined) return step.pos?.(["command"]);
  const posOf = node === undefined ? host?.posOf : node.wiringPosOf;
  const at = (node ?? host)?.setup?.findLastIndex(writes) ?? -1;
  return at < 0 ? undefined : posOf?.(["spec", "setup", at]);
}

/** True for an `ip route add|replace ...` of this prefix through the same gateway or device. */
function writesRoute(words: readonly string[], prefix: string, rest: readonly string[]): boolean {
  const verb = words.findIndex((w) => /^(add|replace|change|append|prepend)$/.test(w));
  if (words[0] !== "ip" || verb < 1 || !words.slice(1, verb).some((w) => /^ro?u?t?e?$/.test(w))) return false;
  const written = words.slice(verb + 1).find((w) => !TYPES.has(w));
  if (written !== prefix && written !== `${prefix}/32`) return false;
  const key = rest.includes("via") ? "via" : "dev";
  const wanted = rest[rest.indexOf(key) + 1];
  return !words.includes(key) || words[words.indexOf(key) + 1] === wanted;
}

function byGateway(lab: Lab, where: string): SourcePosition | undefined {
  const { node, host } = machineOf(lab, where);
  if (node?.gateway !== undefined) return node.wiringPosOf?.(["spec", "gateway"]);
  if (host?.gateway !== undefined) return host.posOf?.(["spec", "gateway"]);
  // A node without one of its own has its network's.
  const name = (node ?? host)?.nics[0]?.network;
  const network = lab.cluster.model.networks.find((n) => n.name === name);
  return network?.gateway === undefined ? undefined : network.posOf?.(["spec", "gateway"]);
}

function byPrefix(lab: Lab, where: string, prefix: string): SourcePosition | undefined {
  const { model } = lab.cluster;
  const { node, host } = machineOf(lab, where);
  const routed = host?.routes.findIndex((r) => r.to === prefix) ?? -1;
  if (routed >= 0) return host!.posOf?.(["spec", "routes", routed, "to"]);
  const pod = model.pods.find((p) => !p.hostNetwork && p.ip4 === prefix);
  if (pod !== undefined) return pod.pos;
  for (const n of model.nodes) {
    const at = n.podCidrs.indexOf(prefix);
    if (at < 0) continue;
    // `podCIDR` alone, or the list that has it too: a path that is not there ends at `spec`.
    return n.posOf?.(n.podCidrs.length > 1 ? ["spec", "podCIDRs", at] : ["spec", "podCIDR"]);
  }
  const block = model.objects.find((o) => BLOCKS.has(o.kind) && specOf(o).cidr === prefix);
  if (block !== undefined) return block.pos(["spec", "cidr"]);
  const network = model.networks.find(
    (n) => n.cidr === prefix && (node ?? host)?.nics.some((c) => c.network === n.name),
  );
  if (network !== undefined) return network.posOf?.(["spec", "cidr"]);
  const pool = model.objects.find((o) => o.kind === "IPPool" && holds(String(specOf(o).cidr), prefix));
  return pool?.pos(["spec", "cidr"]);
}

/** Calico's kinds that fix a block of a node. */
const BLOCKS = new Set(["IPAMBlock", "BlockAffinity"]);

function specOf(o: K8sObject): { readonly cidr?: unknown } {
  return (o.raw.spec as { readonly cidr?: unknown } | undefined) ?? {};
}

function machineOf(lab: Lab, where: string) {
  const { nodes, hosts } = lab.cluster.model;
  return { node: nodes.find((n) => n.name === where), host: hosts.find((h) => h.name === where) };
}

/** True if the second prefix lies in the first. */
function holds(outer: string, inner: string): boolean {
  const [a = "", bits = "32"] = outer.split("/");
  const [b = "", longer = "32"] = inner.split("/");
  const [x, y] = [tryParseIpv4(a), tryParseIpv4(b)];
  if (x === undefined || y === undefined || Number(longer) < Number(bits)) return false;
  const number = (text: string): number => text.split(".").reduce((n, p) => n * 256 + Number(p), 0);
  const size = 2 ** (32 - Number(bits));
  return Math.floor(number(a) / size) === Math.floor(number(b) / size);
}
