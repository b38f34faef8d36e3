// The rules that the agent installs (pkg/datapath/iptables), as iptables-restore text. The same set is installed with
// BPF and with legacy host routing: host routing only means that pod traffic does not meet it. Masquerade rules exist
// only where iptables masquerades.

import type { AgentConfig } from "./agent_config.js";

/** What the rules name of a node. Addresses and prefixes as text. */
export interface IptablesFacts {
  readonly podCidr4: string | undefined;
  readonly routerIp4: string | undefined;
  /** Proxies that listen on this node, for TPROXY rules. */
  readonly proxyPorts: readonly { readonly name: string; readonly port: number }[];
}

/** Device by which pods are reached: decides what the NOTRACK and masquerade rules match. */
function deliveryInterface(a: AgentConfig): string {
  return a.endpointRoutes ? "lxc+" : "cilium_host";
}

/** iptables-restore text of all Cilium chains and their feeders, IPv4. */
export function ciliumIptables(a: AgentConfig, f: IptablesFacts): string {
  const delivery = deliveryInterface(a);
  const tunnel = a.routingMode === "tunnel";
  const raw: string[] = [];
  const mangle: string[] = [];
  const nat: string[] = [];
  const filter: string[] = [];

  // raw
  if (a.installNoConntrackRules && a.nativeRoutingCidr4 !== undefined) {
    for (const chain of ["CILIUM_PRE_raw", "CILIUM_OUTPUT_raw"]) {
      for (const side of ["-d", "-s"]) {
        raw.push(
          `-A ${chain} ${side} ${a.nativeRoutingCidr4}${comment("cilium: NOTRACK for pod traffic")} -j CT --notrack`,
        );
      }
    }
  }
  if (a.encryption !== "none") {
    for (const mark of ENCRYPTION_MARKS) {
      raw.push(
        `-A CILIUM_PRE_raw -m mark --mark ${mark}${comment("cilium-encryption-notrack:")} -j CT --notrack`,
      );
    }
  }
  if (tunnel)
    raw.push(
      `-A CILIUM_PRE_raw ${tunnelMatch(a)}${comment("cilium: NOTRACK for tunnel traffic")} -j CT --notrack`,
    );
  raw.push(
    `-A CILIUM_PRE_raw -m mark --mark 0x200/0xf00${comment("cilium: NOTRACK for proxy traffic")} -j CT --notrack`,
  );
  if (tunnel)
    raw.push(
      `-A CILIUM_OUTPUT_raw ${tunnelMatch(a)}${comment("cilium: NOTRACK for tunnel traffic")} -j CT --notrack`,
    );
  for (const out of delivery === "cilium_host" ? ["cilium_host"] : ["lxc+", "cilium_host"]) {
    raw.push(
      `-A CILIUM_OUTPUT_raw -o ${out} -m mark --mark 0xa00/0xfffffeff${comment("cilium: NOTRACK for proxy return traffic")} -j CT --notrack`,
      `-A CILIUM_OUTPUT_raw -o ${out} -m mark --mark 0x800/0xe00${comment("cilium: NOTRACK for L7 proxy upstream traffic")} -j CT --notrack`,
    );
  }

  if (a.encryption === "ipsec") {
    raw.push(
      `-A CILIUM_OUTPUT_raw -o cilium_host -m mark --mark 0xb00/0xf00${comment("cilium: NOTRACK for proxy forward traffic")} -j CT --notrack`,
    );
  }

  // mangle. `! -o lo` is always true in PREROUTING (no out-device yet); the agent writes it so.
  mangle.push(
    `-A CILIUM_PRE_mangle ! -o lo -m socket --transparent -m mark ! --mark 0xe00/0xf00 -m mark ! --mark 0x800/0xf00${comment("cilium: any->pod redirect proxied traffic to host proxy")} -j MARK --set-xmark 0x200/0xffffffff`,
  );
  for (const p of f.proxyPorts) {
    const mark = `0x${(((((p.port & 0xff) << 8) | (p.port >> 8)) * 0x10000 + 0x200) >>> 0).toString(16)}`;
    for (const proto of ["tcp", "udp"]) {
      mangle.push(
        `-A CILIUM_PRE_mangle -p ${proto} -m mark --mark ${mark}${comment(`cilium: TPROXY to host ${p.name} proxy`)} -j TPROXY --on-port ${p.port} --on-ip 127.0.0.1 --tproxy-mark 0x200/0xffffffff`,
      );
    }
  }

  // nat: only where iptables masquerades
  if (a.masquerade4 && !a.bpfMasquerade && f.podCidr4 !== undefined) {
    const A = f.podCidr4;
    const X = a.nativeRoutingCidr4 ?? A;
    if (!tunnel) {
      nat.push(
        `-A CILIUM_POST_nat -s ${A} -m set --match-set cilium_node_set_v4 dst${comment("exclude traffic to cluster nodes from masquerade")} -j ACCEPT`,
      );
    }
    nat.push(
      `-A CILIUM_POST_nat -s ${A} ! -d ${X} ! -o cilium_+${comment("cilium masquerade non-cluster")} -j MASQUERADE`,
    );
    nat.push(
      `-A CILIUM_POST_nat -m mark --mark 0xa00/0xe00${comment("exclude proxy return traffic from masquerade")} -j ACCEPT`,
    );
    const router = f.routerIp4;
    if (router !== undefined) {
      if (tunnel) {
        nat.push(
          `-A CILIUM_POST_nat ! -s ${A} ! -d ${A} -o cilium_host${comment("cilium host->cluster masquerade")} -j SNAT --to-source ${router}`,
        );
      }
      nat.push(
        `-A CILIUM_POST_nat -s 127.0.0.1/32 -o ${delivery}${comment("cilium host->cluster from 127.0.0.1 masquerade")} -j SNAT --to-source ${router}`,
      );
      if (!a.endpointRoutes) {
        nat.push(
          `-A CILIUM_POST_nat -o ${delivery} -m mark --mark 0xf00/0xf00 -m conntrack --ctstate DNAT${comment("hairpin traffic that originated from a local pod")} -j SNAT --to-source ${router}`,
        );
      }
    }
  }

  // filter
  filter.push(
    `-A CILIUM_INPUT -m mark --mark 0x200/0xf00${comment("cilium: ACCEPT for proxy traffic")} -j ACCEPT`,
  );
  if (tunnel)
    filter.push(
      `-A CILIUM_OUTPUT ${tunnelMatch(a)}${comment("cilium: ACCEPT for tunnel traffic")} -j ACCEPT`,
    );
  filter.push(
    `-A CILIUM_OUTPUT -m mark --mark 0xa00/0xe00${comment("cilium: ACCEPT for proxy traffic")} -j ACCEPT`,
    `-A CILIUM_OUTPUT -m mark --mark 0x800/0xe00${comment("cilium: ACCEPT for l7 proxy upstream traffic")} -j ACCEPT`,
    ...acceptEncrypted(a, "filter", "CILIUM_OUTPUT"),
    // Over IPv6 this is hostMark6().
    `-A CILIUM_OUTPUT -m mark ! --mark 0xd00/0xf00 -m mark ! --mark 0xe00/0xf00 -m mark ! --mark 0x400/0xf00 -m mark ! --mark 0xa00/0xe00 -m mark ! --mark 0x800/0xe00${comment("cilium: host->any mark as from host")} -j MARK --set-xmark 0xc00/0xf00`,
    `-A CILIUM_FORWARD -o cilium_host${comment("cilium: any->cluster on cilium_host forward accept")} -j ACCEPT`,
    `-A CILIUM_FORWARD -i cilium_host${comment("cilium: cluster->any on cilium_host forward accept (nodeport)")} -j ACCEPT`,
    `-A CILIUM_FORWARD -i lxc+${comment("cilium: cluster->any on lxc+ forward accept")} -j ACCEPT`,
    `-A CILIUM_FORWARD -i cilium_net${comment("cilium: cluster->any on cilium_net forward accept (nodeport)")} -j ACCEPT`,
  );
  if (delivery !== "cilium_host") {
    filter.push(
      `-A CILIUM_FORWARD -o lxc+${comment("cilium: any->cluster on lxc+ forward accept")} -j ACCEPT`,
      `-A CILIUM_FORWARD -i lxc+${comment("cilium: cluster->any on lxc+ forward accept (nodeport)")} -j ACCEPT`,
    );
  }

  filter.push(
    ...acceptEncrypted(a, "filter", "CILIUM_INPUT"),
    ...acceptEncrypted(a, "filter", "CILIUM_FORWARD"),
  );
  for (const chain of ["CILIUM_POST_nat", "CILIUM_OUTPUT_nat", "CILIUM_PRE_nat"])
    nat.push(...acceptEncrypted(a, "nat", chain));

  const feeder = (hook: string, chain: string): string =>
    `-A ${hook} -m comment --comment "cilium-feeder: ${chain}" -j ${chain}`;
  return [
    table(
      "raw",
      ["PREROUTING", "OUTPUT"],
      ["CILIUM_OUTPUT_raw", "CILIUM_PRE_raw"],
      [feeder("PREROUTING", "CILIUM_PRE_raw"), feeder("OUTPUT", "CILIUM_OUTPUT_raw"), ...raw],
    ),
    table(
      "mangle",
      ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"],
      ["CILIUM_POST_mangle", "CILIUM_PRE_mangle"],
      [feeder("PREROUTING", "CILIUM_PRE_mangle"), feeder("POSTROUTING", "CILIUM_POST_mangle"), ...mangle],
    ),
    table(
      "nat",
      ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
      ["CILIUM_OUTPUT_nat", "CILIUM_POST_nat", "CILIUM_PRE_nat"],
      [
        feeder("PREROUTING", "CILIUM_PRE_nat"),
        feeder("OUTPUT", "CILIUM_OUTPUT_nat"),
        feeder("POSTROUTING", "CILIUM_POST_nat"),
        ...nat,
      ],
    ),
    table(
      "filter",
      ["INPUT", "FORWARD", "OUTPUT"],
      ["CILIUM_FORWARD", "CILIUM_INPUT", "CILIUM_OUTPUT"],
      [
        feeder("INPUT", "CILIUM_INPUT"),
        feeder("FORWARD", "CILIUM_FORWARD"),
        feeder("OUTPUT", "CILIUM_OUTPUT"),
        ...filter,
      ],
    ),
  ].join("");
}

/**
 * What the rule "host->any mark as from host" of ip6tables' OUTPUT does to a mark: everything of the host gets the host's
 * mark, but not what is encrypted or to be, of a tunnel or of a proxy.
 */
export function hostMark6(mark: number): number {
  switch (mark & 0xf00) {
    case 0x400:
    case 0x800:
    case 0x900:
    case 0xa00:
    case 0xb00:
    case 0xd00:
    case 0xe00:
      return mark;
    default:
      return (mark & ~0xf00) | 0xc00;
  }
}

/** To be encrypted or encrypted, and to be decrypted or decrypted. */
const ENCRYPTION_MARKS = ["0xe00/0xf00", "0xd00/0xf00"] as const;

/** insertAcceptEncryptMark(): such packets pass a chain. */
function acceptEncrypted(a: AgentConfig, table: string, chain: string): string[] {
  if (a.encryption === "none") return [];
  const why = comment(`exclude encrypt/decrypt marks from ${table} ${chain} chain`);
  return ENCRYPTION_MARKS.map((mark) => `-A ${chain} -m mark --mark ${mark}${why} -j ACCEPT`);
}

function tunnelMatch(a: AgentConfig): string {
  return `-p udp -m udp --dport ${a.tunnelPort}`;
}

function comment(text: string): string {
  return ` -m comment --comment "${text}"`;
}

function table(
  name: string,
  hooks: readonly string[],
  chains: readonly string[],
  rules: readonly string[],
): string {
  const head = [...hooks.map((h) => `:${h} ACCEPT [0:0]`), ...chains.map((c) => `:${c} - [0:0]`)];
  return [`*${name}`, ...head, ...rules, "COMMIT", ""].join("\n");
}
