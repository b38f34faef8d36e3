// The per-CPU types: BPF_MAP_TYPE_PERCPU_HASH, LRU_PERCPU_HASH and PERCPU_ARRAY. A row holds one value for each
// possible CPU, each padded to 8 bytes; a program sees its own CPU's, user space sees all of them or their sum.
//
//   word k of the value of the running CPU:  map.words[map.cpuWord(slot) + k]
//
// Differs from the kernel: look-ups of user space (`get`, `dump`) give the sum over the CPUs, as Cilium's readers
// make it, not the list; `valueOfCpu` gives the parts. `set` writes the whole value to one CPU and 0 to the others.

import { E2BIG, EEXIST, EINVAL, ENOENT } from "../src/base/errno.js";
import { ArrayMap } from "./array_map.js";
import type { BpfMap } from "./bpf_map.js";
import { LruHashMap } from "./lru_hash_map.js";
import { BPF_EXIST, BPF_NOEXIST, type CurrentCpu, type MapSpec, NONE } from "./spec.js";
import { TableMap } from "./table_map.js";

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

export class PercpuHashMap extends TableMap implements PercpuMap {
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

  override lookup(key: Int32Array): number {
    return this.find(key);
  }

  override peek(key: Int32Array): number {
    return this.find(key);
  }

  /** A program's update: writes the running CPU's value; a new entry has zeros on the others. */
  override update(key: Int32Array, value: Int32Array, flags: number): number {
    if (flags > BPF_EXIST || flags < 0) return -EINVAL;
    const slot = this.find(key);
    if (slot !== NONE) {
      if (flags === BPF_NOEXIST) return -EEXIST;
      writePart(this.words, this.cpuWord(slot), value, this.dataWords);
      return 0;
    }
    if (flags === BPF_EXIST) return -ENOENT;
    if (this.count >= this.spec.maxEntries) return -E2BIG;
    this.fillPart(this.takeSlot(), key, value, this.cpu.id * this.cpuWords);
    return 0;
  }

  override remove(key: Int32Array): number {
    const slot = this.find(key);
    if (slot === NONE) return -ENOENT;
    this.unlink(slot);
    this.freeSlot(slot);
    return 0;
  }

  override valueBytes(slot: number): Uint8Array {
    return sumOverCpus(this, slot, this.cpu.count);
  }

  valueOfCpu(slot: number, cpu: number): Uint8Array {
    return partOf(this, slot, cpu);
  }
}

export class LruPercpuHashMap extends LruHashMap implements PercpuMap {
  readonly cpuWords: number;
  readonly #cpu: CurrentCpu;

  constructor(spec: MapSpec, cpu: CurrentCpu) {
    super(spec, cpu, wordsPerCpu(spec) * cpu.count);
    this.cpuWords = wordsPerCpu(spec);
    this.#cpu = cpu;
  }

  cpuWord(slot: number): number {
    return slot * this.valueWords + this.#cpu.id * this.cpuWords;
  }

  protected override fill(slot: number, key: Int32Array, value: Int32Array): void {
    this.fillPart(slot, key, value, this.#cpu.id * this.cpuWords);
  }

  protected override writeValue(slot: number, value: Int32Array): void {
    writePart(this.words, this.cpuWord(slot), value, this.dataWords);
  }

  override valueBytes(slot: number): Uint8Array {
    return sumOverCpus(this, slot, this.#cpu.count);
  }

  valueOfCpu(slot: number, cpu: number): Uint8Array {
    return partOf(this, slot, cpu);
  }
}

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

function writePart(words: Int32Array, at: number, value: Int32Array, n: number): void {
  for (let k = 0; k < n; k++) words[at + k] = value[k];
}

function partOf(map: PercpuMap, slot: number, cpu: number): Uint8Array {
  const at = slot * map.valueStride + cpu * map.cpuWords * 4;
  return map.bytes.slice(at, at + map.spec.valueSize);
}

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
