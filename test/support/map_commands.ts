// fast-check model commands for any keyed map: the same operation on the map and on its reference, results
// compared after each, and the whole contents at the end.

import { expect } from "vitest";
import type { BpfMap } from "../../maps/bpf_map.js";
import type { CurrentCpu } from "../../maps/spec.js";
import fc from "./fast_check.js";
import { dumpHex, hexOf, type MapReference, valueFor } from "./maps.js";

/** The map under test, replaceable by a restored copy. */
export interface RealMap {
  map: BpfMap;
  /** Makes an empty map of the same kind. */
  readonly make: () => BpfMap;
  readonly cpu: CurrentCpu;
  /** Slot of each entry known to be there: it must not change while the entry lives. */
  readonly slots: Map<string, number>;
}

/** Turns a generated number pair into key words. */
export type KeyMaker = (map: BpfMap, n: number, m: number) => Int32Array;

type MapCommand = fc.Command<MapReference, RealMap>;

abstract class Keyed implements MapCommand {
  constructor(
    protected readonly makeKey: KeyMaker,
    protected readonly n: number,
    protected readonly m: number,
  ) {}

  check(): boolean {
    return true;
  }

  protected key(real: RealMap): [words: Int32Array, hex: string] {
    const words = this.makeKey(real.map, this.n, this.m);
    return [words, hexOf(words, real.map.spec.keySize)];
  }

  protected read(map: BpfMap, slot: number): string | undefined {
    return slot < 0 ? undefined : hexOf(map.words.slice(slot * map.valueWords), map.spec.valueSize);
  }

  /** Compares what every operation may have changed. */
  protected settle(model: MapReference, real: RealMap): void {
    expect(real.map.size).toBe(model.size);
    for (const hex of real.slots.keys()) if (model.peek(hex) === undefined) real.slots.delete(hex);
  }

  abstract run(model: MapReference, real: RealMap): void;

  toString(): string {
    return `${this.constructor.name}(${this.n}, ${this.m})`;
  }
}

class Lookup extends Keyed {
  run(model: MapReference, real: RealMap): void {
    const [words, hex] = this.key(real);
    expect(this.read(real.map, real.map.lookup(words))).toBe(model.lookup(hex));
    this.settle(model, real);
  }
}

class Peek extends Keyed {
  run(model: MapReference, real: RealMap): void {
    const [words, hex] = this.key(real);
    expect(this.read(real.map, real.map.peek(words))).toBe(model.peek(hex));
    this.settle(model, real);
  }
}

class Remove extends Keyed {
  run(model: MapReference, real: RealMap): void {
    const [words, hex] = this.key(real);
    expect(real.map.remove(words)).toBe(model.remove(hex));
    this.settle(model, real);
  }
}

class Update extends Keyed {
  constructor(
    makeKey: KeyMaker,
    n: number,
    m: number,
    private readonly value: number,
    private readonly flags: number,
  ) {
    super(makeKey, n, m);
  }

  run(model: MapReference, real: RealMap): void {
    const [words, hex] = this.key(real);
    const value = valueFor(real.map, this.value);
    const want = model.update(hex, hexOf(value, real.map.spec.valueSize), this.flags, real.cpu.id);
    const before = evictionsOf(real.map);
    expect(real.map.update(words, value, this.flags)).toBe(want);
    this.settle(model, real);
    if (want !== 0) return;
    const slot = real.map.peek(words);
    // The kernel's LRU takes a node first, and may evict for it the very entry that is about to be updated.
    if (evictionsOf(real.map) === before) expect(real.slots.get(hex) ?? slot).toBe(slot);
    real.slots.set(hex, slot);
  }

  override toString(): string {
    return `Update(${this.n}, ${this.m}, value ${this.value}, flags ${this.flags})`;
  }
}

function evictionsOf(map: BpfMap): number {
  return (map as { evictions?: number }).evictions ?? 0;
}

class OnCpu implements MapCommand {
  constructor(private readonly id: number) {}

  check(): boolean {
    return true;
  }

  run(_model: MapReference, real: RealMap): void {
    real.cpu.id = this.id % real.cpu.count;
  }

  toString(): string {
    return `OnCpu(${this.id})`;
  }
}

/** Goes on with a copy made by save and restore. */
class Fork implements MapCommand {
  check(): boolean {
    return true;
  }

  run(_model: MapReference, real: RealMap): void {
    const copy = real.make();
    copy.restore(real.map.save());
    // The original must not share anything with the copy.
    real.map.clear();
    real.map = copy;
    real.slots.clear();
  }

  toString(): string {
    return "Fork";
  }
}

/** Command lists over keys made from n in [0, keys) and m in [0, 2^32). */
export function mapCommands(makeKey: KeyMaker, keys: number): fc.Arbitrary<Iterable<MapCommand>> {
  const n = fc.nat({ max: keys - 1 });
  const m = fc.nat();
  const flags = fc.constantFrom(0, 0, 0, 0, 0, 1, 2, 3);
  const update = fc
    .tuple(n, m, fc.nat({ max: 255 }), flags)
    .map(([a, b, v, f]) => new Update(makeKey, a, b, v, f));
  const lookup = fc.tuple(n, m).map(([a, b]) => new Lookup(makeKey, a, b));
  return fc.commands(
    [
      // Twice each, so that they come up more often than the rest.
      update,
      update,
      update,
      lookup,
      lookup,
      fc.tuple(n, m).map(([a, b]) => new Peek(makeKey, a, b)),
      fc.tuple(n, m).map(([a, b]) => new Remove(makeKey, a, b)),
      fc.nat({ max: 7 }).map((id) => new OnCpu(id)),
      fc.constant(new Fork()),
    ],
    { maxCommands: 120, size: "max" },
  );
}

/** Runs commands on a fresh map and its reference, and compares the contents at the end. */
export function runCommands(
  commands: Iterable<MapCommand>,
  make: () => BpfMap,
  reference: MapReference,
  cpu: CurrentCpu,
): void {
  const real: RealMap = { map: make(), make, cpu, slots: new Map() };
  fc.modelRun(() => ({ model: reference, real }), commands);
  expect(dumpHex(real.map)).toEqual(reference.entries().sort(([a], [b]) => (a < b ? -1 : 1)));
}
