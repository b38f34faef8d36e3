// net/core/dev.c and the redirect part of net/core/filter.c: how a packet enters and leaves a device.
//
//   receive:  driver -> netif_rx -> backlog -> XDP -> taps -> tc ingress -> rx handler (bridge) -> protocol
//   transmit: dev_queue_xmit -> tc egress -> (noqueue) -> taps -> driver
//
// From ip_rcv to the neighbour code `skb.data` is the IP header; programs and taps see the link-layer header.
// Differs from the kernel: XDP is always run here, where generic XDP would be; a driver's native XDP sits at
// the same place relative to taps and tc.

import { EAGAIN } from "../base/errno.js";
import type { Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import {
  TC_ACT_REDIRECT,
  TC_ACT_SHOT,
  TC_ACT_STOLEN,
  XDP_PASS,
  XDP_REDIRECT,
  XDP_TX,
} from "../bpf/verdict.js";
import { arp_rcv } from "./arp.js";
import { br_handle_frame, RX_HANDLER_ANOTHER, RX_HANDLER_PASS } from "./br_input.js";
import { IFF_UP, type NetDevice, RX_BYTES, RX_DROPPED, RX_PACKETS, TX_DROPPED } from "./device.js";
import * as R from "./drop_reason.js";
import { ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, eth_type_trans } from "./eth.js";
import { skb_gso_segment } from "./gso.js";
import { ip_rcv } from "./ip_input.js";
import { ipv6_rcv } from "./ipv6/ip6_input.js";
import { REDIR_INGRESS, REDIR_NEIGH, REDIR_NONE, REDIR_PEER } from "./kernel.js";
import { bpf_out_neigh } from "./redirect_neigh.js";
import { consume_skb, kfree_skb_reason, skb_scrub_packet, skb_set_dev } from "./skbuff.js";

/** dev->xmit_lock_owner and XMIT_RECURSION_LIMIT: how deep transmissions may nest. */
const XMIT_RECURSION_LIMIT = 8;

/** A packet that a driver received (after eth_type_trans) waits for the softirq. */
export function netif_rx(skb: Skb): number {
  const dev = skb.dev as NetDevice;
  const k = dev.ns.kernel;
  skb.cpu = k.cpu;
  if (!k.world.enqueue(skb)) {
    kfree_skb_reason(dev.ns, skb, R.CPU_BACKLOG);
    return 1;
  }
  return 0;
}

/** One packet of the backlog. */
export function processBacklogSkb(skb: Skb): void {
  const dev = skb.dev as NetDevice;
  const ns = dev.ns;
  ns.kernel.cpu = skb.cpu;
  if (ns.recorder !== null) ns.recorder.step(Step.BACKLOG, skb, dev, skb.cpu, 0, 0);
  if ((dev.flags & IFF_UP) === 0) {
    dev.stats[RX_DROPPED]!++;
    kfree_skb_reason(ns, skb, R.DEV_READY);
    return;
  }
  netif_receive_skb(skb);
}

/**
 * Puts a frame into a device from outside (a replay, a lab's host): as if the driver had just received it. The
 * packet is the model's from here on; returns when everything that follows at this instant has happened.
 */
export function inject(dev: NetDevice, skb: Skb): void {
  const w = dev.ns.kernel.world;
  dev.stats[RX_PACKETS]!++;
  dev.stats[RX_BYTES]! += skb.tail - skb.data;
  skb.cpu = dev.ns.kernel.cpu;
  eth_type_trans(skb, dev);
  w.enter();
  if (w.enqueue(skb)) {
    // runs in leave()
  } else kfree_skb_reason(dev.ns, skb, R.CPU_BACKLOG);
  w.leave();
}

/** __netif_receive_skb_core. */
export function netif_receive_skb(skb: Skb): void {
  for (;;) {
    // another_round: the device may have changed.
    const dev = skb.dev as NetDevice;
    const ns = dev.ns;
    skb.netns = ns.id;
    if (ns.recorder !== null) {
      const d = skb.data;
      skb.data = skb.mac;
      ns.recorder.step(Step.DEV_RX, skb, dev, 0, 0, 0);
      skb.data = d;
    }
    if (dev.xdp !== null && !do_xdp(skb, dev)) return;
    skb.ingressIfindex = dev.ifindex;
    skb.network = skb.data;
    if (dev.taps !== null) {
      const taps = dev.taps;
      for (let i = 0; i < taps.length; i++) taps[i]!.packet(dev, skb, skb.mac, false);
    }
    if (dev.tc_ingress !== null) {
      const r = sch_handle_ingress(skb, dev);
      if (r === TC_CONSUMED) return;
      if (r === TC_ANOTHER) continue;
    }
    if (dev.brPort !== null) {
      const r = br_handle_frame(skb, dev.brPort);
      if (r === RX_HANDLER_ANOTHER) continue;
      if (r !== RX_HANDLER_PASS) return;
    }
    switch (skb.protocol) {
      case ETH_P_IP:
        ip_rcv(skb, dev);
        return;
      case ETH_P_ARP:
        arp_rcv(skb, dev);
        return;
      case ETH_P_IPV6:
        ipv6_rcv(skb, dev);
        return;
      default:
        dev.stats[RX_DROPPED]!++;
        kfree_skb_reason(ns, skb, R.UNHANDLED_PROTO);
        return;
    }
  }
}

/** do_xdp_generic. True: the packet goes on. */
function do_xdp(skb: Skb, dev: NetDevice): boolean {
  const ns = dev.ns;
  const prog = dev.xdp!;
  skb.data = skb.mac;
  ns.kernel.ri.kind = REDIR_NONE;
  if (ns.recorder !== null) ns.recorder.step(Step.PROG, skb, prog, 2, 0, 0);
  const act = prog.run(skb);
  if (ns.recorder !== null) ns.recorder.step(Step.PROG_END, skb, prog, act, 0, 0);
  switch (act) {
    case XDP_PASS: {
      // The program may have rewritten or moved the header.
      const meta = skb.xdpMeta;
      eth_type_trans(skb, dev);
      skb.xdpMeta = meta;
      return true;
    }
    case XDP_TX:
      xdp_transmit(skb, dev);
      return false;
    case XDP_REDIRECT: {
      const target = ns.dev(ns.kernel.ri.ifindex);
      if (target === null || (target.flags & IFF_UP) === 0) {
        kfree_skb_reason(ns, skb, R.XDP);
        return false;
      }
      if (ns.recorder !== null) ns.recorder.step(Step.REDIRECT, skb, target, 0, 0, 0);
      xdp_transmit(skb, target);
      return false;
    }
    default:
      kfree_skb_reason(ns, skb, R.XDP);
      return false;
  }
}

/** ndo_xdp_xmit: straight to the driver, past tc, queue and taps. */
function xdp_transmit(skb: Skb, dev: NetDevice): void {
  skb_set_dev(skb, dev);
  dev.xmit(skb);
}

const TC_GOES_ON = 0;
const TC_CONSUMED = 1;
const TC_ANOTHER = 2;

/** sch_handle_ingress. */
function sch_handle_ingress(skb: Skb, dev: NetDevice): number {
  const ns = dev.ns;
  const ri = ns.kernel.ri;
  const prog = dev.tc_ingress!;
  ri.kind = REDIR_NONE;
  skb.data = skb.mac;
  if (ns.recorder !== null) ns.recorder.step(Step.PROG, skb, prog, 0, 0, 0);
  const act = prog.run(skb);
  if (ns.recorder !== null) ns.recorder.step(Step.PROG_END, skb, prog, act, 0, 0);
  switch (act) {
    case TC_ACT_SHOT:
      kfree_skb_reason(ns, skb, R.TC_INGRESS);
      return TC_CONSUMED;
    case TC_ACT_STOLEN:
      consume_skb(ns.kernel, skb);
      return TC_CONSUMED;
    case TC_ACT_REDIRECT:
      return skb_do_redirect(skb, dev, true) === -EAGAIN ? TC_ANOTHER : TC_CONSUMED;
    default:
      skb.mac = skb.data;
      if (dev.hardHeaderLen !== 0) {
        if (skb.tail - skb.data < 14) {
          kfree_skb_reason(ns, skb, R.HDR_TRUNC);
          return TC_CONSUMED;
        }
        // skb->protocol is not parsed again, as in the kernel: only helpers that change it (adjust_room,
        // change_proto) do.
        skb.data += dev.hardHeaderLen;
      } else if (skb.data < skb.network) {
        // skb->mac_len: a header that the program put in front (skb_change_head) is the link layer's.
        skb.data = skb.network;
      }
      skb.network = skb.data;
      return TC_GOES_ON;
  }
}

/** skb_do_redirect: what the redirect helpers asked for. -EAGAIN: receive again on skb.dev (redirect_peer). */
export function skb_do_redirect(skb: Skb, dev: NetDevice, ingress: boolean): number {
  const ns = dev.ns;
  const ri = ns.kernel.ri;
  const kind = ri.kind;
  ri.kind = REDIR_NONE;
  const target = kind === REDIR_NONE ? null : ns.dev(ri.ifindex);
  if (target === null) {
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return 0;
  }
  if (ns.recorder !== null) ns.recorder.step(Step.REDIRECT, skb, target, kind, 0, 0);
  if (kind === REDIR_PEER) {
    const peer = ingress ? target.peerDev() : null;
    if (peer === null || (peer.flags & IFF_UP) === 0 || peer.ns === ns) {
      kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
      return 0;
    }
    skb_scrub_packet(skb, false);
    skb_set_dev(skb, peer);
    peer.stats[RX_PACKETS]!++;
    peer.stats[RX_BYTES]! += skb.tail - skb.data;
    skb.mac = skb.data;
    skb.data += peer.hardHeaderLen;
    skb.network = skb.data;
    return -EAGAIN;
  }
  if (kind === REDIR_NEIGH) {
    if (dev.hardHeaderLen !== 0) skb.data += dev.hardHeaderLen;
    skb.network = skb.data;
    bpf_out_neigh(skb, ns, target, ri);
    return 0;
  }
  // An L3 device has no room for the Ethernet header that the packet carries (__bpf_redirect_no_mac). The other way
  // round a program must have put one in front.
  if (target.hardHeaderLen === 0 && dev.hardHeaderLen !== 0) skb.data += dev.hardHeaderLen;
  else if (target.hardHeaderLen !== 0 && dev.hardHeaderLen === 0 && skb.data >= skb.network) {
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return 0;
  }
  if (kind === REDIR_INGRESS) {
    if ((target.flags & IFF_UP) === 0) {
      kfree_skb_reason(ns, skb, R.DEV_READY);
      return 0;
    }
    skb_scrub_packet(skb, false);
    skb.priority = 0;
    target.stats[RX_PACKETS]!++;
    target.stats[RX_BYTES]! += skb.tail - skb.data;
    const proto = skb.protocol;
    eth_type_trans(skb, target);
    if (target.hardHeaderLen === 0) skb.protocol = proto;
    netif_rx(skb);
    return 0;
  }
  skb_set_dev(skb, target);
  dev_queue_xmit(skb);
  return 0;
}

/**
 * __dev_queue_xmit: transmits a complete frame on skb.dev. 0 or a negative errno; the packet is gone either way.
 * What it causes at this instant (answers, softirq work) has happened on return unless a softirq already runs.
 */
export function dev_queue_xmit(skb: Skb): number {
  const dev = skb.dev as NetDevice;
  const ns = dev.ns;
  const w = ns.kernel.world;
  skb.netns = ns.id;
  skb.mac = skb.data;
  w.enter();
  const ret = __dev_queue_xmit(skb, dev);
  w.leave();
  return ret;
}

/** validate_xmit_skb on a device without segmentation offload: every segment on its own. */
function xmit_segments(skb: Skb, dev: NetDevice): number {
  let seg = skb_gso_segment(dev.ns.kernel, skb);
  let r = 0;
  while (seg !== null) {
    const next: Skb | null = seg.next;
    seg.next = null;
    if (dev.taps !== null) {
      const taps = dev.taps;
      for (let i = 0; i < taps.length; i++) taps[i]!.packet(dev, seg, seg.data, true);
    }
    dev.xmitDepth++;
    r = dev.xmit(seg);
    dev.xmitDepth--;
    seg = next;
  }
  return r;
}

function __dev_queue_xmit(skb: Skb, dev: NetDevice): number {
  const ns = dev.ns;
  if (ns.recorder !== null) ns.recorder.step(Step.DEV_XMIT, skb, dev, 0, 0, 0);
  if (dev.tc_egress !== null) {
    const prog = dev.tc_egress;
    ns.kernel.ri.kind = REDIR_NONE;
    if (ns.recorder !== null) ns.recorder.step(Step.PROG, skb, prog, 1, 0, 0);
    const act = prog.run(skb);
    if (ns.recorder !== null) ns.recorder.step(Step.PROG_END, skb, prog, act, 0, 0);
    if (act === TC_ACT_SHOT) {
      dev.stats[TX_DROPPED]!++;
      kfree_skb_reason(ns, skb, R.TC_EGRESS);
      return 1;
    }
    if (act === TC_ACT_STOLEN) {
      consume_skb(ns.kernel, skb);
      return 0;
    }
    if (act === TC_ACT_REDIRECT) {
      skb_do_redirect(skb, dev, false);
      return 0;
    }
    skb.mac = skb.data;
  }
  if ((dev.flags & IFF_UP) === 0) {
    kfree_skb_reason(ns, skb, R.DEV_READY);
    return -100; // ENETDOWN
  }
  if (dev.xmitDepth >= XMIT_RECURSION_LIMIT) {
    dev.stats[TX_DROPPED]!++;
    kfree_skb_reason(ns, skb, R.RECURSION_LIMIT);
    return -100;
  }
  if (!dev.keepDst) skb.dst = null;
  if (skb.gsoSize !== 0 && !dev.gso) return xmit_segments(skb, dev);
  if (dev.taps !== null) {
    const taps = dev.taps;
    for (let i = 0; i < taps.length; i++) taps[i]!.packet(dev, skb, skb.data, true);
  }
  dev.xmitDepth++;
  const r = dev.xmit(skb);
  dev.xmitDepth--;
  return r;
}
