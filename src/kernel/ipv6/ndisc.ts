import type { Skb } from "../../bpf/skb.js";
import * as R from "../drop_reason.js";
import type { Neighbour } from "../neighbour.js";
import { kfree_skb_reason } from "../skbuff.js";

export function ndisc_constructor(_n: Neighbour): void {}
export function ndisc_solicit(_n: Neighbour, _skb: Skb | null): void {}
export function ndisc_error_report(n: Neighbour, skb: Skb): void {
  kfree_skb_reason(n.dev.ns, skb, R.NEIGH_FAILED);
}
