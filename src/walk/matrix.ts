// Reachability of every pod to every pod and service. Pods that no part of the cluster can tell apart (same node, same
// identity, same addresses as far as any rule names them) form a class; one real flow is sent for each pair of classes,
// and its answer holds for all their pods.

import { PodpathError } from "../base/errors.js";
import { isCiliumDatapath } from "../cluster/cilium/agent_config.js";
import { podIdentityLabels } from "../cluster/cilium/identity.js";
import { type LbBackend, type LbCluster, readServices } from "../cluster/cilium/services.js";
import type { ClusterModel, PodModel } from "../cluster/model.js";
import type { Netns } from "../kernel/netns.js";
import { Ping } from "../kernel/raw.js";
import { TCP_CLOSE, TcpSock } from "../kernel/tcp.js";
import { UdpSock } from "../kernel/udp.js";
import type { Lab } from "../lab.js";
import { networkOf4, parseIpv4, tryParseIpv4 } from "../net/address.js";
import type { Scenario } from "../scenario/load.js";
import { prepare } from "./flow.js";

/** A port that is asked for; ICMP echo has port 0. */
export interface MatrixPort {
  readonly port: number;
  readonly protocol: "tcp" | "udp" | "icmp";
}

/** Closed, open, or (a service) open to some of its backends only. */
export const CLOSED = 0;
export const OPEN = 1;
export const PARTIAL = 2;
export const VERDICT_NAMES = ["closed", "open", "partial"] as const;

/** One flow to send. `to` is a pod's number, or -1 for a service's address. */
interface Probe {
  readonly from: number;
  readonly to: number;
  readonly ip4: number;
  readonly port: MatrixPort;
  /** Flows sent until one gets through. */
  readonly tries: number;
}

interface ServiceEnd {
  readonly name: string;
  readonly ip4: number;
  readonly key: string;
}

/** Virtual time that an answer may take; nothing in a lab is slower, and a SYN is sent again only after a second. */
const WAIT_NS = 100_000_000;

/** Flows sent to a service until one gets through. */
const FEW_TRIES = 4;
const MANY_TRIES = 24;

/** `80/tcp`, `53/udp`, `icmp`. @throws PodpathError USAGE */
export function parseMatrixPort(text: string): MatrixPort {
  if (text.toLowerCase() === "icmp") return { port: 0, protocol: "icmp" };
  const m = /^(\d+)(?:\/(tcp|udp))?$/i.exec(text);
  const port = Number(m?.[1]);
  if (m === null || port < 1 || port > 65535)
    throw new PodpathError("USAGE", `--port ${text}: write it like 80/tcp, 53/udp or icmp`);
  return { port, protocol: (m[2] ?? "tcp").toLowerCase() as "tcp" | "udp" };
}

export function portText(p: MatrixPort): string {
  return p.protocol === "icmp" ? "icmp" : `${p.port}/${p.protocol}`;
}

/** What to send and how the answers make a matrix. The same scenario and ports give the same plan everywhere. */
export class MatrixPlan {
  /** Pods with an IPv4 address of their own, in the order of the scenario. */
  readonly pods: readonly PodModel[];
  readonly podNames: readonly string[];
  readonly services: readonly ServiceEnd[];
  /** Class of each pod. */
  readonly classOf: Int32Array;
  /** Pods of each class. */
  readonly classes: readonly (readonly number[])[];
  readonly probes: readonly Probe[];
  readonly #index = new Map<string, number>();
  readonly #cluster: LbCluster;
  readonly #podByIp = new Map<string, number>();

  /** With `exhaustive`, every pod is a class of its own. */
  constructor(
    readonly scenario: Scenario,
    readonly ports: readonly MatrixPort[],
    exhaustive = false,
  ) {
    const model = scenario.cluster;
    this.pods = model.pods.filter((p) => !p.hostNetwork && p.ip4 !== undefined);
    this.podNames = this.pods.map((p) => `pod/${p.namespace}/${p.name}`);
    this.pods.forEach((p, i) => {
      this.#podByIp.set(p.ip4!, i);
    });
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
      const ip = (o.raw.spec as { clusterIP?: unknown } | undefined)?.clusterIP;
      const ip4 = typeof ip === "string" ? tryParseIpv4(ip) : undefined;
      const key = `${o.metadata.namespace}/${o.metadata.name}`;
      return ip4 === undefined ? [] : [{ name: `service/${key}`, ip4, key }];
    });

    const probes: Probe[] = [];
    const add = (key: string, p: Probe): void => {
      if (this.#index.has(key)) return;
      this.#index.set(key, probes.length);
      probes.push(p);
    };
    const addPair = (from: number, to: number, port: MatrixPort): void => {
      const key = this.#pairKey(from, to, port);
      if (this.#index.has(key)) return;
      const [a, b] = this.#representatives(from, to);
      add(key, { from: a, to: b, ip4: parseIpv4(this.pods[b]!.ip4!), port, tries: 1 });
    };
    for (const port of ports) {
      for (const a of classes) {
        for (const b of classes) {
          if (a !== b || a.length > 1) addPair(a[0]!, a === b ? a[1]! : b[0]!, port);
        }
        addPair(a[0]!, a[0]!, port);
      }
      for (const s of this.services) {
        const seen = new Set<string>();
        this.pods.forEach((_, from) => {
          const key = this.#serviceKey(from, s, port);
          if (seen.has(key)) return;
          seen.add(key);
          const backends = this.#backends(from, s, port);
          // A backend may meet itself behind the service, time and again.
          const itself = backends.some((b) => b.address === this.pods[from]!.ip4);
          const tries = backends.length === 1 ? 1 : itself ? MANY_TRIES : FEW_TRIES;
          add(key, { from, to: -1, ip4: s.ip4, port, tries });
          for (const b of backends) {
            const to = this.#podByIp.get(b.address);
            if (to !== undefined && to !== from) addPair(from, to, { port: b.port, protocol: port.protocol });
          }
        });
      }
    }
    this.probes = probes;
  }

  /** Verdict of a pod to a pod from the probes' answers. */
  podVerdict(answers: Uint8Array, from: number, to: number, port: MatrixPort): number {
    return answers[this.#index.get(this.#pairKey(from, to, port))!]!;
  }

  /**
   * Verdict of a pod to a service: open if every backend is. Which backend a flow meets is chance, so backends are asked
   * one by one, and flows to the service's address only show that it leads to them. A pod's way to itself counts only
   * where it is the only one.
   */
  serviceVerdict(answers: Uint8Array, from: number, s: ServiceEnd, port: MatrixPort): number {
    const sent = answers[this.#index.get(this.#serviceKey(from, s, port))!]!;
    const backends = this.#backends(from, s, port);
    const pods = backends.map((b) => this.#podByIp.get(b.address));
    const others = backends.filter((_, i) => pods[i] !== from);
    if (others.length === 0 || pods.includes(undefined)) return sent;
    let open = 0;
    for (const b of others) {
      const at = { port: b.port, protocol: port.protocol };
      open += this.podVerdict(answers, from, this.#podByIp.get(b.address)!, at);
    }
    if (open === others.length) return sent;
    if (open > 0) return this.#leads(answers, s, port) ? PARTIAL : CLOSED;
    return sent === OPEN && others.length === backends.length ? PARTIAL : CLOSED;
  }

  /** Whether anybody got through to the service. */
  #leads(answers: Uint8Array, s: ServiceEnd, port: MatrixPort): boolean {
    return this.probes.some(
      (p, i) =>
        answers[i] === OPEN &&
        p.to < 0 &&
        p.ip4 === s.ip4 &&
        p.port.port === port.port &&
        p.port.protocol === port.protocol,
    );
  }

  /** Ports that pods must answer on, by pod: those asked for, and what services lead to. */
  servers(): { readonly pod: number; readonly port: MatrixPort }[] {
    const out = new Map<string, { pod: number; port: MatrixPort }>();
    const need = (pod: number, port: MatrixPort): void => {
      if (port.protocol !== "icmp") out.set(`${pod} ${portText(port)}`, { pod, port });
    };
    for (const p of this.probes) if (p.to >= 0) need(p.to, p.port);
    for (const s of this.services) {
      for (const port of this.ports) {
        for (const b of this.#backends(undefined, s, port)) {
          const pod = this.#podByIp.get(b.address);
          if (pod !== undefined) need(pod, { port: b.port, protocol: port.protocol });
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
      if (tryParseIpv4(f.address) !== s.ip4) continue;
      for (const b of backends.get(key) ?? []) {
        if (f.portName !== "" && !b.portNames.includes(f.portName)) continue;
        if (b.protocol.toLowerCase() !== port.protocol || b.state !== "active") continue;
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

  #pairKey(from: number, to: number, port: MatrixPort): string {
    const to2 = from === to ? "self" : this.classOf[to]!;
    return `${this.classOf[from]!} ${to2} ${portText(port)}`;
  }

  /** A backend of the service may meet itself behind it: such pods are apart from the rest of their class. */
  #serviceKey(from: number, s: ServiceEnd, port: MatrixPort): string {
    const itself = this.#backends(from, s, port).some((b) => b.address === this.pods[from]!.ip4);
    return `${this.classOf[from]!} ${s.name} ${itself ? "itself " : ""}${portText(port)}`;
  }

  #representatives(from: number, to: number): [number, number] {
    const a = this.classes[this.classOf[from]!]!;
    const b = this.classes[this.classOf[to]!]!;
    if (from === to) return [a[0]!, a[0]!];
    return a === b ? [a[0]!, a[1]!] : [a[0]!, b[0]!];
  }
}

/** Sends the probes number `part`, `part + parts` ... and puts 1 in `answers` for each that was answered. */
export function probe(lab: Lab, plan: MatrixPlan, part: number, parts: number, answers: Uint8Array): void {
  prepare(lab);
  for (const { pod, port } of plan.servers()) {
    const on = plan.podNames[pod]!;
    const sockets = lab.endpoint(on).ns!.sockets;
    const { protocol } = port;
    if (protocol === "icmp" || (protocol === "tcp" ? sockets.tcpListen : sockets.udp).has(port.port))
      continue;
    lab.traffic.listen({ on, port: port.port, protocol });
  }
  const spaces: Netns[] = plan.pods.map((p) => lab.cluster.pods.get(`${p.namespace}/${p.name}`)!.ns);
  for (let i = part; i < plan.probes.length; i += parts) {
    const p = plan.probes[i]!;
    for (let n = 0; n < p.tries && answers[i] === CLOSED; n++) {
      if (answered(lab, spaces[p.from]!, p.ip4, p.port, 1 + ((i * MANY_TRIES + n) % 0xffff)))
        answers[i] = OPEN;
    }
  }
}

function answered(lab: Lab, ns: Netns, ip4: number, { protocol, port }: MatrixPort, ident: number): boolean {
  if (protocol === "icmp") {
    const ping = new Ping(ns, ip4, ident);
    ping.send(1, 56);
    const sent = ping.probes[0]!;
    lab.runWhileWaiting(() => sent.reply !== null || sent.error !== null || sent.sendErrno !== 0, WAIT_NS);
    ping.close();
    return sent.reply !== null;
  }
  if (protocol === "udp") {
    const sock = new UdpSock(ns);
    sock.recverr = true;
    const ok = sock.connect(ip4, port) >= 0 && sock.sendto(new Uint8Array(8)) >= 0;
    const over = (): boolean => sock.received.length > 0 || sock.err !== 0 || sock.errqueue.length > 0;
    if (ok) lab.runWhileWaiting(over, WAIT_NS);
    sock.close();
    return sock.received.length > 0;
  }
  const sock = new TcpSock(ns);
  sock.recverr = true;
  if (sock.connect(ip4, port) < 0) return false;
  lab.runWhileWaiting(() => sock.connected || sock.err !== 0 || sock.state === TCP_CLOSE, WAIT_NS);
  const { connected } = sock;
  sock.abort();
  return connected;
}

const IPV4_TEXT = /\b(\d{1,3}(?:\.\d{1,3}){3})(?:\/(\d{1,2}))?\b/g;

/**
 * What tells pods apart, as a text: the node, what policies select by, and on which side of every address and subnet of
 * the scenario the pod's address is. A pod that a hand-written rule or command names is alone.
 */
function classKeys(scenario: Scenario): (p: PodModel) => string {
  const model: ClusterModel = scenario.cluster;
  const byHand = [
    ...model.nodes.flatMap((n) => [n.iptables ?? "", ...(n.setup ?? [])]),
    ...model.hosts.flatMap((h) => h.setup ?? []),
    ...scenario.traffic.flatMap((s) => (s.kind === "exec" ? [s.spec.command] : [])),
  ].join("\n");
  const policies = model.objects.filter((o) => /Policy$/.test(o.kind));
  const toServices = policies.some((o) => JSON.stringify(o.raw).includes('"toServices"'));
  // Backends are met as pods, by a policy's labels; their lists of addresses matter only to rules made of them.
  const skip = (kind: string): boolean =>
    kind === "WorkloadEndpoint" || (!toServices && (kind === "Endpoints" || kind === "EndpointSlice"));
  const texts = [
    byHand,
    JSON.stringify(model.datapath),
    JSON.stringify(model.nodes.map((n) => [n.podCidrs, n.annotations, n.routerIp4])),
    JSON.stringify(model.networks),
    JSON.stringify(model.hosts.map((h) => h.routes)),
    ...model.objects.filter((o) => !skip(o.kind)).map((o) => JSON.stringify(o.raw)),
  ];
  const prefixes = new Map<string, { net: number; bits: number }>();
  for (const text of texts) {
    for (const [whole, address, length] of text.matchAll(IPV4_TEXT)) {
      const ip = tryParseIpv4(address!);
      const bits = length === undefined ? 32 : Number(length);
      if (ip === undefined || bits > 32) continue;
      prefixes.set(whole, { net: networkOf4(parseIpv4(address!), bits), bits });
    }
  }
  const list = [...prefixes.values()];
  const sides = (ip: ReturnType<typeof parseIpv4>): string =>
    list.map((p) => (networkOf4(ip, p.bits) === p.net ? "1" : "0")).join("");
  const cilium = isCiliumDatapath(model.datapath.name);
  // Anything by name, device or MAC address; devices of pods have names that only the control plane knows.
  const devices = /\b(lxc|cali|veth)/.test(byHand);
  return (p) => {
    const named = [p.name, p.hostInterface, p.mac, p.hostMac].some(
      (x) => x !== undefined && byHand.includes(x),
    );
    const namespaceLabels = model.namespaces.find((n) => n.name === p.namespace)?.labels ?? {};
    const labels = cilium
      ? podIdentityLabels(
          { namespace: p.namespace, labels: p.labels, namespaceLabels, serviceAccount: p.serviceAccount },
          "",
        ).texts
      : [Object.entries(p.labels).sort(), Object.entries(p.annotations).sort(), p.serviceAccount];
    return JSON.stringify([
      p.nodeName,
      p.namespace,
      labels,
      p.identity ?? null,
      p.ports.filter((x) => x.name !== undefined || x.hostPort !== undefined),
      p.mtu ?? null,
      sides(parseIpv4(p.ip4!)),
      named || (devices && byHand !== "") ? p.name : "",
    ]);
  };
}
