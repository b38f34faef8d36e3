// IPVS services, destinations and the schedulers rr, wrr, lc, wlc, sh, sed and nq (net/netfilter/ipvs/ip_vs_*.c).
//
// The list of destinations has the newest first, as in the kernel; ipvsadm sorts what it prints.

/** Counters of services and destinations. */
export class IpVsStats {
  conns = 0;
  inpkts = 0;
  outpkts = 0;
  inbytes = 0;
  outbytes = 0;

  zero(): void {
    this.conns = 0;
    this.inpkts = 0;
    this.outpkts = 0;
    this.inbytes = 0;
    this.outbytes = 0;
  }
}

/** struct ip_vs_dest: a real server of a service. */
export class IpVsDest {
  activeconns = 0;
  inactconns = 0;
  persistconns = 0;
  /** IP_VS_DEST_F_AVAILABLE: false once it was deleted. */
  available = true;
  /** Upper and lower threshold; 0 = none. */
  uthreshold = 0;
  lthreshold = 0;
  overload = false;
  readonly stats = new IpVsStats();
  /** When it was removed, ms of the kernel's clock. */
  removedAt = 0;

  constructor(
    public svc: IpVsService,
    /** Be32. */
    readonly addr: number,
    readonly port: number,
    public weight: number,
    /** "masq" | "tunnel" | "direct". */
    public forward: string,
  ) {}

  /** ip_vs_dest_conn_overhead. */
  get overhead(): number {
    return this.activeconns * 256 + this.inactconns;
  }

  get totalconns(): number {
    return this.activeconns + this.inactconns;
  }

  /** Of ip_vs_bind_dest. */
  checkUpper(): void {
    if (this.uthreshold !== 0 && this.totalconns >= this.uthreshold) this.overload = true;
  }

  /** Of ip_vs_unbind_dest. */
  checkLower(): void {
    if (this.lthreshold !== 0) {
      if (this.totalconns < this.lthreshold) this.overload = false;
    } else if (this.uthreshold !== 0) {
      if (this.totalconns * 4 < this.uthreshold * 3) this.overload = false;
    } else this.overload = false;
  }

  /** Of __ip_vs_update_dest. */
  setThresholds(upper: number, lower: number): void {
    if (upper === 0 || upper > this.uthreshold) this.overload = false;
    this.uthreshold = upper;
    this.lthreshold = lower;
  }

  get usable(): boolean {
    return !this.overload && this.weight > 0;
  }
}

/** struct ip_vs_service. */
export class IpVsService {
  /** Newest first. */
  readonly dests: IpVsDest[] = [];
  readonly stats = new IpVsStats();
  scheduler: Scheduler;
  /** Seconds of persistence; 0 = none. */
  persistent = 0;
  /** Be32 mask of the client addresses that one template covers. */
  netmask = -1;
  onePacket = false;

  constructor(
    readonly proto: number,
    readonly addr: number,
    readonly port: number,
    readonly fwmark: number,
    scheduler: string,
  ) {
    this.scheduler = makeScheduler(scheduler, this);
  }

  setScheduler(name: string): void {
    if (this.scheduler.name !== name) this.scheduler = makeScheduler(name, this);
  }

  addDest(d: IpVsDest): void {
    this.dests.unshift(d);
    this.scheduler.changed("add", d);
  }

  removeDest(d: IpVsDest): void {
    const at = this.dests.indexOf(d);
    if (at < 0) return;
    this.scheduler.changed("del", d);
    this.dests.splice(at, 1);
    this.scheduler.changed("gone", d);
  }
}

/** Picks a destination for a new connection. */
export abstract class Scheduler {
  abstract readonly name: string;
  constructor(readonly svc: IpVsService) {}
  /** null: none is available. `saddr` is the client, Be32. */
  abstract schedule(saddr: number): IpVsDest | null;
  /** "del" comes before the destination leaves the list, "gone" after. */
  changed(_what: "add" | "del" | "gone" | "update", _d: IpVsDest): void {}
}

class RoundRobin extends Scheduler {
  readonly name = "rr";
  /** The one chosen last; null = the head of the list. */
  #last: IpVsDest | null = null;

  schedule(): IpVsDest | null {
    const list = this.svc.dests;
    const n = list.length;
    const at = this.#last === null ? -1 : list.indexOf(this.#last);
    for (let k = 1; k <= n; k++) {
      const d = list[(at + k) % n]!;
      if (d.usable) {
        this.#last = d;
        return d;
      }
    }
    return null;
  }

  override changed(what: string, d: IpVsDest): void {
    if (what === "del" && this.#last === d) {
      const at = this.svc.dests.indexOf(d);
      this.#last = at > 0 ? this.svc.dests[at - 1]! : null;
    }
  }
}

function gcd(a: number, b: number): number {
  let x = a;
  let y = b;
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}

class WeightedRoundRobin extends Scheduler {
  readonly name = "wrr";
  /** mark->cl; null = head. */
  #cl: IpVsDest | null = null;
  #cw = 0;
  #mw = 0;
  #di = 1;

  schedule(): IpVsDest | null {
    if (this.#mw === 0) return null;
    const list = this.svc.dests;
    const n = list.length;
    let at = this.#cl === null ? -1 : list.indexOf(this.#cl);
    // One whole turn of weights visits every destination with its weight at least once.
    for (let turns = 0; turns <= Math.ceil(this.#mw / this.#di) + 2; turns++) {
      for (let i = at + 1; i < n; i++) {
        const d = list[i]!;
        if (!d.overload && d.weight >= this.#cw) {
          this.#cl = d;
          return d;
        }
      }
      at = -1;
      this.#cw -= this.#di;
      if (this.#cw <= 0) this.#cw = this.#mw;
    }
    return null;
  }

  override changed(what: string): void {
    if (what === "del") return;
    let g = 0;
    let max = 0;
    for (const d of this.svc.dests) {
      if (d.weight <= 0) continue;
      g = g === 0 ? d.weight : gcd(g, d.weight);
      if (d.weight > max) max = d.weight;
    }
    this.#cl = null;
    this.#di = g === 0 ? 1 : g;
    this.#mw = max === 0 ? 0 : max - (this.#di - 1);
    if (this.#cw > this.#mw || this.#cw === 0) this.#cw = this.#mw;
    else if (this.#di > 1) this.#cw = Math.floor(this.#cw / this.#di) * this.#di + 1;
  }
}

class LeastConnection extends Scheduler {
  readonly name = "lc";
  schedule(): IpVsDest | null {
    let least: IpVsDest | null = null;
    for (const d of this.svc.dests) {
      if (d.usable && (least === null || d.overhead < least.overhead)) least = d;
    }
    return least;
  }
}

class WeightedLeastConnection extends Scheduler {
  readonly name = "wlc";
  schedule(): IpVsDest | null {
    let least: IpVsDest | null = null;
    for (const d of this.svc.dests) {
      if (!d.usable) continue;
      if (least === null || least.overhead * d.weight > d.overhead * least.weight) least = d;
    }
    return least;
  }
}

/** ip_vs_sed_dest_overhead: as if the connection were there already. */
const sedOverhead = (d: IpVsDest): number => d.activeconns + 1;

function shortestExpectedDelay(dests: readonly IpVsDest[]): IpVsDest | null {
  let least: IpVsDest | null = null;
  for (const d of dests) {
    if (!d.usable) continue;
    if (least === null || sedOverhead(least) * d.weight > sedOverhead(d) * least.weight) least = d;
  }
  return least;
}

class ShortestExpectedDelay extends Scheduler {
  readonly name = "sed";
  schedule(): IpVsDest | null {
    return shortestExpectedDelay(this.svc.dests);
  }
}

class NeverQueue extends Scheduler {
  readonly name = "nq";
  schedule(): IpVsDest | null {
    for (const d of this.svc.dests) if (d.usable && d.activeconns === 0) return d;
    return shortestExpectedDelay(this.svc.dests);
  }
}

const SH_BITS = 8;

class SourceHash extends Scheduler {
  readonly name = "sh";
  readonly #table: (IpVsDest | null)[] = new Array<IpVsDest | null>(1 << SH_BITS).fill(null);

  schedule(saddr: number): IpVsDest | null {
    const host = ((saddr & 0xff) << 24) | ((saddr & 0xff00) << 8) | ((saddr >>> 8) & 0xff00) | (saddr >>> 24);
    const d = this.#table[Math.imul(host, 0x61c88647) >>> (32 - SH_BITS)]!;
    return d?.usable === true ? d : null;
  }

  override changed(what: string): void {
    if (what === "del") return;
    const list = this.svc.dests;
    let p = 0;
    let filled = 0;
    for (let i = 0; i < this.#table.length; i++) {
      if (list.length === 0) {
        this.#table[i] = null;
        continue;
      }
      if (p >= list.length) p = 0;
      const d = list[p]!;
      this.#table[i] = d;
      if (++filled >= d.weight) {
        p++;
        filled = 0;
      }
    }
  }
}

/** Names of the schedulers that exist here. */
export const SCHEDULERS: readonly string[] = ["rr", "wrr", "lc", "wlc", "sh", "sed", "nq"];

function makeScheduler(name: string, svc: IpVsService): Scheduler {
  let s: Scheduler;
  switch (name) {
    case "wrr":
      s = new WeightedRoundRobin(svc);
      break;
    case "lc":
      s = new LeastConnection(svc);
      break;
    case "wlc":
      s = new WeightedLeastConnection(svc);
      break;
    case "sh":
      s = new SourceHash(svc);
      break;
    case "sed":
      s = new ShortestExpectedDelay(svc);
      break;
    case "nq":
      s = new NeverQueue(svc);
      break;
    default:
      s = new RoundRobin(svc);
  }
  if (svc.dests.length > 0) s.changed("update", svc.dests[0]!);
  return s;
}
