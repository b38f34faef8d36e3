// bpf_ipv6_fib_lookup of net/core/filter.c.

import {
  BPF_FIB_LKUP_RET_BLACKHOLE,
  BPF_FIB_LKUP_RET_FRAG_NEEDED,
  BPF_FIB_LKUP_RET_FWD_DISABLED,
  BPF_FIB_LKUP_RET_NO_NEIGH,
  BPF_FIB_LKUP_RET_NOT_FWDED,
  BPF_FIB_LKUP_RET_PROHIBIT,
  BPF_FIB_LKUP_RET_SUCCESS,
  BPF_FIB_LKUP_RET_UNREACHABLE,
  BPF_FIB_LOOKUP_OUTPUT,
  BPF_FIB_LOOKUP_SKIP_NEIGH,
  BPF_FIB_LOOKUP_SRC,
  type FibLookup,
} from "../../bpf/fib_lookup.js";
import { AF_INET6 } from "../../bpf/helpers.js";
import type { Skb } from "../../bpf/skb.js";
import { Step } from "../../bpf/steps.js";
import { RTN_BLACKHOLE, RTN_PROHIBIT, RTN_UNICAST, RTN_UNREACHABLE } from "../fib.js";
import { NUD_VALID } from "../neighbour.js";
import type { Netns } from "../netns.js";
import { neigh6 } from "./ndisc.js";

export function bpf_ipv6_fib_lookup(ns: Netns, skb: Skb, params: FibLookup, flags: number): number {
  if (params.family !== AF_INET6) return -97;
  const fib = ns.fib6;
  const dev = ns.dev(params.ifindex);
  if (dev === null) return -19;
  if (fib === null) return BPF_FIB_LKUP_RET_NOT_FWDED;
  if (dev.conf.forwarding6 === 0) return BPF_FIB_LKUP_RET_FWD_DISABLED;
  const b = params.bytes;
  if (fib.localDev(b, 32) !== null) return BPF_FIB_LKUP_RET_NOT_FWDED;
  const rt = fib.lookup(b, 32, (flags & BPF_FIB_LOOKUP_OUTPUT) !== 0 ? params.ifindex : 0);
  if (ns.recorder !== null) ns.recorder.step(Step.FIB, skb, rt, rt === null ? -101 : 0, 2, 0);
  if (rt === null) return BPF_FIB_LKUP_RET_NOT_FWDED;
  switch (rt.type) {
    case RTN_BLACKHOLE:
      return BPF_FIB_LKUP_RET_BLACKHOLE;
    case RTN_UNREACHABLE:
      return BPF_FIB_LKUP_RET_UNREACHABLE;
    case RTN_PROHIBIT:
      return BPF_FIB_LKUP_RET_PROHIBIT;
    default:
      if (rt.type !== RTN_UNICAST || rt.dev === null) return BPF_FIB_LKUP_RET_NOT_FWDED;
  }
  const out = rt.dev;
  const mtu = rt.mtu !== 0 ? rt.mtu : out.mtu;
  if (params.totLen !== 0 && params.totLen > mtu) {
    params.totLen = mtu;
    return BPF_FIB_LKUP_RET_FRAG_NEEDED;
  }
  params.view.setInt32(12, rt.metric, true);
  params.ifindex = out.ifindex;
  if ((flags & BPF_FIB_LOOKUP_SRC) !== 0) {
    const src = rt.src ?? fib.source(out, b, 32);
    if (src !== null) b.set(src, 16);
  }
  if (rt.gw !== null) b.set(rt.gw, 32);
  if ((flags & BPF_FIB_LOOKUP_SKIP_NEIGH) === 0) {
    const n = neigh6(out, b, 32, false);
    if (n === null || (n.state & NUD_VALID) === 0) return BPF_FIB_LKUP_RET_NO_NEIGH;
    b.set(out.mac, 52);
    b.set(n.ha, 58);
  }
  params.view.setInt32(48, 0, true);
  params.totLen = mtu;
  return BPF_FIB_LKUP_RET_SUCCESS;
}
