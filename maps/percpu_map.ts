// The per-CPU types: BPF_MAP_TYPE_PERCPU_HASH, LRU_PERCPU_HASH and PERCPU_ARRAY. A row holds one value for each
// possible CPU, each padded to 8 bytes; a program sees its own CPU's, user space sees all of them or their sum.
//
//   word k of the value of the running CPU:  map.words[map.cpuWord(slot) + k]
//
// Differs from the kernel: look-ups of user space (`get`, `dump`) give the sum over the CPUs, as Cilium's readers
// make it, not the list; `valueOfCpu` gives the parts. `set` writes the whole value to one CPU and 0 to the others.

import { ArrayMap } from "./array_map.js";
import { BpfMap, type MapSnapshot } from "./bpf_map.js";
import { HashMap } from "./hash_map.js";
import { LruHashMap } from "./lru_hash_map.js";
import type { CurrentCpu, MapSpec } from "./spec.js";

/** Words of one CPU's value: padded to 8 bytes. */
function wordsPerCpu(spec: MapSpec): number {
  return ((spec.valueSize + 7) & ~7) >> 2;
}

/** What the per-CPU types have in common. */
export interface PercpuMap extends BpfMap {
  /** Words of one CPU's part of a row. */
  readonly cpuWords: number;
  /** Position in `words` of the running CPU's value of `slot`. */
  cpuWord(slot: number): number;
  /** Copy of one CPU's value. */
  valueOfCpu(slot: number, cpu: number): Uint8Array;
}

/**
 * A hash whose rows hold a value for each CPU. It owns an ordinary map (whose own methods then only ever see objects
 * of one shape, see table.ts) and shows that map's rows.
 */
abstract class PercpuTableMap<M extends HashMap | LruHashMap> extends BpfMap implements PercpuMap {
  readonly cpuWords: number;

  protected constructor(
    protected readonly rows: M,
    protected readonly cpu: CurrentCpu,
  ) {
    super(rows.spec, 0, rows.valueWords);
    this.cpuWords = wordsPerCpu(rows.spec);
    this.setBuffer(rows.words);
  }

  override get size(): number {
    return this.rows.size;
  }

  cpuWord(slot: number): number {
    return slot * this.valueWords + this.cpu.id * this.cpuWords;
  }

  override lookup(key: Int32Array): number {
    return this.rows.lookup(key);
  }

  override peek(key: Int32Array): number {
    return this.rows.peek(key);
  }

  /** A program's update: writes the running CPU's value; a new entry has zeros on the others. */
  override update(key: Int32Array, value: Int32Array, flags: number): number {
    const ret = this.rows.updatePart(key, value, flags, this.cpu.id * this.cpuWords);
    if (this.words !== this.rows.words) this.setBuffer(this.rows.words);
    return ret;
  }

  override remove(key: Int32Array): number {
    return this.rows.remove(key);
  }

  override clear(): void {
    this.rows.clear();
  }

  override forEachSlot(visit: (slot: number, keys: Int32Array, keyWord: number) => void): void {
    this.rows.forEachSlot(visit);
  }

  override nextSlot(from: number): number {
    return this.rows.nextSlot(from);
  }

  override keyBytes(slot: number): Uint8Array {
    return this.rows.keyBytes(slot);
  }

  override save(): MapSnapshot {
    return this.rows.save();
  }

  override restore(snapshot: MapSnapshot): void {
    this.rows.restore(snapshot);
    this.setBuffer(this.rows.words);
  }

  override valueBytes(slot: number): Uint8Array {
    return sumOverCpus(this, slot, this.cpu.count);
  }

  valueOfCpu(slot: number, cpu: number): Uint8Array {
    return partOf(this, slot, cpu);
  }
}

/** BPF_MAP_TYPE_PERCPU_HASH. */
export class PercpuHashMap extends PercpuTableMap<HashMap> {
  constructor(spec: MapSpec, cpu: CurrentCpu) {
    super(new HashMap(spec, wordsPerCpu(spec) * cpu.count), cpu);
  }
}

/** BPF_MAP_TYPE_LRU_PERCPU_HASH. */
export class LruPercpuHashMap extends PercpuTableMap<LruHashMap> {
  constructor(spec: MapSpec, cpu: CurrentCpu) {
    super(new LruHashMap(spec, cpu, wordsPerCpu(spec) * cpu.count), cpu);
  }

  /** Entries evicted since the map was made. */
  get evictions(): number {
    return this.rows.evictions;
  }
}

/** BPF_MAP_TYPE_PERCPU_ARRAY. */
export class PercpuArrayMap extends ArrayMap implements PercpuMap {
  readonly cpuWords: number;

  constructor(
    spec: MapSpec,
    private readonly cpu: CurrentCpu,
  ) {
    super(spec, wordsPerCpu(spec) * cpu.count);
    this.cpuWords = wordsPerCpu(spec);
  }

  cpuWord(slot: number): number {
    return slot * this.valueWords + this.cpu.id * this.cpuWords;
  }

  override valueBytes(slot: number): Uint8Array {
    return sumOverCpus(this, slot, this.cpu.count);
  }

  valueOfCpu(slot: number, cpu: number): Uint8Array {
    return partOf(this, slot, cpu);
  }

  protected override writeAt(i: number): number {
    return this.cpuWord(i);
  }
}

/** Adds to the u64 whose low word is words[at]; `n` is below 2^32 and given as int32. */
export function addU64(words: Int32Array, at: number, n: number): void {
  const before = words[at] >>> 0;
  const sum = (words[at] + n) | 0;
  words[at] = sum;
  if (sum >>> 0 < before) words[at + 1]++;
}

/** Copy of the value of one CPU. */
function partOf(map: PercpuMap, slot: number, cpu: number): Uint8Array {
  const at = slot * map.valueStride + cpu * map.cpuWords * 4;
  return map.bytes.slice(at, at + map.spec.valueSize);
}

/** Counters of a row added up, each `counterSize` bytes wide. */
function sumOverCpus(map: PercpuMap, slot: number, cpus: number): Uint8Array {
  const sum = partOf(map, slot, 0);
  const out = new DataView(sum.buffer);
  const width = map.spec.counterSize ?? 8;
  for (let cpu = 1; cpu < cpus; cpu++) {
    const at = slot * map.valueStride + cpu * map.cpuWords * 4;
    for (let off = 0; off + width <= sum.length; off += width) {
      if (width === 8) {
        out.setBigUint64(off, out.getBigUint64(off, true) + map.view.getBigUint64(at + off, true), true);
      } else {
        out.setUint32(off, out.getUint32(off, true) + map.view.getUint32(at + off, true), true);
      }
    }
  }
  return sum;
}
