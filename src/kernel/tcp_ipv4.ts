import type { Skb } from "../bpf/skb.js";
import * as R from "./drop_reason.js";
import type { Netns } from "./netns.js";
import { kfree_skb_reason } from "./skbuff.js";

export function tcp_v4_rcv(ns: Netns, skb: Skb): void {
  kfree_skb_reason(ns, skb, R.NO_SOCKET);
}
export function tcp_v4_err(
  _ns: Netns,
  _skb: Skb,
  _q: number,
  _l4: number,
  _t: number,
  _c: number,
  _i: number,
): void {}

export function tcp_lookup(
  _ns: Netns,
  _saddr: number,
  _sport: number,
  _daddr: number,
  _dport: number,
  _dif: number,
): object | null {
  return null;
}
