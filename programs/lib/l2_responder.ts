// L2 announcements, after bpf/lib/l2_responder.h: a native device answers ARP requests and neighbour solicitations for
// service addresses that this node announces, as long as its agent lives.
//
// Which node announces is settled by a Kubernetes lease for each service, not here: the map has the addresses of the
// leases that this node holds, by device. An agent that has died would leave its entries behind while another node
// has taken the lease over, hence the liveness stamp: two nodes that answer for one address are worse than none.

import { L2ResponderKey4, L2ResponderKey6, l2ResponderAnswered } from "../../maps/l2_responder.js";
import { NONE } from "../../maps/spec.js";
import { arp_respond, arp_sip, arp_tip, arp_validate } from "./arp.js";
import { CTX_ACT_OK, ETH_HLEN } from "./common.js";
import { type Ctx, ctx_has, load_u8 } from "./ctx.js";
import { ICMP6_NS_MSG_TYPE, send_ndisc_adv_for_target } from "./icmp6.js";

const key4 = new L2ResponderKey4();
const key6 = new L2ResponderKey6();
const index = new Int32Array([1]);
/**
 * RUNTIME_CONFIG_AGENT_LIVENESS: when the agent was last heard of, ns of the monotonic clock. The agent writes it
 * once a second or so; l2_announcements_max_liveness is how long a lease lasts.
 */
function agent_alive(ctx: Ctx): boolean {
  const map = ctx.maps.cilium_runtime_config;
  const slot = map.lookup(index);
  if (slot === NONE) return false;
  const at = slot * map.valueWords;
  const seen = (map.words[at] >>> 0) + (map.words[at + 1] >>> 0) * 0x1_0000_0000;
  return ctx.helpers.ktime_get_ns() - seen <= ctx.config.l2_announcements_max_liveness;
}

/** handle_l2_announcement() of an ARP packet: CTX_ACT_OK lets it go on to the stack. */
export function handle_l2_announcement4(ctx: Ctx): number {
  if (!agent_alive(ctx)) return CTX_ACT_OK;
  const mac = ctx.config.interface_mac;
  if (!arp_validate(ctx, mac)) return CTX_ACT_OK;
  const map = ctx.maps.cilium_l2_responder_v4;
  const slot = map.lookup(key4.set(arp_tip, ctx.skb.ifindex).words);
  if (slot === NONE) return CTX_ACT_OK;
  const ret = arp_respond(ctx, mac, arp_tip, arp_sip, 0);
  // The entry counts its answers.
  if (ret >= 0) l2ResponderAnswered(map, slot);
  return ret;
}

/** handle_l2_announcement() of an ICMPv6 packet. */
export function handle_l2_announcement6(ctx: Ctx): number {
  if (!agent_alive(ctx)) return CTX_ACT_OK;
  const l4 = ETH_HLEN + 40;
  // A solicitation: type, code, checksum, reserved word, 16 bytes of target. Behind extension headers it is not one.
  if (!ctx_has(ctx, l4 + 24) || load_u8(ctx, l4) !== ICMP6_NS_MSG_TYPE) return CTX_ACT_OK;
  const map = ctx.maps.cilium_l2_responder_v6;
  const slot = map.lookup(key6.set(ctx.skb.view, ctx.skb.data + l4 + 8, ctx.skb.ifindex).words);
  if (slot === NONE) return CTX_ACT_OK;
  const ret = send_ndisc_adv_for_target(ctx);
  if (ret >= 0) l2ResponderAnswered(map, slot);
  return ret;
}
