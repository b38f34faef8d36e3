// What happened to a packet, step by step: the kernel model and the programs write one fixed-size record a step
// into a recorder when one is attached, and pay one branch when none is. Texts, tables, diagrams, captures and
// comparisons are renderings of these records (src/walk); nothing is rendered here.
//
//   row     0 128 first bytes of the frame   128 36 kind, skb id, namespace, ifindex, a, b, c, frame length, mark
//           (int32 each)   164 4 -   168 8 time (float64);   beside it ref, an object
//
// The frame is copied as it is when the step is written, so "header fields before and after" is the difference
// between the snapshots of two steps.

import type { VirtualClock } from "../base/clock.js";
import type { Skb } from "./skb.js";

/** What a record says; `ref`, `a`, `b`, `c` by kind. Numbers are stable within one release only. */
export const enum Step {
  /** The packet came into being in a socket or a replay. ref: socket or null. a: L4 protocol. */
  ORIGIN = 1,
  /** dev_queue_xmit: handed to the device for transmission. ref: device. */
  DEV_XMIT = 2,
  /** netif_receive_skb: received on the device. ref: device. */
  DEV_RX = 3,
  /** Went through a per-CPU backlog queue (one softirq hop). ref: device. */
  BACKLOG = 4,
  /** A program begins. ref: Program. a: attach point (0 tc ingress, 1 tc egress, 2 xdp, 3 netkit primary, 4 netkit peer). */
  PROG = 5,
  /** A program ended. ref: Program. a: verdict. */
  PROG_END = 6,
  /** Tail call. ref: the function called, or null. a: index (c 0) or endpoint id of a policy program (c 1), b: 1 if it was there. */
  TAIL_CALL = 7,
  /** A program looked a map up. ref: BpfMap. a: slot or -1. */
  MAP_LOOKUP = 8,
  /** A program wrote a map. ref: BpfMap. a: 0 or negative errno, b: 1 = removal. */
  MAP_UPDATE = 9,
  /** BPF conntrack verdict. ref: BpfMap. a: CT_NEW..CT_RELATED, b: direction. */
  CT = 10,
  /** Policy verdict. ref: BpfMap (policy map). a: verdict, b: direction (0 ingress, 1 egress), c: slot of the deciding entry or -1. */
  POLICY = 11,
  /** A program chose a service backend. ref: BpfMap. a: backend id, b: rev NAT index (host order). */
  SERVICE = 12,
  /** bpf_redirect, redirect_peer, redirect_neigh. ref: target device or null. a: 0 egress, 1 ingress, 2 peer, 3 neigh. */
  REDIRECT = 13,
  /** A netfilter hook begins. a: hook number (0 PREROUTING, 1 INPUT, 2 FORWARD, 3 OUTPUT, 4 POSTROUTING). */
  NF_HOOK = 14,
  /** A chain is entered. ref: chain. a: hook number. b: 1 = a base chain's traversal ends, c: rules evaluated in it and below. */
  NF_CHAIN = 15,
  /** A rule matched. ref: rule. a: verdict or 0 when evaluation goes on. */
  NF_RULE = 16,
  /** nf_conntrack. ref: entry. a: ctinfo, b: 1 = made for this packet. */
  NF_CT = 17,
  /** nf_nat changed the packet. ref: entry. a: 0 source, 1 destination. */
  NF_NAT = 18,
  /**
   * FIB look-up. ref: route or null. a: result (0 or negative errno), b: who asked (0 input, 1 output, 2 bpf_fib_lookup,
   * 3 rp_filter), c: the address asked for (Be32) where it is none of the packet's: the far end of a tunnel, whose header
   * is not there yet; else 0.
   */
  FIB = 19,
  /** Neighbour look-up. ref: neighbour. a: state. */
  NEIGH = 20,
  /** ip_forward: TTL decremented. */
  FORWARD = 21,
  /** ip_local_deliver. */
  LOCAL_IN = 22,
  /** ip_local_out. */
  LOCAL_OUT = 23,
  /** Encapsulated; the snapshot is the outer packet. ref: tunnel device. a: VNI, 0 for IPIP. */
  ENCAP = 24,
  /** Decapsulated; the snapshot is the inner packet. ref: tunnel device. */
  DECAP = 25,
  /** IPVS scheduled or matched. ref: connection. a: 0 matched, 1 scheduled. */
  IPVS = 26,
  /** Bridge forwarded. ref: output port or null when flooded. */
  BRIDGE = 27,
  /** Dropped. ref: null or what decided. a: reason, b: 0 kernel reason, 1 BPF drop code. */
  DROP = 28,
  /** Delivered to a socket. ref: socket. */
  DELIVER = 29,
  /** An ICMP error is made about this packet. a: type, b: code. */
  ICMP_ERROR = 30,
  /** Fragmented or reassembled. a: 0 fragmented, 1 reassembled, b: number of fragments. */
  FRAGMENT = 31,
  /** ARP handled. a: operation, b: 1 if answered. */
  ARP = 32,
}

/** Bytes of the frame kept with each record. */
export const STEP_SNAP = 128;
/** A row in words and doubles, its first word behind the frame, and the double of the time. */
const ROW_WORDS = 44;
const ROW_DOUBLES = 22;
const FIELDS = STEP_SNAP / 4;
const TIME = 21;

/** Rows of a block that recordings are cut from: array buffers for each would cost more than its bytes. */
const BLOCK_ROWS = 512;
/** A recording begins in a block that has this many rows left, else in a new one. */
const LEAST_ROWS = 128;

/** Rows of records. */
class Rows {
  readonly bytes: Uint8Array;
  /** The same bytes. */
  readonly words: Int32Array;
  readonly doubles: Float64Array;

  constructor(readonly room: number) {
    this.words = new Int32Array(room * ROW_WORDS);
    this.bytes = new Uint8Array(this.words.buffer);
    this.doubles = new Float64Array(this.words.buffer);
  }

  /** Rows with room for `room`, the first of them copies of `n` rows from `at`. */
  static grown(room: number, from: Rows, at: number, n: number): Rows {
    const rows = new Rows(room);
    rows.doubles.set(from.doubles.subarray(at * ROW_DOUBLES, (at + n) * ROW_DOUBLES));
    return rows;
  }
}

/** At most `capacity` records, reused in a ring; `lost` counts those that were overwritten. */
export class StepRecorder {
  // Room grows to the capacity as it is needed: most recordings are of a few packets.
  #rows: Rows;
  /** Row of the first record: rows before it belong to earlier recordings that were given out. */
  #first = 0;
  readonly #refs: (object | null)[] = [];
  #next = 0;
  /** Up to here `next` has a row of its own. */
  #limit: number;
  /** Somebody has the rows, which are not to be written to again. */
  #given = false;

  constructor(
    private readonly clock: VirtualClock,
    readonly capacity: number = 4096,
  ) {
    this.#rows = new Rows(Math.min(capacity, BLOCK_ROWS));
    this.#limit = this.#rows.room;
  }

  /** Writes one record about `skb` as it is now. Allocates nothing once there is room. */
  step(kind: Step, skb: Skb, ref: object | null, a: number, b: number, c: number): void {
    let i = this.#next;
    if (i >= this.#limit) i = this.#room(i);
    this.#next++;
    const { words, doubles, bytes } = this.#rows;
    const at = this.#first + i;
    const row = at * ROW_WORDS;
    const w = row + FIELDS;
    words[w] = kind;
    words[w + 1] = skb.id;
    words[w + 2] = skb.netns;
    words[w + 3] = skb.ifindex;
    words[w + 4] = a;
    words[w + 5] = b;
    words[w + 6] = c;
    const len = skb.tail - skb.data;
    words[w + 7] = len;
    words[w + 8] = skb.mark;
    doubles[at * ROW_DOUBLES + TIME] = this.clock.ns;
    this.#refs[i] = ref;
    const n = len < STEP_SNAP ? len : STEP_SNAP;
    const from = skb.data;
    // Words of an Int32Array are little-endian wherever this runs; four at a time, for the loop costs as much as a word.
    const { view } = skb;
    const whole = n >> 2;
    let k = 0;
    for (; k + 4 <= whole; k += 4) {
      const o = from + 4 * k;
      words[row + k] = view.getInt32(o, true);
      words[row + k + 1] = view.getInt32(o + 4, true);
      words[row + k + 2] = view.getInt32(o + 8, true);
      words[row + k + 3] = view.getInt32(o + 12, true);
    }
    for (; k < whole; k++) words[row + k] = view.getInt32(from + 4 * k, true);
    for (let i8 = whole << 2; i8 < n; i8++) bytes[row * 4 + i8] = skb.bytes[from + i8]!;
  }

  /** Records written since the last `clear`, overwritten ones included. */
  get written(): number {
    return this.#next;
  }

  /** Records that were overwritten by later ones. */
  get lost(): number {
    return Math.max(0, this.#next - this.capacity);
  }

  /** Forgets the records; those given out stay what they are. */
  clear(): void {
    const held = Math.min(this.#next, this.capacity);
    // What was recorded is let go, the array's room is not: it would have to be made again.
    this.#refs.fill(null, 0, held);
    this.#next = 0;
    if (!this.#given) return;
    this.#given = false;
    this.#first += held;
    if (this.#rows.room - this.#first < LEAST_ROWS) {
      this.#rows = new Rows(Math.min(this.capacity, BLOCK_ROWS));
      this.#first = 0;
    }
    this.#limit = Math.min(this.capacity, this.#rows.room - this.#first);
  }

  /** The row for record number `next`, where there is none left: more room, or the oldest record's. */
  #room(next: number): number {
    const { capacity } = this;
    const held = Math.min(next, capacity);
    if (next < capacity) this.#move(Math.min(capacity, Math.max(BLOCK_ROWS, 4 * held)), held);
    else if (this.#given) this.#move(capacity, held);
    return next % capacity;
  }

  #move(room: number, held: number): void {
    this.#rows = Rows.grown(room, this.#rows, this.#first, held);
    this.#first = 0;
    this.#given = false;
    this.#limit = room;
  }

  /**
   * The records still held, oldest first, as objects (for renderings; not for the packet path). They share blocks with
   * other recordings; one that is kept keeps its block.
   */
  records(): StepRecord[] {
    const held = Math.min(this.#next, this.capacity);
    const out = new Array<StepRecord>(held);
    const { lost } = this;
    for (let k = 0; k < held; k++) {
      const i = (lost + k) % this.capacity;
      out[k] = new StepRecord(this.#rows, this.#first + i, this.#refs[i]!);
    }
    this.#given = true;
    return out;
  }
}

/** One step, as an object. */
export class StepRecord {
  #frame: Uint8Array | null = null;

  constructor(
    private readonly rows: Rows,
    private readonly row: number,
    readonly ref: object | null,
  ) {}

  #field(n: number): number {
    return this.rows.words[this.row * ROW_WORDS + FIELDS + n]!;
  }

  get kind(): Step {
    return this.#field(0);
  }
  /** skb id. */
  get id(): number {
    return this.#field(1);
  }
  /** Namespace number. */
  get netns(): number {
    return this.#field(2);
  }
  get ifindex(): number {
    return this.#field(3);
  }
  get a(): number {
    return this.#field(4);
  }
  get b(): number {
    return this.#field(5);
  }
  get c(): number {
    return this.#field(6);
  }
  /** Whole length of the frame. */
  get len(): number {
    return this.#field(7);
  }
  get mark(): number {
    return this.#field(8) >>> 0;
  }
  /** Virtual time, ns. */
  get ns(): number {
    return this.rows.doubles[this.row * ROW_DOUBLES + TIME]!;
  }

  /** The first bytes of the frame, at most STEP_SNAP. */
  get frame(): Uint8Array {
    if (this.#frame === null) {
      const at = this.row * ROW_WORDS * 4;
      this.#frame = this.rows.bytes.subarray(at, at + Math.min(this.len, STEP_SNAP));
    }
    return this.#frame;
  }
}
