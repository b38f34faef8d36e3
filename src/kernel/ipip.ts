import type { Skb } from "../bpf/skb.js";
import * as R from "./drop_reason.js";
import type { Netns } from "./netns.js";
import { kfree_skb_reason } from "./skbuff.js";

export function tunnel4_rcv(ns: Netns, skb: Skb): void {
  kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
}
export function tunnel64_rcv(ns: Netns, skb: Skb): void {
  kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
}
export function ipip_err(_ns: Netns, _skb: Skb, _q: number, _t: number, _c: number, _i: number): void {}
