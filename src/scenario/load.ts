// A scenario file read: YAML documents to a ClusterModel and the traffic to send, every mistake with its file, line
// and column. Nothing is built here.

import type * as z from "zod/mini";
import { parseDuration } from "../base/duration.js";
import { isPodpathError, PodpathError, type SourcePosition } from "../base/errors.js";
import type {
  ClusterModel,
  ContainerPort,
  DatapathModel,
  FixedIdentity,
  HostModel,
  K8sObject,
  NamespaceModel,
  NetworkModel,
  NicModel,
  NodeModel,
  ObjectMeta,
  PodModel,
  PositionOf,
  TopologyModel,
} from "../cluster/model.js";
import type { Topology } from "../kernel/topology.js";
import { badAddresses } from "./addresses.js";
import {
  ciliumEndpointSchema,
  ciliumIdentitySchema,
  configMapSchema,
  datapathSchema,
  hostSchema,
  labSchema,
  metaSchema,
  networkSchema,
  nodeSchema,
  nodeWiringSchema,
  objectSchema,
  podSchema,
  podWiringSchema,
  serviceSchema,
  type TrafficStep,
  topologySchema,
  trafficSchema,
} from "./schema.js";
import { parseYamlObjects, type YamlObject } from "./yaml.js";

/** Age of nodes that nobody gave one: an hour. In a node's first seconds conntrack withholds its first reports. */
const DEFAULT_UPTIME_NS = 3600e9;

/** The API group of podpath's own kinds. */
export const PODPATH_API = "podpath.dev/v1";

/** A scenario as written: the cluster, what to send, and the lab's own settings. */
export interface Scenario {
  readonly name: string;
  readonly description: string;
  readonly cluster: ClusterModel;
  readonly traffic: readonly TrafficStep[];
  /** Seed of the lab's PRNG when the command line gives none. */
  readonly seed: number;
  /** Nanoseconds since boot at the start. */
  readonly uptimeNs: number;
  /** Nodes whose monitor stream is the scenario's point; empty: all. */
  readonly monitorNodes: readonly string[];
}

/** Kinds that a control plane reads itself (handed on whole). */
const CONTROL_PLANE_KINDS = new Set([
  "Service",
  "Endpoints",
  "EndpointSlice",
  "NetworkPolicy",
  "CiliumNetworkPolicy",
  "CiliumClusterwideNetworkPolicy",
  "CiliumNode",
  "CiliumEgressGatewayPolicy",
  "CiliumCIDRGroup",
  "Tier",
  "GlobalNetworkPolicy",
  "GlobalNetworkSet",
  "NetworkSet",
  "IPPool",
  "IPAMBlock",
  "BlockAffinity",
  "Installation",
  "FelixConfiguration",
  "BGPConfiguration",
  "BGPPeer",
  "HostEndpoint",
  "WorkloadEndpoint",
  "ConfigMap",
]);

/** Kinds of a `kubectl get all` that change no packet. */
const INERT_KINDS = new Set([
  "Deployment",
  "ReplicaSet",
  "ReplicationController",
  "DaemonSet",
  "StatefulSet",
  "Job",
  "CronJob",
  "ServiceAccount",
  "Secret",
  "Role",
  "RoleBinding",
  "ClusterRole",
  "ClusterRoleBinding",
  "CustomResourceDefinition",
  "PersistentVolume",
  "PersistentVolumeClaim",
  "StorageClass",
  "HorizontalPodAutoscaler",
  "PodDisruptionBudget",
  "PriorityClass",
  "Lease",
  "Event",
  "Ingress",
  "IngressClass",
  "LimitRange",
  "ResourceQuota",
  "ValidatingWebhookConfiguration",
  "MutatingWebhookConfiguration",
  "APIService",
]);

const OWN_KINDS = ["Lab", "Datapath", "Network", "NodeWiring", "PodWiring", "Host", "Topology", "Traffic"];

/**
 * Reads a scenario. `file` names it in errors. Throws SCENARIO_INVALID with a position for everything that is wrong.
 */
export function loadScenario(text: string, file: string): Scenario {
  return new Loader(file).load(text);
}

/** What `checkScenario` found: every mistake, in the order of the file; the scenario where there is none. */
export interface ScenarioCheck {
  readonly scenario: Scenario | undefined;
  readonly errors: readonly PodpathError[];
}

/** Reads a scenario to the end and gives all its mistakes, not only the first; a syntax error ends the reading. */
export function checkScenario(text: string, file: string): ScenarioCheck {
  const errors: PodpathError[] = [];
  let scenario: Scenario | undefined;
  try {
    scenario = new Loader(file, errors).load(text);
  } catch (e) {
    if (!isPodpathError(e)) throw e;
    errors.push(e);
  }
  const line = (e: PodpathError): number => e.position?.line ?? Number.MAX_SAFE_INTEGER;
  const column = (e: PodpathError): number => e.position?.column ?? 0;
  errors.sort((a, b) => line(a) - line(b) || column(a) - column(b));
  return { scenario: errors.length === 0 ? scenario : undefined, errors };
}

type Schema<T> = z.ZodMiniType<T>;
type Value<S> = S extends Schema<infer T> ? T : never;

interface Wired<T> {
  readonly spec: T;
  readonly pos: SourcePosition;
  readonly posOf: PositionOf;
  used: boolean;
}

class Loader {
  readonly #nodes: { o: Value<typeof nodeSchema>; y: YamlObject }[] = [];
  readonly #pods: { o: Value<typeof podSchema>; y: YamlObject }[] = [];
  readonly #nodeWiring = new Map<string, Wired<Value<typeof nodeWiringSchema>["spec"]>>();
  readonly #podWiring = new Map<string, Wired<Value<typeof podWiringSchema>["spec"]>>();
  readonly #endpointIds = new Map<string, { id: number | undefined; identity: number | undefined }>();
  readonly #identities: FixedIdentity[] = [];
  readonly #namespaces: NamespaceModel[] = [];
  readonly #networks: NetworkModel[] = [];
  readonly #hosts: HostModel[] = [];
  readonly #topologies: TopologyModel[] = [];
  readonly #objects: K8sObject[] = [];
  readonly #steps: TrafficStep[] = [];
  /** Every address of the scenario and who has it. */
  readonly #addresses = new Map<string, string>();
  readonly #names = new Map<string, SourcePosition>();
  #datapath: Value<typeof datapathSchema>["spec"] = {};
  #datapathPos: SourcePosition | undefined;
  #config: Record<string, string> = {};
  /** Where each option of the datapath stands: in cilium-config, or in the Datapath document, which wins. */
  readonly #configPos = new Map<string, PositionOf>();
  readonly #optionPos = new Map<string, PositionOf>();
  #lab: { name: string; spec: NonNullable<Value<typeof labSchema>["spec"]>; y: YamlObject } | undefined;

  /** Nodes and pods that have a document, right or wrong: what refers to a wrong one is not wrong itself. */
  readonly #written = new Set<string>();

  /** With `found`, mistakes go there and the reading goes on with the next object. */
  constructor(
    private readonly file: string,
    private readonly found?: PodpathError[],
  ) {}

  /** Does one object's part; undefined if it is wrong and mistakes are collected. */
  #part<T>(read: () => T): T | undefined {
    if (this.found === undefined) return read();
    try {
      return read();
    } catch (e) {
      if (!isPodpathError(e)) throw e;
      this.found.push(e);
      return undefined;
    }
  }

  load(text: string): Scenario {
    const objects = parseYamlObjects(text, this.file);
    if (objects.length === 0) {
      throw new PodpathError("SCENARIO_INVALID", "the scenario is empty", {
        file: this.file,
        line: 1,
        column: 1,
      });
    }
    for (const y of objects) {
      this.#part(() => this.#object(y));
      const v = y.value as { kind?: unknown; metadata?: { name?: unknown; namespace?: unknown } } | null;
      const { name, namespace } = v?.metadata ?? {};
      if (v?.kind === "Node") this.#written.add(`Node ${name}`);
      if (v?.kind === "Pod") this.#written.add(`Pod ${namespace ?? "default"}/${name}`);
    }
    const nodes = this.#nodes
      .map((n) => this.#part(() => this.#node(n.o, n.y)))
      .filter((n) => n !== undefined);
    const pods = this.#pods.map((p) => this.#part(() => this.#pod(p.o, p.y))).filter((p) => p !== undefined);
    this.#unused(this.#nodeWiring, "NodeWiring", "Node");
    this.#unused(this.#podWiring, "PodWiring", "Pod");
    const lab = this.#lab;
    const uptime = lab?.spec.uptime === undefined ? DEFAULT_UPTIME_NS : parseDuration(lab.spec.uptime);
    if (uptime === undefined)
      throw this.#bad(lab!.y, ["spec", "uptime"], "is not a duration like 16h or 90s");
    return {
      name: lab?.name ?? this.file,
      description: lab?.spec.description ?? "",
      seed: lab?.spec.seed ?? 1,
      uptimeNs: uptime,
      monitorNodes: lab?.spec.monitor ?? [],
      traffic: this.#steps,
      cluster: {
        name: "default",
        datapath: this.#datapathModel(),
        networks: this.#networks,
        nodes,
        pods,
        hosts: this.#hosts,
        topologies: this.#topologies,
        namespaces: this.#namespaces,
        identities: this.#identities,
        objects: this.#objects,
      },
    };
  }

  #datapathModel(): DatapathModel {
    const d = this.#datapath;
    return {
      name: d.name ?? "cilium-host-routing",
      profile: d.profile ?? "1.19",
      kubeProxy: d.kubeProxy,
      options: { ...this.#config, ...d.options },
      posOf: (option) =>
        this.#optionPos.get(option)?.(["spec", "options", option]) ??
        this.#configPos.get(option)?.(["data", option]),
    };
  }

  #object(y: YamlObject): void {
    const v = y.value as { apiVersion?: unknown; kind?: unknown; metadata?: unknown };
    if (typeof v !== "object" || v === null || Array.isArray(v)) throw this.#bad(y, [], "is not an object");
    if (typeof v.kind !== "string") throw this.#bad(y, [], "has no `kind`");
    if (typeof v.apiVersion !== "string") throw this.#bad(y, [], `${v.kind} has no \`apiVersion\``);
    if (v.apiVersion.startsWith("podpath.dev/")) {
      this.#own(y, v.apiVersion, v.kind);
      return;
    }
    switch (v.kind) {
      case "Node":
        this.#nodes.push({ o: this.#check(nodeSchema, y), y });
        break;
      case "Pod":
        this.#pods.push({ o: this.#check(podSchema, y), y });
        break;
      case "Namespace": {
        const m = this.#meta(y);
        this.#namespaces.push({ name: m.name, labels: m.labels });
        break;
      }
      case "CiliumEndpoint": {
        const o = this.#check(ciliumEndpointSchema, y);
        this.#endpointIds.set(key(o.metadata), { id: o.status?.id, identity: o.status?.identity?.id });
        break;
      }
      case "CiliumIdentity": {
        const o = this.#check(ciliumIdentitySchema, y);
        const id = Number(o.metadata.name);
        if (!Number.isInteger(id) || id < 1 || id > 0xffffffff) {
          throw this.#bad(y, ["metadata", "name"], "of a CiliumIdentity must be its number");
        }
        this.#identities.push({ id, labels: o["security-labels"] });
        break;
      }
      default:
        if (v.kind === "ConfigMap") {
          const o = this.#check(configMapSchema, y);
          if (o.metadata.name === "cilium-config") {
            this.#config = { ...this.#config, ...o.data };
            for (const k of Object.keys(o.data ?? {})) this.#configPos.set(k, y.pos);
          }
        }
        if (CONTROL_PLANE_KINDS.has(v.kind)) {
          this.#check(v.kind === "Service" ? serviceSchema : objectSchema, y);
          this.#objects.push({
            apiVersion: v.apiVersion,
            kind: v.kind,
            metadata: this.#meta(y),
            raw: y.value as Record<string, unknown>,
            pos: y.pos,
          });
        } else if (!INERT_KINDS.has(v.kind)) {
          throw this.#bad(y, ["kind"], `unknown kind ${v.kind} (apiVersion ${v.apiVersion})`);
        }
    }
  }

  #own(y: YamlObject, apiVersion: string, kind: string): void {
    if (apiVersion !== PODPATH_API)
      throw this.#bad(y, ["apiVersion"], `unknown version; podpath's kinds are ${PODPATH_API}`);
    switch (kind) {
      case "Lab": {
        const o = this.#check(labSchema, y);
        if (this.#lab !== undefined) throw this.#bad(y, ["kind"], "a scenario has one Lab document");
        this.#lab = { name: o.metadata.name, spec: o.spec ?? {}, y };
        break;
      }
      case "Datapath": {
        const o = this.#check(datapathSchema, y);
        if (this.#datapathPos !== undefined)
          throw this.#bad(y, ["kind"], "a scenario has one Datapath document");
        this.#datapath = o.spec;
        for (const k of Object.keys(o.spec.options ?? {})) this.#optionPos.set(k, y.pos);
        this.#datapathPos = y.pos();
        break;
      }
      case "Network": {
        const o = this.#check(networkSchema, y);
        this.#unique(`Network ${o.metadata.name}`, y);
        if (o.spec.gateway !== undefined)
          this.#address(o.spec.gateway, `router of network ${o.metadata.name}`, y, ["spec", "gateway"]);
        this.#networks.push({
          name: o.metadata.name,
          cidr: o.spec.cidr,
          gateway: o.spec.gateway,
          dropProtocols: o.spec.dropProtocols ?? [],
          posOf: y.pos,
        });
        break;
      }
      case "NodeWiring": {
        const o = this.#check(nodeWiringSchema, y);
        this.#unique(`NodeWiring ${o.metadata.name}`, y);
        o.spec.nics?.forEach((nic, i) => {
          nic.addresses?.forEach((a, k) => {
            this.#address(a, `node ${o.metadata.name}`, y, ["spec", "nics", i, "addresses", k]);
          });
        });
        this.#nodeWiring.set(o.metadata.name, { spec: o.spec, pos: y.pos(), posOf: y.pos, used: false });
        break;
      }
      case "PodWiring": {
        const o = this.#check(podWiringSchema, y);
        this.#unique(`PodWiring ${key(o.metadata)}`, y);
        this.#podWiring.set(key(o.metadata), { spec: o.spec, pos: y.pos(), posOf: y.pos, used: false });
        break;
      }
      case "Host":
        this.#host(this.#check(hostSchema, y), y);
        break;
      case "Topology": {
        const o = this.#check(topologySchema, y);
        this.#unique(`Host ${o.metadata.name}`, y);
        const netns = Object.fromEntries(Object.entries(o.spec.netns).map(([k, v]) => [k, v ?? {}]));
        this.#topologies.push({
          name: o.metadata.name,
          // Absent and undefined fields are the same to what reads it.
          spec: { ...o.spec, netns } as Topology,
          pos: y.pos(),
        });
        break;
      }
      case "Traffic": {
        const o = this.#check(trafficSchema, y);
        o.spec.steps.forEach((s, i) => {
          const at = ["spec", "steps", i];
          const kind = (["ping", "udp", "tcp", "listen", "exec", "wait"] as const).find(
            (k) => s[k] !== undefined,
          )!;
          const interval = s.ping?.interval ?? s.udp?.interval;
          if (interval !== undefined && parseDuration(interval) === undefined)
            throw this.#bad(y, [...at, kind, "interval"], "is not a duration like 5s or 100ms");
          const pos: PositionOf = (path = []) => y.pos([...at, kind, ...path]);
          if (s.ping !== undefined) this.#steps.push({ kind: "ping", spec: s.ping, pos });
          else if (s.udp !== undefined) this.#steps.push({ kind: "udp", spec: s.udp, pos });
          else if (s.tcp !== undefined) this.#steps.push({ kind: "tcp", spec: s.tcp, pos });
          else if (s.listen !== undefined) this.#steps.push({ kind: "listen", spec: s.listen, pos });
          else if (s.exec !== undefined) this.#steps.push({ kind: "exec", spec: s.exec, pos });
          else {
            const ns = parseDuration(s.wait!);
            if (ns === undefined) throw this.#bad(y, [...at, "wait"], "is not a duration like 5s or 1h30m");
            this.#steps.push({ kind: "wait", ns, pos });
          }
        });
        break;
      }
      default:
        throw this.#bad(y, ["kind"], `unknown kind ${kind}; podpath's own are ${OWN_KINDS.join(", ")}`);
    }
  }

  #host(o: Value<typeof hostSchema>, y: YamlObject): void {
    this.#unique(`Host ${o.metadata.name}`, y);
    const s = o.spec;
    const nics: NicModel[] =
      s.nics?.map((n, i) => {
        n.addresses?.forEach((a, k) => {
          this.#address(a, `host ${o.metadata.name}`, y, ["spec", "nics", i, "addresses", k]);
        });
        return nicModel(n, n.addresses ?? []);
      }) ?? [];
    if (nics.length === 0) {
      if (s.addresses === undefined || s.addresses.length === 0)
        throw this.#bad(y, ["spec"], "a Host needs `addresses` or `nics`");
      s.addresses.forEach((a, k) => {
        this.#address(a, `host ${o.metadata.name}`, y, ["spec", "addresses", k]);
      });
      nics.push(nicModel({ name: "eth0", mac: s.mac, network: s.network }, s.addresses));
    }
    this.#hosts.push({
      name: o.metadata.name,
      nics,
      gateway: s.gateway,
      gatewayIPv6: s.gatewayIPv6,
      routes: s.routes ?? [],
      router: s.router ?? false,
      setup: s.setup,
      pos: y.pos(),
      posOf: y.pos,
    });
  }

  #node(o: Value<typeof nodeSchema>, y: YamlObject): NodeModel {
    const name = o.metadata.name;
    this.#unique(`Node ${name}`, y);
    const wiring = this.#nodeWiring.get(name);
    if (wiring !== undefined) wiring.used = true;
    const w = wiring?.spec ?? {};
    let ip4: string | undefined;
    let ip6: string | undefined;
    const internal: string[] = [];
    o.status?.addresses?.forEach((a, i) => {
      if (a.type !== "InternalIP") return;
      this.#address(a.address, `node ${name}`, y, ["status", "addresses", i, "address"]);
      internal.push(a.address);
      if (a.address.includes(":")) ip6 ??= a.address;
      else ip4 ??= a.address;
    });
    if (ip4 === undefined && ip6 === undefined) {
      const first = w.nics?.flatMap((n) => n.addresses ?? []) ?? [];
      ip4 = first.map(bare).find((a) => !a.includes(":"));
      ip6 = first.map(bare).find((a) => a.includes(":"));
    }
    if (ip4 === undefined && ip6 === undefined) {
      throw this.#bad(
        y,
        ["status"],
        `node ${name} has no InternalIP (status.addresses) and no NodeWiring with addresses`,
      );
    }
    const podCidrs = o.spec?.podCIDRs ?? (o.spec?.podCIDR === undefined ? [] : [o.spec.podCIDR]);
    const nics =
      w.nics !== undefined && w.nics.length > 0
        ? w.nics.map((n, i) => nicModel(n, n.addresses ?? (i === 0 ? internal : [])))
        : [nicModel({ name: "eth0" }, internal)];
    return {
      name,
      labels: o.metadata.labels ?? {},
      annotations: o.metadata.annotations ?? {},
      internalIp4: ip4,
      internalIp6: ip6,
      podCidrs,
      nics,
      gateway: w.gateway,
      gatewayIPv6: w.gatewayIPv6,
      cpus: w.cpus ?? 4,
      hostEndpointId: w.hostEndpointId,
      routerIp4: w.routerIP,
      routerIp6: w.routerIPv6,
      ciliumHostMac: w.ciliumHostMac,
      ciliumNetMac: w.ciliumNetMac,
      sysctls: w.sysctls ?? {},
      iptables: w.iptables,
      setup: w.setup,
      pos: y.pos(),
      posOf: y.pos,
      wiringPosOf: wiring?.posOf,
    };
  }

  #pod(o: Value<typeof podSchema>, y: YamlObject): PodModel | undefined {
    const k = key(o.metadata);
    this.#unique(`Pod ${k}`, y);
    const phase = o.status?.phase;
    if (phase === "Succeeded" || phase === "Failed") return undefined;
    const nodeName = o.spec?.nodeName;
    const ips = o.status?.podIPs?.map((p) => p.ip) ?? (o.status?.podIP === undefined ? [] : [o.status.podIP]);
    // Not scheduled, or its sandbox is being made: such a pod sends nothing yet.
    if (phase === "Pending" && (nodeName === undefined || ips.length === 0)) return undefined;
    if (nodeName === undefined) throw this.#bad(y, ["spec"], `pod ${k} has no node (spec.nodeName)`);
    if (!this.#written.has(`Node ${nodeName}`))
      throw this.#bad(
        y,
        ["spec", "nodeName"],
        `pod ${k} is on node ${nodeName}, which the scenario does not have`,
      );
    const hostNetwork = o.spec?.hostNetwork ?? false;
    if (!hostNetwork) {
      ips.forEach((a, i) => {
        this.#address(
          a,
          `pod ${k}`,
          y,
          o.status?.podIPs === undefined ? ["status", "podIP"] : ["status", "podIPs", i, "ip"],
        );
      });
      if (ips.length === 0) throw this.#bad(y, ["status"], `pod ${k} has no address (status.podIP)`);
    }
    const ports: ContainerPort[] = [];
    for (const c of o.spec?.containers ?? []) {
      for (const p of c.ports ?? []) {
        ports.push({
          name: p.name,
          containerPort: p.containerPort,
          hostPort: p.hostPort,
          hostIp: p.hostIP,
          protocol: p.protocol ?? "TCP",
        });
      }
    }
    const wiring = this.#podWiring.get(k);
    if (wiring !== undefined) wiring.used = true;
    const w = wiring?.spec ?? {};
    const ready = o.status?.conditions?.find((c) => c.type === "Ready");
    return {
      namespace: o.metadata.namespace ?? "default",
      name: o.metadata.name,
      labels: o.metadata.labels ?? {},
      annotations: o.metadata.annotations ?? {},
      nodeName,
      hostNetwork,
      serviceAccount: o.spec?.serviceAccountName ?? "default",
      ip4: ips.find((a) => !a.includes(":")),
      ip6: ips.find((a) => a.includes(":")),
      ports,
      ready: ready === undefined || ready.status === "True",
      mac: w.mac,
      hostMac: w.hostMac,
      hostInterface: w.hostInterface,
      hostIfindex: w.hostIfindex,
      podIfindex: w.podIfindex,
      mtu: w.mtu,
      endpointId: w.endpointId ?? this.#endpointIds.get(k)?.id,
      identity: this.#endpointIds.get(k)?.identity,
      firstIpId: w.firstIpId,
      pos: y.pos(),
    };
  }

  #meta(y: YamlObject): ObjectMeta {
    const o = y.value as { metadata?: unknown };
    if (o.metadata === undefined) throw this.#bad(y, [], "has no `metadata`");
    const m = this.#check(metaSchema, { value: o.metadata, pos: (p = []) => y.pos(["metadata", ...p]) });
    return {
      name: m.name,
      namespace: m.namespace ?? "default",
      labels: m.labels ?? {},
      annotations: m.annotations ?? {},
    };
  }

  /** The object checked against its schema; the first mistake is thrown with its position. */
  #check<T>(schema: Schema<T>, y: YamlObject): T {
    const r = schema.safeParse(y.value);
    const issues = r.success ? [] : r.error.issues.flatMap((issue) => this.#issue(issue, y));
    const [first, ...more] = [...issues, ...this.#badAddresses(y)];
    if (r.success && first === undefined) return r.data;
    this.found?.push(...more);
    throw first!;
  }

  #badAddresses(y: YamlObject): PodpathError[] {
    return badAddresses(y.value).map((b) => this.#bad(y, b.path, b.message));
  }

  /** The errors of one of zod's issues: several unknown fields of a map are one issue. */
  #issue(issue: z.core.$ZodIssue, y: YamlObject): PodpathError[] {
    if (issue.code === "unrecognized_keys")
      return issue.keys.map((k) =>
        this.#bad(y, [...(issue.path as (string | number)[]), k], "unknown field"),
      );
    const path = issue.path.map((p) => (typeof p === "number" ? p : String(p)));
    let message = issue.message;
    if (issue.code === "invalid_type") {
      message = valueAt(y.value, path) === undefined ? "is missing" : `must be ${article(issue.expected)}`;
    } else if (issue.code === "invalid_value") {
      message = `must be one of ${issue.values.map(String).join(", ")}`;
    } else if (issue.code === "too_small") {
      message =
        issue.origin === "string" && Number(issue.minimum) <= 1
          ? "must not be empty"
          : `must be at least ${issue.minimum}${issue.origin === "string" ? " characters long" : ""}`;
    } else if (issue.code === "too_big") {
      message = `must be at most ${issue.maximum}${issue.origin === "string" ? " characters long" : ""}`;
    }
    return [this.#bad(y, path, message)];
  }

  #bad(y: YamlObject, path: readonly (string | number)[], message: string): PodpathError {
    const text = path.length === 0 ? message : `${dotted(path)}: ${message}`;
    return new PodpathError("SCENARIO_INVALID", text, y.pos(path));
  }

  #unique(what: string, y: YamlObject): void {
    const before = this.#names.get(what);
    if (before !== undefined) {
      throw this.#bad(y, ["metadata", "name"], `${what} is already defined at line ${before.line}`);
    }
    this.#names.set(what, y.pos());
  }

  #address(text: string, owner: string, y: YamlObject, path: readonly (string | number)[]): void {
    const a = bare(text);
    const k = a.includes(":") ? a.toLowerCase() : a;
    const before = this.#addresses.get(k);
    if (before !== undefined && before !== owner)
      throw this.#bad(y, path, `address ${a} is already taken by ${before}`);
    this.#addresses.set(k, owner);
  }

  #unused(m: ReadonlyMap<string, Wired<unknown>>, kind: string, of: string): void {
    for (const [name, w] of m) {
      if (w.used || this.#written.has(`${of} ${name}`)) continue;
      this.#part(() => {
        throw new PodpathError("SCENARIO_INVALID", `${kind} ${name}: the scenario has no such ${of}`, w.pos);
      });
    }
  }
}

function nicModel(
  n: {
    name: string;
    mac?: string | undefined;
    network?: string | undefined;
    mtu?: number | undefined;
    rxCpu?: number | undefined;
    ifindex?: number | undefined;
    metric?: number | undefined;
  },
  addresses: readonly string[],
): NicModel {
  return {
    name: n.name,
    mac: n.mac,
    addresses,
    network: n.network ?? "lan",
    mtu: n.mtu ?? 1500,
    rxCpu: n.rxCpu,
    ifindex: n.ifindex,
    metric: n.metric,
  };
}

function key(m: { name: string; namespace?: string | undefined }): string {
  return `${m.namespace ?? "default"}/${m.name}`;
}

function bare(address: string): string {
  const i = address.indexOf("/");
  return i < 0 ? address : address.slice(0, i);
}

function valueAt(v: unknown, path: readonly (string | number)[]): unknown {
  let x: unknown = v;
  for (const p of path) {
    if (typeof x !== "object" || x === null) return undefined;
    x = (x as Record<string | number, unknown>)[p];
  }
  return x;
}

function dotted(path: readonly (string | number)[]): string {
  let s = "";
  for (const p of path) s += typeof p === "number" ? `[${p}]` : s === "" ? p : `.${p}`;
  return s;
}

function article(type: string): string {
  const words: Record<string, string> = {
    record: "a map",
    object: "a map",
    int: "a whole number",
    array: "a list",
  };
  return words[type] ?? `a ${type}`;
}
