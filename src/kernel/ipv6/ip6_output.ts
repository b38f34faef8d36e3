import type { Skb } from "../../bpf/skb.js";
import type { NetDevice } from "../device.js";
import * as R from "../drop_reason.js";
import type { RedirectInfo } from "../kernel.js";
import type { Netns } from "../netns.js";
import { kfree_skb_reason } from "../skbuff.js";

export function bpf_out_neigh_v6(skb: Skb, ns: Netns, _dev: NetDevice, _ri: RedirectInfo): void {
  kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
}
