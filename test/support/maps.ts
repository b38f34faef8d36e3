// Key and value words for map tests, and the reference implementations that map types are compared with.

import { LRUCache } from "lru-cache";
import type { BpfMap } from "../../maps/bpf_map.js";
import { fromHex, toHex } from "../../src/net/view.js";

/** Key words of a map from a small number: spread over all words, zero behind keySize bytes. */
export function keyOf(
  map: { readonly keyWords: number; readonly spec: { readonly keySize: number } },
  n: number,
): Int32Array {
  const words = new Int32Array(map.keyWords);
  const bytes = new Uint8Array(words.buffer);
  for (let i = 0; i < map.spec.keySize; i++) bytes[i] = (n * (i + 1) + (n >> 3) * i + i) & 0xff;
  return words;
}

/** Value words whose bytes all derive from `n`. */
export function valueFor(
  map: { readonly dataWords: number; readonly spec: { readonly valueSize: number } },
  n: number,
): Int32Array {
  const words = new Int32Array(map.dataWords);
  const bytes = new Uint8Array(words.buffer);
  for (let i = 0; i < map.spec.valueSize; i++) bytes[i] = (n * 31 + i) & 0xff;
  return words;
}

/** Hex of the first `size` bytes of words. */
export function hexOf(words: Int32Array, size: number): string {
  return toHex(new Uint8Array(words.buffer, words.byteOffset, size));
}

/** A dump as [key, value] in hex. */
export function dumpHex(map: BpfMap): [string, string][] {
  return map.dump().map((e) => [toHex(e.key), toHex(e.value)]);
}

const ENOENT = -2;
const E2BIG = -7;
const ENOMEM = -12;
const EEXIST = -17;
const EINVAL = -22;
const ENOSPC = -28;

/** What a map is compared with. Keys and values are hex strings. */
export interface MapReference {
  readonly size: number;
  lookup(key: string): string | undefined;
  peek(key: string): string | undefined;
  update(key: string, value: string, flags: number, cpu: number): number;
  remove(key: string): number;
  entries(): [string, string][];
}

/** BPF_MAP_TYPE_HASH over a JavaScript Map. */
export class HashReference implements MapReference {
  readonly #entries = new Map<string, string>();

  constructor(private readonly maxEntries: number) {}

  get size(): number {
    return this.#entries.size;
  }

  lookup(key: string): string | undefined {
    return this.#entries.get(key);
  }

  peek(key: string): string | undefined {
    return this.#entries.get(key);
  }

  update(key: string, value: string, flags: number): number {
    if (flags > 2) return EINVAL;
    const there = this.#entries.has(key);
    if (there && flags === 1) return EEXIST;
    if (!there && flags === 2) return ENOENT;
    if (!there && this.#entries.size === this.maxEntries) return E2BIG;
    this.#entries.set(key, value);
    return 0;
  }

  remove(key: string): number {
    return this.#entries.delete(key) ? 0 : ENOENT;
  }

  entries(): [string, string][] {
    return [...this.#entries];
  }
}

/** Strict LRU by npm's lru-cache. */
export class StrictLruReference implements MapReference {
  readonly #cache: LRUCache<string, string>;

  constructor(maxEntries: number) {
    this.#cache = new LRUCache({ max: maxEntries });
  }

  get size(): number {
    return this.#cache.size;
  }

  lookup(key: string): string | undefined {
    return this.#cache.get(key);
  }

  peek(key: string): string | undefined {
    return this.#cache.peek(key);
  }

  update(key: string, value: string, flags: number): number {
    if (flags > 2) return EINVAL;
    const there = this.#cache.has(key);
    if (there && flags === 1) return EEXIST;
    if (!there && flags === 2) return ENOENT;
    this.#cache.set(key, value);
    return 0;
  }

  remove(key: string): number {
    return this.#cache.delete(key) ? 0 : ENOENT;
  }

  entries(): [string, string][] {
    return [...this.#cache.entries()];
  }
}

/** BPF_MAP_TYPE_LPM_TRIE by looking at every entry, bit by bit. */
export class LpmReference implements MapReference {
  readonly #entries = new Map<string, { bits: string; key: string; value: string }>();

  constructor(
    private readonly maxEntries: number,
    private readonly maxPrefixlen: number,
  ) {}

  get size(): number {
    return this.#entries.size;
  }

  /** The prefix of a key as a string of 0 and 1; undefined if it is longer than keys are. */
  #bits(key: string): string | undefined {
    const bytes = fromHex(key)!;
    const len = new DataView(bytes.buffer).getUint32(0, true);
    if (len > this.maxPrefixlen) return undefined;
    let s = "";
    for (let i = 4; i < bytes.length; i++) s += bytes[i].toString(2).padStart(8, "0");
    return s.slice(0, len);
  }

  update(key: string, value: string, flags: number): number {
    const bits = this.#bits(key);
    if (flags > 2 || bits === undefined) return EINVAL;
    const there = this.#entries.has(bits);
    if (there && flags === 1) return EEXIST;
    if (!there && flags === 2) return ENOENT;
    if (!there && this.#entries.size === this.maxEntries) return ENOSPC;
    this.#entries.set(bits, { bits, key, value });
    return 0;
  }

  remove(key: string): number {
    const bits = this.#bits(key);
    if (bits === undefined) return EINVAL;
    return this.#entries.delete(bits) ? 0 : ENOENT;
  }

  lookup(key: string): string | undefined {
    const bits = this.#bits(key);
    if (bits === undefined) return undefined;
    let best: { bits: string; value: string } | undefined;
    for (const e of this.#entries.values()) {
      if (bits.startsWith(e.bits) && (best === undefined || e.bits.length > best.bits.length)) best = e;
    }
    return best?.value;
  }

  peek(key: string): string | undefined {
    return this.lookup(key);
  }

  entries(): [string, string][] {
    return [...this.#entries.values()].map((e) => [e.key, e.value]);
  }
}

interface Node {
  key: string | null;
  value: string;
  ref: boolean;
  cpu: number;
  /** Which array it is in. */
  on: Node[];
}

/**
 * The kernel's LRU hash with plain arrays (index 0 = head of a list) and all nodes made beforehand, written from
 * kernel/bpf/bpf_lru_list.c apart from maps/lru_lists.ts.
 */
export class KernelLruReference implements MapReference {
  readonly #entries = new Map<string, Node>();
  readonly #free: Node[] = [];
  readonly #active: Node[] = [];
  readonly #inactive: Node[] = [];
  readonly #localFree: Node[][];
  readonly #pending: Node[][];
  readonly #steal: number[];
  readonly #target: number;
  /** null = the list head itself. */
  #rotation: Node | null = null;

  constructor(
    maxEntries: number,
    private readonly cpus: number,
  ) {
    this.#localFree = Array.from({ length: cpus }, () => []);
    this.#pending = Array.from({ length: cpus }, () => []);
    this.#steal = Array.from({ length: cpus }, (_, i) => i);
    this.#target = Math.min(128, Math.max(1, Math.trunc(Math.trunc(maxEntries / cpus) / 2)));
    for (let i = 0; i < maxEntries; i++) {
      this.#free.push({ key: null, value: "", ref: false, cpu: 0, on: this.#free });
    }
  }

  get size(): number {
    return this.#entries.size;
  }

  peek(key: string): string | undefined {
    return this.#entries.get(key)?.value;
  }

  entries(): [string, string][] {
    return [...this.#entries].map(([key, node]) => [key, node.value]);
  }

  lookup(key: string): string | undefined {
    const node = this.#entries.get(key);
    if (node) node.ref = true;
    return node?.value;
  }

  update(key: string, value: string, flags: number, cpu: number): number {
    if (flags > 2) return EINVAL;
    const fresh = this.#pop(cpu);
    if (!fresh) return ENOMEM;
    const old = this.#entries.get(key);
    if ((old && flags === 1) || (!old && flags === 2)) {
      this.#push(fresh);
      return old ? EEXIST : ENOENT;
    }
    fresh.key = key;
    fresh.value = value;
    this.#entries.set(key, fresh);
    if (old) {
      fresh.ref = true;
      old.key = null;
      this.#push(old);
    }
    return 0;
  }

  remove(key: string): number {
    const node = this.#entries.get(key);
    if (!node) return ENOENT;
    this.#entries.delete(key);
    node.key = null;
    this.#push(node);
    return 0;
  }

  /** Takes a node out of its list and puts it at the head of another, stepping the rotation mark aside. */
  #shift(node: Node, to: Node[]): void {
    if (node === this.#rotation) {
      const older = this.#inactive[this.#inactive.indexOf(node) - 1];
      this.#rotation = older ?? null;
    }
    node.on.splice(node.on.indexOf(node), 1);
    node.on = to;
    to.unshift(node);
  }

  #evict(node: Node): void {
    this.#entries.delete(node.key!);
    node.key = null;
  }

  #push(node: Node): void {
    if (this.#pending.includes(node.on)) this.#shift(node, this.#localFree[node.cpu]);
    else this.#shift(node, this.#free);
    node.ref = false;
  }

  #pop(cpu: number): Node | undefined {
    let node = this.#localFree[cpu].shift();
    if (!node) {
      this.#refill(cpu);
      node = this.#localFree[cpu].shift();
    }
    if (!node) {
      const first = this.#steal[cpu];
      let from = first;
      do {
        node = this.#localFree[from].shift() ?? this.#stealPending(from);
        from = (from + 1) % this.cpus;
      } while (!node && from !== first);
      this.#steal[cpu] = from;
    }
    if (!node) return undefined;
    node.cpu = cpu;
    node.ref = false;
    node.on = this.#pending[cpu];
    node.on.unshift(node);
    return node;
  }

  #stealPending(cpu: number): Node | undefined {
    const list = this.#pending[cpu];
    const node = [...list].reverse().find((n) => !n.ref) ?? list.at(-1);
    if (!node) return undefined;
    this.#evict(node);
    list.splice(list.indexOf(node), 1);
    return node;
  }

  #refill(cpu: number): void {
    for (const node of [...this.#pending[cpu]].reverse()) {
      this.#shift(node, node.ref ? this.#active : this.#inactive);
      node.ref = false;
    }
    if (this.#inactive.length < this.#active.length) {
      for (const node of [...this.#active].reverse().slice(0, 128)) {
        this.#shift(node, node.ref ? this.#active : this.#inactive);
        node.ref = false;
      }
    }
    this.#rotateInactive();
    let got = 0;
    while (got < this.#target && this.#free.length > 0) {
      this.#shift(this.#free[0], this.#localFree[cpu]);
      got++;
    }
    if (got < this.#target) this.#shrink(this.#target - got, cpu);
  }

  #rotateInactive(): void {
    const n = this.#inactive.length;
    if (n === 0) return;
    // A full circle from the mark towards the head, then from the tail on.
    const at = this.#rotation === null ? n - 1 : this.#inactive.indexOf(this.#rotation);
    const circle: Node[] = [];
    for (let i = 0; i < n; i++) circle.push(this.#inactive[(at - i + n) % n]);
    const seen = circle.slice(0, 128);
    let next: Node | null = null;
    for (const node of seen) {
      // Towards the head from here, as the list is now: earlier steps may have taken nodes out.
      next = this.#inactive[this.#inactive.indexOf(node) - 1] ?? null;
      if (!node.ref) continue;
      this.#shift(node, this.#active);
      node.ref = false;
    }
    this.#rotation = next;
  }

  #shrink(want: number, cpu: number): void {
    let got = 0;
    for (const node of [...this.#inactive].reverse().slice(0, 128)) {
      if (got === want) break;
      if (node.ref) {
        this.#shift(node, this.#active);
        node.ref = false;
      } else {
        this.#evict(node);
        this.#shift(node, this.#localFree[cpu]);
        got++;
      }
    }
    if (got > 0) return;
    const node = (this.#inactive.length > 0 ? this.#inactive : this.#active).at(-1);
    if (!node) return;
    this.#evict(node);
    this.#shift(node, this.#localFree[cpu]);
  }
}
