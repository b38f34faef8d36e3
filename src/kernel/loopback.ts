// drivers/net/loopback.c: what is sent comes back through the backlog.

import type { Skb } from "../bpf/skb.js";
import { netif_rx } from "./dev.js";
import {
  ARPHRD_LOOPBACK,
  IFF_LOOPBACK,
  NetDevice,
  RX_BYTES,
  RX_PACKETS,
  TX_BYTES,
  TX_PACKETS,
} from "./device.js";
import { eth_type_trans } from "./eth.js";
import type { Netns } from "./netns.js";

export class LoopbackDevice extends NetDevice {
  override readonly kind = "loopback";

  constructor(ns: Netns) {
    super(ns, "lo", 1);
    this.mtu = 65536;
    this.type = ARPHRD_LOOPBACK;
    this.flags = IFF_LOOPBACK;
    this.keepDst = true;
  }

  override xmit(skb: Skb): number {
    const len = skb.tail - skb.data;
    this.stats[TX_PACKETS]!++;
    this.stats[TX_BYTES]! += len;
    this.stats[RX_PACKETS]!++;
    this.stats[RX_BYTES]! += len;
    // The route stays on the packet: ip_rcv_finish does not look it up again.
    eth_type_trans(skb, this);
    netif_rx(skb);
    return 0;
  }
}
