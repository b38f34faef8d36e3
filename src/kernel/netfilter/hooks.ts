// Netfilter hooks of IPv4: hook numbers, priorities, registration per namespace and the walk over the registered
// functions. Follows net/netfilter/core.c and include/uapi/linux/netfilter*.h.
//
//   PREROUTING   -400 defrag  -300 raw  -200 conntrack  -150 mangle  -100 nat (DNAT)
//   INPUT                                               -150 mangle     0 filter  50 security  100 nat (SNAT)  MAX confirm
//   FORWARD                                             -150 mangle     0 filter  50 security
//   OUTPUT       -400 defrag  -300 raw  -200 conntrack  -150 mangle  -100 nat (DNAT)  0 filter  50 security
//   POSTROUTING                                         -150 mangle   100 nat (SNAT)  MAX confirm
//   IPVS sits at INPUT 98/99, FORWARD 99/100 and OUTPUT -99/-98.

import type { Skb } from "../../bpf/skb.js";
import { Step } from "../../bpf/steps.js";
import type { NetDevice } from "../device.js";
import type { IpVs } from "../ipvs/ip_vs.js";
import type { Netns } from "../netns.js";
import type { NfConntrack } from "./nf_conntrack.js";
import type { NfTrace } from "./trace.js";
import type { XtNet } from "./xtables.js";

export const NF_INET_PRE_ROUTING = 0;
export const NF_INET_LOCAL_IN = 1;
export const NF_INET_FORWARD = 2;
export const NF_INET_LOCAL_OUT = 3;
export const NF_INET_POST_ROUTING = 4;
export const NF_INET_NUMHOOKS = 5;

/** Hook names as chains are called, by number. */
export const HOOK_NAMES: readonly string[] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

export const NF_DROP = 0;
export const NF_ACCEPT = 1;
export const NF_STOLEN = 2;
export const NF_QUEUE = 3;
export const NF_REPEAT = 4;

export const NF_IP_PRI_CONNTRACK_DEFRAG = -400;
export const NF_IP_PRI_RAW = -300;
export const NF_IP_PRI_CONNTRACK = -200;
export const NF_IP_PRI_MANGLE = -150;
export const NF_IP_PRI_NAT_DST = -100;
export const NF_IP_PRI_FILTER = 0;
export const NF_IP_PRI_SECURITY = 50;
export const NF_IP_PRI_NAT_SRC = 100;
export const NF_IP_PRI_CONNTRACK_HELPER = 300;
export const NF_IP_PRI_CONNTRACK_CONFIRM = 2147483647;

// enum ip_conntrack_info. Here, because skb.nfctinfo is read by code that knows nothing else of conntrack.
export const IP_CT_ESTABLISHED = 0;
export const IP_CT_RELATED = 1;
export const IP_CT_NEW = 2;
export const IP_CT_IS_REPLY = 3;
export const IP_CT_ESTABLISHED_REPLY = 3;
export const IP_CT_RELATED_REPLY = 4;
export const IP_CT_UNTRACKED = 7;

/** A function on a hook (struct nf_hook_ops). `run` returns NF_*; `skb.data` is the IP header. */
export abstract class NfHook {
  constructor(
    readonly name: string,
    readonly hook: number,
    readonly priority: number,
  ) {}

  abstract run(skb: Skb, hook: number, inDev: NetDevice | null, outDev: NetDevice | null): number;
}

/** What netfilter keeps in a namespace. A namespace that never had a rule has none (`ns.nf === null`). */
export class NfState {
  /** Functions by hook number, sorted by priority; equal priorities in order of registration. */
  readonly hooks: NfHook[][] = [[], [], [], [], []];
  /** Tables, sets; made by `xtNet`. */
  xt: XtNet | null = null;
  /** Connection tracking; null until something needs it. */
  ct: NfConntrack | null = null;
  /** IP virtual server; null until the first service. */
  ipvs: IpVs | null = null;
  /** Where TRACE goes, or null. */
  trace: NfTrace | null = null;
  /** Packets dropped because a hook said so, by hook. */
  readonly dropped = new Float64Array(NF_INET_NUMHOOKS);
  /** Defragmentation is on (conntrack, TPROXY or the socket match want it). */
  defrag = false;

  constructor(readonly ns: Netns) {}

  /** nf_register_net_hook. */
  register(h: NfHook): void {
    const list = this.hooks[h.hook]!;
    let i = list.length;
    while (i > 0 && list[i - 1]!.priority > h.priority) i--;
    list.splice(i, 0, h);
  }

  /** nf_unregister_net_hook. */
  unregister(h: NfHook): void {
    const list = this.hooks[h.hook]!;
    const at = list.indexOf(h);
    if (at >= 0) list.splice(at, 1);
  }
}

/** The netfilter state of a namespace, made when it is first wanted. */
export function nfState(ns: Netns): NfState {
  let st = ns.nf;
  if (st === null) {
    st = new NfState(ns);
    ns.nf = st;
  }
  return st;
}

/**
 * Runs the hook `hook` on an IPv4 packet whose `data` is its IP header. NF_DROP: the caller frees the packet
 * (reason NETFILTER_DROP). NF_STOLEN: the packet is no longer the caller's.
 */
export function nf_hook(
  ns: Netns,
  hook: number,
  skb: Skb,
  inDev: NetDevice | null,
  outDev: NetDevice | null,
): number {
  const st = ns.nf;
  if (st === null) return NF_ACCEPT;
  const list = st.hooks[hook]!;
  const n = list.length;
  if (n === 0) return NF_ACCEPT;
  if (ns.recorder !== null) ns.recorder.step(Step.NF_HOOK, skb, null, hook, 0, 0);
  return nf_hook_slow(st, list, 0, skb, hook, inDev, outDev);
}

/** The functions of `list` from index `from` on (nf_hook_slow; ip_vs and nf_reinject go on from the middle). */
export function nf_hook_slow(
  st: NfState,
  list: readonly NfHook[],
  from: number,
  skb: Skb,
  hook: number,
  inDev: NetDevice | null,
  outDev: NetDevice | null,
): number {
  for (let i = from; i < list.length; i++) {
    const v = list[i]!.run(skb, hook, inDev, outDev);
    if (v !== NF_ACCEPT) {
      if (v === NF_STOLEN) return v;
      st.dropped[hook]!++;
      return NF_DROP;
    }
  }
  return NF_ACCEPT;
}

/** nf_ct_put of skb->_nfct: the packet goes away or leaves the namespace. */
export function nf_reset_ct(skb: Skb): void {
  skb.nfct = null;
  skb.nfctinfo = 0;
}

/** nf_ct_attach: an ICMP error or RST made about `old` belongs to its connection, in the other direction. */
export function nf_ct_attach(skb: Skb, old: Skb): void {
  if (old.nfct === null) return;
  skb.nfct = old.nfct;
  skb.nfctinfo = old.nfctinfo >= IP_CT_IS_REPLY ? IP_CT_RELATED : IP_CT_RELATED_REPLY;
}
