// kube-proxy's configuration: options of the scenario, or the KubeProxyConfiguration in the ConfigMap `kube-proxy`.

import { parse } from "yaml";
import { PodpathError } from "../../base/errors.js";
import { SCHEDULERS } from "../../kernel/ipvs/ip_vs_sched.js";
import { fields, int, list, optionsFor, text } from "../linux_plane.js";
import type { ClusterModel } from "../model.js";
import type { KubeProxyOption } from "../option_keys.js";

export interface KubeProxyConfig {
  readonly mode: "iptables" | "ipvs" | "none";
  /** Source of pods: everything else is masqueraded towards a service. */
  readonly clusterCidr: string | undefined;
  readonly masqueradeAll: boolean;
  /** Mark of packets to be masqueraded, 0x4000 by default. */
  readonly masqueradeMark: string;
  readonly scheduler: string;
  /** Node ports answer on 127.0.0.1 too (iptables mode only). */
  readonly localhostNodePorts: boolean;
  /** Prefixes of node addresses that node ports are served on; empty: all. */
  readonly nodePortAddresses: readonly string[];
  readonly strictArp: boolean;
  /** KUBE-IPVS-FILTER of newer releases: ping and other ports of a service address are refused. */
  readonly ipvsFilter: boolean;
}

const MODES: readonly string[] = ["iptables", "ipvs", "none"];

/**
 * Reads it. `podCidr`: where pods live if the configuration does not say. Throws SCENARIO_INVALID for a mode or
 * an IPVS scheduler that the model does not have.
 */
export function kubeProxyConfig(model: ClusterModel, podCidr: string | undefined): KubeProxyConfig {
  const opt = optionsFor<KubeProxyOption>(model);
  const map = model.objects.find((o) => o.kind === "ConfigMap" && o.metadata.name === "kube-proxy");
  const inner = text(fields(map?.raw.data)["config.conf"]);
  const c = { ...fields(map?.raw.data), ...(inner === undefined ? {} : fields(parse(inner))) } as Record<
    string,
    unknown
  >;
  const ipvs = fields(c.ipvs);
  const iptables = fields(c.iptables);
  const said = model.datapath.kubeProxy ?? text(c.mode);
  if (said !== undefined && !MODES.includes(said))
    throw new PodpathError(
      "SCENARIO_INVALID",
      `kube-proxy: mode ${said} is not modelled; ${MODES.join(", ")} are`,
      map?.pos(["data"]),
    );
  const bit = int(iptables.masqueradeBit) ?? 14;
  const scheduler = text(ipvs.scheduler) ?? opt.optional("ipvs-scheduler") ?? "rr";
  if (!SCHEDULERS.includes(scheduler))
    throw new PodpathError(
      "SCENARIO_INVALID",
      `kube-proxy: IPVS scheduler ${scheduler} is not one of ${SCHEDULERS.join(", ")}`,
      map?.pos(["data"]),
    );
  return {
    mode: said === "ipvs" || said === "none" ? said : "iptables",
    clusterCidr: text(c.clusterCIDR) ?? podCidr,
    masqueradeAll: iptables.masqueradeAll === true || opt.bool("masquerade-all", false),
    masqueradeMark: `0x${(2 ** bit).toString(16)}`,
    scheduler,
    localhostNodePorts: iptables.localhostNodePorts !== false,
    nodePortAddresses: list(c.nodePortAddresses).map(String),
    strictArp: ipvs.strictARP === true,
    ipvsFilter: opt.bool("ipvs-filter", false),
  };
}
