// The out-of-order queue of a TCP receiver and the SACK blocks told of it (tcp_data_queue_ofo, tcp_ofo_queue and the
// functions around struct tcp_sack_block in tcp_input.c). Sequence numbers are 32-bit, compared modulo 2^32.

import { after, before } from "./tcp_seq.js";

/** TCP_NUM_SACKS: blocks that are remembered. */
const NUM_SACKS = 4;
/** TCP_SACK_BLOCKS_EXPECTED: with more holes than that each is told at once. */
const SACK_BLOCKS_EXPECTED = 2;

export interface OooSegment {
  seq: number;
  end: number;
  data: Uint8Array;
  fin: boolean;
}

/** struct tcp_sack_block: from `start` to `end`. */
interface SackBlock {
  start: number;
  end: number;
}

/** tcp_sack_extend: grows `b` by what touches it. */
function extend(b: SackBlock, start: number, end: number): boolean {
  if (after(start, b.end) || after(b.start, end)) return false;
  if (before(start, b.start)) b.start = start;
  if (after(end, b.end)) b.end = end;
  return true;
}

export class OutOfOrder {
  /** What is there, by sequence number. */
  readonly queue: OooSegment[] = [];
  /** tp->selective_acks: the block that changed last comes first. */
  readonly #sacks: SackBlock[] = [];
  /** tp->duplicate_sack: what was received twice, until it is told. */
  #dsack: SackBlock | null = null;
  /** Where what is drained now begins to be new. */
  #dsackHigh = 0;

  /** tcp_dsack_set. */
  setDsack(start: number, end: number): void {
    this.#dsack = { start, end };
  }

  /** tcp_dsack_extend. */
  #extendDsack(start: number, end: number): void {
    if (this.#dsack === null) this.setDsack(start, end);
    else extend(this.#dsack, start, end);
  }

  /**
   * tcp_data_queue_ofo: takes in a segment from beyond a hole. True: the blocks have become so many that an
   * acknowledgement which is being put off must go first (tcp_sack_compress_send_ack).
   */
  add(s: OooSegment): boolean {
    const q = this.queue;
    let i = q.length;
    while (i > 0 && after(q[i - 1]!.seq, s.seq)) i--;
    const prev = q[i - 1];
    let at = i;
    if (prev !== undefined && before(s.seq, prev.end)) {
      if (!after(s.end, prev.end)) {
        this.setDsack(s.seq, s.end);
        return this.#newBlock(s.seq, s.end);
      }
      if (after(s.seq, prev.seq)) this.setDsack(s.seq, prev.end);
      else {
        // It covers the one that begins where it does.
        this.#extendDsack(prev.seq, prev.end);
        q.splice(i - 1, 1);
        at = i - 1;
      }
    }
    q.splice(at, 0, s);
    for (let next = q[at + 1]; next !== undefined && after(s.end, next.seq); next = q[at + 1]) {
      if (before(s.end, next.end)) {
        this.#extendDsack(next.seq, s.end);
        break;
      }
      q.splice(at + 1, 1);
      this.#extendDsack(next.seq, next.end);
    }
    return this.#newBlock(s.seq, s.end);
  }

  /** tcp_sack_new_ofo_skb. */
  #newBlock(start: number, end: number): boolean {
    const b = this.#sacks;
    for (let i = 0; i < b.length; i++) {
      const hit = b[i]!;
      if (!extend(hit, start, end)) continue;
      b.splice(i, 1);
      b.unshift(hit);
      // tcp_sack_maybe_coalesce: it may reach others now.
      for (let j = 1; j < b.length; ) {
        if (extend(hit, b[j]!.start, b[j]!.end)) b.splice(j, 1);
        else j++;
      }
      return i >= SACK_BLOCKS_EXPECTED;
    }
    const many = b.length >= SACK_BLOCKS_EXPECTED;
    b.unshift({ start, end });
    if (b.length > NUM_SACKS) b.pop();
    return many;
  }

  /** Before what follows `rcvNxt` is drained. */
  startDrain(rcvNxt: number): void {
    this.#dsackHigh = rcvNxt;
  }

  /** tcp_ofo_queue: the next segment that no hole separates from `rcvNxt`, with something new; undefined: none. */
  drain(rcvNxt: number): OooSegment | undefined {
    for (;;) {
      const s = this.queue[0];
      if (s === undefined || after(s.seq, rcvNxt)) return undefined;
      this.queue.shift();
      if (before(s.seq, this.#dsackHigh)) {
        const high = this.#dsackHigh;
        if (before(s.end, high)) this.#dsackHigh = s.end;
        this.#extendDsack(s.seq, high);
      }
      if (after(s.end, rcvNxt)) return s;
    }
  }

  /** tcp_sack_remove: what `rcvNxt` has passed needs no block any more. */
  forget(rcvNxt: number): void {
    if (this.queue.length === 0) {
      this.#sacks.length = 0;
      return;
    }
    for (let i = 0; i < this.#sacks.length; ) {
      if (!before(rcvNxt, this.#sacks[i]!.start)) this.#sacks.splice(i, 1);
      else i++;
    }
  }

  clear(): void {
    this.queue.length = 0;
    this.#sacks.length = 0;
  }

  /** Blocks that there are to tell. */
  get told(): number {
    return this.#sacks.length + (this.#dsack === null ? 0 : 1);
  }

  /** Edges of at most `max` blocks to tell, a D-SACK (told once) before all. */
  edges(max: number): number[] {
    const out: number[] = [];
    if (this.#dsack !== null) out.push(this.#dsack.start, this.#dsack.end);
    this.#dsack = null;
    for (const b of this.#sacks) if (out.length < 2 * max) out.push(b.start, b.end);
    return out;
  }
}
