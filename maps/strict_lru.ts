// Exact least-recently-used order: one doubly linked list over the slots, most recent first. The policy that
// npm's lru-cache has, and the reference against which the kernel's approximation is compared.

/** State of the list in a snapshot. */
export interface StrictLruState {
  readonly links: Int32Array;
}

export class StrictLru {
  /** links[2n] = older, links[2n + 1] = newer; node 0 is the head of the circle, slot s is node s + 1. */
  #links: Int32Array;

  constructor() {
    this.#links = new Int32Array(16);
  }

  /** Bytes of memory that the list occupies. */
  get memoryBytes(): number {
    return this.#links.byteLength;
  }

  /** Empties the list. */
  clear(): void {
    this.#links[0] = 0;
    this.#links[1] = 0;
  }

  /** Puts a slot in front that is not in the list. */
  add(slot: number): void {
    const node = slot + 1;
    if (2 * node >= this.#links.length) this.#grow(2 * node);
    const links = this.#links;
    const first = links[0];
    links[2 * node] = first;
    links[2 * node + 1] = 0;
    links[2 * first + 1] = node;
    links[0] = node;
  }

  /** Takes a slot out of the list. */
  remove(slot: number): void {
    const links = this.#links;
    const node = slot + 1;
    const older = links[2 * node];
    const newer = links[2 * node + 1];
    links[2 * newer] = older;
    links[2 * older + 1] = newer;
  }

  /** The slot was used. */
  touch(slot: number): void {
    if (this.#links[0] === slot + 1) return;
    this.remove(slot);
    this.add(slot);
  }

  /** The least recently used slot; -1 if there is none. */
  oldest(): number {
    return this.#links[1] - 1;
  }

  save(): StrictLruState {
    return { links: this.#links.slice() };
  }

  restore(s: StrictLruState): void {
    this.#links = s.links.slice();
  }

  #grow(needed: number): void {
    const links = new Int32Array(Math.max(needed + 2, 2 * this.#links.length));
    links.set(this.#links);
    this.#links = links;
  }
}
