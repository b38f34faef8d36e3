// What the control planes without a BPF datapath share: nodes whose packets cross the kernel only, pods' namespaces,
// and the services that kube-proxy adds.

import type { PerfEventArray } from "../../maps/perf_event_array.js";
import type { StepRecorder } from "../bpf/steps.js";
import { ip_ident_start } from "../kernel/ip_output.js";
import { iptablesRestore, type Unmodelled } from "../kernel/netfilter/iptables.js";
import type { Netns } from "../kernel/netns.js";
import type { ControlPlane, PlaneNode } from "./control_plane.js";
import { podKey } from "./control_plane.js";
import type { Machine, Machines, Sandbox } from "./machines.js";
import type { ClusterModel, NodeModel, PodModel } from "./model.js";
import { setSysctl } from "./netcfg.js";
import type { ClusterOption } from "./option_keys.js";
import { Options } from "./options.js";
import { portmapRules } from "./portmap.js";

/** A node of such a cluster. */
export class LinuxNode implements PlaneNode {
  readonly endpointIds: readonly number[] = [];
  /** No perf ring: there are no programs that write to it. */
  readonly events: PerfEventArray | null = null;
  /** Rules of the node's own iptables text that the kernel model does not know, by rule and line. */
  readonly unmodelled: Unmodelled[] = [];

  constructor(
    readonly name: string,
    readonly model: NodeModel,
    readonly machine: Machine,
  ) {}

  get ns(): Netns {
    return this.machine.ns;
  }

  ifname(ifindex: number): string | undefined {
    return this.machine.ns.dev(ifindex)?.name;
  }

  /** Loads rules on top of those that are there. */
  rules(text: string, file: string): void {
    this.unmodelled.push(...iptablesRestore(this.ns, text, { file, noflush: true }).unmodelled);
  }
}

export abstract class LinuxPlane<N extends LinuxNode = LinuxNode> implements ControlPlane {
  readonly nodes: N[] = [];
  readonly pods = new Map<string, Sandbox>();

  constructor(
    readonly model: ClusterModel,
    readonly machines: Machines,
  ) {}

  setRecorder(recorder: StepRecorder | null): void {
    for (const ns of this.machines.namespaces) if (ns !== undefined) ns.recorder = recorder;
  }

  /** Node of a pod. */
  protected nodeOf(name: string): N {
    return this.nodes.find((n) => n.name === name)!;
  }

  protected addSandbox(s: Sandbox): void {
    this.pods.set(podKey(s.pod.namespace, s.pod.name), s);
    if (s.pod.firstIpId !== undefined) ip_ident_start(s.ns, s.pod.firstIpId);
  }

  /** Host ports of the pods, by the CNI plugin portmap; `subnet` of a pod's address as it is in the pod. */
  protected hostPorts(network: string, subnet: (pod: PodModel) => string): void {
    for (const n of this.nodes) {
      const pods = [...this.pods.values()].filter((s) => s.machine === n.machine).map((s) => s.pod);
      const rules = portmapRules(
        network,
        pods.filter((p) => p.ip4 !== undefined).map((pod) => ({ pod, subnet: subnet(pod) })),
      );
      if (rules === "") continue;
      // A host port answers on 127.0.0.1 too.
      setSysctl(n.ns, "net/ipv4/conf/all/route_localnet", 1);
      n.rules(rules, "portmap");
    }
  }

  /** The scenario's own rules of each node, last as an operator would add them. */
  protected ownRules(): void {
    for (const n of this.nodes)
      if (n.model.iptables !== undefined) n.rules(n.model.iptables, `iptables of ${n.name}`);
  }
}

/** The smallest prefix that holds all the given IPv4 addresses and prefixes; undefined if there are none. */
export function coveringPrefix(cidrs: readonly string[]): string | undefined {
  let lo = 0xffffffff;
  let hi = 0;
  let bits = 32;
  for (const c of cidrs) {
    const [a, len] = c.split("/");
    const n = numberOf(a!);
    const size = 2 ** (32 - Number(len ?? 32));
    lo = Math.min(lo, n - (n % size));
    hi = Math.max(hi, n - (n % size) + size - 1);
  }
  if (hi < lo) return undefined;
  while (bits > 0 && Math.floor(lo / 2 ** (32 - bits)) !== Math.floor(hi / 2 ** (32 - bits))) bits--;
  return `${addressOf(lo - (lo % 2 ** (32 - bits)))}/${bits}`;
}

/** Options of the datapath for a reader that knows the keys `K`. */
export function optionsFor<K extends string>(model: ClusterModel): Options<K> {
  const d = model.datapath;
  return new Options<K>(d.options, "options", d.posOf);
}

/** Where the pods live, as the options say it. */
export function saidClusterCidr(model: ClusterModel): string | undefined {
  const o = optionsFor<ClusterOption>(model);
  return (
    o.cidr("cluster-cidr", 4) ?? o.cidr("ipv4-native-routing-cidr", 4) ?? o.cidr("native-routing-cidr", 4)
  );
}

/** Where the pods live, as far as the rest of the scenario says so. */
export function clusterCidr(model: ClusterModel): string | undefined {
  return (
    saidClusterCidr(model) ??
    coveringPrefix([
      ...model.nodes.flatMap((n) => n.podCidrs.filter((c) => !c.includes(":"))),
      ...model.pods.filter((p) => !p.hostNetwork && p.ip4 !== undefined).map((p) => p.ip4!),
    ])
  );
}

/** An IPv4 address as a number in host order, 0 .. 2^32-1. */
export function numberOf(address: string): number {
  return address.split(".").reduce((n, p) => n * 256 + Number(p), 0);
}

/** Inverse of numberOf. */
export function addressOf(n: number): string {
  return [n / 2 ** 24, n / 65536, n / 256, n].map((x) => Math.floor(x) % 256).join(".");
}

/** The prefix of a length that an address lies in. */
export function prefixOf(address: string, bits: number): string {
  const n = numberOf(address);
  return `${addressOf(n - (n % 2 ** (32 - bits)))}/${bits}`;
}

/** Whether an address (or the first address of a prefix) lies in a prefix. */
export function inPrefix(cidr: string, address: string): boolean {
  const bits = Number(cidr.split("/")[1]);
  return prefixOf(address.split("/")[0]!, bits) === prefixOf(cidr.split("/")[0]!, bits);
}

/** Fields of a YAML value; empty for anything that is not a map. */
export type Fields = Readonly<Record<string, unknown>>;
export const fields = (v: unknown): Fields =>
  typeof v === "object" && v !== null && !Array.isArray(v) ? (v as Fields) : {};
export const list = (v: unknown): readonly unknown[] => (Array.isArray(v) ? v : []);
export const text = (v: unknown): string | undefined =>
  typeof v === "string" && v !== "" ? v : typeof v === "number" ? String(v) : undefined;
export const int = (v: unknown): number | undefined =>
  typeof v === "number" && Number.isInteger(v) ? v : undefined;
export const strings = (v: unknown): string[] => list(v).map((x) => text(x) ?? "");
