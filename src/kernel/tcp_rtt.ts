// Round trip times and the retransmission timeout that follows from them (tcp_rtt_estimator, tcp_set_rto and
// tcp_update_rtt_min of tcp_input.c). All times are milliseconds.

import { after } from "./tcp_seq.js";
import { JIFFY_MS } from "./timer_wheel.js";

/** TCP_RTO_MIN. */
export const RTO_MIN_MS = 200;
/** TCP_RTO_MAX. */
export const RTO_MAX_MS = 120_000;
/** TCP_TIMEOUT_INIT. */
export const TIMEOUT_INIT_MS = 1000;
/** TCP_TIMEOUT_FALLBACK. */
const TIMEOUT_FALLBACK_MS = 3000;
/**
 * What the wires of the model do in no time takes a real one this long at least. Without it every packet sent in the
 * same instant as one that has arrived would be late.
 */
const WIRE_MS = 0.01;

/** usecs_to_jiffies, in ms: whole jiffies, rounded up. */
export const jiffies = (ms: number): number => Math.ceil(ms / JIFFY_MS) * JIFFY_MS;

export class RttEstimator {
  /** The retransmission timeout, doubled by each retransmission until the next sample. */
  rto = TIMEOUT_INIT_MS;
  /** Smoothed round trip time; 0: none was measured yet. */
  srtt = 0;
  /** The shortest sample. */
  min = Number.POSITIVE_INFINITY;
  #mdev = 0;
  #mdevMax = 0;
  #rttvar = 0;
  #rttSeq = 0;

  /** One sample, when `una` is acknowledged and `nxt` is the next number to send. */
  sample(ms: number, una: number, nxt: number): void {
    if (this.srtt === 0) {
      this.srtt = ms;
      this.#mdev = 2 * ms;
      this.#rttvar = Math.max(this.#mdev, RTO_MIN_MS);
      this.#mdevMax = this.#rttvar;
      this.#rttSeq = nxt;
    } else {
      let m = ms - this.srtt;
      this.srtt += m / 8;
      if (m < 0) {
        m = -m - this.#mdev / 4;
        // A shorter round trip must not lengthen the timeout much ("similar to one of Eifel findings").
        if (m > 0) m /= 8;
      } else m -= this.#mdev / 4;
      this.#mdev += m;
      if (this.#mdev > this.#mdevMax) {
        this.#mdevMax = this.#mdev;
        if (this.#mdevMax > this.#rttvar) this.#rttvar = this.#mdevMax;
      }
      if (after(una, this.#rttSeq)) {
        if (this.#mdevMax < this.#rttvar) this.#rttvar -= (this.#rttvar - this.#mdevMax) / 4;
        this.#rttSeq = nxt;
        this.#mdevMax = RTO_MIN_MS;
      }
    }
    this.srtt = Math.max(this.srtt, 0.001);
    this.rto = Math.min(jiffies(this.srtt + this.#rttvar), RTO_MAX_MS);
  }

  /** tcp_init_metrics: the handshake gave no sample, because a packet of it was sent twice. */
  fallback(): void {
    this.#rttvar = TIMEOUT_FALLBACK_MS;
    this.#mdev = TIMEOUT_FALLBACK_MS;
    this.#mdevMax = TIMEOUT_FALLBACK_MS;
    this.rto = TIMEOUT_FALLBACK_MS;
  }

  /** A sample that may be the shortest. */
  sampleMin(ms: number): void {
    if (ms < this.min) this.min = ms;
  }

  /** Doubles the timeout. */
  backoff(): void {
    this.rto = Math.min(this.rto * 2, RTO_MAX_MS);
  }

  /** How long a packet may be overtaken before it counts as lost: a quarter of the shortest round trip. */
  reorderWindow(): number {
    return Math.min(Math.max(this.min, WIRE_MS) / 4, Math.max(this.srtt, WIRE_MS));
  }
}
