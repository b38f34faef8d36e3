// The kernel's approximate LRU: kernel/bpf/bpf_lru_list.c, its common (not per-CPU) form, function by function.
//
//   every node is on exactly one list:   FREE       global, unused
//                                        ACTIVE     global, used since it was last looked at
//                                        INACTIVE   global, candidates for eviction, oldest at the tail
//                                        LOCAL_FREE / LOCAL_PENDING, one pair a CPU
//
//   insert:  local free list of the CPU -> (empty: flush pending to the global lists, rotate them, take up to
//            `targetFree` global free nodes, else evict) -> node at the head of the CPU's pending list
//   lookup by a program: sets the reference bit, nothing else; lists move only when somebody needs a node
//
// A map that is full therefore holds between max_entries - targetFree and max_entries entries, eviction begins
// when fewer than targetFree nodes are left, and which entry goes is not exactly the least recently used one.
// Differs from the kernel: one lock-free thread, so no trylock failures; nodes that were never used are counted
// instead of being chained on FREE.
// targetFree and the number of scans are those of Linux 6.16 and later; older kernels always take 128.

import { MARK_USED, type Table } from "./table.js";

/** Bit of `marks`: looked up by a program since the lists last passed by. */
export const MARK_REF = 2;

const TYPE_SHIFT = 2;
/** Types of lists, in bits 2 and up of the mark; the first three are also their head nodes. */
const T_FREE = 0;
const T_ACTIVE = 1;
const T_INACTIVE = 2;
const T_LOCAL_FREE = 3;
const T_PENDING = 4;
const LOW_BITS = MARK_USED | MARK_REF;

/** Nodes that a refill takes, where the map is large enough. */
const LOCAL_FREE_TARGET = 128;
/** Nodes that one pass over a list looks at. */
const NR_SCANS = 128;

/** State of the lists in a snapshot. */
export interface LruListsState {
  readonly links: Int32Array;
  readonly cpuOf: Uint8Array;
  readonly counts: Int32Array;
  readonly nextInactiveRotation: number;
  readonly nextSteal: Int32Array;
  readonly evictions: number;
}

export class LruLists {
  /** Nodes: 3 list heads, 2 per CPU, then one a slot. links[2n] = next, links[2n + 1] = prev, circular. */
  #links: Int32Array;
  /** CPU whose pending list the node was put on; CPU numbers up to 255. */
  #cpuOf: Uint8Array;
  /** The table's: one byte a slot. */
  #marks: Uint8Array;
  /** Nodes on the ACTIVE and INACTIVE lists, by type. */
  readonly #counts = new Int32Array(3);
  /** Node of slot 0. */
  readonly #first: number;
  readonly #targetFree: number;
  /** By CPU: where it looks first when it must take a node from another. */
  readonly #nextSteal: Int32Array;
  /** Where the next rotation of INACTIVE begins: a node, or the list head. */
  #nextInactiveRotation = T_INACTIVE;
  /** Entries evicted so far. */
  evictions = 0;

  /** The table must hash whole keys. */
  constructor(
    private readonly table: Table,
    private readonly cpus: number,
  ) {
    const { marks, maxEntries } = table;
    this.#first = 3 + 2 * cpus;
    this.#targetFree = Math.max(
      1,
      Math.min(LOCAL_FREE_TARGET, Math.floor(Math.floor(maxEntries / cpus) / 2)),
    );
    this.#marks = marks;
    this.#links = new Int32Array(2 * (this.#first + marks.length));
    this.#cpuOf = new Uint8Array(marks.length);
    this.#nextSteal = new Int32Array(cpus);
    this.clear();
  }

  /** Nodes that one refill of a CPU's free list takes. */
  get targetFree(): number {
    return this.#targetFree;
  }

  /** Bytes of memory that the lists occupy, without the marks. */
  get memoryBytes(): number {
    return this.#links.byteLength + this.#cpuOf.byteLength;
  }

  /** Empties all lists; the table is empty. */
  clear(): void {
    const links = this.#links;
    for (let n = 0; n < this.#first; n++) {
      links[2 * n] = n;
      links[2 * n + 1] = n;
    }
    this.#counts.fill(0);
    this.#nextInactiveRotation = T_INACTIVE;
    for (let cpu = 0; cpu < this.cpus; cpu++) this.#nextSteal[cpu] = cpu;
  }

  /**
   * bpf_lru_pop_free: a slot for a new entry, at the head of the CPU's pending list, its reference bit clear.
   * May evict up to `targetFree` entries. -1 only when every node is gone.
   */
  popFree(cpu: number): number {
    let slot = this.#popLocalFree(cpu);
    if (slot < 0) {
      this.#refill(cpu);
      slot = this.#popLocalFree(cpu);
    }
    if (slot < 0) slot = this.#steal(cpu);
    if (slot >= 0) this.#addPending(cpu, slot);
    return slot;
  }

  /** bpf_lru_push_free: the slot has no entry any more. */
  pushFree(slot: number): void {
    const node = slot + this.#first;
    const type = this.#marks[slot] >> TYPE_SHIFT;
    if (type === T_PENDING) {
      this.#del(node);
      this.#add(node, this.#localFree(this.#cpuOf[slot]));
      this.#setType(slot, T_LOCAL_FREE);
    } else {
      this.#move(slot, T_FREE);
    }
  }

  /**
   * What an update of an existing entry does: the kernel writes a new node and frees the old one. Here the entry
   * keeps its slot, and the two nodes change places instead: `taken` (from popFree) goes where the old node would
   * have gone, `slot` stands at the head of the pending list with its reference bit set.
   */
  exchange(slot: number, taken: number): void {
    const marks = this.#marks;
    const type = marks[slot] >> TYPE_SHIFT;
    const cpu = this.#cpuOf[slot];
    const node = slot + this.#first;
    const other = taken + this.#first;
    if (node === this.#nextInactiveRotation) this.#nextInactiveRotation = this.#links[2 * node + 1];
    if (type !== T_PENDING) this.#counts[type]--;
    this.#del(node);
    // `taken` is the newest pending node; `slot` takes its place.
    this.#add(node, other);
    this.#del(other);
    this.#setType(slot, T_PENDING);
    marks[slot] |= MARK_REF;
    this.#cpuOf[slot] = this.#cpuOf[taken];
    if (type === T_PENDING) {
      this.#add(other, this.#localFree(cpu));
      this.#setType(taken, T_LOCAL_FREE);
    } else {
      this.#add(other, T_FREE);
      this.#setType(taken, T_FREE);
    }
  }

  save(): LruListsState {
    return {
      links: this.#links.slice(),
      cpuOf: this.#cpuOf.slice(),
      counts: this.#counts.slice(),
      nextInactiveRotation: this.#nextInactiveRotation,
      nextSteal: this.#nextSteal.slice(),
      evictions: this.evictions,
    };
  }

  /** The table has its slots and marks already. */
  restore(s: LruListsState): void {
    this.#grow();
    this.#links.set(s.links.subarray(0, this.#links.length));
    this.#cpuOf.set(s.cpuOf.subarray(0, this.#cpuOf.length));
    this.evictions = s.evictions;
    this.#counts.set(s.counts);
    this.#nextInactiveRotation = s.nextInactiveRotation;
    this.#nextSteal.set(s.nextSteal);
  }

  /** The table has grown: there are more nodes, and its marks have moved. */
  #grow(): void {
    const marks = this.table.marks;
    this.#marks = marks;
    const links = new Int32Array(2 * (this.#first + marks.length));
    links.set(this.#links.subarray(0, links.length));
    this.#links = links;
    const cpuOf = new Uint8Array(marks.length);
    cpuOf.set(this.#cpuOf.subarray(0, marks.length));
    this.#cpuOf = cpuOf;
  }

  /** del_from_htab: the entry of `slot` goes. */
  #evict(slot: number): void {
    this.table.unlink(slot, this.table.hashOf(slot));
    this.evictions++;
  }

  /** Head of a CPU's free list. */
  #localFree(cpu: number): number {
    return 3 + 2 * cpu;
  }

  /** Head of a CPU's pending list. */
  #pending(cpu: number): number {
    return 4 + 2 * cpu;
  }

  /** Changes the list of a node and clears its reference bit. */
  #setType(slot: number, type: number): void {
    this.#marks[slot] = (this.#marks[slot] & LOW_BITS & ~MARK_REF) | (type << TYPE_SHIFT);
  }

  /** bpf_lru_node_is_ref */
  #isRef(slot: number): boolean {
    return (this.#marks[slot] & MARK_REF) !== 0;
  }

  /** list_del */
  #del(node: number): void {
    const links = this.#links;
    const next = links[2 * node];
    const prev = links[2 * node + 1];
    links[2 * prev] = next;
    links[2 * next + 1] = prev;
  }

  /** list_add: behind `head`, that is at the front of its list. */
  #add(node: number, head: number): void {
    const links = this.#links;
    const next = links[2 * head];
    links[2 * node] = next;
    links[2 * node + 1] = head;
    links[2 * next + 1] = node;
    links[2 * head] = node;
  }

  /** __bpf_lru_node_move: between the global lists, or to the head of the same one; clears the reference bit. */
  #move(slot: number, type: number): void {
    const node = slot + this.#first;
    const old = this.#marks[slot] >> TYPE_SHIFT;
    if (old !== type) {
      this.#counts[old]--;
      this.#counts[type]++;
    }
    this.#setType(slot, type);
    if (node === this.#nextInactiveRotation) this.#nextInactiveRotation = this.#links[2 * node + 1];
    this.#del(node);
    this.#add(node, type);
  }

  /** __bpf_lru_node_move_to_free: from a global list to the CPU's free list. */
  #moveToLocalFree(slot: number, cpu: number): void {
    const node = slot + this.#first;
    if (node === this.#nextInactiveRotation) this.#nextInactiveRotation = this.#links[2 * node + 1];
    this.#counts[this.#marks[slot] >> TYPE_SHIFT]--;
    this.#setType(slot, T_LOCAL_FREE);
    this.#del(node);
    this.#add(node, this.#localFree(cpu));
  }

  /** __local_list_pop_free */
  #popLocalFree(cpu: number): number {
    const head = this.#localFree(cpu);
    const node = this.#links[2 * head];
    if (node === head) return -1;
    this.#del(node);
    return node - this.#first;
  }

  /** __local_list_add_pending */
  #addPending(cpu: number, slot: number): void {
    this.#cpuOf[slot] = cpu;
    this.#setType(slot, T_PENDING);
    this.#add(slot + this.#first, this.#pending(cpu));
  }

  /** bpf_lru_list_pop_free_to_local */
  #refill(cpu: number): void {
    this.#flushPending(cpu);
    // __bpf_lru_list_rotate: the active list only while it is the longer one.
    if (this.#counts[T_INACTIVE] < this.#counts[T_ACTIVE]) this.#rotateActive();
    this.#rotateInactive();
    let got = 0;
    while (got < this.#targetFree) {
      const node = this.#links[2 * T_FREE];
      if (node !== T_FREE) {
        this.#moveToLocalFree(node - this.#first, cpu);
      } else {
        if (this.table.fresh === this.table.maxEntries) break;
        const slot = this.table.take();
        if (this.#marks !== this.table.marks) this.#grow();
        this.#setType(slot, T_LOCAL_FREE);
        this.#add(slot + this.#first, this.#localFree(cpu));
      }
      got++;
    }
    if (got < this.#targetFree) this.#shrink(this.#targetFree - got, cpu);
  }

  /** __local_list_flush: oldest first. */
  #flushPending(cpu: number): void {
    const head = this.#pending(cpu);
    const links = this.#links;
    let node = links[2 * head + 1];
    while (node !== head) {
      const older = links[2 * node + 1];
      const slot = node - this.#first;
      const type = this.#isRef(slot) ? T_ACTIVE : T_INACTIVE;
      this.#counts[type]++;
      this.#setType(slot, type);
      this.#del(node);
      this.#add(node, type);
      node = older;
    }
  }

  /** __bpf_lru_list_rotate_active: from the tail, referenced ones to the head again, others to INACTIVE. */
  #rotateActive(): void {
    const links = this.#links;
    const firstNode = links[2 * T_ACTIVE];
    let node = links[2 * T_ACTIVE + 1];
    for (let i = 0; i < NR_SCANS && node !== T_ACTIVE; i++) {
      const prev = links[2 * node + 1];
      const slot = node - this.#first;
      this.#move(slot, this.#isRef(slot) ? T_ACTIVE : T_INACTIVE);
      if (node === firstNode) break;
      node = prev;
    }
  }

  /** __bpf_lru_list_rotate_inactive: from where the last pass ended, referenced ones to ACTIVE. */
  #rotateInactive(): void {
    const links = this.#links;
    if (links[2 * T_INACTIVE] === T_INACTIVE) return;
    let last = links[2 * this.#nextInactiveRotation];
    if (last === T_INACTIVE) last = links[2 * last];
    let cur = this.#nextInactiveRotation;
    let next = cur;
    let i = 0;
    while (i < NR_SCANS) {
      if (cur === T_INACTIVE) {
        cur = links[2 * cur + 1];
        continue;
      }
      next = links[2 * cur + 1];
      const slot = cur - this.#first;
      if (this.#isRef(slot)) this.#move(slot, T_ACTIVE);
      if (cur === last) break;
      cur = next;
      i++;
    }
    this.#nextInactiveRotation = next;
  }

  /** __bpf_lru_list_shrink: evicts up to `want` entries into the CPU's free list. */
  #shrink(want: number, cpu: number): void {
    const links = this.#links;
    let got = 0;
    let node = links[2 * T_INACTIVE + 1];
    for (let i = 0; i < NR_SCANS && node !== T_INACTIVE && got < want; i++) {
      const newer = links[2 * node + 1];
      const slot = node - this.#first;
      if (this.#isRef(slot)) {
        this.#move(slot, T_ACTIVE);
      } else {
        this.#evict(slot);
        this.#moveToLocalFree(slot, cpu);
        got++;
      }
      node = newer;
    }
    if (got > 0) return;
    // All that were scanned are referenced: one goes all the same.
    const list = links[2 * T_INACTIVE] !== T_INACTIVE ? T_INACTIVE : T_ACTIVE;
    const victim = links[2 * list + 1];
    if (victim === list) return;
    this.#evict(victim - this.#first);
    this.#moveToLocalFree(victim - this.#first, cpu);
  }

  /** The tail of bpf_common_lru_pop_free: no node left in the global lists, so another CPU's is taken. */
  #steal(cpu: number): number {
    const first = this.#nextSteal[cpu];
    let from = first;
    let slot = -1;
    do {
      slot = this.#popLocalFree(from);
      if (slot < 0) slot = this.#popPending(from);
      from = (from + 1) % this.cpus;
    } while (slot < 0 && from !== first);
    this.#nextSteal[cpu] = from;
    return slot;
  }

  /** __local_list_pop_pending: the oldest one without reference bit, else the oldest. */
  #popPending(cpu: number): number {
    const head = this.#pending(cpu);
    const links = this.#links;
    let node = links[2 * head + 1];
    while (node !== head && this.#isRef(node - this.#first)) node = links[2 * node + 1];
    if (node === head) node = links[2 * head + 1];
    if (node === head) return -1;
    const slot = node - this.#first;
    this.#evict(slot);
    this.#del(node);
    return slot;
  }
}
