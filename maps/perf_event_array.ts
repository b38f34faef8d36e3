// cilium_events: BPF_MAP_TYPE_PERF_EVENT_ARRAY, one ring a CPU. Samples are bytes; readers decode them.
//
//   ring record: u32 size (0 = skip to the end) | u32 sequence | f64 time (ns) | sample bytes, the whole padded to 8
//
// A real perf ring stores a 4-byte size and the data, rounded up so that 4 + size is a multiple of 8, and the reader
// gets the rounded size (length % 8 == 4, the rest zero here, leftovers in a real one). `read` gives samples so padded.

import type { VirtualClock } from "../src/base/clock.js";
import { PodpathError } from "../src/base/errors.js";

/**
 * Called with each sample: a copy, ring padding included. Samples are cut from blocks that nothing is written to again,
 * so they may be kept; one that is kept keeps its block.
 */
export type SampleReader = (sample: Uint8Array, cpu: number, ns: number) => void;

const HEADER = 16;
/** A block that samples are cut from: an array buffer for each would cost more than its bytes. */
const BLOCK_BYTES = 16384;

class Ring {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Where the next record goes, and where the oldest unread one is. */
  head = 0;
  tail = 0;
  /** Bytes between tail and head. */
  used = 0;
  lost = 0;

  constructor(readonly size: number) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
  }
}

/** The default ring of the agent: 64 pages of 4 KiB for each CPU. */
export const DEFAULT_RING_BYTES = 64 * 4096;

/** State of a perf event array. */
export interface PerfEventSnapshot {
  readonly rings: readonly {
    readonly bytes: Uint8Array;
    readonly head: number;
    readonly tail: number;
    readonly used: number;
    readonly lost: number;
  }[];
  readonly seq: number;
}

/** How many buffers `output` remembers a view of; more than packets in flight in one program. */
const VIEWS = 16;

export class PerfEventArray {
  readonly #rings: Ring[];
  #seq = 0;
  /** Views of the byte arrays seen last, so that `output` makes none in steady state. */
  readonly #seen: (Uint8Array | null)[] = new Array<Uint8Array | null>(VIEWS).fill(null);
  readonly #views: DataView[] = Array.from({ length: VIEWS }, () => new DataView(new ArrayBuffer(0)));
  #nextView = 0;
  #block = new DataView(new ArrayBuffer(0));
  #blockUsed = 0;
  /** Something was written or lost since the last read. */
  fresh = false;
  /** False: nobody listens, output is a no-op that returns -ENOENT, as with an empty slot of the real map. */
  enabled = false;
  /** Called after each sample that got into a ring: what a reader that sleeps on the rings is woken by. */
  onOutput: (() => void) | null = null;

  constructor(
    readonly name: string,
    private readonly clock: VirtualClock,
    readonly cpus: number,
    ringBytes: number = DEFAULT_RING_BYTES,
  ) {
    if (cpus < 1 || ringBytes < 4096 || ringBytes % 8 !== 0) {
      throw new PodpathError(
        "MAP_SPEC",
        `map ${name}: needs a CPU and a ring of at least 4096 bytes, a multiple of 8`,
      );
    }
    this.#rings = Array.from({ length: cpus }, () => new Ring(ringBytes));
  }

  /**
   * bpf_perf_event_output with a packet behind the header: `hdrLen` bytes of `hdr`, then `capLen` bytes of `pkt`
   * from `pktOff`. 0, -2 (ENOENT) without a listener, -28 (ENOSPC) when the ring is full (the sample is counted
   * as lost).
   */
  output(
    cpu: number,
    hdr: Uint8Array,
    hdrLen: number,
    pkt: Uint8Array,
    pktOff: number,
    capLen: number,
  ): number {
    if (!this.enabled) return -2;
    return this.outputViews(cpu, this.#viewOf(hdr), hdrLen, this.#viewOf(pkt), pktOff, capLen);
  }

  /** `output` for callers that have views of header and packet at hand. */
  outputViews(
    cpu: number,
    hdr: DataView,
    hdrLen: number,
    pkt: DataView,
    pktOff: number,
    capLen: number,
  ): number {
    if (!this.enabled) return -2;
    this.fresh = true;
    const ring = this.#rings[cpu];
    const n = hdrLen + capLen;
    const need = (HEADER + n + 7) & ~7;
    let at = ring.head;
    const toEnd = ring.size - at;
    // A record never wraps: where it does not fit before the end, the rest is skipped and marked by size 0.
    const skip = toEnd < need ? toEnd : 0;
    if (ring.used + skip + need > ring.size) {
      ring.lost++;
      return -28;
    }
    const view = ring.view;
    if (skip > 0) {
      view.setInt32(at, 0, true);
      at = 0;
    }
    view.setInt32(at, n, true);
    view.setInt32(at + 4, this.#seq, true);
    this.#seq = (this.#seq + 1) | 0;
    view.setFloat64(at + 8, this.clock.ns, true);
    copyView(view, at + HEADER, hdr, 0, hdrLen);
    copyView(view, at + HEADER + hdrLen, pkt, pktOff, capLen);
    const head = at + need;
    ring.head = head === ring.size ? 0 : head;
    ring.used += skip + need;
    if (this.onOutput !== null) this.onOutput();
    return 0;
  }

  /** Reads and removes everything, in the order of emission across CPUs; returns how many samples there were. */
  read(reader: SampleReader): number {
    this.fresh = false;
    let count = 0;
    for (;;) {
      let best: Ring | undefined;
      let bestCpu = 0;
      let bestSeq = 0;
      for (let cpu = 0; cpu < this.cpus; cpu++) {
        const ring = this.#rings[cpu];
        if (!settle(ring)) continue;
        const seq = ring.view.getInt32(ring.tail + 4, true);
        // Sequence numbers wrap; their difference tells which is older.
        if (best === undefined || ((seq - bestSeq) | 0) < 0) {
          best = ring;
          bestCpu = cpu;
          bestSeq = seq;
        }
      }
      if (best === undefined) return count;
      const at = best.tail;
      const n = best.view.getInt32(at, true);
      const sample = this.#sample(best.view, at + HEADER, n);
      const ns = best.view.getFloat64(at + 8, true);
      advance(best, (HEADER + n + 7) & ~7);
      reader(sample, bestCpu, ns);
      count++;
    }
  }

  /** A copy of `n` bytes, padded as a perf ring pads them. */
  #sample(from: DataView, at: number, n: number): Uint8Array {
    const padded = ((n + 4 + 7) & ~7) - 4;
    if (this.#blockUsed + padded > this.#block.byteLength) {
      this.#block = new DataView(new ArrayBuffer(Math.max(BLOCK_BYTES, padded)));
      this.#blockUsed = 0;
    }
    const start = this.#blockUsed;
    this.#blockUsed = (start + padded + 7) & ~7;
    copyView(this.#block, start, from, at, n);
    return new Uint8Array(this.#block.buffer, start, padded);
  }

  /** Forgets everything unread, without counting it as lost. */
  discard(): void {
    for (const r of this.#rings) {
      r.tail = r.head;
      r.used = 0;
    }
  }

  /** Copy of everything unread and of the counts, for `restore`. */
  save(): PerfEventSnapshot {
    const rings = this.#rings.map((r) => ({
      bytes: r.bytes.slice(),
      head: r.head,
      tail: r.tail,
      used: r.used,
      lost: r.lost,
    }));
    return { rings, seq: this.#seq };
  }

  /** Returns to a snapshot of an array with the same CPUs and ring size. Whether anybody listens stays as it is. */
  restore(snapshot: PerfEventSnapshot): void {
    this.#seq = snapshot.seq;
    this.fresh = true;
    snapshot.rings.forEach((s, cpu) => {
      const ring = this.#rings[cpu];
      ring.bytes.set(s.bytes);
      ring.head = s.head;
      ring.tail = s.tail;
      ring.used = s.used;
      ring.lost = s.lost;
    });
  }

  /** Samples lost on a CPU because its ring was full, since the start. */
  lost(cpu: number): number {
    return this.#rings[cpu].lost;
  }

  #viewOf(bytes: Uint8Array): DataView {
    for (let i = 0; i < VIEWS; i++) if (this.#seen[i] === bytes) return this.#views[i];
    const i = this.#nextView;
    this.#nextView = (i + 1) % VIEWS;
    this.#seen[i] = bytes;
    this.#views[i] = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return this.#views[i];
  }
}

/** Copies `n` bytes, sixteen at a time: a loop over bytes costs more than all the rest of an event. */
function copyView(dst: DataView, to: number, src: DataView, from: number, n: number): void {
  let i = 0;
  for (; i + 16 <= n; i += 16) {
    const a = src.getInt32(from + i, true);
    const b = src.getInt32(from + i + 4, true);
    const c = src.getInt32(from + i + 8, true);
    const d = src.getInt32(from + i + 12, true);
    dst.setInt32(to + i, a, true);
    dst.setInt32(to + i + 4, b, true);
    dst.setInt32(to + i + 8, c, true);
    dst.setInt32(to + i + 12, d, true);
  }
  for (; i + 4 <= n; i += 4) dst.setInt32(to + i, src.getInt32(from + i, true), true);
  for (; i < n; i++) dst.setUint8(to + i, src.getUint8(from + i));
}

function advance(ring: Ring, n: number): void {
  const tail = ring.tail + n;
  ring.tail = tail === ring.size ? 0 : tail;
  ring.used -= n;
}

/** Steps over a skipped end of the ring; false if the ring is empty. */
function settle(ring: Ring): boolean {
  if (ring.used === 0) return false;
  // Sizes are multiples of 8, so at least a size word is left before the end.
  if (ring.view.getInt32(ring.tail, true) === 0) advance(ring, ring.size - ring.tail);
  return ring.used > 0;
}
