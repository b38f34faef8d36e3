// Reachability of every pod to every pod and service, over IPv4 and IPv6. Pods that no part of the cluster can tell apart
// (matrix_classes.ts) form a class; one real flow is sent for each pair of classes (matrix_probe.ts), and its answer holds
// for all their pods.

import { PodpathError } from "../base/errors.js";
import { type LbBackend, type LbCluster, readServices } from "../cluster/cilium/services.js";
import type { NodeModel, PodModel } from "../cluster/model.js";
import { formatIp, formatIpv4, formatIpv6, tryParseIp, tryParseIpv4, tryParseIpv6 } from "../net/address.js";
import type { Destination } from "../scenario/clients.js";
import type { Scenario } from "../scenario/load.js";
import { classKeys } from "./matrix_classes.js";

/** A port that is asked for; ICMP echo has port 0. */
export interface MatrixPort {
  readonly port: number;
  readonly protocol: "tcp" | "udp" | "icmp";
  readonly ipv6: boolean;
}

/** A port as it is asked for: over both families where `ipv6` is left out. */
export type AskedPort = Omit<MatrixPort, "ipv6"> & { readonly ipv6?: boolean };

/** Closed, open, (a service) open to some of its backends only, or no address of that family at one end. */
export const CLOSED = 0;
export const OPEN = 1;
export const PARTIAL = 2;
export const NO_ADDRESS = 3;
export const VERDICT_NAMES = ["closed", "open", "partial", "none"] as const;

/**
 * One flow to send, or several to a service. Its outcome is a byte at `slot` of the answers, OPEN if it was answered. Of
 * a service: OPEN at `slot` if one flow was answered, at `slot + 1` if one was not, at `slot + 2 + i` if backend i took one.
 */
export interface Probe {
  readonly slot: number;
  readonly from: number;
  /** A pod's number, or -1 for a service's address. */
  readonly pod: number;
  readonly to: Destination;
  readonly port: MatrixPort;
  /** Of a service: who may answer (pods; others are not seen answering). */
  readonly backends: readonly BackendEnd[] | undefined;
  /** A flow may come back to its own pod. */
  readonly itself: boolean;
}

/** A pod behind a service. */
export interface BackendEnd {
  readonly pod: number;
  readonly port: number;
}

export interface ServiceEnd extends Destination {
  readonly name: string;
  readonly key: string;
}

/** `80/tcp`, `53/udp`, `icmp`, over one family `80/tcp4`, `icmp6`. @throws PodpathError USAGE */
export function parseMatrixPort(text: string): AskedPort {
  const m = /^(?:(icmp)|(\d+)(?:\/(tcp|udp))?)([46])?$/i.exec(text);
  const port = m?.[1] === undefined ? Number(m?.[2]) : 0;
  // A family behind the number alone would be read as a digit of it.
  if (
    m === null ||
    (m[1] === undefined && (port < 1 || port > 65535 || (m[3] === undefined && m[4] !== undefined)))
  )
    throw new PodpathError("USAGE", `--port ${text}: write it like 80/tcp, 53/udp or icmp`);
  const protocol = (m[1] ?? m[3] ?? "tcp").toLowerCase() as MatrixPort["protocol"];
  return { port, protocol, ...(m[4] === undefined ? {} : { ipv6: m[4] === "6" }) };
}

/** As it is written; IPv6 shows as a 6 behind the protocol. */
export function portText(p: AskedPort): string {
  const text = p.protocol === "icmp" ? "icmp" : `${p.port}/${p.protocol}`;
  return p.ipv6 === true ? `${text}6` : text;
}

/** What to send and how the answers make a matrix. The same scenario and ports give the same plan everywhere. */
export class MatrixPlan {
  /** Pods with an address, in the order of the scenario. */
  readonly pods: readonly PodModel[];
  /** Their addresses: those of their node for pods in its network. */
  readonly addresses: readonly Destination[];
  readonly podNames: readonly string[];
  readonly services: readonly ServiceEnd[];
  /** Class of each pod. */
  readonly classOf: Int32Array;
  /** Pods of each class. */
  readonly classes: readonly (readonly number[])[];
  readonly probes: readonly Probe[];
  /** Each port over each family that it is asked for over, IPv6 only where a pod has such an address. */
  readonly ports: readonly MatrixPort[];
  /** Bytes of the answers. */
  readonly slots: number;
  readonly #index = new Map<string, number>();
  readonly #cluster: LbCluster;
  readonly #podByIp = new Map<string, number>();

  /** With `exhaustive`, every pod is a class of its own. */
  constructor(
    readonly scenario: Scenario,
    asked: readonly AskedPort[],
    exhaustive = false,
  ) {
    const model = scenario.cluster;
    const nodes = new Map(model.nodes.map((n) => [n.name, n]));
    const ends = model.pods.map((pod) => ({ pod, texts: addressesOf(pod, nodes.get(pod.nodeName)) }));
    const known = ends.filter(({ texts }) => texts.some((t) => t !== undefined));
    this.pods = known.map((e) => e.pod);
    this.addresses = known.map(({ texts: [ip4, ip6] }) => destination(ip4, ip6));
    this.podNames = this.pods.map((p) => `pod/${p.namespace}/${p.name}`);
    known.forEach(({ texts }, i) => {
      for (const t of texts)
        if (t !== undefined && !this.#podByIp.has(plain(t))) this.#podByIp.set(plain(t), i);
    });
    const six = this.pods.some((p) => p.ip6 !== undefined);
    const ports = new Map<string, MatrixPort>();
    for (const p of asked)
      for (const ipv6 of p.ipv6 === undefined ? (six ? [false, true] : [false]) : [p.ipv6])
        ports.set(portText({ ...p, ipv6 }), { ...p, ipv6 });
    this.ports = [...ports.values()];
    const keyOf = exhaustive ? (p: PodModel) => `${p.namespace}/${p.name}` : classKeys(scenario);
    const byKey = new Map<string, number>();
    const classes: number[][] = [];
    this.classOf = Int32Array.from(this.pods, (p, i) => {
      const key = keyOf(p);
      let c = byKey.get(key);
      if (c === undefined) {
        c = classes.length;
        byKey.set(key, c);
        classes.push([]);
      }
      classes[c]!.push(i);
      return c;
    });
    this.classes = classes;
    this.#cluster = readServices(model.objects, model.pods);
    this.services = model.objects.flatMap((o) => {
      if (o.kind !== "Service") return [];
      const spec = o.raw.spec as { clusterIP?: unknown; clusterIPs?: unknown } | undefined;
      const more = Array.isArray(spec?.clusterIPs) ? (spec.clusterIPs as unknown[]) : [];
      const ips = [spec?.clusterIP, ...more].filter((x) => typeof x === "string");
      const to = destination(
        ips.find((x) => tryParseIpv4(x) !== undefined),
        ips.find((x) => tryParseIpv6(x) !== undefined),
      );
      const key = `${o.metadata.namespace}/${o.metadata.name}`;
      return to.ip4 === 0 && to.ip6 === undefined ? [] : [{ name: `service/${key}`, ...to, key }];
    });

    const probes: Probe[] = [];
    let slots = 0;
    const add = (key: string, p: Omit<Probe, "slot">): void => {
      if (this.#index.has(key)) return;
      this.#index.set(key, probes.length);
      probes.push({ ...p, slot: slots });
      slots += p.backends === undefined ? 1 : 2 + p.backends.length;
    };
    const addPair = (from: number, to: number, port: MatrixPort): void => {
      const key = this.#pairKey(from, to, port);
      if (this.#index.has(key) || !has(this.addresses[from]!, port) || !has(this.addresses[to]!, port))
        return;
      const [a, b] = this.#representatives(from, to);
      add(key, { from: a, pod: b, to: this.addresses[b]!, port, backends: undefined, itself: a === b });
    };
    for (const port of this.ports) {
      for (const a of classes) {
        for (const b of classes) {
          if (a !== b || a.length > 1) addPair(a[0]!, a === b ? a[1]! : b[0]!, port);
        }
        addPair(a[0]!, a[0]!, port);
      }
      for (const s of this.services) {
        if (!has(s, port)) continue;
        const seen = new Set<string>();
        this.pods.forEach((_, from) => {
          if (!has(this.addresses[from]!, port)) return;
          const key = this.#serviceKey(from, s, port);
          if (seen.has(key)) return;
          seen.add(key);
          const all = this.#backends(from, s, port);
          const itself = this.#meetsItself(from, all);
          const backends = all.flatMap((b) => {
            const pod = this.#podOf(b);
            return pod === undefined ? [] : [{ pod, port: b.port }];
          });
          add(key, { from, pod: -1, to: s, port, backends, itself });
          for (const b of backends) {
            if (b.pod !== from) addPair(from, b.pod, { ...port, port: b.port });
          }
        });
      }
    }
    this.probes = probes;
    this.slots = slots;
  }

  /** Verdict of a pod to a pod from the probes' answers. */
  podVerdict(answers: Uint8Array, from: number, to: number, port: MatrixPort): number {
    const probe = this.probes[this.#index.get(this.#pairKey(from, to, port)) ?? -1];
    return probe === undefined ? NO_ADDRESS : answers[probe.slot]!;
  }

  /**
   * Verdict of a pod to a service. Flows through the service are the judge: open if all were answered and each backend
   * took one, or is known to be open to the pod where chance did not lead there; closed if none was answered. A pod's
   * way to itself counts only where it is the only one.
   */
  serviceVerdict(answers: Uint8Array, from: number, s: ServiceEnd, port: MatrixPort): number {
    const probe = this.probes[this.#index.get(this.#serviceKey(from, s, port)) ?? -1];
    if (probe === undefined) return NO_ADDRESS;
    const { slot, itself } = probe;
    const through = answers[slot]!;
    const all = this.#backends(from, s, port);
    const pods = all.map((b) => this.#podOf(b));
    const backends = probe.backends ?? [];
    // The flows were another pod's of the class, perhaps: what that one is to this one, this one was to that.
    const took = (b: BackendEnd): boolean => {
      const pod = b.pod === probe.from ? from : b.pod;
      const i = backends.findIndex((x) => x.pod === pod && x.port === b.port);
      return answers[slot + 2 + i] === OPEN;
    };
    const foreign = backends.filter((b) => b.pod !== from);
    if (foreign.length === 0 || pods.includes(undefined)) return through;
    const direct = (b: BackendEnd): boolean =>
      this.podVerdict(answers, from, b.pod, { ...port, port: b.port }) === OPEN;
    const open = foreign.filter((b) => took(b) || direct(b)).length;
    if (through === CLOSED || (itself && !foreign.some(took))) {
      // Every flow met a closed backend, it seems: a service that leads anywhere would lead to an open one in time.
      return open > 0 && open < foreign.length && this.#leads(answers, s, port) ? PARTIAL : CLOSED;
    }
    return open === foreign.length && (itself || answers[slot + 1] !== OPEN) ? OPEN : PARTIAL;
  }

  /** Whether anybody got through to the service. */
  #leads(answers: Uint8Array, s: ServiceEnd, port: MatrixPort): boolean {
    const text = portText(port);
    return this.probes.some(
      (p) => p.pod < 0 && p.to === s && answers[p.slot] === OPEN && portText(p.port) === text,
    );
  }

  /** Ports that pods must answer on, by pod: those asked for, and what services lead to. */
  servers(): { readonly pod: number; readonly port: ServerPort }[] {
    const out = new Map<string, { pod: number; port: ServerPort }>();
    const need = (pod: number, { port, protocol }: MatrixPort): void => {
      if (protocol !== "icmp") out.set(`${pod} ${port}/${protocol}`, { pod, port: { port, protocol } });
    };
    for (const p of this.probes) if (p.pod >= 0) need(p.pod, p.port);
    for (const s of this.services) {
      for (const port of this.ports) {
        for (const b of this.#backends(undefined, s, port)) {
          const pod = this.#podOf(b);
          if (pod !== undefined) need(pod, { ...port, port: b.port });
        }
      }
    }
    return [...out.values()];
  }

  /** Backends that a pod's connection to a service may go to. */
  #backends(from: number | undefined, s: ServiceEnd, port: MatrixPort): LbBackend[] {
    const { frontends, backends } = this.#cluster;
    const out = new Map<string, LbBackend>();
    for (const f of frontends) {
      const key = `${f.service.namespace}/${f.service.name}`;
      if (key !== s.key || f.port !== port.port || f.protocol.toLowerCase() !== port.protocol) continue;
      if (plain(f.address) !== textOf(s, port)) continue;
      for (const b of backends.get(key) ?? []) {
        if (f.portName !== "" && !b.portNames.includes(f.portName)) continue;
        if (b.protocol.toLowerCase() !== port.protocol || b.state !== "active") continue;
        if (b.address.includes(":") !== port.ipv6) continue;
        out.set(`${b.address}:${b.port}`, b);
      }
    }
    const all = [...out.values()];
    if (from === undefined || !this.#local(s)) return all;
    return all.filter((b) => b.nodeName === this.pods[from]!.nodeName);
  }

  #local(s: ServiceEnd): boolean {
    const o = this.scenario.cluster.objects.find(
      (x) => x.kind === "Service" && `${x.metadata.namespace}/${x.metadata.name}` === s.key,
    );
    return (
      (o?.raw.spec as { internalTrafficPolicy?: unknown } | undefined)?.internalTrafficPolicy === "Local"
    );
  }

  #podOf(b: LbBackend): number | undefined {
    return this.#podByIp.get(plain(b.address));
  }

  #meetsItself(from: number, backends: readonly LbBackend[]): boolean {
    const own = this.addresses[from]!;
    return backends.some((b) => plain(b.address) === textOf(own, { ipv6: b.address.includes(":") }));
  }

  #pairKey(from: number, to: number, port: MatrixPort): string {
    const to2 = from === to ? "self" : this.classOf[to]!;
    return `${this.classOf[from]!} ${to2} ${portText(port)}`;
  }

  /** A backend of the service may meet itself behind it: such pods are apart from the rest of their class. */
  #serviceKey(from: number, s: ServiceEnd, port: MatrixPort): string {
    const itself = this.#meetsItself(from, this.#backends(from, s, port));
    return `${this.classOf[from]!} ${s.name} ${itself ? "itself " : ""}${portText(port)}`;
  }

  #representatives(from: number, to: number): [number, number] {
    const a = this.classes[this.classOf[from]!]!;
    const b = this.classes[this.classOf[to]!]!;
    if (from === to) return [a[0]!, a[0]!];
    return a === b ? [a[0]!, a[1]!] : [a[0]!, b[0]!];
  }
}

/** A port that a server listens on, over both families. */
export interface ServerPort {
  readonly port: number;
  readonly protocol: "tcp" | "udp";
}

function addressesOf(p: PodModel, node: NodeModel | undefined): [string | undefined, string | undefined] {
  return p.hostNetwork ? [node?.internalIp4, node?.internalIp6] : [p.ip4, p.ip6];
}

function destination(ip4: string | undefined, ip6: string | undefined): Destination {
  return {
    ip4: (ip4 === undefined ? undefined : tryParseIpv4(ip4)) ?? 0,
    ip6: ip6 === undefined ? undefined : tryParseIpv6(ip6),
  };
}

function has(d: Destination, { ipv6 }: MatrixPort): boolean {
  return ipv6 ? d.ip6 !== undefined : d.ip4 !== 0;
}

/** An address in the one form that compares equal. */
function plain(address: string): string {
  const ip = tryParseIp(address);
  return ip === undefined ? address : formatIp(ip);
}

function textOf(d: Destination, { ipv6 }: Pick<MatrixPort, "ipv6">): string | undefined {
  if (ipv6) return d.ip6 === undefined ? undefined : formatIpv6(d.ip6);
  return d.ip4 === 0 ? undefined : formatIpv4(d.ip4);
}
