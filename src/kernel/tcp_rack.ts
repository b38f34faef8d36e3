// RACK (tcp_recovery.c): a packet is lost when one that was sent enough later has arrived. Times are ms, stamps ns.

import type { VirtualClock } from "../base/clock.js";
import type { RttEstimator } from "./tcp_rtt.js";
import {
  LOST,
  RETRANS,
  SACKED_ACKED,
  SACKED_RETRANS,
  type Scoreboard,
  type TxSkb,
} from "./tcp_scoreboard.js";
import { after } from "./tcp_seq.js";

const MS = 1e6;
/** sysctl tcp_reordering: how many packets may overtake one before reordering has been seen. */
export const REORDERING = 3;
/** sysctl tcp_max_reordering. */
const MAX_REORDERING = 300;

export class Rack {
  /** tp->reordering. */
  reordering = REORDERING;
  /** Something arrived since losses were last looked for. */
  advanced = false;
  /** Whether a packet ever came late rather than not at all. */
  #reordSeen = false;
  // The most recently sent packet that has arrived: when it was sent, where it ends, how long it took.
  #instant = 0;
  #end = 0;
  #rtt = 0;

  constructor(
    readonly out: Scoreboard,
    readonly rtt: RttEstimator,
    readonly clock: VirtualClock,
  ) {}

  /** tcp_rack_advance: `s` has arrived. */
  advance(s: TxSkb): void {
    const rtt = (this.clock.ns - s.sentNs) / MS;
    // Too soon for what was sent again: it was the first one that arrived. (The kernel's test is rtt < min. Here a round
    // trip within one instant takes no time, the handshake's neither, and that one is the slowest on real machines.)
    if (rtt <= this.rtt.min && (s.sacked & RETRANS) !== 0) return;
    this.advanced = true;
    this.#rtt = rtt;
    if (s.instant > this.#instant || (s.instant === this.#instant && after(s.end, this.#end))) {
      this.#instant = s.instant;
      this.#end = s.end;
    }
  }

  /** tcp_skb_sent_after, of the last packet known to have arrived. */
  #sentAfter(s: TxSkb): boolean {
    return this.#instant > s.instant || (this.#instant === s.instant && after(this.#end, s.end));
  }

  /** tcp_rack_reo_wnd: how long a packet may be overtaken. */
  #reoWnd(recovering: boolean): number {
    if (!this.#reordSeen && (recovering || this.out.sackedOut >= this.reordering)) return 0;
    return this.rtt.reorderWindow();
  }

  /** tcp_rack_skb_timeout: when `s` is lost if `wnd` is how long it may be overtaken; it is already if that is not > 0. */
  timeout(s: TxSkb, wnd: number): number {
    return this.#rtt + wnd - (this.clock.ns - s.sentNs) / MS;
  }

  /**
   * tcp_rack_detect_loss, while a loss is being `recovering` from or not: how long it takes at most until the rest would
   * count as lost too; 0: nothing is left.
   */
  detectLoss(recovering: boolean): number {
    const wnd = this.#reoWnd(recovering);
    let timeout = 0;
    for (const s of this.out.rtx) {
      if ((s.sacked & SACKED_ACKED) !== 0) continue;
      if ((s.sacked & LOST) !== 0 && (s.sacked & SACKED_RETRANS) === 0) continue;
      if (!this.#sentAfter(s)) continue;
      const left = this.timeout(s, wnd);
      if (left <= 0) this.out.markLost(s);
      else timeout = Math.max(timeout, left);
    }
    return timeout;
  }

  /** tcp_check_sack_reordering: what begins at `low` came after what lies beyond it. */
  checkReordering(low: number, mss: number): void {
    const fack = this.out.highestSackSeq();
    if (!after(fack, low)) return;
    const segs = Math.ceil(((fack - low) | 0) / Math.max(1, mss));
    this.reordering = Math.min(Math.max(this.reordering, segs), MAX_REORDERING);
    this.#reordSeen = true;
  }
}
