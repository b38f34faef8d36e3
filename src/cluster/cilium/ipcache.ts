// The ipcache (pkg/ipcache): which identity an address has. Everything that somebody says about a prefix (policies, CIDR
// groups, DNS, nodes) is collected first and then resolved to labels and identities, shorter prefixes first.

import {
  ID_HEALTH,
  ID_HOST,
  ID_INGRESS,
  ID_KUBE_APISERVER,
  ID_REMOTE_NODE,
  ID_WORLD,
  ID_WORLD_IPV4,
  ID_WORLD_IPV6,
  type IdentityAllocator,
} from "./identity.js";
import { isDualStack, type PolicyConfig } from "./policy/config.js";
import { fqdnMatches } from "./policy/fqdn.js";
import {
  KEY_CLUSTER,
  type Label,
  LabelSet,
  SOURCE_CIDR,
  SOURCE_CIDR_GROUP,
  SOURCE_FQDN,
  SOURCE_K8S,
  SOURCE_NODE,
  SOURCE_RESERVED,
} from "./policy/labels.js";
import { CIDR_GROUP_NAME } from "./policy/parse_cilium.js";
import {
  cidrLabelKey,
  comparePrefixes,
  containsPrefix,
  formatPrefix,
  isIpv6,
  masked,
  type Prefix,
  parsePrefixOrAddr,
} from "./policy/prefix.js";
import type { Rule } from "./policy/rules.js";

/** An address that belongs to a node, or to an API server outside. */
export interface NodeAddress {
  readonly ip: string;
  readonly kind: "host" | "remote-node" | "health" | "ingress" | "external";
  readonly kubeAPIServer?: boolean | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** A CiliumCIDRGroup. */
export interface CidrGroup {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly cidrs: readonly string[];
}

export interface IpcacheInput {
  readonly config: PolicyConfig;
  readonly rules: readonly Rule[];
  readonly nodes: readonly NodeAddress[];
  readonly cidrGroups: readonly CidrGroup[];
  /** Addresses that DNS gave for a name. */
  readonly dns: Readonly<Record<string, readonly string[]>>;
}

/** Identity of a prefix. */
export interface PrefixIdentity {
  readonly prefix: string;
  readonly identity: number;
}

interface Metadata {
  readonly prefix: Prefix;
  readonly labels: Map<string, Label>;
  node: NodeAddress | undefined;
}

/** Reads a CiliumCIDRGroup object. */
export function cidrGroupOf(object: Readonly<Record<string, unknown>>): CidrGroup {
  const meta = (object.metadata ?? {}) as { name?: string; labels?: Record<string, string> };
  const spec = (object.spec ?? {}) as { externalCIDRs?: string[] };
  return { name: meta.name ?? "", labels: meta.labels ?? {}, cidrs: spec.externalCIDRs ?? [] };
}

/**
 * Resolves every prefix to an identity; new ones are taken from `allocator`, and the labels of the host identity are
 * brought up to date. The result is in the order of resolution.
 */
export function resolveIpcache(input: IpcacheInput, allocator: IdentityAllocator): PrefixIdentity[] {
  const known = collect(input);
  const prefixes = [...known.values()].sort((a, b) => comparePrefixes(a.prefix, b.prefix));
  const host = new Map<string, Label>();
  const out: PrefixIdentity[] = [];
  for (const m of prefixes) {
    const identity = resolve(m, prefixes, input.config, allocator, host);
    out.push({ prefix: formatPrefix(m.prefix), identity });
  }
  if (host.size > 0) allocator.relabel(ID_HOST, new LabelSet(host.values()));
  return out;
}

/** Identity of what no prefix of the ipcache contains. */
export function worldIdentity(config: PolicyConfig, ipv6: boolean): number {
  if (!isDualStack(config)) return ID_WORLD;
  return ipv6 ? ID_WORLD_IPV6 : ID_WORLD_IPV4;
}

function collect(input: IpcacheInput): Map<string, Metadata> {
  const known = new Map<string, Metadata>();
  const at = (p: Prefix): Metadata => {
    const prefix = masked(p);
    const id = formatPrefix(prefix);
    let m = known.get(id);
    if (m === undefined) {
      m = { prefix, labels: new Map(), node: undefined };
      known.set(id, m);
    }
    return m;
  };
  for (const r of input.rules)
    for (const p of r.prefixes) add(at(p), SOURCE_CIDR, cidrLabelKey(masked(p)), "");
  for (const g of input.cidrGroups) {
    for (const text of g.cidrs) {
      const m = at(parsePrefixOrAddr(text));
      if (m.prefix.bits === 0) continue;
      add(m, SOURCE_CIDR_GROUP, CIDR_GROUP_NAME + g.name, "");
      for (const [k, v] of Object.entries(g.labels)) {
        add(m, SOURCE_CIDR_GROUP, k, v);
        add(m, SOURCE_CIDR_GROUP, `${k}+${v}`, "");
      }
    }
  }
  const fqdns = new Map(input.rules.flatMap((r) => r.fqdns.map((f) => [f.text, f])));
  for (const [name, addresses] of Object.entries(input.dns)) {
    for (const f of fqdns.values()) {
      if (!fqdnMatches(f, name)) continue;
      for (const a of addresses) add(at(parsePrefixOrAddr(a)), SOURCE_FQDN, f.text, "");
    }
  }
  for (const n of input.nodes) {
    if (n.kind === "external" && n.kubeAPIServer !== true) continue;
    at(parsePrefixOrAddr(n.ip)).node = n;
  }
  for (const [id, m] of known) if (m.prefix.bits === 0) known.delete(id);
  return known;
}

/** Labels are unique by key, whatever their source. */
function add(m: Metadata, source: string, key: string, value: string): void {
  m.labels.set(key, { source, key, value });
}

function resolve(
  m: Metadata,
  all: readonly Metadata[],
  config: PolicyConfig,
  allocator: IdentityAllocator,
  host: Map<string, Label>,
): number {
  const node = m.node;
  const put = (to: Map<string, Label>, source: string, key: string, value = ""): void => {
    to.set(key, { source, key, value });
  };
  const cidrMatchesNodes = config.policyCIDRMatchMode.includes("nodes");
  switch (node?.kind) {
    case "health":
      return ID_HEALTH;
    case "ingress":
      return ID_INGRESS;
    case "host":
      put(host, SOURCE_RESERVED, "host");
      if (node.kubeAPIServer === true) put(host, SOURCE_RESERVED, "kube-apiserver");
      if (cidrMatchesNodes) put(host, SOURCE_CIDR, cidrLabelKey(m.prefix));
      return ID_HOST;
    case "remote-node": {
      // In-cluster addresses cannot be selected by CIDR unless the agent is told so.
      const labels = cidrMatchesNodes ? inherited(m, all) : new Map<string, Label>();
      put(labels, SOURCE_RESERVED, "remote-node");
      if (node.kubeAPIServer === true) put(labels, SOURCE_RESERVED, "kube-apiserver");
      if (config.enableNodeSelectorLabels) {
        for (const [k, v] of Object.entries(node.labels ?? {})) put(labels, SOURCE_NODE, k, v);
        put(labels, SOURCE_K8S, KEY_CLUSTER, config.clusterName);
      }
      if (cidrMatchesNodes || config.enableNodeSelectorLabels) {
        return allocator.remoteNode(new LabelSet(labels.values()));
      }
      return node.kubeAPIServer === true ? ID_KUBE_APISERVER : ID_REMOTE_NODE;
    }
    default: {
      const labels = inherited(m, all);
      if (node?.kind === "external") put(labels, SOURCE_RESERVED, "kube-apiserver");
      const world = !isDualStack(config) ? "world" : isIpv6(m.prefix) ? "world-ipv6" : "world-ipv4";
      put(labels, SOURCE_RESERVED, world);
      return allocator.local(new LabelSet(labels.values()));
    }
  }
}

/** Own labels and those of the prefixes around: longer ones win per key, and one cidr label is enough. */
function inherited(m: Metadata, all: readonly Metadata[]): Map<string, Label> {
  const out = new Map<string, Label>();
  const around = all
    .filter((o) => containsPrefix(o.prefix, m.prefix))
    .sort((a, b) => b.prefix.bits - a.prefix.bits);
  let cidr = false;
  for (const o of around) {
    for (const l of o.labels.values()) {
      if (out.has(l.key) || (l.source === SOURCE_CIDR && cidr)) continue;
      out.set(l.key, l);
      cidr ||= l.source === SOURCE_CIDR;
    }
  }
  return out;
}
