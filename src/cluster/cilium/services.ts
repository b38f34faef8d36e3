// Kubernetes services as Cilium's agent balances them (pkg/loadbalancer: the Kubernetes reflector, the writer's choice of
// backends and the BPF reconciler). Service, EndpointSlice and Endpoints objects and host ports of pods become frontends
// with backends; `service_maps.ts` writes them into a node's maps.
//
//   Service --> frontends: ClusterIPs, node ports, load balancer addresses, external IPs (each with one or two scopes)
//   EndpointSlice --> backends, chosen per frontend: protocol, port name, family, traffic policy, zone

import {
  LB_SELECTION_DEFAULT,
  LB_SELECTION_MAGLEV,
  LB_SELECTION_RANDOM,
  SVC_FLAG_AFFINITY,
  SVC_FLAG_EXT_LOCAL_SCOPE,
  SVC_FLAG_EXTERNAL_IP,
  SVC_FLAG_FWD_MODE_DSR,
  SVC_FLAG_HOSTPORT,
  SVC_FLAG_INT_LOCAL_SCOPE,
  SVC_FLAG_L7_LOADBALANCER,
  SVC_FLAG_LOADBALANCER,
  SVC_FLAG_LOCALREDIRECT,
  SVC_FLAG_LOOPBACK,
  SVC_FLAG_NODEPORT,
  SVC_FLAG_ROUTABLE,
  SVC_FLAG_SOURCE_RANGE,
  SVC_FLAG_SOURCE_RANGE_DENY,
  SVC_FLAG_TWO_SCOPES,
} from "../../../maps/lb.js";
import type { K8sObject, PodModel } from "../model.js";
import { formatAddr, PrefixError, parseAddr } from "./policy/prefix.js";

export type LbProtocol = "TCP" | "UDP" | "SCTP";
export type LbScope = "external" | "internal";
export type LbServiceType =
  | "ClusterIP"
  | "NodePort"
  | "LoadBalancer"
  | "ExternalIPs"
  | "HostPort"
  | "LocalRedirect";

/**
 * State of a backend. A terminating one that still serves takes new connections when no active one is left; one that
 * does not serve, or is merely not ready, only keeps the connections it has.
 */
export type LbBackendState = "active" | "terminating" | "terminating-not-serving" | "maintenance";

/** Order of backends in the slots of a service. */
const STATE_ORDER: readonly LbBackendState[] = [
  "active",
  "terminating",
  "terminating-not-serving",
  "maintenance",
];

/** What all frontends of a service share. */
export interface LbService {
  readonly namespace: string;
  readonly name: string;
  readonly extLocal: boolean;
  readonly intLocal: boolean;
  /** Seconds of client affinity; undefined: none. */
  readonly affinitySec: number | undefined;
  readonly sourceRanges: readonly string[];
  /** The source ranges are what is refused, not what is let in. */
  readonly sourceRangesDeny: boolean;
  readonly loopbackHostPort: boolean;
  /** Only backends whose slice names this node's zone. */
  readonly preferClose: boolean;
  /** service.cilium.io/lb-algorithm, where such annotations count. */
  readonly algorithm: "random" | "maglev" | undefined;
  /** service.cilium.io/forwarding-mode, likewise. */
  readonly forwardingMode: "dsr" | "snat" | undefined;
  /** spec.loadBalancerClass. */
  readonly lbClass: string | undefined;
}

export interface LbBackend {
  readonly address: string;
  readonly port: number;
  readonly protocol: LbProtocol;
  readonly portNames: readonly string[];
  readonly state: LbBackendState;
  readonly nodeName: string;
  readonly zone: string;
  readonly forZones: readonly string[];
}

/** A frontend before any node looked at it. */
export interface LbFrontendSpec {
  readonly service: LbService;
  readonly type: LbServiceType;
  /** "0.0.0.0" and "::" stand for every node port address of a node. */
  readonly address: string;
  readonly port: number;
  readonly protocol: LbProtocol;
  readonly scope: LbScope;
  /** Name of the service port; backends must carry it. "" takes all. */
  readonly portName: string;
  /** Backends not chosen through a service: those of a host port. */
  readonly ownBackends: readonly LbBackend[] | undefined;
}

/** All services of a cluster. */
export interface LbCluster {
  readonly frontends: readonly LbFrontendSpec[];
  /** Backends by `namespace/name` of the service. */
  readonly backends: ReadonlyMap<string, readonly LbBackend[]>;
}

/** What of a node decides what its agent programs. */
export interface LbNodeContext {
  readonly nodeName: string;
  readonly zone: string;
  /** Addresses that node ports are served on. */
  readonly nodePortAddresses: readonly string[];
  readonly kubeProxyReplacement: boolean;
  readonly externalClusterIp: boolean;
  readonly algorithm: "random" | "maglev";
  readonly algorithmAnnotation: boolean;
  readonly mode: "snat" | "dsr" | "hybrid";
  readonly modeAnnotation: boolean;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  /** Pods of this node, for their host ports. */
  readonly pods: readonly PodModel[];
  /** Proxy port of services that Envoy balances, by `namespace/name`. */
  readonly l7ProxyPorts?: Readonly<Record<string, number>> | undefined;
}

/** A frontend as a node programs it. */
export interface LbFrontend {
  readonly spec: LbFrontendSpec;
  readonly address: string;
  readonly ipv6: boolean;
  readonly port: number;
  readonly protocol: LbProtocol;
  readonly scope: LbScope;
  readonly type: LbServiceType;
  /** Made from a node port frontend for one address of the node: not shown by `service list`. */
  readonly expanded: boolean;
  /** SVC_FLAG_* of the two flag bytes. */
  readonly flags: number;
  readonly flags2: number;
  /** LB_SELECTION_* of the frontend's own. */
  readonly algorithm: number;
  readonly usesMaglev: boolean;
  readonly l7ProxyPort: number | undefined;
  /** In slot order; those in maintenance come last and have no slot. */
  readonly backends: readonly LbBackend[];
  /** How many of them new connections go to, and how many only hold a slot. */
  readonly activeCount: number;
  readonly inactiveCount: number;
}

/** Annotation that turns source ranges into a deny list. */
const ANNOTATION_SOURCE_RANGES = "service.cilium.io/src-ranges-policy";
const ANNOTATION_ALGORITHM = "service.cilium.io/lb-algorithm";
const ANNOTATION_FORWARDING = "service.cilium.io/forwarding-mode";
const ANNOTATION_TYPE = "service.cilium.io/type";
const LABEL_PROXY_NAME = "service.kubernetes.io/service-proxy-name";
const LABEL_HEADLESS = "service.kubernetes.io/headless";
const LABEL_SERVICE_NAME = "kubernetes.io/service-name";
const DEFAULT_AFFINITY_SEC = 10800;

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads the cluster's services. A Service with a selector and neither EndpointSlice nor Endpoints gets the backends that
 * the endpoint controller would give it from `pods`.
 */
export function readServices(objects: readonly K8sObject[], pods: readonly PodModel[]): LbCluster {
  const frontends: LbFrontendSpec[] = [];
  const backends = new Map<string, LbBackend[]>();
  const services = objects.filter((o) => o.kind === "Service");
  for (const o of objects) {
    if (o.kind !== "EndpointSlice") continue;
    const name = o.metadata.labels[LABEL_SERVICE_NAME];
    if (name === undefined) continue;
    push(backends, `${o.metadata.namespace}/${name}`, sliceBackends(o.raw));
  }
  for (const o of objects) {
    const key = `${o.metadata.namespace}/${o.metadata.name}`;
    // Endpoints are mirrored into slices: they count only where no slice was given.
    if (o.kind === "Endpoints" && !backends.has(key)) push(backends, key, endpointsBackends(o.raw));
  }
  for (const o of services) {
    const key = `${o.metadata.namespace}/${o.metadata.name}`;
    if (!backends.has(key)) push(backends, key, podBackends(o, pods));
    if (o.metadata.labels[LABEL_PROXY_NAME] !== undefined) continue;
    frontends.push(...serviceFrontends(o));
  }
  return { frontends, backends };
}

function push(to: Map<string, LbBackend[]>, key: string, list: readonly LbBackend[]): void {
  const old = to.get(key);
  if (old === undefined) to.set(key, [...list]);
  else {
    for (const b of list) if (!old.some((x) => backendKey(x) === backendKey(b))) old.push(b);
  }
}

// --- Service ------------------------------------------------------------------------------------------------------------

interface ServicePort {
  readonly name: string;
  readonly port: number;
  readonly nodePort: number;
  readonly protocol: LbProtocol;
  readonly targetPort: string | number;
}

function servicePorts(spec: Fields): ServicePort[] {
  return list(spec.ports).map((p) => {
    const f = fields(p);
    const port = num(f.port);
    return {
      name: text(f.name),
      port,
      nodePort: num(f.nodePort),
      protocol: protocol(f.protocol),
      targetPort: typeof f.targetPort === "string" || typeof f.targetPort === "number" ? f.targetPort : port,
    };
  });
}

function serviceFrontends(o: K8sObject): LbFrontendSpec[] {
  const spec = fields(o.raw.spec);
  const type = text(spec.type) || "ClusterIP";
  const clusterIp = text(spec.clusterIP);
  if (type === "ExternalName") return [];
  if (o.metadata.labels[LABEL_HEADLESS] !== undefined || clusterIp.toLowerCase() === "none") return [];
  const annotations = o.metadata.annotations;
  const affinity = text(spec.sessionAffinity) === "ClientIP";
  const timeout = num(fields(fields(spec.sessionAffinityConfig).clientIP).timeoutSeconds);
  const intLocal = text(spec.internalTrafficPolicy) === "Local";
  const algorithm = annotations[ANNOTATION_ALGORITHM];
  const forwarding = annotations[ANNOTATION_FORWARDING];
  const service: LbService = {
    namespace: o.metadata.namespace,
    name: o.metadata.name,
    extLocal: text(spec.externalTrafficPolicy) === "Local",
    intLocal,
    affinitySec: affinity ? timeout || DEFAULT_AFFINITY_SEC : undefined,
    sourceRanges: list(spec.loadBalancerSourceRanges).map((s) => text(s).trim()),
    sourceRangesDeny: annotations[ANNOTATION_SOURCE_RANGES] === "deny",
    loopbackHostPort: false,
    preferClose: !intLocal && isTopologyAware(spec, annotations),
    algorithm: algorithm === "random" || algorithm === "maglev" ? algorithm : undefined,
    forwardingMode: forwarding === "dsr" || forwarding === "snat" ? forwarding : undefined,
    lbClass: text(spec.loadBalancerClass) || undefined,
  };
  const only = annotations[ANNOTATION_TYPE];
  const exposes = (t: string): boolean => only === undefined || only === t;
  // One traffic policy Local and the other Cluster: outside and inside need their own sets of backends.
  const scopes: LbScope[] = service.extLocal === service.intLocal ? ["external"] : ["external", "internal"];
  const ports = servicePorts(spec);
  const out: LbFrontendSpec[] = [];
  const add = (t: LbServiceType, address: string, port: number, p: ServicePort, scope: LbScope): void => {
    const { protocol, name } = p;
    out.push({ service, type: t, address, port, protocol, scope, portName: name, ownBackends: undefined });
  };

  const clusterIps = [
    ...new Set([...list(spec.clusterIPs).map(text), clusterIp].filter((a) => a !== "")),
  ].map(canonical);
  if (exposes("ClusterIP")) {
    for (const ip of clusterIps) {
      if (ip !== undefined) for (const p of ports) add("ClusterIP", ip, p.port, p, "external");
    }
  }
  if ((type === "NodePort" || type === "LoadBalancer") && exposes("NodePort")) {
    for (const scope of scopes) {
      for (const any of surrogates(spec, clusterIps)) {
        for (const p of ports) if (p.nodePort !== 0) add("NodePort", any, p.nodePort, p, scope);
      }
    }
  }
  if (type === "LoadBalancer" && exposes("LoadBalancer")) {
    for (const i of list(fields(fields(o.raw.status).loadBalancer).ingress)) {
      const f = fields(i);
      const ip = canonical(text(f.ip));
      if (ip === undefined || (text(f.ipMode) || "VIP") !== "VIP") continue;
      for (const scope of scopes) for (const p of ports) add("LoadBalancer", ip, p.port, p, scope);
    }
  }
  for (const e of list(spec.externalIPs)) {
    const ip = canonical(text(e));
    if (ip === undefined) continue;
    // One scope even where the flags will say two: the agent does the same, so with only one policy Local pods do not
    // reach the service at its external IP.
    for (const p of ports) add("ExternalIPs", ip, p.port, p, "external");
  }
  return out;
}

/** 0.0.0.0 and ::, by the families of the service. */
function surrogates(spec: Fields, clusterIps: readonly (string | undefined)[]): string[] {
  const families = list(spec.ipFamilies).map(text);
  const v4 = families.length > 0 ? families.includes("IPv4") : clusterIps.some((a) => a?.includes("."));
  const v6 = families.length > 0 ? families.includes("IPv6") : clusterIps.some((a) => a?.includes(":"));
  return [...(v4 ? ["0.0.0.0"] : []), ...(v6 ? ["::"] : [])];
}

function isTopologyAware(spec: Fields, annotations: Readonly<Record<string, string>>): boolean {
  const hint =
    annotations["service.kubernetes.io/topology-aware-hints"] ??
    annotations["service.kubernetes.io/topology-mode"] ??
    "";
  return !["", "disabled", "Disabled"].includes(hint) || text(spec.trafficDistribution) === "PreferClose";
}

// --- backends -----------------------------------------------------------------------------------------------------------

function sliceBackends(raw: Fields): LbBackend[] {
  const ports = list(raw.ports).map(fields);
  const out: LbBackend[] = [];
  for (const e of list(raw.endpoints)) {
    const f = fields(e);
    const c = fields(f.conditions);
    for (const a of list(f.addresses)) {
      const address = canonical(text(a));
      if (address === undefined) continue;
      for (const p of ports) {
        // A slice without port numbers means all ports; nothing can be programmed for it.
        if (num(p.port) === 0) continue;
        out.push({
          address,
          port: num(p.port),
          protocol: protocol(p.protocol),
          portNames: text(p.name) === "" ? [] : [text(p.name)],
          state: stateOf(c.ready !== false, c.serving === true, c.terminating === true),
          nodeName: text(f.nodeName),
          zone: text(f.zone),
          forZones: list(fields(f.hints).forZones).map((z) => text(fields(z).name)),
        });
      }
    }
  }
  return mergePorts(out);
}

function stateOf(ready: boolean, serving: boolean, terminating: boolean): LbBackendState {
  if (ready) return "active";
  if (!terminating) return "maintenance";
  return serving ? "terminating" : "terminating-not-serving";
}

function endpointsBackends(raw: Fields): LbBackend[] {
  const out: LbBackend[] = [];
  for (const s of list(raw.subsets)) {
    const f = fields(s);
    const add = (a: unknown, state: LbBackendState): void => {
      const e = fields(a);
      const address = canonical(text(e.ip));
      if (address === undefined) return;
      for (const p of list(f.ports).map(fields)) {
        out.push({
          address,
          port: num(p.port),
          protocol: protocol(p.protocol),
          portNames: text(p.name) === "" ? [] : [text(p.name)],
          state,
          nodeName: text(e.nodeName),
          zone: "",
          forZones: [],
        });
      }
    };
    for (const a of list(f.addresses)) add(a, "active");
    for (const a of list(f.notReadyAddresses)) add(a, "maintenance");
  }
  return mergePorts(out);
}

function isTexts(o: Readonly<Record<string, unknown>>): o is Readonly<Record<string, string>> {
  return Object.values(o).every((v) => typeof v === "string");
}

/** What the endpoint controller makes of a selector. */
function podBackends(o: K8sObject, pods: readonly PodModel[]): LbBackend[] {
  const spec = fields(o.raw.spec);
  const selector = fields(spec.selector);
  const wanted = Object.entries(selector);
  // No API server would have taken a value that is not text; it selects nothing.
  if (wanted.length === 0 || !isTexts(selector)) return [];
  const publish = spec.publishNotReadyAddresses === true;
  const out: LbBackend[] = [];
  for (const pod of pods) {
    if (pod.namespace !== o.metadata.namespace) continue;
    if (!wanted.every(([key, value]) => pod.labels[key] === value)) continue;
    for (const p of servicePorts(spec)) {
      const target =
        typeof p.targetPort === "number"
          ? p.targetPort
          : pod.ports.find((c) => c.name === p.targetPort && c.protocol === p.protocol)?.containerPort;
      if (target === undefined) continue;
      for (const ip of [pod.ip4, pod.ip6]) {
        const address = ip === undefined ? undefined : canonical(ip);
        if (address === undefined) continue;
        out.push({
          address,
          port: target,
          protocol: p.protocol,
          portNames: p.name === "" ? [] : [p.name],
          state: pod.ready || publish ? "active" : "maintenance",
          nodeName: pod.nodeName,
          zone: "",
          forZones: [],
        });
      }
    }
  }
  return mergePorts(out);
}

/** One backend for one address, port and protocol, with all the names that the port has. */
function mergePorts(backends: readonly LbBackend[]): LbBackend[] {
  const byKey = new Map<string, LbBackend>();
  for (const b of backends) {
    const old = byKey.get(backendKey(b));
    const portNames = [...new Set([...(old?.portNames ?? []), ...b.portNames])];
    byKey.set(backendKey(b), { ...(old ?? b), portNames });
  }
  return [...byKey.values()];
}

/** `10.0.0.1:80/TCP`: backends are told apart by it. */
export function backendKey(b: { address: string; port: number; protocol: string }): string {
  return `${hostText(b.address)}:${b.port}/${b.protocol}`;
}

/** `10.96.0.10:80/TCP` and `/i` behind it for the internal scope. */
export function frontendKey(f: { address: string; port: number; protocol: string; scope: LbScope }): string {
  return `${backendKey(f)}${f.scope === "internal" ? "/i" : ""}`;
}

function hostText(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}

// --- a node -------------------------------------------------------------------------------------------------------------

/** The frontends that a node's agent programs, in the order of the cluster's objects, host ports of its pods last. */
export function nodeFrontends(cluster: LbCluster, ctx: LbNodeContext): LbFrontend[] {
  const specs = [...cluster.frontends];
  if (ctx.kubeProxyReplacement) for (const p of ctx.pods) specs.push(...hostPorts(p, ctx));
  const out: LbFrontend[] = [];
  const seen = new Set<string>();
  const add = (spec: LbFrontendSpec, address: string, expanded: boolean): void => {
    const f = nodeFrontend(spec, address, expanded, cluster, ctx);
    // Two services cannot share a frontend: the first one has it.
    if (seen.has(frontendKey(f))) return;
    seen.add(frontendKey(f));
    out.push(f);
  };
  for (const spec of specs) {
    const v6 = spec.address.includes(":");
    if (v6 ? !ctx.ipv6 : !ctx.ipv4) continue;
    // Without kube-proxy replacement a node port belongs to kube-proxy.
    if (spec.type === "NodePort" && !ctx.kubeProxyReplacement) continue;
    add(spec, spec.address, false);
    if ((spec.type === "NodePort" || spec.type === "HostPort") && isUnspecified(spec.address)) {
      for (const a of ctx.nodePortAddresses) {
        const address = canonical(a);
        if (address !== undefined && address.includes(":") === v6) add(spec, address, true);
      }
    }
  }
  return out;
}

function hostPorts(pod: PodModel, ctx: LbNodeContext): LbFrontendSpec[] {
  if (pod.hostNetwork || pod.nodeName !== ctx.nodeName) return [];
  const out: LbFrontendSpec[] = [];
  for (const c of pod.ports) {
    if (c.hostPort === undefined || c.hostPort === 0) continue;
    const ownBackends: LbBackend[] = [pod.ip4, pod.ip6]
      .map((ip) => (ip === undefined ? undefined : canonical(ip)))
      .filter((a) => a !== undefined)
      .map((address) => ({
        address,
        port: c.containerPort,
        protocol: c.protocol,
        portNames: [],
        state: "active",
        nodeName: pod.nodeName,
        zone: "",
        forZones: [],
      }));
    const wanted = c.hostIp === undefined ? undefined : canonical(c.hostIp);
    const loopback = wanted !== undefined && (wanted === "::1" || wanted.startsWith("127."));
    let addresses: string[];
    if (wanted === undefined || isUnspecified(wanted)) addresses = ["0.0.0.0", "::"];
    // A loopback address becomes the surrogate; a flag says what it stands for.
    else addresses = [loopback ? (wanted.includes(":") ? "::" : "0.0.0.0") : wanted];
    const service: LbService = {
      namespace: pod.namespace,
      name: `${pod.name}/host-port/${c.hostPort}`,
      extLocal: false,
      intLocal: false,
      affinitySec: undefined,
      sourceRanges: [],
      sourceRangesDeny: false,
      loopbackHostPort: loopback,
      preferClose: false,
      algorithm: undefined,
      forwardingMode: undefined,
      lbClass: undefined,
    };
    for (const address of addresses) {
      const v6 = address.includes(":");
      if (!ownBackends.some((b) => b.address.includes(":") === v6)) continue;
      out.push({
        service,
        type: "HostPort",
        address,
        port: c.hostPort,
        protocol: c.protocol,
        scope: "external",
        portName: "",
        ownBackends,
      });
    }
  }
  return out;
}

function nodeFrontend(
  spec: LbFrontendSpec,
  address: string,
  expanded: boolean,
  cluster: LbCluster,
  ctx: LbNodeContext,
): LbFrontend {
  const s = spec.service;
  const ipv6 = address.includes(":");
  const backends = chooseBackends(spec, ipv6, cluster, ctx);
  const count = (state: LbBackendState): number => backends.filter((b) => b.state === state).length;
  let activeCount = count("active");
  let inactiveCount = count("terminating-not-serving");
  if (activeCount === 0) activeCount = count("terminating");
  else inactiveCount += count("terminating");

  const surrogate = isUnspecified(address);
  const routable = !surrogate && (spec.type !== "ClusterIP" || ctx.externalClusterIp);
  const checkRanges = s.sourceRanges.length > 0 && spec.type === "LoadBalancer";
  const l7ProxyPort = ctx.l7ProxyPorts?.[`${s.namespace}/${s.name}`];
  const dsr =
    ctx.modeAnnotation && s.forwardingMode !== undefined
      ? s.forwardingMode === "dsr"
      : ctx.mode === "dsr" || (ctx.mode === "hybrid" && spec.protocol === "TCP");
  const flags =
    TYPE_FLAGS[spec.type] |
    (s.extLocal ? SVC_FLAG_EXT_LOCAL_SCOPE : 0) |
    (s.affinitySec !== undefined ? SVC_FLAG_AFFINITY : 0) |
    (routable ? SVC_FLAG_ROUTABLE : 0) |
    (checkRanges ? SVC_FLAG_SOURCE_RANGE : 0);
  const flags2 =
    (spec.type === "LocalRedirect" ? SVC_FLAG_LOCALREDIRECT : 0) |
    (s.intLocal ? SVC_FLAG_INT_LOCAL_SCOPE : 0) |
    (s.extLocal !== s.intLocal && spec.type !== "ClusterIP" ? SVC_FLAG_TWO_SCOPES : 0) |
    (checkRanges && s.sourceRangesDeny ? SVC_FLAG_SOURCE_RANGE_DENY : 0) |
    (l7ProxyPort !== undefined ? SVC_FLAG_L7_LOADBALANCER : 0) |
    (dsr ? SVC_FLAG_FWD_MODE_DSR : 0) |
    (s.loopbackHostPort ? SVC_FLAG_LOOPBACK : 0);
  const own = ctx.algorithmAnnotation ? s.algorithm : undefined;
  return {
    spec,
    address,
    ipv6,
    port: spec.port,
    protocol: spec.protocol,
    scope: spec.scope,
    type: spec.type,
    expanded,
    flags,
    flags2,
    algorithm:
      own === undefined ? LB_SELECTION_DEFAULT : own === "maglev" ? LB_SELECTION_MAGLEV : LB_SELECTION_RANDOM,
    usesMaglev:
      !surrogate &&
      (own !== undefined
        ? own === "maglev"
        : ctx.algorithm === "maglev" && (spec.type !== "ClusterIP" || ctx.externalClusterIp)),
    l7ProxyPort,
    backends,
    activeCount,
    inactiveCount,
  };
}

const TYPE_FLAGS: Readonly<Record<LbServiceType, number>> = {
  ClusterIP: 0,
  NodePort: SVC_FLAG_NODEPORT,
  LoadBalancer: SVC_FLAG_LOADBALANCER,
  ExternalIPs: SVC_FLAG_EXTERNAL_IP,
  HostPort: SVC_FLAG_HOSTPORT,
  LocalRedirect: 0,
};

/** Backends of a frontend in slot order: by state, then by address and port. */
function chooseBackends(
  spec: LbFrontendSpec,
  ipv6: boolean,
  cluster: LbCluster,
  ctx: LbNodeContext,
): LbBackend[] {
  const s = spec.service;
  const all = spec.ownBackends ?? cluster.backends.get(`${s.namespace}/${s.name}`) ?? [];
  const local = onlyLocal(spec);
  let chosen = all.filter(
    (b) =>
      b.protocol === spec.protocol &&
      b.address.includes(":") === ipv6 &&
      (spec.portName === "" || b.portNames.includes(spec.portName)) &&
      (!local || b.nodeName === "" || b.nodeName === ctx.nodeName),
  );
  // Zone hints count only when every backend has one and this zone is among them.
  if (s.preferClose && ctx.zone !== "" && chosen.every((b) => b.forZones.length > 0)) {
    const near = chosen.filter((b) => b.forZones.includes(ctx.zone));
    if (near.length > 0) chosen = near;
  }
  return chosen.sort(
    (a, b) =>
      STATE_ORDER.indexOf(a.state) - STATE_ORDER.indexOf(b.state) ||
      compareAddresses(a.address, b.address) ||
      a.port - b.port,
  );
}

/** Whether a traffic policy leaves only backends of the node itself. */
function onlyLocal(spec: LbFrontendSpec): boolean {
  const s = spec.service;
  // A ClusterIP has no external policy, and its only scope obeys the internal one.
  if (spec.scope === "external") return spec.type === "ClusterIP" ? s.intLocal : s.extLocal;
  return s.intLocal;
}

function compareAddresses(a: string, b: string): number {
  const x = parseAddr(a);
  const y = parseAddr(b);
  for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== y[i]) return x[i]! - y[i]!;
  return x.length - y.length;
}

export function isUnspecified(address: string): boolean {
  return address === "0.0.0.0" || address === "::";
}

/** Canonical text of an address, or undefined. */
function canonical(address: string): string | undefined {
  try {
    return formatAddr(parseAddr(address));
  } catch (e) {
    if (e instanceof PrefixError) return undefined;
    throw e;
  }
}

// --- YAML values --------------------------------------------------------------------------------------------------------

function fields(v: unknown): Fields {
  return typeof v === "object" && v !== null && !Array.isArray(v) ? (v as Fields) : {};
}
function list(v: unknown): readonly unknown[] {
  return Array.isArray(v) ? v : [];
}
function text(v: unknown): string {
  return typeof v === "string" ? v : "";
}
function num(v: unknown): number {
  return typeof v === "number" && Number.isInteger(v) ? v : 0;
}
function protocol(v: unknown): LbProtocol {
  return v === "UDP" || v === "SCTP" ? v : "TCP";
}
