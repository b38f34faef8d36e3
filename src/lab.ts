// The lab: a scenario built and running. Clock, cluster, traffic, monitor, walks and captures hang on it; it is the
// public face of podpath together with index.ts.

import { dropReasonText } from "../monitor/debug_message.js";
import { profileOf } from "../monitor/release.js";
import { VirtualClock } from "./base/clock.js";
import { parseDuration } from "./base/duration.js";
import { PodpathError } from "./base/errors.js";
import { Prng } from "./base/prng.js";
import type { AttachPoint, Program } from "./bpf/program.js";
import { StepRecorder } from "./bpf/steps.js";
import { buildCluster } from "./cluster/build.js";
import type { ControlPlane, PlaneNode } from "./cluster/control_plane.js";
import { Machines } from "./cluster/machines.js";
import type { ClusterModel, DatapathName, Profile } from "./cluster/model.js";
import type { NetDevice } from "./kernel/device.js";
import { DROP_REASON_NAMES } from "./kernel/drop_reason.js";
import { NetkitDevice } from "./kernel/netkit.js";
import { loadScenario, type Scenario } from "./scenario/load.js";
import type { ListenStep, PingStep, TcpStep, UdpStep } from "./scenario/schema.js";
import {
  type EndpointRef,
  type ExecResult,
  type PingResult,
  resolveEndpoint,
  type TcpResult,
  Traffic,
  type UdpResult,
} from "./scenario/traffic.js";
import { Capture } from "./walk/capture.js";
import { Coverage } from "./walk/coverage.js";
import { type Walk, type WalkNames, walksOf } from "./walk/walk.js";

/** What a caller may change of a scenario. */
export interface LabOptions {
  /** Another datapath than the scenario's; its own options then win over the scenario's cilium-config. */
  readonly datapath?: DatapathName;
  /** What translates services where Cilium does not. */
  readonly kubeProxy?: "iptables" | "ipvs" | "none";
  /** Another release than the scenario's. */
  readonly profile?: Profile;
  /** Seed of everything random; same scenario and seed, same bytes. */
  readonly seed?: number;
  /** cilium-config keys (or another control plane's) on top of the scenario's. */
  readonly options?: Readonly<Record<string, string>>;
}

/** A sample as a node's perf ring gave it. */
export interface LabSample {
  readonly node: string;
  readonly cpu: number;
  /** Virtual time, ns. */
  readonly ns: number;
  /** Header and captured bytes, with the ring's padding. */
  readonly bytes: Uint8Array;
}

interface Listener {
  readonly node: string;
  readonly sink: (s: LabSample) => void;
  readonly lost: (cpu: number, ns: number, count: number) => void;
  /** Samples lost on each CPU when it was last told. */
  readonly seen: number[];
}

/**
 * A running scenario.
 *
 * @example
 * const lab = Lab.fromYaml(text, "my.yaml");
 * const result = lab.ping({ from: "pod/a", to: "pod/b" });
 * result.replies[0]?.ttl; // 63 on one node
 */
export class Lab {
  // Replaced by rewind(): read them from the lab each time.
  clock!: VirtualClock;
  machines!: Machines;
  cluster!: ControlPlane;
  traffic!: Traffic;
  readonly scenario: Scenario;
  readonly #options: LabOptions;
  readonly #listeners: Listener[] = [];
  /** What was done so far, in order; a lab is its scenario, its options and this. */
  #log: ((lab: Lab) => unknown)[] = [];
  #depth = 0;
  #coverage: Coverage | null = null;
  /** What `record` used last, on this clock. */
  #spareRecorder: StepRecorder | null = null;

  private constructor(scenario: Scenario, options: LabOptions) {
    this.scenario = { ...scenario, cluster: overridden(scenario.cluster, options) };
    this.#options = options;
    this.#build();
  }

  #build(): void {
    const model = this.scenario.cluster;
    this.clock = new VirtualClock(this.scenario.uptimeNs);
    this.#spareRecorder = null;
    const prng = new Prng(this.#options.seed ?? this.scenario.seed);
    this.machines = new Machines(this.clock, prng);
    this.machines.build(model);
    this.cluster = buildCluster(model, this.machines, this.#options.datapath !== undefined);
    this.traffic = new Traffic(this);
    this.#setup(model);
  }

  /** The recorder that is attached while nobody records walks. */
  #idleRecorder(): void {
    this.cluster.setRecorder(this.#coverage?.recorder ?? null);
  }

  /** Does and remembers one thing that a caller asked for; what it does in turn is not remembered apart. */
  #act<T>(action: (lab: Lab) => T): T {
    const outermost = this.#depth === 0;
    this.#depth++;
    try {
      const result = action(this);
      // What was refused did nothing, and would be refused again by fork() and rewind().
      if (outermost) this.#log.push(action);
      return result;
    } finally {
      this.#depth--;
      if (this.#depth === 0) this.#coverage?.read();
    }
  }

  /** Number of things done so far: traffic sent, time passed, commands, programs attached. The steps of `rewind`. */
  get position(): number {
    return this.#log.length;
  }

  /**
   * Another lab in the same state, for a what-if; the two share nothing from here on. It is made by doing the same
   * things again, which gives the same bytes. Monitors and recorders are not taken along.
   */
  fork(): Lab {
    const lab = new Lab(this.scenario, { seed: this.#options.seed ?? this.scenario.seed, ...this.#forced() });
    for (const action of this.#log) lab.#act(action);
    return lab;
  }

  #forced(): LabOptions {
    return this.#options.datapath === undefined ? {} : { datapath: this.#options.datapath };
  }

  /**
   * Returns to the state after the first `position` things done (0: as built): maps, tables, sockets and clock are as
   * they were. Monitors stay attached and do not see the samples again. Throws USAGE for a position that never was.
   */
  rewind(position: number): void {
    if (!Number.isInteger(position) || position < 0 || position > this.#log.length) {
      throw new PodpathError("USAGE", `there is no position ${position}; the lab is at ${this.#log.length}`);
    }
    const again = this.#log.slice(0, position);
    this.#log = [];
    const watched = new Set(this.#listeners.map((l) => l.node));
    // What was counted once is not counted again.
    const coverage = this.#coverage;
    this.#coverage = null;
    this.#build();
    for (const action of again) this.#act(action);
    this.#coverage = coverage;
    this.#idleRecorder();
    for (const n of this.cluster.nodes) {
      if (n.events === null || !watched.has(n.name)) continue;
      n.events.enabled = true;
      for (const l of this.#listeners) if (l.node === n.name) l.seen.fill(0);
    }
  }

  /**
   * Attaches a program of your own to a hook of a device and returns what was there before. `make` gets the node (its
   * maps are `node.maps` on Cilium's datapaths) and gives the program; null detaches. Throws USAGE for a device that does
   * not exist or has no such hook.
   */
  attach(
    node: string,
    device: string,
    point: AttachPoint,
    make: ((node: PlaneNode) => Program) | null,
  ): Program | null {
    return this.#act((lab) => {
      const n = lab.node(node);
      const dev = n.machine.ns.devByName(device);
      if (dev === null) throw new PodpathError("USAGE", `node ${n.name} has no device ${device}`);
      const program = make === null ? null : make(n);
      if (point === "netkit_primary" || point === "netkit_peer") {
        if (!(dev instanceof NetkitDevice) || !dev.primary)
          throw new PodpathError(
            "USAGE",
            `${device} of node ${n.name} is not the primary device of a netkit pair`,
          );
        const end = point === "netkit_primary" ? dev : dev.peer!;
        const before = end.programs[0] ?? null;
        end.programs = program === null ? [] : [program];
        return before;
      }
      const before = dev[point];
      dev[point] = program;
      return before;
    });
  }

  /** Builds a scenario from its YAML text; `file` names it in errors. Throws SCENARIO_INVALID with a position. */
  static fromYaml(text: string, file = "scenario.yaml", options: LabOptions = {}): Lab {
    return new Lab(loadScenario(text, file), options);
  }

  /** Builds a scenario that was read already. */
  static fromScenario(scenario: Scenario, options: LabOptions = {}): Lab {
    return new Lab(scenario, options);
  }

  /** Names of the nodes, in the order of the scenario. */
  get nodeNames(): string[] {
    return this.cluster.nodes.map((n) => n.name);
  }

  /** A node by name, or by the part of it before the first dot. Throws USAGE if there is none. */
  node(name: string): PlaneNode {
    const n =
      this.cluster.nodes.find((x) => x.name === name) ??
      this.cluster.nodes.find((x) => x.name.split(".")[0] === name);
    if (n === undefined) {
      throw new PodpathError(
        "USAGE",
        `the scenario has no node ${name}; its nodes are ${this.nodeNames.join(", ")}`,
      );
    }
    return n;
  }

  /** What `pod/a`, `pod/ns/a`, `node/n`, `host/h`, `service/ns/s` or an address stands for. */
  endpoint(text: string): EndpointRef {
    return resolveEndpoint(this, text);
  }

  /** ICMP echo; see Traffic.ping. */
  ping(o: PingStep): PingResult {
    return this.#act((lab) => lab.traffic.ping(o));
  }

  /** Datagrams; see Traffic.udp. */
  udp(o: UdpStep): UdpResult {
    return this.#act((lab) => lab.traffic.udp(o));
  }

  /** One TCP connection; see Traffic.tcp. */
  tcp(o: TcpStep): TcpResult {
    return this.#act((lab) => lab.traffic.tcp(o));
  }

  /** Opens a server; see Traffic.listen. */
  listen(o: ListenStep): void {
    this.#act((lab) => lab.traffic.listen(o));
  }

  /** What the scenario's operator did before: routes changed by hand, bridges of other tools. */
  #setup(model: ClusterModel): void {
    const all = [
      ...model.nodes.map((n) => ({ on: `node/${n.name}`, of: n, posOf: n.wiringPosOf })),
      ...model.hosts.map((h) => ({ on: `host/${h.name}`, of: h, posOf: h.posOf })),
    ];
    for (const { on, of, posOf } of all) {
      of.setup?.forEach((command, i) => {
        const r = this.traffic.exec({ on, command });
        if (r.rc === 0) return;
        const position = posOf?.(["spec", "setup", i]) ?? of.pos;
        throw new PodpathError("SCENARIO_INVALID", `setup of ${on}: ${command}: ${r.out.trim()}`, position);
      });
    }
    this.traffic.executed.length = 0;
  }

  /** A command on a machine, as typed there; see Traffic.exec. */
  exec(on: string, command: string): ExecResult {
    return this.#act((lab) => lab.traffic.exec({ on, command }));
  }

  /** Sends the scenario's own traffic, in order. */
  run(): void {
    this.#act((lab) => lab.traffic.runAll(lab.scenario.traffic));
  }

  /** Lets virtual time pass: a duration like `5s`, or nanoseconds. Timers fire, garbage is collected, samples are read. */
  advance(duration: string | number): void {
    const ns = typeof duration === "number" ? duration : parseDuration(duration);
    if (ns === undefined || ns < 0)
      throw new PodpathError("USAGE", `${JSON.stringify(duration)} is not a duration like 5s or 1h30m`);
    this.#act((lab) => lab.runUntil(lab.clock.ns + ns));
  }

  /** Lets virtual time pass until the clock shows `ns`, reading the rings after each burst. */
  runUntil(ns: number): void {
    const { timers, world } = this.machines;
    world.run();
    this.#drain();
    while (timers.nextDue() <= ns) {
      timers.runUntil(timers.nextDue());
      world.run();
      this.#drain();
    }
    timers.runUntil(ns);
  }

  /** Lets time pass until `done()` says so or `limitNs` have gone; true if it was done. */
  runWhileWaiting(done: () => boolean, limitNs: number): boolean {
    const { timers, world } = this.machines;
    const end = this.clock.ns + limitNs;
    world.run();
    this.#drain();
    while (!done()) {
      const due = timers.nextDue();
      if (due > end) {
        timers.runUntil(end);
        return done();
      }
      timers.runUntil(due);
      world.run();
      this.#drain();
    }
    return true;
  }

  /**
   * Calls `sink` with each sample of a node's perf ring from now on (as `cilium monitor` attached there would see
   * it), and `lost` when a CPU's ring was full. Returns a function that detaches. Throws UNSUPPORTED for a node
   * without a BPF datapath.
   */
  monitor(
    node: string,
    sink: (s: LabSample) => void,
    lost: (cpu: number, ns: number, count: number) => void = () => {},
  ): () => void {
    const n = this.node(node);
    if (n.events === null) {
      throw new PodpathError(
        "UNSUPPORTED",
        `node ${n.name} runs ${this.cluster.model.datapath.name}, which has no monitor`,
      );
    }
    const ring = n.events;
    const seen = Array.from({ length: ring.cpus }, (_, cpu) => ring.lost(cpu));
    const entry: Listener = { node: n.name, sink, lost, seen };
    this.#listeners.push(entry);
    ring.enabled = true;
    return () => {
      const at = this.#listeners.indexOf(entry);
      if (at >= 0) this.#listeners.splice(at, 1);
      if (!this.#listeners.some((l) => l.node === n.name)) ring.enabled = false;
    };
  }

  #drain(): void {
    this.#coverage?.read();
    if (this.#listeners.length === 0) return;
    for (const n of this.cluster.nodes) {
      const events = n.events;
      if (events === null || !events.enabled || !events.fresh) continue;
      events.read((bytes, cpu, ns) => {
        const sample = { node: n.name, cpu, ns, bytes };
        for (const l of this.#listeners) if (l.node === n.name) l.sink(sample);
      });
      for (const l of this.#listeners) {
        if (l.node !== n.name) continue;
        for (let cpu = 0; cpu < events.cpus; cpu++) {
          const count = events.lost(cpu) - l.seen[cpu]!;
          if (count === 0) continue;
          l.seen[cpu]! += count;
          l.lost(cpu, this.clock.ns, count);
        }
      }
    }
  }

  /**
   * Captures every frame on devices, `NODE:DEVICE` or `pod/NAME:eth0`, from now until `stop()`; `toPcapng()` gives the
   * file. A rewind ends it. Throws USAGE for a device that does not exist.
   */
  capture(...names: readonly string[]): Capture {
    const devices = new Map<NetDevice, string>();
    for (const name of names) {
      const at = name.lastIndexOf(":");
      const where = name.slice(0, at);
      const ns = where.includes("/") ? this.endpoint(where).ns : this.node(where).machine.ns;
      const dev = ns?.devByName(name.slice(at + 1)) ?? null;
      if (at < 1 || dev === null) {
        throw new PodpathError(
          "USAGE",
          `there is no device ${name}; write it like node-1:eth0 or pod/a:eth0`,
        );
      }
      devices.set(dev, name);
    }
    return new Capture(this.clock, devices);
  }

  /** Runs `action` with a walk recorder attached and gives the walks of all packets that were under way. */
  record(action: () => void, capacity = 65536): Walk[] {
    // The last one's room serves again; a recording inside a recording has its own.
    const spare = this.#spareRecorder;
    this.#spareRecorder = null;
    const recorder =
      spare !== null && spare.capacity === capacity ? spare : new StepRecorder(this.clock, capacity);
    recorder.clear();
    this.cluster.setRecorder(recorder);
    try {
      action();
    } finally {
      this.#idleRecorder();
    }
    const records = recorder.records();
    recorder.clear();
    this.#spareRecorder = recorder;
    this.#coverage?.count(records);
    return walksOf(records, this.names);
  }

  /**
   * Counts from now on which policy rules, services, routes and iptables rules packets meet, and which they never do: the
   * coverage of a test run, printed by `coverageText` and written as JSON by `JSON.stringify(coverage.report())`. Throws
   * USAGE if something counts already.
   */
  coverage(): Coverage {
    if (this.#coverage !== null)
      throw new PodpathError("USAGE", "coverage of this lab is being counted already; stop that first");
    const c = new Coverage(this, () => {
      if (this.#coverage === c) this.#coverage = null;
      this.#idleRecorder();
    });
    this.#coverage = c;
    this.#idleRecorder();
    return c;
  }

  /** Names for renderings. */
  get names(): WalkNames {
    const profile = profileOf(this.cluster.model.datapath.profile);
    return {
      netns: (id) => this.machines.namespaces[id]?.name ?? `netns ${id}`,
      device: (id, ifindex) => this.machines.namespaces[id]?.dev(ifindex)?.name ?? String(ifindex),
      dropReason: (code, bpf) =>
        bpf ? dropReasonText(profile, code, 0) : (DROP_REASON_NAMES[code] ?? String(code)),
    };
  }
}

function overridden(model: ClusterModel, o: LabOptions): ClusterModel {
  const d = model.datapath;
  return {
    ...model,
    datapath: {
      name: o.datapath ?? d.name,
      profile: o.profile ?? d.profile,
      kubeProxy: o.kubeProxy ?? d.kubeProxy,
      options: { ...d.options, ...o.options },
      overrides: { ...d.overrides, ...o.options },
      posOf: (option) => (o.options?.[option] === undefined ? d.posOf?.(option) : undefined),
    },
  };
}
