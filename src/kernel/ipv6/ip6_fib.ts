import { BPF_FIB_LKUP_RET_NOT_FWDED, type FibLookup } from "../../bpf/fib_lookup.js";
import type { Skb } from "../../bpf/skb.js";
import type { Netns } from "../netns.js";

export function bpf_ipv6_fib_lookup(_ns: Netns, _skb: Skb, _params: FibLookup, _flags: number): number {
  return BPF_FIB_LKUP_RET_NOT_FWDED;
}
