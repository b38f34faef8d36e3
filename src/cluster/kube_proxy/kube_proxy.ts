// kube-proxy on a node: reads the services and programs them in the mode that the cluster is configured for.

import type { Netns } from "../../kernel/netns.js";
import type { ClusterModel } from "../model.js";
import { setSysctl } from "../netcfg.js";
import { type KubeProxyConfig, kubeProxyConfig } from "./config.js";
import { iptablesRules } from "./iptables.js";
import { installIpvs } from "./ipvs.js";
import { type ServicePort, servicePorts } from "./service_map.js";

/** A node as kube-proxy needs it. */
export interface ProxyNode {
  readonly name: string;
  readonly ns: Netns;
  /** Loads rules on top of those that are there. */
  rules(text: string, file: string): void;
}

/** What kube-proxy programmed on a node. */
export interface KubeProxy {
  readonly config: KubeProxyConfig;
  readonly services: readonly ServicePort[];
}

/**
 * Programs the services of a node. `podCidr`: where pods live, for the rules that masquerade everybody else. Gives
 * undefined when the cluster runs no kube-proxy.
 */
export function installKubeProxy(
  model: ClusterModel,
  node: ProxyNode,
  podCidr: string | undefined,
): KubeProxy | undefined {
  const config = kubeProxyConfig(model, podCidr);
  if (config.mode === "none") return undefined;
  const services = servicePorts(model, node.name);
  if (config.mode === "iptables") {
    // Node ports on 127.0.0.1 need it; KUBE-FIREWALL keeps strangers from using it.
    if (config.localhostNodePorts) setSysctl(node.ns, "net/ipv4/conf/all/route_localnet", 1);
    node.rules(iptablesRules(services, config), "kube-proxy");
  } else {
    node.rules(installIpvs(node, services, config), "kube-proxy");
  }
  return { config, services };
}
