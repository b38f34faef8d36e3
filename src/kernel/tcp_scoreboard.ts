// The packets of a TCP sender that are under way, and how many segments of them have arrived, are lost, or were sent again
// (sk->tcp_rtx_queue, and packets_out, sacked_out, lost_out, retrans_out of struct tcp_sock).

import { after } from "./tcp_seq.js";

// tcp_skb_cb.sacked
export const SACKED_ACKED = 1;
export const SACKED_RETRANS = 2;
export const LOST = 4;
export const EVER_RETRANS = 0x80;
export const RETRANS = SACKED_RETRANS | EVER_RETRANS;

/** A packet of the write or retransmission queue (struct sk_buff with tcp_skb_cb). */
export interface TxSkb {
  seq: number;
  end: number;
  data: Uint8Array;
  fin: boolean;
  psh: boolean;
  /** When it was last sent (skb_mstamp_ns). */
  sentNs: number;
  /** The instant in which it was last sent: grows where the virtual clock stands still. */
  instant: number;
  /** SACKED_ACKED | SACKED_RETRANS | LOST | EVER_RETRANS. */
  sacked: number;
  /** gso_size it was last sent with. */
  mss: number;
  /** tcp_skb_pcount: segments it was last counted as. */
  pcount: number;
}

export function txSkb(seq: number, data: Uint8Array): TxSkb {
  const end = (seq + data.length) | 0;
  return { seq, end, data, fin: false, psh: false, sentNs: 0, instant: 0, sacked: 0, mss: 0, pcount: 1 };
}

/** tcp_set_skb_tso_segs. */
export function setSegs(s: TxSkb, mss: number): void {
  s.mss = mss;
  s.pcount = s.data.length <= mss ? 1 : Math.ceil(s.data.length / mss);
}

/** tcp_skb_seglen: bytes of its longest segment. */
export const seglen = (s: TxSkb): number => (s.pcount === 1 ? s.data.length : s.mss);

/** tcp_fragment: `s` keeps its first `len` bytes, the rest is returned. Both count as segments of `mss` bytes. */
export function fragment(s: TxSkb, len: number, mss: number): TxSkb {
  const rest: TxSkb = { ...s, seq: (s.seq + len) | 0, data: s.data.subarray(len) };
  s.data = s.data.subarray(0, len);
  s.end = rest.seq;
  s.fin = false;
  s.psh = false;
  setSegs(s, mss);
  setSegs(rest, mss);
  return rest;
}

/** The socket as its scoreboard sees it. */
export interface SentBy {
  readonly sackOk: boolean;
  readonly sndUna: number;
  readonly sndNxt: number;
  /** tcp_wnd_end: the first sequence number behind the receiver's window. */
  windowEnd(): number;
}

export class Scoreboard {
  /** The retransmission queue, by sequence number. */
  readonly rtx: TxSkb[] = [];
  // Segments, of which `inFlight` is made.
  packetsOut = 0;
  sackedOut = 0;
  lostOut = 0;
  retransOut = 0;
  /** Ever delivered, and ever found lost. */
  delivered = 0;
  lost = 0;

  constructor(readonly sk: SentBy) {}

  /** Nothing is under way any more (tcp_rtx_queue_purge). */
  clear(): void {
    this.rtx.length = 0;
    this.packetsOut = 0;
    this.sackedOut = 0;
    this.lostOut = 0;
    this.retransOut = 0;
  }

  /** tcp_packets_in_flight. */
  inFlight(): number {
    return this.packetsOut - this.sackedOut - this.lostOut + this.retransOut;
  }

  /** tcp_any_retrans_done. */
  anyRetransDone(): boolean {
    return this.retransOut > 0 || (this.rtx.length > 0 && (this.rtx[0]!.sacked & EVER_RETRANS) !== 0);
  }

  /** tcp_highest_sack_seq: the end of the furthest packet that is known to have arrived. */
  highestSackSeq(): number {
    if (this.sackedOut === 0) return this.sk.sndUna;
    for (let i = this.rtx.length - 1; i >= 0; i--)
      if ((this.rtx[i]!.sacked & SACKED_ACKED) !== 0) return this.rtx[i]!.end;
    return this.sk.sndNxt;
  }

  /** tcp_fragment in the retransmission queue: packet `i` keeps its first `len` bytes. */
  split(i: number, len: number, mss: number): void {
    const s = this.rtx[i]!;
    const old = s.pcount;
    const rest = fragment(s, len, mss);
    this.rtx.splice(i + 1, 0, rest);
    this.adjust(s, s.pcount + rest.pcount - old);
  }

  /** tcp_adjust_pcount: `s` counts `n` segments more. */
  adjust(s: TxSkb, n: number): void {
    this.packetsOut += n;
    if ((s.sacked & SACKED_ACKED) !== 0) this.sackedOut += n;
    if ((s.sacked & SACKED_RETRANS) !== 0) this.retransOut += n;
    if ((s.sacked & LOST) !== 0) this.lostOut += n;
    if (!this.sk.sackOk && n < 0) this.sackedOut -= Math.min(this.sackedOut, -n);
  }

  /** tcp_retrans_try_collapse: small packets behind `i` go with it while all fits into `space` bytes. */
  collapse(i: number, space: number): void {
    const { sk } = this;
    const s = this.rtx[i]!;
    let room = space - s.data.length;
    for (;;) {
      const next = this.rtx[i + 1];
      if (next === undefined || next.pcount > 1 || (next.sacked & SACKED_ACKED) !== 0) return;
      room -= next.data.length;
      if (room < 0 || after(next.end, sk.windowEnd())) return;
      if (next.data.length > 0) {
        const both = new Uint8Array(s.data.length + next.data.length);
        both.set(s.data);
        both.set(next.data, s.data.length);
        s.data = both;
      }
      s.end = next.end;
      s.fin ||= next.fin;
      s.psh ||= next.psh;
      s.sacked |= next.sacked & EVER_RETRANS;
      this.rtx.splice(i + 1, 1);
      this.adjust(next, -next.pcount);
    }
  }

  /** tcp_mark_skb_lost. */
  markLost(s: TxSkb): void {
    if ((s.sacked & SACKED_ACKED) !== 0) return;
    if ((s.sacked & LOST) === 0) {
      s.sacked |= LOST;
      this.lostOut += s.pcount;
      this.lost += s.pcount;
    } else if ((s.sacked & SACKED_RETRANS) !== 0) {
      // Lost again.
      s.sacked &= ~SACKED_RETRANS;
      this.retransOut -= s.pcount;
      this.lost += s.pcount;
    }
  }

  /** tcp_add_reno_sack and tcp_limit_reno_sacked: each duplicate stands for a packet that arrived. */
  addRenoSack(dups: number): void {
    if (dups === 0) return;
    const prior = this.sackedOut;
    const holes = Math.min(Math.max(this.lostOut, 1), this.packetsOut);
    this.sackedOut = Math.min(prior + dups, this.packetsOut - holes);
    if (this.sackedOut > prior) this.delivered += this.sackedOut - prior;
  }

  /** tcp_remove_reno_sacks. */
  removeRenoSacks(acked: number): void {
    if (acked === 0) return;
    this.delivered += Math.max(acked - this.sackedOut, 1);
    this.sackedOut = Math.max(0, this.sackedOut - (acked - 1));
  }
}
