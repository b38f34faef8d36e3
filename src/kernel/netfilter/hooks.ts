// Seam between the IP path and netfilter: nf_hook is called at each of the five hooks.

import type { Skb } from "../../bpf/skb.js";
import type { NetDevice } from "../device.js";
import type { Netns } from "../netns.js";

export const NF_INET_PRE_ROUTING = 0;
export const NF_INET_LOCAL_IN = 1;
export const NF_INET_FORWARD = 2;
export const NF_INET_LOCAL_OUT = 3;
export const NF_INET_POST_ROUTING = 4;

export const NF_DROP = 0;
export const NF_ACCEPT = 1;
export const NF_STOLEN = 2;

/** What netfilter keeps in a namespace. */
export interface NfState {
  readonly ns: Netns;
}

/**
 * Runs the hook `hook` on an IPv4 packet whose `data` is its IP header. NF_DROP: the caller frees the packet
 * (reason NETFILTER_DROP). NF_STOLEN: the packet is no longer the caller's.
 */
export function nf_hook(
  _ns: Netns,
  _hook: number,
  _skb: Skb,
  _inDev: NetDevice | null,
  _outDev: NetDevice | null,
): number {
  return NF_ACCEPT;
}

/** nf_ct_put of skb->_nfct: the packet goes away or leaves the namespace. */
export function nf_reset_ct(skb: Skb): void {
  skb.nfct = null;
  skb.nfctinfo = 0;
}

/** nf_ct_attach: an ICMP error or RST made about `old` belongs to its connection. */
export function nf_ct_attach(_skb: Skb, _old: Skb): void {}
