// nf_defrag_ipv4: with connection tracking on, fragments are put together before anything looks at ports.

import type { Skb } from "../../bpf/skb.js";
import { br_nf_reassembled } from "../br_netfilter.js";
import type { NetDevice } from "../device.js";
import { NETFILTER_DROP } from "../drop_reason.js";
import { IP_DEFRAG_CONNTRACK_IN, IP_DEFRAG_CONNTRACK_OUT, ip_defrag } from "../ip_fragment.js";
import { ip_rcv_finish } from "../ip_input.js";
import { ip_output } from "../ip_output.js";
import { IPSKB_IGNORE_DF, kfree_skb_reason } from "../skbuff.js";
import {
  IP_CT_UNTRACKED,
  NF_ACCEPT,
  NF_DROP,
  NF_INET_LOCAL_OUT,
  NF_INET_PRE_ROUTING,
  NF_IP_PRI_CONNTRACK_DEFRAG,
  NF_STOLEN,
  NfHook,
  type NfState,
  nf_hook_slow,
} from "./hooks.js";
import { IPS_TEMPLATE, type NfConn } from "./nf_conntrack.js";

/** ipv4_conntrack_defrag on one hook. */
class Defrag extends NfHook {
  constructor(
    readonly nf: NfState,
    hook: number,
  ) {
    super("defrag", hook, NF_IP_PRI_CONNTRACK_DEFRAG);
  }

  run(skb: Skb, hook: number, inDev: NetDevice | null, outDev: NetDevice | null): number {
    if ((skb.view.getUint16(skb.data + 6, false) & 0x3fff) === 0) return NF_ACCEPT;
    const ct = skb.nfct as NfConn | null;
    if (ct !== null && (ct.status & IPS_TEMPLATE) === 0) return NF_ACCEPT;
    if (ct === null && skb.nfctinfo === IP_CT_UNTRACKED) return NF_ACCEPT;
    const ns = this.nf.ns;
    const user = hook === NF_INET_PRE_ROUTING ? IP_DEFRAG_CONNTRACK_IN : IP_DEFRAG_CONNTRACK_OUT;
    const whole = ip_defrag(ns, skb, user);
    if (whole === null) return NF_STOLEN;
    whole.ipcb |= IPSKB_IGNORE_DF;
    whole.data = whole.network;
    if (whole === skb) return NF_ACCEPT;
    // The datagram sits in another fragment's buffer: it takes this packet's place in the rest of the hook.
    if (inDev !== null) whole.dev = inDev;
    const daddr = whole.view.getInt32(whole.data + 16, true);
    const list = this.nf.hooks[hook]!;
    const v = nf_hook_slow(this.nf, list, list.indexOf(this) + 1, whole, hook, inDev, outDev);
    if (v === NF_ACCEPT) {
      if (whole.physInDev !== null) br_nf_reassembled(whole, daddr);
      else if (hook === NF_INET_PRE_ROUTING) ip_rcv_finish(ns, whole, inDev!);
      else ip_output(ns, whole);
    } else if (v === NF_DROP) kfree_skb_reason(ns, whole, NETFILTER_DROP);
    return NF_STOLEN;
  }
}

/** Registers the hooks if they are not. */
export function nf_defrag_ipv4_enable(nf: NfState): void {
  if (nf.defrag) return;
  nf.defrag = true;
  nf.register(new Defrag(nf, NF_INET_PRE_ROUTING));
  nf.register(new Defrag(nf, NF_INET_LOCAL_OUT));
}

/** Unregisters them. */
export function nf_defrag_ipv4_disable(nf: NfState): void {
  if (!nf.defrag) return;
  nf.defrag = false;
  for (const hook of [NF_INET_PRE_ROUTING, NF_INET_LOCAL_OUT])
    for (const h of nf.hooks[hook]!.filter((x) => x instanceof Defrag)) nf.unregister(h);
}
