// The congestion window, in segments: slow start, its reduction in proportion to what arrives (RFC 6937, tcp_cwnd_reduction
// of tcp_input.c) and its growth (tcp_cong.c). The reduction is CUBIC's, to 717/1024; the growth after it is Reno's: on
// the short round trips modelled here CUBIC's curve stays below that. No pacing, no BBR.

import { before } from "./tcp_seq.js";

/** TCP_INIT_CWND. */
const INIT_CWND = 10;
/** Segments that fill a GSO packet of 64 KB. */
export const MAX_TSO_SEGS = 44;
const INFINITE_SSTHRESH = 0x7fffffff;

export class CongestionWindow {
  /** Segments that may be under way. */
  cwnd = INIT_CWND;
  #cnt = 0;
  #ssthresh = INFINITE_SSTHRESH;
  // tcp_cwnd_validate: the window only grows when it is used.
  #maxPacketsOut = 0;
  #usageSeq = 0;
  #isLimited = false;
  // What a reduction began with, and has let through.
  #priorCwnd = 0;
  #priorSsthresh = 0;
  #delivered = 0;
  #out = 0;

  /** A SYN was sent again, for the `n`th time: slow start ends early. */
  synTimeout(n: number): void {
    if (n === 1) this.#ssthresh = this.#reduced();
  }

  /** tcp_init_transfer, after a handshake in which more than one packet was sent again. */
  startSmall(): void {
    this.cwnd = 1;
  }

  /** tcp_update_pacing_rate, bytes per ms, with a smoothed round trip of `srtt` ms. */
  pacingRate(srtt: number, mss: number): number {
    return (this.cwnd * mss * (this.cwnd < this.#ssthresh / 2 ? 2 : 1.2)) / srtt;
  }

  /** After a transmission: `limited`, the window stopped it; `packetsOut` segments are under way. */
  validate(limited: boolean, packetsOut: number, una: number, nxt: number): void {
    if (!before(una, this.#usageSeq) || limited || (!this.#isLimited && packetsOut > this.#maxPacketsOut)) {
      this.#isLimited = limited;
      this.#maxPacketsOut = packetsOut;
      this.#usageSeq = nxt;
    }
  }

  /** tcp_current_ssthresh. */
  #current(reducing: boolean): number {
    return reducing ? this.#ssthresh : Math.max(this.#ssthresh, (this.cwnd >> 1) + (this.cwnd >> 2));
  }

  /** cubictcp_recalc_ssthresh. */
  #reduced(): number {
    return Math.max(Math.floor((this.cwnd * 717) / 1024), 2);
  }

  /** What `undo` will bring back: nothing, or (`keep`) today's threshold. */
  remember(keep: boolean, reducing = false): void {
    this.#priorSsthresh = keep ? this.#current(reducing) : 0;
  }

  /** tcp_init_cwnd_reduction. */
  startReduction(): void {
    this.#cnt = 0;
    this.#priorCwnd = this.cwnd;
    this.#delivered = 0;
    this.#out = 0;
    this.#ssthresh = this.#reduced();
  }

  /** Segments sent while the window is being reduced. */
  sent(n: number): void {
    this.#out += n;
  }

  /** tcp_cwnd_reduction: `delivered` segments have arrived; `grow`: the acknowledgement moved on and showed no loss. */
  reduce(delivered: number, inFlight: number, grow: boolean): void {
    if (delivered <= 0 || this.#priorCwnd === 0) return;
    const delta = this.#ssthresh - inFlight;
    this.#delivered += delivered;
    let n: number;
    if (delta < 0)
      n = Math.floor((this.#ssthresh * this.#delivered + this.#priorCwnd - 1) / this.#priorCwnd) - this.#out;
    else n = Math.min(delta, Math.max(this.#delivered - this.#out, delivered) + (grow ? 1 : 0));
    // At least one segment goes when recovery begins.
    this.cwnd = inFlight + Math.max(n, this.#out > 0 ? 0 : 1);
  }

  /** tcp_end_cwnd_reduction, unless it has been undone. */
  endReduction(): void {
    if (this.#ssthresh < INFINITE_SSTHRESH) this.cwnd = this.#ssthresh;
  }

  /** tcp_enter_loss: `fresh`, not yet reduced for this window. */
  timeout(fresh: boolean, reducing: boolean): void {
    if (!fresh) return;
    this.remember(true, reducing);
    this.#priorCwnd = this.cwnd;
    this.#ssthresh = this.#reduced();
  }

  /** The window after a timeout: one segment beyond what is still under way. */
  restart(inFlight: number): void {
    this.cwnd = inFlight + 1;
    this.#cnt = 0;
  }

  /** tcp_simple_retransmit: only the units changed, the amount of data under way stays. */
  changeUnits(reducing: boolean): void {
    this.#ssthresh = this.#current(reducing);
    this.#priorSsthresh = 0;
  }

  /** tcp_undo_cwnd_reduction. */
  undo(): void {
    if (this.#priorSsthresh === 0) return;
    this.cwnd = Math.max(this.cwnd, this.#priorCwnd);
    this.#ssthresh = Math.max(this.#ssthresh, this.#priorSsthresh);
  }

  /** tcp_slow_start and tcp_cong_avoid_ai. */
  grow(delivered: number): void {
    const slow = this.cwnd < this.#ssthresh;
    // tcp_is_cwnd_limited.
    if (!this.#isLimited && !(slow && this.cwnd < 2 * this.#maxPacketsOut)) return;
    let acked = delivered;
    if (slow) {
      const grown = Math.min(this.cwnd + acked, this.#ssthresh);
      acked -= grown - this.cwnd;
      this.cwnd = grown;
    }
    this.#cnt += acked;
    while (this.#cnt >= this.cwnd) {
      this.#cnt -= this.cwnd;
      this.cwnd++;
    }
  }
}
