// Which pods no part of a cluster can tell apart. One flow between two of such classes answers for all their pods.

import { isCiliumDatapath } from "../cluster/cilium/agent_config.js";
import { MIN_CLUSTER_IDENTITY, podIdentityLabels } from "../cluster/cilium/identity.js";
import type { ClusterModel, K8sObject, PodModel } from "../cluster/model.js";
import { type Cidr, cidrContains, tryParseCidr, tryParseIp } from "../net/address.js";
import type { Scenario } from "../scenario/load.js";

/** IPv4 and IPv6 addresses and subnets in a text; what is none of them is sorted out by the parser. */
const ADDRESS_TEXT =
  /(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7})(?:\/\d{1,3})?(?![\w.:])/gi;

/** Kinds that do nothing but make policy. */
const POLICY_KINDS = new Set([
  "NetworkPolicy",
  "CiliumNetworkPolicy",
  "CiliumClusterwideNetworkPolicy",
  "CiliumCIDRGroup",
  "GlobalNetworkPolicy",
  "NetworkSet",
  "GlobalNetworkSet",
  "Tier",
]);
/** Kinds that list backends by address, or pods that the scenario knows anyway. */
const LISTS_PODS = new Set(["Endpoints", "EndpointSlice", "WorkloadEndpoint"]);
/** Kinds that choose no pods by their labels but as backends. */
const CHOOSES_NO_PODS = new Set([
  ...LISTS_PODS,
  "Service",
  "CiliumNode",
  "ConfigMap",
  "IPPool",
  "IPAMBlock",
  "BlockAffinity",
  "Installation",
  "FelixConfiguration",
  "BGPConfiguration",
  "BGPPeer",
]);

/**
 * What tells pods apart, as a text: the node, what policies select by, and on which side of every address and subnet of
 * the scenario the pod's addresses are. A pod that a hand-written rule or command names is alone. Pods in their node's
 * network are the node, to everything but services.
 */
export function classKeys(scenario: Scenario): (p: PodModel) => string {
  const model: ClusterModel = scenario.cluster;
  const policies = model.objects.filter((o) => /Policy$/.test(o.kind));
  const toServices = policies.some((o) => JSON.stringify(o.raw).includes('"toServices"'));
  // Backends are met as pods, by a policy's labels; their lists of addresses matter only to rules made of them.
  const objects = model.objects.filter(
    (o) => !LISTS_PODS.has(o.kind) || (toServices && o.kind !== "WorkloadEndpoint"),
  );
  const texts = textsOf(scenario, objects);
  const place = placeOf(scenario, texts);
  const chosen = labelsOf(model, texts);
  return (p) => {
    if (p.hostNetwork) return `node ${p.nodeName}`;
    return JSON.stringify([
      place(p),
      chosen(p),
      p.identity ?? null,
      p.ports.filter((x) => x.name !== undefined || x.hostPort !== undefined),
    ]);
  };
}

/**
 * What tells pods apart to whom the policies' own verdict on a pair is known (matrix_policy.ts), as a text: all of the
 * above that is no policy's.
 */
export function pathKeys(scenario: Scenario): (p: PodModel) => string {
  const model: ClusterModel = scenario.cluster;
  const objects = model.objects.filter((o) => !POLICY_KINDS.has(o.kind));
  const place = placeOf(
    scenario,
    textsOf(
      scenario,
      objects.filter((o) => !LISTS_PODS.has(o.kind)),
    ),
  );
  const choosers = objects.filter((o) => !CHOOSES_NO_PODS.has(o.kind));
  const chosen =
    choosers.length === 0
      ? () => null
      : labelsOf(
          model,
          choosers.map((o) => JSON.stringify(o.raw)),
        );
  return (p) => {
    if (p.hostNetwork) return `node ${p.nodeName}`;
    // Identities that mean a role (host, init ...) are more to the programs than a name of labels.
    const reserved = p.identity !== undefined && p.identity < MIN_CLUSTER_IDENTITY;
    return JSON.stringify([
      place(p),
      chosen(p),
      reserved ? p.identity : null,
      p.ports.filter((x) => x.hostPort !== undefined),
    ]);
  };
}

/** What people wrote by hand: rules, and commands on nodes, hosts and in the traffic. */
export function handWritten(scenario: Scenario): string {
  const model = scenario.cluster;
  return [
    ...model.nodes.flatMap((n) => [n.iptables ?? "", ...(n.setup ?? [])]),
    ...model.hosts.flatMap((h) => h.setup ?? []),
    ...scenario.traffic.flatMap((s) => (s.kind === "exec" ? [`${s.spec.on} ${s.spec.command}`] : [])),
  ].join("\n");
}

/** All texts that say something of addresses. */
function textsOf(scenario: Scenario, objects: readonly K8sObject[]): string[] {
  const model = scenario.cluster;
  return [
    handWritten(scenario),
    JSON.stringify(model.datapath),
    JSON.stringify(model.nodes.map((n) => [n.podCidrs, n.annotations, n.routerIp4])),
    JSON.stringify(model.networks),
    JSON.stringify(model.hosts.map((h) => h.routes)),
    ...objects.map((o) => JSON.stringify(o.raw)),
  ];
}

/** Where a pod is: node, MTU, sides of the addresses in `texts`; its name if something is written by hand about it. */
function placeOf(scenario: Scenario, texts: readonly string[]): (p: PodModel) => unknown {
  const byHand = handWritten(scenario);
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
  // Anything by name, device or MAC address; devices of pods have names that only the control plane knows.
  const devices = /\b(lxc|cali|veth)/.test(byHand);
  return (p) => {
    const named = [p.name, p.hostInterface, p.mac, p.hostMac].some(
      (x) => x !== undefined && byHand.includes(x),
    );
    return [
      p.nodeName,
      p.mtu ?? null,
      sides(p.ip4),
      sides(p.ip6),
      named || (devices && byHand !== "") ? p.name : "",
    ];
  };
}

/** Namespace, service account and what selectors in `texts` can see of a pod's labels. */
function labelsOf(model: ClusterModel, texts: readonly string[]): (p: PodModel) => unknown {
  const cilium = isCiliumDatapath(model.datapath.name);
  const visible = visibleLabels(texts, cilium);
  const namespaces = new Map(model.namespaces.map((n) => [n.name, n.labels]));
  return (p) => {
    const namespaceLabels = namespaces.get(p.namespace) ?? {};
    const seen = visible(p.labels);
    const labels = cilium
      ? podIdentityLabels(
          { namespace: p.namespace, labels: seen, namespaceLabels, serviceAccount: p.serviceAccount },
          "",
        ).texts
      : [Object.entries(seen).sort(), Object.entries(p.annotations).sort(), p.serviceAccount];
    return [p.namespace, labels];
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
