// The sliding window of RFC 6479 over message counters, as WireGuard and IPsec keep it against replays.

export class ReplayWindow {
  /** One more than the highest counter seen. */
  #next = 0;
  readonly #seen: Int32Array;

  /** `bits` is a multiple of 32; 32 of them are the room in which the window moves. */
  constructor(private readonly bits: number) {
    this.#seen = new Int32Array(bits / 32);
  }

  /** True for a counter that was not seen and is not too old. */
  check(counter: number): boolean {
    const their = counter + 1;
    if (this.bits - 32 + their < this.#next) return false;
    if (their > this.#next) return true;
    return (this.#seen[Math.floor(their / 32) % this.#seen.length]! & (1 << (their & 31))) === 0;
  }

  /** `check`, and remembers the counter. */
  validate(counter: number): boolean {
    if (!this.check(counter)) return false;
    const their = counter + 1;
    const words = this.#seen.length;
    const word = Math.floor(their / 32);
    if (their > this.#next) {
      const current = Math.floor(this.#next / 32);
      const top = Math.min(word - current, words);
      for (let i = 1; i <= top; i++) this.#seen[(current + i) % words] = 0;
      this.#next = their;
    }
    this.#seen[word % words]! |= 1 << (their & 31);
    return true;
  }
}
