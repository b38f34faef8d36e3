// Which pods no part of a cluster can tell apart. One flow between two of such classes answers for all their pods.

import { isCiliumDatapath } from "../cluster/cilium/agent_config.js";
import { podIdentityLabels } from "../cluster/cilium/identity.js";
import type { ClusterModel, PodModel } from "../cluster/model.js";
import { type Cidr, cidrContains, tryParseCidr, tryParseIp } from "../net/address.js";
import type { Scenario } from "../scenario/load.js";

/** IPv4 and IPv6 addresses and subnets in a text; what is none of them is sorted out by the parser. */
const ADDRESS_TEXT =
  /(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7})(?:\/\d{1,3})?(?![\w.:])/gi;

/**
 * What tells pods apart, as a text: the node, what policies select by, and on which side of every address and subnet of
 * the scenario the pod's addresses are. A pod that a hand-written rule or command names is alone. Pods in their node's
 * network are the node, to everything but services.
 */
export function classKeys(scenario: Scenario): (p: PodModel) => string {
  const model: ClusterModel = scenario.cluster;
  const byHand = [
    ...model.nodes.flatMap((n) => [n.iptables ?? "", ...(n.setup ?? [])]),
    ...model.hosts.flatMap((h) => h.setup ?? []),
    ...scenario.traffic.flatMap((s) => (s.kind === "exec" ? [s.spec.command] : [])),
  ].join("\n");
  const policies = model.objects.filter((o) => /Policy$/.test(o.kind));
  const toServices = policies.some((o) => JSON.stringify(o.raw).includes('"toServices"'));
  // Backends are met as pods, by a policy's labels; their lists of addresses matter only to rules made of them.
  const skip = (kind: string): boolean =>
    kind === "WorkloadEndpoint" || (!toServices && (kind === "Endpoints" || kind === "EndpointSlice"));
  const texts = [
    byHand,
    JSON.stringify(model.datapath),
    JSON.stringify(model.nodes.map((n) => [n.podCidrs, n.annotations, n.routerIp4])),
    JSON.stringify(model.networks),
    JSON.stringify(model.hosts.map((h) => h.routes)),
    ...model.objects.filter((o) => !skip(o.kind)).map((o) => JSON.stringify(o.raw)),
  ];
  const prefixes = new Map<string, Cidr>();
  for (const text of texts) {
    for (const [whole] of text.matchAll(ADDRESS_TEXT)) {
      const full = whole.includes("/") ? whole : `${whole}/${whole.includes(":") ? 128 : 32}`;
      const cidr = tryParseCidr(full);
      if (cidr !== undefined) prefixes.set(full, cidr);
    }
  }
  const list = [...prefixes.values()];
  const sides = (address: string | undefined): string | null => {
    const ip = address === undefined ? undefined : tryParseIp(address);
    return ip === undefined ? null : list.map((p) => (cidrContains(p, ip) ? "1" : "0")).join("");
  };
  const cilium = isCiliumDatapath(model.datapath.name);
  // Anything by name, device or MAC address; devices of pods have names that only the control plane knows.
  const devices = /\b(lxc|cali|veth)/.test(byHand);
  const visible = visibleLabels(texts, cilium);
  return (p) => {
    if (p.hostNetwork) return `node ${p.nodeName}`;
    const named = [p.name, p.hostInterface, p.mac, p.hostMac].some(
      (x) => x !== undefined && byHand.includes(x),
    );
    const namespaceLabels = model.namespaces.find((n) => n.name === p.namespace)?.labels ?? {};
    const seen = visible(p.labels);
    const labels = cilium
      ? podIdentityLabels(
          { namespace: p.namespace, labels: seen, namespaceLabels, serviceAccount: p.serviceAccount },
          "",
        ).texts
      : [Object.entries(seen).sort(), Object.entries(p.annotations).sort(), p.serviceAccount];
    return JSON.stringify([
      p.nodeName,
      p.namespace,
      labels,
      p.identity ?? null,
      p.ports.filter((x) => x.name !== undefined || x.hostPort !== undefined),
      p.mtu ?? null,
      sides(p.ip4),
      sides(p.ip6),
      named || (devices && byHand !== "") ? p.name : "",
    ]);
  };
}

/**
 * What selectors can see of a pod's labels: those whose key stands anywhere in the scenario's objects and options, and the
 * value only where it stands there too, for selectors compare keys and values as wholes. Calico's can look into values.
 */
function visibleLabels(
  texts: readonly string[],
  wholeValues: boolean,
): (labels: Readonly<Record<string, string>>) => Record<string, string> {
  const all = texts.join("\n");
  const known = new Map<string, boolean>();
  const stands = (word: string): boolean => {
    let r = known.get(word);
    if (r === undefined) {
      r = all.includes(word);
      known.set(word, r);
    }
    return r;
  };
  return (labels) => {
    const out: Record<string, string> = {};
    for (const [key, value] of Object.entries(labels))
      if (stands(key)) out[key] = !wholeValues || stands(value) ? value : "*";
    return out;
  };
}
