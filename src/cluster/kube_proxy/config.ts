// kube-proxy's configuration: options of the scenario, or the KubeProxyConfiguration in the ConfigMap `kube-proxy`.

import { parse } from "yaml";
import { PodpathError } from "../../base/errors.js";
import { SCHEDULERS } from "../../kernel/ipvs/ip_vs_sched.js";
import { tryParseCidr } from "../../net/address.js";
import { type Fields, fields, int, list, optionsFor, text } from "../linux_plane.js";
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
  const bad = (message: string): PodpathError =>
    new PodpathError("SCENARIO_INVALID", `kube-proxy: ${message}`, map?.pos(["data", "config.conf"]));
  const c = { ...fields(map?.raw.data), ...inner(text(fields(map?.raw.data)["config.conf"]), bad) };
  const ipvs = fields(c.ipvs);
  const iptables = fields(c.iptables);
  const said = model.datapath.kubeProxy ?? given(c.mode);
  if (said !== undefined && !MODES.includes(said))
    throw bad(`mode ${said} is not modelled; ${MODES.join(", ")} are`);
  const bit = int(iptables.masqueradeBit) ?? 14;
  if (bit < 0 || bit > 31) throw bad(`masqueradeBit ${bit} is not a bit from 0 to 31`);
  // Of a dual-stack cluster the IPv4 one.
  const clusterCidrs = text(c.clusterCIDR)?.split(",") ?? [];
  const nodePortAddresses = list(c.nodePortAddresses).map(String);
  for (const a of [...clusterCidrs, ...nodePortAddresses])
    if (a !== "" && a !== "primary" && !(a.includes("/") && tryParseCidr(a) !== undefined))
      throw bad(`${a} is not a subnet like 10.0.0.0/24`);
  const scheduler = given(ipvs.scheduler) ?? opt.optional("ipvs-scheduler") ?? "rr";
  if (!SCHEDULERS.includes(scheduler))
    throw bad(`IPVS scheduler ${scheduler} is not one of ${SCHEDULERS.join(", ")}`);
  return {
    mode: said === "ipvs" || said === "none" ? said : "iptables",
    clusterCidr: clusterCidrs.find((a) => a.includes(".")) ?? podCidr,
    masqueradeAll: iptables.masqueradeAll === true || opt.bool("masquerade-all", false),
    masqueradeMark: `0x${(2 ** bit).toString(16)}`,
    scheduler,
    localhostNodePorts: iptables.localhostNodePorts !== false,
    nodePortAddresses,
    strictArp: ipvs.strictARP === true,
    ipvsFilter: opt.bool("ipvs-filter", false),
  };
}

/** A text that is not empty: kubeadm writes every field, those without a value as "". */
function given(v: unknown): string | undefined {
  return text(v) || undefined;
}

/** The KubeProxyConfiguration that stands as text in the ConfigMap. */
function inner(configuration: string | undefined, bad: (message: string) => PodpathError): Fields {
  if (configuration === undefined) return {};
  try {
    return fields(parse(configuration));
  } catch (e) {
    throw bad(`config.conf: YAML: ${(e as Error).message.split("\n")[0]!.replace(/:$/, "")}`);
  }
}
