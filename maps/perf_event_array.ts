// cilium_events: BPF_MAP_TYPE_PERF_EVENT_ARRAY, one ring a CPU. Samples are bytes; readers decode them.
//
//   ring record: u32 size | u32 sequence | f64 time (ns) | sample bytes, the whole padded to 8
//
// A real perf ring stores a 4-byte size and the data, rounded up so that 4 + size is a multiple of 8, and the reader
// gets the rounded size (facts: samples have length % 8 == 4, the rest zero). `read` gives samples so padded.

import type { VirtualClock } from "../src/base/clock.js";
import { PodpathError } from "../src/base/errors.js";

/** Called with each sample: a copy, ring padding included. */
export type SampleReader = (sample: Uint8Array, cpu: number, ns: number) => void;

const HEADER = 16;

class Ring {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Bytes ever written and read; their difference is what is in the ring. */
  head = 0;
  tail = 0;
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
    readonly lost: number;
  }[];
  readonly seq: number;
}

export class PerfEventArray {
  readonly #rings: Ring[];
  #seq = 0;
  /** False: nobody listens, output is a no-op that returns -ENOENT, as with an empty slot of the real map. */
  enabled = false;

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
    const ring = this.#rings[cpu]!;
    const n = hdrLen + capLen;
    const need = (HEADER + n + 7) & ~7;
    const free = ring.size - (ring.head - ring.tail);
    let at = ring.head % ring.size;
    const toEnd = ring.size - at;
    // A record never wraps: where it does not fit before the end, the rest is skipped and marked by size 0.
    const skip = toEnd < need ? toEnd : 0;
    if (skip + need > free) {
      ring.lost++;
      return -28;
    }
    if (skip > 0) {
      if (skip >= 4) ring.view.setUint32(at, 0, true);
      ring.head += skip;
      at = 0;
    }
    const { view, bytes } = ring;
    view.setUint32(at, n, true);
    view.setUint32(at + 4, this.#seq++, true);
    view.setFloat64(at + 8, this.clock.ns, true);
    let to = at + HEADER;
    for (let i = 0; i < hdrLen; i++) bytes[to++] = hdr[i]!;
    for (let i = 0; i < capLen; i++) bytes[to++] = pkt[pktOff + i]!;
    ring.head += need;
    return 0;
  }

  /** Reads and removes everything, in the order of emission across CPUs; returns how many samples there were. */
  read(reader: SampleReader): number {
    let count = 0;
    for (;;) {
      let best: Ring | undefined;
      let bestCpu = 0;
      let bestSeq = 0;
      for (let cpu = 0; cpu < this.cpus; cpu++) {
        const ring = this.#rings[cpu]!;
        if (!settle(ring)) continue;
        const seq = ring.view.getUint32((ring.tail % ring.size) + 4, true);
        if (best === undefined || seq < bestSeq) {
          best = ring;
          bestCpu = cpu;
          bestSeq = seq;
        }
      }
      if (best === undefined) return count;
      const at = best.tail % best.size;
      const n = best.view.getUint32(at, true);
      const sample = new Uint8Array(((n + 4 + 7) & ~7) - 4);
      sample.set(best.bytes.subarray(at + HEADER, at + HEADER + n));
      const ns = best.view.getFloat64(at + 8, true);
      best.tail += (HEADER + n + 7) & ~7;
      reader(sample, bestCpu, ns);
      count++;
    }
  }

  /** Forgets everything unread, without counting it as lost. */
  discard(): void {
    for (const r of this.#rings) r.tail = r.head;
  }

  /** Copy of everything unread and of the counts, for `restore`. */
  save(): PerfEventSnapshot {
    const rings = this.#rings.map((r) => ({
      bytes: r.bytes.slice(),
      head: r.head,
      tail: r.tail,
      lost: r.lost,
    }));
    return { rings, seq: this.#seq };
  }

  /** Returns to a snapshot of an array with the same CPUs and ring size. Whether anybody listens stays as it is. */
  restore(snapshot: PerfEventSnapshot): void {
    this.#seq = snapshot.seq;
    snapshot.rings.forEach((s, cpu) => {
      const ring = this.#rings[cpu];
      ring.bytes.set(s.bytes);
      ring.head = s.head;
      ring.tail = s.tail;
      ring.lost = s.lost;
    });
  }

  /** Samples lost on a CPU because its ring was full, since the start. */
  lost(cpu: number): number {
    return this.#rings[cpu]!.lost;
  }
}

/** Steps over a skipped end of the ring; false if the ring is empty. */
function settle(ring: Ring): boolean {
  if (ring.tail === ring.head) return false;
  const at = ring.tail % ring.size;
  const toEnd = ring.size - at;
  if (toEnd < HEADER || ring.view.getUint32(at, true) === 0) {
    ring.tail += toEnd;
    return ring.tail !== ring.head;
  }
  return true;
}
