// Garbage collection of conntrack and NAT maps as the agent does it (pkg/maps/ctmap: GC, PurgeOrphanNATEntries;
// pkg/maps/ctmap/gc: the interval). Look-ups of the datapath never compare a lifetime with the clock: until a
// collection removes it, an expired entry matches like any other.
//
//   every interval   all conntrack maps: entries with lifetime < now go; an OUT entry takes its NAT entries along
//   NAT fill-up      the same for the family that signalled, then NAT entries without a conntrack entry go
//   interval         5 min at first; more than 25 % of a map's capacity removed: shorter in proportion, down to
//                    10 s; less than 5 % (but some): 1.5 times longer, up to 12 h; nothing removed: unchanged
//
// Differs from the agent: a collection takes no time and sees the map as it is at one moment; entries are not
// reported to the DNS cache; active connection tracking is not told of failed services.

import { NS_PER_SEC, type Timer, type TimerQueue } from "../src/base/clock.js";
import type { BpfMap } from "./bpf_map.js";
import { CT_F_DSR_INTERNAL, CT_FLAGS_W, CT_LIFETIME_W, CT4_KEY_SIZE, TUPLE_F_IN, TUPLE_F_OUT } from "./ct.js";
import { NAT_TO_ADDR_W, NAT4_TO_PORT_W, NAT6_TO_PORT_W } from "./nat.js";

/** What one collection of one conntrack map did. */
export interface CtGcStats {
  /** Conntrack entries removed. */
  deleted: number;
  /** Conntrack entries left. */
  alive: number;
  /** NAT entries removed together with theirs. */
  natDeleted: number;
}

/** What a search for orphans in one NAT map did; "ingress" = reverse entries (IN), "egress" = forward ones (OUT). */
export interface NatGcStats {
  ingressAlive: number;
  ingressDeleted: number;
  egressAlive: number;
  egressDeleted: number;
}

/** Positions of the parts of a tuple, in words. */
interface TupleLayout {
  readonly addrWords: number;
  readonly ports: number;
  /** nexthdr in byte 0, flags in byte 1. */
  readonly flags: number;
  readonly natPort: number;
}

const V4: TupleLayout = { addrWords: 1, ports: 2, flags: 3, natPort: NAT4_TO_PORT_W };
const V6: TupleLayout = { addrWords: 4, ports: 8, flags: 9, natPort: NAT6_TO_PORT_W };

function layoutOf(map: BpfMap): TupleLayout {
  return map.spec.keySize === CT4_KEY_SIZE ? V4 : V6;
}

function flagsOf(key: Int32Array, l: TupleLayout): number {
  return (key[l.flags] >>> 8) & 0xff;
}

function setFlags(key: Int32Array, l: TupleLayout, flags: number): void {
  key[l.flags] = (key[l.flags] & 0xff) | (flags << 8);
}

function swapAddrs(key: Int32Array, l: TupleLayout): void {
  for (let i = 0; i < l.addrWords; i++) {
    const a = key[i];
    key[i] = key[l.addrWords + i];
    key[l.addrWords + i] = a;
  }
}

function swapPorts(key: Int32Array, l: TupleLayout): void {
  key[l.ports] = (key[l.ports] << 16) | (key[l.ports] >>> 16);
}

/**
 * Removes the entries of a conntrack map whose lifetime is below `now`, both in mono units (unsigned), and the NAT
 * entries that belong to them; `nat` is null where there is no NAT.
 */
export function gcConntrack(ct: BpfMap, nat: BpfMap | null, now: number): CtGcStats {
  const stats: CtGcStats = { deleted: 0, alive: 0, natDeleted: 0 };
  const key = new Int32Array(ct.keyWords);
  const limit = now >>> 0;
  ct.forEachSlot((slot, keys, at) => {
    const row = slot * ct.valueWords;
    if (ct.words[row + CT_LIFETIME_W] >>> 0 >= limit) {
      stats.alive++;
      return;
    }
    for (let i = 0; i < key.length; i++) key[i] = keys[at + i];
    const dsr = (ct.words[row + CT_FLAGS_W] & CT_F_DSR_INTERNAL) !== 0;
    ct.remove(key);
    stats.deleted++;
    if (nat !== null) stats.natDeleted += removeNatOf(nat, key, dsr);
  });
  return stats;
}

/** Removes the NAT entries of a conntrack entry with this key; how many there were. Changes `key`. */
function removeNatOf(nat: BpfMap, key: Int32Array, dsr: boolean): number {
  const l = layoutOf(nat);
  if (flagsOf(key, l) !== TUPLE_F_OUT) return 0;
  if (dsr) {
    // The entry was made for a request; the mapping translates its replies, the other way round.
    swapPorts(key, l);
    return nat.remove(key) === 0 ? 1 : 0;
  }
  // Conntrack holds the addresses in reverse, NAT has them in packet order.
  swapAddrs(key, l);
  const slot = nat.peek(key);
  if (slot < 0) return 0;
  const reverse = reverseKey(nat, key, slot, l);
  let n = nat.remove(key) === 0 ? 1 : 0;
  if (nat.remove(reverse) === 0) n++;
  return n;
}

/** Key of the reverse entry that belongs to the forward entry in `slot`. */
function reverseKey(nat: BpfMap, key: Int32Array, slot: number, l: TupleLayout): Int32Array {
  const reverse = key.slice();
  const row = slot * nat.valueWords;
  // saddr = daddr, sport = dport; daddr and dport are what the translation gives.
  for (let i = 0; i < l.addrWords; i++) {
    reverse[l.addrWords + i] = key[i];
    reverse[i] = nat.words[row + NAT_TO_ADDR_W + i];
  }
  reverse[l.ports] = (key[l.ports] << 16) | (nat.words[row + l.natPort] & 0xffff);
  setFlags(reverse, l, TUPLE_F_IN);
  return reverse;
}

/**
 * Removes NAT entries that have no conntrack entry: left over when conntrack's LRU evicted theirs, or when the
 * program wrote the conntrack entry anew. A forward entry lives as long as the egress conntrack entry of its packet
 * or a DSR entry of the opposite direction; a reverse entry as long as the egress conntrack entry of the connection.
 */
export function purgeOrphanNat(ctTcp: BpfMap, ctAny: BpfMap, nat: BpfMap): NatGcStats {
  const stats: NatGcStats = { ingressAlive: 0, ingressDeleted: 0, egressAlive: 0, egressDeleted: 0 };
  const l = layoutOf(nat);
  const natKey = new Int32Array(nat.keyWords);
  const ctKey = new Int32Array(nat.keyWords);
  nat.forEachSlot((slot, keys, at) => {
    for (let i = 0; i < natKey.length; i++) natKey[i] = keys[at + i];
    const ct = (natKey[l.flags] & 0xff) === 6 ? ctTcp : ctAny;
    ctKey.set(natKey);
    if ((flagsOf(natKey, l) & TUPLE_F_IN) !== 0) {
      // The connection as its client sent it: from what this entry restores, to where the reply comes from; then
      // into conntrack's order, which has the addresses reversed.
      const row = slot * nat.valueWords;
      for (let i = 0; i < l.addrWords; i++) ctKey[i] = nat.words[row + NAT_TO_ADDR_W + i];
      ctKey[l.ports] = (natKey[l.ports] >>> 16) | (nat.words[row + l.natPort] << 16);
      setFlags(ctKey, l, TUPLE_F_OUT);
      if (ct.peek(ctKey) >= 0) {
        stats.ingressAlive++;
      } else {
        nat.remove(natKey);
        stats.ingressDeleted++;
      }
      return;
    }
    swapAddrs(ctKey, l);
    if (ct.peek(ctKey) >= 0 || dsrEntryExists(ct, natKey, ctKey, l)) {
      stats.egressAlive++;
    } else {
      nat.remove(natKey);
      stats.egressDeleted++;
    }
  });
  return stats;
}

/** True if a DSR conntrack entry stands for the connection whose replies `natKey` translates. */
function dsrEntryExists(ct: BpfMap, natKey: Int32Array, scratch: Int32Array, l: TupleLayout): boolean {
  scratch.set(natKey);
  swapPorts(scratch, l);
  const slot = ct.peek(scratch);
  return slot >= 0 && (ct.words[slot * ct.valueWords + CT_FLAGS_W] & CT_F_DSR_INTERNAL) !== 0;
}

/** defaults.ConntrackGC*Interval, ns. */
export const CT_GC_STARTING_INTERVAL = 300 * NS_PER_SEC;
export const CT_GC_MIN_INTERVAL = 10 * NS_PER_SEC;
export const CT_GC_MAX_INTERVAL = 12 * 3600 * NS_PER_SEC;

/**
 * The next interval in ns. `expected` is the interval that was planned (0 = none yet), `actual` the time since the
 * last run (0 = there was none), `maxDeleteRatio` the largest share of a map's max_entries that was removed.
 */
export function nextGcInterval(expected: number, actual: number, maxDeleteRatio: number): number {
  let ratio = maxDeleteRatio;
  let previous = expected;
  if (expected === 0) previous = CT_GC_STARTING_INTERVAL;
  // A signal woke the collector early: what it found would have been more by the planned time.
  else if (actual > 0 && actual < expected) ratio *= expected / actual;
  if (ratio === 0) return previous;
  if (ratio > 0.25) {
    return Math.max(toSeconds(previous * (1 - Math.min(ratio, 0.9))), CT_GC_MIN_INTERVAL);
  }
  if (ratio < 0.05) return Math.min(toSeconds(previous * 1.5), CT_GC_MAX_INTERVAL);
  return previous;
}

function toSeconds(ns: number): number {
  return Math.round(ns / NS_PER_SEC) * NS_PER_SEC;
}

/** The maps of one address family that belong together; `nat` is null without masquerading and node ports. */
export interface CtGcFamily {
  readonly tcp: BpfMap;
  readonly any: BpfMap;
  readonly nat: BpfMap | null;
}

export interface CtGcOptions {
  readonly ipv4: CtGcFamily | null;
  readonly ipv6: CtGcFamily | null;
  /** Now in the unit of lifetimes: seconds, or jiffies >> 8. */
  readonly now: () => number;
  /** conntrack-gc-interval: a fixed interval in ns; 0 = dynamic. */
  readonly interval?: number;
  /** conntrack-gc-max-interval in ns; 0 = none. */
  readonly maxInterval?: number;
}

/** What one run did, added up over the maps. */
export interface CtGcRun extends CtGcStats {
  readonly maxDeleteRatio: number;
  /** ns until the next run. */
  readonly interval: number;
  /** By family, when a signal caused the run. */
  readonly orphans: NatGcStats[];
}

/** The agent's collector: runs on a timer queue, sooner when a program signals that NAT fills up. */
export class CtGc {
  readonly #options: CtGcOptions;
  #timers: TimerQueue | null = null;
  #timer: Timer | null = null;
  /** Interval planned last, 0 before the first full run. */
  #planned = 0;
  #lastRun = -1;
  /** When the next full run is due at the latest. */
  #fullDue = 0;

  constructor(options: CtGcOptions) {
    this.#options = options;
  }

  /** The first run is at once, as when an agent starts; the others follow on the queue. */
  start(timers: TimerQueue): void {
    this.#timers = timers;
    this.#schedule(this.run(timers.clock.ns).interval);
  }

  /** No more runs until `start`. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#timers = null;
  }

  /** SIGNAL_NAT_FILL_UP or SIGNAL_CT_FILL_UP of a family: runs at once. Without effect before `start`. */
  signal(ipv6: boolean): CtGcRun | null {
    const timers = this.#timers;
    if (timers === null) return null;
    this.#timer?.cancel();
    const run = this.run(timers.clock.ns, ipv6 ? "ipv6" : "ipv4");
    this.#schedule(run.interval);
    return run;
  }

  /** One run at `nowNs`; `signalled` names the family of the signal that caused it. */
  run(nowNs: number, signalled?: "ipv4" | "ipv6"): CtGcRun {
    const { ipv4, ipv6 } = this.#options;
    const total: CtGcStats = { deleted: 0, alive: 0, natDeleted: 0 };
    const orphans: NatGcStats[] = [];
    const now = this.#options.now();
    let maxDeleteRatio = 0;
    // A signal only chooses which family's orphans are worth looking for; expired entries go from all maps.
    for (const family of [ipv4, ipv6]) {
      if (family === null) continue;
      for (const ct of [family.tcp, family.any]) {
        const stats = gcConntrack(ct, family.nat, now);
        total.deleted += stats.deleted;
        total.alive += stats.alive;
        total.natDeleted += stats.natDeleted;
        maxDeleteRatio = Math.max(maxDeleteRatio, stats.deleted / ct.spec.maxEntries);
      }
      if (signalled !== undefined && family.nat !== null) {
        orphans.push(purgeOrphanNat(family.tcp, family.any, family.nat));
      }
    }
    const interval = this.#plan(nowNs, maxDeleteRatio, signalled);
    return { ...total, maxDeleteRatio, interval, orphans };
  }

  /** Chooses the next interval; a partial run only runs out what was left of the last full one's. */
  #plan(nowNs: number, ratio: number, signalled: "ipv4" | "ipv6" | undefined): number {
    const o = this.#options;
    const first = this.#lastRun < 0;
    const actual = first ? 0 : nowNs - this.#lastRun;
    this.#lastRun = nowNs;
    let interval = o.interval ?? 0;
    if (interval === 0) {
      interval = nextGcInterval(this.#planned, actual, ratio);
      if (o.maxInterval) interval = Math.min(interval, o.maxInterval);
    }
    const full = signalled === undefined || (signalled === "ipv4" ? o.ipv6 === null : o.ipv4 === null);
    if (full) {
      this.#fullDue = nowNs + interval;
      this.#planned = interval;
    } else if (!first) {
      const left = Math.max(0, this.#fullDue - nowNs);
      if (left < interval) return left;
      this.#planned = interval;
    }
    return interval;
  }

  #schedule(interval: number): void {
    const timers = this.#timers;
    if (timers === null) return;
    this.#timer = timers.after(interval, () => this.#schedule(this.run(timers.clock.ns).interval));
  }
}
