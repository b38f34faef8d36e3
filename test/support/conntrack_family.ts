// Conntrack of both families under one shape, for tests that ask the same of IPv4 and IPv6: packets go from A to B.

import type { BpfMap } from "../../maps/bpf_map.js";
import { CtTuple4, CtTuple6 } from "../../maps/ct.js";
import { CT_INGRESS } from "../../maps/events.js";
import * as ct from "../../programs/lib/conntrack.js";
import type { CtState, Ctx } from "../../programs/lib/ctx.js";
import type { PlainNode } from "../../src/bench/programs_node.js";
import { icmp, icmp6, ip4, ip6, type Layer } from "../../src/net/build.js";
import { A, A6, B, B6 } from "./program_frames.js";

export type Tuple = CtTuple4 | CtTuple6;

/** One family: frames from A to B, and its functions under one shape. */
export interface Family {
  readonly name: string;
  readonly l4: number;
  readonly icmpProto: number;
  ip(fields?: object): Layer;
  icmp(type: number, code?: number): Layer;
  readonly echo: readonly [request: number, reply: number];
  readonly errors: readonly number[];
  /** Neither echo nor error. */
  readonly other: number;
  /** Says that the packet was too big, with its code. */
  readonly tooBig: readonly [type: number, code: number];
  tuple(proto: number): Tuple;
  map(node: PlainNode, proto: number): BpfMap;
  extract(ctx: Ctx, t: Tuple, fraginfo?: number): number;
  lazy(
    ctx: Ctx,
    map: BpfMap,
    t: Tuple,
    dir: number,
    scope: number,
    types: number,
    state: CtState | null,
  ): number;
  lookup(
    ctx: Ctx,
    map: BpfMap,
    t: Tuple,
    dir: number,
    scope: number,
    state: CtState | null,
    frag?: number,
  ): number;
  create(ctx: Ctx, map: BpfMap, related: BpfMap | null, t: Tuple, dir: number, state: CtState | null): number;
  isReply(ctx: Ctx, map: BpfMap, t: Tuple): boolean;
  hasEgress(ctx: Ctx, map: BpfMap, t: Tuple): boolean;
  hasLoopback(ctx: Ctx, map: BpfMap, t: Tuple): boolean;
  /** Reverse, reverse with direction, swap ports, swap addresses. */
  readonly turns: readonly ((t: Tuple) => void)[];
  readonly debug: readonly [lookup1: number, lookup2: number, created: number];
  /** Last words of A and B. */
  readonly addresses: readonly [number, number];
}

export const V4: Family = {
  name: "IPv4",
  l4: 34,
  icmpProto: 1,
  ip: (f = {}) => ip4({ src: A, dst: B, ...f }),
  icmp: (type, code = 0) => icmp({ type, code, id: 0x3412 }),
  echo: [8, 0],
  errors: [3, 11, 12],
  other: 13,
  tooBig: [3, 4],
  tuple: (proto) => {
    const t = new CtTuple4();
    t.daddr = 0x0c000a0a;
    t.saddr = 0x0b000a0a;
    t.nexthdr = proto;
    return t;
  },
  map: (n, proto) => (proto === 6 ? n.maps.cilium_ct4_global : n.maps.cilium_ct_any4_global),
  extract: (ctx, t, f = 0) => ct.ct_extract_ports4(ctx, 14, f, 34, CT_INGRESS, t as CtTuple4),
  lazy: (ctx, m, t, dir, scope, types, s) =>
    ct.ct_lazy_lookup4(ctx, m, t as CtTuple4, 0, 34, dir, scope, types, s),
  lookup: (ctx, m, t, dir, scope, s) => ct.ct_lookup4(ctx, m, t as CtTuple4, 14, 34, dir, scope, s),
  create: (ctx, m, r, t, dir, s) => ct.ct_create4(ctx, m, r, t as CtTuple4, dir, s),
  isReply: (ctx, m, t) => ct.ct_is_reply4(ctx, m, t as CtTuple4),
  hasEgress: (ctx, m, t) => ct.ct_has_egress_entry4(ctx, m, t as CtTuple4),
  hasLoopback: (ctx, m, t) => ct.ct_has_loopback_egress_entry4(ctx, m, t as CtTuple4),
  turns: [
    (t) => ct.__ipv4_ct_tuple_reverse(t as CtTuple4),
    (t) => ct.ipv4_ct_tuple_reverse(t as CtTuple4),
    (t) => ct.ipv4_ct_tuple_swap_ports(t as CtTuple4),
    (t) => ct.ipv4_ct_tuple_swap_addrs(t as CtTuple4),
  ],
  debug: [48, 49, 50],
  addresses: [0x0b000a0a, 0x0c000a0a],
};

export const V6: Family = {
  name: "IPv6",
  l4: 54,
  icmpProto: 58,
  ip: (f = {}) => ip6({ src: A6, dst: B6, ...f }),
  icmp: (type, code = 0) => icmp6({ type, code, id: 0x3412 }),
  echo: [128, 129],
  errors: [1, 2, 3, 4],
  other: 135,
  tooBig: [2, 0],
  tuple: (proto) => {
    const t = new CtTuple6();
    t.words.set([0x100000fd, 0x00001000, 0, 0x0c000000, 0x100000fd, 0x00001000, 0, 0x0b000000]);
    t.nexthdr = proto;
    return t;
  },
  map: (n, proto) => (proto === 6 ? n.maps.cilium_ct6_global : n.maps.cilium_ct_any6_global),
  extract: (ctx, t, f = 0) => ct.ct_extract_ports6(ctx, 14, f, 54, CT_INGRESS, t as CtTuple6),
  lazy: (ctx, m, t, dir, scope, types, s) =>
    ct.ct_lazy_lookup6(ctx, m, t as CtTuple6, 0, 54, dir, scope, types, s),
  lookup: (ctx, m, t, dir, scope, s, frag = 0) =>
    ct.ct_lookup6(ctx, m, t as CtTuple6, 14, frag, 54, dir, scope, s),
  create: (ctx, m, r, t, dir, s) => ct.ct_create6(ctx, m, r, t as CtTuple6, dir, s),
  isReply: (ctx, m, t) => ct.ct_is_reply6(ctx, m, t as CtTuple6),
  hasEgress: (ctx, m, t) => ct.ct_has_egress_entry6(ctx, m, t as CtTuple6),
  hasLoopback: (ctx, m, t) => ct.ct_has_loopback_egress_entry6(ctx, m, t as CtTuple6),
  turns: [
    (t) => ct.__ipv6_ct_tuple_reverse(t as CtTuple6),
    (t) => ct.ipv6_ct_tuple_reverse(t as CtTuple6),
    (t) => ct.ipv6_ct_tuple_swap_ports(t as CtTuple6),
    (t) => ct.ipv6_ct_tuple_swap_addrs(t as CtTuple6),
  ],
  debug: [51, 52, 53],
  addresses: [0x0b000000, 0x0c000000],
};
