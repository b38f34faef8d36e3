// One machine (or a whole world of namespaces): its clock, timers, random numbers, CPUs, backlog and the pool of
// packets. Namespaces hang on it; so do the per-CPU scratch areas of net/core/filter.c.

import { TimerQueue, VirtualClock } from "../base/clock.js";
import { Prng } from "../base/prng.js";
import { AF_INET6, type RedirNeigh } from "../bpf/helpers.js";
import { Skb } from "../bpf/skb.js";
import type { CgroupHooks } from "./cgroup.js";
import { processBacklogSkb } from "./dev.js";
import { Netns } from "./netns.js";

/**
 * What the machines of one lab share: the pool of packets, their ids, and the backlog with the softirq that
 * empties it, so that packets are handled in one order. A packet queued from process context is handled when the outermost transmit returns
 * (local_bh_enable); one queued from the softirq itself waits for its turn behind those already there.
 */
export class World {
  #head: Skb | null = null;
  #tail: Skb | null = null;
  #pool: Skb | null = null;
  /** Packets made so far that were not taken from the pool. */
  allocated = 0;
  /** Frees of packets that were free already: always 0 unless there is a bug. */
  doubleFrees = 0;
  /** Last id given to a packet. */
  lastId = 0;
  /** Entries into the transmit path that have not returned; the softirq runs when it is back at 0. */
  depth = 0;
  /** Packets waiting. */
  pending = 0;
  /** netdev_max_backlog. */
  limit = 1000;
  /**
   * dev_rx_weight: packets that a softirq handles while a task sends, before it lets the task go on (ksoftirqd does the
   * rest once the task waits). It only gives way where somebody waits for the CPU, such as those who capture frames; so
   * there is no limit unless one is set.
   */
  weight = Number.POSITIVE_INFINITY;
  /** ksoftirqd has work: what is queued waits for `run`. */
  #deferred = false;

  /** Packets that were taken and not given back. */
  outstanding = 0;

  /** A packet without content or metadata. */
  alloc(): Skb {
    this.outstanding++;
    const skb = this.#pool;
    if (skb === null) {
      this.allocated++;
      return new Skb();
    }
    this.#pool = skb.next;
    skb.next = null;
    skb.free = false;
    return skb;
  }

  /** Returns a packet to the pool. */
  release(skb: Skb): void {
    if (skb.free) {
      this.doubleFrees++;
      return;
    }
    this.outstanding--;
    skb.reset();
    skb.free = true;
    skb.next = this.#pool;
    this.#pool = skb;
  }

  /** False when the queue is full. */
  enqueue(skb: Skb): boolean {
    if (this.pending >= this.limit) return false;
    skb.next = null;
    const tail = this.#tail;
    if (tail === null) this.#head = skb;
    else tail.next = skb;
    this.#tail = skb;
    this.pending++;
    return true;
  }

  /** local_bh_disable. */
  enter(): void {
    this.depth++;
  }

  /** local_bh_enable: handles what waits when this was the outermost. */
  leave(): void {
    if (--this.depth === 0 && this.#head !== null && !this.#deferred) this.#poll(this.weight);
  }

  /** The task waits: everything that is queued is handled. */
  run(): void {
    if (this.depth === 0) this.#poll(Number.POSITIVE_INFINITY);
  }

  /** process_backlog, for at most `budget` packets. */
  #poll(budget: number): void {
    this.depth = 1;
    let left = budget;
    for (;;) {
      const skb = this.#head;
      this.#deferred = skb !== null && left === 0;
      if (skb === null || left-- === 0) break;
      const next = skb.next;
      this.#head = next;
      if (next === null) this.#tail = null;
      skb.next = null;
      this.pending--;
      processBacklogSkb(skb);
    }
    this.depth = 0;
  }
}

export const REDIR_NONE = -1;
export const REDIR_EGRESS = 0;
export const REDIR_INGRESS = 1;
export const REDIR_PEER = 2;
export const REDIR_NEIGH = 3;

/** struct bpf_redirect_info: what the redirect helpers leave for skb_do_redirect. */
export class RedirectInfo {
  /** REDIR_*. */
  kind = REDIR_NONE;
  ifindex = 0;
  /** True when the program gave a next hop. */
  hasNh = false;
  nhFamily = 0;
  /** Be32. */
  nh4 = 0;
  readonly nh6 = new Uint8Array(16);

  setNh(nh: RedirNeigh | null): void {
    this.hasNh = nh !== null;
    if (nh === null) return;
    this.nhFamily = nh.nhFamily;
    this.nh4 = nh.ipv4;
    if (nh.nhFamily === AF_INET6) this.nh6.set(nh.ipv6);
  }
}

export interface KernelOptions {
  readonly name?: string;
  readonly clock?: VirtualClock;
  readonly timers?: TimerQueue;
  readonly prng?: Prng;
  /** Shared by the machines of a lab. */
  readonly world?: World;
  /** Number of CPUs. */
  readonly cpus?: number;
  /** Linux release as a number (6.01, 6.18): what differs between releases follows it. */
  readonly release?: number;
  /** Seed of the generator when none is given. */
  readonly seed?: number;
}

/** A machine. */
export class Kernel {
  readonly name: string;
  readonly clock: VirtualClock;
  readonly timers: TimerQueue;
  readonly prng: Prng;
  readonly world: World;
  readonly cpus: number;
  readonly release: number;
  /** The CPU that works now. */
  cpu = 0;
  readonly namespaces: Netns[] = [];
  readonly ri = new RedirectInfo();
  /** Programs of the root cgroup; null: none. */
  cgroup: CgroupHooks | null = null;
  /** Last socket cookie given. */
  sockCookies = 0;
  /** Drops of all namespaces, by reason. */
  readonly drops = new Float64Array(64);
  #nextNetns = 1;

  constructor(opts: KernelOptions = {}) {
    this.name = opts.name ?? "node";
    this.clock = opts.clock ?? opts.timers?.clock ?? new VirtualClock();
    this.timers = opts.timers ?? new TimerQueue(this.clock);
    this.prng = opts.prng ?? new Prng(opts.seed ?? 1);
    this.world = opts.world ?? new World();
    this.timers.softirq ??= this.world;
    this.cpus = opts.cpus ?? 4;
    this.release = opts.release ?? 6.18;
  }

  /** Makes a namespace with its loopback device (down). `id` defaults to 1, 2, 3 ... */
  addNetns(name: string, id: number = this.#nextNetns): Netns {
    if (id >= this.#nextNetns) this.#nextNetns = id + 1;
    const ns = new Netns(this, id, name);
    this.namespaces.push(ns);
    return ns;
  }

  /** Lets virtual time pass: fires timers and handles what they queue. */
  runUntil(ns: number): void {
    this.world.run();
    this.timers.runUntil(ns);
    this.world.run();
  }
}
