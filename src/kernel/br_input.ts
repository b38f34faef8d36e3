// net/bridge/br_input.c: the rx handler of a bridge port.

import { PACKET_HOST, type Skb } from "../bpf/skb.js";
import { br_nf_pre_routing } from "./br_netfilter.js";
import { type BridgePort, br_forward } from "./bridge.js";
import { IFF_UP } from "./device.js";
import * as R from "./drop_reason.js";
import { ETH_P_IP } from "./eth.js";
import { kfree_skb_reason } from "./skbuff.js";

export const RX_HANDLER_CONSUMED = 0;
export const RX_HANDLER_ANOTHER = 1;
export const RX_HANDLER_PASS = 3;

/** br_handle_frame and br_handle_frame_finish. `skb.data` is behind the Ethernet header. */
export function br_handle_frame(skb: Skb, p: BridgePort): number {
  const br = p.br;
  const ns = br.ns;
  const d = skb.mac;
  const b = skb.bytes;
  if ((br.flags & IFF_UP) === 0 || (b[d + 6]! & 1) !== 0) {
    kfree_skb_reason(ns, skb, (b[d + 6]! & 1) !== 0 ? R.MAC_INVALID_SOURCE : R.NOT_SPECIFIED);
    return RX_HANDLER_CONSUMED;
  }
  // 01:80:c2:00:00:0x is link-local: never forwarded.
  if (
    b[d] === 1 &&
    b[d + 1] === 0x80 &&
    b[d + 2] === 0xc2 &&
    b[d + 3] === 0 &&
    b[d + 4] === 0 &&
    b[d + 5]! < 16
  )
    return RX_HANDLER_PASS;
  if (
    skb.protocol === ETH_P_IP &&
    ns.nf !== null &&
    ns.sysctl.bridge_nf_call_iptables !== 0 &&
    !br_nf_pre_routing(skb, p)
  )
    return RX_HANDLER_CONSUMED;
  return br_handle_frame_finish(skb, p);
}

/** br_handle_frame_finish; the Ethernet header is at skb.mac. Takes the packet. */
export function br_handle_frame_finish(skb: Skb, p: BridgePort): number {
  const br = p.br;
  const d = skb.mac;
  const b = skb.bytes;
  if (p.learning) br.learn(b, d + 6, p);
  skb.data = d;
  if ((b[d]! & 1) !== 0) {
    br.flood(skb, p, true);
    return RX_HANDLER_CONSUMED;
  }
  const e = br.find(b, d);
  if (e === undefined) br.flood(skb, p, false);
  else if (e.port === null) {
    skb.pktType = PACKET_HOST;
    br.passUp(skb);
  } else br_forward(skb, br, e.port, p);
  return RX_HANDLER_CONSUMED;
}
