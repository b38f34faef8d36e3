// What the map types over a table have in common. Each concrete class has its own look-up and update, which are
// what programs call; nothing here is on the packet path.

import { BpfMap, type MapSnapshot } from "./bpf_map.js";
import type { MapSpec } from "./spec.js";
import { Table, type TableState } from "./table.js";

interface State {
  /** Rows, index and marks. */
  readonly table: TableState;
  readonly extra: unknown;
}

export abstract class TableMap extends BpfMap {
  /** What holds the entries. */
  protected readonly table: Table;

  protected constructor(spec: MapSpec, valueWords?: number) {
    const table = new Table(spec, valueWords);
    super(spec, 0, table.stride);
    this.table = table;
    this.sync();
  }

  override get size(): number {
    return this.table.count;
  }

  /** Bytes of memory that the map occupies now. */
  get memoryBytes(): number {
    return this.table.memoryBytes;
  }

  override forEachSlot(visit: (slot: number, keys: Int32Array, keyWord: number) => void): void {
    this.table.forEachSlot(visit);
  }

  override nextSlot(from: number): number {
    return this.table.nextSlot(from);
  }

  override keyBytes(slot: number): Uint8Array {
    return this.table.keyBytes(slot, this.spec.keySize);
  }

  override clear(): void {
    this.table.clear();
  }

  /** Makes room for `n` entries in all, for whoever is about to write so many. */
  reserve(n: number): void {
    this.table.reserve(n);
    this.sync();
  }

  override save(): MapSnapshot {
    const state: State = { table: this.table.save(), extra: this.saveExtra() };
    return { name: this.spec.name, size: this.size, state };
  }

  override restore(snapshot: MapSnapshot): void {
    const s = snapshot.state as State;
    this.table.restore(s.table, this.spec.name);
    this.sync();
    this.restoreExtra(s.extra);
  }

  /** What a type adds to a snapshot. */
  protected saveExtra(): unknown {
    return undefined;
  }

  /** Takes it back; the table is restored already. */
  protected restoreExtra(_extra: unknown): void {}

  /** Shows the table's rows as the map's; called whenever they may have moved. */
  protected sync(): void {
    if (this.words !== this.table.words) this.setBuffer(this.table.words);
  }
}
