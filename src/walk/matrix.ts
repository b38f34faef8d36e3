// Reachability of every pod to every pod and service, over IPv4 and IPv6. Pods that no part of the cluster can tell apart
// (matrix_classes.ts) form a class; one real flow is sent for each pair of classes (matrix_probe.ts), and its answer holds
// for all their pods. In a cluster of many classes, most of which only policies can tell apart, the policies are asked what
// they make of each pair (matrix_policy.ts), and pairs with one path and one answer share a flow.

import { Numbering } from "../base/numbering.js";
import type { NodeModel, PodModel } from "../cluster/model.js";
import type { Destination } from "../scenario/clients.js";
import type { Scenario } from "../scenario/load.js";
import { classKeys, pathKeys } from "./matrix_classes.js";
import type { PolicySight } from "./matrix_policy.js";
import { type AskedPort, type MatrixPort, portNumber, portText } from "./matrix_port.js";
import {
  type BackendEnd,
  type Backends,
  destination,
  has,
  MatrixServices,
  type ServiceEnd,
} from "./matrix_services.js";

/** Closed, open, (a service) open to some of its backends only, or no address of that family at one end. */
export const CLOSED = 0;
export const OPEN = 1;
export const PARTIAL = 2;
export const NO_ADDRESS = 3;
export const VERDICT_NAMES = ["closed", "open", "partial", "none"] as const;

/** Up to this many pairs of classes each has a flow of its own: they are sent in less than a second. */
const WORTH_SHARING = 5000;

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

/** How a plan is made. */
export interface PlanOptions {
  /** Every pod is a class of its own. */
  readonly exhaustive?: boolean;
  /** Asks the policies of the cluster that is built, once their work is worth it; nobody is asked where it is left out. */
  readonly sight?: (pods: readonly PodModel[], addresses: readonly Destination[]) => PolicySight | undefined;
  /** More pairs of classes than this are worth it. */
  readonly worthSharing?: number;
}

/** Numbers of probes by class; -1: there is no such flow, for want of an address. */
class ProbeTable {
  readonly #index: Int32Array;

  constructor(readonly entries: number) {
    // 0 is not known yet.
    this.#index = new Int32Array(entries);
  }

  known(at: number): boolean {
    return this.#index[at] !== 0;
  }

  get(at: number): number {
    const n = this.#index[at]!;
    return n > 0 ? n - 1 : -1;
  }

  set(at: number, probe: number): number {
    this.#index[at] = probe < 0 ? -1 : probe + 1;
    return probe;
  }
}

/** Pairs of pods on one port. */
class PortTable {
  /** By class of the sender, then of the destination. */
  readonly pairs: ProbeTable;
  /** A pod to itself, by class. */
  readonly self: ProbeTable;
  /** Probes that other pairs may share, by what decides them. */
  readonly shared = new Map<number, number>();
  readonly sharedSelf = new Map<number, number>();

  constructor(classes: number) {
    this.pairs = new ProbeTable(classes * classes);
    this.self = new ProbeTable(classes);
  }
}

/** A service on one port. */
interface ServiceTable {
  /** By class of the sender, twice: a pod behind the service may meet itself and is apart from the rest of its class. */
  readonly probes: ProbeTable;
  readonly shared: Map<number, number>;
  /** Each once. */
  readonly all: number[];
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
  readonly #services: MatrixServices;
  readonly #portTables = new Map<number, PortTable>();
  readonly #serviceTables = new Map<string, ServiceTable>();
  /** What is known of the policies, with what else tells pods apart; undefined: pairs share nothing. */
  readonly #sharing:
    | { readonly sight: PolicySight; readonly pathOf: Int32Array; readonly numbers: Numbering }
    | undefined;

  constructor(
    readonly scenario: Scenario,
    asked: readonly AskedPort[],
    how: PlanOptions = {},
  ) {
    const model = scenario.cluster;
    const nodes = new Map(model.nodes.map((n) => [n.name, n]));
    const ends = model.pods.map((pod) => ({ pod, texts: addressesOf(pod, nodes.get(pod.nodeName)) }));
    const known = ends.filter(({ texts }) => texts.some((t) => t !== undefined));
    this.pods = known.map((e) => e.pod);
    this.addresses = known.map(({ texts: [ip4, ip6] }) => destination(ip4, ip6));
    this.podNames = this.pods.map((p) => `pod/${p.namespace}/${p.name}`);
    const six = this.pods.some((p) => p.ip6 !== undefined);
    const ports = new Map<string, MatrixPort>();
    for (const p of asked)
      for (const ipv6 of p.ipv6 === undefined ? (six ? [false, true] : [false]) : [p.ipv6])
        ports.set(portText({ ...p, ipv6 }), { ...p, ipv6 });
    this.ports = [...ports.values()];
    const own = (p: PodModel): string => `${p.namespace}/${p.name}`;
    this.classOf = numbered(this.pods, how.exhaustive === true ? own : classKeys(scenario));
    const classes: number[][] = [];
    this.classOf.forEach((c, i) => {
      classes[c] ??= [];
      classes[c].push(i);
    });
    this.classes = classes;
    this.#services = new MatrixServices(model, this.pods, this.addresses);
    this.services = this.#services.all;
    const many = classes.length ** 2 * this.ports.length > (how.worthSharing ?? WORTH_SHARING);
    const sight = many ? how.sight?.(this.pods, this.addresses) : undefined;
    this.#sharing =
      sight === undefined
        ? undefined
        : { sight, pathOf: numbered(this.pods, pathKeys(scenario)), numbers: new Numbering() };

    const plan: Plan = { probes: [], slots: 0 };
    for (const port of this.ports) {
      for (const a of classes) {
        for (const b of classes) {
          if (a !== b) this.#planPair(plan, a[0]!, b[0]!, port);
          else if (a.length > 1) this.#planPair(plan, a[0]!, a[1]!, port);
        }
        this.#planPair(plan, a[0]!, a[0]!, port);
      }
      for (const s of this.services) if (has(s, port)) this.#planService(plan, s, port);
    }
    this.probes = plan.probes;
    this.slots = plan.slots;
  }

  /** Verdict of a pod to a pod from the probes' answers. */
  podVerdict(answers: Uint8Array, from: number, to: number, port: MatrixPort): number {
    const t = this.#portTables.get(portNumber(port));
    if (t === undefined) return NO_ADDRESS;
    const a = this.classOf[from]!;
    const n = from === to ? t.self.get(a) : t.pairs.get(a * this.classes.length + this.classOf[to]!);
    return n < 0 ? NO_ADDRESS : answers[this.probes[n]!.slot]!;
  }

  /**
   * Verdict of a pod to a service. Flows through the service are the judge: open if all were answered and each backend
   * took one, or is known to be open to the pod where chance did not lead there; closed if none was answered. A pod's
   * way to itself counts only where it is the only one.
   */
  serviceVerdict(answers: Uint8Array, from: number, s: ServiceEnd, port: MatrixPort): number {
    const table = this.#serviceTables.get(serviceName(s, port));
    const all = this.#services.backends(from, s, port);
    const n = table?.probes.get(this.#serviceEntry(from, all, port)) ?? -1;
    if (table === undefined || n < 0) return NO_ADDRESS;
    const probe = this.probes[n]!;
    const { slot, itself } = probe;
    const through = answers[slot]!;
    const backends = probe.backends ?? [];
    // The flows were another pod's of the class, perhaps: what that one is to this one, this one was to that.
    const took = (b: BackendEnd): boolean => {
      const pod = b.pod === probe.from ? from : b.pod;
      const i = backends.findIndex((x) => x.pod === pod && x.port === b.port);
      return answers[slot + 2 + i] === OPEN;
    };
    const foreign = backends.filter((b) => b.pod !== from);
    if (foreign.length === 0 || all.others.length > 0) return through;
    const direct = (b: BackendEnd): boolean =>
      this.podVerdict(answers, from, b.pod, { ...port, port: b.port }) === OPEN;
    const open = foreign.filter((b) => took(b) || direct(b)).length;
    if (through === CLOSED || (itself && !foreign.some(took))) {
      // Every flow met a closed backend, it seems: a service that leads anywhere would lead to an open one in time.
      const leads = (): boolean => table.all.some((p) => answers[this.probes[p]!.slot] === OPEN);
      return open > 0 && open < foreign.length && leads() ? PARTIAL : CLOSED;
    }
    return open === foreign.length && (itself || answers[slot + 1] !== OPEN) ? OPEN : PARTIAL;
  }

  /** Ports that pods must answer on, by pod: those asked for, and what services lead to. */
  servers(): { readonly pod: number; readonly port: ServerPort }[] {
    const out = new Map<string, { pod: number; port: ServerPort }>();
    const need = (pod: number, { port, protocol }: MatrixPort): void => {
      if (protocol !== "icmp") out.set(`${pod} ${port}/${protocol}`, { pod, port: { port, protocol } });
    };
    for (const p of this.probes) if (p.pod >= 0) need(p.pod, p.port);
    for (const s of this.services)
      for (const port of this.ports)
        for (const b of this.#services.backends(undefined, s, port).pods)
          need(b.pod, { ...port, port: b.port });
    return [...out.values()];
  }

  /** The probe of a pair, made if it is the first of its kind. */
  #planPair(plan: Plan, from: number, to: number, port: MatrixPort): number {
    const which = portNumber(port);
    let t = this.#portTables.get(which);
    if (t === undefined) {
      t = new PortTable(this.classes.length);
      this.#portTables.set(which, t);
    }
    const self = from === to;
    const table = self ? t.self : t.pairs;
    const at = self ? this.classOf[from]! : this.classOf[from]! * this.classes.length + this.classOf[to]!;
    if (table.known(at)) return table.get(at);
    if (!has(this.addresses[from]!, port) || !has(this.addresses[to]!, port)) return table.set(at, -1);
    const [a, b] = this.#representatives(from, to);
    const make = (): number =>
      add(plan, { from: a, pod: b, to: this.addresses[b]!, port, backends: undefined, itself: self });
    const x = this.#sharing;
    if (x === undefined) return table.set(at, make());
    const path = x.numbers.of(x.pathOf[a]!, x.pathOf[b]!);
    const key = x.numbers.of(path, x.sight.pair(a, b, port));
    return table.set(at, sharedBy(self ? t.sharedSelf : t.shared, key, make));
  }

  /** The probes of a service from every class, and those of the pairs behind it. */
  #planService(plan: Plan, s: ServiceEnd, port: MatrixPort): void {
    const t: ServiceTable = {
      probes: new ProbeTable(this.classes.length * 2),
      shared: new Map(),
      all: [],
    };
    this.#serviceTables.set(serviceName(s, port), t);
    this.pods.forEach((_, from) => {
      if (!has(this.addresses[from]!, port)) return;
      const to = this.#services.backends(from, s, port);
      const at = this.#serviceEntry(from, to, port);
      if (t.probes.known(at)) return;
      const itself = this.#services.meetsItself(from, to, port);
      const make = (): number => {
        const n = add(plan, { from, pod: -1, to: s, port, backends: to.pods, itself });
        t.all.push(n);
        return n;
      };
      const direct = (b: BackendEnd): number => this.#planPair(plan, from, b.pod, { ...port, port: b.port });
      if (this.#sharing === undefined) {
        t.probes.set(at, make());
        for (const b of to.pods) if (b.pod !== from) direct(b);
        return;
      }
      const { sight, pathOf, numbers } = this.#sharing;
      let key = numbers.of(0, pathOf[from]!);
      key = numbers.of(key, itself ? 1 : 0);
      key = numbers.of(key, sight.toAddress(from, s, port));
      for (const b of to.others) key = numbers.of(key, sight.toAddress(from, b, { ...port, port: b.port }));
      // What a pod is to the backends is what their probes are; behind the service it is one of them.
      for (const b of to.pods) key = numbers.of(key, b.pod === from ? 0 : 2 + direct(b));
      t.probes.set(at, sharedBy(t.shared, key, make));
    });
  }

  #serviceEntry(from: number, to: Backends, port: MatrixPort): number {
    return this.classOf[from]! * 2 + (this.#services.meetsItself(from, to, port) ? 1 : 0);
  }

  #representatives(from: number, to: number): [number, number] {
    const a = this.classes[this.classOf[from]!]!;
    const b = this.classes[this.classOf[to]!]!;
    if (from === to) return [a[0]!, a[0]!];
    return a === b ? [a[0]!, a[1]!] : [a[0]!, b[0]!];
  }
}

/** A plan in the making. */
interface Plan {
  readonly probes: Probe[];
  slots: number;
}

/** Number of a new probe. */
function add(plan: Plan, p: Omit<Probe, "slot">): number {
  plan.probes.push({ ...p, slot: plan.slots });
  plan.slots += p.backends === undefined ? 1 : 2 + p.backends.length;
  return plan.probes.length - 1;
}

function sharedBy(known: Map<number, number>, key: number, make: () => number): number {
  let n = known.get(key);
  if (n === undefined) {
    n = make();
    known.set(key, n);
  }
  return n;
}

/** Numbers from 0 for the pods, the same for those with the same key. */
function numbered(pods: readonly PodModel[], keyOf: (p: PodModel) => string): Int32Array {
  const known = new Map<string, number>();
  return Int32Array.from(pods, (p) => {
    const key = keyOf(p);
    let n = known.get(key);
    if (n === undefined) {
      n = known.size;
      known.set(key, n);
    }
    return n;
  });
}

const serviceName = (s: ServiceEnd, port: MatrixPort): string => `${s.name} ${portNumber(port)}`;

/** A port that a server listens on, over both families. */
export interface ServerPort {
  readonly port: number;
  readonly protocol: "tcp" | "udp";
}

function addressesOf(p: PodModel, node: NodeModel | undefined): [string | undefined, string | undefined] {
  return p.hostNetwork ? [node?.internalIp4, node?.internalIp6] : [p.ip4, p.ip6];
}
