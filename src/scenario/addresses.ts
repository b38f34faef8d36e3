// Where a scenario's documents hold addresses, and in which form each must be. Everything behind the scenario takes
// addresses as given, so that a field which some part of podpath reads as an address belongs into this table.

import { tryParseCidr, tryParseIp } from "../net/address.js";

type Path = readonly (string | number)[];

/** A field that is not what it must be. */
export interface BadAddress {
  readonly path: Path;
  readonly message: string;
}

interface Form {
  readonly ok: (text: string) => boolean;
  /** What is wrong, behind the text. */
  readonly message: string;
}

const family = (text: string): 4 | 6 | undefined => tryParseIp(text)?.family;
const isCidr = (text: string): boolean => text.includes("/") && tryParseCidr(text) !== undefined;
const isNet = (text: string): boolean => tryParseCidr(text) !== undefined;

const FORMS = {
  ip: { ok: (t) => family(t) !== undefined, message: "is not an IP address" },
  ip4: { ok: (t) => family(t) === 4, message: "is not an IPv4 address" },
  ip6: { ok: (t) => family(t) === 6, message: "is not an IPv6 address" },
  cidr: { ok: isCidr, message: "is not a subnet like 10.0.0.0/24" },
  /** A subnet, or one address. */
  net: { ok: isNet, message: "is not an IP address or a subnet like 10.0.0.0/24" },
  /** An address of an interface, with or without the length of its subnet. */
  interface: { ok: isNet, message: "is not an IP address, with or without a prefix length" },
  destination: {
    ok: (t) => t === "default" || isNet(t),
    message: "is not default, an IP address or a subnet like 10.0.0.0/24",
  },
  clusterIp: {
    ok: (t) => t === "" || t === "None" || family(t) !== undefined,
    message: "is not an IP address or None",
  },
  /** With a port behind it, where there is one. */
  peer: {
    ok: (t) => family(t.replace(/^\[(.*)\](:\d+)?$/, "$1").replace(/^([\d.]+):\d+$/, "$1")) !== undefined,
    message: "is not an IP address, with or without a port",
  },
  range: { ok: (t) => isCidr(t.trim()), message: "is not a subnet like 10.0.0.0/24" },
} as const satisfies Record<string, Form>;

type FormName = keyof typeof FORMS;

/** Fields by path: steps with dots between them, `*` for each item of a list or field of a map. */
type Fields = readonly (readonly [path: string | readonly string[], form: FormName])[];

const annotation = (key: string): readonly string[] => ["metadata", "annotations", key];

const CILIUM_RULES: Fields = ["spec", "specs.*"].flatMap((rule) =>
  (
    [
      ["ingress", "from"],
      ["ingressDeny", "from"],
      ["egress", "to"],
      ["egressDeny", "to"],
    ] as const
  ).flatMap(([list, end]): Fields => {
    const at = `${rule}.${list}.*.${end}`;
    return [
      [`${at}CIDR.*`, "net"],
      [`${at}CIDRSet.*.cidr`, "net"],
      [`${at}CIDRSet.*.except.*`, "net"],
    ];
  }),
);

const CALICO_RULES: Fields = ["ingress", "egress"].flatMap((list) =>
  ["source", "destination"].flatMap((end): Fields => {
    const at = `spec.${list}.*.${end}`;
    return [
      [`${at}.nets.*`, "net"],
      [`${at}.notNets.*`, "net"],
    ];
  }),
);

const KUBERNETES_RULES: Fields = ["ingress.*.from", "egress.*.to"].flatMap(
  (peers): Fields => [
    [`spec.${peers}.*.ipBlock.cidr`, "cidr"],
    [`spec.${peers}.*.ipBlock.except.*`, "cidr"],
  ],
);

/** Fields of each kind. */
const ADDRESSES: Readonly<Record<string, Fields>> = {
  Node: [
    ["spec.podCIDR", "cidr"],
    ["spec.podCIDRs.*", "cidr"],
    ["status.addresses.*.address", "ip"],
    [annotation("projectcalico.org/IPv4Address"), "interface"],
    [annotation("projectcalico.org/IPv4IPIPTunnelAddr"), "ip4"],
    [annotation("projectcalico.org/IPv4VXLANTunnelAddr"), "ip4"],
    [annotation("projectcalico.org/RouteReflectorClusterID"), "ip4"],
  ],
  Pod: [
    ["spec.containers.*.ports.*.hostIP", "ip"],
    ["status.podIP", "ip"],
    ["status.podIPs.*.ip", "ip"],
  ],
  Service: [
    ["spec.clusterIP", "clusterIp"],
    ["spec.clusterIPs.*", "clusterIp"],
    ["spec.externalIPs.*", "ip"],
    ["spec.loadBalancerIP", "clusterIp"],
    ["spec.loadBalancerSourceRanges.*", "range"],
    ["status.loadBalancer.ingress.*.ip", "ip"],
  ],
  Endpoints: [
    ["subsets.*.addresses.*.ip", "ip"],
    ["subsets.*.notReadyAddresses.*.ip", "ip"],
  ],
  EndpointSlice: [["endpoints.*.addresses.*", "ip"]],
  NetworkPolicy: [...KUBERNETES_RULES, ...CALICO_RULES],
  GlobalNetworkPolicy: CALICO_RULES,
  GlobalNetworkSet: [["spec.nets.*", "net"]],
  NetworkSet: [["spec.nets.*", "net"]],
  CiliumNetworkPolicy: CILIUM_RULES,
  CiliumClusterwideNetworkPolicy: CILIUM_RULES,
  CiliumCIDRGroup: [["spec.externalCIDRs.*", "cidr"]],
  CiliumEgressGatewayPolicy: [
    ["spec.destinationCIDRs.*", "cidr"],
    ["spec.excludedCIDRs.*", "cidr"],
    ["spec.egressGateway.egressIP", "ip"],
  ],
  IPPool: [["spec.cidr", "cidr"]],
  Installation: [["spec.calicoNetwork.ipPools.*.cidr", "cidr"]],
  IPAMBlock: [["spec.cidr", "cidr"]],
  BlockAffinity: [["spec.cidr", "cidr"]],
  BGPPeer: [["spec.peerIP", "peer"]],
  HostEndpoint: [["spec.expectedIPs.*", "ip"]],
  FelixConfiguration: [
    ["spec.failsafeInboundHostPorts.*.net", "net"],
    ["spec.failsafeOutboundHostPorts.*.net", "net"],
  ],
  Network: [
    ["spec.cidr", "cidr"],
    ["spec.gateway", "ip"],
  ],
  NodeWiring: [
    ["spec.nics.*.addresses.*", "interface"],
    ["spec.gateway", "ip"],
    ["spec.gatewayIPv6", "ip6"],
    ["spec.routerIP", "ip4"],
    ["spec.routerIPv6", "ip6"],
  ],
  Host: [
    ["spec.nics.*.addresses.*", "interface"],
    ["spec.addresses.*", "interface"],
    ["spec.gateway", "ip"],
    ["spec.gatewayIPv6", "ip6"],
    ["spec.routes.*.to", "destination"],
    ["spec.routes.*.via", "ip"],
  ],
  Topology: [
    ["spec.netns.*.addresses.*.addr", "interface"],
    ["spec.netns.*.routes.*.dst", "destination"],
    ["spec.netns.*.routes.*.via", "ip"],
    ["spec.netns.*.routes.*.src", "ip"],
    ["spec.netns.*.neigh.*.ip", "ip"],
    ["spec.netns.*.proxy_neigh.*.ip", "ip"],
    ["spec.netns.*.fdb.*.dst", "ip4"],
    ["spec.links.*.local", "ip4"],
    ["spec.links.*.remote", "ip4"],
  ],
};

/** Every field of an object that should be an address and is another text. Fields of other types are the schema's. */
export function badAddresses(value: unknown): BadAddress[] {
  const out: BadAddress[] = [];
  const kind = (value as { kind?: unknown } | null)?.kind;
  if (typeof kind !== "string" || !Object.hasOwn(ADDRESSES, kind)) return out;
  for (const [pattern, name] of ADDRESSES[kind]!) {
    const steps = typeof pattern === "string" ? pattern.split(".") : pattern;
    const form: Form = FORMS[name];
    visit(value, steps, [], (text, path, parent) => {
      if (!form.ok(text) && !isName(value, parent)) out.push({ path, message: `${text} ${form.message}` });
    });
  }
  return out;
}

/** Fields that hold names as well: a Node's addresses of other types, slices of names. */
function isName(object: unknown, parent: unknown): boolean {
  const { kind, addressType } = object as { kind: string; addressType?: unknown };
  const { type } = parent as { type?: unknown };
  return (
    (kind === "Node" && type !== undefined && type !== "InternalIP") ||
    (kind === "EndpointSlice" && addressType === "FQDN")
  );
}

function visit(
  value: unknown,
  steps: readonly string[],
  path: Path,
  see: (text: string, path: Path, parent: unknown) => void,
  parent?: unknown,
): void {
  const [step, ...rest] = steps;
  if (step === undefined) {
    if (typeof value === "string") see(value, path, parent);
  } else if (typeof value === "object" && value !== null) {
    if (step !== "*") {
      visit((value as Record<string, unknown>)[step], rest, [...path, step], see, value);
    } else if (Array.isArray(value)) {
      value.forEach((item, i) => {
        visit(item, rest, [...path, i], see, value);
      });
    } else {
      for (const [k, item] of Object.entries(value)) visit(item, rest, [...path, k], see, value);
    }
  }
}
