// The agent options that decide what a policy compiles to, with the agent's defaults (cilium 1.19).

import type { CiliumOption } from "../../option_keys.js";
import type { Options } from "../../options.js";

export interface PolicyConfig {
  /** enable-policy. */
  readonly policyEnforcement: "default" | "always" | "never";
  /** allow-localhost; "auto" means "always" when running with Kubernetes. */
  readonly allowLocalhost: "auto" | "always" | "policy";
  readonly enableHostFirewall: boolean;
  readonly enableNonDefaultDenyPolicies: boolean;
  readonly enableICMPRules: boolean;
  readonly enableL7Proxy: boolean;
  readonly enableNodeSelectorLabels: boolean;
  readonly enableExtendedIPProtocols: boolean;
  /** policy-cidr-match-mode; "nodes" makes node addresses selectable by CIDR. */
  readonly policyCIDRMatchMode: readonly string[];
  readonly policyAuditMode: boolean;
  /** policy-default-local-cluster. */
  readonly policyDefaultLocalCluster: boolean;
  readonly clusterName: string;
  readonly enableIPv4: boolean;
  readonly enableIPv6: boolean;
  /** Port of each proxy redirect target; a name that is missing cannot be redirected to. */
  readonly proxyPorts: Readonly<Record<string, number>>;
}

/** Proxy ports of a lab that says nothing else: the agent takes free ports from 10000 on, in order of need. */
export const DEFAULT_PROXY_PORTS: Readonly<Record<string, number>> = {
  "cilium-dns-egress": 10053,
  "cilium-http-egress": 10080,
  "cilium-http-ingress": 10081,
  "cilium-proxylib-egress": 10090,
  "cilium-proxylib-ingress": 10091,
};

export const DEFAULT_POLICY_CONFIG: PolicyConfig = {
  policyEnforcement: "default",
  allowLocalhost: "auto",
  enableHostFirewall: false,
  enableNonDefaultDenyPolicies: true,
  enableICMPRules: true,
  enableL7Proxy: true,
  enableNodeSelectorLabels: false,
  enableExtendedIPProtocols: false,
  policyCIDRMatchMode: [],
  policyAuditMode: false,
  policyDefaultLocalCluster: true,
  clusterName: "default",
  enableIPv4: true,
  enableIPv6: false,
  proxyPorts: DEFAULT_PROXY_PORTS,
};

/** The part of cilium-config that is policy's. Throws SCENARIO_INVALID for a value that the agent would refuse. */
export function policyConfigFrom(o: Options<CiliumOption>): PolicyConfig {
  const d = DEFAULT_POLICY_CONFIG;
  return {
    policyEnforcement: o.oneOf("enable-policy", ["default", "always", "never"] as const, d.policyEnforcement),
    allowLocalhost: o.oneOf("allow-localhost", ["auto", "always", "policy"] as const, d.allowLocalhost),
    enableHostFirewall: o.bool("enable-host-firewall", d.enableHostFirewall),
    enableNonDefaultDenyPolicies: o.bool("enable-non-default-deny-policies", d.enableNonDefaultDenyPolicies),
    enableICMPRules: o.bool("enable-icmp-rules", d.enableICMPRules),
    enableL7Proxy: o.bool("enable-l7-proxy", d.enableL7Proxy),
    enableNodeSelectorLabels: o.bool("enable-node-selector-labels", d.enableNodeSelectorLabels),
    enableExtendedIPProtocols: o.bool("enable-extended-ip-protocols", d.enableExtendedIPProtocols),
    policyCIDRMatchMode: o
      .text("policy-cidr-match-mode", "")
      .split(/[ ,]+/)
      .filter((s) => s !== ""),
    policyAuditMode: o.bool("policy-audit-mode", d.policyAuditMode),
    policyDefaultLocalCluster: o.bool("policy-default-local-cluster", d.policyDefaultLocalCluster),
    clusterName: o.text("cluster-name", d.clusterName),
    enableIPv4: o.bool("enable-ipv4", d.enableIPv4),
    enableIPv6: o.bool("enable-ipv6", d.enableIPv6),
    proxyPorts: d.proxyPorts,
  };
}

/** Whether every endpoint but the host lets its own host in (allow-localhost always, or auto with Kubernetes). */
export function allowsLocalhost(c: PolicyConfig): boolean {
  return c.allowLocalhost !== "policy";
}

export function isDualStack(c: PolicyConfig): boolean {
  return c.enableIPv4 && c.enableIPv6;
}
