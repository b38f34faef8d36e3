// cilium-config keys to what the agent decides from them: routing mode, host routing and why, masquerading, debug,
// aggregation. Defaults and fallbacks follow the agent of 1.19 (pkg/option, daemon's host-routing check) and, for
// profile 1.11, the stricter conditions of that release.

import { PodpathError } from "../../base/errors.js";
import type { PodDevice } from "../machines.js";
import type { DatapathModel, DatapathName, Profile } from "../model.js";
import type { CiliumOption } from "../option_keys.js";
import { Options } from "../options.js";
import { IPSEC_OVERHEAD } from "./ipsec.js";
import { type PolicyConfig, policyConfigFrom } from "./policy/config.js";
import { WIREGUARD_OVERHEAD } from "./wireguard.js";

/** Outer IPv4, UDP and VXLAN headers and the inner Ethernet header. */
const TUNNEL_OVERHEAD = 50;

/** monitor-aggregation levels by name (pkg/option/monitor.go). */
const AGGREGATION: Readonly<Record<string, number>> = {
  none: 0,
  disabled: 0,
  "": 0,
  lowest: 1,
  low: 2,
  medium: 3,
  max: 4,
  maximum: 4,
};

/** What the options of a datapath name say before the scenario's own; "native routing" and "host routing" are two axes. */
const PRESETS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "cilium-host-routing": {
    "routing-mode": "native",
    "auto-direct-node-routes": "true",
    "kube-proxy-replacement": "true",
    "enable-bpf-masquerade": "true",
    "enable-host-legacy-routing": "false",
    "datapath-mode": "veth",
  },
  // One axis apart from the above, so that a comparison of the two shows host routing and nothing else.
  "cilium-legacy": {
    "routing-mode": "native",
    "auto-direct-node-routes": "true",
    "kube-proxy-replacement": "true",
    "enable-bpf-masquerade": "true",
    "enable-host-legacy-routing": "true",
    "datapath-mode": "veth",
  },
  // Likewise, but for the pods' devices.
  "cilium-netkit": {
    "routing-mode": "native",
    "auto-direct-node-routes": "true",
    "kube-proxy-replacement": "true",
    "enable-bpf-masquerade": "true",
    "enable-host-legacy-routing": "false",
    "datapath-mode": "netkit",
  },
  "cilium-vxlan": {
    "routing-mode": "tunnel",
    "tunnel-protocol": "vxlan",
    "auto-direct-node-routes": "false",
    "kube-proxy-replacement": "true",
    "enable-bpf-masquerade": "true",
    "enable-host-legacy-routing": "false",
    "datapath-mode": "veth",
  },
  "cilium-geneve": {
    "routing-mode": "tunnel",
    "tunnel-protocol": "geneve",
    "auto-direct-node-routes": "false",
    "kube-proxy-replacement": "true",
    "enable-bpf-masquerade": "true",
    "enable-host-legacy-routing": "false",
    "datapath-mode": "veth",
  },
};

/** True for the datapaths that this control plane builds. */
export function isCiliumDatapath(name: DatapathName): boolean {
  return PRESETS[name] !== undefined;
}

export type HostRouting = "bpf" | "legacy";

/** Transparent encryption between nodes. */
export type Encryption = "none" | "wireguard" | "ipsec";

/** The agent's decisions. */
export interface AgentConfig {
  readonly profile: Profile;
  readonly routingMode: "native" | "tunnel";
  readonly tunnelProtocol: "vxlan" | "geneve";
  readonly tunnelPort: number;
  readonly hostRouting: HostRouting;
  /** Why host routing is as it is, one sentence for a person. */
  readonly hostRoutingReason: string;
  /** Kind of the pods' devices. */
  readonly datapathMode: PodDevice;
  readonly kubeProxyReplacement: boolean;
  readonly endpointRoutes: boolean;
  readonly masquerade4: boolean;
  readonly masquerade6: boolean;
  readonly bpfMasquerade: boolean;
  readonly nativeRoutingCidr4: string | undefined;
  readonly nativeRoutingCidr6: string | undefined;
  readonly autoDirectNodeRoutes: boolean;
  readonly socketLb: boolean;
  readonly socketLbHostOnly: boolean;
  /** Events of socket load balancing; 1.11 had none. */
  readonly traceSock: boolean;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  readonly debug: boolean;
  readonly debugLb: boolean;
  /** 0 none .. 4 maximum. */
  readonly monitorAggregation: number;
  readonly monitorIntervalSec: number;
  /** TCP flag bits that force a report. */
  readonly monitorFlags: number;
  readonly tracePayloadLen: number;
  readonly ctAccounting: boolean;
  readonly hostFirewall: boolean;
  readonly encryption: Encryption;
  /** Nodes' own traffic is encrypted too. */
  readonly encryptNode: boolean;
  /** Labels (`key` or `key=value`) of nodes whose own traffic stays as it is. */
  readonly nodeEncryptionOptOut: readonly string[];
  /** Seconds; 0 = off. */
  readonly wireguardKeepalive: number;
  /** L7 policies are enforced by a proxy on the node. */
  readonly l7Proxy: boolean;
  /** CiliumEnvoyConfig is served. */
  readonly envoyConfig: boolean;
  readonly egressGateway: boolean;
  readonly lbMode: "snat" | "dsr" | "hybrid";
  readonly lbDsrDispatch: "opt" | "ipip" | "geneve";
  /** Packets that do not fit with what DSR adds are answered with ICMP. */
  readonly pmtuDiscovery: boolean;
  readonly lbAlgorithm: "random" | "maglev";
  readonly lbAcceleration: boolean;
  readonly lbExternalClusterIp: boolean;
  readonly maglevTableSize: number;
  readonly nodePortMin: number;
  readonly nodePortMax: number;
  readonly bandwidthManager: boolean;
  readonly fragmentTracking: boolean;
  readonly sctp: boolean;
  /** jiffies instead of seconds as the unit of conntrack lifetimes. */
  readonly jiffies: boolean;
  readonly policyEnforcement: "default" | "always" | "never";
  readonly policyAuditMode: boolean;
  /** What a pod hears of IPv4 traffic that egress policy denies: nothing, or ICMP "administratively prohibited". */
  readonly policyDenyResponse: "none" | "icmp";
  readonly mtu: number | undefined;
  readonly ctTcpMax: number;
  readonly ctAnyMax: number;
  readonly natMax: number;
  readonly neighMax: number;
  readonly policyMapMax: number;
  readonly mapBackend: "table" | "lru-cache";
  readonly installNoConntrackRules: boolean;
  /** Fixed interval of conntrack garbage collection, ns; 0 = dynamic. */
  readonly ctGcIntervalNs: number;
  readonly clusterName: string;
  readonly clusterId: number;
  /** What decides how policy is compiled. */
  readonly policy: PolicyConfig;
  /** Every option as resolved, for `cilium config` and explanations. */
  readonly options: Readonly<Record<string, string>>;
}

/**
 * The agent's decisions for a datapath. `forced`: the datapath was chosen on the command line, so that its own
 * options win over the scenario's. Throws SCENARIO_INVALID for a value that the agent would refuse.
 */
export function agentConfig(datapath: DatapathModel, forced: boolean): AgentConfig {
  const preset = PRESETS[datapath.name];
  if (preset === undefined)
    throw new PodpathError("SCENARIO_INVALID", `${datapath.name} is not a Cilium datapath`);
  const options: Record<string, string> = forced
    ? { ...datapath.options, ...preset, ...datapath.overrides }
    : { ...preset, ...datapath.options };
  if (datapath.profile === "1.11" || options.tunnel !== undefined) oldNames(options, forced ? preset : {});
  const o = new CiliumConfig(options, "cilium-config", (key) =>
    // What the datapath's name says has no place in a file.
    options[key] === datapath.options[key] ? datapath.posOf?.(key) : undefined,
  );
  const kpr = o.kubeProxyReplacement();
  const bpfMasquerade = o.bool("enable-bpf-masquerade", false);
  const masquerade4 = o.bool("enable-ipv4-masquerade", o.bool("masquerade", true));
  const endpointRoutes = o.bool("enable-endpoint-routes", false);
  const encryption = o.encryption(datapath.profile);
  const routing = hostRouting(datapath.profile, {
    forcedLegacy: o.bool("enable-host-legacy-routing", false),
    kpr,
    iptablesMasquerade: masquerade4 && !bpfMasquerade,
    endpointRoutes,
    encryption: encryption !== "none",
  });
  const datapathMode = o.oneOf("datapath-mode", ["veth", "netkit", "netkit-l2"] as const, "veth");
  if (datapathMode !== "veth") {
    if (datapath.profile === "1.11") throw o.bad("datapath-mode", "veth in release 1.11");
    if (routing.mode === "legacy")
      throw o.refused("datapath-mode", `which needs BPF host routing, but ${routing.reason}`);
  }
  const routingMode = o.oneOf("routing-mode", ["native", "tunnel"] as const, "tunnel");
  const range = o.text("node-port-range", "30000,32767").split(",").map(Number);
  if (
    range.length !== 2 ||
    !range.every((p) => Number.isInteger(p) && p > 0 && p < 65536) ||
    range[0]! > range[1]!
  ) {
    throw o.bad("node-port-range", "two ports like 30000,32767");
  }
  const lbMode = o.oneOf("bpf-lb-mode", ["snat", "dsr", "hybrid"] as const, "snat");
  const tunnelProtocol = o.oneOf("tunnel-protocol", ["vxlan", "geneve"] as const, "vxlan");
  const lbDsrDispatch = o.oneOf("bpf-lb-dsr-dispatch", ["opt", "ipip", "geneve"] as const, "opt");
  // The service travels in an option that VXLAN has not.
  if (lbMode !== "snat" && lbDsrDispatch === "geneve" && tunnelProtocol !== "geneve")
    throw o.bad("bpf-lb-dsr-dispatch", "opt or ipip unless tunnel-protocol is geneve");
  const debug = o.bool("debug", false) && o.text("debug-verbose", "").split(/[ ,]/).includes("datapath");
  return {
    profile: datapath.profile,
    routingMode,
    tunnelProtocol,
    tunnelPort: o.number("tunnel-port", options["tunnel-protocol"] === "geneve" ? 6081 : 8472, 1, 65535),
    hostRouting: routing.mode,
    hostRoutingReason: routing.reason,
    datapathMode,
    kubeProxyReplacement: kpr,
    endpointRoutes,
    masquerade4,
    masquerade6: o.bool("enable-ipv6-masquerade", true),
    bpfMasquerade,
    nativeRoutingCidr4: o.cidr("ipv4-native-routing-cidr", 4),
    nativeRoutingCidr6: o.cidr("ipv6-native-routing-cidr", 6),
    autoDirectNodeRoutes: o.bool("auto-direct-node-routes", false),
    // With kube-proxy replacement the agent switches socket load balancing on by itself.
    socketLb: o.bool("bpf-lb-sock", kpr),
    socketLbHostOnly: o.bool("bpf-lb-sock-hostns-only", false),
    traceSock: o.bool("trace-sock", true) && datapath.profile !== "1.11",
    ipv4: o.bool("enable-ipv4", true),
    ipv6: o.bool("enable-ipv6", false),
    debug,
    debugLb: debug,
    monitorAggregation: o.aggregation(),
    monitorIntervalSec: o.seconds("monitor-aggregation-interval", 5),
    monitorFlags: o.tcpFlags("monitor-aggregation-flags", "syn,fin,rst"),
    tracePayloadLen: o.number("trace-payloadlen", 128, 0, 65535),
    ctAccounting: o.bool("bpf-conntrack-accounting", datapath.profile === "1.11"),
    hostFirewall: o.bool("enable-host-firewall", false),
    encryption,
    encryptNode: encryption === "wireguard" && o.bool("encrypt-node", false),
    nodeEncryptionOptOut: o
      .text("node-encryption-opt-out-labels", "node-role.kubernetes.io/control-plane")
      .split(",")
      .filter((l) => l !== ""),
    wireguardKeepalive: o.seconds("wireguard-persistent-keepalive", 0),
    l7Proxy: o.bool("enable-l7-proxy", true),
    envoyConfig: o.bool("enable-envoy-config", false),
    egressGateway: o.bool("enable-ipv4-egress-gateway", o.bool("enable-egress-gateway", false)),
    lbMode,
    lbDsrDispatch,
    pmtuDiscovery: o.bool("enable-pmtu-discovery", false),
    lbAlgorithm: o.oneOf("bpf-lb-algorithm", ["random", "maglev"] as const, "random"),
    lbAcceleration:
      o.oneOf(
        "bpf-lb-acceleration",
        ["disabled", "native", "best-effort", "generic"] as const,
        "disabled",
      ) !== "disabled",
    lbExternalClusterIp: o.bool("bpf-lb-external-clusterip", false),
    maglevTableSize: o.number("bpf-lb-maglev-table-size", 16381, 251, 131071),
    nodePortMin: range[0]!,
    nodePortMax: range[1]!,
    bandwidthManager: o.bool("enable-bandwidth-manager", false),
    fragmentTracking: o.bool("enable-ipv4-fragment-tracking", true),
    sctp: o.bool("enable-sctp", false),
    jiffies: o.bool("enable-bpf-clock-probe", false),
    policyEnforcement: o.oneOf("enable-policy", ["default", "always", "never"] as const, "default"),
    policyDenyResponse: o.oneOf("policy-deny-response", ["none", "icmp"] as const, "none"),
    policyAuditMode: o.bool("policy-audit-mode", false),
    mtu: o.mtu("mtu"),
    ctTcpMax: o.number("bpf-ct-global-tcp-max", 524288, 1, 1 << 24),
    ctAnyMax: o.number("bpf-ct-global-any-max", 262144, 1, 1 << 24),
    natMax: o.number("bpf-nat-global-max", 524288, 1, 1 << 24),
    neighMax: o.number("bpf-neigh-global-max", 524288, 1, 1 << 24),
    policyMapMax: o.number("bpf-policy-map-max", 16384, 256, 65536),
    mapBackend: o.oneOf("map-backend", ["table", "lru-cache"] as const, "table"),
    installNoConntrackRules: o.bool("install-no-conntrack-iptables-rules", false),
    ctGcIntervalNs: o.seconds("conntrack-gc-interval", 0) * 1e9,
    clusterName: o.text("cluster-name", "default"),
    clusterId: o.number("cluster-id", 0, 0, 511),
    policy: policyConfigFrom(o),
    options,
  };
}

interface RoutingInputs {
  readonly forcedLegacy: boolean;
  readonly kpr: boolean;
  readonly iptablesMasquerade: boolean;
  readonly endpointRoutes: boolean;
  readonly encryption: boolean;
}

/** Host routing and the reason for it: datapath facts, section 5.5. */
function hostRouting(profile: Profile, i: RoutingInputs): { mode: HostRouting; reason: string } {
  const legacy = (reason: string) => ({ mode: "legacy" as const, reason });
  if (i.forcedLegacy) return legacy("enable-host-legacy-routing is true");
  if (!i.kpr) return legacy("kube-proxy-replacement is off, and BPF host routing needs it");
  if (i.iptablesMasquerade) {
    return legacy(
      "masquerading is done by iptables (enable-bpf-masquerade is off), and BPF host routing needs BPF masquerading",
    );
  }
  if (profile === "1.11" && i.endpointRoutes)
    return legacy("enable-endpoint-routes is true, which 1.11 cannot combine with BPF host routing");
  if (profile === "1.11" && i.encryption)
    return legacy("encryption is on, which 1.11 cannot combine with BPF host routing");
  return {
    mode: "bpf",
    reason: "kube-proxy replacement and BPF masquerading are on and enable-host-legacy-routing is false",
  };
}

/** Spellings of the 1.11 time (`tunnel`, `native-routing-cidr`, `kube-proxy-replacement: strict`). */
function oldNames(o: Record<string, string>, fixed: Readonly<Record<string, string>>): void {
  if (o.tunnel !== undefined && fixed["routing-mode"] === undefined) {
    if (o.tunnel === "disabled") o["routing-mode"] = "native";
    else {
      o["routing-mode"] = "tunnel";
      o["tunnel-protocol"] = o.tunnel;
    }
  }
  if (o["native-routing-cidr"] !== undefined) o["ipv4-native-routing-cidr"] ??= o["native-routing-cidr"];
}

/** cilium-config, with the values that only it has. */
class CiliumConfig extends Options<CiliumOption> {
  aggregation(): number {
    const v = this.text("monitor-aggregation", "none").toLowerCase();
    const n = /^[0-4]$/.test(v) ? Number(v) : AGGREGATION[v];
    if (n === undefined) throw this.bad("monitor-aggregation", "one of none, lowest, low, medium, maximum");
    return n;
  }

  tcpFlags(key: CiliumOption, fallback: string): number {
    const bits: Readonly<Record<string, number>> = {
      fin: 1,
      syn: 2,
      rst: 4,
      psh: 8,
      ack: 16,
      urg: 32,
      ece: 64,
      cwr: 128,
      all: 255,
    };
    let n = 0;
    for (const f of this.text(key, fallback).toLowerCase().split(/[ ,]+/)) {
      if (f === "") continue;
      const b = bits[f];
      if (b === undefined) throw this.bad(key, "TCP flags like syn,fin,rst");
      n |= b;
    }
    return n;
  }

  encryption(profile: Profile): Encryption {
    const wireguard = this.bool("enable-wireguard", false);
    const ipsec = this.bool("enable-ipsec", false);
    if (!wireguard && !ipsec) return "none";
    const key = wireguard ? "enable-wireguard" : "enable-ipsec";
    if (wireguard && ipsec) throw this.refused("enable-ipsec", "which does not go with enable-wireguard");
    if (profile === "1.11") throw this.refused(key, "which is modelled for release 1.19 only");
    if (ipsec && this.bool("enable-ipv6", false))
      throw this.refused(key, "which is modelled for IPv4 only, but enable-ipv6 is true");
    return wireguard ? "wireguard" : "ipsec";
  }

  /** true/false since 1.14; strict, probe, partial, disabled before. */
  kubeProxyReplacement(): boolean {
    const v = this.optional("kube-proxy-replacement");
    if (v === "strict" || v === "probe" || v === "partial") return true;
    if (v === "disabled") return false;
    return this.bool("kube-proxy-replacement", false);
  }
}

/**
 * MTU of routes to pods on a device of `mtu` (pkg/mtu): what a tunnel and the encryption put around a packet must still
 * fit.
 */
export function routeMtu(a: AgentConfig, mtu: number): number {
  const tunnel = a.routingMode === "tunnel" ? TUNNEL_OVERHEAD : 0;
  const encryption = { none: 0, wireguard: WIREGUARD_OVERHEAD, ipsec: IPSEC_OVERHEAD }[a.encryption];
  return mtu - tunnel - encryption;
}
