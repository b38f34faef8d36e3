// CiliumEgressGatewayPolicy objects to the entries of cilium_egress_gw_policy_v4 (pkg/egressgateway, manager). Every node
// has an entry for each chosen pod and destination; only the gateway itself knows the address that packets leave with.
//
//   gateway    the first node, by name, that a policy's nodeSelector picks; none: 0.0.0.0, and the datapath drops
//   egress IP  on the gateway: the one named, else the first of the device named or of the node's first device;
//              elsewhere 0.0.0.0
//
// Differs from the agent: node selectors and pods are taken as they are at the start; only IPv4.

import { PodpathError } from "../../base/errors.js";
import { LabelSet, SOURCE_K8S } from "./policy/labels.js";
import { Selector } from "./policy/selector.js";

type Fields = Readonly<Record<string, unknown>>;

/** Gateway of an entry that excludes its destination. */
const EXCLUDED = "0.0.0.1";
const NONE = "0.0.0.0";

interface Gateway {
  readonly nodes: Selector;
  readonly device: string | undefined;
  readonly egressIp: string | undefined;
}

/** A policy as read. */
export interface EgressGatewayPolicy {
  readonly name: string;
  /** A pod is chosen by any of them. */
  readonly pods: readonly Selector[];
  readonly destinations: readonly string[];
  readonly excluded: readonly string[];
  readonly gateway: Gateway;
}

/** A pod of the cluster, with its identity's labels. */
export interface EgressPod {
  readonly ip: string;
  readonly labels: LabelSet;
}

/** A node that may be a gateway. */
export interface EgressNode {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ip: string | undefined;
  readonly addresses: readonly { readonly device: string; readonly ips: readonly string[] }[];
}

/** One entry of the map. */
export interface EgressGatewayEntry {
  readonly source: string;
  readonly destination: string;
  readonly bits: number;
  readonly egressIp: string;
  readonly gateway: string;
}

/** Reads an object. Throws SCENARIO_INVALID for one that the agent would refuse. */
export function egressGatewayPolicyOf(raw: Readonly<Record<string, unknown>>): EgressGatewayPolicy {
  const name = String((raw.metadata as Fields | undefined)?.name ?? "");
  const bad = (what: string): PodpathError =>
    new PodpathError("SCENARIO_INVALID", `CiliumEgressGatewayPolicy ${name}: ${what}`);
  const spec = (raw.spec ?? {}) as Fields;
  const list = (v: unknown): Fields[] => (Array.isArray(v) ? (v as Fields[]) : []);
  const cidrs = (v: unknown): string[] => (Array.isArray(v) ? v.map(String) : []);
  const gateway = spec.egressGateway as Fields | undefined;
  if (gateway?.nodeSelector === undefined) throw bad("egressGateway needs a nodeSelector");
  if (gateway.interface !== undefined && gateway.egressIP !== undefined)
    throw bad("egressGateway cannot have both interface and egressIP");
  if (cidrs(spec.destinationCIDRs).length === 0) throw bad("destinationCIDRs is empty");
  const pods = list(spec.selectors).map((s) => podSelector(s, bad));
  return {
    name,
    pods,
    destinations: cidrs(spec.destinationCIDRs).filter((c) => !c.includes(":")),
    excluded: cidrs(spec.excludedCIDRs).filter((c) => !c.includes(":")),
    gateway: {
      nodes: Selector.parse(gateway.nodeSelector as Fields, SOURCE_K8S),
      device: gateway.interface === undefined ? undefined : String(gateway.interface),
      egressIp: gateway.egressIP === undefined ? undefined : String(gateway.egressIP),
    },
  };
}

/** podSelector and namespaceSelector as one selector over a pod's identity labels. */
function podSelector(s: Fields, bad: (what: string) => PodpathError): Selector {
  const pod = s.podSelector as Fields | undefined;
  const namespace = s.namespaceSelector as Fields | undefined;
  if (pod === undefined && namespace === undefined)
    throw bad("a selector needs podSelector or namespaceSelector");
  const prefix = "io.cilium.k8s.namespace.labels.";
  const labels: Record<string, string> = { ...(pod?.matchLabels as Record<string, string> | undefined) };
  for (const [k, v] of Object.entries((namespace?.matchLabels as Record<string, string> | undefined) ?? {}))
    labels[prefix + k] = v;
  const expressions = [
    ...((pod?.matchExpressions as Fields[] | undefined) ?? []),
    ...((namespace?.matchExpressions as Fields[] | undefined) ?? []).map((e) => ({
      ...e,
      key: prefix + String(e.key),
    })),
  ];
  return Selector.parse({ matchLabels: labels, matchExpressions: expressions }, SOURCE_K8S);
}

/** What the agent of `node` writes, excluded destinations last: they are longer prefixes or meant to win. */
export function egressGatewayEntries(
  policies: readonly EgressGatewayPolicy[],
  pods: readonly EgressPod[],
  nodes: readonly EgressNode[],
  node: string,
): EgressGatewayEntry[] {
  const out: EgressGatewayEntry[] = [];
  for (const p of policies) {
    const gateway = [...nodes]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .find((n) => p.gateway.nodes.matches(nodeLabels(n)) && n.ip !== undefined);
    const via = gateway?.ip ?? NONE;
    const egressIp = gateway !== undefined && gateway.name === node ? egressIpOf(gateway, p.gateway) : NONE;
    for (const pod of pods) {
      if (!p.pods.some((s) => s.matches(pod.labels))) continue;
      for (const c of p.destinations) out.push(entry(pod.ip, c, egressIp, via));
      for (const c of p.excluded) out.push(entry(pod.ip, c, egressIp, EXCLUDED));
    }
  }
  return out;
}

function entry(source: string, cidr: string, egressIp: string, gateway: string): EgressGatewayEntry {
  const [destination, bits] = cidr.split("/");
  return {
    source,
    destination: destination!,
    bits: bits === undefined ? 32 : Number(bits),
    egressIp,
    gateway,
  };
}

function nodeLabels(n: EgressNode): LabelSet {
  return LabelSet.parse(Object.entries(n.labels).map(([k, v]) => `k8s:${k}=${v}`));
}

function egressIpOf(node: EgressNode, g: Gateway): string {
  if (g.egressIp !== undefined)
    return node.addresses.some((d) => d.ips.includes(g.egressIp!)) ? g.egressIp : NONE;
  const device =
    g.device === undefined ? node.addresses[0] : node.addresses.find((d) => d.device === g.device);
  return device?.ips[0] ?? NONE;
}
