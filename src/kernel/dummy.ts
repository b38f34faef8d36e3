// drivers/net/dummy.c: swallows what it is given; addresses on it are local all the same.

import type { Skb } from "../bpf/skb.js";
import { IFF_BROADCAST, IFF_NOARP, NetDevice, TX_BYTES, TX_PACKETS } from "./device.js";
import type { Netns } from "./netns.js";
import { consume_skb } from "./skbuff.js";

export class DummyDevice extends NetDevice {
  override readonly kind = "dummy";

  constructor(ns: Netns, name: string, mac: Uint8Array, mtu = 1500) {
    super(ns, name);
    this.setMac(mac);
    this.mtu = mtu;
    this.flags = IFF_BROADCAST | IFF_NOARP;
  }

  override xmit(skb: Skb): number {
    this.stats[TX_PACKETS]!++;
    this.stats[TX_BYTES]! += skb.tail - skb.data;
    consume_skb(this.ns.kernel, skb);
    return 0;
  }
}
