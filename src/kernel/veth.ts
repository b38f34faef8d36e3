// drivers/net/veth.c: a pair of devices; what one sends the other receives through the backlog.

import type { Skb } from "../bpf/skb.js";
import { netif_rx } from "./dev.js";
import {
  ETH_HLEN,
  IFF_UP,
  NetDevice,
  RX_BYTES,
  RX_PACKETS,
  TX_BYTES,
  TX_DROPPED,
  TX_PACKETS,
} from "./device.js";
import * as R from "./drop_reason.js";
import { eth_type_trans } from "./eth.js";
import type { Netns } from "./netns.js";
import { kfree_skb_reason, skb_scrub_packet } from "./skbuff.js";

export interface VethEnd {
  readonly ns: Netns;
  readonly name: string;
  /** Six bytes. */
  readonly mac: Uint8Array;
  readonly mtu?: number;
  readonly ifindex?: number;
}

export class VethDevice extends NetDevice {
  override readonly kind = "veth";
  peer: VethDevice | null = null;

  constructor(end: VethEnd) {
    super(end.ns, end.name, end.ifindex ?? 0);
    this.setMac(end.mac);
    this.mtu = end.mtu ?? 1500;
  }

  /** Makes both ends; both are down. */
  static pair(a: VethEnd, b: VethEnd): [VethDevice, VethDevice] {
    const x = new VethDevice(a);
    const y = new VethDevice(b);
    x.peer = y;
    y.peer = x;
    return [x, y];
  }

  override peerDev(): NetDevice | null {
    return this.peer;
  }

  /** veth_xmit. */
  override xmit(skb: Skb): number {
    const peer = this.peer;
    const len = skb.tail - skb.data;
    // __dev_forward_skb: is_skb_forwardable, then scrub.
    if (peer === null || (peer.flags & IFF_UP) === 0 || len > peer.mtu + ETH_HLEN + 4) {
      this.stats[TX_DROPPED]!++;
      kfree_skb_reason(this.ns, skb, R.NOT_SPECIFIED);
      return 0;
    }
    skb_scrub_packet(skb, peer.ns !== this.ns);
    skb.priority = 0;
    eth_type_trans(skb, peer);
    this.stats[TX_PACKETS]!++;
    this.stats[TX_BYTES]! += len;
    peer.stats[RX_PACKETS]!++;
    peer.stats[RX_BYTES]! += len;
    return netif_rx(skb);
  }
}
