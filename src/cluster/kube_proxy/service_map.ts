// Services as kube-proxy sees them (pkg/proxy, ServicePortMap and EndpointsMap): one entry per service port with all its
// addresses, and the endpoints that each traffic policy leaves.

import { type LbBackend, type LbCluster, readServices } from "../cilium/services.js";
import { fields, int, list, strings, text } from "../linux_plane.js";
import type { ClusterModel, K8sObject } from "../model.js";

export interface ProxyEndpoint {
  readonly address: string;
  readonly port: number;
  readonly local: boolean;
}

/** A port of a service (ServicePortInfo). */
export interface ServicePort {
  /** `namespace/name`, and `:port` if the port has a name. */
  readonly name: string;
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly clusterIp: string;
  readonly port: number;
  /** 0: none. */
  readonly nodePort: number;
  readonly externalIps: readonly string[];
  readonly loadBalancerIps: readonly string[];
  readonly sourceRanges: readonly string[];
  readonly externalLocal: boolean;
  readonly internalLocal: boolean;
  /** Seconds of client affinity; undefined: none. */
  readonly affinitySec: number | undefined;
  /** Endpoints for policy Cluster: ready ones, or terminating ones that still serve. */
  readonly clusterEndpoints: readonly ProxyEndpoint[];
  /** Those on this node, for policy Local. */
  readonly localEndpoints: readonly ProxyEndpoint[];
}

/** Services by model: every node's kube-proxy reads the same ones. */
const CLUSTERS = new WeakMap<ClusterModel, LbCluster>();

/** The cluster's services, read when first wanted. */
export function clusterServices(model: ClusterModel): LbCluster {
  let cluster = CLUSTERS.get(model);
  if (cluster === undefined) {
    cluster = readServices(model.objects, model.pods);
    CLUSTERS.set(model, cluster);
  }
  return cluster;
}

/** What one node's kube-proxy programs, in the order of the scenario. IPv4 only. */
export function servicePorts(model: ClusterModel, nodeName: string): ServicePort[] {
  const cluster = clusterServices(model);
  const zone = model.nodes.find((n) => n.name === nodeName)?.labels["topology.kubernetes.io/zone"] ?? "";
  const out: ServicePort[] = [];
  for (const o of model.objects)
    if (o.kind === "Service") for (const p of portsOf(o, cluster, nodeName, zone)) out.push(p);
  return out;
}

function portsOf(o: K8sObject, cluster: LbCluster, nodeName: string, zone: string): ServicePort[] {
  const s = fields(o.raw.spec);
  const { namespace, name, labels } = o.metadata;
  const clusterIp = [...strings(s.clusterIPs), text(s.clusterIP) ?? ""].find((a) => /^\d+\./.test(a));
  if (clusterIp === undefined || text(s.type) === "ExternalName") return [];
  if (labels["service.kubernetes.io/service-proxy-name"] !== undefined) return [];
  if (labels["service.kubernetes.io/headless"] !== undefined) return [];
  const type = text(s.type) ?? "ClusterIP";
  const v4 = (a: string): boolean => /^\d+\.\d+\.\d+\.\d+$/.test(a);
  const ingress = list(fields(fields(o.raw.status).loadBalancer).ingress).map(fields);
  const all = cluster.backends.get(`${namespace}/${name}`) ?? [];
  return list(s.ports).map((p) => {
    const f = fields(p);
    const portName = text(f.name) ?? "";
    const protocol = (text(f.protocol) ?? "TCP").toUpperCase();
    const mine = all.filter(
      (b) => b.protocol === protocol && v4(b.address) && (portName === "" || b.portNames.includes(portName)),
    );
    const ready = usable(mine);
    const near =
      zone === "" || !ready.every((b) => b.forZones.length > 0)
        ? []
        : ready.filter((b) => b.forZones.includes(zone));
    const endpoint = (b: LbBackend): ProxyEndpoint => ({
      address: b.address,
      port: b.port,
      local: b.nodeName === nodeName,
    });
    return {
      name: `${namespace}/${name}${portName === "" ? "" : `:${portName}`}`,
      protocol: protocol.toLowerCase() as ServicePort["protocol"],
      clusterIp,
      port: int(f.port) ?? 0,
      nodePort: type === "ClusterIP" ? 0 : (int(f.nodePort) ?? 0),
      externalIps: strings(s.externalIPs).filter(v4),
      loadBalancerIps:
        type === "LoadBalancer"
          ? ingress
              .filter((i) => (text(i.ipMode) ?? "VIP") === "VIP")
              .map((i) => text(i.ip) ?? "")
              .filter(v4)
          : [],
      sourceRanges: strings(s.loadBalancerSourceRanges)
        .map((r) => r.trim())
        .filter((r) => !r.includes(":")),
      externalLocal: type !== "ClusterIP" && text(s.externalTrafficPolicy) === "Local",
      internalLocal: text(s.internalTrafficPolicy) === "Local",
      affinitySec:
        text(s.sessionAffinity) === "ClientIP"
          ? (int(fields(fields(s.sessionAffinityConfig).clientIP).timeoutSeconds) ?? 10800)
          : undefined,
      clusterEndpoints: (near.length > 0 ? near : ready).map(endpoint).sort(byText),
      localEndpoints: usable(mine.filter((b) => b.nodeName === nodeName))
        .map(endpoint)
        .sort(byText),
    };
  });
}

/** Ready endpoints; without any, those that terminate but still serve. */
function usable(all: readonly LbBackend[]): LbBackend[] {
  const ready = all.filter((b) => b.state === "active");
  return ready.length > 0 ? ready : all.filter((b) => b.state === "terminating");
}

/** kube-proxy keeps endpoints as `ip:port` strings in sorted sets. */
function byText(a: ProxyEndpoint, b: ProxyEndpoint): number {
  const x = `${a.address}:${a.port}`;
  const y = `${b.address}:${b.port}`;
  return x < y ? -1 : x > y ? 1 : 0;
}
