// What a TCP sender knows of the packets that are under way: the retransmission queue and its scoreboard, and how losses
// are found and mended. Follows Linux 6.18: tcp_ack and what it calls (tcp_input.c), the timers of RACK (tcp_recovery.c),
// the loss probe and retransmission (tcp_output.c), the timers (tcp_timer.c).
// Sequence numbers are 32-bit integers compared modulo 2^32, times milliseconds, stamps nanoseconds of the virtual clock.
//
// Differs from the kernel: the RACK window does not grow by D-SACKs; no ECN, no MTU probes, no small queue limit.

import type { Timer } from "../base/clock.js";
import type { Netns } from "./netns.js";
import { Mib } from "./snmp.js";
import type { TcpSegment } from "./tcp.js";
import { CongestionWindow } from "./tcp_cong.js";
import { Rack, REORDERING } from "./tcp_rack.js";
import { jiffies, RTO_MAX_MS, RTO_MIN_MS, RttEstimator, TIMEOUT_INIT_MS } from "./tcp_rtt.js";
import {
  EVER_RETRANS,
  LOST,
  RETRANS,
  SACKED_ACKED,
  SACKED_RETRANS,
  Scoreboard,
  type SentBy,
  seglen,
  setSegs,
  type TxSkb,
} from "./tcp_scoreboard.js";
import { after, before } from "./tcp_seq.js";
import { wheelTimer } from "./timer_wheel.js";

const MS = 1e6;
/** TCP_TIMEOUT_MIN_US: what a loss probe or the reordering timer waits at least beyond its own time. */
const TIMEOUT_MIN_MS = 2;
/** sysctl tcp_tso_win_divisor: with a third of the window free nothing is put off. */
const TSO_WIN_DIVISOR = 3;
// icsk_ca_state, in the kernel's order
const CA_OPEN = 0;
const CA_DISORDER = 1;
const CA_CWR = 2;
const CA_RECOVERY = 3;
const CA_LOSS = 4;

// icsk_pending
const TIME_RETRANS = 1;
const TIME_PROBE0 = 3;
const TIME_LOSS_PROBE = 5;
const TIME_REO_TIMEOUT = 6;

// What tcp_ack has found out about an acknowledgement.
export const FLAG_DATA = 0x01;
export const FLAG_WIN_UPDATE = 0x02;
const FLAG_DATA_ACKED = 0x04;
const FLAG_RETRANS_DATA_ACKED = 0x08;
const FLAG_DATA_SACKED = 0x20;
const FLAG_LOST_RETRANS = 0x80;
const FLAG_ORIG_SACK_ACKED = 0x200;
export const FLAG_SND_UNA_ADVANCED = 0x400;
const FLAG_DSACKING_ACK = 0x800;
const FLAG_SET_XMIT_TIMER = 0x1000;
const FLAG_SACK_RENEGING = 0x2000;
const FLAG_DSACK_TLP = 0x20000;
const FLAG_NOT_DUP = FLAG_DATA | FLAG_WIN_UPDATE | FLAG_DATA_ACKED;
const FLAG_CA_ALERT = FLAG_DATA_SACKED | FLAG_DSACKING_ACK;
const FLAG_FORWARD_PROGRESS = FLAG_DATA_ACKED | FLAG_DATA_SACKED;

// What is sent after an acknowledgement (tcp_xmit_recovery).
const REXMIT_NONE = 0;
const REXMIT_LOST = 1;
const REXMIT_NEW = 2;

/** tcp_write_xmit's push_one: as much as may go, or one packet whatever the window of congestion says. */
export const PUSH_ALL = 0;
export const PUSH_PROBE = 2;

/** The socket as its loss recovery sees it. */
export interface TcpSender extends SentBy {
  readonly ns: Netns;
  /** tcp_current_mss: bytes of data that a segment may carry now. */
  currentMss(): number;
  /** tcp_send_head: the first packet not yet sent. */
  sendHead(): TxSkb | undefined;
  /** Segments that one packet may carry at most. */
  readonly tsoSegs: number;
  /** tcp_write_xmit: whether anything was sent. */
  push(how: number, nagleOff: boolean): boolean;
  /** tcp_transmit_skb: 0 or a negative errno when the packet did not get out of the stack. */
  transmit(s: TxSkb): number;
  /** The timestamp that a segment sent at `ns` carries. */
  tsAt(ns: number): number;
  /** tcp_write_timeout. True: that was one too many, the connection is gone. */
  timedOut(retransmits: number): boolean;
  /** tcp_retransmit_timer of a connection that is not yet established. False: it is. */
  handshakeTimer(): boolean;
  /** tcp_probe_timer. */
  probeTimer(): void;
}

export class TcpRecovery {
  #caState = CA_OPEN;
  #highSeq = 0;

  /** What is under way. */
  readonly out: Scoreboard;
  readonly cong = new CongestionWindow();
  readonly rtt = new RttEstimator();
  readonly #rack: Rack;

  // undo
  #undoMarker = 0;
  #undoSet = false;
  #undoRetrans = 0;
  #retransStampSet = false;
  #retransStamp = 0;
  #totalRetrans = 0;
  #dsackDups = 0;
  #frto = false;

  #instant = 0;
  #lastSentNs = 0;
  /** The congestion window made the last push put something off. */
  #deferred = false;

  // loss probe
  #tlpSet = false;
  #tlpHigh = 0;
  #tlpRetrans = false;

  retransmits = 0;
  /** How often the SYN or SYN-ACK was sent again; -1: it has not been sent. And the first one's timestamp. */
  #synRetrans = -1;
  #synStamp = 0;
  #pending = 0;
  #timer: Timer | null = null;
  readonly #fire = (): void => this.#onTimer();

  // Of the acknowledgement being handled.
  #tsEcr = 0;
  #hasEcr = false;
  #rexmit = REXMIT_NONE;
  #reord = 0;
  #firstSackNs = -1;
  #lastSackNs = -1;

  constructor(readonly sk: TcpSender) {
    this.out = new Scoreboard(sk);
    this.#rack = new Rack(this.out, this.rtt, sk.ns.kernel.clock);
  }

  // ---- counts ----

  /** tcp_in_cwnd_reduction. */
  #inReduction(): boolean {
    return this.#caState === CA_CWR || this.#caState === CA_RECOVERY;
  }

  /** Nothing is under way any more: the connection ends. */
  clear(): void {
    this.out.clear();
    this.stopTimer();
  }

  // ---- timers ----

  /** inet_csk_clear_xmit_timer. */
  stopTimer(): void {
    this.#pending = 0;
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** inet_csk_reset_xmit_timer, in `ms`. */
  #resetTimer(what: number, ms: number, pinned = false): void {
    const { clock, timers } = this.sk.ns.kernel;
    this.#timer?.cancel();
    this.#pending = what;
    this.#timer = wheelTimer(timers, clock.ns + Math.min(ms, RTO_MAX_MS) * MS, this.#fire, pinned);
  }

  /** The timer of a connection request (rsk_timer), which is pinned. */
  armRequest(): void {
    this.#resetTimer(TIME_RETRANS, this.rtt.rto, true);
  }

  /** The retransmission timer, a whole timeout from now. */
  armRetrans(): void {
    this.#resetTimer(TIME_RETRANS, this.rtt.rto);
  }

  /** tcp_check_probe_timer: something waits to be sent, and nothing is under way that would call for it. */
  armProbe0(backoff: number): void {
    if (this.out.packetsOut > 0 || (backoff === 0 && this.#pending !== 0)) return;
    this.#resetTimer(TIME_PROBE0, Math.max(this.rtt.rto, RTO_MIN_MS) * 2 ** backoff);
  }

  /** tcp_rto_delta_us, in ms. */
  #rtoDelta(): number {
    return this.rtt.rto - (this.sk.ns.kernel.clock.ns - this.out.rtx[0]!.sentNs) / MS;
  }

  /** tcp_rearm_rto. */
  #rearmRto(): void {
    if (this.out.packetsOut === 0) {
      this.stopTimer();
      return;
    }
    // The timeout counts from when the head was sent, not from now.
    const offset = this.#pending === TIME_REO_TIMEOUT || this.#pending === TIME_LOSS_PROBE;
    this.#resetTimer(TIME_RETRANS, offset ? jiffies(Math.max(this.#rtoDelta(), 0.001)) : this.rtt.rto);
  }

  #onTimer(): void {
    this.#timer = null;
    const w = this.sk.ns.kernel.world;
    w.enter();
    this.refresh();
    const what = this.#pending;
    if (what === TIME_REO_TIMEOUT) this.#rackReoTimeout();
    else if (what === TIME_LOSS_PROBE) this.#sendLossProbe();
    else {
      this.#pending = 0;
      if (what === TIME_PROBE0) this.sk.probeTimer();
      else if (!this.sk.handshakeTimer()) this.#retransmitTimer();
    }
    w.leave();
  }

  /** tcp_retransmit_timer. */
  #retransmitTimer(): void {
    if (this.out.packetsOut === 0 || this.sk.timedOut(this.retransmits)) return;
    this.#enterLoss();
    this.retransmits++;
    this.#retransmitSkb(0, 1);
    this.rtt.backoff();
    this.armRetrans();
  }

  // ---- sending ----

  /** tcp_mstamp_refresh: what is sent from now on was sent after what has been. */
  refresh(): void {
    this.#instant++;
  }

  #stamp(s: TxSkb): void {
    s.sentNs = this.sk.ns.kernel.clock.ns;
    this.#lastSentNs = s.sentNs;
    s.instant = this.#instant;
  }

  /** tcp_event_new_data_sent: `s` is under way. */
  newDataSent(s: TxSkb): void {
    this.#stamp(s);
    const prior = this.out.packetsOut;
    this.out.rtx.push(s);
    this.out.packetsOut += s.pcount;
    if (prior === 0 || this.#pending === TIME_LOSS_PROBE) this.#rearmRto();
  }

  /** The end of tcp_write_xmit: `sent` segments were sent, and whether the window made it put off the rest. */
  pushed(sent: number, probe: boolean): void {
    if (sent > 0 && this.#inReduction()) this.cong.sent(sent);
    const limited = this.#deferred || this.out.inFlight() >= this.cong.cwnd;
    this.#deferred = false;
    if (sent > 0 || limited) this.cong.validate(limited, this.out.packetsOut, this.sk.sndUna, this.sk.sndNxt);
    if (sent > 0 && !probe) this.#scheduleLossProbe(false);
  }

  /** tcp_tso_autosize: segments that one packet may carry, about a millisecond's worth, more on a short path. */
  tsoSegs(mss: number): number {
    const { rtt } = this;
    if (rtt.srtt === 0) return this.sk.tsoSegs;
    const halvings = Math.floor((rtt.min * 1000) / 512);
    const bytes =
      (this.cong.pacingRate(rtt.srtt, mss) * 1000) / 1024 + (halvings < 32 ? 65_536 / 2 ** halvings : 0);
    return Math.min(this.sk.tsoSegs, Math.max(Math.floor(bytes / mss), 2));
  }

  /**
   * tcp_tso_should_defer: whether the packet `s` of several segments waits for more room than there is now, so that it
   * can go as one. `wnd`: bytes that the receiver's window still takes, `sndWnd`: all of that window.
   */
  tsoShouldDefer(s: TxSkb, wnd: number, last: boolean, sndWnd: number, mss: number): boolean {
    if (this.#caState >= CA_RECOVERY || this.out.packetsOut === 0) return false;
    // Only if the last write was recent.
    if (this.sk.ns.kernel.clock.ns - this.#lastSentNs > MS) return false;
    const len = s.data.length;
    const { cwnd } = this.cong;
    const cong = (cwnd - this.out.inFlight()) * mss;
    const limit = Math.min(wnd, cong);
    if (limit >= this.tsoSegs(mss) * mss || (!last && limit >= len)) return false;
    if (limit >= Math.floor(Math.min(sndWnd, cwnd * mss) / TSO_WIN_DIVISOR)) return false;
    // The kernel also sends when the oldest packet left less than half a round trip ago. Here a round trip takes no
    // time: whatever is under way has been for longer.
    if (cong < wnd && cong <= len) {
      this.#deferred = true;
      return true;
    }
    return limit <= len || !s.fin;
  }

  /** tcp_schedule_loss_probe. False: there is none to send. */
  #scheduleLossProbe(advancing: boolean): boolean {
    if (
      this.out.packetsOut === 0 ||
      !this.sk.sackOk ||
      (this.#caState !== CA_OPEN && this.#caState !== CA_CWR)
    )
      return false;
    let ms = TIMEOUT_INIT_MS;
    // With one packet out its acknowledgement may be a delayed one.
    if (this.rtt.srtt > 0)
      ms = jiffies(2 * this.rtt.srtt + (this.out.packetsOut === 1 ? RTO_MIN_MS : TIMEOUT_MIN_MS));
    const rto = advancing ? this.rtt.rto : this.#rtoDelta();
    if (rto > 0) ms = Math.min(ms, jiffies(rto));
    this.#resetTimer(TIME_LOSS_PROBE, ms);
    return true;
  }

  /** tcp_send_loss_probe: new data if there is, else the last segment again. */
  #sendLossProbe(): void {
    // One at a time.
    if (!this.#tlpSet && this.#probeSent()) {
      this.#tlpSet = true;
      this.#tlpHigh = this.sk.sndNxt;
      this.#pending = 0;
    }
    this.#rearmRto();
  }

  #probeSent(): boolean {
    const { sk } = this;
    const mss = sk.currentMss();
    this.#tlpRetrans = false;
    const head = sk.sendHead();
    if (head !== undefined && !after((head.seq + Math.min(head.data.length, mss)) | 0, sk.windowEnd()))
      return sk.push(PUSH_PROBE, true);
    const at = this.out.rtx.length - 1;
    if (at < 0) return false;
    const tail = this.out.rtx[at]!;
    const whole = (tail.pcount - 1) * mss;
    if (tail.pcount > 1 && tail.data.length > whole) this.out.split(at, whole, mss);
    if (!this.#retransmitOne(this.out.rtx.length - 1, 1)) return false;
    this.#tlpRetrans = true;
    return true;
  }

  /** tcp_process_tlp_ack. */
  #tlpAck(ack: number, flag: number): void {
    if (before(ack, this.#tlpHigh)) return;
    if (!this.#tlpRetrans || (flag & FLAG_DSACK_TLP) !== 0) this.#tlpSet = false;
    else if (after(ack, this.#tlpHigh)) {
      // There was a loss that the probe mended.
      this.#initReduction();
      this.#caState = CA_CWR;
      this.#endReduction();
      this.#tryKeepOpen();
    } else if ((flag & (FLAG_SND_UNA_ADVANCED | FLAG_NOT_DUP | FLAG_DATA_SACKED)) === 0) this.#tlpSet = false;
  }

  /** __tcp_retransmit_skb of packet `i`, at most `segs` segments of it. False: nothing was sent. */
  #retransmitOne(i: number, segs: number): boolean {
    const { sk } = this;
    const s = this.out.rtx[i]!;
    const mss = sk.currentMss();
    if (before(s.seq, sk.sndUna)) {
      // tcp_trim_head: part of it has arrived.
      s.data = s.data.subarray((sk.sndUna - s.seq) | 0);
      s.seq = sk.sndUna;
    }
    let avail = (sk.windowEnd() - s.seq) | 0;
    if (avail <= 0) {
      // A window that was shrunk; one that is closed is tried all the same.
      if (s.seq !== sk.sndUna) return false;
      avail = mss;
    }
    let len = mss * segs;
    if (len > avail) len = avail - (avail % mss) || avail;
    if (s.data.length > len) this.out.split(i, len, mss);
    else {
      const old = s.pcount;
      setSegs(s, mss);
      if (s.pcount !== old) this.out.adjust(s, s.pcount - old);
      if (s.data.length < Math.min(avail, mss)) this.out.collapse(i, Math.min(avail, mss));
    }
    sk.ns.mib[Mib.TcpRetransSegs]! += s.pcount;
    this.#totalRetrans += s.pcount;
    const err = sk.transmit(s);
    s.sacked |= EVER_RETRANS;
    if (err < 0) return false;
    this.#stamp(s);
    return true;
  }

  /** tcp_retransmit_skb. */
  #retransmitSkb(i: number, segs: number): boolean {
    const s = this.out.rtx[i]!;
    const sent = this.#retransmitOne(i, segs);
    if (sent) {
      s.sacked |= RETRANS;
      this.out.retransOut += s.pcount;
    }
    if (!this.#retransStampSet) {
      this.#retransStampSet = true;
      this.#retransStamp = this.sk.tsAt(s.sentNs);
    }
    this.#undoRetrans = Math.max(this.#undoRetrans, 0) + s.pcount;
    return sent;
  }

  /** tcp_xmit_retransmit_queue: what is marked lost, as far as the window allows. */
  #retransmitQueue(): void {
    if (this.out.packetsOut === 0) return;
    const head = this.out.rtx[0];
    const most = this.tsoSegs(this.sk.currentMss());
    let rearm = false;
    for (let i = 0; i < this.out.rtx.length; i++) {
      const s = this.out.rtx[i]!;
      const segs = Math.min(this.cong.cwnd - this.out.inFlight(), most);
      if (segs <= 0 || this.out.retransOut >= this.out.lostOut) break;
      if ((s.sacked & LOST) === 0 || (s.sacked & (SACKED_ACKED | SACKED_RETRANS)) !== 0) continue;
      if (!this.#retransmitSkb(i, segs)) break;
      if (this.#inReduction()) this.cong.sent(s.pcount);
      if (s === head && this.#pending !== TIME_REO_TIMEOUT) rearm = true;
    }
    if (rearm) this.armRetrans();
  }

  // ---- an acknowledgement ----

  /**
   * tcp_ack, from where the window has been updated and sk.sndUna moved on from `prior`. `flag`: FLAG_DATA,
   * FLAG_WIN_UPDATE and FLAG_SND_UNA_ADVANCED as they apply. True: the path to the peer works (sk_dst_confirm).
   */
  ack(s: TcpSegment, prior: number, flag: number): boolean {
    const priorPackets = this.out.packetsOut;
    const fack = this.sk.sackOk ? this.out.highestSackSeq() : prior;
    const delivered = this.out.delivered;
    const lost = this.out.lost;
    this.#begin(s);
    let f = flag;
    if (s.sacks.length > 0) f |= this.#sackTag(s.sacks, s.ack, prior);
    if (priorPackets === 0) {
      if ((f & FLAG_DSACKING_ACK) !== 0) this.#fastretransAlert(prior, 0, f);
      if (this.#tlpSet) this.#tlpAck(s.ack, f);
      return false;
    }
    f = this.#cleanQueue(prior, fack, f);
    if (this.#tlpSet) this.#tlpAck(s.ack, f);
    if ((f & FLAG_NOT_DUP) === 0 || (f & FLAG_CA_ALERT) !== 0 || this.#caState !== CA_OPEN) {
      const dup = (f & (FLAG_SND_UNA_ADVANCED | FLAG_NOT_DUP | FLAG_DSACKING_ACK)) === 0 ? s.segs : 0;
      f = this.#fastretransAlert(prior, dup, f);
    }
    if ((f & FLAG_SET_XMIT_TIMER) !== 0 && !this.#scheduleLossProbe(true)) this.#rearmRto();
    this.#congControl(this.out.delivered - delivered, this.out.lost - lost, f);
    this.#xmitRecovery();
    return (f & FLAG_FORWARD_PROGRESS) !== 0 || (f & FLAG_NOT_DUP) === 0;
  }

  /** tcp_ack of an old acknowledgement: only its SACK blocks may be news. */
  oldAck(s: TcpSegment): void {
    if (s.sacks.length === 0) return;
    this.#begin(s);
    this.#fastretransAlert(this.sk.sndUna, 0, this.#sackTag(s.sacks, s.ack, this.sk.sndUna));
    this.#xmitRecovery();
  }

  #begin(s: TcpSegment): void {
    this.refresh();
    this.#tsEcr = s.tsEcr;
    this.#hasEcr = s.hasTs && s.tsEcr !== 0;
    this.#rexmit = REXMIT_NONE;
    this.#firstSackNs = -1;
    this.#lastSackNs = -1;
    this.#reord = this.sk.sndNxt;
  }

  /** tcp_tsopt_ecr_before: was it sent in answer to something older than timestamp `ts`? */
  #ecrBefore(ts: number): boolean {
    return this.#hasEcr && before(this.#tsEcr, ts);
  }

  /** tcp_sacktag_write_queue: `edges` of blocks; marks what they cover, splitting packets at segments. */
  #sackTag(edges: readonly number[], ack: number, prior: number): number {
    const { sk } = this;
    let flag = 0;
    let dup = -1;
    if (edges.length >= 2) {
      const from = edges[0]!;
      const to = edges[1]!;
      const second = edges.length >= 4 && !before(from, edges[2]!) && !after(to, edges[3]!);
      if ((before(from, ack) || second) && before(from, to)) {
        flag = this.#dsackSeen(from, to, prior);
        if (flag !== 0) dup = 0;
      }
    }
    for (let e = 0; e + 1 < edges.length; e += 2) {
      const from = edges[e]!;
      const to = edges[e + 1]!;
      if (!before(from, to) || after(to, sk.sndNxt) || (e !== dup && !after(to, sk.sndUna))) continue;
      for (let i = 0; i < this.out.rtx.length; i++) {
        const x = this.out.rtx[i]!;
        if (!before(x.seq, to)) break;
        if (!after(x.end, from)) continue;
        if (this.#inSack(i, from, to)) flag |= this.#sackOne(this.out.rtx[i]!, e === dup);
      }
    }
    if (this.#reord !== sk.sndNxt) this.#rack.checkReordering(this.#reord, this.sk.currentMss());
    return flag;
  }

  /** tcp_match_skb_to_sack: is packet `i` covered? Splits it so that whole segments are. */
  #inSack(i: number, from: number, to: number): boolean {
    const s = this.out.rtx[i]!;
    const starts = !after(from, s.seq);
    if (starts && !before(to, s.end)) return true;
    if (s.pcount === 1) return false;
    const { mss } = s;
    let len = starts ? (to - s.seq) | 0 : Math.max((from - s.seq) | 0, mss);
    if (starts && len < mss) return false;
    if (len > mss) {
      const whole = len - (len % mss);
      len = !starts && whole < len ? whole + mss : whole;
    }
    if (len >= s.data.length && !starts) return false;
    if (len < s.data.length) this.out.split(i, len, mss);
    return starts;
  }

  /** tcp_check_dsack and tcp_dsack_seen: the receiver tells what it had already. */
  #dsackSeen(from: number, to: number, prior: number): number {
    let flag = 0;
    let segs = 1;
    const mss = this.sk.currentMss();
    const len = (to - from) | 0;
    if (len > mss) segs = Math.ceil(len / mss);
    else if (this.#tlpSet && this.#tlpHigh === to) flag = FLAG_DSACK_TLP;
    this.#dsackDups += segs;
    // More duplicates than were ever sent again: the network made them.
    if (this.#dsackDups > this.#totalRetrans) return 0;
    this.out.delivered += segs;
    if (this.#undoSet && this.#undoRetrans > 0 && !after(to, prior) && after(to, this.#undoMarker))
      this.#undoRetrans = Math.max(0, this.#undoRetrans - segs);
    return flag | FLAG_DSACKING_ACK;
  }

  /** tcp_sacktag_one. */
  #sackOne(s: TxSkb, dup: boolean): number {
    const n = s.pcount;
    let flag = 0;
    if (dup && (s.sacked & RETRANS) !== 0) {
      if (this.#undoSet && this.#undoRetrans > 0 && after(s.end, this.#undoMarker))
        this.#undoRetrans = Math.max(0, this.#undoRetrans - n);
      if ((s.sacked & SACKED_ACKED) !== 0 && before(s.seq, this.#reord)) this.#reord = s.seq;
    }
    // About to leave the queue.
    if (!after(s.end, this.sk.sndUna)) return 0;
    if ((s.sacked & SACKED_ACKED) === 0) {
      this.#rack.advance(s);
      if ((s.sacked & SACKED_RETRANS) !== 0) {
        if ((s.sacked & LOST) !== 0) {
          s.sacked &= ~(LOST | SACKED_RETRANS);
          this.out.lostOut -= n;
          this.out.retransOut -= n;
        }
      } else {
        if ((s.sacked & RETRANS) === 0) {
          // What was never sent twice and fills a hole was only late.
          if (before(s.seq, this.out.highestSackSeq()) && before(s.seq, this.#reord)) this.#reord = s.seq;
          if (!after(s.end, this.#highSeq)) flag |= FLAG_ORIG_SACK_ACKED;
          if (this.#firstSackNs < 0) this.#firstSackNs = s.sentNs;
          this.#lastSackNs = s.sentNs;
        }
        if ((s.sacked & LOST) !== 0) {
          s.sacked &= ~LOST;
          this.out.lostOut -= n;
        }
      }
      s.sacked |= SACKED_ACKED;
      flag |= FLAG_DATA_SACKED;
      this.out.sackedOut += n;
      this.out.delivered += n;
    }
    if (dup && (s.sacked & SACKED_RETRANS) !== 0) {
      s.sacked &= ~SACKED_RETRANS;
      this.out.retransOut -= n;
    }
    return flag;
  }

  /** tcp_clean_rtx_queue: what is acknowledged leaves the queue. */
  #cleanQueue(prior: number, fack: number, flag: number): number {
    const { sk } = this;
    const { rtx } = this.out;
    const { ns: now } = sk.ns.kernel.clock;
    const una = sk.sndUna;
    let f = flag;
    let reord = sk.sndNxt;
    let first = -1;
    let last = -1;
    let acked = 0;
    let whole = true;
    let gone = 0;
    const priorSacked = this.out.sackedOut;
    while (gone < rtx.length && whole) {
      const s = rtx[gone]!;
      let n = s.pcount;
      if (after(s.end, una)) {
        if (n === 1 || !after(una, s.seq)) break;
        // tcp_tso_acked: whole segments leave it.
        const part = (una - s.seq) | 0;
        s.data = s.data.subarray(part);
        s.seq = una;
        setSegs(s, s.mss);
        n -= s.pcount;
        if (n === 0) break;
        whole = false;
      }
      if ((s.sacked & RETRANS) !== 0) {
        if ((s.sacked & SACKED_RETRANS) !== 0) this.out.retransOut -= n;
        f |= FLAG_RETRANS_DATA_ACKED;
      } else if ((s.sacked & SACKED_ACKED) === 0) {
        last = s.sentNs;
        if (first < 0) first = last;
        if (before(s.seq, reord)) reord = s.seq;
        if (!after(s.end, this.#highSeq)) f |= FLAG_ORIG_SACK_ACKED;
      }
      if ((s.sacked & SACKED_ACKED) !== 0) this.out.sackedOut -= n;
      else if (sk.sackOk) {
        this.out.delivered += n;
        const spurious = (s.sacked & RETRANS) !== 0 && this.#ecrBefore(sk.tsAt(s.sentNs));
        if (!spurious) this.#rack.advance(s);
      }
      if ((s.sacked & LOST) !== 0) this.out.lostOut -= n;
      this.out.packetsOut -= n;
      acked += n;
      f |= FLAG_DATA_ACKED;
      if (whole) gone++;
    }
    if (gone === 1) rtx.shift();
    else if (gone > 1) rtx.splice(0, gone);
    if (rtx.length > 0 && (rtx[0]!.sacked & SACKED_ACKED) !== 0) f |= FLAG_SACK_RENEGING;

    let seqRtt = -1;
    let caRtt = -1;
    let sackRtt = -1;
    let delayed = false;
    if (first >= 0 && (f & FLAG_RETRANS_DATA_ACKED) === 0) {
      seqRtt = (now - first) / MS;
      caRtt = (now - last) / MS;
      // A lone small segment: its acknowledgement may have been put off.
      delayed =
        acked === 1 &&
        whole &&
        priorSacked === 0 &&
        ((una - prior) | 0) < sk.currentMss() &&
        (f & FLAG_CA_ALERT) === 0;
    }
    if (this.#firstSackNs >= 0) {
      sackRtt = (now - this.#firstSackNs) / MS;
      caRtt = (now - this.#lastSackNs) / MS;
    }
    const sampled = this.#ackUpdateRtt(f, seqRtt, sackRtt, caRtt, delayed);
    if ((f & FLAG_DATA_ACKED) !== 0) {
      f |= FLAG_SET_XMIT_TIMER;
      if (!sk.sackOk) {
        this.out.removeRenoSacks(acked);
        if ((f & FLAG_RETRANS_DATA_ACKED) !== 0) f &= ~FLAG_ORIG_SACK_ACKED;
      } else if (before(reord, fack)) this.#rack.checkReordering(reord, this.sk.currentMss());
    } else if (rtx.length > 0 && sampled && sackRtt >= 0 && sackRtt > (now - rtx[0]!.sentNs) / MS) {
      // What was sent after the head is there: the head's own timeout goes on from now.
      f |= FLAG_SET_XMIT_TIMER;
    }
    return f;
  }

  /** tcp_ack_update_rtt. True: there was a valid measurement. */
  #ackUpdateRtt(flag: number, seqRtt: number, sackRtt: number, caRtt: number, delayed: boolean): boolean {
    let seq = seqRtt >= 0 ? seqRtt : sackRtt;
    let ca = caRtt;
    if (seq < 0 && this.#hasEcr && (flag & FLAG_DATA_ACKED) !== 0) {
      // The timestamps count milliseconds.
      seq = Math.max(1, (this.sk.tsAt(this.sk.ns.kernel.clock.ns) - this.#tsEcr) | 0);
      ca = seq;
    }
    if (seq < 0) return false;
    if (!delayed) this.rtt.sampleMin(ca);
    this.rtt.sample(seq, this.sk.sndUna, this.sk.sndNxt);
    return true;
  }

  /** A SYN or SYN-ACK leaves, once more or for the first time. */
  synSent(): void {
    if (this.#synRetrans++ < 0) this.#synStamp = this.sk.tsAt(this.sk.ns.kernel.clock.ns);
  }

  /** The round trip of the handshake that `s` ends, far below a jiffy unless a packet of it was lost. */
  handshakeRtt(s: TcpSegment): void {
    const { sk, rtt } = this;
    const again = this.#synRetrans > 0;
    this.retransmits = 0;
    // tcp_try_undo_spurious_syn: had the first one arrived after all?
    if (this.#synRetrans > 1 && !(s.hasTs && s.tsEcr === this.#synStamp)) this.cong.startSmall();
    if (again && !s.hasTs) {
      rtt.fallback();
      return;
    }
    // Which of them was answered? Its timestamp tells (tcp_rtt_tsopt_us), in milliseconds.
    const ms = again ? Math.max(1, (sk.tsAt(sk.ns.kernel.clock.ns) - s.tsEcr) | 0) : 0;
    rtt.sampleMin(ms);
    rtt.sample(ms, sk.sndUna, sk.sndNxt);
  }

  // ---- loss detection: RACK ----

  /** tcp_rack_mark_lost. True: the reordering timer runs. */
  #rackMarkLost(): boolean {
    if (!this.#rack.advanced) return false;
    this.#rack.advanced = false;
    const timeout = this.#rack.detectLoss(this.#caState >= CA_RECOVERY);
    if (timeout > 0)
      this.#resetTimer(TIME_REO_TIMEOUT, Math.min(jiffies(timeout + TIMEOUT_MIN_MS), this.rtt.rto));
    return timeout > 0;
  }

  /** tcp_rack_reo_timeout: what was overtaken did not come after all. */
  #rackReoTimeout(): void {
    const prior = this.out.inFlight();
    this.#rack.detectLoss(this.#caState >= CA_RECOVERY);
    if (prior !== this.out.inFlight()) {
      if (this.#caState !== CA_RECOVERY) {
        this.#enterRecovery();
        this.cong.reduce(1, this.out.inFlight(), false);
      }
      this.#retransmitQueue();
    }
    if (this.#pending !== TIME_RETRANS) this.#rearmRto();
  }

  /** tcp_identify_packet_loss. */
  #identifyLoss(flag: number): number {
    if (this.out.rtx.length === 0) return flag;
    if (!this.sk.sackOk) {
      this.#newrenoMarkLost((flag & FLAG_SND_UNA_ADVANCED) !== 0);
      return flag;
    }
    const prior = this.out.retransOut;
    let f = flag;
    if (this.#rackMarkLost()) f &= ~FLAG_SET_XMIT_TIMER;
    if (prior > this.out.retransOut) f |= FLAG_LOST_RETRANS;
    return f;
  }

  // ---- loss detection without SACK ----

  /** tcp_newreno_mark_lost. */
  #newrenoMarkLost(advanced: boolean): void {
    if (
      (this.#caState >= CA_RECOVERY || this.out.sackedOut < this.#rack.reordering) &&
      (this.#caState !== CA_RECOVERY || !advanced)
    )
      return;
    const s = this.out.rtx[0]!;
    if ((s.sacked & LOST) !== 0) return;
    if (s.pcount > 1 && s.data.length > s.mss) this.out.split(0, s.mss, s.mss);
    this.out.markLost(s);
  }

  // ---- states ----

  /** tcp_fastretrans_alert. */
  #fastretransAlert(prior: number, dups: number, flag: number): number {
    const reno = !this.sk.sackOk;
    const una = this.sk.sndUna;
    const advanced = (flag & FLAG_SND_UNA_ADVANCED) !== 0;
    let f = flag;
    if (this.out.packetsOut === 0 && this.out.sackedOut > 0) this.out.sackedOut = 0;
    // tcp_check_sack_reneging: the receiver threw away what it had acknowledged by SACK.
    if ((f & FLAG_SACK_RENEGING) !== 0 && advanced) {
      this.#resetTimer(TIME_RETRANS, Math.max(jiffies(this.rtt.srtt / 2), jiffies(10)));
      return f & ~FLAG_SET_XMIT_TIMER;
    }
    if (this.#caState === CA_OPEN) this.#retransStampSet = false;
    else if (!before(una, this.#highSeq)) {
      if (this.#caState === CA_CWR) {
        if (una !== this.#highSeq) {
          this.#endReduction();
          this.#caState = CA_OPEN;
        }
      } else if (this.#caState === CA_RECOVERY) {
        if (reno) this.out.sackedOut = 0;
        if (this.#tryUndoRecovery()) return f;
        this.#endReduction();
      }
    }
    if (this.#caState === CA_RECOVERY) {
      if (!advanced) {
        if (reno) this.out.addRenoSack(dups);
      } else if (this.#tryUndoPartial(prior)) return f;
      if (this.#tryUndoDsack()) this.#tryToOpen();
      f = this.#identifyLoss(f);
      if ((this.#caState as number) !== CA_RECOVERY) {
        if (this.out.lostOut === 0) return f;
        this.#enterRecovery();
      }
      this.#rexmit = REXMIT_LOST;
      return f;
    }
    if (this.#caState === CA_LOSS) {
      this.#processLoss(f, dups);
      f = this.#identifyLoss(f);
      if ((this.#caState as number) !== CA_OPEN && (f & FLAG_LOST_RETRANS) === 0) return f;
    }
    if (reno) {
      if (advanced) this.out.sackedOut = 0;
      this.out.addRenoSack(dups);
    }
    if (this.#caState <= CA_DISORDER) this.#tryUndoDsack();
    f = this.#identifyLoss(f);
    if (this.out.lostOut === 0) {
      this.#tryToOpen();
      return f;
    }
    this.#enterRecovery();
    this.#rexmit = REXMIT_LOST;
    return f;
  }

  /** tcp_try_to_open. */
  #tryToOpen(): void {
    if (!this.out.anyRetransDone()) this.#retransStampSet = false;
    if (this.#caState !== CA_CWR) this.#tryKeepOpen();
  }

  /** tcp_try_keep_open. */
  #tryKeepOpen(): void {
    const state =
      this.out.sackedOut + this.out.lostOut > 0 || this.out.anyRetransDone() ? CA_DISORDER : CA_OPEN;
    if (this.#caState === state) return;
    this.#caState = state;
    this.#highSeq = this.sk.sndNxt;
  }

  /** tcp_enter_recovery. */
  #enterRecovery(): void {
    this.#initUndo();
    const reducing = this.#inReduction();
    this.cong.remember(!reducing);
    if (!reducing) this.#initReduction();
    this.#caState = CA_RECOVERY;
  }

  /** tcp_enter_loss: the retransmission timer ran out. */
  #enterLoss(): void {
    const state = this.#caState;
    const head = this.out.rtx[0]!;
    // tcp_timeout_mark_lost.
    const reneged = (head.sacked & SACKED_ACKED) !== 0;
    if (reneged || !this.sk.sackOk) this.out.sackedOut = 0;
    for (const s of this.out.rtx) {
      if (reneged) s.sacked &= ~SACKED_ACKED;
      // What was sent a moment ago may still arrive.
      else if (s !== head && this.#rack.timeout(s, 0) > 0) continue;
      this.out.markLost(s);
    }
    const fresh =
      state <= CA_DISORDER ||
      !after(this.#highSeq, this.sk.sndUna) ||
      (state === CA_LOSS && this.retransmits === 0);
    this.cong.timeout(fresh, this.#inReduction());
    if (fresh) this.#initUndo();
    this.cong.restart(this.out.inFlight());
    if (state <= CA_DISORDER && this.out.sackedOut >= REORDERING)
      this.#rack.reordering = Math.min(this.#rack.reordering, REORDERING);
    this.#caState = CA_LOSS;
    this.#highSeq = this.sk.sndNxt;
    this.#tlpSet = false;
    this.#frto = state < CA_RECOVERY || this.retransmits > 0;
  }

  /** tcp_process_loss: an acknowledgement after a timeout. */
  #processLoss(flag: number, dups: number): void {
    const { sk } = this;
    const recovered = !before(sk.sndUna, this.#highSeq);
    const advanced = (flag & FLAG_SND_UNA_ADVANCED) !== 0;
    if (advanced && this.#tryUndoLoss(false)) return;
    if (this.#frto) {
      // Was the timeout spurious? (F-RTO, RFC 5682)
      if ((flag & FLAG_ORIG_SACK_ACKED) !== 0 && this.#tryUndoLoss(true)) return;
      if (after(sk.sndNxt, this.#highSeq)) {
        if ((flag & FLAG_DATA_SACKED) !== 0 || dups > 0) this.#frto = false;
      } else if (advanced && !recovered) {
        this.#highSeq = sk.sndNxt;
        if (sk.sendHead() !== undefined && after(sk.windowEnd(), sk.sndNxt)) {
          this.#rexmit = REXMIT_NEW;
          return;
        }
        this.#frto = false;
      }
    }
    if (recovered) {
      this.#tryUndoRecovery();
      return;
    }
    if (!sk.sackOk) {
      if (after(sk.sndNxt, this.#highSeq) && dups > 0) this.out.addRenoSack(dups);
      else if (advanced) this.out.sackedOut = 0;
    }
    this.#rexmit = REXMIT_LOST;
  }

  /** tcp_xmit_recovery. */
  #xmitRecovery(): void {
    if (this.#rexmit === REXMIT_NONE) return;
    if (this.#rexmit === REXMIT_NEW) {
      this.sk.push(PUSH_ALL, true);
      if (after(this.sk.sndNxt, this.#highSeq)) return;
      this.#frto = false;
    }
    this.#retransmitQueue();
  }

  /** tcp_simple_retransmit: the path takes only segments of `mss` bytes now; longer ones are lost. */
  simpleRetransmit(mss: number): void {
    for (const s of this.out.rtx) if (seglen(s) > mss) this.out.markLost(s);
    if (this.out.lostOut === 0) return;
    if (!this.sk.sackOk) {
      const holes = Math.min(Math.max(this.out.lostOut, 1), this.out.packetsOut);
      this.out.sackedOut = Math.min(this.out.sackedOut, this.out.packetsOut - holes);
    }
    // The amount of data under way stays what it was; only its units have changed.
    if (this.#caState !== CA_LOSS) {
      this.#highSeq = this.sk.sndNxt;
      this.cong.changeUnits(this.#inReduction());
      this.#undoSet = false;
      this.#caState = CA_LOSS;
    }
    this.#retransmitQueue();
  }

  // ---- undo ----

  /** tcp_init_undo. */
  #initUndo(): void {
    this.#undoSet = true;
    this.#undoMarker = this.sk.sndUna;
    this.#undoRetrans = this.out.retransOut;
    if (this.#tlpSet && this.#tlpRetrans) this.#undoRetrans++;
    if (this.#undoRetrans === 0) this.#undoRetrans = -1;
  }

  /** tcp_packet_delayed: was what came the first one sent, not the one sent again? */
  #packetDelayed(): boolean {
    if (this.#retransStampSet) return this.#ecrBefore(this.#retransStamp);
    return this.sk.sackOk;
  }

  /** tcp_may_undo. */
  #mayUndo(): boolean {
    return this.#undoSet && (this.#undoRetrans === 0 || this.#packetDelayed());
  }

  /** tcp_undo_cwnd_reduction. */
  #undoReduction(unmark: boolean): void {
    if (unmark) {
      for (const s of this.out.rtx) s.sacked &= ~LOST;
      this.out.lostOut = 0;
    }
    this.cong.undo();
    this.#undoSet = false;
    this.#rack.advanced = true;
  }

  /** tcp_try_undo_recovery. True: without SACK the state is kept until more is acknowledged. */
  #tryUndoRecovery(): boolean {
    if (this.#mayUndo()) this.#undoReduction(false);
    if (this.#preventsReopen()) return true;
    this.#caState = CA_OPEN;
    return false;
  }

  /** tcp_is_non_sack_preventing_reopen: duplicates of what is behind must not start another recovery. */
  #preventsReopen(): boolean {
    if (this.sk.sackOk || this.sk.sndUna !== this.#highSeq) return false;
    if (!this.out.anyRetransDone()) this.#retransStampSet = false;
    return true;
  }

  /** tcp_try_undo_partial. True: wait, mark and send no more. */
  #tryUndoPartial(prior: number): boolean {
    if (!this.#undoSet || !this.#packetDelayed()) return false;
    this.#rack.checkReordering(prior, this.sk.currentMss());
    if (this.out.retransOut > 0) return true;
    if (!this.out.anyRetransDone()) this.#retransStampSet = false;
    this.#undoReduction(true);
    this.#tryKeepOpen();
    return false;
  }

  /** tcp_try_undo_dsack. */
  #tryUndoDsack(): boolean {
    if (!this.#undoSet || this.#undoRetrans !== 0) return false;
    this.#undoReduction(false);
    return true;
  }

  /** tcp_try_undo_loss. */
  #tryUndoLoss(frto: boolean): boolean {
    if (!frto && !this.#mayUndo()) return false;
    this.#undoReduction(true);
    this.retransmits = 0;
    if (this.#preventsReopen()) return true;
    if (frto || this.sk.sackOk) this.#caState = CA_OPEN;
    return true;
  }

  // ---- congestion window ----

  /** tcp_init_cwnd_reduction. */
  #initReduction(): void {
    this.#highSeq = this.sk.sndNxt;
    this.#tlpSet = false;
    this.cong.startReduction();
  }

  /** tcp_end_cwnd_reduction. */
  #endReduction(): void {
    if (this.#caState === CA_CWR || this.#undoSet) this.cong.endReduction();
  }

  /** tcp_cong_control: `delivered` segments have arrived, `lost` were found lost. */
  #congControl(delivered: number, lost: number, flag: number): void {
    if (this.#inReduction()) {
      this.cong.reduce(delivered, this.out.inFlight(), (flag & FLAG_SND_UNA_ADVANCED) !== 0 && lost === 0);
      return;
    }
    // tcp_may_raise_cwnd.
    const good = this.#rack.reordering > REORDERING ? FLAG_FORWARD_PROGRESS : FLAG_DATA_ACKED;
    if ((flag & good) !== 0) this.cong.grow(delivered);
  }
}
