// The lab's only source of randomness: xoshiro128** (Blackman and Vigna), seeded through splitmix32.
// Same seed, same numbers, on every machine.

/** A seeded generator of 32-bit numbers; its state is four words, so that a snapshot is cheap. */
export class Prng {
  readonly #s = new Int32Array(4);

  constructor(seed: number) {
    this.reseed(seed);
  }

  /** Starts the sequence that belongs to `seed` (any 32-bit integer). */
  reseed(seed: number): void {
    let z = seed | 0;
    for (let i = 0; i < 4; i++) {
      z = (z + 0x9e3779b9) | 0;
      let t = z ^ (z >>> 16);
      t = Math.imul(t, 0x21f0aaad);
      t ^= t >>> 15;
      t = Math.imul(t, 0x735a2d97);
      this.#s[i] = t ^ (t >>> 15);
    }
    // All-zero state is the one fixed point of the generator.
    if ((this.#s[0]! | this.#s[1]! | this.#s[2]! | this.#s[3]!) === 0) this.#s[0] = 1;
  }

  /** The next 32 random bits, as a signed int32 (never boxed). */
  nextInt32(): number {
    const s = this.#s;
    const s1 = s[1]!;
    let r = Math.imul(s1, 5);
    r = Math.imul((r << 7) | (r >>> 25), 9);
    const t = s1 << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s1;
    s[1] = s1 ^ s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    const s3 = s[3]!;
    s[3] = (s3 << 11) | (s3 >>> 21);
    return r;
  }

  /** A number in [0, n), n at most 2^32; the bias of the multiplication is below n / 2^32. */
  below(n: number): number {
    return Math.floor(((this.nextInt32() >>> 0) / 0x1_0000_0000) * n);
  }

  /** Copy of the state, for `restore`. */
  save(): Int32Array {
    return this.#s.slice();
  }

  /** Returns to a state that `save` gave. */
  restore(state: Int32Array): void {
    this.#s.set(state);
  }
}
