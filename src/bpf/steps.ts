// What happened to a packet, step by step: the kernel model and the programs write one fixed-size record a step
// into a recorder when one is attached, and pay one branch when none is. Texts, tables, diagrams, captures and
// comparisons are renderings of these records (src/walk); nothing is rendered here.
//
//   record: kind, skb id, namespace, ifindex, a, b, c, frame length, mark   (int32 each)
//           time (float64), ref (object), and the first SNAP bytes of the frame
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
const WORDS = 9;

/** Records that there is room for at first. */
const FIRST_ROOM = 256;

/** At most `capacity` records, reused in a ring; `lost` counts those that were overwritten. */
export class StepRecorder {
  // Room grows to the capacity as it is needed: most recordings are of a few packets.
  #room: number;
  #ints: Int32Array;
  #times: Float64Array;
  readonly #refs: (object | null)[] = [];
  #snaps: Uint8Array;
  /** The same bytes. */
  #snapWords: Int32Array;
  #next = 0;

  constructor(
    private readonly clock: VirtualClock,
    readonly capacity: number = 4096,
  ) {
    this.#room = Math.min(capacity, FIRST_ROOM);
    this.#ints = new Int32Array(this.#room * WORDS);
    this.#times = new Float64Array(this.#room);
    this.#snaps = new Uint8Array(this.#room * STEP_SNAP);
    this.#snapWords = new Int32Array(this.#snaps.buffer);
  }

  /** Writes one record about `skb` as it is now. Allocates nothing once there is room. */
  step(kind: Step, skb: Skb, ref: object | null, a: number, b: number, c: number): void {
    const i = this.#next % this.capacity;
    if (i >= this.#room) this.#grow();
    this.#next++;
    const w = i * WORDS;
    const ints = this.#ints;
    ints[w] = kind;
    ints[w + 1] = skb.id;
    ints[w + 2] = skb.netns;
    ints[w + 3] = skb.ifindex;
    ints[w + 4] = a;
    ints[w + 5] = b;
    ints[w + 6] = c;
    const len = skb.tail - skb.data;
    ints[w + 7] = len;
    ints[w + 8] = skb.mark;
    this.#times[i] = this.clock.ns;
    this.#refs[i] = ref;
    const n = len < STEP_SNAP ? len : STEP_SNAP;
    const from = skb.data;
    const to = i * STEP_SNAP;
    // Four bytes at a time; words of an Int32Array are little-endian wherever this runs.
    const { view } = skb;
    const words = this.#snapWords;
    const whole = n >> 2;
    for (let k = 0; k < whole; k++) words[(to >> 2) + k] = view.getInt32(from + 4 * k, true);
    for (let k = whole << 2; k < n; k++) this.#snaps[to + k] = skb.bytes[from + k]!;
  }

  /** Records written since the last `clear`, overwritten ones included. */
  get written(): number {
    return this.#next;
  }

  /** Records that were overwritten by later ones. */
  get lost(): number {
    return Math.max(0, this.#next - this.capacity);
  }

  clear(): void {
    // What was recorded is let go, the array's room is not: it would have to be made again.
    this.#refs.fill(null, 0, Math.min(this.#next, this.capacity));
    this.#next = 0;
  }

  #grow(): void {
    this.#room = Math.min(this.capacity, 4 * this.#room);
    const ints = this.#ints;
    this.#ints = new Int32Array(this.#room * WORDS);
    this.#ints.set(ints);
    const times = this.#times;
    this.#times = new Float64Array(this.#room);
    this.#times.set(times);
    const snaps = this.#snaps;
    this.#snaps = new Uint8Array(this.#room * STEP_SNAP);
    this.#snaps.set(snaps);
    this.#snapWords = new Int32Array(this.#snaps.buffer);
  }

  /** The records still held, oldest first, as objects (for renderings; not for the packet path). */
  records(): StepRecord[] {
    const out: StepRecord[] = [];
    const held = Math.min(this.#next, this.capacity);
    // One copy for all frames; a record cuts its own out of it when somebody looks at it.
    const snaps = this.#snaps.slice(0, held * STEP_SNAP);
    for (let n = this.lost; n < this.#next; n++) {
      const i = n % this.capacity;
      out.push(new StepRecord(this.#ints, i * WORDS, this.#times[i]!, this.#refs[i]!, snaps, i * STEP_SNAP));
    }
    return out;
  }
}

/** One step, as an object. */
export class StepRecord {
  readonly kind: Step;
  /** skb id. */
  readonly id: number;
  /** Namespace number. */
  readonly netns: number;
  readonly ifindex: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  /** Whole length of the frame. */
  readonly len: number;
  readonly mark: number;
  #frame: Uint8Array | null = null;

  /** From the recorder's words at `w`; the frame is at `at` in `snaps`. */
  constructor(
    ints: Int32Array,
    w: number,
    /** Virtual time, ns. */
    readonly ns: number,
    readonly ref: object | null,
    private readonly snaps: Uint8Array,
    private readonly at: number,
  ) {
    this.kind = ints[w]! as Step;
    this.id = ints[w + 1]!;
    this.netns = ints[w + 2]!;
    this.ifindex = ints[w + 3]!;
    this.a = ints[w + 4]!;
    this.b = ints[w + 5]!;
    this.c = ints[w + 6]!;
    this.len = ints[w + 7]!;
    this.mark = ints[w + 8]! >>> 0;
  }

  /** The first bytes of the frame, at most STEP_SNAP. */
  get frame(): Uint8Array {
    this.#frame ??= this.snaps.subarray(this.at, this.at + Math.min(this.len, STEP_SNAP));
    return this.#frame;
  }
}
