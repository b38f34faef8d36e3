// A timer that is moved far more often than it fires. The lab's queue holds one entry for it, which is left where it is
// when the deadline moves back or is taken away, so that moving it costs no entry a packet.

import type { Timer } from "../../base/clock.js";
import type { Kernel } from "../kernel.js";
import { wheelExpiryNs } from "../timer_wheel.js";

export class MovingTimer {
  #deadline = Number.POSITIVE_INFINITY;
  #entry: Timer | null = null;
  readonly #due = (): void => this.#expire();

  constructor(
    private readonly k: Kernel,
    private readonly fire: () => void,
  ) {}

  /** timer_pending. */
  get pending(): boolean {
    return this.#deadline !== Number.POSITIVE_INFINITY;
  }

  /** mod_timer: fires in `delayNs`, rounded up as the kernel's wheel rounds. */
  mod(delayNs: number): void {
    const now = this.k.clock.ns;
    this.#deadline = wheelExpiryNs(now, now + delayNs);
    const entry = this.#entry;
    if (entry !== null) {
      if (entry.atNs <= this.#deadline) return;
      entry.cancel();
    }
    this.#entry = this.k.timers.at(this.#deadline, this.#due);
  }

  /** timer_delete. */
  del(): void {
    this.#deadline = Number.POSITIVE_INFINITY;
  }

  #expire(): void {
    this.#entry = null;
    if (!this.pending) return;
    if (this.#deadline > this.k.clock.ns) {
      this.#entry = this.k.timers.at(this.#deadline, this.#due);
      return;
    }
    this.#deadline = Number.POSITIVE_INFINITY;
    // A timer runs in softirq context: what it sends is handled before it returns.
    const w = this.k.world;
    w.enter();
    this.fire();
    w.leave();
  }
}
