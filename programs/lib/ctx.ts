// The `ctx` that every program function takes first. In C it is the skb alone, the rest being compiled in; here one
// object a node carries the packet, both configurations, the maps, the helpers and what C passes through pointers.
//
//   ctx.skb      the packet                        ctx.def      compile-time defines (one build a node)
//   ctx.config   CONFIG() variables of the object that runs now (swapped when a policy program is tail-called)
//   ctx.obj      that object: its kind, its cilium_calls array, its endpoint's policy map
//   ctx.maps     CiliumMaps                        ctx.helpers  bpf helpers
//   ctx.ext_err  the `__s8 *ext_err` of C          ctx.monitor  the `__u32 *monitor` of conntrack look-ups
//
// Conventions of all of programs/:
//   - offsets (`l3_off`, `l4_off`) count from the start of the frame, as in C; `load_*` and `store_*` add skb.data
//   - u32 values are signed int32, ports are Be16, IPv4 addresses Be32, an IPv6 address is four words in an Int32Array
//     at an index (`words, at`)
//   - a struct that C keeps on the stack is a module-level scratch object of its function: programs are not re-entered
//     while they run, and nothing is allocated for a packet
//   - a function that returns a verdict returns CTX_ACT_*, a negative DROP_*, or a verdict with TAIL_CALLED set

import type { CiliumMaps } from "../../maps/cilium_maps.js";
import { CtTuple4, CtTuple6 } from "../../maps/ct.js";
import type { LpmTrie } from "../../maps/lpm_trie.js";
import type { Helpers } from "../../src/bpf/helpers.js";
import { Skb } from "../../src/bpf/skb.js";
import { Step, type StepRecorder } from "../../src/bpf/steps.js";
import { MAX_TAIL_CALL_CNT } from "../../src/bpf/verdict.js";
import type { CompileConfig, ObjectConfig } from "../config.js";
import {
  CILIUM_CALL_SIZE,
  CT_ENTRY_DSR_INTERNAL,
  CT_ENTRY_FROM_L7LB,
  CT_ENTRY_FROM_TUNNEL,
  CT_ENTRY_LB_LOOPBACK,
  CT_ENTRY_NODE_PORT,
  CT_ENTRY_PROXY_REDIRECT,
  CTX_ACT_REDIRECT,
  DROP_MISSED_TAIL_CALL,
  ETH_HLEN,
  TAIL_CALLED,
  TRACE_REASON_UNKNOWN,
} from "./common.js";

/** Which source file an object was made from (IS_BPF_LXC ... of C). */
export const IS_BPF_LXC = 1;
export const IS_BPF_HOST = 2;
export const IS_BPF_OVERLAY = 3;
export const IS_BPF_XDP = 4;
export const IS_BPF_WIREGUARD = 5;
export const IS_BPF_SOCK = 6;
export type ObjectKind = 1 | 2 | 3 | 4 | 5 | 6;

/** A function in a cilium_calls array. It returns a final verdict: errors have become drop samples. */
export type TailCall = (ctx: Ctx) => number;

/** One loaded object file: what a program's relocations point to. */
export class LoadedObject {
  /** cilium_calls_NNNNN. */
  readonly calls: (TailCall | null)[] = new Array<TailCall | null>(CILIUM_CALL_SIZE).fill(null);
  /** Program that cilium_call_policy holds for this object (bpf_lxc and the host endpoint). */
  policyProgram: TailCall | null = null;
  /** Program that cilium_egresscall_policy holds. */
  policyEgressProgram: TailCall | null = null;

  constructor(
    readonly kind: ObjectKind,
    readonly config: ObjectConfig,
    /** EVENT_SOURCE: endpoint id, host endpoint id, or 0. */
    readonly event_source: number,
    /** cilium_policy_v2_NNNNN of the object; null where no policy is enforced. */
    readonly policy: LpmTrie | null,
  ) {}
}

/** Bits of CtState.flags that struct ct_entry does not have. */
export const CT_STATE_SYN = 1 << 16;
export const CT_STATE_CLOSING = 1 << 17;

/**
 * struct ct_state: what a look-up returns and a creation takes. Its booleans are the bits of struct ct_entry in one
 * word, so that a look-up fills them, and `clear` empties them, with one store.
 */
export class CtState {
  /** CT_ENTRY_* and CT_STATE_*. */
  flags = 0;
  rev_nat_index = 0;
  /** IPv4: nat_addr[3] (p4). */
  readonly nat_addr: Int32Array = new Int32Array(4);
  nat_port = 0;
  src_sec_id = 0;
  backend_id = 0;

  get loopback(): boolean {
    return (this.flags & CT_ENTRY_LB_LOOPBACK) !== 0;
  }
  set loopback(v: boolean) {
    this.flags = v ? this.flags | CT_ENTRY_LB_LOOPBACK : this.flags & ~CT_ENTRY_LB_LOOPBACK;
  }
  get node_port(): boolean {
    return (this.flags & CT_ENTRY_NODE_PORT) !== 0;
  }
  set node_port(v: boolean) {
    this.flags = v ? this.flags | CT_ENTRY_NODE_PORT : this.flags & ~CT_ENTRY_NODE_PORT;
  }
  get dsr_internal(): boolean {
    return (this.flags & CT_ENTRY_DSR_INTERNAL) !== 0;
  }
  set dsr_internal(v: boolean) {
    this.flags = v ? this.flags | CT_ENTRY_DSR_INTERNAL : this.flags & ~CT_ENTRY_DSR_INTERNAL;
  }
  get proxy_redirect(): boolean {
    return (this.flags & CT_ENTRY_PROXY_REDIRECT) !== 0;
  }
  set proxy_redirect(v: boolean) {
    this.flags = v ? this.flags | CT_ENTRY_PROXY_REDIRECT : this.flags & ~CT_ENTRY_PROXY_REDIRECT;
  }
  get from_l7lb(): boolean {
    return (this.flags & CT_ENTRY_FROM_L7LB) !== 0;
  }
  set from_l7lb(v: boolean) {
    this.flags = v ? this.flags | CT_ENTRY_FROM_L7LB : this.flags & ~CT_ENTRY_FROM_L7LB;
  }
  get from_tunnel(): boolean {
    return (this.flags & CT_ENTRY_FROM_TUNNEL) !== 0;
  }
  set from_tunnel(v: boolean) {
    this.flags = v ? this.flags | CT_ENTRY_FROM_TUNNEL : this.flags & ~CT_ENTRY_FROM_TUNNEL;
  }
  /** The packet had the SYN flag (SERVICE look-ups). */
  get syn(): boolean {
    return (this.flags & CT_STATE_SYN) !== 0;
  }
  /** The packet closes its direction. */
  get closing(): boolean {
    return (this.flags & CT_STATE_CLOSING) !== 0;
  }

  /** `= {}` of C. */
  clear(): void {
    this.flags = 0;
    this.rev_nat_index = 0;
    if (this.nat_port !== 0) {
      const a = this.nat_addr;
      a[0] = 0;
      a[1] = 0;
      a[2] = 0;
      a[3] = 0;
      this.nat_port = 0;
    }
    this.src_sec_id = 0;
    this.backend_id = 0;
  }
}

/** struct trace_ctx. */
export class TraceCtx {
  reason = TRACE_REASON_UNKNOWN;
  monitor = 0;

  set(reason: number, monitor: number): void {
    this.reason = reason;
    this.monitor = monitor;
  }
}

/** struct ct_buffer4 of cilium_tail_call_buffer4: a conntrack result on its way to the next tail call. */
export class CtBuffer4 {
  readonly tuple: CtTuple4 = new CtTuple4();
  readonly ct_state: CtState = new CtState();
  monitor = 0;
  ret = 0;
  l4_off = 0;
}

/** struct ct_buffer6. */
export class CtBuffer6 {
  readonly tuple: CtTuple6 = new CtTuple6();
  readonly ct_state: CtState = new CtState();
  fraginfo = 0;
  monitor = 0;
  ret = 0;
  l4_off = 0;
}

export class Ctx {
  skb: Skb = new Skb(64);
  // The frame in `skb`, kept here because every header access needs it; `refresh` after whatever moves the frame.
  bytes: Uint8Array = this.skb.bytes;
  view: DataView = this.skb.view;
  /** skb.data: position of the frame's first byte. */
  base = 0;
  /** Length of the frame. */
  len = 0;
  obj: LoadedObject;
  /** CONFIG() variables of `obj`. */
  config: ObjectConfig;
  ext_err = 0;
  monitor = 0;
  /** Tail calls of the packet in hand. */
  tail_calls = 0;
  /** XDP: the verdict that goes with CTX_ACT_REDIRECT. */
  xdp_verdict = 0;
  /** XDP: what ctx_set_xfer and ctx_snat_done_set have noted for tc. */
  xdp_xfer = 0;
  /** Ports word that *_load_l4_ports left: packet source port in the low half, destination in the high one. */
  l4_ports = 0;
  /** What ipv6_hdrlen_with_fraginfo left. */
  nexthdr = 0;
  fraginfo = 0;
  frag_id = 0;
  frag_proto = 0;
  /** cilium_nodeport_nat_buffer: node port that a pod called at another node's address; IPv4 in the last word. */
  readonly nodeport_nat_addr: Int32Array = new Int32Array(4);
  nodeport_nat_port = 0;
  /** Output device of the last fib_redirect (`int *oif`). */
  fib_oif = 0;
  /** load_ip_trace_id(): the IP option's trace id, 0 when not traced. */
  ip_trace_id_lo = 0;
  ip_trace_id_hi = 0;
  recorder: StepRecorder | null = null;
  readonly ct_buffer4: CtBuffer4 = new CtBuffer4();
  readonly ct_buffer6: CtBuffer6 = new CtBuffer6();

  constructor(
    readonly def: CompileConfig,
    readonly maps: CiliumMaps,
    readonly helpers: Helpers,
    initial: LoadedObject,
  ) {
    this.obj = initial;
    this.config = initial.config;
  }

  /** A program of `obj` begins on `skb`. */
  enter(skb: Skb, obj: LoadedObject): void {
    this.skb = skb;
    this.obj = obj;
    this.config = obj.config;
    this.ext_err = 0;
    this.tail_calls = 0;
    this.maps.cpu.id = skb.cpu;
    this.refresh();
  }

  /** To be called after a helper that changes the length of the frame or where it begins. */
  refresh(): void {
    const skb = this.skb;
    this.bytes = skb.bytes;
    this.view = skb.view;
    this.base = skb.data;
    this.len = skb.tail - skb.data;
  }
}

// --- the frame ----------------------------------------------------------------------------------------------------

// Small on purpose: V8 inlines functions of up to 27 bytes of bytecode wherever they are called.

/** True if the frame has at least `len` bytes: the check that revalidate_data and bpf_skb_load_bytes make. */
export function ctx_has(ctx: Ctx, len: number): boolean {
  return ctx.len >= len;
}

/** ctx_full_len(). */
export function ctx_full_len(ctx: Ctx): number {
  return ctx.len;
}

export function load_u8(ctx: Ctx, off: number): number {
  return ctx.bytes[ctx.base + off];
}

/** Two wire bytes as a little-endian CPU loads them (a Be16). */
export function load_be16(ctx: Ctx, off: number): number {
  return ctx.view.getUint16(ctx.base + off, true);
}

/** Two wire bytes as a host-order number. */
export function load_u16(ctx: Ctx, off: number): number {
  return ctx.view.getUint16(ctx.base + off);
}

/** Four wire bytes as a little-endian CPU loads them (a Be32). */
export function load_be32(ctx: Ctx, off: number): number {
  return ctx.view.getInt32(ctx.base + off, true);
}

export function store_u8(ctx: Ctx, off: number, v: number): void {
  ctx.bytes[ctx.base + off] = v;
}

export function store_be16(ctx: Ctx, off: number, v: number): void {
  ctx.view.setUint16(ctx.base + off, v, true);
}

export function store_u16(ctx: Ctx, off: number, v: number): void {
  ctx.view.setUint16(ctx.base + off, v);
}

export function store_be32(ctx: Ctx, off: number, v: number): void {
  ctx.view.setInt32(ctx.base + off, v, true);
}

/** revalidate_data for IPv4: Ethernet and a minimal IPv4 header are there. */
export function revalidate_data4(ctx: Ctx): boolean {
  return ctx.len >= ETH_HLEN + 20;
}

/** revalidate_data for IPv6. */
export function revalidate_data6(ctx: Ctx): boolean {
  return ctx.len >= ETH_HLEN + 40;
}

// --- meta data ----------------------------------------------------------------------------------------------------

export function ctx_store_meta(ctx: Ctx, index: number, v: number): void {
  ctx.skb.cb[index] = v;
}

export function ctx_load_meta(ctx: Ctx, index: number): number {
  return ctx.skb.cb[index]!;
}

export function ctx_load_and_clear_meta(ctx: Ctx, index: number): number {
  const v = ctx.skb.cb[index]!;
  ctx.skb.cb[index] = 0;
  return v;
}

/** bpf_clear_meta(). */
export function bpf_clear_meta(ctx: Ctx): void {
  const cb = ctx.skb.cb;
  cb[0] = 0;
  cb[1] = 0;
  cb[2] = 0;
  cb[3] = 0;
  cb[4] = 0;
  ctx.skb.tcClassid = 0;
}

/** skb->protocol (tc) or the Ethernet header's type (XDP), host order. */
export function ctx_get_protocol(ctx: Ctx): number {
  if (ctx.obj.kind === IS_BPF_XDP) return ctx_has(ctx, ETH_HLEN) ? load_u16(ctx, 12) : 0;
  return ctx.skb.protocol;
}

/** Device the program runs for. */
export function ctx_get_ifindex(ctx: Ctx): number {
  return ctx.skb.ifindex;
}

/** skb->ingress_ifindex; XDP has the receiving device only. */
export function ctx_get_ingress_ifindex(ctx: Ctx): number {
  return ctx.obj.kind === IS_BPF_XDP ? ctx.skb.ifindex : ctx.skb.ingressIfindex;
}

/** bpf_redirect in the form of the running program type; returns CTX_ACT_REDIRECT or CTX_ACT_DROP. */
export function ctx_redirect(ctx: Ctx, ifindex: number, flags: number): number {
  if (ctx.obj.kind === IS_BPF_XDP) {
    ctx.xdp_verdict = ctx.helpers.xdp_redirect(ctx.skb, ifindex, flags);
    return CTX_ACT_REDIRECT;
  }
  return ctx.helpers.redirect(ctx.skb, ifindex, flags);
}

// --- tail calls -----------------------------------------------------------------------------------------------------

/**
 * tail_call_internal(): runs entry `index` of the object's cilium_calls. Returns its verdict with TAIL_CALLED set, or
 * DROP_MISSED_TAIL_CALL (ext_err = index) if the slot is empty or the packet has made its 33 calls.
 */
export function tail_call_internal(ctx: Ctx, index: number): number {
  const call = ctx.obj.calls[index]!;
  const there = call !== null && ctx.tail_calls < MAX_TAIL_CALL_CNT;
  if (ctx.recorder !== null) ctx.recorder.step(Step.TAIL_CALL, ctx.skb, call, index, there ? 1 : 0, 0);
  if (!there) {
    ctx.ext_err = index;
    return DROP_MISSED_TAIL_CALL;
  }
  ctx.tail_calls++;
  ctx.ext_err = 0;
  return call(ctx) | TAIL_CALLED;
}

/**
 * tail_call_policy(): runs the ingress policy program of an endpoint, in that endpoint's object. Returns its verdict
 * with TAIL_CALLED set, or -1 if there is none (the caller knows which drop reason that is).
 */
export function tail_call_policy(ctx: Ctx, endpoint_id: number): number {
  const obj = ctx.maps.cilium_call_policy.get(endpoint_id) as LoadedObject | null;
  return enter_object(ctx, obj, obj === null ? null : obj.policyProgram, endpoint_id);
}

/** tail_call_egress_policy(): the egress policy program, for packets that come back from the L7 load balancer. */
export function tail_call_egress_policy(ctx: Ctx, endpoint_id: number): number {
  const obj = ctx.maps.cilium_egresscall_policy.get(endpoint_id) as LoadedObject | null;
  return enter_object(ctx, obj, obj === null ? null : obj.policyEgressProgram, endpoint_id);
}

function enter_object(
  ctx: Ctx,
  obj: LoadedObject | null,
  program: TailCall | null,
  endpoint_id: number,
): number {
  const there = obj !== null && program !== null && ctx.tail_calls < MAX_TAIL_CALL_CNT;
  if (ctx.recorder !== null)
    ctx.recorder.step(Step.TAIL_CALL, ctx.skb, program, endpoint_id, there ? 1 : 0, 1);
  if (!there) return -1;
  ctx.tail_calls++;
  ctx.ext_err = 0;
  ctx.obj = obj;
  ctx.config = obj.config;
  return program(ctx) | TAIL_CALLED;
}

// --- time -----------------------------------------------------------------------------------------------------------

/** bpf_mono_now(): seconds, or jiffies >> 8 with enable_jiffies. */
export function bpf_mono_now(ctx: Ctx): number {
  return ctx.config.enable_jiffies ? ctx.helpers.jiffies_shr8() : ctx.helpers.ktime_get_sec();
}

/** bpf_sec_to_mono(). */
export function bpf_sec_to_mono(ctx: Ctx, sec: number): number {
  return ctx.config.enable_jiffies ? (sec * ctx.config.kernel_hz) >> 8 : sec;
}
