// BPF_MAP_TYPE_PROG_ARRAY: the target of tail calls, after kernel/bpf/arraymap.c (fd_array_map_*). The map knows
// nothing of what it holds: programs/ decides what a program is.

import { E2BIG, EINVAL, ENOENT } from "../src/base/errno.js";
import type { MapSpec } from "./spec.js";

export class ProgArray<P extends object> {
  /** Only as long as the highest index ever set: these maps have 65,535 places and few programs. */
  readonly #progs: (P | null)[] = [];

  constructor(readonly spec: MapSpec) {}

  /** The program at `index`; null where there is none or the index is out of range (the tail call falls through). */
  get(index: number): P | null {
    return index >= 0 && index < this.#progs.length ? this.#progs[index] : null;
  }

  /** 0, -E2BIG beyond the end, -EINVAL for flags other than BPF_ANY. */
  set(index: number, prog: P, flags = 0): number {
    if (flags !== 0) return -EINVAL;
    if (index < 0 || index >= this.spec.maxEntries) return -E2BIG;
    while (this.#progs.length <= index) this.#progs.push(null);
    this.#progs[index] = prog;
    return 0;
  }

  /** 0, -E2BIG beyond the end, -ENOENT for an empty place. */
  delete(index: number): number {
    if (index < 0 || index >= this.spec.maxEntries) return -E2BIG;
    if (this.get(index) === null) return -ENOENT;
    this.#progs[index] = null;
    return 0;
  }

  /** Places that hold a program. */
  get size(): number {
    let n = 0;
    for (const p of this.#progs) if (p !== null) n++;
    return n;
  }

  /** [index, program] of every place in use, in order. */
  entries(): [number, P][] {
    const out: [number, P][] = [];
    this.#progs.forEach((p, i) => {
      if (p !== null) out.push([i, p]);
    });
    return out;
  }

  clear(): void {
    this.#progs.length = 0;
  }

  /** Copy of the places, for `restore`. */
  save(): readonly (P | null)[] {
    return this.#progs.slice();
  }

  restore(state: readonly (P | null)[]): void {
    this.#progs.length = 0;
    for (const p of state) this.#progs.push(p);
  }
}
