// Small numbers for sequences of small numbers: what is made of many parts gets one number, the same for the same parts.

/** Numbers stay below: two of them make a key that a double holds exactly. */
const LIMIT = 2 ** 26;

/**
 * The nodes of a tree whose root is 0. Sequences that begin at the root have the same number exactly if they are equal,
 * however long they are; those that begin elsewhere (`of(a, b)` for a pair) only among others of the same length.
 */
export class Numbering {
  readonly #known = new Map<number, number>();

  /** The number of the sequence `a` followed by `b`, both from 0 to 2^26 - 1; never 0. */
  of(a: number, b: number): number {
    const key = a * LIMIT + b;
    let n = this.#known.get(key);
    if (n === undefined) {
      n = this.#known.size + 1;
      if (n === LIMIT) throw new RangeError("a numbering has run out of numbers");
      this.#known.set(key, n);
    }
    return n;
  }

  /** The number of the sequence `a` followed by a 32-bit word. */
  ofWord(a: number, word: number): number {
    return this.of(this.of(a, word >>> 16), word & 0xffff);
  }
}
