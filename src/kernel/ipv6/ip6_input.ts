import type { Skb } from "../../bpf/skb.js";
import type { NetDevice } from "../device.js";
import * as R from "../drop_reason.js";
import { kfree_skb_reason } from "../skbuff.js";

export function ipv6_rcv(skb: Skb, dev: NetDevice): void {
  kfree_skb_reason(dev.ns, skb, R.IPV6DISABLED);
}
