// IP sets (net/netfilter/ipset): the types that kube-proxy, Felix and Cilium use, with timeouts, and the texts of
// `ipset save`. A test of a packet allocates nothing.
//
//   key word   ip  Be32 | net  Be32 masked, then prefix length | port  protocol << 16 | port | iface  index of name
//
// Differs from the kernel: sets of family inet6 hold their members but no IPv4 packet ever meets them; the
// extensions counters, comment and skbinfo are not modelled (creating such a set is an error that says so).

import { NS_PER_SEC, type VirtualClock } from "../../base/clock.js";
import { PodpathError } from "../../base/errors.js";
import type { Skb } from "../../bpf/skb.js";
import { formatIpv4, parseIpv4 } from "./text.js";

type Dim = "ip" | "net" | "port" | "iface";

const TYPES: Readonly<Record<string, readonly Dim[]>> = {
  "hash:ip": ["ip"],
  "hash:net": ["net"],
  "hash:ip,port": ["ip", "port"],
  "hash:ip,port,ip": ["ip", "port", "ip"],
  "hash:ip,port,net": ["ip", "port", "net"],
  "hash:net,port": ["net", "port"],
  "hash:net,net": ["net", "net"],
  "hash:net,port,net": ["net", "port", "net"],
  "hash:net,iface": ["net", "iface"],
};

const IPPROTO: Readonly<Record<string, number>> = {
  icmp: 1,
  ipip: 4,
  tcp: 6,
  udp: 17,
  gre: 47,
  sctp: 132,
  udplite: 136,
};
const IPPROTO_NAME = new Map<number, string>(Object.entries(IPPROTO).map(([k, v]) => [v, k]));

const mask4 = (plen: number): number => (plen === 0 ? 0 : -1 << (32 - plen));

function swap(a: number): number {
  return ((a & 0xff) << 24) | ((a & 0xff00) << 8) | ((a >>> 8) & 0xff00) | (a >>> 24);
}

/** Be32 with only the first `plen` bits kept. */
function maskBe(a: number, plen: number): number {
  return a & swap(mask4(plen));
}

const NOMATCH_FLAG = 1;

/** Open addressing over int32 words. A removed slot is filled by moving later ones back. */
class KeyTable {
  words: Int32Array;
  used: Uint8Array;
  flags: Uint8Array;
  /** When the element ends, ns; 0 = never. */
  until: Float64Array;
  count = 0;
  #mask: number;

  constructor(
    readonly width: number,
    size = 64,
  ) {
    this.words = new Int32Array(size * width);
    this.used = new Uint8Array(size);
    this.flags = new Uint8Array(size);
    this.until = new Float64Array(size);
    this.#mask = size - 1;
  }

  #hash(key: Int32Array): number {
    let h = 0x811c9dc5;
    for (let i = 0; i < this.width; i++) {
      h = Math.imul(h ^ key[i]!, 0x9e3779b1);
      h ^= h >>> 15;
    }
    return h & this.#mask;
  }

  find(key: Int32Array): number {
    const w = this.width;
    let i = this.#hash(key);
    outer: while (this.used[i] !== 0) {
      const at = i * w;
      for (let k = 0; k < w; k++) {
        if (this.words[at + k] !== key[k]) {
          i = (i + 1) & this.#mask;
          continue outer;
        }
      }
      return i;
    }
    return -1;
  }

  add(key: Int32Array): number {
    let i = this.find(key);
    if (i >= 0) return i;
    if (this.count * 2 >= this.#mask) this.#grow();
    i = this.#hash(key);
    while (this.used[i] !== 0) i = (i + 1) & this.#mask;
    for (let k = 0; k < this.width; k++) this.words[i * this.width + k] = key[k]!;
    this.used[i] = 1;
    this.flags[i] = 0;
    this.until[i] = 0;
    this.count++;
    return i;
  }

  remove(slot: number): void {
    const w = this.width;
    const key = new Int32Array(w);
    this.count--;
    let hole = slot;
    let i = (slot + 1) & this.#mask;
    while (this.used[i] !== 0) {
      for (let k = 0; k < w; k++) key[k] = this.words[i * w + k]!;
      const home = this.#hash(key);
      if (((i - home) & this.#mask) >= ((i - hole) & this.#mask)) {
        this.words.copyWithin(hole * w, i * w, i * w + w);
        this.flags[hole] = this.flags[i]!;
        this.until[hole] = this.until[i]!;
        hole = i;
      }
      i = (i + 1) & this.#mask;
    }
    this.used[hole] = 0;
  }

  #grow(): void {
    const { words, used, flags, until, width: w } = this;
    const size = used.length * 2;
    this.words = new Int32Array(size * w);
    this.used = new Uint8Array(size);
    this.flags = new Uint8Array(size);
    this.until = new Float64Array(size);
    this.#mask = size - 1;
    this.count = 0;
    for (let i = 0; i < used.length; i++) {
      if (used[i] === 0) continue;
      const s = this.add(words.subarray(i * w, i * w + w) as Int32Array);
      this.flags[s] = flags[i]!;
      this.until[s] = until[i]!;
    }
  }

  clear(): void {
    this.used.fill(0);
    this.count = 0;
  }
}

/** What a set sees of a packet: where its headers are. */
export interface SetPacket {
  readonly skb: Skb;
  /** Offset of the IP header. */
  readonly iph: number;
  /** Offset of L4, when `fragoff` is 0. */
  readonly thoff: number;
  readonly fragoff: number;
  readonly proto: number;
  readonly inName: string;
  readonly outName: string;
}

/** A set. `dirs`: bit i is 1 when dimension i is taken from the source side. */
export abstract class IpSet {
  references = 0;

  constructor(
    readonly name: string,
    readonly type: string,
    readonly dimension: number,
    readonly clock: VirtualClock,
    /** Default timeout in seconds; -1 = the set has none. */
    readonly timeout: number,
  ) {}

  /** ip_set_test with `ndirs` directions given; never true when fewer were given than the set has dimensions. */
  abstract test(p: SetPacket, dirs: number, ndirs: number): boolean;
  /** ip_set_add by the SET target. */
  abstract addPacket(p: SetPacket, dirs: number, ndirs: number, timeout: number, exist: boolean): void;
  abstract delPacket(p: SetPacket, dirs: number, ndirs: number): void;
  /** Adds the element that `ipset add` names; throws RULES_INVALID with the reason. */
  abstract add(member: string): void;
  abstract del(member: string): void;
  abstract flush(): void;
  /** Members as `ipset list` prints them, in order of addition of their slots. */
  abstract members(): string[];
  abstract createLine(): string;

  protected until(sec: number): number {
    return sec > 0 ? this.clock.ns + sec * NS_PER_SEC : 0;
  }
}

/** Protocol and port of a packet for a port dimension; -1 = it has none to offer (a later fragment). */
function packetPort(p: SetPacket, src: boolean): number {
  switch (p.proto) {
    case 6:
    case 17:
    case 132:
    case 136:
      if (p.fragoff !== 0 || p.thoff + 4 > p.skb.tail) return -1;
      return (p.proto << 16) | p.skb.view.getUint16(p.thoff + (src ? 0 : 2), false);
    case 1:
      if (p.fragoff !== 0 || p.thoff + 2 > p.skb.tail) return -1;
      return (p.proto << 16) | p.skb.view.getUint16(p.thoff, false);
    default:
      return p.proto << 16;
  }
}

interface CreateOptions {
  family: "inet" | "inet6";
  timeout: number;
  maxelem: number;
  hashsize: number;
  netmask: number;
  rangeLo: number;
  rangeHi: number;
  rangeText: string;
  size: number;
}

class HashSet extends IpSet {
  readonly #t: KeyTable;
  readonly #key: Int32Array;
  /** First word of each dimension. */
  readonly #at: number[];
  /** Prefix lengths in use with their number of elements, per net dimension. */
  readonly #plens: Int32Array[];
  /** Their list, longest first. */
  readonly #sorted: number[][];
  readonly #nets: number[];
  readonly #ifaces: string[] = [];
  readonly #v6 = new Set<string>();

  constructor(
    name: string,
    type: string,
    clock: VirtualClock,
    readonly dims: readonly Dim[],
    readonly opt: CreateOptions,
  ) {
    super(name, type, dims.length, clock, opt.timeout);
    let w = 0;
    this.#at = [];
    this.#nets = [];
    dims.forEach((d, i) => {
      this.#at.push(w);
      w += d === "net" ? 2 : 1;
      if (d === "net") this.#nets.push(i);
    });
    this.#t = new KeyTable(w);
    this.#key = new Int32Array(w);
    this.#plens = this.#nets.map(() => new Int32Array(33));
    this.#sorted = this.#nets.map(() => []);
  }

  /** Fills the scratch key from a packet, net dimensions unmasked; false when the packet lacks something. */
  #fromPacket(p: SetPacket, dirs: number): boolean {
    const v = p.skb.view;
    for (let i = 0; i < this.dims.length; i++) {
      const src = (dirs & (1 << i)) !== 0;
      const at = this.#at[i]!;
      switch (this.dims[i]) {
        case "ip":
          this.#key[at] = v.getInt32(p.iph + (src ? 12 : 16), true);
          if (this.opt.netmask !== 32) this.#key[at] = maskBe(this.#key[at]!, this.opt.netmask);
          break;
        case "net":
          this.#key[at] = v.getInt32(p.iph + (src ? 12 : 16), true);
          this.#key[at + 1] = 32;
          break;
        case "port": {
          const port = packetPort(p, src);
          if (port < 0) return false;
          this.#key[at] = port;
          break;
        }
        default: {
          const n = this.#ifaces.indexOf(src ? p.inName : p.outName);
          if (n < 0) return false;
          this.#key[at] = n;
        }
      }
    }
    return true;
  }

  /** True when the slot is live and not a `nomatch` element. */
  #alive(slot: number): boolean {
    const end = this.#t.until[slot]!;
    return end === 0 || end > this.clock.ns;
  }

  test(p: SetPacket, dirs: number, ndirs: number): boolean {
    if (ndirs < this.dimension || this.opt.family !== "inet" || this.#t.count === 0) return false;
    if (!this.#fromPacket(p, dirs)) return false;
    const k = this.#key;
    const nets = this.#nets;
    if (nets.length === 0) {
      const s = this.#t.find(k);
      return s >= 0 && this.#alive(s);
    }
    const a = this.#at[nets[0]!]!;
    const ip = k[a]!;
    const first = this.#sorted[0]!;
    for (let i = 0; i < first.length; i++) {
      const plen = first[i]!;
      k[a] = maskBe(ip, plen);
      k[a + 1] = plen;
      if (nets.length === 1) {
        const s = this.#t.find(k);
        if (s >= 0 && this.#alive(s)) return (this.#t.flags[s]! & NOMATCH_FLAG) === 0;
        continue;
      }
      const b = this.#at[nets[1]!]!;
      const ip2 = k[b]!;
      const second = this.#sorted[1]!;
      for (let j = 0; j < second.length; j++) {
        const plen2 = second[j]!;
        k[b] = maskBe(ip2, plen2);
        k[b + 1] = plen2;
        const s = this.#t.find(k);
        if (s >= 0 && this.#alive(s)) return (this.#t.flags[s]! & NOMATCH_FLAG) === 0;
      }
      k[b] = ip2;
    }
    return false;
  }

  addPacket(p: SetPacket, dirs: number, ndirs: number, timeout: number, exist: boolean): void {
    if (ndirs < this.dimension || this.opt.family !== "inet" || !this.#fromPacket(p, dirs)) return;
    const old = this.#t.find(this.#key);
    if (old >= 0 && this.#alive(old) && !exist) return;
    const s = this.#put();
    if (s >= 0 && this.timeout >= 0) this.#t.until[s] = this.until(timeout >= 0 ? timeout : this.timeout);
  }

  delPacket(p: SetPacket, dirs: number, ndirs: number): void {
    if (ndirs < this.dimension || !this.#fromPacket(p, dirs)) return;
    this.#take();
  }

  #put(): number {
    if (this.#t.find(this.#key) < 0) {
      if (this.#t.count >= this.opt.maxelem) this.#expire();
      if (this.#t.count >= this.opt.maxelem) return -1;
      this.#nets.forEach((d, n) => {
        const plen = this.#key[this.#at[d]! + 1]!;
        if (this.#plens[n]![plen]!++ === 0) this.#resort(n);
      });
    }
    return this.#t.add(this.#key);
  }

  #take(): boolean {
    const s = this.#t.find(this.#key);
    if (s < 0) return false;
    this.#nets.forEach((d, n) => {
      const plen = this.#key[this.#at[d]! + 1]!;
      if (--this.#plens[n]![plen]! === 0) this.#resort(n);
    });
    this.#t.remove(s);
    return true;
  }

  #resort(n: number): void {
    const out: number[] = [];
    for (let i = 32; i >= 0; i--) if (this.#plens[n]![i]! > 0) out.push(i);
    this.#sorted[n]!.splice(0, this.#sorted[n]!.length, ...out);
  }

  /** Elements whose time is over go. */
  #expire(): void {
    const t = this.#t;
    for (let i = 0; i < t.used.length; i++) {
      while (t.used[i] !== 0 && !this.#alive(i)) {
        for (let k = 0; k < t.width; k++) this.#key[k] = t.words[i * t.width + k]!;
        this.#take();
      }
    }
  }

  #parse(member: string): { timeout: number; nomatch: boolean; each: (fn: () => void) => void } {
    const words = member.trim().split(/\s+/);
    let timeout = this.timeout;
    let nomatch = false;
    for (let i = 1; i < words.length; i++) {
      if (words[i] === "timeout") timeout = Number(words[++i]);
      else if (words[i] === "nomatch") nomatch = true;
      else throw setError(this.name, `element "${member}": ${words[i]} is not modelled`);
    }
    const parts = (words[0] ?? "").split(",");
    if (parts.length !== this.dims.length)
      throw setError(
        this.name,
        `element "${member}" has ${parts.length} parts, ${this.type} wants ${this.dims.length}`,
      );
    const sets: number[][] = this.dims.map((d, i) => this.#values(d, parts[i]!, member));
    const each = (fn: () => void): void => {
      const idx = sets.map(() => 0);
      const step = this.dims.map((d) => (d === "net" ? 2 : 1));
      for (;;) {
        for (let i = 0; i < sets.length; i++) {
          for (let k = 0; k < step[i]!; k++) this.#key[this.#at[i]! + k] = sets[i]![idx[i]! * step[i]! + k]!;
        }
        fn();
        let i = sets.length - 1;
        while (i >= 0 && ++idx[i]! * step[i]! >= sets[i]!.length) idx[i--] = 0;
        if (i < 0) return;
      }
    };
    return { timeout, nomatch, each };
  }

  /** All values that one part of an element names (ranges name several). */
  #values(d: Dim, s: string, member: string): number[] {
    const bad = (): PodpathError => setError(this.name, `element "${member}" is not a ${this.type}`);
    switch (d) {
      case "ip": {
        const range = s.split("-");
        const slash = s.split("/");
        if (slash.length === 2) {
          const a = parseIpv4(slash[0]!);
          const plen = Number(slash[1]);
          if (a === undefined || !(plen >= 16 && plen <= 32)) throw bad();
          const lo = swap(maskBe(a, plen));
          const out: number[] = [];
          for (let i = 0; i < 2 ** (32 - plen); i++) out.push(swap((lo + i) | 0));
          return out;
        }
        const lo = parseIpv4(range[0]!);
        const hi = range.length === 2 ? parseIpv4(range[1]!) : lo;
        if (lo === undefined || hi === undefined) throw bad();
        const out: number[] = [];
        const n = (swap(hi) >>> 0) - (swap(lo) >>> 0);
        if (n < 0 || n > 65_535) throw bad();
        for (let i = 0; i <= n; i++) out.push(maskBe(swap((swap(lo) + i) | 0), this.opt.netmask));
        return out;
      }
      case "net": {
        const [ip, l] = s.split("/");
        const a = parseIpv4(ip!);
        const plen = l === undefined ? 32 : Number(l);
        if (a === undefined || !(plen >= 0 && plen <= 32)) throw bad();
        return [maskBe(a, plen), plen];
      }
      case "port": {
        const m = /^(?:([a-z0-9]+):)?(.+)$/.exec(s);
        if (m === null) throw bad();
        const proto = m[1] === undefined ? 6 : (IPPROTO[m[1]] ?? Number(m[1]));
        if (!Number.isInteger(proto)) throw bad();
        if (proto === 1) {
          const [type, code] = m[2]!.split("/");
          return [(1 << 16) | (Number(type) << 8) | Number(code ?? 0)];
        }
        const [lo, hi] = m[2]!.split("-");
        const from = Number(lo);
        const to = hi === undefined ? from : Number(hi);
        if (!Number.isInteger(from) || !Number.isInteger(to) || from < 0 || to > 65_535 || to < from)
          throw bad();
        const out: number[] = [];
        for (let i = from; i <= to; i++) out.push((proto << 16) | i);
        return out;
      }
      default: {
        let i = this.#ifaces.indexOf(s);
        if (i < 0) i = this.#ifaces.push(s) - 1;
        return [i];
      }
    }
  }

  add(member: string): void {
    if (this.opt.family === "inet6") {
      this.#v6.add(member);
      return;
    }
    const { timeout, nomatch, each } = this.#parse(member);
    each(() => {
      const s = this.#put();
      if (s < 0) throw setError(this.name, "the set is full (maxelem)");
      this.#t.until[s] = this.timeout >= 0 ? this.until(timeout) : 0;
      this.#t.flags[s] = nomatch ? NOMATCH_FLAG : 0;
    });
  }

  del(member: string): void {
    if (this.opt.family === "inet6") {
      this.#v6.delete(member);
      return;
    }
    let found = false;
    this.#parse(member).each(() => {
      if (this.#take()) found = true;
    });
    if (!found) throw setError(this.name, `element "${member}" is not in the set`);
  }

  flush(): void {
    this.#t.clear();
    this.#v6.clear();
    for (const p of this.#plens) p.fill(0);
    this.#sorted.forEach((_, n) => {
      this.#resort(n);
    });
  }

  members(): string[] {
    if (this.opt.family === "inet6") return [...this.#v6];
    const out: string[] = [];
    const t = this.#t;
    for (let i = 0; i < t.used.length; i++) {
      if (t.used[i] === 0 || !this.#alive(i)) continue;
      const parts = this.dims.map((d, n) => {
        const w = t.words[i * t.width + this.#at[n]!]!;
        if (d === "ip") return formatIpv4(w);
        if (d === "iface") return this.#ifaces[w]!;
        if (d === "port") return formatProtoPort(w);
        const plen = t.words[i * t.width + this.#at[n]! + 1]!;
        return plen === 32 ? formatIpv4(w) : `${formatIpv4(w)}/${plen}`;
      });
      let s = parts.join(",");
      if (this.timeout >= 0)
        s += ` timeout ${t.until[i] === 0 ? 0 : Math.floor((t.until[i]! - this.clock.ns) / NS_PER_SEC)}`;
      if ((t.flags[i]! & NOMATCH_FLAG) !== 0) s += " nomatch";
      out.push(s);
    }
    return out;
  }

  createLine(): string {
    let s = `create ${this.name} ${this.type} family ${this.opt.family} hashsize ${this.opt.hashsize} maxelem ${this.opt.maxelem}`;
    if (this.opt.netmask !== 32) s += ` netmask ${this.opt.netmask}`;
    if (this.timeout >= 0) s += ` timeout ${this.timeout}`;
    return s;
  }
}

function formatProtoPort(w: number): string {
  const proto = w >>> 16;
  const port = w & 0xffff;
  const name = IPPROTO_NAME.get(proto) ?? String(proto);
  return proto === 1 ? `${name}:${port >>> 8}/${port & 0xff}` : `${name}:${port}`;
}

/** bitmap:port and bitmap:ip. */
class BitmapSet extends IpSet {
  readonly #bits: Uint8Array;
  readonly #until: Float64Array | null;

  constructor(
    name: string,
    type: string,
    clock: VirtualClock,
    readonly opt: CreateOptions,
  ) {
    super(name, type, 1, clock, opt.timeout);
    const n = opt.rangeHi - opt.rangeLo + 1;
    this.#bits = new Uint8Array(n);
    this.#until = opt.timeout >= 0 ? new Float64Array(n) : null;
  }

  #index(p: SetPacket, src: boolean): number {
    let x: number;
    if (this.type === "bitmap:port") {
      if (p.proto !== 6 && p.proto !== 17) return -1;
      const w = packetPort(p, src);
      if (w < 0) return -1;
      x = w & 0xffff;
    } else {
      x = swap(p.skb.view.getInt32(p.iph + (src ? 12 : 16), true)) >>> 0;
    }
    return x < this.opt.rangeLo || x > this.opt.rangeHi ? -1 : x - this.opt.rangeLo;
  }

  test(p: SetPacket, dirs: number, ndirs: number): boolean {
    if (ndirs < 1) return false;
    const i = this.#index(p, (dirs & 1) !== 0);
    return i >= 0 && this.#alive(i);
  }

  #alive(i: number): boolean {
    if (this.#bits[i] === 0) return false;
    const u = this.#until;
    return u === null || u[i] === 0 || u[i]! > this.clock.ns;
  }

  addPacket(p: SetPacket, dirs: number, _n: number, timeout: number, exist: boolean): void {
    const i = this.#index(p, (dirs & 1) !== 0);
    if (i < 0 || (this.#alive(i) && !exist)) return;
    this.#bits[i] = 1;
    if (this.#until !== null) this.#until[i] = this.until(timeout >= 0 ? timeout : this.timeout);
  }

  delPacket(p: SetPacket, dirs: number, _n: number): void {
    const i = this.#index(p, (dirs & 1) !== 0);
    if (i >= 0) this.#bits[i] = 0;
  }

  #range(member: string): { lo: number; hi: number; timeout: number } {
    const words = member.trim().split(/\s+/);
    let timeout = this.timeout;
    if (words[1] === "timeout") timeout = Number(words[2]);
    const one = (s: string): number => {
      if (this.type === "bitmap:port") return Number(s.replace(/^(tcp|udp):/, ""));
      const a = parseIpv4(s);
      return a === undefined ? Number.NaN : swap(a) >>> 0;
    };
    const [a, b] = words[0]!.split("-");
    const lo = one(a!);
    const hi = b === undefined ? lo : one(b);
    if (!(lo >= this.opt.rangeLo && hi <= this.opt.rangeHi && lo <= hi))
      throw setError(this.name, `element "${member}" is outside of the set's range`);
    return { lo, hi, timeout };
  }

  add(member: string): void {
    const { lo, hi, timeout } = this.#range(member);
    for (let i = lo; i <= hi; i++) {
      this.#bits[i - this.opt.rangeLo] = 1;
      if (this.#until !== null) this.#until[i - this.opt.rangeLo] = this.until(timeout);
    }
  }

  del(member: string): void {
    const { lo, hi } = this.#range(member);
    for (let i = lo; i <= hi; i++) this.#bits[i - this.opt.rangeLo] = 0;
  }

  flush(): void {
    this.#bits.fill(0);
  }

  members(): string[] {
    const out: string[] = [];
    for (let i = 0; i < this.#bits.length; i++) {
      if (!this.#alive(i)) continue;
      const x = i + this.opt.rangeLo;
      let s = this.type === "bitmap:port" ? String(x) : formatIpv4(swap(x | 0));
      if (this.#until !== null)
        s += ` timeout ${this.#until[i] === 0 ? 0 : Math.floor((this.#until[i]! - this.clock.ns) / NS_PER_SEC)}`;
      out.push(s);
    }
    return out;
  }

  createLine(): string {
    let s = `create ${this.name} ${this.type} range ${this.opt.rangeText}`;
    if (this.timeout >= 0) s += ` timeout ${this.timeout}`;
    return s;
  }
}

/** list:set: true when any of its sets says so. */
class ListSet extends IpSet {
  readonly #list: { readonly set: IpSet; until: number }[] = [];

  constructor(
    name: string,
    clock: VirtualClock,
    readonly sets: IpSets,
    readonly opt: CreateOptions,
  ) {
    super(name, "list:set", 0, clock, opt.timeout);
  }

  test(p: SetPacket, dirs: number, ndirs: number): boolean {
    for (let i = 0; i < this.#list.length; i++) {
      const e = this.#list[i]!;
      if (e.until !== 0 && e.until <= this.clock.ns) continue;
      if (e.set.test(p, dirs, ndirs)) return true;
    }
    return false;
  }

  addPacket(p: SetPacket, dirs: number, n: number, timeout: number, exist: boolean): void {
    const e = this.#list[0];
    if (e !== undefined) e.set.addPacket(p, dirs, n, timeout, exist);
  }

  delPacket(p: SetPacket, dirs: number, n: number): void {
    const e = this.#list[0];
    if (e !== undefined) e.set.delPacket(p, dirs, n);
  }

  add(member: string): void {
    const words = member.trim().split(/\s+/);
    const set = this.sets.get(words[0]!);
    if (set === undefined || set instanceof ListSet)
      throw setError(this.name, `"${words[0]}" is not a set that a list may hold`);
    if (this.#list.some((e) => e.set === set)) return;
    const sec = words[1] === "timeout" ? Number(words[2]) : this.timeout;
    set.references++;
    this.#list.push({ set, until: this.timeout >= 0 ? this.until(sec) : 0 });
  }

  del(member: string): void {
    const i = this.#list.findIndex((e) => e.set.name === member.trim());
    if (i < 0) throw setError(this.name, `element "${member}" is not in the set`);
    this.#list[i]!.set.references--;
    this.#list.splice(i, 1);
  }

  flush(): void {
    for (const e of this.#list) e.set.references--;
    this.#list.length = 0;
  }

  members(): string[] {
    return this.#list.map((e) =>
      this.timeout >= 0
        ? `${e.set.name} timeout ${e.until === 0 ? 0 : Math.floor((e.until - this.clock.ns) / NS_PER_SEC)}`
        : e.set.name,
    );
  }

  createLine(): string {
    return `create ${this.name} list:set size ${this.opt.size}${this.timeout >= 0 ? ` timeout ${this.timeout}` : ""}`;
  }
}

function setError(name: string, msg: string): PodpathError {
  return new PodpathError("RULES_INVALID", `ipset ${name}: ${msg}`);
}

/** The sets of a namespace. */
export class IpSets {
  readonly #sets = new Map<string, IpSet>();

  constructor(readonly clock: VirtualClock) {}

  get(name: string): IpSet | undefined {
    return this.#sets.get(name);
  }

  list(): IpSet[] {
    return [...this.#sets.values()];
  }

  /** `ipset create NAME TYPE [options]`. `exist`: an equal set is no error. */
  create(name: string, typeAndOptions: string, exist = false): IpSet {
    const old = this.#sets.get(name);
    if (old !== undefined) {
      if (exist) return old;
      throw setError(name, "a set of this name exists");
    }
    const words = typeAndOptions.trim().split(/\s+/);
    const type = words[0]!;
    const opt: CreateOptions = {
      family: "inet",
      timeout: -1,
      maxelem: 65_536,
      hashsize: 1024,
      netmask: 32,
      rangeLo: 0,
      rangeHi: 65_535,
      rangeText: "0-65535",
      size: 8,
    };
    for (let i = 1; i < words.length; i++) {
      const w = words[i]!;
      const arg = words[i + 1] ?? "";
      switch (w) {
        case "family":
          if (arg !== "inet" && arg !== "inet6") throw setError(name, `family ${arg} is unknown`);
          opt.family = arg;
          i++;
          break;
        case "timeout":
          opt.timeout = Number(arg);
          i++;
          break;
        case "maxelem":
          opt.maxelem = Number(arg);
          i++;
          break;
        case "hashsize":
          opt.hashsize = Number(arg);
          i++;
          break;
        case "bucketsize":
        case "initval":
          i++;
          break;
        case "netmask":
          opt.netmask = Number(arg);
          i++;
          break;
        case "size":
          opt.size = Number(arg);
          i++;
          break;
        case "forceadd":
          break;
        case "range": {
          opt.rangeText = arg;
          const [lo, hi] = arg.split(arg.includes("/") ? "/" : "-");
          if (type === "bitmap:ip") {
            const a = parseIpv4(lo!);
            if (a === undefined) throw setError(name, `range ${arg} is not one`);
            opt.rangeLo = swap(a) >>> 0;
            if (arg.includes("/")) opt.rangeHi = opt.rangeLo + 2 ** (32 - Number(hi)) - 1;
            else opt.rangeHi = (swap(parseIpv4(hi ?? "") ?? a) >>> 0) as number;
          } else {
            opt.rangeLo = Number(lo);
            opt.rangeHi = Number(hi);
          }
          if (!(opt.rangeHi >= opt.rangeLo && opt.rangeHi - opt.rangeLo < 65_536))
            throw setError(name, `range ${arg} is not one`);
          i++;
          break;
        }
        default:
          throw setError(name, `option ${w} is not modelled`);
      }
    }
    let set: IpSet;
    const dims = TYPES[type];
    if (dims !== undefined) set = new HashSet(name, type, this.clock, dims, opt);
    else if (type === "bitmap:port" || type === "bitmap:ip") set = new BitmapSet(name, type, this.clock, opt);
    else if (type === "list:set") set = new ListSet(name, this.clock, this, opt);
    else throw setError(name, `type ${type} is not modelled`);
    this.#sets.set(name, set);
    return set;
  }

  destroy(name: string): void {
    const s = this.#sets.get(name);
    if (s === undefined) throw setError(name, "there is no such set");
    if (s.references > 0) throw setError(name, "the set is in use");
    s.flush();
    this.#sets.delete(name);
  }

  /** `ipset swap`: names exchange their contents. Rules keep the set object, so contents are exchanged by name. */
  swap(a: string, b: string): void {
    const x = this.#sets.get(a);
    const y = this.#sets.get(b);
    if (x === undefined || y === undefined) throw setError(x === undefined ? a : b, "there is no such set");
    if (x.type !== y.type) throw setError(a, `type differs from that of ${b}`);
    const mx = x.members();
    const my = y.members();
    x.flush();
    y.flush();
    for (const m of my) x.add(m);
    for (const m of mx) y.add(m);
  }

  /** `ipset restore`: create, add, del, flush, destroy, swap lines. Errors carry the line number. */
  restore(text: string, file = "ipset"): void {
    const lines = text.split("\n");
    lines.forEach((raw, i) => {
      const line = raw.trim();
      if (line === "" || line.startsWith("#") || line === "COMMIT") return;
      const m = /^(?:-?-?)(create|add|del|flush|destroy|swap|N|A|D|F|X|W)\s+(\S+)\s*(.*)$/.exec(line);
      try {
        if (m === null)
          throw new PodpathError("RULES_INVALID", `"${line}" is not an ipset command that is modelled`);
        const exist = /\s-(exist|!)$/.test(line);
        const name = m[2]!;
        const rest = m[3]!.replace(/\s+-(exist|!)$/, "");
        const set = this.#sets.get(name);
        switch (m[1]) {
          case "create":
          case "N":
            this.create(name, rest, exist);
            return;
          case "destroy":
          case "X":
            this.destroy(name);
            return;
          case "swap":
          case "W":
            this.swap(name, rest);
            return;
        }
        if (set === undefined) throw setError(name, "there is no such set");
        if (m[1] === "add" || m[1] === "A") set.add(rest);
        else if (m[1] === "del" || m[1] === "D") set.del(rest);
        else set.flush();
      } catch (e) {
        if (e instanceof PodpathError && e.position === undefined)
          throw new PodpathError(e.code, e.message, { file, line: i + 1, column: 1 });
        throw e;
      }
    });
  }

  /** `ipset save`. */
  save(): string {
    let s = "";
    for (const set of this.#sets.values()) {
      s += `${set.createLine()}\n`;
      for (const m of set.members()) s += `add ${set.name} ${m}\n`;
    }
    return s;
  }
}
