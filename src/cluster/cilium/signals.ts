// What the agent does with cilium_signals (pkg/signal, pkg/maps/ctmap/gc): a program that runs short of ports or of
// conntrack entries wakes the garbage collector.
//
// Differs from the agent: signals are not muted while a collection runs, because it takes no time; "authentication
// required" has no listener, as labs have no authentication.

import type { CtGc } from "../../../maps/ct_gc.js";
import type { PerfEventArray } from "../../../maps/perf_event_array.js";
import {
  SIGNAL_CT_FILL_UP,
  SIGNAL_FILL_UP_LEN,
  SIGNAL_NAT_FILL_UP,
  SIGNAL_PROTO_V6,
} from "../../../maps/signals.js";
import type { TimerQueue } from "../../base/clock.js";

/** Reads a node's signals when the datapath is done with the packet that raised them. */
export class SignalListener {
  #woken = false;
  #ipv4 = false;
  #ipv6 = false;

  constructor(
    private readonly signals: PerfEventArray,
    private readonly gc: CtGc,
    private readonly timers: TimerQueue,
  ) {}

  start(): void {
    this.signals.enabled = true;
    this.signals.onOutput = () => {
      // One wake-up reads everything that is there.
      if (this.#woken) return;
      this.#woken = true;
      this.timers.after(0, this.#read);
    };
  }

  readonly #read = (): void => {
    this.#woken = false;
    this.#ipv4 = false;
    this.#ipv6 = false;
    this.signals.read(this.#take);
    if (this.#ipv4) this.gc.signal(false);
    if (this.#ipv6) this.gc.signal(true);
  };

  readonly #take = (sample: Uint8Array): void => {
    if (sample.length < SIGNAL_FILL_UP_LEN) return;
    const v = new DataView(sample.buffer, sample.byteOffset, sample.byteLength);
    const signal = v.getUint32(0, true);
    if (signal !== SIGNAL_NAT_FILL_UP && signal !== SIGNAL_CT_FILL_UP) return;
    if (v.getUint32(4, true) === SIGNAL_PROTO_V6) this.#ipv6 = true;
    else this.#ipv4 = true;
  };
}
