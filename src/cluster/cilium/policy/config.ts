// The agent options that decide what a policy compiles to, with the agent's defaults (cilium 1.19).

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

/** The part of cilium-config that is policy's; keys as in the ConfigMap, values as text. */
export function policyConfigFrom(options: Readonly<Record<string, string>>): PolicyConfig {
  const d = DEFAULT_POLICY_CONFIG;
  const flag = (key: string, or: boolean): boolean => {
    const v = options[key];
    return v === undefined ? or : v === "true" || v === "1" || v === "t";
  };
  const word = <T extends string>(key: string, allowed: readonly T[], or: T): T =>
    allowed.find((a) => a === options[key]) ?? or;
  return {
    policyEnforcement: word("enable-policy", ["default", "always", "never"], d.policyEnforcement),
    allowLocalhost: word("allow-localhost", ["auto", "always", "policy"], d.allowLocalhost),
    enableHostFirewall: flag("enable-host-firewall", d.enableHostFirewall),
    enableNonDefaultDenyPolicies: flag("enable-non-default-deny-policies", d.enableNonDefaultDenyPolicies),
    enableICMPRules: flag("enable-icmp-rules", d.enableICMPRules),
    enableL7Proxy: flag("enable-l7-proxy", d.enableL7Proxy),
    enableNodeSelectorLabels: flag("enable-node-selector-labels", d.enableNodeSelectorLabels),
    enableExtendedIPProtocols: flag("enable-extended-ip-protocols", d.enableExtendedIPProtocols),
    policyCIDRMatchMode: (options["policy-cidr-match-mode"] ?? "").split(/[ ,]+/).filter((s) => s !== ""),
    policyAuditMode: flag("policy-audit-mode", d.policyAuditMode),
    policyDefaultLocalCluster: flag("policy-default-local-cluster", d.policyDefaultLocalCluster),
    clusterName: options["cluster-name"] ?? d.clusterName,
    enableIPv4: flag("enable-ipv4", true),
    enableIPv6: flag("enable-ipv6", false),
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
